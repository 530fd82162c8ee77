/* One vector along an axis: `axpy` has its lanes across the sum, `dot` along it. */

enum { FC_N(AXPY_VECTORS) = FC_REGISTERS / 2, FC_N(AXPY_BLOCK) = 8 };

/* (+)= the rows' sum, `vectors` of it in registers: a load for each multiply-add. */
FC_INLINE void FC_N(axpy_block)(FC_T *c, const FC_T *src, ptrdiff_t step, const FC_T *w, ptrdiff_t rows, const int vectors,
                                const int accumulate)
{
    FC_VEC acc[FC_N(AXPY_VECTORS)];
#pragma GCC unroll 16
    for (int j = 0; j < vectors; j++)
        acc[j] = (FC_VEC){0};
    for (ptrdiff_t r = 0; r < rows; r++, src += step) {
        const FC_VEC wv = FC_N(splat)(w[r]);
#pragma GCC unroll 16
        for (int j = 0; j < vectors; j++)
            acc[j] += wv * FC_N(load)(src + j * FC_LANES);
    }
#pragma GCC unroll 16
    for (int j = 0; j < vectors; j++) {
        if (accumulate)
            acc[j] += FC_N(load)(c + j * FC_LANES);
        FC_N(put)(c + j * FC_LANES, acc[j]);
    }
}

static void FC_N(axpy_vectors)(FC_T *c, const FC_T *src, ptrdiff_t step, const FC_T *w, ptrdiff_t rows, int vectors, int accumulate)
{
#define FC_CASE(n) \
    case n: FC_N(axpy_block)(c, src, step, w, rows, n, accumulate); return
    switch (vectors) {
        FC_CASE(1);
        FC_CASE(2);
        FC_CASE(3);
        FC_CASE(4);
        FC_CASE(5);
        FC_CASE(6);
        FC_CASE(7);
        FC_CASE(8);
#if FC_REGISTERS == 32
        FC_CASE(9);
        FC_CASE(10);
        FC_CASE(11);
        FC_CASE(12);
        FC_CASE(13);
        FC_CASE(14);
        FC_CASE(15);
        FC_CASE(16);
#endif
    }
#undef FC_CASE
}

/* The same in the order of memory, row by row: its sums are in `to`. */
static void FC_N(axpy_rows)(FC_T *restrict to, const FC_T *restrict src, ptrdiff_t step, const FC_T *w, ptrdiff_t rows, ptrdiff_t n)
{
    memset(to, 0, (size_t)n * sizeof(FC_T));
    for (ptrdiff_t r = 0; r < rows; r++, src += step) {
        const FC_VEC wv = FC_N(splat)(w[r]);
        for (ptrdiff_t i = 0; i < n; i += FC_LANES)
            FC_N(put)(to + i, FC_N(load)(to + i) + wv * FC_N(load)(src + i));
    }
}

/* Rows that lie close to each other are read in the order of memory, which is twice as fast where they come from there; others
 * some vectors at a time. What is left beyond whole vectors is the end of the last vector within the rows. */
static void FC_N(axpy)(void *to, const void *from, ptrdiff_t step, const void *weights, ptrdiff_t rows, ptrdiff_t n, int accumulate,
                       void *spare)
{
    FC_T *c = to;
    const FC_T *src = from, *w = weights;
    const ptrdiff_t whole = n / FC_LANES * FC_LANES;
    const int close = step >= n && step < 2 * n;
    FC_VEC last = {0};
    if (n < FC_LANES) {
        for (ptrdiff_t r = 0; r < rows; r++)
            last += FC_N(splat)(w[r]) * FC_N(load_first)(src + r * step, n);
        if (accumulate)
            last += FC_N(load_first)(c, n);
        FC_N(put_first)(c, last, n);
        return;
    }
    if (whole < n) {
        FC_T end[FC_LANES];
        memcpy(end, c + n - FC_LANES, sizeof end);
        FC_N(axpy_block)(end, src + n - FC_LANES, step, w, rows, 1, accumulate);
        last = FC_N(load)(end);
    }
    if (close && whole > FC_N(AXPY_VECTORS) * FC_LANES) {
        FC_T *sums = accumulate ? spare : to;
        FC_N(axpy_rows)(sums, src, step, w, rows, whole);
        for (ptrdiff_t i = 0; accumulate && i < whole; i += FC_LANES)
            FC_N(put)(c + i, FC_N(load)(c + i) + FC_N(load)(sums + i));
    } else {
        const ptrdiff_t each = (close ? FC_N(AXPY_VECTORS) : FC_N(AXPY_BLOCK)) * FC_LANES;
        for (ptrdiff_t i = 0; i < whole; i += each)
            FC_N(axpy_vectors)(c + i, src + i, step, w, rows, (int)((whole - i < each ? whole - i : each) / FC_LANES), accumulate);
    }
    if (whole < n)
        FC_N(put)(c + n - FC_LANES, last);
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
