/* test_scan.c - every way of scanning finds the same byte as the table of classes. */
#include "core/id.h"
#include "http/scan.h"
#include "test.h"

enum { LONGEST = 200 };

static const char *by_table(const char *at, const char *end, enum hd_char what)
{
    while (at < end && hd_char_is(*at, what))
        at++;
    return at;
}

/* All three classes over [at, end), by each way that runs here. */
static void assert_agree(const char *at, const char *end)
{
    for (size_t i = 0; i < hd_scan_n_ways; i++) {
        const struct hd_scan_way *way = &hd_scan_ways[i];
        if (!way->supported())
            continue;
        assert_ptr_equal(way->value(at, end), by_table(at, end, HD_CHAR_VALUE));
        assert_ptr_equal(way->path(at, end), by_table(at, end, HD_CHAR_PATH));
        assert_ptr_equal(way->query(at, end), by_table(at, end, HD_CHAR_QUERY));
    }
    assert_ptr_equal(hd_scan_value(at, end), by_table(at, end, HD_CHAR_VALUE));
    assert_ptr_equal(hd_scan_path(at, end), by_table(at, end, HD_CHAR_PATH));
    assert_ptr_equal(hd_scan_query(at, end), by_table(at, end, HD_CHAR_QUERY));
}

static void every_byte_is_found_at_every_place(void **state)
{
    /* Memory of exactly this length: ASan sees a read behind its end. */
    static const size_t lengths[] = {0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100};
    for (size_t l = 0; l < HD_COUNT(lengths); l++) {
        const size_t len = lengths[l];
        char *bytes = hd_alloc(len);
        memset(bytes, 'a', len);
        assert_agree(bytes, bytes + len);
        for (size_t at = 0; at < len; at++) {
            for (unsigned c = 0; c < 256; c++) {
                bytes[at] = (char)c;
                assert_agree(bytes, bytes + len);
            }
            bytes[at] = 'a';
        }
        free(bytes);
    }
    (void)state;
}

static void random_bytes_are_read_alike(void **state)
{
    struct hd_rng rng;
    const uint64_t seed = 20240607;
    hd_rng_init(&rng, seed);
    char bytes[LONGEST];
    for (size_t round = 0; round < 20000; round++) {
        for (size_t i = 0; i < sizeof(bytes); i++) {
            /* Mostly what is permitted, else nothing long would ever be scanned. */
            const uint64_t r = hd_rng_next(&rng);
            bytes[i] = (char)(r % 64 == 0 ? r >> 8 : 'a' + (r >> 8) % 26);
        }
        const size_t from = hd_rng_below(&rng, LONGEST);
        assert_agree(bytes + from, bytes + from + hd_rng_below(&rng, LONGEST - from + 1));
    }
    (void)state;
}

static void the_classes_are_those_of_the_rfcs(void **state)
{
    static const char alnum[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const struct {
        enum hd_char what;
        const char *others; /* besides letters and digits */
        bool from_0x80;
    } cases[] = {
        {HD_CHAR_TOKEN, "!#$%&'*+-.^_`|~", false},
        {HD_CHAR_VALUE, "\t !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", true},
        {HD_CHAR_PATH, "-._~!$&'()*+,;=:@%/\"[]^`{|}", false},
        {HD_CHAR_QUERY, "-._~!$&'()*+,;=:@%/\"[]^`{|}?\\", false},
        {HD_CHAR_HOST, "-._~", false},
    };
    for (unsigned c = 0; c < 256; c++) {
        for (size_t i = 0; i < HD_COUNT(cases); i++) {
            const bool want = c >= 0x80 ? cases[i].from_0x80
                                        : c != 0 && (strchr(alnum, (int)c) != NULL ||
                                                     strchr(cases[i].others, (int)c) != NULL);
            if (hd_char_is((char)c, cases[i].what) != want)
                fail_msg("byte 0x%02x, class %d", c, (int)cases[i].what);
        }
        assert_int_equal(hd_char_is((char)c, HD_CHAR_HEX),
                         c != 0 && strchr("0123456789abcdefABCDEF", (int)c) != NULL);
    }
    (void)state;
}

static void the_portable_way_is_always_there(void **state)
{
    const struct hd_scan_way *last = &hd_scan_ways[hd_scan_n_ways - 1];
    assert_string_equal(last->name, "portable");
    assert_true(last->supported());
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_found_at_every_place),
        cmocka_unit_test(random_bytes_are_read_alike),
        cmocka_unit_test(the_classes_are_those_of_the_rfcs),
        cmocka_unit_test(the_portable_way_is_always_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
