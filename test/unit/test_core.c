/* test_core.c - slices, errors, maps, arenas, ids, trace context. */
#include "core/arena.h"
#include "core/base.h"
#include "core/id.h"
#include "core/list.h"
#include "core/map.h"
#include "core/trace.h"
#include "test.h"

#include <errno.h>
#include <stdio.h>

static void errors_read_from_the_outside_in(void **state)
{
    struct hd_error err;
    int rc = hd_fail(&err, HD_EINVAL, "timeoutMs: must be at least %d", 1);
    assert_int_equal(hd_wrap(&err, rc, "function %s", "hello"), HD_EINVAL);
    assert_string_equal(err.msg, "function hello: timeoutMs: must be at least 1");
    assert_int_equal(hd_fail_sys(&err, ENOENT, "open %s", "a\nb"), HD_ENOTFOUND);
    assert_string_equal(err.msg, "open a?b: no such file or directory");
    assert_int_equal(err.sys, ENOENT);
    assert_int_equal(hd_fail(NULL, HD_EBUSY, "x"), HD_EBUSY);
    (void)state;
}

static void slices_are_cut_and_compared(void **state)
{
    struct hd_str rest = hd_str("a,,b"), part;
    assert_true(hd_str_split(&part, &rest, ',') && hd_str_is(part, "a"));
    assert_true(hd_str_split(&part, &rest, ',') && hd_str_is(part, ""));
    assert_true(hd_str_split(&part, &rest, ',') && hd_str_is(part, "b"));
    assert_false(hd_str_split(&part, &rest, ','));
    assert_true(hd_str_is(hd_str_trim(hd_str(" \tx y ")), "x y"));
    assert_true(hd_str_is_nocase(hd_str("Content-Length"), "content-length"));
    assert_false(hd_str_is_nocase(hd_str("["), "{"));
    uint64_t n = 7;
    assert_int_equal(hd_str_to_u64(&n, hd_str("18446744073709551615")), 0);
    assert_true(n == UINT64_MAX);
    static const char *const bad[] = {"", "18446744073709551616", "1 ", "+1", "-1", "0x1", "1.0"};
    for (size_t i = 0; i < HD_COUNT(bad); i++)
        assert_int_equal(hd_str_to_u64(&n, hd_str(bad[i])), HD_EINVAL);
    (void)state;
}

static void a_map_survives_removals(void **state)
{
    struct hd_map m;
    static char keys[2000][8];
    static int values[2000];
    hd_map_init(&m, 42);
    for (int i = 0; i < 2000; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k%d", i);
        assert_null(hd_map_put(&m, hd_str(keys[i]), &values[i]));
    }
    for (int i = 0; i < 2000; i += 3)
        assert_ptr_equal(hd_map_remove(&m, hd_str(keys[i])), &values[i]);
    for (int i = 0; i < 2000; i++)
        assert_ptr_equal(hd_map_get(&m, hd_str(keys[i])), i % 3 == 0 ? NULL : &values[i]);
    size_t at = 0, seen = 0;
    while (hd_map_next(&m, &at, NULL, NULL))
        seen++;
    assert_int_equal(seen, m.count);
    assert_null(hd_map_remove(&m, hd_str("none")));
    hd_map_done(&m);
    (void)state;
}

static void an_arena_uses_the_callers_memory_first_and_has_a_ceiling(void **state)
{
    _Alignas(max_align_t) char first[64];
    struct hd_arena a;
    hd_arena_init(&a, first, sizeof(first), 8192);
    char *p = hd_arena_alloc(&a, 10);
    assert_true(p >= first && p < first + sizeof(first));
    char *q = hd_arena_alloc(&a, 3000);
    assert_non_null(q);
    assert_int_equal((uintptr_t)q % sizeof(void *), 0);
    assert_non_null(hd_arena_alloc(&a, 4000));
    assert_null(hd_arena_alloc(&a, 9000));
    assert_null(hd_arena_alloc(&a, SIZE_MAX - 4));
    struct hd_str s = hd_arena_str(&a, hd_str("kept"));
    assert_string_equal(s.ptr, "kept");
    hd_arena_done(&a);
    (void)state;
}

static void lists_may_lose_the_current_item(void **state)
{
    struct hd_list head, items[3];
    hd_list_init(&head);
    for (int i = 0; i < 3; i++)
        hd_list_push(&head, &items[i]);
    int n = 0;
    hd_list_each(item, &head)
    {
        hd_list_remove(item);
        n++;
    }
    assert_int_equal(n, 3);
    assert_true(hd_list_empty(&head));
    assert_null(hd_list_pop(&head));
    (void)state;
}

static void uuid7_is_ordered_by_time_and_well_formed(void **state)
{
    struct hd_rng r;
    hd_rng_init(&r, 1);
    char a[HD_UUID_CHARS + 1], b[HD_UUID_CHARS + 1];
    hd_uuid7(a, &r, 0x0123456789abLL);
    hd_uuid7(b, &r, 0x0123456789acLL);
    assert_memory_equal(a, "01234567-89ab-7", 15);
    assert_true(strcmp(a, b) < 0);
    assert_non_null(strchr("89ab", a[19]));
    unsigned char bytes[2];
    assert_int_equal(hd_unhex(bytes, 2, hd_str("0aFf")), 0);
    assert_int_equal(bytes[1], 0xff);
    assert_int_equal(hd_unhex(bytes, 2, hd_str("0aFg")), HD_EINVAL);
    (void)state;
}

static void traceparent_is_strict(void **state)
{
    static const char good[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    struct hd_trace t, child;
    char out[HD_TRACEPARENT_CHARS + 1];
    assert_int_equal(hd_trace_parse(&t, hd_str(good)), 0);
    hd_trace_format(out, &t);
    assert_string_equal(out, good);
    assert_int_equal(
        hd_trace_parse(&t, hd_str("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x")), 0);
    static const char *const bad[] = {
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
    };
    for (size_t i = 0; i < HD_COUNT(bad); i++)
        assert_int_equal(hd_trace_parse(&t, hd_str(bad[i])), HD_EPROTO);
    struct hd_rng r;
    hd_rng_init(&r, 2);
    hd_trace_child(&child, &t, &r);
    assert_memory_equal(child.trace_id, t.trace_id, 16);
    assert_memory_not_equal(child.span_id, t.span_id, 8);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_read_from_the_outside_in),
        cmocka_unit_test(slices_are_cut_and_compared),
        cmocka_unit_test(a_map_survives_removals),
        cmocka_unit_test(an_arena_uses_the_callers_memory_first_and_has_a_ceiling),
        cmocka_unit_test(lists_may_lose_the_current_item),
        cmocka_unit_test(uuid7_is_ordered_by_time_and_well_formed),
        cmocka_unit_test(traceparent_is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
