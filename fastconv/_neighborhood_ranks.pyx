"""Driver of median, percentile, rank, mode and entropy: lays out scratch memory and walks the output lines of a block with
the kernels of kernels/select.h. The engine (_lines.pyx) loads the blocks and shares them out."""
from cpython.mem cimport PyMem_RawCalloc
from libc.stdint cimport int64_t

cimport numpy as cnp

from fastconv._kernels cimport (
    FC_F32,
    FC_F64,
    FC_I32,
    FC_I64,
    FC_LINE_HOLES,
    FC_LINE_NAN,
    FC_NEAR_MAX,
    FC_SELECT_ROOM,
    FC_U8,
    fc_elements,
    fc_finish,
    fc_kernels,
    fc_near,
    fc_select,
    fc_tally,
)
from fastconv._lines cimport Block, Lines, Pass, Reducer, dense_count, idx, locate, out_lines, put

import operator

import numpy as np

cnp.import_array()

NAMES = ("median", "percentile", "rank", "mode", "entropy")


cdef struct Rank:
    double quantile              # negative: a rank
    idx rank
    bint pair                    # results may lie between two cells
    bint real                    # results are doubles
    bint mode
    bint entropy
    double scale                 # of the table of logarithms
    int64_t logs[1]              # as many as cells, and one


cdef struct Work:                # scratch memory of a thread
    const void **rows            # keys of each line of the region
    char *keys
    char *low
    char *high
    char *extreme
    char *out
    char *spare                  # the cells of a window
    double *share
    idx *count


cdef inline const fc_elements *elements(const fc_kernels *k, int kind) noexcept nogil:
    return &k.elements[7 + kind if kind < FC_U8 else kind - FC_U8]


cdef inline int key_kind(int kind) noexcept nogil:
    return FC_I32 if kind == FC_F32 else FC_I64 if kind == FC_F64 else kind


def _cells(geometry):
    """Cells of a window."""
    if geometry.cells is not None:
        return int(geometry.cells.sum())
    return int(np.prod(geometry.window, dtype=np.int64))


def _interpolates(name, parameter, cells, presence):
    """Whether a result may lie between two cells."""
    if name not in ("median", "percentile") or parameter[0] in (0.0, 1.0):
        return False
    return presence or (cells - 1) * parameter[0] % 1 != 0


def parameter(name, values):
    """The parameter of a named reduction: (quantile, 0), or (-1, rank)."""
    if name not in ("percentile", "rank"):
        if values:
            raise ValueError(f"reduction {name!r} takes no parameter, got {values!r}")
        return 0.5, 0
    if len(values) != 1:
        what = "q from 0 to 100" if name == "percentile" else "an integer"
        raise ValueError(f"reduction {name!r} must be a tuple ({name!r}, {what}), got {(name, *values)!r}")
    if name == "rank":
        try:
            return -1.0, operator.index(values[0])
        except TypeError:
            raise TypeError(f"the rank of a reduction must be an integer, got {values[0]!r}") from None
    try:
        percent = float(values[0])
    except (TypeError, ValueError):
        raise TypeError(f"the percentile of a reduction must be a real number, got {values[0]!r}") from None
    if not 0 <= percent <= 100:
        raise ValueError(f"the percentile of a reduction must be from 0 to 100, got {values[0]!r}")
    return percent / 100, 0


def result_dtype(name, parameter, dtype, geometry):
    """The dtype of a reduction's result for elements of `dtype`, in native byte order."""
    cells = _cells(geometry)
    if name == "rank" and not -cells <= parameter[1] < cells:
        raise ValueError(f"the rank of a reduction must be from {-cells} to {cells - 1} for a window of {cells} cells, "
                         f"got {parameter[1]}")
    if dtype.kind != "f" and (name == "entropy" or _interpolates(name, parameter, cells, geometry.presence)):
        return np.dtype(np.float64)
    return dtype


# ---- scratch memory ----

cdef inline char *take(char **at, idx size) noexcept nogil:
    """The next `size` bytes, in whole cache lines."""
    cdef char *start = at[0]
    at[0] += (size + 63) // 64 * 64
    return start


cdef idx lay_out(const Lines *p, const Rank *own, char *scratch, Work *w) noexcept nogil:
    """Fills in a thread's memory; returns its bytes."""
    cdef idx room = p.r[p.ndim - 1] + FC_SELECT_ROOM
    cdef char *at = scratch
    w.rows = <const void **>take(&at, p.lines * sizeof(void *))
    w.keys = take(&at, p.lines * p.pitch) if p.presence or p.native < FC_U8 else NULL
    w.low = take(&at, room * p.item)
    w.high = take(&at, room * p.item) if own.pair else NULL
    w.extreme = take(&at, room * p.item) if p.native < FC_U8 else NULL
    w.out = take(&at, room * 8)
    w.share = <double *>take(&at, room * sizeof(double))
    w.count = <idx *>take(&at, room * sizeof(idx))
    w.spare = take(&at, (p.cells + 1) * p.item) if own.mode or own.entropy else NULL
    return at - scratch


# ---- blocks ----

cdef void make_keys(const Lines *p, const Block *b, Work *w) noexcept nogil:
    """Keys of all lines of a block; of integers that all count those are the lines."""
    cdef idx i, rest, length = (b.count[p.ndim - 1] - 1) * p.step[p.ndim - 1] + p.w[p.ndim - 1]
    cdef bint holes = b.flags & FC_LINE_HOLES, loaded
    cdef int a
    for i in range(p.lines):
        w.rows[i] = b.line[i].at
        if w.keys == NULL or not (holes or p.native < FC_U8):
            continue
        loaded, rest = True, i
        for a in range(p.ndim - 2, -1, -1):
            loaded = loaded and rest % p.r[a] < (b.count[a] - 1) * p.step[a] + p.w[a]
            rest //= p.r[a]
        if loaded:
            w.rows[i] = w.keys + i * p.pitch
            elements(p.k, p.native).keys(w.keys + i * p.pitch, b.line[i].at, b.line[i].present if holes else NULL, length)


cdef const void *find_extreme(const Lines *p, const Block *b, const Work *w, idx line) noexcept nogil:
    """A line of results of which those with a NaN are NaN; NULL if the block has none."""
    cdef fc_near q
    if p.native >= FC_U8 or not b.flags & FC_LINE_NAN:
        return NULL
    q.lines, q.run_line, q.run_start, q.run_length = b.line + line, p.run_line, p.run_start, p.run_length
    q.runs, q.cells, q.n, q.reduction, q.holes = p.runs, p.cells, dense_count(p, b), FC_NEAR_MAX, b.flags & FC_LINE_HOLES
    q.ddof, q.out = 0, w.extreme
    elements(p.k, p.native).near(&q)
    return w.extreme


cdef void finish(const Lines *p, const Block *b, const Reducer *r, const Work *w, idx line, char *out) noexcept nogil:
    """Keys at w.low and w.high, or results at w.out, to the results of one line."""
    cdef const Rank *own = <const Rank *>r.own
    cdef fc_finish q
    q.n, q.real, q.out, q.share, q.count = dense_count(p, b), own.real or own.entropy, w.out, w.share, w.count
    q.low = NULL if own.entropy else w.low
    q.high = w.high
    if not own.entropy:
        elements(p.k, p.native).values(w.low, q.n)
    if w.high != NULL:
        elements(p.k, p.native).values(w.high, q.n)
    q.extreme = find_extreme(p, b, w, line)
    elements(p.k, p.native).finish(&q)
    put(p, b, r, out, w.out, FC_F64 if q.real else p.native)


cdef void reduce_select(const Lines *p, const Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """Any rank of any window."""
    cdef const Rank *own = <const Rank *>r.own
    cdef Work w
    cdef fc_select q
    cdef idx i, line
    cdef char *out
    lay_out(p, own, scratch, &w)
    make_keys(p, b, &w)
    q.run_line, q.run_start, q.run_length, q.runs, q.cells = p.run_line, p.run_start, p.run_length, p.runs, p.cells
    q.n, q.holes, q.quantile, q.rank = dense_count(p, b), b.flags & FC_LINE_HOLES, own.quantile, own.rank
    q.low, q.high, q.share, q.count = w.low, w.high, w.share, w.count
    for i in range(out_lines(p, b)):
        line = locate(p, b, r, i, &out)
        q.rows, q.lines = w.rows + line, b.line + line
        elements(p.k, key_kind(p.native)).select(&q)
        finish(p, b, r, &w, line, out)


cdef void reduce_tally(const Lines *p, const Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """mode and entropy of any window."""
    cdef const Rank *own = <const Rank *>r.own
    cdef Work w
    cdef fc_tally q
    cdef idx i, line
    cdef char *out
    lay_out(p, own, scratch, &w)
    make_keys(p, b, &w)
    q.run_line, q.run_start, q.run_length, q.runs = p.run_line, p.run_start, p.run_length, p.runs
    q.n, q.holes, q.zeros, q.spare = dense_count(p, b), b.flags & FC_LINE_HOLES, p.native < FC_U8, w.spare
    q.mode, q.entropy, q.logs, q.scale = w.low, <double *>w.out, own.logs if own.entropy else NULL, own.scale
    q.count = w.count
    for i in range(out_lines(p, b)):
        line = locate(p, b, r, i, &out)
        q.rows, q.lines = w.rows + line, b.line + line
        elements(p.k, key_kind(p.native)).tally(&q)
        finish(p, b, r, &w, line, out)


def _logarithms(cells):
    """round(c * log2(c) * scale) for c = 0 .. cells, and the scale: the power of 2 for which the last is below 2^62."""
    counts = np.arange(cells + 1)
    values = counts * np.log2(np.maximum(counts, 1))
    scale = 2.0 ** (62 - np.frexp(values[-1])[1])
    return np.rint(values * scale).astype(np.int64), scale


def add(Pass pass_, name, value, cnp.ndarray out):
    """Adds a named reduction to a pass."""
    cdef const Lines *p = &pass_.p
    cdef Work w
    table, scale = _logarithms(p.cells) if name == "entropy" else (np.zeros(1, np.int64), 0.0)
    cdef const int64_t[:] logs = table
    cdef idx i
    cdef Rank *own = <Rank *>PyMem_RawCalloc(1, sizeof(Rank) + logs.shape[0] * sizeof(int64_t))
    if own == NULL:
        raise MemoryError()
    own.quantile, own.rank = value
    own.mode, own.entropy = name == "mode", name == "entropy"
    own.pair = _interpolates(name, value, p.cells, p.presence)
    own.real = own.pair and p.native >= FC_U8
    own.scale = scale
    for i in range(logs.shape[0]):
        own.logs[i] = logs[i]
    pass_.add(reduce_tally if own.mode or own.entropy else reduce_select, own, lay_out(p, own, NULL, &w), out,
              <double>p.cells * p.item)
