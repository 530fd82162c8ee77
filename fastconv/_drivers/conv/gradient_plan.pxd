"""The plan of one gradient with respect to filters: what gradient_plan.pyx decides and gradients.pyx carries out."""
from fastconv._drivers.common cimport idx
from fastconv._drivers.conv.plan cimport Plan

cdef enum Lanes:
    FILTERS, RUNS, CHANNELS      # what lanes run along; runs: channels of neighbouring taps


cdef struct Gradient:
    Plan p                       # of the images; `out` are the filters, and p.w_.. their steps
    Plan g                       # of the gradient, as images whose pixels are the outputs
    Lanes lanes
    bint x_in_place, g_in_place
    bint direct                  # sums go from registers to the filters
    # Blocks of pixels.
    idx images, rows, cols       # of a block, at most
    idx row_blocks, col_blocks, blocks, chains
    # Parts of the filters: so many rows, columns, channels and filters of each, which together make `parts`.
    idx fh, fw, c, k
    idx a_parts, b_parts, c_parts, k_parts, groups, parts
    idx sums, levels             # elements of the sums of a part, at most
    # Spans of blocks.
    idx span, spans
    char *partial                # their sums, where there are several
    bint adds                    # whether tasks add those up


cdef struct Part:                # of the filters, and where its operands are
    Plan p, g
    idx a0, b0, c0, k0, fh, fw, c, k
    idx group
    idx run, runs                # elements of a that lie side by side; how many of those a filter row has
    idx width                    # elements between pixels of the packed gradient
    const char *x                # operands of a block
    const char *y
    idx x_step, y_step
    idx count                    # of the runs of pixels


cdef idx share(idx size, idx parts, idx part, idx unit) noexcept nogil
cdef Part part_of(const Gradient *s, idx part) noexcept nogil
cdef void plan_gradient(Gradient *s, int threads) noexcept
