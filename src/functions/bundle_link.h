/* functions/bundle_link.h - whether symbolic links of a tree lead out of it. Pure. */
#pragma once

#include "core/base.h"

enum {
    HD_BUNDLE_TARGET_MAX = 1024,       /* bytes of a link's target */
    HD_BUNDLE_LINK_STEPS_MAX = 1 << 22 /* for all links of a tree */
};

/** @return the target of the link at @p path, for the caller to free; NULL: it is no link, or not
 *  there. */
typedef char *(*hd_bundle_lookup_fn)(void *arg, const char *path);

/**
 * Follow a link, through other links of the tree too, as the kernel would. A link that leads
 * nowhere in the tree is fine.
 * @param path    of the link, below the tree's root, with neither "." nor ".." in it.
 * @param steps   what may still be spent; begins with HD_BUNDLE_LINK_STEPS_MAX.
 * @return 0, or HD_EINVAL: it leads out, is absolute, or the links are too tangled.
 */
int hd_bundle_link_check(const char *path, const char *target, hd_bundle_lookup_fn lookup,
                         void *arg, uint64_t *steps, struct hd_error *err);
