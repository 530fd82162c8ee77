/* Weighted sums that are formed in numbers of one type, FC_C, of elements of FC_T; weights.h includes this for each pair.
 *
 * `slide` makes FC_OUTS outputs of neighbouring rows: a pair of taps costs 2 loads, and an addition and a multiply-add each, a
 * tap without symmetry a load and a multiply-add each, as one of `cells` does for 4. Sums along lines of few taps load each tap
 * anew; others go through blocks of as many lines as a vector has lanes, transposed, so that loads are aligned and shared there,
 * too: 2 log2(lanes) shuffles a vector. Where products are not fused there is an addition and a multiplication in place of a
 * multiply-add.
 */

#undef FC_W
#undef FC_CVEC
#undef FC_UCVEC
#undef FC_NUMBERS
#undef FC_CLANES
#undef FC_NARROW
#define FC_W(name) FC_PASTE(name, FC_SUFFIX, FC_C_SUFFIX, FC_ISA)
#define FC_CVEC FC_W(sum_vec)
#define FC_UCVEC FC_W(loose_sum_vec)
#define FC_NUMBERS FC_W(numbers)
#define FC_CLANES ((int)(FC_VEC_BYTES / sizeof(FC_C)))

typedef FC_C FC_CVEC __attribute__((vector_size(FC_VEC_BYTES), may_alias));
typedef __typeof__(__builtin_choose_expr(sizeof(FC_C) == 4, (int32_t)0, (int64_t)0)) FC_W(number);
typedef FC_W(number) FC_NUMBERS __attribute__((vector_size(FC_VEC_BYTES)));
typedef FC_C FC_UCVEC __attribute__((vector_size(FC_VEC_BYTES), may_alias, aligned(sizeof(FC_C))));

/* A vector of elements. */
FC_INLINE FC_CVEC FC_W(read)(const char *p)
{
    if (sizeof(FC_T) == sizeof(FC_C))
        return *(const FC_UCVEC *)p;
    FC_CVEC v = (FC_CVEC)FC_N(load_wide)((const FC_T *)p);
    FC_KEEP(v); /* which compilers would convert again for each use */
    return v;
}

/* A product, which a sum may fuse or not. */
FC_INLINE FC_CVEC FC_W(times)(FC_C weight, FC_CVEC v, const int fused)
{
    FC_CVEC product = weight * v;
    if (!fused)
        FC_KEEP(product);
    return product;
}

FC_INLINE FC_CVEC FC_W(plus)(FC_CVEC sum, FC_C weight, FC_CVEC v, const int fused) { return sum + FC_W(times)(weight, v, fused); }

FC_INLINE FC_CVEC FC_W(pair)(FC_CVEC a, FC_CVEC b, const int order) { return order == FC_SYMMETRIC ? a + b : a - b; }

/* sum[i] of rows[i + t], t < taps. Windows of rows move on by one a step. */
FC_INLINE void FC_W(slide)(FC_CVEC *sum, const FC_CVEC *rows, const FC_C *weights, ptrdiff_t taps, const int order, const int fused)
{
    FC_CVEC low[FC_OUTS], high[FC_OUTS];
    const ptrdiff_t last = taps - 1, first = order == FC_UNORDERED ? last : last / 2;
#pragma GCC unroll 8
    for (int i = 0; i < FC_OUTS; i++)
        sum[i] = FC_W(times)(weights[first], rows[first + i], fused);
#pragma GCC unroll 8
    for (int i = 1; i < FC_OUTS; i++) {
        low[i] = rows[i - 1];
        high[i - 1] = rows[last + i];
    }
    for (ptrdiff_t t = 0; t < first; t++) {
#pragma GCC unroll 8
        for (int i = 1; i < FC_OUTS; i++)
            low[i - 1] = low[i];
        low[FC_OUTS - 1] = rows[t + FC_OUTS - 1];
        if (order != FC_UNORDERED) {
#pragma GCC unroll 8
            for (int i = FC_OUTS - 1; i > 0; i--)
                high[i] = high[i - 1];
            high[0] = rows[last - t];
        }
        const FC_C weight = weights[t];
#pragma GCC unroll 8
        for (int i = 0; i < FC_OUTS; i++)
            sum[i] = FC_W(plus)(sum[i], weight, order == FC_UNORDERED ? low[i] : FC_W(pair)(low[i], high[i], order), fused);
    }
}

/* The same of one line: sum[v] of the v-th vector from `line` on. */
FC_INLINE void FC_W(direct)(FC_CVEC *sum, const char *line, const FC_C *weights, ptrdiff_t taps, const int order, const int fused)
{
    enum { ITEM = sizeof(FC_T), STEP = FC_VEC_BYTES / sizeof(FC_C) * sizeof(FC_T) };
    const ptrdiff_t last = taps - 1, first = order == FC_UNORDERED ? last : last / 2;
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++)
        sum[v] = FC_W(times)(weights[first], FC_W(read)(line + first * ITEM + v * STEP), fused);
    for (ptrdiff_t t = 0; t < first; t++)
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) {
            FC_CVEC one = FC_W(read)(line + t * ITEM + v * STEP);
            if (order != FC_UNORDERED)
                one = FC_W(pair)(one, FC_W(read)(line + (last - t) * ITEM + v * STEP), order);
            sum[v] = FC_W(plus)(sum[v], weights[t], one, fused);
        }
}

#define FC_NARROW FC_W(narrow)
typedef FC_T FC_NARROW __attribute__((vector_size(FC_CLANES * sizeof(FC_T)), may_alias, aligned(sizeof(FC_T))));

/* The first n lanes. Not inline: vectors whose address is taken would live in memory wherever they are stored. */
static __attribute__((noinline)) void FC_W(put_some)(char *p, FC_CVEC v, ptrdiff_t n, int wide)
{
    if (wide || sizeof(FC_T) == sizeof(FC_C)) {
        memcpy(p, &v, (size_t)n * sizeof(FC_C));
    } else {
        const FC_NARROW narrow = __builtin_convertvector(v, FC_NARROW);
        memcpy(p, &narrow, (size_t)n * sizeof(FC_T));
    }
}

/* The first n lanes of a vector of sums, as FC_T or as they are. */
FC_INLINE void FC_W(put)(char *p, FC_CVEC v, ptrdiff_t n, const int wide)
{
    if (__builtin_expect(n < FC_CLANES, 0))
        FC_W(put_some)(p, v, n, wide);
    else if (wide || sizeof(FC_T) == sizeof(FC_C))
        *(FC_UCVEC *)p = v;
    else
        *(FC_NARROW *)p = __builtin_convertvector(v, FC_NARROW);
}

#if FC_C_WHOLE
/* Sums of taps `step` bytes apart that may lie on the other side of an integer, formed again in doubles, of which no product is
 * fused, and cut off. */
static __attribute__((noinline)) FC_CVEC FC_W(again)(const char *at, ptrdiff_t step, const fc_weighted *q)
{
    const ptrdiff_t last = q->taps - 1, first = q->order == FC_UNORDERED ? last : last / 2;
    FC_T whole[FC_LANES];
    for (int h = 0; h < 2; h++, at += FC_VEC_BYTES / 2) {
        FC_WVEC sum = FC_N(load_wide)((const FC_T *)(at + first * step)) * q->weights[first];
        FC_KEEP(sum);
        for (ptrdiff_t t = 0; t < first; t++) {
            FC_WVEC one = FC_N(load_wide)((const FC_T *)(at + t * step));
            if (q->order != FC_UNORDERED) {
                const FC_WVEC other = FC_N(load_wide)((const FC_T *)(at + (last - t) * step));
                one = q->order == FC_SYMMETRIC ? one + other : one - other;
            }
            FC_WVEC product = one * q->weights[t];
            FC_KEEP(product);
            sum += product;
        }
        for (int i = 0; i < FC_LANES / 2; i++)
            whole[h * (FC_LANES / 2) + i] = (FC_T)(int32_t)sum[i];
    }
    return FC_N(load)(whole);
}

/* The lanes of sums that are other integers if they are off by `doubt`. */
FC_INLINE FC_IVEC FC_W(doubtful)(FC_CVEC sum, FC_CVEC doubt)
{
    return __builtin_convertvector(sum - doubt, FC_IVEC) != __builtin_convertvector(sum + doubt, FC_IVEC);
}

/* Cuts `count` sums off, of taps `step` bytes apart; the first tap of the next sum is `apart` bytes further on. */
FC_INLINE void FC_W(cut)(FC_CVEC *sum, const int count, const void *at, ptrdiff_t step, ptrdiff_t apart, const fc_weighted *q)
{
    const FC_CVEC doubt = FC_N(splat)(q->doubt);
    FC_IVEC any = {0};
    if (q->doubt < 0)
        return;
#pragma GCC unroll 8
    for (int i = 0; i < count; i++)
        any |= FC_W(doubtful)(sum[i], doubt);
    if (__builtin_expect(FC_N(any)(any), 0)) {
        for (int i = 0; i < count; i++)
            if (FC_N(any)(FC_W(doubtful)(sum[i], doubt)))
                sum[i] = FC_W(again)((const char *)at + i * apart, step, q);
    }
#pragma GCC unroll 8
    for (int i = 0; i < count; i++)
        sum[i] = __builtin_convertvector(__builtin_convertvector(sum[i], FC_IVEC), FC_CVEC);
}
#else
FC_INLINE void FC_W(cut)(FC_CVEC *sum, const int count, const void *at, ptrdiff_t step, ptrdiff_t apart, const fc_weighted *q)
{
    (void)sum, (void)count, (void)at, (void)step, (void)apart, (void)q;
}
#endif

/* The sum of three taps, in the order of `slide`. */
FC_INLINE FC_CVEC FC_W(three)(FC_CVEC a, FC_CVEC b, FC_CVEC c, const FC_C *weights, const int order, const int fused)
{
    if (order == FC_UNORDERED)
        return FC_W(plus)(FC_W(plus)(FC_W(times)(weights[2], c, fused), weights[0], a, fused), weights[1], b, fused);
    return FC_W(plus)(FC_W(times)(weights[1], b, fused), weights[0], FC_W(pair)(a, c, order), fused);
}

/* The x from which a vector reads no further than n, if there are as many: it may go over some again. */
FC_INLINE ptrdiff_t FC_W(within)(ptrdiff_t x, ptrdiff_t n) { return n - x < FC_CLANES && n >= FC_CLANES ? n - FC_CLANES : x; }

/* Of three taps: rows are read once, and stay in registers. Two vectors side by side, whole cache lines, took twice as long. */
FC_INLINE void FC_W(columns_of_three)(const fc_weighted *q, const FC_C *weights, const int order, const int fused)
{
    const ptrdiff_t n = q->n, count = q->count, item = q->wide ? sizeof(FC_C) : sizeof(FC_T);
    const int wide = q->wide;
    const int cuts = FC_C_WHOLE && q->doubt >= 0;
    FC_CVEC *rows = (FC_CVEC *)q->space;
    for (ptrdiff_t step = 0; step < n; step += FC_CLANES) {
        const char *const *at = (const char *const *)q->rows;
        const ptrdiff_t x = FC_W(within)(step, n), from = x * (ptrdiff_t)sizeof(FC_T);
        FC_CVEC a = FC_W(read)(at[0] + from), b = FC_W(read)(at[1] + from);
        for (ptrdiff_t o = 0; o < count; o++) {
            const FC_CVEC c = FC_W(read)(at[o + 2] + from);
            FC_CVEC sum = FC_W(three)(a, b, c, weights, order, fused);
            if (cuts) {
                rows[0] = a, rows[1] = b, rows[2] = c;
                FC_W(cut)(&sum, 1, rows, sizeof(FC_CVEC), 0, q);
            }
            FC_W(put)((char *)q->out[o] + x * item, sum, n - x, wide);
            a = b;
            b = c;
        }
    }
}

FC_INLINE void FC_W(columns)(const fc_weighted *q, const FC_C *weights, const int order, const int fused)
{
    const ptrdiff_t n = q->n, count = q->count, taps = q->taps, item = q->wide ? sizeof(FC_C) : sizeof(FC_T);
    const int wide = q->wide;
    FC_CVEC *rows = (FC_CVEC *)q->space;
    if (taps == 3) {
        FC_W(columns_of_three)(q, weights, order, fused);
        return;
    }
    for (ptrdiff_t step = 0; step < n; step += FC_CLANES) {
        const ptrdiff_t x = FC_W(within)(step, n);
        for (ptrdiff_t k = 0; k < count + taps - 1; k++)
            rows[k] = FC_W(read)((const char *)q->rows[k] + x * (ptrdiff_t)sizeof(FC_T));
        for (ptrdiff_t o = 0; o < count; o += FC_OUTS) {
            FC_CVEC sum[FC_OUTS];
            FC_W(slide)(sum, rows + o, weights, taps, order, fused);
            FC_W(cut)(sum, FC_OUTS, rows + o, sizeof(FC_CVEC), sizeof(FC_CVEC), q);
#pragma GCC unroll 8
            for (int i = 0; i < FC_OUTS; i++)
                if (o + i < count)
                    FC_W(put)((char *)q->out[o + i] + x * item, sum[i], n - x, wide);
        }
    }
}

/* Swaps what two vectors of a square of d x d blocks have on the wrong side of its diagonal. */
FC_INLINE void FC_W(exchange)(FC_CVEC *a, FC_CVEC *b, const int d)
{
    FC_NUMBERS low = {0}, high = {0};
#pragma GCC unroll 16
    for (int j = 0; j < FC_CLANES; j++) {
        low[j] = j & d ? FC_CLANES + j - d : j;
        high[j] = j & d ? FC_CLANES + j : j + d;
    }
    const FC_CVEC first = __builtin_shuffle(*a, *b, low);
    *b = __builtin_shuffle(*a, *b, high);
    *a = first;
}

FC_INLINE void FC_W(transpose_square)(FC_CVEC *v)
{
#pragma GCC unroll 16
    for (int i = 0; i < FC_CLANES; i += 2)
        FC_W(exchange)(v + i, v + i + 1, 1);
#pragma GCC unroll 16
    for (int i = 0; i < FC_CLANES; i++)
        if (FC_CLANES > 2 && !(i & 2))
            FC_W(exchange)(v + i, v + i + 2, 2);
#pragma GCC unroll 16
    for (int i = 0; i < FC_CLANES; i++)
        if (FC_CLANES > 4 && !(i & 4))
            FC_W(exchange)(v + i, v + i + 4, 4);
#pragma GCC unroll 16
    for (int i = 0; i < FC_CLANES; i++)
        if (FC_CLANES > 8 && !(i & 8))
            FC_W(exchange)(v + i, v + i + 8, 8);
}

/* Columns first .. end - 1 of up to FC_CLANES lines, which become vectors; the last line stands for those that there are not. */
FC_INLINE void FC_W(turn)(FC_CVEC *to, const char *const *lines, ptrdiff_t count, ptrdiff_t first, ptrdiff_t end)
{
    for (ptrdiff_t x = first; x < end; x += FC_CLANES) {
        FC_CVEC v[FC_CLANES];
#pragma GCC unroll 16
        for (int i = 0; i < FC_CLANES; i++)
            v[i] = FC_W(read)(lines[i < count ? i : count - 1] + x * (ptrdiff_t)sizeof(FC_T));
        FC_W(transpose_square)(v);
#pragma GCC unroll 16
        for (int i = 0; i < FC_CLANES; i++)
            to[x - first + i] = v[i];
    }
}

FC_INLINE void FC_W(turned_rows)(const fc_weighted *q, const FC_C *weights, const int order, const int fused)
{
    const ptrdiff_t n = q->n, taps = q->taps, reach = taps - 1, item = q->wide ? sizeof(FC_C) : sizeof(FC_T);
    const int wide = q->wide;
    FC_CVEC *columns = (FC_CVEC *)q->space;
    for (ptrdiff_t line = 0; line < q->count; line += FC_CLANES) {
        const char *const *lines = (const char *const *)q->rows + line;
        const ptrdiff_t count = q->count - line < FC_CLANES ? q->count - line : FC_CLANES;
        for (ptrdiff_t first = 0; first < n; first += FC_WEIGHED) {
            const ptrdiff_t end = n - first < FC_WEIGHED ? n - first : FC_WEIGHED;
            const ptrdiff_t kept = first ? reach : 0;
            memmove(columns, columns + FC_WEIGHED, (size_t)kept * sizeof(FC_CVEC));
            FC_W(turn)(columns + kept, lines, count, first + kept, first + reach + (end + FC_CLANES - 1) / FC_CLANES * FC_CLANES);
            for (ptrdiff_t x = 0; x < end; x += FC_CLANES) {
                FC_CVEC sum[FC_CLANES < FC_OUTS ? FC_OUTS : FC_CLANES];
#pragma GCC unroll 1
                for (int i = 0; i < FC_CLANES; i += FC_OUTS) {
                    FC_W(slide)(sum + i, columns + x + i, weights, taps, order, fused);
                    FC_W(cut)(sum + i, FC_OUTS, columns + x + i, sizeof(FC_CVEC), sizeof(FC_CVEC), q);
                }
                FC_W(transpose_square)(sum);
#pragma GCC unroll 16
                for (int i = 0; i < FC_CLANES; i++)
                    if (i < count)
                        FC_W(put)((char *)q->out[line + i] + (first + x) * item, sum[i], end - x, wide);
            }
        }
    }
}

/* The elements of a, then of b, from the k-th on. */
FC_INLINE FC_CVEC FC_W(shifted)(FC_CVEC a, FC_CVEC b, const int k)
{
    FC_NUMBERS from = {0};
#pragma GCC unroll 16
    for (int j = 0; j < FC_CLANES; j++)
        from[j] = j + k;
    return __builtin_shuffle(a, b, from);
}

/* Of three taps: elements are read, and made sums' numbers, once. */
FC_INLINE void FC_W(rows_of_three)(const fc_weighted *q, const FC_C *weights, const int order, const int fused)
{
    const ptrdiff_t n = q->n, item = q->wide ? sizeof(FC_C) : sizeof(FC_T);
    const int wide = q->wide, cuts = FC_C_WHOLE && q->doubt >= 0;
    for (ptrdiff_t o = 0; o < q->count; o++) {
        const char *line = (const char *)q->rows[o];
        char *out = (char *)q->out[o];
        FC_CVEC a = FC_W(read)(line);
        for (ptrdiff_t x = 0; x < n; x += FC_CLANES, line += FC_CLANES * sizeof(FC_T)) {
            const FC_CVEC next = FC_W(read)(line + FC_CLANES * sizeof(FC_T));
            const FC_CVEC b = FC_W(shifted)(a, next, 1), c = FC_W(shifted)(a, next, 2);
            FC_CVEC sum = FC_W(three)(a, b, c, weights, order, fused);
            if (cuts)
                FC_W(cut)(&sum, 1, line, sizeof(FC_T), 0, q);
            FC_W(put)(out + x * item, sum, n - x, wide);
            a = next;
        }
    }
}

FC_INLINE void FC_W(rows)(const fc_weighted *q, const FC_C *weights, const int order, const int fused)
{
    const ptrdiff_t n = q->n, taps = q->taps, item = q->wide ? sizeof(FC_C) : sizeof(FC_T);
    const int wide = q->wide;
    if (taps == 3) {
        FC_W(rows_of_three)(q, weights, order, fused);
        return;
    }
    if (taps > FC_DIRECT_TAPS && q->count > FC_CLANES / 2) {
        FC_W(turned_rows)(q, weights, order, fused);
        return;
    }
    for (ptrdiff_t o = 0; o < q->count; o++)
        for (ptrdiff_t x = 0; x < n; x += 4 * FC_CLANES) {
            const char *line = (const char *)q->rows[o] + x * (ptrdiff_t)sizeof(FC_T);
            FC_CVEC sum[4];
            FC_W(direct)(sum, line, weights, taps, order, fused);
            FC_W(cut)(sum, 4, line, sizeof(FC_T), FC_CLANES * sizeof(FC_T), q);
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++) {
                const ptrdiff_t at = v * FC_CLANES;
                if (x + at < n)
                    FC_W(put)((char *)q->out[o] + (x + at) * item, sum[v], n - x - at, wide);
            }
        }
}

/* Sums of 4 rows of outputs; with `some`, of those cells that have a weight. */
FC_INLINE void FC_W(cells)(const fc_correlated *q, const FC_C *weights, ptrdiff_t o, const int some)
{
    const ptrdiff_t n = q->n, height = q->height, width = q->width, planes = q->planes;
    const ptrdiff_t item = q->wide ? sizeof(FC_C) : sizeof(FC_T), lines = (q->count + 3) / 4 * 4 + height - 1;
    for (ptrdiff_t x = 0; x < n; x += FC_CLANES) {
        FC_CVEC sum[4] = {{0}, {0}, {0}, {0}};
        for (ptrdiff_t plane = 0; plane < planes; plane++) {
            const ptrdiff_t from = plane * height * width;
            for (ptrdiff_t r = 0; r < height + 3; r++) {
                const char *line = (const char *)q->rows[plane * lines + o + r] + x * (ptrdiff_t)sizeof(FC_T);
                const ptrdiff_t first = from + r * width;
                if (!some && r >= 3 && r < height) {
                    for (ptrdiff_t s = 0; s < width; s++) {
                        const FC_CVEC v = FC_W(read)(line + s * (ptrdiff_t)sizeof(FC_T));
#pragma GCC unroll 4
                        for (int i = 0; i < 4; i++)
                            sum[i] = FC_W(plus)(sum[i], weights[first - i * width + s], v, FC_C_WHOLE);
                    }
                    continue;
                }
                for (ptrdiff_t s = 0; s < width; s++) {
                    const FC_CVEC v = FC_W(read)(line + s * (ptrdiff_t)sizeof(FC_T));
#pragma GCC unroll 4
                    for (int i = 0; i < 4; i++)
                        if (r - i >= 0 && r - i < height && (!some || q->present[first - i * width + s]))
                            sum[i] = FC_W(plus)(sum[i], weights[first - i * width + s], v, FC_C_WHOLE);
                }
            }
        }
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            if (o + i < q->count)
                FC_W(put)((char *)q->out[o + i] + x * item, sum[i], n - x, q->wide);
    }
}

/* A row of three cells added to a sum. */
FC_INLINE FC_CVEC FC_W(plus_three)(FC_CVEC sum, const FC_CVEC *v, const FC_C *weights)
{
#pragma GCC unroll 3
    for (int s = 0; s < 3; s++)
        sum = FC_W(plus)(sum, weights[s], v[s], FC_C_WHOLE);
    return sum;
}

FC_INLINE void FC_W(read_three)(FC_CVEC *v, const char *line)
{
    v[0] = FC_W(read)(line);
    const FC_CVEC next = FC_W(read)(line + FC_CLANES * sizeof(FC_T));
    v[1] = FC_W(shifted)(v[0], next, 1);
    v[2] = FC_W(shifted)(v[0], next, 2);
}

/* 3x3 cells: each row is read once, and stays in registers for three outputs. */
FC_INLINE void FC_W(nine_cells)(const fc_correlated *q, const FC_C *weights)
{
    const ptrdiff_t n = q->n, count = q->count, item = q->wide ? sizeof(FC_C) : sizeof(FC_T);
    const int wide = q->wide;
    const char *const *rows = (const char *const *)q->rows;
    for (ptrdiff_t x = 0; x < n; x += FC_CLANES) {
        const ptrdiff_t from = x * (ptrdiff_t)sizeof(FC_T);
        FC_CVEC a[3], b[3], c[3];
        FC_W(read_three)(a, rows[0] + from);
        FC_W(read_three)(b, rows[1] + from);
        for (ptrdiff_t o = 0; o < count; o++) {
            FC_W(read_three)(c, rows[o + 2] + from);
            FC_CVEC sum = FC_W(plus_three)((FC_CVEC){0}, a, weights);
            sum = FC_W(plus_three)(sum, b, weights + 3);
            sum = FC_W(plus_three)(sum, c, weights + 6);
            FC_W(put)((char *)q->out[o] + x * item, sum, n - x, wide);
#pragma GCC unroll 3
            for (int s = 0; s < 3; s++) {
                a[s] = b[s];
                b[s] = c[s];
            }
        }
    }
}

static void FC_W(correlate)(const fc_correlated *q, const FC_C *weights)
{
    if (q->planes == 1 && q->height == 3 && q->width == 3 && !q->present) {
        FC_W(nine_cells)(q, weights);
        return;
    }
    for (ptrdiff_t o = 0; o < q->count; o += 4) {
        if (q->present)
            FC_W(cells)(q, weights, o, 1);
        else
            FC_W(cells)(q, weights, o, 0);
    }
}

/* A vector costs 3 loads, 4 additions and 4 multiplications, or, where products are fused, 2 of each and 2 multiply-adds, and 2
 * conversions, if elements are narrower than sums. */
FC_INLINE void FC_W(cross)(const fc_weighted *q, const FC_C *weights)
{
    const ptrdiff_t n = q->n, count = q->count;
    const char *const *rows = (const char *const *)q->rows;
    for (ptrdiff_t x = 0; x < n; x += FC_CLANES) {
        const ptrdiff_t left = x * (ptrdiff_t)sizeof(FC_T), middle = left + (ptrdiff_t)sizeof(FC_T);
        FC_CVEC a = FC_W(read)(rows[0] + middle), b = FC_W(read)(rows[1] + middle);
        for (ptrdiff_t o = 0; o < count; o++) {
            const char *row = rows[o + 1] + middle;
            const FC_CVEC c = FC_W(read)(rows[o + 2] + middle);
            const FC_CVEC before = FC_W(read)(row - sizeof(FC_T)), after = FC_W(read)(row + sizeof(FC_T));
            const FC_CVEC down = FC_W(three)(a, b, c, weights, FC_SYMMETRIC, FC_C_WHOLE);
            const FC_CVEC along = FC_W(three)(before, b, after, weights + 3, FC_SYMMETRIC, FC_C_WHOLE);
            const FC_NARROW sum = __builtin_convertvector(down, FC_NARROW) + __builtin_convertvector(along, FC_NARROW);
            char *to = (char *)q->out[o] + left;
            if (__builtin_expect(n - x < FC_CLANES, 0))
                FC_W(put_some)(to, __builtin_convertvector(sum, FC_CVEC), n - x, 0);
            else
                *(FC_NARROW *)to = sum;
            a = b;
            b = c;
        }
    }
}

/* What is constant in each loop. Sums in floats are those of integers, where what is fused is nothing but faster. */
static void FC_W(weigh)(const fc_weighted *q, const FC_C *weights)
{
    const int way = 2 * q->order + q->along;
    if (q->along == FC_CROSS) {
        FC_W(cross)(q, weights);
        return;
    }
    if (FC_C_WHOLE || (sizeof(FC_T) < sizeof(FC_C) && q->fused))
        switch (way) {
        case 2 * FC_UNORDERED: FC_W(columns)(q, weights, FC_UNORDERED, 1); return;
        case 2 * FC_SYMMETRIC: FC_W(columns)(q, weights, FC_SYMMETRIC, 1); return;
        case 2 * FC_ANTISYMMETRIC: FC_W(columns)(q, weights, FC_ANTISYMMETRIC, 1); return;
        case 2 * FC_UNORDERED + 1: FC_W(rows)(q, weights, FC_UNORDERED, 1); return;
        case 2 * FC_SYMMETRIC + 1: FC_W(rows)(q, weights, FC_SYMMETRIC, 1); return;
        default: FC_W(rows)(q, weights, FC_ANTISYMMETRIC, 1); return;
        }
    switch (way) {
    case 2 * FC_UNORDERED: FC_W(columns)(q, weights, FC_UNORDERED, 0); return;
    case 2 * FC_SYMMETRIC: FC_W(columns)(q, weights, FC_SYMMETRIC, 0); return;
    case 2 * FC_ANTISYMMETRIC: FC_W(columns)(q, weights, FC_ANTISYMMETRIC, 0); return;
    case 2 * FC_UNORDERED + 1: FC_W(rows)(q, weights, FC_UNORDERED, 0); return;
    case 2 * FC_SYMMETRIC + 1: FC_W(rows)(q, weights, FC_SYMMETRIC, 0); return;
    default: FC_W(rows)(q, weights, FC_ANTISYMMETRIC, 0); return;
    }
}
