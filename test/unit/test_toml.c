/* test_toml.c - a document becomes a stream of keys; what is no TOML is refused with its line. */
#include "functions/toml.h"
#include "test.h"

static int write_down(void *arg, const struct hd_toml_value *v)
{
    struct hd_buf *out = arg;
    hd_auto_free char *path = hd_strings_join(v->path, "/");
    hd_buf_fmt(out, "%u %s ", v->line, path);
    switch (v->kind) {
    case HD_TOML_STRING:
        hd_buf_fmt(out, "'%.*s'", HD_FMT(v->text));
        break;
    case HD_TOML_BOOL:
        hd_buf_cstr(out, v->on ? "on" : "off");
        break;
    case HD_TOML_STRINGS: {
        hd_auto_free char *list = hd_strings_join(v->list, ",");
        hd_buf_fmt(out, "[%s]", list);
        break;
    }
    case HD_TOML_OTHER:
        hd_buf_fmt(out, "<%.*s>", HD_FMT(v->text));
        break;
    }
    hd_buf_char(out, '\n');
    return 0;
}

static void documents_become_keys(void **state)
{
    static const struct {
        const char *text, *seen;
    } cases[] = {
        {"", ""},
        {"# nothing\n\r\n", ""},
        {"a = 1\n", "1 a <1>\n"},
        {"a.b.\"c d\" = true", "1 a/b/c d on\n"},
        {"[x]\ny = false # no\n[x.z]\nk='raw\\n'\n", "2 x/y off\n4 x/z/k 'raw\\n'\n"},
        {"[[rows]]\nn = 1\n[[rows]]\nn = 2\n", "2 rows/n <1>\n4 rows/n <2>\n"},
        {"s = \"a\\t\\u00e9\\\"\"", "1 s 'a\t\xc3\xa9\"'\n"},
        {"s = \"\"\"\none\n  two \\\n   three\"\"\"\nt = 1", "1 s 'one\n  two three'\n5 t <1>\n"},
        {"s = '''\n''quoted'' '''", "1 s '''quoted'' '\n"},
        {"l = [ 'a', # first\n 'b' ,\n]\nm = 2", "1 l [a,b]\n4 m <2>\n"},
        {"l = [1, 2]\nn = [['a'], ['b']]\ne = []", "1 l <>\n2 n <>\n3 e []\n"},
        {"t = { a = 1, b = 'x', c.d = true }\nu = {}", "1 t/a <1>\n1 t/b 'x'\n1 t/c/d on\n"},
        {"d = 1979-05-27T07:32:00Z\nf = inf\n", "1 d <1979-05-27T07:32:00Z>\n2 f <inf>\n"},
        {"\xef\xbb\xbf"
         "a = 'bom'",
         "1 a 'bom'\n"},
        {"a = 1\r\nb = 2\r\n", "1 a <1>\n2 b <2>\n"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_buf out;
        struct hd_error err = {0};
        hd_buf_init(&out, 4096);
        if (hd_toml_read(hd_str(cases[i].text), write_down, &out, &err) != 0)
            fail_msg("case %zu: %s", i, err.msg);
        hd_auto_free char *seen = hd_buf_take(&out);
        assert_string_equal(seen, cases[i].seen);
    }
    (void)state;
}

static void what_is_no_toml_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"a", "1: expected '=' after the key"},
        {"a =", "1: expected a value"},
        {"\n\na = hello", "3: expected a value: text needs quotes"},
        {"a = 1 b = 2\nc", "1: expected a value"},
        {"[a", "1: expected ']'"},
        {"[[a]", "1: expected ']]'"},
        {"[]", "1: expected a key"},
        {"a = \"x\ny\"", "1: the string has no end"},
        {"a = '''x\ny", "1: the string has no end"},
        {"a = \"\\q\"", "1: unknown escape"},
        {"a = \"\\ud800\"", "1: a \\u escape that is no character"},
        {"a = [1", "1: expected ',' or ']'"},
        {"a = [1 'x']\n", "1: expected a value"},
        {"a = {b = 1", "1: expected ',' or '}'"},
        {"a = 'x' y", "1: expected the end of the line"},
        {"= 1", "1: expected a key"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_buf out;
        struct hd_error err = {0};
        hd_buf_init(&out, 4096);
        int rc = hd_toml_read(hd_str(cases[i].text), write_down, &out, &err);
        hd_buf_done(&out);
        assert_int_equal(rc, HD_EINVAL);
        if (strstr(err.msg, cases[i].why) == NULL)
            fail_msg("case %zu: \"%s\"", i, err.msg);
    }
    (void)state;
}

static void nesting_has_an_end(void **state)
{
    char deep[4096];
    struct hd_error err;
    memset(deep, '[', sizeof(deep));
    memcpy(deep, "a=", 2);
    assert_int_equal(hd_toml_read(hd_str_n(deep, sizeof(deep)), write_down, NULL, &err), HD_EINVAL);
    assert_non_null(strstr(err.msg, "nested too deeply"));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(documents_become_keys),
                                       cmocka_unit_test(what_is_no_toml_is_refused_with_its_line),
                                       cmocka_unit_test(nesting_has_an_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
