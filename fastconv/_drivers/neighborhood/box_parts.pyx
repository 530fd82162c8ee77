"""What is done with parts of large boxes: elements become parts, parts are joined, and parts become results. Next hop:
kernels/neighborhood/box_parts.h.
"""
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from fastconv._drivers.base cimport fc_boundary
from fastconv._drivers.common cimport ceil_div, idx, round_up
from fastconv._drivers.neighborhood.box_plan cimport Plan, Thread
from fastconv._drivers.neighborhood.engine cimport Lines, move
from fastconv._drivers.neighborhood.plain cimport Named, kind_bytes
from fastconv._drivers.neighborhood.table cimport (
    FC_LINE_SLACK,
    FC_PARTS,
    fc_fill,
    fc_finish_parts,
    fc_join_parts,
    fc_lift_parts,
    fc_put,
)

cdef void join(const Plan *plan, Area to, idx to_at, Area a, idx a_at, Area b, idx b_at, idx n) noexcept nogil:
    """to = a and then b, n numbers of each plane from those places on. All planes are of one size."""
    cdef fc_join_parts q
    cdef int u
    q.plane, q.n = to.plane, n
    for u in range(plan.parts):
        q.part = plan.units[u].part
        q.to, q.a, q.b = number(plan, to, u, to_at), number(plan, a, u, a_at), number(plan, b, u, b_at)
        plan.k.join_parts(&q)


cdef void copy(const Plan *plan, Area to, idx to_at, Area a, idx a_at, idx n) noexcept nogil:
    cdef int u
    cdef idx i, item
    for u in range(plan.parts):
        item = plan.units[u].item
        for i in range(plan.units[u].planes):
            memcpy(number(plan, to, u, i * to.plane + to_at), number(plan, a, u, i * a.plane + a_at), n * item)


cdef void repeat(const Plan *plan, Area to, Area one, idx n) noexcept nogil:
    """n numbers of each plane, all the first of `one`."""
    cdef idx have = 1
    copy(plan, to, 0, one, 0, 1)
    while have < n:
        copy(plan, to, have, to, 0, min(have, n - have))
        have *= 2


cdef void power(const Plan *plan, Area to, Area base, idx times, idx n) noexcept nogil:
    """to = base, `times` times; base is overwritten."""
    cdef bint started = False
    while times:
        if times & 1:
            if started:
                join(plan, to, 0, to, 0, base, 0, n)
            else:
                copy(plan, to, 0, base, 0, n)
            started = True
        times >>= 1
        if times:
            join(plan, base, 0, base, 0, base, 0, n)


cdef void windows_by_doubling(const Plan *plan, Area to, Area one, idx at, idx window, idx shift, idx n) noexcept nogil:
    """to[x] = one[at + x], one[at + x + shift] and so on, `window` > 1 of them, for x < n - (window - 1) * shift."""
    cdef idx m = 1, bit = 1, next, a_at = at
    cdef Area a = one
    while bit <= window >> 1:
        bit <<= 1
    bit >>= 1
    while bit:
        next = 2 * m + ((window & bit) != 0)
        join(plan, to, 0, a, a_at, a, a_at + m * shift, n - (2 * m - 1) * shift)
        if next > 2 * m:
            join(plan, to, 0, to, 0, one, at + 2 * m * shift, n - (next - 1) * shift)
        a, a_at, m = to, 0, next
        bit >>= 1


cdef void total_of(const Plan *plan, Area span, idx n) noexcept nogil:
    """The first number becomes what n of them come to; the others are overwritten."""
    cdef idx half
    while n > 1:
        half = (n + 1) // 2
        join(plan, span, 0, span, 0, span, half, n - half)
        n = half


# ---- elements to parts ----

cdef void lift_line(const Plan *plan, Thread *t, const char *x, const char *mask, idx start, idx length, Area to,
                    idx at) noexcept nogil:
    """The parts of positions start .. start + length - 1 of a line of the array, NULL if that lies outside."""
    cdef const Lines *p = plan.p
    cdef int last = p.ndim - 1, u
    cdef char *line = t.worker.memory
    cdef uint8_t *present = <uint8_t *>line + round_up(plan.row * p.item) + FC_LINE_SLACK
    cdef fc_fill q
    cdef fc_lift_parts lift
    cdef bint in_place = (x != NULL and 0 <= start <= p.size[last] - length and not p.presence and p.kind == p.native
                          and p.x_step[last] == p.item and not p.other and <size_t>x % p.item == 0)
    q.src, q.mask = x, mask if x != NULL else NULL
    q.dst, q.present = line, present if p.presence else NULL
    q.step, q.mask_step, q.other, q.start, q.length, q.n = p.x_step[last], p.mask_step[last], p.other, start, length, p.size[last]
    q.kind, q.mask_kind, q.mode, q.omit, q.cval = p.kind, p.mask_kind, p.mode, p.omit, &p.cval
    if not in_place:
        p.k.fill_line(&q)
    lift.line, lift.present, lift.plane, lift.n = x + start * p.item if in_place else line, q.present, to.plane, length
    for u in range(plan.parts):
        lift.part, lift.to = plan.units[u].part, number(plan, to, u, at)
        plan.k.lift_parts(&lift)


cdef void locate(const Plan *plan, Thread *t) noexcept nogil:
    """The part of an element's place that the axes before the walk have."""
    cdef const Lines *p = plan.p
    cdef int a
    cdef idx at
    t.x, t.mask = p.x, p.mask
    for a in range(plan.axis):
        at = fc_boundary(t.at[a] * p.step[a] - p.before[a], p.size[a], p.mode)
        if at < 0:
            t.x = NULL
            return
        t.x += at * p.x_step[a]
        if p.mask != NULL:
            t.mask += at * p.mask_step[a]


cdef void lift_sheet(const Plan *plan, Thread *t, idx position, Area to) noexcept nogil:
    """The sheet at a position of the array, which may lie outside."""
    cdef const Lines *p = plan.p
    cdef int a, last = p.ndim - 1
    cdef idx i, rest, at
    cdef const char *x
    cdef const char *mask
    for i in range(t.lines):
        x, mask, rest = t.x, t.mask, i
        for a in range(last - 1, plan.axis - 1, -1):
            at = position
            if a > plan.axis:
                at = t.start[a] + rest % t.width[a]
                rest //= t.width[a]
            at = fc_boundary(at, p.size[a], p.mode)
            move(p, a, at, &x, &mask)
        lift_line(plan, t, x, mask, t.start[last], t.width[last], to, i * plan.pitch)


# ---- results ----

cdef void finish_windows(const Plan *plan, Thread *t, idx o, idx line, Area parts, idx at, idx first, idx n) noexcept nogil:
    """Results of n windows in a row from position `first` of an output line on: `line` counts those of the axes between the
    walk, at output o, and the lines. The first of them that is an output stands at `at` in `parts`."""
    cdef const Lines *p = plan.p
    cdef int a, r, u, last = p.ndim - 1
    cdef idx offset = 0, rest = line
    cdef bint direct
    cdef const Named *own
    cdef fc_finish_parts q
    cdef fc_put put
    cdef char *results = t.worker.memory + round_up(plan.row * p.item) + round_up(plan.row) + 2 * FC_LINE_SLACK
    for u in range(FC_PARTS):
        q.parts[u] = NULL
    for u in range(plan.parts):
        q.parts[plan.units[u].part] = number(plan, parts, u, at)
    q.plane, q.n, q.cells = parts.plane, n, p.cells
    for r in range(plan.count):
        own = <const Named *>plan.reducers[r].own
        offset, rest = 0, line
        for a in range(last - 1, -1, -1):
            if a > plan.axis:
                offset += (t.at[a] + rest % t.count[a]) * plan.reducers[r].out_step[a]
                rest //= t.count[a]
            else:
                offset += (o if a == plan.axis else t.at[a]) * plan.reducers[r].out_step[a]
        q.reduction, q.ddof, q.wide, q.nothing = own.reduction, own.ddof, own.wide, own.nothing
        put.dst_step = plan.reducers[r].out_step[last]
        put.dst = plan.reducers[r].out + offset + first * put.dst_step
        put.src, put.src_step, put.n = results, p.step[last] * kind_bytes(own.plain), ceil_div(n, p.step[last])
        put.kind, put.source = plan.reducers[r].out_kind, own.plain
        direct = (put.kind == put.source and put.dst_step == put.src_step and p.step[last] == 1
                  and <size_t>put.dst % kind_bytes(own.plain) == 0)
        q.out = put.dst if direct else results
        plan.k.finish_parts(&q)
        if not direct:
            p.k.put_line(&put)
