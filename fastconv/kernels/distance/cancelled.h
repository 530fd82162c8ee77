/* The slot `cancelled`: pairs of mapped points that are so near for their sizes that their difference is mapped instead. */

/* The distance of two points from their difference, in two words, each of which is mapped. */
static double FC_N(mapped_difference)(const fc_cancelled *u, const char *a, const char *b)
{
    const fc_points *p = u->a;
    const int form = u->tile->metric == FC_FORM;
    const ptrdiff_t each = fc_prepared_numbers(p->prepare);
    FC_T *high = u->differences, *low = high + p->d, *x = p->row;
    double *z = u->mapped, most = 0, own = 0, sum = 0, lost = 0;
    int apart = 0, e, f;
    FC_N(read)(high, a, p, 0, p->d);
    FC_N(read)(low, b, u->b, 0, p->d);
    for (ptrdiff_t k = 0; k < p->d; k++) {
        const FC_T t = high[k] - low[k], part = t - high[k];
        low[k] = (high[k] - (t - part)) - (low[k] + part);
        high[k] = t;
        apart |= t != 0;
    }
    if (!apart)
        return 0;
    memset(z, 0, (size_t)p->d * sizeof(double));
    for (int word = 1; word >= 0; word--)
        for (ptrdiff_t k0 = 0; k0 < p->d; k0 += u->length) {
            const ptrdiff_t n = p->d - k0 < u->length ? p->d - k0 : u->length;
            memcpy(x, word ? low : high, (size_t)p->d * sizeof(FC_T));
            FC_N(map_row)(x, p, k0, n);
            for (ptrdiff_t j = 0; j < n; j++)
                z[k0 + j] = (z[k0 + j] + (double)x[each * j + each - 1]) + (double)x[each * j + each - 2];
        }
    for (ptrdiff_t k = 0; k < p->d; k++) {
        most = __builtin_fmax(most, __builtin_fabs(z[k]));
        own = __builtin_fmax(own, __builtin_fabs((double)high[k]));
    }
    __builtin_frexp(most, &e);
    __builtin_frexp(form ? own : most, &f);
    for (ptrdiff_t k = 0; k < p->d; k++) { /* relative to the largest, whose square is about 1 whatever its size */
        const double term = __builtin_ldexp(z[k], -e) * __builtin_ldexp(form ? (double)high[k] : z[k], -f);
        const double next = sum + term, part = next - sum;
        lost += (sum - (next - part)) + (term - part);
        sum = next;
    }
    return __builtin_ldexp(__builtin_sqrt(__builtin_ldexp(sum + lost, (e + f) & 1)), (e + f) >> 1);
}

static int FC_N(cancelled)(fc_cancelled *u)
{
    const fc_pairs *t = u->tile;
    const ptrdiff_t width = t->vectors * FC_LANES;
    const FC_T factor = (FC_T)t->factor;
    FC_IVEC found = {0};
    for (ptrdiff_t i = u->at / u->columns; i < t->rows; i++) {
        const FC_VEC size = FC_N(splat)(((const FC_T *)t->a_stats)[i]);
        for (ptrdiff_t j = 0; j < width; j += FC_LANES) {
            const FC_VEC x = FC_N(load)(FC_N(row_of)(t, i) + j);
            found |= (FC_IVEC)(x <= (size + FC_N(load)((const FC_T *)t->b_stats + j)) * factor);
            if (t->metric == FC_FORM)
                found |= (FC_IVEC)(x != x);
        }
    }
    if (!FC_N(any)(found))
        return 0;
    while (u->at < t->rows * u->columns) {
        const ptrdiff_t i = u->at / u->columns, j = u->at % u->columns;
        const FC_T limit = (((const FC_T *)t->a_stats)[i] + ((const FC_T *)t->b_stats)[j]) * factor;
        FC_T *dst = FC_N(row_of)(t, i) + j;
        double size = (double)*dst;
        if (size != size && t->metric == FC_FORM) /* a sum may be less than 0 by what was lost */
            size = __builtin_sqrt(-(double)((const FC_T *)t->sums)[i * width + j]) * t->factor;
        u->at++;
        if (size <= (double)limit && limit - limit == 0) {
            *dst = (FC_T)(FC_N(mapped_difference)(u, u->a->src + i * u->a->row_step, u->b->src + j * u->b->row_step) * t->factor);
            return 1;
        }
    }
    return 0;
}
