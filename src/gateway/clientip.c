#include "gateway/clientip.h"

struct hd_trusted {
    struct hd_cidr *nets;
    size_t n;
};

int hd_trusted_new(struct hd_trusted **out, const char *const *list, struct hd_error *err)
{
    struct hd_trusted *t = hd_new(struct hd_trusted);
    size_t n = 0;
    while (list != NULL && list[n] != NULL)
        n++;
    t->nets = hd_new_array(struct hd_cidr, n);
    for (t->n = 0; t->n < n; t->n++) {
        int rc = hd_cidr_parse(&t->nets[t->n], hd_str(list[t->n]), err);
        if (rc < 0) {
            rc = hd_wrap(err, rc, "trusted proxy %s", list[t->n]);
            hd_trusted_free(t);
            return rc;
        }
    }
    *out = t;
    return 0;
}

void hd_trusted_free(struct hd_trusted *t)
{
    if (t == NULL)
        return;
    free(t->nets);
    free(t);
}

static bool is_trusted(const struct hd_trusted *t, const struct hd_ipaddr *a)
{
    for (size_t i = 0; i < t->n; i++) {
        if (hd_cidr_has(&t->nets[i], a))
            return true;
    }
    return false;
}

void hd_client_ip(struct hd_client_ip *out, const struct hd_trusted *t, const struct sockaddr *peer,
                  const struct hd_field *fields, size_t n_fields)
{
    struct hd_ipaddr from = hd_ipaddr_of(peer);
    out->via_proxy = t->n > 0 && is_trusted(t, &from);
    out->address = from;
    if (out->via_proxy)
        out->address = hd_client_address(&from, fields, n_fields, HD_CLIENT_X_FORWARDED_FOR,
                                         t->nets, t->n);
}
