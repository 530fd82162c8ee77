"""What the drivers call, and the constants that faces name (through table.pyx); kernels/distance/table.h has the contracts."""
from libc.stddef cimport ptrdiff_t


cdef extern from "distance/table.h" nogil:
    cpdef enum:
        FC_SQUARE, FC_CITYBLOCK, FC_CHEBYSHEV, FC_CANBERRA, FC_BRAYCURTIS, FC_HAMMING, FC_CUBE, FC_QUARTIC, FC_HALVES, FC_POWER,
        FC_JENSEN, FC_DICE, FC_DISCORDANT, FC_PRODUCT, FC_BITS, FC_WORDS, FC_FORM

    cpdef enum:
        FC_AS_IS, FC_ROOT, FC_PTH_ROOT, FC_RATIO, FC_SHARE, FC_COSINE, FC_ENTROPY, FC_DICE_RATIO, FC_HAMMING_BITS, FC_JACCARD,
        FC_DICE_BITS, FC_ROGERSTANIMOTO, FC_RUSSELLRAO, FC_SOKALSNEATH, FC_YULE

    cpdef enum:
        FC_PLAIN, FC_FINITE, FC_SIZES, FC_POSITIVE, FC_KNOWN, FC_UNIT, FC_CENTRED, FC_SHARES, FC_MAPPED, FC_BESIDE, FC_NONZERO,
        FC_PACKED_BITS

    cpdef enum:
        FC_PULL_SQUARE, FC_PULL_ROOT, FC_PULL_CITYBLOCK, FC_PULL_CHEBYSHEV, FC_PULL_POWER, FC_PULL_CANBERRA, FC_PULL_BRAYCURTIS,
        FC_PULL_COSINE, FC_PULL_JENSEN, FC_PULL_WORDS, FC_PULL_SIZES

    enum:
        FC_POINT_CHAIN, FC_POINT_ROWS, FC_POINT_PIECE, FC_MEASURES, FC_PASS_SUMS, FC_PASS_LARGEST, FC_PASS_AGAIN

    int fc_prepared_numbers(int prepare)
    bint fc_reads_in_place(int prepare)

    ctypedef struct fc_points:
        void *dst
        void *stats
        const char *src
        ptrdiff_t row_step, col_step, begin, rows, d, first, count, width
        int kind, prepare, measured
        const double *w
        const double *matrix
        double weight
        double *wide
        double *measures
        void *row

    ctypedef struct fc_pairs:
        const void *a
        const void *b
        const void *w
        const void *a_stats
        const void *b_stats
        ptrdiff_t a_row, a_col, count
        int metric, ending, rows, vectors, first, last
        int pass_ "pass"
        double p, n, factor
        void *sums
        void *second_sums
        void *largest
        void *careful
        ptrdiff_t lost
        void *dst
        ptrdiff_t dst_step, dst_fall

    ctypedef struct fc_cancelled:
        const fc_pairs *tile
        const fc_points *a
        const fc_points *b
        ptrdiff_t columns, at, length
        void *differences
        double *mapped

    ctypedef struct fc_unpacked:
        const void *a
        const void *b
        void *out
        ptrdiff_t a_step, b_step, out_step, m, n, d
        int metric, ending

    ctypedef struct fc_emit:
        const void *src
        ptrdiff_t src_step, rows, columns
        char *out
        ptrdiff_t out_row, out_col
        int kind, stream

    ctypedef struct fc_heap:
        void *distances
        ptrdiff_t *indices
        ptrdiff_t held, k, todo
        int kind

    ctypedef struct fc_pull:
        const void *a
        const void *b
        const void *w
        const void *distances
        void *g
        void *sizes
        ptrdiff_t b_step, n, length
        int kind
        double p
        void *sum

    ctypedef struct fc_unprepare:
        double *total
        const char *x
        ptrdiff_t x_step, d
        int kind, prepare
        const double *w
        const double *matrix
        double factor
        double *wide
        void *out

    ctypedef struct fc_distance_kernels:
        int vectors
        void (*points)(const fc_points *) noexcept nogil
        int (*pairs)(const fc_pairs *) noexcept nogil
        int (*cancelled)(fc_cancelled *) noexcept nogil
        int (*unpacked)(const fc_unpacked *) noexcept nogil
        void (*emit)(const fc_emit *) noexcept nogil
        void (*heap_add)(fc_heap *, const void *distances, ptrdiff_t count, ptrdiff_t first_index) noexcept nogil
        void (*heap_sort)(fc_heap *, ptrdiff_t steps) noexcept nogil
        void (*pull)(const fc_pull *) noexcept nogil
        void (*add_wide)(double *into, const void *from_, ptrdiff_t count) noexcept nogil
        void (*unprepare)(const fc_unprepare *) noexcept nogil

    ctypedef struct fc_distance:
        fc_distance_kernels real[2]
