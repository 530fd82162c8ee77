"""What the drivers of named reductions other than ranks, mode and entropy share: their parameters, groups, the plain way and
the lines of a block. Next hop: plain.pyx.

Reductions of one list that share their work are a group: the first of them, the leader, computes all, and the others,
which follow it by `next` in the table of the pass, do nothing.
"""
from fastconv._drivers.base cimport FC_F32, FC_F64, FC_U8
from fastconv._drivers.common cimport idx, round_up
from fastconv._drivers.neighborhood.engine cimport Block, Lines, Reducer, locate, put
from fastconv._drivers.neighborhood.table cimport FC_LINE_SLACK, FC_REDUCE_ALL, FC_REDUCE_MIN, fc_elements

cdef enum:                       # what a group shares
    ALONE, EXTREMES, BITS, SUMS, SQUARES


cdef struct Named:
    int reduction
    double ddof
    int plain                    # kind of the plain kernel's results
    int kind                     # kind of those of the fast ones
    int group
    bint wide                    # integers neither wrap nor round, products do not overflow (kernels/neighborhood/table.h)
    double nothing               # the result where nothing counts: NaN, or 0 where the dtype has none
    int next                     # members of the group lie so far on in the table, 0: none
    bint squares                 # of a leader of sums: var or std is among them
    bint doubles                 # sums are doubles
    bint nonzero                 # lines become bytes that say what is not 0
    bint cut                     # means of integers, one axis after another, each cut off toward 0
    int lowest, highest          # levels of the runs: spans of 2^level elements cover them in pairs
    idx *terms                   # of bits: these spans; of other runs: the level of each
    idx count


cdef inline const fc_elements *plain_elements(const Lines *p) noexcept nogil:
    return &p.k.elements[7 + p.native if p.native < FC_U8 else p.native - FC_U8]


cdef inline idx kind_bytes(int kind) noexcept nogil:
    return 4 if kind == FC_F32 else 8 if kind == FC_F64 else 1 << (kind - FC_U8) // 2


cdef inline idx span(const Lines *p, const Block *b, int a) noexcept nogil:
    """Region positions of a block on an axis."""
    return (b.count[a] - 1) * p.step[a] + p.window[a]


cdef inline const Reducer *follower(const Reducer *r) noexcept nogil:
    """The next member of a group, or NULL."""
    cdef int next = (<const Named *>r.own).next
    return r + next if next else NULL


cdef inline idx byte_pitch(const Lines *p) noexcept nogil:
    return round_up(p.region[p.ndim - 1]) + FC_LINE_SLACK


cdef inline idx plain_line(const Lines *p) noexcept nogil:
    """Bytes of a line of results."""
    return round_up(8 * p.region[p.ndim - 1] + 64)


cdef inline idx region_line(const Lines *p, const Block *b, idx i) noexcept nogil:
    cdef idx line = 0
    cdef int a
    if p.ndim == 2:
        return i
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


cdef inline int level_of(idx length) noexcept nogil:
    cdef int level = 0
    while length >> (level + 1):
        level += 1
    return level


cdef inline bint is_least(const Reducer *r) noexcept nogil:
    return (<const Named *>r.own).reduction in (FC_REDUCE_MIN, FC_REDUCE_ALL)


cdef idx plain_scratch(const Lines *p, bint only_masked) noexcept nogil
cdef void reduce_plain(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil
cdef void reduce_some(const Lines *p, const Block *b, const Reducer *r, char *scratch, bint only_masked) noexcept nogil


cdef inline bint can_write(const Lines *p, const Reducer *r, const char *out) noexcept nogil:
    """Whether a kernel can write a line of results where it belongs."""
    cdef int last = p.ndim - 1, kind = (<const Named *>r.own).kind
    cdef idx item = kind_bytes(kind)
    return r.out_kind == kind and r.out_step[last] == item and p.step[last] == 1 and <size_t>out % item == 0


cdef inline char *target(const Lines *p, const Block *b, const Reducer *r, idx i, char *line) noexcept nogil:
    """Where a kernel writes the results of output line i: where they belong if it can, else to `line`."""
    cdef char *out
    locate(p, b, r, i, &out)
    return out if can_write(p, r, out) else line


cdef inline void deliver(const Lines *p, const Block *b, const Reducer *r, idx i, const char *line) noexcept nogil:
    """Writes a line of results where it belongs, unless it stands there."""
    cdef char *out
    locate(p, b, r, i, &out)
    if out != line:
        put(p, b, r, out, line, (<const Named *>r.own).kind)


cdef void list_lines(const Lines *p, const Block *b, const Named *own, void **rows, char *bytes_) noexcept nogil

# Members of groups of extremes and bits.
cdef const Reducer *first_extreme(const Reducer *r, int op) noexcept nogil
cdef bint wanted(const Reducer *r, int op) noexcept nogil
