/* Distances between all pairs of two sets of points, a tile of rows x columns at a time.
 *
 * `points` (prepare_rows.h) prepares rows and packs them as a[k][6] or b[k][v * lanes]; `pairs` sums over k with the metric's own step in
 * place of tile.h's multiply-accumulate, 6 rows x v vectors of columns in registers, and finishes the sums; `emit` and
 * `nearest` take the result to the output. Differences are formed before anything is squared or multiplied, so that
 * translation costs no accuracy. Counts, for one vector of pairs and one k: square 2 operations (subtract, FMA),
 * words 4, form 5, product 1, chebyshev 2 (3 without AVX-512), cityblock and braycurtis 3, canberra 7, halves 15, power 38, jensen 24.
 *
 * Sums outside the safe range of their metric are formed again, lane by lane, by a careful body: the choice depends on
 * the pair alone, so the bits of a result do not depend on its neighbours.
 */

#include "distance/table.h"
#include "base/simd.h"
#include "base/elements.h"
#include "distance/powers.h"
#include "distance/prepare_rows.h"

#ifndef FC_DISTANCE_ONCE
#define FC_DISTANCE_ONCE

enum {
    FC_POINT_VECTORS = FC_REGISTERS == 32 ? 4 : 2,
    FC_FETCHES = FC_REGISTERS == 32, /* next rows are fetched between the terms: it takes registers */
    FC_FETCH_TERMS = 4,              /* one for so many of them */
    FC_FORM_CHAIN = 36,              /* as FC_POINT_CHAIN, of numbers three by three */
    FC_POINT_CHAINS = 16,            /* are added as they are, a group; groups are added without a loss */
    FC_RATIO_GROUP = 8 /* terms of canberra that share a division: a / b + c / d = (a d + c b) / (b d); 2 of float32 */
};

#endif

/* ---- sums over k ---- */

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
           || metric == FC_BITS || metric == FC_SPLIT || metric == FC_SAME;
}

FC_INLINE void FC_N(step)(const int metric, const int weighted, const int careful, FC_VEC a, FC_VEC b, FC_VEC w,
                          FC_VEC a2, FC_VEC b2, FC_VEC a3, FC_VEC b3, FC_VEC scale, const FC_T *p, FC_VEC *acc, FC_VEC *acc2)
{
    const int scales = careful && metric != FC_CHEBYSHEV && metric != FC_CANBERRA && metric != FC_JENSEN && metric != FC_BRAYCURTIS;
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
    case FC_CANBERRA: {
        const FC_VEC sum = FC_N(abs)(a) + FC_N(abs)(b), ratio = size / FC_N(pick)((FC_IVEC)(sum == 0), FC_N(splat)(1), sum);
        *acc += FC_N(times)(weighted, w, ratio);
        return;
    }
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
        /* Infinity and 0 have no root here, but for the root itself. The other powers of so large a size are infinite anyway, those
         * of so small a one 0; below `least` remainders are denormal, which is slow. */
        const FC_VEC most = FC_N(splat)(sizeof(FC_T) == 4 ? (FC_T)0x1p100 : (FC_T)0x1p1000);
        const FC_VEC least = FC_N(splat)(sizeof(FC_T) == 4 ? (FC_T)0x1p-90 : (FC_T)0x1p-900);
        const FC_VEC x = FC_N(min)(most, FC_N(max_size)(least, t));
        FC_VEC y = p[2] == 0 ? FC_N(sqrt)(size) : FC_N(root_of)(x, x);
        if (p[2] >= 4)
            y *= square * square;
        if ((int)p[2] & 2)
            y *= square;
        if ((int)p[2] & 1)
            y *= size;
        FC_KEEP(y); /* compilers fuse a product with the sum, and would in some rows of a tile only */
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
            FC_N(log2_parts)(FC_N(max)(FC_N(splat)((FC_T)1e-30), sum), &e, &f);
            *acc += (a2 + b2) - sum * (e + f);
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
    case FC_SAME:
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

FC_INLINE FC_T *FC_N(row_of)(const fc_pairs *t, ptrdiff_t i)
{
    return (FC_T *)t->dst + i * t->dst_step - i * (i - 1) / 2 * t->dst_fall;
}

/* Claims row i of where the next tile goes: stores wait for lines that are far away. */
FC_INLINE void FC_N(fetch_row)(const fc_pairs *t, const int vectors, ptrdiff_t i)
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
            const FC_VEC x = *(const FC_VEC *)(group + (i * FC_POINT_VECTORS + j) * FC_LANES), sum = *into + x, part = sum - *into;
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

/* `careful` is 2 for numbers in two words, and 3 for those beside which mapped ones stand, where the metric itself does not say so.
 * Chains of FC_POINT_CHAIN terms in registers, added in groups, and these in c (and c2): v vectors of columns from vector
 * `at` of `vectors`. */
FC_INLINE void FC_N(sums)(const int metric, const int weighted, const int careful, const int v, const fc_pairs *t, int at,
                          const int vectors, const FC_T *scale, const FC_T *p, FC_T *c, FC_T *c2)
{
    enum { M = FC_POINT_ROWS };
    const int two = (metric == FC_BRAYCURTIS && careful) || metric == FC_DICE || metric == FC_SPLIT || metric == FC_SAME;
    const int stride = FC_N(stride_of)(metric, careful), chain = stride == 3 ? FC_FORM_CHAIN : FC_POINT_CHAIN, whole = FC_POINT_CHAINS * chain;
    const int shared = metric == FC_CANBERRA && !careful;
    const int group = stride * (weighted ? 1 : sizeof(FC_T) == 8 ? FC_RATIO_GROUP : 2);
    const ptrdiff_t width = vectors * FC_LANES;
    const int packed = FC_N(prepared)(metric), grouped = metric != FC_CHEBYSHEV && metric != FC_BITS, longer = grouped && FC_N(is_long)(t);
    const int each = FC_FETCH_TERMS * stride; /* rows are fetched one by one: all at once would wait for each other */
    const ptrdiff_t fetches = FC_FETCHES && !careful && vectors == FC_POINT_VECTORS && at == 0 ? each * t->rows : 0;
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
            if (k % each == 0 && k0 + k < fetches)
                FC_N(fetch_row)(t, FC_POINT_VECTORS, (k0 + k) / each);
            if (v > 1) /* panels longer than the first-level cache holds */
                for (int j = 0; j < v * FC_VEC_BYTES; j += 64)
                    __builtin_prefetch((const char *)(b + 12 * width) + j, 0, 3);
#pragma GCC unroll 6
            for (int i = 0; i < M; i++) {
                const FC_VEC av = FC_N(splat)(a[rows[i]]), a2 = stride > 1 ? FC_N(splat)(a[rows[i] + step]) : av;
                const FC_VEC a3 = stride > 2 ? FC_N(splat)(a[rows[i] + 2 * step]) : av;
#pragma GCC unroll 4
                for (int j = 0; j < v; j++)
                    FC_N(step)(metric, weighted, careful, av, bv[j], wv, a2, b2[j], a3, b3[j], s[i][j], p, &acc[i][j], &acc2[i][j]);
            }
            b += stride * width;
        }
        /* The first group is added where it belongs. */
        const int straight = !grouped || (t->first && k0 < whole), begins = straight ? t->first && k0 == 0 : k0 % whole == 0;
        const ptrdiff_t next = straight ? width : FC_POINT_VECTORS * FC_LANES;
        FC_T *sum = straight ? c : group_sums[0], *sum2 = straight ? c2 : group_sums[1];
#pragma GCC unroll 6
        for (int i = 0; i < M; i++)
#pragma GCC unroll 4
            for (int j = 0; j < v; j++) {
                FC_VEC *into = (FC_VEC *)(sum + i * next + j * FC_LANES), *into2 = (FC_VEC *)(sum2 + i * next + j * FC_LANES);
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
                if (longer && straight && begins) {
                    *(FC_VEC *)((FC_T *)into + t->lost) = (FC_VEC){0};
                    if (two)
                        *(FC_VEC *)((FC_T *)into2 + t->lost) = (FC_VEC){0};
                }
            }
        if (!straight && (k0 + chain >= t->count || (k0 + chain) % whole == 0)) {
            FC_N(add_group)(c, t->lost, width, group_sums[0], v);
            if (two)
                FC_N(add_group)(c2, t->lost, width, group_sums[1], v);
        }
    }
}

/* All columns of a tile, v vectors at a time; narrower tiles with what they have at once, where v allows. */
FC_INLINE void FC_N(columns)(const int metric, const int weighted, const int v, const fc_pairs *t, const FC_T *p, FC_T *c, FC_T *c2)
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
    enum { V = FC_POINT_VECTORS };
    switch (metric) {
        FC_CASE(FC_SQUARE, V) FC_CASE(FC_CITYBLOCK, V) FC_CASE(FC_CHEBYSHEV, V) FC_CASE(FC_CUBE, V) FC_CASE(FC_QUARTIC, V)
        FC_CASE(FC_BRAYCURTIS, V) FC_CASE(FC_HAMMING, V / 2) FC_CASE(FC_CANBERRA, 1) FC_CASE(FC_DICE, 1)
        FC_CASE(FC_SPLIT, 1) FC_CASE(FC_SAME, 1) FC_CASE(FC_POWER, 1)
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
            FC_N(sums)(metric, 1, careful, 1, t, at, t->vectors, scale, p, c, c2);                           \
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
        FC_CASE(FC_SQUARE) FC_CASE(FC_WORDS) FC_CASE(FC_FORM) FC_CASE(FC_CHEBYSHEV) FC_CASE(FC_CANBERRA) FC_CASE(FC_BRAYCURTIS) FC_CASE(FC_CUBE)
        FC_CASE(FC_QUARTIC) FC_CASE(FC_HALVES) FC_CASE(FC_POWER) FC_CASE(FC_JENSEN)
    }
}

#undef FC_SUMS
#undef FC_CASE

/* ---- finishing ---- */

FC_INLINE FC_VEC FC_N(finish_bits)(const int finish, FC_VEC tt, FC_VEC tf, FC_VEC ft, FC_VEC ff, FC_VEC n)
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
    case FC_RUSSELLRAO: return FC_N(quotient)(differ + ff, n);
    case FC_SOKALSNEATH: return FC_N(quotient)(differ + differ, tt + (differ + differ));
    default: {
        const FC_VEC mixed = tf * ft, den = tt * ff + mixed;
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
    case FC_RATIO: return c / FC_N(pick)((FC_IVEC)(s + u != s + u), c2, s + u);
    case FC_SHARE: return c / n + (s + u);
    case FC_COSINE: {
        const FC_VEC half = c * (FC_T)0.5;
        return FC_N(pick)((FC_IVEC)(half > 2), FC_N(splat)(2), half) + (s + u);
    }
    case FC_ENTROPY: return FC_N(sqrt)(FC_N(pick)((FC_IVEC)(c < 0), FC_N(splat)(0), c) * (FC_T)0.34657359027997264) + (s + u);
    case FC_DICE_RATIO: return c / (c2 + c2 + c);
    default: break;
    }
    FC_VEC tt, tf, ft, ff;
    if (t->metric == FC_BITS) {
        const FC_T magic = sizeof(FC_T) == 4 ? (FC_T)0x1p23 : (FC_T)0x1p52;
        const FC_INT magic_bits = (FC_INT)(FC_N(BIAS) + FC_N(MANTISSA)) << FC_N(MANTISSA);
        tt = (FC_VEC)((FC_IVEC)c | magic_bits) - magic;
        tf = s - tt;
        ft = u - tt;
        ff = n - (s + ft);
    } else {
        tf = c;
        ft = c2;
        tt = s;
        ff = u;
    }
    return FC_N(finish_bits)(finish, tt, tf, ft, ff, n);
}

FC_INLINE void FC_N(finish_tile)(const int finish, const fc_pairs *t, const FC_T *root, const FC_T *c, const FC_T *c2)
{
    const ptrdiff_t width = t->vectors * FC_LANES;
    for (int i = 0; i < t->rows; i++) {
        FC_VEC s = FC_N(splat)(((const FC_T *)t->a_stats)[i]);
        FC_T *dst = FC_N(row_of)(t, i);
        for (ptrdiff_t j = 0; j < width; j += FC_LANES) {
            FC_VEC u = *(const FC_VEC *)((const FC_T *)t->b_stats + j);
            if (t->metric == FC_SPLIT) {
                s = *(const FC_VEC *)((const FC_T *)t->c3 + i * width + j);
                u = *(const FC_VEC *)((const FC_T *)t->c4 + i * width + j);
            }
            FC_N(put)(dst + j, FC_N(finish_vector)(finish, 0, t, *(const FC_VEC *)(c + i * width + j),
                                                   *(const FC_VEC *)(c2 + i * width + j), s, u, root));
        }
    }
}

#define FC_CASE(finish) case finish: FC_N(finish_tile)(finish, t, root, c, c2); return;

static void FC_N(finish)(const fc_pairs *t, const FC_T *root, const FC_T *c, const FC_T *c2)
{
    switch (t->finish) {
        FC_CASE(FC_AS_IS) FC_CASE(FC_ROOT) FC_CASE(FC_PTH_ROOT) FC_CASE(FC_RATIO) FC_CASE(FC_SHARE) FC_CASE(FC_COSINE)
        FC_CASE(FC_ENTROPY) FC_CASE(FC_DICE_RATIO) FC_CASE(FC_HAMMING_BITS) FC_CASE(FC_JACCARD) FC_CASE(FC_DICE_BITS)
        FC_CASE(FC_ROGERSTANIMOTO) FC_CASE(FC_RUSSELLRAO) FC_CASE(FC_SOKALSNEATH) FC_CASE(FC_YULE)
    }
}

#undef FC_CASE

/* Sums of squares, or of other powers, from here to its reciprocal have lost nothing to underflow and overflow. */
FC_INLINE FC_T FC_N(safe_low)(int powers)
{
    if (sizeof(FC_T) == 4)
        return powers ? (FC_T)0x1p-30 : (FC_T)0x1p-90;
    return powers ? (FC_T)0x1p-100 : (FC_T)0x1p-900;
}

/* Sums outside low..high; NaN where terms have signs, which may be infinity less infinity. */
FC_INLINE FC_IVEC FC_N(beyond)(const fc_pairs *t, FC_VEC x, FC_T low, FC_T high)
{
    const FC_IVEC outside = (FC_IVEC)(x < low) | (FC_IVEC)(x > high);
    return t->metric == FC_FORM ? (FC_IVEC)(outside | (FC_IVEC)(x != x)) : outside;
}

/* Whether a lane of the tile needs the careful body: statistics that are NaN, or sums outside low..high. */
FC_INLINE int FC_N(unknown)(const fc_pairs *t)
{
    FC_T rows = 0;
    FC_VEC columns = {0};
    for (int i = 0; i < t->rows; i++)
        rows += ((const FC_T *)t->a_stats)[i];
    for (int j = 0; j < t->vectors; j++)
        columns += ((const FC_VEC *)t->b_stats)[j];
    columns += rows;
    return FC_N(any)((FC_IVEC)(columns != columns));
}

FC_INLINE int FC_N(outside)(const fc_pairs *t, const FC_T *c, FC_T low, FC_T high)
{
    const ptrdiff_t size = t->rows * t->vectors * FC_LANES;
    FC_IVEC found = {0};
    for (ptrdiff_t j = 0; j < size; j += FC_LANES) {
        const FC_VEC x = *(const FC_VEC *)(c + j);
        found |= FC_N(beyond)(t, x, low, high);
    }
    return FC_N(any)(found);
}

/* Whether sums are formed again for pairs whose statistics are NaN, for pairs that are near, or for roots of sums outside the safe range. */
enum { FC_N(BY_STAT), FC_N(BY_NEARNESS), FC_N(BY_RANGE), FC_N(NEVER) };
FC_INLINE int FC_N(doubt_of)(const fc_pairs *t)
{
    switch (t->metric) {
    case FC_CHEBYSHEV:
    case FC_CANBERRA:
    case FC_BRAYCURTIS: return FC_N(BY_STAT);
    case FC_JENSEN:
    case FC_PRODUCT: return FC_N(BY_NEARNESS);
    default: return t->finish == FC_ROOT || t->finish == FC_PTH_ROOT ? FC_N(BY_RANGE) : FC_N(NEVER);
    }
}

FC_INLINE FC_T FC_N(nearness)(int metric) { return metric == FC_JENSEN ? (FC_T)0.1 : (FC_T)0.25; }

/* From the largest differences of the pairs what the careful sums divide by, or the power of 2 that they multiply by. Whether
 * any is needed: sums of points that coincide are right. */
static int FC_N(scales)(const fc_pairs *t, FC_T *scale, FC_T low, FC_T high)
{
    const ptrdiff_t width = t->vectors * FC_LANES, size = FC_POINT_ROWS * width;
    const FC_INT most = 2 * (FC_INT)FC_N(BIAS);
    FC_IVEC apart = {0};
    for (ptrdiff_t j = 0; j < t->rows * width; j += FC_LANES)
        apart |= FC_N(beyond)(t, FC_N(load)((const FC_T *)t->c + j), low, high) & (FC_IVEC)(FC_N(load)(scale + j) != 0);
    for (ptrdiff_t j = 0; j < size; j++) {
        FC_INT bits;
        memcpy(&bits, scale + j, sizeof bits);
        bits = most - (bits >> FC_N(MANTISSA) & (most + 1));
        bits = (bits < 1 ? 1 : bits) << FC_N(MANTISSA);
        if (!FC_N(divides)(t->metric))
            memcpy(scale + j, &bits, sizeof bits);
        else if (scale[j] == 0 || scale[j] - scale[j] != 0)
            scale[j] = 1;
    }
    return FC_N(any)(apart);
}

/* Sums of a pass: c (and c2, c3, c4) at first; the largest differences in c3, and careful sums in c4 (and c2). */
FC_INLINE void FC_N(pass_sums)(const fc_pairs *t, int pass, const FC_T *p)
{
    FC_T *c = t->c, *c2 = t->c2, *c3 = t->c3, *c4 = t->c4;
    if (pass == FC_PASS_LARGEST) {
        FC_N(careful_sums)(FC_CHEBYSHEV, t, c3, p, c3, c2);
    } else if (pass == FC_PASS_AGAIN) {
        if (t->metric == FC_PRODUCT)
            FC_N(fast_sums)(FC_SQUARE, t, p, c4, c2);
        else
            FC_N(careful_sums)(t->metric, t, c3, p, c4, c2);
    } else {
        /* Of whole panels `sums` fetches a row for every FC_FETCH_TERMS terms, but for canberra's. */
        const int each = FC_FETCH_TERMS * FC_N(stride_of)(t->metric, 0);
        const int begun = FC_FETCHES && t->vectors == FC_POINT_VECTORS && t->metric != FC_CANBERRA;
        for (ptrdiff_t i = begun ? (t->count + each - 1) / each : 0; i < t->rows; i++)
            FC_N(fetch_row)(t, t->vectors, i);
        FC_N(fast_sums)(t->metric, t, p, c, c2);
        if (t->metric == FC_SPLIT)
            FC_N(fast_sums)(FC_SAME, t, p, c3, c4);
    }
}

/* A pass over numbers of the points; after the last ones what other passes must follow. */
static int FC_N(pass)(const fc_pairs *t, int pass)
{
    const int metric = t->metric, doubt = FC_N(doubt_of)(t), powers = metric != FC_SQUARE && metric != FC_WORDS && metric != FC_FORM;
    const ptrdiff_t width = t->vectors * FC_LANES, size = FC_POINT_ROWS * width;
    const FC_T low = FC_N(safe_low)(powers), high = 1 / low;
    FC_T *c = t->c, *c4 = t->c4, *scale = t->c3, p[3] = {0}, root[2] = {0};
    if (metric == FC_HALVES || metric == FC_POWER) {
        FC_N(halve)(t->p, 0, &p[0], &p[1]);
        p[2] = (FC_T)(metric == FC_HALVES ? t->p - 0.5 : 0);
    }
    FC_N(pass_sums)(t, pass, p);
    if (!t->last)
        return 0;
    if (pass == FC_PASS_LARGEST)
        return FC_N(scales)(t, scale, low, high) ? FC_PASS_AGAIN : 0;
    const int settles = FC_N(is_long)(t) && metric != FC_BITS && metric != FC_CHEBYSHEV;
    if (settles) {
        FC_N(settle)(t, pass == FC_PASS_AGAIN ? c4 : c);
        if (metric == FC_DICE || metric == FC_SPLIT || (metric == FC_BRAYCURTIS && pass == FC_PASS_AGAIN))
            FC_N(settle)(t, t->c2);
        if (metric == FC_SPLIT) {
            FC_N(settle)(t, t->c3);
            FC_N(settle)(t, t->c4);
        }
    }
    if (metric == FC_PRODUCT && pass == FC_PASS_SUMS)
        for (ptrdiff_t j = 0; j < size; j += FC_LANES)
            *(FC_VEC *)(c + j) = 2 - 2 * *(const FC_VEC *)(c + j);
    for (ptrdiff_t j = 0; j < size && pass == FC_PASS_AGAIN && doubt != FC_N(BY_RANGE); j++) {
        const FC_T stat = ((const FC_T *)t->a_stats)[j / width] + ((const FC_T *)t->b_stats)[j % width];
        c[j] = (doubt == FC_N(BY_STAT) ? stat != stat : c[j] < FC_N(nearness)(metric)) ? c4[j] : c[j];
    }
    if (t->finish == FC_PTH_ROOT) {
        const double inverse = 1 / t->p;
        FC_N(halve)(inverse, (double)(1 - (long double)inverse * t->p) / t->p, &root[0], &root[1]);
    }
    FC_N(finish)(t, root, c, t->c2);
    if (pass == FC_PASS_SUMS) {
        if (doubt == FC_N(BY_STAT))
            return FC_N(unknown)(t) ? FC_PASS_AGAIN : 0;
        if (doubt == FC_N(BY_NEARNESS))
            return FC_N(outside)(t, c, FC_N(nearness)(metric), (FC_T)8) ? FC_PASS_AGAIN : 0;
        return doubt == FC_N(BY_RANGE) && FC_N(outside)(t, c, low, high) ? FC_PASS_LARGEST : 0;
    }
    /* Differences were scaled by their largest or a power of 2 near it, pair by pair. */
    for (int i = 0; i < t->rows && doubt == FC_N(BY_RANGE); i++)
        for (ptrdiff_t j = 0; j < width; j += FC_LANES) {
            FC_T *dst = FC_N(row_of)(t, i) + j;
            const FC_VEC sum = *(FC_VEC *)(c + i * width + j), x = *(FC_VEC *)(c4 + i * width + j);
            const FC_VEC y = FC_N(finish_vector)(t->finish, 1, t, x, x, x, x, root), factor = *(FC_VEC *)(scale + i * width + j);
            const FC_VEC better = FC_N(divides)(metric) ? y * factor : y / factor;
            FC_N(put)(dst, FC_N(pick)(FC_N(beyond)(t, sum, low, high), better, FC_N(load)(dst)));
        }
    return 0;
}

static int FC_N(pairs)(const fc_pairs *t)
{
    int next = FC_N(pass)(t, t->pass);
    if (next && t->first) { /* all numbers are here */
        if (next == FC_PASS_LARGEST)
            next = FC_N(pass)(t, FC_PASS_LARGEST);
        if (next)
            next = FC_N(pass)(t, FC_PASS_AGAIN);
    }
    for (int i = 0; i < t->rows && t->last && t->factor != 1 && t->pass != FC_PASS_LARGEST; i++) {
        FC_T *dst = FC_N(row_of)(t, i);
        for (int j = 0; j < t->vectors * FC_LANES; j += FC_LANES)
            FC_N(put)(dst + j, FC_N(load)(dst + j) * (FC_T)t->factor);
    }
    return next;
}

/* The distance of two points from their difference, in two words, each of which is mapped. */
static double FC_N(mapped_difference)(const fc_cancelled *u, const char *a, const char *b)
{
    const fc_points *p = u->a;
    const int form = u->tile->metric == FC_FORM;
    const ptrdiff_t each = FC_N(each_of)(p->prepare);
    FC_T *high = u->differences, *low = high + p->d, *x = p->row;
    double *z = u->mapped, most = 0, own = 0, sum = 0, lost = 0;
    int apart = 0, e, f;
    FC_N(fetch)(high, a, p, 0, p->d);
    FC_N(fetch)(low, b, u->b, 0, p->d);
    for (ptrdiff_t k = 0; k < p->d; k++) {
        const FC_T t = high[k] - low[k], part = t - high[k];
        low[k] = (high[k] - (t - part)) - (low[k] + part);
        high[k] = t;
        apart |= t != 0;
    }
    if (!apart)
        return 0;
    memset(z, 0, (size_t)p->d * sizeof(double));
    for (int word = 1; word >= 0; word--)
        for (ptrdiff_t k0 = 0; k0 < p->d; k0 += u->length) {
            const ptrdiff_t n = p->d - k0 < u->length ? p->d - k0 : u->length;
            memcpy(x, word ? low : high, (size_t)p->d * sizeof(FC_T));
            FC_N(map_row)(x, p, k0, n);
            for (ptrdiff_t j = 0; j < n; j++)
                z[k0 + j] = (z[k0 + j] + (double)x[each * j + each - 1]) + (double)x[each * j + each - 2];
        }
    for (ptrdiff_t k = 0; k < p->d; k++) {
        most = __builtin_fmax(most, __builtin_fabs(z[k]));
        own = __builtin_fmax(own, __builtin_fabs((double)high[k]));
    }
    __builtin_frexp(most, &e);
    __builtin_frexp(form ? own : most, &f);
    for (ptrdiff_t k = 0; k < p->d; k++) { /* relative to the largest, whose square is about 1 whatever its size */
        const double term = __builtin_ldexp(z[k], -e) * __builtin_ldexp(form ? (double)high[k] : z[k], -f), next = sum + term, part = next - sum;
        lost += (sum - (next - part)) + (term - part);
        sum = next;
    }
    return __builtin_ldexp(__builtin_sqrt(__builtin_ldexp(sum + lost, (e + f) & 1)), (e + f) >> 1);
}

static int FC_N(cancelled)(fc_cancelled *u)
{
    const fc_pairs *t = u->tile;
    const ptrdiff_t width = t->vectors * FC_LANES;
    const FC_T factor = (FC_T)t->factor;
    FC_IVEC found = {0};
    for (ptrdiff_t i = u->at / u->columns; i < t->rows; i++) {
        const FC_VEC size = FC_N(splat)(((const FC_T *)t->a_stats)[i]);
        for (ptrdiff_t j = 0; j < width; j += FC_LANES) {
            const FC_VEC x = FC_N(load)(FC_N(row_of)(t, i) + j);
            found |= (FC_IVEC)(x <= (size + FC_N(load)((const FC_T *)t->b_stats + j)) * factor);
            if (t->metric == FC_FORM)
                found |= (FC_IVEC)(x != x);
        }
    }
    if (!FC_N(any)(found))
        return 0;
    while (u->at < t->rows * u->columns) {
        const ptrdiff_t i = u->at / u->columns, j = u->at % u->columns;
        const FC_T limit = (((const FC_T *)t->a_stats)[i] + ((const FC_T *)t->b_stats)[j]) * factor;
        FC_T *dst = FC_N(row_of)(t, i) + j;
        double size = (double)*dst;
        if (size != size && t->metric == FC_FORM) /* a sum may be less than 0 by what was lost */
            size = __builtin_sqrt(-(double)((const FC_T *)t->c)[i * width + j]) * t->factor;
        u->at++;
        if (size <= (double)limit && limit - limit == 0) {
            *dst = (FC_T)(FC_N(mapped_difference)(u, u->a->src + i * u->a->row_step, u->b->src + j * u->b->row_step) * t->factor);
            return 1;
        }
    }
    return 0;
}

/* ---- small sets ---- */

/* Panels of one vector of columns, zeros beyond the last; the bits are those of `pairs`, whose first chain holds all
 * terms. Where rows of the result touch, a vector may reach into the next ones, which are written after it. */
FC_INLINE int FC_N(few_body)(const int metric, const int finish, const ptrdiff_t d, const fc_few *p)
{
    FC_T panel[FC_POINT_CHAIN * FC_LANES] __attribute__((aligned(64)));
    const ptrdiff_t whole = p->out_step == p->n && p->n < FC_LANES ? p->m - (FC_LANES - 1) / p->n : 0;
    const FC_T low = FC_N(safe_low)(0), high = 1 / low;
    FC_IVEC found = {0};
    for (ptrdiff_t j0 = 0; j0 < p->n; j0 += FC_LANES) {
        const ptrdiff_t columns = p->n - j0 < FC_LANES ? p->n - j0 : FC_LANES;
        const FC_T *a = p->a, *b = (const FC_T *)p->b + j0 * p->b_step;
        FC_T *out = (FC_T *)p->out + j0;
        /* Whole vectors are made in registers: a load that meets stores of its parts would wait for them. */
        for (ptrdiff_t k = 0; k < d; k++) {
            FC_VEC v = {0};
            if (columns == FC_LANES)
#pragma GCC unroll 16
                for (int j = 0; j < FC_LANES; j++)
                    v[j] = b[j * p->b_step + k];
            else
                for (int j = 0; j < columns; j++)
                    v[j] = b[j * p->b_step + k];
            *(FC_VEC *)(panel + k * FC_LANES) = v;
        }
        for (ptrdiff_t i = 0; i < p->m; i++, a += p->a_step, out += p->out_step) {
            FC_VEC sum = {0};
            FC_IVEC apart = {0};
            for (ptrdiff_t k = 0; k < d; k++) {
                const FC_VEC t = FC_N(splat)(a[k]) - *(const FC_VEC *)(panel + k * FC_LANES);
                if (metric == FC_SQUARE)
                    sum += t * t;
                else
                    sum += FC_N(abs)(t);
                apart |= (FC_IVEC)t;
            }
            if (finish == FC_ROOT) {
                found |= ((FC_IVEC)(sum < low) | (FC_IVEC)(sum > high)) & (FC_IVEC)(apart << 1 != 0);
                sum = FC_N(root)(sum);
            }
            if (columns == FC_LANES || i < whole)
                memcpy(out, &sum, sizeof sum);
            else
                memcpy(out, &sum, (size_t)columns * sizeof(FC_T));
        }
    }
    return FC_N(any)(found);
}

static int FC_N(few)(const fc_few *p)
{
    if (p->metric == FC_CITYBLOCK)
        return FC_N(few_body)(FC_CITYBLOCK, FC_AS_IS, p->d, p);
    if (p->finish == FC_ROOT && p->d == 3) /* points in space: the panel stays in registers */
        return FC_N(few_body)(FC_SQUARE, FC_ROOT, 3, p);
    if (p->finish == FC_ROOT)
        return FC_N(few_body)(FC_SQUARE, FC_ROOT, p->d, p);
    return FC_N(few_body)(FC_SQUARE, FC_AS_IS, p->d, p);
}

/* ---- results ---- */

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
                        FC_N(put_number)(out, src[r * e->src_step + c], e->kind);
                }
}

#include "distance/nearest.h"
#include "distance/gradients.h"

static void FC_N(fill)(fc_distance *table)
{
    fc_distance_kernels *k = &table->real[FC_ELEMENT - 8];
    k->vectors = FC_POINT_VECTORS;
    k->points = FC_N(points);
    k->pairs = FC_N(pairs);
    k->cancelled = FC_N(cancelled);
    k->few = FC_N(few);
    k->emit = FC_N(emit);
    k->nearest = FC_N(nearest);
    k->nearest_sort = FC_N(nearest_sort);
    k->pull = FC_N(pull);
    k->add_wide = FC_N(add_wide);
    k->unprepare = FC_N(unprepare);
}
