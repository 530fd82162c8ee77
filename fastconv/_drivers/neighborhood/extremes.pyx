"""min, max and range, and any and all where bits do not pay. Next hop: kernels/neighborhood/extremes.h.
"""
from libc.math cimport copysign
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from fastconv._drivers.base cimport FC_CONSTANT, FC_F32, FC_U8
from fastconv._drivers.common cimport idx, round_up
from fastconv._drivers.neighborhood.engine cimport (
    Block,
    Lines,
    Reducer,
    dense_count,
    fill_ends_of,
    inside,
    locate,
    out_lines,
    slot_of,
)
from fastconv._drivers.neighborhood.plain cimport (
    Named,
    can_write,
    deliver,
    first_extreme,
    follower,
    is_least,
    level_of,
    list_lines,
    plain_elements,
    reduce_plain,
    region_line,
    region_lines,
    span,
    target,
    wanted,
)
from fastconv._drivers.neighborhood.table cimport (
    FC_LINE_MASKED,
    FC_LINE_MINUS,
    FC_LINE_NAN,
    FC_REDUCE_RANGE,
    FC_OP_MAX,
    FC_OP_MIN,
    FC_OP_NAN,
    fc_extreme_columns,
    fc_elements,
    fc_extreme_stacks,
    fc_extreme_rows,
)
from fastconv._drivers.runtime cimport seam

cdef enum:
    TERMS = 256                  # of a stack at once, where that is in parts

cdef idx TABLE_BYTES = 5 << 18
cdef idx BAND_BYTES = 1 << 18    # of the spans of a band


# ---- boxes: columns first, axis by axis, then rows ----

cdef idx extreme_scratch(const Lines *p) noexcept nogil:
    """Bytes of one side: a table of targets, and for extreme_columns two of lines and the results along every axis that has a
    window."""
    cdef idx size = round_up(p.lines * sizeof(void *)) + round_up(2 * p.lines * sizeof(void *)) + 64, lines = p.lines
    cdef int a
    for a in range(p.ndim - 1):
        lines = lines // p.region[a] * p.block[a]
        if p.window[a] > 1:
            size += lines * p.pitch
    return size


cdef const void **extreme_columns(const Lines *p, Block *b, const Named *own, char *scratch, int op) noexcept nogil:
    """Reduces the lines of a block along all axes but the last; returns the table of its output lines. Notes NaN and -0 that it
    finds where `op` does not look at them; makes the bytes of booleans in place 0 or 1."""
    cdef const fc_elements *k = plain_elements(p)
    cdef void **rows = <void **>scratch
    cdef void **out = rows + p.lines
    cdef char *memory = scratch + round_up(2 * p.lines * sizeof(void *))
    cdef int a, last = p.ndim - 1
    cdef idx outer = 1, inner = region_lines(p, b), i, j, o, size, count, at, first = 0
    cdef int nan = 0
    cdef fc_extreme_columns q
    list_lines(p, b, own, rows, NULL)
    q.n, q.op = span(p, b, last), op
    if p.in_place:
        q.n = inside(p, b, &first) - first
        memory += round_up(first * p.item)
    for a in range(last):
        size, count = span(p, b, a), b.count[a]
        inner //= size
        q.window, q.step = p.window[a], inner
        if p.window[a] > 1 or p.step[a] > 1:
            for i in range(outer):
                for j in range(inner):
                    for o in range(count):
                        at = (i * count + o) * inner + j
                        out[at] = memory + at * p.pitch if p.window[a] > 1 else rows[(i * size + o * p.step[a]) * inner + j]
                    q.rows, q.out, q.count = <const void **>rows + i * size * inner + j, out + i * count * inner + j, count
                    if p.window[a] > 1 and p.step[a] == 1:
                        nan |= k.extreme_columns(&q)
                    elif p.window[a] > 1:
                        q.count = 1
                        for o in range(count):
                            nan |= k.extreme_columns(&q)
                            q.rows += p.step[a] * inner
                            q.out += inner
            memory += (outer * count * inner) * p.pitch if p.window[a] > 1 else 0
            rows, out = out, rows
        outer *= count
    if nan:
        b.flags |= FC_LINE_MINUS
    for i in range(outer if p.in_place else 0):
        if p.boolean:
            k.nonzero(<uint8_t *>rows[i], rows[i], q.n)
        rows[i] = <char *>rows[i] - first * p.item
    if p.in_place:
        fill_ends_of(p, b, rows, outer, p.native, &p.cval)
    return <const void **>rows


cdef char *extreme_target(const Lines *p, const Block *b, const Reducer *r, idx i, int op, char *line) noexcept nogil:
    cdef const Reducer *member = first_extreme(r, op)
    return line if member == NULL else target(p, b, member, i, line)


cdef void deliver_extremes(const Lines *p, const Block *b, const Reducer *r, idx i, char *least, char *greatest,
                           char *line) noexcept nogil:
    """Output line i of all members."""
    cdef const Named *own
    cdef char *out
    while r != NULL:
        own = <const Named *>r.own
        if own.reduction == FC_REDUCE_RANGE:
            out = target(p, b, r, i, line)
            plain_elements(p).subtract(out, greatest, least, dense_count(p, b))
            deliver(p, b, r, i, out)
        else:
            deliver(p, b, r, i, least if is_least(r) else greatest)
        r = follower(r)


cdef inline bint is_careful(const Block *b) noexcept nogil:
    """Whether extremes depend on the order in which they are found, unless NaN and signs of 0 are looked at."""
    return b.flags & (FC_LINE_NAN | FC_LINE_MINUS)


cdef inline bint cval_is_special(const Lines *p) noexcept nogil:
    """NaN or -0."""
    cdef float value
    cdef double wide = p.cval
    if p.native == FC_F32:
        memcpy(&value, &p.cval, sizeof(value))
        wide = value
    return wide != wide or wide == 0 and copysign(1, wide) < 0


cdef bint list_targets(const Lines *p, const Block *b, const Reducer *r, void **targets) noexcept nogil:
    """Where the output lines of a reduction belong; returns whether kernels can write there."""
    cdef idx i
    cdef char *out
    for i in range(out_lines(p, b)):
        locate(p, b, r, i, &out)
        if not can_write(p, r, out):
            return False
        targets[i] = out
    return True


cdef void reduce_extremes(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """min, max and range of a box, and of booleans any and all, whose bytes may be others than 0 and 1."""
    cdef const Named *own = <const Named *>r.own
    cdef int side
    cdef int op[2]
    cdef void *line[2]
    cdef const void **rows[2]
    cdef void **targets[2]
    cdef char *tables = scratch + 4 * p.pitch
    cdef fc_extreme_rows q
    cdef idx i
    if b.flags & FC_LINE_MASKED:
        reduce_plain(p, b, r, scratch)
        return
    if p.in_place and p.mode == FC_CONSTANT and p.native < FC_U8 and cval_is_special(p):
        b.flags |= FC_LINE_MINUS
    for side in range(2):
        rows[side], line[side], targets[side] = NULL, NULL, <void **>tables
        op[side] = (FC_OP_MAX if side else FC_OP_MIN) | (FC_OP_NAN if is_careful(b) else 0)
        if wanted(r, FC_OP_MAX if side else FC_OP_MIN):
            tables += round_up(p.lines * sizeof(void *))
            rows[side] = extreme_columns(p, b, own, tables, op[side])
            if is_careful(b) and not op[side] & FC_OP_NAN:
                op[side] |= FC_OP_NAN
                rows[side] = extreme_columns(p, b, own, tables, op[side])
            tables = <char *>targets[side] + extreme_scratch(p)
    q.window, q.n, q.spare = p.window[p.ndim - 1], dense_count(p, b), scratch
    if own.reduction != FC_REDUCE_RANGE and own.next == 0:
        side = rows[0] == NULL
        if list_targets(p, b, r, targets[side]):
            q.src, q.out, q.count, q.op = rows[side], targets[side], out_lines(p, b), op[side]
            plain_elements(p).extreme_rows(&q)
            return
    q.count = 1
    for i in range(out_lines(p, b)):
        for side in range(2):
            if rows[side] != NULL:
                line[side] = extreme_target(p, b, r, i, op[side] & FC_OP_MAX, scratch + (1 + side) * p.pitch)
                q.src, q.out, q.op = rows[side] + i, &line[side], op[side]
                plain_elements(p).extreme_rows(&q)
        deliver_extremes(p, b, r, i, <char *>line[0], <char *>line[1], scratch + 3 * p.pitch)


# ---- other windows: tables of spans for each line, then stacks of runs ----

cdef inline idx tables_of(const Named *own) noexcept nogil:
    """Lines that stand beside a line: one for each level from the lowest on but for single elements."""
    return own.highest - max(own.lowest, 1) + 1 if own.highest else 0


cdef idx runs_scratch(const Lines *p, const Named *own) noexcept nogil:
    """Bytes for reduce_runs and one of the extremes."""
    return p.slots * tables_of(own) * p.pitch


cdef inline char *tables_at(const Lines *p, const Block *b, const Named *own, char *tables, idx line) noexcept nogil:
    """Where the spans of 2^level of a line would be for level 0; each level is a pitch further. What is loaded stays in its
    memory when the block moves on, and so do its tables."""
    return tables + (slot_of(p, b, line) * tables_of(own) - max(own.lowest, 1)) * p.pitch


cdef void list_levels(const Lines *p, Named *own) noexcept nogil:
    """The level of each run."""
    cdef idx j
    for j in range(p.runs):
        own.terms[j] = level_of(p.run_length[j])


cdef void fill_table(const Lines *p, const Block *b, const Named *own, idx line, char *spans, char *spare, int op) noexcept nogil:
    """The spans of all levels of a line; those of 2^level go to spans + level * p.pitch."""
    cdef const fc_elements *k = plain_elements(p)
    cdef idx n = span(p, b, p.ndim - 1)
    cdef int level, first = max(own.lowest, 1)
    cdef const void *pair[2]
    cdef void *out = spans + first * p.pitch
    cdef fc_extreme_rows row
    cdef fc_extreme_stacks stack
    row.src, row.out, row.spare, row.op, row.window, row.count = pair, &out, spare, op, <idx>1 << first, 1
    stack.lines, stack.out, stack.count, stack.stacks, stack.op = pair, &out, 2, 1, op
    pair[0], row.n = b.line[line].at, n - row.window + 1
    k.extreme_rows(&row)
    for level in range(first + 1, own.highest + 1):
        pair[0] = out
        pair[1] = <char *>out + (<idx>1 << (level - 1)) * k.bytes
        out, stack.n = spans + level * p.pitch, n - (<idx>1 << level) + 1
        k.extreme_stacks(&stack)


cdef void fill_tables(const Lines *p, const Block *b, const Named *own, char *tables, char *spare, idx carried,
                      int op) noexcept nogil:
    cdef idx i, line, rows = span(p, b, p.ndim - 2)
    for i in range(region_lines(p, b) if own.highest else 0):
        if i % rows >= carried:
            line = region_line(p, b, i)
            fill_table(p, b, own, line, tables_at(p, b, own, tables, line), spare, op)


cdef inline idx stacks_of(const Lines *p) noexcept nogil:
    cdef idx stacks = 1
    cdef int a
    for a in range(p.ndim - 1):
        stacks *= p.block[a]
    return stacks


cdef idx stacks_scratch(const Lines *p) noexcept nogil:
    """Bytes for the pointers of all stacks of a block and of the tables of its lines, and for the results on both sides."""
    return round_up(((2 * p.runs + 2) * stacks_of(p) + p.lines) * sizeof(void *)) + 2 * stacks_of(p) * p.pitch


cdef idx list_runs(const Lines *p, const Block *b, const Reducer *r, char *tables, const void **lines) noexcept nogil:
    """The lines of the stacks of a block, one stack after the other; returns how many a stack has."""
    cdef const Named *own = <const Named *>r.own
    cdef idx i, j, first, line, level, rest, count = 0
    cdef char *unused
    cdef const char *at
    cdef const char **spans = <const char **>lines + (2 * p.runs + 2) * stacks_of(p)
    for i in range(region_lines(p, b)):
        line = region_line(p, b, i)
        spans[line] = tables_at(p, b, own, tables, line)
    for i in range(out_lines(p, b)):
        first = locate(p, b, r, i, &unused)
        for j in range(p.runs):
            line, level = first + p.run_line[j], own.terms[j]
            at = (spans[line] + level * p.pitch if level else b.line[line].at) + p.run_start[j] * p.item
            rest = p.run_length[j] - (<idx>1 << level)
            lines[count] = at
            count += 1
            if rest:
                lines[count] = at + rest * p.item
                count += 1
    return count // out_lines(p, b)


cdef void reduce_runs(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """min, max and range of any window."""
    cdef const Named *own = <const Named *>r.own
    cdef idx *filled = <idx *>scratch           # the block whose tables stand here
    cdef const void **lines = <const void **>(scratch + 64)
    cdef idx stacks = out_lines(p, b), i
    cdef char *spare = scratch + 64 + stacks_scratch(p)
    cdef char *results = spare - 2 * stacks * p.pitch
    cdef char *tables = spare + 2 * p.pitch
    cdef void **out[2]           # NULL: not wanted
    cdef char *line[2]
    cdef int side, op, nan = FC_OP_NAN if is_careful(b) else 0
    cdef idx carried = b.carried if filled[0] == b.unit - 1 else 0
    cdef fc_extreme_stacks q
    filled[0] = b.unit
    if b.flags & FC_LINE_MASKED:
        filled[0] = -1
        reduce_plain(p, b, r, spare)
        return
    q.lines, q.n, q.stacks = lines, dense_count(p, b), stacks
    for side in range(2):
        out[side], op = NULL, FC_OP_MAX if side else FC_OP_MIN
        if not wanted(r, op):
            continue
        out[side] = <void **>lines + (2 * p.runs + side) * stacks
        fill_tables(p, b, own, tables, spare, carried, op | nan)
        q.count, q.out, q.op = list_runs(p, b, r, tables, lines), out[side], op | nan
        for i in range(stacks):
            out[side][i] = extreme_target(p, b, r, i, op, results + (side * stacks + i) * p.pitch)
        plain_elements(p).extreme_stacks(&q)
        tables += runs_scratch(p, own)
    for i in range(stacks):
        for side in range(2):
            line[side] = NULL if out[side] == NULL else <char *>out[side][i]
        deliver_extremes(p, b, r, i, line[0], line[1], spare + p.pitch)


# ---- the same where the tables of a block would be too large: a band of lines after the other, each stack in parts ----

cdef bint in_bands(const Lines *p, const Named *own) noexcept nogil:
    return runs_scratch(p, own) > TABLE_BYTES


cdef inline idx band_of(const Lines *p, const Named *own) noexcept nogil:
    """Lines of a band."""
    return min(max(BAND_BYTES // max(tables_of(own) * p.pitch, 1), 1), p.lines)


cdef idx bands_scratch(const Lines *p, const Named *own, int sides) noexcept nogil:
    """Bytes for reduce_bands: spare lines, the tables of a band, those of its lines, the next run of each stack, and the
    stacks."""
    return ((2 + band_of(p, own) * tables_of(own) + sides * stacks_of(p)) * p.pitch + round_up(p.lines * sizeof(char *))
            + round_up(stacks_of(p) * sizeof(idx)))


cdef void add_runs(const Lines *p, const Block *b, const Reducer *r, char **spans, idx *next, idx first, idx limit, char *out,
                   int op) noexcept nogil:
    """What a stack, whose window begins with line `first`, has in the lines before `limit`."""
    cdef const Named *own = <const Named *>r.own
    cdef const void *terms[TERMS]
    cdef const char *at
    cdef void *target = out
    cdef idx line, level, rest
    cdef fc_extreme_stacks q
    q.lines, q.out, q.count, q.stacks, q.n, q.op = terms, &target, 0, 1, dense_count(p, b), op
    while next[0] < p.runs and first + p.run_line[next[0]] < limit:
        if q.count == 0 and next[0] > 0:
            terms[0], q.count = out, 1
        line, level = first + p.run_line[next[0]], own.terms[next[0]]
        at = (spans[line] + level * p.pitch if level else b.line[line].at) + p.run_start[next[0]] * p.item
        rest = p.run_length[next[0]] - (<idx>1 << level)
        terms[q.count], terms[q.count + 1] = at, at + rest * p.item
        q.count += 2 if rest else 1
        next[0] += 1
        if q.count > TERMS - 2:
            plain_elements(p).extreme_stacks(&q)
            q.count = 0
    if q.count:
        plain_elements(p).extreme_stacks(&q)


cdef void reduce_bands(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """min, max and range of large windows of any shape."""
    cdef const Named *own = <const Named *>r.own
    cdef idx stacks = out_lines(p, b), lines = region_lines(p, b), band = band_of(p, own), i, j, line, limit
    cdef char **spans = <char **>(scratch + 2 * p.pitch)
    cdef idx *next = <idx *>(<char *>spans + round_up(p.lines * sizeof(char *)))
    cdef char *tables = <char *>next + round_up(stacks_of(p) * sizeof(idx))
    cdef char *results[2]        # NULL: not wanted
    cdef int side, op
    cdef char *unused
    cdef char *at = tables + band * tables_of(own) * p.pitch
    if b.flags & FC_LINE_MASKED:
        reduce_plain(p, b, r, scratch)
        return
    for side in range(2):
        results[side], op = NULL, FC_OP_MAX if side else FC_OP_MIN
        if not wanted(r, op):
            continue
        results[side] = at
        at += stacks * p.pitch
        op |= FC_OP_NAN if is_careful(b) else 0
        for i in range(stacks):
            next[i] = 0
        i = 0
        while i < lines:
            for j in range(i, min(i + band, lines)):
                line = region_line(p, b, j)
                spans[line] = tables + ((j - i) * tables_of(own) - max(own.lowest, 1)) * p.pitch
                if own.highest:
                    fill_table(p, b, own, line, spans[line], scratch, op)
            limit = region_line(p, b, i + band) if i + band < lines else p.lines
            for j in range(stacks):
                add_runs(p, b, r, spans, &next[j], locate(p, b, r, j, &unused), limit, results[side] + j * p.pitch, op)
            i += band
    for i in range(stacks):
        deliver_extremes(p, b, r, i, NULL if results[0] == NULL else results[0] + i * p.pitch,
                         NULL if results[1] == NULL else results[1] + i * p.pitch, scratch + p.pitch)


seam("neighborhood.TABLE_BYTES", &TABLE_BYTES)
seam("neighborhood.BAND_BYTES", &BAND_BYTES)
