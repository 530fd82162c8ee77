"""Computes a block of distances: packs its points, runs the kernels on its tiles, again where sums left the safe range, and
makes room for it on each thread of a team. All functions that take long return whether to go on, which a signal may forbid.
Next hop: kernels/distance/distance.h.
"""
from fastconv._drivers.common cimport ceil_div, idx, round_up
from fastconv._drivers.distance.plan cimport CONDENSED, NEAREST, PULL, Plan, Points, plan
from fastconv._drivers.distance.table cimport (
    FC_MEASURES,
    FC_PACKED_BITS,
    FC_PASS_AGAIN,
    FC_PASS_LARGEST,
    FC_PASS_SUMS,
    FC_POINT_PIECE,
    FC_POINT_ROWS,
    FC_WORDS,
    fc_cancelled,
    fc_emit,
    fc_pairs,
    fc_points,
)
from fastconv._drivers.runtime cimport Step, crew, run_team, team, tick


cdef void describe_points(const Plan *p, Thread *t, const Points *x, fc_points *a) noexcept nogil:
    """What all rows of a collection have in common."""
    a.row_step, a.col_step, a.d, a.kind = x.row, x.col, p.d, x.kind
    a.prepare, a.w, a.matrix, a.weight, a.row, a.wide = p.prepare, p.weights, p.matrix, p.n, t.line, t.wide
    a.begin, a.measured = 0, False


cdef bint pack(const Plan *p, Thread *t, const Points *x, idx batch, idx start, idx rows, idx width, idx first, idx count,
               char *dst, char *stats, double *measures) noexcept nogil:
    """Panels of `width` rows each; the last is as wide as its rows need, in whole vectors, where lanes lie along them.
    With dst NULL their statistics alone."""
    cdef fc_points a
    cdef idx panel = 0, last, each = width
    cdef double work = <double>count * (p.d if p.matrix != NULL else 1) + (p.d if first == 0 else 0)
    if p.matrix != NULL:  # rows that take long
        each = min(width, <idx>(1e7 / work) + 1)
    describe_points(p, t, x, &a)
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
            if tick(&t.worker.clock, work * (a.rows - a.begin)):
                return False
            a.begin = a.rows
        panel += width
    return True


cdef bint pack_range(const Plan *p, Thread *t, const Block *b, idx range_, idx count) noexcept nogil:
    """One range of the points of a block, `count` numbers: rows of XA that cannot be read where they are, and of XB those that
    are not packed already."""
    cdef idx first = range_ * p.range, slab = b.batch * p.b.count + b.j0
    cdef idx whole = b.rows - b.rows % FC_POINT_ROWS if p.in_place else 0
    if not pack(p, t, &p.a, b.batch, b.i0, whole, FC_POINT_ROWS, first, count, NULL, t.a_stats, t.a_measures):
        return False
    if not pack(p, t, &p.a, b.batch, b.i0 + whole, b.rows - whole, FC_POINT_ROWS, first, count, t.a,
                t.a_stats + whole * p.item, t.a_measures + whole * FC_MEASURES):
        return False
    if t.packed != slab or t.packed_range != range_:
        t.packed = -1
        if not pack(p, t, &p.b, b.batch, b.j0, b.cols, p.panel, first, count, t.b, t.b_stats, t.b_measures):
            return False
        t.packed = slab
        t.packed_range = range_
    return True


cdef void emit(const Plan *p, Thread *t, const Block *b, idx first, char *out, idx out_row, idx out_col) noexcept nogil:
    """A block of stage to out; or its columns from `first` on, which are then the first of stage."""
    cdef fc_emit e
    e.src, e.src_step, e.rows, e.columns = t.stage, p.stage_step, b.rows, b.cols - first
    e.out, e.out_row, e.out_col, e.kind, e.stream = out, out_row, out_col, p.out_kind, p.stream and first == 0
    p.k.emit(&e)


cdef inline idx pair(const Plan *p, idx row, idx col) noexcept nogil:
    """Where CONDENSED has the distance of two points, row < col."""
    return row * (2 * p.a.count - row - 1) // 2 + col - row - 1


cdef void emit_above(const Plan *p, Thread *t, idx row, idx rows, idx col, idx cols, char *out) noexcept nogil:
    """CONDENSED: what lies above the diagonal of the tile in stage, to the result of the batch."""
    cdef fc_emit e
    cdef idx r, first
    e.src_step, e.rows, e.out_row, e.out_col, e.kind, e.stream = p.stage_step, 1, 0, p.out_col, p.out_kind, False
    for r in range(rows):
        first = max(row + r + 1, col)
        if first < col + cols:
            e.src, e.columns = t.stage + (r * p.stage_step + first - col) * p.item, col + cols - first
            e.out = out + pair(p, row + r, first) * p.out_col
            p.k.emit(&e)


cdef bint recompute(const Plan *p, Thread *t, const fc_pairs *tile, const Block *b, idx row, idx col, idx cols) noexcept nogil:
    """Distances of mapped points that cancel, in the tile at (row, col), from the points themselves."""
    cdef fc_points x, y
    cdef fc_cancelled u
    describe_points(p, t, &p.a, &x)
    describe_points(p, t, &p.b, &y)
    x.src = p.a.data + offset(p, p.a.lead, b.batch) + row * p.a.row
    y.src = p.b.data + offset(p, p.b.lead, b.batch) + col * p.b.row
    u.tile, u.a, u.b, u.columns, u.at = tile, &x, &y, cols, 0
    u.length, u.differences, u.mapped = p.range // p.each, t.differences, t.mapped
    while p.k.cancelled(&u):
        if tick(&t.worker.clock, 2. * p.d * p.d):
            return False
    return True


cdef int block_pass(const Plan *p, Thread *t, const Block *b, int pass_) noexcept nogil:
    """A pass over all ranges of the distances of a block; which one must follow, -1 to stop. Tiles that need no other pass are
    left out of those that follow."""
    cdef idx groups = ceil_div(b.rows, FC_POINT_ROWS), panels = ceil_div(b.cols, p.panel), range_, count, panel, group, tile = 0
    cdef idx tile_size = FC_POINT_ROWS * p.panel, whole = b.rows - b.rows % FC_POINT_ROWS if p.in_place else 0, row, col, cols
    cdef const char *rows_a
    cdef char *dst
    cdef fc_pairs a
    cdef bint triangle = p.way == CONDENSED, straight = False
    cdef int next_ = 0, more
    a.metric, a.ending, a.p, a.n, a.pass_ = p.metric, p.ending, p.p, p.n, pass_
    a.dst_fall, a.lost = 0, 4 * tile_size
    a.factor = 1 if p.way == PULL else p.factor
    for range_ in range(p.ranges):
        count = min(p.range, p.terms - range_ * p.range)
        if not pack_range(p, t, b, range_, count):
            return -1
        rows_a = p.a.data + offset(p, p.a.lead, b.batch) + b.i0 * p.a.row + range_ * p.range * p.item
        a.count, a.first, a.last = count, range_ == 0, range_ == p.ranges - 1
        a.w = p.tile_weights + range_ * p.range // p.each * p.item if p.tile_weights != NULL else NULL
        for panel in range(panels):
            col, cols = b.j0 + panel * p.panel, min(p.panel, b.cols - panel * p.panel)
            a.vectors = <int>ceil_div(cols, p.base.lanes)
            dst, a.dst_step = t.stage + (0 if p.direct else panel * p.panel) * p.item, p.stage_step
            if b.out != NULL and a.vectors * p.base.lanes <= cols:
                dst, a.dst_step = b.out + panel * p.panel * p.item, p.out_row // p.item
            a.b = t.b + panel * p.panel * count * p.item
            a.b_stats = t.b_stats + panel * p.panel * p.item
            for group in range(groups):
                if p.ranges > 1:
                    tile = panel * groups + group
                if pass_ == FC_PASS_SUMS:
                    t.needs[tile] = 0
                elif t.needs[tile] == 0:
                    continue
                row, a.rows = b.i0 + group * FC_POINT_ROWS, <int>min(<idx>FC_POINT_ROWS, b.rows - group * FC_POINT_ROWS)
                if group * FC_POINT_ROWS < whole:
                    a.a, a.a_row, a.a_col = rows_a + group * FC_POINT_ROWS * p.a.row, p.a.row // p.item, 1
                else:
                    a.a, a.a_row, a.a_col = t.a + (group * FC_POINT_ROWS - whole) * count * p.item, 1, FC_POINT_ROWS
                a.a_stats = t.a_stats + group * FC_POINT_ROWS * p.item
                a.sums = t.c + 8 * tile * tile_size * p.item
                a.second_sums = a.sums + tile_size * p.item
                a.largest, a.careful = a.sums + 2 * tile_size * p.item, a.sums + 3 * tile_size * p.item
                a.dst = dst + group * FC_POINT_ROWS * a.dst_step * p.item
                if triangle:
                    if col + cols <= row + 1:
                        continue
                    straight = p.direct and col >= row + a.rows and a.vectors * p.base.lanes <= cols
                    if straight:
                        a.dst, a.dst_step, a.dst_fall = b.out + pair(p, row, col) * p.item, p.a.count - row - 2, 1
                    else:
                        a.dst, a.dst_step, a.dst_fall = t.stage, p.stage_step, 0
                more = p.k.pairs(&a)
                if a.last:
                    t.needs[tile] = <char>more
                if next_ == 0 or more == FC_PASS_LARGEST:
                    next_ = more
                if p.matrix != NULL and a.last and pass_ != FC_PASS_LARGEST and not recompute(p, t, &a, b, row, col, cols):
                    return -1
                if triangle and a.last and not straight and pass_ != FC_PASS_LARGEST:
                    emit_above(p, t, row, a.rows, col, cols, b.out)
                if tick(&t.worker.clock, p.cost * tile_size * count):
                    return -1
    return next_


cdef bint compute_block(const Plan *p, Thread *t, const Block *b) noexcept nogil:
    """The distances of a block, in stage: with `out` panels of whole vectors go there. Of CONDENSED `out` takes all."""
    cdef int next_ = block_pass(p, t, b, FC_PASS_SUMS)
    if next_ == FC_PASS_LARGEST:
        next_ = block_pass(p, t, b, FC_PASS_LARGEST)
    if next_ == FC_PASS_AGAIN:
        next_ = block_pass(p, t, b, FC_PASS_AGAIN)
    return next_ == 0


# ---- on a team ----

cdef inline char *cut(char **at, idx size) noexcept nogil:
    """The next `size` bytes of a workspace, whole cache lines."""
    cdef char *part = at[0]
    at[0] += round_up(size)
    return part


cdef idx lay_out(const Plan *p, Thread *t) noexcept nogil:
    """Cuts the workspace of a thread into its parts, from t.worker.memory on; how many bytes they take."""
    cdef idx rows = round_up(p.block_rows, FC_POINT_ROWS), cols = round_up(p.block_cols, p.panel), item = p.item
    cdef idx tiles = 1 if p.ranges == 1 else rows // FC_POINT_ROWS * (cols // p.panel)
    cdef idx numbers = max(min(p.d, FC_POINT_PIECE), max(p.range, cols))
    cdef char *at = t.worker.memory
    if p.matrix != NULL or p.way == PULL:
        numbers = max(numbers, p.d)
    elif p.prepare == FC_PACKED_BITS:
        numbers = max(numbers, min(p.d, 8 * item * p.range))
    t.packed = -1
    t.a, t.a_stats = cut(&at, rows * p.range * item), cut(&at, rows * item)
    t.b, t.b_stats = cut(&at, cols * p.range * item), cut(&at, cols * item)
    t.c = cut(&at, 8 * tiles * FC_POINT_ROWS * p.panel * item)
    t.stage = cut(&at, rows * p.stage_step * item)
    t.line, t.wide = cut(&at, numbers * item), <double *>cut(&at, numbers * sizeof(double))
    t.a_measures = <double *>cut(&at, FC_MEASURES * rows * sizeof(double))
    t.b_measures = <double *>cut(&at, FC_MEASURES * cols * sizeof(double))
    t.needs = cut(&at, tiles)
    if p.matrix != NULL:
        t.differences, t.mapped = cut(&at, 2 * p.d * item), <double *>cut(&at, p.d * sizeof(double))
    if p.way == NEAREST and p.distance_size != item:
        t.heaps = cut(&at, rows * p.neighbors * item)
    elif p.way == PULL:
        t.rows = cut(&at, (cols + 3) * (2 if p.metric == FC_WORDS else 1) * p.length * item)
        t.g, t.sizes = cut(&at, rows * p.block_cols * item), cut(&at, rows * p.block_cols * item)
        t.spare, t.totals = cut(&at, p.length * p.each * item), <double *>cut(&at, rows * p.d * sizeof(double))
    return at - t.worker.memory


cdef void prepare(const void *plan, void *worker) noexcept nogil:
    lay_out(<const Plan *>plan, <Thread *>worker)


cdef int execute(Plan *p, int threads, Step run) except -1:
    """Carries out a plan for so many threads."""
    cdef Thread none
    plan(p, threads)
    none.worker.memory = <char *>&none   # where nothing is touched
    return run_team(p, sizeof(Thread), lay_out(p, &none), p.tasks, crew(threads, p.tasks), prepare, run)


cdef int compute(Plan *p, double cost, workers, Step run) except -1:
    """Plans and carries out a call whose pairs cost so many multiply-adds for each number of a point."""
    return execute(p, team(workers, <double>p.batches * p.a.count * p.b.count * (p.d + 4) * cost), run)
