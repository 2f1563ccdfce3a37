/*            load          all asked           first event
 *   EMPTY ─────────► INIT ─────────────► READY              STALE ─────────────► INIT again
 *                     │ error, exit         │ exit, deadline   ▲
 *                     ▼                     ▼                  │ too long
 *                  FAILED ──first event► ENDING ◄──SIGTERM   INIT
 *
 *   ENDING:  runtime has SIGTERM ─► extensions have SHUTDOWN ─► all is killed ─► output is written
 */
#include "shim/shim.h"

#include "shim/envtable.h"
#include "shim/tree.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
    REST_MS = 100,             /* for output that is still to come when the runtime ended */
    CUT_MS = 50,               /* an answer broke off: so long the runtime may end */
    EXTERNAL_MS = 2000,        /* the shutdown phase with external extensions ... */
    EXTERNAL_RUNTIME_MS = 600, /* ... of which the runtime gets this */
    INTERNAL_MS = 500,
    KILLED_MS = 2000, /* until everything is gone that was killed */
    FLUSH_MS = 1000,  /* until what was said is read */
    LOOK_MS = 10,
    HISTORY_BYTES = 512 << 10, /* more than telemetry.c keeps */
    NEAR_MS = 250,             /* the node's deadline may be a little before ours */
};

static bool is_free(const struct hd_shim *s)
{
    bool asks = s->front.state == HD_SHIM_FRONT_ON || s->rapi.phase == HD_RAPI_WAITING;
    return asks && s->front.conn == NULL && hd_exts_all_waiting(&s->exts);
}

static uint64_t now_ms(const struct hd_shim *s)
{
    return hd_loop_now_ms(s->loop);
}

/* --- init --- */

static void on_init_timeout(struct hd_timer *t);
static void on_deadline(struct hd_timer *t);

static void watch_deadline(struct hd_shim *s, const struct hd_shim_event *ev)
{
    uint64_t now = now_ms(s);
    if (ev->due_ms != 0)
        hd_timer_start(s->loop, &s->deadline, ev->due_ms > now ? ev->due_ms - now : 0, on_deadline);
}

static const char *initialization_type(const struct hd_shim *s)
{
    const char *type = hd_envtable_get(s->load->env, "AWS_LAMBDA_INITIALIZATION_TYPE");
    return type != NULL && strcmp(type, "provisioned-concurrency") == 0 ? type : "on-demand";
}

static void begin(struct hd_shim *s)
{
    struct hd_failure fault = {0};
    s->phase = HD_SHIM_INIT;
    s->rapi = (struct hd_rapi){0};
    s->exts = (struct hd_exts){.no_runtime = true};
    s->runtime_started = s->runtime_ended = false;
    s->init_began_ms = now_ms(s);
    hd_shim_telemetry_close(s); /* of an init before this one */
    hd_buf_init(&s->history, HISTORY_BYTES);
    hd_shim_telemetry(s, "platform.initStart", "{\"initializationType\":\"%s\",\"phase\":\"%s\"}",
                      initialization_type(s), s->held == NULL ? "init" : "invoke");
    if (s->held == NULL || s->held->due_ms == 0)
        hd_timer_start(s->loop, &s->init_timer, s->load->init_timeout_ms, on_init_timeout);
    else
        watch_deadline(s, s->held);
    if (hd_shim_start_extensions(s, &fault) < 0)
        hd_shim_failed(s, &fault);
    else
        hd_shim_step(s);
    hd_failure_done(&fault);
}

void hd_shim_load(struct hd_shim *s, struct hd_loadreq *load)
{
    s->load = load;
    begin(s);
}

/* Everything that was started is killed and forgotten; who asks for it is not answered. */
static void clear(struct hd_shim *s)
{
    hd_rapi_end(&s->rapi);
    hd_shim_api_drop_next(s);
    hd_shim_ext_drop(s);
    hd_timer_stop(s->loop, &s->init_timer);
    hd_timer_stop(s->loop, &s->rest);
    hd_timer_stop(s->loop, &s->cut);
    hd_tree_signal(getpid(), SIGKILL);
    hd_shim_drain_output(s);
    hd_shim_close_programs(s);
    hd_shim_direct_close(s);
    hd_shim_front_stop(s);
}

static void on_init_timeout(struct hd_timer *t)
{
    struct hd_shim *s = hd_container_of(t, struct hd_shim, init_timer);
    char text[120];
    snprintf(text, sizeof(text),
             "INIT_REPORT Init Duration: %llu.00 ms\tPhase: init\tStatus: timeout",
             (unsigned long long)(now_ms(s) - s->init_began_ms));
    hd_shim_sink_line(s, hd_str_n(NULL, 0), "warn", hd_str(text));
    if (s->held != NULL && s->load_ex == NULL) { /* it was begun again, for an event */
        struct hd_failure fault = {0};
        hd_failure_set(&fault, "Sandbox.Timedout", "Init timed out after %.2f seconds",
                       (double)s->load->init_timeout_ms / 1000);
        hd_shim_failed(s, &fault);
        hd_failure_done(&fault);
        return;
    }
    clear(s);
    hd_shim_sink_flush(s);
    s->phase = HD_SHIM_STALE;
    hd_shim_up_loaded(s, "provided");
    hd_shim_step(s);
}

static void init_step(struct hd_shim *s)
{
    struct hd_failure fault = {0};
    if (!s->runtime_started && hd_exts_all_registered(&s->exts)) {
        s->runtime_started = true;
        s->exts.no_runtime = false;
        if (hd_shim_start_runtime(s, &fault) < 0)
            hd_shim_failed(s, &fault);
        else
            hd_shim_front_look(s);
        hd_failure_done(&fault);
        return;
    }
    if (!s->runtime_started || !is_free(s))
        return;
    s->phase = HD_SHIM_READY;
    s->init_took_ms = HD_MAX(now_ms(s) - s->init_began_ms, (uint64_t)1);
    hd_timer_stop(s->loop, &s->init_timer);
    hd_shim_drain_output(s);
    hd_shim_telemetry(s, "platform.initRuntimeDone",
                      "{\"initializationType\":\"%s\",\"phase\":\"init\",\"status\":\"success\"}",
                      initialization_type(s));
    hd_shim_telemetry(s, "platform.initReport",
                      "{\"initializationType\":\"%s\",\"phase\":\"init\","
                      "\"metrics\":{\"durationMs\":%llu}}",
                      initialization_type(s), (unsigned long long)s->init_took_ms);
    s->exts.closed = true;
    hd_buf_done(&s->history);
    hd_shim_up_loaded(s, "provided");
}

void hd_shim_direct_taken(struct hd_shim *s)
{
    s->phase = HD_SHIM_DIRECT;
    hd_shim_front_stop(s);
    hd_rapi_end(&s->rapi);
    hd_shim_api_drop_next(s);
    hd_timer_stop(s->loop, &s->init_timer);
    hd_timer_stop(s->loop, &s->deadline);
    hd_shim_event_refuse(s, "the function listens for itself now");
    hd_server_drain(s->up);
    hd_shim_up_loaded(s, "native");
    hd_shim_step(s);
}

/* It has what it serves to finish, and who ended it waits for that. */
static void direct_step(struct hd_shim *s)
{
    pid_t pid = s->programs[HD_SHIM_RUNTIME].pid;
    if (s->asked_to_end && !s->told_to_end && pid != 0) {
        s->told_to_end = true;
        kill(pid, SIGTERM);
    }
}

/* --- one event after another --- */

static void on_deadline(struct hd_timer *t)
{
    struct hd_shim *s = hd_container_of(t, struct hd_shim, deadline);
    struct hd_failure fault = {0};
    if (s->event == NULL)
        s->event = hd_steal(s->held); /* its time went with an init */
    if (s->event == NULL)
        return;
    hd_failure_set(&fault, "Sandbox.Timedout", "Task timed out after %.2f seconds",
                   (double)s->event->limit_ms / 1000);
    hd_shim_event_fault(s, &fault, true);
    hd_failure_done(&fault);
    hd_shim_end(s, HD_SHIM_TIMEOUT);
}

static void ready_step(struct hd_shim *s)
{
    if (s->event != NULL && s->event->answered && is_free(s))
        hd_shim_event_over(s);
    if (s->event == NULL && s->held != NULL && s->held->whole && is_free(s) &&
        (s->front.state == HD_SHIM_FRONT_ON || hd_shim_api_is_open(s))) {
        s->event = hd_steal(s->held);
        watch_deadline(s, s->event);
        hd_shim_event_give(s);
    }
}

static void failed_step(struct hd_shim *s)
{
    if (s->held == NULL || !s->held->whole)
        return;
    s->event = hd_steal(s->held);
    hd_shim_event_fault(s, &s->fault, true);
    hd_shim_end(s, HD_SHIM_FAILURE);
}

static void end_step(struct hd_shim *s);
static void on_rest(struct hd_timer *t);

static bool runtime_is_silent(const struct hd_shim *s)
{
    const struct hd_shim_program *p = &s->programs[HD_SHIM_RUNTIME];
    return !hd_shim_output_is_open(&p->out) && !hd_shim_output_is_open(&p->err);
}

void hd_shim_step(struct hd_shim *s)
{
    hd_shim_event_step(s);
    if (s->runtime_ended && hd_timer_active(&s->rest) && runtime_is_silent(s)) {
        hd_timer_stop(s->loop, &s->rest);
        on_rest(&s->rest);
        return;
    }
    if (s->phase == HD_SHIM_INIT)
        init_step(s);
    if (s->phase == HD_SHIM_READY)
        ready_step(s);
    if (s->phase == HD_SHIM_DIRECT) {
        direct_step(s);
        return;
    }
    if (s->phase == HD_SHIM_FAILED)
        failed_step(s);
    if (s->phase == HD_SHIM_STALE && s->held != NULL && s->held->whole) {
        begin(s);
        return;
    }
    if (s->phase == HD_SHIM_ENDING) {
        end_step(s);
        return;
    }
    hd_shim_up_drained(s);
    if (s->asked_to_end && s->event == NULL && s->held == NULL)
        hd_shim_end(s, HD_SHIM_SPINDOWN);
}

/* --- failures --- */

void hd_shim_failed(struct hd_shim *s, struct hd_failure *fault)
{
    bool answered = s->event != NULL && s->event->answered;
    switch (s->phase) {
    case HD_SHIM_INIT:
        if (s->held == NULL || s->load_ex != NULL) {
            s->fault = *fault;
            *fault = (struct hd_failure){0};
            s->phase = HD_SHIM_FAILED;
            clear(s);
            hd_shim_up_loaded(s, "init-failed");
            hd_shim_step(s);
            return;
        }
        s->event = hd_steal(s->held);
        hd_shim_event_fault(s, fault, true);
        hd_shim_end(s, HD_SHIM_FAILURE);
        return;
    case HD_SHIM_READY:
        if (s->event != NULL && !answered)
            hd_shim_event_fault(s, fault, true);
        hd_shim_end(s, HD_SHIM_FAILURE);
        return;
    case HD_SHIM_DIRECT:
        hd_shim_end(s, s->asked_to_end ? HD_SHIM_SPINDOWN : HD_SHIM_FAILURE);
        return;
    case HD_SHIM_EMPTY:
    case HD_SHIM_FAILED:
    case HD_SHIM_STALE:
    case HD_SHIM_ENDING:
        return;
    }
}

static void on_cut(struct hd_timer *t)
{
    struct hd_shim *s = hd_container_of(t, struct hd_shim, cut);
    struct hd_failure fault = {0};
    if (s->runtime_ended || s->event == NULL)
        return;
    hd_failure_set(&fault, "Runtime.TruncatedResponse",
                   "the runtime broke its response off before it was complete");
    hd_shim_event_fault(s, &fault, false);
    hd_failure_done(&fault);
    hd_shim_step(s);
}

void hd_shim_cut(struct hd_shim *s)
{
    if (s->front.state != HD_SHIM_FRONT_ON)
        hd_rapi_answered(&s->rapi);
    if (s->phase == HD_SHIM_READY)
        hd_timer_start(s->loop, &s->cut, CUT_MS, on_cut);
}

/* The runtime ended, and what it wrote before is read. */
static void on_rest(struct hd_timer *t)
{
    struct hd_shim *s = hd_container_of(t, struct hd_shim, rest);
    struct hd_failure fault = {0};
    hd_failure_exit(&fault, "Runtime.ExitError", "Runtime", s->runtime_status);
    hd_shim_failed(s, &fault);
    hd_failure_done(&fault);
}

void hd_shim_ended(struct hd_shim *s, struct hd_shim_program *p, int status)
{
    bool running =
        s->phase == HD_SHIM_INIT || s->phase == HD_SHIM_READY || s->phase == HD_SHIM_DIRECT;
    hd_shim_output_drain(&p->out);
    hd_shim_output_drain(&p->err);
    if (p == &s->programs[HD_SHIM_RUNTIME]) {
        s->runtime_ended = true;
        s->runtime_status = status;
        if (running)
            hd_timer_start(s->loop, &s->rest, REST_MS, on_rest);
    } else {
        hd_exts_gone(&s->exts, hd_str(p->name));
        if (running) {
            struct hd_failure fault = {0};
            hd_auto_free char *who = hd_printf("extension %s", p->name);
            hd_failure_exit(&fault, "Extension.Crash", who, status);
            hd_shim_failed(s, &fault);
            hd_failure_done(&fault);
        }
    }
    if (s->phase != HD_SHIM_ENDING || s->end_step < HD_END_ALL)
        hd_shim_step(s);
}

/* --- the end --- */

static void on_end_timer(struct hd_timer *t)
{
    end_step(hd_container_of(t, struct hd_shim, end_timer));
}

static void wait_until(struct hd_shim *s, uint64_t due_ms)
{
    uint64_t now = now_ms(s);
    s->end_due_ms = due_ms;
    hd_timer_start(s->loop, &s->end_timer, due_ms > now ? due_ms - now : 0, on_end_timer);
}

static bool extensions_run(const struct hd_shim *s)
{
    for (int i = 1; i < HD_SHIM_PROGRAMS_MAX; i++)
        if (s->programs[i].pid != 0)
            return true;
    return false;
}

static void kill_runtime(struct hd_shim *s)
{
    pid_t pid = s->programs[HD_SHIM_RUNTIME].pid;
    hd_shim_api_drop_next(s);
    if (pid != 0)
        hd_tree_signal(pid, SIGKILL);
}

static void kill_all(struct hd_shim *s)
{
    hd_shim_api_drop_next(s);
    hd_shim_ext_drop(s);
    s->end_step = HD_END_ALL;
    hd_tree_signal(getpid(), SIGKILL);
    s->end_due_ms = now_ms(s) + KILLED_MS;
    hd_timer_start(s->loop, &s->end_timer, LOOK_MS, on_end_timer);
}

void hd_shim_end(struct hd_shim *s, enum hd_shim_reason reason)
{
    bool external, any = hd_exts_any(&s->exts, &external);
    uint32_t budget = external ? EXTERNAL_MS : any ? INTERNAL_MS : s->opt.grace_ms;
    pid_t runtime = s->programs[HD_SHIM_RUNTIME].pid;
    uint64_t now = now_ms(s);
    if (s->phase == HD_SHIM_ENDING)
        return;
    s->phase = HD_SHIM_ENDING;
    s->reason = reason;
    s->exit_code = reason == HD_SHIM_SPINDOWN ? 0 : 1;
    hd_timer_stop(s->loop, &s->init_timer);
    hd_timer_stop(s->loop, &s->deadline);
    hd_timer_stop(s->loop, &s->rest);
    hd_timer_stop(s->loop, &s->cut);
    hd_rapi_end(&s->rapi);
    hd_shim_front_stop(s);
    hd_shim_event_refuse(s, "this instance ends");
    hd_shim_event_report(s);
    hd_shim_telemetry_flush(s);
    hd_server_drain(s->up);
    if (budget == 0) {
        kill_all(s);
    } else if (reason == HD_SHIM_SPINDOWN && runtime != 0) {
        s->end_step = HD_END_RUNTIME;
        kill(-runtime, SIGTERM);
        wait_until(s, now + (external ? EXTERNAL_RUNTIME_MS : budget));
    } else if (external) {
        s->end_step = HD_END_EXTENSIONS;
        wait_until(s, now + budget);
        hd_shim_ext_shutdown(s);
        kill_runtime(s);
    } else {
        kill_all(s);
    }
}

static void stop(struct hd_shim *s)
{
    hd_timer_stop(s->loop, &s->end_timer);
    hd_loop_stop(s->loop);
}

static void end_step(struct hd_shim *s)
{
    uint64_t now = now_ms(s);
    bool due = now >= s->end_due_ms;
    bool external;
    switch (s->end_step) {
    case HD_END_RUNTIME:
        if (s->programs[HD_SHIM_RUNTIME].pid != 0 && !due)
            return;
        hd_exts_any(&s->exts, &external);
        if (external && extensions_run(s)) {
            s->end_step = HD_END_EXTENSIONS;
            wait_until(s, now + EXTERNAL_MS - EXTERNAL_RUNTIME_MS);
            kill_runtime(s);
            hd_shim_ext_shutdown(s);
            return;
        }
        kill_all(s);
        return;
    case HD_END_EXTENSIONS:
        if (!extensions_run(s) || due)
            kill_all(s);
        return;
    case HD_END_ALL:
        if (hd_shim_reap(s) && !due) {
            hd_timer_start(s->loop, &s->end_timer, LOOK_MS, on_end_timer);
            return;
        }
        s->end_step = HD_END_FLUSH;
        hd_shim_drain_output(s);
        hd_shim_close_programs(s);
        hd_shim_sink_flush(s);
        s->end_due_ms = now + FLUSH_MS;
        hd_timer_start(s->loop, &s->end_timer, LOOK_MS, on_end_timer);
        return;
    case HD_END_FLUSH: {
        bool said = s->event == NULL || s->event->answered || s->event->up == NULL;
        if (due || (said && hd_server_open(s->up) == 0 && hd_shim_sink_flush(s)))
            stop(s);
        else
            hd_timer_start(s->loop, &s->end_timer, LOOK_MS, on_end_timer);
        return;
    }
    }
}

void hd_shim_asked_to_end(struct hd_shim *s)
{
    const struct hd_shim_event *ev = s->event;
    if (s->asked_to_end || s->phase == HD_SHIM_ENDING)
        return;
    s->asked_to_end = true;
    hd_server_drain(s->up);
    if (ev != NULL && !ev->answered && ev->up == NULL) {
        bool late = ev->due_ms != 0 && now_ms(s) + NEAR_MS >= ev->due_ms;
        hd_shim_end(s, late ? HD_SHIM_TIMEOUT : HD_SHIM_SPINDOWN);
        return;
    }
    hd_shim_step(s);
}
