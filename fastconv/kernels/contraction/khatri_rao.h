/* Khatri-Rao panels: for V lanes one multiplication, one load and one store for V pairs and a sample, which the tile then uses
 * once for every row. */

static void FC_N(khatri_rao)(const fc_khatri_rao *q)
{
    const FC_T *x = q->x, *y = q->y;
    FC_T *dst = q->dst;
    const ptrdiff_t whole = q->runs[0].length;
    if (q->count == 1 && whole == 4 * FC_LANES) {
        x += q->runs[0].x;
        y += q->runs[0].y;
        for (ptrdiff_t m = 0; m < q->m; m++, x += q->x_step, y += q->y_step, dst += q->width) {
            const FC_VEC w = FC_N(splat)(*y);
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                FC_N(put)(dst + i * FC_LANES, FC_N(load)(x + i * FC_LANES) * w);
        }
        return;
    }
    for (ptrdiff_t m = 0; m < q->m; m++, x += q->x_step, y += q->y_step, dst += q->width) {
        FC_T *at = dst;
        for (const fc_pair_run *r = q->runs; r < q->runs + q->count; at += r->length, r++) {
            const FC_VEC w = FC_N(splat)(y[r->y]);
            for (ptrdiff_t i = 0; i < r->length; i += FC_LANES)
                FC_N(put)(at + i, FC_N(load)(x + r->x + i) * w);
        }
    }
}
