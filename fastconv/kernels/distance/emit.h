/* The slot `emit`: distances to elements of any kind, anywhere, or past the caches; `write` of base/elements.h has the loop. */

static void FC_N(stream_row)(FC_T *out, const FC_T *src, ptrdiff_t n)
{
    ptrdiff_t j = 0;
    for (; j < n && (uintptr_t)(out + j) % FC_VEC_BYTES; j++)
        out[j] = src[j];
    for (; j + FC_LANES <= n; j += FC_LANES)
        FC_N(stream)(out + j, FC_N(load)(src + j));
    for (; j < n; j++)
        out[j] = src[j];
}

static void FC_N(emit)(const fc_emit *e)
{
    enum { BLOCK = 32 };
    const ptrdiff_t item = sizeof(FC_T);
    const FC_T *src = e->src;
    const int aligned = ((uintptr_t)e->out | (uintptr_t)e->out_row) % sizeof(FC_T) == 0;
    if (e->kind == FC_N(OWN) && e->out_col == item && (aligned || !e->stream)) {
        for (ptrdiff_t r = 0; r < e->rows; r++) {
            FC_T *out = (FC_T *)(e->out + r * e->out_row);
            if (e->stream)
                FC_N(stream_row)(out, src + r * e->src_step, e->columns);
            else
                memcpy(out, src + r * e->src_step, (size_t)(e->columns * item));
        }
        if (e->stream)
            FC_N(stream_end)();
        return;
    }
    for (ptrdiff_t c0 = 0; c0 < e->columns; c0 += BLOCK)
        for (ptrdiff_t r0 = 0; r0 < e->rows; r0 += BLOCK) {
            const ptrdiff_t n = e->rows - r0 < BLOCK ? e->rows - r0 : BLOCK;
            for (ptrdiff_t c = c0; c < c0 + BLOCK && c < e->columns; c++)
                FC_N(write)(e->out + r0 * e->out_row + c * e->out_col, e->out_row, src + r0 * e->src_step + c, e->src_step, n,
                            e->kind);
        }
}
