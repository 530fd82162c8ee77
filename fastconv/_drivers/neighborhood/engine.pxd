"""The engine of lines, for the drivers of neighbourhood reductions. Next hop: engine.pyx, then kernels/neighborhood/lines.h.

An array of any number of axes (at least 2) is cut into blocks of outputs. A block's *region* is the box of elements that
its windows touch: `lines` lines of native elements, boundaries resolved, so that output o of a block reads tap t at region
position o * step + t on every axis. The last axis lies along the lines, the one before is the *row axis*; the others are
outer axes. Lines are numbered over the region in C order, `stride[a]` lines apart on axis a.

A driver gives a Pass its reducers: a function that is called for each block, in any thread, with its own parameters and
its own scratch memory of that thread. All reducers of a Pass see the same loaded lines.
"""
from libc.math cimport NAN

cimport numpy as cnp

from fastconv._drivers.base cimport FC_KINDS, FC_U8
from fastconv._drivers.common cimport idx
from fastconv._drivers.neighborhood.table cimport fc_line, fc_neighborhood
from fastconv._drivers.runtime cimport Clock, stopped

cdef enum:
    AXES = 66

cdef enum:
    IN_PLACE = 1, IN_PLACE_BUT_CVAL, IN_PLACE_APART
    PAGE = 4096                  # lines that are whole ones apart share a few sets of the first-level cache

cdef struct Lines:               # what is the same for all blocks
    const fc_neighborhood *k
    int ndim
    idx size[AXES]               # of the array, of the window and of the result
    idx window[AXES]
    idx results[AXES]
    idx before[AXES]             # taps before an output's own element
    idx step[AXES]
    const char *x
    const char *mask             # NULL: none
    idx x_step[AXES]             # in bytes
    idx mask_step[AXES]
    int kind                     # of the array's elements (kernels/base/table.h)
    int mask_kind
    bint boolean                 # whether the elements are
    int native                   # of the lines' elements: FC_F32 for float16, no FC_SWAPPED
    idx item                     # bytes of a native element
    int mode
    double cval                  # holds the native element (read it as native)
    bint presence                # whether lines have presence bytes
    bint omit                    # NaN do not count
    bint in_place                # lines are those of the array: only what lies inside it is there, and it may hold NaN
    idx other                    # bytes to the other part of a complex element, 0: there is none
    idx width                    # bytes that reducers keep for an element of a region
    # blocks
    idx block[AXES]              # outputs of a block
    idx region[AXES]             # positions that they see: (block - 1) * step + window
    idx blocks[AXES]
    idx stride[AXES]             # lines between neighbours on axis a < ndim - 1
    idx lines, pitch, units      # lines of a region; bytes of a line and its presence; blocks in all
    idx slots                    # lines that are stored: fewer where the window is much larger than the array
    idx slot_stride[AXES]
    bint shared                  # whether some lines share a slot: they are numbered by what they hold, the last is outside
    # the window as runs of cells along the lines, in C order
    bint box                     # all cells count
    idx cells, runs
    idx *run_line                # of each run: the line of the region (for output 0), the first tap, the number of taps
    idx *run_start
    idx *run_length


cdef struct Block:               # one of each thread
    idx unit                     # which block is loaded, -1: none
    idx at[AXES]                 # its first output
    idx count[AXES]              # its outputs, at most p.block
    idx carried                  # leading region rows that it shares with the block before (last rows of that one)
    fc_line *line                # lines[i].at, .present, .flags
    fc_line *slot                # if some lines share one
    int flags                    # of all lines of the block together
    char *memory                 # of the lines
    char *scratch                # behind them
    Clock *clock                 # of the thread

cdef struct Reducer:
    void (*reduce)(const Lines *, Block *, const Reducer *, char *) noexcept nogil
    void *own                    # parameters, from PyMem_RawMalloc/Calloc; the Pass frees them
    idx scratch                  # bytes of scratch memory a thread, not cleared, kept from block to block
    int in_place                 # whether it takes lines in place: IN_PLACE, or unless a constant that is not 0 lies outside,
    # or unless that or the array's lines are whole pages apart
    char *out
    idx out_step[AXES]           # in bytes
    int out_kind
    idx stage                    # where its results of a block begin in memory of the thread, to which `out` leads then; -1: they
    # go to an array

ctypedef void (*reduce_t)(const Lines *, Block *, const Reducer *, char *) noexcept nogil

# Outputs of a block are lines too: `out_lines` of them. locate() gives the region line of the first tap of output line i
# and the address of its first result; put() writes n results of kind `source` there, those of every position: with a step
# along the line, out takes every step[-1]-th of them, so that dense_count() must be computed.
cdef idx inside(const Lines *p, const Block *b, idx *first) noexcept nogil    # the part of a line that lies in the array: its
# first position and its end
cdef void fill_ends_of(const Lines *p, const Block *b, void *const *lines, idx count, int kind,
                       const void *cval) noexcept nogil    # the rest, of some lines
cdef idx out_lines(const Lines *p, const Block *b) noexcept nogil
cdef idx slot_of(const Lines *p, const Block *b, idx line) noexcept nogil    # where a line of the region is stored
cdef idx dense_count(const Lines *p, const Block *b) noexcept nogil
cdef void put(const Lines *p, const Block *b, const Reducer *r, char *out, const void *src, int source) noexcept nogil
cdef void put_some(const Lines *p, const Reducer *r, char *out, const void *src, int source, idx first, idx end) noexcept nogil

cdef inline void fill_ends(const Lines *p, const Block *b, void *line, int kind, const void *cval) noexcept nogil:
    fill_ends_of(p, b, &line, 1, kind, cval)

cdef inline idx locate(const Lines *p, const Block *b, const Reducer *r, idx i, char **out) noexcept nogil:
    cdef int a
    cdef idx line = 0
    out[0] = r.out + b.at[p.ndim - 1] * r.out_step[p.ndim - 1]
    if p.ndim == 2:
        out[0] += (b.at[0] + i) * r.out_step[0]
        return i * p.step[0]
    for a in range(p.ndim - 2, -1, -1):
        line += i % b.count[a] * p.step[a] * p.stride[a]
        out[0] += (b.at[a] + i % b.count[a]) * r.out_step[a]
        i //= b.count[a]
    return line

# A reducer that may need more than some milliseconds for a block does it in pieces, and asks after each whether the call
# must end.
cdef inline bint must_end(const Block *b) noexcept nogil:
    return stopped(b.clock.watch, b.clock.calling)

cdef idx block_bytes(const Lines *p) noexcept nogil               # of the lines of a thread, in whole cache lines
cdef void place_block(const Lines *p, Block *b, char *memory) noexcept nogil   # from a cache line on; scratch stands behind it
cdef void load(const Lines *p, Block *b, idx unit) noexcept nogil

cdef inline void move(const Lines *p, int a, idx at, const char **x, const char **mask) noexcept nogil:
    """Goes to index `at` of an axis with the array, which ends (NULL) outside, and its mask."""
    if at < 0:
        x[0] = NULL
    if x[0] != NULL:
        x[0] += at * p.x_step[a]
    if mask[0] != NULL:
        mask[0] += at * p.mask_step[a]

cdef int result_kind(cnp.ndarray a) except -1

cdef inline double nothing_of(int out_kind) noexcept nogil:
    """What stands in results of a kind where no cell counts, of reductions that have no value then."""
    return NAN if out_kind & FC_KINDS < FC_U8 else 0


cdef class Walk:
    cdef Lines p
    cdef Reducer *reducers
    cdef int count
    cdef double cost             # of an output, in multiply-adds
    cdef list keep
    cdef int axis[AXES]          # of the input, -1: one of length 1 in front
    cdef void set_steps(self, idx *to, cnp.ndarray array) noexcept
    cdef int add(self, reduce_t reduce, void *own, idx scratch, cnp.ndarray out, double cost, bint boolean=*) except -1


cdef class Pass(Walk):
    cdef idx staged              # bytes of all results that are
    cdef void stage(self, idx item) noexcept
