#include "gateway/route.h"

#include <stdatomic.h>

enum { NOT_DECLARED = -1 };

struct hd_routes {
    _Atomic uint32_t refs;
    struct hd_map by_name;
    struct hd_route **all;
    size_t n;
};

static void policy_init(struct hd_declared_policy *p)
{
    atomic_init(&p->is_public, NOT_DECLARED);
    atomic_init(&p->timeout_ms, UINT32_MAX);
}

static void policy_done(struct hd_declared_policy *p)
{
    struct hd_strings *require = atomic_load_explicit(&p->require, memory_order_relaxed);
    if (require != NULL)
        hd_strings_done(require);
    free(require);
}

static const struct hd_declared_policy *policy_of(const struct hd_route *r, enum hd_route_version v)
{
    return v == HD_ROUTE_STALE ? &r->older : &r->declared;
}

struct hd_route *hd_route_new(const struct hd_function *fn, struct hd_pool *pool,
                              struct hd_breaker *breaker, struct hd_stats *stats)
{
    struct hd_route *r = hd_new(struct hd_route);
    atomic_init(&r->refs, 1);
    r->fn = hd_function_ref(fn);
    r->pool = pool != NULL ? hd_pool_ref(pool) : NULL;
    r->breaker = breaker;
    r->stats = hd_stats_ref(stats);
    policy_init(&r->declared);
    policy_init(&r->older);
    return r;
}

struct hd_route *hd_route_ref(struct hd_route *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void hd_route_unref(struct hd_route *r)
{
    if (r == NULL || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) > 1)
        return;
    hd_pool_unref(r->pool);
    hd_breaker_free(r->breaker);
    hd_stats_unref(r->stats);
    hd_function_unref(r->fn);
    policy_done(&r->declared);
    policy_done(&r->older);
    free(r);
}

void hd_route_declare(struct hd_route *r, const struct hd_declared *d)
{
    struct hd_declared_policy *p = &r->declared;
    if (atomic_load_explicit(&p->known, memory_order_relaxed))
        return; /* the same version declares the same */
    atomic_store_explicit(&p->is_public, d->is_public, memory_order_relaxed);
    if (d->timeout_ms >= 0 && d->timeout_ms < UINT32_MAX)
        atomic_store_explicit(&p->timeout_ms, (uint32_t)d->timeout_ms, memory_order_relaxed);
    if (d->require != NULL) {
        struct hd_strings *list = hd_new(struct hd_strings);
        for (size_t i = 0; d->require[i] != NULL; i++)
            hd_strings_add(list, hd_str(d->require[i]));
        atomic_store_explicit(&p->require, list, memory_order_relaxed);
    }
    atomic_store_explicit(&p->known, true, memory_order_release);
}

static bool is_known(const struct hd_declared_policy *p)
{
    return atomic_load_explicit(&p->known, memory_order_acquire);
}

static void policy_copy(struct hd_declared_policy *t, const struct hd_declared_policy *f)
{
    if (!is_known(f))
        return;
    atomic_store_explicit(&t->is_public, atomic_load_explicit(&f->is_public, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&t->timeout_ms,
                          atomic_load_explicit(&f->timeout_ms, memory_order_relaxed),
                          memory_order_relaxed);
    const struct hd_strings *require = atomic_load_explicit(&f->require, memory_order_relaxed);
    if (require != NULL) {
        struct hd_strings *list = hd_new(struct hd_strings);
        *list = hd_strings_copy(require);
        atomic_store_explicit(&t->require, list, memory_order_relaxed);
    }
    atomic_store_explicit(&t->known, true, memory_order_release);
}

void hd_route_copy_declared(struct hd_route *to, const struct hd_route *from, bool same)
{
    if (same) {
        policy_copy(&to->declared, &from->declared);
        policy_copy(&to->older, &from->older);
    } else { /* one that was never loaded did not answer either: that before it still does */
        policy_copy(&to->older, is_known(&from->declared) ? &from->declared : &from->older);
    }
}

bool hd_route_is_declared(const struct hd_route *r, enum hd_route_version v)
{
    return is_known(policy_of(r, v));
}

/* A manifest that says it beats the code; what nobody said is protected. */
bool hd_route_is_public(const struct hd_route *r, enum hd_route_version v, bool *known)
{
    const struct hd_declared_policy *p = policy_of(r, v);
    *known = true;
    if (!r->fn->set.verify_jwt)
        return true;
    if (r->fn->set.verify_jwt_given)
        return false;
    *known = is_known(p) || r->pool == NULL;
    return atomic_load_explicit(&p->is_public, memory_order_relaxed) == 1;
}

uint32_t hd_route_timeout_ms(const struct hd_route *r)
{
    uint32_t declared = UINT32_MAX;
    if (is_known(&r->declared))
        declared = atomic_load_explicit(&r->declared.timeout_ms, memory_order_relaxed);
    return declared != UINT32_MAX ? declared : r->fn->set.timeout_ms;
}

struct hd_strings hd_route_require(const struct hd_route *r, enum hd_route_version v)
{
    const struct hd_declared_policy *p = policy_of(r, v);
    if (r->fn->set.require.n > 0)
        return r->fn->set.require;
    if (is_known(p)) {
        const struct hd_strings *list = atomic_load_explicit(&p->require, memory_order_relaxed);
        if (list != NULL)
            return *list;
    }
    return (struct hd_strings){0};
}

struct hd_routes *hd_routes_new(struct hd_route **routes, size_t n)
{
    struct hd_routes *t = hd_new(struct hd_routes);
    atomic_init(&t->refs, 1);
    t->all = routes;
    t->n = n;
    hd_map_init(&t->by_name, 0);
    for (size_t i = 0; i < n; i++)
        hd_map_put(&t->by_name, hd_str(routes[i]->fn->name), routes[i]);
    return t;
}

struct hd_routes *hd_routes_ref(struct hd_routes *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void hd_routes_unref(struct hd_routes *t)
{
    if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < t->n; i++)
        hd_route_unref(t->all[i]);
    free((void *)t->all);
    hd_map_done(&t->by_name);
    free(t);
}

struct hd_route *hd_routes_find(const struct hd_routes *t, struct hd_str name)
{
    return hd_map_get(&t->by_name, name);
}

struct hd_route *const *hd_routes_all(const struct hd_routes *t, size_t *n)
{
    *n = t->n;
    return t->all;
}
