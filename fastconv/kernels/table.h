/* The table of kernels: what the drivers (floor 2) may call, a part for each stem, whose table.h says with what promises.
 * Next hop: dispatch.c, which says which table this machine gets. */
#ifndef FC_TABLE_H
#define FC_TABLE_H

#include "base/table.h"
#include "conv/table.h"
#include "contraction/table.h"
#include "distance/table.h"
#include "neighborhood/table.h"

typedef struct fc_kernels {
    const char *name;
    fc_base base;
    fc_conv conv;
    fc_contraction contraction;
    fc_distance distance;
    fc_neighborhood neighborhood;
} fc_kernels;

/* Fills the tables, at import: once, before any thread asks for one. */
void fc_fill_tables(void);

/* Table i of those that this machine (processor and operating system) can run, from best to worst; NULL beyond the last. */
const fc_kernels *fc_table(int i);

#endif
