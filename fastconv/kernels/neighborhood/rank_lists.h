/* Sorted lists of vectors: a lane is an output, and every list holds, for each lane, cells of its window in order.
 *
 * Of the cells of a list only those are kept that can still be the one looked for: of n cells in all, `cells` of them in the
 * list, rank t of the whole is one of ranks t - (n - cells) .. t of the list. `sort_cells` sorts up to 16 cells in registers
 * (56 comparators, 112 operations, for 15); `merge` is a bitonic merger without the comparators whose results nobody
 * reads: log2(n) operations for an element, a load and a store for each two to four of them; `rank_of` finds one rank of two
 * lists with two operations for each way to split it. Next hop: networks.h.
 */

#include "neighborhood/networks.h"

#ifndef FC_SORTED_ONCE
#define FC_SORTED_ONCE

_Static_assert(2 * FC_VEC_BYTES <= FC_SELECT_ROOM, "lines have room for an element");

enum { FC_ABREAST = 2, FC_BEHIND = 32 };

#endif

/* An element of a list: so many vectors that one of them can wait for its operands while another has them. */
typedef struct FC_N(element) {
    FC_VEC v[FC_ABREAST];
} FC_N(element);

/* Of `cells` cells the elements that are kept: ranks first_rank .. end_rank - 1. Two words, which registers pass. */
typedef struct FC_N(list) {
    FC_N(element) *v;
    ptrdiff_t cells;
} FC_N(list);

/* What is looked for: ranks low .. high of `cells` cells, and memory for a merger of that many. */
typedef struct FC_N(aim) {
    ptrdiff_t cells, low, high;
    FC_N(element) *spare;
    const FC_N(element) **at;
    const FC_N(element) *least, *most; /* what no cell is below, or above */
} FC_N(aim);

/* An aim with its memory, aim_elements of them of it. */
static FC_N(aim) FC_N(aim_at)(void *memory, ptrdiff_t cells, ptrdiff_t low, int pair)
{
    FC_N(element) *spare = memory;
#ifdef FC_INTEGER_TYPE
    const FC_T most = (FC_T)-1, least = 0;
#else
    const FC_T most = (FC_T)__builtin_inf(), least = -most;
#endif
    for (int p = 0; p < FC_ABREAST; p++) {
        spare[0].v[p] = FC_N(splat)(least);
        spare[1].v[p] = FC_N(splat)(most);
    }
    return (FC_N(aim)){.cells = cells, .low = low, .high = low + pair, .least = spare, .most = spare + 1, .spare = spare + 2,
                       .at = (const FC_N(element) **)(spare + 2 + cells + FC_REGISTER_CELLS + FC_BEHIND)};
}

FC_INLINE ptrdiff_t FC_N(aim_elements)(ptrdiff_t cells)
{
    const ptrdiff_t pointers = (cells + FC_REGISTER_CELLS + FC_BEHIND) * (ptrdiff_t)sizeof(void *);
    const ptrdiff_t size = (ptrdiff_t)sizeof(FC_N(element));
    return 2 + cells + FC_REGISTER_CELLS + FC_BEHIND + (pointers + size - 1) / size;
}

FC_INLINE ptrdiff_t FC_N(first_rank)(const FC_N(aim) *aim, ptrdiff_t cells)
{
    const ptrdiff_t first = aim->low - (aim->cells - cells);
    return first > 0 ? first : 0;
}

FC_INLINE ptrdiff_t FC_N(end_rank)(const FC_N(aim) *aim, ptrdiff_t cells)
{
    return aim->high + 1 < cells ? aim->high + 1 : cells;
}

FC_INLINE ptrdiff_t FC_N(count_of)(const FC_N(aim) *aim, FC_N(list) list)
{
    return FC_N(end_rank)(aim, list.cells) - FC_N(first_rank)(aim, list.cells);
}

FC_INLINE void FC_N(sort_registers)(FC_N(element) *to, const FC_T *from, const ptrdiff_t *offset, const int n)
{
    for (int p = 0; p < FC_ABREAST; p++) {
        FC_VEC v[FC_REGISTER_CELLS];
#pragma GCC unroll 16
        for (int i = 0; i < n; i++)
            v[i] = FC_N(load)(from + offset[i] + p * FC_LANES);
        FC_N(sort_vectors)(v, n);
#pragma GCC unroll 16
        for (int i = 0; i < n; i++)
            to[i].v[p] = v[i];
    }
}

/* One list of n <= 16 cells, vectors at from + offset[i]. */
static void FC_N(sort_cells)(FC_N(element) *to, const FC_T *from, const ptrdiff_t *offset, ptrdiff_t n)
{
    switch (n) {
    case 1: FC_N(sort_registers)(to, from, offset, 1); return;
    case 2: FC_N(sort_registers)(to, from, offset, 2); return;
    case 3: FC_N(sort_registers)(to, from, offset, 3); return;
    case 4: FC_N(sort_registers)(to, from, offset, 4); return;
    case 5: FC_N(sort_registers)(to, from, offset, 5); return;
    case 6: FC_N(sort_registers)(to, from, offset, 6); return;
    case 7: FC_N(sort_registers)(to, from, offset, 7); return;
    case 8: FC_N(sort_registers)(to, from, offset, 8); return;
    case 9: FC_N(sort_registers)(to, from, offset, 9); return;
    case 10: FC_N(sort_registers)(to, from, offset, 10); return;
    case 11: FC_N(sort_registers)(to, from, offset, 11); return;
    case 12: FC_N(sort_registers)(to, from, offset, 12); return;
    case 13: FC_N(sort_registers)(to, from, offset, 13); return;
    case 14: FC_N(sort_registers)(to, from, offset, 14); return;
    case 15: FC_N(sort_registers)(to, from, offset, 15); return;
    default: FC_N(sort_registers)(to, from, offset, 16); return;
    }
}

/* ---- mergers ----
 *
 * A bitonic sequence of n elements stands at at[0], .. at[n - 1], with elements above all cells behind it: one list backwards
 * and then the other. With m the largest power of 2 below n, comparing i with m + i leaves the m least in front, both parts
 * bitonic again. The last levels work on 16 elements in registers, and the one or two levels before them on what is loaded:
 * comparing it twice costs less than to store it. */

FC_INLINE FC_VEC FC_N(extreme)(FC_VEC a, FC_VEC b, const int greatest)
{
    return greatest ? FC_N(max)(a, b) : FC_N(min)(a, b);
}

/* Element i of quarter (of a half, of a whole) `which` of a sequence of `parts` * 16 elements. */
FC_INLINE FC_VEC FC_N(element_of)(const FC_N(element) *const *at, int i, int p, const int parts, const int which)
{
    FC_VEC v = at[i]->v[p];
    if (parts == 2)
        v = FC_N(extreme)(v, at[i + 16]->v[p], which);
    if (parts > 2)
        v = FC_N(extreme)(v, at[i + 32]->v[p], which / 2);
    if (parts == 3 && which < 2)
        v = FC_N(extreme)(v, at[i + 16]->v[p], which);
    if (parts == 4)
        v = FC_N(extreme)(v, FC_N(extreme)(at[i + 16]->v[p], at[i + 48]->v[p], which / 2), which % 2);
    return v;
}

/* Those n = 2, 4, 8 or 16 elements: ranks first .. end - 1 to to[0] and on. */
FC_INLINE void FC_N(clean_registers)(FC_N(element) *to, const FC_N(element) *const *at, ptrdiff_t first, ptrdiff_t end,
                                     const int n, const int parts, const int which)
{
    for (int p = 0; p < FC_ABREAST; p++) {
        FC_VEC v[FC_REGISTER_CELLS];
#pragma GCC unroll 16
        for (int i = 0; i < n; i++)
            v[i] = FC_N(element_of)(at, i, p, parts, which);
#pragma GCC unroll 4
        for (int half = 8; half; half /= 2)
            if (half < n) {
#pragma GCC unroll 16
                for (int i = 0; i < n; i++)
                    if (!(i & half))
                        FC_N(order)(&v[i], &v[i | half]);
            }
        if (first <= 0 && end >= n) {
#pragma GCC unroll 16
            for (int i = 0; i < n; i++)
                to[i - first].v[p] = v[i];
        } else {
#pragma GCC unroll 16
            for (int i = 0; i < n; i++)
                if (i >= first && i < end)
                    to[i - first].v[p] = v[i];
        }
    }
}

/* The same of n > 0 elements that are the last of their sequence. */
FC_INLINE void FC_N(clean_rest)(FC_N(element) *to, const FC_N(element) *const *at, ptrdiff_t n, ptrdiff_t first, ptrdiff_t end,
                                const int parts, const int which)
{
    if (n > 8)
        FC_N(clean_registers)(to, at, first, end, 16, parts, which);
    else if (n > 4)
        FC_N(clean_registers)(to, at, first, end, 8, parts, which);
    else if (n > 2)
        FC_N(clean_registers)(to, at, first, end, 4, parts, which);
    else
        FC_N(clean_registers)(to, at, first, end, 2, parts, which);
}

/* log2(ways) levels of a sequence of ways * step elements. */
FC_INLINE void FC_N(clean_levels)(const FC_N(element) **at, FC_N(element) *spare, ptrdiff_t step, const int ways)
{
    for (ptrdiff_t i = 0; i < step; i++) {
#pragma GCC unroll 2
        for (int p = 0; p < FC_ABREAST; p++) {
            FC_VEC v[8];
#pragma GCC unroll 8
            for (int j = 0; j < ways; j++)
                v[j] = at[i + j * step]->v[p];
#pragma GCC unroll 3
            for (int half = ways / 2; half; half /= 2)
#pragma GCC unroll 8
                for (int j = 0; j < ways; j++)
                    if (!(j & half))
                        FC_N(order)(&v[j], &v[j | half]);
#pragma GCC unroll 8
            for (int j = 0; j < ways; j++)
                spare[i + j * step].v[p] = v[j];
        }
#pragma GCC unroll 8
        for (int j = 0; j < ways; j++)
            at[i + j * step] = &spare[i + j * step];
    }
}

static void FC_N(clean_long)(FC_N(element) *to, const FC_N(element) **at, FC_N(element) *spare, ptrdiff_t n, ptrdiff_t first,
                             ptrdiff_t end);

static void FC_N(clean)(FC_N(element) *to, const FC_N(element) **at, FC_N(element) *spare, ptrdiff_t n, ptrdiff_t first,
                        ptrdiff_t end)
{
    if (n <= 16) {
        FC_N(clean_rest)(to, at, n, first, end, 1, 0);
    } else if (n <= 32) {
        if (first < 16)
            FC_N(clean_registers)(to, at, first, end, 16, 2, 0);
        if (end > 16)
            FC_N(clean_rest)(to, at, n - 16, first - 16, end - 16, 2, 1);
    } else if (n <= 48) {
        if (first < 16)
            FC_N(clean_registers)(to, at, first, end, 16, 3, 0);
        if (first < 32 && end > 16)
            FC_N(clean_registers)(to, at, first - 16, end - 16, 16, 3, 1);
        if (end > 32)
            FC_N(clean_rest)(to, at, n - 32, first - 32, end - 32, 3, 2);
    } else if (n <= 64) {
        if (first < 16)
            FC_N(clean_registers)(to, at, first, end, 16, 4, 0);
        if (first < 32 && end > 16)
            FC_N(clean_registers)(to, at, first - 16, end - 16, 16, 4, 1);
        if (first < 48 && end > 32)
            FC_N(clean_registers)(to, at, first - 32, end - 32, 16, 4, 2);
        if (end > 48)
            FC_N(clean_rest)(to, at, n - 48, first - 48, end - 48, 4, 3);
    } else {
        FC_N(clean_long)(to, at, spare, n, first, end);
    }
}

static void FC_N(clean_long)(FC_N(element) *to, const FC_N(element) **at, FC_N(element) *spare, ptrdiff_t n, ptrdiff_t first,
                             ptrdiff_t end)
{
    ptrdiff_t m = 64, step;
    while (2 * m < n)
        m *= 2;
    n = n + FC_REGISTER_CELLS < 2 * m ? n : 2 * m; /* with what is behind it a whole one, which takes fewer passes */
    const ptrdiff_t rest = n - m;
    step = m;
    if (first >= m) {
        for (ptrdiff_t i = 0; i < rest; i++) {
#pragma GCC unroll 2
            for (int p = 0; p < FC_ABREAST; p++)
                spare[m + i].v[p] = FC_N(max)(at[i]->v[p], at[m + i]->v[p]);
            at[m + i] = &spare[m + i];
        }
    } else if (end <= m) {
        for (ptrdiff_t i = 0; i < rest; i++) {
#pragma GCC unroll 2
            for (int p = 0; p < FC_ABREAST; p++)
                spare[i].v[p] = FC_N(min)(at[i]->v[p], at[m + i]->v[p]);
            at[i] = &spare[i];
        }
    } else if (rest == m && m > 128 && end - first > m) {
        step = m / 4;
        FC_N(clean_levels)(at, spare, step, 8);
    } else if (rest == m && m > 64 && (first < m / 2 || end > m + m / 2)) {
        step = m / 2;
        FC_N(clean_levels)(at, spare, step, 4);
    } else {
        for (ptrdiff_t i = 0; i < rest; i++) {
#pragma GCC unroll 2
            for (int p = 0; p < FC_ABREAST; p++) {
                const FC_VEC a = at[i]->v[p], b = at[m + i]->v[p];
                spare[i].v[p] = FC_N(min)(a, b);
                spare[m + i].v[p] = FC_N(max)(a, b);
            }
            at[i] = &spare[i];
            at[m + i] = &spare[m + i];
        }
    }
    for (ptrdiff_t start = 0; start < n; start += step)
        if (first < start + step && end > start)
            FC_N(clean)(to, at + start, spare + start, start + step < n ? step : n - start, first - start, end - start);
}

/* The cells of both lists, as a list at `to`. */
static FC_N(list) FC_N(merge)(FC_N(element) *to, FC_N(list) a, FC_N(list) b, const FC_N(aim) *aim)
{
    const FC_N(list) all = {.v = to, .cells = a.cells + b.cells};
    const ptrdiff_t before = FC_N(count_of)(aim, a), behind = FC_N(count_of)(aim, b), count = FC_N(count_of)(aim, all);
    const ptrdiff_t first = FC_N(first_rank)(aim, all.cells) - FC_N(first_rank)(aim, a.cells) - FC_N(first_rank)(aim, b.cells);
    const ptrdiff_t n = before + behind;
    /* Elements below all cells in between move the ranks that are wanted to the start of a block of 16. */
    ptrdiff_t below = -first & 15;
    const int deeper = ((n - 1) ^ (n + below - 1)) > ((n - 1) & (n + below - 1));
    if (n <= 16 || deeper || ((first & 15) + count - 1) / 16 == (count - 1) / 16)
        below = 0;
    const FC_N(element) **at = aim->at;
    for (ptrdiff_t i = 0; i < before; i++)
        at[i] = a.v + (before - 1 - i);
    at += before;
    for (ptrdiff_t i = 0; i < below; i++)
        at[i] = aim->least;
    at += below;
    for (ptrdiff_t i = 0; i < behind; i++)
        at[i] = b.v + i;
    for (int i = 0; i < FC_BEHIND; i++)
        at[behind + i] = aim->most;
    FC_N(clean)(to, aim->at, aim->spare, n + below, first + below, first + below + count);
    return all;
}

/* Rank `rank` of all cells of both lists: the least, over all splits, of the greater of the last of either part. */
FC_INLINE void FC_N(rank_of)(FC_T *to, FC_N(list) a, FC_N(list) b, ptrdiff_t rank, const FC_N(aim) *aim)
{
    const ptrdiff_t before = FC_N(count_of)(aim, a), behind = FC_N(count_of)(aim, b);
    const ptrdiff_t taken = rank + 1 - FC_N(first_rank)(aim, a.cells) - FC_N(first_rank)(aim, b.cells);
    const ptrdiff_t first = taken > behind ? taken - behind : 1, end = taken - 1 < before ? taken - 1 : before;
    FC_VEC v[FC_ABREAST];
#pragma GCC unroll 2
    for (int p = 0; p < FC_ABREAST; p++) {
        /* All of one list where that has so many, else the least that a split can give. */
        v[p] = taken <= behind ? b.v[taken - 1].v[p] : a.v[taken <= before ? taken - 1 : before - 1].v[p];
        if (taken <= behind && taken <= before)
            v[p] = FC_N(min)(v[p], a.v[taken - 1].v[p]);
        else if (taken > behind && taken > before)
            v[p] = FC_N(max)(v[p], b.v[taken - before - 1].v[p]);
    }
    for (ptrdiff_t i = first; i <= end; i++)
#pragma GCC unroll 2
        for (int p = 0; p < FC_ABREAST; p++)
            v[p] = FC_N(min)(v[p], FC_N(max)(a.v[i - 1].v[p], b.v[taken - i - 1].v[p]));
#pragma GCC unroll 2
    for (int p = 0; p < FC_ABREAST; p++)
        FC_N(put)(to + p * FC_LANES, v[p]);
}

/* A list of any number of cells at `to`, vectors at from + offset[i]; takes memory for 2n elements from `spare` on. */
static FC_N(list) FC_N(sort_list)(FC_N(element) *to, FC_N(element) *spare, const FC_T *from, const ptrdiff_t *offset, ptrdiff_t n,
                                  const FC_N(aim) *aim)
{
    if (n > FC_REGISTER_CELLS) {
        const ptrdiff_t half = (n / 2 + FC_REGISTER_CELLS - 1) / FC_REGISTER_CELLS * FC_REGISTER_CELLS;
        const FC_N(list) a = FC_N(sort_list)(spare, spare + n, from, offset, half, aim);
        const FC_N(list) b = FC_N(sort_list)(spare + half, spare + n, from, offset + half, n - half, aim);
        return FC_N(merge)(to, a, b, aim);
    }
    FC_N(sort_cells)(to, from, offset, n);
    return (FC_N(list)){.v = to + FC_N(first_rank)(aim, n), .cells = n};
}
