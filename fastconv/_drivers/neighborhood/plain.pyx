"""The plain way of named reductions, which takes any window, any mask and any NaN, and what all ways share. Next hop:
kernels/neighborhood/neighborhood.h.
"""
from libc.stdint cimport uint8_t

from fastconv._drivers.common cimport idx
from fastconv._drivers.neighborhood.engine cimport (
    Block,
    Lines,
    Reducer,
    dense_count,
    inside,
    locate,
    out_lines,
    must_end,
    put_some,
    slot_of,
)
from fastconv._drivers.neighborhood.table cimport (
    FC_LINE_HOLES,
    FC_LINE_MINUS,
    FC_NEAR_ALL,
    FC_NEAR_ANY,
    FC_NEAR_MAX,
    FC_NEAR_MIN,
    FC_NEAR_RANGE,
    FC_NEAR_STD,
    FC_NEAR_VAR,
    FC_OP_MAX,
    FC_OP_MIN,
    fc_near,
    fc_pile,
    fc_row,
)
from fastconv._drivers.runtime cimport seam

cdef idx PIECE_CELLS = 1 << 23   # cells of the windows of a piece, in the plain way
cdef idx LEAST_PIECE = 64

seam("neighborhood.PIECE_CELLS", &PIECE_CELLS)
seam("neighborhood.LEAST_PIECE", &LEAST_PIECE)


cdef idx plain_scratch(const Lines *p, bint mends) noexcept nogil:
    """Bytes for reduce_plain, or for mend."""
    return plain_line(p) + (2 * byte_pitch(p) + p.runs * sizeof(void *) if mends else 0)


cdef void some_plain(const Lines *p, const Block *b, const Reducer *r, fc_near *q, idx i, idx first, idx end) noexcept nogil:
    """Results first .. end - 1 of output line i, of all members of a group."""
    cdef const Near *own
    cdef idx step = p.step[p.ndim - 1]
    cdef char *out
    q.run_line, q.run_start, q.run_length, q.runs, q.cells = p.run_line, p.run_start, p.run_length, p.runs, p.cells
    q.first, q.n = first * step, (end - 1) * step + 1
    while r != NULL:
        own = <const Near *>r.own
        q.reduction, q.ddof, q.wide, q.nothing = own.reduction, own.ddof, own.wide, own.nothing
        # Compilers fuse the additions of squares in one of the two kernels: the bits must not depend on what else the block
        # holds.
        q.holes = b.flags & (FC_LINE_HOLES | FC_LINE_MINUS)
        if p.presence and own.reduction in (FC_NEAR_VAR, FC_NEAR_STD):
            q.holes = FC_LINE_HOLES
        q.lines = b.line + locate(p, b, r, i, &out)
        plain_elements(p).near(q)
        put_some(p, r, out, q.out, own.plain, first, end)
        r = follower(r)


cdef const uint8_t *whole_windows(const Lines *p, const Block *b, const Reducer *r, idx i, char *scratch) noexcept nogil:
    """Bytes that say which windows of output line i, boxes, have no hole; NULL: all."""
    cdef const void **rows = <const void **>(scratch + 2 * byte_pitch(p))
    cdef char *out
    cdef idx first = locate(p, b, r, i, &out), j
    cdef int flags = 0
    cdef void *least = scratch
    cdef void *whole = scratch + byte_pitch(p)
    cdef fc_pile pile
    cdef fc_row row
    for j in range(p.runs):
        rows[j] = b.line[first + p.run_line[j]].present
        flags |= b.line[first + p.run_line[j]].flags
    if not flags & FC_LINE_HOLES:
        return NULL
    pile.lines, pile.out, pile.count, pile.piles, pile.n, pile.op = rows, &least, p.runs, 1, span(p, b, p.ndim - 1), FC_OP_MIN
    p.k.elements[0].pile(&pile)
    row.src, row.spare, row.out, row.op = <const void **>&least, least, &whole, FC_OP_MIN
    row.window, row.n, row.count = p.window[p.ndim - 1], dense_count(p, b), 1
    p.k.elements[0].row(&row)
    return <const uint8_t *>whole


cdef void go_plain(const Lines *p, const Block *b, const Reducer *r, char *scratch, bint mends) noexcept nogil:
    """All outputs of a block or, if it `mends`, those whose windows have holes."""
    cdef idx count = b.count[p.ndim - 1], step = p.step[p.ndim - 1], piece, first, end, to
    cdef idx size = max(PIECE_CELLS // p.cells // step // LEAST_PIECE, 1) * LEAST_PIECE
    cdef idx parts = (count + size - 1) // size
    cdef const uint8_t *whole
    cdef fc_near q
    q.out = scratch
    for piece in range(out_lines(p, b) * parts):
        first, whole = piece % parts * size, NULL
        end = min(first + size, count)
        if mends:
            whole = whole_windows(p, b, r, piece // parts, scratch + plain_line(p))
            if whole == NULL:
                continue
        while first < end:
            to = end
            if mends:
                while first < end and whole[first * step]:
                    first += 1
                to = first
                while to < end and not whole[to * step]:
                    to += 1
            if first < to:
                some_plain(p, b, r, &q, piece // parts, first, to)
            first = to
        if must_end(b):
            return


cdef void reduce_plain(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """Any window, any mask, any NaN; all members of a group."""
    go_plain(p, b, r, scratch, False)


cdef void list_lines(const Lines *p, const Block *b, const Near *own, void **rows, char *bytes_) noexcept nogil:
    """The lines of a region, or `bytes_` that say what is not 0 in them."""
    cdef idx i, line, first = 0
    if p.in_place:
        inside(p, b, &first)
    for i in range(region_lines(p, b)):
        line = region_line(p, b, i)
        rows[i] = b.line[line].at + first * p.item
        if own.truth:
            rows[i] = bytes_ + slot_of(p, b, line) * byte_pitch(p)
            plain_elements(p).nonzero(<uint8_t *>rows[i], b.line[line].at, span(p, b, p.ndim - 1))


cdef const Reducer *first_of(const Reducer *r, int reduction) noexcept nogil:
    """The first member of a group with a reduction, or NULL."""
    while r != NULL and (<const Near *>r.own).reduction != reduction:
        r = follower(r)
    return r


cdef const Reducer *first_extreme(const Reducer *r, int op) noexcept nogil:
    """The first member of a group whose results are the least (FC_OP_MIN) or the greatest, or NULL."""
    cdef const Reducer *member = first_of(r, FC_NEAR_MAX if op == FC_OP_MAX else FC_NEAR_MIN)
    return member if member != NULL else first_of(r, FC_NEAR_ANY if op == FC_OP_MAX else FC_NEAR_ALL)


cdef bint wanted(const Reducer *r, int op) noexcept nogil:
    """Whether a group needs the least (FC_OP_MIN) or the greatest."""
    return first_of(r, FC_NEAR_RANGE) != NULL or first_extreme(r, op) != NULL
