/* Winograd's F(4x4, 3x3): 16 outputs of a 3x3 filter by 36 products for each channel instead of 144.
 *
 * A tile of 6x6 inputs d and a filter g become V = B d B' and U = G g G'; their 36 products, summed over channels by 36
 * matrix products (base/tile.h), become outputs by A' . A, for the points 0, +-a, +-b and infinity, a = 45/64, b = 91/64: so
 * all numbers of A and B are exact in float32, and errors of the first and last outputs, which are the largest, are alike.
 * Lanes are channels before the products and filters behind them. For a vector of channels a tile takes 72 loads, 144 FMAs
 * and 36 stores, and 170 operations for the guard; for a vector of filters 36 loads, 100 FMAs and 16 stores, and 90
 * operations for the guard.
 *
 * The guard. Tiles where rounding might spoil |error| <= 32u(|x|*W), W[c,k] the largest tap of a pair of channels, are found,
 * most of them before the products, and the driver computes them directly.
 *
 * 1. Roundings taken as independent, each of relative size 0.425u in the mean square (Benford's law; u at most). Let s_k be
 * the mean of W[c,k] over channels, and p_c the largest W[c,k] / s_k. Of an output of filter k the variance of the error is
 * at most (0.425u s_k)^2 times the sum of
 *
 *   products: of a chain of FC_WINOGRAD_CHAIN channels each of the sums that are rounded while the chain grows is at most
 *     |U||V| over its channels at each point (Cauchy-Schwarz), and so are the last roundings of all its U together, and of
 *     all its V; what m chains come to is at most the sum of their |U||V|, whose square is at most m times the sum of
 *     squares, and is rounded 2 ceil(log3 m) times, and by A' . A a few times more, which are counted as 4, as they are for
 *     data whose terms there have random signs. So (A V)^2 w, summed over channels and points, w = the largest |U|^2 / s_k^2
 *     of all filters and chains, counts CHAIN + 2 + (2 ceil(log3 m) + 4) m times, A being what the point counts in the
 *     output;
 *   the second pass of B: a step t of it spoils outputs by A' diag(G g) t, and no row of G g exceeds W times the sum of that
 *     row's sizes in G. All steps are sums of the results of B: t0 = (r1 + r2) / 2 and so on, and the sum of their squares,
 *     each times the square of what it may do, is at most STEPS_j (A_j r_j)^2 (test_steps_of_the_transforms). The first pass
 *     has made that ROWS_i, the squares of the rows of |G|: p_c^2 ROWS_i STEPS_j (A_i A_j V_ij)^2;
 *   the first pass likewise, but what goes wrong in one of its columns is there what an error of the input is, and reaches an
 *     output through one tap: p_c^2 (ROWS_i + STEPS_i) (A_i M_ij)^2, M = B d, its results being roundings of their own;
 *   in double G g G', which float32 has from wider numbers: p_c^2 (ROWS_i TAPS_j + TAPS_i ROWS_j) (A_i A_j V_ij)^2, TAPS
 *     being what a row's steps come to, twice where their errors meet at two points.
 *
 * These forms for the four outputs at the corners bound those of the others, since A_1^2 <= 0.5 A_0^2 + 0.3 A_3^2 and A_2^2
 * <= 0.3 A_0^2 + 0.6 A_3^2 at each point; Q is the largest of the four. A tile is benign where the root of Q is at most
 * FC_WINOGRAD_DEVIATION / 0.425 * L, L being |x|*W / s_k at least: never where something is NaN or infinite, which is how NaN
 * and infinities reach the outputs that the formula gives them and no others. L is first the smallest sum of q_c |x_c| of a
 * window, q_c the smallest W[c,k] / s_k; if that is too little, the smallest of all windows and filters, from products of the
 * windows' sums with W / s_k (16 for each pair of channels, a ninth of the direct way). L must lie in a range in which
 * squares neither overflow nor vanish. Without FMAs the products inside B round too, which is far less.
 *
 * 2. Roundings that are alike. Where all channels hold one image, each addition of a chain adds the same term, and errs alike
 * until the sum reaches the next power of two: to 16 equal terms t this makes 39u t in the mean square, 2.46u of their sum,
 * and as much of m chains' sum M. Levels and transforms add 2 ceil(log3 m) + 6 roundings of M. Points stay independent: no
 * output's deviation exceeds the root of the sum of (A M)^2 times `alike`, (2.46u n/16)^2 for chains of n terms and
 * (0.425u)^2 for each other rounding. M is there after the products, for each filter by itself: a tile stays benign while
 * that is at most FC_WINOGRAD_ALIKE u s_k L. Channels that are not alike have an M far below this.
 *
 * The bound of Q is reached where one channel outweighs all others and each of these still rounds; errors of other data are
 * far smaller, of random data about 0.3u(|x|*W).
 */

#ifndef FC_WINOGRAD_ONCE
#define FC_WINOGRAD_ONCE
#define FC_WINOGRAD_DEVIATION 16.0
#define FC_WINOGRAD_ALIKE 8.0
#define FC_WINOGRAD_ROWS {1.01, 2.2, 2.2, 0.53, 0.53, 1.0}
#define FC_WINOGRAD_STEPS {2.0, 13.2, 13.2, 0.5, 0.5, 1.7}
#define FC_WINOGRAD_TAPS {2.1, 8.6, 8.6, 2.1, 2.1, 0.0}
#define FC_A (45.0 / 64)
#define FC_B (91.0 / 64)
#define FC_AA (FC_A * FC_A)
#define FC_BB (FC_B * FC_B)
#endif

/* r = B d along one axis. */
FC_INLINE void FC_N(winograd_b)(FC_VEC r[6], const FC_VEC d[6])
{
    const FC_T a = (FC_T)FC_A, b = (FC_T)FC_B, aa = (FC_T)FC_AA, bb = (FC_T)FC_BB;
    const FC_VEC t0 = d[4] - bb * d[2], t1 = d[3] - bb * d[1], t2 = d[4] - aa * d[2], t3 = d[3] - aa * d[1];
    r[0] = t0 - aa * (d[2] - bb * d[0]);
    r[1] = t0 + a * t1;
    r[2] = t0 - a * t1;
    r[3] = t2 + b * t3;
    r[4] = t2 - b * t3;
    r[5] = (d[5] - bb * d[3]) - aa * t1;
}

/* Filters are transformed in double. r = G g along one axis. */
typedef double FC_N(wide) __attribute__((vector_size(8 * FC_LANES)));
FC_INLINE void FC_N(winograd_g)(FC_N(wide) r[6], const FC_N(wide) g[3])
{
    const double na = 1 / (2 * FC_AA * (FC_AA - FC_BB)), nb = 1 / (2 * FC_BB * (FC_BB - FC_AA));
    const FC_N(wide) e = na * (g[0] + FC_AA * g[2]), f = nb * (g[0] + FC_BB * g[2]);
    r[0] = 1 / (FC_AA * FC_BB) * g[0];
    r[1] = e + na * FC_A * g[1];
    r[2] = e - na * FC_A * g[1];
    r[3] = f + nb * FC_B * g[1];
    r[4] = f - nb * FC_B * g[1];
    r[5] = g[2];
}

/* y = A' m along one axis. */
FC_INLINE void FC_N(winograd_a)(FC_VEC y[4], const FC_VEC m[6])
{
    const FC_T a = (FC_T)FC_A, b = (FC_T)FC_B, aa = (FC_T)FC_AA, bb = (FC_T)FC_BB;
    const FC_VEC p = m[1] + m[2], q = m[3] + m[4], r = m[1] - m[2], s = m[3] - m[4];
    y[0] = m[0] + p + q;
    y[1] = a * r + b * s;
    y[2] = aa * p + bb * q;
    y[3] = m[5] + (FC_T)(FC_A * FC_AA) * r + (FC_T)(FC_B * FC_BB) * s;
}

/* Sums of squares as the first and the last output count them. */
FC_INLINE void FC_N(winograd_forms)(FC_VEC *first, FC_VEC *last, const FC_VEC e[6])
{
    const FC_VEC p = e[1] + e[2], q = e[3] + e[4];
    *first = e[0] + p + q;
    *last = e[5] + (FC_T)(FC_AA * FC_AA * FC_AA) * p + (FC_T)(FC_BB * FC_BB * FC_BB) * q;
}

static void FC_N(winograd_filters)(const fc_winograd_filters *f)
{
    const ptrdiff_t channels = f->channels, width = f->width, step = f->point_step;
    for (ptrdiff_t k = 0; k < width; k += FC_LANES) {
        FC_VEC squares[FC_WINOGRAD_POINTS] = {{0}};
        for (ptrdiff_t c = 0; c < channels; c++) {
            FC_N(wide) g[3][3], t[6][3];
            FC_VEC size = {0};
            FC_T *u = (FC_T *)f->u + c * width + k;
            for (int i = 0; i < 9; i++) {
                const FC_VEC tap = *(const FC_VEC *)((const FC_T *)f->taps + (i * channels + c) * width + k);
                g[i % 3][i / 3] = __builtin_convertvector(tap, FC_N(wide));
                size = FC_N(max_size)(size, tap);
            }
            *(FC_VEC *)((FC_T *)f->sizes + c * width + k) = size;
#pragma GCC unroll 3
            for (int j = 0; j < 3; j++) {
                FC_N(wide) r[6];
                FC_N(winograd_g)(r, g[j]);
#pragma GCC unroll 6
                for (int i = 0; i < 6; i++)
                    t[i][j] = r[i];
            }
#pragma GCC unroll 6
            for (int i = 0; i < 6; i++) {
                FC_N(wide) r[6];
                FC_N(winograd_g)(r, t[i]);
#pragma GCC unroll 6
                for (int j = 0; j < 6; j++) {
                    const FC_VEC v = __builtin_convertvector(r[j], FC_VEC);
                    *(FC_VEC *)(u + (i * 6 + j) * step) = v;
                    squares[i * 6 + j] += v * v;
                }
            }
        }
        for (int i = 0; i < FC_WINOGRAD_POINTS; i++) {
            FC_VEC *most = (FC_VEC *)((FC_T *)f->squares + i * width + k);
            *most = FC_N(max)(*most, squares[i]) + (*most + squares[i]) * 0; /* NaN stays */
        }
    }
}

static void FC_N(winograd_bounds)(const fc_winograd_bounds *w)
{
    const ptrdiff_t channels = w->channels, width = w->width;
    const FC_T *squares = w->squares;
    FC_T *shares = w->shares, *scales = w->scales;
    const FC_T low = FC_REAL(0x1p-40, 0x1p-300), high = FC_REAL(0x1p40, 0x1p300);
    FC_T *energies = w->energies, *least = w->least, *most = w->most;
    for (ptrdiff_t c = 0; c < channels && w->first; c++)
        least[c] = high;
    for (ptrdiff_t k = 0; k < w->columns; k++) {
        FC_T scale = 0, wrong = 0;
        for (ptrdiff_t c = 0; c < channels; c++)
            scale += shares[c * width + k];
        if (scale == 0) /* no taps: no errors */
            continue;
        scale /= (FC_T)channels;
        if (!(scale >= low && scale <= high))
            wrong = (FC_T)__builtin_nan("");
        for (ptrdiff_t c = 0; c < channels; c++) {
            const FC_T size = shares[c * width + k] /= scale;
            least[c] = size < least[c] ? size : least[c];
            most[c] = size > most[c] ? size : most[c];
        }
        scales[k] = 1 / (scale * scale);
        for (int i = 0; i < FC_WINOGRAD_POINTS; i++) {
            const FC_T square = squares[i * width + k] / scale / scale;
            energies[i] = (square > energies[i] ? square : energies[i]) + (wrong += square * 0);
        }
    }
    for (ptrdiff_t k = 0; k < width; k++)
        if (scales[k] == 0) /* columns that do not count */
            for (ptrdiff_t c = 0; c < channels; c++)
                shares[c * width + k] = (FC_T)channels;
}

static void FC_N(winograd_weights)(const fc_winograd_weights *w)
{
    const double rows[6] = FC_WINOGRAD_ROWS, steps[6] = FC_WINOGRAD_STEPS, taps[6] = FC_WINOGRAD_TAPS;
    for (ptrdiff_t c = 0; c < w->channels; c++) {
        FC_T *most = (FC_T *)w->most + c;
        FC_T *weights = (FC_T *)w->weights + c / FC_LANES * FC_WINOGRAD_POINTS * FC_LANES + c % FC_LANES;
        *most *= *most;
        for (int i = 0; i < FC_WINOGRAD_POINTS; i++) {
            const int y = i / 6, x = i % 6;
            const double of_filters = sizeof(FC_T) == 4 ? 0 : rows[y] * taps[x] + taps[y] * rows[x];
            const double energy = w->products * ((const FC_T *)w->energies)[i];
            weights[i * FC_LANES] = (FC_T)(energy + *most * (rows[y] * steps[x] + of_filters));
        }
    }
}

static void FC_N(winograd_input)(const fc_winograd_input *w)
{
    const double rows[6] = FC_WINOGRAD_ROWS, steps[6] = FC_WINOGRAD_STEPS;
    const ptrdiff_t channels = w->channels, row = w->row_step, col = w->col_step, step = w->point_step;
    for (ptrdiff_t tile = 0; tile < w->tiles; tile++) {
        FC_VEC q00 = {0}, q03 = {0}, q30 = {0}, q33 = {0};
        for (ptrdiff_t c = 0; c < channels; c += FC_LANES) {
            const FC_T *src = (const FC_T *)w->src + 4 * tile * col + c;
            FC_T *v = (FC_T *)w->v + tile * w->tile_step + c;
            const FC_VEC *weights = (const FC_VEC *)((const FC_T *)w->weights + FC_WINOGRAD_POINTS * c);
            const FC_VEC most = *(const FC_VEC *)((const FC_T *)w->most + c);
            FC_VEC m[6][6], first[6], last[6], f, l;
#pragma GCC unroll 6
            for (int j = 0; j < 6; j++) {
                FC_VEC d[6], r[6];
#pragma GCC unroll 6
                for (int i = 0; i < 6; i++)
                    d[i] = *(const FC_VEC *)(src + i * row + j * col);
                FC_N(winograd_b)(r, d);
#pragma GCC unroll 6
                for (int i = 0; i < 6; i++)
                    m[i][j] = r[i];
            }
#pragma GCC unroll 6
            for (int i = 0; i < 6; i++) {
                FC_VEC r[6], e[6], pass = {0};
                FC_N(winograd_b)(r, m[i]);
#pragma GCC unroll 6
                for (int j = 0; j < 6; j++) {
                    *(FC_VEC *)(v + (i * 6 + j) * step) = r[j];
                    e[j] = r[j] * r[j] * weights[i * 6 + j];
                    pass += m[i][j] * m[i][j];
                }
                FC_N(winograd_forms)(&first[i], &last[i], e);
                pass *= most * (FC_T)(rows[i] + steps[i]);
                first[i] += pass;
                last[i] += pass;
            }
            FC_N(winograd_forms)(&f, &l, first);
            q00 += f;
            q30 += l;
            FC_N(winograd_forms)(&f, &l, last);
            q03 += f;
            q33 += l;
        }
        const FC_T q[4] = {FC_N(sum_lanes)(q00), FC_N(sum_lanes)(q03), FC_N(sum_lanes)(q30), FC_N(sum_lanes)(q33)};
        FC_T most = (q[0] + q[1] + q[2] + q[3]) * 0; /* NaN stays */
        for (int i = 0; i < 4; i++)
            most = most >= q[i] ? most : most * 0 + q[i];
        ((FC_T *)w->squares)[tile] = most;
    }
}

/* The sums of the lanes of as many vectors as there are lanes. */
FC_INLINE FC_VEC FC_N(all_lanes)(FC_VEC v[FC_LANES])
{
#pragma GCC unroll 4
    for (int n = FC_LANES / 2; n > 0; n /= 2)
#pragma GCC unroll 8
        for (int i = 0; i < n; i++)
            v[i] = FC_N(pair_sums)(v[2 * i], v[2 * i + 1]);
    return v[0];
}

static void FC_N(winograd_sizes)(const fc_winograd_sizes *w)
{
    const FC_T *least = w->least;
    for (ptrdiff_t p = 0; p < w->pixels; p += FC_LANES) {
        FC_VEC sizes[FC_LANES];
        for (int i = 0; i < FC_LANES; i++) {
            const FC_T *src = (const FC_T *)w->src + (p + i < w->pixels ? p + i : w->pixels - 1) * w->col_step;
            FC_VEC size = {0};
            for (ptrdiff_t c = 0; c < w->channels; c += FC_LANES)
                size += FC_N(abs)(*(const FC_VEC *)(src + c)) * *(const FC_VEC *)(least + c);
            sizes[i] = size;
        }
        FC_N(put)((FC_T *)w->sizes + p, FC_N(all_lanes)(sizes));
    }
}

FC_INLINE int FC_N(winograd_keeps)(FC_T need, FC_T least)
{
    return need <= least * least && least >= FC_REAL(0x1p-40, 0x1p-300) && least <= FC_REAL(0x1p40, 0x1p300);
}

static ptrdiff_t FC_N(winograd_benign)(const fc_winograd_benign *w)
{
    enum { CHUNK = 64 };
    const FC_T limit = (FC_T)(FC_WINOGRAD_DEVIATION * FC_WINOGRAD_DEVIATION / (0.425 * 0.425));
    const ptrdiff_t step = w->step;
    ptrdiff_t benign = 0;
    for (ptrdiff_t x0 = 0; x0 < 4 * w->tiles; x0 += CHUNK) {
        const ptrdiff_t n = 4 * w->tiles - x0 < CHUNK ? 4 * w->tiles - x0 : CHUNK;
        FC_T least[CHUNK];
        for (int r = 0; r < w->rows; r++) {
            const FC_T *s = (const FC_T *)w->sizes + r * step + x0;
            for (ptrdiff_t i = 0; i < n; i++) {
                const FC_T sum = (s[i] + s[i + 1] + s[i + 2]) + (s[step + i] + s[step + i + 1] + s[step + i + 2])
                                 + (s[2 * step + i] + s[2 * step + i + 1] + s[2 * step + i + 2]);
                least[i] = r > 0 && least[i] < sum ? least[i] : sum;
            }
        }
        for (ptrdiff_t i = 0; i < n; i += 4) {
            const ptrdiff_t tile = (x0 + i) / 4, cols = w->cols - 4 * tile < 4 ? w->cols - 4 * tile : 4;
            FC_T l = least[i];
            for (ptrdiff_t j = 1; j < cols; j++)
                l = least[i + j] < l ? least[i + j] : l;
            const FC_T need = ((const FC_T *)w->squares)[tile] / limit;
            const int good = FC_N(winograd_keeps)(need, l);
            ((FC_T *)w->needs)[tile] = need;
            ((FC_T *)w->least)[tile] = l;
            w->bad[tile] = !good;
            benign += good;
        }
    }
    return benign;
}

static void FC_N(winograd_windows)(const fc_winograd_windows *w)
{
    const ptrdiff_t row = w->row_step, col = w->col_step;
    for (ptrdiff_t c = 0; c < w->channels; c += FC_LANES) {
        const FC_T *src = (const FC_T *)w->src + c;
        FC_T *sums = (FC_T *)w->sums + c;
        FC_VEC s[6][4];
#pragma GCC unroll 6
        for (int i = 0; i < 6; i++) {
            FC_VEC x[6];
#pragma GCC unroll 6
            for (int j = 0; j < 6; j++)
                x[j] = FC_N(abs)(*(const FC_VEC *)(src + i * row + j * col));
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++)
                s[i][j] = x[j] + x[j + 1] + x[j + 2];
        }
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++)
                *(FC_VEC *)(sums + (4 * i + j) * w->channels) = s[i][j] + s[i + 1][j] + s[i + 2][j];
    }
}

static int FC_N(winograd_least)(const fc_winograd_least *w)
{
    FC_T *least = w->least, l = w->first ? (FC_T)__builtin_inf() : *least;
    for (ptrdiff_t i = 0; i < w->rows; i++)
        for (ptrdiff_t j = 0; j < w->cols; j++) {
            const FC_T *s = (const FC_T *)w->sums + (4 * i + j) * w->width;
            for (ptrdiff_t k = 0; k < w->width; k++)
                l = s[k] < l ? s[k] : l;
        }
    *least = l;
    return FC_N(winograd_keeps)(*(const FC_T *)w->need, l);
}

static void FC_N(winograd_output)(const fc_winograd_output *w)
{
    const ptrdiff_t step = w->point_step;
    const FC_T limit = (FC_T)(FC_WINOGRAD_ALIKE * FC_WINOGRAD_ALIKE / w->alike);
    for (ptrdiff_t tile = 0; tile < w->tiles; tile++) {
        const FC_T least = ((const FC_T *)w->least)[tile];
        FC_VEC most = {0};
        const ptrdiff_t cols = w->cols - 4 * tile < 4 ? w->cols - 4 * tile : 4;
        for (ptrdiff_t k = 0; k < w->columns; k += FC_LANES) {
            const FC_T *m = (const FC_T *)w->m + tile * w->tile_step + k;
            FC_T *out = (FC_T *)w->out + 4 * tile * w->out_col + k;
            const ptrdiff_t left = w->columns - k;
            const FC_VEC bias = w->bias != NULL ? FC_N(load_first)((const FC_T *)w->bias + k, left) : (FC_VEC){0};
            FC_VEC t[4][6], y[4][4], first[6], last[6], f[4];
#pragma GCC unroll 6
            for (int j = 0; j < 6; j++) {
                FC_VEC p[6], r[4], e[6];
#pragma GCC unroll 6
                for (int i = 0; i < 6; i++) {
                    p[i] = *(const FC_VEC *)(m + (i * 6 + j) * step);
                    e[i] = p[i] * p[i];
                }
                FC_N(winograd_forms)(&first[j], &last[j], e);
                FC_N(winograd_a)(r, p);
#pragma GCC unroll 4
                for (int i = 0; i < 4; i++)
                    t[i][j] = r[i];
            }
            FC_N(winograd_forms)(&f[0], &f[1], first);
            FC_N(winograd_forms)(&f[2], &f[3], last);
            f[0] = FC_N(max)(FC_N(max)(f[0], f[1]), FC_N(max)(f[2], f[3]));
            most = FC_N(max)(most, f[0] * *(const FC_VEC *)((const FC_T *)w->scales + k));
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                FC_N(winograd_a)(y[i], t[i]);
                if (w->bias != NULL)
#pragma GCC unroll 4
                    for (int j = 0; j < 4; j++)
                        y[i][j] += bias;
            }
            if (w->rows == 4 && cols == 4 && left >= FC_LANES) {
#pragma GCC unroll 4
                for (int i = 0; i < 4; i++)
#pragma GCC unroll 4
                    for (int j = 0; j < 4; j++)
                        FC_N(put)(out + i * w->out_row + j * w->out_col, y[i][j]);
                continue;
            }
            for (int i = 0; i < w->rows; i++)
                for (int j = 0; j < cols; j++)
                    FC_N(put_first)(out + i * w->out_row + j * w->out_col, y[i][j], left);
        }
        w->bad[tile] |= FC_N(any)(most > FC_N(splat)(limit * least * least));
    }
}
