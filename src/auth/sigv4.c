/*  fields, query ──parse──► claim ──key of its id──► scope, time, token ──► canonical ──► signature
 *  parse() only reads; whatever decides over the request is in verify().                         */
#include "auth/sigv4.h"

#include "auth/sigv4_canonical.h"
#include "core/id.h"
#include "http/path.h"
#include "http/scan.h"

#include <stdio.h>
#include <time.h>

static const char algorithm[] = "AWS4-HMAC-SHA256";
static const char mismatch[] =
    "The request signature we calculated does not match the signature you provided. Check your AWS "
    "Secret Access Key and signing method. Consult the service documentation for details.";

enum { SKEW_S = 300, EXPIRES_MAX_S = 604800 };

const char *hd_sigv4_error_type(enum hd_sigv4_fault fault)
{
    switch (fault) {
    case HD_SIGV4_GOOD:
        return "";
    case HD_SIGV4_MISSING:
        return "MissingAuthenticationTokenException";
    case HD_SIGV4_INCOMPLETE:
        return "IncompleteSignatureException";
    case HD_SIGV4_UNKNOWN:
        return "UnrecognizedClientException";
    case HD_SIGV4_INVALID:
        return "InvalidSignatureException";
    }
    return "";
}

static enum hd_sigv4_fault refuse(struct hd_sigv4_refusal *r, enum hd_sigv4_fault fault,
                                  const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static enum hd_sigv4_fault refuse(struct hd_sigv4_refusal *r, enum hd_sigv4_fault fault,
                                  const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    r->fault = fault;
    vsnprintf(r->message, sizeof(r->message), fmt, ap);
    va_end(ap);
    return fault;
}

/* What a peer wrote, fit for a sentence. */
struct quoted {
    char text[64];
};
static struct quoted quote(struct hd_str s)
{
    struct quoted q;
    size_t n = HD_MIN(s.len, sizeof(q.text) - 1);
    for (size_t i = 0; i < n; i++)
        q.text[i] = (char)(s.ptr[i] >= ' ' && s.ptr[i] < 0x7f ? s.ptr[i] : '?');
    q.text[n] = '\0';
    return q;
}

/* --- reading --- */

static bool keep(struct hd_sigv4_claim *c, struct hd_str *out, struct hd_str value, bool decode)
{
    if (value.len > sizeof(c->memory) - c->used)
        return false;
    char *at = c->memory + c->used;
    int n = (int)value.len;
    if (decode)
        n = hd_path_decode(at, value);
    else if (value.len > 0)
        memcpy(at, value.ptr, value.len);
    if (n < 0)
        return false;
    *out = hd_str_n(at, (size_t)n);
    c->used += (size_t)n;
    return true;
}

static bool all_of(struct hd_str s, bool (*good)(char c))
{
    for (size_t i = 0; i < s.len; i++)
        if (!good(s.ptr[i]))
            return false;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

static bool is_region(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-';
}

static bool is_header_char(char c)
{
    return hd_char_is(c, HD_CHAR_TOKEN) && !(c >= 'A' && c <= 'Z');
}

static int number(struct hd_str s, size_t at, size_t digits)
{
    uint64_t n = 0;
    return hd_str_to_u64(&n, hd_str_n(s.ptr + at, digits)) < 0 ? -1 : (int)n;
}

/* "20260102T030405Z". @return seconds since 1970, or -1. */
static int64_t parse_time(struct hd_str s)
{
    if (s.len != 16 || s.ptr[8] != 'T' || s.ptr[15] != 'Z')
        return -1;
    struct tm t = {.tm_year = number(s, 0, 4) - 1900,
                   .tm_mon = number(s, 4, 2) - 1,
                   .tm_mday = number(s, 6, 2),
                   .tm_hour = number(s, 9, 2),
                   .tm_min = number(s, 11, 2),
                   .tm_sec = number(s, 13, 2)};
    struct tm same = t;
    if (t.tm_year < 70 || t.tm_mon < 0 || t.tm_mday < 1 || t.tm_hour < 0 || t.tm_min < 0 ||
        t.tm_sec < 0)
        return -1;
    int64_t unix_s = timegm(&same);
    bool real = same.tm_mon == t.tm_mon && same.tm_mday == t.tm_mday && same.tm_hour == t.tm_hour &&
                same.tm_min == t.tm_min && same.tm_sec == t.tm_sec;
    return real ? unix_s : -1;
}

static void format_time(char out[17], int64_t unix_s)
{
    time_t at = (time_t)unix_s;
    struct tm t;
    if (gmtime_r(&at, &t) == NULL || strftime(out, 17, "%Y%m%dT%H%M%SZ", &t) != 16)
        memcpy(out, "00000000T000000Z", 17); /* year 10000 */
}

static enum hd_sigv4_fault read_credential(struct hd_sigv4_claim *c, struct hd_str credential,
                                           struct hd_sigv4_refusal *refusal)
{
    struct hd_str rest = credential, last, extra;
    bool five = hd_str_split(&c->key_id, &rest, '/') && hd_str_split(&c->date, &rest, '/') &&
                hd_str_split(&c->region, &rest, '/') && hd_str_split(&c->service, &rest, '/') &&
                hd_str_split(&last, &rest, '/') && !hd_str_split(&extra, &rest, '/');
    if (!five)
        return refuse(refusal, HD_SIGV4_INCOMPLETE,
                      "Credential must have exactly 5 slash-delimited elements, e.g. "
                      "keyid/date/region/service/term, got '%s'",
                      quote(credential).text);
    if (!hd_str_is(last, "aws4_request"))
        return refuse(refusal, HD_SIGV4_INCOMPLETE,
                      "Credential should be scoped with a valid terminator: 'aws4_request', not "
                      "'%s'.",
                      quote(last).text);
    if (c->key_id.len == 0 || c->key_id.len > 128)
        return refuse(refusal, HD_SIGV4_INCOMPLETE,
                      "Credential should name an access key of 1 to 128 characters.");
    if (c->date.len != 8 || !all_of(c->date, is_digit))
        return refuse(refusal, HD_SIGV4_INCOMPLETE,
                      "Date in Credential scope must be YYYYMMDD, got '%s'.", quote(c->date).text);
    if (c->region.len == 0 || c->region.len > 64 || !all_of(c->region, is_region))
        return refuse(refusal, HD_SIGV4_INCOMPLETE,
                      "Credential should be scoped to a valid region, got '%s'.",
                      quote(c->region).text);
    if (c->service.len > 64)
        return refuse(refusal, HD_SIGV4_INCOMPLETE,
                      "Credential should be scoped to a service name, got '%s'.",
                      quote(c->service).text);
    return HD_SIGV4_GOOD;
}

/* What both forms have. */
static enum hd_sigv4_fault read_rest(struct hd_sigv4_claim *c, struct hd_str credential,
                                     struct hd_sigv4_refusal *refusal)
{
    enum hd_sigv4_fault fault = read_credential(c, credential, refusal);
    if (fault != HD_SIGV4_GOOD)
        return fault;
    c->time_unix_s = parse_time(c->time);
    if (c->time_unix_s < 0)
        return refuse(refusal, HD_SIGV4_INCOMPLETE,
                      "Date must be in ISO-8601 'basic format'. Got '%s'. See "
                      "http://en.wikipedia.org/wiki/ISO_8601",
                      quote(c->time).text);
    if (c->signature.len != 64 || !all_of(c->signature, is_lower_hex))
        return refuse(refusal, HD_SIGV4_INCOMPLETE,
                      "Signature must be 64 lower-case hexadecimal digits, got '%s'.",
                      quote(c->signature).text);
    struct hd_str rest = c->signed_headers, name;
    while (hd_str_split(&name, &rest, ';'))
        if (name.len == 0 || !all_of(name, is_header_char))
            return refuse(refusal, HD_SIGV4_INCOMPLETE,
                          "SignedHeaders must be header names in lower case with ';' between them, "
                          "got '%s'.",
                          quote(c->signed_headers).text);
    return HD_SIGV4_GOOD;
}

static enum hd_sigv4_fault too_long(struct hd_sigv4_refusal *refusal)
{
    return refuse(refusal, HD_SIGV4_INCOMPLETE,
                  "The credentials of this request are longer than any real ones, or have a broken "
                  "percent-escape.");
}

static enum hd_sigv4_fault parse_header(struct hd_sigv4_claim *c,
                                        const struct hd_sigv4_request *req, struct hd_str value,
                                        struct hd_sigv4_refusal *refusal)
{
    struct hd_str rest = hd_str_n(value.ptr + strlen(algorithm), value.len - strlen(algorithm));
    struct hd_str part, name, credential = {NULL, 0}, time = {NULL, 0}, token = {NULL, 0};
    while (hd_str_split(&part, &rest, ',')) {
        part = hd_str_trim(part);
        if (hd_str_find(part, '=') == part.len)
            return refuse(refusal, HD_SIGV4_INCOMPLETE,
                          "'%s' not a valid key=value pair (missing equal-sign) in Authorization "
                          "header.",
                          quote(part).text);
        hd_str_split(&name, &part, '=');
        struct hd_str *to = hd_str_is(name, "Credential")      ? &credential
                            : hd_str_is(name, "SignedHeaders") ? &c->signed_headers
                            : hd_str_is(name, "Signature")     ? &c->signature
                                                               : NULL;
        if (to == NULL)
            continue;
        if (to->ptr != NULL)
            return refuse(refusal, HD_SIGV4_INCOMPLETE,
                          "Authorization header has '%s' more than once.", quote(name).text);
        if (!keep(c, to, part, false))
            return too_long(refusal);
    }
    size_t times = hd_sigv4_field(&time, req, "X-Amz-Date");
    size_t tokens = hd_sigv4_field(&token, req, "X-Amz-Security-Token");
    if (credential.ptr == NULL || c->signature.ptr == NULL || c->signed_headers.ptr == NULL ||
        times == 0)
        return refuse(
            refusal, HD_SIGV4_INCOMPLETE, "%s%s%s%sAuthorization=%s",
            credential.ptr == NULL ? "Authorization header requires 'Credential' parameter. " : "",
            c->signature.ptr == NULL ? "Authorization header requires 'Signature' parameter. " : "",
            c->signed_headers.ptr == NULL
                ? "Authorization header requires 'SignedHeaders' parameter. "
                : "",
            times == 0 ? "Authorization header requires existence of a 'X-Amz-Date' header. " : "",
            algorithm);
    if (times > 1 || tokens > 1)
        return refuse(refusal, HD_SIGV4_INCOMPLETE,
                      "'X-Amz-Date' and 'X-Amz-Security-Token' must not be sent more than once.");
    if (!keep(c, &c->time, time, false) || (tokens == 1 && !keep(c, &c->token, token, false)))
        return too_long(refusal);
    return read_rest(c, credential, refusal);
}

static enum hd_sigv4_fault parse_query(struct hd_sigv4_claim *c, const struct hd_sigv4_request *req,
                                       struct hd_sigv4_refusal *refusal)
{
    struct hd_str credential = {NULL, 0}, expires = {NULL, 0}, used = {NULL, 0};
    const struct {
        const char *name;
        struct hd_str *to;
        bool needed;
    } wanted[] = {
        {"X-Amz-Algorithm", &used, true},
        {"X-Amz-Credential", &credential, true},
        {"X-Amz-Date", &c->time, true},
        {"X-Amz-Expires", &expires, true},
        {"X-Amz-SignedHeaders", &c->signed_headers, true},
        {"X-Amz-Signature", &c->signature, true},
        {"X-Amz-Security-Token", &c->token, false},
    };
    struct hd_str rest = req->query, pair, name;
    c->presigned = true;
    while (hd_str_split(&pair, &rest, '&')) {
        struct hd_str value = pair;
        hd_str_split(&name, &value, '=');
        for (size_t i = 0; i < HD_COUNT(wanted); i++) {
            if (!hd_str_is(name, wanted[i].name))
                continue;
            if (wanted[i].to->ptr != NULL)
                return refuse(refusal, HD_SIGV4_INCOMPLETE,
                              "AWS query-string parameter '%s' must not be given more than once.",
                              wanted[i].name);
            if (!keep(c, wanted[i].to, value, true))
                return too_long(refusal);
        }
    }
    for (size_t i = 0; i < HD_COUNT(wanted); i++)
        if (wanted[i].needed && wanted[i].to->ptr == NULL)
            return refuse(refusal, HD_SIGV4_INCOMPLETE,
                          "AWS query-string parameters must include '%s'. Re-examine the "
                          "query-string parameters.",
                          wanted[i].name);
    if (!hd_str_is(used, algorithm))
        return refuse(refusal, HD_SIGV4_INCOMPLETE, "Unsupported AWS 'algorithm': '%s'.",
                      quote(used).text);
    uint64_t seconds;
    if (hd_str_to_u64(&seconds, expires) < 0 || seconds < 1 || seconds > EXPIRES_MAX_S)
        return refuse(refusal, HD_SIGV4_INCOMPLETE,
                      "X-Amz-Expires must be a number of seconds from 1 to %d, got '%s'.",
                      EXPIRES_MAX_S, quote(expires).text);
    c->expires_s = (uint32_t)seconds;
    return read_rest(c, credential, refusal);
}

static bool is_presigned(struct hd_str query)
{
    struct hd_str rest = query, pair;
    while (hd_str_split(&pair, &rest, '&'))
        if (hd_str_starts(pair, hd_str("X-Amz-Signature=")) ||
            hd_str_starts(pair, hd_str("X-Amz-Algorithm=")))
            return true;
    return false;
}

enum hd_sigv4_fault hd_sigv4_parse(struct hd_sigv4_claim *claim, const struct hd_sigv4_request *req,
                                   struct hd_sigv4_refusal *refusal)
{
    memset(claim, 0, offsetof(struct hd_sigv4_claim, memory));
    *refusal = (struct hd_sigv4_refusal){.fault = HD_SIGV4_GOOD};
    struct hd_str header = {NULL, 0};
    size_t headers = hd_sigv4_field(&header, req, "Authorization");
    header = hd_str_trim(header);
    bool presigned = is_presigned(req->query);
    bool ours = headers > 0 && hd_str_starts(header, hd_str("AWS"));
    if (!ours && !presigned)
        return refuse(refusal, HD_SIGV4_MISSING, "Missing Authentication Token");
    if (headers > 1 || (headers > 0 && presigned))
        return refuse(refusal, HD_SIGV4_INCOMPLETE,
                      "Only one way of signing is allowed: one Authorization header, or the "
                      "X-Amz-Algorithm query parameter.");
    if (presigned)
        return parse_query(claim, req, refusal);
    size_t n = strlen(algorithm);
    if (!hd_str_starts(header, hd_str(algorithm)) || (header.len > n && header.ptr[n] != ' '))
        return refuse(refusal, HD_SIGV4_INCOMPLETE, "Unsupported AWS 'algorithm': '%s'.",
                      quote(hd_str_n(header.ptr, hd_str_find(header, ' '))).text);
    return parse_header(claim, req, header, refusal);
}

/* --- checking --- */

static enum hd_sigv4_fault check_scope(const struct hd_sigv4_claim *c, const char *service,
                                       struct hd_sigv4_refusal *refusal)
{
    if (!hd_str_is(c->service, service))
        return refuse(refusal, HD_SIGV4_INVALID,
                      "Credential should be scoped to correct service: '%s'. ", service);
    if (memcmp(c->date.ptr, c->time.ptr, 8) != 0)
        return refuse(refusal, HD_SIGV4_INVALID,
                      "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of "
                      "date from HTTP: '%.*s' != '%.8s', from '%.*s'.",
                      HD_FMT(c->date), c->time.ptr, HD_FMT(c->time));
    return HD_SIGV4_GOOD;
}

static enum hd_sigv4_fault check_time(const struct hd_sigv4_claim *c,
                                      const struct hd_sigv4_rules *rules,
                                      struct hd_sigv4_refusal *refusal)
{
    int64_t skew_s = rules->max_skew_s != 0 ? rules->max_skew_s : SKEW_S, now = rules->now_unix_s;
    int64_t lives_s = c->presigned ? c->expires_s : skew_s;
    bool early = c->time_unix_s > now + skew_s;
    if (!early && c->time_unix_s >= now - lives_s)
        return HD_SIGV4_GOOD;
    char limit[17], here[17];
    int64_t margin_s = early ? skew_s : lives_s;
    bool minutes = margin_s % 60 == 0;
    format_time(limit, early ? now + margin_s : now - margin_s);
    format_time(here, now);
    return refuse(refusal, HD_SIGV4_INVALID, "Signature %s: %.*s is %s than %s (%s %c %lld %s.)",
                  early ? "not yet current" : "expired", HD_FMT(c->time),
                  early ? "still later" : "now earlier", limit, here, early ? '+' : '-',
                  (long long)(minutes ? margin_s / 60 : margin_s), minutes ? "min" : "sec");
}

static bool is_signed(const struct hd_sigv4_claim *c, struct hd_str name)
{
    struct hd_str rest = c->signed_headers, one;
    while (hd_str_split(&one, &rest, ';'))
        if (hd_str_eq_nocase(one, name))
            return true;
    return false;
}

static enum hd_sigv4_fault check_headers(const struct hd_sigv4_claim *c,
                                         const struct hd_sigv4_request *req,
                                         struct hd_sigv4_refusal *refusal)
{
    if (!is_signed(c, hd_str("host")))
        return refuse(refusal, HD_SIGV4_INVALID,
                      "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
    for (size_t i = 0; i < req->n_fields; i++) {
        struct hd_str name = req->fields[i].name;
        bool amz = name.len > 6 && hd_str_eq_nocase(hd_str_n(name.ptr, 6), hd_str("x-amz-"));
        if (amz && !is_signed(c, name))
            return refuse(refusal, HD_SIGV4_INVALID,
                          "'%s' must be a 'SignedHeader' in the AWS Authorization.",
                          quote(name).text);
    }
    return HD_SIGV4_GOOD;
}

/* The hash that was sent along, if one was, is that of the body that came. */
static enum hd_sigv4_fault check_payload(const struct hd_sigv4_request *req, const char *hash,
                                         struct hd_sigv4_refusal *refusal)
{
    struct hd_str said;
    size_t n = hd_sigv4_field(&said, req, "X-Amz-Content-Sha256");
    if (n == 0 || (n == 1 && hd_str_is(said, hash)))
        return HD_SIGV4_GOOD;
    unsigned char ignored[HD_SHA256_BYTES];
    return refuse(refusal, HD_SIGV4_INVALID, "%s (X-Amz-Content-Sha256 %s)", mismatch,
                  n == 1 && hd_unhex(ignored, sizeof(ignored), said) == 0
                      ? "is not the hash of the body that was received"
                      : "must be one hash of the body: unsigned payloads are not taken");
}

static enum hd_sigv4_fault check_signature(const struct hd_sigv4_claim *c,
                                           const struct hd_sigv4_request *req, const char *hash,
                                           struct hd_str secret, struct hd_sigv4_keys *keys,
                                           struct hd_sigv4_refusal *refusal)
{
    const struct hd_sigv4_canon canon = {
        .req = req, .signed_headers = c->signed_headers, .payload_hash = hd_str(hash)};
    struct hd_buf text;
    hd_buf_init(&text, HD_SIGV4_TEXT_MAX);
    struct hd_error err;
    int rc = hd_sigv4_canonical(&text, &canon, &err);
    char expected[2 * HD_SHA256_BYTES + 1] = "";
    if (rc == 0)
        hd_sigv4_signature(expected, hd_buf_view(&text), c->time, c->date, c->region, c->service,
                           secret, keys);
    hd_buf_done(&text);
    if (rc < 0)
        return refuse(refusal, HD_SIGV4_INVALID, "%s (%s)", mismatch, err.msg);
    if (!hd_str_eq_secret(c->signature, hd_str(expected)))
        return refuse(refusal, HD_SIGV4_INVALID, "%s", mismatch);
    return HD_SIGV4_GOOD;
}

enum hd_sigv4_fault hd_sigv4_verify(const struct hd_sigv4_claim *claim,
                                    const struct hd_sigv4_request *req,
                                    const struct hd_sigv4_key *key,
                                    const struct hd_sigv4_rules *rules,
                                    struct hd_sigv4_refusal *refusal)
{
    *refusal = (struct hd_sigv4_refusal){.fault = HD_SIGV4_GOOD};
    enum hd_sigv4_fault fault = check_scope(claim, rules->service, refusal);
    if (fault != HD_SIGV4_GOOD)
        return fault;
    if (key == NULL || key->secret.len == 0 || key->secret.len > HD_SIGV4_SECRET_MAX ||
        !hd_str_eq_secret(key->token, claim->token))
        return refuse(refusal, HD_SIGV4_UNKNOWN,
                      "The security token included in the request is invalid.");
    char hash[2 * HD_SHA256_BYTES + 1];
    hd_hex(hash, req->body_sha256, HD_SHA256_BYTES);
    fault = check_time(claim, rules, refusal);
    if (fault == HD_SIGV4_GOOD)
        fault = check_headers(claim, req, refusal);
    if (fault == HD_SIGV4_GOOD)
        fault = check_payload(req, hash, refusal);
    if (fault == HD_SIGV4_GOOD)
        fault = check_signature(claim, req, hash, key->secret, rules->keys, refusal);
    return fault;
}
