/* functions/discover.h - which folders below the functions root are functions. Off the loop. */
#pragma once

#include "functions/function.h"

/** A file name that can be a function's entry, in order of precedence, and what runs it. */
struct hd_entry_name {
    const char *name;
    enum hd_runtime runtime;
};
extern const struct hd_entry_name hd_entry_names[];
extern const size_t hd_entry_names_n;

/** Files that map import names, in order of precedence. */
extern const char *const hd_import_map_names[];
enum { HD_IMPORT_MAP_NAMES = 3 };

/** One immediate subfolder of the root (or a symbolic link to a folder). */
struct hd_found {
    char name[HD_FUNCTION_NAME_MAX + 1];
    char *dir; /* absolute, links resolved; root/name where that is not possible */
    bool has_heddle_json, has_1tube_json, has_env;
    uint32_t import_maps; /* bit i: hd_import_map_names[i] is there */
    uint32_t entries;     /* bit i: hd_entry_names[i] is there */
    char *problem;        /* broken link, unreadable, ...; or NULL */
};

struct hd_discovery {
    struct hd_found *items; /* sorted by name */
    size_t n;
    struct hd_strings notes; /* folders that look like functions but cannot be: name and reason */
};

/**
 * List the subfolders of @p root whose names are function names. A folder with neither manifest nor
 * entry file is listed too (a config.toml may name its entry): see hd_found_is_function().
 * @param root  absolute, links resolved.
 * @return 0 and *out, to be freed with hd_discovery_done(); or HD_ENOTFOUND, HD_EDENIED, HD_EIO
 *         when the root cannot be read, HD_EBUSY when it has more than 100000 subfolders.
 */
int hd_discover(struct hd_discovery *out, const char *root, struct hd_error *err);
void hd_discovery_done(struct hd_discovery *d);
/**
 * Look at one name only.
 * @return 1 and *out, to be freed with hd_found_done(); or 0: no folder of that name.
 */
int hd_discover_one(struct hd_found *out, const char *root, const char *name);
void hd_found_done(struct hd_found *f);
/** @return whether it has a manifest or an entry file, or a problem that hides them. */
bool hd_found_is_function(const struct hd_found *f);
/** @return the first entry file that is there and that @p runtime runs, or NULL.
 *  @param runtime  -1: any. */
const struct hd_entry_name *hd_found_entry(const struct hd_found *f, int runtime);
/** Which runtime runs a file, by the end of its name. @return 0 and *out, or HD_ENOTFOUND. */
int hd_runtime_of_file(enum hd_runtime *out, struct hd_str file);
