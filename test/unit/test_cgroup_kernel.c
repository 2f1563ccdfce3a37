/* test_cgroup_kernel.c - version 2 as the kernel has it, where its controllers can be had: limits
 * hold, use is counted, groups end as a whole. */
#include "pool/process/cgroup.h"
#include "test.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000, LIMIT_MB = 64 };

struct groups {
    struct hd_cgroups all;
    struct hd_cgroup one;
};

static char why_not[256]; /* set where there is nothing to test */

static int setup(void **state)
{
    static struct groups g;
    char name[64];
    snprintf(name, sizeof(name), "heddle-test-kernel-%d", (int)getpid());
    hd_cgroups_open(&g.all, name);
    if (g.all.version != 2 || g.all.memory == NULL || g.all.pids == NULL || g.all.cpu == NULL) {
        snprintf(why_not, sizeof(why_not), "%s",
                 g.all.version == 2 ? g.all.why_not : "another version has them");
        hd_cgroups_close(&g.all);
        *state = NULL;
        return 0;
    }
    *state = &g;
    return 0;
}

static int teardown(void **state)
{
    struct groups *g = *state;
    if (g != NULL)
        hd_cgroups_close(&g->all);
    return 0;
}

static struct groups *begin(void **state)
{
    struct groups *g = *state;
    if (g == NULL) {
        print_message("skipped: not all controllers of cgroup version 2 can be had here: %s\n",
                      why_not);
        skip();
    }
    assert_int_equal(hd_cgroup_make(&g->one, &g->all, 1, NULL), 0);
    return g;
}

static void end(struct groups *g)
{
    for (unsigned ms = 0; !hd_cgroup_remove(&g->one); ms++) {
        assert_true(ms < PATIENCE_MS);
        poll(NULL, 0, 1);
    }
    hd_cgroup_done(&g->one);
}

/* Run @p work in the group. */
static pid_t start(const struct groups *g, void (*work)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (hd_cgroup_put(g->one.pids, "cgroup.procs", "0", NULL) < 0)
            _exit(99);
        work();
        _exit(0);
    }
    return pid;
}

static int wait_end(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void eat(size_t mb)
{
    char *bytes = mmap(NULL, mb << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t at = 0; bytes != MAP_FAILED && at < mb << 20; at += 4096)
        bytes[at] = 1;
}

static void eat_little(void)
{
    eat(16);
    pause();
}

static void eat_too_much(void)
{
    eat(4 * (size_t)LIMIT_MB);
}

static void memory_is_counted_and_limited(void **state)
{
    struct groups *g = begin(state);
    assert_int_equal(hd_cgroup_limit(&g->one, LIMIT_MB, 32, NULL), 0);
    pid_t pid = start(g, eat_little);
    for (unsigned ms = 0; hd_cgroup_memory(&g->one) < 16u << 20; ms++) {
        assert_true(ms < PATIENCE_MS);
        poll(NULL, 0, 1);
    }
    assert_true(hd_cgroup_memory(&g->one) <= (uint64_t)LIMIT_MB << 20);
    hd_cgroup_kill(&g->one);
    assert_true(WIFSIGNALED(wait_end(pid)));
    assert_int_equal(hd_cgroup_oom_kills(&g->one), 0);

    int status = wait_end(start(g, eat_too_much));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(hd_cgroup_oom_kills(&g->one) > 0);
    uint64_t peak = hd_cgroup_peak(&g->one);
    hd_auto_free char *peak_file = hd_printf("%s/memory.peak", g->one.memory);
    if (access(peak_file, F_OK) == 0) /* Linux 5.19 */
        assert_true(peak >= 16u << 20 && peak <= (uint64_t)LIMIT_MB << 20);
    end(g);
}

static void fork_many(void)
{
    for (unsigned n = 0; n < 100; n++) {
        pid_t pid = fork();
        if (pid == 0)
            pause();
        if (pid < 0)
            _exit(errno == EAGAIN ? (int)n : 98);
    }
}

static void processes_are_limited_and_end_together(void **state)
{
    struct groups *g = begin(state);
    assert_int_equal(hd_cgroup_limit(&g->one, 0, 8, NULL), 0);
    int status = wait_end(start(g, fork_many));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7); /* and itself */
    hd_auto_free char *left = hd_cgroup_get(g->one.pids, "cgroup.procs");
    assert_true(left != NULL && left[0] != '\0');
    assert_false(hd_cgroup_remove(&g->one));
    hd_cgroup_kill(&g->one);
    end(g);
}

static void spin(void)
{
    for (;;)
        ;
}

static void cpu_time_is_counted_and_shared(void **state)
{
    struct groups *g = begin(state);
    assert_int_equal(hd_cgroup_share(&g->one, 3538, NULL), 0);
    hd_auto_free char *weight = hd_cgroup_get(g->one.cpu, "cpu.weight");
    assert_string_equal(weight, "200\n");
    pid_t pid = start(g, spin);
    for (unsigned ms = 0; hd_cgroup_cpu_us(&g->one) < 20000; ms++) {
        assert_true(ms < PATIENCE_MS);
        poll(NULL, 0, 1);
    }
    hd_cgroup_kill(&g->one);
    assert_true(WIFSIGNALED(wait_end(pid)));
    end(g);
}

/* A service's group holds nobody but the node, which has to leave it for a child. */
static void node_of_its_own(const char *parent, bool alone)
{
    hd_auto_free char *own = hd_printf("%s/service", parent);
    struct hd_cgroups g;
    pid_t other = -1;
    if (mkdir(own, 0755) < 0 || hd_cgroup_put(own, "cgroup.procs", "0", NULL) < 0)
        _exit(97);
    if (!alone && (other = fork()) == 0)
        pause();
    hd_cgroups_open(&g, "heddle-x");
    bool all = g.version == 2 && g.memory != NULL && g.pids != NULL && g.cpu != NULL;
    bool none = g.memory == NULL && g.pids == NULL && g.cpu == NULL;
    bool told = strstr(g.why_not, "Delegate=yes") != NULL;
    hd_cgroups_close(&g);
    if (other > 0) {
        kill(other, SIGKILL);
        waitpid(other, NULL, 0);
    }
    _exit(alone ? (all ? 0 : 1) : (none && told ? 0 : 2));
}

/* What has ended may be counted for a moment. */
static void remove_soon(const char *dir)
{
    for (unsigned ms = 0; rmdir(dir) < 0 && errno != ENOENT; ms++) {
        if (ms >= PATIENCE_MS)
            fail_msg("%s: %s", dir, strerror(errno));
        poll(NULL, 0, 1);
    }
}

static void a_node_that_is_alone_in_its_group_steps_aside(void **state)
{
    for (unsigned alone = 0; alone < 2; alone++) {
        struct groups *g = begin(state);
        const char *dir = g->one.pids;
        hd_auto_free char *own = hd_printf("%s/service", dir);
        hd_auto_free char *leaf = hd_printf("%s/heddle-node", own);
        assert_int_equal(hd_cgroup_put(dir, "cgroup.subtree_control", "+memory +pids +cpu", NULL),
                         0);
        pid_t pid = fork();
        if (pid == 0)
            node_of_its_own(dir, alone == 1);
        int status = wait_end(pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_int_equal(access(leaf, F_OK) == 0, alone == 1);
        remove_soon(leaf);
        remove_soon(own);
        end(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_counted_and_limited),
        cmocka_unit_test(processes_are_limited_and_end_together),
        cmocka_unit_test(cpu_time_is_counted_and_shared),
        cmocka_unit_test(a_node_that_is_alone_in_its_group_steps_aside),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
