"""Depthwise convolution: lanes along channels (DEPTHWISE of plan.pyx).

A task is a block of rows times a block of channels. Next hops: pack.pyx and kernels/conv/depthwise.h.
"""
from fastconv._drivers.common cimport idx, round_up
from fastconv._drivers.conv.pack cimport Spot, Thread, channel_at, filter_at, image, pack_filters, pack_window, spot_of, store
from fastconv._drivers.conv.plan cimport Plan
from fastconv._drivers.conv.table cimport fc_channel_taps
from fastconv._drivers.runtime cimport tick


cdef void depthwise_task(const Plan *p, Thread *t, idx task) noexcept nogil:
    cdef Spot s = spot_of(p, task)
    cdef idx all_ = p.groups * p.kg, y = s.y
    cdef idx k0 = s.part * p.panel_width
    cdef idx columns = min(p.panel_width, all_ - k0)
    cdef idx width = round_up(columns, p.base.lanes)
    cdef idx lanes = p.base.lanes, at, pixels, j
    cdef const char *x = image(p, p.x, p.lead_x, s.n) + channel_at(p, k0 // p.kg * p.cg)
    cdef char *out = <char *>image(p, p.out, p.lead_out, s.n) + filter_at(p, k0) + s.x * p.out_col
    cdef const char *src
    cdef fc_channel_taps a
    if t.packed != s.part:
        pack_filters(p, t.filters, 0, k0, columns, width, 0, p.terms)
        t.packed = s.part
    if not p.in_place:
        pack_window(p, t, x, s.y, s.y_end - s.y, s.x, s.cols, columns // p.kg, p.kg)
    a.step = p.pixel_col * p.col_step
    a.w_step, a.taps, a.count, a.chain, a.sums = width, p.taps, p.terms, p.chain, t.sums
    while y < s.y_end:
        if p.in_place:
            src = x + y * p.sh * p.x_row + s.x * p.sw * p.x_col
        else:
            src = t.window + (y - s.y) * p.pixel_row * p.row_step * p.item
        at = 0
        while at < s.cols:
            pixels = min(p.k.pixels, s.cols - at)
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
