/* Windows of an image, boundaries resolved, packed in runs: columns equally far apart in the source, or columns of `fill`. */

#ifdef FC_SUM_TYPES
#define FC_OUTSIDE (FC_T)w->whole
#else
#define FC_OUTSIDE (FC_T)w->fill
#endif

/* Every second element, twice. */
FC_INLINE void FC_N(copy_twice)(FC_T *restrict dst, const FC_T *restrict src, ptrdiff_t n)
{
    for (ptrdiff_t c = 0; c < n; c++)
        dst[2 * c] = dst[2 * c + 1] = src[2 * c];
}

static void FC_N(copy_run)(const fc_window *w, FC_T *dst, const char *src, ptrdiff_t src_col, ptrdiff_t run)
{
    const ptrdiff_t item = fc_bytes(w->kind), n = w->channels;
    if (w->repeat == 2 && w->kind == FC_N(OWN) && w->src_channel == 2 * item
        && ((uintptr_t)src | (size_t)src_col) % sizeof(FC_T) == 0) {
        for (ptrdiff_t i = 0; i < run; i++) /* parts of complex numbers */
            FC_N(copy_twice)(dst + i * w->dst_col, (const FC_T *)(src + i * src_col), n);
    } else if (w->repeat > 1) {
        for (ptrdiff_t i = 0; i < run; i++)
            for (ptrdiff_t c = 0; c < w->repeat; c++)
                FC_N(copy)(dst + i * w->dst_col + c, w->repeat, src + i * src_col, w->src_channel, n, w->kind);
    } else if (w->dst_channel == 1 && w->dst_col == n && w->src_channel == item && src_col == n * item) {
        FC_N(copy)(dst, 1, src, item, run * n, w->kind);
    } else if (w->dst_channel == 1 && w->src_channel == item) {
        for (ptrdiff_t i = 0; i < run; i++)
            FC_N(copy)(dst + i * w->dst_col, 1, src + i * src_col, item, n, w->kind);
    } else if (w->dst_col == 1 && n > 1 && n <= 8 && w->kind == FC_N(OWN) && w->src_channel == item
               && src_col == n * item && (uintptr_t)src % sizeof(FC_T) == 0) {
        FC_T strip[8][FC_N(STRIP)];
        for (ptrdiff_t i = 0; i < run; i += FC_N(STRIP)) {
            const ptrdiff_t m = run - i < FC_N(STRIP) ? run - i : FC_N(STRIP);
            FC_N(deinterleave)((int)n, strip, (const FC_T *)src + i * n, m);
            for (ptrdiff_t c = 0; c < n; c++)
                FC_N(copy_line)(dst + c * w->dst_channel + i, strip[c], m);
        }
    } else {
        for (ptrdiff_t c = 0; c < n; c++)
            FC_N(copy)(dst + c * w->dst_channel, w->dst_col, src + c * w->src_channel, src_col, run, w->kind);
    }
}

FC_INLINE void FC_N(window_run)(const fc_window *w, FC_T *dst, const char *src, ptrdiff_t src_col, ptrdiff_t run)
{
#ifdef FC_SUM_TYPES
    if (FC_SUM_KIND <= FC_SUMS_16_DOT) {
        FC_N(words_run)(w, (uint32_t *)dst, src, src_col, run);
        return;
    }
#endif
    FC_N(copy_run)(w, dst, src, src_col, run);
}

static void FC_N(window)(const fc_window *w)
{
    ptrdiff_t run;
    for (ptrdiff_t x = 0; x < w->cols; x += run) {
        const int inside = x == w->inside && w->inside < w->inside_end;
        const ptrdiff_t *index = w->col_index + x, left = (x < w->inside ? w->inside : w->cols) - x;
        const ptrdiff_t gap = inside ? w->inside_gap : left > 1 && index[1] >= 0 ? index[1] - index[0] : 0;
        run = inside ? w->inside_end - x : 1;
        while (!inside && run < left && (index[0] < 0 ? index[run] < 0 : index[run] >= 0 && index[run] == index[0] + run * gap))
            run++;
        for (ptrdiff_t r = 0; r < w->rows; r++) {
            FC_T *dst = (FC_T *)w->dst + r * w->dst_row + x * w->dst_col;
            if (index[0] >= 0 && w->row_index[r] >= 0)
                FC_N(window_run)(w, dst, w->src + w->row_index[r] * w->src_row + index[0] * w->src_col, gap * w->src_col, run);
            else
                for (ptrdiff_t i = 0; i < run; i++)
                    for (ptrdiff_t c = 0; c < w->channels * w->repeat; c++)
                        dst[i * w->dst_col + c * w->dst_channel] = FC_OUTSIDE;
        }
    }
}

#undef FC_OUTSIDE
