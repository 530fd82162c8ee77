/* Elements of any kind and byte order, read and written one by one; table.h numbers the kinds. */

#ifndef FC_ELEMENTS_ONCE
#define FC_ELEMENTS_ONCE

FC_INLINE float fc_half_to_float(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, magnitude = h & 0x7fff;
    union { uint32_t u; float f; } r;
    if (magnitude >= 0x7c00) {
        r.u = sign | 0x7f800000 | (magnitude & 0x3ff) << 13;
        return r.f;
    }
    /* Exponents are rebased by one exact multiplication, which also normalises denormals. */
    r.u = magnitude << 13;
    r.f *= 0x1p112f;
    r.u |= sign;
    return r.f;
}

FC_INLINE uint16_t fc_float_to_half(float x)
{
    union { float f; uint32_t u; } v = {.f = x};
    const uint16_t sign = (uint16_t)(v.u >> 16 & 0x8000);
    uint32_t m = v.u & 0x7fffffff;
    if (m > 0x7f800000)
        return sign | 0x7e00;
    if (m >= 0x477ff000) /* 65520 and above round to infinity */
        return sign | 0x7c00;
    if (m < 0x38800000) { /* below the smallest normal: adding 0.5 rounds to a multiple of 2^-24 */
        v.u = m;
        v.f += 0.5f;
        return sign | (uint16_t)(v.u - 0x3f000000);
    }
    m += 0xfff + (m >> 13 & 1);
    return sign | (uint16_t)((m - 0x38000000) >> 13);
}

/* Towards 0 and then to the odd one of two neighbours: what is rounded again to fewer bits is as if it were rounded once. */
FC_INLINE float fc_to_odd(double x)
{
    union { float f; uint32_t u; } v = {.f = (float)x};
    if ((double)v.f != x && x == x) {
        v.u -= __builtin_fabs((double)v.f) > __builtin_fabs(x);
        v.u |= 1;
    }
    return v.f;
}

/* An integer modulo 2^64. */
FC_INLINE uint64_t fc_integer(const char *p, const int kind)
{
    uint64_t u64;
    uint32_t u32;
    uint16_t u16;
    switch (kind & ~FC_SWAPPED) {
    case FC_U8: return *(const uint8_t *)p;
    case FC_I8: return (uint64_t)*(const int8_t *)p;
    case FC_U16:
    case FC_I16:
        memcpy(&u16, p, 2);
        u16 = kind & FC_SWAPPED ? __builtin_bswap16(u16) : u16;
        return kind & 1 ? (uint64_t)(int16_t)u16 : u16;
    case FC_U32:
    case FC_I32:
        memcpy(&u32, p, 4);
        u32 = kind & FC_SWAPPED ? __builtin_bswap32(u32) : u32;
        return kind & 1 ? (uint64_t)(int32_t)u32 : u32;
    default:
        memcpy(&u64, p, 8);
        return kind & FC_SWAPPED ? __builtin_bswap64(u64) : u64;
    }
}

#endif

#ifdef FC_SUM_TYPES
FC_INLINE FC_T FC_N(element)(const char *p, const int kind) { return (FC_T)fc_integer(p, kind); }
#else
FC_INLINE FC_T FC_N(element)(const char *p, const int kind)
{
    if (kind & FC_U8)
        return kind & 1 ? (FC_T)(int64_t)fc_integer(p, kind) : (FC_T)fc_integer(p, kind);
    uint64_t u64;
    uint32_t u32;
    uint16_t u16;
    float f;
    double d;
    switch (kind & ~FC_SWAPPED) {
    case FC_F16:
        memcpy(&u16, p, 2);
        return fc_half_to_float(kind & FC_SWAPPED ? __builtin_bswap16(u16) : u16);
    case FC_F32:
        memcpy(&u32, p, 4);
        u32 = kind & FC_SWAPPED ? __builtin_bswap32(u32) : u32;
        memcpy(&f, &u32, 4);
        return (FC_T)f;
    default:
        memcpy(&u64, p, 8);
        u64 = kind & FC_SWAPPED ? __builtin_bswap64(u64) : u64;
        memcpy(&d, &u64, 8);
        return (FC_T)d;
    }
}
#endif

FC_INLINE void FC_N(copy_kind)(FC_T *restrict dst, ptrdiff_t dst_step, const char *restrict src, ptrdiff_t src_step, ptrdiff_t n,
                               const int kind, const int bytes)
{
    if (dst_step == 1 && src_step == bytes)
        for (ptrdiff_t i = 0; i < n; i++)
            dst[i] = FC_N(element)(src + i * bytes, kind);
    else
        for (ptrdiff_t i = 0; i < n; i++)
            dst[i * dst_step] = FC_N(element)(src + i * src_step, kind);
}

#ifdef FC_SUM_TYPES
enum { FC_N(OWN) = sizeof(FC_T) == 4 ? FC_I32 : FC_I64 };
#else
enum { FC_N(OWN) = sizeof(FC_T) == 4 ? FC_F32 : FC_F64 };
#endif

#define FC_COPY(kind, bytes) \
    case kind: FC_N(copy_kind)(dst, dst_step, src, src_step, n, kind, bytes); return;

/* Copies n elements of any kind; src_step in bytes, dst_step in elements. */
FC_SHARED void FC_N(copy)(FC_T *dst, ptrdiff_t dst_step, const char *src, ptrdiff_t src_step, ptrdiff_t n, int kind)
{
    if (kind == FC_N(OWN) && dst_step == 1 && src_step == (ptrdiff_t)sizeof(FC_T)) {
        memcpy(dst, src, (size_t)n * sizeof(FC_T));
        return;
    }
    switch (kind) {
#ifndef FC_SUM_TYPES
        FC_COPY(FC_F16, 2) FC_COPY(FC_F32, 4) FC_COPY(FC_F64, 8)
#endif
        FC_COPY(FC_U8, 1) FC_COPY(FC_I8, 1) FC_COPY(FC_U16, 2) FC_COPY(FC_I16, 2) FC_COPY(FC_I32, 4) FC_COPY(FC_I64, 8)
    default: FC_N(copy_kind)(dst, dst_step, src, src_step, n, kind, 0);
    }
}

#undef FC_COPY

FC_INLINE double FC_N(number)(const char *p, const int kind)
{
    if (!(kind & FC_U8))
        return (double)FC_N(element)(p, kind);
    return kind & 1 ? (double)(int64_t)fc_integer(p, kind) : (double)fc_integer(p, kind);
}

#ifdef FC_SUM_TYPES
FC_INLINE void FC_N(put_number)(char *out, FC_T x, int kind)
{
    (void)kind; /* results are of no other */
    memcpy(out, &x, sizeof x);
}
#else
FC_INLINE void FC_N(put_number)(char *out, FC_T x, int kind)
{
    uint16_t h;
    uint32_t u32;
    uint64_t u64;
    const float f = (float)x;
    const double d = (double)x;
    switch (kind & ~FC_SWAPPED) {
    case FC_F16:
        h = fc_float_to_half(sizeof(FC_T) == 4 ? f : fc_to_odd(d));
        h = kind & FC_SWAPPED ? __builtin_bswap16(h) : h;
        memcpy(out, &h, 2);
        return;
    case FC_F32:
        memcpy(&u32, &f, 4);
        u32 = kind & FC_SWAPPED ? __builtin_bswap32(u32) : u32;
        memcpy(out, &u32, 4);
        return;
    default:
        memcpy(&u64, &d, 8);
        u64 = kind & FC_SWAPPED ? __builtin_bswap64(u64) : u64;
        memcpy(out, &u64, 8);
    }
}
#endif

/* Copies a line, whose length is hidden: compilers copy what they know to be short by a loop in microcode, slow to start. */
FC_INLINE void FC_N(copy_line)(void *to, const FC_T *from, ptrdiff_t n)
{
    size_t bytes = (size_t)n * sizeof(FC_T);
    __asm__("" : "+r"(bytes));
    memcpy(to, from, bytes);
}

FC_INLINE void FC_N(write_kind)(char *restrict dst, ptrdiff_t dst_step, const FC_T *restrict src, ptrdiff_t src_step, ptrdiff_t n,
                                const int kind, const int bytes)
{
    if (dst_step == bytes && src_step == 1)
        for (ptrdiff_t i = 0; i < n; i++)
            FC_N(put_number)(dst + i * bytes, src[i], kind);
    else
        for (ptrdiff_t i = 0; i < n; i++)
            FC_N(put_number)(dst + i * dst_step, src[i * src_step], kind);
}

#define FC_WRITE(kind, bytes)                                                                  \
    case kind: FC_N(write_kind)(dst, dst_step, src, src_step, n, kind, bytes); return;         \
    case (kind) + FC_SWAPPED: FC_N(write_kind)(dst, dst_step, src, src_step, n, (kind) + FC_SWAPPED, bytes); return;

/* Writes n numbers as floats of any kind; dst_step in bytes, src_step in elements. */
FC_SHARED void FC_N(write)(char *dst, ptrdiff_t dst_step, const FC_T *src, ptrdiff_t src_step, ptrdiff_t n, int kind)
{
    if (kind == FC_N(OWN) && dst_step == (ptrdiff_t)sizeof(FC_T) && src_step == 1) {
        FC_N(copy_line)(dst, src, n);
        return;
    }
    switch (kind) {
#ifdef FC_SUM_TYPES
        FC_WRITE(FC_N(OWN), sizeof(FC_T))
#else
        FC_WRITE(FC_F16, 2) FC_WRITE(FC_F32, 4) FC_WRITE(FC_F64, 8)
#endif
    }
}

#undef FC_WRITE
