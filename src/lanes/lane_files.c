#include "lanes/lane_files.h"

#include "lanes/typed_private.h"

enum { SHOWN_MAX = 8 };

static struct hd_str sentinel(const struct hd_typed *v)
{
    const struct hd_typed *kind =
        v->kind == HD_TYPED_OBJECT ? hd_typed_get(v, "$runnerFile") : NULL;
    const struct hd_typed *id = kind != NULL ? hd_typed_get(v, "id") : NULL;
    bool ok = id != NULL && kind->kind == HD_TYPED_STRING && hd_str_is(kind->text, "File") &&
              id->kind == HD_TYPED_STRING && id->text.len > 0;
    return ok ? id->text : hd_str_n(NULL, 0);
}

void hd_lane_files_ids(const struct hd_typed *v, void (*tell)(void *arg, struct hd_str id),
                       void *arg)
{
    struct hd_str id = sentinel(v);
    if (id.ptr != NULL) {
        tell(arg, id);
        return;
    }
    for (size_t i = 0; i < v->n; i++)
        hd_lane_files_ids(v->items[i], tell, arg);
}

bool hd_lane_files_forged(const struct hd_typed *v)
{
    const struct hd_typed *file = v->kind == HD_TYPED_OBJECT ? hd_typed_get(v, "$file") : NULL;
    if (file != NULL && file->kind == HD_TYPED_OBJECT && hd_typed_get(file, "path") != NULL)
        return true;
    for (size_t i = 0; i < v->n; i++) {
        if (hd_lane_files_forged(v->items[i]))
            return true;
    }
    return false;
}

/* --- showing --- */

struct showing {
    struct hd_arena *arena;
    const struct hd_lane_file *(*find)(void *arg, struct hd_str id);
    void *arg;
    struct hd_str *missing;
};

static struct hd_typed *object_new(struct hd_arena *arena, size_t room)
{
    struct hd_typed *o = hd_typed_new(arena, HD_TYPED_OBJECT);
    if (o == NULL)
        return NULL;
    o->items = hd_arena_alloc(arena, room * sizeof(*o->items));
    o->names = hd_arena_alloc(arena, room * sizeof(*o->names));
    return o->items != NULL && o->names != NULL ? o : NULL;
}

static void add(struct hd_typed *object, const char *name, const struct hd_typed *value)
{
    if (value == NULL)
        return;
    object->names[object->n] = hd_str(name);
    object->items[object->n++] = (struct hd_typed *)value;
}

static struct hd_typed *text_new(struct hd_arena *arena, struct hd_str text)
{
    struct hd_typed *v = text.ptr != NULL ? hd_typed_new(arena, HD_TYPED_STRING) : NULL;
    if (v != NULL)
        v->text = text;
    return v;
}

/* Of the manifest, if it says so. */
static const struct hd_typed *meta_text(const struct hd_typed *meta, const char *name)
{
    const struct hd_typed *v = meta != NULL ? hd_typed_get(meta, name) : NULL;
    return v != NULL && v->kind == HD_TYPED_STRING ? v : NULL;
}

static int show(const struct showing *s, struct hd_typed **at, struct hd_str id)
{
    const struct hd_lane_file *file = s->find(s->arg, id);
    const struct hd_typed *meta = hd_typed_get(*at, "meta");
    if (file == NULL) {
        *s->missing = id;
        return HD_ENOTFOUND;
    }
    meta = meta != NULL && meta->kind == HD_TYPED_OBJECT ? meta : NULL;
    struct hd_typed *outer = object_new(s->arena, 1), *inner = object_new(s->arena, SHOWN_MAX);
    struct hd_typed *size = hd_typed_new(s->arena, HD_TYPED_NUMBER);
    struct hd_typed *path = text_new(s->arena, file->path), *own_id = text_new(s->arena, id);
    if (outer == NULL || inner == NULL || size == NULL || path == NULL || own_id == NULL)
        return HD_EBUSY;
    const struct hd_typed *name = meta_text(meta, "name"), *type = meta_text(meta, "type");
    size->number = (double)file->bytes;
    add(inner, "id", own_id);
    add(inner, "name", name != NULL ? name : text_new(s->arena, file->name));
    add(inner, "type", type != NULL ? type : text_new(s->arena, file->type));
    add(inner, "size", size);
    add(inner, "lastModified", meta != NULL ? hd_typed_get(meta, "lastModified") : NULL);
    add(inner, "extra", meta != NULL ? hd_typed_get(meta, "extra") : NULL);
    add(inner, "path", path);
    add(outer, "$file", inner);
    *at = outer;
    return 0;
}

static int walk(const struct showing *s, struct hd_typed **at)
{
    struct hd_str id = sentinel(*at);
    if (id.ptr != NULL)
        return show(s, at, id);
    int rc = 0;
    for (size_t i = 0; i < (*at)->n && rc == 0; i++)
        rc = walk(s, &(*at)->items[i]);
    return rc;
}

int hd_lane_files_show(struct hd_typed **value, struct hd_arena *arena,
                       const struct hd_lane_file *(*find)(void *arg, struct hd_str id), void *arg,
                       struct hd_str *missing)
{
    struct showing s = {.arena = arena, .find = find, .arg = arg, .missing = missing};
    return walk(&s, value);
}
