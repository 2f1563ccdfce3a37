/* test_cgroup.c - where our own group lies, on every kind of machine. */
#include "pool/process/cgroup.h"
#include "test.h"

#include <stdio.h>
#include <unistd.h>

static const char v1[] =
    "25 30 0:23 / /sys/fs/cgroup ro shared:4 - tmpfs tmpfs ro,mode=755\n"
    "31 25 0:27 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
    "32 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "33 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
static const char v1_groups[] = "9:memory:/system.slice/heddle.service\n"
                                "4:cpu,cpuacct:/\n"
                                "0::/system.slice/heddle.service\n";
static const char v2[] = "30 1 0:26 / / rw - ext4 /dev/vda rw\n"
                         "31 30 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
static const char in_container[] =
    "31 30 0:27 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";

static void our_group_is_found(void **state)
{
    static const struct {
        const char *mounts, *groups, *controller, *dir;
    } cases[] = {
        {v1, v1_groups, "memory", "/sys/fs/cgroup/memory/system.slice/heddle.service"},
        {v1, v1_groups, "cpuacct", "/sys/fs/cgroup/cpu,cpuacct"},
        {v1, v1_groups, "cpu", "/sys/fs/cgroup/cpu,cpuacct"},
        {v1, v1_groups, "", "/sys/fs/cgroup/unified/system.slice/heddle.service"},
        {v1, v1_groups, "pids", NULL},
        {v2, "0::/user.slice/a b\n", "", "/sys/fs/cgroup/user.slice/a b"},
        {v2, "0::/\n", "", "/sys/fs/cgroup"},
        {v2, "0::/\n", "memory", NULL},
        {in_container, "9:memory:/docker/abc\n", "memory", "/sys/fs/cgroup/memory"},
        {in_container, "9:memory:/docker/abc/x\n", "memory", "/sys/fs/cgroup/memory/x"},
        {in_container, "9:memory:/elsewhere\n", "memory", NULL},
        {"", "", "memory", NULL},
        {"31 30 0:27\n", "9:memory:/\n", "memory", NULL},
        {v1, "9\n:\n", "memory", NULL},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        hd_auto_free char *dir =
            hd_cgroup_find(hd_str(cases[i].mounts), hd_str(cases[i].groups), cases[i].controller);
        if (cases[i].dir == NULL)
            assert_null(dir);
        else
            assert_string_equal(dir, cases[i].dir);
    }
    (void)state;
}

static void folders_that_serve_several_controllers_are_entered_once(void **state)
{
    struct hd_cgroup c = {.memory = "/a", .pids = "/a", .cpu = "/b", .cpuacct = NULL};
    struct hd_spec_list l = {0};
    hd_cgroup_dirs(&c, &l);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.v[0], "/a");
    assert_string_equal(l.v[1], "/b");
    hd_spec_list_done(&l);
    (void)state;
}

static void all_functions_weigh_as_much_as_a_busy_process_on_each_core(void **state)
{
    struct hd_cgroups g;
    char name[64], text[64] = "", wanted[64];
    snprintf(name, sizeof(name), "heddle-test-%d", (int)getpid());
    hd_cgroups_open(&g, name);
    if (g.version != 1 || g.cpu == NULL) {
        print_message("skipped: no cpu cgroup of version 1 can be made here\n");
        hd_cgroups_close(&g);
        skip();
    }
    hd_auto_free char *path = hd_printf("%s/cpu.shares", g.cpu);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof(text), f));
    fclose(f);
    hd_cgroups_close(&g);
    snprintf(wanted, sizeof(wanted), "%ld\n", sysconf(_SC_NPROCESSORS_ONLN) * 1024);
    assert_string_equal(text, wanted);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_group_is_found),
        cmocka_unit_test(folders_that_serve_several_controllers_are_entered_once),
        cmocka_unit_test(all_functions_weigh_as_much_as_a_busy_process_on_each_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
