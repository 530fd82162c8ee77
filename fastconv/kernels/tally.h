/* How often each value of a window occurs: the most frequent one, and the entropy. Unsigned integers only.
 *
 * Bytes, and for the entropy 16 bits, have a histogram that moves along a line: for each run of cells one that leaves and
 * one that enters, with three loads and a store each. The most frequent byte is looked for among all 256 for each output,
 * in 256 / lanes vectors: cheaper than branches that follow it from cell to cell. Other types sort each window.
 */

#ifndef FC_TALLY_ONCE
#define FC_TALLY_ONCE

enum { FC_BYTES = 256, FC_MOST_COUNTED = 65535 };

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
    const FC_T zero = (FC_T)((FC_T)1 << (8 * sizeof(FC_T) - 1)); /* of floats */
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
                x[n] = q->zeros && key[tap] == zero - 1 ? zero : key[tap];
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

enum { FC_N(BINS) = sizeof(FC_T) == 1 ? FC_BYTES : 65536 }; /* of types that have a histogram */
typedef __typeof__(__builtin_choose_expr(sizeof(FC_T) == 1, (int32_t)0, (uint16_t)0)) FC_N(bin);

/* Where a run of cells ends: what leaves and what enters when the window moves from x to x + 1. */
typedef struct FC_N(edge) {
    const FC_T *leaves, *enters;
    const uint8_t *left, *entered;
} FC_N(edge);

/* For the mode a bin is FC_BYTES times its count and, below that, how many bins follow: the greatest is the first of the most
 * frequent. */
FC_INLINE void FC_N(tally_moving)(const fc_tally *q, const int logs, const int holes)
{
    FC_N(bin) *bins = q->spare;
    FC_N(edge) *edges = (FC_N(edge) *)(bins + FC_N(BINS));
    const FC_N(bin) one = logs ? 1 : FC_BYTES;
    int64_t sum = 0;
    ptrdiff_t n = 0;
    for (int i = 0; i < FC_N(BINS); i++)
        bins[i] = (FC_N(bin))(logs ? 0 : FC_BYTES - 1 - i);
    for (ptrdiff_t run = 0; run < q->runs; run++) {
        const ptrdiff_t first = q->run_start[run] + q->first;
        const FC_T *key = (const FC_T *)q->rows[q->run_line[run]] + first;
        const uint8_t *present = holes ? q->lines[q->run_line[run]].present + first : NULL;
        edges[run] = (FC_N(edge)){key, key + q->run_length[run], present, holes ? present + q->run_length[run] : NULL};
        for (ptrdiff_t tap = 0; tap < q->run_length[run]; tap++)
            if (!holes || present[tap]) {
                const FC_N(bin) count = bins[key[tap]] += one;
                sum += logs ? q->logs[count] - q->logs[count - 1] : 0;
                n++;
            }
    }
    for (ptrdiff_t to = q->first, x = 0;; to++, x++) {
        q->count[to] = n;
        if (logs) {
            q->entropy[to] = n ? (double)(q->logs[n] - sum) / ((double)n * q->scale) : __builtin_nan("");
        } else {
            FC_N(bin) most = 0;
            for (int i = 0; i < FC_BYTES; i++)
                most = bins[i] > most ? bins[i] : most;
            ((FC_T *)q->mode)[to] = (FC_T)~most;
        }
        if (to == q->n - 1)
            return;
        for (ptrdiff_t run = 0; run < q->runs; run++) {
            const FC_N(edge) *edge = &edges[run];
            if (!holes || edge->left[x]) {
                const FC_N(bin) count = bins[edge->leaves[x]] -= one;
                sum -= logs ? q->logs[count + 1] - q->logs[count] : 0;
                n--;
            }
            if (!holes || edge->entered[x]) {
                const FC_N(bin) count = bins[edge->enters[x]] += one;
                sum += logs ? q->logs[count] - q->logs[count - 1] : 0;
                n++;
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
    const ptrdiff_t moving = (ptrdiff_t)sizeof(FC_N(bin)) * FC_N(BINS) + runs * (ptrdiff_t)sizeof(FC_N(edge));
    const ptrdiff_t sorted = (cells + 1) * (ptrdiff_t)sizeof(FC_T);
    return moving > sorted ? moving : sorted;
}
