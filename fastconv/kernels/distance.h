/* Distances between all pairs of two sets of points, a tile of rows x columns at a time.
 *
 * `points` prepares rows and packs them as a[k][6] or b[k][v * lanes]; `pairs` sums over k with the metric's own step in
 * place of tile.h's multiply-accumulate, 6 rows x v vectors of columns in registers, and finishes the sums; `emit` and
 * `nearest` take the result to the output. Differences are formed before anything is squared or multiplied, so that
 * translation costs no accuracy. Counts, for one vector of pairs and one k: square 2 operations (subtract, FMA),
 * cityblock and chebyshev 3, braycurtis 6, canberra 12, halves 12, power 45, jensen 25.
 *
 * Sums outside the safe range of their metric are formed again, lane by lane, by a careful body: the choice depends on
 * the pair alone, so the bits of a result do not depend on its neighbours. Elements of any dtype are read by conv.h.
 */

#ifndef FC_DISTANCE_ONCE
#define FC_DISTANCE_ONCE

enum { FC_POINT_CHAIN = 32, FC_POINT_VECTORS = FC_REGISTERS == 32 ? 4 : 2 };

FC_INLINE double fc_integer(const char *p, const int kind)
{
    uint64_t u = 0;
    const int bytes = 1 << (kind >> 1 & 3);
    memcpy(&u, p, (size_t)bytes);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    u >>= 64 - 8 * bytes;
#endif
    if (kind & FC_SWAPPED)
        u = __builtin_bswap64(u) >> (64 - 8 * bytes);
    if (kind & 1)
        return (double)((int64_t)(u << (64 - 8 * bytes)) >> (64 - 8 * bytes));
    return (double)u;
}

#endif

/* ---- logarithm and powers ---- */

enum { FC_N(MANTISSA) = sizeof(FC_T) == 4 ? 23 : 52, FC_N(BIAS) = sizeof(FC_T) == 4 ? 127 : 1023 };

/* log2 x = e + f, |f| <= 1/2 within 2 units of f; x positive and normal. f = 2 atanh((z - 1) / (z + 1)) / ln 2. */
FC_INLINE void FC_N(log2_parts)(FC_VEC x, FC_VEC *e, FC_VEC *f)
{
    const FC_INT one = (FC_INT)FC_N(BIAS) << FC_N(MANTISSA);
    const FC_INT root_half = sizeof(FC_T) == 4 ? (FC_INT)0x3f3504f3 : (FC_INT)0x3fe6a09e667f3bccLL;
    const FC_T magic = sizeof(FC_T) == 4 ? (FC_T)0x1p23 : (FC_T)0x1p52;
    const FC_INT magic_bits = (FC_INT)(FC_N(BIAS) + FC_N(MANTISSA)) << FC_N(MANTISSA);
    const FC_IVEC bits = (FC_IVEC)x;
    const FC_IVEC exponent = (bits + (one - root_half)) & FC_N(isplat)((FC_INT)(~(uint64_t)0 << FC_N(MANTISSA)));
    const FC_VEC z = (FC_VEC)(bits - exponent + one);
    const FC_IVEC field = exponent >> FC_N(MANTISSA);
    *e = (FC_VEC)(field | magic_bits) - (magic + FC_N(BIAS));
    const FC_VEC s = FC_N(quotient)(z - 1, z + 1), s2 = s * s;
    FC_VEC p;
    const FC_T c = (FC_T)2.8853900817779268; /* 2 / ln 2 */
    if (sizeof(FC_T) == 4) {
        p = FC_N(splat)(c / 9);
    } else {
        p = FC_N(splat)(c / 19);
        p = p * s2 + c / 17;
        p = p * s2 + c / 15;
        p = p * s2 + c / 13;
        p = p * s2 + c / 11;
        p = p * s2 + c / 9;
    }
    p = p * s2 + c / 7;
    p = p * s2 + c / 5;
    p = p * s2 + c / 3;
    *f = s * (p * s2 + c);
}

/* x^p for x >= 0 and p = high + low > 0, high with few bits: within 3 units in the last place plus p * 0.4 of them.
 * The whole part of p log2 x is exact, so a large exponent costs no accuracy. */
FC_INLINE FC_VEC FC_N(power)(FC_VEC x, FC_T high, FC_T low)
{
    const FC_T magic = sizeof(FC_T) == 4 ? (FC_T)0x1.8p23 : (FC_T)0x1.8p52;
    const FC_T most = sizeof(FC_T) == 4 ? (FC_T)0x1.fffffep127 : (FC_T)0x1.fffffffffffffp1023;
    const FC_T bias = (FC_T)FC_N(BIAS), ln2 = (FC_T)0.69314718055994531;
    FC_VEC e, f;
    FC_N(log2_parts)(x, &e, &f);
    const FC_VEC whole = e * high, rest = e * low + f * (high + low);
    FC_VEC y = whole + rest;
    y = FC_N(pick)((FC_IVEC)(y < -bias), FC_N(splat)(-bias), y);
    y = FC_N(pick)((FC_IVEC)(y > bias + 1), FC_N(splat)(bias + 1), y);
    const FC_VEC shifted = y + magic, n = shifted - magic;
    const FC_VEC r = ((whole - n) + rest) * ln2;
    FC_VEC q;
    if (sizeof(FC_T) == 4) {
        q = FC_N(splat)((FC_T)(1 / 5040.));
    } else {
        q = FC_N(splat)((FC_T)(1 / 6227020800.));
        q = q * r + (FC_T)(1 / 479001600.);
        q = q * r + (FC_T)(1 / 39916800.);
        q = q * r + (FC_T)(1 / 3628800.);
        q = q * r + (FC_T)(1 / 362880.);
        q = q * r + (FC_T)(1 / 40320.);
        q = q * r + (FC_T)(1 / 5040.);
    }
    q = q * r + (FC_T)(1 / 720.);
    q = q * r + (FC_T)(1 / 120.);
    q = q * r + (FC_T)(1 / 24.);
    q = q * r + (FC_T)(1 / 6.);
    q = q * r + (FC_T)0.5;
    q = q * r + 1;
    q = q * r + 1;
    /* 2^n through the exponent; n = -bias gives 0, bias + 1 infinity. */
    const FC_IVEC scale = ((FC_IVEC)shifted + (FC_INT)FC_N(BIAS)) << FC_N(MANTISSA);
    const FC_VEC result = FC_N(masked)(q * (FC_VEC)scale, (FC_IVEC)(x != 0));
    return FC_N(pick)((FC_IVEC)(x <= most), result, x);
}

/* ---- rows of points ---- */

FC_INLINE double FC_N(number)(const char *p, const int kind)
{
    return kind & FC_U8 ? fc_integer(p, kind) : (double)FC_N(element)(p, kind);
}

static void FC_N(fetch_row)(FC_T *dst, const char *src, const fc_points *p)
{
    if (!(p->kind & FC_U8)) {
        FC_N(copy)(dst, 1, src, p->col_step, p->d, p->kind);
        return;
    }
    if (p->kind == FC_U8) {
        for (ptrdiff_t k = 0; k < p->d; k++)
            dst[k] = (FC_T) * (const unsigned char *)(src + k * p->col_step);
        return;
    }
    for (ptrdiff_t k = 0; k < p->d; k++)
        dst[k] = (FC_T)fc_integer(src + k * p->col_step, p->kind);
}

/* sum a b, b = 1 where NULL, in chains that do not wait for each other. */
FC_INLINE double FC_N(wide_sum)(const double *a, const double *b, ptrdiff_t n)
{
    double chains[16] = {0}, total = 0;
    ptrdiff_t k = 0;
    for (; k + 16 <= n; k += 16)
        for (int i = 0; i < 16; i++)
            chains[i] += b ? a[k + i] * b[k + i] : a[k + i];
    for (; k < n; k++)
        total += b ? a[k] * b[k] : a[k];
    for (int i = 0; i < 16; i++)
        total += chains[i];
    return total;
}

/* x / norm(x), weighted, after subtracting the mean if `centred`; scaled by a power of 2 so that nothing overflows. */
static FC_T FC_N(normalise)(FC_T *x, const fc_points *p, int centred)
{
    const double total = p->w ? FC_N(wide_sum)(p->w, NULL, p->d) : (double)p->d;
    double *wide = p->wide, norm = 0;
    int large = 0, small = 1;
    for (ptrdiff_t k = 0; k < p->d; k++) {
        const double v = (double)x[k];
        large |= (v > 0x1p200) | (v < -0x1p200);
        small &= (v < 0x1p-200) & (v > -0x1p-200);
    }
    const double scale = large ? 0x1p-600 : small ? 0x1p600 : 1;
    for (ptrdiff_t k = 0; k < p->d; k++)
        wide[k] = (double)x[k] * scale;
    for (int pass = 0; pass < 2 && centred; pass++) {
        const double mean = FC_N(wide_sum)(wide, p->w, p->d) / total;
        for (ptrdiff_t k = 0; k < p->d; k++)
            wide[k] -= mean;
    }
    for (ptrdiff_t k = 0; k < p->d && p->w; k++)
        wide[k] *= __builtin_sqrt(p->w[k]);
    norm = __builtin_sqrt(FC_N(wide_sum)(wide, wide, p->d));
    for (ptrdiff_t k = 0; k < p->d; k++)
        x[k] = (FC_T)(wide[k] / norm);
    return norm > 0 ? 0 : (FC_T)__builtin_nan("");
}

static FC_T FC_N(shares)(FC_T *x, const fc_points *p)
{
    const FC_T nan = (FC_T)__builtin_nan(""), infinity = (FC_T)__builtin_inf();
    double sum = 0;
    int negative = 0;
    for (ptrdiff_t k = 0; k < p->d; k++) {
        negative |= x[k] < 0;
        sum += (double)x[k];
    }
    for (ptrdiff_t k = 0; k < p->d; k++)
        x[k] = sum == 0 || negative ? 0 : (FC_T)((double)x[k] / sum);
    /* From the back, so that a share is read before its place is taken. */
    for (ptrdiff_t end = p->d; end > 0; end -= FC_LANES) {
        const ptrdiff_t n = end < FC_LANES ? end : FC_LANES;
        FC_VEC share = {0}, e, f;
        memcpy(&share, x + end - n, (size_t)n * sizeof(FC_T));
        FC_N(log2_parts)(share, &e, &f);
        const FC_VEC product = share * f + share * e;
        for (ptrdiff_t k = n - 1; k >= 0; k--) {
            x[2 * (end - n + k)] = share[k];
            x[2 * (end - n + k) + 1] = share[k] == share[k] ? product[k] : nan;
        }
    }
    return sum == 0 || negative ? infinity : 0;
}

static void FC_N(map_row)(FC_T *x, const fc_points *p)
{
    for (ptrdiff_t j = 0; j < p->d; j++)
        p->wide[j] = 0;
    for (ptrdiff_t i = 0; i < p->d; i++) {
        const double o = FC_N(number)(p->origin + i * p->origin_step, p->origin_kind);
        const double v = (double)x[i] - (o - o == 0 ? o : 0);
        const double *restrict row = p->matrix + i * p->d;
        double *restrict y = p->wide;
        for (ptrdiff_t j = 0; j < p->d; j++)
            y[j] += v * row[j];
    }
    for (ptrdiff_t j = 0; j < p->d; j++)
        x[j] = (FC_T)p->wide[j];
}

static FC_T FC_N(bits_of_row)(FC_T *x, ptrdiff_t d)
{
    const int width = 8 * sizeof(FC_T);
    ptrdiff_t set = 0;
    for (ptrdiff_t k = 0, q = 0; k < d; k += width, q++) {
        uint64_t word = 0;
        for (ptrdiff_t i = 0; i < width && k + i < d; i++)
            word |= (uint64_t)(x[k + i] != 0) << i;
        set += __builtin_popcountll(word);
        const FC_INT own = (FC_INT)word;
        memcpy(x + q, &own, sizeof own);
    }
    return (FC_T)set;
}

static FC_T FC_N(prepare_row)(FC_T *x, const fc_points *p)
{
    const FC_T least = sizeof(FC_T) == 4 ? (FC_T)0x1p-60 : (FC_T)0x1p-200, most = 1 / least;
    FC_T stat = 0;
    switch (p->prepare) {
    case FC_FINITE:
        for (ptrdiff_t k = 0; k < p->d; k++) {
            const FC_T v = x[k] < 0 ? -x[k] : x[k];
            stat += (v >= least && v <= most) || v == 0 ? 0 : (FC_T)__builtin_nan("");
        }
        return stat;
    case FC_KNOWN:
        for (ptrdiff_t k = 0; k < p->d; k++)
            stat += x[k] == x[k] ? 0 : (FC_T)__builtin_nan("");
        return stat;
    case FC_UNIT: return FC_N(normalise)(x, p, 0);
    case FC_CENTRED: return FC_N(normalise)(x, p, 1);
    case FC_SHARES: return FC_N(shares)(x, p);
    case FC_MAPPED: FC_N(map_row)(x, p); return 0;
    case FC_NONZERO:
        for (ptrdiff_t k0 = 0; k0 < p->d; k0 += FC_POINT_CHAIN) { /* in the chains of the sums, so that they cancel */
            FC_T chain = 0;
            for (ptrdiff_t k = k0; k < k0 + FC_POINT_CHAIN && k < p->d; k++) {
                x[k] = x[k] != 0;
                chain += x[k] != 0 ? (FC_T)p->w[k] : 0;
            }
            stat += chain;
        }
        return stat;
    case FC_PACKED_BITS: return FC_N(bits_of_row)(x, p->d);
    default: return 0;
    }
}

static void FC_N(points)(const fc_points *p)
{
    enum { BLOCK = 32 };
    FC_T *dst = p->dst, *stats = p->stats;
    const ptrdiff_t width = p->width, step = p->row_step / (ptrdiff_t)sizeof(FC_T);
    const int direct = p->prepare == FC_PLAIN && p->kind == FC_N(OWN) && p->col_step == (ptrdiff_t)sizeof(FC_T)
                       && ((uintptr_t)p->src | (uintptr_t)p->row_step) % sizeof(FC_T) == 0;
    for (ptrdiff_t r = 0; r < width; r++)
        stats[r] = 0;
    for (ptrdiff_t k0 = 0; k0 < p->count && direct; k0 += BLOCK) {
        const ptrdiff_t end = k0 + BLOCK < p->count ? k0 + BLOCK : p->count;
        for (ptrdiff_t r = 0; r < p->rows; r++) {
            const FC_T *src = (const FC_T *)p->src + r * step + p->first;
            for (ptrdiff_t k = k0; k < end; k++)
                dst[k * width + r] = src[k];
        }
    }
    for (ptrdiff_t r = 0; r < p->rows && !direct; r++) {
        const FC_T *row = (const FC_T *)p->row + p->first;
        FC_N(fetch_row)(p->row, p->src + r * p->row_step, p);
        stats[r] = FC_N(prepare_row)(p->row, p);
        for (ptrdiff_t k = 0; k < p->count; k++)
            dst[k * width + r] = row[k];
    }
    for (ptrdiff_t k = 0; k < p->count; k++)
        for (ptrdiff_t r = p->rows; r < width; r++)
            dst[k * width + r] = (FC_T)__builtin_nan("");
}

/* ---- sums over k ---- */

/* Jensen-Shannon without cancellation: with d = (p - q) / (p + q), half the term is
 * (p + q) / 2 * ((1 + d) log2(1 + d) + (1 - d) log2(1 - d)) = (p + q) / (2 ln 2) * sum d^2i / (i (2i - 1)). */
FC_INLINE FC_VEC FC_N(jensen_term)(FC_VEC p, FC_VEC q)
{
    const FC_VEC sum = p + q, d = FC_N(abs)(p - q) / FC_N(pick)((FC_IVEC)(sum == 0), FC_N(splat)(1), sum), d2 = d * d;
    const FC_VEC less = FC_N(max)(1 - d, FC_N(splat)(0));
    FC_VEC e, f, e2, f2, series = FC_N(splat)(0);
    for (int i = 16; i > 0; i--)
        series = series * d2 + (FC_T)(1.4426950408889634 / (i * (2 * i - 1)));
    FC_N(log2_parts)(1 + d, &e, &f);
    FC_N(log2_parts)(less, &e2, &f2);
    const FC_VEC logs = (1 + d) * (e + f) + less * (e2 + f2);
    return (FC_T)0.5 * sum * FC_N(pick)((FC_IVEC)(d2 < (FC_T)0.1), series * d2, logs);
}

FC_INLINE FC_VEC FC_N(times)(const int weighted, FC_VEC w, FC_VEC x)
{
    if (weighted)
        x *= w;
    return x;
}

FC_INLINE void FC_N(step)(const int metric, const int weighted, const int careful, FC_VEC a, FC_VEC b, FC_VEC w,
                          FC_VEC a2, FC_VEC b2, FC_VEC scale, const FC_T *p, FC_VEC *acc, FC_VEC *acc2)
{
    const int scales = careful && metric != FC_CHEBYSHEV && metric != FC_CANBERRA && metric != FC_JENSEN;
    FC_VEC t = a - b;
    if (scales)
        t *= scale;
    const FC_VEC size = FC_N(abs)(t), square = t * t;
    switch (metric) {
    case FC_SQUARE: *acc += FC_N(times)(weighted, w, t) * t; return;
    case FC_CITYBLOCK: *acc += FC_N(times)(weighted, w, size); return;
    case FC_CHEBYSHEV: {
        FC_VEC most = size;
        if (weighted)
            most = FC_N(masked)(size, (FC_IVEC)(w != 0));
        most = FC_N(max)(*acc, most);
        if (careful)
            most = FC_N(pick)((FC_IVEC)(*acc != *acc), *acc, most);
        *acc = most;
        return;
    }
    case FC_CANBERRA: {
        const FC_VEC sum = FC_N(abs)(a) + FC_N(abs)(b), tiny = FC_N(splat)(sizeof(FC_T) == 4 ? (FC_T)0x1p-100 : (FC_T)0x1p-400);
        FC_VEC ratio;
        if (careful)
            ratio = size / FC_N(pick)((FC_IVEC)(sum == 0), FC_N(splat)(1), sum);
        else
            ratio = FC_N(quotient)(size, FC_N(max)(tiny, sum));
        *acc += FC_N(times)(weighted, w, ratio);
        return;
    }
    case FC_BRAYCURTIS: {
        const FC_VEC sum = FC_N(abs)(a + b);
        *acc += FC_N(times)(weighted, w, size);
        *acc2 += FC_N(times)(weighted, w, sum);
        return;
    }
    case FC_HAMMING: *acc += FC_N(masked)(w, (FC_IVEC)(a != b)); return;
    case FC_DOT: *acc += a * b; return;
    case FC_CUBE: *acc += FC_N(times)(weighted, w, size) * square; return;
    case FC_QUARTIC: *acc += FC_N(times)(weighted, w, square) * square; return;
    case FC_HALVES: {
        FC_VEC y = FC_N(root)(size);
        if (p[2] >= 4)
            y *= square * square;
        if ((int)p[2] & 2)
            y *= square;
        if ((int)p[2] & 1)
            y *= size;
        *acc += FC_N(times)(weighted, w, y);
        return;
    }
    case FC_POWER: {
        const FC_VEC y = FC_N(power)(size, p[0], p[1]);
        *acc += FC_N(times)(weighted, w, y);
        return;
    }
    case FC_JENSEN: {
        if (careful) {
            *acc += FC_N(jensen_term)(a, b);
        } else {
            const FC_VEC sum = a + b;
            FC_VEC e, f;
            FC_N(log2_parts)(sum, &e, &f);
            *acc += (a2 + b2) - sum * ((e - 1) + f);
        }
        return;
    }
    case FC_DICE: {
        const FC_VEC both = a * b, either = (a - both) + (b - both);
        *acc += FC_N(times)(weighted, w, either);
        *acc2 += FC_N(times)(weighted, w, both);
        return;
    }
    case FC_SPLIT:
        *acc += FC_N(masked)(w, (FC_IVEC)(a > b));
        *acc2 += FC_N(masked)(w, (FC_IVEC)(a < b));
        return;
    default: *acc = (FC_VEC)((FC_IVEC)*acc + FC_N(popcount)((FC_IVEC)a & (FC_IVEC)b)); return;
    }
}

/* Chains of FC_POINT_CHAIN terms in registers, added in c (and c2): v vectors of columns from vector `at`. */
FC_INLINE void FC_N(sums)(const int metric, const int weighted, const int careful, const int v, const fc_pairs *t, int at,
                          const FC_T *scale, const FC_T *p, FC_T *c, FC_T *c2)
{
    enum { M = FC_POINT_ROWS };
    const int two = metric == FC_BRAYCURTIS || metric == FC_DICE || metric == FC_SPLIT, stride = metric == FC_JENSEN ? 2 : 1;
    const ptrdiff_t width = t->vectors * FC_LANES;
    const FC_T *a = t->a, *b = (const FC_T *)t->b + at * FC_LANES, *w = t->w;
    int first = t->first;
    c += at * FC_LANES;
    c2 += at * FC_LANES;
    for (ptrdiff_t k0 = 0; k0 < t->count || first; k0 += FC_POINT_CHAIN) {
        const ptrdiff_t n = t->count - k0 < FC_POINT_CHAIN ? t->count - k0 : FC_POINT_CHAIN;
        FC_VEC acc[M][FC_POINT_VECTORS], acc2[M][FC_POINT_VECTORS], s[M][FC_POINT_VECTORS];
#pragma GCC unroll 6
        for (int i = 0; i < M; i++)
#pragma GCC unroll 4
            for (int j = 0; j < v; j++) {
                acc[i][j] = acc2[i][j] = (FC_VEC){0};
                s[i][j] = careful ? *(const FC_VEC *)(scale + i * width + (at + j) * FC_LANES) : (FC_VEC){0};
            }
        for (ptrdiff_t k = 0; k < n; k += stride) {
            FC_VEC bv[FC_POINT_VECTORS], b2[FC_POINT_VECTORS], wv = FC_N(splat)(1);
#pragma GCC unroll 4
            for (int j = 0; j < v; j++) {
                bv[j] = *(const FC_VEC *)(b + j * FC_LANES);
                b2[j] = stride == 2 ? *(const FC_VEC *)(b + width + j * FC_LANES) : bv[j];
            }
            if (weighted)
                wv = FC_N(splat)(w[k0 + k]);
            if (v > 1) /* panels longer than the first-level cache holds */
                for (int j = 0; j < v * FC_VEC_BYTES; j += 64)
                    __builtin_prefetch((const char *)(b + 12 * width) + j, 0, 3);
#pragma GCC unroll 6
            for (int i = 0; i < M; i++) {
                const FC_VEC av = FC_N(splat)(a[i]), a2 = stride == 2 ? FC_N(splat)(a[M + i]) : av;
#pragma GCC unroll 4
                for (int j = 0; j < v; j++)
                    FC_N(step)(metric, weighted, careful, av, bv[j], wv, a2, b2[j], s[i][j], p, &acc[i][j], &acc2[i][j]);
            }
            a += stride * M;
            b += stride * width;
        }
#pragma GCC unroll 6
        for (int i = 0; i < M; i++)
#pragma GCC unroll 4
            for (int j = 0; j < v; j++) {
                FC_VEC *into = (FC_VEC *)(c + i * width + j * FC_LANES), *into2 = (FC_VEC *)(c2 + i * width + j * FC_LANES);
                if (first)
                    *into = acc[i][j];
                else if (metric == FC_CHEBYSHEV)
                    *into = FC_N(pick)((FC_IVEC)(*into != *into), *into, FC_N(max)(*into, acc[i][j]));
                else if (metric == FC_BITS)
                    *into = (FC_VEC)((FC_IVEC)*into + (FC_IVEC)acc[i][j]);
                else
                    *into += acc[i][j];
                if (two && first)
                    *into2 = acc2[i][j];
                else if (two)
                    *into2 += acc2[i][j];
            }
        first = 0;
    }
}

#define FC_SUMS(metric, weighted, v)                                                             \
    if (t->vectors % (v) == 0)                                                                   \
        for (int at = 0; at < t->vectors; at += (v))                                             \
            FC_N(sums)(metric, weighted, 0, v, t, at, NULL, p, c, c2);                           \
    else                                                                                         \
        for (int at = 0; at < t->vectors; at++)                                                  \
            FC_N(sums)(metric, weighted, 0, 1, t, at, NULL, p, c, c2);
#define FC_CASE(metric, v)                                                                       \
    case metric:                                                                                 \
        if (t->w) {                                                                              \
            FC_SUMS(metric, 1, v)                                                                \
        } else {                                                                                 \
            FC_SUMS(metric, 0, v)                                                                \
        }                                                                                        \
        return;

static void FC_N(fast_sums)(const fc_pairs *t, const FC_T *p, FC_T *c, FC_T *c2)
{
    enum { V = FC_POINT_VECTORS };
    switch (t->metric) {
        FC_CASE(FC_SQUARE, V) FC_CASE(FC_CITYBLOCK, V) FC_CASE(FC_CHEBYSHEV, V) FC_CASE(FC_CUBE, V) FC_CASE(FC_QUARTIC, V)
        FC_CASE(FC_BRAYCURTIS, V / 2) FC_CASE(FC_HAMMING, V / 2) FC_CASE(FC_CANBERRA, V / 2) FC_CASE(FC_DICE, 1)
        FC_CASE(FC_SPLIT, 1) FC_CASE(FC_HALVES, 1) FC_CASE(FC_POWER, 1)
    case FC_DOT: FC_SUMS(FC_DOT, 0, V) return;
    case FC_JENSEN: FC_SUMS(FC_JENSEN, 0, 1) return;
    default: FC_SUMS(FC_BITS, 0, V / 2) return;
    }
}

#undef FC_SUMS
#undef FC_CASE

#define FC_CASE(metric)                                                                          \
    case metric:                                                                                 \
        if (t->w)                                                                                \
            for (int at = 0; at < t->vectors; at++)                                              \
                FC_N(sums)(metric, 1, 1, 1, t, at, scale, p, c, c2);                             \
        else                                                                                     \
            for (int at = 0; at < t->vectors; at++)                                              \
                FC_N(sums)(metric, 0, 1, 1, t, at, scale, p, c, c2);                             \
        return;

static void FC_N(careful_sums)(int metric, const fc_pairs *t, const FC_T *scale, const FC_T *p, FC_T *c, FC_T *c2)
{
    switch (metric) {
        FC_CASE(FC_SQUARE) FC_CASE(FC_CHEBYSHEV) FC_CASE(FC_CANBERRA) FC_CASE(FC_CUBE) FC_CASE(FC_QUARTIC)
        FC_CASE(FC_HALVES) FC_CASE(FC_POWER) FC_CASE(FC_JENSEN)
    }
}

#undef FC_CASE

/* ---- finishing ---- */

/* high + low = x, high with half the bits. */
FC_INLINE void FC_N(halve)(double x, double rest, FC_T *high, FC_T *low)
{
    union { double d; uint64_t u; } v = {.d = x};
    v.u &= sizeof(FC_T) == 4 ? ~(uint64_t)0 << 40 : ~(uint64_t)0 << 27;
    *high = (FC_T)v.d;
    *low = (FC_T)(x - v.d + rest);
}

FC_INLINE FC_VEC FC_N(finish_bits)(const int finish, FC_VEC tt, FC_VEC tf, FC_VEC ft, FC_VEC n)
{
    const FC_VEC differ = tf + ft;
    switch (finish) {
    case FC_HAMMING_BITS: return FC_N(quotient)(differ, n);
    case FC_JACCARD: {
        const FC_VEC some = tt + differ;
        return FC_N(quotient)(differ, FC_N(pick)((FC_IVEC)(some == 0), FC_N(splat)(1), some));
    }
    case FC_DICE_BITS: return FC_N(quotient)(differ, tt + tt + differ);
    case FC_ROGERSTANIMOTO: return FC_N(quotient)(differ + differ, n + differ);
    case FC_RUSSELLRAO: return FC_N(quotient)(n - tt, n);
    case FC_SOKALSNEATH: return FC_N(quotient)(differ + differ, tt + (differ + differ));
    default: {
        const FC_VEC mixed = tf * ft, den = tt * ((n - tt) - differ) + mixed;
        const FC_VEC ratio = FC_N(quotient)(mixed + mixed, FC_N(pick)((FC_IVEC)(mixed == 0), FC_N(splat)(1), den));
        return FC_N(masked)(ratio, (FC_IVEC)(mixed != 0));
    }
    }
}

FC_INLINE FC_VEC FC_N(finish_vector)(const int finish, const int exact, const fc_pairs *t, FC_VEC c, FC_VEC c2, FC_VEC s, FC_VEC u,
                                     const FC_T *root)
{
    const FC_VEC n = FC_N(splat)((FC_T)t->n);
    switch (finish) {
    case FC_AS_IS: return c;
    case FC_ROOT:
        if (exact)
            return FC_N(sqrt)(c);
        return FC_N(root)(c);
    case FC_PTH_ROOT: return FC_N(power)(c, root[0], root[1]);
    case FC_RATIO: return c / c2;
    case FC_SHARE: return c / n + (s + u);
    case FC_COSINE: {
        const FC_VEC half = c * (FC_T)0.5;
        return FC_N(pick)((FC_IVEC)(half > 2), FC_N(splat)(2), half) + (s + u);
    }
    case FC_ENTROPY: return FC_N(sqrt)(FC_N(pick)((FC_IVEC)(c < 0), FC_N(splat)(0), c) * (FC_T)0.34657359027997264) + (s + u);
    case FC_DICE_RATIO: return c / (c2 + c2 + c);
    default: break;
    }
    FC_VEC tt, tf, ft;
    if (t->metric == FC_BITS) {
        const FC_T magic = sizeof(FC_T) == 4 ? (FC_T)0x1p23 : (FC_T)0x1p52;
        const FC_INT magic_bits = (FC_INT)(FC_N(BIAS) + FC_N(MANTISSA)) << FC_N(MANTISSA);
        tt = (FC_VEC)((FC_IVEC)c | magic_bits) - magic;
        tf = s - tt;
        ft = u - tt;
    } else {
        tf = c;
        ft = c2;
        tt = FC_N(max)(((s - tf) + (u - ft)) * (FC_T)0.5, FC_N(splat)(0));
    }
    return FC_N(finish_bits)(finish, tt, tf, ft, n);
}

FC_INLINE void FC_N(finish_tile)(const int finish, const int exact, const fc_pairs *t, const FC_T *root, const FC_T *c, const FC_T *c2)
{
    const ptrdiff_t width = t->vectors * FC_LANES;
    for (int i = 0; i < t->rows; i++) {
        const FC_VEC s = FC_N(splat)(((const FC_T *)t->a_stats)[i]);
        FC_T *dst = (FC_T *)t->dst + i * t->dst_step;
        for (ptrdiff_t j = 0; j < width; j += FC_LANES)
            *(FC_VEC *)(dst + j) = FC_N(finish_vector)(finish, exact, t, *(const FC_VEC *)(c + i * width + j),
                                                       *(const FC_VEC *)(c2 + i * width + j), s,
                                                       *(const FC_VEC *)((const FC_T *)t->b_stats + j), root);
    }
}

#define FC_CASE(finish) case finish: FC_N(finish_tile)(finish, 0, t, root, c, c2); return;

static void FC_N(finish)(const fc_pairs *t, const FC_T *root, const FC_T *c, const FC_T *c2)
{
    if (t->finish == FC_ROOT && !(t->first && t->last)) {
        FC_N(finish_tile)(FC_ROOT, 1, t, root, c, c2);
        return;
    }
    switch (t->finish) {
        FC_CASE(FC_AS_IS) FC_CASE(FC_ROOT) FC_CASE(FC_PTH_ROOT) FC_CASE(FC_RATIO) FC_CASE(FC_SHARE) FC_CASE(FC_COSINE)
        FC_CASE(FC_ENTROPY) FC_CASE(FC_DICE_RATIO) FC_CASE(FC_HAMMING_BITS) FC_CASE(FC_JACCARD) FC_CASE(FC_DICE_BITS)
        FC_CASE(FC_ROGERSTANIMOTO) FC_CASE(FC_RUSSELLRAO) FC_CASE(FC_SOKALSNEATH) FC_CASE(FC_YULE)
    }
}

#undef FC_CASE

/* Whether a lane of the tile needs the careful body: sums outside low..high, or (unless `by_sum`) NaN statistics. */
FC_INLINE int FC_N(doubtful)(const fc_pairs *t, const FC_T *c, int by_sum, FC_T low, FC_T high)
{
    const ptrdiff_t width = t->vectors * FC_LANES;
    FC_IVEC found = {0};
    for (int i = 0; i < t->rows; i++) {
        const FC_VEC s = FC_N(splat)(((const FC_T *)t->a_stats)[i]);
        for (ptrdiff_t j = 0; j < width; j += FC_LANES) {
            const FC_VEC x = *(const FC_VEC *)(c + i * width + j), u = *(const FC_VEC *)((const FC_T *)t->b_stats + j) + s;
            if (by_sum)
                found |= (FC_IVEC)(x < low) | (FC_IVEC)(x > high);
            else
                found |= (FC_IVEC)(u != u);
        }
    }
    return FC_N(any)(found);
}

static void FC_N(pairs)(const fc_pairs *t)
{
    enum { TILE = FC_POINT_ROWS * FC_POINT_VECTORS * FC_VEC_BYTES / sizeof(FC_T) };
    FC_T again[TILE] __attribute__((aligned(64))), scale[TILE] __attribute__((aligned(64)));
    FC_T *c = t->c, *c2 = t->c2, p[3] = {0}, root[2] = {0};
    const ptrdiff_t size = FC_POINT_ROWS * t->vectors * FC_LANES;
    if (t->metric == FC_HALVES || t->metric == FC_POWER) {
        FC_N(halve)(t->p, 0, &p[0], &p[1]);
        p[2] = (FC_T)(t->metric == FC_HALVES ? t->p - 0.5 : 0);
    }
    /* The careful bodies start again, so sums in several ranges of k take them at once where they may be needed. */
    const int whole = t->first && t->last;
    if (!whole && (t->metric == FC_CHEBYSHEV || t->metric == FC_CANBERRA || t->metric == FC_JENSEN))
        FC_N(careful_sums)(t->metric, t, c, p, c, c2);
    else
        FC_N(fast_sums)(t, p, c, c2);
    if (!t->last)
        return;
    if (t->finish == FC_PTH_ROOT) {
        const double inverse = 1 / t->p;
        FC_N(halve)(inverse, (1 - inverse * t->p) / t->p, &root[0], &root[1]);
    }
    if (whole && (t->metric == FC_CHEBYSHEV || t->metric == FC_CANBERRA)) {
        if (FC_N(doubtful)(t, c, 0, 0, 0)) {
            const ptrdiff_t width = t->vectors * FC_LANES;
            FC_N(careful_sums)(t->metric, t, c, p, again, c2);
            for (ptrdiff_t j = 0; j < size; j++) {
                const FC_T stat = ((const FC_T *)t->a_stats)[j / width] + ((const FC_T *)t->b_stats)[j % width];
                c[j] = stat == stat ? c[j] : again[j];
            }
        }
        FC_N(finish)(t, root, c, c2);
        return;
    }
    if (whole && t->metric == FC_JENSEN) {
        const FC_T near = (FC_T)0.1;
        if (FC_N(doubtful)(t, c, 1, near, (FC_T)8)) {
            FC_N(careful_sums)(FC_JENSEN, t, c, p, again, c2);
            for (ptrdiff_t j = 0; j < size; j++)
                c[j] = c[j] < near ? again[j] : c[j];
        }
        FC_N(finish)(t, root, c, c2);
        return;
    }
    const int powers = t->metric == FC_HALVES || t->metric == FC_POWER || t->metric == FC_CUBE || t->metric == FC_QUARTIC;
    const FC_T low = sizeof(FC_T) == 4 ? (powers ? (FC_T)0x1p-30 : (FC_T)0x1p-90) : powers ? (FC_T)0x1p-100 : (FC_T)0x1p-900;
    const FC_T high = 1 / low;
    FC_N(finish)(t, root, c, c2);
    if (!whole || (t->finish != FC_ROOT && t->finish != FC_PTH_ROOT) || !FC_N(doubtful)(t, c, 1, low, high))
        return;
    /* Again with differences scaled by a power of 2 near their largest, pair by pair. */
    FC_N(careful_sums)(FC_CHEBYSHEV, t, c, p, scale, c2);
    const FC_INT most = 2 * (FC_INT)FC_N(BIAS);
    for (ptrdiff_t j = 0; j < size; j++) {
        FC_INT bits;
        memcpy(&bits, scale + j, sizeof bits);
        bits = most - (bits >> FC_N(MANTISSA) & (most + 1));
        bits = (bits < 1 ? 1 : bits) << FC_N(MANTISSA);
        memcpy(scale + j, &bits, sizeof bits);
    }
    FC_N(careful_sums)(t->metric, t, scale, p, again, c2);
    const ptrdiff_t width = t->vectors * FC_LANES;
    for (int i = 0; i < t->rows; i++)
        for (ptrdiff_t j = 0; j < width; j += FC_LANES) {
            FC_VEC *dst = (FC_VEC *)((FC_T *)t->dst + i * t->dst_step + j);
            const FC_VEC sum = *(FC_VEC *)(c + i * width + j), x = *(FC_VEC *)(again + i * width + j);
            const FC_VEC better = FC_N(finish_vector)(t->finish, 1, t, x, x, x, x, root) / *(FC_VEC *)(scale + i * width + j);
            *dst = FC_N(pick)((FC_IVEC)(sum < low) | (FC_IVEC)(sum > high), better, *dst);
        }
}

/* ---- results ---- */

FC_INLINE void FC_N(emit_number)(char *out, FC_T x, int kind)
{
    uint16_t h;
    uint32_t u32;
    uint64_t u64;
    const float f = (float)x;
    const double d = (double)x;
    switch (kind & ~FC_SWAPPED) {
    case FC_F16:
        h = fc_float_to_half(f);
        h = kind & FC_SWAPPED ? __builtin_bswap16(h) : h;
        memcpy(out, &h, 2);
        return;
    case FC_F32:
        memcpy(&u32, &f, 4);
        u32 = kind & FC_SWAPPED ? __builtin_bswap32(u32) : u32;
        memcpy(out, &u32, 4);
        return;
    default:
        memcpy(&u64, &d, 8);
        u64 = kind & FC_SWAPPED ? __builtin_bswap64(u64) : u64;
        memcpy(out, &u64, 8);
    }
}

static void FC_N(stream_row)(FC_T *out, const FC_T *src, ptrdiff_t n)
{
    ptrdiff_t j = 0;
    for (; j < n && (uintptr_t)(out + j) % FC_VEC_BYTES; j++)
        out[j] = src[j];
    for (; j + FC_LANES <= n; j += FC_LANES)
        FC_N(stream)(out + j, FC_N(load)(src + j));
    for (; j < n; j++)
        out[j] = src[j];
}

static void FC_N(emit)(const fc_emit *e)
{
    enum { BLOCK = 32 };
    const ptrdiff_t item = sizeof(FC_T);
    const FC_T *src = e->src;
    const int own = e->kind == FC_N(OWN) && ((uintptr_t)e->out | (uintptr_t)e->out_row | (uintptr_t)e->out_col) % sizeof(FC_T) == 0;
    if (own && e->out_col == item) {
        for (ptrdiff_t r = 0; r < e->rows; r++) {
            FC_T *out = (FC_T *)(e->out + r * e->out_row);
            if (e->stream)
                FC_N(stream_row)(out, src + r * e->src_step, e->columns);
            else
                memcpy(out, src + r * e->src_step, (size_t)(e->columns * item));
        }
        if (e->stream)
            FC_N(stream_end)();
        return;
    }
    for (ptrdiff_t c0 = 0; c0 < e->columns; c0 += BLOCK)
        for (ptrdiff_t r0 = 0; r0 < e->rows; r0 += BLOCK)
            for (ptrdiff_t c = c0; c < c0 + BLOCK && c < e->columns; c++)
                for (ptrdiff_t r = r0; r < r0 + BLOCK && r < e->rows; r++) {
                    char *out = e->out + r * e->out_row + c * e->out_col;
                    if (own)
                        *(FC_T *)out = src[r * e->src_step + c];
                    else
                        FC_N(emit_number)(out, src[r * e->src_step + c], e->kind);
                }
}

/* ---- nearest neighbours ---- */

/* Whether (x, i) comes before (y, j): by distance, NaN last, then by index. */
FC_INLINE int FC_N(before)(FC_T x, ptrdiff_t i, FC_T y, ptrdiff_t j)
{
    if (x < y || (y != y && x == x))
        return 1;
    return (x == y || (x != x && y != y)) && i < j;
}

static void FC_N(sift)(FC_T *x, ptrdiff_t *index, ptrdiff_t n, ptrdiff_t at, FC_T value, ptrdiff_t i)
{
    for (;;) {
        ptrdiff_t child = 2 * at + 1;
        if (child >= n)
            break;
        if (child + 1 < n && FC_N(before)(x[child], index[child], x[child + 1], index[child + 1]))
            child++;
        if (!FC_N(before)(value, i, x[child], index[child]))
            break;
        x[at] = x[child];
        index[at] = index[child];
        at = child;
    }
    x[at] = value;
    index[at] = i;
}

static void FC_N(nearest)(fc_nearest *h, const void *distances, ptrdiff_t count, ptrdiff_t first_index)
{
    const FC_T *d = distances;
    FC_T *x = h->distances;
    ptrdiff_t j = 0;
    for (; j < count && h->held < h->k; j++) {
        x[h->held] = d[j];
        h->indices[h->held++] = first_index + j;
        if (h->held == h->k)
            for (ptrdiff_t at = h->k / 2 - 1; at >= 0; at--)
                FC_N(sift)(x, h->indices, h->k, at, x[at], h->indices[at]);
    }
    while (j < count) {
        if (count - j >= 4 * FC_LANES) {
            const FC_VEC worst = FC_N(splat)(x[0]);
            FC_IVEC near = {0};
            for (int i = 0; i < 4; i++)
                near |= ~(FC_IVEC)(FC_N(load)(d + j + i * FC_LANES) >= worst);
            if (!FC_N(any)(near)) {
                j += 4 * FC_LANES;
                continue;
            }
        }
        const ptrdiff_t end = count - j < 4 * FC_LANES ? count : j + 4 * FC_LANES;
        for (; j < end; j++)
            if (FC_N(before)(d[j], first_index + j, x[0], h->indices[0]))
                FC_N(sift)(x, h->indices, h->k, 0, d[j], first_index + j);
    }
}

static void FC_N(nearest_sort)(fc_nearest *h)
{
    FC_T *x = h->distances;
    for (ptrdiff_t at = h->held / 2 - 1; at >= 0; at--)
        FC_N(sift)(x, h->indices, h->held, at, x[at], h->indices[at]);
    for (ptrdiff_t n = h->held - 1; n > 0; n--) {
        const FC_T value = x[n];
        const ptrdiff_t i = h->indices[n];
        x[n] = x[0];
        h->indices[n] = h->indices[0];
        FC_N(sift)(x, h->indices, n, 0, value, i);
    }
}
