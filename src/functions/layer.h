/* functions/layer.h - several unpacked layers as one folder. Blocks: on a work thread. */
#pragma once

#include "core/base.h"

/**
 * Put the files of @p dirs into @p out, which is there and empty: as hard links where possible, so
 * they take no room. Where two have the same name the later one wins; folders are united.
 * @return 0 and all of it is on the disk; HD_EINVAL: symbolic links of one layer lead out through
 *         those of another; HD_ENOTFOUND: a layer is not there; HD_EIO. What was made so far stays.
 */
int hd_layer_merge(const char *out, const char *const *dirs, size_t n, struct hd_error *err);
