"""The kernel table as the drivers see it; kernels/kernels.h has the contracts."""
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t, uint8_t, uint64_t


cdef extern from "kernels/kernels.h" nogil:
    enum:
        FC_F16, FC_F32, FC_F64, FC_SWAPPED, FC_CHAIN, FC_GROUP, FC_MAX_VECTORS

    enum:
        FC_U8, FC_TRUTH, FC_NEAREST_WHOLE, FC_KINDS, FC_DOT_VECTORS

    ctypedef struct fc_piece:
        ptrdiff_t offset, length, ends

    ctypedef struct fc_ahead:
        const char *at
        ptrdiff_t row_lines, skip, left, count, each

    ctypedef struct fc_tile:
        const void *a
        const void *b
        const fc_piece *pieces
        void *keep
        ptrdiff_t b_step
        fc_ahead *ahead
        ptrdiff_t count, step, chain
        int rows, vectors, last, split, columns
        void **c
        void *out
        ptrdiff_t out_step
        const void *bias

    ctypedef struct fc_window:
        void *dst
        ptrdiff_t dst_row, dst_col, dst_channel
        const char *src
        ptrdiff_t src_row, src_col, src_channel
        const ptrdiff_t *row_index
        const ptrdiff_t *col_index
        ptrdiff_t inside, inside_end, inside_gap
        ptrdiff_t rows, cols, channels, repeat
        int kind
        double fill

    ctypedef struct fc_panel:
        void *dst
        const char *src
        ptrdiff_t fh_step, fw_step, c_step, k_step
        ptrdiff_t fw, c, first, count, columns, width
        int kind, split

    ctypedef struct fc_store:
        const void *c
        ptrdiff_t c_row, c_col
        ptrdiff_t rows, columns
        char *out
        ptrdiff_t out_row, out_col
        const void *bias
        int activation, kind

    ctypedef struct fc_planar:
        const void *src
        const void *w
        const ptrdiff_t *taps
        ptrdiff_t count, chain
        int outputs, vectors
        void *sums
        void *out
        ptrdiff_t out_step

    ctypedef struct fc_rows:
        const void *src
        const void *w
        ptrdiff_t src_step, tap_step, fh, fw, chains
        int rows, vectors, last
        void *sums
        void *out
        ptrdiff_t out_step

    ctypedef struct fc_channels:
        const void *src
        const void *w
        const ptrdiff_t *taps
        ptrdiff_t count, chain, step, w_step
        int pixels
        void *sums
        void *out
        ptrdiff_t out_step

    ctypedef struct fc_pair_run:
        ptrdiff_t x, y, length

    ctypedef struct fc_khatri:
        void *dst
        const void *x
        const void *y
        ptrdiff_t x_step, y_step, m, width
        const fc_pair_run *runs
        ptrdiff_t count

    enum:
        FC_THIN_ROWS

    ctypedef struct fc_along:
        const void *a
        const void *b
        const void *fetch
        ptrdiff_t a_step, b_step, fetch_step, length
        int rows
        void *c

    ctypedef struct fc_thin:
        const void *at[3]
        ptrdiff_t rows[3]
        ptrdiff_t row[3]
        ptrdiff_t ahead[3]
        ptrdiff_t n
        void *sums

    enum:
        FC_AS_IS, FC_ROOT, FC_SQUARE, FC_CITYBLOCK, FC_BITS, FC_JENSEN, FC_POINT_CHAIN, FC_POINT_ROWS, FC_PACKED_BITS, FC_MAPPED,
        FC_PLAIN, FC_FINITE, FC_KNOWN, FC_POSITIVE, FC_CANBERRA, FC_MEASURES, FC_WORDS, FC_FORM, FC_POINT_PIECE, FC_PASS_SUMS,
        FC_PASS_LARGEST, FC_PASS_AGAIN, FC_PULL_BRAYCURTIS, FC_PULL_SIZES

    ctypedef struct fc_points:
        void *dst
        void *stats
        const char *src
        ptrdiff_t row_step, col_step, begin, rows, d, first, count, width
        int kind, prepare, measured
        const double *w
        const double *matrix
        double weight
        double *wide
        double *measures
        void *row

    ctypedef struct fc_pairs:
        const void *a
        const void *b
        const void *w
        const void *a_stats
        const void *b_stats
        ptrdiff_t a_row, a_col, count
        int metric, finish, rows, vectors, first, last
        int pass_ "pass"
        double p, n, factor
        void *c
        void *c2
        void *c3
        void *c4
        ptrdiff_t lost
        void *dst
        ptrdiff_t dst_step, dst_fall

    ctypedef struct fc_cancelled:
        const fc_pairs *tile
        const fc_points *a
        const fc_points *b
        ptrdiff_t columns, at, length
        void *differences
        double *mapped

    ctypedef struct fc_few:
        const void *a
        const void *b
        void *out
        ptrdiff_t a_step, b_step, out_step, m, n, d
        int metric, finish

    ctypedef struct fc_emit:
        const void *src
        ptrdiff_t src_step, rows, columns
        char *out
        ptrdiff_t out_row, out_col
        int kind, stream

    ctypedef struct fc_nearest:
        void *distances
        ptrdiff_t *indices
        ptrdiff_t held, k, todo
        int kind

    ctypedef struct fc_pull:
        const void *a
        const void *b
        const void *w
        const void *distances
        void *g
        void *sizes
        ptrdiff_t b_step, n, length
        int kind
        double p
        void *sum

    ctypedef struct fc_unprepare:
        double *total
        const char *x
        ptrdiff_t x_step, d
        int kind, prepare
        const double *w
        const double *matrix
        double factor
        double *wide
        void *out

    enum:
        FC_CONSTANT, FC_NEAREST, FC_REFLECT, FC_MIRROR, FC_WRAP, FC_IGNORE
        FC_I8, FC_U16, FC_I16, FC_U32, FC_I32, FC_U64, FC_I64
        FC_LINE_NAN, FC_LINE_HOLES, FC_LINE_MINUS, FC_LINE_SLACK

    ctypedef struct fc_line:
        char *at
        uint8_t *present
        int flags

    ctypedef struct fc_fill:
        void *dst
        uint8_t *present
        const char *src
        const char *mask
        ptrdiff_t step, mask_step, other, start, length, n
        int kind, mask_kind, mode, omit
        const void *cval

    ctypedef struct fc_put:
        char *dst
        const char *src
        ptrdiff_t dst_step, src_step, n
        int kind, source

    enum:
        FC_NEAR_MIN, FC_NEAR_MAX, FC_NEAR_RANGE, FC_NEAR_SUM, FC_NEAR_PROD, FC_NEAR_MEAN, FC_NEAR_VAR, FC_NEAR_STD
        FC_NEAR_COUNT, FC_NEAR_ANY, FC_NEAR_ALL

    ctypedef struct fc_near:
        const fc_line *lines
        const ptrdiff_t *run_line
        const ptrdiff_t *run_start
        const ptrdiff_t *run_length
        ptrdiff_t runs, cells, first, n
        int reduction, wide, holes
        double ddof, nothing
        void *out

    enum:
        FC_OP_MIN, FC_OP_MAX, FC_OP_NAN

    ctypedef struct fc_columns:
        const void *const *rows
        void *const *out
        ptrdiff_t step, window, count, n
        int op

    ctypedef struct fc_row:
        const void *const *src
        void *const *out
        void *spare
        ptrdiff_t window, n, count
        int op

    enum:
        FC_SELECT_ROOM, FC_SELECT_CHUNK, FC_NARROW_COUNT
        FC_CELL_LEVELS

    ctypedef struct fc_select:
        const void *const *rows
        const fc_line *lines
        const ptrdiff_t *run_line
        const ptrdiff_t *run_start
        const ptrdiff_t *run_length
        ptrdiff_t runs, cells, first, n
        int holes
        double quantile
        ptrdiff_t rank
        void *low
        void *high
        double *share
        ptrdiff_t *count
        ptrdiff_t first_run, end_run
        int first_pass, end_pass
        ptrdiff_t *state

    ctypedef struct fc_box:
        const void *const *rows
        void *const *low
        void *const *high
        ptrdiff_t n, count, height, width, rank
        void *spare

    ctypedef struct fc_cells:
        const void *from_ "from"
        const ptrdiff_t *offset
        ptrdiff_t cells[FC_CELL_LEVELS + 1]
        ptrdiff_t n, rank
        int levels, outputs, pair
        void *low[1 << FC_CELL_LEVELS]
        void *high[1 << FC_CELL_LEVELS]
        void *spare

    ctypedef struct fc_so_far:
        int begun

    ctypedef struct fc_tally:
        const void *const *rows
        const fc_line *lines
        const ptrdiff_t *run_line
        const ptrdiff_t *run_start
        const ptrdiff_t *run_length
        ptrdiff_t runs, cells, first, n
        int holes, zeros
        void *spare
        void *mode
        double *entropy
        const int64_t *logs
        double scale
        ptrdiff_t *count
        ptrdiff_t most_logs, room
        int moving, wide
        fc_so_far *so_far

    ctypedef struct fc_ranked:
        const void *low
        const void *high
        const void *extreme
        const double *share
        const ptrdiff_t *count
        ptrdiff_t n
        int real
        double nothing
        void *out

    ctypedef struct fc_pile:
        const void *const *lines
        void *const *out
        ptrdiff_t count, piles, n
        int op

    enum:
        FC_FOLD_STRIP, FC_FOLD_BYTES, FC_NARROW_CELLS

    ctypedef struct fc_fold:
        const void *const *rows
        void *const *out
        ptrdiff_t step, window, every, count, n, half, cells
        int raw, squares
        char *space
        char *const *ahead
        ptrdiff_t aheads, ahead_step

    ctypedef struct fc_finish:
        const void *wide
        void *out
        ptrdiff_t half, n, cells
        int reduction, kind, doubles
        double ddof

    enum:
        FC_PART_SUM, FC_PART_WHOLE, FC_PART_HIGH, FC_PART_NONZERO, FC_PART_PRESENT, FC_PART_MOMENTS, FC_PART_LEAST
        FC_PART_GREATEST, FC_PARTS

    int FC_MOMENT_PLANES(int integer) noexcept nogil

    ctypedef struct fc_lift:
        void *to
        const void *line
        const uint8_t *present
        ptrdiff_t plane, n
        int part

    ctypedef struct fc_join:
        void *to
        const void *a
        const void *b
        ptrdiff_t plane, n
        int part

    ctypedef struct fc_conclude:
        const void *parts[FC_PARTS]
        void *out
        ptrdiff_t plane, n, cells
        int reduction, wide
        double ddof, nothing

    ctypedef struct fc_stripes:
        uint8_t *elements
        uint8_t *bits
        const uint8_t *also
        ptrdiff_t stripe, bytes, count
        uint8_t flip

    ctypedef struct fc_merge:
        const uint8_t *src
        uint8_t *out
        const ptrdiff_t *terms
        ptrdiff_t count, bytes

    ctypedef struct fc_elements:
        int bytes
        void (*near)(const fc_near *) noexcept nogil
        int (*columns)(const fc_columns *) noexcept nogil
        void (*row)(const fc_row *) noexcept nogil
        void (*keys)(void *to, const void *from_, const uint8_t *present, ptrdiff_t n) noexcept nogil
        void (*values)(void *line, ptrdiff_t n) noexcept nogil
        void (*ranked)(const fc_ranked *) noexcept nogil
        ptrdiff_t (*sorted_room)(ptrdiff_t height, ptrdiff_t width) noexcept nogil
        void (*box)(const fc_box *) noexcept nogil
        void (*cells)(const fc_cells *) noexcept nogil
        void (*select)(const fc_select *) noexcept nogil
        int (*tally)(const fc_tally *) noexcept nogil
        ptrdiff_t (*tally_room)(ptrdiff_t room, ptrdiff_t runs, int moving, int wide) noexcept nogil
        void (*pile)(const fc_pile *) noexcept nogil
        void (*subtract)(void *out, const void *from_, const void *what, ptrdiff_t n) noexcept nogil
        void (*nonzero)(uint8_t *out, const void *src, ptrdiff_t n) noexcept nogil
        void (*fold_columns)(const fc_fold *) noexcept nogil
        void (*fold_row)(const fc_fold *) noexcept nogil
        void (*finish)(const fc_finish *) noexcept nogil
        void (*lift)(const fc_lift *) noexcept nogil
        void (*join)(const fc_join *) noexcept nogil
        void (*conclude)(const fc_conclude *) noexcept nogil

    ctypedef struct fc_real:
        int lanes
        int vectors
        int point_vectors
        int rows[5]
        int split
        int outputs
        int planar[9]
        int row_group, row_vectors
        int pixels, along_rows, along_vectors
        void (*tile)(const fc_tile *) noexcept nogil
        void (*split_tile)(const fc_tile *) noexcept nogil
        void (*window)(const fc_window *) noexcept nogil
        void (*panel)(const fc_panel *) noexcept nogil
        void (*store)(const fc_store *) noexcept nogil
        void (*fold)(void *into, const void *from_, ptrdiff_t count) noexcept nogil
        void (*planar_taps)(const fc_planar *) noexcept nogil
        void (*plane_rows)(const fc_rows *) noexcept nogil
        void (*channel_taps)(const fc_channels *) noexcept nogil
        void (*fetch)(fc_ahead *ahead) noexcept nogil
        void (*prefetch)(const char *src, ptrdiff_t rows, ptrdiff_t step, ptrdiff_t bytes) noexcept nogil
        void (*khatri)(const fc_khatri *) noexcept nogil
        void (*thin)(const fc_thin *) noexcept nogil
        void (*along)(const fc_along *) noexcept nogil
        void (*transpose)(void *into, ptrdiff_t into_step, const void *from_, ptrdiff_t from_step, ptrdiff_t rows,
                          ptrdiff_t columns) noexcept nogil
        void (*adjust)(void *into, const void *from_, ptrdiff_t rows, ptrdiff_t count, ptrdiff_t step, const double *mean,
                       const void *weights) noexcept nogil
        void (*widen)(double *into, const void *from_, ptrdiff_t count, int accumulate) noexcept nogil
        void (*narrow)(void *into, const double *from_, ptrdiff_t count, double scale) noexcept nogil
        void (*scale_rows)(void *into, ptrdiff_t step, const void *from_, const void *weights, ptrdiff_t rows,
                           ptrdiff_t width) noexcept nogil
        void (*axpy)(void *c, const void *src, ptrdiff_t step, const void *w, ptrdiff_t rows, ptrdiff_t n) noexcept nogil
        void (*dot)(void *c, const void *src, ptrdiff_t step, const void *w, ptrdiff_t rows, ptrdiff_t n,
                    int accumulate) noexcept nogil
        void (*points)(const fc_points *) noexcept nogil
        int (*pairs)(const fc_pairs *) noexcept nogil
        int (*cancelled)(fc_cancelled *) noexcept nogil
        int (*few)(const fc_few *) noexcept nogil
        void (*emit)(const fc_emit *) noexcept nogil
        void (*nearest)(fc_nearest *, const void *distances, ptrdiff_t count, ptrdiff_t first_index) noexcept nogil
        void (*nearest_sort)(fc_nearest *, ptrdiff_t steps) noexcept nogil
        void (*pull)(const fc_pull *) noexcept nogil
        void (*add_wide)(double *into, const void *from_, ptrdiff_t count) noexcept nogil
        void (*unprepare)(const fc_unprepare *) noexcept nogil
        double (*sum)(const void *x, ptrdiff_t count) noexcept nogil
        double (*fma_chain)(ptrdiff_t steps, double *flops) noexcept nogil

    enum:
        FC_GATHER

    ctypedef struct fc_kernels:
        const char *name
        fc_real f32
        fc_real f64
        fc_elements elements[10]
        fc_elements narrow
        fc_elements widening
        void (*integer_axpy)(uint64_t *c, const char *src, ptrdiff_t step, ptrdiff_t n, uint64_t w, int kind) noexcept nogil
        ptrdiff_t (*boundary)(ptrdiff_t position, ptrdiff_t n, int mode) noexcept nogil
        int (*fill_line)(const fc_fill *) noexcept nogil
        void (*fill_ends)(const fc_fill *, void *const *lines, ptrdiff_t count) noexcept nogil
        void (*put_line)(const fc_put *) noexcept nogil
        void (*gather)(char *dst, ptrdiff_t pitch, const char *src, ptrdiff_t step, ptrdiff_t n, ptrdiff_t size) noexcept nogil
        void (*pack)(const fc_stripes *) noexcept nogil
        void (*unpack)(const fc_stripes *) noexcept nogil
        void (*merge)(const fc_merge *) noexcept nogil

    void fc_fill_tables() noexcept nogil
    const fc_kernels *fc_table(int i) noexcept nogil
