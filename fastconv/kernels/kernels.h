/* The table of kernels: what the drivers (floor 2) may call, and with what promises.
 *
 * Every kernel runs on one thread, allocates nothing and knows no Python. Steps and offsets are counted in elements
 * where a pointer is typed by the table's real type, and in bytes where it is `const char *`. Next hops: tile.h for the
 * multiply-accumulate, conv.h for packing and the narrow convolutions, contraction.h and distance.h for the other
 * operations, dispatch.c for which table this machine gets.
 */
#ifndef FC_KERNELS_H
#define FC_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* How an element lies in memory; FC_SWAPPED is added for the other byte order. */
enum { FC_F16, FC_F32, FC_F64, FC_SWAPPED = 8 };

/* Integers as elements: 16 + 2 log2(size) + signed; FC_SWAPPED is added likewise. */
enum { FC_U8 = 16, FC_I8, FC_U16, FC_I16, FC_U32, FC_I32, FC_U64, FC_I64 };

/* Added to FC_U8 for the result of fc_put, and to any kind of mask: 1 for what is not 0. Added to a 64-bit kind for results from
 * that of the other sign: the nearest there is, not modulo 2^64. */
enum { FC_TRUTH = 64, FC_NEAREST_WHOLE = 128, FC_KINDS = 23 }; /* FC_KINDS: the bits of the kind itself */

enum { FC_LINEAR, FC_RELU, FC_RELU6, FC_SILU, FC_SIGMOID, FC_TANH };

/* Long sums. Chains of terms are summed in registers, FC_CHAIN terms each, or as many as a caller says. Chains' sums are added
 * in groups of FC_GROUP, the sums of groups likewise, and so on: level l holds what the latest chains have come to in whole
 * groups of FC_GROUP^l, and the last chain takes what all levels hold. Of m chains so each term takes part in at most
 * FC_CHAIN + (FC_GROUP - 1) * ceil(log m / log FC_GROUP) roundings. */
#define FC_CHAIN 16
#define FC_GROUP 3

/* Whether the sum of a level goes on to the next one: its n-th sum (of 0, 1, ..) ends a group, or is the last and there are
 * earlier groups. */
static inline int fc_rises(size_t n, int last)
{
    return last ? n >= FC_GROUP : n % FC_GROUP == FC_GROUP - 1;
}

/* Vectors of a dot product between two scalar additions. */
#define FC_DOT_VECTORS 128

/* A run of `length` consecutive input elements, `offset` elements from a pixel's first one; whether a chain ends with it. */
typedef struct fc_piece {
    ptrdiff_t offset, length, ends;
} fc_piece;

/* What the next tiles will read, fetched a few lines at a time: so many lines of rows of row_lines each, `skip` bytes from the
 * end of one row to the next; `left` lines are left of this row and `count` of all, at most `each` go at once. */
typedef struct fc_ahead {
    const char *at;
    ptrdiff_t row_lines, skip, left, count, each;
} fc_ahead;

/* sum_k a[p * step + k] * b[k][j] over the pieces, for `rows` pixels p and `vectors` vectors of columns j. The pieces make
 * whole chains, the first of them the one of number `chain`; c[level] is where a level's sums are, rows x vectors x lanes,
 * aligned to a vector. The call of the last chain leaves the result (plus `bias`, if any) in `out`.
 * `split_tile`: with split > 1 (2 or 4) there is one vector for `columns` <= lanes / split columns, and
 * b[step][j * split + s] is what term `split * step + s` of a piece has for column j, 0 beyond the piece; `out` gets
 * `columns` elements a pixel, out_step apart, no bias. It may be where one of the levels is. */
typedef struct fc_tile {
    const void *a, *b;
    const fc_piece *pieces;
    void *keep;       /* NULL, or where rows of b, which lie b_step elements apart then, are copied closely (full tiles) */
    ptrdiff_t b_step;
    fc_ahead *ahead;  /* NULL, or what is fetched at the start of each piece */
    ptrdiff_t count, step, chain;
    int rows, vectors, last, split, columns;
    void *const *c;
    void *out;
    ptrdiff_t out_step;
    const void *bias;
} fc_tile;

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

/* dst[k][width], k = (fh, fw, c) flattened from `first`, columns beyond `columns` zero; with split > 1 as fc_tile wants it. */
typedef struct fc_panel {
    void *dst;
    const char *src;
    ptrdiff_t fh_step, fw_step, c_step, k_step;
    ptrdiff_t fw, c, first, count, columns, width;
    int kind, split;
} fc_panel;

/* out[p][j] = activation(c[p][j] + bias[j]); bias may be NULL. One of c_row, c_col is 1; at most 8
 * columns where it is c_row. */
typedef struct fc_store {
    const void *c;
    ptrdiff_t c_row, c_col;
    ptrdiff_t rows, columns;
    char *out;
    ptrdiff_t out_row, out_col;
    const void *bias;
    int activation, kind;
} fc_store;

/* Lanes along x. out[o][x] = sum_t src[taps[t] + x] * w[t][o] for `outputs` outputs and vectors * lanes pixels, in chains of
 * `chain` terms; `sums` has a place for all these results at each level. */
typedef struct fc_planar {
    const void *src, *w;
    const ptrdiff_t *taps;
    ptrdiff_t count, chain;
    int outputs, vectors;
    void *sums, *out;
    ptrdiff_t out_step;
} fc_planar;

/* One plane, stride 1. out[r][x] = sum_{i,j} src[(r + i) * src_step + j * tap_step + x] * w[i * fw + j], r < rows <= 4,
 * in chains of at most FC_CHAIN terms; `sums` has a place for 4 rows at each level. A long sum may come in parts of whole chains:
 * `chains` have been summed before, and `last` says whether out gets the result; until then it stays in `sums`. */
typedef struct fc_rows {
    const void *src, *w;
    ptrdiff_t src_step, tap_step, fh, fw, chains;
    int rows, vectors, last;
    void *sums, *out;
    ptrdiff_t out_step;
} fc_rows;

/* Lanes along channels. out[p][ch] = sum_t src[taps[t] + p * step + ch] * w[t * w_step + ch] for one vector of channels, in
 * chains of `chain` terms; `sums` has a place for all these results at each level. */
typedef struct fc_channels {
    const void *src, *w;
    const ptrdiff_t *taps;
    ptrdiff_t count, chain, step, w_step;
    int pixels;
    void *sums, *out;
    ptrdiff_t out_step;
} fc_channels;

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

#define FC_MAX_VECTORS 4

/* ---- distances (distance.h) ---- */

/* What a tile adds up over k for the numbers a, b and the weight w (1 where there is none), and in a second sum. */
enum {
    FC_SQUARE,     /* w (a - b)^2 */
    FC_CITYBLOCK,  /* w |a - b| */
    FC_CHEBYSHEV,  /* max |a - b|, w a mask */
    FC_CANBERRA,   /* w |a - b| / (|a| + |b|), a and b as FC_SIZES leaves them */
    FC_BRAYCURTIS, /* w |a - b|; w |a + b|, only where the statistics are NaN */
    FC_HAMMING,    /* w (a != b) */
    FC_CUBE,       /* w |a - b|^3 */
    FC_QUARTIC,    /* w |a - b|^4 */
    FC_HALVES,     /* w |a - b|^p, p a whole number and a half */
    FC_POWER,      /* w |a - b|^p */
    FC_JENSEN,     /* p log p + q log q - (p + q) log((p + q) / 2), a = (p, p log p + p), b = (q, q log q + q), log to base 2 */
    FC_DICE,       /* w (a (1 - b) + b (1 - a)); w a b */
    FC_SPLIT,      /* w (a > b); w (a < b) */
    FC_PRODUCT,    /* 2 - 2 a b, or (a - b)^2 where that is small: the same for rows of norm 1 */
    FC_BITS,       /* set bits of a and b */
    FC_WORDS,      /* (a - b)^2 of numbers in two words each */
    FC_FORM,       /* (a - b) (g - h), g = a S and h = b S in two words each: the quadratic form of S, whose sums may be negative */
    FC_SAME        /* w (a = b = 1), w (a = b = 0): formed after FC_SPLIT, in c3 and c4 */
};

/* What becomes of the sums c, c2, the statistics s of the row and t of the column, and n. */
enum {
    FC_AS_IS, FC_ROOT, FC_PTH_ROOT, FC_RATIO /* c / (s + t), c2 for NaN */, FC_SHARE /* c / n, NaN from s, t */,
    FC_COSINE /* c / 2, at most 2, NaN from s, t */,
    FC_ENTROPY, FC_DICE_RATIO,
    /* from the counts of true-true, true-false, false-true: */
    FC_HAMMING_BITS, FC_JACCARD, FC_DICE_BITS, FC_ROGERSTANIMOTO, FC_RUSSELLRAO, FC_SOKALSNEATH, FC_YULE
};

/* What is done to a row before it is packed; its statistic. */
enum {
    FC_PLAIN,       /* nothing; 0 */
    FC_FINITE,      /* nothing; NaN where a number is NaN or infinite, else 0 */
    FC_SIZES,       /* (x, |x| + tiny); NaN where a number is outside 2^-30..2^30 (2^-64..2^100) and not 0, else 0 */
    FC_POSITIVE,    /* nothing; the sum of w x, NaN where a number is negative or NaN */
    FC_KNOWN,       /* nothing; NaN where a number is NaN, else 0 */
    FC_UNIT,        /* times sqrt(w), over its norm; 0, or NaN for a row without a norm */
    FC_CENTRED,     /* less its (weighted) mean, then as FC_UNIT */
    FC_SHARES,      /* over its sum, (p, p log2 p + p); 0, or infinity for a row that is no distribution */
    FC_MAPPED,      /* times a matrix, (d, d), in two words; sum w |x|, as a distance below which their difference cancels */
    FC_BESIDE,      /* (x, x times a matrix in two words); as FC_MAPPED */
    FC_NONZERO,     /* 1 where not 0; 0 */
    FC_PACKED_BITS  /* a bit for each number, 1 where not 0; their sum */
};

/* dst[k][width] of rows' elements first..first+count-1 after preparation, NaN beyond the last row; stats[width]. With dst
 * NULL the statistics alone, of rows that a tile reads in place. Rows come range by range from first = 0 on: statistics
 * add up, and `measures`, FC_MEASURES numbers for each row, are those of the whole row from its first range on; `measured` says
 * that they are known before. `weight` is the sum of w, or d. `row` is scratch of FC_POINT_PIECE or `count` elements, whichever are
 * more, d of them where there is a matrix; `wide` of as many doubles. Rows before `begin` are there already. Steps in bytes. */
#define FC_MEASURES 4
#define FC_POINT_PIECE 4096 /* numbers of a row that are read at once where all must be known before the first is prepared */
typedef struct fc_points {
    void *dst, *stats;
    const char *src;
    ptrdiff_t row_step, col_step, begin, rows, d, first, count, width;
    int kind, prepare, measured;
    const double *w, *matrix;
    double weight, *wide, *measures;
    void *row;
} fc_points;

/* One tile of distances between `rows` rows, a[i * a_row + k * a_col], and `vectors` vectors of columns of b[k][columns].
 * c, c2, c3 and c4 hold the sums between ranges of k, each of them a second word `lost` elements on; `first` starts and `last`
 * finishes them, into dst. FC_POINT_ROWS rows of a are read, however few are computed; those of a metric that prepares them are
 * packed, with a_row 1 and a_col FC_POINT_ROWS. Row i + 1 of dst begins dst_step - i dst_fall elements after row i.
 * Returns, if ranges end, the pass that must follow over all ranges: FC_PASS_LARGEST and FC_PASS_AGAIN, FC_PASS_AGAIN alone, or
 * none, 0. A single range needs no other call. */
#define FC_POINT_ROWS 6
enum { FC_PASS_SUMS, FC_PASS_LARGEST, FC_PASS_AGAIN };
typedef struct fc_pairs {
    const void *a, *b, *w;
    const void *a_stats, *b_stats;
    ptrdiff_t a_row, a_col, count;
    int metric, finish, rows, vectors, first, last, pass;
    double p, n, factor; /* the results are multiplied by the factor */
    void *c, *c2, *c3, *c4;
    ptrdiff_t lost;
    void *dst;
    ptrdiff_t dst_step, dst_fall;
} fc_pairs;

/* Distances of a tile of FC_WORDS or FC_FORM after `pairs`, where mapped points are so near for their sizes that they cancel: formed again
 * from the differences of the points, `a` and `b`, that have only then been mapped. `length`
 * numbers are mapped at once, 2 d elements of `differences` and d of `mapped` are scratch. Computes one such pair, from pair `at`
 * of rows x columns on, and returns whether there was one. */
typedef struct fc_cancelled {
    const fc_pairs *tile;
    const fc_points *a, *b;
    ptrdiff_t columns, at, length;
    void *differences;
    double *mapped;
} fc_cancelled;

/* One small set of distances, m x n of d <= FC_POINT_CHAIN numbers, read and written where they are: elements of the
 * kernel's type, side by side in a row; steps between rows in elements. FC_SQUARE (ending FC_AS_IS or FC_ROOT) or
 * FC_CITYBLOCK, no weights. Returns whether a sum left the safe range, so that `pairs` must compute the set. */
#define FC_POINT_CHAIN 32
typedef struct fc_few {
    const void *a, *b;
    void *out;
    ptrdiff_t a_step, b_step, out_step, m, n, d;
    int metric, finish;
} fc_few;

/* Copies src[r][c] to out + r * out_row + c * out_col, past the caches with `stream`. */
typedef struct fc_emit {
    const void *src;
    ptrdiff_t src_step, rows, columns;
    char *out;
    ptrdiff_t out_row, out_col;
    int kind, stream;
} fc_emit;

/* Gradients of distances. sum[k] = sum_j g_j dD(a, b_j) / da_k, over n prepared rows of b, b_step apart, with their
 * distances D_j to a; rows, w and sum are padded with zeros to whole vectors, `length` numbers. 0 where D_j is 0. Numbers come
 * range by range: FC_PULL_CHEBYSHEV makes g_j 0 once its largest difference is found, and FC_PULL_SIZES adds the denominators of
 * braycurtis to sizes_j, by which FC_PULL_BRAYCURTIS then divides. */
enum { FC_PULL_SQUARE, FC_PULL_ROOT, FC_PULL_CITYBLOCK, FC_PULL_CHEBYSHEV, FC_PULL_POWER, FC_PULL_CANBERRA,
       FC_PULL_BRAYCURTIS, FC_PULL_COSINE, FC_PULL_JENSEN, FC_PULL_WORDS /* second words `length` numbers on */, FC_PULL_SIZES };
typedef struct fc_pull {
    const void *a, *b, *w, *distances;
    void *g, *sizes;
    ptrdiff_t b_step, n, length;
    int kind;
    double p;
    void *sum;
} fc_pull;

/* Through the preparation of a row of d numbers: total, the gradient of the prepared row,
 * becomes factor times that of the row x. */
typedef struct fc_unprepare {
    double *total;
    const char *x;
    ptrdiff_t x_step, d;
    int kind, prepare;
    const double *w, *matrix;
    double factor, *wide;
    void *out;
} fc_unprepare;

/* The k nearest so far of one query: a heap whose first is the farthest, ordered by (distance, index), NaN last. `nearest_sort`
 * orders them in steps, of which `todo` are left; first it rounds the distances as elements of `kind`, which makes ties. */
typedef struct fc_nearest {
    void *distances;
    ptrdiff_t *indices;
    ptrdiff_t held, k, todo;
    int kind;
} fc_nearest;

/* ---- lines of neighbourhoods (lines.h) ---- */

/* What lies outside an array: a number, or one of its own elements, or nothing. */
enum { FC_CONSTANT, FC_NEAREST, FC_REFLECT, FC_MIRROR, FC_WRAP, FC_IGNORE };

/* A line of a block: native elements (float16 as float32) from a 64-byte boundary, a byte each that says whether the
 * element counts (NULL: all do), and whether any is NaN, does not count, or is -0. FC_LINE_SLACK bytes after it may be read. */
enum { FC_LINE_NAN = 1, FC_LINE_HOLES = 2, FC_LINE_MINUS = 4, FC_LINE_SLACK = 576 };
typedef struct fc_line {
    char *at;
    uint8_t *present;
    int flags;
} fc_line;

/* dst[i] = the element at position start + i of an axis of n elements, i < length; `src` is element 0, NULL if the whole
 * line is outside. `cval` is native; `other`, if not 0, is the way in bytes to a part of the element that must not be NaN either
 * where NaN do not count. Returns the line's flags. */
typedef struct fc_fill {
    void *dst;
    uint8_t *present;
    const char *src, *mask;
    ptrdiff_t step, mask_step, other, start, length, n;
    int kind, mask_kind, mode, omit; /* mask_kind: an integer; omit: NaN do not count */
    const void *cval;
} fc_fill;

/* Writes n native elements of kind `source`, src_step bytes apart, as elements of `kind`: integers modulo 2^bits, floats to
 * integers rounded to the nearest that there is. */
typedef struct fc_put {
    char *dst;
    const char *src;
    ptrdiff_t dst_step, src_step, n;
    int kind, source;
} fc_put;

/* The kernels of one real type, with the block sizes that the drivers must use. */
typedef struct fc_real {
    int lanes;                        /* elements of a vector */
    int vectors;                      /* vectors of a full filter panel, at most FC_MAX_VECTORS */
    int rows[FC_MAX_VECTORS + 1];     /* rows[v]: most pixels in a tile of v vectors */
    int split;                        /* most terms that the lanes of a vector may share: 1, 2 or 4 */
    int point_vectors;                /* vectors of a full panel of points, at most FC_MAX_VECTORS */
    int outputs;                      /* most outputs of `planar` */
    int planar[9];                    /* planar[o]: most vectors of `planar` with o outputs (1 always works) */
    int row_group, row_vectors;       /* most rows and vectors of `rows` (fewer rows, or 1 vector, always work) */
    int pixels;                       /* most pixels of `channels` */
    int along_rows, along_vectors;    /* most rows of `along`, and its vectors */
    void (*tile)(const fc_tile *);
    void (*split_tile)(const fc_tile *);
    void (*window)(const fc_window *);
    void (*panel)(const fc_panel *);
    void (*store)(const fc_store *);
    void (*fold)(void *into, const void *from, ptrdiff_t count); /* into += from */
    void (*planar_taps)(const fc_planar *);
    void (*plane_rows)(const fc_rows *);
    void (*channel_taps)(const fc_channels *);
    void (*fetch)(fc_ahead *);
    void (*prefetch)(const char *src, ptrdiff_t rows, ptrdiff_t step, ptrdiff_t bytes); /* rows of bytes, to L2 */
    void (*khatri)(const fc_khatri *);
    void (*thin)(const fc_thin *);
    void (*along)(const fc_along *);
    /* into[m][r] = from[r][m] */
    void (*transpose)(void *into, ptrdiff_t into_step, const void *from, ptrdiff_t from_step, ptrdiff_t rows, ptrdiff_t columns);
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
    void (*points)(const fc_points *);
    int (*pairs)(const fc_pairs *);
    int (*cancelled)(fc_cancelled *);
    int (*few)(const fc_few *);
    void (*emit)(const fc_emit *);
    void (*nearest)(fc_nearest *, const void *distances, ptrdiff_t count, ptrdiff_t first_index);
    void (*nearest_sort)(fc_nearest *, ptrdiff_t steps);
    void (*pull)(const fc_pull *);
    void (*add_wide)(double *into, const void *from, ptrdiff_t count); /* into += from */
    void (*unprepare)(const fc_unprepare *);
    double (*sum)(const void *x, ptrdiff_t count);             /* for the bench: reads every element once */
    double (*fma_chain)(ptrdiff_t steps, double *flops); /* for the bench: the FMA rate of this machine */
} fc_real;

/* ---- named reductions (neighborhood.h) ---- */

/* Results: of the line's type (range: its unsigned one) to FC_NEAR_RANGE; doubles of floats, or 64 bits modulo 2^64, for sum
 * and prod; int64 for count; bytes for any and all; doubles for the others. `wide` ones of integers, exact where others wrap or
 * round: doubles for sum and prod, and for mean the nearest of the line's type; min, max and range of integers as doubles. A
 * `wide` product of at least 2^-24 and less than 2^16 each, or 0, neither overflows nor underflows on the way. Where nothing
 * counts, those that have no value there are `nothing`. */
enum { FC_NEAR_MIN, FC_NEAR_MAX, FC_NEAR_RANGE, FC_NEAR_SUM, FC_NEAR_PROD, FC_NEAR_MEAN, FC_NEAR_VAR, FC_NEAR_STD,
       FC_NEAR_COUNT, FC_NEAR_ANY, FC_NEAR_ALL };

/* Results first .. n - 1 of a line; `lines` begins with the first line of its window, run i covers run_length[i] taps from run_start[i]
 * of lines[run_line[i]]. Reads up to 64 elements beyond the last. */
typedef struct fc_near {
    const fc_line *lines;
    const ptrdiff_t *run_line, *run_start, *run_length;
    ptrdiff_t runs, cells, first, n;
    int reduction, wide, holes; /* FC_LINE_HOLES: some cells may not count; FC_LINE_MINUS: some may be -0 */
    double ddof, nothing;
    void *out;
} fc_near;

/* Boxes along one axis. Operations: FC_OP_NAN lets NaN through, as one NaN, and makes -0 less than 0. */
enum { FC_OP_MIN = 0, FC_OP_MAX = 1, FC_OP_NAN = 2 };

/* out[o * step][x] = op of rows[(o + t) * step][x], t < window, o < count, x < n and, if n is less than a vector, to its end.
 * `columns` returns whether a row may hold a NaN or a -0, unless `op` is FC_OP_NAN. */
typedef struct fc_columns {
    const void *const *rows;
    void *const *out;
    ptrdiff_t step, window, count, n;
    int op;
} fc_columns;

/* out[i][x] = op of src[i][x .. x + window - 1], i < count, x < n, and not beyond. `spare` is a line that may be overwritten,
 * src[0] itself if it may and there are no others. Reads up to a vector beyond the last. */
typedef struct fc_row {
    const void *const *src;
    void *const *out;
    void *spare;
    ptrdiff_t window, n, count;
    int op;
} fc_row;

/* ---- order statistics (select.h) ----
 *
 * `rows` are the lines of a block as keys: unsigned integers in the order of the values, those that do not count the
 * greatest; where all count, `box` and `cells` take unsigned integers and floats as they are. Results of outputs
 * first .. n - 1 go to lines of keys with room for FC_SELECT_ROOM more. */
enum { FC_SELECT_ROOM = 128, FC_SELECT_CHUNK = 64 };

/* The cell at position (count - 1) * quantile of those that count, between two cells if `share` is not 0; with a negative
 * quantile that of a rank, the nearest there is, counted from the end if negative. Passes first_pass .. end_pass - 1 of the
 * bits of an element and two over the runs first_run .. end_run - 1; if that is not all, of one chunk of outputs, and `state`,
 * 2 * FC_SELECT_CHUNK numbers, goes from one call to the next. */
typedef struct fc_select {
    const void *const *rows;
    const fc_line *lines;
    const ptrdiff_t *run_line, *run_start, *run_length;
    ptrdiff_t runs, cells, first, n;
    int holes;
    double quantile;
    ptrdiff_t rank;
    void *low, *high; /* high: the next cell, NULL if it is not wanted */
    double *share;
    ptrdiff_t *count;
    ptrdiff_t first_run, end_run;
    int first_pass, end_pass;
    ptrdiff_t *state;
} fc_select;

/* Rank `rank` of boxes, and the next if `high` is not NULL: `count` lines of n outputs of rows[0 .. count + height - 2], the
 * lines themselves. Writes n results, or FC_ABREAST vectors of them if n is less. `spare` holds sorted_room(height, width)
 * bytes from a 64-byte boundary. */
typedef struct fc_box {
    const void *const *rows;
    void *const *low, *const *high;
    ptrdiff_t n, count, height, width, rank;
    void *spare;
} fc_box;

/* The same of windows of any shape, for a column of 1 << levels lines of outputs, the first `outputs` of them: each 1 << l
 * outputs have cells[l] cells that twice as many do not all have, each at from + offset; offsets of all outputs first, then
 * those of both halves and so on. `spare` holds sorted_room(1, cells of a window) bytes. */
enum { FC_CELL_LEVELS = 2 };

typedef struct fc_cells {
    const void *from;
    const ptrdiff_t *offset;
    ptrdiff_t cells[FC_CELL_LEVELS + 1], n, rank;
    int levels, outputs, pair;
    void *low[1 << FC_CELL_LEVELS], *high[1 << FC_CELL_LEVELS];
    void *spare;
} fc_cells;

/* The most frequent value, the least of several; or the entropy in bits, if `logs` holds round(c * log2(c) * scale) of each
 * count c up to most_logs. `zeros`: the keys of -0 and 0, floats, are one value. `moving`: a histogram, of elements of at most
 * 16 bits, which must be `wide` for more than FC_NARROW_COUNT cells and for the mode of 16 bits; else windows are sorted, at most `room` cells at once: of
 * more than that, one output a call, which returns whether the same call must come again after a pass or two over the cells,
 * and keeps `so_far` between calls.
 * `spare` holds tally_room(..) bytes from a 64-byte boundary. */
enum { FC_NARROW_COUNT = 65535 };
typedef struct fc_so_far {
    int begun, bit; /* the next bit of the span */
    ptrdiff_t most, n;
    int64_t sum;
    uint64_t from, span, mode; /* the least key that has not been seen; so far n cells have one from there to span more */
} fc_so_far;

typedef struct fc_tally {
    const void *const *rows;
    const fc_line *lines;
    const ptrdiff_t *run_line, *run_start, *run_length;
    ptrdiff_t runs, cells, first, n;
    int holes, zeros;
    void *spare, *mode;
    double *entropy;
    const int64_t *logs;
    double scale;
    ptrdiff_t *count;
    ptrdiff_t most_logs, room;
    int moving, wide;
    fc_so_far *so_far;
} fc_tally;

/* Values to results: doubles if `real`, else of the line's type, between two integers the nearest, of halves the even one.
 * Nothing counting gives `nothing`, and a NaN in `extreme` (may be NULL) gives NaN.
 * Without low the results are there already, without high they are low. */
typedef struct fc_ranked {
    const void *low, *high, *extreme;
    const double *share;
    const ptrdiff_t *count;
    ptrdiff_t n;
    int real;
    double nothing;
    void *out;
} fc_ranked;

/* out[o][x] = op of lines[o * count + t][x], t < count, o < piles, x < n, and not beyond. Reads up to a vector beyond the last. */
typedef struct fc_pile {
    const void *const *lines;
    void *const *out;
    ptrdiff_t count, piles, n;
    int op;
} fc_pile;

/* ---- sums of boxes (sums.h) ----
 *
 * Wide lines hold doubles; if of integers and without `squares`, uint32 for elements of up to 16 bits and uint64 for others, modulo
 * 2^bits. With `squares` the sums of the squares of the distances from the mean stand `half` bytes further on, and those of double
 * elements are relative to the first of each window, which stands 2 * half bytes further on.
 *
 * Columns: out[o * step][x] = the sum of rows[(o * every + t) * step][x], t < window, o < count, x < n and up to FC_FOLD_STRIP
 * bytes beyond, written and read. `rows` are lines of elements if `raw`, else wide lines whose numbers stand for `cells`
 * elements each. Needs 2 (with squares 5) times FC_FOLD_STRIP * ((count - 1) * every + window + 1) bytes of space.
 * Rows: out[0][x] = the sum of rows[0][x + t], window > 1, not raw, x < n and up to a vector beyond; n + window - 1 numbers and a
 * vector of `out` (two where rows widen) are overwritten. */
enum { FC_FOLD_STRIP = 128 };
typedef struct fc_fold {
    const void *const *rows;
    void *const *out;
    ptrdiff_t step, window, every, count, n, half, cells;
    int raw, squares;
    char *space;
    char *const *ahead; /* of rows: where the results will go, lines of `ahead_step` bytes a number, claimed meanwhile */
    ptrdiff_t aheads, ahead_step;
} fc_fold;

/* A wide line as n results of a reduction (sum, mean, var, std; var and std only of local sums) over `cells` elements each.
 * The numbers are `doubles`, or integers, of which there are sum and mean. kind: FC_F32 or FC_F64 of doubles; the integers
 * themselves for sum; FC_F64 for mean, and FC_U8, rounded to nearest, of bytes and at most FC_FOLD_BYTES cells. */
enum { FC_FOLD_BYTES = 8192, FC_NARROW_CELLS = 65535 / 255 };
typedef struct fc_finish {
    const void *wide;
    void *out;
    ptrdiff_t half, n, cells;
    int reduction, kind, doubles;
    double ddof;
} fc_finish;

/* ---- large boxes (parts.h) ----
 *
 * A part is what some cells that follow each other come to: doubles (SUM), uint64 modulo 2^64 (WHOLE, HIGH: of the upper halves of
 * 64-bit elements, NONZERO and PRESENT: counts), elements (LEAST, GREATEST), or FC_MOMENT_PLANES(bytes of an integer, or 0)
 * planes of doubles, `plane` numbers apart. */
enum { FC_PART_SUM, FC_PART_WHOLE, FC_PART_HIGH, FC_PART_NONZERO, FC_PART_PRESENT, FC_PART_MOMENTS, FC_PART_LEAST,
       FC_PART_GREATEST, FC_PARTS };
#define FC_MOMENT_PLANES(integer) ((integer) == 8 ? 5 : 4)

/* to[x] = the part of line[x] alone, x < n, and not beyond; present: NULL if all count. */
typedef struct fc_lift {
    void *to;
    const void *line;
    const uint8_t *present;
    ptrdiff_t plane, n;
    int part;
} fc_lift;

/* to[x] = a[x] and then b[x], x < n in that order, and not beyond: `to` may be a, or a part of it further on be b. Reads up to a
 * vector beyond. */
typedef struct fc_join {
    void *to;
    const void *a, *b;
    ptrdiff_t plane, n;
    int part;
} fc_join;

/* n results, of the kinds that fc_near has, from the parts of windows that a reduction needs; without FC_PART_PRESENT each
 * window has `cells` that count. */
typedef struct fc_conclude {
    const void *parts[FC_PARTS];
    void *out;
    ptrdiff_t plane, n, cells;
    int reduction, wide;
    double ddof, nothing;
} fc_conclude;

/* Elements of 0 or 1 and bits in stripes (bits.h). pack: bit k of bits[i] = elements[k * stripe + i], i < bytes and up to a vector
 * beyond; what is read beyond the last element may be anything. unpack: elements[x] = bit x / stripe of (bits & also)[x % stripe],
 * x < count, and not beyond. With a `flip` of 255, not 0, the bits are the opposites. */
typedef struct fc_stripes {
    uint8_t *elements, *bits;
    const uint8_t *also;
    ptrdiff_t stripe, bytes, count;
    uint8_t flip;
} fc_stripes;

/* out[i] = src[i + terms[0]] | src[i + terms[1]] and so on, t < count, i < bytes and up to a vector beyond; `out` may be src. */
typedef struct fc_merge {
    const uint8_t *src;
    uint8_t *out;
    const ptrdiff_t *terms;
    ptrdiff_t count, bytes;
} fc_merge;

/* The kernels of one element type. */
typedef struct fc_elements {
    int bytes;
    void (*near)(const fc_near *);
    int (*columns)(const fc_columns *);
    void (*row)(const fc_row *);
    void (*keys)(void *to, const void *from, const uint8_t *present, ptrdiff_t n); /* present: NULL if all count */
    void (*values)(void *line, ptrdiff_t n);                                     /* keys to values, in place */
    void (*ranked)(const fc_ranked *);
    /* Not of signed integers; select and tally of unsigned ones only. */
    ptrdiff_t (*sorted_room)(ptrdiff_t height, ptrdiff_t width);
    void (*box)(const fc_box *);
    void (*cells)(const fc_cells *);
    void (*select)(const fc_select *);
    int (*tally)(const fc_tally *);
    ptrdiff_t (*tally_room)(ptrdiff_t room, ptrdiff_t runs, int moving, int wide); /* room: of cells, if windows are sorted */
    void (*pile)(const fc_pile *);
    void (*subtract)(void *out, const void *from, const void *what, ptrdiff_t n); /* out = from - what, modulo 2^bits */
    void (*nonzero)(uint8_t *out, const void *src, ptrdiff_t n); /* out = src != 0, in src itself for bytes */
    void (*fold_columns)(const fc_fold *);
    void (*fold_row)(const fc_fold *);
    void (*finish)(const fc_finish *);
    void (*lift)(const fc_lift *);
    void (*join)(const fc_join *);
    void (*conclude)(const fc_conclude *);
} fc_elements;

#define FC_GATHER 32

typedef struct fc_kernels {
    const char *name;
    fc_real f32, f64;
    fc_elements elements[10]; /* by kind: FC_U8 - 16 and so on, then float, double */
    fc_elements narrow;       /* bytes with sums of 16 bits, for boxes of at most FC_NARROW_CELLS cells */
    fc_elements widening;     /* the same but for sums of rows, of 32 bits: for boxes with at most half as many in a column */
    /* c[i] += w * src[i], i < n, modulo 2^64; `step` in bytes */
    void (*integer_axpy)(uint64_t *c, const char *src, ptrdiff_t step, ptrdiff_t n, uint64_t w, int kind);
    ptrdiff_t (*boundary)(ptrdiff_t position, ptrdiff_t n, int mode); /* the index that is there, -1 for none */
    int (*fill_line)(const fc_fill *);
    /* Of a line of native elements at dst: fills in what lies outside the array from what lies inside. */
    void (*fill_ends)(const fc_fill *, void *const *lines, ptrdiff_t count);
    void (*put_line)(const fc_put *);
    /* dst[i * pitch + c] = src[i * step + c] for c < size bytes and i < n, in pieces of FC_GATHER bytes: less than that is
     * read and written beyond each. */
    void (*gather)(char *dst, ptrdiff_t pitch, const char *src, ptrdiff_t step, ptrdiff_t n, ptrdiff_t size);
    void (*pack)(const fc_stripes *);
    void (*unpack)(const fc_stripes *);
    void (*merge)(const fc_merge *);
} fc_kernels;

/* Fills the tables, at import: once, before any thread asks for one. */
void fc_fill_tables(void);

/* Table i of those that this machine (processor and operating system) can run, from best to worst; NULL beyond the last. */
const fc_kernels *fc_table(int i);

#endif
