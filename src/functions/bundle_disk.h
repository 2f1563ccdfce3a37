/* functions/bundle_disk.h - the bundle store's folder, as work threads see it. Blocks. Nobody else
 * works on the same key at the same time: bundle.c sees to that. */
#pragma once

#include "functions/bundle.h"

/** Make the folder and empty its tmp/. @return 0, or HD_E*. */
int hd_bundle_disk_open(const struct hd_bundles_options *opt, struct hd_error *err);
/**
 * Read the file, if there is one, and remove it; then compute the key.
 * @param zip   the archive; filled from @p path if that is not NULL.
 * @param key   set where there is no problem.
 */
void hd_bundle_disk_hash(const struct hd_bundles_options *opt, struct hd_buf *zip, const char *path,
                         char key[HD_DIGEST_CHARS + 1], struct hd_bundle_result *r);
/** Unpack to nowhere. */
void hd_bundle_disk_check(const struct hd_bundles_options *opt, struct hd_str zip,
                          struct hd_bundle_result *r);
/** Store, unless it is stored. */
void hd_bundle_disk_put(const struct hd_bundles_options *opt, const char *key, struct hd_str zip,
                        struct hd_bundle_result *r);
/** Say what is stored under a key, and note that it is in use. */
void hd_bundle_disk_find(const struct hd_bundles_options *opt, const char *key,
                         struct hd_bundle_result *r);
/** Merge, unless it is merged; unpacked_bytes is the sum of the layers', and where that is over the
 *  limit nothing is made. */
void hd_bundle_disk_merge(const struct hd_bundles_options *opt, const char *key,
                          const char *const *layers, size_t n, struct hd_bundle_result *r);
/** Remove what was not used since. @return whether it was removed. */
bool hd_bundle_disk_remove(const struct hd_bundles_options *opt, const char *key,
                           int64_t used_before_unix_s);
/** Go through what was not used since. */
void hd_bundle_disk_scan(const struct hd_bundles_options *opt, int64_t used_before_unix_s,
                         void (*each)(void *arg, const char *key), void *arg);
