"""Sums of boxes, for names.pyx. Next hop: sums.pyx."""
from fastconv._drivers.common cimport idx
from fastconv._drivers.neighborhood.engine cimport Block, Lines, Reducer
from fastconv._drivers.neighborhood.plain cimport Named

cdef idx sums_scratch(const Lines *p, const Named *own) noexcept nogil
cdef void reduce_sums(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil
cdef void reduce_cut_means(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil
