/* test_forwarded.c - Forwarded, X-Forwarded-For, and whom of them to believe. */
#include "http/forwarded.h"
#include "test.h"

#include <stdio.h>

static void elements_are_taken_apart(void **state)
{
    static const struct {
        const char *in, *out; /* "for|by|host|proto" of each element, "-" for none */
    } cases[] = {
        {"", ""},
        {" , ,", ""},
        {"for=192.0.2.43", "192.0.2.43|-|-|-\n"},
        {"For=\"[2001:db8:cafe::17]:4711\"", "[2001:db8:cafe::17]:4711|-|-|-\n"},
        {"for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60|203.0.113.43|-|http\n"},
        {"for=192.0.2.43, for=198.51.100.17", "192.0.2.43|-|-|-\n198.51.100.17|-|-|-\n"},
        {"for=_gazonk;HOST=\"a:8080\" ; proto=https ,\tfor=unknown",
         "_gazonk|-|a:8080|https\nunknown|-|-|-\n"},
        {"for=a,,for=b,", "a|-|-|-\nb|-|-|-\n"},
        {";", "-|-|-|-\n"},
        {";for=a;;proto=b;", "a|-|-|b\n"},
        {"secret=\"a\\\",;b\";for=\"a,b;c\"", "a,b;c|-|-|-\n"},
        {"x=1;x=2", "-|-|-|-\n"},
        {"for=\"\"", "|-|-|-\n"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_forwarded f[4];
        struct hd_error err = {0};
        char got[512] = "";
        size_t at = 0;
        const int n = hd_forwarded_parse(f, HD_COUNT(f), hd_str(cases[i].in), &err);
        for (int e = 0; e < n; e++) {
            const struct hd_str parts[] = {f[e].source, f[e].by, f[e].host, f[e].proto};
            for (size_t p = 0; p < HD_COUNT(parts); p++)
                at +=
                    (size_t)snprintf(got + at, sizeof(got) - at, "%.*s%c",
                                     parts[p].ptr != NULL ? (int)parts[p].len : 1,
                                     parts[p].ptr != NULL ? parts[p].ptr : "-", p < 3 ? '|' : '\n');
        }
        if (n < 0 || strcmp(got, cases[i].out) != 0)
            fail_msg("%s: %s\n%s", cases[i].in, err.msg, got);
    }
    (void)state;
}

static void bad_elements_are_refused(void **state)
{
    static const struct {
        struct hd_str in;
        const char *why;
    } cases[] = {
        {HD_LIT("for"), "byte 3: \"=\""},
        {HD_LIT("for="), "a value must stand here"},
        {HD_LIT("for=;by=a"), "a value must stand here"},
        {HD_LIT("=a"), "byte 0: the name"},
        {HD_LIT("for =a"), "\"=\" must"},
        {HD_LIT("for= a"), "a value must stand here"},
        {HD_LIT("for=192.0.2.1:80"), "byte 13: \";\" or \",\""},
        {HD_LIT("for=[::1]"), "a value must stand here"},
        {HD_LIT("for=a by=b"), "\";\" or \",\""},
        {HD_LIT("for=\"a"), "closing quote"},
        {HD_LIT("for=\"a\\"), "closing quote"},
        {HD_LIT("for=\"a\\\""), "closing quote"},
        {HD_LIT("for=\"a\"b"), "\";\" or \",\""},
        {HD_LIT("for=\"\\a\""), "escapes are not accepted"},
        {HD_LIT("for=\"a\0\""), "control byte"},
        {HD_LIT("x=\"\\\n\""), "control byte"},
        {HD_LIT("for=a;FOR=b"), "twice"},
        {HD_LIT("a=1,b=1,c=1,d=1,e=1"), "more elements"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_forwarded f[4];
        struct hd_error err = {0};
        if (hd_forwarded_parse(f, HD_COUNT(f), cases[i].in, &err) != HD_EPROTO ||
            strstr(err.msg, cases[i].why) == NULL)
            fail_msg("%.*s: %s", HD_FMT(cases[i].in), err.msg);
    }
    (void)state;
}

static void nodes_are_addresses_with_ports(void **state)
{
    static const struct {
        const char *in;
        int rc;
        const char *addr;
        uint16_t port;
    } cases[] = {
        {"192.0.2.1", 0, "192.0.2.1", 0},
        {"192.0.2.1:8080", 0, "192.0.2.1", 8080},
        {"192.0.2.1:_p", 0, "192.0.2.1", 0},
        {"[2001:db8::1]", 0, "2001:db8::1", 0},
        {"[2001:DB8::1]:65535", 0, "2001:db8::1", 65535},
        {"[::ffff:192.0.2.1]:1", 0, "192.0.2.1", 1},
        {"unknown", HD_ENOTFOUND, NULL, 0},
        {"Unknown:80", HD_ENOTFOUND, NULL, 0},
        {"_SEVKISEK", HD_ENOTFOUND, NULL, 0},
        {"_a.b-c", HD_ENOTFOUND, NULL, 0},
        {"", HD_EPROTO, NULL, 0},
        {"_", HD_EPROTO, NULL, 0},
        {"_a/b", HD_EPROTO, NULL, 0},
        {"_a~", HD_EPROTO, NULL, 0},
        {"2001:db8::1", HD_EPROTO, NULL, 0},
        {"[192.0.2.1]", HD_EPROTO, NULL, 0},
        {"[unknown]", HD_EPROTO, NULL, 0},
        {"[::1", HD_EPROTO, NULL, 0},
        {"[::1]x", HD_EPROTO, NULL, 0},
        {"[::1]:", HD_EPROTO, NULL, 0},
        {"192.0.2.1:", HD_EPROTO, NULL, 0},
        {"192.0.2.1:65536", HD_EPROTO, NULL, 0},
        {"192.0.2.1:000001", HD_EPROTO, NULL, 0},
        {"192.0.2.1:8o", HD_EPROTO, NULL, 0},
        {"example.com", HD_EPROTO, NULL, 0},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_ipaddr a;
        uint16_t port = 99;
        char text[HD_IPADDR_CHARS + 1];
        if (hd_forwarded_node(&a, &port, hd_str(cases[i].in)) != cases[i].rc)
            fail_msg("%s", cases[i].in);
        if (cases[i].rc == 0) {
            assert_true(hd_str_is(hd_ipaddr_format(text, &a), cases[i].addr));
            assert_int_equal(port, cases[i].port);
        }
    }
    (void)state;
}

static void nothing_is_an_empty_list(void **state)
{
    struct hd_forwarded f;
    struct hd_ipaddr a;
    struct hd_str entry, none = {NULL, 0};
    uint16_t port;
    assert_int_equal(hd_forwarded_parse(&f, 1, none, NULL), 0);
    assert_int_equal(hd_forwarded_node(&a, &port, none), HD_EPROTO);
    assert_false(hd_forwarded_last(&entry, &none));
    (void)state;
}

static void lists_are_walked_from_the_right(void **state)
{
    struct hd_str entry, rest = hd_str(" a,b , ,c ");
    assert_true(hd_forwarded_last(&entry, &rest));
    assert_true(hd_str_is(entry, "c"));
    assert_true(hd_forwarded_last(&entry, &rest));
    assert_true(hd_str_is(entry, ""));
    assert_true(hd_forwarded_last(&entry, &rest));
    assert_true(hd_str_is(entry, "b"));
    assert_true(hd_forwarded_last(&entry, &rest));
    assert_true(hd_str_is(entry, "a"));
    assert_false(hd_forwarded_last(&entry, &rest));
    (void)state;
}

static void the_client_is_the_last_that_is_not_trusted(void **state)
{
    static const struct {
        const char *peer;
        enum hd_client_field which;
        const char *fields; /* "Name: value\n" each */
        const char *client;
    } cases[] = {
        /* a peer that is not trusted may say what it likes */
        {"203.0.113.9", HD_CLIENT_X_FORWARDED_FOR, "X-Forwarded-For: 1.1.1.1\n", "203.0.113.9"},
        {"10.0.0.1", HD_CLIENT_X_FORWARDED_FOR, "", "10.0.0.1"},
        {"10.0.0.1", HD_CLIENT_X_FORWARDED_FOR, "x-forwarded-FOR: 1.1.1.1\n", "1.1.1.1"},
        {"10.0.0.1", HD_CLIENT_X_FORWARDED_FOR, "X-Forwarded-For: 6.6.6.6, 1.1.1.1\n", "1.1.1.1"},
        {"10.0.0.1", HD_CLIENT_X_FORWARDED_FOR, "X-Forwarded-For: 6.6.6.6, 1.1.1.1 ,10.0.0.2\n",
         "1.1.1.1"},
        {"::1", HD_CLIENT_X_FORWARDED_FOR, "X-Forwarded-For: 2001:db8::1, 10.1.1.1:80\n",
         "2001:db8::1"},
        {"10.0.0.1", HD_CLIENT_X_FORWARDED_FOR, "X-Forwarded-For: [2001:db8::1]:80\n",
         "2001:db8::1"},
        {"10.0.0.1", HD_CLIENT_X_FORWARDED_FOR, "X-Forwarded-For: ::ffff:1.1.1.1\n", "1.1.1.1"},
        /* several fields are one list */
        {"10.0.0.1", HD_CLIENT_X_FORWARDED_FOR,
         "X-Forwarded-For: 6.6.6.6, 1.1.1.1\nX-Forwarded-For: 10.0.0.3\n", "1.1.1.1"},
        /* all are trusted: the farthest */
        {"10.0.0.1", HD_CLIENT_X_FORWARDED_FOR, "X-Forwarded-For: 10.0.0.3, 10.0.0.2\n",
         "10.0.0.3"},
        /* nonsense ends the walk at the proxy that passed it on */
        {"10.0.0.1", HD_CLIENT_X_FORWARDED_FOR, "X-Forwarded-For: 6.6.6.6, x, 10.0.0.2\n",
         "10.0.0.2"},
        {"10.0.0.1", HD_CLIENT_X_FORWARDED_FOR, "X-Forwarded-For: 6.6.6.6, unknown\n", "10.0.0.1"},
        {"10.0.0.1", HD_CLIENT_X_FORWARDED_FOR, "X-Forwarded-For: 6.6.6.6,\n", "10.0.0.1"},
        {"10.0.0.1", HD_CLIENT_X_FORWARDED_FOR, "X-Forwarded-For:\n", "10.0.0.1"},
        /* X-Real-IP where there is no X-Forwarded-For */
        {"10.0.0.1", HD_CLIENT_X_FORWARDED_FOR, "X-Real-IP: 1.1.1.1\n", "1.1.1.1"},
        {"10.0.0.1", HD_CLIENT_X_FORWARDED_FOR, "X-Real-IP: 6.6.6.6\nX-Forwarded-For: x\n",
         "10.0.0.1"},
        {"10.0.0.1", HD_CLIENT_X_REAL_IP, "X-Real-IP: 1.1.1.1\nX-Forwarded-For: 6.6.6.6\n",
         "1.1.1.1"},
        /* the field that the proxies do not maintain is not looked at */
        {"10.0.0.1", HD_CLIENT_X_FORWARDED_FOR, "Forwarded: for=6.6.6.6\n", "10.0.0.1"},
        {"10.0.0.1", HD_CLIENT_FORWARDED, "X-Forwarded-For: 6.6.6.6\n", "10.0.0.1"},
        {"10.0.0.1", HD_CLIENT_FORWARDED, "Forwarded: for=6.6.6.6, for=1.1.1.1;proto=https\n",
         "1.1.1.1"},
        {"10.0.0.1", HD_CLIENT_FORWARDED,
         "Forwarded: for=6.6.6.6\nForwarded: for=\"[2001:db8::1]:9\", for=10.0.0.2\n",
         "2001:db8::1"},
        {"10.0.0.1", HD_CLIENT_FORWARDED, "Forwarded: for=6.6.6.6, for=_x, for=10.0.0.2\n",
         "10.0.0.2"},
        {"10.0.0.1", HD_CLIENT_FORWARDED, "Forwarded: for=6.6.6.6, proto=http\n", "10.0.0.1"},
        {"10.0.0.1", HD_CLIENT_FORWARDED, "Forwarded: for=6.6.6.6, \"\n", "10.0.0.1"},
        {"10.0.0.1", HD_CLIENT_FORWARDED, "Forwarded: for=6.6.6.6\nForwarded: for=x y\n",
         "10.0.0.1"},
    };
    struct hd_cidr trusted[2];
    assert_int_equal(hd_cidr_parse(&trusted[0], hd_str("10.0.0.0/8"), NULL), 0);
    assert_int_equal(hd_cidr_parse(&trusted[1], hd_str("::1"), NULL), 0);
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_field fields[4];
        size_t n = 0;
        struct hd_str line, lines = hd_str(cases[i].fields);
        while (hd_str_split(&line, &lines, '\n') && line.len > 0) {
            struct hd_str value = line;
            hd_str_split(&fields[n].name, &value, ':');
            fields[n++].value = hd_str_trim(value);
        }
        struct hd_ipaddr peer, client;
        char text[HD_IPADDR_CHARS + 1];
        assert_int_equal(hd_ipaddr_parse(&peer, hd_str(cases[i].peer)), 0);
        client = hd_client_address(&peer, fields, n, cases[i].which, trusted, HD_COUNT(trusted));
        hd_ipaddr_format(text, &client);
        if (strcmp(text, cases[i].client) != 0)
            fail_msg("case %zu: %s: want %s, got %s", i, cases[i].fields, cases[i].client, text);
    }
    (void)state;
}

static void the_walk_has_a_maximum(void **state)
{
    struct hd_buf list;
    struct hd_cidr trusted;
    struct hd_ipaddr peer, got, want;
    hd_buf_init(&list, 4096);
    hd_buf_cstr(&list, "6.6.6.6");
    for (unsigned i = 100; i > 0; i--)
        hd_buf_fmt(&list, ", 10.0.0.%u", i);
    const struct hd_field f = {hd_str("X-Forwarded-For"), hd_buf_view(&list)};
    hd_cidr_parse(&trusted, hd_str("10.0.0.0/8"), NULL);
    hd_ipaddr_parse(&peer, hd_str("10.9.9.9"));
    hd_ipaddr_parse(&want, hd_str("10.0.0.32"));
    got = hd_client_address(&peer, &f, 1, HD_CLIENT_X_FORWARDED_FOR, &trusted, 1);
    assert_true(hd_ipaddr_eq(&got, &want));
    hd_buf_done(&list);
    (void)state;
}

static void what_is_written_can_be_read(void **state)
{
    static const struct {
        const char *source, *host, *proto, *out;
    } cases[] = {
        {"192.0.2.1", "example.com", "http", "for=192.0.2.1;host=example.com;proto=http"},
        {"2001:db8::1", "[::1]:80", "https", "for=\"[2001:db8::1]\";host=\"[::1]:80\";proto=https"},
        {NULL, "", "", "for=unknown"},
        {NULL, "a\"\\b", "", "for=unknown;host=\"a\\\"\\\\b\""},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_buf b;
        struct hd_ipaddr a = {.family = 0};
        if (cases[i].source != NULL)
            hd_ipaddr_parse(&a, hd_str(cases[i].source));
        hd_buf_init(&b, 256);
        hd_forwarded_format(&b, &a, hd_str(cases[i].host), hd_str(cases[i].proto));
        hd_auto_free char *got = hd_buf_take(&b);
        assert_string_equal(got, cases[i].out);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_are_taken_apart),
        cmocka_unit_test(bad_elements_are_refused),
        cmocka_unit_test(nodes_are_addresses_with_ports),
        cmocka_unit_test(nothing_is_an_empty_list),
        cmocka_unit_test(lists_are_walked_from_the_right),
        cmocka_unit_test(the_client_is_the_last_that_is_not_trusted),
        cmocka_unit_test(the_walk_has_a_maximum),
        cmocka_unit_test(what_is_written_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
