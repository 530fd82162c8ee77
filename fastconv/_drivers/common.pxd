"""What all drivers share: sizes in elements or bytes, and the kinds of elements that kernels read and write."""
from libc.stddef cimport ptrdiff_t

cimport numpy as cnp

from fastconv._drivers.base cimport FC_F16, FC_F32, FC_F64, FC_SWAPPED, FC_U8

ctypedef ptrdiff_t idx


cdef inline idx ceil_div(idx a, idx b) noexcept nogil:
    return (a + b - 1) // b


cdef inline idx round_up(idx a, idx b=64) noexcept nogil:     # a cache line
    return ceil_div(a, b) * b


cdef inline int kind_of(cnp.ndarray a) except -1:
    """The kind of the elements of an array of floats, integers or booleans."""
    cdef int size = cnp.PyArray_ITEMSIZE(a), kind
    if cnp.PyArray_ISFLOAT(a):
        kind = FC_F16 if size == 2 else FC_F32 if size == 4 else FC_F64
    else:
        kind = FC_U8 + 2 * (0 if size == 1 else 1 if size == 2 else 2 if size == 4 else 3) + cnp.PyArray_ISSIGNED(a)
    return kind if cnp.PyArray_ISNOTSWAPPED(a) else kind | FC_SWAPPED
