/* The table of contractions. Next hop: contraction.h. */
#ifndef FC_CONTRACTION_TABLE_H
#define FC_CONTRACTION_TABLE_H

#include "base/table.h"

/* Pairs (x + i, y) for i < length: neighbouring lanes of a Khatri-Rao panel. */
typedef struct fc_pair_run {
    ptrdiff_t x, y, length;
} fc_pair_run;

/* dst[m][p] = x[m][i] * y[m][j] for the pairs p = (i, j) of the runs, in their order; rows of dst are `width` apart, those
 * of x and y x_step and y_step. Reads x and writes dst up to one vector beyond the last pair. */
typedef struct fc_khatri {
    void *dst;
    const void *x, *y;
    ptrdiff_t x_step, y_step, m, width;
    const fc_pair_run *runs;
    ptrdiff_t count;
} fc_khatri;

/* sums[i][j][k][lane] += x[i][m] y[j][m] z[k][m], m = lane, lane + lanes, .. < n, for three operands whose rows are
 * row[0], row[1], row[2] elements apart. Meanwhile row r of operand o is fetched from `ahead[o]` elements on, 0 for not. */
typedef struct fc_thin {
    const void *at[3];
    ptrdiff_t rows[3], row[3], ahead[3], n;
    void *sums;
} fc_thin;

/* Rows of an operand that `thin` takes, at most. */
#define FC_THIN_ROWS 16

/* fc_tile with rows of b in place, b_step elements apart: c[p][j] += sum_k a[p * a_step + k] * b[k * b_step + j], j <
 * along_vectors * lanes, k < length. Meanwhile fetch[k * fetch_step] is fetched, if there is a fetch. */
typedef struct fc_along {
    const void *a, *b, *fetch;
    ptrdiff_t a_step, b_step, fetch_step, length;
    int rows;
    void *c;
} fc_along;

/* The kernels of one real type, with the block sizes that the drivers must use. */
typedef struct fc_contraction_kernels {
    int along_rows, along_vectors; /* most rows of `along`, and its vectors */
    void (*khatri)(const fc_khatri *);
    void (*thin)(const fc_thin *);
    void (*along)(const fc_along *);
    /* into[r][m] = from[r][m] - mean[r], or = from[r][m] * weights[m]: exactly one of both is given */
    void (*adjust)(void *into, const void *from, ptrdiff_t rows, ptrdiff_t count, ptrdiff_t step, const double *mean,
                   const void *weights);
    /* Wide sums, of twice the bytes: a double for a float; for a double the sum so far and what its roundings have lost. */
    void (*widen)(double *into, const void *from, ptrdiff_t count, int accumulate); /* into (+)= from */
    void (*narrow)(void *into, const double *from, ptrdiff_t count, double scale);  /* into = from * scale */
    /* into[r][j] += from[r][j] * weights[j], j < width, a multiple of lanes; from has no gaps */
    void (*scale_rows)(void *into, ptrdiff_t step, const void *from, const void *weights, ptrdiff_t rows, ptrdiff_t width);
    /* c[i] += sum_r w[r] * src[r * step + i], i < n, in the order of r */
    void (*axpy)(void *c, const void *src, ptrdiff_t step, const void *w, ptrdiff_t rows, ptrdiff_t n);
    /* c[r] (+)= sum_i src[r * step + i] * w[i], lanes along i, in pieces of FC_DOT_VECTORS vectors that are added in order */
    void (*dot)(void *c, const void *src, ptrdiff_t step, const void *w, ptrdiff_t rows, ptrdiff_t n, int accumulate);
} fc_contraction_kernels;

typedef struct fc_contraction {
    fc_contraction_kernels real[2]; /* float, double */
    /* c[i] += w * src[i], i < n, modulo 2^64; `step` in bytes */
    void (*integer_axpy)(uint64_t *c, const char *src, ptrdiff_t step, ptrdiff_t n, uint64_t w, int kind);
} fc_contraction;

#endif
