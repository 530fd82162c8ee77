/* e^x and tanh of vectors: with AVX-512 e^x takes 15 operations on doubles and 12 on floats, tanh 32 and 25; with
 * AVX2 e^x takes 27 and 22.
 *
 * x = n ln 2 + r, as Cody and Waite split ln 2; the polynomials in r are minimax by Remez' algorithm, of degree 11 on doubles and
 * 6 on floats, for a relative error of e^r below 2^-56 (2^-27).
 */

/* A number by the type. Added to a number, FC_MAGIC leaves the nearest integer, n, in the last bits. */
#undef FC_REAL
#undef FC_MAGIC
#define FC_REAL(of_float, of_double) (sizeof(FC_T) == 4 ? (FC_T)(of_float) : (FC_T)(of_double))
#define FC_MAGIC FC_REAL(0x1.8p23, 0x1.8p52)

/* 2^n, a normal number, of an integer n. */
FC_INLINE FC_VEC FC_N(power_of_2)(FC_VEC n) { return (FC_VEC)((FC_IVEC)(n + (FC_MAGIC + FC_N(BIAS))) << FC_N(MANTISSA)); }

#ifndef FC_LOOKUPS
/* x * 2^n, rounded once, of x about 1 and an integer n in -2000..2000 (-250..250): 2^n itself may be no normal number. */
FC_INLINE FC_VEC FC_N(scale)(FC_VEC x, FC_VEC n)
{
    const FC_VEC half = (n * (FC_T)0.5 + FC_MAGIC) - FC_MAGIC;
    return x * FC_N(power_of_2)(half) * FC_N(power_of_2)(n - half);
}
#endif

/* c[0] + c[1] x + .. c[count - 1] x^(count - 1), even and odd powers apart, so that two sums are on their way. */
FC_INLINE FC_VEC FC_N(polynomial)(const double *c, const int count, FC_VEC x, FC_VEC square)
{
    FC_VEC even = FC_N(splat)((FC_T)c[(count - 1) / 2 * 2]), odd = FC_N(splat)((FC_T)c[count / 2 * 2 - 1]);
#pragma GCC unroll 16
    for (int i = (count - 1) / 2 * 2 - 2; i >= 0; i -= 2)
        even = even * square + (FC_T)c[i];
#pragma GCC unroll 16
    for (int i = count / 2 * 2 - 3; i >= 0; i -= 2)
        odd = odd * square + (FC_T)c[i];
    return odd * x + even;
}

/* x - n ln 2. */
FC_INLINE FC_VEC FC_N(exp_rest)(FC_VEC x, FC_VEC n)
{
    return (x - n * FC_REAL(0x1.62ep-1, 0x1.62e42feep-1)) - n * FC_REAL(0x1.0bfbe8p-15, 0x1.a39ef35793c76p-33);
}

/* e^x = 2^n (1 + the value returned). x in -800..720 (-120..90). */
FC_INLINE FC_VEC FC_N(exp_parts)(FC_VEC x, FC_VEC *n)
{
    static const double of_float[] = {0x1.fffffcp-2, 0x1.555492p-3, 0x1.5558f2p-5, 0x1.1239d4p-7, 0x1.6a244cp-10};
    static const double of_double[] = {0x1.000000000000ap-1, 0x1.55555555554fap-3, 0x1.555555555088cp-5, 0x1.1111111127b9ep-7,
                                       0x1.6c16c18426764p-10, 0x1.a01a012a68d17p-13, 0x1.a0199a16c72b1p-16,
                                       0x1.71df253c32d9bp-19, 0x1.28ad68bc9a2b9p-22, 0x1.ad7f77be60876p-26};
    const int is_float = sizeof(FC_T) == 4;
    *n = (x * (FC_T)1.4426950408889634 + FC_MAGIC) - FC_MAGIC;
    const FC_VEC r = FC_N(exp_rest)(x, *n), square = r * r;
    return FC_N(polynomial)(is_float ? of_float : of_double, is_float ? 5 : 10, r, square) * square + r;
}

/* e^x of any x, within 2 units in the last place. */
FC_INLINE FC_VEC FC_N(exp)(FC_VEC x)
{
    FC_VEC n;
    x = FC_N(max)(FC_N(splat)(FC_REAL(-105, -747)), FC_N(min)(FC_N(splat)(FC_REAL(89, 710)), x));
#ifdef FC_LOOKUPS
    /* With 2^(j / 16) from a register what is left is a sixteenth, and five coefficients are enough. */
    static const FC_T roots[16] __attribute__((aligned(64))) = {
        (FC_T)0x1p+0, (FC_T)0x1.0b5586cf9890fp+0, (FC_T)0x1.172b83c7d517bp+0, (FC_T)0x1.2387a6e756238p+0,
        (FC_T)0x1.306fe0a31b715p+0, (FC_T)0x1.3dea64c123422p+0, (FC_T)0x1.4bfdad5362a27p+0, (FC_T)0x1.5ab07dd485429p+0,
        (FC_T)0x1.6a09e667f3bcdp+0, (FC_T)0x1.7a11473eb0187p+0, (FC_T)0x1.8ace5422aa0dbp+0, (FC_T)0x1.9c49182a3f09p+0,
        (FC_T)0x1.ae89f995ad3adp+0, (FC_T)0x1.c199bdd85529cp+0, (FC_T)0x1.d5818dcfba487p+0, (FC_T)0x1.ea4afa2a490dap+0};
    static const double of_float[] = {0x1.00021ep-1, 0x1.55559ap-3};
    static const double of_double[] = {0x1.fffffffffffb9p-2, 0x1.555555548f89p-3, 0x1.55555558fca87p-5, 0x1.11123aae74e9ap-7,
                                       0x1.6c14c6e8d957fp-10};
    const int is_float = sizeof(FC_T) == 4;
    const FC_VEC whole = x * (FC_T)1.4426950408889634 + FC_MAGIC / 16;
    n = whole - FC_MAGIC / 16;
    const FC_VEC r = FC_N(exp_rest)(x, n), square = r * r;
    const FC_VEC p = FC_N(polynomial)(is_float ? of_float : of_double, is_float ? 2 : 5, r, square) * square + r;
    const FC_VEC root = FC_N(lookup)(roots, (FC_IVEC)whole);
    return FC_N(scale)(root * p + root, n);
#else
    const FC_VEC p = FC_N(exp_parts)(x, &n);
    return FC_N(scale)(1 + p, n);
#endif
}

/* The size of y with the sign of x. */
FC_INLINE FC_VEC FC_N(signed_as)(FC_VEC y, FC_VEC x)
{
    return FC_N(pick)((FC_IVEC)FC_N(splat)((FC_T)-0.0), x, y);
}

/* Within 3 units in the last place. */
FC_INLINE FC_VEC FC_N(tanh)(FC_VEC x)
{
    FC_VEC n;
    const FC_VEC p = FC_N(exp_parts)(FC_N(max)(FC_N(splat)(FC_REAL(-87, -708)), FC_N(abs)(x) * (FC_T)-2), &n);
    const FC_VEC power = FC_N(power_of_2)(n), e = p * power + (power - 1); /* e^-2|x| - 1 */
    return FC_N(signed_as)(FC_N(quotient)(e, e + 2), x);
}
