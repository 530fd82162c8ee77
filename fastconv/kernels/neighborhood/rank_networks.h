/* Ranks of small square boxes by networks of constant size, which the compiler unrolls: a strip of outputs, a vector wide, down
 * a block.
 *
 * Counts for an output and vector: medians of 3 x 3: 16 operations, 3 loads, 1 store; 5 x 5: 59 operations, 5 loads of lines
 * and 15 of sorted rows, 11 stores; 7 x 7: 131 operations, 9 x 9: 237, 15 x 15: about 580. Next hop: rank_lists.h, which sorts.
 */

#ifndef FC_MEDIANS_ONCE
#define FC_MEDIANS_ONCE

/* Comparators of a merger of 5 and 5 cells, whose results come in the order of fc_order_5, and of one of 10 and 10, for ranks
 * 7 .. 12, at places fc_core_5. */
static const uint8_t fc_merger_5[13][2] = {{0, 5}, {4, 9}, {4, 5}, {2, 7}, {2, 4}, {7, 5}, {1, 6},
                                           {3, 8}, {3, 6}, {1, 2}, {3, 4}, {6, 7}, {8, 5}};
static const uint8_t fc_order_5[10] = {0, 1, 2, 3, 4, 6, 7, 8, 5, 9};
static const uint8_t fc_merger_10[25][2] = {{0, 10}, {8, 18}, {8, 10}, {4, 14}, {4, 8}, {14, 10}, {2, 12}, {6, 16}, {6, 12},
                                            {6, 8}, {12, 14}, {1, 11}, {9, 19}, {9, 11}, {5, 15}, {5, 9}, {15, 11}, {3, 13},
                                            {7, 17}, {7, 13}, {7, 9}, {13, 15}, {7, 8}, {9, 12}, {13, 14}};
static const uint8_t fc_core_5[6] = {7, 8, 9, 12, 13, 14};

/* The ranks that may be asked for, of the cells of a box of size x size. */
typedef struct fc_wanted {
    int size, low, high;
} fc_wanted;

#endif

FC_INLINE void FC_N(sort_row)(FC_VEC *to, const FC_T *from, const int n)
{
    FC_VEC v[FC_REGISTER_CELLS];
#pragma GCC unroll 16
    for (int i = 0; i < n; i++)
        v[i] = FC_N(load)(from + i);
    FC_N(sort_vectors)(v, n);
#pragma GCC unroll 16
    for (int i = 0; i < n; i++)
        to[i] = v[i];
}

FC_INLINE FC_VEC FC_N(middle)(FC_VEC a, FC_VEC b, FC_VEC c)
{
    return FC_N(max)(FC_N(min)(a, b), FC_N(min)(FC_N(max)(a, b), c));
}

/* Operations for two outputs: 12 to sort two rows of 3, then 20. */
static void FC_N(median_3)(const fc_rank_box *q, ptrdiff_t x)
{
    const ptrdiff_t last = q->count + 1;
    FC_VEC low[4], middle[4], high[4];
    for (ptrdiff_t o = -2; o < q->count; o += 2) {
        low[0] = low[2], middle[0] = middle[2], high[0] = high[2];
        low[1] = low[3], middle[1] = middle[3], high[1] = high[3];
#pragma GCC unroll 2
        for (int r = 2; r < 4; r++) {
            const FC_T *row = (const FC_T *)q->rows[o + r < last ? o + r : last] + x;
            const FC_VEC a = FC_N(load)(row), b = FC_N(load)(row + 1), c = FC_N(load)(row + 2);
            const FC_VEC less = FC_N(min)(a, b), more = FC_N(max)(a, b), rest = FC_N(min)(more, c);
            low[r] = FC_N(min)(less, c);
            middle[r] = FC_N(max)(less, rest);
            high[r] = FC_N(max)(more, c);
        }
        if (o < 0)
            continue;
        const FC_VEC l = FC_N(max)(low[1], low[2]), h = FC_N(min)(high[1], high[2]);
        const FC_VEC less = FC_N(min)(middle[1], middle[2]), more = FC_N(max)(middle[1], middle[2]);
#pragma GCC unroll 2
        for (int r = 0; r < 2; r++) {
            const FC_VEC m = FC_N(max)(less, FC_N(min)(more, middle[3 * r]));
            if (o + r < q->count)
                FC_N(put)((FC_T *)q->low[o + r] + x, FC_N(middle)(FC_N(max)(l, low[3 * r]), m, FC_N(min)(h, high[3 * r])));
        }
    }
}

/* Operations for two outputs, without those that nobody reads: 36 to sort two rows of 5, 26 to merge them, 36 for the middle
 * of the four rows that both see, 20 for the outputs. */
static void FC_N(median_5)(const fc_rank_box *q, ptrdiff_t x)
{
    const ptrdiff_t last = q->count + 3;
    FC_VEC row[8][5], pair[2][10];
    for (ptrdiff_t o = -4; o < q->count; o += 2) {
        for (ptrdiff_t r = o + 4; r < o + 6; r++)
            FC_N(sort_row)(row[r & 7], (const FC_T *)q->rows[r < last ? r : last] + x, 5);
        if (o < -2)
            continue;
        FC_VEC v[20];
#pragma GCC unroll 5
        for (int i = 0; i < 5; i++) {
            v[i] = row[(o + 3) & 7][i];
            v[5 + i] = row[(o + 4) & 7][i];
        }
#pragma GCC unroll 13
        for (int i = 0; i < 13; i++)
            FC_N(order)(&v[fc_merger_5[i][0]], &v[fc_merger_5[i][1]]);
        FC_VEC *mine = pair[(o >> 1) & 1];
        const FC_VEC *before = pair[(~o >> 1) & 1];
#pragma GCC unroll 10
        for (int i = 0; i < 10; i++)
            mine[i] = v[10 + i] = v[fc_order_5[i]];
        if (o < 0)
            continue;
#pragma GCC unroll 10
        for (int i = 0; i < 10; i++)
            v[i] = before[i];
#pragma GCC unroll 25
        for (int i = 0; i < 25; i++)
            FC_N(order)(&v[fc_merger_10[i][0]], &v[fc_merger_10[i][1]]);
        for (int r = 0; r < 2 && o + r < q->count; r++) {
            const FC_VEC *extra = row[(o + 5 * r) & 7];
            FC_VEC found = v[fc_core_5[5]];
#pragma GCC unroll 5
            for (int i = 0; i < 5; i++)
                found = FC_N(min)(found, FC_N(max)(v[fc_core_5[i]], extra[4 - i]));
            FC_N(put)((FC_T *)q->low[o + r] + x, found);
        }
    }
}

/* ---- tiles ----
 *
 * What `box` does with lists of any length (ranks.h), for constant ones. Rows count from 1, and the ring holds, sorted, each
 * row, each two from an even one on and each four from a fourth one on. */

/* Ranks first .. end - 1 of a list's cells: those that can still be wanted. */
typedef struct FC_N(kept) {
    FC_VEC *v;
    int cells, first, end;
} FC_N(kept);

FC_INLINE FC_N(kept) FC_N(kept_of)(FC_VEC *v, const int cells, const fc_wanted wanted)
{
    const int first = wanted.low - (wanted.size * wanted.size - cells);
    return (FC_N(kept)){v, cells, first > 0 ? first : 0, wanted.high + 1 < cells ? wanted.high + 1 : cells};
}

/* Batcher's odd-even merger of a and b, which stand before and behind the middle of v. Comparators less than `parts` apart come
 * last: until then every parts-th element is a merger of its own, which fits into registers. */
FC_INLINE FC_N(kept) FC_N(join)(FC_VEC *to, const FC_N(kept) a, const FC_N(kept) b, const fc_wanted wanted)
{
    enum { ROOM = 256 };
    const FC_N(kept) both = FC_N(kept_of)(to, a.cells + b.cells, wanted);
    const int before = a.end - a.first, behind = b.end - b.first, n = before + behind, more = before > behind ? before : behind;
    const int middle = more > 64 ? 128 : more > 32 ? 64 : more > 16 ? 32 : more > 8 ? 16 : 8;
    const int parts = n > 128 ? 8 : n > 64 ? 4 : n > 32 ? 2 : 1, start = middle - before, end = middle + behind;
    FC_VEC v[ROOM];
#pragma GCC unroll 128
    for (int i = 0; i < before; i++)
        v[start + i] = a.v[i];
#pragma GCC unroll 128
    for (int i = 0; i < behind; i++)
        v[middle + i] = b.v[i];
#pragma GCC unroll 8
    for (int part = 0; part < parts; part++)
#pragma GCC unroll 8
        for (int step = middle; step >= parts; step /= 2)
#pragma GCC unroll 256
            for (int i = part; i < 2 * middle - step; i += parts)
                if (i >= start && i + step < end && (step == middle || i & step))
                    FC_N(order)(&v[i], &v[i + step]);
#pragma GCC unroll 128
    for (int block = 0; block < 2 * middle - parts; block += parts)
#pragma GCC unroll 4
        for (int step = parts / 2; step; step /= 2)
#pragma GCC unroll 8
            for (int i = block; i < block + parts; i++)
                if (i >= start && i + step < end && i & step)
                    FC_N(order)(&v[i], &v[i + step]);
#pragma GCC unroll 128
    for (int i = 0; i < both.end - both.first; i++)
        to[i] = v[start + both.first - a.first - b.first + i];
    return both;
}

/* Rank `rank` of the cells of a list and a whole row, as rank_of finds it. */
FC_INLINE FC_VEC FC_N(rank_of_kept)(const FC_N(kept) kept, const FC_VEC *row, const int size, const int rank)
{
    const int taken = rank + 1 - kept.first, count = kept.end - kept.first, end = taken - 1 < count ? taken - 1 : count;
    FC_VEC found = taken <= size ? row[taken - 1] : kept.v[taken <= count ? taken - 1 : count - 1];
    if (taken <= size && taken <= count)
        found = FC_N(min)(found, kept.v[taken - 1]);
    else if (taken > size && taken > count)
        found = FC_N(max)(found, row[taken - count - 1]);
#pragma GCC unroll 16
    for (int i = taken > size ? taken - size : 1; i <= end; i++)
        found = FC_N(min)(found, FC_N(max)(kept.v[i - 1], row[taken - i - 1]));
    return found;
}

FC_INLINE FC_N(kept) FC_N(rows_from)(FC_VEC *ring, ptrdiff_t row, const int rows, const fc_wanted wanted)
{
    const int places = wanted.size > 9 ? 32 : 16;
    return FC_N(kept_of)(ring + ((rows / 2 * places) + (row & (places - 1))) * wanted.size, rows * wanted.size, wanted);
}

/* Four outputs, from `first` on, of the list of the rows that they share. */
FC_INLINE void FC_N(four_out)(const fc_rank_box *q, ptrdiff_t x, ptrdiff_t first, FC_VEC *ring, const FC_N(kept) shared,
                              const fc_wanted wanted)
{
    const int size = wanted.size, only = wanted.low == wanted.high;
#pragma GCC unroll 1
    for (int right = 0; right < 2; right++) {
        FC_VEC v[2 * FC_REGISTER_CELLS];
        const FC_N(kept) pair = FC_N(rows_from)(ring, first + (right ? size + 1 : 2), 2, wanted);
        const FC_N(kept) kept = FC_N(join)(v, shared, pair, wanted);
#pragma GCC unroll 1
        for (int odd = 0; odd < 2; odd++) {
            const ptrdiff_t o = first + 2 * right + odd;
            if (o >= q->count)
                return;
            const FC_VEC *row = FC_N(rows_from)(ring, o + (odd ? size : 1), 1, wanted).v;
            FC_N(put)((FC_T *)q->low[o] + x, FC_N(rank_of_kept)(kept, row, size, only ? wanted.low : (int)q->rank));
            if (!only && q->high)
                FC_N(put)((FC_T *)q->high[o] + x, FC_N(rank_of_kept)(kept, row, size, (int)q->rank + 1));
        }
    }
}

/* One strip of boxes of size 7, 9 or 15, in tiles of 4 outputs, of 15 of 8. */
FC_INLINE void FC_N(tile_strip)(const fc_rank_box *q, ptrdiff_t x, const fc_wanted wanted)
{
    const int size = wanted.size, tile = size > 9 ? 8 : 4;
    const ptrdiff_t last = q->count + size - 2;
    FC_VEC *ring = q->spare, *more = FC_N(rows_from)(ring, 0, 4, wanted).v + (tile == 8 ? 32 : 16) * size;
    for (ptrdiff_t first = -(size + tile - 2) / tile * tile; first < q->count; first += tile) {
        const ptrdiff_t next = first + size;
#pragma GCC unroll 1
        for (ptrdiff_t r = next > 1 ? next : 1; r < next + tile; r++)
            FC_N(sort_row)(FC_N(rows_from)(ring, r, 1, wanted).v, (const FC_T *)q->rows[r - 1 < last ? r - 1 : last] + x, size);
#pragma GCC unroll 1
        for (ptrdiff_t r = next - 1; r < next - 1 + tile; r += 2)
            FC_N(join)(FC_N(rows_from)(ring, r, 2, wanted).v, FC_N(rows_from)(ring, r, 1, wanted),
                       FC_N(rows_from)(ring, r + 1, 1, wanted), wanted);
#pragma GCC unroll 1
        for (ptrdiff_t r = next & ~(ptrdiff_t)3; r <= next + tile - 4; r += 4)
            FC_N(join)(FC_N(rows_from)(ring, r, 4, wanted).v, FC_N(rows_from)(ring, r, 2, wanted),
                       FC_N(rows_from)(ring, r + 2, 2, wanted), wanted);
        if (first < 0)
            continue;
        FC_N(kept) shared = FC_N(rows_from)(ring, first + tile, 4, wanted);
        if (size == 9)
            shared = FC_N(join)(more, shared, FC_N(rows_from)(ring, first + 8, 2, wanted), wanted);
        if (tile == 4) {
            FC_N(four_out)(q, x, first, ring, shared, wanted);
            continue;
        }
        shared = FC_N(join)(more, shared, FC_N(rows_from)(ring, first + 12, 4, wanted), wanted);
#pragma GCC unroll 1
        for (int right = 0; right < 2; right++) {
            const FC_N(kept) four = FC_N(rows_from)(ring, first + (right ? size + 1 : 4), 4, wanted);
            FC_N(four_out)(q, x, first + 4 * right, ring, FC_N(join)(more + 8 * size, shared, four, wanted), wanted);
        }
    }
}

/* Medians, and ranks that less than a row's cells are below, or above. */
#define FC_NETWORK(name, size, low, high)                                  \
    static void FC_N(name)(const fc_rank_box *q, ptrdiff_t x)                   \
    {                                                                      \
        FC_N(tile_strip)(q, x, (fc_wanted){size, low, high});              \
    }
FC_NETWORK(median_7, 7, 24, 24)
FC_NETWORK(least_7, 7, 0, 6)
FC_NETWORK(most_7, 7, 42, 48)
FC_NETWORK(median_9, 9, 40, 40)
FC_NETWORK(least_9, 9, 0, 8)
FC_NETWORK(most_9, 9, 72, 80)
#ifndef FC_INTEGER_TYPE /* a large one, too large for four more types */
FC_NETWORK(median_15, 15, 112, 112)
#endif
#undef FC_NETWORK

typedef void FC_N(network)(const fc_rank_box *q, ptrdiff_t x);

/* The network for what is looked for, NULL if there is none. */
static FC_N(network) *FC_N(network_of)(const fc_rank_box *q)
{
    const ptrdiff_t size = q->height, cells = size * size, end = q->rank + (q->high ? 2 : 1);
    const int median = 2 * q->rank + 1 == cells && !q->high;
    if (q->width != size)
        return NULL;
    switch (size) {
    case 3: return median ? FC_N(median_3) : NULL;
    case 5: return median ? FC_N(median_5) : NULL;
    case 7: return median ? FC_N(median_7) : end <= size ? FC_N(least_7) : q->rank >= cells - size ? FC_N(most_7) : NULL;
    case 9: return median ? FC_N(median_9) : end <= size ? FC_N(least_9) : q->rank >= cells - size ? FC_N(most_9) : NULL;
#ifndef FC_INTEGER_TYPE
    case 15: return median ? FC_N(median_15) : NULL;
#endif
    default: return NULL;
    }
}
