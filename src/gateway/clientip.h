/* gateway/clientip.h - whose request it is, where proxies that are trusted stand in front of us. */
#pragma once

#include "http/forwarded.h"

struct sockaddr;

enum { HD_TRUSTED_MAX = 256 };

/** Whose X-Request-Id and traceparent are continued. */
enum hd_trust_ids { HD_TRUST_IDS_OF_PROXIES, HD_TRUST_IDS_OF_ALL, HD_TRUST_IDS_OF_NOBODY };

/** The proxies that are trusted; immutable once it is shared. */
struct hd_trusted;

struct hd_client_ip {
    struct hd_ipaddr address; /* of the client; count it by hd_ipaddr_client() */
    bool via_proxy;           /* the peer is trusted: what it says about the request counts */
    bool trusted_ids;         /* its request id and trace are continued */
};

/**
 * @param proxies  addresses and prefixes, NULL-terminated; NULL or empty: nobody is trusted.
 * @return 0 and *out, the caller's to free; or HD_EINVAL naming the entry.
 */
int hd_trusted_new(struct hd_trusted **out, const char *const *proxies, struct hd_error *err);
void hd_trusted_free(struct hd_trusted *t); /* NULL is fine */
/** Change what is not said otherwise: HD_CLIENT_X_FORWARDED_FOR and HD_TRUST_IDS_OF_PROXIES. */
void hd_trusted_set(struct hd_trusted *t, enum hd_client_field field, enum hd_trust_ids ids);

/**
 * Find out. The field is read from its end: the right-most address that is not trusted is the
 * client, whatever a client wrote to the left of it.
 * @param t       NULL: nobody is trusted.
 * @param peer    of the connection. One that is neither IPv4 nor IPv6 has no address, and nobody
 * can trust it.
 * @param fields  of the request, all of them, in order, as received.
 */
void hd_client_ip(struct hd_client_ip *out, const struct hd_trusted *t, const struct sockaddr *peer,
                  const struct hd_field *fields, size_t n_fields);

HD_AUTO(hd_trusted)
