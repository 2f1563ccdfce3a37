#include "lambda/logs/logstore.h"

#include "core/id.h"
#include "core/map.h"

enum {
    LINE_BYTES = 64,   /* what a line costs beside its text */
    EMPTY_MAX = 1000,  /* groups: beyond that those without a line are forgotten */
    FIRST_LINES = 256, /* room in the ring at first */
};

struct hd_logstore {
    struct hd_log_entry **lines; /* ring, cap is a power of two */
    size_t cap;
    uint64_t first, end;
    size_t bytes, max_bytes;
    struct hd_map groups, streams; /* by what their text says */
    struct hd_list all;
    struct hd_log_stream *newest; /* the last line's: the next one is often its too */
};

struct hd_logstore *hd_logstore_new(size_t max_bytes)
{
    struct hd_logstore *s = hd_new(struct hd_logstore);
    uint64_t seed;
    hd_random(&seed, sizeof(seed));
    s->max_bytes = max_bytes;
    hd_map_init(&s->groups, seed);
    hd_map_init(&s->streams, seed);
    hd_list_init(&s->all);
    return s;
}

/* --- groups and streams --- */

static struct hd_str key_of(char *room, size_t max, struct hd_str space, struct hd_str group,
                            struct hd_str stream)
{
    const struct hd_str parts[] = {space, group, stream};
    size_t at = 0;
    for (size_t i = 0; i < HD_COUNT(parts); i++) {
        size_t len = HD_MIN(parts[i].len, max - at - 1);
        if (len > 0)
            memcpy(room + at, parts[i].ptr, len);
        at += len;
        if (i < 2)
            room[at++] = '\n'; /* in no name */
    }
    return hd_str_n(room, at);
}

enum { KEY_MAX = 1400 }; /* names have 512 characters at most */

static struct hd_log_group *group_of(struct hd_logstore *s, struct hd_str space, struct hd_str name,
                                     int64_t now_unix_ms)
{
    char room[KEY_MAX];
    struct hd_str key = key_of(room, sizeof(room), space, name, hd_str_n(NULL, 0));
    struct hd_log_group *g = hd_map_get(&s->groups, key);
    if (g != NULL)
        return g;
    g = hd_alloc(sizeof(*g) + key.len);
    *g = (struct hd_log_group){.made_unix_ms = now_unix_ms};
    memcpy(g->text, key.ptr, key.len);
    g->space = hd_str_n(g->text, space.len);
    g->name = hd_str_n(g->text + space.len + 1, key.len - space.len - 2);
    hd_list_init(&g->streams);
    hd_list_push(&s->all, &g->link);
    hd_map_put(&s->groups, hd_str_n(g->text, key.len), g);
    return g;
}

static bool is_of(const struct hd_log_stream *t, struct hd_str space, struct hd_str group,
                  struct hd_str stream)
{
    return t != NULL && hd_str_eq(t->name, stream) && hd_str_eq(t->group->name, group) &&
           hd_str_eq(t->group->space, space);
}

static struct hd_log_stream *stream_of(struct hd_logstore *s, struct hd_str space,
                                       struct hd_str group, struct hd_str name, int64_t now_unix_ms)
{
    char room[KEY_MAX];
    if (is_of(s->newest, space, group, name))
        return s->newest;
    struct hd_str key = key_of(room, sizeof(room), space, group, name);
    struct hd_log_stream *t = hd_map_get(&s->streams, key);
    if (t != NULL)
        return t;
    t = hd_alloc(sizeof(*t) + key.len);
    *t = (struct hd_log_stream){.group = group_of(s, space, group, now_unix_ms),
                                .made_unix_ms = now_unix_ms};
    memcpy(t->text, key.ptr, key.len);
    size_t at = space.len + group.len + 2;
    t->name = hd_str_n(t->text + at, key.len - at);
    hd_list_push(&t->group->streams, &t->link);
    t->group->n_streams++;
    hd_map_put(&s->streams, hd_str_n(t->text, key.len), t);
    return t;
}

static void forget_group(struct hd_logstore *s, struct hd_log_group *g)
{
    hd_map_remove(&s->groups, hd_str_n(g->text, g->space.len + g->name.len + 2));
    hd_list_remove(&g->link);
    free(g);
}

static void forget_stream(struct hd_logstore *s, struct hd_log_stream *t)
{
    struct hd_log_group *g = t->group;
    hd_map_remove(&s->streams, hd_str_n(t->text, g->space.len + g->name.len + 2 + t->name.len));
    hd_list_remove(&t->link);
    g->n_streams--;
    if (s->newest == t)
        s->newest = NULL;
    free(t);
    if (g->n_streams == 0 && s->groups.count > EMPTY_MAX)
        forget_group(s, g);
}

/* --- lines --- */

static struct hd_log_entry **place(const struct hd_logstore *s, uint64_t n)
{
    return &s->lines[n & (s->cap - 1)];
}

static void drop_first(struct hd_logstore *s)
{
    struct hd_log_entry *e = *place(s, s->first++);
    struct hd_log_stream *t = e->stream;
    s->bytes -= e->len + LINE_BYTES;
    t->group->bytes -= e->len;
    free(e);
    if (--t->lines == 0)
        forget_stream(s, t);
}

static void grow(struct hd_logstore *s)
{
    size_t cap = HD_MAX(s->cap * 2, (size_t)FIRST_LINES);
    struct hd_log_entry **more = hd_new_array(struct hd_log_entry *, cap);
    for (uint64_t n = s->first; n < s->end; n++)
        more[n & (cap - 1)] = *place(s, n);
    free((void *)s->lines);
    s->lines = more;
    s->cap = cap;
}

void hd_logstore_add(struct hd_logstore *s, struct hd_str space, struct hd_str group,
                     struct hd_str stream, struct hd_str text, int64_t unix_ms, int64_t now_unix_ms)
{
    size_t cost = text.len + LINE_BYTES;
    if (cost > s->max_bytes || space.len + group.len + stream.len + 3 > KEY_MAX)
        return;
    if (s->end - s->first == s->cap)
        grow(s);
    struct hd_log_stream *t = stream_of(s, space, group, stream, now_unix_ms);
    unix_ms = HD_MAX(unix_ms, t->last_unix_ms); /* the clocks of two loops are a moment apart */
    struct hd_log_entry *e = hd_alloc(sizeof(*e) + text.len);
    *e = (struct hd_log_entry){
        .stream = t, .unix_ms = unix_ms, .added_unix_ms = now_unix_ms, .len = text.len};
    if (text.len > 0)
        memcpy(e->text, text.ptr, text.len);
    *place(s, s->end++) = e;
    if (t->lines == 0)
        t->first_unix_ms = unix_ms;
    t->last_unix_ms = unix_ms;
    t->last_added_unix_ms = now_unix_ms;
    t->lines++;
    t->group->bytes += text.len;
    s->bytes += cost;
    s->newest = t;
    while (s->bytes > s->max_bytes)
        drop_first(s);
}

void hd_logstore_free(struct hd_logstore *s)
{
    if (s == NULL)
        return;
    while (s->first < s->end)
        drop_first(s);
    hd_list_each(item, &s->all) forget_group(s, hd_container_of(item, struct hd_log_group, link));
    hd_map_done(&s->groups);
    hd_map_done(&s->streams);
    free((void *)s->lines);
    free(s);
}

/* --- looking --- */

uint64_t hd_logstore_first(const struct hd_logstore *s)
{
    return s->first;
}

uint64_t hd_logstore_end(const struct hd_logstore *s)
{
    return s->end;
}

const struct hd_log_entry *hd_logstore_at(const struct hd_logstore *s, uint64_t n)
{
    return *place(s, n);
}

const struct hd_log_group *hd_logstore_group(const struct hd_logstore *s, struct hd_str space,
                                             struct hd_str name)
{
    char room[KEY_MAX];
    if (space.len + name.len + 3 > KEY_MAX)
        return NULL;
    return hd_map_get(&s->groups, key_of(room, sizeof(room), space, name, hd_str_n(NULL, 0)));
}

const struct hd_list *hd_logstore_groups(const struct hd_logstore *s)
{
    return &s->all;
}
