"""Plans conv2d: which of three ways, the chains of the sum, the blocks and tasks, and where the kernels find their inputs.

The way and the chains follow from the shapes of one image alone, never from batch, layout or threads, so that the bits
are fixed; chunks, blocks and tasks do not touch the bits and suit the caches and the team. Next hop: run.pyx.
"""
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree

cimport numpy as cnp

from fastconv._drivers.base cimport FC_BLOCKS, FC_F32, FC_F64, FC_GROUP, FC_REALS, fc_piece
from fastconv._drivers.common cimport ceil_div, idx, round_up
from fastconv._drivers.conv.table cimport FC_CHANNEL_PIXELS, FC_CHANNEL_ROWS, FC_PLANAR_VECTORS, fc_chain_rows, fc_plane_chains
from fastconv._drivers.runtime cimport seam

cnp.import_array()

# Constants at which plans change; any positive value gives right results.
cdef idx CHAIN = 64                     # terms of a chain of the tile: shorter, its sums would leave the registers too often
cdef idx FEW_CHAIN = 27                 # likewise of few filters, often blurs of flat images, whose errors have one sign
cdef idx FEW_FILTERS = 16               # what few filters are
cdef idx BLOCK_PIXELS = 32              # pixels whose inputs, sums and one chunk of filters share the first-level cache
cdef idx SPLIT_PIXELS = 120             # likewise where lanes share terms, so that filters are few
cdef idx CHUNK_BYTES = 48 << 10         # filters of one chunk, which stay near the first-level cache beside inputs and sums
cdef idx SLAB_BYTES = 768 << 10         # packed filters that stay in the second-level cache beside the inputs
cdef idx WINDOW_BYTES = 256 << 10       # likewise a packed window
cdef idx TERMS_BYTES = 512 << 10        # the window of one tile from which its terms are gathered instead, range by range
cdef idx OPEN_BYTES = 512 << 10         # sums kept open while filters stream
cdef idx RANGE_PIXELS = 1024            # pixels kept open while a long sum goes through several ranges of filters
cdef idx STREAM_PIXELS = 256            # images so small that each filter is used little more often than it is read
cdef idx CHANNEL_BLOCK = 256            # channels of a depthwise task, at most
cdef idx CHANNEL_BYTES = 1 << 20        # its filters, unless those of one vector of channels are more
cdef idx CHANNEL_PIXELS = 16            # of each of its rows, whose results wait to be stored
cdef idx PIECE = 16                     # terms of a piece while filters stream, between which what comes next is prefetched
cdef idx STREAM_PANELS = 8              # panels whose filters stream together
cdef idx PLANES_BYTES = 2 << 20         # a window beyond which blocks are narrower than planes like
cdef idx LEAST_BYTES = 3 << 20          # the least window and filters of a thread beyond which the way is TILE
cdef idx PLANE_BYTES = 3 << 20          # window and filter of a plane beyond which they come in ranges of filter rows
cdef idx PLANE_COLUMNS = 512            # whose sums stay open for so many columns
cdef idx ROW_COLUMNS = 8192             # columns of a block that is read in place
cdef idx ROW_BYTES = 1 << 20            # and inputs of its rows

seam("conv.CHAIN", &CHAIN)
seam("conv.FEW_CHAIN", &FEW_CHAIN)
seam("conv.FEW_FILTERS", &FEW_FILTERS)
seam("conv.BLOCK_PIXELS", &BLOCK_PIXELS)
seam("conv.SPLIT_PIXELS", &SPLIT_PIXELS)
seam("conv.CHUNK_BYTES", &CHUNK_BYTES)
seam("conv.SLAB_BYTES", &SLAB_BYTES)
seam("conv.WINDOW_BYTES", &WINDOW_BYTES)
seam("conv.TERMS_BYTES", &TERMS_BYTES)
seam("conv.OPEN_BYTES", &OPEN_BYTES)
seam("conv.RANGE_PIXELS", &RANGE_PIXELS)
seam("conv.STREAM_PIXELS", &STREAM_PIXELS)
seam("conv.CHANNEL_BLOCK", &CHANNEL_BLOCK)
seam("conv.CHANNEL_BYTES", &CHANNEL_BYTES)
seam("conv.CHANNEL_PIXELS", &CHANNEL_PIXELS)
seam("conv.PIECE", &PIECE)
seam("conv.STREAM_PANELS", &STREAM_PANELS)
seam("conv.PLANES_BYTES", &PLANES_BYTES)
seam("conv.LEAST_BYTES", &LEAST_BYTES)
seam("conv.PLANE_BYTES", &PLANE_BYTES)
seam("conv.PLANE_COLUMNS", &PLANE_COLUMNS)
seam("conv.ROW_COLUMNS", &ROW_COLUMNS)
seam("conv.ROW_BYTES", &ROW_BYTES)


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


cdef idx tap_offset(const Plan *p, idx fh, idx fw) noexcept nogil:
    cdef idx col = fw * p.tap_col
    if p.way == PLANES and not p.in_place:
        return fh * p.tap_row * p.row_step + col % p.pixel_col * p.col_step + col // p.pixel_col
    return fh * p.tap_row * p.row_step + col * p.col_step


cdef inline idx run_terms(const Plan *p) noexcept nogil:
    """Terms whose inputs lie side by side when pixels do."""
    return p.fw * p.cg if p.groups == 1 and p.dw == 1 else p.cg


cdef void plan_chains(Plan *p) noexcept:
    """Cuts the sum into equal chains, alike on all instruction sets but where lanes share terms: there a chain is counted in
    steps of `split` terms, and shorter by the additions of lanes that end the sum."""
    cdef bint few = p.way != TILE or p.kg <= FEW_FILTERS
    cdef idx most = FEW_CHAIN if few else CHAIN, steps, group = FC_GROUP
    if p.transposed:  # the chains of plane_rows
        p.plane = False
        p.chain = fc_chain_rows(p.fh) * p.fh
    elif p.split > 1:
        most = max(most - p.split // 2, 1)
        steps = ceil_div(run_terms(p), p.split)
        p.chain = most // steps * run_terms(p)
        if steps > most:
            # A chain that begins inside a run and ends in the next takes a step more for its two parts.
            p.chain = round_up(ceil_div(run_terms(p), ceil_div(steps, max(most - 1, 1))), p.split)
    else:
        p.chain = max(ceil_div(p.terms, max(ceil_div(p.terms, most), 1)), 1)
        if not few:
            p.chain = round_up(p.chain, 4)   # whole steps of the unrolled tile
    p.chains = max(ceil_div(p.terms, p.chain), 1)
    if p.plane:
        p.chains = fc_plane_chains(p.fh, p.fw)
    p.levels = 1
    while p.chains > group:
        group *= FC_GROUP
        p.levels += 1


cdef idx closed_levels(idx chains) noexcept:
    """Levels that hold nothing after any multiple of so many chains."""
    cdef idx levels = 0
    while chains % FC_GROUP == 0:
        chains //= FC_GROUP
        levels += 1
    return levels


cdef void plan_chunks(Plan *p) noexcept:
    """Chunks of chains, whose filters share the first-level cache with inputs and sums: whole groups, after which levels are
    empty, so that tiles share the place for these levels."""
    cdef idx width = min(p.base.vectors, ceil_div(p.kg, p.base.lanes)) * p.base.lanes
    cdef idx most = max(CHUNK_BYTES // (width * p.item * p.chain // p.split), 1)
    cdef idx group = 1
    while group * FC_GROUP <= most:
        group *= FC_GROUP
    p.chunk = min(most // group * group, p.chains) * p.chain
    p.chunks = ceil_div(p.chains, p.chunk // p.chain)
    p.tile_levels = closed_levels(p.chunk // p.chain) if p.chunks > 1 else p.levels


cdef int plan_inputs(Plan *p) except -1:
    """Lists where each chunk finds its inputs."""
    cdef idx i, chunk, tap, length, c, end, at, count = 0
    if p.way != TILE:
        # Of a plane the kernels know the steps.
        count = min(p.terms, 2) if p.plane else p.terms
        p.taps = <idx *>PyMem_RawCalloc(max(count, 1), sizeof(idx))
        if p.taps == NULL:
            raise MemoryError()
        for i in range(count):
            tap, c = i // p.cg, i % p.cg
            if p.transposed:
                p.taps[i] = tap_offset(p, tap % p.fh, tap // p.fh)
            else:
                p.taps[i] = tap_offset(p, tap // p.fw, tap % p.fw) + c * p.plane_step
        return 0
    p.piece_start = <idx *>PyMem_RawCalloc(p.chunks + 1, sizeof(idx))
    # Every tap and every chain starts at most one piece, beside whole pieces.
    p.pieces = <fc_piece *>PyMem_RawCalloc(p.fh * p.fw + p.chains + p.terms // PIECE + 1, sizeof(fc_piece))
    p.panel_rows = <idx *>PyMem_RawCalloc(p.chunks, sizeof(idx))
    if p.piece_start == NULL or p.pieces == NULL or p.panel_rows == NULL:
        raise MemoryError()
    for chunk in range(p.chunks):
        p.piece_start[chunk] = count
        i = chunk * p.chunk
        end = min(i + p.chunk, p.terms)
        while i < end:
            c = i % p.cg
            at = i % (p.per_range * p.chunk) if p.gathers else tap_offset(p, i // p.cg // p.fw, i // p.cg % p.fw) + c
            if p.split > 1:
                length = run_terms(p) - i % run_terms(p)
            else:
                length = p.cg - c
                if p.ranges > 1:
                    length = min(length, PIECE)
            length = min(length, p.chain - i % p.chain, p.terms - i)
            p.panel_rows[chunk] += ceil_div(length, p.split)
            if (p.split == 1 and count > p.piece_start[chunk] and not p.pieces[count - 1].ends
                    and p.pieces[count - 1].offset + p.pieces[count - 1].length == at
                    and (p.ranges == 1 or p.pieces[count - 1].length + length <= PIECE)):
                p.pieces[count - 1].length += length
            else:
                p.pieces[count].offset = at
                p.pieces[count].length = length
                count += 1
            i += length
            p.pieces[count - 1].ends = i % p.chain == 0 or i == p.terms
    if p.terms == 0:
        p.pieces[0].ends = True   # a chain without terms: 0
        count = 1
    p.piece_start[p.chunks] = count
    return 0


cdef int own_kind(const Plan *p) noexcept nogil:
    """The kind of the elements that kernels compute with."""
    return p.integers if p.integers else FC_F32 if p.item == 4 else FC_F64


cdef bint readable(const Plan *p, cnp.ndarray x) noexcept:
    """Whether a kernel can read x where it is."""
    cdef int i
    if p.x_kind != own_kind(p) or p.x_pairs or not cnp.PyArray_ISALIGNED(x):
        return False
    for i in range(x.ndim):
        if cnp.PyArray_STRIDE(x, i) % p.item and cnp.PyArray_DIM(x, i) > 1:
            return False
    # No padding: the last output's last tap must be a pixel.
    return (p.top <= 0 and p.left <= 0 and (p.ho - 1) * p.sh + (p.fh - 1) * p.dh - p.top < p.height
            and (p.wo - 1) * p.sw + (p.fw - 1) * p.dw - p.left < p.width)


cdef void plan_window(Plan *p, idx rows, idx cols, idx channels) noexcept nogil:
    """Steps of a window of rows x cols outputs, `channels` elements a pixel."""
    cdef idx window_cols = window_steps(cols, p.sw, p.fw, p.dw, &p.pixel_col, &p.tap_col)
    cdef idx window_rows = window_steps(rows, p.sh, p.fh, p.dh, &p.pixel_row, &p.tap_row)
    p.index_rows, p.index_cols = window_rows, window_cols
    if p.way == PLANES:
        # Whole vectors for every phase of the column step; planar_taps may read as many vectors beyond as it has at once.
        p.col_step = round_up(ceil_div(window_cols, p.pixel_col), p.base.lanes) + p.base.lanes
        p.row_step = p.pixel_col * p.col_step
        p.plane_step = window_rows * p.row_step
        p.window_size = p.plane_step * channels + FC_PLANAR_VECTORS * p.base.lanes
    else:
        p.col_step = channels
        p.row_step = window_cols * channels
        p.window_size = window_rows * p.row_step


cdef void plan_terms(Plan *p) noexcept:
    """The window of a block holds the terms of one range for each output, as the panel of an im2col does."""
    p.gathers = True
    p.ranges = 0
    p.per_range = max(min(p.per_range, WINDOW_BYTES // (2 * p.block_rows * p.block_cols * p.item * p.chunk)), 1)
    p.pixel_row = p.pixel_col = 1
    p.col_step = p.per_range * p.chunk
    p.row_step = p.block_cols * p.col_step
    p.window_size = p.block_rows * p.row_step
    p.index_rows, p.index_cols = p.block_rows, p.block_cols


cdef void plan_tile_window(Plan *p, idx tile) noexcept:
    """Narrows tasks and blocks, down to one tile, until their window stays in the cache; or gathers terms."""
    cdef idx block_rows = p.block_rows, block_cols = p.block_cols, rows = min(p.ho, max(RANGE_PIXELS // block_cols, block_rows))
    cdef idx per_range = max(SLAB_BYTES // (p.panel_width * p.item * p.chunk), 1)
    if p.ranges:
        p.task_rows = min(p.ho, max(4 * p.block_rows, 8))
    plan_window(p, p.task_rows, p.block_cols, p.cg)
    while p.window_size * p.item > WINDOW_BYTES and p.task_rows > p.block_rows:
        p.task_rows = max(p.task_rows // 2, p.block_rows)
        plan_window(p, p.task_rows, p.block_cols, p.cg)
    while p.window_size * p.item > WINDOW_BYTES and (p.block_rows > 1 or p.block_cols > tile):
        if p.block_rows > 1:
            p.block_rows //= 2
        else:
            p.block_cols = round_up(ceil_div(p.block_cols, 2), tile)
        p.task_rows = p.block_rows
        plan_window(p, p.task_rows, p.block_cols, p.cg)
    # Gathering packs an input for each of its taps, but filters that stream only once for the pixels of a large task.
    cdef idx pixels = p.task_rows * p.block_cols
    if p.window_size * p.item > TERMS_BYTES or p.ranges == 0 and pixels < min(2 * tile, rows * block_cols):
        p.block_rows, p.block_cols, p.task_rows, p.per_range = block_rows, block_cols, rows, per_range
        plan_terms(p)


cdef void plan_tiles(Plan *p, int threads) noexcept:
    cdef idx lanes = p.base.lanes, rows, limit, image_bytes, filter_bytes, open_, tasks
    p.panel_width = lanes if p.split > 1 else p.base.vectors * lanes
    p.panels = ceil_div(p.kg, p.panel_width)
    rows = p.base.rows[min(p.base.vectors, ceil_div(p.kg, lanes))]
    p.per_range = max(SLAB_BYTES // (p.panel_width * p.item * p.chunk), 1)
    p.ranges = 1
    limit = BLOCK_PIXELS if p.split == 1 else SPLIT_PIXELS
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
        plan_tile_window(p, rows)
    # Slabs of panels: as many as the cache holds, but each thread its own where filters outweigh the image.
    filter_bytes = p.terms * p.panel_width * p.item
    p.slab = min(p.panels, max(SLAB_BYTES // max(filter_bytes, 1), 1))
    if p.ranges != 1:  # sums of all pixels and panels stay open; filters are read in as long rows as those allow
        open_ = p.levels - min(closed_levels(p.per_range * p.chunk // p.chain), p.levels - 1)
        p.slab = min(OPEN_BYTES // (open_ * p.task_rows * p.block_cols), SLAB_BYTES // (p.per_range * p.chunk))
        p.slab //= p.panel_width * p.item
        p.slab = min(ceil_div(p.panels, threads), STREAM_PANELS, max(p.slab, 1))
        tasks = p.images * p.groups * ceil_div(p.ho, p.task_rows) * ceil_div(p.wo, p.block_cols)
        if tasks < threads:  # as much for each thread: the fewest slabs of which no thread has more
            p.slab = ceil_div(p.panels, round_up(ceil_div(p.panels, p.slab), threads))
    image_bytes = p.height * p.width * p.cg * p.item
    if p.panels >= threads and filter_bytes * p.panels > min(image_bytes, SLAB_BYTES // 4):
        p.slab = min(p.slab, ceil_div(p.panels, threads))


cdef void plan_rows(Plan *p, int threads) noexcept:
    """Blocks of PLANES and DEPTHWISE: rows whose window stays in the second-level cache, enough of them for the team."""
    cdef idx channels = p.cg if p.way == PLANES else parts(p) * min(p.panel_width, round_up(p.groups * p.kg, p.base.lanes))
    cdef idx group = p.k.row_group if p.way == PLANES else 1
    p.block_cols = p.wo
    p.task_rows = min(p.ho, max(round_up(ceil_div(p.ho, 4 * threads), group), group))
    if p.images >= 4 * threads:
        p.task_rows = p.ho
    if not p.in_place:
        plan_window(p, p.task_rows, p.block_cols, channels)
        while p.window_size * p.item > WINDOW_BYTES and (p.task_rows > group or p.block_cols > 8 * p.base.lanes):
            if p.task_rows > group:
                p.task_rows = max(round_up(p.task_rows // 2, group), group)
            else:
                p.block_cols = max(p.block_cols // 2, 8 * p.base.lanes)
            plan_window(p, p.task_rows, p.block_cols, channels)
        while p.window_size * p.item > PLANES_BYTES and (p.block_cols > 2 * p.base.lanes or p.task_rows > 1 and not p.plane):
            if p.block_cols > 2 * p.base.lanes:
                p.block_cols = max(p.block_cols // 2, 2 * p.base.lanes)
            else:
                p.task_rows //= 2
            plan_window(p, p.task_rows, p.block_cols, channels)
    elif p.way == DEPTHWISE or p.wo > ROW_COLUMNS:
        p.block_cols = min(p.wo, ROW_COLUMNS)
        p.task_rows = min(p.task_rows, max(round_up(ROW_BYTES // max(p.block_cols * channels * p.item, 1), group), group))
    if p.way == PLANES and (p.in_place or p.direct):
        p.block_cols = block_of_vectors(p.wo, p.block_cols, p.base.lanes)
        if not p.in_place:
            plan_window(p, p.task_rows, p.block_cols, channels)
    p.block_rows = p.task_rows


cdef void plan_plane_range(Plan *p, idx filter_rows) noexcept:
    """The window of a task of a plane for so many rows of the filter."""
    cdef idx fh = p.fh
    p.per_range = filter_rows
    if not p.in_place:
        p.fh = filter_rows
        plan_window(p, p.task_rows, p.block_cols, 1)
        p.fh = fh


cdef void plan_ranges(Plan *p) noexcept:
    """Blocks of a plane whose filter comes in ranges of rows: one group of rows, whose sums stay open for all columns."""
    cdef idx step = fc_chain_rows(p.fw), rows = round_up(p.fh, step), most = p.k.row_vectors * p.base.lanes
    p.task_rows = p.block_rows = min(p.ho, p.k.row_group)
    p.block_cols = min(p.wo, max(PLANE_COLUMNS, 2 * p.base.lanes))
    if p.in_place or p.direct:
        p.block_cols = block_of_vectors(p.wo, p.block_cols, p.base.lanes)
    plan_plane_range(p, rows)
    while (p.window_size + p.per_range * p.fw) * p.item > WINDOW_BYTES and rows > step:
        rows = round_up(rows // 2, step)
        plan_plane_range(p, rows)
    p.per_range = min(rows, p.fh)
    p.ranges = ceil_div(p.fh, p.per_range)
    p.places = ceil_div(p.block_cols, most) + p.k.row_vectors


cdef idx block_of_vectors(idx columns, idx block, idx lanes) noexcept:
    """The least block of at least `block` columns that leaves no last block narrower than a vector, which would be stored
    beyond its own columns."""
    block = max(block, lanes)
    while 0 < columns % block < lanes:
        block += lanes
    return min(block, columns)


cdef inline idx parts(const Plan *p) noexcept nogil:
    """Of what an input of a depthwise convolution consists: parts of complex ones lie in two blocks of channels."""
    return 2 if p.form == FC_BLOCKS else 1


cdef idx channel_width(const Plan *p) noexcept:
    """Filters of a depthwise task: whole vectors, or all the filters of each channel."""
    cdef idx lanes = p.base.lanes
    cdef idx block = max(min(CHANNEL_BYTES // (p.terms * p.item), CHANNEL_BLOCK) // lanes * lanes, lanes)
    return min(max(block // p.kg, 1) * p.kg, p.groups * p.kg)


cdef bint fits(Plan *p) noexcept:
    """Whether the filters of a task of rows and its narrowest window are few enough, whatever the layout."""
    cdef idx cols = min(p.wo, 2 * p.base.lanes), filters, fh = p.fh
    if p.ranged:
        p.fh = min(fc_chain_rows(p.fw), p.fh)
        plan_window(p, p.k.row_group, cols, 1)
        filters = p.fh * p.fw
        p.fh = fh
    elif p.way == DEPTHWISE:
        plan_window(p, 1, cols, parts(p) * channel_width(p))
        filters = p.terms * round_up(channel_width(p), p.base.lanes)
    else:
        plan_window(p, p.k.row_group if p.plane else 1, cols, p.cg)
        filters = p.terms * min(p.kg, p.k.outputs)
    return (p.window_size + filters) * p.item <= LEAST_BYTES


cdef void choose(Plan *p) noexcept:
    """The way of a whole call, which its parts keep."""
    cdef idx lanes = p.base.lanes
    p.way, p.split = TILE, 1
    if p.terms == 0:
        return
    if p.cg == parts(p) and p.groups > 1 and p.groups * p.kg >= lanes and p.kg <= CHANNEL_BLOCK:
        p.way = DEPTHWISE
        if fits(p):
            return
        p.way = TILE
    # One or two filters fill vectors better along x, many along themselves. What is left of a run costs more than a step,
    # which only narrow images make up for.
    if p.kg > 2:
        while 2 * p.split <= p.k.split and 2 * p.split * p.kg <= lanes and run_terms(p) > p.split:
            p.split *= 2
        if run_terms(p) % p.split and p.wo > 2 * lanes:
            p.split = 1
    # Lanes in use: along x at about 0.7 of the tile's rate, along channels whole vectors only.
    if p.split == 1 and 7 * p.wo * round_up(p.kg, lanes) > 10 * p.kg * round_up(p.wo, lanes):
        p.way = PLANES
        p.plane = p.cg == 1 and p.kg == 1 and p.sh == 1 and p.sw == 1 and p.dh == 1
        if p.plane:
            plan_window(p, p.k.row_group, min(p.wo, 2 * lanes), 1)
            p.ranged = (p.window_size + p.terms) * p.item > PLANE_BYTES
        # The sums of few filters are the same in both ways: where planes are read in place, there is no window.
        if (p.plane or p.kg > FEW_FILTERS) and not fits(p):
            p.way, p.plane, p.ranged = TILE, False, False


cdef inline bint planes_in_place(const Plan *p) noexcept:
    """Whether planes of an array that kernels can read lie as these kernels want them."""
    return p.sw == 1 and p.x_col == p.item and p.wo >= p.base.lanes


cdef void plan_reading(Plan *p, cnp.ndarray x) noexcept:
    """Whether kernels read the input where it is, and its steps then."""
    cdef idx rest
    p.in_place = readable(p, x)
    if p.way == TILE:
        # Without terms nothing is read, nor packed.
        p.in_place = p.terms == 0 or (p.in_place and (p.x_channel == p.item or p.cg <= 1)
                                      and (p.split == 1 or run_terms(p) == p.cg or p.x_col == p.cg * p.item))
    elif p.way == PLANES:
        p.in_place = p.in_place and planes_in_place(p)
    else:
        rest = p.groups % (p.panel_width // p.kg)
        p.in_place = p.in_place and p.kg == 1 and p.x_channel == p.item and (rest == 0 or rest >= p.base.lanes)
    if p.in_place:
        p.pixel_row, p.pixel_col, p.tap_row, p.tap_col = p.sh, p.sw, p.dh, p.dw
        p.row_step, p.col_step = p.x_row // p.item, p.x_col // p.item
        p.x -= p.top * p.x_row + p.left * p.x_col
        if p.way == PLANES:
            p.plane_step = p.x_channel // p.item
            p.pixel_col = 1


cdef void plan_writing(Plan *p) noexcept:
    """Whether results go from registers to the output."""
    cdef bint aligned = <size_t>p.out % p.item == 0 and p.out_row % p.item == 0 and p.out_col % p.item == 0
    cdef int i
    for i in range(p.lead):
        aligned = aligned and p.lead_out[i] % p.item == 0
    p.direct = aligned and p.out_kind == own_kind(p) and not p.out_pairs and p.activation == 0
    if p.way == TILE:
        p.direct = p.direct and p.out_k == p.item and (p.split == 1 or p.bias == NULL)
    elif p.way == PLANES:
        p.direct = p.direct and p.out_col == p.item and p.bias == NULL and p.wo >= p.base.lanes
    else:
        p.direct = p.direct and p.out_k == p.item and p.bias == NULL and p.in_place


cdef void plan_blocks(Plan *p, int threads) noexcept:
    if p.way == TILE:
        if (p.in_place and p.fh == 1 and p.fw == 1 and p.sh == 1 and p.sw == 1 and p.ho == p.height and p.wo == p.width
                and p.x_row == p.width * p.x_col and p.out_row == p.wo * p.out_col):
            # Pixels do not care about rows: one long row.
            p.width *= p.height
            p.wo = p.width
            p.height = p.ho = 1
        plan_tiles(p, threads)
        if p.ranges == 1:
            p.per_range = p.chunks
        p.ranges = ceil_div(p.chunks, p.per_range)
        p.regular = p.form == FC_REALS and p.w_k == p.item and p.w_fw == p.cg * p.w_c and p.w_fh == p.fw * p.w_fw
        p.fresh = (p.regular and p.ranges > 1 and p.split == 1 and p.w_kind == own_kind(p) and <size_t>p.w % p.item == 0
                   and p.w_c % p.item == 0)
    elif p.ranged:
        plan_ranges(p)
    else:
        p.ranges, p.per_range = 1, p.fh
        plan_rows(p, threads)
    if p.way == TILE and p.in_place:
        p.plane_step = 1
    elif p.way == DEPTHWISE:
        p.plane_step = p.col_step // parts(p)


cdef void plan_room(Plan *p) noexcept:
    """Sizes of packed filters, of sums and of results that do not go directly to the output; tasks."""
    cdef idx lanes = p.base.lanes
    if p.way == TILE:
        p.panel_size = round_up(min(p.per_range * p.chunk, p.terms) * p.panel_width * p.item, 64)
        p.slabs = ceil_div(p.panels, p.slab)
        p.scratch = p.block_scratch = p.block_rows * p.block_cols * p.panel_width
        p.block_levels = p.tile_levels
        if p.ranges > 1:
            p.block_levels = min(closed_levels(p.per_range * p.chunk // p.chain), p.levels)
            p.scratch = p.slab * p.task_rows * p.block_cols * p.panel_width
    elif p.way == PLANES:
        p.slab = p.slabs = 1
        p.panel_size = round_up(p.per_range * p.fw * p.cg * min(p.kg, p.k.outputs) * p.item, 64)
        # The step between outputs in the scratch array, where a whole call of planar_taps may end beyond the block.
        p.panel_width = round_up(p.block_cols, lanes) + FC_PLANAR_VECTORS * lanes
        p.scratch = p.panel_width * max(p.k.outputs, p.k.row_group)
    else:
        p.slab = p.ranges = 1
        p.panel_size = round_up(p.terms * round_up(p.panel_width, lanes) * p.item, 64)
        p.scratch = max(p.k.pixels, FC_CHANNEL_ROWS * max(min(CHANNEL_PIXELS, p.block_cols), FC_CHANNEL_PIXELS))
        p.scratch *= round_up(p.panel_width, lanes)
    p.row_tasks = ceil_div(p.ho, p.task_rows)
    p.col_tasks = ceil_div(p.wo, p.block_cols)
    p.tasks = p.images * p.row_tasks * p.col_tasks
    if p.way == TILE:
        p.tasks *= p.groups * p.slabs
    elif p.way == PLANES:
        p.tasks *= p.groups
    else:
        p.tasks *= ceil_div(p.groups * p.kg, p.panel_width)


cdef int plan(Plan *p, cnp.ndarray x, int threads) except -1:
    if p.way == PLANES and not (p.plane or p.transposed or fits(p)):
        if p.terms * p.kg * p.item > LEAST_BYTES or not (readable(p, x) and planes_in_place(p)):
            p.way = TILE
    p.window_size = 0
    p.places = 1
    plan_chains(p)
    p.tile_levels = p.block_levels = p.levels
    if p.way == TILE:
        plan_chunks(p)
    if p.way == DEPTHWISE:
        p.panel_width = channel_width(p)
    plan_reading(p, x)
    plan_writing(p)
    plan_blocks(p, threads)
    plan_inputs(p)
    plan_room(p)
    return 0


cdef void release(Plan *p) noexcept:
    """Frees the lists of a plan."""
    PyMem_RawFree(p.taps)
    PyMem_RawFree(p.piece_start)
    PyMem_RawFree(p.pieces)
    PyMem_RawFree(p.panel_rows)
