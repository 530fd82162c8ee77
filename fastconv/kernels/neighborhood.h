/* Named reductions of neighbourhoods, on lines loaded into blocks (lines.h), for every element type.
 *
 * `near` is the plain way, for any window, mask and NaN: CHUNK outputs at a time, one pass of the vector units over the
 * cells (var and std: two), so one or two loads, one operation and one store for CHUNK / lanes vectors and each cell.
 */

#include "simd.h"
#ifndef FC_INTEGER_TYPE
#include "elements.h"
#include "lines.h"
#endif

#ifndef FC_NEIGHBORHOOD_ONCE
#define FC_NEIGHBORHOOD_ONCE

enum { FC_NEAR_CHUNK = 64, FC_PAIRS = 6, FC_SEGMENT = 64 };

#endif

#undef FC_WIDE_T
#undef FC_IS_FLOAT
#undef FC_NO_VALUE
#undef FC_MOST
#undef FC_LEAST
#ifdef FC_INTEGER_TYPE
#define FC_IS_FLOAT 0
#define FC_WIDE_T uint64_t
#define FC_NO_VALUE 0
#define FC_MOST ((FC_T)((uint64_t)-1 >> (64 - 8 * sizeof(FC_T) + ((FC_T)-1 < 1))))
#define FC_LEAST ((FC_T)((FC_T)-1 < 1 ? ~FC_MOST : 0))
#else
#define FC_IS_FLOAT 1
#define FC_WIDE_T double
#define FC_NO_VALUE ((FC_T)__builtin_nan(""))
#define FC_MOST ((FC_T)__builtin_inf())
#define FC_LEAST (-FC_MOST)
#endif

/* a - b as a double, rounded once, whatever the type. */
FC_INLINE double FC_N(distance_from)(FC_T a, FC_T b)
{
    if (FC_IS_FLOAT || sizeof(FC_T) < 8)
        return (double)a - (double)b;
    return a >= b ? (double)((uint64_t)a - (uint64_t)b) : -(double)((uint64_t)b - (uint64_t)a);
}

/* The loop over cells: `each` sees the value v, whether it counts (p) and its output x. */
#define FC_CELLS(each)                                                                             \
    for (ptrdiff_t run = 0; run < q->runs; run++) {                                                \
        const fc_line *line = q->lines + q->run_line[run];                                         \
        const FC_T *value = (const FC_T *)line->at + q->run_start[run] + at;                       \
        const uint8_t *present = holes ? line->present + q->run_start[run] + at : NULL;            \
        for (ptrdiff_t tap = 0; tap < q->run_length[run]; tap++)                                   \
            for (int x = 0; x < FC_NEAR_CHUNK; x++) {                                              \
                const FC_T v = value[tap + x];                                                     \
                const int p = holes ? present[tap + x] : 1;                                        \
                each;                                                                              \
            }                                                                                      \
    }

typedef struct FC_N(chunk) {
    int64_t count[FC_NEAR_CHUNK];
    union {
        FC_T element[FC_NEAR_CHUNK];
        FC_WIDE_T wide[FC_NEAR_CHUNK];
        double real[FC_NEAR_CHUNK];
    } a, b;
} FC_N(chunk);

FC_INLINE void FC_N(near_count)(const fc_near *q, ptrdiff_t at, int64_t *count, const int holes)
{
    for (int x = 0; x < FC_NEAR_CHUNK; x++)
        count[x] = holes ? 0 : q->cells;
    if (!holes)
        return;
    for (ptrdiff_t run = 0; run < q->runs; run++) {
        const uint8_t *present = q->lines[q->run_line[run]].present + q->run_start[run] + at;
        for (ptrdiff_t tap = 0; tap < q->run_length[run]; tap++)
            for (int x = 0; x < FC_NEAR_CHUNK; x++)
                count[x] += present[tap + x];
    }
}

FC_INLINE void FC_N(near_extreme)(const fc_near *q, ptrdiff_t at, FC_T *result, const int greatest, const int holes)
{
    for (int x = 0; x < FC_NEAR_CHUNK; x++)
        result[x] = greatest ? FC_LEAST : FC_MOST;
    if (greatest)
        FC_CELLS(result[x] = p & ((v > result[x]) | (v != v)) ? v : result[x])
    else
        FC_CELLS(result[x] = p & ((v < result[x]) | (v != v)) ? v : result[x])
}

FC_INLINE void FC_N(near_sum)(const fc_near *q, ptrdiff_t at, FC_WIDE_T *sum, const int product, const int holes)
{
    for (int x = 0; x < FC_NEAR_CHUNK; x++)
        sum[x] = (FC_WIDE_T)product;
    if (product)
        FC_CELLS(sum[x] *= p ? (FC_WIDE_T)v : 1)
    else
        FC_CELLS(sum[x] += p ? (FC_WIDE_T)v : 0)
}

/* Means and variances: the first cell that counts is the pivot of 64-bit integers, 0 that of the others, whose sums are exact or
 * doubles; then the squares of the distances from the mean. */
FC_INLINE void FC_N(near_moments)(const fc_near *q, ptrdiff_t at, const int64_t *count, FC_N(chunk) *c, double *out,
                                  const int squares, const int holes)
{
    const int exact = !FC_IS_FLOAT && sizeof(FC_T) < 8;
    FC_T pivot[FC_NEAR_CHUNK] = {0};
    double mean[FC_NEAR_CHUNK];
    if (exact) {
        FC_N(near_sum)(q, at, c->a.wide, 0, holes);
        for (int x = 0; x < FC_NEAR_CHUNK; x++)
            mean[x] = (FC_T)-1 < 1 ? (double)(int64_t)c->a.wide[x] : (double)(uint64_t)c->a.wide[x];
    } else {
        if (!FC_IS_FLOAT) {
            uint8_t found[FC_NEAR_CHUNK] = {0};
            FC_CELLS(pivot[x] = p & !found[x] ? v : pivot[x]; found[x] |= (uint8_t)p)
        }
        for (int x = 0; x < FC_NEAR_CHUNK; x++)
            mean[x] = 0;
        FC_CELLS(mean[x] += p ? FC_N(distance_from)(v, pivot[x]) : 0)
    }
    for (int x = 0; x < FC_NEAR_CHUNK; x++)
        mean[x] /= (double)count[x];
    if (!squares) {
        for (int x = 0; x < FC_NEAR_CHUNK; x++)
            out[x] = (double)pivot[x] + mean[x];
        return;
    }
    for (int x = 0; x < FC_NEAR_CHUNK; x++)
        c->b.real[x] = 0;
    FC_CELLS(const double d = FC_N(distance_from)(v, pivot[x]) - mean[x]; c->b.real[x] += p ? d * d : 0)
    for (int x = 0; x < FC_NEAR_CHUNK; x++)
        out[x] = count[x] > q->ddof ? c->b.real[x] / ((double)count[x] - q->ddof) : __builtin_nan("");
}

FC_INLINE void FC_N(near_chunk)(const fc_near *q, ptrdiff_t at, FC_N(chunk) *c, const int holes)
{
    double *real = c->a.real;
    switch (q->reduction) {
    case FC_NEAR_MIN: FC_N(near_extreme)(q, at, c->a.element, 0, holes); break;
    case FC_NEAR_MAX: FC_N(near_extreme)(q, at, c->a.element, 1, holes); break;
    case FC_NEAR_RANGE:
        FC_N(near_extreme)(q, at, c->a.element, 1, holes);
        FC_N(near_extreme)(q, at, c->b.element, 0, holes);
        for (int x = 0; x < FC_NEAR_CHUNK; x++)
            c->a.element[x] = (FC_T)(FC_IS_FLOAT ? c->a.element[x] - c->b.element[x]
                                                 : (FC_T)((FC_WIDE_T)c->a.element[x] - (FC_WIDE_T)c->b.element[x]));
        break;
    case FC_NEAR_SUM: FC_N(near_sum)(q, at, c->a.wide, 0, holes); return;
    case FC_NEAR_PROD: FC_N(near_sum)(q, at, c->a.wide, 1, holes); return;
    case FC_NEAR_COUNT:
        for (int x = 0; x < FC_NEAR_CHUNK; x++)
            c->count[x] = 0;
        FC_CELLS(c->count[x] += p & (v != 0))
        return;
    case FC_NEAR_MEAN:
        FC_N(near_count)(q, at, c->count, holes);
        FC_N(near_moments)(q, at, c->count, c, real, 0, holes);
        return;
    default:
        FC_N(near_count)(q, at, c->count, holes);
        FC_N(near_moments)(q, at, c->count, c, real, 1, holes);
        for (int x = 0; x < FC_NEAR_CHUNK && q->reduction == FC_NEAR_STD; x++)
            real[x] = __builtin_sqrt(real[x]);
        return;
    }
    if (!holes)
        return;
    /* The least of nothing is NaN, or 0 where the type has none. */
    FC_N(near_count)(q, at, c->count, holes);
    for (int x = 0; x < FC_NEAR_CHUNK; x++)
        if (c->count[x] == 0)
            c->a.element[x] = FC_NO_VALUE;
}

#undef FC_CELLS

/* any and all: from the number of cells that are not 0. */
FC_INLINE void FC_N(near_truth)(const fc_near *q, ptrdiff_t at, FC_N(chunk) *c, uint8_t *out, const int holes)
{
    fc_near inner = *q;
    int64_t nonzero[FC_NEAR_CHUNK];
    inner.reduction = FC_NEAR_COUNT;
    FC_N(near_chunk)(&inner, at, c, holes);
    memcpy(nonzero, c->count, sizeof nonzero);
    FC_N(near_count)(q, at, c->count, holes);
    for (int x = 0; x < FC_NEAR_CHUNK; x++)
        out[x] = q->reduction == FC_NEAR_ANY ? nonzero[x] != 0 : nonzero[x] == c->count[x];
}

static void FC_N(near)(const fc_near *q)
{
    FC_N(chunk) c;
    for (ptrdiff_t at = 0; at < q->n; at += FC_NEAR_CHUNK) {
        const size_t n = (size_t)(q->n - at < FC_NEAR_CHUNK ? q->n - at : FC_NEAR_CHUNK);
        char *out = q->out;
        if (q->reduction == FC_NEAR_ANY || q->reduction == FC_NEAR_ALL) {
            uint8_t truth[FC_NEAR_CHUNK];
            if (q->holes)
                FC_N(near_truth)(q, at, &c, truth, 1);
            else
                FC_N(near_truth)(q, at, &c, truth, 0);
            memcpy(out + at, truth, n);
            continue;
        }
        if (q->holes)
            FC_N(near_chunk)(q, at, &c, 1);
        else
            FC_N(near_chunk)(q, at, &c, 0);
        if (q->reduction == FC_NEAR_COUNT)
            memcpy(out + at * 8, c.count, n * 8);
        else if (q->reduction <= FC_NEAR_RANGE)
            memcpy(out + at * (ptrdiff_t)sizeof(FC_T), c.a.element, n * sizeof(FC_T));
        else
            memcpy(out + at * 8, c.a.real, n * 8);
    }
}

/* ---- boxes: least and greatest ----
 *
 * Columns first, then rows. Columns (van Herk, Gil and Werman): the outputs of a segment no longer than the window share a
 * row, so each is an operation of a suffix before it and a running prefix after it: 3 operations, 3 loads and 2 stores a
 * vector for any window; up to FC_PAIRS rows two outputs share all but two rows, w/2 operations and (w + 1)/2 loads each.
 * Rows: spans of 4 are formed from 4 unaligned loads, then of 16, and so on; at most 8 spans cover the window. */

/* op(a, b); a NaN goes through where `nan` asks for it (vminps and its kin return b). */
FC_INLINE FC_VEC FC_N(pick_extreme)(FC_VEC a, FC_VEC b, const int op)
{
    const FC_VEC r = op & FC_OP_MAX ? FC_N(max)(a, b) : FC_N(min)(a, b);
#ifndef FC_INTEGER_TYPE
    if (op & FC_OP_NAN)
        return FC_N(pick)((FC_IVEC)(a != a), a, r);
#endif
    return r;
}

/* `wide` vectors from element x of all outputs. */
#define FC_ROW(i) ((const FC_T *)q->rows[(i) * q->step])
#define FC_OUT(i) ((FC_T *)q->out[(i) * q->step])
FC_INLINE void FC_N(columns_strip)(const fc_columns *q, ptrdiff_t x, const int wide, const int op)
{
    const ptrdiff_t w = q->window;
    FC_VEC held[4], suffix[FC_SEGMENT][4];
    if (w <= FC_PAIRS) {
        ptrdiff_t o = 0;
        for (; o + 1 < q->count && w > 1; o += 2) {
            for (int i = 0; i < wide; i++)
                held[i] = FC_N(load)(FC_ROW(o + 1) + x + i * FC_LANES);
            for (ptrdiff_t t = 2; t < w; t++)
                for (int i = 0; i < wide; i++)
                    held[i] = FC_N(pick_extreme)(held[i], FC_N(load)(FC_ROW(o + t) + x + i * FC_LANES), op);
            for (int i = 0; i < wide; i++) {
                const ptrdiff_t at = x + i * FC_LANES;
                FC_N(put)(FC_OUT(o) + at, FC_N(pick_extreme)(held[i], FC_N(load)(FC_ROW(o) + at), op));
                FC_N(put)(FC_OUT(o + 1) + at, FC_N(pick_extreme)(held[i], FC_N(load)(FC_ROW(o + w) + at), op));
            }
        }
        for (; o < q->count; o++)
            for (int i = 0; i < wide; i++) {
                const ptrdiff_t at = x + i * FC_LANES;
                held[i] = FC_N(load)(FC_ROW(o) + at);
                for (ptrdiff_t t = 1; t < w; t++)
                    held[i] = FC_N(pick_extreme)(held[i], FC_N(load)(FC_ROW(o + t) + at), op);
                FC_N(put)(FC_OUT(o) + at, held[i]);
            }
        return;
    }
    const ptrdiff_t most = w < FC_SEGMENT ? w : FC_SEGMENT, segments = (q->count + most - 1) / most;
    for (ptrdiff_t segment = 0; segment < segments; segment++) {
        const ptrdiff_t first = q->count * segment / segments, last = q->count * (segment + 1) / segments - 1;
        for (int i = 0; i < wide; i++)
            held[i] = suffix[last - first][i] = FC_N(load)(FC_ROW(last) + x + i * FC_LANES);
        for (ptrdiff_t o = last - 1; o >= first; o--)
            for (int i = 0; i < wide; i++)
                held[i] = suffix[o - first][i] = FC_N(pick_extreme)(held[i], FC_N(load)(FC_ROW(o) + x + i * FC_LANES), op);
        /* Output o ends with row o + w - 1; held becomes the prefix of the rows after `last`. */
        ptrdiff_t next = last + 1;
        for (ptrdiff_t o = first; o <= last; o++) {
            for (; next < o + w; next++)
                for (int i = 0; i < wide; i++) {
                    const FC_VEC row = FC_N(load)(FC_ROW(next) + x + i * FC_LANES);
                    held[i] = next == last + 1 ? row : FC_N(pick_extreme)(held[i], row, op);
                }
            for (int i = 0; i < wide; i++)
                FC_N(put)(FC_OUT(o) + x + i * FC_LANES,
                          next == last + 1 ? suffix[o - first][i] : FC_N(pick_extreme)(suffix[o - first][i], held[i], op));
        }
    }
}

#undef FC_ROW
#undef FC_OUT

FC_INLINE void FC_N(columns_op)(const fc_columns *q, const int op)
{
    ptrdiff_t x = 0;
    for (; x + 3 * FC_LANES < q->n; x += 4 * FC_LANES)
        FC_N(columns_strip)(q, x, 4, op);
    for (; x < q->n; x += FC_LANES)
        FC_N(columns_strip)(q, x, 1, op);
}

static void FC_N(columns)(const fc_columns *q)
{
    switch (q->op) {
    case FC_OP_MIN: FC_N(columns_op)(q, FC_OP_MIN); return;
    case FC_OP_MAX: FC_N(columns_op)(q, FC_OP_MAX); return;
#ifndef FC_INTEGER_TYPE
    case FC_OP_MIN | FC_OP_NAN: FC_N(columns_op)(q, FC_OP_MIN | FC_OP_NAN); return;
    default: FC_N(columns_op)(q, FC_OP_MAX | FC_OP_NAN); return;
#endif
    }
}

/* The vector at x of `taps` spans, `step` apart but for the last one, which begins at `end`. */
FC_INLINE FC_VEC FC_N(spans)(const FC_T *src, ptrdiff_t x, const int taps, ptrdiff_t step, ptrdiff_t end, const int op)
{
    FC_VEC v = FC_N(load)(src + x);
#pragma GCC unroll 8
    for (int t = 1; t < taps; t++)
        v = FC_N(pick_extreme)(v, FC_N(load)(src + x + (t == taps - 1 ? end : t * step)), op);
    return v;
}

/* dst may be src; with `exact` it ends after n elements. */
FC_INLINE void FC_N(spans_row)(FC_T *dst, const FC_T *src, ptrdiff_t n, const int taps, ptrdiff_t step, ptrdiff_t end,
                               const int exact, const int op)
{
    ptrdiff_t x = 0;
    for (; x + FC_LANES <= n; x += FC_LANES)
        FC_N(put)(dst + x, FC_N(spans)(src, x, taps, step, end, op));
    if (x == n)
        return;
    const FC_VEC v = FC_N(spans)(src, x, taps, step, end, op);
    if (exact)
        memcpy(dst + x, &v, (size_t)(n - x) * sizeof(FC_T));
    else
        FC_N(put)(dst + x, v);
}

FC_INLINE void FC_N(row_op)(const fc_row *q, const int op)
{
    const FC_T *src = q->src;
    ptrdiff_t span = 1;
    for (; span * 8 < q->window; span *= 4) {
        FC_N(spans_row)(q->spare, src, q->n + q->window - 4 * span, 4, span, 3 * span, 0, op);
        src = q->spare;
    }
    const ptrdiff_t end = q->window - span;
    switch ((q->window + span - 1) / span) {
    case 1: FC_N(spans_row)(q->out, src, q->n, 1, span, end, 1, op); return;
    case 2: FC_N(spans_row)(q->out, src, q->n, 2, span, end, 1, op); return;
    case 3: FC_N(spans_row)(q->out, src, q->n, 3, span, end, 1, op); return;
    case 4: FC_N(spans_row)(q->out, src, q->n, 4, span, end, 1, op); return;
    case 5: FC_N(spans_row)(q->out, src, q->n, 5, span, end, 1, op); return;
    case 6: FC_N(spans_row)(q->out, src, q->n, 6, span, end, 1, op); return;
    case 7: FC_N(spans_row)(q->out, src, q->n, 7, span, end, 1, op); return;
    default: FC_N(spans_row)(q->out, src, q->n, 8, span, end, 1, op); return;
    }
}

static void FC_N(row)(const fc_row *q)
{
    switch (q->op) {
    case FC_OP_MIN: FC_N(row_op)(q, FC_OP_MIN); return;
    case FC_OP_MAX: FC_N(row_op)(q, FC_OP_MAX); return;
#ifndef FC_INTEGER_TYPE
    case FC_OP_MIN | FC_OP_NAN: FC_N(row_op)(q, FC_OP_MIN | FC_OP_NAN); return;
    default: FC_N(row_op)(q, FC_OP_MAX | FC_OP_NAN); return;
#endif
    }
}

/* into = from - into, modulo 2^bits. */
static void FC_N(subtract)(void *into, const void *from, ptrdiff_t n)
{
    FC_T *a = into;
    const FC_T *b = from;
    for (ptrdiff_t i = 0; i < n; i++)
        a[i] = (FC_T)(FC_IS_FLOAT ? b[i] - a[i] : (FC_T)((FC_WIDE_T)b[i] - (FC_WIDE_T)a[i]));
}

static void FC_N(fill)(fc_kernels *table)
{
    fc_elements *k = &table->elements[FC_ELEMENT];
    k->bytes = sizeof(FC_T);
    k->near = FC_N(near);
    k->columns = FC_N(columns);
    k->row = FC_N(row);
    k->subtract = FC_N(subtract);
#ifndef FC_INTEGER_TYPE
    table->boundary = fc_boundary;
    table->fill_line = fc_fill_line;
    table->put_line = fc_put_line;
#endif
}
