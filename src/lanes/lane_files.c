#include "lanes/lane_files.h"

#include "core/base64.h"
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

/* --- sending --- */

/* @return what it says of the file, or NULL: it carries none. */
static const struct hd_typed *carried(const struct hd_typed *v)
{
    const struct hd_typed *file = v->kind == HD_TYPED_OBJECT ? hd_typed_get(v, "$file") : NULL;
    return file != NULL && file->kind == HD_TYPED_OBJECT && meta_text(file, "base64") != NULL
               ? file
               : NULL;
}

bool hd_lane_files_carried(const struct hd_typed *v)
{
    if (carried(v) != NULL)
        return true;
    for (size_t i = 0; i < v->n; i++) {
        if (hd_lane_files_carried(v->items[i]))
            return true;
    }
    return false;
}

struct sending {
    struct hd_arena *arena;
    int (*tell)(void *arg, const struct hd_lane_sent_file *file);
    void *arg;
    unsigned n;
};

static struct hd_str text_in(const struct hd_typed *object, const char *name)
{
    const struct hd_typed *v = meta_text(object, name);
    return v != NULL ? v->text : hd_str_n(NULL, 0);
}

static int send_one(struct sending *s, struct hd_typed **at, const struct hd_typed *file)
{
    static const char *const kept[] = {"name", "type", "size", "lastModified", "extra"};
    hd_auto_free char *number = hd_printf("F%u", ++s->n);
    struct hd_typed *outer = object_new(s->arena, SHOWN_MAX),
                    *meta = object_new(s->arena, SHOWN_MAX);
    struct hd_typed *kind = text_new(s->arena, hd_str("File"));
    struct hd_typed *id = text_new(s->arena, hd_arena_str(s->arena, hd_str(number)));
    if (outer == NULL || meta == NULL || kind == NULL || id == NULL)
        return HD_EBUSY;
    for (size_t i = 0; i < HD_COUNT(kept); i++)
        add(meta, kept[i], hd_typed_get(file, kept[i]));
    add(outer, "$runnerFile", kind);
    add(outer, "id", id);
    add(outer, "meta", meta);
    *at = outer;
    struct hd_lane_sent_file told = {.id = id->text,
                                     .name = text_in(file, "name"),
                                     .type = text_in(file, "type"),
                                     .base64 = text_in(file, "base64")};
    return s->tell(s->arg, &told);
}

static int send_walk(struct sending *s, struct hd_typed **at)
{
    const struct hd_typed *file = carried(*at);
    if (file != NULL)
        return send_one(s, at, file);
    int rc = 0;
    for (size_t i = 0; i < (*at)->n && rc == 0; i++)
        rc = send_walk(s, &(*at)->items[i]);
    return rc;
}

int hd_lane_files_send(struct hd_typed **value, struct hd_arena *arena,
                       int (*tell)(void *arg, const struct hd_lane_sent_file *file), void *arg)
{
    struct sending s = {.arena = arena, .tell = tell, .arg = arg};
    return send_walk(&s, value);
}

/* --- octets --- */

struct hd_typed *hd_lane_octets(struct hd_arena *arena, struct hd_str bytes)
{
    struct hd_typed *object = object_new(arena, 2), *yes = hd_typed_new(arena, HD_TYPED_TRUE);
    char *chars = hd_arena_alloc(arena, hd_base64_chars(HD_BASE64, bytes.len) + 1);
    if (object == NULL || yes == NULL || chars == NULL)
        return NULL;
    size_t n = hd_base64_encode(chars, HD_BASE64, bytes.ptr, bytes.len);
    struct hd_typed *text = text_new(arena, hd_str_n(chars, n));
    if (text == NULL)
        return NULL;
    add(object, "body", text);
    add(object, "isBase64Encoded", yes);
    return object;
}
