/* test_rundir.c - one node at a time, and nothing left of a dead one. */
#include "pool/process/rundir.h"

#include "pool/process/procfs.h"
#include "test.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct hd_spec_list none = {0};

struct place {
    char dir[64], run[96];
};

static int make_place(void **state)
{
    struct place *p = hd_new(struct place);
    snprintf(p->dir, sizeof(p->dir), "/tmp/heddle-test-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->run, sizeof(p->run), "%s/a/run", p->dir);
    *state = p;
    return 0;
}

static int remove_place(void **state)
{
    struct place *p = *state;
    hd_remove_tree(p->dir);
    free(p);
    return 0;
}

static bool there(const char *path)
{
    return access(path, F_OK) == 0;
}

static unsigned mode(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void the_folder_is_private_and_taken_once(void **state)
{
    struct place *p = *state;
    struct hd_rundir a, b;
    struct hd_error err;
    assert_int_equal(hd_rundir_open(&a, p->run, false, &err), 0);
    assert_int_equal(mode(p->run), 0700);
    assert_int_equal(hd_rundir_open(&b, p->run, false, &err), HD_EBUSY);
    assert_non_null(strstr(err.msg, "is already served by pid"));
    hd_rundir_close(&a);
    assert_int_equal(hd_rundir_open(&b, p->run, true, &err), 0);
    assert_int_equal(mode(p->run), 0711);
    hd_rundir_close(&b);
    assert_int_equal(hd_rundir_open(&b, "run", false, &err), HD_EINVAL);
}

static void a_link_or_somebody_elses_folder_is_refused(void **state)
{
    struct place *p = *state;
    struct hd_rundir d;
    struct hd_error err;
    char link[128];
    snprintf(link, sizeof(link), "%s/link", p->dir);
    assert_int_equal(symlink("/tmp", link), 0);
    assert_int_equal(hd_rundir_open(&d, link, false, &err), HD_EDENIED);
    assert_non_null(strstr(err.msg, "must be a folder that belongs to this user"));
}

static void a_long_path_gets_a_short_one_for_sockets(void **state)
{
    struct place *p = *state;
    struct hd_rundir d, again;
    hd_auto_free char *path = hd_printf("%s/%0*d", p->dir, 120, 0);
    hd_auto_free char *folder = NULL;
    uint32_t serial;
    assert_int_equal(hd_rundir_open(&d, path, false, NULL), 0);
    assert_int_equal(hd_rundir_add(&d, &folder, &serial, NULL), 0);
    assert_true(strlen(folder) + strlen("/sock") <= HD_SOCKET_PATH_MAX);
    assert_int_equal(mode(folder), 0700);
    assert_int_equal(mode(d.base), 0700);
    hd_auto_free char *base = hd_strdup(d.base);
    hd_rundir_close(&d);
    assert_int_equal(hd_rundir_open(&again, path, false, NULL), 0);
    assert_string_equal(again.base, base); /* so that leftovers are found */
    assert_int_equal(hd_rundir_reap(&again, &none, NULL, NULL), 0);
    assert_false(there(folder));
    hd_rundir_close(&again);
    assert_false(there(base));
}

static pid_t start_sleeper(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        close_range(3, ~0U, 0); /* the lock is the node's, as exec sees to otherwise */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setsid();
        for (;;)
            pause();
    }
    assert_true(pid > 0);
    while (getsid(pid) != pid)
        sched_yield();
    return pid;
}

static void what_a_dead_node_left_is_ended_and_removed(void **state)
{
    struct place *p = *state;
    struct hd_rundir d;
    uint32_t serial;
    hd_auto_free char *folder = NULL;
    assert_int_equal(hd_rundir_open(&d, p->run, false, NULL), 0);
    assert_int_equal(hd_rundir_add(&d, &folder, &serial, NULL), 0);
    hd_auto_free char *file = hd_printf("%s/x", folder);
    assert_int_equal(mkdir(file, 0700), 0);
    pid_t pid = start_sleeper();
    assert_int_equal(hd_rundir_record(&d, serial, pid, &none, NULL), 0);
    hd_rundir_close(&d);

    assert_int_equal(hd_rundir_open(&d, p->run, false, NULL), 0);
    assert_int_equal(hd_rundir_reap(&d, &none, NULL, NULL), 1);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_false(there(folder));
    assert_int_equal(hd_rundir_reap(&d, &none, NULL, NULL), 0);
    hd_rundir_close(&d);
}

/* A pid that was given to another process since, a record of another boot, and mere noise. */
static void a_process_that_is_not_the_one_recorded_is_left_alone(void **state)
{
    struct place *p = *state;
    struct hd_rundir d;
    char boot[37];
    hd_boot_id(boot);
    assert_int_equal(hd_rundir_open(&d, p->run, false, NULL), 0);
    pid_t pid = start_sleeper();
    struct hd_proc proc;
    assert_int_equal(hd_proc_read(&proc, pid), 0);
    for (int i = 0; i < 4; i++) {
        hd_auto_free char *path = hd_printf("%s/%d.pid", d.base, i + 1);
        FILE *f = fopen(path, "we");
        assert_non_null(f);
        if (i == 0)
            fprintf(f, "%s %d %llu\n", boot, (int)pid, (unsigned long long)proc.start_ticks - 1);
        else if (i == 1)
            fprintf(f, "00000000-0000-0000-0000-000000000000 %d %llu\n", (int)pid,
                    (unsigned long long)proc.start_ticks);
        else if (i == 2)
            fprintf(f, "%s -1 0\n/etc\n", boot);
        else
            fprintf(f, "\n\n");
        fclose(f);
    }
    assert_int_equal(hd_rundir_reap(&d, &none, NULL, NULL), 4);
    assert_int_equal(kill(pid, 0), 0);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    hd_rundir_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_folder_is_private_and_taken_once, make_place,
                                        remove_place),
        cmocka_unit_test_setup_teardown(a_link_or_somebody_elses_folder_is_refused, make_place,
                                        remove_place),
        cmocka_unit_test_setup_teardown(a_long_path_gets_a_short_one_for_sockets, make_place,
                                        remove_place),
        cmocka_unit_test_setup_teardown(what_a_dead_node_left_is_ended_and_removed, make_place,
                                        remove_place),
        cmocka_unit_test_setup_teardown(a_process_that_is_not_the_one_recorded_is_left_alone,
                                        make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
