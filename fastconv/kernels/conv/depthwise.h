/* Depthwise convolution: lanes along channels. `channel_taps` loads a pixel for each FMA of a vector, and the filter's tap once for
 * all pixels of a call. `channel_rows`, of 3x3 taps, has 8 sums that share what they load: 24 loads for 72 FMAs. */

FC_INLINE void FC_N(channels_body)(const int m, const fc_channel_taps *p)
{
    FC_VEC acc[8];
#pragma GCC unroll 8
    for (int i = 0; i < m; i++)
        acc[i] = (FC_VEC){0};
    size_t chain = 0;
    for (ptrdiff_t t = 0;;) {
        const int last = p->count - t <= p->chain;
        for (const ptrdiff_t end = last ? p->count : t + p->chain; t < end; t++) {
            const FC_VEC w = FC_N(load)((const FC_T *)p->w + t * p->w_step);
            const FC_T *at = (const FC_T *)p->src + p->taps[t];
#pragma GCC unroll 8
            for (int i = 0; i < m; i++)
                acc[i] = FC_N(add_products)(acc[i], FC_N(load)(at + i * p->step), w);
        }
        FC_VEC *sums = p->sums;
        for (size_t n = chain++;; n /= FC_GROUP, sums += m) {
            if (n % FC_GROUP)
#pragma GCC unroll 8
                for (int i = 0; i < m; i++)
                    acc[i] += sums[i];
            if (!fc_rises(n, last))
                break;
        }
        if (last)
            break;
#pragma GCC unroll 8
        for (int i = 0; i < m; i++) {
            sums[i] = acc[i];
            acc[i] = (FC_VEC){0};
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < m; i++)
        FC_N(put)((FC_T *)p->out + i * p->out_step, acc[i]);
}

static void FC_N(channel_taps)(const fc_channel_taps *p)
{
    switch (p->pixels) {
    case 1: FC_N(channels_body)(1, p); return;
    case 2: FC_N(channels_body)(2, p); return;
    case 3: FC_N(channels_body)(3, p); return;
    case 4: FC_N(channels_body)(4, p); return;
    case 5: FC_N(channels_body)(5, p); return;
    case 6: FC_N(channels_body)(6, p); return;
    case 7: FC_N(channels_body)(7, p); return;
    case 8: FC_N(channels_body)(8, p); return;
    default: FC_NO_SUCH_SHAPE
    }
}

/* Adds what row i of the pixels says to sums of those outputs whose windows hold it. */
FC_INLINE void FC_N(channel_line)(FC_VEC (*acc)[FC_CHANNEL_PIXELS], const FC_T *line, ptrdiff_t step, const FC_VEC *w, const int i)
{
#pragma GCC unroll 6
    for (int c = 0; c < FC_CHANNEL_PIXELS + 2; c++) {
        const FC_VEC v = FC_N(load)(line + c * step);
#pragma GCC unroll 2
        for (int r = 0; r < FC_CHANNEL_ROWS; r++)
#pragma GCC unroll 4
            for (int x = 0; x < FC_CHANNEL_PIXELS; x++)
                if (i - r >= 0 && i - r < 3 && c - x >= 0 && c - x < 3)
                    acc[r][x] = FC_N(add_products)(acc[r][x], v, w[3 * (i - r) + c - x]);
    }
}

static void FC_N(channel_rows)(const fc_channel_rows *p)
{
    const ptrdiff_t step = p->step, row_step = p->row_step, out_step = p->out_step, out_row = p->out_row;
    const ptrdiff_t last = p->pixels - FC_CHANNEL_PIXELS;
    FC_VEC w[9];
#pragma GCC unroll 9
    for (int t = 0; t < 9; t++)
        w[t] = FC_N(load)((const FC_T *)p->w + t * p->w_step);
    for (ptrdiff_t at = 0;;) {
        FC_VEC acc[FC_CHANNEL_ROWS][FC_CHANNEL_PIXELS] = {{{0}}};
        const FC_T *src = (const FC_T *)p->src + at * step;
        FC_T *out = (FC_T *)p->out + at * out_step;
#pragma GCC unroll 4
        for (int i = 0; i < FC_CHANNEL_ROWS + 2; i++)
            FC_N(channel_line)(acc, src + i * row_step, step, w, i);
#pragma GCC unroll 2
        for (int r = 0; r < FC_CHANNEL_ROWS; r++)
#pragma GCC unroll 4
            for (int x = 0; x < FC_CHANNEL_PIXELS; x++)
                FC_N(put)(out + r * out_row + x * out_step, acc[r][x]);
        if (at == last)
            break;
        at = at + FC_CHANNEL_PIXELS < last ? at + FC_CHANNEL_PIXELS : last; /* some may be computed again */
    }
}
