/* Products of vectors, added to sums: what the loops of tiles and windows are made of. Included once for each type.
 *
 * Reals: one FMA, 16 products of float32 in a register of 512 bits. Sums of integers (FC_SUM_TYPES) are modulo 2^32 or 2^64,
 * whatever their order:
 * - FC_SUMS_16: two instructions for 32 products of 16 bits, vpmaddwd and vpaddd; -2^15 * -2^15, twice, is right modulo 2^32;
 * - FC_SUMS_16_DOT: one, vpdpwssd of AVX-512 VNNI, which x86-64-v4 does not promise: whoever fills the table asks the processor;
 * - FC_SUMS_32: two, vpmuldq and vpaddq, for 8 products;
 * - FC_SUMS_64: vpmullq, which is 3 on Intel, or the compiler's way where there is none.
 */

#ifdef FC_SUM_TYPES
/* Whether FC_SUMS_16_DOT is compiled, and runs on this machine. */
FC_SHARED int FC_N(has_dot)(void)
{
#if defined(__AVX512F__)
    return __builtin_cpu_supports("avx512vnni") != 0;
#else
    return 0;
#endif
}

/* The products of both halves of each lane, added. */
FC_INLINE FC_VEC FC_N(products_of_halves)(FC_VEC a, FC_VEC b)
{
#if defined(__AVX512BW__)
    return (FC_VEC)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (FC_VEC)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE4_1__)
    return (FC_VEC)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
    typedef int32_t words __attribute__((vector_size(FC_VEC_BYTES), may_alias));
    const words a0 = (words)(a << 16) >> 16, b0 = (words)(b << 16) >> 16, a1 = (words)a >> 16, b1 = (words)b >> 16;
    return (FC_VEC)a0 * (FC_VEC)b0 + (FC_VEC)a1 * (FC_VEC)b1;
#endif
}

/* Products of lanes that hold signed factors of 32 bits. */
FC_INLINE FC_VEC FC_N(products_of_words)(FC_VEC a, FC_VEC b)
{
#if defined(__AVX512F__)
    return (FC_VEC)_mm512_mul_epi32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (FC_VEC)_mm256_mul_epi32((__m256i)a, (__m256i)b);
#elif defined(__SSE4_1__)
    return (FC_VEC)_mm_mul_epi32((__m128i)a, (__m128i)b);
#else
    return a * b;
#endif
}
#endif

FC_INLINE FC_VEC FC_N(add_products)(FC_VEC sum, FC_VEC a, FC_VEC b)
{
#ifdef FC_SUM_TYPES
#if defined(__AVX512F__)
    if (FC_SUM_KIND == FC_SUMS_16_DOT) { /* not as an intrinsic, which compilers refuse without -mavx512vnni */
        __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
        return sum;
    }
#endif
    if (FC_SUM_KIND == FC_SUMS_16)
        return sum + FC_N(products_of_halves)(a, b);
    if (FC_SUM_KIND == FC_SUMS_32)
        return sum + FC_N(products_of_words)(a, b);
#endif
    return sum + a * b;
}
