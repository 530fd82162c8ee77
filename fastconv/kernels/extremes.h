/* Least and greatest of boxes and of any other window, for every element type.
 *
 * Boxes: columns first, then rows. Columns (van Herk, Gil and Werman): the outputs of a segment no longer than the window share a
 * row, so each is an operation of a suffix before it and a running prefix after it: 3 operations, 3 loads and 2 stores a
 * vector for any window; up to FC_PAIRS rows two outputs share all but two rows, w/2 operations and (w + 1)/2 loads each.
 * Rows: spans of 4 are formed from 4 unaligned loads, then of 16, and so on; at most 8 spans cover the window.
 * Other windows are piles of runs, each of which two spans of a power of 2 cover: 2 loads and 2 operations a vector and run. */

#ifndef FC_EXTREMES_ONCE
#define FC_EXTREMES_ONCE

enum { FC_PAIRS = 6, FC_SEGMENT = 64 };

#endif

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
#pragma GCC unroll 4
            for (int i = 0; i < wide; i++)
                held[i] = FC_N(load)(FC_ROW(o + 1) + x + i * FC_LANES);
            for (ptrdiff_t t = 2; t < w; t++)
#pragma GCC unroll 4
                for (int i = 0; i < wide; i++)
                    held[i] = FC_N(pick_extreme)(held[i], FC_N(load)(FC_ROW(o + t) + x + i * FC_LANES), op);
#pragma GCC unroll 4
            for (int i = 0; i < wide; i++) {
                const ptrdiff_t at = x + i * FC_LANES;
                FC_N(put)(FC_OUT(o) + at, FC_N(pick_extreme)(held[i], FC_N(load)(FC_ROW(o) + at), op));
                FC_N(put)(FC_OUT(o + 1) + at, FC_N(pick_extreme)(held[i], FC_N(load)(FC_ROW(o + w) + at), op));
            }
        }
        for (; o < q->count; o++)
#pragma GCC unroll 4
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
#pragma GCC unroll 4
        for (int i = 0; i < wide; i++)
            held[i] = suffix[last - first][i] = FC_N(load)(FC_ROW(last) + x + i * FC_LANES);
        for (ptrdiff_t o = last - 1; o >= first; o--)
#pragma GCC unroll 4
            for (int i = 0; i < wide; i++)
                held[i] = suffix[o - first][i] = FC_N(pick_extreme)(held[i], FC_N(load)(FC_ROW(o) + x + i * FC_LANES), op);
        /* Output o ends with row o + w - 1; held becomes the prefix of the rows after `last`. */
        ptrdiff_t next = last + 1;
        for (ptrdiff_t o = first; o <= last; o++) {
            for (; next < o + w; next++)
#pragma GCC unroll 4
                for (int i = 0; i < wide; i++) {
                    const FC_VEC row = FC_N(load)(FC_ROW(next) + x + i * FC_LANES);
                    held[i] = next == last + 1 ? row : FC_N(pick_extreme)(held[i], row, op);
                }
#pragma GCC unroll 4
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
    for (; x + 4 * FC_LANES <= q->n; x += 4 * FC_LANES)
        FC_N(columns_strip)(q, x, 4, op);
    for (; x < q->n; x += FC_LANES) {
        /* No vector reaches beyond a line that holds one: step back and compute some elements again. */
        x = x + FC_LANES > q->n && q->n >= FC_LANES ? q->n - FC_LANES : x;
        FC_N(columns_strip)(q, x, 1, op);
    }
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
                               const int exact, FC_T *next, const int op)
{
    ptrdiff_t x = 0;
    next = next ? next : dst;
    for (; x + FC_LANES <= n; x += FC_LANES) {
        if (exact)
            __builtin_prefetch(next + x, 1);
        FC_N(put)(dst + x, FC_N(spans)(src, x, taps, step, end, op));
    }
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
        FC_N(spans_row)(q->spare, src, q->n + q->window - 4 * span, 4, span, 3 * span, 0, NULL, op);
        src = q->spare;
    }
    const ptrdiff_t end = q->window - span;
    switch ((q->window + span - 1) / span) {
    case 1: FC_N(spans_row)(q->out, src, q->n, 1, span, end, 1, q->next, op); return;
    case 2: FC_N(spans_row)(q->out, src, q->n, 2, span, end, 1, q->next, op); return;
    case 3: FC_N(spans_row)(q->out, src, q->n, 3, span, end, 1, q->next, op); return;
    case 4: FC_N(spans_row)(q->out, src, q->n, 4, span, end, 1, q->next, op); return;
    case 5: FC_N(spans_row)(q->out, src, q->n, 5, span, end, 1, q->next, op); return;
    case 6: FC_N(spans_row)(q->out, src, q->n, 6, span, end, 1, q->next, op); return;
    case 7: FC_N(spans_row)(q->out, src, q->n, 7, span, end, 1, q->next, op); return;
    default: FC_N(spans_row)(q->out, src, q->n, 8, span, end, 1, q->next, op); return;
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

/* `wide` vectors from element x of one pile. */
FC_INLINE void FC_N(pile_strip)(const void *const *lines, ptrdiff_t count, ptrdiff_t x, const int wide, FC_VEC *v, const int op)
{
#pragma GCC unroll 4
    for (int i = 0; i < wide; i++)
        v[i] = FC_N(load)((const FC_T *)lines[0] + x + i * FC_LANES);
    for (ptrdiff_t t = 1; t < count; t++)
#pragma GCC unroll 4
        for (int i = 0; i < wide; i++)
            v[i] = FC_N(pick_extreme)(v[i], FC_N(load)((const FC_T *)lines[t] + x + i * FC_LANES), op);
}

/* All piles at one strip before the next strip: neighbours share most of their lines, which then stay in the first-level cache. */
FC_INLINE void FC_N(pile_op)(const fc_pile *q, const int op)
{
    FC_VEC v[4];
    ptrdiff_t x = 0;
    for (; x + 4 * FC_LANES <= q->n; x += 4 * FC_LANES)
        for (ptrdiff_t o = 0; o < q->piles; o++) {
            FC_N(pile_strip)(q->lines + o * q->count, q->count, x, 4, v, op);
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                FC_N(put)((FC_T *)q->out[o] + x + i * FC_LANES, v[i]);
        }
    for (; x < q->n; x += FC_LANES)
        for (ptrdiff_t o = 0; o < q->piles; o++) {
            const ptrdiff_t left = q->n - x < FC_LANES ? q->n - x : FC_LANES;
            FC_N(pile_strip)(q->lines + o * q->count, q->count, x, 1, v, op);
            memcpy((FC_T *)q->out[o] + x, v, (size_t)left * sizeof(FC_T));
        }
}

static void FC_N(pile)(const fc_pile *q)
{
    switch (q->op) {
    case FC_OP_MIN: FC_N(pile_op)(q, FC_OP_MIN); return;
    case FC_OP_MAX: FC_N(pile_op)(q, FC_OP_MAX); return;
#ifndef FC_INTEGER_TYPE
    case FC_OP_MIN | FC_OP_NAN: FC_N(pile_op)(q, FC_OP_MIN | FC_OP_NAN); return;
    default: FC_N(pile_op)(q, FC_OP_MAX | FC_OP_NAN); return;
#endif
    }
}

static void FC_N(subtract)(void *out, const void *from, const void *what, ptrdiff_t n)
{
    FC_T *restrict c = out;
    const FC_T *a = from, *b = what;
    for (ptrdiff_t i = 0; i < n; i++)
        c[i] = (FC_T)(FC_IS_FLOAT ? a[i] - b[i] : (FC_T)((FC_WIDE_T)a[i] - (FC_WIDE_T)b[i]));
}

static void FC_N(nonzero)(uint8_t *restrict out, const void *src, ptrdiff_t n)
{
    const FC_T *x = src;
    for (ptrdiff_t i = 0; i < n; i++)
        out[i] = x[i] != 0;
}
