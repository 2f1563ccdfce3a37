/* test/unit/test_identity.c */
#include "auth/identity.h"
#include "core/base64.h"
#include "test.h"

#include <jansson.h>

static struct hd_identity *from_json(const char *payload)
{
    struct hd_jwt jwt = {
        .claims = json_loads(payload, 0, NULL),
        .payload = {hd_strdup(payload), strlen(payload)},
        .valid_until_s = 1000,
    };
    assert_non_null(jwt.claims);
    struct hd_identity *id = hd_identity_from_jwt(&jwt);
    assert_null(jwt.claims);
    return id;
}

static void hands_the_payload_on_byte_by_byte(void **state)
{
    static const char payload[] =
        "{\"role\":\"editor\", \"sub\":\"u-1\",\"email\":\"a@b.example\"}";
    struct hd_identity *id = from_json(payload);
    assert_true(hd_str_is(id->role, "editor"));
    assert_true(hd_str_is(id->sub, "u-1"));
    assert_true(hd_str_is(id->email, "a@b.example"));
    assert_int_equal(id->valid_until_s, 1000);
    char text[128];
    size_t used;
    assert_int_equal(hd_base64_decode(text, &used, HD_BASE64URL, id->field), 0);
    assert_true(hd_str_is(hd_str_n(text, used), payload));
    assert_ptr_equal(hd_identity_ref(id), id);
    hd_identity_unref(id);
    assert_true(hd_str_is(id->role, "editor"));
    hd_identity_unref(id);
    (void)state;
}

static void a_user_without_a_role_is_authenticated(void **state)
{
    static const struct {
        const char *payload, *role;
    } cases[] = {
        {"{\"sub\":\"u\"}", "authenticated"},
        {"{\"sub\":\"u\",\"role\":\"\"}", "authenticated"},
        {"{\"sub\":\"u\",\"role\":7}", "authenticated"},
        {"{\"sub\":\"\"}", ""},
        {"{\"sub\":\"u\",\"role\":\"anon\"}", "anon"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_identity *id = from_json(cases[i].payload);
        assert_true(hd_str_is(id->role, cases[i].role));
        hd_identity_unref(id);
    }
    (void)state;
}

static void a_key_has_the_payload_of_the_contract(void **state)
{
    struct hd_identity *id = hd_identity_from_key("service_role", 1800000000);
    char text[256];
    size_t used;
    assert_int_equal(hd_base64_decode(text, &used, HD_BASE64URL, id->field), 0);
    text[used] = '\0';
    assert_string_equal(
        text, "{\"sub\":\"\",\"email\":\"\",\"role\":\"service_role\",\"iss\":\"supabase\","
              "\"aud\":\"service_role\",\"iat\":1800000000,\"exp\":1800003600}");
    assert_int_equal(id->valid_until_s, 1800000060);
    assert_true(hd_str_is(id->role, "service_role"));
    assert_int_equal(id->sub.len, 0);
    hd_identity_unref(id);
    (void)state;
}

static void meets_one_of_the_requirements(void **state)
{
    struct hd_identity *id = from_json("{\"role\":\"editor\",\"sub\":\"u\",\"aal\":\"aal2\","
                                       "\"level\":3,\"admin\":true,\"half\":0.5,"
                                       "\"groups\":[\"a\",\"b\",7],\"app_metadata\":{\"plan\":"
                                       "\"pro\",\"eq\":\"a=b\"},\"none\":null}");
    static const struct {
        const char *require;
        bool meets;
    } cases[] = {
        {"editor", true},
        {"Editor", false},
        {"edit", false},
        {"authenticated", false},
        {"", false},
        {"aal=aal2", true},
        {"aal=aal1", false},
        {"level=3", true},
        {"level=03", false},
        {"half=0.5", true},
        {"admin=true", true},
        {"admin=false", false},
        {"groups=a", true},
        {"groups=7", true},
        {"groups=c", false},
        {"app_metadata.plan=pro", true},
        {"app_metadata.plan=free", false},
        {"app_metadata.eq=a=b", true},
        {"app_metadata=pro", false},
        {"app_metadata.plan.x=pro", false},
        {"none=", false},
        {"none=null", false},
        {"missing=", false},
        {"=", false},
        {"=editor", false},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        if (hd_identity_meets(id, &cases[i].require, 1) != cases[i].meets)
            fail_msg("\"%s\"", cases[i].require);
    }
    static const char *const either[] = {"service_role", "editor"};
    assert_true(hd_identity_meets(id, either, 2));
    assert_false(hd_identity_meets(id, either, 1));
    assert_true(hd_identity_meets(id, NULL, 0));
    hd_identity_unref(id);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_the_payload_on_byte_by_byte),
        cmocka_unit_test(a_user_without_a_role_is_authenticated),
        cmocka_unit_test(a_key_has_the_payload_of_the_contract),
        cmocka_unit_test(meets_one_of_the_requirements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
