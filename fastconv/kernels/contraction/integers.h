/* One vector along an axis of integers of any kind, modulo 2^64: compiled once, for no real type. */
#ifndef FC_CONTRACTION_INTEGERS_H
#define FC_CONTRACTION_INTEGERS_H

FC_INLINE uint64_t fc_modular(const char *p, const int kind)
{
    union { uint64_t u64; uint32_t u32; uint16_t u16; uint8_t u8; } v = {0};
    memcpy(&v, p, (size_t)1 << ((kind & 7) >> 1));
    if (kind & FC_SWAPPED) {
        switch ((kind & 7) >> 1) {
        case 1: v.u16 = __builtin_bswap16(v.u16); break;
        case 2: v.u32 = __builtin_bswap32(v.u32); break;
        case 3: v.u64 = __builtin_bswap64(v.u64); break;
        }
    }
    switch (kind & ~FC_SWAPPED) {
    case FC_I8: return (uint64_t)(int8_t)v.u8;
    case FC_I16: return (uint64_t)(int16_t)v.u16;
    case FC_I32: return (uint64_t)(int32_t)v.u32;
    case FC_U8: return v.u8;
    case FC_U16: return v.u16;
    case FC_U32: return v.u32;
    default: return v.u64;
    }
}

FC_INLINE void fc_integer_axpy_kind(uint64_t *restrict c, const char *src, const ptrdiff_t step, ptrdiff_t n, uint64_t w,
                                    const int kind)
{
    for (ptrdiff_t i = 0; i < n; i++)
        c[i] += w * fc_modular(src + i * step, kind);
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
