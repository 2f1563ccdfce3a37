/* typed_graph.c - the graph form: values that refer to each other by ids, made into a tree. A node
 * that is referred to twice stands in the tree twice (as one piece of memory); a cycle is refused,
 * and so is a tree that would be far bigger than its graph. */
#include "core/map.h"
#include "lanes/typed_private.h"

enum { WEIGHT_MAX = 1 << 20 }; /* values in the tree */

struct node {
    const struct hd_typed *raw;
    struct hd_typed *value; /* once it is made */
    size_t weight;
    bool making;
};

struct graph {
    struct hd_arena *arena;
    struct hd_error *err;
    struct hd_map nodes; /* id to struct node */
    unsigned depth;
};

static int make(struct hd_typed **out, size_t *weight, struct graph *g, const struct hd_typed *raw);

bool hd_typed_is_graph(const struct hd_typed *raw)
{
    const struct hd_typed *mark = hd_typed_get(raw, "__graph"), *nodes = hd_typed_get(raw, "nodes");
    return mark != NULL && mark->kind == HD_TYPED_TRUE && hd_typed_get(raw, "root") != NULL &&
           nodes != NULL && nodes->kind == HD_TYPED_OBJECT;
}

static int wrong(struct graph *g, struct hd_str id, const char *what)
{
    return hd_fail(g->err, HD_EINVAL, "graph node \"%.*s\": %s", (int)HD_MIN(id.len, (size_t)60),
                   id.ptr, what);
}

static int make_all(struct hd_typed *v, size_t *weight, struct graph *g, const struct hd_typed *raw)
{
    v->items = hd_arena_alloc(g->arena, HD_MAX(raw->n, (size_t)1) * sizeof(*v->items));
    v->names = hd_arena_alloc(g->arena, HD_MAX(raw->n, (size_t)1) * sizeof(*v->names));
    if (v->items == NULL || v->names == NULL)
        return hd_typed_no_room(g->err);
    for (size_t i = 0; i < raw->n; i++) {
        if (raw->kind == HD_TYPED_OBJECT && hd_typed_unsafe_name(raw->names[i]))
            continue;
        if (raw->kind == HD_TYPED_OBJECT)
            v->names[v->n] = raw->names[i];
        int rc = make(&v->items[v->n], weight, g, raw->items[i]);
        if (rc < 0)
            return rc;
        v->n++;
    }
    return 0;
}

static int make_record(struct hd_typed **out, size_t *weight, struct graph *g, struct hd_str type,
                       const struct hd_typed *raw)
{
    struct hd_typed *payload = (struct hd_typed *)raw;
    enum hd_typed_tag tag = hd_typed_tag_of(type);
    if (tag == HD_TAG_COUNT)
        return wrong(g, type, "an unknown type");
    if (tag != HD_TAG_UNDEFINED) {
        int rc = make(&payload, weight, g, raw);
        if (rc < 0)
            return rc;
    }
    return hd_typed_record(out, g->arena, tag, payload, g->err);
}

static int make_node(struct graph *g, struct hd_str id, struct node *n)
{
    const struct hd_typed *kind = hd_typed_get(n->raw, "kind"),
                          *type = hd_typed_get(n->raw, "type");
    const struct hd_typed *value = hd_typed_get(n->raw, "value");
    if (kind == NULL || kind->kind != HD_TYPED_STRING || value == NULL)
        return wrong(g, id, "has no kind or no value");
    if (n->making)
        return wrong(g, id, "is part of a cycle");
    n->making = true;
    int rc;
    if (hd_str_is(kind->text, "type") && type != NULL && type->kind == HD_TYPED_STRING) {
        rc = make_record(&n->value, &n->weight, g, type->text, value);
    } else if ((hd_str_is(kind->text, "object") && value->kind == HD_TYPED_OBJECT) ||
               (hd_str_is(kind->text, "array") && value->kind == HD_TYPED_ARRAY)) {
        n->value = hd_typed_new(g->arena, value->kind);
        rc = n->value != NULL ? make_all(n->value, &n->weight, g, value) : hd_typed_no_room(g->err);
    } else {
        rc = wrong(g, id, "its value is not of its kind");
    }
    n->making = false;
    return rc;
}

static int follow(struct hd_typed **out, size_t *weight, struct graph *g,
                  const struct hd_typed *reference)
{
    struct hd_str id = reference->text;
    struct node *n = NULL;
    if (reference->kind != HD_TYPED_STRING || hd_typed_unsafe_name(id))
        return hd_fail(g->err, HD_EINVAL, "a reference that is no id of a graph node");
    if (id.len > 0)
        n = hd_map_get(&g->nodes, id);
    if (n == NULL)
        return wrong(g, id, "is referred to and not there");
    if (n->value == NULL || n->making) {
        int rc = make_node(g, id, n);
        if (rc < 0)
            return rc;
    }
    *out = n->value;
    *weight += n->weight;
    return *weight > WEIGHT_MAX ? hd_fail(g->err, HD_EINVAL, "a graph too big as a tree") : 0;
}

static int make_one(struct hd_typed **out, size_t *weight, struct graph *g,
                    const struct hd_typed *raw)
{
    const struct hd_typed *ref = hd_typed_get(raw, "__ref"), *type = hd_typed_get(raw, "__type");
    const struct hd_typed *value = hd_typed_get(raw, "value");
    if (++*weight > WEIGHT_MAX)
        return hd_fail(g->err, HD_EINVAL, "a graph too big as a tree");
    if (ref != NULL && raw->n != 1)
        return hd_fail(g->err, HD_EINVAL, "a reference with other members beside it");
    if (ref != NULL)
        return follow(out, weight, g, ref);
    if (type != NULL && type->kind == HD_TYPED_STRING && value != NULL)
        return make_record(out, weight, g, type->text, value);
    if (raw->kind != HD_TYPED_ARRAY && raw->kind != HD_TYPED_OBJECT) {
        *out = (struct hd_typed *)raw;
        return 0;
    }
    *out = hd_typed_new(g->arena, raw->kind);
    return *out != NULL ? make_all(*out, weight, g, raw) : hd_typed_no_room(g->err);
}

static int make(struct hd_typed **out, size_t *weight, struct graph *g, const struct hd_typed *raw)
{
    if (g->depth > HD_TYPED_DEPTH_MAX)
        return hd_fail(g->err, HD_EINVAL, "nested deeper than %d", HD_TYPED_DEPTH_MAX);
    g->depth++;
    int rc = make_one(out, weight, g, raw);
    g->depth--;
    return rc;
}

int hd_typed_from_graph(struct hd_typed **out, struct hd_arena *arena, const struct hd_typed *raw,
                        struct hd_error *err)
{
    const struct hd_typed *nodes = hd_typed_get(raw, "nodes");
    struct graph g = {.arena = arena, .err = err};
    struct node *all = hd_arena_alloc(arena, HD_MAX(nodes->n, (size_t)1) * sizeof(*all));
    if (all == NULL)
        return hd_typed_no_room(err);
    hd_map_init(&g.nodes, (uint64_t)(uintptr_t)&g ^ (uint64_t)(uintptr_t)raw);
    for (size_t i = 0; i < nodes->n; i++) {
        all[i].raw = nodes->items[i];
        if (nodes->names[i].len > 0)
            hd_map_put(&g.nodes, nodes->names[i], &all[i]);
    }
    size_t weight = 0;
    int rc = make(out, &weight, &g, hd_typed_get(raw, "root"));
    hd_map_done(&g.nodes);
    return rc;
}
