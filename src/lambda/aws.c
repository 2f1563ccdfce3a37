#include "lambda/aws.h"

#include "core/clock.h"

#include <jansson.h>

static const struct {
    const char *name, *variable;
} services[HD_AWS_SERVICES] = {
    [HD_AWS_SQS] = {"sqs", "AWS_ENDPOINT_URL_SQS"},
    [HD_AWS_SNS] = {"sns", "AWS_ENDPOINT_URL_SNS"},
    [HD_AWS_EVENTS] = {"events", "AWS_ENDPOINT_URL_EVENTBRIDGE"},
    [HD_AWS_S3] = {"s3", "AWS_ENDPOINT_URL_S3"},
};

enum { TIMEOUT_MS = 10000, ANSWER_BYTES = 1 << 20 };

struct hd_aws {
    struct hd_loop *loop;
    struct hd_fetcher *fetcher;
    char *key_id, *secret, *token;
    char *endpoints[HD_AWS_SERVICES]; /* without a slash at the end; NULL: the service's own */
    struct hd_sigv4_keys *keys;
};

struct hd_aws_call {
    struct hd_fetch *fetch;
    enum hd_aws_service service;
    hd_aws_done_fn *done;
    void *arg;
};

/* --- who and where --- */

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

void hd_aws_options_from_env(struct hd_aws_options *opt)
{
    if (opt->key_id == NULL && opt->secret == NULL) {
        opt->key_id = variable("AWS_ACCESS_KEY_ID");
        opt->secret = variable("AWS_SECRET_ACCESS_KEY");
        if (opt->token == NULL)
            opt->token = variable("AWS_SESSION_TOKEN");
    }
    for (size_t i = 0; i < HD_AWS_SERVICES; i++)
        if (opt->endpoints[i] == NULL && opt->endpoint == NULL)
            opt->endpoints[i] = variable(services[i].variable);
    if (opt->endpoint == NULL)
        opt->endpoint = variable("AWS_ENDPOINT_URL");
}

/* What Host will be; empty: that is no URL of a server. */
static struct hd_str authority_of(struct hd_str url)
{
    struct hd_str http = hd_str("http://"), https = hd_str("https://");
    bool secure = hd_str_starts(url, https);
    if (!secure && !hd_str_starts(url, http))
        return hd_str_n(NULL, 0);
    size_t skip = secure ? https.len : http.len;
    struct hd_str rest = {url.ptr + skip, url.len - skip};
    struct hd_str host = {rest.ptr, hd_str_find(rest, '/')};
    struct hd_str usual = hd_str(secure ? ":443" : ":80");
    if (hd_str_find(host, '@') < host.len || hd_str_find(host, '?') < host.len)
        return hd_str_n(NULL, 0);
    if (hd_str_ends(host, usual))
        host.len -= usual.len;
    return host;
}

int hd_aws_new(struct hd_aws **out, const struct hd_aws_options *opt, struct hd_error *err)
{
    struct hd_aws *a = hd_new(struct hd_aws);
    int rc = 0;
    a->loop = opt->loop;
    if (a->loop == NULL && opt->fetcher != NULL)
        a->loop = hd_fetcher_loop(opt->fetcher);
    a->fetcher = opt->fetcher;
    a->key_id = hd_strdup(opt->key_id);
    a->secret = hd_strdup(opt->secret);
    a->token = hd_strdup(opt->token);
    a->keys = hd_sigv4_keys_new();
    for (size_t i = 0; i < HD_AWS_SERVICES; i++) {
        struct hd_str url = hd_str(opt->endpoints[i] != NULL ? opt->endpoints[i] : opt->endpoint);
        while (hd_str_ends(url, hd_str("/")))
            url.len--;
        if (url.len == 0)
            continue;
        if (authority_of(url).len == 0)
            rc = hd_fail(err, HD_EINVAL, "endpoint of %s: must be a URL as http://127.0.0.1:9324",
                         services[i].name);
        a->endpoints[i] = hd_strdup_n(url);
    }
    if (rc < 0)
        hd_aws_free(a);
    else
        *out = a;
    return rc;
}

static void wipe(char *s)
{
    if (s != NULL)
        explicit_bzero(s, strlen(s));
    free(s);
}

void hd_aws_free(struct hd_aws *a)
{
    if (a == NULL)
        return;
    for (size_t i = 0; i < HD_AWS_SERVICES; i++)
        free(a->endpoints[i]);
    free(a->key_id);
    wipe(a->secret);
    wipe(a->token);
    hd_sigv4_keys_free(a->keys);
    free(a);
}

struct hd_loop *hd_aws_loop(const struct hd_aws *a)
{
    return a->loop;
}

bool hd_aws_knows(const struct hd_aws *a, enum hd_aws_service service)
{
    return a->endpoints[service] != NULL || (a->key_id != NULL && a->secret != NULL);
}

/* A server of one's own rarely cares who asks; AWS does, so nothing is made up for it. */
static int find_key(struct hd_sigv4_key *key, const struct hd_aws *a, enum hd_aws_service service,
                    struct hd_error *err)
{
    if (a->key_id != NULL && a->secret != NULL) {
        *key = (struct hd_sigv4_key){hd_str(a->key_id), hd_str(a->secret), hd_str(a->token)};
        return 0;
    }
    if (a->endpoints[service] == NULL)
        return hd_fail(
            err, HD_EINVAL,
            "%s: no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the "
            "address of a server of your own in %s",
            services[service].name, services[service].variable);
    *key = (struct hd_sigv4_key){hd_str("heddle"), hd_str("heddle"), {NULL, 0}};
    return 0;
}

static char *url_of(const struct hd_aws *a, const struct hd_aws_request *req, const char *path)
{
    if (a->endpoints[req->service] != NULL)
        return hd_printf("%s%s", a->endpoints[req->service], path);
    bool china = hd_str_starts(req->region, hd_str("cn-"));
    return hd_printf("https://%s.%.*s.amazonaws.com%s%s", services[req->service].name,
                     HD_FMT(req->region), china ? ".cn" : "", path);
}

/* --- what an answer means --- */

/* What stands behind the name space: "com.amazonaws.sqs#QueueDoesNotExist". */
static struct hd_str bare(struct hd_str type)
{
    size_t hash = hd_str_find(type, '#');
    if (hash < type.len)
        type = hd_str_n(type.ptr + hash + 1, type.len - hash - 1);
    return hd_str_n(type.ptr, hd_str_find(type, ':'));
}

/* The text of the first such element of an XML answer. */
static struct hd_str element(struct hd_str xml, const char *open)
{
    const char *at = xml.len > 0 ? memmem(xml.ptr, xml.len, open, strlen(open)) : NULL;
    if (at == NULL)
        return hd_str_n(NULL, 0);
    at += strlen(open);
    struct hd_str rest = {at, (size_t)(xml.ptr + xml.len - at)};
    return hd_str_n(at, hd_str_find(rest, '<'));
}

static void set_type(struct hd_aws_failure *f, struct hd_str type)
{
    size_t n = HD_MIN(type.len, sizeof(f->type) - 1);
    for (size_t i = 0; i < n; i++)
        f->type[i] = (char)(type.ptr[i] > ' ' && type.ptr[i] < 0x7f ? type.ptr[i] : '?');
    f->type[n] = '\0';
}

static bool is_throttle(const char *type)
{
    static const char *const types[] = {"Throttl",  "RequestLimitExceeded", "TooManyRequests",
                                        "SlowDown", "ServiceUnavailable",   "InternalFailure"};
    for (size_t i = 0; i < HD_COUNT(types); i++)
        if (strstr(type, types[i]) != NULL)
            return true;
    return false;
}

static void read_failure(struct hd_aws_failure *f, const struct hd_fetch_result *r,
                         enum hd_aws_service service)
{
    struct hd_str message = {NULL, 0}, type = {NULL, 0};
    json_t *root = json_loadb(r->body.ptr != NULL ? r->body.ptr : "", r->body.len, 0, NULL);
    const json_t *t = json_object_get(root, "__type"), *m = json_object_get(root, "message");
    if (m == NULL)
        m = json_object_get(root, "Message");
    if (json_is_string(t))
        type = bare(hd_str_n(json_string_value(t), json_string_length(t)));
    if (json_is_string(m))
        message = hd_str_n(json_string_value(m), json_string_length(m));
    if (type.len == 0)
        type = element(r->body, "<Code>");
    if (message.len == 0)
        message = element(r->body, "<Message>");
    f->status = r->status;
    set_type(f, type);
    f->again = r->status >= 500 || r->status == 429 || is_throttle(f->type);
    struct hd_buf text;
    char memory[200];
    hd_buf_init_with(&text, memory, sizeof(memory), sizeof(memory));
    hd_buf_printable(&text, hd_str_n(message.ptr, HD_MIN(message.len, (size_t)120)));
    hd_fail(&f->error, r->status == 404 || r->status == 400 ? HD_EINVAL : HD_EIO, "%s: %u %s%s%.*s",
            services[service].name, r->status, f->type, text.len > 0 ? ": " : "",
            HD_FMT(hd_buf_view(&text)));
    hd_buf_done(&text);
    json_decref(root);
}

static void on_fetched(void *arg, const struct hd_fetch_result *result, const struct hd_error *err)
{
    struct hd_aws_call *call = arg;
    struct hd_aws_failure failure = {.again = false};
    bool good = err == NULL && result->status >= 200 && result->status < 300;
    if (err != NULL) {
        failure.error = *err;
        failure.again = err->code != HD_ECANCELED && err->code != HD_EINVAL;
        hd_wrap(&failure.error, err->code, "%s", services[call->service].name);
    } else if (!good) {
        read_failure(&failure, result, call->service);
    }
    call->done(call->arg, good ? result->body : hd_str_n(NULL, 0), good ? NULL : &failure);
    free(call);
}

/* --- calls --- */

int hd_aws_start(struct hd_aws_call **out, struct hd_aws *a, const struct hd_aws_request *req,
                 hd_aws_done_fn *done, void *arg, struct hd_error *err)
{
    const char *path = req->path != NULL ? req->path : "/";
    struct hd_sigv4_key key;
    int rc = find_key(&key, a, req->service, err);
    if (rc < 0)
        return rc;
    hd_auto_free char *url = url_of(a, req, path);
    unsigned char hash[HD_SHA256_BYTES];
    hd_sigv4_hash(hash, req->body);
    struct hd_field fields[6];
    size_t n = 0;
    fields[n++] = (struct hd_field){
        hd_str("Content-Type"),
        hd_str(req->content_type != NULL ? req->content_type : "application/x-amz-json-1.0")};
    if (req->target != NULL)
        fields[n++] = (struct hd_field){hd_str("X-Amz-Target"), hd_str(req->target)};
    struct hd_str authority = authority_of(hd_str(url));
    struct hd_str after = {authority.ptr + authority.len,
                           strlen(authority.ptr) - authority.len}; /* port, path */
    size_t slash = hd_str_find(after, '/');
    struct hd_sigv4_request signee = {.method = hd_str(req->method != NULL ? req->method : "POST"),
                                      .path = hd_str_n(after.ptr + slash, after.len - slash),
                                      .authority = authority,
                                      .fields = fields,
                                      .n_fields = n,
                                      .body_sha256 = hash};
    const struct hd_sigv4_scope scope = {.region = req->region,
                                         .service = hd_str(services[req->service].name),
                                         .now_unix_s = hd_clock_unix_s(),
                                         .plain_path = req->service == HD_AWS_S3,
                                         .keys = a->keys};
    struct hd_sigv4_signed sig = {.time = ""};
    rc = hd_sigv4_sign(&sig, &signee, &key, &scope, err);
    if (rc == 0) {
        fields[n++] = (struct hd_field){hd_str("X-Amz-Date"), hd_str(sig.time)};
        fields[n++] = (struct hd_field){hd_str("Authorization"), hd_buf_view(&sig.authorization)};
        if (scope.plain_path)
            fields[n++] = (struct hd_field){hd_str("X-Amz-Content-Sha256"), hd_str(sig.body_hex)};
        if (key.token.len > 0)
            fields[n++] = (struct hd_field){hd_str("X-Amz-Security-Token"), key.token};
        const struct hd_fetch_request fetch = {
            .method = req->method != NULL ? req->method : "POST",
            .url = url,
            .fields = fields,
            .n_fields = n,
            .body = req->body.ptr != NULL ? req->body : hd_str(""),
            .timeout_ms = req->timeout_ms != 0 ? req->timeout_ms : TIMEOUT_MS,
            .max_body_bytes = req->max_answer_bytes != 0 ? req->max_answer_bytes : ANSWER_BYTES};
        struct hd_aws_call *call = hd_new(struct hd_aws_call);
        *call = (struct hd_aws_call){.service = req->service, .done = done, .arg = arg};
        rc = hd_fetch_start(&call->fetch, a->fetcher, &fetch, on_fetched, call, err);
        if (rc < 0)
            free(call);
        else
            *out = call;
    }
    hd_sigv4_signed_done(&sig);
    return rc < 0 ? hd_wrap(err, rc, "%s", services[req->service].name) : 0;
}

void hd_aws_cancel(struct hd_aws_call *call)
{
    hd_fetch_cancel(call->fetch);
}

int hd_aws_arn_parse(struct hd_aws_arn *out, struct hd_str arn)
{
    struct hd_str rest = arn, head;
    bool good = hd_str_split(&head, &rest, ':') && hd_str_is(head, "arn") &&
                hd_str_split(&out->partition, &rest, ':') &&
                hd_str_split(&out->service, &rest, ':') && hd_str_split(&out->region, &rest, ':') &&
                hd_str_split(&out->account, &rest, ':') && rest.len > 0;
    out->resource = rest;
    return good ? 0 : HD_EINVAL;
}
