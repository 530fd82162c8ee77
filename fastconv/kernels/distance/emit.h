/* The slot `emit`: distances to elements of any kind, anywhere, or past the caches, where `store` of base/pack.h cannot write;
 * that one adds a bias instead. */

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
    const uintptr_t bits = (uintptr_t)e->out | (uintptr_t)e->out_row | (uintptr_t)e->out_col;
    const int own = e->kind == FC_N(OWN) && bits % sizeof(FC_T) == 0;
    if (own && e->out_col == item) {
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
        for (ptrdiff_t r0 = 0; r0 < e->rows; r0 += BLOCK)
            for (ptrdiff_t c = c0; c < c0 + BLOCK && c < e->columns; c++)
                for (ptrdiff_t r = r0; r < r0 + BLOCK && r < e->rows; r++) {
                    char *out = e->out + r * e->out_row + c * e->out_col;
                    if (own)
                        *(FC_T *)out = src[r * e->src_step + c];
                    else
                        FC_N(put_number)(out, src[r * e->src_step + c], e->kind);
                }
}
