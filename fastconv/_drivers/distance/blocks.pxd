"""A block of distances, on one thread: blocks.pyx computes it for the tasks of pairs.pyx, nearest.pyx and gradients.pyx."""
from fastconv._drivers.common cimport idx
from fastconv._drivers.distance.plan cimport Plan, Points
from fastconv._drivers.distance.table cimport fc_points
from fastconv._drivers.runtime cimport Step, Worker


cdef struct Thread:
    Worker worker
    idx packed                   # which slab lies in b, -1: none
    idx packed_range
    char *a
    char *a_stats
    char *b
    char *b_stats
    char *c
    char *needs                  # of each tile, whether a pass must follow
    char *stage
    char *line                   # a row as it is prepared
    double *wide
    double *a_measures
    double *b_measures
    char *heaps                  # NEAREST: distances of the rows of a block, where the result has another kind
    char *differences            # with a matrix: of two points, and the same mapped
    double *mapped
    char *rows                   # PULL: weights, a prepared row of XA, a sum, the rows of a slab of XB
    char *g                      # PULL: gradients of the distances of a block
    char *sizes
    char *spare
    double *totals


cdef struct Block:               # the distances of so many rows of XA, from i0 on, to rows (columns) of XB, from j0 on
    idx batch, i0, rows, j0, cols
    char *out                    # where it goes, NULL: to stage; of CONDENSED the result of the batch


cdef inline idx offset(const Plan *p, const idx *steps, idx batch) noexcept nogil:
    """Bytes from the first item of a batch to item `batch`, counted over the leading axes in C order."""
    cdef int axis
    cdef idx bytes_ = 0
    for axis in range(p.lead - 1, -1, -1):
        bytes_ += batch % p.lead_shape[axis] * steps[axis]
        batch //= p.lead_shape[axis]
    return bytes_


cdef void describe_points(const Plan *p, Thread *t, const Points *x, fc_points *a) noexcept nogil
cdef void emit(const Plan *p, Thread *t, const Block *b, idx first, char *out, idx out_row, idx out_col) noexcept nogil
cdef bint compute_block(const Plan *p, Thread *t, const Block *b) noexcept nogil
cdef int execute(Plan *p, int threads, Step run) except -1
cdef int compute(Plan *p, double cost, workers, Step run) except -1
