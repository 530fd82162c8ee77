#define FC_NAME "x86-64-v2"
#define FC_TABLE fc_x86_v2
#include "isa.h"
