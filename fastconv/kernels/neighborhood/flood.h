/* Flood fills: pixels are set where a step of a structuring element leads to them from one that is set, until none changes. Next
 * hop: the contracts in table.h.
 *
 * Lines lie in words of bits, with so many closed bits between them, and so many closed lines between planes, that a step is a
 * distance in bits, whichever line it leads to: a word that reaches beyond its end reaches what is closed. Words whose pixels
 * have not passed on that they are set wait in a queue. Each word that is taken out fills the runs of its own pixels (an
 * addition carries up through a run, six doubling steps lead down), then a rotation and a mask for each term of a target, a load
 * and a mask for each target. Nothing waits twice at once and only new pixels wait, so that a fill takes at most one visit a
 * pixel, whatever its shape (spirals and combs too), and one or two a word in most images. */

#ifndef FC_FLOOD_ONCE
#define FC_FLOOD_ONCE

FC_INLINE void fc_flood_append(fc_flood_word *words, ptrdiff_t *first, ptrdiff_t *last, ptrdiff_t at)
{
    if (*first < 0)
        *first = at;
    else
        words[*last].next = at;
    *last = at;
}

FC_INLINE uint64_t fc_flood_turned(uint64_t bits, int64_t turn)
{
    return bits << turn | bits >> (-turn & (FC_FLOOD_BITS - 1));
}

/* Some words from the queue, until it is empty. */
static void fc_flood_some(fc_flood *q, ptrdiff_t most)
{
    fc_flood_word *words = q->words;
    const ptrdiff_t low = q->low, high = q->high, targets = q->targets;
    const ptrdiff_t *target = q->target, *end = q->end;
    const int64_t *turn = q->turn;
    const uint64_t *kept = q->kept;
    const uint64_t up = q->up ? ~(uint64_t)0 : 0, down = q->down ? ~(uint64_t)0 : 0;
    ptrdiff_t first = q->first, last = q->last;
    for (; first >= 0 && most > 0; most--) {
        const ptrdiff_t at = first;
        fc_flood_word *word = words + at;
        uint64_t fresh = word->fresh;
        const uint64_t may = word->open | fresh;
        first = at == last ? -1 : word->next;
        word->fresh = 0;
        fresh |= ((may + fresh) ^ may) & may & up;
        uint64_t through = may & down;
#pragma GCC unroll 6
        for (int step = 1; step < FC_FLOOD_BITS; step *= 2) {
            fresh |= fresh >> step & through;
            through &= through >> step;
        }
        word->open &= ~fresh;
        word->set |= fresh;
        for (ptrdiff_t t = 0, i = 0; t < targets; t++) {
            const ptrdiff_t to = at + target[t];
            uint64_t reached = fc_flood_turned(fresh, turn[i]) & kept[i];
            for (i++; i < end[t]; i++)
                reached |= fc_flood_turned(fresh, turn[i]) & kept[i];
            reached &= words[to].open;
            if (!reached || to < low || to >= high)
                continue;
            words[to].open ^= reached;
            if (!words[to].fresh)
                fc_flood_append(words, &first, &last, to);
            words[to].fresh |= reached;
        }
    }
    q->first = first;
    q->last = last;
}

/* Up to FC_FLOOD_BITS bytes as bits: 1 for what is not 0. */
FC_INLINE uint64_t fc_flood_truths(const uint8_t *bytes, ptrdiff_t n)
{
    uint8_t rest[FC_FLOOD_BITS];
    uint64_t eight[FC_FLOOD_BITS / 8], bits = 0;
    if (n < FC_FLOOD_BITS) {
        memset(rest, 0, sizeof rest);
        memcpy(rest, bytes, (size_t)n);
        bytes = rest;
    }
#pragma GCC unroll 4
    for (int i = 0; i < FC_FLOOD_BITS; i += FC_VEC_BYTES) {
        const fc_bytes truths = (fc_bytes)(*(const fc_bytes *)(bytes + i) != 0) & 1;
        memcpy((uint8_t *)eight + i, &truths, sizeof truths);
    }
#pragma GCC unroll 8
    for (int i = 0; i < FC_FLOOD_BITS / 8; i++) /* byte j to bit 56 + j */
        bits = bits >> 8 | (eight[i] * 0x0102040810204080 & (uint64_t)255 << 56);
    return bits;
}

/* Bits first .. end - 1 of a word, which may lie beyond it. */
FC_INLINE uint64_t fc_flood_between(ptrdiff_t first, ptrdiff_t end)
{
    first = first < 0 ? 0 : first;
    if (end <= first || first >= FC_FLOOD_BITS)
        return 0;
    return ~(uint64_t)0 << first & ~(uint64_t)0 >> (end < FC_FLOOD_BITS ? FC_FLOOD_BITS - end : 0);
}

static void fc_flood_begin(fc_flood *q, const fc_flood_line *line)
{
    const uint64_t flip_set = line->flip_set ? ~(uint64_t)0 : 0, flip_may = line->flip_may ? ~(uint64_t)0 : 0;
    const ptrdiff_t n = line->n, head = line->head, tail = line->tail;
    for (ptrdiff_t i = 0, at = line->at; i < n; i += FC_FLOOD_BITS, at++) {
        const uint64_t all = fc_flood_between(0, n - i);
        const uint64_t set = line->set ? (fc_flood_truths(line->set + i, n - i) ^ flip_set) & all : 0;
        const uint64_t may = line->may ? (fc_flood_truths(line->may + i, n - i) ^ flip_may) & all & ~set : all & ~set;
        const uint64_t border = may & (fc_flood_between(0, head - i) | fc_flood_between(tail - i, n - i));
        q->words[at].open = may ^ border;
        q->words[at].set = 0;
        q->words[at].fresh = set | border;
        if (set | border)
            fc_flood_append(q->words, &q->first, &q->last, at);
    }
}

static void fc_flood_again(fc_flood *q, ptrdiff_t first, ptrdiff_t end)
{
    for (ptrdiff_t at = first; at < end; at++) {
        if (!q->words[at].set || q->words[at].fresh)
            continue;
        q->words[at].fresh = q->words[at].set;
        fc_flood_append(q->words, &q->first, &q->last, at);
    }
}

/* The bits of a word as bytes, eight at once as they are stored: wide loads of what was stored in parts would wait. */
FC_INLINE void fc_flood_bytes(uint8_t *elements, uint64_t bits)
{
    const uint64_t ones = 0x0101010101010101, each = 0x8040201008040201, low = 0x7f7f7f7f7f7f7f7f;
#pragma GCC unroll 8
    for (int j = 0; j < FC_FLOOD_BITS / 8; j++) {
        const uint64_t own = (bits >> (8 * j) & 255) * ones & each; /* of byte k, bit k alone */
        const uint64_t eight = (own + low) >> 7 & ones;
        memcpy(elements + 8 * j, &eight, sizeof eight);
    }
}

static void fc_flood_end(const fc_flood_word *words, uint8_t *elements, ptrdiff_t n, int flip)
{
    const uint64_t flipped = flip ? ~(uint64_t)0 : 0;
    uint8_t rest[FC_FLOOD_BITS];
    for (; n >= FC_FLOOD_BITS; n -= FC_FLOOD_BITS, elements += FC_FLOOD_BITS, words++)
        fc_flood_bytes(elements, words->set ^ flipped);
    if (n) {
        fc_flood_bytes(rest, words->set ^ flipped);
        memcpy(elements, rest, (size_t)n);
    }
}

#endif
