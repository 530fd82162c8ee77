/* Logarithms and powers of vectors, for the distances. Operations on doubles (floats): log2_parts 19 (14) with lookups, 29 (21)
 * without; power 59 (48) and 68 (54). */

#ifdef FC_LOOKUPS
/* 1 / z for z in [3/4, 3/2) by the first four bits of its mantissa, to about 1/16 and with the bits of a float, such that
 * the logarithm has many zeros after those of a double. Around 1 it is 1, so that nothing is lost there. */
static const FC_T FC_N(inverses)[16] __attribute__((aligned(64))) = {
    1, 0x1.d45408p-1, 0x1.ba6f9ep-1, 0x1.a429bp-1, 0x1.8fec34p-1, 0x1.7d6146p-1, 0x1.6cab9p-1, 0x1.5c4ed2p-1,
    0x1.4dfa9p+0, 0x1.40da12p+0, 0x1.3561e6p+0, 0x1.2a6da8p+0, 0x1.1ef4c2p+0, 0x1.163dfp+0, 0x1.0c9ff4p+0, 1};
static const FC_T FC_N(inverse_logs)[16] __attribute__((aligned(64))) = {
    0, (FC_T)0x1.076be402d2f34p-3, (FC_T)0x1.af7661fd7e0e2p-3, (FC_T)0x1.240a37fa15c92p-2,
    (FC_T)0x1.6cfa15f9ac8d9p-2, (FC_T)0x1.b31cd807cb8a6p-2, (FC_T)0x1.f54d060495820p-2, (FC_T)0x1.1c8f47fcddccdp-1,
    (FC_T)-0x1.88d1ba02c80fdp-2, (FC_T)-0x1.4d94edf83090fp-2, (FC_T)-0x1.17ce2a01b9b48p-2, (FC_T)-0x1.c519e005b7055p-3,
    (FC_T)-0x1.5146fa0255ca8p-3, (FC_T)-0x1.ec52bff9c82efp-4, (FC_T)-0x1.1c76540270550p-4, 0};
#endif

/* log2 x = e + f, |f| < 0.6 within 2 units of f; x positive and normal. With lookups f = log2(1 + r) - log2(inverse),
 * r = z inverse - 1 in -1/32..1/16, by a polynomial whose error is 2^-55.9 of f (2^-28); without, where lane by lane they would
 * cost more than they save, f = 2 atanh((z - 1) / (z + 1)) / ln 2. Of 0, e is minus infinity or far below 0. */
FC_INLINE void FC_N(log2_parts)(FC_VEC x, FC_VEC *e, FC_VEC *f)
{
#ifdef FC_LOOKUPS
    enum { TERMS = sizeof(FC_T) == 4 ? 5 : 10 };
    static const double floats[] = {1.4426950377265118, -0.7213475639275322, 0.4809188085876799, -0.360760074529937,
                                    0.2710008851520381};
    static const double doubles[] = {1.4426950408889634, -0.7213475204444824, 0.4808983469632741, -0.36067376021923847,
                                     0.28853900697211693, -0.24044916650970577, 0.206100939269614, -0.18036454819547687,
                                     0.15969697793533685, -0.12585995434595235};
    const double *c = sizeof(FC_T) == 4 ? floats : doubles;
    const FC_IVEC index = (FC_IVEC)x >> (FC_N(MANTISSA) - 4);
    const FC_VEC r = FC_N(fraction)(x, e) * FC_N(lookup)(FC_N(inverses), index) - 1, r2 = r * r;
    /* Two chains, of the even and of the odd powers, wait half as long as one. */
    FC_VEC part[2] = {FC_N(splat)((FC_T)c[(TERMS - 1) / 2 * 2]), FC_N(splat)((FC_T)c[TERMS / 2 * 2 - 1])};
#pragma GCC unroll 10
    for (int k = TERMS - 3; k >= 0; k--)
        part[k % 2] = part[k % 2] * r2 + (FC_T)c[k];
    *f = r * (part[1] * r + part[0]) + FC_N(lookup)(FC_N(inverse_logs), index);
#else
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
#endif
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
    if (high < (FC_T)0.5) { /* small powers of denormals are not small */
        const FC_IVEC denormal = (FC_IVEC)(x < (sizeof(FC_T) == 4 ? (FC_T)0x1p-126 : (FC_T)0x1p-1022));
        FC_N(log2_parts)(FC_N(pick)(denormal, x * (FC_T)0x1p60, x), &e, &f);
        e -= FC_N(masked)(FC_N(splat)(60), denormal);
    } else {
        FC_N(log2_parts)(x, &e, &f);
    }
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
