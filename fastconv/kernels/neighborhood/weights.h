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
static void FC_N(join)(void *to, const void *from, ptrdiff_t n, int how)
{
    FC_T *a = (FC_T *)to;
    const FC_T *b = (const FC_T *)from;
    if (how == FC_JOIN_ROUND) { /* not lane by lane: GCC 12 loses both conversions of a lane */
        for (ptrdiff_t x = 0; x < n; x++)
            a[x] = (FC_T)(float)a[x];
        return;
    }
    for (ptrdiff_t x = 0; x < n; x += FC_LANES) {
        FC_VEC v = FC_N(load_first)(a + x, n - x);
        switch (how) {
        case FC_JOIN_SUM: v += FC_N(load_first)(b + x, n - x); break;
        case FC_JOIN_SQUARE: v *= v; break;
        default: v = FC_N(sqrt)(v);
        }
        FC_N(put_first)(a + x, v, n - x);
    }
}

static void FC_N(fill)(fc_neighborhood *table)
{
    fc_elements *k = &table->elements[FC_ELEMENT];
    k->weigh = FC_N(weigh);
    k->correlate = FC_N(correlate);
    k->join = FC_N(join);
}
