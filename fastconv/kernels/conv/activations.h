/* Activations, each by the polynomial for e^x of base/exponential.h; their errors are below 4 ulp. */

/* From where on e^x is far within the normal numbers, and beside 1 nothing before. */
#define FC_FAR (sizeof(FC_T) == 4 ? (FC_T)-69 : (FC_T)-690)

/* t * sigmoid(x). Where some x are beyond FC_FAR, the factor 2^n of e^-|x| comes in two parts, of which only the last may lead
 * out of the normal numbers; where nothing is left it is 0, so that -infinity times it is NaN, as in the formula. */
FC_INLINE FC_VEC FC_N(times_sigmoid)(const int far, FC_VEC t, FC_VEC x)
{
    const FC_VEC lo = FC_N(splat)(!far ? FC_FAR : FC_REAL(-120, -800)), one = FC_N(splat)(1), size = -FC_N(abs)(x);
    const FC_MASK negative = FC_N(less)(x, (FC_VEC){0});
    FC_VEC n, last = one;
    const FC_VEC e = 1 + FC_N(exp_parts)(FC_N(max)(lo, size), &n);
    if (far) {
        const FC_MASK small = FC_N(less)(size, FC_N(splat)(FC_FAR));
        n = FC_N(choose)(small, n + FC_REAL(64, 512), n);
        last = FC_N(choose)(small, FC_N(splat)(FC_REAL(0x1p-64, 0x1p-512)), last);
        last = FC_N(choose)(FC_N(less)(size, lo), (FC_VEC){0}, last);
    }
    const FC_VEC part = FC_N(power_of_2)(n) * e, y = FC_N(choose)(negative, t * part, t) / (1 + part * last);
    return far ? FC_N(choose)(negative, y * last, y) : y;
}

FC_INLINE void FC_N(sigmoids)(const int far, const int silu, FC_T *y, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i += FC_LANES) {
        const FC_VEC x = FC_N(load_first)(y + i, n - i);
        FC_N(put_first)(y + i, FC_N(times_sigmoid)(far, silu ? x : FC_N(splat)(1), x), n - i);
    }
}

static void FC_N(logistic)(const int silu, FC_T *y, ptrdiff_t n)
{
    FC_INT far = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        far |= y[i] < FC_FAR;
    if (far)
        FC_N(sigmoids)(1, silu, y, n);
    else
        FC_N(sigmoids)(0, silu, y, n);
}

#undef FC_FAR

static void FC_N(activate)(FC_T *restrict y, ptrdiff_t n, int activation)
{
    ptrdiff_t i;
    switch (activation) {
    case FC_RELU: for (i = 0; i < n; i++) y[i] = y[i] < 0 ? 0 : y[i]; break;
    case FC_RELU6: for (i = 0; i < n; i++) y[i] = y[i] < 0 ? 0 : y[i] > 6 ? 6 : y[i]; break;
    case FC_SILU: FC_N(logistic)(1, y, n); break;
    case FC_SIGMOID: FC_N(logistic)(0, y, n); break;
    case FC_TANH:
        for (i = 0; i < n; i += FC_LANES)
            FC_N(put_first)(y + i, FC_N(tanh)(FC_N(load_first)(y + i, n - i)), n - i);
        break;
    }
}

static void FC_N(store)(const fc_store *s) { FC_N(store_with)(FC_N(activate), s); }

static void FC_N(store_parts)(const fc_store *s, ptrdiff_t part, int odd)
{
    for (ptrdiff_t j = 0; j < s->columns; j++) {
        const FC_T bias = s->bias != NULL ? ((const FC_T *)s->bias)[j] : 0;
        char *out = s->out + (j + odd) / 2 * s->out_col + (j + odd) % 2 * part;
        for (ptrdiff_t i = 0; i < s->rows; i++)
            FC_N(put_number)(out + i * s->out_row, ((const FC_T *)s->c)[i * s->c_row + j * s->c_col] + bias, s->kind);
    }
}
