/* lambda/tags.h - the rules of tags, for everything that has some. Pure. */
#pragma once

#include "lambda/deploy/view.h"

#include <jansson.h>

enum { HD_TAGS_MAX = 50, HD_TAGS_KEY_CHARS = 128, HD_TAGS_VALUE_CHARS = 256 };

/**
 * Add tags to those that are there; a key that is there gets the new value.
 * @param tags  changed only on success.
 * @param max   how many there may be; 0: HD_TAGS_MAX.
 * @return 0; HD_EINVAL: none is given, a key or value has a wrong length, or it begins with "aws:";
 *         or "heddle.edge" or "heddle.freeze" has a value that says nothing; HD_EBUSY: there would
 * be too many. The message is the service's.
 */
int hd_tags_add(json_t *tags, const json_t *more, unsigned max, struct hd_error *err);
/** @return what the tag heddle.edge of a function says. @param tags  NULL is fine. */
enum hd_edge_access hd_tags_edge(const json_t *tags);
enum hd_tags_freeze { HD_TAGS_FREEZE_UNSAID, HD_TAGS_FREEZE_OFF, HD_TAGS_FREEZE_ON };
/** @return what the tag heddle.freeze of a function says. @param tags  NULL is fine. */
enum hd_tags_freeze hd_tags_freeze(const json_t *tags);
/** Take keys off; unknown ones are fine. @param keys  array of texts. */
void hd_tags_remove(json_t *tags, const json_t *keys);
