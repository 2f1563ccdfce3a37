/* test_backend_lambda.c - functions with Lambda semantics in the process backend, seen from inside.
 */
#include "backend_rig.h"

#include "core/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Runs what the event says; what comes of it, or an error's code, is the result. */
static const char evaluator[] =
    "const fs = require('fs'), os = require('os'), cp = require('child_process');\n"
    "exports.handler = async (event) => {\n"
    "  try { return String(await eval(event.code)); }\n"
    "  catch (e) { return e.code ?? String(e); }\n"
    "};\n";

static char *path_of(struct rig *r, const char *name)
{
    return hd_printf("%s/%s", r->bundles, name);
}

static void put(struct rig *r, const char *name, const char *text, mode_t mode)
{
    hd_auto_free char *path = path_of(r, name);
    for (char *p = path + strlen(r->bundles) + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
        *p = '/';
    }
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

/** A launch and what it points to. */
struct lambda {
    struct hd_launch what;
    struct hd_launch_lambda lambda;
    char code[128], opt[128];
};

static void set(struct rig *r, struct lambda *l, const char *runtime, const char *id)
{
    *l = (struct lambda){.lambda = {.runtime_id = id,
                                    .architecture = "x86_64",
                                    .account = "000000000000",
                                    .region = "us-east-1",
                                    .arn = "arn:aws:lambda:us-east-1:000000000000:function:f",
                                    .name = "f",
                                    .qualifier = "$LATEST",
                                    .log_group = "/aws/lambda/f",
                                    .init_timeout_ms = 8000}};
    snprintf(l->code, sizeof(l->code), "%s/f/code", r->bundles);
    l->lambda.code_dir = l->code;
    l->what = (struct hd_launch){.function = "f",
                                 .version = "00",
                                 .runtime = runtime,
                                 .root = r->functions,
                                 .handler = "index.handler",
                                 .timeout_ms = 3000,
                                 .lambda = &l->lambda};
}

static void set_node(struct rig *r, struct lambda *l)
{
    put(r, "f/code/index.js", evaluator, 0600);
    set(r, l, "node", "nodejs20.x");
}

static bool has_program(const char *name)
{
    hd_auto_free char *command = hd_printf("command -v %s >/dev/null", name);
    return system(command) == 0;
}

static void open_lambda(struct rig *r, enum hd_process_sandbox sandbox, bool layout)
{
    const char *missing = !has_program("node") ? "node is not installed" : NULL;
    if (missing == NULL) {
        rig_open_lambda(r, sandbox);
        if (!layout || hd_process_enforcement(r->backend)->layout)
            return;
        missing = hd_process_enforcement(r->backend)->text;
        print_message("skipped: %s\n", missing);
        rig_close(r);
        skip();
    }
    print_message("skipped: %s\n", missing);
    skip();
}

static void begin(struct rig *r, struct probe *p, struct lambda *l)
{
    rig_begin(r, p, &l->what);
    rig_until_either(r, &p->ready, &p->gone);
    if (!p->ready)
        fail_msg("%s", p->err.msg);
    if (strcmp(p->kind, "init-failed") == 0)
        fail_msg("init failed: %.*s", (int)p->lines.len, p->lines.ptr);
}

/* Send an event as JSON. @return head and body of the answer for the caller to free. */
static char *send_event(struct probe *p, const char *json)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct hd_buf b;
    hd_auto_free char *head =
        hd_printf("POST / HTTP/1.1\r\nHost: f\r\nConnection: close\r\nx-heddle-event: buffered\r\n"
                  "x-heddle-id: 6a3c2f7e-0000-4000-8000-000000000001\r\nx-heddle-deadline: 8000\r\n"
                  "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                  strlen(json), json);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", p->at.address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(write(fd, head, strlen(head)), strlen(head));
    hd_buf_init(&b, 1 << 20);
    for (ssize_t n = 1; n > 0;) {
        char *room = hd_buf_reserve(&b, 4096);
        n = read(fd, room, 4096);
        hd_buf_commit(&b, (size_t)HD_MAX(n, 0));
    }
    close(fd);
    char *text = hd_buf_take(&b);
    return text != NULL ? text : hd_strdup("");
}

/* The result of some code, a JSON string without its quotes. */
static char *eval(struct probe *p, const char *code)
{
    struct hd_buf b;
    hd_buf_init(&b, 64 << 10);
    hd_buf_cstr(&b, "{\"code\":");
    hd_buf_json(&b, hd_str(code));
    hd_buf_char(&b, '}');
    hd_auto_free char *json = hd_buf_take(&b);
    hd_auto_free char *answer = send_event(p, json);
    char *body = strstr(answer, "\r\n\r\n");
    if (body == NULL)
        return hd_strdup("(no answer)");
    char *first = strchr(body, '"'), *last = strrchr(body, '"');
    if (first == NULL || last == first)
        return hd_strdup(body + 4);
    return hd_strdup_n(hd_str_n(first + 1, (size_t)(last - first - 1)));
}

static void expect(struct probe *p, const char *code, const char *expected)
{
    hd_auto_free char *got = eval(p, code);
    if (strcmp(got, expected) != 0)
        fail_msg("%s: %s, expected %s", code, got, expected);
}

static void finish(struct rig *r, struct probe *p)
{
    rig_end(p, 0);
    probe_done(p);
    rig_close(r);
}

/* --- what it sees --- */

static void expect_layout(struct rig *r, struct probe *p)
{
    hd_auto_free char *run = hd_printf("fs.existsSync('%s')", r->run);
    hd_auto_free char *bundles = hd_printf("fs.existsSync('%s')", r->bundles);
    expect(p, "process.cwd()", "/var/task");
    expect(p, "__filename", "/var/task/index.js");
    expect(p, "fs.readdirSync('/var/task').join()", "index.js");
    expect(p, "fs.readFileSync('/opt/data.txt', 'utf8')", "layered");
    expect(p, "fs.writeFileSync('/var/task/x', '')", "EROFS");
    expect(p, "fs.chmodSync('/var/task/index.js', 0o777)", "EROFS");
    expect(p, "fs.writeFileSync('/opt/x', '')", "EROFS");
    expect(p, "fs.writeFileSync('/var/runtime/node/x', '')", "EROFS");
    expect(p, "fs.writeFileSync('/x', '')", "EROFS");
    expect(p, "fs.writeFileSync('/usr/x', '')", "EROFS");
    expect(p, "fs.writeFileSync('/etc/x', '')", "EROFS");
    expect(p, "fs.readdirSync('/tmp').length", "0");
    expect(p, "fs.writeFileSync('/tmp/x', 'mine') ?? fs.readFileSync('/tmp/x', 'utf8')", "mine");
    expect(p, "(fs.statSync('/tmp').mode & 0o7777).toString(8)", "1777");
    expect(p, run, "false");
    expect(p, bundles, "false");
    expect(p, "fs.existsSync('/run/heddle-code') ? fs.readdirSync('/run/heddle-code').length : 0",
           "0");
    expect(p, "fs.existsSync('/root') || fs.existsSync('/sys/kernel')", "false");
    expect(p, "fs.readdirSync('/proc').filter((n) => /^\\d+$/.test(n)).length <= 2", "true");
}

static void expect_user(struct rig *r, struct probe *p)
{
    const struct hd_process_enforcement *e = hd_process_enforcement(r->backend);
    expect(p, "os.userInfo().username + ':' + os.userInfo().homedir",
           "sbx_user1051:/home/sbx_user1051");
    if (e->seen)
        expect(p, "process.getuid() + ':' + process.getgid()", "993:990");
    expect(p, "fs.readdirSync('/dev').sort().join()",
           "fd,full,null,random,shm,stderr,stdin,stdout,tty,urandom,zero");
    expect(p,
           "fs.writeFileSync('/dev/null', 'x') ?? "
           "fs.readSync(fs.openSync('/dev/urandom'), Buffer.alloc(8))",
           "8");
    expect(p, "cp.execFileSync('/bin/sh', ['-c', 'ulimit -n; ulimit -c; ulimit -f']).toString()",
           "1024\\n0\\n1048576\\n"); /* files: 512 MiB in blocks of 512 bytes */
    expect(p, "cp.execFileSync('/bin/sh', ['-c', 'echo x > /tmp/y; cat /tmp/y']).toString()",
           "x\\n");
}

static void set_layered(struct rig *r, struct lambda *l)
{
    set_node(r, l);
    put(r, "layer/code/data.txt", "layered", 0644);
    snprintf(l->opt, sizeof(l->opt), "%s/layer/code", r->bundles);
    l->lambda.opt_dir = l->opt;
}

static void it_sees_what_it_sees_at_lambda(void **state)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    open_lambda(&r, HD_PROCESS_SANDBOX_AUTO, true);
    set_layered(&r, &l);
    begin(&r, &p, &l);
    assert_string_equal(p.kind, "lambda");
    expect_layout(&r, &p);
    expect_user(&r, &p);
    finish(&r, &p);
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
    hd_auto_free char *got =
        eval(p, "fs.readFileSync('/proc/self/stat', 'utf8').replace(/.*\\) /, '').split(' ')[19]");
    assert_int_equal(hd_str_to_u64(&ticks, hd_str(got)), 0);
    return ticks;
}

static void a_prewarmed_host_sees_the_same(void **state)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    open_lambda(&r, HD_PROCESS_SANDBOX_AUTO, true);
    set_layered(&r, &l);
    l.lambda.ephemeral_mb = 600;
    r.backend->ops->prewarm(r.backend, &l.what, 1);
    rig_until_warm(&r);
    put(&r, "late/code/index.js", evaluator, 0600); /* what was stored after the host started */
    snprintf(l.code, sizeof(l.code), "%s/late/code", r.bundles);
    uint64_t before = ticks_now();
    begin(&r, &p, &l);
    assert_true(started_at(&p) < before); /* it is the one that waited */
    expect_layout(&r, &p);
    expect(&p, "process.getuid() > 0", "true");
    expect(&p, "cp.execFileSync('/bin/sh', ['-c', 'ulimit -f']).toString()", "1228800\\n");
    expect(&p, "Math.round(fs.statfsSync('/tmp').blocks * fs.statfsSync('/tmp').bsize / 2 ** 20)",
           "600");
    finish(&r, &p);
    (void)state;
}

static void tmp_is_its_own_and_has_a_size(void **state)
{
    struct rig r;
    struct probe p, q;
    struct lambda l;
    open_lambda(&r, HD_PROCESS_SANDBOX_AUTO, true);
    set_node(&r, &l);
    l.lambda.ephemeral_mb = 8;
    begin(&r, &p, &l);
    begin(&r, &q, &l);
    expect(&p, "fs.writeFileSync('/tmp/x', 'p')", "undefined");
    expect(&q, "fs.existsSync('/tmp/x')", "false");
    expect(&q, "fs.writeFileSync('/tmp/big', Buffer.alloc(7 << 20))", "undefined");
    expect(&q, "fs.writeFileSync('/tmp/more', Buffer.alloc(2 << 20))", "ENOSPC");
    expect(&p, "fs.writeFileSync('/tmp/big', Buffer.alloc(7 << 20))", "undefined");
    rig_end(&q, 0);
    probe_done(&q);
    finish(&r, &p);
    (void)state;
}

static void without_a_sandbox_it_sees_real_places(void **state)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    open_lambda(&r, HD_PROCESS_SANDBOX_OFF, false);
    assert_false(hd_process_enforcement(r.backend)->layout);
    assert_non_null(
        strstr(hd_process_enforcement(r.backend)->text, "not enforced: namespaces, own user"));
    set_layered(&r, &l);
    put(&r, "f/code/package.json", "{}", 0644); /* so that none above it counts */
    hd_auto_free char *opt = hd_printf("fs.readFileSync('%s/data.txt', 'utf8')", l.opt);
    for (int warm = 0; warm < 2; warm++) {
        if (warm) {
            r.backend->ops->prewarm(r.backend, &l.what, 1);
            rig_until_warm(&r);
        }
        uint64_t before = ticks_now();
        begin(&r, &p, &l);
        assert_int_equal(warm, started_at(&p) < before);
        expect(&p, "process.cwd()", l.code);
        expect(&p, "process.env.LAMBDA_TASK_ROOT", l.code);
        expect(&p, opt, "layered");
        expect(&p, "process.env.AWS_LAMBDA_FUNCTION_NAME", "f");
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
    open_lambda(&r, HD_PROCESS_SANDBOX_AUTO, true);
    set_node(&r, &l);
    const char *const env[] = {"STAGE=prod", NULL};
    l.what.env = env;
    setenv("OF_THE_NODE", "secret", 1);
    for (int warm = 0; warm < 2; warm++) {
        if (warm) {
            r.backend->ops->prewarm(r.backend, &l.what, 1);
            rig_until_warm(&r);
        }
        begin(&r, &p, &l);
        expect(
            &p, "Object.keys(process.env).filter((k) => k !== '_X_AMZN_TRACE_ID').sort().join()",
            "AWS_ACCESS_KEY_ID,AWS_DEFAULT_REGION,AWS_EXECUTION_ENV,"
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE,AWS_LAMBDA_FUNCTION_NAME,"
            "AWS_LAMBDA_FUNCTION_VERSION,AWS_LAMBDA_INITIALIZATION_TYPE,AWS_LAMBDA_LOG_FORMAT,"
            "AWS_LAMBDA_LOG_GROUP_NAME,AWS_LAMBDA_LOG_STREAM_NAME,AWS_REGION,"
            "AWS_SECRET_ACCESS_KEY,AWS_SESSION_TOKEN,AWS_XRAY_CONTEXT_MISSING,LAMBDA_RUNTIME_DIR,"
            "LAMBDA_TASK_ROOT,LANG,LD_LIBRARY_PATH,NODE_PATH,PATH,PWD,SHLVL,STAGE,TZ,_HANDLER");
        expect(&p, "process.env.STAGE + process.env._HANDLER", "prodindex.handler");
        expect(&p,
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
    open_lambda(&r, HD_PROCESS_SANDBOX_AUTO, true);
    set_node(&r, &l);
    r.backend->ops->prewarm(r.backend, &l.what, 1);
    rig_until_warm(&r);
    const char *const env[] = {"NODE_OPTIONS=--stack-trace-limit=3", NULL};
    l.what.env = env;
    uint64_t before = ticks_now();
    begin(&r, &p, &l);
    assert_true(started_at(&p) + 1 >= before); /* the one that waits cannot do it */
    expect(&p, "Error.stackTraceLimit", "3");
    finish(&r, &p);
    (void)state;
}

static void a_wrapper_starts_the_runtime(void **state)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    open_lambda(&r, HD_PROCESS_SANDBOX_AUTO, true);
    set_layered(&r, &l);
    put(&r, "layer/code/wrap",
        "#!/bin/sh\nexport WRAPPED=\"by $AWS_LAMBDA_FUNCTION_NAME\"\n"
        "exec \"$@\"\n",
        0755);
    put(&r, "layer/code/not", "#!/bin/sh\nexit 1\n", 0644);
    const char *wrapper[] = {"AWS_LAMBDA_EXEC_WRAPPER=/opt/wrap", NULL};
    l.what.env = wrapper;
    begin(&r, &p, &l);
    expect(&p, "process.env.WRAPPED", "by f");
    rig_end(&p, 0);
    probe_done(&p);
    wrapper[0] = "AWS_LAMBDA_EXEC_WRAPPER=/opt/not"; /* it cannot be run */
    begin(&r, &p, &l);
    expect(&p, "process.env.WRAPPED", "undefined");
    finish(&r, &p);
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
    open_lambda(&r, HD_PROCESS_SANDBOX_AUTO, false);
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct probe p;
        struct lambda l;
        set(&r, &l, cases[i].runtime, cases[i].id);
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

static void another_version_is_said_in_the_log(void **state)
{
    struct rig r;
    struct probe p;
    struct lambda l;
    open_lambda(&r, HD_PROCESS_SANDBOX_AUTO, false);
    struct noted n = {.r = &r, .id = "nodejs99.x"};
    look_for_note(&n.timer);
    rig_until(&r, &n.done); /* versions are asked for in the background */
    hd_timer_stop(r.loop, &n.timer);
    set_node(&r, &l);
    l.lambda.runtime_id = n.id;
    begin(&r, &p, &l);
    assert_true(probe_saw(&p, "Runtime nodejs99.x is not installed: Node.js "));
    finish(&r, &p);
    (void)state;
}

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
    open_lambda(&r, HD_PROCESS_SANDBOX_AUTO, false);
    set_node(&r, &l);
    begin(&r, &p, &l);
    hd_buf_clear(&p.lines);
    expect(&p, "fs.writeSync(1, 'raw, without an end') && console.log('a record') || 'x'", "x");
    assert_int_equal(p.lines.len, 0); /* the loop did not turn */
    flush(&r, &p);
    assert_true(probe_saw(&p, "raw, without an end\n"));
    assert_true(probe_saw(&p, "a record"));
    hd_buf_clear(&p.lines);
    expect(&p, "fs.writeSync(1, 'x'.repeat(100).concat('\\n').repeat(600)) && 'y'", "y");
    flush(&r, &p);
    unsigned n = 0;
    for (size_t i = 0; i < p.lines.len; i++)
        n += p.lines.ptr[i] == '\n';
    assert_int_equal(n, 600);
    finish(&r, &p);
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
    open_lambda(&r, HD_PROCESS_SANDBOX_AUTO, false);
    set_node(&r, &l);
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct probe p;
        begin(&r, &p, &l);
        free(eval(&p, cases[i].code));
        rig_until(&r, &p.gone);
        assert_true(p.exited && p.failed);
        assert_int_equal(p.exit.signal, cases[i].signal);
        assert_int_equal(p.exit.code, cases[i].status);
        assert_false(p.exit.oom);
        probe_done(&p);
    }
    struct probe p;
    begin(&r, &p, &l);
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
    open_lambda(&r, HD_PROCESS_SANDBOX_AUTO, false);
    if (!hd_process_enforcement(r.backend)->cgroup_memory) {
        print_message("skipped: %s\n", hd_process_enforcement(r.backend)->text);
        rig_close(&r);
        skip();
    }
    set_node(&r, &l);
    l.what.memory_mb = 128;
    begin(&r, &p, &l);
    assert_true(r.backend->ops->peak_bytes(p.h) > 8 << 20);
    free(eval(&p, "Buffer.alloc(300 << 20, 1).length"));
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
    open_lambda(r, HD_PROCESS_SANDBOX_AUTO, true);
    put(r, "f/code/bootstrap", source, mode);
    set(r, l, "provided", "provided.al2023");
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
        begin(&r, &p, &l);
        expect(&p, "os.getcwd(), os.environ['_HANDLER'], __file__",
               "('/var/task', 'any', '/var/task/bootstrap')");
        expect(&p, "open('/var/task/x', 'w')", "Read-only file system");
        expect(&p, "open('/tmp/x', 'w').write('abc')", "3");
        expect(&p, "[k for k in os.environ if k.startswith('HEDDLE_') or k == 'HOME']", "[]");
        expect(&p, "os.environ.get('AWS_EXECUTION_ENV')", "None");
        expect(&p, "os.environ['AWS_LAMBDA_LOG_GROUP_NAME']", "/aws/lambda/f");
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
    hd_auto_free char *answer = send_event(&p, "{}");
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
    open_lambda(&r, HD_PROCESS_SANDBOX_AUTO, true);
    set_node(&r, &l);
    begin(&r, &p, &l);
    snprintf(text, sizeof(text), "[s]leep 7%d", (int)getpid());
    snprintf(code, sizeof(code),
             "cp.spawn('setsid', ['sleep', '7%d'], {detached: true, stdio: 'ignore'}).unref() ?? "
             "'started'",
             (int)getpid());
    free(eval(&p, code));
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
        cmocka_unit_test(it_sees_what_it_sees_at_lambda),
        cmocka_unit_test(a_prewarmed_host_sees_the_same),
        cmocka_unit_test(tmp_is_its_own_and_has_a_size),
        cmocka_unit_test(without_a_sandbox_it_sees_real_places),
        cmocka_unit_test(its_environment_is_the_table_and_nothing_else),
        cmocka_unit_test(what_a_runtime_reads_when_it_starts_is_there_then),
        cmocka_unit_test(a_wrapper_starts_the_runtime),
        cmocka_unit_test(a_runtime_that_is_not_there_is_told),
        cmocka_unit_test(another_version_is_said_in_the_log),
        cmocka_unit_test(what_was_written_is_there_after_a_flush),
        cmocka_unit_test(how_it_ended_is_told),
        cmocka_unit_test(too_much_memory_is_told),
        cmocka_unit_test(a_bootstrap_brings_its_own_runtime),
        cmocka_unit_test(a_bootstrap_that_may_not_run_is_an_error_of_its_own),
        cmocka_unit_test(all_that_it_started_ends_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
