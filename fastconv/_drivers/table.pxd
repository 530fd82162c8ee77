"""The table of kernels, a part for each stem. Only runtime.pyx needs it whole."""
from fastconv._drivers.base cimport fc_base
from fastconv._drivers.contraction.table cimport fc_contraction
from fastconv._drivers.conv.table cimport fc_conv
from fastconv._drivers.distance.table cimport fc_distance
from fastconv._drivers.neighborhood.table cimport fc_neighborhood


cdef extern from "table.h" nogil:
    ctypedef struct fc_kernels:
        const char *name
        fc_base base
        fc_conv conv
        fc_contraction contraction
        fc_distance distance
        fc_neighborhood neighborhood

    void fc_fill_tables() noexcept nogil
    const fc_kernels *fc_table(int i) noexcept nogil
