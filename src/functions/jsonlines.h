/* functions/jsonlines.h - on which line a key of a JSON document stands. The JSON library tells
 * that for broken documents only; we need it for good ones with a wrong value. */
#pragma once

#include "core/map.h"
#include "functions/strings.h"

enum { HD_JSON_LINES_DEPTH = 3 };

/** Keys down to HD_JSON_LINES_DEPTH objects deep, by path ("permissions.net"). */
struct hd_json_lines {
    struct hd_map by_path;
    struct hd_strings paths;
};

/** Scan a document that the JSON library took; anything else gives an index of no use, no harm. */
void hd_json_lines_init(struct hd_json_lines *l, struct hd_str text);
void hd_json_lines_done(struct hd_json_lines *l);
/** @return the line from 1, or 0 if the path is not there (or is written with escapes). */
unsigned hd_json_line(const struct hd_json_lines *l, const char *path);
