/* Gradients of filters: products of the channels of two images, summed over pixels.
 *
 * Both operands lie pixel by pixel, so that neither is turned: a step of the tile takes v vector loads of b, m neighbouring
 * elements of a as broadcasts and m*v FMAs, as base/tile.h does, which walks along the channels of a instead. With `channelwise`
 * (depthwise filters) rows are taps, and a step multiplies m*v vectors of a, loaded, by the v of b: two loads for an FMA at most.
 */

FC_INLINE void FC_N(products_body)(const int m, const int v, const int channelwise, const fc_products *p)
{
    const ptrdiff_t a_step = p->a_step, b_step = p->b_step, a_row = p->a_row;
    size_t chain = p->chain;
    FC_VEC acc[12][FC_MAX_VECTORS];
#pragma GCC unroll 12
    for (int i = 0; i < m; i++)
#pragma GCC unroll 4
        for (int j = 0; j < v; j++)
            acc[i][j] = (FC_VEC){0};
    for (ptrdiff_t q = 0; q < p->count; q++) {
        const FC_T *a = (const FC_T *)p->a + p->runs[q].a, *b = (const FC_T *)p->b + p->runs[q].b;
#pragma GCC unroll 2
        for (ptrdiff_t k = p->runs[q].length; k > 0; k--, a += a_step, b += b_step) {
            FC_VEC bv[FC_MAX_VECTORS];
#pragma GCC unroll 4
            for (int j = 0; j < v; j++)
                bv[j] = FC_N(load)(b + j * FC_LANES);
#pragma GCC unroll 12
            for (int i = 0; i < m; i++)
#pragma GCC unroll 4
                for (int j = 0; j < v; j++)
                    acc[i][j] += (channelwise ? FC_N(load)(a + i * a_row + j * FC_LANES) : FC_N(splat)(a[i])) * bv[j];
        }
        if (!p->runs[q].ends)
            continue;
        const int last = p->last && q == p->count - 1;
        FC_T *const *c = (FC_T *const *)p->c;
        for (size_t n = chain++;; n /= FC_GROUP, c++) {
            if (n % FC_GROUP)
#pragma GCC unroll 12
                for (int i = 0; i < m; i++)
#pragma GCC unroll 4
                    for (int j = 0; j < v; j++)
                        acc[i][j] += *(const FC_VEC *)(*c + (i * v + j) * FC_LANES);
            if (!fc_rises(n, last))
                break;
        }
        FC_T *out = last ? p->out : *c;
        const ptrdiff_t out_step = last ? p->out_step : v * FC_LANES;
#pragma GCC unroll 12
        for (int i = 0; i < m; i++)
#pragma GCC unroll 4
            for (int j = 0; j < v; j++) {
                FC_N(put)(out + i * out_step + j * FC_LANES, acc[i][j]);
                acc[i][j] = (FC_VEC){0};
            }
    }
}

#define FC_PRODUCTS(v, m) case (v) * 16 + (m): FC_N(products_body)(m, v, 0, p); return;
#define FC_TAPS(v, m) case (v) * 16 + (m): FC_N(products_body)(m, v, 1, p); return;
#define FC_EACH_3(each, v) each(v, 1) each(v, 2) each(v, 3)
#define FC_EACH_6(each, v) FC_EACH_3(each, v) each(v, 4) each(v, 5) each(v, 6)
#define FC_EACH_12(each, v) FC_EACH_6(each, v) each(v, 7) each(v, 8) each(v, 9) each(v, 10) each(v, 11) each(v, 12)

static void FC_N(products)(const fc_products *p)
{
    if (p->channelwise) {
        switch (p->vectors * 16 + p->rows) {
            FC_EACH_12(FC_TAPS, 1)
            FC_EACH_6(FC_TAPS, 2)
            FC_EACH_3(FC_TAPS, 3)
            FC_TAPS(3, 4)
#if FC_REGISTERS == 32
            FC_EACH_3(FC_TAPS, 4)
#endif
        default: FC_NO_SUCH_SHAPE
        }
        return;
    }
    switch (p->vectors * 16 + p->rows) {
        FC_EACH_12(FC_PRODUCTS, 1)
        FC_EACH_6(FC_PRODUCTS, 2)
        FC_EACH_3(FC_PRODUCTS, 3)
        FC_PRODUCTS(3, 4)
#if FC_REGISTERS == 32
        FC_PRODUCTS(2, 7) FC_PRODUCTS(2, 8) FC_PRODUCTS(2, 9) FC_PRODUCTS(2, 10) FC_PRODUCTS(2, 11) FC_PRODUCTS(2, 12)
        FC_PRODUCTS(3, 5) FC_PRODUCTS(3, 6) FC_PRODUCTS(3, 7) FC_PRODUCTS(3, 8)
        FC_EACH_6(FC_PRODUCTS, 4)
#endif
    default: FC_NO_SUCH_SHAPE
    }
}

#undef FC_PRODUCTS
#undef FC_TAPS
#undef FC_EACH_3
#undef FC_EACH_6
#undef FC_EACH_12
