/* op_rig.h - lambda_rig.h in the words of tests of operations: a function with versions and an
 * alias to begin with, bodies as texts. */
#pragma once

#include "lambda_rig.h"
#include "store/store.h"

#define OP_ACCOUNT "000000000000"

/** Open everything, and make the function "demo". */
void op_start(struct lr *r);
/** Make a function with the versions 1 and 2, and the alias "prod" for 1. */
void op_function(struct lr *r, const char *name);
/** Close all and open it again: only what is stored is there still. */
void op_restart(struct lr *r);

/** Ask, and fail the test unless the status is this one. @return the answer's text. */
const char *op_ok(struct lr *r, unsigned status, const char *line, const char *body);
/** Ask, and fail the test unless it is refused with this type and message. */
void op_refused(struct lr *r, const char *type, const char *message, const char *line,
                const char *body);
/** @return a number of the last answer. */
json_int_t op_number(const struct lr *r, const char *path);
