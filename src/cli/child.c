#include "cli/child.h"

#include "core/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

char *hd_child_find(const char *program, const char *path)
{
    if (strchr(program, '/') != NULL)
        return is_program(program) ? hd_strdup(program) : NULL;
    struct hd_str rest = hd_str(path != NULL ? path : "/usr/local/bin:/usr/bin:/bin"), part;
    while (hd_str_split(&part, &rest, ':')) {
        if (part.len == 0)
            continue;
        char *full = hd_printf("%.*s/%s", HD_FMT(part), program);
        if (is_program(full))
            return full;
        free(full);
    }
    return NULL;
}

/* What a child writes until it closes its output, or the deadline. */
static void read_all(struct hd_buf *out, int fd, uint64_t end)
{
    char chunk[4096];
    for (;;) {
        uint64_t now = hd_clock_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (now >= end || poll(&p, 1, (int)(end - now)) <= 0)
            return;
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n <= 0)
            return;
        if (out->len < out->max)
            hd_buf_add(out, chunk, HD_MIN((size_t)n, out->max - out->len));
    }
}

/* Reap the child by a deadline, with SIGKILL behind it. */
static int wait_for(pid_t pid, uint64_t end)
{
    int status = -1;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (hd_clock_ms() >= end) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            break;
        }
        poll(NULL, 0, 5);
    }
    return status;
}

int hd_child_read(struct hd_buf *out, const char *const *argv, char *const *env,
                  uint32_t timeout_ms)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return HD_EIO;
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t pid = 0;
    int rc = posix_spawn(&pid, argv[0], &files, NULL, (char *const *)(uintptr_t)argv, env);
    posix_spawn_file_actions_destroy(&files);
    close(fds[1]);
    uint64_t end = hd_clock_ms() + timeout_ms;
    if (rc == 0)
        read_all(out, fds[0], end);
    close(fds[0]);
    return rc != 0 || wait_for(pid, end) != 0 ? HD_EIO : 0;
}
