"""Driver of conv2d: plans a call (plan.pyx), cuts it into an inside and a rim where that pays, and runs its tasks on a team.

Large images of many channels go through Winograd's method (winograd.pyx), but for tiles where it might not be accurate. There are
three ways of computing directly, chosen in plan.pyx from the shapes of one image alone, each in a file of its own:

- TILE: lanes along output channels, tiles.pyx;
- PLANES: few output channels otherwise, lanes along x, planes.pyx;
- DEPTHWISE: a channel for each group, lanes along channels, depthwise.pyx.

In each, a sum over n = Fh*Fw*C terms is cut into chains, formed in registers, whose sums are added level by level
(kernels/base/table.h). Thread t always computes the same range of tasks.
"""
from libc.string cimport memset

cimport numpy as cnp

from fastconv._drivers.base cimport FC_CHAIN, FC_CONSTANT, FC_F64, FC_MIRROR, FC_NEAREST, FC_REFLECT, FC_WRAP
from fastconv._drivers.common cimport ceil_div, idx, kind_of, round_up
from fastconv._drivers.conv.depthwise cimport depthwise_task
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

cnp.import_array()

cdef idx RIM_OUTPUTS = 1 << 14          # outputs from which a depthwise call is cut into the inside and the rim
cdef idx RIM_COLUMNS = 512              # likewise columns (times filters) of a plane

cdef idx REPAIR_PART = 4                # an image is computed directly where more than one tile of so many is not benign
seam("conv.REPAIR_PART", &REPAIR_PART)
seam("conv.RIM_OUTPUTS", &RIM_OUTPUTS)
seam("conv.RIM_COLUMNS", &RIM_COLUMNS)

cdef enum Method:
    DIRECT, WINOGRAD, AUTO

# What the arguments of the face are called here and in kernels.
PADDING_MODES = {
    "constant": FC_CONSTANT, "edge": FC_NEAREST, "symmetric": FC_REFLECT, "mirror": FC_MIRROR, "wrap": FC_WRAP,
}
METHODS = {"auto": AUTO, "direct": DIRECT, "winograd": WINOGRAD}
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


cdef int set_filters(Plan *p, cnp.ndarray w, idx groups) except -1:
    p.w, p.w_kind = <const char *>cnp.PyArray_DATA(w), kind_of(w)
    p.fh, p.fw, p.cg = cnp.PyArray_DIM(w, 0), cnp.PyArray_DIM(w, 1), cnp.PyArray_DIM(w, 2)
    p.w_fh, p.w_fw, p.w_c, p.w_k = (cnp.PyArray_STRIDE(w, 0), cnp.PyArray_STRIDE(w, 1), cnp.PyArray_STRIDE(w, 2),
                                    cnp.PyArray_STRIDE(w, 3))
    p.groups, p.kg = groups, cnp.PyArray_DIM(w, 3) // groups
    p.terms = p.fh * p.fw * p.cg
    return 0


cdef int plan_filters(Plan *p, cnp.ndarray w, idx groups, bint double_) except -1:
    memset(p, 0, sizeof(p[0]))
    p.item = 8 if double_ else 4
    p.base, p.k = &table().base.real[double_], &table().conv.real[double_]
    p.sh = p.sw = p.dh = p.dw = 1
    return set_filters(p, w, groups)


cdef int compute_directly(Plan *p, cnp.ndarray x, workers) except -1:
    choose(p)
    if has_rim(p):
        compute_parts(p, x, workers)
    else:
        compute(p, x, workers)
    return 0


cdef int repair(const Plan *p, cnp.ndarray x, cnp.ndarray bad, workers) except -1:
    """Computes directly the tiles that `bad` (images, tile rows, tile columns) names, and all of an image where they are many."""
    cdef idx rows = cnp.PyArray_DIM(bad, 1), cols = cnp.PyArray_DIM(bad, 2), n, y, x0, x1, y1, i, whole = 0
    cdef unsigned char *flags = <unsigned char *>cnp.PyArray_DATA(bad)
    cdef Plan one, q
    one = p[0]
    choose(&one)
    for n in range(p.images):
        whole += many_set(flags + n * rows * cols, rows * cols)
    if whole == p.images:
        compute_directly(&one, x, workers)
        return 0
    one.lead, one.images = 0, 1
    for n in range(p.images):
        one.x, one.out = image(p, p.x, p.lead_x, n), <char *>image(p, p.out, p.lead_out, n)
        if many_set(flags, rows * cols):
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
            q = part(&one, 4 * y, min(4 * y1, p.ho) - 4 * y, 4 * x0, min(4 * x1, p.wo) - 4 * x0)
            compute(&q, x, workers)
        flags += rows * cols
    return 0


cdef inline bint many_set(const unsigned char *flags, idx count) noexcept:
    cdef idx i, set_ = 0
    for i in range(count):
        set_ += flags[i]
    return REPAIR_PART * set_ > count


cdef inline bint all_set(const unsigned char *flags, idx first, idx last) noexcept:
    cdef idx i
    for i in range(first, last):
        if not flags[i]:
            return False
    return True


def conv2d(cnp.ndarray x, cnp.ndarray w, cnp.ndarray out, bias, idx sh, idx sw, idx dh, idx dw, idx top, idx left,
           int mode, double cval, idx groups, int activation, int method, Bank bank, workers):
    """Fills out (..., Ho, Wo, K) from x (..., H, W, C) and w (Fh, Fw, C // groups, K), of which `bank` may be the transformed
    filters; conv.py has checked everything."""
    cdef Plan p
    cdef int i, n = x.ndim
    cdef cnp.ndarray b
    memset(&p, 0, sizeof(p))
    p.out_kind = kind_of(out)
    p.item = 8 if p.out_kind == FC_F64 else 4
    p.base, p.k = &table().base.real[p.item == 8], &table().conv.real[p.item == 8]
    if bias is not None:
        if bias.dtype != (np.float64 if p.item == 8 else np.float32):
            with np.errstate(all="ignore"):   # beyond float32 lies infinity
                bias = bias.astype(np.float64 if p.item == 8 else np.float32)
        b = np.ascontiguousarray(bias)
        p.bias = <const char *>cnp.PyArray_DATA(b)
    p.x, p.out = <const char *>cnp.PyArray_DATA(x), <char *>cnp.PyArray_DATA(out)
    p.x_kind = kind_of(x)
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
    set_filters(&p, w, groups)
    p.sh, p.sw, p.dh, p.dw, p.top, p.left = sh, sw, dh, dw, top, left
    p.mode, p.cval, p.activation = mode, cval, activation
    if serves(&p) if method == WINOGRAD else method == AUTO and pays(&p):
        if bank is None:
            bank = transform_filters(&p, workers)
        repair(&p, x, compute_tiles(&p, bank, workers), workers)
    else:
        compute_directly(&p, x, workers)


def transforms(cnp.ndarray w, idx groups, bint double_, bint pay):
    """Whether Winograd's method can compute with the filters `w` at strides and dilations of 1, and may pay."""
    cdef Plan p
    plan_filters(&p, w, groups, double_)
    return serves(&p) and (not pay or many_channels(&p))


def pays_for(cnp.ndarray w, idx groups, bint double_, idx ho, idx wo):
    """Whether "auto" takes Winograd's method for images of ho x wo outputs."""
    cdef Plan p
    plan_filters(&p, w, groups, double_)
    p.ho, p.wo = ho, wo
    return pays(&p)


def bank_of(cnp.ndarray w, idx groups, bint double_):
    """The transformed filters of `w`, for conv2d on the current instruction set."""
    cdef Plan p
    plan_filters(&p, w, groups, double_)
    return transform_filters(&p, None)
