/* <base>/<serial>/     the instance's own folder, socket `sock` in it
 * <base>/<serial>.pid  record: boot id, pid, start time, then a cgroup a line; not the instance's
 *                      to write, for what stands in it will be killed and removed */
#include "pool/process/rundir.h"

#include "core/clock.h"
#include "core/map.h"
#include "pool/process/freezer.h"
#include "pool/process/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    REAP_WAIT_MS = 2000,
    LOCK_RETRY_MS = 5,
    LOCK_TRIES = 400,
    RECORD_MAX = 16 << 10,
    TAIL_MAX = sizeof("/4294967295/sock") - 1, /* of a socket's path, behind the base */
};
static const char lock_name[] = "node.lock";

/* --- folders --- */

/* Make a folder that is ours alone, or see that it is. */
static int make_private(const char *path, bool passable, struct hd_error *err)
{
    if (hd_make_parents(path, err) < 0)
        return HD_EIO;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return hd_fail_sys(err, errno, "folder %s", path);
    struct stat st;
    if (lstat(path, &st) < 0)
        return hd_fail_sys(err, errno, "folder %s", path);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
        return hd_fail(err, HD_EDENIED,
                       "%s: must be a folder that belongs to this user (uid %u); remove it or "
                       "choose another run folder",
                       path, (unsigned)geteuid());
    if (chmod(path, passable ? 0711 : 0700) < 0)
        return hd_fail_sys(err, errno, "folder %s", path);
    return 0;
}

/* A path that leaves room for the socket's name, the same one in each run of the node. */
static char *short_base(const char *path)
{
    if (strlen(path) + TAIL_MAX <= HD_SOCKET_PATH_MAX)
        return hd_strdup(path);
    uint64_t hash = hd_hash(path, strlen(path), 0);
    const char *dir = getenv("XDG_RUNTIME_DIR");
    if (dir != NULL && dir[0] == '/' && strlen(dir) <= 60)
        return hd_printf("%s/heddle-%016" PRIx64, dir, hash);
    return hd_printf("/tmp/heddle-%u-%016" PRIx64, (unsigned)geteuid(), hash);
}

/* Whether the node that wrote the file is gone. What it was about to start may still hold its lock
 * then, for as long as a system call takes. */
static bool holder_is_gone(const char *text)
{
    struct hd_proc p;
    int pid = 0;
    uint64_t start_ticks = 0;
    if (sscanf(text, "%d %" SCNu64, &pid, &start_ticks) != 2)
        return false;
    return hd_proc_read(&p, pid) < 0 || p.start_ticks != start_ticks;
}

static int lock(int fd, char *text, size_t bytes)
{
    for (unsigned tries = 0;; tries++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        int sys = errno;
        ssize_t n = pread(fd, text, bytes - 1, 0);
        text[HD_MAX(n, 0)] = '\0';
        if (sys != EWOULDBLOCK || tries == LOCK_TRIES || !holder_is_gone(text))
            return sys;
        poll(NULL, 0, LOCK_RETRY_MS);
    }
}

static int take_lock(struct hd_rundir *d, struct hd_error *err)
{
    hd_auto_free char *name = hd_printf("%s/%s", d->path, lock_name);
    char text[64];
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return hd_fail_sys(err, errno, "%s", name);
    int held = lock(fd, text, sizeof(text));
    if (held != 0) {
        close(fd);
        if (held != EWOULDBLOCK)
            return hd_fail_sys(err, held, "%s", name);
        struct hd_str rest = hd_str(text), pid;
        hd_str_split(&pid, &rest, ' ');
        return hd_fail(err, HD_EBUSY,
                       "%s is already served by pid %.*s; stop that one first, or give this "
                       "one a folder of its own (--data-dir)",
                       d->path, HD_FMT(pid));
    }
    struct hd_proc self = {0};
    hd_proc_read(&self, getpid());
    int n = snprintf(text, sizeof(text), "%d %" PRIu64 "\n", (int)getpid(), self.start_ticks);
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        int sys = errno;
        close(fd);
        return hd_fail_sys(err, sys, "%s", name);
    }
    d->lock_fd = fd;
    return 0;
}

int hd_rundir_open(struct hd_rundir *d, const char *path, bool passable, struct hd_error *err)
{
    *d = (struct hd_rundir){.lock_fd = -1, .next = 1};
    if (path == NULL || path[0] != '/')
        return hd_fail(err, HD_EINVAL, "run folder: must be an absolute path");
    d->path = hd_strdup(path);
    d->base = short_base(path);
    int rc = make_private(d->path, passable, err);
    if (rc == 0 && strcmp(d->path, d->base) != 0)
        rc = make_private(d->base, passable, err);
    if (rc == 0)
        rc = take_lock(d, err);
    if (rc < 0) {
        hd_rundir_close(d);
        return hd_wrap(err, rc, "run folder");
    }
    return 0;
}

void hd_rundir_close(struct hd_rundir *d)
{
    if (d->lock_fd >= 0)
        close(d->lock_fd);
    if (d->lock_fd >= 0 && strcmp(d->path, d->base) != 0)
        rmdir(d->base); /* stays while something is in it */
    free(d->path);
    free(d->base);
    *d = (struct hd_rundir){.lock_fd = -1};
}

/* --- one instance --- */

int hd_rundir_add(struct hd_rundir *d, char **out, uint32_t *serial, struct hd_error *err)
{
    for (unsigned tries = 0; tries < 1000; tries++) {
        uint32_t n = d->next++;
        hd_auto_free char *path = hd_printf("%s/%" PRIu32, d->base, n);
        if (mkdir(path, 0700) < 0) {
            if (errno == EEXIST)
                continue;
            return hd_fail_sys(err, errno, "folder %s", path);
        }
        *serial = n;
        *out = hd_steal(path);
        return 0;
    }
    return hd_fail(err, HD_EEXIST, "%s: is full of leftovers; remove its folders", d->base);
}

int hd_rundir_record(const struct hd_rundir *d, uint32_t serial, pid_t pid,
                     const struct hd_spec_list *cgroups, struct hd_error *err)
{
    hd_auto_free char *path = hd_printf("%s/%" PRIu32 ".pid", d->base, serial);
    char boot[37];
    struct hd_proc p = {0};
    struct hd_buf b;
    hd_boot_id(boot);
    hd_proc_read(&p, pid);
    hd_buf_init(&b, RECORD_MAX);
    hd_buf_fmt(&b, "%s %d %" PRIu64 "\n", boot, (int)pid, p.start_ticks);
    for (size_t i = 0; i < cgroups->n; i++)
        hd_buf_fmt(&b, "%s\n", cgroups->v[i]);
    int rc = 0, fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || hd_buf_failed(&b) || write(fd, b.ptr, b.len) != (ssize_t)b.len)
        rc = hd_fail_sys(err, errno, "%s", path);
    if (fd >= 0)
        close(fd);
    hd_buf_done(&b);
    return rc;
}

void hd_rundir_forget(const struct hd_rundir *d, uint32_t serial)
{
    hd_auto_free char *path = hd_printf("%s/%" PRIu32 ".pid", d->base, serial);
    unlink(path);
}

/* --- what a dead node left --- */

/* End a process if it is still the one that was recorded. */
static void end_process(pid_t pid, uint64_t start_ticks)
{
    struct hd_proc p;
    int fd = pidfd_open(pid, 0);
    if (fd < 0)
        return;
    /* Looked at after the pidfd is held: from here on it cannot become another process. */
    if (hd_proc_read(&p, pid) == 0 && p.start_ticks == start_ticks) {
        struct pollfd ended = {.fd = fd, .events = POLLIN};
        kill(-pid, SIGKILL); /* it leads its group */
        pidfd_send_signal(fd, SIGKILL, NULL, 0);
        poll(&ended, 1, REAP_WAIT_MS);
    }
    close(fd);
}

static void end_cgroup(const char *dir, const struct hd_spec_list *in_use)
{
    uint64_t until = hd_clock_ms() + REAP_WAIT_MS;
    hd_auto_free char *procs = hd_printf("%s/cgroup.procs", dir);
    while (rmdir(dir) < 0 && errno == EBUSY && hd_clock_ms() < until) {
        FILE *f = fopen(procs, "re");
        for (int pid; f != NULL && fscanf(f, "%d", &pid) == 1;)
            kill(pid, SIGKILL);
        if (f != NULL)
            fclose(f);
        poll(NULL, 0, 2);
    }
    hd_auto_free char *parent = hd_strdup(dir);
    char *slash = strrchr(parent, '/');
    if (slash == NULL)
        return;
    *slash = '\0';
    for (size_t i = 0; i < in_use->n; i++)
        if (strcmp(in_use->v[i], parent) == 0)
            return;
    rmdir(parent); /* the dead node's own, when this was the last one in it */
}

/* Groups that a record may name: not anything else's. */
static bool is_ours(const char *dir)
{
    return strncmp(dir, "/sys/fs/cgroup/", 15) == 0 && strstr(dir, "/heddle-") != NULL;
}

/* What is frozen does not end. */
static void thaw_all(struct hd_str cgroups)
{
    struct hd_str line;
    while (hd_str_split(&line, &cgroups, '\n')) {
        hd_auto_free char *dir = hd_strdup_n(line);
        if (is_ours(dir))
            hd_freezer_end(dir);
    }
}

static void reap_record(const char *path, const struct hd_spec_list *in_use)
{
    char boot_now[37], buf[RECORD_MAX + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    ssize_t n = read(fd, buf, sizeof(buf) - 1);
    close(fd);
    struct hd_str rest = hd_str_n(buf, (size_t)HD_MAX(n, 0)), line, boot, pid, start;
    uint64_t pid_n = 0, ticks = 0;
    hd_boot_id(boot_now);
    if (!hd_str_split(&line, &rest, '\n') || !hd_str_split(&boot, &line, ' ') ||
        !hd_str_split(&pid, &line, ' ') || !hd_str_split(&start, &line, ' '))
        return;
    if (!hd_str_is(boot, boot_now))
        return; /* the machine started anew: nothing of it is left */
    thaw_all(rest);
    if (hd_str_to_u64(&pid_n, pid) == 0 && hd_str_to_u64(&ticks, start) == 0 && pid_n > 1 &&
        pid_n < INT32_MAX)
        end_process((pid_t)pid_n, ticks);
    while (hd_str_split(&line, &rest, '\n')) {
        hd_auto_free char *dir = hd_strdup_n(line);
        if (is_ours(dir))
            end_cgroup(dir, in_use);
    }
}

static bool is_number(struct hd_str s)
{
    uint64_t n;
    return hd_str_to_u64(&n, s) == 0;
}

int hd_rundir_reap(struct hd_rundir *d, const struct hd_spec_list *in_use, struct hd_log *log,
                   struct hd_error *err)
{
    DIR *dir = opendir(d->base);
    if (dir == NULL)
        return hd_fail_sys(err, errno, "folder %s", d->base);
    struct hd_spec_list found = {0};
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        struct hd_str name = hd_str(e->d_name), pid = HD_LIT(".pid");
        struct hd_str stem = hd_str_ends(name, pid) ? hd_str_n(name.ptr, name.len - 4) : name;
        if (is_number(stem)) {
            hd_auto_free char *path = hd_printf("%s/%s", d->base, e->d_name);
            hd_spec_list_add(&found, path);
        }
    }
    closedir(dir);
    int n = 0;
    for (size_t i = 0; i < found.n; i++) {
        if (!hd_str_ends(hd_str(found.v[i]), (struct hd_str)HD_LIT(".pid")))
            continue;
        reap_record(found.v[i], in_use);
        unlink(found.v[i]);
        n++;
    }
    for (size_t i = 0; i < found.n; i++)
        hd_remove_tree(found.v[i]);
    hd_spec_list_done(&found);
    if (n > 0)
        hd_log(log, HD_WARN, "removed what an earlier node left behind", hd_kv_int("instances", n));
    return n;
}
