/* op_tags.c - tags of functions, event source mappings and code signing configs, by ARN. */
#include "lambda/op/operations.h"
#include "lambda/resource.h"
#include "lambda/tags.h"

#define TAGGABLE                                                                          \
    "(arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:" \
    "(function:[a-zA-Z0-9-_]+(:(\\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|"      \
    "code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[a-f0-9]{8}-[a-f0-9]{4}-"  \
    "[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}))"
#define SHAPE_RESOURCE                                                                             \
    {                                                                                              \
        .name = "Resource", .in = HD_SHAPE_PATH, .required = true, .max = 256, .pattern = TAGGABLE \
    }

static const struct hd_shape tag[] = {
    {.name = "key", .min = 1, .max = HD_TAGS_KEY_CHARS},
    {.name = "value", .max = HD_TAGS_VALUE_CHARS},
};

static const struct hd_shape tag_input[] = {
    SHAPE_RESOURCE,
    {.name = "Tags", .kind = HD_SHAPE_MAP, .required = true, .of = tag},
    {0},
};
static const struct hd_shape untag_input[] = {
    SHAPE_RESOURCE,
    {.name = "TagKeys",
     .query = "tagKeys",
     .in = HD_SHAPE_QUERY,
     .kind = HD_SHAPE_LIST,
     .required = true,
     .of = tag},
    {0},
};
static const struct hd_shape list_input[] = {SHAPE_RESOURCE, {0}};

struct tagged {
    enum hd_record kind;
    char key[HD_NAMES_KEY_MAX];
    json_t *record; /* owned */
    json_t *tags;   /* in the record, or owned by it from now on */
};

/* @return false, and the operation has failed. */
static bool find(struct hd_op *op, struct tagged *t)
{
    struct hd_resource r;
    const char *arn = hd_op_text(op, "Resource");
    const char *missing = "The resource you requested does not exist.";
    t->record = NULL;
    if (hd_resource_parse(&r, hd_str(arn)) < 0 || r.kind == HD_RESOURCE_LAYER) {
        hd_op_fail(op, HD_API_INVALID,
                   "This server offers tags of functions, event source mappings "
                   "and code signing configs only.");
        return false;
    }
    if (r.qualifier.len > 0) {
        hd_op_fail(op, HD_API_INVALID,
                   "Tags on function aliases and versions are not supported. Please specify a "
                   "function ARN.");
        return false;
    }
    if (r.kind == HD_RESOURCE_FUNCTION) {
        if (!hd_op_take_function(op, arn))
            return false;
        t->kind = HD_RECORD_FUNCTION;
        t->record = hd_op_function(op);
        if (t->record == NULL)
            return false;
        hd_op_key(op, t->key, '/', NULL);
    } else if (hd_str_is(r.account, op->account) && hd_str_is(r.region, op->region)) {
        bool mapping = r.kind == HD_RESOURCE_EVENT_SOURCE;
        t->kind = mapping ? HD_RECORD_EVENT_SOURCE : HD_RECORD_CODE_SIGNING;
        snprintf(t->key, sizeof(t->key), "%.*s", HD_FMT(mapping ? r.name : hd_str(arn)));
        t->record = hd_catalog_get(op->catalog, t->kind, t->key);
    }
    if (t->record == NULL) {
        hd_op_fail(op, HD_API_NOT_FOUND, "%s", missing);
        return false;
    }
    t->tags = json_object_get(t->record, "Tags");
    if (t->tags == NULL) {
        t->tags = json_object();
        json_object_set_new(t->record, "Tags", t->tags);
    }
    return true;
}

static void store(struct hd_op *op, const struct tagged *t)
{
    if (json_object_size(t->tags) == 0)
        json_object_del(t->record, "Tags");
    struct hd_change *change = hd_change_new(op->catalog);
    hd_change_put(change, t->kind, t->key, t->record);
    hd_op_commit(op, change, NULL);
}

static void tag_resource(struct hd_op *op)
{
    struct tagged t;
    struct hd_error err = {.code = 0};
    if (!find(op, &t))
        return;
    if (hd_tags_add(t.tags, hd_op_get(op, "Tags"), 0, &err) < 0)
        hd_op_fail(op, HD_API_INVALID, "%s", err.msg);
    else
        store(op, &t);
    json_decref(t.record);
}

static void untag_resource(struct hd_op *op)
{
    struct tagged t;
    if (!find(op, &t))
        return;
    hd_tags_remove(t.tags, hd_op_get(op, "TagKeys"));
    store(op, &t);
    json_decref(t.record);
}

static void list_tags(struct hd_op *op)
{
    struct tagged t;
    if (!find(op, &t))
        return;
    hd_op_answer(op, json_pack("{s:O}", "Tags", t.tags));
    json_decref(t.record);
}

const struct hd_operation hd_operations_tags[] = {
    {"TagResource", "POST", "/2017-03-31/tags/{Resource}", NULL, 204, tag_input, tag_resource},
    {"UntagResource", "DELETE", "/2017-03-31/tags/{Resource}", NULL, 204, untag_input,
     untag_resource},
    {"ListTags", "GET", "/2017-03-31/tags/{Resource}", NULL, 200, list_input, list_tags},
    {0},
};
