#include "http/parse.h"
