/* fuzz_response.c - as fuzz_request.c, for response heads, to GET and to HEAD. */
#include "core/buf.h"
#include "fuzz.h"
#include "http/format.h"
#include "http/parse.h"

static const struct hd_parse_limits limits = {
    .max_head_bytes = 2048, .max_target_bytes = 256, .max_fields = 100};
static const struct hd_parse_limits wider = {
    .max_head_bytes = 8192, .max_target_bytes = 256, .max_fields = HD_HEAD_FIELDS_MAX};

static void check_pieces(struct hd_str in, bool to_head, int rc, size_t used, const char *msg)
{
    static struct hd_head head;
    for (size_t n = 0; n <= in.len; n++) {
        struct hd_error err = {0};
        size_t piece_used = 0;
        const int piece =
            hd_parse_response(&head, &piece_used, hd_str_n(in.ptr, n), to_head, &limits, &err);
        if (piece == 0)
            continue;
        fuzz_check(piece == rc && piece_used == used && strcmp(err.msg, msg) == 0);
        return;
    }
    fuzz_check(rc == 0);
}

static void check_again(const struct hd_head *h, bool to_head)
{
    static struct hd_head again;
    const bool none = to_head || h->status == 304;
    const struct hd_response_head head = {
        .status = h->status,
        .reason = h->reason,
        .fields = h->fields,
        .n_fields = h->n_fields,
        .body_bytes = none ? h->declared_bytes : h->body_bytes,
    };
    const struct hd_format how = {
        .framing = hd_response_framing(&head, to_head, 1),
        .connection = h->keep_alive ? HD_CONNECTION_DEFAULT : HD_CONNECTION_CLOSE,
        .date = HD_LIT("Sun, 06 Nov 1994 08:49:37 GMT"),
    };
    struct hd_buf out;
    struct hd_error err = {0};
    size_t used;
    hd_buf_init(&out, 1 << 16);
    fuzz_check(hd_format_response(&out, &head, &how, &err) == 0);
    fuzz_check(hd_parse_response(&again, &used, hd_buf_view(&out), to_head, &wider, &err) == 1);
    fuzz_check(used == out.len && again.status == h->status);
    fuzz_check(h->reason.len == 0 || hd_str_eq(again.reason, h->reason));
    fuzz_check(again.body_bytes == h->body_bytes);
    fuzz_check(again.keep_alive == h->keep_alive);
    const struct hd_field *date = hd_head_find(h, "date");
    fuzz_check(
        hd_str_eq(hd_head_find(&again, "date")->value, date != NULL ? date->value : how.date));
    hd_buf_done(&out);
}

static void check(struct hd_str in, bool to_head)
{
    static struct hd_head head;
    struct hd_error err = {0};
    size_t used = 0;
    const int rc = hd_parse_response(&head, &used, in, to_head, &limits, &err);
    fuzz_check(rc == 0 || rc == 1 || rc == HD_EPROTO);
    fuzz_check((rc < 0) == (err.msg[0] != '\0'));
    check_pieces(in, to_head, rc, used, err.msg);
    if (rc != 1)
        return;
    const struct hd_str whole = hd_str_n(in.ptr, used);
    fuzz_check(used <= in.len && head.status >= 100 && head.status <= 599);
    fuzz_check_within(head.reason, whole);
    for (size_t i = 0; i < head.n_fields; i++) {
        fuzz_check_within(head.fields[i].name, whole);
        fuzz_check_within(head.fields[i].value, whole);
    }
    fuzz_check(!to_head || head.body_bytes == HD_BODY_NONE);
    fuzz_check(head.chunked ? head.body_bytes == HD_BODY_UNKNOWN
                            : head.body_bytes >= 0 || !head.keep_alive);
    check_again(&head, to_head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct hd_str in = {(const char *)data, size};
    check(in, false);
    check(in, true);
    return 0;
}
