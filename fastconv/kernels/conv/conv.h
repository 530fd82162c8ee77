/* Convolution beside base/tile.h. Next hops: ways.h and base/pack.h pack, activations.h stores, split_tile.h has the tile for
 * few columns, ways.h what does not run along output channels, winograd.h what needs fewer products; integers.h is the
 * same for integers, gradients.h and turn.h are for gradients. */

#include "conv/table.h"
#include "base/simd.h"
#include "base/elements.h"
#include "base/tile.h"
#include "base/pack.h"
#include "conv/split_tile.h"
#include "conv/ways.h"
#include "base/exponential.h"
#include "conv/activations.h"
#include "conv/gradients.h"
#include "conv/turn.h"
#include "conv/winograd.h"
#include "conv/fourier.h"

static void FC_N(fill)(fc_conv *table)
{
    fc_conv_kernels *k = &table->real[FC_ELEMENT - 8];
    FC_N(fill_ways)(k);
    k->split = FC_N(SPLIT);
    k->split_tile = FC_N(split_tile);
    k->store = FC_N(store);
    k->store_parts = FC_N(store_parts);
    k->products = FC_N(products);
    k->turn = FC_N(turn);
    k->winograd_filters = FC_N(winograd_filters);
    k->winograd_bounds = FC_N(winograd_bounds);
    k->winograd_weights = FC_N(winograd_weights);
    k->winograd_input = FC_N(winograd_input);
    k->winograd_sizes = FC_N(winograd_sizes);
    k->winograd_benign = FC_N(winograd_benign);
    k->winograd_windows = FC_N(winograd_windows);
    k->winograd_least = FC_N(winograd_least);
    k->winograd_output = FC_N(winograd_output);
    k->fourier = FC_N(fourier);
    k->fourier_transpose = FC_N(fourier_transpose);
    k->fourier_products = FC_N(fourier_products);
    k->fourier_sizes = FC_N(fourier_sizes);
    k->fourier_windows = FC_N(fourier_windows);
    k->fourier_norms = FC_N(fourier_norms);
    k->fourier_bounds = FC_N(fourier_bounds);
    k->fourier_least = FC_N(fourier_least);
    k->fourier_mark = FC_N(fourier_mark);
}
