/* Packing of panels and storing of results, in any layout: what comes before a tile and after it. */

enum { FC_N(STRIP) = 64 };

/* strip[c][x] = p[x * channels + c], or back with `join`: the compiler turns constant 2, 3, 4 and 8 into permutations. */
FC_INLINE void FC_N(reorder)(const int channels, const int join, FC_T strip[8][FC_N(STRIP)], FC_T *restrict p, ptrdiff_t n)
{
    if (n == FC_N(STRIP)) {
        for (int x = 0; x < FC_N(STRIP); x++)
            for (int c = 0; c < channels; c++)
                if (join)
                    p[x * channels + c] = strip[c][x];
                else
                    strip[c][x] = p[x * channels + c];
        return;
    }
    for (ptrdiff_t x = 0; x < n; x++)
        for (int c = 0; c < channels; c++)
            if (join)
                p[x * channels + c] = strip[c][x];
            else
                strip[c][x] = p[x * channels + c];
}

FC_SHARED void FC_N(deinterleave)(int channels, FC_T strip[8][FC_N(STRIP)], const FC_T *p, ptrdiff_t n)
{
    switch (channels) {
    case 2: FC_N(reorder)(2, 0, strip, (FC_T *)p, n); return;
    case 3: FC_N(reorder)(3, 0, strip, (FC_T *)p, n); return;
    case 4: FC_N(reorder)(4, 0, strip, (FC_T *)p, n); return;
    case 8: FC_N(reorder)(8, 0, strip, (FC_T *)p, n); return;
    default: FC_N(reorder)(channels, 0, strip, (FC_T *)p, n); return;
    }
}

FC_SHARED void FC_N(interleave)(int channels, FC_T strip[8][FC_N(STRIP)], FC_T *p, ptrdiff_t n)
{
    switch (channels) {
    case 2: FC_N(reorder)(2, 1, strip, p, n); return;
    case 3: FC_N(reorder)(3, 1, strip, p, n); return;
    case 4: FC_N(reorder)(4, 1, strip, p, n); return;
    case 8: FC_N(reorder)(8, 1, strip, p, n); return;
    default: FC_N(reorder)(channels, 1, strip, p, n); return;
    }
}

FC_INLINE const char *FC_N(term)(const fc_panel *p, ptrdiff_t k)
{
    const ptrdiff_t c = k % p->c, tap = k / p->c;
    return p->src + tap / p->fw * p->fh_step + tap % p->fw * p->fw_step + (p->form == FC_BLOCKS ? c / 2 : c) * p->c_step;
}

/* One term of complex filters for all columns, dst_step apart. */
static void FC_N(complex_term)(const fc_panel *p, ptrdiff_t k, FC_T *dst, ptrdiff_t dst_step)
{
    const int blocks = p->form == FC_BLOCKS, imaginary = blocks && k & 1;
    const ptrdiff_t item = p->kind & FC_F64 ? 8 : 4;
    const char *src = FC_N(term)(p, k);
    for (int part = 0; part < 2; part++) { /* the columns from `part` on: real or imaginary parts of results */
        const int of_result = (part + p->odd) & 1;
        const char *from = src + (part + p->odd) / 2 * p->k_step + (of_result ^ imaginary ? item : 0);
        const ptrdiff_t n = (p->columns - part + 1) / 2;
        FC_N(copy)(dst + part * dst_step, 2 * dst_step, from, p->k_step, n, p->kind);
        if (imaginary && !of_result)
            for (ptrdiff_t j = 0; j < n; j++)
                dst[(part + 2 * j) * dst_step] = -dst[(part + 2 * j) * dst_step];
    }
}

FC_INLINE void FC_N(panel_term)(const fc_panel *p, ptrdiff_t k, FC_T *dst, ptrdiff_t dst_step)
{
    if (p->form != FC_REALS)
        FC_N(complex_term)(p, k, dst, dst_step);
    else
        FC_N(copy)(dst, dst_step, FC_N(term)(p, k), p->k_step, p->columns, p->kind);
}

FC_SHARED void FC_N(panel)(const fc_panel *p)
{
    FC_T *dst = p->dst;
    if (p->split > 1) {
        memset(dst, 0, (size_t)((p->count + p->split - 1) / p->split * p->width) * sizeof(FC_T));
        for (ptrdiff_t i = 0; i < p->count; i++)
            FC_N(panel_term)(p, p->first + i, dst + i / p->split * p->width + i % p->split, p->split);
        return;
    }
    for (ptrdiff_t k = p->first; k < p->first + p->count; k++, dst += p->width) {
        FC_N(panel_term)(p, k, dst, 1);
        for (ptrdiff_t j = p->columns; j < p->width; j++)
            dst[j] = 0;
    }
}

typedef void (*FC_N(activation))(FC_T *restrict y, ptrdiff_t n, int activation);

/* One line of n results: y = activation(c + bias), the bias of line or element. */
FC_INLINE void FC_N(results)(FC_N(activation) activate, const fc_store *s, FC_T *y, ptrdiff_t at, ptrdiff_t n, const FC_T *bias, int bias_step)
{
    FC_N(copy_line)(y, (const FC_T *)s->c + at, n);
    if (bias != NULL)
        for (ptrdiff_t j = 0; j < n; j++)
            y[j] += bias[j * bias_step];
    if (activate != NULL && s->activation != FC_LINEAR)
        activate(y, n, s->activation);
}

/* Reads c along its contiguous axis (columns: c_col == 1, or rows: c_row == 1) and scatters to any output steps. */
FC_INLINE void FC_N(store_with)(FC_N(activation) activate, const fc_store *s)
{
    const FC_T *bias = s->bias;
    if (s->c_col == 1) {
        FC_T y[4 * FC_N(STRIP)];
        for (ptrdiff_t i = 0; i < s->rows; i++)
            for (ptrdiff_t j = 0; j < s->columns; j += 4 * FC_N(STRIP)) {
                const ptrdiff_t n = s->columns - j < 4 * FC_N(STRIP) ? s->columns - j : 4 * FC_N(STRIP);
                FC_N(results)(activate, s, y, i * s->c_row + j, n, bias == NULL ? NULL : bias + j, 1);
                FC_N(write)(s->out + i * s->out_row + j * s->out_col, s->out_col, y, 1, n, s->kind);
            }
        return;
    }
    const int together = s->kind == FC_N(OWN) && s->out_col == (ptrdiff_t)sizeof(FC_T)
                         && s->out_row == s->columns * s->out_col && (uintptr_t)s->out % sizeof(FC_T) == 0;
    FC_T strip[8][FC_N(STRIP)];
    for (ptrdiff_t i = 0; i < s->rows; i += FC_N(STRIP)) {
        const ptrdiff_t n = s->rows - i < FC_N(STRIP) ? s->rows - i : FC_N(STRIP);
        for (ptrdiff_t j = 0; j < s->columns; j++) {
            FC_N(results)(activate, s, strip[j], j * s->c_col + i, n, bias == NULL ? NULL : bias + j, 0);
            if (!together)
                FC_N(write)(s->out + i * s->out_row + j * s->out_col, s->out_row, strip[j], 1, n, s->kind);
        }
        if (together)
            FC_N(interleave)((int)s->columns, strip, (FC_T *)(s->out + i * s->out_row), n);
    }
}
