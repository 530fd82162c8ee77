#define FC_ISA x86_v3
#include "isa.h"
