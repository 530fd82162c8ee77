/* The table of conv2d. Next hop: conv.h, which names the file of each kernel. */
#ifndef FC_CONV_TABLE_H
#define FC_CONV_TABLE_H

#include "base/table.h"

/* Copies an image window, boundaries resolved, into dst[r * dst_row + x * dst_col + ch * dst_channel].
 * row_index and col_index name the source row and column of each window row and column, -1 for `fill`; columns from
 * `inside` to `inside_end` are inside_gap apart, and only the first of them is named. */
typedef struct fc_window {
    void *dst;
    ptrdiff_t dst_row, dst_col, dst_channel;
    const char *src;
    ptrdiff_t src_row, src_col, src_channel;
    const ptrdiff_t *row_index, *col_index;
    ptrdiff_t inside, inside_end, inside_gap;
    ptrdiff_t rows, cols, channels, repeat;
    int kind;
    double fill;
} fc_window;

/* Vectors of sums of one call of a kernel, at most. */
#define FC_MOST_SUMS 32

/* Vectors of `planar_taps`, at most: what it may read and write beyond the pixels that are wanted. */
#define FC_PLANAR_VECTORS 8

/* Lanes along x. out[o][x] = sum_t src[taps[t] + x] * w[t][o] for `outputs` outputs and vectors * lanes pixels, in chains of
 * `chain` terms; `sums` has a place for all these results at each level. */
typedef struct fc_planar_taps {
    const void *src, *w;
    const ptrdiff_t *taps;
    ptrdiff_t count, chain;
    int outputs, vectors;
    void *sums, *out;
    ptrdiff_t out_step;
} fc_planar_taps;

/* Chains of `plane_rows` are so many filter rows of fw taps; a long row is a chain for each FC_CHAIN taps. */
static inline ptrdiff_t fc_chain_rows(ptrdiff_t fw)
{
    return fw < FC_CHAIN ? FC_CHAIN / fw : 1;
}

/* How many chains the first `rows` filter rows make. */
static inline ptrdiff_t fc_plane_chains(ptrdiff_t rows, ptrdiff_t fw)
{
    const ptrdiff_t each = fc_chain_rows(fw);
    return fw > FC_CHAIN ? rows * ((fw + FC_CHAIN - 1) / FC_CHAIN) : (rows + each - 1) / each;
}

/* One plane, stride 1. out[r][x] = sum_{i,j} src[(r + i) * src_step + j * tap_step + x] * w[i * fw + j], r < rows <= 4,
 * in chains of at most FC_CHAIN terms; `sums` has a place for 4 rows at each level. A long sum may come in parts of whole chains:
 * `chains` have been summed before, and `last` says whether out gets the result; until then it stays in `sums`. */
typedef struct fc_plane_rows {
    const void *src, *w;
    ptrdiff_t src_step, tap_step, fh, fw, chains;
    int rows, vectors, last;
    void *sums, *out;
    ptrdiff_t out_step;
} fc_plane_rows;

/* Lanes along channels. out[p][ch] = sum_t src[taps[t] + p * step + ch] * w[t * w_step + ch] for one vector of channels, in
 * chains of `chain` terms; `sums` has a place for all these results at each level. */
typedef struct fc_channel_taps {
    const void *src, *w;
    const ptrdiff_t *taps;
    ptrdiff_t count, chain, step, w_step;
    int pixels;
    void *sums, *out;
    ptrdiff_t out_step;
} fc_channel_taps;

/* The same of 3x3 taps, in one chain, for FC_CHANNEL_ROWS rows of at least FC_CHANNEL_PIXELS outputs, as far apart as taps are:
 * out[r * out_row + p * out_step + ch] = sum_{i,j} src[(r + i) * row_step + (p + j) * step + ch] * w[(3 * i + j) * w_step + ch]. */
#define FC_CHANNEL_ROWS 2
#define FC_CHANNEL_PIXELS 4
typedef struct fc_channel_rows {
    const void *src, *w;
    ptrdiff_t pixels, row_step, step, w_step;
    void *out;
    ptrdiff_t out_row, out_step;
} fc_channel_rows;

/* Pixels side by side: where their elements begin in both operands, and whether a chain ends with them. */
typedef struct fc_pixels {
    ptrdiff_t a, b, length, ends;
} fc_pixels;

/* sum a[i] b[j] over the pixels of so many runs, a_step and b_step elements apart, for `rows` elements i of a and `vectors`
 * vectors of elements j of b; or with `channelwise` sum a[i * a_row + j] b[j], rows * vectors <= 12. The runs make whole chains,
 * the first of them the one of number `chain`; c[level] is where a level's sums are, rows x vectors x lanes, aligned to a
 * vector. The call of the last chain leaves the sums in `out`, out_step elements from row to row, which may be where one of the
 * levels is. */
typedef struct fc_products {
    const void *a, *b;
    const fc_pixels *runs;
    ptrdiff_t count, a_step, b_step, a_row, chain, out_step;
    int rows, vectors, channelwise, last;
    void *const *c;
    void *out;
} fc_products;

/* Winograd's F(4x4, 3x3), see winograd.h: 36 points, sums over channels in chains of so many. */
#define FC_WINOGRAD_POINTS 36
#define FC_WINOGRAD_CHAIN 16

/* u[point * point_step + c * width + k] of the filters that `panel` packed: taps[(tap * channels + c) * width + k]; width is
 * whole vectors, all is aligned to them. sizes[c * width + k] gets the largest |tap|, and squares[point * width + k] the sum
 * over these channels of u^2, if that is larger than what it has. */
typedef struct fc_winograd_filters {
    const void *taps;
    void *u, *sizes, *squares;
    ptrdiff_t channels, width, point_step;
} fc_winograd_filters;

/* What the guard must know of filters, from `sizes` and `squares` of all channels of a panel: weights[point], least[c] and
 * most[c], which become larger, smaller and larger than those of other panels that they hold, if this is not the `first`.
 * Weights are NaN if some filters are not finite, or so large or small that products might not be. */
typedef struct fc_winograd_bounds {
    const void *sizes, *squares;
    void *weights, *least, *most;
    ptrdiff_t channels, columns, width;
    int first;
} fc_winograd_bounds;

/* A row of tiles, 4 columns apart: v[point * point_step + tile * tile_step + c] of their 6x6 inputs src[y * row_step + x *
 * col_step + c], channels in whole vectors, all aligned; squares[tile] gets Q of the guard. */
typedef struct fc_winograd_input {
    const void *src, *weights;
    void *v, *squares;
    ptrdiff_t row_step, col_step, tiles, channels, point_step, tile_step;
} fc_winograd_input;

/* For each of so many pixels, col_step apart, channels in whole vectors: sizes[pixel] = sum_c least[c] |x_c|, squares[pixel] =
 * sum_c (most[c] x_c)^2. Whole vectors of pixels are written. */
typedef struct fc_winograd_sizes {
    const void *src, *least, *most;
    void *sizes, *squares;
    ptrdiff_t pixels, col_step, channels;
} fc_winograd_sizes;

/* Whether tiles of a row may be computed so: bad[tile] is 0 or 1, the number of those with 0 is returned. sizes and squares are
 * those of the first of 6 rows of pixels, `step` apart; outputs are `rows` <= 4 rows and `cols` columns. */
typedef struct fc_winograd_benign {
    const void *sizes, *squares, *tile_squares;
    uint8_t *bad;
    ptrdiff_t step, tiles, rows, cols;
    double products; /* what Q counts */
} fc_winograd_benign;

/* The outputs of a row of tiles, `rows` <= 4 rows and `cols` columns: out[y * out_row + x * out_col + k] of
 * m[point * point_step + tile * tile_step + k] (aligned), plus bias[k], if any. */
typedef struct fc_winograd_output {
    const void *m, *bias;
    void *out;
    ptrdiff_t tiles, rows, cols, columns, point_step, tile_step, out_row, out_col;
} fc_winograd_output;

/* The kernels of one real type, with the block sizes that the drivers must use. */
typedef struct fc_conv_kernels {
    int split;                  /* most terms that the lanes of a vector may share: 1, 2 or 4 */
    int outputs;                /* most outputs of `planar_taps` */
    int planar[9];              /* planar[o]: most vectors of `planar_taps` with o outputs (1 always works) */
    int row_group, row_vectors; /* most rows and vectors of `plane_rows` (fewer rows, or 1 vector, always work) */
    int pixels;                 /* most pixels of `channel_taps` */
    void (*split_tile)(const fc_tile *);
    void (*window)(const fc_window *);
    void (*store)(const fc_store *);
    void (*planar_taps)(const fc_planar_taps *);
    void (*plane_rows)(const fc_plane_rows *);
    void (*channel_taps)(const fc_channel_taps *);
    void (*products)(const fc_products *);
    void (*channel_rows)(const fc_channel_rows *);
    void (*prefetch_ahead)(fc_ahead *);
    /* into[m][r] = from[r][m] */
    void (*turn)(void *into, ptrdiff_t into_step, const void *from, ptrdiff_t from_step, ptrdiff_t rows, ptrdiff_t columns);
    void (*winograd_filters)(const fc_winograd_filters *);
    void (*winograd_bounds)(const fc_winograd_bounds *);
    void (*winograd_input)(const fc_winograd_input *);
    void (*winograd_sizes)(const fc_winograd_sizes *);
    ptrdiff_t (*winograd_benign)(const fc_winograd_benign *);
    void (*winograd_output)(const fc_winograd_output *);
} fc_conv_kernels;

typedef struct fc_conv {
    fc_conv_kernels real[2]; /* float, double */
} fc_conv;

#endif
