"""Driver of the gradients of distances (cdist_vjp): a block of rows of XA meets all rows of XB, slab by slab, and adds up in
double precision what each pair pulls at its rows. Next hop: plan.pyx, which cuts them into tasks; blocks.pyx computes distances,
kernels/distance/gradients.h what they pull."""
from libc.string cimport memcpy, memset

cimport numpy as cnp

from fastconv._drivers.base cimport FC_F32, FC_F64
from fastconv._drivers.common cimport idx, kind_of
from fastconv._drivers.distance.blocks cimport Block, Thread, compute, compute_block, describe_points, offset
from fastconv._drivers.distance.plan cimport PULL, Plan, Points, describe
from fastconv._drivers.distance.table cimport (
    FC_FORM,
    FC_MAPPED,
    FC_MEASURES,
    FC_PLAIN,
    FC_PULL_BRAYCURTIS,
    FC_PULL_SIZES,
    FC_WORDS,
    fc_emit,
    fc_points,
    fc_pull,
    fc_unprepare,
)
from fastconv._drivers.runtime cimport tick

cnp.import_array()


cdef void flat(const Plan *p, Thread *t, const Points *x, idx batch, idx row, idx first, idx count, double *measures,
               char *dst) noexcept nogil:
    """Numbers first.. of a prepared row of a block, side by side; of pairs the first alone, second words after the first; of
    FC_FORM as they were given."""
    cdef fc_points a
    cdef fc_emit e
    cdef idx each = p.each
    describe_points(p, t, x, &a)
    if p.metric == FC_FORM:
        a.prepare, each = FC_PLAIN, 1
    a.measures, a.measured = measures, True
    a.src = x.data + offset(p, x.lead, batch) + row * x.row
    a.rows = a.width = 1
    a.first, a.count, a.dst, a.stats = first * each, count * each, t.spare, t.c
    p.k.points(&a)
    e.src, e.src_step, e.rows, e.columns = t.spare, each, count, 1
    e.out, e.out_row, e.out_col, e.kind, e.stream = dst, p.item, p.item, FC_F32 if p.item == 4 else FC_F64, False
    p.k.emit(&e)
    if p.metric == FC_WORDS:
        e.src, e.out = t.spare + p.item, dst + p.length * p.item
        p.k.emit(&e)


cdef bint pull_range(const Plan *p, Thread *t, const Block *b, idx first, idx count, int kind) noexcept nogil:
    """What a block of pairs pulls at numbers first.. of its rows of XA, added to their totals (or to the pairs' sizes)."""
    cdef idx size = p.length * (2 if p.metric == FC_WORDS else 1) * p.item, j, r
    cdef double work = <double>count * (p.d if p.prepare == FC_MAPPED else 4)
    cdef char *own = t.rows + size
    cdef char *sums = own + size
    cdef char *others = sums + size
    cdef fc_pull u
    memset(t.rows, 0, (3 + b.cols) * size)
    for j in range(b.cols):
        flat(p, t, &p.b, b.batch, b.j0 + j, first, count, t.b_measures + j * FC_MEASURES, others + j * size)
        if tick(&t.worker.clock, work):
            return False
    u.a, u.b, u.sum, u.kind, u.p = own, others, sums, kind, p.p
    u.w = NULL
    if p.tile_weights != NULL:
        u.w = memcpy(t.rows, p.tile_weights + first * p.item, count * p.item)
    u.b_step, u.length, u.n = size // p.item, p.length, b.cols
    for r in range(b.rows):
        flat(p, t, &p.a, b.batch, b.i0 + r, first, count, t.a_measures + r * FC_MEASURES, own)
        u.g, u.sizes = t.g + r * p.block_cols * p.item, t.sizes + r * p.block_cols * p.item
        u.distances = t.stage + r * p.stage_step * p.item
        p.k.pull(&u)
        if kind != FC_PULL_SIZES:
            p.k.add_wide(t.totals + r * p.d + first, sums, count)
        if tick(&t.worker.clock, work + (4 + p.cost) * b.cols * count):
            return False
    return True


cdef void read_gradients(const Plan *p, Thread *t, const Block *b) noexcept nogil:
    """The gradients of the distances of a block, in their own precision."""
    cdef fc_points one
    cdef idx r
    one.row_step, one.col_step, one.begin, one.rows, one.width, one.first = 0, p.grad_col, 0, 1, 1, 0
    one.kind, one.prepare, one.measured, one.d, one.count = p.grad_kind, FC_PLAIN, False, b.cols, b.cols
    one.stats, one.row, one.wide, one.measures = t.c, t.line, t.wide, t.wide
    for r in range(b.rows):
        one.src = p.grad + offset(p, p.lead_grad, b.batch) + (b.i0 + r) * p.grad_row + b.j0 * p.grad_col
        one.dst = t.g + r * p.block_cols * p.item
        p.k.points(&one)


cdef bint pull_block(const Plan *p, Thread *t, const Block *b, int kind) noexcept nogil:
    """What a block pulls at its rows of XA, range after range."""
    cdef idx first = 0
    while first < p.d:
        if not pull_range(p, t, b, first, min(p.length, p.d - first), kind):
            return False
        first += p.length
    return True


cdef bint pull_task(const Plan *p, Thread *t, idx task) noexcept nogil:
    cdef idx slab, r
    cdef Block b
    cdef fc_unprepare e
    b.i0, b.batch, b.out = task % p.row_blocks * p.block_rows, task // p.row_blocks, NULL
    b.rows = min(p.block_rows, p.a.count - b.i0)
    memset(t.totals, 0, b.rows * p.d * sizeof(double))
    for slab in range(p.slabs):
        b.j0 = slab * p.block_cols
        b.cols = min(p.block_cols, p.b.count - b.j0)
        if not compute_block(p, t, &b):
            return False
        memset(t.sizes, 0, b.rows * p.block_cols * p.item)
        read_gradients(p, t, &b)
        if p.pull == FC_PULL_BRAYCURTIS and not pull_block(p, t, &b, FC_PULL_SIZES):
            return False
        if not pull_block(p, t, &b, p.pull):
            return False
    for r in range(b.rows):
        e.total = t.totals + r * p.d
        e.x = p.a.data + offset(p, p.a.lead, b.batch) + (b.i0 + r) * p.a.row
        e.x_step, e.d, e.kind, e.prepare = p.a.col, p.d, p.a.kind, p.prepare
        e.w, e.matrix, e.wide, e.factor = p.weights, p.matrix, t.wide, p.factor
        e.out = p.pulled + (b.batch * p.a.count + b.i0 + r) * p.d * p.item
        p.k.unprepare(&e)
        if tick(&t.worker.clock, <double>p.d * (p.d if p.matrix != NULL else 16)):
            return False
    return True


cdef void run(const void *plan, void *worker) noexcept nogil:
    """The tasks of one thread, always the same ones."""
    cdef const Plan *p = <const Plan *>plan
    cdef Thread *t = <Thread *>worker
    while t.worker.first < t.worker.last and pull_task(p, t, t.worker.first):
        t.worker.first += 1


def pull(cnp.ndarray grad, cnp.ndarray xa, cnp.ndarray xb, cnp.ndarray out, int kind, bint single, tuple metric, workers):
    """Fills out (..., m, d), C-contiguous, with the sums over j of grad[..., i, j] times the gradient at xa[..., i, :] of its
    distance to xb[..., j, :]."""
    cdef Plan p
    cdef int i, lead = out.ndim - 2
    describe(&p, xa, xb, out, lead, single, metric)
    p.pulled, p.pull = cnp.PyArray_BYTES(out), kind
    p.grad, p.grad_kind = cnp.PyArray_BYTES(grad), kind_of(grad)
    p.grad_row, p.grad_col = cnp.PyArray_STRIDE(grad, lead), cnp.PyArray_STRIDE(grad, lead + 1)
    for i in range(lead):
        p.lead_grad[i] = cnp.PyArray_STRIDE(grad, i)
    p.way = PULL
    compute(&p, 4 + p.cost, workers, run)
