/* sim_async.c - asynchronous invocation over a real store and a virtual clock: functions that fail,
 * are throttled, switched off and slow, destinations that are away, and a node that crashes.
 *
 *   sim_async [SEED [RUNS]]     run seeds SEED, SEED + 1, ...; the failing one is printed */
#include "async_rig.h"
#include "core/id.h"
#include "lambda/async/async_policy.h"

#include <jansson.h>
#include <stdio.h>

enum {
    FUNCTIONS = 5,
    EVENTS = 150,
    WORKERS = 4,
    MAX_RUNNING = 12,
    CRASHES = 3,
    HOUR_MS = 3600 * 1000,
};

struct event {
    int function;
    int64_t accepted_ms, last_ms; /* last: the end of the last attempt that failed */
    int runs, errors, records;
    bool ok, running, crashed; /* crashed: the node did, while it was here */
    char condition[32];
};

struct function {
    char name[8];
    struct async_settings settings;
    bool was_off, changed;
    int running;
};

struct sim {
    struct async_rig rig;
    struct hd_rng rng;
    struct function functions[FUNCTIONS];
    struct event events[EVENTS];
    int accepted, running;
    bool crashes, calm; /* calm: at the end, destinations are there */
    uint64_t seed;
};

static struct sim sim;

#define CHECK(what)                                                                            \
    do {                                                                                       \
        if (!(what)) {                                                                         \
            printf("seed %llu: %s:%d: %s\n", (unsigned long long)sim.seed, __FILE__, __LINE__, \
                   #what);                                                                     \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

static uint64_t below(uint64_t n)
{
    return hd_rng_below(&sim.rng, n);
}

static struct event *event_of(const char *id)
{
    unsigned long n = strtoul(id + 24, NULL, 16);
    CHECK(n < EVENTS);
    return &sim.events[n];
}

/* --- calls --- */

static void on_time(struct hd_timer *timer)
{
    struct hd_call *call = hd_container_of(timer, struct hd_call, timer);
    struct event *e = event_of(call->request_id);
    uint64_t dice = below(100);
    sim.functions[e->function].running--;
    sim.running--;
    e->running = false;
    if (dice < 15) {
        async_rig_end(call, dice < 8 ? HD_CALL_THROTTLED : HD_CALL_FAILED, "");
        return;
    }
    e->runs++;
    e->last_ms = async_rig_now();
    e->ok = dice < 60;
    e->errors += !e->ok;
    async_rig_end(call, e->ok ? HD_CALL_OK : HD_CALL_FUNCTION_ERROR, "{\"errorMessage\":\"x\"}");
}

static void on_call(struct hd_call *call)
{
    struct event *e = event_of(call->request_id);
    struct function *f = &sim.functions[e->function];
    CHECK(strcmp(call->target->name, f->name) == 0);
    CHECK(!e->running); /* never twice at once */
    CHECK(e->crashed || !e->ok);
    /* 60 s after the first error, 120 s after the second */
    if (!e->crashed && e->errors > 0)
        CHECK(async_rig_now() - e->last_ms >= (e->errors == 1 ? 60000 : 120000));
    CHECK(async_rig_now() - e->accepted_ms <= (int64_t)f->settings.max_age_s * 1000);
    e->running = true;
    sim.running++;
    f->running++;
    CHECK(f->running <= WORKERS);
    CHECK(sim.running <= MAX_RUNNING);
    hd_timer_start(sim.rig.store.loop, &call->timer, 1 + below(3000), on_time);
}

/* --- destinations --- */

static int on_emit(struct async_rig *r, struct hd_str lane, struct hd_str id, struct hd_str json)
{
    hd_auto_free char *text = hd_strdup_n(id);
    struct event *e = event_of(text);
    if (!sim.calm && below(3) == 0)
        return HD_EIO;
    json_t *record = json_loadb(json.ptr, json.len, 0, NULL);
    const char *condition =
        json_string_value(json_object_get(json_object_get(record, "requestContext"), "condition"));
    CHECK(condition != NULL);
    CHECK(hd_str_is(lane, strcmp(condition, "Success") == 0 ? "good" : "bad"));
    CHECK(e->crashed || e->records == 0 || strcmp(e->condition, condition) == 0);
    snprintf(e->condition, sizeof(e->condition), "%s", condition);
    e->records++;
    json_decref(record);
    (void)r;
    return 0;
}

/* --- what happens --- */

static void accept_one(void)
{
    char id[HD_UUID_CHARS + 1];
    struct event *e = &sim.events[sim.accepted];
    snprintf(id, sizeof(id), "00000000-0000-4000-8000-%012x", (unsigned)sim.accepted);
    *e = (struct event){.function = (int)below(FUNCTIONS), .accepted_ms = async_rig_now()};
    if (async_rig_event(&sim.rig, sim.functions[e->function].name, id, "{}") == 0)
        sim.accepted++;
}

static void set_off(struct function *f, bool off)
{
    f->settings.off = off;
    f->was_off = f->was_off || off;
    async_rig_function(&sim.rig, &f->settings);
}

static void crash(void)
{
    for (int i = 0; i < sim.accepted; i++)
        sim.events[i].crashed = true;
    async_rig_crash(&sim.rig); /* what was given out just before may still begin */
    for (int i = 0; i < sim.accepted; i++)
        sim.events[i].running = false;
    for (int i = 0; i < FUNCTIONS; i++)
        sim.functions[i].running = 0;
    sim.running = 0;
}

static void step(void)
{
    uint64_t dice = below(100);
    if (dice < 60 && sim.accepted < EVENTS)
        accept_one();
    else if (dice < 63)
        set_off(&sim.functions[0], below(2) == 0);
    else if (dice < 64 && sim.crashes && below(2) == 0)
        crash();
    else
        async_rig_pass(&sim.rig, (int64_t)below(dice < 95 ? 3000 : 200000));
}

/* --- the end --- */

static void check_event(const struct event *e)
{
    const struct function *f = &sim.functions[e->function];
    int most = f->settings.max_retries + 1;
    CHECK(e->records >= 1); /* it ended, and that was told */
    CHECK(!e->running);
    if (strcmp(e->condition, "Success") == 0)
        CHECK(e->ok || e->crashed);
    if (strcmp(e->condition, "ZeroReservedConcurrency") == 0)
        CHECK(f->was_off);
    if (e->crashed)
        return; /* at least once */
    CHECK(e->records == 1);
    CHECK(e->runs <= most);
    CHECK(e->ok == (strcmp(e->condition, "Success") == 0));
    if (strcmp(e->condition, "RetriesExhausted") == 0)
        CHECK(e->errors == most);
    if (strcmp(e->condition, "EventAgeExceeded") == 0)
        CHECK(e->errors < most);
}

static void run(uint64_t seed)
{
    sim = (struct sim){.seed = seed};
    hd_rng_init(&sim.rng, seed);
    sim.crashes = below(2) == 0;
    async_rig_init(&sim.rig);
    sim.rig.workers = WORKERS;
    sim.rig.max_running = MAX_RUNNING;
    sim.rig.on_call = on_call;
    sim.rig.on_emit = on_emit;
    async_rig_open(&sim.rig);
    for (int i = 0; i < FUNCTIONS; i++) {
        struct function *f = &sim.functions[i];
        snprintf(f->name, sizeof(f->name), "f%d", i);
        f->settings = (struct async_settings){
            .name = f->name,
            .max_retries = (int32_t)below(3),
            .max_age_s = below(3) == 0 ? 60 + (int32_t)below(300) : 21600,
            .on_success = "lane:good",
            .on_failure = "lane:bad",
        };
        async_rig_function(&sim.rig, &f->settings);
    }
    while (sim.accepted < EVENTS)
        step();
    sim.calm = true;
    set_off(&sim.functions[0], false);
    async_rig_pass(&sim.rig, 9 * HOUR_MS);
    struct hd_async_stats stats = async_rig_stats(&sim.rig);
    CHECK(stats.queued == 0 && stats.running == 0);
    CHECK(stats.send_lost == 0);
    for (int i = 0; i < sim.accepted; i++)
        check_event(&sim.events[i]);
    async_rig_done(&sim.rig);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    unsigned long runs = argc > 2 ? strtoul(argv[2], NULL, 10) : 6;
    if (argc == 1)
        hd_random(&seed, 4); /* each run of the tests looks at others */
    seed &= UINT32_MAX;
    for (unsigned long i = 0; i < runs; i++)
        run(seed + i);
    printf("%lu runs from seed %llu\n", runs, (unsigned long long)seed);
    return 0;
}
