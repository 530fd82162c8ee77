"""Driver of conv2d: cuts the work into tasks, packs what cannot be read in place, and runs the kernels on a team.

Three ways, chosen from the shapes of one image alone (never from batch, layout or threads, so that the bits are fixed):

- TILE: lanes along output channels, kernels/tile.h. A task is a block of pixels times a slab of filter panels.
- PLANAR: few output channels, lanes along x, on planes of the input. A task is a block of rows.
- CHANNELS: depthwise, lanes along channels. A task is a block of rows times a block of channels.

In each, a sum over n = Fh*Fw*C terms is cut into chunks, formed in registers and added in a scratch array c; every
FC_GROUP chunks c is folded into c2. Thread t always computes the same range of tasks.
"""
cimport cython
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree
from cython.parallel cimport prange
from libc.stddef cimport ptrdiff_t
from libc.math cimport sqrt
from libc.string cimport memset

cimport numpy as cnp

from fastconv._kernels cimport (
    FC_CHAIN,
    FC_F16,
    FC_F32,
    FC_F64,
    FC_GROUP,
    FC_SWAPPED,
    fc_channels,
    fc_panel,
    fc_piece,
    fc_planar,
    fc_real,
    fc_rows,
    fc_store,
    fc_tile,
    fc_window,
)
from fastconv._runtime cimport table, team

import numpy as np

cnp.import_array()

ctypedef ptrdiff_t idx

cdef enum:
    MAX_LEAD = 64
    BLOCK_PIXELS = 32            # pixels whose inputs, sums and one chunk of filters share the first-level cache
    CHUNK_BYTES = 24 << 10       # filters of one chunk, beside those in the first-level cache
    SLAB_BYTES = 768 << 10       # packed filters that stay in the second-level cache beside the inputs
    WINDOW_BYTES = 256 << 10     # likewise a packed window
    RANGE_PIXELS = 1024          # pixels kept open while a long sum goes through several ranges of filters
    STREAM_PIXELS = 256          # images so small that each filter is used little more often than it is read
    SPARE_BYTES = 8 << 20        # the largest workspace kept between calls
    CHANNEL_BLOCK = 256          # channels of a depthwise task

cdef enum Way:
    TILE, PLANAR, CHANNELS

cdef double ROUND_WORK = 1e9     # multiply-adds of one thread between two looks at pending signals


cdef struct Plan:
    const fc_real *k
    Way way
    idx item
    # Arrays: shapes, byte strides, kinds of elements.
    int lead
    idx lead_shape[MAX_LEAD]
    idx lead_x[MAX_LEAD]
    idx lead_out[MAX_LEAD]
    idx images, height, width, ho, wo, groups, cg, kg
    const char *x
    const char *w
    char *out
    idx x_row, x_col, x_channel, w_fh, w_fw, w_c, w_k, out_row, out_col, out_k
    int x_kind, w_kind, out_kind
    const char *bias
    int activation
    # Geometry of a window.
    idx fh, fw, sh, sw, dh, dw, top, left
    int mode
    double cval
    bint in_place
    bint plane                   # PLANAR with one filter on one plane at stride 1
    bint direct                  # results go from registers to `out`
    idx pixel_row, pixel_col     # window rows and columns between outputs
    idx tap_row, tap_col         # and between taps
    idx row_step, col_step       # elements between window rows and columns
    idx plane_step               # elements between planes (PLANAR)
    idx window_size
    # The sum: chunks of the flat index (fh, fw, c), each a list of pieces; ranges of chunks.
    idx terms, chunk, chunks, per_range, ranges
    idx *piece_start             # chunks + 1
    fc_piece *pieces
    idx *taps
    bint window_per_range
    # Tasks.
    idx block_rows, block_cols, task_rows, row_tasks, col_tasks, panels, slab, slabs, tasks
    idx panel_width, panel_size, scratch


cdef struct Team:
    idx first, last              # tasks of this thread
    idx packed                   # which filters lie in `filters`, -1: none
    char *filters
    const char *ahead            # filters that come next, fetched while tiles are computed: so many rows, so many a tile
    idx ahead_rows, ahead_each, ahead_bytes
    char *window
    char *c
    char *c2
    idx *row_index
    idx *col_index


cdef inline idx ceil_div(idx a, idx b) noexcept nogil:
    return (a + b - 1) // b


cdef inline idx round_up(idx a, idx b) noexcept nogil:
    return ceil_div(a, b) * b


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
    """Source positions of the window of `count` outputs from `start`; returns how many. See `window_steps`."""
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


cdef idx window_steps(idx count, idx stride, idx taps, idx dilation, idx *pixel, idx *tap) noexcept nogil:
    """How a window of `count` outputs lies on one axis: every position between its ends, or only those that taps read,
    whichever is less. Sets the steps between outputs and between taps, returns the window's size."""
    cdef idx dense = (count - 1) * stride + (taps - 1) * dilation + 1
    if dense <= count * taps or taps == 0:
        pixel[0] = stride
        tap[0] = dilation
        return max(dense, 0)
    pixel[0] = taps
    tap[0] = 1
    return count * taps


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
    a.columns, a.width, a.kind = columns, width, p.w_kind
    p.k.panel(&a)


cdef void pack_window(const Plan *p, Team *t, const char *x, idx y0, idx rows, idx x0, idx cols, idx channels,
                      idx repeat) noexcept nogil:
    """Packs the window of outputs (y0.., x0..); pixels of `channels` channels, or planes."""
    cdef fc_window a
    cdef idx phase
    cdef bint dense = p.pixel_col == p.sw and p.tap_col == p.dw
    a.rows = fill_index(t.row_index, y0, rows, p.sh, p.fh, p.dh, p.pixel_row == p.sh and p.tap_row == p.dh, p.top, p.height, p.mode)
    a.cols = fill_index(t.col_index, x0, cols, p.sw, p.fw, p.dw, dense, p.left, p.width, p.mode)
    a.src, a.src_row, a.src_col, a.src_channel = x, p.x_row, p.x_col, p.x_channel
    a.row_index, a.col_index = t.row_index, t.col_index
    a.channels, a.repeat, a.kind, a.fill = channels, repeat, p.x_kind, p.cval
    a.dst, a.dst_row = t.window, p.row_step
    if p.way != PLANAR:
        a.dst_col, a.dst_channel = p.col_step, 1
        p.k.window(&a)
        return
    # Planes: columns of one phase of the stride lie side by side, so that outputs read consecutive elements.
    a.dst_col, a.dst_channel = 1, p.plane_step
    cdef idx size = a.cols, i, at
    for phase in range(p.pixel_col):
        a.cols = 0
        a.dst = t.window + phase * p.col_step * p.item
        i = phase
        while i < size:
            at = i if dense else i // p.fw * p.sw + i % p.fw * p.dw
            t.col_index[a.cols] = boundary(x0 * p.sw - p.left + at, p.width, p.mode)
            a.cols += 1
            i += p.pixel_col
        p.k.window(&a)


cdef void store(const Plan *p, Team *t, const void *c, bint folded, idx c_row, idx c_col, idx rows, idx columns, char *out,
                idx k) noexcept nogil:
    cdef fc_store a
    a.c, a.c_row, a.c_col, a.rows, a.columns = c, c_row, c_col, rows, columns
    a.c2 = t.c2 + (<const char *>c - t.c) if folded else NULL
    a.out, a.out_row, a.out_col = out, p.out_col, p.out_k
    a.bias = p.bias + k * p.item if p.bias != NULL else NULL
    a.activation, a.kind = p.activation, p.out_kind
    p.k.store(&a)


cdef inline bint accumulates(const Plan *p, Team *t, idx chunk, char *c, idx rows, idx step, idx count) noexcept nogil:
    """Whether a chunk is added to c[rows][count]; folds c into c2 at the start of a group."""
    cdef idx r
    if chunk % FC_GROUP:
        return True
    if chunk:
        for r in range(rows):
            if chunk == FC_GROUP:
                memset(t.c2 + (c - t.c), 0, count * p.item)
            p.k.fold(t.c2 + (c - t.c), c, count)
            c += step * p.item
    return False


# ---- TILE ----

cdef inline idx panel_start(const Plan *p, idx panel) noexcept nogil:
    """First filter of a panel: whole vectors, dealt out evenly, since narrow tiles are slow ones."""
    return min(ceil_div(p.kg, p.k.lanes) * panel // p.panels * p.k.lanes, p.kg)


cdef void tile_block(const Plan *p, Team *t, const char *x, char *out, idx group, idx panel, idx first_chunk, idx last_chunk,
                     const char *filters, const char *window, char *c, idx y0, idx rows, idx x0, idx cols) noexcept nogil:
    """One panel of filters on one block of pixels, chunks first_chunk..last_chunk-1 of the sum."""
    cdef idx k0 = panel_start(p, panel)
    cdef idx columns = panel_start(p, panel + 1) - k0
    cdef int vectors = <int>ceil_div(columns, p.k.lanes)
    cdef idx width = vectors * p.k.lanes
    cdef idx tiles = ceil_div(cols, p.k.rows[vectors])
    cdef idx small = cols // tiles, extra = cols % tiles
    cdef idx chunk, r, i, at
    cdef fc_tile a
    cdef bint direct = p.direct and columns == width
    cdef char *out0 = out + (group * p.kg + k0) * p.out_k
    a.step = p.pixel_col * p.col_step
    a.vectors = vectors
    a.b = filters
    a.out_step = p.out_col // p.item
    a.bias = p.bias + (group * p.kg + k0) * p.item if p.bias != NULL else NULL
    for chunk in range(first_chunk, last_chunk):
        a.accumulate = accumulates(p, t, chunk, c, 1, 0, rows * cols * width)
        a.pieces = p.pieces + p.piece_start[chunk]
        a.count = p.piece_start[chunk + 1] - p.piece_start[chunk]
        for r in range(rows):
            at = 0
            for i in range(tiles):
                a.rows = <int>(small + (i < extra))
                a.a = window + (r * p.pixel_row * p.row_step + at * a.step) * p.item
                a.c = c + (r * cols + at) * width * p.item
                a.out = NULL
                if direct and chunk == p.chunks - 1:
                    a.out = out0 + (y0 + r) * p.out_row + (x0 + at) * p.out_col
                p.k.tile(&a)
                at += a.rows
                if t.ahead_rows:
                    fetch_ahead(p, t)
        a.b = <const char *>a.b + min(p.chunk, p.terms - chunk * p.chunk) * width * p.item
    if last_chunk == p.chunks and not direct:
        for r in range(rows):
            store(p, t, c + r * cols * width * p.item, p.chunks > FC_GROUP, width, 1, cols, columns,
                  out0 + (y0 + r) * p.out_row + x0 * p.out_col, group * p.kg + k0)


cdef void fetch_ahead(const Plan *p, Team *t) noexcept nogil:
    cdef idx rows = min(t.ahead_each, t.ahead_rows)
    p.k.prefetch(t.ahead, rows, p.w_c, t.ahead_bytes)
    t.ahead += rows * p.w_c
    t.ahead_rows -= rows


cdef void plan_ahead(const Plan *p, Team *t, idx slab, idx term, idx tiles) noexcept nogil:
    """Prepares to fetch the range of `slab` that begins with `term`, during `tiles` calls."""
    if p.w_k != p.item or p.w_fw != p.cg * p.w_c or p.w_fh != p.fw * p.w_fw:
        return
    cdef idx first = slab % p.slabs * p.slab, k0 = panel_start(p, first)
    t.ahead = p.w + (slab // p.slabs * p.kg + k0) * p.w_k + term * p.w_c
    t.ahead_bytes = (panel_start(p, min(first + p.slab, p.panels)) - k0) * p.item
    t.ahead_rows = min(p.per_range * p.chunk, p.terms - term)
    t.ahead_each = ceil_div(t.ahead_rows, max(tiles, 1))


cdef void tile_task(const Plan *p, Team *t, idx task) noexcept nogil:
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
    if not p.in_place and not p.window_per_range:
        pack_window(p, t, x, y0, end - y0, x0, cols, p.cg, 1)
    for range_ in range(p.ranges):
        first = range_ * p.per_range
        last = min(first + p.per_range, p.chunks)
        first_term = min(first * p.chunk, p.terms)
        if p.ranges > 1 or t.packed != slab:
            for panel in range(panels):
                k0 = panel_start(p, panel0 + panel)
                columns = panel_start(p, panel0 + panel + 1) - k0
                pack_filters(p, t.filters + panel * p.panel_size, group, k0, columns, round_up(columns, p.k.lanes), first_term,
                             min(last * p.chunk, p.terms) - first_term)
            t.packed = slab
        if p.ranges > 1:
            k0 = (end - y0) * ceil_div(cols, p.k.rows[p.k.vectors]) * (last - first)
            if last < p.chunks:
                plan_ahead(p, t, slab, last * p.chunk, k0)
            elif task + 1 < t.last:
                plan_ahead(p, t, (task + 1) // spots, 0, k0)
        block = 0
        y = y0
        while y < end:
            rows = min(p.block_rows, end - y)
            if p.in_place:
                window = x + y * p.sh * p.x_row + x0 * p.sw * p.x_col
            elif p.window_per_range:
                pack_window_rows(p, t, x, y, x0, cols, first_term, min(last * p.chunk, p.terms))
                window = t.window - first_term // (p.fw * p.cg) * p.tap_row * p.row_step * p.item
            else:
                window = t.window + (y - y0) * p.pixel_row * p.row_step * p.item
            for panel in range(panels):
                tile_block(p, t, x, out, group, panel0 + panel, first, last, t.filters + panel * p.panel_size, window,
                           t.c + block * p.panel_width * p.item, y, rows, x0, cols)
            if p.ranges > 1:
                block += rows * cols
            y += rows


cdef void pack_window_rows(const Plan *p, Team *t, const char *x, idx y, idx x0, idx cols, idx first_term,
                           idx last_term) noexcept nogil:
    """Packs only the filter rows of terms first_term..last_term-1, for one row of outputs."""
    cdef idx row_terms = p.fw * p.cg
    cdef idx first = first_term // row_terms, last = ceil_div(last_term, row_terms), i
    cdef bint dense = p.pixel_col == p.sw and p.tap_col == p.dw
    cdef fc_window a
    a.rows = last - first
    for i in range(a.rows):
        t.row_index[i] = boundary(y * p.sh - p.top + (first + i) * p.dh, p.height, p.mode)
    a.cols = fill_index(t.col_index, x0, cols, p.sw, p.fw, p.dw, dense, p.left, p.width, p.mode)
    a.src, a.src_row, a.src_col, a.src_channel = x, p.x_row, p.x_col, p.x_channel
    a.row_index, a.col_index = t.row_index, t.col_index
    a.channels, a.repeat, a.kind, a.fill = p.cg, 1, p.x_kind, p.cval
    a.dst, a.dst_row, a.dst_col, a.dst_channel = t.window, p.row_step, p.col_step, 1
    p.k.window(&a)


# ---- PLANAR ----

cdef void planar_row(const Plan *p, Team *t, const char *src, idx rows, idx outputs, idx cols, char *c,
                     idx c_step) noexcept nogil:
    """c[o][x] of one output row for `outputs` filters, or of `rows` rows for one filter on one plane."""
    cdef bint plane = rows > 0, padded = not (p.in_place or p.direct)
    cdef int most = p.k.row_vectors if plane else p.k.planar[outputs]
    cdef idx lanes = p.k.lanes, at = 0, chunk, first, vectors
    cdef fc_planar a
    cdef fc_rows b
    a.outputs, a.c_step = <int>outputs, c_step
    b.rows, b.c_step = <int>rows, c_step
    b.src_step, b.tap_step, b.fw = p.row_step, p.tap_col, p.fw
    while at < cols:
        vectors = most if 2 * ceil_div(cols - at, lanes) > most and (padded or cols >= most * lanes) else 1
        # No vector may reach beyond the last column of an array: step back and compute some columns again.
        if not padded:
            at = min(at, cols - vectors * lanes)
        a.vectors = b.vectors = <int>vectors
        for chunk in range(p.chunks):
            first = chunk * p.chunk
            a.accumulate = b.accumulate = accumulates(p, t, chunk, c + at * p.item, rows if plane else outputs, c_step,
                                                      vectors * lanes)
            if plane:
                b.fh = min(p.chunk // p.fw, p.fh - first // p.fw)
                b.src = src + (p.taps[first] + at) * p.item
                b.w = t.filters + first * p.item
                b.c = c + at * p.item
                p.k.plane_rows(&b)
            else:
                a.taps, a.count = p.taps + first, min(p.chunk, p.terms - first)
                a.src = src + at * p.item
                a.w = t.filters + first * outputs * p.item
                a.c = c + at * p.item
                p.k.planar_taps(&a)
        at += vectors * lanes


cdef void planar_task(const Plan *p, Team *t, idx task) noexcept nogil:
    cdef idx spots = p.images * p.row_tasks * p.col_tasks
    cdef idx group = task // spots, spot = task % spots
    cdef idx x0 = spot % p.col_tasks * p.block_cols
    cdef idx cols = min(p.block_cols, p.wo - x0)
    spot //= p.col_tasks
    cdef idx y = spot % p.row_tasks * p.task_rows
    cdef idx end = min(y + p.task_rows, p.ho)
    cdef idx n = spot // p.row_tasks
    cdef const char *x = image(p, p.x, p.lead_x, n) + group * p.cg * p.x_channel
    cdef char *out = <char *>image(p, p.out, p.lead_out, n) + group * p.kg * p.out_k + x0 * p.out_col
    cdef const char *src
    cdef char *c
    cdef idx y0 = y, rows, k0, outputs, c_step = p.panel_width, i
    cdef bint plane = p.plane
    if not p.in_place:
        pack_window(p, t, x, y, end - y, x0, cols, p.cg, 1)
    while y < end:
        rows = min(p.k.row_group, end - y) if plane else 1
        if p.in_place:
            src = x + y * p.sh * p.x_row + x0 * p.x_col
        else:
            src = t.window + (y - y0) * p.pixel_row * p.row_step * p.item
        k0 = 0
        while k0 < p.kg:
            outputs = min(p.k.outputs, p.kg - k0)
            if t.packed != group * p.kg + k0:
                pack_filters(p, t.filters, group, k0, outputs, outputs, 0, p.terms)
                t.packed = group * p.kg + k0
            if p.direct and plane:
                planar_row(p, t, src, rows, 1, cols, out + y * p.out_row, p.out_row // p.item)
            else:
                planar_row(p, t, src, rows if plane else 0, outputs, cols, t.c, c_step)
                if plane:
                    for i in range(rows):
                        store(p, t, t.c + i * c_step * p.item, p.chunks > FC_GROUP, 1, c_step, cols, 1,
                              out + (y + i) * p.out_row, group)
                else:
                    store(p, t, t.c, p.chunks > FC_GROUP, 1, c_step, cols, outputs, out + k0 * p.out_k + y * p.out_row,
                          group * p.kg + k0)
            k0 += outputs
        y += rows


# ---- CHANNELS ----

cdef void channels_task(const Plan *p, Team *t, idx task) noexcept nogil:
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
    cdef idx width = round_up(columns, p.k.lanes)
    cdef idx lanes = p.k.lanes, at, pixels, j, chunk
    cdef const char *x = image(p, p.x, p.lead_x, n) + k0 // p.kg * p.x_channel
    cdef char *out = <char *>image(p, p.out, p.lead_out, n) + k0 * p.out_k + x0 * p.out_col
    cdef const char *src
    cdef fc_channels a
    if t.packed != block:
        pack_filters(p, t.filters, 0, k0, columns, width, 0, p.terms)
        t.packed = block
    if not p.in_place:
        pack_window(p, t, x, y, end - y, x0, cols, columns // p.kg, p.kg)
    a.step = p.pixel_col * p.col_step
    a.w_step = width
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
                a.c, a.c_step = t.c + j * p.item, width
                if p.direct:
                    a.c, a.c_step = out + y * p.out_row + at * p.out_col + j * p.item, p.out_col // p.item
                a.src = src + (at * a.step + j) * p.item
                for chunk in range(p.chunks):
                    a.accumulate = accumulates(p, t, chunk, <char *>a.c, pixels, a.c_step, lanes)
                    a.taps, a.count = p.taps + chunk * p.chunk, min(p.chunk, p.terms - chunk * p.chunk)
                    a.w = t.filters + (chunk * p.chunk * width + j) * p.item
                    p.k.channel_taps(&a)
                j += lanes
            if not p.direct:
                store(p, t, t.c, p.chunks > FC_GROUP, width, 1, pixels, columns, out + y * p.out_row + at * p.out_col, k0)
            at += pixels
        y += 1


# ---- the plan ----

cdef idx tap_offset(const Plan *p, idx fh, idx fw) noexcept nogil:
    cdef idx col = fw * p.tap_col
    if p.way == PLANAR and not p.in_place:
        return fh * p.tap_row * p.row_step + col % p.pixel_col * p.col_step + col // p.pixel_col
    return fh * p.tap_row * p.row_step + col * p.col_step


cdef void plan_chunks(Plan *p) noexcept:
    """Cuts the sum into equal chunks.

    A chain of positive terms errs by about 0.24 u sqrt(length) rms, and chunks average out: 4.5 sqrt(n) terms keep the
    sum near 1.3 u, whatever n. Few filters are often blurs of flat regions, whose errors do not average but reach
    0.26 u (length + chunks): the longest chunks that keep this sum at 28, or FC_CHAIN.
    """
    cdef idx limit = FC_CHAIN
    if p.terms <= 196:
        limit = <idx>(14 + sqrt(196.0 - p.terms))
    p.plane = p.way == PLANAR and p.cg == 1 and p.kg == 1 and p.sh == 1 and p.sw == 1 and p.dh == 1
    if p.way == TILE and p.kg > p.k.lanes:
        limit = min(max(36, <idx>(4.5 * sqrt(<double>p.terms))), CHUNK_BYTES // (p.k.vectors * p.k.lanes * p.item))
    p.chunk = ceil_div(p.terms, max(ceil_div(p.terms, limit), 1))
    if p.way == TILE:
        p.chunk = round_up(p.chunk, 4)
    elif p.plane:  # the kernel cuts rows into chains; a chunk is FC_GROUP of them
        p.chunk = p.fw * min(p.fh, FC_GROUP * max(FC_CHAIN // p.fw, 1))
    p.chunk = max(p.chunk, 1)
    p.chunks = max(ceil_div(p.terms, p.chunk), 1)


cdef int plan_inputs(Plan *p) except -1:
    """Lists where each chunk finds its inputs."""
    cdef idx i, chunk, fh, fw, c, end, at, count = 0
    if p.way != TILE:
        p.taps = <idx *>PyMem_RawCalloc(max(p.terms, 1), sizeof(idx))
        if p.taps == NULL:
            raise MemoryError()
        i = 0
        for fh in range(p.fh):
            for fw in range(p.fw):
                for c in range(p.cg):
                    p.taps[i] = tap_offset(p, fh, fw) + c * p.plane_step
                    i += 1
        return 0
    p.piece_start = <idx *>PyMem_RawCalloc(p.chunks + 1, sizeof(idx))
    # Every tap and every chunk starts at most one piece.
    p.pieces = <fc_piece *>PyMem_RawCalloc(p.fh * p.fw + p.chunks, sizeof(fc_piece))
    if p.piece_start == NULL or p.pieces == NULL:
        raise MemoryError()
    for chunk in range(p.chunks):
        p.piece_start[chunk] = count
        i = chunk * p.chunk
        end = min(i + p.chunk, p.terms)
        while i < end:
            c = i % p.cg
            at = tap_offset(p, i // p.cg // p.fw, i // p.cg % p.fw) + c
            fh = min(p.cg - c, end - i)
            if count > p.piece_start[chunk] and p.pieces[count - 1].offset + p.pieces[count - 1].length == at:
                p.pieces[count - 1].length += fh
            else:
                p.pieces[count].offset = at
                p.pieces[count].length = fh
                count += 1
            i += fh
    p.piece_start[p.chunks] = count
    return 0


cdef bint readable(const Plan *p, cnp.ndarray x) noexcept:
    """Whether a kernel can read x where it is."""
    cdef int i
    if p.x_kind != (FC_F32 if p.item == 4 else FC_F64) or not cnp.PyArray_ISALIGNED(x):
        return False
    for i in range(x.ndim):
        if cnp.PyArray_STRIDE(x, i) % p.item and cnp.PyArray_DIM(x, i) > 1:
            return False
    # No padding: the last output's last tap must be a pixel.
    return (p.top <= 0 and p.left <= 0 and (p.ho - 1) * p.sh + (p.fh - 1) * p.dh < p.height
            and (p.wo - 1) * p.sw + (p.fw - 1) * p.dw < p.width)


cdef void plan_window(Plan *p, idx rows, idx cols, idx channels) noexcept:
    """Steps of a window of rows x cols outputs, `channels` elements a pixel."""
    cdef idx window_cols = window_steps(cols, p.sw, p.fw, p.dw, &p.pixel_col, &p.tap_col)
    cdef idx window_rows = window_steps(rows, p.sh, p.fh, p.dh, &p.pixel_row, &p.tap_row)
    if p.way == PLANAR:
        # Whole vectors for every phase of the column step; the kernels may read up to one tile beyond.
        p.col_step = round_up(ceil_div(window_cols, p.pixel_col), p.k.lanes) + p.k.lanes
        p.row_step = p.pixel_col * p.col_step
        p.plane_step = window_rows * p.row_step
        p.window_size = p.plane_step * channels + 8 * p.k.lanes
    else:
        p.col_step = channels
        p.row_step = window_cols * channels
        p.window_size = window_rows * p.row_step


cdef void plan_tiles(Plan *p, int threads) noexcept:
    cdef idx lanes = p.k.lanes, rows, limit, image_bytes, filter_bytes
    p.panel_width = p.k.vectors * lanes
    p.panels = ceil_div(p.kg, p.panel_width)
    rows = p.k.rows[min(p.k.vectors, ceil_div(p.kg, lanes))]
    p.per_range = max(SLAB_BYTES // (p.panel_width * p.item * p.chunk), 1)
    p.ranges = 1
    limit = BLOCK_PIXELS
    if p.chunks > p.per_range or (p.images == 1 and p.ho * p.wo <= STREAM_PIXELS and p.chunks > 1):
        # Filters stream through the cache, each chunk packed once for all the pixels of a task.
        p.ranges = 0
        p.per_range = 1
        limit = 2 * BLOCK_PIXELS
    # Blocks of pixels: whole rows of tiles, as wide as the limit allows.
    p.block_cols = min(p.wo, round_up(ceil_div(p.wo, ceil_div(p.wo, limit)), rows))
    p.block_rows = min(p.ho, max(limit // p.block_cols, 1))
    p.task_rows = p.block_rows
    if p.ranges == 0:
        p.task_rows = min(p.ho, max(RANGE_PIXELS // p.block_cols, p.block_rows))
    if not p.in_place:
        if p.ranges:
            p.task_rows = min(p.ho, max(4 * p.block_rows, 8))
        plan_window(p, p.task_rows, p.block_cols, p.cg)
        while p.window_size * p.item > WINDOW_BYTES and p.task_rows > p.block_rows:
            p.task_rows = max(p.task_rows // 2, p.block_rows)
            plan_window(p, p.task_rows, p.block_cols, p.cg)
        while p.window_size * p.item > WINDOW_BYTES and (p.block_rows > 1 or p.block_cols > rows):
            if p.block_rows > 1:
                p.block_rows //= 2
            else:
                p.block_cols = round_up(ceil_div(p.block_cols, 2), rows)
            p.task_rows = p.block_rows
            plan_window(p, p.task_rows, p.block_cols, p.cg)
        if p.window_size * p.item > 2 * WINDOW_BYTES and p.fh > 1:
            # Even one tile's window is too large: pack it one range of filter rows at a time.
            p.window_per_range = True
            p.block_rows = p.task_rows = 1
            if p.ranges == 1:
                p.ranges = 0
            plan_window(p, 1, p.block_cols, p.cg)
            p.tap_row = 1
            p.window_size = (SLAB_BYTES // (p.panel_width * p.item) // max(p.fw * p.cg, 1) + 2) * p.row_step
    # Slabs of panels: as many as the cache holds, but each thread its own where filters outweigh the image.
    filter_bytes = p.terms * p.panel_width * p.item
    p.slab = 1 if p.ranges != 1 else min(p.panels, max(SLAB_BYTES // max(filter_bytes, 1), 1))
    image_bytes = p.height * p.width * p.cg * p.item
    if p.panels >= threads and filter_bytes * p.panels > min(image_bytes, SLAB_BYTES // 4):
        p.slab = min(p.slab, ceil_div(p.panels, threads))


cdef void plan_rows(Plan *p, int threads) noexcept:
    """Blocks of PLANAR and CHANNELS: rows whose window stays in the second-level cache, enough of them for the team."""
    cdef idx channels = p.cg if p.way == PLANAR else min(p.panel_width, round_up(p.groups * p.kg, p.k.lanes))
    cdef idx group = p.k.row_group if p.way == PLANAR else 1
    p.block_cols = p.wo
    p.task_rows = min(p.ho, max(round_up(ceil_div(p.ho, 4 * threads), group), group))
    if p.images >= 4 * threads:
        p.task_rows = p.ho
    if not p.in_place:
        plan_window(p, p.task_rows, p.block_cols, channels)
        while p.window_size * p.item > WINDOW_BYTES and (p.task_rows > group or p.block_cols > 8 * p.k.lanes):
            if p.task_rows > group:
                p.task_rows = max(round_up(p.task_rows // 2, group), group)
            else:
                p.block_cols = max(p.block_cols // 2, 8 * p.k.lanes)
            plan_window(p, p.task_rows, p.block_cols, channels)
    elif p.way == CHANNELS or p.wo > 8192:
        p.block_cols = min(p.wo, 8192)
        if p.way == PLANAR and p.wo % p.block_cols and p.wo % p.block_cols < p.k.lanes:
            p.block_cols = 8192 - p.k.lanes
        p.task_rows = min(p.task_rows, max(round_up((1 << 20) // max(p.block_cols * channels * p.item, 1), group), group))
    p.block_rows = p.task_rows


cdef Way choose(const Plan *p) noexcept:
    cdef idx lanes = p.k.lanes
    if p.terms == 0:
        return TILE
    if p.cg == 1 and p.groups > 1 and p.groups * p.kg >= lanes:
        return CHANNELS
    # Lanes in use: along x at about 0.7 of the tile's rate, along channels whole vectors only.
    if 7 * p.wo * round_up(p.kg, lanes) > 10 * p.kg * round_up(p.wo, lanes):
        return PLANAR
    return TILE


cdef int plan(Plan *p, cnp.ndarray x, int threads) except -1:
    cdef idx lanes = p.k.lanes
    cdef int i
    cdef bint aligned_out
    p.way = choose(p)
    plan_chunks(p)
    p.panel_width = min(CHANNEL_BLOCK // p.kg * p.kg if p.kg <= CHANNEL_BLOCK else p.kg, p.groups * p.kg)
    p.in_place = readable(p, x)
    if p.way == TILE:
        p.in_place = p.in_place and (p.x_channel == p.item or p.cg <= 1)
    elif p.way == PLANAR:
        p.in_place = p.in_place and p.sw == 1 and p.x_col == p.item and p.wo >= lanes
    else:
        i = p.groups % (p.panel_width // p.kg)
        p.in_place = p.in_place and p.kg == 1 and p.x_channel == p.item and (i == 0 or i >= lanes)
    if p.in_place:
        p.pixel_row, p.pixel_col, p.tap_row, p.tap_col = p.sh, p.sw, p.dh, p.dw
        p.row_step, p.col_step = p.x_row // p.item, p.x_col // p.item
        if p.way == PLANAR:
            p.plane_step = p.x_channel // p.item
            p.pixel_col = 1
    aligned_out = <size_t>p.out % p.item == 0 and p.out_row % p.item == 0 and p.out_col % p.item == 0
    for i in range(p.lead):
        aligned_out = aligned_out and p.lead_out[i] % p.item == 0
    p.direct = (aligned_out and p.out_kind == (FC_F32 if p.item == 4 else FC_F64) and p.activation == 0
                and p.chunks <= FC_GROUP)
    if p.way == TILE:
        p.direct = p.direct and p.out_k == p.item
        if (p.in_place and p.fh == 1 and p.fw == 1 and p.sh == 1 and p.sw == 1 and p.ho == p.height and p.wo == p.width
                and p.x_row == p.width * p.x_col and p.out_row == p.wo * p.out_col):
            # Pixels do not care about rows: one long row.
            p.width *= p.height
            p.wo = p.width
            p.height = p.ho = 1
        plan_tiles(p, threads)
    elif p.way == PLANAR:
        p.direct = p.direct and p.out_col == p.item and p.bias == NULL and p.wo >= lanes
        plan_rows(p, threads)
    else:
        p.direct = p.direct and p.out_k == p.item and p.bias == NULL and p.in_place
        plan_rows(p, threads)
    if p.in_place and p.way != PLANAR:
        p.plane_step = 1
    if not p.in_place and p.way == CHANNELS:
        p.plane_step = 1
    plan_inputs(p)
    if p.way == TILE:
        if p.ranges == 1:
            p.per_range = p.chunks
        p.ranges = ceil_div(p.chunks, p.per_range)
        p.panel_size = round_up(min(p.per_range * p.chunk, p.terms) * p.panel_width * p.item, 64)
        p.slabs = ceil_div(p.panels, p.slab)
        p.scratch = (p.block_rows if p.ranges == 1 else p.task_rows) * p.block_cols * p.panel_width
    elif p.way == PLANAR:
        p.slab = p.slabs = p.ranges = 1
        p.panel_size = round_up(p.terms * min(p.kg, p.k.outputs) * p.item, 64)
        p.panel_width = round_up(p.block_cols, lanes) + 8 * lanes   # the step between outputs in the scratch array
        p.scratch = p.panel_width * max(p.k.outputs, p.k.row_group)
    else:
        p.slab = p.ranges = 1
        p.panel_size = round_up(p.terms * round_up(p.panel_width, lanes) * p.item, 64)
        p.scratch = p.k.pixels * round_up(p.panel_width, lanes)
    p.row_tasks = ceil_div(p.ho, p.task_rows)
    p.col_tasks = ceil_div(p.wo, p.block_cols)
    p.tasks = p.images * p.row_tasks * p.col_tasks
    if p.way == TILE:
        p.tasks *= p.groups * p.slabs
    elif p.way == PLANAR:
        p.tasks *= p.groups
    else:
        p.tasks *= ceil_div(p.groups * p.kg, p.panel_width)
    return 0


cdef void run(const Plan *p, Team *t, idx count) noexcept nogil:
    """The next `count` tasks of one thread."""
    cdef idx end = min(t.first + count, t.last)
    while t.first < end:
        if p.way == TILE:
            tile_task(p, t, t.first)
        elif p.way == PLANAR:
            planar_task(p, t, t.first)
        else:
            channels_task(p, t, t.first)
        t.first += 1


# One workspace is kept between calls, since fresh pages would cost a small layer a tenth of its time. Under the GIL.
cdef char *spare = NULL
cdef idx spare_size = 0


cdef char *take_workspace(idx size) noexcept:
    global spare, spare_size
    cdef char *memory = spare
    if memory == NULL or spare_size < size:
        return <char *>PyMem_RawCalloc(size, 1)
    spare = NULL
    return memory


cdef void give_workspace(char *memory, idx size) noexcept:
    """Keeps the larger of this workspace and the spare one, up to SPARE_BYTES."""
    global spare, spare_size
    if memory == NULL or size > SPARE_BYTES or (spare != NULL and spare_size >= size):
        PyMem_RawFree(memory)
        return
    PyMem_RawFree(spare)
    spare, spare_size = memory, size


cdef int execute(const Plan *p, int threads, double work) except -1:
    cdef idx index_rows = p.task_rows * p.sh + (p.fh + 1) * max(p.dh, p.task_rows) + 2
    cdef idx index_cols = p.block_cols * p.sw + (p.fw + 1) * max(p.dw, p.block_cols) + 2
    index_rows = min(index_rows, max(p.window_size, 0) + 8)
    index_cols = min(index_cols, max(p.window_size, 0) + 8)
    cdef idx filters = round_up(p.slab * p.panel_size, 64), window = round_up(p.window_size * p.item, 64)
    cdef idx scratch = round_up(p.scratch * p.item, 64)
    cdef idx indices = 0 if p.in_place else round_up((index_rows + index_cols) * sizeof(idx), 64)
    cdef idx each = filters + window + scratch + (scratch if p.chunks > FC_GROUP else 0) + indices + 64
    cdef idx rounds, quota, round_
    cdef int i
    cdef idx size = threads * each + 64
    cdef char *memory = take_workspace(size)
    cdef Team *members = <Team *>PyMem_RawCalloc(threads, sizeof(Team))
    cdef char *at
    try:
        if memory == NULL or members == NULL:
            raise MemoryError(f"conv2d could not allocate {size} bytes of workspace")
        at = memory + (-<size_t>memory) % 64
        for i in range(threads):
            members[i].first = p.tasks * i // threads
            members[i].last = p.tasks * (i + 1) // threads
            members[i].packed = -1
            members[i].filters = at + i * each
            members[i].window = members[i].filters + filters
            members[i].c = members[i].window + window
            members[i].c2 = members[i].c + scratch
            members[i].row_index = <idx *>(at + (i + 1) * each - 64 - indices)
            members[i].col_index = members[i].row_index + index_rows
        rounds = <idx>(work / threads / ROUND_WORK) + 1
        quota = ceil_div(ceil_div(p.tasks, threads), rounds)
        rounds = ceil_div(ceil_div(p.tasks, threads), quota)
        for round_ in range(rounds):
            if threads == 1:
                with nogil:
                    run(p, members, quota)
            else:
                for i in prange(threads, nogil=True, num_threads=threads, schedule="static", chunksize=1):
                    run(p, &members[i], quota)
            if round_ < rounds - 1:
                PyErr_CheckSignals()
    finally:
        give_workspace(memory, size)
        PyMem_RawFree(members)
    return 0


cdef int kind_of(cnp.ndarray a) except -1:
    cdef int size = cnp.PyArray_ITEMSIZE(a)
    cdef int kind = FC_F16 if size == 2 else FC_F32 if size == 4 else FC_F64
    return kind if cnp.PyArray_ISNOTSWAPPED(a) else kind | FC_SWAPPED


def conv2d(cnp.ndarray x, cnp.ndarray w, cnp.ndarray out, bias, idx sh, idx sw, idx dh, idx dw, idx top, idx left,
           int mode, double cval, idx groups, int activation, workers):
    """Fills out (..., Ho, Wo, K) from x (..., H, W, C) and w (Fh, Fw, C // groups, K); conv.py has checked everything."""
    cdef Plan p
    cdef int i, n = x.ndim, threads
    cdef double work
    cdef cnp.ndarray b
    memset(&p, 0, sizeof(p))
    p.out_kind = kind_of(out)
    p.item = 8 if p.out_kind == FC_F64 else 4
    p.k = &table().f64 if p.item == 8 else &table().f32
    if bias is not None:
        b = np.ascontiguousarray(bias, np.float64 if p.item == 8 else np.float32)
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
    work = <double>p.images * p.ho * p.wo * p.groups * p.kg * max(p.terms, 1)
    threads = team(workers, work)
    try:
        plan(&p, x, threads)
        threads = <int>min(threads, p.tasks)
        execute(&p, threads, work)
    finally:
        PyMem_RawFree(p.taps)
        PyMem_RawFree(p.piece_start)
        PyMem_RawFree(p.pieces)
