#define FC_NAME "portable"
#define FC_TABLE fc_portable
#include "isa.h"
