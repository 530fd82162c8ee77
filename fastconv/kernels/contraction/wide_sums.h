/* Sums in twice the precision, in which the sums of spans are added up. */

static void FC_N(widen)(double *restrict into, const void *from, ptrdiff_t count, int accumulate)
{
    enum { PAIRS = sizeof(FC_T) == sizeof(double) };
    const FC_T *restrict src = from;
    for (ptrdiff_t i = 0; i < count && !accumulate; i++) {
        into[PAIRS ? 2 * i : i] = (double)src[i];
        if (PAIRS)
            into[2 * i + 1] = 0;
    }
    for (ptrdiff_t i = 0; i < count && accumulate; i++) {
        const double x = (double)src[i];
        if (PAIRS) {
            const double before = into[2 * i], sum = before + x, added = sum - before;
            into[2 * i] = sum;
            into[2 * i + 1] += (before - (sum - added)) + (x - added);
        } else {
            into[i] += x;
        }
    }
}

static void FC_N(narrow)(void *into, const double *restrict from, ptrdiff_t count, double scale)
{
    enum { PAIRS = sizeof(FC_T) == sizeof(double) };
    FC_T *restrict dst = into;
    for (ptrdiff_t i = 0; i < count; i++) {
        const double sum = from[PAIRS ? 2 * i : i], lost = PAIRS ? from[2 * i + 1] : 0;
        dst[i] = (FC_T)((sum - sum == 0 ? sum + lost : sum) * scale); /* what an infinite sum has lost is no number */
    }
}
