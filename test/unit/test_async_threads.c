/* test_async_threads.c - loops on threads of their own accept and run events at once, while others
 * look. Made for the thread sanitizer; the counts must come out right without. */
#include "core/id.h"
#include "lambda/async/async.h"
#include "lambda/async/destination.h"
#include "lambda/deploy/view_table.h"
#include "store_rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { LOOPS = 3, FUNCTIONS = 12, EVENTS = 900, WINDOW = 40 };

struct hd_caller {
    struct door *door;
};

struct hd_call {
    struct hd_timer timer;
    struct door *door;
    const struct hd_call_events *events;
    void *arg;
    char id[64];
};

struct door {
    struct test *test;
    struct hd_loop *loop;
    struct hd_caller caller;
    struct hd_rng rng;
    int asked;
};

struct test {
    struct rig rig;
    struct door doors[LOOPS];
    struct hd_async *async;
    struct hd_destinations *destinations;
    struct hd_view *view;
    atomic_int accepted, refused, runs[LOOPS * EVENTS], records;
    atomic_bool over;
};

static struct test test;

/* --- functions that are made up; one call in ten says an error the first time --- */

static void on_time(struct hd_timer *timer)
{
    struct hd_call *c = hd_container_of(timer, struct hd_call, timer);
    unsigned long n = strtoul(c->id + 24, NULL, 10);
    int before = atomic_fetch_add(&test.runs[n], 1);
    bool good = before > 0 || n % 10 != 0;
    struct hd_call_result result = {.outcome = good ? HD_CALL_OK : HD_CALL_FUNCTION_ERROR,
                                    .payload = HD_LIT("1"),
                                    .request_id = c->id};
    c->events->on_end(c->arg, &result);
    free(c);
}

struct hd_call *hd_call_start(struct hd_caller *caller, struct hd_target *target,
                              const struct hd_call_request *request,
                              const struct hd_call_events *events, void *arg)
{
    struct hd_call *c = hd_new(struct hd_call);
    c->door = caller->door;
    c->events = events;
    c->arg = arg;
    snprintf(c->id, sizeof(c->id), "%s", request->request_id);
    hd_timer_start(c->door->loop, &c->timer, hd_rng_below(&c->door->rng, 3), on_time);
    (void)target;
    return c;
}

void hd_call_cancel(struct hd_call *c, bool let_it_run)
{
    hd_timer_stop(c->door->loop, &c->timer);
    free(c);
    (void)let_it_run;
}

static struct hd_target *find(void *arg, struct hd_str name, struct hd_str qualifier,
                              struct hd_error *err)
{
    struct hd_target *t = hd_target_new();
    t->version = hd_strdup("$LATEST");
    t->name = hd_strdup_n(name);
    (void)arg;
    (void)qualifier;
    (void)err;
    return t;
}

static struct hd_view *view(void *arg)
{
    (void)arg;
    return hd_view_ref(test.view);
}

static void make_view(void)
{
    test.view = hd_view_new();
    for (int i = 0; i < FUNCTIONS; i++) {
        struct hd_view_entry *e = hd_view_entry_new();
        struct hd_view_event_config *c = hd_arena_alloc(&e->arena, sizeof(*c));
        char name[16], key[64];
        snprintf(name, sizeof(name), "f%d", i);
        snprintf(key, sizeof(key), "000000000000/us-east-1/f%d", i);
        *c = (struct hd_view_event_config){.qualifier = "$LATEST",
                                           .max_retries = 2,
                                           .max_age_s = -1,
                                           .on_success = i % 2 == 0 ? "lane:x" : NULL};
        e->fn = (struct hd_lambda_fn){.account = "000000000000",
                                      .region = "us-east-1",
                                      .name = hd_arena_str(&e->arena, hd_str(name)).ptr,
                                      .event_configs = c,
                                      .n_event_configs = 1};
        e->key = hd_arena_str(&e->arena, hd_str(key)).ptr;
        hd_view_put(test.view, e);
        hd_view_entry_unref(e);
    }
}

struct emitted {
    void (*done)(void *arg, const struct hd_error *err);
    void *arg;
};

static void on_emitted(void *arg)
{
    struct emitted *e = arg;
    e->done(e->arg, NULL);
    free(e);
}

static void emit(void *arg, struct hd_str lane, struct hd_str id, struct hd_str json,
                 void (*done)(void *done_arg, const struct hd_error *err), void *done_arg)
{
    struct emitted *e = hd_new(struct emitted);
    e->done = done;
    e->arg = done_arg;
    atomic_fetch_add(&test.records, 1);
    hd_loop_post(test.doors[0].loop, on_emitted, e);
    (void)arg;
    (void)lane;
    (void)id;
    (void)json;
}

/* --- doors --- */

static void accept_one(struct door *d);

static void on_accepted(void *arg, const struct hd_error *err)
{
    atomic_fetch_add(err == NULL ? &test.accepted : &test.refused, 1);
    accept_one(arg);
}

static void accept_one(struct door *d)
{
    char id[HD_UUID_CHARS + 1], name[16];
    if (d->asked == EVENTS)
        return;
    int n = (int)(d - test.doors) * EVENTS + d->asked++;
    snprintf(id, sizeof(id), "00000000-0000-4000-8000-%012d", n);
    snprintf(name, sizeof(name), "f%d", n % FUNCTIONS);
    struct hd_async_event event = {.account = HD_LIT("000000000000"),
                                   .region = HD_LIT("us-east-1"),
                                   .name = hd_str(name),
                                   .request_id = id,
                                   .payload = HD_LIT("{}")};
    hd_async_enqueue(test.async, &event, d->loop, on_accepted, d);
}

static void begin(void *arg)
{
    for (int i = 0; i < WINDOW; i++)
        accept_one(arg);
}

static void *look(void *arg)
{
    while (!atomic_load(&test.over)) {
        struct hd_async_stats stats;
        hd_async_stats(test.async, &stats);
        usleep(300);
    }
    return arg;
}

static void on_flag(void *arg)
{
    atomic_store((atomic_bool *)arg, true);
}

static void wait_for(const atomic_bool *flag)
{
    while (!atomic_load(flag))
        usleep(300);
}

static void make(void)
{
    static struct hd_loop *loops[LOOPS];
    static struct hd_caller *callers[LOOPS];
    static const struct hd_targets targets = {.find = find};
    static const uint32_t delays[] = {1};
    for (int i = 0; i < LOOPS; i++) {
        struct door *d = &test.doors[i];
        assert_int_equal(hd_loop_new(&d->loop, (unsigned)i, NULL), 0);
        d->caller.door = d;
        hd_rng_init(&d->rng, (uint64_t)i + 1);
        loops[i] = d->loop;
        callers[i] = &d->caller;
    }
    struct hd_destinations_options to = {.loop = loops[0], .emit = emit};
    test.destinations = hd_destinations_new(&to);
    struct hd_async_options opt = {.store = test.rig.store,
                                   .loops = loops,
                                   .callers = callers,
                                   .n_loops = LOOPS,
                                   .targets = &targets,
                                   .view = view,
                                   .destinations = test.destinations,
                                   .delays_ms = delays,
                                   .n_delays = 1};
    test.async = hd_async_new(&opt);
    hd_async_start(test.async);
}

static void all_loops_run_all_events(void **state)
{
    pthread_t looker;
    rig_init(&test.rig);
    rig_open(&test.rig);
    make_view();
    make();
    for (int i = 0; i < LOOPS; i++) {
        hd_loop_post(test.doors[i].loop, begin, &test.doors[i]);
        assert_int_equal(hd_loop_start(test.doors[i].loop, NULL), 0);
    }
    assert_int_equal(pthread_create(&looker, NULL, look, NULL), 0);
    struct hd_async_stats stats;
    do {
        usleep(1000);
        hd_async_stats(test.async, &stats);
    } while (stats.succeeded < LOOPS * EVENTS || stats.sent < LOOPS * EVENTS / 2);
    assert_int_equal(atomic_load(&test.accepted), LOOPS * EVENTS);
    assert_int_equal(atomic_load(&test.refused), 0);
    for (int i = 0; i < LOOPS * EVENTS; i++)
        assert_int_equal(atomic_load(&test.runs[i]), i % 10 == 0 ? 2 : 1);
    assert_int_equal(atomic_load(&test.records), LOOPS * EVENTS / 2);
    atomic_bool closed = false;
    hd_async_close(test.async, on_flag, &closed);
    wait_for(&closed);
    atomic_store(&test.over, true);
    pthread_join(looker, NULL);
    for (int i = 0; i < LOOPS; i++) {
        hd_loop_stop(test.doors[i].loop);
        hd_loop_join(test.doors[i].loop);
    }
    hd_async_free(test.async);
    hd_destinations_free(test.destinations);
    hd_view_unref(test.view);
    rig_done(&test.rig);
    for (int i = 0; i < LOOPS; i++)
        hd_loop_free(test.doors[i].loop);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_loops_run_all_events)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
