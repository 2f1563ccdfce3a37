/* op_event_source.c - event source mappings: stored as they are wanted; lambda/sources/esm.h makes
 * it so.
 */
#include "core/clock.h"
#include "lambda/api/api_private.h"
#include "lambda/sources/esm_config.h"
#include "lambda/op/op_event_source.h"
#include "lambda/op/operations.h"
#include "lambda/tags.h"

enum { PAGE = 50 };

#define GONE "The resource you requested does not exist."

/* --- what is shown --- */

static const char *text(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}

static const char *state_of(const json_t *record)
{
    return text(json_object_get(record, "Mapping"), "State");
}

static json_t *shown(const struct hd_op *op, const json_t *record)
{
    json_t *out = json_copy(json_object_get(record, "Mapping"));
    const char *result = hd_esm_last_result(op->api->esm, text(out, "UUID"));
    if (result != NULL)
        hd_op_set(out, "LastProcessingResult", result);
    return out;
}

static void set_state(json_t *record, const char *state)
{
    json_t *mapping = json_object_get(record, "Mapping");
    hd_op_set(mapping, "State", state);
    hd_op_set(mapping, "StateTransitionReason", "USER_INITIATED");
    json_object_set_new(mapping, "LastModified", json_real((double)hd_clock_unix_ms() / 1000));
}

static void store(struct hd_op *op, const json_t *record)
{
    struct hd_change *change = hd_change_new(op->catalog);
    hd_change_put(change, HD_RECORD_EVENT_SOURCE, text(json_object_get(record, "Mapping"), "UUID"),
                  record);
    hd_op_commit(op, change, shown(op, record));
}

/* @return the record, a new reference; or NULL, and the operation has failed. */
static json_t *find(struct hd_op *op)
{
    json_t *record = hd_catalog_get(op->catalog, HD_RECORD_EVENT_SOURCE, hd_op_text(op, "UUID"));
    if (record != NULL && strcmp(text(record, "Account"), op->account) == 0 &&
        strcmp(text(record, "Region"), op->region) == 0)
        return record;
    json_decref(record);
    hd_op_fail(op, HD_API_NOT_FOUND, GONE);
    return NULL;
}

/* --- checks --- */

/* Find the function that is named in the body, and put it into the record.
 * @return false, and the operation has failed. */
static bool take_function(struct hd_op *op, json_t *record)
{
    if (!hd_op_take_function(op, hd_op_text(op, "FunctionName")))
        return false;
    if (!hd_op_resolve(op, NULL, NULL) ||
        (op->qualifier != NULL && !hd_op_resolve(op, op->qualifier, NULL))) {
        hd_op_fail(op, HD_API_INVALID, "Function does not exist");
        return false;
    }
    hd_auto_free char *arn = hd_op_arn(op, op->qualifier);
    hd_op_set(json_object_get(record, "Mapping"), "FunctionArn", arn);
    hd_op_set(record, "Function", op->function);
    json_object_del(record, "Qualifier");
    if (op->qualifier != NULL)
        hd_op_set(record, "Qualifier", op->qualifier);
    return true;
}

static bool is_twin(const json_t *a, const json_t *b)
{
    const json_t *am = json_object_get(a, "Mapping"), *bm = json_object_get(b, "Mapping");
    const json_t *aq = json_object_get(am, "Queues"), *bq = json_object_get(bm, "Queues");
    return json_equal(json_object_get(am, "EventSourceArn"),
                      json_object_get(bm, "EventSourceArn")) &&
           json_equal(json_object_get(am, "FunctionArn"), json_object_get(bm, "FunctionArn")) &&
           (aq == bq || json_equal(aq, bq)) && strcmp(text(am, "UUID"), text(bm, "UUID")) != 0;
}

/* @return false, and the operation has failed: there is one of this source and function. */
static bool is_alone(struct hd_op *op, const json_t *record)
{
    const char *key = NULL;
    while ((key = hd_catalog_next(op->catalog, HD_RECORD_EVENT_SOURCE, "", key)) != NULL) {
        json_t *other = hd_catalog_get(op->catalog, HD_RECORD_EVENT_SOURCE, key);
        bool twin = is_twin(record, other);
        json_decref(other);
        if (!twin)
            continue;
        const json_t *mapping = json_object_get(record, "Mapping");
        bool sqs = hd_esm_source(mapping) == HD_ESM_SOURCE_SQS;
        hd_op_fail(op, HD_API_CONFLICT,
                   "An event source mapping with %s arn (\" %s \") and function (\" %s \") already "
                   "exists. Please update or delete the existing mapping with UUID %s",
                   sqs ? "SQS" : "event source", text(mapping, "EventSourceArn"),
                   text(record, "Function"), key);
        return false;
    }
    return true;
}

static json_int_t timeout_of(const struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX], version[HD_NAMES_KEY_MAX];
    hd_op_resolve(op, op->qualifier, version);
    bool latest = hd_names_is_latest(hd_str(version));
    json_t *doc = hd_catalog_get(op->catalog, latest ? HD_RECORD_FUNCTION : HD_RECORD_VERSION,
                                 hd_op_key(op, key, '/', latest ? NULL : version));
    json_int_t s = json_integer_value(json_object_get(json_object_get(doc, "Config"), "Timeout"));
    json_decref(doc);
    return s;
}

/* @return false, and the operation has failed. */
static bool is_source_right(struct hd_op *op, const struct hd_esm_probe *found)
{
    json_int_t timeout = timeout_of(op);
    if (found->err.code == HD_ENOTFOUND)
        hd_op_fail(op, HD_API_INVALID, "This event source is not offered by this server: %s.",
                   found->err.msg);
    else if (found->err.code != 0)
        hd_op_fail(op, HD_API_INVALID, "%s", found->err.msg);
    else if (found->visibility_timeout_s > 0 && found->visibility_timeout_s < timeout)
        hd_op_fail(op, HD_API_INVALID,
                   "Queue visibility timeout: %u seconds is less than Function timeout: %lld "
                   "seconds",
                   found->visibility_timeout_s, (long long)timeout);
    else
        return true;
    return false;
}

static void free_record(void *state)
{
    json_decref(state);
}

/* --- create --- */

static void probed_new(void *arg, const struct hd_esm_probe *found)
{
    struct hd_op *op = arg;
    json_t *record = op->state;
    /* What was there when it was asked for may be gone, or there twice, by now. */
    if (!hd_op_resolve(op, op->qualifier, NULL))
        hd_op_fail(op, HD_API_INVALID, "Function does not exist");
    else if (is_source_right(op, found) && is_alone(op, record))
        store(op, record);
}

static bool take_tags(struct hd_op *op, json_t *record)
{
    struct hd_error err = {.code = 0};
    json_t *given = hd_op_get(op, "Tags"), *tags;
    if (json_object_size(given) == 0)
        return true;
    tags = json_object();
    json_object_set_new(record, "Tags", tags);
    if (hd_tags_add(tags, given, 0, &err) == 0)
        return true;
    hd_op_fail(op, HD_API_INVALID, "%s", err.msg);
    return false;
}

static void create(struct hd_op *op)
{
    char uuid[HD_UUID_CHARS + 1];
    struct hd_error err = {.code = 0};
    json_t *mapping = NULL, *enabled = hd_op_get(op, "Enabled");
    if (hd_esm_config_new(&mapping, op->input, &err) < 0) {
        hd_op_fail(op, HD_API_INVALID, "%s", err.msg);
        return;
    }
    hd_op_new_revision(uuid); /* a UUID as any */
    hd_auto_free char *arn =
        hd_names_make_arn("event-source-mapping", op->account, op->region, uuid, NULL);
    hd_op_set(mapping, "UUID", uuid);
    hd_op_set(mapping, "EventSourceMappingArn", arn);
    json_t *record =
        json_pack("{s:s, s:s, s:b, s:o}", "Account", op->account, "Region", op->region, "Enabled",
                  enabled == NULL || json_is_true(enabled), "Mapping", mapping);
    op->state = record;
    op->free_state = free_record;
    if (!take_function(op, record) || !take_tags(op, record) || !is_alone(op, record))
        return;
    set_state(record, "Creating");
    hd_esm_probe(op->api->esm, record, probed_new, op);
}

/* --- update --- */

static void probed_again(void *arg, const struct hd_esm_probe *found)
{
    struct hd_op *op = arg;
    json_t *record = op->state;
    json_t *now = hd_catalog_get(op->catalog, HD_RECORD_EVENT_SOURCE, hd_op_text(op, "UUID"));
    bool moved = now == NULL || hd_esm_state_moves(state_of(now));
    json_decref(now);
    if (moved)
        hd_op_fail(op, HD_API_IN_USE,
                   "Cannot update the event source mapping because it is in use.");
    else if (is_source_right(op, found) && is_alone(op, record))
        store(op, record);
}

static void update(struct hd_op *op)
{
    struct hd_error err = {.code = 0};
    json_t *record = find(op), *enabled = hd_op_get(op, "Enabled");
    if (record == NULL)
        return;
    op->state = record;
    op->free_state = free_record;
    if (hd_esm_state_moves(state_of(record))) {
        hd_op_fail(op, HD_API_IN_USE,
                   "Cannot update the event source mapping because it is in use.");
        return;
    }
    if (hd_esm_config_update(json_object_get(record, "Mapping"), op->input, &err) < 0) {
        hd_op_fail(op, HD_API_INVALID, "%s", err.msg);
        return;
    }
    bool was = json_is_true(json_object_get(record, "Enabled"));
    bool wanted = enabled != NULL ? json_is_true(enabled) : was;
    json_object_set_new(record, "Enabled", json_boolean(wanted));
    set_state(record, was == wanted ? "Updating" : wanted ? "Enabling" : "Disabling");
    if (hd_op_get(op, "FunctionName") == NULL)
        store(op, record);
    else if (take_function(op, record) && is_alone(op, record))
        hd_esm_probe(op->api->esm, record, probed_again, op);
}

/* --- the others --- */

static void get(struct hd_op *op)
{
    json_t *record = find(op);
    if (record != NULL)
        hd_op_answer(op, shown(op, record));
    json_decref(record);
}

static void delete_mapping(struct hd_op *op)
{
    json_t *record = find(op);
    if (record == NULL)
        return;
    if (hd_esm_state_moves(state_of(record))) {
        hd_op_fail(op, HD_API_IN_USE,
                   "Cannot delete the event source mapping because it is in use.");
    } else {
        set_state(record, "Deleting");
        store(op, record);
    }
    json_decref(record);
}

static json_t *item(struct hd_op *op, const char *key, json_t *record)
{
    const char *source = hd_op_text(op, "EventSourceArn");
    const json_t *mapping = json_object_get(record, "Mapping");
    bool fits = strcmp(text(record, "Account"), op->account) == 0 &&
                strcmp(text(record, "Region"), op->region) == 0 &&
                (source == NULL || hd_str_is(hd_str(text(mapping, "EventSourceArn")), source));
    const char *qualifier = text(record, "Qualifier");
    if (fits && op->function != NULL)
        fits = strcmp(text(record, "Function"), op->function) == 0 &&
               hd_str_eq(hd_str(qualifier), hd_str(op->qualifier));
    (void)key;
    return fits ? shown(op, record) : NULL;
}

static void list(struct hd_op *op)
{
    const char *name = hd_op_text(op, "FunctionName");
    if (name == NULL || hd_op_take_function(op, name))
        hd_op_list(op, "EventSourceMappings", HD_RECORD_EVENT_SOURCE, "", PAGE, item);
}

#define PATH "/2015-03-31/event-source-mappings"

const struct hd_operation hd_operations_event_source[] = {
    {"CreateEventSourceMapping", "POST", PATH, NULL, 202, hd_event_source_create_input, create},
    {"ListEventSourceMappings", "GET", PATH, NULL, 200, hd_event_source_list_input, list},
    {"GetEventSourceMapping", "GET", PATH "/{UUID}", NULL, 200, hd_event_source_one_input, get},
    {"UpdateEventSourceMapping", "PUT", PATH "/{UUID}", NULL, 202, hd_event_source_update_input,
     update},
    {"DeleteEventSourceMapping", "DELETE", PATH "/{UUID}", NULL, 202, hd_event_source_one_input,
     delete_mapping},
    {0},
};
