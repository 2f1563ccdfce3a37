/* functions/names.h - which folder names are function names. */
#pragma once

#include "core/base.h"

enum hd_name_kind {
    HD_NAME_GOOD,
    HD_NAME_SKIPPED, /* not meant to be a function: _shared, my_shared, .git, node_modules */
    HD_NAME_BAD,     /* cannot be one: reported, never fatal */
};

/**
 * Judge a name: a letter, then up to 62 letters, digits, '_' or '-'.
 * @param err  filled in for HD_NAME_BAD: what is wrong with it.
 */
enum hd_name_kind hd_function_name_check(struct hd_str name, struct hd_error *err);
