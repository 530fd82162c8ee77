/* Named reductions the plain way: any window, any mask, any NaN. Next hop: lines.h, which loads the lines.
 *
 * CHUNK outputs at a time, one pass of the vector units over the cells (var and std: two), so one or two loads, one operation and
 * one store for CHUNK / lanes vectors and each cell.
 */

#ifndef FC_PLAIN_ONCE
#define FC_PLAIN_ONCE

enum { FC_REDUCE_CHUNK = 64 };

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
        const uint8_t *present = masked ? line->present + q->run_start[run] + at : NULL;            \
        for (ptrdiff_t tap = 0; tap < q->run_length[run]; tap++)                                   \
            for (int x = 0; x < FC_REDUCE_CHUNK; x++) {                                              \
                const FC_T v = value[tap + x];                                                     \
                const int p = masked ? present[tap + x] : 1;                                        \
                each;                                                                              \
            }                                                                                      \
    }

typedef struct FC_N(chunk) {
    int64_t count[FC_REDUCE_CHUNK];
    union {
        FC_T element[FC_REDUCE_CHUNK];
        FC_WIDE_T wide[FC_REDUCE_CHUNK];
        double real[FC_REDUCE_CHUNK];
    } a, b;
} FC_N(chunk);

FC_INLINE void FC_N(reduce_count)(const fc_reduce *q, ptrdiff_t at, int64_t *count, const int masked)
{
    for (int x = 0; x < FC_REDUCE_CHUNK; x++)
        count[x] = masked ? 0 : q->cells;
    if (!masked)
        return;
    for (ptrdiff_t run = 0; run < q->runs; run++) {
        const uint8_t *present = q->lines[q->run_line[run]].present + q->run_start[run] + at;
        for (ptrdiff_t tap = 0; tap < q->run_length[run]; tap++)
            for (int x = 0; x < FC_REDUCE_CHUNK; x++)
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

FC_INLINE void FC_N(reduce_extreme)(const fc_reduce *q, ptrdiff_t at, FC_T *result, const int greatest, const int masked)
{
    for (int x = 0; x < FC_REDUCE_CHUNK; x++)
        result[x] = greatest ? FC_LEAST : FC_MOST;
    if (q->masked & FC_LINE_MINUS)
        FC_CELLS(result[x] = p & (FC_N(exceeds)(v, result[x], greatest) | (v != v)) ? v : result[x])
    else if (greatest)
        FC_CELLS(result[x] = p & ((v > result[x]) | (v != v)) ? v : result[x])
    else
        FC_CELLS(result[x] = p & ((v < result[x]) | (v != v)) ? v : result[x])
#ifndef FC_INTEGER_TYPE
    for (int x = 0; x < FC_REDUCE_CHUNK; x++)
        result[x] = result[x] == result[x] ? result[x] : FC_ONE_NAN;
#endif
}

FC_INLINE void FC_N(reduce_sum)(const fc_reduce *q, ptrdiff_t at, FC_WIDE_T *sum, const int product, const int masked)
{
    for (int x = 0; x < FC_REDUCE_CHUNK; x++)
        sum[x] = (FC_WIDE_T)product;
    if (product)
        FC_CELLS(sum[x] *= p ? (FC_WIDE_T)v : 1)
    else
        FC_CELLS(sum[x] += p ? (FC_WIDE_T)v : 0)
}

#ifndef FC_INTEGER_TYPE

enum { FC_N(SAFE_FACTORS) = 32 }; /* of 2^-24 .. 2^16 each, whose product is that of a mantissa and within a double's range */

/* A product whose exponent is kept beside it. */
static void FC_N(reduce_product)(const fc_reduce *q, ptrdiff_t at, double *product, const int masked)
{
    int exponent[FC_REDUCE_CHUNK] = {0}, pending = 0;
    for (int x = 0; x < FC_REDUCE_CHUNK; x++)
        product[x] = 1;
    for (ptrdiff_t run = 0; run < q->runs; run++) {
        const fc_line *line = q->lines + q->run_line[run];
        const FC_T *value = (const FC_T *)line->at + q->run_start[run] + at;
        const uint8_t *present = masked ? line->present + q->run_start[run] + at : NULL;
        for (ptrdiff_t tap = 0; tap < q->run_length[run]; tap++) {
            for (int x = 0; x < FC_REDUCE_CHUNK; x++)
                product[x] *= !masked || present[tap + x] ? (double)value[tap + x] : 1;
            if (++pending < FC_N(SAFE_FACTORS))
                continue;
            for (int x = 0; x < FC_REDUCE_CHUNK; x++) {
                int more = 0;
                if (product[x] - product[x] == 0)
                    product[x] = __builtin_frexp(product[x], &more);
                exponent[x] += more;
            }
            pending = 0;
        }
    }
    for (int x = 0; x < FC_REDUCE_CHUNK; x++)
        product[x] = __builtin_ldexp(product[x], exponent[x]);
}

#endif

/* What FC_REDUCE_SUM, FC_REDUCE_PROD and FC_REDUCE_MEAN are where neither 64 bits nor a double hold what they pass through. */
FC_INLINE void FC_N(reduce_wide)(const fc_reduce *q, ptrdiff_t at, FC_N(chunk) *c, const int masked)
{
#ifdef FC_INTEGER_TYPE
    if (q->reduction == FC_REDUCE_PROD) {
        for (int x = 0; x < FC_REDUCE_CHUNK; x++)
            c->a.real[x] = 1;
        FC_CELLS(c->a.real[x] *= p ? (double)v : 1)
        return;
    }
    __int128 sum[FC_REDUCE_CHUNK] = {0};
    FC_CELLS(sum[x] += p ? v : 0)
    if (q->reduction == FC_REDUCE_SUM) {
        for (int x = 0; x < FC_REDUCE_CHUNK; x++)
            c->a.real[x] = (double)sum[x];
        return;
    }
    FC_N(reduce_count)(q, at, c->count, masked);
    for (int x = 0; x < FC_REDUCE_CHUNK; x++) {
        const int64_t count = c->count[x] ? c->count[x] : 1;
        __int128 mean = sum[x] / count;
        const int64_t rest = (int64_t)(sum[x] % count), twice = 2 * (rest < 0 ? -rest : rest);
        if (twice > count || (twice == count && (mean & 1)))
            mean += rest < 0 ? -1 : 1;
        c->a.element[x] = (FC_T)mean;
    }
#else
    FC_N(reduce_product)(q, at, c->a.real, masked);
#endif
}

/* Means and variances: the first cell that counts (and, of floats, is finite) is the pivot of 64-bit integers and of the
 * variances of floats, 0 that of the others, whose sums are exact or doubles; then the squares of the distances from the mean. */
FC_INLINE void FC_N(reduce_moments)(const fc_reduce *q, ptrdiff_t at, const int64_t *count, FC_N(chunk) *c, double *out,
                                  const int squares, const int masked)
{
    const int exact = !FC_IS_FLOAT && sizeof(FC_T) < 8;
    FC_T pivot[FC_REDUCE_CHUNK] = {0};
    double mean[FC_REDUCE_CHUNK];
    if (exact) {
        FC_N(reduce_sum)(q, at, c->a.wide, 0, masked);
        for (int x = 0; x < FC_REDUCE_CHUNK; x++)
            mean[x] = (FC_T)-1 < 1 ? (double)(int64_t)c->a.wide[x] : (double)(uint64_t)c->a.wide[x];
    } else {
        if (!FC_IS_FLOAT || squares) {
            uint8_t found[FC_REDUCE_CHUNK] = {0};
            FC_CELLS(const int known = p & (!FC_IS_FLOAT || v - v == 0); pivot[x] = known & !found[x] ? v : pivot[x];
                     found[x] |= (uint8_t)known)
        }
        for (int x = 0; x < FC_REDUCE_CHUNK; x++)
            mean[x] = 0;
        FC_CELLS(mean[x] += p ? FC_N(distance_from)(v, pivot[x]) : 0)
    }
    for (int x = 0; x < FC_REDUCE_CHUNK; x++)
        mean[x] /= (double)count[x];
    if (!squares) {
        for (int x = 0; x < FC_REDUCE_CHUNK; x++)
            out[x] = (double)pivot[x] + mean[x];
        return;
    }
    for (int x = 0; x < FC_REDUCE_CHUNK; x++)
        c->b.real[x] = 0;
    /* What does not count is at no distance. */
    FC_CELLS(const double d = p ? FC_N(distance_from)(v, pivot[x]) - mean[x] : 0; c->b.real[x] += d * d)
    for (int x = 0; x < FC_REDUCE_CHUNK; x++)
        out[x] = count[x] > q->ddof ? c->b.real[x] / ((double)count[x] - q->ddof) : __builtin_nan("");
}

FC_INLINE void FC_N(reduce_chunk)(const fc_reduce *q, ptrdiff_t at, FC_N(chunk) *c, const int masked)
{
    double *real = c->a.real;
    if (q->wide && q->reduction > FC_REDUCE_RANGE) {
        FC_N(reduce_wide)(q, at, c, masked);
        return;
    }
    switch (q->reduction) {
    case FC_REDUCE_MIN: FC_N(reduce_extreme)(q, at, c->a.element, 0, masked); break;
    case FC_REDUCE_MAX: FC_N(reduce_extreme)(q, at, c->a.element, 1, masked); break;
    case FC_REDUCE_RANGE:
        FC_N(reduce_extreme)(q, at, c->a.element, 1, masked);
        FC_N(reduce_extreme)(q, at, c->b.element, 0, masked);
        for (int x = 0; x < FC_REDUCE_CHUNK; x++)
            c->a.element[x] = (FC_T)(FC_IS_FLOAT ? c->a.element[x] - c->b.element[x]
                                                 : (FC_T)((FC_WIDE_T)c->a.element[x] - (FC_WIDE_T)c->b.element[x]));
        break;
    case FC_REDUCE_SUM: FC_N(reduce_sum)(q, at, c->a.wide, 0, masked); return;
    case FC_REDUCE_PROD: FC_N(reduce_sum)(q, at, c->a.wide, 1, masked); return;
    case FC_REDUCE_COUNT:
        for (int x = 0; x < FC_REDUCE_CHUNK; x++)
            c->count[x] = 0;
        FC_CELLS(c->count[x] += p & (v != 0))
        return;
    case FC_REDUCE_MEAN:
        FC_N(reduce_count)(q, at, c->count, masked);
        FC_N(reduce_moments)(q, at, c->count, c, real, 0, masked);
        break;
    default:
        FC_N(reduce_count)(q, at, c->count, masked);
        FC_N(reduce_moments)(q, at, c->count, c, real, 1, masked);
        for (int x = 0; x < FC_REDUCE_CHUNK && q->reduction == FC_REDUCE_STD; x++)
            real[x] = __builtin_sqrt(real[x]);
        break;
    }
    const int extreme = q->reduction <= FC_REDUCE_RANGE, wide = extreme && q->wide;
    if (masked && extreme)
        FC_N(reduce_count)(q, at, c->count, masked);
#ifdef FC_INTEGER_TYPE
    if (wide) {
        memcpy(c->b.element, c->a.element, sizeof c->b.element);
        const uint64_t bits = (uint64_t)-1 >> (64 - 8 * sizeof(FC_T)); /* a range has no sign */
        for (int x = 0; x < FC_REDUCE_CHUNK; x++)
            real[x] = q->reduction == FC_REDUCE_RANGE ? (double)((uint64_t)c->b.element[x] & bits) : (double)c->b.element[x];
    }
#endif
    for (int x = 0; x < FC_REDUCE_CHUNK && masked; x++) {
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
FC_INLINE void FC_N(reduce_truth)(const fc_reduce *q, ptrdiff_t at, FC_N(chunk) *c, uint8_t *out, const int masked)
{
    fc_reduce inner = *q;
    int64_t nonzero[FC_REDUCE_CHUNK];
    inner.reduction = FC_REDUCE_COUNT;
    FC_N(reduce_chunk)(&inner, at, c, masked);
    memcpy(nonzero, c->count, sizeof nonzero);
    FC_N(reduce_count)(q, at, c->count, masked);
    for (int x = 0; x < FC_REDUCE_CHUNK; x++)
        out[x] = q->reduction == FC_REDUCE_ANY ? nonzero[x] != 0 : nonzero[x] == c->count[x];
}

static void FC_N(reduce)(const fc_reduce *q)
{
    FC_N(chunk) c;
    for (ptrdiff_t at = q->first; at < q->n; at += FC_REDUCE_CHUNK) {
        const size_t n = (size_t)(q->n - at < FC_REDUCE_CHUNK ? q->n - at : FC_REDUCE_CHUNK);
        char *out = q->out;
        if (q->reduction == FC_REDUCE_ANY || q->reduction == FC_REDUCE_ALL) {
            uint8_t truth[FC_REDUCE_CHUNK];
            if (q->masked & FC_LINE_MASKED)
                FC_N(reduce_truth)(q, at, &c, truth, 1);
            else
                FC_N(reduce_truth)(q, at, &c, truth, 0);
            memcpy(out + at, truth, n);
            continue;
        }
        if (q->masked & FC_LINE_MASKED)
            FC_N(reduce_chunk)(q, at, &c, 1);
        else
            FC_N(reduce_chunk)(q, at, &c, 0);
        if (q->reduction == FC_REDUCE_COUNT)
            memcpy(out + at * 8, c.count, n * 8);
        else if (q->reduction <= FC_REDUCE_RANGE && !q->wide)
            memcpy(out + at * (ptrdiff_t)sizeof(FC_T), c.a.element, n * sizeof(FC_T));
        else
            memcpy(out + at * 8, c.a.real, n * 8);
    }
}
