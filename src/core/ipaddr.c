#include "core/ipaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static struct hd_ipaddr from_v4(const void *bytes)
{
    struct hd_ipaddr a = {.family = 4};
    memcpy(a.bytes, bytes, 4);
    return a;
}

static struct hd_ipaddr from_v6(const uint8_t *bytes)
{
    if (memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0)
        return from_v4(bytes + sizeof(mapped_prefix));
    struct hd_ipaddr a = {.family = 6};
    memcpy(a.bytes, bytes, 16);
    return a;
}

int hd_ipaddr_parse(struct hd_ipaddr *out, struct hd_str text)
{
    char copy[HD_IPADDR_CHARS + 1] = {0};
    struct in_addr v4;
    struct in6_addr v6;
    if (text.len == 0 || text.len > HD_IPADDR_CHARS || memchr(text.ptr, '\0', text.len) != NULL)
        return HD_EINVAL;
    memcpy(copy, text.ptr, text.len);
    if (inet_pton(AF_INET, copy, &v4) == 1)
        *out = from_v4(&v4);
    else if (inet_pton(AF_INET6, copy, &v6) == 1)
        *out = from_v6(v6.s6_addr);
    else
        return HD_EINVAL;
    return 0;
}

struct hd_ipaddr hd_ipaddr_of(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return from_v4(&((const struct sockaddr_in *)(const void *)sa)->sin_addr);
    if (sa->sa_family == AF_INET6)
        return from_v6(((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr.s6_addr);
    return (struct hd_ipaddr){.family = 0};
}

struct hd_str hd_ipaddr_format(char out[HD_IPADDR_CHARS + 1], const struct hd_ipaddr *a)
{
    out[0] = '\0';
    if (a->family != 0)
        inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->bytes, out, HD_IPADDR_CHARS + 1);
    return hd_str(out);
}

bool hd_ipaddr_eq(const struct hd_ipaddr *a, const struct hd_ipaddr *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static unsigned width(const struct hd_ipaddr *a)
{
    return a->family == 4 ? 32 : 128;
}

struct hd_ipaddr hd_ipaddr_masked(const struct hd_ipaddr *a, unsigned bits)
{
    struct hd_ipaddr m = *a;
    for (unsigned i = bits / 8; i < width(a) / 8; i++)
        m.bytes[i] = (uint8_t)(i == bits / 8 ? m.bytes[i] & 0xff00u >> bits % 8 : 0u);
    return m;
}

struct hd_ipaddr hd_ipaddr_client(const struct hd_ipaddr *a)
{
    return hd_ipaddr_masked(a, a->family == 6 ? 64 : 32);
}

int hd_cidr_parse(struct hd_cidr *out, struct hd_str text, struct hd_error *err)
{
    const size_t slash = hd_str_find(text, '/');
    const struct hd_str address = hd_str_n(text.ptr, slash);
    const bool mapped = hd_str_find(address, ':') < address.len;
    struct hd_ipaddr net;
    if (hd_ipaddr_parse(&net, address) < 0)
        return hd_fail(err, HD_EINVAL, "\"%.*s\" is not an IP address or prefix", HD_FMT(text));
    uint64_t bits = width(&net);
    if (slash < text.len) {
        /* An IPv4 net may be written as what it is mapped to: ::ffff:10.0.0.0/104. */
        const unsigned skip = mapped && net.family == 4 ? 96 : 0;
        if (hd_str_to_u64(&bits, hd_str_n(text.ptr + slash + 1, text.len - slash - 1)) < 0 ||
            bits < skip || bits > width(&net) + skip)
            return hd_fail(err, HD_EINVAL, "\"%.*s\": the prefix length must be %u to %u",
                           HD_FMT(text), skip, width(&net) + skip);
        bits -= skip;
    }
    const struct hd_ipaddr masked = hd_ipaddr_masked(&net, (unsigned)bits);
    if (!hd_ipaddr_eq(&masked, &net)) {
        char meant[HD_IPADDR_CHARS + 1];
        hd_ipaddr_format(meant, &masked);
        return hd_fail(err, HD_EINVAL, "\"%.*s\" has bits set behind its prefix; write %s/%u",
                       HD_FMT(text), meant, (unsigned)bits);
    }
    *out = (struct hd_cidr){.net = net, .bits = (uint8_t)bits};
    return 0;
}

bool hd_cidr_has(const struct hd_cidr *c, const struct hd_ipaddr *a)
{
    if (a->family == 0 || a->family != c->net.family)
        return false;
    const struct hd_ipaddr masked = hd_ipaddr_masked(a, c->bits);
    return hd_ipaddr_eq(&masked, &c->net);
}
