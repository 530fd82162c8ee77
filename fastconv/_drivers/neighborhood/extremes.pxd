"""Least and greatest, for names.pyx. Next hop: extremes.pyx."""
from fastconv._drivers.common cimport idx
from fastconv._drivers.neighborhood.engine cimport Block, Lines, Reducer
from fastconv._drivers.neighborhood.plain cimport Named

cdef idx TABLE_BYTES             # of a block's spans, beside which other lines stay in the second-level cache

cdef idx extreme_scratch(const Lines *p) noexcept nogil
cdef void reduce_extremes(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil
cdef void list_levels(const Lines *p, Named *own) noexcept nogil
cdef idx stacks_scratch(const Lines *p) noexcept nogil
cdef idx runs_scratch(const Lines *p, const Named *own) noexcept nogil
cdef void reduce_runs(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil
cdef bint in_bands(const Lines *p, const Named *own) noexcept nogil
cdef idx bands_scratch(const Lines *p, const Named *own, int sides) noexcept nogil
cdef void reduce_bands(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil
