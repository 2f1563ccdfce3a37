/* A root of its own: a small file system in memory with places in it, the machine's programs and
 * libraries at theirs, and what the function is given. It looks alike whatever the machine is.
 *
 * trees are cloned ─► new root, places, trees put there ─► pivot ─► the old root is let go */
#include "pool/process/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define USER "sbx_user1051" /* as at Lambda */
enum { TREES_MAX = 128, TMP_MB = 512 };
static const char base[] = "/tmp"; /* any folder would do: it is covered for a moment */
static const char root_options[] = "mode=0755,size=4m,nr_inodes=4096";

/* Of the machine, where it is there. A symbolic link is made anew, but below /etc, where what it
 * leads to is shown. */
static const char *const system_places[] = {
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
};
static const char *const devices[] = {"/dev/null", "/dev/zero",    "/dev/full",
                                      "/dev/tty",  "/dev/urandom", "/dev/random"};
static const char *const empty_places[] = {"/tmp",         "/var/tmp",  "/proc",
                                           "/dev/shm",     "/var/task", "/opt",
                                           "/var/runtime", "/mnt",      ("/home/" USER)};

struct tree {
    char *place; /* of the new root; ours */
    int fd;
    bool is_dir, writable, device;
};

struct view {
    const struct hd_sandbox_spec *spec;
    struct tree trees[TREES_MAX];
    size_t n;
    int owners; /* the namespace that maps them, or -1 */
};

/* --- what will be seen --- */

static int clone_tree(struct view *v, const char *place, const char *from, struct tree kind,
                      struct hd_error *err)
{
    struct stat st;
    if (stat(from, &st) < 0)
        return hd_fail_sys(err, errno, "%s", from);
    if (v->n == TREES_MAX)
        return hd_fail(err, HD_EINVAL, "more than %d places are listed", TREES_MAX);
    int fd = open_tree(AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (fd < 0)
        return hd_fail_sys(err, errno, "view of %s", from);
    kind.place = hd_strdup(place);
    kind.fd = fd;
    kind.is_dir = S_ISDIR(st.st_mode);
    v->trees[v->n++] = kind;
    return 0;
}

static bool is_link(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

static bool below_etc(const char *path)
{
    return strncmp(path, "/etc/", 5) == 0;
}

static int clone_system(struct view *v, struct hd_error *err)
{
    int rc = 0;
    for (size_t i = 0; i < HD_COUNT(system_places) && rc == 0; i++) {
        const char *path = system_places[i];
        if (access(path, F_OK) == 0 && (below_etc(path) || !is_link(path)))
            rc = clone_tree(v, path, path, (struct tree){.fd = -1}, err);
    }
    for (size_t i = 0; i < HD_COUNT(devices) && rc == 0; i++)
        if (access(devices[i], F_OK) == 0)
            rc = clone_tree(v, devices[i], devices[i], (struct tree){.device = true}, err);
    return rc == 0 ? clone_tree(v, "/proc", "/proc", (struct tree){.writable = true}, err) : rc;
}

/* What the node's user owns is shown as the function's: see hd_sandbox_map_owner(). */
static void map_owner(struct view *v, const struct tree *t, const char *from)
{
    struct stat st;
    if (!(v->spec->parts & HD_SANDBOX_UID) || stat(from, &st) < 0 || st.st_uid != 0)
        return;
    if (v->owners == -1)
        v->owners = hd_sandbox_map_namespace(v->spec->uid, NULL);
    if (v->owners >= 0)
        hd_sandbox_map_owner(t->fd, v->owners);
}

static int clone_binds(struct view *v, struct hd_error *err)
{
    int rc = 0;
    for (size_t i = 0; i < v->spec->binds.n && rc == 0; i++) {
        hd_auto_free char *place = NULL;
        const char *from;
        struct tree kind = {.fd = -1};
        if (!hd_sandbox_bind_read(v->spec->binds.v[i], &place, &from, &kind.writable))
            return hd_fail(err, HD_EINVAL, "not a place: %s", v->spec->binds.v[i]);
        rc = clone_tree(v, place, from, kind, err);
        if (rc == 0)
            map_owner(v, &v->trees[v->n - 1], from);
    }
    return rc;
}

/* --- the new root; the working folder is its top --- */

static int make_folders(const char *place, bool last_too, struct hd_error *err)
{
    hd_auto_free char *part = hd_strdup(place + 1);
    for (char *p = part;; p++) {
        bool end = *p == '\0';
        if (!end && *p != '/')
            continue;
        *p = '\0';
        if (end && !last_too)
            return 0;
        if (mkdir(part, 0700) == 0)
            chmod(part, 0755); /* whatever the umask */
        else if (errno != EEXIST)
            return hd_fail_sys(err, errno, "place %s", place);
        if (end)
            return 0;
        *p = '/';
    }
}

static int make_file(const char *place, const char *text, struct hd_error *err)
{
    int rc = make_folders(place, false, err);
    int fd = rc == 0 ? open(place + 1, O_WRONLY | O_CREAT | O_CLOEXEC, 0644) : -1;
    if (rc == 0 &&
        (fd < 0 || fchmod(fd, 0644) < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)))
        rc = hd_fail_sys(err, errno, "%s", place);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int make_link(const char *place, const char *target, struct hd_error *err)
{
    int rc = make_folders(place, false, err);
    if (rc == 0 && symlink(target, place + 1) < 0)
        rc = hd_fail_sys(err, errno, "%s", place);
    return rc;
}

static int make_users(const struct hd_sandbox_spec *s, struct hd_error *err)
{
    static const char user[] = USER ":x:%u:%u::/home/" USER ":/sbin/nologin\n";
    char users[400], groups[200];
    uint32_t uid = s->seen_uid != 0 ? s->seen_uid : s->uid;
    uint32_t gid = s->seen_gid != 0 ? s->seen_gid : s->gid;
    int n = snprintf(users, sizeof(users), "root:x:0:0:root:/root:/sbin/nologin\n");
    n += snprintf(users + n, sizeof(users) - (size_t)n, user, uid, gid);
    snprintf(users + n, sizeof(users) - (size_t)n,
             "nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n");
    snprintf(groups, sizeof(groups), "root:x:0:\n" USER ":x:%u:\nnogroup:x:65534:\n", gid);
    int rc = make_file("/etc/passwd", users, err);
    return rc == 0 ? make_file("/etc/group", groups, err) : rc;
}

static int make_places(const struct view *v, struct hd_error *err)
{
    static const char *const links[][2] = {{"/dev/fd", "/proc/self/fd"},
                                           {"/dev/stdin", "/proc/self/fd/0"},
                                           {"/dev/stdout", "/proc/self/fd/1"},
                                           {"/dev/stderr", "/proc/self/fd/2"}};
    char target[256];
    int rc = make_users(v->spec, err);
    for (size_t i = 0; i < HD_COUNT(empty_places) && rc == 0; i++)
        rc = make_folders(empty_places[i], true, err);
    for (size_t i = 0; i < HD_COUNT(links) && rc == 0; i++)
        rc = make_link(links[i][0], links[i][1], err);
    for (size_t i = 0; i < HD_COUNT(system_places) && rc == 0; i++) {
        const char *path = system_places[i];
        ssize_t n = below_etc(path) ? -1 : readlink(path, target, sizeof(target) - 1);
        if (n <= 0)
            continue;
        target[n] = '\0';
        rc = make_link(path, target, err);
    }
    return rc;
}

static int put_tree(struct tree *t, struct hd_error *err)
{
    uint64_t attr = MOUNT_ATTR_NOSUID | (t->writable ? 0 : MOUNT_ATTR_RDONLY) |
                    (t->device ? 0 : MOUNT_ATTR_NODEV);
    int rc = hd_sandbox_set_attr(t->fd, "", AT_EMPTY_PATH | AT_RECURSIVE, attr, 0, err);
    if (rc == 0)
        rc = t->is_dir ? make_folders(t->place, true, err) : make_file(t->place, "", err);
    if (rc == 0 && move_mount(t->fd, "", AT_FDCWD, t->place + 1, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        rc = hd_fail_sys(err, errno, "view of %s", t->place);
    return rc;
}

static int mount_own(const struct hd_sandbox_spec *s, struct hd_error *err)
{
    char options[80];
    snprintf(options, sizeof(options), "mode=1777,size=%um,nr_inodes=262144",
             s->tmp_mb > 0 ? s->tmp_mb : (uint32_t)TMP_MB);
    if (mount("tmpfs", "tmp", "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
        return hd_fail_sys(err, errno, "own /tmp");
    if (mount("tmpfs", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=64m") < 0)
        return hd_fail_sys(err, errno, "own /dev/shm");
    return 0;
}

/* The old root goes upon the new one, and from there away. */
static int pivot(struct hd_error *err)
{
    if (syscall(SYS_pivot_root, ".", ".") < 0)
        return hd_fail_sys(err, errno, "change of the root");
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return hd_fail_sys(err, errno, "the old root");
    return hd_sandbox_set_attr(AT_FDCWD, "/", 0,
                               MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0, err);
}

static int build(struct view *v, struct hd_error *err)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return hd_fail_sys(err, errno, "private mounts");
    if ((v->spec->parts & HD_SANDBOX_PID) &&
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return hd_fail_sys(err, errno, "own /proc");
    int rc = clone_system(v, err);
    if (rc == 0)
        rc = clone_binds(v, err);
    if (rc == 0 &&
        (mount("tmpfs", base, "tmpfs", MS_NOSUID | MS_NODEV, root_options) < 0 || chdir(base) < 0))
        rc = hd_fail_sys(err, errno, "new root");
    if (rc == 0)
        rc = make_places(v, err);
    if (rc == 0)
        rc = mount_own(v->spec, err);
    for (size_t i = 0; i < v->n && rc == 0; i++)
        rc = put_tree(&v->trees[i], err);
    return rc == 0 ? pivot(err) : rc;
}

int hd_sandbox_root(const struct hd_sandbox_spec *s, struct hd_error *err)
{
    struct view v = {.spec = s, .owners = -1};
    int rc = build(&v, err);
    for (size_t i = 0; i < v.n; i++) {
        close(v.trees[i].fd);
        free(v.trees[i].place);
    }
    if (v.owners >= 0)
        close(v.owners);
    return rc;
}
