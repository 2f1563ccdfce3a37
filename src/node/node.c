/*  options ─► loops ─► policies ─► functions found ─► backend, pools ─► deployed ─► doors open
 *  and back in the other order; see shutdown.c. Every step that fails says what to do about it. */
#include "core/id.h"
#include "core/clock.h"
#include "core/exit.h"
#include "core/folder.h"
#include "node/defaults.h"
#include "node/listen.h"
#include "node/private.h"
#include "node/runtimes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LOG_LINES = 5000,
    LOG_BYTES = 4 * 1024 * 1024,
    QUIET_MS = 500, /* see hd_registry_options */
};

/* --- folders --- */

static int make_dir(const char *path, struct hd_error *err)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return hd_fail_sys(err, errno, "%s: cannot make the data folder (see --data-dir)", path);
    return 0;
}

/* --- loops --- */

static unsigned wanted_loops(const struct hd_node_options *opt)
{
    unsigned n = opt->threads > 0 ? opt->threads : (unsigned)uv_available_parallelism();
    return HD_MIN(HD_MAX(n, 1U), (unsigned)HD_NODE_LOOPS_MAX);
}

static int make_loops(struct hd_node *n, struct hd_error *err)
{
    unsigned want = wanted_loops(n->opt);
    while (n->n_workers < want) {
        struct hd_worker *w = &n->workers[n->n_workers];
        int rc = hd_loop_new(&w->loop, n->n_workers, err);
        if (rc < 0)
            return rc;
        w->node = n;
        w->listen_fd = w->control_fd = -1;
        w->net = hd_net_new(w->loop);
        w->channel = hd_channel_new(w->net);
        n->n_workers++;
    }
    return 0;
}

/* --- functions --- */

static int find_functions(struct hd_node *n, struct hd_error *err)
{
    const struct hd_node_options *o = n->opt;
    hd_node_defaults(&n->defaults, o);
    hd_devkeys_env(&n->built_in_env, o, n->env);
    struct hd_registry_options opt = {.root = o->functions_dir,
                                      .project_dir = o->cwd,
                                      .env_files = (const char *const *)o->env_files.items,
                                      .process_env = (const char *const *)n->env,
                                      .built_in_env = (const char *const *)n->built_in_env.items,
                                      .defaults = &n->defaults,
                                      .quiet_ms = o->hmr ? QUIET_MS : 0};
    return hd_registry_new(&n->registry, &opt, err);
}

/* --- pools --- */

static void on_state(void *arg, struct hd_pool *p, enum hd_pool_state state,
                     const struct hd_error *why)
{
    struct hd_node *n = arg;
    hd_boot_state(n->boot, p, state, why);
    if (hd_boot_settled(n->boot))
        hd_node_open(n);
}

static void on_declared(void *arg, struct hd_pool *p, const struct hd_declared *declared)
{
    hd_node_declared(arg, p, declared);
}

static void on_line(void *arg, struct hd_instance *i, struct hd_str id, int level,
                    struct hd_str text)
{
    struct hd_node *n = arg;
    const struct hd_pool *p = hd_instance_pool(i);
    struct hd_str function = hd_str(hd_pool_function(p));
    const struct hd_launch_lambda *lambda = hd_pool_lambda(p);
    if (lambda != NULL)
        hd_node_keep_log(n, hd_str(lambda->arn), hd_str(lambda->log_group),
                         hd_str(hd_instance_log_stream(i)), text, hd_clock_unix_ms());
    hd_logtail_add(n->logtail, function, id, level, text, hd_clock_unix_ms());
    hd_node_output(n->log, function, id, (enum hd_log_level)level, text);
}

static void on_instance_gone(void *arg, struct hd_loop *loop, struct hd_instance *i)
{
    (void)arg;
    hd_channel_drop(loop, i);
}

static void on_launch(void *arg, const struct hd_launch *what, struct hd_strings *env)
{
    hd_node_lanes_token(arg, what, env);
}

static const struct hd_pool_set_events pool_events = {.on_launch = on_launch,
                                                      .on_state = on_state,
                                                      .on_declared = on_declared,
                                                      .on_line = on_line,
                                                      .on_instance_gone = on_instance_gone};

static int make_docker(struct hd_node *n, const char *runtimes, struct hd_error *err)
{
    const struct hd_node_options *o = n->opt;
    static const enum hd_pull_policy pulls[] = {[HD_DOCKER_PULL_MISSING] = HD_PULL_MISSING,
                                                [HD_DOCKER_PULL_ALWAYS] = HD_PULL_ALWAYS,
                                                [HD_DOCKER_PULL_NEVER] = HD_PULL_NEVER};
    const struct hd_option_list *l = &o->docker_images;
    hd_auto_free char *run = hd_printf("%s/docker", o->data_dir);
    n->docker_images = hd_new_array(const char *, l->n + 1);
    for (size_t i = 0; i < l->n; i++)
        n->docker_images[i] = l->items[i];
    struct hd_docker_options opt = {.loop = n->workers[0].loop,
                                    .log = n->log,
                                    .host = o->docker_host,
                                    .certs = o->docker_certs,
                                    .pull = pulls[o->docker_pull],
                                    .credentials = o->docker_credentials,
                                    .images = n->docker_images,
                                    .run_dir = run,
                                    .runtimes_dir = runtimes,
                                    .shim_bin = hd_process_shim(n->backend),
                                    .credentials_key = n->credentials_key,
                                    .start_timeout_ms = o->start_timeout_ms};
    int rc = hd_docker_new(&n->docker, &opt, err);
    return rc < 0 ? rc : n->docker->ops->reap_stale(n->docker, err);
}

/* What is sent to functions as files: each of them may pass, none may look around. Nothing of an
 * earlier node is of use. */
static int make_files_dir(const char *path, struct hd_error *err)
{
    if (chmod(path, 0700) == 0)
        hd_remove_tree(path);
    int rc = make_dir(path, err);
    if (rc == 0 && chmod(path, 0311) != 0)
        rc = hd_fail_sys(err, errno, "%s", path);
    return rc;
}

static int make_backend(struct hd_node *n, struct hd_error *err)
{
    const struct hd_node_options *o = n->opt;
    hd_auto_free char *run = hd_printf("%s/run", o->data_dir);
    hd_auto_free char *cache = hd_printf("%s/cache", o->data_dir);
    hd_auto_free char *bundles = hd_printf("%s/bundles", o->data_dir);
    hd_auto_free char *files = hd_printf("%s/files", o->data_dir);
    hd_auto_free char *runtimes = hd_node_runtimes_dir(o);
    int rc = make_dir(o->data_dir, err);
    if (rc == 0)
        rc = make_dir(run, err);
    if (rc == 0)
        rc = make_dir(cache, err);
    if (rc < 0)
        return rc;
    if (runtimes == NULL && o->runtimes_dir != NULL)
        return hd_fail(err, HD_ENOTFOUND, "%s: the runtime hosts are not there (--runtimes-dir)",
                       o->runtimes_dir);
    if (runtimes == NULL)
        return hd_fail(err, HD_ENOTFOUND,
                       "the runtime hosts are not beside this program; name their folder with "
                       "--runtimes-dir");
    hd_auto_free char *deno = hd_node_deno(o, runtimes);
    static const enum hd_process_sandbox modes[] = {[HD_SANDBOX_AUTO] = HD_PROCESS_SANDBOX_AUTO,
                                                    [HD_SANDBOX_OFF] = HD_PROCESS_SANDBOX_OFF,
                                                    [HD_SANDBOX_REQUIRE] =
                                                        HD_PROCESS_SANDBOX_REQUIRE};
    struct hd_process_options opt = {.loop = n->workers[0].loop,
                                     .log = n->log,
                                     .runtimes_dir = runtimes,
                                     .run_dir = run,
                                     .functions_root = hd_registry_root(n->registry),
                                     .cache_dir = cache,
                                     .deno_bin = deno,
                                     .node_bin = o->node,
                                     .python_bin = o->python,
                                     .state_dir = o->data_dir,
                                     .credentials_key = n->credentials_key,
                                     .bundles_dir = bundles,
                                     .files_dir = files,
                                     .sandbox = modes[o->sandbox],
                                     .start_timeout_ms = o->start_timeout_ms,
                                     .max_prewarm = o->prewarm * 8};
    hd_random(n->credentials_key, sizeof(n->credentials_key));
    n->alive = hd_alive_new();
    rc = hd_process_new(&n->backend, &opt, err);
    if (rc < 0)
        return rc;
    hd_log(n->log, HD_INFO, "sandbox",
           hd_kv_str("parts", hd_process_enforcement(n->backend)->text));
    if (o->lambda_freeze && hd_process_enforcement(n->backend)->freezer == NULL)
        hd_log(n->log, HD_WARN, "instances that are processes cannot be frozen, and run on",
               hd_kv_str("reason", hd_process_enforcement(n->backend)->no_freezer));
    rc = n->backend->ops->reap_stale(n->backend, err);
    if (rc == 0)
        rc = make_files_dir(files, err);
    return rc < 0 ? rc : make_docker(n, runtimes, err);
}

static void look_at_code(void *arg, const char *function, struct hd_recheck_look *out)
{
    struct hd_node *n = arg;
    struct hd_code_state now;
    hd_registry_look(n->registry, hd_str(function), &now);
    *out = (struct hd_recheck_look){.stamp = now.stamp, .changed_unix_ms = now.changed_unix_ms};
}

static int make_pools(struct hd_node *n, struct hd_error *err)
{
    if (n->opt->hmr)
        n->recheck = hd_recheck_new(&(struct hd_recheck_options){
            .loop = n->workers[0].loop, .backend = n->backend, .look = look_at_code, .arg = n});
    struct hd_loop *loops[HD_NODE_LOOPS_MAX];
    for (unsigned i = 0; i < n->n_workers; i++)
        loops[i] = n->workers[i].loop;
    struct hd_pool_set_options opt = {
        .loops = loops,
        .n_loops = n->n_workers,
        .backend = n->backend,
        .log = n->log,
        .alive = n->alive,
        .memory_bytes = n->opt->memory_budget_bytes == UINT64_MAX ? 0 : n->opt->memory_budget_bytes,
        .lanes = n->opt->boot_lanes,
        .prewarm = n->opt->prewarm,
        .events = &pool_events,
        .arg = n};
    return hd_pool_set_new(&n->pools, &opt, err);
}

/* One host of each runtime that the functions use waits with nothing loaded. */
static void prewarm(struct hd_node *n, const struct hd_snapshot *functions)
{
    size_t count;
    const struct hd_function *const *all = hd_snapshot_all(functions, &count);
    bool done[HD_RUNTIME_COUNT] = {[HD_RUNTIME_HTTP] = true};
    if (n->opt->prewarm == 0 || n->backend->ops->prewarm == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        const struct hd_function *fn = all[i];
        if (fn->problem != NULL || done[fn->runtime])
            continue;
        done[fn->runtime] = true;
        struct hd_launch what = hd_node_launch(n, fn);
        char **env = hd_node_lanes_env(n, fn->env); /* what Deno may reach is on its command line */
        what.env = (const char *const *)env;
        n->backend->ops->prewarm(n->backend, &what, n->opt->prewarm);
        hd_node_lanes_env_free(env);
    }
}

/* --- doors --- */

static void warmup_counts(void *arg, uint32_t *total, uint32_t *ready, uint32_t *loading,
                          uint32_t *queued, uint32_t *failed)
{
    struct hd_node *n = arg;
    struct hd_pool_warmup w;
    hd_pool_set_warmup(n->pools, &w);
    *total = w.total;
    *ready = w.by_state[HD_POOL_READY];
    *loading = w.by_state[HD_POOL_LOADING];
    *queued = w.by_state[HD_POOL_QUEUED];
    *failed = w.by_state[HD_POOL_FAILED];
}

/* While functions load in the background a request waits a little, then is told; where one is
 * loaded because of the request, it waits longer. */
static uint32_t first_wait_ms(const struct hd_node_options *o)
{
    const char *origin = hd_node_options_origin(o, "boot.warmup_grace_ms");
    bool given = origin != NULL && strcmp(origin, "default") != 0;
    return given || o->compat == HD_COMPAT_1TUBE ? o->warmup_grace_ms
                                                 : HD_MAX(o->warmup_grace_ms, o->cold_wait_ms);
}

static void make_edge(struct hd_node *n)
{
    const struct hd_node_options *o = n->opt;
    n->edge = (struct hd_edge){.prefix = hd_str(o->route_prefix),
                               .cors = n->cors,
                               .trusted = n->trusted,
                               .ratelimit = n->ratelimit,
                               .verifier = n->verifier,
                               .log = n->log,
                               .via = hd_str("1.1 heddle"),
                               .warmup_grace_ms = first_wait_ms(o),
                               .fresh_wait_ms = o->hmr_fresh_wait_ms,
                               .total_timeout_ms = o->total_timeout_ms,
                               .hot_reload = o->hmr,
                               .dev = o->dev,
                               .access_log = o->access_log,
                               .span_level = HD_DEBUG,
                               .compat = o->compat == HD_COMPAT_1TUBE,
                               .on_other = hd_site_request,
                               .warmup = warmup_counts,
                               .attach = hd_node_edge_attach,
                               .arg = n};
}

static bool on_admit(void *user, const struct sockaddr *peer, bool closed)
{
    struct hd_worker *w = user;
    struct hd_ipaddr from = hd_ipaddr_of(peer);
    if (!closed)
        return hd_gate_enter(w->node->gate, &from);
    hd_gate_leave(w->node->gate, &from);
    return true;
}

static void on_refused(void *user, unsigned status, const struct hd_error *why)
{
    struct hd_worker *w = user;
    hd_log(w->node->log, HD_DEBUG, "request refused", hd_kv_int("status", status),
           hd_kv_str("error", why->msg));
}

static void on_request(void *user, struct hd_exchange *ex, const struct hd_head *head,
                       struct hd_str body, bool end)
{
    struct hd_worker *w = user;
    if (!hd_lambda_door_url(w->lambda, ex, head, body, end))
        hd_door_request(w->door, ex, head, body, end);
}

static void on_control_request(void *user, struct hd_exchange *ex, const struct hd_head *head,
                               struct hd_str body, bool end)
{
    struct hd_worker *w = user;
    hd_lambda_door_request(w->lambda, ex, head, body, end);
}

static struct hd_server_limits server_limits(const struct hd_node_options *o)
{
    return (struct hd_server_limits){.parse = {.max_head_bytes = o->head_bytes,
                                               .max_target_bytes = o->target_bytes,
                                               .max_fields = o->head_fields},
                                     .head_ms = o->head_timeout_ms,
                                     .body_gap_ms = o->body_idle_ms,
                                     .body_min_rate = o->body_min_rate,
                                     .body_grace_ms = o->body_min_rate_after,
                                     .keep_alive_ms = o->keep_alive_ms,
                                     .write_stall_ms =
                                         o->stream_idle_ms > 0 ? o->stream_idle_ms : 300000};
}

/* The default port may be another node's: then any other will do, and is told. */
static int listen_control(struct hd_node *n, struct hd_worker *w, struct hd_error *err)
{
    const struct hd_node_options *o = n->opt;
    uint16_t port = n->control_port != 0 ? n->control_port : o->control_port;
    w->control_fd = hd_listen_tcp(o->control_host, port, "--control-port", &n->control_port, err);
    if (w->control_fd == HD_EEXIST && !o->control_given && n->control_port == 0) {
        w->control_fd = hd_listen_tcp(o->control_host, 0, "--control-port", &n->control_port, err);
        if (w->control_fd >= 0)
            hd_log(n->log, HD_WARN,
                   "the control port is in use, probably by another node: a free one is taken; "
                   "--control-port chooses",
                   hd_kv_int("wanted", port), hd_kv_int("port", n->control_port));
    }
    return w->control_fd >= 0 ? 0 : w->control_fd;
}

static int make_control(struct hd_node *n, struct hd_worker *w, struct hd_error *err)
{
    struct hd_server_options opt = {.net = w->net,
                                    .limits = server_limits(n->opt),
                                    .on_request = on_control_request,
                                    .on_refused = on_refused,
                                    .on_admit = on_admit,
                                    .user = w};
    int rc = hd_server_new(&w->control, &opt, err);
    return rc < 0 ? rc : listen_control(n, w, err);
}

static int make_doors(struct hd_node *n, struct hd_error *err)
{
    make_edge(n);
    n->gate = hd_gate_new(n->opt->max_connections, n->opt->max_connections_per_address);
    for (unsigned i = 0; i < n->n_workers; i++) {
        struct hd_worker *w = &n->workers[i];
        w->door = hd_door_new(&n->edge, w->net, w->channel, i);
        struct hd_server_options opt = {.net = w->net,
                                        .limits = server_limits(n->opt),
                                        .on_request = on_request,
                                        .on_refused = on_refused,
                                        .on_admit = on_admit,
                                        .user = w};
        int rc = hd_server_new(&w->server, &opt, err);
        if (rc < 0)
            return rc;
        uint16_t port = n->port != 0 ? n->port : n->opt->port;
        w->listen_fd = hd_listen_tcp(n->opt->host, port, "--port", &n->port, err);
        if (w->listen_fd < 0)
            return w->listen_fd;
        rc = make_control(n, w, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int open_admin(struct hd_node *n, struct hd_error *err)
{
    struct hd_server_options opt = {.net = n->workers[0].net,
                                    .limits = server_limits(n->opt),
                                    .on_request = hd_admin_request,
                                    .user = n};
    int rc = hd_server_new(&n->admin, &opt, err);
    if (rc < 0)
        return rc;
    int fd = hd_listen_unix(n->opt->admin_socket, err);
    n->has_admin_socket = fd >= 0;
    if (fd >= 0)
        rc = hd_server_listen_fd(n->admin, fd, err);
    if (fd < 0 || rc < 0)
        return hd_wrap(err, fd < 0 ? fd : rc, "admin socket");
    if (!n->opt->admin_tcp)
        return 0;
    uint16_t port = 0;
    fd = hd_listen_tcp("127.0.0.1", n->opt->admin_port, "--admin-port", &port, err);
    if (fd < 0)
        return hd_wrap(err, fd, "admin port");
    hd_log(n->log, HD_INFO, "admin listener", hd_kv_int("port", port));
    return hd_server_listen_fd(n->admin, fd, err);
}

/* Each loop opens its own door; when all are open, or one cannot, the control loop says so. */
static void door_is_open(void *arg)
{
    struct hd_worker *w = arg;
    struct hd_node *n = w->node;
    if (w->failure.code != 0 && n->failure.code == 0) {
        n->failure = w->failure;
        n->exit_code = HD_EXIT_FAILED;
        hd_node_shutdown(n, "it cannot listen");
    }
    if (--n->doors_shut == 0 && atomic_load(&n->state) == HD_NODE_SERVING)
        hd_node_say_ready(n);
}

static void open_door(void *arg)
{
    struct hd_worker *w = arg;
    int fd = w->listen_fd, control = w->control_fd;
    w->listen_fd = w->control_fd = -1;
    if (atomic_load(&w->node->state) > HD_NODE_SERVING) {
        close(fd);
        close(control);
    } else if (hd_server_listen_fd(w->server, fd, &w->failure) == 0) {
        hd_server_listen_fd(w->control, control, &w->failure);
    } else {
        close(control);
    }
    hd_loop_post(w->node->workers[0].loop, door_is_open, w);
}

void hd_node_open(struct hd_node *n)
{
    int starting = HD_NODE_STARTING;
    if (!atomic_compare_exchange_strong(&n->state, &starting, HD_NODE_SERVING))
        return;
    n->doors_shut = n->n_workers;
    hd_node_lanes_start(n);
    for (unsigned i = 0; i < n->n_workers; i++)
        hd_loop_post(n->workers[i].loop, open_door, &n->workers[i]);
}

/* --- all of it --- */

static const char *first_protected(const struct hd_snapshot *s)
{
    size_t count;
    const struct hd_function *const *all = hd_snapshot_all(s, &count);
    for (size_t i = 0; i < count; i++) {
        if (all[i]->problem == NULL && all[i]->set.verify_jwt)
            return all[i]->name;
    }
    return NULL;
}

/* More open files than the shell's default: connections are files. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* @return an exit code; *err is set unless it is HD_EXIT_OK. */
static int set_up(struct hd_node *n, struct hd_error *err)
{
    struct hd_scan scan;
    raise_file_limit();
    if (make_loops(n, err) < 0 || hd_node_signals(n, err) < 0)
        return HD_EXIT_FAILED;
    if (hd_node_options_check_functions(n->opt, err) < 0 || hd_node_policies(n, err) < 0 ||
        find_functions(n, err) < 0)
        return HD_EXIT_CONFIG;
    n->logtail = hd_logtail_new(LOG_LINES, LOG_BYTES);
    hd_node_targets_new(n);
    if (hd_registry_scan(n->registry, &scan, err) < 0)
        return HD_EXIT_CONFIG;
    int code = HD_EXIT_OK;
    if (hd_node_options_check_secret(n->opt, first_protected(scan.snapshot), err) < 0)
        code = HD_EXIT_CONFIG;
    else if (make_doors(n, err) < 0)
        code = HD_EXIT_FAILED;
    else if (make_backend(n, err) < 0)
        code = err->code == HD_EBUSY ? HD_EXIT_FAILED : HD_EXIT_CONFIG;
    else if (make_pools(n, err) < 0 || open_admin(n, err) < 0)
        code = HD_EXIT_FAILED;
    else if (hd_node_lambda(n, err) < 0 || hd_node_lanes(n, err) < 0)
        code = err->code == HD_EINVAL ? HD_EXIT_CONFIG : HD_EXIT_FAILED;
    if (code == HD_EXIT_OK) {
        n->boot = hd_boot_new(n);
        prewarm(n, scan.snapshot);
        hd_node_deploy(n, &scan);
        if (hd_node_watch(n, err) < 0)
            code = HD_EXIT_FAILED;
    }
    hd_scan_done(&scan);
    return code;
}

static int run(struct hd_node *n, struct hd_error *err)
{
    for (unsigned i = 1; i < n->n_workers; i++) {
        if (hd_loop_start(n->workers[i].loop, err) < 0) {
            n->exit_code = HD_EXIT_FAILED; /* those that run are stopped like all others */
            n->n_workers = i;
            hd_node_shutdown(n, "no thread to be had");
            break;
        }
    }
    if (n->opt->defer_boot || n->opt->lazy)
        hd_node_open(n);
    hd_node_feeds_start(n);
    hd_boot_begin(n->boot);
    if (hd_boot_settled(n->boot))
        hd_node_open(n);
    hd_loop_run(n->workers[0].loop);
    for (unsigned i = 1; i < n->n_workers; i++)
        hd_loop_join(n->workers[i].loop);
    if (n->failure.code != 0)
        *err = n->failure;
    return n->exit_code;
}

/* A start that failed: what was made is ended by running the control loop once more. */
static void unwind(struct hd_node *n)
{
    for (unsigned i = 1; i < n->n_workers; i++)
        hd_loop_start(n->workers[i].loop, NULL);
    atomic_store(&n->state, HD_NODE_SERVING);
    hd_node_abandon(n);
    if (n->n_workers > 0)
        hd_loop_run(n->workers[0].loop);
    for (unsigned i = 1; i < n->n_workers; i++)
        hd_loop_join(n->workers[i].loop);
}

static void tear_down(struct hd_node *n)
{
    hd_node_undeploy(n);
    hd_node_lanes_done(n);
    hd_node_lambda_done(n);
    hd_node_targets_free(n);
    hd_pool_set_free(n->pools);
    hd_recheck_free(n->recheck);
    for (unsigned i = 0; i < n->n_workers; i++) {
        struct hd_worker *w = &n->workers[i];
        if (w->listen_fd >= 0)
            close(w->listen_fd);
        if (w->control_fd >= 0)
            close(w->control_fd);
        hd_server_free(w->server);
        hd_server_free(w->control);
        hd_door_free(w->door);
        hd_lambda_door_free(w->lambda);
        hd_edgecalls_free(w->edgecalls);
        hd_caller_free(w->caller);
        hd_channel_free(w->channel);
    }
    hd_server_free(n->admin);
    for (unsigned i = 0; i < n->n_workers; i++) {
        hd_loop_free(n->workers[i].loop);
        hd_net_free(n->workers[i].net);
    }
    hd_boot_free(n->boot);
    free(n->reload);
    hd_registry_free(n->registry);
    hd_defaults_done(&n->defaults);
    hd_devkeys_env_done(&n->built_in_env);
    hd_node_policies_done(n);
    hd_gate_free(n->gate);
    hd_alive_free(n->alive);
    hd_logtail_free(n->logtail);
}

int hd_node_run(const struct hd_node_options *opt, char *const *env, struct hd_log *log,
                struct hd_error *err)
{
    struct hd_node *n = hd_new(struct hd_node);
    n->opt = opt;
    n->env = env;
    n->log = log;
    n->start_us = hd_clock_us();
    n->start_unix_ms = hd_clock_unix_ms();
    hd_map_init(&n->stats, 0);
    int code = set_up(n, err);
    if (code == HD_EXIT_OK)
        code = run(n, err);
    else
        unwind(n);
    tear_down(n);
    if (n->has_admin_socket) /* else it may be another node's */
        unlink(opt->admin_socket);
    free(n);
    return code;
}
