/* Distances between all pairs of two sets of points, a tile of rows x columns at a time.
 *
 * `points` (prepare_rows.h) prepares rows and packs them as a[k][6] or b[k][v * lanes]; `pairs` (pairs.h) sums over k, 6 rows x v
 * vectors of columns in registers, and finishes the sums; `emit` and the heaps of heap.h take the result to the output.
 * Differences are formed before anything is squared or multiplied, so that translation costs no accuracy. Next hop: pairs.h.
 */

#include "distance/table.h"
#include "base/simd.h"
#include "base/elements.h"

#ifndef FC_DISTANCE_ONCE
#define FC_DISTANCE_ONCE

enum {
    FC_POINT_VECTORS = FC_REGISTERS == 32 ? 4 : 2,
    FC_PREFETCHES = FC_REGISTERS == 32, /* next rows are prefetched between the terms: it takes registers */
    FC_PREFETCH_TERMS = 4,              /* one for so many of them */
    FC_FORM_CHAIN = 36,              /* as FC_POINT_CHAIN, of numbers three by three */
    FC_POINT_CHAINS = 16,            /* are added as they are, a group; groups are added without a loss */
    FC_RATIO_GROUP = 8 /* terms of canberra that share a division: a / b + c / d = (a d + c b) / (b d); 2 of float32 */
};

#endif

#include "distance/powers.h"
#include "distance/prepare_rows.h"
#include "distance/terms.h"
#include "distance/sums.h"
#include "distance/endings.h"
#include "distance/pairs.h"
#include "distance/cancelled.h"
#include "distance/unpacked.h"
#include "distance/emit.h"
#include "distance/heap.h"
#include "distance/gradients.h"

static void FC_N(fill)(fc_distance *table)
{
    fc_distance_kernels *k = &table->real[FC_ELEMENT - 8];
    k->vectors = FC_POINT_VECTORS;
    k->points = FC_N(points);
    k->pairs = FC_N(pairs);
    k->cancelled = FC_N(cancelled);
    k->unpacked = FC_N(unpacked);
    k->emit = FC_N(emit);
    k->heap_add = FC_N(heap_add);
    k->heap_sort = FC_N(heap_sort);
    k->pull = FC_N(pull);
    k->add_wide = FC_N(add_wide);
    k->unprepare = FC_N(unprepare);
}
