"""Packs filters and windows of conv2d, boundaries resolved. Next hops: kernels/conv/windows.h and kernels/base/pack.h."""
from libc.string cimport memset

from fastconv._drivers.base cimport FC_BLOCKS, FC_COUPLES, FC_REALS, fc_boundary, fc_panel
from fastconv._drivers.common cimport ceil_div, idx
from fastconv._drivers.conv.plan cimport DEPTHWISE, PLANES, Plan, own_kind
from fastconv._drivers.conv.table cimport fc_window
from fastconv._drivers.runtime cimport seam

cdef idx PACK_WORK = 16          # products that take as long as packing one element of a strange layout

seam("conv.PACK_WORK", &PACK_WORK)


cdef void pack_filters(const Plan *p, void *dst, idx group, idx k0, idx columns, idx width, idx first, idx count) noexcept nogil:
    cdef fc_panel a
    a.dst = dst
    cdef idx k = group * p.kg + k0
    a.src = p.w + (k if p.form == FC_REALS else k // 2) * p.w_k
    a.form, a.odd = p.form, k % 2
    a.words, a.half, a.halves = p.words, p.w_half, p.halves
    a.fh_step, a.fw_step, a.c_step, a.k_step = p.w_fh, p.w_fw, p.w_c, p.w_k
    a.fw, a.c, a.first, a.count = max(p.fw, 1), max(p.cg, 1), first, count
    if p.transposed:
        a.fh_step, a.fw_step, a.fw = p.w_fw, p.w_fh, p.fh
    a.columns, a.width, a.kind, a.split = columns, width, p.w_kind, p.split
    if turned(p) and columns > 1 and p.split == 1 and not p.transposed:
        pack_turned(p, &a)
    else:
        p.base.panel(&a)


cdef inline bint turned(const Plan *p) noexcept nogil:
    """Whether filters lie side by side along channels, as those of a gradient do: reading them along filters takes five times as
    long."""
    return (not p.integers and p.form == FC_REALS and p.w_c == p.item and p.w_k != p.item and p.w_k % p.item == 0
            and p.w_kind == own_kind(p) and <size_t>p.w % p.item == 0 and p.w_fh % p.item == 0 and p.w_fw % p.item == 0)


cdef void pack_turned(const Plan *p, const fc_panel *a) noexcept nogil:
    """The panel of pack_filters, read along channels."""
    cdef idx term = a.first, end = a.first + a.count, tap, run, r, item = p.item, columns = a.columns, width = a.width
    cdef char *dst = <char *>a.dst
    while term < end:
        tap = term // a.c
        run = min((tap + 1) * a.c, end) - term
        p.k.turn(dst, width, a.src + tap // a.fw * a.fh_step + tap % a.fw * a.fw_step + term % a.c * item, a.k_step // item,
                 columns, run)
        for r in range(run if width > columns else 0):
            memset(dst + (r * width + columns) * item, 0, (width - columns) * item)
        dst += run * width * item
        term += run


cdef idx fill_index(idx *index, idx start, idx count, idx stride, idx taps, idx dilation, bint dense, idx pad, idx n,
                    int mode) noexcept nogil:
    """Source positions of the window of `count` outputs from `start`; returns how many. See `window_steps` of the plan."""
    cdef idx i, t, size = 0, from_ = start * stride - pad
    if dense:
        size = (count - 1) * stride + (taps - 1) * dilation + 1
        for i in range(size):
            index[i] = fc_boundary(from_ + i, n, mode)
    else:
        for i in range(count):
            for t in range(taps):
                index[size] = fc_boundary(from_ + i * stride + t * dilation, n, mode)
                size += 1
    return size


cdef void fill_run(fc_window *a, idx *index, idx from_, idx step, idx n, int mode) noexcept nogil:
    """Source columns from_, from_ + step, ... of a window of a.cols columns; of those inside only the first is listed."""
    cdef idx i
    a.inside = min(max(ceil_div(-from_, step), 0), a.cols)
    a.inside_end = max(min(ceil_div(n - from_, step), a.cols), a.inside)
    a.inside_gap = step
    for i in range(a.inside):
        index[i] = fc_boundary(from_ + i * step, n, mode)
    for i in range(a.inside_end, a.cols):
        index[i] = fc_boundary(from_ + i * step, n, mode)
    if a.inside < a.inside_end:
        index[a.inside] = from_ + a.inside * step


cdef void pack_channels(const Plan *p, fc_window *a, const char *x, idx first, idx count) noexcept nogil:
    """Packs `count` channels from `first` on: numbers, parts of complex ones, or words."""
    cdef int part
    cdef idx c, step = a.dst_channel
    cdef char *dst = <char *>a.dst
    a.src_row, a.src_col, a.src_channel, a.kind, a.whole = p.x_row, p.x_col, p.x_channel, p.x_kind, p.whole_cval
    a.words, a.half, a.halves = p.words, p.x_half, count
    if p.words == FC_COUPLES:
        a.halves = 2 * count if p.way == DEPTHWISE else min(2 * count, p.halves - 2 * first)
    if p.way == DEPTHWISE and p.form == FC_BLOCKS:   # all real parts, then all imaginary ones
        a.channels, a.src_channel = count, p.x_channel if p.x_pairs else 2 * p.x_item
        for part in range(2):
            a.src, a.dst = x + part * p.x_item, dst + part * p.plane_step * p.item
            a.fill = p.imaginary_cval if part else p.cval
            p.k.window(a)
        return
    if not p.x_pairs:
        a.src, a.channels, a.fill = x + first * p.x_channel, count, p.cval
        p.k.window(a)
        return
    a.dst_channel = 2 * step
    for part in range(2):   # real parts are the even channels
        c = (first - part + 1) // 2
        a.src, a.channels = x + c * p.x_channel + part * p.x_item, (first + count - part + 1) // 2 - c
        a.fill = p.imaginary_cval if part else p.cval
        a.dst = dst + (2 * c + part - first) * step * p.item
        p.k.window(a)
    a.dst, a.dst_channel = dst, step


cdef void pack_window(const Plan *p, Thread *t, const char *x, idx y0, idx rows, idx x0, idx cols, idx channels,
                      idx repeat) noexcept nogil:
    """Packs the window of outputs (y0.., x0..); pixels of `channels` channels, or planes."""
    cdef fc_window a
    cdef idx phase, i, at, from_ = x0 * p.sw - p.left
    cdef bint dense = p.pixel_col == p.sw and p.tap_col == p.dw
    cdef idx size = (cols - 1) * p.sw + (p.fw - 1) * p.dw + 1 if dense else cols * p.fw
    a.rows = fill_index(t.row_index, y0, rows, p.sh, p.fh, p.dh, p.pixel_row == p.sh and p.tap_row == p.dh, p.top, p.height,
                        p.mode)
    a.row_index, a.col_index, a.repeat = t.row_index, t.col_index, repeat
    a.dst_row = p.row_step
    a.dst_col, a.dst_channel = p.col_step, 1
    if p.way == PLANES:
        a.dst_col, a.dst_channel = 1, p.plane_step
    # Planes: columns of one phase of the stride lie side by side, so that outputs read consecutive elements.
    for phase in range(p.pixel_col if p.way == PLANES else 1):
        i = p.pixel_col if p.way == PLANES else 1
        a.dst = t.window + phase * p.col_step * p.item
        a.cols = ceil_div(size - phase, i)
        if dense:
            fill_run(&a, t.col_index, from_ + phase, i, p.width, p.mode)
        else:
            a.inside = a.inside_end = 0
            for at in range(a.cols):
                t.col_index[at] = fc_boundary(from_ + (phase + at * i) // p.fw * p.sw + (phase + at * i) % p.fw * p.dw,
                                              p.width, p.mode)
        pack_channels(p, &a, x, 0, channels)
        t.worker.clock.work += PACK_WORK * <double>a.rows * size * channels * repeat


cdef void gather_terms(const Plan *p, Thread *t, const char *x, idx y0, idx rows, idx x0, idx cols, idx first,
                       idx last) noexcept nogil:
    """Packs terms first..last-1 of outputs (y0.., x0..) side by side, tap by tap."""
    cdef idx term = first, tap, count
    cdef fc_window a
    a.rows, a.cols = rows, cols
    a.row_index, a.col_index, a.repeat = t.row_index, t.col_index, 1
    a.dst_row, a.dst_col, a.dst_channel = p.row_step, p.col_step, 1
    while term < last:
        tap = term // p.cg
        fill_index(t.row_index, y0, rows, p.sh, 1, 1, False, p.top - tap // p.fw * p.dh, p.height, p.mode)
        fill_run(&a, t.col_index, x0 * p.sw - p.left + tap % p.fw * p.dw, p.sw, p.width, p.mode)
        count = min((tap + 1) * p.cg, last) - term
        a.dst = t.window + (term - first) * p.item
        pack_channels(p, &a, x, term % p.cg, count)
        term += count
    t.worker.clock.work += PACK_WORK * <double>rows * cols * (last - first)
