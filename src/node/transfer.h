/* node/transfer.h - the Lambda functions of a node as one file, to be moved to another machine.
 *
 * A tar archive: heddle-lambda.json (what it is), records.jsonl (what the API shows, a record a
 * line), bundles/<sha256>.zip (code and layers). Events that wait, schedules' last runs and keys of
 * the node stay where they are. */
#pragma once

#include "node/settings.h"

struct hd_transfer {
    size_t functions, versions, layers, others; /* records */
    size_t archives;
};

/**
 * Write everything into a file, for this user alone. Also while a node works with the data folder.
 * @return 0; HD_ENOTFOUND: there is no database; HD_EEXIST: the file is there; or what failed.
 */
int hd_node_export(const struct hd_node_options *opt, const char *file, struct hd_transfer *out,
                   struct hd_error *err);
/**
 * Take everything from a file, or nothing. No node may have the data folder.
 * @param replace  records that are there already are replaced; else that is HD_EEXIST.
 * @return 0; HD_EINVAL: the file is none of ours, newer, or not whole; HD_EBUSY: a node runs; or
 *         what failed.
 */
int hd_node_import(const struct hd_node_options *opt, const char *file, bool replace,
                   struct hd_transfer *out, struct hd_error *err);
