"""Driver of flood fills: threads pack bands of lines and fill them, then one goes on from the seams between the bands, then all
unpack. What is set in the end is one set whatever the order, so the result does not depend on the bands.
Next hop: kernels/neighborhood/flood.h.
"""
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memset

cimport numpy as cnp

from fastconv._drivers.base cimport FC_CONSTANT, FC_F16, FC_F32, FC_SWAPPED, FC_U8
from fastconv._drivers.common cimport ceil_div, idx, kind_of, round_up
from fastconv._drivers.neighborhood.engine cimport AXES
from fastconv._drivers.neighborhood.table cimport (
    FC_FLOOD_BITS,
    FC_LINE_SLACK,
    fc_fill,
    fc_flood,
    fc_flood_line,
    fc_flood_word,
    fc_neighborhood,
    fc_put,
)
from fastconv._drivers.runtime cimport Worker, crew, run_team, seam, table, team, tick

cnp.import_array()

cdef idx FLOOD_PIXELS = 4096     # of a line that are converted at once, whole words
cdef idx FLOOD_WORDS = 1024      # of the lines of a task
cdef idx FLOOD_TERMS = 1 << 16   # of words that are taken from the queue between two looks at the clock

seam("neighborhood.FLOOD_PIXELS", &FLOOD_PIXELS)
seam("neighborhood.FLOOD_WORDS", &FLOOD_WORDS)
seam("neighborhood.FLOOD_TERMS", &FLOOD_TERMS)

WORD_BITS = FC_FLOOD_BITS
WORD_BYTES = sizeof(fc_flood_word)

cdef struct Array:               # of the result's shape; at == NULL: there is none
    char *at
    idx step[AXES]               # in bytes
    int kind


cdef struct Plan:
    const fc_neighborhood *k
    fc_flood flood
    Array x, may, out
    int ndim
    idx size[AXES]
    idx stride[AXES]             # words between neighbours on an axis before the last
    idx low[AXES]                # pixels before `low` and from `high` on have a neighbour outside, which is set
    idx high[AXES]
    idx before                   # words in front of the first line and behind the last, closed as those between lines are
    idx lines, group             # in all, and of a task
    idx pixels, pieces           # of a piece of a line, and how many it has
    int flip, flip_may
    uint8_t *seams               # of each task, whether another thread filled the one before it


cdef int read_array(Array *to, cnp.ndarray array, int ndim) except -1:
    cdef int a
    to.at, to.kind = <char *>cnp.PyArray_DATA(array), kind_of(array)
    for a in range(ndim):
        to.step[a] = cnp.PyArray_STRIDE(array, a)
    return 0


# ---- lines ----

cdef struct Place:               # of a line
    idx x, may, out              # in bytes from the first element
    idx word
    bint edge                    # all its pixels have a neighbour outside


cdef inline Place place_of(const Plan *p, idx line) noexcept nogil:
    cdef Place place
    cdef int a
    cdef idx i
    place.x, place.may, place.out, place.word, place.edge = 0, 0, 0, p.before, False
    for a in range(p.ndim - 2, -1, -1):
        i = line % p.size[a]
        line //= p.size[a]
        place.x += i * p.x.step[a]
        place.may += i * p.may.step[a]
        place.out += i * p.out.step[a]
        place.word += i * p.stride[a]
        place.edge = place.edge or i < p.low[a] or i >= p.high[a]
    return place


cdef inline idx raw_bytes(const Plan *p) noexcept nogil:
    return round_up(p.pixels * 8) + FC_LINE_SLACK


cdef const uint8_t *read_piece(const Plan *p, const Array *array, idx at, idx start, idx n, char *raw,
                               uint8_t *bytes_) noexcept nogil:
    """Pixels of a line as bytes that are not 0 where elements are not: where they stand, or else in bytes_; NULL for no array."""
    cdef int native = array.kind & ~FC_SWAPPED
    cdef idx step = array.step[p.ndim - 1]
    cdef uint64_t zero = 0
    cdef fc_fill q
    if array.at == NULL:
        return NULL
    if native <= FC_U8 + 1 and native >= FC_U8 and step == 1:
        return <const uint8_t *>array.at + at + start
    memset(&q, 0, sizeof(q))
    q.dst, q.src, q.step, q.start, q.length, q.n = raw, array.at + at, step, start, n, p.size[p.ndim - 1]
    q.kind, q.mode, q.cval = array.kind, FC_CONSTANT, &zero
    p.k.fill_line(&q)
    native = FC_F32 if native == FC_F16 else native
    p.k.elements[7 + native if native < FC_U8 else native - FC_U8].nonzero(bytes_, raw, n)
    return bytes_


cdef void load_lines(const Plan *p, fc_flood *q, Worker *worker, idx first, idx end) noexcept nogil:
    cdef char *raw = worker.memory
    cdef uint8_t *bytes_ = <uint8_t *>raw + raw_bytes(p)
    cdef int last = p.ndim - 1
    cdef idx i, j, start, n
    cdef Place place
    cdef fc_flood_line piece
    piece.flip_set, piece.flip_may = p.flip, p.flip_may
    for i in range(first, end):
        place = place_of(p, i)
        for j in range(p.pieces):
            start = j * p.pixels
            n = min(p.pixels, p.size[last] - start)
            piece.at, piece.n = place.word + start // FC_FLOOD_BITS, n
            piece.head, piece.tail = n if place.edge else p.low[last] - start, p.high[last] - start
            piece.set = read_piece(p, &p.x, place.x, start, n, raw, bytes_)
            piece.may = read_piece(p, &p.may, place.may, start, n, raw, bytes_ + round_up(p.pixels))
            p.k.flood_begin(q, &piece)
            if tick(&worker.clock, n):
                return


cdef void spread(const Plan *p, fc_flood *q, Worker *worker) noexcept nogil:
    """Empties the queue, or stops."""
    cdef idx terms = q.end[q.targets - 1] if q.targets else 0
    while q.first >= 0:
        p.k.flood_some(q, max(FLOOD_TERMS // (terms + 8), 1))
        if tick(&worker.clock, FLOOD_TERMS):
            return


# ---- what threads do ----

cdef void prepare(const void *plan, void *worker) noexcept nogil:
    pass


cdef void fill_band(const void *plan, void *thread) noexcept nogil:
    """Packs the lines of one thread, and fills them as if there were no others."""
    cdef const Plan *p = <const Plan *>plan
    cdef Worker *worker = <Worker *>thread
    cdef fc_flood q = p.flood
    cdef idx first = worker.first * p.group, end = min(worker.last * p.group, p.lines)
    if first >= end:
        return
    p.seams[worker.first] = first > 0
    if first:
        q.low = place_of(p, first).word
    if end < p.lines:
        q.high = place_of(p, end).word
    memset(q.words + q.low, 0, (q.high - q.low) * sizeof(fc_flood_word))
    load_lines(p, &q, worker, first, end)
    spread(p, &q, worker)


cdef void cross_seams(const void *plan, void *thread) noexcept nogil:
    cdef const Plan *p = <const Plan *>plan
    cdef fc_flood q = p.flood
    cdef idx task, at
    for task in range(ceil_div(p.lines, p.group)):
        if p.seams[task]:
            at = place_of(p, task * p.group).word
            p.k.flood_again(&q, max(at - p.before, q.low), min(at + p.before, q.high))
    spread(p, &q, <Worker *>thread)


cdef void store_lines(const void *plan, void *thread) noexcept nogil:
    cdef const Plan *p = <const Plan *>plan
    cdef Worker *worker = <Worker *>thread
    cdef int last = p.ndim - 1
    cdef bint direct = p.out.step[last] == 1
    cdef idx i, j, start, n
    cdef Place place
    cdef fc_put q
    q.dst_step, q.src, q.src_step, q.kind, q.source = p.out.step[last], worker.memory, 1, FC_U8, FC_U8
    for i in range(worker.first * p.group, min(worker.last * p.group, p.lines)):
        place = place_of(p, i)
        for j in range(p.pieces):
            start = j * p.pixels
            n = min(p.pixels, p.size[last] - start)
            q.dst, q.n = p.out.at + place.out + start * q.dst_step, n
            p.k.flood_end(p.flood.words + place.word + start // FC_FLOOD_BITS, <uint8_t *>(q.dst if direct else q.src), n, p.flip)
            if not direct:
                p.k.put_line(&q)
            if tick(&worker.clock, n):
                return


def fill(x, may, cnp.ndarray out, frame, steps, bint flip, bint flip_may, workers):
    """Sets in `out`, booleans, what is set in x and what it leads to.

    Parameters
    ----------
    x, may, out : arrays of one shape, not empty, with an axis at least, of elements that kind_of() knows
        x: None if nothing is set, with a flip, too; `may`: None if all pixels may be.
    frame : _face.flood.Frame
    steps : _face.flood.Steps
    flip : set is what is 0, in x and in `out`.
    flip_may : the same for `may`.
    """
    cdef Plan p
    cdef idx words = frame.words, tasks
    cdef int a, threads
    cdef cnp.ndarray target = steps.target, end = steps.end, turn = steps.turn, kept = steps.kept
    memset(&p, 0, sizeof(p))
    p.k, p.ndim, p.lines, p.flip, p.flip_may = &table().neighborhood, out.ndim, 1, flip, flip_may
    if x is not None:
        read_array(&p.x, x, p.ndim)
    read_array(&p.out, out, p.ndim)
    if may is not None:
        read_array(&p.may, may, p.ndim)
    for a in range(p.ndim):
        p.size[a], p.low[a], p.high[a] = out.shape[a], frame.low[a], frame.high[a]
        if a < p.ndim - 1:
            p.stride[a] = frame.stride[a]
            p.lines *= p.size[a]
    p.before, p.pixels = frame.before, round_up(FLOOD_PIXELS, FC_FLOOD_BITS)
    p.pieces = ceil_div(p.size[p.ndim - 1], p.pixels)
    p.group = max(FLOOD_WORDS * FC_FLOOD_BITS // p.size[p.ndim - 1], 1)
    tasks = ceil_div(p.lines, p.group)
    p.flood.low, p.flood.high, p.flood.first = p.before, words - p.before, -1
    p.flood.target, p.flood.end = <const idx *>cnp.PyArray_DATA(target), <const idx *>cnp.PyArray_DATA(end)
    p.flood.turn, p.flood.kept = <const int64_t *>cnp.PyArray_DATA(turn), <const uint64_t *>cnp.PyArray_DATA(kept)
    p.flood.targets, p.flood.up, p.flood.down = target.shape[0], steps.up, steps.down
    threads = crew(team(workers, <double>out.size), tasks)
    p.flood.words = <fc_flood_word *>PyMem_RawMalloc(words * sizeof(fc_flood_word) + tasks)
    if p.flood.words == NULL:
        raise MemoryError(f"fastconv could not allocate {words * sizeof(fc_flood_word) + tasks} bytes for a flood fill")
    p.seams = <uint8_t *>(p.flood.words + words)
    memset(p.seams, 0, tasks)
    try:
        run_team(&p, sizeof(Worker), raw_bytes(&p) + 2 * round_up(p.pixels), tasks, threads, prepare, fill_band)
        if threads > 1:
            run_team(&p, sizeof(Worker), 0, 1, 1, prepare, cross_seams)
        run_team(&p, sizeof(Worker), p.pixels, tasks, threads, prepare, store_lines)
    finally:
        PyMem_RawFree(p.flood.words)
