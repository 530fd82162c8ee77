"""The plan of a large box. Next hop: box_plan.pyx, which makes it; box_parts.pyx and boxes.pyx, which run it."""
from fastconv._drivers.common cimport idx
from fastconv._drivers.neighborhood.engine cimport AXES, Lines, Reducer
from fastconv._drivers.neighborhood.table cimport FC_LINE_SLACK, FC_PARTS, fc_elements
from fastconv._drivers.runtime cimport Worker

cdef idx LEAST_BLOCK             # sheets of a block, unless the window is shorter
cdef idx LINE_BLOCK              # positions of a block along the only axis with a window
cdef idx SHARED_BYTES            # of all threads together
cdef idx OWN_BYTES               # and of each
cdef idx LEAST_IN_BLOCKS             # window of an axis between that is not found in less steps by doubling

cdef enum:
    SPARE = 7                    # sheets beside those of a block and the totals
    ONE = 64                     # numbers of a plane of single parts

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
    idx part_bytes               # of an element's parts
    int axis                     # which is walked
    idx window[AXES]             # windows without what lies beyond
    idx before[AXES]
    Beyond beyond[AXES][2]
    idx period[AXES]
    idx block                    # positions of a block
    idx tile[AXES]               # outputs of a tile
    idx tiles_on[AXES]
    idx tiles
    idx lines, pitch             # of a sheet; numbers of a line: of what lies in the array, and one beyond each end
    idx plane                    # numbers of a plane of parts
    idx row                      # of those of a line
    idx totals                   # blocks that lie between two of a tile


cdef struct Thread:
    Worker worker
    idx at[AXES]                 # the tile's first output
    idx count[AXES]
    idx reach[AXES]              # positions that its windows see
    idx lines                    # of its sheets
    idx start[AXES]              # positions of the array that they hold, on each axis after the one that is walked
    idx width[AXES]
    const char *x                # of the axes before the one that is walked; NULL: outside
    const char *mask


cdef inline idx reach(const Plan *plan, int a) noexcept nogil:
    return (plan.tile[a] - 1) * plan.p.step[a] + plan.window[a]


cdef inline idx line_bytes(const Plan *plan) noexcept nogil:
    """A line of elements, its presence, a line of results, and two single parts."""
    return (plan.row * (plan.p.item + 1 + 8) + 3 * (FC_LINE_SLACK + 64) + 2 * ONE * plan.part_bytes)


cdef inline idx block_of(idx window, idx least) noexcept nogil:
    """Positions of a block."""
    while least * least < 2 * window:
        least *= 2
    return max(min(least, window - 1), 1)


cdef inline bint takes_blocks(const Plan *plan, int a) noexcept nogil:
    """Whether windows along an axis between are found in blocks: what these take beside the axis must fit a sheet, whose lines
    are at least as many as a window's."""
    cdef idx c = block_of(plan.window[a], LEAST_BLOCK)
    return (plan.window[a] >= max(LEAST_IN_BLOCKS, c + plan.window[a] // c + 2)
            and plan.beyond[a][0].times == 0 and plan.beyond[a][1].times == 0)


cdef void shorten(Plan *plan, int a) noexcept
cdef void keep_parts(Plan *plan, int reduction, bint wide) noexcept
cdef idx tile_bytes(Plan *plan) noexcept
cdef void cut(Plan *plan, idx budget, idx threads) noexcept
