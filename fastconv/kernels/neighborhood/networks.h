/* The network that sorts vectors in registers, lane by lane: 60 comparators of two operations. Included once for each type,
 * behind base/simd.h.
 */

#ifndef FC_NETWORKS_ONCE
#define FC_NETWORKS_ONCE

enum { FC_COMPARATORS = 60 };

/* Green's network for 16 cells. The first n cells sort themselves without the others, as if those were infinite. */
static const uint8_t fc_network[FC_COMPARATORS][2] = {
    {0, 1}, {2, 3}, {4, 5}, {6, 7}, {8, 9}, {10, 11}, {12, 13}, {14, 15}, {0, 2}, {4, 6}, {8, 10}, {12, 14}, {1, 3}, {5, 7},
    {9, 11}, {13, 15}, {0, 4}, {8, 12}, {1, 5}, {9, 13}, {2, 6}, {10, 14}, {3, 7}, {11, 15}, {0, 8}, {1, 9}, {2, 10}, {3, 11},
    {4, 12}, {5, 13}, {6, 14}, {7, 15}, {5, 10}, {6, 9}, {3, 12}, {13, 14}, {4, 8}, {7, 11}, {1, 2}, {1, 4}, {7, 13}, {2, 8},
    {11, 14}, {2, 4}, {5, 6}, {9, 10}, {11, 13}, {3, 8}, {7, 12}, {6, 8}, {10, 12}, {3, 5}, {7, 9}, {3, 4}, {5, 6}, {7, 8},
    {9, 10}, {11, 12}, {6, 7}, {8, 9},
};

#endif

/* Of two wide integers the greatest is what the least leaves of both: vpternlog, which other ports than vpmin take. */
FC_INLINE void FC_N(order)(FC_VEC *a, FC_VEC *b)
{
    const FC_VEC least = FC_N(min)(*a, *b);
#if defined(FC_INTEGER_TYPE) && FC_VEC_BYTES == 64
    *b ^= *a ^ least;
#else
    *b = FC_N(max)(*a, *b);
#endif
    *a = least;
}

FC_INLINE void FC_N(sort_vectors)(FC_VEC *v, const int n)
{
#pragma GCC unroll 60
    for (int i = 0; i < FC_COMPARATORS; i++)
        if (fc_network[i][1] < n)
            FC_N(order)(&v[fc_network[i][0]], &v[fc_network[i][1]]);
}
