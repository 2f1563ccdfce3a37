#include "shim/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TABLE_MAX = 32768, PASSES = 20 };

void hd_tree_adopt(void)
{
    if (getpid() != 1)
        prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* --- starting --- */

/* Runs in the child, in the parent's memory (vfork): nothing but system calls. */
static int prepare(const struct hd_tree_program *what, pid_t parent)
{
    sigset_t none;
    struct sigaction plain = {.sa_handler = SIG_DFL};
    for (int s = 1; s < NSIG; s++)
        sigaction(s, &plain, NULL);
    if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return errno;
    if (getppid() != parent)
        return ESRCH;
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(what->out, STDOUT_FILENO) < 0 ||
        dup2(what->err, STDERR_FILENO) < 0)
        return errno;
    if (what->keep_fd >= 0 && fcntl(what->keep_fd, F_SETFD, 0) < 0)
        return errno;
    if (null > STDERR_FILENO && null != what->keep_fd)
        close(null);
    if (what->cwd != NULL && chdir(what->cwd) < 0)
        return errno;
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? errno : 0;
}

int hd_tree_start(pid_t *pid, const struct hd_tree_program *what, struct hd_error *err)
{
    volatile int failed = 0;
    sigset_t all, before;
    pid_t parent = getpid();
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before); /* none of our handlers runs in the child */
    pid_t child = vfork();
    if (child == 0) {
        failed = prepare(what, parent);
        if (failed == 0) {
            execve(what->path, what->argv, what->env);
            failed = errno;
        }
        _exit(127);
    }
    int sys = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (child < 0)
        return hd_fail_sys(err, sys, "%s", what->path);
    if (failed != 0) {
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
        return hd_fail_sys(err, failed, "%s", what->path);
    }
    *pid = child;
    return 0;
}

/* --- ending --- */

bool hd_tree_stat(struct hd_tree_process *out, struct hd_str stat)
{
    /* "12 (a name, with anything in it) S 1 …" */
    size_t close = stat.len;
    while (close > 0 && stat.ptr[close - 1] != ')')
        close--;
    uint64_t pid, parent;
    if (close == 0 || close + 4 > stat.len ||
        hd_str_to_u64(&pid, hd_str_n(stat.ptr, hd_str_find(stat, ' '))) < 0)
        return false;
    char state = stat.ptr[close + 1];
    struct hd_str rest = hd_str_n(stat.ptr + close + 3, stat.len - close - 3);
    if (hd_str_to_u64(&parent, hd_str_n(rest.ptr, hd_str_find(rest, ' '))) < 0)
        return false;
    *out = (struct hd_tree_process){.pid = (pid_t)pid, .parent = (pid_t)parent};
    return state != 'Z' && state != 'X';
}

static int by_pid(const void *a, const void *b)
{
    const struct hd_tree_process *x = a, *y = b;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

/* Walk up from @p p; a table that changed while it was read may have no way up, or a circle. */
static bool is_below(const struct hd_tree_process *table, size_t n, const struct hd_tree_process *p,
                     pid_t root)
{
    for (size_t steps = 0; p != NULL && steps <= n; steps++) {
        if (p->parent == root)
            return true;
        struct hd_tree_process key = {.pid = p->parent};
        p = bsearch(&key, table, n, sizeof(*table), by_pid);
    }
    return false;
}

unsigned hd_tree_below(struct hd_tree_process *table, size_t n, pid_t root)
{
    unsigned found = 0;
    qsort(table, n, sizeof(*table), by_pid);
    for (size_t i = 0; i < n; i++) {
        table[i].below = is_below(table, n, &table[i], root);
        found += table[i].below;
    }
    return found;
}

static size_t read_table(struct hd_tree_process *table)
{
    size_t n = 0;
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    while (proc != NULL && n < TABLE_MAX && (entry = readdir(proc)) != NULL) {
        char path[300], text[512];
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
            continue;
        snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t len = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
        if (fd >= 0)
            close(fd);
        if (len > 0 && hd_tree_stat(&table[n], hd_str_n(text, (size_t)len)))
            n++;
    }
    if (proc != NULL)
        closedir(proc);
    return n;
}

unsigned hd_tree_signal(pid_t pid, int signal)
{
    unsigned found = 0;
    if (pid != getpid())
        found += kill(pid, signal) == 0;
    else if (pid == 1)
        return kill(-1, signal) == 0; /* all of our PID namespace */
    struct hd_tree_process *table = hd_new_array(struct hd_tree_process, TABLE_MAX);
    /* What is killed cannot be missed, but what forks meanwhile can: look again. */
    for (int pass = 0; pass < (signal == SIGKILL ? PASSES : 1); pass++) {
        size_t n = read_table(table);
        unsigned below = hd_tree_below(table, n, pid);
        for (size_t i = 0; i < n; i++)
            if (table[i].below)
                kill(table[i].pid, signal);
        found += below;
        if (below == 0)
            break;
    }
    free(table);
    return found;
}
