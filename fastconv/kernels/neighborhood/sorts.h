/* FC_DO_NETWORK: cells of windows in order, a lane an output, a wire a cell.
 *
 * Wires are sorted FC_REGISTER_CELLS at a time in registers: a load and a store for each, 60 comparators of two operations. A
 * table lists what merges these: three loads, two operations and two stores for each comparator, of which stores are the bound
 * where two vectors hide their latency. The last merger is none: of two lists a[i] has rank r if r - i of b are less, so that
 * three loads, two comparisons and an addition for each wire sum the ranks low .. high. Of numbers that may be NaN each wire
 * costs three operations more and each output two. Next hop: networks.h.
 */

#include "neighborhood/networks.h"

FC_INLINE void FC_N(load_wires)(const int nans, const fc_operation *q, ptrdiff_t i, ptrdiff_t first, FC_VEC *v, FC_VEC *missing)
{
#ifdef FC_INTEGER_TYPE
    const FC_T sign = (FC_T)((FC_T)1 << (8 * sizeof(FC_T) - 1));
    const FC_VEC most = FC_N(splat)((FC_T)-1 < 1 ? (FC_T)~sign : (FC_T)-1);
    (void)nans, (void)missing;
#else
    const FC_VEC most = FC_N(splat)((FC_T)__builtin_inf()), one = FC_N(splat)(1);
#endif
#pragma GCC unroll 16
    for (int j = 0; j < FC_REGISTER_CELLS; j++) {
        const FC_T *from = first + j < q->count ? (const FC_T *)q->terms[first + j] + i : (const FC_T *)&most;
        FC_VEC x = FC_N(load)(from);
#ifndef FC_INTEGER_TYPE
        if (nans) {
            const FC_IVEC number = (FC_IVEC)(x == x);
            *missing += FC_N(masked)(one, ~number);
            x = FC_N(pick)(number, x, most);
        }
#endif
        v[j] = x;
    }
}

/* x where a < b, or where a <= b, else 0. */
FC_INLINE FC_VEC FC_N(if_less)(FC_VEC x, FC_VEC a, FC_VEC b, const int or_equal)
{
#ifdef FC_INTEGER_TYPE
    return or_equal ? x & (FC_VEC)(a <= b) : x & (FC_VEC)(a < b);
#else
    return FC_N(masked)(x, or_equal ? (FC_IVEC)(a <= b) : (FC_IVEC)(a < b));
#endif
}

/* Sum of those of wires a, na in order, that have ranks low .. high among them and wires b; of equals those of a come first if
 * `first`. */
FC_INLINE FC_VEC FC_N(add_ranked)(FC_VEC sum, const FC_VEC *v, const uint16_t *a, ptrdiff_t na, const uint16_t *b, ptrdiff_t nb,
                                  ptrdiff_t low, ptrdiff_t high, const int first)
{
    for (ptrdiff_t i = low > nb ? low - nb : 0; i < na && i <= high; i++) {
        const FC_VEC wire = v[a[i]];
        const ptrdiff_t below = low - 1 - i, above = high - i;
        FC_VEC x = wire;
        if (below >= 0)
            x = FC_N(if_less)(x, v[b[below]], wire, !first);
        if (above < nb)
            x = FC_N(if_less)(x, wire, v[b[above]], first);
        sum += x;
    }
    return sum;
}

/* The sum of ranks low .. high of `count` wires, of which the first `split` are in order and the others, too: NaN if the last of
 * them is one of the `missing`. */
FC_INLINE FC_VEC FC_N(output_of)(const int nans, const FC_VEC *v, const uint16_t *order, ptrdiff_t split, ptrdiff_t count,
                                 ptrdiff_t low, ptrdiff_t high, FC_VEC missing)
{
    FC_VEC sum = v[order[low]];
    if (split < count || low < high) {
        sum = FC_N(add_ranked)((FC_VEC){0}, v, order, split, order + split, count - split, low, high, 1);
        sum = FC_N(add_ranked)(sum, v, order + split, count - split, order, split, low, high, 0);
    }
#ifdef FC_INTEGER_TYPE
    (void)nans, (void)missing;
#else
    if (nans)
        sum = FC_N(pick)((FC_IVEC)(missing > FC_N(splat)((FC_T)(count - 1 - high))), FC_N(splat)((FC_T)__builtin_nan("")), sum);
#endif
    return sum;
}

/* `vectors` vectors of outputs from the i-th on: while one waits for what was just stored, another goes on. */
FC_INLINE void FC_N(sort_wires)(const int nans, const int vectors, const fc_operation *q, ptrdiff_t i)
{
    const uint16_t *table = q->weights, *at = table + 3;
    const ptrdiff_t count = q->count;
    FC_VEC v[2][FC_MOST_WIRES + 8], missing[2] = {{0}}; /* places that differ by no power of 2 */
    for (ptrdiff_t first = 0; first < count; first += FC_REGISTER_CELLS)
        for (int p = 0; p < vectors; p++) {
            FC_VEC block[FC_REGISTER_CELLS];
            FC_N(load_wires)(nans, q, i + p * FC_LANES, first, block, missing + p);
            if (first + 1 < count)
                FC_N(sort_vectors)(block, FC_REGISTER_CELLS);
#pragma GCC unroll 16
            for (int j = 0; j < FC_REGISTER_CELLS; j++)
                v[p][first + j] = block[j];
        }
    for (ptrdiff_t t = 0; t < table[0]; t++, at += 2)
#pragma GCC unroll 2
        for (int p = 0; p < vectors; p++)
            FC_N(order)(v[p] + at[0], v[p] + at[1]);
    const uint16_t *of = at + count;
    for (ptrdiff_t o = 0; o < table[1]; o++, of += 2)
        for (int p = 0; p < vectors; p++)
            FC_N(put)((FC_T *)q->terms[count + o] + i + p * FC_LANES,
                      FC_N(output_of)(nans, v[p], at, table[2], count, of[0], of[1], missing[p]));
}

FC_INLINE void FC_N(run_network)(const int nans, const fc_operation *q)
{
    ptrdiff_t i = 0;
    for (; i + FC_LANES < q->n; i += 2 * FC_LANES)
        FC_N(sort_wires)(nans, 2, q, i);
    if (i < q->n)
        FC_N(sort_wires)(nans, 1, q, i);
}
