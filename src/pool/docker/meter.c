#include "pool/docker/meter.h"

#include "core/buf.h"

#include <fcntl.h>
#include <sys/pidfd.h>
#include <unistd.h>

enum { TEXT_MAX = 4 << 20 };

/* @return the contents of a file of /proc; the caller ends it. */
static struct hd_buf read_text(const char *path)
{
    char chunk[4096];
    struct hd_buf text;
    ssize_t n;
    hd_buf_init(&text, TEXT_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && (n = read(fd, chunk, sizeof(chunk))) > 0)
        hd_buf_add(&text, chunk, (size_t)n);
    if (fd >= 0)
        close(fd);
    return text;
}

/* A folder that is not the container's own would count what others use. */
static char *folder(struct hd_str mounts, struct hd_str groups, const char *controller,
                    const char *id)
{
    char *dir = hd_cgroup_find(mounts, groups, controller);
    if (dir != NULL && strstr(dir, id) != NULL)
        return dir;
    free(dir);
    return NULL;
}

int hd_docker_meter_open(struct hd_cgroup *used, pid_t pid, const char *id)
{
    *used = (struct hd_cgroup){.memory = NULL};
    int process = pid > 1 ? pidfd_open(pid, 0) : -1;
    if (process < 0)
        return -1;
    hd_auto_free char *path = hd_printf("/proc/%d/cgroup", (int)pid);
    struct hd_buf groups = read_text(path), mounts = read_text("/proc/self/mountinfo");
    struct hd_str g = hd_buf_view(&groups), m = hd_buf_view(&mounts);
    if (g.len == 0 || memmem(g.ptr, g.len, id, strlen(id)) == NULL) {
        close(process);
        process = -1;
    } else {
        used->memory = folder(m, g, "memory", id);
        used->cpuacct = folder(m, g, "cpuacct", id);
        if (used->memory == NULL)
            used->memory = folder(m, g, "", id);
        if (used->cpuacct == NULL)
            used->cpu = folder(m, g, "", id);
    }
    hd_buf_done(&groups);
    hd_buf_done(&mounts);
    return process;
}
