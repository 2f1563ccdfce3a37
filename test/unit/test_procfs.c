/* test_procfs.c - /proc/<pid>/stat, whatever a process calls itself. */
#include "pool/process/procfs.h"
#include "test.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void fields_are_found_behind_any_name(void **state)
{
    static const char *const names[] = {"sh", "a b", ") (R 1 2", ""};
    for (size_t i = 0; i < HD_COUNT(names); i++) {
        struct hd_proc p;
        hd_auto_free char *text =
            hd_printf("42 (%s) S 7 1 1 0 -1 4194560 1 2 3 4 100 50 20 30 20 0 1 0 98765 111 55 "
                      "18446744073709551615 1 1 0\n",
                      names[i]);
        assert_int_equal(hd_proc_parse(&p, hd_str(text), 100, 4096), 0);
        assert_int_equal(p.parent, 7);
        assert_int_equal(p.cpu_us, 2000000);
        assert_int_equal(p.start_ticks, 98765);
        assert_int_equal(p.rss_bytes, 55 * 4096);
    }
    (void)state;
}

static void what_is_cut_off_is_refused(void **state)
{
    static const char *const cases[] = {"", "42 (sh", "42 (sh) S 7 1 1", "nothing"};
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_proc p;
        assert_int_equal(hd_proc_parse(&p, hd_str(cases[i]), 100, 4096), HD_EPROTO);
    }
    (void)state;
}

static void we_can_be_read(void **state)
{
    struct hd_proc p;
    char boot[37];
    assert_int_equal(hd_proc_read(&p, getpid()), 0);
    assert_int_equal(p.parent, getppid());
    assert_true(p.start_ticks > 0 && p.rss_bytes > 0);
    hd_boot_id(boot);
    assert_int_equal(strlen(boot), 36);
    (void)state;
}

static void memory_of_children_counts(void **state)
{
    enum { BIG = 32 << 20 };
    int up[2];
    char c = 0;
    assert_int_equal(pipe(up), 0);
    uint64_t before = hd_proc_tree_bytes(getpid());
    assert_true(before > 0);
    pid_t pid = fork();
    if (pid == 0) {
        char *big = malloc(BIG);
        memset(big, 1, BIG);
        if (write(up[1], big, 1) == 1)
            pause();
        _exit(0);
    }
    assert_int_equal(read(up[0], &c, 1), 1);
    assert_true(hd_proc_tree_bytes(getpid()) >= before + BIG);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(hd_proc_tree_bytes(pid), 0);
    close(up[0]);
    close(up[1]);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_found_behind_any_name),
        cmocka_unit_test(what_is_cut_off_is_refused),
        cmocka_unit_test(we_can_be_read),
        cmocka_unit_test(memory_of_children_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
