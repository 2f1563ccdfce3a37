/* As in child.c: a child with our memory and a stack of its own does it, while we stand still. A
 * namespace can be entered only by a process with one thread. */
#include "pool/process/adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK_BYTES = 64 << 10 };

/* What the child reads and writes of our memory. */
struct visit {
    int user_ns, mount_ns; /* user_ns -1: stay in ours */
    int target_ns;         /* user namespace of the target, for its limit; -1: it is set */
    pid_t target;
    struct rlimit file;
    const char *code, *opt;
    char tmp_options[48];
    int failed_errno;
    const char *failed_what; /* NULL: it is done */
};

#if defined(__SANITIZE_ADDRESS__) || defined(__clang__)
#define ON_FOREIGN_STACK __attribute__((no_sanitize("address"), noinline))
#else
#define ON_FOREIGN_STACK __attribute__((noinline))
#endif

ON_FOREIGN_STACK static int fail(struct visit *v, const char *what)
{
    v->failed_errno = errno;
    v->failed_what = what;
    _exit(1);
}

ON_FOREIGN_STACK static void show(struct visit *v, const char *from, const char *place)
{
    int fd = open_tree(AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (fd < 0)
        fail(v, from);
    if (move_mount(fd, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        fail(v, place);
    close(fd);
}

ON_FOREIGN_STACK static int visit_main(void *arg)
{
    struct visit *v = arg;
    if (v->user_ns >= 0 && setns(v->user_ns, CLONE_NEWUSER) < 0)
        return fail(v, "its user namespace");
    if (setns(v->mount_ns, CLONE_NEWNS) < 0)
        return fail(v, "its mount namespace");
    show(v, v->code, "/var/task");
    if (v->opt != NULL)
        show(v, v->opt, "/opt");
    /* Covered, not taken away: an unmount waits until all cores have seen it, which takes longer
     * than all else here, and what is inside can no more lift a cover than undo an unmount. */
    show(v, HD_PLAN_NOTHING, HD_PLAN_CODE);
    if (mount(NULL, "/tmp", NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, v->tmp_options) < 0)
        return fail(v, "the size of /tmp");
    /* Who may not raise limits here may do so there. */
    if (v->target_ns >= 0 && setns(v->target_ns, CLONE_NEWUSER) == 0)
        prlimit(v->target, RLIMIT_FSIZE, &v->file, NULL);
    _exit(0);
}

static int run(struct visit *v, struct hd_error *err)
{
    int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return hd_fail_sys(err, errno, "stack of a child");
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    /* No signal at its end: it is nobody's to wait for but ours. */
    pid_t pid = clone(visit_main, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK, v);
    int sys = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid > 0)
        waitpid(pid, NULL, __WALL);
    munmap(stack, STACK_BYTES);
    prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0); /* the child's change of user was our memory's */
    if (pid < 0)
        return hd_fail_sys(err, sys, "clone");
    if (v->failed_what != NULL)
        return hd_fail_sys(err, v->failed_errno, "mounts of a prewarmed host: %s", v->failed_what);
    return 0;
}

static int open_ns(pid_t pid, const char *name, struct hd_error *err)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : hd_fail_sys(err, errno, "%s", path);
}

int hd_adopt(pid_t pid, pid_t target, const struct hd_late *late, struct hd_error *err)
{
    struct visit v = {
        .user_ns = -1,
        .target_ns = -1,
        .target = target,
        .file = {.rlim_cur = (rlim_t)late->tmp_mb << 20, .rlim_max = (rlim_t)late->tmp_mb << 20},
        .code = late->hidden_code,
        .opt = late->hidden_opt};
    bool limited = prlimit(target, RLIMIT_FSIZE, &v.file, NULL) == 0;
    if (late->hidden_code == NULL)
        return 0;
    snprintf(v.tmp_options, sizeof(v.tmp_options), "mode=1777,size=%um", late->tmp_mb);
    v.mount_ns = open_ns(pid, "mnt", err);
    if (v.mount_ns < 0)
        return v.mount_ns;
    int rc = 0;
    if (!limited)
        v.target_ns = open_ns(target, "user", NULL);
    if (geteuid() != 0 && (v.user_ns = ioctl(v.mount_ns, NS_GET_USERNS)) < 0)
        rc = hd_fail_sys(err, errno, "user namespace of a prewarmed host");
    if (rc == 0)
        rc = run(&v, err);
    const int fds[] = {v.user_ns, v.target_ns, v.mount_ns};
    for (size_t i = 0; i < HD_COUNT(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return rc;
}
