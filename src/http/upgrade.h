/* http/upgrade.h - an HTTP/1.1 request whose answer is 101: from then on the connection is bytes in
 * both directions. By libcurl, so over all that http/fetch.h can connect by. */
#pragma once

#include "http/fetch.h"

struct hd_upgrade;

/** Never from inside a call of the owner. */
struct hd_upgrade_events {
    void (*on_open)(void *arg);
    void (*on_data)(void *arg, struct hd_str bytes);
    /** After a send that took less than all. */
    void (*on_writable)(void *arg);
    /** It never opened, or is over: the last event, and only close is of use. */
    void (*on_end)(void *arg, const struct hd_error *err);
};

/** Borrowed until return. */
struct hd_upgrade_request {
    const char *base, *path; /* "http://docker", "/v1.41/..." */
    const char *protocol;    /* to upgrade to */
    const char *unix_socket; /* as in http/fetch.h; these two */
    const struct hd_fetch_tls *tls;
    uint32_t timeout_ms; /* until it is open */
};

/** POST without a body. @param events  outlives it.
 *  @return 0 and *out, to be closed; or as hd_fetch_start(). */
int hd_upgrade_start(struct hd_upgrade **out, struct hd_fetcher *f,
                     const struct hd_upgrade_request *req, const struct hd_upgrade_events *events,
                     void *arg, struct hd_error *err);
/** Send, when it is open. @return how many bytes were taken. */
size_t hd_upgrade_send(struct hd_upgrade *u, struct hd_str bytes);
/** Close: no event comes any more, and its memory goes. NULL is fine. */
void hd_upgrade_close(struct hd_upgrade *u);
