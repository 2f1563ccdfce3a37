/* pool/process/enforce.h - find out, once at start, which parts of the confinement this machine
 * permits. */
#pragma once

#include "pool/process/backend.h"
#include "pool/process/hostproc.h"

/**
 * Try the confinement with short child processes, two seconds each at most, and fill in what is in
 * force. @p site: its folder and cgroups are open.
 * @return 0, or HD_EDENIED: opt->sandbox requires what is not permitted; the message says what and
 *         why.
 */
int hd_enforce_probe(struct hd_process_enforcement *out, const struct hd_process_options *opt,
                     struct hd_hostproc_site *site, struct hd_error *err);
