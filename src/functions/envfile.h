/* functions/envfile.h - read files of environment variables (dotenv).
 *
 * A line is blank, a comment (#), or [export] KEY=value. A value is
 *   "in double quotes"  with \n \r \t \" \\ decoded, may span lines;
 *   'in single quotes'  as it is, may span lines;
 *   or bare             up to the end of the line or " #"; blanks at both ends fall away.
 * A key is [A-Za-z_][A-Za-z0-9_]*; the first one of a file wins. */
#pragma once

#include "functions/strings.h"

struct hd_env_var {
    char *key, *value;
    unsigned line;
};

struct hd_env_file {
    char *name; /* as shown to people */
    struct hd_env_var *vars;
    size_t n;
    struct hd_strings warnings; /* keys that came twice */
};

/**
 * Read a file's text.
 * @param name  for messages; copied.
 * @return 0 and *out, to be freed with hd_env_file_done(); or HD_EINVAL with file and line, and
 *         *out is empty.
 */
int hd_env_file_parse(struct hd_env_file *out, struct hd_str text, const char *name,
                      struct hd_error *err);
/** Same, from the disk. @return also what hd_file_read() says. */
int hd_env_file_read(struct hd_env_file *out, const char *path, const char *name,
                     struct hd_error *err);
/** Wipe and free. */
void hd_env_file_done(struct hd_env_file *f);
/** @return the variable, or NULL. */
const struct hd_env_var *hd_env_file_find(const struct hd_env_file *f, struct hd_str key);
