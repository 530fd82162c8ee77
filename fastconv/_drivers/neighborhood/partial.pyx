"""Driver of windows with cells that do not count: finds them and copies them, for a function that is called for them alone.

Where a program (programs.pyx) has computed what whole windows give, _face/callables.py hands the others to the function, and
brings the results back to `put`. Next hops: engine.pyx, which loads blocks of lines, and kernels/neighborhood/operations.h, whose
least and greatest over the cells of windows say in which all count and in which some do.
"""
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawFree
from libc.stdint cimport uint8_t
from libc.string cimport memset

cimport numpy as cnp

from fastconv._drivers.common cimport idx, kind_of
from fastconv._drivers.neighborhood.calls cimport Loaded, Run, aim, gather_windows, runs_of
from fastconv._drivers.neighborhood.engine cimport Block, Lines, Pass, Reducer, block_bytes, load, locate, out_lines, place_block
from fastconv._drivers.neighborhood.table cimport (
    FC_DO_GREATEST,
    FC_DO_LEAST,
    FC_GATHER,
    FC_LINE_MASKED,
    FC_LINE_SLACK,
    fc_line,
    fc_operation,
    fc_put,
)

import math

import numpy as np

cnp.import_array()


cdef void over_cells(const Lines *p, int code, const Run *runs, idx count, const fc_line *lines, idx n, const uint8_t **terms,
                     uint8_t *rows, uint8_t *out) noexcept nogil:
    """out[x] = whether all cells of the window at x < n of a line count (FC_DO_LEAST), or some do (FC_DO_GREATEST); of a box by
    rows, then along them."""
    cdef fc_operation o
    cdef idx r, c, width = p.window[p.ndim - 1]
    memset(&o, 0, sizeof(o))
    o.code, o.kind, o.terms, o.n, o.dst = code, 1, <const void **>terms, n, out
    if p.box:
        for r in range(p.runs):
            terms[r] = lines[p.run_line[r]].present
        o.count, o.n, o.dst = p.runs, n + width - 1, rows
        p.k.elements[0].operation(&o)
        for c in range(width):
            terms[c] = rows + c
        o.count, o.n, o.dst = width, n, out
    else:
        for r in range(count):
            for c in range(runs[r].cells):
                terms[o.count] = lines[runs[r].line].present + runs[r].first + c
                o.count += 1
    p.k.elements[0].operation(&o)


cdef void number_results(const Lines *p, Reducer *r) noexcept:
    """Lets the places of results be their numbers in C order."""
    cdef int a
    cdef idx apart = 1
    for a in range(p.ndim - 1, -1, -1):
        r.out_step[a] = apart
        apart *= p.results[a]


cdef class Partial:
    """The windows of an array in which some cells do not count.

    Parameters
    ----------
    geometry : neighborhood.Geometry
    """
    cdef Pass plan
    cdef Run *runs
    cdef idx run_count, cells, outputs
    cdef object native

    def __cinit__(self, geometry):
        self.plan = Pass(geometry)
        self.native, self.cells, self.outputs = geometry.cval.dtype, geometry.cell_count(), math.prod(geometry.counts)
        self.runs = runs_of(&self.plan.p, geometry, &self.run_count)

    def __dealloc__(self):
        PyMem_RawFree(self.runs)

    def batches(self, idx most_bytes):
        """Yields (positions in C order of the results, windows, which of their cells count) of the outputs whose windows have
        cells that do not count, in about so many bytes; with None for the windows where no cell counts."""
        cdef Lines *p = &self.plan.p
        cdef idx most = max(min(most_bytes // (self.cells * (p.item + 1) + 2 * FC_GATHER + sizeof(idx)), self.outputs), 1)
        cdef idx step = p.step[p.ndim - 1], room = p.region[p.ndim - 1] + FC_LINE_SLACK, count = 0, nothing = 0
        cdef idx terms = max(self.cells if not p.box else p.runs, p.window[p.ndim - 1]) * sizeof(void *)
        cdef idx unit, i, first, x, n, end
        cdef Loaded loaded = Loaded(block_bytes(p) + terms + 3 * room)
        cdef Block *b = &loaded.block
        cdef const uint8_t **term = <const uint8_t **>(loaded.at + block_bytes(p))
        cdef uint8_t *whole = <uint8_t *>term + terms
        cdef uint8_t *some = whole + room
        cdef Reducer numbered    # its places are numbers
        cdef char *place
        cdef cnp.ndarray at, windows, counted, blank
        memset(&numbered, 0, sizeof(Reducer))
        number_results(p, &numbered)
        place_block(p, b, loaded.at)
        for unit in range(p.units):
            PyErr_CheckSignals()
            with nogil:
                load(p, b, unit)
            n = b.count[p.ndim - 1]
            for i in range(out_lines(p, b) if b.flags & FC_LINE_MASKED else 0):
                first = locate(p, b, &numbered, i, &place)
                with nogil:
                    x = (n - 1) * step + 1
                    over_cells(p, FC_DO_LEAST, self.runs, self.run_count, b.line + first, x, term, some + room, whole)
                    over_cells(p, FC_DO_GREATEST, self.runs, self.run_count, b.line + first, x, term, some + room, some)
                end = 0
                while end < n:
                    x, end = end, end + 1
                    if whole[x * step]:
                        continue
                    if not some[x * step]:
                        if nothing == 0:
                            blank = np.empty(most, np.int64)
                        (<idx *>cnp.PyArray_DATA(blank))[nothing] = <idx>place + x
                        nothing += 1
                        if nothing == most:
                            yield blank, None, None
                            nothing = 0
                        continue
                    if count == 0:
                        at, counted = np.empty(most, np.int64), np.empty((most, self.cells + FC_GATHER), np.bool_)
                        windows = np.empty((most, self.cells + FC_GATHER // p.item), self.native)
                    while end < n and end - x < most - count and not whole[end * step] and some[end * step]:
                        end += 1
                    gather_windows(p.k, <char *>cnp.PyArray_DATA(windows) + count * cnp.PyArray_STRIDE(windows, 0),
                                   cnp.PyArray_STRIDE(windows, 0), b.line + first, False, self.runs, self.run_count, x, end - x,
                                   step, p.item)
                    gather_windows(p.k, <char *>cnp.PyArray_DATA(counted) + count * cnp.PyArray_STRIDE(counted, 0),
                                   cnp.PyArray_STRIDE(counted, 0), b.line + first, True, self.runs, self.run_count, x, end - x,
                                   step, 1)
                    for x in range(x, end):
                        (<idx *>cnp.PyArray_DATA(at))[count] = <idx>place + x
                        count += 1
                    if count == most:
                        yield at, windows[:, : self.cells], counted[:, : self.cells]
                        count = 0
        if count:
            yield at[:count], windows[:count, : self.cells], counted[:count, : self.cells]
        if nothing:
            yield blank[:nothing], None, None

    def put(self, cnp.ndarray at, cnp.ndarray result, cnp.ndarray out):
        """Stores results, real numbers, at positions in C order of `out`, arranged as the geometry says."""
        cdef const Lines *p = &self.plan.p
        cdef Reducer r
        cdef fc_put q
        cdef idx i, rest
        cdef int a
        aim(p, &r, out)
        q.src, q.src_step, q.source, q.n = <const char *>cnp.PyArray_DATA(result), 0, kind_of(result), 1
        q.dst_step, q.kind = 0, r.out_kind
        for i in range(len(at)):
            q.dst, rest = r.out, (<const idx *>cnp.PyArray_DATA(at))[i]
            for a in range(p.ndim - 1, -1, -1):
                q.dst += rest % p.results[a] * r.out_step[a]
                rest //= p.results[a]
            p.k.put_line(&q)
            q.src += cnp.PyArray_ITEMSIZE(result)
