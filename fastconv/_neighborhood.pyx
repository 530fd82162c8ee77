"""Driver of the named reductions other than ranks, mode and entropy: picks a kernel of kernels/neighborhood.h for each and
walks the output lines of a block. The engine (_lines.pyx) loads the blocks and shares them out."""
from cpython.mem cimport PyMem_RawCalloc

cimport numpy as cnp

from fastconv._kernels cimport (
    FC_F32,
    FC_F64,
    FC_I64,
    FC_LINE_HOLES,
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
    FC_U8,
    fc_elements,
    fc_near,
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
    pass_.add(reduce_plain, own, 8 * p.r[p.ndim - 1] + 64, out, <double>p.cells)
