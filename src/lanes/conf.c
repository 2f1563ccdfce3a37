#include "lanes/conf.h"

#include "core/suggest.h"
#include "functions/file.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum { PROBLEMS_MAX = 100, KEY_MAX = 80, FILE_MAX = 64 * 1024 };

size_t hd_conf_line(const yaml_node_t *node)
{
    return node->start_mark.line + 1;
}

void hd_conf_problem(struct hd_conf *c, const char *id, size_t line, const char *fmt, ...)
{
    if (c->n_problems == PROBLEMS_MAX)
        return;
    va_list ap;
    struct hd_buf text;
    hd_buf_init(&text, 2048);
    hd_buf_cstr(&text, c->path);
    if (line > 0)
        hd_buf_fmt(&text, ":%zu", line);
    hd_buf_fmt(&text, ": %s: ", c->key);
    va_start(ap, fmt);
    hd_buf_vfmt(&text, fmt, ap);
    va_end(ap);
    c->problems =
        hd_realloc_array(c->problems, c->n_problems + 1, sizeof(struct hd_topology_problem));
    struct hd_topology_problem *p = &c->problems[c->n_problems++];
    p->id = hd_strdup(id);
    p->text = hd_buf_failed(&text) ? hd_strdup("a problem too long to tell") : hd_buf_take(&text);
    hd_buf_done(&text);
}

/* --- nodes --- */

static struct hd_str scalar(const yaml_node_t *node)
{
    return hd_str_n((const char *)node->data.scalar.value, node->data.scalar.length);
}

static bool is_null(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    struct hd_str s = scalar(node);
    return s.len == 0 || hd_str_is(s, "~") || hd_str_is_nocase(s, "null");
}

/* maxAttempts is max_attempts. */
static void snake(char out[KEY_MAX], struct hd_str name)
{
    size_t n = 0;
    for (size_t i = 0; i < name.len && n < KEY_MAX - 2; i++) {
        char ch = name.ptr[i];
        if (ch >= 'A' && ch <= 'Z') {
            if (n > 0)
                out[n++] = '_';
            ch = (char)(ch | 0x20);
        }
        out[n++] = ch;
    }
    out[n] = '\0';
}

yaml_node_t *hd_conf_get(struct hd_conf *c, yaml_node_t *map, const char *name)
{
    if (map == NULL || map->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
         p++) {
        yaml_node_t *key = yaml_document_get_node(c->doc, p->key);
        char text[KEY_MAX];
        if (key->type != YAML_SCALAR_NODE)
            continue;
        snake(text, scalar(key));
        if (strcmp(text, name) == 0)
            return yaml_document_get_node(c->doc, p->value);
    }
    return NULL;
}

/* Go down a step; the length before is for the way back. */
static size_t enter(struct hd_conf *c, const char *name, size_t index)
{
    size_t was = strlen(c->key);
    char step[KEY_MAX + 24];
    if (name != NULL)
        snprintf(step, sizeof(step), "%.60s", name);
    else
        snprintf(step, sizeof(step), "[%zu]", index);
    snprintf(c->key + was, sizeof(c->key) - was, "%s%s", name != NULL && was > 0 ? "." : "", step);
    return was;
}

/* --- texts --- */

static const char *variable(const struct hd_conf *c, struct hd_str name)
{
    for (char *const *e = c->env; e != NULL && *e != NULL; e++) {
        if (strncmp(*e, name.ptr, name.len) == 0 && (*e)[name.len] == '=')
            return *e + name.len + 1;
    }
    return NULL;
}

/* ${NAME} must be set; ${NAME:-default} need not. */
static bool replace_one(struct hd_conf *c, struct hd_buf *out, struct hd_str inside, size_t line)
{
    const char *dash = inside.len > 0 ? memmem(inside.ptr, inside.len, ":-", 2) : NULL;
    struct hd_str name = dash != NULL ? hd_str_n(inside.ptr, (size_t)(dash - inside.ptr)) : inside;
    const char *value = name.len > 0 ? variable(c, name) : NULL;
    if (value != NULL && *value != '\0') {
        hd_buf_cstr(out, value);
    } else if (dash != NULL) {
        hd_buf_add(out, dash + 2, (size_t)(inside.ptr + inside.len - dash - 2));
    } else {
        hd_conf_problem(c, "config", line,
                        "the environment variable %.*s is not set; set it, or write ${%.*s:-…}",
                        HD_FMT(name), HD_FMT(name));
        return false;
    }
    return true;
}

static char *replaced(struct hd_conf *c, struct hd_str text, size_t line)
{
    struct hd_buf out;
    bool ok = true;
    hd_buf_init(&out, 1 << 20);
    hd_buf_cstr(&out, "");
    while (ok && text.len > 0) {
        const char *open = memmem(text.ptr, text.len, "${", 2);
        const char *close =
            open != NULL ? memchr(open, '}', (size_t)(text.ptr + text.len - open)) : NULL;
        size_t plain = close != NULL ? (size_t)(open - text.ptr) : text.len;
        hd_buf_add(&out, text.ptr, plain);
        if (close == NULL)
            break;
        ok = replace_one(c, &out, hd_str_n(open + 2, (size_t)(close - open - 2)), line);
        text = hd_str_n(close + 1, (size_t)(text.ptr + text.len - close - 1));
    }
    hd_buf_char(&out, '\0');
    char *whole = ok ? hd_buf_take(&out) : NULL;
    hd_buf_done(&out);
    return whole;
}

char *hd_conf_text(struct hd_conf *c, yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || is_null(node)) {
        hd_conf_problem(c, "config", hd_conf_line(node), "must be a text");
        return NULL;
    }
    return replaced(c, scalar(node), hd_conf_line(node));
}

char *hd_conf_file(struct hd_conf *c, yaml_node_t *node)
{
    hd_auto_free char *name = hd_conf_text(c, node);
    if (name == NULL)
        return NULL;
    hd_auto_free char *path = hd_file_join(c->folder, name);
    struct hd_buf text;
    struct hd_error err;
    hd_buf_init(&text, FILE_MAX);
    if (hd_file_read(&text, path, NULL, &err) < 0) {
        hd_conf_problem(c, "config", hd_conf_line(node), "%s", err.msg);
        hd_buf_done(&text);
        return NULL;
    }
    return hd_buf_take(&text);
}

/* --- values --- */

static void read_bool(struct hd_conf *c, yaml_node_t *node, const char *text, bool *to)
{
    if (strcmp(text, "true") == 0)
        *to = true;
    else if (strcmp(text, "false") == 0)
        *to = false;
    else
        hd_conf_problem(c, "config", hd_conf_line(node), "must be true or false, not \"%s\"", text);
}

static uint64_t most(enum hd_conf_kind kind)
{
    switch (kind) {
    case HD_CONF_U16:
        return UINT16_MAX;
    case HD_CONF_U32:
        return UINT32_MAX;
    case HD_CONF_I32:
        return INT32_MAX;
    case HD_CONF_I64:
        return INT64_MAX;
    case HD_CONF_U64:
    case HD_CONF_STR:
    case HD_CONF_BOOL:
    case HD_CONF_F64:
    case HD_CONF_STRS:
    case HD_CONF_WORD:
    case HD_CONF_CUSTOM:
        break;
    }
    return UINT64_MAX;
}

static void read_whole(struct hd_conf *c, yaml_node_t *node, const struct hd_conf_key *k,
                       const char *text, void *to)
{
    uint64_t value, max = k->max > 0 ? k->max : most(k->kind);
    bool minus = k->kind == HD_CONF_I32 && *text == '-';
    if (hd_str_to_u64(&value, hd_str(text + minus)) < 0 || value > max ||
        (!minus && value < k->min)) {
        hd_conf_problem(c, "config", hd_conf_line(node),
                        "must be a whole number from %llu to %llu, not \"%s\"",
                        (unsigned long long)k->min, (unsigned long long)max, text);
        return;
    }
    if (k->kind == HD_CONF_U16)
        *(uint16_t *)to = (uint16_t)value;
    else if (k->kind == HD_CONF_U32)
        *(uint32_t *)to = (uint32_t)value;
    else if (k->kind == HD_CONF_I32)
        *(int32_t *)to = minus ? -(int32_t)value : (int32_t)value;
    else if (k->kind == HD_CONF_I64)
        *(int64_t *)to = (int64_t)value;
    else
        *(uint64_t *)to = value;
}

static void read_real(struct hd_conf *c, yaml_node_t *node, const char *text, double *to)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end != '\0')
        hd_conf_problem(c, "config", hd_conf_line(node), "must be a number, not \"%s\"", text);
    else
        *to = value;
}

static void read_word(struct hd_conf *c, yaml_node_t *node, const struct hd_conf_key *k,
                      const char *text, void *to)
{
    struct hd_buf all;
    for (unsigned i = 0; k->words[i] != NULL; i++) {
        if (strcmp(k->words[i], text) == 0) {
            *(unsigned *)to = i;
            return;
        }
    }
    hd_buf_init(&all, 1024);
    for (unsigned i = 0; k->words[i] != NULL; i++)
        hd_buf_fmt(&all, "%s%s", i > 0 ? ", " : "", k->words[i]);
    hd_auto_free char *words = hd_buf_take(&all);
    hd_conf_problem(c, strcmp(k->name, "mode") == 0 ? "matchError" : "config", hd_conf_line(node),
                    "must be one of %s, not \"%s\"", words, text);
}

static void read_text(struct hd_strings *to, struct hd_conf *c, yaml_node_t *node)
{
    char *text = hd_conf_text(c, node);
    if (text != NULL)
        hd_strings_take(to, text);
}

static void add_text(struct hd_conf *c, yaml_node_t *item, void *arg)
{
    read_text(arg, c, item);
}

static void read_strings(struct hd_conf *c, yaml_node_t *node, struct hd_strings *to)
{
    hd_strings_give(to);
    if (node->type == YAML_SEQUENCE_NODE)
        hd_conf_each_item(c, node, add_text, to);
    else if (!is_null(node))
        read_text(to, c, node);
}

static void read_value(struct hd_conf *c, yaml_node_t *node, const struct hd_conf_key *k, void *to)
{
    if (k->kind == HD_CONF_CUSTOM) {
        k->read(c, node, to);
        return;
    }
    if (k->kind == HD_CONF_STRS) {
        read_strings(c, node, to);
        return;
    }
    if (is_null(node))
        return;
    hd_auto_free char *text = hd_conf_text(c, node);
    if (text == NULL)
        return;
    if (k->kind == HD_CONF_STR) {
        free(*(char **)to);
        *(char **)to = hd_strdup(text);
    } else if (k->kind == HD_CONF_BOOL) {
        read_bool(c, node, text, to);
    } else if (k->kind == HD_CONF_F64) {
        read_real(c, node, text, to);
    } else if (k->kind == HD_CONF_WORD) {
        read_word(c, node, k, text, to);
    } else {
        read_whole(c, node, k, text, to);
    }
}

/* --- mappings and lists --- */

static void unknown(struct hd_conf *c, const yaml_node_t *key, const char *name,
                    const struct hd_conf_key *keys, size_t n)
{
    struct hd_suggest best = {0};
    for (size_t i = 0; i < n; i++)
        hd_suggest_try(&best, hd_str(name), keys[i].name);
    if (best.word != NULL)
        hd_conf_problem(c, "config", hd_conf_line(key), "unknown key %s; did you mean %s?", name,
                        best.word);
    else
        hd_conf_problem(c, "config", hd_conf_line(key), "unknown key %s", name);
}

static void map_entry(struct hd_conf *c, const yaml_node_pair_t *pair,
                      const struct hd_conf_key *keys, size_t n, void *to, uint64_t *seen)
{
    yaml_node_t *key = yaml_document_get_node(c->doc, pair->key);
    char name[KEY_MAX];
    if (key->type != YAML_SCALAR_NODE) {
        hd_conf_problem(c, "config", hd_conf_line(key), "a key must be a text");
        return;
    }
    snake(name, scalar(key));
    size_t i = 0;
    while (i < n && strcmp(keys[i].name, name) != 0)
        i++;
    if (i == n) {
        unknown(c, key, name, keys, n);
        return;
    }
    if ((*seen & (uint64_t)1 << i) != 0)
        hd_conf_problem(c, "config", hd_conf_line(key), "%s stands here twice", name);
    *seen |= (uint64_t)1 << i;
    size_t was = enter(c, name, 0);
    read_value(c, yaml_document_get_node(c->doc, pair->value), &keys[i],
               (char *)to + keys[i].offset);
    c->key[was] = '\0';
}

void hd_conf_map(struct hd_conf *c, yaml_node_t *node, const struct hd_conf_key *keys, size_t n,
                 void *to)
{
    uint64_t seen = 0;
    if (is_null(node))
        return;
    if (node->type != YAML_MAPPING_NODE) {
        hd_conf_problem(c, "config", hd_conf_line(node), "must be a mapping of keys to values");
        return;
    }
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
         p++)
        map_entry(c, p, keys, n, to, &seen);
}

void hd_conf_each_entry(struct hd_conf *c, yaml_node_t *node,
                        void (*each)(struct hd_conf *c, const char *name, yaml_node_t *value,
                                     void *arg),
                        void *arg)
{
    if (is_null(node))
        return;
    if (node->type != YAML_MAPPING_NODE) {
        hd_conf_problem(c, "config", hd_conf_line(node), "must be a mapping of names to values");
        return;
    }
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
         p++) {
        yaml_node_t *key = yaml_document_get_node(c->doc, p->key);
        hd_auto_free char *name = key->type == YAML_SCALAR_NODE ? hd_strdup_n(scalar(key)) : NULL;
        if (name == NULL) {
            hd_conf_problem(c, "config", hd_conf_line(key), "a name must be a text");
            continue;
        }
        size_t was = enter(c, name, 0);
        each(c, name, yaml_document_get_node(c->doc, p->value), arg);
        c->key[was] = '\0';
    }
}

void hd_conf_each_item(struct hd_conf *c, yaml_node_t *node,
                       void (*each)(struct hd_conf *c, yaml_node_t *item, void *arg), void *arg)
{
    if (is_null(node))
        return;
    if (node->type != YAML_SEQUENCE_NODE) {
        hd_conf_problem(c, "config", hd_conf_line(node), "must be a list");
        return;
    }
    size_t i = 0;
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        size_t was = enter(c, NULL, i++);
        each(c, yaml_document_get_node(c->doc, *item), arg);
        c->key[was] = '\0';
    }
}
