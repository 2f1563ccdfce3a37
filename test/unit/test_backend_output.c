/* test_backend_output.c - functions with Lambda semantics: what they write, how they end, and those
 * that bring their own runtime. */
#include "core/clock.h"
#include "instance_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- output and end --- */

static void on_flushed(void *owner)
{
    *(bool *)owner = true;
}

static void flush(struct rig *r, struct probe *p)
{
    bool done = false;
    r->backend->ops->flush_output(p->h, on_flushed, &done);
    assert_false(done);
    rig_until(r, &done);
}

static void what_was_written_is_there_after_a_flush(void **state)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    rig_open_for(&r, HD_PROCESS_SANDBOX_AUTO, false);
    rig_set_node(&r, &l);
    rig_begin_lambda(&r, &p, &l);
    hd_buf_clear(&p.lines);
    rig_expect(&p, "fs.writeSync(1, 'raw, without an end') && console.log('a record') || 'x'", "x");
    assert_int_equal(p.lines.len, 0); /* the loop did not turn */
    flush(&r, &p);
    assert_true(probe_saw(&p, "raw, without an end\n"));
    assert_true(probe_saw(&p, "a record"));
    hd_buf_clear(&p.lines);
    rig_expect(&p, "fs.writeSync(1, 'x'.repeat(100).concat('\\n').repeat(600)) && 'y'", "y");
    flush(&r, &p);
    unsigned n = 0;
    for (size_t i = 0; i < p.lines.len; i++)
        n += p.lines.ptr[i] == '\n';
    assert_int_equal(n, 600);
    rig_finish(&r, &p);
    (void)state;
}

static void how_it_ended_is_told(void **state)
{
    static const struct {
        const char *code;
        int signal, status;
    } cases[] = {{"process.reallyExit(3)", 0, 3},
                 {"process.kill(process.pid, 'SIGKILL')", SIGKILL, 0},
                 {"process.abort()", SIGABRT, 0}};
    struct rig r;
    struct lambda l;
    rig_open_for(&r, HD_PROCESS_SANDBOX_AUTO, false);
    rig_set_node(&r, &l);
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct probe p;
        rig_begin_lambda(&r, &p, &l);
        free(rig_eval(&p, cases[i].code));
        rig_until(&r, &p.gone);
        assert_true(p.exited && p.failed);
        assert_int_equal(p.exit.signal, cases[i].signal);
        assert_int_equal(p.exit.code, cases[i].status);
        assert_false(p.exit.oom);
        probe_done(&p);
    }
    struct probe p;
    rig_begin_lambda(&r, &p, &l);
    rig_end(&p, 0);
    assert_false(p.exited); /* that was us */
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

/* Whether a cgroup keeps the limit, or we look. */
static void too_much_memory_is_told(void **state)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    rig_open_for(&r, HD_PROCESS_SANDBOX_AUTO, false);
    rig_set_node(&r, &l);
    l.what.memory_mb = 128;
    rig_begin_lambda(&r, &p, &l);
    assert_true(r.backend->ops->peak_bytes(p.h) > 8 << 20);
    int fd = rig_send(&p, "{\"code\":\"globalThis.big = Buffer.alloc(300 << 20, 1); new Promise("
                          "() => 0)\"}");
    rig_until(&r, &p.gone);
    close(fd);
    assert_true(p.exited && p.exit.oom);
    assert_int_equal(p.exit.signal, SIGKILL);
    assert_string_equal(p.err.msg, "function f: killed by SIGKILL (memory limit of 128 MB)");
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

/* --- provided --- */

/* A bootstrap with what Python has by itself. */
static const char bootstrap[] =
    "#!/usr/bin/python3\n"
    "import json, os, subprocess, sys, urllib.request as u\n"
    "api = 'http://' + os.environ['AWS_LAMBDA_RUNTIME_API'] + '/2018-06-01/runtime/'\n"
    "while True:\n"
    "    with u.urlopen(api + 'invocation/next') as r:\n"
    "        id, event = r.headers['Lambda-Runtime-Aws-Request-Id'], json.load(r)\n"
    "    try:\n"
    "        result = str(eval(event['code']))\n"
    "    except Exception as e:\n"
    "        result = getattr(e, 'strerror', None) or repr(e)\n"
    "    data = json.dumps(result).encode()\n"
    "    u.urlopen(u.Request(api + f'invocation/{id}/response', data)).close()\n";

static bool open_provided(struct rig *r, struct lambda *l, const char *source, mode_t mode)
{
    rig_open_for(r, HD_PROCESS_SANDBOX_AUTO, true);
    rig_put(r, "f/code/bootstrap", source, mode);
    rig_set(r, l, "provided", "provided.al2023");
    l->what.handler = "any";
    return true;
}

static void a_bootstrap_brings_its_own_runtime(void **state)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    open_provided(&r, &l, bootstrap, 0755);
    for (int warm = 0; warm < 2; warm++) {
        if (warm) {
            r.backend->ops->prewarm(r.backend, &l.what, 1);
            rig_until_warm(&r);
        }
        rig_begin_lambda(&r, &p, &l);
        rig_expect(&p, "os.getcwd(), os.environ['_HANDLER'], __file__",
                   "('/var/task', 'any', '/var/task/bootstrap')");
        rig_expect(&p, "open('/var/task/x', 'w')", "Read-only file system");
        rig_expect(&p, "open('/tmp/x', 'w').write('abc')", "3");
        rig_expect(&p, "[k for k in os.environ if k.startswith('HEDDLE_') or k == 'HOME']", "[]");
        rig_expect(&p, "os.environ.get('AWS_EXECUTION_ENV')", "None");
        rig_expect(&p, "os.environ['AWS_LAMBDA_LOG_GROUP_NAME']", "/aws/lambda/f");
        rig_end(&p, 0);
        probe_done(&p);
    }
    rig_close(&r);
    (void)state;
}

static void a_bootstrap_that_may_not_run_is_an_error_of_its_own(void **state)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    open_provided(&r, &l, bootstrap, 0644);
    rig_begin(&r, &p, &l.what);
    rig_until_either(&r, &p.ready, &p.gone);
    assert_true(p.ready);
    assert_string_equal(p.kind, "init-failed");
    hd_auto_free char *answer = rig_event(&p, "{}");
    assert_non_null(strstr(answer, "Runtime.InvalidEntrypoint"));
    rig_until(&r, &p.gone);
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

/* --- nothing is left --- */

/* @return how many processes run with this text on their command line. */
static unsigned count_processes(const char *text)
{
    unsigned n = 0;
    hd_auto_free char *command = hd_printf("pgrep -c -f '%s'", text);
    FILE *f = popen(command, "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%u", &n), 1);
    pclose(f);
    return n;
}

static void all_that_it_started_ends_with_it(void **state)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    char code[160], text[40];
    rig_open_for(&r, HD_PROCESS_SANDBOX_AUTO, true);
    rig_set_node(&r, &l);
    rig_begin_lambda(&r, &p, &l);
    snprintf(text, sizeof(text), "[s]leep 7%d", (int)getpid());
    snprintf(code, sizeof(code),
             "cp.spawn('setsid', ['sleep', '7%d'], {detached: true, stdio: 'ignore'}).unref() ?? "
             "'started'",
             (int)getpid());
    free(rig_eval(&p, code));
    for (uint64_t until = hd_clock_ms() + 5000; count_processes(text) == 0;)
        assert_true(hd_clock_ms() < until);
    rig_end(&p, 0);
    assert_int_equal(count_processes(text), 0);
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

/* --- a node that dies without a word --- */

static const char with_orphan[] =
    "#!/bin/sh\nsetsid sleep 8%s </dev/null >/dev/null 2>&1 &\nexec /usr/bin/python3 -c '%s'\n";

static void set_orphans(struct rig *r, struct lambda *l, const char *mark)
{
    hd_auto_free char *source =
        hd_printf(with_orphan, mark,
                  "import os, urllib.request as u\n"
                  "u.urlopen(\"http://\" + os.environ[\"AWS_LAMBDA_"
                  "RUNTIME_API\"] + \"/2018-06-01/runtime/invocation/next\")");
    rig_put(r, "f/code/bootstrap", source, 0755);
    rig_set(r, l, "provided", "provided.al2023");
}

/* Be a node with one instance, until somebody kills us. */
static int be_node(const char *dir, const char *sandbox, const char *mark)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    rig_attach_lambda(&r, (enum hd_process_sandbox)(sandbox[0] - '0'), dir);
    set_orphans(&r, &l, mark);
    rig_begin_lambda(&r, &p, &l);
    if (write(STDOUT_FILENO, "+", 1) != 1)
        return 1;
    for (;;)
        rig_turn(&r);
}

static pid_t start_node(struct rig *r, enum hd_process_sandbox sandbox, int number)
{
    char mode[2] = {(char)('0' + sandbox), '\0'}, mark[16], c = 0;
    int up[2];
    snprintf(mark, sizeof(mark), "%d", number);
    assert_int_equal(pipe2(up, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(up[1], STDOUT_FILENO);
        execl("/proc/self/exe", "node", r->dir, mode, mark, (char *)NULL);
        _exit(127);
    }
    close(up[1]);
    assert_int_equal(read(up[0], &c, 1), 1);
    close(up[0]);
    return pid;
}

static unsigned count_entries(const char *path)
{
    unsigned n = 0;
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* Without cgroups and namespaces nothing holds what leaves its session. */
static void end_orphan(struct rig *r, const char *text)
{
    hd_auto_free char *command = hd_printf("kill $(pgrep -f '%s')", text);
    print_message("skipped in part: %s\n", hd_process_enforcement(r->backend)->text);
    assert_int_equal(system(command), 0);
}

/* Not even what its programs have started, and have moved to a session of its own. */
static void nothing_is_left_of_a_node_that_was_killed(void **state)
{
    static const enum hd_process_sandbox modes[] = {HD_PROCESS_SANDBOX_OFF,
                                                    HD_PROCESS_SANDBOX_AUTO};
    for (size_t i = 0; i < HD_COUNT(modes); i++) {
        struct rig r;
        struct hd_error err;
        char text[40];
        rig_open_for(&r, modes[i], false);
        bool counted = hd_process_enforcement(r.backend)->cgroup_pids ||
                       (hd_process_enforcement(r.backend)->parts & HD_SANDBOX_PID);
        rig_stop(&r);
        int mark = (int)getpid() * 10 + (int)i;
        snprintf(text, sizeof(text), "[s]leep 8%d", mark);
        pid_t node = start_node(&r, modes[i], mark);
        assert_int_equal(count_processes(text), 1);
        kill(node, SIGKILL);
        waitpid(node, NULL, 0);
        if (rig_start(&r, &err) < 0)
            fail_msg("%s", err.msg);
        assert_int_equal(r.backend->ops->reap_stale(r.backend, &err), 0);
        if (counted)
            assert_int_equal(count_processes(text), 0);
        else
            end_orphan(&r, text);
        assert_int_equal(count_entries(r.run), 1); /* the lock */
        rig_close(&r);
    }
    (void)state;
}

int main(int argc, char **argv)
{
    if (strcmp(argv[0], HD_SANDBOX_ARGV0) == 0)
        return hd_sandbox_main(argc, argv);
    if (argc == 4)
        return be_node(argv[1], argv[2], argv[3]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_there_after_a_flush),
        cmocka_unit_test(how_it_ended_is_told),
        cmocka_unit_test(too_much_memory_is_told),
        cmocka_unit_test(a_bootstrap_brings_its_own_runtime),
        cmocka_unit_test(a_bootstrap_that_may_not_run_is_an_error_of_its_own),
        cmocka_unit_test(all_that_it_started_ends_with_it),
        cmocka_unit_test(nothing_is_left_of_a_node_that_was_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
