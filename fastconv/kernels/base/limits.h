/* The machine's limits, for the bench: FMAs from registers in independent chains, and reading memory. */

static double FC_N(fma_chain)(ptrdiff_t steps, double *flops)
{
    enum { CHAINS = FC_REGISTERS == 32 ? 24 : 12 };
    FC_VEC acc[CHAINS];
    FC_VEC x = FC_N(splat)((FC_T)0.999), y = FC_N(splat)((FC_T)0.001);
    for (int i = 0; i < CHAINS; i++)
        acc[i] = FC_N(splat)((FC_T)i);
    for (ptrdiff_t k = 0; k < steps; k++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++)
            acc[i] = acc[i] * x + y;
    }
    double sum = 0;
    for (int i = 0; i < CHAINS; i++)
        for (int j = 0; j < FC_LANES; j++)
            sum += (double)acc[i][j];
    *flops = 2.0 * CHAINS * FC_LANES * (double)steps;
    return sum;
}

static double FC_N(sum)(const void *x, ptrdiff_t count)
{
    const FC_T *p = x;
    FC_VEC acc[8];
    for (int i = 0; i < 8; i++)
        acc[i] = (FC_VEC){0};
    for (ptrdiff_t k = 0; k + 8 * FC_LANES <= count; k += 8 * FC_LANES)
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            acc[i] += FC_N(load)(p + k + i * FC_LANES);
    double total = 0;
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < FC_LANES; j++)
            total += (double)acc[i][j];
    return total;
}
