/* Packing for FC_SUMS_16: integers of 16 bits or fewer, two to a word. */

#ifndef FC_WORDS_ONCE
#define FC_WORDS_ONCE

typedef uint16_t fc_half __attribute__((may_alias));

/* An element as a half. */
FC_INLINE uint32_t fc_half_of(const char *p, const int kind)
{
    return (uint32_t)(fc_integer(p, kind) ^ ((kind & ~FC_SWAPPED) == FC_U16 ? 0x8000 : 0)) & 0xffff;
}

FC_INLINE void fc_halves_kind(fc_half *restrict dst, const char *restrict src, ptrdiff_t n, const int kind, const int bytes)
{
    for (ptrdiff_t i = 0; i < n; i++)
        dst[i] = (fc_half)fc_half_of(src + i * bytes, kind);
}

/* n elements side by side. */
FC_INLINE void fc_copy_halves(fc_half *dst, const char *src, ptrdiff_t n, int kind)
{
    switch (kind) {
    case FC_U8: fc_halves_kind(dst, src, n, FC_U8, 1); return;
    case FC_I8: fc_halves_kind(dst, src, n, FC_I8, 1); return;
    case FC_U16: fc_halves_kind(dst, src, n, FC_U16, 2); return;
    case FC_I16: fc_halves_kind(dst, src, n, FC_I16, 2); return;
    default: fc_halves_kind(dst, src, n, kind, 2); return;
    }
}

/* Few elements a pixel, which may make half a word less than the words have. */
FC_INLINE void fc_few_halves(uint32_t *restrict dst, ptrdiff_t dst_step, const char *restrict src, ptrdiff_t src_step,
                             ptrdiff_t pixels, const int n, const int kind, const int bytes)
{
    for (ptrdiff_t i = 0; i < pixels; i++)
#pragma GCC unroll 4
        for (int c = 0; c < n; c += 2) {
            const uint32_t low = fc_half_of(src + i * src_step + c * bytes, kind);
            dst[i * dst_step + c / 2] = low | (c + 1 < n ? fc_half_of(src + i * src_step + (c + 1) * bytes, kind) << 16 : 0);
        }
}

FC_INLINE uint32_t fc_word_of(const char *p, ptrdiff_t half, const int words, const int kind)
{
    const uint32_t low = fc_half_of(p, kind);
    return low | (words == FC_COUPLES ? fc_half_of(p + half, kind) : words == FC_TWINS ? ~low : 0) << 16;
}

FC_INLINE void fc_words_kind(uint32_t *restrict dst, ptrdiff_t dst_step, const char *restrict src, ptrdiff_t src_step,
                             ptrdiff_t half, ptrdiff_t n, const int words, const int kind, const int bytes)
{
    if (dst_step == 1 && src_step == bytes)
        for (ptrdiff_t i = 0; i < n; i++)
            dst[i] = fc_word_of(src + i * bytes, half, words, kind);
    else
        for (ptrdiff_t i = 0; i < n; i++)
            dst[i * dst_step] = fc_word_of(src + i * src_step, half, words, kind);
}

#define FC_WORDS(kind, bytes)                                                                   \
    case kind:                                                                                  \
        if (words == FC_COUPLES)                                                                \
            fc_words_kind(dst, dst_step, src, src_step, half, n, FC_COUPLES, kind, bytes);      \
        else                                                                                    \
            fc_words_kind(dst, dst_step, src, src_step, half, n, words, kind, bytes);           \
        return;

/* n words, dst_step apart, of elements src_step and, to the second of a pair, `half` bytes apart. */
FC_SHARED void fc_copy_words(uint32_t *dst, ptrdiff_t dst_step, const char *src, ptrdiff_t src_step, ptrdiff_t half, ptrdiff_t n,
                             int words, int kind)
{
    switch (kind) {
        FC_WORDS(FC_U8, 1) FC_WORDS(FC_I8, 1) FC_WORDS(FC_U16, 2) FC_WORDS(FC_I16, 2)
    default: fc_words_kind(dst, dst_step, src, src_step, half, n, words, kind, 0);
    }
}

#undef FC_WORDS

/* The words of the channels of one pixel, dst_step apart: the last may be half a pair. */
FC_INLINE void fc_copy_pixel(const fc_window *w, uint32_t *dst, ptrdiff_t dst_step, const char *src)
{
    const ptrdiff_t whole = w->words == FC_COUPLES ? w->halves / 2 : w->channels;
    fc_copy_words(dst, dst_step, src, w->src_channel, w->half, whole, w->words, w->kind);
    if (whole < w->channels)
        fc_copy_words(dst + whole * dst_step, 1, src + whole * w->src_channel, 0, 0, 1, FC_SINGLES, w->kind);
}

#endif

static void FC_N(words_run)(const fc_window *w, uint32_t *dst, const char *src, ptrdiff_t src_col, ptrdiff_t run)
{
    const ptrdiff_t n = w->channels, size = fc_bytes(w->kind);
    if (w->dst_channel != 1) {
        for (ptrdiff_t c = 0; c < n; c++)
            fc_copy_words(dst + c * w->dst_channel, w->dst_col, src + c * w->src_channel, src_col, w->half, run,
                          w->words == FC_COUPLES && 2 * c + 1 == w->halves ? FC_SINGLES : w->words, w->kind);
        return;
    }
    if (w->words != FC_COUPLES || w->repeat > 1 || w->half != size || (n > 1 && w->src_channel != 2 * size)) {
        for (ptrdiff_t i = 0; i < run; i++)
            for (ptrdiff_t r = 0; r < w->repeat; r++)
                fc_copy_pixel(w, dst + i * w->dst_col + r, w->repeat, src + i * src_col);
        return;
    }
    if (w->dst_col == n && w->halves == 2 * n && src_col == w->halves * size) {
        fc_copy_halves((fc_half *)dst, src, run * w->halves, w->kind);
        return;
    }
    if (w->kind == FC_U8 && w->halves == 3) {
        fc_few_halves(dst, w->dst_col, src, src_col, run, 3, FC_U8, 1);
        return;
    }
    for (ptrdiff_t i = 0; i < run; i++) {
        fc_copy_halves((fc_half *)(dst + i * w->dst_col), src + i * src_col, w->halves, w->kind);
        if (w->halves < 2 * n)
            ((fc_half *)(dst + i * w->dst_col))[w->halves] = 0;
    }
}

static void FC_N(word_panel)(const fc_panel *p)
{
    uint32_t *dst = p->dst;
    for (ptrdiff_t k = p->first; k < p->first + p->count; k++, dst += p->width) {
        const int half_a_pair = p->words == FC_COUPLES && k % p->c * 2 + 1 == p->halves;
        fc_copy_words(dst, 1, FC_N(term)(p, k), p->k_step, p->half, p->columns,
                      p->words == FC_COUPLES && !half_a_pair ? FC_COUPLES : FC_SINGLES, p->kind);
        for (ptrdiff_t j = 0; j < p->columns && p->words == FC_TWINS; j++)
            dst[j] |= 0x80000000;
        for (ptrdiff_t j = p->columns; j < p->width; j++)
            dst[j] = 0;
    }
}

static void FC_N(offsets)(const fc_panel *p, int inputs)
{
    FC_T *dst = p->dst;
    for (ptrdiff_t k = p->first; k < p->first + p->count; k++)
        for (ptrdiff_t j = 0; j < p->columns; j++)
            dst[j] += (FC_T)((inputs ? fc_integer(FC_N(term)(p, k) + j * p->k_step, p->kind) << 15 : 0)
                             - (p->words == FC_TWINS ? 1 << 15 : 0));
}
