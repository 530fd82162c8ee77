"""The cells of windows in the order in which functions of the user see them. Next hop: calls.pyx."""
cimport numpy as cnp

from fastconv._drivers.common cimport idx
from fastconv._drivers.neighborhood.engine cimport Block, Lines, Reducer
from fastconv._drivers.neighborhood.table cimport fc_line, fc_neighborhood


cdef struct Run:                 # cells that lie next to each other on a line, and follow each other in C order of the footprint
    idx line                     # of the region, for output 0
    idx first, cells

cdef Run *runs_of(const Lines *p, geometry, idx *count) except NULL   # from PyMem_RawCalloc
cdef void copy_apart(char *dst, const char *src, idx count, idx step, idx item) noexcept nogil
cdef void gather_windows(const fc_neighborhood *k, char *dst, idx pitch, const fc_line *lines, bint presence, const Run *runs,
                         idx count, idx first, idx pixels, idx step, idx item) noexcept nogil
cdef void aim(const Lines *p, Reducer *r, cnp.ndarray out) except *


cdef class Loaded:
    cdef Block block
    cdef char *memory
    cdef char *at                # from a cache line on
