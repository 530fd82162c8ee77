/* Logarithms and powers of vectors, for the distances. Counts: log2_parts about 25 operations, power about 45. */

enum { FC_N(MANTISSA) = sizeof(FC_T) == 4 ? 23 : 52, FC_N(BIAS) = sizeof(FC_T) == 4 ? 127 : 1023 };

/* log2 x = e + f, |f| <= 1/2 within 2 units of f; x positive and normal. f = 2 atanh((z - 1) / (z + 1)) / ln 2. */
FC_INLINE void FC_N(log2_parts)(FC_VEC x, FC_VEC *e, FC_VEC *f)
{
    const FC_INT one = (FC_INT)FC_N(BIAS) << FC_N(MANTISSA);
    const FC_INT root_half = sizeof(FC_T) == 4 ? (FC_INT)0x3f3504f3 : (FC_INT)0x3fe6a09e667f3bccLL;
    const FC_T magic = sizeof(FC_T) == 4 ? (FC_T)0x1p23 : (FC_T)0x1p52;
    const FC_INT magic_bits = (FC_INT)(FC_N(BIAS) + FC_N(MANTISSA)) << FC_N(MANTISSA);
    const FC_IVEC bits = (FC_IVEC)x;
    const FC_IVEC exponent = (bits + (one - root_half)) & FC_N(isplat)((FC_INT)(~(uint64_t)0 << FC_N(MANTISSA)));
    const FC_VEC z = (FC_VEC)(bits - exponent + one);
    const FC_IVEC field = exponent >> FC_N(MANTISSA);
    *e = (FC_VEC)(field | magic_bits) - (magic + FC_N(BIAS));
    const FC_VEC s = FC_N(quotient)(z - 1, z + 1), s2 = s * s;
    const FC_VEC s4 = s2 * s2; /* two chains, of the even and of the odd powers of s2, wait half as long as one */
    const FC_T c = (FC_T)2.8853900817779268; /* 2 / ln 2 */
    FC_VEC even, odd;
    if (sizeof(FC_T) == 4) {
        even = FC_N(splat)(c / 7);
        odd = FC_N(splat)(c / 9);
    } else {
        even = FC_N(splat)(c / 19);
        odd = FC_N(splat)(c / 17);
        even = even * s4 + c / 15;
        odd = odd * s4 + c / 13;
        even = even * s4 + c / 11;
        odd = odd * s4 + c / 9;
        even = even * s4 + c / 7;
    }
    even = even * s4 + c / 3;
    odd = odd * s4 + c / 5;
    *f = s * ((odd * s2 + even) * s2 + c);
}

/* high + low = x, high with half the bits. */
FC_INLINE void FC_N(halve)(double x, double rest, FC_T *high, FC_T *low)
{
    union { double d; uint64_t u; } v = {.d = x};
    v.u &= sizeof(FC_T) == 4 ? ~(uint64_t)0 << 40 : ~(uint64_t)0 << 27;
    *high = (FC_T)v.d;
    *low = (FC_T)(x - v.d + rest);
}

/* x^p for x >= 0 and p = high + low > 0, high with few bits: within 3 units in the last place plus p * 0.4 of them.
 * The whole part of p log2 x is exact, so a large exponent costs no accuracy. */
FC_INLINE FC_VEC FC_N(power)(FC_VEC x, FC_T high, FC_T low)
{
    const FC_T magic = sizeof(FC_T) == 4 ? (FC_T)0x1.8p23 : (FC_T)0x1.8p52;
    const FC_T most = sizeof(FC_T) == 4 ? (FC_T)0x1.fffffep127 : (FC_T)0x1.fffffffffffffp1023;
    const FC_T bias = (FC_T)FC_N(BIAS), ln2 = (FC_T)0.69314718055994531;
    FC_VEC e, f;
    FC_N(log2_parts)(x, &e, &f);
    const FC_VEC whole = e * high, rest = e * low + f * (high + low);
    const FC_VEC exponent = whole + rest;
    FC_VEC y = exponent;
    y = FC_N(pick)((FC_IVEC)(y < -bias), FC_N(splat)(-bias), y);
    y = FC_N(pick)((FC_IVEC)(y > bias + 1), FC_N(splat)(bias + 1), y);
    const FC_VEC shifted = y + magic, n = shifted - magic;
    const FC_VEC r = ((whole - n) + rest) * ln2;
    FC_VEC q;
    if (sizeof(FC_T) == 4) {
        q = FC_N(splat)((FC_T)(1 / 5040.));
    } else {
        q = FC_N(splat)((FC_T)(1 / 6227020800.));
        q = q * r + (FC_T)(1 / 479001600.);
        q = q * r + (FC_T)(1 / 39916800.);
        q = q * r + (FC_T)(1 / 3628800.);
        q = q * r + (FC_T)(1 / 362880.);
        q = q * r + (FC_T)(1 / 40320.);
        q = q * r + (FC_T)(1 / 5040.);
    }
    q = q * r + (FC_T)(1 / 720.);
    q = q * r + (FC_T)(1 / 120.);
    q = q * r + (FC_T)(1 / 24.);
    q = q * r + (FC_T)(1 / 6.);
    q = q * r + (FC_T)0.5;
    q = q * r + 1;
    q = q * r + 1;
    /* 2^n through the exponent; n = -bias gives 0, bias + 1 infinity. */
    const FC_IVEC scale = ((FC_IVEC)shifted + (FC_INT)FC_N(BIAS)) << FC_N(MANTISSA);
    const FC_VEC result = FC_N(masked)(q * (FC_VEC)scale, (FC_IVEC)(x != 0) & (FC_IVEC)(exponent > -bias));
    return FC_N(pick)((FC_IVEC)(x <= most), result, x);
}
