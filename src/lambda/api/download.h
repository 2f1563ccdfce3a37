/* lambda/api/download.h - links to stored archives: they say until when they are good, and are
 * signed, so that whoever has one needs no key. */
#pragma once

#include "lambda/api/op.h"

/** @return a link to the archive with this digest, good for ten minutes; a new reference. */
json_t *hd_download_link(const struct hd_op *op, const char *digest);
/** Answer a request for such a link. */
void hd_download_serve(struct hd_op *op);
