#define FC_ISA x86_v4
#include "isa.h"
