#include "core/buf.h"

#include "core/utf8.h"

#include <stdio.h>

void hd_buf_init(struct hd_buf *b, size_t max_bytes)
{
    *b = (struct hd_buf){.max = max_bytes};
}

void hd_buf_init_with(struct hd_buf *b, void *memory, size_t bytes, size_t max_bytes)
{
    *b = (struct hd_buf){
        .ptr = memory, .cap = HD_MIN(bytes, max_bytes), .max = max_bytes, .borrowed = true};
}

void hd_buf_done(struct hd_buf *b)
{
    if (!b->borrowed)
        free(b->ptr);
    hd_buf_init(b, b->max);
}

/* Change the room to @p cap bytes, on memory of its own. */
static void resize(struct hd_buf *b, size_t cap)
{
    char *given = b->borrowed ? b->ptr : NULL;
    b->ptr = hd_realloc_array(b->borrowed ? NULL : b->ptr, cap, 1);
    if (given != NULL && b->len > 0)
        memcpy(b->ptr, given, b->len);
    b->borrowed = false;
    b->cap = cap;
}

void hd_buf_clear(struct hd_buf *b)
{
    b->len = 0;
    b->failed = false;
}

char *hd_buf_reserve(struct hd_buf *b, size_t len)
{
    size_t need;
    if (b->failed || __builtin_add_overflow(b->len, len, &need) || need > b->max) {
        b->failed = true;
        return NULL;
    }
    if (need > b->cap || b->ptr == NULL) {
        size_t cap = b->cap > 0 ? b->cap : 128;
        while (cap < need)
            cap = cap > SIZE_MAX / 2 ? need : cap * 2;
        if (cap > b->max)
            cap = b->max;
        resize(b, cap);
    }
    return b->len > 0 ? b->ptr + b->len : b->ptr; /* no sums on NULL */
}

void hd_buf_commit(struct hd_buf *b, size_t len)
{
    b->len += len;
}

void hd_buf_add(struct hd_buf *b, const void *ptr, size_t len)
{
    char *at = len > 0 ? hd_buf_reserve(b, len) : NULL;
    if (at == NULL)
        return;
    memcpy(at, ptr, len);
    b->len += len;
}

void hd_buf_str(struct hd_buf *b, struct hd_str s)
{
    hd_buf_add(b, s.ptr, s.len);
}

void hd_buf_cstr(struct hd_buf *b, const char *s)
{
    hd_buf_add(b, s, strlen(s));
}

void hd_buf_char(struct hd_buf *b, char c)
{
    hd_buf_add(b, &c, 1);
}

void hd_buf_u64(struct hd_buf *b, uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    hd_buf_add(b, digits + at, sizeof(digits) - at);
}

void hd_buf_vfmt(struct hd_buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    char small[256];
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    if (n < 0) {
        b->failed = true;
    } else if ((size_t)n < sizeof(small)) {
        hd_buf_add(b, small, (size_t)n);
    } else {
        size_t bytes = (size_t)n + 1; /* vsnprintf wants room for its NUL */
        bool fits = b->len + (size_t)n == b->max;
        char *at = hd_buf_reserve(b, fits ? (size_t)n : bytes);
        if (at != NULL && !fits) {
            vsnprintf(at, bytes, fmt, again);
            b->len += (size_t)n;
        } else if (at != NULL) {
            char *whole = hd_alloc(bytes);
            vsnprintf(whole, bytes, fmt, again);
            hd_buf_add(b, whole, (size_t)n);
            free(whole);
        }
    }
    va_end(again);
}

void hd_buf_fmt(struct hd_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    hd_buf_vfmt(b, fmt, ap);
    va_end(ap);
}

void hd_buf_json(struct hd_buf *b, struct hd_str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr, *end = s.len > 0 ? p + s.len : p;
    hd_buf_char(b, '"');
    while (p < end) {
        const unsigned char *plain = p;
        while (p < end && *p >= 0x20 && *p < 0x7f && *p != '"' && *p != '\\')
            p++;
        hd_buf_add(b, plain, (size_t)(p - plain));
        if (p == end)
            break;
        size_t n = hd_utf8_len(p, end);
        if (n > 1) {
            hd_buf_add(b, p, n);
        } else if (n == 0) {
            hd_buf_cstr(b, "\xef\xbf\xbd");
            n = 1;
        } else if (*p == '"' || *p == '\\') {
            hd_buf_char(b, '\\');
            hd_buf_char(b, (char)*p);
        } else if (*p == '\n') {
            hd_buf_cstr(b, "\\n");
        } else if (*p == '\t') {
            hd_buf_cstr(b, "\\t");
        } else if (*p == '\r') {
            hd_buf_cstr(b, "\\r");
        } else {
            hd_buf_fmt(b, "\\u%04x", *p);
        }
        p += n;
    }
    hd_buf_char(b, '"');
}

void hd_buf_printable(struct hd_buf *b, struct hd_str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr, *end = s.len > 0 ? p + s.len : p;
    while (p < end) {
        const unsigned char *plain = p;
        while (p < end && ((*p >= 0x20 && *p < 0x7f) || *p == '\t'))
            p++;
        hd_buf_add(b, plain, (size_t)(p - plain));
        if (p == end)
            break;
        size_t n = hd_utf8_len(p, end);
        bool control = *p < 0x20 || *p == 0x7f || (n == 2 && *p == 0xc2 && p[1] < 0xa0);
        if (n == 0)
            hd_buf_cstr(b, "\xef\xbf\xbd");
        else if (control)
            hd_buf_fmt(b, "\\x%02x", n == 1 ? *p : p[1]);
        else
            hd_buf_add(b, p, n);
        p += HD_MAX(n, (size_t)1);
    }
}

void hd_buf_consume(struct hd_buf *b, size_t len)
{
    b->len -= len;
    if (b->len > 0)
        memmove(b->ptr, b->ptr + len, b->len);
}

char *hd_buf_take(struct hd_buf *b)
{
    if (b->failed) {
        hd_buf_done(b);
        return NULL;
    }
    resize(b, b->len + 1);
    char *whole = b->ptr;
    whole[b->len] = '\0';
    hd_buf_init(b, b->max);
    return whole;
}
