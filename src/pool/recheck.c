/*  LOOKING ──► STARTING ──ready, or gone──► JUDGING ──as before──► told: SERVING, or gone
 *     ▲                                      │  ▲
 *     │                     failed just now, │  │ quiet_ms
 *     │                                      ▼  │
 *     └───────changed, and gone──────────── WAITING                                        */
#include "pool/recheck.h"

#include "core/clock.h"
#include "core/work.h"
#include "functions/strings.h"
#include "pool/launch.h"

enum { QUIET_MS = 500, AGAIN = 8 };

struct hd_recheck {
    struct hd_backend backend; /* first: it is found by its address */
    struct hd_backend_ops ops;
    struct hd_recheck_options opt;
};

/* A copy of what the host declared. */
struct declared {
    struct hd_declared is;
    char *kind;
    struct hd_strings require, imports;
};

struct hd_instance_handle {
    struct hd_recheck *recheck;
    struct hd_launch launch;
    const struct hd_backend_events *events; /* of who launched it */
    void *owner;
    enum { LOOKING, STARTING, JUDGING, WAITING, SERVING } state;
    struct hd_instance_handle *inner; /* NULL: there is none, or it is gone */
    struct hd_recheck_look before, now;
    struct hd_timer quiet;
    uint32_t again;
    bool ready;  /* it said so */
    bool ended;  /* terminate() was called */
    bool failed; /* it was gone before it was told as ready, because of: */
    struct hd_error err;
    bool exited; /* the backend said how */
    struct hd_exit_status exit;
    struct hd_endpoint at;
    struct declared declared;
};

static void judge(struct hd_instance_handle *h);

/* --- what a host declared --- */

static void copy_list(struct hd_strings *to, const char *const *from)
{
    if (from == NULL)
        return;
    for (size_t i = 0; from[i] != NULL; i++)
        hd_strings_add(to, hd_str(from[i]));
    hd_strings_give(to);
}

static void declared_done(struct declared *d)
{
    hd_strings_done(&d->require);
    hd_strings_done(&d->imports);
    free(d->kind);
    *d = (struct declared){0};
}

static void declared_copy(struct declared *to, const struct hd_declared *from)
{
    declared_done(to);
    to->is = (struct hd_declared){.is_public = -1, .timeout_ms = -1, .concurrency = -1};
    if (from == NULL)
        return;
    copy_list(&to->require, from->require);
    copy_list(&to->imports, from->imports);
    to->kind = hd_strdup(from->kind);
    to->is = *from;
    to->is.kind = to->kind;
    to->is.require = (const char *const *)to->require.items;
    to->is.imports = (const char *const *)to->imports.items;
}

/* --- what the owner hears --- */

static void tell_gone(struct hd_instance_handle *h, const struct hd_error *err)
{
    const struct hd_backend_events *events = h->events;
    void *owner = h->owner;
    struct hd_error why;
    struct hd_exit_status exit = h->exit;
    bool exited = h->exited && err != NULL;
    if (err != NULL)
        why = *err;
    hd_timer_stop(h->recheck->opt.loop, &h->quiet);
    hd_launch_done(&h->launch);
    declared_done(&h->declared);
    free(h);
    if (exited && events->on_exit != NULL)
        events->on_exit(owner, &exit);
    events->on_gone(owner, err != NULL ? &why : NULL);
}

static void tell_ready(struct hd_instance_handle *h)
{
    h->state = SERVING;
    h->events->on_ready(h->owner, &h->at, &h->declared.is);
    declared_done(&h->declared);
}

/* --- the inner one --- */

static void on_ready(void *owner, const struct hd_endpoint *at, const struct hd_declared *declared)
{
    struct hd_instance_handle *h = owner;
    if (h->ended)
        return;
    h->ready = true;
    h->at = *at;
    declared_copy(&h->declared, declared);
    judge(h);
}

static void look_first(struct hd_instance_handle *h);

static void on_gone(void *owner, const struct hd_error *err)
{
    struct hd_instance_handle *h = owner;
    h->inner = NULL;
    if (err != NULL)
        h->err = *err;
    h->failed = err != NULL;
    switch (h->state) {
    case LOOKING: /* it was ended for being out of date */
        if (h->ended)
            tell_gone(h, NULL);
        else
            look_first(h);
        return;
    case STARTING:
        if (h->ended)
            tell_gone(h, NULL);
        else
            judge(h);
        return;
    case JUDGING:
    case WAITING:
        return; /* the look that is under way finds out */
    case SERVING:
        tell_gone(h, err);
        return;
    }
}

static void on_line(void *owner, struct hd_str id, int level, struct hd_str text)
{
    struct hd_instance_handle *h = owner;
    h->events->on_line(h->owner, id, level, text);
}

static void on_exit_told(void *owner, const struct hd_exit_status *how)
{
    struct hd_instance_handle *h = owner;
    h->exited = true;
    h->exit = *how;
}

static const struct hd_backend_events inner_events = {
    .on_ready = on_ready, .on_gone = on_gone, .on_line = on_line, .on_exit = on_exit_told};

/* --- looks --- */

static void look(void *arg)
{
    struct hd_instance_handle *h = arg;
    const struct hd_recheck_options *o = &h->recheck->opt;
    h->now = (struct hd_recheck_look){0};
    o->look(o->arg, h->launch.function, &h->now);
}

static void on_looked_first(void *arg)
{
    struct hd_instance_handle *h = arg;
    struct hd_backend *b = h->recheck->opt.backend;
    if (h->ended) {
        tell_gone(h, NULL);
        return;
    }
    h->before = h->now;
    h->state = STARTING;
    h->inner = b->ops->launch(b, &h->launch, &inner_events, h);
}

static void look_first(struct hd_instance_handle *h)
{
    h->state = LOOKING;
    h->ready = h->failed = h->exited = false;
    if (hd_work(h->recheck->opt.loop, look, on_looked_first, h, NULL) < 0)
        hd_loop_post(h->recheck->opt.loop, on_looked_first, h); /* as it was */
}

static void on_quiet(struct hd_timer *t)
{
    judge(hd_container_of(t, struct hd_instance_handle, quiet));
}

/* @return how long a failure waits for a second look; 0: it does not. */
static uint64_t wait_ms(const struct hd_instance_handle *h)
{
    int64_t quiet_ms = h->recheck->opt.quiet_ms;
    int64_t age_ms = hd_clock_unix_ms() - h->now.changed_unix_ms;
    return h->failed && age_ms >= 0 && age_ms < quiet_ms ? (uint64_t)(quiet_ms - age_ms) : 0;
}

static void start_again(struct hd_instance_handle *h)
{
    h->again++;
    if (h->inner == NULL) {
        look_first(h);
        return;
    }
    h->state = LOOKING; /* when it is gone */
    h->recheck->opt.backend->ops->terminate(h->inner, 0);
}

static void on_judged(void *arg)
{
    struct hd_instance_handle *h = arg;
    bool changed = h->now.stamp != h->before.stamp;
    if (h->ended) {
        if (h->inner == NULL)
            tell_gone(h, NULL);
        else
            h->state = STARTING; /* on_gone follows */
        return;
    }
    if (changed && h->again < h->recheck->opt.again) {
        start_again(h);
    } else if (!changed && wait_ms(h) > 0) {
        h->state = WAITING;
        hd_timer_start(h->recheck->opt.loop, &h->quiet, wait_ms(h), on_quiet);
    } else if (h->ready && h->inner != NULL) {
        tell_ready(h);
    } else {
        tell_gone(h, h->failed ? &h->err : NULL);
    }
}

static void judge(struct hd_instance_handle *h)
{
    h->state = JUDGING;
    h->now = h->before;
    if (hd_work(h->recheck->opt.loop, look, on_judged, h, NULL) < 0)
        hd_loop_post(h->recheck->opt.loop, on_judged, h);
}

/* --- the backend --- */

static struct hd_instance_handle *launch(struct hd_backend *b, const struct hd_launch *what,
                                         const struct hd_backend_events *events, void *owner)
{
    struct hd_instance_handle *h = hd_new(struct hd_instance_handle);
    h->recheck = hd_container_of(b, struct hd_recheck, backend);
    h->events = events;
    h->owner = owner;
    hd_launch_copy(&h->launch, what);
    look_first(h);
    return h;
}

static void on_quiet_ended(struct hd_timer *t)
{
    tell_gone(hd_container_of(t, struct hd_instance_handle, quiet), NULL);
}

static void terminate(struct hd_instance_handle *h, uint32_t grace_ms)
{
    h->ended = true;
    if (h->inner != NULL)
        h->recheck->opt.backend->ops->terminate(h->inner, grace_ms);
    else if (h->state == WAITING)
        hd_timer_start(h->recheck->opt.loop, &h->quiet, 0, on_quiet_ended);
}

static void ping(struct hd_instance_handle *h, uint32_t within_ms,
                 void (*done)(void *owner, int rc), void *owner)
{
    h->recheck->opt.backend->ops->ping(h->inner, within_ms, done, owner);
}

static void flush_output(struct hd_instance_handle *h, void (*done)(void *owner), void *owner)
{
    h->recheck->opt.backend->ops->flush_output(h->inner, done, owner);
}

static uint64_t rss_bytes(struct hd_instance_handle *h)
{
    return h->inner != NULL ? h->recheck->opt.backend->ops->rss_bytes(h->inner) : 0;
}

static uint64_t peak_bytes(struct hd_instance_handle *h)
{
    return h->inner != NULL ? h->recheck->opt.backend->ops->peak_bytes(h->inner) : 0;
}

static uint64_t cpu_us(struct hd_instance_handle *h)
{
    return h->inner != NULL ? h->recheck->opt.backend->ops->cpu_us(h->inner) : 0;
}

static int reap_stale(struct hd_backend *b, struct hd_error *err)
{
    (void)b, (void)err;
    return 0; /* the other one does */
}

static void close_nothing(struct hd_backend *b, void (*done)(void *arg), void *arg)
{
    struct hd_recheck *r = hd_container_of(b, struct hd_recheck, backend);
    hd_loop_post(r->opt.loop, done, arg);
}

struct hd_recheck *hd_recheck_new(const struct hd_recheck_options *opt)
{
    const struct hd_backend_ops *inner = opt->backend->ops;
    struct hd_recheck *r = hd_new(struct hd_recheck);
    r->opt = *opt;
    r->opt.quiet_ms = opt->quiet_ms > 0 ? opt->quiet_ms : QUIET_MS;
    r->opt.again = opt->again > 0 ? opt->again : AGAIN;
    r->ops =
        (struct hd_backend_ops){.name = inner->name,
                                .launch = launch,
                                .terminate = terminate,
                                .ping = ping,
                                .flush_output = inner->flush_output != NULL ? flush_output : NULL,
                                .rss_bytes = rss_bytes,
                                .peak_bytes = inner->peak_bytes != NULL ? peak_bytes : NULL,
                                .cpu_us = cpu_us,
                                .reap_stale = reap_stale,
                                .close = close_nothing};
    r->backend.ops = &r->ops;
    return r;
}

void hd_recheck_free(struct hd_recheck *r)
{
    free(r);
}

struct hd_backend *hd_recheck_backend(struct hd_recheck *r)
{
    return &r->backend;
}
