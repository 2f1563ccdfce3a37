#include "auth/sigv4_canonical.h"
#include "core/id.h"

#include <time.h>

enum { SIGNED_MAX = 64 };

static int by_name(const void *a, const void *b)
{
    return hd_str_cmp(*(const struct hd_str *)a, *(const struct hd_str *)b);
}

/* Append the name in lower case. @return it; valid while the buffer is not grown any more. */
static struct hd_str add_lower(struct hd_buf *memory, struct hd_str name)
{
    char *at = hd_buf_reserve(memory, name.len);
    if (at == NULL)
        return hd_str_n(NULL, 0);
    for (size_t i = 0; i < name.len; i++)
        at[i] = (char)(name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? name.ptr[i] | 0x20 : name.ptr[i]);
    hd_buf_commit(memory, name.len);
    return hd_str_n(at, name.len);
}

/* "content-type;host;x-amz-date": every name once, in order. */
static int list_headers(struct hd_buf *out, const struct hd_sigv4_canon *c, struct hd_error *err)
{
    struct hd_str names[SIGNED_MAX];
    char lower[4096];
    struct hd_buf memory;
    size_t n = 0, total = c->req->n_fields + c->n_extra;
    if (total + 1 > SIGNED_MAX)
        return hd_fail(err, HD_EINVAL, "request: more than %d fields to sign", SIGNED_MAX - 1);
    hd_buf_init_with(&memory, lower, sizeof(lower), sizeof(lower)); /* never moves */
    for (size_t i = 0; i < total; i++) {
        const struct hd_field *f =
            i < c->req->n_fields ? &c->req->fields[i] : &c->extra[i - c->req->n_fields];
        names[n++] = add_lower(&memory, f->name);
    }
    names[n++] = hd_str("host");
    if (hd_buf_failed(&memory))
        return hd_fail(err, HD_EINVAL, "request: names of fields over %zu bytes", sizeof(lower));
    qsort(names, n, sizeof(*names), by_name);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && hd_str_eq(names[i], names[i - 1]))
            continue;
        if (i > 0)
            hd_buf_char(out, ';');
        hd_buf_str(out, names[i]);
    }
    return 0;
}

int hd_sigv4_sign(struct hd_sigv4_signed *out, const struct hd_sigv4_request *req,
                  const struct hd_sigv4_key *key, const struct hd_sigv4_scope *scope,
                  struct hd_error *err)
{
    if (key->secret.len == 0 || key->secret.len > HD_SIGV4_SECRET_MAX)
        return hd_fail(err, HD_EINVAL, "secret access key: must have 1 to %d characters",
                       HD_SIGV4_SECRET_MAX);
    time_t now = (time_t)scope->now_unix_s;
    struct tm t;
    if (gmtime_r(&now, &t) == NULL ||
        strftime(out->time, sizeof(out->time), "%Y%m%dT%H%M%SZ", &t) != 16)
        return hd_fail(err, HD_EINVAL, "clock: a year that has not four digits");
    hd_hex(out->body_hex, req->body_sha256, HD_SHA256_BYTES);
    hd_buf_done(&out->authorization);
    hd_buf_init(&out->authorization, 8192);

    struct hd_field extra[3];
    size_t n_extra = 0;
    extra[n_extra++] = (struct hd_field){hd_str("x-amz-date"), hd_str(out->time)};
    if (key->token.len > 0)
        extra[n_extra++] = (struct hd_field){hd_str("x-amz-security-token"), key->token};
    if (scope->plain_path)
        extra[n_extra++] = (struct hd_field){hd_str("x-amz-content-sha256"), hd_str(out->body_hex)};
    struct hd_sigv4_canon canon = {.req = req,
                                   .extra = extra,
                                   .n_extra = n_extra,
                                   .payload_hash = hd_str(out->body_hex),
                                   .plain_path = scope->plain_path};
    struct hd_buf headers, text;
    hd_buf_init(&headers, 8192);
    hd_buf_init(&text, HD_SIGV4_TEXT_MAX);
    int rc = list_headers(&headers, &canon, err);
    canon.signed_headers = hd_buf_view(&headers);
    if (rc == 0)
        rc = hd_sigv4_canonical(&text, &canon, err);
    if (rc == 0) {
        char signature[2 * HD_SHA256_BYTES + 1];
        struct hd_str date = {out->time, 8};
        hd_sigv4_signature(signature, hd_buf_view(&text), hd_str(out->time), date, scope->region,
                           scope->service, key->secret, scope->keys);
        hd_buf_fmt(&out->authorization,
                   "AWS4-HMAC-SHA256 Credential=%.*s/%.*s/%.*s/%.*s/aws4_request, "
                   "SignedHeaders=%.*s, Signature=%s",
                   HD_FMT(key->id), HD_FMT(date), HD_FMT(scope->region), HD_FMT(scope->service),
                   HD_FMT(canon.signed_headers), signature);
        if (hd_buf_failed(&out->authorization))
            rc = hd_fail(err, HD_EINVAL, "request: its signature would be over 8192 bytes");
    }
    hd_buf_done(&headers);
    hd_buf_done(&text);
    return rc;
}

void hd_sigv4_signed_done(struct hd_sigv4_signed *out)
{
    hd_buf_done(&out->authorization);
}
