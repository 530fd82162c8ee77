/* Contractions beside base/tile.h. Next hops: khatri_rao.h and few_rows.h for triple products, strided_tile.h for mttkrp,
 * vectors.h and integers.h for one vector along an axis, rows.h and wide_sums.h for what comes before and after the tile. */

#include "contraction/table.h"
#include "base/simd.h"
#include "base/elements.h"
#include "contraction/khatri_rao.h"
#include "contraction/few_rows.h"
#include "contraction/strided_tile.h"
#include "contraction/rows.h"
#include "contraction/wide_sums.h"
#include "contraction/vectors.h"
#include "contraction/integers.h"

static void FC_N(fill)(fc_contraction *table)
{
    fc_contraction_kernels *k = &table->real[FC_ELEMENT - 8];
    k->khatri_rao = FC_N(khatri_rao);
    k->few_rows = FC_N(few_rows);
    k->strided_tile = FC_N(strided_tile);
    k->strided_rows = FC_N(STRIDED_ROWS);
    k->strided_vectors = FC_N(STRIDED_VECTORS);
    k->center = FC_N(center);
    k->weigh = FC_N(weigh);
    k->widen = FC_N(widen);
    k->narrow = FC_N(narrow);
    k->add_scaled = FC_N(add_scaled);
    k->axpy = FC_N(axpy);
    k->dot = FC_N(dot);
    table->integer_axpy = fc_integer_axpy;
}
