/* test_compile.c - what is compiled ahead, in which order, and what is not. The compiler here is a
 * shell that writes its function's name into a file. */
#include "pool/process/compile.h"
#include "core/clock.h"
#include "core/folder.h"
#include "pool/process/sandbox.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WAIT_MS = 20000 };

struct rig {
    char dir[64];
    struct hd_loop *loop;
    struct hd_hostproc_site site;
    struct hd_compile compile;
    struct hd_timer tick;
};

static void on_tick(struct hd_timer *t)
{
    struct rig *r = hd_container_of(t, struct rig, tick);
    hd_timer_start(r->loop, t, 5, on_tick);
}

static int open_rig(void **state)
{
    struct rig *r = hd_new(struct rig);
    struct hd_error err;
    snprintf(r->dir, sizeof(r->dir), "/tmp/heddle-compile-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    assert_int_equal(hd_loop_new(&r->loop, 0, NULL), 0);
    r->site = (struct hd_hostproc_site){.loop = r->loop, .dir.lock_fd = -1, .default_pids = 100};
    hd_auto_free char *run = hd_printf("%s/run", r->dir);
    if (hd_rundir_open(&r->site.dir, run, false, &err) < 0)
        fail_msg("%s", err.msg);
    hd_compile_init(&r->compile, &r->site);
    hd_timer_start(r->loop, &r->tick, 5, on_tick); /* no turn lasts longer */
    *state = r;
    return 0;
}

static bool until(struct rig *r, bool (*check)(struct rig *r))
{
    uint64_t end = hd_clock_ms() + WAIT_MS;
    while (!check(r) && hd_clock_ms() < end)
        uv_run(hd_loop_uv(r->loop), UV_RUN_ONCE);
    return check(r);
}

static bool is_closed(struct rig *r)
{
    return hd_compile_is_closed(&r->compile);
}

static bool is_idle(struct rig *r)
{
    return r->compile.now == NULL && r->compile.n_waiting == 0;
}

static bool is_busy(struct rig *r)
{
    return r->compile.now != NULL;
}

static int close_rig(void **state)
{
    struct rig *r = *state;
    hd_compile_close(&r->compile);
    assert_true(until(r, is_closed));
    hd_timer_stop(r->loop, &r->tick);
    hd_rundir_close(&r->site.dir);
    hd_loop_free(r->loop);
    hd_remove_tree(r->dir);
    free(r);
    return 0;
}

static void add(struct rig *r, const char *function, const char *script)
{
    struct hd_hostplan plan = {.host = false};
    const char *const argv[] = {"/bin/sh", "-c", script, function, r->dir};
    for (size_t i = 0; i < HD_COUNT(argv); i++)
        hd_spec_list_add(&plan.spec.argv, argv[i]);
    plan.spec.cwd = hd_strdup("/");
    hd_compile_add(&r->compile, function, &plan);
    hd_hostplan_done(&plan);
}

#define NOTES "echo $0 >> $1/order"

/* @return the names in the order of their ends; to be freed. */
static char *order(struct rig *r)
{
    hd_auto_free char *path = hd_printf("%s/order", r->dir);
    char text[1024] = "";
    FILE *f = fopen(path, "r");
    size_t n = f != NULL ? fread(text, 1, sizeof(text) - 1, f) : 0;
    if (f != NULL)
        fclose(f);
    for (size_t i = 0; i < n; i++)
        if (text[i] == '\n')
            text[i] = ' ';
    return hd_strdup(text);
}

static void expect_order(struct rig *r, const char *expected)
{
    hd_auto_free char *got = order(r);
    assert_string_equal(got, expected);
}

static void one_is_compiled_after_the_other(void **state)
{
    struct rig *r = *state;
    add(r, "a", "sleep 0.1; " NOTES);
    add(r, "b", NOTES "; exit 3"); /* a failure is nobody's business */
    add(r, "c", NOTES);
    assert_true(until(r, is_idle));
    expect_order(r, "a b c ");
    add(r, "d", NOTES);
    assert_true(until(r, is_idle));
    expect_order(r, "a b c d ");
}

static void of_one_function_the_newest_version_is_compiled(void **state)
{
    struct rig *r = *state;
    add(r, "a", "echo old $0 >> $1/order");
    add(r, "b", NOTES);
    add(r, "a", "echo new $0 >> $1/order");
    assert_true(until(r, is_idle));
    expect_order(r, "b new a ");
}

static void what_is_being_loaded_is_not_compiled(void **state)
{
    struct rig *r = *state;
    add(r, "a", NOTES);
    add(r, "b", NOTES);
    hd_compile_forget(&r->compile, "a");
    hd_compile_forget(&r->compile, "nobody");
    assert_true(until(r, is_idle));
    expect_order(r, "b ");
}

static void with_too_many_the_oldest_are_forgotten(void **state)
{
    struct rig *r = *state;
    for (int i = 0; i < HD_COMPILE_WAITING_MAX + 10; i++) {
        hd_auto_free char *name = hd_printf("f%d", i);
        add(r, name, i < 10 ? NOTES : ":");
    }
    assert_int_equal(r->compile.n_waiting, HD_COMPILE_WAITING_MAX);
    assert_true(until(r, is_idle));
    expect_order(r, "");
}

static void the_end_waits_for_nobody(void **state)
{
    struct rig *r = *state;
    add(r, "a", "sleep 1000; " NOTES);
    add(r, "b", NOTES);
    assert_true(until(r, is_busy));
    hd_compile_close(&r->compile);
    assert_true(until(r, is_closed));
    add(r, "c", NOTES);
    assert_int_equal(r->compile.n_waiting, 0);
    expect_order(r, "");
}

int main(int argc, char **argv)
{
    if (strcmp(argv[0], HD_SANDBOX_ARGV0) == 0)
        return hd_sandbox_main(argc, argv);
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        TEST(one_is_compiled_after_the_other),
        TEST(of_one_function_the_newest_version_is_compiled),
        TEST(what_is_being_loaded_is_not_compiled),
        TEST(with_too_many_the_oldest_are_forgotten),
        TEST(the_end_waits_for_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
