/* From sums to distances: roots, ratios and the measures of booleans. Next hop: powers.h. */

/* From the weights of true-true, true-false, false-true and false-false. */
FC_INLINE FC_VEC FC_N(distance_of_counts)(const int ending, FC_VEC tt, FC_VEC tf, FC_VEC ft, FC_VEC ff, FC_VEC n)
{
    const FC_VEC differ = tf + ft;
    switch (ending) {
    case FC_HAMMING_BITS: return FC_N(quotient)(differ, n);
    case FC_JACCARD: {
        const FC_VEC some = tt + differ;
        return FC_N(quotient)(differ, FC_N(pick)((FC_IVEC)(some == 0), FC_N(splat)(1), some));
    }
    case FC_DICE_BITS: return FC_N(quotient)(differ, tt + tt + differ);
    case FC_ROGERSTANIMOTO: return FC_N(quotient)(differ + differ, n + differ);
    case FC_RUSSELLRAO: return FC_N(quotient)(differ + ff, n);
    case FC_SOKALSNEATH: return FC_N(quotient)(differ + differ, tt + (differ + differ));
    default: {
        const FC_VEC mixed = tf * ft, den = tt * ff + mixed;
        const FC_VEC ratio = FC_N(quotient)(mixed + mixed, FC_N(pick)((FC_IVEC)(mixed == 0), FC_N(splat)(1), den));
        return FC_N(masked)(ratio, (FC_IVEC)(mixed != 0));
    }
    }
}

/* The distance of the sums c, c2 and the statistics s of the row and u of the column; `exact` after a careful
 * body. */
FC_INLINE FC_VEC FC_N(distance_of_sums)(const int ending, const int exact, const fc_pairs *t, FC_VEC c, FC_VEC c2, FC_VEC s,
                                        FC_VEC u, const FC_T *root)
{
    const FC_VEC n = FC_N(splat)((FC_T)t->n);
    switch (ending) {
    case FC_AS_IS: return c;
    case FC_ROOT:
        if (exact)
            return FC_N(sqrt)(c);
        return FC_N(root)(c);
    case FC_PTH_ROOT: return FC_N(power)(c, root[0], root[1]);
    case FC_RATIO: return c / FC_N(pick)((FC_IVEC)(s + u != s + u), c2, s + u);
    case FC_SHARE: return c / n + (s + u);
    case FC_COSINE: {
        const FC_VEC half = c * (FC_T)0.5;
        return FC_N(pick)((FC_IVEC)(half > 2), FC_N(splat)(2), half) + (s + u);
    }
    case FC_ENTROPY: return FC_N(sqrt)(FC_N(pick)((FC_IVEC)(c < 0), FC_N(splat)(0), c) * (FC_T)0.34657359027997264) + (s + u);
    case FC_DICE_RATIO: return c / (c2 + c2 + c);
    default: break;
    }
    FC_VEC tt, tf, ft, ff;
    if (t->metric == FC_BITS) {
        const FC_T magic = sizeof(FC_T) == 4 ? (FC_T)0x1p23 : (FC_T)0x1p52;
        const FC_INT magic_bits = (FC_INT)(FC_N(BIAS) + FC_N(MANTISSA)) << FC_N(MANTISSA);
        tt = (FC_VEC)((FC_IVEC)c | magic_bits) - magic;
        tf = s - tt;
        ft = u - tt;
        ff = n - (s + ft);
    } else {
        tf = c;
        ft = c2;
        tt = s;
        ff = u;
    }
    return FC_N(distance_of_counts)(ending, tt, tf, ft, ff, n);
}

FC_INLINE void FC_N(distances_of_tile)(const int ending, const fc_pairs *t, const FC_T *root, const FC_T *c, const FC_T *c2)
{
    const ptrdiff_t width = t->vectors * FC_LANES;
    for (int i = 0; i < t->rows; i++) {
        FC_VEC s = FC_N(splat)(((const FC_T *)t->a_stats)[i]);
        FC_T *dst = FC_N(row_of)(t, i);
        for (ptrdiff_t j = 0; j < width; j += FC_LANES) {
            FC_VEC u = *(const FC_VEC *)((const FC_T *)t->b_stats + j);
            if (t->metric == FC_DISCORDANT) {
                s = *(const FC_VEC *)((const FC_T *)t->largest + i * width + j);
                u = *(const FC_VEC *)((const FC_T *)t->careful + i * width + j);
            }
            const FC_VEC sum = *(const FC_VEC *)(c + i * width + j), sum2 = *(const FC_VEC *)(c2 + i * width + j);
            FC_N(put)(dst + j, FC_N(distance_of_sums)(ending, 0, t, sum, sum2, s, u, root));
        }
    }
}

#define FC_CASE(ending) case ending: FC_N(distances_of_tile)(ending, t, root, c, c2); return;

static void FC_N(distances)(const fc_pairs *t, const FC_T *root, const FC_T *c, const FC_T *c2)
{
    switch (t->ending) {
        FC_CASE(FC_AS_IS) FC_CASE(FC_ROOT) FC_CASE(FC_PTH_ROOT) FC_CASE(FC_RATIO) FC_CASE(FC_SHARE) FC_CASE(FC_COSINE)
        FC_CASE(FC_ENTROPY) FC_CASE(FC_DICE_RATIO) FC_CASE(FC_HAMMING_BITS) FC_CASE(FC_JACCARD) FC_CASE(FC_DICE_BITS)
        FC_CASE(FC_ROGERSTANIMOTO) FC_CASE(FC_RUSSELLRAO) FC_CASE(FC_SOKALSNEATH) FC_CASE(FC_YULE)
    }
}

#undef FC_CASE
