/* Lines of integers as lines of real numbers and back. */

FC_SHARED void FC_N(to_reals)(void *to, const void *from, ptrdiff_t n, int doubles)
{
    const FC_T *restrict src = (const FC_T *)from;
    if (doubles)
        for (ptrdiff_t i = 0; i < n; i++)
            ((double *restrict)to)[i] = (double)src[i];
    else
        for (ptrdiff_t i = 0; i < n; i++)
            ((float *restrict)to)[i] = (float)src[i];
}

/* As C cuts a double off, and wraps around what is too large by some bits. */
FC_INLINE FC_T FC_N(cut_off)(double x)
{
    if (sizeof(FC_T) <= 2 || (sizeof(FC_T) == 4 && (FC_T)-1 < 1))
        return (FC_T)(int32_t)x;
    return sizeof(FC_T) == 4 || x < 0x1p63 ? (FC_T)(int64_t)x : (FC_T)x;
}

FC_SHARED void FC_N(from_reals)(void *to, const void *from, ptrdiff_t n, int doubles)
{
    FC_T *restrict dst = (FC_T *)to;
    if (doubles)
        for (ptrdiff_t i = 0; i < n; i++)
            dst[i] = FC_N(cut_off)(((const double *)from)[i]);
    else
        for (ptrdiff_t i = 0; i < n; i++)
            dst[i] = (FC_T)(int32_t)((const float *)from)[i];
}

/* What is left of reals in integers of this type, as reals. */
FC_SHARED void FC_N(keep_whole)(void *line, ptrdiff_t n, int doubles)
{
    if (doubles)
        for (ptrdiff_t i = 0; i < n; i++)
            ((double *)line)[i] = (double)FC_N(cut_off)(((double *)line)[i]);
    else
        for (ptrdiff_t i = 0; i < n; i++)
            ((float *)line)[i] = (float)(FC_T)(int32_t)((float *)line)[i];
}
