"""What the drivers of the contractions share: copying blocks of any strides and kind, products of packed blocks, and storing.

Next hops: kernels/base/pack.h and kernels/base/tile.h.
"""
from cpython.mem cimport PyMem_RawMalloc

cimport numpy as cnp

from fastconv._drivers.base cimport FC_REALS, fc_base_kernels, fc_panel, fc_piece, fc_store, fc_tile
from fastconv._drivers.common cimport ceil_div, idx, round_up

cdef enum:
    MAX_AXES = 64


cdef inline void *offset(void *start, idx elements, idx item) noexcept nogil:
    return <char *>start + elements * item


cdef inline idx magnitude(idx step) noexcept nogil:
    return step if step >= 0 else -step


cdef inline char *allocate(idx size, char **raw) except NULL:
    """Memory that the threads of a call share and that outlives a team, as the workspace of run_team does neither; from a cache
    line on, for kernels. `raw` is what must be freed."""
    raw[0] = <char *>PyMem_RawMalloc(size + 64)
    if raw[0] == NULL:
        raise MemoryError(f"fastconv could not allocate {size} bytes of workspace")
    return raw[0] + (-<size_t>raw[0]) % 64


cdef inline void copy_rows(const fc_base_kernels *base, void *dst, idx dst_row, const char *src, idx row, idx step,
                           idx rows, idx count, int kind) noexcept nogil:
    """dst[r][m] = src[r * row + m * step] of any kind; steps of src in bytes, zeros up to dst_row."""
    cdef fc_panel p
    p.dst, p.src, p.kind = dst, src, kind
    p.fh_step = p.fw_step = p.first = 0
    p.c_step, p.k_step = row, step
    p.fw, p.c, p.split, p.form = 1, rows, 1, FC_REALS
    p.count, p.columns, p.width = rows, count, dst_row
    base.panel(&p)


cdef inline void copy_matrix(const fc_base_kernels *base, idx item, void *dst, idx dst_row, void *spare, const char *src,
                             idx row, idx step, idx rows, idx count, int kind) noexcept nogil:
    """The same, reading along whichever axis has the smaller step; `spare` holds as much as dst."""
    cdef idx wide = round_up(rows, base.lanes)
    if rows == 1 or magnitude(step) <= magnitude(row):
        copy_rows(base, dst, dst_row, src, row, step, rows, count, kind)
    else:
        copy_rows(base, spare, wide, src, step, row, count, rows, kind)
        base.transpose(dst, dst_row, spare, wide, count, rows)


cdef inline void store(const fc_base_kernels *base, const void *c, idx c_row, idx rows, idx columns, char *out, idx out_row,
                         idx out_col, int kind) noexcept nogil:
    cdef fc_store s
    s.c, s.bias = c, NULL
    s.c_row, s.c_col = c_row, 1
    s.rows, s.columns = rows, columns
    s.out, s.out_row, s.out_col = out, out_row, out_col
    s.activation, s.kind = 0, kind
    base.store(&s)


cdef inline void multiply(const fc_base_kernels *base, idx item, const void *a, idx a_row, idx rows, const void *b, idx length,
                            int vectors, void *c, bint accumulate, idx chain) noexcept nogil:
    """c[r][...] (+)= sum_m a[r][m] b[m][...], in tiles of nearly equal height and chains of at most `chain` terms."""
    cdef fc_tile t
    cdef fc_piece piece
    cdef void *sums
    cdef idx i, m, first, last = 0, tiles = ceil_div(rows, base.rows[vectors])
    piece.offset, piece.ends = 0, True
    t.pieces, t.count, t.step, t.vectors, t.c, t.last = &piece, 1, a_row, vectors, &sums, False
    t.keep, t.ahead = NULL, NULL
    t.out, t.out_step, t.bias = NULL, 0, NULL
    for i in range(tiles):
        first, last = last, rows * (i + 1) // tiles
        t.rows = <int>(last - first)
        sums = offset(c, first * vectors * base.lanes, item)
        m = 0
        while m < length:
            piece.length = min(chain, length - m)
            t.a = <const char *>a + (first * a_row + m) * item
            t.b = <const char *>b + m * vectors * base.lanes * item
            t.chain = accumulate or m > 0   # the second of a group is added to the first
            base.tile(&t)
            m += piece.length
