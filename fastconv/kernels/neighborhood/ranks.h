/* Order statistics of neighbourhoods: any rank of any window, on lines of blocks (lines.h).
 *
 * Where all cells count, rank_box and rank_cells work on sorted lists (rank_lists.h), for rows of outputs that share them. Floats
 * are compared as they are: a NaN may stand anywhere in the lists of the windows that hold it, and in no others.
 *
 * rank_box sorts a row's cells once, for all outputs whose windows hold the row, and merges rows by twos, fours and so on. Of a
 * tile of outputs, the rows that all of them see are merged first; then each half of the tile merges its lists into those,
 * and so on down to one output, which only picks its rank of two lists. Small boxes have networks of their own (rank_networks.h).
 *
 * `keys` copies a line as unsigned integers of the same order, and makes what does not count the greatest, so that it stands
 * behind every rank that is asked for; `values` turns results back. So signed integers need no kernels of their own.
 *
 * `select` is the plain way, for any window, any mask and any rank: the answer is built from its highest bit down, each bit
 * from the number of cells below the value tried. FC_SELECT_CHUNK outputs at a time; for each bit and cell one load, one
 * comparison and one masked addition a vector. Next hops: rank_lists.h, rank_networks.h; histograms.h for mode and entropy.
 */

#include "neighborhood/table.h"
#include "base/simd.h"

#ifndef FC_SELECT_ONCE
#define FC_SELECT_ONCE

enum { FC_SELECT_NARROW = 255 };

/* The rank that is asked for of `count` cells, and the position minus it. */
FC_SHARED ptrdiff_t fc_position(const fc_select *q, ptrdiff_t count, double *fraction)
{
    *fraction = 0;
    if (count == 0)
        return 0;
    if (q->quantile >= 0) {
        const double position = (double)(count - 1) * q->quantile;
        const ptrdiff_t rank = (ptrdiff_t)position;
        *fraction = position - (double)rank;
        return rank;
    }
    const ptrdiff_t rank = q->rank < 0 ? q->rank + count : q->rank;
    return rank < 0 ? 0 : rank < count ? rank : count - 1;
}

enum { FC_TILE_LEVELS = 5 };

/* Outputs of a tile are 1 << this many. */
FC_SHARED int fc_tile_level(ptrdiff_t height)
{
    int level = 0;
    while (level < FC_TILE_LEVELS && (8 << level) <= 3 * (height + 1))
        level++;
    return level;
}

/* Rows that a tile sees, in whole tiles. */
FC_SHARED ptrdiff_t fc_ring_rows(ptrdiff_t height)
{
    const ptrdiff_t tile = (ptrdiff_t)1 << fc_tile_level(height);
    return (2 * tile + height - 2) / tile * tile;
}

#endif

#undef FC_IS_FLOAT
#undef FC_AS_KEYS
#undef FC_KEY
#ifdef FC_INTEGER_TYPE
#define FC_IS_FLOAT 0
#define FC_AS_KEYS (FC_ELEMENT % 2) /* signed ones: nothing compares their values */
#else
#define FC_IS_FLOAT 1
#define FC_AS_KEYS 0
#endif
#define FC_KEY FC_N(key)
typedef __typeof__(__builtin_choose_expr(
    sizeof(FC_T) == 1, (uint8_t)0,
    __builtin_choose_expr(sizeof(FC_T) == 2, (uint16_t)0,
                          __builtin_choose_expr(sizeof(FC_T) == 4, (uint32_t)0, (uint64_t)0)))) FC_KEY;

/* What a number differs by from its key: by its sign, a negative float by all bits. -0 comes before 0, a NaN at either end. */
FC_INLINE FC_KEY FC_N(key_bits)(const int negative)
{
    const FC_KEY sign = (FC_KEY)((FC_KEY)1 << (8 * sizeof(FC_T) - 1));
    return FC_IS_FLOAT && negative ? (FC_KEY)-1 : FC_IS_FLOAT || FC_AS_KEYS ? sign : 0;
}

static void FC_N(keys)(void *to, const void *from, const uint8_t *present, ptrdiff_t n)
{
    const FC_KEY *x = from;
    FC_KEY *key = to;
    for (ptrdiff_t i = 0; i < n; i++)
        key[i] = x[i] ^ FC_N(key_bits)(x[i] >> (8 * sizeof(FC_T) - 1));
    if (present)
        for (ptrdiff_t i = 0; i < n; i++)
            key[i] = present[i] ? key[i] : (FC_KEY)-1;
}

static void FC_N(values)(void *line, ptrdiff_t n)
{
    FC_KEY *key = line;
    for (ptrdiff_t i = 0; i < n; i++)
        key[i] ^= FC_N(key_bits)(!(key[i] >> (8 * sizeof(FC_T) - 1)));
}

#if defined FC_INTEGER_TYPE && !FC_AS_KEYS

/* Adds to total[x] how many cells of output at + x are below limit[x] or, with `equal`, equal to it. */
FC_INLINE void FC_N(count_below)(const fc_select *q, ptrdiff_t at, const FC_T *limit, ptrdiff_t *total, const int equal)
{
    FC_T narrow[FC_SELECT_CHUNK] = {0};
    int pending = 0;
    for (ptrdiff_t run = q->first_run; run < q->end_run; run++) {
        const FC_T *key = (const FC_T *)q->rows[q->run_line[run]] + q->run_start[run] + at;
        for (ptrdiff_t tap = 0; tap < q->run_length[run]; tap++) {
            for (int x = 0; x < FC_SELECT_CHUNK; x++)
                narrow[x] += equal ? key[tap + x] <= limit[x] : key[tap + x] < limit[x];
            if (++pending == FC_SELECT_NARROW || (tap == q->run_length[run] - 1 && run == q->end_run - 1)) {
                for (int x = 0; x < FC_SELECT_CHUNK; x++) {
                    total[x] += (ptrdiff_t)narrow[x];
                    narrow[x] = 0;
                }
                pending = 0;
            }
        }
    }
}

/* Pass 0 counts the cells, one for each bit then finds the lower cell, and the last the next one: the same, or the least
 * above it. */
FC_INLINE void FC_N(select_chunk)(const fc_select *q, ptrdiff_t at, FC_T *low, FC_T *high)
{
    const int bits = 8 * (int)sizeof(FC_T), begins = q->first_run == 0, ends = q->end_run == q->runs;
    const size_t bytes = FC_SELECT_CHUNK * sizeof(ptrdiff_t);
    ptrdiff_t rank[FC_SELECT_CHUNK], total[FC_SELECT_CHUNK], *count = q->count + at;
    FC_T limit[FC_SELECT_CHUNK];
    if (q->first_pass > 0 || !begins) {
        memcpy(rank, q->state, bytes);
        memcpy(total, q->state + FC_SELECT_CHUNK, bytes);
    }
    for (int pass = q->first_pass; pass < q->end_pass; pass++) {
        for (int x = 0; x < FC_SELECT_CHUNK && begins; x++)
            total[x] = 0;
        if (pass == 0) {
            for (ptrdiff_t run = q->first_run; run < q->end_run && q->masked; run++) {
                const uint8_t *present = q->lines[q->run_line[run]].present + q->run_start[run] + at;
                for (ptrdiff_t tap = 0; tap < q->run_length[run]; tap++)
                    for (int x = 0; x < FC_SELECT_CHUNK; x++)
                        total[x] += present[tap + x];
            }
            for (int x = 0; x < FC_SELECT_CHUNK && ends; x++) {
                count[x] = q->masked ? total[x] : q->cells;
                rank[x] = fc_position(q, count[x], &q->fraction[at + x]);
                low[x] = 0;
            }
        } else if (pass <= bits) {
            for (int x = 0; x < FC_SELECT_CHUNK; x++)
                limit[x] = (FC_T)(low[x] | (FC_T)1 << (bits - pass));
            FC_N(count_below)(q, at, limit, total, 0);
            for (int x = 0; x < FC_SELECT_CHUNK && ends; x++)
                low[x] = total[x] <= rank[x] ? limit[x] : low[x];
        } else if (high) {
            for (int x = 0; x < FC_SELECT_CHUNK && begins; x++)
                high[x] = (FC_T)-1;
            FC_N(count_below)(q, at, low, total, 1);
            for (ptrdiff_t run = q->first_run; run < q->end_run; run++) {
                const FC_T *key = (const FC_T *)q->rows[q->run_line[run]] + q->run_start[run] + at;
                for (ptrdiff_t tap = 0; tap < q->run_length[run]; tap++)
                    for (int x = 0; x < FC_SELECT_CHUNK; x++)
                        high[x] = (key[tap + x] > low[x]) & (key[tap + x] < high[x]) ? key[tap + x] : high[x];
            }
            for (int x = 0; x < FC_SELECT_CHUNK && ends; x++)
                high[x] = total[x] > rank[x] + 1 ? low[x] : high[x];
        }
    }
    if (q->end_pass < bits + 2 || !ends) {
        memcpy(q->state, rank, bytes);
        memcpy(q->state + FC_SELECT_CHUNK, total, bytes);
    }
}

static void FC_N(select)(const fc_select *q)
{
    for (ptrdiff_t at = q->first; at < q->n; at += FC_SELECT_CHUNK)
        FC_N(select_chunk)(q, at, (FC_T *)q->low + at, q->high ? (FC_T *)q->high + at : NULL);
}

#include "neighborhood/histograms.h"

#endif

/* The result at the position between two ranks. */
FC_INLINE double FC_N(between)(FC_T low, FC_T high, double fraction)
{
    const double a = (double)low, b = (double)high;
    double d = b - a;
    if (!FC_IS_FLOAT && sizeof(FC_T) == 8) {
        if (fraction == 0.5)
            return (double)((__int128)low + (__int128)high) * 0.5;
        d = (double)((uint64_t)high - (uint64_t)low);
    }
    if (d > 0x1.fffffffffffffp1023 && fraction > 0)
        return a * (1 - fraction) + b * fraction;
    return fraction == 0 || a == b ? a : fraction < 0.5 ? a + d * fraction : b - d * (1 - fraction);
}

/* The same as an integer: the nearest, of halves the even one. */
FC_INLINE FC_T FC_N(nearest_between)(FC_T low, FC_T high, double fraction)
{
    const unsigned __int128 part = (unsigned __int128)((uint64_t)high - (uint64_t)low) * (uint64_t)(fraction * 0x1p63);
    const uint64_t half = (uint64_t)1 << 62, rest = (uint64_t)part & (2 * half - 1);
    const uint64_t value = (uint64_t)low + (uint64_t)(part >> 63);
    return (FC_T)(value + (rest > half || (rest == half && (value & 1))));
}

static void FC_N(finish_ranks)(const fc_finish_ranks *q)
{
    const FC_T *low = q->low, *high = q->high, *extreme = q->extreme;
    FC_T *out = q->out;
    double *real = q->out;
    for (ptrdiff_t i = 0; i < q->n && low; i++) {
        const double value = high ? FC_N(between)(low[i], high[i], q->fraction[i]) : (double)low[i];
        if (q->real)
            real[i] = q->count[i] ? value : q->nothing;
        else if (FC_IS_FLOAT)
            out[i] = q->count[i] ? (FC_T)value : (FC_T)q->nothing;
        else if (high)
            out[i] = q->count[i] ? FC_N(nearest_between)(low[i], high[i], q->fraction[i]) : 0;
        else
            out[i] = q->count[i] ? low[i] : 0;
    }
    for (ptrdiff_t i = 0; i < q->n && !low; i++)
        real[i] = q->count[i] ? real[i] : q->nothing;
    for (ptrdiff_t i = 0; i < q->n && FC_IS_FLOAT && extreme; i++)
        if (extreme[i] != extreme[i]) {
            if (q->real)
                real[i] = __builtin_nan("");
            else
                out[i] = extreme[i];
        }
}

#if !FC_AS_KEYS

#include "neighborhood/rank_lists.h"
#include "neighborhood/rank_networks.h"

/* ---- sorted lists ---- */

/* Rows are numbered from 1, so that the rows that join on the left of a tile are whole groups. A group of level l, the rows
 * s .. s + (1 << l) - 1 with s a multiple of their number, stays in the ring until no tile needs it. */
typedef struct FC_N(tiles) {
    const fc_rank_box *q;
    FC_N(aim) aim;
    ptrdiff_t x, origin, rows; /* of the ring, and the row in its first place */
    FC_N(element) *ring;
    int level;
} FC_N(tiles);

FC_INLINE FC_N(list) FC_N(held)(const FC_N(tiles) *t, int level, ptrdiff_t start)
{
    const ptrdiff_t at = start - t->origin, width = t->q->width;
    FC_N(list) group = {.cells = width << level};
    group.v = t->ring + (level * t->rows + (at < t->rows ? at : at - t->rows)) * width;
    if (level == 0 && width <= FC_REGISTER_CELLS)
        group.v += FC_N(first_rank)(&t->aim, group.cells);
    return group;
}

/* Any 1 << level rows, from the ring or merged at `to` from what is there. */
static FC_N(list) FC_N(group)(const FC_N(tiles) *t, int level, ptrdiff_t start, FC_N(element) *to)
{
    const ptrdiff_t half = ((ptrdiff_t)1 << level) / 2, cells = t->q->width << level;
    if (!(start & (2 * half - 1)) || level == 0)
        return FC_N(held)(t, level, start);
    const FC_N(list) a = FC_N(group)(t, level - 1, start, to + cells);
    const FC_N(list) b = FC_N(group)(t, level - 1, start + half, to + cells + level * (cells / 2));
    return FC_N(merge)(to, a, b, &t->aim);
}

/* Outputs first .. first + (1 << level) - 1 of the list of all rows that they share. */
static void FC_N(share_out)(const FC_N(tiles) *t, ptrdiff_t first, int level, FC_N(list) shared, FC_N(element) *to)
{
    const fc_rank_box *q = t->q;
    if (level == 0) { /* nothing but what is wanted is left of all cells */
        memcpy((FC_T *)q->low[first] + t->x, &shared.v[0], sizeof(FC_N(element)));
        if (q->high)
            memcpy((FC_T *)q->high[first] + t->x, &shared.v[1], sizeof(FC_N(element)));
        return;
    }
    const ptrdiff_t half = (ptrdiff_t)1 << --level;
    FC_N(element) *rest = to + (level + 1) * (q->width << level);
    for (int right = 0; right < 2; right++, first += half) {
        if (first >= q->count)
            return;
        const FC_N(list) joins = FC_N(group)(t, level, right ? first - half + q->height + 1 : first + half, to);
        if (level > 0) {
            const FC_N(list) all = FC_N(merge)(rest, shared, joins, &t->aim);
            FC_N(share_out)(t, first, level, all, rest + FC_N(count_of)(&t->aim, all));
            continue;
        }
        FC_N(rank_of)((FC_T *)q->low[first] + t->x, shared, joins, t->aim.low, &t->aim);
        if (q->high)
            FC_N(rank_of)((FC_T *)q->high[first] + t->x, shared, joins, t->aim.high, &t->aim);
    }
}

static void FC_N(rank_box_strip)(FC_N(tiles) *t, const ptrdiff_t *offset, FC_N(element) *to)
{
    const fc_rank_box *q = t->q;
    const ptrdiff_t tile = (ptrdiff_t)1 << t->level, last = q->count + q->height - 2;
    ptrdiff_t next[FC_TILE_LEVELS + 1];
    for (int level = 0; level <= t->level; level++)
        next[level] = (ptrdiff_t)1 << level;
    t->origin = 0;
    for (ptrdiff_t first = 0; first < q->count; first += tile) {
        const ptrdiff_t end = first + tile + q->height;
        if (first - t->origin >= t->rows)
            t->origin += t->rows;
        for (; next[0] < end; next[0]++) {
            const FC_T *row = q->rows[next[0] - 1 < last ? next[0] - 1 : last];
            FC_N(element) *v = FC_N(held)(t, 0, next[0]).v;
            if (q->width <= FC_REGISTER_CELLS)
                v -= FC_N(first_rank)(&t->aim, q->width);
            FC_N(sort_list)(v, to, row + t->x, offset, q->width, &t->aim);
        }
        for (int level = 1; level < t->level; level++) {
            const ptrdiff_t step = (ptrdiff_t)1 << level;
            for (; next[level] + step <= end; next[level] += step)
                FC_N(merge)(FC_N(held)(t, level, next[level]).v, FC_N(held)(t, level - 1, next[level]),
                            FC_N(held)(t, level - 1, next[level] + step / 2), &t->aim);
        }
        /* The rows that all outputs of the tile share, in groups as large as there are. */
        const ptrdiff_t cells = q->height * q->width;
        FC_N(list) shared = {0};
        int other = 0;
        for (ptrdiff_t start = first + tile, stop = first + q->height + 1; start < stop;) {
            int level = t->level ? t->level - 1 : 0;
            while ((start & (((ptrdiff_t)1 << level) - 1)) || start + ((ptrdiff_t)1 << level) > stop)
                level--;
            const FC_N(list) joins = FC_N(held)(t, level, start);
            shared = shared.cells ? FC_N(merge)(to + other * cells, shared, joins, &t->aim) : joins;
            start += (ptrdiff_t)1 << level;
            other ^= 1;
        }
        FC_N(share_out)(t, first, t->level, shared, to + 2 * cells);
    }
}

/* Bytes for rank_box (height of 1 for rank_cells). */
static ptrdiff_t FC_N(rank_room)(ptrdiff_t height, ptrdiff_t width)
{
    const ptrdiff_t levels = fc_tile_level(height) + 1, cells = height * width;
    const ptrdiff_t parts = FC_N(aim_elements)(cells) + levels * fc_ring_rows(height) * width + 7 * cells;
    return parts * (ptrdiff_t)sizeof(FC_N(element)) + width * (ptrdiff_t)sizeof(ptrdiff_t);
}

static void FC_N(rank_box)(const fc_rank_box *q)
{
    FC_N(network) *network = FC_N(network_of)(q);
    if (network) {
        for (ptrdiff_t x = 0; x < q->n; x += FC_LANES) {
            if (x > 0 && x + FC_LANES > q->n)
                x = q->n - FC_LANES;
            network(q, x);
        }
        return;
    }
    FC_N(tiles) t = {.q = q, .level = fc_tile_level(q->height), .rows = fc_ring_rows(q->height)};
    const ptrdiff_t cells = q->height * q->width;
    t.aim = FC_N(aim_at)(q->spare, cells, q->rank, q->high != NULL);
    t.ring = (FC_N(element) *)q->spare + FC_N(aim_elements)(cells);
    FC_N(element) *to = t.ring + (t.level + 1) * t.rows * q->width;
    ptrdiff_t *offset = (ptrdiff_t *)(to + 7 * cells);
    for (ptrdiff_t i = 0; i < q->width; i++)
        offset[i] = i;
    for (t.x = 0; t.x < q->n; t.x += FC_ABREAST * FC_LANES) {
        if (t.x > 0 && t.x + FC_ABREAST * FC_LANES > q->n)
            t.x = q->n - FC_ABREAST * FC_LANES;
        FC_N(rank_box_strip)(&t, offset, to);
    }
}

/* Outputs first .. first + (1 << level) - 1 at x, of the list of the cells that they and their neighbours share. */
static void FC_N(share_cells)(const fc_rank_cells *q, ptrdiff_t x, ptrdiff_t first, int level, const ptrdiff_t *offset,
                              FC_N(list) shared, FC_N(element) *to, const FC_N(aim) *aim)
{
    const ptrdiff_t n = q->cells[level], half = ((ptrdiff_t)1 << level) / 2;
    FC_N(list) all = FC_N(sort_list)(to, to + n, (const FC_T *)q->from + x, offset + (first >> level) * n, n, aim);
    to += n;
    if (level == 0 && shared.cells) {
        FC_N(rank_of)((FC_T *)q->low[first] + x, shared, all, aim->low, aim);
        if (q->pair)
            FC_N(rank_of)((FC_T *)q->high[first] + x, shared, all, aim->high, aim);
        return;
    }
    if (level == 0) {
        memcpy((FC_T *)q->low[first] + x, &all.v[0], sizeof(FC_N(element)));
        if (q->pair)
            memcpy((FC_T *)q->high[first] + x, &all.v[1], sizeof(FC_N(element)));
        return;
    }
    if (shared.cells) {
        all = FC_N(merge)(to, shared, all, aim);
        to += FC_N(count_of)(aim, all);
    }
    offset += n << (q->levels - level);
    FC_N(share_cells)(q, x, first, level - 1, offset, all, to, aim);
    if (first + half < q->outputs)
        FC_N(share_cells)(q, x, first + half, level - 1, offset, all, to, aim);
}

static void FC_N(rank_cells)(const fc_rank_cells *q)
{
    ptrdiff_t cells = 0;
    for (int level = 0; level <= q->levels; level++)
        cells += q->cells[level];
    const FC_N(aim) aim = FC_N(aim_at)(q->spare, cells, q->rank, q->pair);
    FC_N(element) *to = (FC_N(element) *)q->spare + FC_N(aim_elements)(cells);
    for (ptrdiff_t x = 0; x < q->n; x += FC_ABREAST * FC_LANES) {
        if (x > 0 && x + FC_ABREAST * FC_LANES > q->n)
            x = q->n - FC_ABREAST * FC_LANES;
        FC_N(share_cells)(q, x, 0, q->levels, q->offset, (FC_N(list)){0}, to, &aim);
    }
}

#endif

static void FC_N(fill)(fc_neighborhood *table)
{
    fc_elements *k = &table->elements[FC_ELEMENT];
    k->keys = FC_N(keys);
    k->values = FC_N(values);
    k->finish_ranks = FC_N(finish_ranks);
#if !FC_AS_KEYS
    k->rank_room = FC_N(rank_room);
    k->rank_box = FC_N(rank_box);
    k->rank_cells = FC_N(rank_cells);
#endif
#if defined FC_INTEGER_TYPE && !FC_AS_KEYS
    k->select = FC_N(select);
    k->tally = FC_N(tally);
    k->tally_room = FC_N(tally_room);
#endif
}
