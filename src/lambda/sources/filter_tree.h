/* lambda/sources/filter_tree.h - a pattern as filter.c reads it and filter_match.c walks over it.
 */
#pragma once

#include "core/arena.h"
#include "core/ipaddr.h"
#include "lambda/sources/filter.h"

#include <stdatomic.h>
#include <wchar.h>

enum hd_filter_kind {
    HD_FILTER_STRING,
    HD_FILTER_NUMBER,
    HD_FILTER_TRUE,
    HD_FILTER_FALSE,
    HD_FILTER_NULL,
    HD_FILTER_PREFIX,
    HD_FILTER_SUFFIX,
    HD_FILTER_NOCASE,
    HD_FILTER_PREFIX_NOCASE,
    HD_FILTER_SUFFIX_NOCASE,
    HD_FILTER_WILDCARD,
    HD_FILTER_RANGE,
    HD_FILTER_CIDR,
    HD_FILTER_EXISTS,
    HD_FILTER_ABSENT,
    HD_FILTER_NONE_OF, /* anything-but */
};

/** A number as JSON has it; integers stay exact. */
struct hd_filter_number {
    bool is_int;
    int64_t i;
    double d;
};

struct hd_filter_test {
    struct hd_filter_test *next;
    enum hd_filter_kind kind;
    struct hd_str text;                   /* of those about strings */
    struct hd_filter_number number;       /* HD_FILTER_NUMBER */
    struct hd_filter_number low, high;    /* HD_FILTER_RANGE */
    bool has_low, has_high, above, below; /* above: > low, not >= */
    struct hd_cidr cidr;                  /* HD_FILTER_CIDR */
    struct hd_filter_test *none_of;       /* HD_FILTER_NONE_OF */
};

/** One member of a pattern. */
struct hd_filter_member {
    struct hd_filter_member *next;
    struct hd_str name;
    struct hd_filter_object *object; /* or NULL: */
    struct hd_filter_test *tests;    /* one must match */
};

struct hd_filter_choice { /* "$or" */
    struct hd_filter_choice *next;
    struct hd_filter_object *options; /* one must match; linked by `next` */
};

struct hd_filter_object {
    struct hd_filter_object *next;
    struct hd_filter_member *members;
    struct hd_filter_choice *choices;
};

struct hd_filter {
    atomic_uint owners;
    struct hd_arena memory;
    struct hd_filter_object *root;
};

/** @return the character at *at in one case for all its forms, and move on. */
wchar_t hd_filter_fold(const char **at, const char *end);
/** @return -1, 0 or 1 as @p a is less, equal or more. */
int hd_filter_compare(const struct hd_filter_number *a, const struct hd_filter_number *b);
