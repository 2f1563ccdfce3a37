#include "core/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int hd_make_parents(const char *path, struct hd_error *err)
{
    hd_auto_free char *part = hd_strdup(path);
    for (char *p = part + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(part, 0755) < 0 && errno != EEXIST)
            return hd_fail_sys(err, errno, "folder %s", part);
        *p = '/';
    }
    return 0;
}

int hd_make_folder(const char *path, struct hd_error *err)
{
    if (hd_make_parents(path, err) < 0)
        return HD_EIO;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return hd_fail_sys(err, errno, "folder %s", path);
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    remove(path);
    return 0;
}

void hd_remove_tree(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

int hd_sync_folder(const char *path, struct hd_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) < 0 ? hd_fail_sys(err, errno, "folder %s", path) : 0;
    if (fd >= 0)
        close(fd);
    return rc;
}
