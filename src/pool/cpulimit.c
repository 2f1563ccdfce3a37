/* The limit of CPU time. What one request uses cannot be told apart from what the others in the
 * same instance use; but while none of them is finished, whatever is used is theirs. So a mark is
 * set when a request is in flight, and again when one was finished; what is used from a mark on is
 * compared with the limit. It may be short by what was used between two looks, never too long. */
#include "pool/private.h"

enum { LOOK_MS = 50 };

static void look_at(struct hd_instance *i)
{
    struct hd_pool *p = i->pool;
    if (i->handle == NULL || atomic_load(&i->in_flight) == 0) {
        i->cpu_marked = false;
        i->request_cpu_us = 0;
        return;
    }
    pthread_mutex_lock(&p->group->lock); /* both counters of the same moment */
    uint64_t finished = atomic_load(&i->requests) - atomic_load(&i->in_flight);
    pthread_mutex_unlock(&p->group->lock);
    uint64_t used_us = p->backend->ops->cpu_us(i->handle);
    if (!i->cpu_marked || finished != i->cpu_mark_finished) {
        i->cpu_marked = true;
        i->cpu_mark_us = used_us;
        i->cpu_mark_finished = finished;
    }
    i->request_cpu_us = used_us > i->cpu_mark_us ? used_us - i->cpu_mark_us : 0;
    if (i->request_cpu_us >= (uint64_t)p->limits.cpu_ms * 1000)
        hd_pool_kick(p);
}

static void on_look(struct hd_timer *t)
{
    struct hd_pool_set *set = hd_container_of(t, struct hd_pool_set, cpu);
    hd_list_each(item, &set->limited) look_at(hd_container_of(item, struct hd_instance, cpu_link));
    if (!hd_list_empty(&set->limited))
        hd_timer_start(set->control, &set->cpu, LOOK_MS, on_look);
}

void hd_instance_limit_cpu(struct hd_instance *i)
{
    struct hd_pool_set *set = i->pool->set;
    if (i->pool->limits.cpu_ms == 0)
        return;
    hd_list_push(&set->limited, &i->cpu_link);
    if (!hd_timer_active(&set->cpu))
        hd_timer_start(set->control, &set->cpu, LOOK_MS, on_look);
}
