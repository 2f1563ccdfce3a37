/* doctor_machine.c - what this kernel and this user permit: isolation and limits. */
#include "cli/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILES_GOOD = 4096, WATCHES_GOOD = 65536, CGROUP2_MAGIC = 0x63677270 };

/* @return whether a child may do @p what; the flags of unshare(2), tried for real. */
static bool can_unshare(int flags)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(unshare(flags) == 0 ? 0 : 1);
    int status = -1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static void check_namespaces(struct hd_findings *f, bool wanted)
{
    const int all = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET;
    if (can_unshare(all))
        hd_findings_add(f, "namespaces", HD_HEALTH_GOOD, hd_strdup("user, mount, PID and network"),
                        NULL);
    else
        hd_findings_add(f, "namespaces", wanted ? HD_HEALTH_BAD : HD_HEALTH_NOTE,
                        hd_strdup("not permitted: functions see this machine's files, processes "
                                  "and network"),
                        hd_strdup("sysctl -w kernel.unprivileged_userns_clone=1 "
                                  "user.max_user_namespaces=15000; in a container: "
                                  "--security-opt seccomp=unconfined"));
}

static void check_seccomp(struct hd_findings *f, bool wanted)
{
    unsigned action = SECCOMP_RET_KILL_PROCESS;
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0)
        hd_findings_add(f, "seccomp", HD_HEALTH_GOOD, hd_strdup("system call filters"), NULL);
    else
        hd_findings_add(f, "seccomp", wanted ? HD_HEALTH_BAD : HD_HEALTH_NOTE,
                        hd_printf("this kernel filters no system calls: %s", strerror(errno)),
                        hd_strdup("use a kernel with CONFIG_SECCOMP_FILTER"));
}

/* The path of this process's cgroup in a file of lines "ID:controllers:path". */
static bool own_cgroup(char *out, size_t size, const char *controller)
{
    char line[512], found[400];
    FILE *file = fopen("/proc/self/cgroup", "re");
    bool seen = false;
    while (file != NULL && !seen && fgets(line, sizeof(line), file) != NULL) {
        struct hd_str rest = hd_str_n(line, strcspn(line, "\n")), id, names;
        if (!hd_str_split(&id, &rest, ':') || !hd_str_split(&names, &rest, ':'))
            continue;
        snprintf(found, sizeof(found), "%.*s", HD_FMT(rest));
        struct hd_str name;
        if (controller == NULL)
            seen = names.len == 0;
        while (controller != NULL && !seen && hd_str_split(&name, &names, ','))
            seen = hd_str_is(name, controller);
    }
    if (file != NULL)
        fclose(file);
    if (seen)
        snprintf(out, size, "%s", found);
    return seen;
}

static void check_cgroups(struct hd_findings *f, bool wanted)
{
    struct statfs fs;
    char path[400], full[600] = "";
    bool v2 = statfs("/sys/fs/cgroup", &fs) == 0 && (unsigned long)fs.f_type == CGROUP2_MAGIC;
    if (v2 && own_cgroup(path, sizeof(path), NULL))
        snprintf(full, sizeof(full), "/sys/fs/cgroup%s", path);
    else if (!v2 && own_cgroup(path, sizeof(path), "memory"))
        snprintf(full, sizeof(full), "/sys/fs/cgroup/memory%s", path);
    /* inside a container the path may be that of the host: then the mount's root is ours */
    if (full[0] != '\0' && access(full, F_OK) < 0)
        snprintf(full, sizeof(full), "/sys/fs/cgroup%s", v2 ? "" : "/memory");
    if (full[0] != '\0' && access(full, W_OK) == 0) {
        hd_findings_add(f, "cgroups", HD_HEALTH_GOOD, hd_printf("v%d, %s", v2 ? 2 : 1, full), NULL);
        return;
    }
    hd_findings_add(f, "cgroups", wanted ? HD_HEALTH_BAD : HD_HEALTH_NOTE,
                    full[0] != '\0' ? hd_printf("v%d, but %s cannot be written: memory and CPU of "
                                                "functions are limited by rlimits only",
                                                v2 ? 2 : 1, full)
                                    : hd_strdup("none: memory and CPU of functions are limited by "
                                                "rlimits only"),
                    hd_strdup("systemd-run --user --scope -p Delegate=yes heddle serve"));
}

static bool read_number(uint64_t *out, const char *path)
{
    char text[32];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
    if (fd >= 0)
        close(fd);
    while (n > 0 && text[n - 1] == '\n')
        n--;
    return n > 0 && hd_str_to_u64(out, hd_str_n(text, (size_t)n)) == 0;
}

static void check_watches(struct hd_findings *f)
{
    uint64_t watches, instances;
    if (!read_number(&watches, "/proc/sys/fs/inotify/max_user_watches") ||
        !read_number(&instances, "/proc/sys/fs/inotify/max_user_instances")) {
        hd_findings_add(f, "file watches", HD_HEALTH_NOTE, hd_strdup("inotify's limits are hidden"),
                        NULL);
        return;
    }
    bool few = watches < WATCHES_GOOD;
    hd_findings_add(f, "file watches", few ? HD_HEALTH_NOTE : HD_HEALTH_GOOD,
                    hd_printf("%llu watches, %llu instances", (unsigned long long)watches,
                              (unsigned long long)instances),
                    few ? hd_printf("sysctl -w fs.inotify.max_user_watches=%d", WATCHES_GOOD)
                        : NULL);
}

static void check_files(struct hd_findings *f, const struct hd_node_options *opt)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    /* each client may need a connection to an instance as well */
    uint64_t wanted = HD_MAX((uint64_t)FILES_GOOD, 2 * (uint64_t)opt->max_connections + 1024);
    bool few = files.rlim_max != RLIM_INFINITY && files.rlim_max < wanted;
    hd_findings_add(
        f, "open files", few ? HD_HEALTH_NOTE : HD_HEALTH_GOOD,
        files.rlim_max == RLIM_INFINITY
            ? hd_strdup("no limit")
            : hd_printf("%llu at most, %llu are wanted for %u connections",
                        (unsigned long long)files.rlim_max, (unsigned long long)wanted,
                        opt->max_connections),
        few ? hd_printf(
                  "ulimit -n %llu (systemd: LimitNOFILE=%llu), or "
                  "--max-connections %llu",
                  (unsigned long long)wanted, (unsigned long long)wanted,
                  (unsigned long long)(files.rlim_max > 1124 ? (files.rlim_max - 1024) / 2 : 50))
            : NULL);
}

void hd_doctor_machine(struct hd_findings *f, const struct hd_node_options *opt)
{
    check_namespaces(f, opt->sandbox_namespaces == HD_SANDBOX_REQUIRE);
    check_seccomp(f, opt->sandbox_seccomp == HD_SANDBOX_REQUIRE);
    check_cgroups(f, opt->sandbox_cgroups == HD_SANDBOX_REQUIRE);
    check_watches(f);
    check_files(f, opt);
}
