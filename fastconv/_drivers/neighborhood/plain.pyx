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
    FC_LINE_MASKED,
    FC_LINE_MINUS,
    FC_REDUCE_ALL,
    FC_REDUCE_ANY,
    FC_REDUCE_MAX,
    FC_REDUCE_MIN,
    FC_REDUCE_RANGE,
    FC_REDUCE_STD,
    FC_REDUCE_VAR,
    FC_OP_MAX,
    FC_OP_MIN,
    fc_reduce,
    fc_extreme_stacks,
    fc_extreme_rows,
)
from fastconv._drivers.runtime cimport seam

cdef idx PIECE_CELLS = 1 << 23   # cells of the windows of a piece, in the plain way
cdef idx LEAST_PIECE = 64

seam("neighborhood.PIECE_CELLS", &PIECE_CELLS)
seam("neighborhood.LEAST_PIECE", &LEAST_PIECE)


cdef idx plain_scratch(const Lines *p, bint only_masked) noexcept nogil:
    """Bytes for reduce_plain, or for reduce_some with only_masked."""
    return plain_line(p) + (2 * byte_pitch(p) + p.runs * sizeof(void *) if only_masked else 0)


cdef void some_plain(const Lines *p, const Block *b, const Reducer *r, fc_reduce *q, idx i, idx first, idx end) noexcept nogil:
    """Results first .. end - 1 of output line i, of all members of a group."""
    cdef const Named *own
    cdef idx step = p.step[p.ndim - 1]
    cdef char *out
    q.run_line, q.run_start, q.run_length, q.runs, q.cells = p.run_line, p.run_start, p.run_length, p.runs, p.cells
    q.first, q.n = first * step, (end - 1) * step + 1
    while r != NULL:
        own = <const Named *>r.own
        q.reduction, q.ddof, q.wide, q.nothing = own.reduction, own.ddof, own.wide, own.nothing
        # Compilers fuse the additions of squares in one of the two kernels: the bits must not depend on what else the block
        # holds.
        q.masked = b.flags & (FC_LINE_MASKED | FC_LINE_MINUS)
        if p.presence and own.reduction in (FC_REDUCE_VAR, FC_REDUCE_STD):
            q.masked = FC_LINE_MASKED
        q.lines = b.line + locate(p, b, r, i, &out)
        plain_elements(p).reduce(q)
        put_some(p, r, out, q.out, own.plain, first, end)
        r = follower(r)


cdef const uint8_t *whole_windows(const Lines *p, const Block *b, const Reducer *r, idx i, char *scratch) noexcept nogil:
    """Bytes that say of which windows of output line i, boxes, all cells count; NULL: of all."""
    cdef const void **rows = <const void **>(scratch + 2 * byte_pitch(p))
    cdef char *out
    cdef idx first = locate(p, b, r, i, &out), j
    cdef int flags = 0
    cdef void *least = scratch
    cdef void *whole = scratch + byte_pitch(p)
    cdef fc_extreme_stacks stack
    cdef fc_extreme_rows row
    for j in range(p.runs):
        rows[j] = b.line[first + p.run_line[j]].present
        flags |= b.line[first + p.run_line[j]].flags
    if not flags & FC_LINE_MASKED:
        return NULL
    stack.lines, stack.out, stack.count, stack.stacks, stack.op = rows, &least, p.runs, 1, FC_OP_MIN
    stack.n = span(p, b, p.ndim - 1)
    p.k.elements[0].extreme_stacks(&stack)
    row.src, row.spare, row.out, row.op = <const void **>&least, least, &whole, FC_OP_MIN
    row.window, row.n, row.count = p.window[p.ndim - 1], dense_count(p, b), 1
    p.k.elements[0].extreme_rows(&row)
    return <const uint8_t *>whole


cdef void reduce_some(const Lines *p, const Block *b, const Reducer *r, char *scratch, bint only_masked) noexcept nogil:
    """All outputs of a block or only those of whose windows some cells do not count."""
    cdef idx count = b.count[p.ndim - 1], step = p.step[p.ndim - 1], piece, first, end, to
    cdef idx size = max(PIECE_CELLS // p.cells // step // LEAST_PIECE, 1) * LEAST_PIECE
    cdef idx parts = (count + size - 1) // size
    cdef const uint8_t *whole
    cdef fc_reduce q
    q.out = scratch
    for piece in range(out_lines(p, b) * parts):
        first, whole = piece % parts * size, NULL
        end = min(first + size, count)
        if only_masked:
            whole = whole_windows(p, b, r, piece // parts, scratch + plain_line(p))
            if whole == NULL:
                continue
        while first < end:
            to = end
            if only_masked:
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
    reduce_some(p, b, r, scratch, False)


cdef void list_lines(const Lines *p, const Block *b, const Named *own, void **rows, char *bytes_) noexcept nogil:
    """The lines of a region, or `bytes_` that say what is not 0 in them."""
    cdef idx i, line, first = 0
    if p.in_place:
        inside(p, b, &first)
    for i in range(region_lines(p, b)):
        line = region_line(p, b, i)
        rows[i] = b.line[line].at + first * p.item
        if own.nonzero:
            rows[i] = bytes_ + slot_of(p, b, line) * byte_pitch(p)
            plain_elements(p).nonzero(<uint8_t *>rows[i], b.line[line].at, span(p, b, p.ndim - 1))


cdef const Reducer *first_of(const Reducer *r, int reduction) noexcept nogil:
    """The first member of a group with a reduction, or NULL."""
    while r != NULL and (<const Named *>r.own).reduction != reduction:
        r = follower(r)
    return r


cdef const Reducer *first_extreme(const Reducer *r, int op) noexcept nogil:
    """The first member of a group whose results are the least (FC_OP_MIN) or the greatest, or NULL."""
    cdef const Reducer *member = first_of(r, FC_REDUCE_MAX if op == FC_OP_MAX else FC_REDUCE_MIN)
    return member if member != NULL else first_of(r, FC_REDUCE_ANY if op == FC_OP_MAX else FC_REDUCE_ALL)


cdef bint wanted(const Reducer *r, int op) noexcept nogil:
    """Whether a group needs the least (FC_OP_MIN) or the greatest."""
    return first_of(r, FC_REDUCE_RANGE) != NULL or first_extreme(r, op) != NULL
