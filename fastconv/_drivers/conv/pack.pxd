"""What the three ways of conv2d share: a thread, where the outputs of a task are, packing of filters and windows, storing.

Next hops: pack.pyx, kernels/conv/windows.h and kernels/base/pack.h.
"""
from fastconv._drivers.base cimport fc_ahead, fc_store
from fastconv._drivers.common cimport ceil_div, idx
from fastconv._drivers.conv.plan cimport Plan
from fastconv._drivers.conv.table cimport fc_window
from fastconv._drivers.runtime cimport Worker


cdef struct Thread:
    Worker worker
    idx packed                   # which filters lie in `filters`, -1: none
    idx range_, range_rows       # rows of a plane's filter that are summed now
    char *filters
    fc_ahead ahead               # filters or images that come next, prefetched meanwhile,
    fc_ahead ahead_out           # and where results will go
    char *window
    char *c                      # results that do not go directly to `out`
    char *sums                   # of the levels: those of a tile, of a block, of all that stay open
    idx *row_index
    idx *col_index


cdef struct Spot:                # where the outputs of a task are
    idx part                     # of the filters
    idx n                        # image
    idx y, y_end, x, cols


cdef inline Spot spot_of(const Plan *p, idx task) noexcept nogil:
    cdef Spot s
    s.x = task % p.col_tasks * p.block_cols
    s.cols = min(p.block_cols, p.wo - s.x)
    task //= p.col_tasks
    s.y = task % p.row_tasks * p.task_rows
    s.y_end = min(s.y + p.task_rows, p.ho)
    task //= p.row_tasks
    s.n, s.part = task % p.images, task // p.images
    return s


cdef inline const char *image(const Plan *p, const char *base, const idx *steps, idx n) noexcept nogil:
    """Address of image n, counted over the leading axes in C order."""
    cdef int axis
    for axis in range(p.lead - 1, -1, -1):
        base += n % p.lead_shape[axis] * steps[axis]
        n //= p.lead_shape[axis]
    return base


cdef inline idx channel_at(const Plan *p, idx channel) noexcept nogil:
    """Bytes to a channel of x, counted over all groups: the first of a group."""
    return (channel // 2 if p.x_pairs else channel) * p.x_channel


cdef inline idx filter_at(const Plan *p, idx k) noexcept nogil:
    """Bytes to what filter k leaves in `out`."""
    return k // 2 * p.out_k + k % 2 * p.item if p.out_pairs else k * p.out_k


cdef inline void store(const Plan *p, const void *c, idx c_row, idx c_col, idx rows, idx columns, char *out,
                       idx k) noexcept nogil:
    cdef fc_store a
    a.c, a.c_row, a.c_col, a.rows, a.columns = c, c_row, c_col, rows, columns
    a.out, a.out_row, a.out_col = out, p.out_col, p.out_k
    a.bias = p.bias + k * p.item if p.bias != NULL else NULL
    a.activation, a.kind = p.activation, p.out_kind
    if p.out_pairs:
        a.out -= k % 2 * p.item
        p.k.store_parts(&a, p.item, <int>(k % 2))
    else:
        p.k.store(&a)


cdef inline void start_ahead(fc_ahead *a, const char *at, idx row, idx rows, idx bytes, idx calls) noexcept nogil:
    """Prepares to prefetch `bytes` of each of so many rows, during so many calls."""
    a.at, a.row_lines = at, ceil_div(bytes, 64)
    a.left, a.skip, a.count = a.row_lines, row - a.row_lines * 64, a.row_lines * max(rows, 0)
    a.each = ceil_div(a.count, max(calls, 1))


cdef void pack_filters(const Plan *p, void *dst, idx group, idx k0, idx columns, idx width, idx first, idx count) noexcept nogil
cdef idx fill_index(idx *index, idx start, idx count, idx stride, idx taps, idx dilation, bint dense, idx pad, idx n,
                    int mode) noexcept nogil
cdef void fill_run(fc_window *a, idx *index, idx from_, idx step, idx n, int mode) noexcept nogil
cdef void pack_window(const Plan *p, Thread *t, const char *x, idx y0, idx rows, idx x0, idx cols, idx channels,
                      idx repeat) noexcept nogil
cdef void gather_terms(const Plan *p, Thread *t, const char *x, idx y0, idx rows, idx x0, idx cols, idx first,
                       idx last) noexcept nogil
