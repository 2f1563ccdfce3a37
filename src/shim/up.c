#include "shim/shim.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    LOAD_MAX = 4 << 20,
    HEAD_MAX = 64 << 10,
    TARGET_MAX = 8 << 10,
    FIELDS_MAX = 100,
    NEVER_MS = INT32_MAX, /* 24 days */
};

/* A control request whose body is still to come, or whose answer is. */
struct control {
    struct hd_shim *shim;
    struct hd_exchange *ex;
    enum { LOAD, DRAIN, OTHER } kind;
    struct hd_buf body;
    bool answered;
};

static void ignore_body(struct hd_exchange *ex, struct hd_str bytes, bool end)
{
    (void)ex;
    (void)bytes;
    (void)end;
}
static void ignore_bad(struct hd_exchange *ex, unsigned status, const char *why)
{
    (void)ex;
    (void)status;
    (void)why;
}
static void ignore_writable(struct hd_exchange *ex)
{
    (void)ex;
}
static void ignore_gone(struct hd_exchange *ex, enum hd_gone why)
{
    (void)ex;
    (void)why;
}
const struct hd_exchange_events hd_shim_no_events = {.on_body = ignore_body,
                                                     .on_bad_body = ignore_bad,
                                                     .on_writable = ignore_writable,
                                                     .on_gone = ignore_gone};

void hd_shim_answer_json(struct hd_exchange *ex, unsigned status, struct hd_str body,
                         const struct hd_field *extra, size_t n)
{
    struct hd_field fields[2] = {{HD_LIT("content-type"), HD_LIT("application/json")}};
    if (n > 0)
        fields[1] = extra[0];
    struct hd_response_head head = {
        .status = status, .fields = fields, .n_fields = 1 + n, .body_bytes = (int64_t)body.len};
    hd_exchange_respond(ex, &head, body, true);
}

static void free_control(struct control *c)
{
    if (c->shim->load_ex == c->ex)
        c->shim->load_ex = NULL;
    if (c->shim->drain_ex == c->ex)
        c->shim->drain_ex = NULL;
    hd_buf_done(&c->body);
    free(c);
}

static void answer(struct control *c, unsigned status, struct hd_str body)
{
    struct hd_exchange *ex = c->ex;
    free_control(c);
    hd_shim_answer_json(ex, status, body, NULL, 0);
}

static void refuse(struct control *c, unsigned status, const char *why)
{
    struct hd_buf b;
    hd_buf_init(&b, 4096);
    hd_buf_cstr(&b, "{\"ok\":false,\"message\":");
    hd_buf_json(&b, hd_str(why));
    hd_buf_cstr(&b, "}\n");
    answer(c, status, hd_buf_view(&b));
    hd_buf_done(&b);
}

static void load(struct control *c)
{
    struct hd_shim *s = c->shim;
    struct hd_loadreq *l = NULL;
    struct hd_error err;
    if (s->phase != HD_SHIM_EMPTY) {
        refuse(c, 409, "a function is loaded already");
        return;
    }
    if (hd_loadreq_parse(&l, hd_buf_view(&c->body), &err) < 0) {
        refuse(c, 500, err.msg);
        return;
    }
    hd_buf_done(&c->body);
    s->load_ex = c->ex;
    hd_shim_load(s, l);
}

void hd_shim_up_loaded(struct hd_shim *s, const char *kind)
{
    if (s->load_ex == NULL)
        return;
    struct hd_buf b;
    hd_buf_init(&b, 256);
    hd_buf_fmt(&b, "{\"ok\":true,\"kind\":\"%s\",\"concurrency\":1}\n", kind);
    answer(s->load_ex->door, 200, hd_buf_view(&b));
    hd_buf_done(&b);
}

void hd_shim_up_drained(struct hd_shim *s)
{
    if (s->drain_ex != NULL && s->event == NULL && s->held == NULL)
        answer(s->drain_ex->door, 200, hd_str("{}\n"));
}

static void complete(struct control *c)
{
    struct hd_shim *s = c->shim;
    switch (c->kind) {
    case LOAD:
        load(c);
        break;
    case DRAIN:
        if (s->drain_ex != NULL) {
            refuse(c, 409, "it drains already");
            break;
        }
        s->drain_ex = c->ex;
        hd_shim_up_drained(s);
        break;
    case OTHER:
        break;
    }
}

static void on_body(struct hd_exchange *ex, struct hd_str bytes, bool end)
{
    struct control *c = ex->door;
    hd_buf_str(&c->body, bytes);
    if (hd_buf_failed(&c->body))
        refuse(c, 413, "the request is too large");
    else if (end)
        complete(c);
}

static void on_bad_body(struct hd_exchange *ex, unsigned status, const char *why)
{
    refuse(ex->door, status, why);
}

static void on_writable(struct hd_exchange *ex)
{
    (void)ex;
}

static void on_gone(struct hd_exchange *ex, enum hd_gone why)
{
    (void)why;
    free_control(ex->door);
}

static const struct hd_exchange_events events = {
    .on_body = on_body, .on_bad_body = on_bad_body, .on_writable = on_writable, .on_gone = on_gone};

static void control(struct hd_shim *s, struct hd_exchange *ex, const struct hd_head *head,
                    struct hd_str body, bool end)
{
    const struct hd_field *token = hd_head_find(head, "x-heddle-token");
    struct control *c = hd_new(struct control);
    *c = (struct control){.shim = s, .ex = ex, .kind = OTHER};
    hd_buf_init(&c->body, LOAD_MAX);
    ex->events = &events;
    ex->door = c;
    bool post = hd_str_is(head->method, "POST");
    if (token == NULL || !hd_str_eq_secret(token->value, hd_str(s->opt.token))) {
        refuse(c, 403, "x-heddle-token is missing or wrong");
    } else if (hd_str_is(head->path, "/.heddle/ping") && hd_str_is(head->method, "GET")) {
        answer(c, 200, hd_str("{\"background\":0}\n"));
    } else if (hd_str_is(head->path, "/.heddle/load") && post) {
        c->kind = LOAD;
        hd_exchange_continue(ex);
        on_body(ex, body, end);
    } else if (hd_str_is(head->path, "/.heddle/drain") && post) {
        c->kind = DRAIN;
        on_body(ex, body, end);
    } else {
        refuse(c, 404, "there is no such control request");
    }
}

static void on_request(void *user, struct hd_exchange *ex, const struct hd_head *head,
                       struct hd_str body, bool end)
{
    struct hd_shim *s = user;
    if (hd_str_starts(head->path, hd_str("/.heddle/")))
        control(s, ex, head, body, end);
    else
        hd_shim_event_take(s, ex, head, body, end);
}

static int listen_unix(const char *path, struct hd_error *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(a.sun_path))
        return hd_fail(err, HD_EINVAL, "HEDDLE_SOCKET: longer than %zu bytes",
                       sizeof(a.sun_path) - 1);
    memcpy(a.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0177);
    int rc = fd >= 0 ? bind(fd, (struct sockaddr *)&a, sizeof(a)) : -1;
    int sys = errno;
    umask(mask);
    if (rc == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return hd_fail_sys(err, sys, "HEDDLE_SOCKET: %s", path);
}

static int listen_tcp(uint16_t port, struct hd_error *err)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
        bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
        return fd;
    int sys = errno;
    if (fd >= 0)
        close(fd);
    return hd_fail_sys(err, sys, "PORT: %u", port);
}

int hd_shim_up_open(struct hd_shim *s, struct hd_error *err)
{
    struct hd_server_options opt = {
        .net = s->net,
        .limits = {.parse = {.max_head_bytes = HEAD_MAX,
                             .max_target_bytes = TARGET_MAX,
                             .max_fields = FIELDS_MAX},
                   .head_ms = NEVER_MS,
                   .keep_alive_ms = NEVER_MS},
        .on_request = on_request,
        .user = s,
    };
    int rc = hd_server_new(&s->up, &opt, err);
    if (rc < 0)
        return rc;
    int fd = s->opt.socket != NULL ? listen_unix(s->opt.socket, err) : listen_tcp(s->opt.port, err);
    return fd < 0 ? fd : hd_server_listen_fd(s->up, fd, err);
}
