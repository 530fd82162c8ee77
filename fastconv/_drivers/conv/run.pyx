"""Driver of conv2d: cuts the work into tasks, packs what cannot be read in place, and runs the kernels on a team.

Three ways, chosen in plan.pyx from the shapes of one image alone:

- TILE: lanes along output channels, kernels/base/tile.h; of few channels each has several lanes, which share its terms,
  kernels/conv/split_tile.h. A task is a block of pixels times a slab of filter panels.
- PLANAR: few output channels otherwise, lanes along x, on planes of the input. A task is a block of rows.
- CHANNELS: depthwise, lanes along channels. A task is a block of rows times a block of channels.

In each, a sum over n = Fh*Fw*C terms is cut into chains, formed in registers, whose sums are added level by level
(kernels/base/table.h). Where filters outweigh the caches, or a window does, the sums of a task stay open while its terms pass
in ranges: panels of filters, gathered windows, or filter rows of a plane. Thread t always computes the same range of tasks.
"""
from libc.string cimport memset

cimport numpy as cnp

from fastconv._drivers.base cimport FC_CHAIN, FC_F64, fc_ahead, fc_panel, fc_store, fc_tile
from fastconv._drivers.common cimport ceil_div, idx, kind_of, round_up
from fastconv._drivers.conv.plan cimport (
    CHANNELS,
    MAX_LEVELS,
    PLANAR,
    TILE,
    Plan,
    choose,
    has_rim,
    inside,
    part,
    plan,
    release,
    transposable,
    transpose,
)
from fastconv._drivers.conv.table cimport fc_channel_taps, fc_planar_taps, fc_plane_rows, fc_window
from fastconv._drivers.runtime cimport Worker, crew, run_team, seam, table, team, tick

import numpy as np

cnp.import_array()

cdef enum:
    TILE_VECTORS = 32            # sums of a tile, at most

cdef idx FETCH_WORK = 16         # products for each number of a pixel below which planes are moved longer than computed
cdef idx PACK_WORK = 16          # products that take as long as packing one element of a strange layout

seam("conv.FETCH_WORK", &FETCH_WORK)
seam("conv.PACK_WORK", &PACK_WORK)


cdef struct Thread:
    Worker worker
    idx packed                   # which filters lie in `filters`, -1: none
    idx range_, range_rows       # rows of a plane's filter that are summed now
    char *filters
    fc_ahead ahead               # filters or images that come next, fetched meanwhile,
    fc_ahead ahead_out           # and where results will go
    char *window
    char *c                      # results that do not go directly to `out`
    char *sums                   # of the levels: those of a tile, of a block, of all that stay open
    idx *row_index
    idx *col_index


cdef idx boundary(idx i, idx n, int mode) noexcept nogil:
    """The source index of position i on an axis of n pixels, -1 for the constant."""
    cdef idx period
    if 0 <= i < n:
        return i
    if mode == 0:
        return -1
    if mode == 1:
        return 0 if i < 0 else n - 1
    if mode == 2:
        period = 2 * n
    elif mode == 3:
        if n == 1:
            return 0
        period = 2 * n - 2
    else:
        period = n
    i %= period
    if i < 0:
        i += period
    if i < n:
        return i
    return period - 1 - i if mode == 2 else period - i


cdef idx fill_index(idx *index, idx start, idx count, idx stride, idx taps, idx dilation, bint dense, idx pad, idx n,
                    int mode) noexcept nogil:
    """Source positions of the window of `count` outputs from `start`; returns how many. See `window_steps` of the plan."""
    cdef idx i, t, size = 0, from_ = start * stride - pad
    if dense:
        size = (count - 1) * stride + (taps - 1) * dilation + 1
        for i in range(size):
            index[i] = boundary(from_ + i, n, mode)
    else:
        for i in range(count):
            for t in range(taps):
                index[size] = boundary(from_ + i * stride + t * dilation, n, mode)
                size += 1
    return size


cdef void fill_run(fc_window *a, idx *index, idx from_, idx step, idx n, int mode) noexcept nogil:
    """Source columns from_, from_ + step, ... of a window of a.cols columns; of those inside only the first is listed."""
    cdef idx i
    a.inside = min(max(ceil_div(-from_, step), 0), a.cols)
    a.inside_end = max(min(ceil_div(n - from_, step), a.cols), a.inside)
    a.inside_gap = step
    for i in range(a.inside):
        index[i] = boundary(from_ + i * step, n, mode)
    for i in range(a.inside_end, a.cols):
        index[i] = boundary(from_ + i * step, n, mode)
    if a.inside < a.inside_end:
        index[a.inside] = from_ + a.inside * step


cdef const char *image(const Plan *p, const char *base, const idx *steps, idx n) noexcept nogil:
    """Address of image n, counted over the leading axes in C order."""
    cdef int axis
    for axis in range(p.lead - 1, -1, -1):
        base += n % p.lead_shape[axis] * steps[axis]
        n //= p.lead_shape[axis]
    return base


# ---- packing ----

cdef void pack_filters(const Plan *p, void *dst, idx group, idx k0, idx columns, idx width, idx first, idx count) noexcept nogil:
    cdef fc_panel a
    a.dst = dst
    a.src = p.w + (group * p.kg + k0) * p.w_k
    a.fh_step, a.fw_step, a.c_step, a.k_step = p.w_fh, p.w_fw, p.w_c, p.w_k
    a.fw, a.c, a.first, a.count = max(p.fw, 1), max(p.cg, 1), first, count
    if p.transposed:
        a.fh_step, a.fw_step, a.fw = p.w_fw, p.w_fh, p.fh
    a.columns, a.width, a.kind, a.split = columns, width, p.w_kind, p.split
    p.base.panel(&a)


cdef void pack_split(const Plan *p, char *dst, idx group, idx first, idx last) noexcept nogil:
    """The panel of split_tile for chunks first..last-1."""
    cdef idx i, term = first * p.chunk
    for i in range(p.piece_start[first], p.piece_start[last]):
        pack_filters(p, dst, group, 0, p.kg, p.base.lanes, term, p.pieces[i].length)
        dst += ceil_div(p.pieces[i].length, p.split) * p.base.lanes * p.item
        term += p.pieces[i].length


cdef void pack_window(const Plan *p, Thread *t, const char *x, idx y0, idx rows, idx x0, idx cols, idx channels,
                      idx repeat) noexcept nogil:
    """Packs the window of outputs (y0.., x0..); pixels of `channels` channels, or planes."""
    cdef fc_window a
    cdef idx phase, i, at, from_ = x0 * p.sw - p.left
    cdef bint dense = p.pixel_col == p.sw and p.tap_col == p.dw
    cdef idx size = (cols - 1) * p.sw + (p.fw - 1) * p.dw + 1 if dense else cols * p.fw
    a.rows = fill_index(t.row_index, y0, rows, p.sh, p.fh, p.dh, p.pixel_row == p.sh and p.tap_row == p.dh, p.top, p.height,
                        p.mode)
    a.src, a.src_row, a.src_col, a.src_channel = x, p.x_row, p.x_col, p.x_channel
    a.row_index, a.col_index = t.row_index, t.col_index
    a.channels, a.repeat, a.kind, a.fill = channels, repeat, p.x_kind, p.cval
    a.dst_row = p.row_step
    a.dst_col, a.dst_channel = p.col_step, 1
    if p.way == PLANAR:
        a.dst_col, a.dst_channel = 1, p.plane_step
    # Planes: columns of one phase of the stride lie side by side, so that outputs read consecutive elements.
    for phase in range(p.pixel_col if p.way == PLANAR else 1):
        i = p.pixel_col if p.way == PLANAR else 1
        a.dst = t.window + phase * p.col_step * p.item
        a.cols = ceil_div(size - phase, i)
        if dense:
            fill_run(&a, t.col_index, from_ + phase, i, p.width, p.mode)
        else:
            a.inside = a.inside_end = 0
            for at in range(a.cols):
                t.col_index[at] = boundary(from_ + (phase + at * i) // p.fw * p.sw + (phase + at * i) % p.fw * p.dw, p.width,
                                           p.mode)
        p.k.window(&a)
        t.worker.clock.work += PACK_WORK * <double>a.rows * size * channels * repeat


cdef void store(const Plan *p, const void *c, idx c_row, idx c_col, idx rows, idx columns, char *out, idx k) noexcept nogil:
    cdef fc_store a
    a.c, a.c_row, a.c_col, a.rows, a.columns = c, c_row, c_col, rows, columns
    a.out, a.out_row, a.out_col = out, p.out_col, p.out_k
    a.bias = p.bias + k * p.item if p.bias != NULL else NULL
    a.activation, a.kind = p.activation, p.out_kind
    p.k.store(&a)


# ---- TILE ----

cdef inline idx panel_start(const Plan *p, idx panel) noexcept nogil:
    """First filter of a panel: whole vectors, dealt out evenly, since narrow tiles are slow ones."""
    return min(ceil_div(p.kg, p.base.lanes) * panel // p.panels * p.base.lanes, p.kg)


cdef inline bint fresh(const Plan *p, idx panel) noexcept nogil:
    """Whether the first tile that uses a panel packs it."""
    return p.fresh and panel_start(p, panel + 1) - panel_start(p, panel) == p.panel_width


cdef void tile_block(const Plan *p, Thread *t, const char *x, char *out, idx group, idx panel, idx first_chunk, idx last_chunk,
                     char *filters, bint packs, const char *window, char *c, idx y0, idx rows, idx x0, idx cols) noexcept nogil:
    """One panel of filters on one block of pixels, chunks first_chunk..last_chunk-1 of the sum."""
    cdef idx k0 = panel_start(p, panel)
    cdef idx columns = panel_start(p, panel + 1) - k0
    cdef int vectors = <int>ceil_div(columns, p.base.lanes)
    cdef idx width = vectors * p.base.lanes
    cdef idx tiles = ceil_div(cols, p.base.rows[vectors])
    cdef idx small = cols // tiles, extra = cols % tiles
    cdef idx chunk, r, i, at, level, place
    cdef void *sums[MAX_LEVELS]
    cdef char *block = t.sums + p.tile_levels * TILE_VECTORS * p.base.lanes * p.item
    cdef fc_tile a
    cdef bint split = p.split > 1
    cdef bint direct = p.direct and (split or columns == width)
    cdef char *out0 = out + (group * p.kg + k0) * p.out_k
    a.step = p.pixel_col * p.col_step
    a.vectors, a.split, a.columns, a.c = vectors, p.split, <int>columns, sums
    a.out_step = p.out_col // p.item if direct else width
    a.bias = p.bias + (group * p.kg + k0) * p.item if p.bias != NULL and direct else NULL
    a.b_step, a.ahead = p.w_c // p.item, &t.ahead if t.ahead.count else NULL
    for level in range(p.tile_levels):
        sums[level] = t.sums + level * TILE_VECTORS * p.base.lanes * p.item
    for chunk in range(first_chunk, last_chunk):
        a.chain, a.last = chunk * (p.chunk // p.chain), chunk == p.chunks - 1
        a.pieces = p.pieces + p.piece_start[chunk]
        a.count = p.piece_start[chunk + 1] - p.piece_start[chunk]
        for r in range(rows):
            at = 0
            for i in range(tiles):
                a.rows = <int>(small + (i < extra))
                a.a = window + (r * p.pixel_row * p.row_step + at * a.step) * p.item
                a.b, a.keep = filters, NULL
                if packs and r == 0 and i == 0:
                    a.b, a.keep = p.w + (group * p.kg + k0) * p.w_k + chunk * p.chunk * p.w_c, filters
                place = (r * cols + at) * width
                for level in range(p.tile_levels, p.block_levels):
                    sums[level] = block + ((level - p.tile_levels) * p.block_scratch + place) * p.item
                for level in range(p.block_levels, p.levels):
                    sums[level] = c + ((level - p.block_levels) * p.scratch + place) * p.item
                if direct:
                    a.out = out0 + (y0 + r) * p.out_row + (x0 + at) * p.out_col
                else:
                    a.out = c + place * p.item
                if split:
                    p.k.split_tile(&a)
                else:
                    p.base.tile(&a)
                at += a.rows
        filters += p.panel_rows[chunk] * width * p.item
    if last_chunk == p.chunks and not direct:
        for r in range(rows):
            store(p, c + r * cols * width * p.item, width, 1, cols, columns,
                  out0 + (y0 + r) * p.out_row + x0 * p.out_col, group * p.kg + k0)


cdef inline void start_ahead(fc_ahead *a, const char *at, idx row, idx rows, idx bytes, idx calls) noexcept nogil:
    """Prepares to fetch `bytes` of each of so many rows, during so many calls."""
    a.at, a.row_lines = at, ceil_div(bytes, 64)
    a.left, a.skip, a.count = a.row_lines, row - a.row_lines * 64, a.row_lines * max(rows, 0)
    a.each = ceil_div(a.count, max(calls, 1))


cdef void plan_ahead(const Plan *p, Thread *t, idx slab, idx term, idx pieces) noexcept nogil:
    """Prepares to fetch the range of `slab` that begins with `term`, during `pieces` pieces."""
    if not p.regular:
        return
    cdef idx first = slab % p.slabs * p.slab, k0 = panel_start(p, first)
    start_ahead(&t.ahead, p.w + (slab // p.slabs * p.kg + k0) * p.w_k + term * p.w_c, p.w_c,
                min(p.per_range * p.chunk, p.terms - term), (panel_start(p, min(first + p.slab, p.panels)) - k0) * p.item, pieces)


cdef void tile_task(const Plan *p, Thread *t, idx task) noexcept nogil:
    cdef idx spots = p.images * p.row_tasks * p.col_tasks
    cdef idx slab = task // spots, spot = task % spots
    cdef idx group = slab // p.slabs, panel0 = slab % p.slabs * p.slab
    cdef idx panels = min(p.slab, p.panels - panel0)
    cdef idx x0 = spot % p.col_tasks * p.block_cols
    cdef idx cols = min(p.block_cols, p.wo - x0)
    spot //= p.col_tasks
    cdef idx y0 = spot % p.row_tasks * p.task_rows
    cdef idx end = min(y0 + p.task_rows, p.ho)
    cdef idx n = spot // p.row_tasks
    cdef const char *x = image(p, p.x, p.lead_x, n) + group * p.cg * p.x_channel
    cdef char *out = <char *>image(p, p.out, p.lead_out, n)
    cdef const char *window
    cdef idx range_, first, last, panel, y, rows, k0, columns, block, first_term
    cdef idx pixels = p.task_rows * p.block_cols if p.ranges > 1 else 0   # of the sums that a panel keeps open
    if not p.in_place and not p.gathers:
        pack_window(p, t, x, y0, end - y0, x0, cols, p.cg, 1)
    for range_ in range(p.ranges):
        first = range_ * p.per_range
        last = min(first + p.per_range, p.chunks)
        first_term = min(first * p.chunk, p.terms)
        if p.ranges > 1 or t.packed != slab:
            if p.split > 1:
                pack_split(p, t.filters, group, first, last)
            for panel in range(panels if p.split == 1 else 0):
                if fresh(p, panel0 + panel):
                    continue
                k0 = panel_start(p, panel0 + panel)
                columns = panel_start(p, panel0 + panel + 1) - k0
                pack_filters(p, t.filters + panel * p.panel_size, group, k0, columns, round_up(columns, p.base.lanes), first_term,
                             min(last * p.chunk, p.terms) - first_term)
            t.packed = slab
        if p.ranges > 1:
            k0 = (end - y0) * ceil_div(cols, p.base.rows[p.base.vectors]) * panels
            k0 *= p.piece_start[last] - p.piece_start[first]
            if last < p.chunks:
                plan_ahead(p, t, slab, last * p.chunk, k0)
            elif task + 1 < t.worker.last:
                plan_ahead(p, t, (task + 1) // spots, 0, k0)
        block = 0
        y = y0
        while y < end:
            rows = min(p.block_rows, end - y)
            if p.in_place:
                window = x + y * p.sh * p.x_row + x0 * p.sw * p.x_col
            elif p.gathers:
                gather_terms(p, t, x, y, rows, x0, cols, first_term, min(last * p.chunk, p.terms))
                window = t.window
            else:
                window = t.window + (y - y0) * p.pixel_row * p.row_step * p.item
            for panel in range(panels):
                tile_block(p, t, x, out, group, panel0 + panel, first, last, t.filters + panel * p.panel_size,
                           y == y0 and fresh(p, panel0 + panel), window,
                           t.c + (block + panel * pixels) * p.panel_width * p.item, y, rows, x0, cols)
                if tick(&t.worker.clock, <double>rows * cols * p.panel_width * (last - first) * p.chunk):
                    return
            if p.ranges > 1:
                block += rows * cols
            y += rows


cdef void gather_terms(const Plan *p, Thread *t, const char *x, idx y0, idx rows, idx x0, idx cols, idx first,
                       idx last) noexcept nogil:
    """Packs terms first..last-1 of outputs (y0.., x0..) side by side, tap by tap."""
    cdef idx term = first, tap, i
    cdef fc_window a
    a.rows, a.cols = rows, cols
    a.src_row, a.src_col, a.src_channel = p.x_row, p.x_col, p.x_channel
    a.row_index, a.col_index = t.row_index, t.col_index
    a.repeat, a.kind, a.fill = 1, p.x_kind, p.cval
    a.dst_row, a.dst_col, a.dst_channel = p.row_step, p.col_step, 1
    while term < last:
        tap = term // p.cg
        fill_index(t.row_index, y0, rows, p.sh, 1, 1, False, p.top - tap // p.fw * p.dh, p.height, p.mode)
        fill_run(&a, t.col_index, x0 * p.sw - p.left + tap % p.fw * p.dw, p.sw, p.width, p.mode)
        a.src = x + term % p.cg * p.x_channel
        a.channels = min((tap + 1) * p.cg, last) - term
        a.dst = t.window + (term - first) * p.item
        p.k.window(&a)
        term += a.channels
    t.worker.clock.work += PACK_WORK * <double>rows * cols * (last - first)


# ---- PLANAR ----

cdef void plan_planes_ahead(const Plan *p, Thread *t, const char *x, idx y, idx end, char *out) noexcept nogil:
    """Prepares to fetch the rows that the next task has more than this one, and the rows of results that follow."""
    cdef idx first = (end - 1) * p.sh + (p.fh - 1) * p.dh + 1 - p.top
    cdef idx last = min(first + p.task_rows * p.sh, p.height)
    cdef idx calls = (end - y) * ceil_div(p.kg, p.k.outputs) * ceil_div(p.wo, p.k.planar[min(p.kg, p.k.outputs)] * p.base.lanes)
    t.ahead.count = t.ahead_out.count = 0
    if p.x_channel == p.item and p.x_col == p.cg * p.item and p.col_tasks == 1 and first >= 0:
        start_ahead(&t.ahead, x + first * p.x_row, p.x_row, last - first, p.width * p.x_col, calls)
    if p.out_k == p.item and p.out_col == p.kg * p.item and p.col_tasks == 1:
        start_ahead(&t.ahead_out, out + y * p.out_row, p.out_row, end - y, p.wo * p.out_col, calls)


cdef void planar_row(const Plan *p, Thread *t, const char *src, idx rows, idx outputs, idx cols, char *c,
                     idx c_step) noexcept nogil:
    """c[o][x] of one output row for `outputs` filters, or of `rows` rows for one filter on one plane."""
    cdef bint plane = rows > 0, padded = not (p.in_place or p.direct)
    cdef int most = p.k.row_vectors if plane else p.k.planar[outputs]
    cdef idx lanes = p.base.lanes, at = 0, vectors
    cdef fc_planar_taps a
    cdef fc_plane_rows b
    a.taps, a.count, a.chain, a.w = p.taps, p.terms, p.chain, t.filters
    a.outputs, a.sums, a.out_step = <int>outputs, t.sums, c_step
    b.src_step, b.fh, b.fw, b.w = p.row_step, t.range_rows, p.fw, t.filters
    b.tap_step = p.taps[1] - p.taps[0] if p.fw > 1 else 0
    b.last = t.range_ + t.range_rows == p.fh
    b.chains = t.range_ * ceil_div(p.fw, FC_CHAIN) if p.fw > FC_CHAIN else t.range_ // (FC_CHAIN // max(p.fw, 1))
    b.rows, b.sums, b.out_step = <int>rows, t.sums, c_step
    while at < cols:
        vectors = most if 2 * ceil_div(cols - at, lanes) > most and (padded or cols >= most * lanes) else 1
        # No vector may reach beyond the last column of an array: step back and compute some columns again.
        if not padded:
            at = min(at, cols - vectors * lanes)
        a.vectors = b.vectors = <int>vectors
        a.src = b.src = src + at * p.item
        a.out = b.out = c + at * p.item
        if plane:
            p.k.plane_rows(&b)
            if p.ranges > 1:   # whose sums stay open
                b.sums = <char *>b.sums + p.levels * TILE_VECTORS * lanes * p.item
        else:
            p.k.planar_taps(&a)
        if t.ahead.count or t.ahead_out.count:
            p.k.prefetch_ahead(&t.ahead)
            p.k.prefetch_ahead(&t.ahead_out)
        at += vectors * lanes
        if tick(&t.worker.clock, <double>vectors * lanes * t.range_rows * p.fw * p.cg * max(rows, outputs)):
            return


cdef void planar_rows(const Plan *p, Thread *t, const char *in_, char *out, idx rows, idx cols, idx k0, idx outputs) noexcept nogil:
    """`rows` rows of results for filters k0..k0+outputs-1, whose inputs begin at in_."""
    cdef idx step = p.pixel_row * p.row_step * p.item, y = 0, together, i
    out += k0 * p.out_k
    while y < rows and not t.worker.clock.watch.stop:
        together = min(p.k.row_group, rows - y) if p.plane else 1
        if p.direct and p.plane:
            planar_row(p, t, in_, together, 1, cols, out, p.out_row // p.item)
        else:
            planar_row(p, t, in_, together if p.plane else 0, outputs, cols, t.c, p.panel_width)
            if p.plane:
                for i in range(together if t.range_ + t.range_rows == p.fh else 0):
                    store(p, t.c + i * p.panel_width * p.item, 1, p.panel_width, cols, 1, out + i * p.out_row, k0)
            else:
                store(p, t.c, 1, p.panel_width, cols, outputs, out, k0)
        in_ += together * step
        out += together * p.out_row
        y += together


cdef void plane_ranges(const Plan *p, Thread *t, const char *x, char *out, idx group, idx y, idx rows, idx x0,
                       idx cols) noexcept nogil:
    """One group of rows of a plane, whose filter comes in ranges of rows."""
    cdef const char *in_ = t.window
    t.range_ = 0
    while t.range_ < p.fh and not t.worker.clock.watch.stop:
        t.range_rows = min(p.per_range, p.fh - t.range_)
        if p.in_place:
            in_ = x + (y + t.range_) * p.x_row + x0 * p.x_col
        else:
            # The inputs of these taps alone: as many rows less as the filter has.
            pack_window(p, t, x, y + t.range_, rows + t.range_rows - p.fh, x0, cols, 1, 1)
        pack_filters(p, t.filters, group, 0, 1, 1, t.range_ * p.fw, t.range_rows * p.fw)
        planar_rows(p, t, in_, out, rows, cols, group, 1)
        t.range_ += t.range_rows


cdef void planar_task(const Plan *p, Thread *t, idx task) noexcept nogil:
    cdef idx spots = p.images * p.row_tasks * p.col_tasks
    cdef idx group = task // spots, spot = task % spots
    cdef idx x0 = spot % p.col_tasks * p.block_cols
    cdef idx cols = min(p.block_cols, p.wo - x0)
    spot //= p.col_tasks
    cdef idx y = spot % p.row_tasks * p.task_rows
    cdef idx end = min(y + p.task_rows, p.ho)
    cdef idx n = spot // p.row_tasks
    cdef const char *x = image(p, p.x, p.lead_x, n) + group * p.cg * p.x_channel
    cdef char *out = <char *>image(p, p.out, p.lead_out, n) + x0 * p.out_col
    cdef const char *in_ = t.window
    cdef idx parts = ceil_div(p.kg, p.k.outputs), i, k0, outputs
    if p.ranges > 1:
        plane_ranges(p, t, x, out + y * p.out_row, group, y, end - y, x0, cols)
        return
    t.range_, t.range_rows = 0, p.fh
    if p.in_place:
        in_ = x + y * p.sh * p.x_row + x0 * p.x_col
    else:
        pack_window(p, t, x, y, end - y, x0, cols, p.cg, 1)
        if p.terms * p.kg <= FETCH_WORK * (p.cg + p.kg):
            plan_planes_ahead(p, t, x, y, end, <char *>image(p, p.out, p.lead_out, n))
    for i in range(parts):
        # Filters are dealt out evenly: a few that were left over would be slow.
        k0 = group * p.kg + p.kg * i // parts
        outputs = group * p.kg + p.kg * (i + 1) // parts - k0
        if t.packed != k0:
            pack_filters(p, t.filters, 0, k0, outputs, outputs, 0, p.terms)
            t.packed = k0
        planar_rows(p, t, in_, out + y * p.out_row, end - y, cols, k0, outputs)


# ---- CHANNELS ----

cdef void channels_task(const Plan *p, Thread *t, idx task) noexcept nogil:
    cdef idx spots = p.images * p.row_tasks * p.col_tasks
    cdef idx block = task // spots, spot = task % spots
    cdef idx x0 = spot % p.col_tasks * p.block_cols
    cdef idx cols = min(p.block_cols, p.wo - x0)
    spot //= p.col_tasks
    cdef idx y = spot % p.row_tasks * p.task_rows
    cdef idx end = min(y + p.task_rows, p.ho), y0 = y
    cdef idx n = spot // p.row_tasks
    cdef idx all_ = p.groups * p.kg
    cdef idx k0 = block * p.panel_width
    cdef idx columns = min(p.panel_width, all_ - k0)
    cdef idx width = round_up(columns, p.base.lanes)
    cdef idx lanes = p.base.lanes, at, pixels, j
    cdef const char *x = image(p, p.x, p.lead_x, n) + k0 // p.kg * p.x_channel
    cdef char *out = <char *>image(p, p.out, p.lead_out, n) + k0 * p.out_k + x0 * p.out_col
    cdef const char *src
    cdef fc_channel_taps a
    if t.packed != block:
        pack_filters(p, t.filters, 0, k0, columns, width, 0, p.terms)
        t.packed = block
    if not p.in_place:
        pack_window(p, t, x, y, end - y, x0, cols, columns // p.kg, p.kg)
    a.step = p.pixel_col * p.col_step
    a.w_step, a.taps, a.count, a.chain, a.sums = width, p.taps, p.terms, p.chain, t.sums
    while y < end:
        if p.in_place:
            src = x + y * p.sh * p.x_row + x0 * p.sw * p.x_col
        else:
            src = t.window + (y - y0) * p.pixel_row * p.row_step * p.item
        at = 0
        while at < cols:
            pixels = min(p.k.pixels, cols - at)
            a.pixels = <int>pixels
            j = 0
            while j < columns:
                # Lanes beyond the last channel would be the next pixel's: step back and compute some again.
                if p.in_place or p.direct:
                    j = min(j, columns - lanes)
                a.out, a.out_step = t.c + j * p.item, width
                if p.direct:
                    a.out, a.out_step = out + y * p.out_row + at * p.out_col + j * p.item, p.out_col // p.item
                a.src = src + (at * a.step + j) * p.item
                a.w = t.filters + j * p.item
                p.k.channel_taps(&a)
                j += lanes
            if not p.direct:
                store(p, t.c, width, 1, pixels, columns, out + y * p.out_row + at * p.out_col, k0)
            at += pixels
            if tick(&t.worker.clock, <double>pixels * columns * p.terms):
                return
        y += 1


cdef void run(const void *plan, void *worker) noexcept nogil:
    """The tasks of one thread."""
    cdef const Plan *p = <const Plan *>plan
    cdef Thread *t = <Thread *>worker
    while t.worker.first < t.worker.last and not t.worker.clock.watch.stop:
        if p.way == TILE:
            tile_task(p, t, t.worker.first)
        elif p.way == PLANAR:
            planar_task(p, t, t.worker.first)
        else:
            channels_task(p, t, t.worker.first)
        t.worker.first += 1


cdef struct Room:                # of one thread, in bytes
    idx filters, window, scratch, sums, indices


cdef Room room(const Plan *p) noexcept nogil:
    cdef Room r
    r.filters, r.window = round_up(p.slab * p.panel_size, 64), round_up(p.window_size * p.item, 64)
    r.scratch = round_up(max(p.levels - p.block_levels, 1) * p.scratch * p.item, 64)
    r.sums = p.tile_levels * TILE_VECTORS * p.base.lanes + (p.block_levels - p.tile_levels) * p.block_scratch
    r.sums = round_up(r.sums * p.places * p.item, 64)
    r.indices = 0 if p.in_place else round_up((p.index_rows + p.index_cols) * sizeof(idx), 64)
    return r


cdef void prepare(const void *plan, void *worker) noexcept nogil:
    cdef const Plan *p = <const Plan *>plan
    cdef Thread *t = <Thread *>worker
    cdef Room r = room(p)
    t.packed = -1
    t.filters = t.worker.memory
    t.window = t.filters + r.filters
    t.c = t.window + r.window
    t.sums = t.c + r.scratch
    t.row_index = <idx *>(t.sums + r.sums)
    t.col_index = t.row_index + p.index_rows


cdef int compute(Plan *p, cnp.ndarray x, workers) except -1:
    cdef double work
    cdef int threads
    cdef idx memory
    cdef Room r
    work = <double>p.images * p.ho * p.wo * p.groups * p.kg * max(p.terms, 1)
    threads = team(workers, work)
    try:
        plan(p, x, threads)
        r = room(p)
        memory = r.filters + r.window + r.scratch + r.sums + r.indices + 64
        run_team(p, sizeof(Thread), memory, p.tasks, crew(threads, p.tasks), prepare, run)
    finally:
        release(p)
    return 0


cdef int compute_parts(const Plan *p, cnp.ndarray x, workers) except -1:
    """The inside, the rows above and below it, and the columns on its left and right."""
    cdef idx y0, y1, x0, x1, i
    cdef Plan parts[5]
    inside(p.height, p.ho, p.sh, p.fh, p.dh, p.top, &y0, &y1)
    inside(p.width, p.wo, p.sw, p.fw, p.dw, p.left, &x0, &x1)
    parts[0] = part(p, y0, y1 - y0, x0, x1 - x0)
    parts[1] = part(p, 0, y0, 0, p.wo)
    parts[2] = part(p, y1, p.ho - y1, 0, p.wo)
    parts[3] = part(p, y0, y1 - y0, 0, x0)
    parts[4] = part(p, y0, y1 - y0, x1, p.wo - x1)
    if transposable(p):
        transpose(&parts[3])
        transpose(&parts[4])
    for i in range(5):
        if parts[i].ho and parts[i].wo:
            compute(&parts[i], x, workers)
    return 0


def conv2d(cnp.ndarray x, cnp.ndarray w, cnp.ndarray out, bias, idx sh, idx sw, idx dh, idx dw, idx top, idx left,
           int mode, double cval, idx groups, int activation, workers):
    """Fills out (..., Ho, Wo, K) from x (..., H, W, C) and w (Fh, Fw, C // groups, K); conv.py has checked everything."""
    cdef Plan p
    cdef int i, n = x.ndim
    cdef cnp.ndarray b
    memset(&p, 0, sizeof(p))
    p.out_kind = kind_of(out)
    p.item = 8 if p.out_kind == FC_F64 else 4
    p.base, p.k = &table().base.real[p.item == 8], &table().conv.real[p.item == 8]
    if bias is not None:
        if bias.dtype != (np.float64 if p.item == 8 else np.float32):
            with np.errstate(all="ignore"):   # beyond float32 lies infinity
                bias = bias.astype(np.float64 if p.item == 8 else np.float32)
        b = np.ascontiguousarray(bias)
        p.bias = <const char *>cnp.PyArray_DATA(b)
    p.x, p.w, p.out = <const char *>cnp.PyArray_DATA(x), <const char *>cnp.PyArray_DATA(w), <char *>cnp.PyArray_DATA(out)
    p.x_kind, p.w_kind = kind_of(x), kind_of(w)
    p.images = 1
    p.lead = n - 3
    for i in range(n - 3):
        p.lead_shape[i] = cnp.PyArray_DIM(x, i)
        p.lead_x[i] = cnp.PyArray_STRIDE(x, i)
        p.lead_out[i] = cnp.PyArray_STRIDE(out, i)
        p.images *= p.lead_shape[i]
    p.height, p.width = cnp.PyArray_DIM(x, n - 3), cnp.PyArray_DIM(x, n - 2)
    p.x_row, p.x_col, p.x_channel = cnp.PyArray_STRIDE(x, n - 3), cnp.PyArray_STRIDE(x, n - 2), cnp.PyArray_STRIDE(x, n - 1)
    p.out_row, p.out_col, p.out_k = (cnp.PyArray_STRIDE(out, n - 3), cnp.PyArray_STRIDE(out, n - 2),
                                     cnp.PyArray_STRIDE(out, n - 1))
    p.ho, p.wo = cnp.PyArray_DIM(out, n - 3), cnp.PyArray_DIM(out, n - 2)
    p.fh, p.fw, p.cg = cnp.PyArray_DIM(w, 0), cnp.PyArray_DIM(w, 1), cnp.PyArray_DIM(w, 2)
    p.w_fh, p.w_fw, p.w_c, p.w_k = (cnp.PyArray_STRIDE(w, 0), cnp.PyArray_STRIDE(w, 1), cnp.PyArray_STRIDE(w, 2),
                                    cnp.PyArray_STRIDE(w, 3))
    p.groups, p.kg = groups, cnp.PyArray_DIM(w, 3) // groups
    p.sh, p.sw, p.dh, p.dw, p.top, p.left = sh, sw, dh, dw, top, left
    p.mode, p.cval, p.activation = mode, cval, activation
    p.terms = p.fh * p.fw * p.cg
    choose(&p)
    if has_rim(&p):
        compute_parts(&p, x, workers)
    else:
        compute(&p, x, workers)
