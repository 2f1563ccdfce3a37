/* test/unit/test_clientip.c - a spoofed field never changes who is counted. */
#include "gateway/clientip.h"
#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

static const struct sockaddr *peer(const char *address)
{
    static struct sockaddr_storage store;
    struct sockaddr_in *v4 = (struct sockaddr_in *)&store;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&store;
    memset(&store, 0, sizeof(store));
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, address, &v6->sin6_addr), 1);
        v6->sin6_family = AF_INET6;
    }
    return (const struct sockaddr *)&store;
}

static void finds_the_client_from_the_right(void **state)
{
    static const char *const proxies[] = {"10.0.0.0/8", " 192.0.2.7 ", "2001:db8:1::/48", NULL};
    struct hd_trusted *t = NULL;
    assert_int_equal(hd_trusted_new(&t, proxies, NULL), 0);
    static const struct {
        const char *peer, *first, *second, *real_ip, *client, *key;
        bool via_proxy;
    } cases[] = {
        {"198.51.100.1", NULL, NULL, NULL, "198.51.100.1", "198.51.100.1", false},
        /* Not a proxy: whatever it says is ignored. */
        {"198.51.100.1", "203.0.113.9", NULL, "203.0.113.8", "198.51.100.1", "198.51.100.1", false},
        {"10.1.2.3", "203.0.113.9", NULL, NULL, "203.0.113.9", "203.0.113.9", true},
        /* The proxy appended to what the client had made up. */
        {"10.1.2.3", "1.1.1.1, 203.0.113.9", NULL, NULL, "203.0.113.9", "203.0.113.9", true},
        {"10.1.2.3", "1.1.1.1", "203.0.113.9", NULL, "203.0.113.9", "203.0.113.9", true},
        {"10.1.2.3", "203.0.113.9, 192.0.2.7", "10.9.9.9", NULL, "203.0.113.9", "203.0.113.9",
         true},
        {"::ffff:10.1.2.3", "203.0.113.9", NULL, NULL, "203.0.113.9", "203.0.113.9", true},
        {"10.1.2.3", NULL, NULL, "203.0.113.9", "203.0.113.9", "203.0.113.9", true},
        {"10.1.2.3", "nonsense", NULL, NULL, "10.1.2.3", "10.1.2.3", true},
        {"10.1.2.3", NULL, NULL, NULL, "10.1.2.3", "10.1.2.3", true},
        {"2001:db8:1::5", "2001:db8:2:3:4:5:6:7", NULL, NULL, "2001:db8:2:3:4:5:6:7",
         "2001:db8:2:3::", true},
        {"2001:db8:2::5", "203.0.113.9", NULL, NULL, "2001:db8:2::5", "2001:db8:2::", false},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_field fields[3];
        size_t n = 0;
        if (cases[i].first != NULL)
            fields[n++] = (struct hd_field){hd_str("X-Forwarded-For"), hd_str(cases[i].first)};
        if (cases[i].real_ip != NULL)
            fields[n++] = (struct hd_field){hd_str("x-real-ip"), hd_str(cases[i].real_ip)};
        if (cases[i].second != NULL)
            fields[n++] = (struct hd_field){hd_str("x-forwarded-for"), hd_str(cases[i].second)};
        struct hd_client_ip c;
        hd_client_ip(&c, t, peer(cases[i].peer), fields, n);
        char text[HD_IPADDR_CHARS + 1];
        hd_ipaddr_format(text, &c.address);
        if (strcmp(text, cases[i].client) != 0 || c.via_proxy != cases[i].via_proxy ||
            c.trusted_ids != cases[i].via_proxy)
            fail_msg("case %zu: %s", i, text);
        struct hd_ipaddr key = hd_ipaddr_client(&c.address);
        hd_ipaddr_format(text, &key);
        assert_string_equal(text, cases[i].key);
    }
    hd_trusted_free(t);
    (void)state;
}

static void reads_the_field_that_the_proxies_maintain(void **state)
{
    static const char *const proxies[] = {"10.0.0.1", NULL};
    struct hd_trusted *t = NULL;
    assert_int_equal(hd_trusted_new(&t, proxies, NULL), 0);
    const struct hd_field fields[] = {
        {hd_str("x-forwarded-for"), hd_str("203.0.113.1")},
        {hd_str("forwarded"), hd_str("for=203.0.113.2;proto=https")},
        {hd_str("x-real-ip"), hd_str("203.0.113.3")},
    };
    static const char *const want[] = {
        [HD_CLIENT_X_FORWARDED_FOR] = "203.0.113.1",
        [HD_CLIENT_FORWARDED] = "203.0.113.2",
        [HD_CLIENT_X_REAL_IP] = "203.0.113.3",
    };
    for (unsigned which = 0; which < HD_COUNT(want); which++) {
        struct hd_client_ip c;
        char text[HD_IPADDR_CHARS + 1];
        hd_trusted_set(t, (enum hd_client_field)which, HD_TRUST_IDS_OF_NOBODY);
        hd_client_ip(&c, t, peer("10.0.0.1"), fields, HD_COUNT(fields));
        hd_ipaddr_format(text, &c.address);
        assert_string_equal(text, want[which]);
        assert_false(c.trusted_ids);
    }
    hd_trusted_free(t);
    (void)state;
}

static void trusts_ids_as_it_is_told(void **state)
{
    struct hd_trusted *t = NULL;
    struct hd_client_ip c;
    assert_int_equal(hd_trusted_new(&t, NULL, NULL), 0);
    hd_client_ip(&c, t, peer("198.51.100.1"), NULL, 0);
    assert_false(c.trusted_ids);
    hd_trusted_set(t, HD_CLIENT_X_FORWARDED_FOR, HD_TRUST_IDS_OF_ALL);
    hd_client_ip(&c, t, peer("198.51.100.1"), NULL, 0);
    assert_true(c.trusted_ids);
    assert_false(c.via_proxy);
    hd_client_ip(&c, NULL, peer("198.51.100.1"), NULL, 0);
    assert_false(c.trusted_ids);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    hd_client_ip(&c, NULL, (const struct sockaddr *)&un, NULL, 0);
    assert_int_equal(c.address.family, 0);
    assert_false(c.via_proxy);
    hd_trusted_free(t);
    (void)state;
}

static void names_the_entry_that_is_no_address(void **state)
{
    static const char *const bad[] = {"proxy.example", "10.0.0.0/33", "10.0.0.1/8", "", "::1/129"};
    for (size_t i = 0; i < HD_COUNT(bad); i++) {
        const char *const proxies[] = {"10.0.0.1", bad[i], NULL};
        struct hd_trusted *t = NULL;
        struct hd_error err = {.msg = ""};
        assert_int_equal(hd_trusted_new(&t, proxies, &err), HD_EINVAL);
        assert_null(t);
        hd_auto_free char *start = hd_printf("proxy.trusted: \"%s\": ", bad[i]);
        if (strncmp(err.msg, start, strlen(start)) != 0)
            fail_msg("%s", err.msg);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_client_from_the_right),
        cmocka_unit_test(reads_the_field_that_the_proxies_maintain),
        cmocka_unit_test(trusts_ids_as_it_is_told),
        cmocka_unit_test(names_the_entry_that_is_no_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
