#include "pool/private.h"

#include "core/clock.h"

static const char *state_name(const struct hd_instance *i, uint32_t in_flight)
{
    switch (i->state) {
    case HD_INSTANCE_STARTING:
        return "starting";
    case HD_INSTANCE_READY:
        return i->ice == HD_ICE_FROZEN ? "frozen" : in_flight > 0 ? "busy" : "idle";
    case HD_INSTANCE_DRAINING:
        return "draining";
    case HD_INSTANCE_STOPPING:
    case HD_INSTANCE_GONE:
        break;
    }
    return "stopping";
}

static struct hd_instance_report report(const struct hd_instance *i)
{
    const struct hd_pool *p = i->pool;
    uint64_t now_ms = hd_loop_now_ms(p->control);
    uint64_t used_ms = atomic_load_explicit(&i->last_used_ms, memory_order_relaxed);
    uint32_t in_flight = atomic_load(&i->in_flight);
    return (struct hd_instance_report){
        .instance = i,
        .key = p->group->key,
        .function = p->launch.function,
        .version = p->launch.version,
        .backend = p->backend->ops->name,
        .state = state_name(i, in_flight),
        .serial = i->serial,
        .age_ms = (hd_clock_us() - i->launched_us) / 1000,
        .in_state_ms = now_ms - i->since_ms,
        .unused_ms = used_ms == 0    ? -1
                     : in_flight > 0 ? 0
                                     : (int64_t)(now_ms - used_ms),
        .in_flight = in_flight,
        .requests = atomic_load_explicit(&i->requests, memory_order_relaxed),
        .rss_bytes = atomic_load_explicit(&i->rss_bytes, memory_order_relaxed),
        .peak_bytes = hd_instance_peak_bytes(i),
        .init_us = i->init_us,
        .provisioned = i->provisioned,
    };
}

void hd_pool_set_each_instance(struct hd_pool_set *set,
                               void (*each)(void *arg, const struct hd_instance_report *r),
                               void *arg)
{
    hd_list_each(item, &set->pools)
    {
        struct hd_pool *p = hd_container_of(item, struct hd_pool, link);
        hd_list_each(at, &p->instances)
        {
            struct hd_instance_report r = report(hd_container_of(at, struct hd_instance, link));
            each(arg, &r);
        }
    }
}

unsigned hd_pool_set_drain(struct hd_pool_set *set,
                           bool (*wanted)(void *arg, const struct hd_instance_report *r), void *arg)
{
    unsigned n = 0;
    hd_list_each(item, &set->pools)
    {
        struct hd_pool *p = hd_container_of(item, struct hd_pool, link);
        hd_list_each(at, &p->instances)
        {
            struct hd_instance *i = hd_container_of(at, struct hd_instance, link);
            struct hd_instance_report r = report(i);
            if (i->state != HD_INSTANCE_READY || !wanted(arg, &r))
                continue;
            hd_instance_act(i, HD_ACT_DRAIN, HD_RECYCLE_ENDED);
            n++;
        }
        hd_pool_kick(p);
    }
    return n;
}
