"""Driver of the nearest neighbours (knn, pairwise_argmin): a block of queries meets its part of the data slab by slab, and
keeps a heap for each query. Next hop: plan.pyx, which cuts them into tasks; blocks.pyx computes a block,
kernels/distance/heap.h keeps heaps."""
cimport numpy as cnp

from fastconv._drivers.common cimport idx
from fastconv._drivers.distance.blocks cimport Block, Thread, compute, compute_block
from fastconv._drivers.distance.plan cimport NEAREST, Plan, describe
from fastconv._drivers.distance.table cimport fc_emit, fc_heap
from fastconv._drivers.runtime cimport tick

cnp.import_array()

cdef enum:
    SORT_STEPS = 1 << 16         # of a heap, between two looks at the clock


cdef bint sort_heap(const Plan *p, Thread *t, fc_heap *h, char *out) noexcept nogil:
    """Puts what a heap holds in order, after rounding where the result has another kind, and then to the result."""
    cdef fc_emit e
    cdef bint rounds = p.distance_size != p.item
    h.todo = h.held + h.held // 2 + (h.held if rounds else 0)
    while h.todo > 0:
        p.k.heap_sort(h, SORT_STEPS)
        if tick(&t.worker.clock, 100. * SORT_STEPS):
            return False
    if rounds:
        e.src, e.src_step, e.rows, e.columns = h.distances, p.neighbors, 1, p.neighbors
        e.out, e.out_row, e.out_col, e.kind, e.stream = out, 0, p.distance_size, p.out_kind, False
        p.k.emit(&e)
    return True


cdef bint nearest_task(const Plan *p, Thread *t, idx task) noexcept nogil:
    cdef idx part = task % p.parts, r, at
    task //= p.parts
    cdef Block b
    b.i0, b.batch, b.out = task % p.row_blocks * p.block_rows, task // p.row_blocks, NULL
    b.rows = min(p.block_rows, p.a.count - b.i0)
    cdef idx first = part * p.part_slabs * p.block_cols, end = min(first + p.part_slabs * p.block_cols, p.b.count)
    cdef char *out
    cdef fc_heap h
    h.k, h.kind = p.neighbors, p.out_kind
    b.j0 = first
    while b.j0 < end:
        b.cols = min(p.block_cols, end - b.j0)
        if not compute_block(p, t, &b):
            return False
        for r in range(b.rows):
            at = ((part * p.batches + b.batch) * p.a.count + b.i0 + r) * p.neighbors
            out = p.distances + at * p.distance_size
            h.distances = out if p.distance_size == p.item else t.heaps + r * p.neighbors * p.item
            h.indices = p.indices + at
            h.held = min(p.neighbors, b.j0 - first)
            p.k.heap_add(&h, t.stage + r * p.stage_step * p.item, b.cols, b.j0)
            if b.j0 + b.cols == end and not sort_heap(p, t, &h, out):
                return False
            if tick(&t.worker.clock, 16. * b.cols):
                return False
        b.j0 += b.cols
    return True


cdef void run(const void *plan, void *worker) noexcept nogil:
    """The tasks of one thread, always the same ones."""
    cdef const Plan *p = <const Plan *>plan
    cdef Thread *t = <Thread *>worker
    while t.worker.first < t.worker.last and nearest_task(p, t, t.worker.first):
        t.worker.first += 1


def nearest(cnp.ndarray queries, cnp.ndarray data, cnp.ndarray distances, cnp.ndarray indices, bint single, tuple metric,
            workers):
    """Fills distances and indices (parts, ..., m, k), C-contiguous, with the k nearest of each query in each part of data."""
    cdef Plan p
    cdef int lead = distances.ndim - 3
    describe(&p, queries, data, distances[0], lead, single, metric)
    p.distances, p.indices = cnp.PyArray_BYTES(distances), <idx *>cnp.PyArray_DATA(indices)
    p.parts, p.neighbors = cnp.PyArray_DIM(distances, 0), cnp.PyArray_DIM(distances, lead + 2)
    p.distance_size = cnp.PyArray_ITEMSIZE(distances)
    p.way = NEAREST
    compute(&p, p.cost, workers, run)
