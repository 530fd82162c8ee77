# cython: language_level=3
"""Which kernel table runs, and on how many threads. The Python face is runtime.py."""
import time

from cython.parallel cimport prange
from libc.stddef cimport ptrdiff_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

cimport numpy as cnp

from fastconv._kernels cimport fc_kernels, fc_real, fc_table

cdef extern from * nogil:
    """
    #ifdef _OPENMP
    #include <omp.h>
    static int fc_omp_limit(void) { return omp_get_max_threads(); }
    static int fc_omp_version(void) { return _OPENMP; }
    #else
    static int fc_omp_limit(void) { return 1; }
    static int fc_omp_version(void) { return 0; }
    #endif

    /* libgomp hangs in a forked child that inherits a team of threads, so such a child computes serially. */
    static int fc_forked = 0;
    #ifdef _WIN32
    static int fc_watch_forks(void) { return 0; }
    #else
    #include <pthread.h>
    static void fc_note_fork(void) { fc_forked = 1; }
    static int fc_watch_forks(void) { return pthread_atfork(NULL, NULL, fc_note_fork); }
    #endif

    #if defined(__VERSION__) && defined(__clang__)
    #define FC_COMPILER __VERSION__
    #elif defined(__VERSION__)
    #define FC_COMPILER "GCC " __VERSION__
    #else
    #define FC_COMPILER "unknown"
    #endif
    """
    int fc_omp_limit()
    int fc_omp_version()
    int fc_forked
    int fc_watch_forks()
    const char *FC_COMPILER

cdef extern from "Python.h":
    int PyErr_CheckSignals()     # leaves the exception of a handler as it is

cdef double LOOK_SECONDS = 0.05

# Below this many multiply-adds a team costs more than it saves (waking it takes 2 to 10 microseconds).
cdef ptrdiff_t SERIAL_WORK = 400_000

cdef const fc_kernels *_table = NULL
_limit = None  # set by runtime.py: the number of threads when workers is None


cdef const fc_kernels *table() noexcept nogil:
    return _table


cdef int team(object workers, double work) except -1:
    """Threads for a call of `work` multiply-adds: all or one, nothing in between."""
    if fc_forked:
        return 1
    if workers is not None:
        return workers if fc_omp_version() else 1
    if work < SERIAL_WORK or not fc_omp_version():
        return 1
    return _limit()


cdef void look(Watch *watch) noexcept with gil:
    if PyErr_CheckSignals() < 0:
        watch.stop = 1


cdef double now() noexcept nogil:
    cdef timespec time_
    clock_gettime(CLOCK_MONOTONIC, &time_)
    return time_.tv_sec + 1e-9 * time_.tv_nsec


cdef bint stopped(Watch *watch, bint calling) noexcept nogil:
    """Whether a call must end; every LOOK_SECONDS its calling thread looks for signals, in the middle of its work."""
    cdef double time_
    if calling and not watch.stop:
        time_ = now()
        if time_ > watch.next:
            if watch.next > 0:
                look(watch)
            watch.next = time_ + LOOK_SECONDS
    return watch.stop


# ---- seams ----

_seams = {}                      # name: Seam
_memories = []                   # functions that forget plans of earlier calls


cdef class Seam:
    """A constant of a driver, by its address, or of a face, by the names of its module."""
    cdef ptrdiff_t *at
    cdef dict names
    cdef str name

    def read(self):
        return self.names[self.name] if self.at == NULL else self.at[0]

    def write(self, ptrdiff_t value):
        if self.at == NULL:
            self.names[self.name] = value
        else:
            self.at[0] = value


cdef int seam(str name, ptrdiff_t *at) except -1:
    """Makes the constant of a driver known as `name`, "stem.NAME"."""
    cdef Seam one = Seam()
    one.at = at
    if name in _seams:
        raise ImportError(f"two seams are named {name}")
    _seams[name] = one
    return 0


def face_seams(str stem, dict names, *which):
    """Makes constants of a face known as "stem.NAME": `names` are the globals of its module."""
    cdef Seam one
    for name in which:
        one = Seam()
        one.names, one.name = names, name
        if f"{stem}.{name}" in _seams:
            raise ImportError(f"two seams are named {stem}.{name}")
        _seams[f"{stem}.{name}"] = one


def remembers(forget):
    """Makes known a function that forgets the plans of earlier calls, for a seam that changes makes them stale."""
    _memories.append(forget)


def seams():
    return {name: one.read() for name, one in _seams.items()}


def set_seams(dict values):
    for name, value in values.items():
        _seams[name].write(value)
    for forget in _memories:
        forget()


def available():
    """Names of the instruction sets that this build has and this machine runs, best first."""
    names = []
    cdef int i = 0
    while fc_table(i) != NULL:
        names.append(fc_table(i).name.decode())
        i += 1
    return names


def select(str name):
    """Makes the named table the one that runs."""
    global _table
    names = available()
    if name not in names:
        raise ValueError(f"isa must be one of {names}, got {name!r}")
    _table = fc_table(names.index(name))


def selected():
    return _table.name.decode()


def set_limit(function):
    global _limit
    _limit = function


def openmp_limit():
    """The live OpenMP limit of the calling thread, 1 without OpenMP or in a forked child."""
    return 1 if fc_forked else fc_omp_limit()


def openmp_version():
    """The date of the OpenMP standard the build follows, 0 without OpenMP."""
    return fc_omp_version()


def address(cnp.ndarray array):
    """Where an array's first element lies: array.ctypes.data at a tenth of its time."""
    return <size_t>cnp.PyArray_DATA(array)


def forked():
    return bool(fc_forked)


def compiler():
    return FC_COMPILER.decode()


cdef const fc_real *_real(str dtype) except NULL:
    if dtype == "float32":
        return &_table.f32
    if dtype == "float64":
        return &_table.f64
    raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}")


def fma_rate(str dtype, double seconds=0.05, int workers=1):
    """GFLOP/s of independent FMA chains held in registers, on `workers` threads: the limit of any kernel."""
    cdef const fc_real *k = _real(dtype)
    cdef double flops = 0, spent, best = 0
    cdef double[64] each
    cdef double[64] sums
    cdef int t, n = min(workers, 64)
    end = time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        if n == 1:
            sums[0] = k.fma_chain(200_000, &each[0])
        else:
            for t in prange(n, nogil=True, num_threads=n, schedule="static"):
                sums[t] = k.fma_chain(200_000, &each[t])
        now = time.perf_counter()
        flops = 0
        for t in range(n):
            flops += each[t]
        best = max(best, flops / (now - start) / 1e9)
        if now > end:
            return best


cdef double _touch(const fc_real *k, char *at, Py_ssize_t size, bint write) noexcept nogil:
    if write:
        memset(at, 1, size)
        return 0
    return k.sum(at, size // 8)


cdef double _memory_rate(double seconds, int workers, bint write) except -1:
    cdef Py_ssize_t size = 256 << 20
    cdef int t, n = min(workers, 64)
    cdef Py_ssize_t part = size // n // 64 * 64
    cdef double[64] sums
    cdef double best = 0
    cdef char *buffer = <char *>malloc(size)
    if buffer == NULL:
        raise MemoryError()
    memset(buffer, 1, size)
    end = time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        if n == 1:
            sums[0] = _touch(&_table.f64, buffer, part, write)
        else:
            for t in prange(n, nogil=True, num_threads=n, schedule="static"):
                sums[t] = _touch(&_table.f64, buffer + t * part, part, write)
        now = time.perf_counter()
        best = max(best, n * part / (now - start) / 1e9)
        if now > end:
            free(buffer)
            return best


def read_rate(double seconds=0.2, int workers=1):
    """GB/s of reading 256 MiB, on `workers` threads."""
    return _memory_rate(seconds, workers, False)


def write_rate(double seconds=0.2, int workers=1):
    """GB/s of writing 256 MiB, on `workers` threads."""
    return _memory_rate(seconds, workers, True)


if fc_watch_forks() != 0:
    raise ImportError("fastconv could not register its fork handler (pthread_atfork)")
seam("runtime.SERIAL_WORK", &SERIAL_WORK)
