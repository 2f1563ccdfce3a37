/* functions/supabase.h - the [functions.NAME] sections of a Supabase project's config.toml. */
#pragma once

#include "core/map.h"
#include "functions/manifest.h"

/** What config.toml says about one function. */
struct hd_supabase_function {
    char *name;
    struct hd_manifest manifest;
    char *problem; /* a value that cannot be used, with file, line and key; or NULL */
};

struct hd_supabase {
    struct hd_map by_name;                   /* of struct hd_supabase_function */
    struct hd_supabase_function **functions; /* as they come in the file */
    size_t n;
};

/**
 * Read the sections: verify_jwt, import_map, entrypoint, enabled. Everything else in the file is
 * left alone; an unknown key in a section is warned about.
 * @param text  of the file; not TOML: HD_EINVAL with file and line, and *out is empty.
 * @param file  as shown to people.
 * @param dir   the file's folder: paths in it are relative to that.
 * @return 0 and *out, to be freed with hd_supabase_done().
 */
int hd_supabase_read(struct hd_supabase *out, struct hd_str text, const char *file, const char *dir,
                     struct hd_error *err);
void hd_supabase_done(struct hd_supabase *s);
/** @return what is said about a function, or NULL. */
const struct hd_supabase_function *hd_supabase_find(const struct hd_supabase *s, const char *name);
