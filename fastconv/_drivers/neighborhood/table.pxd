"""What the drivers call; kernels/neighborhood/table.h has the contracts."""
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t, uint8_t, uint64_t


cdef extern from "neighborhood/table.h" nogil:
    enum:
        FC_LINE_NAN, FC_LINE_MASKED, FC_LINE_MINUS, FC_LINE_SLACK, FC_REDUCE_MIN, FC_REDUCE_MAX, FC_REDUCE_RANGE,
        FC_REDUCE_SUM, FC_REDUCE_PROD, FC_REDUCE_MEAN, FC_REDUCE_VAR, FC_REDUCE_STD, FC_REDUCE_COUNT, FC_REDUCE_ANY,
        FC_REDUCE_ALL, FC_OP_MIN, FC_OP_MAX, FC_OP_NAN, FC_SELECT_ROOM, FC_SELECT_CHUNK, FC_NARROW_COUNT, FC_CELL_LEVELS,
        FC_SUM_STRIP, FC_MEAN_CELLS, FC_NARROW_CELLS, FC_CUT_WINDOW, FC_LONG_ROW, FC_ROW_UNIT, FC_ROW_UNITS, FC_ROW_PHASE,
        FC_PART_SUM, FC_PART_WHOLE, FC_PART_HIGH, FC_PART_NONZERO,
        FC_PART_PRESENT, FC_PART_MOMENTS, FC_PART_LEAST, FC_PART_GREATEST, FC_PARTS, FC_GATHER, FC_REGISTER_CELLS,
        FC_DO_ADD, FC_DO_SUBTRACT, FC_DO_MULTIPLY, FC_DO_DIVIDE, FC_DO_MINIMUM, FC_DO_MAXIMUM, FC_DO_FMIN, FC_DO_FMAX,
        FC_DO_POWER, FC_DO_HYPOT, FC_DO_ARCTAN2, FC_DO_AND, FC_DO_OR, FC_DO_XOR, FC_DO_LEFT_SHIFT, FC_DO_RIGHT_SHIFT,
        FC_DO_FLOOR_DIVIDE, FC_DO_REMAINDER, FC_DO_FMOD, FC_DO_COPYSIGN,
        FC_DO_LESS, FC_DO_LESS_EQUAL, FC_DO_EQUAL, FC_DO_NOT_EQUAL,
        FC_DO_COPY, FC_DO_NEGATIVE, FC_DO_ABSOLUTE, FC_DO_SIGN, FC_DO_INVERT, FC_DO_SQRT, FC_DO_FLOOR, FC_DO_CEIL,
        FC_DO_RINT, FC_DO_TRUNC, FC_DO_EXP, FC_DO_LOG, FC_DO_LOG2, FC_DO_LOG10, FC_DO_EXPM1, FC_DO_LOG1P, FC_DO_SIN,
        FC_DO_COS, FC_DO_TAN, FC_DO_TANH, FC_DO_ARCTAN, FC_DO_CBRT, FC_DO_EXP2, FC_DO_SINH, FC_DO_COSH, FC_DO_ARCSIN,
        FC_DO_ARCCOS, FC_DO_SELECT, FC_DO_ADD_PRODUCT, FC_DO_CAST,
        FC_DO_SUM, FC_DO_PROD, FC_DO_LEAST, FC_DO_GREATEST, FC_DO_DOT, FC_DO_SQUARES, FC_DO_DISTANCES, FC_DO_NETWORK,
        FC_DO_PRODUCTS, FC_DO_PAIR_SUMS, FC_DO_PAIR_DIFFERENCES,
        FC_MOST_WIRES, FC_FLOOD_BITS

    int FC_MOMENT_PLANES(int integer) noexcept nogil
    ptrdiff_t FC_SUM_SPACE(ptrdiff_t rows) noexcept nogil
    ptrdiff_t FC_ROW_SPACE(ptrdiff_t numbers) noexcept nogil

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

    ctypedef struct fc_reduce:
        const fc_line *lines
        const ptrdiff_t *run_line
        const ptrdiff_t *run_start
        const ptrdiff_t *run_length
        ptrdiff_t runs, cells, first, n
        int reduction, wide, masked
        double ddof, nothing
        void *out

    ctypedef struct fc_extreme_columns:
        const void *const *rows
        void *const *out
        ptrdiff_t step, window, count, n
        int op

    ctypedef struct fc_extreme_rows:
        const void *const *src
        void *const *out
        void *spare
        ptrdiff_t window, n, count
        int op

    ctypedef struct fc_select:
        const void *const *rows
        const fc_line *lines
        const ptrdiff_t *run_line
        const ptrdiff_t *run_start
        const ptrdiff_t *run_length
        ptrdiff_t runs, cells, first, n
        int masked
        double quantile
        ptrdiff_t rank
        void *low
        void *high
        double *fraction
        ptrdiff_t *count
        ptrdiff_t first_run, end_run
        int first_pass, end_pass
        ptrdiff_t *state

    ctypedef struct fc_rank_box:
        const void *const *rows
        void *const *low
        void *const *high
        ptrdiff_t n, count, height, width, rank
        void *spare

    ctypedef struct fc_rank_cells:
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
        int masked, zeros
        void *spare
        void *mode
        double *entropy
        const int64_t *logs
        double scale
        ptrdiff_t *count
        ptrdiff_t most_logs, room
        int moving, wide
        fc_so_far *so_far

    ctypedef struct fc_finish_ranks:
        const void *low
        const void *high
        const void *extreme
        const double *fraction
        const ptrdiff_t *count
        ptrdiff_t n
        int real
        double nothing
        void *out

    ctypedef struct fc_extreme_stacks:
        const void *const *lines
        void *const *out
        ptrdiff_t count, stacks, n
        int op

    ctypedef struct fc_sums:
        const void *const *rows
        void *const *out
        ptrdiff_t step, window, every, count, n, half, cells, phase
        int raw, squares
        char *space
        char *const *ahead
        ptrdiff_t ahead_lines, ahead_step

    ctypedef struct fc_finish_sums:
        const void *wide
        void *out
        ptrdiff_t half, n, cells
        int reduction, kind, doubles
        double ddof

    ctypedef struct fc_cut_means:
        void *wide
        void *out
        ptrdiff_t n, window

    ctypedef struct fc_lift_parts:
        void *to
        const void *line
        const uint8_t *present
        ptrdiff_t plane, n
        int part

    ctypedef struct fc_join_parts:
        void *to
        const void *a
        const void *b
        ptrdiff_t plane, n
        int part

    ctypedef struct fc_finish_parts:
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

    ctypedef struct fc_operation:
        int code, scalars, kind
        void *dst
        const void *a
        const void *b
        const void *c
        const void *const *terms
        const void *weights
        ptrdiff_t count, n

    enum: FC_UNORDERED, FC_SYMMETRIC, FC_ANTISYMMETRIC
    enum: FC_ACROSS, FC_ALONG, FC_CROSS
    enum: FC_JOIN_SUM, FC_JOIN_SQUARE, FC_JOIN_ROOT, FC_JOIN_ROUND
    ptrdiff_t FC_WEIGHTS_SPACE(ptrdiff_t taps)
    ctypedef struct fc_weighted:
        const void *const *rows
        void *const *out
        const double *weights
        const float *singles
        ptrdiff_t taps, n, count
        int order, along, fused, wide
        float doubt
        char *space

    ctypedef struct fc_correlated:
        const void *const *rows
        void *const *out
        const double *weights
        const float *singles
        const uint8_t *present
        ptrdiff_t planes, height, width, n, count
        int wide

    ctypedef struct fc_flood_word:
        uint64_t open, set, fresh
        ptrdiff_t next

    ctypedef struct fc_flood:
        fc_flood_word *words
        ptrdiff_t low, high, first, last
        const ptrdiff_t *target
        const ptrdiff_t *end
        const int64_t *turn
        const uint64_t *kept
        ptrdiff_t targets
        int up, down

    ctypedef struct fc_flood_line:
        const uint8_t *set
        const uint8_t *may
        ptrdiff_t at, n, head, tail
        int flip_set, flip_may

    ctypedef struct fc_elements:
        int bytes
        void (*reduce)(const fc_reduce *) noexcept nogil
        int (*extreme_columns)(const fc_extreme_columns *) noexcept nogil
        void (*extreme_rows)(const fc_extreme_rows *) noexcept nogil
        void (*extreme_stacks)(const fc_extreme_stacks *) noexcept nogil
        void (*subtract)(void *out, const void *from_, const void *what, ptrdiff_t n) noexcept nogil
        void (*nonzero)(uint8_t *out, const void *src, ptrdiff_t n) noexcept nogil
        void (*keys)(void *to, const void *from_, const uint8_t *present, ptrdiff_t n) noexcept nogil
        void (*values)(void *line, ptrdiff_t n) noexcept nogil
        void (*finish_ranks)(const fc_finish_ranks *) noexcept nogil
        ptrdiff_t (*rank_room)(ptrdiff_t height, ptrdiff_t width) noexcept nogil
        void (*rank_box)(const fc_rank_box *) noexcept nogil
        void (*rank_cells)(const fc_rank_cells *) noexcept nogil
        void (*select)(const fc_select *) noexcept nogil
        int (*tally)(const fc_tally *) noexcept nogil
        ptrdiff_t (*tally_room)(ptrdiff_t room, ptrdiff_t runs, int moving, int wide) noexcept nogil
        void (*sum_columns)(const fc_sums *) noexcept nogil
        void (*sum_row)(const fc_sums *) noexcept nogil
        void (*finish_sums)(const fc_finish_sums *) noexcept nogil
        void (*cut_means)(const fc_cut_means *) noexcept nogil
        void (*lift_parts)(const fc_lift_parts *) noexcept nogil
        void (*join_parts)(const fc_join_parts *) noexcept nogil
        void (*finish_parts)(const fc_finish_parts *) noexcept nogil
        void (*operation)(const fc_operation *) noexcept nogil
        void (*weigh)(const fc_weighted *) noexcept nogil
        void (*correlate)(const fc_correlated *) noexcept nogil
        void (*join)(void *a, const void *b, ptrdiff_t n, int how) noexcept nogil
        void (*to_reals)(void *to, const void *from_, ptrdiff_t n, int doubles) noexcept nogil
        void (*from_reals)(void *to, const void *from_, ptrdiff_t n, int doubles) noexcept nogil
        void (*keep_whole)(void *line, ptrdiff_t n, int doubles) noexcept nogil

    ctypedef struct fc_neighborhood:
        fc_elements elements[10]
        fc_elements narrow
        fc_elements widening
        int (*fill_line)(const fc_fill *) noexcept nogil
        void (*fill_ends)(const fc_fill *, void *const *lines, ptrdiff_t count) noexcept nogil
        void (*put_line)(const fc_put *) noexcept nogil
        void (*gather)(char *dst, ptrdiff_t pitch, const char *src, ptrdiff_t step, ptrdiff_t n, ptrdiff_t size) noexcept nogil
        void (*pack_bits)(const fc_stripes *) noexcept nogil
        void (*unpack_bits)(const fc_stripes *) noexcept nogil
        void (*merge_bits)(const fc_merge *) noexcept nogil
        void (*flood_begin)(fc_flood *, const fc_flood_line *) noexcept nogil
        void (*flood_some)(fc_flood *, ptrdiff_t most) noexcept nogil
        void (*flood_again)(fc_flood *, ptrdiff_t first, ptrdiff_t end) noexcept nogil
        void (*flood_end)(const fc_flood_word *, uint8_t *elements, ptrdiff_t n, int flip) noexcept nogil
