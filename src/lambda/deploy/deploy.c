/* A unit is one version, an owner one function. What they hold (pools, admission) lives as long as
 * the records do. */
#include "lambda/deploy/deploy.h"

#include "core/id.h"
#include "functions/bundle.h"
#include "lambda/deploy/deploy_hot.h"
#include "lambda/deploy/deploy_owner.h"
#include "lambda/deploy/deploy_spec.h"
#include "lambda/deploy/deploy_task.h"
#include "lambda/names.h"

#include <unistd.h>

struct unit {
    char *key; /* of its record */
    struct hd_deploy_owner *owner;
    enum hd_lambda_state state;
    struct hd_target *target;
    struct hd_provision *provision;
    uint32_t provisioned;
    int64_t reserved;           /* of $LATEST's record: the function's reservation, or -1 */
    enum hd_tags_freeze freeze; /* same: as its tag says */
    char *instances; /* tells what its instances run apart; NULL: none were asked for yet */
    char *folder;    /* the code itself, that may change at any time; NULL: it does not */
    unsigned generation;
    char *pool_key;
    struct hd_deploy_task *task; /* what makes it complete; NULL: none runs */
};

struct hd_deploy {
    struct hd_deploy_options opt;
    struct hd_deploy_owners owners;
    struct hd_map units;
    struct hd_deploy_hot *hot;
    bool folders_changed;
    unsigned tasks;
    bool stopped, closed; /* closed: the folders are not watched any more */
};

/* --- keys --- */

/* Parts of "account/region/name[/version]"; the text is cut into them. */
struct parts {
    char text[HD_NAMES_KEY_MAX];
    const char *account, *region, *name, *version;
};

static void take_apart(struct parts *out, const char *key)
{
    const char **const at[] = {&out->account, &out->region, &out->name, &out->version};
    snprintf(out->text, sizeof(out->text), "%s", key);
    out->version = "$LATEST";
    char *rest = out->text;
    for (size_t i = 0; i < HD_COUNT(at) && rest != NULL; i++)
        *at[i] = strsep(&rest, "/");
}

/* --- units --- */

static struct unit *unit_of(struct hd_deploy *d, const char *key)
{
    struct unit *u = hd_map_get(&d->units, hd_str(key));
    if (u != NULL)
        return u;
    struct parts p;
    take_apart(&p, key);
    u = hd_new(struct unit);
    u->key = hd_strdup(key);
    u->owner = hd_deploy_owner_hold(&d->owners, hd_names_function_of_key(key));
    u->provision = hd_provision_new(0);
    u->pool_key = hd_printf("lambda:%s:%s:%s:%s", p.account, p.region, p.name, p.version);
    hd_map_put(&d->units, hd_str(u->key), u);
    return u;
}

static void unit_free(struct hd_deploy *d, struct unit *u)
{
    hd_deploy_owner_let_go(&d->owners, u->owner);
    hd_target_unref(u->target);
    hd_provision_unref(u->provision);
    free(u->instances);
    free(u->folder);
    free(u->pool_key);
    free(u->key);
    free(u);
}

static void drop_unit(struct hd_deploy *d, struct unit *u)
{
    hd_map_remove(&d->units, hd_str(u->key));
    hd_deploy_task_forget(u->task);
    d->folders_changed |= u->folder != NULL;
    if (d->opt.api->pools != NULL)
        hd_pool_set_remove(d->opt.api->pools, u->pool_key);
    unit_free(d, u);
}

static const char *text(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}

static bool is(const json_t *config, const char *member, const char *value)
{
    return hd_str_is(hd_str(text(config, member)), value);
}

static int level_of(const char *name)
{
    if (name == NULL)
        return HD_INFO;
    if (strcmp(name, "TRACE") == 0 || strcmp(name, "DEBUG") == 0)
        return HD_DEBUG;
    if (strcmp(name, "WARN") == 0)
        return HD_WARN;
    return strcmp(name, "INFO") == 0 ? HD_INFO : HD_ERROR;
}

static const char no_runtime[] = "InvalidRuntimeException", no_start[] = "ServiceException";

/* @return what runs it, as logs have it, for the caller to free; NULL: an image. */
static char *runtime_of(const struct hd_api_options *api, const json_t *config)
{
    char version[64];
    const char *runtime = text(config, "Runtime");
    if (runtime == NULL || api->runtime_version == NULL)
        return hd_strdup(runtime);
    const json_t *architectures = json_object_get(config, "Architectures");
    api->runtime_version(api->arg, runtime, json_string_value(json_array_get(architectures, 0)),
                         version, sizeof(version));
    return hd_strdup(version);
}

/* @param pool  a reference that becomes the target's; NULL: it cannot run, @p problem says why, and
 *              @p type how the API calls that. */
static void set_target(const struct hd_api_options *api, struct unit *u, const json_t *config,
                       struct hd_pool *pool, const char *problem, const char *type)
{
    struct parts p;
    struct hd_target *t = hd_target_new();
    const json_t *logging = json_object_get(config, "LoggingConfig");
    take_apart(&p, u->key);
    t->kind = HD_TARGET_LAMBDA;
    t->name = hd_strdup(p.name);
    t->version = hd_strdup(p.version);
    t->arn = hd_names_make_arn("function", p.account, p.region, p.name, NULL);
    t->pool = pool;
    t->problem = hd_strdup(problem);
    t->problem_type = problem != NULL ? hd_strdup(type) : NULL;
    t->timeout_ms = (uint32_t)json_integer_value(json_object_get(config, "Timeout")) * 1000;
    t->memory_mb = (uint32_t)json_integer_value(json_object_get(config, "MemorySize"));
    t->runtime = runtime_of(api, config);
    t->runtime_arn =
        hd_strdup(text(json_object_get(config, "RuntimeVersionConfig"), "RuntimeVersionArn"));
    t->log_group = hd_strdup(text(logging, "LogGroup"));
    t->log_json = is(logging, "LogFormat", "JSON");
    t->log_level_app = level_of(text(logging, "ApplicationLogLevel"));
    t->log_level_system = level_of(text(logging, "SystemLogLevel"));
    t->admission = hd_admission_ref(u->owner->admission);
    t->provision = hd_provision_ref(u->provision);
    hd_target_unref(u->target);
    u->target = t;
}

static char *layers_dir(const struct hd_deploy *d, const json_t *doc)
{
    const char *digests[HD_BUNDLE_LAYERS_MAX];
    char key[HD_DIGEST_CHARS + 1];
    size_t n = hd_deploy_layer_digests(doc, digests);
    if (n == 0)
        return NULL;
    hd_bundles_merge_key(key, digests, n);
    return hd_bundles_dir(d->opt.api->bundles, key);
}

/* The code is a folder, another one than before, or none any more. */
static void set_folder(struct hd_deploy *d, struct unit *u, const char *folder)
{
    if (hd_str_eq(hd_str(folder), hd_str(u->folder)))
        return;
    free(u->folder);
    u->folder = hd_strdup(folder);
    d->folders_changed = true;
}

/* Put the pool in place, unless its instances could not tell the difference. @return it with a
 * reference, or NULL and *err. */
static struct hd_pool *pool_for(struct hd_deploy *d, struct unit *u, const json_t *doc,
                                const struct hd_deploy_place *at, struct hd_error *err)
{
    const struct hd_api_options *api = d->opt.api;
    struct hd_pool *pool = NULL;
    struct hd_deploy_spec spec;
    bool same = u->target != NULL && u->target->pool != NULL && u->instances != NULL &&
                strcmp(at->instance_version, u->instances) == 0;
    hd_deploy_spec_init(&spec, doc, at, api);
    if (same) {
        pool = hd_pool_ref(u->target->pool);
        hd_pool_set_limits(pool, &spec.pool.limits, NULL);
    } else if (api->pools == NULL) {
        hd_fail(err, HD_EINVAL, "this node runs no functions");
    } else if (hd_pool_set_put(api->pools, &pool, &spec.pool, err) < 0) {
        hd_log(api->log, HD_ERROR, "a function cannot run", hd_kv_str("function", u->key),
               hd_kv_str("error", err->msg));
    }
    hd_deploy_spec_done(&spec);
    return pool;
}

static void install(struct hd_deploy *d, struct unit *u, const json_t *doc)
{
    const struct hd_api_options *api = d->opt.api;
    const json_t *config = json_object_get(doc, "Config"), *code = json_object_get(doc, "Code");
    const char *folder = text(code, "Directory"), *digest = text(code, "Digest");
    char fingerprint[HD_FINGERPRINT_CHARS + 1];
    struct parts p;
    struct hd_error err = {0};
    hd_auto_free char *code_dir = folder != NULL   ? hd_strdup(folder)
                                  : digest != NULL ? hd_bundles_dir(api->bundles, digest)
                                                   : NULL;
    hd_auto_free char *opt_dir = layers_dir(d, doc);
    take_apart(&p, u->key);
    set_folder(d, u, folder);
    hd_deploy_fingerprint(fingerprint, doc);
    char *instances =
        u->generation > 0 ? hd_printf("%s-%u", fingerprint, u->generation) : hd_strdup(fingerprint);
    const struct hd_deploy_place at = {.account = p.account,
                                       .region = p.region,
                                       .name = p.name,
                                       .version = p.version,
                                       .key = u->pool_key,
                                       .instance_version = instances,
                                       .code_dir = code_dir,
                                       .opt_dir = opt_dir,
                                       .reserved = u->owner->reserved,
                                       .freeze = u->owner->freeze,
                                       .provisioned = u->provisioned};
    bool gone = digest != NULL && access(code_dir, F_OK) < 0; /* a data folder that lost some */
    if (gone)
        hd_fail(&err, HD_ENOTFOUND,
                "the code of this function is gone (%s); update it with its code", code_dir);
    struct hd_pool *pool = gone ? NULL : pool_for(d, u, doc, &at, &err);
    free(u->instances);
    u->instances = instances;
    set_target(api, u, config, pool, pool == NULL ? err.msg : NULL,
               gone ? "InvalidZipFileException" : no_runtime);
}

/* @return why this machine cannot run it, or NULL. */
static const char *problem_of(const struct hd_deploy *d, const json_t *doc)
{
    const struct hd_api_options *api = d->opt.api;
    const json_t *config = json_object_get(doc, "Config");
    const char *architecture =
        json_string_value(json_array_get(json_object_get(config, "Architectures"), 0));
    const char *own = hd_deploy_own_architecture();
    if (api->runtime_problem != NULL)
        return api->runtime_problem(api->arg, text(config, "Runtime"), architecture);
    return architecture == NULL || strcmp(architecture, own) == 0
               ? NULL
               : "This machine has another architecture than the function.";
}

static void on_prepared(void *arg, const struct hd_deploy_task *t, const char *key)
{
    struct hd_deploy *d = arg;
    struct unit *u = hd_map_get(&d->units, hd_str(key));
    if (u != NULL && u->task == t)
        u->task = NULL;
    d->tasks--;
    if (!hd_deploy_is_busy(d))
        d->opt.on_idle(d->opt.arg);
}

static void prepare(struct hd_deploy *d, struct unit *u, const json_t *doc, const char *problem,
                    enum hd_record kind)
{
    const struct hd_deploy_task_options task = {.catalog = d->opt.catalog,
                                                .api = d->opt.api,
                                                .kind = kind,
                                                .key = u->key,
                                                .doc = doc,
                                                .problem = problem,
                                                .done = on_prepared,
                                                .arg = d};
    if (u->task != NULL || d->stopped)
        return;
    d->tasks++;
    u->task = hd_deploy_task_start(&task);
}

static enum hd_lambda_state state_of(const json_t *config)
{
    return is(config, "State", "Pending")    ? HD_LAMBDA_PENDING
           : is(config, "State", "Failed")   ? HD_LAMBDA_FAILED
           : is(config, "State", "Inactive") ? HD_LAMBDA_INACTIVE
                                             : HD_LAMBDA_ACTIVE;
}

/* Whether something must be fetched before an instance can start; until then what was there goes
 * on. */
static bool must_wait(const struct hd_deploy *d, const json_t *config)
{
    return d->opt.api->prepare_image != NULL && is(config, "PackageType", "Image");
}

/* A record is there, or changed, or is gone. */
static void look_at(struct hd_deploy *d, enum hd_record kind, const char *key)
{
    json_t *doc = hd_catalog_get(d->opt.catalog, kind, key);
    struct unit *u = hd_map_get(&d->units, hd_str(key));
    if (doc == NULL) {
        if (u != NULL)
            drop_unit(d, u);
        return;
    }
    u = unit_of(d, key);
    const json_t *config = json_object_get(doc, "Config"),
                 *before = json_object_get(doc, "Serving");
    const json_t *reserved = json_object_get(doc, "ReservedConcurrentExecutions");
    const char *problem = problem_of(d, doc);
    u->reserved = reserved != NULL ? json_integer_value(reserved) : -1;
    u->freeze = hd_tags_freeze(json_object_get(doc, "Tags"));
    u->state = state_of(config);
    bool under_way = u->state == HD_LAMBDA_PENDING || is(config, "LastUpdateStatus", "InProgress");
    bool serves = problem == NULL && !is(config, "LastUpdateStatus", "Failed") &&
                  !(under_way && must_wait(d, config));
    /* What failed for the lack of a runtime is tried again when the machine has one. */
    bool mended = u->state == HD_LAMBDA_FAILED && problem == NULL &&
                  is(config, "StateReasonCode", "InvalidRuntime");
    if (serves)
        install(d, u, doc);
    else if (before != NULL)
        install(d, u, before); /* the update failed or goes on: what was there serves */
    else if (problem != NULL)
        set_target(d->opt.api, u, config, NULL, problem, no_runtime);
    else
        set_target(d->opt.api, u, config, NULL, text(config, "StateReason"),
                   is(config, "StateReasonCode", "InvalidImage") ? no_start : no_runtime);
    if (under_way || mended)
        prepare(d, u, doc, problem, kind);
    json_decref(doc);
}

/* --- concurrency that is promised --- */

static uint32_t provisioned_for(struct hd_deploy *d, const char *record_key, const char *function,
                                const char *version)
{
    char key[HD_NAMES_KEY_MAX];
    const char *qualifier = strrchr(record_key, ':') + 1;
    if (strcmp(qualifier, version) != 0) {
        snprintf(key, sizeof(key), "%s/%s", function, qualifier);
        json_t *alias = hd_catalog_get(d->opt.catalog, HD_RECORD_ALIAS, key);
        bool this_one = alias != NULL && is(alias, "FunctionVersion", version);
        json_decref(alias);
        if (!this_one)
            return 0;
    }
    json_t *doc = hd_catalog_get(d->opt.catalog, HD_RECORD_PROVISIONED, record_key);
    json_int_t n =
        json_integer_value(json_object_get(doc, "RequestedProvisionedConcurrentExecutions"));
    json_decref(doc);
    return n > 0 && n < UINT32_MAX ? (uint32_t)n : 0;
}

static uint32_t provisioned_of(struct hd_deploy *d, const char *function, const char *version)
{
    char prefix[HD_NAMES_KEY_MAX];
    uint32_t sum = 0;
    snprintf(prefix, sizeof(prefix), "%s:", function);
    for (const char *key = NULL;
         (key = hd_catalog_next(d->opt.catalog, HD_RECORD_PROVISIONED, prefix, key)) != NULL;)
        sum += provisioned_for(d, key, function, version);
    return sum;
}

static void provision(struct hd_deploy *d, struct unit *u, enum hd_record kind)
{
    struct parts p;
    take_apart(&p, u->key);
    uint32_t n = provisioned_of(d, u->owner->key, p.version);
    if (n == u->provisioned)
        return;
    u->provisioned = n;
    hd_provision_set(u->provision, n);
    look_at(d, kind, u->key);
}

/* Reservation, provisioned instances and freezing of a function, over all its versions. */
static void share(struct hd_deploy *d, struct hd_str function, bool versions)
{
    struct hd_deploy_owner *o = hd_deploy_owner_find(&d->owners, function);
    const struct unit *latest = hd_map_get(&d->units, function);
    if (o == NULL || latest == NULL)
        return;
    char prefix[HD_NAMES_KEY_MAX];
    uint32_t provisioned = 0;
    bool other = latest->reserved != o->reserved || latest->freeze != o->freeze;
    o->freeze = latest->freeze;
    snprintf(prefix, sizeof(prefix), "%s/", o->key);
    for (const char *key = NULL;
         versions &&
         (key = hd_catalog_next(d->opt.catalog, HD_RECORD_VERSION, prefix, key)) != NULL;) {
        struct unit *u = hd_map_get(&d->units, hd_str(key));
        if (u == NULL)
            continue;
        provision(d, u, HD_RECORD_VERSION);
        provisioned += u->provisioned;
    }
    hd_deploy_owner_promise(&d->owners, o, latest->reserved,
                            versions ? provisioned : o->provisioned);
    if (!other)
        return;
    /* The pools have another limit now. */
    look_at(d, HD_RECORD_FUNCTION, o->key);
    for (const char *key = NULL;
         (key = hd_catalog_next(d->opt.catalog, HD_RECORD_VERSION, prefix, key)) != NULL;)
        look_at(d, HD_RECORD_VERSION, key);
}

/* --- code that is a folder --- */

static void watch_folders(struct hd_deploy *d)
{
    struct hd_strings folders = {.n = 0};
    size_t at = 0;
    void *value;
    if (!d->folders_changed || d->stopped)
        return;
    d->folders_changed = false;
    while (hd_map_next(&d->units, &at, NULL, &value)) {
        const struct unit *u = value;
        if (u->folder != NULL && !hd_strings_has(&folders, hd_str(u->folder)))
            hd_strings_add(&folders, hd_str(u->folder));
    }
    hd_deploy_hot_set(d->hot, &folders);
    hd_strings_done(&folders);
}

static void on_folder(void *arg, const char *folder)
{
    struct hd_deploy *d = arg;
    size_t at = 0;
    void *value;
    struct hd_strings keys = {.n = 0};
    while (hd_map_next(&d->units, &at, NULL, &value)) {
        struct unit *u = value;
        if (u->folder == NULL || strcmp(u->folder, folder) != 0)
            continue;
        u->generation++;
        hd_strings_add(&keys, hd_str(u->key));
    }
    for (size_t i = 0; i < keys.n; i++) {
        const char *key = keys.items[i];
        struct hd_str function = hd_names_function_of_key(key);
        look_at(d, key[function.len] == '\0' ? HD_RECORD_FUNCTION : HD_RECORD_VERSION, key);
        hd_auto_free char *name = hd_strdup_n(function);
        d->opt.on_target(d->opt.arg, name);
    }
    hd_log(d->opt.api->log, HD_INFO, "code changed", hd_kv_str("folder", folder),
           hd_kv_int("versions", (int64_t)keys.n));
    hd_strings_done(&keys);
}

static void on_hot_closed(void *arg)
{
    struct hd_deploy *d = arg;
    d->closed = true;
    if (!hd_deploy_is_busy(d))
        d->opt.on_idle(d->opt.arg);
}

/* --- the catalog --- */

static void on_record(void *arg, enum hd_record kind, const char *key)
{
    struct hd_deploy *d = arg;
    if (key == NULL) {
        watch_folders(d);
        return;
    }
    if (kind == HD_RECORD_FUNCTION || kind == HD_RECORD_VERSION)
        look_at(d, kind, key);
    if (kind == HD_RECORD_FUNCTION)
        share(d, hd_str(key), false);
    else if (kind == HD_RECORD_PROVISIONED || kind == HD_RECORD_ALIAS || kind == HD_RECORD_VERSION)
        share(d, hd_names_function_of_key(key), true);
}

static void look_at_all(struct hd_deploy *d)
{
    const enum hd_record kinds[] = {HD_RECORD_FUNCTION, HD_RECORD_VERSION};
    for (size_t i = 0; i < HD_COUNT(kinds); i++)
        for (const char *key = NULL;
             (key = hd_catalog_next(d->opt.catalog, kinds[i], "", key)) != NULL;)
            look_at(d, kinds[i], key);
    for (const char *key = NULL;
         (key = hd_catalog_next(d->opt.catalog, HD_RECORD_FUNCTION, "", key)) != NULL;)
        share(d, hd_str(key), true);
}

struct hd_deploy *hd_deploy_new(const struct hd_deploy_options *opt)
{
    struct hd_deploy *d = hd_new(struct hd_deploy);
    d->opt = *opt;
    hd_deploy_owners_init(&d->owners, opt->api->limits.account_concurrency);
    hd_map_init(&d->units, 0);
    const struct hd_deploy_hot_options hot = {
        .loop = opt->api->control, .log = opt->api->log, .on_change = on_folder, .arg = d};
    d->hot = hd_deploy_hot_new(&hot);
    look_at_all(d);
    watch_folders(d);
    hd_catalog_listen(opt->catalog, on_record, d);
    return d;
}

void hd_deploy_stop(struct hd_deploy *d)
{
    size_t at = 0;
    void *value;
    d->stopped = true;
    while (hd_map_next(&d->units, &at, NULL, &value))
        hd_deploy_task_stop(((struct unit *)value)->task);
    hd_deploy_hot_close(hd_steal(d->hot), on_hot_closed, d);
}

bool hd_deploy_is_busy(const struct hd_deploy *d)
{
    return d->tasks > 0 || (d->stopped && !d->closed);
}

void hd_deploy_free(struct hd_deploy *d)
{
    if (d == NULL)
        return;
    hd_deploy_hot_free(d->hot);
    size_t at = 0;
    void *value;
    while (hd_map_next(&d->units, &at, NULL, &value))
        unit_free(d, value);
    hd_map_done(&d->units);
    hd_deploy_owners_done(&d->owners);
    free(d);
}

bool hd_deploy_find(const struct hd_deploy *d, const char *key, struct hd_deployed *out)
{
    const struct unit *u = hd_map_get(&d->units, hd_str(key));
    if (u != NULL)
        *out = (struct hd_deployed){u->state, u->target};
    return u != NULL;
}

struct hd_admission *hd_deploy_admission(const struct hd_deploy *d, const char *key)
{
    const struct hd_deploy_owner *o = hd_deploy_owner_find(&d->owners, hd_str(key));
    return o != NULL ? o->admission : NULL;
}
