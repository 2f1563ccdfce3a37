#include "backend_rig.h"

#include "core/clock.h"
#include "pool/process/hostclient.h"
#include "pool/process/rundir.h"
#include "pool/process/sandbox.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAIT_MS = 10000 };
static const char fake_hosts[] = HD_SOURCE_ROOT "/test/hosts";

void rig_turn(struct rig *r)
{
    uv_run(hd_loop_uv(r->loop), UV_RUN_ONCE);
}

struct tick {
    struct hd_timer timer;
    struct hd_loop *loop;
};

/* Goes on for as long as somebody waits: no turn lasts longer than this. */
static void on_tick(struct hd_timer *t)
{
    struct tick *tick = hd_container_of(t, struct tick, timer);
    hd_timer_start(tick->loop, t, 10, on_tick);
}

void rig_until_either(struct rig *r, const bool *a, const bool *b)
{
    struct tick tick = {.loop = r->loop};
    uint64_t until = hd_clock_ms() + WAIT_MS;
    hd_timer_start(r->loop, &tick.timer, 10, on_tick);
    while (!*a && !*b && hd_clock_ms() < until)
        rig_turn(r);
    hd_timer_stop(r->loop, &tick.timer);
    assert_true(*a || *b);
}

void rig_until(struct rig *r, const bool *flag)
{
    rig_until_either(r, flag, flag);
}

struct warm_tick {
    struct hd_timer timer;
    struct rig *r;
    bool warm;
};

static void on_warm_tick(struct hd_timer *t)
{
    struct warm_tick *tick = hd_container_of(t, struct warm_tick, timer);
    tick->warm = hd_process_prewarm_ready(tick->r->backend) > 0;
    hd_timer_start(tick->r->loop, t, 2, on_warm_tick);
}

void rig_until_warm(struct rig *r)
{
    struct warm_tick tick = {.r = r};
    hd_timer_start(r->loop, &tick.timer, 0, on_warm_tick);
    rig_until(r, &tick.warm);
    hd_timer_stop(r->loop, &tick.timer);
}

int rig_start(struct rig *r, struct hd_error *err)
{
    return hd_process_new(&r->backend, &r->opt, err);
}

void rig_open(struct rig *r, enum hd_process_sandbox sandbox)
{
    rig_open_with(r, sandbox, fake_hosts, NULL);
}

static void set_up(struct rig *r, enum hd_process_sandbox sandbox, const char *runtimes,
                   const char *deno)
{
    struct hd_error err;
    snprintf(r->functions, sizeof(r->functions), "%s/functions", r->dir);
    snprintf(r->run, sizeof(r->run), "%s/run", r->dir);
    mkdir(r->functions, 0755);
    assert_int_equal(hd_loop_new(&r->loop, 0, NULL), 0);
    r->opt = (struct hd_process_options){.loop = r->loop,
                                         .runtimes_dir = runtimes,
                                         .run_dir = r->run,
                                         .functions_root = r->functions,
                                         .node_id = "test",
                                         .deno_bin = deno,
                                         .python_bin = "/usr/bin/python3",
                                         .shim_bin = HD_SHIM,
                                         .state_dir = r->dir,
                                         .bundles_dir = r->bundles[0] != '\0' ? r->bundles : NULL,
                                         .sandbox = sandbox,
                                         .start_timeout_ms = 8000};
    if (rig_start(r, &err) != 0)
        fail_msg("%s", err.msg);
}

void rig_open_with(struct rig *r, enum hd_process_sandbox sandbox, const char *runtimes,
                   const char *deno)
{
    *r = (struct rig){.closed = false};
    snprintf(r->dir, sizeof(r->dir), "/tmp/heddle-test-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    set_up(r, sandbox, runtimes, deno);
}

void rig_open_lambda(struct rig *r, enum hd_process_sandbox sandbox)
{
    *r = (struct rig){.closed = false};
    snprintf(r->dir, sizeof(r->dir), "/tmp/heddle-test-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    snprintf(r->bundles, sizeof(r->bundles), "%s/bundles", r->dir);
    assert_int_equal(mkdir(r->bundles, 0700), 0);
    set_up(r, sandbox, HD_SOURCE_ROOT "/runtimes", NULL);
}

void rig_attach_lambda(struct rig *r, enum hd_process_sandbox sandbox, const char *dir)
{
    *r = (struct rig){.closed = false};
    snprintf(r->dir, sizeof(r->dir), "%s", dir);
    snprintf(r->bundles, sizeof(r->bundles), "%s/bundles", r->dir);
    set_up(r, sandbox, HD_SOURCE_ROOT "/runtimes", NULL);
}

void rig_attach(struct rig *r, enum hd_process_sandbox sandbox, const char *dir)
{
    *r = (struct rig){.closed = false};
    snprintf(r->dir, sizeof(r->dir), "%s", dir);
    set_up(r, sandbox, fake_hosts, NULL);
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

void rig_stop(struct rig *r)
{
    r->closed = r->backend == NULL;
    if (!r->closed)
        r->backend->ops->close(r->backend, on_closed, &r->closed);
    rig_until(r, &r->closed);
    r->backend = NULL;
}

void rig_close(struct rig *r)
{
    rig_stop(r);
    hd_loop_free(r->loop);
    hd_remove_tree(r->dir);
}

void rig_write(struct rig *r, const char *name, const char *source)
{
    hd_auto_free char *dir = hd_printf("%s/%s", r->functions, name);
    hd_auto_free char *file = hd_printf("%s/main.py", dir);
    mkdir(dir, 0755);
    FILE *f = fopen(file, "we");
    assert_non_null(f);
    fputs(source, f);
    fclose(f);
}

struct hd_launch rig_launch(struct rig *r, const char *name)
{
    static char entry[256];
    snprintf(entry, sizeof(entry), "%s/%s/main.py", r->functions, name);
    return (struct hd_launch){.function = name,
                              .version = "00",
                              .runtime = "python",
                              .root = r->functions,
                              .entry = entry,
                              .timeout_ms = 1000};
}

static void on_ready(void *owner, const struct hd_endpoint *at, const struct hd_declared *declared)
{
    struct probe *p = owner;
    p->ready = true;
    p->at = *at;
    p->declared = *declared;
    if (declared->kind != NULL)
        snprintf(p->kind, sizeof(p->kind), "%s", declared->kind);
    if (declared->imports != NULL && declared->imports[0] != NULL)
        snprintf(p->import0, sizeof(p->import0), "%s", declared->imports[0]);
}

static void on_gone(void *owner, const struct hd_error *err)
{
    struct probe *p = owner;
    assert_false(p->gone);
    p->gone = true;
    p->failed = err != NULL;
    if (err != NULL)
        p->err = *err;
}

static void on_exit_told(void *owner, const struct hd_exit_status *how)
{
    struct probe *p = owner;
    assert_false(p->exited || p->gone);
    p->exited = true;
    p->exit = *how;
}

static void on_line(void *owner, struct hd_str id, int level, struct hd_str text)
{
    struct probe *p = owner;
    p->n_lines++;
    hd_buf_fmt(&p->lines, "%.*s|%d|%.*s\n", HD_FMT(id), level, HD_FMT(text));
}

void rig_begin(struct rig *r, struct probe *p, const struct hd_launch *what)
{
    static const struct hd_backend_events events = {
        .on_ready = on_ready, .on_gone = on_gone, .on_line = on_line, .on_exit = on_exit_told};
    *p = (struct probe){.rig = r};
    hd_buf_init(&p->lines, 64 << 20);
    p->h = r->backend->ops->launch(r->backend, what, &events, p);
}

void rig_load(struct rig *r, struct probe *p, const char *name, const char *source)
{
    rig_write(r, name, source);
    struct hd_launch what = rig_launch(r, name);
    rig_begin(r, p, &what);
    rig_until_either(r, &p->ready, &p->gone);
}

struct got {
    bool done;
    char *body;
};

static void on_got(void *arg, const struct hd_hostcall_answer *a)
{
    struct got *g = arg;
    g->done = true;
    g->body = a->rc == 0 ? hd_strdup_n(a->body) : hd_printf("! %s", a->err->msg);
}

char *rig_get(struct probe *p, const char *path)
{
    struct got g = {.done = false};
    struct hd_hostcall_request req = {
        .at = {p->at}, .n_at = 1, .method = "GET", .path = path, .within_ms = 5000};
    hd_hostcall_start(p->rig->loop, &req, on_got, &g);
    rig_until(p->rig, &g.done);
    return g.body;
}

static void on_pong(void *owner, int rc)
{
    struct probe *p = owner;
    p->ponged = true;
    p->pong = rc;
}

int rig_ping(struct probe *p, uint32_t within_ms)
{
    p->ponged = false;
    p->rig->backend->ops->ping(p->h, within_ms, on_pong, p);
    rig_until(p->rig, &p->ponged);
    return p->pong;
}

void rig_end(struct probe *p, uint32_t grace_ms)
{
    if (!p->gone)
        p->rig->backend->ops->terminate(p->h, grace_ms);
    rig_until(p->rig, &p->gone);
}

bool probe_saw(struct probe *p, const char *text)
{
    hd_buf_char(&p->lines, '\0');
    p->lines.len--;
    return strstr(p->lines.ptr, text) != NULL;
}

void probe_done(struct probe *p)
{
    hd_buf_done(&p->lines);
}
