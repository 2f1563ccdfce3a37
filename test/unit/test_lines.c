/* test_lines.c - lines of one thread, read on another, whole and in order. */
#include "invoke/lines.h"
#include "test.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { LINES = 20000 };

struct rig {
    struct hd_loop *loop;
    struct hd_lines *lines;
    int seen;
    bool wrong;
};

static void on_line(void *arg, const struct hd_call_line *line)
{
    struct rig *r = arg;
    char expected[32];
    snprintf(expected, sizeof(expected), "line %d", r->seen);
    if (!hd_str_is(line->text, expected) || !hd_str_is(line->function, "f") ||
        line->level != r->seen % 4 || line->unix_ms != r->seen)
        r->wrong = true;
    if (++r->seen == LINES)
        hd_loop_stop(r->loop);
}

static void *write_lines(void *arg)
{
    struct rig *r = arg;
    for (int n = 0; n < LINES; n++) {
        char text[32];
        snprintf(text, sizeof(text), "line %d", n);
        hd_lines_add(r->lines, &(struct hd_call_line){.function = hd_str("f"),
                                                      .id = hd_str(""),
                                                      .text = hd_str(text),
                                                      .level = n % 4,
                                                      .unix_ms = n});
        if (n % 500 == 0)
            usleep(100);
    }
    return NULL;
}

static void all_come_in_their_order(void **state)
{
    struct rig r = {0};
    pthread_t writer;
    assert_int_equal(hd_loop_new(&r.loop, 0, NULL), 0);
    r.lines = hd_lines_new(r.loop, on_line, &r);
    assert_int_equal(pthread_create(&writer, NULL, write_lines, &r), 0);
    hd_loop_run(r.loop);
    pthread_join(writer, NULL);
    assert_int_equal(r.seen, LINES);
    assert_false(r.wrong);
    assert_int_equal(hd_lines_dropped(r.lines), 0);
    hd_loop_free(r.loop);
    hd_lines_free(r.lines);
    (void)state;
}

static void on_any(void *arg, const struct hd_call_line *line)
{
    size_t *bytes = arg;
    *bytes += line->text.len;
}

static void a_reader_that_does_not_read_costs_lines_not_memory(void **state)
{
    static char text[1 << 20];
    struct hd_loop *loop;
    size_t bytes = 0;
    assert_int_equal(hd_loop_new(&loop, 0, NULL), 0);
    hd_loop_set_virtual(loop, 1);
    struct hd_lines *l = hd_lines_new(loop, on_any, &bytes);
    struct hd_call_line line = {.text = hd_str_n(text, sizeof(text))};
    for (int n = 0; n < 20; n++)
        hd_lines_add(l, &line);
    assert_true(hd_lines_dropped(l) > 10);
    line.text = hd_str("fits");
    hd_lines_add(l, &line);
    while (hd_loop_advance(loop, 1))
        ;
    assert_int_equal(bytes, (20 - hd_lines_dropped(l)) * sizeof(text) + 4);
    hd_lines_add(l, &line);
    while (hd_loop_advance(loop, 1))
        ;
    assert_int_equal(bytes, (20 - hd_lines_dropped(l)) * sizeof(text) + 8);
    hd_loop_free(loop);
    hd_lines_free(l);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_come_in_their_order),
        cmocka_unit_test(a_reader_that_does_not_read_costs_lines_not_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
