#include "functions/bundle_link.h"

#include "core/buf.h"

enum {
    FOLLOW_MAX = 40, /* the kernel's: what goes on longer leads nowhere */
    PATH_BYTES_MAX = 64 << 10,
};

/* Go one folder up. @return false: there is none. */
static bool pop(struct hd_buf *at)
{
    if (at->len == 0)
        return false;
    while (at->len > 0 && at->ptr[at->len - 1] != '/')
        at->len--;
    if (at->len > 0)
        at->len--;
    return true;
}

static void push(struct hd_buf *at, struct hd_str name)
{
    if (at->len > 0)
        hd_buf_char(at, '/');
    hd_buf_str(at, name);
}

/* @return the link that stands at this place, for the caller to free, or NULL. */
static char *link_at(const struct hd_buf *at, hd_bundle_lookup_fn lookup, void *arg)
{
    hd_auto_free char *path = hd_strdup_n(hd_buf_view(at));
    return lookup(arg, path);
}

/* Put a link's target in front of what is still to walk. */
static void expand(struct hd_buf *todo, const char *target, struct hd_str rest)
{
    struct hd_buf next;
    hd_buf_init(&next, PATH_BYTES_MAX);
    hd_buf_cstr(&next, target);
    hd_buf_char(&next, '/');
    hd_buf_str(&next, rest);
    hd_buf_done(todo);
    *todo = next;
}

/* @return 0, or HD_EINVAL. */
static int walk(struct hd_buf *at, struct hd_buf *todo, hd_bundle_lookup_fn lookup, void *arg,
                uint64_t *steps)
{
    struct hd_str rest = hd_buf_view(todo), name;
    unsigned followed = 0;
    while (hd_str_split(&name, &rest, '/')) {
        if (*steps == 0 || hd_buf_failed(at) || hd_buf_failed(todo))
            return HD_EINVAL;
        --*steps;
        if (name.len == 0 || hd_str_is(name, "."))
            continue;
        if (hd_str_is(name, "..")) {
            if (!pop(at))
                return HD_EINVAL;
            continue;
        }
        push(at, name);
        hd_auto_free char *target = link_at(at, lookup, arg);
        if (target == NULL)
            continue;
        if (target[0] == '/')
            return HD_EINVAL;
        if (++followed > FOLLOW_MAX)
            return 0;
        pop(at);
        expand(todo, target, rest);
        rest = hd_buf_view(todo);
    }
    return 0;
}

int hd_bundle_link_check(const char *path, const char *target, hd_bundle_lookup_fn lookup,
                         void *arg, uint64_t *steps, struct hd_error *err)
{
    struct hd_buf at, todo;
    int rc = HD_EINVAL;
    hd_buf_init(&at, PATH_BYTES_MAX);
    hd_buf_init(&todo, PATH_BYTES_MAX);
    hd_buf_cstr(&at, path);
    hd_buf_cstr(&todo, target);
    if (target[0] != '/' && pop(&at))
        rc = walk(&at, &todo, lookup, arg, steps);
    hd_buf_done(&at);
    hd_buf_done(&todo);
    if (rc == 0)
        return 0;
    return hd_fail(err, HD_EINVAL,
                   *steps == 0 ? "its links are too tangled"
                               : "a link that leads out of the archive");
}
