/* The tile of base/tile.h with rows of b in place, any step apart, and a prefetch at every step. */

enum { FC_N(STRIDED_ROWS) = 6, FC_N(STRIDED_VECTORS) = FC_REGISTERS == 32 ? 4 : 2 };

FC_INLINE void FC_N(strided_tile_body)(const int rows, const fc_strided_tile *q)
{
    const FC_T *a = q->a, *b = q->b, *ahead = q->ahead ? q->ahead : q->b;
    const ptrdiff_t step = q->a_step, ahead_step = q->ahead ? q->ahead_step : 0;
    FC_VEC acc[FC_N(STRIDED_ROWS)][FC_N(STRIDED_VECTORS)] = {{{0}}};
    for (ptrdiff_t k = 0; k < q->length; k++, b += q->b_step, ahead += ahead_step) {
        FC_VEC bv[FC_N(STRIDED_VECTORS)];
        __builtin_prefetch(ahead, 0, 3);
#pragma GCC unroll 4
        for (int j = 0; j < FC_N(STRIDED_VECTORS); j++)
            bv[j] = FC_N(load)(b + j * FC_LANES);
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            const FC_VEC av = FC_N(splat)(a[i * step + k]);
#pragma GCC unroll 4
            for (int j = 0; j < FC_N(STRIDED_VECTORS); j++)
                acc[i][j] += av * bv[j];
        }
    }
    FC_T *c = q->c;
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < FC_N(STRIDED_VECTORS); j++) {
            FC_T *sum = c + (i * FC_N(STRIDED_VECTORS) + j) * FC_LANES;
            FC_N(put)(sum, FC_N(load)(sum) + acc[i][j]);
        }
}

static void FC_N(strided_tile)(const fc_strided_tile *q)
{
    switch (q->rows) {
    case 1: FC_N(strided_tile_body)(1, q); return;
    case 2: FC_N(strided_tile_body)(2, q); return;
    case 3: FC_N(strided_tile_body)(3, q); return;
    case 4: FC_N(strided_tile_body)(4, q); return;
    case 5: FC_N(strided_tile_body)(5, q); return;
    case 6: FC_N(strided_tile_body)(6, q); return;
    default: FC_NO_SUCH_SHAPE
    }
}
