#include "core/base.h"
#include "gateway/route.h"
