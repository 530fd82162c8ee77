/* The table of contractions. Next hop: contraction.h, which names the file of each kernel. */
#ifndef FC_CONTRACTION_TABLE_H
#define FC_CONTRACTION_TABLE_H

#include "base/table.h"

/* Pairs (x + i, y) for i < length: neighbouring lanes of a Khatri-Rao panel, of which there are at most FC_MAX_RUNS. */
enum { FC_MAX_RUNS = FC_MAX_VECTORS * FC_MAX_LANES };
typedef struct fc_pair_run {
    ptrdiff_t x, y, length;
} fc_pair_run;

/* dst[m][p] = x[m][i] * y[m][j] for the pairs p = (i, j) of the runs, in their order; rows of dst are `width` apart, those
 * of x and y x_step and y_step. Reads x and writes dst up to one vector beyond the last pair. */
typedef struct fc_khatri_rao {
    void *dst;
    const void *x, *y;
    ptrdiff_t x_step, y_step, m, width;
    const fc_pair_run *runs;
    ptrdiff_t count;
} fc_khatri_rao;

/* Rows of an operand of `few_rows`, at most. */
#define FC_FEW_ROWS 16

/* sums[i][j][k][lane] += x[i][m] y[j][m] z[k][m], m = lane, lane + lanes, .. < n, for three operands of so many `rows`, from 1
 * to FC_FEW_ROWS, which lie row[0], row[1], row[2] elements apart. Meanwhile the rows of operand o are prefetched, from ahead[o]
 * elements on, if that is not 0. */
typedef struct fc_few_rows {
    const void *at[3];
    ptrdiff_t rows[3], row[3], ahead[3], n;
    void *sums;
} fc_few_rows;

/* c[p][j] += sum_k a[p * a_step + k] * b[k * b_step + j], j < strided_vectors * lanes, k < length, for 1 to strided_rows rows p.
 * Meanwhile ahead[k * ahead_step] is prefetched, if ahead is not NULL. */
typedef struct fc_strided_tile {
    const void *a, *b, *ahead;
    ptrdiff_t a_step, b_step, ahead_step, length;
    int rows;
    void *c;
} fc_strided_tile;

/* The kernels of one real type, with the block sizes that the drivers must use. They ask for no alignment beyond that of
 * elements. */
typedef struct fc_contraction_kernels {
    int strided_rows, strided_vectors; /* most rows of `strided_tile`, and its vectors */
    void (*khatri_rao)(const fc_khatri_rao *);
    void (*few_rows)(const fc_few_rows *);
    void (*strided_tile)(const fc_strided_tile *);
    /* into[r][m] -= mean[r], rows `step` apart; rounded once */
    void (*center)(void *into, ptrdiff_t rows, ptrdiff_t count, ptrdiff_t step, const double *mean);
    /* into[r][m] = from[r][m] * weights[m], rows of both `step` apart; into may be from */
    void (*weigh)(void *into, const void *from, ptrdiff_t rows, ptrdiff_t count, ptrdiff_t step, const void *weights);
    /* Wide sums, of twice the bytes: a double for a float; for a double the sum so far and what its roundings have lost. */
    void (*widen)(double *into, const void *from, ptrdiff_t count, int accumulate); /* into (+)= from */
    void (*narrow)(void *into, const double *from, ptrdiff_t count, double scale);  /* into = from * scale */
    /* into[r][j] += from[r][j] * weights[j], j < width, a multiple of lanes; rows of into are `step` apart, of from `width` */
    void (*add_scaled)(void *into, ptrdiff_t step, const void *from, const void *weights, ptrdiff_t rows, ptrdiff_t width);
    /* c[i] (+)= sum_r w[r] * src[r * step + i], i < n, a chain in the order of r; `spare` has room for n sums */
    void (*axpy)(void *c, const void *src, ptrdiff_t step, const void *w, ptrdiff_t rows, ptrdiff_t n, int accumulate, void *spare);
    /* c[r] (+)= sum_i src[r * step + i] * w[i], lanes along i, in pieces of FC_DOT_VECTORS vectors that are added in order */
    void (*dot)(void *c, const void *src, ptrdiff_t step, const void *w, ptrdiff_t rows, ptrdiff_t n, int accumulate);
} fc_contraction_kernels;

typedef struct fc_contraction {
    fc_contraction_kernels real[2]; /* float, double */
    /* c[i] += w * src[i], i < n, modulo 2^64; `step` in bytes */
    void (*integer_axpy)(uint64_t *c, const char *src, ptrdiff_t step, ptrdiff_t n, uint64_t w, int kind);
} fc_contraction;

#endif
