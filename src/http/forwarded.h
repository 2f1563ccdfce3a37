/* http/forwarded.h - who the client is behind proxies: Forwarded (RFC 7239), X-Forwarded-For,
 * X-Real-IP. Pure. */
#pragma once

#include "core/buf.h"
#include "core/ipaddr.h"

#include <heddle/invoke.h>

enum { HD_FORWARDED_MAX = 32 }; /* hops that are looked at */

/** One element of a Forwarded field: what one proxy said. Slices of the field without their quotes;
 *  ptr NULL: it did not say. */
struct hd_forwarded {
    struct hd_str source, by, host, proto; /* `source` is the parameter "for" */
};

/**
 * Parse the value of one Forwarded field; elements in order, the nearest proxy's last.
 * Blanks around ";" are tolerated. Other parameters are checked and left out.
 * @return the number of elements; HD_EPROTO: bad syntax, a parameter twice in an element, an escape
 *         within one of the four, or more than @p max elements; the message names the byte offset.
 */
int hd_forwarded_parse(struct hd_forwarded *out, size_t max, struct hd_str value,
                       struct hd_error *err);

/**
 * Read a node of RFC 7239 section 6: "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]:80".
 * @param port  set: the port, or 0 where it is absent or obfuscated.
 * @return 0; HD_ENOTFOUND: it is "unknown" or obfuscated ("_hidden"); HD_EPROTO: it is no node.
 */
int hd_forwarded_node(struct hd_ipaddr *addr, uint16_t *port, struct hd_str node);

/**
 * Take the last entry off a comma list such as X-Forwarded-For, blanks at its ends removed.
 * @return false when *rest was used up (its ptr is NULL); *entry may be empty.
 */
bool hd_forwarded_last(struct hd_str *entry, struct hd_str *rest);

/** Which field the trusted proxies maintain. It must be said: a proxy passes on what it does not
 *  maintain as the client sent it. */
enum hd_client_field {
    HD_CLIENT_X_FORWARDED_FOR, /* and X-Real-IP where there is none */
    HD_CLIENT_FORWARDED,
    HD_CLIENT_X_REAL_IP,
};
/**
 * Find the client's address: from @p peer outwards, the first that is not trusted. An entry which
 * is no address (or unknown, or obfuscated) ends the walk at the proxy that wrote it; so does hop
 * HD_FORWARDED_MAX.
 * @param peer    the socket's; the answer unless it is trusted.
 * @param fields  of the request, as received.
 */
struct hd_ipaddr hd_client_address(const struct hd_ipaddr *peer, const struct hd_field *fields,
                                   size_t n_fields, enum hd_client_field which,
                                   const struct hd_cidr *trusted, size_t n_trusted);

/** Append an element: `for="[2001:db8::1]";host=example.com;proto=http`. No address becomes
 *  for=unknown; an empty host or proto is left out. Values as parsed: without control bytes. */
void hd_forwarded_format(struct hd_buf *out, const struct hd_ipaddr *source, struct hd_str host,
                         struct hd_str proto);
