/* lambda/operations.h - the tables of all subjects; each is in the file op_<subject>.c. */
#pragma once

#include "lambda/op.h"

extern const struct hd_operation hd_operations_alias[];
extern const struct hd_operation hd_operations_refused[]; /* known, and not offered */
