/* The table of the edge doors: the functions of the folder, and beside them those Lambda functions
 * that have an edge URL. They are called with an event, and share the policies in front. */
#include "node/private.h"

enum { BODY_MAX = 6 << 20 }; /* of an event */

struct making {
    struct hd_node *node;
    struct hd_route **all;
    size_t n, room;
};

static void add(struct making *m, struct hd_route *r)
{
    if (m->n == m->room) {
        struct hd_route **more = hd_new_array(struct hd_route *, m->room * 2 + 16);
        if (m->n > 0)
            memcpy((void *)more, (void *)m->all, m->n * sizeof(*more));
        m->room = m->room * 2 + 16;
        free((void *)m->all);
        m->all = more;
    }
    m->all[m->n++] = r;
}

static struct hd_route *make(struct hd_node *n, const char *name, bool open)
{
    const struct hd_settings *from = &n->defaults.set;
    struct hd_function *fn = hd_function_new(name);
    fn->set =
        (struct hd_settings){.stream_idle_ms = from->stream_idle_ms,
                             .rpm = from->rpm,
                             .burst = from->burst,
                             .body_limit_bytes = HD_MIN(from->body_limit_bytes, (uint64_t)BODY_MAX),
                             .verify_jwt = !open,
                             .verify_jwt_given = true,
                             .cors = HD_CORS_GATEWAY,
                             .error_rate = from->error_rate,
                             .error_window = from->error_window,
                             .cooldown_ms = from->cooldown_ms,
                             .half_open_probes = from->half_open_probes};
    struct hd_route *r = hd_route_new(fn, NULL, hd_node_breaker(fn), hd_node_stats(n, name));
    r->by_event = true;
    hd_function_unref(fn);
    return r;
}

static enum hd_edge_access access_of(const struct hd_node *n, const struct hd_lambda_fn *fn)
{
    const struct hd_node_options *o = n->opt;
    if (o->lambda_edge == HD_LAMBDA_EDGE_OFF ||
        !hd_str_is(hd_str(fn->account), o->lambda_account) ||
        !hd_str_is(hd_str(fn->region), o->lambda_region) || strlen(fn->name) > HD_FUNCTION_NAME_MAX)
        return HD_EDGE_NONE;
    return fn->edge == HD_EDGE_NONE && o->lambda_edge == HD_LAMBDA_EDGE_ALL ? HD_EDGE_PROTECTED
                                                                            : fn->edge;
}

/* A function that is served as before keeps its route: its breaker, and what is counted. */
static void note(void *arg, const struct hd_lambda_fn *fn)
{
    struct making *m = arg;
    struct hd_node *n = m->node;
    struct hd_str name = hd_str(fn->name);
    enum hd_edge_access access = access_of(n, fn);
    if (access == HD_EDGE_NONE || hd_routes_find(n->routes, name) != NULL)
        return;
    struct hd_route *old = n->table != NULL ? hd_routes_find(n->table, name) : NULL;
    bool open = access == HD_EDGE_PUBLIC;
    if (old != NULL && old->by_event && old->fn->set.verify_jwt == !open)
        add(m, hd_route_ref(old));
    else
        add(m, make(n, fn->name, open));
}

struct new_table {
    struct hd_worker *worker;
    struct hd_routes *routes;
};

static void take_table(void *arg)
{
    struct new_table *t = arg;
    hd_door_set_routes(t->worker->door, t->routes);
    hd_routes_unref(t->routes);
    free(t);
}

/* Counters of those that are gone. */
static void forget(struct hd_node *n, const struct hd_routes *before)
{
    size_t count = 0;
    struct hd_route *const *all = before != NULL ? hd_routes_all(before, &count) : NULL;
    for (size_t i = 0; i < count; i++) {
        if (all[i]->by_event && hd_routes_find(n->table, hd_str(all[i]->fn->name)) == NULL)
            hd_node_forget_stats(n, all[i]->fn->name);
    }
}

void hd_node_edge_routes(struct hd_node *n)
{
    if (n->routes == NULL)
        return; /* the folder's come first, and then this again */
    size_t count;
    struct hd_route *const *folder = hd_routes_all(n->routes, &count);
    struct making m = {.node = n};
    struct hd_view *view = hd_node_view(n);
    for (size_t i = 0; i < count; i++)
        add(&m, hd_route_ref(folder[i]));
    if (view != NULL)
        hd_view_each(view, note, &m);
    hd_view_unref(view);
    struct hd_routes *before = n->table;
    n->table = hd_routes_new(m.all, m.n);
    for (unsigned i = 0; i < n->n_workers; i++) {
        struct new_table *t = hd_new(struct new_table);
        *t = (struct new_table){&n->workers[i], hd_routes_ref(n->table)};
        hd_loop_post(n->workers[i].loop, take_table, t);
    }
    forget(n, before);
    hd_routes_unref(before);
}

void hd_node_edge_routes_free(struct hd_node *n)
{
    hd_routes_unref(n->table);
    n->table = NULL;
}

void hd_node_edge_attach(void *node, unsigned loop_index, struct hd_invocation *inv,
                         const struct hd_edge_asks *asks)
{
    struct hd_node *n = node;
    struct hd_edgecall what = {.function = asks->function,
                               .request_id = asks->id,
                               .client_ip = asks->ip,
                               .claims = asks->who != NULL ? asks->who->field : hd_str_n(NULL, 0)};
    hd_edgecalls_attach(n->workers[loop_index].edgecalls, inv, &what);
}
