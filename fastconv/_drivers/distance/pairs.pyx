"""Driver of the distances: cuts the matrix of pairs into blocks, packs the points of a block, and runs the kernels.

A task is a block of rows of XA times a slab of rows of XB. Its distances are computed tile by tile into `stage`, an array
that stays in the second-level cache, and go from there to where they belong:

- MATRIX: a block of the result, straight into it where its elements lie side by side.
- SYMMETRIC: XA is XB: blocks on and above the diagonal, each stored twice.
- CONDENSED: XA is XB: tiles on and above the diagonal, stored row by row in SciPy's order of pdist.
- PULL: gradients: a task goes through all slabs and adds up what each pair pulls at its rows of XA.
- NEAREST: a task goes through all slabs of its part of the data and keeps the k nearest of each row.

Where a point has more numbers than RANGE, the sums go through ranges of them, and again for pairs that need it. Thread t
always computes the same tasks; all functions that take long return whether to go on, which a signal may forbid.
"""
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc
from cython.parallel cimport prange
from libc.string cimport memcpy, memset

cimport numpy as cnp

from fastconv._drivers.base cimport FC_F32, FC_F64, fc_base_kernels
from fastconv._drivers.common cimport ceil_div, idx, kind_of, round_up
from fastconv._drivers.distance.table cimport (
    FC_AS_IS,
    FC_CANBERRA,
    FC_CITYBLOCK,
    FC_FINITE,
    FC_FORM,
    FC_JENSEN,
    FC_KNOWN,
    FC_MAPPED,
    FC_MEASURES,
    FC_PACKED_BITS,
    FC_PASS_AGAIN,
    FC_PASS_LARGEST,
    FC_PASS_SUMS,
    FC_PLAIN,
    FC_POINT_CHAIN,
    FC_POINT_PIECE,
    FC_POINT_ROWS,
    FC_POSITIVE,
    FC_PULL_BRAYCURTIS,
    FC_PULL_SIZES,
    FC_ROOT,
    FC_SQUARE,
    FC_WORDS,
    fc_cancelled,
    fc_distance_kernels,
    fc_emit,
    fc_few,
    fc_nearest,
    fc_pairs,
    fc_points,
    fc_pull,
    fc_unprepare,
)
from fastconv._drivers.runtime cimport Clock, Watch, crew, seam, share, start_clock, table, team, tick

import numpy as np

cnp.import_array()

cdef enum:
    MAX_LEAD = 64
    SORT_STEPS = 1 << 16         # of a heap, between two looks at the clock

cdef idx RANGE = 4096            # numbers of a point that are packed at once
cdef idx A_BYTES = 384 << 10     # packed rows of XA: a part of the second-level cache
cdef idx B_BYTES = 512 << 10     # packed rows of XB
cdef idx BLOCK_ROWS = 96
cdef idx BLOCK_COLUMNS = 512
cdef idx DIRECT_COLUMNS = 4096   # where no stage has to hold them
cdef idx NEAREST_ROWS = 384      # more queries for each packed slab of data
cdef idx ROW_BYTES = 1 << 20     # heaps of a block's rows, where they are not in the result; and their gradients
cdef idx SQUARE = 192            # side of a block of a symmetric matrix
cdef idx KEPT_BYTES = 8 << 20    # a workspace up to this size is kept for the next call
cdef idx SMALL_WORK = 20_000     # pairs times (d + 4) below which `small` computes on the calling thread at once
cdef idx FEW_WORK = 4096         # pairs times d of a batch item computed without packing
cdef idx STREAM_BYTES = 32 << 20 # results of the caller larger than this are written past the caches
seam("distance.RANGE", &RANGE)
seam("distance.A_BYTES", &A_BYTES)
seam("distance.B_BYTES", &B_BYTES)
seam("distance.BLOCK_ROWS", &BLOCK_ROWS)
seam("distance.BLOCK_COLUMNS", &BLOCK_COLUMNS)
seam("distance.DIRECT_COLUMNS", &DIRECT_COLUMNS)
seam("distance.NEAREST_ROWS", &NEAREST_ROWS)
seam("distance.ROW_BYTES", &ROW_BYTES)
seam("distance.SQUARE", &SQUARE)
seam("distance.KEPT_BYTES", &KEPT_BYTES)
seam("distance.SMALL_WORK", &SMALL_WORK)
seam("distance.FEW_WORK", &FEW_WORK)
seam("distance.STREAM_BYTES", &STREAM_BYTES)

cdef enum Way:
    MATRIX, SYMMETRIC, CONDENSED, NEAREST, PULL

# A workspace kept between calls, held by no call; the interpreter's lock guards it.
cdef char *kept = NULL
cdef idx kept_size = 0


cdef struct Points:
    const char *data
    idx row, col, count
    int kind
    idx *lead                    # steps of the leading axes


cdef struct Plan:
    const fc_base_kernels *base
    const fc_distance_kernels *k
    Way way
    idx item
    int lead
    idx batches, d
    Points a, b
    char *out
    idx out_row, out_col
    int out_kind
    bint stream
    bint few                     # a task is a batch item, computed where its points are
    bint in_place                # whole groups of rows of XA are read where they are
    bint direct                  # whole tiles of MATRIX and CONDENSED are written to the result, others go through stage
    # NEAREST: the k nearest of query q in part s at (s * queries + q) * nearest.
    char *distances
    idx *indices
    idx nearest, parts, part_slabs
    int nearest_size             # bytes of a distance in the result
    # PULL: gradients of the distances, and where the sums go, (batches, m, d); numbers of a range, padded.
    const char *grad
    idx grad_row, grad_col
    int grad_kind, pull
    char *pulled
    idx length
    # The metric.
    int metric, finish, prepare
    double p, n, factor, cost
    const double *weights
    const double *matrix
    const char *tile_weights
    # Sums over `terms` prepared numbers, `range` at once.
    idx terms, range, ranges
    int each                     # prepared numbers for each number of a point: 1, 2 or 3
    idx panel                    # columns of a full panel
    idx block_rows, block_cols, row_blocks, slabs, tasks
    idx band, bands              # MATRIX and CONDENSED: blocks of rows that one thread computes, how many such bands
    idx stage_step
    # Shape and steps of the leading axes, the first `lead` of each.
    idx lead_shape[MAX_LEAD]
    idx lead_a[MAX_LEAD]
    idx lead_b[MAX_LEAD]
    idx lead_out[MAX_LEAD]
    idx lead_grad[MAX_LEAD]


cdef inline void clear(Plan *p) noexcept nogil:
    """All but the leading axes, which are long and seldom there."""
    memset(p, 0, <size_t>p.lead_shape - <size_t>p)
    p.a.lead, p.b.lead = p.lead_a, p.lead_b


cdef struct Team:
    Clock clock
    idx first, last              # tasks of this thread
    idx packed                   # which slab lies in b, -1: none
    idx packed_range
    char *a
    char *a_stats
    char *b
    char *b_stats
    char *c
    char *needs                  # of each tile, whether a pass must follow
    char *stage
    char *line                   # a row as it is prepared
    double *wide
    double *a_measures
    double *b_measures
    char *heaps                  # NEAREST: distances of the rows of a block, where the result has another kind
    char *differences            # with a matrix: of two points, and the same mapped
    double *mapped
    char *rows                   # PULL: weights, a prepared row of XA, a sum, the rows of a slab of XB
    char *g                      # PULL: gradients of the distances of a block
    char *sizes
    char *spare
    double *totals


cdef idx offset(const Plan *p, const idx *steps, idx batch) noexcept nogil:
    """Bytes from the first item of a batch to item `batch`, counted over the leading axes in C order."""
    cdef int axis
    cdef idx bytes_ = 0
    for axis in range(p.lead - 1, -1, -1):
        bytes_ += batch % p.lead_shape[axis] * steps[axis]
        batch //= p.lead_shape[axis]
    return bytes_


# ---- a block of distances ----

cdef void describe(const Plan *p, Team *t, const Points *x, fc_points *a) noexcept nogil:
    """What all rows of a collection have in common."""
    a.row_step, a.col_step, a.d, a.kind = x.row, x.col, p.d, x.kind
    a.prepare, a.w, a.matrix, a.weight, a.row, a.wide = p.prepare, p.weights, p.matrix, p.n, t.line, t.wide
    a.begin, a.measured = 0, False


cdef bint pack(const Plan *p, Team *t, const Points *x, idx batch, idx start, idx rows, idx width, idx first, idx count,
               char *dst, char *stats, double *measures) noexcept nogil:
    """Panels of `width` rows each; the last is as wide as its rows need, in whole vectors, where lanes lie along them.
    With dst NULL their statistics alone."""
    cdef fc_points a
    cdef idx panel = 0, last, each = width
    cdef double work = <double>count * (p.d if p.matrix != NULL else 1) + (p.d if first == 0 else 0)
    if p.matrix != NULL:  # rows that take long
        each = min(width, <idx>(1e7 / work) + 1)
    describe(p, t, x, &a)
    a.first, a.count = first, count
    cdef const char *src = x.data + offset(p, x.lead, batch) + start * x.row
    while panel < rows:
        last = min(width, rows - panel)
        a.width = width if width == FC_POINT_ROWS else round_up(last, p.base.lanes)
        a.src = src + panel * x.row
        a.dst = dst + panel * count * p.item
        a.stats, a.measures = stats + panel * p.item, measures + panel * FC_MEASURES
        if dst == NULL:
            a.dst = NULL
        a.begin = 0
        while a.begin < last:
            a.rows = min(a.begin + each, last)
            p.k.points(&a)
            if tick(&t.clock, work * (a.rows - a.begin)):
                return False
            a.begin = a.rows
        panel += width
    return True


cdef void emit(const Plan *p, Team *t, idx row, idx col, idx rows, idx cols, char *out, idx out_row, idx out_col,
               bint stream) noexcept nogil:
    """stage[row.., col..] to out."""
    cdef fc_emit e
    e.src = t.stage + (row * p.stage_step + col) * p.item
    e.src_step, e.rows, e.columns = p.stage_step, rows, cols
    e.out, e.out_row, e.out_col, e.kind, e.stream = out, out_row, out_col, p.out_kind, stream
    p.k.emit(&e)


cdef inline idx pair(const Plan *p, idx row, idx col) noexcept nogil:
    """Where CONDENSED has the distance of two points, row < col."""
    return row * (2 * p.a.count - row - 1) // 2 + col - row - 1


cdef void above(const Plan *p, Team *t, idx row, idx rows, idx col, idx cols, char *out) noexcept nogil:
    """CONDENSED: what lies above the diagonal of the tile in stage, to the result of the batch."""
    cdef idx r, first
    for r in range(rows):
        first = max(row + r + 1, col)
        if first < col + cols:
            emit(p, t, r, first - col, 1, col + cols - first, out + pair(p, row + r, first) * p.out_col, 0, p.out_col, False)


cdef bint recompute(const Plan *p, Team *t, const fc_pairs *tile, idx batch, idx row, idx col, idx cols) noexcept nogil:
    """Distances of mapped points that cancel, in the tile at (row, col), from the points themselves."""
    cdef fc_points a, b
    cdef fc_cancelled u
    describe(p, t, &p.a, &a)
    describe(p, t, &p.b, &b)
    a.src = p.a.data + offset(p, p.a.lead, batch) + row * p.a.row
    b.src = p.b.data + offset(p, p.b.lead, batch) + col * p.b.row
    u.tile, u.a, u.b, u.columns, u.at = tile, &a, &b, cols, 0
    u.length, u.differences, u.mapped = p.range // p.each, t.differences, t.mapped
    while p.k.cancelled(&u):
        if tick(&t.clock, 2. * p.d * p.d):
            return False
    return True


cdef int block_pass(const Plan *p, Team *t, idx batch, idx i0, idx rows, idx j0, idx cols, char *out, int pass_) noexcept nogil:
    """A pass over all ranges of the distances of rows i0.. of XA to rows j0.. of XB; which one must follow, -1 to stop. Tiles
    that need no other pass are left out of those that follow."""
    cdef idx groups = ceil_div(rows, FC_POINT_ROWS), panels = ceil_div(cols, p.panel), range_, first, count, panel, group, tile = 0
    cdef idx tile_size = FC_POINT_ROWS * p.panel
    cdef idx slab = batch * p.b.count + j0, whole = rows - rows % FC_POINT_ROWS if p.in_place else 0
    cdef const char *rows_a
    cdef char *dst
    cdef fc_pairs a
    cdef bint triangle = p.way == CONDENSED, straight = False
    cdef int next_ = 0, more
    cdef idx row, col
    a.metric, a.finish, a.p, a.n, a.pass_ = p.metric, p.finish, p.p, p.n, pass_
    a.dst_fall, a.lost = 0, 4 * tile_size
    a.factor = 1 if p.way == PULL else p.factor
    for range_ in range(p.ranges):
        first = range_ * p.range
        count = min(p.range, p.terms - first)
        rows_a = p.a.data + offset(p, p.a.lead, batch) + i0 * p.a.row + first * p.item
        if not pack(p, t, &p.a, batch, i0, whole, FC_POINT_ROWS, first, count, NULL, t.a_stats, t.a_measures):
            return -1
        if not pack(p, t, &p.a, batch, i0 + whole, rows - whole, FC_POINT_ROWS, first, count, t.a, t.a_stats + whole * p.item,
                    t.a_measures + whole * FC_MEASURES):
            return -1
        if t.packed != slab or t.packed_range != range_:
            t.packed = -1
            if not pack(p, t, &p.b, batch, j0, cols, p.panel, first, count, t.b, t.b_stats, t.b_measures):
                return -1
            t.packed = slab
            t.packed_range = range_
        a.count, a.first, a.last = count, range_ == 0, range_ == p.ranges - 1
        a.w = p.tile_weights + first // p.each * p.item if p.tile_weights != NULL else NULL
        for panel in range(panels):
            a.vectors = <int>ceil_div(min(p.panel, cols - panel * p.panel), p.base.lanes)
            dst, a.dst_step = t.stage + (0 if p.direct else panel * p.panel) * p.item, p.stage_step
            if out != NULL and panel * p.panel + a.vectors * p.base.lanes <= cols:
                dst, a.dst_step = out + panel * p.panel * p.item, p.out_row // p.item
            a.b = t.b + panel * p.panel * count * p.item
            a.b_stats = t.b_stats + panel * p.panel * p.item
            for group in range(groups):
                if p.ranges > 1:
                    tile = panel * groups + group
                if pass_ == FC_PASS_SUMS:
                    t.needs[tile] = 0
                elif t.needs[tile] == 0:
                    continue
                a.rows = <int>min(<idx>FC_POINT_ROWS, rows - group * FC_POINT_ROWS)
                if group * FC_POINT_ROWS < whole:
                    a.a, a.a_row, a.a_col = rows_a + group * FC_POINT_ROWS * p.a.row, p.a.row // p.item, 1
                else:
                    a.a, a.a_row, a.a_col = t.a + (group * FC_POINT_ROWS - whole) * count * p.item, 1, FC_POINT_ROWS
                a.a_stats = t.a_stats + group * FC_POINT_ROWS * p.item
                a.c = t.c + 8 * tile * tile_size * p.item
                a.c2, a.c3, a.c4 = a.c + tile_size * p.item, a.c + 2 * tile_size * p.item, a.c + 3 * tile_size * p.item
                a.dst = dst + group * FC_POINT_ROWS * a.dst_step * p.item
                if triangle:
                    row, col = i0 + group * FC_POINT_ROWS, j0 + panel * p.panel
                    if min(col + p.panel, j0 + cols) <= row + 1:
                        continue
                    straight = p.direct and col >= row + a.rows and panel * p.panel + a.vectors * p.base.lanes <= cols
                    if straight:
                        a.dst, a.dst_step, a.dst_fall = out + pair(p, row, col) * p.item, p.a.count - row - 2, 1
                    else:
                        a.dst, a.dst_step, a.dst_fall = t.stage, p.stage_step, 0
                more = p.k.pairs(&a)
                if a.last:
                    t.needs[tile] = <char>more
                if next_ == 0 or more == FC_PASS_LARGEST:
                    next_ = more
                if p.matrix != NULL and a.last and pass_ != FC_PASS_LARGEST and not recompute(
                        p, t, &a, batch, i0 + group * FC_POINT_ROWS, j0 + panel * p.panel, min(p.panel, cols - panel * p.panel)):
                    return -1
                if triangle and a.last and not straight and pass_ != FC_PASS_LARGEST:
                    above(p, t, row, a.rows, col, min(p.panel, j0 + cols - col), out)
                if tick(&t.clock, p.cost * tile_size * count):
                    return -1
    return next_


cdef bint block(const Plan *p, Team *t, idx batch, idx i0, idx rows, idx j0, idx cols, char *out) noexcept nogil:
    """The distances of rows i0.. of XA to rows j0.. of XB, in stage: with `out` panels of whole vectors go there. Of CONDENSED
    `out` is the result of the batch, and takes all."""
    cdef int next_ = block_pass(p, t, batch, i0, rows, j0, cols, out, FC_PASS_SUMS)
    if next_ == FC_PASS_LARGEST:
        next_ = block_pass(p, t, batch, i0, rows, j0, cols, out, FC_PASS_LARGEST)
    if next_ == FC_PASS_AGAIN:
        next_ = block_pass(p, t, batch, i0, rows, j0, cols, out, FC_PASS_AGAIN)
    return next_ == 0


# ---- tasks ----

cdef bint matrix_task(const Plan *p, Team *t, idx task) noexcept nogil:
    """Blocks of a band of rows, slab after slab: a band is one thread's, so that no two threads touch new pages of the
    result at once, which the system would clear for both. Of CONDENSED half of a band comes from the front and half from
    the back, so that all have as many pairs."""
    cdef idx at = task % p.band, half = p.band // 2
    task //= p.band
    cdef idx j0 = task % p.slabs * p.block_cols, cols = min(p.block_cols, p.b.count - j0)
    task //= p.slabs
    cdef idx band = task % p.bands, batch = task // p.bands, i0
    if p.way == MATRIX:
        i0 = (band * p.band + at) * p.block_rows
    else:
        i0 = (band * half + at if at < half else (2 * p.bands - band - 2) * half + at) * p.block_rows
    cdef idx rows = min(p.block_rows, p.a.count - i0)
    if rows <= 0:
        return True
    cdef char *out = p.out + offset(p, p.lead_out, batch)
    if p.way == CONDENSED:
        return j0 + cols <= i0 + 1 or block(p, t, batch, i0, rows, j0, cols, out)
    out += i0 * p.out_row + j0 * p.out_col
    if not block(p, t, batch, i0, rows, j0, cols, out if p.direct else NULL):
        return False
    cdef idx rest = cols % p.panel
    if not p.direct:
        emit(p, t, 0, 0, rows, cols, out, p.out_row, p.out_col, p.stream)
    elif rest % p.base.lanes:
        emit(p, t, 0, 0, rows, rest, out + (cols - rest) * p.item, p.out_row, p.out_col, False)
    return True


cdef bint square_task(const Plan *p, Team *t, idx task) noexcept nogil:
    """Task number j (j + 1) / 2 + i is block (i, j), i <= j."""
    cdef idx each = p.slabs * (p.slabs + 1) // 2
    cdef idx batch = task // each, j = 0, i
    task %= each
    while (j + 1) * (j + 2) // 2 <= task:
        j += 1
    i = task - j * (j + 1) // 2
    cdef idx i0 = i * p.block_rows, rows = min(p.block_rows, p.a.count - i0)
    cdef idx j0 = j * p.block_cols, cols = min(p.block_cols, p.b.count - j0)
    cdef char *out = p.out + offset(p, p.lead_out, batch)
    if not block(p, t, batch, i0, rows, j0, cols, NULL):
        return False
    emit(p, t, 0, 0, rows, cols, out + i0 * p.out_row + j0 * p.out_col, p.out_row, p.out_col, False)
    if i != j:
        emit(p, t, 0, 0, rows, cols, out + j0 * p.out_row + i0 * p.out_col, p.out_col, p.out_row, False)
    return True


cdef bint few_task(const Plan *p, Team *t, idx item) noexcept nogil:
    """A whole batch item, where its points are; packed after all, block after block, if a sum left the safe range."""
    cdef fc_few a
    cdef idx blocks = p.bands * p.band * p.slabs if p.way == MATRIX else p.slabs * (p.slabs + 1) // 2, i
    a.a, a.b = p.a.data + offset(p, p.a.lead, item), p.b.data + offset(p, p.b.lead, item)
    a.out = p.out + offset(p, p.lead_out, item)
    a.a_step, a.b_step, a.out_step = p.a.row // p.item, p.b.row // p.item, p.out_row // p.item
    a.m, a.n, a.d, a.metric, a.finish = p.a.count, p.b.count, p.d, p.metric, p.finish
    if not p.k.few(&a):
        return not tick(&t.clock, p.a.count * p.b.count * p.d + 64)
    for i in range(item * blocks, (item + 1) * blocks):
        if not (matrix_task(p, t, i) if p.way == MATRIX else square_task(p, t, i)):
            return False
    return True


cdef bint nearest_task(const Plan *p, Team *t, idx task) noexcept nogil:
    cdef idx part = task % p.parts
    task //= p.parts
    cdef idx i0 = task % p.row_blocks * p.block_rows, rows = min(p.block_rows, p.a.count - i0)
    cdef idx batch = task // p.row_blocks, r, at
    cdef idx first = part * p.part_slabs * p.block_cols, end = min(first + p.part_slabs * p.block_cols, p.b.count)
    cdef idx j0 = first, cols
    cdef int size = p.nearest_size
    cdef fc_nearest h
    cdef fc_emit e
    h.k, h.kind = p.nearest, p.out_kind
    while j0 < end:
        cols = min(p.block_cols, end - j0)
        if not block(p, t, batch, i0, rows, j0, cols, NULL):
            return False
        for r in range(rows):
            at = ((part * p.batches + batch) * p.a.count + i0 + r) * p.nearest
            h.distances = p.distances + at * size if size == p.item else t.heaps + r * p.nearest * p.item
            h.indices = p.indices + at
            h.held = min(p.nearest, j0 - first)
            p.k.nearest(&h, t.stage + r * p.stage_step * p.item, cols, j0)
            if j0 + cols == end:
                h.todo = h.held + h.held // 2 + (h.held if size != p.item else 0)
                while h.todo > 0:
                    p.k.nearest_sort(&h, SORT_STEPS)
                    if tick(&t.clock, 100. * SORT_STEPS):
                        return False
                if size != p.item:
                    e.src, e.src_step, e.rows, e.columns = h.distances, p.nearest, 1, p.nearest
                    e.out, e.out_row, e.out_col, e.kind, e.stream = p.distances + at * size, 0, size, p.out_kind, False
                    p.k.emit(&e)
            if tick(&t.clock, 16. * cols):
                return False
        j0 += cols
    return True


cdef void flat(const Plan *p, Team *t, const Points *x, idx batch, idx row, idx first, idx count, double *measures,
               char *dst) noexcept nogil:
    """Numbers first.. of a prepared row of a block, side by side; of pairs the first alone, second words after the first; of
    FC_FORM as they were given."""
    cdef fc_points a
    cdef fc_emit e
    cdef idx each = p.each
    describe(p, t, x, &a)
    if p.metric == FC_FORM:
        a.prepare, each = FC_PLAIN, 1
    a.measures, a.measured = measures, True
    a.src = x.data + offset(p, x.lead, batch) + row * x.row
    a.rows = a.width = 1
    a.first, a.count, a.dst, a.stats = first * each, count * each, t.spare, t.c
    p.k.points(&a)
    e.src, e.src_step, e.rows, e.columns = t.spare, each, count, 1
    e.out, e.out_row, e.out_col, e.kind, e.stream = dst, p.item, p.item, FC_F32 if p.item == 4 else FC_F64, False
    p.k.emit(&e)
    if p.metric == FC_WORDS:
        e.src, e.out = t.spare + p.item, dst + p.length * p.item
        p.k.emit(&e)


cdef bint pull_range(const Plan *p, Team *t, idx batch, idx i0, idx rows, idx j0, idx cols, idx first, idx count,
                     int kind) noexcept nogil:
    """What a block of pairs pulls at numbers first.. of its rows of XA, added to their totals (or to the pairs' sizes)."""
    cdef idx size = p.length * (2 if p.metric == FC_WORDS else 1) * p.item, j, r
    cdef double work = <double>count * (p.d if p.prepare == FC_MAPPED else 4)
    cdef char *a = t.rows + size
    cdef char *sums = a + size
    cdef char *b = sums + size
    cdef fc_pull u
    memset(t.rows, 0, (3 + cols) * size)
    for j in range(cols):
        flat(p, t, &p.b, batch, j0 + j, first, count, t.b_measures + j * FC_MEASURES, b + j * size)
        if tick(&t.clock, work):
            return False
    u.a, u.b, u.sum, u.kind, u.p = a, b, sums, kind, p.p
    u.w = NULL
    if p.tile_weights != NULL:
        u.w = memcpy(t.rows, p.tile_weights + first * p.item, count * p.item)
    u.b_step, u.length, u.n = size // p.item, p.length, cols
    for r in range(rows):
        flat(p, t, &p.a, batch, i0 + r, first, count, t.a_measures + r * FC_MEASURES, a)
        u.g, u.sizes = t.g + r * p.block_cols * p.item, t.sizes + r * p.block_cols * p.item
        u.distances = t.stage + r * p.stage_step * p.item
        p.k.pull(&u)
        if kind != FC_PULL_SIZES:
            p.k.add_wide(t.totals + r * p.d + first, sums, count)
        if tick(&t.clock, work + (4 + p.cost) * cols * count):
            return False
    return True


cdef bint pull_task(const Plan *p, Team *t, idx task) noexcept nogil:
    cdef idx i0 = task % p.row_blocks * p.block_rows, rows = min(p.block_rows, p.a.count - i0), slab, j0, cols, r, first
    cdef idx batch = task // p.row_blocks
    cdef int kind
    cdef fc_unprepare e
    cdef fc_points one
    memset(t.totals, 0, rows * p.d * sizeof(double))
    for slab in range(p.slabs):
        j0 = slab * p.block_cols
        cols = min(p.block_cols, p.b.count - j0)
        if not block(p, t, batch, i0, rows, j0, cols, NULL):
            return False
        memset(t.sizes, 0, rows * p.block_cols * p.item)
        one.row_step, one.col_step, one.begin, one.rows, one.width, one.first = 0, p.grad_col, 0, 1, 1, 0
        one.kind, one.prepare, one.measured, one.d, one.count = p.grad_kind, FC_PLAIN, False, cols, cols
        one.stats, one.row, one.wide, one.measures = t.c, t.line, t.wide, t.wide
        for r in range(rows):
            one.src = p.grad + offset(p, p.lead_grad, batch) + (i0 + r) * p.grad_row + j0 * p.grad_col
            one.dst = t.g + r * p.block_cols * p.item
            p.k.points(&one)
        for kind in range(FC_PULL_SIZES if p.pull == FC_PULL_BRAYCURTIS else p.pull, p.pull - 1, -1):
            if kind != FC_PULL_SIZES and kind != p.pull:
                continue
            first = 0
            while first < p.d:
                if not pull_range(p, t, batch, i0, rows, j0, cols, first, min(p.length, p.d - first), kind):
                    return False
                first += p.length
    for r in range(rows):
        e.total = t.totals + r * p.d
        e.x = p.a.data + offset(p, p.a.lead, batch) + (i0 + r) * p.a.row
        e.x_step, e.d, e.kind, e.prepare = p.a.col, p.d, p.a.kind, p.prepare
        e.w, e.matrix, e.wide, e.factor = p.weights, p.matrix, t.wide, p.factor
        e.out = p.pulled + (batch * p.a.count + i0 + r) * p.d * p.item
        p.k.unprepare(&e)
        if tick(&t.clock, <double>p.d * (p.d if p.matrix != NULL else 16)):
            return False
    return True


cdef void run(const Plan *p, Team *t) noexcept nogil:
    """The tasks of one thread."""
    cdef bint go_on = True
    while go_on and t.first < t.last:
        if p.few:
            go_on = few_task(p, t, t.first)
        elif p.way == MATRIX or p.way == CONDENSED:
            go_on = matrix_task(p, t, t.first)
        elif p.way == NEAREST:
            go_on = nearest_task(p, t, t.first)
        elif p.way == PULL:
            go_on = pull_task(p, t, t.first)
        else:
            go_on = square_task(p, t, t.first)
        t.first += 1


# ---- planning ----

cdef bint in_rows(const Plan *p, const Points *x) noexcept:
    """Whether the kernels can read, or write, each row where it is."""
    cdef int axis
    for axis in range(p.lead):
        if x.lead[axis] % p.item:
            return False
    return (x.kind == (FC_F32 if p.item == 4 else FC_F64) and <size_t>x.data % p.item == 0 and x.row % p.item == 0
            and x.col == p.item)


cdef bint out_in_rows(const Plan *p) noexcept:
    cdef Points out
    out.data, out.row, out.col, out.kind, out.lead = p.out, p.out_row, p.out_col, p.out_kind, <idx *>p.lead_out
    return in_rows(p, &out) and p.out_col == p.item


cdef bint is_few(const Plan *p) noexcept:
    """Whether a batch item is so small that packing its points would cost more than its distances."""
    if (p.way != MATRIX and p.way != SYMMETRIC) or p.d > FC_POINT_CHAIN or p.a.count * p.b.count * p.d > FEW_WORK:
        return False
    if p.prepare != FC_PLAIN or p.tile_weights != NULL or not (
            p.metric == FC_SQUARE and (p.finish == FC_AS_IS or p.finish == FC_ROOT) or p.metric == FC_CITYBLOCK):
        return False
    return p.d > 0 and in_rows(p, &p.a) and in_rows(p, &p.b) and out_in_rows(p)


cdef void plan(Plan *p, int threads) noexcept:
    cdef idx lanes = p.base.lanes, rows, most, unit = FC_POINT_CHAIN
    cdef idx larger = 4 if p.matrix != NULL else 1  # blocks: each maps its points again, in d^2 steps
    p.few = is_few(p)
    p.in_place = in_rows(p, &p.a) and (p.prepare == FC_PLAIN or p.prepare == FC_FINITE or p.prepare == FC_KNOWN
                                       or p.prepare == FC_POSITIVE)
    p.terms = p.d
    p.each = 2 if p.metric == FC_JENSEN or p.metric == FC_CANBERRA or p.metric == FC_WORDS else 3 if p.metric == FC_FORM else 1
    unit *= p.each
    if p.prepare == FC_PACKED_BITS:
        p.terms = ceil_div(p.d, 8 * p.item)
    else:
        p.terms = p.each * p.d
    p.direct = (p.way == CONDENSED or p.way == MATRIX and not p.stream) and out_in_rows(p)
    p.range = min(p.terms, max(RANGE // unit * unit, unit))
    p.ranges = max(ceil_div(p.terms, max(p.range, 1)), 1)
    p.panel = min(p.k.vectors * lanes, round_up(p.b.count, lanes))
    most = max(larger * B_BYTES // (p.panel * max(p.range, 1) * p.item), 1) * p.panel
    rows = max(larger * A_BYTES // (FC_POINT_ROWS * max(p.range, 1) * p.item), 1) * FC_POINT_ROWS
    p.length = round_up(min(p.d, ceil_div(p.range, p.each)), lanes)
    if p.way == NEAREST and p.nearest_size != p.item:
        rows = min(rows, ROW_BYTES // (p.nearest * p.item))
    elif p.way == PULL:
        rows = min(rows, ROW_BYTES // (max(p.d, 1) * <idx>sizeof(double)))
    rows = max(rows, FC_POINT_ROWS)
    if p.way != SYMMETRIC:
        p.block_cols = DIRECT_COLUMNS if p.direct or p.way == CONDENSED else BLOCK_COLUMNS
        p.block_cols = min(min(max(p.block_cols // p.panel, 1) * p.panel, most), round_up(p.b.count, lanes))
        rows = min(rows, NEAREST_ROWS if p.way == NEAREST else BLOCK_ROWS)
        # Blocks of about the same size, as many for each thread.
        p.row_blocks = ceil_div(p.a.count, rows)
        if not p.few and p.batches < 4 * threads and p.a.count > threads * FC_POINT_ROWS:
            p.row_blocks = round_up(p.row_blocks, 2 * threads if p.way == CONDENSED else threads)
        p.block_rows = round_up(ceil_div(p.a.count, p.row_blocks), FC_POINT_ROWS)
        p.row_blocks = ceil_div(p.a.count, p.block_rows)
        p.slabs = ceil_div(p.b.count, p.block_cols)
        p.tasks = p.batches * p.row_blocks * (p.parts if p.way == NEAREST else 1)
        if p.way == MATRIX or p.way == CONDENSED:
            p.band = ceil_div(p.row_blocks, threads) if not p.few and p.batches < 4 * threads else p.row_blocks
            if p.way == CONDENSED:
                p.band = round_up(p.band, 2)
            p.bands = ceil_div(p.row_blocks, p.band)
            p.tasks = p.batches * p.bands * p.band * p.slabs
        p.part_slabs = ceil_div(p.slabs, p.parts)
    else:
        p.block_rows = p.block_cols = min(min(round_up(p.a.count, p.panel), max(SQUARE // p.panel, 1) * p.panel),
                                            max(rows // p.panel * p.panel, p.panel))
        p.slabs = p.row_blocks = ceil_div(p.a.count, p.block_rows)
        p.tasks = p.batches * p.slabs * (p.slabs + 1) // 2
    if p.few:
        p.tasks = p.batches
    p.stage_step = (p.panel if p.direct or p.way == CONDENSED else round_up(p.block_cols, lanes)) + lanes


cdef char *borrow(idx *size) noexcept:
    """Workspace of at least `size` bytes: what the call before left, or new. Fresh pages cost more than a small call."""
    global kept
    cdef char *memory = kept
    kept = NULL
    if memory != NULL and kept_size >= size[0]:
        size[0] = kept_size
        return memory
    PyMem_RawFree(memory)
    return <char *>PyMem_RawMalloc(size[0])


cdef void give_back(char *memory, idx size) noexcept:
    global kept, kept_size
    if kept == NULL and size <= KEPT_BYTES:
        kept = memory
        kept_size = size
    else:
        PyMem_RawFree(memory)


cdef int execute(const Plan *p, int threads) except -1:
    cdef idx rows = round_up(p.block_rows, FC_POINT_ROWS), cols = round_up(p.block_cols, p.panel)
    cdef idx tiles = 1 if p.ranges == 1 else rows // FC_POINT_ROWS * (cols // p.panel)
    cdef idx a = round_up(rows * p.range * p.item, 64), a_stats = round_up(rows * p.item, 64)
    cdef idx b = round_up(cols * p.range * p.item, 64), b_stats = round_up(cols * p.item, 64)
    cdef idx c = 8 * tiles * FC_POINT_ROWS * p.panel * p.item, stage = round_up(rows * p.stage_step * p.item, 64)
    cdef idx numbers = max(min(p.d, FC_POINT_PIECE), max(p.range, cols))
    if p.matrix != NULL or p.way == PULL:
        numbers = max(numbers, p.d)
    elif p.prepare == FC_PACKED_BITS:
        numbers = max(numbers, min(p.d, 8 * p.item * p.range))
    cdef idx row = round_up(numbers * p.item, 64), wide = round_up(numbers * sizeof(double), 64)
    cdef idx measures = round_up(FC_MEASURES * (rows + cols) * sizeof(double), 64)
    cdef idx heaps = 0, prepared = 0, g = 0, spare = 0, totals = 0, differences = 0, mapped = 0
    if p.matrix != NULL:
        differences, mapped = round_up(2 * p.d * p.item, 64), round_up(p.d * sizeof(double), 64)
    if p.way == NEAREST and p.nearest_size != p.item:
        heaps = round_up(rows * p.nearest * p.item, 64)
    elif p.way == PULL:
        prepared = round_up((cols + 3) * (2 if p.metric == FC_WORDS else 1) * p.length * p.item, 64)
        g = round_up(rows * p.block_cols * p.item, 64)
        spare = round_up(p.length * p.each * p.item, 64)
        totals = round_up(rows * p.d * sizeof(double), 64)
    cdef idx each = (a + a_stats + b + b_stats + c + stage + row + wide + measures + heaps + prepared + 2 * g + spare + totals
                     + differences + mapped + round_up(tiles, 64))
    cdef int i
    cdef idx size = threads * each + 64
    cdef char *memory = borrow(&size)
    cdef Team alone
    cdef Team *members = &alone if threads == 1 else <Team *>PyMem_RawCalloc(threads, sizeof(Team))
    cdef Watch watch
    cdef char *at
    try:
        if memory == NULL or members == NULL:
            raise MemoryError(f"distances could not allocate {threads * each} bytes of workspace")
        at = memory + (-<size_t>memory) % 64
        for i in range(threads):
            start_clock(&members[i].clock, &watch, i)
            members[i].first, members[i].last = share(p.tasks, i, threads), share(p.tasks, i + 1, threads)
            members[i].packed = -1
            members[i].a = at + i * each
            members[i].a_stats = members[i].a + a
            members[i].b = members[i].a_stats + a_stats
            members[i].b_stats = members[i].b + b
            members[i].c = members[i].b_stats + b_stats
            members[i].stage = members[i].c + c
            members[i].line = members[i].stage + stage
            members[i].wide = <double *>(members[i].line + row)
            members[i].a_measures = <double *>(members[i].line + row + wide)
            members[i].b_measures = members[i].a_measures + FC_MEASURES * rows
            members[i].heaps = members[i].line + row + wide + measures
            members[i].rows = members[i].heaps + heaps
            members[i].g = members[i].rows + prepared
            members[i].sizes = members[i].g + g
            members[i].spare = members[i].sizes + g
            members[i].totals = <double *>(members[i].spare + spare)
            members[i].differences = members[i].spare + spare + totals
            members[i].mapped = <double *>(members[i].differences + differences)
            members[i].needs = members[i].differences + differences + mapped
        if threads == 1:
            with nogil:
                run(p, members)
        else:
            for i in prange(threads, nogil=True, num_threads=threads, schedule="static", chunksize=1):
                run(p, &members[i])
        if watch.stop:
            return -1
    finally:
        give_back(memory, size)
        if threads > 1:
            PyMem_RawFree(members)
    return 0


cdef int take(Plan *p, Points *x, cnp.ndarray a, cnp.ndarray out, int lead) except -1:
    """Points of `a` (..., rows, d), whose leading axes broadcast to those of the result."""
    cdef int i, own = a.ndim - 2
    x.data = cnp.PyArray_BYTES(a)
    x.count, x.row, x.col = cnp.PyArray_DIM(a, own), cnp.PyArray_STRIDE(a, own), cnp.PyArray_STRIDE(a, own + 1)
    x.kind = kind_of(a)
    if cnp.PyArray_DIM(a, own + 1) == 1:
        x.col = cnp.PyArray_ITEMSIZE(a)
    for i in range(lead):
        x.lead[i] = 0
        if i >= lead - own and cnp.PyArray_DIM(a, i - lead + own) > 1:
            x.lead[i] = cnp.PyArray_STRIDE(a, i - lead + own)
    return 0


cdef int prepare(Plan *p, cnp.ndarray xa, cnp.ndarray xb, cnp.ndarray out, int lead, bint single, tuple metric) except -1:
    """What all ways have in common; `metric` is (metric, finish, prepare, p, n, weights, tile_weights, matrix, cost, factor)."""
    cdef int i
    cdef cnp.ndarray array
    clear(p)
    p.base, p.k = &table().base.real[not single], &table().distance.real[not single]
    p.item = 4 if single else 8
    p.lead, p.batches = lead, 1
    for i in range(lead):
        p.lead_shape[i] = cnp.PyArray_DIM(out, i)
        p.lead_out[i] = cnp.PyArray_STRIDE(out, i)
        p.batches *= p.lead_shape[i]
    p.d = cnp.PyArray_DIM(xa, xa.ndim - 1)
    take(p, &p.a, xa, out, lead)
    take(p, &p.b, xb, out, lead)
    p.out, p.out_kind = cnp.PyArray_BYTES(out), kind_of(out)
    p.metric, p.finish, p.prepare, p.p, p.n = metric[0], metric[1], metric[2], metric[3], metric[4]
    p.cost, p.factor = metric[8], metric[9]
    if metric[5] is not None:
        array = metric[5]
        p.weights = <const double *>cnp.PyArray_DATA(array)
    if metric[6] is not None:
        array = metric[6]
        p.tile_weights = cnp.PyArray_BYTES(array)
    if metric[7] is not None:
        array = metric[7]
        p.matrix = <const double *>cnp.PyArray_DATA(array)
    p.parts = 1
    return 0


def matrix(cnp.ndarray xa, cnp.ndarray xb, cnp.ndarray out, bint single, bint symmetric, bint reused, tuple metric, workers):
    """Fills out (..., m, n) with distances; distance.py has checked everything. `symmetric`: xb is xa; `reused`: the pages
    of out are there already (new ones are in the caches, cleared, and stores past them would first throw them out)."""
    cdef Plan p
    cdef int lead = out.ndim - 2, threads
    cdef double work
    prepare(&p, xa, xb, out, lead, single, metric)
    p.out_row, p.out_col = cnp.PyArray_STRIDE(out, lead), cnp.PyArray_STRIDE(out, lead + 1)
    p.way = SYMMETRIC if symmetric else MATRIX
    p.stream = reused and cnp.PyArray_NBYTES(out) > STREAM_BYTES
    work = <double>p.batches * p.a.count * p.b.count * (p.d + 4) * <double>metric[8]
    threads = team(workers, work)
    plan(&p, threads)
    return execute(&p, crew(threads, p.tasks))


cdef inline bint plain(cnp.ndarray a) noexcept:
    """Whether an array is two-dimensional, native float32 or float64 and aligned."""
    cdef int type_ = cnp.PyArray_TYPE(a)
    return (a.ndim == 2 and (type_ == cnp.NPY_DOUBLE or type_ == cnp.NPY_FLOAT) and cnp.PyArray_ISBEHAVED_RO(a))


cdef dict _small = {}


def set_small(dict metrics):
    """Says which metrics `small` computes: {name: (sums, ending, preparation)}."""
    _small.update(metrics)


def small(xa, xb, metric):
    """cdist of a few plain points by a metric without arguments; None where anything is less plain."""
    cdef object code = _small.get(metric)
    if code is None or type(xa) is not cnp.ndarray or type(xb) is not cnp.ndarray:
        return None
    cdef cnp.ndarray a = xa, b = xb, out
    if not plain(a) or not plain(b) or cnp.PyArray_TYPE(a) != cnp.PyArray_TYPE(b):
        return None
    cdef Plan p
    cdef idx m = cnp.PyArray_DIM(a, 0), n = cnp.PyArray_DIM(b, 0), d = cnp.PyArray_DIM(a, 1)
    if d != cnp.PyArray_DIM(b, 1) or m == 0 or n == 0 or <double>m * n * (d + 4) > SMALL_WORK:
        return None
    cdef cnp.npy_intp[2] shape
    shape[0], shape[1] = m, n
    out = cnp.PyArray_EMPTY(2, shape, cnp.PyArray_TYPE(a), 0)
    clear(&p)
    p.item = cnp.PyArray_ITEMSIZE(a)
    p.base, p.k = &table().base.real[p.item == 8], &table().distance.real[p.item == 8]
    p.batches, p.d, p.parts, p.cost = 1, d, 1, 1
    take(&p, &p.a, a, out, 0)
    take(&p, &p.b, b, out, 0)
    p.out, p.out_kind, p.out_row, p.out_col = cnp.PyArray_BYTES(out), p.a.kind, n * p.item, p.item
    p.metric, p.finish, p.prepare = (<tuple>code)[0], (<tuple>code)[1], (<tuple>code)[2]
    p.p, p.n, p.factor = 2, d, 1
    p.way = MATRIX
    plan(&p, 1)
    execute(&p, 1)
    return out


def condensed(cnp.ndarray x, cnp.ndarray out, bint single, tuple metric, workers):
    """Fills out (..., n (n - 1) / 2) with the distances of x (..., n, d) to itself."""
    cdef Plan p
    cdef int lead = out.ndim - 1, threads
    cdef double work
    prepare(&p, x, x, out, lead, single, metric)
    p.out_row, p.out_col = 0, cnp.PyArray_STRIDE(out, lead)
    p.way = CONDENSED
    work = 0.5 * p.batches * p.a.count * p.b.count * (p.d + 4) * <double>metric[8]
    threads = team(workers, work)
    plan(&p, threads)
    return execute(&p, crew(threads, p.tasks))


def nearest(cnp.ndarray queries, cnp.ndarray data, cnp.ndarray distances, cnp.ndarray indices, bint single, tuple metric,
            workers):
    """Fills distances and indices (parts, ..., m, k), C-contiguous, with the k nearest of each query in each part of data."""
    cdef Plan p
    cdef int lead = distances.ndim - 3, threads
    cdef double work
    prepare(&p, queries, data, distances[0], lead, single, metric)
    p.distances, p.indices = cnp.PyArray_BYTES(distances), <idx *>cnp.PyArray_DATA(indices)
    p.parts, p.nearest = cnp.PyArray_DIM(distances, 0), cnp.PyArray_DIM(distances, lead + 2)
    p.nearest_size = cnp.PyArray_ITEMSIZE(distances)
    p.way = NEAREST
    work = <double>p.batches * p.a.count * p.b.count * (p.d + 4) * <double>metric[8]
    threads = team(workers, work)
    plan(&p, threads)
    return execute(&p, crew(threads, p.tasks))


def pull(cnp.ndarray grad, cnp.ndarray xa, cnp.ndarray xb, cnp.ndarray out, int kind, bint single, tuple metric, workers):
    """Fills out (..., m, d), C-contiguous, with the sums over j of grad[..., i, j] times the gradient at xa[..., i, :] of its
    distance to xb[..., j, :]."""
    cdef Plan p
    cdef int i, lead = out.ndim - 2, threads
    cdef double work
    prepare(&p, xa, xb, out, lead, single, metric)
    p.pulled, p.pull = cnp.PyArray_BYTES(out), kind
    p.grad, p.grad_kind = cnp.PyArray_BYTES(grad), kind_of(grad)
    p.grad_row, p.grad_col = cnp.PyArray_STRIDE(grad, lead), cnp.PyArray_STRIDE(grad, lead + 1)
    for i in range(lead):
        p.lead_grad[i] = cnp.PyArray_STRIDE(grad, i)
    p.way = PULL
    work = <double>p.batches * p.a.count * p.b.count * (p.d + 4) * (4 + <double>metric[8])
    threads = team(workers, work)
    plan(&p, threads)
    return execute(&p, crew(threads, p.tasks))
