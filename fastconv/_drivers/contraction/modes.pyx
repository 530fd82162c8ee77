"""Driver of mode_dot and mttkrp: cuts the tensor into tasks and runs them on a team. The face is contraction.py.

- mode_dot: dot products along the last axis, rows of the tensor in place against packed columns of the matrix, or lanes
  along a contiguous axis.
- mttkrp: one axis is contracted by the tile, the others by scaling its result with rows of the other factors. Along the
  tensor's last axis, lanes run along that and the tile takes products of the factors, in segments of the other axes.

Every sum runs in chains of terms in registers, or pieces of dot products; chains add up to spans (in mttkrp: products of the
other axes to groups), and those in twice the precision, so that errors do not grow with the length. The shapes of the whole
call decide about all of these: the bits do not depend on threads or strides.
"""
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree
from cython.parallel cimport prange
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset

cimport numpy as cnp

from fastconv._drivers.base cimport FC_DOT_VECTORS, FC_F32, FC_F64, FC_SWAPPED, FC_U8, fc_base_kernels
from fastconv._drivers.common cimport ceil_div, idx, kind_of, round_up
from fastconv._drivers.contraction.table cimport (
    fc_along,
    fc_contraction,
    fc_contraction_kernels,
    fc_khatri,
    fc_pair_run,
)
from fastconv._drivers.contraction.triple cimport (
    MAX_AXES,
    allocate,
    copy_matrix,
    copy_rows,
    multiply,
    offset,
    store,
)
from fastconv._drivers.runtime cimport Clock, Watch, crew, seam, share, start_clock, table, team, tick

cnp.import_array()

cdef idx MODE_CHAIN = 128        # terms of one chain of sums, at most,
cdef idx VECTOR_CHAIN = 16       # and where there are few terms, of one row of the matrix
cdef idx MATRIX_CHAIN = 32       # and of several
cdef idx SPAN_CHAINS = 32        # chains whose sums are added up before they join the wide sums
cdef idx STRIP_BYTES = 16 << 10  # sums of one vector's strip, which stay in the first-level cache
cdef idx ROW_STRIP = 96          # rows of a task, and how many where the packed matrix has several parts
cdef idx ROW_STRIP_PARTS = 1024
cdef idx DOT_STRIP = 16          # rows of a task that takes dot products, at least,
cdef idx DOT_BYTES = 128 << 10   # and how much it reads where they are short
cdef idx DOT_PIECES = 32         # pieces of them whose sums are added up before they join the wide sums
cdef idx PART_BYTES = 1 << 20    # packed matrix of one thread

seam("contraction.MODE_CHAIN", &MODE_CHAIN)
seam("contraction.VECTOR_CHAIN", &VECTOR_CHAIN)
seam("contraction.MATRIX_CHAIN", &MATRIX_CHAIN)
seam("contraction.SPAN_CHAINS", &SPAN_CHAINS)
seam("contraction.STRIP_BYTES", &STRIP_BYTES)
seam("contraction.ROW_STRIP", &ROW_STRIP)
seam("contraction.ROW_STRIP_PARTS", &ROW_STRIP_PARTS)
seam("contraction.DOT_STRIP", &DOT_STRIP)
seam("contraction.DOT_BYTES", &DOT_BYTES)
seam("contraction.DOT_PIECES", &DOT_PIECES)
seam("contraction.PART_BYTES", &PART_BYTES)


cdef struct Dot:
    const fc_contraction *table
    const fc_base_kernels *base
    const fc_contraction_kernels *k
    idx item
    int kind, out_kind
    const char *t
    char *out
    # The tensor's other axes, the last of which is cut in strips; bytes.
    int axes
    idx shape[MAX_AXES]
    idx step[MAX_AXES]
    idx out_step[MAX_AXES]
    # The axis summed over, and the axis of the results: n = (n // n_inner, n % n_inner).
    idx n, n_inner, n_step, n_inner_step
    idx r, r_inner, r_step, r_inner_step
    const char *matrix           # (r, n), contiguous, of the dtype of the sums
    bint integers, rows_in_place, lanes_along, dots
    idx chain, span, piece, strip, strips, tasks, part, width


cdef struct Worker:
    char *packed                 # columns of the matrix, or a strip of the tensor
    char *spare
    char *spare2
    char *c                      # sums of this span,
    char *c2                     # of a chain that is to join them,
    char *total                  # and wide ones of all spans, if there are several
    idx held, first, last
    Clock clock


cdef inline idx n_offset(const Dot *p, idx n) noexcept nogil:
    return n // p.n_inner * p.n_step + n % p.n_inner * p.n_inner_step


cdef inline idx r_offset(const Dot *p, idx r) noexcept nogil:
    return r // p.r_inner * p.r_step + r % p.r_inner * p.r_inner_step


cdef idx locate(const Dot *p, idx task, const char **t, char **out) noexcept nogil:
    """Where a task's strip begins in both arrays; returns its length."""
    cdef idx rest = task // p.strips, index, start = task % p.strips * p.strip
    cdef int a, last = p.axes - 1
    t[0] = p.t + start * p.step[last]
    out[0] = p.out + start * p.out_step[last]
    for a in range(last - 1, -1, -1):
        index = rest % p.shape[a]
        rest //= p.shape[a]
        t[0] += index * p.step[a]
        out[0] += index * p.out_step[a]
    return min(p.strip, p.shape[last] - start)


cdef void pack_terms(const Dot *p, void *dst, const char *t, idx first, idx count, idx length, idx step,
                     idx width) noexcept nogil:
    """dst[n][x] of `count` terms from `first`, `length` elements that lie `step` apart in the tensor."""
    cdef idx n
    if p.n_inner == 1:
        copy_rows(p.base, dst, width, t + first * p.n_step, p.n_step, step, count, length, p.kind)
        return
    for n in range(count):
        copy_rows(p.base, offset(dst, n * width, p.item), width, t + n_offset(p, first + n), 0, step, 1, length, p.kind)


cdef inline void end_span(const Dot *p, Worker *w, idx n, idx first, idx size) noexcept nogil:
    """Once n terms are added up: if they end a span, its sums, `size` from `first` on, join the wide ones, and the last come back."""
    cdef char *c = w.c + first * p.item
    cdef double *total = <double *>(w.total + 2 * first * p.item)
    if p.n <= p.span or (n % p.span and n < p.n):
        return
    p.k.widen(total, c, size, n > p.span)
    if n == p.n:
        p.k.narrow(c, total, size, 1)


cdef void vector_task(const Dot *p, Worker *w, idx task) noexcept nogil:
    """One row of the matrix, lanes along a contiguous axis, both in place."""
    cdef const char *t
    cdef char *out
    cdef idx length = locate(p, task, &t, &out), n = 0, count
    cdef char *c
    while n < p.n:
        count = min(p.chain, p.n - n)
        c = w.c2 if n % p.span else w.c
        memset(c, 0, length * p.item)
        p.k.axpy(c, t + n * p.n_step, p.n_step // p.item, p.matrix + n * p.item, count, length)
        if c == w.c2:
            p.base.add(w.c, c, length)
        n += count
        end_span(p, w, n, 0, length)
        if tick(&w.clock, <double>length * count):
            return
    store(p.base, w.c, 0, 1, length, out, 0, p.out_step[p.axes - 1], p.out_kind)


cdef void lanes_task(const Dot *p, Worker *w, idx task) noexcept nogil:
    """Any number of rows of the matrix against a packed strip of the tensor."""
    cdef const char *t
    cdef char *out
    cdef idx length = locate(p, task, &t, &out), n = 0, count, r
    cdef int vectors = <int>ceil_div(length, p.base.lanes)
    cdef idx width = vectors * p.base.lanes
    while n < p.n:
        count = min(p.chain, p.n - n)
        pack_terms(p, w.packed, t, n, count, length, p.item, width)
        multiply(p.base, p.item, p.matrix + n * p.item, p.n, p.r, w.packed, count, vectors, w.c, n % p.span > 0, count)
        n += count
        end_span(p, w, n, 0, p.r * width)
        if tick(&w.clock, <double>width * count * p.r):
            return
    for r in range(p.r):
        store(p.base, offset(w.c, r * width, p.item), 0, 1, length, out + r_offset(p, r), 0, p.out_step[p.axes - 1], p.out_kind)


cdef void rows_in_place(const Dot *p, Worker *w, const char *t, idx start, idx end, idx length, int vectors) noexcept nogil:
    """The terms start .. end of rows that lie in memory, tile by tile, while the rows of the next tile are fetched."""
    cdef idx row = p.step[p.axes - 1], height = p.base.rows[vectors], width = vectors * p.base.lanes, first = 0, rows, n, count
    while first < length:
        rows = min(height, length - first)
        n = start
        while n < end:
            count = min(p.chain, end - n)
            if first + 2 * height <= length:
                p.base.prefetch(t + (first + height) * row + n * p.item, height, row, count * p.item)
            multiply(p.base, p.item, t + first * row + n * p.item, row // p.item, rows,
                     offset(w.packed, (n - start) * width, p.item), count, vectors, offset(w.c, first * width, p.item),
                     n % p.span > 0, count)
            n += count
            end_span(p, w, n, first * width, rows * width)
        first += rows
        if tick(&w.clock, <double>rows * (end - start) * width):
            return


cdef void rows_task(const Dot *p, Worker *w, idx task) noexcept nogil:
    """Rows of the tensor, in place or packed, against packed columns of the matrix."""
    cdef const char *t
    cdef char *out
    cdef idx length = locate(p, task, &t, &out), panels = ceil_div(p.r, p.width), parts = ceil_div(p.n, p.part)
    cdef idx panel, part, n, end, count, width, columns, r, row = p.step[p.axes - 1], key, wide
    cdef idx across = p.out_step[p.axes - 1]
    cdef int vectors
    for panel in range(panels):
        columns = min(p.width, p.r - panel * p.width)
        vectors = <int>ceil_div(columns, p.base.lanes)
        width = vectors * p.base.lanes
        for part in range(parts):
            n, end = part * p.part, min((part + 1) * p.part, p.n)
            key = panel * parts + part
            if w.held != key:
                copy_rows(p.base, w.packed, width, p.matrix + (panel * p.width * p.n + n) * p.item, p.item, p.n * p.item,
                          end - n, columns, FC_F32 if p.item == 4 else FC_F64)
                w.held = key
            if p.rows_in_place:
                rows_in_place(p, w, t, n, end, length, vectors)
                if w.clock.watch.stop:
                    return
                continue
            while n < end:
                count = min(p.chain, end - n)
                if p.n_inner == 1:
                    copy_matrix(p.base, p.item, w.spare, p.chain, w.spare2, t + n * p.n_step, row, p.n_step, length, count, p.kind)
                else:
                    wide = round_up(length, p.base.lanes)
                    pack_terms(p, w.spare2, t, n, count, length, row, wide)
                    p.base.transpose(w.spare, p.chain, w.spare2, wide, count, length)
                multiply(p.base, p.item, w.spare, p.chain, length, offset(w.packed, (n - part * p.part) * width, p.item), count,
                         vectors, w.c, n % p.span > 0, count)
                n += count
                end_span(p, w, n, 0, length * width)
                if tick(&w.clock, <double>length * count * width):
                    return
        if p.r_inner == 1:
            store(p.base, w.c, width, length, columns, out + panel * p.width * p.r_step, across, p.r_step, p.out_kind)
        else:
            for r in range(columns):
                store(p.base, offset(w.c, r, p.item), width, length, 1, out + r_offset(p, panel * p.width + r), across, 0,
                      p.out_kind)


cdef void dots_task(const Dot *p, Worker *w, idx task) noexcept nogil:
    """One row of the matrix with the tensor's last axis, lanes along both."""
    cdef const char *t
    cdef char *out
    cdef idx length = locate(p, task, &t, &out), row = p.step[p.axes - 1], n = 0, count
    while n < p.n:
        count = min(p.span if p.rows_in_place else p.piece, p.n - n)
        if p.rows_in_place:
            p.k.dot(w.c, t + n * p.item, row // p.item, p.matrix + n * p.item, length, count, False)
        else:
            copy_matrix(p.base, p.item, w.spare, count, w.spare2, t + n * p.n_step, row, p.n_step, length, count, p.kind)
            p.k.dot(w.c, w.spare, count, p.matrix + n * p.item, length, count, n % p.span > 0)
        n += count
        end_span(p, w, n, 0, length)
        if tick(&w.clock, <double>length * count):
            return
    store(p.base, w.c, 0, 1, length, out, 0, p.out_step[p.axes - 1], p.out_kind)


cdef void integers_task(const Dot *p, Worker *w, idx task) noexcept nogil:
    """Integers of any kind, modulo 2^64."""
    cdef const char *t
    cdef char *out
    cdef idx length = locate(p, task, &t, &out), n, r, i, across = p.out_step[p.axes - 1]
    cdef const uint64_t *matrix = <const uint64_t *>p.matrix
    for r in range(p.r):
        memset(w.c, 0, length * 8)
        for n in range(p.n):
            p.table.integer_axpy(<uint64_t *>w.c, t + n * p.n_step, p.step[p.axes - 1], length, matrix[r * p.n + n], p.kind)
            if tick(&w.clock, <double>length):
                return
        if across == 8:
            memcpy(out + r * p.r_step, w.c, length * 8)
        else:
            for i in range(length):
                memcpy(out + r * p.r_step + i * across, w.c + i * 8, 8)


cdef void run_dot(const Dot *p, Worker *w) noexcept nogil:
    while w.first < w.last and not w.clock.watch.stop:
        if p.integers:
            integers_task(p, w, w.first)
        elif p.dots:
            dots_task(p, w, w.first)
        elif not p.lanes_along:
            rows_task(p, w, w.first)
        elif p.r == 1 and p.rows_in_place:
            vector_task(p, w, w.first)
        else:
            lanes_task(p, w, w.first)
        w.first += 1
        tick(&w.clock, 16. * p.strip * p.r)   # results cost more than their products where sums are short


cdef inline idx magnitude(idx step) noexcept nogil:
    return step if step >= 0 else -step


cdef void plan_dot(Dot *p, idx threads, bint native, bint alone) noexcept:
    """Merges axes, picks which one the strips run along, and how it is read. `alone`: the whole call has one row."""
    cdef int a, b, main = 0
    cdef bint aligned = native and <size_t>p.t % p.item == 0
    a = 0
    while a < p.axes:
        if p.shape[a] == 1 and p.axes > 1:
            for b in range(a, p.axes - 1):
                p.shape[b], p.step[b], p.out_step[b] = p.shape[b + 1], p.step[b + 1], p.out_step[b + 1]
            p.axes -= 1
            continue
        if a and p.step[a - 1] == p.shape[a] * p.step[a] and p.out_step[a - 1] == p.shape[a] * p.out_step[a]:
            p.shape[a - 1] *= p.shape[a]
            p.step[a - 1], p.out_step[a - 1] = p.step[a], p.out_step[a]
            for b in range(a, p.axes - 1):
                p.shape[b], p.step[b], p.out_step[b] = p.shape[b + 1], p.step[b + 1], p.out_step[b + 1]
            p.axes -= 1
            continue
        a += 1
    if p.n_inner > 1 and p.n_step == p.n_inner * p.n_inner_step:
        p.n_step, p.n_inner = p.n_inner_step, 1
    if p.r_inner > 1 and p.r_step == p.r_inner * p.r_inner_step:
        p.r_step, p.r_inner = p.r_inner_step, 1
    for a in range(p.axes):
        aligned = aligned and p.step[a] % p.item == 0
    aligned = aligned and p.n_step % p.item == 0 and p.n_inner == 1
    if p.integers:
        for a in range(p.axes):
            if p.shape[a] > 1 and (p.shape[main] == 1 or magnitude(p.step[a]) < magnitude(p.step[main])):
                main = a
    else:
        main = -1
        if not p.dots and not (p.n_inner == 1 and p.n_step == p.item):
            for a in range(p.axes):
                if p.step[a] == p.item and p.shape[a] >= 2 * p.base.lanes:
                    main = a
        p.lanes_along = main >= 0
        if not p.lanes_along:
            main = 0
            for a in range(p.axes):
                if p.shape[a] > p.shape[main]:
                    main = a
    # The axis of the strips goes last.
    p.shape[p.axes], p.step[p.axes], p.out_step[p.axes] = p.shape[main], p.step[main], p.out_step[main]
    for a in range(main, p.axes):
        p.shape[a], p.step[a], p.out_step[a] = p.shape[a + 1], p.step[a + 1], p.out_step[a + 1]
    p.rows_in_place = aligned and (p.lanes_along or p.n_step == p.item)
    # About as many chains as terms in each, which keeps both sums short.
    p.chain = VECTOR_CHAIN if alone else MATRIX_CHAIN
    while p.chain < MODE_CHAIN and p.chain * p.chain < p.n:
        p.chain *= 2
    p.chain = min(p.chain, MODE_CHAIN)
    p.piece = FC_DOT_VECTORS * p.base.lanes
    p.span = p.piece * DOT_PIECES if p.dots else p.chain * SPAN_CHAINS
    p.width = p.base.vectors * p.base.lanes
    p.part = max(PART_BYTES // (min(p.width, round_up(p.r, p.base.lanes)) * p.item) // p.chain, 1) * p.chain
    if p.dots:
        p.strip = max(DOT_STRIP, DOT_BYTES // ((p.n + p.base.lanes) * p.item))
    elif p.integers or (p.lanes_along and p.r == 1 and p.rows_in_place):
        p.strip = max(STRIP_BYTES // p.item, 1)
    elif p.lanes_along:
        p.strip = p.width
    else:
        p.strip = ROW_STRIP if p.r <= p.width and p.n <= p.part else ROW_STRIP_PARTS
    p.strip = min(p.strip, p.shape[p.axes - 1])
    p.strips = ceil_div(p.shape[p.axes - 1], p.strip)
    p.tasks = p.strips
    for a in range(p.axes - 1):
        p.tasks *= p.shape[a]
    if p.tasks < 4 * threads and not p.dots:
        # Few strips: shorter ones, so that every thread has its share.
        p.strip = min(p.strip, max(round_up(ceil_div(p.shape[p.axes - 1] * p.tasks, p.strips * 4 * threads), 4 * p.base.lanes), 1))
        p.tasks //= p.strips
        p.strips = ceil_div(p.shape[p.axes - 1], p.strip)
        p.tasks *= p.strips


cdef int execute_dot(Dot *p, int threads) except -1:
    cdef idx wide = round_up(p.strip, p.base.lanes), packed, spare, sums, total, each
    cdef Watch watch
    cdef int i, workers
    cdef char *raw = NULL
    cdef char *memory
    cdef Worker *members = NULL
    workers = crew(threads, p.tasks)
    packed = spare = 0
    sums = wide * p.item
    if not p.integers:
        if p.dots:
            spare = 0 if p.rows_in_place else (wide + p.base.lanes) * (min(p.piece, p.n) + p.base.lanes) * p.item
        elif not p.lanes_along:
            packed = min(p.part, round_up(p.n, p.chain)) * min(p.width, round_up(p.r, p.base.lanes)) * p.item
            sums = p.strip * min(p.width, round_up(p.r, p.base.lanes)) * p.item
            spare = 0 if p.rows_in_place else wide * p.chain * p.item
        elif p.r > 1 or not p.rows_in_place:
            packed = p.chain * p.width * p.item
            sums = p.r * wide * p.item
    packed, spare, sums = round_up(packed, 64), round_up(spare, 64), round_up(sums, 64)
    total = 2 * sums if not p.integers and p.n > p.span else 0
    each = packed + 2 * spare + (2 * sums if p.r == 1 else sums) + total
    try:
        memory = allocate(workers * each, &raw)
        members = <Worker *>PyMem_RawCalloc(workers, sizeof(Worker))
        if members == NULL:
            raise MemoryError()
        for i in range(workers):
            members[i].packed = memory + i * each
            members[i].spare = members[i].packed + packed
            members[i].spare2 = members[i].spare + spare
            members[i].c = members[i].spare2 + spare
            members[i].c2 = members[i].c + sums if p.r == 1 else NULL
            members[i].total = memory + (i + 1) * each - total
            members[i].held = -1
            members[i].first, members[i].last = share(p.tasks, i, workers), share(p.tasks, i + 1, workers)
            start_clock(&members[i].clock, &watch, i)
        if workers == 1:
            with nogil:
                run_dot(p, members)
        else:
            for i in prange(workers, nogil=True, num_threads=workers, schedule="static", chunksize=1):
                run_dot(p, &members[i])
        if watch.stop:
            return -1
    finally:
        PyMem_RawFree(members)
        PyMem_RawFree(raw)
    return 0


def mode_dot(cnp.ndarray t, int summed, cnp.ndarray matrix, cnp.ndarray out, int results, bint last, bint alone, workers):
    """Fills out[..., r] = sum_n matrix[r, n] t[..., n]. The last `summed` axes of t are n, the last `results` of out r.

    1 or 2 each. `last` says that n is the last axis of the user's tensor, whose sums are taken in the order of a dot
    product if there is but one row in the whole call, `alone`: these rows may be some of it. `matrix` is contiguous, of the
    dtype of the sums. contraction.py has checked everything.
    """
    cdef Dot p
    cdef int a, lead = t.ndim - summed
    cdef double work
    memset(&p, 0, sizeof(p))
    p.table = &table().contraction
    p.integers = matrix.dtype.kind in "iu"
    p.item = cnp.PyArray_ITEMSIZE(matrix)
    p.base, p.k = &table().base.real[p.item == 8], &p.table.real[p.item == 8]
    if p.integers:
        p.kind = FC_U8 + {1: 0, 2: 2, 4: 4, 8: 6}[t.dtype.itemsize] + (t.dtype.kind == "i")
        if not cnp.PyArray_ISNOTSWAPPED(t):
            p.kind |= FC_SWAPPED
    else:
        p.kind, p.out_kind = kind_of(t), kind_of(out)
    p.t, p.out = <const char *>cnp.PyArray_DATA(t), <char *>cnp.PyArray_DATA(out)
    p.matrix = <const char *>cnp.PyArray_DATA(matrix)
    p.axes = lead
    for a in range(lead):
        p.shape[a], p.step[a], p.out_step[a] = cnp.PyArray_DIM(t, a), cnp.PyArray_STRIDE(t, a), cnp.PyArray_STRIDE(out, a)
    if lead == 0:
        p.axes, p.shape[0], p.step[0], p.out_step[0] = 1, 1, 0, 0
    p.r, p.n = cnp.PyArray_DIM(matrix, 0), cnp.PyArray_DIM(matrix, 1)
    p.n_inner = cnp.PyArray_DIM(t, lead + 1) if summed == 2 else 1
    p.n_step, p.n_inner_step = cnp.PyArray_STRIDE(t, lead), cnp.PyArray_STRIDE(t, t.ndim - 1)
    p.r_inner = cnp.PyArray_DIM(out, lead + 1) if results == 2 else 1
    p.r_step, p.r_inner_step = cnp.PyArray_STRIDE(out, lead), cnp.PyArray_STRIDE(out, out.ndim - 1)
    p.dots = last and alone and p.n_inner == 1 and not p.integers
    work = <double>p.r * p.n
    for a in range(p.axes):
        work *= p.shape[a]
    threads = team(workers, work)
    plan_dot(&p, threads, p.kind == (FC_F32 if p.item == 4 else FC_F64), alone)
    execute_dot(&p, threads)


# ---- matricised tensor times Khatri-Rao product ----

cdef idx MODE_ROWS = 104         # rows of a task, at most
cdef idx FAR_ROWS = 24           # the same where they lie pages apart
cdef idx FAR = 4096
cdef idx MODE_TERMS = 1024       # terms of the contracted axis that a task holds packed
cdef idx MODE_PANELS = 4         # panels of a task, at most
cdef idx MODE_GROUP = 64         # products of the other axes that are added up before they join the wide sums
cdef idx ALONG_ROWS = 256        # rows of a task whose lanes run along them, at most,
cdef idx ALONG_COLUMNS = 64      # its columns,
cdef idx ALONG_TERMS = 256       # and the terms whose products with the other factors it holds
cdef idx ALONG_CHAIN = 104       # terms of a chain
cdef idx ALONG_TASKS = 16        # such tasks, at least: the other axes are cut where rows and columns make fewer

seam("contraction.MODE_ROWS", &MODE_ROWS)
seam("contraction.FAR_ROWS", &FAR_ROWS)
seam("contraction.FAR", &FAR)
seam("contraction.MODE_TERMS", &MODE_TERMS)
seam("contraction.MODE_PANELS", &MODE_PANELS)
seam("contraction.MODE_GROUP", &MODE_GROUP)
seam("contraction.ALONG_ROWS", &ALONG_ROWS)
seam("contraction.ALONG_COLUMNS", &ALONG_COLUMNS)
seam("contraction.ALONG_TERMS", &ALONG_TERMS)
seam("contraction.ALONG_CHAIN", &ALONG_CHAIN)
seam("contraction.ALONG_TASKS", &ALONG_TASKS)


cdef struct Factor:
    const char *data
    idx row, column
    int kind


cdef struct Unfolding:
    const fc_base_kernels *base
    const fc_contraction_kernels *k
    idx item
    int kind, out_kind
    const char *t
    char *out
    # The tensor: rows, the axes whose factors scale, the contracted axis; bytes.
    idx rows, row, terms, term, others
    int axes
    idx shape[MAX_AXES]
    idx step[MAX_AXES]
    Factor factors[MAX_AXES]
    Factor contracted
    idx r, out_row, out_column
    bint in_place, along         # along: lanes along the rows, which are contiguous
    idx block_rows, width, panels, group, groups, blocks, tasks, depth, segments
    char *totals                 # along: sums of each task, if there are several segments


cdef struct Hand:                # one thread
    char *packed
    char *block
    char *spare
    char *c
    char *sums                   # of this group of products
    char *total                  # wide ones of all groups, if there are several
    char *scale
    idx first, last
    Clock clock


cdef idx locate_other(const Unfolding *p, idx other, idx column, idx columns, idx width, char *scale,
                      char *spare) noexcept nogil:
    """scale = the product of the other factors' rows; returns the offset of the tensor's block."""
    cdef idx rest = other, index, at = 0
    cdef int a
    cdef bint first = True
    for a in range(p.axes - 1, -1, -1):
        index = rest % p.shape[a]
        rest //= p.shape[a]
        at += index * p.step[a]
        copy_rows(p.base, scale if first else spare, width, p.factors[a].data + index * p.factors[a].row
                  + column * p.factors[a].column, 0, p.factors[a].column, 1, columns, p.factors[a].kind)
        if not first:
            p.k.adjust(scale, scale, 1, width, width, NULL, spare)
        first = False
    return at


cdef void unfold_task(const Unfolding *p, Hand *h, idx task) noexcept nogil:
    cdef idx part = task % p.blocks, first = p.rows * part // p.blocks, rows = p.rows * (part + 1) // p.blocks - first
    cdef idx panel0 = task // p.blocks * p.group, panels = min(p.group, p.panels - panel0)
    cdef idx size = p.block_rows * p.width * p.item
    cdef idx start = 0, count, other, panel, columns, width, n, length, at, a_row, r, height, ahead
    cdef idx packed = p.depth * p.width * p.item
    cdef bint once = p.others <= MODE_GROUP and p.terms <= p.depth, begun = False
    cdef int vectors
    cdef const char *a
    cdef const char *block
    memset(h.sums, 0, panels * size)
    while start < p.terms:
        count = min(p.depth, p.terms - start)
        for panel in range(panels):
            columns = min(p.width, p.r - (panel0 + panel) * p.width)
            width = round_up(columns, p.base.lanes)
            copy_rows(p.base, h.packed + panel * packed, width, p.contracted.data + start * p.contracted.row
                      + (panel0 + panel) * p.width * p.contracted.column, p.contracted.row, p.contracted.column, count, columns,
                      p.contracted.kind)
        for other in range(p.others):
            for panel in range(panels):
                columns = min(p.width, p.r - (panel0 + panel) * p.width)
                vectors = <int>ceil_div(columns, p.base.lanes)
                width = vectors * p.base.lanes
                at = locate_other(p, other, (panel0 + panel) * p.width, columns, width, h.scale,
                                  h.scale + p.width * p.item)
                block = p.t + at + first * p.row + start * p.term
                a, a_row = block, p.row // p.item
                if not p.in_place:
                    if panel == 0:
                        copy_matrix(p.base, p.item, h.block, count, h.spare, block, p.row, p.term, rows, count, p.kind)
                    a, a_row = h.block, count
                ahead = 0
                if p.in_place and panel == 0 and magnitude(p.row) < FAR and p.axes and (other + 1) % p.shape[p.axes - 1]:
                    ahead = p.step[p.axes - 1]
                r = 0
                if ahead and vectors == p.k.along_vectors:
                    near_rows(p, h, a, ahead, rows, h.packed, count)
                    r = rows
                while r < rows:
                    height = min(FAR_ROWS, rows - r)
                    n = 0
                    while n < count:
                        length = min(MODE_CHAIN, count - n)
                        if ahead:
                            p.base.prefetch(a + r * p.row + n * p.item + ahead, height, p.row, length * p.item)
                        multiply(p.base, p.item, a + (r * a_row + n) * p.item, a_row, height,
                                 h.packed + panel * packed + n * width * p.item, length, vectors, h.c + r * width * p.item,
                                 n > 0, length)
                        n += length
                    r += height
                    if tick(&h.clock, (<double>height * count + 16 * p.axes) * width):
                        return
                if h.clock.watch.stop:
                    return
                if p.axes:
                    p.k.scale_rows(h.sums + panel * size, width, h.c, h.scale, rows, width)
                else:
                    p.base.add(h.sums + panel * size, h.c, rows * width)
            if not once and ((other + 1) % MODE_GROUP == 0 or other == p.others - 1):
                for panel in range(panels):
                    p.k.widen(<double *>(h.total + 2 * panel * size), h.sums + panel * size, rows * p.width, begun)
                memset(h.sums, 0, panels * size)
                begun = True
        start += count
    for panel in range(panels):
        columns = min(p.width, p.r - (panel0 + panel) * p.width)
        if not once:
            p.k.narrow(h.sums + panel * size, <double *>(h.total + 2 * panel * size), rows * p.width, 1)
        store(p.base, h.sums + panel * size, round_up(columns, p.base.lanes), rows, columns,
              p.out + first * p.out_row + (panel0 + panel) * p.width * p.out_column, p.out_row, p.out_column, p.out_kind)


cdef void near_rows(const Unfolding *p, Hand *h, const char *a, idx ahead, idx rows, const char *packed, idx count) noexcept nogil:
    """c = rows in place against whole panels of the factor, while what lies `ahead` is fetched line by line."""
    cdef idx r = 0, n, width = p.k.along_vectors * p.base.lanes
    cdef fc_along q
    memset(h.c, 0, rows * width * p.item)
    q.a_step, q.b_step, q.fetch_step = p.row // p.item, width, 64 // p.item
    while r < rows:
        q.rows, q.c, n = <int>min(p.k.along_rows, rows - r), h.c + r * width * p.item, 0
        while n < count:
            q.length = min(MODE_CHAIN, count - n)
            q.a, q.b = a + r * p.row + n * p.item, packed + n * width * p.item
            q.fetch = a + r * p.row + ahead + n * 64
            p.k.along(&q)
            n += q.length
        r += q.rows
        if tick(&h.clock, <double>q.rows * count * width):
            return


cdef void along_store(const Unfolding *p, const char *total, idx first, idx rows, idx column, idx columns) noexcept nogil:
    cdef idx at = 0, count
    while at < rows:
        count = min(p.width, rows - at)
        store(p.base, total + at * p.group * p.item, round_up(count, p.base.lanes), columns, count,
              p.out + (first + at) * p.out_row + column * p.out_column, p.out_column, p.out_row, p.out_kind)
        at += count


cdef void along_terms(const Unfolding *p, Hand *h, char *sums, const char *t, idx ahead, idx rows, idx columns,
                      idx count) noexcept nogil:
    """sums += the products in h.block of `count` terms, panel by panel, while the same terms `ahead` are fetched."""
    cdef idx at = 0, n, length, lanes, tile, first, last, tiles = ceil_div(columns, p.k.along_rows)
    cdef fc_along q
    q.a_step, q.b_step, q.fetch_step, q.fetch = p.depth, p.term // p.item, p.term // p.item, NULL
    while at < rows:
        lanes, n = min(p.width, rows - at), 0
        while n < count:
            length, last = min(ALONG_CHAIN, count - n), 0
            q.b, q.length = t + at * p.row + n * p.term, length
            if p.in_place and lanes == p.width:
                for tile in range(tiles):
                    first, last = last, columns * (tile + 1) // tiles
                    if ahead:
                        q.fetch = <const char *>q.b + ahead + tile % p.k.along_vectors * 64
                    q.a, q.rows = h.block + (first * p.depth + n) * p.item, <int>(last - first)
                    q.c = sums + (at * p.group + first * p.width) * p.item
                    p.k.along(&q)
            else:
                copy_matrix(p.base, p.item, h.packed, round_up(lanes, p.base.lanes), h.c, <const char *>q.b, p.term, p.row, length,
                            lanes, p.kind)
                multiply(p.base, p.item, h.block + n * p.item, p.depth, columns, h.packed, length,
                         <int>ceil_div(lanes, p.base.lanes), sums + at * p.group * p.item, True, length)
            n += length
            if tick(&h.clock, (<double>length + 16 * p.axes) * p.width * columns):
                return
        at += p.width


cdef void along_task(const Unfolding *p, Hand *h, idx task) noexcept nogil:
    """Lanes along the rows: products of the factors against packed strips of the tensor, over a segment of the other axes."""
    cdef idx segment = task % p.segments, part = task // p.segments, column = part // p.blocks * p.group
    cdef idx first = part % p.blocks * p.block_rows, rows = min(p.block_rows, p.rows - first)
    cdef idx columns = min(p.group, p.r - column), size = p.block_rows * p.group, wide = round_up(columns, p.base.lanes)
    cdef idx other, start, count, at, ahead, begin = p.others * segment // p.segments
    cdef idx end = p.others * (segment + 1) // p.segments
    cdef idx chains = ceil_div(min(p.terms, p.depth), ALONG_CHAIN), every = max(MODE_GROUP // chains, 1)
    cdef bint once = (end - begin) * ceil_div(p.terms, ALONG_CHAIN) <= MODE_GROUP, begun = False
    cdef char *result = h.sums if p.segments == 1 else p.totals + task * size * p.item
    cdef char *sums = result if once else h.sums
    cdef fc_khatri q
    cdef fc_pair_run run
    q.dst, q.x, q.y, q.x_step, q.y_step, q.m, q.width = h.block, h.spare, h.scale, p.depth, 1, columns, p.depth
    q.runs, q.count, run.x, run.y = &run, 1, 0, 0
    memset(sums, 0, size * p.item)
    start = 0
    while start < p.terms:
        count = min(p.depth, p.terms - start)
        run.length = count
        copy_matrix(p.base, p.item, h.spare, p.depth, h.c, p.contracted.data + start * p.contracted.row
                    + column * p.contracted.column, p.contracted.column, p.contracted.row, columns, count, p.contracted.kind)
        for other in range(begin, end):
            at = locate_other(p, other, column, columns, wide, h.scale, h.scale + wide * p.item)
            p.k.khatri(&q)
            ahead = p.step[p.axes - 1] if (other + 1) % p.shape[p.axes - 1] else 0
            along_terms(p, h, sums, p.t + at + start * p.term + first * p.row, ahead, rows, columns, count)
            if h.clock.watch.stop:
                return
            # Many products are added up in groups before they join the wide sums.
            if not once and ((other + 1 - begin) % every == 0 or other == end - 1):
                p.k.widen(<double *>h.total, sums, size, begun)
                memset(sums, 0, size * p.item)
                begun = True
        start += count
    if not once:
        p.k.narrow(result, <double *>h.total, size, 1)
    if p.segments == 1:
        along_store(p, result, first, rows, column, columns)


cdef void run_unfolding(const Unfolding *p, Hand *h) noexcept nogil:
    while h.first < h.last and not h.clock.watch.stop:
        if p.along:
            along_task(p, h, h.first)
        else:
            unfold_task(p, h, h.first)
        h.first += 1


cdef void plan_unfolding(Unfolding *p, int threads) noexcept:
    p.width, p.segments = p.base.vectors * p.base.lanes, 1
    if p.along:
        p.width = p.k.along_vectors * p.base.lanes
        p.block_rows = min(round_up(ALONG_ROWS, p.width), round_up(p.rows, p.width))
        p.blocks = ceil_div(p.rows, p.block_rows)
        p.group = ceil_div(p.r, ceil_div(p.r, ALONG_COLUMNS))
        p.groups = ceil_div(p.r, p.group)
        p.depth = round_up(ALONG_TERMS, p.base.lanes)
        if p.blocks * p.groups < ALONG_TASKS:
            p.segments = min(ceil_div(ALONG_TASKS, p.blocks * p.groups), p.others)
    else:
        p.panels = ceil_div(p.r, p.width)
        p.group = min(MODE_PANELS, max(p.panels // threads, 1))
        p.groups = ceil_div(p.panels, p.group)
        # Rows are cut where columns leave threads without work, and so that a task's rows stay in the cache.
        p.block_rows = MODE_ROWS if magnitude(p.row) < FAR else FAR_ROWS
        p.blocks = ceil_div(p.rows, p.block_rows)
        if p.groups < 4 * threads:
            p.blocks = min(round_up(p.blocks, threads), p.rows)
        p.depth = min(p.terms, MODE_TERMS)
    p.tasks = p.groups * p.blocks * p.segments


cdef void add_segments(const Unfolding *p) noexcept:
    """Adds up what the segments of each part have summed, in their order, and stores it."""
    cdef idx size = p.block_rows * p.group, part, segment, first, column
    cdef char *total
    for part in range(p.blocks * p.groups):
        total = p.totals + part * p.segments * size * p.item
        for segment in range(1, p.segments):
            p.base.add(total, total + segment * size * p.item, size)
        first, column = part % p.blocks * p.block_rows, part // p.blocks * p.group
        along_store(p, total, first, min(p.block_rows, p.rows - first), column, min(p.group, p.r - column))


cdef int execute_unfolding(Unfolding *p, int threads) except -1:
    cdef idx packed, block, spare, copies, shared, wide, sums, each
    cdef Watch watch
    cdef int i, workers
    cdef char *raw = NULL
    cdef char *memory
    cdef Hand *members = NULL
    plan_unfolding(p, threads)
    workers = crew(threads, p.tasks)
    wide = round_up(p.group, p.base.lanes)
    if p.along:
        sums = p.group * p.block_rows * p.item
        packed = ALONG_CHAIN * p.width * p.item
        block, spare = p.group * p.depth * p.item, wide * p.depth * p.item
        copies = max(spare, round_up(ALONG_CHAIN, p.base.lanes) * p.width * p.item)
        shared = p.tasks * sums if p.segments > 1 else 0
    else:
        wide *= p.width
        sums = copies = p.group * p.block_rows * p.width * p.item
        packed = round_up(p.group * p.depth * p.width * p.item, 64)
        block = 0 if p.in_place else round_up(round_up(p.block_rows, p.base.lanes) * (p.depth + p.base.lanes) * p.item, 64)
        spare, shared = block, 0
    packed, block, spare, copies, sums = round_up(packed), round_up(block), round_up(spare), round_up(copies), round_up(sums)
    each = packed + block + spare + copies + 3 * sums + round_up(2 * wide * p.item)
    try:
        memory = allocate(workers * each + shared, &raw)
        p.totals = memory + workers * each
        members = <Hand *>PyMem_RawCalloc(workers, sizeof(Hand))
        if members == NULL:
            raise MemoryError()
        for i in range(workers):
            members[i].packed = memory + i * each
            members[i].block = members[i].packed + packed
            members[i].spare = members[i].block + block
            members[i].c = members[i].spare + spare
            members[i].sums = members[i].c + copies
            members[i].total = members[i].sums + sums
            members[i].scale = members[i].total + 2 * sums
            members[i].first, members[i].last = share(p.tasks, i, workers), share(p.tasks, i + 1, workers)
            start_clock(&members[i].clock, &watch, i)
        if workers == 1:
            with nogil:
                run_unfolding(p, members)
        else:
            for i in prange(workers, nogil=True, num_threads=workers, schedule="static", chunksize=1):
                run_unfolding(p, &members[i])
        if watch.stop:
            return -1
        if shared:
            add_segments(p)
    finally:
        PyMem_RawFree(members)
        PyMem_RawFree(raw)
    return 0


cdef int set_factor(Factor *f, cnp.ndarray a) except -1:
    f.data, f.kind = <const char *>cnp.PyArray_DATA(a), kind_of(a)
    f.row, f.column = cnp.PyArray_STRIDE(a, 0), cnp.PyArray_STRIDE(a, 1)
    return 0


def mttkrp(cnp.ndarray t, list factors, cnp.ndarray out, bint last_mode, bint along, workers):
    """Fills out[i, r] = sum over the other axes of t[i, ...] times the factors' entries [index, r].

    The first axis of t is that of out, the last one of the user's tensor if `last_mode`; `factors` go with the others.
    With `along` products of factors are formed before anything is summed. contraction.py has checked everything.
    """
    cdef Unfolding p
    cdef int a, last = t.ndim - 1
    cdef double work
    memset(&p, 0, sizeof(p))
    p.kind, p.out_kind = kind_of(t), kind_of(out)
    p.item = 8 if p.out_kind == FC_F64 else 4
    p.base, p.k = &table().base.real[p.item == 8], &table().contraction.real[p.item == 8]
    p.t, p.out = <const char *>cnp.PyArray_DATA(t), <char *>cnp.PyArray_DATA(out)
    p.rows, p.row = cnp.PyArray_DIM(t, 0), cnp.PyArray_STRIDE(t, 0)
    p.terms, p.term = cnp.PyArray_DIM(t, last), cnp.PyArray_STRIDE(t, last)
    set_factor(&p.contracted, factors[last - 1])
    p.along = along or (last_mode and last > 1 and p.rows >= p.base.lanes)
    p.in_place = (p.kind == (FC_F32 if p.item == 4 else FC_F64) and <size_t>p.t % p.item == 0
                  and (p.row if p.along else p.term) == p.item and (p.term if p.along else p.row) % p.item == 0)
    p.axes, p.others = last - 1, 1
    for a in range(p.axes):
        p.shape[a], p.step[a] = cnp.PyArray_DIM(t, a + 1), cnp.PyArray_STRIDE(t, a + 1)
        p.in_place = p.in_place and p.step[a] % p.item == 0
        p.others *= p.shape[a]
        set_factor(&p.factors[a], factors[a])
    p.r, p.out_row, p.out_column = cnp.PyArray_DIM(out, 1), cnp.PyArray_STRIDE(out, 0), cnp.PyArray_STRIDE(out, 1)
    work = <double>p.rows * p.terms * p.others * p.r
    execute_unfolding(&p, team(workers, work))
