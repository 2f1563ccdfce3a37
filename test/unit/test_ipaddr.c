/* test_ipaddr.c - addresses and prefixes. */
#include "core/ipaddr.h"
#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static struct hd_ipaddr ip(const char *text)
{
    struct hd_ipaddr a;
    if (hd_ipaddr_parse(&a, hd_str(text)) < 0)
        fail_msg("%s", text);
    return a;
}

static void addresses_are_read_and_written(void **state)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
        int family;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1", 4},
        {"0.0.0.0", "0.0.0.0", 4},
        {"255.255.255.255", "255.255.255.255", 4},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1", 6},
        {"::", "::", 6},
        {"::1", "::1", 6},
        {"::ffff:192.0.2.1", "192.0.2.1", 4},
        {"::FFFF:c000:0201", "192.0.2.1", 4},
        {"::fffe:192.0.2.1", "::fffe:c000:201", 6},
        {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8", 6},
        {"", NULL, 0},
        {"192.0.2", NULL, 0},
        {"192.0.2.1.1", NULL, 0},
        {"192.0.2.256", NULL, 0},
        {"192.0.2.01", NULL, 0},
        {"0x7f.0.0.1", NULL, 0},
        {" 192.0.2.1", NULL, 0},
        {"192.0.2.1 ", NULL, 0},
        {"2130706433", NULL, 0},
        {"[::1]", NULL, 0},
        {"fe80::1%eth0", NULL, 0},
        {"1::2::3", NULL, 0},
        {"1:2:3:4:5:6:7:8:9", NULL, 0},
        {"12345::", NULL, 0},
        {":::", NULL, 0},
        {"unknown", NULL, 0},
        {"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", NULL, 0},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_ipaddr a;
        char text[HD_IPADDR_CHARS + 1];
        const int rc = hd_ipaddr_parse(&a, hd_str(cases[i].in));
        if (rc != (cases[i].out != NULL ? 0 : HD_EINVAL))
            fail_msg("%s", cases[i].in);
        if (rc < 0)
            continue;
        assert_int_equal(a.family, cases[i].family);
        assert_true(hd_str_is(hd_ipaddr_format(text, &a), cases[i].out));
    }
    struct hd_ipaddr a;
    assert_int_equal(hd_ipaddr_parse(&a, hd_str_n("1.2.3.4\0x", 9)), HD_EINVAL);
    (void)state;
}

static void socket_addresses_are_normalised(void **state)
{
    const struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    const struct sockaddr_storage un = {.ss_family = AF_UNIX};
    const struct hd_ipaddr want = ip("192.0.2.1");
    struct hd_ipaddr got = hd_ipaddr_of((const struct sockaddr *)&v4);
    assert_true(hd_ipaddr_eq(&got, &want));
    inet_pton(AF_INET6, "::ffff:192.0.2.1", &v6.sin6_addr);
    got = hd_ipaddr_of((const struct sockaddr *)&v6);
    assert_true(hd_ipaddr_eq(&got, &want));
    got = hd_ipaddr_of((const struct sockaddr *)&un);
    assert_int_equal(got.family, 0);
    char text[HD_IPADDR_CHARS + 1];
    assert_int_equal(hd_ipaddr_format(text, &got).len, 0);
    (void)state;
}

static void masks_clear_the_last_bits(void **state)
{
    static const struct {
        const char *in;
        unsigned bits;
        const char *out;
    } cases[] = {
        {"255.255.255.255", 0, "0.0.0.0"},
        {"255.255.255.255", 1, "128.0.0.0"},
        {"255.255.255.255", 15, "255.254.0.0"},
        {"255.255.255.255", 16, "255.255.0.0"},
        {"255.255.255.255", 31, "255.255.255.254"},
        {"255.255.255.255", 32, "255.255.255.255"},
        {"255.255.255.255", 128, "255.255.255.255"},
        {"2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::"},
        {"2001:db8:1:2:3:4:5:6", 0, "::"},
        {"2001:db8:1:2:3:4:5:7", 127, "2001:db8:1:2:3:4:5:6"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        const struct hd_ipaddr a = ip(cases[i].in), want = ip(cases[i].out),
                               got = hd_ipaddr_masked(&a, cases[i].bits);
        assert_true(hd_ipaddr_eq(&got, &want));
    }
    struct hd_ipaddr a = ip("2001:db8:1:2:3:4:5:6"), b = ip("2001:db8:1:2::"), c = ip("192.0.2.1");
    a = hd_ipaddr_client(&a);
    assert_true(hd_ipaddr_eq(&a, &b));
    b = hd_ipaddr_client(&c);
    assert_true(hd_ipaddr_eq(&b, &c));
    (void)state;
}

static void prefixes_match_what_is_in_them(void **state)
{
    static const struct {
        const char *cidr, *address;
        bool in;
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "::ffff:10.1.1.1", true},
        {"10.0.0.0/8", "a00::", false},
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
        {"::ffff:10.0.0.0/104", "11.1.2.3", false},
        {"0.0.0.0/0", "1.2.3.4", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "::1", true},
        {"::/0", "1.2.3.4", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.0/31", "192.0.2.1", true},
        {"192.0.2.0/31", "192.0.2.2", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::1", "::1", true},
        {"::1/128", "::2", false},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_cidr c;
        const struct hd_ipaddr a = ip(cases[i].address), none = {.family = 0};
        assert_int_equal(hd_cidr_parse(&c, hd_str(cases[i].cidr), NULL), 0);
        if (hd_cidr_has(&c, &a) != cases[i].in)
            fail_msg("%s in %s", cases[i].address, cases[i].cidr);
        assert_false(hd_cidr_has(&c, &none));
    }
    (void)state;
}

static void bad_prefixes_say_what_to_write(void **state)
{
    static const struct {
        const char *cidr, *why;
    } cases[] = {
        {"", "not an IP address or prefix"},
        {"/8", "not an IP address or prefix"},
        {"localhost", "not an IP address or prefix"},
        {"10.0.0.0/", "must be 0 to 32"},
        {"10.0.0.0/33", "must be 0 to 32"},
        {"10.0.0.0/-1", "must be 0 to 32"},
        {"10.0.0.0/8/8", "must be 0 to 32"},
        {"10.0.0.0/18446744073709551624", "must be 0 to 32"},
        {"::/129", "must be 0 to 128"},
        {"::ffff:10.0.0.0/8", "must be 96 to 128"},
        {"10.1.2.3/8", "write 10.0.0.0/8"},
        {"2001:db8::1/32", "write 2001:db8::/32"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_cidr c;
        struct hd_error err = {0};
        assert_int_equal(hd_cidr_parse(&c, hd_str(cases[i].cidr), &err), HD_EINVAL);
        if (strstr(err.msg, cases[i].why) == NULL)
            fail_msg("%s: %s", cases[i].cidr, err.msg);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_written),
        cmocka_unit_test(socket_addresses_are_normalised),
        cmocka_unit_test(masks_clear_the_last_bits),
        cmocka_unit_test(prefixes_match_what_is_in_them),
        cmocka_unit_test(bad_prefixes_say_what_to_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
