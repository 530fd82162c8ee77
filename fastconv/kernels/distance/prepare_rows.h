/* The slot `points`: rows of points, read from any kind, prepared for their metric (scaled, centred, mapped, made bits) and
 * packed. Next hop: pairs.h, which reads what is packed. */

/* n numbers of a row from k0 on, of any kind. */
static void FC_N(read)(FC_T *dst, const char *src, const fc_points *p, ptrdiff_t k0, ptrdiff_t n)
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
        dst[k] = (FC_T)FC_N(number)(src + k * p->col_step, p->kind);
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

/* A number of a row scaled, less a mean in two words, and 0 where its weight is 0 and it is finite. */
FC_INLINE double FC_N(centred)(FC_T x, const double *w, const double *measures)
{
    const double v = (double)x * measures[0] - measures[1] - measures[2];
    return w && *w == 0 && x - x == 0 ? 0 : v;
}

/* What a pass of `measure_norm` looks for, and what it finds. */
enum { FC_N(MEAN), FC_N(NORM), FC_N(SIZES) };
typedef struct FC_N(found) {
    double sum;
    FC_T least, most, level; /* of the numbers that count: sizes, and one of them */
    int differ;
} FC_N(found);

/* A pass over a row, piece by piece: sum w x, sum w x^2, or the range of |x| and whether all are the same. */
static FC_N(found) FC_N(pass_of_row)(const char *src, const fc_points *p, const double *measures, int what)
{
    FC_N(found) f = {0, (FC_T)__builtin_inf(), 0, 0, 0};
    double lost = 0;
    int none = 1;
    for (ptrdiff_t k0 = 0; k0 < p->d; k0 += FC_POINT_PIECE) {
        const ptrdiff_t n = p->d - k0 < FC_POINT_PIECE ? p->d - k0 : FC_POINT_PIECE;
        const FC_T *x = p->row;
        const double *w = p->w ? p->w + k0 : NULL;
        double part = 0;
        if (p->d > FC_POINT_PIECE)
            FC_N(read)(p->row, src, p, k0, n);
        if (what == FC_N(SIZES)) {
            for (ptrdiff_t k = 0; k < n; k++) {
                const FC_T size = x[k] < 0 ? -x[k] : x[k];
                if (w && w[k] == 0)
                    continue;
                f.level = none ? x[k] : f.level;
                none = 0;
                f.differ |= x[k] != f.level;
                f.least = size < f.least ? size : f.least;
                f.most = size > f.most ? size : f.most;
            }
            continue;
        }
        double *restrict wide = p->wide;
        for (ptrdiff_t k = 0; k < n; k++)
            wide[k] = FC_N(centred)(x[k], w ? w + k : NULL, measures);
        if (what == FC_N(MEAN)) {
            part = FC_N(wide_sum)(wide, w, n);
        } else {
            for (ptrdiff_t k = 0; k < n && w; k++)
                wide[k] *= __builtin_sqrt(w[k]);
            part = FC_N(wide_sum)(wide, wide, n);
        }
        const double sum = f.sum + part;
        lost += f.sum - (sum - (sum - f.sum)) + (part - (sum - f.sum));
        f.sum = sum;
    }
    f.sum += lost - lost == 0 ? lost : 0;
    return f;
}

/* What scales a whole row: the power of 2 with which nothing overflows, the mean in two words, and the norm; 0 of numbers
 * that are all the same. */
static FC_T FC_N(measure_norm)(const char *src, const fc_points *p, double *measures)
{
    measures[0] = 1;
    for (int again = 0; again < 2; again++) {
        measures[1] = measures[2] = 0;
        for (int i = 1; i <= 2 && p->prepare == FC_CENTRED; i++)
            measures[i] = FC_N(pass_of_row)(src, p, measures, FC_N(MEAN)).sum / p->weight;
        measures[3] = __builtin_sqrt(FC_N(pass_of_row)(src, p, measures, FC_N(NORM)).sum);
        const int safe = again || (measures[3] > 0x1p-400 && measures[3] < 0x1p400);
        const double least = 0x1p-40 * __builtin_sqrt(p->weight) * __builtin_fabs(measures[1]);
        const int level = p->prepare == FC_CENTRED && !(measures[3] > least);
        if (safe && !level)
            break;
        const FC_N(found) f = FC_N(pass_of_row)(src, p, measures, FC_N(SIZES));
        if (level && !f.differ)
            measures[3] = 0;
        if (safe || (level && !f.differ))
            break;
        measures[0] = f.most > (FC_T)0x1p100 ? 0x1p-600 : f.most < (FC_T)0x1p-100 ? 0x1p600 : 1;
    }
    return measures[3] > 0 ? 0 : (FC_T)__builtin_nan("");
}

/* x / norm(x), weighted, after subtracting the mean if centred. */
static void FC_N(normalise)(FC_T *restrict x, const fc_points *p, ptrdiff_t k0, ptrdiff_t n, const double *measures)
{
    const double *w = p->w ? p->w + k0 : NULL, norm = measures[3], inverse = 1 / norm;
    const double known[3] = {measures[0], measures[1], measures[2]};
    for (ptrdiff_t k = 0; k < n; k++) {
        const double v = FC_N(centred)(x[k], w ? w + k : NULL, known) * (w ? __builtin_sqrt(w[k]) : 1);
        const double q = v * inverse; /* and the remainder of the division */
        x[k] = (FC_T)(q + (v - q * norm) * inverse);
    }
}

/* The sum, 0 where the row is no distribution. */
static FC_T FC_N(measure_sum)(const char *src, const fc_points *p, double *measures)
{
    double sum = 0;
    int negative = 0;
    for (ptrdiff_t k0 = 0; k0 < p->d; k0 += FC_POINT_PIECE) {
        const ptrdiff_t n = p->d - k0 < FC_POINT_PIECE ? p->d - k0 : FC_POINT_PIECE;
        const FC_T *x = p->row;
        if (p->d > FC_POINT_PIECE)
            FC_N(read)(p->row, src, p, k0, n);
        for (ptrdiff_t k = 0; k < n; k++) {
            negative |= x[k] < 0;
            p->wide[k] = (double)x[k];
        }
        sum += FC_N(wide_sum)(p->wide, NULL, n);
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

/* What a product of doubles lost: a b - product. Without fused products from halves of 26 bits, whose products are exact. */
FC_INLINE double FC_N(product_rest)(double a, double b, double product)
{
#ifdef __FP_FAST_FMA
    return __builtin_fma(a, b, -product);
#else
    union { double d; uint64_t u; } x = {.d = a}, y = {.d = b};
    x.u &= ~(uint64_t)0 << 27;
    y.u &= ~(uint64_t)0 << 27;
    return ((x.d * y.d - product) + (x.d * (b - y.d) + (a - x.d) * y.d)) + (a - x.d) * (b - y.d);
#endif
}

/* x times a matrix, in two words each, after x itself for FC_BESIDE: differences of near points do not cancel then. Of doubles
 * what products and sums lose comes back in `low`. */
static void FC_N(map_row)(FC_T *x, const fc_points *p, ptrdiff_t k0, ptrdiff_t n)
{
    const ptrdiff_t each = fc_prepared_numbers(p->prepare);
    double *restrict y = p->wide, *restrict low = y + n, *restrict own = low + n;
    memset(y, 0, 2 * (size_t)n * sizeof(double));
    for (ptrdiff_t i = 0; i < p->d; i++) {
        const double *restrict row = p->matrix + i * p->d + k0;
        const double v = (double)x[i];
        for (ptrdiff_t j = 0; j < n && sizeof(FC_T) == 4; j++)
            y[j] += v * row[j];
        for (ptrdiff_t j = 0; j < n && sizeof(FC_T) == 8; j++) {
            const double product = v * row[j], sum = y[j] + product, part = sum - y[j];
            low[j] += ((y[j] - (sum - part)) + (product - part)) + FC_N(product_rest)(v, row[j], product);
            y[j] = sum;
        }
    }
    for (ptrdiff_t j = 0; j < n && each == 3; j++)
        own[j] = (double)x[k0 + j];
    for (ptrdiff_t j = 0; j < n; j++, x += each) {
        const FC_T high = (FC_T)(y[j] + low[j]), rest = (FC_T)((y[j] - (double)high) + low[j]);
        if (each == 3)
            x[0] = (FC_T)own[j];
        x[each - 2] = high;
        x[each - 1] = high - high == 0 ? rest : 0;
    }
}

/* The distance below which two mapped points of such sizes cancel, this point's share: |x| times the lengths of the matrix's
 * rows, w, is no less than the length of the mapped point. */
static FC_T FC_N(size_of_mapped)(const FC_T *x, const fc_points *p)
{
    double sum = 0;
    for (ptrdiff_t i = 0; i < p->d; i++)
        sum += p->w[i] * __builtin_fabs((double)x[i]);
    return (FC_T)(sum * (sizeof(FC_T) == 4 ? 0x1p-22 : 0x1p-40));
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

/* The statistic of numbers that are compared as they are; sums are kept in `measures` from range to range. */
static FC_T FC_N(plain_stat)(const FC_T *x, const fc_points *p, ptrdiff_t k0, ptrdiff_t n, double *measures)
{
    FC_INT odd = 0;
    FC_T stat = 0;
    if (p->prepare == FC_FINITE)
        for (ptrdiff_t k = 0; k < n; k++)
            odd |= x[k] - x[k] != 0;
    if (p->prepare == FC_SIZES) { /* products of FC_RATIO_GROUP sizes must neither overflow nor underflow */
        const FC_T least = sizeof(FC_T) == 4 ? (FC_T)0x1p-30 : (FC_T)0x1p-64;
        const FC_T most = sizeof(FC_T) == 4 ? (FC_T)0x1p30 : (FC_T)0x1p100;
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
        measures[0] = (k0 ? measures[0] : 0) + FC_N(wide_sum)(p->wide, p->w ? p->w + k0 : NULL, n);
        stat = (FC_T)measures[0];
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

/* What a preparation has to know of a whole row before it can begin: `measures`, and its statistic. A row of one piece is
 * left in p->row. */
static FC_T FC_N(measure)(const char *src, const fc_points *p, double *measures)
{
    if (p->d <= FC_POINT_PIECE)
        FC_N(read)(p->row, src, p, 0, p->d);
    return p->prepare == FC_SHARES ? FC_N(measure_sum)(src, p, measures) : FC_N(measure_norm)(src, p, measures);
}

/* Prepares the n numbers from k0 on, which lie at x (a whole row where it is mapped); what they add to the statistic. */
static FC_T FC_N(prepare)(FC_T *x, const fc_points *p, ptrdiff_t k0, ptrdiff_t n, double *measures)
{
    switch (p->prepare) {
    case FC_UNIT:
    case FC_CENTRED: FC_N(normalise)(x, p, k0, n, measures); return 0;
    case FC_SHARES: FC_N(shares)(x, n, measures[0]); return 0;
    case FC_MAPPED:
    case FC_BESIDE: {
        const FC_T size = k0 == 0 ? FC_N(size_of_mapped)(x, p) : 0;
        FC_N(map_row)(x, p, k0, n);
        return size;
    }
    case FC_NONZERO:
        for (ptrdiff_t k = 0; k < n; k++)
            x[k] = x[k] != 0;
        return 0;
    case FC_PACKED_BITS: return FC_N(bits_of_row)(x, n);
    default: return FC_N(plain_stat)(x, p, k0, n, measures);
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

/* A statistic of some numbers to that of those before; sums are of all of them, and only NaN of before remains. */
FC_INLINE void FC_N(add_stat)(FC_T *stat, const fc_points *p, FC_T more)
{
    *stat = p->prepare == FC_POSITIVE && *stat == *stat ? more : *stat + more;
}

static void FC_N(points)(const fc_points *p)
{
    FC_T *dst = p->dst, *stats = p->stats, *row = p->row;
    const int prepare = p->prepare, sizes = prepare == FC_SIZES;
    const int measured = prepare == FC_UNIT || prepare == FC_CENTRED || prepare == FC_SHARES;
    const ptrdiff_t step = p->row_step / (ptrdiff_t)sizeof(FC_T), width = p->width;
    ptrdiff_t k0 = p->first, n = p->count;
    if (prepare != FC_PACKED_BITS) {
        k0 /= fc_prepared_numbers(prepare);
        n /= fc_prepared_numbers(prepare);
    } else {
        k0 *= 8 * (ptrdiff_t)sizeof(FC_T);
        n *= 8 * (ptrdiff_t)sizeof(FC_T);
        n = n < p->d - k0 ? n : p->d - k0;
    }
    const ptrdiff_t count = sizes ? n : p->count, next = sizes ? 2 * width : width;
    const int kept = fc_reads_in_place(prepare) || sizes;
    const int direct = kept && p->kind == FC_N(OWN) && p->col_step == (ptrdiff_t)sizeof(FC_T)
                       && ((uintptr_t)p->src | (uintptr_t)p->row_step) % sizeof(FC_T) == 0;
    for (ptrdiff_t r = p->begin; r < width && p->first == 0; r++)
        stats[r] = 0;
    for (ptrdiff_t r = p->begin; r < p->rows && direct && prepare != FC_PLAIN; r++)
        FC_N(add_stat)(stats + r, p, FC_N(plain_stat)((const FC_T *)p->src + r * step + k0, p, k0, n,
                                                      p->measures + r * FC_MEASURES));
    if (dst == NULL)
        return;
    if (direct)
        FC_N(pack_rows)(dst, (const FC_T *)p->src + k0, step, p->rows, n, next);
    for (ptrdiff_t r = p->begin; r < p->rows && !direct; r++) {
        const char *src = p->src + r * p->row_step;
        double *measures = p->measures + r * FC_MEASURES;
        if (prepare == FC_PACKED_BITS && p->kind == FC_U8 && p->col_step == 1) {
            stats[r] += FC_N(bits_of_bytes)(row, (const unsigned char *)src + k0, n);
        } else {
            const int whole = measured && p->first == 0 && !p->measured;
            if (whole)
                stats[r] = FC_N(measure)(src, p, measures);
            if (prepare == FC_MAPPED || prepare == FC_BESIDE)
                FC_N(read)(row, src, p, 0, p->d);
            else if (!whole || p->d > FC_POINT_PIECE)
                FC_N(read)(row, src, p, k0, n);
            FC_N(add_stat)(stats + r, p, FC_N(prepare)(row, p, k0, n, measures));
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
