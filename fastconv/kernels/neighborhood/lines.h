/* Lines of neighbourhoods: one line of an array read into a block, its boundary resolved, and one line of results written
 * out. Elements keep their type (float16 becomes float32), so that copying knows sizes and byte orders only.
 *
 * Counts: a line costs one copy (a load and a store each 64 bytes), its ends a load and a store an element, and for floats
 * one comparison each vector, for NaN. Included once, beside the functions of doubles; next hop: plain.h, whose kernels read
 * these lines.
 */
#ifndef FC_LINES_ONCE
#define FC_LINES_ONCE

static int fc_kind_bytes(int kind)
{
    kind &= FC_KINDS;
    return kind < FC_U8 ? 2 << kind : 1 << (kind - FC_U8) / 2;
}

/* With constant sizes and orders a memcpy is a move. */
FC_INLINE void fc_copy_words(char *restrict dst, ptrdiff_t dst_step, const char *restrict src, ptrdiff_t src_step, ptrdiff_t n,
                             const int bytes, const int swapped)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        uint64_t x = 0;
        memcpy(&x, src + i * src_step, (size_t)bytes);
        if (swapped)
            x = bytes == 2 ? __builtin_bswap16((uint16_t)x) : bytes == 4 ? __builtin_bswap32((uint32_t)x) : __builtin_bswap64(x);
        memcpy(dst + i * dst_step, &x, (size_t)bytes);
    }
}

/* Copies n elements of `bytes` bytes each, steps in bytes. */
static void fc_copy_elements(char *restrict dst, ptrdiff_t dst_step, const char *restrict src, ptrdiff_t src_step, ptrdiff_t n,
                             int bytes, int swapped)
{
    if (dst_step == bytes && src_step == bytes && (!swapped || bytes == 1)) {
        memcpy(dst, src, (size_t)(n * bytes));
        return;
    }
    switch (bytes + (swapped ? 16 : 0)) {
    case 1: case 17: fc_copy_words(dst, dst_step, src, src_step, n, 1, 0); return;
    case 2: fc_copy_words(dst, dst_step, src, src_step, n, 2, 0); return;
    case 4: fc_copy_words(dst, dst_step, src, src_step, n, 4, 0); return;
    case 8: fc_copy_words(dst, dst_step, src, src_step, n, 8, 0); return;
    case 18: fc_copy_words(dst, dst_step, src, src_step, n, 2, 1); return;
    case 20: fc_copy_words(dst, dst_step, src, src_step, n, 4, 1); return;
    default: fc_copy_words(dst, dst_step, src, src_step, n, 8, 1); return;
    }
}

FC_INLINE void fc_read_truths(char *restrict dst, const char *restrict src, ptrdiff_t step, ptrdiff_t n, const int bytes)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        uint64_t x = 0;
        if (bytes > 1)
            memcpy(&x, src + i * step, (size_t)bytes);
        dst[i] = bytes > 1 ? x != 0 : src[i * step] != 0; /* not widened, so that vectors hold bytes */
    }
}

/* Elements of an array, of any kind, into a line of its native type, or of a mask into bytes. */
static void fc_read_elements(char *dst, const char *src, ptrdiff_t step, ptrdiff_t n, int kind)
{
    const int swapped = kind & FC_SWAPPED;
    if (kind & FC_TRUTH) {
        const int bytes = fc_kind_bytes(kind);
        if (bytes == 1 && step == 1)
            fc_read_truths(dst, src, 1, n, 1);
        else
            fc_read_truths(dst, src, step, n, bytes);
        return;
    }
    if ((kind & ~FC_SWAPPED) != FC_F16) {
        const int bytes = fc_kind_bytes(kind);
        fc_copy_elements(dst, bytes, src, step, n, bytes, swapped);
        return;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, src + i * step, 2);
        const float f = fc_half_to_float(swapped ? __builtin_bswap16(h) : h);
        memcpy(dst + 4 * i, &f, 4);
    }
}

/* Of positions i .. end - 1 outside the array: the first stretch of elements, `count` of them `step` apart from `from` on; none
 * of the array's if from is -1. */
typedef struct fc_stretch {
    ptrdiff_t from, step, count;
} fc_stretch;

static fc_stretch fc_stretch_at(const fc_fill *q, ptrdiff_t i, ptrdiff_t end)
{
    const ptrdiff_t n = q->n, mirror = q->mode == FC_MIRROR && n > 1;
    const ptrdiff_t period = q->mode == FC_REFLECT ? 2 * n : mirror ? 2 * n - 2 : n;
    if (q->mode == FC_CONSTANT || q->mode == FC_IGNORE)
        return (fc_stretch){-1, 0, end - i};
    if (q->mode == FC_NEAREST)
        return (fc_stretch){i < 0 ? 0 : n - 1, 0, end - i};
    ptrdiff_t at = i % period;
    at += at < 0 ? period : 0;
    const ptrdiff_t left = at < n ? n - at : period - at, count = left < end - i ? left : end - i;
    return at < n ? (fc_stretch){at, 1, count} : (fc_stretch){period - at - !mirror, -1, count};
}

/* Positions i .. end - 1 of a line. */
static void fc_fill_end(char *dst, const char *src, ptrdiff_t step, int kind, int bytes, const fc_fill *q, ptrdiff_t i,
                        ptrdiff_t end, const void *outside)
{
    for (fc_stretch s; i < end; i += s.count) {
        char *to = dst + (i - q->start) * bytes;
        s = fc_stretch_at(q, i, end);
        if (s.from < 0)
            fc_copy_elements(to, bytes, outside, 0, s.count, bytes, 0);
        else
            fc_read_elements(to, src + s.from * step, s.step * step, s.count, kind);
    }
}

/* The part of a line that lies in the array, then its ends, then what is outside. */
static void fc_fill_part(char *dst, const char *src, ptrdiff_t step, int kind, int bytes, const fc_fill *q, const void *outside)
{
    const ptrdiff_t end = q->start + q->length;
    const ptrdiff_t first = q->start > 0 ? q->start : 0, last = end < q->n ? end : q->n;
    if (first < last)
        fc_read_elements(dst + (first - q->start) * bytes, src + first * step, step, last - first, kind);
    fc_fill_end(dst, src, step, kind, bytes, q, q->start, end < 0 ? end : 0, outside);
    fc_fill_end(dst, src, step, kind, bytes, q, q->start > q->n ? q->start : q->n, end, outside);
}

#define FC_NAN_LINE(type, word)                        \
    {                                                  \
        const type *x = dst;                           \
        int found = 0, minus = 0;                      \
        for (ptrdiff_t i = 0; i < n; i++) {            \
            word bits;                                 \
            memcpy(&bits, x + i, sizeof bits);         \
            found |= x[i] != x[i];                     \
            minus |= bits == (word)1 << (8 * sizeof bits - 1); \
        }                                              \
        if (found && omit)                             \
            for (ptrdiff_t i = 0; i < n; i++)          \
                present[i] &= (uint8_t)(x[i] == x[i]); \
        return (found ? FC_LINE_NAN : 0) | (minus ? FC_LINE_MINUS : 0); \
    }

/* Whether a line of floats holds a NaN or a -0, as flags; with `omit` NaN are no longer present. */
static int fc_nan_line(const void *dst, uint8_t *present, ptrdiff_t n, int bytes, int omit)
{
    if (bytes == 4)
        FC_NAN_LINE(float, uint32_t)
    FC_NAN_LINE(double, uint64_t)
}

#undef FC_NAN_LINE

/* What has a NaN in the other part does not count. */
static void fc_omit_other(const fc_fill *q, int bytes)
{
    for (ptrdiff_t i = 0; i < q->length; i++) {
        const ptrdiff_t at = fc_boundary(q->start + i, q->n, q->mode);
        union { float f; double d; } v = {.d = 0};
        if (at >= 0)
            fc_read_elements((char *)&v, q->src + q->other + at * q->step, 0, 1, q->kind);
        q->present[i] &= bytes == 4 ? v.f == v.f : v.d == v.d;
    }
}

/* The stretch s at position i of many lines. */
FC_INLINE void fc_repeat(const fc_fill *q, void *const *lines, ptrdiff_t count, ptrdiff_t i, fc_stretch s, const int bytes)
{
    for (ptrdiff_t line = 0; line < count; line++) {
        char *to = (char *)lines[line] + (i - q->start) * bytes;
        const char *from = s.from < 0 ? q->cval : (char *)lines[line] + (s.from - q->start) * bytes;
        fc_copy_words(to, bytes, from, s.step * bytes, s.count, bytes, 0);
    }
}

static void fc_fill_ends(const fc_fill *q, void *const *lines, ptrdiff_t count)
{
    const ptrdiff_t last = q->start + q->length, begins[2] = {q->start, q->start > q->n ? q->start : q->n};
    const ptrdiff_t ends[2] = {last < 0 ? last : 0, last};
    for (int side = 0; side < 2; side++) {
        fc_stretch s;
        for (ptrdiff_t i = begins[side]; i < ends[side]; i += s.count) {
            s = fc_stretch_at(q, i, ends[side]);
            switch (fc_kind_bytes(q->kind)) {
            case 1: fc_repeat(q, lines, count, i, s, 1); break;
            case 2: fc_repeat(q, lines, count, i, s, 2); break;
            case 4: fc_repeat(q, lines, count, i, s, 4); break;
            default: fc_repeat(q, lines, count, i, s, 8);
            }
        }
    }
}

static int fc_fill_line(const fc_fill *q)
{
    static const uint8_t yes = 1, no = 0;
    const int kind = q->kind & ~FC_SWAPPED;
    const int bytes = kind == FC_F16 ? 4 : fc_kind_bytes(kind);
    int flags = 0;
    if (q->src)
        fc_fill_part(q->dst, q->src, q->step, q->kind, bytes, q, q->cval);
    else
        fc_copy_elements(q->dst, bytes, q->cval, 0, q->length, bytes, 0);
    if (q->present) {
        const uint8_t outside = q->mode != FC_IGNORE;
        if (!q->src)
            memset(q->present, outside, (size_t)q->length);
        else if (q->mask)
            fc_fill_part((char *)q->present, q->mask, q->mask_step, q->mask_kind | FC_TRUTH, 1, q, outside ? &yes : &no);
        else if (q->mode == FC_IGNORE)
            for (ptrdiff_t i = 0; i < q->length; i++)
                q->present[i] = q->start + i >= 0 && q->start + i < q->n;
        else
            memset(q->present, 1, (size_t)q->length);
    }
    if (q->src && q->other && q->omit)
        fc_omit_other(q, bytes);
    if (kind < FC_U8)
        flags |= fc_nan_line(q->dst, q->present, q->length, bytes, q->omit);
    if (q->present && memchr(q->present, 0, (size_t)q->length))
        flags |= FC_LINE_MASKED;
    return flags;
}

/* ---- results ---- */

enum { FC_WIDE = 128 };

typedef union fc_wide {
    double f[FC_WIDE];
    uint64_t u[FC_WIDE];
} fc_wide;

#define FC_WIDEN(kind, type, member, wide)                                 \
    case kind:                                                             \
        for (ptrdiff_t i = 0; i < n; i++) {                                \
            type x;                                                        \
            memcpy(&x, src + i * step, sizeof x);                          \
            to->member[i] = (wide)x;                                       \
        }                                                                  \
        return;

/* n <= FC_WIDE native elements as doubles or, if integers, modulo 2^64. */
static void fc_widen_elements(fc_wide *to, const char *src, ptrdiff_t step, ptrdiff_t n, int kind)
{
    switch (kind) {
        FC_WIDEN(FC_F32, float, f, double) FC_WIDEN(FC_F64, double, f, double)
        FC_WIDEN(FC_U8, uint8_t, u, uint64_t) FC_WIDEN(FC_I8, int8_t, u, uint64_t)
        FC_WIDEN(FC_U16, uint16_t, u, uint64_t) FC_WIDEN(FC_I16, int16_t, u, uint64_t)
        FC_WIDEN(FC_U32, uint32_t, u, uint64_t) FC_WIDEN(FC_I32, int32_t, u, uint64_t)
        FC_WIDEN(FC_U64, uint64_t, u, uint64_t) FC_WIDEN(FC_I64, int64_t, u, uint64_t)
    }
}

#undef FC_WIDEN

/* The nearest integer that a kind can hold, modulo 2^64; 0 for a NaN. */
FC_INLINE uint64_t fc_nearest_integer(double x, int kind)
{
    const int bits = 8 * fc_kind_bytes(kind), is_signed = kind & 1;
    const double high = is_signed ? __builtin_ldexp(1, bits - 1) : __builtin_ldexp(1, bits);
    if (x != x)
        return 0;
    x = __builtin_rint(x);
    if (x >= high)
        return is_signed ? ((uint64_t)1 << (bits - 1)) - 1 : bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
    if (is_signed)
        return x < -high ? (uint64_t)1 << (bits - 1) : (uint64_t)(int64_t)x;
    return x <= 0 ? 0 : (uint64_t)x;
}

#define FC_NARROW(type, value)                                             \
    for (ptrdiff_t i = 0; i < n; i++) {                                    \
        const type x = (type)(value);                                      \
        memcpy(words + i * (ptrdiff_t)sizeof x, &x, sizeof x);             \
    }

/* Writes n <= FC_WIDE wide numbers as integers of so many bytes to consecutive words. */
static void fc_narrow_integers(char *words, const uint64_t *from, ptrdiff_t n, int bytes)
{
    switch (bytes) {
    case 1: FC_NARROW(uint8_t, from[i]) return;
    case 2: FC_NARROW(uint16_t, from[i]) return;
    case 4: FC_NARROW(uint32_t, from[i]) return;
    default: memcpy(words, from, (size_t)n * 8); return;
    }
}

#undef FC_NARROW

/* One line, from and to elements of any kind and byte order; floats by `write` of base/elements.h. */
static void fc_put_line(const fc_put *q)
{
    const int kind = q->kind & FC_KINDS, swapped = q->kind & FC_SWAPPED, bytes = fc_kind_bytes(kind);
    const int truth = q->kind & FC_TRUTH, nearest = q->kind & FC_NEAREST_WHOLE && kind != q->source;
    if (kind == q->source && !truth) {
        fc_copy_elements(q->dst, q->dst_step, q->src, q->src_step, q->n, bytes, swapped);
        return;
    }
    fc_wide wide;
    char words[8 * FC_WIDE];
    for (ptrdiff_t at = 0; at < q->n; at += FC_WIDE) {
        const ptrdiff_t n = q->n - at < FC_WIDE ? q->n - at : FC_WIDE;
        fc_widen_elements(&wide, q->src + at * q->src_step, q->src_step, n, q->source);
        for (ptrdiff_t i = 0; i < n && truth; i++)
            wide.u[i] = q->source < FC_U8 ? wide.f[i] != 0 : wide.u[i] != 0;
        for (ptrdiff_t i = 0; i < n && nearest; i++)
            wide.u[i] = wide.u[i] <= INT64_MAX ? wide.u[i] : q->source & 1 ? 0 : INT64_MAX;
        if (kind < FC_U8) {
            for (ptrdiff_t i = 0; i < n && q->source >= FC_U8; i++)
                wide.f[i] = q->source & 1 ? (double)(int64_t)wide.u[i] : (double)wide.u[i];
            FC_N(write)(q->dst + at * q->dst_step, q->dst_step, wide.f, 1, n, kind | swapped);
            continue;
        }
        for (ptrdiff_t i = 0; i < n && q->source < FC_U8 && !truth; i++)
            wide.u[i] = fc_nearest_integer(wide.f[i], kind);
        fc_narrow_integers(words, wide.u, n, bytes);
        fc_copy_elements(q->dst + at * q->dst_step, q->dst_step, words, bytes, n, bytes, swapped);
    }
}

static void fc_gather(char *dst, ptrdiff_t pitch, const char *src, ptrdiff_t step, ptrdiff_t n, ptrdiff_t size)
{
    for (ptrdiff_t at = 0; at < size; at += FC_GATHER)
#pragma GCC unroll 4
        for (ptrdiff_t i = 0; i < n; i++)
            memcpy(dst + i * pitch + at, src + i * step + at, FC_GATHER);
}

#endif
