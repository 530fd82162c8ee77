/* Which tables exist, best first, and which of them this machine can run. */
#include "parts.def"
#include "table.h"
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define FC_DECLARE(isa, part, stem, header, types) void fc_##part##_##isa(fc_##stem *);
#define FC_CALL(isa, part, stem, header, types) fc_##part##_##isa(&table.stem);
#define FC_TABLE(isa, label)                       \
    FC_PARTS(FC_DECLARE, isa)                      \
    static const fc_kernels *table_##isa(void)     \
    {                                              \
        static fc_kernels table = {.name = label}; \
        FC_PARTS(FC_CALL, isa)                     \
        return &table;                             \
    }

#ifndef FC_NO_PORTABLE
FC_TABLE(portable, "portable")
#endif
#if defined(__x86_64__)
FC_TABLE(x86_v2, "x86-64-v2")
FC_TABLE(x86_v3, "x86-64-v3")
FC_TABLE(x86_v4, "x86-64-v4")
#elif defined(__aarch64__)
FC_TABLE(neon, "neon")
#endif

#if !defined(FC_NO_PORTABLE) || defined(__aarch64__)
static int always(void) { return 1; }
#endif

#if defined(__x86_64__)
static int has_v2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
}

/* LZCNT, MOVBE and F16C, for which not all compilers' __builtin_cpu_supports has names. */
static int has_rest_of_v3(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 22 & 1) || !(c >> 29 & 1))
        return 0;
    return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c >> 5 & 1);
}

static int has_v3(void)
{
    return has_v2() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi")
           && __builtin_cpu_supports("bmi2") && has_rest_of_v3();
}

static int has_v4(void)
{
    return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
           && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

static const struct {
    const fc_kernels *(*table)(void);
    int (*runs)(void);
} compiled[] = {
#if defined(__x86_64__)
    {table_x86_v4, has_v4}, {table_x86_v3, has_v3}, {table_x86_v2, has_v2},
#elif defined(__aarch64__)
    {table_neon, always},
#endif
#ifndef FC_NO_PORTABLE
    {table_portable, always},
#endif
};

static const fc_kernels *tables[sizeof compiled / sizeof *compiled + 1]; /* the last stays NULL */

void fc_fill_tables(void)
{
    for (size_t at = 0, count = 0; at < sizeof compiled / sizeof *compiled; at++)
        if (compiled[at].runs())
            tables[count++] = compiled[at].table();
}

const fc_kernels *fc_table(int i) { return tables[i]; }
