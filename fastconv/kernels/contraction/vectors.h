/* One vector along an axis: `axpy` adds AXPY_ROWS rows for one load and one store of the sums, `dot` has its lanes along the
 * sum. */

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
