#include "core/nothing.h"
