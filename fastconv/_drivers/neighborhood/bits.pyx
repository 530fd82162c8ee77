"""any, all and extremes of booleans in any window: bits, in stripes, so that all windows and boundaries are distances in bytes.
Next hop: kernels/neighborhood/bits.h.
"""
from libc.stdint cimport uint8_t
from libc.string cimport memmove

from fastconv._drivers.base cimport FC_CONSTANT, FC_U8
from fastconv._drivers.common cimport idx, round_up
from fastconv._drivers.neighborhood.engine cimport (
    Block,
    Lines,
    Reducer,
    dense_count,
    fill_ends,
    inside,
    locate,
    out_lines,
    put,
)
from fastconv._drivers.neighborhood.plain cimport (
    Named,
    byte_pitch,
    can_write,
    follower,
    is_least,
    level_of,
    plain_elements,
    reduce_plain,
    region_line,
    region_lines,
    span,
    wanted,
)
from fastconv._drivers.neighborhood.table cimport (
    FC_LINE_MASKED,
    FC_REDUCE_RANGE,
    FC_OP_MAX,
    FC_OP_MIN,
    fc_elements,
    fc_merge,
    fc_stripes,
)

cdef enum:
    RADIX = 4                    # spans of bits that one pass merges
    VECTOR = 64                  # bytes that are written beyond a line


cdef inline idx stripe_of(const Lines *p) noexcept nogil:
    return ((p.block[p.ndim - 1] - 1) * p.step[p.ndim - 1] + 8) // 8


cdef inline idx bits_pitch(const Lines *p) noexcept nogil:
    """Bytes of a line of bits."""
    return stripe_of(p) + p.window[p.ndim - 1] - 1


cdef inline idx bits_level(const Lines *p) noexcept nogil:
    """Bytes of a region, with what is read and written beyond it."""
    return round_up((p.lines + 1) * bits_pitch(p)) + 64


cdef inline idx bits_side(const Lines *p, const Named *own) noexcept nogil:
    """Bytes of one side: spans of 2^level for all levels, and results."""
    return (own.highest + 2) * bits_level(p)


cdef idx bits_scratch(const Lines *p, const Named *own, int sides) noexcept nogil:
    """Bytes for reduce_bits: which block stands here, a line of bytes, a line of results, and the sides."""
    return 64 + 2 * byte_pitch(p) + sides * bits_side(p, own)


cdef void list_terms(const Lines *p, Named *own) noexcept nogil:
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


cdef void pack_lines(const Lines *p, const Block *b, idx line, idx end, char *bytes_, uint8_t *bits,
                     bint opposites) noexcept nogil:
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
    q.elements, q.stripe, q.bytes, q.flip = <uint8_t *>bytes_, stripe_of(p), bits_pitch(p), 255 if opposites else 0
    if cut and p.mode == FC_CONSTANT:
        fill_ends(p, b, bytes_, FC_U8, &outside)
        cut = False
    for i in range(line, end):
        q.bits = bits + i * q.bytes
        k.nonzero(q.elements + first, b.line[i].at + first * p.item, last - first)
        if cut:
            fill_ends(p, b, bytes_, FC_U8, &outside)
        p.k.pack_bits(&q)


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
        while length < p.window[a]:
            reach = min(length * RADIX, p.window[a])
            q.count = (reach + length - 1) // length
            for i in range(q.count):
                terms[i] = min(i * length, reach - length) * distance
            q.bytes -= (reach - length) * distance
            p.k.merge_bits(&q)
            q.src, length = results, reach


cdef void merge_runs(const Lines *p, const Block *b, const Reducer *r, const uint8_t *bits, uint8_t *results) noexcept nogil:
    cdef const Named *own = <const Named *>r.own
    cdef idx rows = b.count[p.ndim - 2], i, at
    cdef char *unused
    cdef fc_merge q
    q.terms, q.count = own.terms, own.count
    q.bytes = (rows - 1) * p.step[p.ndim - 2] * bits_pitch(p) + stripe_of(p)
    for i in range(out_lines(p, b) // rows):
        at = locate(p, b, r, i * rows, &unused) * bits_pitch(p)
        q.src, q.out = bits + at, results + at
        p.k.merge_bits(&q)


cdef void fill_bits(const Lines *p, const Block *b, const Named *own, idx carried, char *bytes_, uint8_t *bits,
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
            memmove(bits + at, bits + at + p.block[p.ndim - 2] * p.step[p.ndim - 2] * pitch, carried * pitch)
        pack_lines(p, b, line + carried, line + rows, bytes_, bits, opposites)
        for level in range(own.highest):
            pair[0], pair[1] = 0, <idx>1 << level
            q.src, q.out = bits + level * size + (line + carried) * pitch, bits + (level + 1) * size + (line + carried) * pitch
            p.k.merge_bits(&q)


cdef void reduce_bits(const Lines *p, Block *b, const Reducer *r, char *scratch) noexcept nogil:
    """any and all, and min, max and range of booleans, of any window. Of least and all there are the opposites."""
    cdef const Named *own = <const Named *>r.own
    cdef idx *filled = <idx *>scratch           # the block whose bits stand here
    cdef char *bytes_ = scratch + 64
    cdef char *line = bytes_ + byte_pitch(p)
    cdef uint8_t *bits = <uint8_t *>line + byte_pitch(p)
    cdef uint8_t *results[2]
    cdef idx pitch = bits_pitch(p), shift = p.block[p.ndim - 2] * p.step[p.ndim - 2] * pitch, lines = out_lines(p, b), i, at
    # What stands so near the beginning of a sheet is overwritten while the sheet before it is filled.
    cdef idx carried = b.carried if filled[0] == b.unit - 1 and shift >= VECTOR else 0
    cdef int side, reduction
    cdef const Reducer *member
    cdef char *out
    cdef bint fits
    cdef fc_stripes q
    filled[0] = b.unit
    if b.flags & FC_LINE_MASKED:
        filled[0] = -1
        reduce_plain(p, b, r, line)
        return
    for side in range(2):
        results[side] = bits + (own.highest + 1) * bits_level(p)
        if wanted(r, FC_OP_MAX if side else FC_OP_MIN):
            fill_bits(p, b, own, carried, bytes_, bits, side == 0)
            if p.box:
                merge_box(p, b, bits, results[side])
            else:
                merge_runs(p, b, r, bits, results[side])
            bits += bits_side(p, own)
    q.stripe, q.count = stripe_of(p), dense_count(p, b)
    for i in range(lines):
        member = r
        while member != NULL:
            reduction = (<const Named *>member.own).reduction
            side = not is_least(member)
            at = locate(p, b, member, i, &out) * pitch
            fits = can_write(p, member, out)
            q.elements, q.bits, q.flip = <uint8_t *>(out if fits else line), results[side] + at, 0 if side else 255
            q.also = results[0] + at if reduction == FC_REDUCE_RANGE else q.bits
            p.k.unpack_bits(&q)
            if not fits:
                put(p, b, member, out, line, FC_U8)
            member = follower(member)
