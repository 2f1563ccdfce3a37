/* test/unit/test_base64.c - RFC 4648 section 10, and everything that has a second spelling. */
#include "core/base64.h"
#include "test.h"

static void encodes_and_decodes_the_rfc_vectors(void **state)
{
    static const struct {
        const char *bytes, *plain, *url;
    } cases[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xfe", "+//+", "-__-"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        for (int kind = HD_BASE64; kind <= HD_BASE64URL; kind++) {
            const char *want = kind == HD_BASE64 ? cases[i].plain : cases[i].url;
            char text[16], bytes[16];
            size_t len = strlen(cases[i].bytes), used = 99;
            size_t n = hd_base64_encode(text, (enum hd_base64)kind, cases[i].bytes, len);
            assert_int_equal(n, hd_base64_chars((enum hd_base64)kind, len));
            assert_true(hd_str_is(hd_str_n(text, n), want));
            assert_int_equal(
                hd_base64_decode(bytes, &used, (enum hd_base64)kind, hd_str_n(text, n)), 0);
            assert_true(hd_str_eq(hd_str_n(bytes, used), hd_str_n(cases[i].bytes, len)));
        }
    }
    (void)state;
}

static void refuses_every_second_spelling(void **state)
{
    static const struct {
        enum hd_base64 kind;
        const char *text;
        size_t at;
    } cases[] = {
        {HD_BASE64URL, "Zg==", 2},       /* padding */
        {HD_BASE64URL, "Zm9=", 3},       /* padding */
        {HD_BASE64URL, "Zh", 1},         /* unused bits are set */
        {HD_BASE64URL, "Zm9", 2},        /* same, with two bits */
        {HD_BASE64URL, "Zm9vY", 5},      /* six bits are no byte */
        {HD_BASE64URL, "Z", 1},          /* same */
        {HD_BASE64URL, "Zm9v\nZm", 4},   /* line break */
        {HD_BASE64URL, "Zm 9", 2},       /* blank */
        {HD_BASE64URL, "+//+", 0},       /* the other alphabet */
        {HD_BASE64, "-__-", 0},          /* the other alphabet */
        {HD_BASE64, "Zg", 2},            /* no padding */
        {HD_BASE64, "Zg=", 3},           /* too little padding */
        {HD_BASE64, "Z===", 1},          /* too much padding */
        {HD_BASE64, "====", 0},          /* nothing but padding */
        {HD_BASE64, "Zh==", 1},          /* unused bits are set */
        {HD_BASE64, "Zg==Zg==", 2},      /* padding inside */
        {HD_BASE64URL, "Zm\xc3\xa4", 2}, /* not ASCII */
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        char bytes[16];
        size_t used = 99;
        int rc = hd_base64_decode(bytes, &used, cases[i].kind, hd_str(cases[i].text));
        if (rc != HD_EINVAL || used != cases[i].at)
            fail_msg("\"%s\": %d at %zu", cases[i].text, rc, used);
    }
    (void)state;
}

static void decodes_in_place(void **state)
{
    char text[] = "aGVkZGxl";
    size_t used = 0;
    assert_int_equal(hd_base64_decode(text, &used, HD_BASE64URL, hd_str(text)), 0);
    assert_true(hd_str_is(hd_str_n(text, used), "heddle"));
    (void)state;
}

/* Long texts are decoded in blocks: each length around them, in place as well. */
static void long_values_come_back(void **state)
{
    unsigned char bytes[300];
    char text[408];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 37 + i / 7);
    for (int kind = HD_BASE64; kind <= HD_BASE64URL; kind++) {
        for (size_t len = 0; len <= sizeof(bytes); len++) {
            size_t n = hd_base64_encode(text, (enum hd_base64)kind, bytes, len), used = 0;
            assert_true(n <= sizeof(text));
            assert_int_equal(hd_base64_decode(text, &used, (enum hd_base64)kind, hd_str_n(text, n)),
                             0);
            assert_int_equal(used, len);
            assert_memory_equal(text, bytes, len);
        }
    }
    (void)state;
}

static void one_wrong_character_of_many_is_found(void **state)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    char text[132], out[132];
    for (int kind = HD_BASE64; kind <= HD_BASE64URL; kind++) {
        for (size_t at = 0; at < sizeof(text) - 4; at += 3) {
            for (int c = 0; c < 256; c++) {
                size_t used = 999;
                memset(text, 'A', sizeof(text));
                text[at] = (char)c;
                bool good = (c != 0 && strchr(digits, c) != NULL) ||
                            (kind == HD_BASE64 ? c == '+' || c == '/' : c == '-' || c == '_');
                int rc = hd_base64_decode(out, &used, (enum hd_base64)kind,
                                          hd_str_n(text, sizeof(text)));
                assert_int_equal(rc, good ? 0 : HD_EINVAL);
                assert_int_equal(used, good ? sizeof(text) / 4 * 3 : at);
            }
        }
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_and_decodes_the_rfc_vectors),
        cmocka_unit_test(refuses_every_second_spelling),
        cmocka_unit_test(decodes_in_place),
        cmocka_unit_test(long_values_come_back),
        cmocka_unit_test(one_wrong_character_of_many_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
