#include "functions/function.h"
