/* The only file that knows vector registers. Included once for each real type, with FC_T and FC_SUFFIX defined.
 *
 * FC_VEC_BYTES and FC_REGISTERS follow from the flags that the including isa_*.c is compiled with (setup.py).
 */
#ifndef FC_SIMD_ONCE
#define FC_SIMD_ONCE

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define FC_VEC_BYTES 64
#define FC_REGISTERS 32
#elif defined(__AVX2__)
#define FC_VEC_BYTES 32
#define FC_REGISTERS 16
#elif defined(__ARM_NEON)
#define FC_VEC_BYTES 16
#define FC_REGISTERS 32
#else
#define FC_VEC_BYTES 16
#define FC_REGISTERS 16
#endif

/* Lanes of 32 bits, and their numbers. */
typedef uint32_t fc_words __attribute__((vector_size(FC_VEC_BYTES), may_alias, aligned(4)));
#define FC_WORD_LANES ((uint32_t)(FC_VEC_BYTES / 4))
#if FC_VEC_BYTES == 64
#define FC_EACH_LANE ((fc_words){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
#elif FC_VEC_BYTES == 32
#define FC_EACH_LANE ((fc_words){0, 1, 2, 3, 4, 5, 6, 7})
#else
#define FC_EACH_LANE ((fc_words){0, 1, 2, 3})
#endif

/* Keeps a vector in a register: compilers like to load it again as an operand of each instruction that uses it. */
#if defined(__x86_64__)
#define FC_KEEP(v) __asm__("" : "+v"(v))
#elif defined(__aarch64__)
#define FC_KEEP(v) __asm__("" : "+w"(v))
#else
#define FC_KEEP(v)
#endif

#define FC_INLINE static inline __attribute__((always_inline))
#define FC_SHARED static __attribute__((unused)) /* a helper that some parts have no use for */

/* A call for a shape that no switch lists must not compute nothing in silence: no driver makes one. */
#define FC_NO_SUCH_SHAPE __builtin_trap();

/* As many bytes as a register holds words of 16 bits. */
typedef uint16_t fc_halves __attribute__((vector_size(FC_VEC_BYTES)));
FC_INLINE fc_halves fc_load_bytes(const uint8_t *p)
{
#if defined(__AVX512BW__)
    return (fc_halves)_mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)p));
#elif defined(__AVX2__)
    return (fc_halves)_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p));
#else
    typedef uint8_t half __attribute__((vector_size(FC_VEC_BYTES / 2), may_alias, aligned(1)));
    return __builtin_convertvector(*(const half *)p, fc_halves);
#endif
}

#endif

#undef FC_N
#undef FC_VEC
#undef FC_UVEC
#undef FC_LANES
#define FC_N(name) FC_PASTE(FC_PART, name, FC_SUFFIX, FC_ISA)
#define FC_VEC FC_N(vec)
#define FC_UVEC FC_N(uvec)
#define FC_LANES ((int)(FC_VEC_BYTES / sizeof(FC_T)))

typedef FC_T FC_VEC __attribute__((vector_size(FC_VEC_BYTES), may_alias));
typedef FC_T FC_UVEC __attribute__((vector_size(FC_VEC_BYTES), may_alias, aligned(sizeof(FC_T))));

FC_INLINE FC_VEC FC_N(splat)(FC_T x) { return x - (FC_VEC){0}; }
FC_INLINE FC_VEC FC_N(load)(const FC_T *p) { return *(const FC_UVEC *)p; }
FC_INLINE void FC_N(put)(FC_T *p, FC_VEC v) { *(FC_UVEC *)p = v; }
/* The first n lanes alone, the others 0, if there are not so many. */
FC_INLINE FC_VEC FC_N(load_first)(const FC_T *p, ptrdiff_t n)
{
    FC_VEC v = {0};
    if (n >= FC_LANES)
        return FC_N(load)(p);
    memcpy(&v, p, (size_t)n * sizeof(FC_T));
    return v;
}
FC_INLINE void FC_N(put_first)(FC_T *p, FC_VEC v, ptrdiff_t n)
{
    if (n >= FC_LANES)
        FC_N(put)(p, v);
    else
        memcpy(p, &v, (size_t)n * sizeof(FC_T));
}
/* Sums of neighbouring lanes: those of u, then those of v. */
FC_INLINE FC_VEC FC_N(pair_sums)(FC_VEC u, FC_VEC v)
{
#if defined(__AVX512F__)
    if (sizeof(FC_T) == 4) {
        const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
        return (FC_VEC)_mm512_permutex2var_ps((__m512)u, even, (__m512)v) + (FC_VEC)_mm512_permutex2var_ps((__m512)u, odd, (__m512)v);
    }
    const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), odd = _mm512_add_epi64(even, _mm512_set1_epi64(1));
    return (FC_VEC)_mm512_permutex2var_pd((__m512d)u, even, (__m512d)v) + (FC_VEC)_mm512_permutex2var_pd((__m512d)u, odd, (__m512d)v);
#else
    FC_VEC sums = {0};
    for (int i = 0; i < FC_LANES / 2; i++) {
        sums[i] = u[2 * i] + u[2 * i + 1];
        sums[FC_LANES / 2 + i] = v[2 * i] + v[2 * i + 1];
    }
    return sums;
#endif
}

/* Elements of a, then of b, from the k-th on, `by` being slide_by(k), 0 <= k <= lanes: one instruction, where FC_SLIDES says
 * that there is one. */
#if defined(__AVX512F__)
#undef FC_SLIDES
#define FC_SLIDES (sizeof(FC_T) >= 4)
typedef __m512i FC_N(slide_t);
FC_INLINE FC_N(slide_t) FC_N(slide_by)(ptrdiff_t k)
{
    if (sizeof(FC_T) == 8)
        return _mm512_add_epi64(_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7), _mm512_set1_epi64(k));
    return _mm512_add_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32((int)k));
}
FC_INLINE FC_VEC FC_N(slide)(FC_VEC a, FC_VEC b, FC_N(slide_t) by)
{
    if (sizeof(FC_T) == 8)
        return (FC_VEC)_mm512_permutex2var_epi64((__m512i)a, by, (__m512i)b);
    return (FC_VEC)_mm512_permutex2var_epi32((__m512i)a, by, (__m512i)b);
}
#else
#undef FC_SLIDES
#define FC_SLIDES 0
typedef ptrdiff_t FC_N(slide_t);
FC_INLINE FC_N(slide_t) FC_N(slide_by)(ptrdiff_t k) { return k; }
FC_INLINE FC_VEC FC_N(slide)(FC_VEC a, FC_VEC b, FC_N(slide_t) by)
{
    FC_T both[2 * FC_LANES];
    FC_N(put)(both, a);
    FC_N(put)(both + FC_LANES, b);
    return FC_N(load)(both + by);
}
#endif

FC_INLINE void FC_N(sum_into)(FC_T *p, FC_VEC v, int accumulate)
{
    if (accumulate)
        v += FC_N(load)(p);
    FC_N(put)(p, v);
}

/* ---- vectors as bits, and the operations that C's operators lack (FC_INTEGER_TYPE: FC_T is one) ---- */

#ifndef FC_INTEGER_TYPE

#undef FC_INT
#undef FC_IVEC
#define FC_INT FC_N(word)
#define FC_IVEC FC_N(ivec)
typedef __typeof__(__builtin_choose_expr(sizeof(FC_T) == 4, (int32_t)0, (int64_t)0)) FC_INT;
typedef FC_INT FC_IVEC __attribute__((vector_size(FC_VEC_BYTES), may_alias));

FC_INLINE FC_IVEC FC_N(isplat)(FC_INT x) { return x - (FC_IVEC){0}; }
FC_INLINE FC_VEC FC_N(masked)(FC_VEC x, FC_IVEC mask) { return (FC_VEC)((FC_IVEC)x & mask); }
/* The `size` elements at p, over and over. */
FC_INLINE FC_VEC FC_N(splat_group)(const FC_T *p, const int size)
{
    typedef uint64_t words __attribute__((vector_size(FC_VEC_BYTES)));
    if (size == 1)
        return FC_N(splat)(p[0]);
#if defined(__AVX512F__)
    if (size * sizeof(FC_T) == 16)
        return (FC_VEC)_mm512_broadcast_f32x4(_mm_loadu_ps((const float *)p));
#endif
    uint64_t word;
    memcpy(&word, p, 8);
    return (FC_VEC)(word | (words){0});
}

/* The sum of all lanes, by halves. */
FC_INLINE FC_T FC_N(sum_lanes)(FC_VEC v)
{
#if defined(__AVX512F__)
    return sizeof(FC_T) == 4 ? (FC_T)_mm512_reduce_add_ps((__m512)v) : (FC_T)_mm512_reduce_add_pd((__m512d)v);
#else
    for (int half = FC_LANES / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            v[j] += v[j + half];
    return v[0];
#endif
}

/* Keeps the lanes first..last-1 of each group of `size`, makes the others 0. */
FC_INLINE FC_VEC FC_N(keep_lanes)(FC_VEC v, const int size, const int first, const int last)
{
    FC_IVEC mask = {0};
    for (int i = 0; i < FC_LANES; i++)
        mask[i] = -(i % size >= first && i % size < last);
    return FC_N(masked)(v, mask);
}

/* The n < size elements at p and zeros, over and over. */
FC_INLINE FC_VEC FC_N(splat_part)(const FC_T *p, const int size, const int n)
{
    if (n == 1)
        return FC_N(keep_lanes)(FC_N(splat)(p[0]), size, 0, 1);
    const FC_VEC two = FC_N(keep_lanes)(FC_N(splat_group)(p, 2), size, 0, 2);
    if (n == 2)
        return two;
    return (FC_VEC)((FC_IVEC)two | (FC_IVEC)FC_N(keep_lanes)(FC_N(splat)(p[2]), size, 2, 3));
}

FC_INLINE FC_VEC FC_N(pick)(FC_IVEC mask, FC_VEC yes, FC_VEC no)
{
    return (FC_VEC)(((FC_IVEC)yes & mask) | ((FC_IVEC)no & ~mask));
}
FC_INLINE FC_VEC FC_N(abs)(FC_VEC x)
{
    return FC_N(masked)(x, FC_N(isplat)(sizeof(FC_T) == 4 ? (FC_INT)INT32_MAX : (FC_INT)INT64_MAX));
}

/* a > b ? a : b in each lane, so b where either is NaN. */
FC_INLINE FC_VEC FC_N(max)(FC_VEC a, FC_VEC b)
{
#if defined(__AVX512F__)
    return sizeof(FC_T) == 4 ? (FC_VEC)_mm512_max_ps((__m512)a, (__m512)b) : (FC_VEC)_mm512_max_pd((__m512d)a, (__m512d)b);
#elif defined(__AVX2__)
    return sizeof(FC_T) == 4 ? (FC_VEC)_mm256_max_ps((__m256)a, (__m256)b) : (FC_VEC)_mm256_max_pd((__m256d)a, (__m256d)b);
#elif defined(__x86_64__)
    return sizeof(FC_T) == 4 ? (FC_VEC)_mm_max_ps((__m128)a, (__m128)b) : (FC_VEC)_mm_max_pd((__m128d)a, (__m128d)b);
#else
    return FC_N(pick)((FC_IVEC)(a > b), a, b);
#endif
}

/* a < b ? a : b in each lane, so b where either is NaN. */
FC_INLINE FC_VEC FC_N(min)(FC_VEC a, FC_VEC b)
{
#if defined(__AVX512F__)
    return sizeof(FC_T) == 4 ? (FC_VEC)_mm512_min_ps((__m512)a, (__m512)b) : (FC_VEC)_mm512_min_pd((__m512d)a, (__m512d)b);
#elif defined(__AVX2__)
    return sizeof(FC_T) == 4 ? (FC_VEC)_mm256_min_ps((__m256)a, (__m256)b) : (FC_VEC)_mm256_min_pd((__m256d)a, (__m256d)b);
#elif defined(__x86_64__)
    return sizeof(FC_T) == 4 ? (FC_VEC)_mm_min_ps((__m128)a, (__m128)b) : (FC_VEC)_mm_min_pd((__m128d)a, (__m128d)b);
#else
    return FC_N(pick)((FC_IVEC)(a < b), a, b);
#endif
}

/* The larger of a and |b|, a >= 0; of a number and a NaN either may come. */
FC_INLINE FC_VEC FC_N(max_size)(FC_VEC a, FC_VEC b)
{
#if defined(__AVX512DQ__)
    return sizeof(FC_T) == 4 ? (FC_VEC)_mm512_range_ps((__m512)a, (__m512)b, 11) : (FC_VEC)_mm512_range_pd((__m512d)a, (__m512d)b, 11);
#else
    return FC_N(max)(a, FC_N(abs)(b));
#endif
}

enum { FC_N(MANTISSA) = sizeof(FC_T) == 4 ? 23 : 52, FC_N(BIAS) = sizeof(FC_T) == 4 ? 127 : 1023 };

/* x, rounded as its own type, whatever is done with it then. */
FC_INLINE FC_VEC FC_N(rounded)(FC_VEC x)
{
#if defined(__x86_64__) && FC_VEC_BYTES >= 16
    __asm__("" : "+v"(x)); /* a register, for all that the compiler knows another number */
#else
    __asm__("" : "+m"(x));
#endif
    return x;
}

/* x - a * b, rounded once, or all but, of x near a * b, which neither overflows nor is near the denormals. */
FC_INLINE FC_VEC FC_N(less_product)(FC_VEC x, FC_VEC a, FC_VEC b)
{
#if defined(__AVX512F__)
    return sizeof(FC_T) == 4 ? (FC_VEC)_mm512_fnmadd_ps((__m512)a, (__m512)b, (__m512)x)
                             : (FC_VEC)_mm512_fnmadd_pd((__m512d)a, (__m512d)b, (__m512d)x);
#elif defined(__FMA__)
    return sizeof(FC_T) == 4 ? (FC_VEC)_mm256_fnmadd_ps((__m256)a, (__m256)b, (__m256)x)
                             : (FC_VEC)_mm256_fnmadd_pd((__m256d)a, (__m256d)b, (__m256d)x);
#elif defined(__FP_FAST_FMA) || defined(__aarch64__)
    for (int i = 0; i < FC_LANES; i++)
        x[i] = sizeof(FC_T) == 4 ? (FC_T)__builtin_fmaf((float)-a[i], (float)b[i], (float)x[i])
                                 : (FC_T)__builtin_fma((double)-a[i], (double)b[i], (double)x[i]);
    return x;
#else /* by Dekker: halves have exact products */
    const FC_IVEC upper = FC_N(isplat)((FC_INT)((uint64_t)-1 << (FC_N(MANTISSA) / 2 + 1)));
    const FC_VEC a1 = FC_N(masked)(a, upper), b1 = FC_N(masked)(b, upper), a2 = a - a1, b2 = b - b1, product = a * b;
    return (x - product) - (((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2);
#endif
}

#if defined(__AVX512F__)
#undef FC_LOOKUPS
#define FC_LOOKUPS /* registers can be tables, and exponents are taken apart and added by an instruction */

/* z of x = 2^e z, z in [3/4, 3/2). */
FC_INLINE FC_VEC FC_N(fraction)(FC_VEC x, FC_VEC *e)
{
    FC_VEC z;
    if (sizeof(FC_T) == 4) {
        z = (FC_VEC)_mm512_getmant_ps((__m512)x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_src);
        *e = (FC_VEC)_mm512_getexp_ps((__m512)x) - (FC_VEC)_mm512_getexp_ps((__m512)z);
    } else {
        z = (FC_VEC)_mm512_getmant_pd((__m512d)x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_src);
        *e = (FC_VEC)_mm512_getexp_pd((__m512d)x) - (FC_VEC)_mm512_getexp_pd((__m512d)z);
    }
    return z;
}

/* x * 2^n, rounded once, of an integer n. */
FC_INLINE FC_VEC FC_N(scale)(FC_VEC x, FC_VEC n)
{
    return sizeof(FC_T) == 4 ? (FC_VEC)_mm512_scalef_ps((__m512)x, (__m512)n) : (FC_VEC)_mm512_scalef_pd((__m512d)x, (__m512d)n);
}

/* table[index mod 16]; the table begins on a 64-byte boundary. */
FC_INLINE FC_VEC FC_N(lookup)(const FC_T *table, FC_IVEC index)
{
    if (sizeof(FC_T) == 4)
        return (FC_VEC)_mm512_permutexvar_ps((__m512i)index, _mm512_load_ps((const float *)table));
    return (FC_VEC)_mm512_permutex2var_pd(_mm512_load_pd((const double *)table), (__m512i)index,
                                          _mm512_load_pd((const double *)table + 8));
}
#endif

/* Whether any lane of a comparison's result is true. */
FC_INLINE int FC_N(any)(FC_IVEC mask)
{
#if defined(__AVX512F__)
    return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX2__)
    return _mm256_movemask_epi8((__m256i)mask) != 0;
#elif defined(__x86_64__)
    return _mm_movemask_epi8((__m128i)mask) != 0;
#else
    FC_INT all = 0;
    for (int i = 0; i < FC_LANES; i++)
        all |= mask[i];
    return all != 0;
#endif
}

/* What comparisons give where lanes are chosen by them: a register of bits, or as many bits as there are lanes. */
#undef FC_MASK
#define FC_MASK FC_N(mask)
#if defined(__AVX512F__)
typedef __typeof__(__builtin_choose_expr(sizeof(FC_T) == 4, (__mmask16)0, (__mmask8)0)) FC_MASK;
#define FC_COMPARED(which, c)                                                       \
    return sizeof(FC_T) == 4 ? (FC_MASK)_mm512_cmp_ps_mask((__m512)a, (__m512)b, c) \
                             : (FC_MASK)_mm512_cmp_pd_mask((__m512d)a, (__m512d)b, c);
FC_INLINE int FC_N(some)(FC_MASK mask) { return mask != 0; }
#else
typedef FC_IVEC FC_MASK;
FC_INLINE int FC_N(some)(FC_MASK mask) { return FC_N(any)(mask); }
#define FC_COMPARED(which, c) return (FC_MASK)(a which b);
#endif
FC_INLINE FC_MASK FC_N(less)(FC_VEC a, FC_VEC b) { FC_COMPARED(<, _CMP_LT_OQ) }
FC_INLINE FC_MASK FC_N(equal)(FC_VEC a, FC_VEC b) { FC_COMPARED(==, _CMP_EQ_OQ) }
#undef FC_COMPARED

FC_INLINE FC_VEC FC_N(choose)(FC_MASK mask, FC_VEC yes, FC_VEC no)
{
#if defined(__AVX512F__)
    return sizeof(FC_T) == 4 ? (FC_VEC)_mm512_mask_blend_ps((__mmask16)mask, (__m512)no, (__m512)yes)
                             : (FC_VEC)_mm512_mask_blend_pd((__mmask8)mask, (__m512d)no, (__m512d)yes);
#elif defined(__AVX2__)
    return (FC_VEC)_mm256_blendv_epi8((__m256i)no, (__m256i)yes, (__m256i)mask);
#elif defined(__SSE4_1__)
    return (FC_VEC)_mm_blendv_epi8((__m128i)no, (__m128i)yes, (__m128i)mask);
#else
    return FC_N(pick)(mask, yes, no);
#endif
}

FC_INLINE FC_VEC FC_N(lane_roots)(FC_VEC x)
{
    for (int i = 0; i < FC_LANES; i++)
        x[i] = sizeof(FC_T) == 4 ? (FC_T)__builtin_sqrtf((float)x[i]) : (FC_T)__builtin_sqrt((double)x[i]);
    return x;
}

FC_INLINE FC_VEC FC_N(sqrt)(FC_VEC x)
{
#if defined(__AVX512F__)
    return sizeof(FC_T) == 4 ? (FC_VEC)_mm512_sqrt_ps((__m512)x) : (FC_VEC)_mm512_sqrt_pd((__m512d)x);
#else
    return FC_N(lane_roots)(x);
#endif
}

#if defined(__AVX512F__)
/* 1 / x and 1 / sqrt(x) to 2^-14. */
FC_INLINE FC_VEC FC_N(reciprocal_14)(FC_VEC x)
{
    return sizeof(FC_T) == 4 ? (FC_VEC)_mm512_rcp14_ps((__m512)x) : (FC_VEC)_mm512_rcp14_pd((__m512d)x);
}
FC_INLINE FC_VEC FC_N(root_14)(FC_VEC x)
{
    return sizeof(FC_T) == 4 ? (FC_VEC)_mm512_rsqrt14_ps((__m512)x) : (FC_VEC)_mm512_rsqrt14_pd((__m512d)x);
}
#endif

/* x / y for y in 2^-1000..2^1000 (2^-120..2^120), x no larger than about y: within 1 unit in the last place. */
FC_INLINE FC_VEC FC_N(quotient)(FC_VEC x, FC_VEC y)
{
#if defined(__AVX512F__)
    FC_VEC r = FC_N(reciprocal_14)(y);
    if (sizeof(FC_T) == 8)
        r += r * (1 - y * r);
    const FC_VEC q = x * r;
    return q + r * (x - q * y);
#else
    return x / y;
#endif
}

/* sqrt(x) for x in 2^-900..2^1000 (2^-90..2^100), or 0 with any `positive`, which else is x: within 1 unit in the last place. */
FC_INLINE FC_VEC FC_N(root_of)(FC_VEC x, FC_VEC positive)
{
#if defined(__AVX512F__)
    const FC_VEC r0 = FC_N(root_14)(positive);
    FC_VEC y = x * r0, h = r0 * (FC_T)0.5;
    if (sizeof(FC_T) == 8) {
        const FC_VEC e = (FC_T)0.5 - h * y;
        y += y * e;
        h += h * e;
    }
    return y + h * (x - y * y);
#else
    (void)positive;
    return FC_N(lane_roots)(x);
#endif
}

/* The same for x = 0 or in that range. */
FC_INLINE FC_VEC FC_N(root)(FC_VEC x)
{
    return FC_N(root_of)(x, FC_N(max)(x, FC_N(splat)(sizeof(FC_T) == 4 ? (FC_T)1e-37 : (FC_T)1e-300)));
}

/* Set bits of each word: by halves of bytes from a table where bytes can be shuffled, else by partial sums. */
FC_INLINE FC_IVEC FC_N(popcount)(FC_IVEC x)
{
#if defined(__AVX512BW__)
    const __m512i low = _mm512_set1_epi8(15), zero = _mm512_setzero_si512();
    const __m512i table = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m512i v = (__m512i)x, high = _mm512_and_si512(_mm512_srli_epi16(v, 4), low);
    const __m512i bytes = _mm512_add_epi8(_mm512_shuffle_epi8(table, _mm512_and_si512(v, low)), _mm512_shuffle_epi8(table, high));
    if (sizeof(FC_T) == 8)
        return (FC_IVEC)_mm512_sad_epu8(bytes, zero);
    return (FC_IVEC)_mm512_madd_epi16(_mm512_maddubs_epi16(bytes, _mm512_set1_epi8(1)), _mm512_set1_epi16(1));
#else
    const FC_INT ones = (FC_INT)(~(uint64_t)0 / 255);
    x -= (FC_IVEC)((FC_IVEC)(x >> 1) & (ones * 0x55));
    x = (x & (ones * 0x33)) + ((x >> 2) & (ones * 0x33));
    x = (x + (x >> 4)) & (ones * 0x0f);
    x += x >> 8;
    x += x >> 16;
    if (sizeof(FC_T) == 8)
        x += x >> (4 * sizeof(FC_T));
    return x & 0xff;
#endif
}

/* Stores a vector to an aligned address, past the caches where the machine can. */
FC_INLINE void FC_N(stream)(FC_T *p, FC_VEC v)
{
#if defined(__AVX512F__)
    _mm512_stream_si512((__m512i *)p, (__m512i)v);
#elif defined(__AVX2__)
    _mm256_stream_si256((__m256i *)p, (__m256i)v);
#elif defined(__x86_64__)
    _mm_stream_si128((__m128i *)p, (__m128i)v);
#else
    *(FC_VEC *)p = v;
#endif
}

FC_INLINE void FC_N(stream_end)(void)
{
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

#else

/* The least and greatest of two vectors of any integer, of those widths that the instruction set knows. */
#define FC_EXTREME_OF(prefix, which, cast, widest)                                                       \
    switch ((FC_T)-1 < 1 ? -(int)sizeof(FC_T) : (int)sizeof(FC_T)) {                                     \
    case 1: return (FC_VEC)prefix##_##which##_epu8((cast)a, (cast)b);                                    \
    case 2: return (FC_VEC)prefix##_##which##_epu16((cast)a, (cast)b);                                   \
    case 4: return (FC_VEC)prefix##_##which##_epu32((cast)a, (cast)b);                                   \
    case -1: return (FC_VEC)prefix##_##which##_epi8((cast)a, (cast)b);                                   \
    case -2: return (FC_VEC)prefix##_##which##_epi16((cast)a, (cast)b);                                  \
    case -4: return (FC_VEC)prefix##_##which##_epi32((cast)a, (cast)b);                                  \
        widest                                                                                           \
    }

FC_INLINE FC_VEC FC_N(min)(FC_VEC a, FC_VEC b)
{
#if defined(__AVX512BW__)
    FC_EXTREME_OF(_mm512, min, __m512i, case 8 : return (FC_VEC)_mm512_min_epu64((__m512i)a, (__m512i)b);
                  default : return (FC_VEC)_mm512_min_epi64((__m512i)a, (__m512i)b);)
#elif defined(__AVX2__)
    FC_EXTREME_OF(_mm256, min, __m256i, )
#elif defined(__SSE4_1__)
    FC_EXTREME_OF(_mm, min, __m128i, )
#endif
    const __typeof__(a < b) less = a < b;
    return (FC_VEC)(((__typeof__(less))a & less) | ((__typeof__(less))b & ~less));
}

FC_INLINE FC_VEC FC_N(max)(FC_VEC a, FC_VEC b)
{
#if defined(__AVX512BW__)
    FC_EXTREME_OF(_mm512, max, __m512i, case 8 : return (FC_VEC)_mm512_max_epu64((__m512i)a, (__m512i)b);
                  default : return (FC_VEC)_mm512_max_epi64((__m512i)a, (__m512i)b);)
#elif defined(__AVX2__)
    FC_EXTREME_OF(_mm256, max, __m256i, )
#elif defined(__SSE4_1__)
    FC_EXTREME_OF(_mm, max, __m128i, )
#endif
    const __typeof__(a < b) less = a < b;
    return (FC_VEC)(((__typeof__(less))b & less) | ((__typeof__(less))a & ~less));
}

#undef FC_EXTREME_OF

#endif

/* ---- wide numbers for sums: doubles of reals, 32 bits of integers of up to 16, 64 bits of the others ---- */

#undef FC_SUM_T
#undef FC_WVEC
#define FC_SUM_T FC_N(sum_t)
#define FC_WVEC FC_N(wide_vec)
#ifndef FC_INTEGER_TYPE
typedef double FC_SUM_T;
#else
typedef __typeof__(__builtin_choose_expr(sizeof(FC_T) <= 2, (uint32_t)0, (uint64_t)0)) FC_SUM_T;
#endif
typedef FC_SUM_T FC_WVEC __attribute__((vector_size(FC_VEC_BYTES), may_alias, aligned(sizeof(FC_SUM_T))));

/* As many elements as a register holds wide ones. */
FC_INLINE FC_WVEC FC_N(load_wide)(const FC_T *p)
{
    if (sizeof(FC_T) == sizeof(FC_SUM_T))
        return *(const FC_WVEC *)p;
#ifndef FC_INTEGER_TYPE
#if defined(__AVX512F__)
    return (FC_WVEC)_mm512_cvtps_pd(_mm256_loadu_ps((const float *)p));
#elif defined(__AVX2__)
    return (FC_WVEC)_mm256_cvtps_pd(_mm_loadu_ps((const float *)p));
#elif defined(__x86_64__)
    return (FC_WVEC)_mm_cvtps_pd(_mm_castpd_ps(_mm_load_sd((const double *)p)));
#endif
#else
    switch (2 * (int)sizeof(FC_T) + ((FC_T)-1 < 1)) {
#if defined(__AVX512F__)
    case 2: return (FC_WVEC)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
    case 3: return (FC_WVEC)_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p));
    case 4: return (FC_WVEC)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    case 5: return (FC_WVEC)_mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)p));
    case 8: return (FC_WVEC)_mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)p));
    case 9: return (FC_WVEC)_mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)p));
#elif defined(__AVX2__)
    case 2: return (FC_WVEC)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
    case 3: return (FC_WVEC)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p));
    case 4: return (FC_WVEC)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    case 5: return (FC_WVEC)_mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)p));
    case 8: return (FC_WVEC)_mm256_cvtepu32_epi64(_mm_loadu_si128((const __m128i *)p));
    case 9: return (FC_WVEC)_mm256_cvtepi32_epi64(_mm_loadu_si128((const __m128i *)p));
#elif defined(__SSE4_1__)
    case 2: return (FC_WVEC)_mm_cvtepu8_epi32(_mm_loadu_si32(p));
    case 3: return (FC_WVEC)_mm_cvtepi8_epi32(_mm_loadu_si32(p));
    case 4: return (FC_WVEC)_mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)p));
    case 5: return (FC_WVEC)_mm_cvtepi16_epi32(_mm_loadl_epi64((const __m128i *)p));
    case 8: return (FC_WVEC)_mm_cvtepu32_epi64(_mm_loadl_epi64((const __m128i *)p));
    case 9: return (FC_WVEC)_mm_cvtepi32_epi64(_mm_loadl_epi64((const __m128i *)p));
#endif
    }
#endif
    FC_WVEC wide = {0};
    for (int i = 0; i < (int)(FC_VEC_BYTES / sizeof(FC_SUM_T)); i++)
        wide[i] = (FC_SUM_T)p[i];
    return wide;
}
