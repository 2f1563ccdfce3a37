/* test/unit/test_imageref.c */
#include "core/base.h"
#include "pool/docker/imageref.h"
#include "test.h"

static void references_cannot_lead_elsewhere(void **state)
{
    static const char *const bad[] = {"", "/a", "a?x=1", "a/../b", "a b", "a#b", "a%2fb"};
    struct hd_error err;
    for (size_t i = 0; i < HD_COUNT(bad); i++)
        assert_int_equal(hd_imageref_check(bad[i], &err), HD_EINVAL);
    assert_int_equal(hd_imageref_check("host:5000/a/b_c:1.0", &err), 0);
    (void)state;
}

static void one_is_taken_apart(void **state)
{
    static const struct {
        const char *ref, *repo, *tag, *registry;
        bool digest;
    } cases[] = {
        {"alpine", "alpine", "latest", "docker.io", false},
        {"alpine:3", "alpine", "3", "docker.io", false},
        {"team/tool:1.2", "team/tool", "1.2", "docker.io", false},
        {"localhost/tool", "localhost/tool", "latest", "localhost", false},
        {"localhost:5000/tool", "localhost:5000/tool", "latest", "localhost:5000", false},
        {"r.example/a/b:x", "r.example/a/b", "x", "r.example", false},
        {"r.example:1/a@sha256:ab", "r.example:1/a", "sha256:ab", "r.example:1", true},
        {"a:1@sha256:ab", "a", "sha256:ab", "docker.io", true},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_imageref r;
        hd_imageref_split(&r, cases[i].ref);
        assert_true(hd_str_is(r.repo, cases[i].repo));
        assert_true(hd_str_is(r.tag, cases[i].tag));
        assert_true(hd_str_is(r.registry, cases[i].registry));
        assert_int_equal(r.digest, cases[i].digest);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(references_cannot_lead_elsewhere),
                                       cmocka_unit_test(one_is_taken_apart)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
