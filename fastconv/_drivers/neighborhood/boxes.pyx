"""Large boxes: min, max, range, sum, mean, var, std, count, any and all at a cost that does not grow with the window. Next hop:
kernels/neighborhood/box_parts.h.

The first axis with a window is walked in blocks of positions, a *sheet* of parts each (of all elements beside it that windows of
the tile see). A window begins in one block and ends in a later one: it is a suffix of the first, all blocks between, and a
prefix of the last (van Herk, Gil and Werman), so each element is joined a few times, and no more than some blocks of about
sqrt(window) sheets stand in memory. The other axes are then folded within a sheet: spans of 2m positions are two spans of m.
Long windows along an axis between are found in blocks as well. Sheets hold what lies in the array; what windows see beyond it
repeats some of that.
Blocks begin where a multiple of their length is, so how the work is cut into tiles shows in no bit.

Of a window that is much longer than its axis all but a few elements lie outside, where the array is repeated: whole periods, or
what lies beyond the ends, are joined to each result as they are, and the window is that much shorter.
"""
import math

from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc
from cython.parallel cimport prange

cimport numpy as cnp

from fastconv._drivers.base cimport FC_U16, FC_U32, FC_U64, FC_U8
from fastconv._drivers.common cimport ceil_div, idx, round_up
from fastconv._drivers.neighborhood.engine cimport AXES, Lines, Reducer, Walk
from fastconv._drivers.neighborhood.plain cimport Near, kind_bytes, plain_elements
from fastconv._drivers.neighborhood.table cimport (
    FC_CONSTANT,
    FC_IGNORE,
    FC_LINE_SLACK,
    FC_MIRROR,
    FC_MOMENT_PLANES,
    FC_NEAR_ALL,
    FC_NEAR_ANY,
    FC_NEAR_COUNT,
    FC_NEAR_MAX,
    FC_NEAR_MEAN,
    FC_NEAR_MIN,
    FC_NEAR_RANGE,
    FC_NEAR_STD,
    FC_NEAR_SUM,
    FC_NEAR_VAR,
    FC_PARTS,
    FC_PART_GREATEST,
    FC_PART_HIGH,
    FC_PART_LEAST,
    FC_PART_MOMENTS,
    FC_PART_NONZERO,
    FC_PART_PRESENT,
    FC_PART_SUM,
    FC_PART_WHOLE,
    FC_REFLECT,
    FC_WRAP,
    fc_conclude,
    fc_elements,
    fc_fill,
    fc_join,
    fc_lift,
    fc_put,
)
from fastconv._drivers.runtime cimport Clock, Watch, crew, seam, start_clock, team, tick

cdef idx LARGE_WINDOW = 1 << 20  # cost of a window's elements in a strip, from which on a box is large
cdef idx LARGE_COLUMN = 4000     # bytes that are kept of a window's column
cdef idx WHOLE_CELLS = 16        # of means of 64-bit integers, which else are found in the plain way
cdef idx LARGE_HOLES = 1 << 10   # cells, where some may not count
cdef idx LONG_ROW = 1 << 12      # cells of a window in one line
cdef idx LEAST_BLOCK = 8         # sheets of a block, unless the window is shorter
cdef idx LINE_BLOCK = 1 << 12    # positions of a block along the only axis with a window
cdef idx SHARED_BYTES = 15 << 20 # of all threads together
cdef idx OWN_BYTES = 7 << 19     # and of each
cdef idx BOX_STRIP = 64          # outputs of a strip of lines
cdef idx LEAST_GLIDE = 20        # window of an axis between that is not found in less steps by doubling

seam("neighborhood.LARGE_WINDOW", &LARGE_WINDOW)
seam("neighborhood.LARGE_COLUMN", &LARGE_COLUMN)
seam("neighborhood.WHOLE_CELLS", &WHOLE_CELLS)
seam("neighborhood.LARGE_HOLES", &LARGE_HOLES)
seam("neighborhood.LONG_ROW", &LONG_ROW)
seam("neighborhood.LEAST_BLOCK", &LEAST_BLOCK)
seam("neighborhood.LINE_BLOCK", &LINE_BLOCK)
seam("neighborhood.SHARED_BYTES", &SHARED_BYTES)
seam("neighborhood.OWN_BYTES", &OWN_BYTES)
seam("neighborhood.BOX_STRIP", &BOX_STRIP)
seam("neighborhood.LEAST_GLIDE", &LEAST_GLIDE)

_NAMES = ("min", "max", "range", "sum", "mean", "var", "std", "count", "any", "all")


def takes(name, geometry):
    """Whether a reduction is that of a large box. It depends on the window and the dtype alone: its bits do."""
    cdef idx item = geometry.cval.dtype.itemsize, row, lines, cells, length, folded, kept
    cdef bint squares = name in ("var", "std")
    if geometry.cells is not None or name not in _NAMES:
        return False
    *outer, row, length = geometry.window
    lines = math.prod(outer) * row
    cells = lines * length
    if cells == 1:
        return False
    if geometry.presence and cells >= LARGE_HOLES or lines == 1 and length >= LONG_ROW:
        return True
    if item == 8 and geometry.cval.dtype.kind in "iu" and (squares or name == "mean"):
        return (cells // 4 if squares else 4 * cells if lines > 1 else cells) >= WHOLE_CELLS
    # Bytes that are kept of an element of a column, and those of a window's elements as often as blocks go through them: from
    # where both ways take as long.
    if squares:
        kept, folded = 20, 3 * (item + 24)
    elif name in ("sum", "mean"):
        kept, folded = (item + 8, 4 * (item + 8)) if item > 2 else (item + 4, item + 4)
    else:
        kept, folded = item, item + 4
    # Blocks have fewer outputs on the axes before that of the rows.
    if max(row, 3 * max(outer, default=1)) * kept >= LARGE_COLUMN:
        return True
    return lines > 1 and lines * (length + 64) * folded >= LARGE_WINDOW


# ---- the plan ----

cdef struct Unit:                # one of the parts that are kept, of each element
    int part
    idx item                     # bytes of a number
    idx planes
    idx before                   # bytes of the numbers of the units before it

cdef struct Beyond:              # elements that each window sees again and again: a period, or one beyond an end
    idx first, count             # their positions on the axis
    idx times
    bint periodic

cdef struct Plan:
    const Lines *p
    const fc_elements *k
    const Reducer *reducers
    int count
    Unit units[FC_PARTS]
    int parts
    bint moments                 # whether one is of several planes
    idx bytes_                   # of an element's parts
    int axis                     # which is walked
    idx w[AXES]                  # windows without what lies beyond
    idx before[AXES]
    Beyond beyond[AXES][2]
    idx period[AXES]
    idx block                    # positions of a block
    idx b[AXES]                  # outputs of a tile
    idx blocks[AXES]
    idx tiles
    idx lines, pitch             # of a sheet; numbers of a line: of what lies in the array, and one beyond each end
    idx plane                    # numbers of a plane of parts
    idx row                      # of those of a line
    idx totals                   # blocks that lie between two of a tile


cdef void shorten(Plan *t, int a) noexcept:
    """Splits the window of axis a into a short one and what lies beyond it."""
    cdef const Lines *p = t.p
    cdef idx n = p.n[a], after = p.w[a] - 1 - p.before[a], period, times
    t.w[a], t.before[a] = p.w[a], p.before[a]
    if n == 0 or p.before[a] < 0 or after < 0:
        return
    if p.mode in (FC_REFLECT, FC_MIRROR, FC_WRAP):
        period = n if p.mode == FC_WRAP or n == 1 else 2 * n if p.mode == FC_REFLECT else 2 * n - 2
        times = p.w[a] // period - 2
        t.period[a] = period
        if times > 0:
            t.w[a] -= times * period
            t.before[a] -= p.before[a] // period * period
            t.beyond[a][0].count, t.beyond[a][0].times, t.beyond[a][0].periodic = period, times, True
        return
    if p.before[a] > n:
        t.before[a] = n
        t.w[a] -= p.before[a] - n
        t.beyond[a][0].first, t.beyond[a][0].count, t.beyond[a][0].times = -1, 1, p.before[a] - n
    if after > n:
        t.w[a] -= after - n
        t.beyond[a][1].first, t.beyond[a][1].count, t.beyond[a][1].times = n, 1, after - n


cdef idx reach(const Plan *t, int a) noexcept nogil:
    return (t.b[a] - 1) * t.p.step[a] + t.w[a]


cdef idx tile_bytes(Plan *t) noexcept:
    """Fills in what follows from t.b; returns the bytes of a thread."""
    cdef const Lines *p = t.p
    cdef int a, last = p.ndim - 1
    t.tiles = t.lines = 1
    for a in range(p.ndim):
        t.blocks[a] = ceil_div(p.m[a], t.b[a])
        t.tiles *= t.blocks[a]
        if t.axis < a < last:
            t.lines *= reach(t, a)
    t.pitch = round_up(min(reach(t, last), p.n[last] + 2) if t.axis < last else t.block, 16)
    t.row = round_up(reach(t, last) if t.axis < last else t.block, 64) + 64
    t.plane = t.lines * t.pitch + 64
    t.totals = round_up(reach(t, t.axis) // t.block + 2) if t.axis == last else reach(t, t.axis) // t.block + 2
    if t.axis == last:
        return (8 * t.row + 2 * (t.totals + 64)) * t.bytes_ + line_bytes(t)
    return ((t.block + t.totals + SPARE) * t.plane + 4 * t.row) * t.bytes_ + line_bytes(t)


cdef enum:
    SPARE = 7                    # sheets beside those of a block and the totals
    ONE = 64                     # numbers of a plane of single parts


cdef idx line_bytes(const Plan *t) noexcept nogil:
    """A line of elements, its presence, a line of results, and two single parts."""
    return (t.row * (t.p.item + 1 + 8) + 3 * (FC_LINE_SLACK + 64) + 2 * ONE * t.bytes_)


cdef void cut(Plan *t, idx budget, idx threads) noexcept:
    """The tile: all there is, halved where that takes the least beside outputs until it fits; then along the walk for threads."""
    cdef const Lines *p = t.p
    cdef int a, last = p.ndim - 1, best
    cdef double halo, least
    cdef idx rest
    for a in range(p.ndim):
        t.b[a] = p.m[a] if a >= t.axis else 1
    while tile_bytes(t) > budget:
        best, least = -1, 0
        for a in range(t.axis, p.ndim):
            if t.b[a] <= (BOX_STRIP if a == last else 1):
                continue
            # Of the axis that is walked more is only the totals' number, and these are read once more.
            if a == t.axis and t.totals <= t.block:
                continue
            halo = <double>t.w[a] / (<double>t.b[a] * p.step[a]) / (3 if a == t.axis else 1)
            if best < 0 or halo < least:
                best, least = a, halo
        if best < 0:
            break
        t.b[best] = ceil_div(t.b[best], 2)
    rest = t.tiles // t.blocks[t.axis]
    if t.tiles < threads:
        t.b[t.axis] = max(ceil_div(p.m[t.axis], ceil_div(threads, rest)), 1)
        tile_bytes(t)


# ---- parts in memory: of a unit all numbers of a plane, then the next plane, then the next unit ----

cdef struct Area:
    char *at
    idx plane                    # numbers


cdef struct Work:                # of a thread
    Clock clock
    char *memory
    idx at[AXES]                 # the tile's first output
    idx count[AXES]
    idx r[AXES]                  # positions that its windows see
    idx lines                    # of its sheets
    idx start[AXES]              # positions of the array that they hold, on each axis after the one that is walked
    idx width[AXES]
    const char *x                # of the axes before the one that is walked; NULL: outside
    const char *mask


cdef inline char *number(const Plan *t, Area area, int unit, idx at) noexcept nogil:
    return area.at + t.units[unit].before * area.plane + at * t.units[unit].item


cdef void join(const Plan *t, Area to, idx to_at, Area a, idx a_at, Area b, idx b_at, idx n) noexcept nogil:
    """to = a and then b, n numbers of each plane from those places on. All planes are of one size."""
    cdef fc_join q
    cdef int u
    q.plane, q.n = to.plane, n
    for u in range(t.parts):
        q.part = t.units[u].part
        q.to, q.a, q.b = number(t, to, u, to_at), number(t, a, u, a_at), number(t, b, u, b_at)
        t.k.join(&q)


cdef void copy(const Plan *t, Area to, idx to_at, Area a, idx a_at, idx n) noexcept nogil:
    cdef int u
    cdef idx i, item
    for u in range(t.parts):
        item = t.units[u].item
        for i in range(t.units[u].planes):
            memcpy(number(t, to, u, i * to.plane + to_at), number(t, a, u, i * a.plane + a_at), n * item)


cdef void repeat(const Plan *t, Area to, Area one, idx n) noexcept nogil:
    """n numbers of each plane, all the first of `one`."""
    cdef idx have = 1
    copy(t, to, 0, one, 0, 1)
    while have < n:
        copy(t, to, have, to, 0, min(have, n - have))
        have *= 2


cdef void power(const Plan *t, Area to, Area base, idx times, idx n) noexcept nogil:
    """to = base, `times` times; base is overwritten."""
    cdef bint started = False
    while times:
        if times & 1:
            if started:
                join(t, to, 0, to, 0, base, 0, n)
            else:
                copy(t, to, 0, base, 0, n)
            started = True
        times >>= 1
        if times:
            join(t, base, 0, base, 0, base, 0, n)


cdef void fold(const Plan *t, Area to, Area one, idx at, idx window, idx shift, idx n) noexcept nogil:
    """to[x] = one[at + x], one[at + x + shift] and so on, `window` > 1 of them, for x < n - (window - 1) * shift."""
    cdef idx m = 1, bit = 1, next, a_at = at
    cdef Area a = one
    while bit <= window >> 1:
        bit <<= 1
    bit >>= 1
    while bit:
        next = 2 * m + ((window & bit) != 0)
        join(t, to, 0, a, a_at, a, a_at + m * shift, n - (2 * m - 1) * shift)
        if next > 2 * m:
            join(t, to, 0, to, 0, one, at + 2 * m * shift, n - (next - 1) * shift)
        a, a_at, m = to, 0, next
        bit >>= 1


# ---- elements to parts ----

cdef void lift_line(const Plan *t, Work *w, const char *x, const char *mask, idx start, idx length, Area to,
                    idx at) noexcept nogil:
    """The parts of positions start .. start + length - 1 of a line of the array, NULL if that lies outside."""
    cdef const Lines *p = t.p
    cdef int last = p.ndim - 1, u
    cdef char *line = w.memory
    cdef uint8_t *present = <uint8_t *>line + round_up(t.row * p.item) + FC_LINE_SLACK
    cdef fc_fill q
    cdef fc_lift lift
    cdef bint in_place = (x != NULL and 0 <= start <= p.n[last] - length and not p.presence and p.kind == p.native
                          and p.xs[last] == p.item and not p.other and <size_t>x % p.item == 0)
    q.src, q.mask = x, mask if x != NULL else NULL
    q.dst, q.present = line, present if p.presence else NULL
    q.step, q.mask_step, q.other, q.start, q.length, q.n = p.xs[last], p.ms[last], p.other, start, length, p.n[last]
    q.kind, q.mask_kind, q.mode, q.omit, q.cval = p.kind, p.mask_kind, p.mode, p.omit, &p.cval
    if not in_place:
        p.k.fill_line(&q)
    lift.line, lift.present, lift.plane, lift.n = x + start * p.item if in_place else line, q.present, to.plane, length
    for u in range(t.parts):
        lift.part, lift.to = t.units[u].part, number(t, to, u, at)
        t.k.lift(&lift)


cdef void locate(const Plan *t, Work *w) noexcept nogil:
    """The part of an element's place that the axes before the walk have."""
    cdef const Lines *p = t.p
    cdef int a
    cdef idx at
    w.x, w.mask = p.x, p.mask
    for a in range(t.axis):
        at = p.k.boundary(w.at[a] * p.step[a] - p.before[a], p.n[a], p.mode)
        if at < 0:
            w.x = NULL
            return
        w.x += at * p.xs[a]
        if p.mask != NULL:
            w.mask += at * p.ms[a]


cdef void lift_sheet(const Plan *t, Work *w, idx position, Area to) noexcept nogil:
    """The sheet at a position of the array, which may lie outside."""
    cdef const Lines *p = t.p
    cdef int a, last = p.ndim - 1
    cdef idx i, rest, at
    cdef const char *x
    cdef const char *mask
    for i in range(w.lines):
        x, mask, rest = w.x, w.mask, i
        for a in range(last - 1, t.axis - 1, -1):
            at = position
            if a > t.axis:
                at = w.start[a] + rest % w.width[a]
                rest //= w.width[a]
            at = p.k.boundary(at, p.n[a], p.mode)
            if at < 0:
                x = NULL
            if x != NULL:
                x += at * p.xs[a]
            if mask != NULL:
                mask += at * p.ms[a]
        lift_line(t, w, x, mask, w.start[last], w.width[last], to, i * t.pitch)


# ---- results ----

cdef void conclude(const Plan *t, Work *w, idx o, idx line, Area parts, idx at, idx first, idx n) noexcept nogil:
    """Results of n windows in a row from position `first` of an output line on: `line` counts those of the axes between the
    walk, at output o, and the lines. The first of them that is an output stands at `at` in `parts`."""
    cdef const Lines *p = t.p
    cdef int a, r, u, last = p.ndim - 1
    cdef idx offset = 0, rest = line
    cdef bint direct
    cdef const Near *own
    cdef fc_conclude q
    cdef fc_put put
    cdef char *results = w.memory + round_up(t.row * p.item) + round_up(t.row) + 2 * FC_LINE_SLACK
    for u in range(FC_PARTS):
        q.parts[u] = NULL
    for u in range(t.parts):
        q.parts[t.units[u].part] = number(t, parts, u, at)
    q.plane, q.n, q.cells = parts.plane, n, p.cells
    for r in range(t.count):
        own = <const Near *>t.reducers[r].own
        offset, rest = 0, line
        for a in range(last - 1, -1, -1):
            if a > t.axis:
                offset += (w.at[a] + rest % w.count[a]) * t.reducers[r].os[a]
                rest //= w.count[a]
            else:
                offset += (o if a == t.axis else w.at[a]) * t.reducers[r].os[a]
        q.reduction, q.ddof, q.wide, q.nothing = own.reduction, own.ddof, own.wide, own.nothing
        put.dst_step, put.dst = t.reducers[r].os[last], t.reducers[r].out + offset + first * t.reducers[r].os[last]
        put.src, put.src_step, put.n = results, p.step[last] * kind_bytes(own.plain), ceil_div(n, p.step[last])
        put.kind, put.source = t.reducers[r].out_kind, own.plain
        direct = (put.kind == put.source and put.dst_step == put.src_step and p.step[last] == 1
                  and <size_t>put.dst % kind_bytes(own.plain) == 0)
        q.out = put.dst if direct else results
        t.k.conclude(&q)
        if not direct:
            p.k.put_line(&put)


cdef void beyond_of(const Plan *t, Work *w, const Beyond *beyond, int a, Area sheet, idx at, idx shift, idx n, Area to,
                    Area spare) noexcept nogil:
    """What lies beyond the windows of axis a within a sheet: `shift` is from one of its positions to the next."""
    cdef idx first = beyond.first - (w.at[a] * t.p.step[a] - t.before[a]), i
    if beyond.periodic:
        first = (first % beyond.count + beyond.count) % beyond.count
    copy(t, spare, 0, sheet, at + first * shift, n)
    for i in range(1, beyond.count):
        if sheet.plane == spare.plane:
            join(t, spare, 0, spare, 0, sheet, at + (first + i) * shift, n)
        else:
            copy(t, to, 0, sheet, at + (first + i) * shift, n)
            join(t, spare, 0, spare, 0, to, 0, n)
    power(t, to, spare, beyond.times, n)


cdef inline idx block_of(idx window, idx least) noexcept nogil:
    """Positions of a block."""
    while least * least < 2 * window:
        least *= 2
    return max(min(least, window - 1), 1)


cdef inline bint glides(const Plan *t, int a) noexcept nogil:
    """Whether windows along an axis between are found in blocks: what these take beside the axis must fit a sheet, whose lines
    are at least as many as a window's."""
    cdef idx c = block_of(t.w[a], LEAST_BLOCK)
    return (t.w[a] >= max(LEAST_GLIDE, c + t.w[a] // c + 2)
            and t.beyond[a][0].times == 0 and t.beyond[a][1].times == 0)


cdef inline idx kept_at(const Plan *t, const Work *w, int a, idx position) noexcept nogil:
    """Which of the lines that are kept is at a position of the axis with what lies before it."""
    cdef idx at = position - t.before[a], inside
    if w.width[a] < w.r[a]:
        inside = t.p.k.boundary(at, t.p.n[a], t.p.mode)
        at = inside if inside >= 0 else -1 if at < 0 else t.p.n[a]
    return at - w.start[a]


cdef void glide(const Plan *t, Work *w, int a, idx base, idx shift, Area lines, Area to, Area spare) noexcept nogil:
    """fold() of the lines from `base` on as the walk does it, which goes through each line a few times, not once for each bit."""
    cdef idx c = block_of(t.w[a], LEAST_BLOCK), step = t.p.step[a], window = t.w[a]
    cdef idx low = w.at[a] * step, high = (w.at[a] + w.count[a] - 1) * step, first = low // c + 1
    cdef idx i, j, b, o, here, next = 0, position
    cdef idx prefix = c * shift, middle = prefix + shift, totals = middle + shift, between
    for j in range(first, (high + window - 1) // c):
        here = totals + (j - first) * shift
        copy(t, spare, here, lines, base + kept_at(t, w, a, j * c) * shift, shift)
        for i in range(1, c):
            join(t, spare, here, spare, here, lines, base + kept_at(t, w, a, j * c + i) * shift, shift)
    for j in range(low // c, high // c + 1):
        copy(t, spare, (c - 1) * shift, lines, base + kept_at(t, w, a, j * c + c - 1) * shift, shift)
        for i in range(c - 2, max(low - j * c, 0) - 1, -1):
            join(t, spare, i * shift, lines, base + kept_at(t, w, a, j * c + i) * shift, spare, (i + 1) * shift, shift)
        between = j + 1
        for o in range(ceil_div(max(low, j * c), step), min(high, j * c + c - 1) // step + 1):
            position = o * step
            b = (position + window - 1) // c
            if next <= b * c:
                next = b * c + 1
                copy(t, spare, prefix, lines, base + kept_at(t, w, a, b * c) * shift, shift)
            while next <= position + window - 1:
                join(t, spare, prefix, spare, prefix, lines, base + kept_at(t, w, a, next) * shift, shift)
                next += 1
            while between < b:
                here = totals + (between - first) * shift
                if between == j + 1:
                    copy(t, spare, middle, spare, here, shift)
                else:
                    join(t, spare, middle, spare, middle, spare, here, shift)
                between += 1
            here = base + (position - low) * shift
            join(t, to, here, spare, (position - j * c) * shift, spare, prefix, shift)
            if between > j + 1:
                join(t, to, here, to, here, spare, middle, shift)


cdef void fold_axis(const Plan *t, Work *w, int a, idx outer, idx shift, Area from_, Area to, Area spare,
                    Area more) noexcept nogil:
    """Windows along an axis of a sheet."""
    cdef idx n = outer * w.width[a] * shift, i, o
    cdef int side
    if glides(t, a):
        for i in range(outer):
            glide(t, w, a, i * w.width[a] * shift, shift, from_, to, spare)
    else:
        fold(t, to, from_, 0, t.w[a], shift, n)
    for side in range(2):
        for i in range(outer if t.beyond[a][side].times else 0):
            beyond_of(t, w, &t.beyond[a][side], a, from_, i * w.r[a] * shift, shift, shift, spare, more)
            for o in range(w.r[a] - t.w[a] + 1):
                join(t, to, (i * w.r[a] + o) * shift, to, (i * w.r[a] + o) * shift, spare, 0, shift)


cdef void spread(const Plan *t, Work *w, Area sheet, idx at, Area to) noexcept nogil:
    """All that windows see of a line of a sheet: what lies beyond the array repeats what lies in it."""
    cdef const Lines *p = t.p
    cdef int last = p.ndim - 1, u
    cdef idx i, item
    cdef fc_fill q
    if w.width[last] == w.r[last]:
        copy(t, to, 0, sheet, at, w.r[last])
        return
    q.mask, q.present, q.omit, q.other, q.mode, q.n = NULL, NULL, False, 0, p.mode, p.n[last]
    q.start, q.length = w.at[last] * p.step[last] - t.before[last], w.r[last]
    for u in range(t.parts):
        item = t.units[u].item
        q.kind, q.step = FC_U8 if item == 1 else FC_U16 if item == 2 else FC_U32 if item == 4 else FC_U64, item
        for i in range(t.units[u].planes):
            q.src = number(t, sheet, u, i * sheet.plane + at - w.start[last])
            q.cval = q.src + (-1 if w.start[last] < 0 else q.n) * item
            q.dst = number(t, to, u, i * to.plane)
            p.k.fill_line(&q)


cdef void finish_line(const Plan *t, Work *w, idx o, idx line, Area sheet, idx at, Area one, Area row) noexcept nogil:
    """One output line from a line of parts that are those of windows along all other axes."""
    cdef const Lines *p = t.p
    cdef int last = p.ndim - 1, side
    cdef idx n = (w.count[last] - 1) * p.step[last] + 1, i
    cdef Area single, base, same
    single.at = w.memory + line_bytes(t) - 2 * ONE * t.bytes_
    base.at = single.at + ONE * t.bytes_
    single.plane = base.plane = ONE
    same.at, same.plane = one.at + t.row * t.bytes_, t.row
    # Areas whose planes are apart differently join only if each part is one plane.
    if w.width[last] < w.r[last] or t.w[last] > 1 and t.moments:
        spread(t, w, sheet, at, one)
        sheet, at = one, 0
    if t.w[last] > 1:
        fold(t, row, sheet, at, t.w[last], 1, w.r[last])
        for side in range(2):
            if t.beyond[last][side].times:
                beyond_of(t, w, &t.beyond[last][side], last, sheet, at, 1, 1, single, base)
                repeat(t, same, single, n)
                join(t, row, 0, row, 0, same, 0, n)
        sheet, at = row, 0
    conclude(t, w, o, line, sheet, at, w.at[last], n)


cdef void finish_sheet(const Plan *t, Work *w, idx o, Area sheet, Area other, Area spare, Area more, Area one,
                       Area row) noexcept nogil:
    """The output lines of a sheet of windows along the axis that is walked."""
    cdef const Lines *p = t.p
    cdef int a, last = p.ndim - 1
    cdef idx outer = 1, inner = w.lines * t.pitch, lines = 1, i, rest, at, stride
    for a in range(t.axis + 1, last):
        inner //= w.width[a]
        if t.w[a] > 1:
            fold_axis(t, w, a, outer, inner, sheet, other, spare, more)
            sheet, other = other, sheet
        outer *= w.width[a]
        lines *= w.count[a]
    for i in range(lines):
        at, rest, stride = 0, i, t.pitch
        for a in range(last - 1, t.axis, -1):
            at += rest % w.count[a] * p.step[a] * stride
            rest //= w.count[a]
            stride *= w.width[a]
        finish_line(t, w, o, i, sheet, at, one, row)


# ---- the walk over sheets ----

cdef inline Area sheet_at(const Plan *t, const Work *w, idx i) noexcept nogil:
    cdef Area area
    area.at, area.plane = w.memory + line_bytes(t) + i * t.plane * t.bytes_, t.plane
    return area


cdef bint walk_sheets(const Plan *t, Work *w) noexcept nogil:
    """A tile; returns whether the call must end."""
    cdef const Lines *p = t.p
    cdef int side
    cdef idx c = t.block, step = p.step[t.axis], window = t.w[t.axis], before = t.before[t.axis], n = w.lines * t.pitch
    cdef idx low = w.at[t.axis] * step, high = (w.at[t.axis] + w.count[t.axis] - 1) * step
    cdef idx first = low // c + 1, loaded = -1, i, j, b, position, o, between, next = 0
    cdef idx suffix = SPARE, totals = SPARE + c
    cdef Area middle = sheet_at(t, w, 0), sheet = sheet_at(t, w, 1), other = sheet_at(t, w, 2), beyond = sheet_at(t, w, 3)
    cdef Area spare = sheet_at(t, w, 4), more = sheet_at(t, w, 5), prefix = sheet_at(t, w, 6), here, one, row
    cdef bint has_beyond = False
    cdef double work = <double>n * t.bytes_ / 8
    one.at = w.memory + line_bytes(t) + (c + t.totals + SPARE) * t.plane * t.bytes_
    row.at = one.at + 2 * t.row * t.bytes_
    one.plane = row.plane = t.row
    for side in range(2):
        if t.beyond[t.axis][side].times:
            for i in range(t.beyond[t.axis][side].count):
                lift_sheet(t, w, t.beyond[t.axis][side].first + i, spare)
                if i:
                    join(t, more, 0, more, 0, spare, 0, n)
                else:
                    copy(t, more, 0, spare, 0, n)
                if tick(&w.clock, 8 * work):
                    return True
            power(t, spare, more, t.beyond[t.axis][side].times, n)
            if has_beyond:
                join(t, beyond, 0, beyond, 0, spare, 0, n)
            else:
                copy(t, beyond, 0, spare, 0, n)
            has_beyond = True
    # The blocks that lie between the first and the last of some window.
    for j in range(first, (high + window - 1) // c):
        here = sheet_at(t, w, totals + j - first)
        for i in range(c):
            lift_sheet(t, w, j * c + i - before, spare if i else here)
            if i:
                join(t, here, 0, here, 0, spare, 0, n)
            if tick(&w.clock, 8 * work):
                return True
    for j in range(low // c, high // c + 1):
        for i in range(c - 1, max(low - j * c, 0) - 1, -1):
            here = sheet_at(t, w, suffix + i)
            lift_sheet(t, w, j * c + i - before, here)
            if i < c - 1:
                join(t, here, 0, here, 0, sheet_at(t, w, suffix + i + 1), 0, n)
            if tick(&w.clock, 8 * work):
                return True
        between = j + 1
        for o in range(ceil_div(max(low, j * c), step), min(high, j * c + c - 1) // step + 1):
            position = o * step + window - 1
            b = position // c
            if b != loaded:
                loaded, next = b, b * c
            while next <= position:
                lift_sheet(t, w, next - before, spare if next > b * c else prefix)
                if next > b * c:
                    join(t, prefix, 0, prefix, 0, spare, 0, n)
                next += 1
                if tick(&w.clock, 8 * work):
                    return True
            while between < b:
                here = sheet_at(t, w, totals + between - first)
                if between == j + 1:
                    copy(t, middle, 0, here, 0, n)
                else:
                    join(t, middle, 0, middle, 0, here, 0, n)
                between += 1
            join(t, sheet, 0, sheet_at(t, w, suffix + o * step - j * c), 0, prefix, 0, n)
            if between > j + 1:
                join(t, sheet, 0, sheet, 0, middle, 0, n)
            if has_beyond:
                join(t, sheet, 0, sheet, 0, beyond, 0, n)
            finish_sheet(t, w, o, sheet, other, spare, more, one, row)
            if tick(&w.clock, 16 * work):
                return True
    return False


# ---- the walk along lines, where no other axis has a window ----

cdef inline Area row_at(const Plan *t, const Work *w, idx i) noexcept nogil:
    cdef Area area
    area.at, area.plane = w.memory + line_bytes(t) + i * t.row * t.bytes_, t.row
    return area


cdef void total_of(const Plan *t, Area span, idx n) noexcept nogil:
    """The first number becomes what n of them come to; the others are overwritten."""
    cdef idx half
    while n > 1:
        half = (n + 1) // 2
        join(t, span, 0, span, 0, span, half, n - half)
        n = half


cdef bint walk_line(const Plan *t, Work *w) noexcept nogil:
    cdef const Lines *p = t.p
    cdef int a = t.axis, side
    cdef idx c = t.block, step = p.step[a], window = t.w[a], before = t.before[a]
    cdef idx low = w.at[a] * step, high = (w.at[a] + w.count[a] - 1) * step
    cdef idx first = low // c + 1, loaded = -1, i, j, b, m, o, begin, end, have
    cdef Area suffix = row_at(t, w, 0), prefix = row_at(t, w, 1), other = row_at(t, w, 2), row = row_at(t, w, 3)
    cdef Area middle = row_at(t, w, 4), single = row_at(t, w, 5), base = row_at(t, w, 6), totals, some
    cdef bint has_beyond = False
    cdef double work = <double>c * t.bytes_ / 8
    totals.at = w.memory + line_bytes(t) + 8 * t.row * t.bytes_
    totals.plane = t.totals + 64
    some.at, some.plane = totals.at + totals.plane * t.bytes_, totals.plane
    for side in range(2):
        if t.beyond[a][side].times:
            have = 0
            while have < t.beyond[a][side].count:
                i = min(c, t.beyond[a][side].count - have)
                lift_line(t, w, w.x, w.mask, t.beyond[a][side].first + have, i, suffix, 0)
                total_of(t, suffix, i)
                if have:
                    join(t, base, 0, base, 0, suffix, 0, 1)
                else:
                    copy(t, base, 0, suffix, 0, 1)
                have += i
                if tick(&w.clock, 8 * work):
                    return True
            power(t, middle, base, t.beyond[a][side].times, 1)
            if has_beyond:
                join(t, single, 0, single, 0, middle, 0, 1)
            else:
                copy(t, single, 0, middle, 0, 1)
            has_beyond = True
    for j in range(first, (high + window - 1) // c):
        lift_line(t, w, w.x, w.mask, j * c - before, c, suffix, 0)
        total_of(t, suffix, c)
        copy(t, totals, j - first, suffix, 0, 1)
        if tick(&w.clock, 8 * work):
            return True
    for j in range(low // c, high // c + 1):
        lift_line(t, w, w.x, w.mask, j * c - before, c, suffix, 0)
        m = 1
        while m < c:
            join(t, suffix, 0, suffix, 0, suffix, m, c - m)
            m *= 2
        begin = max(low, j * c)
        begin = ceil_div(begin, step) * step
        while begin <= min(high, j * c + c - 1):
            b = (begin + window - 1) // c
            end = min(min(high, j * c + c - 1), (b + 1) * c - window) + 1    # of the windows that end in this block
            if b != loaded:
                loaded = b
                lift_line(t, w, w.x, w.mask, b * c - before, c, prefix, 0)
                m = 1
                while m < c:
                    join(t, other, m, prefix, 0, prefix, m, c - m)
                    copy(t, other, 0, prefix, 0, m)
                    prefix, other = other, prefix
                    m *= 2
            join(t, row, 0, suffix, begin - j * c, prefix, begin + window - 1 - b * c, end - begin)
            if b - j > 1:
                copy(t, some, 0, totals, j + 1 - first, b - j - 1)
                total_of(t, some, b - j - 1)
                copy(t, base, 0, some, 0, 1)
                repeat(t, middle, base, end - begin)
                join(t, row, 0, row, 0, middle, 0, end - begin)
            if has_beyond:
                repeat(t, middle, single, end - begin)
                join(t, row, 0, row, 0, middle, 0, end - begin)
            conclude(t, w, 0, 0, row, 0, begin // step, end - begin)
            begin = ceil_div(end, step) * step
            if tick(&w.clock, 40 * work):
                return True
    return False


cdef void keep(const Plan *t, Work *w, int a) noexcept nogil:
    """Which positions of an axis sheets hold: what lies in the array of all that windows see or that repeats there, and one
    position beyond each end where nothing repeats, if they are fewer than all."""
    cdef const Lines *p = t.p
    cdef idx n = p.n[a], start = w.at[a] * p.step[a] - t.before[a], end = start + w.r[a], first = n, stop = 0
    cdef idx i, at
    w.start[a], w.width[a] = start, w.r[a]
    if a < p.ndim - 1 and not glides(t, a):
        return
    if p.mode in (FC_CONSTANT, FC_IGNORE) or n == 0:
        first, stop = min(max(start, -1), n), max(min(end, n + 1), 0)
    else:
        i = start
        while i < end:
            at = p.k.boundary(i, n, p.mode)
            first, stop = min(first, at), max(stop, at + 1)
            i = min(end, n) - 1 if 0 <= i < min(end, n) - 1 else i + 1
    # Of the axes between, their windows take the same lines.
    if stop - first < w.width[a] and (a == p.ndim - 1 or stop - first > w.r[a] - t.w[a]):
        w.start[a], w.width[a] = first, stop - first


cdef bint walk(const Plan *t, Work *w, idx tile) noexcept nogil:
    cdef const Lines *p = t.p
    cdef int a
    w.lines = 1
    for a in range(p.ndim - 1, -1, -1):
        w.at[a] = tile % t.blocks[a] * t.b[a]
        tile //= t.blocks[a]
        w.count[a] = min(t.b[a], p.m[a] - w.at[a])
        w.r[a] = (w.count[a] - 1) * p.step[a] + t.w[a]
        if a > t.axis:
            keep(t, w, a)
        if t.axis < a < p.ndim - 1:
            w.lines *= w.width[a]
    locate(t, w)
    if t.axis == p.ndim - 1:
        return walk_line(t, w)
    return walk_sheets(t, w)


cdef void walk_some(const Plan *t, Work *w, idx first, idx end) noexcept nogil:
    while first < end and not walk(t, w, first):
        first += 1


cdef int end() except -1:
    """Raises what a signal's handler has raised."""
    return -1


cdef class Boxes(Walk):
    """One pass over an array for reductions of a large box."""
    cdef Plan plan

    def __cinit__(self, geometry):
        cdef Plan *t = &self.plan
        cdef Lines *p = &self.p
        cdef int a
        t.p = p
        p.cells = 1
        t.axis = -1
        for a in range(p.ndim):
            p.cells *= p.w[a]
            shorten(t, a)
            if t.axis < 0 and p.w[a] > 1:
                t.axis = a

    cdef void keep_part(self, int part) noexcept:
        """Makes a part one of those that are kept."""
        cdef Plan *t = &self.plan
        cdef Unit *unit = &t.units[t.parts]
        cdef int u
        for u in range(t.parts):
            if t.units[u].part == part:
                return
        unit.part, unit.before = part, t.bytes_
        unit.item = self.p.item if part == FC_PART_LEAST or part == FC_PART_GREATEST else 8
        unit.planes = FC_MOMENT_PLANES(self.p.item if self.p.native >= FC_U8 else 0) if part == FC_PART_MOMENTS else 1
        t.moments = t.moments or unit.planes > 1
        t.bytes_ += unit.item * unit.planes
        t.parts += 1

    cdef void keep_parts(self, const Near *own) noexcept:
        """Those that a reduction needs."""
        cdef bint whole = self.p.native >= FC_U8
        if self.p.presence:
            self.keep_part(FC_PART_PRESENT)
        if own.reduction in (FC_NEAR_MIN, FC_NEAR_RANGE):
            self.keep_part(FC_PART_LEAST)
        if own.reduction in (FC_NEAR_MAX, FC_NEAR_RANGE):
            self.keep_part(FC_PART_GREATEST)
        if own.reduction in (FC_NEAR_COUNT, FC_NEAR_ANY, FC_NEAR_ALL):
            self.keep_part(FC_PART_NONZERO)
        if own.reduction in (FC_NEAR_VAR, FC_NEAR_STD):
            self.keep_part(FC_PART_MOMENTS)
        if own.reduction in (FC_NEAR_SUM, FC_NEAR_MEAN):
            self.keep_part(FC_PART_WHOLE if whole else FC_PART_SUM)
            if whole and self.p.item == 8 and (own.wide or own.reduction == FC_NEAR_MEAN):
                self.keep_part(FC_PART_HIGH)

    def run(self, workers):
        """Runs all reductions, once over the array, and then lets go of the arrays."""
        cdef Plan *t = &self.plan
        cdef Lines *p = &self.p
        cdef double work = 40
        cdef idx size
        cdef int a, i, threads, opened = 0
        cdef Watch watch
        cdef Work *members
        for i in range(self.count):
            self.keep_parts(<const Near *>self.reducers[i].own)
        for a in range(p.ndim):
            work *= p.m[a]
        if self.count == 0 or work == 0:
            return
        t.k, t.reducers, t.count = plain_elements(p), self.reducers, self.count
        threads = team(workers, work)
        t.block = block_of(t.w[t.axis], LEAST_BLOCK if t.axis < p.ndim - 1 else LINE_BLOCK)
        cut(t, SHARED_BYTES // threads + OWN_BYTES, threads)
        threads = crew(threads, t.tiles)
        size = tile_bytes(t) + 192
        members = <Work *>PyMem_RawCalloc(threads, sizeof(Work))
        if members == NULL:
            raise MemoryError()
        try:
            for i in range(threads):
                members[i].memory = <char *>PyMem_RawMalloc(size)
                if members[i].memory == NULL:
                    raise MemoryError(f"neighborhood_reduce could not allocate {size} bytes of workspace")
                opened += 1
                start_clock(&members[i].clock, &watch, i)
            if threads == 1:
                with nogil:
                    walk_some(t, members, 0, t.tiles)
            else:
                for i in prange(threads, nogil=True, num_threads=threads, schedule="static", chunksize=1):
                    walk_some(t, &members[i], t.tiles * i // threads, t.tiles * (i + 1) // threads)
            if watch.stop:
                end()
        finally:
            for i in range(opened):
                PyMem_RawFree(members[i].memory)
            PyMem_RawFree(members)
            self.keep = None
