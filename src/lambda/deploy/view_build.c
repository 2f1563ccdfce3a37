#include "lambda/deploy/view_build.h"

#include "functions/strings.h"
#include "lambda/names.h"
#include "lambda/policy.h"
#include "lambda/tags.h"
#include "lambda/deploy/view_table.h"

struct hd_publisher {
    struct hd_publisher_options opt;
    struct hd_view *view;
    struct hd_strings changed; /* keys of functions */
};

/* One function being made. */
struct build {
    const struct hd_publisher *p;
    struct hd_view_entry *e;
    struct hd_str key;
};

/* --- pieces; an entry's arena never reaches its ceiling --- */

static const char *keep(struct build *b, const char *text)
{
    return text != NULL ? hd_arena_str(&b->e->arena, hd_str(text)).ptr : NULL;
}

static void *room(struct build *b, size_t n, size_t bytes)
{
    return hd_arena_alloc(&b->e->arena, (n + 1) * bytes);
}

static const char *text(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}

static const char *const *list(struct build *b, const json_t *array)
{
    size_t i;
    json_t *item;
    if (json_array_size(array) == 0)
        return NULL;
    const char **out = room(b, json_array_size(array), sizeof(*out));
    json_array_foreach(array, i, item) out[i] = keep(b, json_string_value(item));
    return out;
}

/* Walk over the records that hang on the function. @return the part of the key behind @p sep; NULL:
 * the end; *key starts as NULL. */
static const char *next(struct build *b, enum hd_record kind, char sep, const char **key)
{
    char prefix[HD_NAMES_KEY_MAX];
    snprintf(prefix, sizeof(prefix), "%.*s%c", HD_FMT(b->key), sep);
    *key = hd_catalog_next(b->p->opt.catalog, kind, prefix, *key);
    return *key != NULL ? *key + strlen(prefix) : NULL;
}

static size_t count(struct build *b, enum hd_record kind, char sep)
{
    size_t n = 0;
    for (const char *key = NULL; next(b, kind, sep, &key) != NULL;)
        n++;
    return n;
}

/* --- versions and aliases --- */

static void version(struct build *b, const char *key, const char *number,
                    struct hd_view_version *out)
{
    struct hd_deployed at = {.state = HD_LAMBDA_PENDING};
    hd_deploy_find(b->p->opt.deploy, key, &at);
    *out = (struct hd_view_version){.number = keep(b, number),
                                    .state = at.state,
                                    .target = at.target != NULL ? hd_target_ref(at.target) : NULL};
}

static void versions(struct build *b)
{
    struct hd_lambda_fn *fn = &b->e->fn;
    size_t n = count(b, HD_RECORD_VERSION, '/');
    struct hd_view_version *all = room(b, n + 1, sizeof(*all));
    const char *number;
    version(b, b->e->key, "$LATEST", &all[fn->n_versions++]);
    for (const char *key = NULL; (number = next(b, HD_RECORD_VERSION, '/', &key)) != NULL;)
        version(b, key, number, &all[fn->n_versions++]);
    fn->versions = all;
}

static void alias(struct build *b, const char *name, const json_t *doc, struct hd_view_alias *out)
{
    json_t *weights =
        json_object_get(json_object_get(doc, "RoutingConfig"), "AdditionalVersionWeights");
    const char *number, *main = text(doc, "FunctionVersion");
    json_t *weight;
    out->name = keep(b, name);
    out->main = hd_view_resolve(&b->e->fn, hd_str(main), 0);
    json_object_foreach(weights, number, weight)
    {
        out->other = hd_view_resolve(&b->e->fn, hd_str(number), 0);
        out->weight = json_number_value(weight);
    }
}

static void aliases(struct build *b)
{
    struct hd_lambda_fn *fn = &b->e->fn;
    struct hd_view_alias *all = room(b, count(b, HD_RECORD_ALIAS, '/'), sizeof(*all));
    const char *name;
    for (const char *key = NULL; (name = next(b, HD_RECORD_ALIAS, '/', &key)) != NULL;) {
        json_t *doc = hd_catalog_get(b->p->opt.catalog, HD_RECORD_ALIAS, key);
        alias(b, name, doc, &all[fn->n_aliases]);
        fn->n_aliases += all[fn->n_aliases].main != NULL;
        json_decref(doc);
    }
    fn->aliases = all;
}

/* --- what else the doors ask for --- */

static int32_t number_or(const json_t *doc, const char *member, int32_t fallback)
{
    json_t *n = json_object_get(doc, member);
    return n != NULL ? (int32_t)json_integer_value(n) : fallback;
}

static void event_configs(struct build *b)
{
    struct hd_lambda_fn *fn = &b->e->fn;
    struct hd_view_event_config *all = room(b, count(b, HD_RECORD_EVENT_CONFIG, ':'), sizeof(*all));
    const char *qualifier;
    for (const char *key = NULL;
         (qualifier = next(b, HD_RECORD_EVENT_CONFIG, ':', &key)) != NULL;) {
        json_t *doc = hd_catalog_get(b->p->opt.catalog, HD_RECORD_EVENT_CONFIG, key);
        const json_t *to = json_object_get(doc, "DestinationConfig");
        all[fn->n_event_configs++] = (struct hd_view_event_config){
            .qualifier = keep(b, qualifier),
            .max_retries = number_or(doc, "MaximumRetryAttempts", -1),
            .max_age_s = number_or(doc, "MaximumEventAgeInSeconds", -1),
            .on_success = keep(b, text(json_object_get(to, "OnSuccess"), "Destination")),
            .on_failure = keep(b, text(json_object_get(to, "OnFailure"), "Destination"))};
        json_decref(doc);
    }
    fn->event_configs = all;
}

static void url(struct build *b, const char *key, const char *qualifier, struct hd_view_url *out)
{
    json_t *doc = hd_catalog_get(b->p->opt.catalog, HD_RECORD_FUNCTION_URL, key);
    const json_t *cors = json_object_get(doc, "Cors");
    *out = (struct hd_view_url){
        .id = keep(b, text(doc, "Id")),
        .fn = &b->e->fn,
        .qualifier = keep(b, qualifier),
        .iam = hd_str_is(hd_str(text(doc, "AuthType")), "AWS_IAM"),
        .stream = hd_str_is(hd_str(text(doc, "InvokeMode")), "RESPONSE_STREAM"),
        .cors = {.given = json_object_size(cors) > 0,
                 .credentials = json_is_true(json_object_get(cors, "AllowCredentials")),
                 .origins = list(b, json_object_get(cors, "AllowOrigins")),
                 .methods = list(b, json_object_get(cors, "AllowMethods")),
                 .headers = list(b, json_object_get(cors, "AllowHeaders")),
                 .expose = list(b, json_object_get(cors, "ExposeHeaders")),
                 .max_age_s = (uint32_t)number_or(cors, "MaxAge", 0)},
    };
    json_decref(doc);
}

static void urls(struct build *b)
{
    struct hd_view_url *all = room(b, count(b, HD_RECORD_FUNCTION_URL, ':') + 1, sizeof(*all));
    const char *qualifier;
    if (hd_catalog_has(b->p->opt.catalog, HD_RECORD_FUNCTION_URL, b->e->key))
        url(b, b->e->key, NULL, &all[b->e->n_urls++]);
    for (const char *key = NULL; (qualifier = next(b, HD_RECORD_FUNCTION_URL, ':', &key)) != NULL;)
        url(b, key, qualifier, &all[b->e->n_urls++]);
    b->e->urls = all;
}

static void policy(struct build *b, struct hd_policies **all, const char *key)
{
    struct hd_error err;
    json_t *doc = hd_catalog_get(b->p->opt.catalog, HD_RECORD_POLICY, key);
    if (*all == NULL)
        *all = hd_policies_new();
    int rc = hd_policies_add(*all, hd_str(text(doc, "Policy")), &err);
    json_decref(doc);
    if (rc < 0)
        hd_log(b->p->opt.log, HD_ERROR, "a stored policy is damaged: it allows nothing",
               hd_kv_str("function", key), hd_kv_str("error", err.msg));
}

static void policies(struct build *b)
{
    struct hd_policies *all = NULL;
    if (hd_catalog_has(b->p->opt.catalog, HD_RECORD_POLICY, b->e->key))
        policy(b, &all, b->e->key);
    for (const char *key = NULL; next(b, HD_RECORD_POLICY, ':', &key) != NULL;)
        policy(b, &all, key);
    b->e->fn.policies = all;
}

/* --- a function --- */

static struct hd_view_entry *build(const struct hd_publisher *p, const char *key)
{
    json_t *doc = hd_catalog_get(p->opt.catalog, HD_RECORD_FUNCTION, key);
    if (doc == NULL)
        return NULL;
    struct build b = {.p = p, .e = hd_view_entry_new(), .key = hd_str(key)};
    struct hd_lambda_fn *fn = &b.e->fn;
    const json_t *config = json_object_get(doc, "Config");
    struct hd_admission *admission = hd_deploy_admission(p->opt.deploy, key);
    hd_auto_free char *parts = hd_strdup(key);
    char *rest = parts;
    b.e->key = keep(&b, key);
    fn->account = keep(&b, strsep(&rest, "/"));
    fn->region = keep(&b, strsep(&rest, "/"));
    fn->name = keep(&b, rest);
    hd_auto_free char *arn = hd_names_make_arn("function", fn->account, fn->region, fn->name, NULL);
    fn->arn = keep(&b, arn);
    fn->dead_letter_arn = keep(&b, text(json_object_get(config, "DeadLetterConfig"), "TargetArn"));
    fn->recursion_allowed = hd_str_is(hd_str(text(doc, "RecursiveLoop")), "Allow");
    fn->edge = hd_tags_edge(json_object_get(doc, "Tags"));
    fn->admission = admission != NULL ? hd_admission_ref(admission) : NULL;
    json_decref(doc);
    versions(&b);
    aliases(&b);
    event_configs(&b);
    urls(&b);
    policies(&b);
    return b.e;
}

/* --- publishing --- */

static void show(struct hd_publisher *p, struct hd_view *view, const char *key)
{
    struct hd_view_entry *e = build(p, key);
    if (e == NULL)
        hd_view_remove(view, key);
    else
        hd_view_put(view, e);
    hd_view_entry_unref(e);
}

static void publish(struct hd_publisher *p, struct hd_view *view)
{
    hd_view_unref(p->view);
    p->view = view;
    if (p->opt.on_view != NULL)
        p->opt.on_view(p->opt.arg, hd_view_ref(view));
}

static void show_changed(struct hd_publisher *p)
{
    if (p->changed.n == 0)
        return;
    struct hd_view *view = hd_view_copy(p->view);
    for (size_t i = 0; i < p->changed.n; i++)
        show(p, view, p->changed.items[i]);
    hd_strings_done(&p->changed);
    publish(p, view);
}

static bool concerns(enum hd_record kind)
{
    return kind == HD_RECORD_FUNCTION || kind == HD_RECORD_VERSION || kind == HD_RECORD_ALIAS ||
           kind == HD_RECORD_POLICY || kind == HD_RECORD_EVENT_CONFIG ||
           kind == HD_RECORD_FUNCTION_URL || kind == HD_RECORD_PROVISIONED;
}

static void on_record(void *arg, enum hd_record kind, const char *key)
{
    struct hd_publisher *p = arg;
    if (key == NULL) {
        show_changed(p);
        return;
    }
    struct hd_str function = hd_names_function_of_key(key);
    if (concerns(kind) && !hd_strings_has(&p->changed, function))
        hd_strings_add(&p->changed, function);
}

struct hd_publisher *hd_publisher_new(const struct hd_publisher_options *opt)
{
    struct hd_publisher *p = hd_new(struct hd_publisher);
    p->opt = *opt;
    struct hd_view *view = hd_view_new();
    for (const char *key = NULL;
         (key = hd_catalog_next(opt->catalog, HD_RECORD_FUNCTION, "", key)) != NULL;)
        show(p, view, key);
    publish(p, view);
    hd_catalog_listen(opt->catalog, on_record, p);
    return p;
}

void hd_publisher_free(struct hd_publisher *p)
{
    if (p == NULL)
        return;
    hd_view_unref(p->view);
    hd_strings_done(&p->changed);
    free(p);
}

struct hd_view *hd_publisher_view(const struct hd_publisher *p)
{
    return p->view;
}

void hd_publisher_touch(struct hd_publisher *p, const char *key)
{
    hd_strings_add(&p->changed, hd_str(key));
    show_changed(p);
}
