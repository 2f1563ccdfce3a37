/* The view of a mount namespace: everything read-only; some folders empty; what the function needs
 * brought back into them, each with the access it was given.
 *
 * Trees are cloned first, while all paths still lead to them, and put in place last. */
#include "pool/process/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TREES_MAX = 256 };
static const char tmp_options[] = "mode=1777,size=256m,nr_inodes=65536";
static const char dir_options[] = "mode=0755,size=1m,nr_inodes=4096";

struct tree {
    const char *path;
    int fd; /* -1: put in place, or nothing to put: a folder to cover */
    bool hide;
    bool writable, is_dir;
    bool map; /* show what belongs to the node's user as the function's */
};

struct view {
    const struct hd_sandbox_spec *spec;
    struct tree trees[TREES_MAX];
    size_t n;
    struct hd_spec_list emptied; /* folders that were covered and are not for writing */
};

static int clone_tree(struct view *v, const char *path, bool writable, struct hd_error *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return 0; /* what is not there needs no place */
    if (v->n == TREES_MAX)
        return hd_fail(err, HD_EINVAL, "more than %d paths are listed", TREES_MAX);
    int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (fd < 0)
        return hd_fail_sys(err, errno, "view of %s", path);
    v->trees[v->n++] = (struct tree){.path = path,
                                     .fd = fd,
                                     .writable = writable,
                                     .is_dir = S_ISDIR(st.st_mode),
                                     .map = (v->spec->parts & HD_SANDBOX_UID) && st.st_uid == 0};
    return 0;
}

static int clone_list(struct view *v, const struct hd_spec_list *l, bool writable,
                      struct hd_error *err)
{
    for (size_t i = 0; i < l->n; i++) {
        int rc = clone_tree(v, l->v[i], writable, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int by_path(const void *a, const void *b)
{
    const struct tree *x = a, *y = b; /* outer folders come first, so inner ones lie upon them */
    int order = strcmp(x->path, y->path);
    if (order == 0)
        order = (int)y->hide - (int)x->hide; /* to be seen wins over hiding, ... */
    return order != 0 ? order : (int)x->writable - (int)y->writable; /* ... writing over reading */
}

/* --- ownership --- */

/* File systems that cannot do this show their files as they are: then only what everybody may read
 * can be read. */
static void map_owners(struct view *v)
{
    int ns = -1;
    for (size_t i = 0; i < v->n; i++) {
        struct tree *t = &v->trees[i];
        if (!t->map)
            continue;
        if (ns < 0)
            ns = hd_sandbox_map_namespace(v->spec->uid, NULL);
        if (ns < 0)
            return;
        hd_sandbox_map_owner(t->fd, ns);
    }
    if (ns >= 0)
        close(ns);
}

/* --- places --- */

static bool is_for_all(const char *path)
{
    static const char *const shared[] = {"/tmp", "/var/tmp", "/dev/shm"};
    for (size_t i = 0; i < HD_COUNT(shared); i++)
        if (strcmp(path, shared[i]) == 0)
            return true;
    return false;
}

static int cover(struct view *v, const char *path, struct hd_error *err)
{
    bool for_all = is_for_all(path);
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return 0;
    if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, for_all ? tmp_options : dir_options) <
        0)
        return hd_fail_sys(err, errno, "empty folder at %s", path);
    if (!for_all)
        hd_spec_list_add(&v->emptied, path);
    return 0;
}

static bool passable(const struct stat *st, uint32_t uid)
{
    return (st->st_mode & S_IXOTH) || (st->st_uid == uid && (st->st_mode & S_IXUSR));
}

/* Cover the first folder on the way to @p path through which the function's user cannot pass: then
 * the way is built anew on what covers it. */
static int open_way(struct view *v, const char *path, struct hd_error *err)
{
    hd_auto_free char *part = hd_strdup(path);
    for (char *p = part + 1; *p != '\0'; p++) {
        struct stat st;
        if (*p != '/')
            continue;
        *p = '\0';
        if (stat(part, &st) < 0)
            return 0;
        if (!passable(&st, v->spec->uid))
            return cover(v, part, err);
        *p = '/';
    }
    return 0;
}

static int make_place(const struct tree *t, struct hd_error *err)
{
    hd_auto_free char *part = hd_strdup(t->path);
    struct stat st;
    if (stat(t->path, &st) == 0)
        return 0;
    for (char *p = part + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(part, 0700) == 0)
            chmod(part, 0755); /* whatever the umask */
        else if (errno != EEXIST)
            return hd_fail_sys(err, errno, "place for %s", t->path);
        *p = '/';
    }
    int rc = t->is_dir ? mkdir(part, 0755) : mknod(part, S_IFREG | 0644, 0);
    if (rc < 0 && errno != EEXIST)
        return hd_fail_sys(err, errno, "place for %s", t->path);
    return 0;
}

static int put_tree(struct view *v, struct tree *t, struct hd_error *err)
{
    uint64_t attr = MOUNT_ATTR_NOSUID | (t->writable ? MOUNT_ATTR_NODEV : MOUNT_ATTR_RDONLY);
    int rc = hd_sandbox_set_attr(t->fd, "", AT_EMPTY_PATH | AT_RECURSIVE, attr, 0, err);
    if (rc == 0 && (v->spec->parts & HD_SANDBOX_UID))
        rc = open_way(v, t->path, err);
    if (rc == 0)
        rc = make_place(t, err);
    if (rc < 0)
        return rc;
    if (move_mount(t->fd, "", AT_FDCWD, t->path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return hd_fail_sys(err, errno, "view of %s", t->path);
    close(t->fd);
    t->fd = -1;
    return 0;
}

/* A folder that is covered on the way may be asked for as well: then it stays as it is. */
static bool is_wanted(const struct view *v, const char *path)
{
    for (size_t i = 0; i < v->n; i++)
        if (!v->trees[i].hide && strcmp(v->trees[i].path, path) == 0)
            return true;
    return false;
}

/* A folder on the way may have to be covered, with all that is in it, before what lies below. */
static int hide(struct view *v, const char *path, struct hd_error *err)
{
    int rc = v->spec->parts & HD_SANDBOX_UID ? open_way(v, path, err) : 0;
    return rc == 0 ? cover(v, path, err) : rc;
}

static int arrange(struct view *v, struct hd_error *err)
{
    int rc = 0;
    if (v->n > 1)
        qsort(v->trees, v->n, sizeof(v->trees[0]), by_path);
    map_owners(v);
    for (size_t i = 0; i < v->n && rc == 0; i++) {
        struct tree *t = &v->trees[i];
        if (!t->hide)
            rc = put_tree(v, t, err);
        else if (!is_wanted(v, t->path))
            rc = hide(v, t->path, err);
    }
    for (size_t i = 0; i < v->emptied.n && rc == 0; i++)
        rc = hd_sandbox_set_attr(AT_FDCWD, v->emptied.v[i], 0, MOUNT_ATTR_RDONLY, 0, err);
    return rc;
}

static int build(struct view *v, struct hd_error *err)
{
    const struct hd_sandbox_spec *s = v->spec;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return hd_fail_sys(err, errno, "private mounts");
    int rc = clone_list(v, &s->keep, false, err);
    if (rc == 0)
        rc = clone_list(v, &s->write, true, err);
    for (size_t i = 0; i < s->hide.n && rc == 0; i++) {
        if (v->n == TREES_MAX)
            rc = hd_fail(err, HD_EINVAL, "more than %d paths are listed", TREES_MAX);
        else
            v->trees[v->n++] = (struct tree){.path = s->hide.v[i], .fd = -1, .hide = true};
    }
    if (rc == 0)
        rc = hd_sandbox_set_attr(AT_FDCWD, "/", AT_RECURSIVE, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID,
                                 0, err);
    if (rc == 0 && (s->parts & HD_SANDBOX_PID) &&
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        rc = hd_fail_sys(err, errno, "own /proc");
    return rc == 0 ? arrange(v, err) : rc;
}

int hd_sandbox_mounts(const struct hd_sandbox_spec *s, struct hd_error *err)
{
    struct view v = {.spec = s};
    int rc = build(&v, err);
    for (size_t i = 0; i < v.n; i++)
        if (v.trees[i].fd >= 0)
            close(v.trees[i].fd);
    hd_spec_list_done(&v.emptied);
    return rc;
}
