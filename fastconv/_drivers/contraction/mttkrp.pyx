"""Driver of mttkrp: cuts the tensor into tasks and runs them on a team. The face is contraction.py, the kernels are in
kernels/base/tile.h and kernels/contraction/strided_tile.h.

One axis is contracted by the tile, whose lanes run along the columns of the factors; the others by scaling its result with
rows of the other factors. Along the tensor's last axis the product is formed transposed: lanes run along that axis, and the
tile takes products of the factors (kernels/contraction/khatri_rao.h), in segments of the other axes.

Every sum runs in chains of terms in registers, which add up over groups of products of the other axes, and those in twice the
precision, so that errors do not grow with the length. The shapes of the whole call decide about all of these: the bits do not
depend on threads or strides.
"""
from cpython.mem cimport PyMem_RawFree
from libc.string cimport memset

cimport numpy as cnp

from fastconv._drivers.base cimport FC_F32, FC_F64, fc_base_kernels
from fastconv._drivers.common cimport ceil_div, idx, kind_of, round_up
from fastconv._drivers.contraction.blocks cimport MAX_AXES, allocate, copy_matrix, copy_rows, magnitude, multiply, store
from fastconv._drivers.contraction.table cimport fc_contraction_kernels, fc_khatri_rao, fc_pair_run, fc_strided_tile
from fastconv._drivers.runtime cimport Worker, crew, run_team, seam, table, team, tick

cnp.import_array()

cdef idx UNFOLD_CHAIN = 128      # terms of one chain of sums
cdef idx UNFOLD_ROWS = 104       # rows of a task, at most
cdef idx FAR_ROWS = 24           # the same where they lie pages apart
cdef idx FAR = 4096
cdef idx UNFOLD_TERMS = 1024     # terms of the contracted axis that a task holds packed
cdef idx UNFOLD_PANELS = 4       # panels of a task, at most
cdef idx UNFOLD_GROUP = 64       # products of the other axes that are added up before they join the wide sums
cdef idx TRANSPOSED_ROWS = 256   # rows of a task whose lanes run along them, at most,
cdef idx TRANSPOSED_COLUMNS = 64 # its columns,
cdef idx TRANSPOSED_TERMS = 256  # and the terms whose products with the other factors it holds
cdef idx TRANSPOSED_CHAIN = 104  # terms of a chain
cdef idx TRANSPOSED_TASKS = 16   # such tasks, at least: the other axes are cut where rows and columns make fewer

seam("contraction.UNFOLD_CHAIN", &UNFOLD_CHAIN)
seam("contraction.UNFOLD_ROWS", &UNFOLD_ROWS)
seam("contraction.FAR_ROWS", &FAR_ROWS)
seam("contraction.FAR", &FAR)
seam("contraction.UNFOLD_TERMS", &UNFOLD_TERMS)
seam("contraction.UNFOLD_PANELS", &UNFOLD_PANELS)
seam("contraction.UNFOLD_GROUP", &UNFOLD_GROUP)
seam("contraction.TRANSPOSED_ROWS", &TRANSPOSED_ROWS)
seam("contraction.TRANSPOSED_COLUMNS", &TRANSPOSED_COLUMNS)
seam("contraction.TRANSPOSED_TERMS", &TRANSPOSED_TERMS)
seam("contraction.TRANSPOSED_CHAIN", &TRANSPOSED_CHAIN)
seam("contraction.TRANSPOSED_TASKS", &TRANSPOSED_TASKS)


cdef struct Factor:
    const char *data
    idx row, column
    int kind


cdef struct Unfolding:
    const fc_base_kernels *base
    const fc_contraction_kernels *k
    idx item
    int kind, out_kind
    const char *t
    char *out
    # Steps are in bytes. The tensor: rows, the axes whose factors scale, the contracted axis.
    idx rows, row, terms, term, others
    int axes
    idx shape[MAX_AXES]
    idx step[MAX_AXES]
    Factor factors[MAX_AXES]
    Factor contracted
    idx r, out_row, out_column
    bint in_place, transposed    # transposed: lanes along the rows, which are contiguous
    idx block_rows, width, panels, group, groups, blocks, tasks, depth, segments
    char *totals                 # transposed: sums of each task, if there are several segments


cdef struct Thread:
    Worker worker
    char *packed                 # panels of the contracted factor; transposed: a strip of the tensor
    char *block                  # rows of the tensor; transposed: products of the factors
    char *spare                  # rows before they are transposed
    char *products               # a panel's, before they are scaled; transposed: another spare
    char *sums                   # of this group of products
    char *total                  # wide ones of all groups, if there are several
    char *scale                  # a row of the product of the other factors


cdef idx locate_other(const Unfolding *p, idx other, idx column, idx columns, idx width, char *scale,
                      char *spare) noexcept nogil:
    """scale = the product of the other factors' rows; returns the offset of the tensor's block."""
    cdef idx rest = other, index, at = 0
    cdef int a
    cdef bint first = True
    for a in range(p.axes - 1, -1, -1):
        index = rest % p.shape[a]
        rest //= p.shape[a]
        at += index * p.step[a]
        copy_rows(p.base, scale if first else spare, width, p.factors[a].data + index * p.factors[a].row
                  + column * p.factors[a].column, 0, p.factors[a].column, 1, columns, p.factors[a].kind)
        if not first:
            p.k.weigh(scale, scale, 1, width, width, spare)
        first = False
    return at


cdef void multiply_rows(const Unfolding *p, Thread *w, const char *a, idx a_row, idx ahead, idx rows, const char *packed,
                        int vectors, idx count) noexcept nogil:
    """c = rows, in place or packed, against a panel of the factor, while what lies `ahead`, if not 0, is prefetched."""
    cdef idx width = vectors * p.base.lanes, r = 0, n, height, length
    while r < rows:
        height = min(FAR_ROWS, rows - r)
        n = 0
        while n < count:
            length = min(UNFOLD_CHAIN, count - n)
            if ahead:
                p.base.prefetch(a + r * p.row + n * p.item + ahead, height, p.row, length * p.item)
            multiply(p.base, p.item, a + (r * a_row + n) * p.item, a_row, height, packed + n * width * p.item, length, vectors,
                     w.products + r * width * p.item, n > 0, length)
            n += length
        r += height
        if tick(&w.worker.clock, (<double>height * count + 16 * p.axes) * width):
            return


cdef void multiply_in_place(const Unfolding *p, Thread *w, const char *a, idx ahead, idx rows, idx count) noexcept nogil:
    """The same for rows in place and a whole panel, the first, while what lies `ahead` is prefetched line by line."""
    cdef idx r = 0, n, width = p.k.strided_vectors * p.base.lanes
    cdef fc_strided_tile q
    memset(w.products, 0, rows * width * p.item)
    q.a_step, q.b_step, q.ahead_step = p.row // p.item, width, 64 // p.item
    while r < rows:
        q.rows, q.c, n = <int>min(p.k.strided_rows, rows - r), w.products + r * width * p.item, 0
        while n < count:
            q.length = min(UNFOLD_CHAIN, count - n)
            q.a, q.b = a + r * p.row + n * p.item, w.packed + n * width * p.item
            q.ahead = a + r * p.row + ahead + n * 64
            p.k.strided_tile(&q)
            n += q.length
        r += q.rows
        if tick(&w.worker.clock, <double>q.rows * count * width):
            return


cdef void unfold_task(const Unfolding *p, Thread *w, idx task) noexcept nogil:
    cdef idx part = task % p.blocks, first = p.rows * part // p.blocks, rows = p.rows * (part + 1) // p.blocks - first
    cdef idx panel0 = task // p.blocks * p.group, panels = min(p.group, p.panels - panel0)
    cdef idx size = p.block_rows * p.width * p.item
    cdef idx start = 0, count, other, panel, columns, width, at, a_row, ahead
    cdef idx packed = p.depth * p.width * p.item
    cdef bint once = p.others <= UNFOLD_GROUP and p.terms <= p.depth, begun = False
    cdef int vectors
    cdef const char *a
    cdef const char *block
    memset(w.sums, 0, panels * size)
    while start < p.terms:
        count = min(p.depth, p.terms - start)
        for panel in range(panels):
            columns = min(p.width, p.r - (panel0 + panel) * p.width)
            width = round_up(columns, p.base.lanes)
            copy_rows(p.base, w.packed + panel * packed, width, p.contracted.data + start * p.contracted.row
                      + (panel0 + panel) * p.width * p.contracted.column, p.contracted.row, p.contracted.column, count, columns,
                      p.contracted.kind)
        for other in range(p.others):
            for panel in range(panels):
                columns = min(p.width, p.r - (panel0 + panel) * p.width)
                vectors = <int>ceil_div(columns, p.base.lanes)
                width = vectors * p.base.lanes
                at = locate_other(p, other, (panel0 + panel) * p.width, columns, width, w.scale,
                                  w.scale + p.width * p.item)
                block = p.t + at + first * p.row + start * p.term
                a, a_row = block, p.row // p.item
                if not p.in_place:
                    if panel == 0:
                        copy_matrix(p.base, p.item, w.block, count, w.spare, block, p.row, p.term, rows, count, p.kind)
                    a, a_row = w.block, count
                ahead = 0
                if p.in_place and panel == 0 and magnitude(p.row) < FAR and p.axes and (other + 1) % p.shape[p.axes - 1]:
                    ahead = p.step[p.axes - 1]
                if ahead and vectors == p.k.strided_vectors:
                    multiply_in_place(p, w, a, ahead, rows, count)
                else:
                    multiply_rows(p, w, a, a_row, ahead, rows, w.packed + panel * packed, vectors, count)
                if w.worker.clock.watch.stop:
                    return
                if p.axes:
                    p.k.add_scaled(w.sums + panel * size, width, w.products, w.scale, rows, width)
                else:
                    p.base.add(w.sums + panel * size, w.products, rows * width)
            if not once and ((other + 1) % UNFOLD_GROUP == 0 or other == p.others - 1):
                for panel in range(panels):
                    p.k.widen(<double *>(w.total + 2 * panel * size), w.sums + panel * size, rows * p.width, begun)
                memset(w.sums, 0, panels * size)
                begun = True
        start += count
    for panel in range(panels):
        columns = min(p.width, p.r - (panel0 + panel) * p.width)
        if not once:
            p.k.narrow(w.sums + panel * size, <double *>(w.total + 2 * panel * size), rows * p.width, 1)
        store(p.base, w.sums + panel * size, round_up(columns, p.base.lanes), rows, columns,
              p.out + first * p.out_row + (panel0 + panel) * p.width * p.out_column, p.out_row, p.out_column, p.out_kind)


cdef void transposed_store(const Unfolding *p, const char *total, idx first, idx rows, idx column, idx columns) noexcept nogil:
    cdef idx at = 0, count
    while at < rows:
        count = min(p.width, rows - at)
        store(p.base, total + at * p.group * p.item, round_up(count, p.base.lanes), columns, count,
              p.out + (first + at) * p.out_row + column * p.out_column, p.out_column, p.out_row, p.out_kind)
        at += count


cdef void transposed_terms(const Unfolding *p, Thread *w, char *sums, const char *t, idx ahead, idx rows, idx columns,
                      idx count) noexcept nogil:
    """sums += the products in w.block of `count` terms, panel by panel, while the same terms `ahead` are prefetched."""
    cdef idx at = 0, n, length, lanes, tile, first, last, tiles = ceil_div(columns, p.k.strided_rows)
    cdef fc_strided_tile q
    q.a_step, q.b_step, q.ahead_step, q.ahead = p.depth, p.term // p.item, p.term // p.item, NULL
    while at < rows:
        lanes, n = min(p.width, rows - at), 0
        while n < count:
            length, last = min(TRANSPOSED_CHAIN, count - n), 0
            q.b, q.length = t + at * p.row + n * p.term, length
            if p.in_place and lanes == p.width:
                for tile in range(tiles):
                    first, last = last, columns * (tile + 1) // tiles
                    if ahead:
                        q.ahead = <const char *>q.b + ahead + tile % p.k.strided_vectors * 64
                    q.a, q.rows = w.block + (first * p.depth + n) * p.item, <int>(last - first)
                    q.c = sums + (at * p.group + first * p.width) * p.item
                    p.k.strided_tile(&q)
            else:
                copy_matrix(p.base, p.item, w.packed, round_up(lanes, p.base.lanes), w.products, <const char *>q.b, p.term, p.row,
                            length, lanes, p.kind)
                multiply(p.base, p.item, w.block + n * p.item, p.depth, columns, w.packed, length,
                         <int>ceil_div(lanes, p.base.lanes), sums + at * p.group * p.item, True, length)
            n += length
            if tick(&w.worker.clock, (<double>length + 16 * p.axes) * p.width * columns):
                return
        at += p.width


cdef void transposed_task(const Unfolding *p, Thread *w, idx task) noexcept nogil:
    """Lanes along the rows: products of the factors against packed strips of the tensor, over a segment of the other axes."""
    cdef idx segment = task % p.segments, part = task // p.segments, column = part // p.blocks * p.group
    cdef idx first = part % p.blocks * p.block_rows, rows = min(p.block_rows, p.rows - first)
    cdef idx columns = min(p.group, p.r - column), size = p.block_rows * p.group, wide = round_up(columns, p.base.lanes)
    cdef idx other, start, count, at, ahead, begin = p.others * segment // p.segments
    cdef idx end = p.others * (segment + 1) // p.segments
    cdef idx chains = ceil_div(min(p.terms, p.depth), TRANSPOSED_CHAIN), every = max(UNFOLD_GROUP // chains, 1)
    cdef bint once = (end - begin) * ceil_div(p.terms, TRANSPOSED_CHAIN) <= UNFOLD_GROUP, begun = False
    cdef char *result = w.sums if p.segments == 1 else p.totals + task * size * p.item
    cdef char *sums = result if once else w.sums
    cdef fc_khatri_rao q
    cdef fc_pair_run run
    q.dst, q.x, q.y, q.x_step, q.y_step, q.m, q.width = w.block, w.spare, w.scale, p.depth, 1, columns, p.depth
    q.runs, q.count, run.x, run.y = &run, 1, 0, 0
    memset(sums, 0, size * p.item)
    start = 0
    while start < p.terms:
        count = min(p.depth, p.terms - start)
        run.length = count
        copy_matrix(p.base, p.item, w.spare, p.depth, w.products, p.contracted.data + start * p.contracted.row
                    + column * p.contracted.column, p.contracted.column, p.contracted.row, columns, count, p.contracted.kind)
        for other in range(begin, end):
            at = locate_other(p, other, column, columns, wide, w.scale, w.scale + wide * p.item)
            p.k.khatri_rao(&q)
            ahead = p.step[p.axes - 1] if (other + 1) % p.shape[p.axes - 1] else 0
            transposed_terms(p, w, sums, p.t + at + start * p.term + first * p.row, ahead, rows, columns, count)
            if w.worker.clock.watch.stop:
                return
            # Many products are added up in groups before they join the wide sums.
            if not once and ((other + 1 - begin) % every == 0 or other == end - 1):
                p.k.widen(<double *>w.total, sums, size, begun)
                memset(sums, 0, size * p.item)
                begun = True
        start += count
    if not once:
        p.k.narrow(result, <double *>w.total, size, 1)
    if p.segments == 1:
        transposed_store(p, result, first, rows, column, columns)


cdef void run(const void *plan, void *worker) noexcept nogil:
    """The tasks of one thread."""
    cdef const Unfolding *p = <const Unfolding *>plan
    cdef Thread *w = <Thread *>worker
    while w.worker.first < w.worker.last and not w.worker.clock.watch.stop:
        if p.transposed:
            transposed_task(p, w, w.worker.first)
        else:
            unfold_task(p, w, w.worker.first)
        w.worker.first += 1


cdef void plan_unfolding(Unfolding *p, int threads) noexcept:
    p.width, p.segments = p.base.vectors * p.base.lanes, 1
    if p.transposed:
        p.width = p.k.strided_vectors * p.base.lanes
        p.block_rows = min(round_up(TRANSPOSED_ROWS, p.width), round_up(p.rows, p.width))
        p.blocks = ceil_div(p.rows, p.block_rows)
        p.group = ceil_div(p.r, ceil_div(p.r, TRANSPOSED_COLUMNS))
        p.groups = ceil_div(p.r, p.group)
        p.depth = round_up(TRANSPOSED_TERMS, p.base.lanes)
        if p.blocks * p.groups < TRANSPOSED_TASKS:
            p.segments = min(ceil_div(TRANSPOSED_TASKS, p.blocks * p.groups), p.others)
    else:
        p.panels = ceil_div(p.r, p.width)
        p.group = min(UNFOLD_PANELS, max(p.panels // threads, 1))
        p.groups = ceil_div(p.panels, p.group)
        # Rows are cut where columns leave threads without work, and so that a task's rows stay in the cache.
        p.block_rows = UNFOLD_ROWS if magnitude(p.row) < FAR else FAR_ROWS
        p.blocks = ceil_div(p.rows, p.block_rows)
        if p.groups < 4 * threads:
            p.blocks = min(round_up(p.blocks, threads), p.rows)
        p.depth = min(p.terms, UNFOLD_TERMS)
    p.tasks = p.groups * p.blocks * p.segments


cdef void add_segments(const Unfolding *p) noexcept:
    """Adds up what the segments of each part have summed, in their order, and stores it."""
    cdef idx size = p.block_rows * p.group, part, segment, first, column
    cdef char *total
    for part in range(p.blocks * p.groups):
        total = p.totals + part * p.segments * size * p.item
        for segment in range(1, p.segments):
            p.base.add(total, total + segment * size * p.item, size)
        first, column = part % p.blocks * p.block_rows, part // p.blocks * p.group
        transposed_store(p, total, first, min(p.block_rows, p.rows - first), column, min(p.group, p.r - column))


cdef struct Room:                # of one thread, in bytes
    idx packed, block, spare, copies, sums, scale


cdef Room room(const Unfolding *p) noexcept nogil:
    cdef idx wide = round_up(p.group, p.base.lanes)
    cdef Room r
    if p.transposed:
        r.sums = p.group * p.block_rows * p.item
        r.packed = TRANSPOSED_CHAIN * p.width * p.item
        r.block, r.spare = p.group * p.depth * p.item, wide * p.depth * p.item
        r.copies = max(r.spare, round_up(TRANSPOSED_CHAIN, p.base.lanes) * p.width * p.item)
    else:
        wide *= p.width
        r.sums = r.copies = p.group * p.block_rows * p.width * p.item
        r.packed = p.group * p.depth * p.width * p.item
        r.block = 0 if p.in_place else round_up(p.block_rows, p.base.lanes) * (p.depth + p.base.lanes) * p.item
        r.spare = r.block
    r.packed, r.block, r.spare = round_up(r.packed), round_up(r.block), round_up(r.spare)
    r.copies, r.sums, r.scale = round_up(r.copies), round_up(r.sums), round_up(2 * wide * p.item)
    return r


cdef void prepare(const void *plan, void *worker) noexcept nogil:
    cdef const Unfolding *p = <const Unfolding *>plan
    cdef Thread *w = <Thread *>worker
    cdef Room r = room(p)
    w.packed = w.worker.memory
    w.block = w.packed + r.packed
    w.spare = w.block + r.block
    w.products = w.spare + r.spare
    w.sums = w.products + r.copies
    w.total = w.sums + r.sums
    w.scale = w.total + 2 * r.sums


cdef int execute(Unfolding *p, int threads) except -1:
    cdef Room r
    cdef idx memory
    cdef char *raw = NULL
    plan_unfolding(p, threads)
    r = room(p)
    memory = r.packed + r.block + r.spare + r.copies + 3 * r.sums + r.scale
    if p.segments > 1:
        p.totals = allocate(p.tasks * p.group * p.block_rows * p.item, &raw)
    try:
        run_team(p, sizeof(Thread), memory, p.tasks, crew(threads, p.tasks), prepare, run)
        if p.segments > 1:
            add_segments(p)
    finally:
        PyMem_RawFree(raw)
    return 0


cdef int set_factor(Factor *f, cnp.ndarray a) except -1:
    f.data, f.kind = <const char *>cnp.PyArray_DATA(a), kind_of(a)
    f.row, f.column = cnp.PyArray_STRIDE(a, 0), cnp.PyArray_STRIDE(a, 1)
    return 0


def mttkrp(cnp.ndarray t, list factors, cnp.ndarray out, bint last_mode, bint transposed, workers):
    """Fills out[i, r] = sum over the other axes of t[i, ...] times the factors' entries [index, r].

    The first axis of t is that of out, the last one of the user's tensor if `last_mode`; `factors` go with the others.
    With `transposed` products of factors are formed before anything is summed. contraction.py has checked everything.
    """
    cdef Unfolding p
    cdef int a, last = t.ndim - 1
    cdef double work
    memset(&p, 0, sizeof(p))
    p.kind, p.out_kind = kind_of(t), kind_of(out)
    p.item = 8 if p.out_kind == FC_F64 else 4
    p.base, p.k = &table().base.real[p.item == 8], &table().contraction.real[p.item == 8]
    p.t, p.out = <const char *>cnp.PyArray_DATA(t), <char *>cnp.PyArray_DATA(out)
    p.rows, p.row = cnp.PyArray_DIM(t, 0), cnp.PyArray_STRIDE(t, 0)
    p.terms, p.term = cnp.PyArray_DIM(t, last), cnp.PyArray_STRIDE(t, last)
    set_factor(&p.contracted, factors[last - 1])
    p.transposed = transposed or (last_mode and last > 1 and p.rows >= p.base.lanes)
    p.in_place = (p.kind == (FC_F32 if p.item == 4 else FC_F64) and <size_t>p.t % p.item == 0
                  and (p.row if p.transposed else p.term) == p.item and (p.term if p.transposed else p.row) % p.item == 0)
    p.axes, p.others = last - 1, 1
    for a in range(p.axes):
        p.shape[a], p.step[a] = cnp.PyArray_DIM(t, a + 1), cnp.PyArray_STRIDE(t, a + 1)
        p.in_place = p.in_place and p.step[a] % p.item == 0
        p.others *= p.shape[a]
        set_factor(&p.factors[a], factors[a])
    p.r, p.out_row, p.out_column = cnp.PyArray_DIM(out, 1), cnp.PyArray_STRIDE(out, 0), cnp.PyArray_STRIDE(out, 1)
    work = <double>p.rows * p.terms * p.others * p.r
    execute(&p, team(workers, work))
