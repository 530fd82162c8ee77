"""Driver of the gradients of conv2d with respect to its filters, and what those with respect to images need beside conv2d.

out[a, b, c, k] = sum over pixels of x[.. a, b, c] * g[.. k]: a product of two matrices, pixels along the sum. Lanes run along k,
or along the channels of neighbouring taps where those fill vectors better; for a channel of each group along channels. Blocks of
pixels, cut by the shapes of one image, are packed for all the sums of a task, each of three chains, whose sums are added up level
by level: the order of every sum follows from the shapes alone. Tasks are parts of the filters, or where those are few, also spans
of blocks, whose sums are added at the end in the order in which one task would have added them.
Next hops: gradient_plan.pyx, pack.pyx, kernels/conv/gradients.h.
"""
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.string cimport memcpy, memset

cimport numpy as cnp

from fastconv._drivers.base cimport FC_F64, FC_GROUP, fc_base_kernels, fc_store
from fastconv._drivers.common cimport ceil_div, idx, kind_of, round_up
from fastconv._drivers.conv.gradient_plan cimport CHANNELS, FILTERS, RUNS, Gradient, Part, part_of, plan_gradient, share
from fastconv._drivers.conv.pack cimport Thread, image, pack_window
from fastconv._drivers.conv.plan cimport MAX_LEVELS, TILE, Plan
from fastconv._drivers.conv.table cimport fc_pixels, fc_products, fc_rises
from fastconv._drivers.runtime cimport crew, run_team, table, team, tick

cnp.import_array()


# ---- the sums of a part, tile by tile ----

cdef struct Tile:
    int rows, vectors
    idx a, b                     # where its operands begin, beside the pixels
    idx tap, first               # its filter row; its first element along the run or, CHANNELS, its first tap
    idx k                        # its first filter
    idx at                       # its sums


cdef inline int vectors_of_taps(const Plan *p, idx taps) noexcept nogil:
    """Vectors of channels that make a full tile with so many taps."""
    return <int>min(p.base.vectors, 12 // taps) if taps <= 6 else 1


cdef struct Walk:                # over the tiles of a part
    idx a, run, row, panel       # indices: filter row, run, tile of rows, panel of lanes
    idx at


cdef bint next_tile(const Gradient *s, const Part *q, Walk *w, Tile *t) noexcept nogil:
    """The next tile of a part; tiles of rows, and within them panels of lanes, are dealt out evenly, so that filters are written
    row by row."""
    cdef idx lanes = s.p.base.lanes, columns, rows, panels, tiles, first, last, most = s.p.base.vectors
    cdef idx runs = q.runs if s.lanes != CHANNELS else 1
    if s.lanes == FILTERS:
        columns, rows = q.k, q.run
    elif s.lanes == RUNS:
        columns, rows = q.run, q.k
    else:
        columns, rows = q.k, q.fw
        most = vectors_of_taps(&s.p, min(rows, 12))
    panels = ceil_div(ceil_div(columns, lanes), most)
    if w.a == q.fh:
        return False
    most = ceil_div(ceil_div(columns, lanes), panels)
    tiles = ceil_div(rows, 12 // most if s.lanes == CHANNELS else s.p.base.rows[most])
    first, last = share(columns, panels, w.panel, lanes), share(columns, panels, w.panel + 1, lanes)
    t.vectors = <int>ceil_div(last - first, lanes)
    t.tap, t.at = w.a, w.at
    cdef idx row = rows * w.row // tiles
    t.rows = <int>(rows * (w.row + 1) // tiles - row)
    cdef idx base = w.a * q.p.tap_row * q.p.row_step + w.run * q.p.tap_col * q.p.col_step
    if s.lanes == FILTERS:
        t.first, t.k = w.run * q.run + row, first
        t.a, t.b = base + row, first
    elif s.lanes == RUNS:
        t.first, t.k = w.run * q.run + first, row
        t.a, t.b = row, base + first
    else:
        t.first, t.k = row, first
        t.a, t.b = base + row * q.p.tap_col * q.p.col_step + first, first
    w.at += t.rows * t.vectors * lanes
    w.panel += 1
    if w.panel == panels:
        w.panel = 0
        w.row += 1
    if w.row == tiles:
        w.row = 0
        w.run += 1
    if w.run == runs:
        w.run = 0
        w.a += 1
    return True


cdef inline char *place(const Gradient *s, const Part *q, const Tile *t) noexcept nogil:
    """Where the first of a tile's sums goes."""
    cdef idx b = t.first if s.lanes == CHANNELS else t.first // q.c, c = 0 if s.lanes == CHANNELS else t.first % q.c
    return (s.p.out + (q.a0 + t.tap) * s.p.w_fh + (q.b0 + b) * s.p.w_fw + (q.c0 + c) * s.p.w_c
            + (q.group * s.p.kg + q.k0 + t.k) * s.p.w_k)


cdef void store_part(const Gradient *s, const Part *q, const char *sums) noexcept nogil:
    """The sums of a part to the filters."""
    cdef Walk w
    cdef Tile t
    cdef fc_store a
    cdef idx item = s.p.item, lanes = s.p.base.lanes, end, n
    memset(&w, 0, sizeof(w))
    a.bias, a.activation, a.kind, a.c_col = NULL, 0, s.p.out_kind, 1
    while next_tile(s, q, &w, &t):
        a.c, a.c_row = sums + t.at * item, t.vectors * lanes
        a.out_row, a.out_col = s.p.w_fw if s.lanes == CHANNELS else s.p.w_c, s.p.w_k
        if s.lanes == CHANNELS:
            a.out, a.rows, a.columns = place(s, q, &t), t.rows, min(a.c_row, q.k - t.k)
            s.p.base.store(&a)
            continue
        # Elements of a run may be those of several taps.
        end = t.first + (t.rows if s.lanes == FILTERS else min(a.c_row, q.run - t.first % q.run))
        while t.first < end:
            n = min(q.c - t.first % q.c, end - t.first)
            a.out = place(s, q, &t)
            if s.lanes == FILTERS:
                a.rows, a.columns = n, min(a.c_row, q.k - t.k)
                s.p.base.store(&a)
                a.c = <const char *>a.c + n * a.c_row * item
            else:
                a.rows, a.columns, a.out_row, a.out_col = t.rows, n, s.p.w_k, s.p.w_c
                s.p.base.store(&a)
                a.c = <const char *>a.c + n * item
            t.first += n


# ---- blocks ----

cdef void pack_block(const Gradient *s, Part *q, Thread *t, idx block) noexcept nogil:
    """Packs the pixels of a block, unless they are read in place, and lists where they are: three chains (or one), some of which
    may have none."""
    cdef idx x0 = block % s.col_blocks * s.cols, cols = min(s.cols, s.p.wo - x0)
    cdef idx y0 = block // s.col_blocks % s.row_blocks * s.rows, rows = min(s.rows, s.p.ho - y0)
    cdef idx n0 = block // s.col_blocks // s.row_blocks * s.images, images = min(s.images, s.p.images - n0)
    cdef idx item = s.p.item, total = images * rows * cols, chain, n, y, x, end, length, done = 0, x_at, y_at
    cdef const char *at
    cdef char *window = t.window
    cdef char *packed = t.filters
    cdef fc_pixels *r = <fc_pixels *>t.c
    q.g.row_step, q.g.col_step = cols * q.width, q.width
    if not s.g_in_place and q.k % s.p.base.lanes and s.lanes != RUNS:
        memset(packed, 0, total * q.width * item)
    q.x = image(&s.p, q.p.x, s.p.lead_x, n0) if s.x_in_place else window
    q.y = image(&s.g, q.g.x, s.g.lead_x, n0) if s.g_in_place else packed
    q.count, chain = 0, 0
    for n in range(images):
        if s.x_in_place:
            x_at = (image(&s.p, q.p.x, s.p.lead_x, n0 + n) - q.x) // item + y0 * q.p.pixel_row * q.p.row_step + x0 * q.x_step
        else:
            x_at = n * q.p.window_size
            t.window = window + x_at * item
            at = image(&s.p, q.p.x, s.p.lead_x, n0 + n)
            if s.lanes == CHANNELS:
                pack_window(&q.p, t, at, y0, rows, x0, cols, q.k // s.p.kg, s.p.kg)
            else:
                pack_window(&q.p, t, at, y0, rows, x0, cols, q.c, 1)
        if s.g_in_place:
            y_at = (image(&s.g, q.g.x, s.g.lead_x, n0 + n) - q.y) // item + y0 * (s.g.x_row // item) + x0 * q.y_step
        else:
            y_at = n * rows * cols * q.width
            t.window = packed + y_at * item
            pack_window(&q.g, t, image(&s.g, q.g.x, s.g.lead_x, n0 + n), y0, rows, x0, cols, q.k, 1)
        for y in range(rows):
            x = 0
            while x < cols:
                end = total * (chain + 1) // s.chains   # of this chain
                length = min(cols - x, end - done)
                list_pixels(s, q, r, x_at + y * q.p.pixel_row * q.p.row_step + x * q.x_step,
                            y_at + y * (s.g.x_row // item if s.g_in_place else q.g.row_step) + x * q.y_step, length)
                done += length
                x += length
                if done == end:
                    r[q.count - 1].ends = True
                    chain += 1
    t.window = window


cdef inline void list_pixels(const Gradient *s, Part *q, fc_pixels *runs, idx x, idx y, idx length) noexcept nogil:
    """Adds pixels to the list, to the last run if they follow it."""
    cdef fc_pixels *last = runs + q.count - 1
    cdef idx a = y if s.lanes == RUNS else x, b = x if s.lanes == RUNS else y
    cdef idx a_step = q.y_step if s.lanes == RUNS else q.x_step, b_step = q.x_step if s.lanes == RUNS else q.y_step
    if q.count and not last.ends and last.a + last.length * a_step == a and last.b + last.length * b_step == b:
        last.length += length
        return
    last = runs + q.count
    last.a, last.b, last.length, last.ends = a, b, length, False
    q.count += 1


cdef void sum_block(const Gradient *s, const Part *q, Thread *t, idx number, bint last) noexcept nogil:
    """Adds the products of a block to the sums of a part; `number` counts the blocks of its span."""
    cdef Walk w
    cdef Tile tile
    cdef fc_products a
    cdef void *sums[MAX_LEVELS]
    cdef idx level, item = s.p.item
    memset(&w, 0, sizeof(w))
    a.runs, a.count = <const fc_pixels *>t.c, q.count
    a.chain, a.last, a.c, a.channelwise = number * s.chains, last, sums, s.lanes == CHANNELS
    a.a_row = q.p.tap_col * q.p.col_step
    a.a_step, a.b_step = q.x_step, q.y_step
    if s.lanes == RUNS:
        a.a_step, a.b_step = q.y_step, q.x_step
    while next_tile(s, q, &w, &tile):
        a.rows, a.vectors = tile.rows, tile.vectors
        a.a, a.b = (q.y if s.lanes == RUNS else q.x) + tile.a * item, (q.x if s.lanes == RUNS else q.y) + tile.b * item
        for level in range(s.levels):
            sums[level] = t.sums + (level * s.sums + tile.at) * item
        a.out, a.out_step = sums[0], tile.vectors * s.p.base.lanes
        if last and s.direct:
            a.out = place(s, q, &tile)
            a.out_step = (s.p.w_fw if s.lanes == CHANNELS else s.p.w_c) // item
        s.p.k.products(&a)
        if tick(&t.worker.clock, <double>s.images * s.rows * s.cols * tile.rows * tile.vectors * s.p.base.lanes):
            return


cdef void add_spans(const Gradient *s, Part *q, idx part) noexcept nogil:
    """Adds up the sums of all spans of a part, as one task would have, and stores them."""
    cdef idx span, n, level, bytes_ = s.sums * s.p.item
    cdef char *held[MAX_LEVELS]
    cdef char *sums = NULL
    for span in range(s.spans):
        sums = s.partial + (span * s.parts + part) * bytes_
        n, level = span, 0
        while True:
            if n % FC_GROUP:
                s.p.base.add(sums, held[level], s.sums)
            if not fc_rises(n, span == s.spans - 1):
                break
            n //= FC_GROUP
            level += 1
        held[level] = sums
    store_part(s, q, sums)


cdef void run(const void *plan, void *worker) noexcept nogil:
    """The tasks of one thread."""
    cdef const Gradient *s = <const Gradient *>plan
    cdef Thread *t = <Thread *>worker
    cdef Part q
    cdef idx span, part, block, first, last
    while t.worker.first < t.worker.last:
        part, span = t.worker.first % s.parts, t.worker.first // s.parts
        q = part_of(s, part)
        if s.adds:
            add_spans(s, &q, part)
        else:
            first, last = span * s.span, min((span + 1) * s.span, s.blocks)
            for block in range(first, last):
                pack_block(s, &q, t, block)
                sum_block(s, &q, t, block - first, block == last - 1)
                if t.worker.clock.watch.stop:
                    return
            if s.partial == NULL and not s.direct:
                store_part(s, &q, t.sums)
            elif s.partial != NULL:
                memcpy(s.partial + (span * s.parts + part) * s.sums * s.p.item, t.sums, s.sums * s.p.item)
        t.worker.first += 1


# ---- a call ----

cdef struct Room:                # of one thread, in bytes
    idx window, packed, sums, list, indices


cdef Room room(const Gradient *s) noexcept nogil:
    cdef Room r
    cdef idx item = s.p.item, lanes = s.p.base.lanes, pixels = s.images * s.rows * s.cols
    r.window = 0 if s.x_in_place else round_up((s.images * s.p.window_size + s.p.base.vectors * lanes) * item, 64)
    r.packed = 0 if s.g_in_place else round_up((pixels * (round_up(s.k, lanes) + 64 // item) + lanes) * item, 64)
    r.sums = round_up(s.levels * s.sums * item, 64)
    r.list = round_up((s.images * s.rows + s.chains) * sizeof(fc_pixels), 64)
    r.indices = round_up((max(s.p.index_rows, s.rows) + max(s.p.index_cols, s.cols)) * sizeof(idx), 64)
    return r


cdef void prepare(const void *plan, void *worker) noexcept nogil:
    cdef const Gradient *s = <const Gradient *>plan
    cdef Thread *t = <Thread *>worker
    cdef Room r = room(s)
    t.window = t.worker.memory
    t.filters = t.window + r.window
    t.sums = t.filters + r.packed
    t.c = t.sums + r.sums
    t.row_index = <idx *>(t.c + r.list)
    t.col_index = t.row_index + max(s.p.index_rows, s.rows)


cdef int compute(Gradient *s, workers) except -1:
    cdef Plan *p = &s.p
    cdef int threads = team(workers, <double>p.images * p.ho * p.wo * p.groups * p.kg * p.terms)
    cdef Room r
    cdef idx bytes_
    cdef char *memory = NULL
    plan_gradient(s, threads)
    r = room(s)
    bytes_ = r.window + r.packed + r.sums + r.list + r.indices
    if s.spans > 1:
        memory = <char *>PyMem_RawMalloc(s.spans * s.parts * s.sums * p.item + 64)
        if memory == NULL:
            raise MemoryError()
        s.partial = memory + (-<size_t>memory) % 64
    try:
        run_team(s, sizeof(Thread), bytes_, s.parts * s.spans, crew(threads, s.parts * s.spans), prepare, run)
        if s.spans > 1:
            s.adds = True
            run_team(s, sizeof(Thread), bytes_, s.parts, crew(1, s.parts), prepare, run)
    finally:
        PyMem_RawFree(memory)
    return 0


cdef void describe(Plan *p, cnp.ndarray x) noexcept:
    """Images of any strides."""
    cdef int i, n = x.ndim
    p.x, p.x_kind = <const char *>cnp.PyArray_DATA(x), kind_of(x)
    p.images, p.lead = 1, n - 3
    for i in range(n - 3):
        p.lead_shape[i], p.lead_x[i] = cnp.PyArray_DIM(x, i), cnp.PyArray_STRIDE(x, i)
        p.images *= p.lead_shape[i]
    p.height, p.width = cnp.PyArray_DIM(x, n - 3), cnp.PyArray_DIM(x, n - 2)
    p.x_row, p.x_col, p.x_channel = cnp.PyArray_STRIDE(x, n - 3), cnp.PyArray_STRIDE(x, n - 2), cnp.PyArray_STRIDE(x, n - 1)


def filters(cnp.ndarray x, cnp.ndarray grad, cnp.ndarray out, idx sh, idx sw, idx dh, idx dw, idx top, idx left, int mode,
            double cval, idx groups, workers):
    """Fills out (Fh, Fw, C // groups, K), none of whose axes is empty, from x (..., H, W, C) and grad (..., Ho, Wo, K)."""
    cdef Gradient s
    cdef Plan *p = &s.p
    cdef Plan *g = &s.g
    memset(&s, 0, sizeof(s))
    p.out_kind = g.out_kind = kind_of(out)
    p.item = g.item = 8 if p.out_kind == FC_F64 else 4
    p.base, p.k = &table().base.real[p.item == 8], &table().conv.real[p.item == 8]
    g.base, g.k = p.base, p.k
    p.way = g.way = TILE
    describe(p, x)
    describe(g, grad)
    p.out = <char *>cnp.PyArray_DATA(out)
    p.fh, p.fw, p.cg = cnp.PyArray_DIM(out, 0), cnp.PyArray_DIM(out, 1), cnp.PyArray_DIM(out, 2)
    p.groups, p.kg = groups, cnp.PyArray_DIM(out, 3) // groups
    p.terms = p.fh * p.fw * p.cg
    p.w_fh, p.w_fw, p.w_c, p.w_k = (cnp.PyArray_STRIDE(out, 0), cnp.PyArray_STRIDE(out, 1), cnp.PyArray_STRIDE(out, 2),
                                    cnp.PyArray_STRIDE(out, 3))
    p.ho, p.wo = g.height, g.width
    p.sh, p.sw, p.dh, p.dw, p.top, p.left, p.mode, p.cval = sh, sw, dh, dw, top, left, mode, cval
    g.ho, g.wo, g.fh, g.fw, g.sh, g.sw, g.dh, g.dw, g.cg = g.height, g.width, 1, 1, 1, 1, 1, 1, 1
    g.pixel_row = g.pixel_col = g.tap_row = g.tap_col = 1
    compute(&s, workers)


def add(cnp.ndarray sums, cnp.ndarray part, idx y, idx x, bint rows, bint cols):
    """sums[..., y:, x:, :] += part, both C-contiguous and of one dtype; without `rows` all rows of `part` are added to one,
    without `cols` all its columns."""
    cdef int n = sums.ndim
    cdef idx item = cnp.PyArray_ITEMSIZE(sums), c = cnp.PyArray_DIM(sums, n - 1), i, r, j, images = 1
    cdef idx height = cnp.PyArray_DIM(sums, n - 3), width = cnp.PyArray_DIM(sums, n - 2)
    cdef idx part_rows = cnp.PyArray_DIM(part, n - 3), part_cols = cnp.PyArray_DIM(part, n - 2)
    cdef const fc_base_kernels *base = &table().base.real[item == 8]
    cdef char *into
    cdef const char *from_ = <const char *>cnp.PyArray_DATA(part)
    for i in range(n - 3):
        images *= cnp.PyArray_DIM(sums, i)
    for i in range(images):
        for r in range(part_rows):
            into = <char *>cnp.PyArray_DATA(sums) + ((i * height + y + (r if rows else 0)) * width + x) * c * item
            if cols:
                base.add(into, from_, part_cols * c)
            else:
                for j in range(part_cols):
                    base.add(into, from_ + j * c * item, c)
            from_ += part_cols * c * item
