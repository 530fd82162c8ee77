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

#if !defined FC_NARROW && !defined FC_INTEGER_TYPE

/* Numbers of a, then of b, from the k-th on. */
FC_INLINE FC_WVEC FC_W(moved)(FC_WVEC a, FC_WVEC b, ptrdiff_t k)
{
    return (FC_WVEC)FC_N(slide)((FC_VEC)a, (FC_VEC)b, FC_N(slide_by)(k * (ptrdiff_t)(sizeof(FC_SUM_T) / sizeof(FC_T))));
}

/* The last vectors of sums of two or three numbers, of 4 to 7 and of 8 to 15. */
typedef struct FC_W(latest) {
    FC_WVEC two[2], four[2], eight[3];
} FC_W(latest);

/* add_first_spans of one more vector, at x of the first bit; the sums of each other bit begin so far before it that all of their
 * numbers are there. Unless `whole`, there may be none yet, or no more of them. */
FC_INLINE void FC_W(add_first_span)(FC_W(latest) *last, FC_SUM_T *s, const FC_SUM_T *one, const ptrdiff_t *windows, ptrdiff_t n,
                                    ptrdiff_t x, const int bits, const int whole)
{
    enum { LANES = FC_VEC_BYTES / sizeof(FC_SUM_T) };
    const ptrdiff_t end = n + windows[bits];
    last->two[0] = last->two[1];
    if (whole || x < end - windows[1]) {
        last->two[1] = *(const FC_WVEC *)(one + x) + *(const FC_WVEC *)(one + x + 1);
        if (windows[1] & 1)
            last->two[1] += *(const FC_WVEC *)(one + x + 2);
    }
    x -= LANES;
    last->four[0] = last->four[1];
    if (whole || (x >= 0 && x < end - windows[2])) {
        last->four[1] = last->two[0] + FC_W(moved)(last->two[0], last->two[1], windows[1]);
        if (windows[2] & 1)
            last->four[1] += *(const FC_WVEC *)(one + x + 2 * windows[1]);
    }
    FC_WVEC sum = last->four[1];
    if (bits > 2) {
        x -= LANES;
        last->eight[0] = last->eight[1], last->eight[1] = last->eight[2];
        if (whole || (x >= 0 && x < end - windows[3])) {
            last->eight[2] = last->four[0] + FC_W(moved)(last->four[0], last->four[1], windows[2]);
            if (windows[3] & 1)
                last->eight[2] += *(const FC_WVEC *)(one + x + 2 * windows[2]);
        }
        sum = last->eight[2];
    }
    if (bits > 3) {
        x -= 2 * LANES;
        if (whole || (x >= 0 && x < n)) {
            sum = last->eight[0] + FC_W(moved)(last->eight[1], last->eight[2], windows[3] - LANES);
            if (windows[4] & 1)
                sum += *(const FC_WVEC *)(one + x + 2 * windows[3]);
        }
    }
    if (whole || (x >= 0 && x < n))
        *(FC_WVEC *)(s + x) = sum;
}

/* The first bits of add_spans at once, in registers: bit i makes windows[i + 1] numbers of windows[i]. */
FC_INLINE void FC_W(add_first_spans)(const fc_sums *q, FC_SUM_T *s, const FC_SUM_T *one, const ptrdiff_t *windows, ptrdiff_t n,
                                     ptrdiff_t ahead, const int bits)
{
    enum { LANES = FC_VEC_BYTES / sizeof(FC_SUM_T) };
    const ptrdiff_t lag = (bits == 4 ? 4 : bits - 1) * LANES;
    FC_W(latest) last = {{{0}}, {{0}}, {{0}}};
    ptrdiff_t x = 0;
    for (; x < lag; x += LANES)
        FC_W(add_first_span)(&last, s, one, windows, n, x, bits, 0);
    for (; x + LANES < n; x += 2 * LANES) {
        FC_W(add_first_span)(&last, s, one, windows, n, x, bits, 1);
        FC_W(add_first_span)(&last, s, one, windows, n, x + LANES, bits, 1);
        fc_prefetch_results(q, ahead, x - lag);
    }
    for (; x - lag < n; x += LANES)
        FC_W(add_first_span)(&last, s, one, windows, n, x, bits, 0);
}

#endif

/* s[x] = the sum of `window` > 1 numbers of `one`, `apart` from each other, x < n. */
FC_INLINE void FC_W(add_spans)(const fc_sums *q, FC_SUM_T *s, const FC_SUM_T *one, ptrdiff_t window, ptrdiff_t n, ptrdiff_t apart,
                               ptrdiff_t ahead)
{
    const int lanes = (int)(FC_VEC_BYTES / sizeof(FC_SUM_T));
    const FC_SUM_T *a = one;
    ptrdiff_t m = 1, bit = fc_first_bit(window) >> 1;
#if !defined FC_NARROW && !defined FC_INTEGER_TYPE
    if (FC_SLIDES && apart == 1 && window >= 4) {
        const int bits = window < 8 ? 2 : window < 16 ? 3 : 4;
        ptrdiff_t windows[5] = {1};
        for (int i = 0; i < bits; i++, bit >>= 1)
            m = windows[i + 1] = 2 * m + ((window & bit) != 0);
        n += window - m;
        if (bits == 2)
            FC_W(add_first_spans)(q, s, one, windows, n, ahead, 2);
        else if (bits == 3)
            FC_W(add_first_spans)(q, s, one, windows, n, ahead, 3);
        else
            FC_W(add_first_spans)(q, s, one, windows, n, ahead, 4);
        n -= window - m, a = s, ahead = 0;
    }
#endif
    for (; bit; bit >>= 1) {
        const int odd = (window & bit) != 0;
        const ptrdiff_t next = 2 * m + odd, count = n + (window - next) * apart, shift = m * apart;
        if (odd)
            for (ptrdiff_t x = 0; x < count; x += lanes) {
                const FC_WVEC both = *(const FC_WVEC *)(a + x) + *(const FC_WVEC *)(a + x + shift);
                *(FC_WVEC *)(s + x) = both + *(const FC_WVEC *)(one + x + 2 * shift);
                fc_prefetch_results(q, ahead, x);
            }
        else
            for (ptrdiff_t x = 0; x < count; x += lanes) {
                *(FC_WVEC *)(s + x) = *(const FC_WVEC *)(a + x) + *(const FC_WVEC *)(a + x + shift);
                fc_prefetch_results(q, ahead, x);
            }
        a = s, m = next, ahead = 0;
    }
}

#ifndef FC_NARROW

/* to[i] = the sum of units 0 .. i of a block or, `back`, of units i .. FC_ROW_UNITS - 1. */
FC_INLINE void FC_W(scan_units)(FC_SUM_T *to, const FC_SUM_T *units, const int back)
{
    enum { UNIT = FC_ROW_UNIT / sizeof(FC_SUM_T), LANES = FC_VEC_BYTES / sizeof(FC_SUM_T) };
    for (int lane = 0; lane < UNIT; lane += LANES) {
        FC_WVEC sum = {0};
#pragma GCC unroll 16
        for (int i = 0; i < FC_ROW_UNITS; i++) {
            const int at = (back ? FC_ROW_UNITS - 1 - i : i) * UNIT + lane;
            sum += *(const FC_WVEC *)(units + at);
            *(FC_WVEC *)(to + at) = sum;
        }
    }
}

/* A long row (van Herk, Gil and Werman): sums of units, a line in the cache's width, are found from every position on. A window
 * is some units and a rest; its units are a suffix of a block of FC_ROW_UNITS, whole blocks and a prefix of a block. Blocks
 * begin at multiples of their length of the whole line, of which the numbers begin at `phase`. */
FC_INLINE void FC_W(add_long_row)(const fc_sums *q)
{
    enum { UNIT = FC_ROW_UNIT / sizeof(FC_SUM_T), LANES = FC_VEC_BYTES / sizeof(FC_SUM_T), BLOCK = FC_ROW_UNITS * UNIT };
    const ptrdiff_t units = q->window / UNIT, rest = q->window % UNIT, end = q->phase + q->n;
    const ptrdiff_t between = (units - 1) / FC_ROW_UNITS, far = (units - 1) % FC_ROW_UNITS, blocks = (end - 1) / BLOCK + 1;
    const FC_SUM_T *one = (const FC_SUM_T *)q->rows[0] + units * UNIT - q->phase;
    FC_SUM_T *s = (FC_SUM_T *)q->out[0] - q->phase, *totals = (FC_SUM_T *)q->space, *middles = totals + (blocks + between) * UNIT;
    FC_SUM_T suffixes[BLOCK], prefixes[2][BLOCK];
    FC_W(add_spans)(q, q->out[0], q->rows[0], UNIT, q->n + (units - 1) * UNIT, 1, q->ahead_lines);
    memset(s, 0, (size_t)q->phase * sizeof *s);
    for (ptrdiff_t b = 1; b < blocks + between; b++) {
        FC_W(scan_units)(suffixes, s + b * BLOCK, 1);
        memcpy(totals + b * UNIT, suffixes, FC_ROW_UNIT);
    }
    FC_W(add_spans)(q, middles, totals + UNIT, between - 1, blocks * UNIT, UNIT, 0);
    FC_W(scan_units)(prefixes[0], s + between * BLOCK, 0);
    for (ptrdiff_t b = 0; b < blocks; b++) {
        FC_W(scan_units)(prefixes[~b & 1], s + (b + between + 1) * BLOCK, 0);
        FC_W(scan_units)(suffixes, s + b * BLOCK, 1);
        for (ptrdiff_t at = 0; at < BLOCK && b * BLOCK + at < end; at += UNIT) {
            const int later = at / UNIT + far >= FC_ROW_UNITS;
            const FC_SUM_T *prefix = prefixes[(b + later) & 1] + (at + far * UNIT) % BLOCK;
            for (int lane = 0; lane < UNIT; lane += LANES) {
                FC_WVEC sum = *(const FC_WVEC *)(suffixes + at + lane) + *(const FC_WVEC *)(middles + b * UNIT + lane);
                if (later)
                    sum += *(const FC_WVEC *)(totals + (b + between) * UNIT + lane);
                sum += *(const FC_WVEC *)(prefix + lane);
                for (ptrdiff_t i = 0; i < rest; i++)
                    sum += *(const FC_WVEC *)(one + b * BLOCK + at + lane + i);
                *(FC_WVEC *)(s + b * BLOCK + at + lane) = sum;
            }
        }
    }
}

#endif

/* A row: s[x], x < n, are the sums of `window` numbers. */
FC_INLINE void FC_W(add_row)(const fc_sums *q)
{
#ifndef FC_NARROW
    if (q->window * (ptrdiff_t)sizeof(FC_SUM_T) >= FC_LONG_ROW) {
        FC_W(add_long_row)(q);
        return;
    }
#endif
    FC_W(add_spans)(q, q->out[0], q->rows[0], q->window, q->n, 1, q->ahead_lines);
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

/* What cuts means off: the quotient of a sum and the length of a window, toward 0. Of 16 bits it is the upper half of a product
 * (Granlund and Montgomery 1994): floor(s / w) = (s + add) factor >> k where factor = 2^k / w, rounded up with an excess of
 * e / w that moves no sum beyond the next integer, s e < 2^k; else rounded down, and s + 1 in the place of s. 2^(k - 16) < w.
 * Wider sums are multiplied as doubles: s + 1/2, with the sign of s, is at least 1 / 2w from a multiple of w, and the error less
 * for means of 32 bits and w <= FC_CUT_WINDOW. */
typedef struct FC_W(divisor) {
    double reciprocal;
    uint16_t factor, add;
    int shift;
} FC_W(divisor);

FC_INLINE FC_W(divisor) FC_W(divisor_of)(ptrdiff_t window)
{
    const int shift = 63 - __builtin_clzll((unsigned long long)(window - 1) | 1);
    const int64_t one = (int64_t)1 << (16 + shift), up = (one - 1) / window + 1, add = 255 * window * (up * window - one) >= one;
    return (FC_W(divisor)){1 / (double)window, (uint16_t)(up - add), (uint16_t)add, shift};
}

FC_INLINE FC_SUM_T FC_W(cut)(FC_SUM_T sum, FC_W(divisor) by)
{
#ifdef FC_NARROW
    return (FC_SUM_T)((FC_SUM_T)((uint32_t)(uint16_t)(sum + by.add) * by.factor >> 16) >> by.shift);
#else
    typedef __typeof__(__builtin_choose_expr(sizeof sum == 4, (int32_t)0, (int64_t)0)) number;
    const double half = FC_LEAST < 0 && (number)sum < 0 ? -0.5 : 0.5;
    return (FC_SUM_T)(number)(((double)(number)sum + half) * by.reciprocal);
#endif
}

static void FC_W(cut_means)(const fc_cut_means *q)
{
    const FC_W(divisor) by = FC_W(divisor_of)(q->window);
    const ptrdiff_t n = q->n;
    FC_SUM_T *sum = q->wide;
    FC_T *restrict out = q->out;
    if (out)
        for (ptrdiff_t x = 0; x < n; x++)
            out[x] = (FC_T)FC_W(cut)(sum[x], by);
    else
        for (ptrdiff_t x = 0; x < n; x++)
            sum[x] = FC_W(cut)(sum[x], by);
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
