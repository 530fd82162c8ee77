/* How often each value of a window occurs: the most frequent one, and the entropy. Integers only.
 *
 * Bytes, and for the entropy 16 bits, have a histogram that moves along a line: for each run of cells one that leaves and
 * one that enters, with two or three loads and a store each. The most frequent value is looked for again (a few vectors of
 * counts) only when it has become rarer. Other types sort each window.
 */

#ifndef FC_TALLY_ONCE
#define FC_TALLY_ONCE

enum { FC_BYTES = 256, FC_MOST_COUNTED = 65535 };

/* The first of the most frequent bytes: the greatest of count and place in one number. */
FC_SHARED int fc_most_frequent(const uint16_t *counts)
{
    uint32_t most = 0;
    for (int i = 0; i < FC_BYTES; i++) {
        const uint32_t one = (uint32_t)counts[i] << 8 | (uint32_t)(FC_BYTES - 1 - i);
        most = one > most ? one : most;
    }
    return FC_BYTES - 1 - (int)(most & (FC_BYTES - 1));
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

static void FC_N(tally_sorted)(const fc_tally *q)
{
    FC_T *x = q->spare;
    for (ptrdiff_t at = q->first; at < q->n; at++) {
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

enum { FC_N(BINS) = sizeof(FC_T) == 1 ? 256 : 65536 }; /* of types that have a histogram */

/* Where a run of cells ends: what leaves and what enters when the window moves from x to x + 1. */
typedef struct FC_N(edge) {
    const FC_T *leaves, *enters;
    const uint8_t *left, *entered;
} FC_N(edge);

FC_INLINE void FC_N(tally_moving)(const fc_tally *q, const int logs, const int holes)
{
    uint16_t *counts = q->spare;
    const size_t bytes = sizeof(uint16_t) * FC_N(BINS);
    FC_N(edge) *edges = (FC_N(edge) *)((char *)q->spare + bytes);
    int64_t sum = 0;
    ptrdiff_t n = 0;
    FC_BITS mode = 0;
    uint16_t most = 0;
    int rarer = 1;
    memset(counts, 0, bytes);
    for (ptrdiff_t run = 0; run < q->runs; run++) {
        const ptrdiff_t first = q->run_start[run] + q->first;
        const FC_T *key = (const FC_T *)q->rows[q->run_line[run]] + first;
        const uint8_t *present = holes ? q->lines[q->run_line[run]].present + first : NULL;
        edges[run] = (FC_N(edge)){key, key + q->run_length[run], present, holes ? present + q->run_length[run] : NULL};
        for (ptrdiff_t tap = 0; tap < q->run_length[run]; tap++)
            if (!holes || present[tap]) {
                const uint16_t count = counts[(FC_BITS)key[tap] ^ FC_SIGN]++;
                sum += logs ? q->logs[count + 1] - q->logs[count] : 0;
                n++;
            }
    }
    for (ptrdiff_t to = q->first, x = 0;; to++, x++) {
        if (!logs && rarer) {
            mode = 2 * counts[mode] > n ? mode : (FC_BITS)fc_most_frequent(counts);
            most = counts[mode];
            rarer = 0;
        }
        q->count[to] = n;
        if (!logs)
            ((FC_T *)q->mode)[to] = (FC_T)(n ? mode ^ FC_SIGN : 0);
        else
            q->entropy[to] = n ? (double)(q->logs[n] - sum) / ((double)n * q->scale) : __builtin_nan("");
        if (to == q->n - 1)
            return;
        for (ptrdiff_t run = 0; run < q->runs; run++) {
            const FC_N(edge) *edge = &edges[run];
            if (!holes || edge->left[x]) {
                const FC_BITS bin = (FC_BITS)edge->leaves[x] ^ FC_SIGN;
                const uint16_t count = --counts[bin];
                sum -= logs ? q->logs[count + 1] - q->logs[count] : 0;
                rarer |= bin == mode;
                n--;
            }
            if (!holes || edge->entered[x]) {
                const FC_BITS bin = (FC_BITS)edge->enters[x] ^ FC_SIGN;
                const uint16_t count = counts[bin]++;
                sum += logs ? q->logs[count + 1] - q->logs[count] : 0;
                n++;
                if (!logs && (count >= most || (count + 1 == most && bin < mode))) {
                    most = count + 1;
                    mode = bin;
                }
            }
        }
    }
}

static void FC_N(tally)(const fc_tally *q)
{
    if (sizeof(FC_T) > (q->logs ? 2 : 1) || q->cells > FC_MOST_COUNTED)
        FC_N(tally_sorted)(q);
    else if (q->logs && q->holes)
        FC_N(tally_moving)(q, 1, 1);
    else if (q->logs)
        FC_N(tally_moving)(q, 1, 0);
    else if (q->holes)
        FC_N(tally_moving)(q, 0, 1);
    else
        FC_N(tally_moving)(q, 0, 0);
}

/* Bytes for `tally`. */
static ptrdiff_t FC_N(tally_room)(ptrdiff_t cells, ptrdiff_t runs)
{
    const ptrdiff_t moving = (ptrdiff_t)sizeof(uint16_t) * FC_N(BINS) + runs * (ptrdiff_t)sizeof(FC_N(edge));
    const ptrdiff_t sorted = (cells + 1) * (ptrdiff_t)sizeof(FC_T);
    return moving > sorted ? moving : sorted;
}
