/* functions/bundle_plan.h - from an archive to the files, folders and links that may be made of it.
 * Everything that could do harm is found here, before the first file is written. Pure. */
#pragma once

#include "core/list.h"
#include "core/map.h"
#include "functions/zip.h"

enum { HD_BUNDLE_PATH_MAX = 2048, HD_BUNDLE_NAME_MAX = 255 }; /* bytes: of a path, of one part */

struct hd_bundle_item {
    struct hd_list link;
    char *path;                /* "lib/index.js": relative, without ".", ".." or double slashes */
    enum hd_zip_kind kind;     /* never HD_ZIP_OTHER */
    bool listed;               /* false: a folder that only other entries' names tell of */
    struct hd_zip_entry entry; /* if it is listed */
    char *target;              /* of a link */
};

struct hd_bundle_plan {
    struct hd_list items; /* folders before what is in them */
    struct hd_map by_path;
    uint32_t n_items, n_files, n_dropped; /* dropped: devices, pipes, sockets */
    uint64_t unpacked_bytes;
};

/**
 * Read the archive's directory and judge it.
 * @param zip  borrowed as long as the plan.
 * @return 0 and *out, to be done with; HD_EINVAL: not an archive, or one that is not taken: an
 * entry leads out of it, is there twice, lies below a file, is encrypted, ...; HD_EBUSY: bigger
 *         than @p max_bytes when it is unpacked, or more than @p max_items. *out is done with then.
 */
int hd_bundle_plan_make(struct hd_bundle_plan *out, struct hd_str zip, uint64_t max_bytes,
                        uint32_t max_items, struct hd_error *err);
void hd_bundle_plan_done(struct hd_bundle_plan *p);
static inline struct hd_bundle_item *hd_bundle_item_of(struct hd_list *link)
{
    return hd_container_of(link, struct hd_bundle_item, link);
}

/**
 * Bring an entry's name into the form of hd_bundle_item.path.
 * @param dos  "\" separates folders, too.
 * @return 0 and *out, for the caller to free, empty for the root itself; or HD_EINVAL.
 */
int hd_bundle_name(char **out, struct hd_str name, bool dos, struct hd_error *err);
