/* functions/file.h - read small files whole, off the loop. */
#pragma once

#include "core/buf.h"

#include <sys/stat.h>

/** What tells one state of a file from another without reading it. */
struct hd_file_id {
    uint64_t device, inode, size;
    int64_t mtime_ns, ctime_ns;
};
bool hd_file_id_eq(const struct hd_file_id *a, const struct hd_file_id *b);
struct hd_file_id hd_file_id_of(const struct stat *st);

/**
 * Append a regular file's bytes to @p out, up to its ceiling.
 * @param st  the state of the file that was read; may be NULL.
 * @return 0; HD_ENOTFOUND, HD_EDENIED, HD_EIO; HD_EBUSY: bigger than the ceiling; HD_EINVAL: a
 *         folder, device, pipe or socket. The message has the path.
 */
int hd_file_read(struct hd_buf *out, const char *path, struct stat *st, struct hd_error *err);
/** @return "dir/name" for the caller to free; @p name alone if it is absolute. */
char *hd_file_join(const char *dir, const char *name);
/** Fold "//", "." and ".." away as text, without a look at the disk. @return for the caller. */
char *hd_file_clean(const char *path);
/** @return whether @p path is @p dir or below it, both clean. */
bool hd_file_within(const char *path, const char *dir);
/** @return the part of @p path after @p dir and its slash if it is within, else all of it. */
const char *hd_file_below(const char *path, const char *dir);
