/* Order statistics of neighbourhoods: any rank of any window, on lines of blocks (lines.h).
 *
 * Everything here compares integers: `keys` copies a line of floats as integers of the same order, and makes what does not
 * count the greatest integer, so that it stands behind every rank that is asked for.
 *
 * `select` is the plain way, for any window, any holes and any rank: the answer is built from its highest bit down, each bit
 * from the number of cells below the value tried. FC_SELECT_CHUNK outputs at a time; for each bit and cell one load, one
 * comparison and one masked addition a vector.
 */

#include "simd.h"

#ifndef FC_SELECT_ONCE
#define FC_SELECT_ONCE

enum { FC_SELECT_CHUNK = 64, FC_SELECT_FEW = 255 };

/* The rank that is asked for of `count` cells, and the position minus it. */
FC_SHARED ptrdiff_t fc_position(const fc_select *q, ptrdiff_t count, double *share)
{
    *share = 0;
    if (count == 0)
        return 0;
    if (q->quantile >= 0) {
        const double position = (double)(count - 1) * q->quantile;
        const ptrdiff_t rank = (ptrdiff_t)position;
        *share = position - (double)rank;
        return rank;
    }
    const ptrdiff_t rank = q->rank < 0 ? q->rank + count : q->rank;
    return rank < 0 ? 0 : rank < count ? rank : count - 1;
}

#endif

#undef FC_IS_FLOAT
#ifdef FC_INTEGER_TYPE
#define FC_IS_FLOAT 0
#undef FC_BITS
#undef FC_SIGN
#define FC_BITS FC_N(bits)
typedef __typeof__(__builtin_choose_expr(
    sizeof(FC_T) == 1, (uint8_t)0,
    __builtin_choose_expr(sizeof(FC_T) == 2, (uint16_t)0,
                          __builtin_choose_expr(sizeof(FC_T) == 4, (uint32_t)0, (uint64_t)0)))) FC_BITS;
/* Bits of a key as a number of the same order, and back: a key ^ FC_SIGN. */
#define FC_SIGN ((FC_BITS)((FC_T)-1 < 1 ? (FC_BITS)1 << (8 * sizeof(FC_T) - 1) : 0))

static void FC_N(keys)(void *to, const void *from, const uint8_t *present, ptrdiff_t n)
{
    const FC_T *x = from;
    FC_T *key = to;
    const FC_T most = (FC_T)((FC_BITS)-1 ^ FC_SIGN);
    if (!present)
        memcpy(to, from, (size_t)n * sizeof(FC_T));
    else
        for (ptrdiff_t i = 0; i < n; i++)
            key[i] = present[i] ? x[i] : most;
}

static void FC_N(values)(void *line, ptrdiff_t n)
{
    (void)line;
    (void)n;
}

/* Adds to total[x] how many cells of output at + x are below limit[x] or, with `equal`, equal to it. */
FC_INLINE void FC_N(count_below)(const fc_select *q, ptrdiff_t at, const FC_T *limit, ptrdiff_t *total, const int equal)
{
    FC_BITS few[FC_SELECT_CHUNK] = {0};
    int pending = 0;
    for (ptrdiff_t run = 0; run < q->runs; run++) {
        const FC_T *key = (const FC_T *)q->rows[q->run_line[run]] + q->run_start[run] + at;
        for (ptrdiff_t tap = 0; tap < q->run_length[run]; tap++) {
            for (int x = 0; x < FC_SELECT_CHUNK; x++)
                few[x] += equal ? key[tap + x] <= limit[x] : key[tap + x] < limit[x];
            if (++pending == FC_SELECT_FEW || (tap == q->run_length[run] - 1 && run == q->runs - 1)) {
                for (int x = 0; x < FC_SELECT_CHUNK; x++) {
                    total[x] += (ptrdiff_t)few[x];
                    few[x] = 0;
                }
                pending = 0;
            }
        }
    }
}

FC_INLINE void FC_N(select_chunk)(const fc_select *q, ptrdiff_t at, FC_T *low, FC_T *high)
{
    ptrdiff_t rank[FC_SELECT_CHUNK], total[FC_SELECT_CHUNK], *count = q->count + at;
    FC_T limit[FC_SELECT_CHUNK];
    for (int x = 0; x < FC_SELECT_CHUNK; x++)
        count[x] = q->holes ? 0 : q->cells;
    if (q->holes)
        for (ptrdiff_t run = 0; run < q->runs; run++) {
            const uint8_t *present = q->lines[q->run_line[run]].present + q->run_start[run] + at;
            for (ptrdiff_t tap = 0; tap < q->run_length[run]; tap++)
                for (int x = 0; x < FC_SELECT_CHUNK; x++)
                    count[x] += present[tap + x];
        }
    for (int x = 0; x < FC_SELECT_CHUNK; x++) {
        rank[x] = fc_position(q, count[x], &q->share[at + x]);
        low[x] = (FC_T)FC_SIGN;
    }
    for (int bit = 8 * (int)sizeof(FC_T) - 1; bit >= 0; bit--) {
        for (int x = 0; x < FC_SELECT_CHUNK; x++) {
            limit[x] = (FC_T)((FC_BITS)low[x] ^ (FC_BITS)((FC_BITS)1 << bit));
            total[x] = 0;
        }
        FC_N(count_below)(q, at, limit, total, 0);
        for (int x = 0; x < FC_SELECT_CHUNK; x++)
            low[x] = total[x] <= rank[x] ? limit[x] : low[x];
    }
    if (!high)
        return;
    /* The next one is the same, or the least above it. */
    for (int x = 0; x < FC_SELECT_CHUNK; x++) {
        high[x] = (FC_T)((FC_BITS)-1 ^ FC_SIGN);
        total[x] = 0;
    }
    FC_N(count_below)(q, at, low, total, 1);
    for (ptrdiff_t run = 0; run < q->runs; run++) {
        const FC_T *key = (const FC_T *)q->rows[q->run_line[run]] + q->run_start[run] + at;
        for (ptrdiff_t tap = 0; tap < q->run_length[run]; tap++)
            for (int x = 0; x < FC_SELECT_CHUNK; x++)
                high[x] = (key[tap + x] > low[x]) & (key[tap + x] < high[x]) ? key[tap + x] : high[x];
    }
    for (int x = 0; x < FC_SELECT_CHUNK; x++)
        high[x] = total[x] > rank[x] + 1 ? low[x] : high[x];
}

static void FC_N(select)(const fc_select *q)
{
    for (ptrdiff_t at = 0; at < q->n; at += FC_SELECT_CHUNK)
        FC_N(select_chunk)(q, at, (FC_T *)q->low + at, q->high ? (FC_T *)q->high + at : NULL);
}

/* ---- how often each value occurs ---- */

/* Shell's sort, of windows too few or too wide for histograms. */
FC_INLINE void FC_N(sort)(FC_T *x, ptrdiff_t n)
{
    ptrdiff_t gap = 1;
    while (gap < n / 3)
        gap = 3 * gap + 1;
    for (; gap > 0; gap /= 3)
        for (ptrdiff_t i = gap; i < n; i++) {
            const FC_T v = x[i];
            ptrdiff_t j = i;
            for (; j >= gap && x[j - gap] > v; j -= gap)
                x[j] = x[j - gap];
            x[j] = v;
        }
}

static void FC_N(tally)(const fc_tally *q)
{
    FC_T *x = q->spare;
    for (ptrdiff_t at = 0; at < q->n; at++) {
        ptrdiff_t n = 0, most = 0;
        int64_t sum = 0;
        FC_T mode = 0;
        for (ptrdiff_t run = 0; run < q->runs; run++) {
            const ptrdiff_t first = q->run_start[run] + at;
            const FC_T *key = (const FC_T *)q->rows[q->run_line[run]] + first;
            const uint8_t *present = q->holes ? q->lines[q->run_line[run]].present + first : NULL;
            for (ptrdiff_t tap = 0; tap < q->run_length[run]; tap++) {
                x[n] = q->zeros && key[tap] == (FC_T)-1 ? 0 : key[tap];
                n += present ? present[tap] : 1;
            }
        }
        FC_N(sort)(x, n);
        for (ptrdiff_t i = 0, next; i < n; i = next) {
            for (next = i + 1; next < n && x[next] == x[i];)
                next++;
            if (next - i > most)
                mode = x[i];
            most = next - i > most ? next - i : most;
            sum += q->logs ? q->logs[next - i] : 0;
        }
        q->count[at] = n;
        if (q->logs)
            q->entropy[at] = n ? (double)(q->logs[n] - sum) / ((double)n * q->scale) : __builtin_nan("");
        else
            ((FC_T *)q->mode)[at] = mode;
    }
}

#else
#define FC_IS_FLOAT 1

/* Floats in the order of integers: -0 before 0, a NaN at either end. */
static void FC_N(keys)(void *to, const void *from, const uint8_t *present, ptrdiff_t n)
{
    const FC_INT *x = from, most = sizeof(FC_T) == 4 ? (FC_INT)INT32_MAX : (FC_INT)INT64_MAX;
    FC_INT *key = to;
    for (ptrdiff_t i = 0; i < n; i++)
        key[i] = x[i] ^ ((x[i] < 0 ? -1 : 0) & most);
    if (present)
        for (ptrdiff_t i = 0; i < n; i++)
            key[i] = present[i] ? key[i] : most;
}

static void FC_N(values)(void *line, ptrdiff_t n)
{
    FC_N(keys)(line, line, NULL, n);
}

#endif

/* The result at the position between two ranks; NaN or 0 where nothing counts, NaN where one counts. */
FC_INLINE double FC_N(between)(FC_T low, FC_T high, double share)
{
    const double a = (double)low, b = (double)high;
    double d = b - a;
    if (!FC_IS_FLOAT && sizeof(FC_T) == 8) {
        if (share == 0.5)
            return (double)((__int128)low + (__int128)high) * 0.5;
        d = (double)((uint64_t)high - (uint64_t)low);
    }
    if (d > 0x1.fffffffffffffp1023 && share > 0)
        return a * (1 - share) + b * share;
    return share == 0 || a == b ? a : share < 0.5 ? a + d * share : b - d * (1 - share);
}

static void FC_N(finish)(const fc_finish *q)
{
    const FC_T *low = q->low, *high = q->high, *extreme = q->extreme;
    FC_T *out = q->out;
    double *real = q->out;
    for (ptrdiff_t i = 0; i < q->n && low; i++) {
        const double value = high ? FC_N(between)(low[i], high[i], q->share[i]) : (double)low[i];
        if (q->real)
            real[i] = q->count[i] ? value : __builtin_nan("");
        else if (FC_IS_FLOAT)
            out[i] = q->count[i] ? (FC_T)value : (FC_T)__builtin_nan("");
        else
            out[i] = q->count[i] ? low[i] : 0;
    }
    for (ptrdiff_t i = 0; i < q->n && FC_IS_FLOAT && extreme; i++)
        if (extreme[i] != extreme[i]) {
            if (q->real)
                real[i] = __builtin_nan("");
            else
                out[i] = extreme[i];
        }
}

static void FC_N(fill)(fc_kernels *table)
{
    fc_elements *k = &table->elements[FC_ELEMENT];
    k->keys = FC_N(keys);
    k->values = FC_N(values);
    k->finish = FC_N(finish);
#ifdef FC_INTEGER_TYPE
    k->select = FC_N(select);
    k->tally = FC_N(tally);
#endif
}
