/* test/unit/test_sigv4.c - what AWS clients signed is taken, and nothing that differs by a byte.
 * The signatures were made by botocore, but for the one that AWS publishes. */
#include "auth/sigv4.h"

#include "core/id.h"
#include "test.h"

#define KEY_ID "AKIAIOSFODNN7EXAMPLE"
#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define TOKEN "TOKEN/abc+=="
#define SCOPE KEY_ID "/20260102/us-east-1/lambda/aws4_request"
#define AUTH(headers, signature) \
    "AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=" headers ", Signature=" signature
#define DEMO "e39b10013de393bc49c8a6e44d57bf3662d355fb7a72a361b62e94339aaad6be"
#define DEMO_PATH                                                                            \
    "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Ademo/" \
    "invocations"

static const int64_t signed_at = 1767323045; /* 2026-01-02T03:04:05Z */

/* A request, changed by the tests as they like. */
struct wire {
    const char *method, *path, *query, *host, *body;
    size_t body_len; /* 0: strlen */
    struct {
        const char *name, *value;
    } fields[8];
};

static const struct wire demo = {
    .method = "POST",
    .path = DEMO_PATH,
    .query = "Qualifier=prod",
    .host = "127.0.0.1:8766",
    .body = "{\"a\":1}",
    .fields = {{"Content-Type", "application/json"},
               {"X-Amz-Date", "20260102T030405Z"},
               {"User-Agent", "whoever"},
               {"Authorization", AUTH("content-type;host;x-amz-date", DEMO)}},
};
static const struct hd_sigv4_key demo_key = {.id = HD_LIT(KEY_ID), .secret = HD_LIT(SECRET)};

struct request {
    struct hd_sigv4_request req;
    struct hd_field fields[9];
    unsigned char hash[HD_SHA256_BYTES];
};

static void make(struct request *r, const struct wire *w)
{
    *r = (struct request){.req = {.method = hd_str(w->method),
                                  .path = hd_str(w->path),
                                  .query = hd_str(w->query),
                                  .authority = hd_str(w->host),
                                  .fields = r->fields,
                                  .body_sha256 = r->hash}};
    for (size_t i = 0; i < HD_COUNT(w->fields) && w->fields[i].name != NULL; i++)
        r->fields[r->req.n_fields++] =
            (struct hd_field){hd_str(w->fields[i].name), hd_str(w->fields[i].value)};
    struct hd_str body = hd_str(w->body);
    if (w->body_len > 0)
        body.len = w->body_len;
    hd_sigv4_hash(r->hash, body);
}

static enum hd_sigv4_fault check_at(const struct wire *w, const struct hd_sigv4_key *key,
                                    int64_t now_unix_s, struct hd_sigv4_refusal *refusal)
{
    struct request r;
    struct hd_sigv4_claim claim;
    make(&r, w);
    enum hd_sigv4_fault fault = hd_sigv4_parse(&claim, &r.req, refusal);
    if (fault == HD_SIGV4_GOOD) {
        const struct hd_sigv4_rules rules = {.service = "lambda", .now_unix_s = now_unix_s};
        fault = hd_sigv4_verify(&claim, &r.req, key, &rules, refusal);
    }
    assert_int_equal(fault, refusal->fault);
    assert_true((fault == HD_SIGV4_GOOD) == (refusal->message[0] == '\0'));
    return fault;
}

static enum hd_sigv4_fault check(const struct wire *w, struct hd_sigv4_refusal *refusal)
{
    return check_at(w, &demo_key, signed_at, refusal);
}

static void takes_what_clients_signed(void **state)
{
    static const struct {
        struct wire w;
        const char *token;
    } cases[] = {
        {{.method = "GET",
          .path = "/2015-03-31/functions/",
          .query = "b=2&a=%C3%A4&a=&A=1&c",
          .fields = {{"X-Amz-Date", "20260102T030405Z"},
                     {"Authorization",
                      AUTH("host;x-amz-date",
                           "77d0511bd57a6eb16a9f9487c9488e35dd9484d067dc9c07304e24e7fadf5943")}}},
         NULL},
        {{.method = "GET",
          .path = "/a//b/./../c/%20x/",
          .fields = {{"x-custom", "  two   blanks  inside "},
                     {"X-Amz-Date", "20260102T030405Z"},
                     {"Authorization",
                      AUTH("host;x-amz-date;x-custom",
                           "ee3cb824105d30b4386827d9b5089d2c6274667ccfcf1e7aa7f6ddb75354829d")}}},
         NULL},
        {{.method = "PUT",
          .path = "/x:y",
          .body = "\xff\0",
          .body_len = 2,
          .fields = {{"X-Amz-Log-Type", "Tail"},
                     {"X-Amz-Date", "20260102T030405Z"},
                     {"X-Amz-Security-Token", TOKEN},
                     {"Authorization",
                      AUTH("host;x-amz-date;x-amz-log-type;x-amz-security-token",
                           "2ee03a129690ab29df713b4c6b082bc124c5d4f1e91869d2ac8b4f45bab0fecb")}}},
         TOKEN},
        {{.method = "GET",
          .path = "/2015-03-31/functions/",
          .query = "MaxItems=5&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
                   "AKIAIOSFODNN7EXAMPLE%2F20260102%2Fus-east-1%2Flambda%2Faws4_request&X-Amz-Date="
                   "20260102T030405Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature="
                   "abbc2143258af3e0841c6bd0a68f678fa9f1a0a87369f49ac4bddd1ac57ca5c8"},
         NULL},
        {{.method = "GET",
          .path = "/2015-03-31/functions/demo",
          .query =
              "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
              "AKIAIOSFODNN7EXAMPLE%2F20260102%2Fus-east-1%2Flambda%2Faws4_request&X-Amz-Date="
              "20260102T030405Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Security-Token="
              "TOKEN%2Fabc%2B%3D%3D&X-Amz-Signature="
              "a6d86c4d50b2340eb9593c3316e4c8a23ca3f06efb2c55da50ddef2d05aebaa8"},
         TOKEN},
    };
    struct hd_sigv4_refusal refusal;
    assert_int_equal(check(&demo, &refusal), HD_SIGV4_GOOD);
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct wire w = cases[i].w;
        w.host = "127.0.0.1:8766";
        struct hd_sigv4_key key = demo_key;
        key.token = hd_str(cases[i].token);
        if (check_at(&w, &key, signed_at, &refusal) != HD_SIGV4_GOOD)
            fail_msg("case %zu: %s", i, refusal.message);
        key.token = hd_str(cases[i].token != NULL ? "another" : "some");
        assert_int_equal(check_at(&w, &key, signed_at, &refusal), HD_SIGV4_UNKNOWN);
    }
    (void)state;
}

static void tells_who_signed(void **state)
{
    struct request r;
    struct hd_sigv4_claim claim;
    struct hd_sigv4_refusal refusal;
    make(&r, &demo);
    assert_int_equal(hd_sigv4_parse(&claim, &r.req, &refusal), HD_SIGV4_GOOD);
    assert_false(claim.presigned);
    assert_true(hd_str_is(claim.key_id, KEY_ID));
    assert_true(hd_str_is(claim.region, "us-east-1"));
    assert_true(hd_str_is(claim.service, "lambda"));
    assert_true(hd_str_is(claim.signed_headers, "content-type;host;x-amz-date"));
    assert_true(hd_str_is(claim.signature, DEMO));
    assert_null(claim.token.ptr);
    assert_int_equal(claim.time_unix_s, signed_at);
    (void)state;
}

static void refuses_whatever_was_changed(void **state)
{
    struct hd_sigv4_refusal refusal;
    struct wire w = demo;
    w.method = "PUT";
    assert_int_equal(check(&w, &refusal), HD_SIGV4_INVALID);
    w = demo, w.path = "/2015-03-31/functions/other/invocations";
    assert_int_equal(check(&w, &refusal), HD_SIGV4_INVALID);
    w = demo, w.query = "Qualifier=test";
    assert_int_equal(check(&w, &refusal), HD_SIGV4_INVALID);
    w = demo, w.query = "Qualifier=prod&x";
    assert_int_equal(check(&w, &refusal), HD_SIGV4_INVALID);
    w = demo, w.host = "127.0.0.1:8767";
    assert_int_equal(check(&w, &refusal), HD_SIGV4_INVALID);
    w = demo, w.body = "{\"a\":2}";
    assert_int_equal(check(&w, &refusal), HD_SIGV4_INVALID);
    w = demo, w.fields[0].value = "application/JSON";
    assert_int_equal(check(&w, &refusal), HD_SIGV4_INVALID);
    w = demo, w.fields[1].value = "20260102T030406Z";
    assert_int_equal(check(&w, &refusal), HD_SIGV4_INVALID);
    w = demo, w.fields[2].value = "someone else"; /* not signed */
    assert_int_equal(check(&w, &refusal), HD_SIGV4_GOOD);
    assert_string_equal(hd_sigv4_error_type(HD_SIGV4_INVALID), "InvalidSignatureException");

    static const char say[] =
        "The request signature we calculated does not match the signature you provided. Check your "
        "AWS Secret Access Key and signing method. Consult the service documentation for details.";
    struct hd_sigv4_key key = demo_key;
    key.secret = hd_str("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEZ");
    assert_int_equal(check_at(&demo, &key, signed_at, &refusal), HD_SIGV4_INVALID);
    assert_string_equal(refusal.message, say);
    (void)state;
}

static void every_digit_of_the_signature_counts(void **state)
{
    char auth[] = AUTH("content-type;host;x-amz-date", DEMO);
    struct wire w = demo;
    w.fields[3].value = auth;
    struct hd_sigv4_refusal refusal;
    assert_int_equal(check(&w, &refusal), HD_SIGV4_GOOD);
    for (size_t i = sizeof(auth) - 65; i < sizeof(auth) - 1; i++) {
        char was = auth[i];
        auth[i] = was == '0' ? '1' : '0';
        assert_int_equal(check(&w, &refusal), HD_SIGV4_INVALID);
        auth[i] = was;
    }
    (void)state;
}

static void knows_early_from_late(void **state)
{
    struct hd_sigv4_refusal refusal;
    assert_int_equal(check_at(&demo, &demo_key, signed_at + 300, &refusal), HD_SIGV4_GOOD);
    assert_int_equal(check_at(&demo, &demo_key, signed_at - 300, &refusal), HD_SIGV4_GOOD);
    assert_int_equal(check_at(&demo, &demo_key, signed_at + 301, &refusal), HD_SIGV4_INVALID);
    assert_string_equal(refusal.message,
                        "Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z "
                        "(20260102T030906Z - 5 min.)");
    assert_int_equal(check_at(&demo, &demo_key, signed_at - 301, &refusal), HD_SIGV4_INVALID);
    assert_string_equal(refusal.message,
                        "Signature not yet current: 20260102T030405Z is still later than "
                        "20260102T030404Z (20260102T025904Z + 5 min.)");
    (void)state;
}

static void a_presigned_url_lives_as_long_as_it_says(void **state)
{
    const struct wire w = {
        .method = "GET",
        .path = "/2015-03-31/functions/",
        .query = "MaxItems=5&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
                 "AKIAIOSFODNN7EXAMPLE%2F20260102%2Fus-east-1%2Flambda%2Faws4_request&X-Amz-Date="
                 "20260102T030405Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature="
                 "abbc2143258af3e0841c6bd0a68f678fa9f1a0a87369f49ac4bddd1ac57ca5c8",
        .host = "127.0.0.1:8766"};
    struct hd_sigv4_refusal refusal;
    assert_int_equal(check_at(&w, &demo_key, signed_at + 900, &refusal), HD_SIGV4_GOOD);
    assert_int_equal(check_at(&w, &demo_key, signed_at + 901, &refusal), HD_SIGV4_INVALID);
    assert_string_equal(refusal.message,
                        "Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z "
                        "(20260102T031906Z - 15 min.)");
    assert_int_equal(check_at(&w, &demo_key, signed_at - 301, &refusal), HD_SIGV4_INVALID);
    (void)state;
}

static void nobody_has_that_key(void **state)
{
    struct hd_sigv4_refusal refusal;
    assert_int_equal(check_at(&demo, NULL, signed_at, &refusal), HD_SIGV4_UNKNOWN);
    assert_string_equal(refusal.message, "The security token included in the request is invalid.");
    assert_string_equal(hd_sigv4_error_type(HD_SIGV4_UNKNOWN), "UnrecognizedClientException");
    struct hd_sigv4_key empty = {.secret = hd_str("")};
    assert_int_equal(check_at(&demo, &empty, signed_at, &refusal), HD_SIGV4_UNKNOWN);
    (void)state;
}

static void the_scope_must_fit(void **state)
{
    struct request r;
    struct hd_sigv4_claim claim;
    struct hd_sigv4_refusal refusal;
    make(&r, &demo);
    hd_sigv4_parse(&claim, &r.req, &refusal);
    const struct hd_sigv4_rules rules = {.service = "s3", .now_unix_s = signed_at};
    assert_int_equal(hd_sigv4_verify(&claim, &r.req, &demo_key, &rules, &refusal),
                     HD_SIGV4_INVALID);
    assert_string_equal(refusal.message, "Credential should be scoped to correct service: 's3'. ");
    struct wire w = demo;
    w.fields[1].value = "20260103T030405Z";
    assert_int_equal(check(&w, &refusal), HD_SIGV4_INVALID);
    assert_string_equal(refusal.message,
                        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of "
                        "date from HTTP: '20260102' != '20260103', from '20260103T030405Z'.");
    (void)state;
}

static void what_must_be_signed_is(void **state)
{
    struct hd_sigv4_refusal refusal;
    struct wire w = demo;
    w.fields[2].name = "X-Amz-Invocation-Type";
    assert_int_equal(check(&w, &refusal), HD_SIGV4_INVALID);
    assert_string_equal(
        refusal.message,
        "'X-Amz-Invocation-Type' must be a 'SignedHeader' in the AWS Authorization.");
    w = demo, w.fields[3].value = AUTH("content-type;x-amz-date", DEMO);
    assert_int_equal(check(&w, &refusal), HD_SIGV4_INVALID);
    w = demo, w.fields[3].value = AUTH("content-type;host;x-amz-date;x-there-is-none", DEMO);
    assert_int_equal(check(&w, &refusal), HD_SIGV4_INVALID);
    (void)state;
}

static void the_hash_sent_along_must_be_of_this_body(void **state)
{
    static const struct {
        const char *said, *text;
    } cases[] = {
        {"UNSIGNED-PAYLOAD", "unsigned payloads are not taken"},
        {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "unsigned payloads are not taken"},
        {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "is not the hash"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct wire w = demo;
        w.fields[2].name = "X-Amz-Content-Sha256";
        w.fields[2].value = cases[i].said;
        w.fields[3].value = AUTH("content-type;host;x-amz-content-sha256;x-amz-date", DEMO);
        struct hd_sigv4_refusal refusal;
        assert_int_equal(check(&w, &refusal), HD_SIGV4_INVALID);
        assert_non_null(strstr(refusal.message, cases[i].text));
    }
    (void)state;
}

static void credentials_that_cannot_be_read_are_refused(void **state)
{
    static const struct {
        const char *auth, *text;
    } cases[] = {
        {"AWS4-HMAC-SHA256", "missing equal-sign"},
        {"AWS4-HMAC-SHA256 Credential", "missing equal-sign"},
        {"AWS4-HMAC-SHA256 Credential=" SCOPE,
         "requires 'Signature' parameter. Authorization header "
         "requires 'SignedHeaders' parameter."},
        {"AWS4-ECDSA-P256-SHA256 Credential=" SCOPE, "'algorithm': 'AWS4-ECDSA-P256-SHA256'"},
        {"AWS4-HMAC-SHA256x Credential=" SCOPE, "'algorithm'"},
        {"AWS AKID:sig", "'algorithm': 'AWS'"},
        {AUTH("host", DEMO) ", Signature=" DEMO, "more than once"},
        {"AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=" DEMO, "exactly 5"},
        {"AWS4-HMAC-SHA256 Credential=a/20260102/us-east-1/lambda/aws4_request/x, "
         "SignedHeaders=host, Signature=" DEMO,
         "exactly 5"},
        {"AWS4-HMAC-SHA256 Credential=a/20260102/us-east-1/lambda/aws4, SignedHeaders=host, "
         "Signature=" DEMO,
         "terminator"},
        {"AWS4-HMAC-SHA256 Credential=/20260102/us-east-1/lambda/aws4_request, SignedHeaders=host, "
         "Signature=" DEMO,
         "access key"},
        {"AWS4-HMAC-SHA256 Credential=a/2026010/us-east-1/lambda/aws4_request, SignedHeaders=host, "
         "Signature=" DEMO,
         "YYYYMMDD"},
        {"AWS4-HMAC-SHA256 Credential=a/20260102/..%2Fx/lambda/aws4_request, SignedHeaders=host, "
         "Signature=" DEMO,
         "valid region"},
        {AUTH("Host", DEMO), "lower case"},
        {AUTH("host;;x", DEMO), "lower case"},
        {AUTH("", DEMO), "lower case"},
        {AUTH("host", "e39b"), "64 lower-case"},
        {AUTH("host", "E39b10013de393bc49c8a6e44d57bf3662d355fb7a72a361b62e94339aaad6be"),
         "64 lower-case"},
    };
    struct hd_sigv4_refusal refusal;
    struct wire w = demo;
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        w.fields[3].value = cases[i].auth;
        if (check(&w, &refusal) != HD_SIGV4_INCOMPLETE ||
            strstr(refusal.message, cases[i].text) == NULL)
            fail_msg("%s: %d %s", cases[i].auth, refusal.fault, refusal.message);
    }
    w = demo, w.fields[1].name = "X-Other-Date";
    assert_int_equal(check(&w, &refusal), HD_SIGV4_INCOMPLETE);
    w = demo, w.fields[2].name = "Authorization";
    assert_int_equal(check(&w, &refusal), HD_SIGV4_INCOMPLETE);
    w = demo, w.query = "X-Amz-Algorithm=AWS4-HMAC-SHA256";
    assert_int_equal(check(&w, &refusal), HD_SIGV4_INCOMPLETE);
    static const char *const times[] = {"20260102T030405",  "20260102 030405Z", "20260230T030405Z",
                                        "20261302T030405Z", "20260102T250405Z", "",
                                        "2026010aT030405Z", "20260102T030460Z"};
    for (size_t i = 0; i < HD_COUNT(times); i++) {
        w = demo, w.fields[1].value = times[i];
        assert_int_equal(check(&w, &refusal), HD_SIGV4_INCOMPLETE);
        assert_non_null(strstr(refusal.message, "ISO-8601"));
    }
    (void)state;
}

static void presigned_queries_that_cannot_be_read_are_refused(void **state)
{
    static const char full[] =
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2F20260102%2Fus-"
        "east-1%2Flambda%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-"
        "Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=" DEMO;
    static const struct {
        const char *from, *to, *text;
    } cases[] = {
        {"X-Amz-Algorithm", "X-Amz-Al", "must include 'X-Amz-Algorithm'"},
        {"X-Amz-Credential", "x", "must include 'X-Amz-Credential'"},
        {"X-Amz-Date", "x", "must include 'X-Amz-Date'"},
        {"X-Amz-Expires", "x", "must include 'X-Amz-Expires'"},
        {"X-Amz-SignedHeaders", "x", "must include 'X-Amz-SignedHeaders'"},
        {"X-Amz-Signature", "x", "must include 'X-Amz-Signature'"},
        {"HMAC-SHA256", "HMAC-SHA1", "Unsupported"},
        {"=900", "=0", "from 1 to 604800"},
        {"=900", "=604801", "from 1 to 604800"},
        {"=900", "=9m", "from 1 to 604800"},
        {"=900", "=900&X-Amz-Expires=1", "more than once"},
        {"a%2F", "a%G", "percent-escape"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_buf query;
        hd_buf_init(&query, 4096);
        const char *at = strstr(full, cases[i].from);
        assert_non_null(at);
        hd_buf_add(&query, full, (size_t)(at - full));
        hd_buf_fmt(&query, "%s%s", cases[i].to, at + strlen(cases[i].from));
        hd_auto_free char *text = hd_buf_take(&query);
        struct wire w = {.method = "GET", .path = "/", .query = text, .host = "h"};
        struct hd_sigv4_refusal refusal;
        if (check(&w, &refusal) != HD_SIGV4_INCOMPLETE ||
            strstr(refusal.message, cases[i].text) == NULL)
            fail_msg("%s: %d %s", text, refusal.fault, refusal.message);
    }
    (void)state;
}

static void credentials_of_another_kind_are_not_ours(void **state)
{
    static const char *const kinds[] = {"Bearer abc", "Basic QTpC", ""};
    struct hd_sigv4_refusal refusal;
    for (size_t i = 0; i < HD_COUNT(kinds); i++) {
        struct wire w = demo;
        w.fields[3].value = kinds[i];
        assert_int_equal(check(&w, &refusal), HD_SIGV4_MISSING);
        assert_string_equal(refusal.message, "Missing Authentication Token");
    }
    (void)state;
}

static void a_request_over_all_measure_is_refused(void **state)
{
    struct hd_buf query;
    hd_buf_init(&query, 1 << 20);
    for (int i = 0; i < 300; i++)
        hd_buf_cstr(&query, "a=1&");
    hd_auto_free char *text = hd_buf_take(&query);
    struct wire w = demo;
    w.query = text;
    struct hd_sigv4_refusal refusal;
    assert_int_equal(check(&w, &refusal), HD_SIGV4_INVALID);
    assert_non_null(strstr(refusal.message, "more than 256 parameters"));
    hd_auto_free char *token = hd_alloc(8000);
    memset(token, 'x', 7999);
    w = demo, w.fields[2].name = "X-Amz-Security-Token", w.fields[2].value = token;
    assert_int_equal(check(&w, &refusal), HD_SIGV4_INCOMPLETE);
    (void)state;
}

static void signs_as_other_clients_do(void **state)
{
    static const struct {
        struct wire w;
        const char *token, *region, *service, *headers, *signature;
        bool plain_path;
    } cases[] = {
        {{.method = "POST",
          .path = DEMO_PATH,
          .query = "Qualifier=prod",
          .host = "127.0.0.1:8766",
          .body = "{\"a\":1}",
          .fields = {{"Content-Type", "application/json"}}},
         NULL,
         "us-east-1",
         "lambda",
         "content-type;host;x-amz-date",
         DEMO,
         false},
        {{.method = "POST",
          .path = "/",
          .host = "127.0.0.1:9324",
          .body = "{}",
          .fields = {{"X-Amz-Target", "AmazonSQS.ReceiveMessage"},
                     {"Content-Type", "application/x-amz-json-1.0"}}},
         TOKEN,
         "eu-west-1",
         "sqs",
         "content-type;host;x-amz-date;x-amz-security-token;x-amz-target",
         "e4af9dca75f2d6b5cae546117f05705d2199d75f4eeb7c0e64ef0200f9c18b04",
         false},
        {{.method = "PUT", .path = "/bucket/a//b%20c", .host = "127.0.0.1:9000", .body = "hello"},
         NULL,
         "us-east-1",
         "s3",
         "host;x-amz-content-sha256;x-amz-date",
         "b70f27dfd92838f5d59a613d8d303c8927b30a3a94b9c725678633c559b5d63c",
         true},
    };
    struct hd_sigv4_keys *keys = hd_sigv4_keys_new();
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < HD_COUNT(cases); i++) {
            struct request r;
            make(&r, &cases[i].w);
            struct hd_sigv4_key key = demo_key;
            key.token = hd_str(cases[i].token);
            const struct hd_sigv4_scope scope = {.region = hd_str(cases[i].region),
                                                 .service = hd_str(cases[i].service),
                                                 .now_unix_s = signed_at,
                                                 .plain_path = cases[i].plain_path,
                                                 .keys = keys};
            struct hd_sigv4_signed out = {.time = ""};
            assert_int_equal(hd_sigv4_sign(&out, &r.req, &key, &scope, NULL), 0);
            hd_auto_free char *want =
                hd_printf("AWS4-HMAC-SHA256 Credential=" KEY_ID
                          "/20260102/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
                          cases[i].region, cases[i].service, cases[i].headers, cases[i].signature);
            hd_auto_free char *have = hd_strdup_n(hd_buf_view(&out.authorization));
            assert_string_equal(have, want);
            assert_string_equal(out.time, "20260102T030405Z");
            hd_sigv4_signed_done(&out);
        }
    }
    hd_sigv4_keys_free(keys);
    (void)state;
}

static void takes_the_published_vector(void **state)
{
    struct wire w = {.method = "GET", .path = "/", .host = "example.amazonaws.com"};
    struct request r;
    make(&r, &w);
    const struct hd_sigv4_key key = {.id = HD_LIT("AKIDEXAMPLE"),
                                     .secret = HD_LIT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")};
    const struct hd_sigv4_scope scope = {
        .region = HD_LIT("us-east-1"), .service = HD_LIT("service"), .now_unix_s = 1440938160};
    struct hd_sigv4_signed out = {.time = ""};
    assert_int_equal(hd_sigv4_sign(&out, &r.req, &key, &scope, NULL), 0);
    assert_true(hd_str_ends(
        hd_buf_view(&out.authorization),
        hd_str("Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")));
    hd_sigv4_signed_done(&out);
    (void)state;
}

static void keys_kept_are_kept_apart(void **state)
{
    struct hd_sigv4_keys *keys = hd_sigv4_keys_new();
    struct request r;
    make(&r, &demo);
    for (int64_t round = 0; round < 3; round++) {
        for (int64_t day = 0; day < 20; day++) { /* more than are kept */
            for (int which = 0; which < 2; which++) {
                struct hd_sigv4_key key = demo_key;
                if (which == 1)
                    key.secret = hd_str("another");
                struct hd_sigv4_scope scope = {.region = HD_LIT("us-east-1"),
                                               .service = HD_LIT("lambda"),
                                               .now_unix_s = signed_at + 86400 * day,
                                               .keys = keys};
                struct hd_sigv4_signed kept = {.time = ""}, anew = {.time = ""};
                assert_int_equal(hd_sigv4_sign(&kept, &r.req, &key, &scope, NULL), 0);
                scope.keys = NULL;
                assert_int_equal(hd_sigv4_sign(&anew, &r.req, &key, &scope, NULL), 0);
                assert_true(
                    hd_str_eq(hd_buf_view(&kept.authorization), hd_buf_view(&anew.authorization)));
                hd_sigv4_signed_done(&kept);
                hd_sigv4_signed_done(&anew);
            }
        }
    }
    hd_sigv4_keys_free(keys);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_clients_signed),
        cmocka_unit_test(tells_who_signed),
        cmocka_unit_test(refuses_whatever_was_changed),
        cmocka_unit_test(every_digit_of_the_signature_counts),
        cmocka_unit_test(knows_early_from_late),
        cmocka_unit_test(a_presigned_url_lives_as_long_as_it_says),
        cmocka_unit_test(nobody_has_that_key),
        cmocka_unit_test(the_scope_must_fit),
        cmocka_unit_test(what_must_be_signed_is),
        cmocka_unit_test(the_hash_sent_along_must_be_of_this_body),
        cmocka_unit_test(credentials_that_cannot_be_read_are_refused),
        cmocka_unit_test(presigned_queries_that_cannot_be_read_are_refused),
        cmocka_unit_test(credentials_of_another_kind_are_not_ours),
        cmocka_unit_test(a_request_over_all_measure_is_refused),
        cmocka_unit_test(signs_as_other_clients_do),
        cmocka_unit_test(takes_the_published_vector),
        cmocka_unit_test(keys_kept_are_kept_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
