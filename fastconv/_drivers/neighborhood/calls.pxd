"""The cells of windows in the order in which functions of the user see them. Next hop: calls.pyx."""
from fastconv._drivers.common cimport idx
from fastconv._drivers.neighborhood.engine cimport Lines


cdef struct Run:                 # cells that lie next to each other on a line, and follow each other in C order of the footprint
    idx line                     # of the region, for output 0
    idx first, cells

cdef Run *runs_of(const Lines *p, geometry, idx *count) except NULL   # from PyMem_RawCalloc
cdef void copy_apart(char *dst, const char *src, idx count, idx step, idx item) noexcept nogil
