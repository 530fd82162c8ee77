/* The only file that knows vector registers. Included once for each real type, with FC_T and FC_SUFFIX defined.
 *
 * FC_VEC_BYTES and FC_REGISTERS follow from the flags that the including isa_*.c is compiled with (setup.py).
 */
#ifndef FC_SIMD_ONCE
#define FC_SIMD_ONCE

#include <stdint.h>
#include <string.h>

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

#define FC_INLINE static inline __attribute__((always_inline))
#define FC_JOIN_(a, b) a##_##b
#define FC_JOIN(a, b) FC_JOIN_(a, b)

#endif

#undef FC_N
#undef FC_VEC
#undef FC_UVEC
#undef FC_LANES
#define FC_N(name) FC_JOIN(name, FC_SUFFIX)
#define FC_VEC FC_N(vec)
#define FC_UVEC FC_N(uvec)
#define FC_LANES ((int)(FC_VEC_BYTES / sizeof(FC_T)))

typedef FC_T FC_VEC __attribute__((vector_size(FC_VEC_BYTES), may_alias));
typedef FC_T FC_UVEC __attribute__((vector_size(FC_VEC_BYTES), may_alias, aligned(sizeof(FC_T))));

FC_INLINE FC_VEC FC_N(splat)(FC_T x) { return x - (FC_VEC){0}; }
FC_INLINE FC_VEC FC_N(load)(const FC_T *p) { return *(const FC_UVEC *)p; }
FC_INLINE void FC_N(put)(FC_T *p, FC_VEC v) { *(FC_UVEC *)p = v; }
FC_INLINE void FC_N(sum_into)(FC_T *p, FC_VEC v, int accumulate)
{
    if (accumulate)
        v += FC_N(load)(p);
    FC_N(put)(p, v);
}
