/* Booleans as bits, for any, all and extremes: "or" of bits, of which "and" is that of the opposites. Next hop: base/simd.h.
 *
 * A line lies in stripes: bit k of byte i is element k * stripe + i, and bytes from `stripe` on repeat elements, so that the line
 * from element x on begins at byte x. Thus nothing is ever shifted: merge_bits is a load and an operation for each term and 8
 * elements a byte; pack_bits takes a load and two operations for each vector of elements, unpack_bits two and a store. */

#ifndef FC_BITS_ONCE
#define FC_BITS_ONCE

typedef uint8_t fc_bytes __attribute__((vector_size(FC_VEC_BYTES), may_alias, aligned(1)));
typedef uint64_t fc_long_words __attribute__((vector_size(FC_VEC_BYTES), may_alias, aligned(1)));

static void fc_pack_bits(const fc_stripes *q)
{
    const uint8_t *elements = q->elements;
    uint8_t *bits = q->bits;
    const ptrdiff_t stripe = q->stripe, bytes = q->bytes;
    const fc_bytes flip = q->flip - (fc_bytes){0};
    for (ptrdiff_t i = 0; i < bytes; i += FC_VEC_BYTES) {
        fc_bytes sum = *(const fc_bytes *)(elements + 7 * stripe + i);
#pragma GCC unroll 7
        for (int k = 6; k >= 0; k--)
            sum = (sum + sum) | *(const fc_bytes *)(elements + k * stripe + i);
        *(fc_bytes *)(bits + i) = sum ^ flip;
    }
}

/* A vector of bits to all stripes; what is written beyond a short stripe is written again with the next. */
static void fc_unpack_bits(const fc_stripes *q)
{
    const uint8_t *bits = q->bits, *also = q->also;
    uint8_t *elements = q->elements;
    const ptrdiff_t stripe = q->stripe, count = q->count;
    const fc_long_words ones = 0x0101010101010101 - (fc_long_words){0};
    const uint64_t flip = q->flip * 0x0101010101010101;
    for (ptrdiff_t i = 0; i < stripe; i += FC_VEC_BYTES) {
        const ptrdiff_t first = i + FC_VEC_BYTES > stripe && i ? stripe - FC_VEC_BYTES : i;
        fc_long_words word = (*(const fc_long_words *)(bits + first) & *(const fc_long_words *)(also + first)) ^ flip;
        if (7 * stripe + first + FC_VEC_BYTES <= count) {
#pragma GCC unroll 8
            for (int k = 0; k < 8; k++)
                *(fc_long_words *)(elements + first + k * stripe) = word >> k & ones;
            continue;
        }
        for (ptrdiff_t at = first; at < count; at += stripe, word >>= 1) {
            const fc_long_words truths = word & ones;
            memcpy(elements + at, &truths, (size_t)(count - at < FC_VEC_BYTES ? count - at : FC_VEC_BYTES));
        }
    }
}

FC_INLINE void fc_merge_strip(const fc_merge *q, ptrdiff_t i, const int wide)
{
    const uint8_t *src = q->src + i;
    fc_long_words sum[4] = {{0}};
    for (ptrdiff_t t = 0; t < q->count; t++)
#pragma GCC unroll 4
        for (int v = 0; v < wide; v++)
            sum[v] |= *(const fc_long_words *)(src + q->terms[t] + v * FC_VEC_BYTES);
#pragma GCC unroll 4
    for (int v = 0; v < wide; v++)
        *(fc_long_words *)(q->out + i + v * FC_VEC_BYTES) = sum[v];
}

static void fc_merge_bits(const fc_merge *q)
{
    ptrdiff_t i = 0;
    for (; i + 4 * FC_VEC_BYTES <= q->bytes; i += 4 * FC_VEC_BYTES)
        fc_merge_strip(q, i, 4);
    for (; i < q->bytes; i += FC_VEC_BYTES)
        fc_merge_strip(q, i, 1);
}

#endif
