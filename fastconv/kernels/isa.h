/* Fills one table: every kernel for float and double, compiled with the flags of the isa_*.c that includes this.
 * FC_NAME is the public name of the instruction set, FC_TABLE the symbol of its table. */
#include "kernels.h"

#define FC_T float
#define FC_SUFFIX f32
#include "simd.h"
#include "elements.h"
#include "tile.h"
#include "conv.h"
#include "contraction.h"
#include "powers.h"
#include "points.h"
#include "distance.h"
#include "nearest.h"
#include "distance_grad.h"
#include "limits.h"
#include "lines.h"
#include "neighborhood.h"
#undef FC_T
#undef FC_SUFFIX

#define FC_T double
#define FC_SUFFIX f64
#include "simd.h"
#include "elements.h"
#include "tile.h"
#include "conv.h"
#include "contraction.h"
#include "powers.h"
#include "points.h"
#include "distance.h"
#include "nearest.h"
#include "distance_grad.h"
#include "limits.h"
#include "neighborhood.h"
#undef FC_T
#undef FC_SUFFIX

#define FC_INTEGER_TYPE
#define FC_T uint8_t
#define FC_SUFFIX u8
#include "simd.h"
#include "neighborhood.h"
#undef FC_T
#undef FC_SUFFIX

#define FC_T int8_t
#define FC_SUFFIX i8
#include "simd.h"
#include "neighborhood.h"
#undef FC_T
#undef FC_SUFFIX

#define FC_T uint16_t
#define FC_SUFFIX u16
#include "simd.h"
#include "neighborhood.h"
#undef FC_T
#undef FC_SUFFIX

#define FC_T int16_t
#define FC_SUFFIX i16
#include "simd.h"
#include "neighborhood.h"
#undef FC_T
#undef FC_SUFFIX

#define FC_T uint32_t
#define FC_SUFFIX u32
#include "simd.h"
#include "neighborhood.h"
#undef FC_T
#undef FC_SUFFIX

#define FC_T int32_t
#define FC_SUFFIX i32
#include "simd.h"
#include "neighborhood.h"
#undef FC_T
#undef FC_SUFFIX

#define FC_T uint64_t
#define FC_SUFFIX u64
#include "simd.h"
#include "neighborhood.h"
#undef FC_T
#undef FC_SUFFIX

#define FC_T int64_t
#define FC_SUFFIX i64
#include "simd.h"
#include "neighborhood.h"
#undef FC_T
#undef FC_SUFFIX

#undef FC_INTEGER_TYPE

#if FC_REGISTERS == 32
#define FC_BLOCKS                                                                                                   \
    .vectors = 4, .rows = {0, 12, 12, 8, 6}, .point_vectors = 4, .outputs = 8, .planar = {0, 8, 8, 8, 6, 5, 4, 3, 3}, .row_group = 4, \
    .row_vectors = 4, .pixels = 8
#else
#define FC_BLOCKS                                                                                                   \
    .vectors = 3, .rows = {0, 12, 6, 4, 0}, .point_vectors = 2, .outputs = 4, .planar = {0, 8, 4, 3, 2, 0, 0, 0, 0}, .row_group = 4,  \
    .row_vectors = 2, .pixels = 8
#endif

#define FC_REAL(suffix, type)                                                                                      \
    { .lanes = FC_VEC_BYTES / sizeof(type), FC_BLOCKS, .tile = tile_##suffix, .window = window_##suffix,            \
      .panel = panel_##suffix, .store = store_##suffix, .fold = fold_##suffix, .planar_taps = planar_##suffix,      \
      .plane_rows = rows_##suffix, .channel_taps = channels_##suffix,                \
      .khatri = khatri_##suffix, .transpose = transpose_##suffix, .adjust = adjust_##suffix, .widen = widen_##suffix, \
      .narrow = narrow_##suffix, .scale_rows = scale_rows_##suffix, .axpy = axpy_##suffix, .dot = dot_##suffix,     \
      .prefetch = prefetch_##suffix, .points = points_##suffix, .pairs = pairs_##suffix, .few = few_##suffix, \
      .emit = emit_##suffix, .nearest = nearest_##suffix, .nearest_sort = nearest_sort_##suffix, \
      .pull = pull_##suffix, .add_wide = add_wide_##suffix, .unprepare = unprepare_##suffix, .sum = sum_##suffix, .fma_chain = fma_chain_##suffix }

#define FC_ELEMENTS(suffix, type) { .bytes = sizeof(type), .near = near_##suffix, .columns = columns_##suffix,  \
                                    .row = row_##suffix, .subtract = subtract_##suffix }

const fc_kernels FC_TABLE = {.name = FC_NAME, .f32 = FC_REAL(f32, float), .f64 = FC_REAL(f64, double),
                             .elements = {FC_ELEMENTS(u8, uint8_t), FC_ELEMENTS(i8, int8_t), FC_ELEMENTS(u16, uint16_t),
                                          FC_ELEMENTS(i16, int16_t), FC_ELEMENTS(u32, uint32_t), FC_ELEMENTS(i32, int32_t),
                                          FC_ELEMENTS(u64, uint64_t), FC_ELEMENTS(i64, int64_t), FC_ELEMENTS(f32, float),
                                          FC_ELEMENTS(f64, double)},
                             .integer_axpy = fc_integer_axpy, .boundary = fc_boundary,
                             .fill_line = fc_fill_line, .put_line = fc_put_line};
