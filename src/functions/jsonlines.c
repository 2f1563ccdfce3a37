#include "functions/jsonlines.h"

#include "core/buf.h"

enum { KEYS_MAX = 10000 };

struct scan {
    struct hd_json_lines *out;
    const char *at, *end;
    uintptr_t line;
    size_t depth; /* containers around the cursor */
    bool object[HD_JSON_LINES_DEPTH + 1];
    bool wants_key[HD_JSON_LINES_DEPTH + 1];
    struct hd_str key[HD_JSON_LINES_DEPTH + 1]; /* last one on each level */
};

/* Cursor on the opening quote; afterwards behind the closing one. */
static struct hd_str take_string(struct scan *s)
{
    const char *start = ++s->at;
    while (s->at < s->end && *s->at != '"')
        s->at += *s->at == '\\' && s->at + 1 < s->end ? 2 : 1;
    struct hd_str text = hd_str_n(start, (size_t)(s->at - start));
    if (s->at < s->end)
        s->at++;
    return text;
}

/* Only keys whose whole way from the root is through objects have a path. */
static void record(struct scan *s)
{
    struct hd_buf path;
    hd_buf_init(&path, 4096);
    for (size_t d = 1; d <= s->depth; d++) {
        if (!s->object[d])
            return hd_buf_done(&path);
        if (d > 1)
            hd_buf_char(&path, '.');
        hd_buf_str(&path, s->key[d]);
    }
    char *text = hd_buf_take(&path);
    if (text == NULL || s->out->paths.n >= KEYS_MAX) {
        free(text);
        return;
    }
    hd_strings_take(&s->out->paths, text);
    hd_map_put(&s->out->by_path, hd_str(text), (void *)s->line);
}

static void open_container(struct scan *s, bool object)
{
    s->depth++;
    if (s->depth <= HD_JSON_LINES_DEPTH) {
        s->object[s->depth] = s->wants_key[s->depth] = object;
        s->key[s->depth] = hd_str_n(NULL, 0);
    }
}

static void step(struct scan *s)
{
    bool known = s->depth >= 1 && s->depth <= HD_JSON_LINES_DEPTH;
    switch (*s->at) {
    case '"': {
        struct hd_str text = take_string(s);
        if (known && s->wants_key[s->depth]) {
            s->key[s->depth] = text;
            s->wants_key[s->depth] = false;
            record(s);
        }
        return;
    }
    case '{':
    case '[':
        open_container(s, *s->at == '{');
        break;
    case '}':
    case ']':
        if (s->depth > 0)
            s->depth--;
        break;
    case ',':
        if (known)
            s->wants_key[s->depth] = s->object[s->depth];
        break;
    case '\n':
        s->line++;
        break;
    default:
        break;
    }
    s->at++;
}

void hd_json_lines_init(struct hd_json_lines *l, struct hd_str text)
{
    *l = (struct hd_json_lines){0};
    hd_map_init(&l->by_path, 0);
    struct scan s = {.out = l, .at = text.ptr, .end = text.ptr + text.len, .line = 1};
    while (s.at < s.end)
        step(&s);
}

void hd_json_lines_done(struct hd_json_lines *l)
{
    hd_map_done(&l->by_path);
    hd_strings_done(&l->paths);
}

unsigned hd_json_line(const struct hd_json_lines *l, const char *path)
{
    return (unsigned)(uintptr_t)hd_map_get(&l->by_path, hd_str(path));
}
