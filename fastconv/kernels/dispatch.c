/* Which tables exist, best first, and which of them this machine can run. */
#include "kernels.h"

extern const fc_kernels fc_portable;
#if defined(__x86_64__)
extern const fc_kernels fc_x86_v2, fc_x86_v3, fc_x86_v4;
const fc_kernels *const fc_compiled[] = {&fc_x86_v4, &fc_x86_v3, &fc_x86_v2, &fc_portable, NULL};
#elif defined(__aarch64__)
extern const fc_kernels fc_neon;
const fc_kernels *const fc_compiled[] = {&fc_neon, &fc_portable, NULL};
#else
const fc_kernels *const fc_compiled[] = {&fc_portable, NULL};
#endif

int fc_supported(const fc_kernels *table)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    const int v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    const int v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi")
                   && __builtin_cpu_supports("bmi2");
    const int v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
                   && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
                   && __builtin_cpu_supports("avx512vl");
    if (table == &fc_x86_v4)
        return v4;
    if (table == &fc_x86_v3)
        return v3;
    if (table == &fc_x86_v2)
        return v2;
#endif
    return table != NULL;
}
