/* test_claims.c - a process that dies is noticed by the next one; here it just opens again. */
#include "store/claims.h"
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/claims-XXXXXX", path[64];

static struct hd_claims *opened(void)
{
    struct hd_claims *c = NULL;
    struct hd_error err;
    assert_int_equal(hd_claims_open(&c, path, &err), 0);
    return c;
}

static int begin(void **state)
{
    (void)state;
    memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/claims", folder);
    return 0;
}

static int end(void **state)
{
    (void)state;
    unlink(path);
    rmdir(folder);
    return 0;
}

/* The process is gone, and the next one opens the file. */
static struct hd_claims *died(struct hd_claims *c)
{
    struct hd_claims *next = opened();
    hd_claims_close(c);
    return next;
}

static void what_came_back_was_not_lost(void **state)
{
    struct hd_claims *c = opened();
    assert_int_equal(hd_claims_begin(c, 7), 0);
    assert_int_equal(hd_claims_begin(c, 8), 0);
    hd_claims_end(c, 7);
    hd_claims_end(c, 99);
    c = died(c);
    assert_int_equal(hd_claims_lost(c, 7), 0);
    assert_int_equal(hd_claims_lost(c, 8), 1);
    assert_int_equal(hd_claims_begin(c, 7), 0);
    assert_int_equal(hd_claims_begin(c, 8), 1);
    hd_claims_close(c); /* in order */
    c = opened();
    assert_int_equal(hd_claims_lost(c, 7), 0);
    assert_int_equal(hd_claims_lost(c, 8), 1);
    hd_claims_close(c);
    (void)state;
}

static void each_death_counts_once_for_what_was_under_way(void **state)
{
    struct hd_claims *c = opened();
    hd_claims_begin(c, 5);
    for (uint32_t deaths = 1; deaths <= 3; deaths++) {
        c = died(c);
        assert_int_equal(hd_claims_begin(c, 5), deaths);
    }
    c = died(died(c)); /* nothing was under way the second time */
    assert_int_equal(hd_claims_lost(c, 5), 4);
    hd_claims_end(c, 5);
    assert_int_equal(hd_claims_begin(c, 5), 0);
    hd_claims_close(c);
    (void)state;
}

static void it_is_there_after_kill_9(void **state)
{
    pid_t child = fork();
    if (child == 0) {
        hd_claims_begin(opened(), 3);
        raise(SIGKILL);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    struct hd_claims *c = opened();
    assert_int_equal(hd_claims_lost(c, 3), 1);
    hd_claims_close(c);
    (void)state;
}

static bool is_even(void *arg, uint64_t seq)
{
    (void)arg;
    return seq % 2 == 0;
}

static void what_is_gone_is_forgotten_and_room_is_limited(void **state)
{
    struct hd_claims *c = opened();
    for (uint64_t seq = 1; seq <= HD_CLAIMS_MAX + 10; seq++)
        assert_int_equal(hd_claims_begin(c, seq), 0);
    c = died(c);
    assert_int_equal(hd_claims_lost(c, HD_CLAIMS_MAX), 1);
    assert_int_equal(hd_claims_lost(c, HD_CLAIMS_MAX + 1), 0); /* there was no room */
    hd_claims_sweep(c, is_even, NULL);
    assert_int_equal(hd_claims_lost(c, 1), 0);
    assert_int_equal(hd_claims_lost(c, 2), 1);
    for (uint64_t seq = 1; seq <= HD_CLAIMS_MAX; seq += 2)
        hd_claims_begin(c, seq + 100000);
    c = died(c);
    assert_int_equal(hd_claims_lost(c, 100001), 1);
    hd_claims_close(c);
    (void)state;
}

static void another_file_is_begun_anew_and_none_is_an_error(void **state)
{
    struct hd_claims *c = NULL;
    struct hd_error err;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, "something else, and more of it", 30), 30);
    close(fd);
    c = opened();
    assert_int_equal(hd_claims_begin(c, 1), 0);
    hd_claims_close(c);
    assert_true(hd_claims_open(&c, folder, &err) < 0);
    assert_non_null(strstr(err.msg, folder));
    hd_claims_close(NULL);
    assert_int_equal(hd_claims_begin(NULL, 1), 0);
    hd_claims_end(NULL, 1);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_came_back_was_not_lost, begin, end),
        cmocka_unit_test_setup_teardown(each_death_counts_once_for_what_was_under_way, begin, end),
        cmocka_unit_test_setup_teardown(it_is_there_after_kill_9, begin, end),
        cmocka_unit_test_setup_teardown(what_is_gone_is_forgotten_and_room_is_limited, begin, end),
        cmocka_unit_test_setup_teardown(another_file_is_begun_anew_and_none_is_an_error, begin,
                                        end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
