/* pool/docker/enginehost.h - where a container engine is, and how it is reached. */
#pragma once

#include "http/fetch.h"

/** What was set; NULL: it was not. Borrowed. */
struct hd_engine_where {
    const char *host;  /* "unix:///path", "tcp://host:port" [$DOCKER_HOST, or the usual sockets] */
    const char *certs; /* folder of ca.pem, cert.pem and key.pem: TLS [$DOCKER_CERT_PATH; where
                        * $DOCKER_TLS_VERIFY is set, ~/.docker]; for tcp:// only */
};

struct hd_engine_host {
    char *socket; /* NULL: TCP */
    char *base;   /* URL without a path: "http://docker", "https://10.0.0.1:2376" */
    char *ca, *cert, *key;
    bool tls;
};

/** @return 0, or HD_EINVAL: a host cannot be that. NULL is fine. */
int hd_engine_host_check(const char *host, struct hd_error *err);
/**
 * Find it; a socket must take a connection.
 * @return 0 and *out, to be ended with hd_engine_host_done(); HD_EINVAL: a setting or variable is
 *         something else; HD_EDENIED; HD_EIO: nobody is there, err says what to do.
 */
int hd_engine_host_find(struct hd_engine_host *out, const struct hd_engine_where *where,
                        struct hd_error *err);
void hd_engine_host_done(struct hd_engine_host *h);
/** @return for hd_fetch_start(), or NULL: no TLS. Borrows from @p h. */
const struct hd_fetch_tls *hd_engine_host_tls(const struct hd_engine_host *h,
                                              struct hd_fetch_tls *room);
