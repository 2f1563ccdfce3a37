/* RAISING ─► LOADING ─► READY ─► DRAINING ─► ASKED (SIGTERM)
 *    │          │         │          │          │
 *    └──────────┴─failed, terminated, the container ended─► REMOVING ─► on_gone
 *
 * What raises the container is waited for before the container is removed. */
#include "pool/docker/instance.h"

#include "core/clock.h"
#include "core/folder.h"
#include "core/id.h"
#include "pool/docker/imageref.h"
#include "pool/docker/meter.h"
#include "pool/docker/output.h"
#include "pool/docker/raise.h"
#include "pool/process/hosttalk.h"
#include "pool/process/lambdaplan.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
    TOKEN_BYTES = 16,
    ID_BYTES = 8,
    CALL_MS = 60000,
    INIT_MS = 10000,
    INIT_EXTRA_MS = 5000, /* the host keeps the limit itself, and says so better */
    REMOVE_TRIES = 5,
    REMOVE_FIRST_MS = 200,
    LOOKS = 200, /* until what was seen to end is known to have ended */
    LOOK_AGAIN_MS = 20,
    ASKS = 10,
    ASK_AGAIN_MS = 500,
};

enum state { RAISING, LOADING, READY, DRAINING, ASKED, REMOVING };

struct hd_instance_handle {
    struct hd_list link;
    struct hd_docker_site *site;
    struct hd_backend_events events;
    void *owner;
    enum state state;
    char *function, *image, *dir;
    struct hd_raise *raise; /* holds the way to it, too; NULL: it could not begin */
    const char *id;         /* of the container; NULL: there is none */
    char token[2 * TOKEN_BYTES + 1], instance[2 * ID_BYTES + 1];
    struct hd_docker_output output;
    struct hd_buf load; /* of the load request, until it is sent */
    bool raising, terminated, exited, finishing;
    bool ending, oom;          /* what was heard of it */
    struct hd_watched process; /* its first one, a pidfd */
    struct hd_cgroup used;
    struct hd_error load_err; /* loading failed: by its end, perhaps */
    struct hd_docker_pause pause;
    struct hd_engine_call *op, *look; /* what it waits for; how the container is */
    struct hd_hosttalk talk;
    struct hd_timer soft, hard, again;
    unsigned tries, looks, asks;
    uint64_t hard_due_ms;
    uint32_t start_timeout_ms;
    struct hd_error err; /* why it failed; code 0: it did not */
};

struct hd_instance_handle *hd_docker_instance_of(struct hd_list *link)
{
    return hd_container_of(link, struct hd_instance_handle, link);
}

static void remove_it(struct hd_instance_handle *h);

static void on_line(void *arg, struct hd_str id, int level, struct hd_str text)
{
    struct hd_instance_handle *h = arg;
    h->events.on_line(h->owner, id, level, text);
}

/* --- calls to the engine --- */

static struct hd_engine_call *ask_container(struct hd_instance_handle *h, const char *method,
                                            const char *what, hd_engine_done_fn *done)
{
    hd_auto_free char *path = hd_printf("/containers/%s%s", h->id, what);
    struct hd_engine_request req = {.method = method, .path = path, .timeout_ms = CALL_MS};
    return hd_engine_ask(h->site->engine, &req, done, h);
}

/* --- the end --- */

static void wipe_load(struct hd_instance_handle *h)
{
    if (h->load.ptr != NULL)
        explicit_bzero(h->load.ptr, h->load.len);
    hd_buf_done(&h->load);
}

static void stop_watching(struct hd_instance_handle *h)
{
    int fd = h->process.fd;
    if (fd < 0)
        return;
    hd_ready_stop(hd_loop_ready(h->site->loop), &h->process);
    close(fd);
    h->process.fd = -1;
}

static void stop_waiting(struct hd_instance_handle *h)
{
    stop_watching(h);
    hd_hosttalk_stop(&h->talk);
    hd_timer_stop(h->site->loop, &h->soft);
    hd_timer_stop(h->site->loop, &h->hard);
    hd_timer_stop(h->site->loop, &h->again);
}

static void report_gone(struct hd_instance_handle *h)
{
    stop_waiting(h);
    hd_hosttalk_done(&h->talk);
    hd_list_remove(&h->link);
    if (h->dir != NULL)
        hd_remove_tree(h->dir);
    h->events.on_gone(h->owner, h->err.code != 0 ? &h->err : NULL);
    wipe_load(h);
    free(h->function);
    free(h->image);
    free(h->dir);
    hd_raise_free(h->raise);
    hd_cgroup_done(&h->used);
    explicit_bzero(h->token, sizeof(h->token));
    free(h);
}

/* Nothing is left of the container; what was asked about it may still be to come. */
static void finish(struct hd_instance_handle *h)
{
    hd_docker_output_close(&h->output);
    h->finishing = true;
    if (h->look != NULL)
        hd_engine_cancel(h->look); /* its answer comes back here */
    else
        report_gone(h);
}

static void on_remove_again(struct hd_timer *t)
{
    remove_it(hd_container_of(t, struct hd_instance_handle, again));
}

static void on_removed(void *arg, const struct hd_engine_answer *a)
{
    struct hd_instance_handle *h = arg;
    struct hd_error err;
    h->op = NULL;
    if (a->status == 204 || a->status == 200 || a->status == 404) {
        finish(h);
        return;
    }
    if (++h->tries < REMOVE_TRIES) {
        hd_timer_start(h->site->loop, &h->again, (uint64_t)REMOVE_FIRST_MS << h->tries,
                       on_remove_again);
        return;
    }
    hd_engine_fail(&err, HD_EIO, a, "removing a container");
    hd_log(h->site->log, HD_WARN, "a container is left; it is removed when a node starts here",
           hd_kv_str("function", h->function), hd_kv_str("container", h->id),
           hd_kv_str("error", err.msg));
    finish(h);
}

static void remove_it(struct hd_instance_handle *h)
{
    h->state = REMOVING;
    if (h->raising)
        hd_raise_cancel(h->raise);
    if (h->raising || h->op != NULL || hd_docker_pause_break(&h->pause))
        return; /* that first */
    if (h->id == NULL)
        finish(h);
    else
        h->op = ask_container(h, "DELETE", "?force=1&v=1", on_removed);
}

static void end_now(struct hd_instance_handle *h)
{
    if (h->state == REMOVING)
        return;
    stop_waiting(h);
    remove_it(h);
}

static void fail(struct hd_instance_handle *h)
{
    hd_wrap(&h->err, 0, "function %s", h->function);
    end_now(h);
}

/* --- its end by itself --- */

static void look(struct hd_instance_handle *h);

static void tell_end(struct hd_instance_handle *h, const json_t *state)
{
    bool oom = h->oom || json_is_true(json_object_get(state, "OOMKilled"));
    const char *text = json_string_value(json_object_get(state, "Error"));
    int exit_code = (int)json_integer_value(json_object_get(state, "ExitCode"));
    struct hd_exit_status how = hd_container_exit(exit_code, oom);
    h->exited = true;
    hd_docker_output_close(&h->output); /* the last lines come before */
    if (h->events.on_exit != NULL)
        h->events.on_exit(h->owner, &how);
    int code = h->state == LOADING && how.signal == 0 ? HD_EINVAL : HD_EIO;
    if (h->terminated)
        ;
    else if (how.signal != 0)
        hd_fail(&h->err, code, "function %s: killed by SIG%s%s", h->function,
                sigabbrev_np(how.signal), oom ? " (memory limit)" : "");
    else
        hd_fail(&h->err, code, "function %s: exited with code %d%s%s", h->function, how.code,
                text != NULL && text[0] != '\0' ? ": " : "", text != NULL ? text : "");
    end_now(h);
}

static void lost(struct hd_instance_handle *h, const char *why)
{
    if (!h->terminated && h->err.code == 0)
        hd_fail(&h->err, HD_EIO, "function %s: %s", h->function, why);
    end_now(h);
}

static void on_look_again(struct hd_timer *t)
{
    look(hd_container_of(t, struct hd_instance_handle, again));
}

static void on_process_end(struct hd_watched *w, uint32_t events)
{
    struct hd_instance_handle *h = hd_container_of(w, struct hd_instance_handle, process);
    (void)events;
    stop_watching(h);
    hd_docker_instance_ended(h, false);
}

/* An engine on this machine has its processes here: then their end is seen when it happens. */
static void watch_process(struct hd_instance_handle *h, pid_t pid)
{
    if (h->process.fd >= 0 || !hd_engine_is_near(h->site->engine))
        return;
    hd_cgroup_done(&h->used);
    int process = hd_docker_meter_open(&h->used, pid, h->id);
    h->process.on_ready = on_process_end;
    if (process >= 0 && hd_ready_watch(hd_loop_ready(h->site->loop), &h->process, process) < 0) {
        close(process);
        h->process.fd = -1;
    }
}

/* It runs. If something said that it does not, that may be about to be known. */
static void still_runs(struct hd_instance_handle *h, const json_t *state)
{
    watch_process(h, (pid_t)json_integer_value(json_object_get(state, "Pid")));
    if (h->ending && ++h->looks < LOOKS) {
        hd_timer_start(h->site->loop, &h->again, LOOK_AGAIN_MS, on_look_again);
    } else if (h->load_err.code != 0) {
        h->err = h->load_err;
        fail(h);
    } else {
        h->ending = false;
        h->looks = 0;
    }
}

static void on_look(void *arg, const struct hd_engine_answer *a)
{
    struct hd_instance_handle *h = arg;
    const json_t *state = json_object_get(a->json, "State");
    h->look = NULL;
    if (h->finishing) {
        report_gone(h);
        return;
    }
    if (h->state == REMOVING)
        return;
    if (a->status == 200 && (json_is_true(json_object_get(state, "Running")) ||
                             json_is_true(json_object_get(state, "Paused"))))
        still_runs(h, state);
    else if (a->status == 200 && hd_raise_is_open(h->raise) && ++h->looks < LOOKS)
        hd_timer_start(h->site->loop, &h->again, LOOK_AGAIN_MS, on_look_again); /* its last lines */
    else if (a->status == 200)
        tell_end(h, state);
    else if (a->status == 404)
        lost(h, "its container was removed");
    else if (++h->asks < ASKS)
        hd_timer_start(h->site->loop, &h->again, ASK_AGAIN_MS, on_look_again);
    else
        lost(h, "the container engine does not answer any more");
}

static void look(struct hd_instance_handle *h)
{
    if (h->look == NULL && h->state != REMOVING && !h->exited)
        h->look = ask_container(h, "GET", "/json", on_look);
}

void hd_docker_instance_ended(struct hd_instance_handle *h, bool oom)
{
    if (h->state < LOADING || h->state == REMOVING || h->exited)
        return;
    h->oom = h->oom || oom;
    h->ending = h->ending || !oom;
    h->looks = 0;
    if (!oom)
        look(h);
}

bool hd_docker_instance_is(const struct hd_instance_handle *h, const char *id)
{
    return h->id != NULL && strcmp(h->id, id) == 0;
}

/* --- the start --- */

static void on_loaded(void *arg, const struct hd_hostcall_answer *a)
{
    struct hd_instance_handle *h = arg;
    struct hd_loadanswer answer;
    h->talk.call = NULL;
    if (hd_hosttalk_loaded(&answer, a, h->start_timeout_ms, on_line, h, &h->err) == 0) {
        h->state = READY;
        hd_timer_stop(h->site->loop, &h->hard);
        h->events.on_ready(h->owner, a->at, &answer.declared);
        hd_loadanswer_done(&answer);
    } else if (a->rc == 0 || a->rc == HD_ETIMEOUT) {
        fail(h);
    } else { /* It may have ended: then that is what is to be told. */
        h->load_err = h->err;
        h->err = (struct hd_error){0};
        hd_docker_instance_ended(h, false);
    }
}

static struct hd_hostcall_request request(struct hd_instance_handle *h, const char *method,
                                          const char *path, uint32_t within_ms)
{
    struct hd_hostcall_request req = {.n_at = 1,
                                      .method = method,
                                      .path = path,
                                      .token = h->token,
                                      .within_ms = HD_MAX(within_ms, 1U)};
    req.at[0].kind = HD_ENDPOINT_UNIX;
    snprintf(req.at[0].address, sizeof(req.at[0].address), "%s/sock", h->dir);
    return req;
}

static void on_settled(void *arg)
{
    remove_it(arg);
}

static void on_raised(void *arg, const struct hd_error *err)
{
    struct hd_instance_handle *h = arg;
    h->raising = false;
    h->id = hd_raise_id(h->raise);
    if (h->state == REMOVING) {
        remove_it(h);
        return;
    }
    if (err != NULL) {
        h->err = *err;
        fail(h);
        return;
    }
    hd_docker_pause_init(&h->pause, h->site->engine, h->id, on_settled, h);
    struct hd_hostcall_request req = request(h, "POST", "/.heddle/load", h->start_timeout_ms);
    h->state = LOADING;
    look(h);
    req.retry = true;
    req.body = hd_buf_view(&h->load);
    hd_hosttalk_call(&h->talk, &req, on_loaded);
    wipe_load(h);
}

static void on_output(void *arg, bool is_err, struct hd_str what)
{
    struct hd_instance_handle *h = arg;
    hd_docker_output_feed(&h->output, is_err, what);
}

/* It ends with the container, too, and that is to be told first. */
static void on_cut(void *arg, const struct hd_error *err)
{
    struct hd_instance_handle *h = arg;
    if (h->load_err.code == 0)
        h->load_err = *err;
    hd_docker_instance_ended(h, false);
}

static void raise_it(struct hd_instance_handle *h, json_t *body, const char *architecture)
{
    hd_auto_free char *name = hd_printf("heddle-%s", h->instance);
    struct hd_raise_options opt = {.site = h->site,
                                   .image = h->image,
                                   .architecture = architecture,
                                   .dir = h->dir,
                                   .name = name,
                                   .body = body,
                                   .done = on_raised,
                                   .on_output = on_output,
                                   .on_cut = on_cut,
                                   .arg = h};
    h->raising = true;
    h->raise = hd_raise_start(&opt);
}

static int make_folder(struct hd_instance_handle *h, struct hd_error *err)
{
    struct hd_docker_site *site = h->site;
    uint32_t serial;
    int rc = hd_rundir_add(&site->dir, &h->dir, &serial, err);
    if (rc == 0 && geteuid() == 0 && chown(h->dir, site->container.uid, site->container.gid) < 0)
        rc = hd_fail_sys(err, errno, "folder %s", h->dir);
    if (rc == 0)
        rc = hd_docker_output_open(&h->output, site->loop, h->dir, site->container.uid,
                                   site->container.gid, h->token, on_line, h, err);
    return rc;
}

static int make_load(struct hd_instance_handle *h, const struct hd_launch *what,
                     struct hd_error *err)
{
    struct hd_lambdaenv_instance instance;
    const struct hd_process_options opt = {.run_dir = NULL};
    const struct hd_lambdaplan_site plan = {
        .opt = &opt, .layout = true, .endpoint_url = h->site->endpoint_url};
    hd_lambdaenv_draw(&instance, h->site->credentials_key, what->lambda->qualifier, what->instance,
                      hd_clock_unix_s());
    hd_lambdaplan_load_body(&h->load, &plan, what, &instance);
    explicit_bzero(&instance, sizeof(instance));
    return hd_buf_failed(&h->load)
               ? hd_fail(err, HD_EINVAL, "its environment is longer than %d bytes",
                         HD_HOSTCALL_REQUEST_MAX)
               : 0;
}

static int describe(struct hd_instance_handle *h, json_t **body, const struct hd_launch *what,
                    struct hd_error *err)
{
    struct hd_launch mine = *what;
    struct hd_strings env = {0};
    hd_container_env(&env, what, &h->site->container);
    mine.env = (const char *const *)env.items;
    int rc = hd_container_begin(body, &mine, h->image, &h->site->container, h->dir, h->instance,
                                h->token, err);
    if (rc == 0)
        rc = make_load(h, &mine, err);
    hd_container_env_done(&env);
    return rc;
}

static int prepare(struct hd_instance_handle *h, json_t **body, const struct hd_launch *what,
                   struct hd_error *err)
{
    unsigned char random[TOKEN_BYTES];
    uint32_t init_ms = what->lambda->init_timeout_ms;
    hd_random(random, sizeof(random));
    hd_hex(h->token, random, sizeof(random));
    h->token[2 * TOKEN_BYTES] = '\0';
    hd_random(random, sizeof(random));
    hd_hex(h->instance, random, ID_BYTES);
    h->instance[2 * ID_BYTES] = '\0';
    h->image = hd_strdup(hd_container_image(what, h->site->images));
    h->start_timeout_ms =
        HD_MAX(h->site->start_timeout_ms,
               (init_ms > 0 ? init_ms : (uint32_t)INIT_MS) + (uint32_t)INIT_EXTRA_MS);
    int rc = hd_imageref_check(h->image, err);
    if (rc == 0)
        rc = make_folder(h, err);
    if (rc == 0)
        rc = describe(h, body, what, err);
    return rc;
}

static void on_failed_start(struct hd_timer *t)
{
    struct hd_instance_handle *h = hd_container_of(t, struct hd_instance_handle, hard);
    if (h->err.code != 0)
        fail(h);
    else
        remove_it(h);
}

struct hd_instance_handle *hd_docker_instance_start(struct hd_docker_site *site,
                                                    const struct hd_launch *what,
                                                    const struct hd_backend_events *events,
                                                    void *owner, const struct hd_error *not_now)
{
    struct hd_instance_handle *h = hd_new(struct hd_instance_handle);
    json_t *body = NULL;
    h->site = site;
    h->talk = (struct hd_hosttalk){.loop = site->loop, .owner = h};
    h->process.fd = -1;
    h->events = *events;
    h->owner = owner;
    h->function = hd_strdup(what->function);
    hd_buf_init(&h->load, HD_HOSTCALL_REQUEST_MAX);
    hd_list_init(&h->link);
    hd_list_push(&site->instances, &h->link);
    if (not_now != NULL)
        h->err = *not_now;
    if (not_now == NULL && prepare(h, &body, what, &h->err) == 0) {
        raise_it(h, body, what->lambda->architecture);
        return h;
    }
    json_decref(body);
    hd_timer_start(site->loop, &h->hard, 0, on_failed_start);
    return h;
}

/* --- the stop ladder --- */

static void on_hard(struct hd_timer *t)
{
    end_now(hd_container_of(t, struct hd_instance_handle, hard));
}

static void on_asked(void *arg, const struct hd_engine_answer *a)
{
    struct hd_instance_handle *h = arg;
    (void)a; /* its end is seen by the watch, or comes by force */
    h->op = NULL;
    if (h->state == REMOVING)
        remove_it(h);
}

static void ask(struct hd_instance_handle *h)
{
    hd_hosttalk_hush(&h->talk);
    hd_timer_stop(h->site->loop, &h->soft);
    h->state = ASKED;
    if (h->op == NULL)
        h->op = ask_container(h, "POST", "/kill?signal=TERM", on_asked);
}

static void on_soft(struct hd_timer *t)
{
    ask(hd_container_of(t, struct hd_instance_handle, soft));
}

static void on_drained(void *arg, const struct hd_hostcall_answer *a)
{
    struct hd_instance_handle *h = arg;
    (void)a; /* an answer or none: the next step is the same */
    h->talk.call = NULL;
    ask(h);
}

void hd_docker_instance_terminate(struct hd_instance_handle *h, uint32_t grace_ms)
{
    bool first = !h->terminated;
    h->terminated = true;
    if (h->state == REMOVING || h->exited || h->err.code != 0)
        return;
    if (grace_ms == 0 || h->state < READY) {
        /* on_gone never comes from inside */
        h->hard_due_ms = hd_loop_now_ms(h->site->loop);
        hd_timer_start(h->site->loop, &h->hard, 0, on_hard);
        return;
    }
    hd_docker_pause_melt(&h->pause); /* it has something to do */
    uint64_t due = hd_loop_now_ms(h->site->loop) + grace_ms;
    if (!first && due >= h->hard_due_ms)
        return;
    h->hard_due_ms = due;
    hd_timer_start(h->site->loop, &h->hard, grace_ms, on_hard);
    if (h->state == READY) {
        struct hd_hostcall_request req = request(h, "POST", "/.heddle/drain", grace_ms);
        h->state = DRAINING;
        hd_hosttalk_call(&h->talk, &req, on_drained);
    }
    if (h->state == DRAINING)
        hd_timer_start(h->site->loop, &h->soft, hd_hosttalk_soft_ms(grace_ms), on_soft);
}

/* --- questions --- */

struct hd_docker_pause *hd_docker_instance_pause(struct hd_instance_handle *h)
{
    return h->state == READY && !h->exited ? &h->pause : NULL;
}

const struct hd_cgroup *hd_docker_instance_used(const struct hd_instance_handle *h)
{
    return &h->used;
}

void hd_docker_instance_ping(struct hd_instance_handle *h, uint32_t within_ms,
                             void (*done)(void *owner, int rc), void *owner)
{
    if (h->state < READY || h->state == REMOVING || h->exited)
        return; /* it goes first, or there is nothing to ask yet */
    struct hd_hostcall_request req = request(h, "GET", "/.heddle/ping", within_ms);
    hd_hosttalk_ping(&h->talk, &req, done, owner);
}

void hd_docker_instance_flush(struct hd_instance_handle *h, void (*done)(void *owner), void *owner)
{
    if (!h->output.open)
        return; /* it goes first */
    hd_docker_output_flush(&h->output);
    hd_hosttalk_flushed(&h->talk, done, owner);
}
