/* op_layer.c - layers and their versions: published, listed, deleted. */
#include "core/clock.h"
#include "lambda/api/api_private.h"
#include "lambda/api/download.h"
#include "lambda/deploy/layers.h"
#include "lambda/op/op_function.h"
#include "lambda/op/operations.h"
#include "lambda/deploy/runtime_words.h"

enum { PAGE = 50 };

#define GONE "The resource you requested does not exist."
#define VERSIONS "/2018-10-31/layers/{LayerName}/versions"

static const char *const architectures[] = {"x86_64", "arm64", NULL};
static const struct hd_shape content[] = {
    {.name = "S3Bucket", .min = 3, .max = 63, .pattern = "^[0-9A-Za-z\\.\\-_]*(?<!\\.)$"},
    {.name = "S3Key", .min = 1, .max = 1024},
    {.name = "S3ObjectVersion", .min = 1, .max = 1024},
    {.name = "S3ObjectStorageMode", .refused = true},
    {.name = "S3ObjectStorageMode", .refused = true},
    {.name = "ZipFile", .kind = HD_SHAPE_BLOB, .secret = true},
    {0},
};
static const struct hd_shape runtime[] = {{.name = "member", .words = hd_runtime_words}};
static const struct hd_shape architecture[] = {{.name = "member", .words = architectures}};

static const struct hd_shape publish_input[] = {
    HD_SHAPE_LAYER_NAME,
    {.name = "Content", .kind = HD_SHAPE_STRUCT, .required = true, .of = content},
    {.name = "Description", .max = 256},
    {.name = "CompatibleRuntimes", .kind = HD_SHAPE_LIST, .max = 15, .of = runtime},
    {.name = "CompatibleArchitectures", .kind = HD_SHAPE_LIST, .max = 2, .of = architecture},
    {.name = "LicenseInfo", .max = 512},
    {0},
};
#define SHAPE_FILTERS                                                                     \
    {.name = "CompatibleRuntime", .in = HD_SHAPE_QUERY, .words = hd_runtime_words},       \
        {.name = "CompatibleArchitecture", .in = HD_SHAPE_QUERY, .words = architectures}, \
        HD_SHAPE_MARKER, HD_SHAPE_MAX_ITEMS(PAGE)
static const struct hd_shape versions_input[] = {HD_SHAPE_LAYER_NAME, SHAPE_FILTERS, {0}};
static const struct hd_shape layers_input[] = {SHAPE_FILTERS, {0}};
static const struct hd_shape one_input[] = {HD_SHAPE_LAYER_NAME, HD_SHAPE_LAYER_NUMBER, {0}};
static const struct hd_shape arn_input[] = {
    {.name = "Arn",
     .in = HD_SHAPE_QUERY,
     .required = true,
     .min = 1,
     .max = 140,
     .pattern = "arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+"},
    {0},
};

/* --- what is shown --- */

/* An item of a list; what only one version's own answer has comes on top. */
static json_t *shown(const char *arn, const json_t *record)
{
    static const char *const copied[] = {"Description", "CreatedDate", "CompatibleRuntimes",
                                         "CompatibleArchitectures", "LicenseInfo"};
    json_t *out = json_object();
    uint64_t number = 0;
    const char *version = strrchr(arn, ':') + 1;
    hd_str_to_u64(&number, hd_str(version));
    hd_op_set(out, "LayerVersionArn", arn);
    json_object_set_new(out, "Version", json_integer((json_int_t)number));
    for (size_t i = 0; i < HD_COUNT(copied); i++) {
        json_t *v = json_object_get(record, copied[i]);
        if (v != NULL)
            json_object_set(out, copied[i], v);
    }
    return out;
}

static json_t *shown_whole(const struct hd_op *op, const char *arn, const json_t *record)
{
    json_t *out = shown(arn, record);
    size_t layer = (size_t)(strrchr(arn, ':') - arn);
    json_object_set_new(out, "LayerArn", json_stringn(arn, layer));
    json_t *link = hd_download_link(op, json_string_value(json_object_get(record, "Digest")));
    json_object_set_new(out, "Content",
                        json_pack("{s:o, s:O, s:O}", "Location", link, "CodeSha256",
                                  json_object_get(record, "CodeSha256"), "CodeSize",
                                  json_object_get(record, "CodeSize")));
    return out;
}

/* "account/region/name/7" as an ARN, for the caller to free. */
static char *arn_of(const char *key)
{
    struct hd_str account, region, name, rest = hd_str(key);
    hd_str_split(&account, &rest, '/');
    hd_str_split(&region, &rest, '/');
    hd_str_split(&name, &rest, '/');
    return hd_printf("arn:aws:lambda:%.*s:%.*s:layer:%.*s:%.*s", HD_FMT(region), HD_FMT(account),
                     HD_FMT(name), HD_FMT(rest));
}

/* --- publishing --- */

static void store(struct hd_op *op, json_t *code)
{
    struct hd_layer_name name;
    char key[HD_NAMES_KEY_MAX], number[24];
    if (json_object_get(code, "Digest") == NULL) {
        json_decref(code);
        hd_op_fail(op, HD_API_INVALID,
                   "A layer's content must be an archive: a folder cannot be "
                   "one.");
        return;
    }
    hd_layer_name_parse(&name, hd_str(hd_op_text(op, "LayerName")));
    hd_auto_free char *text = hd_strdup_n(name.name);
    hd_catalog_key(key, op->account, op->region, text, '/', NULL);
    json_t *layer = hd_catalog_get(op->catalog, HD_RECORD_LAYER, key);
    json_int_t next = json_integer_value(json_object_get(layer, "NextVersion"));
    next = next > 0 ? next : 1;
    layer = layer != NULL ? layer : json_object();
    json_object_set_new(layer, "NextVersion", json_integer(next + 1));
    struct hd_change *change = hd_change_new(op->catalog);
    hd_change_put(change, HD_RECORD_LAYER, key, layer);
    json_decref(layer);

    static const char *const given[] = {"Description", "CompatibleRuntimes",
                                        "CompatibleArchitectures", "LicenseInfo"};
    json_t *record = json_object();
    hd_op_set(record, "Description", "");
    for (size_t i = 0; i < HD_COUNT(given); i++) {
        if (hd_op_get(op, given[i]) != NULL)
            json_object_set(record, given[i], hd_op_get(op, given[i]));
    }
    json_object_set_new(record, "CreatedDate", hd_op_time(hd_clock_unix_ms()));
    json_object_set(record, "Digest", json_object_get(code, "Digest"));
    json_object_set(record, "CodeSha256", json_object_get(code, "Sha256"));
    json_object_set(record, "CodeSize", json_object_get(code, "Size"));
    json_object_set(record, "UnpackedSize", json_object_get(code, "Unpacked"));
    json_decref(code);
    snprintf(number, sizeof(number), "%lld", (long long)next);
    hd_catalog_key(key, op->account, op->region, text, '/', number);
    hd_change_put(change, HD_RECORD_LAYER_VERSION, key, record);
    hd_auto_free char *arn = arn_of(key);
    json_t *answer = shown_whole(op, arn, record);
    json_decref(record);
    hd_op_commit(op, change, answer);
}

static void publish(struct hd_op *op)
{
    if (hd_layers_name(op, NULL))
        hd_function_code_get(op, hd_op_get(op, "Content"), false, true, store);
}

/* --- one version --- */

static void answer_version(struct hd_op *op, const struct hd_layer_name *name)
{
    char arn[HD_NAMES_KEY_MAX];
    if (name->region.len > 0 && !hd_str_is(name->region, op->region)) {
        hd_op_fail(op, HD_API_NOT_FOUND, GONE);
        return;
    }
    json_t *record = hd_layers_find(op, name, HD_API_NOT_FOUND, GONE, arn, NULL);
    if (record != NULL)
        hd_op_answer(op, shown_whole(op, arn, record));
    json_decref(record);
}

static void get(struct hd_op *op)
{
    struct hd_layer_name name;
    char number[24];
    if (hd_layers_version(op, &name, number))
        answer_version(op, &name);
}

static void get_by_arn(struct hd_op *op)
{
    struct hd_layer_name name;
    if (hd_layer_name_parse(&name, hd_str(hd_op_text(op, "Arn"))) < 0 || name.version.len == 0)
        hd_op_fail(op, HD_API_INVALID, "'%s' is not the ARN of a layer's version.",
                   hd_op_text(op, "Arn"));
    else
        answer_version(op, &name);
}

static void delete_version(struct hd_op *op)
{
    struct hd_layer_name name;
    char number[24], key[HD_NAMES_KEY_MAX];
    if (!hd_layers_version(op, &name, number) || !hd_layers_name(op, &name))
        return;
    hd_auto_free char *text = hd_strdup_n(name.name);
    struct hd_change *change = hd_change_new(op->catalog);
    hd_change_delete(change, HD_RECORD_LAYER_VERSION,
                     hd_catalog_key(key, op->account, op->region, text, '/', number));
    hd_op_commit(op, change, NULL);
}

/* --- lists: the newest version first --- */

static bool has_word(const json_t *list, const char *word)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v)
    {
        if (strcmp(json_string_value(v), word) == 0)
            return true;
    }
    return false;
}

static bool is_wanted(const struct hd_op *op, const json_t *record)
{
    const char *r = hd_op_text(op, "CompatibleRuntime");
    const char *a = hd_op_text(op, "CompatibleArchitecture");
    return (r == NULL || has_word(json_object_get(record, "CompatibleRuntimes"), r)) &&
           (a == NULL || has_word(json_object_get(record, "CompatibleArchitectures"), a));
}

/* @return the keys of all versions under a prefix, oldest first, for the caller to free with
 * free_keys(). */
static char **keys_of(const struct hd_op *op, const char *prefix, size_t *n)
{
    size_t i = 0;
    const char *key = NULL;
    *n = hd_catalog_count(op->catalog, HD_RECORD_LAYER_VERSION, prefix);
    char **keys = hd_new_array(char *, *n + 1);
    while (i < *n &&
           (key = hd_catalog_next(op->catalog, HD_RECORD_LAYER_VERSION, prefix, key)) != NULL)
        keys[i++] = hd_strdup(key);
    *n = i;
    return keys;
}

static void free_keys(char **keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(keys[i]);
    free(keys);
}

static json_t *item(const struct hd_op *op, const char *key)
{
    json_t *record = hd_catalog_get(op->catalog, HD_RECORD_LAYER_VERSION, key), *out = NULL;
    if (is_wanted(op, record)) {
        hd_auto_free char *arn = arn_of(key);
        out = shown(arn, record);
    }
    json_decref(record);
    return out;
}

static void list_versions(struct hd_op *op)
{
    struct hd_layer_name name;
    char prefix[HD_NAMES_KEY_MAX];
    size_t n;
    bool bad;
    if (!hd_layers_name(op, &name))
        return;
    hd_auto_free char *after = hd_op_marker(op, &bad);
    if (bad)
        return;
    snprintf(prefix, sizeof(prefix), "%s/%s/%.*s/", op->account, op->region, HD_FMT(name.name));
    char **keys = keys_of(op, prefix, &n);
    unsigned left = hd_op_max_items(op, PAGE);
    json_t *answer = json_object(), *items = json_array();
    json_object_set_new(answer, "LayerVersions", items);
    const char *last = NULL;
    for (size_t i = n; i-- > 0;) {
        if (after != NULL && hd_names_key_cmp(keys[i], after) >= 0)
            continue;
        json_t *one = item(op, keys[i]);
        if (one == NULL)
            continue;
        if (left-- == 0) {
            json_decref(one);
            hd_op_next_marker(answer, last);
            break;
        }
        json_array_append_new(items, one);
        last = keys[i];
    }
    free_keys(keys, n);
    hd_op_answer(op, answer);
}

static json_t *layer_item(struct hd_op *op, const char *key, json_t *doc)
{
    char prefix[HD_NAMES_KEY_MAX + 1];
    const char *name = strrchr(key, '/') + 1;
    size_t n;
    json_t *latest = NULL, *out = NULL;
    (void)doc;
    snprintf(prefix, sizeof(prefix), "%s/", key);
    char **keys = keys_of(op, prefix, &n);
    for (size_t i = n; latest == NULL && i-- > 0;)
        latest = item(op, keys[i]);
    free_keys(keys, n);
    if (latest != NULL) {
        hd_auto_free char *arn = hd_names_make_arn("layer", op->account, op->region, name, NULL);
        out = json_pack("{s:s, s:s, s:o}", "LayerName", name, "LayerArn", arn,
                        "LatestMatchingVersion", latest);
    }
    return out;
}

static void list_layers(struct hd_op *op)
{
    char place[HD_NAMES_KEY_MAX];
    snprintf(place, sizeof(place), "%s/%s/", op->account, op->region);
    hd_op_list(op, "Layers", HD_RECORD_LAYER, place, PAGE, layer_item);
}

const struct hd_operation hd_operations_layer[] = {
    {"PublishLayerVersion", "POST", VERSIONS, NULL, 201, publish_input, publish},
    {"ListLayerVersions", "GET", VERSIONS, NULL, 200, versions_input, list_versions},
    {"GetLayerVersion", "GET", VERSIONS "/{VersionNumber}", NULL, 200, one_input, get},
    {"DeleteLayerVersion", "DELETE", VERSIONS "/{VersionNumber}", NULL, 204, one_input,
     delete_version},
    {"ListLayers", "GET", "/2018-10-31/layers", NULL, 200, layers_input, list_layers},
    {"GetLayerVersionByArn", "GET", "/2018-10-31/layers", "find=LayerVersion", 200, arn_input,
     get_by_arn},
    {0},
};
