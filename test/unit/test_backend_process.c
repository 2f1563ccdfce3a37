/* test_backend_process.c - real processes through the backend: ready, output, crash, end. */
#include "backend_rig.h"

#include "pool/sandbox.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool saw(struct probe *p, const char *line)
{
    hd_buf_char(&p->lines, '\0');
    bool there = strstr(p->lines.ptr, line) != NULL;
    p->lines.len--;
    return there;
}

static void a_function_loads_answers_and_ends(void **state)
{
    struct rig r;
    struct probe p;
    rig_open(&r, HD_PROCESS_SANDBOX_OFF);
    rig_load(&r, &p, "hello",
             "declared = {'public': True, 'timeoutMs': 30, 'require': ['a'], 'imports': ['/x']}\n"
             "def handle(path):\n    return 'hello ' + path\n");
    if (!p.ready)
        fail_msg("%s", p.err.msg);
    assert_string_equal(p.kind, "fetch");
    assert_int_equal(p.declared.is_public, 1);
    assert_int_equal(p.declared.timeout_ms, 30);
    assert_int_equal(p.declared.concurrency, -1);
    assert_string_equal(p.import0, "/x");
    hd_auto_free char *body = rig_get(&p, "/hello/x?q=1");
    assert_string_equal(body, "hello /hello/x?q=1");
    assert_true(r.backend->ops->rss_bytes(p.h) > 1 << 20);
    assert_true(r.backend->ops->cpu_us(p.h) > 0);
    rig_end(&p, 1000);
    assert_false(p.failed);
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

static void output_comes_by_line_with_id_and_level(void **state)
{
    struct rig r;
    struct probe p;
    rig_open(&r, HD_PROCESS_SANDBOX_OFF);
    rig_load(&r, &p, "talker",
             "import sys\n"
             "print('raw out')\n"
             "sys.stderr.write('raw err\\n')\n"
             "sys.stderr.write('\\x1e%s {\"id\":\"forged\",\"msg\":\"no\"}\\n' % ('0' * 32))\n"
             "log('with id', 'inv-1', 'error')\n"
             "sys.stdout.write('no line break')\n"
             "def handle(path):\n    return ''\n");
    assert_true(p.ready);
    rig_end(&p, 1000);
    assert_true(saw(&p, "|1|raw out\n"));
    assert_true(saw(&p, "|2|raw err\n"));
    assert_true(saw(&p, "inv-1|3|with id\n"));
    assert_true(saw(&p, "|1|no line break\n"));
    assert_false(saw(&p, "forged|"));
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

static void a_load_that_fails_says_why(void **state)
{
    struct rig r;
    struct probe p;
    rig_open(&r, HD_PROCESS_SANDBOX_OFF);
    rig_load(&r, &p, "broken", "raise ValueError('no key in sight')\n");
    assert_false(p.ready);
    rig_until(&r, &p.gone);
    assert_true(p.failed);
    assert_string_equal(p.err.msg, "function broken: no key in sight");
    assert_true(saw(&p, "|3|ValueError: no key in sight\n"));
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

static void a_crash_is_reported_with_its_last_words(void **state)
{
    struct rig r;
    struct probe p;
    rig_open(&r, HD_PROCESS_SANDBOX_OFF);
    rig_load(&r, &p, "crash",
             "import os, sys\n"
             "def handle(path):\n"
             "    sys.stderr.write('about to die\\n')\n"
             "    os._exit(3) if path == '/exit' else os.kill(os.getpid(), 11)\n");
    assert_true(p.ready);
    free(rig_get(&p, "/exit"));
    rig_until(&r, &p.gone);
    assert_true(p.failed);
    assert_string_equal(p.err.msg, "function crash: exited with code 3: about to die");
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

static void a_prewarmed_host_is_taken_and_replaced(void **state)
{
    struct rig r;
    struct probe p;
    rig_open(&r, HD_PROCESS_SANDBOX_OFF);
    rig_write(&r, "warm", "import os\ndef handle(path):\n    return str(os.getpid())\n");
    struct hd_launch what = rig_launch(&r, "warm");
    r.backend->ops->prewarm(r.backend, &what, 1);
    while (hd_process_prewarm_ready(r.backend) == 0)
        rig_turn(&r);
    assert_true(hd_process_prewarm_rss_bytes(r.backend) > 1 << 20);
    rig_begin(&r, &p, &what);
    assert_int_equal(hd_process_prewarm_ready(r.backend), 0);
    rig_until(&r, &p.ready);
    while (hd_process_prewarm_ready(r.backend) == 0)
        rig_turn(&r); /* the next one */
    hd_auto_free char *pid = rig_get(&p, "/");
    assert_true(strtol(pid, NULL, 10) > 0);
    rig_end(&p, 0);
    assert_false(p.failed);
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

static void a_sandboxed_function_sees_little(void **state)
{
    struct rig r;
    struct probe p;
    rig_open(&r, HD_PROCESS_SANDBOX_AUTO);
    print_message("%s\n", hd_process_enforcement(r.backend)->text);
    rig_load(&r, &p, "nosy",
             "import os\n"
             "def handle(path):\n    return str(eval(path[1:].replace('%20', ' ')))\n");
    if (!p.ready)
        fail_msg("%s", p.err.msg);
    hd_auto_free char *x = rig_get(&p, "/open('/proc/self/status').read()");
    print_message("%s\n", x);
    hd_auto_free char *y = rig_get(&p, "/os.listdir('/proc'),os.listdir('/"
                                       "tmp'),os.getuid(),os.environ,open('/proc/mounts').read()");
    print_message("%s\n", y);
    rig_end(&p, 0);
    assert_false(p.failed);
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

static void an_unknown_runtime_is_refused_later_not_at_once(void **state)
{
    struct rig r;
    struct probe p;
    rig_open(&r, HD_PROCESS_SANDBOX_OFF);
    struct hd_launch what = rig_launch(&r, "x");
    what.runtime = "cobol";
    rig_begin(&r, &p, &what);
    assert_false(p.gone);
    rig_until(&r, &p.gone);
    assert_non_null(strstr(p.err.msg, "cobol"));
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

int main(int argc, char **argv)
{
    if (strcmp(argv[0], HD_SANDBOX_ARGV0) == 0)
        return hd_sandbox_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_function_loads_answers_and_ends),
        cmocka_unit_test(output_comes_by_line_with_id_and_level),
        cmocka_unit_test(a_load_that_fails_says_why),
        cmocka_unit_test(a_crash_is_reported_with_its_last_words),
        cmocka_unit_test(a_prewarmed_host_is_taken_and_replaced),
        cmocka_unit_test(a_sandboxed_function_sees_little),
        cmocka_unit_test(an_unknown_runtime_is_refused_later_not_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
