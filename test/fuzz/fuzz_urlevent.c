/* fuzz_urlevent.c - function URLs: every request becomes JSON that can be read back, every answer
 * of a function an answer that can be sent, and a prelude does not depend on how it was cut. The
 * input is lines: target, Host, name and value of a field, value of another one; then the body,
 * which is also taken for a function's answer and for a stream. */
#include "lambda/door/urlanswer.h"
#include "lambda/door/urlevent.h"

#include "fuzz.h"
#include "http/format.h"

#include <jansson.h>

enum { PARTS = 5, EVENT_MAX = 1 << 20 };

static void check_event(const struct hd_request_head *head, struct hd_str body)
{
    const struct hd_url_request req = {.head = head,
                                       .body = body,
                                       .id = HD_LIT("abc"),
                                       .scheme = HD_LIT("http"),
                                       .protocol = HD_LIT("HTTP/1.1"),
                                       .now_unix_ms = 1773342238123};
    struct hd_buf out;
    hd_buf_init(&out, EVENT_MAX);
    if (hd_url_event(&out, &req, NULL) == 0) {
        json_t *event = json_loadb(out.ptr, out.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        /* what the JSON library cannot hold: names of members with a NUL */
        fuzz_check(event != NULL || memmem(out.ptr, out.len, "\\u0000", 6) != NULL ||
                   memmem(out.ptr, out.len, "\xef\xbf\xbd", 3) != NULL);
        json_decref(event);
    }
    hd_buf_done(&out);
}

static void check_answer(struct hd_url_answer *a)
{
    const struct hd_response_head head = {
        .status = a->status, .fields = a->fields, .n_fields = a->n_fields};
    const struct hd_format how = {.framing = HD_FRAMING_CHUNKED};
    struct hd_buf out;
    hd_buf_init(&out, 8 << 20);
    fuzz_check(hd_format_response(&out, &head, &how, NULL) == 0);
    hd_buf_done(&out);
}

static int feed(struct hd_url_prelude *p, struct hd_str *body, struct hd_str stream, size_t step)
{
    int rc = 0;
    while (stream.len > 0 && rc == 0) {
        size_t used = 0;
        rc = hd_url_prelude_feed(p, &used, hd_str_n(stream.ptr, HD_MIN(step, stream.len)), NULL);
        if (rc < 0)
            break;
        stream = hd_str_n(stream.ptr + used, stream.len - used);
    }
    *body = stream;
    return rc;
}

static void check_prelude(struct hd_str stream)
{
    struct hd_url_prelude whole = {.nuls = 0}, cut = {.nuls = 0};
    struct hd_str a, b;
    int rc = feed(&whole, &a, stream, SIZE_MAX);
    fuzz_check(feed(&cut, &b, stream, 3) == rc);
    if (rc == 1) {
        fuzz_check(a.ptr == b.ptr && a.len == b.len);
        fuzz_check(hd_str_eq(hd_buf_view(&whole.json), hd_buf_view(&cut.json)));
        struct hd_url_answer answer;
        if (hd_url_prelude_answer(&answer, &whole, NULL) == 0) {
            check_answer(&answer);
            hd_url_answer_done(&answer);
        }
    }
    hd_url_prelude_done(&whole);
    hd_url_prelude_done(&cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hd_str rest = {(const char *)data, size}, part[PARTS] = {{NULL, 0}};
    for (size_t i = 0; i < PARTS && hd_str_split(&part[i], &rest, '\n'); i++)
        ;
    const struct hd_field fields[] = {
        {part[2], part[3]}, {HD_LIT("Cookie"), part[4]}, {HD_LIT("Content-Type"), part[4]}};
    const struct hd_request_head head = {.method = HD_LIT("POST"),
                                         .path = part[0],
                                         .authority = part[1],
                                         .fields = fields,
                                         .n_fields = HD_COUNT(fields)};
    check_event(&head, rest);
    struct hd_url_host host;
    if (hd_url_host_parse(&host, part[1], hd_str("localhost"))) {
        fuzz_check_within(host.id, part[1]);
        fuzz_check_within(host.region, part[1]);
        fuzz_check(host.id.len > 0 && host.region.len > 0);
    }
    struct hd_url_answer answer;
    if (hd_url_answer_read(&answer, rest, NULL) == 0) {
        check_answer(&answer);
        hd_url_answer_done(&answer);
    }
    check_prelude(rest);
    return 0;
}
