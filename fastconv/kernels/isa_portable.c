#define FC_ISA portable
#include "isa.h"
