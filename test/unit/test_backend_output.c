/* test_backend_output.c - functions with Lambda semantics: what they write, how they end, and those
 * that bring their own runtime. */
#include "core/clock.h"
#include "instance_rig.h"

#include <signal.h>
#include <stdio.h>
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

static void too_much_memory_is_told(void **state)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    rig_open_for(&r, HD_PROCESS_SANDBOX_AUTO, false);
    if (!hd_process_enforcement(r.backend)->cgroup_memory) {
        print_message("skipped: %s\n", hd_process_enforcement(r.backend)->text);
        rig_close(&r);
        skip();
    }
    rig_set_node(&r, &l);
    l.what.memory_mb = 128;
    rig_begin_lambda(&r, &p, &l);
    assert_true(r.backend->ops->peak_bytes(p.h) > 8 << 20);
    free(rig_eval(&p, "Buffer.alloc(300 << 20, 1).length"));
    rig_until(&r, &p.gone);
    assert_true(p.exited && p.exit.oom);
    assert_int_equal(p.exit.signal, SIGKILL);
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

int main(int argc, char **argv)
{
    if (strcmp(argv[0], HD_SANDBOX_ARGV0) == 0)
        return hd_sandbox_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_there_after_a_flush),
        cmocka_unit_test(how_it_ended_is_told),
        cmocka_unit_test(too_much_memory_is_told),
        cmocka_unit_test(a_bootstrap_brings_its_own_runtime),
        cmocka_unit_test(a_bootstrap_that_may_not_run_is_an_error_of_its_own),
        cmocka_unit_test(all_that_it_started_ends_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
