/* test_who.c - the three rules, and what of a signature is believed and what is checked. */
#include "lambda/who.h"
#include "pool/lambdaenv.h"
#include "test.h"

#include <stdio.h>

static const int64_t now = 1767323045; /* 2026-01-02T03:04:05Z */
static struct hd_access_keys *keys;
static struct hd_who who;

/* A request with a signature made by us. */
struct signed_request {
    struct hd_field fields[4];
    struct hd_sigv4_signed by;
    unsigned char hash[HD_SHA256_BYTES];
    struct hd_sigv4_request req;
};

static void sign_with(struct signed_request *s, const char *id, const char *secret,
                      const char *token, const char *body)
{
    memset(s, 0, sizeof(*s));
    hd_sigv4_hash(s->hash, hd_str(body));
    s->fields[0] = (struct hd_field){HD_LIT("host"), HD_LIT("127.0.0.1:8766")};
    s->req = (struct hd_sigv4_request){.method = HD_LIT("POST"),
                                       .path = HD_LIT("/2015-03-31/functions/f/invocations"),
                                       .fields = s->fields,
                                       .n_fields = 1,
                                       .body_sha256 = s->hash};
    struct hd_sigv4_key key = {.id = hd_str(id), .secret = hd_str(secret), .token = hd_str(token)};
    struct hd_sigv4_scope scope = {
        .region = HD_LIT("eu-west-1"), .service = HD_LIT("lambda"), .now_unix_s = now};
    assert_int_equal(hd_sigv4_sign(&s->by, &s->req, &key, &scope, NULL), 0);
    s->fields[1] = (struct hd_field){HD_LIT("x-amz-date"), hd_str(s->by.time)};
    s->fields[2] = (struct hd_field){HD_LIT("authorization"), hd_buf_view(&s->by.authorization)};
    s->fields[3] = (struct hd_field){HD_LIT("x-amz-security-token"), hd_str(token)};
    s->req.n_fields = token != NULL ? 4 : 3;
}

static void sign(struct signed_request *s, const char *id, const char *secret, const char *body)
{
    sign_with(s, id, secret, NULL, body);
}

static int check(enum hd_who_rule rule, const struct hd_sigv4_request *req)
{
    struct hd_who_rules rules = {.rule = rule,
                                 .keys = keys,
                                 .account = "000000000000",
                                 .region = "us-east-1",
                                 .bearer = hd_str("internal")};
    return hd_who_check(&who, &rules, req, NULL, now);
}

static int start(void **state)
{
    keys = hd_access_keys_new();
    assert_int_equal(hd_access_keys_add(keys, hd_str("AKIDA:secret-a"), "000000000000", NULL), 0);
    assert_int_equal(
        hd_access_keys_add(keys, hd_str("AKIDB:secret-b:111122223333"), "000000000000", NULL), 0);
    (void)state;
    return 0;
}

static int stop(void **state)
{
    hd_access_keys_free(keys);
    (void)state;
    return 0;
}

static void off_believes_everything(void **state)
{
    struct signed_request s;
    sign(&s, "anybody", "anything", "{}");
    assert_int_equal(check(HD_WHO_OFF, &s.req), 0);
    assert_string_equal(who.region, "eu-west-1");
    assert_string_equal(who.account, "000000000000");
    assert_string_equal(who.key_id, "anybody");
    assert_string_equal(who.principal, "");
    assert_false(who.checked);
    hd_sigv4_signed_done(&s.by);
    sign(&s, "AKIDB", "wrong", "{}");
    assert_int_equal(check(HD_WHO_OFF, &s.req), 0);
    assert_string_equal(who.account, "111122223333");
    s.fields[2].value = hd_str("AWS4-HMAC-SHA256 nonsense");
    assert_int_equal(check(HD_WHO_OFF, &s.req), 0);
    s.req.n_fields = 1;
    assert_int_equal(check(HD_WHO_OFF, &s.req), 0);
    assert_string_equal(who.region, "us-east-1");
    hd_sigv4_signed_done(&s.by);
    (void)state;
}

static void known_checks_the_keys_it_has(void **state)
{
    struct signed_request s;
    sign(&s, "AKIDB", "secret-b", "{}");
    assert_int_equal(check(HD_WHO_KNOWN, &s.req), 0);
    assert_true(who.checked);
    assert_string_equal(who.principal, "arn:aws:iam::111122223333:user/AKIDB");
    hd_sigv4_signed_done(&s.by);
    sign(&s, "AKIDB", "wrong", "{}");
    assert_int_equal(check(HD_WHO_KNOWN, &s.req), HD_EDENIED);
    assert_int_equal(who.fault, HD_API_BAD_SIGNATURE);
    hd_sigv4_signed_done(&s.by);
    sign(&s, "AKIDX", "wrong", "{}");
    assert_int_equal(check(HD_WHO_KNOWN, &s.req), 0);
    assert_false(who.checked);
    hd_sigv4_signed_done(&s.by);
    (void)state;
}

static void required_refuses_what_is_not_proved(void **state)
{
    struct signed_request s;
    sign(&s, "AKIDA", "secret-a", "{}");
    assert_int_equal(check(HD_WHO_REQUIRED, &s.req), 0);
    assert_string_equal(who.account, "000000000000");
    hd_sigv4_hash(s.hash, hd_str("{\"another\":\"body\"}"));
    assert_int_equal(check(HD_WHO_REQUIRED, &s.req), HD_EDENIED);
    assert_int_equal(who.fault, HD_API_BAD_SIGNATURE);
    assert_true(who.message[0] != '\0');
    s.req.n_fields = 1;
    assert_int_equal(check(HD_WHO_REQUIRED, &s.req), HD_EDENIED);
    assert_int_equal(who.fault, HD_API_NO_SIGNATURE);
    s.fields[1] = (struct hd_field){HD_LIT("authorization"), HD_LIT("AWS4-HMAC-SHA256 x")};
    s.req.n_fields = 2;
    assert_int_equal(check(HD_WHO_REQUIRED, &s.req), HD_EDENIED);
    assert_int_equal(who.fault, HD_API_INCOMPLETE_SIGNATURE);
    hd_sigv4_signed_done(&s.by);
    sign(&s, "AKIDX", "secret-a", "{}");
    assert_int_equal(check(HD_WHO_REQUIRED, &s.req), HD_EDENIED);
    assert_int_equal(who.fault, HD_API_UNKNOWN_KEY);
    hd_sigv4_signed_done(&s.by);
    (void)state;
}

/* What an instance was given signs, with the token that came with it, for its own account. */
static void functions_have_keys_of_their_own(void **state)
{
    static const uint8_t key[HD_LAMBDAENV_KEY_BYTES] = {7}, old[HD_LAMBDAENV_KEY_BYTES] = {6};
    struct hd_lambdaenv_instance drawn;
    const struct hd_launch_lambda lambda = {
        .name = "f", .qualifier = "$LATEST", .account = "111122223333"};
    const struct hd_launch what = {.lambda = &lambda};
    const struct hd_lambdaenv_places places = {NULL};
    struct hd_strings env = {0};
    struct signed_request s;
    const char *token = NULL;
    struct hd_alive *alive = hd_alive_new();
    hd_lambdaenv_draw(&drawn, key, "$LATEST", "ABCDEFGHIJKLMNOP", now);
    hd_lambdaenv_list(&env, &what, &places, &drawn);
    for (size_t i = 0; i < env.n; i++)
        if (strncmp(env.items[i], "AWS_SESSION_TOKEN=", 18) == 0)
            token = env.items[i] + 18;
    assert_non_null(token);
    sign_with(&s, drawn.access_key_id, drawn.secret_access_key, token, "{}");
    hd_access_keys_derive(keys, old, NULL);
    assert_int_equal(check(HD_WHO_REQUIRED, &s.req), HD_EDENIED);
    assert_int_equal(who.fault, HD_API_UNKNOWN_KEY);
    hd_access_keys_derive(keys, key, alive);
    assert_int_equal(check(HD_WHO_REQUIRED, &s.req), HD_EDENIED); /* there is no such instance */
    assert_int_equal(who.fault, HD_API_UNKNOWN_KEY);
    hd_alive_begin(alive, "ABCDEFGHIJKLMNOP", "f", "r");
    assert_int_equal(check(HD_WHO_REQUIRED, &s.req), 0);
    assert_true(who.checked);
    assert_string_equal(who.account, "111122223333");
    assert_string_equal(who.function, "f");
    assert_string_equal(who.principal, "arn:aws:sts::111122223333:assumed-role/r/f");
    hd_alive_end(alive, "ABCDEFGHIJKLMNOP");
    assert_int_equal(check(HD_WHO_REQUIRED, &s.req), HD_EDENIED); /* any more */
    hd_alive_begin(alive, "ABCDEFGHIJKLMNOP", "f", "r");
    s.req.n_fields = 3;
    assert_int_equal(check(HD_WHO_REQUIRED, &s.req), HD_EDENIED);
    assert_int_equal(who.fault, HD_API_UNKNOWN_KEY);
    hd_sigv4_signed_done(&s.by);
    sign_with(&s, drawn.access_key_id, "another secret", token, "{}");
    assert_int_equal(check(HD_WHO_REQUIRED, &s.req), HD_EDENIED);
    assert_int_equal(who.fault, HD_API_BAD_SIGNATURE);
    hd_sigv4_signed_done(&s.by);
    hd_access_keys_derive(keys, old, NULL);
    hd_alive_free(alive);
    hd_strings_done(&env);
    (void)state;
}

static void a_bearer_key_is_as_good(void **state)
{
    struct hd_field f = {HD_LIT("Authorization"), HD_LIT("Bearer internal")};
    struct hd_sigv4_request req = {
        .method = HD_LIT("GET"), .path = HD_LIT("/"), .fields = &f, .n_fields = 1};
    assert_int_equal(check(HD_WHO_REQUIRED, &req), 0);
    assert_true(who.checked);
    assert_string_equal(who.principal, "arn:aws:iam::000000000000:root");
    f.value = hd_str("Bearer internal2");
    assert_int_equal(check(HD_WHO_REQUIRED, &req), HD_EDENIED);
    assert_int_equal(who.fault, HD_API_NO_SIGNATURE);
    (void)state;
}

static void the_hash_is_wanted_only_where_it_is_looked_at(void **state)
{
    struct signed_request s;
    struct hd_who_rules rules = {.keys = keys, .account = "000000000000", .region = "us-east-1"};
    static const struct {
        enum hd_who_rule rule;
        const char *id;
        bool wanted;
    } cases[] = {{HD_WHO_OFF, "AKIDA", false},
                 {HD_WHO_KNOWN, "AKIDA", true},
                 {HD_WHO_KNOWN, "AKIDX", false},
                 {HD_WHO_REQUIRED, "AKIDX", true},
                 {HD_WHO_REQUIRED, "AKIDA", true}};
    for (size_t n = 0; n < HD_COUNT(cases); n++) {
        sign(&s, cases[n].id, "x", "");
        rules.rule = cases[n].rule;
        assert_int_equal(hd_who_needs_hash(&rules, &s.req), cases[n].wanted);
        hd_sigv4_signed_done(&s.by);
    }
    (void)state;
}

static void wrong_keys_are_refused(void **state)
{
    static const char *const wrong[] = {"", "id", "id:", ":secret", "id:secret:12", "id:secret:"};
    for (size_t n = 0; n < HD_COUNT(wrong); n++)
        assert_int_equal(hd_access_keys_add(keys, hd_str(wrong[n]), "000000000000", NULL),
                         HD_EINVAL);
    (void)state;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(off_believes_everything),
        TEST(known_checks_the_keys_it_has),
        TEST(required_refuses_what_is_not_proved),
        TEST(functions_have_keys_of_their_own),
        TEST(a_bearer_key_is_as_good),
        TEST(the_hash_is_wanted_only_where_it_is_looked_at),
        TEST(wrong_keys_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
