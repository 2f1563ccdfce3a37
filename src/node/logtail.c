#include "node/logtail.h"

#include "core/buf.h"

struct line {
    int level;
    size_t function_len, json_len;
    char bytes[]; /* function, then JSON */
};

struct hd_logtail {
    struct line **lines; /* ring */
    size_t first, n, cap;
    size_t bytes, max_bytes;
    struct hd_list followers;
};

struct hd_logtail *hd_logtail_new(size_t max_lines, size_t max_bytes)
{
    struct hd_logtail *t = hd_new(struct hd_logtail);
    t->cap = max_lines;
    t->max_bytes = max_bytes;
    t->lines = hd_new_array(struct line *, max_lines);
    hd_list_init(&t->followers);
    return t;
}

static void drop_first(struct hd_logtail *t)
{
    struct line *old = t->lines[t->first];
    t->bytes -= old->function_len + old->json_len;
    free(old);
    t->first = (t->first + 1) % t->cap;
    t->n--;
}

void hd_logtail_free(struct hd_logtail *t)
{
    if (t == NULL)
        return;
    while (t->n > 0)
        drop_first(t);
    free((void *)t->lines);
    free(t);
}

static struct hd_str function_of(const struct line *l)
{
    return hd_str_n(l->bytes, l->function_len);
}

static struct hd_str json_of(const struct line *l)
{
    return hd_str_n(l->bytes + l->function_len, l->json_len);
}

void hd_logtail_add(struct hd_logtail *t, struct hd_str function, struct hd_str id, int level,
                    struct hd_str text, int64_t now_unix_ms)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    char room[1024];
    struct hd_buf json;
    hd_buf_init_with(&json, room, sizeof(room), 64 * 1024);
    hd_buf_cstr(&json, "{\"tsMs\":");
    hd_buf_u64(&json, (uint64_t)HD_MAX(now_unix_ms, (int64_t)0));
    hd_buf_cstr(&json, ",\"level\":\"");
    hd_buf_cstr(&json, levels[level & 3]);
    hd_buf_cstr(&json, "\",\"fn\":");
    hd_buf_json(&json, function);
    hd_buf_cstr(&json, ",\"id\":");
    if (id.len > 0)
        hd_buf_json(&json, id);
    else
        hd_buf_cstr(&json, "null");
    hd_buf_cstr(&json, ",\"message\":");
    hd_buf_json(&json, text);
    hd_buf_char(&json, '}');
    if (hd_buf_failed(&json) || json.len + function.len > t->max_bytes) {
        hd_buf_done(&json);
        return;
    }
    struct line *l = hd_alloc(sizeof(*l) + function.len + json.len);
    l->level = level;
    l->function_len = function.len;
    l->json_len = json.len;
    memcpy(l->bytes, function.ptr, function.len);
    memcpy(l->bytes + function.len, json.ptr, json.len);
    hd_buf_done(&json);
    t->bytes += l->function_len + l->json_len;
    while (t->n == t->cap || (t->n > 0 && t->bytes > t->max_bytes))
        drop_first(t);
    t->lines[(t->first + t->n++) % t->cap] = l;
    hd_list_each(item, &t->followers)
    {
        struct hd_log_follower *f = hd_container_of(item, struct hd_log_follower, link);
        f->on_line(f, function_of(l), l->level, json_of(l));
    }
}

void hd_logtail_each(const struct hd_logtail *t,
                     void (*each)(void *arg, struct hd_str function, int level, struct hd_str json),
                     void *arg)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct line *l = t->lines[(t->first + i) % t->cap];
        each(arg, function_of(l), l->level, json_of(l));
    }
}

void hd_logtail_follow(struct hd_logtail *t, struct hd_log_follower *f)
{
    hd_list_push(&t->followers, &f->link);
}

void hd_logtail_leave(struct hd_log_follower *f)
{
    hd_list_remove(&f->link);
}
