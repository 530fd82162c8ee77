/* The tile for few columns: lanes = columns x split terms, so that 3 to lanes / 2 filters fill a vector.
 *
 * Lane j * split + s of a pixel's sum takes the terms split * step + s of column j; at the end the lanes of a column are
 * added. A step takes one vector load of b, one broadcast of `split` neighbouring inputs for each pixel and one FMA: with
 * 12 pixels 13 loads and 12 FMAs, so the load ports are the limit, at 92 % of the FMA rate. Inputs are read in place,
 * whatever their number of channels, and results leave in the order of the output.
 */

/* The step of the last n < split terms of a piece; returns the next row of b. */
FC_INLINE const FC_T *FC_N(split_rest)(const int m, const int split, const int n, FC_VEC *acc, const FC_N(pixels) *a,
                                         const FC_T *b)
{
    const FC_VEC bv = *(const FC_VEC *)b;
#pragma GCC unroll 12
    for (int i = 0; i < m; i++)
        acc[i] += FC_N(splat_part)(FC_N(pixel)(a, i), split, n) * bv;
    return b + FC_LANES;
}

FC_INLINE void FC_N(split_body)(const int m, const int split, const fc_tile *t)
{
    const FC_T *b = t->b;
    size_t chain = t->chain;
    FC_VEC acc[12];
#pragma GCC unroll 12
    for (int i = 0; i < m; i++)
        acc[i] = (FC_VEC){0};
    for (ptrdiff_t q = 0; q < t->count; q++) {
        FC_N(pixels) a = FC_N(pixels_at)((const FC_T *)t->a + t->pieces[q].offset, t->step);
        const ptrdiff_t steps = t->pieces[q].length / split;
        for (ptrdiff_t k = 0; k < steps; k++, b += FC_LANES) {
            const FC_VEC bv = *(const FC_VEC *)b;
#pragma GCC unroll 12
            for (int i = 0; i < m; i++)
                acc[i] += FC_N(splat_group)(FC_N(pixel)(&a, i), split) * bv;
            a.a0 += split;
            a.a1 += split;
        }
        switch (t->pieces[q].length % split) {
        case 1: b = FC_N(split_rest)(m, split, 1, acc, &a, b); break;
        case 2: b = FC_N(split_rest)(m, split, split < 2 ? 1 : 2, acc, &a, b); break;
        case 3: b = FC_N(split_rest)(m, split, split < 3 ? 1 : 3, acc, &a, b); break;
        }
        if (!t->pieces[q].ends)
            continue;
        const int last = t->last && q == t->count - 1;
        FC_T *const *c = (FC_T *const *)t->c;
        for (size_t n = chain++;; n /= FC_GROUP, c++) {
            if (n % FC_GROUP)
#pragma GCC unroll 12
                for (int i = 0; i < m; i++)
                    acc[i] += *(const FC_VEC *)(*c + i * FC_LANES);
            if (!fc_rises(n, last))
                break;
        }
        if (last)
            break;
#pragma GCC unroll 12
        for (int i = 0; i < m; i++) {
            *(FC_VEC *)(*c + i * FC_LANES) = acc[i];
            acc[i] = (FC_VEC){0};
        }
    }
    if (!t->last)
        return;
    /* `split` pixels become one vector: slots of lanes / split elements, the first `columns` of them wanted. A slot is
     * written whole where pixels that are written later cover the rest of it. */
    FC_T *out = t->out;
    const ptrdiff_t step = t->out_step, columns = t->columns, slot = FC_LANES / split;
#pragma GCC unroll 12
    for (int i = 0; i < m; i += split) {
        FC_VEC v[4];
#pragma GCC unroll 4
        for (int j = 0; j < split; j++)
            v[j] = i + j < m ? acc[i + j] : (FC_VEC){0};
#pragma GCC unroll 2
        for (int n = split; n > 1; n /= 2)
#pragma GCC unroll 2
            for (int j = 0; j < n / 2; j++)
                v[j] = FC_N(pair_sums)(v[2 * j], v[2 * j + 1]);
        if (step == slot && i + split <= m && columns == slot) {
            FC_N(put)(out + i * step, v[0]);
            continue;
        }
        FC_T sums[FC_LANES];
        FC_N(put)(sums, v[0]);
        for (int j = 0; j < split && i + j < m; j++)
            if (step == columns && (m - i - j) * columns >= slot)
                memcpy(out + (i + j) * step, sums + j * slot, (size_t)slot * sizeof(FC_T));
            else
                for (ptrdiff_t column = 0; column < columns; column++)
                    out[(i + j) * step + column] = sums[j * slot + column];
    }
}

#define FC_SPLIT(m) case m: FC_N(split_body)(m, split, t); return;

FC_INLINE void FC_N(split_rows)(const int split, const fc_tile *t)
{
    switch (t->rows) {
        FC_SPLIT(1) FC_SPLIT(2) FC_SPLIT(3) FC_SPLIT(4) FC_SPLIT(5) FC_SPLIT(6)
        FC_SPLIT(7) FC_SPLIT(8) FC_SPLIT(9) FC_SPLIT(10) FC_SPLIT(11) FC_SPLIT(12)
    default: FC_NO_SUCH_SHAPE
    }
}

#undef FC_SPLIT

/* Terms that lanes may share: what one broadcast instruction can load. */
enum {
    FC_N(SPLIT) = FC_VEC_BYTES == 64 ? 16 / sizeof(FC_T) : FC_VEC_BYTES == 32 && sizeof(FC_T) == 4 ? 2 : 1
};

static void FC_N(split_tile)(const fc_tile *t)
{
    if (FC_N(SPLIT) >= 4 && t->split == 4)
        FC_N(split_rows)(4, t);
    else if (FC_N(SPLIT) >= 2 && t->split == 2)
        FC_N(split_rows)(2, t);
    else
        FC_NO_SUCH_SHAPE
}
