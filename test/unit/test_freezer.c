/* test_freezer.c - processes that count stand still and go on: in folders that look like those of
 * the kernel, and in the kernel's own, of both versions, where they can be had. */
#include "pool/process/freezer.h"
#include "test.h"
#include "tree.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 };

/* --- folders that look like it --- */

static void assert_file(const struct tree *t, const char *name, const char *wanted)
{
    hd_auto_free char *text = hd_cgroup_get(t->path, name);
    assert_non_null(text);
    assert_string_equal(text, wanted);
}

static void version_2_is_frozen_where_it_is(void **state)
{
    struct tree t;
    tree_make(&t);
    tree_file(&t, "cgroup.freeze", "0");
    tree_file(&t, "cgroup.procs", "4242\n");
    tree_file(&t, "cgroup.events", "populated 1\nfrozen 1\n");
    const struct hd_cgroup c = {.pids = t.path, .freezer = t.path, .freezer_version = 2};
    assert_int_equal(hd_freezer_freeze(&c, NULL), 0);
    assert_file(&t, "cgroup.freeze", "1");
    assert_file(&t, "cgroup.procs", "4242\n"); /* nobody is moved */
    assert_int_equal(hd_freezer_thaw(&c, NULL), 0);
    assert_file(&t, "cgroup.freeze", "0");
    tree_done(&t);
    (void)state;
}

static void version_1_is_frozen_beside_its_other_groups(void **state)
{
    struct tree t;
    tree_make(&t);
    tree_folder(&t, "pids");
    tree_folder(&t, "freezer");
    tree_file(&t, "pids/cgroup.procs", "4242\n");
    tree_file(&t, "freezer/cgroup.procs", "");
    tree_file(&t, "freezer/freezer.state", "THAWED");
    hd_auto_free char *pids = hd_strdup(tree_path(&t, "pids"));
    hd_auto_free char *freezer = hd_strdup(tree_path(&t, "freezer"));
    const struct hd_cgroup c = {.pids = pids, .freezer = freezer, .freezer_version = 1};
    assert_int_equal(hd_freezer_freeze(&c, NULL), 0);
    assert_file(&t, "freezer/freezer.state", "FROZEN");
    assert_file(&t, "freezer/cgroup.procs", "4242");
    assert_int_equal(hd_freezer_thaw(&c, NULL), 0);
    assert_file(&t, "freezer/freezer.state", "THAWED");
    tree_done(&t);
    (void)state;
}

static void what_does_not_come_to_rest_goes_on(void **state)
{
    struct tree t;
    struct hd_error err;
    tree_make(&t);
    tree_file(&t, "cgroup.freeze", "0");
    tree_file(&t, "cgroup.events", "populated 1\nfrozen 0\n");
    const struct hd_cgroup c = {.pids = t.path, .freezer = t.path, .freezer_version = 2};
    assert_int_equal(hd_freezer_freeze(&c, &err), HD_ETIMEOUT);
    assert_file(&t, "cgroup.freeze", "0");
    tree_done(&t);
    (void)state;
}

static void where_there_is_no_freezer_it_is_said(void **state)
{
    struct hd_error err;
    const struct hd_cgroup none = {.pids = NULL};
    assert_int_equal(hd_freezer_freeze(&none, &err), HD_EDENIED);
    assert_int_equal(hd_freezer_thaw(&none, &err), 0);
    struct hd_cgroups g = {.version = 0};
    hd_freezer_open(&g, hd_str(""), hd_str(""), "heddle-x");
    assert_null(hd_freezer_name(&g));
    assert_true(g.no_freezer[0] != '\0');
    g = (struct hd_cgroups){.version = 1, .pids = "/nowhere"};
    hd_freezer_open(&g, hd_str(""), hd_str(""), "heddle-x");
    assert_null(hd_freezer_name(&g));
    assert_string_equal(g.no_freezer, "no cgroup freezer is mounted");
    (void)state;
}

static void a_group_that_was_never_made_has_nothing_to_thaw(void **state)
{
    struct tree t;
    tree_make(&t);
    hd_auto_free char *dir = hd_strdup(tree_path(&t, "i-1"));
    const struct hd_cgroup c = {.freezer = dir, .freezer_version = 1};
    assert_int_equal(hd_freezer_thaw(&c, NULL), 0);
    hd_freezer_end(dir);
    tree_done(&t);
    (void)state;
}

/* --- the kernel's --- */

/* A family: each process counts, and is the child of the one before. */
struct family {
    _Atomic uint64_t counts[4];
};

static void count(struct family *f)
{
    unsigned n = 0;
    while (n + 1 < HD_COUNT(f->counts) && fork() == 0) {
        setsid(); /* groups of processes do not matter */
        n++;
    }
    for (;;) {
        atomic_fetch_add(&f->counts[n], 1);
        poll(NULL, 0, 1);
    }
}

static bool all_moved(struct family *f, const uint64_t since[4])
{
    for (unsigned n = 0; n < HD_COUNT(f->counts); n++)
        if (atomic_load(&f->counts[n]) <= since[n])
            return false;
    return true;
}

static void note(struct family *f, uint64_t now[4])
{
    for (unsigned n = 0; n < HD_COUNT(f->counts); n++)
        now[n] = atomic_load(&f->counts[n]);
}

static void wait_until_all_moved(struct family *f, const uint64_t since[4])
{
    for (unsigned ms = 0; !all_moved(f, since); ms++) {
        assert_true(ms < PATIENCE_MS);
        poll(NULL, 0, 1);
    }
}

static pid_t start_family(struct family **out, const struct hd_cgroup *c)
{
    const uint64_t nothing[4] = {0};
    struct family *f =
        mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(f != MAP_FAILED);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct hd_spec_list dirs = {0};
        hd_cgroup_dirs(c, &dirs);
        for (size_t i = 0; i < dirs.n; i++)
            if (hd_cgroup_put(dirs.v[i], "cgroup.procs", "0", NULL) < 0)
                _exit(1);
        count(f);
    }
    wait_until_all_moved(f, nothing);
    *out = f;
    return pid;
}

static void end_family(struct family *f, struct hd_cgroup *c, pid_t pid)
{
    hd_cgroup_kill(c);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    for (unsigned ms = 0; !hd_cgroup_remove(c); ms++) {
        assert_true(ms < PATIENCE_MS);
        poll(NULL, 0, 1);
    }
    munmap(f, sizeof(*f));
}

/* @return the groups of the machine, with a freezer of that version; else the test is skipped. */
static void open_groups(struct hd_cgroups *g, struct hd_cgroup *c, int version)
{
    char name[64];
    snprintf(name, sizeof(name), "heddle-test-freezer-%d-%d", version, (int)getpid());
    hd_cgroups_open(g, name);
    if (version == 1 && g->freezer_version == 2 && g->version == 1) { /* it would not be taken */
        rmdir(g->freezer);
        free(g->freezer);
        g->freezer = hd_printf("/sys/fs/cgroup/freezer/%s", name);
        g->freezer_version = mkdir(g->freezer, 0755) == 0 ? 1 : 0;
    }
    if (g->freezer_version != version || hd_cgroup_make(c, g, 1, NULL) < 0) {
        hd_cgroups_close(g);
        print_message("skipped: no freezer of version %d can be had here\n", version);
        skip();
    }
}

static void processes_stand_still_and_go_on(int version)
{
    struct hd_cgroups g;
    struct hd_cgroup c;
    struct family *f;
    uint64_t before[4], after[4];
    struct hd_error err = {0};
    open_groups(&g, &c, version);
    pid_t pid = start_family(&f, &c);
    for (unsigned round = 0; round < 3; round++) {
        if (hd_freezer_freeze(&c, &err) < 0)
            fail_msg("%s", err.msg);
        note(f, before);
        poll(NULL, 0, 50); /* what runs would count to some 40 */
        note(f, after);
        for (unsigned n = 0; n < HD_COUNT(before); n++)
            assert_int_equal(after[n], before[n]);
        assert_int_equal(hd_freezer_thaw(&c, NULL), 0);
        wait_until_all_moved(f, after);
    }
    end_family(f, &c, pid);
    hd_cgroup_done(&c);
    hd_cgroups_close(&g);
}

static void processes_of_version_1_stand_still_and_go_on(void **state)
{
    processes_stand_still_and_go_on(1);
    (void)state;
}

static void processes_of_version_2_stand_still_and_go_on(void **state)
{
    processes_stand_still_and_go_on(2);
    (void)state;
}

static void frozen_processes_can_be_killed(int version)
{
    struct hd_cgroups g;
    struct hd_cgroup c;
    struct family *f;
    open_groups(&g, &c, version);
    pid_t pid = start_family(&f, &c);
    assert_int_equal(hd_freezer_freeze(&c, NULL), 0);
    end_family(f, &c, pid);
    assert_int_not_equal(access(c.freezer, F_OK), 0);
    hd_cgroup_done(&c);
    hd_cgroups_close(&g);
}

static void frozen_processes_of_version_1_can_be_killed(void **state)
{
    frozen_processes_can_be_killed(1);
    (void)state;
}

static void frozen_processes_of_version_2_can_be_killed(void **state)
{
    frozen_processes_can_be_killed(2);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_2_is_frozen_where_it_is),
        cmocka_unit_test(version_1_is_frozen_beside_its_other_groups),
        cmocka_unit_test(what_does_not_come_to_rest_goes_on),
        cmocka_unit_test(where_there_is_no_freezer_it_is_said),
        cmocka_unit_test(a_group_that_was_never_made_has_nothing_to_thaw),
        cmocka_unit_test(processes_of_version_1_stand_still_and_go_on),
        cmocka_unit_test(processes_of_version_2_stand_still_and_go_on),
        cmocka_unit_test(frozen_processes_of_version_1_can_be_killed),
        cmocka_unit_test(frozen_processes_of_version_2_can_be_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
