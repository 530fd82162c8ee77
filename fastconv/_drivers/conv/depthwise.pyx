"""Depthwise convolution: lanes along channels (DEPTHWISE of plan.pyx).

A task is a block of rows times a block of channels. Next hops: pack.pyx and kernels/conv/depthwise.h.
"""
from fastconv._drivers.common cimport ceil_div, idx, round_up
from fastconv._drivers.conv.pack cimport Spot, Thread, channel_at, filter_at, image, pack_filters, pack_window, spot_of, store
from fastconv._drivers.conv.plan cimport Plan
from fastconv._drivers.conv.table cimport FC_CHANNEL_PIXELS, FC_CHANNEL_ROWS, fc_channel_rows, fc_channel_taps
from fastconv._drivers.runtime cimport tick


cdef void pixels_of(const Plan *p, Thread *t, const char *src, char *out, idx k0, idx columns, idx rows,
                    idx pixels) noexcept nogil:
    """Outputs of so many neighbours in one row, or in FC_CHANNEL_ROWS rows."""
    cdef idx width = round_up(columns, p.base.lanes), j = 0, r
    cdef fc_channel_taps a
    cdef fc_channel_rows b
    a.taps, a.count, a.chain, a.sums, a.pixels = p.taps, p.terms, p.chain, t.sums, <int>pixels
    a.step = b.step = p.pixel_col * p.col_step
    a.w_step = b.w_step = a.out_step = b.out_step = width
    b.pixels, b.row_step, b.out_row = pixels, p.tap_row * p.row_step, pixels * width
    if p.direct:
        a.out_step = b.out_step = p.out_col // p.item
        b.out_row = p.out_row // p.item
    while j < columns:
        # Lanes beyond the last channel would be the next pixel's: step back and compute some again.
        if p.in_place or p.direct:
            j = min(j, columns - p.base.lanes)
        a.src = b.src = src + j * p.item
        a.w = b.w = t.filters + j * p.item
        a.out = b.out = (out if p.direct else t.c) + j * p.item
        if rows > 1:
            p.k.channel_rows(&b)
        else:
            p.k.channel_taps(&a)
        j += p.base.lanes
    for r in range(0 if p.direct else rows):
        store(p, t.c + r * pixels * width * p.item, width, 1, pixels, columns, out + r * p.out_row, k0)


cdef void depthwise_task(const Plan *p, Thread *t, idx task) noexcept nogil:
    cdef Spot s = spot_of(p, task)
    cdef idx all_ = p.groups * p.kg, y = s.y, k0 = s.part * p.panel_width, at, rows, pixels, most
    cdef idx columns = min(p.panel_width, all_ - k0)
    cdef const char *x = image(p, p.x, p.lead_x, s.n) + channel_at(p, k0 // p.kg * p.cg)
    cdef char *out = <char *>image(p, p.out, p.lead_out, s.n) + filter_at(p, k0) + s.x * p.out_col
    cdef const char *src
    # Outputs as far apart as taps see the same pixels, which rows of them share where sums are one chain.
    cdef bint shares = (p.chains == 1 and p.fh == p.fw == 3 and p.terms == 9 and p.pixel_row == p.tap_row
                        and p.pixel_col == p.tap_col and s.cols >= FC_CHANNEL_PIXELS)
    if t.packed != s.part:
        pack_filters(p, t.filters, 0, k0, columns, round_up(columns, p.base.lanes), 0, p.terms)
        t.packed = s.part
    if not p.in_place:
        pack_window(p, t, x, s.y, s.y_end - s.y, s.x, s.cols, columns // p.kg, p.kg)
    while y < s.y_end:
        if p.in_place:
            src = x + y * p.sh * p.x_row + s.x * p.sw * p.x_col
        else:
            src = t.window + (y - s.y) * p.pixel_row * p.row_step * p.item
        rows = FC_CHANNEL_ROWS if shares and y + FC_CHANNEL_ROWS <= s.y_end else 1
        pixels, at = p.k.pixels, 0
        if rows > 1:   # as many in each call
            most = s.cols if p.direct else p.scratch // (rows * round_up(p.panel_width, p.base.lanes))
            pixels = max(ceil_div(s.cols, ceil_div(s.cols, most)), FC_CHANNEL_PIXELS)
        while at < s.cols:
            if rows > 1:
                at = min(at, s.cols - pixels)
            pixels = min(pixels, s.cols - at)
            pixels_of(p, t, src + at * p.pixel_col * p.col_step * p.item, out + y * p.out_row + at * p.out_col, k0, columns, rows,
                      pixels)
            at += pixels
            if tick(&t.worker.clock, <double>rows * pixels * columns * p.terms):
                return
        y += rows
