"""Large filters by Fourier transforms of blocks (fourier_blocks.pyx), with their guard: computes what is benign.

Two blocks of outputs are computed together. Whether a pair of blocks is benign depends on its inputs and the filters alone.
Next hops: kernels/conv/fourier.h, which has the method and the guard, pack.pyx; run.pyx computes directly what this leaves out.
"""
from libc.math cimport INFINITY
from libc.string cimport memcpy, memset

cimport numpy as cnp

from fastconv._drivers.common cimport ceil_div, idx, round_up
from fastconv._drivers.conv.fourier_blocks cimport (
    FILTERS,
    MOST_PAIRS,
    Blocks,
    bank_bytes,
    cost_of,
    filters_together,
    keeps,
    keeps_bank,
    pairs_together,
    plane_size,
    plane_step,
    spectrum_bytes,
    spectrum_size,
    spectrum_step,
    terms_of,
)
from fastconv._drivers.conv.pack cimport Thread, fill_index, fill_run, image, store
from fastconv._drivers.conv.plan cimport TILE, Plan
from fastconv._drivers.conv.table cimport (
    FC_FOURIER_MOST,
    fc_fourier,
    fc_fourier_bounds,
    fc_fourier_least,
    fc_fourier_mark,
    fc_fourier_products,
    fc_fourier_sizes,
    fc_fourier_windows,
    fc_window,
)
from fastconv._drivers.runtime cimport crew, run_team, seam, team, tick

import numpy as np

from fastconv._drivers.runtime import selected

cnp.import_array()

cdef idx FOURIER_CELLS = 7              # least cells of a window that the guard counts by cells of several rows
seam("conv.FOURIER_CELLS", &FOURIER_CELLS)

cdef enum:
    CHAIN = 32                   # terms whose products are added one after another
    SLICES = 32                  # parts of the filters of a group whose bounds are found one after another
    TRANSFORM_WORK = 64          # multiply-adds that take as long as one transform of a point
    STORE_WORK = 2000            # and as storing a result does at worst


cdef inline idx last_taps(idx taps, idx part) noexcept nogil:
    """Taps of the last part, which has the fewest."""
    return taps - (ceil_div(taps, part) - 1) * part


cdef inline idx cell_rows(const Plan *p, const Blocks *b) noexcept nogil:
    """Rows that the guard counts together: a power of two."""
    cdef idx rows = 1
    while p.dh == 1 and (last_taps(p.fh, b.th) + 1) // (2 * rows) > FOURIER_CELLS:
        rows *= 2
    return rows


cdef inline idx bounds_size(const Plan *p, const Blocks *b) noexcept nogil:
    """Numbers that the guard has of a group: `least` and `most` of each channel, `peak` of each term."""
    return 2 * p.cg + terms_of(p, b)


cdef struct Memory:              # of one thread, in bytes
    idx plane, x, y, w, cells, lines, norms, indices, all_   # cells: of one block, of which there are 6


cdef struct Call:
    Plan p
    Blocks b
    Memory m
    const char *roots
    char *w                      # spectra of filters, if they are kept
    double *bounds               # of each group, and while they are found of each of its slices
    idx slices
    unsigned char *bad           # of each slab, group, image and tile of outputs
    idx tile_rows, tile_cols     # tiles of an image
    const unsigned char *todo    # of each image and pair of blocks: whether it is to be computed, or NULL: all are
    double units                 # of the roundoff that is asked for
    idx slabs                    # of the filters of a group, where there are few pairs
    idx pairs                    # of blocks of an image
    idx together, filters        # pairs of a task, and filters whose products are formed together
    bint keeps                   # transformed blocks of all terms are kept for all filters


cdef struct Caller:              # a thread
    Thread thread
    char *plane                  # a pair of blocks before transforms and after them,
    char *x                      # and between: blocks of images,
    char *y                      # sums of products,
    char *w                      # a filter
    char *low                    # sums of sizes of rows, for the guard: those of two blocks
    char *high
    char *sums                   # of windows of `low`
    char *line
    double *norms                # of the terms of a filter, or of a pair of blocks


cdef void plan_memory(Call *c) noexcept:
    cdef const Plan *p = &c.p
    cdef const Blocks *b = &c.b
    cdef Memory *m = &c.m
    cdef idx spectrum = spectrum_bytes(p, b), terms = terms_of(p, b)
    c.pairs = ceil_div(b.rows * b.cols, 2)
    c.tile_rows, c.tile_cols = ceil_div(p.ho, b.tile_h), ceil_div(p.wo, b.tile_w)
    c.keeps = keeps(p, b)
    c.together = pairs_together(p, &c.b, c.pairs)
    c.filters = filters_together(p, &c.b, c.together)
    m.plane = round_up(2 * plane_size(p, b) * p.item)
    m.x = round_up(c.together * (terms if c.keeps else 1) * spectrum)
    m.y = round_up(c.together * c.filters * spectrum)
    m.w = round_up(spectrum)
    m.cells = round_up(b.lh // cell_rows(p, b) * b.lw * p.item)
    m.lines = round_up((4 * b.lw + p.base.lanes) * p.item)
    m.norms = round_up((p.cg + terms) * sizeof(double))
    m.indices = round_up((b.lh + b.lw) * sizeof(idx))
    m.all_ = m.plane + m.x + m.y + m.w + 6 * m.cells + m.lines + m.norms + m.indices


cdef void prepare_caller(const void *call, void *worker) noexcept nogil:
    cdef const Call *c = <const Call *>call
    cdef Caller *w = <Caller *>worker
    w.plane = w.thread.worker.memory
    w.x = w.plane + c.m.plane
    w.y = w.x + c.m.x
    w.w = w.y + c.m.y
    w.low = w.w + c.m.w
    w.high = w.low + 2 * c.m.cells
    w.sums = w.high + 2 * c.m.cells
    w.line = w.sums + 2 * c.m.cells
    w.norms = <double *>(w.line + c.m.lines)
    w.thread.row_index = <idx *>(<char *>w.norms + c.m.norms)
    w.thread.col_index = w.thread.row_index + c.b.lh
    # What lies between rows is read and written with them.
    memset(w.plane, 0, c.m.plane + c.m.x + c.m.y + c.m.w)


cdef void to_spectrum(const Call *c, Caller *w, char *into, idx columns) noexcept nogil:
    """The transform of the planes, of which so many columns are not 0."""
    cdef const Plan *p = &c.p
    cdef const Blocks *b = &c.b
    cdef idx plane = plane_size(p, b) * p.item, size = spectrum_size(p, b) * p.item, step = spectrum_step(p, b)
    cdef fc_fourier a
    columns = min(round_up(columns, p.base.lanes), b.lw)
    a.roots, a.back = c.roots, False
    a.re, a.im, a.step, a.n, a.columns = w.plane, w.plane + plane, plane_step(p, b), b.lh, columns
    p.k.fourier(&a)
    p.k.fourier_transpose(into, step, w.plane, a.step, b.lh, columns)
    p.k.fourier_transpose(into + size, step, w.plane + plane, a.step, b.lh, columns)
    memset(into + columns * step * p.item, 0, (b.lw - columns) * step * p.item)
    memset(into + size + columns * step * p.item, 0, (b.lw - columns) * step * p.item)
    a.re, a.im, a.step, a.n, a.columns = into, into + size, step, b.lw, b.lh
    p.k.fourier(&a)
    w.thread.worker.clock.work += <double>TRANSFORM_WORK * b.lh * b.lw


cdef void from_spectrum(const Call *c, Caller *w, char *y, idx columns) noexcept nogil:
    """The transform back into the planes, of which so many columns are wanted."""
    cdef const Plan *p = &c.p
    cdef const Blocks *b = &c.b
    cdef idx plane = plane_size(p, b) * p.item, size = spectrum_size(p, b) * p.item, step = spectrum_step(p, b)
    cdef fc_fourier a
    columns = min(round_up(columns, p.base.lanes), b.lw)
    a.roots, a.back = c.roots, True
    a.re, a.im, a.step, a.n, a.columns = y, y + size, step, b.lw, b.lh
    p.k.fourier(&a)
    a.re, a.im, a.step, a.n, a.columns = w.plane, w.plane + plane, plane_step(p, b), b.lh, columns
    p.k.fourier_transpose(w.plane, a.step, y, step, columns, b.lh)
    p.k.fourier_transpose(w.plane + plane, a.step, y + size, step, columns, b.lh)
    p.k.fourier(&a)
    w.thread.worker.clock.work += <double>TRANSFORM_WORK * b.lh * b.lw


# ---- filters ----

cdef void pack_taps(const Call *c, Caller *w, idx group, idx k, idx term) noexcept nogil:
    """The taps of one term of one filter, zeros around them."""
    cdef const Plan *p = &c.p
    cdef const Blocks *b = &c.b
    cdef idx part = term // p.cg, y = part // b.parts_w * b.th, x = part % b.parts_w * b.tw, i
    cdef fc_window a
    memset(w.plane, 0, c.m.plane)
    a.rows, a.cols = min(b.th, p.fh - y), min(b.tw, p.fw - x)
    a.dst, a.dst_row, a.dst_col, a.dst_channel = w.plane, p.dh * plane_step(p, b), p.dw, 1
    a.src = p.w + y * p.w_fh + x * p.w_fw + term % p.cg * p.w_c + (group * p.kg + k) * p.w_k
    a.src_row, a.src_col, a.src_channel = p.w_fh, p.w_fw, 0
    for i in range(a.rows):
        w.thread.row_index[i] = i
    w.thread.col_index[0] = 0
    a.row_index, a.col_index = w.thread.row_index, w.thread.col_index
    a.inside, a.inside_end, a.inside_gap, a.channels, a.repeat, a.kind, a.fill = 0, a.cols, 1, 1, 1, p.w_kind, 0
    p.k.window(&a)


cdef void filter_spectrum(const Call *c, Caller *w, idx term) noexcept nogil:
    """Into w.w, of the taps that are packed."""
    cdef const Plan *p = &c.p
    to_spectrum(c, w, w.w, (min(c.b.tw, p.fw - term // p.cg % c.b.parts_w * c.b.tw) - 1) * p.dw + 1)


cdef inline idx kept_at(const Call *c, idx group, idx k) noexcept nogil:
    """Where the first number of a filter is kept: for each few filters rows of frequencies, each of them of all terms."""
    cdef idx terms = terms_of(&c.p, &c.b), size = 2 * c.b.lh * c.b.lw
    return (group * c.p.kg + k // FILTERS * FILTERS) * terms * size + k % FILTERS * 2 * c.b.lh


cdef inline idx kept_together(const Call *c, idx k) noexcept nogil:
    """The filters of which one is k that are kept side by side."""
    return min(FILTERS, c.p.kg - k // FILTERS * FILTERS)


cdef void run_filters(const void *call, void *worker) noexcept nogil:
    """Bounds of a slice of the filters of a group, and their spectra, if those are kept."""
    cdef const Call *c = <const Call *>call
    cdef const Plan *p = &c.p
    cdef const Blocks *b = &c.b
    cdef Caller *w = <Caller *>worker
    cdef idx terms = terms_of(p, b), size = spectrum_size(p, b) * p.item, step = spectrum_step(p, b) * p.item
    cdef idx group, slice_, k, term, row
    cdef char *to
    cdef fc_fourier_bounds f
    f.channels, f.terms, f.sizes, f.norms = p.cg, terms, w.norms, w.norms + p.cg
    while w.thread.worker.first < w.thread.worker.last:
        group, slice_ = w.thread.worker.first // c.slices, w.thread.worker.first % c.slices
        f.least = c.bounds + w.thread.worker.first * bounds_size(p, b)
        f.most = f.least + p.cg
        f.peak = f.most + p.cg
        for k in range(p.kg * slice_ // c.slices, p.kg * (slice_ + 1) // c.slices):
            memset(w.norms, 0, (p.cg + terms) * sizeof(double))
            for term in range(terms):
                pack_taps(c, w, group, k, term)
                p.k.fourier_norms(w.plane, plane_step(p, b), b.lh, b.lw, f.norms + term, f.sizes + term % p.cg)
                if c.w != NULL:
                    filter_spectrum(c, w, term)
                    for row in range(b.lw):
                        to = c.w + (kept_at(c, group, k) + (row * terms + term) * kept_together(c, k) * 2 * b.lh) * p.item
                        memcpy(to, w.w + row * step, b.lh * p.item)
                        memcpy(to + b.lh * p.item, w.w + size + row * step, b.lh * p.item)
                if tick(&w.thread.worker.clock, <double>b.lh * b.lw):
                    return
            p.k.fourier_bounds(&f)
        w.thread.worker.first += 1


cdef object aligned_bytes(idx size):
    """Memory from a cache line on."""
    cdef object raw = np.empty(size + 64, np.uint8)
    cdef idx at = <idx>(-<size_t>cnp.PyArray_DATA(<cnp.ndarray>raw) % 64)
    return raw[at:at + size]


cdef object roots_of(idx item):
    """The roots of 1, each part rounded once: those of an eighth of the circle, and what symmetry makes of them."""
    cdef object eighth = np.exp(-2j * np.pi / FC_FOURIER_MOST * np.arange(FC_FOURIER_MOST // 8 + 1))
    cdef object quarter = np.concatenate([eighth, -1j * eighth[-2::-1].conj()])
    cdef object quarters = quarter[:-1] * np.array([[1], [-1j], [-1], [1j]])
    return quarters.ravel().view(np.float64).astype(np.float32 if item == 4 else np.float64)


_ROOTS = {4: roots_of(4), 8: roots_of(8)}


cdef Spectra transform_spectra(const Plan *p, const Blocks *b, workers):
    """What is known of filters: the bounds that the guard needs, and their spectra, unless those are too many."""
    cdef Spectra made = Spectra()
    cdef Call c
    cdef idx terms = terms_of(p, b), all_ = p.groups * p.kg * terms, cg = p.cg
    cdef int threads = team(workers, <double>TRANSFORM_WORK * b.lh * b.lw * all_)
    c.p, c.b, c.w = p[0], b[0], NULL
    c.roots = <const char *>cnp.PyArray_DATA(<cnp.ndarray>_ROOTS[p.item])
    plan_memory(&c)
    c.slices = min(p.kg, SLICES)
    if keeps_bank(p, b):
        made.owner = aligned_bytes(<idx>bank_bytes(p, b))
        c.w = <char *>cnp.PyArray_DATA(<cnp.ndarray>made.owner)
    slices = np.zeros((p.groups, c.slices, bounds_size(p, b)))
    slices[:, :, :cg] = 2.0**30
    c.bounds = <double *>cnp.PyArray_DATA(<cnp.ndarray>slices)
    run_team(&c, sizeof(Caller), c.m.all_, p.groups * c.slices, crew(threads, p.groups * c.slices), prepare_caller, run_filters)
    made.bounds_owner = np.concatenate([slices[:, :, :cg].min(1), slices[:, :, cg:].max(1)], axis=1)
    made.blocks, made.w, made.isa = b[0], c.w, selected()
    made.bounds = <double *>cnp.PyArray_DATA(<cnp.ndarray>made.bounds_owner)
    return made


# ---- blocks ----

cdef struct Spot:                # outputs of a block
    idx y, x, rows, cols


cdef inline Spot block_at(const Call *c, idx block) noexcept nogil:
    cdef Spot s
    s.y, s.x = block // c.b.cols * c.b.oh, block % c.b.cols * c.b.ow
    s.rows, s.cols = min(c.b.oh, c.p.ho - s.y), min(c.b.ow, c.p.wo - s.x)
    return s


cdef void pack_block(const Call *c, Caller *w, const char *x, Spot s, idx part, char *plane) noexcept nogil:
    """One channel of a block of inputs for a part of the filters, zeros around it."""
    cdef const Plan *p = &c.p
    cdef const Blocks *b = &c.b
    cdef idx py = part // b.parts_w * b.th, px = part % b.parts_w * b.tw, step = plane_step(p, b), row
    cdef idx rows = (s.rows - 1) * p.sh + (min(b.th, p.fh - py) - 1) * p.dh + 1
    cdef idx cols = (s.cols - 1) * p.sw + (min(b.tw, p.fw - px) - 1) * p.dw + 1
    cdef fc_window a
    a.rows = fill_index(w.thread.row_index, 0, rows, 1, 1, 1, True, p.top - s.y * p.sh - py * p.dh, p.height, p.mode)
    a.cols = cols
    a.dst, a.dst_row, a.dst_col, a.dst_channel = plane, step, 1, 1
    a.src, a.src_row, a.src_col, a.src_channel = x, p.x_row, p.x_col, 0
    a.row_index, a.col_index = w.thread.row_index, w.thread.col_index
    a.channels, a.repeat, a.kind, a.fill = 1, 1, p.x_kind, p.cval
    fill_run(&a, w.thread.col_index, s.x * p.sw + px * p.dw - p.left, 1, p.width, p.mode)
    p.k.window(&a)
    for row in range(rows):
        memset(plane + (row * step + cols) * p.item, 0, (b.lw - cols) * p.item)
    memset(plane + rows * step * p.item, 0, (b.lh - rows) * step * p.item)


cdef double windows(const Call *c, Caller *w, const char *cells, Spot s, idx part, char *sums) noexcept nogil:
    """Sums of the `cells` of each output's window, or without `sums` the largest of those that wrap around."""
    cdef const Plan *p = &c.p
    cdef const Blocks *b = &c.b
    cdef idx rows = cell_rows(p, b), taps = min(b.th, p.fh - part // b.parts_w * b.th)
    cdef fc_fourier_windows e
    e.src, e.line, e.sums, e.rows, e.columns = cells, w.line, sums, b.lh // rows, b.lw
    e.taps_across, e.step_across, e.step_down = min(b.tw, p.fw - part % b.parts_w * b.tw), p.dw, p.dh
    e.count_down, e.count_across = ceil_div((s.rows - 1) * p.sh, rows) + 1, (s.cols - 1) * p.sw + 1
    if rows == 1:
        e.taps_down = taps
    elif sums != NULL:
        e.taps_down = (taps + 1) // rows - 1     # as many cells are whole in every window
    else:
        e.taps_down = min((taps + rows - 2) // rows + 1, e.rows)   # no window has parts of more
    return p.k.fourier_windows(&e)


cdef void pack_pair(const Call *c, Caller *w, idx n, idx group, idx pair, idx term, char *into, double *most) noexcept nogil:
    """The spectrum of one term of a pair of blocks, and with `most` what the guard must know of it: squares go to w.norms."""
    cdef const Plan *p = &c.p
    cdef const Blocks *b = &c.b
    cdef const double *bounds = c.bounds + group * bounds_size(p, b)
    cdef idx channel = term % p.cg, part = term // p.cg, plane = plane_size(p, b) * p.item, i, cols = 0
    cdef const char *x = image(p, p.x, p.lead_x, n) + (group * p.cg + channel) * p.x_channel
    cdef double squares
    cdef fc_fourier_sizes a
    cdef Spot s
    if most != NULL:
        w.norms[term] = 0
        if channel == 0:
            memset(w.low, 0, (6 if term == 0 else 4) * c.m.cells)
    for i in range(2):
        if 2 * pair + i == b.rows * b.cols:
            memset(w.plane + plane, 0, plane)
            break
        s = block_at(c, 2 * pair + i)
        pack_block(c, w, x, s, part, w.plane + i * plane)
        cols = max(cols, (s.cols - 1) * p.sw + (min(b.tw, p.fw - part % b.parts_w * b.tw) - 1) * p.dw + 1)
        if most == NULL:
            continue
        a.src, a.step, a.rows, a.columns, a.cell = w.plane + i * plane, plane_step(p, b), b.lh, b.lw, cell_rows(p, b)
        a.low, a.high, a.squares = w.low + i * c.m.cells, w.high + i * c.m.cells, &squares
        a.least, a.most = bounds[channel], bounds[p.cg + channel]
        p.k.fourier_sizes(&a)
        w.norms[term] += squares
        if channel == p.cg - 1:
            windows(c, w, <char *>a.low, s, part, w.sums + i * c.m.cells)
            most[i] += windows(c, w, <char *>a.high, s, part, NULL)
    to_spectrum(c, w, into, cols)


cdef void multiply(const Call *c, Caller *w, idx group, idx k, idx filters, idx first, idx terms, const char *x, idx pairs,
                   bint add) noexcept nogil:
    """Adds products of `terms` terms, from the first on, of a few filters."""
    cdef const Plan *p = &c.p
    cdef const Blocks *b = &c.b
    cdef idx all_ = terms_of(p, b), i, j
    cdef fc_fourier_products a
    a.x, a.y = x, w.y
    a.x_step = a.y_step = spectrum_step(p, b)
    a.x_im = a.y_im = spectrum_size(p, b)
    a.x_channel = a.y_filter = 2 * a.x_im
    a.x_pair, a.y_pair = all_ * a.x_channel, c.filters * a.y_filter
    a.rows, a.columns, a.channels, a.pairs, a.filters, a.add = b.lw, b.lh, terms, pairs, <int>filters, add
    a.scale = 1.0 / (b.lh * b.lw)
    if c.w != NULL:
        a.w_im, a.w_filter, a.w_channel = b.lh, 2 * b.lh, kept_together(c, k) * 2 * b.lh
        a.w_step = all_ * a.w_channel
        a.w = c.w + (kept_at(c, group, k) + first * a.w_channel) * p.item
        p.k.fourier_products(&a)
        return
    a.w, a.w_step, a.w_im, a.w_channel, a.w_filter = w.w, a.x_step, a.x_im, 0, 0
    a.channels, a.filters = 1, 1
    for i in range(filters):
        a.y = w.y + i * a.y_filter * p.item
        for j in range(terms):
            pack_taps(c, w, group, k + i, first + j)
            filter_spectrum(c, w, first + j)
            a.x, a.add = x + j * a.x_channel * p.item, add or j > 0
            p.k.fourier_products(&a)
            if tick(&w.thread.worker.clock, <double>b.lh * b.lw):
                return


cdef void write_pair(const Call *c, Caller *w, idx n, idx pair, char *y, idx k) noexcept nogil:
    """The outputs of filter k, counted over all groups, of a pair of blocks."""
    cdef const Plan *p = &c.p
    cdef const Blocks *b = &c.b
    cdef char *out = <char *>image(p, p.out, p.lead_out, n) + k * p.out_k
    cdef idx plane = plane_size(p, b) * p.item, step = plane_step(p, b) * p.item, i, row, x
    cdef char *line
    cdef Spot s = block_at(c, 2 * pair)
    from_spectrum(c, w, y, b.lw if pair * 2 + 1 < b.rows * b.cols else (s.cols - 1) * p.sw + 1)
    for i in range(2):
        if 2 * pair + i == b.rows * b.cols:
            break
        s = block_at(c, 2 * pair + i)
        for row in range(s.rows):
            line = w.plane + i * plane + row * p.sh * step
            for x in range(1, s.cols if p.sw > 1 else 0):
                memcpy(line + x * p.item, line + x * p.sw * p.item, p.item)
            store(p, line, 1, 0, s.cols, 1, out + (s.y + row) * p.out_row + s.x * p.out_col, k)
            if tick(&w.thread.worker.clock, STORE_WORK * s.cols):   # results apart may each be on a page of their own
                return


cdef bint mark(const Call *c, Caller *w, idx group, idx pair, const double *most, unsigned char *bad) noexcept nogil:
    """Marks the tiles of a pair of blocks that are not benign; returns whether any is."""
    cdef const Plan *p = &c.p
    cdef const Blocks *b = &c.b
    cdef idx i, set_, terms = terms_of(p, b)
    cdef bint any_ = False
    cdef fc_fourier_least f
    cdef fc_fourier_mark a
    cdef Spot s
    f.squares, f.peak, f.terms, f.points = w.norms, c.bounds + group * bounds_size(p, b) + 2 * p.cg, terms, b.lh * b.lw
    f.additions = min(terms, CHAIN) + ceil_div(terms, CHAIN) if c.keeps and c.w != NULL else terms
    f.most, f.units = max(most[0], most[1]), c.units
    a.least = p.k.fourier_least(&f)
    a.columns, a.cell, a.row_stride, a.col_stride = b.lw, cell_rows(p, b), p.sh, p.sw
    a.tile_height, a.tile_width, a.tile_cols = b.tile_h, b.tile_w, c.tile_cols
    for i in range(min(2, b.rows * b.cols - 2 * pair)):
        s = block_at(c, 2 * pair + i)
        a.sums, a.rows, a.cols = w.sums + i * c.m.cells, s.rows, s.cols
        a.bad = bad + s.y // b.tile_h * c.tile_cols + s.x // b.tile_w
        set_ = p.k.fourier_mark(&a)
        any_ = any_ or set_ < ceil_div(s.rows, b.tile_h) * ceil_div(s.cols, b.tile_w)
    return any_


cdef void blocks_task(const Call *c, Caller *w, idx task) noexcept nogil:
    cdef const Plan *p = &c.p
    cdef const Blocks *b = &c.b
    cdef idx terms = terms_of(p, b), spectrum = spectrum_bytes(p, b), tasks = ceil_div(c.pairs, c.together)
    cdef idx first = task % tasks * c.together, pairs = min(c.together, c.pairs - first), n = task // tasks % p.images
    cdef idx group = task // tasks // p.images % p.groups, slab = task // tasks // p.images // p.groups
    cdef idx tiles = ceil_div(p.kg, FILTERS), k = tiles * slab // c.slabs * FILTERS
    cdef idx end = min(tiles * (slab + 1) // c.slabs * FILTERS, p.kg), filters, term, i, j, left
    cdef unsigned char *bad = c.bad + ((slab * p.groups + group) * p.images + n) * c.tile_rows * c.tile_cols
    cdef bint known = False
    cdef bint wanted[MOST_PAIRS]
    cdef double most[2]
    left = 0
    for i in range(pairs):
        wanted[i] = c.todo == NULL or c.todo[n * c.pairs + first + i]
        left += wanted[i]
    while k < end and left:
        filters = min(c.filters, end - k, FILTERS - k % FILTERS)
        for i in range(pairs if not c.keeps or not known else 0):
            if not wanted[i]:
                continue
            most[0] = most[1] = 0
            for term in range(terms):
                pack_pair(c, w, n, group, first + i, term, w.x + (i * terms + term if c.keeps else 0) * spectrum,
                          NULL if known else most)
                if not c.keeps:
                    multiply(c, w, group, k, filters, term, 1, w.x, 1, term > 0)
                if tick(&w.thread.worker.clock, <double>b.lh * b.lw * filters):
                    return
            if not known and not mark(c, w, group, first + i, most, bad):
                wanted[i] = False
                left -= 1
        known = True
        for i in range(ceil_div(terms, CHAIN) if c.keeps and left else 0):
            term = i * CHAIN
            multiply(c, w, group, k, filters, term, min(CHAIN, terms - term), w.x + term * spectrum, pairs, term > 0)
        for i in range(pairs):
            for j in range(filters if wanted[i] else 0):
                write_pair(c, w, n, first + i, w.y + (i * c.filters + j) * spectrum, group * p.kg + k + j)
        if tick(&w.thread.worker.clock, 4.0 * b.lh * b.lw * filters * terms * pairs):
            return
        k += filters


cdef void run_blocks(const void *call, void *worker) noexcept nogil:
    cdef Caller *w = <Caller *>worker
    while w.thread.worker.first < w.thread.worker.last and not w.thread.worker.clock.watch.stop:
        blocks_task(<const Call *>call, w, w.thread.worker.first)
        w.thread.worker.first += 1


cdef object compute_blocks(const Plan *p, Spectra spectra, object todo, double units, workers):
    """Fills `out`, or the pairs of blocks of (images, pairs) that are `todo`, but for tiles that are not benign: those are True
    in the array (images, tile rows, tile columns) returned. Errors are those of a roundoff `units` times ours."""
    cdef Call c
    cdef idx tasks
    cdef int threads = team(workers, cost_of(p, &spectra.blocks) * p.images)
    c.p, c.b, c.w, c.bounds, c.units = p[0], spectra.blocks, spectra.w, spectra.bounds, units
    c.p.way, c.p.split = TILE, 1
    c.roots = <const char *>cnp.PyArray_DATA(<cnp.ndarray>_ROOTS[p.item])
    c.todo = <const unsigned char *>cnp.PyArray_DATA(<cnp.ndarray>todo) if todo is not None else NULL
    plan_memory(&c)
    tasks = p.images * p.groups * ceil_div(c.pairs, c.together)
    c.slabs = min(ceil_div(threads, tasks), ceil_div(p.kg, FILTERS)) if tasks < threads else 1
    tasks *= c.slabs
    bad = np.zeros((c.slabs * p.groups, p.images, c.tile_rows, c.tile_cols), np.bool_)
    c.bad = <unsigned char *>cnp.PyArray_DATA(<cnp.ndarray>bad)
    run_team(&c, sizeof(Caller), c.m.all_, tasks, crew(threads, tasks), prepare_caller, run_blocks)
    return bad.any(0)


cdef object pairs_with_many(const Plan *p, const Blocks *b, cnp.ndarray bad):
    """Which pairs (images, pairs) have so many of the `bad` tiles that it pays to compute them once more, at twice the price;
    their tiles are set to False."""
    cdef idx tile_rows = cnp.PyArray_DIM(bad, 1), tile_cols = cnp.PyArray_DIM(bad, 2), n, y, x, block
    cdef idx pairs = ceil_div(b.rows * b.cols, 2)
    cdef double again = 2 * cost_of(p, b) / pairs, directly = <double>b.tile_h * b.tile_w * p.groups * p.kg * p.terms
    counts = np.zeros((p.images, pairs))
    cdef double[:, :] count = counts
    cdef unsigned char[:, :, :] flags = bad.view(np.uint8)
    for n in range(p.images):
        for y in range(tile_rows):
            for x in range(tile_cols):
                count[n, (y * b.tile_h // b.oh * b.cols + x * b.tile_w // b.ow) // 2] += flags[n, y, x]
    many = counts * directly > again
    cdef unsigned char[:, :] chosen = many.view(np.uint8)
    for n in range(p.images):
        for y in range(tile_rows):
            for x in range(tile_cols):
                if chosen[n, (y * b.tile_h // b.oh * b.cols + x * b.tile_w // b.ow) // 2]:
                    flags[n, y, x] = False
    return many
