/*  IDLE ──wanted──► STARTING ──started──► POLLING ──changed──► STARTING
 *   ▲                  │                     │
 *   └────── stopped ── STOPPING ◄─not wanted─┘      wanted: Enabled, its function is there, a
 *                                                   poller takes it, and we do not end
 *  What the API shows as State follows from that and from what the caller asked for. */
#include "lambda/sources/esm.h"

#include "core/list.h"
#include "core/map.h"
#include "lambda/sources/esm_config.h"
#include "lambda/names.h"

enum phase { IDLE, STARTING, POLLING, STOPPING };

struct mapping {
    struct hd_list link;
    char uuid[HD_NAMES_KEY_MAX];
    enum phase phase;
    const struct offer *offer; /* who polls it; NULL: nobody does */
    bool changed;              /* its settings are others than the poller's */
    char *settings;            /* as text: what the poller has */
    char *access;              /* as text: with which credentials */
    char *result;
};

struct offer {
    struct hd_list link;
    const struct hd_esm_poller *ops;
    void *arg;
};

struct hd_esm {
    struct hd_catalog *catalog;
    struct hd_log *log;
    struct hd_list offers, mappings;
    struct hd_map by_uuid;
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

static const char *text(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}

/* --- what is there --- */

static struct mapping *find(const struct hd_esm *e, const char *uuid)
{
    return hd_map_get(&e->by_uuid, hd_str(uuid));
}

static struct mapping *add(struct hd_esm *e, const char *uuid)
{
    struct mapping *m = hd_new(struct mapping);
    snprintf(m->uuid, sizeof(m->uuid), "%s", uuid);
    hd_list_push(&e->mappings, &m->link);
    hd_map_put(&e->by_uuid, hd_str(m->uuid), m);
    return m;
}

static void drop(struct hd_esm *e, struct mapping *m)
{
    hd_map_remove(&e->by_uuid, hd_str(m->uuid));
    hd_list_remove(&m->link);
    free(m->settings);
    free(m->access);
    free(m->result);
    free(m);
}

static bool has_function(const struct hd_esm *e, const json_t *record)
{
    char key[HD_NAMES_KEY_MAX];
    const char *name = text(record, "Function");
    hd_catalog_key(key, text(record, "Account"), text(record, "Region"), name, '/', NULL);
    return hd_catalog_has(e->catalog, HD_RECORD_FUNCTION, key);
}

/* What a poller sees of a record, so that it is told of nothing else. */
static char *settings_of(const json_t *record)
{
    static const char *const others[] = {"State", "StateTransitionReason", "LastModified"};
    json_t *mapping = json_copy(json_object_get(record, "Mapping"));
    for (size_t i = 0; i < HD_COUNT(others); i++)
        json_object_del(mapping, others[i]);
    char *out = json_dumps(mapping, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(mapping);
    return out;
}

static char *access_of(const json_t *record)
{
    const json_t *access =
        json_object_get(json_object_get(record, "Mapping"), "SourceAccessConfigurations");
    return access != NULL ? json_dumps(access, JSON_COMPACT | JSON_SORT_KEYS) : hd_strdup("");
}

static const struct offer *taker(const struct hd_esm *e, const struct hd_esm_mapping *m)
{
    hd_list_each(item, &e->offers)
    {
        const struct offer *o = hd_container_of(item, struct offer, link);
        if (o->ops->takes(o->arg, m))
            return o;
    }
    return NULL;
}

static void set_result(struct mapping *m, const char *result)
{
    free(m->result);
    m->result = hd_strdup(result);
}

/* --- states --- */

static void store_state(struct hd_esm *e, struct mapping *m, json_t *record, const char *state)
{
    json_t *mapping = json_object_get(record, "Mapping");
    if (strcmp(text(mapping, "State"), state) == 0)
        return;
    json_object_set_new(mapping, "State", json_string(state));
    struct hd_change *change = hd_change_new(e->catalog);
    hd_change_put(change, HD_RECORD_EVENT_SOURCE, m->uuid, record);
    hd_change_commit(change, NULL, NULL);
}

static void delete_record(struct hd_esm *e, struct mapping *m)
{
    struct hd_change *change = hd_change_new(e->catalog);
    hd_change_delete(change, HD_RECORD_EVENT_SOURCE, m->uuid);
    hd_change_commit(change, NULL, NULL);
}

/* Nothing has to be waited for: bring State to where the caller wants it. */
static void settle(struct hd_esm *e, struct mapping *m, json_t *record)
{
    const char *state = text(json_object_get(record, "Mapping"), "State");
    bool wanted = json_is_true(json_object_get(record, "Enabled"));
    if (e->closing || !hd_esm_state_moves(state))
        return;
    if (strcmp(state, "Deleting") != 0)
        store_state(e, m, record, wanted ? "Enabled" : "Disabled");
    else if (m->phase == IDLE)
        delete_record(e, m);
}

/* Say why an enabled one does not poll, and take it back when that is over. */
static void tell_why_not(struct mapping *m, bool enabled, bool function, bool offered)
{
    static const char no_function[] = "PROBLEM: Function not found";
    static const char no_poller[] = "PROBLEM: Nothing on this node polls this source";
    const char *why = !enabled ? NULL : !function ? no_function : !offered ? no_poller : NULL;
    bool ours = m->result != NULL &&
                (strcmp(m->result, no_function) == 0 || strcmp(m->result, no_poller) == 0);
    if (why != NULL)
        set_result(m, why);
    else if (ours)
        set_result(m, "No records processed");
}

static void closed_if_done(struct hd_esm *e)
{
    if (!e->closing || e->closed == NULL)
        return;
    hd_list_each(item, &e->mappings)
    {
        if (hd_container_of(item, struct mapping, link)->phase != IDLE)
            return;
    }
    void (*closed)(void *arg) = hd_steal(e->closed);
    closed(e->closed_arg);
}

static void start(struct mapping *m, const struct offer *o, const struct hd_esm_mapping *config,
                  const json_t *record)
{
    bool first = m->phase == IDLE;
    m->phase = STARTING;
    m->offer = o;
    m->changed = false;
    free(m->settings);
    m->settings = settings_of(record);
    free(m->access);
    m->access = access_of(record);
    if (first)
        o->ops->start(o->arg, config);
    else
        o->ops->update(o->arg, config);
}

/* Do what there is to do now; every event ends here. */
static void step(struct hd_esm *e, struct mapping *m)
{
    struct hd_esm_mapping config;
    struct hd_error err = {.msg = ""};
    json_t *record = hd_catalog_get(e->catalog, HD_RECORD_EVENT_SOURCE, m->uuid);
    bool readable = record != NULL && hd_esm_mapping_init(&config, record, &err) == 0;
    bool function = readable && has_function(e, record);
    const struct offer *o = readable ? taker(e, &config) : NULL;
    bool deleting =
        readable && strcmp(text(json_object_get(record, "Mapping"), "State"), "Deleting") == 0;
    bool enabled = readable && json_is_true(json_object_get(record, "Enabled")) && !deleting;
    bool wanted = !e->closing && enabled && function && o != NULL;
    bool anew = false; /* no poller changes its credentials while it polls */
    if (readable && m->settings != NULL) {
        hd_auto_free char *now = settings_of(record), *access = access_of(record);
        m->changed = strcmp(now, m->settings) != 0;
        anew = strcmp(access, m->access) != 0;
    }
    if (readable)
        tell_why_not(m, enabled, function, o != NULL);
    switch (m->phase) {
    case IDLE:
        if (wanted)
            start(m, o, &config, record);
        else if (readable)
            settle(e, m, record);
        break;
    case STARTING:
    case POLLING:
        if (!wanted || o != m->offer || anew) {
            m->phase = STOPPING;
            m->offer->ops->stop(m->offer->arg, m->uuid);
        } else if (m->phase == POLLING && m->changed) {
            start(m, o, &config, record);
        } else if (m->phase == POLLING) {
            settle(e, m, record);
        }
        break;
    case STOPPING:
        break;
    }
    if (readable)
        hd_esm_mapping_done(&config);
    else if (record != NULL)
        hd_log(e->log, HD_ERROR, "an event source mapping cannot be read",
               hd_kv_str("mapping", m->uuid), hd_kv_str("error", err.msg));
    if (record == NULL && m->phase == IDLE)
        drop(e, m);
    json_decref(record);
}

static void step_all(struct hd_esm *e)
{
    hd_list_each(item, &e->mappings) step(e, hd_container_of(item, struct mapping, link));
    closed_if_done(e);
}

/* --- events --- */

static void on_record(void *arg, enum hd_record kind, const char *key)
{
    struct hd_esm *e = arg;
    if (key == NULL)
        return;
    if (kind == HD_RECORD_EVENT_SOURCE) {
        struct mapping *m = find(e, key);
        if (m == NULL && hd_catalog_has(e->catalog, kind, key))
            m = add(e, key);
        if (m != NULL)
            step(e, m);
    } else if (kind == HD_RECORD_FUNCTION) {
        step_all(e); /* it may have come or gone */
    }
}

void hd_esm_started(struct hd_esm *e, const char *uuid)
{
    struct mapping *m = find(e, uuid);
    if (m == NULL || m->phase != STARTING)
        return; /* it is being stopped */
    m->phase = POLLING;
    if (m->result == NULL)
        set_result(m, "No records processed");
    step(e, m);
}

void hd_esm_stopped(struct hd_esm *e, const char *uuid)
{
    struct mapping *m = find(e, uuid);
    if (m == NULL || m->phase != STOPPING)
        return;
    m->phase = IDLE;
    m->offer = NULL;
    free(m->settings);
    m->settings = NULL;
    step(e, m);
    closed_if_done(e);
}

void hd_esm_result(struct hd_esm *e, const char *uuid, const char *result)
{
    struct mapping *m = find(e, uuid);
    if (m != NULL)
        set_result(m, result);
}

const char *hd_esm_last_result(const struct hd_esm *e, const char *uuid)
{
    const struct mapping *m = find(e, uuid);
    return m != NULL ? m->result : NULL;
}

void hd_esm_probe(struct hd_esm *e, const json_t *record, hd_esm_probe_fn done, void *done_arg)
{
    struct hd_esm_mapping config;
    struct hd_esm_probe result = {.visibility_timeout_s = 0};
    int rc = hd_esm_mapping_init(&config, record, &result.err);
    const struct offer *o = rc == 0 ? taker(e, &config) : NULL;
    if (rc == 0 && o == NULL)
        hd_fail(&result.err, HD_ENOTFOUND, "nothing on this node polls %s", config.source_arn);
    if (o != NULL && o->ops->probe != NULL)
        o->ops->probe(o->arg, &config, done, done_arg);
    else
        done(done_arg, &result);
    if (rc == 0)
        hd_esm_mapping_done(&config);
}

/* --- beginning and end --- */

struct hd_esm *hd_esm_new(struct hd_catalog *catalog, struct hd_log *log)
{
    struct hd_esm *e = hd_new(struct hd_esm);
    const char *key = NULL;
    e->catalog = catalog;
    e->log = log;
    hd_list_init(&e->offers);
    hd_list_init(&e->mappings);
    hd_map_init(&e->by_uuid, 0);
    while ((key = hd_catalog_next(catalog, HD_RECORD_EVENT_SOURCE, "", key)) != NULL)
        add(e, key);
    hd_catalog_listen(catalog, on_record, e);
    step_all(e);
    return e;
}

void hd_esm_offer(struct hd_esm *e, const struct hd_esm_poller *ops, void *arg)
{
    struct offer *o = hd_new(struct offer);
    o->ops = ops;
    o->arg = arg;
    hd_list_push(&e->offers, &o->link);
    step_all(e);
}

void hd_esm_close(struct hd_esm *e, void (*done)(void *arg), void *arg)
{
    e->closing = true;
    e->closed = done;
    e->closed_arg = arg;
    step_all(e);
}

void hd_esm_free(struct hd_esm *e)
{
    if (e == NULL)
        return;
    hd_list_each(item, &e->mappings) drop(e, hd_container_of(item, struct mapping, link));
    hd_list_each(item, &e->offers) free(hd_container_of(item, struct offer, link));
    hd_map_done(&e->by_uuid);
    free(e);
}
