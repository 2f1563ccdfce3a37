#include "functions/layer.h"

#include "core/folder.h"
#include "functions/bundle_link.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_BYTES = 1 << 30 };

static int copy_bytes(int from, int to)
{
    ssize_t n;
    while ((n = copy_file_range(from, NULL, to, NULL, COPY_BYTES, 0)) > 0)
        ;
    return n < 0 ? -1 : 0;
}

/* Where no more links of a file are possible. */
static int copy_file(const char *from, const char *to, const struct stat *st, struct hd_error *err)
{
    const struct timespec ts[2] = {st->st_atim, st->st_mtim};
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = 0;
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (in < 0 || out < 0 || copy_bytes(in, out) < 0 || fchmod(out, st->st_mode & 0777) < 0 ||
        futimens(out, ts) < 0)
        rc = hd_fail_sys(err, errno, "%s", to);
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return rc;
}

/* Make a folder, unless an earlier layer has one there. */
static int put_folder(const char *to, struct hd_error *err)
{
    struct stat st;
    if (lstat(to, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    hd_remove_tree(to);
    return mkdir(to, 0700) < 0 ? hd_fail_sys(err, errno, "%s", to) : 0;
}

static int put_file(const FTSENT *e, const char *to, struct hd_error *err)
{
    hd_remove_tree(to); /* an earlier layer's, if there is one */
    if (linkat(AT_FDCWD, e->fts_path, AT_FDCWD, to, 0) == 0)
        return 0;
    if (errno == EMLINK && e->fts_info == FTS_F)
        return copy_file(e->fts_path, to, e->fts_statp, err);
    return hd_fail_sys(err, errno, "%s", to);
}

/* The folder has all that this layer puts into it. */
static int finish_folder(const FTSENT *e, const char *to, struct hd_error *err)
{
    const struct timespec ts[2] = {e->fts_statp->st_atim, e->fts_statp->st_mtim};
    if (chmod(to, e->fts_statp->st_mode & 0777) < 0 || utimensat(AT_FDCWD, to, ts, 0) < 0)
        return hd_fail_sys(err, errno, "%s", to);
    return 0;
}

static int walk_entry(const FTSENT *e, const char *out, size_t root_len, struct hd_error *err)
{
    hd_auto_free char *to = hd_printf("%s%s", out, e->fts_path + root_len);
    switch (e->fts_info) {
    case FTS_D:
        return e->fts_level > 0 ? put_folder(to, err) : 0;
    case FTS_DP:
        return finish_folder(e, to, err);
    case FTS_F:
    case FTS_SL:
    case FTS_SLNONE:
        return put_file(e, to, err);
    default:
        return hd_fail_sys(err, e->fts_errno != 0 ? e->fts_errno : EINVAL, "%s", e->fts_path);
    }
}

static int add_layer(const char *out, const char *dir, struct hd_error *err)
{
    char *roots[] = {(char *)dir, NULL};
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (fts == NULL)
        return hd_fail_sys(err, errno, "%s", dir);
    int rc = 0;
    errno = 0;
    for (FTSENT *e; rc == 0 && (e = fts_read(fts)) != NULL; errno = 0)
        rc = walk_entry(e, out, strlen(dir), err);
    if (rc == 0 && errno != 0)
        rc = hd_fail_sys(err, errno, "%s", dir);
    fts_close(fts);
    return rc;
}

/* --- links, as they are now --- */

static char *read_target(const char *path)
{
    char text[HD_BUNDLE_TARGET_MAX + 1];
    ssize_t n = readlink(path, text, sizeof(text) - 1);
    return n < 0 ? NULL : hd_strdup_n(hd_str_n(text, (size_t)n));
}

static char *lookup(void *arg, const char *path)
{
    hd_auto_free char *full = hd_printf("%s/%s", (const char *)arg, path);
    return read_target(full);
}

static int check_links(const char *out, struct hd_error *err)
{
    char *roots[] = {(char *)out, NULL};
    uint64_t steps = HD_BUNDLE_LINK_STEPS_MAX;
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
    if (fts == NULL)
        return hd_fail_sys(err, errno, "%s", out);
    int rc = 0;
    for (FTSENT *e; rc == 0 && (e = fts_read(fts)) != NULL;) {
        const char *path = e->fts_path + strlen(out) + 1;
        hd_auto_free char *target =
            e->fts_level > 0 && e->fts_info != FTS_DP ? read_target(e->fts_path) : NULL;
        if (target != NULL)
            rc = hd_bundle_link_check(path, target, lookup, (void *)out, &steps, err);
        if (rc < 0)
            hd_wrap(err, rc, "the layers together: %.80s", path);
    }
    fts_close(fts);
    return rc;
}

int hd_layer_merge(const char *out, const char *const *dirs, size_t n, struct hd_error *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = add_layer(out, dirs[i], err);
    if (rc == 0)
        rc = check_links(out, err);
    int fd = rc == 0 ? open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (rc == 0 && (fd < 0 || syncfs(fd) < 0))
        rc = hd_fail_sys(err, errno, "%s", out);
    if (fd >= 0)
        close(fd);
    return rc;
}
