/* One vector along an axis of integers of any kind, modulo 2^64: compiled once, for no real type. */
#ifndef FC_CONTRACTION_INTEGERS_H
#define FC_CONTRACTION_INTEGERS_H

FC_INLINE void fc_integer_axpy_kind(uint64_t *restrict c, const char *src, const ptrdiff_t step, ptrdiff_t n, uint64_t w,
                                    const int kind)
{
    for (ptrdiff_t i = 0; i < n; i++)
        c[i] += w * fc_integer(src + i * step, kind);
}

#define FC_INTEGER(kind, size)                                              \
    case kind:                                                              \
        if (step == (size))                                                 \
            fc_integer_axpy_kind(c, src, size, n, w, kind);                 \
        else                                                                \
            fc_integer_axpy_kind(c, src, step, n, w, kind);                 \
        return;

/* c[i] += w * src[i], modulo 2^64; `step` in bytes. */
static void fc_integer_axpy(uint64_t *c, const char *src, ptrdiff_t step, ptrdiff_t n, uint64_t w, int kind)
{
    switch (kind) {
        FC_INTEGER(FC_I8, 1) FC_INTEGER(FC_I16, 2) FC_INTEGER(FC_I32, 4) FC_INTEGER(FC_I64, 8)
        FC_INTEGER(FC_U8, 1) FC_INTEGER(FC_U16, 2) FC_INTEGER(FC_U32, 4) FC_INTEGER(FC_U64, 8)
    default: fc_integer_axpy_kind(c, src, step, n, w, kind);
    }
}

#undef FC_INTEGER

#endif
