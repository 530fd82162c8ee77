"""What the drivers call; kernels/contraction/table.h has the contracts."""
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport uint64_t


cdef extern from "contraction/table.h" nogil:
    enum:
        FC_FEW_ROWS, FC_MAX_RUNS

    ctypedef struct fc_pair_run:
        ptrdiff_t x, y, length

    ctypedef struct fc_khatri_rao:
        void *dst
        const void *x
        const void *y
        ptrdiff_t x_step, y_step, m, width
        const fc_pair_run *runs
        ptrdiff_t count

    ctypedef struct fc_strided_tile:
        const void *a
        const void *b
        const void *ahead
        ptrdiff_t a_step, b_step, ahead_step, length
        int rows
        void *c

    ctypedef struct fc_few_rows:
        const void *at[3]
        ptrdiff_t rows[3]
        ptrdiff_t row[3]
        ptrdiff_t ahead[3]
        ptrdiff_t n
        void *sums

    ctypedef struct fc_contraction_kernels:
        int strided_rows, strided_vectors
        void (*khatri_rao)(const fc_khatri_rao *) noexcept nogil
        void (*few_rows)(const fc_few_rows *) noexcept nogil
        void (*strided_tile)(const fc_strided_tile *) noexcept nogil
        void (*center)(void *into, ptrdiff_t rows, ptrdiff_t count, ptrdiff_t step, const double *mean) noexcept nogil
        void (*weigh)(void *into, const void *from_, ptrdiff_t rows, ptrdiff_t count, ptrdiff_t step,
                      const void *weights) noexcept nogil
        void (*widen)(double *into, const void *from_, ptrdiff_t count, int accumulate) noexcept nogil
        void (*narrow)(void *into, const double *from_, ptrdiff_t count, double scale) noexcept nogil
        void (*add_scaled)(void *into, ptrdiff_t step, const void *from_, const void *weights, ptrdiff_t rows,
                           ptrdiff_t width) noexcept nogil
        void (*axpy)(void *c, const void *src, ptrdiff_t step, const void *w, ptrdiff_t rows, ptrdiff_t n, int accumulate,
                     void *spare) noexcept nogil
        void (*dot)(void *c, const void *src, ptrdiff_t step, const void *w, ptrdiff_t rows, ptrdiff_t n,
                    int accumulate) noexcept nogil

    ctypedef struct fc_contraction:
        fc_contraction_kernels real[2]
        void (*integer_axpy)(uint64_t *c, const char *src, ptrdiff_t step, ptrdiff_t n, uint64_t w, int kind) noexcept nogil
