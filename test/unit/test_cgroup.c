/* test_cgroup.c - where our own group lies, on every kind of machine. */
#include "pool/process/cgroup.h"
#include "test.h"
#include "tree.h"

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

/* One folder as version 2 has it. */
static void version_2(struct tree *t, struct hd_cgroup *c)
{
    static const char *const files[] = {"memory.max",  "memory.swap.max", "memory.oom.group",
                                        "memory.peak", "memory.stat",     "memory.events",
                                        "pids.max",    "cpu.weight",      "cpu.stat"};
    tree_make(t);
    for (size_t i = 0; i < HD_COUNT(files); i++)
        tree_file(t, files[i], "");
    *c = (struct hd_cgroup){
        .memory = hd_strdup(t->path), .pids = hd_strdup(t->path), .cpu = hd_strdup(t->path)};
}

static void version_2_done(struct tree *t, struct hd_cgroup *c)
{
    hd_cgroup_done(c);
    tree_done(t);
}

static void assert_file(const struct tree *t, const char *name, const char *wanted)
{
    char text[64] = "";
    FILE *f = fopen(tree_path(t, name), "re");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';
    assert_string_equal(text, wanted);
}

static void limits_of_version_2_are_written(void **state)
{
    struct tree t;
    struct hd_cgroup c;
    version_2(&t, &c);
    assert_int_equal(hd_cgroup_limit(&c, 128, 1024, NULL), 0);
    assert_file(&t, "memory.max", "134217728");
    assert_file(&t, "memory.swap.max", "0");
    assert_file(&t, "memory.oom.group", "1");
    assert_file(&t, "pids.max", "1024");
    assert_int_equal(hd_cgroup_share(&c, 1769, NULL), 0);
    assert_file(&t, "cpu.weight", "100");
    version_2_done(&t, &c);
    version_2(&t, &c);
    assert_int_equal(hd_cgroup_limit(&c, 0, 0, NULL), 0);
    assert_file(&t, "memory.max", "max");
    assert_file(&t, "pids.max", "max");
    assert_int_equal(hd_cgroup_share(&c, 10240, NULL), 0);
    assert_file(&t, "cpu.weight", "578");
    version_2_done(&t, &c);
    (void)state;
}

static void use_is_read_from_version_2(void **state)
{
    struct tree t;
    struct hd_cgroup c;
    version_2(&t, &c);
    tree_file(&t, "memory.peak", "7340032\n");
    tree_file(&t, "memory.stat", "anon 5242880\nfile 4096\n");
    tree_file(&t, "memory.events", "low 0\nmax 3\noom 1\noom_kill 2\n");
    tree_file(&t, "cpu.stat", "usage_usec 1234\nuser_usec 1000\n");
    assert_int_equal(hd_cgroup_peak(&c), 7340032);
    assert_int_equal(hd_cgroup_memory(&c), 5242880);
    assert_int_equal(hd_cgroup_oom_kills(&c), 2);
    assert_int_equal(hd_cgroup_cpu_us(&c), 1234);
    version_2_done(&t, &c);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_group_is_found),
        cmocka_unit_test(folders_that_serve_several_controllers_are_entered_once),
        cmocka_unit_test(all_functions_weigh_as_much_as_a_busy_process_on_each_core),
        cmocka_unit_test(limits_of_version_2_are_written),
        cmocka_unit_test(use_is_read_from_version_2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
