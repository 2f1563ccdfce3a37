/* Everything that is not a function: health, metrics, warm-up, and the admin listener's pages.
 *
 * What is asked on any loop is put together on the control loop, where functions and pools are at
 * home, and answered on the loop it came from:
 *
 *   hd_site_request() ──post──► collect() ──post──► deliver()      a client that goes away
 * meanwhile loop k                     loop 0               loop k       leaves a job without an
 * exchange */
#include "core/clock.h"
#include "gateway/answer.h"
#include "gateway/heads.h"
#include "node/private.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

enum {
    PAGE_BYTES_MAX = 64 * 1024 * 1024,
    WAIT_MS_MAX = 60000,
    WAIT_LOOK_MS = 20,
    LOG_LINES_BEHIND = 4 * 1024 * 1024, /* a follower that lags further is dropped */
};

enum page {
    PAGE_HEALTH,
    PAGE_METRICS,
    PAGE_WARMUP,
    PAGE_FUNCTIONS,
    PAGE_RELOAD,
    PAGE_INSTANCES,
    PAGE_DRAIN,
};

struct job {
    struct hd_node *node;
    struct hd_worker *worker;
    struct hd_exchange *ex; /* NULL: gone */
    enum page page;
    bool privileged; /* had the key, or came to the admin listener */
    uint64_t wait_until_ms;
    struct hd_node_which which; /* PAGE_DRAIN */
    struct hd_timer timer;      /* on the control loop */
    struct hd_buf body;
    struct hd_cors_answer cors;
};

/* --- simple answers --- */

static const struct hd_exchange_events nobody = {0};

static void reply(struct hd_exchange *ex, unsigned status, const char *type, struct hd_str body,
                  const struct hd_cors_answer *cors)
{
    struct hd_field fields[2 + HD_CORS_FIELDS_MAX] = {
        {hd_str("content-type"), hd_str(type)}, {hd_str("cache-control"), hd_str("no-store")}};
    size_t n = 2;
    for (size_t i = 0; cors != NULL && i < cors->n; i++)
        fields[n++] = cors->fields[i];
    struct hd_response_head head = {
        .status = status, .fields = fields, .n_fields = n, .body_bytes = (int64_t)body.len};
    ex->events = &nobody;
    hd_exchange_respond(ex, &head, body, true);
}

static void reply_json(struct hd_exchange *ex, unsigned status, const char *json)
{
    reply(ex, status, "application/json", hd_str(json), NULL);
}

const char *hd_node_state_name(enum hd_node_state s)
{
    switch (s) {
    case HD_NODE_STARTING:
        return "starting";
    case HD_NODE_SERVING:
        return "ok";
    case HD_NODE_DRAINING:
    case HD_NODE_CLOSING:
        return "draining";
    }
    return "unknown";
}

/* As the Lambda API says it: whoever comes here speaks that. */
static void reply_unknown(struct hd_exchange *ex)
{
    static const struct hd_field fields[] = {
        {HD_LIT("content-type"), HD_LIT("application/json")},
        {HD_LIT("x-amzn-ErrorType"), HD_LIT("UnknownOperationException")}};
    static const struct hd_str body =
        HD_LIT("{\"Message\":\"There is no such path here; see doc/lambda.md for those there "
               "are.\"}");
    struct hd_response_head head = {
        .status = 404, .fields = fields, .n_fields = 2, .body_bytes = (int64_t)body.len};
    ex->events = &nobody;
    hd_exchange_respond(ex, &head, body, true);
}

static void reply_ready(struct hd_node *n, struct hd_exchange *ex)
{
    enum hd_node_state state = (enum hd_node_state)atomic_load(&n->state);
    char text[64];
    snprintf(text, sizeof(text), "{\"status\":\"%s\"}", hd_node_state_name(state));
    reply_json(ex, state == HD_NODE_SERVING ? 200 : 503, text);
}

/* --- pages --- */

static void warmup_page(struct job *j)
{
    struct hd_pool_warmup w;
    hd_pool_set_warmup(j->node->pools, &w);
    uint32_t loading = w.by_state[HD_POOL_LOADING], queued = w.by_state[HD_POOL_QUEUED];
    hd_buf_fmt(&j->body,
               "{\"backend\":\"process\",\"ready\":%s,\"total\":%" PRIu32 ",\"loaded\":%" PRIu32,
               loading + queued == 0 ? "true" : "false", w.total, w.by_state[HD_POOL_READY]);
    if (!j->privileged && !j->node->opt->dev) {
        hd_buf_fmt(&j->body,
                   ",\"loading\":%" PRIu32 ",\"queued\":%" PRIu32 ",\"failed\":%" PRIu32 "}",
                   loading, queued, w.by_state[HD_POOL_FAILED]);
        return;
    }
    static const struct {
        const char *key;
        enum hd_pool_state state;
    } lists[] = {
        {"loading", HD_POOL_LOADING}, {"queued", HD_POOL_QUEUED}, {"failed", HD_POOL_FAILED}};
    size_t n = 0;
    struct hd_route *const *routes =
        j->node->routes != NULL ? hd_routes_all(j->node->routes, &n) : NULL;
    for (size_t k = 0; k < HD_COUNT(lists); k++) {
        hd_buf_fmt(&j->body, ",\"%s\":[", lists[k].key);
        const char *comma = "";
        for (size_t i = 0; i < n; i++) {
            const struct hd_route *r = routes[i];
            enum hd_pool_state state = r->pool != NULL ? hd_pool_state(r->pool) : HD_POOL_FAILED;
            if (state != lists[k].state)
                continue;
            hd_buf_cstr(&j->body, comma);
            comma = ",";
            if (state != HD_POOL_FAILED) {
                hd_buf_json(&j->body, hd_str(r->fn->name));
                continue;
            }
            struct hd_error err = {0};
            if (r->pool != NULL)
                hd_pool_error(r->pool, &err);
            hd_buf_cstr(&j->body, "{\"name\":");
            hd_buf_json(&j->body, hd_str(r->fn->name));
            hd_buf_cstr(&j->body, ",\"error\":");
            hd_buf_json(&j->body, hd_str(r->pool != NULL ? err.msg : r->fn->problem));
            hd_buf_char(&j->body, '}');
        }
        hd_buf_char(&j->body, ']');
    }
    hd_buf_char(&j->body, '}');
}

static void function_entry(struct job *j, const struct hd_route *r)
{
    struct hd_buf *b = &j->body;
    struct hd_stats_sum sum;
    struct hd_pool_stats pool = {.state = HD_POOL_FAILED};
    struct hd_error err = {0};
    bool known;
    hd_stats_sum(r->stats, &sum);
    if (r->pool != NULL) {
        hd_pool_stats(r->pool, &pool);
        hd_pool_error(r->pool, &err);
    }
    hd_buf_cstr(b, "{\"name\":");
    hd_buf_json(b, hd_str(r->fn->name));
    hd_buf_fmt(b, ",\"runtime\":\"%s\",\"version\":\"%s\",\"state\":\"%s\"",
               hd_runtime_name(r->fn->runtime), r->fn->version, hd_pool_state_name(pool.state));
    bool is_public = hd_route_is_public(r, HD_ROUTE_FRESH, &known);
    hd_buf_fmt(b, ",\"public\":%s", known ? (is_public ? "true" : "false") : "null");
    const char *problem = r->fn->problem != NULL         ? r->fn->problem
                          : pool.state == HD_POOL_FAILED ? err.msg
                                                         : NULL;
    if (problem != NULL) {
        hd_buf_cstr(b, ",\"error\":");
        hd_buf_json(b, hd_str(problem));
    }
    hd_buf_fmt(b,
               ",\"instances\":{\"starting\":%" PRIu32 ",\"idle\":%" PRIu32 ",\"busy\":%" PRIu32
               ",\"draining\":%" PRIu32 "},\"waiting\":%" PRIu32 ",\"inFlight\":%" PRIu32
               ",\"memoryBytes\":%" PRIu64 ",\"coldStartMs\":%.1f",
               pool.starting, pool.idle, pool.busy, pool.draining, pool.waiting, pool.in_flight,
               pool.rss_bytes, (double)pool.cold_start_us / 1000);
    hd_buf_fmt(b,
               ",\"invocations\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"totalDurationMs\":%" PRIu64
               ",\"lastInvocation\":%" PRId64,
               sum.requests, sum.errors, sum.duration_us / 1000, sum.last_unix_ms);
    struct hd_breaker_stats v = {0};
    if (r->breaker != NULL)
        hd_breaker_stats(&v, r->breaker, hd_clock_ms());
    hd_buf_fmt(b, ",\"errorRate\":%.4f,\"windowSize\":%" PRIu32 ",\"breakerOpen\":%s}",
               v.window > 0 ? (double)v.errors / v.window : 0.0, v.window,
               v.state != HD_BREAKER_CLOSED ? "true" : "false");
}

static void functions_page(struct job *j)
{
    size_t n = 0;
    struct hd_route *const *routes =
        j->node->routes != NULL ? hd_routes_all(j->node->routes, &n) : NULL;
    hd_buf_cstr(&j->body, "{\"functions\":[");
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            hd_buf_char(&j->body, ',');
        function_entry(j, routes[i]);
    }
    hd_buf_cstr(&j->body, "]}");
}

static void health_page(struct job *j)
{
    struct hd_node *n = j->node;
    enum hd_node_state state = (enum hd_node_state)atomic_load(&n->state);
    struct hd_pool_warmup w;
    size_t count = 0;
    hd_pool_set_warmup(n->pools, &w);
    if (n->routes != NULL)
        hd_routes_all(n->routes, &count);
    bool degraded = state == HD_NODE_SERVING && w.by_state[HD_POOL_FAILED] > 0;
    hd_buf_fmt(&j->body, "{\"status\":\"%s\"", degraded ? "degraded" : hd_node_state_name(state));
    if (j->privileged) {
        hd_buf_fmt(&j->body,
                   ",\"version\":\"%s\",\"uptime_ms\":%" PRIu64 ",\"function_count\":%zu"
                   ",\"ready\":%" PRIu32 ",\"loading\":%" PRIu32 ",\"queued\":%" PRIu32
                   ",\"failed\":%" PRIu32 ",\"connections\":%" PRIu32
                   ",\"instance_memory_bytes\":%" PRIu64 ",\"detail\":",
                   HD_VERSION, (hd_clock_us() - n->start_us) / 1000, count,
                   w.by_state[HD_POOL_READY], w.by_state[HD_POOL_LOADING],
                   w.by_state[HD_POOL_QUEUED], w.by_state[HD_POOL_FAILED], hd_gate_open(n->gate),
                   hd_pool_set_memory(n->pools));
        functions_page(j);
    }
    hd_buf_char(&j->body, '}');
}

/* --- jobs --- */

static void on_job_gone(struct hd_exchange *ex, enum hd_gone why)
{
    struct job *j = ex->door;
    (void)why;
    j->ex = NULL;
}

static void on_job_body(struct hd_exchange *ex, struct hd_str bytes, bool end)
{
    (void)ex;
    (void)bytes;
    (void)end; /* none of these pages has a use for one */
}

static void on_job_bad_body(struct hd_exchange *ex, unsigned status, const char *why)
{
    struct job *j = ex->door;
    (void)why;
    j->ex = NULL;
    reply_json(ex, status, "{\"error\":\"Bad request body\"}");
}

static void on_job_writable(struct hd_exchange *ex)
{
    (void)ex;
}

static const struct hd_exchange_events job_events = {.on_body = on_job_body,
                                                     .on_bad_body = on_job_bad_body,
                                                     .on_writable = on_job_writable,
                                                     .on_gone = on_job_gone};

static void deliver(void *arg)
{
    struct job *j = arg;
    const char *type =
        j->page == PAGE_METRICS ? "text/plain; version=0.0.4; charset=utf-8" : "application/json";
    if (j->ex != NULL && hd_buf_failed(&j->body))
        reply_json(j->ex, 500, "{\"error\":\"The answer is too large\"}");
    else if (j->ex != NULL)
        reply(j->ex, 200, type, hd_buf_view(&j->body), &j->cors);
    hd_buf_done(&j->body);
    free(j);
}

static void collect(void *arg);

static void on_wait_over(struct hd_timer *t)
{
    collect(hd_container_of(t, struct job, timer));
}

static bool still_warming(struct job *j)
{
    struct hd_pool_warmup w;
    hd_pool_set_warmup(j->node->pools, &w);
    return w.by_state[HD_POOL_LOADING] + w.by_state[HD_POOL_QUEUED] > 0 &&
           atomic_load(&j->node->state) < HD_NODE_DRAINING;
}

static void collect(void *arg)
{
    struct job *j = arg;
    struct hd_loop *control = j->node->workers[0].loop;
    if (j->page == PAGE_WARMUP && hd_loop_now_ms(control) < j->wait_until_ms && still_warming(j)) {
        hd_timer_start(control, &j->timer, WAIT_LOOK_MS, on_wait_over);
        return;
    }
    switch (j->page) {
    case PAGE_HEALTH:
        health_page(j);
        break;
    case PAGE_METRICS:
        hd_node_metrics(j->node, &j->body);
        break;
    case PAGE_WARMUP:
        warmup_page(j);
        break;
    case PAGE_FUNCTIONS:
        functions_page(j);
        break;
    case PAGE_INSTANCES:
        hd_node_instances(j->node, &j->body);
        break;
    case PAGE_DRAIN:
        hd_node_drain_instances(j->node, &j->which, &j->body);
        break;
    case PAGE_RELOAD:
        hd_node_rescan(j->node);
        hd_buf_cstr(&j->body, "{\"reloading\":true}");
        break;
    }
    hd_loop_post(j->worker->loop, deliver, j);
}

/* The value of a query parameter, undecoded; empty if absent. */
static struct hd_str query(const struct hd_head *head, const char *name)
{
    struct hd_str rest = head->query, pair;
    while (hd_str_split(&pair, &rest, '&')) {
        size_t at = hd_str_find(pair, '=');
        if (hd_str_is(hd_str_n(pair.ptr, at), name))
            return at < pair.len ? hd_str_n(pair.ptr + at + 1, pair.len - at - 1)
                                 : hd_str_n(pair.ptr + at, 0);
    }
    return hd_str_n(NULL, 0);
}

static void ask(struct hd_worker *w, struct hd_exchange *ex, const struct hd_head *head,
                enum page page, bool privileged)
{
    struct job *j = hd_new(struct job);
    uint64_t wait_ms = 0;
    *j = (struct job){
        .node = w->node, .worker = w, .ex = ex, .page = page, .privileged = privileged};
    hd_buf_init(&j->body, PAGE_BYTES_MAX);
    if (page == PAGE_WARMUP && hd_str_to_u64(&wait_ms, query(head, "wait")) == 0)
        j->wait_until_ms = hd_loop_now_ms(w->loop) + HD_MIN(wait_ms, (uint64_t)WAIT_MS_MAX);
    if (page == PAGE_DRAIN)
        hd_node_which(&j->which, query(head, "id"), query(head, "function"));
    ex->door = j;
    ex->events = &job_events;
    hd_loop_post(w->node->workers[0].loop, collect, j);
}

/* --- the log, followed --- */

struct follower {
    struct hd_log_follower link;
    struct hd_exchange *ex;
    char function[HD_FUNCTION_NAME_MAX + 1]; /* empty: all */
    int level;
    struct hd_buf behind; /* while the client is slow */
    bool waiting;
};

static void follower_free(struct follower *f)
{
    hd_logtail_leave(&f->link);
    hd_buf_done(&f->behind);
    free(f);
}

static bool follower_wants(const struct follower *f, struct hd_str function, int level)
{
    return level >= f->level && (f->function[0] == '\0' || hd_str_is(function, f->function));
}

static void follower_line(struct hd_log_follower *link, struct hd_str function, int level,
                          struct hd_str json)
{
    struct follower *f = hd_container_of(link, struct follower, link);
    if (!follower_wants(f, function, level))
        return;
    hd_buf_str(&f->behind, json);
    hd_buf_char(&f->behind, '\n');
    if (f->waiting)
        return; /* what does not fit is lost for this follower only */
    f->waiting = !hd_exchange_write(f->ex, hd_buf_view(&f->behind), false);
    hd_buf_clear(&f->behind);
}

static void on_follower_writable(struct hd_exchange *ex)
{
    struct follower *f = ex->door;
    f->waiting = false;
    if (f->behind.len == 0)
        return;
    f->waiting = !hd_exchange_write(ex, hd_buf_view(&f->behind), false);
    hd_buf_clear(&f->behind);
}

static void on_follower_gone(struct hd_exchange *ex, enum hd_gone why)
{
    (void)why;
    follower_free(ex->door);
}

static void on_follower_bad_body(struct hd_exchange *ex, unsigned status, const char *why)
{
    (void)status; /* the answer has begun: it can only be broken off */
    (void)why;
    follower_free(ex->door);
    hd_exchange_abort(ex);
}

static const struct hd_exchange_events follower_events = {.on_body = on_job_body,
                                                          .on_bad_body = on_follower_bad_body,
                                                          .on_writable = on_follower_writable,
                                                          .on_gone = on_follower_gone};

static void add_line(void *arg, struct hd_str function, int level, struct hd_str json)
{
    struct follower *f = arg;
    if (!follower_wants(f, function, level))
        return;
    hd_buf_str(&f->behind, json);
    hd_buf_char(&f->behind, '\n');
}

static int level_of(struct hd_str name)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (int i = 0; i < (int)HD_COUNT(names); i++) {
        if (hd_str_is(name, names[i]))
            return i;
    }
    return HD_DEBUG;
}

static void logs_page(struct hd_node *n, struct hd_exchange *ex, const struct hd_head *head)
{
    struct follower *f = hd_new(struct follower);
    struct hd_str function = query(head, "function");
    bool follow = hd_str_is(query(head, "follow"), "1");
    f->ex = ex;
    f->level = level_of(query(head, "level"));
    f->link.on_line = follower_line;
    hd_list_init(&f->link.link);
    if (function.len <= HD_FUNCTION_NAME_MAX && function.len > 0)
        memcpy(f->function, function.ptr, function.len);
    hd_buf_init(&f->behind, LOG_LINES_BEHIND);
    hd_logtail_each(n->logtail, add_line, f);
    static const struct hd_field fields[] = {
        {HD_LIT("content-type"), HD_LIT("application/x-ndjson")},
        {HD_LIT("cache-control"), HD_LIT("no-store")}};
    struct hd_response_head answer = {.status = 200,
                                      .fields = fields,
                                      .n_fields = HD_COUNT(fields),
                                      .body_bytes = HD_BODY_UNKNOWN};
    ex->door = f;
    ex->events = &follower_events;
    bool flows = hd_exchange_respond(ex, &answer, hd_buf_view(&f->behind), !follow);
    hd_buf_clear(&f->behind);
    if (!follow) {
        follower_free(f);
        return;
    }
    f->waiting = !flows;
    hd_logtail_follow(n->logtail, &f->link);
}

/* --- routes --- */

static bool has_key(const struct hd_node *n, const struct hd_head *head)
{
    const struct hd_field *f = hd_head_find(head, "authorization");
    return n->opt->internal_key != NULL && n->opt->internal_key[0] != '\0' && f != NULL &&
           hd_str_eq_secret(hd_bearer_token(f->value), hd_str(n->opt->internal_key));
}

static bool is_path(const struct hd_head *head, const char *name)
{
    if (hd_str_is(head->path, name))
        return true;
    /* /1tube/... is the reference's name for /heddle/... */
    static const struct hd_str ours = HD_LIT("/heddle/"), theirs = HD_LIT("/1tube/");
    return hd_str_starts(hd_str(name), ours) && hd_str_starts(head->path, theirs) &&
           hd_str_is(hd_str_n(head->path.ptr + theirs.len, head->path.len - theirs.len),
                     name + ours.len);
}

/* @return whether it was one of the pages that both listeners have. */
static bool shared_page(struct hd_worker *w, struct hd_exchange *ex, const struct hd_head *head,
                        bool privileged)
{
    struct hd_node *n = w->node;
    if (is_path(head, "/") || is_path(head, "/livez"))
        reply_json(ex, 200, "{\"status\":\"ok\"}");
    else if (is_path(head, "/readyz"))
        reply_ready(n, ex);
    else if (is_path(head, "/health"))
        ask(w, ex, head, PAGE_HEALTH, privileged);
    else if (is_path(head, "/heddle/warmup"))
        ask(w, ex, head, PAGE_WARMUP, privileged);
    else if (is_path(head, "/metrics") && privileged)
        ask(w, ex, head, PAGE_METRICS, true);
    else if (is_path(head, "/metrics"))
        reply_json(ex, 403, "{\"error\":\"Forbidden\"}");
    else
        return false;
    return true;
}

static bool is_read(const struct hd_head *head)
{
    return hd_str_is(head->method, "GET") || hd_str_is(head->method, "HEAD");
}

static struct hd_worker *worker_of(struct hd_node *n, const struct hd_exchange *ex)
{
    return &n->workers[hd_loop_index(ex->net->loop)];
}

void hd_site_request(void *node, struct hd_exchange *ex, const struct hd_head *head)
{
    struct hd_node *n = node;
    if (!is_read(head) && (is_path(head, "/") || is_path(head, "/livez")))
        reply_json(ex, 405, "{\"error\":\"Method not allowed\"}");
    else if (!is_read(head) || !shared_page(worker_of(n, ex), ex, head, has_key(n, head)))
        reply_json(ex, 404, "{\"error\":\"Not found\"}");
}

void hd_control_request(void *node, struct hd_exchange *ex, const struct hd_head *head)
{
    struct hd_node *n = node;
    struct hd_worker *w = worker_of(n, ex);
    bool key = has_key(n, head);
    if (is_read(head) && is_path(head, "/healthz"))
        reply_ready(n, ex);
    else if (is_read(head) && key && is_path(head, "/heddle/functions"))
        ask(w, ex, head, PAGE_FUNCTIONS, true);
    else if (is_read(head) && key && is_path(head, "/heddle/instances"))
        ask(w, ex, head, PAGE_INSTANCES, true);
    else if (key && hd_str_is(head->method, "POST") && is_path(head, "/heddle/instances/drain"))
        ask(w, ex, head, PAGE_DRAIN, true);
    else if (!is_read(head) || !shared_page(w, ex, head, key))
        reply_unknown(ex);
}

void hd_admin_request(void *node, struct hd_exchange *ex, const struct hd_head *head,
                      struct hd_str body, bool end)
{
    struct hd_node *n = node;
    if (hd_node_lanes_request(n, ex, head, body, end))
        return;
    if (is_path(head, "/heddle/reload") && hd_str_is(head->method, "POST"))
        ask(&n->workers[0], ex, head, PAGE_RELOAD, true);
    else if (is_path(head, "/heddle/instances/drain") && hd_str_is(head->method, "POST"))
        ask(&n->workers[0], ex, head, PAGE_DRAIN, true);
    else if (!is_read(head))
        reply_json(ex, 405, "{\"error\":\"Method not allowed\"}");
    else if (is_path(head, "/heddle/functions"))
        ask(&n->workers[0], ex, head, PAGE_FUNCTIONS, true);
    else if (is_path(head, "/heddle/instances"))
        ask(&n->workers[0], ex, head, PAGE_INSTANCES, true);
    else if (is_path(head, "/heddle/logs"))
        logs_page(n, ex, head);
    else if (!shared_page(&n->workers[0], ex, head, true))
        reply_json(ex, 404, "{\"error\":\"Not found\"}");
}
