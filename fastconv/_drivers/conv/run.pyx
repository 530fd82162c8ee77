"""Driver of conv2d: plans a call (plan.pyx), cuts it into an inside and a rim where that pays, and runs its tasks on a team.

Large images of many channels go through Winograd's method (winograd.pyx), and large filters through Fourier transforms
(fourier.pyx), but for tiles where those might not be accurate; filters of a plane that are products are summed along its axes.
There are three ways of computing directly, chosen in plan.pyx from the shapes of one image alone, each in a file of its own:

- TILE: lanes along output channels, tiles.pyx;
- PLANES: few output channels otherwise, lanes along x, planes.pyx;
- DEPTHWISE: a channel for each group, lanes along channels, depthwise.pyx.

In each, a sum over n = Fh*Fw*C terms is cut into chains, formed in registers, whose sums are added level by level
(kernels/base/table.h). Thread t always computes the same range of tasks.
"""
from cpython.exc cimport PyErr_CheckSignals
from libc.string cimport memcmp, memset

cimport numpy as cnp

from fastconv._drivers.base cimport (
    FC_BLOCKS,
    FC_CHAIN,
    FC_COLUMNS,
    FC_CONSTANT,
    FC_F32,
    FC_F64,
    FC_I32,
    FC_MIRROR,
    FC_NEAREST,
    FC_COUPLES,
    FC_REALS,
    FC_REFLECT,
    FC_SINGLES,
    FC_SUMS_16,
    FC_SUMS_16_DOT,
    FC_SUMS_32,
    FC_SUMS_64,
    FC_SWAPPED,
    FC_TWINS,
    FC_U16,
    FC_U32,
    FC_WRAP,
    fc_panel,
)
from fastconv._drivers.common cimport ceil_div, idx, kind_of, round_up
from fastconv._drivers.conv.depthwise cimport depthwise_task
from fastconv._drivers.conv.fourier cimport Spectra, compute_blocks, pairs_with_many, transform_spectra
from fastconv._drivers.conv.fourier_blocks cimport Blocks, Counts, count, cut
from fastconv._drivers.conv.pack cimport Thread, image
from fastconv._drivers.conv.plan cimport (
    DEPTHWISE,
    PLANES,
    TILE,
    Plan,
    choose,
    plan,
    release,
)
from fastconv._drivers.conv.planes cimport planes_task
from fastconv._drivers.conv.table cimport FC_LINEAR, FC_MOST_SUMS, FC_RELU, FC_RELU6, FC_SIGMOID, FC_SILU, FC_TANH
from fastconv._drivers.conv.tiles cimport tile_task
from fastconv._drivers.conv.winograd cimport (
    Bank,
    compute_tiles,
    many_channels,
    pays,
    serves,
    transform_filters,
)
from fastconv._drivers.runtime cimport crew, run_team, seam, table, team

import numpy as np

from fastconv._drivers.runtime import selected

cnp.import_array()

cdef idx RIM_OUTPUTS = 1 << 14          # outputs from which a depthwise call is cut into the inside and the rim
cdef idx RIM_COLUMNS = 512              # likewise columns (times filters) of a plane

cdef idx DOT = 1                         # 1: pairs of products are added by one instruction, where the machine has it
cdef idx REPAIR_PART = 4                # an image is computed directly where more than one tile of so many is not benign
seam("conv.DOT", &DOT)
cdef idx FOURIER_TAPS = 64              # least taps of a filter for which "auto" asks what Fourier transforms cost
cdef idx FOURIER_WORK = 4 << 20         # and least multiply-adds of an image, as computed directly
seam("conv.REPAIR_PART", &REPAIR_PART)
seam("conv.FOURIER_TAPS", &FOURIER_TAPS)
seam("conv.FOURIER_WORK", &FOURIER_WORK)
cdef idx AXIS_COST = 14                 # multiply-adds that take as long as what sums along an axis cost beside their own
cdef idx SLAB_BYTES = 512 << 10         # sums along columns that are kept in the cache for those along rows
seam("conv.AXIS_COST", &AXIS_COST)
seam("conv.SEPARATED_BYTES", &SLAB_BYTES)
seam("conv.RIM_OUTPUTS", &RIM_OUTPUTS)
seam("conv.RIM_COLUMNS", &RIM_COLUMNS)

cdef double WIDE_UNITS = 2.0**28        # roundings of double that those of float may be, less those of the last one

cdef enum Method:
    DIRECT, WINOGRAD, FOURIER, AUTO

# What the arguments of the face are called here and in kernels.
PADDING_MODES = {
    "constant": FC_CONSTANT, "edge": FC_NEAREST, "symmetric": FC_REFLECT, "mirror": FC_MIRROR, "wrap": FC_WRAP,
}
METHODS = {"auto": AUTO, "direct": DIRECT, "winograd": WINOGRAD, "fft": FOURIER}
ACTIVATIONS = {
    None: FC_LINEAR, "relu": FC_RELU, "relu6": FC_RELU6, "silu": FC_SILU, "sigmoid": FC_SIGMOID, "tanh": FC_TANH,
}


cdef void run(const void *plan, void *worker) noexcept nogil:
    """The tasks of one thread."""
    cdef const Plan *p = <const Plan *>plan
    cdef Thread *t = <Thread *>worker
    while t.worker.first < t.worker.last and not t.worker.clock.watch.stop:
        if p.way == TILE:
            tile_task(p, t, t.worker.first)
        elif p.way == PLANES:
            planes_task(p, t, t.worker.first)
        else:
            depthwise_task(p, t, t.worker.first)
        t.worker.first += 1


cdef struct Room:                # of one thread, in bytes
    idx filters, window, scratch, sums, indices


cdef Room room(const Plan *p) noexcept nogil:
    cdef Room r
    r.filters, r.window = round_up(p.slab * p.panel_size, 64), round_up(p.window_size * p.item, 64)
    r.scratch = round_up(max(p.levels - p.block_levels, 1) * p.scratch * p.item, 64)
    r.sums = p.tile_levels * FC_MOST_SUMS * p.base.lanes + (p.block_levels - p.tile_levels) * p.block_scratch
    r.sums = round_up(r.sums * p.places * p.item, 64)
    r.indices = 0 if p.in_place else round_up((p.index_rows + p.index_cols) * sizeof(idx), 64)
    return r


cdef void prepare(const void *plan, void *worker) noexcept nogil:
    cdef const Plan *p = <const Plan *>plan
    cdef Thread *t = <Thread *>worker
    cdef Room r = room(p)
    t.packed = -1
    t.filters = t.worker.memory
    t.window = t.filters + r.filters
    t.c = t.window + r.window
    t.sums = t.c + r.scratch
    t.row_index = <idx *>(t.sums + r.sums)
    t.col_index = t.row_index + p.index_rows


cdef int compute(Plan *p, cnp.ndarray x, workers) except -1:
    cdef double work
    cdef int threads
    cdef idx memory
    cdef Room r
    work = <double>p.images * p.ho * p.wo * p.groups * p.kg * max(p.terms, 1)
    threads = team(workers, work)
    try:
        plan(p, x, threads)
        r = room(p)
        memory = r.filters + r.window + r.scratch + r.sums + r.indices + 64
        run_team(p, sizeof(Thread), memory, p.tasks, crew(threads, p.tasks), prepare, run)
    finally:
        release(p)
    return 0


cdef bint has_rim(const Plan *p) noexcept:
    """Whether outputs near the border should be computed by themselves, so that the others read the image in place. Where
    each input takes part in few products, packing it costs as much as they do."""
    cdef idx outputs = p.ho * p.wo * p.groups * p.kg
    if p.way == DEPTHWISE and outputs < RIM_OUTPUTS or p.way == PLANES and (p.wo * p.kg < RIM_COLUMNS or p.x_col != p.item):
        return False
    return p.way != TILE and outputs and (
        p.top > 0 or p.left > 0 or (p.ho - 1) * p.sh + (p.fh - 1) * p.dh >= p.height
        or (p.wo - 1) * p.sw + (p.fw - 1) * p.dw >= p.width)


cdef void inside(idx size, idx outputs, idx stride, idx taps, idx dilation, idx pad, idx *first, idx *last) noexcept:
    """The outputs first..last-1 of an axis of `size` inputs all of whose taps are inputs."""
    cdef idx room = size + pad - (taps - 1) * dilation   # where a first tap may stand, counted from the padding
    first[0] = min(ceil_div(pad, stride), outputs)
    last[0] = max(min(ceil_div(room, stride) if room > 0 else 0, outputs), first[0])


cdef Plan part(const Plan *p, idx y0, idx rows, idx x0, idx cols) noexcept:
    """The call for outputs y0..y0+rows-1, x0..x0+cols-1 of this one."""
    cdef Plan q = p[0]
    q.ho, q.wo = rows, cols
    q.top -= y0 * p.sh
    q.left -= x0 * p.sw
    q.out += y0 * p.out_row + x0 * p.out_col
    return q


cdef bint transposable(const Plan *p) noexcept:
    """Whether the columns of a plane can be computed as rows, term by term in the same order, by planar_taps."""
    return p.plane and not p.ranged and p.fw <= FC_CHAIN


cdef void transpose(Plan *p) noexcept:
    """Swaps rows and columns, but for the order of the terms: a few columns leave lanes empty, as rows they fill them."""
    p.transposed = True
    p.height, p.width = p.width, p.height
    p.ho, p.wo = p.wo, p.ho
    p.fh, p.fw = p.fw, p.fh
    p.sh, p.sw = p.sw, p.sh
    p.dh, p.dw = p.dw, p.dh
    p.top, p.left = p.left, p.top
    p.x_row, p.x_col = p.x_col, p.x_row
    p.w_fh, p.w_fw = p.w_fw, p.w_fh
    p.out_row, p.out_col = p.out_col, p.out_row


cdef int compute_parts(const Plan *p, cnp.ndarray x, workers) except -1:
    """The inside, the rows above and below it, and the columns on its left and right."""
    cdef idx y0, y1, x0, x1, i
    cdef Plan parts[5]
    inside(p.height, p.ho, p.sh, p.fh, p.dh, p.top, &y0, &y1)
    inside(p.width, p.wo, p.sw, p.fw, p.dw, p.left, &x0, &x1)
    parts[0] = part(p, y0, y1 - y0, x0, x1 - x0)
    parts[1] = part(p, 0, y0, 0, p.wo)
    parts[2] = part(p, y1, p.ho - y1, 0, p.wo)
    parts[3] = part(p, y0, y1 - y0, 0, x0)
    parts[4] = part(p, y0, y1 - y0, x1, p.wo - x1)
    if transposable(p):
        transpose(&parts[3])
        transpose(&parts[4])
    for i in range(5):
        if parts[i].ho and parts[i].wo:
            compute(&parts[i], x, workers)
    return 0


cdef int set_filters(Plan *p, cnp.ndarray w, idx groups, bint complex_x) except -1:
    """The filters of a call, of which complex ones become twice as many real filters, of twice the channels if x is complex."""
    cdef idx item = cnp.PyArray_ITEMSIZE(w) // 2
    p.fh, p.fw, p.cg = cnp.PyArray_DIM(w, 0), cnp.PyArray_DIM(w, 1), cnp.PyArray_DIM(w, 2)
    p.w_fh, p.w_fw, p.w_c, p.w_k = (cnp.PyArray_STRIDE(w, 0), cnp.PyArray_STRIDE(w, 1), cnp.PyArray_STRIDE(w, 2),
                                    cnp.PyArray_STRIDE(w, 3))
    p.groups, p.kg = groups, cnp.PyArray_DIM(w, 3) // groups
    p.form = FC_REALS
    if cnp.PyArray_ISCOMPLEX(w):
        p.form = FC_BLOCKS if complex_x else FC_COLUMNS
        p.cg *= 2 if complex_x else 1
        p.kg *= 2
        if not complex_x and p.w_k == 2 * item:   # both parts lie as real filters do
            p.form, p.w_k = FC_REALS, item
        w = w.real
    p.w, p.w_kind = <const char *>cnp.PyArray_DATA(w), kind_of(w)
    p.terms = p.fh * p.fw * p.cg
    return 0


cdef void set_numbers(Plan *p, bint double_) noexcept:
    """Computes with float or double."""
    p.item = 8 if double_ else 4
    p.base, p.k = &table().base.real[double_], &table().conv.real[double_]


cdef int plan_filters(Plan *p, cnp.ndarray w, idx groups, bint double_, bint complex_x) except -1:
    memset(p, 0, sizeof(p[0]))
    set_numbers(p, double_)
    p.sh = p.sw = p.dh = p.dw = 1
    return set_filters(p, w, groups, complex_x)


cdef void set_words(Plan *p) noexcept:
    """Makes words of integers of 16 bits or fewer: what the terms are from here on."""
    p.words, p.halves = FC_SINGLES, p.cg
    if (p.w_kind & ~FC_SWAPPED) == FC_U16:
        p.words = FC_TWINS
    elif p.cg % 2 == 0 or p.groups == 1 and p.cg > 1:
        p.words, p.x_half, p.w_half = FC_COUPLES, p.x_channel, p.w_c
        p.x_channel *= 2
        p.w_c *= 2
        p.cg = ceil_div(p.cg, 2)
    p.terms = p.fh * p.fw * p.cg


cdef object set_integers(Plan *p, object bias, object cval):
    """Computes with integers; returns the array of a number for each filter that p.bias points to, or None."""
    cdef int x_kind = p.x_kind & ~FC_SWAPPED, w_kind = p.w_kind & ~FC_SWAPPED
    cdef int which = FC_SUMS_64
    cdef idx cg = p.cg, w_c = p.w_c
    cdef fc_panel a
    p.integers, p.item = p.out_kind, 4 if p.out_kind == FC_I32 else 8
    if p.item == 4:
        which = FC_SUMS_16_DOT if table().conv.dot and DOT == 1 else FC_SUMS_16
    elif max(x_kind, w_kind) <= FC_I32 and x_kind != FC_U32 and w_kind != FC_U32:
        which = FC_SUMS_32
    p.base, p.k = &table().conv.integer[which].base, &table().conv.integer[which].conv
    p.whole_cval = cval & 0xFFFFFFFFFFFFFFFF
    if p.item == 4:
        set_words(p)
        p.whole_cval = (p.whole_cval ^ (1 << 15 if x_kind == FC_U16 else 0)) & 0xFFFF
        p.whole_cval |= (~p.whole_cval if p.words == FC_TWINS else p.whole_cval) << 16
        if bias is None and (x_kind == FC_U16 or w_kind == FC_U16):
            bias = np.zeros(p.groups * p.kg, np.int32)
    if bias is None:
        return None
    b = np.array(bias, np.int32 if p.item == 4 else np.int64, order="C")
    p.bias = <const char *>cnp.PyArray_DATA(<cnp.ndarray>b)
    if p.item == 4 and (x_kind == FC_U16 or w_kind == FC_U16):
        a.dst, a.src, a.columns, a.kind, a.form, a.words = <void *>p.bias, p.w, p.groups * p.kg, p.w_kind, FC_REALS, p.words
        a.fh_step, a.fw_step, a.c_step, a.k_step = p.w_fh, p.w_fw, w_c, p.w_k
        a.fw, a.c, a.first, a.count = max(p.fw, 1), max(cg, 1), 0, p.fh * p.fw * cg
        p.k.offsets(&a, x_kind == FC_U16)
    return b


cdef int compute_directly(Plan *p, cnp.ndarray x, workers) except -1:
    choose(p)
    return compute_chosen(p, x, workers)


cdef int compute_chosen(Plan *p, cnp.ndarray x, workers) except -1:
    if has_rim(p):
        compute_parts(p, x, workers)
    else:
        compute(p, x, workers)
    return 0


cdef int repair(const Plan *p, cnp.ndarray x, cnp.ndarray bad, idx height, idx width, idx share, workers) except -1:
    """Computes directly the tiles of height x width outputs that `bad` (images, tile rows, tile columns) names, and all of
    an image where they are more than one of `share`."""
    cdef idx rows = cnp.PyArray_DIM(bad, 1), cols = cnp.PyArray_DIM(bad, 2), n, y, x0, x1, y1, i, whole = 0
    cdef unsigned char *flags = <unsigned char *>cnp.PyArray_DATA(bad)
    cdef Plan one, q
    one = p[0]
    choose(&one)
    for n in range(p.images):
        whole += many_set(flags + n * rows * cols, rows * cols, share)
    if whole == p.images:
        compute_directly(&one, x, workers)
        return 0
    one.lead, one.images = 0, 1
    for n in range(p.images):
        one.x, one.out = image(p, p.x, p.lead_x, n), <char *>image(p, p.out, p.lead_out, n)
        if many_set(flags, rows * cols, share):
            q = one
            compute_directly(&q, x, workers)
            memset(flags, 0, rows * cols)
        for i in range(rows * cols):
            if not flags[i]:
                continue
            y, x0 = i // cols, i % cols
            x1, y1 = x0, y
            while x1 < cols and flags[y * cols + x1]:
                x1 += 1
            while y1 < rows and all_set(flags + y1 * cols, x0, x1):
                memset(flags + y1 * cols + x0, 0, x1 - x0)
                y1 += 1
            q = part(&one, height * y, min(height * y1, p.ho) - height * y, width * x0, min(width * x1, p.wo) - width * x0)
            compute(&q, x, workers)
        flags += rows * cols
    return 0


cdef inline bint many_set(const unsigned char *flags, idx count, idx share) noexcept:
    cdef idx i, set_ = 0
    for i in range(count):
        set_ += flags[i]
    return share * set_ > count


cdef inline bint all_set(const unsigned char *flags, idx first, idx last) noexcept:
    cdef idx i
    for i in range(first, last):
        if not flags[i]:
            return False
    return True


cdef Spectra kept_spectra(const Plan *p, const Blocks *blocks, dict kept, workers):
    """Those of `kept`, if they were made for the same blocks, else new ones, which are kept."""
    cdef Spectra spectra
    cdef object key = (selected(), p.item)
    if kept is not None:
        spectra = kept.get(key)
        if spectra is not None and memcmp(&spectra.blocks, blocks, sizeof(Blocks)) == 0:
            return spectra
    spectra = transform_spectra(p, blocks, workers)
    if kept is not None:   # of two threads that make the same, one's stays
        kept[key] = spectra
    return spectra


cdef int compute_by_fourier(const Plan *p, const Blocks *blocks, cnp.ndarray x, object bias, dict kept, workers) except -1:
    """Pairs of blocks that are not benign in single precision are computed in double, if they are in that, or directly."""
    cdef Plan wide = p[0]
    cdef cnp.ndarray b
    cdef object bad = compute_blocks(p, kept_spectra(p, blocks, kept, workers), None, 1, workers), todo
    if p.item == 4 and bad.any():
        todo = pairs_with_many(p, blocks, bad)
        if todo.any():
            wide.item, wide.base, wide.k = 8, &table().base.real[1], &table().conv.real[1]
            if bias is not None:
                b = np.ascontiguousarray(bias, np.float64)
                wide.bias = <const char *>cnp.PyArray_DATA(b)
            bad |= compute_blocks(&wide, kept_spectra(&wide, blocks, kept, workers), todo, WIDE_UNITS, workers)
    repair(p, x, bad, blocks.tile_h, blocks.tile_w, 1, workers)
    return 0


cdef double separated_cost(const Plan *p) noexcept:
    """Multiply-adds that take as long as sums along one axis and then along the other."""
    cdef double between = <double>p.ho * ((p.wo - 1) * p.sw + (p.fw - 1) * p.dw + 1)
    return between * (p.fh + AXIS_COST) + <double>p.ho * p.wo * (p.fw + AXIS_COST)


cdef int compute_separated(const Plan *p, cnp.ndarray x, object factors, workers) except -1:
    """Sums along columns, a slab of rows at a time, which stays in the cache, and then along rows."""
    cdef cnp.ndarray column = factors[0], row = factors[1], slab
    cdef Plan down = p[0], across = p[0], part_
    cdef idx width = p.width, rows, y, n
    down.lead = across.lead = 0
    down.images = across.images = 1
    # Of the columns outside of the image the sums are those outside of the sums.
    down.wo, down.left, down.sw, down.fw, down.dw = width, 0, 1, 1, 1
    down.bias, down.activation, down.out_kind = NULL, FC_LINEAR, FC_F64 if p.item == 8 else FC_F32
    down.w, down.w_kind, down.w_fh = <const char *>cnp.PyArray_DATA(column), down.out_kind, p.item
    down.out_row, down.out_col, down.out_k = width * p.item, p.item, p.item
    down.terms = p.fh
    across.x_kind, across.x_row, across.x_col, across.x_channel = down.out_kind, width * p.item, p.item, p.item
    across.top, across.sh, across.fh, across.dh, across.terms = 0, 1, 1, 1, p.fw
    across.w, across.w_kind, across.w_fw = <const char *>cnp.PyArray_DATA(row), down.out_kind, p.item
    rows = min(max(SLAB_BYTES // (width * p.item), 1), p.ho)
    slab = np.empty((rows, width, 1), np.float64 if p.item == 8 else np.float32)
    choose(&down)
    choose(&across)
    for n in range(p.images):
        for y in range(0, p.ho, rows):
            PyErr_CheckSignals()   # a team looks for signals only where it works for long
            part_ = part(&down, y, min(rows, p.ho - y), 0, width)
            part_.x, part_.out = image(p, p.x, p.lead_x, n), <char *>cnp.PyArray_DATA(slab)
            compute_chosen(&part_, x, workers)
            part_ = across
            part_.ho = part_.height = min(rows, p.ho - y)
            part_.x = <const char *>cnp.PyArray_DATA(slab)
            part_.out = <char *>image(p, p.out, p.lead_out, n) + y * p.out_row
            compute_chosen(&part_, slab, workers)
    return 0


cdef bint large(const Plan *p) noexcept:
    """Whether it is worth a thought what Fourier transforms would cost."""
    return p.fh * p.fw >= FOURIER_TAPS and <double>p.ho * p.wo * p.groups * p.kg * p.terms >= FOURIER_WORK


cdef cnp.ndarray set_arrays(Plan *p, cnp.ndarray x, cnp.ndarray out, bint padded):
    """The images and results of a call; returns the array of real numbers or integers that x is."""
    cdef int i, n = x.ndim
    cdef bint complex_ = cnp.PyArray_ISCOMPLEX(x)
    p.x_row, p.x_col, p.x_channel = cnp.PyArray_STRIDE(x, n - 3), cnp.PyArray_STRIDE(x, n - 2), cnp.PyArray_STRIDE(x, n - 1)
    p.out_row, p.out_col, p.out_k = (cnp.PyArray_STRIDE(out, n - 3), cnp.PyArray_STRIDE(out, n - 2),
                                     cnp.PyArray_STRIDE(out, n - 1))
    if complex_:
        x = x.real
        p.x_item = cnp.PyArray_ITEMSIZE(x)
        p.x_pairs = p.x_channel != 2 * p.x_item or padded and p.cval != p.imaginary_cval
        if not p.x_pairs:
            p.x_channel = p.x_item
    if cnp.PyArray_ISCOMPLEX(out):
        out = out.real
        p.out_pairs = p.out_k != 2 * cnp.PyArray_ITEMSIZE(out)
        if not p.out_pairs:
            p.out_k = cnp.PyArray_ITEMSIZE(out)
    p.x, p.out = <const char *>cnp.PyArray_DATA(x), <char *>cnp.PyArray_DATA(out)
    p.x_kind, p.out_kind = kind_of(x), kind_of(out)
    p.images = 1
    p.lead = n - 3
    for i in range(n - 3):
        p.lead_shape[i] = cnp.PyArray_DIM(x, i)
        p.lead_x[i] = cnp.PyArray_STRIDE(x, i)
        p.lead_out[i] = cnp.PyArray_STRIDE(out, i)
        p.images *= p.lead_shape[i]
    p.height, p.width = cnp.PyArray_DIM(x, n - 3), cnp.PyArray_DIM(x, n - 2)
    p.ho, p.wo = cnp.PyArray_DIM(out, n - 3), cnp.PyArray_DIM(out, n - 2)
    return x


cdef cnp.ndarray as_signed(cnp.ndarray a):
    """An array of uint64 as one of int64: sums are modulo 2^64."""
    return a.view(a.dtype.str.replace("u", "i")) if a.dtype.kind == "u" and a.dtype.itemsize == 8 else a


cdef int by_the_cheapest(Plan *p, cnp.ndarray x, int method, bias, dict kept, factors, workers) except -1:
    """Real numbers directly, by sums along one axis and then the other, or by Fourier transforms."""
    cdef Blocks blocks
    cdef double cost, least = <double>p.ho * p.wo * p.groups * p.kg * p.terms
    cdef bint separated = factors is not None and (p.mode != FC_CONSTANT or p.cval == 0) and separated_cost(p) < least
    if separated:
        least = separated_cost(p)
    if method == FOURIER or method == AUTO and large(p):
        blocks = cut(p, &cost)
        if method == FOURIER or cost < least:
            return compute_by_fourier(p, &blocks, x, bias, kept, workers)
    if separated:
        return compute_separated(p, x, factors, workers)
    return compute_directly(p, x, workers)


cdef int dispatch(Plan *p, cnp.ndarray x, int method, bint real, bias, Bank bank, dict kept, factors, workers) except -1:
    """Computes by the method that is asked for, or likely to be the fastest."""
    if p.integers:
        compute_directly(p, x, workers)
    elif serves(p) if method == WINOGRAD else method == AUTO and pays(p):
        if bank is None:
            bank = transform_filters(p, workers)
        repair(p, x, compute_tiles(p, bank, workers), 4, 4, REPAIR_PART, workers)
    elif p.terms and real:
        by_the_cheapest(p, x, method, bias, kept, factors, workers)
    else:
        compute_directly(p, x, workers)
    return 0


def conv2d(cnp.ndarray x, cnp.ndarray w, cnp.ndarray out, bias, idx sh, idx sw, idx dh, idx dw, idx top, idx left,
           int mode, cval, idx groups, int activation, int method, Bank bank, dict kept, factors, workers):
    """Fills out (..., Ho, Wo, K) from x (..., H, W, C) and w (Fh, Fw, C // groups, K), of which `bank` may be the transformed
    filters, and `kept` holds their spectra between calls; `factors` are a column and a row whose products filters are, or None.
    conv.py has checked everything."""
    cdef Plan p
    cdef cnp.ndarray b
    cdef bint real_filters = not cnp.PyArray_ISCOMPLEX(w)
    if cnp.PyArray_ISCOMPLEX(x) and real_filters:   # the parts do not mix
        for part in ("real", "imag"):
            conv2d(getattr(x, part), w, getattr(out, part), None if bias is None else getattr(bias, part), sh, sw, dh, dw, top,
                   left, mode, getattr(cval, part), groups, activation, method, bank, kept, factors, workers)
        return
    memset(&p, 0, sizeof(p))
    if cnp.PyArray_ISINTEGER(out):
        x, w = as_signed(x), as_signed(w)
    else:
        p.cval, p.imaginary_cval = cval.real, cval.imag
    set_filters(&p, w, groups, cnp.PyArray_ISCOMPLEX(x))
    x = set_arrays(&p, x, out, mode == FC_CONSTANT)
    p.sh, p.sw, p.dh, p.dw, p.top, p.left = sh, sw, dh, dw, top, left
    p.mode, p.activation = mode, activation
    if cnp.PyArray_ISINTEGER(out):
        owner = set_integers(&p, bias, cval)
    else:
        set_numbers(&p, p.out_kind == FC_F64)
        if bias is not None:
            real = np.dtype(np.float64 if p.item == 8 else np.float32)
            with np.errstate(all="ignore"):   # beyond float32 lies infinity
                b = np.ascontiguousarray(bias, np.result_type(real, np.complex64) if out.dtype.kind == "c" else real)
            p.bias = <const char *>cnp.PyArray_DATA(b)
    dispatch(&p, x, method, real_filters, bias, bank, kept, factors, workers)


def transforms(cnp.ndarray w, idx groups, bint double_, bint complex_x, bint pay):
    """Whether Winograd's method can compute with the filters `w` at strides and dilations of 1, and may pay."""
    cdef Plan p
    plan_filters(&p, w, groups, double_, complex_x)
    return serves(&p) and (not pay or many_channels(&p))


def pays_for(cnp.ndarray w, idx groups, bint double_, idx ho, idx wo):
    """Whether "auto" takes Winograd's method for images of ho x wo outputs."""
    cdef Plan p
    plan_filters(&p, w, groups, double_, False)
    p.ho, p.wo = ho, wo
    return pays(&p)


def bank_of(cnp.ndarray w, idx groups, bint double_, bint complex_x):
    """The transformed filters of `w`, for conv2d on the current instruction set."""
    cdef Plan p
    plan_filters(&p, w, groups, double_, complex_x)
    return transform_filters(&p, None)


def fourier_counts(cnp.ndarray w, idx ho, idx wo):
    """For the bench: steps, products, inputs and outputs of Fourier transforms for ho x wo outputs of the filters `w`."""
    cdef Plan p
    cdef Blocks blocks
    cdef Counts counts
    cdef double cost
    plan_filters(&p, w, 1, w.dtype == np.float64, False)
    p.ho, p.wo, p.images = ho, wo, 1
    blocks = cut(&p, &cost)
    counts = count(&p, &blocks)
    return counts.steps, counts.products, counts.inputs, counts.outputs
