"""Plans gradients with respect to filters: what lanes run along, the blocks of pixels and chains, the parts of the filters, the
spans of blocks. Blocks and chains follow from the shapes alone, so that the bits are fixed; the rest suits the caches and the
team and does not touch them. Next hop: gradients.pyx.
"""
from fastconv._drivers.base cimport FC_GROUP
from fastconv._drivers.common cimport ceil_div, idx, round_up
from fastconv._drivers.conv.plan cimport Plan, own_kind, plan_window
from fastconv._drivers.runtime cimport seam

# Of these the first changes the bits.
cdef idx PRODUCTS_CHAIN = 75            # pixels of a chain, at most
cdef idx PRODUCTS_SUMS = 1 << 20        # bytes of the sums of a task, at all levels,
cdef idx PRODUCTS_WINDOW = 256 << 10    # of the window of a block, and of its gradient
cdef idx PRODUCTS_SPANS = 2 << 20       # and of the sums of all spans
cdef idx PRODUCTS_STEP = 1 << 10        # bytes between pixels beyond which they are packed, lest few sets of the cache hold them
cdef idx PRODUCTS_ROWS = 384            # rows of the sums of a part from which those are cut, then its filters
cdef idx PRODUCTS_LINE = 512            # bytes of a pixel in a window from which those are an odd number of cache lines
cdef idx PRODUCTS_RUN = 24              # channels, if they are a part, from which tiles do not meet those of several taps
cdef idx PRODUCTS_COLUMNS = 256         # channels of a task of depthwise filters

seam("conv.PRODUCTS_CHAIN", &PRODUCTS_CHAIN)
seam("conv.PRODUCTS_SUMS", &PRODUCTS_SUMS)
seam("conv.PRODUCTS_WINDOW", &PRODUCTS_WINDOW)
seam("conv.PRODUCTS_SPANS", &PRODUCTS_SPANS)
seam("conv.PRODUCTS_STEP", &PRODUCTS_STEP)
seam("conv.PRODUCTS_ROWS", &PRODUCTS_ROWS)
seam("conv.PRODUCTS_LINE", &PRODUCTS_LINE)
seam("conv.PRODUCTS_RUN", &PRODUCTS_RUN)
seam("conv.PRODUCTS_COLUMNS", &PRODUCTS_COLUMNS)


cdef idx share(idx size, idx parts, idx part, idx unit) noexcept nogil:
    """Where a part begins of what is dealt out in equal units."""
    return min(ceil_div(size, unit) * part // parts * unit, size)


cdef idx spread(const Plan *p, idx elements) noexcept nogil:
    """The elements between pixels of so many: pixels a power of two apart would share few places in the first-level cache."""
    cdef idx line = 64 // p.item
    if elements >= PRODUCTS_RUN and elements * p.item >= PRODUCTS_LINE and elements % line == 0:
        return (elements // line | 1) * line
    return elements


cdef void window(const Gradient *s, Plan *p, idx channels) noexcept nogil:
    """The window of a block."""
    plan_window(p, s.rows, s.cols, spread(p, channels))


cdef Part part_of(const Gradient *s, idx part) noexcept nogil:
    cdef Part q
    cdef idx lanes = s.p.base.lanes, i
    q.p, q.g = s.p, s.g
    i, part = part % s.b_parts, part // s.b_parts
    q.b0, q.fw = share(s.p.fw, s.b_parts, i, 1), share(s.p.fw, s.b_parts, i + 1, 1)
    i, part = part % s.a_parts, part // s.a_parts
    q.a0, q.fh = share(s.p.fh, s.a_parts, i, 1), share(s.p.fh, s.a_parts, i + 1, 1)
    i, part = part % s.c_parts, part // s.c_parts
    q.c0, q.c = share(s.p.cg, s.c_parts, i, 1), share(s.p.cg, s.c_parts, i + 1, 1)
    i, part = part % s.k_parts, part // s.k_parts
    if s.lanes == CHANNELS:
        q.k0, q.k = i * s.k, min((i + 1) * s.k, s.p.groups * s.p.kg)
    else:
        q.k0, q.k = share(s.p.kg, s.k_parts, i, lanes), share(s.p.kg, s.k_parts, i + 1, lanes)
    q.group = part
    q.fh -= q.a0
    q.fw -= q.b0
    q.c -= q.c0
    q.k -= q.k0
    q.p.fh, q.p.fw = q.fh, q.fw
    q.p.top -= q.a0 * q.p.dh
    q.p.left -= q.b0 * q.p.dw
    if s.lanes == CHANNELS:
        q.p.x += q.k0 // s.p.kg * s.p.x_channel
        q.width = spread(&s.p, round_up(q.k, lanes))
    else:
        q.p.x += (q.group * s.p.cg + q.c0) * s.p.x_channel
        q.width = spread(&s.p, round_up(q.k, lanes)) if s.lanes == FILTERS else q.k
    q.g.x += (q.group * s.p.kg + q.k0) * s.g.x_channel
    if s.x_in_place:
        q.p.pixel_row, q.p.pixel_col, q.p.tap_row, q.p.tap_col = s.p.sh, s.p.sw, s.p.dh, s.p.dw
        q.p.row_step, q.p.col_step = s.p.x_row // s.p.item, s.p.x_col // s.p.item
        q.p.x -= q.p.top * s.p.x_row + q.p.left * s.p.x_col
    else:
        window(s, &q.p, q.k if s.lanes == CHANNELS else q.c)
    q.x_step = q.p.pixel_col * q.p.col_step
    q.y_step = s.g.x_col // s.p.item if s.g_in_place else q.width
    q.run, q.runs = q.c, q.fw
    # Tiles that meet several taps store those apart, if they have a part of the channels.
    if q.p.tap_col == 1 and q.p.col_step == q.c and (q.c == s.p.cg or s.c < PRODUCTS_RUN):
        q.run, q.runs = q.fw * q.c, 1
    return q


cdef double tile_steps(const Gradient *s, idx rows, idx columns) noexcept:
    """What a pixel costs where so many elements are broadcast and so many columns are lanes, in halves of cycles."""
    cdef idx vectors = ceil_div(columns, s.p.base.lanes), panels, tiles
    panels = ceil_div(vectors, s.p.base.vectors)
    vectors = ceil_div(vectors, panels)
    tiles = ceil_div(rows, s.p.base.rows[vectors])
    rows = ceil_div(rows, tiles)
    return <double>panels * tiles * max(rows * vectors, rows + vectors, 8)


cdef void plan_blocks(Gradient *s) noexcept:
    """Blocks of pixels, by the shapes of one image."""
    cdef idx most = PRODUCTS_CHAIN * FC_GROUP
    s.cols = ceil_div(s.p.wo, ceil_div(s.p.wo, most))
    s.col_blocks = ceil_div(s.p.wo, s.cols)
    s.rows = max(most // s.cols, 1)
    s.rows = ceil_div(s.p.ho, ceil_div(s.p.ho, s.rows))
    s.row_blocks = ceil_div(s.p.ho, s.rows)
    s.images = 1
    if s.row_blocks == 1 and s.col_blocks == 1:
        s.images = min(max(most // (s.rows * s.cols), 1), s.p.images)
    s.blocks = ceil_div(s.p.images, s.images) * s.row_blocks * s.col_blocks
    s.chains = 1 if s.images * s.rows * s.cols <= PRODUCTS_CHAIN else FC_GROUP


cdef idx levels_of(idx chains) noexcept:
    cdef idx levels = 1, group = FC_GROUP
    while chains > group:
        group *= FC_GROUP
        levels += 1
    return levels


cdef void measure(Gradient *s) noexcept:
    """The sizes of the largest part."""
    cdef idx lanes = s.p.base.lanes, fh = s.p.fh, fw = s.p.fw, columns
    s.fh, s.fw, s.c = ceil_div(fh, s.a_parts), ceil_div(fw, s.b_parts), ceil_div(s.p.cg, s.c_parts)
    s.p.fh, s.p.fw = s.fh, s.fw
    window(s, &s.p, s.k if s.lanes == CHANNELS else s.c)
    s.p.fh, s.p.fw = fh, fw
    if s.lanes == RUNS:   # lanes are filled up at the end of every run
        columns = s.fw * round_up(s.c, lanes) if s.p.dw > 1 or s.x_in_place else round_up(s.fw * s.c, lanes)
        s.sums = s.fh * columns * s.k
    else:
        s.sums = s.fh * s.fw * (1 if s.lanes == CHANNELS else s.c) * round_up(s.k, lanes)
    s.sums = round_up(s.sums, lanes)
    s.parts = s.a_parts * s.b_parts * s.c_parts * s.k_parts * (1 if s.lanes == CHANNELS else s.groups)


cdef void cut_filters(Gradient *s) noexcept:
    """Twice as many parts, or as many as there are full panels."""
    cdef idx vectors = ceil_div(s.p.kg, s.p.base.lanes), each = ceil_div(vectors, s.k_parts)
    s.k_parts = ceil_div(vectors, max(each // 2, s.p.base.vectors))
    s.k = min(ceil_div(vectors, s.k_parts) * s.p.base.lanes, s.p.kg)


cdef bint cut(Gradient *s) noexcept:
    """Cuts parts that do not stay in the caches; returns whether they may still be too large."""
    cdef idx lanes = s.p.base.lanes, item = s.p.item
    cdef bint wide = not s.x_in_place and s.images * s.p.window_size * item > PRODUCTS_WINDOW
    cdef bint cuts_filters = s.lanes == FILTERS and ceil_div(s.k, lanes) > s.p.base.vectors
    if cuts_filters and not s.g_in_place and s.images * s.rows * s.cols * s.k * item > PRODUCTS_WINDOW:
        cut_filters(s)
        return True
    if not wide and s.levels * s.sums * item <= PRODUCTS_SUMS:
        return False
    if not wide and cuts_filters and s.fh * s.fw * s.c <= PRODUCTS_ROWS:
        cut_filters(s)
    elif s.fh > 1:
        s.a_parts = ceil_div(s.p.fh, s.fh // 2)
    elif s.c > 1 and s.lanes != CHANNELS and (s.c >= lanes or s.fw == 1):
        s.c_parts = ceil_div(s.p.cg, s.c // 2)
    elif s.fw > 1:
        s.b_parts = ceil_div(s.p.fw, s.fw // 2)
    else:
        return False
    return True


cdef void plan_parts(Gradient *s, int threads) noexcept:
    """Cuts the filters until the sums of a part and the window of a block stay in the caches, and each thread has its part."""
    cdef idx lanes = s.p.base.lanes, run = s.p.fw * s.p.cg if s.p.dw == 1 else s.p.cg, span
    s.lanes, s.groups = FILTERS, s.p.groups
    s.a_parts = s.b_parts = s.c_parts = 1
    if s.p.cg == 1 and s.p.groups > 1 and 2 * s.p.groups * s.p.kg >= lanes:
        s.lanes = CHANNELS
        s.k = max(min(PRODUCTS_COLUMNS, s.p.groups * s.p.kg) // s.p.kg, 1) * s.p.kg
        s.k_parts = ceil_div(s.p.groups * s.p.kg, s.k)
    else:
        # What is stored across the filters' rows must be worth it.
        if 5 * tile_steps(s, s.p.kg, run) < 4 * tile_steps(s, run, s.p.kg):
            s.lanes = RUNS
        s.k_parts, s.k = 1, s.p.kg
        if s.lanes == RUNS:
            s.k_parts = ceil_div(ceil_div(s.p.kg, lanes), s.p.base.vectors)
            s.k = min(ceil_div(ceil_div(s.p.kg, lanes), s.k_parts) * lanes, s.p.kg)
    s.levels = levels_of(s.blocks * s.chains)
    plan_in_place(s)
    measure(s)
    while cut(s):
        plan_in_place(s)
        measure(s)
    # Work for each thread: channels of images, spans of blocks or rows of filters.
    while s.parts % threads and s.parts < 4 * threads and s.lanes != CHANNELS and s.c >= 2 * 12:
        s.c_parts += 1
        plan_in_place(s)
        measure(s)
    s.span = s.blocks
    if s.parts % threads and s.parts < 4 * threads:
        span = 1
        while (ceil_div(s.blocks, span) > 8 * threads
               or ceil_div(s.blocks, span) * s.parts * s.sums * s.p.item > PRODUCTS_SPANS) and span < s.blocks:
            span *= FC_GROUP
        s.span = min(span, s.blocks)
    s.spans = ceil_div(s.blocks, s.span)
    s.levels = levels_of(s.span * s.chains)


cdef bint readable(const Plan *p) noexcept:
    """Whether kernels can read an array of images, channel by channel, where it is."""
    cdef int i
    if (p.x_kind != own_kind(p) or p.x_channel != p.item or <size_t>p.x % p.item or p.x_row % p.item or p.x_col % p.item
            or p.x_col > PRODUCTS_STEP or p.x_col < -PRODUCTS_STEP):
        return False
    for i in range(p.lead):
        if p.lead_x[i] % p.item:
            return False
    return True


cdef void plan_in_place(Gradient *s) noexcept:
    """Which operands are read where they are: no vector may reach beyond their pixels."""
    cdef Plan *p = &s.p
    cdef idx lanes = p.base.lanes
    cdef bint inside = (p.top <= 0 and p.left <= 0 and (p.ho - 1) * p.sh + (p.fh - 1) * p.dh - p.top < p.height
                        and (p.wo - 1) * p.sw + (p.fw - 1) * p.dw - p.left < p.width)
    s.x_in_place = inside and readable(p)
    s.g_in_place = readable(&s.g)
    if s.lanes == CHANNELS:
        s.x_in_place = s.x_in_place and p.kg == 1 and (p.groups % s.k) % lanes == 0 and s.k % lanes == 0
        s.g_in_place = s.g_in_place and (p.groups * p.kg % s.k) % lanes == 0 and s.k % lanes == 0
    elif s.lanes == RUNS:
        s.x_in_place = s.x_in_place and p.cg % lanes == 0 and s.c_parts == 1
    else:
        s.g_in_place = s.g_in_place and p.kg % lanes == 0


cdef void plan_writing(Gradient *s) noexcept:
    """Whether sums go from registers to the filters: whole vectors, and rows of a tile equally far apart."""
    cdef Plan *p = &s.p
    s.direct = (s.spans == 1 and s.lanes != RUNS and p.out_kind == own_kind(p) and p.w_k == p.item and <size_t>p.out % p.item == 0
                and p.w_c % p.item == 0 and p.w_fw % p.item == 0 and p.w_fh % p.item == 0)
    if s.lanes == FILTERS:
        s.direct = s.direct and p.kg % p.base.lanes == 0 and (s.c >= PRODUCTS_RUN or s.c_parts == 1 and p.w_fw == p.cg * p.w_c)
    else:
        s.direct = s.direct and p.groups * p.kg % s.k % p.base.lanes == 0 and s.k % p.base.lanes == 0


cdef void plan_gradient(Gradient *s, int threads) noexcept:
    plan_blocks(s)
    plan_parts(s, threads)
    plan_writing(s)
