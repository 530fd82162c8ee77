/* Medians of 3 x 3 and 5 x 5 boxes in registers, two rows of outputs at a time, a vector wide, down a block.
 *
 * Counts for an output and vector: 3 x 3: 16 operations, 3 loads, 1 store; 5 x 5: 59 operations, 5 loads of lines and 15 of
 * sorted rows, 11 stores.
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

#endif

FC_INLINE FC_VEC FC_N(middle)(FC_VEC a, FC_VEC b, FC_VEC c)
{
    return FC_N(max)(FC_N(min)(a, b), FC_N(min)(FC_N(max)(a, b), c));
}

/* Operations for two outputs: 12 to sort two rows of 3, then 20. */
static void FC_N(median_3)(const fc_box *q, ptrdiff_t x)
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
static void FC_N(median_5)(const fc_box *q, ptrdiff_t x)
{
    const ptrdiff_t last = q->count + 3;
    FC_VEC row[8][5], pair[2][10];
    for (ptrdiff_t o = -4; o < q->count; o += 2) {
        for (ptrdiff_t r = o + 4; r < o + 6; r++) {
            const FC_T *from = (const FC_T *)q->rows[r < last ? r : last] + x;
            FC_VEC v[5];
#pragma GCC unroll 5
            for (int i = 0; i < 5; i++)
                v[i] = FC_N(load)(from + i);
#pragma GCC unroll 60
            for (int i = 0; i < FC_COMPARATORS; i++)
                if (fc_network[i][1] < 5)
                    FC_N(order)(&v[fc_network[i][0]], &v[fc_network[i][1]]);
#pragma GCC unroll 5
            for (int i = 0; i < 5; i++)
                row[r & 7][i] = v[i];
        }
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
