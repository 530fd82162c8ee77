"""Driver of triple_product: packs blocks, runs the tile on a team, and adds up the spans. The face is contraction.py, the
kernels are in kernels/contraction/khatri_rao.h, few_rows.h, vectors.h and kernels/base/tile.h.

Lanes run along pairs (x, y), whose products are formed block by block in the first-level cache, rows along z. A sum over
m runs in chains of CHAIN samples in registers, which are added up over a few blocks of `depth` samples, and these over the
blocks of a span, in the dtype: no sum has many terms. Spans are added up in twice the precision. Threads share the panels of
pairs or, where outputs are few, the spans. Operands of few rows are read where they are, a block of samples after the other, with
lanes along the samples: reading them is all the time. The order of every sum follows from the shapes alone: the bits do not
depend on threads, strides or kinds.
"""
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree
from libc.string cimport memset

cimport numpy as cnp

from fastconv._drivers.base cimport FC_F32, FC_F64, FC_MAX_LANES, fc_base_kernels
from fastconv._drivers.common cimport ceil_div, idx, kind_of, round_up
from fastconv._drivers.contraction.blocks cimport MAX_AXES, allocate, copy_matrix, copy_rows, magnitude, multiply, offset, store
from fastconv._drivers.contraction.table cimport (
    FC_FEW_ROWS,
    FC_MAX_RUNS,
    fc_contraction_kernels,
    fc_few_rows,
    fc_khatri_rao,
    fc_pair_run,
)
from fastconv._drivers.runtime cimport Worker, crew, run_team, seam, table, team, tick

cnp.import_array()

cdef idx PANEL_BYTES = 24 << 10  # one panel of products, which stays in the first-level cache
cdef idx SPAN_BYTES = 3 << 20    # packed operands of a span,
cdef idx SPAN_BLOCKS = 32        # which has so many blocks at most
cdef idx SPARE_BYTES = 1 << 20   # rows of one operand before they are transposed, and sums of a panel that is turned
cdef idx GROUP_BYTES = 384 << 10  # sums that stay in the second-level cache while a span is read
cdef idx TOTAL_BYTES = 10 << 20  # wide sums of all spans so far
cdef idx PASS_BYTES = 512 << 10  # the same for each thread where there is only one span
cdef idx SETS_BYTES = 256 << 10  # sums of the spans that one thread computes in a round,
cdef idx SETS = 64               # and how many spans those are at most,
cdef idx SETS_THREAD = 4 << 20   # of memory for a thread
cdef idx MAX_DEPTH = 256
cdef idx LEAST_DEPTH = 16        # where operands have many rows
cdef idx CHAIN = 32              # terms of a chain in registers
cdef idx CHAIN_TERMS = 768       # and of the sums of chains, before they join those of the span
cdef idx FEW_OUTPUTS = 1024     # sums of operands of few rows, at most,
cdef idx FEW_DEPTH = 256        # and how many samples those take from each row in turn,
cdef idx FEW_CHAIN = 16         # whose sums are added up so often before they join those of the span,
cdef idx FEW_BLOCKS = 64        # which has so many blocks

seam("contraction.PANEL_BYTES", &PANEL_BYTES)
seam("contraction.SPAN_BYTES", &SPAN_BYTES)
seam("contraction.SPAN_BLOCKS", &SPAN_BLOCKS)
seam("contraction.SPARE_BYTES", &SPARE_BYTES)
seam("contraction.GROUP_BYTES", &GROUP_BYTES)
seam("contraction.TOTAL_BYTES", &TOTAL_BYTES)
seam("contraction.PASS_BYTES", &PASS_BYTES)
seam("contraction.SETS_BYTES", &SETS_BYTES)
seam("contraction.SETS", &SETS)
seam("contraction.SETS_THREAD", &SETS_THREAD)
seam("contraction.MAX_DEPTH", &MAX_DEPTH)
seam("contraction.LEAST_DEPTH", &LEAST_DEPTH)
seam("contraction.CHAIN", &CHAIN)
seam("contraction.CHAIN_TERMS", &CHAIN_TERMS)
seam("contraction.FEW_OUTPUTS", &FEW_OUTPUTS)
seam("contraction.FEW_DEPTH", &FEW_DEPTH)
seam("contraction.FEW_CHAIN", &FEW_CHAIN)
seam("contraction.FEW_BLOCKS", &FEW_BLOCKS)


cdef struct Operand:             # a matrix whose columns run over one or several axes
    const char *data
    idx rows, row
    int kind, axes
    bint in_place                # kernels can read the rows where they are
    idx shape[MAX_AXES]
    idx step[MAX_AXES]


# ---- triple product ----

cdef struct Triple:
    const fc_base_kernels *base
    const fc_contraction_kernels *k
    idx item, wide               # bytes of an element and of a wide sum
    Operand x, y, z, weights
    int same                     # 2: x, y and z are the same; 1: y and z are
    bint weighted, few_rows      # few_rows: with lanes along the samples
    const double *mean           # of each row, to be subtracted (only where all are the same)
    idx m, depth, blocks, spans
    idx x_row, y_row, y_at, z_at, block_size, spare_size
    idx pairs, width, panels
    idx *run_start               # pairs before each run; run t holds the pairs with y = rows - 1 - t
    idx *panel_at                # sums before each panel
    char *out
    idx out_x, out_y, out_z
    bint packed, triples         # triples: the packed entries are those of all three axes, else of y and z alone
    int out_kind
    double scale
    # One team after another: which span is packed or summed, of which panels, or from which span on.
    bint by_spans                # threads share the spans, not the panels
    int threads
    idx span, first_panel, last_panel, first_span
    idx span_bytes, spare_bytes, products_bytes, sums_bytes
    char *shared_span            # packed operands, where threads share the panels
    char *span_sums              # by_spans: those of each span of a round
    char *total                  # wide sums of all spans so far


cdef struct Thread:
    Worker worker                # tasks: panels of this pass, or spans of this round
    char *span                   # packed operands
    char *spare                  # rows before they are transposed; tiles likewise
    char *products
    char *sums


cdef void pack(const Triple *p, const Operand *o, idx start, idx count, void *dst, void *spare) noexcept nogil:
    """Columns start .. start + count of an operand as rows of `depth` elements."""
    cdef idx run, rest, index, r, done = 0
    cdef const char *at
    cdef int a
    if o.axes == 1:
        copy_matrix(p.base, p.item, dst, p.depth, spare, o.data + start * o.step[0], o.row, o.step[0], o.rows, count, o.kind)
        return
    while done < count:
        rest, at = start + done, o.data
        run = min(count - done, o.shape[o.axes - 1] - rest % o.shape[o.axes - 1])
        for a in range(o.axes - 1, -1, -1):
            index = rest % o.shape[a]
            rest //= o.shape[a]
            at += index * o.step[a]
        for r in range(o.rows):
            copy_rows(p.base, offset(dst, r * p.depth + done, p.item), run, at + r * o.row, 0, o.step[o.axes - 1], 1, run,
                      o.kind)
        done += run


cdef void pack_block(const Triple *p, idx span, idx block, char *into, char *spare) noexcept nogil:
    """The samples of one block: x and y with a row for each sample, z with a row for each of its own."""
    cdef idx start = (span * p.blocks + block) * p.depth
    cdef idx count = min(p.depth, p.m - start)
    cdef char *at = into + block * p.block_size * p.item
    cdef char *z = at + p.z_at * p.item
    cdef char *source
    cdef char *other = spare + p.spare_size * p.item
    if count <= 0:
        return
    pack(p, &p.z, start, count, z, other)
    if p.mean != NULL:
        p.k.center(z, p.z.rows, count, p.depth, p.mean)
    source = z
    if p.same < 2:
        source = spare
        pack(p, &p.x, start, count, source, other)
    p.base.transpose(at, p.x_row, source, p.depth, p.x.rows, count)
    if p.y_at == 0:
        return
    source = z
    if not p.same:
        source = spare
        pack(p, &p.y, start, count, source, other)
    if p.weighted:
        pack(p, &p.weights, start, count, other, other)
        p.k.weigh(spare, source, p.y.rows, count, p.depth, other)
        source = spare
    p.base.transpose(at + p.y_at * p.item, p.y_row, source, p.depth, p.y.rows, count)


cdef idx find_runs(const Triple *p, idx panel, fc_pair_run *runs) noexcept nogil:
    """The runs of pairs that make a panel; returns how many."""
    cdef idx pair = panel * p.width, end = min(pair + p.width, p.pairs), count = 0
    cdef idx low = 0, high = p.y.rows, middle
    while high - low > 1:
        middle = (low + high) // 2
        if p.run_start[middle] <= pair:
            low = middle
        else:
            high = middle
    while pair < end:
        runs[count].y = p.y.rows - 1 - low
        runs[count].x = pair - p.run_start[low] + (runs[count].y if p.same == 2 else 0)
        runs[count].length = min(p.run_start[low + 1], end) - pair
        pair += runs[count].length
        low += 1
        count += 1
    return count


cdef inline int panel_vectors(const Triple *p, idx panel) noexcept nogil:
    return <int>ceil_div(min(p.width, p.pairs - panel * p.width), p.base.lanes)


cdef void sum_panels(const Triple *p, Thread *t, idx span, idx first, idx last, void *sums) noexcept nogil:
    """sums = the sums of one span for a group of panels."""
    cdef fc_khatri_rao q
    cdef fc_pair_run runs[FC_MAX_RUNS]
    cdef idx blocks = min(p.blocks, ceil_div(p.m, p.depth) - span * p.blocks), together = max(CHAIN_TERMS // p.depth, 1)
    cdef idx start = 0, block, panel, vectors, size
    cdef char *at
    cdef void *total
    cdef void *c
    q.dst, q.x_step, q.y_step, q.runs = t.products, p.x_row, p.y_row, runs
    while start < blocks:
        for panel in range(first, last):
            vectors = panel_vectors(p, panel)
            size = p.panel_at[panel + 1] - p.panel_at[panel]
            q.width = vectors * p.base.lanes
            q.count = find_runs(p, panel, runs)
            total = offset(sums, p.panel_at[panel] - p.panel_at[first], p.item)
            c = total if start == 0 else t.spare
            for block in range(start, min(start + together, blocks)):
                if tick(&t.worker.clock, <double>p.depth * size):
                    return
                at = t.span + block * p.block_size * p.item
                q.x, q.y = at, at + p.y_at * p.item
                q.m = min(p.depth, p.m - (span * p.blocks + block) * p.depth)
                p.k.khatri_rao(&q)
                multiply(p.base, p.item, at + p.z_at * p.item, p.depth, size // q.width, t.products, q.m, <int>vectors, c,
                         block > start, CHAIN)
            if start > 0:
                p.base.add(total, c, size)
        start += together


cdef void place_few_rows(const Triple *p, const Operand *o, int which, idx start, idx count, void *into, void *spare,
                     fc_few_rows *q) noexcept nogil:
    """`count` samples of an operand for `few_rows`: where they are, or copied."""
    q.rows[which] = o.rows
    if o.in_place and p.mean == NULL and not (which == 1 and p.weighted):
        q.at[which], q.row[which] = o.data + start * p.item, o.row // p.item
        q.ahead[which] = p.depth if start + 2 * p.depth <= p.m else 0
        return
    pack(p, o, start, count, into, spare)
    if p.mean != NULL:
        p.k.center(into, o.rows, count, p.depth, p.mean)
    if which == 1 and p.weighted:
        pack(p, &p.weights, start, count, spare, offset(spare, p.depth, p.item))
        p.k.weigh(into, into, o.rows, count, p.depth, spare)
    q.at[which], q.row[which], q.ahead[which] = into, p.depth, 0


cdef void sum_few_rows(const Triple *p, Thread *t, idx span, void *sums) noexcept nogil:
    """sums = the sums of one span for all panels."""
    cdef fc_few_rows q
    cdef fc_pair_run runs[FC_MAX_RUNS]
    cdef idx first = span * p.blocks * p.depth, end = min(first + p.blocks * p.depth, p.m), lanes = p.base.lanes
    cdef idx count, panel, width, lane, r, i, z, at, l, block = 0, size = p.x.rows * p.y.rows * p.z.rows * lanes
    cdef idx each = p.wide // 8
    cdef char *total = t.products + size * p.item
    cdef double part[2 * FC_MAX_LANES]
    cdef char *spare = t.spare + 3 * p.spare_size * p.item
    memset(t.products, 0, 2 * size * p.item)
    q.sums = t.products
    while first < end:
        q.n = min(p.depth, end - first)
        place_few_rows(p, &p.x, 0, first, q.n, t.spare, spare, &q)
        place_few_rows(p, &p.y, 1, first, q.n, t.spare + p.spare_size * p.item, spare, &q)
        place_few_rows(p, &p.z, 2, first, q.n, t.spare + 2 * p.spare_size * p.item, spare, &q)
        p.k.few_rows(&q)
        if tick(&t.worker.clock, <double>q.n * (size // lanes + p.x.rows + p.y.rows + p.z.rows)):
            return
        first += q.n
        block += 1
        if block % FEW_CHAIN == 0 or first == end:
            p.base.add(total, t.products, size)
            memset(t.products, 0, size * p.item)
    for panel in range(p.panels):
        count, width, lane = find_runs(p, panel, runs), panel_vectors(p, panel) * lanes, 0
        for r in range(count):
            for i in range(runs[r].length):
                for z in range(runs[r].y + 1 if p.same else p.z.rows):
                    at = ((runs[r].x + i) * p.y.rows + runs[r].y) * p.z.rows + z
                    p.k.widen(part, offset(total, at * lanes, p.item), lanes, False)
                    for l in range(1, lanes):
                        part[0] += part[l * each]
                    p.k.narrow(offset(sums, p.panel_at[panel] + z * width + lane, p.item), part, 1, 1)
                lane += 1


cdef void write_run(const Triple *p, const void *c, idx width, const void *turned, idx z_rows, const fc_pair_run *run, idx sx,
                    idx sy, idx sz) noexcept nogil:
    """out[x * sx + y * sy + z * sz], read along whichever of x and z lies closer in `out`."""
    cdef char *at = p.out + run.x * sx + run.y * sy
    if magnitude(sx) < magnitude(sz):
        store(p.base, c, width, z_rows, run.length, at, sz, sx, p.out_kind)
    else:
        store(p.base, turned, z_rows, run.length, z_rows, at, sx, sz, p.out_kind)


cdef void write_packed(const Triple *p, const void *row, idx x, idx y, idx rows) noexcept nogil:
    """The entries (x, y, z) for z < rows, x the greatest index if all three are the same, where nothing is mirrored."""
    cdef idx sx = p.out_x, sz = p.out_z, of_x = x * (x + 1) // 2, of_y = y * (y + 1) // 2
    if p.triples:
        store(p.base, row, rows, 1, rows, p.out + (of_x * (x + 2) // 3 + of_y) * sz, 0, sz, p.out_kind)
        return
    store(p.base, row, rows, 1, rows, p.out + x * sx + of_y * sz, 0, sz, p.out_kind)
    if p.same == 2:
        store(p.base, row, rows, 1, rows, p.out + y * sx + of_x * sz, 0, sz, p.out_kind)
        store(p.base, row, rows, 1, rows, p.out + (of_x + y) * sz, 0, sx, p.out_kind)


cdef void write_panel(const Triple *p, Thread *t, idx panel, void *c, const char *total) noexcept nogil:
    """The sums of one panel, with their mirror images, to `out`."""
    cdef fc_pair_run runs[FC_MAX_RUNS]
    cdef idx count = find_runs(p, panel, runs), size = p.panel_at[panel + 1] - p.panel_at[panel]
    cdef idx width = panel_vectors(p, panel) * p.base.lanes, r, i, y, rows, lane = 0
    cdef idx sx = p.out_x, sy = p.out_y, sz = p.out_z
    cdef char *turned
    cdef void *from_
    if tick(&t.worker.clock, 8. * size):
        return
    p.k.narrow(c, <const double *>total, size, p.scale)
    for r in range(count):
        y = runs[r].y
        rows = y + 1 if p.same else p.z.rows
        from_ = offset(c, lane, p.item)
        turned = t.spare
        p.base.transpose(turned, rows, from_, width, rows, runs[r].length)
        if p.packed:
            for i in range(runs[r].length):
                write_packed(p, turned + i * rows * p.item, runs[r].x + i, y, rows)
        else:
            write_run(p, from_, width, turned, rows, &runs[r], sx, sy, sz)
            if p.same:
                write_run(p, from_, width, turned, rows, &runs[r], sx, sz, sy)
            if p.same == 2:
                write_run(p, from_, width, turned, rows, &runs[r], sy, sx, sz)
                write_run(p, from_, width, turned, rows, &runs[r], sy, sz, sx)
                write_run(p, from_, width, turned, rows, &runs[r], sz, sx, sy)
                write_run(p, from_, width, turned, rows, &runs[r], sz, sy, sx)
        lane += runs[r].length


cdef idx first_panel(const Triple *p, idx thread) noexcept nogil:
    """Where the panels of a thread begin: all have about as many sums of this pass."""
    cdef idx begin = p.panel_at[p.first_panel], low = p.first_panel, high = p.last_panel, middle
    cdef idx before = begin + (p.panel_at[high] - begin) * thread // p.threads
    while low < high:
        middle = (low + high) // 2
        if (p.panel_at[middle + 1] + p.panel_at[middle]) // 2 <= before:
            low = middle + 1
        else:
            high = middle
    return low


cdef void prepare(const void *plan, void *worker) noexcept nogil:
    cdef const Triple *p = <const Triple *>plan
    cdef Thread *t = <Thread *>worker
    t.spare = t.worker.memory
    t.products = t.spare + p.spare_bytes
    t.sums = t.products + p.products_bytes
    t.span = t.sums + p.sums_bytes if p.by_spans else p.shared_span


cdef void prepare_panels(const void *plan, void *worker) noexcept nogil:
    """Its task is its own number."""
    cdef const Triple *p = <const Triple *>plan
    cdef Thread *t = <Thread *>worker
    cdef idx thread = t.worker.first
    prepare(plan, worker)
    t.worker.first, t.worker.last = first_panel(p, thread), first_panel(p, thread + 1)


cdef void pack_blocks(const Triple *p, Thread *t, idx span, idx first, idx last) noexcept nogil:
    cdef idx block
    for block in range(first, last):
        if tick(&t.worker.clock, 8. * p.block_size):
            return
        pack_block(p, span, block, t.span, t.spare)


cdef void pack_shared(const void *plan, void *worker) noexcept nogil:
    """A thread's blocks of the span that all share."""
    cdef const Triple *p = <const Triple *>plan
    cdef Thread *t = <Thread *>worker
    pack_blocks(p, t, p.span, t.worker.first, t.worker.last)


cdef void sum_shared(const void *plan, void *worker) noexcept nogil:
    """The span that all share for one thread's panels; the last one writes the result."""
    cdef const Triple *p = <const Triple *>plan
    cdef Thread *t = <Thread *>worker
    cdef idx first = t.worker.first, last, panel, begin = p.panel_at[p.first_panel]
    while first < t.worker.last:
        last = first + 1
        while last < t.worker.last and (p.panel_at[last + 1] - p.panel_at[first]) * p.item <= GROUP_BYTES:
            last += 1
        sum_panels(p, t, p.span, first, last, t.sums)
        if t.worker.clock.watch.stop:
            return
        p.k.widen(<double *>(p.total + (p.panel_at[first] - begin) * p.wide), t.sums, p.panel_at[last] - p.panel_at[first],
                  p.span > 0)
        if p.span == p.spans - 1:
            for panel in range(first, last):
                write_panel(p, t, panel, t.sums, p.total + (p.panel_at[panel] - begin) * p.wide)
        first = last


cdef void sum_spans(const void *plan, void *worker) noexcept nogil:
    """A thread's spans of this round, each with sums of its own."""
    cdef const Triple *p = <const Triple *>plan
    cdef Thread *t = <Thread *>worker
    cdef idx task
    cdef char *sums
    for task in range(t.worker.first, t.worker.last):
        if t.worker.clock.watch.stop:
            return
        sums = p.span_sums + task * p.panel_at[p.panels] * p.item
        if p.few_rows:
            sum_few_rows(p, t, p.first_span + task, sums)
        else:
            pack_blocks(p, t, p.first_span + task, 0, p.blocks)
            sum_panels(p, t, p.first_span + task, 0, p.panels, sums)


cdef void write_all(const void *plan, void *worker) noexcept nogil:
    """A thread's panels of a result whose spans are added up."""
    cdef const Triple *p = <const Triple *>plan
    cdef Thread *t = <Thread *>worker
    cdef idx panel
    for panel in range(t.worker.first, t.worker.last):
        write_panel(p, t, panel, t.sums, p.total + p.panel_at[panel] * p.wide)


cdef int share_panels(Triple *p, idx memory) except -1:
    """Threads share the panels; the operands are packed together, span by span."""
    cdef idx packed = -1, limit = (TOTAL_BYTES if p.spans > 1 else PASS_BYTES * p.threads) // p.wide
    p.first_panel = 0
    while p.first_panel < p.panels:
        p.last_panel = p.first_panel + 1
        while p.last_panel < p.panels and p.panel_at[p.last_panel + 1] - p.panel_at[p.first_panel] <= limit:
            p.last_panel += 1
        for p.span in range(p.spans):
            if p.span != packed:
                run_team(p, sizeof(Thread), memory, p.blocks, p.threads, prepare, pack_shared)
            packed = p.span
            run_team(p, sizeof(Thread), memory, p.threads, p.threads, prepare_panels, sum_shared)
            PyErr_CheckSignals()   # a team looks for signals only where it works for long
        p.first_panel = p.last_panel
    return 0


cdef int share_spans(Triple *p, idx memory, idx sets) except -1:
    """Few outputs: threads share the spans, whose sums are then added in the order of the spans."""
    cdef idx size = p.panel_at[p.panels], task, count
    p.first_span = 0
    while p.first_span < p.spans:
        count = min(p.threads * sets, p.spans - p.first_span)
        run_team(p, sizeof(Thread), memory, count, p.threads, prepare, sum_spans)
        for task in range(count):
            p.k.widen(<double *>p.total, p.span_sums + task * size * p.item, size, p.first_span + task > 0)
        p.first_span += count
        PyErr_CheckSignals()
    run_team(p, sizeof(Thread), memory, p.panels, 1, prepare, write_all)
    return 0


cdef int plan_triple(Triple *p) except -1:
    cdef idx run, panel, tallest, lanes = p.base.lanes, vectors = min(p.base.vectors, SPARE_BYTES // (p.z.rows * lanes * p.item))
    cdef fc_pair_run runs[FC_MAX_RUNS]
    p.width = max(vectors, 1) * lanes
    p.depth = max(min(MAX_DEPTH, PANEL_BYTES // (p.width * p.item)), 1)
    if p.few_rows:
        p.depth = min(FEW_DEPTH, CHAIN * lanes)
    while not p.few_rows:
        p.x_row = round_up(p.x.rows, lanes)
        p.y_row, p.y_at = p.x_row, 0
        p.z_at = p.depth * p.x_row
        if p.same < 2 or p.weighted:
            p.y_row, p.y_at = p.y.rows, p.z_at
            p.z_at += round_up(p.depth * p.y_row, lanes)
        p.block_size = p.z_at + p.z.rows * p.depth
        tallest = max(max(p.x.rows, p.y.rows), p.z.rows)
        if p.depth <= LEAST_DEPTH or (p.block_size * p.item <= SPAN_BYTES and tallest * p.depth * p.item <= SPARE_BYTES):
            break
        p.depth //= 2
    p.blocks = FEW_BLOCKS if p.few_rows else max(min(SPAN_BYTES // (p.block_size * p.item), SPAN_BLOCKS), 1)
    p.blocks = max(min(p.blocks, ceil_div(p.m, p.depth)), 1)
    p.spans = max(ceil_div(p.m, p.depth * p.blocks), 1)
    p.run_start = <idx *>PyMem_RawCalloc(p.y.rows + 1, sizeof(idx))
    if p.run_start == NULL:
        raise MemoryError()
    for run in range(p.y.rows):
        p.run_start[run + 1] = p.run_start[run] + (run + 1 if p.same == 2 else p.x.rows)
    p.pairs = p.run_start[p.y.rows]
    p.panels = ceil_div(p.pairs, p.width)
    p.panel_at = <idx *>PyMem_RawCalloc(p.panels + 1, sizeof(idx))
    if p.panel_at == NULL:
        raise MemoryError()
    for panel in range(p.panels):
        find_runs(p, panel, runs)
        p.panel_at[panel + 1] = p.panel_at[panel] + (runs[0].y + 1 if p.same else p.z.rows) * panel_vectors(p, panel) * lanes
    return 0


cdef int execute(Triple *p, int threads) except -1:
    cdef idx all_ = p.panel_at[p.panels], tallest = max(max(p.x.rows, p.y.rows), p.z.rows), sets = 1, total, shared, each
    cdef idx products = 2 * p.x.rows * p.y.rows * p.z.rows * p.base.lanes if p.few_rows else (p.depth + 1) * p.width
    cdef char *raw = NULL
    p.spare_size = max(round_up(tallest, p.base.lanes) * p.depth, round_up(p.z.rows, p.base.lanes) * p.width)
    p.span_bytes = round_up((p.blocks * p.block_size + 64) * p.item)
    p.products_bytes = round_up(products * p.item)
    p.spare_bytes = round_up((4 if p.few_rows else 2) * p.spare_size * p.item)
    p.by_spans = p.few_rows or (threads > 1 and p.panels < 4 * threads and p.spans >= 2 * threads
                                and all_ * p.item <= SETS_BYTES
                                and p.spare_bytes + p.products_bytes + p.span_bytes + SETS_BYTES <= SETS_THREAD)
    p.threads = crew(threads, p.spans if p.by_spans else max(p.panels, p.blocks))
    if p.by_spans:
        sets = min(max(SETS_BYTES // (all_ * p.item), 1), SETS)
        sets = min(sets, ceil_div(p.spans, p.threads))
        # Of one span, a panel of the result is written from there.
        p.sums_bytes, total, shared = round_up(all_ * p.item), all_, round_up(p.threads * sets * all_ * p.item)
    else:
        p.sums_bytes = round_up(max(GROUP_BYTES, p.z.rows * p.width * p.item))
        total = min(all_, max((TOTAL_BYTES if p.spans > 1 else PASS_BYTES * p.threads) // p.wide, p.z.rows * p.width))
        shared = p.span_bytes
    each = p.spare_bytes + p.products_bytes + p.sums_bytes + (p.span_bytes if p.by_spans else 0)
    p.shared_span = p.span_sums = allocate(shared + total * p.wide, &raw)
    p.total = p.span_sums + shared
    try:
        if p.by_spans:
            share_spans(p, each, sets)
        else:
            share_panels(p, each)
    finally:
        PyMem_RawFree(raw)
    return 0


cdef int set_operand(Operand *o, cnp.ndarray a, idx item) except -1:
    """Axis 0 is the rows; the others are the samples. `item`: bytes of an element of the sums."""
    cdef int i
    o.data, o.kind = <const char *>cnp.PyArray_DATA(a), kind_of(a)
    o.rows, o.row, o.axes = cnp.PyArray_DIM(a, 0), cnp.PyArray_STRIDE(a, 0), 0
    for i in range(1, a.ndim):
        if o.axes and o.step[o.axes - 1] == cnp.PyArray_DIM(a, i) * cnp.PyArray_STRIDE(a, i):
            o.shape[o.axes - 1] *= cnp.PyArray_DIM(a, i)
            o.step[o.axes - 1] = cnp.PyArray_STRIDE(a, i)
        else:
            o.shape[o.axes] = cnp.PyArray_DIM(a, i)
            o.step[o.axes] = cnp.PyArray_STRIDE(a, i)
            o.axes += 1
    if o.axes == 0:              # rows of one sample each, which lie along no axis
        o.axes, o.shape[0], o.step[0] = 1, 1, item
    o.in_place = (o.axes == 1 and o.kind == (FC_F64 if item == 8 else FC_F32) and <size_t>o.data % item == 0
                  and o.row % item == 0 and o.step[0] == item)
    return 0


def triple_product(cnp.ndarray x, cnp.ndarray y, cnp.ndarray z, int same, cnp.ndarray out, bint packed, weights, mean,
                   double scale, workers):
    """Fills out[x, y, z] = scale * sum_m w_m x_xm y_ym z_zm. `same` says how many of (y = z, x = y) hold.

    The operands are (rows, samples...). Packed, out is (unique,) or (x, unique), whatever `same` says. contraction.py has
    checked everything.
    """
    cdef Triple p
    cdef cnp.ndarray centre
    cdef int i, threads
    cdef double work
    memset(&p, 0, sizeof(p))
    p.out_kind = kind_of(out)
    p.item = 8 if p.out_kind == FC_F64 else 4
    p.wide = 2 * p.item
    p.base, p.k = &table().base.real[p.item == 8], &table().contraction.real[p.item == 8]
    set_operand(&p.x, x, p.item)
    set_operand(&p.y, y, p.item)
    set_operand(&p.z, z, p.item)
    p.same, p.packed, p.triples, p.scale = same, packed, packed and out.ndim == 1, scale
    if weights is not None:
        set_operand(&p.weights, weights, p.item)
        p.weighted = True
    if mean is not None:
        centre = mean
        p.mean = <const double *>cnp.PyArray_DATA(centre)
    p.m = 1
    for i in range(1, x.ndim):
        p.m *= cnp.PyArray_DIM(x, i)
    p.out = <char *>cnp.PyArray_DATA(out)
    if packed:
        p.out_x, p.out_z = cnp.PyArray_STRIDE(out, 0), cnp.PyArray_STRIDE(out, out.ndim - 1)
    else:
        p.out_x, p.out_y, p.out_z = cnp.PyArray_STRIDE(out, 0), cnp.PyArray_STRIDE(out, 1), cnp.PyArray_STRIDE(out, 2)
    work = <double>p.x.rows * p.y.rows * p.z.rows * p.m
    threads = team(workers, work)
    p.few_rows = max(p.x.rows, p.y.rows, p.z.rows) <= FC_FEW_ROWS and p.x.rows * p.y.rows * p.z.rows <= FEW_OUTPUTS
    try:
        plan_triple(&p)
        execute(&p, threads)
    finally:
        PyMem_RawFree(p.run_start)
        PyMem_RawFree(p.panel_at)
