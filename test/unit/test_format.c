/* test_format.c - what goes out, byte for byte. */
#include "http/format.h"
#include "http/parse.h"
#include "test.h"

#include <time.h>

static void assert_text(struct hd_buf *b, const char *want)
{
    struct hd_str got = hd_buf_view(b);
    hd_auto_free char *text = hd_strdup_n(got);
    assert_string_equal(text, want);
    hd_buf_clear(b);
}

static void a_request_is_written_from_its_parts(void **state)
{
    const struct hd_field fields[] = {
        {HD_LIT("Accept"), HD_LIT("*/*")},
        {HD_LIT("Connection"), HD_LIT("close")},
        {HD_LIT("Content-Length"), HD_LIT("99")},
        {HD_LIT("hOST"), HD_LIT("evil")},
        {HD_LIT("TE"), HD_LIT("trailers")},
        {HD_LIT("Transfer-Encoding"), HD_LIT("chunked")},
        {HD_LIT("Upgrade"), HD_LIT("h2c")},
        {HD_LIT("Proxy-Connection"), HD_LIT("x")},
        {HD_LIT("Keep-Alive"), HD_LIT("timeout=5")},
        {HD_LIT("X-Empty"), HD_LIT("")},
    };
    const struct hd_field extra[] = {{HD_LIT("Via"), HD_LIT("1.1 heddle")}};
    struct hd_request_head head = {.method = HD_LIT("POST"),
                                   .path = HD_LIT("/hello?x=1"),
                                   .authority = HD_LIT("example.com"),
                                   .fields = fields,
                                   .n_fields = HD_COUNT(fields),
                                   .body_bytes = 12};
    struct hd_format how = {.framing = hd_request_framing(&head), .extra = extra, .n_extra = 1};
    struct hd_buf b;
    hd_buf_init(&b, 4096);
    assert_int_equal(hd_format_request(&b, &head, &how, NULL), 0);
    assert_text(&b, "POST /hello?x=1 HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\nX-Empty: \r\n"
                    "Via: 1.1 heddle\r\nContent-Length: 12\r\n\r\n");

    head.n_fields = 0;
    how = (struct hd_format){.framing = HD_FRAMING_CHUNKED,
                             .connection = HD_CONNECTION_UPGRADE,
                             .upgrade = HD_LIT("websocket")};
    assert_int_equal(hd_format_request(&b, &head, &how, NULL), 0);
    assert_text(&b, "POST /hello?x=1 HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: "
                    "chunked\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    hd_buf_done(&b);
    (void)state;
}

static void a_response_is_written_from_its_parts(void **state)
{
    const struct hd_field fields[] = {{HD_LIT("Set-Cookie"), HD_LIT("a=1")},
                                      {HD_LIT("Set-Cookie"), HD_LIT("b=2")},
                                      {HD_LIT("content-length"), HD_LIT("7")}};
    struct hd_response_head head = {
        .status = 200, .fields = fields, .n_fields = HD_COUNT(fields), .body_bytes = 5};
    struct hd_format how = {.framing = HD_FRAMING_LENGTH,
                            .connection = HD_CONNECTION_CLOSE,
                            .date = HD_LIT("Sun, 06 Nov 1994 08:49:37 GMT")};
    struct hd_buf b;
    hd_buf_init(&b, 4096);
    assert_int_equal(hd_format_response(&b, &head, &how, NULL), 0);
    assert_text(&b, "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
                    "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 5\r\n"
                    "Connection: close\r\n\r\n");

    head = (struct hd_response_head){.status = 299, .reason = HD_LIT("Fine"), .body_bytes = -1};
    how = (struct hd_format){.framing = HD_FRAMING_CHUNKED, .connection = HD_CONNECTION_KEEP_ALIVE};
    assert_int_equal(hd_format_response(&b, &head, &how, NULL), 0);
    assert_text(&b, "HTTP/1.1 299 Fine\r\nTransfer-Encoding: chunked\r\n"
                    "Connection: keep-alive\r\n\r\n");

    head = (struct hd_response_head){.status = 299};
    how = (struct hd_format){.framing = HD_FRAMING_NONE};
    assert_int_equal(hd_format_response(&b, &head, &how, NULL), 0);
    assert_text(&b, "HTTP/1.1 299 \r\n\r\n");
    hd_buf_done(&b);
    (void)state;
}

static void a_date_of_the_function_stays(void **state)
{
    const struct hd_field fields[] = {{HD_LIT("DATE"), HD_LIT("then")}};
    const struct hd_response_head head = {.status = 204, .fields = fields, .n_fields = 1};
    const struct hd_format how = {.framing = HD_FRAMING_NONE, .date = HD_LIT("now")};
    struct hd_buf b;
    hd_buf_init(&b, 4096);
    assert_int_equal(hd_format_response(&b, &head, &how, NULL), 0);
    assert_text(&b, "HTTP/1.1 204 No Content\r\nDATE: then\r\n\r\n");
    hd_buf_done(&b);
    (void)state;
}

static void nothing_can_be_smuggled_into_a_head(void **state)
{
    static const struct {
        struct hd_str method, path, authority, name, value, upgrade;
    } cases[] = {
        {HD_LIT(""), HD_LIT("/"), HD_LIT("a"), HD_LIT("X"), HD_LIT("v"), HD_LIT("u")},
        {HD_LIT("GE T"), HD_LIT("/"), HD_LIT("a"), HD_LIT("X"), HD_LIT("v"), HD_LIT("u")},
        {HD_LIT("GET"), HD_LIT(""), HD_LIT("a"), HD_LIT("X"), HD_LIT("v"), HD_LIT("u")},
        {HD_LIT("GET"), {NULL, 0}, HD_LIT("a"), HD_LIT("X"), HD_LIT("v"), HD_LIT("u")},
        {HD_LIT("GET"), HD_LIT("x"), HD_LIT("a"), HD_LIT("X"), HD_LIT("v"), HD_LIT("u")},
        {HD_LIT("GET"), HD_LIT("/ HTTP/1.1\r\nA: b"), HD_LIT("a"), HD_LIT("X"), HD_LIT("v"),
         HD_LIT("u")},
        {HD_LIT("GET"), HD_LIT("/a b"), HD_LIT("a"), HD_LIT("X"), HD_LIT("v"), HD_LIT("u")},
        {HD_LIT("GET"), HD_LIT("/a?b\n"), HD_LIT("a"), HD_LIT("X"), HD_LIT("v"), HD_LIT("u")},
        {HD_LIT("GET"), HD_LIT("/"), HD_LIT("a\r\nB: c"), HD_LIT("X"), HD_LIT("v"), HD_LIT("u")},
        {HD_LIT("GET"), HD_LIT("/"), HD_LIT("a "), HD_LIT("X"), HD_LIT("v"), HD_LIT("u")},
        {HD_LIT("GET"), HD_LIT("/"), HD_LIT("a"), HD_LIT(""), HD_LIT("v"), HD_LIT("u")},
        {HD_LIT("GET"), HD_LIT("/"), HD_LIT("a"), HD_LIT("X:"), HD_LIT("v"), HD_LIT("u")},
        {HD_LIT("GET"), HD_LIT("/"), HD_LIT("a"), HD_LIT("X\r\nY"), HD_LIT("v"), HD_LIT("u")},
        {HD_LIT("GET"), HD_LIT("/"), HD_LIT("a"), HD_LIT("X"), HD_LIT("v\r\nY: z"), HD_LIT("u")},
        {HD_LIT("GET"), HD_LIT("/"), HD_LIT("a"), HD_LIT("X"), HD_LIT("v\n"), HD_LIT("u")},
        {HD_LIT("GET"), HD_LIT("/"), HD_LIT("a"), HD_LIT("X"), HD_LIT("v\r"), HD_LIT("u")},
        {HD_LIT("GET"), HD_LIT("/"), HD_LIT("a"), HD_LIT("X"), HD_LIT("v\0"), HD_LIT("u")},
        {HD_LIT("GET"), HD_LIT("/"), HD_LIT("a"), HD_LIT("X"), HD_LIT("v"), HD_LIT("")},
        {HD_LIT("GET"), HD_LIT("/"), HD_LIT("a"), HD_LIT("X"), HD_LIT("v"), HD_LIT("u\r\nY: z")},
    };
    struct hd_buf b;
    hd_buf_init(&b, 4096);
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        const struct hd_field field = {cases[i].name, cases[i].value};
        struct hd_request_head head = {.method = cases[i].method,
                                       .path = cases[i].path,
                                       .authority = cases[i].authority,
                                       .fields = &field,
                                       .n_fields = 1};
        struct hd_format how = {.connection = HD_CONNECTION_UPGRADE, .upgrade = cases[i].upgrade};
        struct hd_error err = {0};
        if (hd_format_request(&b, &head, &how, &err) != HD_EINVAL)
            fail_msg("case %zu was written", i);
        assert_string_not_equal(err.msg, "");
        assert_int_equal(b.len, 0);
        /* The same field as an extra, and in a trailer section. */
        head = (struct hd_request_head){.method = HD_LIT("GET"), .path = HD_LIT("/")};
        how = (struct hd_format){.extra = &field, .n_extra = 1};
        const int want = i >= 10 && i <= 16 ? HD_EINVAL : 0;
        assert_int_equal(hd_format_request(&b, &head, &how, NULL), want);
        assert_int_equal(hd_format_trailers(&b, &field, 1, NULL), want);
        hd_buf_clear(&b);
    }
    struct hd_response_head answer = {.status = 200, .reason = HD_LIT("OK\r\nA: b")};
    struct hd_format how = {.framing = HD_FRAMING_NONE};
    assert_int_equal(hd_format_response(&b, &answer, &how, NULL), HD_EINVAL);
    answer = (struct hd_response_head){.status = 99};
    assert_int_equal(hd_format_response(&b, &answer, &how, NULL), HD_EINVAL);
    answer = (struct hd_response_head){.status = 200, .body_bytes = -1};
    how.framing = HD_FRAMING_LENGTH;
    assert_int_equal(hd_format_response(&b, &answer, &how, NULL), HD_EINVAL);
    how = (struct hd_format){.date = HD_LIT("x\n")};
    assert_int_equal(hd_format_response(&b, &answer, &how, NULL), HD_EINVAL);
    assert_int_equal(b.len, 0);
    hd_buf_done(&b);
    (void)state;
}

static void a_fixed_span_is_enough_or_busy(void **state)
{
    char span[160];
    struct hd_buf b = {.ptr = span, .cap = sizeof(span), .max = sizeof(span)};
    const struct hd_response_head head = {.status = 200};
    struct hd_format how = {.framing = HD_FRAMING_LENGTH};
    assert_int_equal(hd_format_response(&b, &head, &how, NULL), 0);
    assert_ptr_equal(b.ptr, span);
    assert_true(hd_str_is(hd_buf_view(&b), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    const size_t before = b.len;
    assert_int_equal(hd_format_response(&b, &head, &how, NULL), HD_EBUSY);
    assert_int_equal(b.len, before);
    (void)state;
}

static void framing_suits_method_status_and_version(void **state)
{
    static const struct {
        const char *method;
        int64_t body_bytes;
        enum hd_framing framing;
    } requests[] = {
        {"GET", 0, HD_FRAMING_NONE},
        {"POST", 0, HD_FRAMING_LENGTH},
        {"PUT", 0, HD_FRAMING_LENGTH},
        {"PATCH", 0, HD_FRAMING_LENGTH},
        {"DELETE", 0, HD_FRAMING_NONE},
        {"GET", 1, HD_FRAMING_LENGTH},
        {"GET", HD_BODY_UNKNOWN, HD_FRAMING_CHUNKED},
    };
    static const struct {
        unsigned status;
        bool to_head;
        unsigned minor;
        int64_t body_bytes;
        enum hd_framing framing;
    } responses[] = {
        {200, false, 1, 0, HD_FRAMING_LENGTH},
        {200, false, 1, 5, HD_FRAMING_LENGTH},
        {200, false, 1, HD_BODY_UNKNOWN, HD_FRAMING_CHUNKED},
        {200, false, 0, HD_BODY_UNKNOWN, HD_FRAMING_NONE},
        {200, true, 1, 5, HD_FRAMING_LENGTH},
        {200, true, 1, HD_BODY_UNKNOWN, HD_FRAMING_NONE},
        {101, false, 1, HD_BODY_UNKNOWN, HD_FRAMING_NONE},
        {103, false, 1, 0, HD_FRAMING_NONE},
        {204, false, 1, 0, HD_FRAMING_NONE},
        {205, false, 1, 0, HD_FRAMING_LENGTH},
        {304, false, 1, 0, HD_FRAMING_NONE},
        {304, false, 1, 5, HD_FRAMING_LENGTH},
        {304, false, 1, HD_BODY_UNKNOWN, HD_FRAMING_NONE},
    };
    for (size_t i = 0; i < HD_COUNT(requests); i++) {
        const struct hd_request_head head = {.method = hd_str(requests[i].method),
                                             .body_bytes = requests[i].body_bytes};
        assert_int_equal(hd_request_framing(&head), requests[i].framing);
    }
    for (size_t i = 0; i < HD_COUNT(responses); i++) {
        const struct hd_response_head head = {.status = responses[i].status,
                                              .body_bytes = responses[i].body_bytes};
        if (hd_response_framing(&head, responses[i].to_head, responses[i].minor) !=
            responses[i].framing)
            fail_msg("response %zu", i);
    }
    (void)state;
}

static void chunks_have_their_size_in_front(void **state)
{
    char line[HD_CHUNK_BEGIN_MAX];
    assert_true(hd_str_is(hd_chunk_begin(line, 1), "1\r\n"));
    assert_true(hd_str_is(hd_chunk_begin(line, 0xabc), "abc\r\n"));
    assert_true(hd_str_is(hd_chunk_begin(line, UINT64_MAX), "ffffffffffffffff\r\n"));
    const struct hd_field fields[] = {{HD_LIT("Server-Timing"), HD_LIT("a;dur=1")}};
    struct hd_buf b;
    hd_buf_init(&b, 100);
    assert_int_equal(hd_format_trailers(&b, fields, 1, NULL), 0);
    assert_text(&b, "0\r\nServer-Timing: a;dur=1\r\n\r\n");
    assert_int_equal(hd_format_trailers(&b, NULL, 0, NULL), 0);
    assert_text(&b, HD_CHUNK_LAST);
    hd_buf_done(&b);
    (void)state;
}

static void dates_are_those_of_the_c_library(void **state)
{
    char got[HD_DATE_CHARS + 1], want[64];
    hd_date_format(got, 784111777);
    assert_string_equal(got, "Sun, 06 Nov 1994 08:49:37 GMT");
    /* A step that is no multiple of anything passes through all days, months and leap years. */
    for (int64_t t = 0; t < 253402300800; t += 8191 * 61 + 7) {
        const time_t when = (time_t)t;
        struct tm tm;
        gmtime_r(&when, &tm);
        strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        hd_date_format(got, t);
        assert_string_equal(got, want);
    }
    hd_date_format(got, -1);
    assert_string_equal(got, "Thu, 01 Jan 1970 00:00:00 GMT");
    hd_date_format(got, INT64_MAX);
    assert_string_equal(got, "Fri, 31 Dec 9999 23:59:59 GMT");
    (void)state;
}

static void the_date_is_formatted_once_a_second(void **state)
{
    struct hd_date d = {0};
    assert_true(hd_str_is(hd_date_at(&d, 0), "Thu, 01 Jan 1970 00:00:00 GMT"));
    d.text[0] = 'X'; /* still there: nothing was formatted again */
    assert_true(hd_str_is(hd_date_at(&d, 0), "Xhu, 01 Jan 1970 00:00:00 GMT"));
    assert_true(hd_str_is(hd_date_at(&d, 1), "Thu, 01 Jan 1970 00:00:01 GMT"));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_written_from_its_parts),
        cmocka_unit_test(a_response_is_written_from_its_parts),
        cmocka_unit_test(a_date_of_the_function_stays),
        cmocka_unit_test(nothing_can_be_smuggled_into_a_head),
        cmocka_unit_test(a_fixed_span_is_enough_or_busy),
        cmocka_unit_test(framing_suits_method_status_and_version),
        cmocka_unit_test(chunks_have_their_size_in_front),
        cmocka_unit_test(dates_are_those_of_the_c_library),
        cmocka_unit_test(the_date_is_formatted_once_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
