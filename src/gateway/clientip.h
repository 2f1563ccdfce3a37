/* gateway/clientip.h - who the client is when trusted proxies stand in front of us. */
#pragma once

#include "http/forwarded.h"

/** The proxies that are believed; immutable. */
struct hd_trusted;

/** @param list  addresses and prefixes, NULL-terminated; NULL: none. @return 0 and *out, or
 *  HD_EINVAL naming the entry. */
int hd_trusted_new(struct hd_trusted **out, const char *const *list, struct hd_error *err);
void hd_trusted_free(struct hd_trusted *t); /* NULL is fine */

struct hd_client_ip {
    struct hd_ipaddr address; /* the client's; none for a Unix socket without a proxy */
    bool via_proxy;           /* the peer is a trusted proxy: what it says is believed */
};
struct sockaddr;
/** @param fields  of the request, as received. */
void hd_client_ip(struct hd_client_ip *out, const struct hd_trusted *t, const struct sockaddr *peer,
                  const struct hd_field *fields, size_t n_fields);
