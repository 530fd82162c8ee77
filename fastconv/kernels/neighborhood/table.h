/* The table of neighbourhoods. Next hops: lines.h, which loads lines; neighborhood.h, which fills in named reductions; ranks.h,
 * order statistics.
 *
 * Lines that kernels read and write begin at any element unless a contract says more. Where it says that a kernel reads beyond
 * the last element, what stands there changes no result. */
#ifndef FC_NEIGHBORHOOD_TABLE_H
#define FC_NEIGHBORHOOD_TABLE_H

#include "base/table.h"

/* ---- lines of neighbourhoods (lines.h) ---- */

/* A line of a block: native elements (float16 as float32) from a 64-byte boundary; `present`, a byte each that says whether the
 * element counts (NULL: all do); whether any is NaN, is masked (does not count), or is -0. FC_LINE_SLACK bytes after it may be
 * read. */
enum { FC_LINE_NAN = 1, FC_LINE_MASKED = 2, FC_LINE_MINUS = 4, FC_LINE_SLACK = 576 };
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

/* ---- named reductions of any window (plain.h) ---- */

/* Results: of the line's type (range: its unsigned one) to FC_REDUCE_RANGE; doubles of floats, or 64 bits modulo 2^64, for sum
 * and prod; int64 for count; bytes for any and all; doubles for the others. `wide` ones of integers are exact where others wrap
 * or round: doubles for sum and prod; for mean the nearest integer, of the line's type; doubles for min, max and range. A
 * `wide` product of floats that are 0 or at least 2^-24 and less than 2^16 neither overflows nor underflows on the way. Where
 * nothing counts, reductions that have no value there give `nothing`. */
enum { FC_REDUCE_MIN, FC_REDUCE_MAX, FC_REDUCE_RANGE, FC_REDUCE_SUM, FC_REDUCE_PROD, FC_REDUCE_MEAN, FC_REDUCE_VAR,
       FC_REDUCE_STD, FC_REDUCE_COUNT, FC_REDUCE_ANY, FC_REDUCE_ALL };

/* Results first .. n - 1 of a line of them; `lines` begins with the first line of its window, run i covers run_length[i] taps
 * from run_start[i] of lines[run_line[i]]. Reads up to 63 elements, and bytes of `present`, beyond the last of each run. */
typedef struct fc_reduce {
    const fc_line *lines;
    const ptrdiff_t *run_line, *run_start, *run_length;
    ptrdiff_t runs, cells, first, n;
    int reduction, wide, masked; /* FC_LINE_MASKED: some cells may not count; FC_LINE_MINUS: some may be -0 */
    double ddof, nothing;
    void *out;
} fc_reduce;

/* ---- least and greatest (extremes.h) ---- */

/* Operations: with FC_OP_NAN, of floats alone, a NaN makes its results NaN, all of one pattern, and -0 is less than 0. */
enum { FC_OP_MIN = 0, FC_OP_MAX = 1, FC_OP_NAN = 2 };

/* out[o * step][x] = op of rows[(o + t) * step][x], t < window, o < count, x < n and, if n is less than a vector, to its end,
 * read and written. With FC_OP_NAN a NaN has any pattern yet. Returns whether a row may hold a NaN or a -0, unless `op` has
 * FC_OP_NAN. */
typedef struct fc_extreme_columns {
    const void *const *rows;
    void *const *out;
    ptrdiff_t step, window, count, n;
    int op;
} fc_extreme_columns;

/* out[i][x] = op of src[i][x .. x + window - 1], i < count, x < n, and not beyond. `spare` is a line that may be overwritten,
 * src[0] itself if it may be and there are no others. Reads of `src`, and writes to `spare`, up to FC_LINE_SLACK bytes beyond the
 * last of the n + window - 1 elements. */
typedef struct fc_extreme_rows {
    const void *const *src;
    void *const *out;
    void *spare;
    ptrdiff_t window, n, count;
    int op;
} fc_extreme_rows;

/* out[o][x] = op of lines[o * count + t][x], t < count, o < stacks, x < n, and not beyond. Reads up to a vector beyond
 * the last. */
typedef struct fc_extreme_stacks {
    const void *const *lines;
    void *const *out;
    ptrdiff_t count, stacks, n;
    int op;
} fc_extreme_stacks;

/* ---- order statistics (ranks.h) ----
 *
 * `rows` are the lines of a block as keys: unsigned integers in the order of the values, those that do not count the
 * greatest; where all count, rank_box and rank_cells take unsigned integers and floats as they are. Results of outputs
 * first .. n - 1 go to lines of keys with room for FC_SELECT_ROOM more. */
enum { FC_SELECT_ROOM = 128, FC_SELECT_CHUNK = 64 };

/* The cell at position (count - 1) * quantile of those that count, between two cells if `fraction` is not 0; with a negative
 * quantile that of a rank, the nearest there is, counted from the end if negative. Passes first_pass .. end_pass - 1 of the
 * bits of an element and two over the runs first_run .. end_run - 1; if that is not all, of one chunk of outputs, and `state`,
 * 2 * FC_SELECT_CHUNK numbers, goes from one call to the next. Reads up to FC_SELECT_CHUNK - 1 keys, and bytes of `present`,
 * beyond the last of each run. */
typedef struct fc_select {
    const void *const *rows;
    const fc_line *lines;
    const ptrdiff_t *run_line, *run_start, *run_length;
    ptrdiff_t runs, cells, first, n;
    int masked;
    double quantile;
    ptrdiff_t rank;
    void *low, *high; /* high: the next cell, NULL if it is not wanted */
    double *fraction;
    ptrdiff_t *count;
    ptrdiff_t first_run, end_run;
    int first_pass, end_pass;
    ptrdiff_t *state;
} fc_select;

enum { FC_REGISTER_CELLS = 16 }; /* that are sorted at once, in registers */

/* Rank `rank` of boxes, and the next if `high` is not NULL: `count` lines of n outputs of rows[0 .. count + height - 2], the
 * lines themselves. Writes n results, or two vectors of them if n is less, and reads as many elements, with width - 1 more.
 * `spare` holds rank_room(height, width) bytes from a 64-byte boundary. */
typedef struct fc_rank_box {
    const void *const *rows;
    void *const *low, *const *high;
    ptrdiff_t n, count, height, width, rank;
    void *spare;
} fc_rank_box;

/* The same of windows of any shape, for a column of 1 << levels lines of outputs, the first `outputs` of them: each 1 << l
 * outputs have cells[l] cells that twice as many do not all have, each at from + offset; offsets of all outputs first, then
 * those of both halves and so on. `spare` holds rank_room(1, cells of a window) bytes. */
enum { FC_CELL_LEVELS = 2 };

typedef struct fc_rank_cells {
    const void *from;
    const ptrdiff_t *offset;
    ptrdiff_t cells[FC_CELL_LEVELS + 1], n, rank;
    int levels, outputs, pair;
    void *low[1 << FC_CELL_LEVELS], *high[1 << FC_CELL_LEVELS];
    void *spare;
} fc_rank_cells;

/* The most frequent value, the least of several; or the entropy in bits, if `logs` holds round(c * log2(c) * scale) of each
 * count c up to most_logs. `zeros`: the keys of -0 and 0, floats, are one value. `moving`: a histogram, of elements of at most
 * 16 bits, which must be `wide` for more than FC_NARROW_COUNT cells and for the mode of 16 bits. Else windows are sorted, at most
 * `room` cells at once; where a window has more, a call takes one output and returns whether the same call must come again,
 * after a pass or two over the cells: `so_far` is kept between such calls, and begins with begun = 0.
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
    int masked, zeros;
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
 * Without `low` the results stand in `out` already, as doubles; without `high` they are `low`. */
typedef struct fc_finish_ranks {
    const void *low, *high, *extreme;
    const double *fraction;
    const ptrdiff_t *count;
    ptrdiff_t n;
    int real;
    double nothing;
    void *out;
} fc_finish_ranks;

/* ---- sums of boxes (box_sums.h) ----
 *
 * Wide lines hold doubles; those of integers without `squares` hold uint32 for elements of up to 16 bits and uint64 for others,
 * modulo 2^bits. With `squares` the sums of the squares of the distances from the mean stand `half` bytes further on, and sums of
 * double elements are relative to the first of each window, which stands 2 * half bytes further on.
 *
 * sum_columns: out[o * step][x] = the sum of rows[(o * every + t) * step][x], t < window, o < count, x < n and, if n numbers are
 * less than FC_SUM_STRIP bytes or 4 vectors, up to FC_SUM_STRIP bytes beyond, read and written. `rows` are lines of
 * elements if `raw`, else wide lines whose numbers stand for `cells` elements each, window > 1. Needs
 * FC_SUM_SPACE((count - 1) * every + window) bytes of `space`, from a multiple of 8. Where FC_BY_BLOCKS, the order of additions
 * follows from where in blocks of `window` rows a window begins: the first at row `phase` of all.
 * sum_row: out[0][x] = the sum of rows[0][x + t], window > 1, not raw, x < n, of wide numbers; reads up to a vector beyond the
 * n + window - 1 numbers, and writes as many, and a vector (two where rows widen), to `out`. The numbers of a window of
 * FC_LONG_ROW bytes and more join in an order that follows from where in blocks of FC_ROW_UNITS units of FC_ROW_UNIT bytes it
 * begins: the first at number `phase` < FC_ROW_PHASE. Such rows read and write that many numbers before out[0] and up to 2 blocks
 * behind, read FC_ROW_UNIT bytes beyond the line (of first elements 2 blocks, and `phase` before), and need
 * FC_ROW_SPACE(n + window) bytes of `space`. */
enum { FC_SUM_STRIP = 128, FC_SUM_AREAS = 5 };
#define FC_SUM_SPACE(rows) (FC_SUM_AREAS * FC_SUM_STRIP * ((rows) + 1))
enum { FC_TALL_WINDOW = 5 };
/* Sums of 4-byte floats, which doubles hold to far below their last bit. */
#define FC_BY_BLOCKS(bytes, window) ((bytes) == 4 && (window) >= FC_TALL_WINDOW)
enum { FC_LONG_ROW = 4096, FC_ROW_UNIT = 64, FC_ROW_UNITS = 16, FC_ROW_PHASE = FC_ROW_UNITS * FC_ROW_UNIT / 8 };
#define FC_ROW_SPACE(numbers) (6 * FC_ROW_UNIT * ((numbers) / FC_ROW_PHASE + 4))
typedef struct fc_sums {
    const void *const *rows;
    void *const *out;
    ptrdiff_t step, window, every, count, n, half, cells, phase;
    int raw, squares;
    char *space;
    char *const *ahead; /* of rows: ahead_lines places where results will go, ahead_step bytes a number, prefetched for writing */
    ptrdiff_t ahead_lines, ahead_step;
} fc_sums;

/* A wide line as n results of a reduction (sum, mean, var, std; var and std only of sums with squares) over `cells` elements
 * each. The numbers are `doubles`, or integers, of which there are sum and mean. kind: FC_F32 or FC_F64 of doubles; the integers
 * themselves for sum, at least 32 bits; FC_F64 for mean, and FC_U8, rounded to nearest, of bytes and at most FC_MEAN_CELLS. */
enum { FC_MEAN_CELLS = 8192, FC_NARROW_CELLS = 65535 / 255 };
typedef struct fc_finish_sums {
    const void *wide;
    void *out;
    ptrdiff_t half, n, cells;
    int reduction, kind, doubles;
    double ddof;
} fc_finish_sums;

/* Sums of `window` integers become their means, cut off toward 0: out[x] of the line's type, or wide[x] itself without `out`,
 * x < n. Of elements of up to 32 bits, 1 < window <= FC_CUT_WINDOW; of 16-bit sums up to FC_NARROW_CELLS. */
enum { FC_CUT_WINDOW = 32767 };
typedef struct fc_cut_means {
    void *wide, *out;
    ptrdiff_t n, window;
} fc_cut_means;

/* ---- large boxes (box_parts.h) ----
 *
 * A part is what some cells that follow each other come to: doubles (SUM), uint64 modulo 2^64 (WHOLE; HIGH, of the upper halves
 * of 64-bit elements; NONZERO and PRESENT, counts), elements (LEAST, GREATEST), or FC_MOMENT_PLANES(bytes of an integer, or 0)
 * planes of doubles, `plane` numbers apart. */
enum { FC_PART_SUM, FC_PART_WHOLE, FC_PART_HIGH, FC_PART_NONZERO, FC_PART_PRESENT, FC_PART_MOMENTS, FC_PART_LEAST,
       FC_PART_GREATEST, FC_PARTS };
#define FC_MOMENT_PLANES(integer) ((integer) == 8 ? 5 : 4)

/* to[x] = the part of line[x] alone, x < n, and not beyond; present: NULL if all count. */
typedef struct fc_lift_parts {
    void *to;
    const void *line;
    const uint8_t *present;
    ptrdiff_t plane, n;
    int part;
} fc_lift_parts;

/* to[x] = a[x] and then b[x], x < n in that order, and not beyond: `to` may be a, or a part of it further on be b. Reads up to a
 * vector beyond. */
typedef struct fc_join_parts {
    void *to;
    const void *a, *b;
    ptrdiff_t plane, n;
    int part;
} fc_join_parts;

/* n results, of the kinds that fc_reduce has, from the parts of windows that a reduction needs; without FC_PART_PRESENT each
 * window has `cells` that count. */
typedef struct fc_finish_parts {
    const void *parts[FC_PARTS];
    void *out;
    ptrdiff_t plane, n, cells;
    int reduction, wide;
    double ddof, nothing;
} fc_finish_parts;

/* ---- operations of compiled functions (operations.h) ----
 *
 * dst[i] = a[i] op b[i], i < n, as NumPy computes it for arrays of this type: integers modulo 2^bits, quotients by 0 that are
 * floored and their remainders 0; FC_DO_FMOD and FC_DO_COPYSIGN are of floats alone. `scalars`: 1 and 2 say that a and b are one
 * element for all i. Comparisons write bytes of 0 and 1. FC_DO_SELECT: a[i] where the byte c[i] is not 0, else b[i];
 * FC_DO_ADD_PRODUCT: a[i] b[i] + c[i], c of this type; FC_DO_CAST: a[i], of `kind`, in this type. `dst` may be a, b or c, if
 * their elements are of one size. exp and hypot are within 2 units in the last place, other functions within 4 (cbrt, and beyond
 * 1e8, of floats 1e5, sin, cos and tan are the C library's), zeros, infinities and NaN as C has them; what they give of an
 * element does not depend on where it is.
 *
 * From FC_DO_SUM on the operation is over count > 0 operands, terms[t][i], t < count, and reads and writes up to a vector beyond
 * n: FC_DO_DOT: times weights[t]; FC_DO_SQUARES and FC_DO_DISTANCES: of (terms[t][i] - a[i])^2 and |terms[t][i] - a[i]|, where
 * `scalars` 1 says that a is one element. Of integers there are sum to greatest. `kind` 1: no operand of least, greatest or
 * FC_DO_NETWORK is NaN.
 *
 * Of floats: FC_DO_PRODUCTS, the sum of terms[t][i] weights[t] from the first on, each product and sum rounded; FC_DO_PAIR_SUMS
 * and FC_DO_PAIR_DIFFERENCES, the same of terms[0], terms[1] + terms[2] and so on, or terms[1] - terms[2].
 *
 * FC_DO_NETWORK: the operands, wires 0 .. count - 1, at most FC_MOST_WIRES, are sorted, each FC_REGISTER_CELLS of them alone,
 * NaN last. Then `weights`, of 16 bits, tells how many comparators there are, how many outputs, and how many wires, n; the two
 * wires of each comparator, of which the first gets the lesser; n wires that are in order then, and the other wires in their
 * order; for each output of which rank to which it is the sum: NaN if the last is. Outputs go to terms[count] and so on, which
 * may be operands. */
enum {
    FC_DO_ADD, FC_DO_SUBTRACT, FC_DO_MULTIPLY, FC_DO_DIVIDE, FC_DO_MINIMUM, FC_DO_MAXIMUM, FC_DO_FMIN, FC_DO_FMAX, FC_DO_POWER,
    FC_DO_HYPOT, FC_DO_ARCTAN2, FC_DO_AND, FC_DO_OR, FC_DO_XOR, FC_DO_LEFT_SHIFT, FC_DO_RIGHT_SHIFT, FC_DO_FLOOR_DIVIDE,
    FC_DO_REMAINDER, FC_DO_FMOD, FC_DO_COPYSIGN,
    FC_DO_LESS, FC_DO_LESS_EQUAL, FC_DO_EQUAL, FC_DO_NOT_EQUAL,
    FC_DO_COPY, FC_DO_NEGATIVE, FC_DO_ABSOLUTE, FC_DO_SIGN, FC_DO_INVERT, FC_DO_SQRT, FC_DO_FLOOR, FC_DO_CEIL, FC_DO_RINT,
    FC_DO_TRUNC, FC_DO_EXP, FC_DO_LOG, FC_DO_LOG2, FC_DO_LOG10, FC_DO_EXPM1, FC_DO_LOG1P, FC_DO_SIN, FC_DO_COS, FC_DO_TAN,
    FC_DO_TANH, FC_DO_ARCTAN, FC_DO_CBRT, FC_DO_EXP2, FC_DO_SINH, FC_DO_COSH, FC_DO_ARCSIN, FC_DO_ARCCOS,
    FC_DO_SELECT, FC_DO_ADD_PRODUCT, FC_DO_CAST,
    FC_DO_SUM, FC_DO_PROD, FC_DO_LEAST, FC_DO_GREATEST, FC_DO_DOT, FC_DO_SQUARES, FC_DO_DISTANCES, FC_DO_NETWORK,
    FC_DO_PRODUCTS, FC_DO_PAIR_SUMS, FC_DO_PAIR_DIFFERENCES
};
enum { FC_MOST_WIRES = 128 };
typedef struct fc_operation {
    int code, scalars, kind;
    void *dst;
    const void *a, *b, *c;
    const void *const *terms;
    const void *weights;
    ptrdiff_t count, n;
} fc_operation;

/* ---- weighted sums (weights.h) ----
 *
 * Of lines of floats or doubles; sums are doubles, or, with `singles`, the same weights, floats. Results are as sums are if
 * `wide`, else of the lines' type. Where products are `fused` they are not rounded before they are added; of lines of doubles
 * none is, of sums in floats all are. Reads up to FC_LINE_SLACK bytes beyond lines (FC_ACROSS, of n of a vector and more,
 * nothing), and writes nothing beyond n.
 *
 * weigh: out[o][x] = sum of weights[t] rows[o + t][x], o < count, x < n, t < taps, FC_ALONG of weights[t] rows[o][x + t]. FC_CROSS:
 * of weights[t] rows[o + t][x + 1], t < 3, and of weights[3 + t] rows[o + 1][x + t], both FC_SYMMETRIC, not fused, not `wide` and
 * as the lines' type before they are added.
 * The order of the terms is SciPy's: the middle one and then pairs around it, of which cells are added (FC_SYMMETRIC) or
 * subtracted first, or, FC_UNORDERED, the last one and then from the first on. Sums in floats are cut off to integers, and those
 * closer than `doubt` to one are formed in doubles before; with a negative `doubt` they are integers. Needs
 * FC_WEIGHTS_SPACE(taps) bytes of `space`, from a multiple of 64, for at most FC_WEIGHED of rows and columns.
 *
 * correlate: out[o][x] = sum of weights[p][k][s] rows[p * lines + o + k][x + s] over planes p, k < height, s < width, in this
 * order, o < count, x < n; of those cells alone that are `present`, unless that is NULL. `rows` are there for a multiple of 4
 * outputs: `lines` is that and height - 1.
 *
 * join: a += b, a *= a, a = sqrt(a), or a = a as a float, of lines of n elements. to_reals and from_reals make floats, or
 * doubles, of integers, and cut off what is behind the point; keep_whole does both. */
enum { FC_UNORDERED, FC_SYMMETRIC, FC_ANTISYMMETRIC };
enum { FC_ACROSS, FC_ALONG, FC_CROSS };
enum { FC_JOIN_SUM, FC_JOIN_SQUARE, FC_JOIN_ROOT, FC_JOIN_ROUND };
enum { FC_WEIGHED = 256 };
#define FC_WEIGHTS_SPACE(taps) (((taps) + FC_WEIGHED + 32) * 64)
typedef struct fc_weighted {
    const void *const *rows;
    void *const *out;
    const double *weights;
    const float *singles;
    ptrdiff_t taps, n, count;
    int order, along, fused, wide;
    float doubt;
    char *space;
} fc_weighted;

typedef struct fc_correlated {
    const void *const *rows;
    void *const *out;
    const double *weights;
    const float *singles;
    const uint8_t *present;
    ptrdiff_t planes, height, width, n, count;
    int wide;
} fc_correlated;

/* ---- booleans as bits (bits.h) ---- */

/* Elements of 0 or 1 and bits in stripes. pack_bits: bit k of bits[i] = elements[k * stripe + i], i < bytes and up to a vector
 * beyond; what is read beyond the last element may be anything. unpack_bits: elements[x] = bit x / stripe of
 * (bits & also)[x % stripe], x < count <= 8 * stripe, and not beyond; reads a vector at least. With a `flip` of 255, not 0, the
 * bits are the opposites. */
typedef struct fc_stripes {
    uint8_t *elements, *bits;
    const uint8_t *also;
    ptrdiff_t stripe, bytes, count;
    uint8_t flip;
} fc_stripes;

/* out[i] = src[i + terms[0]] | src[i + terms[1]] and so on, t < count, i < bytes and up to a vector beyond; `out` may be src if
 * no term is negative. */
typedef struct fc_merge {
    const uint8_t *src;
    uint8_t *out;
    const ptrdiff_t *terms;
    ptrdiff_t count, bytes;
} fc_merge;

/* ---- flood fills (flood.h) ----
 *
 * A word: FC_FLOOD_BITS pixels of a line, the first in the lowest bit. `open`: those that may be set but are not; `set`: those
 * that are and have passed it on; `fresh`: those that are or will be passed on, by a word in the queue, after which `next`
 * comes. What is in none of them never changes. */
enum { FC_FLOOD_BITS = 64 };
typedef struct fc_flood_word {
    uint64_t open, set, fresh;
    ptrdiff_t next;
} fc_flood_word;

/* Words, and the queue of them from `first`, -1 if it is empty, to `last`. From a word at `at` what is set passes to words
 * at + target[t], t < targets, if they are low .. high - 1: its bits, rotated to the left by turn[i] < FC_FLOOD_BITS, as far as
 * they are in kept[i], for each i < end[t] that is not one of the target before, and one at least; and within the word to the
 * next higher bit (`up`) and the next lower one (`down`). */
typedef struct fc_flood {
    fc_flood_word *words;
    ptrdiff_t low, high, first, last;
    const ptrdiff_t *target, *end;
    const int64_t *turn;
    const uint64_t *kept;
    ptrdiff_t targets;
    int up, down;
} fc_flood;

/* flood_begin: fills in the words from `at` on with n pixels that are set, and may be, where bytes are not 0 (with a flip: where
 * they are 0), and reads no more; `set` NULL: none is set; `may` NULL: all may be. Of those that may, the first `head` and those
 * from `tail` on are set, too. */
typedef struct fc_flood_line {
    const uint8_t *set, *may;
    ptrdiff_t at, n, head, tail;
    int flip_set, flip_may;
} fc_flood_line;

/* ---- the table ---- */

/* The kernels of one element type. */
typedef struct fc_elements {
    int bytes;
    void (*reduce)(const fc_reduce *);
    int (*extreme_columns)(const fc_extreme_columns *);
    void (*extreme_rows)(const fc_extreme_rows *);
    void (*extreme_stacks)(const fc_extreme_stacks *);
    void (*subtract)(void *out, const void *from, const void *what, ptrdiff_t n); /* out = from - what, modulo 2^bits */
    void (*nonzero)(uint8_t *out, const void *src, ptrdiff_t n); /* out = src != 0, in src itself for bytes */
    void (*keys)(void *to, const void *from, const uint8_t *present, ptrdiff_t n); /* present: NULL if all count */
    void (*values)(void *line, ptrdiff_t n); /* keys to values, in place */
    void (*finish_ranks)(const fc_finish_ranks *);
    /* Not of signed integers; select and tally of unsigned ones only. */
    ptrdiff_t (*rank_room)(ptrdiff_t height, ptrdiff_t width);
    void (*rank_box)(const fc_rank_box *);
    void (*rank_cells)(const fc_rank_cells *);
    void (*select)(const fc_select *);
    int (*tally)(const fc_tally *);
    ptrdiff_t (*tally_room)(ptrdiff_t room, ptrdiff_t runs, int moving, int wide); /* room: of cells, if windows are sorted */
    void (*sum_columns)(const fc_sums *);
    void (*sum_row)(const fc_sums *);
    void (*finish_sums)(const fc_finish_sums *);
    void (*cut_means)(const fc_cut_means *); /* of integers */
    void (*lift_parts)(const fc_lift_parts *);
    void (*join_parts)(const fc_join_parts *);
    void (*finish_parts)(const fc_finish_parts *);
    void (*operation)(const fc_operation *);
    /* Of reals; then of integers. */
    void (*weigh)(const fc_weighted *);
    void (*correlate)(const fc_correlated *);
    void (*join)(void *a, const void *b, ptrdiff_t n, int how);
    void (*to_reals)(void *to, const void *from, ptrdiff_t n, int doubles);
    void (*from_reals)(void *to, const void *from, ptrdiff_t n, int doubles);
    void (*keep_whole)(void *line, ptrdiff_t n, int doubles);
} fc_elements;

#define FC_GATHER 32

typedef struct fc_neighborhood {
    fc_elements elements[10]; /* by kind: FC_U8 - 16 and so on, then float, double */
    fc_elements narrow;       /* bytes with sums of 16 bits, for boxes of at most FC_NARROW_CELLS cells */
    fc_elements widening;     /* the same but for sums of rows, of 32 bits: for boxes with at most half as many in a column */
    int (*fill_line)(const fc_fill *);
    /* Of native lines: fills in what lies outside the array from what lies inside, which must hold all that is repeated. */
    void (*fill_ends)(const fc_fill *, void *const *lines, ptrdiff_t count);
    void (*put_line)(const fc_put *);
    /* dst[i * pitch + c] = src[i * step + c] for c < size bytes and i < n, in pieces of FC_GATHER bytes: less than that is
     * read and written beyond each. */
    void (*gather)(char *dst, ptrdiff_t pitch, const char *src, ptrdiff_t step, ptrdiff_t n, ptrdiff_t size);
    void (*pack_bits)(const fc_stripes *);
    void (*unpack_bits)(const fc_stripes *);
    void (*merge_bits)(const fc_merge *);
    void (*flood_begin)(fc_flood *, const fc_flood_line *);
    void (*flood_some)(fc_flood *, ptrdiff_t most); /* at most so many words of the queue */
    void (*flood_again)(fc_flood *, ptrdiff_t first, ptrdiff_t end); /* lets words pass on again what is set */
    void (*flood_end)(const fc_flood_word *, uint8_t *elements, ptrdiff_t n, int flip); /* 1 where set, or not with a flip */
} fc_neighborhood;

#endif
