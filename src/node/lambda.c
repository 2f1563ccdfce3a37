/* The Lambda API's parts, made and ended in order: store, bundles, API; on each loop a caller and a
 * door. */
#include "core/clock.h"
#include "core/id.h"
#include "core/ipaddr.h"
#include "functions/bundle.h"
#include "invoke/admission.h"
#include "lambda/names.h"
#include "node/database.h"
#include "node/private.h"
#include "pool/docker/containerplan.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { LOOK_MS = 10 };

/* --- what each loop has --- */

void hd_node_keep_log(struct hd_node *n, struct hd_str arn, struct hd_str group,
                      struct hd_str stream, struct hd_str text, int64_t unix_ms)
{
    char space[80];
    struct hd_fn_name at;
    if (n->logstore == NULL || group.len == 0 || stream.len == 0 || hd_names_function(&at, arn) < 0)
        return;
    int len = snprintf(space, sizeof(space), "%.*s/%.*s", HD_FMT(at.account), HD_FMT(at.region));
    if (len > 0 && (size_t)len < sizeof(space))
        hd_logstore_add(n->logstore, hd_str(space), group, stream, text, unix_ms,
                        hd_clock_unix_ms());
}

static void on_line(void *arg, const struct hd_call_line *line)
{
    struct hd_node *n = arg;
    hd_node_keep_log(n, line->arn, line->group, line->stream, line->text, line->unix_ms);
    hd_logtail_add(n->logtail, line->function, line->id, line->level, line->text, line->unix_ms);
    if (n->opt->access_log || line->level > HD_INFO)
        hd_node_output(n->log, line->function, line->id, (enum hd_log_level)line->level,
                       line->text);
}

static void client_ip(void *arg, const struct hd_exchange *ex, const struct hd_field *fields,
                      size_t count, char *out)
{
    struct hd_node *n = arg;
    struct hd_client_ip client;
    hd_client_ip(&client, n->trusted, hd_exchange_peer_addr(ex), fields, count);
    hd_ipaddr_format(out, &client.address);
}

static void make_doors(struct hd_node *n)
{
    for (unsigned i = 0; i < n->n_workers; i++) {
        struct hd_worker *w = &n->workers[i];
        struct hd_caller_options opt = {
            .net = w->net, .control = n->workers[0].loop, .on_line = on_line, .arg = n};
        w->caller = hd_caller_new(&opt);
        w->lambda = hd_lambda_door_new(&n->lambda, w->net, w->caller);
        struct hd_edgecalls_options edge = {.net = w->net,
                                            .caller = w->caller,
                                            .targets = hd_node_targets(n),
                                            .log = n->log,
                                            .port = n->port};
        w->edgecalls = hd_edgecalls_new(&edge);
    }
}

struct new_view {
    struct hd_worker *worker;
    struct hd_view *view;
};

static void take_view(void *arg)
{
    struct new_view *v = arg;
    hd_lambda_door_set_view(v->worker->lambda, v->view);
    free(v);
}

static void on_view(void *arg, struct hd_view *view)
{
    struct hd_node *n = arg;
    for (unsigned i = 0; i < n->n_workers; i++) {
        struct new_view *v = hd_new(struct new_view);
        *v = (struct new_view){&n->workers[i], hd_view_ref(view)};
        hd_loop_post(n->workers[i].loop, take_view, v);
    }
    hd_node_set_view(n, view);
    hd_node_edge_routes(n);
}

/* --- what they share --- */

static const char *variable(const struct hd_node *n, const char *name)
{
    size_t len = strlen(name);
    for (char *const *at = n->env; *at != NULL; at++) {
        if (strncmp(*at, name, len) == 0 && (*at)[len] == '=')
            return *at + len + 1;
    }
    return NULL;
}

static int make_keys(struct hd_node *n, struct hd_error *err)
{
    const struct hd_option_list *l = &n->opt->lambda_keys;
    n->access_keys = hd_access_keys_new();
    hd_access_keys_derive(n->access_keys, n->credentials_key, n->alive);
    for (size_t i = 0; i < l->n; i++) {
        int rc =
            hd_access_keys_add(n->access_keys, hd_str(l->items[i]), n->opt->lambda_account, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int open_store(struct hd_node *n, struct hd_error *err)
{
    unsigned char random[16];
    char boot_id[2 * sizeof(random) + 1];
    hd_auto_free char *path = hd_node_database_path(n->opt);
    hd_auto_free char *bundles = hd_printf("%s/bundles", n->opt->data_dir);
    hd_random(random, sizeof(random));
    hd_hex(boot_id, random, sizeof(random));
    struct hd_store_options store = {.path = path, .boot_id = boot_id, .log = n->log};
    int rc = hd_store_open(&n->store, &store, err);
    if (rc < 0)
        return rc;
    struct hd_bundles_options opt = {.dir = bundles, .loop = n->workers[0].loop, .log = n->log};
    return hd_bundles_new(&n->bundles, &opt, err);
}

/* Images always; the rest as it is set, or where a setting names an image and no program is here.
 */
static struct hd_backend *backend_for(void *arg, const char *runtime, const char *architecture)
{
    struct hd_node *n = arg;
    const struct hd_node_options *o = n->opt;
    if (runtime == NULL || o->lambda_backend == HD_LAMBDA_BACKEND_DOCKER)
        return n->docker;
    if (o->lambda_backend == HD_LAMBDA_BACKEND_AUTO &&
        hd_container_has_image(runtime, n->docker_images) &&
        hd_process_runtime_problem(n->backend, runtime, architecture) != NULL)
        return n->docker;
    return NULL;
}

struct prepared {
    void (*done)(void *token, const struct hd_error *err);
    void *token;
};

static void nothing_to_fetch(void *arg)
{
    struct prepared *p = arg;
    p->done(p->token, NULL);
    free(p);
}

static void prepare_image(void *arg, const struct hd_launch *what,
                          void (*progress)(void *token, const char *text),
                          void (*done)(void *token, const struct hd_error *err), void *token)
{
    struct hd_node *n = arg;
    const struct hd_launch_lambda *l = what->lambda;
    if (n->docker != NULL && backend_for(n, l->runtime_id, l->architecture) == n->docker) {
        hd_docker_prepare(n->docker, what, progress, done, token);
        return;
    }
    struct prepared *p = hd_new(struct prepared);
    *p = (struct prepared){done, token};
    hd_process_when_known(n->backend, nothing_to_fetch, p); /* its logs say what runs it */
}

static void runtime_version(void *arg, const char *runtime, const char *architecture, char *out,
                            size_t size)
{
    struct hd_node *n = arg;
    char text[HD_INTERPRETER_TEXT_MAX + 1];
    if (backend_for(n, runtime, architecture) != NULL)
        hd_interpreter_version(text, runtime, NULL); /* the image's own: nearer is not known */
    else
        hd_process_runtime_version(n->backend, runtime, text);
    snprintf(out, size, "%s", text);
}

static const char *runtime_problem(void *arg, const char *runtime, const char *architecture)
{
    struct hd_node *n = arg;
    return backend_for(n, runtime, architecture) != NULL
               ? hd_docker_runtime_problem(runtime, architecture)
               : hd_process_runtime_problem(n->backend, runtime, architecture);
}

static int make_api(struct hd_node *n, struct hd_error *err)
{
    const struct hd_node_options *o = n->opt;
    struct hd_api_options opt = {.store = n->store,
                                 .bundles = n->bundles,
                                 .pools = n->pools,
                                 .fetcher = n->fetcher,
                                 .control = n->workers[0].loop,
                                 .log = n->log,
                                 .account = o->lambda_account,
                                 .region = o->lambda_region,
                                 .functions_root = hd_registry_root(n->registry),
                                 .s3_endpoint = o->lambda_s3_endpoint,
                                 .s3_key = variable(n, "AWS_ACCESS_KEY_ID"),
                                 .s3_secret = variable(n, "AWS_SECRET_ACCESS_KEY"),
                                 .url_domain = o->lambda_url_domain,
                                 .url_port = n->port,
                                 .hot_reload = o->lambda_hot_reload,
                                 .allow_credentials_env = o->lambda_credentials_env,
                                 .accept_retired = o->lambda_retired == HD_RETIRED_ACCEPT,
                                 .dev = o->dev,
                                 .idle_ms = o->lambda_idle_ms,
                                 .freeze = o->lambda_freeze,
                                 .freeze_after_ms = o->lambda_freeze_after_ms,
                                 .init_timeout_ms = o->lambda_init_timeout_ms,
                                 .queue_wait_ms = o->lambda_queue_wait_ms,
                                 .limits = {.account_concurrency = o->lambda_account_concurrency,
                                            .unreserved_min = o->lambda_unreserved_min},
                                 .runtime_problem = runtime_problem,
                                 .runtime_version = runtime_version,
                                 .backend_for = backend_for,
                                 .prepare_image = prepare_image,
                                 .on_view = on_view,
                                 .arg = n};
    return hd_api_new(&n->api, &opt, err);
}

int hd_node_lambda(struct hd_node *n, struct hd_error *err)
{
    static const enum hd_who_rule rules[] = {[HD_VERIFY_OFF] = HD_WHO_OFF,
                                             [HD_VERIFY_KNOWN] = HD_WHO_KNOWN,
                                             [HD_VERIFY_REQUIRED] = HD_WHO_REQUIRED};
    const struct hd_node_options *o = n->opt;
    int rc = make_keys(n, err);
    if (rc < 0)
        return rc;
    if (o->lambda_logs_mb > 0) {
        n->logstore = hd_logstore_new((size_t)o->lambda_logs_mb << 20);
        n->logs = hd_logs_new(n->logstore, n->workers[0].loop);
    }
    n->lambda = (struct hd_lambda_edge){
        .log = n->log,
        .who = {.rule = rules[o->lambda_verify],
                .keys = n->access_keys,
                .account = o->lambda_account,
                .region = o->lambda_region,
                .bearer = hd_str(o->internal_key)},
        .targets = hd_node_targets_folder(n),
        .host_name = o->control_host,
        .url_domain = o->lambda_url_domain,
        .url_open = o->lambda_url_policy == HD_URL_POLICY_OPEN,
        .public_port = n->port,
        .pace = {.max_bytes = o->lambda_stream_max_bytes, .rate = o->lambda_stream_rate},
        .logs = n->logs,
        .on_other = hd_control_request,
        .client_ip = client_ip,
        .arg = n};
    hd_node_async_new(n);
    if (o->lambda_inject_endpoints) {
        char url[300];
        hd_node_url_of(url, sizeof(url), o->control_host, n->control_port);
        hd_process_set_endpoint(n->backend, url);
    }
    make_doors(n);
    rc = open_store(n, err);
    if (rc == 0)
        rc = make_api(n, err);
    n->lambda.api = n->api;
    if (rc == 0)
        rc = hd_node_async_start(n, err);
    return rc == 0 ? hd_node_feeds_new(n, err) : rc;
}

unsigned hd_worker_lambda_active(const struct hd_worker *w)
{
    if (w->lambda == NULL)
        return 0;
    unsigned calls = hd_caller_active(w->caller), requests = hd_lambda_door_active(w->lambda);
    return HD_MAX(calls, requests);
}

/* --- the end --- */

static void on_part_closed(void *arg)
{
    struct hd_node *n = arg;
    if (--n->closing == 0)
        n->after_lambda(n);
}

void hd_node_lambda_stop(struct hd_node *n, void (*then)(void *node))
{
    n->after_lambda = then;
    n->closing = 2 + (n->api != NULL);
    if (n->api != NULL)
        hd_api_close(n->api, on_part_closed, n);
    if (n->docker != NULL)
        hd_docker_prepare_stop(n->docker);
    hd_node_async_close(n, on_part_closed);
    on_part_closed(n);
}

static void on_store_closed(void *arg)
{
    struct hd_node *n = arg;
    n->after_lambda(n);
}

static void on_bundles_closed(void *arg)
{
    struct hd_node *n = arg;
    n->bundles = NULL;
    if (n->store != NULL)
        hd_store_close(n->store, n->workers[0].loop, on_store_closed, n);
    else
        on_store_closed(n);
}

static void look(void *arg)
{
    struct hd_worker *w = arg;
    hd_lambda_door_close(w->lambda);
    atomic_store(&w->active, hd_worker_lambda_active(w));
}

/* What work threads still do for requests has to come back before their loops end. */
static void wait_for_doors(struct hd_timer *t)
{
    struct hd_node *n = hd_container_of(t, struct hd_node, shutdown_timer);
    unsigned active = 0;
    for (unsigned i = 0; i < n->n_workers && n->workers[i].lambda != NULL; i++) {
        active += atomic_load(&n->workers[i].active);
        hd_loop_post(n->workers[i].loop, look, &n->workers[i]);
    }
    if (active > 0)
        hd_timer_start(n->workers[0].loop, t, LOOK_MS, wait_for_doors);
    else if (n->bundles != NULL)
        hd_bundles_close(n->bundles, on_bundles_closed, n);
    else
        on_bundles_closed(n);
}

void hd_node_lambda_close(struct hd_node *n, void (*then)(void *node))
{
    n->after_lambda = then;
    for (unsigned i = 0; i < n->n_workers; i++)
        atomic_store(&n->workers[i].active, n->workers[i].lambda != NULL);
    wait_for_doors(&n->shutdown_timer);
}

void hd_node_lambda_done(struct hd_node *n)
{
    hd_api_free(n->api);
    hd_node_feeds_free(n);
    hd_node_async_free(n);
    hd_store_free(n->store);
    hd_access_keys_free(n->access_keys);
    hd_logs_free(n->logs);
    hd_logstore_free(n->logstore);
    free(n->docker_images);
}
