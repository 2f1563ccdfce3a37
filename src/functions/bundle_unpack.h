/* functions/bundle_unpack.h - make the files of an archive. Blocks: on a work thread. */
#pragma once

#include "functions/bundle_plan.h"

/**
 * Unpack into @p dir, which is there and empty, with modes and times, and see that it is on the
 * disk. The owner may always read files and enter folders: they must be linked and removed.
 * @return 0; HD_EINVAL: an entry is broken; HD_EIO, ... What was written so far stays.
 */
int hd_bundle_unpack(const struct hd_bundle_plan *plan, const char *dir, struct hd_error *err);
/** Unpack to nowhere. @return as above. */
int hd_bundle_verify(const struct hd_bundle_plan *plan, struct hd_error *err);
/** Write a file of ours and see that it is on the disk. */
int hd_bundle_write(const char *path, struct hd_str bytes, struct hd_error *err);
