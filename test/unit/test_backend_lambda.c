/* test_backend_lambda.c - what a function with Lambda semantics sees in the process backend. */
#include "instance_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* --- what it sees --- */

static void expect_layout(struct rig *r, struct probe *p)
{
    hd_auto_free char *run = hd_printf("fs.existsSync('%s')", r->run);
    hd_auto_free char *bundles = hd_printf("fs.existsSync('%s')", r->bundles);
    rig_expect(p, "process.cwd()", "/var/task");
    rig_expect(p, "__filename", "/var/task/index.js");
    rig_expect(p, "fs.readdirSync('/var/task').join()", "index.js");
    rig_expect(p, "fs.readFileSync('/opt/data.txt', 'utf8')", "layered");
    rig_expect(p, "fs.writeFileSync('/var/task/x', '')", "EROFS");
    rig_expect(p, "fs.chmodSync('/var/task/index.js', 0o777)", "EROFS");
    rig_expect(p, "fs.writeFileSync('/opt/x', '')", "EROFS");
    rig_expect(p, "fs.writeFileSync('/var/runtime/node/x', '')", "EROFS");
    rig_expect(p, "fs.writeFileSync('/x', '')", "EROFS");
    rig_expect(p, "fs.writeFileSync('/usr/x', '')", "EROFS");
    rig_expect(p, "fs.writeFileSync('/etc/x', '')", "EROFS");
    rig_expect(p, "fs.readdirSync('/tmp').length", "0");
    rig_expect(p, "fs.writeFileSync('/tmp/x', 'mine') ?? fs.readFileSync('/tmp/x', 'utf8')",
               "mine");
    rig_expect(p, "(fs.statSync('/tmp').mode & 0o7777).toString(8)", "1777");
    rig_expect(p, run, "false");
    rig_expect(p, bundles, "false");
    rig_expect(p,
               "fs.existsSync('/run/heddle-code') ? fs.readdirSync('/run/heddle-code').length : 0",
               "0");
    rig_expect(p, "fs.existsSync('/root') || fs.existsSync('/sys/kernel')", "false");
    rig_expect(p, "fs.readdirSync('/proc').filter((n) => /^\\d+$/.test(n)).length <= 2", "true");
}

static void expect_user(struct rig *r, struct probe *p)
{
    const struct hd_process_enforcement *e = hd_process_enforcement(r->backend);
    rig_expect(p,
               "os.userInfo().username == 'sbx_user1051' && os.userInfo().homedir == '/home/' + "
               "os.userInfo().username",
               "true");
    if (e->seen)
        rig_expect(p, "process.getuid() + ':' + process.getgid()", "993:990");
    rig_expect(p, "fs.readdirSync('/dev').sort().join()",
               "fd,full,null,random,shm,stderr,stdin,stdout,tty,urandom,zero");
    rig_expect(p,
               "fs.writeFileSync('/dev/null', 'x') ?? "
               "fs.readSync(fs.openSync('/dev/urandom'), Buffer.alloc(8))",
               "8");
    rig_expect(p,
               "cp.execFileSync('/bin/sh', ['-c', 'ulimit -n; ulimit -c; ulimit -f']).toString()",
               "1024\\n0\\n1048576\\n"); /* files: 512 MiB in blocks of 512 bytes */
    rig_expect(p, "cp.execFileSync('/bin/sh', ['-c', 'echo x > /tmp/y; cat /tmp/y']).toString()",
               "x\\n");
}

static void set_layered(struct rig *r, struct lambda *l)
{
    rig_set_node(r, l);
    rig_put(r, "layer/code/data.txt", "layered", 0644);
    snprintf(l->opt, sizeof(l->opt), "%s/layer/code", r->bundles);
    l->lambda.opt_dir = l->opt;
}

static void it_sees_what_it_sees_at_lambda(void **state)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    rig_open_for(&r, HD_PROCESS_SANDBOX_AUTO, true);
    set_layered(&r, &l);
    rig_begin_lambda(&r, &p, &l);
    assert_string_equal(p.kind, "lambda");
    expect_layout(&r, &p);
    expect_user(&r, &p);
    rig_finish(&r, &p);
    (void)state;
}

/* Time since the machine started, as the kernel counts it for processes. */
static uint64_t ticks_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return ((uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000) *
           (uint64_t)sysconf(_SC_CLK_TCK) / 1000;
}

static uint64_t started_at(struct probe *p)
{
    uint64_t ticks = 0;
    hd_auto_free char *got = rig_eval(
        p, "fs.readFileSync('/proc/self/stat', 'utf8').replace(/.*\\) /, '').split(' ')[19]");
    assert_int_equal(hd_str_to_u64(&ticks, hd_str(got)), 0);
    return ticks;
}

static void a_prewarmed_host_sees_the_same(void **state)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    rig_open_for(&r, HD_PROCESS_SANDBOX_AUTO, true);
    set_layered(&r, &l);
    l.lambda.ephemeral_mb = 600;
    r.backend->ops->prewarm(r.backend, &l.what, 1);
    rig_until_warm(&r);
    rig_put(&r, "late/code/index.js", rig_evaluator,
            0600); /* what was stored after the host started */
    snprintf(l.code, sizeof(l.code), "%s/late/code", r.bundles);
    uint64_t before = ticks_now();
    rig_begin_lambda(&r, &p, &l);
    assert_true(started_at(&p) < before); /* it is the one that waited */
    struct hd_process_prewarm_counts counts;
    hd_process_prewarm_counts(&counts, r.backend);
    assert_int_equal(counts.ready, 1);
    assert_int_equal(counts.starting + counts.none + counts.unfit, 0);
    rig_expect(&p,
               "['umount -l', 'unshare -rm umount -l'].map((how) => cp.spawnSync('/bin/sh', "
               "['-c', how + ' /run/heddle-code']).status !== 0).join()",
               "true,true"); /* what covers the code of others cannot be lifted */
    expect_layout(&r, &p);
    rig_expect(&p, "process.getuid() > 0", "true");
    rig_expect(&p, "cp.execFileSync('/bin/sh', ['-c', 'ulimit -f']).toString()", "1228800\\n");
    rig_expect(&p,
               "Math.round(fs.statfsSync('/tmp').blocks * fs.statfsSync('/tmp').bsize / 2 ** 20)",
               "600");
    rig_finish(&r, &p);
    (void)state;
}

struct knows {
    struct hd_timer timer;
    struct rig *r;
    bool yes;
};

/* Only who knows the versions can say that this one is not there. */
static void on_knows_tick(struct hd_timer *t)
{
    struct knows *k = hd_container_of(t, struct knows, timer);
    k->yes = hd_process_runtime_note(k->r->backend, "python3.0") != NULL;
    hd_timer_start(k->r->loop, t, 2, on_knows_tick);
}

static void a_host_waits_for_the_program_that_is_chosen_once_versions_are_known(void **state)
{
    char id[32] = "";
    struct rig r;
    struct probe p;
    struct lambda l;
    struct knows knows = {.r = &r};
    struct hd_process_prewarm_counts counts;
    if (readlink("/usr/bin/python3", id, sizeof(id) - 1) < 0 || strncmp(id, "python3.", 8) != 0) {
        print_message("skipped: /usr/bin/python3 is no link to a version\n");
        skip();
    }
    rig_open_for(&r, HD_PROCESS_SANDBOX_OFF, false);
    rig_put(&r, "f/code/index.py", "def handler(event, context):\n    return 1\n", 0644);
    rig_set(&r, &l, "python", id); /* python3.11, and then python3, which is found to be that */
    r.backend->ops->prewarm(r.backend, &l.what, 1);
    hd_timer_start(r.loop, &knows.timer, 0, on_knows_tick);
    rig_until(&r, &knows.yes);
    hd_timer_stop(r.loop, &knows.timer);
    rig_until_warm(&r);
    rig_begin_lambda(&r, &p, &l);
    hd_process_prewarm_counts(&counts, r.backend);
    assert_int_equal(counts.ready, 1);
    assert_int_equal(counts.none, 0);
    rig_finish(&r, &p);
    (void)state;
}

static void a_kind_of_host_that_was_missing_waits_for_the_next_start(void **state)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    struct hd_process_prewarm_counts counts;
    rig_open_for(&r, HD_PROCESS_SANDBOX_AUTO, false);
    rig_set_node(&r, &l);
    r.backend->ops->prewarm(r.backend, &l.what, 1);
    rig_until_warm(&r);
    const char *const env[] = {"LANG=C.UTF-8", NULL}; /* another kind of host */
    l.what.env = env;
    for (int i = 0; i < 2; i++) {
        rig_begin_lambda(&r, &p, &l);
        rig_expect(&p, "process.env.LANG", "C.UTF-8");
        rig_end(&p, 0);
        probe_done(&p);
    }
    hd_process_prewarm_counts(&counts, r.backend);
    assert_int_equal(counts.none, 1);
    assert_int_equal(counts.ready + counts.starting, 1);
    rig_close(&r);
    (void)state;
}

static void tmp_is_its_own_and_has_a_size(void **state)
{
    struct rig r;
    struct probe p, q;
    struct lambda l;
    rig_open_for(&r, HD_PROCESS_SANDBOX_AUTO, true);
    rig_set_node(&r, &l);
    l.lambda.ephemeral_mb = 8;
    rig_begin_lambda(&r, &p, &l);
    rig_begin_lambda(&r, &q, &l);
    rig_expect(&p, "fs.writeFileSync('/tmp/x', 'p')", "undefined");
    rig_expect(&q, "fs.existsSync('/tmp/x')", "false");
    rig_expect(&q, "fs.writeFileSync('/tmp/big', Buffer.alloc(7 << 20))", "undefined");
    rig_expect(&q, "fs.writeFileSync('/tmp/more', Buffer.alloc(2 << 20))", "ENOSPC");
    rig_expect(&p, "fs.writeFileSync('/tmp/big', Buffer.alloc(7 << 20))", "undefined");
    rig_end(&q, 0);
    probe_done(&q);
    rig_finish(&r, &p);
    (void)state;
}

static void without_a_sandbox_it_sees_real_places(void **state)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    rig_open_for(&r, HD_PROCESS_SANDBOX_OFF, false);
    assert_false(hd_process_enforcement(r.backend)->layout);
    assert_non_null(
        strstr(hd_process_enforcement(r.backend)->text, "not enforced: namespaces, own user"));
    set_layered(&r, &l);
    rig_put(&r, "f/code/package.json", "{}", 0644); /* so that none above it counts */
    hd_auto_free char *opt = hd_printf("fs.readFileSync('%s/data.txt', 'utf8')", l.opt);
    for (int warm = 0; warm < 2; warm++) {
        if (warm) {
            r.backend->ops->prewarm(r.backend, &l.what, 1);
            rig_until_warm(&r);
        }
        uint64_t before = ticks_now();
        rig_begin_lambda(&r, &p, &l);
        assert_int_equal(warm, started_at(&p) < before);
        rig_expect(&p, "process.cwd()", l.code);
        rig_expect(&p, "process.env.LAMBDA_TASK_ROOT", l.code);
        rig_expect(&p, opt, "layered");
        rig_expect(&p, "process.env.AWS_LAMBDA_FUNCTION_NAME", "f");
        rig_end(&p, 0);
        probe_done(&p);
    }
    rig_close(&r);
    (void)state;
}

/* --- environment --- */

static void its_environment_is_the_table_and_nothing_else(void **state)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    rig_open_for(&r, HD_PROCESS_SANDBOX_AUTO, true);
    rig_set_node(&r, &l);
    const char *const env[] = {"STAGE=prod", NULL};
    l.what.env = env;
    setenv("OF_THE_NODE", "secret", 1);
    for (int warm = 0; warm < 2; warm++) {
        if (warm) {
            r.backend->ops->prewarm(r.backend, &l.what, 1);
            rig_until_warm(&r);
        }
        rig_begin_lambda(&r, &p, &l);
        rig_expect(
            &p, "Object.keys(process.env).filter((k) => k !== '_X_AMZN_TRACE_ID').sort().join()",
            "AWS_ACCESS_KEY_ID,AWS_DEFAULT_REGION,AWS_EXECUTION_ENV,"
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE,AWS_LAMBDA_FUNCTION_NAME,"
            "AWS_LAMBDA_FUNCTION_VERSION,AWS_LAMBDA_INITIALIZATION_TYPE,AWS_LAMBDA_LOG_FORMAT,"
            "AWS_LAMBDA_LOG_GROUP_NAME,AWS_LAMBDA_LOG_STREAM_NAME,AWS_REGION,"
            "AWS_SECRET_ACCESS_KEY,AWS_SESSION_TOKEN,AWS_XRAY_CONTEXT_MISSING,LAMBDA_RUNTIME_DIR,"
            "LAMBDA_TASK_ROOT,LANG,LD_LIBRARY_PATH,NODE_PATH,PATH,PWD,SHLVL,STAGE,TZ,_HANDLER");
        rig_expect(&p, "process.env.STAGE + process.env._HANDLER", "prodindex.handler");
        rig_expect(&p,
                   "/^\\d{4}\\/\\d\\d\\/\\d\\d\\/\\[\\$LATEST\\][0-9a-f]{32}$/.test("
                   "process.env.AWS_LAMBDA_LOG_STREAM_NAME)",
                   "true");
        rig_end(&p, 0);
        probe_done(&p);
    }
    unsetenv("OF_THE_NODE");
    rig_close(&r);
    (void)state;
}

static void what_a_runtime_reads_when_it_starts_is_there_then(void **state)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    rig_open_for(&r, HD_PROCESS_SANDBOX_AUTO, true);
    rig_set_node(&r, &l);
    r.backend->ops->prewarm(r.backend, &l.what, 1);
    rig_until_warm(&r);
    const char *const env[] = {"NODE_OPTIONS=--stack-trace-limit=3", NULL};
    l.what.env = env;
    uint64_t before = ticks_now();
    rig_begin_lambda(&r, &p, &l);
    assert_true(started_at(&p) + 1 >= before); /* the one that waits cannot do it */
    rig_expect(&p, "Error.stackTraceLimit", "3");
    rig_finish(&r, &p);
    (void)state;
}

static void a_wrapper_starts_the_runtime(void **state)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    rig_open_for(&r, HD_PROCESS_SANDBOX_AUTO, true);
    set_layered(&r, &l);
    hd_auto_free char *code = hd_printf("%sexports.other = async (event) => 'other: ' + await "
                                        "exports.handler(event);\n",
                                        rig_evaluator);
    rig_put(&r, "f/code/index.js", code, 0644);
    rig_put(&r, "layer/code/wrap",
            "#!/bin/sh\nexport WRAPPED=\"by $AWS_LAMBDA_FUNCTION_NAME\" STAGE=mine\n"
            "export _HANDLER=index.other\nexec \"$@\"\n",
            0755);
    rig_put(&r, "layer/code/not", "#!/bin/sh\nexit 1\n", 0644);
    const char *wrapper[] = {"AWS_LAMBDA_EXEC_WRAPPER=/opt/wrap", "STAGE=given", NULL};
    l.what.env = wrapper;
    rig_begin_lambda(&r, &p, &l);
    rig_expect(&p, "process.env.WRAPPED", "other: by f");
    rig_expect(&p, "process.env.STAGE", "other: mine"); /* it has the last word */
    rig_expect(&p, "process.env.AWS_LAMBDA_FUNCTION_VERSION", "other: $LATEST");
    rig_end(&p, 0);
    probe_done(&p);
    wrapper[0] = "AWS_LAMBDA_EXEC_WRAPPER=/opt/not"; /* it cannot be run */
    rig_begin_lambda(&r, &p, &l);
    rig_expect(&p, "process.env.STAGE + process.env.WRAPPED", "givenundefined");
    rig_finish(&r, &p);
    (void)state;
}

/* --- which interpreter --- */

static void a_runtime_that_is_not_there_is_told(void **state)
{
    static const struct {
        const char *runtime, *id, *why;
        int code;
    } cases[] = {{"java", "java21", "needs an image", HD_EINVAL},
                 {"ruby", "ruby3.3", "needs an image", HD_EINVAL},
                 {"node", NULL, "needs an image", HD_EINVAL}};
    struct rig r;
    rig_open_for(&r, HD_PROCESS_SANDBOX_AUTO, false);
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct probe p;
        struct lambda l;
        rig_set(&r, &l, cases[i].runtime, cases[i].id);
        rig_begin(&r, &p, &l.what);
        rig_until(&r, &p.gone);
        assert_int_equal(p.err.code, cases[i].code);
        assert_non_null(strstr(p.err.msg, cases[i].why));
        probe_done(&p);
    }
    static const struct {
        const char *id, *architecture, *problem;
    } asked[] = {{"java21", NULL, "needs an image"},
                 {NULL, NULL, "needs an image"},
                 {"nodejs20.x", NULL, NULL},
                 {"provided.al2023", NULL, NULL},
                 {"nodejs20.x", "pdp11", "another architecture"}};
    for (size_t i = 0; i < HD_COUNT(asked); i++) {
        const char *got = hd_process_runtime_problem(r.backend, asked[i].id, asked[i].architecture);
        assert_int_equal(got != NULL, asked[i].problem != NULL);
        assert_true(got == NULL || strstr(got, asked[i].problem) != NULL);
    }
    rig_close(&r);
    (void)state;
}

struct noted {
    struct hd_timer timer;
    struct rig *r;
    bool done;
    const char *id;
};

static void look_for_note(struct hd_timer *t)
{
    struct noted *n = hd_container_of(t, struct noted, timer);
    n->done = hd_process_runtime_note(n->r->backend, n->id) != NULL;
    hd_timer_start(n->r->loop, t, 5, look_for_note);
}

static void what_is_not_as_at_the_service_is_said_in_the_log(void **state)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    rig_open_for(&r, HD_PROCESS_SANDBOX_AUTO, false);
    struct noted n = {.r = &r, .id = "nodejs99.x"};
    look_for_note(&n.timer);
    rig_until(&r, &n.done); /* versions are asked for in the background */
    hd_timer_stop(r.loop, &n.timer);
    rig_set_node(&r, &l);
    l.lambda.runtime_id = n.id;
    rig_put(&r, "layer/code/extensions/watcher", "#!/bin/sh\n", 0755);
    snprintf(l.opt, sizeof(l.opt), "%s/layer/code", r.bundles);
    l.lambda.opt_dir = l.opt;
    rig_begin_lambda(&r, &p, &l);
    assert_true(probe_saw(&p, "Runtime nodejs99.x is not installed: Node.js "));
    assert_true(probe_saw(&p, "The programs in /opt/extensions are not started"));
    rig_finish(&r, &p);
    (void)state;
}

int main(int argc, char **argv)
{
    if (strcmp(argv[0], HD_SANDBOX_ARGV0) == 0)
        return hd_sandbox_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_sees_what_it_sees_at_lambda),
        cmocka_unit_test(a_prewarmed_host_sees_the_same),
        cmocka_unit_test(a_host_waits_for_the_program_that_is_chosen_once_versions_are_known),
        cmocka_unit_test(a_kind_of_host_that_was_missing_waits_for_the_next_start),
        cmocka_unit_test(tmp_is_its_own_and_has_a_size),
        cmocka_unit_test(without_a_sandbox_it_sees_real_places),
        cmocka_unit_test(its_environment_is_the_table_and_nothing_else),
        cmocka_unit_test(what_a_runtime_reads_when_it_starts_is_there_then),
        cmocka_unit_test(a_wrapper_starts_the_runtime),
        cmocka_unit_test(a_runtime_that_is_not_there_is_told),
        cmocka_unit_test(what_is_not_as_at_the_service_is_said_in_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
