/* Fills one part of one table: the kernels of FC_STEM.h for the real types, or for the integers with FC_INTEGER_TYPE, on
 * the instruction set FC_ISA whose flags the including isa_*.c is compiled with. setup.py compiles that file once for each
 * part, defines these names, and dispatch.c calls what results: `fc_<part>_<isa>`. */
#include "kernels.h"

#define FC_QUOTE_(x) #x
#define FC_QUOTE(x) FC_QUOTE_(x)
#define FC_HEADER FC_QUOTE(FC_STEM.h)

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

void FC_FILL(FC_PART, FC_ISA)(fc_kernels *table);
void FC_FILL(FC_PART, FC_ISA)(fc_kernels *table)
{
#ifndef FC_INTEGER_TYPE
    fill_f32(table);
    fill_f64(table);
#else
    fill_u8(table);
    fill_i8(table);
    fill_u16(table);
    fill_i16(table);
    fill_u32(table);
    fill_i32(table);
    fill_u64(table);
    fill_i64(table);
#endif
}
