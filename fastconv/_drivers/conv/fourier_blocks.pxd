from fastconv._drivers.common cimport idx
from fastconv._drivers.conv.plan cimport Plan

cdef enum:
    FILTERS = 4                  # whose products are formed together, at most
    MOST_PAIRS = 4               # likewise pairs of blocks that share filters


cdef struct Blocks:              # how a call is cut, by the shapes of one image and the filters alone
    idx lh, lw                   # points of a block
    idx th, tw                   # taps of a part of the filters, at most
    idx parts_h, parts_w         # parts of the filters
    idx oh, ow                   # outputs of a block, at most
    idx tile_h, tile_w           # and of its tiles
    idx rows, cols               # blocks of an image


cdef struct Counts:              # of what a call takes
    double steps, products, inputs, outputs


cdef inline idx terms_of(const Plan *p, const Blocks *b) noexcept nogil:
    return b.parts_h * b.parts_w * p.cg


# Planes and their rows are a vector longer than they need be, since a power of two apart they would share sets of the cache.
cdef inline idx plane_step(const Plan *p, const Blocks *b) noexcept nogil:
    return b.lw + p.base.lanes


cdef inline idx plane_size(const Plan *p, const Blocks *b) noexcept nogil:
    return b.lh * plane_step(p, b) + p.base.lanes


cdef inline idx spectrum_step(const Plan *p, const Blocks *b) noexcept nogil:
    return b.lh + p.base.lanes


cdef inline idx spectrum_size(const Plan *p, const Blocks *b) noexcept nogil:
    return b.lw * spectrum_step(p, b) + p.base.lanes


cdef inline idx spectrum_bytes(const Plan *p, const Blocks *b) noexcept nogil:
    return 2 * spectrum_size(p, b) * p.item


cdef double bank_bytes(const Plan *p, const Blocks *b) noexcept
cdef bint keeps_bank(const Plan *p, const Blocks *b) noexcept
cdef bint keeps(const Plan *p, const Blocks *b) noexcept
cdef idx pairs_together(const Plan *p, const Blocks *b, idx pairs) noexcept
cdef idx filters_together(const Plan *p, const Blocks *b, idx pairs) noexcept
cdef double cost_of(const Plan *p, const Blocks *b) noexcept
cdef Counts count(const Plan *p, const Blocks *b) noexcept
cdef Blocks cut(const Plan *p, double *cost) noexcept
