#include "node/gate.h"

#include "core/id.h"
#include "core/map.h"

#include <pthread.h>
#include <stdatomic.h>

/* Addresses with connections, by their bytes. */
struct from {
    struct hd_ipaddr address;
    uint32_t n;
};

struct hd_gate {
    uint32_t max_total, max_per_address;
    _Atomic uint32_t open;
    _Atomic uint64_t refused;
    pthread_mutex_t lock; /* guards by_address */
    struct hd_map by_address;
};

struct hd_gate *hd_gate_new(uint32_t max_total, uint32_t max_per_address)
{
    struct hd_gate *g = hd_new(struct hd_gate);
    uint64_t seed;
    hd_random(&seed, sizeof(seed));
    g->max_total = max_total;
    g->max_per_address = max_per_address;
    pthread_mutex_init(&g->lock, NULL);
    hd_map_init(&g->by_address, seed);
    return g;
}

void hd_gate_free(struct hd_gate *g)
{
    if (g == NULL)
        return;
    size_t at = 0;
    void *value;
    while (hd_map_next(&g->by_address, &at, NULL, &value))
        free(value);
    hd_map_done(&g->by_address);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

static struct hd_str key_of(const struct hd_ipaddr *a)
{
    return hd_str_n((const char *)a, sizeof(*a));
}

static bool enter_address(struct hd_gate *g, const struct hd_ipaddr *from)
{
    pthread_mutex_lock(&g->lock);
    struct from *f = hd_map_get(&g->by_address, key_of(from));
    bool welcome = f == NULL || f->n < g->max_per_address;
    if (f == NULL) {
        f = hd_new(struct from);
        f->address = *from;
        hd_map_put(&g->by_address, key_of(&f->address), f);
    }
    f->n += welcome;
    pthread_mutex_unlock(&g->lock);
    return welcome;
}

static void leave_address(struct hd_gate *g, const struct hd_ipaddr *from)
{
    pthread_mutex_lock(&g->lock);
    struct from *f = hd_map_get(&g->by_address, key_of(from));
    if (f != NULL && --f->n == 0) {
        hd_map_remove(&g->by_address, key_of(from));
        free(f);
    }
    pthread_mutex_unlock(&g->lock);
}

bool hd_gate_enter(struct hd_gate *g, const struct hd_ipaddr *from)
{
    uint32_t before = atomic_fetch_add_explicit(&g->open, 1, memory_order_relaxed);
    bool welcome = g->max_total == 0 || before < g->max_total;
    if (welcome && g->max_per_address > 0)
        welcome = enter_address(g, from);
    if (welcome)
        return true;
    atomic_fetch_sub_explicit(&g->open, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&g->refused, 1, memory_order_relaxed);
    return false;
}

void hd_gate_leave(struct hd_gate *g, const struct hd_ipaddr *from)
{
    atomic_fetch_sub_explicit(&g->open, 1, memory_order_relaxed);
    if (g->max_per_address > 0)
        leave_address(g, from);
}

uint32_t hd_gate_open(const struct hd_gate *g)
{
    return atomic_load_explicit(&g->open, memory_order_relaxed);
}

uint64_t hd_gate_refused(const struct hd_gate *g)
{
    return atomic_load_explicit(&g->refused, memory_order_relaxed);
}
