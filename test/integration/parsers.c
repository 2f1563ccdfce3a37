/* parsers.c - what our parser and http-parser make of the same bytes, for
 * test_parser_differential.py.
 *
 * stdin: cases, one a line, in hex. stdout: two lines of JSON for each, ours and http-parser's:
 * {"messages": [{"method", "target", "fields": [[name, value]], "body", "complete", "keep_alive"}],
 *  "end": "done"|"more"|"close"|"upgrade"|"error", "error"}; bytes are in hex. */
#include "core/buf.h"
#include "core/id.h"
#include "http/parse.h"

#include <http_parser.h>
#include <jansson.h>
#include <stdio.h>

enum { CASE_MAX = 1 << 20 };

static json_t *hex(const char *ptr, size_t len)
{
    hd_auto_free char *text = hd_alloc(2 * len + 1);
    hd_hex(text, ptr, len);
    return json_string(text);
}

static void print(json_t *messages, const char *end, const char *error)
{
    json_t *result = json_pack("{s:o, s:s, s:s}", "messages", messages, "end", end, "error", error);
    json_dumpf(result, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(result);
}

/* --- ours --- */

static json_t *head_of(const struct hd_head *h)
{
    json_t *fields = json_array();
    for (size_t i = 0; i < h->n_fields; i++) {
        const struct hd_field *f = &h->fields[i];
        json_array_append_new(fields, json_pack("[o, o]", hex(f->name.ptr, f->name.len),
                                                hex(f->value.ptr, f->value.len)));
    }
    return json_pack("{s:o, s:o, s:o, s:b}", "method", hex(h->method.ptr, h->method.len), "target",
                     hex(h->target.ptr, h->target.len), "fields", fields, "keep_alive",
                     h->keep_alive);
}

/* The body into @p body. @return 1, 0 (more) or HD_EPROTO, and how much of the bytes it took. */
static int read_body(const struct hd_head *h, struct hd_buf *body, size_t *used, struct hd_str in,
                     struct hd_error *err)
{
    *used = 0;
    if (!h->chunked) {
        *used = h->body_bytes < (int64_t)in.len ? (size_t)h->body_bytes : in.len;
        hd_buf_add(body, in.ptr, *used);
        return (int64_t)*used == h->body_bytes;
    }
    struct hd_chunked c = {0};
    int rc = 0;
    while (rc == 0 && *used < in.len) {
        struct hd_str data;
        size_t n;
        rc = hd_chunked_next(&c, &data, &n, hd_str_n(in.ptr + *used, in.len - *used), err);
        if (rc == HD_CHUNKED_TRAILER)
            rc = 0;
        else
            hd_buf_str(body, data);
        *used += n;
    }
    return rc;
}

static void ours(struct hd_str in)
{
    static const struct hd_parse_limits limits = {
        .max_head_bytes = 8192, .max_target_bytes = 4096, .max_fields = 100};
    static struct hd_head h;
    json_t *messages = json_array();
    struct hd_error err = {0};
    const char *end = "done";
    while (in.len > 0 && strcmp(end, "done") == 0) {
        size_t used;
        unsigned status = 0;
        int rc = hd_parse_request(&h, &used, &status, in, &limits, &err);
        if (rc != 1) {
            end = rc == 0 ? "more" : "error";
            break;
        }
        in = hd_str_n(in.ptr + used, in.len - used);
        struct hd_buf body;
        hd_buf_init(&body, CASE_MAX);
        rc = read_body(&h, &body, &used, in, &err);
        in = hd_str_n(in.ptr + used, in.len - used);
        json_t *message = head_of(&h);
        json_object_set_new(message, "body", hex(body.ptr, body.len));
        json_object_set_new(message, "complete", json_boolean(rc == 1));
        json_array_append_new(messages, message);
        hd_buf_done(&body);
        if (rc != 1)
            end = rc == 0 ? "more" : "error";
        else if (h.upgrade)
            end = "upgrade";
        else if (!h.keep_alive)
            end = "close";
    }
    print(messages, end, err.msg);
}

/* --- http-parser --- */

struct peer {
    json_t *messages, *message, *fields; /* the latter two of the message under way, or NULL */
    struct hd_buf target, name, value, body;
    bool in_value, closing;
};

static void clear(struct hd_buf *b)
{
    hd_buf_clear(b);
}

static int on_begin(http_parser *p)
{
    struct peer *peer = p->data;
    peer->message = json_object();
    peer->fields = json_array();
    peer->in_value = false;
    clear(&peer->target);
    clear(&peer->name);
    clear(&peer->value);
    clear(&peer->body);
    return 0;
}

static int on_url(http_parser *p, const char *at, size_t len)
{
    struct peer *peer = p->data;
    hd_buf_add(&peer->target, at, len);
    return 0;
}

static void end_field(struct peer *peer)
{
    if (peer->name.len > 0)
        json_array_append_new(peer->fields, json_pack("[o, o]", hex(peer->name.ptr, peer->name.len),
                                                      hex(peer->value.ptr, peer->value.len)));
    clear(&peer->name);
    clear(&peer->value);
    peer->in_value = false;
}

static int on_name(http_parser *p, const char *at, size_t len)
{
    struct peer *peer = p->data;
    if (peer->in_value)
        end_field(peer);
    hd_buf_add(&peer->name, at, len);
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t len)
{
    struct peer *peer = p->data;
    peer->in_value = true;
    hd_buf_add(&peer->value, at, len);
    return 0;
}

static int on_head(http_parser *p)
{
    struct peer *peer = p->data;
    const char *method = http_method_str((enum http_method)p->method);
    end_field(peer);
    json_object_set_new(peer->message, "method", hex(method, strlen(method)));
    json_object_set_new(peer->message, "target", hex(peer->target.ptr, peer->target.len));
    json_object_set_new(peer->message, "keep_alive", json_boolean(http_should_keep_alive(p)));
    return 0;
}

static int on_body(http_parser *p, const char *at, size_t len)
{
    struct peer *peer = p->data;
    hd_buf_add(&peer->body, at, len);
    return 0;
}

static void end_message(struct peer *peer, bool complete)
{
    if (peer->message == NULL)
        return;
    if (json_object_get(peer->message, "method") == NULL) { /* its head never ended */
        json_decref(peer->message);
        json_decref(peer->fields);
    } else {
        json_object_set_new(peer->message, "fields", peer->fields);
        json_object_set_new(peer->message, "body", hex(peer->body.ptr, peer->body.len));
        json_object_set_new(peer->message, "complete", json_boolean(complete));
        json_array_append_new(peer->messages, peer->message);
    }
    peer->message = peer->fields = NULL;
}

static int on_complete(http_parser *p)
{
    struct peer *peer = p->data;
    end_message(peer, true);
    peer->closing = !http_should_keep_alive(p) && !p->upgrade;
    if (peer->closing)
        http_parser_pause(p, 1); /* nobody reads on */
    return 0;
}

static void http_parser_lib(struct hd_str in)
{
    static const http_parser_settings settings = {
        .on_message_begin = on_begin,
        .on_url = on_url,
        .on_header_field = on_name,
        .on_header_value = on_value,
        .on_headers_complete = on_head,
        .on_body = on_body,
        .on_message_complete = on_complete,
    };
    struct peer peer = {.messages = json_array()};
    http_parser p;
    struct hd_buf *const bufs[] = {&peer.target, &peer.name, &peer.value, &peer.body};
    for (size_t i = 0; i < HD_COUNT(bufs); i++)
        hd_buf_init(bufs[i], CASE_MAX);
    http_parser_init(&p, HTTP_REQUEST);
    p.data = &peer;
    http_parser_execute(&p, &settings, in.ptr, in.len);
    const enum http_errno code = HTTP_PARSER_ERRNO(&p);
    const bool failed = code != HPE_OK && code != HPE_PAUSED;
    const char *end = peer.closing ? "close" : p.upgrade ? "upgrade" : "done";
    if (failed)
        end = "error";
    else if (peer.message != NULL)
        end = "more";
    end_message(&peer, false);
    print(peer.messages, end, failed ? http_errno_name(code) : "");
    for (size_t i = 0; i < HD_COUNT(bufs); i++)
        hd_buf_done(bufs[i]);
}

int main(void)
{
    hd_auto_free char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        const size_t len = (size_t)n / 2;
        hd_auto_free char *bytes = hd_alloc(len);
        if (hd_unhex(bytes, len, hd_str_n(line, 2 * len)) < 0) {
            fprintf(stderr, "not hex: %s", line);
            return 1;
        }
        ours(hd_str_n(bytes, len));
        http_parser_lib(hd_str_n(bytes, len));
    }
    return 0;
}
