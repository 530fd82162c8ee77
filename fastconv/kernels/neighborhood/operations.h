/* The slot `operation`: one operation of a compiled function over many outputs, for each type of elements.
 *
 * Counts for a vector of outputs: two loads, the operation and a store, less a load for each operand that is one element; over
 * many operands a load each, one operation, four for least and greatest of floats where a NaN may be, which must stay, two for
 * weighted sums (one with FMA) and squares of differences, and one store in all. Functions go by vectors (base/exponential.h,
 * base/elementary.h count theirs). Included once for each type, with a part of its own.
 */

#include "neighborhood/table.h"
#include "base/simd.h"
#include "neighborhood/sorts.h"
#ifndef FC_INTEGER_TYPE
#include "base/exponential.h"
#include "base/elementary.h"
#endif

#ifdef FC_INTEGER_TYPE
/* Arithmetic modulo 2^bits, which of the narrow types is no int's. */
#undef FC_UT
#define FC_UT FC_N(unsigned)
typedef __typeof__(__builtin_choose_expr(sizeof(FC_T) <= 4, (uint32_t)0, (uint64_t)0)) FC_UT;

FC_INLINE int FC_N(negative)(FC_T a) { return (FC_T)-1 < 1 && a < 1 && a != 0; }

FC_INLINE FC_T FC_N(floor_divide)(FC_T a, FC_T b)
{
    if (b == 0)
        return 0;
    if ((FC_T)-1 < 1 && b == (FC_T)-1) /* the least number has no opposite */
        return (FC_T)(0 - (FC_UT)a);
    const FC_T q = (FC_T)(a / b);
    return (FC_T)(q - (a % b != 0 && FC_N(negative)(a) != FC_N(negative)(b)));
}

FC_INLINE FC_T FC_N(binary)(const int code, FC_T a, FC_T b)
{
    const FC_T bits = 8 * sizeof(FC_T);
    switch (code) {
    case FC_DO_ADD: return (FC_T)((FC_UT)a + (FC_UT)b);
    case FC_DO_SUBTRACT: return (FC_T)((FC_UT)a - (FC_UT)b);
    case FC_DO_MULTIPLY: return (FC_T)((FC_UT)a * (FC_UT)b);
    case FC_DO_MINIMUM: return a < b ? a : b;
    case FC_DO_MAXIMUM: return a > b ? a : b;
    case FC_DO_AND: return (FC_T)(a & b);
    case FC_DO_OR: return (FC_T)(a | b);
    case FC_DO_XOR: return (FC_T)(a ^ b);
    case FC_DO_LEFT_SHIFT: return (FC_T)(!FC_N(negative)(b) && b < bits ? (FC_UT)a << b : 0);
    case FC_DO_RIGHT_SHIFT:
        if (FC_N(negative)(b) || b >= bits)
            return FC_N(negative)(a) ? (FC_T)-1 : 0;
        return (FC_T)(a >> b);
    case FC_DO_FLOOR_DIVIDE: return FC_N(floor_divide)(a, b);
    default: return (FC_T)(b == 0 ? 0 : (FC_UT)a - (FC_UT)FC_N(floor_divide)(a, b) * (FC_UT)b);
    }
}

FC_INLINE FC_T FC_N(unary)(const int code, FC_T a)
{
    switch (code) {
    case FC_DO_NEGATIVE: return (FC_T)(0 - (FC_UT)a);
    case FC_DO_ABSOLUTE: return (FC_T)(FC_N(negative)(a) ? 0 - (FC_UT)a : (FC_UT)a);
    case FC_DO_SIGN: return (FC_T)((a != 0) - 2 * FC_N(negative)(a));
    case FC_DO_INVERT: return (FC_T)~a;
    default: return a;
    }
}
#else
#undef FC_CALL
#define FC_CALL(function, ...) (sizeof(FC_T) == 4 ? (FC_T)function##f(__VA_ARGS__) : (FC_T)function(__VA_ARGS__))

/* The root of a^2 + b^2 within 2 units in the last place, without squares of large or small numbers; infinity beside a NaN. */
FC_INLINE FC_T FC_N(hypot)(FC_T a, FC_T b)
{
    const FC_T x = FC_CALL(__builtin_fabs, a), y = FC_CALL(__builtin_fabs, b), infinity = (FC_T)__builtin_inf();
    const FC_T more = x > y ? x : y, less = x > y ? y : x, ratio = less / (more > 0 ? more : 1);
    const FC_T root = more * FC_CALL(__builtin_sqrt, 1 + ratio * ratio);
    return (x == infinity) | (y == infinity) ? infinity : x + y != x + y ? x + y : root;
}

/* The floor of a / b, or what is left of a with the sign of b, from the exact remainder, as Python and NumPy have them. */
FC_INLINE FC_T FC_N(floored)(const int quotient, FC_T a, FC_T b)
{
    const FC_T rest = FC_CALL(__builtin_fmod, a, b);
    if (b == 0)
        return quotient ? a / b : rest;
    const int other = rest != 0 && (b < 0) != (rest < 0);
    if (!quotient)
        return rest == 0 ? FC_CALL(__builtin_copysign, 0, b) : other ? rest + b : rest;
    const FC_T ratio = (a - rest) / b - other, whole = FC_CALL(__builtin_floor, ratio);
    return ratio == 0 ? FC_CALL(__builtin_copysign, 0, a / b) : ratio - whole > (FC_T)0.5 ? whole + 1 : whole;
}

/* A NaN stays one in minimum and maximum, and gives way in fmin and fmax. */
FC_INLINE FC_T FC_N(binary)(const int code, FC_T a, FC_T b)
{
    switch (code) {
    case FC_DO_ADD: return a + b;
    case FC_DO_SUBTRACT: return a - b;
    case FC_DO_MULTIPLY: return a * b;
    case FC_DO_DIVIDE: return a / b;
    case FC_DO_MINIMUM: return (a < b) | (a != a) ? a : b;
    case FC_DO_MAXIMUM: return (a > b) | (a != a) ? a : b;
    case FC_DO_FMIN: return (a < b) | (b != b) ? a : b;
    case FC_DO_FMAX: return (a > b) | (b != b) ? a : b;
    case FC_DO_FLOOR_DIVIDE: return FC_N(floored)(1, a, b);
    case FC_DO_REMAINDER: return FC_N(floored)(0, a, b);
    case FC_DO_FMOD: return FC_CALL(__builtin_fmod, a, b);
    case FC_DO_COPYSIGN: return FC_CALL(__builtin_copysign, a, b);
    default: return FC_N(hypot)(a, b);
    }
}

FC_INLINE FC_T FC_N(unary)(const int code, FC_T a)
{
    switch (code) {
    case FC_DO_NEGATIVE: return -a;
    case FC_DO_ABSOLUTE: return FC_CALL(__builtin_fabs, a);
    case FC_DO_SIGN: return a != a ? a : (FC_T)((a > 0) - (a < 0));
    case FC_DO_SQRT: return FC_CALL(__builtin_sqrt, a);
    case FC_DO_FLOOR: return FC_CALL(__builtin_floor, a);
    case FC_DO_CEIL: return FC_CALL(__builtin_ceil, a);
    case FC_DO_RINT: return FC_CALL(__builtin_rint, a);
    case FC_DO_TRUNC: return FC_CALL(__builtin_trunc, a);
    case FC_DO_CBRT: return FC_CALL(__builtin_cbrt, a);
    default: return a;
    }
}
#undef FC_CALL
#endif

FC_INLINE int FC_N(compare)(const int code, FC_T a, FC_T b)
{
    return code == FC_DO_LESS ? a < b : code == FC_DO_LESS_EQUAL ? a <= b : code == FC_DO_EQUAL ? a == b : a != b;
}

/* One loop of an operation, its code and what are scalars constants. dst may be an operand: elements are read before. */
FC_INLINE void FC_N(each)(const int code, const int scalars, const fc_operation *q)
{
    const FC_T *a = q->a, *b = q->b, a0 = a[0], b0 = code < FC_DO_COPY ? b[0] : a0;
    const ptrdiff_t n = q->n; /* bytes might be those of q */
    FC_T *dst = q->dst;
    uint8_t *truth = q->dst;
    if (code >= FC_DO_COPY) {
#pragma GCC ivdep
        for (ptrdiff_t i = 0; i < n; i++)
            dst[i] = FC_N(unary)(code, scalars & 1 ? a0 : a[i]);
    } else if (code >= FC_DO_LESS) {
#pragma GCC ivdep
        for (ptrdiff_t i = 0; i < n; i++)
            truth[i] = (uint8_t)FC_N(compare)(code, scalars & 1 ? a0 : a[i], scalars & 2 ? b0 : b[i]);
    } else {
#pragma GCC ivdep
        for (ptrdiff_t i = 0; i < n; i++)
            dst[i] = FC_N(binary)(code, scalars & 1 ? a0 : a[i], scalars & 2 ? b0 : b[i]);
    }
}

#ifndef FC_INTEGER_TYPE
/* Functions that are computed by vectors, the last of which may be a part of one: each element is what it is in any place. */
FC_INLINE FC_VEC FC_N(function)(const int code, FC_VEC a, FC_VEC b)
{
    switch (code) {
    case FC_DO_POWER: return FC_N(power)(a, b);
    case FC_DO_ARCTAN2: return FC_N(arctan2)(a, b);
    case FC_DO_EXP: return FC_N(exp)(a);
    case FC_DO_EXP2: return FC_N(exp2)(a);
    case FC_DO_EXPM1: return FC_N(expm1)(a);
    case FC_DO_LOG: return FC_N(log)(FC_N(NATURAL), a);
    case FC_DO_LOG2: return FC_N(log)(FC_N(BINARY), a);
    case FC_DO_LOG10: return FC_N(log)(FC_N(DECIMAL), a);
    case FC_DO_LOG1P: return FC_N(log1p)(a);
    case FC_DO_SIN: return FC_N(sine)(FC_N(SINE), a);
    case FC_DO_COS: return FC_N(sine)(FC_N(COSINE), a);
    case FC_DO_TAN: return FC_N(tan)(a);
    case FC_DO_SINH: return FC_N(hyperbolic)(1, a);
    case FC_DO_COSH: return FC_N(hyperbolic)(0, a);
    case FC_DO_TANH: return FC_N(tanh)(a);
    case FC_DO_ARCSIN: return FC_N(angle_of)(FC_N(SINE), a);
    case FC_DO_ARCCOS: return FC_N(angle_of)(FC_N(COSINE), a);
    default: return FC_N(arctan)(a);
    }
}

FC_INLINE void FC_N(by_vectors)(const int code, const fc_operation *q)
{
    const FC_T *a = q->a, *b = code < FC_DO_COPY ? q->b : a;
    const ptrdiff_t n = q->n;
    const FC_VEC a0 = FC_N(splat)(*a), b0 = FC_N(splat)(*b);
    FC_T *dst = q->dst;
    for (ptrdiff_t i = 0; i < n; i += FC_LANES) {
        const FC_VEC x = q->scalars & 1 ? a0 : FC_N(load_first)(a + i, n - i);
        const FC_VEC y = code >= FC_DO_COPY ? x : q->scalars & 2 ? b0 : FC_N(load_first)(b + i, n - i);
        FC_N(put_first)(dst + i, FC_N(function)(code, x, y), n - i);
    }
}
#endif

FC_INLINE void FC_N(elementwise)(const int code, const fc_operation *q)
{
    if (code >= FC_DO_COPY || !q->scalars)
        FC_N(each)(code, code >= FC_DO_COPY && q->scalars, q);
    else if (q->scalars == 1)
        FC_N(each)(code, 1, q);
    else
        FC_N(each)(code, 2, q);
}

FC_INLINE void FC_N(select)(const int scalars, const fc_operation *q)
{
    const FC_T *a = q->a, *b = q->b, a0 = a[0], b0 = b[0];
    const ptrdiff_t n = q->n;
    const uint8_t *c = q->c;
    FC_T *dst = q->dst;
#pragma GCC ivdep
    for (ptrdiff_t i = 0; i < n; i++) {
        const FC_T yes = scalars & 1 ? a0 : a[i], no = scalars & 2 ? b0 : b[i];
        dst[i] = c[i] ? yes : no;
    }
}

FC_INLINE void FC_N(add_product)(const int scalars, const fc_operation *q)
{
    const FC_T *a = q->a, *b = q->b, *c = q->c, b0 = b[0];
    const ptrdiff_t n = q->n;
    FC_T *dst = q->dst;
#pragma GCC ivdep
    for (ptrdiff_t i = 0; i < n; i++)
        dst[i] = FC_N(binary)(FC_DO_ADD, FC_N(binary)(FC_DO_MULTIPLY, a[i], scalars & 2 ? b0 : b[i]), c[i]);
}

#define FC_CAST(kind, type)                                          \
    case kind: {                                                     \
        const type *restrict a = q->a;                               \
        for (ptrdiff_t i = 0; i < n; i++)                            \
            dst[i] = (FC_T)a[i];                                     \
        return;                                                      \
    }

static void FC_N(cast)(const fc_operation *q)
{
    FC_T *restrict dst = q->dst;
    const ptrdiff_t n = q->n;
    switch (q->kind) {
        FC_CAST(FC_U8, uint8_t) FC_CAST(FC_I8, int8_t) FC_CAST(FC_U16, uint16_t) FC_CAST(FC_I16, int16_t)
        FC_CAST(FC_U32, uint32_t) FC_CAST(FC_I32, int32_t) FC_CAST(FC_U64, uint64_t) FC_CAST(FC_I64, int64_t)
        FC_CAST(FC_F32, float) FC_CAST(FC_F64, double)
    }
}

#undef FC_CAST

/* `vectors` vectors of outputs from the i-th on. */
FC_INLINE void FC_N(reduce_terms)(const int code, const int nans, const int vectors, const fc_operation *q, ptrdiff_t i)
{
    FC_VEC acc[4];
    for (int j = 0; j < vectors; j++)
        acc[j] = code >= FC_DO_DOT ? (FC_VEC){0} : FC_N(load)((const FC_T *)q->terms[0] + i + j * FC_LANES);
#ifndef FC_INTEGER_TYPE
    FC_VEC a[4] = {{0}};
    for (int j = 0; j < vectors && code >= FC_DO_SQUARES; j++)
        a[j] = q->scalars & 1 ? FC_N(splat)(*(const FC_T *)q->a) : FC_N(load)((const FC_T *)q->a + i + j * FC_LANES);
#endif
    for (ptrdiff_t t = code >= FC_DO_DOT ? 0 : 1; t < q->count; t++) {
        const FC_T *term = (const FC_T *)q->terms[t] + i;
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++) {
            const FC_VEC x = FC_N(load)(term + j * FC_LANES);
            if (code == FC_DO_SUM)
                acc[j] += x;
            else if (code == FC_DO_PROD)
                acc[j] *= x;
            else if (!nans && code < FC_DO_DOT)
                acc[j] = code == FC_DO_LEAST ? FC_N(min)(x, acc[j]) : FC_N(max)(x, acc[j]);
#ifndef FC_INTEGER_TYPE
            else if (code == FC_DO_DOT)
                acc[j] += x * ((const FC_T *)q->weights)[t];
            else if (code == FC_DO_SQUARES)
                acc[j] += (x - a[j]) * (x - a[j]);
            else if (code == FC_DO_DISTANCES)
                acc[j] += FC_N(abs)(x - a[j]);
            else
                acc[j] = FC_N(pick)((FC_IVEC)(code == FC_DO_LEAST ? x < acc[j] : x > acc[j]) | (FC_IVEC)(x != x), x, acc[j]);
#endif
        }
    }
    for (int j = 0; j < vectors; j++)
        FC_N(put)((FC_T *)q->dst + i + j * FC_LANES, acc[j]);
}

FC_INLINE void FC_N(over_terms)(const int code, const int nans, const fc_operation *q)
{
    ptrdiff_t i = 0;
    for (; i + 3 * FC_LANES < q->n; i += 4 * FC_LANES)
        FC_N(reduce_terms)(code, nans, 4, q, i);
    for (; i < q->n; i += FC_LANES)
        FC_N(reduce_terms)(code, nans, 1, q, i);
}

#ifndef FC_INTEGER_TYPE
/* Weighted sums, each product and sum rounded: of terms, or of a first one and sums or differences of two. */
FC_INLINE void FC_N(chain)(const int code, const int vectors, const fc_operation *q, ptrdiff_t i)
{
    const FC_T *weights = q->weights;
    const int apart = code == FC_DO_PRODUCTS ? 1 : 2;
    FC_VEC acc[4];
    for (int j = 0; j < vectors; j++)
        acc[j] = FC_N(load)((const FC_T *)q->terms[0] + i + j * FC_LANES) * weights[0];
    for (ptrdiff_t t = 1, k = 1; t < q->count; t += apart, k++) {
        const FC_T *a = (const FC_T *)q->terms[t] + i, *b = (const FC_T *)q->terms[t + apart - 1] + i;
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++) {
            FC_VEC x = FC_N(load)(a + j * FC_LANES);
            if (code == FC_DO_PAIR_SUMS)
                x += FC_N(load)(b + j * FC_LANES);
            else if (code == FC_DO_PAIR_DIFFERENCES)
                x -= FC_N(load)(b + j * FC_LANES);
            acc[j] = FC_N(rounded)(acc[j]) + FC_N(rounded)(x * weights[k]);
        }
    }
    for (int j = 0; j < vectors; j++)
        FC_N(put)((FC_T *)q->dst + i + j * FC_LANES, acc[j]);
}

FC_INLINE void FC_N(over_chain)(const int code, const fc_operation *q)
{
    ptrdiff_t i = 0;
    for (; i + 3 * FC_LANES < q->n; i += 4 * FC_LANES)
        FC_N(chain)(code, 4, q, i);
    for (; i < q->n; i += FC_LANES)
        FC_N(chain)(code, 1, q, i);
}
#endif

FC_INLINE void FC_N(extreme)(const int code, const fc_operation *q)
{
#ifndef FC_INTEGER_TYPE
    if (!q->kind) {
        FC_N(over_terms)(code, 1, q);
        return;
    }
#endif
    FC_N(over_terms)(code, 0, q);
}

#define FC_EACH(code) case code: FC_N(elementwise)(code, q); return;
#define FC_VECTORS(code) case code: FC_N(by_vectors)(code, q); return;
#define FC_ROUNDED(code) case code: FC_N(over_chain)(code, q); return;
#define FC_OVER(code) case code: FC_N(over_terms)(code, 0, q); return;

static void FC_N(operation)(const fc_operation *q)
{
    switch (q->code) {
        FC_EACH(FC_DO_ADD) FC_EACH(FC_DO_SUBTRACT) FC_EACH(FC_DO_MULTIPLY) FC_EACH(FC_DO_MINIMUM) FC_EACH(FC_DO_MAXIMUM)
        FC_EACH(FC_DO_LESS) FC_EACH(FC_DO_LESS_EQUAL) FC_EACH(FC_DO_EQUAL) FC_EACH(FC_DO_NOT_EQUAL)
        FC_EACH(FC_DO_COPY) FC_EACH(FC_DO_NEGATIVE) FC_EACH(FC_DO_ABSOLUTE) FC_EACH(FC_DO_SIGN)
#ifdef FC_INTEGER_TYPE
        FC_EACH(FC_DO_AND) FC_EACH(FC_DO_OR) FC_EACH(FC_DO_XOR) FC_EACH(FC_DO_LEFT_SHIFT) FC_EACH(FC_DO_RIGHT_SHIFT)
        FC_EACH(FC_DO_INVERT)
#else
        FC_EACH(FC_DO_FMOD) FC_EACH(FC_DO_COPYSIGN) FC_EACH(FC_DO_CBRT) FC_EACH(FC_DO_DIVIDE) FC_EACH(FC_DO_FMIN)
        FC_EACH(FC_DO_FMAX) FC_EACH(FC_DO_HYPOT) FC_EACH(FC_DO_SQRT) FC_EACH(FC_DO_FLOOR) FC_EACH(FC_DO_CEIL)
        FC_EACH(FC_DO_RINT) FC_EACH(FC_DO_TRUNC)
        FC_VECTORS(FC_DO_POWER) FC_VECTORS(FC_DO_ARCTAN2) FC_VECTORS(FC_DO_EXP) FC_VECTORS(FC_DO_EXP2) FC_VECTORS(FC_DO_EXPM1)
        FC_VECTORS(FC_DO_LOG) FC_VECTORS(FC_DO_LOG2) FC_VECTORS(FC_DO_LOG10) FC_VECTORS(FC_DO_LOG1P) FC_VECTORS(FC_DO_SIN)
        FC_VECTORS(FC_DO_COS) FC_VECTORS(FC_DO_TAN) FC_VECTORS(FC_DO_SINH) FC_VECTORS(FC_DO_COSH) FC_VECTORS(FC_DO_TANH)
        FC_VECTORS(FC_DO_ARCSIN) FC_VECTORS(FC_DO_ARCCOS) FC_VECTORS(FC_DO_ARCTAN)
        FC_OVER(FC_DO_DOT) FC_OVER(FC_DO_SQUARES) FC_OVER(FC_DO_DISTANCES)
        FC_ROUNDED(FC_DO_PRODUCTS) FC_ROUNDED(FC_DO_PAIR_SUMS) FC_ROUNDED(FC_DO_PAIR_DIFFERENCES)
#endif
        FC_EACH(FC_DO_FLOOR_DIVIDE) FC_EACH(FC_DO_REMAINDER)
        FC_OVER(FC_DO_SUM) FC_OVER(FC_DO_PROD)
    case FC_DO_LEAST: FC_N(extreme)(FC_DO_LEAST, q); return;
    case FC_DO_GREATEST: FC_N(extreme)(FC_DO_GREATEST, q); return;
    case FC_DO_NETWORK:
#ifndef FC_INTEGER_TYPE
        if (!q->kind) {
            FC_N(run_network)(1, q);
            return;
        }
#endif
        FC_N(run_network)(0, q);
        return;
    case FC_DO_CAST: FC_N(cast)(q); return;
    case FC_DO_ADD_PRODUCT:
        if (q->scalars & 2)
            FC_N(add_product)(2, q);
        else
            FC_N(add_product)(0, q);
        return;
    case FC_DO_SELECT:
        switch (q->scalars) {
        case 0: FC_N(select)(0, q); return;
        case 1: FC_N(select)(1, q); return;
        case 2: FC_N(select)(2, q); return;
        default: FC_N(select)(3, q); return;
        }
    }
}

#undef FC_EACH
#undef FC_VECTORS
#undef FC_ROUNDED
#undef FC_OVER

static void FC_N(fill)(fc_neighborhood *table) { table->elements[FC_ELEMENT].operation = FC_N(operation); }
