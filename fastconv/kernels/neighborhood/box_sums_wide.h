/* Sums of boxes as numbers of one width, FC_SUM_T: included by box_sums.h for each type of elements and, for bytes, once more
 * with FC_NARROW for sums of 16 bits, twice as many in a vector, which hold what FC_NARROW_CELLS cells add up to. No step takes
 * more than 64 bytes or wide numbers at once: a line in place may hold no more. Next hop: base/simd.h.
 */

#undef FC_W
#ifdef FC_NARROW
#define FC_W(name) FC_N(name##_narrow)
#undef FC_SUM_T
#undef FC_WVEC
#define FC_SUM_T FC_N(narrow_t)
#define FC_WVEC FC_N(narrow_vec)
typedef uint16_t FC_SUM_T;
typedef FC_SUM_T FC_WVEC __attribute__((vector_size(FC_VEC_BYTES), may_alias, aligned(2)));

FC_INLINE FC_WVEC FC_W(load_wide)(const FC_T *p) { return (FC_WVEC)fc_load_bytes(p); }
#else
#define FC_W(name) FC_N(name)
#endif

/* A row: s[x], x < n, are the sums of `window` numbers. */
FC_INLINE void FC_W(add_row)(const fc_sums *q)
{
    const int lanes = (int)(FC_VEC_BYTES / sizeof(FC_SUM_T));
    const FC_SUM_T *one = q->rows[0], *a = one;
    FC_SUM_T *s = q->out[0];
    ptrdiff_t m = 1, ahead = q->ahead_lines;
    for (ptrdiff_t bit = fc_first_bit(q->window) >> 1; bit; bit >>= 1) {
        const int odd = (q->window & bit) != 0;
        const ptrdiff_t next = 2 * m + odd, count = q->n + q->window - next;
        if (odd)
            for (ptrdiff_t x = 0; x < count; x += lanes) {
                const FC_WVEC both = *(const FC_WVEC *)(a + x) + *(const FC_WVEC *)(a + x + m);
                *(FC_WVEC *)(s + x) = both + *(const FC_WVEC *)(one + x + 2 * m);
                fc_prefetch_results(q, ahead, x);
            }
        else
            for (ptrdiff_t x = 0; x < count; x += lanes) {
                *(FC_WVEC *)(s + x) = *(const FC_WVEC *)(a + x) + *(const FC_WVEC *)(a + x + m);
                fc_prefetch_results(q, ahead, x);
            }
        a = s, m = next, ahead = 0;
    }
}

/* Where the strip at x begins: no strip reaches beyond a line that holds one, some elements are computed again. */
FC_INLINE ptrdiff_t FC_W(whole_strip)(const fc_sums *q, ptrdiff_t x, ptrdiff_t unit)
{
    return x + unit > q->n && q->n >= unit ? q->n - unit : x;
}

/* The vector at x of a row of elements if `raw`, else of wide numbers. */
FC_INLINE FC_WVEC FC_W(widened)(const char *row, ptrdiff_t x, const int raw)
{
    return raw ? FC_W(load_wide)((const FC_T *)row + x) : *(const FC_WVEC *)((const FC_SUM_T *)row + x);
}

#ifdef FC_INTEGER_TYPE

/* Integers add up exactly in any order: each sum is the one before, a row added and a row taken away. */
FC_INLINE void FC_W(add_strip)(const fc_sums *q, ptrdiff_t x, const int raw, const int vectors)
{
    const ptrdiff_t lanes = (ptrdiff_t)(FC_VEC_BYTES / sizeof(FC_SUM_T));
    FC_WVEC sum[4] = {{0}};
    for (ptrdiff_t r = 0; r < q->window; r++)
#pragma GCC unroll 4
        for (int i = 0; i < vectors; i++)
            sum[i] += FC_W(widened)(q->rows[r * q->step], x + i * lanes, raw);
    for (ptrdiff_t o = 0, r = 0; o < q->count; o++) {
        for (; r < o * q->every; r++) {
            const char *next = q->rows[(r + q->window) * q->step], *last = q->rows[r * q->step];
            if (raw)
                __builtin_prefetch((const FC_T *)next + x + 8 * lanes);
#pragma GCC unroll 4
            for (int i = 0; i < vectors; i++)
                sum[i] += FC_W(widened)(next, x + i * lanes, raw) - FC_W(widened)(last, x + i * lanes, raw);
        }
#pragma GCC unroll 4
        for (int i = 0; i < vectors; i++)
            ((FC_WVEC *)((FC_SUM_T *)q->out[o * q->step] + x))[i] = sum[i];
    }
}

FC_INLINE void FC_W(add_columns)(const fc_sums *q, const int raw)
{
    enum { MOST = sizeof(FC_SUM_T) == 2 ? 2 : 4, LANES = FC_VEC_BYTES / sizeof(FC_SUM_T) };
    if (q->n < MOST * LANES)
        for (ptrdiff_t x = 0; x < q->n; x += LANES)
            FC_W(add_strip)(q, x, raw, 1);
    else
        for (ptrdiff_t x = 0; x < q->n; x += MOST * LANES) {
            x = FC_W(whole_strip)(q, x, MOST * LANES);
            FC_W(add_strip)(q, x, raw, MOST);
        }
}

/* Means of bytes to the nearest byte, halves to the even one: within FC_MEAN_CELLS cells the quotient of a float and a
 * reciprocal is on the right side of every half that it does not meet, and only an even number of cells meets halves. */
FC_INLINE void FC_W(finish_bytes)(const fc_finish_sums *q, const FC_SUM_T *restrict sum)
{
    const ptrdiff_t n = q->n;
    const float cells = (float)q->cells, scale = 1 / cells, half = cells / 2, integers = 0x1p23f; /* from here on no fractions */
    uint8_t *restrict out = q->out;
    if (q->cells & 1)
        for (ptrdiff_t x = 0; x < n; x++) {
            const float nearest = (float)(int32_t)sum[x] * scale + integers;
            uint32_t bits;
            memcpy(&bits, &nearest, 4);
            out[x] = (uint8_t)bits;
        }
    else
        for (ptrdiff_t x = 0; x < n; x++) {
            const float s = (float)(int32_t)sum[x], nearest = __builtin_rintf(s * scale);
            const float even = 2 * __builtin_rintf(s * scale / 2);
            out[x] = (uint8_t)(int32_t)(__builtin_fabsf(s - nearest * cells) == half ? even : nearest);
        }
}

/* sum and mean of integers. */
FC_INLINE void FC_W(finish_whole)(const fc_finish_sums *q)
{
    const FC_SUM_T *restrict sum = q->wide;
    const ptrdiff_t n = q->n;
    const double cells = (double)q->cells;
    if (q->reduction == FC_REDUCE_SUM && sizeof *sum < 4)
        FC_EACH(int32_t, sum[x])
    else if (q->reduction == FC_REDUCE_SUM)
        memcpy(q->out, sum, (size_t)n * sizeof *sum);
    else if (q->kind == FC_U8)
        FC_W(finish_bytes)(q, sum);
    else if (FC_LEAST == 0)
        FC_EACH(double, (double)sum[x] / cells)
    else
        FC_EACH(double, (double)(__typeof__(__builtin_choose_expr(sizeof *sum == 4, (int32_t)0, (int64_t)0)))sum[x] / cells)
}

#endif
