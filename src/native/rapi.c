/* A client of the Lambda Runtime API: one connection, next ─► handler ─► response or error ─► next.
 */
#include "core/clock.h"
#include "http/format.h"
#include "native/native.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    EX_UNAVAILABLE = 69,
    BODY_MAX = 64 << 10, /* of answers that are not events */
    PATH_MAX_BYTES = 256,
};

#define BASE "/2018-06-01/runtime"
#define INIT_ERROR "Function.InitFailed"

struct client {
    struct hd_native *fn;
    char host[256];
    uint16_t port;
    const char *authority;
    struct hd_msgio io; /* fd -1: not connected */
    struct hd_reply reply;
    char path[PATH_MAX_BYTES]; /* of the call that answers the event under way */
};

static int split_address(struct client *c, const char *address, struct hd_error *err)
{
    struct hd_str a = hd_str(address);
    const char *colon = strrchr(address, ':');
    uint64_t port;
    if (colon == NULL || colon == address || (size_t)(colon - address) >= sizeof(c->host) ||
        hd_str_to_u64(&port, hd_str(colon + 1)) < 0 || port == 0 || port > 65535)
        return hd_fail(
            err, HD_EINVAL,
            "AWS_LAMBDA_RUNTIME_API: must be host:port, like 127.0.0.1:9001, not \"%.*s\"",
            HD_FMT(a));
    size_t n = (size_t)(colon - address);
    bool brackets = address[0] == '[' && colon[-1] == ']' && n > 2;
    memcpy(c->host, address + brackets, n - 2 * brackets);
    c->host[n - 2 * brackets] = '\0';
    c->port = (uint16_t)port;
    c->authority = address;
    return 0;
}

/* A statically linked program does without the resolver, which glibc could not load anyway. */
#pragma weak getaddrinfo
#pragma weak freeaddrinfo
#pragma weak gai_strerror

/* @return a connected socket, or -errno. */
static int open_at(const void *address, socklen_t bytes)
{
    int family = ((const struct sockaddr *)address)->sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0 || connect(fd, address, bytes) < 0) {
        int sys = errno;
        if (fd >= 0)
            close(fd);
        return -sys;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static int open_by_name(const struct client *c, struct hd_error *err)
{
    if (getaddrinfo == NULL)
        return hd_fail(err, HD_EINVAL,
                       "AWS_LAMBDA_RUNTIME_API: this statically linked program takes an IP address"
                       " or localhost, not \"%s\"",
                       c->host);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found = NULL;
    char port[8];
    snprintf(port, sizeof(port), "%u", c->port);
    int rc = getaddrinfo(c->host, port, &hints, &found);
    if (rc != 0)
        return hd_fail(err, HD_EIO, "the Runtime API at %s: %s", c->authority, gai_strerror(rc));
    int fd = -ENOENT;
    for (struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next)
        fd = open_at(a->ai_addr, a->ai_addrlen);
    freeaddrinfo(found);
    return fd;
}

/* @return a connected socket, or an error. */
static int open_socket(const struct client *c, struct hd_error *err)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(c->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(c->port)};
    const char *host = strcmp(c->host, "localhost") == 0 ? "127.0.0.1" : c->host;
    int fd;
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
        fd = open_at(&v4, sizeof(v4));
    else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1)
        fd = open_at(&v6, sizeof(v6));
    else
        fd = open_by_name(c, err);
    if (fd >= 0 || fd <= HD_EIO) /* ours: it is told already */
        return fd;
    return hd_fail_sys(err, -fd, "connect to the Runtime API at %s", c->authority);
}

static int connect_to(struct client *c, struct hd_error *err)
{
    int fd = open_socket(c, err);
    if (fd < 0)
        return fd;
    hd_msgio_init(&c->io, fd, c->fn->opt.max_event_bytes, true);
    return 0;
}

/* Go on with a new connection in the place of one that was closed; the message stays. */
static int reconnect(struct client *c, struct hd_error *err)
{
    int fd = open_socket(c, err);
    if (fd < 0)
        return fd;
    close(c->io.fd);
    c->io.fd = fd;
    return 0;
}

static void disconnect(struct client *c)
{
    if (c->io.fd >= 0)
        hd_msgio_done(&c->io);
}

/* Append the head of a call. @param extra  "Name: value\r\n" lines, ours. */
static void put_call(struct client *c, struct hd_buf *out, const char *method, const char *path,
                     const char *extra, int64_t bytes)
{
    hd_buf_fmt(out,
               "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: libheddle-function/" HD_VERSION "\r\n",
               method, path, c->authority);
    hd_buf_cstr(out, extra);
    if (bytes == HD_BODY_UNKNOWN)
        hd_buf_cstr(out, "Transfer-Encoding: chunked\r\n");
    else if (bytes > 0 || *method == 'P')
        hd_buf_fmt(out, "Content-Length: %lld\r\n", (long long)bytes);
    hd_buf_cstr(out, "\r\n");
}

/* Wait for the answer to a call. */
static int receive(struct client *c, struct hd_error *err)
{
    unsigned ignored;
    int rc;
    do {
        rc = hd_msgio_read(&c->io, true, &ignored, err);
    } while (rc == 0);
    return rc < 0 ? hd_wrap(err, rc, "the Runtime API at %s", c->authority) : 0;
}

/* The answer was looked at: get ready for the next one. */
static void finish(struct client *c)
{
    unsigned ignored;
    if (!c->io.head.keep_alive || hd_msgio_next(&c->io, &ignored, NULL) != 0)
        disconnect(c);
}

// Answering --------------------------------------------------------------------------------------

static int call_head(struct hd_reply *r, struct hd_buf *out, int64_t bytes, bool failed,
                     struct hd_error *err)
{
    struct client *c = hd_container_of(r, struct client, reply);
    char extra[512];
    const char *type = bytes == HD_BODY_UNKNOWN ? "application/octet-stream" : "application/json";
    if (r->content_type[0] != '\0' && !failed)
        type = r->content_type;
    for (const char *p = type; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return hd_fail(err, HD_EINVAL, "the content type has a control character");
    }
    snprintf(extra, sizeof(extra), "Content-Type: %s\r\n%s", type,
             bytes == HD_BODY_UNKNOWN ? "Lambda-Runtime-Function-Response-Mode: streaming\r\n"
                                        "Trailer: Lambda-Runtime-Function-Error-Type, "
                                        "Lambda-Runtime-Function-Error-Body\r\n"
                                      : "");
    char path[PATH_MAX_BYTES + 16];
    snprintf(path, sizeof(path), "%s/%s", c->path, failed ? "error" : "response");
    put_call(c, out, "POST", path, extra, bytes);
    return 0;
}

static const struct hd_reply_form form = {.head = call_head,
                                          .type_trailer = "Lambda-Runtime-Function-Error-Type",
                                          .body_trailer = "Lambda-Runtime-Function-Error-Body"};
static const struct hd_event_fields fields = {.id = "Lambda-Runtime-Aws-Request-Id",
                                              .arn = "Lambda-Runtime-Invoked-Function-Arn",
                                              .trace = "Lambda-Runtime-Trace-Id",
                                              .client_context = "Lambda-Runtime-Client-Context",
                                              .identity = "Lambda-Runtime-Cognito-Identity",
                                              .tenant = "Lambda-Runtime-Aws-Tenant-Id"};

static int get_next(struct client *c, struct hd_error *err)
{
    char memory[512];
    for (int tries = 0;; tries++) {
        bool fresh = c->io.fd < 0;
        int rc = fresh ? connect_to(c, err) : 0;
        if (rc < 0)
            return rc;
        struct hd_buf out;
        hd_buf_init_with(&out, memory, sizeof(memory), sizeof(memory));
        put_call(c, &out, "GET", BASE "/invocation/next", "", 0);
        struct iovec iov = {out.ptr, out.len};
        rc = hd_msgio_write(c->io.fd, &iov, 1);
        if (rc == 0)
            rc = receive(c, err);
        if (rc == 0)
            return 0;
        disconnect(c);
        if (fresh || tries > 0) /* an old connection may have been closed for being idle */
            return rc;
    }
}

/* Monotonic time of a deadline that is told as wall clock time. */
static uint64_t deadline_us(const struct hd_head *head)
{
    const struct hd_field *f = hd_head_find(head, "Lambda-Runtime-Deadline-Ms");
    uint64_t at_ms;
    if (f == NULL || hd_str_to_u64(&at_ms, f->value) < 0 || at_ms > INT64_MAX)
        return 0;
    int64_t left_ms = (int64_t)at_ms - hd_clock_unix_ms();
    return hd_clock_us() + (left_ms > 0 ? (uint64_t)left_ms * 1000 : 1);
}

static int handle(struct client *c, struct hd_error *err)
{
    const struct hd_head *head = &c->io.head;
    const struct hd_field *id = hd_head_find(head, fields.id);
    if (head->status != 200 || id == NULL)
        return hd_fail(err, HD_EPROTO, "the Runtime API at %s answered %u%s to next", c->authority,
                       head->status, head->status == 200 ? " without a request id" : "");
    char id_text[128];
    if (id->value.len >= sizeof(id_text) || memchr(id->value.ptr, '/', id->value.len) != NULL)
        return hd_fail(err, HD_EPROTO, "the Runtime API at %s gave a request id that is none",
                       c->authority);
    snprintf(id_text, sizeof(id_text), "%.*s", HD_FMT(id->value));
    snprintf(c->path, sizeof(c->path), BASE "/invocation/%s", id_text);

    static const struct hd_str empty_object = HD_LIT("{}");
    struct hd_event_decoded decoded = {0};
    struct hd_event event = {.function = c->fn,
                             .body = c->io.body.len > 0 ? c->io.body : empty_object,
                             .id = id_text,
                             .deadline_us = deadline_us(head),
                             .head = &c->io.head,
                             .fields = &fields,
                             .decoded = &decoded};
    int rc = head->keep_alive ? 0 : reconnect(c, err);
    if (rc < 0)
        return rc;
    hd_native_run(c->fn, &event, &c->reply, c->io.fd);
    unsigned ignored;
    rc = hd_msgio_next(&c->io, &ignored, err) == 0 ? receive(c, err) : HD_EPROTO;
    if ((rc == HD_ECANCELED || rc == HD_EIO) && !c->reply.streaming && !hd_msgio_busy(&c->io)) {
        /* it was closed while the handler took its time */
        rc = reconnect(c, err);
        if (rc == 0)
            rc = hd_reply_resend(&c->reply, c->io.fd);
        if (rc == 0)
            rc = receive(c, err);
    }
    if (rc < 0) {
        disconnect(c); /* `next` tells whether there is still anybody */
        return 0;
    }
    if (c->io.head.status >= 300 && c->io.head.status != 413) {
        event.head = NULL; /* its bytes are gone */
        hd_event_log(&event, HD_FUNCTION_WARN, "the Runtime API answered %u: %.*s",
                     c->io.head.status, HD_FMT(c->io.body));
    }
    finish(c);
    return 0;
}

static void client_init(struct client *c, struct hd_native *fn)
{
    *c = (struct client){.fn = fn, .io.fd = -1};
    hd_reply_init(&c->reply, &form);
}

static void client_done(struct client *c)
{
    disconnect(c);
    hd_reply_done(&c->reply);
}

int hd_native_rapi(struct hd_native *fn, const char *address)
{
    hd_auto_free struct client *c = hd_new(struct client);
    struct hd_error err = {0};
    client_init(c, fn);
    int rc = split_address(c, address, &err);
    while (rc == 0) {
        rc = get_next(c, &err);
        if (rc == 0)
            rc = handle(c, &err);
    }
    client_done(c);
    hd_native_log_write(&fn->log, HD_FUNCTION_ERROR, NULL, hd_str(err.msg));
    return EX_UNAVAILABLE;
}

void hd_native_rapi_init_error(struct hd_native *fn, const char *address,
                               const struct hd_error *why)
{
    hd_auto_free struct client *c = hd_new(struct client);
    struct hd_error err;
    client_init(c, fn);
    char memory[1024], body_memory[1024];
    struct hd_buf out, body;
    hd_buf_init_with(&out, memory, sizeof(memory), sizeof(memory));
    hd_buf_init_with(&body, body_memory, sizeof(body_memory), 4096);
    hd_native_error_json(&body, INIT_ERROR, hd_str(why->msg));
    int rc = split_address(c, address, &err);
    if (rc == 0)
        rc = connect_to(c, &err);
    if (rc == 0) {
        put_call(c, &out, "POST", BASE "/init/error",
                 "Content-Type: application/json\r\n"
                 "Lambda-Runtime-Function-Error-Type: " INIT_ERROR "\r\n",
                 (int64_t)body.len);
        struct iovec iov[2] = {{out.ptr, out.len}, {body.ptr, body.len}};
        rc = hd_msgio_write(c->io.fd, iov, 2);
    }
    if (rc == 0)
        rc = receive(c, &err); /* it is told when this is answered, whatever with */
    if (rc < 0)
        hd_native_log_write(&fn->log, HD_FUNCTION_ERROR, NULL, hd_str(err.msg));
    hd_buf_done(&body);
    client_done(c);
}
