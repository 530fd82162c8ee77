/* Rows of points, read from any kind, prepared for their metric (scaled, centred, mapped, packed to bits) and packed. */

static void FC_N(fetch_row)(FC_T *dst, const char *src, const fc_points *p)
{
    if (!(p->kind & FC_U8)) {
        FC_N(copy)(dst, 1, src, p->col_step, p->d, p->kind);
        return;
    }
    if (p->kind == FC_U8) {
        for (ptrdiff_t k = 0; k < p->d; k++)
            dst[k] = (FC_T) * (const unsigned char *)(src + k * p->col_step);
        return;
    }
    for (ptrdiff_t k = 0; k < p->d; k++)
        dst[k] = (FC_T)fc_integer(src + k * p->col_step, p->kind);
}

/* sum a b, b = 1 where NULL, in chains that do not wait for each other. */
FC_INLINE double FC_N(wide_sum)(const double *a, const double *b, ptrdiff_t n)
{
    double chains[16] = {0}, total = 0;
    ptrdiff_t k = 0;
    for (; k + 16 <= n; k += 16)
        for (int i = 0; i < 16; i++)
            chains[i] += b ? a[k + i] * b[k + i] : a[k + i];
    for (; k < n; k++)
        total += b ? a[k] * b[k] : a[k];
    for (int i = 0; i < 16; i++)
        total += chains[i];
    return total;
}

/* x / norm(x), weighted, after subtracting the mean if `centred`; scaled by a power of 2 so that nothing overflows. */
static FC_T FC_N(normalise)(FC_T *x, const fc_points *p, int centred)
{
    const double total = p->w ? FC_N(wide_sum)(p->w, NULL, p->d) : (double)p->d;
    double *wide = p->wide, norm = 0, scale = 1;
    for (int again = 0; again < 2; again++) {
        for (ptrdiff_t k = 0; k < p->d; k++)
            wide[k] = (double)x[k] * scale;
        for (int pass = 0; pass < 2 && centred; pass++) {
            const double mean = FC_N(wide_sum)(wide, p->w, p->d) / total;
            for (ptrdiff_t k = 0; k < p->d; k++)
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
    const double inverse = 1 / norm;
    for (ptrdiff_t k = 0; k < p->d; k++) {
        const double q = wide[k] * inverse; /* and the remainder of the division */
        x[k] = (FC_T)(q + (wide[k] - q * norm) * inverse);
    }
    return norm > 0 ? 0 : (FC_T)__builtin_nan("");
}

static FC_T FC_N(shares)(FC_T *x, const fc_points *p)
{
    const FC_T nan = (FC_T)__builtin_nan(""), infinity = (FC_T)__builtin_inf();
    double sum = 0;
    int negative = 0;
    for (ptrdiff_t k = 0; k < p->d; k++) {
        negative |= x[k] < 0;
        sum += (double)x[k];
    }
    for (ptrdiff_t k = 0; k < p->d; k++) /* + 0: the logarithm knows no -0 */
        x[k] = sum == 0 || negative ? 0 : (FC_T)((double)x[k] / sum) + 0;
    /* From the back, so that a share is read before its place is taken. */
    for (ptrdiff_t end = p->d; end > 0; end -= FC_LANES) {
        const ptrdiff_t n = end < FC_LANES ? end : FC_LANES;
        FC_VEC share = {0}, e, f;
        memcpy(&share, x + end - n, (size_t)n * sizeof(FC_T));
        FC_N(log2_parts)(share, &e, &f);
        const FC_VEC product = share * f + share * e;
        for (ptrdiff_t k = n - 1; k >= 0; k--) {
            x[2 * (end - n + k)] = share[k];
            x[2 * (end - n + k) + 1] = share[k] == share[k] ? product[k] : nan;
        }
    }
    return sum == 0 || negative ? infinity : 0;
}

static void FC_N(map_row)(FC_T *x, const fc_points *p)
{
    for (ptrdiff_t j = 0; j < p->d; j++)
        p->wide[j] = 0;
    for (ptrdiff_t i = 0; i < p->d; i++) {
        const double o = FC_N(number)(p->origin + i * p->origin_step, p->origin_kind);
        const double v = (double)x[i] - (o - o == 0 ? o : 0);
        const double *restrict row = p->matrix + i * p->d;
        double *restrict y = p->wide;
        for (ptrdiff_t j = 0; j < p->d; j++)
            y[j] += v * row[j];
    }
    for (ptrdiff_t j = 0; j < p->d; j++)
        x[j] = (FC_T)p->wide[j];
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

/* The statistic of a row that is compared as it is. */
static FC_T FC_N(row_stat)(const FC_T *x, const fc_points *p)
{
    FC_INT odd = 0;
    FC_T stat = 0;
    if (p->prepare == FC_FINITE)
        for (ptrdiff_t k = 0; k < p->d; k++)
            odd |= x[k] - x[k] != 0;
    if (p->prepare == FC_SIZES) { /* products of FC_RATIO_GROUP sizes must neither overflow nor underflow */
        const FC_T least = sizeof(FC_T) == 4 ? (FC_T)0x1p-30 : (FC_T)0x1p-64, most = sizeof(FC_T) == 4 ? (FC_T)0x1p30 : (FC_T)0x1p100;
        for (ptrdiff_t k = 0; k < p->d; k++) {
            const FC_T size = x[k] < 0 ? -x[k] : x[k];
            odd |= (size > most) | (size != size) | ((size < least) & (size > 0));
        }
    }
    if (p->prepare == FC_KNOWN)
        for (ptrdiff_t k = 0; k < p->d; k++)
            odd |= x[k] != x[k];
    if (p->prepare == FC_POSITIVE) {
        for (ptrdiff_t k = 0; k < p->d; k++) {
            odd |= x[k] < 0;
            p->wide[k] = (double)x[k];
        }
        stat = (FC_T)FC_N(wide_sum)(p->wide, p->w, p->d);
    }
    return odd ? (FC_T)__builtin_nan("") : stat;
}

/* To each number of dst[k][width], in every second row, its size in the next. What is added to sizes is lost in every one
 * but 0, and keeps 0 / 0 a number. */
static void FC_N(add_sizes)(FC_T *dst, ptrdiff_t count, ptrdiff_t width)
{
    for (ptrdiff_t k = 0; k < count; k++, dst += 2 * width)
        for (ptrdiff_t r = 0; r < width; r++)
            dst[width + r] = (dst[r] < 0 ? -dst[r] : dst[r]) + (sizeof(FC_T) == 4 ? (FC_T)0x1p-60 : (FC_T)0x1p-120);
}

static FC_T FC_N(prepare_row)(FC_T *x, const fc_points *p)
{
    FC_T stat = 0;
    switch (p->prepare) {
    case FC_UNIT: return FC_N(normalise)(x, p, 0);
    case FC_CENTRED: return FC_N(normalise)(x, p, 1);
    case FC_SHARES: return FC_N(shares)(x, p);
    case FC_MAPPED: FC_N(map_row)(x, p); return 0;
    case FC_NONZERO:
        for (ptrdiff_t k0 = 0; k0 < p->d; k0 += FC_POINT_CHAIN) { /* in the chains of the sums, so that they cancel */
            FC_T chain = 0;
            for (ptrdiff_t k = k0; k < k0 + FC_POINT_CHAIN && k < p->d; k++) {
                x[k] = x[k] != 0;
                chain += x[k] != 0 ? (FC_T)p->w[k] : 0;
            }
            stat += chain;
        }
        return stat;
    case FC_PACKED_BITS: return FC_N(bits_of_row)(x, p->d);
    default: return FC_N(row_stat)(x, p);
    }
}

/* dst[k][width] of rows as they are, a vector at a time: stores in order and loads from few lines. */
static void FC_N(pack_rows)(FC_T *dst, const FC_T *src, ptrdiff_t step, ptrdiff_t rows, ptrdiff_t count, ptrdiff_t width)
{
    enum { B = FC_LANES };
    for (ptrdiff_t r = 0; r < rows; r += B)
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
    FC_T *dst = p->dst, *stats = p->stats;
    const int each = p->prepare == FC_SIZES ? 2 : 1;
    const ptrdiff_t step = p->row_step / (ptrdiff_t)sizeof(FC_T), first = p->first / each, count = p->count / each;
    const ptrdiff_t width = p->width, next = each * width;
    const int kept = p->prepare == FC_PLAIN || p->prepare == FC_FINITE || p->prepare == FC_KNOWN || p->prepare == FC_POSITIVE
                     || p->prepare == FC_SIZES;
    const int direct = kept && p->kind == FC_N(OWN) && p->col_step == (ptrdiff_t)sizeof(FC_T)
                       && ((uintptr_t)p->src | (uintptr_t)p->row_step) % sizeof(FC_T) == 0;
    for (ptrdiff_t r = 0; r < width; r++)
        stats[r] = 0;
    for (ptrdiff_t r = 0; r < p->rows && direct && p->prepare != FC_PLAIN; r++)
        stats[r] = FC_N(row_stat)((const FC_T *)p->src + r * step, p);
    if (dst == NULL)
        return;
    if (direct)
        FC_N(pack_rows)(dst, (const FC_T *)p->src + first, step, p->rows, count, next);
    for (ptrdiff_t r = 0; r < p->rows && !direct; r++) {
        const FC_T *row = (const FC_T *)p->row + first;
        const char *src = p->src + r * p->row_step;
        if (p->prepare == FC_PACKED_BITS && p->kind == FC_U8 && p->col_step == 1) {
            stats[r] = FC_N(bits_of_bytes)(p->row, (const unsigned char *)src, p->d);
        } else {
            FC_N(fetch_row)(p->row, src, p);
            stats[r] = FC_N(prepare_row)(p->row, p);
        }
        for (ptrdiff_t k = 0; k < count; k++)
            dst[k * next + r] = row[k];
    }
    for (ptrdiff_t k = 0; k < count; k++)
        for (ptrdiff_t r = p->rows; r < width; r++)
            dst[k * next + r] = (FC_T)__builtin_nan("");
    if (p->prepare == FC_SIZES)
        FC_N(add_sizes)(dst, count, width);
}
