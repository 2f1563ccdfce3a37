/* core/ipaddr.h - IP addresses and prefixes as values: parse, print, compare, match. */
#pragma once

#include "core/base.h"

enum { HD_IPADDR_CHARS = 45 }; /* the longest text of an address */

/** An address. Those which IPv6 maps to IPv4 (::ffff:0:0/96) are always kept as IPv4, so that one
 *  host has one value. Zeroed is no address. */
struct hd_ipaddr {
    uint8_t family;    /* 4, 6, or 0: none */
    uint8_t bytes[16]; /* network order; IPv4 in the first four, the rest zero */
};

/**
 * Read a numeric address, all of @p text: "192.0.2.1", "2001:db8::1"; no zone, no brackets, no
 * leading zeros in IPv4.
 * @return 0, or HD_EINVAL and *out untouched.
 */
int hd_ipaddr_parse(struct hd_ipaddr *out, struct hd_str text);

struct sockaddr;
/** @return the address of a socket address; none if it is not IPv4 or IPv6. */
struct hd_ipaddr hd_ipaddr_of(const struct sockaddr *sa);

/** Write the text (RFC 5952) and a NUL; no address becomes "". @return a slice of @p out. */
struct hd_str hd_ipaddr_format(char out[HD_IPADDR_CHARS + 1], const struct hd_ipaddr *a);

bool hd_ipaddr_eq(const struct hd_ipaddr *a, const struct hd_ipaddr *b);

/** @return @p a with all but the first @p bits cleared; as it is if it has no more of them. */
struct hd_ipaddr hd_ipaddr_masked(const struct hd_ipaddr *a, unsigned bits);
/** @return what one client is counted by: the address, or for IPv6 its /64, in which everybody can
 *  choose addresses freely. */
struct hd_ipaddr hd_ipaddr_client(const struct hd_ipaddr *a);

/** A prefix: "10.0.0.0/8". */
struct hd_cidr {
    struct hd_ipaddr net;
    uint8_t bits;
};
/**
 * Read an address or a prefix. @p text may be an address alone, then it matches that one only.
 * @return 0, or HD_EINVAL; bits that are set behind the prefix are an error, since they show that
 *         something else was meant.
 */
int hd_cidr_parse(struct hd_cidr *out, struct hd_str text, struct hd_error *err);
/** @return whether @p a lies in @p c; no address lies nowhere. */
bool hd_cidr_has(const struct hd_cidr *c, const struct hd_ipaddr *a);
