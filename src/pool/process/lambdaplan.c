#include "pool/process/lambdaplan.h"

#include "pool/process/program.h"

#include <unistd.h>

enum {
    FILES = 1024,
    LOCKED_KB = 64,
    STACK_MB = 8,
    EPHEMERAL_MB = 512,
    SEEN_UID = 993,
    SEEN_GID = 990,
};
#define RUN_PLACE "/run/heddle"

static void add(struct hd_spec_list *l, const char *s)
{
    hd_spec_list_add(l, s);
}

static bool is_runtime(const struct hd_launch *w, const char *runtime)
{
    return strcmp(w->runtime, runtime) == 0;
}

/* --- the program --- */

/* Add a program under the name by which the instance sees it. */
static void add_program(struct hd_sandbox_spec *s, const char *path)
{
    hd_auto_free char *real = realpath(path, NULL);
    hd_auto_free char *home = hd_program_home(path);
    if (real == NULL || !s->layout) {
        add(&s->argv, path);
        return;
    }
    if (home == NULL) { /* the system's folders are there */
        add(&s->argv, real);
        return;
    }
    hd_auto_free char *seen = hd_printf("/var/lang%s", real + strlen(home));
    hd_sandbox_bind(s, "/var/lang", home, false);
    add(&s->argv, seen);
}

/* Add a part of the hosts' folder under /var/runtime. */
static void bind_runtime(struct hd_sandbox_spec *s, const struct hd_process_options *opt,
                         const char *part)
{
    hd_auto_free char *from = hd_printf("%s/%s", opt->runtimes_dir, part);
    hd_auto_free char *place = hd_printf("/var/runtime/%s", part);
    if (s->layout)
        hd_sandbox_bind(s, place, from, false);
}

static void add_host(struct hd_sandbox_spec *s, const struct hd_process_options *opt,
                     const char *file)
{
    hd_auto_free char *path =
        hd_printf("%s/%s", s->layout ? "/var/runtime" : opt->runtimes_dir, file);
    add(&s->argv, path);
}

static void node_command(struct hd_sandbox_spec *s, const struct hd_lambdaplan_site *site,
                         const char *program)
{
    add_program(s, program);
    add_host(s, site->opt, "node/host.mjs");
    bind_runtime(s, site->opt, "node");
    bind_runtime(s, site->opt, "common");
}

static void python_command(struct hd_sandbox_spec *s, const struct hd_lambdaplan_site *site,
                           const char *program)
{
    add_program(s, program);
    add(&s->argv, "-I");
    add(&s->argv, "-u");
    add(&s->argv, "-B");
    add_host(s, site->opt, "python/host.py");
    bind_runtime(s, site->opt, "python");
}

static void shim_command(struct hd_sandbox_spec *s, const struct hd_lambdaplan_site *site)
{
    if (s->layout)
        hd_sandbox_bind(s, "/var/runtime/heddle-shim", site->opt->shim_bin, false);
    add(&s->argv, s->layout ? "/var/runtime/heddle-shim" : site->opt->shim_bin);
    if (s->parts & HD_SANDBOX_NET) {
        add(&s->argv, "--port");
        add(&s->argv, "9001");
    }
}

/* --- what must be there before the program starts --- */

static struct hd_str variable(const struct hd_launch *w, const char *name)
{
    size_t len = strlen(name);
    for (const char *const *p = w->env; p != NULL && *p != NULL; p++)
        if (strncmp(*p, name, len) == 0 && (*p)[len] == '=')
            return hd_str(*p + len + 1);
    return hd_str_n(NULL, 0);
}

/* What the function sees as /opt/x or /var/task/x lies elsewhere for us. */
static char *behind(const struct hd_launch_lambda *l, const char *path)
{
    if (strncmp(path, "/opt/", 5) == 0 && l->opt_dir != NULL)
        return hd_printf("%s/%s", l->opt_dir, path + 5);
    if (strncmp(path, "/var/task/", 10) == 0 && l->code_dir != NULL)
        return hd_printf("%s/%s", l->code_dir, path + 10);
    return hd_strdup(path);
}

static bool add_wrapper(struct hd_sandbox_spec *s, const struct hd_launch *w)
{
    hd_auto_free char *wanted = hd_strdup_n(variable(w, "AWS_LAMBDA_EXEC_WRAPPER"));
    if (wanted[0] != '/')
        return false;
    hd_auto_free char *real = behind(w->lambda, wanted);
    if (access(real, X_OK) < 0)
        return false;
    add(&s->argv, s->layout ? wanted : real);
    return true;
}

/* Variables that a runtime or the C library looks at only when the program starts. */
static bool is_early(struct hd_str name)
{
    static const char *const prefixes[] = {"LD_", "MALLOC_", "LC_", "NODE_", "OPENSSL_"};
    static const char *const names[] = {"GLIBC_TUNABLES", "UV_THREADPOOL_SIZE", "LANG",
                                        "SSL_CERT_FILE", "SSL_CERT_DIR"};
    for (size_t i = 0; i < HD_COUNT(names); i++)
        if (hd_str_is(name, names[i]))
            return true;
    for (size_t i = 0; i < HD_COUNT(prefixes); i++)
        if (hd_str_starts(name, hd_str(prefixes[i])))
            return !hd_str_is(name, "NODE_PATH") && !hd_str_is(name, "NODE_ENV");
    return false;
}

static void set_env(struct hd_spec_list *env, const char *pair)
{
    size_t len = strcspn(pair, "=") + 1;
    for (size_t i = 0; i < env->n; i++) {
        if (strncmp(env->v[i], pair, len) != 0)
            continue;
        free(env->v[i]);
        env->v[i] = hd_strdup(pair);
        return;
    }
    add(env, pair);
}

static bool has_lib(const char *dir)
{
    hd_auto_free char *path = dir != NULL ? hd_printf("%s/lib", dir) : NULL;
    return path != NULL && access(path, X_OK) == 0;
}

/* The loader of shared libraries reads this once, and remembers which of the folders are there:
 * a root of its own has them all from the beginning. */
static void library_path(struct hd_sandbox_spec *s, const struct hd_launch_lambda *l)
{
    if (s->layout) {
        add(&s->env, "LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:"
                     "/var/runtime/lib:/var/task:/var/task/lib:/opt/lib");
    } else if (has_lib(l->code_dir) || has_lib(l->opt_dir)) {
        hd_auto_free char *text =
            hd_printf("LD_LIBRARY_PATH=%s:%s/lib%s%s%s", l->code_dir, l->code_dir,
                      l->opt_dir != NULL ? ":" : "", l->opt_dir != NULL ? l->opt_dir : "",
                      l->opt_dir != NULL ? "/lib" : "");
        add(&s->env, text);
    }
}

/* What the function will find. @return to be done with; secrets are among it. */
static struct hd_strings table(const struct hd_lambdaplan_site *site, const struct hd_launch *w,
                               const struct hd_lambdaenv_instance *instance)
{
    struct hd_strings out = {0};
    struct hd_lambdaenv_places places = {.endpoint = site->endpoint_url};
    if (!site->layout) {
        places.task_root = w->lambda->code_dir;
        places.opt_dir = w->lambda->opt_dir != NULL ? w->lambda->opt_dir : "";
        places.runtime_dir = site->opt->runtimes_dir;
    }
    hd_lambdaenv_list(&out, w, &places, instance);
    if (site->more_env != NULL)
        site->more_env(site->more_env_arg, w->function, &out);
    return out;
}

static void forget(struct hd_strings *l)
{
    for (size_t i = 0; i < l->n; i++)
        explicit_bzero(l->items[i], strlen(l->items[i]));
    hd_strings_done(l);
}

/* A wrapper is a program of the function's: it sees everything that the function will. */
static void whole_environment(struct hd_sandbox_spec *s, const struct hd_lambdaplan_site *site,
                              const struct hd_launch *w,
                              const struct hd_lambdaenv_instance *instance)
{
    struct hd_strings all = table(site, w, instance);
    for (size_t i = 0; i < all.n; i++)
        set_env(&s->env, all.items[i]);
    forget(&all);
}

static void environment(struct hd_sandbox_spec *s, const struct hd_launch *w)
{
    const char *run = s->layout ? RUN_PLACE : HD_PLAN_DIR;
    hd_auto_free char *dir = hd_printf("HEDDLE_RUN_DIR=%s", run);
    hd_auto_free char *socket = hd_printf("HEDDLE_SOCKET=%s/sock", run);
    add(&s->env, dir);
    add(&s->env, socket);
    add(&s->env, "TZ=:UTC");
    add(&s->env, "LANG=en_US.UTF-8");
    if (is_runtime(w, "provided"))
        return; /* the shim starts programs with all that they need */
    library_path(s, w->lambda);
    for (const char *const *p = w->env; p != NULL && *p != NULL; p++)
        if (is_early(hd_str_n(*p, strcspn(*p, "="))))
            set_env(&s->env, *p);
}

/* --- confinement --- */

/* @return where the code is seen in a host that was started without it, or NULL. */
static char *hidden_place(const struct hd_process_options *opt, const char *dir)
{
    size_t len = opt->bundles_dir != NULL ? strlen(opt->bundles_dir) : 0;
    if (len == 0 || strncmp(dir, opt->bundles_dir, len) != 0 || dir[len] != '/')
        return NULL;
    return hd_printf("%s%s", HD_PLAN_CODE, dir + len);
}

static void confine_layout(struct hd_hostplan *p, const struct hd_lambdaplan_site *site)
{
    struct hd_sandbox_spec *s = &p->spec;
    const char *files = site->opt->files_dir;
    hd_sandbox_bind(s, RUN_PLACE, HD_PLAN_DIR, true);
    /* At its own path, which the function is told; not in a folder that is the function's own. */
    if (files != NULL && strchr(files, ':') == NULL && strncmp(files, "/tmp/", 5) != 0)
        hd_sandbox_bind(s, files, files, false);
    if (site->seen) {
        s->seen_uid = SEEN_UID;
        s->seen_gid = SEEN_GID;
    }
    p->late.hidden_code = hidden_place(site->opt, p->late.code_dir);
    p->late.hidden_opt = p->late.opt_dir != NULL ? hidden_place(site->opt, p->late.opt_dir) : NULL;
    p->late.possible =
        p->late.hidden_code != NULL && (p->late.opt_dir == NULL || p->late.hidden_opt != NULL);
    if (p->late.possible)
        hd_sandbox_bind(s, HD_PLAN_CODE, site->opt->bundles_dir, false);
}

static void confine_plain(struct hd_hostplan *p, const struct hd_process_options *opt)
{
    static const char *const shared[] = {"/tmp", "/var/tmp", "/dev/shm"};
    struct hd_sandbox_spec *s = &p->spec;
    p->late.possible = true;
    if (!(s->parts & HD_SANDBOX_MOUNT))
        return;
    add(&s->keep, p->late.code_dir);
    if (p->late.opt_dir != NULL)
        add(&s->keep, p->late.opt_dir);
    add(&s->keep, opt->runtimes_dir);
    if (opt->files_dir != NULL)
        add(&s->keep, opt->files_dir);
    if (s->argv.v[0][0] == '/')
        add(&s->keep, s->argv.v[0]);
    add(&s->write, HD_PLAN_DIR);
    add(&s->hide, opt->run_dir);
    if (opt->state_dir != NULL)
        add(&s->hide, opt->state_dir);
    for (size_t i = 0; i < HD_COUNT(shared); i++)
        add(&s->hide, shared[i]);
}

static void confine(struct hd_hostplan *p, const struct hd_lambdaplan_site *site,
                    const struct hd_launch *w)
{
    struct hd_sandbox_spec *s = &p->spec;
    const struct hd_launch_lambda *l = w->lambda;
    s->require = site->opt->sandbox == HD_PROCESS_SANDBOX_REQUIRE;
    s->max_files = FILES;
    s->max_locked_bytes = (uint64_t)LOCKED_KB << 10;
    s->max_stack_bytes = (uint64_t)STACK_MB << 20;
    s->tmp_mb = l->ephemeral_mb > 0 ? l->ephemeral_mb : EPHEMERAL_MB;
    s->max_file_bytes = (uint64_t)s->tmp_mb << 20;
    p->late.code_dir = hd_strdup(l->code_dir);
    p->late.opt_dir = hd_strdup(l->opt_dir);
    p->late.there = true;
    if (s->layout)
        confine_layout(p, site);
    else
        confine_plain(p, site->opt);
    s->cwd = hd_strdup(s->layout ? "/var/task" : p->late.possible ? "/" : l->code_dir);
}

void hd_lambdaplan_settle(struct hd_hostplan *p)
{
    struct hd_sandbox_spec *s = &p->spec;
    if (!s->layout)
        return;
    if (p->late.possible)
        free(s->binds.v[--s->binds.n]); /* of all code */
    hd_sandbox_bind(s, "/var/task", p->late.code_dir, false);
    if (p->late.opt_dir != NULL)
        hd_sandbox_bind(s, "/opt", p->late.opt_dir, false);
    p->late.there = false;
}

/* --- the whole --- */

static int choose(const struct hd_lambdaplan_site *site, const struct hd_launch *w,
                  const struct hd_interpreter **program, struct hd_error *err)
{
    struct hd_runtime_want want = hd_runtime_want(w->lambda->runtime_id);
    bool exact, none = want.family == HD_INTERPRETER_NONE;
    if (w->lambda->image != NULL || w->lambda->code_dir == NULL)
        want.family = HD_INTERPRETER_ELSE;
    *program = hd_interpreter_pick(site->interpreters, want, &exact);
    if (want.family != HD_INTERPRETER_ELSE &&
        (*program != NULL || (none && site->opt->shim_bin != NULL)))
        return 0;
    return hd_fail(err, want.family == HD_INTERPRETER_ELSE ? HD_EINVAL : HD_ENOTFOUND,
                   "function %s: %s", w->function, hd_interpreter_problem(want.family));
}

int hd_lambdaplan_make(struct hd_hostplan *out, const struct hd_lambdaplan_site *site,
                       const struct hd_launch *what, const struct hd_lambdaenv_instance *instance,
                       struct hd_error *err)
{
    struct hd_sandbox_spec *s = &out->spec;
    const struct hd_interpreter *program = NULL;
    bool no_net = what->net != NULL && what->net[0] == NULL, wrapped = false;
    *out = (struct hd_hostplan){.host = true};
    int rc = choose(site, what, &program, err);
    if (rc < 0)
        return rc;
    s->layout = site->layout;
    s->parts = no_net ? site->parts : site->parts & ~(unsigned)HD_SANDBOX_NET;
    if (program != NULL)
        out->wrapped = wrapped = add_wrapper(s, what);
    if (program == NULL)
        shim_command(s, site);
    else if (program->family == HD_INTERPRETER_NODE)
        node_command(s, site, program->path);
    else
        python_command(s, site, program->path);
    environment(s, what);
    if (wrapped && instance != NULL)
        whole_environment(s, site, what, instance);
    confine(out, site, what);
    if (out->late.possible && !wrapped)
        hd_hostplan_make_key(out);
    return 0;
}

const char *hd_lambdaplan_note(const struct hd_launch *what)
{
    if (is_runtime(what, "provided") || what->lambda->opt_dir == NULL)
        return NULL;
    hd_auto_free char *dir = hd_printf("%s/extensions", what->lambda->opt_dir);
    return access(dir, F_OK) < 0
               ? NULL
               : "The programs in /opt/extensions are not started: here that is so for functions "
                 "that bring their own runtime (provided, images) alone";
}

/* --- the load request --- */

static void member(struct hd_buf *b, const char *key, const char *value)
{
    if (value == NULL)
        return;
    hd_buf_fmt(b, ",\"%s\":", key);
    hd_buf_json(b, hd_str(value));
}

static void environment_member(struct hd_buf *b, const struct hd_lambdaplan_site *site,
                               const struct hd_launch *what,
                               const struct hd_lambdaenv_instance *instance)
{
    struct hd_strings env = table(site, what, instance);
    hd_buf_cstr(b, ",\"env\":{");
    for (size_t i = 0, n = 0; i < env.n; i++) {
        struct hd_str pair = hd_str(env.items[i]);
        size_t eq = hd_str_find(pair, '=');
        /* The host takes these out of what it was started with, unless they are given. */
        bool hosts = hd_str_starts(pair, hd_str("LANG=")) || hd_str_starts(pair, hd_str("TZ="));
        if (site->wrapped && !hosts)
            continue;
        hd_buf_cstr(b, n++ > 0 ? "," : "");
        hd_buf_json(b, hd_str_n(pair.ptr, eq));
        hd_buf_char(b, ':');
        hd_buf_json(b, hd_str_n(pair.ptr + eq + 1, pair.len - eq - 1));
    }
    hd_buf_char(b, '}');
    forget(&env);
}

void hd_lambdaplan_load_body(struct hd_buf *out, const struct hd_lambdaplan_site *site,
                             const struct hd_launch *what,
                             const struct hd_lambdaenv_instance *instance)
{
    const struct hd_launch_lambda *l = what->lambda;
    const char *opt_dir = site->layout ? "/opt" : l->opt_dir != NULL ? l->opt_dir : "/nonexistent";
    hd_buf_cstr(out, "{\"name\":");
    hd_buf_json(out, hd_str(what->function));
    member(out, "root", site->layout ? "/var/task" : l->code_dir);
    member(out, "handler", site->wrapped ? NULL : what->handler);
    member(out, "version", what->version);
    hd_buf_fmt(out, ",\"dev\":%s,\"timeoutMs\":%u,\"memoryMB\":%u,\"argv\":[]",
               what->dev ? "true" : "false", what->timeout_ms, what->memory_mb);
    environment_member(out, site, what, instance);
    hd_buf_cstr(out, ",\"lambda\":{\"name\":");
    hd_buf_json(out, hd_str(l->name));
    member(out, "version", l->qualifier);
    member(out, "arn", l->arn);
    member(out, "logGroup", l->log_group);
    member(out, "logStream", l->log_stream != NULL ? l->log_stream : instance->log_stream);
    member(out, "opt", opt_dir);
    member(out, "optDir", opt_dir);
    hd_buf_fmt(out, ",\"memoryMB\":%u", what->memory_mb);
    if (l->init_timeout_ms > 0)
        hd_buf_fmt(out, ",\"initTimeoutMs\":%u", l->init_timeout_ms);
    hd_buf_cstr(out, "}}");
}
