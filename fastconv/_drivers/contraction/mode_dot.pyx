"""Driver of mode_dot: cuts the tensor into tasks and runs them on a team. The face is contraction.py, the kernels are in
kernels/contraction/vectors.h and kernels/base/tile.h.

Sums along the tensor's last axis are dot products if there is one row of the matrix; else rows of the tensor in place meet
packed columns of the matrix, or lanes run along a contiguous axis.

Every sum runs in chains of terms in registers, or pieces of dot products; chains add up to spans, and those in twice the
precision, so that errors do not grow with the length. The shapes of the whole call decide about all of these: the bits do not
depend on threads or strides.
"""
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset

cimport numpy as cnp

from fastconv._drivers.base cimport FC_DOT_VECTORS, FC_F32, FC_F64, fc_base_kernels
from fastconv._drivers.common cimport ceil_div, idx, kind_of, round_up
from fastconv._drivers.contraction.blocks cimport MAX_AXES, copy_matrix, copy_rows, magnitude, multiply, offset, store
from fastconv._drivers.contraction.table cimport fc_contraction, fc_contraction_kernels
from fastconv._drivers.runtime cimport Worker, crew, run_team, seam, table, team, tick

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


cdef struct Thread:
    Worker worker
    char *packed                 # columns of the matrix, or a strip of the tensor
    char *rows                   # of the tensor, along the sum
    char *spare                  # the same before they are transposed
    char *sums                   # of this span,
    char *chain_sums             # of a chain that is to join them,
    char *total                  # and wide ones of all spans, if there are several
    idx held                     # which columns are packed, -1: none


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


cdef inline void end_span(const Dot *p, Thread *w, idx n, idx first, idx size) noexcept nogil:
    """Once n terms are added up: if they end a span, its sums, `size` from `first` on, join the wide ones; the last return."""
    cdef char *c = w.sums + first * p.item
    cdef double *total = <double *>(w.total + 2 * first * p.item)
    if p.n <= p.span or (n % p.span and n < p.n):
        return
    p.k.widen(total, c, size, n > p.span)
    if n == p.n:
        p.k.narrow(c, total, size, 1)


cdef void vector_task(const Dot *p, Thread *w, idx task) noexcept nogil:
    """One row of the matrix, lanes along a contiguous axis, both in place."""
    cdef const char *t
    cdef char *out
    cdef idx length = locate(p, task, &t, &out), n = 0, count
    while n < p.n:
        count = min(p.chain, p.n - n)
        p.k.axpy(w.sums, t + n * p.n_step, p.n_step // p.item, p.matrix + n * p.item, count, length, n % p.span > 0,
                 w.chain_sums)
        n += count
        end_span(p, w, n, 0, length)
        if tick(&w.worker.clock, <double>length * count):
            return
    store(p.base, w.sums, 0, 1, length, out, 0, p.out_step[p.axes - 1], p.out_kind)


cdef void lanes_task(const Dot *p, Thread *w, idx task) noexcept nogil:
    """Any number of rows of the matrix against a packed strip of the tensor."""
    cdef const char *t
    cdef char *out
    cdef idx length = locate(p, task, &t, &out), n = 0, count, r
    cdef int vectors = <int>ceil_div(length, p.base.lanes)
    cdef idx width = vectors * p.base.lanes
    while n < p.n:
        count = min(p.chain, p.n - n)
        pack_terms(p, w.packed, t, n, count, length, p.item, width)
        multiply(p.base, p.item, p.matrix + n * p.item, p.n, p.r, w.packed, count, vectors, w.sums, n % p.span > 0, count)
        n += count
        end_span(p, w, n, 0, p.r * width)
        if tick(&w.worker.clock, <double>width * count * p.r):
            return
    for r in range(p.r):
        store(p.base, offset(w.sums, r * width, p.item), 0, 1, length, out + r_offset(p, r), 0,
              p.out_step[p.axes - 1], p.out_kind)


cdef void rows_in_place(const Dot *p, Thread *w, const char *t, idx start, idx end, idx length, int vectors) noexcept nogil:
    """The terms start .. end of rows that lie in memory, tile by tile, while the rows of the next tile are prefetched."""
    cdef idx row = p.step[p.axes - 1], height = p.base.rows[vectors], width = vectors * p.base.lanes, first = 0, rows, n, count
    while first < length:
        rows = min(height, length - first)
        n = start
        while n < end:
            count = min(p.chain, end - n)
            if first + 2 * height <= length:
                p.base.prefetch(t + (first + height) * row + n * p.item, height, row, count * p.item)
            multiply(p.base, p.item, t + first * row + n * p.item, row // p.item, rows,
                     offset(w.packed, (n - start) * width, p.item), count, vectors, offset(w.sums, first * width, p.item),
                     n % p.span > 0, count)
            n += count
            end_span(p, w, n, first * width, rows * width)
        first += rows
        if tick(&w.worker.clock, <double>rows * (end - start) * width):
            return


cdef void rows_task(const Dot *p, Thread *w, idx task) noexcept nogil:
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
                if w.worker.clock.watch.stop:
                    return
                continue
            while n < end:
                count = min(p.chain, end - n)
                if p.n_inner == 1:
                    copy_matrix(p.base, p.item, w.rows, p.chain, w.spare, t + n * p.n_step, row, p.n_step, length, count,
                                p.kind)
                else:
                    wide = round_up(length, p.base.lanes)
                    pack_terms(p, w.spare, t, n, count, length, row, wide)
                    p.base.transpose(w.rows, p.chain, w.spare, wide, count, length)
                multiply(p.base, p.item, w.rows, p.chain, length, offset(w.packed, (n - part * p.part) * width, p.item), count,
                         vectors, w.sums, n % p.span > 0, count)
                n += count
                end_span(p, w, n, 0, length * width)
                if tick(&w.worker.clock, <double>length * count * width):
                    return
        if p.r_inner == 1:
            store(p.base, w.sums, width, length, columns, out + panel * p.width * p.r_step, across, p.r_step, p.out_kind)
        else:
            for r in range(columns):
                store(p.base, offset(w.sums, r, p.item), width, length, 1, out + r_offset(p, panel * p.width + r), across, 0,
                      p.out_kind)


cdef void dots_task(const Dot *p, Thread *w, idx task) noexcept nogil:
    """One row of the matrix with the tensor's last axis, lanes along both."""
    cdef const char *t
    cdef char *out
    cdef idx length = locate(p, task, &t, &out), row = p.step[p.axes - 1], n = 0, count
    while n < p.n:
        count = min(p.span if p.rows_in_place else p.piece, p.n - n)
        if p.rows_in_place:
            p.k.dot(w.sums, t + n * p.item, row // p.item, p.matrix + n * p.item, length, count, False)
        else:
            copy_matrix(p.base, p.item, w.rows, count, w.spare, t + n * p.n_step, row, p.n_step, length, count, p.kind)
            p.k.dot(w.sums, w.rows, count, p.matrix + n * p.item, length, count, n % p.span > 0)
        n += count
        end_span(p, w, n, 0, length)
        if tick(&w.worker.clock, <double>length * count):
            return
    store(p.base, w.sums, 0, 1, length, out, 0, p.out_step[p.axes - 1], p.out_kind)


cdef void integers_task(const Dot *p, Thread *w, idx task) noexcept nogil:
    """Integers of any kind, modulo 2^64."""
    cdef const char *t
    cdef char *out
    cdef idx length = locate(p, task, &t, &out), n, r, i, across = p.out_step[p.axes - 1]
    cdef const uint64_t *matrix = <const uint64_t *>p.matrix
    for r in range(p.r):
        memset(w.sums, 0, length * 8)
        for n in range(p.n):
            p.table.integer_axpy(<uint64_t *>w.sums, t + n * p.n_step, p.step[p.axes - 1], length, matrix[r * p.n + n], p.kind)
            if tick(&w.worker.clock, <double>length):
                return
        if across == 8:
            memcpy(out + r * p.r_step, w.sums, length * 8)
        else:
            for i in range(length):
                memcpy(out + r * p.r_step + i * across, w.sums + i * 8, 8)


cdef void run(const void *plan, void *worker) noexcept nogil:
    """The tasks of one thread."""
    cdef const Dot *p = <const Dot *>plan
    cdef Thread *w = <Thread *>worker
    while w.worker.first < w.worker.last and not w.worker.clock.watch.stop:
        if p.integers:
            integers_task(p, w, w.worker.first)
        elif p.dots:
            dots_task(p, w, w.worker.first)
        elif not p.lanes_along:
            rows_task(p, w, w.worker.first)
        elif p.r == 1 and p.rows_in_place:
            vector_task(p, w, w.worker.first)
        else:
            lanes_task(p, w, w.worker.first)
        w.worker.first += 1
        tick(&w.worker.clock, 16. * p.strip * p.r)   # results cost more than their products where sums are short


cdef void merge_axes(Dot *p) noexcept:
    """Makes one axis of those that can be walked as one, and none of those of one entry."""
    cdef int a = 0, b
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


cdef void plan_axes(Dot *p, bint native) noexcept:
    """Picks which axis the strips run along, and how it is read. `native`: elements are of the dtype of the sums."""
    cdef int a, main = 0
    cdef bint aligned = native and <size_t>p.t % p.item == 0
    merge_axes(p)
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


cdef void plan_sums(Dot *p, idx threads, bint alone) noexcept:
    """Cuts sums into chains and spans, strips into tasks. `alone`: the whole call has one row."""
    cdef idx each
    cdef int a
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
        each = ceil_div(p.shape[p.axes - 1] * p.tasks, p.strips * 4 * threads)
        p.strip = min(p.strip, max(round_up(each, 4 * p.base.lanes), 1))
        p.tasks //= p.strips
        p.strips = ceil_div(p.shape[p.axes - 1], p.strip)
        p.tasks *= p.strips


cdef struct Room:                # of one thread, in bytes
    idx packed, spare, sums, total


cdef Room room(const Dot *p) noexcept nogil:
    cdef idx wide = round_up(p.strip, p.base.lanes), columns = min(p.width, round_up(p.r, p.base.lanes))
    cdef Room r
    r.packed = r.spare = 0
    r.sums = wide * p.item
    if not p.integers:
        if p.dots:
            r.spare = 0 if p.rows_in_place else (wide + p.base.lanes) * (min(p.piece, p.n) + p.base.lanes) * p.item
        elif not p.lanes_along:
            r.packed = min(p.part, round_up(p.n, p.chain)) * columns * p.item
            r.sums = p.strip * columns * p.item
            r.spare = 0 if p.rows_in_place else wide * p.chain * p.item
        elif p.r > 1 or not p.rows_in_place:
            r.packed = p.chain * p.width * p.item
            r.sums = p.r * wide * p.item
    r.packed, r.spare, r.sums = round_up(r.packed), round_up(r.spare), round_up(r.sums)
    r.total = 2 * r.sums if not p.integers and p.n > p.span else 0
    return r


cdef void prepare(const void *plan, void *worker) noexcept nogil:
    cdef const Dot *p = <const Dot *>plan
    cdef Thread *w = <Thread *>worker
    cdef Room r = room(p)
    w.held = -1
    w.packed = w.worker.memory
    w.rows = w.packed + r.packed
    w.spare = w.rows + r.spare
    w.sums = w.spare + r.spare
    w.total = w.sums + r.sums
    w.chain_sums = w.total + r.total     # of one row alone


def mode_dot(cnp.ndarray t, int summed, cnp.ndarray matrix, cnp.ndarray out, int results, bint last, bint alone, workers):
    """Fills out[..., r] = sum_n matrix[r, n] t[..., n]. The last `summed` axes of t are n, the last `results` of out r.

    1 or 2 each. `last` says that n is the last axis of the user's tensor, whose sums are taken in the order of a dot
    product if there is but one row in the whole call, `alone`: these rows may be some of it. `matrix` is contiguous, of the
    dtype of the sums. contraction.py has checked everything.
    """
    cdef Dot p
    cdef int a, threads, lead = t.ndim - summed
    cdef idx memory
    cdef Room r
    cdef double work
    memset(&p, 0, sizeof(p))
    p.table = &table().contraction
    p.integers = matrix.dtype.kind in "iu"
    p.item = cnp.PyArray_ITEMSIZE(matrix)
    p.base, p.k = &table().base.real[p.item == 8], &p.table.real[p.item == 8]
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
    plan_axes(&p, p.kind == (FC_F32 if p.item == 4 else FC_F64))
    plan_sums(&p, threads, alone)
    r = room(&p)
    memory = r.packed + 2 * r.spare + (2 * r.sums if p.r == 1 else r.sums) + r.total
    run_team(&p, sizeof(Thread), memory, p.tasks, crew(threads, p.tasks), prepare, run)
