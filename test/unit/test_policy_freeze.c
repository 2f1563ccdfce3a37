/* test_policy_freeze.c - which instances the policy has frozen and thawed, and when. */
#include "pool/policy.h"
#include "test.h"

#include "core/base.h"

enum { NOW = 100000 };

static const struct hd_pool_limits limits = {
    .concurrency = 1,
    .max = 8,
    .idle_ms = 40000,
    .freeze_ms = 1000,
    .queue_max = 100,
    .wait_ms = 5000,
    .start_timeout_ms = 2000,
    .drain_ms = 3000,
    .max_starting = 2,
};

static struct hd_pool_plan plan(struct hd_pool_view *v)
{
    struct hd_pool_plan p;
    v->next_deadline_ms = UINT64_MAX;
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

static struct hd_instance_view frozen(uint64_t used_ago_ms)
{
    struct hd_instance_view i = ready(0, used_ago_ms);
    i.ice = HD_ICE_FROZEN;
    i.ice_since_ms = NOW - 500;
    return i;
}

static void an_idle_instance_is_frozen_when_its_grace_is_over(void **state)
{
    struct hd_instance_view i = ready(0, 999);
    struct hd_pool_view v = {.limits = &limits, .instances = &i, .n_instances = 1};
    struct hd_pool_plan p = plan(&v);
    assert_int_equal(i.act, HD_ACT_NONE);
    assert_int_equal(p.next_wake_ms, NOW + 1);
    i = ready(0, 1000);
    p = plan(&v);
    assert_int_equal(i.act, HD_ACT_FREEZE);
    assert_int_equal(p.next_wake_ms, NOW + 1000); /* if it was taken meanwhile */
    i = ready(1, 0);
    p = plan(&v);
    assert_int_equal(i.act, HD_ACT_NONE);
    assert_int_equal(p.next_wake_ms, NOW + 1000);
    i = ready(0, 5000);
    i.ice_since_ms = NOW - 10; /* thawed for somebody who left */
    p = plan(&v);
    assert_int_equal(i.act, HD_ACT_NONE);
    assert_int_equal(p.next_wake_ms, NOW + 990);
    (void)state;
}

static void nothing_is_frozen_that_is_needed_or_cannot_be(void **state)
{
    struct hd_pool_limits off = limits;
    off.freeze_ms = 0;
    struct hd_instance_view i = ready(0, 5000);
    struct hd_pool_view v = {.limits = &off, .instances = &i, .n_instances = 1};
    plan(&v);
    assert_int_equal(i.act, HD_ACT_NONE);
    v.limits = &limits;
    v.freeze_from_ms = UINT64_MAX;
    plan(&v);
    assert_int_equal(i.act, HD_ACT_NONE);
    v.freeze_from_ms = NOW + 7;
    assert_int_equal(plan(&v).next_wake_ms, NOW + 7);
    assert_int_equal(i.act, HD_ACT_NONE);
    v.freeze_from_ms = 0;
    v.waiting = 1;
    plan(&v);
    assert_int_equal(i.act, HD_ACT_NONE);
    v.waiting = 0;
    i.suspicion = HD_SUSPECT_BROKEN;
    plan(&v);
    assert_int_equal(i.act, HD_ACT_PING);
    i.suspicion = HD_TRUSTED;
    i.ice = HD_ICE_FREEZING;
    i.ice_since_ms = NOW;
    plan(&v);
    assert_int_equal(i.act, HD_ACT_NONE);
    i.ice = HD_ICE_WARM;
    i.ice_since_ms = 0;
    v.life = HD_LIFE_CLOSING;
    plan(&v);
    assert_int_equal(i.act, HD_ACT_DRAIN);
    (void)state;
}

static void who_waits_gets_a_frozen_instance_before_one_is_started(void **state)
{
    struct hd_instance_view i[3] = {frozen(9000), frozen(3000), frozen(5000)};
    struct hd_pool_view v = {
        .limits = &limits, .instances = i, .n_instances = 3, .waiting = 2, .oldest_ms = NOW};
    struct hd_pool_plan p = plan(&v);
    assert_int_equal(p.start, 0);
    assert_int_equal(i[0].act, HD_ACT_NONE);
    assert_int_equal(i[1].act, HD_ACT_THAW); /* the last used */
    assert_int_equal(i[2].act, HD_ACT_THAW);
    i[0].provisioned = true;
    v.waiting = 1;
    plan(&v);
    assert_int_equal(i[0].act, HD_ACT_THAW);
    assert_int_equal(i[1].act, HD_ACT_NONE);
    v.waiting = 5;
    p = plan(&v);
    assert_int_equal(p.start, 2);
    assert_int_equal(i[1].act, HD_ACT_THAW);
    (void)state;
}

static void what_is_freezing_or_thawing_is_waited_for_but_not_for_ever(void **state)
{
    static const struct {
        enum hd_instance_ice ice;
        uint64_t soon_ms, end_ms;
    } ways[] = {{HD_ICE_FREEZING, HD_POOL_SOON_MS, HD_POOL_FROZEN_MS},
                {HD_ICE_THAWING, HD_POOL_THAWED_MS, HD_POOL_THAWED_MS}};
    for (size_t n = 0; n < HD_COUNT(ways); n++) {
        struct hd_instance_view i = frozen(9000);
        struct hd_pool_view v = {
            .limits = &limits, .instances = &i, .n_instances = 1, .waiting = 1, .oldest_ms = NOW};
        i.ice = ways[n].ice;
        i.ice_since_ms = NOW - ways[n].soon_ms + 1;
        struct hd_pool_plan p = plan(&v);
        assert_int_equal(i.act, HD_ACT_NONE);
        assert_int_equal(p.start, 0);
        assert_int_equal(p.next_wake_ms, NOW + 1);
        i.ice_since_ms--;
        assert_int_equal(plan(&v).start, 1);
        i.ice_since_ms = NOW - ways[n].end_ms + 1;
        p = plan(&v);
        assert_int_equal(i.act, HD_ACT_NONE);
        assert_int_equal(p.next_wake_ms, NOW + 1);
        i.ice_since_ms--;
        plan(&v);
        assert_int_equal(i.act, HD_ACT_KILL);
        assert_int_equal(i.why, HD_RECYCLE_UNANSWERED);
    }
    (void)state;
}

static void frozen_instances_end_as_others_do_and_thaw_when_freezing_is_switched_off(void **state)
{
    struct hd_pool_limits off = limits;
    off.freeze_ms = 0;
    struct hd_instance_view i = frozen(60000);
    struct hd_pool_view v = {.limits = &limits, .instances = &i, .n_instances = 1};
    plan(&v);
    assert_int_equal(i.act, HD_ACT_STOP);
    assert_int_equal(i.why, HD_RECYCLE_IDLE);
    v.life = HD_LIFE_RETIRED;
    plan(&v);
    assert_int_equal(i.act, HD_ACT_DRAIN);
    v.life = HD_LIFE_ACTIVE;
    v.limits = &off;
    i = frozen(100);
    plan(&v);
    assert_int_equal(i.act, HD_ACT_THAW);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_instance_is_frozen_when_its_grace_is_over),
        cmocka_unit_test(nothing_is_frozen_that_is_needed_or_cannot_be),
        cmocka_unit_test(who_waits_gets_a_frozen_instance_before_one_is_started),
        cmocka_unit_test(what_is_freezing_or_thawing_is_waited_for_but_not_for_ever),
        cmocka_unit_test(frozen_instances_end_as_others_do_and_thaw_when_freezing_is_switched_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
