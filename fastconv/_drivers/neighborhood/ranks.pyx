"""Driver of median, percentile, rank, mode and entropy: lays out scratch memory and walks the output lines of a block. The engine
(engine.pyx) loads the blocks and shares them out. Next hop: kernels/neighborhood/ranks.h.
"""
from cpython.mem cimport PyMem_RawCalloc
from libc.stdint cimport int64_t
from libc.string cimport memset

cimport numpy as cnp

from fastconv._drivers.base cimport FC_F32, FC_F64, FC_KINDS, FC_NEAREST_WHOLE, FC_U32, FC_U64, FC_U8
from fastconv._drivers.common cimport idx
from fastconv._drivers.neighborhood.engine cimport (
    Block,
    Lines,
    Pass,
    Reducer,
    dense_count,
    locate,
    must_end,
    nothing_of,
    out_lines,
    put,
    result_kind,
    slot_of,
)
from fastconv._drivers.neighborhood.table cimport (
    FC_CELL_LEVELS,
    FC_LINE_MASKED,
    FC_LINE_NAN,
    FC_NARROW_COUNT,
    FC_REGISTER_CELLS,
    FC_REDUCE_MAX,
    FC_SELECT_CHUNK,
    FC_SELECT_ROOM,
    fc_rank_box,
    fc_rank_cells,
    fc_elements,
    fc_reduce,
    fc_neighborhood,
    fc_finish_ranks,
    fc_select,
    fc_so_far,
    fc_tally,
)
from fastconv._drivers.runtime cimport seam


import operator

import numpy as np

cnp.import_array()

cdef enum:
    PLAIN, BOX, CELLS            # how ranks are found where all cells count

cdef idx REGISTER_CELLS = FC_REGISTER_CELLS          # that kernels sort at once
cdef idx LIST_CELLS = 1024       # of a window whose lists are sorted
cdef idx RANK_PIECE = 1 << 18    # cells of the windows of a piece, selected or sorted
cdef idx RANK_PASSES = 1 << 25   # comparisons of a piece where one chunk of outputs is more than that
cdef idx PIECE_RUNS = 1 << 22    # runs that a histogram passes in a piece
cdef idx SORT_CELLS = 1 << 17    # that are sorted at once, for mode and entropy
cdef idx SORT_WORDS = 2048       # cells of a window of 16 bits that is sorted for its mode
cdef idx NARROW_COUNT = FC_NARROW_COUNT    # cells that a histogram with narrow counts takes, at most
cdef idx LOGARITHMS = 1 << 18    # counts whose logarithms stand in a table

NAMES = ("median", "percentile", "rank", "mode", "entropy")


cdef struct Rank:
    double quantile              # negative: a rank
    idx rank
    bint pair                    # results may lie between two cells
    bint real                    # results are doubles
    double nothing               # where nothing counts
    bint tally                   # mode or entropy
    bint logs                    # entropy
    bint moving                  # by a histogram that moves along the lines, with
    bint wide                    # counts of any size; else by sorting so many cells at once:
    idx room
    idx most_logs                # that the table has
    int way
    double scale                 # of the table of logarithms
    idx target                   # the rank in windows whose cells all count
    double fraction                 # and the position's distance from it
    # Windows of any shape: how many cells each 1 << l outputs of a column share, and not twice as many (fc_rank_cells).
    idx cells[FC_CELL_LEVELS + 1]
    int levels
    idx offsets                  # of all outputs
    idx table[1]                 # cells: line and tap of each offset; or logarithms: as many as cells, and one


cdef struct Memory:                # scratch memory of a thread
    const void **rows            # each line of the region, or its keys
    char *keys
    bint keyed                   # whether the rows are keys, and so the results
    char *low                    # lines of keys, `pitch` bytes each, or values
    char *high
    idx pitch
    char *extreme
    char *out
    char *spare                  # of kernels
    void **lows                  # where lines of low and high go
    void **highs
    idx *offset                  # of cells
    double *fraction
    idx *count
    idx *state                   # of a chunk of outputs between two pieces of its work
    fc_so_far *so_far            # the same of an output of mode or entropy


cdef inline const fc_elements *elements(const fc_neighborhood *k, int kind) noexcept nogil:
    return &k.elements[7 + kind if kind < FC_U8 else kind - FC_U8]


cdef inline int key_kind(int kind) noexcept nogil:
    return FC_U32 if kind == FC_F32 else FC_U64 if kind == FC_F64 else kind & ~1


cdef inline int list_kind(int kind) noexcept nogil:
    """Of sorted lists: floats are compared as they are."""
    return kind if kind < FC_U8 else key_kind(kind)


cdef inline bint needs_keys(const Lines *p, const Rank *own, bint masked) noexcept nogil:
    return masked or (own.way == PLAIN or p.native >= FC_U8) and key_kind(p.native) != p.native


def _cells(geometry):
    """Cells of a window."""
    if geometry.cells is not None:
        return int(geometry.cells.sum())
    return int(np.prod(geometry.window, dtype=np.int64))


def _interpolates(name, parameter, cells, presence):
    """Whether a result may lie between two cells, or has no cell at all."""
    if name not in ("median", "percentile"):
        return False
    return presence or (cells - 1) * parameter[0] % 1 != 0


def parameter(name, values):
    """The parameter of a named reduction: (quantile, 0), or (-1, rank)."""
    if name not in ("percentile", "rank"):
        if values:
            raise ValueError(f"reduction {name!r} takes no parameter, got {values!r}")
        return 0.5, 0
    if len(values) != 1:
        what = "q from 0 to 100" if name == "percentile" else "an integer"
        raise ValueError(f"reduction {name!r} must be a tuple ({name!r}, {what}), got {(name, *values)!r}")
    if name == "rank":
        try:
            if isinstance(values[0], (bool, np.bool_)):
                raise TypeError
            return -1.0, operator.index(values[0])
        except TypeError:
            raise TypeError(f"the rank of a reduction must be an integer, got {values[0]!r}") from None
    try:
        if isinstance(values[0], (str, bytes)):
            raise TypeError
        percent = float(values[0])
    except (TypeError, ValueError):
        raise TypeError(f"the percentile of a reduction must be a real number, got {values[0]!r}") from None
    if not 0 <= percent <= 100:
        raise ValueError(f"the percentile of a reduction must be from 0 to 100, got {values[0]!r}")
    return percent / 100, 0


def result_dtype(name, parameter, dtype, geometry):
    """The dtype of a reduction's result for elements of `dtype`, in native byte order."""
    cells = _cells(geometry)
    if name == "rank" and not -cells <= parameter[1] < cells:
        raise ValueError(f"the rank of a reduction must be from {-cells} to {cells - 1} for a window of {cells} cells, "
                         f"got {parameter[1]}")
    if dtype.kind != "f" and (name == "entropy" or _interpolates(name, parameter, cells, geometry.presence)):
        return np.dtype(np.float64)
    return dtype


def rows(names, geometry):
    """Rows that a block should have for named reductions, 0 where any number does: a power of 2, so that threads get as many of
    most images, and for boxes enough for the rows above them that are sorted anew."""
    if not any(name in ("median", "percentile", "rank") for name in names):
        return 0
    height = geometry.window[len(geometry.window) - 2]
    return 32 if geometry.cells is not None else 1 << (7 * int(height) - 1).bit_length() - 1


# ---- scratch memory ----

cdef inline char *take(char **at, idx size) noexcept nogil:
    """The next `size` bytes, in whole cache lines."""
    cdef char *start = at[0]
    at[0] += (size + 63) // 64 * 64
    return start


cdef idx lay_out(const Lines *p, const Rank *own, char *scratch, Memory *w) noexcept nogil:
    """Fills in a thread's memory; returns its bytes."""
    cdef idx room = p.region[p.ndim - 1] + FC_SELECT_ROOM, lines = p.block[p.ndim - 2] if own.way == BOX else 1 << FC_CELL_LEVELS
    cdef idx spare = 0
    cdef char *at = scratch
    w.rows = <const void **>take(&at, p.lines * sizeof(void *))
    w.keys = take(&at, p.slots * p.pitch) if needs_keys(p, own, p.presence) else NULL
    w.pitch = (room * p.item + 63) // 64 * 64
    w.low = take(&at, lines * w.pitch)
    w.high = take(&at, lines * w.pitch) if own.pair else NULL
    w.lows = <void **>take(&at, lines * sizeof(void *))
    w.highs = <void **>take(&at, lines * sizeof(void *))
    w.extreme = take(&at, room * p.item) if p.native < FC_U8 else NULL
    w.out = take(&at, room * 8)
    w.fraction = <double *>take(&at, room * sizeof(double))
    w.count = <idx *>take(&at, room * sizeof(idx))
    w.state = <idx *>take(&at, 2 * FC_SELECT_CHUNK * sizeof(idx))
    w.so_far = <fc_so_far *>take(&at, sizeof(fc_so_far))
    w.offset = <idx *>take(&at, own.offsets * sizeof(idx))
    if own.tally:
        spare = elements(p.k, key_kind(p.native)).tally_room(own.room, p.runs, own.moving, own.wide)
    elif own.way == BOX:
        spare = elements(p.k, list_kind(p.native)).rank_room(p.window[p.ndim - 2], p.window[p.ndim - 1])
    elif own.way == CELLS:
        spare = elements(p.k, list_kind(p.native)).rank_room(1, p.cells)
    w.spare = take(&at, spare)
    return at - scratch


# ---- blocks ----

cdef void make_rows(const Lines *p, const Block *b, const Rank *own, Memory *w) noexcept nogil:
    """The lines of a block, or their keys."""
    cdef idx i, rest, length = (b.count[p.ndim - 1] - 1) * p.step[p.ndim - 1] + p.window[p.ndim - 1]
    cdef bint masked = b.flags & FC_LINE_MASKED, loaded
    cdef int a
    w.keyed = needs_keys(p, own, masked)
    for i in range(p.lines):
        w.rows[i] = b.line[i].at
        if not w.keyed:
            continue
        loaded, rest = True, i
        for a in range(p.ndim - 2, -1, -1):
            loaded = loaded and rest % p.region[a] < (b.count[a] - 1) * p.step[a] + p.window[a]
            rest //= p.region[a]
        if loaded:
            elements(p.k, p.native).keys(w.keys + slot_of(p, b, i) * p.pitch, b.line[i].at, b.line[i].present if masked else NULL,
                                         length)
            w.rows[i] = w.keys + slot_of(p, b, i) * p.pitch


cdef const void *find_extreme(const Lines *p, const Block *b, const Rank *own, const Memory *w, idx line) noexcept nogil:
    """A line of results of which those with a NaN are NaN; NULL if the block has none."""
    cdef fc_reduce q
    if p.native >= FC_U8 or not b.flags & FC_LINE_NAN:
        return NULL
    q.lines, q.run_line, q.run_start, q.run_length = b.line + line, p.run_line, p.run_start, p.run_length
    q.runs, q.cells, q.n, q.reduction, q.masked = p.runs, p.cells, dense_count(p, b), FC_REDUCE_MAX, b.flags & FC_LINE_MASKED
    q.first, q.wide, q.ddof, q.nothing, q.out = 0, False, 0, own.nothing, w.extreme
    elements(p.k, p.native).reduce(&q)
    return w.extreme


cdef void finish(const Lines *p, const Block *b, const Reducer *r, const Memory *w, idx line, idx at, char *out) noexcept nogil:
    """Line `at` of values or keys at w.low and w.high, or results at w.out, to the results of one line."""
    cdef const Rank *own = <const Rank *>r.own
    cdef fc_finish_ranks q
    q.extreme = find_extreme(p, b, own, w, line)
    q.n = dense_count(p, b)
    q.low = NULL if own.logs else w.low + at * w.pitch
    q.high = NULL if w.high == NULL else w.high + at * w.pitch
    if w.keyed and q.low != NULL:
        elements(p.k, p.native).values(<void *>q.low, q.n)
    if w.keyed and q.high != NULL:
        elements(p.k, p.native).values(<void *>q.high, q.n)
    if q.low != NULL and q.high == NULL and q.extreme == NULL and not b.flags & FC_LINE_MASKED:
        put(p, b, r, out, q.low, p.native)
        return
    q.real, q.nothing, q.out, q.fraction, q.count = own.real, own.nothing, w.out, w.fraction, w.count
    elements(p.k, p.native).finish_ranks(&q)
    put(p, b, r, out, w.out, FC_F64 if q.real else p.native)


cdef void select_plain(const Lines *p, const Block *b, const Reducer *r, Memory *w) noexcept nogil:
    """Any rank of any window: chunks of outputs, several in a piece, or one of them in several pieces."""
    cdef const Rank *own = <const Rank *>r.own
    cdef fc_select q
    cdef int passes = 8 * <int>p.item + 2, each = passes
    cdef idx n = dense_count(p, b), size = max(RANK_PIECE // p.cells // FC_SELECT_CHUNK, 1) * FC_SELECT_CHUNK
    cdef idx parts = (n + size - 1) // size, work = FC_SELECT_CHUNK * p.cells, runs = p.runs, stages = 1, piece, line, stage
    cdef char *out
    if size == FC_SELECT_CHUNK and work > RANK_PASSES // passes:
        each = <int>max(RANK_PASSES // work, 1)
        if work > RANK_PASSES:
            runs = max(p.runs // (work // RANK_PASSES + 1), 1)
        stages = ((passes + each - 1) // each) * ((p.runs + runs - 1) // runs)
    q.run_line, q.run_start, q.run_length, q.runs, q.cells = p.run_line, p.run_start, p.run_length, p.runs, p.cells
    q.masked, q.quantile, q.rank = b.flags & FC_LINE_MASKED, own.quantile, own.rank
    q.low, q.high, q.fraction, q.count, q.state = w.low, w.high, w.fraction, w.count, w.state
    for piece in range(out_lines(p, b) * parts * stages):
        line = locate(p, b, r, piece // stages // parts, &out)
        q.rows, q.lines = w.rows + line, b.line + line
        q.first = piece // stages % parts * size
        q.n = min(q.first + size, n)
        stage = piece % stages
        q.first_pass = <int>(stage // ((p.runs + runs - 1) // runs)) * each
        q.end_pass = min(q.first_pass + each, passes)
        q.first_run = stage % ((p.runs + runs - 1) // runs) * runs
        q.end_run = min(q.first_run + runs, p.runs)
        elements(p.k, key_kind(p.native)).select(&q)
        if q.n == n and stage == stages - 1:
            finish(p, b, r, w, line, 0, out)
        if must_end(b):
            return


# ---- sorted lists, where all cells count ----

cdef inline char *target(const Lines *p, const Block *b, const Reducer *r, const Memory *w, idx at, char *out) noexcept nogil:
    """Where line `at` of low goes: where its results belong, if a kernel can write them there."""
    cdef int last = p.ndim - 1
    if (w.high == NULL and r.out_kind == p.native and r.out_step[last] == p.item and p.step[last] == 1
            and <size_t>out % p.item == 0 and b.count[last] * p.item >= FC_SELECT_ROOM
            and not (p.native < FC_U8 and b.flags & FC_LINE_NAN)):
        return out
    return w.low + at * w.pitch


cdef void select_box(const Lines *p, const Block *b, const Reducer *r, Memory *w) noexcept nogil:
    """One rank of boxes along the lines and the row axis."""
    cdef const Rank *own = <const Rank *>r.own
    cdef idx rows = b.count[p.ndim - 2], i, j, line
    cdef char *out
    cdef fc_rank_box q
    q.low, q.high, q.n, q.count, q.rank = w.lows, NULL if w.high == NULL else w.highs, dense_count(p, b), rows, own.target
    q.height, q.width, q.spare = p.window[p.ndim - 2], p.window[p.ndim - 1], w.spare
    for i in range(out_lines(p, b) // rows):
        q.rows = w.rows + locate(p, b, r, i * rows, &out)
        for j in range(rows):
            locate(p, b, r, i * rows + j, &out)
            w.lows[j] = target(p, b, r, w, j, out)
            w.highs[j] = w.high + j * w.pitch
        elements(p.k, list_kind(p.native)).rank_box(&q)
        for j in range(rows):
            line = locate(p, b, r, i * rows + j, &out)
            if w.lows[j] != out:
                finish(p, b, r, w, line, j, out)
            elif w.keyed:
                elements(p.k, p.native).values(out, q.n)
        if must_end(b):
            return


cdef void select_cells(const Lines *p, const Block *b, const Reducer *r, Memory *w) noexcept nogil:
    """One rank of any windows, for outputs of a column that share cells."""
    cdef const Rank *own = <const Rank *>r.own
    cdef idx rows = b.count[p.ndim - 2], i, j, line, at, cell
    cdef int level
    cdef const char *base
    cdef const char *from_
    cdef char *out
    cdef fc_rank_cells q
    q.offset, q.n, q.rank, q.levels, q.pair, q.spare = w.offset, dense_count(p, b), own.target, own.levels, own.pair, w.spare
    for level in range(own.levels + 1):
        q.cells[level] = own.cells[level]
    i = 0
    while i < out_lines(p, b):
        q.outputs = <int>min(<idx>1 << own.levels, rows - i % rows)
        line = locate(p, b, r, i, &out)
        base = <const char *>w.rows[line]
        q.from_ = base
        at = 0
        for level in range(own.levels, -1, -1):
            for j in range(1 << (own.levels - level)):
                for cell in range(at, at + own.cells[level]):
                    if j << level < q.outputs:
                        from_ = <const char *>w.rows[line + own.table[2 * cell]]
                        w.offset[cell] = (from_ - base) // p.item + own.table[2 * cell + 1]
                at += own.cells[level]
        for j in range(q.outputs):
            locate(p, b, r, i + j, &out)
            q.low[j], q.high[j] = target(p, b, r, w, j, out), NULL if w.high == NULL else w.high + j * w.pitch
        elements(p.k, list_kind(p.native)).rank_cells(&q)
        for j in range(q.outputs):
            line = locate(p, b, r, i + j, &out)
            if q.low[j] != out:
                finish(p, b, r, w, line, j, out)
            elif w.keyed:
                elements(p.k, p.native).values(out, q.n)
        i += q.outputs
        if must_end(b):
            return


cdef void reduce_select(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """median, percentile, rank."""
    cdef const Rank *own = <const Rank *>r.own
    cdef Memory w
    cdef idx i
    lay_out(p, own, scratch, &w)
    make_rows(p, b, own, &w)
    if own.way == PLAIN or b.flags & FC_LINE_MASKED:
        select_plain(p, b, r, &w)
        return
    if own.pair or b.flags & FC_LINE_NAN:
        for i in range(dense_count(p, b)):
            w.fraction[i], w.count[i] = own.fraction, p.cells
    if own.way == BOX:
        select_box(p, b, r, &w)
    else:
        select_cells(p, b, r, &w)


cdef void reduce_tally(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """mode and entropy of any window."""
    cdef const Rank *own = <const Rank *>r.own
    cdef Memory w
    cdef fc_tally q
    cdef idx n = dense_count(p, b), piece = 0, line, size, parts
    cdef char *out
    lay_out(p, own, scratch, &w)
    make_rows(p, b, own, &w)
    w.so_far.begun = False
    size = PIECE_RUNS // p.runs + 1 if own.moving else RANK_PIECE // p.cells + 1
    if not own.moving and p.cells > own.room:
        size = 1
    parts = (n + size - 1) // size
    q.run_line, q.run_start, q.run_length, q.runs, q.cells = p.run_line, p.run_start, p.run_length, p.runs, p.cells
    q.masked, q.zeros, q.spare = b.flags & FC_LINE_MASKED, p.native < FC_U8, w.spare
    q.mode, q.entropy, q.scale, q.count = w.low, <double *>w.out, own.scale, w.count
    q.logs = <const int64_t *>own.table if own.logs else NULL
    q.most_logs, q.room, q.moving, q.wide, q.so_far = own.most_logs, own.room, own.moving, own.wide, w.so_far
    while piece < out_lines(p, b) * parts:
        line = locate(p, b, r, piece // parts, &out)
        q.rows, q.lines = w.rows + line, b.line + line
        q.first = piece % parts * size
        q.n = min(q.first + size, n)
        if not elements(p.k, key_kind(p.native)).tally(&q):
            piece += 1
            if q.n == n:
                finish(p, b, r, &w, line, 0, out)
        if must_end(b):
            return


def _logarithms(cells):
    """round(c * log2(c) * scale) for the counts of a table, 0 .. cells at most, and the scale: the power of 2 for which that of
    all cells is below 2^62."""
    counts = np.arange(min(cells, LOGARITHMS) + 1)
    scale = 2.0 ** (62 - np.frexp(cells * np.log2(cells))[1])
    return np.rint(counts * np.log2(np.maximum(counts, 1)) * scale).astype(np.int64), scale


cdef bint all_hold(const Lines *p, idx line, idx tap, idx first, idx count) noexcept:
    """Whether all windows of `count` outputs of a column, from `first` on, have a cell on a line of the region at a tap."""
    cdef idx j, at, low, high, middle
    for j in range(first, first + count):
        at, low, high = line - j * p.step[p.ndim - 2], 0, p.runs
        while low < high:        # runs stand in C order: how many begin here or before
            middle = (low + high) // 2
            if p.run_line[middle] < at or (p.run_line[middle] == at and p.run_start[middle] <= tap):
                low = middle + 1
            else:
                high = middle
        if low == 0 or p.run_line[low - 1] != at or tap >= p.run_start[low - 1] + p.run_length[low - 1]:
            return False
    return True


cdef idx list_shared(const Lines *p, const Rank *own, idx first, int level, idx *to) noexcept:
    """The cells of the list that 1 << level outputs from `first` on share (NULL: only how many they all have): what the list of
    twice as many does not hold, which at level 1 leaves some to both outputs. Returns their number."""
    cdef idx i, line, tap, twice = first >> (level + 1) << (level + 1), four = first >> 2 << 2, count = 0, above = 0
    for i in range(p.runs):
        line = p.run_line[i] + first * p.step[p.ndim - 2]
        for tap in range(p.run_start[i], p.run_start[i] + p.run_length[i]):
            if not all_hold(p, line, tap, first, 1 << level):
                continue
            if to != NULL:
                if level < own.levels and all_hold(p, line, tap, twice, 2 << level):
                    if level or (own.levels > 1 and all_hold(p, line, tap, four, 4)):
                        continue
                    above += 1
                    if above <= own.cells[1]:
                        continue
                if count == own.cells[level]:
                    break
                to[2 * count], to[2 * count + 1] = line, tap
            count += 1
    return count


cdef void count_cells(const Lines *p, Rank *own) noexcept:
    """Fills in how cells are shared: by twice as many outputs as long as they share half of their cells."""
    cdef idx shared = p.cells, more, rest
    cdef int level
    while own.levels < FC_CELL_LEVELS and p.block[p.ndim - 2] >= 2 << own.levels:
        more = list_shared(p, own, 0, own.levels + 1, NULL)
        if 2 * more < shared:
            break
        own.cells[own.levels] = shared - more
        own.levels += 1
        shared = more
    own.cells[own.levels] = shared
    # A few cells more than are sorted at once cost a merger: both outputs have them in their own lists if there is room.
    rest = own.cells[1] % REGISTER_CELLS if own.levels else 0
    if own.cells[1] > REGISTER_CELLS and own.cells[0] + rest <= REGISTER_CELLS:
        own.cells[0] += rest
        own.cells[1] -= rest
    for level in range(own.levels + 1):
        own.offsets += own.cells[level] << (own.levels - level)


cdef void list_cells(const Lines *p, Rank *own) noexcept:
    """Fills in the table of cells."""
    cdef idx at = 0
    cdef int level, j
    for level in range(own.levels, -1, -1):
        for j in range(1 << (own.levels - level)):
            at += list_shared(p, own, j << level, level, own.table + 2 * at)


cdef int choose(const Lines *p) noexcept:
    """How ranks of windows whose cells all count are found."""
    cdef int a
    if p.cells > LIST_CELLS:
        return PLAIN
    if not p.box or p.step[p.ndim - 2] > 1:
        return CELLS
    for a in range(p.ndim - 2):
        if p.window[a] > 1:
            return CELLS
    return BOX


def add(Pass pass_, name, value, cnp.ndarray out):
    """Adds a named reduction to a pass."""
    cdef const Lines *p = &pass_.p
    cdef Memory w
    cdef Rank plan
    cdef Rank *own
    cdef const int64_t[:] logs = None
    cdef idx i, room = 0
    cdef double position
    cdef bint whole, narrow
    memset(&plan, 0, sizeof(Rank))
    plan.quantile, plan.rank = value
    plan.tally, plan.logs = name in ("mode", "entropy"), name == "entropy"
    plan.pair = _interpolates(name, value, p.cells, p.presence) and value[0] not in (0.0, 1.0)
    plan.nothing = nothing_of(result_kind(out))
    # Between two integers of 64 bits a double is not exact enough for a result of 64 bits.
    narrow = result_kind(out) & FC_KINDS in (FC_F32, p.kind & FC_KINDS)
    whole = plan.pair and p.native >= FC_U64 and result_kind(out) & FC_KINDS >= FC_U64
    # The elements' own type has not the numbers between two of them, or no NaN.
    plan.real = plan.logs or (plan.pair and not whole and p.native != FC_F64 and not (p.native == FC_F32 and narrow)) or (
        p.presence and p.native >= FC_U8 and plan.nothing != 0)
    if plan.logs:
        table, plan.scale = _logarithms(p.cells)
        logs = table
        room = logs.shape[0]
        plan.most_logs = room - 1
    if plan.tally:
        plan.moving = p.item == 1 or p.item == 2 and (plan.logs or p.cells > SORT_WORDS)
        plan.wide = p.cells > min(NARROW_COUNT, FC_NARROW_COUNT) or p.item == 2 and not plan.logs
        plan.wide = plan.wide or plan.logs and p.cells > plan.most_logs
        plan.room = min(p.cells, SORT_CELLS)
    else:
        position = (p.cells - 1) * plan.quantile
        plan.target = <idx>position if plan.quantile >= 0 else plan.rank + (p.cells if plan.rank < 0 else 0)
        plan.fraction = position - <double>plan.target if plan.quantile >= 0 else 0
        plan.way = choose(p)
        if plan.way == CELLS:
            count_cells(p, &plan)
            room = 2 * plan.offsets
    own = <Rank *>PyMem_RawCalloc(1, sizeof(Rank) + room * sizeof(idx))
    if own == NULL:
        raise MemoryError()
    own[0] = plan
    if plan.logs:
        for i in range(room):
            own.table[i] = logs[i]
    elif plan.way == CELLS:
        list_cells(p, own)
    pass_.add(reduce_tally if plan.tally else reduce_select, own, lay_out(p, own, NULL, &w), out, <double>p.cells * p.item,
              p.boolean and not plan.real)
    if whole:
        pass_.reducers[pass_.count - 1].out_kind |= FC_NEAREST_WHOLE


seam("neighborhood.REGISTER_CELLS", &REGISTER_CELLS)
seam("neighborhood.LIST_CELLS", &LIST_CELLS)
seam("neighborhood.RANK_PIECE", &RANK_PIECE)
seam("neighborhood.RANK_PASSES", &RANK_PASSES)
seam("neighborhood.PIECE_RUNS", &PIECE_RUNS)
seam("neighborhood.SORT_CELLS", &SORT_CELLS)
seam("neighborhood.SORT_WORDS", &SORT_WORDS)
seam("neighborhood.NARROW_COUNT", &NARROW_COUNT)
seam("neighborhood.LOGARITHMS", &LOGARITHMS)
