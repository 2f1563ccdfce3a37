/* fuzz_forwarded.c - Forwarded, X-Forwarded-For, addresses and prefixes: what was read can be
 * written and read again. */
#include "fuzz.h"
#include "http/forwarded.h"

static void check_element(const struct hd_forwarded *f, struct hd_str in)
{
    struct hd_ipaddr addr = {.family = 0};
    struct hd_forwarded again;
    struct hd_buf out;
    uint16_t port;
    fuzz_check_within(f->source, in);
    fuzz_check_within(f->by, in);
    fuzz_check_within(f->host, in);
    fuzz_check_within(f->proto, in);
    const int rc = hd_forwarded_node(&addr, &port, f->source);
    fuzz_check(rc == 0 || rc == HD_ENOTFOUND || rc == HD_EPROTO);
    hd_buf_init(&out, 2 * in.len + 128);
    hd_forwarded_format(&out, &addr, f->host, f->proto);
    fuzz_check(hd_forwarded_parse(&again, 1, hd_buf_view(&out), NULL) == 1);
    fuzz_check(hd_str_eq(again.host, f->host) && hd_str_eq(again.proto, f->proto));
    struct hd_ipaddr same = {.family = 0};
    fuzz_check(hd_forwarded_node(&same, &port, again.source) == (rc == 0 ? 0 : HD_ENOTFOUND));
    fuzz_check(rc != 0 || hd_ipaddr_eq(&addr, &same));
    hd_buf_done(&out);
}

static void check_address(struct hd_str in)
{
    struct hd_ipaddr a, same;
    struct hd_cidr net;
    struct hd_error err = {0};
    char text[HD_IPADDR_CHARS + 1];
    if (hd_ipaddr_parse(&a, in) == 0) {
        fuzz_check(hd_ipaddr_parse(&same, hd_ipaddr_format(text, &a)) == 0);
        fuzz_check(hd_ipaddr_eq(&a, &same));
    }
    if (hd_cidr_parse(&net, in, &err) == 0)
        fuzz_check(hd_cidr_has(&net, &net.net));
    else
        fuzz_check(err.msg[0] != '\0');
}

static void check_client(struct hd_str in)
{
    static const char *const names[] = {"X-Forwarded-For", "Forwarded", "X-Real-IP"};
    struct hd_cidr trusted[2];
    struct hd_ipaddr peer;
    hd_cidr_parse(&trusted[0], hd_str("10.0.0.0/8"), NULL);
    hd_cidr_parse(&trusted[1], hd_str("::/1"), NULL);
    hd_ipaddr_parse(&peer, hd_str("10.0.0.1"));
    for (size_t i = 0; i < HD_COUNT(names); i++) {
        const struct hd_field fields[] = {{hd_str(names[i]), in}, {hd_str(names[i]), in}};
        const struct hd_ipaddr a =
            hd_client_address(&peer, fields, HD_COUNT(fields), (enum hd_client_field)i, trusted, 2);
        fuzz_check(a.family == 4 || a.family == 6);
        const struct hd_ipaddr b =
            hd_client_address(&peer, fields, HD_COUNT(fields), (enum hd_client_field)i, trusted, 0);
        fuzz_check(hd_ipaddr_eq(&b, &peer));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct hd_str in = {(const char *)data, size};
    struct hd_forwarded elements[HD_FORWARDED_MAX];
    struct hd_error err = {0};
    const int n = hd_forwarded_parse(elements, HD_COUNT(elements), in, &err);
    fuzz_check(n >= 0 ? n <= HD_FORWARDED_MAX : n == HD_EPROTO && err.msg[0] != '\0');
    for (int i = 0; i < n; i++)
        check_element(&elements[i], in);
    check_address(in);
    check_client(in);
    return 0;
}
