/* LOADING ──200──► READY ──terminate──► DRAINING ──answer, soft deadline──► ASKED (SIGTERM)
 *    │  └─failed, deadline─┐                                                  │hard deadline
 *    └──terminate──────────┴──────────────► KILLED (SIGKILL) ◄────────────────┘
 * every state ──the process is gone──► on_gone                                               */
#include "pool/process/instance.h"

#include "pool/process/hosttalk.h"

#include <stdio.h>

enum state { LOADING, READY, DRAINING, ASKED, KILLED };

struct hd_instance_handle {
    struct hd_list link;
    struct hd_hostproc_site *site;
    struct hd_hostproc *host; /* NULL: it could not be started, or has gone */
    struct hd_backend_events events;
    void *owner;
    enum state state;
    struct hd_endpoint at; /* where it answered, once it is ready */
    char *function;
    char *notes[HD_PROCESS_NOTES]; /* for its log, or NULL */
    char *health_path;             /* `http`, where no control requests are sent; else NULL */
    bool terminated;               /* somebody asked for its end */
    uint32_t start_timeout_ms;
    struct hd_hosttalk talk; /* its call: load, health, or drain */
    void (*on_ice)(void *owner, const struct hd_error *err);
    void *ice_owner;
    struct hd_timer soft, hard; /* the stop ladder's; hard also reports a failed start */
    uint64_t hard_due_ms;       /* 0: not running */
    struct hd_error err;        /* why it failed; code 0: it did not */
};

struct hd_instance_handle *hd_process_instance_of(struct hd_list *link)
{
    return hd_container_of(link, struct hd_instance_handle, link);
}

/* --- the end --- */

static void forget_calls(struct hd_instance_handle *h)
{
    hd_hosttalk_stop(&h->talk);
    hd_timer_stop(h->site->loop, &h->soft);
    hd_timer_stop(h->site->loop, &h->hard);
}

static void report_gone(struct hd_instance_handle *h)
{
    forget_calls(h);
    hd_hosttalk_done(&h->talk);
    hd_list_remove(&h->link);
    h->events.on_gone(h->owner, h->err.code != 0 ? &h->err : NULL);
    free(h->function);
    for (size_t i = 0; i < HD_PROCESS_NOTES; i++)
        free(h->notes[i]);
    free(h->health_path);
    free(h);
}

static void on_host_exit(void *owner, const struct hd_exit_status *how)
{
    struct hd_instance_handle *h = owner;
    if (h->events.on_exit != NULL)
        h->events.on_exit(h->owner, how);
}

static void on_host_gone(void *owner, const char *why, bool by_itself)
{
    struct hd_instance_handle *h = owner;
    h->host = NULL;
    if (!h->terminated && h->err.code == 0)
        hd_fail(&h->err, by_itself && h->state == LOADING ? HD_EINVAL : HD_EIO, "function %s: %s",
                h->function, why);
    else if (h->err.code == HD_ETIMEOUT)
        hd_log(h->site->log, HD_DEBUG, "an instance that did not start was ended",
               hd_kv_str("function", h->function), hd_kv_str("how", why));
    report_gone(h);
}

static void kill_now(struct hd_instance_handle *h)
{
    h->state = KILLED;
    forget_calls(h);
    if (h->host != NULL)
        hd_hostproc_kill(h->host);
}

static void fail(struct hd_instance_handle *h)
{
    hd_wrap(&h->err, 0, "function %s", h->function);
    kill_now(h);
}

/* --- load --- */

static void on_line(void *owner, struct hd_str id, int level, struct hd_str text)
{
    struct hd_instance_handle *h = owner;
    h->events.on_line(h->owner, id, level, text);
}

static void ready(struct hd_instance_handle *h, const struct hd_endpoint *at,
                  const struct hd_declared *declared)
{
    h->state = READY;
    h->at = *at;
    for (size_t i = 0; i < HD_PROCESS_NOTES; i++)
        if (h->notes[i] != NULL)
            on_line(h, hd_str_n(NULL, 0), HD_WARN, hd_str(h->notes[i]));
    h->events.on_ready(h->owner, at, declared);
}

static void on_loaded(void *arg, const struct hd_hostcall_answer *a)
{
    struct hd_instance_handle *h = arg;
    struct hd_loadanswer answer;
    h->talk.call = NULL;
    if (hd_hosttalk_loaded(&answer, a, h->start_timeout_ms, on_line, h, &h->err) < 0) {
        fail(h);
        return;
    }
    ready(h, a->at, &answer.declared);
    hd_loadanswer_done(&answer);
}

static void on_healthy(void *arg, const struct hd_hostcall_answer *a)
{
    static const struct hd_declared nothing = {
        .is_public = -1, .timeout_ms = -1, .concurrency = -1};
    struct hd_instance_handle *h = arg;
    h->talk.call = NULL;
    if (a->rc == 0) {
        ready(h, a->at, &nothing);
        return;
    }
    h->err = *a->err;
    if (a->rc == HD_ETIMEOUT)
        hd_fail(&h->err, HD_ETIMEOUT,
                "did not answer on HEDDLE_SOCKET or PORT within %u ms of its start",
                h->start_timeout_ms);
    fail(h);
}

static struct hd_hostcall_request request(struct hd_instance_handle *h, const char *method,
                                          const char *path, uint32_t within_ms)
{
    struct hd_hostcall_request req = {
        .method = method, .path = path, .within_ms = HD_MAX(within_ms, 1U)};
    if (h->state == LOADING) {
        req.retry = true;
        req.n_at = hd_hostproc_endpoints(h->host, req.at);
    } else {
        req.at[0] = h->at;
        req.n_at = 1;
    }
    req.token = h->health_path != NULL ? NULL : hd_hostproc_token(h->host);
    return req;
}

static void load(struct hd_instance_handle *h, struct hd_buf *body)
{
    struct hd_hostcall_request req =
        request(h, h->health_path != NULL ? "GET" : "POST",
                h->health_path != NULL ? h->health_path : "/.heddle/load", h->start_timeout_ms);
    if (h->health_path != NULL) {
        hd_hosttalk_call(&h->talk, &req, on_healthy);
        return;
    }
    if (hd_buf_failed(body)) {
        hd_fail(&h->err, HD_EINVAL, "its environment is longer than %d bytes",
                HD_HOSTCALL_REQUEST_MAX);
        fail(h);
        return;
    }
    req.body = hd_buf_view(body);
    hd_hosttalk_call(&h->talk, &req, on_loaded);
}

static void wipe(struct hd_buf *body)
{
    if (body->ptr != NULL)
        explicit_bzero(body->ptr, body->len);
    hd_buf_done(body);
}

static const struct hd_hostproc_events host_events = {
    .on_line = on_line, .on_exit = on_host_exit, .on_gone = on_host_gone};

static struct hd_instance_handle *make(struct hd_list *list, struct hd_hostproc_site *site,
                                       const struct hd_backend_events *events, void *owner)
{
    struct hd_instance_handle *h = hd_new(struct hd_instance_handle);
    h->site = site;
    h->talk = (struct hd_hosttalk){.loop = site->loop, .owner = h};
    h->events = *events;
    h->owner = owner;
    hd_list_init(&h->link);
    hd_list_push(list, &h->link);
    return h;
}

static void on_failed_start(struct hd_timer *t)
{
    report_gone(hd_container_of(t, struct hd_instance_handle, hard));
}

struct hd_instance_handle *hd_process_instance_fail(struct hd_list *list,
                                                    struct hd_hostproc_site *site,
                                                    const struct hd_error *err,
                                                    const struct hd_backend_events *events,
                                                    void *owner)
{
    struct hd_instance_handle *h = make(list, site, events, owner);
    h->err = *err;
    h->state = KILLED;
    hd_timer_start(site->loop, &h->hard, 0, on_failed_start);
    return h;
}

struct hd_instance_handle *hd_process_instance_start(struct hd_list *list,
                                                     struct hd_hostproc_site *site,
                                                     const struct hd_process_start *start,
                                                     const struct hd_backend_events *events,
                                                     void *owner)
{
    const struct hd_launch *what = start->what;
    struct hd_hostproc *host = start->host;
    struct hd_error err;
    if (host == NULL && hd_hostproc_start(&host, site, start->plan, NULL, NULL, &err) < 0) {
        wipe(start->load);
        hd_wrap(&err, 0, "function %s", what->function);
        return hd_process_instance_fail(list, site, &err, events, owner);
    }
    struct hd_instance_handle *h = make(list, site, events, owner);
    h->host = host;
    h->function = hd_strdup(what->function);
    for (size_t i = 0; i < HD_PROCESS_NOTES; i++)
        h->notes[i] = hd_strdup(start->notes[i]);
    if (!start->plan->host)
        h->health_path = hd_strdup(what->health_path != NULL ? what->health_path : "/");
    h->start_timeout_ms = start->timeout_ms;
    hd_hostproc_own(host, &host_events, h);
    hd_hostproc_limit(host, what->memory_mb, what->pids);
    if (what->lambda != NULL)
        hd_hostproc_keep_to(host, what->memory_mb);
    load(h, start->load);
    wipe(start->load);
    return h;
}

/* --- the stop ladder --- */

static void on_hard(struct hd_timer *t)
{
    kill_now(hd_container_of(t, struct hd_instance_handle, hard));
}

static void ask(struct hd_instance_handle *h)
{
    hd_hosttalk_hush(&h->talk);
    hd_timer_stop(h->site->loop, &h->soft);
    h->state = ASKED;
    hd_hostproc_ask(h->host);
}

static void on_soft(struct hd_timer *t)
{
    ask(hd_container_of(t, struct hd_instance_handle, soft));
}

static void on_drained(void *arg, const struct hd_hostcall_answer *a)
{
    struct hd_instance_handle *h = arg;
    (void)a; /* an answer or none: the next step is the same */
    h->talk.call = NULL;
    ask(h);
}

void hd_process_instance_terminate(struct hd_instance_handle *h, uint32_t grace_ms)
{
    h->terminated = true;
    if (h->state == KILLED || h->host == NULL)
        return;
    /* What has not been loaded has nothing to finish; a program may be anywhere in its start. */
    if (grace_ms == 0 || (h->state == LOADING && h->health_path == NULL)) {
        kill_now(h);
        return;
    }
    hd_hostproc_thaw(h->host, NULL); /* it has something to do */
    uint64_t due = hd_loop_now_ms(h->site->loop) + grace_ms;
    if (h->hard_due_ms != 0 && due >= h->hard_due_ms)
        return;
    h->hard_due_ms = due;
    hd_timer_start(h->site->loop, &h->hard, grace_ms, on_hard);
    if (h->health_path != NULL && h->state != ASKED) {
        ask(h);
    } else if (h->state == READY) {
        struct hd_hostcall_request req = request(h, "POST", "/.heddle/drain", grace_ms);
        h->state = DRAINING;
        hd_hosttalk_call(&h->talk, &req, on_drained);
    }
    if (h->state == DRAINING)
        hd_timer_start(h->site->loop, &h->soft, hd_hosttalk_soft_ms(grace_ms), on_soft);
}

/* --- questions --- */

void hd_process_instance_ping(struct hd_instance_handle *h, uint32_t within_ms,
                              void (*done)(void *owner, int rc), void *owner)
{
    if (h->state == KILLED || h->state == LOADING || h->host == NULL)
        return; /* it goes first, or there is nothing to ask yet */
    struct hd_hostcall_request req =
        request(h, "GET", h->health_path != NULL ? h->health_path : "/.heddle/ping", within_ms);
    hd_hosttalk_ping(&h->talk, &req, done, owner);
}

/* --- standing still --- */

static void on_frozen(void *owner, const struct hd_error *err)
{
    struct hd_instance_handle *h = owner;
    if (h->state == READY)
        h->on_ice(h->ice_owner, err);
}

void hd_process_instance_freeze(struct hd_instance_handle *h,
                                void (*done)(void *owner, const struct hd_error *err), void *owner)
{
    if (h->state != READY || h->host == NULL)
        return; /* it goes first */
    h->on_ice = done;
    h->ice_owner = owner;
    hd_hostproc_freeze(h->host, on_frozen);
}

int hd_process_instance_thaw(struct hd_instance_handle *h,
                             void (*done)(void *owner, const struct hd_error *err), void *owner,
                             struct hd_error *err)
{
    (void)done;
    (void)owner;
    return h->host != NULL ? hd_hostproc_thaw(h->host, err) : 0;
}

/* --- what it wrote --- */

void hd_process_instance_flush(struct hd_instance_handle *h, void (*done)(void *owner), void *owner)
{
    if (h->host == NULL)
        return; /* it goes first */
    hd_hostproc_flush(h->host);
    hd_hosttalk_flushed(&h->talk, done, owner);
}

uint64_t hd_process_instance_peak_bytes(struct hd_instance_handle *h)
{
    return h->host != NULL ? hd_hostproc_peak_bytes(h->host) : 0;
}

uint64_t hd_process_instance_rss_bytes(struct hd_instance_handle *h)
{
    return h->host != NULL ? hd_hostproc_rss_bytes(h->host) : 0;
}

uint64_t hd_process_instance_cpu_us(struct hd_instance_handle *h)
{
    return h->host != NULL ? hd_hostproc_cpu_us(h->host) : 0;
}
