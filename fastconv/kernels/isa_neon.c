#define FC_ISA neon
#include "isa.h"
