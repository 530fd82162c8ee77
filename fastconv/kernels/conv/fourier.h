/* Sums over large windows by Fourier transforms of blocks, with what their guard must know.
 *
 * A block of outputs needs a block of inputs, rows x columns, powers of two; two blocks are the real and the imaginary part of one
 * complex block z. With W the transform of a real filter that stands in the first corner of such a block of zeros, the transform
 * back of Z conj(W) has the outputs of both, those whose windows do not wrap around. Lanes are columns, whose transforms come
 * first, and then, transposed, rows. Going there frequencies are decimated, coming back inputs, so that those between are in the
 * same order for all and none need be sorted.
 *
 * A step of a radix 4 takes 8 loads, 16 additions, 6 products, 6 FMAs and 8 stores a vector, and stands for two steps of a radix
 * 2; the last of a power that is odd is one of a radix 8. Columns are read at steps of an odd number of cache lines. A product of
 * spectra takes 4 FMAs, and 2 loads for each filter and 2 for four of them.
 *
 * The guard. Roundings are taken as independent, and of relative size 0.425u in the mean square (see winograd.h). A complex step
 * of a radix 2 then adds errors whose mean square is less than FC_FOURIER_STEP u^2 times what it computes (that of a radix 4,
 * which counts as two: 2 additions, and for three results of four a product with a rounded root). So with n = 2^m points,
 * x^2 the mean of the squares of both blocks, N[c,k] the sum of |filters[:,:,c,k]|, and S_k = sum_c N[c,k] x_c, the variance of the
 * error of a part of an output of filter k is at most u^2 times the sum of
 *
 *   blocks:   FC_FOURIER_STEP m S^2: the mean square of errors of Z, times |W|^2 <= N^2;
 *   filters:  FC_FOURIER_STEP m S^2: what is rounded on the way to one number of W comes to N at each step;
 *   products: FC_FOURIER_STEP t S^2, t being the additions one after the other;
 *   back:     FC_FOURIER_STEP m H^2: at each step an output is made of outputs' mean squares, H being the largest |x|*W, of
 *             windows that wrap around, too.
 *
 * That must be at most (FC_FOURIER_DEVIATION u |x|*W)^2: never where something is NaN or infinite. Outputs too small for it
 * among larger ones are marked in tiles. As for winograd.h all is divided by the mean of W[c,k] over channels, and the worst of all
 * filters is taken for each channel.
 */

#ifndef FC_FOURIER_ONCE
#define FC_FOURIER_ONCE
#define FC_SQRT_HALF 0.70710678118654752440
#define FC_FOURIER_STEP 0.4
#define FC_FOURIER_DEVIATION 16.0
#endif

/* (r + i i) times a root, or its conjugate. */
FC_INLINE void FC_N(rotate)(const int back, FC_VEC *r, FC_VEC *i, const FC_T *root)
{
    const FC_VEC c = FC_N(splat)(root[0]), s = FC_N(splat)(root[1]), x = *r, y = *i;
    *r = back ? x * c + y * s : x * c - y * s;
    *i = back ? y * c - x * s : y * c + x * s;
}

/* The transform of four points, in place. */
FC_INLINE void FC_N(four_points)(const int back, FC_VEC r[4], FC_VEC i[4])
{
    const FC_VEC ar = r[0] + r[2], ai = i[0] + i[2], br = r[1] + r[3], bi = i[1] + i[3];
    const FC_VEC cr = r[0] - r[2], ci = i[0] - i[2], dr = r[1] - r[3], di = i[1] - i[3];
    r[0] = ar + br;
    i[0] = ai + bi;
    r[2] = ar - br;
    i[2] = ai - bi;
    r[1] = back ? cr - di : cr + di;
    i[1] = back ? ci + dr : ci - dr;
    r[3] = back ? cr + di : cr - di;
    i[3] = back ? ci - dr : ci + dr;
}

FC_INLINE void FC_N(eight_points)(const int back, FC_VEC r[8], FC_VEC i[8])
{
    const FC_T h = (FC_T)FC_SQRT_HALF, roots[4][2] = {{1, 0}, {h, -h}, {0, -1}, {-h, -h}};
    if (back) {
        FC_N(four_points)(1, r, i);
        FC_N(four_points)(1, r + 4, i + 4);
    }
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        FC_VEC x, y;
        if (back && k > 0)
            FC_N(rotate)(1, &r[k + 4], &i[k + 4], roots[k]);
        x = r[k] - r[k + 4];
        y = i[k] - i[k + 4];
        r[k] += r[k + 4];
        i[k] += i[k + 4];
        if (!back && k > 0)
            FC_N(rotate)(0, &x, &y, roots[k]);
        r[k + 4] = x;
        i[k + 4] = y;
    }
    if (!back) {
        FC_N(four_points)(0, r, i);
        FC_N(four_points)(0, r + 4, i + 4);
    }
}

/* One step of radix 4 at the points a, a + size / 4, .. */
FC_INLINE void FC_N(radix_4)(const int back, const int turns, FC_T *re, FC_T *im, ptrdiff_t quarter, const FC_T *const roots[4])
{
    FC_VEC r[4], i[4];
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        r[k] = *(const FC_VEC *)(re + k * quarter);
        i[k] = *(const FC_VEC *)(im + k * quarter);
        if (back && turns && k > 0)
            FC_N(rotate)(1, &r[k], &i[k], roots[k]);
    }
    FC_N(four_points)(back, r, i);
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        if (!back && turns && k > 0)
            FC_N(rotate)(0, &r[k], &i[k], roots[k]);
        *(FC_VEC *)(re + k * quarter) = r[k];
        *(FC_VEC *)(im + k * quarter) = i[k];
    }
}

FC_INLINE void FC_N(radix_4_step)(const int back, const fc_fourier *f, FC_T *re, FC_T *im, ptrdiff_t size)
{
    const ptrdiff_t step = f->step, n = f->n, quarter = size / 4, each = FC_FOURIER_MOST / size;
    const FC_T *roots[4];
    for (ptrdiff_t s = 0; s < n; s += size)
        FC_N(radix_4)(back, 0, re + s * step, im + s * step, quarter * step, NULL);
    for (ptrdiff_t j = 1; j < quarter; j++) {
        for (int k = 0; k < 4; k++)
            roots[k] = (const FC_T *)f->roots + 2 * k * j * each;
        for (ptrdiff_t s = j; s < n; s += size)
            FC_N(radix_4)(back, 1, re + s * step, im + s * step, quarter * step, roots);
    }
}

FC_INLINE void FC_N(radix_8_step)(const int back, const fc_fourier *f, FC_T *re, FC_T *im)
{
    const ptrdiff_t step = f->step;
    for (ptrdiff_t s = 0; s < f->n; s += 8) {
        FC_T *a = re + s * step, *b = im + s * step;
        FC_VEC r[8], i[8];
#pragma GCC unroll 8
        for (int k = 0; k < 8; k++) {
            r[k] = *(const FC_VEC *)(a + k * step);
            i[k] = *(const FC_VEC *)(b + k * step);
        }
        FC_N(eight_points)(back, r, i);
#pragma GCC unroll 8
        for (int k = 0; k < 8; k++) {
            *(FC_VEC *)(a + k * step) = r[k];
            *(FC_VEC *)(b + k * step) = i[k];
        }
    }
}

static void FC_N(fourier)(const fc_fourier *f)
{
    const ptrdiff_t last = __builtin_ctzl((unsigned long)f->n) % 2 ? 8 : 4;
    for (ptrdiff_t x = 0; x < f->columns; x += FC_LANES) {
        FC_T *re = (FC_T *)f->re + x, *im = (FC_T *)f->im + x;
        if (f->back) {
            if (last == 8)
                FC_N(radix_8_step)(1, f, re, im);
            for (ptrdiff_t size = last == 8 ? 32 : 4; size <= f->n; size *= 4)
                FC_N(radix_4_step)(1, f, re, im, size);
        } else {
            for (ptrdiff_t size = f->n; size > last || size == 4; size /= 4)
                FC_N(radix_4_step)(0, f, re, im, size);
            if (last == 8)
                FC_N(radix_8_step)(0, f, re, im);
        }
    }
}

/* Squares of as many rows as there are lanes. */
static void FC_N(fourier_transpose)(void *into, ptrdiff_t into_step, const void *from, ptrdiff_t from_step, ptrdiff_t rows,
                                    ptrdiff_t columns)
{
    FC_IVEC low = {0}, high = {0};
#pragma GCC unroll 16
    for (int i = 0; i < FC_LANES; i++) {
        low[i] = i / 2 + i % 2 * FC_LANES;
        high[i] = low[i] + FC_LANES / 2;
    }
    for (ptrdiff_t x = 0; x < columns; x += FC_LANES)
        for (ptrdiff_t y = 0; y < rows; y += FC_LANES) {
            FC_VEC v[FC_LANES], w[FC_LANES];
#pragma GCC unroll 16
            for (int i = 0; i < FC_LANES; i++)
                v[i] = *(const FC_VEC *)((const FC_T *)from + (y + i) * from_step + x);
#pragma GCC unroll 4
            for (int n = 1; n < FC_LANES; n *= 2) {
#pragma GCC unroll 8
                for (int i = 0; i < FC_LANES / 2; i++) {
                    w[2 * i] = __builtin_shuffle(v[i], v[i + FC_LANES / 2], low);
                    w[2 * i + 1] = __builtin_shuffle(v[i], v[i + FC_LANES / 2], high);
                }
#pragma GCC unroll 16
                for (int i = 0; i < FC_LANES; i++)
                    v[i] = w[i];
            }
#pragma GCC unroll 16
            for (int i = 0; i < FC_LANES; i++)
                *(FC_VEC *)((FC_T *)into + (x + i) * into_step + y) = v[i];
        }
}

FC_INLINE void FC_N(spectral_products)(const int filters, const fc_fourier_products *p, const FC_T *x, const FC_T *w, FC_T *y)
{
    const ptrdiff_t channels = p->channels, x_channel = p->x_channel, w_channel = p->w_channel;
    for (ptrdiff_t v = 0; v < p->columns; v += FC_LANES) {
        FC_VEC r[4], i[4];
#pragma GCC unroll 4
        for (int k = 0; k < filters; k++)
            r[k] = i[k] = (FC_VEC){0};
        for (ptrdiff_t c = 0; c < channels; c++) {
            const FC_T *xc = x + c * x_channel + v, *wc = w + c * w_channel + v;
            const FC_VEC xr = *(const FC_VEC *)xc, xi = *(const FC_VEC *)(xc + p->x_im);
#pragma GCC unroll 4
            for (int k = 0; k < filters; k++) {
                const FC_VEC wr = *(const FC_VEC *)(wc + k * p->w_filter), wi = *(const FC_VEC *)(wc + k * p->w_filter + p->w_im);
                r[k] += xr * wr;
                i[k] += xi * wr;
                r[k] += xi * wi;
                i[k] -= xr * wi;
            }
        }
#pragma GCC unroll 4
        for (int k = 0; k < filters; k++) {
            FC_VEC *re = (FC_VEC *)(y + k * p->y_filter + v), *im = (FC_VEC *)(y + k * p->y_filter + p->y_im + v);
            r[k] *= (FC_T)p->scale;
            i[k] *= (FC_T)p->scale;
            if (p->add) {
                r[k] += *re;
                i[k] += *im;
            }
            *re = r[k];
            *im = i[k];
        }
    }
}

/* Filters of a row of frequencies stay in the cache for all pairs of blocks. */
static void FC_N(fourier_products)(const fc_fourier_products *p)
{
    for (ptrdiff_t row = 0; row < p->rows; row++)
        for (ptrdiff_t n = 0; n < p->pairs; n++) {
            const FC_T *x = (const FC_T *)p->x + n * p->x_pair + row * p->x_step, *w = (const FC_T *)p->w + row * p->w_step;
            FC_T *y = (FC_T *)p->y + n * p->y_pair + row * p->y_step;
            switch (p->filters) {
            case 1: FC_N(spectral_products)(1, p, x, w, y); break;
            case 2: FC_N(spectral_products)(2, p, x, w, y); break;
            case 3: FC_N(spectral_products)(3, p, x, w, y); break;
            case 4: FC_N(spectral_products)(4, p, x, w, y); break;
            default: FC_NO_SUCH_SHAPE
            }
        }
}

static void FC_N(fourier_sizes)(const fc_fourier_sizes *s)
{
    const FC_VEC least = FC_N(splat)((FC_T)s->least), most = FC_N(splat)((FC_T)s->most);
    double squares = 0;
    for (ptrdiff_t row = 0; row < s->rows; row++) {
        const FC_T *src = (const FC_T *)s->src + row * s->step;
        FC_T *low = (FC_T *)s->low + row / s->cell * s->columns, *high = (FC_T *)s->high + row / s->cell * s->columns;
        FC_VEC square = {0};
        for (ptrdiff_t x = 0; x < s->columns; x += FC_LANES) {
            const FC_VEC v = *(const FC_VEC *)(src + x), size = FC_N(abs)(v);
            *(FC_VEC *)(low + x) += least * size;
            *(FC_VEC *)(high + x) += most * size;
            square += v * v;
        }
        squares += (double)FC_N(sum_lanes)(square);
    }
    *s->squares = squares;
}

/* line[x] becomes the sum of `taps` of its elements, `step` apart: by doubling, the sums of 1, 2, 4.. of them. */
FC_INLINE void FC_N(sums_along)(FC_T *restrict line, FC_T *restrict sums, ptrdiff_t count, ptrdiff_t taps, ptrdiff_t step)
{
    ptrdiff_t left = count + (taps - 1) * step, at = 0;
    for (ptrdiff_t x = 0; x < count; x++)
        sums[x] = 0;
    for (ptrdiff_t n = 1;; n *= 2) {
        if (taps & n) {
            for (ptrdiff_t x = 0; x < count; x++)
                sums[x] += line[x + at];
            at += n * step;
        }
        if (2 * n > taps)
            return;
        left -= n * step;
        for (ptrdiff_t x = 0; x < left; x++)
            line[x] += line[x + n * step];
    }
}

static double FC_N(fourier_windows)(const fc_fourier_windows *e)
{
    const ptrdiff_t columns = e->columns, rows = e->rows, step = e->step_down, wraps = e->sums == NULL;
    const ptrdiff_t down = wraps ? rows : e->count_down, count = wraps ? columns : e->count_across;
    const ptrdiff_t wide = wraps ? columns + (e->taps_across - 1) * e->step_across : columns;
    FC_T *restrict sums = e->line, *restrict line = sums + columns, *restrict across = line + wide;
    const FC_T *src = e->src;
    FC_VEC most = {0};
    FC_T largest = 0;
    for (ptrdiff_t phase = 0; phase < step && phase < down; phase++)
        for (ptrdiff_t y = phase; y < down; y += step) {
            if (y == phase) {
                memset(sums, 0, (size_t)columns * sizeof(FC_T));
                for (ptrdiff_t i = 0; i < e->taps_down; i++)
                    for (ptrdiff_t x = 0; x < columns; x++)
                        sums[x] += src[(y + i * step) % rows * columns + x];
            } else { /* rounding errors are far below what the guard lets pass */
                const FC_T *gone = src + (y - step) * columns, *next = src + (y + (e->taps_down - 1) * step) % rows * columns;
                for (ptrdiff_t x = 0; x < columns; x++)
                    sums[x] += next[x] - gone[x];
            }
            memcpy(line, sums, (size_t)columns * sizeof(FC_T));
            memcpy(line + columns, sums, (size_t)(wide - columns) * sizeof(FC_T));
            FC_N(sums_along)(line, across, count, e->taps_across, e->step_across);
            FC_T *into = wraps ? across : (FC_T *)e->sums + y * columns;
            for (ptrdiff_t x = 0; x < count && !wraps; x++)
                into[x] += across[x];
            for (ptrdiff_t x = 0; x < count && wraps; x += FC_LANES)
                most = FC_N(max)(most, FC_N(load)(across + x));
        }
    for (int i = 0; i < FC_LANES; i++)
        largest = most[i] > largest ? most[i] : largest;
    return (double)largest;
}

/* The sum of the sizes of a plane, and the larger of *size and the largest. */
static void FC_N(fourier_norms)(const void *plane, ptrdiff_t step, ptrdiff_t rows, ptrdiff_t columns, double *norm, double *size)
{
    FC_VEC sum = {0}, most = {0};
    for (ptrdiff_t y = 0; y < rows; y++)
        for (ptrdiff_t x = 0; x < columns; x += FC_LANES) {
            const FC_VEC v = FC_N(abs)(*(const FC_VEC *)((const FC_T *)plane + y * step + x));
            sum += v;
            most = FC_N(max)(most, v);
        }
    *norm = (double)FC_N(sum_lanes)(sum);
    for (int i = 0; i < FC_LANES; i++)
        *size = most[i] > *size ? (double)most[i] : *size;
}

static void FC_N(fourier_bounds)(const fc_fourier_bounds *f)
{
    const double low = FC_REAL(0x1p-30, 0x1p-200), high = FC_REAL(0x1p30, 0x1p200);
    double scale = 0, norm = 0;
    for (ptrdiff_t c = 0; c < f->channels; c++)
        scale += f->sizes[c];
    for (ptrdiff_t t = 0; t < f->terms; t++)
        norm += f->norms[t];
    if (norm == 0) /* no taps: no errors */
        return;
    scale /= (double)f->channels;
    if (!(scale >= low && norm <= high)) { /* some are not finite, or products might not be: nothing is benign */
        f->peak[0] = __builtin_inf();
        return;
    }
    for (ptrdiff_t c = 0; c < f->channels; c++) {
        const double size = f->sizes[c] / scale;
        f->least[c] = size < f->least[c] ? size : f->least[c];
        f->most[c] = size > f->most[c] ? size : f->most[c];
    }
    for (ptrdiff_t t = 0; t < f->terms; t++)
        f->peak[t] = f->norms[t] / scale > f->peak[t] ? f->norms[t] / scale : f->peak[t];
}

static double FC_N(fourier_least)(const fc_fourier_least *f)
{
    const double low = FC_REAL(0x1p-30, 0x1p-200), high = FC_REAL(0x1p30, 0x1p200);
    const double steps = __builtin_ctzl((unsigned long)f->points);
    double sum = 0;
    for (ptrdiff_t t = 0; t < f->terms; t++)
        sum += f->peak[t] * __builtin_sqrt(f->squares[t] / (double)(2 * f->points));
    const double variance = FC_FOURIER_STEP * ((2 * steps + (double)f->additions) * sum * sum + steps * f->most * f->most);
    const double least = __builtin_sqrt(variance) / (FC_FOURIER_DEVIATION * f->units);
    return !(f->most <= high) ? __builtin_inf() : least < low ? low : least;
}

static ptrdiff_t FC_N(fourier_mark)(const fc_fourier_mark *m)
{
    const ptrdiff_t cell = m->cell, last = (m->rows - 1) * m->row_stride;
    ptrdiff_t set = 0;
    for (ptrdiff_t y = 0; y < (last + cell - 1) / cell + 1; y++) {
        /* This row has the least of the windows before it, too, but for those of the row before. */
        const FC_T *sums = (const FC_T *)m->sums + y * m->columns;
        const ptrdiff_t from = y == 0 ? 0 : ((y - 1) * cell + m->row_stride) / m->row_stride;
        const ptrdiff_t end = (y * cell < last ? y * cell : last) / m->row_stride;
        if (from > end)
            continue;
        for (ptrdiff_t x = 0; x < m->cols; x++)
            if (!((double)sums[x * m->col_stride] >= m->least && sums[x * m->col_stride] <= FC_REAL(0x1p30, 0x1p200)))
                for (ptrdiff_t row = from / m->tile_height; row <= end / m->tile_height; row++) {
                    uint8_t *bad = m->bad + row * m->tile_cols + x / m->tile_width;
                    set += !*bad;
                    *bad = 1;
                }
    }
    return set;
}
