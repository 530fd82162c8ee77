/* Contractions beside tile.h: Khatri-Rao panels, transposition, wide sums, and one vector along a far axis.
 *
 * Counts, for V lanes: `khatri` does one multiplication, one load and one store for V pairs and a sample, which the tile
 * then uses once for every row; `thin`, for operands of few rows, takes no copies: for 4 x 4 x 4 rows 80 operations and 36
 * loads for V samples, less time than reading the 12 vectors from memory takes; `along` is the tile with rows of b in
 * place, and fetches at every step; `axpy` adds AXPY_ROWS rows for one load and one store of the sums.
 */

#include "contraction/table.h"
#include "base/simd.h"

#ifndef FC_CONTRACTION_ONCE
#define FC_CONTRACTION_ONCE

FC_INLINE uint64_t fc_modular(const char *p, const int kind)
{
    union { uint64_t u64; uint32_t u32; uint16_t u16; uint8_t u8; } v = {0};
    memcpy(&v, p, (size_t)1 << ((kind & 7) >> 1));
    if (kind & FC_SWAPPED) {
        switch ((kind & 7) >> 1) {
        case 1: v.u16 = __builtin_bswap16(v.u16); break;
        case 2: v.u32 = __builtin_bswap32(v.u32); break;
        case 3: v.u64 = __builtin_bswap64(v.u64); break;
        }
    }
    switch (kind & ~FC_SWAPPED) {
    case FC_I8: return (uint64_t)(int8_t)v.u8;
    case FC_I16: return (uint64_t)(int16_t)v.u16;
    case FC_I32: return (uint64_t)(int32_t)v.u32;
    case FC_U8: return v.u8;
    case FC_U16: return v.u16;
    case FC_U32: return v.u32;
    default: return v.u64;
    }
}

FC_INLINE void fc_integer_axpy_kind(uint64_t *restrict c, const char *src, const ptrdiff_t step, ptrdiff_t n, uint64_t w,
                                    const int kind)
{
    for (ptrdiff_t i = 0; i < n; i++)
        c[i] += w * fc_modular(src + i * step, kind);
}

#define FC_INTEGER(kind, size)                                              \
    case kind:                                                              \
        if (step == (size))                                                 \
            fc_integer_axpy_kind(c, src, size, n, w, kind);                 \
        else                                                                \
            fc_integer_axpy_kind(c, src, step, n, w, kind);                 \
        return;

/* c[i] += w * src[i], modulo 2^64; `step` in bytes. */
static void fc_integer_axpy(uint64_t *c, const char *src, ptrdiff_t step, ptrdiff_t n, uint64_t w, int kind)
{
    switch (kind) {
        FC_INTEGER(FC_I8, 1) FC_INTEGER(FC_I16, 2) FC_INTEGER(FC_I32, 4) FC_INTEGER(FC_I64, 8)
        FC_INTEGER(FC_U8, 1) FC_INTEGER(FC_U16, 2) FC_INTEGER(FC_U32, 4) FC_INTEGER(FC_U64, 8)
    default: fc_integer_axpy_kind(c, src, step, n, w, kind);
    }
}

#undef FC_INTEGER

#endif

static void FC_N(khatri)(const fc_khatri *q)
{
    const FC_T *x = q->x, *y = q->y;
    FC_T *dst = q->dst;
    const ptrdiff_t whole = q->runs[0].length;
    if (q->count == 1 && whole == 4 * FC_LANES) {
        x += q->runs[0].x;
        y += q->runs[0].y;
        for (ptrdiff_t m = 0; m < q->m; m++, x += q->x_step, y += q->y_step, dst += q->width) {
            const FC_VEC w = FC_N(splat)(*y);
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                FC_N(put)(dst + i * FC_LANES, FC_N(load)(x + i * FC_LANES) * w);
        }
        return;
    }
    for (ptrdiff_t m = 0; m < q->m; m++, x += q->x_step, y += q->y_step, dst += q->width) {
        FC_T *at = dst;
        for (const fc_pair_run *r = q->runs; r < q->runs + q->count; at += r->length, r++) {
            const FC_VEC w = FC_N(splat)(y[r->y]);
            for (ptrdiff_t i = 0; i < r->length; i += FC_LANES)
                FC_N(put)(at + i, FC_N(load)(x + r->x + i) * w);
        }
    }
}

enum { FC_N(THIN) = FC_REGISTERS == 32 ? 4 : 3 };

/* Sums of js x ks pairs of rows with one row x, in registers; sums of the next j lie `step` vectors on. */
FC_INLINE void FC_N(thin_body)(const int js, const int ks, FC_T *sums, ptrdiff_t step, const FC_T *x, const FC_T *y,
                               ptrdiff_t y_row, const FC_T *z, ptrdiff_t z_row, ptrdiff_t n, const FC_T *const *next, int fetch)
{
    FC_VEC acc[FC_N(THIN)][FC_N(THIN)] = {{{0}}};
    for (ptrdiff_t m = 0; m < n; m += FC_LANES) {
        const FC_VEC xv = FC_N(load)(x + m);
        FC_VEC zv[FC_N(THIN)];
        for (int i = 0; i < fetch; i++)
            __builtin_prefetch(next[i] + m);
#pragma GCC unroll 4
        for (int k = 0; k < ks; k++)
            zv[k] = FC_N(load)(z + k * z_row + m);
#pragma GCC unroll 4
        for (int j = 0; j < js; j++) {
            const FC_VEC xy = xv * FC_N(load)(y + j * y_row + m);
#pragma GCC unroll 4
            for (int k = 0; k < ks; k++)
                acc[j][k] += xy * zv[k];
        }
    }
#pragma GCC unroll 4
    for (int j = 0; j < js; j++)
#pragma GCC unroll 4
        for (int k = 0; k < ks; k++) {
            FC_T *sum = sums + (j * step + k) * FC_LANES;
            FC_N(put)(sum, FC_N(load)(sum) + acc[j][k]);
        }
}

static void FC_N(thin_tile)(int js, int ks, FC_T *sums, ptrdiff_t step, const FC_T *x, const FC_T *y, ptrdiff_t y_row,
                            const FC_T *z, ptrdiff_t z_row, ptrdiff_t n, const FC_T *const *next, int fetch)
{
#define FC_THIN(j, k) case (j) * 8 + (k): FC_N(thin_body)(j, k, sums, step, x, y, y_row, z, z_row, n, next, fetch); return;
    switch (js * 8 + ks) {
        FC_THIN(1, 1) FC_THIN(1, 2) FC_THIN(1, 3) FC_THIN(2, 1) FC_THIN(2, 2) FC_THIN(2, 3)
        FC_THIN(3, 1) FC_THIN(3, 2) FC_THIN(3, 3)
#if FC_REGISTERS == 32
        FC_THIN(1, 4) FC_THIN(2, 4) FC_THIN(3, 4) FC_THIN(4, 1) FC_THIN(4, 2) FC_THIN(4, 3) FC_THIN(4, 4)
#endif
    default: __builtin_trap(); /* no driver makes another shape, which would compute nothing in silence */
    }
#undef FC_THIN
}

/* Whole vectors of `n` samples; what is to be fetched is shared among the tiles. */
static void FC_N(thin_part)(const fc_thin *q, const FC_T *const at[3], const ptrdiff_t row[3], ptrdiff_t n)
{
    const ptrdiff_t ys = q->rows[1], zs = q->rows[2], width = FC_N(THIN);
    const ptrdiff_t tiles = q->rows[0] * ((ys + width - 1) / width) * ((zs + width - 1) / width);
    const FC_T *next[3 * FC_THIN_ROWS];
    ptrdiff_t rows = 0, tile = 0;
    for (int o = 0; o < 3; o++)
        for (ptrdiff_t r = 0; r < q->rows[o] && q->ahead[o]; r++)
            next[rows++] = at[o] + r * row[o] + q->ahead[o];
    for (ptrdiff_t i = 0; i < q->rows[0]; i++)
        for (ptrdiff_t j = 0; j < ys; j += width)
            for (ptrdiff_t k = 0; k < zs; k += width, tile++) {
                const ptrdiff_t first = rows * tile / tiles, end = rows * (tile + 1) / tiles;
                FC_N(thin_tile)((int)(ys - j < width ? ys - j : width), (int)(zs - k < width ? zs - k : width),
                                (FC_T *)q->sums + ((i * ys + j) * zs + k) * FC_LANES, zs, at[0] + i * row[0],
                                at[1] + j * row[1], row[1], at[2] + k * row[2], row[2], n, next + first, (int)(end - first));
            }
}

static void FC_N(thin)(const fc_thin *q)
{
    const ptrdiff_t whole = q->n / FC_LANES * FC_LANES;
    const FC_T *const at[3] = {q->at[0], q->at[1], q->at[2]};
    FC_N(thin_part)(q, at, q->row, whole);
    if (whole == q->n)
        return;
    FC_T rest[3][FC_THIN_ROWS][FC_LANES] = {{{0}}};
    for (int o = 0; o < 3; o++)
        for (ptrdiff_t r = 0; r < q->rows[o]; r++)
            memcpy(rest[o][r], at[o] + r * q->row[o] + whole, (size_t)(q->n - whole) * sizeof(FC_T));
    fc_thin last = *q;
    last.ahead[0] = last.ahead[1] = last.ahead[2] = 0;
    const FC_T *const from[3] = {rest[0][0], rest[1][0], rest[2][0]};
    const ptrdiff_t row[3] = {FC_LANES, FC_LANES, FC_LANES};
    FC_N(thin_part)(&last, from, row, FC_LANES);
}

enum { FC_N(ALONG_ROWS) = 6, FC_N(ALONG_VECTORS) = FC_REGISTERS == 32 ? 4 : 2 };

FC_INLINE void FC_N(along_body)(const int rows, const fc_along *q)
{
    const FC_T *a = q->a, *b = q->b, *fetch = q->fetch ? q->fetch : q->b;
    const ptrdiff_t step = q->a_step, fetch_step = q->fetch ? q->fetch_step : 0;
    FC_VEC acc[FC_N(ALONG_ROWS)][FC_N(ALONG_VECTORS)] = {{{0}}};
    for (ptrdiff_t k = 0; k < q->length; k++, b += q->b_step, fetch += fetch_step) {
        FC_VEC bv[FC_N(ALONG_VECTORS)];
        __builtin_prefetch(fetch, 0, 3);
#pragma GCC unroll 4
        for (int j = 0; j < FC_N(ALONG_VECTORS); j++)
            bv[j] = FC_N(load)(b + j * FC_LANES);
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            const FC_VEC av = FC_N(splat)(a[i * step + k]);
#pragma GCC unroll 4
            for (int j = 0; j < FC_N(ALONG_VECTORS); j++)
                acc[i][j] += av * bv[j];
        }
    }
    FC_T *c = q->c;
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < FC_N(ALONG_VECTORS); j++) {
            FC_T *sum = c + (i * FC_N(ALONG_VECTORS) + j) * FC_LANES;
            FC_N(put)(sum, FC_N(load)(sum) + acc[i][j]);
        }
}

static void FC_N(along)(const fc_along *q)
{
    switch (q->rows) {
    case 1: FC_N(along_body)(1, q); return;
    case 2: FC_N(along_body)(2, q); return;
    case 3: FC_N(along_body)(3, q); return;
    case 4: FC_N(along_body)(4, q); return;
    case 5: FC_N(along_body)(5, q); return;
    default: FC_N(along_body)(6, q); return;
    }
}

static void FC_N(adjust)(void *into, const void *from, ptrdiff_t rows, ptrdiff_t count, ptrdiff_t step, const double *mean,
                         const void *weights)
{
    const FC_T *w = weights;
    for (ptrdiff_t r = 0; r < rows; r++) {
        FC_T *dst = (FC_T *)into + r * step;
        const FC_T *src = (const FC_T *)from + r * step;
        if (mean != NULL)
            for (ptrdiff_t m = 0; m < count; m++)
                dst[m] = (FC_T)((double)src[m] - mean[r]);
        if (weights != NULL)
            for (ptrdiff_t m = 0; m < count; m++)
                dst[m] = src[m] * w[m];
    }
}

static void FC_N(widen)(double *restrict into, const void *from, ptrdiff_t count, int accumulate)
{
    enum { PAIRS = sizeof(FC_T) == sizeof(double) };
    const FC_T *restrict src = from;
    for (ptrdiff_t i = 0; i < count && !accumulate; i++) {
        into[PAIRS ? 2 * i : i] = (double)src[i];
        if (PAIRS)
            into[2 * i + 1] = 0;
    }
    for (ptrdiff_t i = 0; i < count && accumulate; i++) {
        const double x = (double)src[i];
        if (PAIRS) {
            const double before = into[2 * i], sum = before + x, added = sum - before;
            into[2 * i] = sum;
            into[2 * i + 1] += (before - (sum - added)) + (x - added);
        } else {
            into[i] += x;
        }
    }
}

static void FC_N(narrow)(void *into, const double *restrict from, ptrdiff_t count, double scale)
{
    enum { PAIRS = sizeof(FC_T) == sizeof(double) };
    FC_T *restrict dst = into;
    for (ptrdiff_t i = 0; i < count; i++) {
        const double sum = from[PAIRS ? 2 * i : i], lost = PAIRS ? from[2 * i + 1] : 0;
        dst[i] = (FC_T)((sum - sum == 0 ? sum + lost : sum) * scale); /* what an infinite sum has lost is no number */
    }
}

/* c[r][j] (+)= from[r][j] * w[j] */
static void FC_N(scale_rows)(void *into, ptrdiff_t step, const void *from, const void *weights, ptrdiff_t rows, ptrdiff_t width)
{
    const FC_T *src = from, *w = weights;
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < width; j += FC_LANES) {
            FC_T *c = (FC_T *)into + r * step + j;
            FC_N(put)(c, FC_N(load)(c) + FC_N(load)(src + r * width + j) * FC_N(load)(w + j));
        }
}

enum { FC_N(AXPY_ROWS) = 8 };

FC_INLINE void FC_N(axpy_rows)(FC_T *restrict c, const FC_T *restrict src, const ptrdiff_t step, const FC_T *w, const int rows,
                               ptrdiff_t n)
{
    ptrdiff_t i = 0;
    FC_VEC wv[FC_N(AXPY_ROWS)];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        wv[r] = FC_N(splat)(w[r]);
    for (; i + 4 * FC_LANES <= n; i += 4 * FC_LANES) {
        FC_VEC acc[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            acc[j] = FC_N(load)(c + i + j * FC_LANES);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++)
                acc[j] += wv[r] * FC_N(load)(src + r * step + i + j * FC_LANES);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            FC_N(put)(c + i + j * FC_LANES, acc[j]);
    }
    for (; i < n; i++) {
        FC_T acc = c[i];
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
            acc += w[r] * src[r * step + i];
        c[i] = acc;
    }
}

/* c[i] += sum_r w[r] * src[r][i], in the order of r. */
static void FC_N(axpy)(void *c, const void *src, ptrdiff_t step, const void *w, ptrdiff_t rows, ptrdiff_t n)
{
    const FC_T *at = src, *weight = w;
    ptrdiff_t r = 0;
    for (; r + FC_N(AXPY_ROWS) <= rows; r += FC_N(AXPY_ROWS))
        FC_N(axpy_rows)(c, at + r * step, step, weight + r, FC_N(AXPY_ROWS), n);
    for (; r < rows; r++)
        FC_N(axpy_rows)(c, at + r * step, step, weight + r, 1, n);
}

/* c[r] (+)= sum_i x[r * step + i] * w[i] for m rows, which share the loads of w. What is left beyond whole vectors is the end of
 * the last vector within the rows: of their other lanes, whatever they hold, nothing is taken. */
FC_INLINE void FC_N(dot_rows)(FC_T *c, const int m, const FC_T *x, ptrdiff_t step, const FC_T *w, ptrdiff_t n, int accumulate)
{
    static const FC_INT last[2 * FC_LANES] = {[FC_LANES... 2 * FC_LANES - 1] = -1};
    FC_VEC acc[4][4] = {{{0}}};
    ptrdiff_t i = 0;
    for (; i + 4 * FC_LANES <= n; i += 4 * FC_LANES)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            FC_VEC wv = FC_N(load)(w + i + j * FC_LANES);
            FC_KEEP(wv);
#pragma GCC unroll 4
            for (int r = 0; r < m; r++) {
                const FC_T *at = x + r * step + i + j * FC_LANES;
                acc[r][j] += FC_N(load)(at) * wv;
            }
        }
    for (; i + FC_LANES <= n; i += FC_LANES)
#pragma GCC unroll 4
        for (int r = 0; r < m; r++)
            acc[r][0] += FC_N(load)(x + r * step + i) * FC_N(load)(w + i);
    if (i < n && n >= FC_LANES) {
        const FC_IVEC mask = (FC_IVEC)FC_N(load)((const FC_T *)last + (n - i));
        const FC_VEC wv = FC_N(load)(w + n - FC_LANES);
#pragma GCC unroll 4
        for (int r = 0; r < m; r++)
            acc[r][1] += FC_N(masked)(FC_N(load)(x + r * step + n - FC_LANES), mask) * FC_N(masked)(wv, mask);
    } else if (i < n) {
        FC_T rest[2][FC_LANES] = {{0}};
        memcpy(rest[1], w, (size_t)n * sizeof(FC_T));
#pragma GCC unroll 4
        for (int r = 0; r < m; r++) {
            memcpy(rest[0], x + r * step, (size_t)n * sizeof(FC_T));
            acc[r][0] += FC_N(load)(rest[0]) * FC_N(load)(rest[1]);
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < m; r++) {
        const FC_T sum = FC_N(sum_lanes)((acc[r][0] + acc[r][1]) + (acc[r][2] + acc[r][3]));
        c[r] = accumulate ? c[r] + sum : sum;
    }
}

/* Rows come several at a time where they are very short, or so long that w leaves the first-level cache between them; else in
 * the order of memory, which is slow to read several streams from one page. */
static void FC_N(dot)(void *c, const void *src, ptrdiff_t step, const void *w, ptrdiff_t rows, ptrdiff_t n, int accumulate)
{
    enum { M = FC_REGISTERS == 32 ? 4 : 2, PIECE = FC_DOT_VECTORS * FC_LANES, SHORT = 400, LONG = 16 << 10 };
    const FC_T *x = src;
    FC_T *sums = c;
    const ptrdiff_t bytes = n * (ptrdiff_t)sizeof(FC_T);
    const int most = bytes <= SHORT || bytes > LONG ? M : 1;
    for (ptrdiff_t r = 0; r < rows;) {
        const int m = rows - r < most ? 1 : most;
        for (ptrdiff_t i = 0; i < n; i += PIECE) {
            const ptrdiff_t piece = n - i < PIECE ? n - i : PIECE;
            if (m == M)
                FC_N(dot_rows)(sums + r, M, x + r * step + i, step, (const FC_T *)w + i, piece, i > 0 || accumulate);
            else
                FC_N(dot_rows)(sums + r, 1, x + r * step + i, step, (const FC_T *)w + i, piece, i > 0 || accumulate);
        }
        r += m;
    }
}

static void FC_N(fill)(fc_contraction *table)
{
    fc_contraction_kernels *k = &table->real[FC_ELEMENT - 8];
    k->khatri = FC_N(khatri);
    k->thin = FC_N(thin);
    k->along = FC_N(along);
    k->along_rows = FC_N(ALONG_ROWS);
    k->along_vectors = FC_N(ALONG_VECTORS);
    k->adjust = FC_N(adjust);
    k->widen = FC_N(widen);
    k->narrow = FC_N(narrow);
    k->scale_rows = FC_N(scale_rows);
    k->axpy = FC_N(axpy);
    k->dot = FC_N(dot);
    table->integer_axpy = fc_integer_axpy;
}
