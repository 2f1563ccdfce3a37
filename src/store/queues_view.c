/* What other threads see of the queues: counts, names, and that something came. */
#include "store/queues_private.h"

#include "core/loop.h"
#include "store/sqlite.h"

#include <stdatomic.h>

enum {
    OLDEST_LOOKS = 10000, /* items that are looked at; due earlier, they are mostly older as well */
    REFRESH_QUEUES = 64,  /* at once */
};

struct listener {
    atomic_uint owners; /* the table, and the post that is under way */
    struct hd_str queue;
    struct hd_loop *loop;
    void (*fn)(void *arg);
    void *arg;
    atomic_bool posted, gone;
};

static void listener_unref(struct listener *l)
{
    if (atomic_fetch_sub(&l->owners, 1) > 1)
        return;
    free((char *)l->queue.ptr);
    free(l);
}

static void on_told(void *arg)
{
    struct listener *l = arg;
    atomic_store(&l->posted, false);
    if (!atomic_load(&l->gone))
        l->fn(l->arg);
    listener_unref(l);
}

/* What comes until it has been heard needs no second call. */
static void tell(struct hd_queues *qs, struct hd_str queue)
{
    struct listener *l = hd_map_get(&qs->listeners, queue);
    if (l == NULL || atomic_exchange(&l->posted, true))
        return;
    atomic_fetch_add(&l->owners, 1);
    hd_loop_post(l->loop, on_told, l);
}

void hd_queues_publish(struct hd_queues *qs)
{
    if (hd_list_empty(&qs->touched))
        return;
    pthread_mutex_lock(&qs->lock);
    hd_list_each(link, &qs->touched)
    {
        struct hd_queue_state *q = hd_container_of(link, struct hd_queue_state, touched);
        hd_list_remove(link);
        q->shown.queued = (uint64_t)q->now.queued;
        q->shown.running = (uint64_t)q->now.running;
        q->shown.dead = (uint64_t)q->now.dead;
        if (q->now.queued == 0)
            q->shown.oldest_unix_ms = 0;
        else if (q->came_first != 0 &&
                 (q->shown.oldest_unix_ms == 0 || q->came_first < q->shown.oldest_unix_ms))
            q->shown.oldest_unix_ms = q->came_first;
        q->came_first = 0;
        if (q->notify)
            tell(qs, q->name);
        q->notify = false;
    }
    pthread_mutex_unlock(&qs->lock);
}

static int64_t oldest(struct hd_queues *qs, const struct hd_queue_state *q)
{
    if (q->now.queued == 0)
        return 0;
    sqlite3_stmt *st = qs->st[HD_Q_OLDEST];
    int64_t found = INT64_MAX;
    sqlite3_bind_int64(st, 1, q->id);
    sqlite3_bind_int64(st, 2, OLDEST_LOOKS);
    while (sqlite3_step(st) == SQLITE_ROW) {
        uint64_t seq = (uint64_t)sqlite3_column_int64(st, 0);
        int64_t first = sqlite3_column_int64(st, 1);
        if (first < found && hd_map_get(&qs->running, hd_queues_seq_key(&seq)) == NULL)
            found = first;
    }
    sqlite3_reset(st);
    return found != INT64_MAX ? found : 0;
}

bool hd_queues_refresh(struct hd_queues *qs)
{
    for (int i = 0; i < REFRESH_QUEUES && !hd_list_empty(&qs->stale); i++) {
        struct hd_queue_state *q =
            hd_container_of(hd_list_pop(&qs->stale), struct hd_queue_state, stale);
        int64_t first = oldest(qs, q);
        pthread_mutex_lock(&qs->lock);
        q->shown.oldest_unix_ms = first;
        pthread_mutex_unlock(&qs->lock);
    }
    return !hd_list_empty(&qs->stale);
}

void hd_queues_listen(struct hd_queues *qs, struct hd_str queue, struct hd_loop *loop,
                      void (*fn)(void *arg), void *arg)
{
    struct listener *l = hd_new(struct listener);
    atomic_init(&l->owners, 1);
    l->queue = hd_str_n(hd_strdup_n(queue), queue.len);
    l->loop = loop;
    l->fn = fn;
    l->arg = arg;
    pthread_mutex_lock(&qs->lock);
    struct listener *before = hd_map_put(&qs->listeners, l->queue, l);
    struct hd_queue_state *q = hd_map_get(&qs->by_name, queue);
    if (q != NULL && q->shown.queued > 0)
        tell(qs, queue); /* what lies there already */
    pthread_mutex_unlock(&qs->lock);
    if (before != NULL) {
        atomic_store(&before->gone, true);
        listener_unref(before);
    }
}

void hd_queues_unlisten(struct hd_queues *qs, struct hd_str queue)
{
    pthread_mutex_lock(&qs->lock);
    struct listener *l = hd_map_remove(&qs->listeners, queue);
    pthread_mutex_unlock(&qs->lock);
    if (l == NULL)
        return;
    atomic_store(&l->gone, true);
    listener_unref(l);
}

void hd_queues_depth(struct hd_queues *qs, struct hd_str queue, struct hd_queue_depth *out)
{
    *out = (struct hd_queue_depth){0};
    pthread_mutex_lock(&qs->lock);
    const struct hd_queue_state *q = hd_map_get(&qs->by_name, queue);
    if (q != NULL)
        *out = q->shown;
    pthread_mutex_unlock(&qs->lock);
}

void hd_queues_names(struct hd_queues *qs, void (*each)(void *arg, struct hd_str queue), void *arg)
{
    pthread_mutex_lock(&qs->lock);
    size_t at = 0;
    struct hd_str name;
    void *value;
    while (hd_map_next(&qs->by_name, &at, &name, &value)) {
        const struct hd_queue_depth *d = &((struct hd_queue_state *)value)->shown;
        if (d->queued + d->running + d->dead > 0)
            each(arg, name);
    }
    pthread_mutex_unlock(&qs->lock);
}

void hd_queues_free(struct hd_queues *qs)
{
    size_t at = 0;
    struct hd_str name;
    void *value;
    if (qs->db == NULL)
        return;
    while (hd_map_next(&qs->running, &at, &name, &value))
        free(value);
    at = 0;
    while (hd_map_next(&qs->by_name, &at, &name, &value)) {
        free((char *)name.ptr);
        free(value);
    }
    at = 0;
    while (hd_map_next(&qs->listeners, &at, &name, &value)) {
        atomic_store(&((struct listener *)value)->gone, true);
        listener_unref(value);
    }
    hd_map_done(&qs->running);
    hd_map_done(&qs->by_name);
    hd_map_done(&qs->listeners);
    hd_slab_done(&qs->runs);
    free(qs->journal);
    pthread_mutex_destroy(&qs->lock);
    *qs = (struct hd_queues){0};
}
