/* test_alive.c - what an instance was given counts while it lives. */
#include "pool/alive.h"
#include "test.h"

#include <pthread.h>

static void an_instance_lives_from_its_launch_to_its_end(void **state)
{
    struct hd_alive *a = hd_alive_new();
    char id[HD_ALIVE_ID_CHARS + 1], other[HD_ALIVE_ID_CHARS + 1];
    struct hd_alive_who who;
    hd_alive_draw(id);
    hd_alive_draw(other);
    assert_string_not_equal(id, other);
    assert_int_equal(strlen(id), HD_ALIVE_ID_CHARS);
    assert_int_equal(strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), HD_ALIVE_ID_CHARS);
    assert_false(hd_alive_is(a, hd_str(id)));
    hd_alive_begin(a, id, "mailer", "sender");
    assert_true(hd_alive_is(a, hd_str(id)));
    assert_true(hd_alive_find(a, &who, hd_str(id)));
    assert_string_equal(who.function, "mailer");
    assert_string_equal(who.role, "sender");
    assert_false(hd_alive_is(a, hd_str(other)));
    assert_false(hd_alive_is(a, hd_str("")));
    assert_false(hd_alive_is(a, hd_str_n(id, HD_ALIVE_ID_CHARS - 1)));
    hd_alive_end(a, other);
    assert_true(hd_alive_is(a, hd_str(id)));
    hd_alive_end(a, id);
    assert_false(hd_alive_is(a, hd_str(id)));
    assert_false(hd_alive_find(a, &who, hd_str(id)));
    hd_alive_begin(a, id, "left", NULL);
    hd_alive_free(a);
    hd_alive_free(NULL);
    hd_alive_begin(NULL, id, "nobody asks", NULL);
    hd_alive_end(NULL, id);
    (void)state;
}

static void *come_and_go(void *arg)
{
    char id[HD_ALIVE_ID_CHARS + 1];
    for (int i = 0; i < 2000; i++) {
        hd_alive_draw(id);
        hd_alive_begin(arg, id, "f", NULL);
        assert_true(hd_alive_is(arg, hd_str(id)));
        hd_alive_end(arg, id);
        assert_false(hd_alive_is(arg, hd_str(id)));
    }
    return NULL;
}

static void threads_may_ask_at_once(void **state)
{
    struct hd_alive *a = hd_alive_new();
    pthread_t threads[4];
    for (size_t i = 0; i < HD_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, a), 0);
    for (size_t i = 0; i < HD_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    hd_alive_free(a);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_instance_lives_from_its_launch_to_its_end),
        cmocka_unit_test(threads_may_ask_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
