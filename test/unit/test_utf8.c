/* test/unit/test_utf8.c - every sequence of RFC 3629 and none besides. */
#include "core/utf8.h"

#include "test.h"

static void knows_good_from_bad(void **state)
{
    static const struct {
        struct hd_str text;
        bool good;
    } cases[] = {
        {HD_LIT(""), true},
        {HD_LIT("a\0b"), true},
        {HD_LIT("\x7f"), true},
        {HD_LIT("\xc2\x80"), true},
        {HD_LIT("\xdf\xbf"), true},
        {HD_LIT("\xe0\xa0\x80"), true},
        {HD_LIT("\xed\x9f\xbf"), true},
        {HD_LIT("\xef\xbf\xbf"), true},
        {HD_LIT("\xf0\x90\x80\x80"), true},
        {HD_LIT("\xf4\x8f\xbf\xbf"), true},
        {HD_LIT("\x80"), false},             /* nothing before it */
        {HD_LIT("\xc1\xbf"), false},         /* too long a form */
        {HD_LIT("\xe0\x9f\xbf"), false},     /* same */
        {HD_LIT("\xf0\x8f\xbf\xbf"), false}, /* same */
        {HD_LIT("\xed\xa0\x80"), false},     /* a surrogate */
        {HD_LIT("\xf4\x90\x80\x80"), false}, /* beyond U+10FFFF */
        {HD_LIT("\xf5\x80\x80\x80"), false},
        {HD_LIT("\xff"), false},
        {HD_LIT("\xc2"), false}, /* cut off */
        {HD_LIT("\xe0\xa0"), false},
        {HD_LIT("\xf0\x90\x80"), false},
        {HD_LIT("\xc2\x41"), false},
    };
    char text[64];
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        for (size_t before = 0; before < 20; before++) { /* on every place of the fast path */
            memset(text, 'x', sizeof(text));
            memcpy(text + before, cases[i].text.ptr, cases[i].text.len);
            struct hd_str whole = {text, before + cases[i].text.len};
            if (hd_utf8_valid(whole) != cases[i].good)
                fail_msg("case %zu after %zu bytes", i, before);
            whole.len += 20;
            if (hd_utf8_valid(whole) != cases[i].good)
                fail_msg("case %zu after %zu bytes and before others", i, before);
        }
    }
    assert_true(hd_utf8_valid(hd_str_n(NULL, 0)));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(knows_good_from_bad)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
