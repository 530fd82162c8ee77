"""Driver of compiled functions: runs a program of operations over the outputs of a block, a strip of a line at a time.

A program (_face/program.py writes it) has *slots*: registers, strips of results that stay in the first-level cache; constants;
cells, which are read where they are in the lines of a block, or copied to a strip where outputs are a step apart. What depends on
a single pixel is computed for all pixels of the block first, into lines of its own, and cells of these are slots, too; a
reduction over all cells of a box is computed by columns, then along the rows. Next hop: kernels/neighborhood/operations.h.
"""
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree
from libc.stdint cimport int64_t, uintptr_t

cimport numpy as cnp

from fastconv._drivers.base cimport FC_F32, FC_F64, FC_I16, FC_I32, FC_I64, FC_I8, FC_U16, FC_U32, FC_U64, FC_U8
from fastconv._drivers.common cimport idx, round_up
from fastconv._drivers.neighborhood cimport table as _table
from fastconv._drivers.neighborhood.calls cimport Run, copy_apart, runs_of
from fastconv._drivers.neighborhood.engine cimport (
    IN_PLACE,
    Block,
    Lines,
    Pass,
    Reducer,
    locate,
    must_end,
    out_lines,
    slot_of,
)
from fastconv._drivers.neighborhood.plain cimport kind_bytes, region_line, region_lines, span
from fastconv._drivers.neighborhood.table cimport FC_LINE_NAN, FC_LINE_SLACK, fc_elements, fc_operation, fc_put
from fastconv._drivers.runtime cimport seam

from fastconv._drivers.neighborhood import names as _names, ranks as _ranks

import numpy as np

cnp.import_array()

cdef idx REGISTER_BYTES = 24 << 10   # of all registers of a program, and of the rows of windows: they share the first-level cache
cdef idx LEAST_STRIP = 256           # outputs: an operation takes as long to begin as for 64 of them
cdef idx MOST_STRIP = 1024
cdef idx DOUBLED = 5                 # columns of a window from which on extremes are doubled
cdef idx STACKED = 10                # rows of a window from which on they are, for all lines of a strip at once

seam("neighborhood.REGISTER_BYTES", &REGISTER_BYTES)
seam("neighborhood.PROGRAM_LEAST_STRIP", &LEAST_STRIP)
seam("neighborhood.PROGRAM_MOST_STRIP", &MOST_STRIP)
seam("neighborhood.PROGRAM_DOUBLED", &DOUBLED)
seam("neighborhood.PROGRAM_STACKED", &STACKED)

CODES = {
    "add": _table.FC_DO_ADD, "subtract": _table.FC_DO_SUBTRACT, "multiply": _table.FC_DO_MULTIPLY,
    "divide": _table.FC_DO_DIVIDE, "minimum": _table.FC_DO_MINIMUM, "maximum": _table.FC_DO_MAXIMUM,
    "fmin": _table.FC_DO_FMIN, "fmax": _table.FC_DO_FMAX, "power": _table.FC_DO_POWER, "hypot": _table.FC_DO_HYPOT,
    "arctan2": _table.FC_DO_ARCTAN2, "bitwise_and": _table.FC_DO_AND, "bitwise_or": _table.FC_DO_OR,
    "bitwise_xor": _table.FC_DO_XOR, "left_shift": _table.FC_DO_LEFT_SHIFT, "right_shift": _table.FC_DO_RIGHT_SHIFT,
    "floor_divide": _table.FC_DO_FLOOR_DIVIDE, "remainder": _table.FC_DO_REMAINDER, "fmod": _table.FC_DO_FMOD,
    "copysign": _table.FC_DO_COPYSIGN, "cbrt": _table.FC_DO_CBRT, "exp2": _table.FC_DO_EXP2,
    "less": _table.FC_DO_LESS, "less_equal": _table.FC_DO_LESS_EQUAL, "equal": _table.FC_DO_EQUAL,
    "not_equal": _table.FC_DO_NOT_EQUAL, "copy": _table.FC_DO_COPY, "negative": _table.FC_DO_NEGATIVE,
    "absolute": _table.FC_DO_ABSOLUTE, "sign": _table.FC_DO_SIGN, "invert": _table.FC_DO_INVERT, "sqrt": _table.FC_DO_SQRT,
    "floor": _table.FC_DO_FLOOR, "ceil": _table.FC_DO_CEIL, "rint": _table.FC_DO_RINT, "trunc": _table.FC_DO_TRUNC,
    "exp": _table.FC_DO_EXP, "log": _table.FC_DO_LOG, "log2": _table.FC_DO_LOG2, "log10": _table.FC_DO_LOG10,
    "expm1": _table.FC_DO_EXPM1, "log1p": _table.FC_DO_LOG1P, "sin": _table.FC_DO_SIN, "cos": _table.FC_DO_COS,
    "tan": _table.FC_DO_TAN, "tanh": _table.FC_DO_TANH, "arctan": _table.FC_DO_ARCTAN, "sinh": _table.FC_DO_SINH,
    "cosh": _table.FC_DO_COSH, "arcsin": _table.FC_DO_ARCSIN, "arccos": _table.FC_DO_ARCCOS, "select": _table.FC_DO_SELECT,
    "add_product": _table.FC_DO_ADD_PRODUCT, "cast": _table.FC_DO_CAST, "network": _table.FC_DO_NETWORK,
    "sum": _table.FC_DO_SUM, "prod": _table.FC_DO_PROD,
    "least": _table.FC_DO_LEAST, "greatest": _table.FC_DO_GREATEST, "dot": _table.FC_DO_DOT,
    "products": _table.FC_DO_PRODUCTS, "pair_sums": _table.FC_DO_PAIR_SUMS, "pair_differences": _table.FC_DO_PAIR_DIFFERENCES,
    "squares": _table.FC_DO_SQUARES, "distances": _table.FC_DO_DISTANCES,
}
KINDS = {
    "?": FC_U8, "u1": FC_U8, "i1": FC_I8, "u2": FC_U16, "i2": FC_I16, "u4": FC_U32, "i4": FC_I32, "u8": FC_U64, "i8": FC_I64,
    "f4": FC_F32, "f8": FC_F64,
}
STEP_FIELDS = ("code", "kind", "scalars", "source", "dst", "a", "b", "c", "terms", "count", "outputs", "box", "wide")
SORTED_WIRES, MOST_WIRES = _table.FC_REGISTER_CELLS, _table.FC_MOST_WIRES

# ---- programs ----

cdef struct Op:                  # an operation, by what STEP_FIELDS names
    int64_t code, kind, scalars
    int64_t source               # of a cast: the kind of a; of extremes and networks: whether they see the array's cells alone
    int64_t dst, a, b, c         # slots
    int64_t terms, count         # of many operands: where their slots stand in the program's list; 0: not many
    int64_t outputs              # of a network: their slots follow
    int64_t box                  # over all cells of the window, of the line a
    int64_t wide                 # so many outputs beyond those of a strip, which others see further on


cdef struct Plan:                # of a program, then of what it runs on
    idx registers, constants, cells, named, lines, kept, pixel_steps, output_steps, most_terms
    const Op *pixel
    const Op *output
    const int64_t *terms
    const int64_t *cell          # of each slot of a cell: its line among the kept, its number in the window
    const char *constant         # words
    const char *weights
    const idx *bytes             # of the elements of each line
    const idx *view              # of each slot of a view: its register, its first byte
    idx views, most_wide
    idx widest                   # of them
    idx widest_register          # bytes of an element
    bint direct                  # whether the last operation writes results exactly, and can where they belong
    idx result
    int result_kind
    # what it runs on
    idx strip                    # outputs
    idx stacks                   # extremes of boxes whose rows are doubled for all lines of a strip at once
    idx *place                   # of each slot of a cell: the line of the region and the position there, for output 0


cdef class Program:
    """A program of operations, as the driver reads it.

    Parameters
    ----------
    pixels, outputs : int64 arrays, shape (steps, len(STEP_FIELDS))
        What is done for each pixel, whose slots are lines, then constants; and for each output, whose slots are registers,
        constants, then cells; the a of a box is a line.
    terms : int64 array, slots of operations over many operands
    constants : uint64 array, a word for each
    weights : uint8 array, those of "dot", whose b is the byte where they begin
    cells : int64 array, shape (slots, 2), the line and the cell of the window of each
    lines : list of dtype codes; line 0 is the array's, the first `kept` of them are kept for all pixels of a block
    registers : int
    named : list of (name, parameter, dtype code)
        Named reductions of all cells, whose results are the slots behind those of cells.
    views : list of (register, bytes)
        Slots behind these, each a register from a byte on.
    result : (slot, dtype code)
    """
    cdef Plan plan
    cdef list arrays
    cdef readonly list named
    cdef readonly double cost

    def __cinit__(self, pixels, outputs, terms, constants, weights, cells, lines, idx kept, idx registers, named, views, result):
        cdef Plan *p = &self.plan
        sizes = [kind_bytes(KINDS[code]) for code in lines]
        self.arrays = [np.ascontiguousarray(pixels, np.int64).reshape(-1, len(STEP_FIELDS)),
                       np.ascontiguousarray(outputs, np.int64).reshape(-1, len(STEP_FIELDS)), np.array(terms, np.int64),
                       np.array(cells, np.int64), np.array(constants, np.uint64), np.array(weights, np.uint8),
                       np.array(sizes, np.intp), np.array(views, np.intp)]
        at = [<uintptr_t>cnp.PyArray_DATA(<cnp.ndarray>array) for array in self.arrays]
        p.pixel, p.output, p.terms = <const Op *><uintptr_t>at[0], <const Op *><uintptr_t>at[1], <const int64_t *><uintptr_t>at[2]
        p.cell, p.constant = <const int64_t *><uintptr_t>at[3], <const char *><uintptr_t>at[4]
        p.weights, p.bytes = <const char *><uintptr_t>at[5], <const idx *><uintptr_t>at[6]
        p.view, p.views = <const idx *><uintptr_t>at[7], len(views)
        p.most_wide = int(self.arrays[1][:, STEP_FIELDS.index("wide")].max(initial=0))
        p.pixel_steps, p.output_steps, p.lines, p.kept = len(self.arrays[0]), len(self.arrays[1]), len(lines), kept
        p.registers, p.constants, p.cells, p.named = registers, len(constants), len(cells), len(named)
        self.named = named
        p.widest, p.result, p.result_kind = max(sizes), result[0], KINDS[result[1]]
        kinds = self.arrays[1][:, STEP_FIELDS.index("kind")]
        p.widest_register = max(p.widest, *(kind_bytes(kind) for kind in np.unique(kinds).tolist()))   # cells may be copied there
        last = p.output[p.output_steps - 1]
        p.direct = last.dst == p.result and not last.count and not last.box
        counts, outputs = (self.arrays[1][:, STEP_FIELDS.index(name)] for name in ("count", "outputs"))
        p.most_terms = int((counts + outputs).max(initial=1))
        self.cost = 4 + 2 * p.pixel_steps + 2 * p.output_steps + int(counts.sum())

    @property
    def steps(self):
        """How many operations there are."""
        return self.plan.pixel_steps + self.plan.output_steps + len(self.arrays[2])

    @property
    def width(self):
        """Bytes beside an element of a block, for the engine's plan."""
        boxes = int(self.arrays[1][:, STEP_FIELDS.index("box")].sum())   # whose rows may be doubled, for a strip
        named = sum(kind_bytes(KINDS[code]) for _, _, code in self.named)
        return (self.plan.kept - 1) * self.plan.widest + boxes * self.plan.widest // 4 + named


# ---- blocks ----

cdef struct Tables:              # of one thread
    char *registers
    char *copies                 # of cells, where outputs are a step apart
    char *columns
    char *stacks                 # of each such extreme, a row for each line of the region
    char *kept                   # the lines of a program but for the array's; then those of one row
    char *rows
    const char **base            # of each slot
    idx *advance                 # bytes from one output of a slot to the next
    const char **line            # of the slots of a pixel
    const void **terms


cdef inline idx register_bytes(const Plan *q) noexcept nogil:
    return q.widest_register * (q.strip + q.most_wide) + 64   # not a power of 2, so that registers share no place in the cache


cdef inline idx line_pitch(const Plan *q, const Lines *p) noexcept nogil:
    return round_up(q.widest * p.region[p.ndim - 1]) + FC_LINE_SLACK


cdef inline idx stack_pitch(const Plan *q, const Lines *p) noexcept nogil:
    return round_up(q.widest * (q.strip + p.window[p.ndim - 1])) + 128   # for a vector that is too much, and no power of 2


cdef inline bint is_extreme(const Op *op) noexcept nogil:
    return op.code == _table.FC_DO_LEAST or op.code == _table.FC_DO_GREATEST


cdef idx place_tables(const Plan *q, const Lines *p, char *memory, Tables *t) noexcept nogil:
    """Where the tables of a thread are in its memory; returns the bytes of it."""
    cdef char *at = memory
    cdef idx slots = q.registers + q.constants + q.cells + q.named + q.views
    t.registers = at
    at += q.registers * register_bytes(q)
    t.copies = at
    at += (q.cells if p.step[p.ndim - 1] > 1 else 0) * register_bytes(q)
    t.columns = at
    at += line_pitch(q, p)
    t.stacks = at
    at += q.stacks * p.lines * stack_pitch(q, p)
    t.kept = at
    at += (q.kept - 1) * p.slots * line_pitch(q, p)
    t.rows = at
    at += (q.lines - q.kept) * line_pitch(q, p)
    t.base = <const char **>at
    at += round_up(slots * sizeof(void *))
    t.advance = <idx *>at
    at += round_up(slots * sizeof(idx))
    t.line = <const char **>at
    at += round_up((q.lines + q.constants) * sizeof(void *))
    t.terms = <const void **>at
    at += round_up((1 + max(q.most_terms, max(p.runs, p.window[p.ndim - 1]))) * sizeof(void *))
    return at - memory


cdef inline const char *kept_line(const Plan *q, const Lines *p, const Block *b, const Tables *t, idx d, idx line) noexcept nogil:
    """A line of the region as line d of a program has it."""
    return b.line[line].at if d == 0 else t.kept + ((d - 1) * p.slots + slot_of(p, b, line)) * line_pitch(q, p)


cdef inline const fc_elements *elements(const Lines *p, int64_t kind) noexcept nogil:
    return &p.k.elements[7 + kind if kind < FC_U8 else kind - FC_U8]


cdef void compute_pixels(const Plan *q, const Lines *p, const Block *b, Tables *t) noexcept nogil:
    """What depends on a single pixel, for all pixels of a block."""
    cdef idx i, line, d, s
    cdef fc_operation o
    cdef const Op *op
    o.n = span(p, b, p.ndim - 1)
    for i in range(q.constants):
        t.line[q.lines + i] = q.constant + 8 * i
    for i in range(region_lines(p, b)):
        line = region_line(p, b, i)
        for d in range(q.lines):
            t.line[d] = kept_line(q, p, b, t, d, line) if d < q.kept else t.rows + (d - q.kept) * line_pitch(q, p)
        for s in range(q.pixel_steps):
            op = q.pixel + s
            o.code, o.scalars, o.kind = op.code, op.scalars, op.source
            o.dst, o.a, o.b, o.c = <void *>t.line[op.dst], t.line[op.a], t.line[op.b], t.line[op.c]
            elements(p, op.kind).operation(&o)


cdef idx doubled(idx length) noexcept nogil:
    """The largest power of 2 that is less than a length, or 1."""
    cdef idx covered = 1
    while 2 * covered < length:
        covered *= 2
    return covered


cdef void stack_rows(const Plan *q, const Lines *p, const Block *b, Tables *t, const Op *op, idx x, idx n,
                     char *stack) noexcept nogil:
    """Extremes of 1, 2, 4.. rows, in place, for all lines of a region: the last two of these cover the rows of a window."""
    cdef idx item = q.bytes[op.a], pitch = stack_pitch(q, p), rows = span(p, b, p.ndim - 2), covered = 1, j
    cdef fc_operation o
    o.code, o.scalars, o.kind, o.count, o.terms = op.code, 0, op.source and not b.flags & FC_LINE_NAN, 2, t.terms
    o.n = n + p.window[p.ndim - 1] - 1
    while 2 * covered < p.window[p.ndim - 2]:
        for j in range(rows - 2 * covered + 1):
            t.terms[0], t.terms[1] = stack + j * pitch, stack + (j + covered) * pitch
            if covered == 1:
                t.terms[0] = kept_line(q, p, b, t, op.a, j) + x * item
                t.terms[1] = kept_line(q, p, b, t, op.a, j + 1) + x * item
            o.dst = stack + j * pitch
            elements(p, op.kind).operation(&o)
        covered *= 2


cdef void reduce_box(const Plan *q, const Lines *p, const Block *b, Tables *t, const Op *op, fc_operation *o, idx line,
                     idx x, const char *stack) noexcept nogil:
    """An operation over all cells of a box: over the rows of the window, then along its row, of extremes by doubling: of 1, 2,
    4.. columns, in place, and the last two of these cover the window."""
    cdef idx i, item = q.bytes[op.a], width = p.window[p.ndim - 1], n = o.n, covered = 1
    cdef bint doubling = width >= max(DOUBLED, 2) and is_extreme(op)
    cdef void *dst = o.dst
    o.n, o.count, o.terms = n + width - 1, p.runs, t.terms
    if stack != NULL:
        i = p.window[p.ndim - 2]
        o.count, t.terms[0] = 2, stack + line * stack_pitch(q, p)
        t.terms[1] = stack + (line + i - doubled(i)) * stack_pitch(q, p)
    for i in range(0 if stack != NULL else p.runs):
        t.terms[i] = kept_line(q, p, b, t, op.a, line + p.run_line[i]) + x * item
    if width > 1 and (p.runs > 1 or doubling):
        o.dst = t.columns
        elements(p, op.kind).operation(o)
        t.terms[0] = t.columns
    if doubling:
        o.count = 2
        while 2 * covered < width:
            t.terms[1] = t.columns + covered * item
            covered *= 2
            o.n = n + width - covered
            elements(p, op.kind).operation(o)
        t.terms[1] = t.columns + (width - covered) * item
        o.n = n
    elif width > 1:
        for i in range(width - 1, -1, -1):
            t.terms[i] = <const char *>t.terms[0] + i * item
        o.n, o.count = n, width
    o.dst = dst
    elements(p, op.kind).operation(o)


cdef void run_strip(const Plan *q, const Lines *p, const Block *b, Tables *t, idx line, idx x, idx n, char *out) noexcept nogil:
    """All operations for outputs x .. x + n - 1 of the line whose windows begin in `line`; the results go to `out` if it is not
    NULL."""
    cdef fc_operation o
    cdef const Op *op
    cdef idx s, i, slot, stacked = 0
    cdef const char *stack
    for s in range(q.output_steps):
        op = q.output + s
        o.code, o.scalars, o.kind, o.n = op.code, op.scalars, op.source, n + op.wide
        o.dst = t.registers + op.dst * register_bytes(q)
        if out != NULL and s == q.output_steps - 1:
            o.dst = out
        if is_extreme(op) or op.code == _table.FC_DO_NETWORK:
            o.kind = op.source and not b.flags & FC_LINE_NAN
        if op.box:
            stack = NULL
            if q.stacks and is_extreme(op):
                stack = t.stacks + stacked * p.lines * stack_pitch(q, p)
                stacked += 1
            reduce_box(q, p, b, t, op, &o, line, x, stack)
            continue
        o.a, o.c = t.base[op.a] + x * t.advance[op.a], t.base[op.c] + x * t.advance[op.c]
        if op.count:
            o.weights, o.count, o.terms = q.weights + op.b, op.count, t.terms
            for i in range(op.count + op.outputs):
                slot = q.terms[op.terms + i]
                t.terms[i] = t.base[slot] + x * t.advance[slot]
        else:
            o.b = t.base[op.b] + x * t.advance[op.b]
        elements(p, op.kind).operation(&o)


cdef void place_cells(const Plan *q, const Lines *p, const Block *b, Tables *t, idx line) noexcept nogil:
    """Where the cells of the windows are that begin in a line of the region."""
    cdef idx i, d, slot = q.registers + q.constants
    for i in range(q.cells):
        d = q.cell[2 * i]
        t.base[slot + i] = kept_line(q, p, b, t, d, line + q.place[2 * i]) + q.place[2 * i + 1] * q.bytes[d]
        t.advance[slot + i] = q.bytes[d]


cdef void place_named(const Plan *q, const Lines *p, const Block *b, const Reducer *r, Tables *t, idx i) noexcept nogil:
    """Where the results of named reductions, the reducers before this one, are of output line i."""
    cdef idx j, slot = q.registers + q.constants + q.cells
    cdef char *at
    for j in range(q.named):
        locate(p, b, r - q.named + j, i, &at)
        t.base[slot + j], t.advance[slot + j] = at, (r - q.named + j).out_step[p.ndim - 1]


cdef void copy_cells(const Plan *q, const Lines *p, const Block *b, Tables *t, idx line, idx x, idx n) noexcept nogil:
    """Cells of outputs x .. x + n - 1, which are a step apart, to where they lie next to each other."""
    cdef idx i, slot = q.registers + q.constants, step = p.step[p.ndim - 1]
    place_cells(q, p, b, t, line)
    for i in range(q.cells):
        copy_apart(t.copies + i * register_bytes(q), t.base[slot + i] + x * step * t.advance[slot + i], n, step,
                   t.advance[slot + i])
        t.base[slot + i], t.advance[slot + i] = t.copies + i * register_bytes(q), 0


cdef void reduce_program(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil:
    cdef const Plan *q = <const Plan *>r.own
    cdef Tables t
    cdef idx i, x, n, line, slot, step = p.step[p.ndim - 1], item = kind_bytes(q.result_kind), stacked
    cdef char *out
    cdef bint direct = q.direct and r.out_kind == q.result_kind and r.out_step[p.ndim - 1] == item
    cdef fc_put put
    place_tables(q, p, scratch, &t)
    for i in range(q.registers):
        t.base[i], t.advance[i] = t.registers + i * register_bytes(q), 0
    for i in range(q.constants):
        t.base[q.registers + i], t.advance[q.registers + i] = q.constant + 8 * i, 0
    slot = q.registers + q.constants + q.cells + q.named
    for i in range(q.views):
        t.base[slot + i], t.advance[slot + i] = t.base[q.view[2 * i]] + q.view[2 * i + 1], 0
    compute_pixels(q, p, b, &t)
    put.source, put.kind, put.src_step, put.dst_step = q.result_kind, r.out_kind, item, r.out_step[p.ndim - 1]
    x = 0
    while x < b.count[p.ndim - 1]:   # all lines of a strip: windows share most of their rows with the next
        n, stacked = min(q.strip, b.count[p.ndim - 1] - x), 0
        for i in range(q.output_steps if q.stacks else 0):
            if q.output[i].box and is_extreme(q.output + i):
                stack_rows(q, p, b, &t, q.output + i, x, n, t.stacks + stacked * p.lines * stack_pitch(q, p))
                stacked += 1
        for i in range(out_lines(p, b)):
            line = locate(p, b, r, i, &out)
            if step > 1:
                copy_cells(q, p, b, &t, line, x, n)
            else:
                place_cells(q, p, b, &t, line)
            place_named(q, p, b, r, &t, i)
            put.src, put.dst, put.n = t.base[q.result], out + x * put.dst_step, n
            if direct and <size_t>out % item == 0:
                run_strip(q, p, b, &t, line, x, n, put.dst)
            else:
                run_strip(q, p, b, &t, line, x, n, NULL)
                p.k.put_line(&put)
            if must_end(b):
                return
        x += n


def pass_for(geometry, kinds, programs):
    """A Pass for named reductions of some kinds and for programs."""
    kinds = [*kinds, *(name for program in programs for name, _, _ in program.named)]
    width = max((program.width for program in programs), default=0)
    return Pass(geometry, max(width, _names.width(kinds, geometry)), _ranks.rows(kinds, geometry), _names.fewest(kinds, geometry))


def add(Pass pass_, geometry, Program program, cnp.ndarray out):
    """Adds a program to a pass. Where outputs are a step apart along the lines, it must have no boxes."""
    cdef Lines *p = &pass_.p
    cdef Plan *q
    cdef Tables t
    cdef idx count, i, cell, run, rows = 1, strip, lines
    cdef idx cells = program.plan.cells
    cdef bint alone = cells == 0 and program.plan.pixel_steps == 0   # only named reductions see the array
    cdef Run *runs = runs_of(p, geometry, &count)
    q = <Plan *>PyMem_RawCalloc(1, sizeof(Plan) + 2 * cells * sizeof(idx))
    if q == NULL:
        PyMem_RawFree(runs)
        raise MemoryError()
    q[0] = program.plan
    q.place = <idx *>(q + 1)
    for i in range(cells):
        cell, run = q.cell[2 * i + 1], 0
        while cell >= runs[run].cells:
            cell -= runs[run].cells
            run += 1
        q.place[2 * i], q.place[2 * i + 1] = runs[run].line, runs[run].first + cell
    PyMem_RawFree(runs)
    for i in range(p.ndim - 1):
        rows *= p.window[i]
    strip = max(REGISTER_BYTES // (q.widest_register * q.registers) // 64 * 64, LEAST_STRIP)
    lines = max(REGISTER_BYTES // (q.widest * rows) // 64 * 64, max(LEAST_STRIP // 2, 1))
    for i in range(q.output_steps):
        alone = alone and not q.output[i].box
        if q.output[i].box:
            strip = min(strip, lines)   # which go over all rows of a window
    # Whole vectors of all types: kernels write so many.
    q.strip = round_up(min(strip, MOST_STRIP))
    if p.lines == p.region[p.ndim - 2] and p.window[p.ndim - 2] >= max(STACKED, 3):   # rows are the lines of a region
        for i in range(q.output_steps):
            q.stacks += q.output[i].box and is_extreme(q.output + i)
    for name, value, code in program.named:
        made = np.empty((1,) * cnp.PyArray_NDIM(out), code)
        (_ranks if name == "rank" else _names).add(pass_, name, value, made)
        pass_.stage(kind_bytes(KINDS[code]))
    pass_.add(reduce_program, q, place_tables(q, p, NULL, &t), out, program.cost)
    pass_.reducers[pass_.count - 1].in_place = IN_PLACE if alone else 0
    pass_.keep.append(program)
