"""The plan of one conv2d call: what plan.pyx decides and the ways (tiles.pyx, planes.pyx, depthwise.pyx) carry out."""
from libc.stdint cimport uint64_t

cimport numpy as cnp

from fastconv._drivers.base cimport fc_base_kernels, fc_piece
from fastconv._drivers.common cimport idx
from fastconv._drivers.conv.table cimport fc_conv_kernels

cdef enum:
    MAX_LEAD = 64
    MAX_LEVELS = 64


cdef enum Way:
    TILE, PLANES, DEPTHWISE


cdef struct Plan:
    const fc_base_kernels *base
    const fc_conv_kernels *k
    Way way
    idx item                     # bytes of a number that kernels compute with,
    idx x_item                   # and of one of x
    int integers                 # FC_I32 or FC_I64, the kind that kernels compute with; 0: real numbers
    # Arrays: shapes, byte strides, kinds of elements.
    int lead
    idx lead_shape[MAX_LEAD]
    idx lead_x[MAX_LEAD]
    idx lead_out[MAX_LEAD]
    idx images, height, width, ho, wo, groups, cg, kg
    const char *x
    const char *w
    char *out
    idx x_row, x_col, x_channel, w_fh, w_fw, w_c, w_k, out_row, out_col, out_k
    int x_kind, w_kind, out_kind
    # Complex numbers are computed as twice as many channels and filters, real and imaginary parts.
    int form                     # of filters: FC_REALS, or how complex ones become real
    bint x_pairs, out_pairs      # x_channel and out_k are from one complex number to the next, whose parts are two channels
    # FC_SUMS_16: cg counts words, which hold so many halves for a group; x_channel and w_c are from one word to the next.
    int words
    idx halves                   # 0: elements are no words
    idx x_half, w_half           # from the first half of a word to the second
    const char *bias
    int activation
    # Geometry of a window.
    idx fh, fw, sh, sw, dh, dw
    idx top, left                # inputs before the first of the array, or minus those that are skipped
    int mode                     # what lies outside an image: FC_CONSTANT, ..
    double cval, imaginary_cval
    uint64_t whole_cval          # that of integers
    bint in_place
    bint plane                   # PLANES with one filter on one plane at stride 1,
    bint ranged                  # so large that its rows come in ranges: per_range rows each
    bint transposed              # columns are computed as rows
    int split                    # TILE: terms that the lanes of a vector share (kernels/conv/split_tile.h), 1: none
    bint direct                  # results go from registers to `out`
    idx pixel_row, pixel_col     # window rows and columns between outputs
    idx tap_row, tap_col         # and between taps
    idx row_step, col_step       # elements between window rows and columns
    idx plane_step               # elements between planes (PLANES)
    idx window_size, index_rows, index_cols
    # The sum of the flat index (fh, fw, c): chains, whose sums are added level by level (kernels/base/table.h).
    idx terms, chain, chains, levels
    # TILE: chunks of chains, each a list of pieces; ranges of chunks.
    idx chunk, chunks, per_range, ranges
    idx tile_levels, block_levels  # levels that are empty at the end of each chunk, and at the end of each range
    idx *piece_start             # chunks + 1
    fc_piece *pieces
    idx *panel_rows              # rows of a packed panel for each chunk: a term, or a step of `split` terms
    idx *taps
    bint gathers                 # the window holds terms of one range, side by side for each output
    bint regular, fresh          # filters are evenly spaced rows; and the first tile can pack them
    # Tasks.
    idx block_rows, block_cols, task_rows, row_tasks, col_tasks, panels, slab, slabs, tasks
    idx panel_width, panel_size
    idx places                   # PLANES: tiles whose sums stay open between ranges
    idx scratch                  # results of a task, and sums of a level that stays open
    idx block_scratch            # sums of a level of one block


cdef int own_kind(const Plan *p) noexcept nogil
cdef void choose(Plan *p) noexcept
cdef void plan_window(Plan *p, idx rows, idx cols, idx channels) noexcept nogil
cdef void plan_writing(Plan *p) noexcept
cdef int plan(Plan *p, cnp.ndarray x, int threads) except -1
cdef void release(Plan *p) noexcept
