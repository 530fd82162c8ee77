"""Large boxes: min, max, range, sum, mean, var, std, count, any and all at a cost that does not grow with the window. Next hop:
kernels/neighborhood/box_parts.h.

The first axis with a window is walked in blocks of positions, a *sheet* of parts each (of all elements beside it that windows of
the tile see). A window begins in one block and ends in a later one: it is a suffix of the first, all blocks between, and a
prefix of the last (van Herk, Gil and Werman), so each element is joined a few times, and no more than some blocks of about
sqrt(window) sheets stand in memory. Windows along the other axes are then found within a sheet, by doubling: spans of 2m
positions are two spans of m.
Long windows along an axis between are found in blocks as well. Sheets hold what lies in the array; what windows see beyond it
repeats some of that.
Blocks begin where a multiple of their length is, so how the work is cut into tiles shows in no bit.

Of a window that is much longer than its axis all but a few elements lie outside, where the array is repeated: whole periods, or
what lies beyond the ends, are joined to each result as they are, and the window is that much shorter.
"""
cimport numpy as cnp

from fastconv._drivers.base cimport FC_CONSTANT, FC_IGNORE, FC_U16, FC_U32, FC_U64, FC_U8, fc_boundary
from fastconv._drivers.common cimport ceil_div, idx
from fastconv._drivers.neighborhood.box_parts cimport (
    Area,
    finish_windows,
    copy,
    windows_by_doubling,
    join,
    lift_line,
    lift_sheet,
    locate,
    number,
    power,
    repeat,
    total_of,
)
from fastconv._drivers.neighborhood.box_plan cimport (
    LEAST_BLOCK,
    LINE_BLOCK,
    ONE,
    OWN_BYTES,
    SHARED_BYTES,
    SPARE,
    Beyond,
    Plan,
    Thread,
    block_of,
    cut,
    takes_blocks,
    keep_parts,
    line_bytes,
    shorten,
    tile_bytes,
)
from fastconv._drivers.neighborhood.engine cimport Lines, Walk
from fastconv._drivers.neighborhood.plain cimport Named, plain_elements
from fastconv._drivers.neighborhood.table cimport fc_fill
from fastconv._drivers.runtime cimport crew, run_team, team, tick

cdef void beyond_of(const Plan *plan, Thread *t, const Beyond *beyond, int a, Area sheet, idx at, idx shift, idx n, Area to,
                    Area spare) noexcept nogil:
    """What lies beyond the windows of axis a within a sheet: `shift` is from one of its positions to the next."""
    cdef idx first = beyond.first - (t.at[a] * plan.p.step[a] - plan.before[a]), i
    if beyond.periodic:
        first = (first % beyond.count + beyond.count) % beyond.count
    copy(plan, spare, 0, sheet, at + first * shift, n)
    for i in range(1, beyond.count):
        if sheet.plane == spare.plane:
            join(plan, spare, 0, spare, 0, sheet, at + (first + i) * shift, n)
        else:
            copy(plan, to, 0, sheet, at + (first + i) * shift, n)
            join(plan, spare, 0, spare, 0, to, 0, n)
    power(plan, to, spare, beyond.times, n)


cdef inline idx kept_at(const Plan *plan, const Thread *t, int a, idx position) noexcept nogil:
    """Which of the lines that are kept is at a position of the axis with what lies before it."""
    cdef idx at = position - plan.before[a], inside
    if t.width[a] < t.reach[a]:
        inside = fc_boundary(at, plan.p.size[a], plan.p.mode)
        at = inside if inside >= 0 else -1 if at < 0 else plan.p.size[a]
    return at - t.start[a]


cdef void windows_by_blocks(const Plan *plan, Thread *t, int a, idx base, idx shift, Area lines, Area to,
                            Area spare) noexcept nogil:
    """The same as windows_by_doubling, of the lines from `base` on, as the walk finds windows: it goes through each line a few
    times, not once for each bit of the window."""
    cdef idx c = block_of(plan.window[a], LEAST_BLOCK), step = plan.p.step[a], window = plan.window[a]
    cdef idx low = t.at[a] * step, high = (t.at[a] + t.count[a] - 1) * step, first = low // c + 1
    cdef idx i, j, b, o, here, next = 0, position
    cdef idx prefix = c * shift, middle = prefix + shift, totals = middle + shift, between
    for j in range(first, (high + window - 1) // c):
        here = totals + (j - first) * shift
        copy(plan, spare, here, lines, base + kept_at(plan, t, a, j * c) * shift, shift)
        for i in range(1, c):
            join(plan, spare, here, spare, here, lines, base + kept_at(plan, t, a, j * c + i) * shift, shift)
    for j in range(low // c, high // c + 1):
        copy(plan, spare, (c - 1) * shift, lines, base + kept_at(plan, t, a, j * c + c - 1) * shift, shift)
        for i in range(c - 2, max(low - j * c, 0) - 1, -1):
            join(plan, spare, i * shift, lines, base + kept_at(plan, t, a, j * c + i) * shift, spare, (i + 1) * shift, shift)
        between = j + 1
        for o in range(ceil_div(max(low, j * c), step), min(high, j * c + c - 1) // step + 1):
            position = o * step
            b = (position + window - 1) // c
            if next <= b * c:
                next = b * c + 1
                copy(plan, spare, prefix, lines, base + kept_at(plan, t, a, b * c) * shift, shift)
            while next <= position + window - 1:
                join(plan, spare, prefix, spare, prefix, lines, base + kept_at(plan, t, a, next) * shift, shift)
                next += 1
            while between < b:
                here = totals + (between - first) * shift
                if between == j + 1:
                    copy(plan, spare, middle, spare, here, shift)
                else:
                    join(plan, spare, middle, spare, middle, spare, here, shift)
                between += 1
            here = base + (position - low) * shift
            join(plan, to, here, spare, (position - j * c) * shift, spare, prefix, shift)
            if between > j + 1:
                join(plan, to, here, to, here, spare, middle, shift)


cdef void axis_windows(const Plan *plan, Thread *t, int a, idx outer, idx shift, Area from_, Area to, Area spare,
                    Area more) noexcept nogil:
    """Windows along an axis of a sheet."""
    cdef idx n = outer * t.width[a] * shift, i, o
    cdef int side
    if takes_blocks(plan, a):
        for i in range(outer):
            windows_by_blocks(plan, t, a, i * t.width[a] * shift, shift, from_, to, spare)
    else:
        windows_by_doubling(plan, to, from_, 0, plan.window[a], shift, n)
    for side in range(2):
        for i in range(outer if plan.beyond[a][side].times else 0):
            beyond_of(plan, t, &plan.beyond[a][side], a, from_, i * t.reach[a] * shift, shift, shift, spare, more)
            for o in range(t.reach[a] - plan.window[a] + 1):
                join(plan, to, (i * t.reach[a] + o) * shift, to, (i * t.reach[a] + o) * shift, spare, 0, shift)


cdef void spread(const Plan *plan, Thread *t, Area sheet, idx at, Area to) noexcept nogil:
    """All that windows see of a line of a sheet: what lies beyond the array repeats what lies in it."""
    cdef const Lines *p = plan.p
    cdef int last = p.ndim - 1, u
    cdef idx i, item
    cdef fc_fill q
    if t.width[last] == t.reach[last]:
        copy(plan, to, 0, sheet, at, t.reach[last])
        return
    q.mask, q.present, q.omit, q.other, q.mode, q.n = NULL, NULL, False, 0, p.mode, p.size[last]
    q.start, q.length = t.at[last] * p.step[last] - plan.before[last], t.reach[last]
    for u in range(plan.parts):
        item = plan.units[u].item
        q.kind, q.step = FC_U8 if item == 1 else FC_U16 if item == 2 else FC_U32 if item == 4 else FC_U64, item
        for i in range(plan.units[u].planes):
            q.src = number(plan, sheet, u, i * sheet.plane + at - t.start[last])
            q.cval = q.src + (-1 if t.start[last] < 0 else q.n) * item
            q.dst = number(plan, to, u, i * to.plane)
            p.k.fill_line(&q)


cdef void finish_line(const Plan *plan, Thread *t, idx o, idx line, Area sheet, idx at, Area one, Area row) noexcept nogil:
    """One output line from a line of parts that are those of windows along all other axes."""
    cdef const Lines *p = plan.p
    cdef int last = p.ndim - 1, side
    cdef idx n = (t.count[last] - 1) * p.step[last] + 1, i
    cdef Area single, base, same
    single.at = t.worker.memory + line_bytes(plan) - 2 * ONE * plan.part_bytes
    base.at = single.at + ONE * plan.part_bytes
    single.plane = base.plane = ONE
    same.at, same.plane = one.at + plan.row * plan.part_bytes, plan.row
    # Areas whose planes are apart differently join only if each part is one plane.
    if t.width[last] < t.reach[last] or plan.window[last] > 1 and plan.moments:
        spread(plan, t, sheet, at, one)
        sheet, at = one, 0
    if plan.window[last] > 1:
        windows_by_doubling(plan, row, sheet, at, plan.window[last], 1, t.reach[last])
        for side in range(2):
            if plan.beyond[last][side].times:
                beyond_of(plan, t, &plan.beyond[last][side], last, sheet, at, 1, 1, single, base)
                repeat(plan, same, single, n)
                join(plan, row, 0, row, 0, same, 0, n)
        sheet, at = row, 0
    finish_windows(plan, t, o, line, sheet, at, t.at[last], n)


cdef void finish_sheet(const Plan *plan, Thread *t, idx o, Area sheet, Area other, Area spare, Area more, Area one,
                       Area row) noexcept nogil:
    """The output lines of a sheet of windows along the axis that is walked."""
    cdef const Lines *p = plan.p
    cdef int a, last = p.ndim - 1
    cdef idx outer = 1, inner = t.lines * plan.pitch, lines = 1, i, rest, at, stride
    for a in range(plan.axis + 1, last):
        inner //= t.width[a]
        if plan.window[a] > 1:
            axis_windows(plan, t, a, outer, inner, sheet, other, spare, more)
            sheet, other = other, sheet
        outer *= t.width[a]
        lines *= t.count[a]
    for i in range(lines):
        at, rest, stride = 0, i, plan.pitch
        for a in range(last - 1, plan.axis, -1):
            at += rest % t.count[a] * p.step[a] * stride
            rest //= t.count[a]
            stride *= t.width[a]
        finish_line(plan, t, o, i, sheet, at, one, row)


# ---- the walk over sheets ----

cdef inline Area sheet_at(const Plan *plan, const Thread *t, idx i) noexcept nogil:
    cdef Area area
    area.at, area.plane = t.worker.memory + line_bytes(plan) + i * plan.plane * plan.part_bytes, plan.plane
    return area


cdef bint walk_sheets(const Plan *plan, Thread *t) noexcept nogil:
    """A tile; returns whether the call must end."""
    cdef const Lines *p = plan.p
    cdef int side
    cdef idx c = plan.block, n = t.lines * plan.pitch
    cdef idx step = p.step[plan.axis], window = plan.window[plan.axis], before = plan.before[plan.axis]
    cdef idx low = t.at[plan.axis] * step, high = (t.at[plan.axis] + t.count[plan.axis] - 1) * step
    cdef idx first = low // c + 1, loaded = -1, i, j, b, position, o, between, next = 0
    cdef idx suffix = SPARE, totals = SPARE + c
    cdef Area middle = sheet_at(plan, t, 0), sheet = sheet_at(plan, t, 1), other = sheet_at(plan, t, 2)
    cdef Area beyond = sheet_at(plan, t, 3), spare = sheet_at(plan, t, 4), more = sheet_at(plan, t, 5)
    cdef Area prefix = sheet_at(plan, t, 6), here, one, row
    cdef bint has_beyond = False
    cdef double work = <double>n * plan.part_bytes / 8
    one.at = t.worker.memory + line_bytes(plan) + (c + plan.totals + SPARE) * plan.plane * plan.part_bytes
    row.at = one.at + 2 * plan.row * plan.part_bytes
    one.plane = row.plane = plan.row
    for side in range(2):
        if plan.beyond[plan.axis][side].times:
            for i in range(plan.beyond[plan.axis][side].count):
                lift_sheet(plan, t, plan.beyond[plan.axis][side].first + i, spare)
                if i:
                    join(plan, more, 0, more, 0, spare, 0, n)
                else:
                    copy(plan, more, 0, spare, 0, n)
                if tick(&t.worker.clock, 8 * work):
                    return True
            power(plan, spare, more, plan.beyond[plan.axis][side].times, n)
            if has_beyond:
                join(plan, beyond, 0, beyond, 0, spare, 0, n)
            else:
                copy(plan, beyond, 0, spare, 0, n)
            has_beyond = True
    # The blocks that lie between the first and the last of some window.
    for j in range(first, (high + window - 1) // c):
        here = sheet_at(plan, t, totals + j - first)
        for i in range(c):
            lift_sheet(plan, t, j * c + i - before, spare if i else here)
            if i:
                join(plan, here, 0, here, 0, spare, 0, n)
            if tick(&t.worker.clock, 8 * work):
                return True
    for j in range(low // c, high // c + 1):
        for i in range(c - 1, max(low - j * c, 0) - 1, -1):
            here = sheet_at(plan, t, suffix + i)
            lift_sheet(plan, t, j * c + i - before, here)
            if i < c - 1:
                join(plan, here, 0, here, 0, sheet_at(plan, t, suffix + i + 1), 0, n)
            if tick(&t.worker.clock, 8 * work):
                return True
        between = j + 1
        for o in range(ceil_div(max(low, j * c), step), min(high, j * c + c - 1) // step + 1):
            position = o * step + window - 1
            b = position // c
            if b != loaded:
                loaded, next = b, b * c
            while next <= position:
                lift_sheet(plan, t, next - before, spare if next > b * c else prefix)
                if next > b * c:
                    join(plan, prefix, 0, prefix, 0, spare, 0, n)
                next += 1
                if tick(&t.worker.clock, 8 * work):
                    return True
            while between < b:
                here = sheet_at(plan, t, totals + between - first)
                if between == j + 1:
                    copy(plan, middle, 0, here, 0, n)
                else:
                    join(plan, middle, 0, middle, 0, here, 0, n)
                between += 1
            join(plan, sheet, 0, sheet_at(plan, t, suffix + o * step - j * c), 0, prefix, 0, n)
            if between > j + 1:
                join(plan, sheet, 0, sheet, 0, middle, 0, n)
            if has_beyond:
                join(plan, sheet, 0, sheet, 0, beyond, 0, n)
            finish_sheet(plan, t, o, sheet, other, spare, more, one, row)
            if tick(&t.worker.clock, 16 * work):
                return True
    return False


# ---- the walk along lines, where no other axis has a window ----

cdef inline Area row_at(const Plan *plan, const Thread *t, idx i) noexcept nogil:
    cdef Area area
    area.at, area.plane = t.worker.memory + line_bytes(plan) + i * plan.row * plan.part_bytes, plan.row
    return area


cdef bint walk_line(const Plan *plan, Thread *t) noexcept nogil:
    cdef const Lines *p = plan.p
    cdef int a = plan.axis, side
    cdef idx c = plan.block, step = p.step[a], window = plan.window[a], before = plan.before[a]
    cdef idx low = t.at[a] * step, high = (t.at[a] + t.count[a] - 1) * step
    cdef idx first = low // c + 1, loaded = -1, i, j, b, m, o, begin, end, have
    cdef Area suffix = row_at(plan, t, 0), prefix = row_at(plan, t, 1), other = row_at(plan, t, 2), row = row_at(plan, t, 3)
    cdef Area middle = row_at(plan, t, 4), single = row_at(plan, t, 5), base = row_at(plan, t, 6), totals, some
    cdef bint has_beyond = False
    cdef double work = <double>c * plan.part_bytes / 8
    totals.at = t.worker.memory + line_bytes(plan) + 8 * plan.row * plan.part_bytes
    totals.plane = plan.totals + 64
    some.at, some.plane = totals.at + totals.plane * plan.part_bytes, totals.plane
    for side in range(2):
        if plan.beyond[a][side].times:
            have = 0
            while have < plan.beyond[a][side].count:
                i = min(c, plan.beyond[a][side].count - have)
                lift_line(plan, t, t.x, t.mask, plan.beyond[a][side].first + have, i, suffix, 0)
                total_of(plan, suffix, i)
                if have:
                    join(plan, base, 0, base, 0, suffix, 0, 1)
                else:
                    copy(plan, base, 0, suffix, 0, 1)
                have += i
                if tick(&t.worker.clock, 8 * work):
                    return True
            power(plan, middle, base, plan.beyond[a][side].times, 1)
            if has_beyond:
                join(plan, single, 0, single, 0, middle, 0, 1)
            else:
                copy(plan, single, 0, middle, 0, 1)
            has_beyond = True
    for j in range(first, (high + window - 1) // c):
        lift_line(plan, t, t.x, t.mask, j * c - before, c, suffix, 0)
        total_of(plan, suffix, c)
        copy(plan, totals, j - first, suffix, 0, 1)
        if tick(&t.worker.clock, 8 * work):
            return True
    for j in range(low // c, high // c + 1):
        lift_line(plan, t, t.x, t.mask, j * c - before, c, suffix, 0)
        m = 1
        while m < c:
            join(plan, suffix, 0, suffix, 0, suffix, m, c - m)
            m *= 2
        begin = max(low, j * c)
        begin = ceil_div(begin, step) * step
        while begin <= min(high, j * c + c - 1):
            b = (begin + window - 1) // c
            end = min(min(high, j * c + c - 1), (b + 1) * c - window) + 1    # of the windows that end in this block
            if b != loaded:
                loaded = b
                lift_line(plan, t, t.x, t.mask, b * c - before, c, prefix, 0)
                m = 1
                while m < c:
                    join(plan, other, m, prefix, 0, prefix, m, c - m)
                    copy(plan, other, 0, prefix, 0, m)
                    prefix, other = other, prefix
                    m *= 2
            join(plan, row, 0, suffix, begin - j * c, prefix, begin + window - 1 - b * c, end - begin)
            if b - j > 1:
                copy(plan, some, 0, totals, j + 1 - first, b - j - 1)
                total_of(plan, some, b - j - 1)
                copy(plan, base, 0, some, 0, 1)
                repeat(plan, middle, base, end - begin)
                join(plan, row, 0, row, 0, middle, 0, end - begin)
            if has_beyond:
                repeat(plan, middle, single, end - begin)
                join(plan, row, 0, row, 0, middle, 0, end - begin)
            finish_windows(plan, t, 0, 0, row, 0, begin // step, end - begin)
            begin = ceil_div(end, step) * step
            if tick(&t.worker.clock, 40 * work):
                return True
    return False


cdef void keep(const Plan *plan, Thread *t, int a) noexcept nogil:
    """Which positions of an axis sheets hold: what lies in the array of all that windows see or that repeats there, and one
    position beyond each end where nothing repeats, if they are fewer than all."""
    cdef const Lines *p = plan.p
    cdef idx n = p.size[a], start = t.at[a] * p.step[a] - plan.before[a], end = start + t.reach[a], first = n, stop = 0
    cdef idx i, at
    t.start[a], t.width[a] = start, t.reach[a]
    if a < p.ndim - 1 and not takes_blocks(plan, a):
        return
    if p.mode in (FC_CONSTANT, FC_IGNORE) or n == 0:
        first, stop = min(max(start, -1), n), max(min(end, n + 1), 0)
    else:
        i = start
        while i < end:
            at = fc_boundary(i, n, p.mode)
            first, stop = min(first, at), max(stop, at + 1)
            i = min(end, n) - 1 if 0 <= i < min(end, n) - 1 else i + 1
    # Of the axes between, their windows take the same lines.
    if stop - first < t.width[a] and (a == p.ndim - 1 or stop - first > t.reach[a] - plan.window[a]):
        t.start[a], t.width[a] = first, stop - first


cdef bint walk(const Plan *plan, Thread *t, idx tile) noexcept nogil:
    cdef const Lines *p = plan.p
    cdef int a
    t.lines = 1
    for a in range(p.ndim - 1, -1, -1):
        t.at[a] = tile % plan.tiles_on[a] * plan.tile[a]
        tile //= plan.tiles_on[a]
        t.count[a] = min(plan.tile[a], p.results[a] - t.at[a])
        t.reach[a] = (t.count[a] - 1) * p.step[a] + plan.window[a]
        if a > plan.axis:
            keep(plan, t, a)
        if plan.axis < a < p.ndim - 1:
            t.lines *= t.width[a]
    locate(plan, t)
    if plan.axis == p.ndim - 1:
        return walk_line(plan, t)
    return walk_sheets(plan, t)


cdef void prepare(const void *plan, void *worker) noexcept nogil:
    """The parts of a thread's memory follow from the plan."""


cdef void run(const void *plan, void *worker) noexcept nogil:
    """The tiles of one thread."""
    cdef Thread *t = <Thread *>worker
    while t.worker.first < t.worker.last and not walk(<const Plan *>plan, t, t.worker.first):
        t.worker.first += 1


cdef class Boxes(Walk):
    """One pass over an array for reductions of a large box."""
    cdef Plan box

    def __cinit__(self, geometry):
        cdef Plan *plan = &self.box
        cdef Lines *p = &self.p
        cdef int a
        plan.p = p
        p.cells = 1
        plan.axis = -1
        for a in range(p.ndim):
            p.cells *= p.window[a]
            shorten(plan, a)
            if plan.axis < 0 and p.window[a] > 1:
                plan.axis = a

    def run(self, workers):
        """Runs all reductions, once over the array, and then lets go of the arrays."""
        cdef Plan *plan = &self.box
        cdef Lines *p = &self.p
        cdef double work = 40
        cdef int a, i, threads
        cdef const Named *own
        for i in range(self.count):
            own = <const Named *>self.reducers[i].own
            keep_parts(plan, own.reduction, own.wide)
        for a in range(p.ndim):
            work *= p.results[a]
        if self.count == 0 or work == 0:
            return
        plan.k, plan.reducers, plan.count = plain_elements(p), self.reducers, self.count
        threads = team(workers, work)
        plan.block = block_of(plan.window[plan.axis], LEAST_BLOCK if plan.axis < p.ndim - 1 else LINE_BLOCK)
        cut(plan, SHARED_BYTES // threads + OWN_BYTES, threads)
        try:
            run_team(plan, sizeof(Thread), tile_bytes(plan) + 192, plan.tiles, crew(threads, plan.tiles), prepare, run)
        finally:
            self.keep = None
