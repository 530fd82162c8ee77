/* Named reductions of neighbourhoods, on lines loaded into blocks (lines.h), for every element type.
 *
 * `near` is the plain way, for any window, mask and NaN: CHUNK outputs at a time, one pass of the vector units over the
 * cells (var and std: two), so one or two loads, one operation and one store for CHUNK / lanes vectors and each cell.
 * Next hop: extremes.h, truth_bits.h and box_sums.h, the fast ways, and box_parts.h, that of large boxes.
 */

#include "neighborhood/table.h"
#include "base/simd.h"
#ifndef FC_INTEGER_TYPE
#include "neighborhood/truth_bits.h"
#include "base/elements.h"
#include "neighborhood/lines.h"
#endif

#ifndef FC_NEIGHBORHOOD_ONCE
#define FC_NEIGHBORHOOD_ONCE

enum { FC_NEAR_CHUNK = 64 };

#endif

#undef FC_WIDE_T
#undef FC_IS_FLOAT
#undef FC_ONE_NAN
#undef FC_MOST
#undef FC_LEAST
#ifdef FC_INTEGER_TYPE
#define FC_IS_FLOAT 0
#define FC_WIDE_T uint64_t
#define FC_MOST ((FC_T)((uint64_t)-1 >> (64 - 8 * sizeof(FC_T) + ((FC_T)-1 < 1))))
#define FC_LEAST ((FC_T)((FC_T)-1 < 1 ? ~FC_MOST : 0))
#else
#define FC_IS_FLOAT 1
#define FC_ONE_NAN ((FC_T)__builtin_nan(""))
#define FC_WIDE_T double
#define FC_MOST ((FC_T)__builtin_inf())
#define FC_LEAST (-FC_MOST)
#endif

/* a - b as a double, rounded once, whatever the type. */
FC_INLINE double FC_N(distance_from)(FC_T a, FC_T b)
{
    if (FC_IS_FLOAT || sizeof(FC_T) < 8)
        return (double)a - (double)b;
    return a >= b ? (double)((uint64_t)a - (uint64_t)b) : -(double)((uint64_t)b - (uint64_t)a);
}

/* The loop over cells: `each` sees the value v, whether it counts (p) and its output x. */
#define FC_CELLS(each)                                                                             \
    for (ptrdiff_t run = 0; run < q->runs; run++) {                                                \
        const fc_line *line = q->lines + q->run_line[run];                                         \
        const FC_T *value = (const FC_T *)line->at + q->run_start[run] + at;                       \
        const uint8_t *present = holes ? line->present + q->run_start[run] + at : NULL;            \
        for (ptrdiff_t tap = 0; tap < q->run_length[run]; tap++)                                   \
            for (int x = 0; x < FC_NEAR_CHUNK; x++) {                                              \
                const FC_T v = value[tap + x];                                                     \
                const int p = holes ? present[tap + x] : 1;                                        \
                each;                                                                              \
            }                                                                                      \
    }

typedef struct FC_N(chunk) {
    int64_t count[FC_NEAR_CHUNK];
    union {
        FC_T element[FC_NEAR_CHUNK];
        FC_WIDE_T wide[FC_NEAR_CHUNK];
        double real[FC_NEAR_CHUNK];
    } a, b;
} FC_N(chunk);

FC_INLINE void FC_N(near_count)(const fc_near *q, ptrdiff_t at, int64_t *count, const int holes)
{
    for (int x = 0; x < FC_NEAR_CHUNK; x++)
        count[x] = holes ? 0 : q->cells;
    if (!holes)
        return;
    for (ptrdiff_t run = 0; run < q->runs; run++) {
        const uint8_t *present = q->lines[q->run_line[run]].present + q->run_start[run] + at;
        for (ptrdiff_t tap = 0; tap < q->run_length[run]; tap++)
            for (int x = 0; x < FC_NEAR_CHUNK; x++)
                count[x] += present[tap + x];
    }
}

/* Whether v comes before the extreme so far: -0 is less than 0. */
FC_INLINE int FC_N(exceeds)(FC_T v, FC_T extreme, const int greatest)
{
    if (!FC_IS_FLOAT)
        return greatest ? v > extreme : v < extreme;
    const int minus = sizeof(FC_T) == 4 ? __builtin_copysignf(1, (float)v) < 0 : __builtin_copysign(1, (double)v) < 0;
    return greatest ? (v > extreme) | ((v == extreme) & !minus) : (v < extreme) | ((v == extreme) & minus);
}

FC_INLINE void FC_N(near_extreme)(const fc_near *q, ptrdiff_t at, FC_T *result, const int greatest, const int holes)
{
    for (int x = 0; x < FC_NEAR_CHUNK; x++)
        result[x] = greatest ? FC_LEAST : FC_MOST;
    if (q->holes & FC_LINE_MINUS)
        FC_CELLS(result[x] = p & (FC_N(exceeds)(v, result[x], greatest) | (v != v)) ? v : result[x])
    else if (greatest)
        FC_CELLS(result[x] = p & ((v > result[x]) | (v != v)) ? v : result[x])
    else
        FC_CELLS(result[x] = p & ((v < result[x]) | (v != v)) ? v : result[x])
#ifndef FC_INTEGER_TYPE
    for (int x = 0; x < FC_NEAR_CHUNK; x++)
        result[x] = result[x] == result[x] ? result[x] : FC_ONE_NAN;
#endif
}

FC_INLINE void FC_N(near_sum)(const fc_near *q, ptrdiff_t at, FC_WIDE_T *sum, const int product, const int holes)
{
    for (int x = 0; x < FC_NEAR_CHUNK; x++)
        sum[x] = (FC_WIDE_T)product;
    if (product)
        FC_CELLS(sum[x] *= p ? (FC_WIDE_T)v : 1)
    else
        FC_CELLS(sum[x] += p ? (FC_WIDE_T)v : 0)
}

#ifndef FC_INTEGER_TYPE

enum { FC_N(SAFE_FACTORS) = 32 }; /* of 2^-24 .. 2^16 each, whose product is that of a mantissa and within a double's range */

/* A product whose exponent is kept beside it. */
static void FC_N(near_product)(const fc_near *q, ptrdiff_t at, double *product, const int holes)
{
    int exponent[FC_NEAR_CHUNK] = {0}, pending = 0;
    for (int x = 0; x < FC_NEAR_CHUNK; x++)
        product[x] = 1;
    for (ptrdiff_t run = 0; run < q->runs; run++) {
        const fc_line *line = q->lines + q->run_line[run];
        const FC_T *value = (const FC_T *)line->at + q->run_start[run] + at;
        const uint8_t *present = holes ? line->present + q->run_start[run] + at : NULL;
        for (ptrdiff_t tap = 0; tap < q->run_length[run]; tap++) {
            for (int x = 0; x < FC_NEAR_CHUNK; x++)
                product[x] *= !holes || present[tap + x] ? (double)value[tap + x] : 1;
            if (++pending < FC_N(SAFE_FACTORS))
                continue;
            for (int x = 0; x < FC_NEAR_CHUNK; x++) {
                int more = 0;
                if (product[x] - product[x] == 0)
                    product[x] = __builtin_frexp(product[x], &more);
                exponent[x] += more;
            }
            pending = 0;
        }
    }
    for (int x = 0; x < FC_NEAR_CHUNK; x++)
        product[x] = __builtin_ldexp(product[x], exponent[x]);
}

#endif

/* What FC_NEAR_SUM, FC_NEAR_PROD and FC_NEAR_MEAN are where neither 64 bits nor a double hold what they pass through. */
FC_INLINE void FC_N(near_wide)(const fc_near *q, ptrdiff_t at, FC_N(chunk) *c, const int holes)
{
#ifdef FC_INTEGER_TYPE
    if (q->reduction == FC_NEAR_PROD) {
        for (int x = 0; x < FC_NEAR_CHUNK; x++)
            c->a.real[x] = 1;
        FC_CELLS(c->a.real[x] *= p ? (double)v : 1)
        return;
    }
    __int128 sum[FC_NEAR_CHUNK] = {0};
    FC_CELLS(sum[x] += p ? v : 0)
    if (q->reduction == FC_NEAR_SUM) {
        for (int x = 0; x < FC_NEAR_CHUNK; x++)
            c->a.real[x] = (double)sum[x];
        return;
    }
    FC_N(near_count)(q, at, c->count, holes);
    for (int x = 0; x < FC_NEAR_CHUNK; x++) {
        const int64_t count = c->count[x] ? c->count[x] : 1;
        __int128 mean = sum[x] / count;
        const int64_t rest = (int64_t)(sum[x] % count), twice = 2 * (rest < 0 ? -rest : rest);
        if (twice > count || (twice == count && (mean & 1)))
            mean += rest < 0 ? -1 : 1;
        c->a.element[x] = (FC_T)mean;
    }
#else
    FC_N(near_product)(q, at, c->a.real, holes);
#endif
}

/* Means and variances: the first cell that counts (and, of floats, is finite) is the pivot of 64-bit integers and of the variances
 * of floats, 0 that of the others, whose sums are exact or doubles; then the squares of the distances from the mean. */
FC_INLINE void FC_N(near_moments)(const fc_near *q, ptrdiff_t at, const int64_t *count, FC_N(chunk) *c, double *out,
                                  const int squares, const int holes)
{
    const int exact = !FC_IS_FLOAT && sizeof(FC_T) < 8;
    FC_T pivot[FC_NEAR_CHUNK] = {0};
    double mean[FC_NEAR_CHUNK];
    if (exact) {
        FC_N(near_sum)(q, at, c->a.wide, 0, holes);
        for (int x = 0; x < FC_NEAR_CHUNK; x++)
            mean[x] = (FC_T)-1 < 1 ? (double)(int64_t)c->a.wide[x] : (double)(uint64_t)c->a.wide[x];
    } else {
        if (!FC_IS_FLOAT || squares) {
            uint8_t found[FC_NEAR_CHUNK] = {0};
            FC_CELLS(const int known = p & (!FC_IS_FLOAT || v - v == 0); pivot[x] = known & !found[x] ? v : pivot[x];
                     found[x] |= (uint8_t)known)
        }
        for (int x = 0; x < FC_NEAR_CHUNK; x++)
            mean[x] = 0;
        FC_CELLS(mean[x] += p ? FC_N(distance_from)(v, pivot[x]) : 0)
    }
    for (int x = 0; x < FC_NEAR_CHUNK; x++)
        mean[x] /= (double)count[x];
    if (!squares) {
        for (int x = 0; x < FC_NEAR_CHUNK; x++)
            out[x] = (double)pivot[x] + mean[x];
        return;
    }
    for (int x = 0; x < FC_NEAR_CHUNK; x++)
        c->b.real[x] = 0;
    /* What does not count is at no distance. */
    FC_CELLS(const double d = p ? FC_N(distance_from)(v, pivot[x]) - mean[x] : 0; c->b.real[x] += d * d)
    for (int x = 0; x < FC_NEAR_CHUNK; x++)
        out[x] = count[x] > q->ddof ? c->b.real[x] / ((double)count[x] - q->ddof) : __builtin_nan("");
}

FC_INLINE void FC_N(near_chunk)(const fc_near *q, ptrdiff_t at, FC_N(chunk) *c, const int holes)
{
    double *real = c->a.real;
    if (q->wide && q->reduction > FC_NEAR_RANGE) {
        FC_N(near_wide)(q, at, c, holes);
        return;
    }
    switch (q->reduction) {
    case FC_NEAR_MIN: FC_N(near_extreme)(q, at, c->a.element, 0, holes); break;
    case FC_NEAR_MAX: FC_N(near_extreme)(q, at, c->a.element, 1, holes); break;
    case FC_NEAR_RANGE:
        FC_N(near_extreme)(q, at, c->a.element, 1, holes);
        FC_N(near_extreme)(q, at, c->b.element, 0, holes);
        for (int x = 0; x < FC_NEAR_CHUNK; x++)
            c->a.element[x] = (FC_T)(FC_IS_FLOAT ? c->a.element[x] - c->b.element[x]
                                                 : (FC_T)((FC_WIDE_T)c->a.element[x] - (FC_WIDE_T)c->b.element[x]));
        break;
    case FC_NEAR_SUM: FC_N(near_sum)(q, at, c->a.wide, 0, holes); return;
    case FC_NEAR_PROD: FC_N(near_sum)(q, at, c->a.wide, 1, holes); return;
    case FC_NEAR_COUNT:
        for (int x = 0; x < FC_NEAR_CHUNK; x++)
            c->count[x] = 0;
        FC_CELLS(c->count[x] += p & (v != 0))
        return;
    case FC_NEAR_MEAN:
        FC_N(near_count)(q, at, c->count, holes);
        FC_N(near_moments)(q, at, c->count, c, real, 0, holes);
        break;
    default:
        FC_N(near_count)(q, at, c->count, holes);
        FC_N(near_moments)(q, at, c->count, c, real, 1, holes);
        for (int x = 0; x < FC_NEAR_CHUNK && q->reduction == FC_NEAR_STD; x++)
            real[x] = __builtin_sqrt(real[x]);
        break;
    }
    const int extreme = q->reduction <= FC_NEAR_RANGE, wide = extreme && q->wide;
    if (holes && extreme)
        FC_N(near_count)(q, at, c->count, holes);
#ifdef FC_INTEGER_TYPE
    if (wide) {
        memcpy(c->b.element, c->a.element, sizeof c->b.element);
        const uint64_t bits = (uint64_t)-1 >> (64 - 8 * sizeof(FC_T)); /* a range has no sign */
        for (int x = 0; x < FC_NEAR_CHUNK; x++)
            real[x] = q->reduction == FC_NEAR_RANGE ? (double)((uint64_t)c->b.element[x] & bits) : (double)c->b.element[x];
    }
#endif
    for (int x = 0; x < FC_NEAR_CHUNK && holes; x++) {
        if (c->count[x])
            continue;
        if (extreme && !wide)
            c->a.element[x] = (FC_T)q->nothing;
        else
            real[x] = q->nothing;
    }
}

#undef FC_CELLS

/* any and all: from the number of cells that are not 0. */
FC_INLINE void FC_N(near_truth)(const fc_near *q, ptrdiff_t at, FC_N(chunk) *c, uint8_t *out, const int holes)
{
    fc_near inner = *q;
    int64_t nonzero[FC_NEAR_CHUNK];
    inner.reduction = FC_NEAR_COUNT;
    FC_N(near_chunk)(&inner, at, c, holes);
    memcpy(nonzero, c->count, sizeof nonzero);
    FC_N(near_count)(q, at, c->count, holes);
    for (int x = 0; x < FC_NEAR_CHUNK; x++)
        out[x] = q->reduction == FC_NEAR_ANY ? nonzero[x] != 0 : nonzero[x] == c->count[x];
}

static void FC_N(near)(const fc_near *q)
{
    FC_N(chunk) c;
    for (ptrdiff_t at = q->first; at < q->n; at += FC_NEAR_CHUNK) {
        const size_t n = (size_t)(q->n - at < FC_NEAR_CHUNK ? q->n - at : FC_NEAR_CHUNK);
        char *out = q->out;
        if (q->reduction == FC_NEAR_ANY || q->reduction == FC_NEAR_ALL) {
            uint8_t truth[FC_NEAR_CHUNK];
            if (q->holes & FC_LINE_HOLES)
                FC_N(near_truth)(q, at, &c, truth, 1);
            else
                FC_N(near_truth)(q, at, &c, truth, 0);
            memcpy(out + at, truth, n);
            continue;
        }
        if (q->holes & FC_LINE_HOLES)
            FC_N(near_chunk)(q, at, &c, 1);
        else
            FC_N(near_chunk)(q, at, &c, 0);
        if (q->reduction == FC_NEAR_COUNT)
            memcpy(out + at * 8, c.count, n * 8);
        else if (q->reduction <= FC_NEAR_RANGE && !q->wide)
            memcpy(out + at * (ptrdiff_t)sizeof(FC_T), c.a.element, n * sizeof(FC_T));
        else
            memcpy(out + at * 8, c.a.real, n * 8);
    }
}

#include "neighborhood/extremes.h"
#include "neighborhood/box_sums.h"
#include "neighborhood/box_parts.h"

static void FC_N(fill)(fc_neighborhood *table)
{
    fc_elements *k = &table->elements[FC_ELEMENT];
    k->bytes = sizeof(FC_T);
    k->near = FC_N(near);
    k->columns = FC_N(columns);
    k->row = FC_N(row);
    k->pile = FC_N(pile);
    k->subtract = FC_N(subtract);
    k->nonzero = FC_N(nonzero);
    k->fold_columns = FC_N(fold_columns);
    k->fold_row = FC_N(fold_row);
    k->finish = FC_N(finish);
    k->lift = FC_N(lift);
    k->join = FC_N(join);
    k->conclude = FC_N(conclude);
#if defined FC_INTEGER_TYPE && FC_ELEMENT == 0
    table->narrow = *k;
    table->narrow.fold_columns = fc_fold_columns_narrow;
    table->narrow.fold_row = fc_fold_row_narrow;
    table->narrow.finish = fc_finish_narrow;
    table->widening = table->narrow;
    table->widening.fold_row = fc_fold_row_widening;
    table->widening.finish = k->finish;
#endif
#ifndef FC_INTEGER_TYPE
    table->boundary = fc_boundary;
    table->fill_line = fc_fill_line;
    table->fill_ends = fc_fill_ends;
    table->put_line = fc_put_line;
    table->gather = fc_gather;
    table->pack = fc_pack;
    table->unpack = fc_unpack;
    table->merge = fc_merge_terms;
#endif
}
