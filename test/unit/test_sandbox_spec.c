/* test_sandbox_spec.c - what is written is what is read; what is broken is refused. */
#include "pool/process/sandbox_spec.h"
#include "test.h"

static void a_spec_survives_the_way(void **state)
{
    struct hd_sandbox_spec s = {.parts = HD_SANDBOX_PID | HD_SANDBOX_SECCOMP,
                                .require = true,
                                .uid = UINT32_MAX,
                                .gid = 7,
                                .max_files = UINT64_MAX};
    struct hd_sandbox_spec t;
    struct hd_buf a, b;
    hd_spec_list_add(&s.argv, "/bin/x");
    hd_spec_list_add(&s.argv, "");
    hd_spec_list_add(&s.argv, "a=b\nc");
    hd_spec_list_add(&s.env, "K==");
    hd_spec_list_add(&s.hide, "/tmp");
    s.cwd = hd_strdup("/w");
    hd_buf_init(&a, HD_SANDBOX_SPEC_MAX);
    hd_buf_init(&b, HD_SANDBOX_SPEC_MAX);
    hd_sandbox_spec_write(&a, &s);
    assert_int_equal(hd_sandbox_spec_read(&t, hd_buf_view(&a), NULL), 0);
    assert_int_equal(t.argv.n, 3);
    assert_string_equal(t.argv.v[1], "");
    assert_string_equal(t.argv.v[2], "a=b\nc");
    assert_null(t.argv.v[3]);
    assert_string_equal(t.env.v[0], "K==");
    assert_string_equal(t.cwd, "/w");
    assert_true(t.require);
    assert_false(t.check);
    assert_int_equal(t.uid, UINT32_MAX);
    assert_true(t.max_files == UINT64_MAX);
    hd_sandbox_spec_write(&b, &t);
    assert_true(hd_str_eq(hd_buf_view(&a), hd_buf_view(&b)));
    hd_sandbox_spec_done(&s);
    hd_sandbox_spec_done(&t);
    hd_buf_done(&a);
    hd_buf_done(&b);
    (void)state;
}

static void broken_specs_are_refused_with_what_is_wrong(void **state)
{
    static const struct {
        struct hd_str bytes;
        const char *says;
    } cases[] = {
        {HD_LIT(""), "is not complete"},
        {HD_LIT("argv=/bin/x"), "is not complete"},
        {HD_LIT("parts=1\0"), "names no program"},
        {HD_LIT("argv=/bin/x\0colour=red\0"), "byte 12: no such key"},
        {HD_LIT("argv=/bin/x\0parts\0"), "byte 12: no such key"},
        {HD_LIT("argv=/bin/x\0uid=-1\0"), "uid: is not a number in range"},
        {HD_LIT("argv=/bin/x\0uid=4294967296\0"), "uid: is not a number in range"},
        {HD_LIT("argv=/bin/x\0require=2\0"), "require: is not a number in range"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_sandbox_spec s;
        struct hd_error err;
        assert_int_equal(hd_sandbox_spec_read(&s, cases[i].bytes, &err), HD_EINVAL);
        if (strstr(err.msg, cases[i].says) == NULL)
            fail_msg("%s: expected %s", err.msg, cases[i].says);
        hd_sandbox_spec_done(&s);
    }
    (void)state;
}

static void places_are_read_as_they_were_written(void **state)
{
    static const char *const broken[] = {"", "r", "x:/a:/b", "r:a:/b", "r:/a", "r:/a:b", "r/a:/b"};
    struct hd_sandbox_spec s = {.layout = true};
    char *place = NULL;
    const char *from;
    bool writable;
    hd_sandbox_bind(&s, "/var/task", "/data/with:colon", false);
    hd_sandbox_bind(&s, "/run/x", "/y", true);
    assert_true(hd_sandbox_bind_read(s.binds.v[0], &place, &from, &writable));
    assert_string_equal(place, "/var/task");
    assert_string_equal(from, "/data/with:colon");
    assert_false(writable);
    free(place);
    assert_true(hd_sandbox_bind_read(s.binds.v[1], &place, &from, &writable));
    assert_true(writable);
    free(place);
    for (size_t i = 0; i < HD_COUNT(broken); i++)
        assert_false(hd_sandbox_bind_read(broken[i], &place, &from, &writable));
    hd_sandbox_spec_done(&s);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_spec_survives_the_way),
        cmocka_unit_test(broken_specs_are_refused_with_what_is_wrong),
        cmocka_unit_test(places_are_read_as_they_were_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
