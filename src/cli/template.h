/* cli/template.h - the files that `init` and `new` write, embedded from packaging/templates. */
#pragma once

#include "core/buf.h"

struct hd_template_file {
    const char *path; /* "deno/index.ts" */
    const char *text;
    size_t len;
};
extern const struct hd_template_file hd_template_files[];
extern const size_t hd_template_file_count;

/** One file to be written. */
struct hd_new_file {
    char *path; /* absolute */
    char *text;
};
enum { HD_NEW_FILES_MAX = 8 };
struct hd_new_files {
    struct hd_new_file items[HD_NEW_FILES_MAX];
    size_t n;
};

/** Plan a file. @param path  takes ownership. @param text  takes ownership. */
void hd_new_files_add(struct hd_new_files *files, char *path, char *text);
/**
 * Plan the files of a runtime's template below @p dir; {{name}} becomes @p name.
 * @param is_public  the manifest says that no token is needed.
 */
void hd_new_files_function(struct hd_new_files *files, const char *dir, const char *runtime,
                           const char *name, bool is_public);
/** @return a copy of a template file, {{name}} replaced, for the caller to free. */
char *hd_template_text(const char *path, const char *name);
/**
 * Write them all, with the folders above. Checks first that none is there.
 * @return 0; HD_EEXIST and nothing was written; or what the system failed with.
 */
int hd_new_files_write(const struct hd_new_files *files, struct hd_error *err);
void hd_new_files_done(struct hd_new_files *files);
