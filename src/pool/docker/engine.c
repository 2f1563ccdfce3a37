/* ask() ──engine not known yet──► host found ─► GET /version ─► the call itself ─► done()
 *   └───────────known──────────────────────────────────────────────┘                     */
#include "pool/docker/engine.h"

#include "core/buf.h"
#include "core/list.h"

#include <stdio.h>

enum {
    ANSWER_MAX = 16 << 20,
    LINE_MAX_BYTES = 1 << 20,
    VERSION_MS = 10000,
    FOREVER_MS = INT32_MAX,
    NEWEST_MINOR = 44, /* API 1.44: no newer one is needed, and older engines have less */
};

struct hd_engine {
    struct hd_loop *loop;
    struct hd_fetcher *fetcher;
    char *host, *certs; /* as they were set, or NULL */
    struct hd_engine_host at;
    bool podman;
    char version[16];        /* "v1.41"; empty: not asked yet */
    struct hd_fetch *asking; /* the version */
    struct hd_list waiting;  /* calls, until it is known */
    bool closing;
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

struct hd_engine_call {
    struct hd_list link;
    struct hd_engine *engine;
    char *method, *path, *body, *registry_auth;
    const int *body_fd;
    uint32_t timeout_ms;
    struct hd_buf line; /* the beginning of one */
    void (*on_line)(void *arg, const json_t *line);
    void (*on_part)(void *arg, struct hd_str bytes);
    struct hd_fetch *fetch; /* NULL: it waits */
    struct hd_timer failed;
    struct hd_error err;
    hd_engine_done_fn *done;
    void *arg;
};

/* --- the end of a call --- */

static void call_free(struct hd_engine_call *c)
{
    free(c->method);
    free(c->path);
    if (c->body != NULL)
        explicit_bzero(c->body, strlen(c->body)); /* environment and secrets */
    free(c->body);
    if (c->registry_auth != NULL)
        explicit_bzero(c->registry_auth, strlen(c->registry_auth));
    free(c->registry_auth);
    hd_buf_done(&c->line);
    free(c);
}

static void on_failed(struct hd_timer *t)
{
    struct hd_engine_call *c = hd_container_of(t, struct hd_engine_call, failed);
    struct hd_engine_answer a = {.err = &c->err};
    hd_list_remove(&c->link);
    c->done(c->arg, &a);
    call_free(c);
}

static void fail_later(struct hd_engine_call *c)
{
    hd_timer_start(c->engine->loop, &c->failed, 0, on_failed);
}

static void tell_line(struct hd_engine_call *c, struct hd_str line)
{
    json_t *json = line.len > 0 ? json_loadb(line.ptr, line.len, 0, NULL) : NULL;
    if (json != NULL)
        c->on_line(c->arg, json);
    json_decref(json);
}

static void on_answer(void *arg, const struct hd_fetch_result *result, const struct hd_error *err)
{
    struct hd_engine_call *c = arg;
    struct hd_engine_answer a = {.err = err};
    json_t *json = NULL;
    if (err != NULL && err->code == HD_EIO)
        c->engine->version[0] = '\0'; /* it may come back as another one */
    if (c->line.len > 0 && !hd_buf_failed(&c->line))
        tell_line(c, hd_buf_view(&c->line));
    if (result != NULL) {
        a.status = result->status;
        json = json_loadb(result->body.ptr != NULL ? result->body.ptr : "", result->body.len,
                          JSON_DECODE_ANY, NULL);
        a.json = json;
    }
    c->done(c->arg, &a);
    json_decref(json);
    call_free(c);
}

/* --- calls --- */

static void on_part(void *arg, struct hd_str bytes)
{
    struct hd_engine_call *c = arg;
    if (c->on_line == NULL) {
        c->on_part(c->arg, bytes);
        return;
    }
    while (bytes.len > 0) {
        size_t n = hd_str_find(bytes, '\n');
        hd_buf_str(&c->line, hd_str_n(bytes.ptr, n));
        if (n == bytes.len)
            return;
        if (!hd_buf_failed(&c->line)) /* one that is too long is none of those that we look for */
            tell_line(c, hd_buf_view(&c->line));
        hd_buf_clear(&c->line);
        bytes = hd_str_n(bytes.ptr + n + 1, bytes.len - n - 1);
    }
}

static void send_call(struct hd_engine_call *c)
{
    struct hd_engine *e = c->engine;
    struct hd_fetch_tls room;
    struct hd_field fields[3];
    size_t n = 0;
    if (c->body != NULL || c->body_fd != NULL)
        fields[n++] = (struct hd_field){HD_LIT("content-type"), c->body != NULL
                                                                    ? hd_str("application/json")
                                                                    : hd_str("application/x-tar")};
    if (c->body_fd != NULL)
        fields[n++] = (struct hd_field){HD_LIT("expect"), HD_LIT("")};
    if (c->registry_auth != NULL)
        fields[n++] = (struct hd_field){HD_LIT("x-registry-auth"), hd_str(c->registry_auth)};
    hd_auto_free char *url = hd_printf("%s/%s%s", e->at.base, e->version, c->path);
    struct hd_fetch_request req = {
        .method = c->method,
        .url = url,
        .fields = fields,
        .n_fields = n,
        .body = hd_str(c->body),
        .body_fd = c->body_fd,
        .unix_socket = e->at.socket,
        .tls = hd_engine_host_tls(&e->at, &room),
        .timeout_ms = c->timeout_ms > 0 ? c->timeout_ms : (uint32_t)FOREVER_MS,
        .max_body_bytes = ANSWER_MAX,
        .on_part = c->on_line != NULL || c->on_part != NULL ? on_part : NULL};
    if (hd_fetch_start(&c->fetch, e->fetcher, &req, on_answer, c, &c->err) < 0)
        fail_later(c);
}

static void go_on(struct hd_engine *e, const struct hd_error *err)
{
    struct hd_list all;
    hd_list_init(&all);
    for (struct hd_list *l; (l = hd_list_pop(&e->waiting)) != NULL;)
        hd_list_push(&all, l);
    for (struct hd_list *l; (l = hd_list_pop(&all)) != NULL;) {
        struct hd_engine_call *c = hd_container_of(l, struct hd_engine_call, link);
        if (hd_timer_active(&c->failed))
            continue;
        if (err == NULL) {
            send_call(c);
        } else {
            c->err = *err;
            fail_later(c);
        }
    }
}

static unsigned minor_of(const json_t *o, const char *member)
{
    unsigned minor = 0;
    const char *text = json_string_value(json_object_get(o, member));
    return text != NULL && sscanf(text, "1.%u", &minor) == 1 ? minor : 0;
}

static bool is_podman(const json_t *version)
{
    size_t i;
    json_t *part;
    json_array_foreach(json_object_get(version, "Components"), i, part)
    {
        const char *name = json_string_value(json_object_get(part, "Name"));
        if (name != NULL && strncmp(name, "Podman", 6) == 0)
            return true;
    }
    return false;
}

static void on_version(void *arg, const struct hd_fetch_result *result, const struct hd_error *err)
{
    struct hd_engine *e = arg;
    struct hd_error mine = {0};
    const char *where = e->at.socket != NULL ? e->at.socket : e->at.base;
    json_t *json = result != NULL ? json_loadb(result->body.ptr, result->body.len, 0, NULL) : NULL;
    unsigned newest = minor_of(json, "ApiVersion"), oldest = minor_of(json, "MinAPIVersion");
    e->asking = NULL;
    if (err != NULL) {
        mine = *err;
        hd_wrap(&mine, 0, "%s: asking for the engine's version", where);
    } else if (result->status != 200 || newest == 0) {
        hd_fail(&mine, HD_EPROTO, "%s: what answers there is not a Docker or Podman service",
                where);
    } else if (oldest > NEWEST_MINOR) {
        hd_fail(&mine, HD_EPROTO, "%s: the engine speaks API 1.%u and newer only; 1.%d is needed",
                where, oldest, NEWEST_MINOR);
    } else {
        e->podman = is_podman(json);
        snprintf(e->version, sizeof(e->version), "v1.%u", HD_MIN(newest, (unsigned)NEWEST_MINOR));
    }
    json_decref(json);
    go_on(e, mine.code != 0 ? &mine : NULL);
}

static void look_for_it(struct hd_engine *e)
{
    struct hd_error err;
    if (e->asking != NULL)
        return;
    struct hd_engine_where where = {.host = e->host, .certs = e->certs};
    struct hd_fetch_tls room;
    hd_engine_host_done(&e->at);
    int rc = hd_engine_host_find(&e->at, &where, &err);
    hd_auto_free char *url = hd_printf("%s/version", rc == 0 ? e->at.base : "");
    struct hd_fetch_request req = {.url = url,
                                   .unix_socket = e->at.socket,
                                   .tls = hd_engine_host_tls(&e->at, &room),
                                   .timeout_ms = VERSION_MS,
                                   .max_body_bytes = ANSWER_MAX};
    if (rc == 0)
        rc = hd_fetch_start(&e->asking, e->fetcher, &req, on_version, e, &err);
    if (rc < 0)
        go_on(e, &err);
}

struct hd_engine_call *hd_engine_ask(struct hd_engine *e, const struct hd_engine_request *req,
                                     hd_engine_done_fn *done, void *arg)
{
    struct hd_engine_call *c = hd_new(struct hd_engine_call);
    *c = (struct hd_engine_call){.engine = e,
                                 .method = hd_strdup(req->method),
                                 .path = hd_strdup(req->path),
                                 .body = hd_strdup(req->body),
                                 .registry_auth = hd_strdup(req->registry_auth),
                                 .body_fd = req->body_fd,
                                 .timeout_ms = req->timeout_ms,
                                 .on_line = req->on_line,
                                 .on_part = req->on_part,
                                 .done = done,
                                 .arg = arg};
    hd_list_init(&c->link);
    hd_buf_init(&c->line, LINE_MAX_BYTES);
    if (e->version[0] != '\0') {
        send_call(c);
        return c;
    }
    hd_list_push(&e->waiting, &c->link);
    look_for_it(e);
    return c;
}

void hd_engine_cancel(struct hd_engine_call *c)
{
    if (c->fetch != NULL) {
        hd_fetch_cancel(c->fetch);
    } else {
        hd_fail(&c->err, HD_ECANCELED, "canceled");
        fail_later(c);
    }
}

int hd_engine_upgrade(struct hd_upgrade **out, struct hd_engine *e, const char *path,
                      uint32_t timeout_ms, const struct hd_upgrade_events *events, void *arg,
                      struct hd_error *err)
{
    struct hd_fetch_tls room;
    if (e->version[0] == '\0')
        return hd_fail(err, HD_EIO, "the container engine is gone");
    hd_auto_free char *versioned = hd_printf("/%s%s", e->version, path);
    struct hd_upgrade_request req = {.base = e->at.base,
                                     .path = versioned,
                                     .protocol = "tcp",
                                     .unix_socket = e->at.socket,
                                     .tls = hd_engine_host_tls(&e->at, &room),
                                     .timeout_ms = timeout_ms};
    return hd_upgrade_start(out, e->fetcher, &req, events, arg, err);
}

int hd_engine_fail(struct hd_error *err, int code, const struct hd_engine_answer *a,
                   const char *what)
{
    if (a->err != NULL) {
        *err = *a->err;
        return hd_wrap(err, 0, "%s", what);
    }
    const char *text = json_string_value(json_object_get(a->json, "message"));
    return hd_fail(err, code, "%s: the engine answered %u: %s", what, a->status,
                   text != NULL ? text : "without a reason");
}

/* --- the engine --- */

int hd_engine_new(struct hd_engine **out, struct hd_loop *loop, const struct hd_engine_where *where,
                  struct hd_error *err)
{
    int rc = hd_engine_host_check(where->host, err);
    if (rc < 0)
        return rc;
    struct hd_engine *e = hd_new(struct hd_engine);
    e->loop = loop;
    e->fetcher = hd_fetcher_new(loop);
    e->host = hd_strdup(where->host);
    e->certs = hd_strdup(where->certs);
    hd_list_init(&e->waiting);
    *out = e;
    return 0;
}

bool hd_engine_is_podman(const struct hd_engine *e)
{
    return e->podman;
}

bool hd_engine_is_near(const struct hd_engine *e)
{
    return e->at.socket != NULL;
}

static void on_fetcher_closed(void *arg)
{
    struct hd_engine *e = arg;
    e->on_closed(e->on_closed_arg);
    hd_engine_host_done(&e->at);
    free(e->host);
    free(e->certs);
    free(e);
}

void hd_engine_close(struct hd_engine *e, void (*done)(void *arg), void *arg)
{
    e->closing = true;
    e->on_closed = done;
    e->on_closed_arg = arg;
    hd_fetcher_close(e->fetcher, on_fetcher_closed, e);
}
