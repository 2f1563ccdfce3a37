/* test/unit/test_logstore.c - what is kept, where it is found, what goes first. */
#include "lambda/logs/logstore.h"
#include "test.h"

#include <stdio.h>

static const struct hd_str space = HD_LIT("1/here");

static void add(struct hd_logstore *s, const char *group, const char *stream, const char *text,
                int64_t ms)
{
    hd_logstore_add(s, space, hd_str(group), hd_str(stream), hd_str(text), ms, ms + 1);
}

static void lines_are_found_in_order(void **state)
{
    struct hd_logstore *s = hd_logstore_new(1 << 20);
    add(s, "g", "a", "one", 10);
    add(s, "g", "b", "two", 20);
    add(s, "h", "a", "three", 5);
    add(s, "g", "a", "four", 8);
    assert_int_equal(hd_logstore_first(s), 0);
    assert_int_equal(hd_logstore_end(s), 4);
    const struct hd_log_entry *e = hd_logstore_at(s, 3);
    assert_true(hd_str_is(hd_str_n(e->text, e->len), "four"));
    assert_true(hd_str_is(e->stream->name, "a"));
    assert_int_equal(e->unix_ms, 10); /* it came from a loop whose clock was a moment behind */
    assert_int_equal(e->stream->first_unix_ms, 10);
    assert_int_equal(e->stream->last_unix_ms, 10);
    assert_int_equal(e->stream->lines, 2);
    const struct hd_log_group *g = hd_logstore_group(s, space, hd_str("g"));
    assert_ptr_equal(e->stream->group, g);
    assert_int_equal(g->n_streams, 2);
    assert_int_equal(g->bytes, 10);
    assert_null(hd_logstore_group(s, hd_str("1/there"), hd_str("g")));
    assert_null(hd_logstore_group(s, space, hd_str("i")));
    hd_logstore_free(s);
    (void)state;
}

static void the_oldest_go_when_it_is_full(void **state)
{
    enum { MAX = 100 * 100 }; /* lines of 36 bytes cost 100 */
    char text[37];
    struct hd_logstore *s = hd_logstore_new(MAX);
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "%036d", i);
        add(s, "g", i < 950 ? "old" : "new", text, i);
        assert_true(hd_logstore_end(s) - hd_logstore_first(s) <= 100);
    }
    assert_int_equal(hd_logstore_first(s), 900);
    for (uint64_t n = 900; n < 1000; n++) {
        snprintf(text, sizeof(text), "%036d", (int)n);
        assert_memory_equal(hd_logstore_at(s, n)->text, text, 36);
    }
    const struct hd_log_group *g = hd_logstore_group(s, space, hd_str("g"));
    assert_int_equal(g->n_streams, 2);
    for (int i = 0; i < 50; i++)
        add(s, "g", "new", text, i);
    assert_int_equal(g->n_streams, 1); /* nothing is left of the other */
    assert_int_equal(g->bytes, 3600);
    hd_logstore_add(s, space, hd_str("g"), hd_str("x"), hd_str_n(text, MAX), 0, 0);
    assert_int_equal(hd_logstore_end(s), 1050); /* longer than all may be: not looked at */
    hd_logstore_free(s);
    (void)state;
}

static void groups_without_lines_are_bounded(void **state)
{
    char name[16];
    size_t n = 0;
    struct hd_logstore *s = hd_logstore_new(1000);
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "g%d", i);
        add(s, name, "s", "text", i);
    }
    hd_list_each(item, (struct hd_list *)hd_logstore_groups(s)) n++;
    assert_in_range(n, 15, 1020);
    assert_non_null(hd_logstore_group(s, space, hd_str("g4999")));
    assert_null(hd_logstore_group(s, space, hd_str("g2000")));
    hd_logstore_free(s);
    hd_logstore_free(NULL);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_found_in_order),
        cmocka_unit_test(the_oldest_go_when_it_is_full),
        cmocka_unit_test(groups_without_lines_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
