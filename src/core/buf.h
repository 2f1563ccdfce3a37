/* core/buf.h - bytes that we own, growing up to a ceiling. */
#pragma once

#include "core/base.h"

#include <stdarg.h>

/**
 * Appends may be chained unchecked: the first failure (the ceiling) sticks, later appends do
 * nothing, and hd_buf_failed() at the end tells.
 */
struct hd_buf {
    char *ptr;
    size_t len, cap, max;
    bool failed, borrowed; /* ptr is the memory given to hd_buf_init_with() */
};

/** @param max_bytes  the ceiling; nothing is allocated before the first append. */
void hd_buf_init(struct hd_buf *b, size_t max_bytes);
/** Same, but the first @p bytes of room are the caller's memory, alive until done. */
void hd_buf_init_with(struct hd_buf *b, void *memory, size_t bytes, size_t max_bytes);
/** Free the memory; the buffer is as after init, without borrowed memory. */
void hd_buf_done(struct hd_buf *b);
/** Forget the contents, keep the memory, clear the failure. */
void hd_buf_clear(struct hd_buf *b);
void hd_buf_add(struct hd_buf *b, const void *ptr, size_t len);
void hd_buf_str(struct hd_buf *b, struct hd_str s);
void hd_buf_cstr(struct hd_buf *b, const char *s);
void hd_buf_char(struct hd_buf *b, char c);
void hd_buf_u64(struct hd_buf *b, uint64_t n);
void hd_buf_fmt(struct hd_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void hd_buf_vfmt(struct hd_buf *b, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
/** Append @p s as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void hd_buf_json(struct hd_buf *b, struct hd_str s);
/** Append text of others for a terminal: nothing in it can move the cursor or change colours;
 *  control characters but tabs become \xNN, bytes that are not UTF-8 U+FFFD. */
void hd_buf_printable(struct hd_buf *b, struct hd_str s);
/** Make room for @p len more bytes. @return where to write them, or NULL at the ceiling. */
char *hd_buf_reserve(struct hd_buf *b, size_t len);
/** Count @p len bytes that were written to the reserved room. */
void hd_buf_commit(struct hd_buf *b, size_t len);
/** Remove @p len bytes at the front. */
void hd_buf_consume(struct hd_buf *b, size_t len);
/** @return the contents; valid until the next change. */
static inline struct hd_str hd_buf_view(const struct hd_buf *b)
{
    return hd_str_n(b->ptr, b->len);
}
static inline bool hd_buf_failed(const struct hd_buf *b)
{
    return b->failed;
}
/** @return the contents as a NUL-terminated string for the caller to free, or NULL if it failed;
 *  the buffer is as after init. */
char *hd_buf_take(struct hd_buf *b);
