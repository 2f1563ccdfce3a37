/* permission.c - the form of what a manifest permits; what it means is the backend's to enforce. */
#include "functions/manifest.h"

#include <arpa/inet.h>

enum { ENTRY_MAX = 1024, NAME_MAX_LEN = 256 };

bool hd_env_name_ok(struct hd_str name)
{
    if (name.len == 0 || name.len > NAME_MAX_LEN || (name.ptr[0] >= '0' && name.ptr[0] <= '9'))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_'))
            return false;
    }
    return true;
}

static bool is_address(const char *text, unsigned *bits)
{
    unsigned char raw[16];
    if (inet_pton(AF_INET, text, raw) == 1) {
        *bits = 32;
        return true;
    }
    *bits = 128;
    return inet_pton(AF_INET6, text, raw) == 1;
}

static int check_network(struct hd_str entry, size_t slash, struct hd_error *err)
{
    hd_auto_free char *address = hd_strdup_n(hd_str_n(entry.ptr, slash));
    unsigned bits = 0;
    uint64_t prefix = 0;
    if (!is_address(address, &bits))
        return hd_fail(err, HD_EINVAL,
                       "\"%.*s\" is no network: write it as 10.0.0.0/8, or a host without a path",
                       HD_FMT(entry));
    if (hd_str_to_u64(&prefix, hd_str_n(entry.ptr + slash + 1, entry.len - slash - 1)) < 0 ||
        prefix > bits)
        return hd_fail(err, HD_EINVAL, "\"%.*s\": the prefix goes from 0 to %u", HD_FMT(entry),
                       bits);
    return 0;
}

static int check_port(struct hd_str entry, struct hd_str port, struct hd_error *err)
{
    uint64_t n = 0;
    if (hd_str_to_u64(&n, port) < 0 || n < 1 || n > 65535)
        return hd_fail(err, HD_EINVAL, "\"%.*s\": the port goes from 1 to 65535", HD_FMT(entry));
    return 0;
}

static int check_host(struct hd_str entry, struct hd_str host, struct hd_error *err)
{
    static const struct hd_str any_below = HD_LIT("*.");
    if (hd_str_starts(host, any_below))
        host = hd_str_n(host.ptr + 2, host.len - 2);
    bool good = host.len > 0 && host.len <= 253;
    for (size_t i = 0; good && i < host.len; i++) {
        char c = host.ptr[i];
        good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.';
    }
    if (good)
        return 0;
    return hd_fail(err, HD_EINVAL,
                   "\"%.*s\" is no host: write host, host:port, *.domain, an address or a network, "
                   "without a scheme",
                   HD_FMT(entry));
}

static int check_net(struct hd_str entry, struct hd_error *err)
{
    static const struct hd_str scheme = HD_LIT("://");
    unsigned bits = 0;
    hd_auto_free char *whole = hd_strdup_n(entry);
    if (hd_str_is(entry, "*") || is_address(whole, &bits))
        return 0;
    if (entry.ptr[0] == '[') { /* [::1]:443 */
        size_t close = hd_str_find(entry, ']');
        hd_auto_free char *address = hd_strdup_n(hd_str_n(entry.ptr + 1, close - 1));
        struct hd_str rest = hd_str_n(entry.ptr + close, entry.len - close);
        if (rest.len == 0 || !is_address(address, &bits) || bits != 128 ||
            (rest.len > 1 && rest.ptr[1] != ':'))
            return hd_fail(err, HD_EINVAL, "\"%.*s\" is no IPv6 address", HD_FMT(entry));
        return rest.len == 1 ? 0 : check_port(entry, hd_str_n(rest.ptr + 2, rest.len - 2), err);
    }
    size_t slash = hd_str_find(entry, '/');
    if (slash < entry.len && memmem(entry.ptr, entry.len, scheme.ptr, scheme.len) == NULL)
        return check_network(entry, slash, err);
    size_t colon = hd_str_find(entry, ':');
    int rc = check_host(entry, hd_str_n(entry.ptr, slash < entry.len ? entry.len : colon), err);
    if (rc < 0 || colon == entry.len)
        return rc;
    return check_port(entry, hd_str_n(entry.ptr + colon + 1, entry.len - colon - 1), err);
}

int hd_permission_check(enum hd_key key, struct hd_str entry, struct hd_error *err)
{
    if (entry.len == 0 || entry.len > ENTRY_MAX)
        return hd_fail(err, HD_EINVAL, "an entry has 1 to %d characters", ENTRY_MAX);
    for (size_t i = 0; i < entry.len; i++) {
        /* Runtimes take these lists joined by commas. */
        if ((unsigned char)entry.ptr[i] < 0x20 || entry.ptr[i] == ',' || entry.ptr[i] == 0x7f)
            return hd_fail(err, HD_EINVAL,
                           "\"%.*s\": no commas or control characters; write one "
                           "entry each",
                           HD_FMT(entry));
    }
    if (key == HD_KEY_NET)
        return check_net(entry, err);
    if (key == HD_KEY_ALLOW_ENV && !hd_str_is(entry, "*") && !hd_env_name_ok(entry))
        return hd_fail(err, HD_EINVAL, "\"%.*s\" is no variable's name", HD_FMT(entry));
    return 0;
}
