/* Rows of points, read from any kind, prepared for their metric (scaled, centred, mapped, packed to bits) and packed. */

static void FC_N(fetch)(FC_T *dst, const char *src, const fc_points *p, ptrdiff_t k0, ptrdiff_t n)
{
    src += k0 * p->col_step;
    if (!(p->kind & FC_U8)) {
        FC_N(copy)(dst, 1, src, p->col_step, n, p->kind);
        return;
    }
    if (p->kind == FC_U8) {
        for (ptrdiff_t k = 0; k < n; k++)
            dst[k] = (FC_T) * (const unsigned char *)(src + k * p->col_step);
        return;
    }
    for (ptrdiff_t k = 0; k < n; k++)
        dst[k] = (FC_T)fc_integer(src + k * p->col_step, p->kind);
}

/* sum a b, b = 1 where NULL, in chains that do not wait for each other. */
FC_INLINE double FC_N(wide_sum)(const double *a, const double *b, ptrdiff_t n)
{
    enum { LANES = FC_VEC_BYTES / sizeof(double) };
    FC_WVEC chains[4] = {0};
    double total = 0;
    ptrdiff_t k = 0;
    for (; k + LANES <= n; k += LANES) {
        FC_WVEC v = *(const FC_WVEC *)(a + k);
        if (b)
            v *= *(const FC_WVEC *)(b + k);
        const FC_WVEC sum = chains[0] + v;
        chains[0] = chains[1];
        chains[1] = chains[2];
        chains[2] = chains[3];
        chains[3] = sum;
    }
    for (; k < n; k++)
        total += b ? a[k] * b[k] : a[k];
    chains[0] = (chains[0] + chains[1]) + (chains[2] + chains[3]);
    for (int i = 0; i < LANES; i++)
        total += chains[0][i];
    return total;
}

/* What scales a whole row: the power of 2 with which nothing overflows, the mean in two words, and the norm. */
static FC_T FC_N(measure_norm)(const FC_T *x, const fc_points *p, double *measures)
{
    const double total = p->w ? FC_N(wide_sum)(p->w, NULL, p->d) : (double)p->d;
    double *wide = p->wide, norm = 0, scale = 1;
    for (int again = 0; again < 2; again++) {
        for (ptrdiff_t k = 0; k < p->d; k++)
            wide[k] = (double)x[k] * scale;
        for (int pass = 0; pass < 2; pass++) {
            const double mean = p->prepare == FC_CENTRED ? FC_N(wide_sum)(wide, p->w, p->d) / total : 0;
            measures[1 + pass] = mean;
            for (ptrdiff_t k = 0; k < p->d && p->prepare == FC_CENTRED; k++)
                wide[k] -= mean;
        }
        for (ptrdiff_t k = 0; k < p->d && p->w; k++)
            wide[k] *= __builtin_sqrt(p->w[k]);
        norm = __builtin_sqrt(FC_N(wide_sum)(wide, wide, p->d));
        if (again || (norm > 0x1p-400 && norm < 0x1p400))
            break;
        int large = 0, small = 1;
        for (ptrdiff_t k = 0; k < p->d; k++) {
            const double v = (double)x[k];
            large |= (v > 0x1p200) | (v < -0x1p200);
            small &= (v < 0x1p-200) & (v > -0x1p-200);
        }
        scale = large ? 0x1p-600 : small ? 0x1p600 : 1;
    }
    measures[0] = scale;
    measures[3] = norm;
    return norm > 0 ? 0 : (FC_T)__builtin_nan("");
}

/* x / norm(x), weighted, after subtracting the mean if centred. */
static void FC_N(normalise)(FC_T *x, const fc_points *p, ptrdiff_t k0, ptrdiff_t n, const double *measures)
{
    const double norm = measures[3], inverse = 1 / norm;
    for (ptrdiff_t k = 0; k < n; k++) {
        double v = (double)x[k] * measures[0] - measures[1] - measures[2];
        if (p->w)
            v *= __builtin_sqrt(p->w[k0 + k]);
        const double q = v * inverse; /* and the remainder of the division */
        x[k] = (FC_T)(q + (v - q * norm) * inverse);
    }
}

/* The sum, 0 where the row is no distribution. */
static FC_T FC_N(measure_sum)(const FC_T *x, const fc_points *p, double *measures)
{
    double sum = 0;
    int negative = 0;
    for (ptrdiff_t k = 0; k < p->d; k++) {
        negative |= x[k] < 0;
        sum += (double)x[k];
    }
    measures[0] = negative ? 0 : sum;
    return sum == 0 || negative ? (FC_T)__builtin_inf() : 0;
}

static void FC_N(shares)(FC_T *x, ptrdiff_t n, double sum)
{
    for (ptrdiff_t k = 0; k < n; k++)
        x[k] = sum == 0 ? 0 : (FC_T)((double)x[k] / sum);
    /* From the back, so that a share is read before its place is taken. */
    for (ptrdiff_t end = n; end > 0; end -= FC_LANES) {
        const ptrdiff_t count = end < FC_LANES ? end : FC_LANES;
        FC_VEC share = {0}, e, f;
        memcpy(&share, x + end - count, (size_t)count * sizeof(FC_T));
        FC_N(log2_parts)(FC_N(max)(FC_N(splat)((FC_T)1e-30), share), &e, &f);
        const FC_VEC product = share * f + share * (e + 1);
        for (ptrdiff_t k = count - 1; k >= 0; k--) {
            x[2 * (end - count + k)] = share[k];
            x[2 * (end - count + k) + 1] = share[k] == share[k] ? product[k] : (FC_T)__builtin_nan("");
        }
    }
}

/* x times a matrix, in two words each: differences of near points do not cancel then. Of doubles the products of halves
 * are exact, so compilers may fuse them with sums; what is lost in the sums comes back in `low`. */
static void FC_N(map_row)(FC_T *x, const fc_points *p, ptrdiff_t k0, ptrdiff_t n)
{
    double *restrict y = p->wide, *restrict low = y + n;
    memset(y, 0, 2 * (size_t)n * sizeof(double));
    for (ptrdiff_t i = 0; i < p->d; i++) {
        const double *restrict row = p->matrix + i * p->d + k0, *restrict high = row + p->d * p->d;
        const double v = (double)x[i];
        FC_T v_high = 0, v_low = 0;
        if (sizeof(FC_T) == 8)
            FC_N(halve)(v, 0, &v_high, &v_low);
        for (ptrdiff_t j = 0; j < n && sizeof(FC_T) == 4; j++)
            y[j] += v * row[j];
        for (ptrdiff_t j = 0; j < n && sizeof(FC_T) == 8; j++) {
            const double product = (double)v_high * high[j], sum = y[j] + product, part = sum - y[j];
            low[j] += ((y[j] - (sum - part)) + (product - part)) + ((double)v_high * (row[j] - high[j]) + (double)v_low * row[j]);
            y[j] = sum;
        }
    }
    for (ptrdiff_t j = 0; j < n; j++) {
        const FC_T high = (FC_T)(y[j] + low[j]), rest = (FC_T)((y[j] - (double)high) + low[j]);
        x[2 * j] = high;
        x[2 * j + 1] = high - high == 0 ? rest : 0;
    }
}

static FC_T FC_N(bits_of_bytes)(FC_T *x, const unsigned char *src, ptrdiff_t d)
{
    enum { WIDTH = 8 * sizeof(FC_T) };
    ptrdiff_t set = 0;
    for (ptrdiff_t k = 0; k < d; k += WIDTH) {
        uint64_t word = 0;
        for (ptrdiff_t at = k; at < k + WIDTH && at < d; at += 8) {
            uint64_t bytes = 0;
            for (int i = 0; i < 8; i++)
                bytes |= at + i < d ? (uint64_t)src[at + i] << 8 * i : 0;
            /* The top bit of each byte that is not 0; the product gathers all of them in its top byte. */
            bytes = (((bytes & ~(uint64_t)0 / 255 * 127) + ~(uint64_t)0 / 255 * 127) | bytes) >> 7 & ~(uint64_t)0 / 255;
            word |= bytes * 0x0102040810204080 >> 56 << (at - k);
        }
        set += __builtin_popcountll(word);
        const FC_INT own = (FC_INT)word;
        memcpy(x + k / WIDTH, &own, sizeof own);
    }
    return (FC_T)set;
}

static FC_T FC_N(bits_of_row)(FC_T *x, ptrdiff_t d)
{
    const int width = 8 * sizeof(FC_T);
    ptrdiff_t set = 0;
    for (ptrdiff_t k = 0, q = 0; k < d; k += width, q++) {
        uint64_t word = 0;
        for (ptrdiff_t i = 0; i < width && k + i < d; i++)
            word |= (uint64_t)(x[k + i] != 0) << i;
        set += __builtin_popcountll(word);
        const FC_INT own = (FC_INT)word;
        memcpy(x + q, &own, sizeof own);
    }
    return (FC_T)set;
}

/* The statistic of numbers that are compared as they are. */
static FC_T FC_N(plain_stat)(const FC_T *x, const fc_points *p, ptrdiff_t k0, ptrdiff_t n)
{
    FC_INT odd = 0;
    FC_T stat = 0;
    if (p->prepare == FC_FINITE)
        for (ptrdiff_t k = 0; k < n; k++)
            odd |= x[k] - x[k] != 0;
    if (p->prepare == FC_SIZES) { /* products of FC_RATIO_GROUP sizes must neither overflow nor underflow */
        const FC_T least = sizeof(FC_T) == 4 ? (FC_T)0x1p-30 : (FC_T)0x1p-64, most = sizeof(FC_T) == 4 ? (FC_T)0x1p30 : (FC_T)0x1p100;
        for (ptrdiff_t k = 0; k < n; k++) {
            const FC_T size = x[k] < 0 ? -x[k] : x[k];
            odd |= (size > most) | (size != size) | ((size < least) & (size > 0));
        }
    }
    if (p->prepare == FC_KNOWN)
        for (ptrdiff_t k = 0; k < n; k++)
            odd |= x[k] != x[k];
    if (p->prepare == FC_POSITIVE) {
        for (ptrdiff_t k = 0; k < n; k++) {
            odd |= x[k] < 0;
            p->wide[k] = (double)x[k];
        }
        stat = (FC_T)FC_N(wide_sum)(p->wide, p->w ? p->w + k0 : NULL, n);
    }
    return odd ? (FC_T)__builtin_nan("") : stat;
}

/* To each number of dst[k][width], in every second row, its size in the next. What is added to sizes is lost in every one
 * but 0, and keeps 0 / 0 a number. */
static void FC_N(add_sizes)(FC_T *dst, ptrdiff_t count, ptrdiff_t width)
{
    const FC_T tiny = sizeof(FC_T) == 4 ? (FC_T)0x1p-60 : (FC_T)0x1p-120;
    for (ptrdiff_t k = 0; k < count; k++, dst += 2 * width) {
        ptrdiff_t r = 0;
        for (; r + FC_LANES <= width; r += FC_LANES)
            FC_N(put)(dst + width + r, FC_N(abs)(FC_N(load)(dst + r)) + tiny);
        for (; r < width; r++)
            dst[width + r] = (FC_T)__builtin_fabs((double)dst[r]) + tiny;
    }
}

/* What a preparation has to know of a whole row before it can begin: `measures`, and its statistic. */
static FC_T FC_N(measure)(const FC_T *x, const fc_points *p, double *measures)
{
    return p->prepare == FC_SHARES ? FC_N(measure_sum)(x, p, measures) : FC_N(measure_norm)(x, p, measures);
}

/* Prepares the n numbers from k0 on, which lie at x (a whole row where it is mapped); what they add to the statistic. */
static FC_T FC_N(prepare)(FC_T *x, const fc_points *p, ptrdiff_t k0, ptrdiff_t n, const double *measures)
{
    switch (p->prepare) {
    case FC_UNIT:
    case FC_CENTRED: FC_N(normalise)(x, p, k0, n, measures); return 0;
    case FC_SHARES: FC_N(shares)(x, n, measures[0]); return 0;
    case FC_MAPPED: FC_N(map_row)(x, p, k0, n); return 0;
    case FC_NONZERO:
        for (ptrdiff_t k = 0; k < n; k++)
            x[k] = x[k] != 0;
        return 0;
    case FC_PACKED_BITS: return FC_N(bits_of_row)(x, n);
    default: return FC_N(plain_stat)(x, p, k0, n);
    }
}

/* dst[k][width] of rows as they are, a vector at a time: stores in order and loads from few lines. */
static void FC_N(pack_rows)(FC_T *dst, const FC_T *src, ptrdiff_t step, ptrdiff_t rows, ptrdiff_t count, ptrdiff_t width)
{
    enum { B = FC_LANES };
    for (ptrdiff_t k = 0; k < count && rows == FC_POINT_ROWS; k++) /* a constant: no loop */
#pragma GCC unroll 6
        for (int i = 0; i < FC_POINT_ROWS; i++)
            dst[k * width + i] = src[i * step + k];
    for (ptrdiff_t r = 0; r < rows && rows != FC_POINT_ROWS; r += B)
        for (ptrdiff_t k0 = 0; k0 < count; k0 += B)
            for (ptrdiff_t k = k0; k < k0 + B && k < count; k++) {
                const FC_T *from = src + r * step + k;
                FC_T *into = dst + k * width + r;
                if (rows - r < B) {
                    for (ptrdiff_t i = 0; r + i < rows; i++)
                        into[i] = from[i * step];
                    continue;
                }
                FC_VEC v = {0};
#pragma GCC unroll 16
                for (int i = 0; i < B; i++)
                    v[i] = from[i * step];
                FC_N(put)(into, v);
            }
}

static void FC_N(points)(const fc_points *p)
{
    FC_T *dst = p->dst, *stats = p->stats, *row = p->row;
    const int prepare = p->prepare, sizes = prepare == FC_SIZES, measured = prepare == FC_UNIT || prepare == FC_CENTRED || prepare == FC_SHARES;
    const ptrdiff_t step = p->row_step / (ptrdiff_t)sizeof(FC_T), width = p->width;
    ptrdiff_t k0 = p->first, n = p->count;
    if (sizes || prepare == FC_SHARES || prepare == FC_MAPPED) {
        k0 /= 2;
        n /= 2;
    } else if (prepare == FC_PACKED_BITS) {
        k0 *= 8 * (ptrdiff_t)sizeof(FC_T);
        n *= 8 * (ptrdiff_t)sizeof(FC_T);
        n = n < p->d - k0 ? n : p->d - k0;
    }
    const ptrdiff_t count = sizes ? n : p->count, next = sizes ? 2 * width : width;
    const int kept = prepare == FC_PLAIN || prepare == FC_FINITE || prepare == FC_KNOWN || prepare == FC_POSITIVE || sizes;
    const int direct = kept && p->kind == FC_N(OWN) && p->col_step == (ptrdiff_t)sizeof(FC_T)
                       && ((uintptr_t)p->src | (uintptr_t)p->row_step) % sizeof(FC_T) == 0;
    for (ptrdiff_t r = 0; r < width && p->first == 0; r++)
        stats[r] = 0;
    for (ptrdiff_t r = 0; r < p->rows && direct && prepare != FC_PLAIN; r++)
        stats[r] += FC_N(plain_stat)((const FC_T *)p->src + r * step + k0, p, k0, n);
    if (dst == NULL)
        return;
    if (direct)
        FC_N(pack_rows)(dst, (const FC_T *)p->src + k0, step, p->rows, n, next);
    for (ptrdiff_t r = 0; r < p->rows && !direct; r++) {
        const char *src = p->src + r * p->row_step;
        double *measures = p->measures + r * FC_MEASURES;
        if (prepare == FC_PACKED_BITS && p->kind == FC_U8 && p->col_step == 1) {
            stats[r] += FC_N(bits_of_bytes)(row, (const unsigned char *)src + k0, n);
        } else {
            if ((measured && p->first == 0) || prepare == FC_MAPPED)
                FC_N(fetch)(row, src, p, 0, p->d);
            else
                FC_N(fetch)(row, src, p, k0, n);
            if (measured && p->first == 0)
                stats[r] = FC_N(measure)(row, p, measures);
            stats[r] += FC_N(prepare)(row, p, k0, n, measures);
        }
        for (ptrdiff_t k = 0; k < count; k++)
            dst[k * next + r] = row[k];
    }
    for (ptrdiff_t k = 0; k < count; k++)
        for (ptrdiff_t r = p->rows; r < width; r++)
            dst[k * next + r] = (FC_T)__builtin_nan("");
    if (sizes)
        FC_N(add_sizes)(dst, count, width);
}
