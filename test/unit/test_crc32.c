/* test_crc32.c - the same as zlib's, whatever the length, the place and the cut. */
#include "core/crc32.h"
#include "core/id.h"
#include "test.h"

#include <zlib.h>

enum { MANY = 2000 };

static void the_check_value_of_the_catalogue(void **state)
{
    assert_int_equal(hd_crc32(0, "123456789", 9), 0xcbf43926);
    assert_int_equal(hd_crc32(0, NULL, 0), 0);
    assert_int_equal(hd_crc32(7, NULL, 0), 7);
    (void)state;
}

static void fill(unsigned char *bytes, size_t len)
{
    struct hd_rng rng;
    hd_rng_init(&rng, 42);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)hd_rng_next(&rng);
}

static void each_length_from_each_place(void **state)
{
    unsigned char bytes[600];
    fill(bytes, sizeof(bytes));
    for (size_t at = 0; at < 20; at++)
        for (size_t len = 0; at + len <= sizeof(bytes); len++)
            assert_int_equal(hd_crc32(0, bytes + at, len), crc32(0, bytes + at, (uInt)len));
    (void)state;
}

static void it_goes_on_where_it_was_cut(void **state)
{
    unsigned char bytes[MANY];
    fill(bytes, sizeof(bytes));
    uint32_t whole = (uint32_t)crc32(0, bytes, MANY);
    for (size_t cut = 0; cut <= MANY; cut++)
        assert_int_equal(hd_crc32(hd_crc32(0, bytes, cut), bytes + cut, MANY - cut), whole);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_check_value_of_the_catalogue),
        cmocka_unit_test(each_length_from_each_place),
        cmocka_unit_test(it_goes_on_where_it_was_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
