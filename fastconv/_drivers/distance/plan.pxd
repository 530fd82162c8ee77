"""The plan of one call with distances: what plan.pyx decides and pairs.pyx, nearest.pyx and gradients.pyx carry out."""
cimport numpy as cnp

from fastconv._drivers.base cimport fc_base_kernels
from fastconv._drivers.common cimport idx
from fastconv._drivers.distance.table cimport fc_distance_kernels

cdef enum:
    MAX_LEAD = 64


cdef enum Way:
    MATRIX, SYMMETRIC, CONDENSED, NEAREST, PULL


cdef struct Points:
    const char *data
    idx row, col, count
    int kind
    idx *lead                    # steps of the leading axes


cdef struct Plan:
    const fc_base_kernels *base
    const fc_distance_kernels *k
    Way way
    idx item
    int lead
    idx batches, d
    Points a, b
    char *out
    idx out_row, out_col
    int out_kind
    bint stream
    bint unpacked                # a task is a batch item, computed where its points are
    bint in_place                # whole groups of rows of XA are read where they are
    bint direct                  # whole tiles of MATRIX and CONDENSED are written to the result, others go through stage
    # NEAREST: the nearest of query q in part s, so many, at (s * queries + q) * neighbors.
    char *distances
    idx *indices
    idx neighbors, parts, part_slabs
    int distance_size            # bytes of a distance in the result
    # PULL: gradients of the distances, and where the sums go, (batches, m, d); numbers of a range, padded.
    const char *grad
    idx grad_row, grad_col
    int grad_kind, pull
    char *pulled
    idx length
    # The metric.
    int metric, ending, prepare
    double p, n, factor, cost
    const double *weights
    const double *matrix
    const char *tile_weights
    # Sums over `terms` prepared numbers, `range` at once.
    idx terms, range, ranges
    int each                     # prepared numbers for each number of a point: 1, 2 or 3
    idx panel                    # columns of a full panel
    idx block_rows, block_cols, row_blocks, slabs, tasks
    idx band, bands              # MATRIX and CONDENSED: blocks of rows that one thread computes, how many such bands
    idx stage_step
    # Shape and steps of the leading axes, the first `lead` of each.
    idx lead_shape[MAX_LEAD]
    idx lead_a[MAX_LEAD]
    idx lead_b[MAX_LEAD]
    idx lead_out[MAX_LEAD]
    idx lead_grad[MAX_LEAD]


cdef void clear(Plan *p, bint single) noexcept
cdef int take(Points *x, cnp.ndarray a, int lead) except -1
cdef int describe(Plan *p, cnp.ndarray xa, cnp.ndarray xb, cnp.ndarray out, int lead, bint single, tuple metric) except -1
cdef void plan(Plan *p, int threads) noexcept
