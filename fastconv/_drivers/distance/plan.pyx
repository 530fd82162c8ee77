"""Plans distances: how points are cut into blocks, slabs and tasks, and which of them are read or written where they are.

A task is a block of rows of XA times a slab of rows of XB. Its distances are computed tile by tile into `stage`, an array
that stays in the second-level cache, and go from there to where they belong:

- MATRIX: a block of the result, straight into it where its elements lie side by side.
- SYMMETRIC: XA is XB: blocks on and above the diagonal, each stored twice.
- CONDENSED: XA is XB: tiles on and above the diagonal, stored row by row in SciPy's order of pdist.
- PULL: gradients: a task goes through all slabs and adds up what each pair pulls at its rows of XA.
- NEAREST: a task goes through all slabs of its part of the data and keeps the nearest of each row.

Where a point has more numbers than RANGE, the sums go through ranges of them, and again for pairs that need it.
Next hop: blocks.pyx, which computes a block.
"""
from libc.string cimport memset

cimport numpy as cnp

from fastconv._drivers.base cimport FC_F32, FC_F64
from fastconv._drivers.common cimport ceil_div, idx, kind_of, round_up
from fastconv._drivers.distance.table cimport (
    FC_AS_IS,
    FC_CITYBLOCK,
    FC_PACKED_BITS,
    FC_PLAIN,
    FC_POINT_CHAIN,
    FC_POINT_ROWS,
    FC_ROOT,
    FC_SQUARE,
    fc_prepared_numbers,
    fc_reads_in_place,
)
from fastconv._drivers.runtime cimport seam, table

cnp.import_array()

cdef idx RANGE = 4096            # numbers of a point that are packed at once
cdef idx A_BYTES = 384 << 10     # packed rows of XA: a part of the second-level cache
cdef idx B_BYTES = 512 << 10     # packed rows of XB
cdef idx BLOCK_ROWS = 96
cdef idx BLOCK_COLUMNS = 512
cdef idx DIRECT_COLUMNS = 4096   # where no stage has to hold them
cdef idx NEAREST_ROWS = 384      # more queries for each packed slab of data
cdef idx ROW_BYTES = 1 << 20     # heaps of a block's rows, where they are not in the result; and their gradients
cdef idx SQUARE = 192            # side of a block of a symmetric matrix
cdef idx UNPACKED_WORK = 4096    # pairs times d of a batch item computed without packing
seam("distance.RANGE", &RANGE)
seam("distance.A_BYTES", &A_BYTES)
seam("distance.B_BYTES", &B_BYTES)
seam("distance.BLOCK_ROWS", &BLOCK_ROWS)
seam("distance.BLOCK_COLUMNS", &BLOCK_COLUMNS)
seam("distance.DIRECT_COLUMNS", &DIRECT_COLUMNS)
seam("distance.NEAREST_ROWS", &NEAREST_ROWS)
seam("distance.ROW_BYTES", &ROW_BYTES)
seam("distance.SQUARE", &SQUARE)
seam("distance.UNPACKED_WORK", &UNPACKED_WORK)


cdef void clear(Plan *p, bint single) noexcept:
    """All but the leading axes, which are long and seldom there; and the kernels."""
    memset(p, 0, <size_t>p.lead_shape - <size_t>p)
    p.a.lead, p.b.lead = p.lead_a, p.lead_b
    p.base, p.k = &table().base.real[not single], &table().distance.real[not single]
    p.item = 4 if single else 8
    p.batches = p.parts = 1


cdef int take(Points *x, cnp.ndarray a, int lead) except -1:
    """Points of `a` (..., rows, d), whose leading axes broadcast to those of the result, `lead` of them."""
    cdef int i, own = a.ndim - 2
    x.data = cnp.PyArray_BYTES(a)
    x.count, x.row, x.col = cnp.PyArray_DIM(a, own), cnp.PyArray_STRIDE(a, own), cnp.PyArray_STRIDE(a, own + 1)
    x.kind = kind_of(a)
    if cnp.PyArray_DIM(a, own + 1) == 1:
        x.col = cnp.PyArray_ITEMSIZE(a)
    for i in range(lead):
        x.lead[i] = 0
        if i >= lead - own and cnp.PyArray_DIM(a, i - lead + own) > 1:
            x.lead[i] = cnp.PyArray_STRIDE(a, i - lead + own)
    return 0


cdef int describe(Plan *p, cnp.ndarray xa, cnp.ndarray xb, cnp.ndarray out, int lead, bint single, tuple metric) except -1:
    """What all ways have in common; `metric` is (metric, ending, prepare, p, n, weights, tile_weights, matrix, cost, factor)."""
    cdef int i
    cdef cnp.ndarray array
    clear(p, single)
    p.lead = lead
    for i in range(lead):
        p.lead_shape[i] = cnp.PyArray_DIM(out, i)
        p.lead_out[i] = cnp.PyArray_STRIDE(out, i)
        p.batches *= p.lead_shape[i]
    p.d = cnp.PyArray_DIM(xa, xa.ndim - 1)
    take(&p.a, xa, lead)
    take(&p.b, xb, lead)
    p.out, p.out_kind = cnp.PyArray_BYTES(out), kind_of(out)
    p.metric, p.ending, p.prepare, p.p, p.n = metric[0], metric[1], metric[2], metric[3], metric[4]
    p.cost, p.factor = metric[8], metric[9]
    if metric[5] is not None:
        array = metric[5]
        p.weights = <const double *>cnp.PyArray_DATA(array)
    if metric[6] is not None:
        array = metric[6]
        p.tile_weights = cnp.PyArray_BYTES(array)
    if metric[7] is not None:
        array = metric[7]
        p.matrix = <const double *>cnp.PyArray_DATA(array)
    return 0


cdef bint in_rows(const Plan *p, const Points *x) noexcept:
    """Whether the kernels can read, or write, each row where it is."""
    cdef int axis
    for axis in range(p.lead):
        if x.lead[axis] % p.item:
            return False
    return (x.kind == (FC_F32 if p.item == 4 else FC_F64) and <size_t>x.data % p.item == 0 and x.row % p.item == 0
            and x.col == p.item)


cdef bint out_in_rows(const Plan *p) noexcept:
    cdef Points out
    out.data, out.row, out.col, out.kind, out.lead = p.out, p.out_row, p.out_col, p.out_kind, <idx *>p.lead_out
    return in_rows(p, &out) and p.out_col == p.item


cdef bint is_unpacked(const Plan *p) noexcept:
    """Whether a batch item is so small that packing its points would cost more than its distances."""
    if (p.way != MATRIX and p.way != SYMMETRIC) or p.d > FC_POINT_CHAIN or p.a.count * p.b.count * p.d > UNPACKED_WORK:
        return False
    if p.prepare != FC_PLAIN or p.tile_weights != NULL or not (
            p.metric == FC_SQUARE and (p.ending == FC_AS_IS or p.ending == FC_ROOT) or p.metric == FC_CITYBLOCK):
        return False
    return p.d > 0 and in_rows(p, &p.a) and in_rows(p, &p.b) and out_in_rows(p)


cdef void plan_range(Plan *p) noexcept:
    """Prepared numbers of a point, and how many of them are packed at once: whole chains of the kernels."""
    cdef idx unit = FC_POINT_CHAIN
    p.each = fc_prepared_numbers(p.prepare)
    unit *= p.each
    p.terms = ceil_div(p.d, 8 * p.item) if p.prepare == FC_PACKED_BITS else p.each * p.d
    p.range = min(p.terms, max(RANGE // unit * unit, unit))
    p.ranges = max(ceil_div(p.terms, max(p.range, 1)), 1)
    p.length = round_up(min(p.d, ceil_div(p.range, p.each)), p.base.lanes)


cdef void plan_blocks(Plan *p, idx rows, idx most, int threads) noexcept:
    """Blocks of about the same size, as many for each thread, of at most `rows` rows and `most` columns."""
    cdef bint shared = not p.unpacked and p.batches < 4 * threads   # items, by several threads
    p.block_cols = DIRECT_COLUMNS if p.direct or p.way == CONDENSED else BLOCK_COLUMNS
    p.block_cols = min(min(max(p.block_cols // p.panel, 1) * p.panel, most), round_up(p.b.count, p.base.lanes))
    p.row_blocks = ceil_div(p.a.count, min(rows, NEAREST_ROWS if p.way == NEAREST else BLOCK_ROWS))
    if shared and p.a.count > threads * FC_POINT_ROWS:
        p.row_blocks = round_up(p.row_blocks, 2 * threads if p.way == CONDENSED else threads)
    p.block_rows = round_up(ceil_div(p.a.count, p.row_blocks), FC_POINT_ROWS)
    p.row_blocks = ceil_div(p.a.count, p.block_rows)
    p.slabs = ceil_div(p.b.count, p.block_cols)
    p.tasks = p.batches * p.row_blocks * (p.parts if p.way == NEAREST else 1)
    if p.way == MATRIX or p.way == CONDENSED:
        p.band = ceil_div(p.row_blocks, threads) if shared else p.row_blocks
        if p.way == CONDENSED:
            p.band = round_up(p.band, 2)
        p.bands = ceil_div(p.row_blocks, p.band)
        p.tasks = p.batches * p.bands * p.band * p.slabs
    p.part_slabs = ceil_div(p.slabs, p.parts)


cdef void plan(Plan *p, int threads) noexcept:
    cdef idx lanes = p.base.lanes, rows, most
    cdef idx larger = 4 if p.matrix != NULL else 1  # blocks: each maps its points again, in d^2 steps
    p.unpacked = is_unpacked(p)
    p.in_place = in_rows(p, &p.a) and fc_reads_in_place(p.prepare)
    p.direct = (p.way == CONDENSED or p.way == MATRIX and not p.stream) and out_in_rows(p)
    plan_range(p)
    p.panel = min(p.k.vectors * lanes, round_up(p.b.count, lanes))
    most = max(larger * B_BYTES // (p.panel * max(p.range, 1) * p.item), 1) * p.panel
    rows = max(larger * A_BYTES // (FC_POINT_ROWS * max(p.range, 1) * p.item), 1) * FC_POINT_ROWS
    if p.way == NEAREST and p.distance_size != p.item:
        rows = min(rows, ROW_BYTES // (p.neighbors * p.item))
    elif p.way == PULL:
        rows = min(rows, ROW_BYTES // (max(p.d, 1) * <idx>sizeof(double)))
    rows = max(rows, FC_POINT_ROWS)
    if p.way != SYMMETRIC:
        plan_blocks(p, rows, most, threads)
    else:
        p.block_rows = p.block_cols = min(min(round_up(p.a.count, p.panel), max(SQUARE // p.panel, 1) * p.panel),
                                          max(rows // p.panel * p.panel, p.panel))
        p.slabs = p.row_blocks = ceil_div(p.a.count, p.block_rows)
        p.tasks = p.batches * p.slabs * (p.slabs + 1) // 2
    if p.unpacked:
        p.tasks = p.batches
    p.stage_step = (p.panel if p.direct or p.way == CONDENSED else round_up(p.block_cols, lanes)) + lanes
