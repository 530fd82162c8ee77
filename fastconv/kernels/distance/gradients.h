/* Gradients of distances with respect to one point, lanes along its numbers; preparations are those of prepare_rows.h. */

FC_INLINE FC_VEC FC_N(sign)(FC_VEC x)
{
    return FC_N(masked)(FC_N(splat)(1), (FC_IVEC)(x > 0)) - FC_N(masked)(FC_N(splat)(1), (FC_IVEC)(x < 0));
}

/* dD/da for one vector of numbers; c is what the pair contributes as a factor, d its distance. */
FC_INLINE FC_VEC FC_N(slope)(const int kind, FC_VEC a, FC_VEC b, FC_VEC c, FC_VEC d, const FC_T *p)
{
    const FC_VEC t = a - b;
    switch (kind) {
    case FC_PULL_SQUARE: return c * (t + t);
    case FC_PULL_ROOT: return c * (t / d);
    case FC_PULL_CITYBLOCK: return c * FC_N(sign)(t);
    case FC_PULL_POWER: return c * FC_N(sign)(t) * FC_N(power)(FC_N(abs)(t) / d, p[0], p[1]);
    case FC_PULL_CANBERRA: {
        const FC_VEC sum = FC_N(abs)(a) + FC_N(abs)(b), some = FC_N(pick)((FC_IVEC)(sum == 0), FC_N(splat)(1), sum);
        return c * ((FC_N(sign)(t) - FC_N(abs)(t) / some * FC_N(sign)(a)) / some);
    }
    case FC_PULL_BRAYCURTIS: return c * (FC_N(sign)(t) - d * FC_N(sign)(a + b));
    case FC_PULL_COSINE: return c * (t - d * a);
    default: {
        const FC_VEC sum = a + b, some = FC_N(pick)((FC_IVEC)(sum == 0), FC_N(splat)(1), sum);
        FC_VEC e, f;
        FC_N(log2_parts)((a + a) / some, &e, &f);
        return FC_N(masked)(c * ((e + f) * (FC_T)0.17328679513998632) / d, (FC_IVEC)(a > 0));
    }
    }
}

static void FC_N(pull_sizes)(const fc_pull *t)
{
    const FC_T *a = t->a, *w = t->w;
    for (ptrdiff_t j = 0; j < t->n; j++) {
        const FC_T *b = (const FC_T *)t->b + j * t->b_step;
        FC_VEC sum = {0};
        for (ptrdiff_t k = 0; k < t->length; k += FC_LANES) {
            FC_VEC both = FC_N(abs)(FC_N(load)(a + k) + FC_N(load)(b + k));
            if (w)
                both *= FC_N(load)(w + k);
            sum += both;
        }
        for (int i = 0; i < FC_LANES; i++)
            ((FC_T *)t->sizes)[j] += sum[i];
    }
}

static void FC_N(pull_farthest)(const fc_pull *t)
{
    const FC_T *a = t->a, *w = t->w;
    FC_T *sum = t->sum, *g = t->g;
    for (ptrdiff_t j = 0; j < t->n; j++) {
        const FC_T *b = (const FC_T *)t->b + j * t->b_step, d = ((const FC_T *)t->distances)[j];
        for (ptrdiff_t k = 0; k < t->length && d != 0; k++)
            if ((!w || w[k] > 0) && (a[k] - b[k] == d || b[k] - a[k] == d)) {
                sum[k] += a[k] > b[k] ? g[j] : -g[j];
                g[j] = 0;
                break;
            }
    }
}

FC_INLINE void FC_N(pull_body)(const int kind, const fc_pull *t)
{
    const FC_T *a = t->a, *w = t->w, *g = t->g;
    FC_T *sum = t->sum, p[2];
    FC_N(halve)(t->p - 1, 0, &p[0], &p[1]);
    for (ptrdiff_t j = 0; j < t->n; j++) {
        const FC_T *b = (const FC_T *)t->b + j * t->b_step, distance = ((const FC_T *)t->distances)[j];
        if (distance == 0)
            continue;
        const FC_T factor = kind == FC_PULL_BRAYCURTIS ? g[j] / ((const FC_T *)t->sizes)[j] : g[j];
        const FC_VEC c = FC_N(splat)(factor), d = FC_N(splat)(distance);
        for (ptrdiff_t k = 0; k < t->length; k += FC_LANES) {
            FC_VEC slope;
            if (kind == FC_PULL_WORDS) {
                const FC_VEC low = FC_N(load)(a + t->length + k) - FC_N(load)(b + t->length + k);
                slope = FC_N(slope)(FC_PULL_ROOT, (FC_N(load)(a + k) - FC_N(load)(b + k)) + low, (FC_VEC){0}, c, d, p);
            } else {
                slope = FC_N(slope)(kind, FC_N(load)(a + k), FC_N(load)(b + k), c, d, p);
            }
            if (w) { /* a slope may overflow where the weight is 0 */
                const FC_VEC wv = FC_N(load)(w + k);
                slope = FC_N(masked)(slope, (FC_IVEC)(wv != 0) | (FC_IVEC)(d != d)) * wv;
            }
            FC_N(put)(sum + k, FC_N(load)(sum + k) + slope);
        }
    }
}

#define FC_CASE(kind) case kind: FC_N(pull_body)(kind, t); return;

static void FC_N(pull)(const fc_pull *t)
{
    if (t->kind == FC_PULL_SIZES) {
        FC_N(pull_sizes)(t);
        return;
    }
    memset(t->sum, 0, (size_t)t->length * sizeof(FC_T));
    switch (t->kind) {
        FC_CASE(FC_PULL_SQUARE) FC_CASE(FC_PULL_ROOT) FC_CASE(FC_PULL_CITYBLOCK) FC_CASE(FC_PULL_POWER)
        FC_CASE(FC_PULL_CANBERRA) FC_CASE(FC_PULL_BRAYCURTIS) FC_CASE(FC_PULL_COSINE) FC_CASE(FC_PULL_JENSEN)
        FC_CASE(FC_PULL_WORDS)
    default: FC_N(pull_farthest)(t);
    }
}

#undef FC_CASE

static void FC_N(add_wide)(double *into, const void *from, ptrdiff_t count)
{
    for (ptrdiff_t k = 0; k < count; k++)
        into[k] += (double)((const FC_T *)from)[k];
}

static void FC_N(unprepare)(const fc_unprepare *u)
{
    double *total = u->total, *x = u->wide;
    double sum = 0, weight = 0, dot = 0, norm = 0, scale = 1;
    for (ptrdiff_t k = 0; k < u->d; k++) {
        x[k] = FC_N(number)(u->x + k * u->x_step, u->kind);
        if (u->w && u->w[k] == 0 && x[k] - x[k] == 0)
            x[k] = 0;
        sum += (u->w ? u->w[k] : 1) * x[k];
        weight += u->w ? u->w[k] : 1;
    }
    switch (u->prepare) {
    case FC_MAPPED:
        for (ptrdiff_t i = 0; i < u->d; i++)
            x[i] = FC_N(wide_sum)(u->matrix + i * u->d, total, u->d);
        memcpy(total, x, (size_t)u->d * sizeof(double));
        break;
    case FC_BESIDE: /* by half the matrix and half its transpose */
        memset(x, 0, (size_t)u->d * sizeof(double));
        for (ptrdiff_t i = 0; i < u->d; i++) {
            const double *row = u->matrix + i * u->d, half = 0.5 * total[i];
            x[i] += 0.5 * FC_N(wide_sum)(row, total, u->d);
            for (ptrdiff_t k = 0; k < u->d; k++)
                x[k] += half * row[k];
        }
        memcpy(total, x, (size_t)u->d * sizeof(double));
        break;
    case FC_SHARES:
        for (ptrdiff_t k = 0; k < u->d; k++)
            dot += total[k] * (x[k] / sum);
        for (ptrdiff_t k = 0; k < u->d; k++)
            total[k] = (total[k] - dot) / sum;
        break;
    case FC_UNIT:
    case FC_CENTRED: {
        double most = 0; /* squares may overflow, sums too where numbers are near the largest */
        for (ptrdiff_t k = 0; k < u->d; k++)
            most = __builtin_fmax(most, __builtin_fabs(x[k]));
        int exponent = 0;
        if (most - most == 0)
            __builtin_frexp(most, &exponent);
        sum = 0;
        for (ptrdiff_t k = 0; k < u->d; k++) {
            x[k] = __builtin_ldexp(x[k], -exponent);
            sum += (u->w ? u->w[k] : 1) * x[k];
        }
        const double mean = u->prepare == FC_CENTRED ? sum / weight : 0;
        for (ptrdiff_t k = 0; k < u->d; k++)
            norm += (u->w ? u->w[k] : 1) * (x[k] - mean) * (x[k] - mean);
        norm = __builtin_sqrt(norm);
        scale = __builtin_ldexp(1, -exponent);
        for (ptrdiff_t k = 0; k < u->d; k++) {
            total[k] *= (u->w ? __builtin_sqrt(u->w[k]) : 1) / norm;
            dot += total[k];
        }
        for (ptrdiff_t k = 0; k < u->d && u->prepare == FC_CENTRED; k++)
            total[k] -= (u->w ? u->w[k] : 1) / weight * dot;
        for (ptrdiff_t k = 0; k < u->d; k++)
            total[k] *= scale;
        break;
    }
    default: break;
    }
    for (ptrdiff_t k = 0; k < u->d; k++)
        ((FC_T *)u->out)[k] = (FC_T)(total[k] * u->factor);
}
