from libc.stddef cimport ptrdiff_t

from fastconv._drivers.table cimport fc_kernels

cdef const fc_kernels *table() noexcept nogil
cdef int team(object workers, double work) except -1         # threads that a call may use
cdef int crew(ptrdiff_t threads, ptrdiff_t tasks) except -1   # those that a region has; asked before every one

cdef struct Watch:               # of one call
    volatile int stop            # a signal's handler has raised: all threads return, and the call fails
    double next                  # when the calling thread looks for pending signals again

cdef struct Clock:               # of one of its threads
    Watch *watch
    bint calling
    double work                  # since the last look

cdef double now() noexcept nogil                            # seconds of a clock that never goes back
cdef bint stopped(Watch *watch, bint calling) noexcept nogil

# What the struct of a stem for one thread of a call begins with.
cdef struct Worker:
    Clock clock
    ptrdiff_t first, last        # its tasks: first is the next one
    char *memory                 # its workspace, from a cache line on, whose content is undefined

ctypedef void (*Step)(const void *plan, void *worker) noexcept nogil

# Runs a call on a team of `threads`: each thread has a Worker of worker_bytes, zeros beyond its head, and `memory_bytes` of
# workspace; `prepare` is called for each of them before the region begins, and `run` in it.
cdef int run_team(const void *plan, ptrdiff_t worker_bytes, ptrdiff_t memory_bytes, ptrdiff_t tasks, int threads, Step prepare,
                  Step run) except -1

cdef inline bint tick(Clock *clock, double work) noexcept nogil:
    """Notes so many multiply-adds; returns whether the call must end."""
    clock.work += work
    if clock.work < 1e7:
        return False
    clock.work = 0
    return stopped(clock.watch, clock.calling)

# A seam: a constant at which a driver or a face changes its way. It is a variable of its module, named once by seam() at import,
# so that tests can make it small (runtime.use_seams).
cdef int seam(str name, ptrdiff_t *at) except -1
