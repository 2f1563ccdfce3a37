#include "shim/shim.h"

#include "shim/envtable.h"
#include "shim/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 4096, LIST_MAX = 256 };

/* What the system says, as it is known from function errors: "permission denied". */
static void reason(char out[128], int sys)
{
    const char *text = sys != 0 ? strerrordesc_np(sys) : NULL;
    snprintf(out, 128, "%s", text != NULL ? text : "cannot be started");
    if (out[0] >= 'A' && out[0] <= 'Z')
        out[0] = (char)(out[0] + ('a' - 'A'));
}

/* Start one program with pipes for its output. */
static int start(struct hd_shim *s, struct hd_shim_program *p, const char *name,
                 struct hd_tree_program *what, struct hd_error *err)
{
    int out[2], errs[2];
    if (pipe2(out, O_CLOEXEC) < 0)
        return hd_fail_sys(err, errno, "pipe");
    if (pipe2(errs, O_CLOEXEC) < 0) {
        int sys = errno;
        close(out[0]);
        close(out[1]);
        return hd_fail_sys(err, sys, "pipe");
    }
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    fcntl(errs[0], F_SETFL, O_NONBLOCK);
    what->out = out[1];
    what->err = errs[1];
    int rc = hd_tree_start(&p->pid, what, err);
    close(out[1]);
    close(errs[1]);
    if (rc < 0) {
        close(out[0]);
        close(errs[0]);
        return rc;
    }
    p->name = hd_strdup(name);
    bool extension = p != &s->programs[HD_SHIM_RUNTIME];
    hd_shim_output_open(&p->out, s, out[0], extension);
    hd_shim_output_open(&p->err, s, errs[0], extension);
    return 0;
}

/* --- extensions --- */

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The executable files of a folder, in the order of their names. */
static size_t list_executables(char **names, size_t max, const char *folder)
{
    size_t n = 0;
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir != NULL && n < max && (entry = readdir(dir)) != NULL) {
        char path[PATH_MAX_BYTES];
        struct stat st;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111) != 0)
            names[n++] = hd_strdup(entry->d_name);
    }
    if (dir != NULL)
        closedir(dir);
    qsort((void *)names, n, sizeof(*names), compare);
    return n;
}

static int start_extension(struct hd_shim *s, const char *folder, char *name, unsigned place,
                           char **env, struct hd_failure *fault)
{
    struct hd_error err;
    hd_auto_free char *path = hd_printf("%s/%s", folder, name);
    char *argv[] = {path, NULL};
    struct hd_tree_program what = {.path = path, .argv = argv, .env = env, .keep_fd = -1};
    if (strlen(name) > HD_EXT_NAME_MAX || hd_exts_start(&s->exts, hd_str(name)) == NULL) {
        hd_failure_set(fault, "TooManyExtensions",
                       "%s: there can be no more than %d extensions, with names of %d bytes",
                       folder, HD_EXT_MAX, HD_EXT_NAME_MAX);
        return HD_EINVAL;
    }
    int rc = start(s, &s->programs[place], name, &what, &err);
    if (rc == 0)
        return 0;
    char why[128];
    reason(why, err.sys);
    hd_failure_set(fault, "Extension.LaunchError", "fork/exec %s: %s", path, why);
    return rc;
}

int hd_shim_start_extensions(struct hd_shim *s, struct hd_failure *fault)
{
    char *names[LIST_MAX];
    hd_auto_free char *folder = hd_printf("%s/extensions", s->load->opt_dir);
    size_t n = list_executables(names, LIST_MAX, folder);
    char **env = hd_envtable_make(s->load, s->opt.env, s->api_address, HD_ENV_EXTENSION);
    int rc = 0;
    for (size_t i = 0; i < n; i++) {
        if (rc == 0)
            rc = start_extension(s, folder, names[i], (unsigned)i + 1, env, fault);
        free(names[i]);
    }
    hd_envtable_free(env);
    return rc;
}

/* --- the runtime --- */

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static char *find_bootstrap(const struct hd_loadreq *l)
{
    const char *const folders[] = {l->root, l->opt_dir, l->runtime_dir};
    for (size_t i = 0; i < HD_COUNT(folders); i++) {
        char *path = hd_printf("%s/bootstrap", folders[i]);
        if (is_file(path))
            return path;
        free(path);
    }
    return NULL;
}

/* A command's file, as a shell finds it. */
static char *find_command(const char *name, char *const *env)
{
    struct hd_str rest = hd_str(hd_envtable_get(env, "PATH")), folder;
    if (strchr(name, '/') != NULL)
        return hd_strdup(name);
    while (hd_str_split(&folder, &rest, ':')) {
        char *path = hd_printf("%.*s/%s", HD_FMT(folder), name);
        if (is_file(path) && access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return hd_strdup(name);
}

int hd_shim_start_runtime(struct hd_shim *s, struct hd_failure *fault)
{
    struct hd_loadreq *l = s->load;
    char *const *argv = s->opt.argv != NULL ? s->opt.argv : l->argv[0] != NULL ? l->argv : NULL;
    char **env = hd_envtable_make(l, s->opt.env, s->api_address, HD_ENV_RUNTIME);
    hd_auto_free char *path = argv != NULL ? find_command(argv[0], env) : find_bootstrap(l);
    char *own_argv[] = {path, NULL};
    struct hd_error err = {0};
    int keep_fd = path != NULL ? hd_shim_direct_offer(s, path, &env) : -1;
    struct hd_tree_program what = {.path = path,
                                   .argv = argv != NULL ? argv : own_argv,
                                   .env = env,
                                   .cwd = s->opt.argv == NULL ? l->root : NULL,
                                   .keep_fd = keep_fd};
    int rc = HD_ENOTFOUND;
    if (path == NULL)
        hd_failure_set(fault, "Runtime.InvalidEntrypoint",
                       "Couldn't find valid bootstrap(s): [%s/bootstrap %s/bootstrap]", l->root,
                       l->opt_dir);
    else
        rc = start(s, &s->programs[HD_SHIM_RUNTIME], "runtime", &what, &err);
    hd_shim_direct_started(s, rc == 0);
    if (rc < 0 && path != NULL) {
        char why[128];
        reason(why, err.sys);
        hd_failure_set(fault, "Runtime.InvalidEntrypoint", "fork/exec %s: %s", path, why);
    }
    hd_envtable_free(env);
    return rc;
}

/* --- ends --- */

bool hd_shim_reap(struct hd_shim *s)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (int i = 0; i < HD_SHIM_PROGRAMS_MAX; i++) {
            struct hd_shim_program *p = &s->programs[i];
            if (p->pid != pid)
                continue;
            p->pid = 0;
            hd_shim_ended(s, p, status);
        }
    }
    return pid == 0;
}

bool hd_shim_drain_output(struct hd_shim *s)
{
    for (int i = 0; i < HD_SHIM_PROGRAMS_MAX; i++) {
        hd_shim_output_drain(&s->programs[i].out);
        hd_shim_output_drain(&s->programs[i].err);
    }
    return hd_shim_sink_flush(s);
}

void hd_shim_close_programs(struct hd_shim *s)
{
    for (int i = 0; i < HD_SHIM_PROGRAMS_MAX; i++) {
        struct hd_shim_program *p = &s->programs[i];
        hd_shim_output_close(&p->out);
        hd_shim_output_close(&p->err);
        free(p->name);
        p->name = NULL;
        p->pid = 0;
    }
}
