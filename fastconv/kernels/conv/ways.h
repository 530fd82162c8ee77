/* What computes directly, of reals and of integers: windows.h packs, planes.h and depthwise.h run along x and along channels. */

#include "conv/windows.h"
#include "conv/planes.h"
#include "conv/depthwise.h"

static void FC_N(fill_ways)(fc_conv_kernels *k)
{
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
    k->window = FC_N(window);
    k->planar_taps = FC_N(planar_taps);
    k->plane_rows = FC_N(plane_rows);
    k->channel_taps = FC_N(channel_taps);
    k->channel_rows = FC_N(channel_rows);
    k->prefetch_ahead = FC_N(prefetch_ahead);
}
