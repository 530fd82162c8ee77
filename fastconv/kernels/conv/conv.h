/* Convolution beside base/tile.h. Next hops: windows.h and base/pack.h pack, activations.h stores, split_tile.h has the tile for
 * few columns, planes.h and depthwise.h what does not run along output channels, winograd.h what needs fewer products,
 * products.h and turn.h are for gradients. */

#include "conv/table.h"
#include "base/simd.h"
#include "base/elements.h"
#include "base/tile.h"
#include "base/pack.h"
#include "conv/split_tile.h"
#include "conv/windows.h"
#include "base/exponential.h"
#include "conv/activations.h"
#include "conv/planes.h"
#include "conv/depthwise.h"
#include "conv/products.h"
#include "conv/turn.h"
#include "conv/winograd.h"

static void FC_N(fill)(fc_conv *table)
{
    fc_conv_kernels *k = &table->real[FC_ELEMENT - 8];
    k->row_group = 4;
    k->pixels = 8;
#if FC_REGISTERS == 32
    static const int planar[] = {0, 8, 8, 7, 6, 5, 4, 3, 3};
    k->outputs = 8;
    k->row_vectors = 4;
#else
    static const int planar[] = {0, 8, 4, 3, 2, 0, 0, 0, 0};
    k->outputs = 4;
    k->row_vectors = 2;
#endif
    memcpy(k->planar, planar, sizeof planar);
    k->split = FC_N(SPLIT);
    k->split_tile = FC_N(split_tile);
    k->window = FC_N(window);
    k->store = FC_N(store);
    k->planar_taps = FC_N(planar_taps);
    k->plane_rows = FC_N(plane_rows);
    k->channel_taps = FC_N(channel_taps);
    k->products = FC_N(products);
    k->channel_rows = FC_N(channel_rows);
    k->prefetch_ahead = FC_N(prefetch_ahead);
    k->turn = FC_N(turn);
    k->winograd_filters = FC_N(winograd_filters);
    k->winograd_bounds = FC_N(winograd_bounds);
    k->winograd_input = FC_N(winograd_input);
    k->winograd_sizes = FC_N(winograd_sizes);
    k->winograd_benign = FC_N(winograd_benign);
    k->winograd_output = FC_N(winograd_output);
}
