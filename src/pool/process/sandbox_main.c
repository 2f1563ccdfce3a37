/* clone ─► enter cgroups ─► mounts ─► user ─► limits ─► seccomp ─┬─► exec the target
 *                                                               └─► (PID namespace) fork:
 *                                          target in the child; stay as init, reap, forward */
#include "pool/process/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void report(const char *fmt, ...)
{
    char line[300];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
    va_end(ap);
    size_t len = (size_t)HD_MIN(n, (int)sizeof(line) - 2);
    line[len++] = '\n';
    ssize_t ignored = write(HD_SANDBOX_STATUS_FD, line, len);
    (void)ignored; /* nobody listens: then we are about to end */
}

static _Noreturn void give_up(const char *why)
{
    report("!%s", why);
    _exit(126);
}

/* Report a part that failed; that is the end where everything is required. */
static void missed(const struct hd_sandbox_spec *s, const char *part, const struct hd_error *err)
{
    if (s->require) {
        report("!%s: %s", part, err->msg);
        _exit(126);
    }
    report("-%s: %s", part, err->msg);
}

/* Die with the node: by the kernel's signal, and at once if it has already gone. */
static void follow_parent(void)
{
    struct pollfd p = {.fd = HD_SANDBOX_STATUS_FD};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || (poll(&p, 1, 0) > 0 && (p.revents & POLLERR)))
        _exit(126);
}

static void default_signals(void)
{
    for (int s = 1; s < NSIG; s++)
        if (s != SIGKILL && s != SIGSTOP)
            signal(s, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void read_spec(struct hd_sandbox_spec *s)
{
    struct stat st;
    if (fstat(HD_SANDBOX_SPEC_FD, &st) < 0 || st.st_size <= 0 || st.st_size > HD_SANDBOX_SPEC_MAX)
        give_up("spec: cannot be read");
    size_t len = (size_t)st.st_size, got = 0;
    char *bytes = hd_alloc(len);
    while (got < len) {
        ssize_t n = pread(HD_SANDBOX_SPEC_FD, bytes + got, len - got, (off_t)got);
        if (n <= 0)
            give_up("spec: cannot be read");
        got += (size_t)n;
    }
    close(HD_SANDBOX_SPEC_FD);
    struct hd_error err;
    if (hd_sandbox_spec_read(s, hd_str_n(bytes, len), &err) < 0)
        give_up(err.msg);
    explicit_bzero(bytes, len);
    free(bytes);
}

static int put_file(const char *path, const char *text, struct hd_error *err)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return hd_fail_sys(err, errno, "%s", path);
    ssize_t n = write(fd, text, strlen(text));
    int sys = errno;
    close(fd);
    return n < 0 ? hd_fail_sys(err, sys, "%s", path) : 0;
}

static void enter_cgroups(const struct hd_sandbox_spec *s)
{
    for (size_t i = 0; i < s->cgroups.n; i++) {
        hd_auto_free char *path = hd_printf("%s/cgroup.procs", s->cgroups.v[i]);
        struct hd_error err;
        if (put_file(path, "0", &err) < 0)
            missed(s, "cgroup", &err);
    }
}

static int loopback_up(struct hd_error *err)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return hd_fail_sys(err, errno, "socket");
    struct ifreq ifr = {.ifr_name = "lo"};
    ifr.ifr_flags = IFF_UP | IFF_RUNNING;
    int rc = ioctl(fd, SIOCSIFFLAGS, &ifr) < 0 ? hd_fail_sys(err, errno, "loopback") : 0;
    close(fd);
    return rc;
}

/* Enter a user namespace in which this user has another name. */
static int rename_user(uint32_t uid, uint32_t gid, uint32_t is_uid, uint32_t is_gid,
                       struct hd_error *err)
{
    char uids[32], gids[32];
    snprintf(uids, sizeof(uids), "%u %u 1", uid, is_uid);
    snprintf(gids, sizeof(gids), "%u %u 1", gid, is_gid);
    if (unshare(CLONE_NEWUSER) < 0)
        return hd_fail_sys(err, errno, "unshare");
    put_file("/proc/self/setgroups", "deny", NULL); /* it may be denied already */
    int rc = put_file("/proc/self/uid_map", uids, err);
    if (rc == 0)
        rc = put_file("/proc/self/gid_map", gids, err);
    return rc;
}

/* Give a user namespace's root its own name back, in a second namespace that can do nothing. */
static int own_name(const struct hd_sandbox_spec *s, struct hd_error *err)
{
    bool other = s->seen_uid != 0;
    return rename_user(other ? s->seen_uid : s->uid, other ? s->seen_gid : s->gid, 0, 0, err);
}

/* The same where there is no user namespace yet: the user that we have become gets another name. */
static int be_seen_as(const struct hd_sandbox_spec *s, struct hd_error *err)
{
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* /proc/self became root's with the change of user */
    int rc = rename_user(s->seen_uid, s->seen_gid, s->uid, s->gid, err);
    hd_sandbox_bound_caps(); /* a new namespace begins with all of them */
    return rc;
}

static int become(const struct hd_sandbox_spec *s, struct hd_error *err)
{
    if (setgroups(0, NULL) < 0 || setresgid(s->gid, s->gid, s->gid) < 0 ||
        setresuid(s->uid, s->uid, s->uid) < 0)
        return hd_fail_sys(err, errno, "user %u", s->uid);
    return 0;
}

static void limit(const struct hd_sandbox_spec *s, int what, const char *name, uint64_t max)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)what, &now) < 0)
        return;
    rlim_t to = now.rlim_max != RLIM_INFINITY ? HD_MIN((rlim_t)max, now.rlim_max) : (rlim_t)max;
    struct rlimit want = {.rlim_cur = to, .rlim_max = to};
    struct hd_error err;
    if (setrlimit((__rlimit_resource_t)what, &want) < 0) {
        hd_fail_sys(&err, errno, "%s", name);
        missed(s, "rlimits", &err);
    }
}

static void apply_limits(const struct hd_sandbox_spec *s)
{
    limit(s, RLIMIT_CORE, "core", 0);
    if (s->max_files > 0)
        limit(s, RLIMIT_NOFILE, "nofile", s->max_files);
    if (s->max_processes > 0)
        limit(s, RLIMIT_NPROC, "nproc", s->max_processes);
    if (s->max_file_bytes > 0)
        limit(s, RLIMIT_FSIZE, "fsize", s->max_file_bytes);
    if (s->max_data_bytes > 0)
        limit(s, RLIMIT_DATA, "data", s->max_data_bytes);
    if (s->max_locked_bytes > 0)
        limit(s, RLIMIT_MEMLOCK, "memlock", s->max_locked_bytes);
    if (s->max_stack_bytes > 0)
        limit(s, RLIMIT_STACK, "stack", s->max_stack_bytes);
}

static void confine(const struct hd_sandbox_spec *s)
{
    struct hd_error err;
    enter_cgroups(s);
    if ((s->parts & HD_SANDBOX_NET) && loopback_up(&err) < 0)
        missed(s, "network", &err);
    if ((s->parts & HD_SANDBOX_MOUNT) &&
        (s->layout ? hd_sandbox_root(s, &err) : hd_sandbox_mounts(s, &err)) < 0)
        give_up(err.msg); /* half a view is no view to run in */
    if ((s->parts & HD_SANDBOX_USER) && own_name(s, &err) < 0)
        missed(s, "user", &err);
    apply_limits(s);
    if (s->parts & (HD_SANDBOX_UID | HD_SANDBOX_USER))
        hd_sandbox_bound_caps();
    if ((s->parts & HD_SANDBOX_UID) && become(s, &err) < 0)
        give_up(err.msg);
    if ((s->parts & HD_SANDBOX_UID) && s->seen_uid != 0 && be_seen_as(s, &err) < 0)
        give_up(err.msg);
    if ((s->parts & (HD_SANDBOX_UID | HD_SANDBOX_USER)) && hd_sandbox_drop_caps(&err) < 0)
        give_up(err.msg);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        hd_fail_sys(&err, errno, "prctl");
        missed(s, "no-new-privs", &err);
    }
    follow_parent(); /* a change of user forgets the first time */
    if ((s->parts & HD_SANDBOX_SECCOMP) && hd_sandbox_seccomp(&err) < 0)
        missed(s, "seccomp", &err);
}

static void check_places(const struct hd_spec_list *binds)
{
    for (size_t i = 0; i < binds->n; i++) {
        hd_auto_free char *place = NULL;
        const char *from;
        bool writable;
        if (hd_sandbox_bind_read(binds->v[i], &place, &from, &writable) &&
            access(place, writable ? W_OK : R_OK) < 0) {
            report("!%s: %s", place, strerror(errno));
            _exit(126);
        }
    }
}

/* Can what the target needs be reached by whom it will run as? A folder that cannot be listed may
 * be one that is to be passed through. */
static void check_reach(const struct hd_spec_list *paths, int how)
{
    for (size_t i = 0; i < paths->n; i++) {
        if (access(paths->v[i], how) < 0 && errno != ENOENT &&
            (how != R_OK || access(paths->v[i], X_OK) < 0)) {
            report("!%s: %s", paths->v[i], strerror(errno));
            _exit(126);
        }
    }
}

static _Noreturn void run_target(const struct hd_sandbox_spec *s)
{
    if (s->cwd != NULL && chdir(s->cwd) < 0) {
        report("!%s: %s", s->cwd, strerror(errno));
        _exit(126);
    }
    environ = s->env.v;
    execvp(s->argv.v[0], s->argv.v);
    report("!%s: %s", s->argv.v[0], strerror(errno));
    _exit(127);
}

/* --- init of a PID namespace --- */

static volatile sig_atomic_t target_pid;

static void forward(int signal)
{
    if (target_pid > 0)
        kill((pid_t)target_pid, signal);
}

/* When this process ends, the kernel ends all that is left in the namespace. */
static _Noreturn void be_init(pid_t target)
{
    for (;;) {
        int status = 0;
        pid_t pid = wait(&status);
        if (pid == target) {
            report("=%d", status);
            _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        }
        if (pid < 0 && errno != EINTR)
            _exit(126);
    }
}

static _Noreturn void run_under_init(const struct hd_sandbox_spec *s)
{
    static const int forwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &all, NULL); /* a signal now would be for a target that is not there */
    pid_t pid = fork();
    if (pid < 0) {
        report("!fork: %s", strerror(errno));
        _exit(126);
    }
    if (pid == 0) {
        sigprocmask(SIG_SETMASK, &none, NULL);
        run_target(s);
    }
    target_pid = pid;
    for (size_t i = 0; i < HD_COUNT(forwarded); i++) {
        struct sigaction sa = {.sa_handler = forward, .sa_flags = SA_RESTART};
        sigaction(forwarded[i], &sa, NULL);
    }
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* The target's output ends when the target ends, and what it may know it knows from its own
     * copy of these. */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    close_range(0, HD_SANDBOX_STATUS_FD - 1, 0);
    be_init(pid);
}

int hd_sandbox_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct hd_sandbox_spec spec;
    default_signals();
    follow_parent();
    if (fcntl(HD_SANDBOX_STATUS_FD, F_SETFD, FD_CLOEXEC) < 0)
        _exit(126);
    umask(077);
    read_spec(&spec);
    static char *no_env[] = {NULL};
    if (spec.env.v == NULL)
        spec.env.v = no_env;
    confine(&spec);
    if (spec.check) {
        check_places(&spec.binds);
        check_reach(&spec.keep, R_OK);
        check_reach(&spec.write, W_OK);
        report("=0");
        _exit(0);
    }
    if (spec.parts & HD_SANDBOX_PID)
        run_under_init(&spec);
    run_target(&spec);
}
