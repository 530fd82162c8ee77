"""Parts in memory: of a unit all numbers of a plane, then the next plane, then the next unit. Next hop: box_parts.pyx."""
from fastconv._drivers.common cimport idx
from fastconv._drivers.neighborhood.box_plan cimport Plan, Thread

cdef struct Area:
    char *at
    idx plane                    # numbers


cdef inline char *number(const Plan *plan, Area area, int unit, idx at) noexcept nogil:
    return area.at + plan.units[unit].before * area.plane + at * plan.units[unit].item


cdef void join(const Plan *plan, Area to, idx to_at, Area a, idx a_at, Area b, idx b_at, idx n) noexcept nogil
cdef void copy(const Plan *plan, Area to, idx to_at, Area a, idx a_at, idx n) noexcept nogil
cdef void repeat(const Plan *plan, Area to, Area one, idx n) noexcept nogil
cdef void power(const Plan *plan, Area to, Area base, idx times, idx n) noexcept nogil
cdef void windows_by_doubling(const Plan *plan, Area to, Area one, idx at, idx window, idx shift, idx n) noexcept nogil
cdef void total_of(const Plan *plan, Area span, idx n) noexcept nogil
cdef void lift_line(const Plan *plan, Thread *t, const char *x, const char *mask, idx start, idx length, Area to,
                    idx at) noexcept nogil
cdef void locate(const Plan *plan, Thread *t) noexcept nogil
cdef void lift_sheet(const Plan *plan, Thread *t, idx position, Area to) noexcept nogil
cdef void finish_windows(const Plan *plan, Thread *t, idx o, idx line, Area parts, idx at, idx first, idx n) noexcept nogil
