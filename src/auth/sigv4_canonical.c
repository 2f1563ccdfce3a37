#include "auth/sigv4_canonical.h"

#include "core/id.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

static void add_escaped(struct hd_buf *out, struct hd_str s)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (is_unreserved(s.ptr[i]))
            hd_buf_char(out, s.ptr[i]);
        else
            hd_buf_add(out, (char[3]){'%', digits[c >> 4], digits[c & 15]}, 3);
    }
}

/* --- path --- */

/* Take the last segment off what was written since @p begin. */
static void drop_segment(struct hd_buf *out, size_t begin)
{
    while (out->len > begin && out->ptr[--out->len] != '/')
        ;
}

/* Empty and dot segments vanish, and the path as sent is escaped once more, its "%" included. */
static void add_path(struct hd_buf *out, struct hd_str path)
{
    size_t begin = out->len;
    struct hd_str rest = path, segment;
    while (hd_str_split(&segment, &rest, '/')) {
        if (segment.len == 0 || hd_str_is(segment, "."))
            continue;
        if (hd_str_is(segment, "..")) {
            drop_segment(out, begin);
            continue;
        }
        hd_buf_char(out, '/');
        add_escaped(out, segment);
    }
    if (out->len == begin || (path.len > 0 && path.ptr[path.len - 1] == '/'))
        hd_buf_char(out, '/');
}

/* --- query --- */

/* Each name and value is decoded and escaped anew, then they are sorted as they are written. */
struct param {
    struct hd_str name, value; /* of the scratch buffer, once that is complete */
    size_t at, name_len, value_len;
};

static size_t add_recoded(struct hd_buf *out, struct hd_str s)
{
    size_t before = out->len;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '%' && s.len - i > 2 && hd_unhex(&c, 1, hd_str_n(s.ptr + i + 1, 2)) == 0)
            i += 2;
        add_escaped(out, hd_str_n(&c, 1));
    }
    return out->len - before;
}

static int by_name_and_value(const void *a, const void *b)
{
    const struct param *x = a, *y = b;
    int order = hd_str_cmp(x->name, y->name);
    return order != 0 ? order : hd_str_cmp(x->value, y->value);
}

static int read_params(struct param *params, size_t *n, struct hd_buf *scratch, struct hd_str query,
                       struct hd_error *err)
{
    struct hd_str rest = query, pair, name;
    *n = 0;
    while (hd_str_split(&pair, &rest, '&')) {
        if (pair.len == 0)
            continue;
        if (*n == HD_SIGV4_PARAMS_MAX)
            return hd_fail(err, HD_EINVAL, "query: more than %d parameters", HD_SIGV4_PARAMS_MAX);
        struct hd_str value = pair;
        hd_str_split(&name, &value, '=');
        struct param *p = &params[*n];
        p->at = scratch->len;
        p->name_len = add_recoded(scratch, name);
        p->value_len = add_recoded(scratch, value);
        if (!hd_buf_failed(scratch) &&
            hd_str_is(hd_str_n(scratch->ptr + p->at, p->name_len), "X-Amz-Signature"))
            continue;
        ++*n;
    }
    if (hd_buf_failed(scratch))
        return hd_fail(err, HD_EINVAL, "query: too long to be signed");
    for (size_t i = 0; i < *n; i++) {
        params[i].name = hd_str_n(scratch->ptr + params[i].at, params[i].name_len);
        params[i].value =
            hd_str_n(scratch->ptr + params[i].at + params[i].name_len, params[i].value_len);
    }
    qsort(params, *n, sizeof(*params), by_name_and_value);
    return 0;
}

static int add_query(struct hd_buf *out, struct hd_str query, struct hd_error *err)
{
    if (query.len == 0)
        return 0;
    struct param params[HD_SIGV4_PARAMS_MAX];
    char memory[1024];
    struct hd_buf scratch;
    size_t n;
    hd_buf_init_with(&scratch, memory, sizeof(memory), HD_SIGV4_TEXT_MAX);
    int rc = read_params(params, &n, &scratch, query, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (i > 0)
            hd_buf_char(out, '&');
        hd_buf_str(out, params[i].name);
        hd_buf_char(out, '=');
        hd_buf_str(out, params[i].value);
    }
    hd_buf_done(&scratch);
    return rc;
}

/* --- headers --- */

size_t hd_sigv4_field(struct hd_str *value, const struct hd_sigv4_request *req, const char *name)
{
    size_t found = 0;
    for (size_t i = 0; i < req->n_fields; i++) {
        if (!hd_str_is_nocase(req->fields[i].name, name))
            continue;
        *value = req->fields[i].value;
        found++;
    }
    return found;
}

/* The value without blanks at its ends, and one blank for several in a row. */
static void add_value(struct hd_buf *out, struct hd_str value)
{
    value = hd_str_trim(value);
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] != ' ' || value.ptr[i - 1] != ' ')
            hd_buf_char(out, value.ptr[i]);
}

static size_t add_values(struct hd_buf *out, const struct hd_field *fields, size_t n,
                         struct hd_str name, size_t found)
{
    for (size_t i = 0; i < n; i++) {
        if (!hd_str_eq_nocase(fields[i].name, name))
            continue;
        if (found++ > 0)
            hd_buf_char(out, ',');
        add_value(out, fields[i].value);
    }
    return found;
}

static int add_headers(struct hd_buf *out, const struct hd_sigv4_canon *c, struct hd_error *err)
{
    struct hd_str rest = c->signed_headers, name;
    while (hd_str_split(&name, &rest, ';')) {
        hd_buf_str(out, name);
        hd_buf_char(out, ':');
        size_t found = add_values(out, c->req->fields, c->req->n_fields, name, 0);
        found = add_values(out, c->extra, c->n_extra, name, found);
        if (found == 0 && hd_str_is(name, "host") && c->req->authority.len > 0) {
            add_value(out, c->req->authority);
            found = 1;
        }
        if (found == 0)
            return hd_fail(err, HD_EINVAL, "header %.*s: said to be signed, and not there",
                           (int)HD_MIN(name.len, (size_t)64), name.ptr);
        hd_buf_char(out, '\n');
    }
    return 0;
}

int hd_sigv4_canonical(struct hd_buf *out, const struct hd_sigv4_canon *c, struct hd_error *err)
{
    hd_buf_str(out, c->req->method);
    hd_buf_char(out, '\n');
    if (c->plain_path)
        hd_buf_str(out, c->req->path);
    else
        add_path(out, c->req->path);
    hd_buf_char(out, '\n');
    int rc = add_query(out, c->req->query, err);
    hd_buf_char(out, '\n');
    if (rc == 0)
        rc = add_headers(out, c, err);
    hd_buf_char(out, '\n');
    hd_buf_str(out, c->signed_headers);
    hd_buf_char(out, '\n');
    hd_buf_str(out, c->payload_hash);
    if (rc == 0 && hd_buf_failed(out))
        rc = hd_fail(err, HD_EINVAL, "request: too long to be signed");
    return rc;
}

/* --- signature --- */

enum { KEPT = 16 };

struct derived {
    struct hd_buf from; /* date, region, service, secret, with NULs between */
    unsigned char key[HD_SHA256_BYTES];
};

struct hd_sigv4_keys {
    struct derived kept[KEPT];
    unsigned next; /* to be replaced */
};

static void forget(struct derived *d)
{
    if (d->from.ptr != NULL)
        explicit_bzero(d->from.ptr, d->from.cap);
    explicit_bzero(d->key, sizeof(d->key));
    hd_buf_done(&d->from);
}

struct hd_sigv4_keys *hd_sigv4_keys_new(void)
{
    struct hd_sigv4_keys *k = hd_new(struct hd_sigv4_keys);
    for (size_t i = 0; i < KEPT; i++)
        hd_buf_init(&k->kept[i].from, 1024);
    return k;
}

void hd_sigv4_keys_free(struct hd_sigv4_keys *k)
{
    for (size_t i = 0; k != NULL && i < KEPT; i++)
        forget(&k->kept[i]);
    free(k);
}

static void hmac(unsigned char out[HD_SHA256_BYTES], struct hd_str key, struct hd_str text)
{
    if (HMAC(EVP_sha256(), key.ptr, (int)key.len, (const unsigned char *)text.ptr, text.len, out,
             NULL) == NULL)
        abort(); /* out of memory, or an OpenSSL without SHA-256: nothing would work */
}

static struct hd_str bytes_of(const unsigned char *key)
{
    return hd_str_n((const char *)key, HD_SHA256_BYTES);
}

static void derive(unsigned char out[HD_SHA256_BYTES], struct hd_str date, struct hd_str region,
                   struct hd_str service, struct hd_str secret)
{
    char start[4 + HD_SIGV4_SECRET_MAX] = "AWS4";
    memcpy(start + 4, secret.ptr, secret.len);
    hmac(out, hd_str_n(start, 4 + secret.len), date);
    hmac(out, bytes_of(out), region);
    hmac(out, bytes_of(out), service);
    hmac(out, bytes_of(out), hd_str("aws4_request"));
    explicit_bzero(start, sizeof(start));
}

static void signing_key(unsigned char out[HD_SHA256_BYTES], struct hd_str date,
                        struct hd_str region, struct hd_str service, struct hd_str secret,
                        struct hd_sigv4_keys *keys)
{
    if (keys == NULL) {
        derive(out, date, region, service, secret);
        return;
    }
    char memory[1024];
    struct hd_buf from;
    hd_buf_init_with(&from, memory, sizeof(memory), sizeof(memory));
    const struct hd_str parts[] = {date, region, service, secret};
    for (size_t i = 0; i < HD_COUNT(parts); i++) {
        hd_buf_str(&from, parts[i]);
        hd_buf_char(&from, '\0');
    }
    const struct derived *d = NULL;
    for (size_t i = 0; i < KEPT && d == NULL && !hd_buf_failed(&from); i++)
        if (hd_str_eq_secret(hd_buf_view(&keys->kept[i].from), hd_buf_view(&from)))
            d = &keys->kept[i];
    if (d != NULL) {
        memcpy(out, d->key, HD_SHA256_BYTES);
    } else {
        derive(out, date, region, service, secret);
        struct derived *slot = &keys->kept[keys->next++ % KEPT];
        forget(slot);
        if (!hd_buf_failed(&from)) {
            hd_buf_str(&slot->from, hd_buf_view(&from));
            memcpy(slot->key, out, HD_SHA256_BYTES);
        }
    }
    explicit_bzero(memory, sizeof(memory));
    hd_buf_done(&from);
}

void hd_sigv4_hash(unsigned char out[HD_SHA256_BYTES], struct hd_str bytes)
{
    SHA256((const unsigned char *)bytes.ptr, bytes.len, out);
}

void hd_sigv4_signature(char out[2 * HD_SHA256_BYTES + 1], struct hd_str canonical,
                        struct hd_str time, struct hd_str date, struct hd_str region,
                        struct hd_str service, struct hd_str secret, struct hd_sigv4_keys *keys)
{
    unsigned char bytes[HD_SHA256_BYTES], key[HD_SHA256_BYTES];
    char hash[2 * HD_SHA256_BYTES + 1];
    hd_sigv4_hash(bytes, canonical);
    hd_hex(hash, bytes, sizeof(bytes));
    struct hd_buf text;
    hd_buf_init(&text, 2048);
    hd_buf_fmt(&text, "AWS4-HMAC-SHA256\n%.*s\n%.*s/%.*s/%.*s/aws4_request\n%s", HD_FMT(time),
               HD_FMT(date), HD_FMT(region), HD_FMT(service), hash);
    signing_key(key, date, region, service, secret, keys);
    hmac(bytes, bytes_of(key), hd_buf_view(&text));
    explicit_bzero(key, sizeof(key));
    hd_hex(out, bytes, sizeof(bytes));
    hd_buf_done(&text);
}
