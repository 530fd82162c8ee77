"""Driver of the named reductions other than ranks, mode and entropy: picks a way for each, and lets those of one list that
share their work go together. The engine (engine.pyx) loads the blocks and shares them out. Next hop: plain.pyx,
the plain way, then extremes.pyx, bits.pyx and sums.pyx.
"""
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawRealloc

cimport numpy as cnp

from fastconv._drivers.base cimport (
    FC_F16,
    FC_F32,
    FC_F64,
    FC_I32,
    FC_I64,
    FC_KINDS,
    FC_NEAREST_WHOLE,
    FC_TRUTH,
    FC_U64,
    FC_U8,
)
from fastconv._drivers.common cimport idx, round_up
from fastconv._drivers.neighborhood.engine cimport (
    IN_PLACE,
    IN_PLACE_BUT_CVAL,
    Block,
    Lines,
    Pass,
    Walk,
    Reducer,
    reduce_t,
    nothing_of,
    result_kind,
)
from fastconv._drivers.neighborhood.extremes cimport (
    TABLE_BYTES,
    bands_scratch,
    extreme_scratch,
    in_bands,
    list_levels,
    stacks_scratch,
    reduce_bands,
    reduce_extremes,
    reduce_runs,
    runs_scratch,
)
from fastconv._drivers.neighborhood.plain cimport (
    ALONE,
    EXTREMES,
    SQUARES,
    SUMS,
    BITS,
    Named,
    kind_bytes,
    level_of,
    plain_scratch,
    reduce_plain,
)
from fastconv._drivers.neighborhood.sums cimport reduce_cut_means, reduce_sums, sums_scratch
from fastconv._drivers.neighborhood.table cimport (
    FC_CUT_WINDOW,
    FC_MEAN_CELLS,
    FC_REDUCE_ALL,
    FC_REDUCE_ANY,
    FC_REDUCE_COUNT,
    FC_REDUCE_MAX,
    FC_REDUCE_MEAN,
    FC_REDUCE_MIN,
    FC_REDUCE_PROD,
    FC_REDUCE_RANGE,
    FC_REDUCE_STD,
    FC_REDUCE_SUM,
    FC_REDUCE_VAR,
)
from fastconv._drivers.neighborhood.bits cimport bits_scratch, list_terms, reduce_bits

from fastconv._drivers.neighborhood.boxes import Boxes

import numpy as np

cnp.import_array()

cdef enum:
    SAFE_HALVES = 42             # so many factors of 2^-24 .. 2^16 stay within a double's range

_CODES = {
    "min": FC_REDUCE_MIN, "max": FC_REDUCE_MAX, "range": FC_REDUCE_RANGE, "sum": FC_REDUCE_SUM, "prod": FC_REDUCE_PROD,
    "mean": FC_REDUCE_MEAN, "var": FC_REDUCE_VAR, "std": FC_REDUCE_STD, "count": FC_REDUCE_COUNT, "any": FC_REDUCE_ANY,
    "all": FC_REDUCE_ALL,
}
NAMES = tuple(_CODES)


def parameter(name, values):
    """The parameter of a named reduction: ddof, for var and std."""
    if name not in ("var", "std"):
        if values:
            raise ValueError(f"reduction {name!r} takes no parameter, got {values!r}")
        return 0.0
    if len(values) > 1:
        raise ValueError(f"reduction {name!r} takes one parameter, ddof, got {values!r}")
    try:
        if values and isinstance(values[0], (str, bytes)):
            raise TypeError
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


cdef void follow(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """The leader has done it."""


# ---- which way ----

cdef int group_of(const Lines *p, int reduction, int out_kind) noexcept:
    """What a reduction shares with its kind where nothing is missing."""
    cdef bint whole = p.native >= FC_U8
    # Sums of bytes and of 16 bits fit 31 bits in windows of this size; doubles hold those of 32 bits in windows of the other.
    cdef bint fits = not whole or p.item > 2 or p.cells < (<idx>1 << (23 if p.item == 1 else 15))
    cdef bint exact = not whole or p.item < 8 and p.cells <= 1 << 21
    # Bits go through all lines of a region at every step: for boxes bytes take less where sheets or most of the lines are shared.
    cdef idx outputs = 1
    cdef bint shared = False
    cdef int a
    for a in range(p.ndim - 1):
        outputs *= p.block[a]
        shared = shared or a < p.ndim - 2 and p.window[a] > 1
    shared = shared or p.lines > 4 * outputs
    if reduction <= FC_REDUCE_RANGE or reduction >= FC_REDUCE_ANY:
        if p.boolean:
            return EXTREMES if p.box and shared else BITS
        return EXTREMES if reduction <= FC_REDUCE_RANGE else BITS
    if p.box and reduction == FC_REDUCE_COUNT:
        return SUMS if p.cells < <idx>1 << 31 else ALONE
    if p.box and reduction == FC_REDUCE_SUM and (fits or FC_U8 <= out_kind < FC_TRUTH and kind_bytes(out_kind) <= 4):
        return SUMS
    if p.box and reduction == FC_REDUCE_MEAN and fits and (not whole or p.item < 8):
        return SUMS
    if p.box and reduction in (FC_REDUCE_MEAN, FC_REDUCE_VAR, FC_REDUCE_STD) and exact:
        return SQUARES
    return ALONE


cdef int kind_of_results(const Lines *p, const Named *own, int out_kind) noexcept:
    """The kind of line that the kernels of a group write."""
    if own.nonzero:
        return FC_I32
    if own.group == BITS:
        return FC_U8
    if own.reduction <= FC_REDUCE_MAX or own.reduction >= FC_REDUCE_ANY:
        return p.native
    if own.reduction == FC_REDUCE_RANGE:
        return p.native & ~1 if p.native >= FC_U8 else p.native
    if own.doubles:
        return FC_F32 if out_kind == FC_F32 else FC_F64
    if own.reduction == FC_REDUCE_SUM:
        return FC_I32 if p.item <= 2 else FC_I64
    return FC_U8 if p.native == FC_U8 and out_kind == FC_U8 and p.cells <= FC_MEAN_CELLS else FC_F64


cdef idx scratch_of(const Lines *p, const Named *own) noexcept:
    """Bytes of scratch memory of a leader; the plain way, which blocks with masked cells take, needs a line."""
    cdef idx sides = 2 if own.reduction == FC_REDUCE_RANGE or own.next else 1
    cdef idx plain = plain_scratch(p, own.group == SUMS or own.group == SQUARES)
    if own.group == ALONE:
        return plain
    if own.group == BITS:
        return bits_scratch(p, own, sides) + plain
    if own.group != EXTREMES:
        return max(plain, sums_scratch(p, own))
    if p.box:
        return max(plain, 4 * p.pitch + sides * extreme_scratch(p))
    if in_bands(p, own):
        return max(plain, bands_scratch(p, own, sides))
    return 64 + stacks_scratch(p) + max(plain, 2 * p.pitch + sides * runs_scratch(p, own))


cdef bint joins(const Lines *p, const Named *own, const Reducer *r) noexcept:
    """Whether a reduction can be computed with one of the pass, which may be another driver's."""
    cdef const Named *leader = <const Named *>r.own
    if (r.reduce != reduce_extremes and r.reduce != reduce_runs and r.reduce != reduce_bands and r.reduce != reduce_bits
            and r.reduce != reduce_sums):
        return False
    if own.nonzero or leader.nonzero or own.group == ALONE or leader.group == ALONE:
        return False
    # Doubles have sums of their own with squares.
    return own.group == leader.group or p.native == FC_F32 and own.group >= SUMS and leader.group >= SUMS


def width(names, geometry):
    """Bytes beside an element of a block that named reductions keep, for the engine's plan."""
    dtype, box, most = geometry.cval.dtype, geometry.cells is None, 0
    for name in names:
        if name in ("var", "std"):
            most = max(most, 24 if dtype == np.float64 else 16)
        elif name in ("sum", "mean") and box:
            most = max(most, 4 if dtype.kind in "bui" and dtype.itemsize < 4 else 8)
        elif name == "count":
            most = max(most, 4)
        elif name in ("min", "max", "range", "any", "all"):
            levels = 1 if box else int(geometry.window[len(geometry.window) - 1]).bit_length()
            if dtype.kind == "b" or name in ("any", "all"):
                most = max(most, 1 + levels // 4)
            elif not box and not _leaves_tables(geometry):
                most = max(most, dtype.itemsize * levels)
    return most


def _leaves_tables(geometry):
    """Whether the spans of a block of the least size would leave the second-level cache (reduce_bands)."""
    *rest, length = geometry.window
    return int(np.prod(rest)) * (length + 64) * geometry.cval.dtype.itemsize * (1 + int(length).bit_length()) > TABLE_BYTES


def fewest(names, geometry):
    """Rows that a block must have, so that spans that are not kept from one to the next are worth their cost."""
    extremes = geometry.cells is not None and geometry.cval.dtype.kind != "b" and any(n in ("min", "max", "range") for n in names)
    return 32 if extremes and _leaves_tables(geometry) else 2


cdef void choose_plain(const Lines *p, Named *own, int out_kind) noexcept:
    """Fills in the kind of the plain kernel's results, and whether they are wide."""
    cdef int code = own.reduction
    if code <= FC_REDUCE_RANGE:
        own.plain = p.native & ~1 if code == FC_REDUCE_RANGE and p.native >= FC_U8 else p.native
    elif code <= FC_REDUCE_PROD:
        own.plain = FC_I64 if p.native >= FC_U8 else FC_F64
    else:
        own.plain = FC_I64 if code == FC_REDUCE_COUNT else FC_U8 if code >= FC_REDUCE_ANY else FC_F64
    if p.native >= FC_U8 and (code == FC_REDUCE_PROD or p.item == 8 and code == FC_REDUCE_SUM):
        own.wide = out_kind & FC_TRUTH or out_kind & FC_KINDS < FC_U8
        own.plain = FC_F64 if own.wide else FC_I64
    elif p.native >= FC_U64 and code == FC_REDUCE_MEAN and FC_U64 <= out_kind & FC_KINDS:
        own.wide, own.plain = True, p.native
    elif p.native >= FC_U8 and code <= FC_REDUCE_RANGE and p.presence and own.nothing != 0:
        own.wide, own.plain = True, FC_F64
    elif code == FC_REDUCE_PROD and p.kind & FC_KINDS == FC_F16 and p.cells > SAFE_HALVES:
        own.wide = True


def add(Walk pass_, name, double ddof, cnp.ndarray out):
    """Adds a named reduction to a pass."""
    cdef const Lines *p = &pass_.p
    cdef Named *own = <Named *>PyMem_RawCalloc(1, sizeof(Named))
    cdef Named *other
    cdef Named *room
    cdef reduce_t way = reduce_plain
    cdef double cost = <double>p.cells
    cdef int i, at, code = _CODES[name], out_kind = result_kind(out)
    cdef int in_place = 0
    cdef bint boolean = code >= FC_REDUCE_ANY or p.boolean and code <= FC_REDUCE_RANGE   # of the results
    cdef idx j
    if own == NULL:
        raise MemoryError()
    own.reduction, own.ddof, own.nothing = code, ddof, nothing_of(out_kind)
    choose_plain(p, own, out_kind)
    if isinstance(pass_, Boxes):
        pass_.add(NULL, own, 0, out, 0, boolean)
        if own.wide and code == FC_REDUCE_MEAN:
            pass_.reducers[pass_.count - 1].out_kind |= FC_NEAREST_WHOLE
        return
    own.group = group_of(p, code, out_kind) if p.cells > 1 and (not own.wide or code <= FC_REDUCE_RANGE) else ALONE
    own.nonzero = own.group == SUMS and code == FC_REDUCE_COUNT
    own.squares = own.group == SQUARES
    own.doubles = own.squares or own.group == SUMS and p.native < FC_U8 and not own.nonzero
    own.kind = kind_of_results(p, own, out_kind)
    if own.group in (EXTREMES, BITS) and not p.box:
        own.lowest = 64
        for j in range(p.runs):
            own.lowest, own.highest = min(own.lowest, level_of(p.run_length[j])), max(own.highest, level_of(p.run_length[j]))
    for at in range(pass_.count):
        if joins(p, own, &pass_.reducers[at]):
            other = <Named *>pass_.reducers[at].own
            other.squares |= own.squares
            i = at
            while (<Named *>pass_.reducers[i].own).next:
                i += (<Named *>pass_.reducers[i].own).next
            (<Named *>pass_.reducers[i].own).next = pass_.count - i
            pass_.reducers[at].scratch = round_up(scratch_of(p, other))
            in_place = pass_.reducers[at].in_place
            pass_.add(follow, own, 0, out, 16, boolean)
            pass_.reducers[pass_.count - 1].in_place = in_place
            return
    if own.group in (EXTREMES, BITS) and not p.box:
        room = <Named *>PyMem_RawRealloc(own, sizeof(Named) + 2 * p.runs * sizeof(idx))
        if room == NULL:
            PyMem_RawFree(own)
            raise MemoryError()
        own = room
        own.terms = <idx *>(own + 1)
    if own.group == BITS:
        way, cost = reduce_bits, 2 if p.box else 2 + p.runs / 16.0
        if not p.box:
            list_terms(p, own)
    elif own.group == EXTREMES and p.box:
        way, cost = reduce_extremes, 8
    elif own.group == EXTREMES:
        way, cost = reduce_bands if in_bands(p, own) else reduce_runs, 4.0 * p.runs
        list_levels(p, own)
    elif own.group != ALONE:
        way, cost = reduce_sums, 60 if own.squares else 16
    if own.nonzero or own.group == ALONE or p.boolean and own.group >= SUMS:  # a boolean's byte may be any
        in_place = 0
    elif own.group >= SUMS:
        in_place = IN_PLACE_BUT_CVAL
    else:
        in_place = IN_PLACE if way != reduce_runs and way != reduce_bands else 0
    pass_.add(way, own, scratch_of(p, own), out, cost, boolean)
    pass_.reducers[pass_.count - 1].in_place = in_place
    if own.wide and code == FC_REDUCE_MEAN:
        pass_.reducers[pass_.count - 1].out_kind |= FC_NEAREST_WHOLE


def cut_means(geometry, cnp.ndarray out):
    """The pass that fills `out` with means of boxes of integers: along one axis after another, in the order of the geometry, each
    cut off toward 0. None where there is no such pass."""
    cdef Named *own
    cdef Pass pass_
    dtype = geometry.x.dtype
    if dtype.kind not in "bui" or dtype.itemsize == 8 or geometry.presence or not 1 < max(geometry.window) <= FC_CUT_WINDOW:
        return None
    *rows, _ = geometry.window
    pass_ = Pass(geometry, max(4, 2 * dtype.itemsize) // (1 + max(rows) // 64))   # of a tall region few lines become sums
    own = <Named *>PyMem_RawCalloc(1, sizeof(Named))
    if own == NULL:
        raise MemoryError()
    own.reduction, own.group, own.cut, own.kind = FC_REDUCE_MEAN, SUMS, True, pass_.p.native
    pass_.add(reduce_cut_means, own, sums_scratch(&pass_.p, own), out, 16, pass_.p.boolean)
    pass_.reducers[pass_.count - 1].in_place = 0 if pass_.p.boolean else IN_PLACE_BUT_CVAL   # a boolean's byte may be any
    return pass_
