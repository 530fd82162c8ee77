"""Few output channels: lanes along x, on planes of the input (PLANES of plan.pyx).

A task is a block of rows. One filter on one plane takes several rows at a time and, where it outweighs the caches, comes in
ranges of its rows, while the sums of the task stay open. Next hops: pack.pyx and kernels/conv/planes.h.
"""
from fastconv._drivers.common cimport ceil_div, idx
from fastconv._drivers.conv.pack cimport (
    Spot,
    Thread,
    channel_at,
    filter_at,
    image,
    pack_filters,
    pack_window,
    spot_of,
    start_ahead,
    store,
)
from fastconv._drivers.conv.plan cimport Plan
from fastconv._drivers.conv.table cimport FC_MOST_SUMS, fc_plane_chains, fc_plane_rows, fc_planar_taps
from fastconv._drivers.runtime cimport seam, tick

cdef idx PREFETCH_WORK = 16         # products for each number of a pixel below which planes are moved longer than computed

seam("conv.PREFETCH_WORK", &PREFETCH_WORK)


cdef void plan_planes_ahead(const Plan *p, Thread *t, const char *x, idx y, idx end, char *out) noexcept nogil:
    """Prepares to prefetch the rows that the next task has more than this one, and the rows of results that follow."""
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
    b.chains = fc_plane_chains(t.range_, p.fw)
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
                b.sums = <char *>b.sums + p.levels * FC_MOST_SUMS * lanes * p.item
        else:
            p.k.planar_taps(&a)
        if t.ahead.count or t.ahead_out.count:
            p.k.prefetch_ahead(&t.ahead)
            p.k.prefetch_ahead(&t.ahead_out)
        at += vectors * lanes
        if tick(&t.worker.clock, <double>vectors * lanes * t.range_rows * p.fw * p.cg * max(rows, outputs)):
            return


cdef void planar_rows(const Plan *p, Thread *t, const char *in_, char *out, idx rows, idx cols, idx k0,
                      idx outputs) noexcept nogil:
    """`rows` rows of results for filters k0..k0+outputs-1, whose inputs begin at in_."""
    cdef idx step = p.pixel_row * p.row_step * p.item, y = 0, together, i
    out += filter_at(p, k0)
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


cdef void planes_task(const Plan *p, Thread *t, idx task) noexcept nogil:
    cdef Spot s = spot_of(p, task)
    cdef idx group = s.part
    cdef const char *x = image(p, p.x, p.lead_x, s.n) + channel_at(p, group * p.cg)
    cdef char *out = <char *>image(p, p.out, p.lead_out, s.n) + s.x * p.out_col
    cdef const char *in_ = t.window
    cdef idx parts = ceil_div(p.kg, p.k.outputs), i, k0, outputs
    if p.ranges > 1:
        plane_ranges(p, t, x, out + s.y * p.out_row, group, s.y, s.y_end - s.y, s.x, s.cols)
        return
    t.range_, t.range_rows = 0, p.fh
    if p.in_place:
        in_ = x + s.y * p.sh * p.x_row + s.x * p.x_col
    else:
        pack_window(p, t, x, s.y, s.y_end - s.y, s.x, s.cols, p.cg, 1)
        if p.terms * p.kg <= PREFETCH_WORK * (p.cg + p.kg):
            plan_planes_ahead(p, t, x, s.y, s.y_end, <char *>image(p, p.out, p.lead_out, s.n))
    for i in range(parts):
        # Filters are dealt out evenly: a few that were left over would be slow.
        k0 = group * p.kg + p.kg * i // parts
        outputs = group * p.kg + p.kg * (i + 1) // parts - k0
        if t.packed != k0:
            pack_filters(p, t.filters, 0, k0, outputs, outputs, 0, p.terms)
            t.packed = k0
        planar_rows(p, t, in_, out + s.y * p.out_row, s.y_end - s.y, s.cols, k0, outputs)
