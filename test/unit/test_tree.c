#include "shim/tree.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void a_stat_file_is_read(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        pid_t pid, parent;
    } table[] = {
        {"12 (sh) S 7 12 12 0", true, 12, 7},
        {"12 (a) R 1 (b)) S 9 12", true, 12, 9},
        {"12 (sh) Z 7 12", false, 0, 0},
        {"12 (sh", false, 0, 0},
        {"", false, 0, 0},
        {"x (sh) S 7", false, 0, 0},
        {"12 (sh) S", false, 0, 0},
    };
    for (size_t i = 0; i < HD_COUNT(table); i++) {
        struct hd_tree_process p = {0};
        if (hd_tree_stat(&p, hd_str(table[i].text)) != table[i].ok)
            fail_msg("%s", table[i].text);
        if (!table[i].ok)
            continue;
        assert_int_equal(p.pid, table[i].pid);
        assert_int_equal(p.parent, table[i].parent);
    }
    (void)state;
}

static void below_is_every_generation(void **state)
{
    struct hd_tree_process table[] = {
        {.pid = 40, .parent = 30}, {.pid = 1, .parent = 0},   {.pid = 30, .parent = 10},
        {.pid = 10, .parent = 1},  {.pid = 11, .parent = 1},  {.pid = 31, .parent = 11},
        {.pid = 60, .parent = 61}, {.pid = 61, .parent = 60}, /* as a table may be in between */
        {.pid = 70, .parent = 999}};
    assert_int_equal(hd_tree_below(table, HD_COUNT(table), 10), 2);
    for (size_t i = 0; i < HD_COUNT(table); i++)
        assert_int_equal(table[i].below, table[i].pid == 30 || table[i].pid == 40);
    assert_int_equal(hd_tree_below(table, HD_COUNT(table), 1), 5);
    (void)state;
}

static pid_t start(const char *script)
{
    char *argv[] = {"sh", "-c", (char *)script, NULL}, *env[] = {"PATH=/usr/bin:/bin", NULL};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct hd_tree_program p = {
        .path = "/bin/sh", .argv = argv, .env = env, .out = null, .err = null, .keep_fd = -1};
    struct hd_error err;
    pid_t pid = 0;
    assert_int_equal(hd_tree_start(&pid, &p, &err), 0);
    close(null);
    return pid;
}

static void what_cannot_be_run_says_why(void **state)
{
    char *argv[] = {"x", NULL}, *env[] = {NULL};
    static const struct {
        const char *path;
        int sys;
    } table[] = {{"/no/such/file", ENOENT}, {"/etc/passwd", EACCES}, {"/", EACCES}};
    for (size_t i = 0; i < HD_COUNT(table); i++) {
        struct hd_tree_program p = {.path = table[i].path,
                                    .argv = argv,
                                    .env = env,
                                    .out = STDOUT_FILENO,
                                    .err = STDERR_FILENO,
                                    .keep_fd = -1};
        struct hd_error err = {0};
        pid_t pid = 0;
        assert_true(hd_tree_start(&pid, &p, &err) < 0);
        assert_int_equal(err.sys, table[i].sys);
        assert_int_equal(pid, 0);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left of it */
    }
    (void)state;
}

static void a_tree_is_killed_with_all_that_ran_away(void **state)
{
    hd_tree_adopt();
    start("setsid sleep 1000 & (sleep 1000 & exec sleep 1000) & wait");
    start("sleep 1000 & exit 0");
    while (hd_tree_signal(getpid(), SIGKILL) > 0 || waitpid(-1, NULL, 0) > 0)
        ;
    assert_int_equal(errno, ECHILD);
    assert_int_equal(hd_tree_signal(getpid(), 0), 0);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stat_file_is_read),
        cmocka_unit_test(below_is_every_generation),
        cmocka_unit_test(what_cannot_be_run_says_why),
        cmocka_unit_test(a_tree_is_killed_with_all_that_ran_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
