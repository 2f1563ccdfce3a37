#include "pool/process/hostplan.h"

#include "pool/process/program.h"

enum {
    MAX_FILES = 65536,
    MAX_FILE_GB = 4, /* of one file: a loop that writes ends before the disk does */
    PLAN_TEXT_MAX = 1 << 20,
    PYTHON_OVERHEAD_MB = 64, /* interpreter and libraries, where no cgroup counts */
};

static void add(struct hd_spec_list *l, const char *s)
{
    hd_spec_list_add(l, s);
}

static const char *or_else(const char *s, const char *otherwise)
{
    return s != NULL && s[0] != '\0' ? s : otherwise;
}

/* --- Deno's permission flags --- */

static bool is_everything(const char *const *list)
{
    for (const char *const *p = list; p != NULL && *p != NULL; p++)
        if (strcmp(*p, "*") == 0)
            return true;
    return list == NULL;
}

/* "--allow-x", or "--allow-x=a,b": the host's own needs first. */
static void allow(struct hd_spec_list *argv, const char *flag, const char *const *list,
                  const char *const *always)
{
    if (is_everything(list)) {
        add(argv, flag);
        return;
    }
    struct hd_buf b;
    hd_buf_init(&b, PLAN_TEXT_MAX);
    hd_buf_cstr(&b, flag);
    const char *const *const lists[] = {always, list};
    size_t n = 0;
    for (size_t i = 0; i < HD_COUNT(lists); i++)
        for (const char *const *p = lists[i]; *p != NULL; p++)
            hd_buf_fmt(&b, "%c%s", n++ == 0 ? '=' : ',', *p);
    hd_auto_free char *text = hd_buf_take(&b);
    if (text != NULL)
        add(argv, text);
}

/* @return where the function's folder is if it is not below the root; else NULL. */
static const char *linked_dir(const struct hd_launch *w)
{
    size_t n = strlen(w->root);
    bool below = w->dir == NULL || (strncmp(w->dir, w->root, n) == 0 && w->dir[n] == '/');
    return below ? NULL : w->dir;
}

/* @return host and port of the node's lanes, which every function may reach; NULL: there are none.
 */
static const char *lanes_address(const struct hd_launch *w)
{
    static const char name[] = "HEDDLE_LANES_URL=http://";
    for (const char *const *e = w->env; e != NULL && *e != NULL; e++)
        if (strncmp(*e, name, sizeof(name) - 1) == 0)
            return *e + sizeof(name) - 1;
    return NULL;
}

static void deno_permissions(struct hd_spec_list *argv, const struct hd_process_options *opt,
                             const struct hd_launch *w)
{
    const char *const reach[] = {"unix:" HD_PLAN_DIR "/sock", lanes_address(w), NULL};
    static const char *const writable[] = {HD_PLAN_DIR, NULL};
    const char *linked = linked_dir(w);
    const char *const in_root[] = {w->root, HD_PLAN_DIR, opt->cache_dir, NULL};
    const char *const outside[] = {linked, w->root, HD_PLAN_DIR, opt->cache_dir, NULL};
    const char *const *readable = linked != NULL ? outside : in_root;
    if (is_everything(w->net) && is_everything(w->read) && is_everything(w->write)) {
        add(argv, "--allow-all");
        return;
    }
    allow(argv, "--allow-net", w->net, reach);
    allow(argv, "--allow-read", w->read, readable);
    allow(argv, "--allow-write", w->write, writable);
    add(argv, "--allow-env"); /* the environment holds what the function was given, no more */
}

/* Deno separates the values of a flag by commas and knows no escape for one. */
static int check_lists(const struct hd_launch *w, struct hd_error *err)
{
    const struct {
        const char *name;
        const char *const *list;
    } lists[] = {{"net", w->net}, {"read", w->read}, {"write", w->write}};
    for (size_t i = 0; i < HD_COUNT(lists); i++)
        for (const char *const *p = lists[i].list; p != NULL && *p != NULL; p++)
            if (strchr(*p, ',') != NULL)
                return hd_fail(err, HD_EINVAL,
                               "function %s: permissions.%s: \"%s\": must not have a comma in it",
                               w->function, lists[i].name, *p);
    return 0;
}

/* A function without an import map gets ours, which knows what the host itself offers. */
static void deno_config(struct hd_spec_list *argv, const struct hd_process_options *opt,
                        const char *file)
{
    hd_auto_free char *ours = hd_printf("%s/deno/imports.json", opt->runtimes_dir);
    const char *slash = file != NULL ? strrchr(file, '/') : NULL;
    const char *name = slash != NULL ? slash + 1 : file;
    bool config =
        name != NULL && (strcmp(name, "deno.json") == 0 || strcmp(name, "deno.jsonc") == 0);
    hd_auto_free char *flag =
        hd_printf("--%s=%s", config ? "config" : "import-map", file != NULL ? file : ours);
    if (!config)
        add(argv, "--no-config");
    add(argv, flag);
}

/* --- commands --- */

static void deno_command(struct hd_sandbox_spec *s, const struct hd_process_options *opt,
                         const struct hd_launch *w, bool heap_limit)
{
    add(&s->argv, opt->deno_bin);
    add(&s->argv, "run");
    add(&s->argv, "--quiet");
    add(&s->argv, "--no-prompt");
    add(&s->argv, "--no-lock");
    add(&s->argv, "--unstable-no-legacy-abort");
    deno_config(&s->argv, opt, w->import_map);
    if (heap_limit) {
        hd_auto_free char *flag = hd_printf("--v8-flags=--max-old-space-size=%u", w->memory_mb);
        add(&s->argv, flag);
    }
    deno_permissions(&s->argv, opt, w);
    hd_auto_free char *host = hd_printf("%s/deno/host.ts", opt->runtimes_dir);
    add(&s->argv, host);
}

static void node_command(struct hd_sandbox_spec *s, const struct hd_process_options *opt,
                         const struct hd_launch *w, bool heap_limit)
{
    add(&s->argv, opt->node_bin);
    if (heap_limit) {
        hd_auto_free char *flag = hd_printf("--max-old-space-size=%u", w->memory_mb);
        add(&s->argv, flag);
    }
    hd_auto_free char *host = hd_printf("%s/node/host.mjs", opt->runtimes_dir);
    add(&s->argv, host);
}

static void python_command(struct hd_sandbox_spec *s, const struct hd_process_options *opt,
                           const struct hd_launch *w, bool heap_limit)
{
    add(&s->argv, opt->python_bin);
    add(&s->argv, "-I"); /* neither the user's settings nor the current folder */
    add(&s->argv, "-u");
    add(&s->argv, "-B");
    hd_auto_free char *host = hd_printf("%s/python/host.py", opt->runtimes_dir);
    add(&s->argv, host);
    if (heap_limit)
        s->max_data_bytes = ((uint64_t)w->memory_mb + PYTHON_OVERHEAD_MB) << 20;
}

/* A program in the function's folder ("./server"), or one from PATH. */
static int own_command(struct hd_sandbox_spec *s, const struct hd_launch *w, struct hd_error *err)
{
    if (w->argv == NULL || w->argv[0] == NULL || w->argv[0][0] == '\0')
        return hd_fail(err, HD_EINVAL, "function %s: command: an http function must name one",
                       w->function);
    for (const char *const *p = w->argv; *p != NULL; p++)
        add(&s->argv, *p);
    s->cwd = hd_printf("%s/%s", w->root, w->function);
    for (const char *const *p = w->env; p != NULL && *p != NULL; p++)
        add(&s->env, *p);
    return 0;
}

/* --- environment and confinement --- */

static void base_environment(struct hd_sandbox_spec *s, const struct hd_process_options *opt,
                             unsigned parts, bool is_deno)
{
    static const char *const kept[] = {"PATH", "LANG", "TZ"};
    static const char *const otherwise[] = {
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "C.UTF-8", NULL};
    for (size_t i = 0; i < HD_COUNT(kept); i++) {
        const char *value = or_else(getenv(kept[i]), otherwise[i]);
        hd_auto_free char *text = hd_printf("%s=%s", kept[i], value != NULL ? value : "");
        if (value != NULL)
            add(&s->env, text);
    }
    add(&s->env, "HOME=" HD_PLAN_DIR);
    add(&s->env, parts & HD_SANDBOX_MOUNT ? "TMPDIR=/tmp" : "TMPDIR=" HD_PLAN_DIR);
    add(&s->env, "HEDDLE_RUN_DIR=" HD_PLAN_DIR);
    add(&s->env, "HEDDLE_SOCKET=" HD_PLAN_DIR "/sock");
    if (!is_deno)
        return;
    add(&s->env, "DENO_NO_UPDATE_CHECK=1");
    if (opt->cache_dir != NULL) {
        hd_auto_free char *text = hd_printf("DENO_DIR=%s", opt->cache_dir);
        add(&s->env, text);
    }
}

static void add_all(struct hd_spec_list *l, const char *const *list)
{
    for (; list != NULL && *list != NULL; list++)
        if ((*list)[0] == '/')
            add(l, *list);
}

/* A program may lie in a folder that would be hidden: by itself, or behind a symbolic link. */
static void keep_program(struct hd_spec_list *l, const char *path)
{
    if (path == NULL || path[0] != '/')
        return;
    hd_auto_free char *dir = hd_strdup_n(hd_str_n(path, (size_t)(strrchr(path, '/') - path)));
    hd_auto_free char *home = hd_program_home(path);
    if (home == NULL)
        return;
    add(l, dir);
    if (strcmp(home, dir) != 0)
        add(l, home);
}

static void confine(struct hd_sandbox_spec *s, const struct hd_process_options *opt,
                    const struct hd_launch *w, unsigned parts)
{
    /* Homes and data of others: not to be seen where the function's reads are listed. */
    static const char *const private_dirs[] = {"/home",  "/root", "/srv", "/mnt",
                                               "/media", "/opt",  "/var", NULL};
    bool no_net = w->net != NULL && w->net[0] == NULL;
    s->parts = no_net ? parts : parts & ~(unsigned)HD_SANDBOX_NET;
    s->require = opt->sandbox == HD_PROCESS_SANDBOX_REQUIRE;
    s->max_files = MAX_FILES;
    s->max_file_bytes = (uint64_t)MAX_FILE_GB << 30;
    if (parts & HD_SANDBOX_UID)
        s->max_processes = w->pids > 0 ? w->pids : opt->default_pids;
    add(&s->keep, w->root);
    if (linked_dir(w) != NULL)
        add(&s->keep, linked_dir(w));
    add(&s->keep, opt->runtimes_dir);
    keep_program(&s->keep, s->argv.v[0]);
    if (opt->files_dir != NULL)
        add(&s->keep, opt->files_dir);
    add(&s->write, HD_PLAN_DIR);
    if (opt->cache_dir != NULL && strcmp(w->runtime, "deno") == 0)
        add(&s->write, opt->cache_dir);
    add_all(&s->keep, w->read);
    add_all(&s->write, w->write);
    add(&s->hide, opt->run_dir);
    if (opt->state_dir != NULL)
        add(&s->hide, opt->state_dir);
    add(&s->hide, "/tmp");
    add(&s->hide, "/var/tmp");
    add(&s->hide, "/dev/shm");
    if (!is_everything(w->read))
        add_all(&s->hide, private_dirs);
}

static int check_program(const struct hd_process_options *opt, const struct hd_launch *w,
                         struct hd_error *err)
{
    const struct {
        const char *runtime, *program, *command;
    } needed[] = {{"deno", opt->deno_bin, "deno"},
                  {"node", opt->node_bin, "node"},
                  {"python", opt->python_bin, "python3"}};
    for (size_t i = 0; i < HD_COUNT(needed); i++)
        if (strcmp(w->runtime, needed[i].runtime) == 0 && needed[i].program == NULL)
            return hd_fail(err, HD_ENOTFOUND,
                           "function %s: runtime %s is not there: no %s that functions may run in "
                           "PATH or where --%s says; `heddle doctor` says how to install it",
                           w->function, w->runtime, needed[i].command, w->runtime);
    return 0;
}

int hd_hostplan_make(struct hd_hostplan *out, const struct hd_process_options *opt,
                     const struct hd_launch *what, unsigned parts, bool cgroup_memory,
                     struct hd_error *err)
{
    struct hd_sandbox_spec *s = &out->spec;
    *out = (struct hd_hostplan){0};
    bool runtime_limits = what->memory_mb > 0 && !cgroup_memory, generic = true;
    int rc = check_program(opt, what, err);
    if (rc < 0)
        return rc;
    if (strcmp(what->runtime, "deno") == 0) {
        rc = check_lists(what, err);
        deno_command(s, opt, what, runtime_limits);
    } else if (strcmp(what->runtime, "node") == 0) {
        node_command(s, opt, what, runtime_limits);
    } else if (strcmp(what->runtime, "python") == 0) {
        python_command(s, opt, what, runtime_limits);
    } else if (strcmp(what->runtime, "http") == 0) {
        generic = false;
        rc = own_command(s, what, err);
    } else {
        rc = hd_fail(err, HD_EINVAL,
                     "function %s: runtime: \"%s\" is not known; it is deno, node, python or http",
                     what->function, what->runtime);
    }
    if (rc < 0) {
        hd_hostplan_done(out);
        return rc;
    }
    base_environment(s, opt, parts, strcmp(what->runtime, "deno") == 0);
    confine(s, opt, what, parts);
    if (s->cwd == NULL)
        s->cwd = hd_strdup(what->root);
    out->host = generic;
    if (generic)
        hd_hostplan_make_key(out);
    return 0;
}

int hd_hostplan_make_compile(struct hd_hostplan *out, const struct hd_process_options *opt,
                             const struct hd_launch *what, unsigned parts, struct hd_error *err)
{
    struct hd_sandbox_spec *s = &out->spec;
    if (strcmp(what->runtime, "deno") != 0 || opt->cache_dir == NULL)
        return hd_fail(err, HD_EINVAL, "function %s: nothing is compiled ahead", what->function);
    int rc = hd_hostplan_make(out, opt, what, parts, true, err);
    if (rc < 0)
        return rc;
    hd_spec_list_done(&s->argv);
    add(&s->argv, opt->deno_bin);
    add(&s->argv, "cache");
    add(&s->argv, "--quiet");
    add(&s->argv, "--no-lock");
    deno_config(&s->argv, opt, what->import_map);
    s->parts |= parts & HD_SANDBOX_NET;
    if (!(s->parts & HD_SANDBOX_NET)) {
        add(&s->argv, "--no-remote");
        add(&s->argv, "--no-npm");
    }
    add(&s->argv, what->entry);
    out->host = false;
    free(out->key);
    out->key = NULL;
    return 0;
}

void hd_hostplan_make_key(struct hd_hostplan *p)
{
    struct hd_buf key;
    hd_buf_init(&key, HD_SANDBOX_SPEC_MAX);
    hd_sandbox_spec_write(&key, &p->spec);
    for (size_t i = 0; i < key.len; i++)
        if (key.ptr[i] == '\0')
            key.ptr[i] = '\n';
    free(p->key);
    p->key = hd_buf_take(&key);
}

/* --- a plan as a value --- */

static void copy_strings(struct hd_spec_list *to, const struct hd_spec_list *from)
{
    *to = (struct hd_spec_list){0};
    for (size_t i = 0; i < from->n; i++)
        add(to, from->v[i]);
}

void hd_hostplan_copy(struct hd_hostplan *out, const struct hd_hostplan *from)
{
    const struct hd_sandbox_spec *s = &from->spec;
    *out = *from;
    copy_strings(&out->spec.argv, &s->argv);
    copy_strings(&out->spec.env, &s->env);
    copy_strings(&out->spec.cgroups, &s->cgroups);
    copy_strings(&out->spec.keep, &s->keep);
    copy_strings(&out->spec.write, &s->write);
    copy_strings(&out->spec.hide, &s->hide);
    copy_strings(&out->spec.binds, &s->binds);
    out->spec.cwd = hd_strdup(s->cwd);
    out->key = hd_strdup(from->key);
    out->late.code_dir = hd_strdup(from->late.code_dir);
    out->late.opt_dir = hd_strdup(from->late.opt_dir);
    out->late.hidden_code = hd_strdup(from->late.hidden_code);
    out->late.hidden_opt = hd_strdup(from->late.hidden_opt);
}

void hd_hostplan_done(struct hd_hostplan *p)
{
    hd_sandbox_spec_done(&p->spec);
    free(p->key);
    free(p->late.code_dir);
    free(p->late.opt_dir);
    free(p->late.hidden_code);
    free(p->late.hidden_opt);
    p->key = NULL;
    p->late = (struct hd_late){.there = false};
}

static char *settled(const char *s, const char *dir)
{
    struct hd_buf b;
    hd_buf_init(&b, PLAN_TEXT_MAX);
    for (; *s != '\0'; s++) {
        if (*s == HD_PLAN_DIR[0])
            hd_buf_cstr(&b, dir);
        else
            hd_buf_char(&b, *s);
    }
    char *out = hd_buf_take(&b);
    return out != NULL ? out : hd_strdup("");
}

void hd_hostplan_settle(struct hd_hostplan *p, const char *dir)
{
    struct hd_spec_list *const lists[] = {&p->spec.argv, &p->spec.env, &p->spec.write,
                                          &p->spec.binds};
    for (size_t i = 0; i < HD_COUNT(lists); i++) {
        for (size_t j = 0; j < lists[i]->n; j++) {
            char *old = lists[i]->v[j];
            if (strchr(old, HD_PLAN_DIR[0]) == NULL)
                continue;
            lists[i]->v[j] = settled(old, dir);
            free(old);
        }
    }
    if (p->spec.hide.n > 0) { /* other instances' folders lie beside it */
        hd_auto_free char *beside = hd_strdup(dir);
        *strrchr(beside, '/') = '\0';
        add(&p->spec.hide, beside);
    }
}

/* --- the load request --- */

static void member(struct hd_buf *b, const char *key, const char *value)
{
    if (value == NULL)
        return;
    hd_buf_fmt(b, ",\"%s\":", key);
    hd_buf_json(b, hd_str(value));
}

static void list_member(struct hd_buf *b, const char *key, const char *const *list)
{
    hd_buf_fmt(b, ",\"%s\":[", key);
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        if (i > 0)
            hd_buf_char(b, ',');
        hd_buf_json(b, hd_str(list[i]));
    }
    hd_buf_char(b, ']');
}

void hd_hostplan_load_body(struct hd_buf *out, const struct hd_launch *what)
{
    hd_buf_cstr(out, "{\"name\":");
    hd_buf_json(out, hd_str(what->function));
    member(out, "root", what->root);
    member(out, "entry", what->entry);
    member(out, "handler", what->handler);
    member(out, "prefix", what->prefix);
    member(out, "version", what->version);
    hd_buf_fmt(out, ",\"dev\":%s,\"timeoutMs\":%u,\"memoryMB\":%u", what->dev ? "true" : "false",
               what->timeout_ms, what->memory_mb);
    list_member(out, "argv", what->argv);
    hd_buf_cstr(out, ",\"env\":{");
    for (size_t i = 0, n = 0; what->env != NULL && what->env[i] != NULL; i++) {
        struct hd_str pair = hd_str(what->env[i]);
        size_t eq = hd_str_find(pair, '=');
        if (eq == pair.len)
            continue;
        if (n++ > 0)
            hd_buf_char(out, ',');
        hd_buf_json(out, hd_str_n(pair.ptr, eq));
        hd_buf_char(out, ':');
        hd_buf_json(out, hd_str_n(pair.ptr + eq + 1, pair.len - eq - 1));
    }
    hd_buf_cstr(out, "}}");
}
