/* shim/envtable.h - what the runtime and the extensions see as their environment. Pure. */
#pragma once

#include "shim/loadreq.h"

enum hd_envtable_for { HD_ENV_RUNTIME, HD_ENV_EXTENSION };

/**
 * Make the environment of a program.
 * @param own   the shim's own, NULL-terminated. What is the node's alone is left out; with Lambda
 *              semantics that is everything which begins with "HEDDLE_".
 * @param api   "127.0.0.1:9001".
 * @return "KEY=value", NULL-terminated; free with hd_envtable_free().
 */
char **hd_envtable_make(const struct hd_loadreq *load, char *const *own, const char *api,
                        enum hd_envtable_for whom);
/** Set one variable; "KEY=value". */
void hd_envtable_set(char ***table, const char *pair);
void hd_envtable_free(char **table);
/** @return the value, or NULL. */
const char *hd_envtable_get(char *const *table, const char *name);
