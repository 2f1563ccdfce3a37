/* gateway/route.h - the routing table of the doors: for each function its pool, policies and
 * counters. Immutable but for what a function declares when it is loaded; swapped in whole. */
#pragma once

#include "core/map.h"
#include "functions/function.h"
#include "gateway/breaker.h"
#include "gateway/stats.h"
#include "pool/pool.h"

/** What the code itself declared; known from its first load on. */
struct hd_declared_policy {
    _Atomic bool known;
    _Atomic int is_public;              /* 1, 0 or -1: nothing */
    _Atomic uint32_t timeout_ms;        /* UINT32_MAX: nothing */
    struct hd_strings *_Atomic require; /* NULL: nothing; freed with the route */
};

/** One function. Counted; shared by the tables in which it did not change. */
struct hd_route {
    _Atomic uint32_t refs;
    struct hd_function *fn;
    struct hd_pool *pool;       /* NULL: fn->problem says why, or it is called by event */
    bool by_event;              /* called by hd_edge.attach and not through a pool of the door's */
    struct hd_breaker *breaker; /* NULL: none */
    struct hd_stats *stats;
    struct hd_declared_policy declared;
    struct hd_declared_policy
        older; /* of the version before, which answers while this one starts */
};

/** Which version of a function's code answers. */
enum hd_route_version { HD_ROUTE_FRESH, HD_ROUTE_STALE };

/**
 * Make a route.
 * @param fn       referenced.
 * @param pool     referenced; may be NULL.
 * @param breaker  takes ownership; may be NULL.
 * @param stats    referenced.
 */
struct hd_route *hd_route_new(const struct hd_function *fn, struct hd_pool *pool,
                              struct hd_breaker *breaker, struct hd_stats *stats);
struct hd_route *hd_route_ref(struct hd_route *r);
void hd_route_unref(struct hd_route *r); /* NULL is fine */
/** Note what the host said. Control loop. */
void hd_route_declare(struct hd_route *r, const struct hd_declared *d);
/** Take over what another route of the same function noted. Before the route is shared.
 *  @param same  it is of the same version; else it is the one before. */
void hd_route_copy_declared(struct hd_route *to, const struct hd_route *from, bool same);
/** @return whether the code was loaded, so that what it declared holds from here on. Ask before the
 *  policy: what was not known is asked again when there is an instance. */
bool hd_route_is_declared(const struct hd_route *r, enum hd_route_version v);
/** @return whether anybody may call it; *known says whether that may still change by loading. */
bool hd_route_is_public(const struct hd_route *r, enum hd_route_version v, bool *known);
/** @return ms until the answer's head must be there; 0: no limit. Code beats manifest. */
uint32_t hd_route_timeout_ms(const struct hd_route *r);
/** @return the roles of which a caller needs one; n is 0: any. */
struct hd_strings hd_route_require(const struct hd_route *r, enum hd_route_version v);

struct hd_routes;
/** @param routes  takes ownership of the array and one reference of each. */
struct hd_routes *hd_routes_new(struct hd_route **routes, size_t n);
struct hd_routes *hd_routes_ref(struct hd_routes *t);
void hd_routes_unref(struct hd_routes *t); /* NULL is fine */
/** @return the route, valid while the table is, or NULL. */
struct hd_route *hd_routes_find(const struct hd_routes *t, struct hd_str name);
struct hd_route *const *hd_routes_all(const struct hd_routes *t, size_t *n);
