/* The register-blocked multiply-accumulate: c[p][j] (+)= sum_k a[p][k] b[k][j], the inner loop of every dense contraction.
 *
 * A tile holds m pixels x v vectors of columns in registers. One step of k takes v vector loads of b (packed, aligned,
 * sequential), m broadcasts of a (read in place, `step` elements apart) and m*v FMAs:
 *
 *            b[k][0..v)          32 registers: 6 x 4 -> 10 loads, 24 FMAs;   16 registers: 6 x 2 -> 8 loads, 12 FMAs
 *   a[0][k]  c00 c01 c02 c03
 *   a[1][k]  c10 c11 c12 c13     The loads are what keeps it below peak: with all operands in the first-level cache
 *     ...                        the 6 x 4 step runs at 86 to 91 % of the FMA rate on Intel cores with AVX-512, 14 x 2 at 86 %.
 *
 * The first tile that meets filters which stream through the cache can copy them on the way (`keeps`), while memory
 * ports are idle, and what comes next is fetched in small bursts between pieces: 40 lines at once stall the tile.
 *
 * At the end of a chain its sums leave for the levels that hold those of earlier chains (table.h), which bounds the
 * rounding error of long sums and costs one addition, one load and one store a chain for each register of the tile.
 */

#include "base/products.h"

/* Where a tile finds its pixels: six rows from each of two bases, at opaque multiples of the step, so that a row is a base
 * register plus an index. */
typedef struct FC_N(pixels) {
    const FC_T *a0, *a1;
    ptrdiff_t s, s3, s5;
} FC_N(pixels);

FC_INLINE FC_N(pixels) FC_N(pixels_at)(const FC_T *a, ptrdiff_t s)
{
    FC_N(pixels) p = {a, a + 6 * s, s, 3 * s, 5 * s};
    __asm__("" : "+r"(p.s3), "+r"(p.s5));
    return p;
}

FC_INLINE const FC_T *FC_N(pixel)(const FC_N(pixels) *p, const int i)
{
    const int r = i % 6;
    return (i < 6 ? p->a0 : p->a1)
           + (r == 0 ? 0 : r == 1 ? p->s : r == 2 ? 2 * p->s : r == 3 ? p->s3 : r == 4 ? 4 * p->s : p->s5);
}

/* Out of line, since its state would take registers from the tile. */
static __attribute__((noinline)) void FC_N(prefetch_ahead)(fc_ahead *t)
{
    const ptrdiff_t n = t->count < t->each ? t->count : t->each;
    t->count -= n;
    for (ptrdiff_t i = 0; i < n; i++) {
        __builtin_prefetch(t->at, 0, 2);
        t->at += 64;
        if (--t->left == 0) {
            t->at += t->skip;
            t->left = t->row_lines;
        }
    }
}

FC_INLINE void FC_N(tile_body)(const int m, const int v, const int keeps, const fc_tile *t)
{
    const FC_T *b = t->b;
    const ptrdiff_t b_step = keeps ? t->b_step : v * FC_LANES;
    FC_T *keep = t->keep;
    size_t chain = t->chain;
    FC_VEC acc[12][FC_MAX_VECTORS];
#pragma GCC unroll 12
    for (int i = 0; i < m; i++)
#pragma GCC unroll 4
        for (int j = 0; j < v; j++)
            acc[i][j] = (FC_VEC){0};
    for (ptrdiff_t q = 0; q < t->count; q++) {
        if (t->ahead != NULL)
            FC_N(prefetch_ahead)(t->ahead);
        FC_N(pixels) a = FC_N(pixels_at)((const FC_T *)t->a + t->pieces[q].offset, t->step);
#pragma GCC unroll 2
        for (ptrdiff_t k = t->pieces[q].length; k > 0; k--) {
            FC_VEC bv[FC_MAX_VECTORS];
#pragma GCC unroll 4
            for (int j = 0; j < v; j++)
                bv[j] = keeps ? FC_N(load)(b + j * FC_LANES) : *(const FC_VEC *)(b + j * FC_LANES);
            b += b_step;
            if (keeps) {
#pragma GCC unroll 4
                for (int j = 0; j < v; j++)
                    *(FC_VEC *)(keep + j * FC_LANES) = bv[j];
                keep += v * FC_LANES;
            }
#pragma GCC unroll 12
            for (int i = 0; i < m; i++) {
                const FC_VEC av = FC_N(splat)(*FC_N(pixel)(&a, i));
#pragma GCC unroll 4
                for (int j = 0; j < v; j++)
                    acc[i][j] = FC_N(add_products)(acc[i][j], av, bv[j]);
            }
            a.a0++;
            a.a1++;
        }
        if (!t->pieces[q].ends)
            continue;
        const int last = t->last && q == t->count - 1;
        FC_T *const *c = (FC_T *const *)t->c;
        for (size_t n = chain++;; n /= FC_GROUP, c++) {
            if (n % FC_GROUP)
#pragma GCC unroll 12
                for (int i = 0; i < m; i++)
#pragma GCC unroll 4
                    for (int j = 0; j < v; j++)
                        acc[i][j] += *(const FC_VEC *)(*c + (i * v + j) * FC_LANES);
            if (!fc_rises(n, last))
                break;
        }
        if (last)
            break;
#pragma GCC unroll 12
        for (int i = 0; i < m; i++)
#pragma GCC unroll 4
            for (int j = 0; j < v; j++) {
                *(FC_VEC *)(*c + (i * v + j) * FC_LANES) = acc[i][j];
                acc[i][j] = (FC_VEC){0};
            }
    }
    if (!t->last)
        return;
    FC_T *out = t->out;
    const FC_T *bias = t->bias;
#pragma GCC unroll 4
    for (int j = 0; j < v; j++) {
        if (bias != NULL) {
            const FC_VEC bj = FC_N(load)(bias + j * FC_LANES);
#pragma GCC unroll 12
            for (int i = 0; i < m; i++)
                acc[i][j] += bj;
        }
#pragma GCC unroll 12
        for (int i = 0; i < m; i++)
            FC_N(put)(out + i * t->out_step + j * FC_LANES, acc[i][j]);
    }
}

#define FC_TILE(v, m) case (v) * 16 + (m): FC_N(tile_body)(m, v, 0, t); return;
#define FC_KEEPS(m) case m: FC_N(tile_body)(m, FC_REGISTERS == 32 ? 4 : 3, 1, t); return;
#define FC_TILES_6(v) FC_TILE(v, 1) FC_TILE(v, 2) FC_TILE(v, 3) FC_TILE(v, 4) FC_TILE(v, 5) FC_TILE(v, 6)
#define FC_TILES_12(v) FC_TILES_6(v) FC_TILE(v, 7) FC_TILE(v, 8) FC_TILE(v, 9) FC_TILE(v, 10) FC_TILE(v, 11) FC_TILE(v, 12)

FC_SHARED void FC_N(tile)(const fc_tile *t)
{
    if (t->keep != NULL) {
        switch (t->rows) {
            FC_KEEPS(1) FC_KEEPS(2) FC_KEEPS(3) FC_KEEPS(4)
#if FC_REGISTERS == 32
            FC_KEEPS(5) FC_KEEPS(6)
#endif
        default: FC_NO_SUCH_SHAPE
        }
        return;
    }
    switch (t->vectors * 16 + t->rows) {
        FC_TILES_12(1)
#if FC_REGISTERS == 32
        FC_TILES_12(2)
        FC_TILES_6(3) FC_TILE(3, 7) FC_TILE(3, 8)
        FC_TILES_6(4)
#else
        FC_TILES_6(2)
        FC_TILE(3, 1) FC_TILE(3, 2) FC_TILE(3, 3) FC_TILE(3, 4)
#endif
    default: FC_NO_SUCH_SHAPE
    }
}

#undef FC_TILE
#undef FC_KEEPS
#undef FC_TILES_6
#undef FC_TILES_12

/* Its shapes. */
FC_SHARED void FC_N(fill_tile)(fc_base_kernels *k)
{
    k->lanes = FC_LANES;
#if FC_REGISTERS == 32
    static const int rows[] = {0, 12, 12, 8, 6};
    k->vectors = 4;
#else
    static const int rows[] = {0, 12, 6, 4, 0};
    k->vectors = 3;
#endif
    memcpy(k->rows, rows, sizeof rows);
    k->tile = FC_N(tile);
}
