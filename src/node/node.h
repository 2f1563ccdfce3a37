/* node/node.h - one running heddle: loops, doors, pools, functions; put together in one place. */
#pragma once

#include "node/settings.h"

/**
 * Serve until a signal ends it (SIGINT, SIGTERM: in phases; a second one: at once).
 * @param opt  complete; borrowed until return.
 * @param env  "NAME=value", NULL-terminated: what functions may get of it is up to their settings.
 * @param log  borrowed.
 * @return an exit code (core/exit.h); *err says why unless it is HD_EXIT_OK.
 */
int hd_node_run(const struct hd_node_options *opt, char *const *env, struct hd_log *log,
                struct hd_error *err);
