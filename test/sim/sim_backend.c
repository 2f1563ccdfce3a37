#include "sim_backend.h"

#include "pool/policy.h"

#include <stdio.h>

void sim_check(const struct sim_backend *b, bool holds, const char *claim)
{
    if (holds)
        return;
    fprintf(stderr, "seed %llu at %llu ms: %s\n", (unsigned long long)b->seed,
            (unsigned long long)hd_loop_now_ms(b->loop), claim);
    abort();
}

static uint64_t below(struct sim_backend *b, uint64_t n)
{
    return hd_rng_below(&b->rng, n);
}

static void on_timer(struct hd_timer *t)
{
    struct sim_handle *h = hd_container_of(t, struct sim_handle, timer);
    h->next(h);
}

static void later(struct sim_handle *h, uint64_t delay_ms, void (*next)(struct sim_handle *h))
{
    h->next = next;
    h->end_ms = hd_loop_now_ms(h->backend->loop) + delay_ms;
    hd_timer_start(h->backend->loop, &h->timer, delay_ms, on_timer);
}

/* --- ends --- */

static void vanish(struct sim_handle *h, const struct hd_error *err)
{
    struct sim_backend *b = h->backend;
    hd_timer_stop(b->loop, &h->timer);
    hd_timer_stop(b->loop, &h->ping);
    hd_timer_stop(b->loop, &h->ice);
    h->gone = true;
    b->alive--;
    if (!h->was_ready && !h->terminated) {
        b->starting--;
        h->version->failures++;
        h->version->failed_ms = hd_loop_now_ms(b->loop);
    }
    if (err != NULL && err->code == HD_EIO) {
        struct hd_exit_status how = {.signal = below(b, 3) == 0 ? 9 : 0, .code = 1};
        how.oom = how.signal == 9 && below(b, 2) == 0;
        h->events->on_exit(h->owner, &how);
    }
    h->events->on_gone(h->owner, err);
}

static void end_as_told(struct sim_handle *h)
{
    vanish(h, NULL);
}

static void crash(struct sim_handle *h)
{
    struct hd_error err;
    hd_fail(&err, HD_EIO, "killed by SIGSEGV");
    vanish(h, &err);
}

static void refuse(struct sim_handle *h)
{
    struct hd_error err;
    hd_fail(&err, HD_EINVAL, "index.ts:1: syntax error");
    vanish(h, &err);
}

/* --- ready --- */

static void become_ready(struct sim_handle *h)
{
    struct sim_backend *b = h->backend;
    struct hd_endpoint at = {.kind = HD_ENDPOINT_TCP, .address = "127.0.0.1", .port = h->number};
    struct hd_declared declared = {.is_public = -1, .timeout_ms = -1, .concurrency = -1};
    if (h->concurrency != UINT32_MAX)
        declared.concurrency = h->concurrency;
    if (h->mood == SIM_STILLBORN)
        declared.kind = "init-failed";
    h->was_ready = true;
    h->version->failures = 0;
    b->starting--;
    if (h->mood == SIM_CRASHING)
        later(h, below(b, 2000), crash);
    h->events->on_ready(h->owner, &at, &declared);
}

/* --- the interface --- */

static struct sim_version *find_version(struct sim_backend *b, const struct hd_launch *what)
{
    char name[32];
    snprintf(name, sizeof(name), "%s.%s", what->function, what->version);
    struct sim_version *v = hd_map_get(&b->versions, hd_str(name));
    if (v != NULL)
        return v;
    v = hd_new(struct sim_version);
    memcpy(v->name, name, sizeof(name));
    hd_map_put(&b->versions, hd_str(v->name), v);
    return v;
}

/* Memory is charged before the launch. What replaces something may pass the budget by one, and
 * others of the same decision may be launched after it. */
static void check_memory(struct sim_backend *b, const struct hd_launch *what)
{
    if (b->memory_bytes == 0 || b->alive == 0)
        return;
    uint64_t now_ms = hd_loop_now_ms(b->loop);
    struct hd_pool *p = hd_pool_set_get(b->set, what->function);
    struct hd_pool *previous = p != NULL ? hd_pool_previous(p) : NULL;
    if (previous != NULL || b->recycles(b, what->function))
        b->surge_ms = now_ms;
    hd_pool_unref(previous);
    hd_pool_unref(p);
    sim_check(b, hd_pool_set_memory(b->set) <= b->memory_bytes || b->surge_ms == now_ms,
              "over the memory budget");
}

static void check_launch(struct sim_backend *b, const struct sim_version *v, bool own)
{
    sim_check(b, ++b->starting <= b->lanes, "more starts at once than there are lanes");
    b->alive++;
    if (v->failures == 0 || own)
        return;
    uint64_t wait_ms = (uint64_t)HD_POOL_BACKOFF_MS << HD_MIN(v->failures - 1, 16u);
    wait_ms = HD_MIN(wait_ms, (uint64_t)HD_POOL_BACKOFF_MAX_MS) * 4 / 5;
    sim_check(b, hd_loop_now_ms(b->loop) >= v->failed_ms + wait_ms, "a start within the back-off");
}

static struct hd_instance_handle *launch(struct hd_backend *base, const struct hd_launch *what,
                                         const struct hd_backend_events *events, void *owner)
{
    struct sim_backend *b = hd_container_of(base, struct sim_backend, base);
    struct sim_handle *h = hd_new(struct sim_handle);
    struct sim_version *v = find_version(b, what);
    *h = (struct sim_handle){.backend = b, .events = events, .owner = owner, .version = v};
    check_memory(b, what);
    h->own = what->lambda != NULL;
    h->provisioned = h->own && what->lambda->provisioned;
    check_launch(b, v, h->own);
    h->number = ++b->numbers;
    b->by_number[h->number] = h;
    hd_list_push(&b->handles, &h->link);
    h->concurrency = below(b, 4) == 0 ? 1 + (uint32_t)below(b, 4) : UINT32_MAX;
    h->rss_bytes = (20 + below(b, 60)) << 20;
    if (!b->healthy && below(b, 100) < b->max_failing)
        h->mood = (enum sim_mood)below(b, h->own ? SIM_MOODS : SIM_STILLBORN);
    if (h->own)
        h->concurrency = 1;
    switch (h->mood) {
    case SIM_DEAD:
        later(h, below(b, 200), crash);
        break;
    case SIM_REFUSING:
        later(h, below(b, 200), refuse);
        break;
    case SIM_SLOW:
        break;
    case SIM_FINE:
    case SIM_LYING:
    case SIM_CRASHING:
    case SIM_LEAKING:
    case SIM_STILLBORN:
    case SIM_MOODS:
        later(h, below(b, 10) == 0 ? below(b, 1000) : below(b, 100), become_ready);
        break;
    }
    return (struct hd_instance_handle *)h;
}

static void terminate(struct hd_instance_handle *handle, uint32_t grace_ms)
{
    struct sim_handle *h = (struct sim_handle *)handle;
    struct sim_backend *b = h->backend;
    sim_check(b, !h->gone, "an end for what is gone");
    sim_check(b, grace_ms == 0 || h->held == 0, "a polite end for what is in use");
    if (!h->terminated && !h->was_ready) {
        b->starting--;
        /* Too slow, or not wanted any more: only the pool knows which; so nothing is claimed about
         * the back-off after it. */
        h->version->failures = 0;
    }
    uint64_t delay = grace_ms > 0 ? below(b, grace_ms) : below(b, 5);
    if (h->terminated && h->end_ms <= hd_loop_now_ms(b->loop) + delay)
        return;
    h->terminated = true;
    later(h, delay, end_as_told);
}

static void on_ping_timer(struct hd_timer *t)
{
    struct sim_handle *h = hd_container_of(t, struct sim_handle, ping);
    h->on_pinged(h->owner, h->mood == SIM_LYING ? HD_ETIMEOUT : 0);
}

static void ping(struct hd_instance_handle *handle, uint32_t within_ms,
                 void (*done)(void *owner, int rc), void *owner)
{
    struct sim_handle *h = (struct sim_handle *)handle;
    sim_check(h->backend, !h->gone && owner == h->owner, "a ping for what is gone");
    sim_check(h->backend, !h->iced, "a ping for what is frozen");
    h->on_pinged = done;
    if (h->mood == SIM_LYING && below(h->backend, 2) == 0)
        return; /* and it does not even say that it does not answer */
    hd_timer_start(h->backend->loop, &h->ping,
                   h->mood == SIM_LYING ? within_ms : below(h->backend, within_ms), on_ping_timer);
}

/* --- freezing: at once, late, not at all, or without an answer --- */

static void iced(struct sim_handle *h)
{
    h->iced = h->thaws == h->ice_fails;
    *(h->thaws ? &h->backend->thaws : &h->backend->freezes) += !h->ice_fails;
}

static void on_ice_timer(struct hd_timer *t)
{
    struct sim_handle *h = hd_container_of(t, struct sim_handle, ice);
    struct hd_error err;
    hd_fail(&err, HD_EIO, "the freezer is broken");
    iced(h);
    h->on_iced(h->owner, h->ice_fails ? &err : NULL);
}

static void change_ice(struct sim_handle *h, bool thaws,
                       void (*done)(void *owner, const struct hd_error *err), void *owner)
{
    struct sim_backend *b = h->backend;
    sim_check(b, h->was_ready && !h->gone && !h->terminated && owner == h->owner,
              "ice for what is not ready");
    sim_check(b, h->held == 0, "ice for what is in use");
    h->on_iced = done;
    h->thaws = thaws;
    h->ice_fails = !b->healthy && below(b, 100) < 5;
    if (b->healthy || below(b, 50) > 0)
        hd_timer_start(b->loop, &h->ice, below(b, 4) == 0 ? below(b, 200) : below(b, 3),
                       on_ice_timer);
}

static void freeze(struct hd_instance_handle *handle,
                   void (*done)(void *owner, const struct hd_error *err), void *owner)
{
    struct sim_handle *h = (struct sim_handle *)handle;
    sim_check(h->backend, !h->iced, "what is frozen is to freeze");
    h->iced = true;
    change_ice(h, false, done, owner);
}

static int thaw(struct hd_instance_handle *handle,
                void (*done)(void *owner, const struct hd_error *err), void *owner,
                struct hd_error *err)
{
    struct sim_handle *h = (struct sim_handle *)handle;
    sim_check(h->backend, h->iced && !hd_timer_active(&h->ice), "a thaw for what is not frozen");
    change_ice(h, true, done, owner);
    if (below(h->backend, 2) == 0)
        return 1;
    hd_timer_stop(h->backend->loop, &h->ice);
    iced(h);
    return h->ice_fails ? hd_fail(err, HD_EIO, "the freezer is broken") : 0;
}

static uint64_t rss_bytes(struct hd_instance_handle *handle)
{
    struct sim_handle *h = (struct sim_handle *)handle;
    if (h->mood == SIM_LEAKING)
        h->rss_bytes += 20u << 20;
    return h->rss_bytes;
}

static uint64_t cpu_us(struct hd_instance_handle *handle)
{
    (void)handle;
    return 0;
}

static const struct hd_backend_ops ops = {
    .name = "sim",
    .launch = launch,
    .terminate = terminate,
    .ping = ping,
    .freeze = freeze,
    .thaw = thaw,
    .rss_bytes = rss_bytes,
    .cpu_us = cpu_us,
};

void sim_backend_init(struct sim_backend *b, struct hd_loop *loop, uint64_t seed, unsigned lanes)
{
    *b = (struct sim_backend){.base.ops = &ops, .loop = loop, .seed = seed, .lanes = lanes};
    hd_rng_init(&b->rng, seed * 2 + 1);
    hd_list_init(&b->handles);
    hd_map_init(&b->versions, 0);
}

void sim_backend_done(struct sim_backend *b)
{
    struct hd_list *item;
    size_t at = 0;
    struct hd_str key;
    void *value;
    while ((item = hd_list_pop(&b->handles)) != NULL)
        free(hd_container_of(item, struct sim_handle, link));
    while (hd_map_next(&b->versions, &at, &key, &value))
        free(value);
    hd_map_done(&b->versions);
}

void sim_handle_leave(struct sim_handle *h)
{
    h->leaving = true;
    if (!h->gone && !h->terminated)
        later(h, below(h->backend, 60), crash);
}

struct sim_handle *sim_handle_at(struct sim_backend *b, const struct hd_endpoint *at)
{
    struct sim_handle *h = b->by_number[at->port];
    sim_check(b, h != NULL, "an endpoint that nobody gave");
    return h;
}
