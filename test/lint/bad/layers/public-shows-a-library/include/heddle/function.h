#pragma once
#include <jansson.h>
#include "core/buf.h"
