/* The slot `pairs`: sums (sums.h), their distances (endings.h), and again where that is needed. Next hop: sums.h.
 *
 * Sums outside the safe range of their metric are formed again, lane by lane, by a careful body: the choice depends on
 * the pair alone, so the bits of a result do not depend on its neighbours.
 */

/* Sums of squares, or of other powers, from here to its reciprocal have lost nothing to underflow and overflow. */
FC_INLINE FC_T FC_N(safe_low)(int powers)
{
    if (sizeof(FC_T) == 4)
        return powers ? (FC_T)0x1p-30 : (FC_T)0x1p-90;
    return powers ? (FC_T)0x1p-100 : (FC_T)0x1p-900;
}

/* Sums outside low..high; NaN where terms have signs, which may be infinity less infinity. */
FC_INLINE FC_IVEC FC_N(beyond)(const fc_pairs *t, FC_VEC x, FC_T low, FC_T high)
{
    const FC_IVEC outside = (FC_IVEC)(x < low) | (FC_IVEC)(x > high);
    return t->metric == FC_FORM ? (FC_IVEC)(outside | (FC_IVEC)(x != x)) : outside;
}

/* Whether a lane of the tile needs the careful body: statistics that are NaN, or sums outside low..high. */
FC_INLINE int FC_N(unknown)(const fc_pairs *t)
{
    FC_T rows = 0;
    FC_VEC columns = {0};
    for (int i = 0; i < t->rows; i++)
        rows += ((const FC_T *)t->a_stats)[i];
    for (int j = 0; j < t->vectors; j++)
        columns += ((const FC_VEC *)t->b_stats)[j];
    columns += rows;
    return FC_N(any)((FC_IVEC)(columns != columns));
}

FC_INLINE int FC_N(outside)(const fc_pairs *t, const FC_T *c, FC_T low, FC_T high)
{
    const ptrdiff_t size = t->rows * t->vectors * FC_LANES;
    FC_IVEC found = {0};
    for (ptrdiff_t j = 0; j < size; j += FC_LANES) {
        const FC_VEC x = *(const FC_VEC *)(c + j);
        found |= FC_N(beyond)(t, x, low, high);
    }
    return FC_N(any)(found);
}

/* Whether sums are formed again for pairs whose statistics are NaN, for pairs that are near, or for roots of sums outside the
 * safe range. */
enum { FC_N(BY_STAT), FC_N(BY_NEARNESS), FC_N(BY_RANGE), FC_N(NEVER) };
FC_INLINE int FC_N(doubt_of)(const fc_pairs *t)
{
    switch (t->metric) {
    case FC_CHEBYSHEV:
    case FC_CANBERRA:
    case FC_BRAYCURTIS: return FC_N(BY_STAT);
    case FC_JENSEN:
    case FC_PRODUCT: return FC_N(BY_NEARNESS);
    default: return t->ending == FC_ROOT || t->ending == FC_PTH_ROOT ? FC_N(BY_RANGE) : FC_N(NEVER);
    }
}

FC_INLINE FC_T FC_N(nearness)(int metric) { return metric == FC_JENSEN ? (FC_T)0.1 : (FC_T)0.25; }

/* From the largest differences of the pairs what the careful sums divide by, or the power of 2 that they multiply by. Whether
 * any is needed: sums of points that coincide are right. */
static int FC_N(scales)(const fc_pairs *t, FC_T *scale, FC_T low, FC_T high)
{
    const ptrdiff_t width = t->vectors * FC_LANES, size = FC_POINT_ROWS * width;
    const FC_INT most = 2 * (FC_INT)FC_N(BIAS);
    FC_IVEC apart = {0};
    for (ptrdiff_t j = 0; j < t->rows * width; j += FC_LANES)
        apart |= FC_N(beyond)(t, FC_N(load)((const FC_T *)t->sums + j), low, high) & (FC_IVEC)(FC_N(load)(scale + j) != 0);
    for (ptrdiff_t j = 0; j < size; j++) {
        FC_INT bits;
        memcpy(&bits, scale + j, sizeof bits);
        bits = most - (bits >> FC_N(MANTISSA) & (most + 1));
        bits = (bits < 1 ? 1 : bits) << FC_N(MANTISSA);
        if (!FC_N(divides)(t->metric))
            memcpy(scale + j, &bits, sizeof bits);
        else if (scale[j] == 0 || scale[j] - scale[j] != 0)
            scale[j] = 1;
    }
    return FC_N(any)(apart);
}

/* Sums of a pass: `sums` and others at first; then the largest differences, and careful sums (the second in `second_sums`). */
FC_INLINE void FC_N(pass_sums)(const fc_pairs *t, int pass, const FC_T *p)
{
    FC_T *sums = t->sums, *second_sums = t->second_sums, *largest = t->largest, *careful = t->careful;
    if (pass == FC_PASS_LARGEST) {
        FC_N(careful_sums)(FC_CHEBYSHEV, t, largest, p, largest, second_sums);
    } else if (pass == FC_PASS_AGAIN) {
        if (t->metric == FC_PRODUCT)
            FC_N(fast_sums)(FC_SQUARE, t, p, careful, second_sums);
        else
            FC_N(careful_sums)(t->metric, t, largest, p, careful, second_sums);
    } else {
        /* Of whole panels `sums` prefetches a row for every FC_PREFETCH_TERMS terms, but for canberra's. */
        const int each = FC_PREFETCH_TERMS * FC_N(stride_of)(t->metric, 0);
        const int begun = FC_PREFETCHES && t->vectors == FC_POINT_VECTORS && t->metric != FC_CANBERRA;
        for (ptrdiff_t i = begun ? (t->count + each - 1) / each : 0; i < t->rows; i++)
            FC_N(prefetch_row)(t, t->vectors, i);
        FC_N(fast_sums)(t->metric, t, p, sums, second_sums);
        if (t->metric == FC_DISCORDANT)
            FC_N(fast_sums)(FC_CONCORDANT, t, p, largest, careful);
    }
}

/* A pass over numbers of the points; after the last ones what other passes must follow. */
static int FC_N(pass)(const fc_pairs *t, int pass)
{
    const int metric = t->metric, doubt = FC_N(doubt_of)(t);
    const int powers = metric != FC_SQUARE && metric != FC_WORDS && metric != FC_FORM;
    const ptrdiff_t width = t->vectors * FC_LANES, size = FC_POINT_ROWS * width;
    const FC_T low = FC_N(safe_low)(powers), high = 1 / low;
    FC_T *sums = t->sums, *careful = t->careful, *scale = t->largest, p[3] = {0}, root[2] = {0};
    if (metric == FC_HALVES || metric == FC_POWER) {
        FC_N(halve)(t->p, 0, &p[0], &p[1]);
        p[2] = (FC_T)(metric == FC_HALVES ? t->p - 0.5 : 0);
    }
    FC_N(pass_sums)(t, pass, p);
    if (!t->last)
        return 0;
    if (pass == FC_PASS_LARGEST)
        return FC_N(scales)(t, scale, low, high) ? FC_PASS_AGAIN : 0;
    const int settles = FC_N(is_long)(t) && metric != FC_BITS && metric != FC_CHEBYSHEV;
    if (settles) {
        FC_N(settle)(t, pass == FC_PASS_AGAIN ? careful : sums);
        if (metric == FC_DICE || metric == FC_DISCORDANT || (metric == FC_BRAYCURTIS && pass == FC_PASS_AGAIN))
            FC_N(settle)(t, t->second_sums);
        if (metric == FC_DISCORDANT) {
            FC_N(settle)(t, t->largest);
            FC_N(settle)(t, t->careful);
        }
    }
    if (metric == FC_PRODUCT && pass == FC_PASS_SUMS)
        for (ptrdiff_t j = 0; j < size; j += FC_LANES)
            *(FC_VEC *)(sums + j) = 2 - 2 * *(const FC_VEC *)(sums + j);
    for (ptrdiff_t j = 0; j < size && pass == FC_PASS_AGAIN && doubt != FC_N(BY_RANGE); j++) {
        const FC_T stat = ((const FC_T *)t->a_stats)[j / width] + ((const FC_T *)t->b_stats)[j % width];
        sums[j] = (doubt == FC_N(BY_STAT) ? stat != stat : sums[j] < FC_N(nearness)(metric)) ? careful[j] : sums[j];
    }
    if (t->ending == FC_PTH_ROOT) {
        const double inverse = 1 / t->p;
        FC_N(halve)(inverse, (double)(1 - (long double)inverse * t->p) / t->p, &root[0], &root[1]);
    }
    FC_N(distances)(t, root, sums, t->second_sums);
    if (pass == FC_PASS_SUMS) {
        if (doubt == FC_N(BY_STAT))
            return FC_N(unknown)(t) ? FC_PASS_AGAIN : 0;
        if (doubt == FC_N(BY_NEARNESS))
            return FC_N(outside)(t, sums, FC_N(nearness)(metric), (FC_T)8) ? FC_PASS_AGAIN : 0;
        return doubt == FC_N(BY_RANGE) && FC_N(outside)(t, sums, low, high) ? FC_PASS_LARGEST : 0;
    }
    /* Differences were scaled by their largest or a power of 2 near it, pair by pair. */
    for (int i = 0; i < t->rows && doubt == FC_N(BY_RANGE); i++)
        for (ptrdiff_t j = 0; j < width; j += FC_LANES) {
            FC_T *dst = FC_N(row_of)(t, i) + j;
            const FC_VEC sum = *(FC_VEC *)(sums + i * width + j), x = *(FC_VEC *)(careful + i * width + j);
            const FC_VEC y = FC_N(distance_of_sums)(t->ending, 1, t, x, x, x, x, root);
            const FC_VEC factor = *(FC_VEC *)(scale + i * width + j);
            const FC_VEC better = FC_N(divides)(metric) ? y * factor : y / factor;
            FC_N(put)(dst, FC_N(pick)(FC_N(beyond)(t, sum, low, high), better, FC_N(load)(dst)));
        }
    return 0;
}

static int FC_N(pairs)(const fc_pairs *t)
{
    int next = FC_N(pass)(t, t->pass);
    if (next && t->first) { /* all numbers are here */
        if (next == FC_PASS_LARGEST)
            next = FC_N(pass)(t, FC_PASS_LARGEST);
        if (next)
            next = FC_N(pass)(t, FC_PASS_AGAIN);
    }
    for (int i = 0; i < t->rows && t->last && t->factor != 1 && t->pass != FC_PASS_LARGEST; i++) {
        FC_T *dst = FC_N(row_of)(t, i);
        for (int j = 0; j < t->vectors * FC_LANES; j += FC_LANES)
            FC_N(put)(dst + j, FC_N(load)(dst + j) * (FC_T)t->factor);
    }
    return next;
}
