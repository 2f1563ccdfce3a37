/* The API's beginning and end. */
#include "lambda/api/api_private.h"

enum { GC_GRACE_S = 3600 };

#define DOWNLOAD_KEY "download-key"

static int take_meta(void *arg, struct hd_str key, struct hd_str json)
{
    struct hd_api *api = arg;
    if (!hd_str_is(key, DOWNLOAD_KEY))
        return 0;
    json_t *doc = json_loadb(json.ptr, json.len, 0, NULL);
    api->has_download_key = hd_unhex(api->download_key, sizeof(api->download_key),
                                     hd_str(json_string_value(json_object_get(doc, "Key")))) == 0;
    json_decref(doc);
    return 0;
}

/* The key stays over restarts, so that links do. */
static int download_key(struct hd_api *api, struct hd_error *err)
{
    char hex[2 * sizeof(api->download_key) + 1], json[sizeof(hex) + 16];
    int rc = hd_store_each(api->opt.store, HD_RECORD_META, take_meta, api, err);
    if (rc < 0 || api->has_download_key)
        return rc;
    hd_random(api->download_key, sizeof(api->download_key));
    hd_hex(hex, api->download_key, sizeof(api->download_key));
    int n = snprintf(json, sizeof(json), "{\"Key\":\"%s\"}", hex);
    struct hd_store_tx *tx = hd_store_begin(api->opt.store);
    hd_store_put(tx, HD_RECORD_META, hd_str(DOWNLOAD_KEY), hd_str_n(json, (size_t)n));
    hd_store_commit(tx, api->opt.control, NULL, NULL);
    explicit_bzero(hex, sizeof(hex));
    explicit_bzero(json, sizeof(json));
    return 0;
}

static void default_u64(uint64_t *value, uint64_t fallback)
{
    if (*value == 0)
        *value = fallback;
}

static void default_u32(uint32_t *value, uint32_t fallback)
{
    if (*value == 0)
        *value = fallback;
}

static void copy_options(struct hd_api *api, const struct hd_api_options *opt)
{
    struct hd_api_options *o = &api->opt;
    struct hd_api_limits *l = &o->limits;
    *o = *opt;
    o->account = hd_strdup(opt->account != NULL ? opt->account : "000000000000");
    o->region = hd_strdup(opt->region != NULL ? opt->region : "us-east-1");
    o->functions_root = hd_strdup(opt->functions_root);
    o->s3_endpoint = hd_strdup(opt->s3_endpoint);
    o->s3_key = hd_strdup(opt->s3_key);
    o->s3_secret = hd_strdup(opt->s3_secret);
    o->url_domain = hd_strdup(opt->url_domain != NULL ? opt->url_domain : "localhost");
    o->url_scheme = hd_strdup(opt->url_scheme != NULL ? opt->url_scheme : "http");
    default_u32(&o->idle_ms, 300000);
    default_u32(&o->freeze_after_ms, 1000);
    default_u32(&o->init_timeout_ms, 10000);
    default_u32(&o->queue_wait_ms, 10000);
    default_u64(&l->zip_bytes, 52428800);
    default_u64(&l->unpacked_bytes, 262144000);
    default_u64(&l->code_storage_bytes, 80530636800);
    default_u32(&l->env_bytes, 4096);
    default_u32(&l->layers, 5);
    default_u32(&l->tags, 50);
    default_u32(&l->policy_bytes, 20480);
    default_u32(&l->timeout_s, 900);
    default_u32(&l->memory_mb, 10240);
    default_u32(&l->ephemeral_mb, 10240);
    default_u32(&l->account_concurrency, 1000);
    default_u32(&l->unreserved_min, 100);
}

static void on_idle(void *arg)
{
    hd_api_settle(arg);
}

static void on_record(void *arg, enum hd_record kind, const char *key)
{
    (void)kind;
    if (key == NULL)
        hd_api_settle(arg);
}

static void on_target(void *arg, const char *key)
{
    hd_publisher_touch(((struct hd_api *)arg)->publisher, key);
}

static void begin(struct hd_api *api)
{
    const struct hd_deploy_options deploy = {.api = &api->opt,
                                             .catalog = api->catalog,
                                             .on_idle = on_idle,
                                             .on_target = on_target,
                                             .arg = api};
    api->deploy = hd_deploy_new(&deploy);
    const struct hd_publisher_options publisher = {.catalog = api->catalog,
                                                   .deploy = api->deploy,
                                                   .log = api->opt.log,
                                                   .on_view = api->opt.on_view,
                                                   .arg = api->opt.arg};
    api->publisher = hd_publisher_new(&publisher);
    api->esm = hd_esm_new(api->catalog, api->opt.log);
    hd_catalog_listen(api->catalog, on_record, api);
    const struct hd_api_gc_options gc = {.loop = api->opt.control,
                                         .catalog = api->catalog,
                                         .bundles = api->opt.bundles,
                                         .log = api->opt.log,
                                         .grace_s = GC_GRACE_S};
    if (api->opt.bundles != NULL)
        api->gc = hd_api_gc_new(&gc);
}

static size_t count_operations(void)
{
    size_t n = 0;
    while (hd_api_next_operation(&n) != NULL)
        continue;
    return n;
}

void hd_api_each_count(const struct hd_api *api,
                       void (*each)(void *arg, const struct hd_api_count *count), void *arg)
{
    const struct hd_operation *o;
    for (size_t at = 0; (o = hd_api_next_operation(&at)) != NULL;) {
        const struct hd_api_tally *t = &api->tallies[at - 1];
        const struct hd_api_count count = {
            .operation = o->name,
            .answered = atomic_load_explicit(&t->answered, memory_order_relaxed),
            .refused = atomic_load_explicit(&t->refused, memory_order_relaxed),
            .failed = atomic_load_explicit(&t->failed, memory_order_relaxed)};
        if (count.answered + count.refused + count.failed > 0)
            each(arg, &count);
    }
}

int hd_api_new(struct hd_api **out, const struct hd_api_options *opt, struct hd_error *err)
{
    struct hd_api *api = hd_new(struct hd_api);
    copy_options(api, opt);
    api->patterns = hd_patterns_new();
    api->tallies = hd_new_array(struct hd_api_tally, count_operations());
    int rc = hd_catalog_new(&api->catalog, opt->store, opt->control, err);
    if (rc == 0)
        rc = download_key(api, err);
    if (rc < 0) {
        hd_api_free(api);
        return rc;
    }
    begin(api);
    *out = api;
    return 0;
}

void hd_api_settle(struct hd_api *api)
{
    if (api->closed == NULL || api->active > 0 || !api->esm_closed ||
        hd_deploy_is_busy(api->deploy) || hd_catalog_is_busy(api->catalog) ||
        (api->gc != NULL && hd_api_gc_is_busy(api->gc)))
        return;
    hd_loop_post(api->opt.control, hd_steal(api->closed), api->closed_arg);
}

static void on_esm_closed(void *arg)
{
    struct hd_api *api = arg;
    api->esm_closed = true;
    hd_api_settle(api);
}

struct hd_esm *hd_api_esm(struct hd_api *api)
{
    return api->esm;
}

void hd_api_close(struct hd_api *api, void (*done)(void *arg), void *arg)
{
    api->closing = true;
    api->closed = done;
    api->closed_arg = arg;
    hd_deploy_stop(api->deploy);
    if (api->gc != NULL)
        hd_api_gc_stop(api->gc, on_idle, api);
    hd_esm_close(api->esm, on_esm_closed, api);
}

void hd_api_free(struct hd_api *api)
{
    if (api == NULL)
        return;
    hd_api_gc_free(api->gc);
    hd_esm_free(api->esm);
    hd_publisher_free(api->publisher);
    hd_deploy_free(api->deploy);
    hd_catalog_free(api->catalog);
    hd_patterns_free(api->patterns);
    free(api->tallies);
    const char *const texts[] = {api->opt.account,     api->opt.region,    api->opt.functions_root,
                                 api->opt.s3_endpoint, api->opt.s3_key,    api->opt.s3_secret,
                                 api->opt.url_domain,  api->opt.url_scheme};
    for (size_t i = 0; i < HD_COUNT(texts); i++)
        free((char *)texts[i]);
    explicit_bzero(api->download_key, sizeof(api->download_key));
    free(api);
}
