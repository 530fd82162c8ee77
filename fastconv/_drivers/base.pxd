"""What the drivers call; kernels/base/table.h has the contracts."""
from libc.stddef cimport ptrdiff_t


cdef extern from "base/table.h" nogil:
    enum:
        FC_F16, FC_F32, FC_F64, FC_SWAPPED, FC_CHAIN, FC_GROUP, FC_MAX_LANES, FC_U8, FC_TRUTH, FC_NEAREST_WHOLE,
        FC_KINDS, FC_DOT_VECTORS, FC_I8, FC_U16, FC_I16, FC_U32, FC_I32, FC_U64, FC_I64, FC_CONSTANT, FC_NEAREST, FC_REFLECT,
        FC_MIRROR, FC_WRAP, FC_IGNORE, FC_SUMS_16, FC_SUMS_16_DOT, FC_SUMS_32, FC_SUMS_64, FC_SINGLES, FC_COUPLES, FC_TWINS, FC_REALS,
        FC_COLUMNS, FC_BLOCKS

    ptrdiff_t fc_boundary(ptrdiff_t i, ptrdiff_t n, int mode)

    ctypedef struct fc_piece:
        ptrdiff_t offset, length, ends

    ctypedef struct fc_ahead:
        const char *at
        ptrdiff_t row_lines, skip, left, count, each

    ctypedef struct fc_tile:
        const void *a
        const void *b
        const fc_piece *pieces
        void *keep
        ptrdiff_t b_step
        fc_ahead *ahead
        ptrdiff_t count, step, chain
        int rows, vectors, last, split, columns
        void **c
        void *out
        ptrdiff_t out_step
        const void *bias

    ctypedef struct fc_panel:
        void *dst
        const char *src
        ptrdiff_t fh_step, fw_step, c_step, k_step
        ptrdiff_t fw, c, first, count, columns, width
        int kind, split, form, odd, words
        ptrdiff_t half, halves

    ctypedef struct fc_store:
        const void *c
        ptrdiff_t c_row, c_col
        ptrdiff_t rows, columns
        char *out
        ptrdiff_t out_row, out_col
        const void *bias
        int activation, kind

    ctypedef struct fc_base_kernels:
        int lanes
        int vectors
        int rows[5]
        void (*tile)(const fc_tile *) noexcept nogil
        void (*panel)(const fc_panel *) noexcept nogil
        void (*store)(const fc_store *) noexcept nogil
        void (*add)(void *into, const void *from_, ptrdiff_t count) noexcept nogil
        void (*transpose)(void *into, ptrdiff_t into_step, const void *from_, ptrdiff_t from_step, ptrdiff_t rows,
                          ptrdiff_t columns) noexcept nogil
        void (*prefetch)(const char *src, ptrdiff_t rows, ptrdiff_t step, ptrdiff_t bytes) noexcept nogil
        double (*sum)(const void *x, ptrdiff_t count) noexcept nogil
        double (*fma_chain)(ptrdiff_t steps, double *flops) noexcept nogil

    ctypedef struct fc_base:
        fc_base_kernels real[2]
