#include "lambda/deploy/deploy_spec.h"

#include "core/base64.h"

#include <openssl/sha.h>
#include <sys/utsname.h>

static const char *text(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}

static uint32_t number(const json_t *object, const char *member)
{
    return (uint32_t)json_integer_value(json_object_get(object, member));
}

/* --- the fingerprint --- */

static const char *const observed[] = {
    "Runtime",       "Handler",       "MemorySize",    "EphemeralStorage",
    "Architectures", "TracingConfig", "LoggingConfig", "ImageConfigResponse",
    "Environment",   "Role",          "PackageType",
};

void hd_deploy_fingerprint(char out[HD_FINGERPRINT_CHARS + 1], const json_t *doc)
{
    static const char *const code_members[] = {"Digest", "ResolvedImageUri", "Directory"};
    const json_t *config = json_object_get(doc, "Config"), *code = json_object_get(doc, "Code");
    json_t *all = json_object(), *layers = json_array(), *layer;
    size_t i;
    for (i = 0; i < HD_COUNT(observed); i++)
        json_object_set(all, observed[i], json_object_get(config, observed[i]));
    json_object_set(all, "SnapStart",
                    json_object_get(json_object_get(config, "SnapStart"), "ApplyOn"));
    for (i = 0; i < HD_COUNT(code_members); i++)
        json_object_set(all, code_members[i], json_object_get(code, code_members[i]));
    json_array_foreach(json_object_get(doc, "Layers"), i, layer)
        json_array_append(layers, json_object_get(layer, "Digest"));
    json_object_set_new(all, "Layers", layers);
    char *canonical = json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(15));
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)canonical, strlen(canonical), digest);
    out[hd_base64_encode(out, HD_BASE64URL, digest, sizeof(digest))] = '\0';
    explicit_bzero(canonical, strlen(canonical));
    free(canonical);
    json_decref(all);
}

size_t hd_deploy_layer_digests(const json_t *doc, const char *out[HD_BUNDLE_LAYERS_MAX])
{
    size_t i, n = 0;
    json_t *layer;
    json_array_foreach(json_object_get(doc, "Layers"), i, layer)
    {
        const char *digest = text(layer, "Digest");
        if (digest != NULL && n < HD_BUNDLE_LAYERS_MAX)
            out[n++] = digest;
    }
    return n;
}

/* --- the launch --- */

const char *hd_deploy_runtime(const json_t *config)
{
    static const struct {
        const char *prefix, *runtime;
    } families[] = {{"nodejs", "node"}, {"python", "python"}, {"provided", "provided"},
                    {"java", "java"},   {"dotnet", "dotnet"}, {"ruby", "ruby"},
                    {"go", "go"}};
    const char *id = text(config, "Runtime");
    for (size_t i = 0; id != NULL && i < HD_COUNT(families); i++)
        if (hd_str_starts(hd_str(id), hd_str(families[i].prefix)))
            return families[i].runtime;
    return id;
}

const char *hd_deploy_own_architecture(void)
{
    struct utsname name;
    return uname(&name) == 0 && strcmp(name.machine, "aarch64") == 0 ? "arm64" : "x86_64";
}

static const char **texts_of(const json_t *list)
{
    size_t n = json_array_size(list);
    if (list == NULL)
        return NULL;
    const char **out = hd_new_array(const char *, n + 1);
    for (size_t i = 0; i < n; i++)
        out[i] = json_string_value(json_array_get(list, i));
    return out;
}

static const char **env_of(const json_t *variables)
{
    const char **out = hd_new_array(const char *, json_object_size(variables) + 1), *key;
    size_t n = 0;
    json_t *value;
    json_object_foreach((json_t *)variables, key, value) out[n++] =
        hd_printf("%s=%s", key, json_string_value(value));
    return out;
}

static const char *keep(struct hd_deploy_spec *s, char *made)
{
    return s->texts[s->n_texts++] = made;
}

static void fill_lambda(struct hd_deploy_spec *s, const json_t *doc,
                        const struct hd_deploy_place *at, const struct hd_api_options *opt)
{
    const json_t *config = json_object_get(doc, "Config"), *code = json_object_get(doc, "Code");
    const json_t *image =
        json_object_get(json_object_get(config, "ImageConfigResponse"), "ImageConfig");
    const json_t *logging = json_object_get(config, "LoggingConfig");
    const char *architecture =
        json_string_value(json_array_get(json_object_get(config, "Architectures"), 0));
    s->entry_point = texts_of(json_object_get(image, "EntryPoint"));
    s->command = texts_of(json_object_get(image, "Command"));
    s->lambda = (struct hd_launch_lambda){
        .runtime_id = text(config, "Runtime"),
        .code_dir = at->code_dir,
        .opt_dir = at->opt_dir,
        .image = text(code, "ResolvedImageUri"),
        .image_entry_point = s->entry_point,
        .image_command = s->command,
        .image_workdir = text(image, "WorkingDirectory"),
        .architecture = architecture != NULL ? architecture : "x86_64",
        .account = at->account,
        .region = at->region,
        .role = text(config, "Role"),
        .arn = keep(
            s, hd_printf("arn:aws:lambda:%s:%s:function:%s", at->region, at->account, at->name)),
        .name = at->name,
        .qualifier = at->version,
        .log_group = text(logging, "LogGroup"),
        .log_level = text(logging, "ApplicationLogLevel"),
        .ephemeral_mb = number(json_object_get(config, "EphemeralStorage"), "Size"),
        .init_timeout_ms = opt->init_timeout_ms,
        .log_json = hd_str_is(hd_str(text(logging, "LogFormat")), "JSON"),
        .tracing =
            hd_str_is(hd_str(text(json_object_get(config, "TracingConfig"), "Mode")), "Active"),
    };
}

enum {
    STOP_MS = 2000,        /* an instance that ends with nothing to do */
    DRAIN_EXTRA_MS = 5000, /* beside the longest invocation that one may have left */
    MAX_STARTING_MIN = 2,
};

static struct hd_pool_limits limits_of(const struct hd_deploy_place *at, uint32_t timeout_ms,
                                       const struct hd_api_options *opt)
{
    uint32_t most = opt->limits.account_concurrency;
    if (at->reserved > 0 && at->reserved < (int64_t)most)
        most = (uint32_t)at->reserved;
    bool freeze =
        at->freeze == HD_TAGS_FREEZE_UNSAID ? opt->freeze : at->freeze == HD_TAGS_FREEZE_ON;
    return (struct hd_pool_limits){
        .concurrency = 1,
        .freeze_ms = freeze ? opt->freeze_after_ms : 0,
        .max = HD_MAX(HD_MAX(most, at->provisioned), 1U),
        .idle_ms = opt->idle_ms,
        .queue_max = HD_MAX(opt->limits.account_concurrency, 1U),
        .wait_ms = opt->queue_wait_ms,
        .start_timeout_ms = opt->init_timeout_ms,
        .drain_ms = timeout_ms + DRAIN_EXTRA_MS,
        .stop_ms = STOP_MS,
        .max_starting = HD_MAX(uv_available_parallelism(), (unsigned)MAX_STARTING_MIN),
        .provisioned = at->provisioned,
    };
}

void hd_deploy_spec_init(struct hd_deploy_spec *s, const json_t *doc,
                         const struct hd_deploy_place *at, const struct hd_api_options *opt)
{
    const json_t *config = json_object_get(doc, "Config");
    const char *runtime = hd_deploy_runtime(config);
    *s = (struct hd_deploy_spec){.n_texts = 0};
    fill_lambda(s, doc, at, opt);
    s->env = env_of(json_object_get(json_object_get(config, "Environment"), "Variables"));
    uint32_t timeout_ms = number(config, "Timeout") * 1000;
    s->pool = (struct hd_pool_spec){
        .key = at->key,
        .launch = {.function = at->name,
                   .version = at->instance_version,
                   .runtime = runtime != NULL ? runtime : "image",
                   .root = opt->functions_root,
                   .dir = at->code_dir,
                   .handler = text(config, "Handler"),
                   .env = s->env,
                   .memory_mb = number(config, "MemorySize"),
                   .timeout_ms = timeout_ms,
                   .dev = opt->dev,
                   .lambda = &s->lambda},
        .limits = limits_of(at, timeout_ms, opt),
        .backend = opt->backend_for == NULL
                       ? NULL
                       : opt->backend_for(opt->arg, s->lambda.runtime_id, s->lambda.architecture),
        .at_once = true,
    };
}

void hd_deploy_spec_done(struct hd_deploy_spec *s)
{
    for (size_t i = 0; s->env != NULL && s->env[i] != NULL; i++) {
        explicit_bzero((char *)s->env[i], strlen(s->env[i]));
        free((char *)s->env[i]);
    }
    for (size_t i = 0; i < s->n_texts; i++)
        free(s->texts[i]);
    free(s->env);
    free(s->entry_point);
    free(s->command);
    *s = (struct hd_deploy_spec){.n_texts = 0};
}
