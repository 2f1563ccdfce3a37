/* test_log.c - both formats; a reader that takes nothing costs lines, not time. */
#include "core/log.h"
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void read_all(int fd, char *out, size_t cap)
{
    size_t len = 0;
    ssize_t n;
    while (len + 1 < cap && (n = read(fd, out + len, cap - 1 - len)) > 0)
        len += (size_t)n;
    out[len] = '\0';
}

static void lines_are_json_or_text(void **state)
{
    for (int format = 0; format < 2; format++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        struct hd_log *log = NULL;
        struct hd_log_options opt = {.fd = fds[1],
                                     .level = HD_INFO,
                                     .format = format == 0 ? HD_LOG_TEXT : HD_LOG_JSON,
                                     .max_bytes = 4096};
        assert_int_equal(hd_log_new(&log, &opt, NULL), 0);
        hd_log(log, HD_DEBUG, "not shown");
        hd_log(log, HD_WARN, "instance exited", hd_kv_str("function", "a b"),
               hd_kv_int("exit_code", -1), hd_kv_str("left_out", NULL), hd_kv_us("took", 1234),
               hd_kv_bool("again", true));
        hd_log_free(log);
        close(fds[1]);
        char got[512];
        read_all(fds[0], got, sizeof(got));
        close(fds[0]);
        if (format == 0)
            assert_string_equal(got, "warn  instance exited  function=\"a b\"  exit_code=-1  "
                                     "took=1.234ms  again=yes\n");
        else
            assert_non_null(strstr(got, "\"level\":\"warn\",\"msg\":\"instance exited\","
                                        "\"function\":\"a b\",\"exit_code\":-1,\"took\":1.234,"
                                        "\"again\":true}\n"));
    }
    (void)state;
}

static void texts_of_several_lines_stand_below_and_cannot_move_the_cursor(void **state)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct hd_log *log = NULL;
    struct hd_log_options opt = {.fd = fds[1], .level = HD_INFO, .max_bytes = 4096};
    assert_int_equal(hd_log_new(&log, &opt, NULL), 0);
    hd_log(log, HD_ERROR, "it failed", hd_kv_str("error", "Error: no\n    at a.ts:1\033[2J\n"),
           hd_kv_str("function", "a"));
    hd_log_free(log);
    close(fds[1]);
    char got[512];
    read_all(fds[0], got, sizeof(got));
    close(fds[0]);
    assert_string_equal(got, "error it failed  function=a\n"
                             "      Error: no\n"
                             "          at a.ts:1\\x1b[2J\n");
    (void)state;
}

static void a_status_stands_below_the_last_line_of_a_terminal(void **state)
{
    for (int terminal = 0; terminal < 2; terminal++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        struct hd_log *log = NULL;
        struct hd_log_options opt = {
            .fd = fds[1], .level = HD_INFO, .terminal = terminal == 1, .max_bytes = 4096};
        assert_int_equal(hd_log_new(&log, &opt, NULL), 0);
        hd_log(log, HD_INFO, "one");
        hd_log_flush(log, 1000);
        hd_log_status(log, "1 of 2");
        hd_log(log, HD_INFO, "two");
        hd_log_flush(log, 1000);
        hd_log_status(log, "");
        hd_log_free(log);
        close(fds[1]);
        char got[512];
        read_all(fds[0], got, sizeof(got));
        close(fds[0]);
        if (terminal == 0) {
            assert_string_equal(got, "info  one\ninfo  two\n");
        } else { /* the status may have been drawn before "two", or with it */
            assert_non_null(strstr(got, "info  two\n1 of 2\r\033[K"));
            assert_null(strstr(got, "1 of 2info"));
        }
    }
    (void)state;
}

static void a_flush_waits_for_no_other_line(void **state)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    struct hd_log *log = NULL;
    struct hd_log_options opt = {
        .fd = fds[1], .level = HD_INFO, .max_bytes = 4096, .flush_ms = 3600 * 1000};
    assert_int_equal(hd_log_new(&log, &opt, NULL), 0);
    char got[64];
    for (int i = 0; i < 3; i++) {
        hd_log(log, HD_INFO, "ready");
        hd_log_flush(log, 60000);
        assert_int_equal(read(fds[0], got, sizeof(got)), strlen("info  ready\n"));
    }
    hd_log_free(log);
    close(fds[0]);
    close(fds[1]);
    (void)state;
}

static void a_stuck_reader_costs_lines_not_time(void **state)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    struct hd_log *log = NULL;
    struct hd_log_options opt = {.fd = fds[1], .level = HD_INFO, .max_bytes = 64 * 1024};
    assert_int_equal(hd_log_new(&log, &opt, NULL), 0);
    char text[200];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (int i = 0; i < 5000; i++)
        hd_log(log, HD_INFO, text);
    assert_true(hd_log_dropped(log) > 0);
    hd_log_free(log);
    close(fds[0]);
    close(fds[1]);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_json_or_text),
        cmocka_unit_test(texts_of_several_lines_stand_below_and_cannot_move_the_cursor),
        cmocka_unit_test(a_status_stands_below_the_last_line_of_a_terminal),
        cmocka_unit_test(a_flush_waits_for_no_other_line),
        cmocka_unit_test(a_stuck_reader_costs_lines_not_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
