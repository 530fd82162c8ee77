/* Activations, each by one polynomial for e^x; their errors are below 4 ulp. */

/* e^x = 2^n (1 + the value returned): x = n ln 2 + r, a Taylor polynomial in r. x in -800..0 (-120..0). */
FC_INLINE FC_T FC_N(exp_parts)(FC_T x, FC_INT *n)
{
    const int is_float = sizeof(FC_T) == 4;
    const FC_T magic = is_float ? (FC_T)0x1.8p23 : (FC_T)0x1.8p52;
    const FC_T ln2_hi = is_float ? (FC_T)0x1.62ep-1 : (FC_T)0x1.62e42feep-1;
    const FC_T ln2_lo = is_float ? (FC_T)0x1.0bfbe8p-15 : (FC_T)0x1.a39ef35793c76p-33;
    const FC_T whole = x * (FC_T)1.4426950408889634 + magic; /* whose last bits are n */
    FC_INT bits, zero;
    memcpy(&bits, &whole, sizeof(FC_T));
    memcpy(&zero, &magic, sizeof(FC_T));
    *n = bits - zero;
    const FC_T r = (x - (whole - magic) * ln2_hi) - (whole - magic) * ln2_lo;
    FC_T p = is_float ? (FC_T)(1 / 5040.) : (FC_T)(1 / 6227020800.);
    if (!is_float) {
        p = p * r + (FC_T)(1 / 479001600.);
        p = p * r + (FC_T)(1 / 39916800.);
        p = p * r + (FC_T)(1 / 3628800.);
        p = p * r + (FC_T)(1 / 362880.);
        p = p * r + (FC_T)(1 / 40320.);
        p = p * r + (FC_T)(1 / 5040.);
    }
    p = p * r + (FC_T)(1 / 720.);
    p = p * r + (FC_T)(1 / 120.);
    p = p * r + (FC_T)(1 / 24.);
    p = p * r + (FC_T)(1 / 6.);
    p = p * r + (FC_T)0.5;
    return p * r * r + r;
}

/* 2^n, a normal number. */
FC_INLINE FC_T FC_N(power_of_2)(FC_INT n)
{
    const FC_INT bits = (FC_INT)(n + FC_N(BIAS)) << FC_N(MANTISSA);
    FC_T y;
    memcpy(&y, &bits, sizeof(FC_T));
    return y;
}

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

FC_INLINE FC_T FC_N(tanh)(FC_T x)
{
    const FC_T lo = sizeof(FC_T) == 4 ? (FC_T)-87 : (FC_T)-708, size = 2 * (x < 0 ? x : -x);
    FC_INT n;
    const FC_T p = FC_N(exp_parts)(size > lo ? size : lo, &n), scale = FC_N(power_of_2)(n);
    const FC_T e = p * scale + (scale - 1); /* e^-2|x| - 1 */
    const FC_T y = -e / (e + 2);
    return x < 0 ? -y : x > 0 ? y : x;
}

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
