/* Filters that lie side by side along channels, as those of a gradient do, turned so that they lie side by side along filters:
 * squares of lanes x lanes elements in registers, log2(lanes) shuffles a vector, where base/transpose.h takes two cycles for
 * each element. */

enum { FC_N(TURN_AHEAD) = 256 / sizeof(FC_T) }; /* elements: rows are pages apart, which processors do not foresee */

/* Swaps what two vectors of a square of d x d blocks have on the wrong side of its diagonal. */
FC_INLINE void FC_N(exchange)(FC_VEC *a, FC_VEC *b, const int d)
{
    FC_IVEC low = {0}, high = {0};
#pragma GCC unroll 16
    for (int j = 0; j < FC_LANES; j++) {
        low[j] = j & d ? FC_LANES + j - d : j;
        high[j] = j & d ? FC_LANES + j : j + d;
    }
    const FC_VEC first = __builtin_shuffle(*a, *b, low);
    *b = __builtin_shuffle(*a, *b, high);
    *a = first;
}

FC_INLINE void FC_N(turn_square)(FC_T *into, ptrdiff_t into_step, const FC_T *from, ptrdiff_t from_step)
{
    FC_VEC v[FC_LANES];
#pragma GCC unroll 16
    for (int i = 0; i < FC_LANES; i++) {
        v[i] = FC_N(load)(from + i * from_step);
        __builtin_prefetch(from + i * from_step + FC_N(TURN_AHEAD), 0, 3);
    }
#pragma GCC unroll 4
    for (int d = FC_LANES / 2; d > 0; d /= 2)
#pragma GCC unroll 16
        for (int i = 0; i < FC_LANES; i++)
            if (!(i & d))
                FC_N(exchange)(v + i, v + i + d, d);
#pragma GCC unroll 16
    for (int i = 0; i < FC_LANES; i++)
        FC_N(put)(into + i * into_step, v[i]);
}

/* into[m][r] = from[r][m] */
static void FC_N(turn)(void *into, ptrdiff_t into_step, const void *from, ptrdiff_t from_step, ptrdiff_t rows, ptrdiff_t columns)
{
    const ptrdiff_t whole_rows = rows - rows % FC_LANES, whole_columns = columns - columns % FC_LANES;
    FC_T *dst = into;
    const FC_T *src = from;
    for (ptrdiff_t m = 0; m < whole_columns; m += FC_LANES)
        for (ptrdiff_t r = 0; r < whole_rows; r += FC_LANES)
            FC_N(turn_square)(dst + m * into_step + r, into_step, src + r * from_step + m, from_step);
    for (ptrdiff_t m = 0; m < columns; m++)
        for (ptrdiff_t r = m < whole_columns ? whole_rows : 0; r < rows; r++)
            dst[m * into_step + r] = src[r * from_step + m];
}
