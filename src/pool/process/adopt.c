/* Mounts are made by who stands in their namespace. A node that is root goes there itself, for as
 * long as it takes: a thread can, if its root and working folder are its own. A user namespace can
 * be entered only by a process with one thread: then, as in child.c, a child with our memory and a
 * stack of its own does it all, while we stand still. */
#include "pool/process/adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK_BYTES = 64 << 10 };

/* What a child reads and writes of our memory, too. */
struct visit {
    int user_ns, mount_ns; /* user_ns -1: stay in ours */
    const char *code, *opt;
    int failed_errno;
    const char *failed_what; /* NULL: it is done */
};

#if defined(__SANITIZE_ADDRESS__) || defined(__clang__)
#define ON_FOREIGN_STACK __attribute__((no_sanitize("address"), noinline))
#else
#define ON_FOREIGN_STACK __attribute__((noinline))
#endif

ON_FOREIGN_STACK static bool fail(struct visit *v, const char *what)
{
    v->failed_errno = errno;
    v->failed_what = what;
    return false;
}

ON_FOREIGN_STACK static bool show(struct visit *v, const char *from, const char *place)
{
    int fd = open_tree(AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (fd < 0)
        return fail(v, from);
    if (move_mount(fd, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        fail(v, place);
    close(fd);
    return v->failed_what == NULL;
}

ON_FOREIGN_STACK static bool arrange(struct visit *v)
{
    if (!show(v, v->code, "/var/task") || (v->opt != NULL && !show(v, v->opt, "/opt")))
        return false;
    /* Covered, not taken away: an unmount waits until all cores have seen it, which takes longer
     * than all else here, and what is inside can no more lift a cover than undo an unmount. */
    return show(v, HD_PLAN_NOTHING, HD_PLAN_CODE);
}

/* --- by a child --- */

ON_FOREIGN_STACK static int visit_main(void *arg)
{
    struct visit *v = arg;
    if (v->user_ns >= 0 && setns(v->user_ns, CLONE_NEWUSER) < 0)
        fail(v, "its user namespace");
    else if (setns(v->mount_ns, CLONE_NEWNS) < 0)
        fail(v, "its mount namespace");
    else
        arrange(v);
    _exit(0);
}

static int send_child(struct visit *v, struct hd_error *err)
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
    return pid < 0 ? hd_fail_sys(err, sys, "clone") : 0;
}

/* --- by ourselves --- */

/* Where this thread belongs. */
struct home {
    int ns, root, folder;
};

static bool note_home(struct home *h)
{
    h->ns = open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
    h->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    h->folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return h->ns >= 0 && h->root >= 0 && h->folder >= 0;
}

static void forget_home(const struct home *h)
{
    const int fds[] = {h->ns, h->root, h->folder};
    for (size_t i = 0; i < HD_COUNT(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* A node that cannot get back would take a function's folders for its own. */
static void go_home(const struct home *h)
{
    if (setns(h->ns, CLONE_NEWNS) < 0 || fchdir(h->root) < 0 || chroot(".") < 0 ||
        fchdir(h->folder) < 0)
        abort();
}

/* @return whether this thread could go there; then v tells how it went. */
static bool go_ourselves(struct visit *v)
{
    struct home home;
    bool went = note_home(&home) && unshare(CLONE_FS) == 0 && setns(v->mount_ns, CLONE_NEWNS) == 0;
    if (went) {
        arrange(v);
        go_home(&home);
    }
    forget_home(&home);
    return went;
}

/* --- the whole --- */

static int open_ns(pid_t pid, struct hd_error *err)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : hd_fail_sys(err, errno, "%s", path);
}

static int visit(struct visit *v, struct hd_error *err)
{
    if (geteuid() != 0 && (v->user_ns = ioctl(v->mount_ns, NS_GET_USERNS)) < 0)
        return hd_fail_sys(err, errno, "user namespace of a prewarmed host");
    int rc = v->user_ns < 0 && go_ourselves(v) ? 0 : send_child(v, err);
    if (rc == 0 && v->failed_what != NULL)
        return hd_fail_sys(err, v->failed_errno, "mounts of a prewarmed host: %s", v->failed_what);
    return rc;
}

int hd_adopt(pid_t pid, const struct hd_late *late, struct hd_error *err)
{
    struct visit v = {.user_ns = -1, .code = late->hidden_code, .opt = late->hidden_opt};
    if (late->hidden_code == NULL)
        return 0;
    v.mount_ns = open_ns(pid, err);
    if (v.mount_ns < 0)
        return v.mount_ns;
    int rc = visit(&v, err);
    close(v.mount_ns);
    if (v.user_ns >= 0)
        close(v.user_ns);
    return rc;
}
