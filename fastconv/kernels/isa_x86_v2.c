#define FC_ISA x86_v2
#include "isa.h"
