/* sim_esm.c - the real pollers of event sources against a virtual clock, a queue that hides what it
 * gave out, and functions that fail, are throttled, slow, or know some records that never work.
 *
 *   sim_esm [SEED [RUNS]]     run seeds SEED, SEED + 1, ...; the failing one is printed */
#include "core/id.h"
#include "core/loop.h"
#include "lambda/sources/esm_poll.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    MESSAGES = 300,
    VISIBLE_S = 30,
    DEAD_AFTER = 6,
    LAG_MS = 5,
    BUSY_RUN_MS = 120000,
    END_MS = 4000000
};

/* As the real ones, so that the simulation notices when one of them is forgotten. */
#define CHECK(sim, claim)                                                                     \
    do {                                                                                      \
        if (!(claim)) {                                                                       \
            fprintf(stderr, "seed %" PRIu64 " at %" PRIu64 " ms: %s:%d: does not hold: %s\n", \
                    (sim)->seed, (sim)->now_ms, __FILE__, __LINE__, #claim);                  \
            exit(1);                                                                          \
        }                                                                                     \
    } while (0)

struct message {
    char id[16];
    uint64_t arrives_ms, visible_ms; /* visible_ms: hidden until then */
    unsigned held;                   /* records of it that are in the pollers' hands */
    unsigned calls_now, deliveries, handled;
    bool gone, poison, unwanted, given_up;
    uint32_t bytes;
};

struct slot {
    struct sim *sim;
    unsigned index, max;
    uint64_t until_ms;
    bool asked, canceled;
    struct hd_timer timer;
};

struct settling {
    struct sim *sim;
    struct hd_list records;
    enum hd_esm_settle how;
    struct hd_timer timer;
};

struct call {
    struct sim *sim;
    unsigned poller, n;
    struct message *of[MESSAGES];
    struct hd_timer timer;
    bool giving; /* not a call: a record on its way to on_failure */
};

struct sim {
    uint64_t seed, now_ms;
    struct hd_rng rng;
    struct hd_loop *loop;
    struct hd_esm_poll *poll;
    struct hd_esm_mapping mapping;
    struct message messages[MESSAGES];
    struct slot slots[HD_ESM_POLLERS_MAX];
    bool keeps, healthy, stopping, stopped, error_source;
    unsigned calling, records, most; /* most: calls at once that may be */
    uint64_t calls, throttled;
    char result[400];
};

static uint64_t below(struct sim *s, uint64_t n)
{
    return hd_rng_below(&s->rng, n);
}

static bool chance(struct sim *s, unsigned percent)
{
    return below(s, 100) < percent;
}

/* --- the queue --- */

static struct message *message_of(struct sim *s, const char *id)
{
    for (size_t i = 0; i < MESSAGES; i++)
        if (strcmp(s->messages[i].id, id) == 0)
            return &s->messages[i];
    CHECK(s, false && "a record that there never was");
    return NULL;
}

static bool is_there(const struct sim *s, const struct message *m)
{
    return !m->gone && m->arrives_ms <= s->now_ms && m->visible_ms <= s->now_ms;
}

static void give_one(struct slot *slot, struct message *m, struct hd_list *wanted,
                     struct hd_list *others)
{
    struct sim *s = slot->sim;
    char *json = hd_alloc(m->bytes + 1);
    memset(json, 'x', m->bytes);
    struct hd_esm_record *r = hd_esm_record_new(m->id, m->id, json);
    m->deliveries++;
    m->held++;
    s->records++;
    if (!s->keeps) {
        m->visible_ms = s->now_ms + VISIBLE_S * 1000;
        r->held_until_ms = m->visible_ms - 1000;
    } else {
        m->visible_ms = UINT64_MAX; /* the broker's: until it is settled */
    }
    hd_list_push(m->unwanted ? others : wanted, &r->link);
}

static void answer(struct slot *slot, bool error)
{
    struct sim *s = slot->sim;
    struct hd_list wanted, others;
    struct hd_error err = {.code = HD_EIO, .msg = "the source is broken"};
    unsigned n = 0;
    hd_list_init(&wanted);
    hd_list_init(&others);
    for (size_t i = 0; !error && i < MESSAGES && n < slot->max; i++) {
        if (s->messages[i].deliveries == DEAD_AFTER && s->messages[i].held == 0)
            s->messages[i].gone = true; /* to its dead letters */
        if (is_there(s, &s->messages[i]) && !(slot->canceled && chance(s, 80))) {
            give_one(slot, &s->messages[i], &wanted, &others);
            n++;
        }
    }
    slot->asked = false;
    hd_esm_poll_drop(s->poll, &others, HD_ESM_DONE);
    hd_esm_poll_received(s->poll, slot->index, &wanted, n, error ? &err : NULL);
}

static void on_slot(struct hd_timer *t)
{
    struct slot *slot = hd_container_of(t, struct slot, timer);
    struct sim *s = slot->sim;
    bool any = false;
    for (size_t i = 0; i < MESSAGES && !any; i++)
        any = is_there(s, &s->messages[i]);
    if (!s->healthy && s->error_source && chance(s, 30))
        answer(slot, true);
    else if (any || slot->canceled || s->now_ms >= slot->until_ms || (!s->healthy && chance(s, 2)))
        answer(slot, false);
    else
        hd_timer_start(s->loop, t, 50, on_slot);
}

static void receive(void *feed, unsigned poller, unsigned max, uint32_t wait_ms)
{
    struct sim *s = feed;
    struct slot *slot = &s->slots[poller];
    CHECK(s, !slot->asked && !s->stopping);
    CHECK(s, max >= 1 && max <= 10);
    CHECK(s, wait_ms <= 20000);
    *slot = (struct slot){
        .sim = s, .index = poller, .max = max, .until_ms = s->now_ms + wait_ms, .asked = true};
    hd_timer_start(s->loop, &slot->timer, below(s, 20), on_slot);
}

static void cancel(void *feed, unsigned poller)
{
    struct sim *s = feed;
    CHECK(s, s->slots[poller].asked);
    s->slots[poller].canceled = true;
    hd_timer_start(s->loop, &s->slots[poller].timer, below(s, 3), on_slot);
}

static void on_settling(struct hd_timer *t)
{
    struct settling *st = hd_container_of(t, struct settling, timer);
    struct sim *s = st->sim;
    hd_list_each(item, &st->records)
    {
        struct message *m = message_of(s, hd_container_of(item, struct hd_esm_record, link)->id);
        m->held--;
        s->records--;
        if (st->how == HD_ESM_DONE)
            m->gone = true;
        else if (st->how == HD_ESM_RETURNED || s->keeps)
            m->visible_ms = m->visible_ms == UINT64_MAX || m->held == 0 ? s->now_ms : m->visible_ms;
    }
    hd_esm_records_free(&st->records);
    free(st);
    hd_esm_poll_settled(s->poll);
}

static void settle(void *feed, struct hd_list *records, enum hd_esm_settle how)
{
    struct sim *s = feed;
    struct settling *st = hd_new(struct settling);
    st->sim = s;
    st->how = how;
    hd_list_init(&st->records);
    while (!hd_list_empty(records)) {
        struct hd_list *item = hd_list_pop(records);
        struct message *m = message_of(s, hd_container_of(item, struct hd_esm_record, link)->id);
        if (how == HD_ESM_DONE)
            CHECK(s, m->handled > 0 || m->unwanted || m->given_up);
        if (how == HD_ESM_RETURNED)
            CHECK(s, s->stopping);
        hd_list_push(&st->records, item);
    }
    hd_timer_start(s->loop, &st->timer, below(s, 10), on_settling);
}

static void event(void *feed, struct hd_buf *out, const struct hd_list *records, size_t n)
{
    struct sim *s = feed;
    const struct hd_list *item = records->next;
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++, item = item->next) {
        const struct hd_esm_record *r = hd_container_of(item, struct hd_esm_record, link);
        CHECK(s, item != records);
        hd_buf_fmt(out, "%s\n", r->id);
        bytes += r->json_len + 1;
    }
    CHECK(s, bytes <= HD_ESM_EVENT_BYTES);
}

/* --- the function --- */

static unsigned limit_of(const struct sim *s)
{
    return s->mapping.max_concurrency != 0 ? s->mapping.max_concurrency : 20;
}

static bool has_poison(const struct call *c)
{
    for (unsigned i = 0; i < c->n; i++)
        if (c->of[i]->poison)
            return true;
    return false;
}

/* What a function that tells its failures says. */
static void say_failures(struct hd_buf *out, const struct call *c)
{
    const char *before = "";
    hd_buf_cstr(out, "{\"batchItemFailures\":[");
    for (unsigned i = 0; i < c->n; i++) {
        if (!c->of[i]->poison)
            continue;
        hd_buf_fmt(out, "%s{\"itemIdentifier\":\"%s\"}", before, c->of[i]->id);
        before = ",";
    }
    hd_buf_cstr(out, "]}");
}

static void on_call_end(struct hd_timer *t)
{
    struct call *c = hd_container_of(t, struct call, timer);
    struct sim *s = c->sim;
    unsigned poller = c->poller;
    struct hd_buf text;
    hd_buf_init(&text, 1 << 16);
    enum hd_esm_called how = HD_ESM_CALL_OK;
    if (!s->healthy && chance(s, 15))
        how = chance(s, 50) ? HD_ESM_CALL_BUSY : HD_ESM_CALL_FAILED;
    if (how == HD_ESM_CALL_OK && has_poison(c) && !s->mapping.item_failures)
        how = HD_ESM_CALL_FAILED;
    if (how == HD_ESM_CALL_OK)
        say_failures(&text, c);
    s->throttled += how == HD_ESM_CALL_BUSY;
    for (unsigned i = 0; i < c->n; i++) {
        c->of[i]->calls_now--;
        if (how == HD_ESM_CALL_OK && !(s->mapping.item_failures && c->of[i]->poison))
            c->of[i]->handled++;
    }
    s->calling--;
    free(c);
    hd_esm_poll_called(s->poll, poller, how, hd_buf_view(&text));
    hd_buf_done(&text);
}

static void call(void *sink, struct hd_esm_poll *p, unsigned poller, struct hd_str ev)
{
    struct sim *s = sink;
    struct call *c = hd_new(struct call);
    struct hd_str rest = ev, id;
    c->sim = s;
    c->poller = poller;
    CHECK(s, p == s->poll || s->poll == NULL);
    while (hd_str_split(&id, &rest, '\n')) {
        char text[16] = "";
        if (id.len == 0)
            continue;
        memcpy(text, id.ptr, id.len);
        struct message *m = message_of(s, text);
        /* two calls at once only when its time was over */
        CHECK(s, m->calls_now == 0 || !s->keeps);
        CHECK(s, !m->unwanted);
        m->calls_now++;
        c->of[c->n++] = m;
    }
    CHECK(s, c->n >= 1 && c->n <= 20);
    s->calling++;
    s->calls++;
    CHECK(s, s->calling <= s->most);
    hd_timer_start(s->loop, &c->timer, below(s, chance(s, 90) ? 200 : 5000), on_call_end);
}

static void on_given(struct hd_timer *t)
{
    struct call *c = hd_container_of(t, struct call, timer);
    struct sim *s = c->sim;
    unsigned poller = c->poller;
    bool given = s->healthy || chance(s, 70);
    if (given)
        c->of[0]->given_up = true;
    free(c);
    hd_esm_poll_gave_up(s->poll, poller, given);
}

static void give_up(void *sink, struct hd_esm_poll *p, unsigned poller,
                    const struct hd_esm_record *r)
{
    struct sim *s = sink;
    struct call *c = hd_new(struct call);
    c->sim = s;
    c->poller = poller;
    c->of[0] = message_of(s, r->id);
    CHECK(s, s->mapping.on_failure != NULL && r->attempts >= 5);
    hd_timer_start(s->loop, &c->timer, below(s, 30), on_given);
    (void)p;
}

static void on_result(void *arg, const char *text)
{
    struct sim *s = arg;
    snprintf(s->result, sizeof(s->result), "%s", text);
}

static void on_stopped(void *arg)
{
    struct sim *s = arg;
    CHECK(s, s->stopping && !s->stopped);
    CHECK(s, s->calling == 0 && s->records == 0);
    s->stopped = true;
}

/* --- a run --- */

static void advance_to(struct sim *s, uint64_t to_ms)
{
    while (s->now_ms < to_ms && !s->stopped) {
        uint64_t next = hd_loop_next_ms(s->loop);
        s->now_ms = next > to_ms ? to_ms : HD_MAX(next, s->now_ms);
        s->now_ms += below(s, LAG_MS);
        while (hd_loop_advance(s->loop, s->now_ms))
            ;
    }
}

static void choose(struct sim *s)
{
    s->keeps = chance(s, 50);
    s->error_source = chance(s, 30);
    s->mapping =
        (struct hd_esm_mapping){.uuid = "u",
                                .kind = s->keeps ? HD_ESM_MQ : HD_ESM_SQS,
                                .account = "a",
                                .region = "r",
                                .source_arn = "arn",
                                .source_name = "q",
                                .function_arn = "f",
                                .function = "f",
                                .batch_size = (uint32_t)(1 + below(s, 20)),
                                .window_s = (uint32_t)(chance(s, 50) ? 0 : below(s, 6)),
                                .max_concurrency = (uint32_t)(chance(s, 50) ? 0 : 2 + below(s, 5)),
                                .item_failures = chance(s, 40),
                                .bisect = s->keeps && chance(s, 60),
                                .on_failure = s->keeps && chance(s, 60) ? "d" : NULL};
    if (s->mapping.batch_size > 10 && s->mapping.window_s == 0)
        s->mapping.window_s = 1;
    bool poisoned = chance(s, 50);
    for (size_t i = 0; i < MESSAGES; i++) {
        struct message *m = &s->messages[i];
        snprintf(m->id, sizeof(m->id), "m%zu", i);
        m->arrives_ms = s->now_ms + (chance(s, 40) ? 0 : below(s, BUSY_RUN_MS));
        m->poison = poisoned && chance(s, 3);
        m->unwanted = chance(s, 5);
        m->bytes = (uint32_t)(chance(s, 2) ? below(s, 2000000) : 10 + below(s, 300));
    }
    s->most = limit_of(s);
}

static bool all_over(const struct sim *s)
{
    for (size_t i = 0; i < MESSAGES; i++) {
        const struct message *m = &s->messages[i];
        if (!m->gone)
            return false;
    }
    return true;
}

static void run(uint64_t seed)
{
    static const struct hd_esm_feed_ops queue = {.max_receive = 10,
                                                 .pollers = 2,
                                                 .max_pollers = 20,
                                                 .receive = receive,
                                                 .cancel = cancel,
                                                 .settle = settle,
                                                 .event = event};
    static const struct hd_esm_feed_ops broker = {.max_receive = 10,
                                                  .pollers = 2,
                                                  .max_pollers = 20,
                                                  .keeps_failed = true,
                                                  .receive = receive,
                                                  .cancel = cancel,
                                                  .settle = settle,
                                                  .event = event};
    static const struct hd_esm_sink_ops sink = {.call = call, .give_up = give_up};
    struct sim *s = hd_new(struct sim);
    s->seed = seed;
    s->now_ms = 1000;
    hd_rng_init(&s->rng, seed + 1);
    if (hd_loop_new(&s->loop, 0, NULL) < 0)
        abort();
    hd_loop_set_virtual(s->loop, s->now_ms);
    choose(s);
    const struct hd_esm_poll_options opt = {.mapping = &s->mapping,
                                            .loop = s->loop,
                                            .feed_ops = s->keeps ? &broker : &queue,
                                            .feed = s,
                                            .sink_ops = &sink,
                                            .sink = s,
                                            .on_result = on_result,
                                            .on_stopped = on_stopped,
                                            .arg = s,
                                            .seed = seed + 2};
    s->poll = hd_esm_poll_new(&opt);
    bool early = chance(s, 20); /* stopped in the middle of it */
    advance_to(s, 1000 + (early ? below(s, BUSY_RUN_MS) : BUSY_RUN_MS));
    if (!early && chance(s, 40)) {
        s->mapping.batch_size = (uint32_t)(1 + below(s, 10));
        s->mapping.max_concurrency = (uint32_t)(chance(s, 50) ? 0 : 2 + below(s, 5));
        s->most = HD_MAX(s->most, limit_of(s)); /* those of before may still run */
        hd_esm_poll_update(s->poll, &s->mapping);
    }
    s->healthy = true;
    while (!early && !all_over(s)) {
        advance_to(s, s->now_ms + 1000);
        CHECK(s, s->now_ms < END_MS);
    }
    s->stopping = true;
    hd_esm_poll_stop(s->poll);
    uint64_t begun = s->now_ms;
    while (!s->stopped) {
        advance_to(s, s->now_ms + 100);
        CHECK(s, s->now_ms < begun + 10000);
    }
    struct hd_esm_poll_stats stats;
    hd_esm_poll_stats(s->poll, &stats);
    CHECK(s, stats.pollers == 0 && stats.calling == 0 && stats.calls == s->calls);
    CHECK(s, stats.busy == s->throttled);
    hd_esm_poll_free(s->poll);
    hd_loop_free(s->loop);
    free(s);
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, runs = 300;
    if (argc > 1 && hd_str_to_u64(&seed, hd_str(argv[1])) < 0)
        return 2;
    if (argc > 2 && hd_str_to_u64(&runs, hd_str(argv[2])) < 0)
        return 2;
    for (uint64_t i = 0; i < runs; i++)
        run(seed + i);
    printf("%" PRIu64 " runs\n", runs);
    return 0;
}
