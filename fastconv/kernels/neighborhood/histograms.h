/* How often each value of a window occurs: the most frequent one, and the entropy. Unsigned integers only; ranks.h makes keys.
 *
 * Bytes and 16 bits can have a histogram that moves along a line: for each run of cells one that leaves and one that enters,
 * with three loads and a store each. The most frequent value is looked for in all bins for each output, in bins / lanes vectors:
 * cheaper than branches that follow it from cell to cell. Other types sort each window; of windows that are too large for that,
 * a range of values after the other, as large as the memory, whose end is found bit by bit.
 */

#ifndef FC_TALLY_ONCE
#define FC_TALLY_ONCE

/* round(c * log2(c) * scale) */
FC_SHARED int64_t fc_log_of(const fc_tally *q, int64_t count)
{
    if (count <= q->most_logs)
        return q->logs[count];
    return (int64_t)__builtin_rint((double)count * __builtin_log2((double)count) * q->scale);
}

/* The entropy of n cells from the sum of the logarithms of their counts. */
FC_SHARED double fc_entropy(const fc_tally *q, ptrdiff_t n, int64_t sum)
{
    return n ? (double)(fc_log_of(q, n) - sum) / ((double)n * q->scale) : 0;
}

#endif

/* Shell's sort. */
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

/* Takes note of a value that occurs `count` times. */
FC_INLINE void FC_N(note)(const fc_tally *q, fc_so_far *so_far, FC_T value, ptrdiff_t count)
{
    if (count > so_far->most) {
        so_far->mode = value;
        so_far->most = count;
    }
    so_far->sum += q->logs ? fc_log_of(q, count) : 0;
}

/* The counting keys of output `at` that are `from` .. from + span; how many there are. They go to `x` unless that is NULL. */
FC_INLINE ptrdiff_t FC_N(keys_of)(const fc_tally *q, ptrdiff_t at, FC_T from, FC_T span, FC_T *x)
{
    const FC_T zero = (FC_T)((FC_T)1 << (8 * sizeof(FC_T) - 1)); /* of floats */
    ptrdiff_t n = 0;
    for (ptrdiff_t run = 0; run < q->runs; run++) {
        const ptrdiff_t first = q->run_start[run] + at;
        const FC_T *key = (const FC_T *)q->rows[q->run_line[run]] + first;
        const uint8_t *present = q->masked ? q->lines[q->run_line[run]].present + first : NULL;
        for (ptrdiff_t tap = 0; tap < q->run_length[run]; tap++) {
            const FC_T v = q->zeros && key[tap] == zero - 1 ? zero : key[tap];
            if (x)
                x[n] = v;
            n += (present ? present[tap] : 1) & ((FC_T)(v - from) <= span);
        }
    }
    return n;
}

FC_INLINE void FC_N(note_sorted)(const fc_tally *q, fc_so_far *so_far, FC_T *x, ptrdiff_t n)
{
    FC_N(sort)(x, n);
    for (ptrdiff_t i = 0, next; i < n; i = next) {
        for (next = i + 1; next < n && x[next] == x[i];)
            next++;
        FC_N(note)(q, so_far, x[i], next - i);
    }
}

FC_INLINE void FC_N(deliver)(const fc_tally *q, ptrdiff_t at, const fc_so_far *so_far, ptrdiff_t n)
{
    q->count[at] = n;
    if (q->logs)
        q->entropy[at] = fc_entropy(q, n, so_far->sum);
    else
        ((FC_T *)q->mode)[at] = (FC_T)so_far->mode;
}

static void FC_N(tally_sorted)(const fc_tally *q)
{
    for (ptrdiff_t at = q->first; at < q->n; at++) {
        fc_so_far so_far = {0};
        const ptrdiff_t n = FC_N(keys_of)(q, at, 0, (FC_T)-1, q->spare);
        FC_N(note_sorted)(q, &so_far, q->spare, n);
        FC_N(deliver)(q, at, &so_far, n);
    }
}

/* The next pass over the cells of output `first`: finds a range of values bit by bit, or sorts it. Returns whether more
 * follow. */
static int FC_N(tally_range)(const fc_tally *q)
{
    fc_so_far *so_far = q->so_far;
    const int bits = 8 * (int)sizeof(FC_T);
    if (!so_far->begun)
        *so_far = (fc_so_far){.begun = 1, .bit = bits};
    const FC_T from = (FC_T)so_far->from, rest = (FC_T)((FC_T)-1 - from);
    if (so_far->bit == bits) { /* all of them, or a range of one value */
        so_far->span = rest;
        so_far->n = FC_N(keys_of)(q, q->first, from, rest, NULL);
        if (so_far->n > q->room) {
            so_far->span = 0;
            so_far->n = FC_N(keys_of)(q, q->first, from, 0, NULL);
            so_far->bit = so_far->n > q->room ? 0 : bits - 1;
            return 1;
        }
    } else if (so_far->bit >= 0 && so_far->n <= q->room) {
        const FC_T more = (FC_T)(so_far->span | (FC_T)1 << so_far->bit--);
        const ptrdiff_t n = more <= rest ? FC_N(keys_of)(q, q->first, from, more, NULL) : q->room + 1;
        if (n <= q->room) {
            so_far->span = more;
            so_far->n = n;
        }
        return 1;
    }
    const FC_T span = (FC_T)so_far->span;
    if (so_far->n > q->room) {
        FC_N(note)(q, so_far, from, so_far->n);
    } else {
        FC_N(keys_of)(q, q->first, from, span, q->spare);
        FC_N(note_sorted)(q, so_far, q->spare, so_far->n);
    }
    so_far->from = (uint64_t)from + span + 1;
    so_far->bit = bits;
    if (span < rest)
        return 1;
    so_far->begun = 0;
    FC_N(deliver)(q, q->first, so_far, FC_N(keys_of)(q, q->first, 0, (FC_T)-1, NULL));
    return 0;
}

enum { FC_N(BINS) = sizeof(FC_T) == 1 ? 256 : 65536 }; /* of types that have a histogram */
typedef __typeof__(__builtin_choose_expr(sizeof(FC_T) == 1, (int32_t)0, (uint16_t)0)) FC_N(bin);

/* Where a run of cells ends: what leaves and what enters when the window moves from x to x + 1. */
typedef struct FC_N(edge) {
    const FC_T *leaves, *enters;
    const uint8_t *left, *entered;
} FC_N(edge);

/* Bins that are `wide` hold any count; returns what is in one after the addition. */
FC_INLINE int64_t FC_N(add_to)(void *bins, FC_T key, const int by, const int wide)
{
    return wide ? ((int64_t *)bins)[key] += by : (((FC_N(bin) *)bins)[key] += (FC_N(bin))by);
}

/* The first value of those that are the most frequent. */
FC_INLINE FC_T FC_N(most_frequent)(const void *bins, const int wide)
{
    if (wide) {
        int64_t most = 0;
        for (ptrdiff_t i = 0; i < FC_N(BINS); i++)
            most = ((const int64_t *)bins)[i] > most ? ((const int64_t *)bins)[i] : most;
        return (FC_T)~most;
    }
    FC_N(bin) most = 0;
    for (ptrdiff_t i = 0; i < FC_N(BINS); i++)
        most = ((const FC_N(bin) *)bins)[i] > most ? ((const FC_N(bin) *)bins)[i] : most;
    return (FC_T)~most;
}

FC_INLINE int64_t FC_N(log_at)(const fc_tally *q, int64_t count, const int wide)
{
    return wide ? fc_log_of(q, count) : q->logs[count];
}

/* For the mode a bin is BINS times its count and, below that, how many bins follow: the greatest is the first of the most
 * frequent. */
FC_INLINE void FC_N(tally_moving)(const fc_tally *q, const int logs, const int masked, const int wide)
{
    void *bins = q->spare;
    const ptrdiff_t bytes = FC_N(BINS) * (ptrdiff_t)(wide ? sizeof(int64_t) : sizeof(FC_N(bin)));
    FC_N(edge) *edges = (FC_N(edge) *)((char *)bins + bytes);
    const int one = logs ? 1 : FC_N(BINS);
    int64_t sum = 0;
    ptrdiff_t n = 0;
    memset(bins, 0, (size_t)bytes);
    for (int i = 0; i < FC_N(BINS) && !logs; i++)
        FC_N(add_to)(bins, (FC_T)i, FC_N(BINS) - 1 - i, wide);
    for (ptrdiff_t run = 0; run < q->runs; run++) {
        const ptrdiff_t first = q->run_start[run] + q->first;
        const FC_T *key = (const FC_T *)q->rows[q->run_line[run]] + first;
        const uint8_t *present = masked ? q->lines[q->run_line[run]].present + first : NULL;
        edges[run] = (FC_N(edge)){key, key + q->run_length[run], present, masked ? present + q->run_length[run] : NULL};
        for (ptrdiff_t tap = 0; tap < q->run_length[run]; tap++)
            if (!masked || present[tap]) {
                const int64_t count = FC_N(add_to)(bins, key[tap], one, wide);
                sum += logs ? FC_N(log_at)(q, count, wide) - FC_N(log_at)(q, count - 1, wide) : 0;
                n++;
            }
    }
    for (ptrdiff_t to = q->first, x = 0;; to++, x++) {
        q->count[to] = n;
        if (logs)
            q->entropy[to] = fc_entropy(q, n, sum);
        else
            ((FC_T *)q->mode)[to] = FC_N(most_frequent)(bins, wide);
        if (to == q->n - 1)
            return;
        for (ptrdiff_t run = 0; run < q->runs; run++) {
            const FC_N(edge) *edge = &edges[run];
            if (!masked || edge->left[x]) {
                const int64_t count = FC_N(add_to)(bins, edge->leaves[x], -one, wide);
                sum -= logs ? FC_N(log_at)(q, count + 1, wide) - FC_N(log_at)(q, count, wide) : 0;
                n--;
            }
            if (!masked || edge->entered[x]) {
                const int64_t count = FC_N(add_to)(bins, edge->enters[x], one, wide);
                sum += logs ? FC_N(log_at)(q, count, wide) - FC_N(log_at)(q, count - 1, wide) : 0;
                n++;
            }
        }
    }
}

/* Common windows have loops of their own. */
static int FC_N(tally)(const fc_tally *q)
{
    const int logs = q->logs != NULL;
    if (sizeof(FC_T) > 2 || !q->moving) {
        if (q->cells > q->room)
            return FC_N(tally_range)(q);
        FC_N(tally_sorted)(q);
    } else if (q->wide) {
        FC_N(tally_moving)(q, logs, q->masked, 1);
    } else if (logs && q->masked) {
        FC_N(tally_moving)(q, 1, 1, 0);
    } else if (logs) {
        FC_N(tally_moving)(q, 1, 0, 0);
    } else if (q->masked) {
        FC_N(tally_moving)(q, 0, 1, 0);
    } else {
        FC_N(tally_moving)(q, 0, 0, 0);
    }
    return 0;
}

/* Bytes for `tally`. */
static ptrdiff_t FC_N(tally_room)(ptrdiff_t room, ptrdiff_t runs, int moving, int wide)
{
    if (!moving)
        return (room + 1) * (ptrdiff_t)sizeof(FC_T);
    const ptrdiff_t bin = wide ? (ptrdiff_t)sizeof(int64_t) : (ptrdiff_t)sizeof(FC_N(bin));
    return FC_N(BINS) * bin + runs * (ptrdiff_t)sizeof(FC_N(edge));
}
