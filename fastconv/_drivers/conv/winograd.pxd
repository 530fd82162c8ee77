cimport numpy as cnp

from fastconv._drivers.common cimport idx
from fastconv._drivers.conv.plan cimport Plan


cdef class Bank:
    cdef object owner            # of the memory
    cdef object isa
    cdef idx groups, cg, kg, item
    cdef const char *u           # panels of each group: points x channels x filters
    cdef const char *bounds      # of each group, see bounds_size
    cdef const char *shares      # of each panel: channels x filters, see fc_winograd_bounds,
    cdef const char *scales      # and of each filter


cdef bint serves(const Plan *p) noexcept
cdef bint many_channels(const Plan *p) noexcept
cdef bint pays(const Plan *p) noexcept
cdef Bank transform_filters(Plan *p, workers)
cdef object compute_tiles(const Plan *p, Bank bank, workers)
