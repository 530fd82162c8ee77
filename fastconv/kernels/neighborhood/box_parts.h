/* Parts of large boxes, for every element type: what some neighbouring cells come to, such that two parts which follow each
 * other join to one. The driver builds windows from blocks (van Herk, Gil and Werman) and doubled spans of them; here are one
 * element as a part (lift_parts), two parts as one (join_parts), and a window's part as its result (finish_parts).
 *
 * Nothing is subtracted, so nothing drifts, and NaN and infinities stay in their windows. Moments are (cells, sum about the first
 * cell, squares about the mean, first cell) and join as Chan, Golub and LeVeque (1979) have it, accurate at any distance from 0;
 * the first of a 64-bit integer stands in two halves, which doubles hold. Per number a join is 2 loads, an operation and a store;
 * of moments 8 loads, some 20 operations, one of them a division, and 4 stores. Next hop: extremes.h, for pick_extreme.
 */

#ifndef FC_PARTS_ONCE
#define FC_PARTS_ONCE

static void fc_join_sums(double *to, const double *a, const double *b, ptrdiff_t n)
{
#pragma GCC ivdep
    for (ptrdiff_t x = 0; x < n; x++)
        to[x] = a[x] + b[x];
}

static void fc_join_counts(uint64_t *to, const uint64_t *a, const uint64_t *b, ptrdiff_t n)
{
#pragma GCC ivdep
    for (ptrdiff_t x = 0; x < n; x++)
        to[x] = a[x] + b[x];
}

/* Planes are `plane` doubles apart: cells, sum, squares, first and, if `halves`, the first's lower half. */
FC_INLINE void fc_join_moments(double *to, const double *a, const double *b, ptrdiff_t plane, ptrdiff_t n, const int halves)
{
#pragma GCC ivdep
    for (ptrdiff_t x = 0; x < n; x++) {
        const double na = a[x], nb = b[x], both = na + nb, product = na * nb;
        const double scale = product > 0 ? 1 / (both * product) : 0, share = scale * product;
        const double *fa = a + 3 * plane, *fb = b + 3 * plane;
        double apart = fb[x] - fa[x];
        if (halves)
            apart = 0x1p32 * apart + (fb[x + plane] - fa[x + plane]);
        const double sa = a[x + plane], sb = b[x + plane] + nb * (product > 0 ? apart : 0);
        /* cells * cells / both times the distance of the means, in factors that do not overflow before it does */
        const double e = sa * (nb * share) - sb * (na * share);
        const double squares = a[x + 2 * plane] + b[x + 2 * plane] + e * (both * both * scale) * e;
        const double first = na > 0 ? fa[x] : fb[x], low = halves ? na > 0 ? fa[x + plane] : fb[x + plane] : 0;
        to[x] = both;
        to[x + plane] = sa + sb;
        to[x + 2 * plane] = squares;
        to[x + 3 * plane] = first;
        if (halves)
            to[x + 4 * plane] = low;
    }
}

/* The nearest integer to sum / count, of halves the even one. */
FC_INLINE int64_t fc_nearest_quotient(__int128 sum, int64_t count)
{
    __int128 nearest = sum / count;
    const int64_t rest = (int64_t)(sum % count), twice = 2 * (rest < 0 ? -rest : rest);
    if (twice > count || (twice == count && (nearest & 1)))
        nearest += rest < 0 ? -1 : 1;
    return (int64_t)nearest;
}

FC_INLINE double fc_deviation(double cells, double squares, double ddof, int root)
{
    const double variance = cells > ddof ? squares / (cells - ddof) : __builtin_nan("");
    return root ? __builtin_sqrt(variance) : variance;
}

#endif

enum { FC_N(HALVES) = !FC_IS_FLOAT && sizeof(FC_T) == 8 };

#define FC_LIFT(type, value)                            \
    {                                                   \
        type *restrict to = q->to;                      \
        for (ptrdiff_t x = 0; x < n; x++) {             \
            const FC_T v = line[x];                     \
            const int p = masked ? present[x] : 1;       \
            (void)v;                                    \
            to[x] = (type)(value);                      \
        }                                               \
        return;                                         \
    }

FC_INLINE void FC_N(lift_line)(const fc_lift_parts *q, const int masked)
{
    const FC_T *restrict line = q->line;
    const uint8_t *restrict present = q->present;
    const ptrdiff_t n = q->n;
    switch (q->part) {
    case FC_PART_SUM: FC_LIFT(double, p ? (double)v : 0)
    case FC_PART_WHOLE: FC_LIFT(uint64_t, p ? (uint64_t)v : 0)
    case FC_PART_HIGH: FC_LIFT(uint64_t, p ? (uint64_t)((FC_T)-1 < 1 ? (int64_t)v >> 32 : (int64_t)((uint64_t)v >> 32)) : 0)
    case FC_PART_NONZERO: FC_LIFT(uint64_t, p & (v != 0))
    case FC_PART_PRESENT: FC_LIFT(uint64_t, p)
    case FC_PART_LEAST: FC_LIFT(FC_T, p ? v : FC_MOST)
    case FC_PART_GREATEST: FC_LIFT(FC_T, p ? v : FC_LEAST)
    default: break;
    }
    double *restrict to = q->to;
    for (ptrdiff_t x = 0; x < n; x++) {
        const FC_T v = line[x];
        const int p = masked ? present[x] : 1;
        const double zero = FC_IS_FLOAT && p ? (double)(v - v) : 0; /* NaN where v is not finite */
        to[x] = p;
        to[x + q->plane] = to[x + 2 * q->plane] = zero;
        to[x + 3 * q->plane] = !p ? 0 : !FC_N(HALVES) ? (double)v
                              : (FC_T)-1 < 1 ? (double)((int64_t)v >> 32) : (double)((uint64_t)v >> 32);
        if (FC_N(HALVES))
            to[x + 4 * q->plane] = p ? (double)(uint32_t)v : 0;
    }
}

#undef FC_LIFT

static void FC_N(lift_parts)(const fc_lift_parts *q)
{
    if (q->present)
        FC_N(lift_line)(q, 1);
    else
        FC_N(lift_line)(q, 0);
}

FC_INLINE void FC_N(join_extremes)(FC_T *to, const FC_T *a, const FC_T *b, ptrdiff_t n, const int op)
{
    ptrdiff_t x = 0;
    for (; x + FC_LANES <= n; x += FC_LANES)
        FC_N(put)(to + x, FC_N(pick_extreme)(FC_N(load)(a + x), FC_N(load)(b + x), op));
    if (x == n)
        return;
    const FC_VEC v = FC_N(pick_extreme)(FC_N(load)(a + x), FC_N(load)(b + x), op);
    memcpy(to + x, &v, (size_t)(n - x) * sizeof(FC_T));
}

static void FC_N(join_parts)(const fc_join_parts *q)
{
    switch (q->part) {
    case FC_PART_SUM: fc_join_sums(q->to, q->a, q->b, q->n); return;
    case FC_PART_MOMENTS: fc_join_moments(q->to, q->a, q->b, q->plane, q->n, FC_N(HALVES)); return;
    case FC_PART_LEAST: FC_N(join_extremes)(q->to, q->a, q->b, q->n, FC_OP_MIN | (FC_IS_FLOAT ? FC_OP_NAN : 0)); return;
    case FC_PART_GREATEST: FC_N(join_extremes)(q->to, q->a, q->b, q->n, FC_OP_MAX | (FC_IS_FLOAT ? FC_OP_NAN : 0)); return;
    default: fc_join_counts(q->to, q->a, q->b, q->n);
    }
}

/* The sum of 64-bit integers from the sums of their upper halves and that modulo 2^64. */
FC_INLINE __int128 FC_N(whole_sum)(const fc_finish_parts *q, ptrdiff_t x)
{
    const uint64_t *whole = q->parts[FC_PART_WHOLE], *high = q->parts[FC_PART_HIGH];
    if (!high)
        return (FC_T)-1 < 1 ? (__int128)(int64_t)whole[x] : (__int128)whole[x];
    const __int128 upper = (FC_T)-1 < 1 ? (__int128)(int64_t)high[x] : (__int128)high[x];
    return upper * ((__int128)1 << 32) + (uint64_t)(whole[x] - (high[x] << 32));
}

#define FC_RESULTS(type, value)                                                  \
    {                                                                            \
        type *restrict out = q->out;                                             \
        for (ptrdiff_t x = 0; x < n; x++) {                                      \
            const uint64_t count = present ? present[x] : (uint64_t)q->cells;    \
            (void)count;                                                         \
            out[x] = (type)(value);                                              \
        }                                                                        \
        return;                                                                  \
    }

FC_INLINE FC_T FC_N(known)(FC_T v, uint64_t count, double nothing)
{
#ifndef FC_INTEGER_TYPE
    if (v != v)
        return FC_ONE_NAN;
#endif
    return count ? v : (FC_T)nothing;
}

static void FC_N(finish_parts)(const fc_finish_parts *q)
{
    const ptrdiff_t n = q->n;
    const uint64_t *present = q->parts[FC_PART_PRESENT], *nonzero = q->parts[FC_PART_NONZERO], *whole = q->parts[FC_PART_WHOLE];
    const FC_T *least = q->parts[FC_PART_LEAST], *greatest = q->parts[FC_PART_GREATEST];
    const double *sum = q->parts[FC_PART_SUM], *cells = q->parts[FC_PART_MOMENTS];
    switch (q->reduction) {
    case FC_REDUCE_MIN:
        if (!FC_IS_FLOAT && q->wide)
            FC_RESULTS(double, count ? (double)least[x] : q->nothing)
        FC_RESULTS(FC_T, FC_N(known)(least[x], count, q->nothing))
    case FC_REDUCE_MAX:
        if (!FC_IS_FLOAT && q->wide)
            FC_RESULTS(double, count ? (double)greatest[x] : q->nothing)
        FC_RESULTS(FC_T, FC_N(known)(greatest[x], count, q->nothing))
    case FC_REDUCE_RANGE:
        if (FC_IS_FLOAT)
            FC_RESULTS(FC_T, FC_N(known)(greatest[x] - least[x], count, q->nothing))
        if (q->wide)
            FC_RESULTS(double, count ? (double)(FC_WIDE_T)((FC_WIDE_T)greatest[x] - (FC_WIDE_T)least[x]) : q->nothing)
        FC_RESULTS(FC_T, FC_N(known)((FC_T)((FC_WIDE_T)greatest[x] - (FC_WIDE_T)least[x]), count, q->nothing))
    case FC_REDUCE_COUNT: FC_RESULTS(int64_t, nonzero[x])
    case FC_REDUCE_ANY: FC_RESULTS(uint8_t, nonzero[x] != 0)
    case FC_REDUCE_ALL: FC_RESULTS(uint8_t, nonzero[x] == count)
    case FC_REDUCE_SUM:
        if (FC_IS_FLOAT)
            FC_RESULTS(double, sum[x])
        if (q->wide)
            FC_RESULTS(double, FC_N(whole_sum)(q, x))
        FC_RESULTS(uint64_t, whole[x])
    case FC_REDUCE_MEAN:
        if (FC_IS_FLOAT)
            FC_RESULTS(double, count ? sum[x] / (double)count : q->nothing)
        if (q->wide)
            FC_RESULTS(FC_T, count ? fc_nearest_quotient(FC_N(whole_sum)(q, x), (int64_t)count) : 0)
        FC_RESULTS(double, count ? (double)FC_N(whole_sum)(q, x) / (double)count : q->nothing)
    case FC_REDUCE_VAR:
    case FC_REDUCE_STD:
        FC_RESULTS(double, cells[x] > 0 ? fc_deviation(cells[x], cells[x + 2 * q->plane], q->ddof, q->reduction == FC_REDUCE_STD)
                                        : q->nothing)
    default: break;
    }
}

#undef FC_RESULTS
