"""The engine of lines: cuts neighbourhoods of any dimension into blocks, loads their lines and runs reducers on a team.

A block keeps the lines that it shares with the block before it on the row axis, so that a thread reads each line once a
strip. How the work is cut depends on shapes alone; threads only share the blocks out. engine.pxd says what drivers see.
"""
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from libc.stdint cimport uint8_t
from libc.string cimport memcmp, memcpy, memset

cimport numpy as cnp

from fastconv._drivers.base cimport (
    FC_CONSTANT,
    FC_F16,
    FC_F32,
    FC_F64,
    FC_IGNORE,
    FC_MIRROR,
    FC_NEAREST,
    FC_REFLECT,
    FC_SWAPPED,
    FC_TRUTH,
    FC_U8,
    FC_WRAP,
    fc_boundary,
)
from fastconv._drivers.common cimport ceil_div, kind_of, round_up
from fastconv._drivers.neighborhood.table cimport (
    FC_LINE_SLACK,
    fc_fill,
    fc_line,
    fc_put,
)
from fastconv._drivers.runtime cimport Worker, crew, run_team, seam, table, team

import numpy as np

cnp.import_array()

cdef idx STRIP_BYTES = 6 << 10   # a line of a block, so that a few of them share the first-level cache
cdef idx LEAST_STRIP = 64        # outputs
cdef idx WIDE_BYTES = 16 << 10   # what reducers keep for a line
cdef idx ROWS = 16               # outputs of a block on an axis, where the window is small
cdef idx MOST_ROWS = 64
cdef idx REGION_BYTES = 5 << 18  # a region, with what reducers keep, that stays in the second-level cache
cdef idx MOST_BYTES = 6 << 20    # one of a large box, within what a thread may take
cdef idx MOST_RUNS = 1 << 26

seam("neighborhood.STRIP_BYTES", &STRIP_BYTES)
seam("neighborhood.LEAST_STRIP", &LEAST_STRIP)
seam("neighborhood.WIDE_BYTES", &WIDE_BYTES)
seam("neighborhood.ROWS", &ROWS)
seam("neighborhood.MOST_ROWS", &MOST_ROWS)
seam("neighborhood.REGION_BYTES", &REGION_BYTES)
seam("neighborhood.MOST_BYTES", &MOST_BYTES)
seam("neighborhood.MOST_RUNS", &MOST_RUNS)

MODES = {
    "constant": FC_CONSTANT, "nearest": FC_NEAREST, "reflect": FC_REFLECT, "mirror": FC_MIRROR, "wrap": FC_WRAP,
    "ignore": FC_IGNORE,
}

cdef enum:
    VECTOR = 64                  # elements that a kernel may take at once

cdef int result_kind(cnp.ndarray a) except -1:
    """The kind of an array that results go to: numbers become bool by being 0 or not."""
    return kind_of(a) | (FC_TRUTH if a.dtype.kind == "b" else 0)


# ---- the plan ----

cdef idx region_bytes(Lines *p) noexcept:
    """Fills in all that follows from p.block; returns the bytes of a region and of what reducers keep for it."""
    cdef int a, last = p.ndim - 1
    p.lines = p.units = p.slots = 1
    for a in range(last, -1, -1):
        p.region[a] = (p.block[a] - 1) * p.step[a] + p.window[a]
        p.blocks[a] = ceil_div(p.results[a], p.block[a])
        p.units *= p.blocks[a]
        if a < last:
            p.stride[a] = p.lines
            p.lines *= p.region[a]
            p.slot_stride[a] = p.slots
            p.slots *= min(p.region[a], p.size[a] + 1)
    p.shared = 2 * p.slots <= p.lines
    if not p.shared:
        p.slots = p.lines
    p.pitch = round_up(p.region[last] * p.item, 64) + FC_LINE_SLACK
    if p.presence:
        p.pitch += round_up(p.region[last], 64) + FC_LINE_SLACK
    return p.slots * (p.pitch + p.width * p.region[last])


cdef void plan_blocks(Lines *p, idx least, idx kept, bint box) noexcept:
    """Outputs of a block: a strip of a line, ROWS or `least` rows or twice as many as the window has (of booleans, which take the
    least time, as many as there may be), and ROWS on the outer axes; then less until the region is small enough. Rows come in
    even numbers, `kept` of them stay. Reducers of boxes that ask for no more than these combine all lines of a region for each
    block: they leave the cache rather than have blocks of less than half the window."""
    cdef int a, last = p.ndim - 1
    cdef idx size, fewest, shortest, rows = 1, strip = STRIP_BYTES, wide = WIDE_BYTES, strips
    for a in range(last):
        rows *= p.window[a]
    # Windows along the lines: there is little else, and strips would share much of what each of them adds up.
    if p.window[last] >= 24 * rows:
        strip = max(4 * strip, 2 * p.window[last] * p.item)
        wide = max(wide, 2 * p.window[last] * p.width)
    strips = max(ceil_div(p.results[last] * p.item, strip), ceil_div(p.results[last] * p.width, wide))
    p.block[last] = min(p.results[last], round_up(ceil_div(p.results[last], strips), LEAST_STRIP))
    if p.step[last] > 1:
        p.block[last] = min(p.block[last], max(STRIP_BYTES // p.item // p.step[last], 1))
    for a in range(last):
        rows = MOST_ROWS if p.boolean else min(max(2 * p.window[a], ROWS), MOST_ROWS)
        if a < last - 1:
            rows = min(rows, ROWS) if p.window[a] > 1 else 1
        else:
            rows = min(max(rows, least), MOST_ROWS)
        p.block[a] = min(p.results[a], rows)
    while True:
        size, fewest, shortest = region_bytes(p), kept, LEAST_STRIP
        if size <= REGION_BYTES:
            break
        if box and least <= kept and size <= MOST_BYTES:
            fewest, shortest = max(fewest, p.window[last - 1] // 2), max(shortest, p.window[last] // 2)
        for a in range(last):
            if p.block[a] > (1 if a < last - 1 else fewest):
                p.block[a] = (p.block[a] // 2 + 1) // 2 * 2 if a == last - 1 else p.block[a] // 2
                break
        else:
            if p.block[last] > shortest:
                p.block[last] = max(p.block[last] // 2, LEAST_STRIP)
            elif p.step[last] > 1 and p.block[last] > (1 if kept == 2 else max(LEAST_STRIP // p.step[last], 1)):
                p.block[last] //= 2
            elif p.block[last - 1] > 1 and fewest == 2:
                p.block[last - 1] = 1
            else:
                break


cdef int plan_runs(Lines *p, cells) except -1:
    """Cuts the window into runs along the lines; `cells` is boolean and C-contiguous, or None for a box."""
    cdef idx width = p.window[p.ndim - 1], rows = 1, row, rest, line, i, start, count = 0
    cdef int a
    cdef const uint8_t *cell = NULL
    for a in range(p.ndim - 1):
        rows *= p.window[a]
    p.box = cells is None
    if p.box:
        count = rows
    else:
        cell = <const uint8_t *>cnp.PyArray_DATA(<cnp.ndarray>cells)
        for i in range(rows * width):
            count += cell[i] and (i % width == 0 or not cell[i - 1])
    if count > MOST_RUNS:
        raise ValueError(f"the window has {count} runs of cells, more than this library can go through")
    p.run_line = <idx *>PyMem_RawMalloc(3 * count * sizeof(idx))
    if p.run_line == NULL:
        raise MemoryError(f"neighborhood_reduce could not allocate {3 * count * sizeof(idx)} bytes for the runs of the window")
    p.run_start = p.run_line + count
    p.run_length = p.run_start + count
    for row in range(rows):
        rest, line = row, 0
        for a in range(p.ndim - 2, -1, -1):
            line += rest % p.window[a] * p.stride[a]
            rest //= p.window[a]
        i = 0
        while i < width:
            start = i
            while i < width and (p.box or cell[row * width + i]):
                i = width if p.box else i + 1
            if i > start:
                p.run_line[p.runs], p.run_start[p.runs], p.run_length[p.runs] = line, start, i - start
                p.cells += i - start
                p.runs += 1
            i += 1
    return 0


# ---- blocks ----

cdef inline idx line_structs(const Lines *p) noexcept nogil:
    return p.lines + (p.slots if p.shared else 0)


cdef idx block_bytes(const Lines *p) noexcept nogil:
    return round_up(p.slots * p.pitch + line_structs(p) * sizeof(fc_line))


cdef void place_block(const Lines *p, Block *b, char *memory) noexcept nogil:
    cdef idx i
    cdef fc_line *slot
    b.unit, b.memory, b.scratch = -1, memory, memory + block_bytes(p)
    b.line = <fc_line *>(memory + p.slots * p.pitch)
    b.slot = b.line + p.lines
    memset(b.line, 0, line_structs(p) * sizeof(fc_line))
    for i in range(p.slots):
        slot = (b.slot if p.shared else b.line) + i
        slot.at = memory + i * p.pitch
        if p.presence:
            slot.present = <uint8_t *>slot.at + round_up(p.region[p.ndim - 1] * p.item, 64) + FC_LINE_SLACK


cdef idx slot_of(const Lines *p, const Block *b, idx line) noexcept nogil:
    return (b.line[line].at - b.memory) // p.pitch


cdef inline idx slot_at(const Lines *p, int a, idx position, idx source) noexcept nogil:
    """The part of a slot's number that is an axis's: of its position in the region, or of what is there."""
    return (position if p.region[a] <= p.size[a] else source if source >= 0 else p.size[a]) * p.slot_stride[a]


cdef void load_rows(const Lines *p, Block *b, fc_line *line, const char *x, const char *mask, idx rows,
                    fc_line *slots) noexcept nogil:
    """Fills the lines of one sheet from row b.carried; x is NULL where the sheet lies outside."""
    cdef int row_axis = p.ndim - 2, last = p.ndim - 1
    cdef fc_fill q
    cdef idx j, at
    q.step, q.mask_step, q.other = p.x_step[last], p.mask_step[last], p.other
    q.start = b.at[last] * p.step[last] - p.before[last]
    q.length = (b.count[last] - 1) * p.step[last] + p.window[last]
    q.n, q.kind, q.mask_kind, q.mode, q.omit, q.cval = p.size[last], p.kind, p.mask_kind, p.mode, p.omit, &p.cval
    for j in range(b.carried, rows):
        at = fc_boundary(b.at[row_axis] * p.step[row_axis] - p.before[row_axis] + j, p.size[row_axis], p.mode)
        if p.in_place and x != NULL and at >= 0:
            line[j].at, line[j].flags = <char *>x + at * p.x_step[row_axis] + q.start * p.item, 0
            continue
        if p.in_place:
            line[j].at = b.memory
        if p.shared:
            line[j] = slots[slot_at(p, row_axis, j, at)]
            if line[j].flags >= 0:
                continue
        q.src = q.mask = NULL
        if x != NULL and at >= 0:
            q.src = x + at * p.x_step[row_axis]
            if mask != NULL:
                q.mask = mask + at * p.mask_step[row_axis]
        q.dst, q.present = line[j].at, line[j].present
        line[j].flags = p.k.fill_line(&q)
        if p.shared:
            slots[slot_at(p, row_axis, j, at)].flags = line[j].flags


cdef idx inside(const Lines *p, const Block *b, idx *first) noexcept nogil:
    cdef int last = p.ndim - 1
    cdef idx start = b.at[last] * p.step[last] - p.before[last]
    first[0] = max(-start, 0)
    return min(p.size[last] - start, (b.count[last] - 1) * p.step[last] + p.window[last])


cdef void fill_ends_of(const Lines *p, const Block *b, void *const *lines, idx count, int kind, const void *cval) noexcept nogil:
    cdef int last = p.ndim - 1
    cdef fc_fill q
    q.start, q.length = b.at[last] * p.step[last] - p.before[last], (b.count[last] - 1) * p.step[last] + p.window[last]
    q.n, q.kind, q.mode, q.cval = p.size[last], kind, p.mode, cval
    p.k.fill_ends(&q, lines, count)


cdef bint can_stay(const Lines *p, const Reducer *reducers, int count) noexcept:
    """Whether lines need not be copied: the array's are native, all reducers first combine them, and the ends of what they
    get then follow from its inside."""
    cdef int a, last = p.ndim - 1
    cdef idx strip = p.results[last] - (p.blocks[last] - 1) * p.block[last], before = p.before[last]
    cdef idx after = (p.results[last] - 1) * p.step[last] + p.window[last] - before - p.size[last]
    cdef bint combine = False
    cdef double zero = 0
    if p.presence or p.shared or p.kind & ~FC_TRUTH != p.native or p.x_step[last] != p.item or p.other or <size_t>p.x % p.item:
        return False
    for a in range(last):
        combine = combine or p.window[a] > 1
        if p.x_step[a] % p.item:
            return False
    for a in range(count):
        if not reducers[a].in_place or (reducers[a].in_place >= IN_PLACE_BUT_CVAL and p.mode == FC_CONSTANT
                                        and memcmp(&p.cval, &zero, p.item)):
            return False
        if reducers[a].in_place == IN_PLACE_APART and p.x_step[last - 1] % PAGE == 0:
            return False
    # Of a line in strips each must hold what its ends repeat, and all the vectors that kernels take at once. Windows that end
    # before their line does, or begin behind its start, leave out what their other end may repeat.
    if p.blocks[last] > 1 and (p.mode == FC_WRAP or p.step[last] > 1):
        return False
    if min(before, after) < 0 < max(before, after) and p.mode != FC_CONSTANT:
        return False
    strip = min(strip, p.block[last])
    return combine and strip - max(before, after) >= VECTOR


cdef void load(const Lines *p, Block *b, idx unit) noexcept nogil:
    """Makes `unit` the block that is loaded."""
    cdef int a, row_axis = p.ndim - 2, last = p.ndim - 1
    cdef idx rest = unit, sheets = 1, sheet, at, i, rows, shift, first, slot
    cdef const char *x
    cdef const char *mask
    cdef bint follows = b.unit >= 0 and unit == b.unit + 1 and not p.shared
    cdef fc_line spare
    # Blocks are numbered along the row axis first, then along the lines, then over the outer axes.
    b.at[row_axis] = rest % p.blocks[row_axis] * p.block[row_axis]
    rest //= p.blocks[row_axis]
    b.at[last] = rest % p.blocks[last] * p.block[last]
    rest //= p.blocks[last]
    for a in range(row_axis - 1, -1, -1):
        b.at[a] = rest % p.blocks[a] * p.block[a]
        rest //= p.blocks[a]
    for a in range(p.ndim):
        b.count[a] = min(p.block[a], p.results[a] - b.at[a])
        if a < row_axis:
            sheets *= (b.count[a] - 1) * p.step[a] + p.window[a]
    rows = (b.count[row_axis] - 1) * p.step[row_axis] + p.window[row_axis]
    shift = p.block[row_axis] * p.step[row_axis]
    b.carried = max(p.region[row_axis] - shift, 0) if follows and b.at[row_axis] else 0
    b.unit = unit
    b.flags = 0
    for i in range(p.slots if p.shared else 0):
        b.slot[i].flags = -1
    for sheet in range(sheets):
        x, mask, rest, first, slot = p.x, p.mask, sheet, 0, 0
        for a in range(row_axis - 1, -1, -1):
            i = (b.count[a] - 1) * p.step[a] + p.window[a]
            at = fc_boundary(b.at[a] * p.step[a] - p.before[a] + rest % i, p.size[a], p.mode)
            first += rest % i * p.stride[a]
            slot += slot_at(p, a, rest % i, at)
            rest //= i
            move(p, a, at, &x, &mask)
        for i in range(b.carried):
            spare = b.line[first + i]
            b.line[first + i] = b.line[first + i + shift]
            b.line[first + i + shift] = spare
        load_rows(p, b, b.line + first, x, mask, rows, b.slot + slot)
        for i in range(rows):
            b.flags |= b.line[first + i].flags


# ---- outputs of a block ----

cdef idx out_lines(const Lines *p, const Block *b) noexcept nogil:
    cdef int a
    cdef idx count = 1
    for a in range(p.ndim - 1):
        count *= b.count[a]
    return count


cdef idx dense_count(const Lines *p, const Block *b) noexcept nogil:
    """Results of an output line before the step picks some."""
    return (b.count[p.ndim - 1] - 1) * p.step[p.ndim - 1] + 1


cdef void put(const Lines *p, const Block *b, const Reducer *r, char *out, const void *src, int source) noexcept nogil:
    put_some(p, r, out, src, source, 0, b.count[p.ndim - 1])


cdef void put_some(const Lines *p, const Reducer *r, char *out, const void *src, int source, idx first, idx end) noexcept nogil:
    """Results first .. end - 1 of those that put() writes."""
    cdef fc_put q
    cdef int bytes = 4 if source == FC_F32 else 8 if source == FC_F64 else 1 << (source - FC_U8) // 2
    q.dst_step, q.src_step, q.n = r.out_step[p.ndim - 1], p.step[p.ndim - 1] * bytes, end - first
    q.dst, q.src, q.kind, q.source = out + first * q.dst_step, <const char *>src + first * q.src_step, r.out_kind, source
    p.k.put_line(&q)


# ---- the pass ----

cdef struct Plan:
    const Lines *lines
    const Reducer *reducers
    int count
    idx staged


cdef struct Thread:
    Worker worker
    Block block
    Reducer *reducers            # those of the plan, with where their results go in this thread
    char *stage


cdef inline idx reducers_bytes(int count) noexcept nogil:
    return round_up(count * sizeof(Reducer), 64)


cdef void prepare(const void *plan, void *worker) noexcept nogil:
    cdef const Plan *p = <const Plan *>plan
    cdef Thread *t = <Thread *>worker
    place_block(p.lines, &t.block, t.worker.memory)
    t.block.clock = &t.worker.clock
    t.reducers = <Reducer *>t.block.scratch
    memcpy(t.reducers, p.reducers, p.count * sizeof(Reducer))
    t.stage = t.block.scratch + reducers_bytes(p.count)
    t.block.scratch = t.stage + p.staged


cdef void lead_to_stage(const Lines *p, const Block *b, Reducer *r, char *stage) noexcept nogil:
    """Lets the results of a block go to where they are kept for reducers behind."""
    cdef int a
    r.out = stage + r.stage
    for a in range(p.ndim):
        r.out -= b.at[a] * r.out_step[a]


cdef void run(const void *plan, void *worker) noexcept nogil:
    """The blocks of one thread."""
    cdef const Plan *p = <const Plan *>plan
    cdef Thread *t = <Thread *>worker
    cdef Reducer *r
    cdef char *scratch
    cdef int i
    while t.worker.first < t.worker.last and not must_end(&t.block):
        load(p.lines, &t.block, t.worker.first)   # which may take as long as it is between two looks at signals
        scratch = t.block.scratch
        for i in range(p.count):   # before any runs: some compute what others of their group deliver
            if t.reducers[i].stage >= 0:
                lead_to_stage(p.lines, &t.block, t.reducers + i, t.stage)
        for i in range(p.count):
            if must_end(&t.block):
                return
            r = t.reducers + i
            r.reduce(p.lines, &t.block, r, scratch)
            scratch += r.scratch
        t.worker.first += 1


cdef class Walk:
    """An array to be walked over, and the reducers that see it.

    Parameters
    ----------
    geometry : neighborhood.Geometry
    rest : of what kinds of walks take.
    """

    def __cinit__(self, geometry, *rest):
        cdef Lines *p = &self.p
        cdef cnp.ndarray x = geometry.x, cval
        cdef int a, pad = len(geometry.window) - x.ndim
        p.k = &table().neighborhood
        p.ndim = len(geometry.window)
        p.kind = kind_of(x)
        p.native = p.kind & ~FC_SWAPPED
        p.boolean = x.dtype.kind == "b"
        p.kind |= FC_TRUTH if p.boolean else 0
        if p.native == FC_F16:
            p.native = FC_F32
        p.mode, p.omit, p.other = geometry.mode, geometry.omit, geometry.other
        cval = np.ascontiguousarray(geometry.cval)
        p.item = cnp.PyArray_ITEMSIZE(cval)
        memcpy(&p.cval, cnp.PyArray_DATA(cval), p.item)
        if geometry.mask is not None:
            p.mask_kind = kind_of(geometry.mask)
        p.presence = geometry.presence
        for a in range(p.ndim):
            self.axis[a] = geometry.order[a - pad] if a >= pad else -1
            p.size[a] = cnp.PyArray_DIM(x, self.axis[a]) if a >= pad else 1
            p.window[a], p.results[a] = geometry.window[a], geometry.counts[a]
            p.before[a], p.step[a] = geometry.before[a], geometry.step[a]
        self.bind(x, geometry.mask, [])

    def __dealloc__(self):
        cdef int i
        for i in range(self.count):
            PyMem_RawFree(self.reducers[i].own)
        PyMem_RawFree(self.reducers)

    cdef void set_steps(self, idx *to, cnp.ndarray array) noexcept:
        """The steps of an array of the input's dimension along the pass's axes."""
        cdef int a
        for a in range(self.p.ndim):
            to[a] = cnp.PyArray_STRIDE(array, self.axis[a]) if self.axis[a] >= 0 else 0

    def bind(self, cnp.ndarray x, cnp.ndarray mask, list outs):
        """Lets the pass run on other arrays, whose shapes and dtypes are those of its first. Returns whether it can: another
        instruction set may have been chosen since it was planned."""
        cdef Lines *p = &self.p
        cdef cnp.ndarray out
        cdef int i
        if p.k != &table().neighborhood:
            return False
        self.keep = [x, mask, *outs]
        p.x, p.mask = <const char *>cnp.PyArray_DATA(x), NULL
        self.set_steps(p.x_step, x)
        if mask is not None:
            p.mask = <const char *>cnp.PyArray_DATA(mask)
            self.set_steps(p.mask_step, mask)
        for i in range(len(outs)):
            out = outs[i]
            self.reducers[i].out = <char *>cnp.PyArray_DATA(out)
            self.set_steps(self.reducers[i].out_step, out)
        return True

    cdef int add(self, reduce_t reduce, void *own, idx scratch, cnp.ndarray out, double cost, bint boolean=False) except -1:
        """Adds a reducer that fills `out`, an array of the result's shape, at a cost of so many multiply-adds an output; with
        `boolean` its results are 0 or 1. Owns `own` from here, whatever happens."""
        cdef Reducer *r
        cdef void *grown = PyMem_RawRealloc(self.reducers, (self.count + 1) * sizeof(Reducer))
        if grown == NULL:
            PyMem_RawFree(own)
            raise MemoryError()
        self.reducers = <Reducer *>grown
        r = &self.reducers[self.count]
        memset(r, 0, sizeof(Reducer))
        r.own, r.stage = own, -1
        self.count += 1
        self.keep.append(out)
        r.reduce, r.scratch = reduce, round_up(scratch, 64)
        r.out, r.out_kind = <char *>cnp.PyArray_DATA(out), kind_of(out) if boolean else result_kind(out)
        self.set_steps(r.out_step, out)
        self.cost += cost
        return 0


cdef class Pass(Walk):
    """A walk in blocks, whose plan stands here.

    Parameters
    ----------
    geometry : neighborhood.Geometry
    width : bytes that the reducers keep for each element of a block's region.
    rows : that a block should have.
    kept : rows that it has however large its region is, an even number.
    """

    def __cinit__(self, geometry, idx width=0, idx rows=0, idx kept=2):
        cdef Lines *p = &self.p
        p.width = width
        plan_blocks(p, max(rows, kept), kept, geometry.cells is None)
        plan_runs(p, geometry.cells)

    def __dealloc__(self):
        PyMem_RawFree(self.p.run_line)

    cdef void stage(self, idx item) noexcept:
        """Keeps the results of the last reducer, elements of `item` bytes, for those behind it: output lines of a block, one
        after the other, in memory of its thread."""
        cdef Reducer *r = self.reducers + self.count - 1
        cdef int a, last = self.p.ndim - 1
        cdef idx pitch = round_up(self.p.block[last] * item, 64) + FC_LINE_SLACK
        r.stage, r.out_step[last] = self.staged, item
        for a in range(last - 1, -1, -1):
            r.out_step[a] = pitch
            pitch *= self.p.block[a]
        self.staged += pitch

    def run(self, workers):
        """Runs all reducers, once over the array, and then lets go of the arrays."""
        cdef const Lines *p = &self.p
        cdef double work = self.cost
        cdef idx scratch = 0
        cdef int i
        cdef Plan plan
        for i in range(p.ndim):
            work *= p.results[i]
        if self.count == 0 or p.units == 0:
            return
        self.p.in_place = can_stay(p, self.reducers, self.count)
        for i in range(self.count):
            scratch += self.reducers[i].scratch
        plan.lines, plan.reducers, plan.count, plan.staged = p, self.reducers, self.count, self.staged
        scratch += reducers_bytes(self.count) + self.staged
        try:
            run_team(&plan, sizeof(Thread), block_bytes(p) + scratch, p.units, crew(team(workers, work), p.units), prepare, run)
        finally:
            self.keep = None
