/* Convolution beside tile.h: packing of windows and filters, storing of tiles, and the narrow cases whose lanes do not
 * lie along output channels (few channels: lanes along x; depthwise: lanes along channels).
 *
 * Counts, for V lanes: planar_taps with o outputs and v vectors does o*v FMAs for v unaligned loads and o broadcasts a
 * tap; plane_rows shares each loaded vector among up to 4 output rows; channel_taps does one load for each FMA.
 */

#include "conv/table.h"
#include "base/simd.h"
#include "base/elements.h"
#include "base/tile.h"
#include "base/pack.h"
#include "conv/split_tile.h"

/* ---- packing ---- */

static void FC_N(window_run)(const fc_window *w, FC_T *dst, const char *src, ptrdiff_t src_col, ptrdiff_t run)
{
    const ptrdiff_t item = sizeof(FC_T), n = w->channels;
    if (w->repeat > 1) {
        for (ptrdiff_t i = 0; i < run; i++)
            for (ptrdiff_t c = 0; c < w->repeat; c++)
                FC_N(copy)(dst + i * w->dst_col + c, w->repeat, src + i * src_col, w->src_channel, n, w->kind);
    } else if (w->dst_channel == 1 && w->dst_col == n && w->src_channel == item && src_col == n * item) {
        FC_N(copy)(dst, 1, src, item, run * n, w->kind);
    } else if (w->dst_channel == 1 && w->src_channel == item) {
        for (ptrdiff_t i = 0; i < run; i++)
            FC_N(copy)(dst + i * w->dst_col, 1, src + i * src_col, item, n, w->kind);
    } else if (w->dst_col == 1 && n > 1 && n <= 8 && w->kind == FC_N(OWN) && w->src_channel == item
               && src_col == n * item && (uintptr_t)src % sizeof(FC_T) == 0) {
        FC_T strip[8][FC_N(STRIP)];
        for (ptrdiff_t i = 0; i < run; i += FC_N(STRIP)) {
            const ptrdiff_t m = run - i < FC_N(STRIP) ? run - i : FC_N(STRIP);
            FC_N(deinterleave)((int)n, strip, (const FC_T *)src + i * n, m);
            for (ptrdiff_t c = 0; c < n; c++)
                FC_N(copy_line)(dst + c * w->dst_channel + i, strip[c], m);
        }
    } else {
        for (ptrdiff_t c = 0; c < n; c++)
            FC_N(copy)(dst + c * w->dst_channel, w->dst_col, src + c * w->src_channel, src_col, run, w->kind);
    }
}

static void FC_N(window)(const fc_window *w)
{
    ptrdiff_t run;
    for (ptrdiff_t x = 0; x < w->cols; x += run) {
        /* A run: columns equally far apart in the source, or columns of `fill`. */
        const int inside = x == w->inside && w->inside < w->inside_end;
        const ptrdiff_t *index = w->col_index + x, left = (x < w->inside ? w->inside : w->cols) - x;
        const ptrdiff_t gap = inside ? w->inside_gap : left > 1 && index[1] >= 0 ? index[1] - index[0] : 0;
        run = inside ? w->inside_end - x : 1;
        while (!inside && run < left && (index[0] < 0 ? index[run] < 0 : index[run] >= 0 && index[run] == index[0] + run * gap))
            run++;
        for (ptrdiff_t r = 0; r < w->rows; r++) {
            FC_T *dst = (FC_T *)w->dst + r * w->dst_row + x * w->dst_col;
            if (index[0] >= 0 && w->row_index[r] >= 0)
                FC_N(window_run)(w, dst, w->src + w->row_index[r] * w->src_row + index[0] * w->src_col, gap * w->src_col, run);
            else
                for (ptrdiff_t i = 0; i < run; i++)
                    for (ptrdiff_t c = 0; c < w->channels * w->repeat; c++)
                        dst[i * w->dst_col + c * w->dst_channel] = (FC_T)w->fill;
        }
    }
}

/* ---- activations and storing ---- */

/* e^x = 2^n (1 + the value returned): x = n ln 2 + r, a Taylor polynomial in r. x in -800..0 (-120..0). */
FC_INLINE FC_T FC_N(exp_parts)(FC_T x, FC_INT *n)
{
    const int is_float = sizeof(FC_T) == 4;
    const FC_T magic = is_float ? (FC_T)0x1.8p23 : (FC_T)0x1.8p52;
    const FC_T ln2_hi = is_float ? (FC_T)0x1.62ep-1 : (FC_T)0x1.62e42feep-1;
    const FC_T ln2_lo = is_float ? (FC_T)0x1.0bfbe8p-15 : (FC_T)0x1.a39ef35793c76p-33;
    const FC_T whole = x * (FC_T)1.4426950408889634 + magic; /* whose last bits are n */
    FC_INT bits, zero;
    memcpy(&bits, &whole, sizeof(FC_T));
    memcpy(&zero, &magic, sizeof(FC_T));
    *n = bits - zero;
    const FC_T r = (x - (whole - magic) * ln2_hi) - (whole - magic) * ln2_lo;
    FC_T p = is_float ? (FC_T)(1 / 5040.) : (FC_T)(1 / 6227020800.);
    if (!is_float) {
        p = p * r + (FC_T)(1 / 479001600.);
        p = p * r + (FC_T)(1 / 39916800.);
        p = p * r + (FC_T)(1 / 3628800.);
        p = p * r + (FC_T)(1 / 362880.);
        p = p * r + (FC_T)(1 / 40320.);
        p = p * r + (FC_T)(1 / 5040.);
    }
    p = p * r + (FC_T)(1 / 720.);
    p = p * r + (FC_T)(1 / 120.);
    p = p * r + (FC_T)(1 / 24.);
    p = p * r + (FC_T)(1 / 6.);
    p = p * r + (FC_T)0.5;
    return p * r * r + r;
}

/* 2^n, a normal number. */
FC_INLINE FC_T FC_N(power_of_2)(FC_INT n)
{
    const FC_INT bits = (FC_INT)(n + FC_N(BIAS)) << FC_N(MANTISSA);
    FC_T y;
    memcpy(&y, &bits, sizeof(FC_T));
    return y;
}

/* From where on e^x is far within the normal numbers, and beside 1 nothing before. */
#define FC_FAR (sizeof(FC_T) == 4 ? (FC_T)-69 : (FC_T)-690)

/* t * sigmoid(x). Where some x are beyond FC_FAR, the factor 2^n of e^-|x| comes in two parts, of which only the last may lead
 * out of the normal numbers; where nothing is left it is 0, so that -infinity times it is NaN, as in the formula. */
FC_INLINE FC_T FC_N(times_sigmoid)(const int far, FC_T t, FC_T x)
{
    const int is_float = sizeof(FC_T) == 4;
    const FC_T lo = !far ? FC_FAR : is_float ? (FC_T)-120 : (FC_T)-800, size = x < 0 ? x : -x;
    FC_INT n;
    const FC_T e = 1 + FC_N(exp_parts)(size > lo ? size : lo, &n);
    const int small = far && size < FC_FAR;
    const FC_T first = FC_N(power_of_2)(n + (small ? is_float ? 64 : 512 : 0));
    const FC_T last = far && size < lo ? 0 : small ? is_float ? (FC_T)0x1p-64 : (FC_T)0x1p-512 : 1;
    const FC_T y = (x < 0 ? t * first * e : t) / (1 + first * e * last);
    return x == x ? (x < 0 ? y * last : y) : x;
}

static void FC_N(sigmoids)(const int silu, FC_T *restrict y, ptrdiff_t n)
{
    FC_INT far = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        far |= y[i] < FC_FAR;
    if (far)
        for (ptrdiff_t i = 0; i < n; i++)
            y[i] = FC_N(times_sigmoid)(1, silu ? y[i] : 1, y[i]);
    else if (silu)
        for (ptrdiff_t i = 0; i < n; i++)
            y[i] = FC_N(times_sigmoid)(0, y[i], y[i]);
    else
        for (ptrdiff_t i = 0; i < n; i++)
            y[i] = FC_N(times_sigmoid)(0, 1, y[i]);
}

#undef FC_FAR

FC_INLINE FC_T FC_N(tanh)(FC_T x)
{
    const FC_T lo = sizeof(FC_T) == 4 ? (FC_T)-87 : (FC_T)-708, size = 2 * (x < 0 ? x : -x);
    FC_INT n;
    const FC_T p = FC_N(exp_parts)(size > lo ? size : lo, &n), scale = FC_N(power_of_2)(n);
    const FC_T e = p * scale + (scale - 1); /* e^-2|x| - 1 */
    const FC_T y = -e / (e + 2);
    return x < 0 ? -y : x > 0 ? y : x;
}

static void FC_N(activate)(FC_T *restrict y, ptrdiff_t n, int activation)
{
    ptrdiff_t i;
    switch (activation) {
    case FC_RELU: for (i = 0; i < n; i++) y[i] = y[i] < 0 ? 0 : y[i]; break;
    case FC_RELU6: for (i = 0; i < n; i++) y[i] = y[i] < 0 ? 0 : y[i] > 6 ? 6 : y[i]; break;
    case FC_SILU: FC_N(sigmoids)(1, y, n); break;
    case FC_SIGMOID: FC_N(sigmoids)(0, y, n); break;
    case FC_TANH: for (i = 0; i < n; i++) y[i] = FC_N(tanh)(y[i]); break;
    }
}

static void FC_N(store)(const fc_store *s) { FC_N(store_with)(FC_N(activate), s); }

/* ---- few channels: lanes along x ---- */

FC_INLINE void FC_N(planar_body)(const int outputs, const int v, const fc_planar_taps *p)
{
    const FC_T *src = p->src, *w = p->w;
    FC_VEC acc[8][8];
#pragma GCC unroll 8
    for (int o = 0; o < outputs; o++)
#pragma GCC unroll 8
        for (int j = 0; j < v; j++)
            acc[o][j] = (FC_VEC){0};
    size_t chain = 0;
    for (ptrdiff_t t = 0;;) {
        const int last = p->count - t <= p->chain;
        for (const ptrdiff_t end = last ? p->count : t + p->chain; t < end; t++, w += outputs) {
            const FC_T *at = src + p->taps[t];
            FC_VEC x[8];
#pragma GCC unroll 8
            for (int j = 0; j < v; j++) {
                x[j] = FC_N(load)(at + j * FC_LANES);
                FC_KEEP(x[j]);
            }
#pragma GCC unroll 8
            for (int o = 0; o < outputs; o++) {
                FC_VEC wo = FC_N(splat)(w[o]);
                FC_KEEP(wo);
#pragma GCC unroll 8
                for (int j = 0; j < v; j++)
                    acc[o][j] += x[j] * wo;
            }
        }
        FC_VEC *sums = p->sums;
        for (size_t n = chain++;; n /= FC_GROUP, sums += outputs * v) {
            if (n % FC_GROUP)
#pragma GCC unroll 8
                for (int o = 0; o < outputs; o++)
#pragma GCC unroll 8
                    for (int j = 0; j < v; j++)
                        acc[o][j] += sums[o * v + j];
            if (!fc_rises(n, last))
                break;
        }
        if (last)
            break;
#pragma GCC unroll 8
        for (int o = 0; o < outputs; o++)
#pragma GCC unroll 8
            for (int j = 0; j < v; j++) {
                sums[o * v + j] = acc[o][j];
                acc[o][j] = (FC_VEC){0};
            }
    }
#pragma GCC unroll 8
    for (int o = 0; o < outputs; o++)
#pragma GCC unroll 8
        for (int j = 0; j < v; j++)
            FC_N(put)((FC_T *)p->out + o * p->out_step + j * FC_LANES, acc[o][j]);
}

#define FC_PLANAR(o, v) case (o) * 16 + (v): FC_N(planar_body)(o, v, p); return;

static void FC_N(planar_taps)(const fc_planar_taps *p)
{
    switch (p->outputs * 16 + p->vectors) {
        FC_PLANAR(1, 1) FC_PLANAR(2, 1) FC_PLANAR(3, 1) FC_PLANAR(4, 1) FC_PLANAR(1, 8)
#if FC_REGISTERS == 32
        FC_PLANAR(5, 1) FC_PLANAR(6, 1) FC_PLANAR(7, 1) FC_PLANAR(8, 1)
        FC_PLANAR(2, 8) FC_PLANAR(3, 7) FC_PLANAR(4, 6) FC_PLANAR(5, 5) FC_PLANAR(6, 4) FC_PLANAR(7, 3) FC_PLANAR(8, 3)
#else
        FC_PLANAR(2, 4) FC_PLANAR(3, 3) FC_PLANAR(4, 2)
#endif
    default: FC_NO_SUCH_SHAPE
    }
}

#undef FC_PLANAR

/* `count` taps of one input row, for the output rows in the mask `feeds`; w points to the taps of row 0. */
FC_INLINE void FC_N(rows_taps)(const unsigned feeds, const int v, const fc_plane_rows *p, const FC_T *at, const FC_T *w, ptrdiff_t count,
                               FC_VEC chain[4][4])
{
    const FC_T *wr[4];
#pragma GCC unroll 4
    for (int r = 0; r < 4; r++)
        wr[r] = w - r * p->fw;
    for (ptrdiff_t j = 0; j < count; j++, at += p->tap_step) {
        FC_VEC x[4];
#pragma GCC unroll 4
        for (int i = 0; i < v; i++) {
            x[i] = FC_N(load)(at + i * FC_LANES);
            FC_KEEP(x[i]);
        }
#pragma GCC unroll 4
        for (int r = 0; r < 4; r++)
            if (feeds >> r & 1) {
                const FC_VEC tap = FC_N(splat)(wr[r][j]);
#pragma GCC unroll 4
                for (int i = 0; i < v; i++)
                    chain[r][i] += x[i] * tap;
            }
    }
}

/* Input row y feeds the output rows r with 0 <= y - r < fh. The terms of one output are summed in the order (i, j), in
 * chains of whole filter rows or, for long rows, of FC_CHAIN taps, wherever the row lies in its group. Chains stay in
 * registers, where there is no room for the sums of earlier ones beside them. */
#define FC_TAPS(rows) case rows: FC_N(rows_taps)(rows, v, p, at, w + y * p->fw + j0, j1 - j0, chain); break;

FC_INLINE void FC_N(rows_body)(const int v, const fc_plane_rows *p)
{
    enum { R = 4 };
    const ptrdiff_t rows_per_chain = p->fw >= FC_CHAIN ? 1 : FC_CHAIN / p->fw;
    const FC_T *w = p->w;
    FC_VEC chain[R][4];
#pragma GCC unroll 4
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int i = 0; i < v; i++)
            chain[r][i] = (FC_VEC){0};
    ptrdiff_t left[R] = {rows_per_chain, rows_per_chain, rows_per_chain, rows_per_chain}; /* rows of the current chain */
    size_t chains[R] = {p->chains, p->chains, p->chains, p->chains};                      /* ended so far */
    for (ptrdiff_t y = 0; y < p->rows + p->fh - 1; y++) {
        const ptrdiff_t first = y < p->fh ? 0 : y - p->fh + 1, last = y < p->rows ? y : p->rows - 1;
        const int feeds = (2 << last) - (1 << first);
        int ends = y >= p->fh - 1 ? 1 << first : 0;
        for (int r = 0; r < R; r++)
            if (feeds >> r & 1 && --left[r] == 0) {
                left[r] = rows_per_chain;
                ends |= 1 << r;
            }
        for (ptrdiff_t j0 = 0; j0 < p->fw; j0 += FC_CHAIN) {
            const ptrdiff_t j1 = p->fw - j0 < FC_CHAIN ? p->fw : j0 + FC_CHAIN;
            const FC_T *at = (const FC_T *)p->src + y * p->src_step + j0 * p->tap_step;
            switch (feeds) { /* consecutive output rows, at most four */
                FC_TAPS(1) FC_TAPS(2) FC_TAPS(4) FC_TAPS(8) FC_TAPS(3) FC_TAPS(6) FC_TAPS(12) FC_TAPS(7) FC_TAPS(14) FC_TAPS(15)
            default: FC_NO_SUCH_SHAPE
            }
#pragma GCC unroll 4
            for (int r = 0; r < R; r++)
                if (ends >> r & 1) {
                    const int last = p->last && y - r == p->fh - 1 && j1 == p->fw;
                    FC_VEC *sums = (FC_VEC *)p->sums + r * v;
                    for (size_t n = chains[r]++;; n /= FC_GROUP, sums += R * v) {
                        if (n % FC_GROUP)
#pragma GCC unroll 4
                            for (int i = 0; i < v; i++)
                                chain[r][i] += sums[i];
                        if (!fc_rises(n, last))
                            break;
                    }
                    FC_T *to = last ? (FC_T *)p->out + r * p->out_step : (FC_T *)sums;
#pragma GCC unroll 4
                    for (int i = 0; i < v; i++) {
                        FC_N(put)(to + i * FC_LANES, chain[r][i]);
                        chain[r][i] = (FC_VEC){0};
                    }
                }
        }
    }
}

#undef FC_TAPS

static void FC_N(plane_rows)(const fc_plane_rows *p)
{
    if (p->vectors == 1)
        FC_N(rows_body)(1, p);
    else
        FC_N(rows_body)(FC_REGISTERS == 32 ? 4 : 2, p);
}

/* ---- depthwise: lanes along channels ---- */

FC_INLINE void FC_N(channels_body)(const int m, const fc_channel_taps *p)
{
    FC_VEC acc[8];
#pragma GCC unroll 8
    for (int i = 0; i < m; i++)
        acc[i] = (FC_VEC){0};
    size_t chain = 0;
    for (ptrdiff_t t = 0;;) {
        const int last = p->count - t <= p->chain;
        for (const ptrdiff_t end = last ? p->count : t + p->chain; t < end; t++) {
            const FC_VEC w = FC_N(load)((const FC_T *)p->w + t * p->w_step);
            const FC_T *at = (const FC_T *)p->src + p->taps[t];
#pragma GCC unroll 8
            for (int i = 0; i < m; i++)
                acc[i] += FC_N(load)(at + i * p->step) * w;
        }
        FC_VEC *sums = p->sums;
        for (size_t n = chain++;; n /= FC_GROUP, sums += m) {
            if (n % FC_GROUP)
#pragma GCC unroll 8
                for (int i = 0; i < m; i++)
                    acc[i] += sums[i];
            if (!fc_rises(n, last))
                break;
        }
        if (last)
            break;
#pragma GCC unroll 8
        for (int i = 0; i < m; i++) {
            sums[i] = acc[i];
            acc[i] = (FC_VEC){0};
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < m; i++)
        FC_N(put)((FC_T *)p->out + i * p->out_step, acc[i]);
}

static void FC_N(channel_taps)(const fc_channel_taps *p)
{
    switch (p->pixels) {
    case 1: FC_N(channels_body)(1, p); return;
    case 2: FC_N(channels_body)(2, p); return;
    case 3: FC_N(channels_body)(3, p); return;
    case 4: FC_N(channels_body)(4, p); return;
    case 5: FC_N(channels_body)(5, p); return;
    case 6: FC_N(channels_body)(6, p); return;
    case 7: FC_N(channels_body)(7, p); return;
    case 8: FC_N(channels_body)(8, p); return;
    default: FC_NO_SUCH_SHAPE
    }
}

static void FC_N(fill)(fc_conv *table)
{
    fc_conv_kernels *k = &table->real[FC_ELEMENT - 8];
    k->row_group = 4;
    k->pixels = 8;
#if FC_REGISTERS == 32
    static const int planar[] = {0, 8, 8, 7, 6, 5, 4, 3, 3};
    k->outputs = 8;
    k->row_vectors = 4;
#else
    static const int planar[] = {0, 8, 4, 3, 2, 0, 0, 0, 0};
    k->outputs = 4;
    k->row_vectors = 2;
#endif
    memcpy(k->planar, planar, sizeof planar);
    k->split = FC_N(SPLIT);
    k->split_tile = FC_N(split_tile);
    k->window = FC_N(window);
    k->store = FC_N(store);
    k->planar_taps = FC_N(planar_taps);
    k->plane_rows = FC_N(plane_rows);
    k->channel_taps = FC_N(channel_taps);
    k->prefetch_ahead = FC_N(prefetch_ahead);
}
