#include "pool/process/backend.h"

#include "core/clock.h"
#include "core/map.h"
#include "core/work.h"
#include "pool/launch.h"
#include "pool/process/compile.h"
#include "pool/process/enforce.h"
#include "pool/process/hostclient.h"
#include "pool/process/instance.h"
#include "pool/process/lambdaplan.h"
#include "pool/process/prewarm.h"
#include "pool/process/program.h"

#include <limits.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
    DEFAULT_START_TIMEOUT_MS = 60000,
    DEFAULT_MAX_PREWARM = 8,
    DEFAULT_PIDS = 256,
    UIDS_BEGIN = 300000, /* above what distributions hand out */
    UID_BLOCKS = 1000,
    UID_BLOCK = 1000,
    LAMBDA_PIDS = 1024,
    LAMBDA_INIT_MS = 10000,
    LAMBDA_INIT_EXTRA_MS = 5000, /* its host keeps the limit itself, and says so better */
    WISHES_MAX = HD_PREWARM_SHELVES_MAX,
};

/* Hosts that were asked for before it was known which program is which version. */
struct wish {
    struct hd_launch what; /* a copy */
    unsigned count;
    char *key; /* of the plan that was made then */
};

struct process {
    struct hd_backend base;
    struct hd_process_options opt; /* strings are ours */
    struct hd_hostproc_site site;
    struct hd_process_enforcement enforcement;
    struct hd_list instances;
    struct hd_prewarm prewarm;
    struct hd_compile compile;
    struct hd_list curious;
    struct hd_interpreters interpreters, asked; /* asked: a work thread's while `asking` */
    bool has_asked, asking, knows;
    struct wish wishes[WISHES_MAX];
    size_t n_wishes;
    unsigned
        lambda_prewarm; /* hosts that wait for each runtime of functions with Lambda semantics */
    struct hd_process_prewarm_counts counts;
    char note[HD_INTERPRETER_TEXT_MAX + 1];
    char *endpoint_url;
    hd_process_env_fn *more_env;
    void *more_env_arg;
    struct hd_timer closing;
    bool closed;
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

static struct process *process_of(struct hd_backend *b)
{
    return hd_container_of(b, struct process, base);
}

/* --- interpreters --- */

static void ask_work(void *arg)
{
    struct process *p = arg;
    hd_interpreters_ask(&p->asked);
}

static void grant_wishes(struct process *p);

/* Who waits for the versions. */
struct curious {
    struct hd_list link;
    void (*done)(void *arg);
    void *arg;
};

static void tell_curious(struct process *p)
{
    for (struct hd_list *l; (l = hd_list_pop(&p->curious)) != NULL;) {
        struct curious *c = hd_container_of(l, struct curious, link);
        c->done(c->arg);
        free(c);
    }
}

static void on_asked(void *arg)
{
    struct process *p = arg;
    hd_interpreters_done(&p->interpreters);
    p->interpreters = p->asked;
    p->asking = false;
    p->knows = true;
    tell_curious(p);
    grant_wishes(p);
}

/* Which versions are there is asked for when somebody wants one for the first time. */
static void learn_versions(struct process *p)
{
    struct hd_error err;
    if (p->has_asked || p->closed)
        return;
    p->has_asked = true;
    hd_interpreters_copy(&p->asked, &p->interpreters);
    p->asking = hd_work(p->opt.loop, ask_work, on_asked, p, &err) == 0;
    if (!p->asking)
        hd_interpreters_done(&p->asked);
}

const char *hd_process_runtime_problem(struct hd_backend *b, const char *runtime_id,
                                       const char *architecture)
{
    struct process *p = process_of(b);
    struct hd_runtime_want want = hd_runtime_want(runtime_id);
    struct utsname machine;
    bool exact;
    learn_versions(p);
    const char *own =
        uname(&machine) == 0 && strcmp(machine.machine, "aarch64") == 0 ? "arm64" : "x86_64";
    if (architecture != NULL && strcmp(architecture, own) != 0)
        return "This machine has another architecture than the function.";
    if (want.family == HD_INTERPRETER_NONE
            ? p->opt.shim_bin != NULL
            : hd_interpreter_pick(&p->interpreters, want, &exact) != NULL)
        return NULL;
    return hd_interpreter_problem(want.family);
}

void hd_process_set_endpoint(struct hd_backend *b, const char *url)
{
    struct process *p = process_of(b);
    free(p->endpoint_url);
    p->endpoint_url = hd_strdup(url);
}

void hd_process_set_env(struct hd_backend *b, hd_process_env_fn *more, void *arg)
{
    struct process *p = process_of(b);
    p->more_env = more;
    p->more_env_arg = arg;
}

const char *hd_process_runtime_note(struct hd_backend *b, const char *runtime_id)
{
    struct process *p = process_of(b);
    struct hd_runtime_want want = hd_runtime_want(runtime_id);
    bool exact = true;
    learn_versions(p);
    const struct hd_interpreter *i = hd_interpreter_pick(&p->interpreters, want, &exact);
    if (i == NULL || exact)
        return NULL;
    hd_interpreter_note(p->note, runtime_id, i);
    return p->note;
}

void hd_process_runtime_version(struct hd_backend *b, const char *runtime_id,
                                char out[HD_INTERPRETER_TEXT_MAX + 1])
{
    struct process *p = process_of(b);
    bool exact;
    learn_versions(p);
    hd_interpreter_version(
        out, runtime_id,
        hd_interpreter_pick(&p->interpreters, hd_runtime_want(runtime_id), &exact));
}

void hd_process_when_known(struct hd_backend *b, void (*done)(void *arg), void *arg)
{
    struct process *p = process_of(b);
    learn_versions(p);
    if (!p->asking) {
        hd_loop_post(p->opt.loop, done, arg);
        return;
    }
    struct curious *c = hd_new(struct curious);
    *c = (struct curious){.done = done, .arg = arg};
    hd_list_push(&p->curious, &c->link);
}

const char *hd_process_shim(const struct hd_backend *b)
{
    return hd_container_of(b, struct process, base)->opt.shim_bin;
}

/* --- operations --- */

static struct hd_lambdaplan_site lambda_site(const struct process *p)
{
    return (struct hd_lambdaplan_site){.opt = &p->opt,
                                       .interpreters = &p->interpreters,
                                       .parts = p->enforcement.parts,
                                       .layout = p->enforcement.layout,
                                       .seen = p->enforcement.seen,
                                       .endpoint_url = p->endpoint_url,
                                       .more_env = p->more_env,
                                       .more_env_arg = p->more_env_arg};
}

static int make_plan(struct process *p, struct hd_hostplan *plan, const struct hd_launch *what,
                     const struct hd_lambdaenv_instance *instance, struct hd_error *err)
{
    if (what->lambda == NULL)
        return hd_hostplan_make(plan, &p->opt, what, p->enforcement.parts,
                                p->enforcement.cgroup_memory, err);
    struct hd_lambdaplan_site site = lambda_site(p);
    learn_versions(p);
    return hd_lambdaplan_make(plan, &site, what, instance, err);
}

/* Where nothing is prewarmed there is nothing to count. */
static void count_take(struct process *p, const struct hd_hostplan *plan, bool taken, bool ready)
{
    if (p->prewarm.n_shelves == 0 || !plan->host)
        return;
    if (plan->key == NULL)
        p->counts.unfit++;
    else if (!taken)
        p->counts.none++;
    else if (ready)
        p->counts.ready++;
    else
        p->counts.starting++;
}

/* A prewarmed host that has got all that the function brings; NULL: one must be started. */
static struct hd_hostproc *take_host(struct process *p, struct hd_hostplan *plan, bool lambda)
{
    bool ready = false;
    struct hd_hostproc *host = hd_prewarm_take(&p->prewarm, plan, &ready);
    struct hd_error err;
    if (plan->late.there && host != NULL && hd_hostproc_adopt(host, &plan->late, &err) < 0) {
        hd_log(p->site.log, HD_WARN, "a prewarmed host cannot be used, starting another",
               hd_kv_str("error", err.msg));
        hd_prewarm_discard(&p->prewarm, host);
        host = NULL;
    }
    count_take(p, plan, host != NULL, ready);
    if (lambda && p->lambda_prewarm > 0 && plan->key != NULL && !hd_prewarm_has(&p->prewarm, plan))
        hd_prewarm_want(&p->prewarm, plan, p->lambda_prewarm); /* for the next one */
    if (plan->late.there && host == NULL)
        hd_lambdaplan_settle(plan);
    return host;
}

static struct hd_instance_handle *begin(struct process *p, struct hd_hostplan *plan,
                                        const struct hd_launch *what,
                                        const struct hd_lambdaenv_instance *instance,
                                        const struct hd_backend_events *events, void *owner)
{
    struct hd_launch mine = *what;
    struct hd_buf body;
    struct hd_process_start start = {
        .plan = plan, .what = &mine, .load = &body, .timeout_ms = p->opt.start_timeout_ms};
    hd_buf_init(&body, HD_HOSTCALL_REQUEST_MAX);
    if (what->lambda != NULL) {
        uint32_t init_ms = what->lambda->init_timeout_ms;
        struct hd_lambdaplan_site site = lambda_site(p);
        site.wrapped = plan->wrapped;
        hd_lambdaplan_load_body(&body, &site, what, instance);
        start.notes[0] = hd_process_runtime_note(&p->base, what->lambda->runtime_id);
        start.notes[1] = hd_lambdaplan_note(what);
        start.timeout_ms = HD_MAX(start.timeout_ms, (init_ms > 0 ? init_ms : LAMBDA_INIT_MS) +
                                                        (uint32_t)LAMBDA_INIT_EXTRA_MS);
        mine.pids = what->pids > 0 ? what->pids : LAMBDA_PIDS;
    } else if (plan->host) {
        hd_hostplan_load_body(&body, what);
    }
    start.host = take_host(p, plan, what->lambda != NULL);
    return hd_process_instance_start(&p->instances, &p->site, &start, events, owner);
}

static struct hd_instance_handle *launch(struct hd_backend *b, const struct hd_launch *what,
                                         const struct hd_backend_events *events, void *owner)
{
    struct process *p = process_of(b);
    struct hd_lambdaenv_instance instance = {.log_stream = ""};
    struct hd_hostplan plan;
    struct hd_error err;
    int rc = p->closed ? hd_fail(&err, HD_ECANCELED, "the node is stopping") : 0;
    if (rc == 0 && what->lambda != NULL)
        hd_lambdaenv_draw(&instance, p->opt.credentials_key, what->lambda->qualifier,
                          what->instance, hd_clock_unix_s());
    if (rc == 0)
        rc = make_plan(p, &plan, what, &instance, &err);
    if (rc < 0)
        return hd_process_instance_fail(&p->instances, &p->site, &err, events, owner);
    hd_compile_forget(&p->compile, what->function);
    struct hd_instance_handle *h = begin(p, &plan, what, &instance, events, owner);
    explicit_bzero(&instance, sizeof(instance));
    hd_hostplan_done(&plan);
    return h;
}

/* @return the key of what waits now, for the caller to free; NULL: nothing can. */
static char *want_hosts(struct process *p, const struct hd_launch *what, unsigned count)
{
    struct hd_hostplan plan;
    struct hd_error err;
    if (make_plan(p, &plan, what, NULL, &err) < 0)
        return NULL; /* a launch of it will say so */
    char *key = hd_strdup(plan.key);
    if (key != NULL)
        hd_prewarm_want(&p->prewarm, &plan, count);
    hd_hostplan_done(&plan);
    return key;
}

static void forget_wishes(struct process *p)
{
    for (size_t i = 0; i < p->n_wishes; i++) {
        hd_launch_done(&p->wishes[i].what);
        free(p->wishes[i].key);
    }
    p->n_wishes = 0;
}

/* Versions are found out while the first hosts start already. What is known then may choose another
 * program: hosts of the first one would never be taken. */
static void grant_wishes(struct process *p)
{
    for (size_t i = 0; i < p->n_wishes; i++) {
        struct wish *w = &p->wishes[i];
        hd_auto_free char *key = want_hosts(p, &w->what, w->count);
        if (key == NULL || strcmp(w->key, key) != 0)
            hd_prewarm_forget(&p->prewarm, w->key);
    }
    for (size_t i = 0; i < p->n_wishes; i++) { /* what one has dropped another one may want */
        struct wish *w = &p->wishes[i];
        free(want_hosts(p, &w->what, w->count));
    }
    forget_wishes(p);
}

static void remember(struct process *p, const struct hd_launch *what, unsigned count,
                     const char *key)
{
    for (size_t i = 0; i < p->n_wishes; i++)
        if (strcmp(p->wishes[i].what.lambda->runtime_id, what->lambda->runtime_id) == 0 &&
            strcmp(p->wishes[i].key, key) == 0)
            return;
    if (p->n_wishes == WISHES_MAX)
        return;
    struct wish *w = &p->wishes[p->n_wishes++];
    *w = (struct wish){.count = count, .key = hd_strdup(key)};
    hd_launch_copy(&w->what, what);
}

static void prewarm(struct hd_backend *b, const struct hd_launch *what, unsigned count)
{
    struct process *p = process_of(b);
    hd_auto_free char *key = want_hosts(p, what, count);
    if (what->lambda == NULL)
        return;
    p->lambda_prewarm = count;
    if (!p->knows && key != NULL && count > 0)
        remember(p, what, count, key);
}

static void prepare(struct hd_backend *b, const struct hd_launch *what)
{
    struct process *p = process_of(b);
    struct hd_hostplan plan;
    struct hd_error err;
    if (hd_hostplan_make_compile(&plan, &p->opt, what, p->enforcement.parts, &err) < 0)
        return; /* a launch of it will say so */
    hd_compile_add(&p->compile, what->function, &plan);
    hd_hostplan_done(&plan);
}

static int reap_stale(struct hd_backend *b, struct hd_error *err)
{
    struct process *p = process_of(b);
    struct hd_spec_list in_use = {0};
    hd_cgroups_dirs(&p->site.cgroups, &in_use);
    int rc = hd_rundir_reap(&p->site.dir, &in_use, p->site.log, err);
    hd_spec_list_done(&in_use);
    return HD_MIN(rc, 0);
}

static void free_options(struct hd_process_options *o)
{
    const char *const strings[] = {o->runtimes_dir, o->run_dir,    o->functions_root,
                                   o->cache_dir,    o->node_id,    o->deno_bin,
                                   o->node_bin,     o->python_bin, o->shim_bin,
                                   o->bundles_dir,  o->state_dir,  o->files_dir};
    for (size_t i = 0; i < HD_COUNT(strings); i++)
        free((void *)strings[i]);
    if (o->credentials_key != NULL)
        explicit_bzero((void *)o->credentials_key, HD_LAMBDAENV_KEY_BYTES);
    free((void *)o->credentials_key);
}

static void destroy(struct process *p)
{
    hd_cgroups_close(&p->site.cgroups);
    hd_rundir_close(&p->site.dir);
    hd_interpreters_done(&p->interpreters);
    forget_wishes(p);
    free_options(&p->opt);
    free(p->endpoint_url);
    free(p);
}

static void check_closed(struct hd_timer *t)
{
    struct process *p = hd_container_of(t, struct process, closing);
    if (!hd_list_empty(&p->instances) || !hd_prewarm_is_closed(&p->prewarm) ||
        !hd_compile_is_closed(&p->compile) || p->asking) {
        hd_timer_start(p->opt.loop, &p->closing, 5, check_closed);
        return;
    }
    void (*done)(void *) = p->on_closed;
    void *arg = p->on_closed_arg;
    destroy(p);
    if (done != NULL)
        done(arg);
}

static void close_backend(struct hd_backend *b, void (*done)(void *arg), void *arg)
{
    struct process *p = process_of(b);
    p->closed = true;
    p->on_closed = done;
    p->on_closed_arg = arg;
    hd_prewarm_close(&p->prewarm);
    hd_compile_close(&p->compile);
    hd_list_each(link, &p->instances)
        hd_process_instance_terminate(hd_process_instance_of(link), 0);
    hd_timer_start(p->opt.loop, &p->closing, 0, check_closed);
}

static const struct hd_backend_ops ops = {
    .name = "process",
    .launch = launch,
    .terminate = hd_process_instance_terminate,
    .ping = hd_process_instance_ping,
    .freeze = hd_process_instance_freeze,
    .thaw = hd_process_instance_thaw,
    .flush_output = hd_process_instance_flush,
    .peak_bytes = hd_process_instance_peak_bytes,
    .rss_bytes = hd_process_instance_rss_bytes,
    .cpu_us = hd_process_instance_cpu_us,
    .prewarm = prewarm,
    .prepare = prepare,
    .reap_stale = reap_stale,
    .close = close_backend,
};

/* --- making it --- */

static const char *program_path(void)
{
    const char *path = getenv("PATH");
    return path != NULL ? path : "/usr/local/bin:/usr/bin:/bin";
}

static bool runs_as_others(const struct hd_process_options *o)
{
    return geteuid() == 0 && o->sandbox != HD_PROCESS_SANDBOX_OFF;
}

static char *find_program(const struct hd_process_options *o, const char *name,
                          const char *otherwise)
{
    return hd_program_find(name != NULL ? name : otherwise, program_path(), runs_as_others(o));
}

/* Beside our own program, or where it is installed. */
static char *find_shim(const char *told)
{
    static const char *const places[] = {"heddle-shim", "../libexec/heddle/heddle-shim"};
    char exe[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (told != NULL)
        return access(told, X_OK) == 0 ? realpath(told, NULL) : NULL;
    if (len <= 0)
        return NULL;
    exe[len] = '\0';
    *strrchr(exe, '/') = '\0';
    for (size_t i = 0; i < HD_COUNT(places); i++) {
        hd_auto_free char *path = hd_printf("%s/%s", exe, places[i]);
        if (access(path, X_OK) == 0)
            return realpath(path, NULL);
    }
    return NULL;
}

static const uint8_t *copy_key(const uint8_t *from)
{
    uint8_t *key = from != NULL ? hd_alloc(HD_LAMBDAENV_KEY_BYTES) : NULL;
    if (key != NULL)
        memcpy(key, from, HD_LAMBDAENV_KEY_BYTES);
    return key;
}

/* Users of this node alone, the same ones in each of its runs: limits count what a user has on the
 * whole machine, and users can signal themselves. */
static uint32_t own_uids(const char *run_dir)
{
    uint64_t block = run_dir != NULL ? hd_hash(run_dir, strlen(run_dir), 0) % UID_BLOCKS : 0;
    return UIDS_BEGIN + (uint32_t)block * UID_BLOCK;
}

static void copy_options(struct hd_process_options *to, const struct hd_process_options *from)
{
    *to = *from;
    to->runtimes_dir = hd_strdup(from->runtimes_dir);
    to->run_dir = hd_strdup(from->run_dir);
    to->functions_root = hd_strdup(from->functions_root);
    to->cache_dir = hd_strdup(from->cache_dir);
    to->node_id = hd_strdup(from->node_id != NULL ? from->node_id : "0");
    to->deno_bin = find_program(from, from->deno_bin, "deno");
    to->node_bin = find_program(from, from->node_bin, "node");
    to->python_bin = find_program(from, from->python_bin, "python3");
    to->shim_bin = find_shim(from->shim_bin);
    to->state_dir = hd_strdup(from->state_dir);
    to->bundles_dir = hd_strdup(from->bundles_dir);
    to->files_dir = hd_strdup(from->files_dir);
    to->credentials_key = copy_key(from->credentials_key);
    if (to->start_timeout_ms == 0)
        to->start_timeout_ms = DEFAULT_START_TIMEOUT_MS;
    if (to->max_prewarm == 0)
        to->max_prewarm = DEFAULT_MAX_PREWARM;
    if (to->default_pids == 0)
        to->default_pids = DEFAULT_PIDS;
    if (to->uid_base == 0)
        to->uid_base = own_uids(from->run_dir);
}

static int check_options(const struct hd_process_options *o, struct hd_error *err)
{
    const struct {
        const char *name, *path;
    } folders[] = {{"runtimes folder", o->runtimes_dir},
                   {"run folder", o->run_dir},
                   {"functions folder", o->functions_root}};
    for (size_t i = 0; i < HD_COUNT(folders); i++)
        if (folders[i].path == NULL || folders[i].path[0] != '/')
            return hd_fail(err, HD_EINVAL, "%s: must be an absolute path", folders[i].name);
    if (o->cache_dir != NULL && o->cache_dir[0] != '/')
        return hd_fail(err, HD_EINVAL, "cache folder: must be an absolute path");
    if ((o->bundles_dir != NULL && o->bundles_dir[0] != '/') ||
        (o->state_dir != NULL && o->state_dir[0] != '/') ||
        (o->files_dir != NULL && o->files_dir[0] != '/'))
        return hd_fail(err, HD_EINVAL, "data folder: must be an absolute path");
    return 0;
}

int hd_process_new(struct hd_backend **out, const struct hd_process_options *opt,
                   struct hd_error *err)
{
    int rc = check_options(opt, err);
    if (rc < 0)
        return rc;
    struct process *p = hd_new(struct process);
    p->base.ops = &ops;
    copy_options(&p->opt, opt);
    hd_list_init(&p->instances);
    hd_list_init(&p->curious);
    hd_interpreters_find(&p->interpreters, p->opt.node_bin, p->opt.python_bin, program_path(),
                         runs_as_others(&p->opt));
    p->site = (struct hd_hostproc_site){.loop = opt->loop,
                                        .log = opt->log,
                                        .dir.lock_fd = -1,
                                        .uid_base = p->opt.uid_base,
                                        .default_pids = p->opt.default_pids};
    hd_prewarm_init(&p->prewarm, &p->site, p->opt.max_prewarm, p->opt.start_timeout_ms);
    hd_compile_init(&p->compile, &p->site);
    rc = hd_rundir_open(&p->site.dir, p->opt.run_dir, geteuid() == 0, err);
    if (rc == 0 && p->opt.cache_dir != NULL)
        rc = hd_make_folder(p->opt.cache_dir, err);
    if (rc == 0) {
        /* Nodes with the same id on one machine are told apart by their run folder. */
        uint64_t hash = hd_hash(p->opt.run_dir, strlen(p->opt.run_dir), 0);
        hd_auto_free char *name = hd_printf("heddle-%s-%08x", p->opt.node_id, (unsigned)hash);
        hd_cgroups_open(&p->site.cgroups, name);
        rc = hd_enforce_probe(&p->enforcement, &p->opt, &p->site, err);
    }
    if (rc < 0) {
        destroy(p);
        return rc;
    }
    *out = &p->base;
    return 0;
}

const struct hd_process_enforcement *hd_process_enforcement(const struct hd_backend *b)
{
    return &hd_container_of(b, struct process, base)->enforcement;
}

uint64_t hd_process_prewarm_rss_bytes(const struct hd_backend *b)
{
    return hd_prewarm_rss_bytes(&hd_container_of(b, struct process, base)->prewarm);
}

unsigned hd_process_prewarm_ready(const struct hd_backend *b)
{
    return hd_prewarm_ready(&hd_container_of(b, struct process, base)->prewarm);
}

void hd_process_prewarm_counts(struct hd_process_prewarm_counts *out, const struct hd_backend *b)
{
    *out = hd_container_of(b, struct process, base)->counts;
}
