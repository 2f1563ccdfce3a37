#include <core/buf.h>
