/* node/archives.h - libarchive, loaded when it is first used. It and the dozen libraries behind it
 * would cost every start ten milliseconds and every node some megabytes, for an import. */
#pragma once

#include <heddle/error.h>

#include <archive.h>
#include <archive_entry.h>

/** Its functions, under their names without "archive_". */
struct hd_archives {
    __typeof__(archive_read_new) *read_new;
    __typeof__(archive_read_free) *read_free;
    __typeof__(archive_read_support_format_tar) *read_support_format_tar;
    __typeof__(archive_read_open_filename) *read_open_filename;
    __typeof__(archive_read_next_header) *read_next_header;
    __typeof__(archive_read_data) *read_data;
    __typeof__(archive_read_data_into_fd) *read_data_into_fd;
    __typeof__(archive_error_string) *error_string;
    __typeof__(archive_entry_pathname) *entry_pathname;
};

/** @return the functions; or NULL: not installed, err says what to do. Any thread. */
const struct hd_archives *hd_archives_load(struct hd_error *err);
/** @return the same, after a load that succeeded. */
const struct hd_archives *hd_archives(void);
