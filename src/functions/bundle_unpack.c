#include "functions/bundle_unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SYNC_EACH_MAX = 64 }; /* more files than this: the file system is synced once */

static int put(int fd, struct hd_str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        bytes = hd_str_n(bytes.ptr + n, bytes.len - (size_t)n);
    }
    return 0;
}

int hd_bundle_write(const char *path, struct hd_str bytes, struct hd_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600), rc = 0;
    if (fd < 0 || put(fd, bytes) < 0 || fsync(fd) < 0)
        rc = hd_fail_sys(err, errno, "%s", path);
    if (fd >= 0)
        close(fd);
    return rc;
}

struct target {
    int fd;
    const char *path;
    struct hd_error *err;
};

static int on_bytes(void *arg, struct hd_str bytes)
{
    struct target *t = arg;
    return put(t->fd, bytes) < 0 ? hd_fail_sys(t->err, errno, "%s", t->path) : 0;
}

static int say_which(const struct hd_bundle_item *item, int rc, struct hd_error *err)
{
    return rc == HD_EINVAL ? hd_wrap(err, rc, "entry %.80s", item->path) : rc;
}

static void times(const struct hd_bundle_item *item, struct timespec out[2])
{
    out[0] = out[1] = (struct timespec){.tv_sec = item->entry.mtime_unix_s};
}

static int make_file(const struct hd_bundle_item *item, int dir, bool sync, struct hd_error *err)
{
    struct timespec ts[2];
    struct target t = {.path = item->path, .err = err};
    t.fd = openat(dir, item->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (t.fd < 0)
        return hd_fail_sys(err, errno, "%s", item->path);
    times(item, ts);
    int rc = say_which(item, hd_zip_unpack(&item->entry, on_bytes, &t, err), err);
    if (rc == 0 && (fchmod(t.fd, item->entry.mode | 0400) < 0 || futimens(t.fd, ts) < 0 ||
                    (sync && fsync(t.fd) < 0)))
        rc = hd_fail_sys(err, errno, "%s", item->path);
    close(t.fd);
    return rc;
}

static int make(const struct hd_bundle_item *item, int dir, bool sync, struct hd_error *err)
{
    struct timespec ts[2];
    switch (item->kind) {
    case HD_ZIP_FOLDER:
        return mkdirat(dir, item->path, 0700) < 0 ? hd_fail_sys(err, errno, "%s", item->path) : 0;
    case HD_ZIP_LINK:
        times(item, ts);
        if (symlinkat(item->target, dir, item->path) < 0 ||
            utimensat(dir, item->path, ts, AT_SYMLINK_NOFOLLOW) < 0)
            return hd_fail_sys(err, errno, "%s", item->path);
        return 0;
    case HD_ZIP_FILE:
        return make_file(item, dir, sync, err);
    case HD_ZIP_OTHER:
        break;
    }
    return 0;
}

/* When all is in it: making things in a folder changes its time, and may not be allowed any more.
 */
static int finish_folder(const struct hd_bundle_item *item, int dir, bool sync,
                         struct hd_error *err)
{
    struct timespec ts[2];
    int fd = openat(dir, item->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), rc = 0;
    times(item, ts);
    if (fd < 0 || fchmod(fd, item->listed ? item->entry.mode | 0700 : 0755) < 0 ||
        (item->listed && futimens(fd, ts) < 0) || (sync && fsync(fd) < 0))
        rc = hd_fail_sys(err, errno, "%s", item->path);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int unpack_into(const struct hd_bundle_plan *plan, int dir, struct hd_error *err)
{
    bool sync = plan->n_items <= SYNC_EACH_MAX;
    int rc = 0;
    /* Links come last: nothing is written through one. */
    for (int links = 0; links < 2; links++) {
        hd_list_each(link, &plan->items)
        {
            const struct hd_bundle_item *item = hd_bundle_item_of(link);
            if (rc == 0 && (item->kind == HD_ZIP_LINK) == links)
                rc = make(item, dir, sync, err);
        }
    }
    for (struct hd_list *l = plan->items.prev; l != &plan->items && rc == 0; l = l->prev)
        if (hd_bundle_item_of(l)->kind == HD_ZIP_FOLDER)
            rc = finish_folder(hd_bundle_item_of(l), dir, sync, err);
    if (rc == 0 && (fchmod(dir, 0755) < 0 || (sync ? fsync(dir) : syncfs(dir)) < 0))
        rc = hd_fail_sys(err, errno, "unpacked files");
    return rc;
}

int hd_bundle_unpack(const struct hd_bundle_plan *plan, const char *dir, struct hd_error *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return hd_fail_sys(err, errno, "%s", dir);
    int rc = unpack_into(plan, fd, err);
    close(fd);
    return rc;
}

static int to_nowhere(void *arg, struct hd_str bytes)
{
    (void)arg;
    (void)bytes;
    return 0;
}

int hd_bundle_verify(const struct hd_bundle_plan *plan, struct hd_error *err)
{
    int rc = 0;
    hd_list_each(link, &plan->items)
    {
        const struct hd_bundle_item *item = hd_bundle_item_of(link);
        if (rc == 0 && item->kind == HD_ZIP_FILE)
            rc = say_which(item, hd_zip_unpack(&item->entry, to_nowhere, NULL, err), err);
    }
    return rc;
}
