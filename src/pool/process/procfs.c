#include "pool/process/procfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { TREE_MAX = 100 };

static struct hd_str read_small(const char *path, char *buf, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return hd_str_n(NULL, 0);
    ssize_t n = read(fd, buf, cap);
    close(fd);
    return n > 0 ? hd_str_n(buf, (size_t)n) : hd_str_n(NULL, 0);
}

int hd_proc_parse(struct hd_proc *out, struct hd_str stat, long ticks_per_s, long page_bytes)
{
    /* proc(5): the second field is the name in parentheses, with anything inside. */
    size_t close_at = stat.len;
    while (close_at > 0 && stat.ptr[close_at - 1] != ')')
        close_at--;
    if (close_at == 0)
        return HD_EPROTO;
    struct hd_str rest = hd_str_n(stat.ptr + close_at, stat.len - close_at), word;
    uint64_t field[25] = {0};
    unsigned i = 2; /* numbered as in the manual */
    hd_str_split(&word, &rest, ' ');
    while (++i < HD_COUNT(field) && hd_str_split(&word, &rest, ' '))
        if (hd_str_to_u64(&field[i], word) < 0)
            field[i] = 0; /* the state's letter, a negative number */
    if (i < HD_COUNT(field))
        return HD_EPROTO;
    uint64_t ticks = field[14] + field[15] + field[16] + field[17];
    *out = (struct hd_proc){.parent = (pid_t)field[4],
                            .cpu_us = ticks * 1000000 / (uint64_t)ticks_per_s,
                            .start_ticks = field[22],
                            .rss_bytes = field[24] * (uint64_t)page_bytes};
    return 0;
}

int hd_proc_read(struct hd_proc *out, pid_t pid)
{
    char path[48], buf[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    struct hd_str stat = read_small(path, buf, sizeof(buf));
    if (stat.len == 0 || hd_proc_parse(out, stat, sysconf(_SC_CLK_TCK), sysconf(_SC_PAGESIZE)) < 0)
        return HD_ENOTFOUND;
    return 0;
}

pid_t hd_proc_child(pid_t pid)
{
    char path[64], buf[256];
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    struct hd_str list = read_small(path, buf, sizeof(buf)), first;
    uint64_t n = 0;
    if (!hd_str_split(&first, &list, ' ') || hd_str_to_u64(&n, first) < 0 || n > INT32_MAX)
        return 0;
    return (pid_t)n;
}

static uint64_t own_bytes(pid_t pid)
{
    char path[48], buf[128];
    unsigned long long total = 0, resident = 0, shared = 0;
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    struct hd_str text = read_small(path, buf, sizeof(buf) - 1);
    buf[text.len] = '\0';
    if (sscanf(buf, "%llu %llu %llu", &total, &resident, &shared) != 3 || resident < shared)
        return 0;
    return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t hd_proc_tree_bytes(pid_t pid)
{
    pid_t all[TREE_MAX] = {pid};
    size_t n = 1;
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        char path[64], buf[1024];
        sum += own_bytes(all[i]);
        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)all[i], (int)all[i]);
        struct hd_str list = read_small(path, buf, sizeof(buf)), word;
        uint64_t child;
        while (n < TREE_MAX && hd_str_split(&word, &list, ' '))
            if (hd_str_to_u64(&child, word) == 0 && child <= INT32_MAX)
                all[n++] = (pid_t)child;
    }
    return sum;
}

void hd_boot_id(char out[37])
{
    struct hd_str id = read_small("/proc/sys/kernel/random/boot_id", out, 36);
    out[id.len] = '\0';
}
