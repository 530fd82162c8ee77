cimport numpy as cnp

from fastconv._drivers.common cimport idx
from fastconv._drivers.conv.plan cimport Plan


cdef struct Blocks:              # how a call is cut, by the shapes of one image and the filters alone
    idx lh, lw                   # points of a block
    idx th, tw                   # taps of a part of the filters, at most
    idx parts_h, parts_w         # parts of the filters
    idx oh, ow                   # outputs of a block, at most
    idx tile_h, tile_w           # and of its tiles
    idx rows, cols               # blocks of an image


cdef struct Counts:              # of what a call takes
    double steps, products, inputs, outputs


cdef class Spectra:
    cdef object owner            # of the memory
    cdef object bounds_owner
    cdef object isa
    cdef Blocks blocks           # for which they were made
    cdef char *w                 # of each group, filter and term, or NULL where there are too many to be kept
    cdef double *bounds          # of each group: see bounds_size


cdef Counts count(const Plan *p, const Blocks *b) noexcept
cdef Blocks cut(const Plan *p, double *cost) noexcept
cdef Spectra transform_spectra(const Plan *p, const Blocks *blocks, workers)
cdef object compute_blocks(const Plan *p, Spectra spectra, object todo, double units, workers)
cdef object pairs_with_many(const Plan *p, const Blocks *b, cnp.ndarray bad)
