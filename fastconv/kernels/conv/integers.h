/* Convolution of integers: the tile and the ways of reals (base/tile.h, ways.h) with other products (base/products.h).
 *
 * The inner loop of FC_SUMS_16_DOT on 6 x 4 registers is 4 loads, 6 broadcasts and 24 vpdpwssd for 2 terms, twice what as
 * many FMAs do; that of FC_SUMS_16 has 24 vpmaddwd and 24 vpaddd instead. words.h packs what they read.
 */

#include "conv/table.h"
#include "base/simd.h"
#include "base/elements.h"
#include "base/tile.h"
#include "base/pack.h"
#include "conv/words.h"
#include "conv/ways.h"

static void FC_N(activate)(FC_T *restrict y, ptrdiff_t n, int activation)
{
    typedef __typeof__(__builtin_choose_expr(sizeof(FC_T) == 4, (int32_t)0, (int64_t)0)) number;
    const number most = activation == FC_RELU6 ? 6 : sizeof(FC_T) == 4 ? (number)INT32_MAX : (number)INT64_MAX;
    for (ptrdiff_t i = 0; i < n; i++) {
        const number x = (number)y[i];
        y[i] = (FC_T)(x < 0 ? 0 : x > most ? most : x);
    }
}

static void FC_N(store)(const fc_store *s) { FC_N(store_with)(FC_N(activate), s); }

static void FC_N(fill)(fc_conv *table)
{
    table->dot = FC_N(has_dot)();
    if (FC_SUM_KIND == FC_SUMS_16_DOT && !FC_N(has_dot)())
        return;
    fc_base_kernels *b = &table->integer[FC_SUM_KIND].base;
    fc_conv_kernels *k = &table->integer[FC_SUM_KIND].conv;
    FC_N(fill_tile)(b);
    FC_N(fill_ways)(k);
    b->panel = FC_SUM_KIND <= FC_SUMS_16_DOT ? FC_N(word_panel) : FC_N(panel);
    k->split = 1;
    k->store = FC_N(store);
    k->offsets = FC_N(offsets);
}
