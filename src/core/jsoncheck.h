/* core/jsoncheck.h - is this text JSON (RFC 8259)? For text that is passed on as it is. Pure, no
 * allocation. */
#pragma once

#include "core/base.h"

enum { HD_JSON_DEPTH_MAX = 1000 };

/**
 * Check that @p text is one JSON value of any kind, in UTF-8, with blanks around it at most.
 * @return 0; or HD_EINVAL and what is wrong at which byte: nesting deeper than HD_JSON_DEPTH_MAX
 *         too.
 */
int hd_json_check(struct hd_str text, struct hd_error *err);
