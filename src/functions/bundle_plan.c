#include "functions/bundle_plan.h"

#include "core/buf.h"
#include "core/id.h"
#include "functions/bundle_link.h"

enum { SHOWN_BYTES = 80 }; /* of a name, in messages */

/* --- names --- */

static int name_part(struct hd_buf *out, struct hd_str part, struct hd_error *err)
{
    if (part.len == 0 || hd_str_is(part, "."))
        return 0;
    if (hd_str_is(part, ".."))
        return hd_fail(err, HD_EINVAL, "a name that leads out of the archive");
    if (part.len > HD_BUNDLE_NAME_MAX)
        return hd_fail(err, HD_EINVAL, "a name with more than %d bytes", HD_BUNDLE_NAME_MAX);
    if (out->len > 0)
        hd_buf_char(out, '/');
    hd_buf_str(out, part);
    return 0;
}

int hd_bundle_name(char **out, struct hd_str name, bool dos, struct hd_error *err)
{
    struct hd_buf b;
    hd_auto_free char *copy = hd_strdup_n(name);
    struct hd_str rest = hd_str_n(copy, name.len), part;
    if (hd_str_find(name, '\0') < name.len)
        return hd_fail(err, HD_EINVAL, "a NUL in a name");
    if (name.len == 0)
        return hd_fail(err, HD_EINVAL, "an empty name");
    for (size_t i = 0; dos && i < name.len; i++)
        copy[i] = copy[i] == '\\' ? '/' : copy[i];
    if (copy[0] == '/')
        return hd_fail(err, HD_EINVAL, "an absolute name");
    hd_buf_init(&b, HD_BUNDLE_PATH_MAX);
    int rc = 0;
    while (rc == 0 && hd_str_split(&part, &rest, '/'))
        rc = name_part(&b, part, err);
    if (rc == 0 && hd_buf_failed(&b))
        rc = hd_fail(err, HD_EINVAL, "a path with more than %d bytes", HD_BUNDLE_PATH_MAX);
    if (rc == 0)
        *out = b.len > 0 ? hd_buf_take(&b) : hd_strdup("");
    hd_buf_done(&b);
    return rc;
}

/* Say which entry it is. */
static int wrap(struct hd_error *err, int rc, const struct hd_zip_entry *e)
{
    return hd_wrap(err, rc, "entry \"%.*s\"", (int)HD_MIN(e->name.len, (size_t)SHOWN_BYTES),
                   e->name.ptr);
}

/* --- items --- */

struct maker {
    struct hd_bundle_plan *p;
    uint64_t max_bytes;
    uint32_t max_items;
    struct hd_error *err;
};

static void free_item(struct hd_bundle_item *item)
{
    free(item->path);
    free(item->target);
    free(item);
}

/* @param path  taken over. */
static struct hd_bundle_item *add_item(struct maker *m, char *path, enum hd_zip_kind kind)
{
    struct hd_bundle_item *item = hd_new(struct hd_bundle_item);
    item->path = path;
    item->kind = kind;
    hd_list_init(&item->link);
    hd_list_push(&m->p->items, &item->link);
    hd_map_put(&m->p->by_path, hd_str(path), item);
    m->p->n_items++;
    m->p->n_files += kind != HD_ZIP_FOLDER;
    return item;
}

static int check_count(struct maker *m)
{
    if (m->p->n_items < m->max_items)
        return 0;
    return hd_fail(m->err, HD_EBUSY, "the archive holds more than %u files and folders",
                   m->max_items);
}

static int add_parents(struct maker *m, const char *path)
{
    for (const char *slash = path; (slash = strchr(slash, '/')) != NULL; slash++) {
        struct hd_str parent = hd_str_n(path, (size_t)(slash - path));
        const struct hd_bundle_item *there = hd_map_get(&m->p->by_path, parent);
        if (there != NULL && there->kind != HD_ZIP_FOLDER)
            return hd_fail(m->err, HD_EINVAL, "lies below what is no folder");
        int rc = there == NULL ? check_count(m) : 0;
        if (rc < 0)
            return rc;
        if (there == NULL)
            add_item(m, hd_strdup_n(parent), HD_ZIP_FOLDER);
    }
    return 0;
}

/* @param path  taken over. */
static int add_entry(struct maker *m, char *path, const struct hd_zip_entry *e)
{
    hd_auto_free char *mine = path;
    struct hd_bundle_item *item = hd_map_get(&m->p->by_path, hd_str(mine));
    if (item != NULL && (item->kind != HD_ZIP_FOLDER || e->kind != HD_ZIP_FOLDER))
        return hd_fail(m->err, HD_EINVAL, "is there twice");
    int rc = item == NULL ? add_parents(m, mine) : 0;
    if (rc == 0 && item == NULL)
        rc = check_count(m);
    if (rc < 0)
        return rc;
    if (item == NULL)
        item = add_item(m, hd_steal(mine), e->kind);
    item->listed = true;
    item->entry = *e;
    return 0;
}

static int take(struct maker *m, const struct hd_zip_entry *e)
{
    char *path = NULL;
    int rc = hd_bundle_name(&path, e->name, e->dos, m->err);
    if (rc < 0)
        return rc;
    if (e->kind == HD_ZIP_FOLDER && e->unpacked_bytes > 0)
        rc = hd_fail(m->err, HD_EINVAL, "a folder with data");
    else if (path[0] == '\0' && e->kind != HD_ZIP_FOLDER)
        rc = hd_fail(m->err, HD_EINVAL, "a file without a name");
    m->p->n_dropped += e->kind == HD_ZIP_OTHER;
    if (rc < 0 || path[0] == '\0' || e->kind == HD_ZIP_OTHER) {
        free(path);
        return rc;
    }
    if (e->unpacked_bytes > m->max_bytes - m->p->unpacked_bytes) {
        free(path);
        return hd_fail(m->err, HD_EBUSY, "with it the archive unpacks to more than %llu bytes",
                       (unsigned long long)m->max_bytes);
    }
    m->p->unpacked_bytes += e->unpacked_bytes;
    return add_entry(m, path, e);
}

/* --- links --- */

static int keep(void *arg, struct hd_str bytes)
{
    hd_buf_str(arg, bytes);
    return 0;
}

static int read_target(struct hd_bundle_item *item, struct hd_error *err)
{
    struct hd_buf b;
    if (item->entry.unpacked_bytes > HD_BUNDLE_TARGET_MAX)
        return hd_fail(err, HD_EINVAL, "a link's target with more than %d bytes",
                       HD_BUNDLE_TARGET_MAX);
    hd_buf_init(&b, HD_BUNDLE_TARGET_MAX);
    int rc = hd_zip_unpack(&item->entry, keep, &b, err);
    if (rc == 0 && (b.len == 0 || memchr(b.ptr, '\0', b.len) != NULL))
        rc = hd_fail(err, HD_EINVAL, "a link whose target is no path");
    if (rc == 0)
        item->target = hd_strdup_n(hd_buf_view(&b));
    hd_buf_done(&b);
    return rc;
}

static char *lookup(void *arg, const char *path)
{
    const struct hd_bundle_plan *p = arg;
    const struct hd_bundle_item *item = hd_map_get(&p->by_path, hd_str(path));
    return item != NULL ? hd_strdup(item->target) : NULL;
}

static int check_links(struct hd_bundle_plan *p, struct hd_error *err)
{
    uint64_t steps = HD_BUNDLE_LINK_STEPS_MAX;
    int rc = 0;
    hd_list_each(link, &p->items)
    {
        struct hd_bundle_item *item = hd_bundle_item_of(link);
        if (item->kind == HD_ZIP_LINK && (rc = read_target(item, err)) < 0)
            return wrap(err, rc, &item->entry);
    }
    hd_list_each(link, &p->items)
    {
        struct hd_bundle_item *item = hd_bundle_item_of(link);
        if (item->kind == HD_ZIP_LINK)
            rc = hd_bundle_link_check(item->path, item->target, lookup, p, &steps, err);
        if (rc < 0)
            return wrap(err, rc, &item->entry);
    }
    return 0;
}

/* --- the whole --- */

int hd_bundle_plan_make(struct hd_bundle_plan *out, struct hd_str zip, uint64_t max_bytes,
                        uint32_t max_items, struct hd_error *err)
{
    struct maker m = {.p = out, .max_bytes = max_bytes, .max_items = max_items, .err = err};
    struct hd_zip z;
    struct hd_zip_entry e;
    uint64_t seed;
    hd_random(&seed, sizeof(seed));
    *out = (struct hd_bundle_plan){0};
    hd_list_init(&out->items);
    hd_map_init(&out->by_path, seed);
    int rc = hd_zip_open(&z, zip, err);
    if (rc == 0)
        rc = 1;
    while (rc > 0 && (rc = hd_zip_next(&z, &e, err)) > 0) {
        int taken = take(&m, &e);
        if (taken < 0)
            rc = wrap(err, taken, &e);
    }
    if (rc == 0)
        rc = check_links(out, err);
    if (rc < 0)
        hd_bundle_plan_done(out);
    return rc;
}

void hd_bundle_plan_done(struct hd_bundle_plan *p)
{
    hd_list_each(link, &p->items) free_item(hd_bundle_item_of(link));
    hd_map_done(&p->by_path);
    hd_list_init(&p->items);
}
