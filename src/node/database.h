/* node/database.h - the database of a node, for those who only look at it. */
#pragma once

#include "node/settings.h"

/** @return its path, for the caller to free. */
char *hd_node_database_path(const struct hd_node_options *opt);
/**
 * Look for damage; also while a node works with it. May take long.
 * @return 0; HD_ENOTFOUND: there is none yet; HD_EINVAL: damaged, or not a database; HD_EIO.
 */
int hd_node_database_check(const struct hd_node_options *opt, struct hd_error *err);
