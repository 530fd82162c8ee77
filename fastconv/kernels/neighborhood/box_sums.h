/* Sums of boxes, and sums of squares about the mean, for every element type: columns first, then rows.
 *
 * A window of w is built from the first bit of w on: the sum of 2m numbers is that of two neighbours of m, and one more
 * number makes it 2m + 1. Floats are never subtracted, so nothing drifts and a NaN stays in its windows (integers are:
 * box_sums_wide.h and fc_sum_row_widening); the order of additions is the same for every output and along every axis, so that
 * no cut shows in the bits. Sums of squares join as M = Ma + Mb + ab / (a + b) (mean a - mean b)^2 (Chan, Golub, LeVeque 1979),
 * where every term is positive. Sums of doubles are `local` then, relative to the first element of their window, so that a
 * variance is accurate at any distance from 0; those of narrower types are exact to far below their last bit as they are.
 *
 * Counts for each vector of wide numbers and bit of the window: 2 or 3 loads (1 or 2 of them across two cache lines in rows),
 * 1 or 2 additions and a store; with squares 4 or 6 loads, 5 or 10 operations and 2 stores. Columns are summed in strips of
 * FC_SUM_STRIP bytes that stay in the first-level cache. Next hop: box_sums_wide.h.
 */

#ifndef FC_SUMS_ONCE
#define FC_SUMS_ONCE

typedef double fc_double_vec __attribute__((vector_size(FC_VEC_BYTES), may_alias, aligned(8)));

/* The sums of a window, from its first bit on: m becomes next = 2m or 2m + 1 until it is the whole. */
FC_INLINE ptrdiff_t fc_first_bit(ptrdiff_t window)
{
    return (ptrdiff_t)1 << (63 - __builtin_clzll((unsigned long long)window));
}

/* Sums, sums of squares about the mean and, where sums are `local`, the first element of each: what they are relative to. */
typedef struct fc_squares {
    double *sum, *squares, *first;
} fc_squares;

FC_INLINE void fc_prefetch_results(const fc_sums *q, ptrdiff_t lines, ptrdiff_t x)
{
    for (ptrdiff_t i = 0; i < lines; i++)
        __builtin_prefetch(q->ahead[i] + x * q->ahead_step, 1);
}

#define FC_AT(p, at) (*(fc_double_vec *)((p) + (at)))

/* One bit: to[x] = `half` numbers of a at x and as many at x + shift and, with `odd`, one at x + 2 * shift. Each number of `one`
 * stands for `cells` elements; with `flat` for itself, so that its squares, and local sums, are 0. */
FC_INLINE void fc_join_squares(const fc_sums *q, fc_squares to, fc_squares a, fc_squares one, ptrdiff_t count, ptrdiff_t shift,
                               double half, ptrdiff_t ahead, const int odd, const int flat, const int local)
{
    const int lanes = FC_VEC_BYTES / 8, zero = flat && half == 1;
    const double cells = (double)q->cells, both = 2 * half, elements = half * cells;
    const double scale = 1 / (both * cells), scale_one = 1 / (both * (both + 1) * cells);
    for (ptrdiff_t x = 0; x < count; x += lanes) {
        fc_prefetch_results(q, ahead, x);
        fc_double_vec left = {0}, right = {0}, m = {0};
        if (!zero || !local)
            left = FC_AT(a.sum, x), right = FC_AT(a.sum, x + shift);
        if (local)
            right += elements * (FC_AT(one.first, x + shift) - FC_AT(one.first, x));
        if (!zero)
            m = FC_AT(a.squares, x) + FC_AT(a.squares, x + shift);
        const fc_double_vec d = left - right;
        fc_double_vec sum = left + right;
        m += d * scale * d;
        if (odd) {
            const ptrdiff_t at = x + 2 * shift;
            fc_double_vec last = {0};
            if (!flat || !local)
                last = FC_AT(one.sum, at);
            if (local)
                last += cells * (FC_AT(one.first, at) - FC_AT(one.first, x));
            const fc_double_vec e = sum - both * last;
            sum += last;
            m += e * scale_one * e;
            if (!flat)
                m += FC_AT(one.squares, at);
        }
        FC_AT(to.sum, x) = sum;
        FC_AT(to.squares, x) = m;
    }
}

#undef FC_AT

/* to[x], x < n: of q->window numbers `unit` apart. */
FC_INLINE void fc_square_windows(const fc_sums *q, fc_squares to, fc_squares one, ptrdiff_t n, ptrdiff_t unit, ptrdiff_t ahead,
                               const int flat, const int local)
{
    fc_squares a = one;
    ptrdiff_t m = 1;
    for (ptrdiff_t bit = fc_first_bit(q->window) >> 1; bit; bit >>= 1) {
        const int odd = (q->window & bit) != 0;
        const ptrdiff_t next = 2 * m + odd, count = n + (q->window - next) * unit, shift = m * unit;
        if (odd)
            fc_join_squares(q, to, a, one, count, shift, (double)m, ahead, 1, flat, local);
        else
            fc_join_squares(q, to, a, one, count, shift, (double)m, ahead, 0, flat, local);
        a = to, m = next, ahead = 0;
    }
}

/* Roots of variances as floats. The variance may be beyond a float where its root is not: it is brought near 1 then. */
static void fc_roots(const fc_finish_sums *q, const double *restrict sum, const double *restrict m2, double scale)
{
    const ptrdiff_t n = q->n;
    const double most = 0x1p120, least = 0x1p-100;
    float *restrict out = q->out;
    int64_t beyond = 0; /* as wide as a double, so that vectors stay whole */
    for (ptrdiff_t x = 0; x < n; x++) {
        const double v = m2[x] * scale + (sum[x] - sum[x]);
        beyond |= (v > most) | ((v < least) & (v > 0)) ? 1 : 0;
        out[x] = __builtin_sqrtf((float)v);
    }
    if (!beyond)
        return;
    for (ptrdiff_t x = 0; x < n; x++) {
        const double v = m2[x] * scale + (sum[x] - sum[x]);
        const double by = v > most ? 0x1p-100 : v < least ? 0x1p100 : 1;
        out[x] = (float)(__builtin_sqrtf((float)(v * by * by)) / by);
    }
}

#endif

/* out[x] = value for each x < n, and that is all. */
#define FC_EACH(type, value)                        \
    {                                               \
        type *restrict out = q->out;                \
        for (ptrdiff_t x = 0; x < n; x++)           \
            out[x] = (type)(value);                 \
        return;                                     \
    }

#include "neighborhood/box_sums_wide.h"

#ifndef FC_INTEGER_TYPE

/* One bit of a strip: row r of the sums of `next` = that of m + row r + m of them (+ row r + 2m). */
FC_INLINE void FC_N(join_rows)(const fc_sums *q, ptrdiff_t x, FC_SUM_T *space, ptrdiff_t m, ptrdiff_t next, const int odd,
                               const int first, const int raw)
{
    const int lanes = (int)(FC_VEC_BYTES / sizeof(FC_SUM_T)), unit = (int)(FC_SUM_STRIP / sizeof(FC_SUM_T));
    const int last = next == q->window;
    const ptrdiff_t rows = (q->count - 1) * q->every + 1 + q->window - next, every = last ? q->every : 1;
    for (ptrdiff_t r = 0; r < rows; r += every) {
        FC_SUM_T *to = last ? (FC_SUM_T *)q->out[r / every * q->step] + x : space + r * unit;
        const char *one = q->rows[(odd ? r + 2 * m : 0) * q->step];
        const char *a = q->rows[first ? r * q->step : 0], *b = q->rows[first ? (r + m) * q->step : 0];
        if (first && raw)
            __builtin_prefetch((const FC_T *)(odd ? one : b) + x + 2 * unit);
#pragma GCC unroll 8
        for (int i = 0; i < unit; i += lanes) {
            FC_WVEC v = first ? FC_N(widened)(a, x + i, raw) + FC_N(widened)(b, x + i, raw)
                              : *(FC_WVEC *)(space + r * unit + i) + *(FC_WVEC *)(space + (r + m) * unit + i);
            if (odd)
                v += FC_N(widened)(one, x + i, raw);
            *(FC_WVEC *)(to + i) = v;
        }
    }
}

FC_INLINE void FC_N(add_columns)(const fc_sums *q, const int raw)
{
    const ptrdiff_t unit = FC_SUM_STRIP / (ptrdiff_t)sizeof(FC_SUM_T);
    for (ptrdiff_t x = 0; x < q->n; x += unit) {
        x = FC_N(whole_strip)(q, x, unit);
        ptrdiff_t m = 1;
        for (ptrdiff_t bit = fc_first_bit(q->window) >> 1; bit; bit >>= 1) {
            const int odd = (q->window & bit) != 0;
            const ptrdiff_t next = 2 * m + odd;
            if (m == 1 && odd)
                FC_N(join_rows)(q, x, (FC_SUM_T *)q->space, m, next, 1, 1, raw);
            else if (m == 1)
                FC_N(join_rows)(q, x, (FC_SUM_T *)q->space, m, next, 0, 1, raw);
            else if (odd)
                FC_N(join_rows)(q, x, (FC_SUM_T *)q->space, m, next, 1, 0, raw);
            else
                FC_N(join_rows)(q, x, (FC_SUM_T *)q->space, m, next, 0, 0, raw);
            m = next;
        }
        for (ptrdiff_t o = 0; o < q->count && q->window == 1; o++)
            for (int i = 0; i < (int)unit; i += (int)(FC_VEC_BYTES / sizeof(FC_SUM_T)))
                *(FC_WVEC *)((FC_SUM_T *)q->out[o * q->step] + x + i) =
                    FC_N(widened)(q->rows[o * q->every * q->step], x + i, raw);
    }
}

#endif

/* A strip of FC_SUM_STRIP bytes of all rows, one below the other: of raw elements, or from byte `at` of wide lines. */
FC_INLINE void FC_N(gather_strip)(double *strip, const fc_sums *q, ptrdiff_t rows, ptrdiff_t at, const int raw)
{
    const int doubles = FC_SUM_STRIP / 8;
    for (ptrdiff_t r = 0; r < rows; r++, strip += doubles) {
        const char *row = (const char *)q->rows[r * q->step] + at;
        if (raw)
            for (int i = 0; i < doubles; i++)
                strip[i] = (double)((const FC_T *)row)[i];
        else
            memcpy(strip, row, FC_SUM_STRIP);
    }
}

FC_INLINE void FC_N(scatter_strip)(const fc_sums *q, const double *strip, ptrdiff_t at)
{
    for (ptrdiff_t o = 0; o < q->count; o++)
        memcpy((char *)q->out[o * q->step] + at, strip + o * q->every * (FC_SUM_STRIP / 8), FC_SUM_STRIP);
}

FC_INLINE void FC_N(square_columns)(const fc_sums *q, const int raw)
{
    const int local = FC_IS_FLOAT && sizeof(FC_T) == 8;
    const ptrdiff_t rows = (q->count - 1) * q->every + q->window, unit = FC_SUM_STRIP / 8;
    const ptrdiff_t area = (rows + 1) * (FC_SUM_STRIP / 8);
    double *space = (double *)q->space;
    const fc_squares one = {space, space + area, local ? space + (FC_SUM_AREAS - 1) * area : NULL};
    const fc_squares to = q->window > 1 ? (fc_squares){space + 2 * area, space + 3 * area, NULL} : one;
    if (raw && q->window == 1)
        memset(space, 0, (size_t)(2 * area) * 8);
    for (ptrdiff_t x = 0; x < q->n; x += unit) {
        x = FC_N(whole_strip)(q, x, unit);
        if (!raw) {
            FC_N(gather_strip)(one.sum, q, rows, x * 8, 0);
            FC_N(gather_strip)(one.squares, q, rows, x * 8 + q->half, 0);
            if (local)
                FC_N(gather_strip)(one.first, q, rows, x * 8 + 2 * q->half, 0);
        } else {
            FC_N(gather_strip)(local ? one.first : one.sum, q, rows, x * (ptrdiff_t)sizeof(FC_T), 1);
        }
        fc_square_windows(q, to, one, (rows - q->window + 1) * unit, unit, 0, raw, local);
        FC_N(scatter_strip)(q, to.sum, x * 8);
        FC_N(scatter_strip)(q, to.squares, x * 8 + q->half);
        if (local)
            FC_N(scatter_strip)(q, one.first, x * 8 + 2 * q->half);
    }
}

static void FC_N(sum_columns)(const fc_sums *q)
{
    if (q->squares && q->raw)
        FC_N(square_columns)(q, 1);
    else if (q->squares)
        FC_N(square_columns)(q, 0);
    else if (q->raw)
        FC_N(add_columns)(q, 1);
    else
        FC_N(add_columns)(q, 0);
}

static void FC_N(sum_row)(const fc_sums *q)
{
    char *one = (char *)q->rows[0], *s = q->out[0];
    const ptrdiff_t half = q->half;
    if (q->squares)
        fc_square_windows(q, (fc_squares){(double *)s, (double *)(s + half), NULL},
                        (fc_squares){(double *)one, (double *)(one + half), (double *)(one + 2 * half)}, q->n, 1, q->ahead_lines,
                          0, FC_IS_FLOAT && sizeof(FC_T) == 8);
    else
        FC_N(add_row)(q);
}

/* ---- what sums become ---- */

static void FC_N(finish_sums)(const fc_finish_sums *q)
{
    const ptrdiff_t n = q->n;
    const double cells = (double)q->cells, left = cells - q->ddof, scale = left > 0 ? 1 / left : __builtin_nan("");
    if (q->reduction == FC_REDUCE_VAR || q->reduction == FC_REDUCE_STD || q->doubles) {
        const double *restrict sum = q->wide, *restrict m2 = (const double *)((const char *)q->wide + q->half);
        /* An infinity makes its sum infinite, and sum - sum NaN. */
        if (q->reduction == FC_REDUCE_SUM && q->kind == FC_F32)
            FC_EACH(float, sum[x])
        if (q->reduction == FC_REDUCE_SUM)
            FC_EACH(double, sum[x])
        if (q->reduction == FC_REDUCE_MEAN && q->kind == FC_F32)
            FC_EACH(float, sum[x] * (1 / cells))
        if (q->reduction == FC_REDUCE_MEAN)
            FC_EACH(double, sum[x] / cells)
        if (q->reduction == FC_REDUCE_VAR && q->kind == FC_F32)
            FC_EACH(float, m2[x] * scale + (sum[x] - sum[x]))
        if (q->reduction == FC_REDUCE_VAR)
            FC_EACH(double, m2[x] * scale + (sum[x] - sum[x]))
        if (q->kind == FC_F32) {
            fc_roots(q, sum, m2, scale);
            return;
        }
        FC_EACH(double, __builtin_sqrt(m2[x] * scale + (sum[x] - sum[x])))
    }
#ifdef FC_INTEGER_TYPE
    FC_N(finish_whole)(q);
#endif
}

/* ---- bytes ---- */

#if defined FC_INTEGER_TYPE && FC_ELEMENT == 0
#define FC_NARROW
#include "neighborhood/box_sums_wide.h"
#undef FC_NARROW

static void fc_sum_columns_narrow(const fc_sums *q)
{
    if (q->raw)
        FC_W(add_columns)(q, 1);
    else
        FC_W(add_columns)(q, 0);
}

static void fc_sum_row_narrow(const fc_sums *q)
{
    FC_W(add_row)(q);
}

static void fc_finish_sums_narrow(const fc_finish_sums *q)
{
    FC_W(finish_whole)(q);
}

typedef int32_t fc_signed_words __attribute__((vector_size(FC_VEC_BYTES)));

/* Lanes of v moved up by k, zeros before them. */
FC_INLINE fc_words fc_moved_up(fc_words v, const uint32_t k)
{
    return __builtin_shuffle((fc_words){0}, v, FC_EACH_LANE + (FC_WORD_LANES - k));
}

/* Rows of numbers of 16 bits, whose differences are between -2^15 and 2^15, as sums of 32: each is the one before, a number
 * added and one taken away. For 2 * lanes sums 2 loads, 19 operations on 32 lanes of 16 or 16 of 32 bits, 2 stores, whatever the
 * window; 2 of them in the chain from step to step. */
static void fc_sum_row_widening(const fc_sums *q)
{
    const uint16_t *one = q->rows[0];
    uint32_t *s = q->out[0], first = 0;
    for (ptrdiff_t t = 0; t < q->window; t++)
        first += one[t];
    fc_words here = first - (fc_words){0};
    for (ptrdiff_t x = 0; x < q->n; x += 2 * FC_WORD_LANES) {
        const fc_signed_words steps = (fc_signed_words)(*(const FC_WVEC *)(one + x + q->window) - *(const FC_WVEC *)(one + x));
        const fc_words even = (fc_words)((fc_signed_words)((fc_words)steps << 16) >> 16), both = even + (fc_words)(steps >> 16);
        fc_words next = both;
        next += fc_moved_up(next, 1);
        next += fc_moved_up(next, 2);
        if (FC_WORD_LANES > 4)
            next += fc_moved_up(next, 4);
        if (FC_WORD_LANES > 8)
            next += fc_moved_up(next, 8);
        next += here;
        here = next - both;
        const fc_words after = here + even;
        *(fc_words *)(s + x) = __builtin_shuffle(here, after, FC_EACH_LANE / 2 + FC_EACH_LANE % 2 * FC_WORD_LANES);
        *(fc_words *)(s + x + FC_WORD_LANES) =
            __builtin_shuffle(here, after, (FC_EACH_LANE + FC_WORD_LANES) / 2 + FC_EACH_LANE % 2 * FC_WORD_LANES);
        here = next[FC_WORD_LANES - 1] - (fc_words){0};
    }
}
#endif

#undef FC_EACH
