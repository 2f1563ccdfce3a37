/* node/runtimes.h - where the runtime hosts and their programs are. */
#pragma once

#include "node/settings.h"

/**
 * Find the folder of the hosts: the one that was named, or the one beside the installed program, or
 * the one in the source tree it was built in.
 * @return for the caller to free; NULL where there is none.
 */
char *hd_node_runtimes_dir(const struct hd_node_options *opt);
/**
 * The Deno to run: the one that was named, or the one that is pinned in @p runtimes, or "deno".
 * @param runtimes  a folder of hosts, or NULL.
 * @return for the caller to free.
 */
char *hd_node_deno(const struct hd_node_options *opt, const char *runtimes);
