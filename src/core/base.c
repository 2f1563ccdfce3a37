#include "core/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static _Noreturn void out_of_memory(void)
{
    static const char msg[] = "heddle: out of memory\n";
    ssize_t ignored = write(STDERR_FILENO, msg, sizeof(msg) - 1);
    (void)ignored;
    abort();
}

void *hd_alloc(size_t bytes)
{
    void *p = calloc(1, bytes > 0 ? bytes : 1);
    if (p == NULL)
        out_of_memory();
    return p;
}

void *hd_alloc_array(size_t n, size_t bytes)
{
    void *p = calloc(n > 0 ? n : 1, bytes);
    if (p == NULL)
        out_of_memory();
    return p;
}

void *hd_realloc_array(void *p, size_t n, size_t bytes)
{
    void *q = reallocarray(p, n > 0 ? n : 1, bytes);
    if (q == NULL)
        out_of_memory();
    return q;
}

char *hd_strdup(const char *s)
{
    return s != NULL ? hd_strdup_n(hd_str(s)) : NULL;
}

char *hd_strdup_n(struct hd_str s)
{
    char *copy = hd_alloc(s.len + 1);
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    return copy;
}

char *hd_printf(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (n < 0)
        out_of_memory();
    return s;
}
