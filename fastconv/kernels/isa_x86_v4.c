#define FC_NAME "x86-64-v4"
#define FC_TABLE fc_x86_v4
#include "isa.h"
