/* The table of distances. Next hop: distance.h, which fills it. */
#ifndef FC_DISTANCE_TABLE_H
#define FC_DISTANCE_TABLE_H

#include "base/table.h"

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
    FC_DISCORDANT, /* w (a > b); w (a < b) */
    FC_PRODUCT,    /* 2 - 2 a b, or (a - b)^2 where that is small: the same for rows of norm 1 */
    FC_BITS,       /* set bits of a and b */
    FC_WORDS,      /* (a - b)^2 of numbers in two words each */
    FC_FORM,       /* (a - b) (g - h), g = a S and h = b S in two words each: the quadratic form of S, sums may be negative */
    FC_CONCORDANT  /* w (a = b = 1), w (a = b = 0): formed after FC_DISCORDANT, in `largest` and `careful` */
};

/* What becomes of the sums c and the second sums c2, the statistics s of the row and t of the column, and n. */
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

/* How many numbers a preparation makes of each number of a point; FC_PACKED_BITS makes one of many. */
static inline int fc_prepared_numbers(int prepare)
{
    return prepare == FC_BESIDE ? 3 : prepare == FC_SIZES || prepare == FC_SHARES || prepare == FC_MAPPED ? 2 : 1;
}

/* Whether tiles read rows of the kernels' own kind where they are. */
static inline int fc_reads_in_place(int prepare)
{
    return prepare == FC_PLAIN || prepare == FC_FINITE || prepare == FC_KNOWN || prepare == FC_POSITIVE;
}

#define FC_MEASURES 4
/* Numbers of a row that are read at once where all must be known before the first is prepared. */
#define FC_POINT_PIECE 4096

/* Rows of points: dst[k][width] of rows' elements first..first+count-1 after preparation, NaN beyond the last row; stats[width].
 * With dst NULL the statistics alone, of rows that a tile reads in place. Rows come range by range from first = 0 on: statistics
 * add up, and `measures`, FC_MEASURES numbers for each row, are those of the whole row from its first range on; `measured` says
 * that they are known before. `weight` is the sum of w, or d. `row` is scratch of min(d, FC_POINT_PIECE) or `count` elements,
 * whichever are more (of FC_PACKED_BITS as many as the range has bits, or d), d of them where there is a matrix; `wide` of as
 * many doubles. Rows before `begin` are there already. Steps in bytes. */
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
 * What is summed so far lies between ranges of k in FC_POINT_ROWS x columns elements each of `sums`, `second_sums`, `largest`,
 * the largest differences by which careful sums are scaled, and `careful`, those sums (the last two hold FC_CONCORDANT's), each
 * with a second word `lost` elements on; `first` starts and `last` ends them, in dst. FC_POINT_ROWS rows of a are read, however
 * few are computed; those of a metric that prepares them are packed, with a_row 1 and a_col FC_POINT_ROWS. b, b_stats and the
 * sums are aligned to a vector. Row i + 1 of dst begins dst_step - i dst_fall elements after row i, and has whole vectors.
 * Returns, if ranges end, the pass that must follow over all ranges: FC_PASS_LARGEST and FC_PASS_AGAIN, FC_PASS_AGAIN alone, or
 * none, 0. A single range needs no other call. */
#define FC_POINT_ROWS 6
enum { FC_PASS_SUMS, FC_PASS_LARGEST, FC_PASS_AGAIN };
typedef struct fc_pairs {
    const void *a, *b, *w;
    const void *a_stats, *b_stats;
    ptrdiff_t a_row, a_col, count;
    int metric, ending, rows, vectors, first, last, pass;
    double p, n, factor; /* the results are multiplied by the factor */
    void *sums, *second_sums, *largest, *careful;
    ptrdiff_t lost;
    void *dst;
    ptrdiff_t dst_step, dst_fall;
} fc_pairs;

/* Distances of a tile of FC_WORDS or FC_FORM after `pairs`, where mapped points are so near for their sizes that they cancel:
 * formed again from the differences of the points, `a` and `b`, that have only then been mapped. `length` numbers are mapped at
 * once, 2 d elements of `differences` and d of `mapped` are scratch. Computes one such pair, from pair `at` of rows x columns on,
 * and returns whether there was one. */
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
typedef struct fc_unpacked {
    const void *a, *b;
    void *out;
    ptrdiff_t a_step, b_step, out_step, m, n, d;
    int metric, ending;
} fc_unpacked;

/* Copies src[r][c] to out + r * out_row + c * out_col, as elements of `kind`, past the caches with `stream`. */
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

/* Back through the preparation of a row of d numbers: out = factor times the gradient of the row x, from `total`, that of the
 * prepared row, which is scratch then, as `wide` is, of d doubles. */
typedef struct fc_unprepare {
    double *total;
    const char *x;
    ptrdiff_t x_step, d;
    int kind, prepare;
    const double *w, *matrix;
    double factor, *wide;
    void *out;
} fc_unprepare;

/* The k nearest so far of one query: a heap whose first is the farthest, ordered by (distance, index), NaN last. `heap_sort`
 * orders them in steps, of which `todo` are left: held + held / 2, and `held` more with which it first rounds the distances as
 * elements of `kind`, which makes ties. */
typedef struct fc_heap {
    void *distances;
    ptrdiff_t *indices;
    ptrdiff_t held, k, todo;
    int kind;
} fc_heap;

/* The kernels of one real type, with the block sizes that the drivers must use. */
typedef struct fc_distance_kernels {
    int vectors; /* vectors of a full panel of points, at most FC_MAX_VECTORS */
    void (*points)(const fc_points *);
    int (*pairs)(const fc_pairs *);
    int (*cancelled)(fc_cancelled *);
    int (*unpacked)(const fc_unpacked *);
    void (*emit)(const fc_emit *);
    void (*heap_add)(fc_heap *, const void *distances, ptrdiff_t count, ptrdiff_t first_index);
    void (*heap_sort)(fc_heap *, ptrdiff_t steps);
    void (*pull)(const fc_pull *);
    void (*add_wide)(double *into, const void *from, ptrdiff_t count); /* into += from */
    void (*unprepare)(const fc_unprepare *);
} fc_distance_kernels;

typedef struct fc_distance {
    fc_distance_kernels real[2]; /* float, double */
} fc_distance;

#endif
