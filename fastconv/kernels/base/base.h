/* The base's part of the table. */
#include "base/table.h"
#include "base/simd.h"
#include "base/elements.h"
#include "base/tile.h"
#include "base/pack.h"
#include "base/transpose.h"
#include "base/limits.h"

_Static_assert(FC_LANES <= FC_MAX_LANES, "what callers set aside for a panel");

static void FC_N(store)(const fc_store *s) { FC_N(store_with)(NULL, s); }

static void FC_N(add)(void *into, const void *from, ptrdiff_t count)
{
    FC_T *restrict a = into;
    const FC_T *restrict b = from;
    for (ptrdiff_t i = 0; i < count; i++)
        a[i] += b[i];
}

static void FC_N(prefetch)(const char *src, ptrdiff_t rows, ptrdiff_t step, ptrdiff_t bytes)
{
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t b = 0; b < bytes; b += 64)
            __builtin_prefetch(src + r * step + b, 0, 2);
}

static void FC_N(fill)(fc_base *table)
{
    fc_base_kernels *k = &table->real[FC_ELEMENT - 8];
    FC_N(fill_tile)(k);
    k->panel = FC_N(panel);
    k->store = FC_N(store);
    k->add = FC_N(add);
    k->transpose = FC_N(transpose);
    k->prefetch = FC_N(prefetch);
    k->sum = FC_N(sum);
    k->fma_chain = FC_N(fma_chain);
}
