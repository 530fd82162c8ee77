from fastconv._kernels cimport fc_kernels

cdef const fc_kernels *table() noexcept nogil
cdef int team(object workers, double work) except -1
