/* lambda/door/url_config.h - function URLs as records: their ids, addresses, and CORS settings.
 * Pure. */
#pragma once

#include "core/id.h"

#include <jansson.h>

/* The record: Id, AuthType, Cors, InvokeMode (as given), CreationTime, LastModifiedTime. */

enum { HD_URL_ID_CHARS = 32 };

/** Write a new id: lower-case letters and digits. */
void hd_url_id(char out[HD_URL_ID_CHARS + 1], struct hd_rng *rng);
/** @return whether a caller may choose this id: one label of a host name, in lower case. */
bool hd_url_id_ok(struct hd_str id);
/**
 * @param port  0, or the scheme's own: not shown.
 * @return "http://<id>.lambda-url.<region>.<domain>[:port]/", for the caller to free.
 */
char *hd_url_address(const char *scheme, const char *id, const char *region, const char *domain,
                     uint16_t port);
/**
 * Put what a caller gives into a record.
 * @param given  has AuthType, Cors and InvokeMode, or some of them. An empty Cors takes it away.
 */
void hd_url_take(json_t *record, const json_t *given);
/**
 * Look whether the CORS settings can be kept as they are.
 * @return 0, or HD_EINVAL: the message says which member, and why.
 */
int hd_url_check_cors(const json_t *cors, struct hd_error *err);
