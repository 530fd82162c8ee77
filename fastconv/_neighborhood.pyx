"""Driver of the named reductions other than ranks, mode and entropy: picks kernels for each and walks the output lines of a
block. The engine (_lines.pyx) loads the blocks and shares them out. Next hop: kernels/neighborhood.h, the plain way, then
extremes.h, bits.h and sums.h.

Reductions of one list that share their work are a group: the first of them, the leader, computes all, and the others,
which follow it by `next` in the table of the pass, do nothing.
"""
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawRealloc
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy, memmove

cimport numpy as cnp

from fastconv._kernels cimport (
    FC_CONSTANT,
    FC_F32,
    FC_F64,
    FC_FOLD_BYTES,
    FC_FOLD_STRIP,
    FC_I32,
    FC_I64,
    FC_LINE_HOLES,
    FC_LINE_NAN,
    FC_LINE_SLACK,
    FC_NARROW_CELLS,
    FC_KINDS,
    FC_NEAREST_WHOLE,
    FC_NEAR_ALL,
    FC_NEAR_ANY,
    FC_NEAR_COUNT,
    FC_NEAR_MAX,
    FC_NEAR_MEAN,
    FC_NEAR_MIN,
    FC_NEAR_PROD,
    FC_NEAR_RANGE,
    FC_NEAR_STD,
    FC_NEAR_SUM,
    FC_NEAR_VAR,
    FC_OP_MAX,
    FC_OP_MIN,
    FC_OP_NAN,
    FC_TRUTH,
    FC_U8,
    FC_U16,
    FC_U64,
    fc_columns,
    fc_elements,
    fc_finish,
    fc_fold,
    fc_merge,
    fc_near,
    fc_pile,
    fc_row,
    fc_stripes,
)
from fastconv._lines cimport (
    IN_PLACE,
    IN_PLACE_BUT_CVAL,
    Block,
    Lines,
    Pass,
    Reducer,
    dense_count,
    fill_ends,
    idx,
    inside,
    locate,
    out_lines,
    pause,
    put,
    put_some,
    reduce_t,
    result_kind,
    slot_of,
)

import numpy as np

cnp.import_array()

_CODES = {
    "min": FC_NEAR_MIN, "max": FC_NEAR_MAX, "range": FC_NEAR_RANGE, "sum": FC_NEAR_SUM, "prod": FC_NEAR_PROD,
    "mean": FC_NEAR_MEAN, "var": FC_NEAR_VAR, "std": FC_NEAR_STD, "count": FC_NEAR_COUNT, "any": FC_NEAR_ANY,
    "all": FC_NEAR_ALL,
}
NAMES = tuple(_CODES)

cdef enum:
    PIECE_CELLS = 1 << 23        # cells of the windows of a piece, in the plain way
    LEAST_PIECE = 64
    RADIX = 4                    # spans of bits that one pass merges

cdef enum:                       # what a group shares
    ALONE, EXTREMES, TRUTHS, SUMS, SQUARES


cdef struct Near:
    int reduction
    double ddof
    int plain                    # kind of the plain kernel's results
    int kind                     # kind of those of the fast ones
    int group
    bint wide                    # integers neither wrap nor round (kernels.h)
    int next                     # members of the group lie so far on in the table, 0: none
    bint squares                 # of a leader of sums: var or std is among them
    bint doubles                 # sums are doubles
    bint truth                   # lines become bytes that say what is not 0
    int lowest, highest          # levels of the runs: spans of 2^level elements cover them in pairs
    idx *terms                   # of bits: these spans
    idx count


cdef inline const fc_elements *plain_elements(const Lines *p) noexcept nogil:
    return &p.k.elements[7 + p.native if p.native < FC_U8 else p.native - FC_U8]


cdef inline bint narrow(const Lines *p, const Near *own) noexcept nogil:
    """Whether sums fit 16 bits."""
    return own.group == SUMS and p.native == FC_U8 and p.cells <= FC_NARROW_CELLS and not own.truth


cdef inline const fc_elements *elements(const Lines *p, const Near *own) noexcept nogil:
    """The kernels of the lines that a reduction reads."""
    if own.truth:
        return &p.k.elements[0]
    if narrow(p, own):
        return &p.k.narrow
    return plain_elements(p)


cdef inline idx round_up(idx bytes_, idx to=64) noexcept nogil:
    return (bytes_ + to - 1) // to * to


cdef inline idx kind_bytes(int kind) noexcept nogil:
    return 4 if kind == FC_F32 else 8 if kind == FC_F64 else 1 << (kind - FC_U8) // 2


cdef inline idx span(const Lines *p, const Block *b, int a) noexcept nogil:
    """Region positions of a block on an axis."""
    return (b.count[a] - 1) * p.step[a] + p.w[a]


cdef inline const Reducer *follower(const Reducer *r) noexcept nogil:
    """The next member of a group, or NULL."""
    cdef int next = (<const Near *>r.own).next
    return r + next if next else NULL


def parameter(name, values):
    """The parameter of a named reduction: ddof, for var and std."""
    if name not in ("var", "std"):
        if values:
            raise ValueError(f"reduction {name!r} takes no parameter, got {values!r}")
        return 0.0
    if len(values) > 1:
        raise ValueError(f"reduction {name!r} takes one parameter, ddof, got {values!r}")
    try:
        return float(values[0]) if values else 0.0
    except (TypeError, ValueError):
        raise TypeError(f"reduction {name!r} takes a real number ddof, got {values[0]!r}") from None


def result_dtype(name, parameter, dtype, geometry):
    """The dtype of a reduction's result for elements of `dtype`, in native byte order."""
    if name in ("any", "all"):
        return np.dtype(bool)
    if name == "count":
        return np.dtype(np.int64)
    if name in ("min", "max") or dtype.kind == "f":
        return dtype
    if name == "range":
        return np.dtype(f"u{dtype.itemsize}") if dtype.kind == "i" else dtype
    if name in ("sum", "prod"):
        return np.dtype(np.int32 if dtype.kind != "b" and dtype.itemsize < 4 else np.int64)
    return np.dtype(np.float64)


cdef void follow(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """The leader has done it."""


# ---- the plain way ----

cdef inline idx byte_pitch(const Lines *p) noexcept nogil:
    return round_up(p.r[p.ndim - 1]) + FC_LINE_SLACK


cdef inline idx plain_line(const Lines *p) noexcept nogil:
    """Bytes of a line of results."""
    return round_up(8 * p.r[p.ndim - 1] + 64)


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
        q.reduction, q.ddof, q.wide = own.reduction, own.ddof, own.wide
        # Compilers fuse the additions of squares in one of the two kernels: the bits must not depend on what else the block holds.
        q.holes = p.presence if own.reduction in (FC_NEAR_VAR, FC_NEAR_STD) else b.flags & FC_LINE_HOLES
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
    cdef fc_pile pile
    cdef fc_row row
    for j in range(p.runs):
        rows[j] = b.line[first + p.run_line[j]].present
        flags |= b.line[first + p.run_line[j]].flags
    if not flags & FC_LINE_HOLES:
        return NULL
    pile.lines, pile.out, pile.count, pile.piles, pile.n, pile.op = rows, &least, p.runs, 1, span(p, b, p.ndim - 1), FC_OP_MIN
    p.k.elements[0].pile(&pile)
    row.next = NULL
    row.src, row.spare, row.out, row.op = least, least, scratch + byte_pitch(p), FC_OP_MIN
    row.window, row.n = p.w[p.ndim - 1], dense_count(p, b)
    p.k.elements[0].row(&row)
    return <const uint8_t *>row.out


cdef void go_plain(const Lines *p, Block *b, const Reducer *r, char *scratch, idx start, bint mends) noexcept nogil:
    """All outputs of a block or, if it `mends`, those whose windows have holes. Stops in pieces, numbered from `start`."""
    cdef idx count = b.count[p.ndim - 1], step = p.step[p.ndim - 1], piece, first, end, to
    cdef idx size = max(PIECE_CELLS // p.cells // step // LEAST_PIECE, 1) * LEAST_PIECE
    cdef idx parts = (count + size - 1) // size
    cdef const uint8_t *whole
    cdef fc_near q
    q.out = scratch
    for piece in range(max(b.piece - start, 0), out_lines(p, b) * parts):
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
        if pause(b, start + piece + 1):
            return
    b.piece = 0


cdef void reduce_plain(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """Any window, any mask, any NaN; all members of a group."""
    go_plain(p, b, r, scratch, 0, False)


cdef inline bint can_write(const Lines *p, const Reducer *r, const char *out) noexcept nogil:
    """Whether a kernel can write a line of results where it belongs."""
    cdef int last = p.ndim - 1, kind = (<const Near *>r.own).kind
    cdef idx item = kind_bytes(kind)
    return r.out_kind == kind and r.os[last] == item and p.step[last] == 1 and <size_t>out % item == 0


cdef char *target(const Lines *p, const Block *b, const Reducer *r, idx i, char *line) noexcept nogil:
    """Where a kernel writes the results of output line i: where they belong if it can, else to `line`."""
    cdef char *out
    locate(p, b, r, i, &out)
    return out if can_write(p, r, out) else line


cdef void deliver(const Lines *p, const Block *b, const Reducer *r, idx i, const char *line) noexcept nogil:
    """Writes a line of results where it belongs, unless it stands there."""
    cdef char *out
    locate(p, b, r, i, &out)
    if out != line:
        put(p, b, r, out, line, (<const Near *>r.own).kind)


# ---- lines of a region, in C order of the block's own region ----

cdef inline idx region_line(const Lines *p, const Block *b, idx i) noexcept nogil:
    cdef idx line = 0
    cdef int a
    for a in range(p.ndim - 2, -1, -1):
        line += i % span(p, b, a) * p.stride[a]
        i //= span(p, b, a)
    return line


cdef inline idx region_lines(const Lines *p, const Block *b) noexcept nogil:
    cdef idx lines = 1
    cdef int a
    for a in range(p.ndim - 1):
        lines *= span(p, b, a)
    return lines


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


# ---- extremes of boxes: columns first, axis by axis, then rows ----

cdef idx extreme_scratch(const Lines *p) noexcept nogil:
    """Bytes for extreme_columns: two tables of lines, and the results along every axis that has a window."""
    cdef idx size = round_up(2 * p.lines * sizeof(void *)) + 64, lines = p.lines
    cdef int a
    for a in range(p.ndim - 1):
        lines = lines // p.r[a] * p.b[a]
        if p.w[a] > 1:
            size += lines * p.pitch
    return size


cdef const void **extreme_columns(const Lines *p, Block *b, const Near *own, char *scratch, int op) noexcept nogil:
    """Reduces the lines of a block along all axes but the last; returns the table of its output lines. Notes NaN that it finds
    where `op` does not let them through; makes the bytes of booleans in place 0 or 1."""
    cdef const fc_elements *k = plain_elements(p)
    cdef void **rows = <void **>scratch
    cdef void **out = rows + p.lines
    cdef char *memory = scratch + round_up(2 * p.lines * sizeof(void *))
    cdef int a, last = p.ndim - 1
    cdef idx outer = 1, inner = region_lines(p, b), i, j, o, size, count, at, first = 0
    cdef int nan = 0
    cdef fc_columns q
    list_lines(p, b, own, rows, NULL)
    q.n, q.op = span(p, b, last), op
    if p.in_place:
        q.n = inside(p, b, &first) - first
        memory += round_up(first * p.item)
    for a in range(last):
        size, count = span(p, b, a), b.count[a]
        inner //= size
        q.window, q.step = p.w[a], inner
        if p.w[a] > 1 or p.step[a] > 1:
            for i in range(outer):
                for j in range(inner):
                    for o in range(count):
                        at = (i * count + o) * inner + j
                        out[at] = memory + at * p.pitch if p.w[a] > 1 else rows[(i * size + o * p.step[a]) * inner + j]
                    q.rows, q.out, q.count = <const void **>rows + i * size * inner + j, out + i * count * inner + j, count
                    if p.w[a] > 1 and p.step[a] == 1:
                        nan |= k.columns(&q)
                    elif p.w[a] > 1:
                        q.count = 1
                        for o in range(count):
                            nan |= k.columns(&q)
                            q.rows += p.step[a] * inner
                            q.out += inner
            memory += (outer * count * inner) * p.pitch if p.w[a] > 1 else 0
            rows, out = out, rows
        outer *= count
    if nan:
        b.flags |= FC_LINE_NAN
    for i in range(outer if p.in_place else 0):
        if p.truth:
            k.nonzero(<uint8_t *>rows[i], rows[i], q.n)
        rows[i] = <char *>rows[i] - first * p.item
        fill_ends(p, b, rows[i], p.native, &p.cval)
    return <const void **>rows


cdef const Reducer *first_of(const Reducer *r, int reduction) noexcept nogil:
    """The first member of a group with a reduction, or NULL."""
    while r != NULL and (<const Near *>r.own).reduction != reduction:
        r = follower(r)
    return r


cdef const Reducer *first_extreme(const Reducer *r, int op) noexcept nogil:
    """The first member of a group whose results are the least (FC_OP_MIN) or the greatest, or NULL."""
    cdef const Reducer *member = first_of(r, FC_NEAR_MAX if op == FC_OP_MAX else FC_NEAR_MIN)
    return member if member != NULL else first_of(r, FC_NEAR_ANY if op == FC_OP_MAX else FC_NEAR_ALL)


cdef inline bint is_least(const Reducer *r) noexcept nogil:
    return (<const Near *>r.own).reduction in (FC_NEAR_MIN, FC_NEAR_ALL)


cdef bint wanted(const Reducer *r, int op) noexcept nogil:
    """Whether a group needs the least (FC_OP_MIN) or the greatest."""
    return first_of(r, FC_NEAR_RANGE) != NULL or first_extreme(r, op) != NULL


cdef char *extreme_target(const Lines *p, const Block *b, const Reducer *r, idx i, int op, char *line) noexcept nogil:
    cdef const Reducer *member = first_extreme(r, op)
    return line if member == NULL else target(p, b, member, i, line)


cdef void deliver_extremes(const Lines *p, const Block *b, const Reducer *r, idx i, char *least, char *greatest,
                           char *line) noexcept nogil:
    """Output line i of all members."""
    cdef const Near *own
    while r != NULL:
        own = <const Near *>r.own
        if own.reduction == FC_NEAR_RANGE:
            plain_elements(p).subtract(line, greatest, least, dense_count(p, b))
            deliver(p, b, r, i, line)
        else:
            deliver(p, b, r, i, least if is_least(r) else greatest)
        r = follower(r)


cdef inline bint cval_is_nan(const Lines *p) noexcept nogil:
    cdef float value
    if p.native == FC_F32:
        memcpy(&value, &p.cval, sizeof(value))
        return value != value
    return p.cval != p.cval


cdef void reduce_extremes(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """min, max and range of a box, and of booleans any and all, whose bytes may be others than 0 and 1."""
    cdef const Near *own = <const Near *>r.own
    cdef int side
    cdef int op[2]
    cdef char *line[2]
    cdef const void **rows[2]
    cdef char *tables = scratch + 4 * p.pitch
    cdef fc_row q
    cdef idx i
    if b.flags & FC_LINE_HOLES:
        reduce_plain(p, b, r, scratch)
        return
    if p.in_place and p.mode == FC_CONSTANT and p.native < FC_U8 and cval_is_nan(p):
        b.flags |= FC_LINE_NAN
    for side in range(2):
        rows[side], line[side] = NULL, NULL
        op[side] = (FC_OP_MAX if side else FC_OP_MIN) | (FC_OP_NAN if b.flags & FC_LINE_NAN else 0)
        if wanted(r, FC_OP_MAX if side else FC_OP_MIN):
            rows[side] = extreme_columns(p, b, own, tables, op[side])
            if b.flags & FC_LINE_NAN and not op[side] & FC_OP_NAN:
                op[side] |= FC_OP_NAN
                rows[side] = extreme_columns(p, b, own, tables, op[side])
            tables += extreme_scratch(p)
    q.window, q.n, q.spare = p.w[p.ndim - 1], dense_count(p, b), scratch
    for i in range(out_lines(p, b)):
        for side in range(2):
            if rows[side] != NULL:
                line[side] = extreme_target(p, b, r, i, op[side] & FC_OP_MAX, scratch + (1 + side) * p.pitch)
                q.src, q.out, q.op, q.next = rows[side][i], scratch + 3 * p.pitch if p.truth else line[side], op[side], NULL
                if i + 1 < out_lines(p, b):
                    q.next = extreme_target(p, b, r, i + 1, op[side] & FC_OP_MAX, scratch + (1 + side) * p.pitch)
                plain_elements(p).row(&q)
                if p.truth:
                    plain_elements(p).nonzero(<uint8_t *>line[side], q.out, q.n)
        deliver_extremes(p, b, r, i, line[0], line[1], scratch + 3 * p.pitch)


# ---- extremes of other windows: tables of spans for each line, then piles of runs ----

cdef inline int level_of(idx length) noexcept nogil:
    cdef int level = 0
    while length >> (level + 1):
        level += 1
    return level


cdef inline idx tables_of(const Near *own) noexcept nogil:
    """Lines that stand beside a line: one for each level from the lowest on but for single elements."""
    return own.highest - max(own.lowest, 1) + 1 if own.highest else 0


cdef idx runs_scratch(const Lines *p, const Near *own) noexcept nogil:
    """Bytes for reduce_runs and one of the extremes."""
    return p.slots * tables_of(own) * p.pitch


cdef char *table_line(const Lines *p, const Block *b, const Near *own, char *tables, idx line, int level) noexcept nogil:
    """The spans of 2^level of a line. What is loaded stays in its memory when the block moves on, and so do its tables."""
    if level == 0:
        return b.line[line].at
    return tables + (slot_of(p, b, line) * tables_of(own) + level - max(own.lowest, 1)) * p.pitch


cdef void fill_tables(const Lines *p, const Block *b, const Near *own, char *tables, char *spare, idx carried, int op) noexcept nogil:
    cdef const fc_elements *k = plain_elements(p)
    cdef idx i, line, n = span(p, b, p.ndim - 1), rows = span(p, b, p.ndim - 2)
    cdef int level, first = max(own.lowest, 1)
    cdef const void *pair[2]
    cdef void *out
    cdef fc_row row
    cdef fc_pile pile
    row.next, row.spare, row.op, row.window = NULL, spare, op, <idx>1 << first
    pile.lines, pile.out, pile.count, pile.piles, pile.op = pair, &out, 2, 1, op
    for i in range(region_lines(p, b)):
        if i % rows < carried:
            continue
        line = region_line(p, b, i)
        if own.highest:
            row.src, row.out = table_line(p, b, own, tables, line, 0), table_line(p, b, own, tables, line, first)
            row.n = n - row.window + 1
            k.row(&row)
        for level in range(first + 1, own.highest + 1):
            pair[0] = table_line(p, b, own, tables, line, level - 1)
            pair[1] = <char *>pair[0] + (<idx>1 << (level - 1)) * k.bytes
            out, pile.n = table_line(p, b, own, tables, line, level), n - (<idx>1 << level) + 1
            k.pile(&pile)


cdef idx piles_scratch(const Lines *p) noexcept nogil:
    """Bytes for the pointers of all piles of a block, and for their results on both sides."""
    cdef idx piles = 1
    cdef int a
    for a in range(p.ndim - 1):
        piles *= p.b[a]
    return round_up((2 * p.runs + 2) * piles * sizeof(void *)) + 2 * piles * p.pitch


cdef idx list_runs(const Lines *p, const Block *b, const Reducer *r, char *tables, const void **lines) noexcept nogil:
    """The lines of the piles of a block, one pile after the other; returns how many a pile has."""
    cdef const Near *own = <const Near *>r.own
    cdef idx item = p.item, i, j, first, length, count = 0
    cdef int level
    cdef char *unused
    for i in range(out_lines(p, b)):
        first = locate(p, b, r, i, &unused)
        for j in range(p.runs):
            length = p.run_length[j]
            level = level_of(length)
            lines[count] = table_line(p, b, own, tables, first + p.run_line[j], level) + p.run_start[j] * item
            count += 1
            if length > <idx>1 << level:
                lines[count] = <const char *>lines[count - 1] + (length - (<idx>1 << level)) * item
                count += 1
    return count // out_lines(p, b)


cdef void reduce_runs(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """min, max and range of any window."""
    cdef const Near *own = <const Near *>r.own
    cdef idx *filled = <idx *>scratch           # the block whose tables stand here
    cdef const void **lines = <const void **>(scratch + 64)
    cdef idx piles = out_lines(p, b), i
    cdef char *spare = scratch + 64 + piles_scratch(p)
    cdef char *results = spare - 2 * piles * p.pitch
    cdef char *tables = spare + 2 * p.pitch
    cdef void **out[2]
    cdef int side, op, nan = FC_OP_NAN if b.flags & FC_LINE_NAN else 0
    cdef idx carried = b.carried if filled[0] == b.unit - 1 else 0
    cdef fc_pile q
    filled[0] = b.unit
    if b.flags & FC_LINE_HOLES:
        filled[0] = -1
        reduce_plain(p, b, r, spare)
        return
    q.lines, q.n, q.piles = lines, dense_count(p, b), piles
    for side in range(2):
        out[side] = <void **>lines + (2 * p.runs + side) * piles
        op = FC_OP_MAX if side else FC_OP_MIN
        if not wanted(r, op):
            continue
        fill_tables(p, b, own, tables, spare, carried, op | nan)
        q.count, q.out, q.op = list_runs(p, b, r, tables, lines), out[side], op | nan
        for i in range(piles):
            out[side][i] = extreme_target(p, b, r, i, op, results + (side * piles + i) * p.pitch)
        plain_elements(p).pile(&q)
        tables += runs_scratch(p, own)
    for i in range(piles):
        deliver_extremes(p, b, r, i, <char *>out[0][i], <char *>out[1][i], spare + p.pitch)


# ---- truths of any window: bits, in stripes (bits.h), so that all windows and boundaries are distances in bytes ----

cdef inline idx stripe_of(const Lines *p) noexcept nogil:
    return ((p.b[p.ndim - 1] - 1) * p.step[p.ndim - 1] + 8) // 8


cdef inline idx bits_pitch(const Lines *p) noexcept nogil:
    """Bytes of a line of bits."""
    return stripe_of(p) + p.w[p.ndim - 1] - 1


cdef inline idx bits_level(const Lines *p) noexcept nogil:
    """Bytes of a region, with what is read and written beyond it."""
    return round_up((p.lines + 1) * bits_pitch(p)) + 64


cdef inline idx bits_side(const Lines *p, const Near *own) noexcept nogil:
    """Bytes of one side: spans of 2^level for all levels, and results."""
    return (own.highest + 2) * bits_level(p)


cdef idx bits_scratch(const Lines *p, const Near *own, int sides) noexcept nogil:
    """Bytes for reduce_bits: which block stands here, a line of truths, a line of results, and the sides."""
    return 64 + 2 * byte_pitch(p) + sides * bits_side(p, own)


cdef void list_terms(const Lines *p, Near *own) noexcept nogil:
    """Where the spans lie that cover the runs of a window."""
    cdef idx j, length
    cdef int level
    own.count = 0
    for j in range(p.runs):
        length = p.run_length[j]
        level = level_of(length)
        own.terms[own.count] = level * bits_level(p) + p.run_line[j] * bits_pitch(p) + p.run_start[j]
        own.count += 1
        if length > <idx>1 << level:
            own.terms[own.count] = own.terms[own.count - 1] + length - (<idx>1 << level)
            own.count += 1


cdef void pack_lines(const Lines *p, const Block *b, idx line, idx end, char *truths, uint8_t *bits, bint opposites) noexcept nogil:
    """Some lines of a region as bits."""
    cdef const fc_elements *k = plain_elements(p)
    cdef idx first = 0, last = span(p, b, p.ndim - 1), i
    cdef uint8_t outside
    cdef bint cut
    cdef fc_stripes q
    k.nonzero(&outside, &p.cval, 1)
    if p.in_place:
        last = inside(p, b, &first)
    cut = first > 0 or last < span(p, b, p.ndim - 1)
    q.elements, q.stripe, q.bytes, q.flip = <uint8_t *>truths, stripe_of(p), bits_pitch(p), 255 if opposites else 0
    if cut and p.mode == FC_CONSTANT:
        fill_ends(p, b, truths, FC_U8, &outside)
        cut = False
    for i in range(line, end):
        q.bits = bits + i * q.bytes
        k.nonzero(q.elements + first, b.line[i].at + first * p.item, last - first)
        if cut:
            fill_ends(p, b, truths, FC_U8, &outside)
        p.k.pack(&q)


cdef void merge_box(const Lines *p, const Block *b, const uint8_t *bits, uint8_t *results) noexcept nogil:
    """Axis by axis, in spans that get RADIX times as long each time."""
    cdef idx terms[RADIX]
    cdef idx distance, length, reach, i
    cdef int a
    cdef fc_merge q
    q.src, q.out, q.terms = bits, results, terms
    q.bytes = (region_line(p, b, region_lines(p, b) - 1) + 1) * bits_pitch(p)
    for a in range(p.ndim):
        distance = 1 if a == p.ndim - 1 else p.stride[a] * bits_pitch(p)
        length = 1
        while length < p.w[a]:
            reach = min(length * RADIX, p.w[a])
            q.count = (reach + length - 1) // length
            for i in range(q.count):
                terms[i] = min(i * length, reach - length) * distance
            q.bytes -= (reach - length) * distance
            p.k.merge(&q)
            q.src, length = results, reach


cdef void merge_runs(const Lines *p, const Block *b, const Reducer *r, const uint8_t *bits, uint8_t *results) noexcept nogil:
    cdef const Near *own = <const Near *>r.own
    cdef idx rows = b.count[p.ndim - 2], i, at
    cdef char *unused
    cdef fc_merge q
    q.terms, q.count = own.terms, own.count
    q.bytes = (rows - 1) * p.step[p.ndim - 2] * bits_pitch(p) + stripe_of(p)
    for i in range(out_lines(p, b) // rows):
        at = locate(p, b, r, i * rows, &unused) * bits_pitch(p)
        q.src, q.out = bits + at, results + at
        p.k.merge(&q)


cdef void fill_bits(const Lines *p, const Block *b, const Near *own, idx carried, char *truths, uint8_t *bits,
                    bint opposites) noexcept nogil:
    """The lines of a block and their spans of all levels; the first rows stand further on, from the block before. What is written
    beyond a sheet belongs to the next, which comes later."""
    cdef idx rows = span(p, b, p.ndim - 2), pitch = bits_pitch(p), size = bits_level(p), sheet, line, at
    cdef idx pair[2]
    cdef int level
    cdef fc_merge q
    q.terms, q.count, q.bytes = pair, 2, (rows - carried) * pitch
    for sheet in range(region_lines(p, b) // rows):
        line = region_line(p, b, sheet * rows)
        for level in range(own.highest + 1 if carried else 0):
            at = level * size + line * pitch
            memmove(bits + at, bits + at + p.b[p.ndim - 2] * p.step[p.ndim - 2] * pitch, carried * pitch)
        pack_lines(p, b, line + carried, line + rows, truths, bits, opposites)
        for level in range(own.highest):
            pair[0], pair[1] = 0, <idx>1 << level
            q.src, q.out = bits + level * size + (line + carried) * pitch, bits + (level + 1) * size + (line + carried) * pitch
            p.k.merge(&q)


cdef void reduce_bits(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """any and all, and min, max and range of booleans, of any window. Of least and all there are the opposites."""
    cdef const Near *own = <const Near *>r.own
    cdef idx *filled = <idx *>scratch           # the block whose bits stand here
    cdef char *truths = scratch + 64
    cdef char *line = truths + byte_pitch(p)
    cdef uint8_t *bits = <uint8_t *>line + byte_pitch(p)
    cdef uint8_t *results[2]
    cdef idx carried = b.carried if filled[0] == b.unit - 1 else 0, pitch = bits_pitch(p), lines = out_lines(p, b), i, at
    cdef int side, reduction
    cdef const Reducer *member
    cdef char *out
    cdef bint fits
    cdef fc_stripes q
    filled[0] = b.unit
    if b.flags & FC_LINE_HOLES:
        filled[0] = -1
        reduce_plain(p, b, r, line)
        return
    for side in range(2):
        results[side] = bits + (own.highest + 1) * bits_level(p)
        if wanted(r, FC_OP_MAX if side else FC_OP_MIN):
            fill_bits(p, b, own, carried, truths, bits, side == 0)
            if p.box:
                merge_box(p, b, bits, results[side])
            else:
                merge_runs(p, b, r, bits, results[side])
            bits += bits_side(p, own)
    q.stripe, q.count = stripe_of(p), dense_count(p, b)
    for i in range(lines):
        member = r
        while member != NULL:
            reduction = (<const Near *>member.own).reduction
            side = not is_least(member)
            at = locate(p, b, member, i, &out) * pitch
            fits = can_write(p, member, out)
            q.elements, q.bits, q.flip = <uint8_t *>(out if fits else line), results[side] + at, 0 if side else 255
            q.also = results[0] + at if reduction == FC_NEAR_RANGE else q.bits
            p.k.unpack(&q)
            if not fits:
                put(p, b, member, out, line, FC_U8)
            member = follower(member)


# ---- sums of boxes: columns first, axis by axis, then rows ----

cdef inline int wide_kind(const Lines *p, const Near *own) noexcept nogil:
    """The kind of the numbers of wide lines."""
    if narrow(p, own):
        return FC_U16
    return FC_F64 if own.doubles else FC_I64 if p.item > 2 and not own.truth else FC_I32


cdef inline idx wide_half(const Lines *p, const Near *own) noexcept nogil:
    """Bytes of the sums of a wide line; those of its squares follow."""
    return round_up(p.r[p.ndim - 1] * kind_bytes(wide_kind(p, own)), FC_FOLD_STRIP) + 64


cdef inline idx wide_pitch(const Lines *p, const Near *own) noexcept nogil:
    return wide_half(p, own) * (3 if own.squares else 1) + 64


cdef idx fold_space(const Lines *p) noexcept nogil:
    cdef idx rows = 0
    cdef int a
    for a in range(p.ndim - 1):
        rows = max(rows, p.r[a])
    return 5 * (rows + 1) * FC_FOLD_STRIP


cdef idx sums_scratch(const Lines *p, const Near *own) noexcept nogil:
    """Bytes for reduce_sums: space, a line of results, a wide line, two tables, bytes, and the wide lines of each axis."""
    cdef idx lines = p.lines, wide = 1
    cdef int a
    for a in range(p.ndim - 1):
        lines = lines // p.r[a] * p.b[a]
        if p.w[a] > 1 or a == p.ndim - 2:
            wide += lines
    return (fold_space(p) + round_up(8 * p.r[p.ndim - 1] + 64) + wide * wide_pitch(p, own)
            + round_up(2 * p.lines * sizeof(void *)) + (p.slots * byte_pitch(p) if own.truth else 0) + 64)


cdef const void **sum_columns(const Lines *p, const Block *b, const Near *own, fc_fold *q, char *scratch) noexcept nogil:
    """Sums the lines of a block along all axes but the last; returns the table of its wide output lines."""
    cdef const fc_elements *k = elements(p, own)
    cdef void **rows = <void **>scratch
    cdef void **out = rows + p.lines
    cdef char *memory = scratch + round_up(2 * p.lines * sizeof(void *))
    cdef int a, last = p.ndim - 1
    cdef idx outer = 1, inner = region_lines(p, b), i, j, o, size, count, at, first = 0
    cdef idx item = kind_bytes(wide_kind(p, own))
    cdef int64_t zero = 0
    cdef bint fold
    list_lines(p, b, own, rows, memory)
    memory += p.slots * byte_pitch(p) if own.truth else 0
    q.n, q.raw, q.cells = span(p, b, last), True, 1
    if p.in_place:
        q.n = inside(p, b, &first) - first
        memory += round_up(first * item)
    for a in range(last):
        size, count = span(p, b, a), b.count[a]
        inner //= size
        fold = p.w[a] > 1 or q.raw and a == last - 1
        if fold or p.step[a] > 1:
            q.window, q.every, q.step, q.count = p.w[a], p.step[a], inner, count
            for i in range(outer):
                for j in range(inner):
                    for o in range(count):
                        at = (i * count + o) * inner + j
                        out[at] = memory + at * wide_pitch(p, own) if fold else rows[(i * size + o * p.step[a]) * inner + j]
                    q.rows, q.out = <const void **>rows + i * size * inner + j, out + i * count * inner + j
                    if fold:
                        k.fold_columns(q)
            if fold:
                memory += outer * count * inner * wide_pitch(p, own)
                q.raw = False
            q.cells *= p.w[a]
            rows, out = out, rows
        outer *= count
    for i in range(outer if p.in_place else 0):
        rows[i] = <char *>rows[i] - first * item
        for j in range(3 if own.squares else 1):
            fill_ends(p, b, <char *>rows[i] + j * q.half, wide_kind(p, own), &zero)
    return <const void **>rows


cdef void reduce_sums(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """sum, mean, var, std and count of a box. What an output depends on is its own window: those with a hole, and no others, are
    computed anew in the plain way, which adds in another order."""
    cdef const Near *own = <const Near *>r.own
    cdef const fc_elements *k = elements(p, own)
    cdef char *line = scratch + fold_space(p)
    cdef char *wide = line + round_up(8 * p.r[p.ndim - 1] + 64)
    cdef void *sums = wide
    cdef const Reducer *member
    cdef const void **rows
    cdef fc_fold q
    cdef fc_finish f
    cdef idx i
    if b.piece:
        go_plain(p, b, r, scratch, 1, True)
        return
    q.squares, q.half, q.space = own.squares, wide_half(p, own), scratch
    rows = sum_columns(p, b, own, &q, wide + wide_pitch(p, own))
    q.window, q.n, q.out = p.w[p.ndim - 1], dense_count(p, b), &sums
    f.half, f.n, f.cells, f.doubles = q.half, q.n, p.cells, own.doubles
    for i in range(out_lines(p, b)):
        q.rows, f.wide = rows + i, rows[i]
        if q.window > 1:
            k.fold_row(&q)
            f.wide = wide
        member = r
        while member != NULL:
            own = <const Near *>member.own
            f.reduction, f.ddof, f.kind = FC_NEAR_SUM if own.reduction == FC_NEAR_COUNT else own.reduction, own.ddof, own.kind
            f.out = target(p, b, member, i, line)
            k.finish(&f)
            deliver(p, b, member, i, <char *>f.out)
            member = follower(member)
    if b.flags & FC_LINE_HOLES:
        go_plain(p, b, r, scratch, 1, True)


# ---- which way ----

cdef int group_of(const Lines *p, int reduction, int out_kind) noexcept:
    """What a reduction shares with its kind where nothing is missing."""
    cdef bint whole = p.native >= FC_U8
    # Sums of bytes and of 16 bits fit 31 bits in windows of this size; doubles hold those of 32 bits in windows of the other.
    cdef bint fits = not whole or p.item > 2 or p.cells < (<idx>1 << (23 if p.item == 1 else 15))
    cdef bint exact = not whole or p.item < 8 and p.cells <= 1 << 21
    # Bits go through all lines of a region at every step: for boxes bytes take less where sheets or most of the lines are shared.
    cdef idx outputs = 1
    cdef bint shared = False
    cdef int a
    for a in range(p.ndim - 1):
        outputs *= p.b[a]
        shared = shared or a < p.ndim - 2 and p.w[a] > 1
    shared = shared or p.lines > 4 * outputs
    if reduction <= FC_NEAR_RANGE or reduction >= FC_NEAR_ANY:
        if p.truth:
            return EXTREMES if p.box and shared else TRUTHS
        return EXTREMES if reduction <= FC_NEAR_RANGE else TRUTHS
    if p.box and reduction == FC_NEAR_COUNT:
        return SUMS if p.cells < <idx>1 << 31 else ALONE
    if p.box and reduction == FC_NEAR_SUM and (fits or FC_U8 <= out_kind < FC_TRUTH and kind_bytes(out_kind) <= 4):
        return SUMS
    if p.box and reduction == FC_NEAR_MEAN and fits and (not whole or p.item < 8):
        return SUMS
    if p.box and reduction in (FC_NEAR_MEAN, FC_NEAR_VAR, FC_NEAR_STD) and exact:
        return SQUARES
    return ALONE


cdef int kind_of_results(const Lines *p, const Near *own, int out_kind) noexcept:
    """The kind of line that the kernels of a group write."""
    if own.truth:
        return FC_I32
    if own.group == TRUTHS:
        return FC_U8
    if own.reduction <= FC_NEAR_MAX or own.reduction >= FC_NEAR_ANY:
        return p.native
    if own.reduction == FC_NEAR_RANGE:
        return p.native & ~1 if p.native >= FC_U8 else p.native
    if own.doubles:
        return FC_F32 if out_kind < FC_F64 else FC_F64
    if own.reduction == FC_NEAR_SUM:
        return FC_I32 if p.item <= 2 else FC_I64
    return FC_U8 if p.native == FC_U8 and out_kind == FC_U8 and p.cells <= FC_FOLD_BYTES else FC_F64


cdef idx scratch_of(const Lines *p, const Near *own) noexcept:
    """Bytes of scratch memory of a leader; the plain way, which blocks with holes take, needs a line."""
    cdef idx sides = 2 if own.reduction == FC_NEAR_RANGE or own.next else 1
    cdef idx plain = plain_scratch(p, own.group == SUMS or own.group == SQUARES)
    if own.group == ALONE:
        return plain
    if own.group == TRUTHS:
        return bits_scratch(p, own, sides) + plain
    if own.group != EXTREMES:
        return max(plain, sums_scratch(p, own))
    if p.box:
        return max(plain, 4 * p.pitch + sides * extreme_scratch(p))
    return 64 + piles_scratch(p) + max(plain, 2 * p.pitch + sides * runs_scratch(p, own))


cdef bint joins(const Lines *p, const Near *own, const Reducer *r) noexcept:
    """Whether a reduction can be computed with one of the pass, which may be another driver's."""
    cdef const Near *leader = <const Near *>r.own
    if r.reduce != reduce_extremes and r.reduce != reduce_runs and r.reduce != reduce_bits and r.reduce != reduce_sums:
        return False
    if own.truth or leader.truth or own.group == ALONE or leader.group == ALONE:
        return False
    # Doubles have sums of their own with squares.
    return own.group == leader.group or p.native == FC_F32 and own.group >= SUMS and leader.group >= SUMS


def width(names, geometry):
    """Bytes beside an element of a block that named reductions keep, for the engine's plan."""
    dtype, box, most = geometry.cval.dtype, geometry.cells is None, 0
    for name in names:
        if name in ("var", "std"):
            most = max(most, 24 if dtype == np.float64 else 16)
        elif name in ("sum", "mean") and box:
            most = max(most, 4 if dtype.kind in "bui" and dtype.itemsize < 4 else 8)
        elif name == "count":
            most = max(most, 4)
        elif name in ("min", "max", "range", "any", "all"):
            levels = 1 if box else int(geometry.window[len(geometry.window) - 1]).bit_length()
            if dtype.kind == "b" or name in ("any", "all"):
                most = max(most, 1 + levels // 4)
            elif not box:
                most = max(most, dtype.itemsize * levels)
    return most


def add(Pass pass_, name, double ddof, cnp.ndarray out):
    """Adds a named reduction to a pass."""
    cdef const Lines *p = &pass_.p
    cdef Near *own = <Near *>PyMem_RawCalloc(1, sizeof(Near))
    cdef Near *other
    cdef Near *room
    cdef reduce_t way = reduce_plain
    cdef double cost = <double>p.cells
    cdef int i, at, code = _CODES[name], out_kind = result_kind(out)
    cdef int in_place = 0
    cdef bint truth = code >= FC_NEAR_ANY or p.truth and code <= FC_NEAR_RANGE   # of the results
    cdef idx j
    if own == NULL:
        raise MemoryError()
    own.reduction, own.ddof = code, ddof
    if code <= FC_NEAR_RANGE:
        own.plain = p.native & ~1 if code == FC_NEAR_RANGE and p.native >= FC_U8 else p.native
    elif code <= FC_NEAR_PROD:
        own.plain = FC_I64 if p.native >= FC_U8 else FC_F64
    else:
        own.plain = FC_I64 if code == FC_NEAR_COUNT else FC_U8 if code >= FC_NEAR_ANY else FC_F64
    if p.native >= FC_U8 and (code == FC_NEAR_PROD or p.item == 8 and code == FC_NEAR_SUM):
        own.wide = out_kind & FC_TRUTH or out_kind & FC_KINDS < FC_U8
        own.plain = FC_F64 if own.wide else FC_I64
    elif p.native >= FC_U64 and code == FC_NEAR_MEAN and FC_U64 <= out_kind & FC_KINDS:
        own.wide, own.plain = True, p.native
    own.group = group_of(p, code, out_kind) if p.cells > 1 and not own.wide else ALONE
    own.truth = own.group == SUMS and code == FC_NEAR_COUNT
    own.squares = own.group == SQUARES
    own.doubles = own.squares or own.group == SUMS and p.native < FC_U8 and not own.truth
    own.kind = kind_of_results(p, own, out_kind)
    if own.group in (EXTREMES, TRUTHS) and not p.box:
        own.lowest = 64
        for j in range(p.runs):
            own.lowest, own.highest = min(own.lowest, level_of(p.run_length[j])), max(own.highest, level_of(p.run_length[j]))
    for at in range(pass_.count):
        if joins(p, own, &pass_.reducers[at]):
            other = <Near *>pass_.reducers[at].own
            other.squares |= own.squares
            i = at
            while (<Near *>pass_.reducers[i].own).next:
                i += (<Near *>pass_.reducers[i].own).next
            (<Near *>pass_.reducers[i].own).next = pass_.count - i
            pass_.reducers[at].scratch = round_up(scratch_of(p, other))
            in_place = pass_.reducers[at].in_place
            pass_.add(follow, own, 0, out, 16, truth)
            pass_.reducers[pass_.count - 1].in_place = in_place
            return
    if own.group == TRUTHS:
        way, cost = reduce_bits, 2 if p.box else 2 + p.runs / 16.0
        if not p.box:
            room = <Near *>PyMem_RawRealloc(own, sizeof(Near) + 2 * p.runs * sizeof(idx))
            if room == NULL:
                PyMem_RawFree(own)
                raise MemoryError()
            own = room
            own.terms = <idx *>(own + 1)
            list_terms(p, own)
    elif own.group == EXTREMES:
        way, cost = reduce_runs, 4.0 * p.runs
        if p.box:
            way, cost = reduce_extremes, 8
    elif own.group != ALONE:
        way, cost = reduce_sums, 60 if own.squares else 16
    if own.truth or own.group == ALONE or p.truth and own.group >= SUMS:  # a boolean's byte may be any
        in_place = 0
    elif own.group >= SUMS:
        in_place = IN_PLACE_BUT_CVAL
    else:
        in_place = IN_PLACE if way != reduce_runs else 0
    pass_.add(way, own, scratch_of(p, own), out, cost, truth)
    pass_.reducers[pass_.count - 1].in_place = in_place
    if own.wide and code == FC_NEAR_MEAN:
        pass_.reducers[pass_.count - 1].out_kind |= FC_NEAREST_WHOLE
