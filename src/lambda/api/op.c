#include "lambda/api/api_private.h"

#include "core/base64.h"
#include "core/clock.h"

#include <stdarg.h>
#include <time.h>

enum { MARKER_MAX = HD_NAMES_KEY_MAX + 8 };

/* --- ends --- */

static struct hd_job *end_of(struct hd_op *op)
{
    struct hd_job *job = hd_container_of(op, struct hd_job, op);
    return job->ended ? NULL : job;
}

static void answer_now(struct hd_job *job, json_t *body)
{
    if (body != NULL) {
        hd_auto_free char *text = json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(15));
        hd_buf_cstr(&job->answer_body, text != NULL ? text : "{}");
        json_decref(body);
    }
    job->answer.status = job->op.operation->ok;
    hd_api_end(job);
}

static void on_settled(void *arg, const struct hd_error *err)
{
    struct hd_job *job = arg;
    json_t *body = hd_steal(job->answer_json);
    if (err == NULL) {
        answer_now(job, body);
        return;
    }
    json_decref(body);
    hd_op_fail(&job->op, HD_API_SERVICE, "What was read could not be stored, try again: %s",
               err->msg);
}

/* What was read may not be on the disk yet, and would be gone after a crash: tell it when it is. */
void hd_op_answer(struct hd_op *op, json_t *body)
{
    struct hd_job *job = end_of(op);
    if (job == NULL)
        return;
    if (hd_catalog_wait(op->catalog, on_settled, job))
        job->answer_json = body;
    else
        answer_now(job, body);
}

void hd_op_fail(struct hd_op *op, enum hd_api_error e, const char *fmt, ...)
{
    struct hd_job *job = end_of(op);
    if (job == NULL)
        return;
    struct hd_buf text;
    va_list ap;
    hd_buf_init(&text, HD_API_MESSAGE_MAX);
    va_start(ap, fmt);
    hd_buf_vfmt(&text, fmt, ap);
    va_end(ap);
    hd_api_error_body(&job->answer_body, e, hd_buf_view(&text), NULL);
    hd_buf_done(&text);
    job->answer.status = hd_api_error_status(e);
    job->answer.error_type = hd_api_error_name(e);
    job->answer.retry_after_s = e == HD_API_TOO_MANY ? 1 : 0;
    hd_api_end(job);
}

static void on_committed(void *arg, const struct hd_error *err)
{
    struct hd_job *job = arg;
    json_t *body = hd_steal(job->answer_json);
    if (err == NULL) {
        answer_now(job, body);
        return;
    }
    json_decref(body);
    hd_log(job->op.api->opt.log, HD_ERROR, "a change could not be stored",
           hd_kv_str("operation", job->op.operation->name), hd_kv_str("error", err->msg));
    hd_op_fail(&job->op, HD_API_SERVICE, "The change could not be stored: %s", err->msg);
}

void hd_op_commit(struct hd_op *op, struct hd_change *change, json_t *body)
{
    struct hd_job *job = hd_container_of(op, struct hd_job, op);
    job->answer_json = body;
    hd_change_commit(change, on_committed, job);
}

void hd_op_file(struct hd_op *op, const char *path)
{
    struct hd_job *job = end_of(op);
    if (job == NULL)
        return;
    job->file = hd_strdup(path);
    job->answer.file = job->file;
    job->answer.status = op->operation->ok;
    hd_api_end(job);
}

/* --- what many handlers need --- */

char *hd_op_key(const struct hd_op *op, char *out, char sep, const char *last)
{
    return hd_catalog_key(out, op->account, op->region, op->function, sep, last);
}

char *hd_op_prefix(const struct hd_op *op, char *out, char sep)
{
    snprintf(out, HD_NAMES_KEY_MAX, "%s/%s/%s%c", op->account, op->region, op->function, sep);
    return out;
}

char *hd_op_arn(const struct hd_op *op, const char *qualifier)
{
    return hd_names_make_arn("function", op->account, op->region, op->function, qualifier);
}

json_t *hd_op_function(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX];
    json_t *doc = hd_catalog_get(op->catalog, HD_RECORD_FUNCTION, hd_op_key(op, key, '/', NULL));
    if (doc == NULL) {
        hd_auto_free char *arn = hd_op_arn(op, op->qualifier);
        hd_op_fail(op, HD_API_NOT_FOUND, "Function not found: %s", arn);
    }
    return doc;
}

bool hd_op_resolve(const struct hd_op *op, const char *qualifier, char *version)
{
    char key[HD_NAMES_KEY_MAX];
    struct hd_str q = hd_str(qualifier);
    bool number = hd_names_is_number(q), latest = hd_names_is_latest(q);
    if (latest ? !hd_catalog_has(op->catalog, HD_RECORD_FUNCTION, hd_op_key(op, key, '/', NULL))
               : !hd_catalog_has(op->catalog, number ? HD_RECORD_VERSION : HD_RECORD_ALIAS,
                                 hd_op_key(op, key, '/', qualifier)))
        return false;
    if (version == NULL)
        return true;
    json_t *alias = number || latest ? NULL : hd_catalog_get(op->catalog, HD_RECORD_ALIAS, key);
    const char *to = json_string_value(json_object_get(alias, "FunctionVersion"));
    snprintf(version, HD_NAMES_KEY_MAX, "%s", to != NULL ? to : number ? qualifier : "$LATEST");
    json_decref(alias);
    return true;
}

bool hd_op_revision(struct hd_op *op, const char *revision, const char *call)
{
    const char *asked = hd_op_text(op, "RevisionId");
    if (asked == NULL || (revision != NULL && strcmp(asked, revision) == 0))
        return true;
    hd_op_fail(op, HD_API_PRECONDITION,
               "The Revision Id provided does not match the latest Revision Id. Call the %s API to"
               " retrieve the latest Revision Id",
               call);
    return false;
}

void hd_op_new_revision(char out[HD_UUID_CHARS + 1])
{
    struct hd_rng rng;
    hd_rng_init(&rng, 0);
    hd_uuid7(out, &rng, hd_clock_unix_ms());
}

json_t *hd_op_time(int64_t unix_ms)
{
    char text[64];
    struct tm tm;
    time_t s = (time_t)(unix_ms / 1000);
    gmtime_r(&s, &tm);
    size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof(text) - n, ".%03d+0000", (int)(unix_ms % 1000));
    return json_string(text);
}

void hd_op_set(json_t *object, const char *member, const char *text)
{
    json_object_set_new(object, member, json_string(text));
}

/* --- lists --- */

/* A marker is the last key that was answered, so it stays good whatever is made or deleted. */
char *hd_op_marker(struct hd_op *op, bool *bad)
{
    const char *text = hd_op_text(op, "Marker");
    *bad = false;
    if (text == NULL || text[0] == '\0')
        return NULL;
    unsigned char bytes[MARKER_MAX];
    size_t n = 0;
    struct hd_str s = hd_str(text);
    if (hd_base64_bytes(s.len) <= sizeof(bytes) &&
        hd_base64_decode(bytes, &n, HD_BASE64URL, s) == 0 && n > 2 && bytes[0] == 'k' &&
        bytes[1] == ':' && memchr(bytes, '\0', n) == NULL)
        return hd_strdup_n(hd_str_n((char *)bytes + 2, n - 2));
    *bad = true;
    hd_op_fail(op, HD_API_INVALID, "The Marker provided is not valid: it was not made by %s.",
               op->operation->name);
    return NULL;
}

void hd_op_next_marker(json_t *answer, const char *last_key)
{
    char plain[MARKER_MAX], text[MARKER_MAX * 2];
    int n = snprintf(plain, sizeof(plain), "k:%s", last_key);
    size_t len = hd_base64_encode(text, HD_BASE64URL, plain, (size_t)n);
    json_object_set_new(answer, "NextMarker", json_stringn(text, len));
}

unsigned hd_op_max_items(const struct hd_op *op, unsigned most)
{
    json_t *given = hd_op_get(op, "MaxItems");
    json_int_t n = given != NULL ? json_integer_value(given) : (json_int_t)most;
    return n > 0 && n < (json_int_t)most ? (unsigned)n : most;
}

void hd_op_list(struct hd_op *op, const char *member, enum hd_record kind, const char *prefix,
                unsigned most, json_t *(*item)(struct hd_op *op, const char *key, json_t *doc))
{
    bool bad;
    hd_auto_free char *after = hd_op_marker(op, &bad);
    if (bad)
        return;
    unsigned left = hd_op_max_items(op, most);
    json_t *answer = json_object(), *items = json_array();
    json_object_set_new(answer, member, items);
    const char *last = after, *key;
    while ((key = hd_catalog_next(op->catalog, kind, prefix, last)) != NULL) {
        json_t *doc = hd_catalog_get(op->catalog, kind, key);
        json_t *made = item(op, key, doc);
        json_decref(doc);
        if (made != NULL && left == 0) { /* so there is another page */
            json_decref(made);
            hd_op_next_marker(answer, last);
            break;
        }
        if (made != NULL) {
            json_array_append_new(items, made);
            left--;
        }
        last = key;
    }
    hd_op_answer(op, answer);
}
