/* What a tile adds up for a pair of numbers: the difference, product or count of each metric. Next hop: powers.h, which has
 * logarithms and powers; sums.h calls `step` for each number of the points.
 *
 * Operations for one vector of pairs and one number: square 2 (subtract, FMA), words 4, form 5, product 1, chebyshev 2 (3 without
 * AVX-512), cityblock and braycurtis 3, canberra 7, halves 15, power 38, jensen 24.
 */

/* Jensen-Shannon without cancellation: with d = (p - q) / (p + q), half the term is
 * (p + q) / 2 * ((1 + d) log2(1 + d) + (1 - d) log2(1 - d)) = (p + q) / (2 ln 2) * sum d^2i / (i (2i - 1)). */
FC_INLINE FC_VEC FC_N(jensen_term)(FC_VEC p, FC_VEC q)
{
    const FC_VEC sum = p + q, d = FC_N(abs)(p - q) / FC_N(pick)((FC_IVEC)(sum == 0), FC_N(splat)(1), sum), d2 = d * d;
    const FC_VEC less = FC_N(max)(1 - d, FC_N(splat)((FC_T)1e-30)); /* 0 has no logarithm */
    FC_VEC e, f, e2, f2, series = FC_N(splat)(0);
    for (int i = 16; i > 0; i--)
        series = series * d2 + (FC_T)(1.4426950408889634 / (i * (2 * i - 1)));
    FC_N(log2_parts)(1 + d, &e, &f);
    FC_N(log2_parts)(less, &e2, &f2);
    const FC_VEC logs = (1 + d) * (e + f) + less * (e2 + f2);
    return (FC_T)0.5 * sum * FC_N(pick)((FC_IVEC)(d2 < (FC_T)0.1), series * d2, logs);
}

/* p log p + q log q - (p + q) log((p + q) / 2), `own` the terms of p and q alone, with p and q added. */
FC_INLINE FC_VEC FC_N(entropy_term)(FC_VEC p, FC_VEC q, FC_VEC own)
{
    const FC_VEC sum = p + q;
    FC_VEC e, f;
    FC_N(log2_parts)(FC_N(max)(FC_N(splat)((FC_T)1e-30), sum), &e, &f);
    return own - sum * (e + f);
}

FC_INLINE FC_VEC FC_N(times)(const int weighted, FC_VEC w, FC_VEC x)
{
    if (weighted)
        x *= w;
    return x;
}

/* Whether the careful body divides by the largest difference itself, whose power is then 1 however large p is; it
 * multiplies by a power of 2 for the others. */
FC_INLINE int FC_N(divides)(const int metric)
{
    return metric == FC_HALVES || metric == FC_POWER;
}

/* Whether the metric's rows are never as they were given, so that those of a are packed, too. */
FC_INLINE int FC_N(prepared)(const int metric)
{
    return metric == FC_PRODUCT || metric == FC_CANBERRA || metric == FC_JENSEN || metric == FC_WORDS || metric == FC_FORM
           || metric == FC_BITS || metric == FC_DISCORDANT || metric == FC_CONCORDANT;
}

/* |t|^(whole + 1/2). */
FC_INLINE FC_VEC FC_N(halves_power)(FC_VEC t, FC_VEC size, FC_VEC square, const int whole)
{
    /* Infinity and 0 have no root here, but for the root itself. The other powers of so large a size are infinite anyway, those
     * of so small a one 0; below `least` remainders are denormal, which is slow. */
    const FC_VEC most = FC_N(splat)(sizeof(FC_T) == 4 ? (FC_T)0x1p100 : (FC_T)0x1p1000);
    const FC_VEC least = FC_N(splat)(sizeof(FC_T) == 4 ? (FC_T)0x1p-90 : (FC_T)0x1p-900);
    const FC_VEC x = FC_N(min)(most, FC_N(max_size)(least, t));
    FC_VEC y = whole == 0 ? FC_N(sqrt)(size) : FC_N(root_of)(x, x);
    if (whole >= 4)
        y *= square * square;
    if (whole & 2)
        y *= square;
    if (whole & 1)
        y *= size;
    return y;
}

/* w |a - b| / (|a| + |b|), 0 / 0 counting as 0. */
FC_INLINE FC_VEC FC_N(canberra_term)(const int weighted, FC_VEC a, FC_VEC b, FC_VEC w, FC_VEC size)
{
    const FC_VEC sum = FC_N(abs)(a) + FC_N(abs)(b), ratio = size / FC_N(pick)((FC_IVEC)(sum == 0), FC_N(splat)(1), sum);
    return FC_N(times)(weighted, w, ratio);
}

/* Adds what a pair of numbers a, b contributes: a2, b2 and a3, b3 are their second and third words, `scale` what a careful body
 * multiplies differences by or divides them by, p the power: its halves, and its whole part for FC_HALVES. */
FC_INLINE void FC_N(step)(const int metric, const int weighted, const int careful, FC_VEC a, FC_VEC b, FC_VEC w,
                          FC_VEC a2, FC_VEC b2, FC_VEC a3, FC_VEC b3, FC_VEC scale, const FC_T *p, FC_VEC *acc, FC_VEC *acc2)
{
    const int scales = careful && metric != FC_CHEBYSHEV && metric != FC_CANBERRA && metric != FC_JENSEN
                       && metric != FC_BRAYCURTIS;
    const int powers = metric == FC_CUBE || metric == FC_QUARTIC || metric == FC_HALVES || metric == FC_POWER;
    FC_VEC t = a - b;
    if (metric == FC_WORDS || careful == 2)
        t += a2 - b2;
    if (weighted && (scales || powers)) /* a power may overflow where the weight is 0; 0 * infinity stays NaN */
        t = FC_N(masked)(t, (FC_IVEC)(w != 0) | (FC_IVEC)(t - t != 0));
    if (scales)
        t = FC_N(divides)(metric) ? t / scale : t * scale;
    const FC_VEC size = FC_N(abs)(t), square = t * t;
    switch (metric) {
    case FC_SQUARE:
    case FC_WORDS: *acc += FC_N(times)(weighted, w, t) * t; return;
    case FC_FORM: {
        FC_VEC mapped = (a2 - b2) + (a3 - b3);
        if (scales)
            mapped *= scale;
        *acc += t * mapped;
        return;
    }
    case FC_CITYBLOCK: *acc += FC_N(times)(weighted, w, size); return;
    case FC_CHEBYSHEV:
        if (weighted)
            t = FC_N(masked)(t, (FC_IVEC)(w != 0));
        if (careful)
            *acc = FC_N(pick)((FC_IVEC)(*acc != *acc), *acc, FC_N(max)(*acc, FC_N(abs)(t)));
        else
            *acc = FC_N(max_size)(*acc, t);
        return;
    case FC_CANBERRA: *acc += FC_N(canberra_term)(weighted, a, b, w, size); return;
    case FC_BRAYCURTIS: {
        const FC_VEC sum = FC_N(abs)(a + b);
        *acc += FC_N(times)(weighted, w, size);
        if (careful)
            *acc2 += FC_N(times)(weighted, w, sum);
        return;
    }
    case FC_PRODUCT: *acc += a * b; return;
    case FC_HAMMING: *acc += FC_N(masked)(w, (FC_IVEC)(a != b)); return;
    case FC_CUBE: *acc += FC_N(times)(weighted, w, size) * square; return;
    case FC_QUARTIC: *acc += FC_N(times)(weighted, w, square) * square; return;
    case FC_HALVES: {
        FC_VEC y = FC_N(halves_power)(t, size, square, (int)p[2]);
        FC_KEEP(y); /* compilers fuse a product with the sum, and would in some rows of a tile only */
        *acc += FC_N(times)(weighted, w, y);
        return;
    }
    case FC_POWER: {
        const FC_VEC y = FC_N(power)(size, p[0], p[1]);
        *acc += FC_N(times)(weighted, w, y);
        return;
    }
    case FC_JENSEN: *acc += careful ? FC_N(jensen_term)(a, b) : FC_N(entropy_term)(a, b, a2 + b2); return;
    case FC_DICE: {
        const FC_VEC both = a * b, either = (a - both) + (b - both);
        *acc += FC_N(times)(weighted, w, either);
        *acc2 += FC_N(times)(weighted, w, both);
        return;
    }
    case FC_DISCORDANT:
        *acc += FC_N(masked)(w, (FC_IVEC)(a > b));
        *acc2 += FC_N(masked)(w, (FC_IVEC)(a < b));
        return;
    case FC_CONCORDANT:
        *acc += FC_N(masked)(w, (FC_IVEC)(a + b == 2));
        *acc2 += FC_N(masked)(w, (FC_IVEC)(a + b == 0));
        return;
    default: *acc = (FC_VEC)((FC_IVEC)*acc + FC_N(popcount)((FC_IVEC)a & (FC_IVEC)b)); return;
    }
}

/* Numbers of a row that make a term. */
FC_INLINE int FC_N(stride_of)(const int metric, const int careful)
{
    if (metric == FC_FORM || careful == 3)
        return 3;
    return metric == FC_JENSEN || metric == FC_CANBERRA || metric == FC_WORDS || careful == 2 ? 2 : 1;
}

/* Adds `terms` / 2 terms of canberra under one division; a and b hold each number and its size. */
FC_INLINE void FC_N(ratios)(const ptrdiff_t terms, const int v, const FC_T *a, const FC_T *b, ptrdiff_t width, FC_VEC w,
                            FC_VEC (*acc)[FC_POINT_VECTORS])
{
#pragma GCC unroll 6
    for (int i = 0; i < FC_POINT_ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < v; j++) {
            FC_VEC num = {0}, den = {0};
#pragma GCC unroll 8
            for (ptrdiff_t k = 0; k < terms; k += 2) {
                const FC_VEC *bv = (const FC_VEC *)(b + k * width + j * FC_LANES);
                const FC_VEC x = FC_N(abs)(a[k * FC_POINT_ROWS + i] - *bv);
                const FC_VEC y = a[(k + 1) * FC_POINT_ROWS + i] + *(const FC_VEC *)((const FC_T *)bv + width);
                num = k ? (FC_VEC)(num * y + x * den) : x;
                den = k ? (FC_VEC)(den * y) : y;
            }
            /* The divider has time for 8 terms, not for 2. */
            acc[i][j] += w * (sizeof(FC_T) == 8 ? (FC_VEC)(num / den) : FC_N(quotient)(num, den));
        }
}
