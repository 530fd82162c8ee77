/* Convolution to few channels: lanes along x, on planes.
 *
 * Counts, for V lanes: planar_taps with o outputs and v vectors does o*v FMAs for v unaligned loads and o broadcasts a
 * tap; plane_rows shares each loaded vector among up to 4 output rows.
 */

FC_INLINE void FC_N(planar_body)(const int outputs, const int v, const fc_planar_taps *p)
{
    const FC_T *src = p->src, *w = p->w;
    FC_VEC acc[8][FC_PLANAR_VECTORS];
#pragma GCC unroll 8
    for (int o = 0; o < outputs; o++)
#pragma GCC unroll 8
        for (int j = 0; j < v; j++)
            acc[o][j] = (FC_VEC){0};
    size_t chain = 0;
    for (ptrdiff_t t = 0;;) {
        const int last = p->count - t <= p->chain;
        for (const ptrdiff_t end = last ? p->count : t + p->chain; t < end; t++, w += outputs) {
            const FC_T *at = src + p->taps[t];
            FC_VEC x[FC_PLANAR_VECTORS];
#pragma GCC unroll 8
            for (int j = 0; j < v; j++) {
                x[j] = FC_N(load)(at + j * FC_LANES);
                FC_KEEP(x[j]);
            }
#pragma GCC unroll 8
            for (int o = 0; o < outputs; o++) {
                FC_VEC wo = FC_N(splat)(w[o]);
                FC_KEEP(wo);
#pragma GCC unroll 8
                for (int j = 0; j < v; j++)
                    acc[o][j] = FC_N(add_products)(acc[o][j], x[j], wo);
            }
        }
        FC_VEC *sums = p->sums;
        for (size_t n = chain++;; n /= FC_GROUP, sums += outputs * v) {
            if (n % FC_GROUP)
#pragma GCC unroll 8
                for (int o = 0; o < outputs; o++)
#pragma GCC unroll 8
                    for (int j = 0; j < v; j++)
                        acc[o][j] += sums[o * v + j];
            if (!fc_rises(n, last))
                break;
        }
        if (last)
            break;
#pragma GCC unroll 8
        for (int o = 0; o < outputs; o++)
#pragma GCC unroll 8
            for (int j = 0; j < v; j++) {
                sums[o * v + j] = acc[o][j];
                acc[o][j] = (FC_VEC){0};
            }
    }
#pragma GCC unroll 8
    for (int o = 0; o < outputs; o++)
#pragma GCC unroll 8
        for (int j = 0; j < v; j++)
            FC_N(put)((FC_T *)p->out + o * p->out_step + j * FC_LANES, acc[o][j]);
}

#define FC_PLANAR(o, v) case (o) * 16 + (v): FC_N(planar_body)(o, v, p); return;

static void FC_N(planar_taps)(const fc_planar_taps *p)
{
    switch (p->outputs * 16 + p->vectors) {
        FC_PLANAR(1, 1) FC_PLANAR(2, 1) FC_PLANAR(3, 1) FC_PLANAR(4, 1) FC_PLANAR(1, 8)
#if FC_REGISTERS == 32
        FC_PLANAR(5, 1) FC_PLANAR(6, 1) FC_PLANAR(7, 1) FC_PLANAR(8, 1)
        FC_PLANAR(2, 8) FC_PLANAR(3, 7) FC_PLANAR(4, 6) FC_PLANAR(5, 5) FC_PLANAR(6, 4) FC_PLANAR(7, 3) FC_PLANAR(8, 3)
#else
        FC_PLANAR(2, 4) FC_PLANAR(3, 3) FC_PLANAR(4, 2)
#endif
    default: FC_NO_SUCH_SHAPE
    }
}

#undef FC_PLANAR

/* `count` taps of one input row, for the output rows in the mask `feeds`; w points to the taps of row 0. */
FC_INLINE void FC_N(rows_taps)(const unsigned feeds, const int v, const fc_plane_rows *p, const FC_T *at, const FC_T *w,
                               ptrdiff_t count, FC_VEC chain[4][4])
{
    const FC_T *wr[4];
#pragma GCC unroll 4
    for (int r = 0; r < 4; r++)
        wr[r] = w - r * p->fw;
    for (ptrdiff_t j = 0; j < count; j++, at += p->tap_step) {
        FC_VEC x[4];
#pragma GCC unroll 4
        for (int i = 0; i < v; i++) {
            x[i] = FC_N(load)(at + i * FC_LANES);
            FC_KEEP(x[i]);
        }
#pragma GCC unroll 4
        for (int r = 0; r < 4; r++)
            if (feeds >> r & 1) {
                const FC_VEC tap = FC_N(splat)(wr[r][j]);
#pragma GCC unroll 4
                for (int i = 0; i < v; i++)
                    chain[r][i] = FC_N(add_products)(chain[r][i], x[i], tap);
            }
    }
}

/* Input row y feeds the output rows r with 0 <= y - r < fh. The terms of one output are summed in the order (i, j), in
 * chains of whole filter rows or, for long rows, of FC_CHAIN taps, wherever the row lies in its group. Chains stay in
 * registers, where there is no room for the sums of earlier ones beside them. */
#define FC_TAPS(rows) case rows: FC_N(rows_taps)(rows, v, p, at, w + y * p->fw + j0, j1 - j0, chain); break;

FC_INLINE void FC_N(rows_body)(const int v, const fc_plane_rows *p)
{
    enum { R = 4 };
    const ptrdiff_t rows_per_chain = fc_chain_rows(p->fw);
    const FC_T *w = p->w;
    FC_VEC chain[R][4];
#pragma GCC unroll 4
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int i = 0; i < v; i++)
            chain[r][i] = (FC_VEC){0};
    ptrdiff_t left[R] = {rows_per_chain, rows_per_chain, rows_per_chain, rows_per_chain}; /* rows of the current chain */
    size_t chains[R] = {p->chains, p->chains, p->chains, p->chains};                      /* ended so far */
    for (ptrdiff_t y = 0; y < p->rows + p->fh - 1; y++) {
        const ptrdiff_t first = y < p->fh ? 0 : y - p->fh + 1, last = y < p->rows ? y : p->rows - 1;
        const int feeds = (2 << last) - (1 << first);
        int ends = y >= p->fh - 1 ? 1 << first : 0;
        for (int r = 0; r < R; r++)
            if (feeds >> r & 1 && --left[r] == 0) {
                left[r] = rows_per_chain;
                ends |= 1 << r;
            }
        for (ptrdiff_t j0 = 0; j0 < p->fw; j0 += FC_CHAIN) {
            const ptrdiff_t j1 = p->fw - j0 < FC_CHAIN ? p->fw : j0 + FC_CHAIN;
            const FC_T *at = (const FC_T *)p->src + y * p->src_step + j0 * p->tap_step;
            switch (feeds) { /* consecutive output rows, at most four */
                FC_TAPS(1) FC_TAPS(2) FC_TAPS(4) FC_TAPS(8) FC_TAPS(3) FC_TAPS(6) FC_TAPS(12) FC_TAPS(7) FC_TAPS(14) FC_TAPS(15)
            default: FC_NO_SUCH_SHAPE
            }
#pragma GCC unroll 4
            for (int r = 0; r < R; r++)
                if (ends >> r & 1) {
                    const int last = p->last && y - r == p->fh - 1 && j1 == p->fw;
                    FC_VEC *sums = (FC_VEC *)p->sums + r * v;
                    for (size_t n = chains[r]++;; n /= FC_GROUP, sums += R * v) {
                        if (n % FC_GROUP)
#pragma GCC unroll 4
                            for (int i = 0; i < v; i++)
                                chain[r][i] += sums[i];
                        if (!fc_rises(n, last))
                            break;
                    }
                    FC_T *to = last ? (FC_T *)p->out + r * p->out_step : (FC_T *)sums;
#pragma GCC unroll 4
                    for (int i = 0; i < v; i++) {
                        FC_N(put)(to + i * FC_LANES, chain[r][i]);
                        chain[r][i] = (FC_VEC){0};
                    }
                }
        }
    }
}

#undef FC_TAPS

static void FC_N(plane_rows)(const fc_plane_rows *p)
{
    if (p->vectors == 1)
        FC_N(rows_body)(1, p);
    else
        FC_N(rows_body)(FC_REGISTERS == 32 ? 4 : 2, p);
}
