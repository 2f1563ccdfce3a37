/* ask() ──engine not known yet──► socket found ─► GET /version ─► the call itself ─► done()
 *   └───────────known──────────────────────────────────────────────┘                     */
#include "pool/docker/engine.h"

#include "core/list.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ANSWER_MAX = 16 << 20,
    VERSION_MS = 10000,
    FOREVER_MS = INT32_MAX,
    NEWEST_MINOR = 44, /* API 1.44: no newer one is needed, and older engines have less */
};

struct hd_engine {
    struct hd_loop *loop;
    struct hd_fetcher *fetcher;
    char *host;              /* as it was set, or NULL */
    char *socket;            /* NULL: not looked for yet */
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
    char *method, *path, *body;
    uint32_t timeout_ms;
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

static void on_answer(void *arg, const struct hd_fetch_result *result, const struct hd_error *err)
{
    struct hd_engine_call *c = arg;
    struct hd_engine_answer a = {.err = err};
    json_t *json = NULL;
    if (err != NULL && err->code == HD_EIO)
        c->engine->version[0] = '\0'; /* it may come back as another one */
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

/* --- where it is --- */

/* @return 0: somebody listens there; or an errno. */
static int knock(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(a.sun_path))
        return ENAMETOOLONG;
    memcpy(a.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int sys = fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return sys == EAGAIN ? 0 : sys;
}

static int refused(struct hd_error *err, const char *path, int sys)
{
    const char *what = "is something wrong with it?";
    if (sys == EACCES || sys == EPERM)
        what = "this user may not use it: add it to the group that owns the socket (docker), or "
               "run the engine rootless";
    else if (sys == ENOENT)
        what = "is Docker or Podman installed, and its service started?";
    else if (sys == ECONNREFUSED)
        what = "its service does not run: start it";
    return hd_fail(err, sys == EACCES || sys == EPERM ? HD_EDENIED : HD_EIO,
                   "cannot reach the Docker socket %s: %s: %s", path, strerrordesc_np(sys), what);
}

static int find_socket(struct hd_engine *e, struct hd_error *err)
{
    const char *user = getenv("XDG_RUNTIME_DIR");
    char own[2][sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    snprintf(own[0], sizeof(own[0]), "%s/docker.sock", user != NULL ? user : "");
    snprintf(own[1], sizeof(own[1]), "%s/podman/podman.sock", user != NULL ? user : "");
    const char *places[] = {"/var/run/docker.sock", own[0], own[1], "/run/podman/podman.sock"};
    const char *near = places[0];
    int why = ENOENT;
    for (size_t i = 0; e->host == NULL && i < HD_COUNT(places); i++) {
        int sys = knock(places[i]);
        if (sys == 0) {
            e->socket = hd_strdup(places[i]);
            return 0;
        }
        if (why == ENOENT && sys != ENOENT) { /* one that is there says more */
            why = sys;
            near = places[i];
        }
    }
    if (e->host == NULL)
        return refused(err, near, why);
    int sys = knock(e->host);
    if (sys != 0)
        return refused(err, e->host, sys);
    e->socket = hd_strdup(e->host);
    return 0;
}

/* --- calls --- */

static void send_call(struct hd_engine_call *c)
{
    static const struct hd_field json_type = {HD_LIT("content-type"), HD_LIT("application/json")};
    struct hd_engine *e = c->engine;
    hd_auto_free char *url = hd_printf("http://docker/%s%s", e->version, c->path);
    struct hd_fetch_request req = {.method = c->method,
                                   .url = url,
                                   .fields = &json_type,
                                   .n_fields = c->body != NULL,
                                   .body = hd_str(c->body),
                                   .unix_socket = e->socket,
                                   .timeout_ms =
                                       c->timeout_ms > 0 ? c->timeout_ms : (uint32_t)FOREVER_MS,
                                   .max_body_bytes = ANSWER_MAX};
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

static void on_version(void *arg, const struct hd_fetch_result *result, const struct hd_error *err)
{
    struct hd_engine *e = arg;
    struct hd_error mine = {0};
    json_t *json = result != NULL ? json_loadb(result->body.ptr, result->body.len, 0, NULL) : NULL;
    unsigned newest = minor_of(json, "ApiVersion"), oldest = minor_of(json, "MinAPIVersion");
    e->asking = NULL;
    if (err != NULL) {
        mine = *err;
        hd_wrap(&mine, 0, "%s: asking for the engine's version", e->socket);
    } else if (result->status != 200 || newest == 0) {
        hd_fail(&mine, HD_EPROTO, "%s: what answers there is not a Docker or Podman service",
                e->socket);
    } else if (oldest > NEWEST_MINOR) {
        hd_fail(&mine, HD_EPROTO, "%s: the engine speaks API 1.%u and newer only; 1.%d is needed",
                e->socket, oldest, NEWEST_MINOR);
    } else {
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
    free(hd_steal(e->socket));
    int rc = find_socket(e, &err);
    struct hd_fetch_request req = {.url = "http://docker/version",
                                   .unix_socket = e->socket,
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
                                 .timeout_ms = req->timeout_ms,
                                 .done = done,
                                 .arg = arg};
    hd_list_init(&c->link);
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

int hd_engine_new(struct hd_engine **out, struct hd_loop *loop, const char *host,
                  struct hd_error *err)
{
    const char *from = host != NULL && host[0] != '\0' ? host : getenv("DOCKER_HOST");
    const char *path = NULL;
    if (from != NULL && from[0] != '\0') {
        if (strncmp(from, "unix://", 7) != 0 || from[7] != '/')
            return hd_fail(err, HD_EINVAL,
                           "Docker host %s: must be unix:///path/to/socket: instances are reached "
                           "through the file system of this machine",
                           from);
        path = from + 7;
    }
    struct hd_fetcher *fetcher;
    int rc = hd_fetcher_new(&fetcher, loop, err);
    if (rc < 0)
        return rc;
    struct hd_engine *e = hd_new(struct hd_engine);
    e->loop = loop;
    e->fetcher = fetcher;
    e->host = hd_strdup(path);
    hd_list_init(&e->waiting);
    *out = e;
    return 0;
}

static void on_fetcher_closed(void *arg)
{
    struct hd_engine *e = arg;
    e->on_closed(e->on_closed_arg);
    free(e->host);
    free(e->socket);
    free(e);
}

void hd_engine_close(struct hd_engine *e, void (*done)(void *arg), void *arg)
{
    e->closing = true;
    e->on_closed = done;
    e->on_closed_arg = arg;
    hd_fetcher_close(e->fetcher, on_fetcher_closed, e);
}
