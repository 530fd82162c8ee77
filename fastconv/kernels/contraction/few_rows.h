/* Triple products of operands of few rows, read where they are, lanes along the samples: for 4 x 4 x 4 rows 80 operations and 36
 * loads for V samples, less time than reading the 12 vectors from memory takes. */

enum { FC_N(SIDE) = FC_REGISTERS == 32 ? 4 : 3 };

/* Sums of js x ks pairs of rows with one row x, in registers; sums of the next j lie `step` vectors on. */
FC_INLINE void FC_N(few_rows_body)(const int js, const int ks, FC_T *sums, ptrdiff_t step, const FC_T *x, const FC_T *y,
                               ptrdiff_t y_row, const FC_T *z, ptrdiff_t z_row, ptrdiff_t n, const FC_T *const *next, int ahead)
{
    FC_VEC acc[FC_N(SIDE)][FC_N(SIDE)] = {{{0}}};
    for (ptrdiff_t m = 0; m < n; m += FC_LANES) {
        const FC_VEC xv = FC_N(load)(x + m);
        FC_VEC zv[FC_N(SIDE)];
        for (int i = 0; i < ahead; i++)
            __builtin_prefetch(next[i] + m);
#pragma GCC unroll 4
        for (int k = 0; k < ks; k++)
            zv[k] = FC_N(load)(z + k * z_row + m);
#pragma GCC unroll 4
        for (int j = 0; j < js; j++) {
            const FC_VEC xy = xv * FC_N(load)(y + j * y_row + m);
#pragma GCC unroll 4
            for (int k = 0; k < ks; k++)
                acc[j][k] += xy * zv[k];
        }
    }
#pragma GCC unroll 4
    for (int j = 0; j < js; j++)
#pragma GCC unroll 4
        for (int k = 0; k < ks; k++) {
            FC_T *sum = sums + (j * step + k) * FC_LANES;
            FC_N(put)(sum, FC_N(load)(sum) + acc[j][k]);
        }
}

static void FC_N(few_rows_tile)(int js, int ks, FC_T *sums, ptrdiff_t step, const FC_T *x, const FC_T *y, ptrdiff_t y_row,
                            const FC_T *z, ptrdiff_t z_row, ptrdiff_t n, const FC_T *const *next, int ahead)
{
#define FC_SIDES(j, k) case (j) * 8 + (k): FC_N(few_rows_body)(j, k, sums, step, x, y, y_row, z, z_row, n, next, ahead); return;
    switch (js * 8 + ks) {
        FC_SIDES(1, 1) FC_SIDES(1, 2) FC_SIDES(1, 3) FC_SIDES(2, 1) FC_SIDES(2, 2) FC_SIDES(2, 3)
        FC_SIDES(3, 1) FC_SIDES(3, 2) FC_SIDES(3, 3)
#if FC_REGISTERS == 32
        FC_SIDES(1, 4) FC_SIDES(2, 4) FC_SIDES(3, 4) FC_SIDES(4, 1) FC_SIDES(4, 2) FC_SIDES(4, 3) FC_SIDES(4, 4)
#endif
    default: FC_NO_SUCH_SHAPE
    }
#undef FC_SIDES
}

/* Whole vectors of `n` samples; what is to be prefetched is shared among the tiles. */
static void FC_N(few_rows_part)(const fc_few_rows *q, const FC_T *const at[3], const ptrdiff_t row[3], ptrdiff_t n)
{
    const ptrdiff_t ys = q->rows[1], zs = q->rows[2], width = FC_N(SIDE);
    const ptrdiff_t tiles = q->rows[0] * ((ys + width - 1) / width) * ((zs + width - 1) / width);
    const FC_T *next[3 * FC_FEW_ROWS];
    ptrdiff_t rows = 0, tile = 0;
    for (int o = 0; o < 3; o++)
        for (ptrdiff_t r = 0; r < q->rows[o] && q->ahead[o]; r++)
            next[rows++] = at[o] + r * row[o] + q->ahead[o];
    for (ptrdiff_t i = 0; i < q->rows[0]; i++)
        for (ptrdiff_t j = 0; j < ys; j += width)
            for (ptrdiff_t k = 0; k < zs; k += width, tile++) {
                const ptrdiff_t first = rows * tile / tiles, end = rows * (tile + 1) / tiles;
                FC_N(few_rows_tile)((int)(ys - j < width ? ys - j : width), (int)(zs - k < width ? zs - k : width),
                                (FC_T *)q->sums + ((i * ys + j) * zs + k) * FC_LANES, zs, at[0] + i * row[0],
                                at[1] + j * row[1], row[1], at[2] + k * row[2], row[2], n, next + first, (int)(end - first));
            }
}

static void FC_N(few_rows)(const fc_few_rows *q)
{
    const ptrdiff_t whole = q->n / FC_LANES * FC_LANES;
    const FC_T *const at[3] = {q->at[0], q->at[1], q->at[2]};
    FC_N(few_rows_part)(q, at, q->row, whole);
    if (whole == q->n)
        return;
    FC_T rest[3][FC_FEW_ROWS][FC_LANES] = {{{0}}};
    for (int o = 0; o < 3; o++)
        for (ptrdiff_t r = 0; r < q->rows[o]; r++)
            memcpy(rest[o][r], at[o] + r * q->row[o] + whole, (size_t)(q->n - whole) * sizeof(FC_T));
    fc_few_rows last = *q;
    last.ahead[0] = last.ahead[1] = last.ahead[2] = 0;
    const FC_T *const from[3] = {rest[0][0], rest[1][0], rest[2][0]};
    const ptrdiff_t row[3] = {FC_LANES, FC_LANES, FC_LANES};
    FC_N(few_rows_part)(&last, from, row, FC_LANES);
}
