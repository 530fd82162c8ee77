"""Driver of the named reductions other than ranks, mode and entropy: picks a kernel of kernels/neighborhood.h for each and
walks the output lines of a block. The engine (_lines.pyx) loads the blocks and shares them out."""
from cpython.mem cimport PyMem_RawCalloc

cimport numpy as cnp

from fastconv._kernels cimport (
    FC_F32,
    FC_F64,
    FC_I64,
    FC_LINE_HOLES,
    FC_LINE_NAN,
    FC_NEAR_ALL,
    FC_NEAR_ANY,
    FC_NEAR_COUNT,
    FC_NEAR_MAX,
    FC_NEAR_MEAN,
    FC_NEAR_MIN,
    FC_NEAR_PROD,
    FC_NEAR_RANGE,
    FC_NEAR_STD,
    FC_NEAR_SUM,
    FC_NEAR_VAR,
    FC_OP_MAX,
    FC_OP_MIN,
    FC_OP_NAN,
    FC_U8,
    fc_columns,
    fc_elements,
    fc_near,
    fc_row,
)
from fastconv._lines cimport Block, Lines, Pass, Reducer, dense_count, idx, locate, out_lines, put

import numpy as np

cnp.import_array()

_CODES = {
    "min": FC_NEAR_MIN, "max": FC_NEAR_MAX, "range": FC_NEAR_RANGE, "sum": FC_NEAR_SUM, "prod": FC_NEAR_PROD,
    "mean": FC_NEAR_MEAN, "var": FC_NEAR_VAR, "std": FC_NEAR_STD, "count": FC_NEAR_COUNT, "any": FC_NEAR_ANY,
    "all": FC_NEAR_ALL,
}
NAMES = tuple(_CODES)


cdef struct Near:
    int reduction
    double ddof
    int source                   # kind of the kernel's results


cdef inline const fc_elements *elements(const Lines *p) noexcept nogil:
    return &p.k.elements[7 + p.native if p.native < FC_U8 else p.native - FC_U8]


cdef inline idx round_up(idx bytes_) noexcept nogil:
    return (bytes_ + 63) // 64 * 64


cdef inline idx span(const Lines *p, const Block *b, int a) noexcept nogil:
    """Region positions of a block on an axis."""
    return (b.count[a] - 1) * p.step[a] + p.w[a]


def parameter(name, values):
    """The parameter of a named reduction: ddof, for var and std."""
    if name not in ("var", "std"):
        if values:
            raise ValueError(f"reduction {name!r} takes no parameter, got {values!r}")
        return 0.0
    if len(values) > 1:
        raise ValueError(f"reduction {name!r} takes one parameter, ddof, got {values!r}")
    try:
        return float(values[0]) if values else 0.0
    except (TypeError, ValueError):
        raise TypeError(f"reduction {name!r} takes a real number ddof, got {values[0]!r}") from None


def result_dtype(name, parameter, dtype, geometry):
    """The dtype of a reduction's result for elements of `dtype`, in native byte order."""
    if name in ("any", "all"):
        return np.dtype(bool)
    if name == "count":
        return np.dtype(np.int64)
    if name in ("min", "max") or dtype.kind == "f":
        return dtype
    if name == "range":
        return np.dtype(f"u{dtype.itemsize}") if dtype.kind == "i" else dtype
    if name in ("sum", "prod"):
        return np.dtype(np.int32 if dtype.kind != "b" and dtype.itemsize < 4 else np.int64)
    return np.dtype(np.float64)


cdef void reduce_plain(const Lines *p, const Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """Any window, any mask, any NaN."""
    cdef const Near *own = <const Near *>r.own
    cdef fc_near q
    cdef idx i
    cdef char *out
    q.run_line, q.run_start, q.run_length, q.runs, q.cells = p.run_line, p.run_start, p.run_length, p.runs, p.cells
    q.n, q.reduction, q.ddof, q.holes = dense_count(p, b), own.reduction, own.ddof, b.flags & FC_LINE_HOLES
    q.out = scratch
    for i in range(out_lines(p, b)):
        q.lines = b.line + locate(p, b, r, i, &out)
        elements(p).near(&q)
        put(p, b, r, out, scratch, own.source)


# ---- boxes: columns first, axis by axis, then rows ----

cdef idx fold_scratch(const Lines *p) noexcept nogil:
    """Bytes for fold_columns: two tables of lines, and the results along every axis that has a window."""
    cdef idx size = round_up(2 * p.lines * sizeof(void *)), lines = p.lines
    cdef int a
    for a in range(p.ndim - 1):
        lines = lines // p.r[a] * p.b[a]
        if p.w[a] > 1:
            size += lines * p.pitch
    return size


cdef const void **fold_columns(const Lines *p, const Block *b, char *scratch, int op) noexcept nogil:
    """Reduces the lines of a block along all axes but the last; returns the table of its output lines."""
    cdef void **rows = <void **>scratch
    cdef void **out = rows + p.lines
    cdef char *memory = scratch + round_up(2 * p.lines * sizeof(void *))
    cdef int a, last = p.ndim - 1
    cdef idx lines = 1, outer = 1, inner, i, j, o, rest, line, size, count, at
    cdef fc_columns q
    for a in range(last):
        lines *= span(p, b, a)
    for i in range(lines):
        rest, line = i, 0
        for a in range(last - 1, -1, -1):
            size = span(p, b, a)
            line += rest % size * p.stride[a]
            rest //= size
        rows[i] = b.line[line].at
    q.n, q.op = span(p, b, last), op
    inner = lines
    for a in range(last):
        size, count = span(p, b, a), b.count[a]
        inner //= size
        q.window, q.step = p.w[a], inner
        if p.w[a] > 1 or p.step[a] > 1:
            for i in range(outer):
                for j in range(inner):
                    for o in range(count):
                        at = (i * count + o) * inner + j
                        out[at] = memory + at * p.pitch if p.w[a] > 1 else rows[(i * size + o * p.step[a]) * inner + j]
                    q.rows, q.out, q.count = <const void **>rows + i * size * inner + j, out + i * count * inner + j, count
                    if p.w[a] > 1 and p.step[a] == 1:
                        elements(p).columns(&q)
                    elif p.w[a] > 1:
                        q.count = 1
                        for o in range(count):
                            elements(p).columns(&q)
                            q.rows += p.step[a] * inner
                            q.out += inner
            memory += (outer * count * inner) * p.pitch if p.w[a] > 1 else 0
            rows, out = out, rows
        outer *= count
    return <const void **>rows


cdef inline bint writes_through(const Lines *p, const Reducer *r, char *out, int source) noexcept nogil:
    """Whether a kernel can write its results where they belong."""
    cdef int last = p.ndim - 1
    return r.out_kind == source and r.os[last] == p.item and p.step[last] == 1 and <size_t>out % p.item == 0


cdef void fold_box(const Lines *p, const Block *b, const Reducer *r, char *scratch, int op) noexcept nogil:
    """Least or greatest of a box."""
    cdef char *spare = scratch
    cdef char *line = scratch + p.pitch
    cdef const void **rows = fold_columns(p, b, scratch + 2 * p.pitch, op)
    cdef fc_row q
    cdef idx i
    cdef char *out
    q.window, q.n, q.op, q.spare = p.w[p.ndim - 1], dense_count(p, b), op, spare
    for i in range(out_lines(p, b)):
        locate(p, b, r, i, &out)
        q.src = rows[i]
        q.out = line
        if writes_through(p, r, out, p.native):
            q.out = out
        elements(p).row(&q)
        if q.out == line:
            put(p, b, r, out, line, p.native)


cdef void reduce_extreme(const Lines *p, const Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """min and max of a box."""
    cdef const Near *own = <const Near *>r.own
    cdef int op = FC_OP_MAX if own.reduction == FC_NEAR_MAX else FC_OP_MIN
    if b.flags & FC_LINE_HOLES:
        reduce_plain(p, b, r, scratch)
        return
    if b.flags & FC_LINE_NAN:
        op |= FC_OP_NAN
    fold_box(p, b, r, scratch, op)


cdef void reduce_range(const Lines *p, const Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """max - min of a box."""
    cdef const Near *own = <const Near *>r.own
    cdef int nan = FC_OP_NAN if b.flags & FC_LINE_NAN else 0
    cdef const void **least
    cdef const void **greatest
    cdef char *tables = scratch + 3 * p.pitch
    cdef fc_row q
    cdef idx i
    cdef char *out
    if b.flags & FC_LINE_HOLES:
        reduce_plain(p, b, r, scratch)
        return
    least = fold_columns(p, b, tables, nan | FC_OP_MIN)
    greatest = fold_columns(p, b, tables + fold_scratch(p), nan | FC_OP_MAX)
    q.window, q.n, q.spare = p.w[p.ndim - 1], dense_count(p, b), scratch
    for i in range(out_lines(p, b)):
        locate(p, b, r, i, &out)
        q.src, q.out, q.op = least[i], scratch + p.pitch, nan | FC_OP_MIN
        elements(p).row(&q)
        q.src, q.out, q.op = greatest[i], scratch + 2 * p.pitch, nan | FC_OP_MAX
        elements(p).row(&q)
        elements(p).subtract(scratch + p.pitch, scratch + 2 * p.pitch, q.n)
        put(p, b, r, out, scratch + p.pitch, own.source)


def add(Pass pass_, name, double ddof, cnp.ndarray out):
    """Adds a named reduction to a pass."""
    cdef const Lines *p = &pass_.p
    cdef Near *own = <Near *>PyMem_RawCalloc(1, sizeof(Near))
    if own == NULL:
        raise MemoryError()
    own.reduction, own.ddof = _CODES[name], ddof
    if own.reduction <= FC_NEAR_RANGE:
        own.source = p.native
        if own.reduction == FC_NEAR_RANGE and p.native >= FC_U8:
            own.source = p.native & ~1
    elif own.reduction <= FC_NEAR_PROD:
        own.source = FC_I64 if p.native >= FC_U8 else FC_F64
    elif own.reduction == FC_NEAR_COUNT:
        own.source = FC_I64
    elif own.reduction >= FC_NEAR_ANY:
        own.source = FC_U8
    else:
        own.source = FC_F64
    # Scratch for the plain way, which blocks with holes take whatever the reduction.
    cdef idx scratch = 8 * p.r[p.ndim - 1] + 64
    if not p.box or p.cells == 1:
        pass_.add(reduce_plain, own, scratch, out, <double>p.cells)
    elif own.reduction in (FC_NEAR_MIN, FC_NEAR_MAX):
        pass_.add(reduce_extreme, own, max(scratch, 2 * p.pitch + fold_scratch(p)), out, 8)
    elif own.reduction == FC_NEAR_RANGE:
        pass_.add(reduce_range, own, max(scratch, 3 * p.pitch + 2 * fold_scratch(p)), out, 16)
    else:
        pass_.add(reduce_plain, own, scratch, out, <double>p.cells)
