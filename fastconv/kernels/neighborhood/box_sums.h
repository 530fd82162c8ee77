/* Sums of boxes, and sums of squares about the mean, for every element type: columns first, then rows.
 *
 * A window of w is built from the first bit of w on: the sum of 2m numbers is that of two neighbours of m, and one more
 * number makes it 2m + 1. Floats are never subtracted, so nothing drifts and a NaN stays in its windows (integers are:
 * box_sums_wide.h and fc_sum_row_widening). No cut of the work shows in the bits: the order of additions is the same for every
 * output, or follows from its place in the whole array. Sums of squares join as M = Ma + Mb + ab / (a + b) (mean a - mean b)^2
 * (Chan, Golub, LeVeque 1979), all terms positive; of doubles `local`, relative to the first element of their window, so that a
 * variance is accurate at any distance from 0; those of narrower types are exact to far below their last bit as they are.
 *
 * Counts for each vector of wide numbers and bit of the window: 2 or 3 loads (1 or 2 of them across two cache lines in rows),
 * 1 or 2 additions and a store; with squares 4 or 6 loads, 5 or 10 operations and 2 stores. Columns are summed in strips of
 * FC_SUM_STRIP bytes that stay in the first-level cache; those of floats in tall windows in blocks (add_blocks): 3 loads, 3
 * additions, 2 stores. Where FC_SLIDES, the first bits of rows are one pass: a load, 1 or 2 additions, a move of lanes each. Rows
 * of FC_LONG_ROW bytes and more are found in blocks (add_long_row): three bits and then, whatever the window, 3 loads, additions
 * and stores for each vector that windows see, and for each of the results 3 to 11 loads, 2 to 10 additions and a store.
 * Next hop: box_sums_wide.h.
 */

#ifndef FC_SUMS_ONCE
#define FC_SUMS_ONCE

typedef double fc_double_vec __attribute__((vector_size(FC_VEC_BYTES), may_alias, aligned(8)));

enum { FC_WIDE_STRIP = 8 }; /* vectors */

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

/* Shares of two neighbours of `a` and `b` elements, and the reciprocal of the sizes' harmonic sum. */
typedef struct fc_weights {
    double b, share_a, share_b, scale;
} fc_weights;

FC_INLINE fc_weights fc_weights_of(double a, double b)
{
    return (fc_weights){b, a / (a + b), b / (a + b), (a + b) / a / b};
}

/* Sums and squares of a window and, `apart` from its first element, those of the window that follows. */
FC_INLINE void fc_append(fc_double_vec *sum, fc_double_vec *squares, fc_double_vec next, fc_double_vec more, fc_weights w,
                         fc_double_vec apart)
{
    next += w.b * apart;
    const fc_double_vec e = *sum * w.share_b - next * w.share_a;
    *squares += more + e * w.scale * e;
    *sum += next;
}

/* to[i] = units 0 .. i of a block or, `back`, units i .. FC_ROW_UNITS - 1; weights[i] are those of i + 1 and one. */
FC_INLINE void fc_scan_squares(fc_squares to, fc_squares units, const fc_weights *weights, double unit, const int back,
                               const int local)
{
    enum { UNIT = FC_ROW_UNIT / 8, LANES = FC_VEC_BYTES / 8 };
    for (int lane = 0; lane < UNIT; lane += LANES) {
        const int begin = (back ? FC_ROW_UNITS - 1 : 0) * UNIT + lane;
        fc_double_vec sum = FC_AT(units.sum, begin), squares = FC_AT(units.squares, begin);
        FC_AT(to.sum, begin) = sum;
        FC_AT(to.squares, begin) = squares;
        for (int i = 1; i < FC_ROW_UNITS; i++) {
            const int at = (back ? FC_ROW_UNITS - 1 - i : i) * UNIT + lane;
            fc_double_vec apart = {0};
            if (local)
                apart = back ? FC_AT(units.first, at + UNIT) - FC_AT(units.first, at)
                             : FC_AT(units.first, at) - FC_AT(units.first, lane);
            if (back) {
                const fc_weights w = weights[i - 1];
                fc_double_vec one = FC_AT(units.sum, at), more = FC_AT(units.squares, at);
                fc_append(&one, &more, sum, squares, (fc_weights){i * unit, w.share_b, w.share_a, w.scale}, apart);
                sum = one, squares = more;
            } else {
                fc_append(&sum, &squares, FC_AT(units.sum, at), FC_AT(units.squares, at), weights[i - 1], apart);
            }
            FC_AT(to.sum, at) = sum;
            FC_AT(to.squares, at) = squares;
        }
    }
}

FC_INLINE fc_squares fc_squares_at(fc_squares s, ptrdiff_t at)
{
    return (fc_squares){s.sum + at, s.squares + at, s.first ? s.first + at : NULL};
}

/* A long row as add_long_row has it (box_sums_wide.h). */
FC_INLINE void fc_square_long_row(const fc_sums *q, fc_squares to, fc_squares one, const int local)
{
    enum { UNIT = FC_ROW_UNIT / 8, LANES = FC_VEC_BYTES / 8, BLOCK = FC_ROW_UNITS * UNIT };
    const ptrdiff_t units = q->window / UNIT, rest = q->window % UNIT, end = q->phase + q->n;
    const ptrdiff_t between = (units - 1) / FC_ROW_UNITS, far = (units - 1) % FC_ROW_UNITS, blocks = (end - 1) / BLOCK + 1;
    const ptrdiff_t plane = (blocks + between) * UNIT;
    const double cells = (double)q->cells, unit = UNIT * cells, block = BLOCK * cells;
    double *space = (double *)q->space, after[2][BLOCK], before[2][2][BLOCK];
    const fc_squares totals = {space, space + plane, local ? space + 2 * plane : NULL};
    const fc_squares middles = {space + 3 * plane, space + 4 * plane, NULL}, suffixes = {after[0], after[1], NULL};
    const fc_squares prefixes[2] = {{before[0][0], before[0][1], NULL}, {before[1][0], before[1][1], NULL}};
    fc_weights scans[FC_ROW_UNITS], middle[FC_ROW_UNITS], total[FC_ROW_UNITS], prefix[FC_ROW_UNITS], last[UNIT];
    fc_sums of = *q;
    of.window = UNIT;
    fc_square_windows(&of, to, one, q->n + (units - 1) * UNIT, 1, q->ahead_lines, 0, local);
    for (int i = 0; i < FC_ROW_UNITS; i++) {
        const double suffix = (FC_ROW_UNITS - i) * unit, inner = suffix + (double)(between - 1) * block;
        const int later = i + far >= FC_ROW_UNITS;
        scans[i] = fc_weights_of((i + 1) * unit, unit);
        middle[i] = fc_weights_of(suffix, (double)(between - 1) * block);
        total[i] = fc_weights_of(inner, block);
        prefix[i] = fc_weights_of(later ? inner + block : inner, (double)((i + far) % FC_ROW_UNITS + 1) * unit);
    }
    for (int i = 0; i < rest; i++)
        last[i] = fc_weights_of((double)units * unit + i * cells, cells);
    to = fc_squares_at(to, -q->phase), one = fc_squares_at(one, -q->phase);
    to.first = one.first;
    memset(to.sum, 0, (size_t)q->phase * 8);
    memset(to.squares, 0, (size_t)q->phase * 8);
    for (ptrdiff_t b = 1; b < blocks + between; b++) {
        fc_scan_squares(suffixes, fc_squares_at(to, b * BLOCK), scans, unit, 1, local);
        memcpy(totals.sum + b * UNIT, suffixes.sum, FC_ROW_UNIT);
        memcpy(totals.squares + b * UNIT, suffixes.squares, FC_ROW_UNIT);
        if (local)
            memcpy(totals.first + b * UNIT, to.first + b * BLOCK, FC_ROW_UNIT);
    }
    of.window = between - 1, of.cells = q->cells * BLOCK;
    fc_square_windows(&of, middles, fc_squares_at(totals, UNIT), blocks * UNIT, UNIT, 0, 0, local);
    fc_scan_squares(prefixes[0], fc_squares_at(to, between * BLOCK), scans, unit, 0, local);
    for (ptrdiff_t b = 0; b < blocks; b++) {
        fc_scan_squares(prefixes[~b & 1], fc_squares_at(to, (b + between + 1) * BLOCK), scans, unit, 0, local);
        fc_scan_squares(suffixes, fc_squares_at(to, b * BLOCK), scans, unit, 1, local);
        for (int i = 0; i < FC_ROW_UNITS && b * BLOCK + i * UNIT < end; i++) {
            const int later = i + far >= FC_ROW_UNITS, at = (int)((i + far) % FC_ROW_UNITS) * UNIT;
            const fc_squares ends = prefixes[(b + later) & 1];
            for (int lane = 0; lane < UNIT; lane += LANES) {
                const ptrdiff_t x = b * BLOCK + i * UNIT + lane;
                const ptrdiff_t t = (b + 1) * UNIT + lane, far_block = (b + between) * UNIT + lane;
                fc_double_vec sum = FC_AT(suffixes.sum, i * UNIT + lane), squares = FC_AT(suffixes.squares, i * UNIT + lane);
                fc_double_vec first = {0}, apart = {0};
                if (local)
                    first = FC_AT(one.first, x), apart = FC_AT(totals.first, t) - first;
                fc_append(&sum, &squares, FC_AT(middles.sum, t - UNIT), FC_AT(middles.squares, t - UNIT), middle[i], apart);
                if (local)
                    apart = FC_AT(totals.first, far_block) - first;
                if (later)
                    fc_append(&sum, &squares, FC_AT(totals.sum, far_block), FC_AT(totals.squares, far_block), total[i], apart);
                if (local && later)
                    apart = FC_AT(one.first, (b + between + 1) * BLOCK + lane) - first;
                fc_append(&sum, &squares, FC_AT(ends.sum, at + lane), FC_AT(ends.squares, at + lane), prefix[i], apart);
                for (int k = 0; k < rest; k++) {
                    const ptrdiff_t next = x + units * UNIT + k;
                    if (local)
                        apart = FC_AT(one.first, next) - first;
                    fc_append(&sum, &squares, FC_AT(one.sum, next), FC_AT(one.squares, next), last[k], apart);
                }
                FC_AT(to.sum, x) = sum;
                FC_AT(to.squares, x) = squares;
            }
        }
    }
}

#undef FC_AT

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

/* Tall windows (van Herk, Gil and Werman), a strip of some vectors at x: a window is a suffix of one block of q->window rows and
 * a prefix of the next. Blocks begin at multiples of their length of all rows, of which the first is row q->phase. */
FC_INLINE void FC_N(add_blocks)(const fc_sums *q, ptrdiff_t x, const int raw, const int vectors)
{
    const int lanes = (int)(FC_VEC_BYTES / sizeof(FC_SUM_T)), unit = vectors * lanes;
    const ptrdiff_t window = q->window, end = (q->count - 1) * q->every + 1;
    const FC_WVEC nothing = -(FC_WVEC){0}; /* which leaves -0 as it is */
    FC_SUM_T *suffixes = (FC_SUM_T *)q->space;
    for (ptrdiff_t block = -(q->phase % window), o = 0; block < end; block += window) {
        FC_WVEC sum[FC_WIDE_STRIP];
#pragma GCC unroll 8
        for (int i = 0; i < vectors; i++)
            sum[i] = nothing;
        for (ptrdiff_t r = block + window - 1; r >= block && r >= 0; r--)
#pragma GCC unroll 8
            for (int i = 0; i < vectors; i++) {
                sum[i] += FC_N(widened)(q->rows[r * q->step], x + i * lanes, raw);
                *(FC_WVEC *)(suffixes + (r - block) * unit + i * lanes) = sum[i];
            }
#pragma GCC unroll 8
        for (int i = 0; i < vectors; i++)
            sum[i] = nothing;
        for (ptrdiff_t r = block; r < block + window && r < end; r++) {
            const char *row = q->rows[(r + window - 1) * q->step];
            if (raw)
                __builtin_prefetch((const FC_T *)row + x + 2 * unit);
#pragma GCC unroll 8
            for (int i = 0; i < vectors && r > block; i++)
                sum[i] += FC_N(widened)(row, x + i * lanes, raw);
            if (r != o * q->every)
                continue;
            FC_SUM_T *to = (FC_SUM_T *)q->out[o++ * q->step] + x;
#pragma GCC unroll 8
            for (int i = 0; i < vectors; i++)
                *(FC_WVEC *)(to + i * lanes) = *(const FC_WVEC *)(suffixes + (r - block) * unit + i * lanes) + sum[i];
        }
    }
}

FC_INLINE void FC_N(add_tall)(const fc_sums *q, const int raw)
{
    enum { LANES = FC_VEC_BYTES / sizeof(FC_SUM_T), STRIP = FC_SUM_STRIP / sizeof(FC_SUM_T), WIDE = FC_WIDE_STRIP * LANES };
    if (q->n < WIDE)
        for (ptrdiff_t x = 0; x < q->n; x += STRIP)
            FC_N(add_blocks)(q, FC_N(whole_strip)(q, x, STRIP), raw, STRIP / LANES);
    else
        for (ptrdiff_t x = 0; x < q->n; x += WIDE)
            FC_N(add_blocks)(q, FC_N(whole_strip)(q, x, WIDE), raw, FC_WIDE_STRIP);
}

FC_INLINE void FC_N(add_columns)(const fc_sums *q, const int raw)
{
    const ptrdiff_t unit = FC_SUM_STRIP / (ptrdiff_t)sizeof(FC_SUM_T);
    if (FC_BY_BLOCKS(sizeof(FC_T), q->window)) {
        FC_N(add_tall)(q, raw);
        return;
    }
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
    const int local = FC_IS_FLOAT && sizeof(FC_T) == 8;
    const fc_squares to = {(double *)s, (double *)(s + half), NULL};
    const fc_squares from = {(double *)one, (double *)(one + half), local ? (double *)(one + 2 * half) : NULL};
    if (!q->squares)
        FC_N(add_row)(q);
    else if (q->window * 8 >= FC_LONG_ROW)
        fc_square_long_row(q, to, from, local);
    else
        fc_square_windows(q, to, from, q->n, 1, q->ahead_lines, 0, local);
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

static void fc_cut_means_narrow(const fc_cut_means *q)
{
    FC_W(cut_means)(q);
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
