#include "functions/strings.h"

#include "core/buf.h"

#include <stdarg.h>
#include <stdio.h>

void hd_strings_done(struct hd_strings *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->items[i]);
    free(l->items);
    *l = (struct hd_strings){0};
}

void hd_strings_give(struct hd_strings *l)
{
    if (l->items == NULL)
        l->items = hd_new_array(char *, 1);
}

/* Room is 1, 2, 4, 8, ... pointers, the last of them the NULL: full when n + 1 is a power of two.
 */
void hd_strings_take(struct hd_strings *l, char *s)
{
    hd_strings_give(l);
    if (((l->n + 1) & l->n) == 0) {
        char **more = hd_new_array(char *, (l->n + 1) * 2);
        memcpy(more, l->items, l->n * sizeof(*more));
        free(l->items);
        l->items = more;
    }
    l->items[l->n++] = s;
    l->items[l->n] = NULL;
}

void hd_strings_add(struct hd_strings *l, struct hd_str s)
{
    hd_strings_take(l, hd_strdup_n(s));
}

void hd_strings_addf(struct hd_strings *l, const char *fmt, ...)
{
    struct hd_buf b;
    va_list ap;
    hd_buf_init(&b, 1 << 20);
    va_start(ap, fmt);
    hd_buf_vfmt(&b, fmt, ap);
    va_end(ap);
    char *s = hd_buf_take(&b);
    hd_strings_take(l, s != NULL ? s : hd_strdup(""));
}

struct hd_strings hd_strings_copy(const struct hd_strings *l)
{
    struct hd_strings copy = {0};
    if (l->items != NULL)
        hd_strings_give(&copy);
    for (size_t i = 0; i < l->n; i++)
        hd_strings_add(&copy, hd_str(l->items[i]));
    return copy;
}

bool hd_strings_has(const struct hd_strings *l, struct hd_str s)
{
    for (size_t i = 0; i < l->n; i++) {
        if (hd_str_is(s, l->items[i]))
            return true;
    }
    return false;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void hd_strings_sort(struct hd_strings *l)
{
    if (l->n > 1)
        qsort(l->items, l->n, sizeof(*l->items), by_bytes);
}

char *hd_strings_join(const struct hd_strings *l, const char *sep)
{
    struct hd_buf b;
    hd_buf_init(&b, 1 << 20);
    for (size_t i = 0; i < l->n; i++) {
        if (i > 0)
            hd_buf_cstr(&b, sep);
        hd_buf_cstr(&b, l->items[i]);
    }
    char *s = hd_buf_take(&b);
    return s != NULL ? s : hd_strdup("");
}

size_t hd_edit_distance(struct hd_str a, struct hd_str b)
{
    enum { MAX = 64 };
    size_t row[MAX + 1];
    if (a.len > MAX || b.len > MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t replaced = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
            size_t shifted = HD_MIN(row[j], row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = HD_MIN(replaced, shifted);
        }
    }
    return row[b.len];
}
