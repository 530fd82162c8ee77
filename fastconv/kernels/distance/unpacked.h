/* The slot `unpacked`: distances of a small set, whose points are read where they are. */

/* Panels of one vector of columns, zeros beyond the last; the bits are those of `pairs`, whose first chain holds all
 * terms. Where rows of the result touch, a vector may reach into the next ones, which are written after it. */
FC_INLINE int FC_N(unpacked_body)(const int metric, const int ending, const ptrdiff_t d, const fc_unpacked *p)
{
    FC_T panel[FC_POINT_CHAIN * FC_LANES] __attribute__((aligned(64)));
    const ptrdiff_t whole = p->out_step == p->n && p->n < FC_LANES ? p->m - (FC_LANES - 1) / p->n : 0;
    const FC_T low = FC_N(safe_low)(0), high = 1 / low;
    FC_IVEC found = {0};
    for (ptrdiff_t j0 = 0; j0 < p->n; j0 += FC_LANES) {
        const ptrdiff_t columns = p->n - j0 < FC_LANES ? p->n - j0 : FC_LANES;
        const FC_T *a = p->a, *b = (const FC_T *)p->b + j0 * p->b_step;
        FC_T *out = (FC_T *)p->out + j0;
        /* Whole vectors are made in registers: a load that meets stores of its parts would wait for them. */
        for (ptrdiff_t k = 0; k < d; k++) {
            FC_VEC v = {0};
            if (columns == FC_LANES)
#pragma GCC unroll 16
                for (int j = 0; j < FC_LANES; j++)
                    v[j] = b[j * p->b_step + k];
            else
                for (int j = 0; j < columns; j++)
                    v[j] = b[j * p->b_step + k];
            *(FC_VEC *)(panel + k * FC_LANES) = v;
        }
        for (ptrdiff_t i = 0; i < p->m; i++, a += p->a_step, out += p->out_step) {
            FC_VEC sum = {0};
            FC_IVEC apart = {0};
            for (ptrdiff_t k = 0; k < d; k++) {
                const FC_VEC t = FC_N(splat)(a[k]) - *(const FC_VEC *)(panel + k * FC_LANES);
                if (metric == FC_SQUARE)
                    sum += t * t;
                else
                    sum += FC_N(abs)(t);
                apart |= (FC_IVEC)t;
            }
            if (ending == FC_ROOT) {
                found |= ((FC_IVEC)(sum < low) | (FC_IVEC)(sum > high)) & (FC_IVEC)(apart << 1 != 0);
                sum = FC_N(root)(sum);
            }
            if (columns == FC_LANES || i < whole)
                memcpy(out, &sum, sizeof sum);
            else
                memcpy(out, &sum, (size_t)columns * sizeof(FC_T));
        }
    }
    return FC_N(any)(found);
}

static int FC_N(unpacked)(const fc_unpacked *p)
{
    if (p->metric == FC_CITYBLOCK)
        return FC_N(unpacked_body)(FC_CITYBLOCK, FC_AS_IS, p->d, p);
    if (p->ending == FC_ROOT && p->d == 3) /* points in space: the panel stays in registers */
        return FC_N(unpacked_body)(FC_SQUARE, FC_ROOT, 3, p);
    if (p->ending == FC_ROOT)
        return FC_N(unpacked_body)(FC_SQUARE, FC_ROOT, p->d, p);
    return FC_N(unpacked_body)(FC_SQUARE, FC_AS_IS, p->d, p);
}
