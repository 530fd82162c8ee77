"""Booleans as bits, for names.pyx. Next hop: bits.pyx."""
from fastconv._drivers.common cimport idx
from fastconv._drivers.neighborhood.engine cimport Block, Lines, Reducer
from fastconv._drivers.neighborhood.plain cimport Named

cdef idx bits_scratch(const Lines *p, const Named *own, int sides) noexcept nogil
cdef void list_terms(const Lines *p, Named *own) noexcept nogil
cdef void reduce_bits(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil
