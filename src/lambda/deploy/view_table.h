/* lambda/deploy/view_table.h - how a view is made: from the one before, by putting in and taking
 * out single functions; all others are shared. */
#pragma once

#include "core/arena.h"
#include "lambda/deploy/view.h"

#include <stdalign.h>

/** One function with the memory that it points into; counted, immutable once it is in a view. */
struct hd_view_entry {
    struct hd_lambda_fn fn;
    const char *key; /* "account/region/name" */
    const struct hd_view_url *urls;
    size_t n_urls;
    struct hd_arena arena;
    atomic_uint owners;
    alignas(max_align_t) char first[640]; /* of the arena: enough for most */
};

/** @return a zeroed one with a reference. Targets of its versions, its admission and its policies
 *  are referenced by who fills it in; the entry lets them go. */
struct hd_view_entry *hd_view_entry_new(void);
void hd_view_entry_unref(struct hd_view_entry *e); /* NULL is fine */

/** @return a view without functions, with a reference. */
struct hd_view *hd_view_new(void);
/** @return a view with the same functions as @p from, with a reference; for edits until it is
 *  given to others. */
struct hd_view *hd_view_copy(const struct hd_view *from);
/** Put in, in the place of one with the same key if there is one. The view takes a reference. */
void hd_view_put(struct hd_view *v, struct hd_view_entry *e);
/** Take out. An unknown key is fine. */
void hd_view_remove(struct hd_view *v, const char *key);
size_t hd_view_count(const struct hd_view *v);
