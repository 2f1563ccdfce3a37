#include "pool/process/interpreter.h"

#include "core/buf.h"
#include "core/clock.h"
#include "pool/process/program.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ASK_MS = 5000,
    ANSWER_MAX = 4096,
    PYTHON_OLDEST = 6, /* of Python 3 */
    PYTHON_NEWEST = 20,
    NODE_OLDEST = 14,
    NODE_NEWEST = 40,
};

/* --- what is asked for --- */

/* "20" or "3.11" at the front of a text. @return false: there is no number. */
static bool read_version(unsigned *major, unsigned *minor, const char *text)
{
    return sscanf(text, "%4u.%4u", major, minor) >= 1;
}

struct hd_runtime_want hd_runtime_want(const char *id)
{
    static const struct {
        const char *prefix;
        enum hd_interpreter_family family;
    } families[] = {{"nodejs", HD_INTERPRETER_NODE},
                    {"python", HD_INTERPRETER_PYTHON},
                    {"provided", HD_INTERPRETER_NONE}};
    struct hd_runtime_want want = {.family = HD_INTERPRETER_ELSE};
    for (size_t i = 0; id != NULL && i < HD_COUNT(families); i++) {
        size_t len = strlen(families[i].prefix);
        if (strncmp(id, families[i].prefix, len) != 0)
            continue;
        want.family = families[i].family;
        if (want.family != HD_INTERPRETER_NONE)
            read_version(&want.major, &want.minor, id + len);
        if (want.family == HD_INTERPRETER_NODE)
            want.minor = 0; /* "20.x" */
    }
    return want;
}

/* --- the choice --- */

static bool is_known(const struct hd_interpreter *i)
{
    return i->major != 0;
}

/* How far a version is from the one that is wanted; older is a little farther. */
static unsigned distance(const struct hd_interpreter *i, struct hd_runtime_want want)
{
    unsigned have = i->family == HD_INTERPRETER_PYTHON ? i->major * 1000 + i->minor : i->major;
    unsigned wanted =
        i->family == HD_INTERPRETER_PYTHON ? want.major * 1000 + want.minor : want.major;
    if (!is_known(i) || want.major == 0)
        return 0;
    return have >= wanted ? (have - wanted) * 2 : (wanted - have) * 2 + 1;
}

const struct hd_interpreter *hd_interpreter_pick(const struct hd_interpreters *all,
                                                 struct hd_runtime_want want, bool *exact)
{
    const struct hd_interpreter *best = NULL;
    for (size_t k = 0; k < all->n; k++) {
        const struct hd_interpreter *i = &all->v[k];
        if (i->family != want.family)
            continue;
        if (best == NULL || distance(i, want) < distance(best, want) ||
            (distance(i, want) == distance(best, want) && is_known(i) && !is_known(best)))
            best = i;
    }
    *exact = best != NULL && distance(best, want) == 0;
    return best;
}

const char *hd_interpreter_problem(enum hd_interpreter_family family)
{
    switch (family) {
    case HD_INTERPRETER_NODE:
        return "Node.js is not installed where functions can reach it: apt-get install nodejs, or "
               "name the program with --node PATH";
    case HD_INTERPRETER_PYTHON:
        return "Python is not installed where functions can reach it: apt-get install python3, or "
               "name the program with --python PATH";
    case HD_INTERPRETER_NONE:
        return "heddle-shim, which runs functions that bring their own runtime, is not there: it "
               "lies beside heddle or in ../libexec/heddle";
    case HD_INTERPRETER_ELSE:
        return "This runtime is not run by processes of this machine: it needs an image, and "
               "Docker or Podman to run it";
    }
    return "";
}

void hd_interpreter_version(char out[HD_INTERPRETER_TEXT_MAX + 1], const char *id,
                            const struct hd_interpreter *chosen)
{
    size_t name = strcspn(id, "0123456789."), len = strlen(id);
    if (chosen != NULL && is_known(chosen)) {
        snprintf(out, HD_INTERPRETER_TEXT_MAX + 1, "%.*s:%u.%u", (int)name, id, chosen->major,
                 chosen->minor);
        return;
    }
    if (len > 2 && strcmp(id + len - 2, ".x") == 0)
        len -= 2;
    const char *rest = id + name + (id[name] == '.');
    snprintf(out, HD_INTERPRETER_TEXT_MAX + 1, "%.*s%s%.*s", (int)name, id,
             *rest != '\0' ? ":" : "", (int)(id + len - rest), rest);
}

void hd_interpreter_note(char out[HD_INTERPRETER_TEXT_MAX + 1], const char *id,
                         const struct hd_interpreter *chosen)
{
    size_t room = HD_INTERPRETER_TEXT_MAX + 1;
    if (chosen->family == HD_INTERPRETER_NODE)
        snprintf(out, room, "Runtime %.40s is not installed: Node.js %u runs it (%.120s)", id,
                 chosen->major, chosen->path);
    else
        snprintf(out, room, "Runtime %.40s is not installed: Python %u.%u runs it (%.120s)", id,
                 chosen->major, chosen->minor, chosen->path);
}

/* --- what is installed --- */

static void add(struct hd_interpreters *all, enum hd_interpreter_family family, const char *path,
                unsigned major, unsigned minor)
{
    for (size_t i = 0; i < all->n; i++)
        if (strcmp(all->v[i].path, path) == 0)
            return;
    if (all->n == HD_INTERPRETERS_MAX)
        return;
    all->v[all->n++] = (struct hd_interpreter){
        .family = family, .path = hd_strdup(path), .major = major, .minor = minor};
}

static void add_named(struct hd_interpreters *all, enum hd_interpreter_family family,
                      const char *name, const char *path, bool for_others, unsigned major,
                      unsigned minor)
{
    hd_auto_free char *found = hd_program_find(name, path, for_others);
    if (found != NULL)
        add(all, family, found, major, minor);
}

/* Folders of version managers: the version stands in the path, behind the last "/" or "/v". */
static void add_managed(struct hd_interpreters *all, enum hd_interpreter_family family,
                        const char *home, const char *pattern, bool for_others)
{
    glob_t g;
    hd_auto_free char *full =
        pattern[0] == '/' ? hd_strdup(pattern) : hd_printf("%s/%s", home, pattern);
    if (glob(full, GLOB_NOSORT, NULL, &g) != 0)
        return;
    for (size_t i = 0; i < g.gl_pathc; i++) {
        const char *digits = strpbrk(g.gl_pathv[i] + strcspn(full, "*["), "0123456789");
        unsigned major = 0, minor = 0;
        hd_auto_free char *found = hd_program_find(g.gl_pathv[i], "", for_others);
        if (found != NULL && digits != NULL && read_version(&major, &minor, digits))
            add(all, family, found, major, minor);
    }
    globfree(&g);
}

void hd_interpreters_find(struct hd_interpreters *out, const char *node, const char *python,
                          const char *path, bool for_others)
{
    static const char *const nodes[] = {"/usr/local/n/versions/node/*/bin/node",
                                        ".nvm/versions/node/v*/bin/node",
                                        ".local/share/fnm/node-versions/v*/installation/bin/node"};
    static const char *const pythons[] = {".pyenv/versions/[0-9]*/bin/python3"};
    const char *home = getenv("HOME");
    char name[32];
    *out = (struct hd_interpreters){.n = 0};
    if (node != NULL)
        add(out, HD_INTERPRETER_NODE, node, 0, 0);
    if (python != NULL)
        add(out, HD_INTERPRETER_PYTHON, python, 0, 0);
    for (size_t i = 0; i < out->n; i++)
        out->v[i].preferred = true;
    for (unsigned minor = PYTHON_OLDEST; minor <= PYTHON_NEWEST; minor++) {
        snprintf(name, sizeof(name), "python3.%u", minor);
        add_named(out, HD_INTERPRETER_PYTHON, name, path, for_others, 3, minor);
    }
    for (unsigned major = NODE_OLDEST; major <= NODE_NEWEST; major++) {
        snprintf(name, sizeof(name), "node%u", major);
        add_named(out, HD_INTERPRETER_NODE, name, path, for_others, major, 0);
    }
    if (home == NULL || home[0] != '/' || for_others)
        home = "/nonexistent"; /* nobody else reaches what is in there */
    for (size_t i = 0; i < HD_COUNT(nodes); i++)
        add_managed(out, HD_INTERPRETER_NODE, home, nodes[i], for_others);
    for (size_t i = 0; i < HD_COUNT(pythons); i++)
        add_managed(out, HD_INTERPRETER_PYTHON, home, pythons[i], for_others);
}

/* --- asking --- */

/* @return the program's output, or NULL. */
static char *run(const char *path, const char *const *args)
{
    char *argv[5] = {(char *)path};
    int p[2], status;
    pid_t pid;
    posix_spawn_file_actions_t actions;
    for (size_t i = 0; args[i] != NULL; i++)
        argv[i + 1] = (char *)args[i];
    if (pipe2(p, O_CLOEXEC) < 0)
        return NULL;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, p[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int rc = posix_spawn(&pid, path, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(p[1]);
    struct hd_buf b;
    hd_buf_init(&b, ANSWER_MAX);
    struct pollfd wait = {.fd = p[0], .events = POLLIN};
    uint64_t until = hd_clock_ms() + ASK_MS;
    for (bool more = rc == 0; more;) {
        uint64_t now = hd_clock_ms();
        char *room = hd_buf_reserve(&b, 256);
        more = room != NULL && now < until && poll(&wait, 1, (int)(until - now)) == 1;
        ssize_t n = more ? read(p[0], room, 256) : 0;
        hd_buf_commit(&b, (size_t)HD_MAX(n, 0));
        more = n > 0;
    }
    close(p[0]);
    if (rc == 0) {
        kill(pid, SIGKILL); /* it has said all that it had to say */
        waitpid(pid, &status, 0);
    }
    char *text = hd_buf_take(&b);
    hd_buf_done(&b);
    return text;
}

static void ask(struct hd_interpreter *i)
{
    static const char *const node[] = {"-p", "process.versions.node + '\\n' + process.execPath",
                                       NULL};
    static const char *const python[] = {
        "-I", "-c", "import sys; print(sys.version.split()[0]); print(sys.executable)", NULL};
    unsigned major = 0, minor = 0;
    hd_auto_free char *text = run(i->path, i->family == HD_INTERPRETER_NODE ? node : python);
    struct hd_str rest = hd_str(text), version, program;
    if (text == NULL || !hd_str_split(&version, &rest, '\n') ||
        !hd_str_split(&program, &rest, '\n') || !read_version(&major, &minor, text))
        return;
    i->major = major;
    i->minor = minor;
    if (program.len == 0 || program.ptr[0] != '/')
        return;
    free(i->path);
    i->path = hd_strdup_n(program);
}

void hd_interpreters_ask(struct hd_interpreters *all)
{
    for (size_t k = 0; k < all->n; k++)
        if (!is_known(&all->v[k]))
            ask(&all->v[k]);
}

void hd_interpreters_copy(struct hd_interpreters *out, const struct hd_interpreters *from)
{
    *out = *from;
    for (size_t i = 0; i < out->n; i++)
        out->v[i].path = hd_strdup(from->v[i].path);
}

void hd_interpreters_done(struct hd_interpreters *all)
{
    for (size_t i = 0; i < all->n; i++)
        free(all->v[i].path);
    *all = (struct hd_interpreters){.n = 0};
}
