/* test/unit/test_registryauth.c - files as `docker login` and `podman login` write them. */
#include "core/base64.h"
#include "pool/docker/registryauth.h"
#include "test.h"

#include <jansson.h>

/* @return what the header says, or NULL: nothing. */
static json_t *header_of(const char *config, const char *registry)
{
    struct hd_error err;
    char *header = NULL, text[1024];
    size_t n = 0;
    if (hd_registryauth_header(&header, hd_str(config), hd_str(registry), &err) < 0)
        fail_msg("%s", err.msg);
    if (header == NULL)
        return NULL;
    assert_int_equal(strlen(header) % 4, 0);
    struct hd_str bare = hd_str_n(header, hd_str_find(hd_str(header), '='));
    assert_int_equal(hd_base64_decode(text, &n, HD_BASE64URL, bare), 0);
    free(header);
    json_t *json = json_loadb(text, n, 0, NULL);
    assert_non_null(json);
    return json;
}

static const char *member(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));
    return text != NULL ? text : "";
}

static void name_and_password_of_a_registry(void **state)
{
    /* "me:a:b": what stands behind the first colon is the password */
    static const char config[] = "{\"auths\":{\"r.example:5000\":{\"auth\":\"bWU6YTpi\"},"
                                 "\"https://index.docker.io/v1/\":{\"auth\":\"aHViOng=\"},"
                                 "\"https://other.example/v2/\":{\"auth\":\"bWU6YTpi\"}}}";
    json_t *h = header_of(config, "r.example:5000");
    assert_string_equal(member(h, "username"), "me");
    assert_string_equal(member(h, "password"), "a:b");
    assert_string_equal(member(h, "serveraddress"), "r.example:5000");
    json_decref(h);
    h = header_of(config, "docker.io");
    assert_string_equal(member(h, "username"), "hub");
    json_decref(h);
    h = header_of(config, "other.example");
    assert_string_equal(member(h, "username"), "me");
    json_decref(h);
    assert_null(header_of(config, "r.example"));
    assert_null(header_of("{}", "r.example"));
    (void)state;
}

static void a_token_counts_more(void **state)
{
    json_t *h =
        header_of("{\"auths\":{\"r\":{\"auth\":\"bWU6YTpi\",\"identitytoken\":\"token\"}}}", "r");
    assert_string_equal(member(h, "identitytoken"), "token");
    assert_string_equal(member(h, "password"), "");
    json_decref(h);
    (void)state;
}

static void what_cannot_be_used_is_said(void **state)
{
    static const struct {
        const char *config, *words;
    } cases[] = {
        {"", "no JSON object"},
        {"[]", "no JSON object"},
        {"{\"auths\":{\"r\":{\"auth\":\"%%\"}}}", "credentials of r are damaged"},
        {"{\"auths\":{\"r\":{\"auth\":\"bWU=\"}}}", "credentials of r are damaged"},
        {"{\"auths\":{\"r\":{}},\"credsStore\":\"secret\"}", "docker-credential-secret"},
        {"{\"credHelpers\":{\"r\":\"ecr\"}}", "docker-credential-ecr"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_error err;
        char *header;
        assert_int_equal(
            hd_registryauth_header(&header, hd_str(cases[i].config), hd_str("r"), &err), HD_EINVAL);
        assert_null(header);
        assert_non_null(strstr(err.msg, cases[i].words));
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(name_and_password_of_a_registry),
                                       cmocka_unit_test(a_token_counts_more),
                                       cmocka_unit_test(what_cannot_be_used_is_said)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
