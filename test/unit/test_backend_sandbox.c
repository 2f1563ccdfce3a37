/* test_backend_sandbox.c - what a confined function can and cannot do, seen from inside. */
#include "backend_rig.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs what stands in the path as Python; an exception's name is the answer. */
static const char evaluator[] =
    "import os, socket, ctypes, subprocess, urllib.parse\n"
    "libc = ctypes.CDLL(None, use_errno=True)\n"
    "def call(name, *args):\n"
    "    ctypes.set_errno(0)\n"
    "    return 'ok' if getattr(libc, name)(*args) >= 0 else os.strerror(ctypes.get_errno())\n"
    "def write(path):\n"
    "    with open(path, 'w') as f:\n"
    "        f.write('x')\n"
    "    return 'written'\n"
    "def status(key):\n"
    "    for line in open('/proc/self/status'):\n"
    "        if line.startswith(key + ':'):\n"
    "            return line.split()[1]\n"
    "def connect(family, where):\n"
    "    with socket.socket(family) as s:\n"
    "        s.settimeout(5)\n"
    "        s.connect(where)\n"
    "    return 'connected'\n"
    "def handle(path):\n"
    "    try:\n"
    "        return str(eval(urllib.parse.unquote(path[1:])))\n"
    "    except Exception as e:\n"
    "        return getattr(e, 'strerror', None) or repr(e)\n";

/* Space and quotation marks are not for a request line. */
static char *eval(struct probe *p, const char *code)
{
    struct hd_buf b;
    hd_buf_init(&b, 64 << 10);
    hd_buf_char(&b, '/');
    for (; *code != '\0'; code++)
        hd_buf_fmt(&b, "%%%02x", (unsigned char)*code);
    hd_auto_free char *path = hd_buf_take(&b);
    return rig_get(p, path);
}

static void expect(struct probe *p, const char *code, const char *expected)
{
    hd_auto_free char *got = eval(p, code);
    if (strcmp(got, expected) != 0)
        fail_msg("%s: %s, expected %s", code, got, expected);
}

static void open_confined(struct rig *r, unsigned parts)
{
    rig_open(r, HD_PROCESS_SANDBOX_AUTO);
    const struct hd_process_enforcement *e = hd_process_enforcement(r->backend);
    if ((e->parts & parts) == parts)
        return;
    print_message("skipped: %s\n", e->text);
    rig_close(r);
    skip();
}

static void begin(struct rig *r, struct probe *p, struct hd_launch *what)
{
    rig_begin(r, p, what);
    rig_until_either(r, &p->ready, &p->gone);
    if (!p->ready)
        fail_msg("%s", p->err.msg);
}

static void finish(struct rig *r, struct probe *p)
{
    rig_end(p, 0);
    probe_done(p);
    rig_close(r);
}

static void it_has_no_privileges_and_gets_none(void **state)
{
    struct rig r;
    struct probe p;
    open_confined(&r, HD_SANDBOX_SECCOMP);
    rig_load(&r, &p, "f", evaluator);
    assert_true(p.ready);
    expect(&p, "status('NoNewPrivs')", "1");
    expect(&p, "status('Seccomp')", "2");
    expect(&p, "os.getuid() != 0", "True");
    expect(&p, "status('CapEff'), status('CapPrm'), status('CapInh'), status('CapAmb')",
           "('0000000000000000', '0000000000000000', '0000000000000000', '0000000000000000')");
    finish(&r, &p);
    (void)state;
}

static void dangerous_calls_are_refused(void **state)
{
    struct rig r;
    struct probe p;
    open_confined(&r, HD_SANDBOX_SECCOMP);
    rig_load(&r, &p, "f", evaluator);
    assert_true(p.ready);
    static const char *const calls[] = {
        "call('mount', b'none', b'/tmp', b'tmpfs', 0, None)",
        "call('ptrace', 0, 0, 0, 0)",  /* PTRACE_TRACEME, which anybody may do otherwise */
        "call('unshare', 0x10000000)", /* CLONE_NEWUSER */
        "call('personality', 0xffffffff)",
        "call('syscall', 298, 0, 0, 0, 0, 0)", /* x86-64: perf_event_open */
        "call('syscall', 425, 8, 0)",          /* io_uring_setup */
        "call('syscall', 250, 0, 0)",          /* x86-64: keyctl */
    };
    for (size_t i = 0; i < HD_COUNT(calls); i++)
        expect(&p, calls[i], "Operation not permitted");
    expect(&p, "subprocess.run(['/bin/echo', 'hi'], capture_output=True).stdout", "b'hi\\n'");
    finish(&r, &p);
    (void)state;
}

static void it_sees_its_own_processes_only(void **state)
{
    struct rig r;
    struct probe p;
    char code[96];
    open_confined(&r, HD_SANDBOX_PID | HD_SANDBOX_MOUNT);
    rig_load(&r, &p, "f", evaluator);
    assert_true(p.ready);
    expect(&p, "len([x for x in os.listdir('/proc') if x.isdigit()]) <= 3", "True");
    expect(&p, "open('/proc/1/fd/4', 'w')", "Permission denied");
    snprintf(code, sizeof(code), "os.kill(%d, 0)", (int)getpid());
    expect(&p, code, "No such process");
    finish(&r, &p);
    (void)state;
}

static void it_writes_where_it_may_only(void **state)
{
    struct rig r;
    struct probe p;
    char dir[128], code[256], path[200];
    open_confined(&r, HD_SANDBOX_MOUNT);
    snprintf(dir, sizeof(dir), "%s/data", r.dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    rig_write(&r, "f", evaluator);
    const char *const list[] = {dir, NULL};
    struct hd_launch what = rig_launch(&r, "f");
    what.write = list;
    begin(&r, &p, &what);
    snprintf(code, sizeof(code), "write('%s/f/main.py')", r.functions);
    expect(&p, code, "Read-only file system");
    expect(&p, "write('/etc/heddle-test')", "Read-only file system");
    expect(&p,
           "write('/var/tmp/hd-here'), write('/tmp/hd-here'), write('/dev/shm/x'),"
           "write('/dev/null')",
           "('written', 'written', 'written', 'written')");
    expect(&p, "write(os.environ['HEDDLE_RUN_DIR'] + '/x')", "written");
    snprintf(code, sizeof(code), "write('%s/x')", dir);
    expect(&p, code, "written");
    struct stat st;
    snprintf(path, sizeof(path), "%s/x", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, geteuid()); /* the folder's owner can remove it again */
    assert_int_not_equal(access("/tmp/hd-here", F_OK), 0);
    finish(&r, &p);
    (void)state;
}

static void it_sees_no_other_instance(void **state)
{
    struct rig r;
    struct probe p, other;
    char code[256];
    open_confined(&r, HD_SANDBOX_MOUNT);
    rig_load(&r, &other, "other", evaluator);
    rig_load(&r, &p, "f", evaluator);
    assert_true(p.ready && other.ready);
    expect(&p,
           "os.listdir(os.environ['HEDDLE_RUN_DIR'] + '/..') == "
           "[os.path.basename(os.environ['HEDDLE_RUN_DIR'])]",
           "True");
    snprintf(code, sizeof(code), "connect(socket.AF_UNIX, '%s')", other.at.address);
    expect(&p, code, "No such file or directory");
    rig_end(&other, 0);
    probe_done(&other);
    finish(&r, &p);
    (void)state;
}

/* The run folder may lie inside the functions folder, which is brought into the view. */
static void a_run_folder_among_the_functions_stays_hidden(void **state)
{
    struct rig r;
    struct probe p, other;
    char code[256];
    open_confined(&r, HD_SANDBOX_MOUNT);
    rig_stop(&r);
    snprintf(r.run, sizeof(r.run), "%s/.heddle/run", r.functions);
    assert_int_equal(rig_start(&r, NULL), 0);
    rig_load(&r, &other, "other", evaluator);
    rig_load(&r, &p, "f", evaluator);
    assert_true(p.ready && other.ready);
    snprintf(code, sizeof(code), "connect(socket.AF_UNIX, '%s')", other.at.address);
    expect(&p, code, "No such file or directory");
    rig_end(&other, 0);
    probe_done(&other);
    finish(&r, &p);
    (void)state;
}

static void it_sees_nothing_of_the_nodes_state(void **state)
{
    struct rig r;
    struct probe p;
    char code[256];
    open_confined(&r, HD_SANDBOX_MOUNT);
    hd_auto_free char *path = hd_printf("%s/heddle.db", r.dir);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs("secret", f);
    fclose(f);
    rig_load(&r, &p, "f", evaluator);
    assert_true(p.ready);
    snprintf(code, sizeof(code), "open('%s').read()", path);
    expect(&p, code, "No such file or directory");
    snprintf(code, sizeof(code), "os.listdir('%s')", r.functions);
    expect(&p, code, "['f']"); /* which lies in it too */
    finish(&r, &p);
    (void)state;
}

static void listed_reads_hide_the_rest(void **state)
{
    struct rig r;
    struct probe p;
    open_confined(&r, HD_SANDBOX_MOUNT);
    rig_write(&r, "f", evaluator);
    const char *const none[] = {NULL};
    struct hd_launch what = rig_launch(&r, "f");
    what.read = none;
    begin(&r, &p, &what);
    expect(&p, "os.listdir('/root'), os.listdir('/home'), os.listdir('/srv')", "([], [], [])");
    finish(&r, &p);
    (void)state;
}

static void no_network_means_none(void **state)
{
    struct rig r;
    struct probe p;
    char code[128];
    open_confined(&r, HD_SANDBOX_NET);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    snprintf(code, sizeof(code), "connect(socket.AF_INET, ('127.0.0.1', %u))", ntohs(a.sin_port));
    rig_write(&r, "f", evaluator);
    struct hd_launch what = rig_launch(&r, "f");
    begin(&r, &p, &what);
    expect(&p, code, "connected");
    rig_end(&p, 0);
    probe_done(&p);
    const char *const none[] = {NULL};
    what.net = none;
    begin(&r, &p, &what);
    expect(&p, code, "Connection refused"); /* its own loopback, where nobody listens */
    expect(&p, "[name for _, name in socket.if_nameindex() if name != 'lo']", "[]");
    close(fd);
    finish(&r, &p);
    (void)state;
}

static void memory_over_the_limit_is_the_end_of_it_alone(void **state)
{
    struct rig r;
    struct probe p, other;
    rig_open(&r, HD_PROCESS_SANDBOX_AUTO);
    if (!hd_process_enforcement(r.backend)->cgroup_memory) {
        print_message("skipped: %s\n", hd_process_enforcement(r.backend)->text);
        rig_close(&r);
        skip();
    }
    rig_load(&r, &other, "other", evaluator);
    rig_write(&r, "f", evaluator);
    struct hd_launch what = rig_launch(&r, "f");
    what.memory_mb = 64;
    begin(&r, &p, &what);
    free(eval(&p, "len(bytearray(b'x') * (256 << 20))"));
    rig_until(&r, &p.gone);
    assert_string_equal(p.err.msg, "function f: killed by SIGKILL (memory limit of 64 MB)");
    expect(&other, "1 + 1", "2");
    rig_end(&other, 0);
    probe_done(&other);
    probe_done(&p);
    rig_close(&r);
    (void)state;
}

static void the_number_of_processes_is_limited(void **state)
{
    struct rig r;
    struct probe p;
    rig_open(&r, HD_PROCESS_SANDBOX_AUTO);
    if (!hd_process_enforcement(r.backend)->cgroup_pids) {
        print_message("skipped: %s\n", hd_process_enforcement(r.backend)->text);
        rig_close(&r);
        skip();
    }
    rig_write(&r, "f", evaluator);
    struct hd_launch what = rig_launch(&r, "f");
    what.pids = 16;
    begin(&r, &p, &what);
    expect(&p, "[subprocess.Popen(['/bin/sleep', '60']) for _ in range(40)]",
           "Resource temporarily unavailable");
    finish(&r, &p); /* and all of the sleepers go with it */
    (void)state;
}

static void nobody_else_reaches_the_socket(void **state)
{
    struct rig r;
    struct probe p;
    if (geteuid() != 0) {
        print_message("skipped: only root can become another user\n");
        skip();
    }
    rig_open(&r, HD_PROCESS_SANDBOX_AUTO);
    rig_load(&r, &p, "f", evaluator);
    assert_true(p.ready);
    assert_int_equal(chmod(r.dir, 0755), 0); /* what is above it must not be what protects it */
    pid_t pid = fork();
    if (pid == 0) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        snprintf(a.sun_path, sizeof(a.sun_path), "%s", p.at.address);
        if (setgid(65534) < 0 || setuid(65534) < 0)
            _exit(99);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        _exit(connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EACCES);
    expect(&p, "1 + 1", "2");
    finish(&r, &p);
    (void)state;
}

static void what_is_enforced_is_said(void **state)
{
    struct rig r;
    rig_open(&r, HD_PROCESS_SANDBOX_OFF);
    const struct hd_process_enforcement *e = hd_process_enforcement(r.backend);
    assert_int_equal(e->parts, 0);
    assert_non_null(
        strstr(e->text, "not enforced: namespaces, own user and seccomp (switched off)"));
    rig_stop(&r);
    r.opt.sandbox = HD_PROCESS_SANDBOX_REQUIRE;
    struct hd_error err;
    int rc = rig_start(&r, &err);
    if (rc == 0) {
        e = hd_process_enforcement(r.backend);
        assert_non_null(strstr(e->text, "not enforced: nothing"));
        assert_true(e->cgroup_memory && e->cgroup_pids);
    } else {
        r.backend = NULL;
        assert_int_equal(rc, HD_EDENIED);
        assert_non_null(strstr(err.msg, "does not permit"));
    }
    rig_close(&r);
    (void)state;
}

int main(int argc, char **argv)
{
    if (strcmp(argv[0], HD_SANDBOX_ARGV0) == 0)
        return hd_sandbox_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_has_no_privileges_and_gets_none),
        cmocka_unit_test(dangerous_calls_are_refused),
        cmocka_unit_test(it_sees_its_own_processes_only),
        cmocka_unit_test(it_writes_where_it_may_only),
        cmocka_unit_test(it_sees_no_other_instance),
        cmocka_unit_test(a_run_folder_among_the_functions_stays_hidden),
        cmocka_unit_test(it_sees_nothing_of_the_nodes_state),
        cmocka_unit_test(listed_reads_hide_the_rest),
        cmocka_unit_test(no_network_means_none),
        cmocka_unit_test(memory_over_the_limit_is_the_end_of_it_alone),
        cmocka_unit_test(the_number_of_processes_is_limited),
        cmocka_unit_test(nobody_else_reaches_the_socket),
        cmocka_unit_test(what_is_enforced_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
