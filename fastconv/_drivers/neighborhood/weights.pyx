"""Weighted sums of windows: of one axis and then of the line axis, or the other way round, and of cells of any box. The engine
(engine.pyx) loads the lines. Next hop: kernels/neighborhood/weights.h.

Sums are doubles, or floats where these hold them exactly, of integers of up to 16 bits with weights of few bits, or of bytes,
where sums that lie close to an integer are formed in doubles then. What lies between two axes has the dtype of the results, as if
it had been stored.
"""
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree
from libc.float cimport DBL_EPSILON
from libc.math cimport fabs
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

cimport numpy as cnp

from fastconv._drivers.base cimport FC_F32, FC_F64, FC_I16, FC_I8, FC_KINDS, FC_SWAPPED, FC_U16, FC_U32, FC_U64, FC_U8
from fastconv._drivers.common cimport idx, kind_of, round_up
from fastconv._drivers.neighborhood.engine cimport (
    IN_PLACE_APART,
    IN_PLACE_BUT_CVAL,
    PAGE,
    Block,
    Lines,
    Pass,
    Reducer,
    fill_ends_of,
    inside,
    must_end,
    out_lines,
    put,
    slot_of,
)
from fastconv._drivers.neighborhood.plain cimport kind_bytes, region_line, region_lines, span
from fastconv._drivers.neighborhood.table cimport (
    FC_ACROSS,
    FC_ALONG,
    FC_ANTISYMMETRIC,
    FC_CROSS,
    FC_JOIN_ROOT,
    FC_JOIN_ROUND,
    FC_JOIN_SQUARE,
    FC_JOIN_SUM,
    FC_LINE_SLACK,
    FC_SYMMETRIC,
    FC_WEIGHTS_SPACE,
    FC_UNORDERED,
    fc_correlated,
    fc_elements,
    fc_weighted,
)

import numpy as np

cnp.import_array()

cdef enum:
    MOST_PARTS = 2
    GROUP = 32                   # output lines that are computed together
    CROSSED_GROUP = 4            # likewise of crosses: those that are pages apart drive each other out of the cache
    LEAST_ROWS = 64              # outputs of a block, where few of them would share little

ORDERS = {0: FC_UNORDERED, 1: FC_SYMMETRIC, -1: FC_ANTISYMMETRIC}

cdef struct Part:
    idx taps[2]                  # FC_ACROSS and FC_ALONG lines; 0: none
    const double *weights[2]
    const float *singles[2]
    float doubt[2]
    int order[2]


cdef struct Weighing:
    int axis                     # between lines
    int lines                    # FC_F32 or FC_F64: of the lines, integers as such
    int sums                     # of what is between and of results before they are integers
    bint integers                # lines of integers are converted
    bint fused
    bint rounds                  # doubles are rounded to floats between the axes
    int whole                    # kind of results that are integers, 0: they are real
    bint keeps                   # they may wrap around, or have a fraction
    bint wraps_last              # parts, or their squares, are integers, so that their sum alone need wrap around
    int join                     # of several parts: their sum, or FC_JOIN_ROOT of that of their squares
    int count
    bint along_first             # of the only part
    bint crossed                 # two parts that a kernel sums at once
    idx most_taps
    Part part[MOST_PARTS]
    # correlation of cells
    idx planes
    const idx *plane             # lines from one of the window's planes to the next
    const uint8_t *present


cdef inline const fc_elements *reals(const Lines *p, int kind) noexcept nogil:
    return &p.k.elements[7 + kind]


cdef inline idx pitch_of(const Lines *p) noexcept nogil:
    return round_up(8 * p.region[p.ndim - 1]) + FC_LINE_SLACK + 64


cdef inline const fc_elements *wholes(const Lines *p, int kind) noexcept nogil:
    return &p.k.elements[kind - FC_U8]


cdef inline idx first_line(const Lines *p, const Block *b, const Reducer *r, int axis, idx j, char **out) noexcept nogil:
    """The first line of the region, and of results, of the j-th position on the other axes between lines."""
    cdef int a
    cdef idx line = 0
    out[0] = r.out + b.at[p.ndim - 1] * r.out_step[p.ndim - 1]
    for a in range(p.ndim - 2, -1, -1):
        if a == axis:
            out[0] += b.at[a] * r.out_step[a]
            continue
        line += j % b.count[a] * p.stride[a]
        out[0] += (b.at[a] + j % b.count[a]) * r.out_step[a]
        j //= b.count[a]
    return line


cdef void finish_lines(const Lines *p, const Weighing *own, void *const *lines, idx count, idx n, int kind) noexcept nogil:
    """Lets sums be what they would be if they were stored."""
    cdef idx i
    for i in range(count):
        if own.keeps:
            wholes(p, own.whole).keep_whole(lines[i], n, kind == FC_F64)
        elif own.rounds:
            reals(p, kind).join(lines[i], NULL, n, FC_JOIN_ROUND)


cdef void weigh(const Lines *p, const Weighing *own, const Part *part, int side, int kind, const void *const *rows,
                void *const *out, idx count, idx n, char *space, bint between) noexcept nogil:
    """Sums along one axis of lines of a kind, which others follow if they are `between`."""
    cdef fc_weighted q
    q.rows, q.out, q.weights, q.singles = rows, out, part.weights[side], part.singles[side]
    q.taps, q.n, q.count, q.order, q.along, q.fused = part.taps[side], n, count, part.order[side], side, own.fused
    q.wide, q.doubt, q.space = own.sums == FC_F64, part.doubt[side], space
    reals(p, kind).weigh(&q)
    if between or own.count > 1 and not own.wraps_last:
        finish_lines(p, own, out, count, n, own.sums)


cdef void cross(const Lines *p, const Weighing *own, const void *const *rows, void *const *out, idx count,
                idx n) noexcept nogil:
    """The sums of both parts, whose weights follow each other."""
    cdef fc_weighted q
    q.rows, q.out, q.weights, q.singles = rows, out, own.part[0].weights[FC_ACROSS], own.part[0].singles[FC_ACROSS]
    q.n, q.count, q.along = n, count, FC_CROSS
    reals(p, own.lines).weigh(&q)


cdef inline bint can_cross(const Weighing *own) noexcept:
    """Whether two sums of three taps need nothing more before, between or after them than to be stored."""
    cdef const Part *down = &own.part[0]
    cdef const Part *along = &own.part[1]
    return (own.count == 2 and own.join == FC_JOIN_SUM
            and (own.wraps_last or not own.whole and not own.rounds and own.sums == own.lines)
            and down.taps[FC_ACROSS] == along.taps[FC_ALONG] == 3 and not (down.taps[FC_ALONG] or along.taps[FC_ACROSS]) and down.order[FC_ACROSS] == along.order[FC_ALONG] == FC_SYMMETRIC)


cdef inline idx there(const Lines *p, const Block *b, idx *first) noexcept nogil:
    """How much of the lines of a region is there: all, or what lies in the array, from position `first` on."""
    first[0] = 0
    return inside(p, b, first) - first[0] if p.in_place else span(p, b, p.ndim - 1)


cdef void real_lines(const Lines *p, const Block *b, const Weighing *own, const void **lines, char *memory) noexcept nogil:
    """Lists the lines of a region, as real numbers in `memory` if they are integers."""
    cdef idx i, line, slot, first, n = there(p, b, &first)
    cdef idx to = first * kind_bytes(own.lines)
    for i in range(p.slots if own.integers and p.shared else 0):
        if b.slot[i].flags >= 0:
            wholes(p, p.native).to_reals(memory + i * pitch_of(p), b.slot[i].at, n, own.lines == FC_F64)
    for i in range(region_lines(p, b)):
        line = region_line(p, b, i)
        lines[line] = b.line[line].at
        if own.integers:
            slot = slot_of(p, b, line) if p.shared else line
            if not p.shared:
                wholes(p, p.native).to_reals(memory + slot * pitch_of(p) + to, b.line[line].at + first * p.item, n,
                                             own.lines == FC_F64)
            lines[line] = memory + slot * pitch_of(p)


cdef void deliver(const Lines *p, const Block *b, const Weighing *own, const Reducer *r, char *out, void *line,
                  void *spare) noexcept nogil:
    """Writes results where they belong, unless they stand there."""
    cdef idx n = b.count[p.ndim - 1]
    cdef bint fits = r.out_step[p.ndim - 1] == kind_bytes(own.whole) and <size_t>out % kind_bytes(own.whole) == 0
    if out == line:
        return
    if not own.whole:
        put(p, b, r, out, line, own.sums)
    elif fits and r.out_kind == own.whole:
        wholes(p, own.whole).from_reals(out, line, n, own.sums == FC_F64)
    else:
        wholes(p, own.whole).from_reals(spare, line, n, own.sums == FC_F64)
        put(p, b, r, out, spare, own.whole)


cdef inline idx table_length(const Weighing *own) noexcept nogil:
    """Of the rows of a group of output lines."""
    return GROUP + own.most_taps


cdef idx weighted_scratch(const Lines *p, const Weighing *own) noexcept:
    """Bytes for reduce_weighted: tables, space of kernels, lines of two parts and between the axes, one more, and those of a
    region."""
    return (round_up((p.lines + table_length(own) + 3 * GROUP) * sizeof(void *)) + round_up(FC_WEIGHTS_SPACE(own.most_taps))
            + (3 * GROUP + 1 + own.integers * p.slots + own.along_first * p.lines) * pitch_of(p) + 64)


cdef void sum_part(const Lines *p, const Block *b, const Weighing *own, const Part *part, const void **rows, void *const *between,
                   void *const *out, idx count, char *space) noexcept nogil:
    """Sums of one part for a group of output lines; what a part has no weights along, it reads in the middle of the window."""
    cdef int a = own.axis, last = p.ndim - 1, kind = own.sums if own.along_first else own.lines
    cdef idx n = b.count[last], k, first, all_n = there(p, b, &first)
    cdef double zero = 0         # which is what lies outside, if a constant does
    cdef void *to[GROUP]
    if part.taps[FC_ALONG] and not own.along_first:
        if part.taps[FC_ACROSS]:
            for k in range(count):
                to[k] = <char *>between[k] + first * kind_bytes(own.sums)
            for k in range(count + part.taps[FC_ACROSS] - 1):
                rows[k] = <const char *>rows[k] + first * kind_bytes(kind)
            weigh(p, own, part, FC_ACROSS, kind, rows, to, count, all_n, space, True)
            rows, kind = <const void **>between, own.sums
        else:
            rows += p.before[a]
            for k in range(count if p.in_place else 0):
                memcpy(<char *>between[k] + first * kind_bytes(kind), <const char *>rows[k] + first * kind_bytes(kind),
                       all_n * kind_bytes(kind))
                rows[k] = between[k]
        if p.in_place:
            fill_ends_of(p, b, <void *const *>rows, count, kind, &zero)
        weigh(p, own, part, FC_ALONG, kind, rows, out, count, n, space, False)
        return
    for k in range(count + part.taps[FC_ACROSS] - 1 if not own.along_first else 0):
        rows[k] = <const char *>rows[k] + p.before[last] * kind_bytes(kind)
    weigh(p, own, part, FC_ACROSS, kind, rows, out, count, n, space, False)


cdef void join_part(const Lines *p, const Weighing *own, int i, void *const *out, void *const *more, idx count,
                    idx n) noexcept nogil:
    """Adds part i to those before it, and takes the root at the last."""
    cdef const fc_elements *e = reals(p, own.sums)
    cdef void *const *part = more if i else out
    cdef idx k
    for k in range(count if own.count > 1 else 0):
        if own.join == FC_JOIN_ROOT:
            e.join(part[k], NULL, n, FC_JOIN_SQUARE)
            if not own.wraps_last:
                finish_lines(p, own, part + k, 1, n, own.sums)
        if i:
            e.join(out[k], more[k], n, FC_JOIN_SUM)
            if not own.wraps_last or own.join == FC_JOIN_ROOT:
                finish_lines(p, own, out + k, 1, n, own.sums)
        if own.join == FC_JOIN_ROOT and i == own.count - 1:
            e.join(out[k], NULL, n, FC_JOIN_ROOT)
            if not own.wraps_last:
                finish_lines(p, own, out + k, 1, n, own.sums)


cdef void sum_along_first(const Lines *p, const Block *b, const Weighing *own, const void **lines, char *region,
                          char *space) noexcept nogil:
    """Puts sums along the lines of a region in the place of these lines."""
    cdef idx i = 0, k, some, count = region_lines(p, b)
    cdef const void *source[GROUP]
    cdef void *out[GROUP]
    while i < count:
        some = min(<idx>GROUP, count - i)
        for k in range(some):
            source[k] = lines[region_line(p, b, i + k)]
            out[k] = region + (i + k) * pitch_of(p)
        weigh(p, own, own.part, FC_ALONG, own.lines, source, out, some, b.count[p.ndim - 1], space, True)
        for k in range(some):
            lines[region_line(p, b, i + k)] = out[k]
        i += GROUP


cdef void reduce_weighted(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """Sums of all parts, for groups of output lines that follow each other on the axis between lines."""
    cdef const Weighing *own = <const Weighing *>r.own
    cdef int a = own.axis, last = p.ndim - 1, i
    cdef idx pitch = pitch_of(p), item = kind_bytes(own.sums), reach = p.window[a] - 1, j, o, k, first, count
    cdef const void **lines = <const void **>scratch
    cdef const void **rows = lines + p.lines
    cdef void **out = <void **>(rows + table_length(own))
    cdef void **more = out + GROUP
    cdef void **between = more + GROUP
    cdef char *space = scratch + round_up((p.lines + table_length(own) + 3 * GROUP) * sizeof(void *))
    cdef char *memory = space + round_up(FC_WEIGHTS_SPACE(own.most_taps))
    cdef char *region = memory + (3 * GROUP + 1) * pitch
    cdef char *at
    cdef char *to
    cdef bint direct = not own.whole and r.out_kind == own.sums and r.out_step[last] == item
    for i in range(own.count):   # results of columns, a vector of each line at once, would drive each other out of the cache
        direct = direct and (r.out_step[a] % PAGE or item == 8 or own.crossed or own.part[i].taps[FC_ALONG] and not own.along_first)
    real_lines(p, b, own, lines, region)
    if own.along_first:
        sum_along_first(p, b, own, lines, region + (p.slots * pitch if own.integers else 0), space)
    for k in range(GROUP):
        more[k] = memory + (GROUP + k) * pitch
        between[k] = memory + (2 * GROUP + k) * pitch
    for j in range(out_lines(p, b) // b.count[a]):
        first = first_line(p, b, r, a, j, &at)
        o = 0
        while o < b.count[a]:
            if must_end(b):
                return
            count = min(<idx>(CROSSED_GROUP if own.crossed else GROUP), b.count[a] - o)
            for k in range(count):
                to = at + (o + k) * r.out_step[a]
                out[k] = to if direct and <size_t>to % item == 0 else memory + k * pitch
            for i in range(1 if own.crossed else own.count):
                for k in range(count + reach):
                    rows[k] = lines[first + (o + k) * p.stride[a]]
                if own.crossed:
                    cross(p, own, rows, out, count, b.count[last])
                    continue
                sum_part(p, b, own, &own.part[i], rows, between, more if i else out, count, space)
                join_part(p, own, i, out, more, count, b.count[last])
            for k in range(count):
                deliver(p, b, own, r, at + (o + k) * r.out_step[a], out[k], memory + 3 * GROUP * pitch)
            o += count


cdef inline idx correlated_lines(const Lines *p, idx count) noexcept nogil:
    """Of one plane of the window, for `count` output lines: as many as kernels read."""
    return round_up(count, 4) + p.window[p.ndim - 2] - 1


cdef idx correlated_scratch(const Lines *p, const Weighing *own) noexcept:
    """Bytes for reduce_correlated: tables, lines of results and one more, and those of a region."""
    return (round_up((p.lines + own.planes * correlated_lines(p, GROUP) + GROUP) * sizeof(void *))
            + (GROUP + 1 + own.integers * p.slots) * pitch_of(p) + 64)


cdef void reduce_correlated(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """Sums of cells, in C order of the window, for groups of output lines that follow each other on the row axis."""
    cdef const Weighing *own = <const Weighing *>r.own
    cdef int a = p.ndim - 2, last = p.ndim - 1
    cdef idx item = kind_bytes(own.sums), end = b.count[a] + p.window[a] - 2, rows_of, j, o, k, plane, first
    cdef const void **lines = <const void **>scratch
    cdef const void **rows = lines + p.lines
    cdef void **out = <void **>(rows + own.planes * correlated_lines(p, GROUP))
    cdef char *memory = <char *>scratch + round_up((p.lines + own.planes * correlated_lines(p, GROUP) + GROUP) * sizeof(void *))
    cdef char *at
    cdef char *to
    cdef bint direct = not own.whole and r.out_kind == own.sums and r.out_step[last] == item
    cdef fc_correlated q
    q.weights, q.singles, q.present = own.part[0].weights[0], own.part[0].singles[0], own.present
    q.rows, q.out, q.planes, q.height, q.width, q.n = rows, out, own.planes, p.window[a], p.window[last], b.count[last]
    q.wide = own.sums == FC_F64
    real_lines(p, b, own, lines, memory + (GROUP + 1) * pitch_of(p))
    for j in range(out_lines(p, b) // b.count[a]):
        first, o = first_line(p, b, r, a, j, &at), 0
        while o < b.count[a]:
            if must_end(b):
                return
            q.count = min(<idx>GROUP, b.count[a] - o)
            for k in range(q.count):
                to = at + (o + k) * r.out_step[a]
                out[k] = to if direct and <size_t>to % item == 0 else memory + k * pitch_of(p)
            rows_of = correlated_lines(p, q.count)
            for plane in range(own.planes):
                for k in range(rows_of):   # the last line stands for those that there are not
                    rows[plane * rows_of + k] = lines[first + own.plane[plane] + min(o + k, end) * p.stride[a]]
            reals(p, own.lines).correlate(&q)
            for k in range(q.count):
                deliver(p, b, own, r, at + (o + k) * r.out_step[a], out[k], memory + GROUP * pitch_of(p))
            o += GROUP


# ---- what is summed ----

_LIMITS = {number: np.iinfo(dtype) for number, dtype in (
    (FC_U8, np.uint8), (FC_I8, np.int8), (FC_U16, np.uint16), (FC_I16, np.int16))}


def order_of(weights):
    """How SciPy adds up a sum along an axis: 1 for weights that are symmetric about the middle one, -1 for antisymmetric ones, 0
    for others."""
    middle = len(weights) // 2
    if len(weights) % 2:
        for sign in (1, -1):
            if (np.abs(weights[middle + 1 :] - sign * weights[:middle][::-1]) <= np.finfo(np.float64).eps).all():
                return sign
    return 0


cdef int in_floats(int native, int whole, weights, float *doubt, bint *keeps) except -1:
    """Whether sums of integers that lines of a kind hold have at most 24 bits, which floats hold, or, of 8 bits, how far those
    in floats are from those in doubles at most; -1 if all sums are integers."""
    if native not in _LIMITS or whole not in _LIMITS:
        return False
    from_, to = _LIMITS[native], _LIMITS[whole]
    cdef double low = np.minimum(weights * from_.min, weights * from_.max).sum()
    cdef double high = np.maximum(weights * from_.min, weights * from_.max).sum()
    cdef double size = np.abs(weights).sum() * max(from_.max, -from_.min)
    keeps[0] |= low < to.min - 0.5 or high > to.max + 0.5
    scale = 1
    while scale < 2**16 and (weights * scale != np.trunc(weights * scale)).any():
        scale *= 2
    if scale < 2**16 and size * scale < 2**24:
        doubt[0] = -1 if scale == 1 and size < 2**22 else 0
        return True
    # Each weight is rounded, each product unless it is fused, and each sum of the first terms, none of which is larger than these
    # can be; a pair of cells is not.
    sizes = np.roll(np.abs(weights.reshape(-1)), 1)   # the last first
    if weights.ndim == 1 and order_of(weights):
        sizes = np.abs(weights)
        middle = len(sizes) // 2
        sizes = np.concatenate([sizes[middle : middle + 1], sizes[:middle] + sizes[:middle:-1]])
    doubt[0] = 1.01 * 2.0**-24 * max(from_.max, -from_.min) * (2 * sizes.sum() + np.cumsum(sizes).sum())
    return size < 2**20 and doubt[0] < 0.125


cdef int choose(const Lines *p, Weighing *own, parts, out) except -1:
    """How lines become sums and these results."""
    cdef int native = p.native, kind = kind_of(out) & FC_KINDS, i, side
    cdef bint floats = native in _LIMITS and kind in _LIMITS
    cdef bint keeps = False, integers = True
    cdef double largest = 0
    cdef float doubt
    own.whole = kind if kind >= FC_U8 else 0
    own.integers = native >= FC_U8
    for i in range(own.count):
        for j, (axis, weights) in enumerate(parts[i]):
            side = FC_ALONG if axis == p.ndim - 1 else FC_ACROSS
            if floats and in_floats(kind if j else native, kind, weights, &doubt, &keeps):
                own.part[i].doubt[side] = doubt
                integers = integers and doubt < 0
                largest = max(largest, np.abs(weights).sum() * 255)   # of a sum of bytes, after which comes a root
            else:
                floats = False
    own.lines = FC_F32 if native == FC_F32 or native in _LIMITS else FC_F64
    own.sums = FC_F32 if own.lines == FC_F32 and (floats if own.whole else kind == FC_F32) else FC_F64
    own.rounds = kind == FC_F32 and own.sums == FC_F64
    own.wraps_last = floats and (integers if own.join == FC_JOIN_SUM else largest * largest < 1 << 23)
    own.keeps = own.whole and (not floats or keeps or own.count > 1)
    return floats


cdef void read_as_words(Pass pass_) noexcept:
    """Lets lines of floats be loaded as integers are, of which nobody asks whether they are NaN."""
    if pass_.p.kind & ~FC_SWAPPED == pass_.p.native == FC_F32:
        pass_.p.kind, pass_.p.native = FC_U32 | pass_.p.kind & FC_SWAPPED, FC_U32
    elif pass_.p.native == FC_F64:
        pass_.p.kind, pass_.p.native = FC_U64 | pass_.p.kind & FC_SWAPPED, FC_U64


cdef Pass pass_over(geometry, bint along_first):
    """A pass whose regions leave room for lines that are made of those of the array."""
    return Pass(geometry, (8 if geometry.x.dtype.kind != "f" else 0) + (8 if along_first else 0), LEAST_ROWS)


def weighted(geometry, parts, bint root, bint fused, bint stored, cnp.ndarray out):
    """A pass that fills `out` with sums of windows.

    Parameters
    ----------
    geometry : neighborhood.Geometry
    parts : list of lists of (axis of the pass, weights)
        Each is summed along one axis after the other, at most one of which is not the last. Axes without weights are read in the
        middle of the window.
    root : bool
        Whether the root of the sum of the squares of the parts is wanted, and not their sum.
    fused : bool
        Whether products need not be rounded before they are added where results are floats of 32 bits.
    stored : bool
        Whether what lies between the axes has the dtype of the results; else it is in doubles, if these are real.
    """
    parts = [[(a, np.ascontiguousarray(weights, np.float64)) for a, weights in part] for part in parts]
    cdef bint along_first = len(parts[0]) == 2 and parts[0][0][0] == len(geometry.window) - 1
    cdef Pass pass_ = pass_over(geometry, along_first)
    cdef const Lines *p = &pass_.p
    cdef idx numbers = sum([len(weights) for part in parts for _, weights in part]), taps = 0
    cdef Weighing *own = <Weighing *>PyMem_RawCalloc(1, sizeof(Weighing) + numbers * 12)
    cdef const double[::1] each
    cdef double *doubles = <double *>(own + 1)
    cdef float *singles = <float *>(doubles + numbers)
    cdef Part *q
    cdef bint floats
    cdef int side
    cdef idx t
    if own == NULL:
        raise MemoryError()
    own.axis, own.count, own.along_first = p.ndim - 2, len(parts), along_first
    own.join = FC_JOIN_ROOT if root else FC_JOIN_SUM
    for part in parts:
        for a, _ in part:
            own.axis = a if a < p.ndim - 1 else own.axis
    try:
        floats = choose(p, own, parts, out)
    except BaseException:
        PyMem_RawFree(own)
        raise
    own.fused = fused and kind_of(out) & FC_KINDS == FC_F32
    if not stored and not own.whole:
        own.sums, own.rounds = FC_F64, False
    for i, part in enumerate(parts):
        q = &own.part[i]
        for a, weights in part:
            side = FC_ALONG if a == p.ndim - 1 else FC_ACROSS
            each = weights
            q.taps[side], q.order[side], q.weights[side] = len(weights), ORDERS[order_of(weights)], doubles
            q.singles[side] = singles if floats else NULL
            for t in range(len(weights)):
                doubles[t], singles[t] = each[t], <float>each[t]
            doubles, singles, own.most_taps = doubles + t + 1, singles + t + 1, max(own.most_taps, len(weights))
            taps += len(weights)
    pass_.add(reduce_weighted, own, weighted_scratch(p, own), out, taps)
    own.crossed = can_cross(own)
    # Vectors of doubles are cache lines, none of which is asked for twice.
    if not (along_first or own.crossed):
        pass_.reducers[pass_.count - 1].in_place = IN_PLACE_APART if p.item < 8 else IN_PLACE_BUT_CVAL
    read_as_words(pass_)
    return pass_


def correlated(geometry, cnp.ndarray weights, cnp.ndarray out):
    """A pass that fills `out` with the sums of the cells of boxes times weights, those that are not 0.

    Parameters
    ----------
    geometry : neighborhood.Geometry
    weights : ndarray of float64, C-contiguous
        Of the window's shape on the axes of the pass.
    """
    cdef Pass pass_ = pass_over(geometry, False)
    cdef const Lines *p = &pass_.p
    cdef idx cells = weights.size, planes = cells // (p.window[p.ndim - 2] * p.window[p.ndim - 1]), i, rest
    cdef Weighing *own = <Weighing *>PyMem_RawCalloc(1, sizeof(Weighing) + cells * 13 + planes * sizeof(idx))
    cdef const double[::1] each = weights.reshape(-1)
    cdef idx *plane = <idx *>(own + 1)
    cdef double *doubles = <double *>(plane + planes)
    cdef float *singles = <float *>(doubles + cells)
    cdef uint8_t *present = <uint8_t *>(singles + cells)
    cdef bint floats, all_present = True
    cdef int a
    if own == NULL:
        raise MemoryError()
    own.count, own.planes, own.plane = 1, planes, plane
    try:
        floats = choose(p, own, [[(0, weights)]], out) and own.part[0].doubt[0] <= 0
    except BaseException:
        PyMem_RawFree(own)
        raise
    if own.whole and not floats:
        own.sums, own.keeps = FC_F64, True
    for i in range(planes):
        rest = i
        for a in range(p.ndim - 3, -1, -1):
            plane[i] += rest % p.window[a] * p.stride[a]
            rest //= p.window[a]
    for i in range(cells):
        doubles[i], singles[i], present[i] = each[i], <float>each[i], fabs(each[i]) > DBL_EPSILON
        all_present &= present[i]
    own.part[0].weights[0], own.part[0].singles[0] = doubles, singles if floats else NULL
    own.present = NULL if all_present else present
    pass_.add(reduce_correlated, own, correlated_scratch(p, own), out, <double>cells)
    read_as_words(pass_)
    return pass_
