"""Winograd's F(4x4, 3x3) with its guard: transforms banks of filters, and computes the tiles of outputs that are benign.

Blocks of tiles, transformed, stay in the second-level cache beside their products with a panel of filters; which tiles are benign
depends on their inputs and on the filters alone. Next hops: kernels/conv/winograd.h, which has the method and the guard, pack.pyx
and kernels/base/tile.h; run.pyx computes directly what this leaves out.
"""
from libc.string cimport memcpy, memset

cimport numpy as cnp

from fastconv._drivers.base cimport FC_GROUP, fc_piece, fc_tile
from fastconv._drivers.common cimport ceil_div, idx, round_up
from fastconv._drivers.conv.pack cimport Thread, channel_at, filter_at, image, pack_filters, pack_window, store
from fastconv._drivers.conv.plan cimport MAX_LEVELS, TILE, Plan, plan_writing
from fastconv._drivers.conv.table cimport (
    FC_MOST_SUMS,
    FC_WINOGRAD_CHAIN,
    FC_WINOGRAD_POINTS,
    fc_winograd_benign,
    fc_winograd_bounds,
    fc_winograd_filters,
    fc_winograd_input,
    fc_winograd_least,
    fc_winograd_output,
    fc_winograd_sizes,
    fc_winograd_weights,
    fc_winograd_windows,
)
from fastconv._drivers.runtime cimport crew, run_team, seam, team, tick

import numpy as np

from fastconv._drivers.runtime import selected

cnp.import_array()

cdef idx WINOGRAD_TILES = 12             # least tiles of an image for which filters are transformed
cdef idx WINOGRAD_CHANNELS = 16          # likewise channels and filters of a group
cdef idx WINOGRAD_WORK = 4 << 20          # and multiply-adds, as computed directly
cdef idx WINOGRAD_BANK = 18 << 20        # bytes of transformed filters, at most
cdef idx WINOGRAD_BYTES = 640 << 10      # transformed tiles and products of a block, which stay in the second-level cache
cdef idx WINOGRAD_PIXELS = 128           # most columns of a block

seam("conv.WINOGRAD_TILES", &WINOGRAD_TILES)
seam("conv.WINOGRAD_CHANNELS", &WINOGRAD_CHANNELS)
seam("conv.WINOGRAD_WORK", &WINOGRAD_WORK)
seam("conv.WINOGRAD_BANK", &WINOGRAD_BANK)
seam("conv.WINOGRAD_BYTES", &WINOGRAD_BYTES)
seam("conv.WINOGRAD_PIXELS", &WINOGRAD_PIXELS)


cdef inline idx filters_of_bank(const Plan *p) noexcept nogil:
    """Columns of all panels of a group."""
    return round_up(p.kg, p.base.lanes)


cdef inline idx bounds_size(const Plan *p) noexcept nogil:
    """Numbers that the guard has of a group: an energy for each point, the least and the largest filter for each channel, and
    weights of each vector of channels."""
    return round_up(FC_WINOGRAD_POINTS, 64) + 2 * round_up(p.cg, 64) + FC_WINOGRAD_POINTS * round_up(p.cg, p.base.lanes)


cdef inline idx sum_levels(const Plan *p) noexcept nogil:
    """Levels above the chains of a sum over channels; no chains, no levels."""
    cdef idx levels = 0, group = 1
    while ceil_div(p.cg, FC_WINOGRAD_CHAIN) > group:
        group *= FC_GROUP
        levels += 1
    return levels


cdef inline idx later_roundings(const Plan *p) noexcept nogil:
    """Roundings of the sums of chains: by levels, and as many as the header counts for the outputs' transform."""
    return 2 * sum_levels(p) + 4


cdef bint serves(const Plan *p) noexcept:
    """Whether the method can compute a call at all."""
    cdef double bytes = <double>FC_WINOGRAD_POINTS * p.groups * p.cg * filters_of_bank(p) * p.item
    return (p.fh == 3 and p.fw == 3 and p.sh == 1 and p.sw == 1 and p.dh == 1 and p.dw == 1 and p.cg > 0 and p.kg > 0
            and bytes <= WINOGRAD_BANK)


cdef bint many_channels(const Plan *p) noexcept:
    """Whether products outweigh transforms."""
    return p.cg >= WINOGRAD_CHANNELS and p.kg >= WINOGRAD_CHANNELS


cdef bint pays(const Plan *p) noexcept:
    """Whether it is likely to be faster, by the shapes of one image."""
    cdef idx tiles = ceil_div(p.ho, 4) * ceil_div(p.wo, 4)
    # A tile that is cut costs as much as a whole one.
    return (serves(p) and many_channels(p) and tiles >= WINOGRAD_TILES
            and 2 * p.ho * p.wo >= 16 * tiles and <double>p.ho * p.wo * p.groups * p.kg * p.terms >= WINOGRAD_WORK)


# ---- panels ----

cdef inline idx panels_of(const Plan *p) noexcept nogil:
    return ceil_div(p.kg, p.base.vectors * p.base.lanes)


cdef inline idx panel_start(const Plan *p, idx panel) noexcept nogil:
    """First filter of a panel: whole vectors, dealt out evenly."""
    return ceil_div(p.kg, p.base.lanes) * panel // panels_of(p) * p.base.lanes


# ---- banks of filters ----

cdef struct Making:
    const Plan *p
    char *u
    char *shares                 # of each panel: the largest taps of its filters for each channel,
    char *squares                # and the largest sums of squares of a chain at each point


cdef void prepare_making(const void *plan, void *worker) noexcept nogil:
    cdef Thread *t = <Thread *>worker
    cdef const Plan *p = (<const Making *>plan).p
    t.filters = t.worker.memory
    t.window = t.filters + 9 * FC_WINOGRAD_CHAIN * p.base.vectors * p.base.lanes * p.item


cdef void run_making(const void *plan, void *worker) noexcept nogil:
    cdef const Making *m = <const Making *>plan
    cdef const Plan *p = m.p
    cdef Thread *t = <Thread *>worker
    cdef idx panels = panels_of(p), group, panel, k0, width, chain, c, tap, columns, i, run
    cdef char *u
    cdef fc_winograd_filters a
    while t.worker.first < t.worker.last:
        group, panel = t.worker.first // panels, t.worker.first % panels
        k0, width = panel_start(p, panel), panel_start(p, panel + 1) - panel_start(p, panel)
        columns = min(width, p.kg - k0)
        # Transforms of a chain are collected first: 36 stores a power of two apart would drive each other out of the cache.
        a.taps, a.width, a.u, a.point_step = t.filters, width, t.window, FC_WINOGRAD_CHAIN * width + p.base.lanes
        a.squares = m.squares + FC_WINOGRAD_POINTS * (group * filters_of_bank(p) + k0) * p.item
        for chain in range(ceil_div(p.cg, FC_WINOGRAD_CHAIN)):
            c = chain * FC_WINOGRAD_CHAIN
            a.channels = min(FC_WINOGRAD_CHAIN, p.cg - c)
            for tap in range(9):
                pack_filters(p, t.filters + tap * a.channels * width * p.item, group, k0, columns, width, tap * p.cg + c,
                             a.channels)
            u = m.u + (FC_WINOGRAD_POINTS * p.cg * (group * filters_of_bank(p) + k0) + c * width) * p.item
            a.sizes = m.shares + (p.cg * (group * filters_of_bank(p) + k0) + c * width) * p.item
            p.k.winograd_filters(&a)
            run = a.channels * width * p.item
            for i in range(FC_WINOGRAD_POINTS):
                memcpy(u + i * p.cg * width * p.item, t.window + i * a.point_step * p.item, run)
            if tick(&t.worker.clock, 64.0 * a.channels * width):
                return
        t.worker.first += 1


cdef object aligned_bytes(idx size, idx zeros):
    """Memory from a cache line on, whose last bytes are 0."""
    cdef object raw = np.empty(size + 64, np.uint8)
    cdef idx at = <idx>(-<size_t>cnp.PyArray_DATA(<cnp.ndarray>raw) % 64)
    raw[at + size - zeros:] = 0
    return raw[at:at + size]


cdef Bank transform_filters(Plan *p, workers):
    """The bank of all filters, with what the guard must know of them."""
    cdef Bank bank = Bank()
    cdef Making m
    cdef idx all_ = p.groups * filters_of_bank(p), group, panel, k0, room
    cdef idx u_bytes = FC_WINOGRAD_POINTS * p.cg * all_ * p.item, bounds_bytes = p.groups * bounds_size(p) * p.item
    cdef idx scales_bytes = round_up(all_ * p.item)
    cdef fc_winograd_bounds b
    cdef fc_winograd_weights a
    cdef char *bounds
    cdef int threads = team(workers, 64.0 * p.cg * all_)
    p.split, p.transposed, p.fh, p.fw = 1, False, 3, 3
    bank.owner = aligned_bytes(u_bytes + p.cg * all_ * p.item + scales_bytes + bounds_bytes, scales_bytes + bounds_bytes)
    bank.isa = selected()
    bank.groups, bank.cg, bank.kg, bank.item = p.groups, p.cg, p.kg, p.item
    temporary = aligned_bytes(FC_WINOGRAD_POINTS * all_ * p.item, FC_WINOGRAD_POINTS * all_ * p.item)
    m.p = p
    m.u = <char *>cnp.PyArray_DATA(<cnp.ndarray>bank.owner)
    m.squares = <char *>cnp.PyArray_DATA(<cnp.ndarray>temporary)
    m.shares = m.u + u_bytes
    bounds = m.shares + p.cg * all_ * p.item + scales_bytes
    bank.u, bank.bounds, bank.shares, bank.scales = m.u, bounds, m.shares, bounds - scales_bytes
    room = (9 + FC_WINOGRAD_POINTS) * FC_WINOGRAD_CHAIN * p.base.vectors + FC_WINOGRAD_POINTS
    run_team(&m, sizeof(Thread), room * p.base.lanes * p.item, p.groups * panels_of(p), crew(threads, p.groups * panels_of(p)),
             prepare_making, run_making)
    for group in range(p.groups):
        b.energies = bounds + group * bounds_size(p) * p.item
        b.least = <char *>b.energies + round_up(FC_WINOGRAD_POINTS, 64) * p.item
        b.most = <char *>b.least + round_up(p.cg, 64) * p.item
        b.channels, b.first = p.cg, True
        for panel in range(panels_of(p)):
            k0 = panel_start(p, panel)
            b.width = panel_start(p, panel + 1) - k0
            b.columns = min(b.width, p.kg - k0)
            b.shares = m.shares + p.cg * (group * filters_of_bank(p) + k0) * p.item
            b.scales = bounds - scales_bytes + (group * filters_of_bank(p) + k0) * p.item
            b.squares = m.squares + FC_WINOGRAD_POINTS * (group * filters_of_bank(p) + k0) * p.item
            p.k.winograd_bounds(&b)
            b.first = False
        a.energies, a.most, a.weights = b.energies, b.most, <char *>b.most + round_up(p.cg, 64) * p.item
        a.channels = p.cg
        a.products = FC_WINOGRAD_CHAIN + 2 + <double>later_roundings(p) * ceil_div(p.cg, FC_WINOGRAD_CHAIN)
        p.k.winograd_weights(&a)
    return bank


# ---- tiles ----

cdef struct Tiling:
    Plan p                       # of the window of a block
    const char *u
    const char *bounds
    const char *shares
    const char *scales
    unsigned char *bad           # of each tile of each image: whether it is not benign for some group
    double alike                 # what the guard counts
    idx channels                 # in whole vectors
    idx tile_rows, tile_cols     # of an image
    idx block_rows, block_cols   # tiles of a block, at most
    idx row_blocks, col_blocks, slabs
    idx levels
    const fc_piece *pieces
    idx count
    bint direct                  # results go from registers to `out`
    idx v_bytes, m_bytes, stage_bytes, plane_bytes, sums_bytes, windows_bytes


cdef struct Tiler:
    Thread thread
    char *v                      # transformed tiles: points x tiles x channels, and a vector between points,
    char *m                      # their products with a panel likewise: powers of two would share sets of the cache
    char *stage                  # results that do not go directly to `out`
    char *sizes                  # of pixels, for the guard,
    char *squares                # and of a row of tiles
    char *windows                # of one tile
    char *least                  # of the tiles of the block, for the guard,
    char *needs
    unsigned char *bad           # and which are not benign


cdef void prepare_tiles(const void *plan, void *worker) noexcept nogil:
    cdef const Tiling *g = <const Tiling *>plan
    cdef Tiler *w = <Tiler *>worker
    cdef Thread *t = &w.thread
    t.window = t.worker.memory
    # Channels beyond the last one stay 0.
    memset(t.window, 0, g.p.window_size * g.p.item)
    w.v = t.window + round_up(g.p.window_size * g.p.item)
    w.m = w.v + g.v_bytes
    w.stage = w.m + g.m_bytes
    t.sums = w.stage + g.stage_bytes
    w.sizes = t.sums + g.sums_bytes
    w.squares = w.sizes + g.plane_bytes
    w.least = w.squares + g.plane_bytes
    w.needs = w.least + g.plane_bytes
    w.windows = w.needs + g.plane_bytes
    t.row_index = <idx *>(w.windows + g.windows_bytes)
    t.col_index = t.row_index + 4 * g.block_rows + 2
    w.bad = <unsigned char *>(t.col_index + 4 * g.block_cols + 2)


cdef void product(const Tiling *g, Tiler *w, const char *a, idx rows, const char *b, idx width, char *out) noexcept nogil:
    """out[row][width] = sum of a[row][c] * b[c][width] over channels."""
    cdef const Plan *p = &g.p
    cdef int vectors = <int>(width // p.base.lanes)
    cdef idx calls = ceil_div(rows, p.base.rows[vectors]), small = rows // calls, extra = rows % calls, at = 0, i, level
    cdef void *sums[MAX_LEVELS]
    cdef fc_tile t
    for level in range(g.levels):
        sums[level] = w.thread.sums + level * FC_MOST_SUMS * p.base.lanes * p.item
    t.pieces, t.count, t.chain, t.last = g.pieces, g.count, 0, True
    t.vectors, t.split, t.columns, t.c = vectors, 1, <int>width, sums
    t.keep, t.ahead, t.bias, t.b_step = NULL, NULL, NULL, 0
    t.step, t.out_step, t.b = g.channels, width, b
    for i in range(calls):
        t.rows = <int>(small + (i < extra))
        t.a, t.out = a + at * g.channels * p.item, out + at * width * p.item
        p.base.tile(&t)
        at += t.rows


cdef bint keeps(const Tiling *g, Tiler *w, idx group, idx row, idx col, idx tile, idx rows, idx cols) noexcept nogil:
    """Whether a tile is benign by its own |x|*W for each filter, where what is known of all filters together did not say so."""
    cdef const Plan *p = &g.p
    cdef idx panel, k0, width, panels = panels_of(p)
    cdef bint benign = False
    cdef fc_winograd_windows s
    cdef fc_winograd_least a
    s.src, s.sums = w.thread.window + 4 * (row * p.row_step + col * p.col_step) * p.item, w.windows
    s.row_step, s.col_step, s.channels = p.row_step, p.col_step, g.channels
    p.k.winograd_windows(&s)
    a.sums, a.need, a.least = w.m, w.needs + tile * p.item, w.least + tile * p.item
    a.rows, a.cols = rows, cols
    for panel in range(panels):
        k0 = panel_start(p, panel)
        width = panel_start(p, panel + 1) - k0
        product(g, w, w.windows, 16, g.shares + p.cg * (group * filters_of_bank(p) + k0) * p.item, width, w.m)
        a.width, a.first = width, panel == 0
        benign = p.k.winograd_least(&a)
        w.thread.worker.clock.work += <double>16 * p.cg * width
    return benign


cdef void check_again(const Tiling *g, Tiler *w, idx group, idx rows, idx cols, idx y, idx x, unsigned char *bad) noexcept nogil:
    """Notes which tiles of a block turn out not to be benign, after all their outputs."""
    cdef const Plan *p = &g.p
    cdef idx row, i, at
    cdef fc_winograd_least a
    a.rows, a.first = 0, False
    for row in range(rows):
        for i in range(cols):
            at = row * cols + i
            a.need, a.least = w.needs + at * p.item, w.least + at * p.item
            if not bad[row * g.tile_cols + i] and not p.k.winograd_least(&a):
                bad[row * g.tile_cols + i] = not keeps(g, w, group, row, i, at, min(4, p.ho - 4 * (y + row)),
                                                       min(4, p.wo - 4 * (x + i)))


cdef bint find_benign(const Tiling *g, Tiler *w, idx group, idx rows, idx cols, idx y, idx x, unsigned char *bad) noexcept nogil:
    """Transforms the tiles of a packed block and notes which are not benign; returns whether any is."""
    cdef const Plan *p = &g.p
    cdef const char *bounds = g.bounds + group * bounds_size(p) * p.item
    cdef idx row, i, at, benign = 0, step = 4 * g.block_cols + 2
    cdef fc_winograd_input a
    cdef fc_winograd_sizes s
    cdef fc_winograd_benign b
    a.row_step, a.col_step, a.tiles, a.channels = p.row_step, p.col_step, cols, g.channels
    a.point_step, a.tile_step = rows * cols * g.channels + p.base.lanes, g.channels
    s.src, s.sizes, s.col_step, s.channels = w.thread.window, w.sizes, p.col_step, g.channels
    s.least = bounds + round_up(FC_WINOGRAD_POINTS, 64) * p.item
    a.most = <const char *>s.least + round_up(p.cg, 64) * p.item
    a.weights = <const char *>a.most + round_up(p.cg, 64) * p.item
    s.pixels = (4 * rows + 2) * step
    p.k.winograd_sizes(&s)
    b.squares, b.step, b.tiles, b.cols = w.squares, step, cols, p.wo - 4 * x
    for row in range(rows):
        a.src = w.thread.window + row * 4 * p.row_step * p.item
        a.v = w.v + row * cols * g.channels * p.item
        a.squares = w.squares
        p.k.winograd_input(&a)
        b.sizes = w.sizes + row * 4 * b.step * p.item
        b.rows = min(4, p.ho - 4 * (y + row))
        b.least, b.needs, b.bad = w.least + row * cols * p.item, w.needs + row * cols * p.item, w.bad + row * cols
        benign += p.k.winograd_benign(&b)
        for i in range(cols):
            at = row * cols + i
            if w.bad[at] and not bad[row * g.tile_cols + i] and keeps(g, w, group, row, i, at, b.rows, min(4, b.cols - 4 * i)):
                w.bad[at] = False
                benign += 1
            bad[row * g.tile_cols + i] |= w.bad[at]
    return benign > 0


cdef void multiply(const Tiling *g, Tiler *w, idx group, idx panel, idx tiles) noexcept nogil:
    """The products of the transformed tiles of a block with a panel of filters."""
    cdef const Plan *p = &g.p
    cdef idx k0 = panel_start(p, panel), width = panel_start(p, panel + 1) - k0
    cdef idx point
    cdef const char *b = g.u + FC_WINOGRAD_POINTS * p.cg * (group * filters_of_bank(p) + k0) * p.item
    for point in range(FC_WINOGRAD_POINTS):
        product(g, w, w.v + point * (tiles * g.channels + p.base.lanes) * p.item, tiles, b + point * p.cg * width * p.item, width,
                w.m + point * (tiles * width + p.base.lanes) * p.item)


cdef void write_tiles(const Tiling *g, Tiler *w, char *out, idx group, idx k0, idx width, idx rows, idx cols, idx y,
                      idx x) noexcept nogil:
    """Transforms products with the filters from k0 on to outputs, and notes what they need to be benign."""
    cdef const Plan *p = &g.p
    cdef idx row, i, k = group * p.kg + k0, columns = min(width, p.kg - k0)
    cdef fc_winograd_output a
    a.scales, a.alike = g.scales + (group * filters_of_bank(p) + k0) * p.item, g.alike
    a.tiles, a.columns, a.point_step, a.tile_step = cols, columns, rows * cols * width + p.base.lanes, width
    a.cols = min(4 * cols, p.wo - 4 * x)
    a.bias = p.bias + k * p.item if p.bias != NULL and g.direct else NULL
    for row in range(rows):
        a.m, a.needs = w.m + row * cols * width * p.item, w.needs + row * cols * p.item
        a.rows = min(4, p.ho - 4 * (y + row))
        if g.direct:
            a.out = out + 4 * (y + row) * p.out_row + 4 * x * p.out_col + k * p.item
            a.out_row, a.out_col = p.out_row // p.item, p.out_col // p.item
            p.k.winograd_output(&a)
            continue
        a.out, a.out_row, a.out_col = w.stage, 4 * cols * width, width
        p.k.winograd_output(&a)
        for i in range(a.rows):
            store(p, w.stage + i * 4 * cols * width * p.item, width, 1, a.cols, columns,
                  out + (4 * (y + row) + i) * p.out_row + 4 * x * p.out_col + filter_at(p, k), k)


cdef void tiles_task(const Tiling *g, Tiler *w, idx task) noexcept nogil:
    cdef const Plan *p = &g.p
    cdef Thread *t = &w.thread
    cdef idx x, y, rows, cols, n, group, slab, panel, panels = panels_of(p), k0, width
    cdef char *out
    cdef unsigned char *bad
    slab = task // (g.col_blocks * g.row_blocks * p.images)
    x = g.tile_cols * (task % g.col_blocks) // g.col_blocks
    cols = g.tile_cols * (task % g.col_blocks + 1) // g.col_blocks - x
    task //= g.col_blocks
    y = g.tile_rows * (task % g.row_blocks) // g.row_blocks
    rows = g.tile_rows * (task % g.row_blocks + 1) // g.row_blocks - y
    n = task // g.row_blocks % p.images
    out = <char *>image(p, p.out, p.lead_out, n)
    bad = g.bad + ((slab * p.images + n) * g.tile_rows + y) * g.tile_cols + x
    for group in range(p.groups):
        pack_window(p, t, image(p, p.x, p.lead_x, n) + channel_at(p, group * p.cg), 4 * y, 4 * rows, 4 * x, 4 * cols, p.cg, 1)
        if not find_benign(g, w, group, rows, cols, y, x, bad):
            continue
        for panel in range(panels * slab // g.slabs, panels * (slab + 1) // g.slabs):
            k0, width = panel_start(p, panel), panel_start(p, panel + 1) - panel_start(p, panel)
            multiply(g, w, group, panel, rows * cols)
            write_tiles(g, w, out, group, k0, width, rows, cols, y, x)
            if tick(&t.worker.clock, <double>FC_WINOGRAD_POINTS * rows * cols * p.cg * width):
                return
        check_again(g, w, group, rows, cols, y, x, bad)


cdef void run_tiles(const void *plan, void *worker) noexcept nogil:
    cdef Tiler *w = <Tiler *>worker
    cdef Thread *t = &w.thread
    while t.worker.first < t.worker.last and not t.worker.clock.watch.stop:
        tiles_task(<const Tiling *>plan, w, t.worker.first)
        t.worker.first += 1


cdef void plan_tiling(Tiling *g, int threads) noexcept:
    """Blocks of tiles and what a thread needs for them."""
    cdef Plan *p = &g.p
    cdef idx width = min(p.base.vectors * p.base.lanes, filters_of_bank(p)), most, tiles, item = p.item
    g.channels = round_up(p.cg, p.base.lanes)
    g.tile_rows, g.tile_cols = ceil_div(p.ho, 4), ceil_div(p.wo, 4)
    most = max(WINOGRAD_BYTES // (FC_WINOGRAD_POINTS * (g.channels + width) * item), 1)
    g.block_cols = max(min(most, g.tile_cols, WINOGRAD_PIXELS // 4), 1)
    g.col_blocks = ceil_div(g.tile_cols, g.block_cols)
    g.block_cols = ceil_div(g.tile_cols, g.col_blocks)
    g.row_blocks = ceil_div(g.tile_rows, min(max(most // g.block_cols, 1), g.tile_rows))
    # Where there are more filters than tiles, threads share them: each reads but its own.
    g.slabs = threads if g.tile_rows * g.tile_cols < p.kg and panels_of(p) >= threads else 1
    while p.images * g.row_blocks * g.col_blocks * g.slabs % threads and g.row_blocks < g.tile_rows:
        g.row_blocks += 1
    g.block_rows = ceil_div(g.tile_rows, g.row_blocks)
    tiles = g.block_rows * g.block_cols
    p.way, p.split, p.in_place, p.gathers, p.transposed = TILE, 1, False, False, False
    p.pixel_row = p.pixel_col = p.tap_row = p.tap_col = 1
    p.col_step = g.channels
    p.row_step = (4 * g.block_cols + 2) * g.channels
    p.window_size = (4 * g.block_rows + 2) * p.row_step
    plan_writing(p)
    g.direct = p.direct
    g.v_bytes = round_up(FC_WINOGRAD_POINTS * (tiles * g.channels + p.base.lanes) * item)
    g.m_bytes = round_up(FC_WINOGRAD_POINTS * (tiles * width + p.base.lanes) * item)
    g.stage_bytes = 0 if g.direct else round_up(16 * g.block_cols * width * item)
    g.windows_bytes = 16 * g.channels * item
    g.sums_bytes = g.levels * round_up(FC_MOST_SUMS * p.base.lanes * item)
    g.plane_bytes = round_up(((4 * g.block_rows + 2) * (4 * g.block_cols + 2) + p.base.lanes) * item)


cdef object compute_tiles(const Plan *p, Bank bank, workers):
    """Fills `out` but for tiles that are not benign: those are True in the array (images, tile rows, tile columns) returned."""
    cdef Tiling g
    cdef idx memory, tasks
    cdef double chain = 0.154 * min(p.cg, FC_WINOGRAD_CHAIN)
    cdef int threads = team(workers, <double>p.images * p.ho * p.wo * p.groups * p.kg * 9 * p.cg)
    memset(&g, 0, sizeof(g))
    g.p = p[0]
    g.u, g.bounds, g.shares, g.scales = bank.u, bank.bounds, bank.shares, bank.scales
    g.count = ceil_div(p.cg, FC_WINOGRAD_CHAIN)
    g.levels = max(sum_levels(p), 1)
    g.alike = chain * chain + 0.425 * 0.425 * (later_roundings(p) + 2)
    plan_tiling(&g, threads)
    pieces = np.empty((g.count, 3), np.intp)
    pieces[:, 0] = np.arange(g.count) * FC_WINOGRAD_CHAIN
    pieces[:, 1] = FC_WINOGRAD_CHAIN
    pieces[g.count - 1, 1] = p.cg - (g.count - 1) * FC_WINOGRAD_CHAIN
    pieces[:, 2] = 1
    g.pieces = <const fc_piece *>cnp.PyArray_DATA(<cnp.ndarray>pieces)
    bad = np.zeros((g.slabs, p.images, g.tile_rows, g.tile_cols), np.bool_)
    g.bad = <unsigned char *>cnp.PyArray_DATA(<cnp.ndarray>bad)
    memory = round_up(g.p.window_size * p.item) + g.v_bytes + g.m_bytes + g.stage_bytes + g.sums_bytes + 4 * g.plane_bytes
    memory += round_up((4 * (g.block_rows + g.block_cols) + 4) * sizeof(idx) + g.block_rows * g.block_cols) + g.windows_bytes
    tasks = p.images * g.row_blocks * g.col_blocks * g.slabs
    run_team(&g, sizeof(Tiler), memory, tasks, crew(threads, tasks), prepare_tiles, run_tiles)
    return bad.any(0)
