"""What the drivers call; kernels/conv/table.h has the contracts."""
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport uint64_t

from fastconv._drivers.base cimport fc_ahead, fc_base_kernels, fc_panel, fc_store, fc_tile


cdef extern from "conv/table.h" nogil:
    enum:
        FC_WINOGRAD_POINTS, FC_WINOGRAD_CHAIN, FC_FOURIER_LEAST, FC_FOURIER_MOST, FC_MOST_SUMS, FC_PLANAR_VECTORS, FC_LINEAR,
        FC_RELU, FC_RELU6, FC_SILU, FC_SIGMOID, FC_TANH

    int fc_rises(size_t n, int last)
    ptrdiff_t fc_chain_rows(ptrdiff_t fw)
    ptrdiff_t fc_plane_chains(ptrdiff_t rows, ptrdiff_t fw)

    ctypedef struct fc_window:
        void *dst
        ptrdiff_t dst_row, dst_col, dst_channel
        const char *src
        ptrdiff_t src_row, src_col, src_channel
        const ptrdiff_t *row_index
        const ptrdiff_t *col_index
        ptrdiff_t inside, inside_end, inside_gap
        ptrdiff_t rows, cols, channels, repeat
        int kind, words
        double fill
        uint64_t whole
        ptrdiff_t half, halves

    ctypedef struct fc_planar_taps:
        const void *src
        const void *w
        const ptrdiff_t *taps
        ptrdiff_t count, chain
        int outputs, vectors
        void *sums
        void *out
        ptrdiff_t out_step

    ctypedef struct fc_plane_rows:
        const void *src
        const void *w
        ptrdiff_t src_step, tap_step, fh, fw, chains
        int rows, vectors, last
        void *sums
        void *out
        ptrdiff_t out_step

    ctypedef struct fc_channel_taps:
        const void *src
        const void *w
        const ptrdiff_t *taps
        ptrdiff_t count, chain, step, w_step
        int pixels
        void *sums
        void *out
        ptrdiff_t out_step

    enum: FC_CHANNEL_ROWS, FC_CHANNEL_PIXELS
    ctypedef struct fc_channel_rows:
        const void *src
        const void *w
        ptrdiff_t pixels, row_step, step, w_step
        void *out
        ptrdiff_t out_row, out_step

    ctypedef struct fc_pixels:
        ptrdiff_t a, b, length, ends

    ctypedef struct fc_products:
        const void *a
        const void *b
        const fc_pixels *runs
        ptrdiff_t count, a_step, b_step, a_row, chain, out_step
        int rows, vectors, channelwise, last
        void **c
        void *out

    ctypedef struct fc_winograd_filters:
        const void *taps
        void *u
        void *sizes
        void *squares
        ptrdiff_t channels, width, point_step

    ctypedef struct fc_winograd_bounds:
        const void *squares
        void *shares
        void *scales
        void *energies
        void *least
        void *most
        ptrdiff_t channels, columns, width
        int first

    ctypedef struct fc_winograd_weights:
        const void *energies
        void *most
        void *weights
        ptrdiff_t channels
        double products

    ctypedef struct fc_winograd_input:
        const void *src
        const void *weights
        const void *most
        void *v
        void *squares
        ptrdiff_t row_step, col_step, tiles, channels, point_step, tile_step

    ctypedef struct fc_winograd_sizes:
        const void *src
        const void *least
        void *sizes
        ptrdiff_t pixels, col_step, channels

    ctypedef struct fc_winograd_benign:
        const void *sizes
        const void *squares
        void *least
        void *needs
        unsigned char *bad
        ptrdiff_t step, tiles, rows, cols

    ctypedef struct fc_winograd_windows:
        const void *src
        void *sums
        ptrdiff_t row_step, col_step, channels

    ctypedef struct fc_winograd_least:
        const void *sums
        const void *need
        void *least
        ptrdiff_t rows, cols, width
        int first

    ctypedef struct fc_winograd_output:
        const void *m
        const void *bias
        const void *scales
        void *out
        void *needs
        ptrdiff_t tiles, rows, cols, columns, point_step, tile_step, out_row, out_col
        double alike

    ctypedef struct fc_fourier:
        void *re
        void *im
        const void *roots
        ptrdiff_t step, n, columns
        int back

    ctypedef struct fc_fourier_products:
        const void *x
        const void *w
        void *y
        ptrdiff_t x_step, x_im, x_channel, x_pair, w_step, w_im, w_channel, w_filter, y_step, y_im, y_filter, y_pair
        ptrdiff_t rows, columns, channels, pairs
        int filters, add
        double scale

    ctypedef struct fc_fourier_sizes:
        const void *src
        void *low
        void *high
        double *squares
        double least, most
        ptrdiff_t step, rows, columns, cell

    ctypedef struct fc_fourier_windows:
        const void *src
        void *line
        void *sums
        ptrdiff_t rows, columns, count_down, count_across, taps_down, taps_across, step_down, step_across

    ctypedef struct fc_fourier_bounds:
        const double *sizes
        const double *norms
        double *least
        double *most
        double *peak
        ptrdiff_t channels, terms

    ctypedef struct fc_fourier_least:
        const double *squares
        const double *peak
        ptrdiff_t terms, points, additions
        double most, units

    ctypedef struct fc_fourier_mark:
        const void *sums
        unsigned char *bad
        double least
        ptrdiff_t columns, cell, rows, cols, row_stride, col_stride, tile_height, tile_width, tile_cols

    ctypedef struct fc_conv_kernels:
        int split
        int outputs
        int planar[9]
        int row_group, row_vectors
        int pixels
        void (*split_tile)(const fc_tile *) noexcept nogil
        void (*window)(const fc_window *) noexcept nogil
        void (*store)(const fc_store *) noexcept nogil
        void (*store_parts)(const fc_store *, ptrdiff_t part, int odd) noexcept nogil
        void (*offsets)(const fc_panel *, int inputs) noexcept nogil
        void (*planar_taps)(const fc_planar_taps *) noexcept nogil
        void (*plane_rows)(const fc_plane_rows *) noexcept nogil
        void (*channel_taps)(const fc_channel_taps *) noexcept nogil
        void (*products)(const fc_products *) noexcept nogil
        void (*channel_rows)(const fc_channel_rows *) noexcept nogil
        void (*prefetch_ahead)(fc_ahead *ahead) noexcept nogil
        void (*turn)(void *into, ptrdiff_t into_step, const void *from_, ptrdiff_t from_step, ptrdiff_t rows,
                     ptrdiff_t columns) noexcept nogil
        void (*winograd_filters)(const fc_winograd_filters *) noexcept nogil
        void (*winograd_bounds)(const fc_winograd_bounds *) noexcept nogil
        void (*winograd_weights)(const fc_winograd_weights *) noexcept nogil
        void (*winograd_input)(const fc_winograd_input *) noexcept nogil
        void (*winograd_sizes)(const fc_winograd_sizes *) noexcept nogil
        ptrdiff_t (*winograd_benign)(const fc_winograd_benign *) noexcept nogil
        void (*winograd_windows)(const fc_winograd_windows *) noexcept nogil
        int (*winograd_least)(const fc_winograd_least *) noexcept nogil
        void (*winograd_output)(const fc_winograd_output *) noexcept nogil
        void (*fourier)(const fc_fourier *) noexcept nogil
        void (*fourier_transpose)(void *into, ptrdiff_t into_step, const void *from_, ptrdiff_t from_step, ptrdiff_t rows,
                                  ptrdiff_t columns) noexcept nogil
        void (*fourier_products)(const fc_fourier_products *) noexcept nogil
        void (*fourier_sizes)(const fc_fourier_sizes *) noexcept nogil
        double (*fourier_windows)(const fc_fourier_windows *) noexcept nogil
        void (*fourier_norms)(const void *src, ptrdiff_t step, ptrdiff_t rows, ptrdiff_t columns, double *norm,
                              double *size) noexcept nogil
        void (*fourier_bounds)(const fc_fourier_bounds *) noexcept nogil
        double (*fourier_least)(const fc_fourier_least *) noexcept nogil
        ptrdiff_t (*fourier_mark)(const fc_fourier_mark *) noexcept nogil

    ctypedef struct fc_integer_kernels:
        fc_base_kernels base
        fc_conv_kernels conv

    ctypedef struct fc_conv:
        fc_conv_kernels real[2]
        fc_integer_kernels integer[4]
        int dot
