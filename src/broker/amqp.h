/* broker/amqp.h - AMQP 0-9-1 by librabbitmq: to connect with or without TLS, and what its errors
 * mean. All of it blocks for some seconds at most: for threads of their own. */
#pragma once

#include "core/base.h"

#include <amqp.h>

enum { HD_AMQP_CHANNEL = 1 };

/** Where, and as whom; what is not NULL beats what the URL says. */
struct hd_amqp_address {
    /* amqp://user:password@host:5672/vhost, or amqps://; with ?heartbeat=SECONDS, 1 to 600, in
     * which a silent peer is asked whether it is there (10); after two of them it is gone */
    const char *url;
    const char *user, *password, *vhost;
    bool publishes; /* it wants to hear when the broker takes nothing: connection.blocked */
};

/** @return 0, or HD_EINVAL: that is no such URL; the message does not show it. */
int hd_amqp_check_url(const char *url, struct hd_error *err);
/**
 * Connect, log in, open HD_AMQP_CHANNEL. A server's certificate must be signed by one of the
 * machine's authorities (or those of the file in SSL_CERT_FILE) for the host of the URL.
 * @return 0 and *out, to be closed; or HD_EINVAL, HD_EIO, HD_EDENIED (who we are is not accepted).
 */
int hd_amqp_open(amqp_connection_state_t *out, const struct hd_amqp_address *to,
                 struct hd_error *err);
/** Politely where that still works, and for a second at most. NULL is fine. */
void hd_amqp_close(amqp_connection_state_t conn);

/** @return 0, or what is wrong; the message begins with @p what. */
int hd_amqp_check(amqp_rpc_reply_t reply, const char *what, struct hd_error *err);
int hd_amqp_check_status(int status, const char *what, struct hd_error *err);
/** @return the error that a method stands for which nobody asked for. */
int hd_amqp_unexpected(const amqp_method_t *method, const char *what, struct hd_error *err);

static inline struct hd_str hd_amqp_str(amqp_bytes_t b)
{
    return hd_str_n(b.bytes, b.len);
}
