/* What all stems share: how elements lie in memory, the register tile with its panels, storing, long sums. Next hops: tile.h,
 * pack.h; base.h fills the table. Kernels run on one thread, allocate nothing and know no Python. Steps and offsets are counted in
 * elements where a pointer is typed by the table's real type, and in bytes where it is `const char *`.
 */
#ifndef FC_BASE_TABLE_H
#define FC_BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* How an element lies in memory; FC_SWAPPED is added for the other byte order. */
enum { FC_F16, FC_F32, FC_F64, FC_SWAPPED = 8 };

/* Integers as elements: 16 + 2 log2(size) + signed; FC_SWAPPED is added likewise. */
enum { FC_U8 = 16, FC_I8, FC_U16, FC_I16, FC_U32, FC_I32, FC_U64, FC_I64 };

/* Added to FC_U8 for the result of fc_put, and to any kind of mask: 1 for what is not 0. Added to a 64-bit kind for results from
 * that of the other sign: the nearest there is, not modulo 2^64. */
enum { FC_TRUTH = 64, FC_NEAREST_WHOLE = 128, FC_KINDS = 23 }; /* FC_KINDS: the bits of the kind itself */

/* Sums of products of integers, in lanes of 32 or 64 bits, modulo 2^32 or 2^64 (products.h): of factors of 16 bits, two to
 * a lane of 32 bits, and the same where the machine has an instruction for a pair with its sum; of signed factors of 32 bits;
 * of any. */
enum { FC_SUMS_16, FC_SUMS_16_DOT, FC_SUMS_32, FC_SUMS_64 };

/* How integers of 16 bits or fewer make up the lanes of FC_SUMS_16, low and high half: x and 0; two that follow each other; x and
 * ~x, which filters meet as w and -2^15. Those of uint16 are less 2^15. A product of twins is x (w + 2^15) + 2^15. */
enum { FC_SINGLES, FC_COUPLES, FC_TWINS };

/* What lies outside an array: a number, or one of its own elements, or nothing. */
enum { FC_CONSTANT, FC_NEAREST, FC_REFLECT, FC_MIRROR, FC_WRAP, FC_IGNORE };

/* The source index of position i on an axis of n > 0 elements, -1 outside where nothing is repeated. */
static inline ptrdiff_t fc_boundary(ptrdiff_t i, ptrdiff_t n, int mode)
{
    if (i >= 0 && i < n)
        return i;
    if (mode == FC_CONSTANT || mode == FC_IGNORE)
        return -1;
    if (mode == FC_NEAREST)
        return i < 0 ? 0 : n - 1;
    if (mode == FC_MIRROR && n == 1)
        return 0;
    const ptrdiff_t period = mode == FC_REFLECT ? 2 * n : mode == FC_MIRROR ? 2 * n - 2 : n;
    i %= period;
    i += i < 0 ? period : 0;
    if (i < n)
        return i;
    return mode == FC_REFLECT ? period - 1 - i : period - i;
}

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
 * aligned to a vector, as b is. The call of the last chain leaves the result (plus `bias`, if any) in `out`.
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

/* dst[k][width], k = (fh, fw, c) flattened from `first`, columns beyond `columns` zero; with split > 1 as fc_tile wants it.
 * `form`: FC_REALS, or src are complex numbers w[k][j], and dst what multiplies neighbours that are a real and an imaginary part:
 * both parts of w in neighbouring columns, FC_COLUMNS, or FC_BLOCKS of 2 terms and 2 columns, ((re, im), (-im, re)); terms and
 * columns are those of dst, `odd` says that the first of these is an imaginary part.
 * Panels of FC_SUMS_16: c counts `words`, c_step apart, whose halves are `half` bytes apart; there are `halves` of them. */
enum { FC_REALS, FC_COLUMNS, FC_BLOCKS };
typedef struct fc_panel {
    void *dst;
    const char *src;
    ptrdiff_t fh_step, fw_step, c_step, k_step;
    ptrdiff_t fw, c, first, count, columns, width;
    int kind, split, form, odd, words;
    ptrdiff_t half, halves;
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

#define FC_MAX_VECTORS 4
#define FC_MAX_LANES 16

/* The kernels of one real type, with the block sizes that the drivers must use. */
typedef struct fc_base_kernels {
    int lanes;                    /* elements of a vector, at most FC_MAX_LANES */
    int vectors;                  /* vectors of a full panel, at most FC_MAX_VECTORS */
    int rows[FC_MAX_VECTORS + 1]; /* rows[v]: most pixels in a tile of v vectors */
    void (*tile)(const fc_tile *);
    void (*panel)(const fc_panel *);
    void (*store)(const fc_store *); /* FC_LINEAR alone */
    void (*add)(void *into, const void *from, ptrdiff_t count); /* into += from */
    /* into[m][r] = from[r][m] */
    void (*transpose)(void *into, ptrdiff_t into_step, const void *from, ptrdiff_t from_step, ptrdiff_t rows, ptrdiff_t columns);
    void (*prefetch)(const char *src, ptrdiff_t rows, ptrdiff_t step, ptrdiff_t bytes); /* rows of bytes, to L2 */
    double (*sum)(const void *x, ptrdiff_t count);       /* for the bench: reads whole groups of 8 vectors once */
    double (*fma_chain)(ptrdiff_t steps, double *flops); /* for the bench: the FMA rate of this machine */
} fc_base_kernels;

typedef struct fc_base {
    fc_base_kernels real[2]; /* float, double */
} fc_base;

#endif
