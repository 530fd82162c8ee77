cimport numpy as cnp

from fastconv._drivers.conv.fourier_blocks cimport Blocks
from fastconv._drivers.conv.plan cimport Plan


cdef class Spectra:
    cdef object owner            # of the memory
    cdef object bounds_owner
    cdef object isa
    cdef Blocks blocks           # for which they were made
    cdef char *w                 # of each group, filter and term, or NULL where there are too many to be kept
    cdef double *bounds          # of each group: see bounds_size


cdef Spectra transform_spectra(const Plan *p, const Blocks *blocks, workers)
cdef object compute_blocks(const Plan *p, Spectra spectra, object todo, double units, workers)
cdef object pairs_with_many(const Plan *p, const Blocks *b, cnp.ndarray bad)
