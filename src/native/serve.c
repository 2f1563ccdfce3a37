/* The host protocol (doc/host-protocol.md), one request at a time: wait, read, handler, write.
 *
 *   WAITING ──load──► READY ──SIGTERM, and nothing half read──► ended
 *                └─init failed, Lambda─► FAILED ──first event──► ended                    */
#include "core/clock.h"
#include "core/list.h"
#include "http/format.h"
#include "native/native.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    EX_UNAVAILABLE = 69,
    FIELDS_MAX = 64,
    EVENTS_MAX = 16,
};

struct conn {
    struct hd_list link;
    struct hd_msgio io;
};

struct server {
    struct hd_native *fn;
    const struct hd_serve_options *opt;
    enum state { WAITING, READY, FAILED, ENDED } state;
    int epoll, listener, exit_code;
    bool stopping;
    struct hd_list conns;
    struct hd_reply reply;
    struct hd_error init_error;
};

static int stop_fd = -1; /* for the signal handler, which has no argument */

static void on_sigterm(int signo)
{
    (void)signo;
    int saved = errno;
    uint64_t one = 1;
    ssize_t ignored = write(stop_fd, &one, sizeof(one));
    (void)ignored;
    errno = saved;
}

// Forms of answers -------------------------------------------------------------------------------

static int format(struct hd_reply *r, struct hd_buf *out, unsigned status,
                  const struct hd_field *fields, size_t n, int64_t bytes, struct hd_error *err)
{
    static const struct hd_field announced = {
        HD_LIT("Trailer"),
        HD_LIT("x-heddle-function-error, x-heddle-error-type, x-heddle-error-body, x-heddle-exit")};
    const struct hd_response_head head = {
        .status = status, .fields = fields, .n_fields = n, .body_bytes = bytes};
    const struct hd_format how = {.framing = bytes == HD_BODY_UNKNOWN ? HD_FRAMING_CHUNKED
                                                                      : HD_FRAMING_LENGTH,
                                  .extra = &announced,
                                  .n_extra = bytes == HD_BODY_UNKNOWN && r->form->ours ? 1 : 0};
    return hd_format_response(out, &head, &how, err);
}

static int event_head(struct hd_reply *r, struct hd_buf *out, int64_t bytes, bool failed,
                      struct hd_error *err)
{
    bool streams = bytes == HD_BODY_UNKNOWN;
    const char *type = streams ? "application/octet-stream" : "application/json";
    struct hd_field fields[4];
    size_t n = 0;
    if (r->content_type[0] != '\0' && !failed)
        type = r->content_type;
    fields[n++] = (struct hd_field){HD_LIT("Content-Type"), hd_str(type)};
    if (streams)
        fields[n++] = (struct hd_field){HD_LIT("x-heddle-stream"), HD_LIT("1")};
    if (failed)
        fields[n++] = (struct hd_field){HD_LIT("x-heddle-function-error"), HD_LIT("Unhandled")};
    if (r->exits)
        fields[n++] = (struct hd_field){HD_LIT("x-heddle-exit"), HD_LIT("1")};
    return format(r, out, 200, fields, n, bytes, err);
}

static int http_head(struct hd_reply *r, struct hd_buf *out, int64_t bytes, bool failed,
                     struct hd_error *err)
{
    struct hd_field fields[FIELDS_MAX + 1];
    if (failed) {
        fields[0] = (struct hd_field){HD_LIT("Content-Type"), HD_LIT("application/json")};
        fields[1] = (struct hd_field){HD_LIT("x-heddle-error"), HD_LIT("unhandled")};
        return format(r, out, 500, fields, 2, bytes, err);
    }
    if (r->status < 200 || r->status > 599)
        return hd_fail(err, HD_EINVAL, "the status %u is not in 200 to 599", r->status);
    const char *type = r->content_type[0] != '\0' ? r->content_type : "application/json";
    fields[0] = (struct hd_field){HD_LIT("Content-Type"), hd_str(type)};
    size_t n = 1;
    const char *at = r->fields.ptr, *end = at + r->fields.len;
    while (at < end && n <= FIELDS_MAX) {
        struct hd_str name = hd_str(at), value = hd_str(at + name.len + 1);
        fields[n++] = (struct hd_field){name, value};
        at = value.ptr + value.len + 1;
    }
    if (at < end || hd_buf_failed(&r->fields))
        return hd_fail(err, HD_EINVAL, "the answer has more than %d fields, or too long ones",
                       FIELDS_MAX);
    return format(r, out, r->status, fields, n, bytes, err);
}

static const struct hd_reply_form event_form = {.head = event_head,
                                                .ours = true,
                                                .type_trailer = "x-heddle-error-type",
                                                .body_trailer = "x-heddle-error-body"};
static const struct hd_reply_form http_form = {
    .head = http_head, .failure_body = "{\"error\":\"Internal server error\"}"};
static const struct hd_event_fields our_fields = {.id = "x-heddle-id",
                                                  .arn = "x-heddle-arn",
                                                  .trace = "x-heddle-trace",
                                                  .client_context = "x-heddle-client-context",
                                                  .identity = "x-heddle-identity",
                                                  .tenant = "x-heddle-tenant",
                                                  .encoded = true};

static int answer_json(int fd, unsigned status, struct hd_str body, bool close)
{
    char memory[256];
    struct hd_buf head;
    hd_buf_init_with(&head, memory, sizeof(memory), sizeof(memory));
    hd_buf_fmt(&head,
               "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\n"
               "Content-Length: %zu\r\n%s\r\n",
               status, hd_status_reason(status), body.len, close ? "Connection: close\r\n" : "");
    struct iovec iov[2] = {{head.ptr, head.len}, {(char *)body.ptr, body.len}};
    return hd_msgio_write(fd, iov, 2);
}

static int answer_error(int fd, unsigned status, const char *why, bool close)
{
    char memory[512];
    struct hd_buf body;
    hd_buf_init_with(&body, memory, sizeof(memory), 4096);
    hd_buf_cstr(&body, "{\"error\":");
    hd_buf_json(&body, hd_str(why));
    hd_buf_char(&body, '}');
    int rc = answer_json(fd, status, hd_buf_view(&body), close);
    hd_buf_done(&body);
    return rc;
}

// Control requests -------------------------------------------------------------------------------

static int load(struct server *s, const struct hd_msgio *w)
{
    if (s->state != WAITING)
        return answer_json(
            w->fd, 409,
            hd_str("{\"ok\":false,\"message\":\"load: came before; a host loads one function\"}"),
            false);
    struct hd_error err = {0};
    bool lambda = false;
    int rc = hd_native_load(&lambda, w->body, &err);
    if (rc == 0) {
        hd_native_log_init(&s->fn->log, s->opt->token, lambda);
        rc = s->fn->opt.on_init != NULL ? s->fn->opt.on_init(s->fn->opt.arg, &err) : 0;
        if (rc < 0 && lambda) {
            s->init_error = err;
            s->state = FAILED;
            return answer_json(w->fd, 200,
                               hd_str("{\"ok\":true,\"kind\":\"init-failed\",\"concurrency\":1}"),
                               false);
        }
    }
    if (rc == 0) {
        s->state = READY;
        return answer_json(w->fd, 200,
                           hd_str("{\"ok\":true,\"kind\":\"native\",\"concurrency\":1}"), false);
    }
    char memory[512];
    struct hd_buf body;
    hd_buf_init_with(&body, memory, sizeof(memory), 4096);
    hd_buf_cstr(&body, "{\"ok\":false,\"message\":");
    hd_buf_json(&body, hd_str(err.msg[0] != '\0' ? err.msg : "the function's init failed"));
    hd_buf_char(&body, '}');
    rc = answer_json(w->fd, 500, hd_buf_view(&body), false);
    hd_buf_done(&body);
    return rc;
}

static int control(struct server *s, const struct hd_msgio *w)
{
    const struct hd_field *given = hd_head_find(&w->head, "x-heddle-token");
    struct hd_str method = w->head.method, path = w->head.target;
    if (s->opt->token == NULL || given == NULL ||
        !hd_str_eq_secret(given->value, hd_str(s->opt->token)))
        return answer_error(w->fd, 403, "Wrong or missing x-heddle-token", false);
    if (hd_str_is(method, "POST") && hd_str_is(path, "/.heddle/load"))
        return load(s, w);
    if (hd_str_is(method, "GET") && hd_str_is(path, "/.heddle/ping"))
        return answer_json(w->fd, 200, hd_str("{\"background\":0}"), false);
    if (hd_str_is(method, "POST") && hd_str_is(path, "/.heddle/drain"))
        return answer_json(w->fd, 200, hd_str("{}"), false);
    return answer_error(w->fd, 404, "There is no such control request", false);
}

// Requests ---------------------------------------------------------------------------------------

static void end(struct server *s, int code)
{
    s->state = ENDED;
    s->exit_code = code;
}

/* The init failed: whoever waited for it gets the error, and the next one a new instance. */
static int answer_init_error(struct server *s, struct hd_event *event, int fd)
{
    const char *why =
        s->init_error.msg[0] != '\0' ? s->init_error.msg : "the function's init failed";
    hd_event_log(event, HD_FUNCTION_ERROR, "%s", why);
    hd_reply_begin(&s->reply, event, fd);
    s->reply.form = &event_form;
    s->reply.exits = true;
    end(s, 1);
    return hd_reply_end(&s->reply, hd_reply_error(&s->reply, "Function.InitFailed", "%s", why));
}

static const char *terminated(struct hd_str value)
{
    if (value.ptr == NULL)
        return "";
    ((char *)value.ptr)[value.len] = '\0'; /* a line break stood there */
    return value.ptr;
}

static int answer(struct server *s, struct hd_msgio *w)
{
    static const struct hd_str prefix = HD_LIT("/.heddle/"), empty_object = HD_LIT("{}");
    if (hd_str_starts(w->head.target, prefix))
        return control(s, w);
    if (s->state == WAITING)
        return answer_error(w->fd, 503, "Nothing is loaded yet", false);

    struct hd_event_decoded decoded = {0};
    struct hd_event event = {.function = s->fn,
                             .body = w->body,
                             .head = &w->head,
                             .fields = &our_fields,
                             .decoded = &decoded};
    const struct hd_field *id = hd_head_find(&w->head, "x-heddle-id"),
                          *left = hd_head_find(&w->head, "x-heddle-deadline");
    event.http = hd_head_find(&w->head, "x-heddle-event") == NULL;
    if (event.http && id == NULL && s->opt->token == NULL && hd_str_is(w->head.target, "/") &&
        (hd_str_is(w->head.method, "GET") || hd_str_is(w->head.method, "HEAD")))
        return answer_json(w->fd, 200, hd_str_n(NULL, 0), false); /* are we there? */
    event.id = id != NULL ? terminated(id->value) : "";
    uint64_t left_ms;
    if (left != NULL && hd_str_to_u64(&left_ms, left->value) == 0 && left_ms < UINT32_MAX)
        event.deadline_us = hd_clock_us() + left_ms * 1000;
    if (!event.http && event.body.len == 0)
        event.body = empty_object;
    if (s->state == FAILED)
        return answer_init_error(s, &event, w->fd);
    s->reply.form = event.http ? &http_form : &event_form;
    s->reply.exits = false;
    return hd_native_run(s->fn, &event, &s->reply, w->fd);
}

// Connections ------------------------------------------------------------------------------------

static void drop(struct conn *c)
{
    hd_list_remove(&c->link);
    hd_msgio_done(&c->io); /* closing takes it out of epoll */
    free(c);
}

static void on_readable(struct server *s, struct conn *c)
{
    struct hd_error err = {0};
    unsigned status = 400;
    int rc = hd_msgio_read(&c->io, false, &status, &err);
    while (rc == 1 && s->state != ENDED) {
        bool last = !c->io.head.keep_alive;
        if (answer(s, &c->io) < 0 || last) {
            drop(c);
            return;
        }
        rc = hd_msgio_next(&c->io, &status, &err);
    }
    if (rc == HD_EPROTO || rc == HD_EBUSY)
        answer_error(c->io.fd, status, err.msg, true);
    if (rc < 0 || (s->stopping && !hd_msgio_busy(&c->io)))
        drop(c);
}

static void accept_all(struct server *s)
{
    for (;;) {
        int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return;
        int one = 1;
        if (s->opt->path == NULL)
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        struct conn *c = hd_new(struct conn);
        hd_msgio_init(&c->io, fd, s->fn->opt.max_event_bytes, false);
        hd_list_push(&s->conns, &c->link);
        struct epoll_event want = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &want);
    }
}

static void stop(struct server *s)
{
    s->stopping = true;
    epoll_ctl(s->epoll, EPOLL_CTL_DEL, stop_fd, NULL);
    close(s->listener);
    s->listener = -1;
    hd_list_each(item, &s->conns)
    {
        struct conn *c = hd_container_of(item, struct conn, link);
        if (!hd_msgio_busy(&c->io))
            drop(c);
    }
}

/* One turn: the stop comes last, so that what arrived before it is answered. */
static void turn(struct server *s)
{
    struct epoll_event ready[EVENTS_MAX];
    int n = epoll_wait(s->epoll, ready, EVENTS_MAX, -1);
    bool stops = false;
    for (int i = 0; i < n && s->state != ENDED; i++) {
        if (ready[i].data.ptr == &stop_fd)
            stops = true;
        else if (ready[i].data.ptr == &s->listener)
            accept_all(s);
        else
            on_readable(s, ready[i].data.ptr);
    }
    if (stops && s->state != ENDED)
        stop(s);
    if (s->stopping && hd_list_empty(&s->conns) && s->state != ENDED)
        end(s, 0);
}

// Starting and ending ----------------------------------------------------------------------------

static int listen_on(const struct hd_serve_options *opt, struct hd_error *err)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(opt->port)};
    const struct sockaddr *at = opt->path != NULL ? (void *)&un : (void *)&in;
    socklen_t bytes = opt->path != NULL ? sizeof(un) : sizeof(in);
    if (opt->path != NULL) {
        if (strlen(opt->path) >= sizeof(un.sun_path))
            return hd_fail(err, HD_EINVAL, "%s: the path is too long for a socket", opt->path);
        memcpy(un.sun_path, opt->path, strlen(opt->path));
    }
    int fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
    if (fd >= 0 && opt->path == NULL)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    mode_t before = umask(0177); /* the socket is ours alone from birth */
    int rc = fd < 0 || bind(fd, at, bytes) < 0 || listen(fd, SOMAXCONN) < 0 ? -errno : 0;
    umask(before);
    if (rc == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    if (opt->path != NULL)
        return hd_fail_sys(err, -rc, "listen on %s", opt->path);
    return hd_fail_sys(err, -rc, "listen on port %u", opt->port);
}

static void watch(struct server *s, int fd, void *what)
{
    struct epoll_event want = {.events = EPOLLIN, .data.ptr = what};
    epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &want);
}

int hd_native_serve(struct hd_native *fn, const struct hd_serve_options *opt)
{
    struct hd_error err = {0};
    struct server s = {.fn = fn, .opt = opt, .state = opt->loaded ? READY : WAITING};
    s.listener = listen_on(opt, &err);
    s.epoll = epoll_create1(EPOLL_CLOEXEC);
    stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s.listener < 0 || s.epoll < 0 || stop_fd < 0) {
        hd_native_log_write(&fn->log, HD_FUNCTION_ERROR, NULL,
                            hd_str(s.listener < 0 ? err.msg : "out of file descriptors"));
        return EX_UNAVAILABLE;
    }
    hd_list_init(&s.conns);
    hd_reply_init(&s.reply, &event_form);
    watch(&s, s.listener, &s.listener);
    watch(&s, stop_fd, &stop_fd);
    struct sigaction act = {.sa_handler = on_sigterm, .sa_flags = SA_RESTART}, before;
    sigaction(SIGTERM, &act, &before);
    if (opt->ready_fd >= 0) {
        static const char ready[] = "direct\n";
        ssize_t ignored = write(opt->ready_fd, ready, sizeof(ready) - 1);
        (void)ignored; /* who does not hear it goes on by itself */
        close(opt->ready_fd);
    }
    while (s.state != ENDED)
        turn(&s);

    hd_list_each(item, &s.conns) drop(hd_container_of(item, struct conn, link));
    hd_reply_done(&s.reply);
    sigaction(SIGTERM, &before, NULL);
    if (s.listener >= 0)
        close(s.listener);
    close(s.epoll);
    close(stop_fd);
    return s.exit_code;
}
