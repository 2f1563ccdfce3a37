/* test/unit/test_fetch.c - against a real server. */
#include "fetch_rig.h"
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct got {
    bool done;
    unsigned calls, status;
    int code; /* of the error, or 0 */
    char body[256], field[64], why[240];
    size_t body_bytes;
};

static void on_done(void *arg, const struct hd_fetch_result *result, const struct hd_error *err)
{
    struct got *got = arg;
    got->calls++;
    got->done = true;
    assert_true((result == NULL) == (err != NULL));
    if (err != NULL) {
        got->code = err->code;
        snprintf(got->why, sizeof(got->why), "%s", err->msg);
        return;
    }
    struct hd_str field = hd_fetch_field(result, "X-ANSWER");
    got->status = result->status;
    got->body_bytes = result->body.len;
    snprintf(got->body, sizeof(got->body), "%.*s", (int)HD_MIN(result->body.len, (size_t)200),
             result->body.ptr != NULL ? result->body.ptr : "");
    if (field.ptr == NULL)
        field = hd_str("(none)");
    snprintf(got->field, sizeof(got->field), "%.*s", HD_FMT(field));
}

/* One request from start to end; path: below the server, or a URL. */
static struct got get(struct fetch_rig *rig, const char *path, struct hd_fetch_request request)
{
    struct got got = {.done = false};
    hd_auto_free char *url = path[0] == '/' ? hd_printf("%s%s", rig->base, path) : hd_strdup(path);
    struct hd_fetch *fetch = NULL;
    struct hd_error err;
    request.url = url;
    if (request.timeout_ms == 0)
        request.timeout_ms = 5000;
    if (request.max_body_bytes == 0)
        request.max_body_bytes = 1000;
    if (hd_fetch_start(&fetch, rig->fetcher, &request, on_done, &got, &err) < 0)
        fail_msg("%s", err.msg);
    assert_false(got.done); /* never from inside start */
    fetch_rig_until(rig, &got.done);
    assert_int_equal(got.calls, 1);
    return got;
}

static void sends_and_receives(void **state)
{
    struct fetch_rig rig;
    fetch_rig_start(&rig, false);
    const struct hd_field fields[] = {{hd_str("X-Test"), hd_str("a b")}};
    struct got got =
        get(&rig, "/echo?q", (struct hd_fetch_request){.fields = fields, .n_fields = 1});
    assert_int_equal(got.status, 200);
    assert_string_equal(got.body, "GET q a b ");
    assert_string_equal(got.field, "yes");
    got =
        get(&rig, "/echo?q", (struct hd_fetch_request){.method = "POST", .body = hd_str("hello")});
    assert_string_equal(got.body, "POST q None hello");
    got = get(&rig, "/echo?q", (struct hd_fetch_request){.method = "POST", .body = hd_str("")});
    assert_string_equal(got.body, "POST q None ");
    got = get(&rig, "/echo?q", (struct hd_fetch_request){.method = "DELETE"});
    assert_string_equal(got.body, "DELETE q None ");
    got = get(&rig, "/echo?q", (struct hd_fetch_request){.method = "HEAD"});
    assert_int_equal(got.status, 200);
    assert_int_equal(got.body_bytes, 0);
    got = get(&rig, "/chunks?abc,defg,h", (struct hd_fetch_request){.method = NULL});
    assert_string_equal(got.body, "abcdefgh");
    got = get(&rig, "/nothing", (struct hd_fetch_request){.method = NULL});
    assert_int_equal(got.status, 404);
    assert_string_equal(got.field, "(none)");
    fetch_rig_stop(&rig);
    (void)state;
}

struct parts {
    struct got got; /* first: what on_done() is given */
    char text[64];
    unsigned n;
};

static void on_part(void *arg, struct hd_str bytes)
{
    struct parts *p = arg;
    assert_false(p->got.done);
    p->n++;
    snprintf(p->text + strlen(p->text), sizeof(p->text) - strlen(p->text), "%.*s", HD_FMT(bytes));
}

static void parts_come_before_the_end(void **state)
{
    struct fetch_rig rig;
    struct parts p = {.n = 0};
    struct hd_fetch *fetch = NULL;
    fetch_rig_start(&rig, false);
    hd_auto_free char *url = hd_printf("%s/chunks?abc,defg,h", rig.base);
    struct hd_fetch_request request = {
        .url = url, .timeout_ms = 5000, .max_body_bytes = 100, .on_part = on_part};
    assert_int_equal(hd_fetch_start(&fetch, rig.fetcher, &request, on_done, &p, NULL), 0);
    fetch_rig_until(&rig, &p.got.done);
    assert_string_equal(p.text, "abcdefgh");
    assert_true(p.n >= 1);
    assert_int_equal(p.got.body_bytes, 0);

    p = (struct parts){.n = 0}; /* what is no good answer is not in parts */
    request.url = hd_printf("%s/nothing", rig.base);
    assert_int_equal(hd_fetch_start(&fetch, rig.fetcher, &request, on_done, &p, NULL), 0);
    fetch_rig_until(&rig, &p.got.done);
    assert_int_equal(p.n, 0);
    assert_int_equal(p.got.status, 404);
    free((char *)request.url);
    fetch_rig_stop(&rig);
    (void)state;
}

static void sends_a_file(void **state)
{
    struct fetch_rig rig;
    fetch_rig_start(&rig, false);
    fetch_rig_write(&rig, "body", "from a file");
    hd_auto_free char *path = hd_printf("%s/body", rig.dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC), none = -1;
    struct got got =
        get(&rig, "/echo?q", (struct hd_fetch_request){.method = "POST", .body_fd = &fd});
    assert_string_equal(got.body, "POST q None from a file");
    got = get(&rig, "/echo?q", (struct hd_fetch_request){.method = "PUT", .body_fd = &fd});
    assert_string_equal(got.body, "PUT q None from a file");
    close(fd);
    fetch_rig_remove(&rig, "body");
    struct hd_fetch *fetch;
    struct hd_error err;
    struct hd_fetch_request bad = {.url = rig.base, .timeout_ms = 1, .body_fd = &none};
    assert_int_equal(hd_fetch_start(&fetch, rig.fetcher, &bad, on_done, &got, &err), HD_EINVAL);
    fetch_rig_stop(&rig);
    (void)state;
}

static void speaks_to_a_unix_socket(void **state)
{
    struct fetch_rig rig;
    fetch_rig_start(&rig, true);
    struct got got =
        get(&rig, "http://engine/echo?q", (struct hd_fetch_request){.unix_socket = rig.socket});
    assert_int_equal(got.status, 200);
    assert_string_equal(got.body, "GET q None ");
    hd_auto_free char *none = hd_printf("%s/none", rig.dir);
    got = get(&rig, "http://engine/echo", (struct hd_fetch_request){.unix_socket = none});
    assert_int_equal(got.code, HD_EIO);
    fetch_rig_stop(&rig);
    (void)state;
}

static void stops_at_its_limits(void **state)
{
    struct fetch_rig rig;
    fetch_rig_start(&rig, false);
    struct got got = get(&rig, "/big?1000", (struct hd_fetch_request){.method = NULL});
    assert_int_equal(got.body_bytes, 1000);
    got = get(&rig, "/big?1001", (struct hd_fetch_request){.method = NULL});
    assert_int_equal(got.code, HD_EPROTO);
    assert_non_null(strstr(got.why, "longer than 1000 bytes"));
    got = get(&rig, "/fields?60", (struct hd_fetch_request){.method = NULL});
    assert_int_equal(got.status, 200);
    got = get(&rig, "/fields?80", (struct hd_fetch_request){.method = NULL});
    assert_int_equal(got.code, HD_EPROTO);
    got = get(&rig, "/never", (struct hd_fetch_request){.timeout_ms = 50});
    assert_int_equal(got.code, HD_ETIMEOUT);
    got = get(&rig, "/broken", (struct hd_fetch_request){.method = NULL});
    assert_int_equal(got.code, HD_EPROTO);
    got = get(&rig, "http://127.0.0.1:1/", (struct hd_fetch_request){.method = NULL});
    assert_int_equal(got.code, HD_EIO);
    assert_true(got.why[0] != '\0');
    fetch_rig_stop(&rig);
    (void)state;
}

static void follows_redirects_only_to_http_and_only_if_told(void **state)
{
    struct fetch_rig rig;
    fetch_rig_start(&rig, false);
    const struct hd_fetch_request one = {.max_redirects = 1};
    struct got got = get(&rig, "/to?/echo", (struct hd_fetch_request){.method = NULL});
    assert_int_equal(got.status, 302);
    assert_string_equal(got.body, "moved");
    got = get(&rig, "/to?/echo", one);
    assert_int_equal(got.status, 200);
    assert_string_equal(got.body, "GET  None ");
    assert_string_equal(got.field, "yes");
    got = get(&rig, "/to?/to%3F/echo", one);
    assert_int_equal(got.code, HD_EPROTO);
    got = get(&rig, "/to?file:///etc/passwd", one);
    assert_int_equal(got.code, HD_EPROTO);
    got = get(&rig, "/to?ftp://127.0.0.1/", one);
    assert_int_equal(got.code, HD_EPROTO);
    fetch_rig_stop(&rig);
    (void)state;
}

static void refuses_what_it_cannot_send(void **state)
{
    struct fetch_rig rig;
    fetch_rig_start(&rig, false);
    const struct hd_field bad[] = {{hd_str("x"), hd_str("a\r\ny: b")}};
    const struct hd_fetch_request requests[] = {
        {.url = "file:///etc/passwd", .timeout_ms = 1},
        {.url = "ftp://127.0.0.1/", .timeout_ms = 1},
        {.url = "127.0.0.1", .timeout_ms = 1},
        {.url = "", .timeout_ms = 1},
        {.url = "http://127.0.0.1/\r\nx", .timeout_ms = 1},
        {.url = "http://127.0.0.1/", .timeout_ms = 0},
        {.url = "http://127.0.0.1/", .timeout_ms = 1, .fields = bad, .n_fields = 1},
    };
    for (size_t i = 0; i < HD_COUNT(requests); i++) {
        struct got got = {.done = false};
        struct hd_fetch *fetch = NULL;
        assert_int_equal(hd_fetch_start(&fetch, rig.fetcher, &requests[i], on_done, &got, NULL),
                         HD_EINVAL);
        assert_false(got.done);
    }
    fetch_rig_stop(&rig);
    (void)state;
}

static struct hd_fetch *start_never(struct fetch_rig *rig, struct got *got)
{
    hd_auto_free char *url = hd_printf("%s/never", rig->base);
    const struct hd_fetch_request request = {
        .url = url, .timeout_ms = 5000, .max_body_bytes = 1000};
    struct hd_fetch *fetch = NULL;
    assert_int_equal(hd_fetch_start(&fetch, rig->fetcher, &request, on_done, got, NULL), 0);
    return fetch;
}

static void cancel_ends_it_once_and_later(void **state)
{
    struct fetch_rig rig;
    fetch_rig_start(&rig, false);
    struct got at_once = {.done = false}, twice = {.done = false};
    hd_fetch_cancel(start_never(&rig, &at_once));
    struct hd_fetch *fetch = start_never(&rig, &twice);
    for (int i = 0; i < 5; i++)
        uv_run(hd_loop_uv(rig.loop), UV_RUN_NOWAIT);
    hd_fetch_cancel(fetch);
    hd_fetch_cancel(fetch);
    assert_false(twice.done);
    fetch_rig_until(&rig, &twice.done);
    fetch_rig_until(&rig, &at_once.done);
    assert_int_equal(at_once.code, HD_ECANCELED);
    assert_int_equal(twice.code, HD_ECANCELED);
    assert_int_equal(twice.calls, 1);
    fetch_rig_stop(&rig);
    (void)state;
}

static void closing_cancels_what_is_under_way(void **state)
{
    struct fetch_rig rig;
    fetch_rig_start(&rig, false);
    struct got got[3] = {{.done = false}};
    for (size_t i = 0; i < HD_COUNT(got); i++)
        start_never(&rig, &got[i]);
    for (int i = 0; i < 5; i++)
        uv_run(hd_loop_uv(rig.loop), UV_RUN_NOWAIT);
    fetch_rig_stop(&rig);
    for (size_t i = 0; i < HD_COUNT(got); i++) {
        assert_int_equal(got[i].code, HD_ECANCELED);
        assert_int_equal(got[i].calls, 1);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_and_receives),
        cmocka_unit_test(parts_come_before_the_end),
        cmocka_unit_test(sends_a_file),
        cmocka_unit_test(speaks_to_a_unix_socket),
        cmocka_unit_test(stops_at_its_limits),
        cmocka_unit_test(follows_redirects_only_to_http_and_only_if_told),
        cmocka_unit_test(refuses_what_it_cannot_send),
        cmocka_unit_test(cancel_ends_it_once_and_later),
        cmocka_unit_test(closing_cancels_what_is_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
