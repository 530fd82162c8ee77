from fastconv._kernels cimport fc_kernels

cdef const fc_kernels *table() noexcept nogil
cdef int team(object workers, double work) except -1

cdef struct Watch:               # of one call
    volatile int stop            # a signal's handler has raised: all threads return, and the call fails
    double next                  # when the calling thread looks for pending signals again

cdef struct Clock:               # of one of its threads
    Watch *watch
    bint calling
    double work                  # since the last look

cdef bint stopped(Watch *watch, bint calling) noexcept nogil

cdef inline bint tick(Clock *clock, double work) noexcept nogil:
    """Notes so many multiply-adds; returns whether the call must end."""
    clock.work += work
    if clock.work < 1e7:
        return False
    clock.work = 0
    return stopped(clock.watch, clock.calling)
