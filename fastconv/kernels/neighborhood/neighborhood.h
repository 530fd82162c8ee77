/* Fills the table for named reductions of neighbourhoods, for every type of elements; ranks.h fills it for order statistics. Next
 * hops: plain.h, the way for any window; extremes.h, bits.h and box_sums.h, the fast ones; box_parts.h, that of large boxes;
 * flood.h, what is set until nothing changes. */

#include "neighborhood/table.h"
#include "base/simd.h"
#ifndef FC_INTEGER_TYPE
#include "neighborhood/bits.h"
#include "base/elements.h"
#if FC_ELEMENT == 9
#include "neighborhood/lines.h"
#include "neighborhood/flood.h"
#endif
#endif

#undef FC_WIDE_T
#undef FC_IS_FLOAT
#undef FC_ONE_NAN
#undef FC_MOST
#undef FC_LEAST
#ifdef FC_INTEGER_TYPE
#define FC_IS_FLOAT 0
#define FC_WIDE_T uint64_t
#define FC_MOST ((FC_T)((uint64_t)-1 >> (64 - 8 * sizeof(FC_T) + ((FC_T)-1 < 1))))
#define FC_LEAST ((FC_T)((FC_T)-1 < 1 ? ~FC_MOST : 0))
#else
#define FC_IS_FLOAT 1
#define FC_ONE_NAN ((FC_T)__builtin_nan(""))
#define FC_WIDE_T double
#define FC_MOST ((FC_T)__builtin_inf())
#define FC_LEAST (-FC_MOST)
#endif

#include "neighborhood/plain.h"
#include "neighborhood/extremes.h"
#include "neighborhood/box_sums.h"
#include "neighborhood/box_parts.h"
#ifdef FC_INTEGER_TYPE
#include "neighborhood/wholes.h"
#endif

static void FC_N(fill)(fc_neighborhood *table)
{
    fc_elements *k = &table->elements[FC_ELEMENT];
    k->bytes = sizeof(FC_T);
    k->reduce = FC_N(reduce);
    k->extreme_columns = FC_N(extreme_columns);
    k->extreme_rows = FC_N(extreme_rows);
    k->extreme_stacks = FC_N(extreme_stacks);
    k->subtract = FC_N(subtract);
    k->nonzero = FC_N(nonzero);
    k->sum_columns = FC_N(sum_columns);
    k->sum_row = FC_N(sum_row);
    k->finish_sums = FC_N(finish_sums);
#ifdef FC_INTEGER_TYPE
    k->cut_means = FC_N(cut_means);
#endif
    k->lift_parts = FC_N(lift_parts);
    k->join_parts = FC_N(join_parts);
    k->finish_parts = FC_N(finish_parts);
#ifdef FC_INTEGER_TYPE
    k->to_reals = FC_N(to_reals);
    k->from_reals = FC_N(from_reals);
    k->keep_whole = FC_N(keep_whole);
#endif
#if defined FC_INTEGER_TYPE && FC_ELEMENT == 0
    table->narrow = *k;
    table->narrow.sum_columns = fc_sum_columns_narrow;
    table->narrow.sum_row = fc_sum_row_narrow;
    table->narrow.finish_sums = fc_finish_sums_narrow;
    table->narrow.cut_means = fc_cut_means_narrow;
    table->widening = table->narrow;
    table->widening.sum_row = fc_sum_row_widening;
    table->widening.finish_sums = k->finish_sums;
#endif
#if FC_ELEMENT == 9
    table->fill_line = fc_fill_line;
    table->fill_ends = fc_fill_ends;
    table->put_line = fc_put_line;
    table->gather = fc_gather;
    table->pack_bits = fc_pack_bits;
    table->unpack_bits = fc_unpack_bits;
    table->merge_bits = fc_merge_bits;
    table->flood_begin = fc_flood_begin;
    table->flood_some = fc_flood_some;
    table->flood_again = fc_flood_again;
    table->flood_end = fc_flood_end;
#endif
}
