#include "http/trailer.h"

#include "test.h"

static bool is(const struct hd_field *f, const char *name, const char *value)
{
    return hd_str_is(f->name, name) && hd_str_is(f->value, value);
}

static void fields_come_out_of_pieces(void **state)
{
    struct hd_field out[HD_TRAILER_FIELDS_MAX];
    struct hd_trailers *t = hd_trailers_new();
    assert_int_equal(hd_trailers_fields(t, out), 0);
    hd_trailers_add(t, hd_str("X-A: 1\r\nX-"));
    hd_trailers_add(t, hd_str("B: \t two words \r\nX-Empty:\r\n"));
    assert_int_equal(hd_trailers_fields(t, out), 3);
    assert_true(is(&out[0], "X-A", "1"));
    assert_true(is(&out[1], "X-B", "two words"));
    assert_true(is(&out[2], "X-Empty", ""));
    hd_trailers_free(t);
    (void)state;
}

static void what_may_not_stand_there_is_left_out(void **state)
{
    static const char *const bad[] = {
        "Content-Length", "transfer-encoding", "Host",         "TRAILER",    "te",
        "Authorization",  "set-cookie",        "Content-Type", "connection", "x-forwarded-for",
        "Sec-Fetch-Mode", "Location"};
    for (size_t i = 0; i < HD_COUNT(bad); i++)
        assert_false(hd_is_trailer(hd_str(bad[i])));
    assert_true(hd_is_trailer(hd_str("x-checksum")));
    assert_true(hd_is_trailer(hd_str("server-timing")));
    assert_true(hd_is_trailer(hd_str("section")));
    struct hd_field out[HD_TRAILER_FIELDS_MAX];
    struct hd_trailers *t = hd_trailers_new();
    hd_trailers_add(t, hd_str("Content-Length: 3\r\nX-A: 1\r\n"));
    assert_int_equal(hd_trailers_fields(t, out), 1);
    hd_trailers_free(t);
    (void)state;
}

static void more_fields_than_the_maximum_are_dropped(void **state)
{
    struct hd_field out[HD_TRAILER_FIELDS_MAX];
    struct hd_trailers *t = hd_trailers_new();
    for (int i = 0; i < HD_TRAILER_FIELDS_MAX + 5; i++)
        hd_trailers_add(t, hd_str("X: y\r\n"));
    assert_int_equal(hd_trailers_fields(t, out), HD_TRAILER_FIELDS_MAX);
    hd_trailers_free(t);
    (void)state;
}

static void the_last_chunk_has_what_was_set(void **state)
{
    assert_true(hd_str_is(hd_trailers_last_chunk(NULL), "0\r\n\r\n"));
    struct hd_trailers *t = hd_trailers_new();
    assert_true(hd_str_is(hd_trailers_last_chunk(t), "0\r\n\r\n"));
    const struct hd_field fields[] = {{hd_str("x-a"), hd_str("1")}, {hd_str("host"), hd_str("h")}};
    hd_trailers_set(t, fields, 2);
    assert_true(hd_str_is(hd_trailers_last_chunk(t), "0\r\nx-a: 1\r\n\r\n"));
    const struct hd_field broken = {hd_str("x-a"), hd_str("1\r\nx-b: 2")};
    hd_trailers_set(t, &broken, 1);
    assert_true(hd_str_is(hd_trailers_last_chunk(t), "0\r\n\r\n"));
    hd_trailers_free(t);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_come_out_of_pieces),
        cmocka_unit_test(what_may_not_stand_there_is_left_out),
        cmocka_unit_test(more_fields_than_the_maximum_are_dropped),
        cmocka_unit_test(the_last_chunk_has_what_was_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
