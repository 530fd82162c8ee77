"""Which boxes are large, which parts of them are kept, and how a large one is cut into tiles. boxes.pyx says how these are
walked. Next hop: box_parts.pyx.
"""
import math

from fastconv._drivers.base cimport FC_MIRROR, FC_REFLECT, FC_U8, FC_WRAP
from fastconv._drivers.common cimport ceil_div, idx, round_up
from fastconv._drivers.neighborhood.engine cimport Lines
from fastconv._drivers.neighborhood.table cimport (
    FC_MOMENT_PLANES,
    FC_REDUCE_ALL,
    FC_REDUCE_ANY,
    FC_REDUCE_COUNT,
    FC_REDUCE_MAX,
    FC_REDUCE_MEAN,
    FC_REDUCE_MIN,
    FC_REDUCE_RANGE,
    FC_REDUCE_STD,
    FC_REDUCE_SUM,
    FC_REDUCE_VAR,
    FC_PART_GREATEST,
    FC_PART_HIGH,
    FC_PART_LEAST,
    FC_PART_MOMENTS,
    FC_PART_NONZERO,
    FC_PART_PRESENT,
    FC_PART_SUM,
    FC_PART_WHOLE,
)
from fastconv._drivers.runtime cimport seam

cdef idx LARGE_WINDOW = 1 << 20  # cost of a window's elements in a strip, from which on a box is large
cdef idx LARGE_COLUMN = 4000     # bytes that are kept of a window's column
cdef idx WHOLE_CELLS = 16        # of means of 64-bit integers, which else are found in the plain way
cdef idx LARGE_MASKED = 1 << 10   # cells, where some may not count
cdef idx LONG_ROW = 1 << 12      # cells of a window in one line
cdef idx LONG_SUMS = 3 << 15     # numbers of a strip of sums, which else are found in blocks of their own
cdef idx MOST_LINES = 16         # windows of sums that are as many lines long see little but repetition
cdef idx LEAST_BLOCK = 8         # sheets of a block, unless the window is shorter
cdef idx LINE_BLOCK = 1 << 12    # positions of a block along the only axis with a window
cdef idx SHARED_BYTES = 15 << 20 # of all threads together
cdef idx OWN_BYTES = 7 << 19     # and of each
cdef idx BOX_STRIP = 64          # outputs of a strip of lines
cdef idx LEAST_IN_BLOCKS = 20        # window of an axis between that is not found in less steps by doubling

seam("neighborhood.LARGE_WINDOW", &LARGE_WINDOW)
seam("neighborhood.LARGE_COLUMN", &LARGE_COLUMN)
seam("neighborhood.WHOLE_CELLS", &WHOLE_CELLS)
seam("neighborhood.LARGE_MASKED", &LARGE_MASKED)
seam("neighborhood.LONG_ROW", &LONG_ROW)
seam("neighborhood.LONG_SUMS", &LONG_SUMS)
seam("neighborhood.MOST_LINES", &MOST_LINES)
seam("neighborhood.LEAST_BLOCK", &LEAST_BLOCK)
seam("neighborhood.LINE_BLOCK", &LINE_BLOCK)
seam("neighborhood.SHARED_BYTES", &SHARED_BYTES)
seam("neighborhood.OWN_BYTES", &OWN_BYTES)
seam("neighborhood.BOX_STRIP", &BOX_STRIP)
seam("neighborhood.LEAST_IN_BLOCKS", &LEAST_IN_BLOCKS)

_NAMES = ("min", "max", "range", "sum", "mean", "var", "std", "count", "any", "all")


def takes(name, geometry):
    """Whether a reduction is that of a large box. It depends on shapes and the dtype alone: its bits do."""
    cdef idx item = geometry.cval.dtype.itemsize, n, row, lines, cells, length, doubled, kept, strip
    cdef bint squares = name in ("var", "std"), sums = squares or name in ("sum", "mean")
    if geometry.cells is not None or name not in _NAMES:
        return False
    *outer, row, length = geometry.window
    lines = math.prod(outer) * row
    cells = lines * length
    if cells == 1:
        return False
    if geometry.presence and cells >= LARGE_MASKED:
        return True
    if lines == 1 and length >= LONG_ROW:
        *_, n = geometry.arrange(geometry.x).shape
        strip = (length + min(n, 2 * length)) * (3 if squares else 1)
        if not sums or strip >= LONG_SUMS or length >= MOST_LINES * n:
            return True
    if item == 8 and geometry.cval.dtype.kind in "iu" and (squares or name == "mean"):
        return (cells // 4 if squares else 4 * cells if lines > 1 else cells) >= WHOLE_CELLS
    # Bytes that are kept of an element of a column, and those of a window's elements as often as blocks go through them: from
    # where both ways take as long.
    if squares:
        kept, doubled = 20, 3 * (item + 24)
    elif name in ("sum", "mean"):
        kept, doubled = (item + 8, 4 * (item + 8)) if item > 2 else (item + 4, item + 4)
    else:
        kept, doubled = item, item + 4
    # Blocks have fewer outputs on the axes before that of the rows.
    if max(row, 3 * max(outer, default=1)) * kept >= LARGE_COLUMN:
        return True
    return lines > 1 and lines * (length + 64) * doubled >= LARGE_WINDOW


# ---- the parts that are kept ----

cdef void keep_part(Plan *plan, int part) noexcept:
    """Makes a part one of those that are kept."""
    cdef const Lines *p = plan.p
    cdef Unit *unit = &plan.units[plan.parts]
    cdef int u
    for u in range(plan.parts):
        if plan.units[u].part == part:
            return
    unit.part, unit.before = part, plan.part_bytes
    unit.item = p.item if part == FC_PART_LEAST or part == FC_PART_GREATEST else 8
    unit.planes = FC_MOMENT_PLANES(p.item if p.native >= FC_U8 else 0) if part == FC_PART_MOMENTS else 1
    plan.moments = plan.moments or unit.planes > 1
    plan.part_bytes += unit.item * unit.planes
    plan.parts += 1


cdef void keep_parts(Plan *plan, int reduction, bint wide) noexcept:
    """Those that a reduction needs."""
    cdef bint whole = plan.p.native >= FC_U8
    if plan.p.presence:
        keep_part(plan, FC_PART_PRESENT)
    if reduction in (FC_REDUCE_MIN, FC_REDUCE_RANGE):
        keep_part(plan, FC_PART_LEAST)
    if reduction in (FC_REDUCE_MAX, FC_REDUCE_RANGE):
        keep_part(plan, FC_PART_GREATEST)
    if reduction in (FC_REDUCE_COUNT, FC_REDUCE_ANY, FC_REDUCE_ALL):
        keep_part(plan, FC_PART_NONZERO)
    if reduction in (FC_REDUCE_VAR, FC_REDUCE_STD):
        keep_part(plan, FC_PART_MOMENTS)
    if reduction in (FC_REDUCE_SUM, FC_REDUCE_MEAN):
        keep_part(plan, FC_PART_WHOLE if whole else FC_PART_SUM)
        if whole and plan.p.item == 8 and (wide or reduction == FC_REDUCE_MEAN):
            keep_part(plan, FC_PART_HIGH)


# ---- tiles ----

cdef void shorten(Plan *plan, int a) noexcept:
    """Splits the window of axis a into a short one and what lies beyond it."""
    cdef const Lines *p = plan.p
    cdef idx n = p.size[a], after = p.window[a] - 1 - p.before[a], period, times
    plan.window[a], plan.before[a] = p.window[a], p.before[a]
    if n == 0 or p.before[a] < 0 or after < 0:
        return
    if p.mode in (FC_REFLECT, FC_MIRROR, FC_WRAP):
        period = n if p.mode == FC_WRAP or n == 1 else 2 * n if p.mode == FC_REFLECT else 2 * n - 2
        times = p.window[a] // period - 2
        plan.period[a] = period
        if times > 0:
            plan.window[a] -= times * period
            plan.before[a] -= p.before[a] // period * period
            plan.beyond[a][0].count, plan.beyond[a][0].times, plan.beyond[a][0].periodic = period, times, True
        return
    if p.before[a] > n:
        plan.before[a] = n
        plan.window[a] -= p.before[a] - n
        plan.beyond[a][0].first, plan.beyond[a][0].count, plan.beyond[a][0].times = -1, 1, p.before[a] - n
    if after > n:
        plan.window[a] -= after - n
        plan.beyond[a][1].first, plan.beyond[a][1].count, plan.beyond[a][1].times = n, 1, after - n


cdef idx tile_bytes(Plan *plan) noexcept:
    """Fills in what follows from plan.tile; returns the bytes of a thread."""
    cdef const Lines *p = plan.p
    cdef int a, last = p.ndim - 1
    plan.tiles = plan.lines = 1
    for a in range(p.ndim):
        plan.tiles_on[a] = ceil_div(p.results[a], plan.tile[a])
        plan.tiles *= plan.tiles_on[a]
        if plan.axis < a < last:
            plan.lines *= reach(plan, a)
    plan.pitch = round_up(min(reach(plan, last), p.size[last] + 2) if plan.axis < last else plan.block, 16)
    plan.row = round_up(reach(plan, last) if plan.axis < last else plan.block, 64) + 64
    plan.plane = plan.lines * plan.pitch + 64
    plan.totals = reach(plan, plan.axis) // plan.block + 2
    if plan.axis == last:
        plan.totals = round_up(plan.totals)
        return (8 * plan.row + 2 * (plan.totals + 64)) * plan.part_bytes + line_bytes(plan)
    return ((plan.block + plan.totals + SPARE) * plan.plane + 4 * plan.row) * plan.part_bytes + line_bytes(plan)


cdef void cut(Plan *plan, idx budget, idx threads) noexcept:
    """The tile: all there is, halved where that takes the least beside outputs until it fits; then along the walk for threads."""
    cdef const Lines *p = plan.p
    cdef int a, last = p.ndim - 1, best
    cdef double halo, least
    cdef idx rest
    for a in range(p.ndim):
        plan.tile[a] = p.results[a] if a >= plan.axis else 1
    while tile_bytes(plan) > budget:
        best, least = -1, 0
        for a in range(plan.axis, p.ndim):
            if plan.tile[a] <= (BOX_STRIP if a == last else 1):
                continue
            # Of the axis that is walked more is only the totals' number, and these are read once more.
            if a == plan.axis and plan.totals <= plan.block:
                continue
            halo = <double>plan.window[a] / (<double>plan.tile[a] * p.step[a]) / (3 if a == plan.axis else 1)
            if best < 0 or halo < least:
                best, least = a, halo
        if best < 0:
            break
        plan.tile[best] = ceil_div(plan.tile[best], 2)
    rest = plan.tiles // plan.tiles_on[plan.axis]
    if plan.tiles < threads:
        plan.tile[plan.axis] = max(ceil_div(p.results[plan.axis], ceil_div(threads, rest)), 1)
        tile_bytes(plan)
