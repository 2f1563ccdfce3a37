#include "pool/process/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

int hd_sandbox_set_attr(int fd, const char *path, unsigned at_flags, uint64_t set, uint64_t clear,
                        struct hd_error *err)
{
    struct mount_attr attr = {.attr_set = set, .attr_clr = clear};
    if (mount_setattr(fd, path, at_flags, &attr, sizeof(attr)) < 0)
        return hd_fail_sys(err, errno, "attributes of %s", path[0] != '\0' ? path : "a mount");
    return 0;
}

int hd_sandbox_map_namespace(uint32_t uid, struct hd_error *err)
{
    char path[64], text[96];
    int ready[2], fd = -1;
    if (pipe2(ready, O_CLOEXEC) < 0)
        return hd_fail_sys(err, errno, "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        char c = 0;
        if (unshare(CLONE_NEWUSER) < 0 || write(ready[1], &c, 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    close(ready[1]);
    char c;
    bool up = pid > 0 && read(ready[0], &c, 1) == 1;
    close(ready[0]);
    int n = snprintf(text, sizeof(text), "0 %u 1\n1 1 %u\n", uid, uid - 1);
    static const char *const maps[] = {"uid_map", "gid_map"};
    for (size_t i = 0; i < HD_COUNT(maps) && up; i++) {
        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, maps[i]);
        int f = open(path, O_WRONLY | O_CLOEXEC);
        up = f >= 0 && write(f, text, (size_t)n) == n;
        if (f >= 0)
            close(f);
    }
    if (up) {
        snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    int sys = errno;
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return fd >= 0 ? fd : hd_fail_sys(err, sys, "user namespace for ownership");
}

void hd_sandbox_map_owner(int tree_fd, int namespace_fd)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)namespace_fd};
    int ignored = mount_setattr(tree_fd, "", AT_EMPTY_PATH, &attr, sizeof(attr));
    (void)ignored; /* see the header */
}
