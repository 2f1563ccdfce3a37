/* lanes.c - events and tasks of the node's lanes, for a function: one request on a connection that
 * stays open until the next one.
 *
 *   address, token ─► head and value ─► connected? ─► sent ─► answer ─► outcome */
#include "core/clock.h"
#include "http/format.h"
#include "native/jsonread.h"
#include "native/native.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    TIMEOUT_MS = 30000,
    IDLE_US = 60 * 1000000, /* the node waits longer, so it is never the one that hangs up */
    ANSWER_MAX = 64 << 20,
    HEAD_MAX = 64 << 10,
    FIELDS_MAX = 6,
};

/* One per process, as the function is. */
static struct {
    struct hd_msgio io;
    bool open;
    uint64_t used_us; /* when the last answer came */
} line;

struct asking {
    const struct hd_event *event;
    const struct hd_lane_options *opt;
    const char *kind, *name; /* "events" or "tasks" */
    struct hd_str value;
    uint64_t end_us;
    uint32_t timeout_ms;
    char traceparent[56];
};

static void hang_up(void)
{
    if (line.open)
        hd_msgio_done(&line.io);
    line.open = false;
}

/* --- the request --- */

static void add_name(struct hd_buf *out, const char *name)
{
    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++) {
        bool plain = (*c >= '0' && *c <= '9') || ((*c | 0x20) >= 'a' && (*c | 0x20) <= 'z') ||
                     strchr("-._~", *c) != NULL;
        hd_buf_fmt(out, plain ? "%c" : "%%%02X", *c);
    }
}

static struct hd_str part_of(struct hd_str xray, const char *name)
{
    struct hd_str rest = xray, part, wanted = hd_str(name);
    while (hd_str_split(&part, &rest, ';')) {
        if (hd_str_starts(part, wanted))
            return hd_str_n(part.ptr + wanted.len, part.len - wanted.len);
    }
    return hd_str("");
}

/* The trace of the event: as W3C has it, or made of X-Ray's header, which says the same. */
static struct hd_str trace_of(struct asking *a)
{
    if (a->opt->traceparent != NULL)
        return hd_str(a->opt->traceparent);
    const struct hd_field *f =
        a->event->head != NULL ? hd_head_find(a->event->head, "traceparent") : NULL;
    if (f != NULL)
        return f->value;
    struct hd_str xray = hd_event_trace(a->event), root = part_of(xray, "Root="),
                  parent = part_of(xray, "Parent="), sampled = part_of(xray, "Sampled=");
    if (root.len != 35 || parent.len != 16)
        return hd_str("");
    int n = snprintf(a->traceparent, sizeof(a->traceparent), "00-%.8s%.24s-%.16s-0%c", root.ptr + 2,
                     root.ptr + 11, parent.ptr, hd_str_is(sampled, "1") ? '1' : '0');
    return hd_str_n(a->traceparent, (size_t)n);
}

static struct hd_str request_id_of(const struct asking *a)
{
    struct hd_str id = hd_jsonread_find(hd_event_client_context(a->event), "heddle.requestId");
    if (a->opt->request_id != NULL)
        return hd_str(a->opt->request_id);
    return id.len > 2 ? hd_str_n(id.ptr + 1, id.len - 2) : hd_str(hd_event_id(a->event));
}

static int make_head(struct hd_buf *out, struct asking *a, const char *authority, const char *token,
                     struct hd_error *err)
{
    struct hd_field f[FIELDS_MAX];
    size_t n = 0;
    struct hd_buf path, bearer;
    hd_buf_init(&path, HEAD_MAX);
    hd_buf_init(&bearer, HEAD_MAX);
    hd_buf_fmt(&path, "/lanes/v1/%s/", a->kind);
    add_name(&path, a->name);
    hd_buf_fmt(&bearer, "Bearer %s", token);
    struct hd_str trace = trace_of(a), id = request_id_of(a),
                  contexts =
                      a->opt->contexts != NULL
                          ? hd_str(a->opt->contexts)
                          : hd_jsonread_find(hd_event_client_context(a->event), "heddle.contexts");
    f[n++] = (struct hd_field){HD_LIT("authorization"), hd_buf_view(&bearer)};
    f[n++] = (struct hd_field){HD_LIT("content-type"),
                               a->opt->typed ? hd_str("application/vnd.heddle.typed+json")
                                             : hd_str("application/json")};
    if (trace.len > 0)
        f[n++] = (struct hd_field){HD_LIT("traceparent"), trace};
    if (id.len > 0)
        f[n++] = (struct hd_field){HD_LIT("x-runner-request-id"), id};
    if (contexts.len > 0)
        f[n++] = (struct hd_field){HD_LIT("x-heddle-contexts"), contexts};
    const struct hd_request_head head = {.method = HD_LIT("POST"),
                                         .path = hd_buf_view(&path),
                                         .authority = hd_str(authority),
                                         .fields = f,
                                         .n_fields = n,
                                         .body_bytes = (int64_t)a->value.len};
    const struct hd_format how = {.framing = HD_FRAMING_LENGTH};
    int rc = hd_format_request(out, &head, &how, err);
    hd_buf_done(&path);
    hd_buf_done(&bearer);
    return rc;
}

/* --- the connection --- */

static int parse_address(struct sockaddr_in *at, const char *authority, struct hd_error *err)
{
    char host[64];
    const char *colon = strchr(authority, ':');
    uint64_t port = 0;
    *at = (struct sockaddr_in){.sin_family = AF_INET};
    bool ok = colon != NULL && (size_t)(colon - authority) < sizeof(host) &&
              hd_str_to_u64(&port, hd_str(colon + 1)) == 0 && port > 0 && port <= 65535;
    if (ok) {
        memcpy(host, authority, (size_t)(colon - authority));
        host[colon - authority] = '\0';
        at->sin_port = htons((uint16_t)port);
        ok = inet_pton(AF_INET, host, &at->sin_addr) == 1;
    }
    return ok ? 0
              : hd_fail(err, HD_EINVAL,
                        "HEDDLE_LANES_URL: must be like http://127.0.0.1:8000, not "
                        "\"http://%.100s\"",
                        authority);
}

/* Open, unless the last one still is. */
static int connect_line(const char *authority, struct hd_error *err)
{
    struct sockaddr_in at;
    int rc = parse_address(&at, authority, err), one = 1;
    if (rc < 0)
        return rc;
    if (line.open && hd_clock_us() - line.used_us < IDLE_US)
        return 0;
    hang_up();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
        int sys = errno;
        if (fd >= 0)
            close(fd);
        return hd_fail(err, HD_EBUSY, "the node's lanes cannot be reached: %s", strerror(sys));
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    hd_msgio_init(&line.io, fd, ANSWER_MAX, true);
    line.open = true;
    return 0;
}

static int wait_readable(const struct asking *a, struct hd_error *err)
{
    for (;;) {
        uint64_t now = hd_clock_us();
        if (now >= a->end_us)
            return hd_fail(err, HD_ETIMEOUT, "no answer within %u ms", a->timeout_ms);
        struct pollfd p = {.fd = line.io.fd, .events = POLLIN};
        int n = poll(&p, 1, (int)((a->end_us - now) / 1000) + 1);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return hd_fail(err, HD_EBUSY, "the node's lanes: %s", strerror(errno));
    }
}

static int exchange(struct asking *a, struct hd_str head, struct hd_error *err)
{
    unsigned status;
    struct iovec iov[2] = {{(char *)head.ptr, head.len}, {(char *)a->value.ptr, a->value.len}};
    struct hd_error why = {0};
    if (hd_msgio_write(line.io.fd, iov, a->value.len > 0 ? 2 : 1) < 0)
        return hd_fail(err, HD_EBUSY, "the node's lanes cannot be reached: they hung up");
    int rc = 0;
    while (rc == 0) {
        rc = wait_readable(a, err);
        if (rc == 0)
            rc = hd_msgio_read(&line.io, false, &status, &why);
    }
    if (rc == HD_ECANCELED || rc == HD_EIO)
        return hd_fail(err, HD_EBUSY, "the node's lanes cannot be reached: %s", why.msg);
    if (rc == HD_EPROTO)
        return hd_fail(err, HD_EPROTO, "the answer is no HTTP: %s", why.msg);
    line.used_us = hd_clock_us();
    return rc < 0 ? rc : 0;
}

/* --- the outcome --- */

/* The message's text as far as an error has room for it. */
static void message_of(char out[200], struct hd_str body)
{
    char whole[1024];
    struct hd_str message = hd_jsonread_find(body, "error.message");
    if (message.len == 0 || hd_jsonread_string(whole, sizeof(whole), message) <= 0)
        snprintf(out, 200, "the lanes answered %u", line.io.head.status);
    else
        snprintf(out, 200, "%.199s", whole);
}

static void text_at(char *out, size_t size, struct hd_str body, const char *path)
{
    hd_jsonread_string(out, size, hd_jsonread_find(body, path));
}

static int read_outcome(struct hd_lane_outcome *out, struct hd_error *err)
{
    struct hd_str body = line.io.body;
    char message[200];
    out->status = line.io.head.status;
    if (!hd_str_starts(body, hd_str("{\"ok\":")))
        return hd_fail(err, HD_EPROTO, "the lanes answered %u without an envelope", out->status);
    out->result = hd_jsonread_find(body, "result");
    out->data = hd_jsonread_find(body, "error.data");
    out->retryable = out->status == 503 || hd_str_is(hd_jsonread_find(body, "retryable"), "true");
    text_at(out->message_id, sizeof(out->message_id), body, "messageId");
    text_at(out->code, sizeof(out->code), body, "error.code");
    text_at(out->id, sizeof(out->id), body, "error.id");
    if (out->status < 300)
        return 0;
    message_of(message, body);
    int code = HD_EIO;
    if (out->id[0] == '\0' && hd_str_is(hd_str(out->code), "REQUEST_TIMEOUT"))
        code = HD_ETIMEOUT;
    else if (out->id[0] == '\0' && out->retryable)
        code = HD_EBUSY;
    else if (out->id[0] == '\0' && out->status == 404)
        code = HD_ENOTFOUND;
    return hd_fail(err, code, "%s", message);
}

/* --- from outside --- */

static int check(const struct asking *a, const char *url, struct hd_error *err)
{
    if (a->name == NULL || a->name[0] == '\0')
        return hd_fail(err, HD_EINVAL, "the name must not be empty");
    if (a->opt->version != HD_LANE_OPTIONS)
        return hd_fail(err, HD_EINVAL, "options.version: must be HD_LANE_OPTIONS");
    if (url == NULL)
        return hd_fail(err, HD_EINVAL,
                       "there are no lanes here: heddle.yml of the node has no lanes: section");
    if (strncmp(url, "http://", 7) != 0)
        return hd_fail(err, HD_EINVAL, "HEDDLE_LANES_URL: must begin with http://");
    return 0;
}

static int ask(struct asking *a, struct hd_lane_outcome *out, struct hd_error *err)
{
    struct hd_error ignored;
    unsigned status;
    const char *url = getenv("HEDDLE_LANES_URL"), *token = getenv("HEDDLE_LANES_TOKEN");
    int64_t left = hd_event_remaining_ms(a->event);
    err = err != NULL ? err : &ignored;
    int rc = check(a, url, err);
    if (rc < 0)
        return rc;
    a->timeout_ms = a->opt->timeout_ms > 0 ? a->opt->timeout_ms : TIMEOUT_MS;
    if (left < (int64_t)a->timeout_ms)
        a->timeout_ms = (uint32_t)HD_MAX(left, 1);
    a->end_us = hd_clock_us() + (uint64_t)a->timeout_ms * 1000;
    if (line.open)
        hd_msgio_next(&line.io, &status, NULL); /* what the last outcome pointed into */

    struct hd_buf head;
    hd_buf_init(&head, HEAD_MAX);
    rc = make_head(&head, a, url + 7, token != NULL ? token : "", err);
    if (rc == 0)
        rc = connect_line(url + 7, err);
    if (rc == 0) {
        rc = exchange(a, hd_buf_view(&head), err);
        if (rc < 0)
            hang_up();
        else
            rc = read_outcome(out, err);
    }
    hd_buf_done(&head);
    out->retryable = out->retryable || rc == HD_EBUSY;
    return rc < 0 ? hd_wrap(err, rc, "%s \"%.80s\"", a->kind[0] == 'e' ? "emit" : "call", a->name)
                  : 0;
}

static int begin(const struct hd_event *event, const char *kind, const char *name,
                 struct hd_str value, const struct hd_lane_options *opt,
                 struct hd_lane_outcome *out, struct hd_error *err)
{
    static const struct hd_lane_options nothing = {.version = HD_LANE_OPTIONS};
    struct hd_lane_outcome unread;
    struct asking a = {.event = event,
                       .opt = opt != NULL ? opt : &nothing,
                       .kind = kind,
                       .name = name,
                       .value = value};
    out = out != NULL ? out : &unread;
    *out = (struct hd_lane_outcome){0};
    return ask(&a, out, err);
}

int hd_event_emit(const struct hd_event *event, const char *name, struct hd_str value,
                  const struct hd_lane_options *opt, struct hd_lane_outcome *out,
                  struct hd_error *err)
{
    return begin(event, "events", name, value, opt, out, err);
}

int hd_event_call(const struct hd_event *event, const char *name, struct hd_str value,
                  const struct hd_lane_options *opt, struct hd_lane_outcome *out,
                  struct hd_error *err)
{
    return begin(event, "tasks", name, value, opt, out, err);
}
