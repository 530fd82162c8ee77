/* Fills the table for weighted sums of windows. table.h has the contracts, weights_body.h the loops, which form sums in doubles,
 * or, of lines of floats that hold small integers, in floats.
 */

#include "neighborhood/table.h"
#include "base/simd.h"

#undef FC_OUTS
#define FC_OUTS (FC_REGISTERS == 32 ? 8 : 4) /* rows of outputs that are computed at once, with two windows of as many rows */
#undef FC_DIRECT_TAPS
#define FC_DIRECT_TAPS 5 /* along lines of at most so many taps loads are cheaper than shuffles */

#undef FC_C
#undef FC_C_SUFFIX
#undef FC_C_WHOLE
#define FC_C double
#define FC_C_SUFFIX in_f64
#define FC_C_WHOLE 0
#include "neighborhood/weights_body.h"

#if FC_ELEMENT == 8
#undef FC_C
#undef FC_C_SUFFIX
#undef FC_C_WHOLE
#define FC_C float
#define FC_C_SUFFIX in_f32
#define FC_C_WHOLE 1
#include "neighborhood/weights_body.h"
#endif

static void FC_N(weigh)(const fc_weighted *q)
{
#if FC_ELEMENT == 8
    if (q->singles)
        FC_PASTE(weigh, FC_SUFFIX, in_f32, FC_ISA)(q, q->singles);
    else
#endif
        FC_PASTE(weigh, FC_SUFFIX, in_f64, FC_ISA)(q, q->weights);
}

static void FC_N(correlate)(const fc_correlated *q)
{
#if FC_ELEMENT == 8
    if (q->singles)
        FC_PASTE(correlate, FC_SUFFIX, in_f32, FC_ISA)(q, q->singles);
    else
#endif
        FC_PASTE(correlate, FC_SUFFIX, in_f64, FC_ISA)(q, q->weights);
}

/* Each product and sum is rounded, as NumPy does it one operation after the other. */
FC_INLINE FC_VEC FC_N(joined)(FC_VEC v, const FC_T *b, ptrdiff_t n, const int how)
{
    if (how == FC_JOIN_SUM)
        return v + FC_N(load_first)(b, n);
    if (how == FC_JOIN_SQUARE)
        return v * v;
    return FC_N(sqrt)(v);
}

FC_INLINE void FC_N(join_line)(FC_T *a, const FC_T *b, ptrdiff_t n, const int how)
{
    ptrdiff_t x = 0;
    for (; x + FC_LANES <= n; x += FC_LANES)
        FC_N(put)(a + x, FC_N(joined)(FC_N(load)(a + x), b + x, FC_LANES, how));
    if (x < n)
        FC_N(put_first)(a + x, FC_N(joined)(FC_N(load_first)(a + x, n - x), b + x, n - x, how), n - x);
}

static void FC_N(join)(void *to, const void *from, ptrdiff_t n, int how)
{
    FC_T *a = (FC_T *)to;
    const FC_T *b = (const FC_T *)from;
    switch (how) {
    case FC_JOIN_SUM: FC_N(join_line)(a, b, n, FC_JOIN_SUM); return;
    case FC_JOIN_SQUARE: FC_N(join_line)(a, b, n, FC_JOIN_SQUARE); return;
    case FC_JOIN_ROOT: FC_N(join_line)(a, b, n, FC_JOIN_ROOT); return;
    default: /* not vector by vector: GCC 12 loses both conversions of a lane */
        for (ptrdiff_t x = 0; x < n; x++)
            a[x] = (FC_T)(float)a[x];
    }
}

static void FC_N(fill)(fc_neighborhood *table)
{
    fc_elements *k = &table->elements[FC_ELEMENT];
    k->weigh = FC_N(weigh);
    k->correlate = FC_N(correlate);
    k->join = FC_N(join);
}
