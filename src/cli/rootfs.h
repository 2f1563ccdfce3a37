/* cli/rootfs.h - the files of a container image that is made of this machine's own programs, so
 * that nothing has to be fetched. */
#pragma once

#include <heddle/error.h>
#include <heddle/str.h>

/** All borrowed. */
struct hd_rootfs_options {
    const char *node, *python;   /* a name for $PATH, or a path; NULL: without it */
    const char *const *programs; /* more of them, the same, NULL-terminated; or NULL */
    char *const *env;            /* of this process */
};

/** What is in it. */
struct hd_rootfs {
    bool node, python;
    size_t files;
    char node_version[64], python_version[64]; /* "v20.11.1", "3.11.2" */
};

/**
 * Write a tar archive of a root file system to @p fd: a shell with the small programs that scripts
 * use, the runtimes that are found, what all of them load, and the folders that instances need.
 * Starts programs and reads many files: blocks for seconds.
 * @return 0 and *out; HD_ENOTFOUND: a program of @p options->programs, or a shell, is not there;
 *         HD_EINVAL: a program is a script; HD_EIO.
 */
int hd_rootfs_write(struct hd_rootfs *out, int fd, const struct hd_rootfs_options *options,
                    struct hd_error *err);
