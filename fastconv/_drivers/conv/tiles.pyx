"""Dense convolution: lanes along output channels, or several to each of few channels (TILE of plan.pyx).

A task is a block of pixels times a slab of filter panels. Where filters outweigh the caches, or the window of one tile does, the
sums of the task stay open while its terms pass in ranges: panels of filters, or gathered windows. Next hops: pack.pyx,
kernels/base/tile.h and, where lanes share the terms of few channels, kernels/conv/split_tile.h.
"""
from fastconv._drivers.base cimport fc_tile
from fastconv._drivers.common cimport ceil_div, idx, round_up
from fastconv._drivers.conv.pack cimport (
    Spot,
    Thread,
    channel_at,
    filter_at,
    gather_terms,
    image,
    pack_filters,
    pack_window,
    spot_of,
    start_ahead,
    store,
)
from fastconv._drivers.conv.plan cimport MAX_LEVELS, Plan
from fastconv._drivers.conv.table cimport FC_MOST_SUMS
from fastconv._drivers.runtime cimport tick


cdef inline idx panel_start(const Plan *p, idx panel) noexcept nogil:
    """First filter of a panel: whole vectors, dealt out evenly, since narrow tiles are slow ones."""
    return min(ceil_div(p.kg, p.base.lanes) * panel // p.panels * p.base.lanes, p.kg)


cdef inline bint fresh(const Plan *p, idx panel) noexcept nogil:
    """Whether the first tile that uses a panel packs it."""
    return p.fresh and panel_start(p, panel + 1) - panel_start(p, panel) == p.panel_width


cdef void pack_split(const Plan *p, char *dst, idx group, idx first, idx last) noexcept nogil:
    """The panel of split_tile for chunks first..last-1."""
    cdef idx i, term = first * p.chunk
    for i in range(p.piece_start[first], p.piece_start[last]):
        pack_filters(p, dst, group, 0, p.kg, p.base.lanes, term, p.pieces[i].length)
        dst += ceil_div(p.pieces[i].length, p.split) * p.base.lanes * p.item
        term += p.pieces[i].length


cdef void tile_block(const Plan *p, Thread *t, char *out, idx group, idx panel, idx first_chunk, idx last_chunk,
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
    cdef char *block = t.sums + p.tile_levels * FC_MOST_SUMS * p.base.lanes * p.item
    cdef fc_tile a
    cdef bint split = p.split > 1
    cdef bint direct = p.direct and (split or columns == width)
    cdef char *out0 = out + filter_at(p, group * p.kg + k0)
    a.step = p.pixel_col * p.col_step
    a.vectors, a.split, a.columns, a.c = vectors, p.split, <int>columns, sums
    a.out_step = p.out_col // p.item if direct else width
    a.bias = p.bias + (group * p.kg + k0) * p.item if p.bias != NULL and direct else NULL
    a.b_step, a.ahead = p.w_c // p.item, &t.ahead if t.ahead.count else NULL
    for level in range(p.tile_levels):
        sums[level] = t.sums + level * FC_MOST_SUMS * p.base.lanes * p.item
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


cdef void plan_ahead(const Plan *p, Thread *t, idx slab, idx term, idx pieces) noexcept nogil:
    """Prepares to prefetch the range of `slab` that begins with `term`, during `pieces` pieces."""
    if not p.regular:
        return
    cdef idx first = slab % p.slabs * p.slab, k0 = panel_start(p, first)
    start_ahead(&t.ahead, p.w + (slab // p.slabs * p.kg + k0) * p.w_k + term * p.w_c, p.w_c,
                min(p.per_range * p.chunk, p.terms - term), (panel_start(p, min(first + p.slab, p.panels)) - k0) * p.item, pieces)


cdef void tile_task(const Plan *p, Thread *t, idx task) noexcept nogil:
    cdef Spot s = spot_of(p, task)
    cdef idx group = s.part // p.slabs, panel0 = s.part % p.slabs * p.slab
    cdef idx panels = min(p.slab, p.panels - panel0)
    cdef const char *x = image(p, p.x, p.lead_x, s.n) + channel_at(p, group * p.cg)
    cdef char *out = <char *>image(p, p.out, p.lead_out, s.n)
    cdef const char *window
    cdef idx range_, first, last, panel, y, rows, k0, columns, block, first_term
    cdef idx pixels = p.task_rows * p.block_cols if p.ranges > 1 else 0   # of the sums that a panel keeps open
    if not p.in_place and not p.gathers:
        pack_window(p, t, x, s.y, s.y_end - s.y, s.x, s.cols, p.cg, 1)
    for range_ in range(p.ranges):
        first = range_ * p.per_range
        last = min(first + p.per_range, p.chunks)
        first_term = min(first * p.chunk, p.terms)
        if p.ranges > 1 or t.packed != s.part:
            if p.split > 1:
                pack_split(p, t.filters, group, first, last)
            for panel in range(panels if p.split == 1 else 0):
                if fresh(p, panel0 + panel):
                    continue
                k0 = panel_start(p, panel0 + panel)
                columns = panel_start(p, panel0 + panel + 1) - k0
                pack_filters(p, t.filters + panel * p.panel_size, group, k0, columns, round_up(columns, p.base.lanes), first_term,
                             min(last * p.chunk, p.terms) - first_term)
            t.packed = s.part
        if p.ranges > 1:
            k0 = (s.y_end - s.y) * ceil_div(s.cols, p.base.rows[p.base.vectors]) * panels
            k0 *= p.piece_start[last] - p.piece_start[first]
            if last < p.chunks:
                plan_ahead(p, t, s.part, last * p.chunk, k0)
            elif task + 1 < t.worker.last:
                plan_ahead(p, t, spot_of(p, task + 1).part, 0, k0)
        block = 0
        y = s.y
        while y < s.y_end:
            rows = min(p.block_rows, s.y_end - y)
            if p.in_place:
                window = x + y * p.sh * p.x_row + s.x * p.sw * p.x_col
            elif p.gathers:
                gather_terms(p, t, x, y, rows, s.x, s.cols, first_term, min(last * p.chunk, p.terms))
                window = t.window
            else:
                window = t.window + (y - s.y) * p.pixel_row * p.row_step * p.item
            for panel in range(panels):
                tile_block(p, t, out, group, panel0 + panel, first, last, t.filters + panel * p.panel_size,
                           y == s.y and fresh(p, panel0 + panel), window,
                           t.c + (block + panel * pixels) * p.panel_width * p.item, y, rows, s.x, s.cols)
                if tick(&t.worker.clock, <double>rows * s.cols * p.panel_width * (last - first) * p.chunk):
                    return
            if p.ranges > 1:
                block += rows * s.cols
            y += rows
