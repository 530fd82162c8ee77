"""Driver of reductions that are functions of the user: gathers windows, and calls compiled functions.

`Windows` cuts the blocks of lines (engine.pyx) into pieces and copies the windows of a piece into an array, cell by cell or
window by window; _face/callables.py hands it to a Python function and brings the results back to `put`. A compiled function is
called from here, for small batches of windows that stay in the first-level cache: on a team (runtime.pyx) where `workers` says
that it may be, else by the calling thread, which keeps the interpreter's lock, as no region of a team does, and gives it up
between rounds of its own. Next hop: engine.pyx, which loads the blocks.
"""
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc
from cpython.pycapsule cimport PyCapsule_CheckExact, PyCapsule_GetContext, PyCapsule_GetName, PyCapsule_GetPointer
from libc.stdint cimport uint8_t, uintptr_t
from libc.string cimport memcpy, memset

cimport numpy as cnp

from fastconv._drivers.base cimport FC_F64
from fastconv._drivers.common cimport idx, kind_of, round_up
from fastconv._drivers.neighborhood.engine cimport (
    AXES,
    Block,
    Lines,
    Pass,
    Reducer,
    block_bytes,
    load,
    locate,
    nothing_of,
    out_lines,
    place_block,
    result_kind,
)
from fastconv._drivers.neighborhood.table cimport FC_GATHER, FC_LINE_MASKED, fc_line, fc_neighborhood, fc_put
from fastconv._drivers.runtime cimport Worker, crew, now, run_team, seam, stopped, team

import numpy as np

cnp.import_array()

ctypedef int (*Function)(double *, Py_ssize_t, double *, void *) noexcept nogil

cdef enum:
    MOST_WINDOWS = 256           # of a batch

cdef idx BATCH_BYTES = 20 << 10  # windows gathered before a compiled function is called for each

cdef double ROUND_SECONDS = 0.05 # between two looks at pending signals


def capsule(value):
    """(name or None, pointer, context) of a PyCapsule, None for anything else."""
    if not PyCapsule_CheckExact(value):
        return None
    cdef const char *name = PyCapsule_GetName(value)
    cdef void *pointer = PyCapsule_GetPointer(value, name)
    return (None if name == NULL else name.decode()), <uintptr_t>pointer, <uintptr_t>PyCapsule_GetContext(value)


# ---- gathering ----

cdef inline const char *line_of(const fc_line *line, bint presence) noexcept nogil:
    return <const char *>line.present if presence else line.at


cdef void copy_apart(char *dst, const char *src, idx count, idx step, idx item) noexcept nogil:
    """Elements of `item` bytes, `step` elements apart, to elements next to each other."""
    cdef idx i
    if step == 1:
        memcpy(dst, src, count * item)
    elif item == 1:
        for i in range(count):
            dst[i] = src[i * step]
    elif item == 2:
        for i in range(count):
            memcpy(dst + i * 2, src + i * step * 2, 2)
    elif item == 4:
        for i in range(count):
            memcpy(dst + i * 4, src + i * step * 4, 4)
    else:
        for i in range(count):
            memcpy(dst + i * 8, src + i * step * 8, 8)


cdef void gather_cells(char *dst, idx pitch, const fc_line *lines, bint presence, const Run *runs, idx count, idx first,
                       idx pixels, idx step, idx item) noexcept nogil:
    """Windows of outputs first.. of a line: row c of `dst`, rows `pitch` bytes apart, gets cell c of each."""
    cdef idx r, c
    for r in range(count):
        for c in range(runs[r].first, runs[r].first + runs[r].cells):
            copy_apart(dst, line_of(lines + runs[r].line, presence) + (c + first * step) * item, pixels, step, item)
            dst += pitch


cdef void gather_windows(const fc_neighborhood *k, char *dst, idx pitch, const fc_line *lines, bint presence, const Run *runs,
                         idx count, idx first, idx pixels, idx step, idx item) noexcept nogil:
    """Windows of outputs first.. of a line: row i of `dst`, rows `pitch` bytes apart, gets window i.

    Whole chunks are copied, in an order in which later cells overwrite what is too much; a row has room for the last.
    """
    cdef idx r, size
    for r in range(count):
        size = runs[r].cells * item
        k.gather(dst, pitch, line_of(lines + runs[r].line, presence) + (runs[r].first + first * step) * item, step * item,
                 pixels, size)
        dst += size


cdef idx list_cells(const Lines *p, const int *axes, const uint8_t *cell, Run *runs) noexcept:
    """The runs of the cells of a window, all or those of a footprint, in C order of some axes, which are all of them; returns how
    many there are. NULL: only that."""
    cdef idx at[AXES]
    cdef idx apart[AXES]         # cells of the footprint
    cdef idx line = 0, tap = 0, flat = 0, count = 0, before = -1, end = -1, size = 1
    cdef int a, axis, last = p.ndim - 1
    for a in range(last, -1, -1):
        at[a], apart[a] = 0, size
        size *= p.window[a]
    while True:
        if cell == NULL or cell[flat]:
            if line == before and tap == end:
                end += 1
            else:
                count += 1
                before, end = line, tap + 1
                if runs != NULL:
                    runs[count - 1].line, runs[count - 1].first = line, tap
            if runs != NULL:
                runs[count - 1].cells = end - runs[count - 1].first
        for a in range(last, -1, -1):
            axis = axes[a]
            size = 1 if at[axis] + 1 < p.window[axis] else 1 - p.window[axis]
            at[axis] += size
            flat += size * apart[axis]
            if axis == last:
                tap += size
            else:
                line += size * p.stride[axis]
            if size == 1:
                break
        else:
            return count


cdef Run *runs_of(const Lines *p, geometry, idx *count) except NULL:
    cdef int a
    cdef int[AXES] axes
    cdef const uint8_t *cell = NULL
    cdef Run *runs
    place = geometry.footprint_axes()
    for a in range(p.ndim):
        axes[a] = place[a]
    if geometry.cells is not None:
        cell = <const uint8_t *>cnp.PyArray_DATA(<cnp.ndarray>geometry.cells)
    count[0] = list_cells(p, axes, cell, NULL)
    runs = <Run *>PyMem_RawCalloc(count[0], sizeof(Run))
    if runs == NULL:
        raise MemoryError()
    list_cells(p, axes, cell, runs)
    return runs


cdef class Loaded:
    """Memory for a block of lines that outlives the region of a team: of a thread that calls Python between two pieces, or that
    keeps the interpreter's lock."""

    def __cinit__(self, idx size):
        self.memory = <char *>PyMem_RawMalloc(size + 64)
        if self.memory == NULL:
            raise MemoryError(f"neighborhood_reduce could not allocate {size + 64} bytes of workspace")
        self.at = self.memory + (-<size_t>self.memory) % 64

    def __dealloc__(self):
        PyMem_RawFree(self.memory)


cdef class Piece:
    """Some outputs of a block: lines first_line.., of each the outputs first.., and the windows of them."""
    cdef Block block             # where they are: its lines may hold another block by now
    cdef idx first_line, lines, first, count
    cdef readonly idx outputs
    cdef object windows, counted

    def take(self):
        """(the windows, shape (outputs, cells); which of their values count, None: all), kept here no longer."""
        taken = self.windows, self.counted
        self.windows = self.counted = None
        return taken


cdef class Windows:
    """The windows of an array, piece by piece: cut the same way for any number of threads.

    Parameters
    ----------
    geometry : neighborhood.Geometry
    dtype : dtype of the array's elements
    piece_bytes : about how many bytes the windows of a piece may have
    """
    cdef Pass plan
    cdef Run *runs
    cdef idx run_count
    cdef readonly idx cells
    cdef idx longest             # run
    cdef readonly idx units, parts
    cdef idx line_parts, parts_of_a_line
    cdef object dtype, native
    cdef list idle

    def __cinit__(self, geometry, dtype, idx piece_bytes):
        cdef Lines *p
        cdef int a
        cdef idx line, lines = 1, i
        self.plan = Pass(geometry)
        p = &self.plan.p
        self.dtype, self.native = dtype, geometry.cval.dtype
        self.idle = []
        self.runs = runs_of(p, geometry, &self.run_count)
        for i in range(self.run_count):
            self.cells += self.runs[i].cells
            self.longest = max(self.longest, self.runs[i].cells)
        for a in range(p.ndim - 1):
            lines *= p.block[a]
        line = max(p.block[p.ndim - 1] * self.cells * p.item, 1)
        self.line_parts = max((lines * line + piece_bytes - 1) // piece_bytes, 1)
        self.parts_of_a_line = 1
        if self.line_parts > lines:
            self.line_parts = lines
            self.parts_of_a_line = min((line + piece_bytes - 1) // piece_bytes, p.block[p.ndim - 1])
        self.units, self.parts = p.units, self.line_parts * self.parts_of_a_line

    def __dealloc__(self):
        PyMem_RawFree(self.runs)

    def gather(self, idx unit, idx part, bint by_cells):
        """Piece `part` of block `unit`, which may have no outputs. By cells, the outputs of its windows lie next to each other
        in memory, else the cells of a window."""
        cdef const Lines *p = &self.plan.p
        cdef Piece piece = Piece()
        cdef Loaded loaded
        cdef idx lines, cut
        try:
            loaded = self.idle.pop()
        except IndexError:
            loaded = Loaded(block_bytes(p))
            place_block(p, &loaded.block, loaded.at)
        if loaded.block.unit != unit:
            with nogil:
                load(p, &loaded.block, unit)
        piece.block = loaded.block
        lines, cut = out_lines(p, &piece.block), part // self.parts_of_a_line
        piece.first_line = lines * cut // self.line_parts
        piece.lines = lines * (cut + 1) // self.line_parts - piece.first_line
        lines, cut = piece.block.count[p.ndim - 1], part % self.parts_of_a_line
        piece.first = lines * cut // self.parts_of_a_line
        piece.count = lines * (cut + 1) // self.parts_of_a_line - piece.first
        piece.outputs = piece.lines * piece.count
        if piece.outputs:
            piece.windows = self.copy(piece, False, by_cells)
            if piece.block.flags & FC_LINE_MASKED:
                piece.counted = self.copy(piece, True, by_cells)
        self.idle.append(loaded)
        return piece

    cdef copy(self, Piece piece, bint presence, bint by_cells):
        """The windows of a piece, or which of their values count."""
        cdef const Lines *p = &self.plan.p
        cdef const Block *b = &piece.block
        cdef idx item = 1 if presence else p.item, i, first, step = p.step[p.ndim - 1], pitch
        cdef Reducer nowhere
        cdef char *out
        cdef char *dst
        cdef cnp.ndarray memory
        dtype = np.dtype(np.bool_) if presence else self.native
        if by_cells:
            memory = np.empty((self.cells, piece.outputs), dtype)
        else:
            memory = np.empty((piece.outputs, self.cells + FC_GATHER // item), dtype)
        dst, pitch = <char *>cnp.PyArray_DATA(memory), cnp.PyArray_STRIDE(memory, 0)
        memset(&nowhere, 0, sizeof(Reducer))
        with nogil:
            for i in range(piece.first_line, piece.first_line + piece.lines):
                first = locate(p, b, &nowhere, i, &out)
                if by_cells:
                    gather_cells(dst, pitch, b.line + first, presence, self.runs, self.run_count, piece.first, piece.count,
                                 step, item)
                    dst += piece.count * item
                else:
                    gather_windows(p.k, dst, pitch, b.line + first, presence, self.runs, self.run_count, piece.first, piece.count,
                                   step, item)
                    dst += piece.count * pitch
        windows = memory.T if by_cells else memory[:, : self.cells]
        return windows if presence or self.dtype == self.native else windows.astype(self.dtype)

    def put(self, Piece piece, cnp.ndarray result, cnp.ndarray out, cnp.ndarray only=None):
        """Stores the results of a piece, real numbers, in `out`, arranged as the geometry says; only those that booleans name."""
        cdef const Lines *p = &self.plan.p
        cdef int source = kind_of(result)
        cdef Reducer r
        cdef fc_put q
        cdef idx i, x, item = cnp.PyArray_ITEMSIZE(result)
        cdef const char *src = <const char *>cnp.PyArray_DATA(result)
        cdef const uint8_t *some = NULL
        cdef char *dst
        if only is not None:
            some = <const uint8_t *>cnp.PyArray_DATA(only)
        aim(p, &r, out)
        q.src_step, q.source, q.dst_step, q.kind = item, source, r.out_step[p.ndim - 1], r.out_kind
        for i in range(piece.first_line, piece.first_line + piece.lines):
            locate(p, &piece.block, &r, i, &dst)
            q.n = piece.count if some == NULL else 1
            for x in range(piece.count if some != NULL else 1):
                if some == NULL or some[x]:
                    q.src, q.dst = src + x * item, dst + (piece.first + x) * q.dst_step
                    p.k.put_line(&q)
            src += piece.count * item
            if some != NULL:
                some += piece.count

    def call(self, uintptr_t function, uintptr_t data, cnp.ndarray out, workers):
        """Stores what a compiled function gives for each window in `out`, arranged as the geometry says.

        With `workers` None it is called by this thread, which holds the interpreter's lock. Returns whether it succeeded;
        raises the exception that the function set.
        """
        cdef const Lines *p = &self.plan.p
        cdef Calls c
        cdef idx last = 8 * self.runs[self.run_count - 1].cells, step = p.step[p.ndim - 1], scratch
        if p.units == 0:
            return True
        memset(&c, 0, sizeof(c))
        c.p, c.runs, c.run_count, c.cells = p, self.runs, self.run_count, self.cells
        c.function, c.data = <Function>function, <void *>data
        # Room for the chunks of the last run; from one cache line to another.
        c.pitch = round_up(8 * self.cells - last + round_up(last, FC_GATHER), 64)
        c.present_pitch = self.cells + FC_GATHER
        c.windows = max(min(BATCH_BYTES // c.pitch, 1 + BATCH_BYTES // (8 * step), MOST_WINDOWS), 1)
        c.wide = p.native != FC_F64
        scratch = c.windows * c.pitch + round_up(c.windows * c.present_pitch, 8)
        if c.wide:
            scratch += 8 * ((c.windows - 1) * step + self.longest) + FC_GATHER
        aim(p, &c.r, out)
        c.nothing = nothing_of(c.r.out_kind)
        scratch += block_bytes(p)
        if workers is None:
            self.call_here(&c, scratch)
        else:
            run_team(&c, sizeof(Thread), scratch, p.units, crew(team(workers, 0), p.units), prepare, run)
            pass_on()
        return not c.failed

    cdef int call_here(self, Calls *c, idx size) except -1:
        """All of it by the calling thread, which keeps the lock but for a moment between rounds."""
        cdef Loaded memory = Loaded(size)
        cdef Thread t
        cdef double until
        cdef bint more = True
        memset(&t, 0, sizeof(t))
        t.worker.last, t.worker.memory = c.p.units, memory.at
        prepare(c, &t)
        while more:
            until = now() + ROUND_SECONDS
            while more and now() < until:
                more = call_batch(c, &t)
            pass_on()
            with nogil:
                pass  # other threads have their turn
            PyErr_CheckSignals()
        return 0


cdef void pass_on() except *:
    """Does nothing: whoever calls this finds the exception that is set."""


cdef void aim(const Lines *p, Reducer *r, cnp.ndarray out) except *:
    cdef int a
    memset(r, 0, sizeof(Reducer))
    r.out, r.out_kind = <char *>cnp.PyArray_DATA(out), result_kind(out)
    for a in range(p.ndim):
        r.out_step[a] = cnp.PyArray_STRIDE(out, a)


# ---- compiled functions ----

cdef struct Calls:
    const Lines *p
    const Run *runs
    idx run_count, cells
    Function function
    void *data
    Reducer r
    idx windows                  # of a batch
    idx pitch, present_pitch     # bytes of a window, of its presence
    bint wide                    # whether elements become doubles first
    double nothing               # where nothing counts
    bint failed                  # by any thread


cdef struct Thread:
    Worker worker
    Block block
    idx line, x                  # next output line of the block, -1: not loaded; and the next output of it


cdef idx squeeze(double *window, const uint8_t *present, idx n) noexcept nogil:
    """Moves the values that count to the front; how many there are."""
    cdef idx i, count = 0
    for i in range(n):
        window[count] = window[i]
        count += present[i]
    return count


cdef void gather_wide(char *dst, const Calls *c, const fc_line *lines, char *wide, idx first, idx pixels) noexcept nogil:
    """Windows of outputs first.. of a line as doubles: what each run passes over becomes doubles in `wide` first."""
    cdef const Lines *p = c.p
    cdef idx r, step = p.step[p.ndim - 1]
    cdef Run run
    cdef fc_line line
    cdef fc_put q
    q.src_step, q.source, q.dst_step, q.kind = p.item, p.native, 8, FC_F64
    line.at, run.line, run.first, q.dst = wide, 0, 0, wide
    for r in range(c.run_count):
        run.cells = c.runs[r].cells
        q.src = lines[c.runs[r].line].at + (c.runs[r].first + first * step) * p.item
        q.n = (pixels - 1) * step + run.cells
        p.k.put_line(&q)
        gather_windows(p.k, dst, c.pitch, &line, False, &run, 1, 0, pixels, step, 8)
        dst += 8 * run.cells


cdef void prepare(const void *plan, void *worker) noexcept nogil:
    cdef Thread *t = <Thread *>worker
    place_block((<const Calls *>plan).p, &t.block, t.worker.memory)
    t.line = -1


cdef void call_windows(Calls *c, Thread *t) noexcept nogil:
    """Calls the function for the next windows of an output line."""
    cdef const Lines *p = c.p
    cdef Block *b = &t.block
    cdef idx x = t.x, i, n, pixels = min(c.windows, b.count[p.ndim - 1] - x), step = p.step[p.ndim - 1], first
    cdef char *windows = b.scratch
    cdef uint8_t *present = <uint8_t *>(windows + c.windows * c.pitch)
    cdef char *wide = <char *>present + round_up(c.windows * c.present_pitch, 8)
    cdef double *window
    cdef bint masked = b.flags & FC_LINE_MASKED
    cdef double[MOST_WINDOWS] results
    cdef char *out
    cdef fc_put q
    first = locate(p, b, &c.r, t.line, &out)
    if c.wide:
        gather_wide(windows, c, b.line + first, wide, x, pixels)
    else:
        gather_windows(p.k, windows, c.pitch, b.line + first, False, c.runs, c.run_count, x, pixels, step, 8)
    if masked:
        gather_windows(p.k, <char *>present, c.present_pitch, b.line + first, True, c.runs, c.run_count, x, pixels, step, 1)
    for i in range(pixels):
        window = <double *>(windows + i * c.pitch)
        n = squeeze(window, present + i * c.present_pitch, c.cells) if masked else c.cells
        results[i] = 0 if n else c.nothing
        if n and not c.function(window, n, results + i, c.data):
            c.failed = True
            return
    q.src, q.src_step, q.source, q.n = <const char *>results, 8, FC_F64, pixels
    q.dst, q.dst_step, q.kind = out + x * c.r.out_step[p.ndim - 1], c.r.out_step[p.ndim - 1], c.r.out_kind
    p.k.put_line(&q)
    t.x += pixels


cdef bint call_batch(Calls *c, Thread *t) noexcept nogil:
    """Calls the function for the next windows of a thread; returns whether there are more."""
    if t.worker.first == t.worker.last or c.failed:
        return False
    if t.line < 0:
        load(c.p, &t.block, t.worker.first)
        t.line = t.x = 0
    call_windows(c, t)
    if t.x == t.block.count[c.p.ndim - 1]:
        t.line, t.x = t.line + 1, 0
    if t.line == out_lines(c.p, &t.block):
        t.line = -1
        t.worker.first += 1
    return True


cdef void run(const void *plan, void *worker) noexcept nogil:
    """The windows of one thread."""
    cdef Thread *t = <Thread *>worker
    while call_batch(<Calls *>plan, t) and not stopped(t.worker.clock.watch, t.worker.clock.calling):
        pass


seam("neighborhood.BATCH_BYTES", &BATCH_BYTES)
