/* The table of conv2d. Next hop: conv.h, which names the file of each kernel. */
#ifndef FC_CONV_TABLE_H
#define FC_CONV_TABLE_H

#include "base/table.h"

/* Bytes of an element of any kind. */
static inline ptrdiff_t fc_bytes(int kind) { return kind & FC_U8 ? 1 << (kind & 6) / 2 : 2 << (kind & 3); }

/* Copies an image window, boundaries resolved, into dst[r * dst_row + x * dst_col + ch * dst_channel].
 * row_index and col_index name the source row and column of each window row and column, -1 for `fill`; columns from
 * `inside` to `inside_end` are inside_gap apart, and only the first of them is named.
 * Integers have `whole` for fill. Windows of FC_SUMS_16 are of words: channels counts those, src_channel apart, whose halves are
 * `half` bytes apart; a pixel has `halves` of them. */
typedef struct fc_window {
    void *dst;
    ptrdiff_t dst_row, dst_col, dst_channel;
    const char *src;
    ptrdiff_t src_row, src_col, src_channel;
    const ptrdiff_t *row_index, *col_index;
    ptrdiff_t inside, inside_end, inside_gap;
    ptrdiff_t rows, cols, channels, repeat;
    int kind, words;
    double fill;
    uint64_t whole;
    ptrdiff_t half, halves;
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

/* What the guard must know of filters, from the sizes in `shares` and `squares` of all channels of a panel: energies[point],
 * least[c] and most[c], which become larger, smaller and larger than those of other panels that they hold, if this is not the
 * `first`; shares[c * width + k], the sizes divided by their mean over channels, and scales[k] (0 before), 1 by its square.
 * Energies are NaN if some filters are not finite, or so large or small that products might not be; columns without taps and
 * beyond the last one have shares that no other exceeds, and scales of 0. */
typedef struct fc_winograd_bounds {
    const void *squares;
    void *shares, *scales, *energies, *least, *most;
    ptrdiff_t channels, columns, width;
    int first;
} fc_winograd_bounds;

/* Weights of the guard from what all panels have left: weights[(c / lanes * points + point) * lanes + c % lanes], the energies
 * counted `products` times; most[c] is squared. */
typedef struct fc_winograd_weights {
    const void *energies;
    void *most, *weights;
    ptrdiff_t channels;
    double products;
} fc_winograd_weights;

/* A row of tiles, 4 columns apart: v[point * point_step + tile * tile_step + c] of their 6x6 inputs src[y * row_step + x *
 * col_step + c], channels in whole vectors, all aligned; squares[tile] gets Q of the guard, from what `weights` has left. */
typedef struct fc_winograd_input {
    const void *src, *weights, *most;
    void *v, *squares;
    ptrdiff_t row_step, col_step, tiles, channels, point_step, tile_step;
} fc_winograd_input;

/* For each of so many pixels, col_step apart, channels in whole vectors: sizes[pixel] = sum_c least[c] |x_c|. Whole vectors of
 * pixels are written. */
typedef struct fc_winograd_sizes {
    const void *src, *least;
    void *sizes;
    ptrdiff_t pixels, col_step, channels;
} fc_winograd_sizes;

/* Whether tiles of a row may be computed so: bad[tile] is 0 or 1, the number of those with 0 is returned. sizes are those of the
 * first of 6 rows of pixels, `step` apart, squares those of the tiles; outputs are `rows` <= 4 rows and `cols` columns.
 * least[tile] gets L of the guard, and needs[tile] what its square must be at least. */
typedef struct fc_winograd_benign {
    const void *sizes, *squares;
    void *least, *needs;
    uint8_t *bad;
    ptrdiff_t step, tiles, rows, cols;
} fc_winograd_benign;

/* Sums of |x| over the windows of a tile: sums[(4 * y + x) * channels + c], whole vectors of channels, aligned. */
typedef struct fc_winograd_windows {
    const void *src;
    void *sums;
    ptrdiff_t row_step, col_step, channels;
} fc_winograd_windows;

/* L of a tile, of its `rows` x `cols` outputs, from the products of these sums with the shares of a panel, width columns
 * each: *least becomes smaller than what it holds, if this is not the `first` panel. Whether *need is kept is returned; so it is
 * of *least as it is, without rows. */
typedef struct fc_winograd_least {
    const void *sums, *need;
    void *least;
    ptrdiff_t rows, cols, width;
    int first;
} fc_winograd_least;

/* The outputs of a row of tiles, `rows` <= 4 rows and `cols` columns: out[y * out_row + x * out_col + k] of
 * m[point * point_step + tile * tile_step + k] (aligned, as scales are), plus bias[k], if any. needs[tile] becomes what L of the
 * guard needs for roundings that are alike, which come to `alike`, if that is more. */
typedef struct fc_winograd_output {
    const void *m, *bias, *scales;
    void *out, *needs;
    ptrdiff_t tiles, rows, cols, columns, point_step, tile_step, out_row, out_col;
    double alike;
} fc_winograd_output;

/* Fourier transforms of blocks, see fourier.h: of 16, 32, .. points along an axis. */
#define FC_FOURIER_LEAST 16
#define FC_FOURIER_MOST 256

/* In place, of each column of re + i im: n rows, `step` apart. All is aligned to vectors, `columns` are whole ones. `roots` are the
 * FC_FOURIER_MOST roots e^(-2 pi i k / FC_FOURIER_MOST) as pairs. Frequencies come in an order of their own, which is that from
 * which they go `back`, where results are n times too large. */
typedef struct fc_fourier {
    void *re, *im;
    const void *roots;
    ptrdiff_t step, n, columns;
    int back;
} fc_fourier;

/* y[k] = scale * sum_c x[c] conj(w[k][c]), or += with `add`, for 1 to 4 filters k, all pairs of blocks and rows x columns
 * frequencies. The imaginary parts are so many elements behind the real ones. All is aligned, columns are whole vectors. */
typedef struct fc_fourier_products {
    const void *x, *w;
    void *y;
    ptrdiff_t x_step, x_im, x_channel, x_pair, w_step, w_im, w_channel, w_filter, y_step, y_im, y_filter, y_pair;
    ptrdiff_t rows, columns, channels, pairs;
    int filters, add;
    double scale;
} fc_fourier_products;

/* Adds least |src| and most |src| of each `cell` rows to a row of `low` and of `high`; *squares is the sum of src^2. Rows are
 * `step` apart in src and `columns`, whole vectors, in the others. */
typedef struct fc_fourier_sizes {
    const void *src;
    void *low, *high;
    double *squares;
    double least, most;
    ptrdiff_t step, rows, columns, cell;
} fc_fourier_sizes;

/* Sums of taps_down x taps_across elements of rows x columns, all that wrap around if there are no `sums`, of which the largest is
 * returned, or those that begin in the first count_down x count_across, which are added to rows of `sums`, as long as src's. Rows of
 * src are `columns` long; `line` has room for 4 * columns. */
typedef struct fc_fourier_windows {
    const void *src;
    void *line, *sums;
    ptrdiff_t rows, columns, count_down, count_across, taps_down, taps_across, step_down, step_across;
} fc_fourier_windows;

/* What the guard must know of a filter, from the largest tap `sizes` of each channel and the sum of the sizes of taps `norms` of
 * each term (channel c has the terms c, c + channels, ..): least, most and peak become smaller and larger. */
typedef struct fc_fourier_bounds {
    const double *sizes, *norms;
    double *least, *most, *peak;
    ptrdiff_t channels, terms;
} fc_fourier_bounds;

/* The least |x|*W that outputs must have, from the sums of squares of both blocks and the peak of each term, and the largest |x|*W;
 * infinity or NaN where none does. Results need be as exact as for numbers whose roundoff is `units` times ours. */
typedef struct fc_fourier_least {
    const double *squares, *peak;
    ptrdiff_t terms, points, additions;
    double most, units;
} fc_fourier_least;

/* Sets bad[y / tile_rows * tile_cols + x / tile_width] of outputs y, x of a block whose |x|*W is not at least `least`. Outputs are
 * row_stride and col_stride windows apart; a row of sums, `columns` long, has the least for `cell` rows of windows. */
typedef struct fc_fourier_mark {
    const void *sums;
    uint8_t *bad;
    double least;
    ptrdiff_t columns, cell, rows, cols, row_stride, col_stride, tile_height, tile_width, tile_cols;
} fc_fourier_mark;

/* The kernels of one type of elements, with the block sizes that the drivers must use. `split_tile`, `store_parts`, Winograd's
 * and Fourier's are those of reals alone, `offsets` that of FC_SUMS_16. */
typedef struct fc_conv_kernels {
    int split;                  /* most terms that the lanes of a vector may share: 1, 2 or 4 */
    int outputs;                /* most outputs of `planar_taps` */
    int planar[9];              /* planar[o]: most vectors of `planar_taps` with o outputs (1 always works) */
    int row_group, row_vectors; /* most rows and vectors of `plane_rows` (fewer rows, or 1 vector, always work) */
    int pixels;                 /* most pixels of `channel_taps` */
    void (*split_tile)(const fc_tile *);
    void (*window)(const fc_window *);
    void (*store)(const fc_store *);
    /* neighbouring columns of c as parts of complex numbers, `part` bytes apart, out_col from pair to pair, of the kind that the
       kernel computes with; `odd` says that the first column is an imaginary part */
    void (*store_parts)(const fc_store *, ptrdiff_t part, int odd);
    /* what sums of FC_SUMS_16 lack: dst[j] += 2^15 sum_k w[k][j] if `inputs` are less 2^15, and -2^15 for each term of twins;
       c and c_step are those of elements */
    void (*offsets)(const fc_panel *, int inputs);
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
    void (*winograd_weights)(const fc_winograd_weights *);
    void (*winograd_input)(const fc_winograd_input *);
    void (*winograd_sizes)(const fc_winograd_sizes *);
    ptrdiff_t (*winograd_benign)(const fc_winograd_benign *);
    void (*winograd_windows)(const fc_winograd_windows *);
    int (*winograd_least)(const fc_winograd_least *);
    void (*winograd_output)(const fc_winograd_output *);
    void (*fourier)(const fc_fourier *);
    void (*fourier_transpose)(void *into, ptrdiff_t into_step, const void *from, ptrdiff_t from_step, ptrdiff_t rows,
                              ptrdiff_t columns);
    void (*fourier_products)(const fc_fourier_products *);
    void (*fourier_sizes)(const fc_fourier_sizes *);
    double (*fourier_windows)(const fc_fourier_windows *);
    void (*fourier_norms)(const void *src, ptrdiff_t step, ptrdiff_t rows, ptrdiff_t columns, double *norm, double *size);
    void (*fourier_bounds)(const fc_fourier_bounds *);
    double (*fourier_least)(const fc_fourier_least *);
    ptrdiff_t (*fourier_mark)(const fc_fourier_mark *); /* returns how many tiles are bad */
} fc_conv_kernels;

typedef struct fc_integer_kernels {
    fc_base_kernels base; /* lanes, vectors, rows, tile and panel */
    fc_conv_kernels conv;
} fc_integer_kernels;

typedef struct fc_conv {
    fc_conv_kernels real[2];       /* float, double */
    fc_integer_kernels integer[4]; /* FC_SUMS_16, .. */
    int dot;                       /* whether FC_SUMS_16_DOT runs on this machine */
} fc_conv;

#endif
