/* On the wire each fact is "key=value" and a NUL; a list is its key again and again. */
#include "pool/process/sandbox_spec.h"

#include <inttypes.h>

void hd_spec_list_add(struct hd_spec_list *l, const char *s)
{
    l->v = hd_realloc_array((void *)l->v, l->n + 2, sizeof(*l->v));
    l->v[l->n++] = hd_strdup(s);
    l->v[l->n] = NULL;
}

void hd_spec_list_done(struct hd_spec_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        explicit_bzero(l->v[i], strlen(l->v[i])); /* environments hold secrets */
        free(l->v[i]);
    }
    free((void *)l->v);
    *l = (struct hd_spec_list){0};
}

/* "r:/var/task:/from", or "w:...". */
void hd_sandbox_bind(struct hd_sandbox_spec *s, const char *place, const char *from, bool writable)
{
    hd_auto_free char *item = hd_printf("%c:%s:%s", writable ? 'w' : 'r', place, from);
    hd_spec_list_add(&s->binds, item);
}

bool hd_sandbox_bind_read(const char *item, char **place, const char **from, bool *writable)
{
    const char *colon = strlen(item) > 2 && item[1] == ':' ? strchr(item + 2, ':') : NULL;
    if (colon == NULL || (item[0] != 'r' && item[0] != 'w') || item[2] != '/' || colon[1] != '/')
        return false;
    *place = hd_strdup_n(hd_str_n(item + 2, (size_t)(colon - item - 2)));
    *from = colon + 1;
    *writable = item[0] == 'w';
    return true;
}

enum kind { LIST, TEXT, U64, U32, UINT, BOOL };

static const struct field {
    const char *key;
    enum kind kind;
    size_t at;
} fields[] = {
#define FIELD(name, kind)                                   \
    {                                                       \
#name, kind, offsetof(struct hd_sandbox_spec, name) \
    }
    FIELD(argv, LIST),
    FIELD(env, LIST),
    FIELD(cwd, TEXT),
    FIELD(parts, UINT),
    FIELD(require, BOOL),
    FIELD(check, BOOL),
    FIELD(cgroups, LIST),
    FIELD(uid, U32),
    FIELD(gid, U32),
    FIELD(keep, LIST),
    FIELD(write, LIST),
    FIELD(hide, LIST),
    FIELD(max_files, U64),
    FIELD(max_processes, U64),
    FIELD(max_file_bytes, U64),
    FIELD(max_data_bytes, U64),
    FIELD(layout, BOOL),
    FIELD(binds, LIST),
    FIELD(tmp_mb, U32),
    FIELD(seen_uid, U32),
    FIELD(seen_gid, U32),
    FIELD(max_locked_bytes, U64),
    FIELD(max_stack_bytes, U64),
#undef FIELD
};

static void put(struct hd_buf *out, const char *key, const char *value)
{
    hd_buf_cstr(out, key);
    hd_buf_char(out, '=');
    hd_buf_add(out, value, strlen(value) + 1);
}

static void put_u64(struct hd_buf *out, const char *key, uint64_t n)
{
    hd_buf_fmt(out, "%s=%" PRIu64, key, n);
    hd_buf_char(out, '\0');
}

void hd_sandbox_spec_write(struct hd_buf *out, const struct hd_sandbox_spec *s)
{
    for (size_t i = 0; i < HD_COUNT(fields); i++) {
        const struct field *f = &fields[i];
        const void *at = (const char *)s + f->at;
        switch (f->kind) {
        case LIST: {
            const struct hd_spec_list *l = at;
            for (size_t j = 0; j < l->n; j++)
                put(out, f->key, l->v[j]);
            break;
        }
        case TEXT:
            if (*(char *const *)at != NULL)
                put(out, f->key, *(char *const *)at);
            break;
        case U64:
            put_u64(out, f->key, *(const uint64_t *)at);
            break;
        case U32:
            put_u64(out, f->key, *(const uint32_t *)at);
            break;
        case UINT:
            put_u64(out, f->key, *(const unsigned *)at);
            break;
        case BOOL:
            put_u64(out, f->key, *(const bool *)at);
            break;
        }
    }
}

static int get(struct hd_sandbox_spec *s, const struct field *f, struct hd_str value)
{
    void *at = (char *)s + f->at;
    if (f->kind == LIST) {
        hd_spec_list_add(at, value.ptr); /* the NUL behind it is there: see the caller */
        return 0;
    }
    if (f->kind == TEXT) {
        free(*(char **)at);
        *(char **)at = hd_strdup_n(value);
        return 0;
    }
    uint64_t n = 0;
    int rc = hd_str_to_u64(&n, value);
    if (rc < 0)
        return rc;
    if (n > (f->kind == BOOL ? 1 : f->kind == U64 ? UINT64_MAX : UINT32_MAX))
        return HD_EINVAL;
    if (f->kind == U64)
        *(uint64_t *)at = n;
    else if (f->kind == U32)
        *(uint32_t *)at = (uint32_t)n;
    else if (f->kind == UINT)
        *(unsigned *)at = (unsigned)n;
    else
        *(bool *)at = n != 0;
    return 0;
}

int hd_sandbox_spec_read(struct hd_sandbox_spec *s, struct hd_str bytes, struct hd_error *err)
{
    *s = (struct hd_sandbox_spec){0};
    if (bytes.len == 0 || bytes.ptr[bytes.len - 1] != '\0')
        return hd_fail(err, HD_EINVAL, "sandbox spec: is not complete");
    struct hd_str rest = hd_str_n(bytes.ptr, bytes.len - 1), item;
    while (hd_str_split(&item, &rest, '\0')) {
        size_t eq = hd_str_find(item, '='), i = 0;
        while (i < HD_COUNT(fields) && !hd_str_is(hd_str_n(item.ptr, eq), fields[i].key))
            i++;
        if (eq == item.len || i == HD_COUNT(fields))
            return hd_fail(err, HD_EINVAL, "sandbox spec: byte %zu: no such key",
                           (size_t)(item.ptr - bytes.ptr));
        if (get(s, &fields[i], hd_str_n(item.ptr + eq + 1, item.len - eq - 1)) < 0)
            return hd_fail(err, HD_EINVAL, "sandbox spec: %s: is not a number in range",
                           fields[i].key);
    }
    if (s->argv.n == 0)
        return hd_fail(err, HD_EINVAL, "sandbox spec: names no program");
    return 0;
}

void hd_sandbox_spec_done(struct hd_sandbox_spec *s)
{
    for (size_t i = 0; i < HD_COUNT(fields); i++) {
        void *at = (char *)s + fields[i].at;
        if (fields[i].kind == LIST)
            hd_spec_list_done(at);
        else if (fields[i].kind == TEXT)
            free(*(char **)at);
    }
    *s = (struct hd_sandbox_spec){0};
}
