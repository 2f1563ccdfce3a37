/* functions/importmap.h - import maps (https://html.spec.whatwg.org/#import-maps), as far as they
 * lead to local files; also the "imports" of a deno.json. */
#pragma once

#include "core/base.h"

struct hd_import_map;

/**
 * Read a map; comments (as in .jsonc) are fine. A map that is broken or leads nowhere local is
 * empty: the runtime that loads the function reports it.
 * @param path  of the file; relative addresses are relative to its folder.
 */
struct hd_import_map *hd_import_map_new(struct hd_str text, const char *path);
void hd_import_map_free(struct hd_import_map *m); /* NULL is fine */
/** @return the local path that a specifier is mapped to, for the caller to free, or NULL. */
char *hd_import_map_find(const struct hd_import_map *m, struct hd_str specifier);
/** @return the path of another map that a deno.json names as its "importMap", or NULL. */
const char *hd_import_map_elsewhere(const struct hd_import_map *m);

HD_AUTO(hd_import_map)
