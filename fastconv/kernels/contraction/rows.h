/* Rows of packed blocks, less their means, times weights, or times rows of the factors of mttkrp. */

static void FC_N(center)(void *into, ptrdiff_t rows, ptrdiff_t count, ptrdiff_t step, const double *mean)
{
    for (ptrdiff_t r = 0; r < rows; r++) {
        FC_T *dst = (FC_T *)into + r * step;
        for (ptrdiff_t m = 0; m < count; m++)
            dst[m] = (FC_T)((double)dst[m] - mean[r]);
    }
}

static void FC_N(weigh)(void *into, const void *from, ptrdiff_t rows, ptrdiff_t count, ptrdiff_t step, const void *weights)
{
    const FC_T *w = weights;
    for (ptrdiff_t r = 0; r < rows; r++) {
        FC_T *dst = (FC_T *)into + r * step;
        const FC_T *src = (const FC_T *)from + r * step;
        for (ptrdiff_t m = 0; m < count; m++)
            dst[m] = src[m] * w[m];
    }
}

static void FC_N(add_scaled)(void *into, ptrdiff_t step, const void *from, const void *weights, ptrdiff_t rows, ptrdiff_t width)
{
    const FC_T *src = from, *w = weights;
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < width; j += FC_LANES) {
            FC_T *c = (FC_T *)into + r * step + j;
            FC_N(put)(c, FC_N(load)(c) + FC_N(load)(src + r * width + j) * FC_N(load)(w + j));
        }
}
