from fastconv._drivers.common cimport idx
from fastconv._drivers.conv.pack cimport Thread
from fastconv._drivers.conv.plan cimport Plan


cdef void depthwise_task(const Plan *p, Thread *t, idx task) noexcept nogil
