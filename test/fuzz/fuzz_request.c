/* fuzz_request.c - a request head: in one piece and in many it is the same; every way of scanning
 * sees the same; parsed, written and parsed again it is equal. */
#include "core/buf.h"
#include "fuzz.h"
#include "http/format.h"
#include "http/parse.h"
#include "http/scan.h"

static const struct hd_parse_limits limits = {
    .max_head_bytes = 2048, .max_target_bytes = 256, .max_fields = 100};
static const struct hd_parse_limits wider = {
    .max_head_bytes = 8192, .max_target_bytes = 256, .max_fields = HD_HEAD_FIELDS_MAX};

/* All stops of the three classes, by all ways. */
static void check_ways(struct hd_str in)
{
    const char *end = in.ptr + in.len;
    for (size_t i = 0; i + 1 < hd_scan_n_ways; i++) {
        const struct hd_scan_way *way = &hd_scan_ways[i];
        const struct hd_scan_way *plain = &hd_scan_ways[hd_scan_n_ways - 1];
        if (!way->supported())
            continue;
        for (const char *at = in.ptr; at < end; at++) {
            const char *stop = way->value(at, end);
            fuzz_check(stop == plain->value(at, end));
            fuzz_check(way->path(at, end) == plain->path(at, end));
            fuzz_check(way->query(at, end) == plain->query(at, end));
            at = stop < end ? stop : end - 1;
        }
    }
}

/* The shortest prefix that is not "more" gives what the whole gave. */
static void check_pieces(struct hd_str in, int rc, unsigned status, size_t used, const char *msg)
{
    static struct hd_head head;
    for (size_t n = 0; n <= in.len; n++) {
        struct hd_error err = {0};
        size_t piece_used = 0;
        unsigned piece_status = 0;
        const int piece =
            hd_parse_request(&head, &piece_used, &piece_status, hd_str_n(in.ptr, n), &limits, &err);
        if (piece == 0)
            continue;
        fuzz_check(piece == rc && piece_used == used && piece_status == status);
        fuzz_check(strcmp(err.msg, msg) == 0);
        return;
    }
    fuzz_check(rc == 0);
}

static bool is_end_to_end(struct hd_str name)
{
    return !hd_is_hop_by_hop(name) && !hd_str_is_nocase(name, "host") &&
           !hd_str_is_nocase(name, "content-length");
}

/* The next end-to-end field from *at on, or NULL. */
static const struct hd_field *next_field(const struct hd_head *h, size_t *at)
{
    while (*at < h->n_fields) {
        const struct hd_field *f = &h->fields[(*at)++];
        if (is_end_to_end(f->name))
            return f;
    }
    return NULL;
}

static void check_again(const struct hd_head *h)
{
    static struct hd_head again;
    const struct hd_request_head head = {
        .method = h->method,
        .path = h->target,
        .authority = h->host.ptr != NULL ? h->host : hd_str("none"),
        .fields = h->fields,
        .n_fields = h->n_fields,
        .body_bytes = h->body_bytes,
    };
    const struct hd_format how = {
        .framing = hd_request_framing(&head),
        .connection = h->upgrade      ? HD_CONNECTION_UPGRADE
                      : h->keep_alive ? HD_CONNECTION_DEFAULT
                                      : HD_CONNECTION_CLOSE,
        .upgrade = h->upgrade_to,
    };
    struct hd_buf out;
    struct hd_error err = {0};
    size_t used;
    unsigned status;
    hd_buf_init(&out, 1 << 16);
    int rc = hd_format_request(&out, &head, &how, &err);
    if (h->minor == 0 && hd_head_find(h, "expect") != NULL) {
        hd_buf_done(&out);
        return; /* ignored in 1.0, but it means something in the 1.1 that is written */
    }
    if (h->upgrade && h->upgrade_to.len == 0) {
        fuzz_check(rc == HD_EINVAL);
        hd_buf_done(&out);
        return;
    }
    fuzz_check(rc == 0);
    fuzz_check(hd_parse_request(&again, &used, &status, hd_buf_view(&out), &wider, &err) == 1);
    fuzz_check(used == out.len);
    fuzz_check(hd_str_eq(again.method, h->method) && hd_str_eq(again.target, h->target));
    fuzz_check(hd_str_eq(again.path, h->path) && hd_str_eq(again.query, h->query));
    fuzz_check(hd_str_eq(again.host, head.authority));
    fuzz_check(again.body_bytes == h->body_bytes && again.chunked == h->chunked);
    fuzz_check(again.expect_continue == (h->expect_continue && h->minor == 1));
    fuzz_check(again.upgrade == h->upgrade && hd_str_eq(again.upgrade_to, h->upgrade_to));
    fuzz_check(h->upgrade || again.keep_alive == h->keep_alive);
    size_t a = 0, b = 0;
    for (;;) {
        const struct hd_field *f = next_field(h, &a), *g = next_field(&again, &b);
        fuzz_check((f == NULL) == (g == NULL));
        if (f == NULL)
            break;
        fuzz_check(hd_str_eq(f->name, g->name) && hd_str_eq(f->value, g->value));
    }
    hd_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hd_head head;
    const struct hd_str in = {(const char *)data, size};
    struct hd_error err = {0};
    size_t used = 0;
    unsigned status = 0;
    check_ways(in);
    const int rc = hd_parse_request(&head, &used, &status, in, &limits, &err);
    fuzz_check(rc == 0 || rc == 1 || rc == HD_EPROTO);
    fuzz_check((rc < 0) == (status != 0) && (rc < 0) == (err.msg[0] != '\0'));
    fuzz_check(used <= limits.max_head_bytes && (rc == 0 || size > 0));
    check_pieces(in, rc, status, used, err.msg);
    if (rc != 1)
        return 0;
    hd_parse_request(&head, &used, &status, in, &limits, &err);
    fuzz_check(used <= size && head.n_fields <= limits.max_fields);
    fuzz_check(head.target.len <= limits.max_target_bytes);
    const struct hd_str whole = hd_str_n(in.ptr, used);
    fuzz_check_within(head.method, whole);
    fuzz_check_within(head.target, whole);
    fuzz_check_within(head.path, head.target);
    fuzz_check_within(head.query, head.target);
    fuzz_check_within(head.host, whole);
    fuzz_check_within(head.upgrade_to, whole);
    for (size_t i = 0; i < head.n_fields; i++) {
        fuzz_check_within(head.fields[i].name, whole);
        fuzz_check_within(head.fields[i].value, whole);
    }
    check_again(&head);
    return 0;
}
