/* Sums over the numbers of the points, for a tile of rows x columns in registers, with the metric's own step (terms.h) in place
 * of tile.h's multiply-accumulate. Next hop: terms.h. */

FC_INLINE FC_T *FC_N(row_of)(const fc_pairs *t, ptrdiff_t i)
{
    return (FC_T *)t->dst + i * t->dst_step - i * (i - 1) / 2 * t->dst_fall;
}

/* Prefetches for writing row i of where the next tile goes: stores wait for lines that are far away. */
FC_INLINE void FC_N(prefetch_row)(const fc_pairs *t, const int vectors, ptrdiff_t i)
{
    const char *next = (const char *)FC_N(row_of)(t, FC_POINT_ROWS + i);
#pragma GCC unroll 4
    for (int j = 0; j < vectors * FC_VEC_BYTES; j += 64)
        __builtin_prefetch(next + j, 1, 3);
}

/* Whether sums are in two words, the second what rounding took from the first. */
FC_INLINE int FC_N(is_long)(const fc_pairs *t)
{
    return !t->first || !t->last || t->count > FC_POINT_CHAINS * FC_POINT_CHAIN;
}

/* Adds the sums of a group to c; what rounding takes from it lies `lost` numbers on. */
static __attribute__((noinline)) void FC_N(add_group)(FC_T *c, ptrdiff_t lost, ptrdiff_t width, const FC_T *group, int v)
{
    for (int i = 0; i < FC_POINT_ROWS; i++)
        for (int j = 0; j < v; j++) {
            FC_VEC *into = (FC_VEC *)(c + i * width + j * FC_LANES), *rest = (FC_VEC *)((FC_T *)into + lost);
            const FC_VEC x = *(const FC_VEC *)(group + (i * FC_POINT_VECTORS + j) * FC_LANES);
            const FC_VEC sum = *into + x, part = sum - *into;
            *rest += (*into - (sum - part)) + (x - part);
            *into = sum;
        }
}

/* c in one word; infinite sums have lost nothing. */
static void FC_N(settle)(const fc_pairs *t, FC_T *c)
{
    const ptrdiff_t size = FC_POINT_ROWS * t->vectors * FC_LANES;
    for (ptrdiff_t j = 0; j < size; j += FC_LANES) {
        const FC_VEC rest = FC_N(load)(c + j + t->lost);
        *(FC_VEC *)(c + j) += FC_N(masked)(rest, (FC_IVEC)(rest - rest == 0));
    }
}

/* Adds the sums of a chain to c (and acc2 to c2, where a metric has two), rows `step` numbers apart; a chain that begins them is
 * what they are, and has lost nothing. */
FC_INLINE void FC_N(add_chain)(const int metric, const int two, const int v, FC_VEC (*acc)[FC_POINT_VECTORS],
                               FC_VEC (*acc2)[FC_POINT_VECTORS], FC_T *c, FC_T *c2, ptrdiff_t step, const int begins,
                               const int longer, ptrdiff_t lost)
{
#pragma GCC unroll 6
    for (int i = 0; i < FC_POINT_ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < v; j++) {
            FC_VEC *into = (FC_VEC *)(c + i * step + j * FC_LANES), *into2 = (FC_VEC *)(c2 + i * step + j * FC_LANES);
            if (begins)
                *into = acc[i][j];
            else if (metric == FC_CHEBYSHEV)
                *into = FC_N(pick)((FC_IVEC)(*into != *into), *into, FC_N(max)(*into, acc[i][j]));
            else if (metric == FC_BITS)
                *into = (FC_VEC)((FC_IVEC)*into + (FC_IVEC)acc[i][j]);
            else
                *into += acc[i][j];
            if (two && begins)
                *into2 = acc2[i][j];
            else if (two)
                *into2 += acc2[i][j];
            if (longer && begins) {
                *(FC_VEC *)((FC_T *)into + lost) = (FC_VEC){0};
                if (two)
                    *(FC_VEC *)((FC_T *)into2 + lost) = (FC_VEC){0};
            }
        }
}

/* Chains of FC_POINT_CHAIN terms in registers, added in groups, and these in c (and c2): v vectors of columns from vector `at` of
 * `vectors`. `careful` is 2 for numbers in two words, and 3 for those beside which mapped ones stand, where the metric itself
 * does not say so. */
FC_INLINE void FC_N(sums)(const int metric, const int weighted, const int careful, const int v, const fc_pairs *t, int at,
                          const int vectors, const FC_T *scale, const FC_T *p, FC_T *c, FC_T *c2)
{
    enum { M = FC_POINT_ROWS };
    const int two = (metric == FC_BRAYCURTIS && careful) || metric == FC_DICE || metric == FC_DISCORDANT
                    || metric == FC_CONCORDANT;
    const int stride = FC_N(stride_of)(metric, careful), chain = stride == 3 ? FC_FORM_CHAIN : FC_POINT_CHAIN;
    const int whole = FC_POINT_CHAINS * chain;
    const int shared = metric == FC_CANBERRA && !careful;
    const int group = stride * (weighted ? 1 : sizeof(FC_T) == 8 ? FC_RATIO_GROUP : 2);
    const ptrdiff_t width = vectors * FC_LANES;
    const int packed = FC_N(prepared)(metric), grouped = metric != FC_CHEBYSHEV && metric != FC_BITS;
    const int longer = grouped && FC_N(is_long)(t);
    const int each = FC_PREFETCH_TERMS * stride; /* rows are prefetched one by one: all at once would wait for each other */
    const ptrdiff_t prefetched = FC_PREFETCHES && !careful && vectors == FC_POINT_VECTORS && at == 0 ? each * t->rows : 0;
    const ptrdiff_t row = packed ? 1 : t->a_row, step = packed ? FC_POINT_ROWS : t->a_col;
    ptrdiff_t row3 = 3 * row, row5 = 5 * row;
    const FC_T *a = t->a, *b = (const FC_T *)t->b + at * FC_LANES, *w = t->w;
    FC_T group_sums[2][M * FC_POINT_VECTORS * FC_LANES] __attribute__((aligned(64)));
    if (!packed) /* opaque, so that each row is a base register plus an index */
        __asm__("" : "+r"(row3), "+r"(row5));
    const ptrdiff_t rows[M] = {0, row, 2 * row, row3, 4 * row, row5};
    c += at * FC_LANES;
    c2 += at * FC_LANES;
    for (ptrdiff_t k0 = 0; k0 < t->count || (k0 == 0 && t->first); k0 += chain) {
        const ptrdiff_t n = t->count - k0 < chain ? t->count - k0 : chain;
        FC_VEC acc[M][FC_POINT_VECTORS], acc2[M][FC_POINT_VECTORS], s[M][FC_POINT_VECTORS];
#pragma GCC unroll 6
        for (int i = 0; i < M; i++)
#pragma GCC unroll 4
            for (int j = 0; j < v; j++) {
                acc[i][j] = acc2[i][j] = (FC_VEC){0};
                s[i][j] = careful ? *(const FC_VEC *)(scale + i * width + (at + j) * FC_LANES) : (FC_VEC){0};
            }
        for (ptrdiff_t k = 0; k < n && shared; k += group, a += group * step, b += group * width) {
            const FC_VEC wv = FC_N(splat)(weighted ? w[(k0 + k) / stride] : 1);
            if (n - k >= group)
                FC_N(ratios)(group, v, a, b, width, wv, acc);
            else
                FC_N(ratios)(n - k, v, a, b, width, wv, acc);
        }
        for (ptrdiff_t k = 0; k < n && !shared; k += stride, a += stride * step) {
            FC_VEC bv[FC_POINT_VECTORS], b2[FC_POINT_VECTORS], b3[FC_POINT_VECTORS], wv = FC_N(splat)(1);
#pragma GCC unroll 4
            for (int j = 0; j < v; j++) {
                bv[j] = *(const FC_VEC *)(b + j * FC_LANES);
                b2[j] = stride > 1 ? *(const FC_VEC *)(b + width + j * FC_LANES) : bv[j];
                b3[j] = stride > 2 ? *(const FC_VEC *)(b + 2 * width + j * FC_LANES) : bv[j];
            }
            if (weighted)
                wv = FC_N(splat)(w[(k0 + k) / stride]);
            if (k % each == 0 && k0 + k < prefetched)
                FC_N(prefetch_row)(t, FC_POINT_VECTORS, (k0 + k) / each);
            if (v > 1) /* panels longer than the first-level cache holds */
                for (int j = 0; j < v * FC_VEC_BYTES; j += 64)
                    __builtin_prefetch((const char *)(b + 12 * width) + j, 0, 3);
#pragma GCC unroll 6
            for (int i = 0; i < M; i++) {
                const FC_VEC av = FC_N(splat)(a[rows[i]]), a2 = stride > 1 ? FC_N(splat)(a[rows[i] + step]) : av;
                const FC_VEC a3 = stride > 2 ? FC_N(splat)(a[rows[i] + 2 * step]) : av;
#pragma GCC unroll 4
                for (int j = 0; j < v; j++)
                    FC_N(step)(metric, weighted, careful, av, bv[j], wv, a2, b2[j], a3, b3[j], s[i][j], p, &acc[i][j],
                               &acc2[i][j]);
            }
            b += stride * width;
        }
        /* The first group is added where it belongs. */
        const int straight = !grouped || (t->first && k0 < whole), begins = straight ? t->first && k0 == 0 : k0 % whole == 0;
        const ptrdiff_t next = straight ? width : FC_POINT_VECTORS * FC_LANES;
        FC_T *sum = straight ? c : group_sums[0], *sum2 = straight ? c2 : group_sums[1];
        FC_N(add_chain)(metric, two, v, acc, acc2, sum, sum2, next, begins, longer && straight, t->lost);
        if (!straight && (k0 + chain >= t->count || (k0 + chain) % whole == 0)) {
            FC_N(add_group)(c, t->lost, width, group_sums[0], v);
            if (two)
                FC_N(add_group)(c2, t->lost, width, group_sums[1], v);
        }
    }
}

/* All columns of a tile, v vectors at a time; narrower tiles with what they have at once, where v allows. */
FC_INLINE void FC_N(columns)(const int metric, const int weighted, const int v, const fc_pairs *t, const FC_T *p, FC_T *c,
                             FC_T *c2)
{
    enum { V = FC_POINT_VECTORS, THREE = V > 2 ? 3 : V };
    const int vectors = t->vectors;
    if (vectors == V)
        for (int at = 0; at < V; at += v)
            FC_N(sums)(metric, weighted, 0, v, t, at, V, NULL, p, c, c2);
    else if (v > 2 && vectors == 3)
        FC_N(sums)(metric, weighted, 0, THREE, t, 0, THREE, NULL, p, c, c2);
    else if (v > 1 && vectors == 2)
        FC_N(sums)(metric, weighted, 0, 2, t, 0, 2, NULL, p, c, c2);
    else
        for (int at = 0; at < vectors; at++)
            FC_N(sums)(metric, weighted, 0, 1, t, at, vectors, NULL, p, c, c2);
}

#define FC_CASE(metric, v)                                                                       \
    case metric:                                                                                 \
        if (t->w)                                                                                \
            FC_N(columns)(metric, 1, v, t, p, c, c2);                                            \
        else                                                                                     \
            FC_N(columns)(metric, 0, v, t, p, c, c2);                                            \
        return;

static void FC_N(fast_sums)(int metric, const fc_pairs *t, const FC_T *p, FC_T *c, FC_T *c2)
{
    /* Two vectors are as fast as four where a term has four operations or a column no sum beside its largest: less code. */
    enum { V = FC_POINT_VECTORS, TWO = V > 2 ? 2 : V };
    switch (metric) {
        FC_CASE(FC_SQUARE, V) FC_CASE(FC_CITYBLOCK, V) FC_CASE(FC_CHEBYSHEV, TWO) FC_CASE(FC_CUBE, V) FC_CASE(FC_QUARTIC, TWO)
        FC_CASE(FC_BRAYCURTIS, V) FC_CASE(FC_HAMMING, V / 2) FC_CASE(FC_CANBERRA, 1) FC_CASE(FC_DICE, 1)
        FC_CASE(FC_DISCORDANT, 1) FC_CASE(FC_CONCORDANT, 1) FC_CASE(FC_POWER, 1)
    case FC_HALVES: {
        const FC_T half[3] = {0}, half3[3] = {0, 0, 1}, half5[3] = {0, 0, 2}; /* constants: no branches between the terms */
        if (p[2] == 0 && !t->w)
            FC_N(columns)(FC_HALVES, 0, 1, t, half, c, c2);
        else if (p[2] == 1 && !t->w)
            FC_N(columns)(FC_HALVES, 0, 1, t, half3, c, c2);
        else if (p[2] == 2 && !t->w)
            FC_N(columns)(FC_HALVES, 0, 1, t, half5, c, c2);
        else if (!t->w)
            FC_N(columns)(FC_HALVES, 0, 1, t, p, c, c2);
        else
            FC_N(columns)(FC_HALVES, 1, 1, t, p, c, c2);
        return;
    }
    case FC_WORDS: FC_N(columns)(FC_WORDS, 0, V / 2, t, p, c, c2); return;
    case FC_FORM: FC_N(columns)(FC_FORM, 0, V / 2, t, p, c, c2); return;
    case FC_PRODUCT: FC_N(columns)(FC_PRODUCT, 0, V, t, p, c, c2); return;
    case FC_JENSEN: FC_N(columns)(FC_JENSEN, 0, 1, t, p, c, c2); return;
    default: FC_N(columns)(FC_BITS, 0, V / 2, t, p, c, c2); return;
    }
}

#undef FC_CASE

#define FC_SUMS(metric, careful)                                                                 \
    if (t->w)                                                                                    \
        for (int at = 0; at < t->vectors; at++)                                                  \
            FC_N(sums)(metric, 1, careful, 1, t, at, t->vectors, scale, p, c, c2);               \
    else                                                                                         \
        for (int at = 0; at < t->vectors; at++)                                                  \
            FC_N(sums)(metric, 0, careful, 1, t, at, t->vectors, scale, p, c, c2);
#define FC_CASE(metric) case metric: FC_SUMS(metric, 1) return;

static void FC_N(careful_sums)(int metric, const fc_pairs *t, const FC_T *scale, const FC_T *p, FC_T *c, FC_T *c2)
{
    if (metric == FC_CHEBYSHEV && t->metric == FC_WORDS) {
        FC_SUMS(FC_CHEBYSHEV, 2)
        return;
    }
    if (metric == FC_CHEBYSHEV && t->metric == FC_FORM) {
        FC_SUMS(FC_CHEBYSHEV, 3)
        return;
    }
    switch (metric) {
        FC_CASE(FC_SQUARE) FC_CASE(FC_WORDS) FC_CASE(FC_FORM) FC_CASE(FC_CHEBYSHEV) FC_CASE(FC_CANBERRA) FC_CASE(FC_BRAYCURTIS)
        FC_CASE(FC_CUBE) FC_CASE(FC_QUARTIC) FC_CASE(FC_HALVES) FC_CASE(FC_POWER) FC_CASE(FC_JENSEN)
    }
}

#undef FC_SUMS
#undef FC_CASE
