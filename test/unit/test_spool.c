/* test/unit/test_spool.c - files appear with all their bytes, and go with all that was made. */
#include "lanes/spool.h"

#include "test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct hd_loop *loop;
static char dir[64];
static unsigned idle;

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/heddle-spool-XXXXXX");
    assert_non_null(mkdtemp(dir));
    idle = 0;
    return hd_loop_new(&loop, 0, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    hd_loop_free(loop);
    return rmdir(dir); /* fails where something was left */
}

static void on_idle(void *arg)
{
    (void)arg;
    idle++;
    hd_loop_stop(loop);
}

static void on_gone(void *arg)
{
    (void)arg;
    hd_loop_stop(loop);
}

static void finish(struct hd_spool *s)
{
    hd_spool_free(s, on_gone, NULL);
    hd_loop_run(loop);
}

static size_t size_of(const struct hd_spool *s, unsigned file)
{
    struct stat st;
    hd_auto_free char *path = hd_spool_path(s, file);
    return stat(path, &st) == 0 ? (size_t)st.st_size : SIZE_MAX;
}

static void each_file_has_its_bytes_in_order(void **state)
{
    (void)state;
    struct hd_spool *s = hd_spool_new(loop, dir, on_idle, NULL);
    char text[16] = {0};
    assert_true(hd_spool_is_idle(s));
    assert_int_equal(hd_spool_begin(s), 0);
    hd_spool_write(s, hd_str("one "));
    hd_spool_write(s, hd_str("two"));
    assert_int_equal(hd_spool_begin(s), 1); /* stays empty */
    assert_int_equal(hd_spool_begin(s), 2);
    hd_spool_write(s, hd_str("three"));
    assert_false(hd_spool_is_idle(s));
    hd_loop_run(loop);
    assert_int_equal(hd_spool_failed(s, NULL), 0);
    assert_true(hd_spool_is_idle(s));
    assert_int_equal(size_of(s, 1), 0);
    assert_int_equal(size_of(s, 2), 5);
    hd_auto_free char *path = hd_spool_path(s, 0);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fread(text, 1, sizeof(text), f), 7);
    fclose(f);
    assert_string_equal(text, "one two");
    finish(s);
}

static void it_says_when_it_is_enough_and_when_it_goes_on(void **state)
{
    (void)state;
    static char block[HD_SPOOL_QUEUED];
    struct hd_spool *s = hd_spool_new(loop, dir, on_idle, NULL);
    hd_spool_begin(s);
    assert_true(hd_spool_write(s, hd_str_n(block, 10)));
    assert_false(hd_spool_write(s, hd_str_n(block, sizeof(block))));
    hd_loop_run(loop);
    assert_int_equal(idle, 1);
    assert_true(hd_spool_write(s, hd_str_n(block, 10)));
    hd_loop_run(loop);
    assert_int_equal(size_of(s, 0), sizeof(block) + 20);
    finish(s);
}

static void a_folder_that_cannot_be_made_is_an_error(void **state)
{
    (void)state;
    struct hd_error err = {0};
    struct hd_spool *s = hd_spool_new(loop, "/nowhere/at/all", on_idle, NULL);
    hd_spool_begin(s);
    hd_spool_write(s, hd_str("x"));
    hd_loop_run(loop);
    assert_true(hd_spool_failed(s, &err) < 0);
    assert_non_null(strstr(err.msg, "/nowhere/at/all"));
    finish(s);
}

static void it_may_go_while_it_writes(void **state)
{
    (void)state;
    struct hd_spool *s = hd_spool_new(loop, dir, on_idle, NULL);
    hd_spool_begin(s);
    hd_spool_write(s, hd_str("x"));
    finish(s); /* before anything was written */
    assert_int_equal(idle, 0);
    finish(hd_spool_new(loop, dir, on_idle, NULL)); /* one that was never used */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_file_has_its_bytes_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_says_when_it_is_enough_and_when_it_goes_on, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_made_is_an_error, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(it_may_go_while_it_writes, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
