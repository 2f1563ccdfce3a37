/* Where a function's code comes from: the request itself, an S3-compatible store, a folder of this
 * machine, or a container image. */
#include "auth/sigv4.h"
#include "core/base64.h"
#include "core/clock.h"
#include "core/work.h"
#include "functions/bundle.h"
#include "http/fetch.h"
#include "lambda/api/api_private.h"
#include "lambda/deploy/deploy_spec.h"
#include "lambda/op/op_function.h"

#include <openssl/sha.h>
#include <sys/stat.h>

#define HOT_RELOAD "hot-reload"

enum { S3_TIMEOUT_MS = 60000, INLINE_ZIP_CHARS = 65536 };

/* One source being read. */
struct getting {
    struct hd_op *op;
    hd_function_code_fn *done;
    bool store;
    struct hd_str text; /* base64, in the input */
    struct hd_buf zip;
    char *folder;
    struct hd_error err;
};

static struct getting *getting_new(struct hd_op *op, bool store, hd_function_code_fn *done)
{
    struct getting *g = hd_new(struct getting);
    g->op = op;
    g->done = done;
    g->store = store;
    hd_buf_init(&g->zip, op->api->opt.limits.unpacked_bytes);
    return g;
}

static void getting_free(struct getting *g)
{
    hd_buf_done(&g->zip);
    free(g->folder);
    free(g);
}

static void end(struct getting *g, json_t *code)
{
    hd_function_code_fn *done = g->done;
    struct hd_op *op = g->op;
    getting_free(g);
    if (code != NULL)
        done(op, code);
}

/* --- an archive, wherever it comes from --- */

static void fail_bundle(struct hd_op *op, const struct hd_bundle_result *result)
{
    const char *text = hd_bundle_problem_text(result->problem);
    enum hd_api_error e = HD_API_INVALID;
    if (result->problem == HD_BUNDLE_ZIP_TOO_BIG)
        e = HD_API_ENTITY_TOO_LARGE;
    else if (result->problem == HD_BUNDLE_FAILED || result->problem == HD_BUNDLE_NOT_THERE)
        e = HD_API_SERVICE;
    hd_log(op->api->opt.log, e == HD_API_SERVICE ? HD_ERROR : HD_INFO, "code was not taken",
           hd_kv_str("operation", op->operation->name), hd_kv_str("function", op->function),
           hd_kv_str("error", result->err.msg));
    hd_op_fail(op, e, "%s", text);
}

static void on_bundle(void *arg, const struct hd_bundle_result *result)
{
    struct getting *g = arg;
    if (result->problem != HD_BUNDLE_OK) {
        fail_bundle(g->op, result);
        end(g, NULL);
        return;
    }
    end(g, json_pack("{s:s, s:s, s:I, s:I}", "Digest", result->digest, "Sha256",
                     result->code_sha256, "Size", (json_int_t)result->zip_bytes, "Unpacked",
                     (json_int_t)result->unpacked_bytes));
}

static void take_zip(struct getting *g)
{
    struct hd_bundles *bundles = g->op->api->opt.bundles;
    if (g->store)
        hd_bundles_put(bundles, &g->zip, on_bundle, g);
    else
        hd_bundles_check(bundles, &g->zip, on_bundle, g);
}

/* --- ZipFile --- */

static void decode(void *arg)
{
    struct getting *g = arg;
    size_t used = 0;
    char *room = hd_buf_reserve(&g->zip, hd_base64_bytes(g->text.len));
    if (room == NULL)
        hd_fail(&g->err, HD_EBUSY, "too big");
    else if (hd_base64_decode(room, &used, HD_BASE64, g->text) < 0)
        hd_fail(&g->err, HD_EINVAL, "ZipFile is not base64: wrong at character %zu", used);
    else
        hd_buf_commit(&g->zip, used);
}

static void decoded(void *arg)
{
    struct getting *g = arg;
    uint64_t most = g->op->api->opt.limits.zip_bytes;
    if (g->err.code == HD_EINVAL) {
        hd_op_fail(g->op, HD_API_SERIALIZATION, "%s", g->err.msg);
    } else if (g->err.code != 0 || g->zip.len > most) {
        hd_op_fail(g->op, HD_API_ENTITY_TOO_LARGE, "Zipped size must be smaller than %llu bytes",
                   (unsigned long long)most);
    } else if (g->zip.len == 0) {
        hd_op_fail(g->op, HD_API_INVALID, "Uploaded file must be a non-empty zip");
    } else {
        take_zip(g);
        return;
    }
    end(g, NULL);
}

static void from_request(struct getting *g, const json_t *zip)
{
    g->text = hd_str_n(json_string_value(zip), json_string_length(zip));
    if (g->text.len > INLINE_ZIP_CHARS &&
        hd_work(g->op->api->opt.control, decode, decoded, g, NULL) == 0)
        return;
    decode(g);
    decoded(g);
}

/* --- S3 --- */

/* @return the text of an element of S3's error document. */
static struct hd_str element(struct hd_str xml, const char *name)
{
    hd_auto_free char *open = hd_printf("<%s>", name);
    const char *from = xml.len > 0 ? memmem(xml.ptr, xml.len, open, strlen(open)) : NULL;
    if (from == NULL)
        return hd_str_n(NULL, 0);
    from += strlen(open);
    const char *to = memchr(from, '<', (size_t)(xml.ptr + xml.len - from));
    return hd_str_n(from, to != NULL ? (size_t)(to - from) : 0);
}

static void on_fetched(void *arg, const struct hd_fetch_result *result, const struct hd_error *err)
{
    struct getting *g = arg;
    if (err != NULL) {
        hd_op_fail(g->op, HD_API_INVALID,
                   "Error occurred while GetObject. S3 could not be asked: %s", err->msg);
    } else if (result->status != 200) {
        struct hd_str code = element(result->body, "Code"),
                      message = element(result->body, "Message");
        hd_op_fail(g->op, HD_API_INVALID,
                   "Error occurred while GetObject. S3 Error Code: %.*s. S3 Error Message: %.*s",
                   HD_FMT(code.len > 0 ? code : hd_str("Unknown")),
                   HD_FMT(message.len > 0 ? message : hd_str("no message")));
    } else {
        hd_buf_str(&g->zip, result->body);
        take_zip(g);
        return;
    }
    end(g, NULL);
}

static void encode(struct hd_buf *out, const char *text, bool keep_slash)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     strchr("-._~", c) != NULL || (c == '/' && keep_slash);
        if (plain)
            hd_buf_char(out, (char)c);
        else
            hd_buf_fmt(out, "%%%02X", c);
    }
}

static struct hd_str after_scheme(const char *url)
{
    const char *at = strstr(url, "://");
    return hd_str(at != NULL ? at + 3 : url);
}

/* Sign the request if there are keys. @return the number of fields. */
static size_t sign(const struct hd_api_options *opt, const char *region, struct hd_str path,
                   struct hd_str query, struct hd_sigv4_signed *sig, struct hd_field fields[3])
{
    unsigned char hash[HD_SHA256_BYTES];
    struct hd_str host = after_scheme(opt->s3_endpoint);
    host.len = hd_str_find(host, '/');
    if (opt->s3_key == NULL || opt->s3_secret == NULL)
        return 0;
    hd_sigv4_hash(hash, hd_str_n(NULL, 0));
    const struct hd_sigv4_request request = {.method = hd_str("GET"),
                                             .path = path,
                                             .query = query,
                                             .authority = host,
                                             .body_sha256 = hash};
    const struct hd_sigv4_key key = {.id = hd_str(opt->s3_key), .secret = hd_str(opt->s3_secret)};
    const struct hd_sigv4_scope scope = {.region = hd_str(region),
                                         .service = hd_str("s3"),
                                         .now_unix_s = hd_clock_unix_s(),
                                         .plain_path = true};
    if (hd_sigv4_sign(sig, &request, &key, &scope, NULL) < 0)
        return 0;
    fields[0] = (struct hd_field){hd_str("X-Amz-Date"), hd_str(sig->time)};
    fields[1] = (struct hd_field){hd_str("X-Amz-Content-Sha256"), hd_str(sig->body_hex)};
    fields[2] = (struct hd_field){hd_str("Authorization"), hd_buf_view(&sig->authorization)};
    return 3;
}

static void fetch(struct getting *g, struct hd_str path, struct hd_str query)
{
    const struct hd_api_options *opt = &g->op->api->opt;
    struct hd_sigv4_signed sig = {0};
    struct hd_field fields[3];
    struct hd_fetch *handle;
    struct hd_error err;
    size_t base = strlen(opt->s3_endpoint);
    while (base > 0 && opt->s3_endpoint[base - 1] == '/')
        base--;
    hd_auto_free char *url = hd_printf("%.*s%.*s%s%.*s", (int)base, opt->s3_endpoint, HD_FMT(path),
                                       query.len > 0 ? "?" : "", HD_FMT(query));
    const struct hd_fetch_request request = {
        .url = url,
        .fields = fields,
        .n_fields = sign(opt, g->op->region, path, query, &sig, fields),
        .timeout_ms = S3_TIMEOUT_MS,
        .max_body_bytes = opt->limits.unpacked_bytes};
    int rc = hd_fetch_start(&handle, opt->fetcher, &request, on_fetched, g, &err);
    hd_sigv4_signed_done(&sig);
    if (rc == 0)
        return;
    hd_op_fail(g->op, HD_API_INVALID, "Error occurred while GetObject. S3 could not be asked: %s",
               err.msg);
    end(g, NULL);
}

static void from_s3(struct getting *g, const char *bucket, const char *key, const char *version)
{
    struct hd_buf path, query;
    if (g->op->api->opt.s3_endpoint == NULL || g->op->api->opt.fetcher == NULL) {
        hd_op_fail(g->op, HD_API_INVALID,
                   "This server has no S3 endpoint to get code from: send it as ZipFile, or set the"
                   " endpoint (AWS_ENDPOINT_URL_S3).");
        end(g, NULL);
        return;
    }
    hd_buf_init(&path, 8192);
    hd_buf_init(&query, 8192);
    hd_buf_char(&path, '/');
    encode(&path, bucket, false);
    hd_buf_char(&path, '/');
    encode(&path, key, true);
    if (version != NULL) {
        hd_buf_cstr(&query, "versionId=");
        encode(&query, version, false);
    }
    fetch(g, hd_buf_view(&path), version != NULL ? hd_buf_view(&query) : hd_str(""));
    hd_buf_done(&path);
    hd_buf_done(&query);
}

/* --- a folder of this machine --- */

static void stat_folder(void *arg)
{
    struct getting *g = arg;
    struct stat st;
    if (g->folder[0] != '/')
        hd_fail(&g->err, HD_EINVAL, "S3Key must be the absolute path of a folder, not \"%s\"",
                g->folder);
    else if (stat(g->folder, &st) < 0)
        hd_fail_sys(&g->err, errno, "the folder %s", g->folder);
    else if (!S_ISDIR(st.st_mode))
        hd_fail(&g->err, HD_EINVAL, "%s is no folder", g->folder);
}

static void stated_folder(void *arg)
{
    struct getting *g = arg;
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char text[HD_CODE_SHA256_CHARS + 1];
    if (g->err.code != 0) {
        hd_op_fail(g->op, HD_API_INVALID, "%s", g->err.msg);
        end(g, NULL);
        return;
    }
    SHA256((const unsigned char *)g->folder, strlen(g->folder), digest);
    text[hd_base64_encode(text, HD_BASE64, digest, sizeof(digest))] = '\0';
    end(g, json_pack("{s:s, s:s, s:i}", "Directory", g->folder, "Sha256", text, "Size", 0));
}

static void from_folder(struct getting *g, const char *folder)
{
    g->folder = hd_strdup(folder);
    if (hd_work(g->op->api->opt.control, stat_folder, stated_folder, g, NULL) == 0)
        return;
    stat_folder(g);
    stated_folder(g);
}

/* --- an image --- */

/* The digest in "name@sha256:<hex>" is the image's; a tag names what it is when it is pulled. */
static void from_image(struct getting *g, const char *uri)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char hex[2 * SHA256_DIGEST_LENGTH + 1];
    const char *pinned = strstr(uri, "@sha256:");
    SHA256((const unsigned char *)uri, strlen(uri), digest);
    hd_hex(hex, digest, sizeof(digest));
    end(g, json_pack("{s:s, s:s, s:s, s:i}", "ImageUri", uri, "ResolvedImageUri", uri, "Sha256",
                     pinned != NULL ? pinned + 8 : hex, "Size", 0));
}

/* --- which of them --- */

bool hd_function_code_given(const json_t *members)
{
    return json_object_get(members, "ZipFile") != NULL ||
           json_object_get(members, "S3Bucket") != NULL ||
           json_object_get(members, "S3Key") != NULL ||
           json_object_get(members, "ImageUri") != NULL;
}

/* @return what is wrong with the combination, or NULL. */
static const char *wrong(const json_t *members, bool image)
{
    bool zip = json_object_get(members, "ZipFile") != NULL;
    bool bucket = json_object_get(members, "S3Bucket") != NULL;
    bool key = json_object_get(members, "S3Key") != NULL;
    bool uri = json_object_get(members, "ImageUri") != NULL;
    if (image && !uri)
        return "Please provide ImageUri when updating a function with packageType Image.";
    if (!image && uri)
        return "Please don't provide ImageUri when updating a function with packageType Zip.";
    if (!zip && !bucket && !key && !uri)
        return "Please provide a source for function code.";
    if (zip && (bucket || key))
        return "Please do not provide other FunctionCode parameters when providing a ZipFile.";
    if (image && (zip || bucket || key))
        return "Please do not provide other FunctionCode parameters when providing an ImageUri.";
    if (bucket != key)
        return "S3Bucket and S3Key must be given together.";
    return NULL;
}

void hd_function_code_get(struct hd_op *op, const json_t *members, bool image, bool store,
                          hd_function_code_fn *done)
{
    const char *fault = wrong(members, image);
    if (fault != NULL) {
        hd_op_fail(op, HD_API_INVALID, "%s", fault);
        return;
    }
    struct getting *g = getting_new(op, store, done);
    const char *bucket = json_string_value(json_object_get(members, "S3Bucket"));
    const char *key = json_string_value(json_object_get(members, "S3Key"));
    if (image)
        from_image(g, json_string_value(json_object_get(members, "ImageUri")));
    else if (bucket == NULL)
        from_request(g, json_object_get(members, "ZipFile"));
    else if (strcmp(bucket, HOT_RELOAD) == 0 && op->api->opt.hot_reload)
        from_folder(g, key);
    else
        from_s3(g, bucket, key, json_string_value(json_object_get(members, "S3ObjectVersion")));
}

bool hd_function_storage_ok(struct hd_op *op, const json_t *code)
{
    char place[HD_NAMES_KEY_MAX];
    uint64_t most = op->api->opt.limits.code_storage_bytes;
    json_int_t size = json_integer_value(json_object_get(code, "Size"));
    snprintf(place, sizeof(place), "%s/%s/", op->account, op->region);
    uint64_t used = hd_catalog_code_bytes(op->catalog, place);
    if (used <= most && (uint64_t)size <= most - used)
        return true;
    hd_op_fail(op, HD_API_CODE_STORAGE, "Code storage limit exceeded.");
    return false;
}

/* --- layers --- */

struct merging {
    struct hd_op *op;
    void (*done)(struct hd_op *op);
};

static void on_merged(void *arg, const struct hd_bundle_result *result)
{
    struct merging m = *(struct merging *)arg;
    free(arg);
    if (result->problem != HD_BUNDLE_OK)
        fail_bundle(m.op, result);
    else
        m.done(m.op);
}

void hd_function_layers_merge(struct hd_op *op, const json_t *doc, void (*done)(struct hd_op *op))
{
    const char *digests[HD_BUNDLE_LAYERS_MAX];
    const json_t *unpacked = json_object_get(json_object_get(doc, "Code"), "Unpacked");
    size_t n = hd_deploy_layer_digests(doc, digests);
    if (n == 0) {
        done(op);
        return;
    }
    struct merging *m = hd_new(struct merging);
    *m = (struct merging){op, done};
    hd_bundles_merge(op->api->opt.bundles, digests, n, (uint64_t)json_integer_value(unpacked),
                     on_merged, m);
}
