#include "gateway/clientip.h"

struct hd_trusted {
    enum hd_client_field field;
    enum hd_trust_ids ids;
    size_t n;
    struct hd_cidr proxies[];
};

int hd_trusted_new(struct hd_trusted **out, const char *const *proxies, struct hd_error *err)
{
    size_t n = 0;
    while (proxies != NULL && proxies[n] != NULL)
        n++;
    if (n > HD_TRUSTED_MAX)
        return hd_fail(err, HD_EINVAL, "proxy.trusted: %zu entries, the limit is %d", n,
                       HD_TRUSTED_MAX);
    hd_auto(hd_trusted) t = hd_alloc(sizeof(*t) + n * sizeof(t->proxies[0]));
    t->field = HD_CLIENT_X_FORWARDED_FOR;
    t->ids = HD_TRUST_IDS_OF_PROXIES;
    for (; t->n < n; t->n++) {
        int rc = hd_cidr_parse(&t->proxies[t->n], hd_str_trim(hd_str(proxies[t->n])), err);
        if (rc < 0)
            return hd_wrap(err, rc, "proxy.trusted: \"%s\"", proxies[t->n]);
    }
    *out = hd_steal(t);
    return 0;
}

void hd_trusted_free(struct hd_trusted *t)
{
    free(t);
}

void hd_trusted_set(struct hd_trusted *t, enum hd_client_field field, enum hd_trust_ids ids)
{
    t->field = field;
    t->ids = ids;
}

static bool is_trusted(const struct hd_trusted *t, const struct hd_ipaddr *address)
{
    for (size_t i = 0; t != NULL && i < t->n; i++) {
        if (hd_cidr_has(&t->proxies[i], address))
            return true;
    }
    return false;
}

void hd_client_ip(struct hd_client_ip *out, const struct hd_trusted *t, const struct sockaddr *peer,
                  const struct hd_field *fields, size_t n_fields)
{
    out->address = hd_ipaddr_of(peer);
    out->via_proxy = is_trusted(t, &out->address);
    out->trusted_ids = out->via_proxy;
    if (t == NULL)
        return;
    if (out->via_proxy)
        out->address =
            hd_client_address(&out->address, fields, n_fields, t->field, t->proxies, t->n);
    if (t->ids != HD_TRUST_IDS_OF_PROXIES)
        out->trusted_ids = t->ids == HD_TRUST_IDS_OF_ALL;
}
