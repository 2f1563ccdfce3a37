/* pool/process/freezer.h - make all processes of an instance stand still, by the kernel's cgroup
 * freezer: they do not notice. The group for it is made when an instance is frozen for the first
 * time, and its processes are moved there while they run: one that is never frozen costs nothing.
 */
#pragma once

#include "pool/process/cgroup.h"

/**
 * Find where instances can be frozen: in their own groups (version 2), else in groups beside those,
 * of version 2 where it is mounted, else of version 1. Called by hd_cgroups_open() at its end.
 */
void hd_freezer_open(struct hd_cgroups *g, struct hd_str mounts, struct hd_str groups,
                     const char *name);
/** @return "cgroup.freeze", "freezer.state", or NULL: nothing can be frozen, see why_not. */
const char *hd_freezer_name(const struct hd_cgroups *g);

/**
 * Stop what runs in an instance, and what it starts meanwhile. Blocks until all of it stands still:
 * for work threads.
 * @return 0; or HD_EDENIED: this machine does not permit it; HD_EIO, HD_ETIMEOUT: it goes on.
 */
int hd_freezer_freeze(const struct hd_cgroup *c, struct hd_error *err);
/** Let it go on; fine if it was never frozen. Does not block. @return 0, or HD_EIO. */
int hd_freezer_thaw(const struct hd_cgroup *c, struct hd_error *err);
/** Kill what is in the folder of a group of version 1, frozen or not: those that are frozen hear of
 *  their end only when they are thawed. Other folders: nothing happens. */
void hd_freezer_end(const char *dir);
