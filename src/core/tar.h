/* core/tar.h - write a tar archive (POSIX ustar, pax headers for long names) into a file. */
#pragma once

#include "core/buf.h"

#include <sys/stat.h>

/** The first failure sticks; hd_tar_end() tells. */
struct hd_tar {
    int fd;
    struct hd_buf out; /* not written yet */
    struct hd_error err;
};

/** Begin at the place where @p fd stands; it stays the caller's. */
void hd_tar_begin(struct hd_tar *t, int fd);
/*  Names are without a leading slash; all is of user and group 0. */
void hd_tar_folder(struct hd_tar *t, const char *name, mode_t mode);
void hd_tar_text(struct hd_tar *t, const char *name, mode_t mode, struct hd_str bytes);
void hd_tar_link(struct hd_tar *t, const char *name, const char *target);
/** Copy the file at @p path, with its time, and @p mode or its own one (0). */
void hd_tar_file(struct hd_tar *t, const char *name, mode_t mode, const char *path);
/** Copy a folder with all that is in it (files, folders, links; the rest is left out) to @p name.
 */
void hd_tar_tree(struct hd_tar *t, const char *name, const char *path);
/** Write the end, free. @return 0 or what failed first. */
int hd_tar_end(struct hd_tar *t, struct hd_error *err);
