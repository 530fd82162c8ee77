#define FC_NAME "neon"
#define FC_TABLE fc_neon
#include "isa.h"
