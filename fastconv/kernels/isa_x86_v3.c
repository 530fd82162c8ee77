#define FC_NAME "x86-64-v3"
#define FC_TABLE fc_x86_v3
#include "isa.h"
