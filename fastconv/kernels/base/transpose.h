/* Blocks of 16 x 16 stay in the first-level cache; within, stores are sequential. */
static void FC_N(transpose)(void *into, ptrdiff_t into_step, const void *from, ptrdiff_t from_step, ptrdiff_t rows, ptrdiff_t columns)
{
    enum { B = 16 };
    for (ptrdiff_t r = 0; r < rows; r += B)
        for (ptrdiff_t m = 0; m < columns; m += B) {
            FC_T *restrict dst = (FC_T *)into + m * into_step + r;
            const FC_T *restrict src = (const FC_T *)from + r * from_step + m;
            if (rows - r >= B && columns - m >= B) {
                for (int j = 0; j < B; j++)
#pragma GCC unroll 16
                    for (int i = 0; i < B; i++)
                        dst[j * into_step + i] = src[i * from_step + j];
            } else {
                for (ptrdiff_t j = 0; j < (columns - m < B ? columns - m : B); j++)
                    for (ptrdiff_t i = 0; i < (rows - r < B ? rows - r : B); i++)
                        dst[j * into_step + i] = src[i * from_step + j];
            }
        }
}
