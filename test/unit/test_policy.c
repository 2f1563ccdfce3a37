/* test_policy.c - views in, decisions out; now_ms is an argument. */
#include "pool/policy.h"
#include "test.h"

enum { NOW = 100000 };

static const struct hd_pool_limits limits = {
    .concurrency = 10,
    .max = 8,
    .idle_ms = 1000,
    .queue_max = 100,
    .wait_ms = 5000,
    .start_timeout_ms = 2000,
    .drain_ms = 3000,
};

static struct hd_pool_plan plan(struct hd_pool_view *v)
{
    struct hd_pool_plan p;
    if (v->limits == NULL)
        v->limits = &limits;
    if (v->next_deadline_ms == 0)
        v->next_deadline_ms = UINT64_MAX;
    if (v->ramp == 0)
        v->ramp = 4;
    hd_pool_plan(&p, v, NOW);
    return p;
}

static struct hd_instance_view ready(uint32_t in_flight, uint64_t used_ago_ms)
{
    return (struct hd_instance_view){.state = HD_INSTANCE_READY,
                                     .since_ms = NOW - 50000,
                                     .in_flight = in_flight,
                                     .last_used_ms = NOW - used_ago_ms};
}

static void a_cold_pool_starts_what_its_queue_needs_and_not_more_than_the_ramp(void **state)
{
    static const struct {
        uint32_t waiting, concurrency, starts;
    } cases[] = {{1, 10, 1}, {10, 10, 1}, {11, 10, 2}, {50, 100, 1}, {50, 1, 4}, {3, 1, 3}};
    for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
        struct hd_pool_limits l = limits;
        l.concurrency = cases[n].concurrency;
        struct hd_pool_view v = {.limits = &l, .waiting = cases[n].waiting, .oldest_ms = NOW};
        struct hd_pool_plan p = plan(&v);
        assert_int_equal(p.start, cases[n].starts);
        assert_int_equal(p.urgency, HD_URGENT_COLD);
    }
    (void)state;
}

static void an_instance_that_used_its_cpu_time_and_finished_nothing_is_killed(void **state)
{
    struct hd_pool_limits l = limits;
    l.cpu_ms = 100;
    struct hd_instance_view i = ready(2, 0);
    struct hd_pool_view v = {.limits = &l, .instances = &i, .n_instances = 1};
    i.request_cpu_us = 99999;
    plan(&v);
    assert_int_equal(i.act, HD_ACT_NONE);
    i.request_cpu_us = 100000;
    plan(&v);
    assert_int_equal(i.act, HD_ACT_KILL);
    assert_int_equal(i.why, HD_RECYCLE_CPU);
    i.state = HD_INSTANCE_DRAINING;
    i.since_ms = NOW - 10;
    plan(&v);
    assert_int_equal(i.act, HD_ACT_KILL);
    i.in_flight = 0;
    plan(&v);
    assert_int_not_equal(i.act, HD_ACT_KILL);
    (void)state;
}

static void a_start_under_way_is_waited_for(void **state)
{
    struct hd_instance_view i = {.state = HD_INSTANCE_STARTING, .since_ms = NOW - 500};
    struct hd_pool_view v = {
        .instances = &i, .n_instances = 1, .waiting = 10, .oldest_ms = NOW - 500};
    struct hd_pool_plan p = plan(&v);
    assert_int_equal(p.start, 0);
    assert_int_equal(i.act, HD_ACT_NONE);
    assert_int_equal(p.next_wake_ms, NOW - 500 + limits.start_timeout_ms);
    (void)state;
}

static void a_start_that_takes_too_long_is_ended_and_made_up_for(void **state)
{
    struct hd_instance_view i = {.state = HD_INSTANCE_STARTING, .since_ms = NOW - 2000};
    struct hd_pool_view v = {
        .instances = &i, .n_instances = 1, .waiting = 1, .oldest_ms = NOW - 2000};
    assert_int_equal(plan(&v).start, 1);
    assert_int_equal(i.act, HD_ACT_KILL);
    (void)state;
}

static void a_full_pool_grows_when_its_queue_waited_long_enough_and_doubles_at_most(void **state)
{
    struct hd_instance_view i[2] = {ready(10, 0), ready(10, 0)};
    struct hd_pool_view v = {.instances = i, .n_instances = 2, .waiting = 90};
    v.oldest_ms = NOW - HD_POOL_SCALE_MS + 1;
    struct hd_pool_plan p = plan(&v);
    assert_int_equal(p.start, 0);
    assert_int_equal(p.next_wake_ms, NOW + 1);
    v.oldest_ms = NOW - HD_POOL_SCALE_MS;
    p = plan(&v);
    assert_int_equal(p.start, 2);
    assert_int_equal(p.urgency, HD_URGENT_SCALE);
    v.last_start_ms = NOW - 1;
    assert_int_equal(plan(&v).start, 0);
    (void)state;
}

static void a_pool_never_grows_beyond_max(void **state)
{
    struct hd_pool_limits l = limits;
    l.max = 3;
    struct hd_instance_view i[2] = {ready(10, 0), ready(10, 0)};
    struct hd_pool_view v = {.limits = &l, .instances = i, .n_instances = 2, .waiting = 90};
    v.oldest_ms = NOW - 5000;
    assert_int_equal(plan(&v).start, 1);
    (void)state;
}

static void min_is_kept_without_a_request(void **state)
{
    struct hd_pool_limits l = limits;
    l.min = 3;
    struct hd_instance_view i[2] = {ready(0, 40000),
                                    {.state = HD_INSTANCE_STARTING, .since_ms = NOW}};
    struct hd_pool_view v = {.limits = &l, .instances = i, .n_instances = 2};
    struct hd_pool_plan p = plan(&v);
    assert_int_equal(p.start, 1);
    assert_int_equal(p.urgency, HD_URGENT_KEEP);
    assert_int_equal(i[0].act, HD_ACT_NONE);
    (void)state;
}

static void idle_instances_end_the_least_recently_used_first_and_down_to_min(void **state)
{
    struct hd_pool_limits l = limits;
    l.min = 1;
    struct hd_instance_view i[4] = {ready(0, 1500), ready(0, 1200), ready(0, 400), ready(0, 3000)};
    struct hd_pool_view v = {.limits = &l, .instances = i, .n_instances = 4};
    struct hd_pool_plan p = plan(&v);
    assert_int_equal(i[0].act, HD_ACT_STOP);
    assert_int_equal(i[1].act, HD_ACT_STOP);
    assert_int_equal(i[2].act, HD_ACT_NONE);
    assert_int_equal(i[3].act, HD_ACT_STOP);
    assert_int_equal(i[3].why, HD_RECYCLE_IDLE);
    assert_int_equal(p.next_wake_ms, UINT64_MAX);
    (void)state;
}

static void the_last_one_ends_too_when_min_is_0(void **state)
{
    struct hd_instance_view i = ready(0, 999);
    struct hd_pool_view v = {.instances = &i, .n_instances = 1};
    assert_int_equal(plan(&v).next_wake_ms, NOW + 1);
    assert_int_equal(i.act, HD_ACT_NONE);
    i = ready(0, 1000);
    plan(&v);
    assert_int_equal(i.act, HD_ACT_STOP);
    (void)state;
}

static void a_back_off_is_waited_out(void **state)
{
    struct hd_pool_view v = {.waiting = 5, .oldest_ms = NOW, .blocked_until_ms = NOW + 70};
    struct hd_pool_plan p = plan(&v);
    assert_int_equal(p.start, 0);
    assert_int_equal(p.next_wake_ms, NOW + 70);
    v.blocked_until_ms = NOW;
    assert_int_equal(plan(&v).start, 1);
    (void)state;
}

static void a_suspect_is_asked_and_ended_when_it_does_not_answer(void **state)
{
    struct hd_instance_view i = ready(3, 0);
    struct hd_pool_view v = {.instances = &i, .n_instances = 1};
    i.suspicion = HD_SUSPECT_TIMEOUT;
    plan(&v);
    assert_int_equal(i.act, HD_ACT_PING);
    i.ping_until_ms = NOW + 100;
    assert_int_equal(plan(&v).next_wake_ms, NOW + 100);
    assert_int_equal(i.act, HD_ACT_NONE);
    i.ping_until_ms = NOW;
    plan(&v);
    assert_int_equal(i.act, HD_ACT_KILL);
    assert_int_equal(i.why, HD_RECYCLE_UNANSWERED);
    (void)state;
}

static void with_one_request_at_a_time_a_timeout_ends_the_instance(void **state)
{
    struct hd_pool_limits l = limits;
    l.concurrency = 1;
    struct hd_instance_view i = ready(0, 0);
    struct hd_pool_view v = {.limits = &l, .instances = &i, .n_instances = 1};
    i.suspicion = HD_SUSPECT_TIMEOUT;
    plan(&v);
    assert_int_equal(i.act, HD_ACT_KILL);
    assert_int_equal(i.why, HD_RECYCLE_TIMEOUT);
    (void)state;
}

/* --- each request with an attempt of its own --- */

static struct hd_pool_limits own_limits(void)
{
    struct hd_pool_limits l = limits;
    l.concurrency = 1;
    l.max_starting = 3;
    return l;
}

static void who_finds_no_place_starts_one_at_once_up_to_max_starting(void **state)
{
    struct hd_pool_limits l = own_limits();
    struct hd_instance_view i[3] = {
        ready(1, 0), ready(1, 0), {.state = HD_INSTANCE_STARTING, .since_ms = NOW}};
    struct hd_pool_view v = {.limits = &l, .instances = i, .n_instances = 3, .oldest_ms = NOW};
    v.waiting = 2;
    struct hd_pool_plan p = plan(&v);
    assert_int_equal(p.start, 1); /* two wait, one is coming, and nobody waits to see */
    assert_int_equal(p.urgency, HD_URGENT_COLD);
    v.waiting = 9;
    assert_int_equal(plan(&v).start, 2);
    v.instances = NULL;
    v.n_instances = 0;
    assert_int_equal(plan(&v).start, 3);
    (void)state;
}

static void a_back_off_holds_back_what_nobody_waits_for(void **state)
{
    struct hd_pool_limits l = own_limits();
    l.min = 2;
    struct hd_pool_view v = {.limits = &l, .blocked_until_ms = NOW + 100, .oldest_ms = NOW};
    struct hd_pool_plan p = plan(&v);
    assert_int_equal(p.start, 0);
    assert_int_equal(p.next_wake_ms, NOW + 100);
    v.waiting = 1;
    assert_int_equal(plan(&v).start, 1);
    /* With one that works there is something else to wait for. */
    struct hd_instance_view i = ready(1, 0);
    v.instances = &i;
    v.n_instances = 1;
    assert_int_equal(plan(&v).start, 0);
    (void)state;
}

static void provisioned_ones_are_kept_beside_min_and_never_idle_out(void **state)
{
    struct hd_pool_limits l = own_limits();
    l.min = 1;
    l.provisioned = 2;
    struct hd_instance_view i[4] = {ready(0, 9000), ready(0, 8000), ready(0, 7000), ready(0, 6000)};
    struct hd_pool_view v = {.limits = &l, .instances = i, .n_instances = 1};
    struct hd_pool_plan p = plan(&v);
    assert_int_equal(p.start, 2); /* the one on demand is min */
    assert_int_equal(p.urgency, HD_URGENT_KEEP);
    i[0].provisioned = i[1].provisioned = true;
    v.n_instances = 4;
    assert_int_equal(plan(&v).start, 0);
    assert_int_equal(i[0].act, HD_ACT_NONE);
    assert_int_equal(i[1].act, HD_ACT_NONE);
    assert_int_equal(i[2].act, HD_ACT_STOP); /* the older of those on demand */
    assert_int_equal(i[3].act, HD_ACT_NONE);
    l.provisioned = 0; /* not wanted any more: like all others */
    plan(&v);
    assert_int_equal(i[0].act, HD_ACT_STOP);
    assert_int_equal(i[1].act, HD_ACT_STOP);
    assert_int_equal(i[2].act, HD_ACT_STOP);
    assert_int_equal(i[3].act, HD_ACT_NONE);
    (void)state;
}

static void one_that_says_it_ends_is_stopped_and_one_that_shall_end_is_killed(void **state)
{
    struct hd_instance_view i = ready(0, 0);
    struct hd_pool_view v = {.instances = &i, .n_instances = 1};
    i.suspicion = HD_SUSPECT_LEAVING;
    plan(&v);
    assert_int_equal(i.act, HD_ACT_STOP);
    assert_int_equal(i.why, HD_RECYCLE_EXITED);
    i.in_flight = 1;
    plan(&v);
    assert_int_equal(i.act, HD_ACT_DRAIN);
    i.suspicion = HD_SUSPECT_DOOMED;
    plan(&v);
    assert_int_equal(i.act, HD_ACT_KILL);
    assert_int_equal(i.why, HD_RECYCLE_ENDED);
    i.state = HD_INSTANCE_DRAINING; /* replaced meanwhile */
    plan(&v);
    assert_int_equal(i.act, HD_ACT_KILL);
    (void)state;
}

static void a_worn_instance_goes_after_its_successor_came_even_at_max(void **state)
{
    struct hd_pool_limits l = limits;
    l.max = 1;
    l.recycle_requests = 100;
    struct hd_instance_view i[2] = {ready(1, 0)};
    i[0].requests = 100;
    struct hd_pool_view v = {.limits = &l, .instances = i, .n_instances = 1};
    struct hd_pool_plan p = plan(&v);
    assert_int_equal(i[0].act, HD_ACT_REPLACE);
    assert_int_equal(i[0].why, HD_RECYCLE_REQUESTS);
    assert_int_equal(p.start, 1);
    assert_int_equal(p.urgency, HD_URGENT_REPLACE);

    i[0].replace_since_ms = NOW - 10;
    i[1] = (struct hd_instance_view){.state = HD_INSTANCE_STARTING, .since_ms = NOW - 10};
    v.n_instances = 2;
    p = plan(&v);
    assert_int_equal(i[0].act, HD_ACT_NONE);
    assert_int_equal(p.start, 0);

    i[1].state = HD_INSTANCE_READY;
    plan(&v);
    assert_int_equal(i[0].act, HD_ACT_DRAIN);
    assert_int_equal(i[0].why, HD_RECYCLE_REQUESTS);
    assert_int_equal(i[1].act, HD_ACT_NONE);
    (void)state;
}

static void worn_instances_are_replaced_one_at_a_time(void **state)
{
    struct hd_pool_limits l = limits;
    l.recycle_rss_bytes = 1000;
    struct hd_instance_view i[3] = {ready(1, 0), ready(1, 0), ready(1, 0)};
    i[1].rss_bytes = i[2].rss_bytes = 1001;
    struct hd_pool_view v = {.limits = &l, .instances = i, .n_instances = 3};
    assert_int_equal(plan(&v).start, 1);
    assert_int_equal(i[0].act, HD_ACT_NONE);
    assert_int_equal(i[1].act, HD_ACT_REPLACE);
    assert_int_equal(i[1].why, HD_RECYCLE_RSS);
    assert_int_equal(i[2].act, HD_ACT_NONE);
    (void)state;
}

static void an_old_version_drains_and_starts_nothing(void **state)
{
    struct hd_instance_view i[2] = {ready(2, 0), {.state = HD_INSTANCE_STARTING, .since_ms = NOW}};
    struct hd_pool_view v = {.life = HD_LIFE_RETIRED, .instances = i, .n_instances = 2};
    assert_int_equal(plan(&v).start, 0);
    assert_int_equal(i[0].act, HD_ACT_DRAIN);
    assert_int_equal(i[0].why, HD_RECYCLE_REPLACED);
    assert_int_equal(i[1].act, HD_ACT_KILL);
    (void)state;
}

static void a_drained_instance_lingers_then_ends_and_a_busy_one_ends_at_the_limit(void **state)
{
    static const struct {
        uint32_t in_flight;
        uint64_t used_ago_ms, drained_ago_ms;
        enum hd_pool_act act;
        uint64_t wake_in_ms; /* 0: not at all */
    } cases[] = {
        {0, 100, 50, HD_ACT_NONE, 400},  {0, 500, 50, HD_ACT_STOP, 0},
        {1, 100, 50, HD_ACT_NONE, 2950}, {1, 100, 2999, HD_ACT_NONE, 1},
        {1, 100, 3000, HD_ACT_KILL, 0},  {0, 100, 3000, HD_ACT_STOP, 0},
    };
    for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
        struct hd_instance_view i = ready(cases[n].in_flight, cases[n].used_ago_ms);
        i.state = HD_INSTANCE_DRAINING;
        i.since_ms = NOW - cases[n].drained_ago_ms;
        struct hd_pool_view v = {.life = HD_LIFE_RETIRED, .instances = &i, .n_instances = 1};
        struct hd_pool_plan p = plan(&v);
        assert_int_equal(i.act, cases[n].act);
        if (cases[n].wake_in_ms > 0)
            assert_int_equal(p.next_wake_ms, NOW + cases[n].wake_in_ms);
    }
    (void)state;
}

static void what_does_not_end_when_told_is_ended_by_force(void **state)
{
    struct hd_instance_view i = {.state = HD_INSTANCE_STOPPING, .stop_until_ms = NOW + 5};
    struct hd_pool_view v = {.instances = &i, .n_instances = 1};
    assert_int_equal(plan(&v).next_wake_ms, NOW + 5);
    assert_int_equal(i.act, HD_ACT_NONE);
    i.stop_until_ms = NOW;
    plan(&v);
    assert_int_equal(i.act, HD_ACT_KILL);
    i.stop_until_ms = 0;
    plan(&v);
    assert_int_equal(i.act, HD_ACT_NONE);
    (void)state;
}

static void a_closing_pool_serves_its_queue_first(void **state)
{
    struct hd_instance_view i = ready(10, 0);
    struct hd_pool_view v = {.life = HD_LIFE_CLOSING, .instances = &i, .n_instances = 1};
    v.waiting = 1;
    v.oldest_ms = NOW;
    plan(&v);
    assert_int_equal(i.act, HD_ACT_NONE);
    v.waiting = 0;
    plan(&v);
    assert_int_equal(i.act, HD_ACT_DRAIN);
    (void)state;
}

/* --- the node --- */

static void lanes_go_to_the_most_urgent_then_to_the_most_recently_used(void **state)
{
    struct hd_pool_node node = {.lanes = 2, .demand_lanes = 1};
    struct hd_pool_wish w[5] = {
        {.start = 1, .urgency = HD_URGENT_EAGER, .used_ms = 900},
        {.start = 2, .urgency = HD_URGENT_KEEP, .used_ms = 10},
        {.start = 1, .urgency = HD_URGENT_KEEP, .used_ms = 20},
        {.start = 1, .urgency = HD_URGENT_COLD, .used_ms = 1},
        {.start = 1, .urgency = HD_URGENT_EAGER, .used_ms = 1000},
    };
    hd_pool_admit(&node, w, 5, NULL, 0);
    assert_int_equal(w[3].granted, 1);
    assert_int_equal(w[2].granted, 1);
    assert_int_equal(w[1].granted, 0);
    assert_int_equal(w[0].granted + w[4].granted, 0);
    node.starting = 2; /* only those that somebody waits for pass the background lanes */
    hd_pool_admit(&node, w, 5, NULL, 0);
    assert_int_equal(w[3].granted, 1);
    assert_int_equal(w[2].granted, 0);
    (void)state;
}

static void demand_evicts_the_least_recently_used_and_waits_for_their_memory(void **state)
{
    struct hd_pool_node node = {.lanes = 4, .memory_bytes = 100, .used_bytes = 90};
    struct hd_pool_wish w = {.start = 1, .urgency = HD_URGENT_COLD, .bytes = 30};
    struct hd_pool_idle idle[3] = {{50, 15, false}, {40, 15, false}, {60, 15, false}};
    hd_pool_admit(&node, &w, 1, idle, 3);
    assert_int_equal(w.granted, 0);
    assert_false(w.no_room);
    assert_true(idle[0].evict && idle[1].evict);
    assert_false(idle[2].evict);

    node.freeing_bytes = 30;
    hd_pool_admit(&node, &w, 1, idle, 3);
    assert_int_equal(w.granted, 0);
    assert_false(idle[0].evict || idle[1].evict || idle[2].evict);

    node.used_bytes = 60;
    node.freeing_bytes = 0;
    hd_pool_admit(&node, &w, 1, idle, 3);
    assert_int_equal(w.granted, 1);
    (void)state;
}

static void what_nobody_waits_for_evicts_nothing(void **state)
{
    struct hd_pool_node node = {.lanes = 4, .memory_bytes = 100, .used_bytes = 90};
    struct hd_pool_wish w = {.start = 1, .urgency = HD_URGENT_EAGER, .bytes = 30};
    struct hd_pool_idle idle = {50, 40, false};
    hd_pool_admit(&node, &w, 1, &idle, 1);
    assert_int_equal(w.granted, 0);
    assert_true(w.no_room);
    assert_false(idle.evict);
    (void)state;
}

static void a_replacement_may_pass_the_budget_by_one_at_a_time(void **state)
{
    struct hd_pool_node node = {.lanes = 4, .memory_bytes = 100, .used_bytes = 90};
    struct hd_pool_wish w[2] = {{.start = 2, .urgency = HD_URGENT_REPLACE, .bytes = 30},
                                {.start = 1, .urgency = HD_URGENT_REPLACE, .bytes = 30}};
    hd_pool_admit(&node, w, 2, NULL, 0);
    assert_int_equal(w[0].granted + w[1].granted, 1);
    (void)state;
}

static void one_instance_is_allowed_however_small_the_budget(void **state)
{
    struct hd_pool_node node = {.lanes = 4, .memory_bytes = 10};
    struct hd_pool_wish w = {.start = 2, .urgency = HD_URGENT_COLD, .bytes = 30};
    hd_pool_admit(&node, &w, 1, NULL, 0);
    assert_int_equal(w.granted, 1);
    (void)state;
}

static void instances_that_grew_push_idle_ones_out(void **state)
{
    struct hd_pool_node node = {.lanes = 4, .memory_bytes = 100, .used_bytes = 120};
    struct hd_pool_idle idle[2] = {{50, 30, false}, {40, 30, false}};
    hd_pool_admit(&node, NULL, 0, idle, 2);
    assert_false(idle[0].evict);
    assert_true(idle[1].evict);
    (void)state;
}

/* --- failures --- */

static void the_back_off_doubles_up_to_its_ceiling(void **state)
{
    struct hd_pool_health h = {0};
    uint64_t expected = HD_POOL_BACKOFF_MS;
    for (int n = 1; n < 40; n++) {
        hd_pool_health_failed(&h, HD_FAILURE_SYSTEM, (uint64_t)n * 7919, NOW);
        assert_in_range(h.blocked_until_ms - NOW, expected * 4 / 5, expected * 6 / 5);
        assert_int_equal(h.failed, n >= HD_POOL_STRIKES_FAILED);
        expected = expected * 2 < HD_POOL_BACKOFF_MAX_MS ? expected * 2 : HD_POOL_BACKOFF_MAX_MS;
        h.blocked_until_ms = 0;
    }
    (void)state;
}

static void a_load_error_fails_at_once(void **state)
{
    struct hd_error load = {.code = HD_EINVAL}, system = {.code = HD_EIO},
                    late = {.code = HD_ETIMEOUT};
    assert_int_equal(hd_pool_failure_of(&load), HD_FAILURE_LOAD);
    assert_int_equal(hd_pool_failure_of(&system), HD_FAILURE_SYSTEM);
    assert_int_equal(hd_pool_failure_of(&late), HD_FAILURE_TIMEOUT);
    struct hd_pool_health h = {0};
    hd_pool_health_failed(&h, HD_FAILURE_LOAD, 0, NOW);
    assert_true(h.failed);
    assert_true(h.blocked_until_ms >= NOW + HD_POOL_BACKOFF_LOAD_MS * 4 / 5);
    hd_pool_health_ready(&h);
    assert_false(h.failed);
    (void)state;
}

static void the_first_crash_costs_no_time_and_one_that_serves_is_never_given_up(void **state)
{
    struct hd_pool_health h = {0};
    hd_pool_health_crashed(&h, true, 0, NOW);
    assert_int_equal(h.blocked_until_ms, 0);
    for (int n = 0; n < 20; n++) {
        hd_pool_health_crashed(&h, true, 0, NOW);
        assert_false(h.failed);
        assert_in_range(h.blocked_until_ms, NOW + 1, NOW + HD_POOL_BACKOFF_MS * 6 / 5);
    }
    hd_pool_health_proved(&h, NOW); /* it was ready before the crash: proves nothing */
    assert_int_equal(h.strikes, 2);
    hd_pool_health_proved(&h, NOW + 1);
    assert_int_equal(h.strikes, 0);
    (void)state;
}

static void crashes_before_the_first_answer_end_in_failure(void **state)
{
    struct hd_pool_health h = {0};
    for (int n = 1; n <= HD_POOL_STRIKES_FAILED; n++) {
        assert_false(h.failed);
        hd_pool_health_crashed(&h, false, 0, NOW);
    }
    assert_true(h.failed);
    (void)state;
}

static void a_crash_does_not_shorten_a_back_off(void **state)
{
    struct hd_pool_health h = {.strikes = 6, .blocked_until_ms = NOW + 9000};
    hd_pool_health_crashed(&h, true, 0, NOW);
    assert_true(h.blocked_until_ms >= NOW + 9000);
    assert_int_equal(h.strikes, 6);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cold_pool_starts_what_its_queue_needs_and_not_more_than_the_ramp),
        cmocka_unit_test(an_instance_that_used_its_cpu_time_and_finished_nothing_is_killed),
        cmocka_unit_test(a_start_under_way_is_waited_for),
        cmocka_unit_test(a_start_that_takes_too_long_is_ended_and_made_up_for),
        cmocka_unit_test(a_full_pool_grows_when_its_queue_waited_long_enough_and_doubles_at_most),
        cmocka_unit_test(a_pool_never_grows_beyond_max),
        cmocka_unit_test(min_is_kept_without_a_request),
        cmocka_unit_test(idle_instances_end_the_least_recently_used_first_and_down_to_min),
        cmocka_unit_test(the_last_one_ends_too_when_min_is_0),
        cmocka_unit_test(a_back_off_is_waited_out),
        cmocka_unit_test(a_suspect_is_asked_and_ended_when_it_does_not_answer),
        cmocka_unit_test(with_one_request_at_a_time_a_timeout_ends_the_instance),
        cmocka_unit_test(who_finds_no_place_starts_one_at_once_up_to_max_starting),
        cmocka_unit_test(a_back_off_holds_back_what_nobody_waits_for),
        cmocka_unit_test(provisioned_ones_are_kept_beside_min_and_never_idle_out),
        cmocka_unit_test(one_that_says_it_ends_is_stopped_and_one_that_shall_end_is_killed),
        cmocka_unit_test(a_worn_instance_goes_after_its_successor_came_even_at_max),
        cmocka_unit_test(worn_instances_are_replaced_one_at_a_time),
        cmocka_unit_test(an_old_version_drains_and_starts_nothing),
        cmocka_unit_test(a_drained_instance_lingers_then_ends_and_a_busy_one_ends_at_the_limit),
        cmocka_unit_test(what_does_not_end_when_told_is_ended_by_force),
        cmocka_unit_test(a_closing_pool_serves_its_queue_first),
        cmocka_unit_test(lanes_go_to_the_most_urgent_then_to_the_most_recently_used),
        cmocka_unit_test(demand_evicts_the_least_recently_used_and_waits_for_their_memory),
        cmocka_unit_test(what_nobody_waits_for_evicts_nothing),
        cmocka_unit_test(a_replacement_may_pass_the_budget_by_one_at_a_time),
        cmocka_unit_test(one_instance_is_allowed_however_small_the_budget),
        cmocka_unit_test(instances_that_grew_push_idle_ones_out),
        cmocka_unit_test(the_back_off_doubles_up_to_its_ceiling),
        cmocka_unit_test(a_load_error_fails_at_once),
        cmocka_unit_test(the_first_crash_costs_no_time_and_one_that_serves_is_never_given_up),
        cmocka_unit_test(crashes_before_the_first_answer_end_in_failure),
        cmocka_unit_test(a_crash_does_not_shorten_a_back_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
