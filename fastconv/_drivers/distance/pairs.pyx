"""Drivers of matrices of distances, whole (cdist) and condensed (pdist): which block goes where in the result. Next hop:
plan.pyx, which cuts them into tasks; blocks.pyx computes a block."""
cimport numpy as cnp

from fastconv._drivers.common cimport idx
from fastconv._drivers.distance.blocks cimport Block, Thread, compute, compute_block, emit, execute, offset
from fastconv._drivers.distance.plan cimport CONDENSED, MATRIX, SYMMETRIC, Plan, clear, describe, take
from fastconv._drivers.distance.table cimport fc_unpacked
from fastconv._drivers.runtime cimport seam, tick

cnp.import_array()

cdef idx SMALL_WORK = 20_000     # pairs times (d + 4) below which `small` computes on the calling thread at once
cdef idx STREAM_BYTES = 32 << 20 # results of the caller larger than this are written past the caches
seam("distance.SMALL_WORK", &SMALL_WORK)
seam("distance.STREAM_BYTES", &STREAM_BYTES)


cdef bint matrix_task(const Plan *p, Thread *t, idx task) noexcept nogil:
    """Blocks of a band of rows, slab after slab: a band is one thread's, so that no two threads touch new pages of the
    result at once, which the system would clear for both. Of CONDENSED half of a band comes from the front and half from
    the back, so that all have as many pairs."""
    cdef idx at = task % p.band, half = p.band // 2, band
    cdef Block b
    task //= p.band
    b.j0 = task % p.slabs * p.block_cols
    b.cols = min(p.block_cols, p.b.count - b.j0)
    task //= p.slabs
    band, b.batch = task % p.bands, task // p.bands
    if p.way == MATRIX:
        b.i0 = (band * p.band + at) * p.block_rows
    else:
        b.i0 = (band * half + at if at < half else (2 * p.bands - band - 2) * half + at) * p.block_rows
    b.rows = min(p.block_rows, p.a.count - b.i0)
    if b.rows <= 0:
        return True
    cdef char *out = p.out + offset(p, p.lead_out, b.batch)
    if p.way == CONDENSED:
        b.out = out
        return b.j0 + b.cols <= b.i0 + 1 or compute_block(p, t, &b)
    out += b.i0 * p.out_row + b.j0 * p.out_col
    b.out = out if p.direct else NULL
    if not compute_block(p, t, &b):
        return False
    cdef idx rest = b.cols % p.panel
    if not p.direct:
        emit(p, t, &b, 0, out, p.out_row, p.out_col)
    elif rest % p.base.lanes:
        emit(p, t, &b, b.cols - rest, out + (b.cols - rest) * p.item, p.out_row, p.out_col)
    return True


cdef bint square_task(const Plan *p, Thread *t, idx task) noexcept nogil:
    """Task number j (j + 1) / 2 + i is block (i, j), i <= j."""
    cdef idx each = p.slabs * (p.slabs + 1) // 2, j = 0, i
    cdef Block b
    b.batch = task // each
    task %= each
    while (j + 1) * (j + 2) // 2 <= task:
        j += 1
    i = task - j * (j + 1) // 2
    b.i0, b.rows = i * p.block_rows, min(p.block_rows, p.a.count - i * p.block_rows)
    b.j0, b.cols, b.out = j * p.block_cols, min(p.block_cols, p.b.count - j * p.block_cols), NULL
    cdef char *out = p.out + offset(p, p.lead_out, b.batch)
    if not compute_block(p, t, &b):
        return False
    emit(p, t, &b, 0, out + b.i0 * p.out_row + b.j0 * p.out_col, p.out_row, p.out_col)
    if i != j:
        emit(p, t, &b, 0, out + b.j0 * p.out_row + b.i0 * p.out_col, p.out_col, p.out_row)
    return True


cdef bint unpacked_task(const Plan *p, Thread *t, idx item) noexcept nogil:
    """A whole batch item, where its points are; packed after all, block after block, if a sum left the safe range."""
    cdef fc_unpacked a
    cdef idx blocks = p.bands * p.band * p.slabs if p.way == MATRIX else p.slabs * (p.slabs + 1) // 2, i
    a.a, a.b = p.a.data + offset(p, p.a.lead, item), p.b.data + offset(p, p.b.lead, item)
    a.out = p.out + offset(p, p.lead_out, item)
    a.a_step, a.b_step, a.out_step = p.a.row // p.item, p.b.row // p.item, p.out_row // p.item
    a.m, a.n, a.d, a.metric, a.ending = p.a.count, p.b.count, p.d, p.metric, p.ending
    if not p.k.unpacked(&a):
        return not tick(&t.worker.clock, p.a.count * p.b.count * p.d + 64)
    for i in range(item * blocks, (item + 1) * blocks):
        if not (matrix_task(p, t, i) if p.way == MATRIX else square_task(p, t, i)):
            return False
    return True


cdef void run(const void *plan, void *worker) noexcept nogil:
    """The tasks of one thread, always the same ones."""
    cdef const Plan *p = <const Plan *>plan
    cdef Thread *t = <Thread *>worker
    cdef bint go_on = True
    while go_on and t.worker.first < t.worker.last:
        if p.unpacked:
            go_on = unpacked_task(p, t, t.worker.first)
        elif p.way == SYMMETRIC:
            go_on = square_task(p, t, t.worker.first)
        else:
            go_on = matrix_task(p, t, t.worker.first)
        t.worker.first += 1


def matrix(cnp.ndarray xa, cnp.ndarray xb, cnp.ndarray out, bint single, bint symmetric, bint reused, tuple metric, workers):
    """Fills out (..., m, n) with distances; distance.py has checked everything. `symmetric`: xb is xa; `reused`: the pages
    of out are there already (new ones are in the caches, cleared, and stores past them would first throw them out)."""
    cdef Plan p
    cdef int lead = out.ndim - 2
    describe(&p, xa, xb, out, lead, single, metric)
    p.out_row, p.out_col = cnp.PyArray_STRIDE(out, lead), cnp.PyArray_STRIDE(out, lead + 1)
    p.way = SYMMETRIC if symmetric else MATRIX
    p.stream = reused and not symmetric and cnp.PyArray_NBYTES(out) > STREAM_BYTES
    compute(&p, p.cost, workers, run)


def condensed(cnp.ndarray x, cnp.ndarray out, bint single, tuple metric, workers):
    """Fills out (..., n (n - 1) / 2) with the distances of x (..., n, d) to itself."""
    cdef Plan p
    cdef int lead = out.ndim - 1
    describe(&p, x, x, out, lead, single, metric)
    p.out_row, p.out_col = 0, cnp.PyArray_STRIDE(out, lead)
    p.way = CONDENSED
    compute(&p, 0.5 * p.cost, workers, run)


# ---- few points ----

cdef inline bint plain(cnp.ndarray a) noexcept:
    """Whether an array is two-dimensional, native float32 or float64 and aligned."""
    cdef int type_ = cnp.PyArray_TYPE(a)
    return (a.ndim == 2 and (type_ == cnp.NPY_DOUBLE or type_ == cnp.NPY_FLOAT) and cnp.PyArray_ISBEHAVED_RO(a))


cdef dict _small = {}


def set_small(dict metrics):
    """Says which metrics `small` computes: {name: (sums, ending, preparation)}."""
    _small.update(metrics)


def small(xa, xb, metric):
    """cdist of a few plain points by a metric without arguments; None where anything is less plain."""
    cdef object code = _small.get(metric)
    if code is None or type(xa) is not cnp.ndarray or type(xb) is not cnp.ndarray:
        return None
    cdef cnp.ndarray a = xa, b = xb, out
    if not plain(a) or not plain(b) or cnp.PyArray_TYPE(a) != cnp.PyArray_TYPE(b):
        return None
    cdef Plan p
    cdef idx m = cnp.PyArray_DIM(a, 0), n = cnp.PyArray_DIM(b, 0), d = cnp.PyArray_DIM(a, 1)
    if d != cnp.PyArray_DIM(b, 1) or m == 0 or n == 0 or <double>m * n * (d + 4) > SMALL_WORK:
        return None
    cdef cnp.npy_intp[2] shape
    shape[0], shape[1] = m, n
    out = cnp.PyArray_EMPTY(2, shape, cnp.PyArray_TYPE(a), 0)
    clear(&p, cnp.PyArray_ITEMSIZE(a) == 4)
    p.d, p.cost = d, 1
    take(&p.a, a, 0)
    take(&p.b, b, 0)
    p.out, p.out_kind, p.out_row, p.out_col = cnp.PyArray_BYTES(out), p.a.kind, n * p.item, p.item
    p.metric, p.ending, p.prepare = (<tuple>code)[0], (<tuple>code)[1], (<tuple>code)[2]
    p.p, p.n, p.factor = 2, d, 1
    p.way = MATRIX
    execute(&p, 1, run)
    return out
