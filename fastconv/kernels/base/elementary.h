/* Logarithms, powers, sines and arctangents of vectors, within 4 units in the last place of any argument; next to
 * base/exponential.h. Operations on doubles (floats) with AVX-512, a division and a root as one, without what only strange
 * arguments need:
 *
 *   log 33 (27), log2 41 (35), log10 43 (37), log1p 40 (34), exp2 20 (15), expm1 24 (19), power 88 (75), sinh 32 (25),
 *   cosh 20 (17), sin 24 (20), cos 21 (17), tan 32 (26), arctan 32 (21), arctan2 41 (30), arcsin and arccos 45 (34).
 *
 * Logarithms take 2^e z, z in [3/4, 3/2), and s = (z - 1) / (z + 1), of which log z = 2 atanh s is an odd polynomial; powers have
 * log2 to 10 or more bits beyond the type, as a head and a tail (Dekker's sums and products), and 2^x of both. Sines have the
 * multiples of pi taken off in three parts, each of all bits of the type (Cody and Waite), so that what is left is right next to
 * the zeros, too; from FC_FAR on the C library computes them. Arctangents are those of the lesser by the greater of two numbers.
 * All polynomials are minimax by Remez' algorithm. Where vectors have arguments that are zeros, negative, denormal, infinite or
 * NaN, a branch sets their results right.
 */

FC_INLINE FC_MASK FC_N(not)(FC_MASK mask) { return (FC_MASK)~mask; }
FC_INLINE FC_MASK FC_N(either)(FC_MASK a, FC_MASK b) { return (FC_MASK)(a | b); }

/* -x where bits has its last bit set. */
FC_INLINE FC_VEC FC_N(flip_odd)(FC_VEC x, FC_VEC bits)
{
    return (FC_VEC)((FC_IVEC)x ^ ((FC_IVEC)bits << (8 * (int)sizeof(FC_T) - 1)));
}

/* ---- logarithms ---- */

#define FC_LEAST_NORMAL FC_REAL(0x1p-126, 0x1p-1022)

/* z of x = 2^e z, z in [3/4, 3/2), x positive and normal. */
FC_INLINE FC_VEC FC_N(parts_of)(FC_VEC x, FC_VEC *e)
{
#ifdef FC_LOOKUPS
    return FC_N(fraction)(x, e);
#else
    typedef __typeof__(__builtin_choose_expr(sizeof(FC_T) == 4, (uint32_t)0, (uint64_t)0)) word;
    typedef word words __attribute__((vector_size(FC_VEC_BYTES), may_alias));
    const FC_T magic = FC_REAL(0x1p23, 0x1p52); /* whose last bits take the exponent */
    const FC_IVEC least = (FC_IVEC)FC_N(splat)((FC_T)0.75), one = (FC_IVEC)FC_N(splat)(1), bits = (FC_IVEC)x - least;
    const FC_IVEC exponent = (FC_IVEC)((words)(bits + one) >> FC_N(MANTISSA));
    *e = (FC_VEC)(exponent | (FC_IVEC)FC_N(splat)(magic)) - (magic + FC_N(BIAS));
    return (FC_VEC)((bits & (((FC_INT)1 << FC_N(MANTISSA)) - 1)) + least);
#endif
}

/* The same of denormals, too: `strange` says that there are some. */
FC_INLINE FC_VEC FC_N(parts_of_any)(FC_VEC x, FC_VEC *e, int strange)
{
    if (!strange)
        return FC_N(parts_of)(x, e);
    const FC_MASK denormal = FC_N(less)(x, FC_N(splat)(FC_LEAST_NORMAL));
    const FC_VEC z = FC_N(parts_of)(FC_N(choose)(denormal, x * FC_REAL(0x1p32, 0x1p64), x), e);
    *e += FC_N(choose)(denormal, FC_N(splat)(FC_REAL(-32, -64)), (FC_VEC){0});
    return z;
}

enum { FC_N(NATURAL), FC_N(BINARY), FC_N(DECIMAL) };

/* The logarithm of 2^e (1 + f). Others than the natural one are products with 1 / ln(base), head and tail, of f - f^2 / 2, whose
 * head has half the bits, and what is missing. */
FC_INLINE FC_VEC FC_N(log_of_parts)(const int base, FC_VEC e, FC_VEC f)
{
    static const double of_float[] = {0x1.5555b4p-1, 0x1.992b42p-2, 0x1.36e078p-2};
    static const double of_double[] = {0x1.5555555555773p-1, 0x1.99999998f174fp-2, 0x1.249249b1b00e3p-2, 0x1.c71c01a7ad163p-3,
                                       0x1.7474d8b424a01p-3, 0x1.38539321faf74p-3, 0x1.3ab8c3bf1a261p-3};
    const int is_float = sizeof(FC_T) == 4;
    const FC_VEC s = FC_N(quotient)(f, f + 2), z = s * s, half = f * f * (FC_T)0.5;
    const FC_VEC rest = s * (half + z * FC_N(polynomial)(is_float ? of_float : of_double, is_float ? 3 : 7, z, z * z));
    if (base == FC_N(NATURAL))
        return e * FC_REAL(0x1.62e4p-1, 0x1.62e42fefa4p-1)
            - ((half - (rest + e * FC_REAL(0x1.7f7d1cp-20, -0x1.8432a1b0e2634p-43))) - f);
    const FC_VEC head = FC_N(masked)(f - half, FC_N(isplat)((FC_INT)((uint64_t)-1 << (FC_N(MANTISSA) / 2 + 1))));
    const FC_VEC tail = (f - head) - half + rest;
    const FC_T by = base == FC_N(BINARY) ? FC_REAL(0x1.716p+0, 0x1.7154768p+0) : FC_REAL(0x1.bccp-2, 0x1.bcb7b18p-2);
    const FC_T by_tail = base == FC_N(BINARY) ? FC_REAL(-0x1.7135a8p-13, -0x1.6a3e80f444178p-27)
                                              : FC_REAL(-0x1.09d5b2p-15, -0x1.6c8d78e6acaa4p-29);
    const FC_VEC large = e * (base == FC_N(BINARY) ? 1 : FC_REAL(0x1.344p-2, 0x1.34413509f8p-2));
    const FC_VEC whole = large + head * by;
    FC_VEC left = (tail + head) * by_tail + tail * by;
    if (base == FC_N(DECIMAL))
        left += e * FC_REAL(0x1.3509f8p-18, -0x1.80433b83b532ap-44);
    return left + ((large - whole) + head * by) + whole;
}

/* A logarithm's value at x <= lowest, where it is -infinity and then NaN, and at infinity and NaN. */
FC_INLINE FC_VEC FC_N(log_beyond)(FC_VEC y, FC_VEC x, const FC_T lowest)
{
    const FC_T infinity = (FC_T)__builtin_inf();
    y = FC_N(choose)(FC_N(less)(x, FC_N(splat)(infinity)), y, x);
    y = FC_N(choose)(FC_N(equal)(x, FC_N(splat)(lowest)), FC_N(splat)(-infinity), y);
    return FC_N(choose)(FC_N(less)(x, FC_N(splat)(lowest)), FC_N(splat)((FC_T)__builtin_nan("")), y);
}

/* Whether x is not between two numbers, the lower one among them. */
FC_INLINE FC_MASK FC_N(beyond)(FC_VEC x, FC_T lower, FC_T upper)
{
    return FC_N(either)(FC_N(less)(x, FC_N(splat)(lower)), FC_N(not)(FC_N(less)(x, FC_N(splat)(upper))));
}

FC_INLINE FC_VEC FC_N(log)(const int base, FC_VEC x)
{
    const int strange = FC_N(some)(FC_N(beyond)(x, FC_LEAST_NORMAL, (FC_T)__builtin_inf()));
    FC_VEC e;
    const FC_VEC z = FC_N(parts_of_any)(x, &e, strange), y = FC_N(log_of_parts)(base, e, z - 1);
    return strange ? FC_N(log_beyond)(y, x, 0) : y;
}

FC_INLINE FC_VEC FC_N(log1p)(FC_VEC x)
{
    const int strange = FC_N(some)(FC_N(beyond)(x, FC_REAL(-0x1.fffffep-1, -0x1.fffffffffffffp-1), (FC_T)__builtin_inf()));
    const FC_VEC u = x + 1, lost = x - (u - 1);
    FC_VEC e;
    const FC_VEC z = FC_N(parts_of)(u, &e), least = FC_N(min)(e, FC_N(splat)(FC_REAL(120, 1000)));
    FC_VEC y = FC_N(log_of_parts)(FC_N(NATURAL), e, (z - 1) + lost * FC_N(power_of_2)(-least));
    y = FC_N(signed_as)(y, x); /* of zeros */
    return strange ? FC_N(log_beyond)(y, x, -1) : y;
}

/* ---- exponentials and powers ---- */

FC_INLINE FC_VEC FC_N(expm1)(FC_VEC x)
{
    const FC_VEC most = FC_N(splat)(FC_REAL(88, 709)), least = FC_N(splat)(FC_REAL(-30, -60));
    FC_VEC n;
    const FC_VEC p = FC_N(exp_parts)(FC_N(max)(least, FC_N(min)(most, x)), &n), power = FC_N(power_of_2)(n);
    const FC_VEC y = FC_N(signed_as)(p * power + (power - 1), x);
    const FC_MASK large = FC_N(less)(most, x);
    return FC_N(some)(large) ? FC_N(choose)(large, FC_N(exp)(x), y) : y;
}

/* sinh or cosh, and of large x the half of e^|x| as a product of two roots. */
FC_INLINE FC_VEC FC_N(hyperbolic)(const int odd, FC_VEC x)
{
    const FC_VEC size = FC_N(abs)(x), e = odd ? FC_N(expm1)(size) : FC_N(exp)(size);
    const FC_MASK large = FC_N(less)(FC_N(splat)(FC_REAL(80, 700)), size);
    FC_VEC y = odd ? e + e / (e + 1) : e + 1 / e;
    y *= (FC_T)0.5;
    if (FC_N(some)(large)) {
        const FC_VEC root = FC_N(exp)(size * (FC_T)0.5);
        y = FC_N(choose)(large, root * (FC_T)0.5 * root, y);
    }
    return odd ? FC_N(signed_as)(y, x) : y;
}

/* 2^r, r in -1/2..1/2; with the tail of r. */
FC_INLINE FC_VEC FC_N(exp2_of_rest)(FC_VEC r, FC_VEC tail)
{
    static const double of_float[] = {0x1.62e432p-1, 0x1.ebfbe2p-3, 0x1.c6ae72p-5, 0x1.3b270ep-7, 0x1.5f7278p-10,
                                      0x1.470b4ap-13};
    static const double of_double[] = {0x1.62e42fefa39f3p-1, 0x1.ebfbdff82c598p-3, 0x1.c6b08d7048f31p-5, 0x1.3b2ab6fba1e1cp-7,
                                       0x1.5d87fe7bbbe3cp-10, 0x1.430913096122cp-13, 0x1.ffcbee3afe2b8p-17, 0x1.62bfd49eab14p-20,
                                       0x1.b54167b5a427cp-24, 0x1.e605f9c29f98p-28, 0x1.c0636d4edaa2ap-32};
    const int is_float = sizeof(FC_T) == 4;
    const FC_VEC slope = FC_N(polynomial)(is_float ? of_float : of_double, is_float ? 6 : 11, r, r * r);
    return r * slope + tail * (FC_T)0.6931471805599453 + 1;
}

FC_INLINE FC_VEC FC_N(exp2)(FC_VEC x)
{
    x = FC_N(max)(FC_N(splat)(FC_REAL(-160, -1080)), FC_N(min)(FC_N(splat)(FC_REAL(130, 1030)), x));
    const FC_VEC n = (x + FC_MAGIC) - FC_MAGIC;
    return FC_N(scale)(FC_N(exp2_of_rest)(x - n, (FC_VEC){0}), n);
}

/* log2 of 2^e z, z in [3/4, 3/2), as a head and a tail: (2 s + 2/3 s^3 + ..) / ln 2, s = (z - 1) / (z + 1), of which both the
 * sum and all factors but those of s^5 on have tails. */
FC_INLINE FC_VEC FC_N(log2_of_parts)(FC_VEC e, FC_VEC z, FC_VEC *tail)
{
    static const double of_float[] = {0x1.277782p-1, 0x1.a56a86p-2, 0x1.60a5ccp-2};
    static const double of_double[] = {0x1.2776c50ef9bffp-1, 0x1.a61762a7adc68p-2, 0x1.484b13d7e758dp-2, 0x1.0c9a848492be2p-2,
                                       0x1.c68f637ab200dp-3, 0x1.89f12d03b86d2p-3, 0x1.5be9aab61ebd1p-3, 0x1.312279f40c872p-3,
                                       0x1.571abcf14ecdbp-3};
    const int is_float = sizeof(FC_T) == 4;
    const FC_VEC first = FC_N(splat)(FC_REAL(0x1.715476p+1, 0x1.71547652b82fep+1));
    const FC_VEC third = FC_N(splat)(FC_REAL(0x1.ec709ep-1, 0x1.ec709dc3a03fdp-1));
    const FC_T first_tail = FC_REAL(0x1.4ae0cp-25, 0x1.777d0ffda0d24p-55);
    const FC_T third_tail = FC_REAL(-0x1.e2fe02p-28, 0x1.d27f05548af0cp-55);

    const FC_VEC f = z - 1, g = z + 1, g_tail = z - (g - 1), inverse = FC_N(quotient)(FC_N(splat)(1), g);
    const FC_VEC s = f * inverse, s_tail = (FC_N(less_product)(f, s, g) - s * g_tail) * inverse;
    const FC_VEC square = s * s, square_tail = 2 * s * s_tail - FC_N(less_product)(square, s, s);
    const FC_VEC more = FC_N(polynomial)(is_float ? of_float : of_double, is_float ? 3 : 9, square, square * square);
    const FC_VEC t = third * square, u = first + t;
    const FC_VEC t_tail = (third * square_tail + square * third_tail) - FC_N(less_product)(t, third, square);
    const FC_VEC u_tail = ((first - u) + t) + (first_tail + t_tail + square * square * more);
    const FC_VEC v = s * u, v_tail = (s * u_tail + s_tail * u) - FC_N(less_product)(v, s, u);
    const FC_VEC sum = e + v, left = ((e - sum) + v) + v_tail, head = sum + left;
    *tail = (sum - head) + left;
    return head;
}

/* Which numbers are integers, of numbers that are not negative. */
FC_INLINE FC_MASK FC_N(integers)(FC_VEC x)
{
    const FC_VEC all = FC_N(splat)(FC_REAL(0x1p23, 0x1p52)); /* from where on all are */
    return FC_N(either)(FC_N(equal)((x + all) - all, x), FC_N(not)(FC_N(less)(x, all)));
}

/* y = |x|^p where x is no positive normal number or p is large, as C has it. */
FC_INLINE FC_VEC FC_N(power_beyond)(FC_VEC y, FC_VEC x, FC_VEC p)
{
    const FC_VEC zero = {0}, one = FC_N(splat)(1), infinity = FC_N(splat)((FC_T)__builtin_inf()), size = FC_N(abs)(x);
    const FC_MASK integer = FC_N(integers)(FC_N(abs)(p)), even = FC_N(integers)(FC_N(abs)(p) * (FC_T)0.5);
    const FC_MASK ends = FC_N(either)(FC_N(equal)(x, zero), FC_N(equal)(size, infinity));
    const FC_VEC growing = FC_N(choose)(FC_N(less)(zero, p), size, FC_N(choose)(FC_N(equal)(x, zero), infinity, zero));
    y = FC_N(choose)(ends, growing, y);
    const FC_VEC with_sign = FC_N(pick)((FC_IVEC)FC_N(splat)((FC_T)-0.0), x, y);
    y = FC_N(choose)(FC_N(either)(even, FC_N(not)(integer)), y, with_sign);
    const FC_MASK none = FC_N(either)(FC_N(either)(integer, ends), FC_N(not)(FC_N(less)(x, zero)));
    y = FC_N(choose)(none, y, FC_N(splat)((FC_T)__builtin_nan("")));
    y = FC_N(choose)(FC_N(equal)(x, x), FC_N(choose)(FC_N(equal)(p, p), y, p), x);
    return FC_N(choose)(FC_N(either)(FC_N(equal)(p, zero), FC_N(equal)(x, one)), one, y);
}

/* x^p = 2^(p log2 x). */
FC_INLINE FC_VEC FC_N(power)(FC_VEC x, FC_VEC p)
{
    const FC_T large = FC_REAL(0x1p12, 0x1p30), most = FC_REAL(0x1p33, 0x1p65), end = FC_REAL(200, 1100);
    const FC_VEC size = FC_N(abs)(x);
    const int strange = FC_N(some)(FC_N(either)(FC_N(beyond)(x, FC_LEAST_NORMAL, (FC_T)__builtin_inf()),
                                                FC_N(beyond)(p, -large, large)));
    FC_VEC e, tail, q = p;
    if (strange) /* what is larger gives the same */
        q = FC_N(max)(FC_N(splat)(-most), FC_N(min)(FC_N(splat)(most), p));
    const FC_VEC z = FC_N(parts_of_any)(size, &e, strange), head = FC_N(log2_of_parts)(e, z, &tail), product = q * head;
    FC_VEC left = q * tail - FC_N(less_product)(product, q, head);
    if (strange)
        left = FC_N(choose)(FC_N(less)(FC_N(abs)(product), FC_N(splat)(end)), left, (FC_VEC){0});
    const FC_VEC within = FC_N(max)(FC_N(splat)(-end), FC_N(min)(FC_N(splat)(end), product));
    const FC_VEC n = (within + FC_MAGIC) - FC_MAGIC, r = (within - n) + left;
    const FC_VEC y = FC_N(scale)(FC_N(exp2_of_rest)(r, ((within - n) - r) + left), n);
    return strange ? FC_N(power_beyond)(y, x, p) : y;
}

/* ---- sines ---- */

#define FC_FAR FC_REAL(1e5, 1e8) /* from where on the C library computes them */

/* x - n * step * pi, of an integer n: the first difference is exact, others are rounded. All parts are positive, so that 0 keeps
 * its sign. */
FC_INLINE FC_VEC FC_N(rest_of_pi)(FC_VEC x, FC_VEC n, const FC_T step)
{
    x = FC_N(less_product)(x, n, FC_N(splat)(step * FC_REAL(0x1.921fb4p+1, 0x1.921fb54442d18p+1)));
    x = FC_N(less_product)(x, n, FC_N(splat)(step * FC_REAL(0x1.4442d0p-23, 0x1.1a62633145c06p-53)));
    return x - n * (step * FC_REAL(0x1.846988p-47, 0x1.c1cd129024e08p-106));
}

enum { FC_N(SINE), FC_N(COSINE), FC_N(TANGENT) };

/* y, and far elements by the C library. */
FC_INLINE FC_VEC FC_N(with_far)(const int which, FC_VEC y, FC_VEC x)
{
    if (!FC_N(some)(FC_N(less)(FC_N(splat)(FC_FAR), FC_N(abs)(x))))
        return y;
    FC_T from[FC_LANES], to[FC_LANES];
    FC_N(put)(from, x);
    FC_N(put)(to, y);
    for (int i = 0; i < FC_LANES; i++) {
        if (!(__builtin_fabs((double)from[i]) > (double)FC_FAR))
            continue;
        if (sizeof(FC_T) == 4) {
            const float at = (float)from[i];
            to[i] = (FC_T)(which == FC_N(SINE) ? __builtin_sinf(at) : which == FC_N(COSINE) ? __builtin_cosf(at)
                                                                                             : __builtin_tanf(at));
        } else {
            const double at = (double)from[i];
            to[i] = (FC_T)(which == FC_N(SINE) ? __builtin_sin(at) : which == FC_N(COSINE) ? __builtin_cos(at)
                                                                                            : __builtin_tan(at));
        }
    }
    return FC_N(load)(to);
}

/* sin(x), or cos(x) = -sin(x - pi / 2): what is left of multiples of pi, or of odd ones of pi / 2, and its sign. */
FC_INLINE FC_VEC FC_N(sine)(const int which, FC_VEC x)
{
    static const double of_float[] = {-0x1.55554cp-3, 0x1.110eccp-7, -0x1.9f6ea8p-13, 0x1.5da9ep-19};
    static const double of_double[] = {-0x1.5555555555555p-3, 0x1.11111111110bfp-7, -0x1.a01a01a0146a3p-13,
                                       0x1.71de3a527903dp-19, -0x1.ae6454c46b26ap-26, 0x1.6123c961a8a25p-33,
                                       -0x1.ae42a4a3471e3p-41, 0x1.881ca78648cfap-49};
    const int is_float = sizeof(FC_T) == 4;
    const FC_T shift = which == FC_N(COSINE) ? (FC_T)0.5 : 0;
    const FC_VEC whole = (x * (FC_T)0.3183098861837907 - shift) + FC_MAGIC;
    const FC_VEC r = FC_N(rest_of_pi)(x, (whole - FC_MAGIC) + shift, 1), z = r * r;
    const FC_VEC y = r * z * FC_N(polynomial)(is_float ? of_float : of_double, is_float ? 4 : 8, z, z * z) + r;
    return FC_N(with_far)(which, FC_N(flip_odd)(which == FC_N(COSINE) ? -y : FC_N(signed_as)(y, r), whole), x);
}

/* What is left of multiples of pi / 2 has a sine and a cosine. */
FC_INLINE FC_VEC FC_N(tan)(FC_VEC x)
{
    static const double sines_of_float[] = {-0x1.555544p-3, 0x1.110728p-7, -0x1.993d0ep-13};
    static const double sines_of_double[] = {-0x1.5555555555548p-3, 0x1.111111110f75p-7, -0x1.a01a019bed5a4p-13,
                                             0x1.71de3558f51fdp-19, -0x1.ae5e4e92293b5p-26, 0x1.5d8c3e73fd8f7p-33};
    static const double cosines_of_float[] = {-0.5, 0x1.55554ap-5, -0x1.6c0c1ep-10, 0x1.99e56p-16};
    static const double cosines_of_double[] = {-0.5, 0x1.555555555554ap-5, -0x1.6c16c16c14fp-10, 0x1.a01a019c75b44p-16,
                                               -0x1.27e4f7dff5a6p-22, 0x1.1ee9d0310530dp-29, -0x1.8fa0a07afbab8p-37};
    const int is_float = sizeof(FC_T) == 4;
    const FC_VEC whole = x * (FC_T)0.6366197723675814 + FC_MAGIC;
    const FC_VEC r = FC_N(rest_of_pi)(x, whole - FC_MAGIC, (FC_T)0.5), z = r * r, zz = z * z;
    const FC_VEC sine = r * z * FC_N(polynomial)(is_float ? sines_of_float : sines_of_double, is_float ? 3 : 6, z, zz) + r;
    const FC_VEC cosine = z * FC_N(polynomial)(is_float ? cosines_of_float : cosines_of_double, is_float ? 4 : 7, z, zz) + 1;
    const FC_MASK odd = FC_N(less)(FC_N(flip_odd)(FC_N(splat)(1), whole), (FC_VEC){0});
    const FC_VEC y = FC_N(choose)(odd, cosine, sine) / FC_N(choose)(odd, sine, cosine);
    return FC_N(with_far)(FC_N(TANGENT), FC_N(flip_odd)(FC_N(signed_as)(y, r), whole), x);
}

#undef FC_FAR

/* ---- arctangents ---- */

/* The angle of less / more, 0 <= less <= more, added to base or, where `turned`, taken from it; base is 0 or a multiple of
 * pi / 2. */
FC_INLINE FC_VEC FC_N(angle)(FC_VEC less, FC_VEC more, FC_MASK turned, FC_VEC base)
{
    static const double of_float[] = {-0x1.55553ep-2, 0x1.9991fep-3, -0x1.2421b6p-3, 0x1.c099fep-4, -0x1.583492p-4,
                                      0x1.dac9e8p-5, -0x1.fed168p-6, 0x1.65a666p-7, -0x1.d63p-10};
    static const double of_double[] = {
        -0x1.5555555555526p-2, 0x1.9999999995549p-3, -0x1.249249237e28fp-3, 0x1.c71c717f95987p-4, -0x1.745d11ab02ac9p-4,
        0x1.3b1366769d3b5p-4, -0x1.110e50215a231p-4, 0x1.e1bb9b4dd7fbfp-5, -0x1.ae5e44f3ef65cp-5, 0x1.82da465525fafp-5,
        -0x1.59a2988fbe544p-5, 0x1.2c2ba855892e2p-5, -0x1.e9f1e0b432facp-6, 0x1.68332a925a9adp-6, -0x1.c77e5e9b658fcp-7,
        0x1.d7a153032aad8p-8, -0x1.7a21d85d91c82p-9, 0x1.b3da34749f17p-11, -0x1.3f1ad15d8fc62p-13, 0x1.bbc2ab9f794ffp-17};
    const int is_float = sizeof(FC_T) == 4;
    const FC_VEC q = less / more, z = q * q;
    FC_VEC slope = FC_N(splat)((FC_T)(is_float ? of_float : of_double)[is_float ? 8 : 19]);
#pragma GCC unroll 20
    for (int i = is_float ? 7 : 18; i >= 0; i--)
        slope = slope * z + (FC_T)(is_float ? of_float : of_double)[i];
    const FC_VEC angle = q * z * slope + q;
    const FC_T pi_tail = FC_REAL(-0x1.de12cap-26, 0x1.678afae35cdd1p-55); /* of pi, of which it is the part */
    return base + (FC_N(choose)(turned, -angle, angle) + base * pi_tail);
}

FC_INLINE FC_VEC FC_N(arctan)(FC_VEC x)
{
    const FC_VEC one = FC_N(splat)(1), size = FC_N(abs)(x), quarter = FC_N(splat)((FC_T)1.5707963267948966);
    const FC_MASK steep = FC_N(less)(one, size);
    const FC_VEC y = FC_N(angle)(FC_N(choose)(steep, one, size), FC_N(choose)(steep, size, one), steep,
                                 FC_N(choose)(steep, quarter, (FC_VEC){0}));
    return FC_N(signed_as)(y, x);
}

FC_INLINE FC_VEC FC_N(arctan2)(FC_VEC y, FC_VEC x)
{
    const FC_VEC zero = {0}, one = FC_N(splat)(1), width = FC_N(abs)(x), height = FC_N(abs)(y);
    const FC_VEC pi = FC_N(splat)((FC_T)3.141592653589793);
    const FC_MASK steep = FC_N(less)(width, height), left = FC_N(less)(FC_N(signed_as)(one, x), zero);
    FC_VEC less = FC_N(choose)(steep, width, height), more = FC_N(choose)(steep, height, width);
    const FC_MASK infinite = FC_N(equal)(less, FC_N(splat)((FC_T)__builtin_inf())), none = FC_N(equal)(more, zero);
    if (FC_N(some)(FC_N(either)(infinite, none))) {
        const FC_MASK equal = FC_N(either)((FC_MASK)(infinite & FC_N(equal)(less, more)), none);
        less = FC_N(choose)(equal, FC_N(min)(one, less), less); /* of infinities as of ones, of zeros 0, or NaN */
        more = FC_N(choose)(equal, one, more);
    }
    const FC_VEC base = FC_N(choose)(steep, pi * (FC_T)0.5, FC_N(choose)(left, pi, zero));
    return FC_N(signed_as)(FC_N(angle)(less, more, (FC_MASK)(steep ^ left), base), y);
}

/* The angle whose sine is x, or whose cosine is. */
FC_INLINE FC_VEC FC_N(angle_of)(const int which, FC_VEC x)
{
    const FC_VEC other = FC_N(sqrt)((1 - x) * (1 + x));
    return which == FC_N(SINE) ? FC_N(arctan2)(x, other) : FC_N(arctan2)(other, x);
}

#undef FC_LEAST_NORMAL
