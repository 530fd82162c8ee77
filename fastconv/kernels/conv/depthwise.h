/* Depthwise convolution: lanes along channels, one load of a pixel and one of the filter's tap for each FMA of a vector, of which
 * those of the filter are shared by all pixels of a call. */

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
