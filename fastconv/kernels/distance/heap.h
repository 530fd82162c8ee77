/* The slots `heap_add` and `heap_sort`: the k nearest so far of one query, a heap whose first is the farthest. */

/* Whether (x, i) comes before (y, j): by distance, NaN last, then by index. */
FC_INLINE int FC_N(before)(FC_T x, ptrdiff_t i, FC_T y, ptrdiff_t j)
{
    if (x < y || (y != y && x == x))
        return 1;
    return (x == y || (x != x && y != y)) && i < j;
}

static void FC_N(sift)(FC_T *x, ptrdiff_t *index, ptrdiff_t n, ptrdiff_t at, FC_T value, ptrdiff_t i)
{
    for (;;) {
        ptrdiff_t child = 2 * at + 1;
        if (child >= n)
            break;
        if (child + 1 < n && FC_N(before)(x[child], index[child], x[child + 1], index[child + 1]))
            child++;
        if (!FC_N(before)(value, i, x[child], index[child]))
            break;
        x[at] = x[child];
        index[at] = index[child];
        at = child;
    }
    x[at] = value;
    index[at] = i;
}

static void FC_N(heap_add)(fc_heap *h, const void *distances, ptrdiff_t count, ptrdiff_t first_index)
{
    const FC_T *d = distances;
    FC_T *x = h->distances;
    ptrdiff_t j = 0;
    for (; j < count && h->held < h->k; j++) {
        x[h->held] = d[j];
        h->indices[h->held++] = first_index + j;
        if (h->held == h->k)
            for (ptrdiff_t at = h->k / 2 - 1; at >= 0; at--)
                FC_N(sift)(x, h->indices, h->k, at, x[at], h->indices[at]);
    }
    while (j < count) {
        if (count - j >= 4 * FC_LANES) {
            const FC_VEC worst = FC_N(splat)(x[0]);
            FC_IVEC nearer = {0};
            for (int i = 0; i < 4; i++)
                nearer |= ~(FC_IVEC)(FC_N(load)(d + j + i * FC_LANES) >= worst);
            if (!FC_N(any)(nearer)) {
                j += 4 * FC_LANES;
                continue;
            }
        }
        const ptrdiff_t end = count - j < 4 * FC_LANES ? count : j + 4 * FC_LANES;
        for (; j < end; j++)
            if (FC_N(before)(d[j], first_index + j, x[0], h->indices[0]))
                FC_N(sift)(x, h->indices, h->k, 0, d[j], first_index + j);
    }
}

static void FC_N(heap_sort)(fc_heap *h, ptrdiff_t steps)
{
    FC_T *x = h->distances;
    char rounded[8];
    for (; steps > 0 && h->todo > 0; steps--) {
        h->todo--;
        if (h->todo >= h->held + h->held / 2) {
            FC_T *one = x + (h->todo - h->held - h->held / 2);
            FC_N(put_number)(rounded, *one, h->kind);
            *one = FC_N(element)(rounded, h->kind);
        } else if (h->todo >= h->held) {
            const ptrdiff_t at = h->todo - h->held;
            FC_N(sift)(x, h->indices, h->held, at, x[at], h->indices[at]);
        } else {
            const FC_T value = x[h->todo];
            const ptrdiff_t i = h->indices[h->todo];
            x[h->todo] = x[0];
            h->indices[h->todo] = h->indices[0];
            FC_N(sift)(x, h->indices, h->todo, 0, value, i);
        }
    }
}
