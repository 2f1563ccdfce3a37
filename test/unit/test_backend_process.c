/* test_backend_process.c - real processes through the backend: ready, output, crash, end. */
#include "backend_rig.h"

#include "core/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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
    assert_true(probe_saw(&p, "|1|raw out\n"));
    assert_true(probe_saw(&p, "|2|raw err\n"));
    assert_true(probe_saw(&p, "inv-1|3|with id\n"));
    assert_true(probe_saw(&p, "|1|no line break\n"));
    assert_false(probe_saw(&p, "forged|"));
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
    assert_true(
        probe_saw(&p, "|3|Traceback (most recent call last):\n")); /* one record, all of it */
    assert_true(probe_saw(&p, "\nValueError: no key in sight\n"));
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
    rig_until_warm(&r);
    assert_true(hd_process_prewarm_rss_bytes(r.backend) > 1 << 20);
    rig_begin(&r, &p, &what);
    assert_int_equal(hd_process_prewarm_ready(r.backend), 0);
    rig_until(&r, &p.ready);
    rig_until_warm(&r); /* the next one */
    hd_auto_free char *pid = rig_get(&p, "/");
    uint64_t number = 0;
    assert_int_equal(hd_str_to_u64(&number, hd_str(pid)), 0);
    assert_true(number > 0);
    rig_end(&p, 0);
    assert_false(p.failed);
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

static void the_stop_ladder_goes_drain_term_kill(void **state)
{
    struct rig r;
    struct probe p;
    rig_open(&r, HD_PROCESS_SANDBOX_OFF);
    rig_load(&r, &p, "stubborn",
             "on_term = lambda: log('term')\n"
             "on_drain = lambda: log('drain')\n");
    assert_true(p.ready);
    rig_end(&p, 600);
    assert_false(p.failed);
    assert_string_equal((hd_buf_char(&p.lines, '\0'), p.lines.ptr), "|1|drain\n|1|term\n");
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

static void a_polite_function_ends_before_the_grace_is_over(void **state)
{
    struct rig r;
    struct probe p;
    rig_open(&r, HD_PROCESS_SANDBOX_AUTO);
    rig_load(&r, &p, "polite", "def handle(path):\n    return ''\n");
    assert_true(p.ready);
    rig_end(&p, 60000); /* the rig waits for ten seconds */
    assert_false(p.failed);
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

static void a_shorter_grace_shortens_the_end(void **state)
{
    struct rig r;
    struct probe p;
    rig_open(&r, HD_PROCESS_SANDBOX_OFF);
    rig_load(&r, &p, "long", "import time\non_drain = lambda: time.sleep(60)\n");
    assert_true(p.ready);
    r.backend->ops->terminate(p.h, 60000);
    r.backend->ops->terminate(p.h, 90000); /* no longer again */
    rig_end(&p, 50);
    assert_false(p.failed);
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

static void a_stopped_process_does_not_answer_a_ping_and_still_ends(void **state)
{
    struct rig r;
    struct probe p;
    rig_open(&r, HD_PROCESS_SANDBOX_AUTO);
    rig_load(&r, &p, "stopped",
             "import os, signal, threading\n"
             "def handle(path):\n"
             "    threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGSTOP)).start()\n"
             "    return ''\n");
    assert_true(p.ready);
    assert_int_equal(rig_ping(&p, 5000), 0);
    free(rig_get(&p, "/"));
    int rc = 0;
    for (uint64_t until = hd_clock_ms() + 5000; rc == 0 && hd_clock_ms() < until;)
        rc = rig_ping(&p, 300);
    assert_int_equal(rc, HD_ETIMEOUT);
    rig_end(&p, 100);
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

static void what_is_not_loaded_in_time_is_ended_and_said(void **state)
{
    struct rig r;
    struct probe p;
    rig_open(&r, HD_PROCESS_SANDBOX_OFF);
    rig_stop(&r);
    r.opt.start_timeout_ms = 400;
    assert_int_equal(rig_start(&r, NULL), 0);
    rig_load(&r, &p, "slow", "import time\ntime.sleep(60)\n");
    rig_until(&r, &p.gone);
    assert_int_equal(p.err.code, HD_ETIMEOUT);
    assert_string_equal(p.err.msg, "function slow: was not loaded within 400 ms");
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

static const char program[] =
    "import os, socket, sys\n"
    "from http.server import BaseHTTPRequestHandler, HTTPServer\n"
    "class H(BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        self.send_response(404 if self.path == '/health' else 200)\n"
    "        body = os.environ['K'].encode()\n"
    "        self.send_header('Content-Length', str(len(body)))\n"
    "        self.end_headers()\n"
    "        self.wfile.write(body)\n"
    "    def address_string(self):\n"
    "        return 'node'\n"
    "class S(HTTPServer):\n"
    "    if sys.argv[1] == 'unix':\n"
    "        address_family = socket.AF_UNIX\n"
    "        server_bind = lambda self: self.socket.bind(self.server_address)\n"
    "        get_request = lambda self: (self.socket.accept()[0], ('', 0))\n"
    "S(os.environ['HEDDLE_SOCKET'] if sys.argv[1] == 'unix'\n"
    "  else ('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()\n";

static void a_program_may_listen_on_the_socket_or_the_port(void **state)
{
    struct rig r;
    rig_open(&r, HD_PROCESS_SANDBOX_AUTO);
    rig_write(&r, "prog", program);
    const char *const env[] = {"K=value", NULL};
    static const char *const ways[] = {"unix", "port"};
    for (size_t i = 0; i < 2; i++) {
        struct probe p;
        const char *const argv[] = {"/usr/bin/python3", "./main.py", ways[i], NULL};
        struct hd_launch what = rig_launch(&r, "prog");
        what.runtime = "http";
        what.argv = argv;
        what.env = env;
        what.health_path = "/health";
        rig_begin(&r, &p, &what);
        rig_until_either(&r, &p.ready, &p.gone);
        if (!p.ready)
            fail_msg("%s", p.err.msg);
        assert_int_equal(p.at.kind, i == 0 ? HD_ENDPOINT_UNIX : HD_ENDPOINT_TCP);
        hd_auto_free char *body = rig_get(&p, "/x");
        assert_string_equal(body, "value");
        assert_int_equal(rig_ping(&p, 2000), 0);
        rig_end(&p, 1000);
        assert_false(p.failed);
        probe_done(&p);
    }
    rig_close(&r);
    (void)state;
}

static void a_program_that_is_not_there_is_named(void **state)
{
    struct rig r;
    struct probe p;
    rig_open(&r, HD_PROCESS_SANDBOX_AUTO);
    rig_write(&r, "prog", "");
    const char *const argv[] = {"./missing", NULL};
    struct hd_launch what = rig_launch(&r, "prog");
    what.runtime = "http";
    what.argv = argv;
    rig_begin(&r, &p, &what);
    rig_until(&r, &p.gone);
    assert_string_equal(p.err.msg, "function prog: could not be started: ./missing: No such file "
                                   "or directory");
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

static unsigned open_fds(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static void no_descriptor_is_left_behind(void **state)
{
    struct rig r;
    rig_open(&r, HD_PROCESS_SANDBOX_AUTO);
    unsigned before = 0;
    for (int i = 0; i < 4; i++) {
        struct probe p;
        rig_load(&r, &p, "fds", i % 2 == 0 ? "def handle(path):\n    return ''\n" : "1/0\n");
        rig_end(&p, 0);
        probe_done(&p);
        if (i == 0)
            before = open_fds(); /* libuv keeps some from its first use on */
    }
    assert_int_equal(open_fds(), before);
    rig_close(&r);
    (void)state;
}

static void a_flood_of_output_waits_in_the_function(void **state)
{
    struct rig r;
    struct probe flood, other;
    rig_open(&r, HD_PROCESS_SANDBOX_OFF);
    rig_load(&r, &flood, "flood",
             "import sys, threading\n"
             "def run():\n"
             "    while True:\n"
             "        sys.stdout.write('x' * 99 + '\\n')\n"
             "def handle(path):\n"
             "    threading.Thread(target=run, daemon=True).start()\n"
             "    return 'begun'\n");
    rig_load(&r, &other, "other", "def handle(path):\n    return 'fine'\n");
    assert_true(flood.ready && other.ready);
    free(rig_get(&flood, "/"));
    uint64_t begin = hd_clock_ms();
    while (flood.lines.len < (1 << 20)) {
        hd_auto_free char *body = rig_get(&other, "/");
        assert_string_equal(body, "fine");
    }
    /* A window of 100 ms lets 256 KiB pass, and each line costs 64 bytes more than it has. */
    assert_true(hd_clock_ms() - begin >= 400);
    rig_end(&flood, 0);
    rig_end(&other, 0);
    probe_done(&flood);
    probe_done(&other);
    rig_close(&r);
    (void)state;
}

static void a_second_node_is_refused(void **state)
{
    struct rig r;
    struct hd_error err;
    struct hd_backend *second = NULL;
    char expected[300];
    rig_open(&r, HD_PROCESS_SANDBOX_OFF);
    assert_int_equal(hd_process_new(&second, &r.opt, &err), HD_EBUSY);
    snprintf(expected, sizeof(expected),
             "run folder: %s is already served by pid %d; stop that one first, or give this one a "
             "folder of its own (--data-dir)",
             r.run, (int)getpid());
    assert_string_equal(err.msg, expected);
    rig_close(&r);
    (void)state;
}

static void closing_ends_what_runs_and_what_is_prewarmed(void **state)
{
    struct rig r;
    struct probe p;
    rig_open(&r, HD_PROCESS_SANDBOX_AUTO);
    rig_load(&r, &p, "alive", "def handle(path):\n    return ''\n");
    struct hd_launch what = rig_launch(&r, "alive");
    r.backend->ops->prewarm(r.backend, &what, 2);
    rig_turn(&r);
    rig_stop(&r);
    assert_true(p.gone);
    assert_false(p.failed);
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

/* --- a node that dies without a word --- */

/* Be a node in @p dir with one instance and one prewarmed host, until somebody kills us. */
static int be_node(const char *dir, enum hd_process_sandbox sandbox)
{
    struct rig r;
    struct probe p;
    rig_attach(&r, sandbox, dir);
    rig_load(&r, &p, "orphan", "def handle(path):\n    return ''\n");
    struct hd_launch what = rig_launch(&r, "orphan");
    r.backend->ops->prewarm(r.backend, &what, 1);
    rig_until_warm(&r);
    if (!p.ready || write(STDOUT_FILENO, "+", 1) != 1)
        return 1;
    for (;;)
        rig_turn(&r);
}

static pid_t start_node(const char *dir, enum hd_process_sandbox sandbox)
{
    int up[2];
    char mode[2] = {(char)('0' + sandbox), '\0'}, c = 0;
    assert_int_equal(pipe2(up, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(up[1], STDOUT_FILENO);
        execl("/proc/self/exe", "node", dir, mode, (char *)NULL);
        _exit(127);
    }
    close(up[1]);
    assert_int_equal(read(up[0], &c, 1), 1);
    close(up[0]);
    return pid;
}

/* The process of a record, and the first cgroup in it ("" if there is none). */
static pid_t read_record(const char *run, int serial, char cgroup[256])
{
    char path[160];
    int pid = 0;
    snprintf(path, sizeof(path), "%s/%d.pid", run, serial);
    FILE *f = fopen(path, "re");
    cgroup[0] = '\0';
    if (f == NULL)
        return 0;
    if (fscanf(f, "%*s %d %*u\n%255s", &pid, cgroup) < 1)
        pid = 0;
    fclose(f);
    return pid;
}

static bool runs(pid_t pid)
{
    char path[48], state = 'Z';
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
        state = 'Z';
    fclose(f);
    return state != 'Z' && state != 'X'; /* whoever inherits it may be slow to bury it */
}

static void nothing_outlives_a_node_that_is_killed(void **state)
{
    static const enum hd_process_sandbox modes[] = {HD_PROCESS_SANDBOX_OFF,
                                                    HD_PROCESS_SANDBOX_AUTO};
    for (size_t i = 0; i < HD_COUNT(modes); i++) {
        struct rig r;
        struct hd_error err;
        pid_t children[16];
        char cgroups[16][256];
        unsigned n = 0, alive = 0;
        rig_open(&r, modes[i]);
        rig_stop(&r);
        pid_t node = start_node(r.dir, modes[i]);
        for (int serial = 1; serial < 16; serial++)
            if ((children[n] = read_record(r.run, serial, cgroups[n])) > 0)
                alive += runs(children[n++]);
        assert_int_equal(n, 2);
        assert_int_equal(alive, 2);
        kill(node, SIGKILL);
        waitpid(node, NULL, 0);
        uint64_t until = hd_clock_ms() + 5000;
        for (unsigned k = 0; k < n; k++)
            while (runs(children[k]) && hd_clock_ms() < until)
                sched_yield();
        assert_true(hd_clock_ms() < until);

        assert_int_equal(rig_start(&r, &err), 0);
        assert_int_equal(r.backend->ops->reap_stale(r.backend, &err), 0);
        for (unsigned k = 0; k < n; k++)
            assert_true(cgroups[k][0] == '\0' || access(cgroups[k], F_OK) != 0);
        struct probe p;
        rig_load(&r, &p, "orphan", "def handle(path):\n    return ''\n");
        if (!p.ready)
            fail_msg("%s", p.err.msg);
        rig_end(&p, 0);
        probe_done(&p);
        rig_close(&r);
    }
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
    if (strcmp(argv[0], "node") == 0 && argc == 3)
        return be_node(argv[1], (enum hd_process_sandbox)(argv[2][0] - '0'));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_function_loads_answers_and_ends),
        cmocka_unit_test(output_comes_by_line_with_id_and_level),
        cmocka_unit_test(a_load_that_fails_says_why),
        cmocka_unit_test(a_crash_is_reported_with_its_last_words),
        cmocka_unit_test(a_prewarmed_host_is_taken_and_replaced),
        cmocka_unit_test(the_stop_ladder_goes_drain_term_kill),
        cmocka_unit_test(a_polite_function_ends_before_the_grace_is_over),
        cmocka_unit_test(a_shorter_grace_shortens_the_end),
        cmocka_unit_test(a_stopped_process_does_not_answer_a_ping_and_still_ends),
        cmocka_unit_test(what_is_not_loaded_in_time_is_ended_and_said),
        cmocka_unit_test(a_program_may_listen_on_the_socket_or_the_port),
        cmocka_unit_test(a_program_that_is_not_there_is_named),
        cmocka_unit_test(no_descriptor_is_left_behind),
        cmocka_unit_test(a_flood_of_output_waits_in_the_function),
        cmocka_unit_test(a_second_node_is_refused),
        cmocka_unit_test(closing_ends_what_runs_and_what_is_prewarmed),
        cmocka_unit_test(nothing_outlives_a_node_that_is_killed),
        cmocka_unit_test(an_unknown_runtime_is_refused_later_not_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
