/* doctor_runtimes.c - is each runtime there, and does it run? */
#include "cli/doctor.h"

#include "cli/term.h"
#include "core/clock.h"
#include "node/runtimes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ANSWER_MS = 5000, OUTPUT_MAX = 256 };

struct runtime {
    const char *name;
    const char *args[4];   /* that print a version in the first line */
    unsigned major, minor; /* the oldest that works */
    const char *fix;
};
static const struct runtime runtimes[] = {
    {"deno", {"--version"}, 2, 0, "make deps, or name the program with --deno PATH"},
    {"node", {"--version"}, 18, 0, "apt-get install nodejs, or name the program with --node PATH"},
    {"python",
     {"--version"},
     3,
     9,
     "apt-get install python3, or name the program with --python PATH"},
};

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* @return the program's path for the caller to free, or NULL. */
static char *find(const char *program, const char *path)
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
static size_t read_all(int fd, char *into, size_t size)
{
    uint64_t end = hd_clock_ms() + ANSWER_MS;
    size_t len = 0;
    while (len < size) {
        uint64_t now = hd_clock_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (now >= end || poll(&p, 1, (int)(end - now)) <= 0)
            break;
        ssize_t n = read(fd, into + len, size - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    return len;
}

/* Reap the child by a deadline, with SIGKILL behind it. */
static int wait_for(pid_t pid)
{
    uint64_t end = hd_clock_ms() + ANSWER_MS;
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

/* @return the first line it printed, for the caller to free; NULL if it did not run well. */
static char *first_line(const char *program, const char *const *args, char *const *env)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return NULL;
    char *argv[6] = {(char *)(uintptr_t)program};
    for (size_t i = 0; i < 4 && args[i] != NULL; i++)
        argv[i + 1] = (char *)(uintptr_t)args[i];
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t pid = 0;
    int rc = posix_spawn(&pid, program, &files, NULL, argv, env);
    posix_spawn_file_actions_destroy(&files);
    close(fds[1]);
    char text[OUTPUT_MAX];
    size_t len = rc == 0 ? read_all(fds[0], text, sizeof(text)) : 0;
    close(fds[0]);
    if (rc != 0 || wait_for(pid) != 0 || len == 0)
        return NULL;
    return hd_strdup_n(hd_str_n(text, hd_str_find(hd_str_n(text, len), '\n')));
}

/* The first two numbers: "Python 3.11.2" is 3 and 11. */
static void parse_version(unsigned *major, unsigned *minor, const char *line)
{
    uint64_t a = 0, b = 0;
    line += strcspn(line, "0123456789");
    size_t n = strspn(line, "0123456789");
    if (hd_str_to_u64(&a, hd_str_n(line, n)) == 0 && line[n] == '.')
        hd_str_to_u64(&b, hd_str_n(line + n + 1, strspn(line + n + 1, "0123456789")));
    *major = (unsigned)a;
    *minor = (unsigned)b;
}

static void check(struct hd_findings *f, const struct runtime *r, const char *program,
                  char *const *env)
{
    hd_auto_free char *path = find(program, hd_env_get(env, "PATH"));
    if (path == NULL) {
        hd_findings_add(
            f, r->name, HD_HEALTH_NOTE,
            hd_printf("%s was not found; functions for %s cannot run", program, r->name),
            hd_strdup(r->fix));
        return;
    }
    hd_auto_free char *line = first_line(path, r->args, env);
    unsigned major = 0, minor = 0;
    if (line == NULL) {
        hd_findings_add(f, r->name, HD_HEALTH_BAD, hd_printf("%s does not run", path),
                        hd_printf("%s %s   shows why", path, r->args[0]));
        return;
    }
    parse_version(&major, &minor, line);
    if (major < r->major || (major == r->major && minor < r->minor))
        hd_findings_add(
            f, r->name, HD_HEALTH_BAD,
            hd_printf("%s is %s; it must be %u.%u or newer", path, line, r->major, r->minor),
            hd_strdup(r->fix));
    else
        hd_findings_add(f, r->name, HD_HEALTH_GOOD, hd_printf("%s, %s", line, path), NULL);
}

/* The small programs that load a function into a runtime. */
static void check_hosts(struct hd_findings *f, const char *hosts)
{
    static const char *const files[] = {"deno/host.ts", "node/host.mjs", "python/host.py"};
    if (hosts == NULL) {
        hd_findings_add(f, "runtime hosts", HD_HEALTH_BAD,
                        hd_strdup("their folder was not found beside the program"),
                        hd_strdup("make install, or name the folder with --runtimes-dir"));
        return;
    }
    for (size_t i = 0; i < HD_COUNT(files); i++) {
        hd_auto_free char *path = hd_printf("%s/%s", hosts, files[i]);
        if (access(path, R_OK) == 0)
            continue;
        hd_findings_add(f, "runtime hosts", HD_HEALTH_BAD, hd_printf("%s cannot be read", path),
                        hd_strdup("make install, or name another folder with --runtimes-dir"));
        return;
    }
    hd_findings_add(f, "runtime hosts", HD_HEALTH_GOOD, hd_strdup(hosts), NULL);
}

void hd_doctor_runtimes(struct hd_findings *f, const struct hd_node_options *opt, char *const *env)
{
    hd_auto_free char *hosts = hd_node_runtimes_dir(opt);
    hd_auto_free char *deno = hd_node_deno(opt, hosts);
    const char *const programs[] = {deno, opt->node, opt->python};
    size_t before = f->n, found = 0;
    for (size_t i = 0; i < HD_COUNT(runtimes); i++)
        check(f, &runtimes[i], programs[i], env);
    for (size_t i = before; i < f->n; i++)
        found += f->items[i].health == HD_HEALTH_GOOD;
    check_hosts(f, hosts);
    if (found == 0)
        hd_findings_add(f, "runtimes", HD_HEALTH_BAD,
                        hd_strdup("no runtime works: nothing but programs that serve HTTP "
                                  "themselves can be run"),
                        hd_strdup("apt-get install nodejs python3"));
}
