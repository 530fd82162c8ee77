# cython: language_level=3
"""Which kernel table runs, and on how many threads. The Python face is runtime/__init__.py."""
import time

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cython.parallel cimport prange
from libc.stddef cimport ptrdiff_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

cimport numpy as cnp

from fastconv._drivers.base cimport fc_base_kernels
from fastconv._drivers.common cimport round_up
from fastconv._drivers.table cimport fc_fill_tables, fc_kernels, fc_table

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

    /* libgomp ends the process where a thread cannot be started. So what a team needs beyond the last one of the calling
     * thread is tried first, and started before another thread of Python tries. */
    static size_t fc_stack = 0; /* of OpenMP's threads, 0: the default one */
    #if defined(_OPENMP) && !defined(_WIN32)
    #include <stdint.h>
    #include <stdlib.h>
    #include <sys/mman.h>
    #define FC_WORKSPACE ((size_t)4 << 20) /* what a thread may need beside its stack */
    #define FC_ROOM ((size_t)64 << 20)     /* what a call may need, and the stacks that the C library keeps for later */
    static pthread_mutex_t fc_starting = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
    static pthread_key_t fc_team;  /* of each thread, the size of its last team less 1; libgomp ends them together */
    static int fc_living, fc_most; /* threads in all teams, and how many there have been at once */

    static void fc_end_team(void *others)
    {
        if (fc_forked)
            return; /* the mutex may be held by a thread that the child does not have */
        pthread_mutex_lock(&fc_starting);
        fc_living -= (int)(intptr_t)others;
        pthread_mutex_unlock(&fc_starting);
    }

    static int fc_watch_teams(void) { return pthread_key_create(&fc_team, fc_end_team); }

    static void *fc_wait(void *gate)
    {
        pthread_mutex_lock(gate);
        pthread_mutex_unlock(gate);
        return NULL;
    }

    static void *fc_map(size_t size)
    {
        return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }

    /* How many of so many threads can be started: they are, unless there have been as many and memory alone can be short. */
    static int fc_try_threads(int count)
    {
        pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
        pthread_attr_t attributes;
        size_t each = fc_stack, size = FC_ROOM;
        int started = 0, known = fc_living + count <= fc_most;
        pthread_attr_init(&attributes);
        if (each == 0)
            pthread_attr_getstacksize(&attributes, &each);
        each += FC_WORKSPACE;
        void *room = known ? fc_map(size += count * each) : MAP_FAILED;
        if (room != MAP_FAILED)
            started = count;
        else if ((room = fc_map(size = FC_ROOM)) != MAP_FAILED) {
            pthread_t *threads = malloc(count * sizeof *threads);
            pthread_attr_setstacksize(&attributes, each);
            pthread_mutex_lock(&gate);
            while (threads != NULL && started < count && pthread_create(&threads[started], &attributes, fc_wait, &gate) == 0)
                started++;
            pthread_mutex_unlock(&gate);
            for (int i = 0; i < started; i++)
                pthread_join(threads[i], NULL);
            free(threads);
        }
        if (room != MAP_FAILED)
            munmap(room, size);
        pthread_attr_destroy(&attributes);
        return started;
    }

    static int fc_start_team(int size)
    {
        int others = size - 1, before = (int)(intptr_t)pthread_getspecific(fc_team);
        if (others == before)
            return size;
        pthread_mutex_lock(&fc_starting);
        if (others > before) {
            others = before + fc_try_threads(others - before);
            if (others) {
                #pragma omp parallel num_threads(others + 1)
                __asm__ volatile("");
            }
        }
        if (others) { /* a region lets go of threads that it does not need; one thread alone is none */
            fc_living += others - before;
            fc_most = fc_living > fc_most ? fc_living : fc_most;
            pthread_setspecific(fc_team, (void *)(intptr_t)others);
        }
        pthread_mutex_unlock(&fc_starting);
        return others + 1;
    }
    #else
    static int fc_watch_teams(void) { return 0; }
    static int fc_start_team(int size) { return size; }
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
    int fc_watch_teams()
    size_t fc_stack
    int fc_start_team(int size) nogil
    const char *FC_COMPILER
    const char *FASTCONV_VERSION     # setup.py defines it

cdef extern from "Python.h":
    int PyErr_CheckSignals()     # leaves the exception of a handler as it is

cdef double LOOK_SECONDS = 0.05

# Below this many multiply-adds a team costs more than it saves (waking it takes 2 to 10 microseconds).
cdef ptrdiff_t SERIAL_WORK = 400_000

cdef const fc_kernels *_table = NULL
VERSION = FASTCONV_VERSION.decode()     # of the package that this module was built in
_limit = None  # set by runtime/__init__.py: the number of threads when workers is None


cdef const fc_kernels *table() noexcept nogil:
    return _table


def table_address():
    """Where the current table of kernels is, for tests that call kernels without drivers."""
    return <size_t>_table


cdef int team(object workers, double work) except -1:
    """Threads for a call of `work` multiply-adds: all or one, nothing in between."""
    if fc_forked:
        return 1
    if workers is not None:
        return workers if fc_omp_version() else 1
    if work < SERIAL_WORK or not fc_omp_version():
        return 1
    return _limit()


cdef int crew(ptrdiff_t threads, ptrdiff_t tasks) except -1:
    """What a region runs on: so many threads, if there are as many tasks, or as many as the machine still gives."""
    cdef int size = <int>max(min(threads, tasks), 1)
    if size > 1:
        with nogil:
            size = fc_start_team(size)
    return size


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


# ---- a team at work ----

cdef ptrdiff_t SPARE_BYTES = 8 << 20       # most memory kept between calls
# Fresh pages would cost a small call a tenth of its time, so one workspace is kept. Under the GIL.
cdef char *_spare = NULL
cdef ptrdiff_t _spare_bytes = 0


cdef char *borrow(ptrdiff_t *size) except NULL:
    """Memory of at least `size` bytes, which becomes what it has."""
    global _spare
    cdef char *memory = _spare
    _spare = NULL
    if memory != NULL and _spare_bytes >= size[0]:
        size[0] = _spare_bytes
        return memory
    PyMem_RawFree(memory)
    memory = <char *>PyMem_RawMalloc(size[0])
    if memory == NULL:
        raise MemoryError(f"fastconv could not allocate {size[0]} bytes of workspace")
    return memory


cdef void give_back(char *memory, ptrdiff_t size) noexcept:
    global _spare, _spare_bytes
    if size > SPARE_BYTES or (_spare != NULL and _spare_bytes >= size):
        PyMem_RawFree(memory)
        return
    PyMem_RawFree(_spare)
    _spare, _spare_bytes = memory, size


cdef ptrdiff_t share(ptrdiff_t tasks, int thread, int threads) noexcept:
    """The first task of a thread. The calling one, which looks for signals, has no less to do than others."""
    return (tasks * thread + threads - 1) // threads


cdef int run_team(const void *plan, ptrdiff_t worker_bytes, ptrdiff_t memory_bytes, ptrdiff_t tasks, int threads, Step prepare,
                  Step run) except -1:
    cdef ptrdiff_t head = round_up(worker_bytes), step = head + round_up(memory_bytes), size = threads * step + 64
    cdef char *memory = borrow(&size)
    cdef char *at = memory + (-<size_t>memory) % 64
    cdef Worker *worker
    cdef Watch watch
    cdef int i
    watch.stop, watch.next = 0, 0
    for i in range(threads):
        worker = <Worker *>(at + i * step)
        memset(worker, 0, worker_bytes)
        worker.clock.watch, worker.clock.calling = &watch, i == 0
        worker.first, worker.last = share(tasks, i, threads), share(tasks, i + 1, threads)
        worker.memory = at + i * step + head
        prepare(plan, worker)
    if threads == 1:
        with nogil:
            run(plan, at)
    else:
        for i in prange(threads, nogil=True, num_threads=threads, schedule="static", chunksize=1):
            run(plan, at + i * step)
    give_back(memory, size)
    return -1 if watch.stop else 0


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


def set_stack(size_t size):
    """Tells how many bytes of stack OpenMP's threads have."""
    global fc_stack
    fc_stack = size


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


def dot():
    """Whether integers are multiplied and added in pairs by one instruction, which an instruction set may have or not."""
    return bool(_table.conv.dot)


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


cdef const fc_base_kernels *_real(str dtype) except NULL:
    if dtype == "float32":
        return &_table.base.real[0]
    if dtype == "float64":
        return &_table.base.real[1]
    raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}")


def fma_rate(str dtype, double seconds=0.05, int workers=1):
    """GFLOP/s of independent FMA chains held in registers, on `workers` threads: the limit of any kernel."""
    cdef const fc_base_kernels *k = _real(dtype)
    cdef double flops = 0, spent, best = 0
    cdef double[64] each
    cdef double[64] sums
    cdef int t, n = crew(team(workers, 0), 64)
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


cdef double _touch(const fc_base_kernels *k, char *at, Py_ssize_t size, bint write) noexcept nogil:
    if write:
        memset(at, 1, size)
        return 0
    return k.sum(at, size // 8)


cdef double _memory_rate(double seconds, int workers, bint write) except -1:
    cdef Py_ssize_t size = 256 << 20
    cdef int t, n = crew(team(workers, 0), 64)
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
            sums[0] = _touch(&_table.base.real[1], buffer, part, write)
        else:
            for t in prange(n, nogil=True, num_threads=n, schedule="static"):
                sums[t] = _touch(&_table.base.real[1], buffer + t * part, part, write)
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


fc_fill_tables()
if fc_watch_forks() != 0:
    raise ImportError("fastconv could not register its fork handler (pthread_atfork)")
if fc_watch_teams() != 0:
    raise ImportError("fastconv could not have a thread-specific key (pthread_key_create)")
seam("runtime.SERIAL_WORK", &SERIAL_WORK)
seam("runtime.SPARE_BYTES", &SPARE_BYTES)
