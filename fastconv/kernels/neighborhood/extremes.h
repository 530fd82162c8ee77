/* Least and greatest of boxes and of any other window, for every element type. Next hop: base/simd.h.
 *
 * Boxes: columns first, then rows. Columns (van Herk, Gil and Werman): the outputs of a segment no longer than the window share a
 * row, so each is an operation of a suffix before it and a running prefix after it: 3 operations, 3 loads and 2 stores a
 * vector for any window; up to FC_PAIRS rows two outputs share all but two rows, w/2 operations and (w + 1)/2 loads each.
 * Rows: spans of 4 are formed from 4 unaligned loads, then of 16, and so on; at most 4 spans cover the window. With FC_SLIDES
 * spans of 2, 4, 8, 16 are formed in registers: an operation, a slide each; one load and one store in all.
 * Other windows are stacks of runs, each of which two spans of a power of 2 cover: 2 loads and 2 operations a vector and run. */

#ifndef FC_EXTREMES_ONCE
#define FC_EXTREMES_ONCE

enum { FC_PAIRS = 6, FC_SEGMENT = 64 };

#endif

/* op(a, b). vminps and its kin return b where one is NaN and where they are equal; with FC_OP_NAN both are asked in both orders,
 * whose bits make -0 less than 0, as IEEE 754-2019 has it, and let NaN through: one with the bits of a NaN and of any number is
 * NaN. */
FC_INLINE FC_VEC FC_N(pick_extreme)(FC_VEC a, FC_VEC b, const int op)
{
#ifndef FC_INTEGER_TYPE
    if (op == (FC_OP_MAX | FC_OP_NAN))
        return (FC_VEC)(((FC_IVEC)FC_N(max)(a, b) & (FC_IVEC)FC_N(max)(b, a)) | (FC_IVEC)(a != a) | (FC_IVEC)(b != b));
    if (op == (FC_OP_MIN | FC_OP_NAN))
        return (FC_VEC)((FC_IVEC)FC_N(min)(a, b) | (FC_IVEC)FC_N(min)(b, a));
#endif
    return op & FC_OP_MAX ? FC_N(max)(a, b) : FC_N(min)(a, b);
}

/* Results: with FC_OP_NAN there is one NaN. */
FC_INLINE FC_VEC FC_N(settled)(FC_VEC v, const int op)
{
#ifndef FC_INTEGER_TYPE
    if (op & FC_OP_NAN)
        return FC_N(pick)((FC_IVEC)(v != v), FC_N(splat)(FC_ONE_NAN), v);
#endif
    (void)op;
    return v;
}

/* Whether a row may hold a NaN: a sum of all is one then, or where infinities cancel; or holds a -0. */
#ifdef FC_INTEGER_TYPE
#define FC_CHECK(i, row)
#else
FC_INLINE int FC_N(any_special)(const FC_VEC *sum, const FC_IVEC *minus, const int wide)
{
    int found = 0;
    for (int i = 0; i < wide; i++)
        found |= FC_N(any)((FC_IVEC)(sum[i] != sum[i]) | minus[i]);
    return found;
}

#define FC_CHECK(i, row)                                                                       \
    if (check) {                                                                               \
        sum[i] += row;                                                                         \
        minus[i] |= (FC_IVEC)((FC_IVEC)(row) == (FC_IVEC)FC_N(splat)((FC_T)-0.0));             \
    }
#endif
#define FC_ROW(i) ((const FC_T *)q->rows[(i) * q->step])
#define FC_OUT(i) ((FC_T *)q->out[(i) * q->step])

/* `wide` vectors from element x of all outputs of a window of at most FC_PAIRS rows, while those beside them are prefetched: rows
 * are pages apart. Returns whether a row may be special if `op` does not look. */
FC_INLINE int FC_N(extreme_pairs_strip)(const fc_extreme_columns *q, ptrdiff_t x, const int wide, const int op)
{
    const ptrdiff_t w = q->window;
    const int check = FC_IS_FLOAT && !(op & FC_OP_NAN);
    FC_VEC held[4];
#ifndef FC_INTEGER_TYPE
    FC_VEC sum[4] = {{0}};
    FC_IVEC minus[4] = {{0}};
#endif
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
            const FC_VEC first = FC_N(load)(FC_ROW(o) + at), last = FC_N(load)(FC_ROW(o + w) + at);
            __builtin_prefetch(FC_ROW(o + w - 1) + at + wide * FC_LANES);
            __builtin_prefetch(FC_ROW(o + w) + at + wide * FC_LANES);
            FC_N(put)(FC_OUT(o) + at, FC_N(pick_extreme)(held[i], first, op));
            FC_N(put)(FC_OUT(o + 1) + at, FC_N(pick_extreme)(held[i], last, op));
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
    for (ptrdiff_t t = 0; check && t < q->count + w - 1; t++)
#pragma GCC unroll 4
        for (int i = 0; i < wide; i++) {
            FC_CHECK(i, FC_N(load)(FC_ROW(t) + x + i * FC_LANES))
        }
#ifndef FC_INTEGER_TYPE
    return check && FC_N(any_special)(sum, minus, wide);
#else
    return 0;
#endif
}

/* The same of a longer window. */
FC_INLINE int FC_N(extreme_segments_strip)(const fc_extreme_columns *q, ptrdiff_t x, const int wide, const int op)
{
    const ptrdiff_t w = q->window;
    const int check = FC_IS_FLOAT && !(op & FC_OP_NAN);
    FC_VEC held[4], suffix[FC_SEGMENT][4];
#ifndef FC_INTEGER_TYPE
    FC_VEC sum[4] = {{0}};
    FC_IVEC minus[4] = {{0}};
#endif
    const ptrdiff_t most = w < FC_SEGMENT ? w : FC_SEGMENT, segments = (q->count + most - 1) / most;
    for (ptrdiff_t segment = 0; segment < segments; segment++) {
        const ptrdiff_t first = q->count * segment / segments, last = q->count * (segment + 1) / segments - 1;
#pragma GCC unroll 4
        for (int i = 0; i < wide; i++) {
            held[i] = suffix[last - first][i] = FC_N(load)(FC_ROW(last) + x + i * FC_LANES);
            FC_CHECK(i, held[i])
        }
        for (ptrdiff_t o = last - 1; o >= first; o--)
#pragma GCC unroll 4
            for (int i = 0; i < wide; i++) {
                const FC_VEC row = FC_N(load)(FC_ROW(o) + x + i * FC_LANES);
                __builtin_prefetch(FC_ROW(o) + x + (wide + i) * FC_LANES);
                FC_CHECK(i, row)
                held[i] = suffix[o - first][i] = FC_N(pick_extreme)(held[i], row, op);
            }
        /* Output o ends with row o + w - 1; held becomes the prefix of the rows after `last`. */
        ptrdiff_t next = last + 1;
        for (ptrdiff_t o = first; o <= last; o++) {
            for (; next < o + w; next++)
#pragma GCC unroll 4
                for (int i = 0; i < wide; i++) {
                    const FC_VEC row = FC_N(load)(FC_ROW(next) + x + i * FC_LANES);
                    FC_CHECK(i, row)
                    held[i] = next == last + 1 ? row : FC_N(pick_extreme)(held[i], row, op);
                }
#pragma GCC unroll 4
            for (int i = 0; i < wide; i++)
                FC_N(put)(FC_OUT(o) + x + i * FC_LANES,
                          next == last + 1 ? suffix[o - first][i] : FC_N(pick_extreme)(suffix[o - first][i], held[i], op));
        }
    }
#ifndef FC_INTEGER_TYPE
    return check && FC_N(any_special)(sum, minus, wide);
#else
    (void)check;
    return 0;
#endif
}

FC_INLINE int FC_N(extreme_columns_strip)(const fc_extreme_columns *q, ptrdiff_t x, const int wide, const int op)
{
    if (q->window <= FC_PAIRS)
        return FC_N(extreme_pairs_strip)(q, x, wide, op);
    return FC_N(extreme_segments_strip)(q, x, wide, op);
}

#undef FC_ROW
#undef FC_OUT
#undef FC_CHECK

FC_INLINE int FC_N(extreme_columns_op)(const fc_extreme_columns *q, const int op)
{
    ptrdiff_t x = 0;
    int found = 0;
    for (; x + 4 * FC_LANES <= q->n; x += 4 * FC_LANES)
        found |= FC_N(extreme_columns_strip)(q, x, 4, op);
    for (; x < q->n; x += FC_LANES) {
        /* No vector reaches beyond a line that holds one: step back and compute some elements again. */
        x = x + FC_LANES > q->n && q->n >= FC_LANES ? q->n - FC_LANES : x;
        found |= FC_N(extreme_columns_strip)(q, x, 1, op);
    }
    return found;
}

static int FC_N(extreme_columns)(const fc_extreme_columns *q)
{
    switch (q->op) {
#ifndef FC_INTEGER_TYPE
    case FC_OP_MIN | FC_OP_NAN: return FC_N(extreme_columns_op)(q, FC_OP_MIN | FC_OP_NAN);
    case FC_OP_MAX | FC_OP_NAN: return FC_N(extreme_columns_op)(q, FC_OP_MAX | FC_OP_NAN);
#endif
    case FC_OP_MIN: return FC_N(extreme_columns_op)(q, FC_OP_MIN);
    default: return FC_N(extreme_columns_op)(q, FC_OP_MAX);
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
        FC_N(put)(dst + x, FC_N(settled)(FC_N(spans)(src, x, taps, step, end, op), exact ? op : 0));
    }
    if (x == n)
        return;
    const FC_VEC v = FC_N(settled)(FC_N(spans)(src, x, taps, step, end, op), exact ? op : 0);
    if (exact)
        memcpy(dst + x, &v, (size_t)(n - x) * sizeof(FC_T));
    else
        FC_N(put)(dst + x, v);
}

/* The same for 2^levels spans of 1 element and another that begins at `end`: vectors slide over each other in registers. */
FC_INLINE void FC_N(slide_row)(FC_T *dst, const FC_T *src, ptrdiff_t n, const int levels, ptrdiff_t end, const int exact,
                               FC_T *next, const int op)
{
    FC_N(slide_t) by[5];
    FC_VEC held[5];
#pragma GCC unroll 5
    for (int l = 0; l <= levels; l++) {
        by[l] = FC_N(slide_by)(l < levels ? (ptrdiff_t)1 << l : end);
        held[l] = FC_N(load)(src);
    }
    next = next ? next : dst;
    for (ptrdiff_t x = -levels * FC_LANES; x < n; x += FC_LANES) {
        FC_VEC v = FC_N(load)(src + x + (levels + 1) * FC_LANES);
#pragma GCC unroll 5
        for (int l = 0; l <= levels; l++) {
            const FC_VEC longer = FC_N(pick_extreme)(held[l], FC_N(slide)(held[l], v, by[l]), op);
            held[l] = v;
            v = longer;
        }
        if (x < 0)
            continue;
        v = FC_N(settled)(v, exact ? op : 0);
        if (exact && x + FC_LANES > n) {
            memcpy(dst + x, &v, (size_t)(n - x) * sizeof(FC_T));
            return;
        }
        if (exact)
            __builtin_prefetch(next + x, 1);
        FC_N(put)(dst + x, v);
    }
}

/* Windows of 4 to 2 * lanes elements, or the spans of `lanes` elements in a line of `n`. */
FC_INLINE void FC_N(slide_any)(FC_T *dst, const FC_T *src, ptrdiff_t n, ptrdiff_t window, const int exact, FC_T *next,
                               const int op)
{
    if (window >= 16 && FC_LANES >= 16)
        FC_N(slide_row)(dst, src, n, 4, window - 16, exact, next, op);
    else if (window >= 8)
        FC_N(slide_row)(dst, src, n, 3, window - 8, exact, next, op);
    else
        FC_N(slide_row)(dst, src, n, 2, window - 4, exact, next, op);
}

FC_INLINE void FC_N(extreme_row)(const fc_extreme_rows *q, const FC_T *src, FC_T *out, FC_T *next, const int op)
{
    ptrdiff_t span = 1;
    if (FC_SLIDES && q->window >= 4) {
        if (q->window <= 2 * FC_LANES) {
            FC_N(slide_any)(out, src, q->n, q->window, 1, next, op);
            return;
        }
        span = FC_LANES;
        FC_N(slide_any)(q->spare, src, q->n + q->window - span, span, 0, NULL, op);
        src = q->spare;
    }
    for (; span * 4 < q->window; span *= 4) {
        FC_N(spans_row)(q->spare, src, q->n + q->window - 4 * span, 4, span, 3 * span, 0, NULL, op);
        src = q->spare;
    }
    const ptrdiff_t end = q->window - span;
    switch ((q->window + span - 1) / span) {
    case 1: FC_N(spans_row)(out, src, q->n, 1, span, end, 1, next, op); return;
    case 2: FC_N(spans_row)(out, src, q->n, 2, span, end, 1, next, op); return;
    case 3: FC_N(spans_row)(out, src, q->n, 3, span, end, 1, next, op); return;
    default: FC_N(spans_row)(out, src, q->n, 4, span, end, 1, next, op); return;
    }
}

FC_INLINE void FC_N(extreme_rows_op)(const fc_extreme_rows *q, const int op)
{
    for (ptrdiff_t i = 0; i < q->count; i++)
        FC_N(extreme_row)(q, q->src[i], q->out[i], i + 1 < q->count ? q->out[i + 1] : NULL, op);
}

static void FC_N(extreme_rows)(const fc_extreme_rows *q)
{
    switch (q->op) {
    case FC_OP_MIN: FC_N(extreme_rows_op)(q, FC_OP_MIN); return;
    case FC_OP_MAX: FC_N(extreme_rows_op)(q, FC_OP_MAX); return;
#ifndef FC_INTEGER_TYPE
    case FC_OP_MIN | FC_OP_NAN: FC_N(extreme_rows_op)(q, FC_OP_MIN | FC_OP_NAN); return;
    default: FC_N(extreme_rows_op)(q, FC_OP_MAX | FC_OP_NAN); return;
#endif
    }
}

/* `wide` vectors from element x of one stack. */
FC_INLINE void FC_N(extreme_stack_strip)(const void *const *lines, ptrdiff_t count, ptrdiff_t x, const int wide, FC_VEC *v,
                                         const int op)
{
#pragma GCC unroll 4
    for (int i = 0; i < wide; i++)
        v[i] = FC_N(load)((const FC_T *)lines[0] + x + i * FC_LANES);
    for (ptrdiff_t t = 1; t < count; t++)
#pragma GCC unroll 4
        for (int i = 0; i < wide; i++)
            v[i] = FC_N(pick_extreme)(v[i], FC_N(load)((const FC_T *)lines[t] + x + i * FC_LANES), op);
}

/* All stacks at one strip before the next strip: neighbours share most of their lines, which then stay in the first-level
 * cache. */
FC_INLINE void FC_N(extreme_stacks_op)(const fc_extreme_stacks *q, const int op)
{
    FC_VEC v[4];
    ptrdiff_t x = 0;
    for (; x + 4 * FC_LANES <= q->n; x += 4 * FC_LANES)
        for (ptrdiff_t o = 0; o < q->stacks; o++) {
            FC_N(extreme_stack_strip)(q->lines + o * q->count, q->count, x, 4, v, op);
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                FC_N(put)((FC_T *)q->out[o] + x + i * FC_LANES, FC_N(settled)(v[i], op));
        }
    for (; x < q->n; x += FC_LANES)
        for (ptrdiff_t o = 0; o < q->stacks; o++) {
            FC_N(extreme_stack_strip)(q->lines + o * q->count, q->count, x, 1, v, op);
            v[0] = FC_N(settled)(v[0], op);
            if (x + FC_LANES <= q->n)
                FC_N(put)((FC_T *)q->out[o] + x, v[0]);
            else
                memcpy((FC_T *)q->out[o] + x, v, (size_t)(q->n - x) * sizeof(FC_T));
        }
}

static void FC_N(extreme_stacks)(const fc_extreme_stacks *q)
{
    switch (q->op) {
    case FC_OP_MIN: FC_N(extreme_stacks_op)(q, FC_OP_MIN); return;
    case FC_OP_MAX: FC_N(extreme_stacks_op)(q, FC_OP_MAX); return;
#ifndef FC_INTEGER_TYPE
    case FC_OP_MIN | FC_OP_NAN: FC_N(extreme_stacks_op)(q, FC_OP_MIN | FC_OP_NAN); return;
    default: FC_N(extreme_stacks_op)(q, FC_OP_MAX | FC_OP_NAN); return;
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

static void FC_N(nonzero)(uint8_t *out, const void *src, ptrdiff_t n)
{
    const FC_T *x = src;
#pragma GCC ivdep
    for (ptrdiff_t i = 0; i < n; i++)
        out[i] = x[i] != 0;
}
