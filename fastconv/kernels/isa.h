/* Fills one part of one table: the kernels of FC_HEADER for the real types, or for the integers with FC_INTEGER_TYPE, or for sums
 * of integers with FC_SUM_TYPES (base/products.h), on the instruction set FC_ISA whose flags the including isa_*.c is compiled with. setup.py compiles that file once for each
 * part of parts.def, defines these names, and dispatch.c calls what results: `fc_<part>_<isa>`. */
#define FC_PASTE_(a, b, c, d) a##_##b##_##c##_##d
#define FC_PASTE(a, b, c, d) FC_PASTE_(a, b, c, d)

#ifndef FC_INTEGER_TYPE

#define FC_T float
#define FC_SUFFIX f32
#define FC_ELEMENT 8
#include FC_HEADER
#undef FC_T
#undef FC_SUFFIX
#undef FC_ELEMENT

#define FC_T double
#define FC_SUFFIX f64
#define FC_ELEMENT 9
#include FC_HEADER

#elif defined(FC_SUM_TYPES)

#define FC_T uint32_t
#define FC_SUFFIX s16
#define FC_SUM_KIND FC_SUMS_16
#include FC_HEADER
#undef FC_T
#undef FC_SUFFIX
#undef FC_SUM_KIND

#define FC_T uint32_t
#define FC_SUFFIX s16_dot
#define FC_SUM_KIND FC_SUMS_16_DOT
#include FC_HEADER
#undef FC_T
#undef FC_SUFFIX
#undef FC_SUM_KIND

#define FC_T uint64_t
#define FC_SUFFIX s32
#define FC_SUM_KIND FC_SUMS_32
#include FC_HEADER
#undef FC_T
#undef FC_SUFFIX
#undef FC_SUM_KIND

#define FC_T uint64_t
#define FC_SUFFIX s64
#define FC_SUM_KIND FC_SUMS_64
#include FC_HEADER

#else

#define FC_T uint8_t
#define FC_SUFFIX u8
#define FC_ELEMENT 0
#include FC_HEADER
#undef FC_T
#undef FC_SUFFIX
#undef FC_ELEMENT

#define FC_T int8_t
#define FC_SUFFIX i8
#define FC_ELEMENT 1
#include FC_HEADER
#undef FC_T
#undef FC_SUFFIX
#undef FC_ELEMENT

#define FC_T uint16_t
#define FC_SUFFIX u16
#define FC_ELEMENT 2
#include FC_HEADER
#undef FC_T
#undef FC_SUFFIX
#undef FC_ELEMENT

#define FC_T int16_t
#define FC_SUFFIX i16
#define FC_ELEMENT 3
#include FC_HEADER
#undef FC_T
#undef FC_SUFFIX
#undef FC_ELEMENT

#define FC_T uint32_t
#define FC_SUFFIX u32
#define FC_ELEMENT 4
#include FC_HEADER
#undef FC_T
#undef FC_SUFFIX
#undef FC_ELEMENT

#define FC_T int32_t
#define FC_SUFFIX i32
#define FC_ELEMENT 5
#include FC_HEADER
#undef FC_T
#undef FC_SUFFIX
#undef FC_ELEMENT

#define FC_T uint64_t
#define FC_SUFFIX u64
#define FC_ELEMENT 6
#include FC_HEADER
#undef FC_T
#undef FC_SUFFIX
#undef FC_ELEMENT

#define FC_T int64_t
#define FC_SUFFIX i64
#define FC_ELEMENT 7
#include FC_HEADER

#endif

#define FC_FILL_(part, isa) fc_##part##_##isa
#define FC_FILL(part, isa) FC_FILL_(part, isa)
#define FC_FILLER(suffix) FC_PASTE(FC_PART, fill, suffix, FC_ISA)
#define FC_OF_(stem) fc_##stem
#define FC_OF(stem) FC_OF_(stem)

void FC_FILL(FC_PART, FC_ISA)(FC_OF(FC_STEM) *table);
void FC_FILL(FC_PART, FC_ISA)(FC_OF(FC_STEM) *table)
{
#ifndef FC_INTEGER_TYPE
    FC_FILLER(f32)(table);
    FC_FILLER(f64)(table);
#elif defined(FC_SUM_TYPES)
    FC_FILLER(s16)(table);
    FC_FILLER(s16_dot)(table);
    FC_FILLER(s32)(table);
    FC_FILLER(s64)(table);
#else
    FC_FILLER(u8)(table);
    FC_FILLER(i8)(table);
    FC_FILLER(u16)(table);
    FC_FILLER(i16)(table);
    FC_FILLER(u32)(table);
    FC_FILLER(i32)(table);
    FC_FILLER(u64)(table);
    FC_FILLER(i64)(table);
#endif
}
