"""sum, mean, var, std and count of boxes: columns first, axis by axis, then rows; and means of integers that are cut off after
each of these. Next hop: kernels/neighborhood/box_sums.h.
"""
from libc.stdint cimport int64_t

from fastconv._drivers.base cimport FC_F64, FC_I32, FC_I64, FC_U16, FC_U8
from fastconv._drivers.common cimport idx, round_up
from fastconv._drivers.neighborhood.engine cimport (
    Block,
    Lines,
    Reducer,
    dense_count,
    fill_ends,
    inside,
    out_lines,
)
from fastconv._drivers.neighborhood.plain cimport (
    SUMS,
    Named,
    byte_pitch,
    deliver,
    follower,
    reduce_some,
    kind_bytes,
    list_lines,
    plain_elements,
    region_lines,
    span,
    target,
)
from fastconv._drivers.neighborhood.table cimport (
    FC_SUM_SPACE,
    FC_SUM_STRIP,
    FC_LINE_MASKED,
    FC_LONG_ROW,
    FC_NARROW_CELLS,
    FC_REDUCE_COUNT,
    FC_REDUCE_SUM,
    FC_ROW_PHASE,
    FC_ROW_SPACE,
    FC_ROW_UNIT,
    FC_ROW_UNITS,
    fc_cut_means,
    fc_elements,
    fc_finish_sums,
    fc_sums,
)

cdef enum:
    MOST_AHEAD = 4               # members of a group whose results' lines are prefetched for writing before they are written


cdef inline bint narrow(const Lines *p, const Named *own) noexcept nogil:
    """Whether sums fit 16 bits, or those of columns and the differences of any two of these do."""
    cdef bint fits = p.cells <= FC_NARROW_CELLS or 2 * (p.cells // p.window[p.ndim - 1]) <= FC_NARROW_CELLS
    cdef int a
    if own.cut:                  # before the sums along the next axis they are elements again
        fits = True
        for a in range(p.ndim):
            fits = fits and p.window[a] <= FC_NARROW_CELLS
    return fits and own.group == SUMS and p.native == FC_U8 and not own.nonzero


cdef inline const fc_elements *elements(const Lines *p, const Named *own) noexcept nogil:
    """The kernels of the lines that a reduction reads."""
    if own.nonzero:
        return &p.k.elements[0]
    if narrow(p, own):
        return &p.k.narrow if own.cut or p.cells <= FC_NARROW_CELLS else &p.k.widening
    return plain_elements(p)


cdef inline int wide_kind(const Lines *p, const Named *own) noexcept nogil:
    """The kind of the numbers of wide lines."""
    if narrow(p, own):
        return FC_U16
    return FC_F64 if own.doubles else FC_I64 if p.item > 2 and not own.nonzero else FC_I32


cdef inline bint long_row(const Lines *p, const Named *own) noexcept nogil:
    """Whether rows are found in blocks, for which results have room before them and behind."""
    return p.window[p.ndim - 1] * kind_bytes(wide_kind(p, own)) >= FC_LONG_ROW


cdef inline idx wide_half(const Lines *p, const Named *own) noexcept nogil:
    """Bytes of the sums of a wide line; those of its squares follow."""
    return (round_up(p.region[p.ndim - 1] * kind_bytes(wide_kind(p, own)), FC_SUM_STRIP) + 64
            + (3 * FC_ROW_UNITS * FC_ROW_UNIT if long_row(p, own) else 0))


cdef inline idx wide_pitch(const Lines *p, const Named *own) noexcept nogil:
    return wide_half(p, own) * (3 if own.squares else 1) + 64


cdef idx sum_space(const Lines *p) noexcept nogil:
    cdef idx rows = 0
    cdef int a
    for a in range(p.ndim - 1):
        rows = max(rows, p.region[a])
    return max(FC_SUM_SPACE(rows), FC_ROW_SPACE(p.region[p.ndim - 1] + 1))


cdef idx sums_scratch(const Lines *p, const Named *own) noexcept nogil:
    """Bytes for reduce_sums: space, a line of results, a wide line with room for wider numbers, two tables, bytes, and the
    wide lines of each axis."""
    cdef idx lines = p.lines, wide = 2
    cdef int a
    for a in range(p.ndim - 1):
        lines = lines // p.region[a] * p.block[a]
        if p.window[a] > 1 or a == p.ndim - 2:
            wide += lines
    return (sum_space(p) + round_up(8 * p.region[p.ndim - 1] + 64) + wide * wide_pitch(p, own)
            + round_up(2 * p.lines * sizeof(void *)) + (p.slots * byte_pitch(p) if own.nonzero else 0) + 64)


cdef void cut_lines(const fc_elements *k, void *const *lines, idx count, idx n, idx window) noexcept nogil:
    """Makes means of the sums in wide lines of n numbers."""
    cdef fc_cut_means f
    cdef idx i
    f.out, f.n, f.window = NULL, n, window
    for i in range(count):
        f.wide = lines[i]
        k.cut_means(&f)


cdef const void **sum_columns(const Lines *p, const Block *b, const Named *own, fc_sums *q, char *scratch) noexcept nogil:
    """Sums the lines of a block along all axes but the last; returns the table of its wide output lines."""
    cdef const fc_elements *k = elements(p, own)
    cdef void **rows = <void **>scratch
    cdef void **out = rows + p.lines
    cdef char *memory = scratch + round_up(2 * p.lines * sizeof(void *))
    cdef int a, last = p.ndim - 1
    cdef idx outer = 1, inner = region_lines(p, b), i, j, o, size, count, at, first = 0
    cdef idx item = kind_bytes(wide_kind(p, own))
    cdef int64_t zero = 0
    cdef bint adds, wide = p.item == 8 and not own.squares and not own.nonzero
    list_lines(p, b, own, rows, memory)
    memory += p.slots * byte_pitch(p) if own.nonzero else 0
    q.n, q.raw, q.cells = span(p, b, last), True, 1
    if p.in_place:
        q.n = inside(p, b, &first) - first
        memory += round_up(first * item)
    for a in range(last):
        size, count = span(p, b, a), b.count[a]
        inner //= size
        adds = p.window[a] > 1 or q.raw and a == last - 1 and not wide
        if own.cut and p.window[a] > 1 and q.cells > 1:
            cut_lines(k, rows, outer * size * inner, q.n, q.cells)
            q.cells = 1
        if adds or p.step[a] > 1:
            q.window, q.every, q.step, q.count, q.phase = p.window[a], p.step[a], inner, count, b.at[a] * p.step[a]
            for i in range(outer):
                for j in range(inner):
                    for o in range(count):
                        at = (i * count + o) * inner + j
                        out[at] = memory + at * wide_pitch(p, own) if adds else rows[(i * size + o * p.step[a]) * inner + j]
                    q.rows, q.out = <const void **>rows + i * size * inner + j, out + i * count * inner + j
                    if adds:
                        k.sum_columns(q)
            if adds:
                memory += outer * count * inner * wide_pitch(p, own)
                q.raw = False
            q.cells *= p.window[a]
            rows, out = out, rows
        outer *= count
    for i in range(outer if p.in_place else 0):
        rows[i] = <char *>rows[i] - first * item
        for j in range(3 if own.squares else 1):
            fill_ends(p, b, <char *>rows[i] + j * q.half, wide_kind(p, own), &zero)
    return <const void **>rows


cdef void reduce_sums(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """sum, mean, var, std and count of a box. An output depends on its own window alone: those that see a cell that does not
    count, and no others, are computed anew in the plain way, which adds in another order."""
    cdef const Named *own = <const Named *>r.own
    cdef const fc_elements *k = elements(p, own)
    cdef char *line = scratch + sum_space(p)
    cdef char *wide = line + round_up(8 * p.region[p.ndim - 1] + 64)
    cdef void *sums = wide + (FC_ROW_UNITS * FC_ROW_UNIT if long_row(p, own) else 0)
    cdef const Reducer *member
    cdef const void **rows
    cdef char *ahead[MOST_AHEAD]
    cdef fc_sums q
    cdef fc_finish_sums f
    cdef idx i, j
    q.squares, q.half, q.space = own.squares, wide_half(p, own), scratch
    rows = sum_columns(p, b, own, &q, wide + 2 * wide_pitch(p, own))
    q.window, q.n, q.out = p.window[p.ndim - 1], dense_count(p, b), &sums
    q.phase = b.at[p.ndim - 1] * p.step[p.ndim - 1] % FC_ROW_PHASE
    f.half, f.n, f.cells, f.doubles = q.half, q.n, p.cells, own.doubles
    q.ahead, q.ahead_step = ahead, kind_bytes(own.kind)
    for i in range(out_lines(p, b)):
        q.rows, f.wide, q.ahead_lines, member = rows + i, rows[i], 0, r
        while member != NULL and q.ahead_lines < MOST_AHEAD:
            ahead[q.ahead_lines] = target(p, b, member, i, line)
            q.ahead_lines += 1
            member = follower(member)
        if q.window > 1:
            k.sum_row(&q)
            f.wide = sums
        member, j = r, 0
        while member != NULL:
            own = <const Named *>member.own
            f.reduction, f.ddof, f.kind = FC_REDUCE_SUM if own.reduction == FC_REDUCE_COUNT else own.reduction, own.ddof, own.kind
            f.out = ahead[j] if j < q.ahead_lines else target(p, b, member, i, line)
            j += 1
            k.finish_sums(&f)
            deliver(p, b, member, i, <char *>f.out)
            member = follower(member)
    if b.flags & FC_LINE_MASKED:
        reduce_some(p, b, r, scratch, True)


cdef void reduce_cut_means(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """Means of integers along one axis after another, in the order of the lines' axes, each cut off toward 0."""
    cdef const Named *own = <const Named *>r.own
    cdef const fc_elements *k = elements(p, own)
    cdef char *line = scratch + sum_space(p)
    cdef char *wide = line + round_up(8 * p.region[p.ndim - 1] + 64)
    cdef void *sums = wide + (FC_ROW_UNITS * FC_ROW_UNIT if long_row(p, own) else 0)
    cdef void **rows
    cdef char *out
    cdef fc_sums q
    cdef fc_cut_means f
    cdef idx i, n = span(p, b, p.ndim - 1)
    q.squares, q.half, q.space = False, wide_half(p, own), scratch
    rows = <void **>sum_columns(p, b, own, &q, wide + 2 * wide_pitch(p, own))
    q.window, q.n, q.out = p.window[p.ndim - 1], b.count[p.ndim - 1], &sums
    q.phase = b.at[p.ndim - 1] % FC_ROW_PHASE
    q.ahead, q.ahead_lines, q.ahead_step = &out, 1, kind_bytes(own.kind)
    f.n, f.window = q.n, q.window if q.window > 1 else q.cells
    for i in range(out_lines(p, b)):
        q.rows, f.wide = <const void **>rows + i, rows[i]
        out = target(p, b, r, i, line)
        if q.window > 1:
            if q.cells > 1:
                cut_lines(k, rows + i, 1, n, q.cells)
            k.sum_row(&q)
            f.wide = sums
        f.out = out
        k.cut_means(&f)
        deliver(p, b, r, i, out)
