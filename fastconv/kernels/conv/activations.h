/* Activations, each by the polynomial for e^x of base/exponential.h; their errors are below 4 ulp. */

/* From where on e^x is far within the normal numbers, and beside 1 nothing before. */
#define FC_FAR (sizeof(FC_T) == 4 ? (FC_T)-69 : (FC_T)-690)

/* t * sigmoid(x). Where some x are beyond FC_FAR, the factor 2^n of e^-|x| comes in two parts, of which only the last may lead
 * out of the normal numbers; where nothing is left it is 0, so that -infinity times it is NaN, as in the formula. */
FC_INLINE FC_T FC_N(times_sigmoid)(const int far, FC_T t, FC_T x)
{
    const int is_float = sizeof(FC_T) == 4;
    const FC_T lo = !far ? FC_FAR : is_float ? (FC_T)-120 : (FC_T)-800, size = x < 0 ? x : -x;
    FC_INT n;
    const FC_T e = 1 + FC_N(exp_parts)(size > lo ? size : lo, &n);
    const int small = far && size < FC_FAR;
    const FC_T first = FC_N(power_of_2)(n + (small ? is_float ? 64 : 512 : 0));
    const FC_T last = far && size < lo ? 0 : small ? is_float ? (FC_T)0x1p-64 : (FC_T)0x1p-512 : 1;
    const FC_T y = (x < 0 ? t * first * e : t) / (1 + first * e * last);
    return x == x ? (x < 0 ? y * last : y) : x;
}

static void FC_N(sigmoids)(const int silu, FC_T *restrict y, ptrdiff_t n)
{
    FC_INT far = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        far |= y[i] < FC_FAR;
    if (far)
        for (ptrdiff_t i = 0; i < n; i++)
            y[i] = FC_N(times_sigmoid)(1, silu ? y[i] : 1, y[i]);
    else if (silu)
        for (ptrdiff_t i = 0; i < n; i++)
            y[i] = FC_N(times_sigmoid)(0, y[i], y[i]);
    else
        for (ptrdiff_t i = 0; i < n; i++)
            y[i] = FC_N(times_sigmoid)(0, 1, y[i]);
}

#undef FC_FAR

static void FC_N(activate)(FC_T *restrict y, ptrdiff_t n, int activation)
{
    ptrdiff_t i;
    switch (activation) {
    case FC_RELU: for (i = 0; i < n; i++) y[i] = y[i] < 0 ? 0 : y[i]; break;
    case FC_RELU6: for (i = 0; i < n; i++) y[i] = y[i] < 0 ? 0 : y[i] > 6 ? 6 : y[i]; break;
    case FC_SILU: FC_N(sigmoids)(1, y, n); break;
    case FC_SIGMOID: FC_N(sigmoids)(0, y, n); break;
    case FC_TANH: for (i = 0; i < n; i++) y[i] = FC_N(tanh)(y[i]); break;
    }
}

static void FC_N(store)(const fc_store *s) { FC_N(store_with)(FC_N(activate), s); }
