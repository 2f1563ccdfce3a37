/* The child's way: clone() with our memory, for a few system calls only, then exec of our own
 * program as the sandbox stage (sandbox_main.c), which confines itself and execs the target. */
#include "pool/process/child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK_BYTES = 128 << 10, FIRST_FD = 16 };

/* What the child reads and writes of our memory; we stand still until it has exec'ed. */
struct launchpad {
    int in, out, err, spec, status;
    char uid_map[32], gid_map[32]; /* empty: none to write */
    int failed_errno;
    const char *failed_what;
};

#if defined(__SANITIZE_ADDRESS__) || defined(__clang__)
#define ON_FOREIGN_STACK __attribute__((no_sanitize("address"), noinline))
#else
#define ON_FOREIGN_STACK __attribute__((noinline))
#endif

ON_FOREIGN_STACK static int fail(struct launchpad *l, const char *what)
{
    l->failed_errno = errno;
    l->failed_what = what;
    _exit(127);
}

ON_FOREIGN_STACK static int put_file(const char *path, const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = write(fd, text, len);
    close(fd);
    return n == (ssize_t)len ? 0 : -1;
}

ON_FOREIGN_STACK static int child_main(void *arg)
{
    struct launchpad *l = arg;
    if (l->uid_map[0] != '\0') {
        /* Before exec, which takes capabilities away from a user that has no name yet. */
        if (put_file("/proc/self/setgroups", "deny", 4) < 0 ||
            put_file("/proc/self/uid_map", l->uid_map, strlen(l->uid_map)) < 0 ||
            put_file("/proc/self/gid_map", l->gid_map, strlen(l->gid_map)) < 0)
            return fail(l, "user namespace: maps");
    }
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return fail(l, "prctl");
    if (setsid() < 0)
        return fail(l, "setsid");
    if (dup2(l->in, STDIN_FILENO) < 0 || dup2(l->out, STDOUT_FILENO) < 0 ||
        dup2(l->err, STDERR_FILENO) < 0 || dup2(l->spec, HD_SANDBOX_SPEC_FD) < 0 ||
        dup2(l->status, HD_SANDBOX_STATUS_FD) < 0)
        return fail(l, "dup2");
    if (close_range(HD_SANDBOX_STATUS_FD + 1, ~0U, 0) < 0)
        return fail(l, "close_range");
    static char *const argv[] = {(char *)HD_SANDBOX_ARGV0, NULL};
    static char *const env[] = {NULL};
    execve("/proc/self/exe", argv, env);
    return fail(l, "exec of the sandbox stage");
}

static int clone_flags(unsigned parts)
{
    int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
    if (parts & HD_SANDBOX_USER)
        flags |= CLONE_NEWUSER;
    if (parts & HD_SANDBOX_MOUNT)
        flags |= CLONE_NEWNS;
    if (parts & HD_SANDBOX_PID)
        flags |= CLONE_NEWPID;
    if (parts & HD_SANDBOX_IPC)
        flags |= CLONE_NEWIPC | CLONE_NEWUTS;
    if (parts & HD_SANDBOX_NET)
        flags |= CLONE_NEWNET;
    return flags;
}

static int run(struct hd_child *c, struct launchpad *l, unsigned parts, struct hd_error *err)
{
    if (parts & HD_SANDBOX_USER) {
        snprintf(l->uid_map, sizeof(l->uid_map), "0 %u 1", (unsigned)geteuid());
        snprintf(l->gid_map, sizeof(l->gid_map), "0 %u 1", (unsigned)getegid());
    }
    char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return hd_fail_sys(err, errno, "stack of a child");
    /* No handler of ours may run in the child, which shares our memory. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    c->pid = clone(child_main, stack + STACK_BYTES, clone_flags(parts), l, &c->pidfd);
    int sys = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    munmap(stack, STACK_BYTES);
    if (c->pid < 0)
        return hd_fail_sys(err, sys, "clone");
    if (l->failed_what != NULL) {
        waitpid(c->pid, NULL, 0); /* it has called _exit() */
        close(c->pidfd);
        return hd_fail_sys(err, l->failed_errno, "%s", l->failed_what);
    }
    return 0;
}

/* Move a descriptor out of the way of those which the child is given. */
static int high(int fd)
{
    int moved = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD);
    int sys = errno;
    if (fd >= 0)
        close(fd);
    errno = sys;
    return moved;
}

static int make_pipe(int *ours, int *theirs)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return -1;
    *ours = p[0];
    *theirs = high(p[1]);
    return fcntl(p[0], F_SETFL, O_NONBLOCK) < 0 || *theirs < 0 ? -1 : 0;
}

static int make_spec(const struct hd_sandbox_spec *spec)
{
    struct hd_buf b;
    hd_buf_init(&b, HD_SANDBOX_SPEC_MAX);
    hd_sandbox_spec_write(&b, spec);
    int fd = -1;
    errno = E2BIG;
    if (!hd_buf_failed(&b))
        fd = high(memfd_create("heddle-spec", MFD_CLOEXEC));
    for (size_t at = 0; fd >= 0 && at < b.len;) {
        ssize_t n = pwrite(fd, b.ptr + at, b.len - at, (off_t)at);
        if (n <= 0) {
            close(fd);
            fd = -1;
            break;
        }
        at += (size_t)n;
    }
    if (b.ptr != NULL)
        explicit_bzero(b.ptr, b.len);
    hd_buf_done(&b);
    return fd;
}

static void close_all(int *const fds[], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

int hd_child_spawn(struct hd_child *out, const struct hd_sandbox_spec *spec, struct hd_error *err)
{
    struct hd_child c = {.pid = -1, .pidfd = -1, .out = -1, .err = -1, .status = -1};
    struct launchpad l = {.in = -1, .out = -1, .err = -1, .spec = -1, .status = -1};
    int *const theirs[] = {&l.in, &l.out, &l.err, &l.spec, &l.status};
    int *const ours[] = {&c.out, &c.err, &c.status};
    int rc = 0;
    l.in = high(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (l.in < 0 || make_pipe(&c.out, &l.out) < 0 || make_pipe(&c.err, &l.err) < 0 ||
        make_pipe(&c.status, &l.status) < 0)
        rc = hd_fail_sys(err, errno, "descriptors of a child");
    if (rc == 0 && (l.spec = make_spec(spec)) < 0)
        rc = hd_fail_sys(err, errno, "spec of a child");
    if (rc == 0)
        rc = run(&c, &l, spec->parts, err);
    close_all(theirs, HD_COUNT(theirs));
    if (rc < 0) {
        close_all(ours, HD_COUNT(ours));
        return rc;
    }
    *out = c;
    return 0;
}

int hd_child_signal(const struct hd_child *c, int signal)
{
    return pidfd_send_signal(c->pidfd, signal, NULL, 0) < 0 ? HD_ENOTFOUND : 0;
}

void hd_child_kill(const struct hd_child *c)
{
    if (c->pid <= 0)
        return;
    hd_child_signal(c, SIGKILL);
    kill(-c->pid, SIGKILL); /* not yet reaped, so that number is still its group's */
}

bool hd_child_reap(struct hd_child *c, struct hd_child_end *end)
{
    siginfo_t info = {.si_pid = 0};
    if (c->pid <= 0)
        return true;
    if (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
        return false;
    kill(-c->pid, SIGKILL);
    waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOHANG);
    *end = (struct hd_child_end){.by_signal = info.si_code != CLD_EXITED, .value = info.si_status};
    c->pid = -1;
    return true;
}

size_t hd_child_report(const struct hd_child *c, char out[HD_CHILD_REPORT_MAX])
{
    ssize_t n = read(c->status, out, HD_CHILD_REPORT_MAX - 1);
    size_t len = n > 0 ? (size_t)n : 0;
    out[len] = '\0';
    return len;
}

void hd_child_close(struct hd_child *c)
{
    int *const fds[] = {&c->out, &c->err, &c->status, &c->pidfd};
    close_all(fds, HD_COUNT(fds));
}
