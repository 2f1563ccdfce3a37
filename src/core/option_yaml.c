/* option_yaml.c - options from a YAML file. The document is loaded as nodes, in which an alias is a
 * second way to the same node and costs nothing; the walk counts its steps, so that aliases to
 * aliases cannot make it long. */
#include "core/option.h"

#include "core/suggest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

enum { STEPS_MAX = 20000, KEY_MAX = 120 };

struct walk {
    struct hd_option_set *set;
    yaml_document_t *doc;
    const char *path, *file; /* as given, and its last part */
    char *base;              /* its folder */
    unsigned steps;
    struct hd_error *err;
};

static size_t line_of(const yaml_node_t *node)
{
    return node->start_mark.line + 1;
}

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

static int set_scalar(struct walk *w, const struct hd_option *o, const yaml_node_t *node)
{
    char origin[256];
    snprintf(origin, sizeof(origin), "%s:%zu %s", w->file, line_of(node), o->key);
    int rc =
        hd_option_set_value(w->set, o, HD_OPTION_FROM_FILE, scalar(node), w->base, origin, w->err);
    return rc < 0 ? hd_wrap(w->err, rc, "%s:%zu: %s", w->path, line_of(node), o->key) : 0;
}

static int set_option(struct walk *w, const struct hd_option *o, const yaml_node_t *node)
{
    if (is_null(node))
        return hd_fail(w->err, HD_EINVAL, "%s:%zu: %s: has no value; write one or remove the line",
                       w->path, line_of(node), o->key);
    if (node->type == YAML_SCALAR_NODE)
        return set_scalar(w, o, node);
    if (node->type == YAML_MAPPING_NODE || o->kind != HD_OPTION_LIST)
        return hd_fail(w->err, HD_EINVAL, "%s:%zu: %s: must be a single %s", w->path, line_of(node),
                       o->key, o->kind == HD_OPTION_LIST ? "value or list" : "value");
    const yaml_node_item_t *item = node->data.sequence.items.start;
    for (; item < node->data.sequence.items.top; item++) {
        const yaml_node_t *one = yaml_document_get_node(w->doc, *item);
        if (++w->steps > STEPS_MAX)
            return hd_fail(w->err, HD_EINVAL, "%s:%zu: the file is too large", w->path,
                           line_of(node));
        if (one->type != YAML_SCALAR_NODE || is_null(one))
            return hd_fail(w->err, HD_EINVAL, "%s:%zu: %s: each item must be a text", w->path,
                           line_of(one), o->key);
        int rc = set_scalar(w, o, one);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool in_file(const struct hd_option *o)
{
    return !o->no_file;
}

static int unknown_key(struct walk *w, const yaml_node_t *key, const char *name)
{
    struct hd_suggest best = {0};
    for (size_t i = 0; i < w->set->n; i++) {
        const struct hd_option *o = &w->set->options[i];
        if (!in_file(o))
            continue;
        hd_suggest_try(&best, hd_str(name), o->key);
        /* a key that is right but stands in the wrong section */
        const char *last = strrchr(o->key, '.'), *typed = strrchr(name, '.');
        if (best.word == NULL && last != NULL &&
            strcmp(last + 1, typed != NULL ? typed + 1 : name) == 0)
            best = (struct hd_suggest){.word = o->key, .distance = 2};
    }
    if (best.word != NULL)
        return hd_fail(w->err, HD_EINVAL, "%s:%zu: %s: unknown key; did you mean %s?", w->path,
                       line_of(key), name, best.word);
    return hd_fail(w->err, HD_EINVAL,
                   "%s:%zu: %s: unknown key; `heddle config show` lists what there is", w->path,
                   line_of(key), name);
}

/* Whether some option lies below @p name. */
static bool is_section(const struct walk *w, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < w->set->n; i++) {
        const struct hd_option *o = &w->set->options[i];
        if (in_file(o) && strncmp(o->key, name, len) == 0 && o->key[len] == '.')
            return true;
    }
    return false;
}

static bool same_key(yaml_document_t *doc, const yaml_node_pair_t *a, const yaml_node_t *b)
{
    const yaml_node_t *node = yaml_document_get_node(doc, a->key);
    return node->type == YAML_SCALAR_NODE && hd_str_eq(scalar(node), scalar(b));
}

static int map(struct walk *w, const yaml_node_t *node, const char *prefix);

static int entry(struct walk *w, const yaml_node_t *parent, const yaml_node_pair_t *pair,
                 const char *prefix)
{
    const yaml_node_t *key = yaml_document_get_node(w->doc, pair->key);
    const yaml_node_t *value = yaml_document_get_node(w->doc, pair->value);
    char name[KEY_MAX];
    if (++w->steps > STEPS_MAX)
        return hd_fail(w->err, HD_EINVAL, "%s:%zu: the file is too large", w->path, line_of(key));
    if (key->type != YAML_SCALAR_NODE)
        return hd_fail(w->err, HD_EINVAL, "%s:%zu: a key must be a text", w->path, line_of(key));
    struct hd_str text = scalar(key);
    int n = snprintf(name, sizeof(name), "%s%s%.*s", prefix, *prefix != '\0' ? "." : "",
                     (int)HD_MIN(text.len, (size_t)KEY_MAX), text.ptr);
    if (n >= (int)sizeof(name) || memchr(text.ptr, '\0', text.len) != NULL)
        return hd_fail(w->err, HD_EINVAL, "%s:%zu: not a key of this file", w->path, line_of(key));
    for (const char *const *f = w->set->foreign; *prefix == '\0' && f != NULL && *f != NULL; f++) {
        if (strcmp(*f, name) == 0)
            return 0;
    }
    for (const yaml_node_pair_t *p = parent->data.mapping.pairs.start; p < pair; p++) {
        if (++w->steps > STEPS_MAX)
            return hd_fail(w->err, HD_EINVAL, "%s:%zu: the file is too large", w->path,
                           line_of(key));
        if (same_key(w->doc, p, key))
            return hd_fail(w->err, HD_EINVAL, "%s:%zu: %s: given twice, first in line %zu", w->path,
                           line_of(key), name, line_of(yaml_document_get_node(w->doc, p->key)));
    }
    const struct hd_option *o = hd_option_find(w->set, name);
    if (o != NULL && in_file(o)) {
        const struct hd_option_origin *from = hd_option_origin(w->set, name);
        if (from->rank == HD_OPTION_FROM_FILE) /* written both nested and dotted */
            return hd_fail(w->err, HD_EINVAL, "%s:%zu: %s: given twice, first at %s", w->path,
                           line_of(key), name, from->text);
        return set_option(w, o, value);
    }
    if (!is_section(w, name))
        return unknown_key(w, key, name);
    if (value->type == YAML_MAPPING_NODE)
        return map(w, value, name);
    if (is_null(value))
        return 0; /* a heading with everything below it commented out */
    return hd_fail(w->err, HD_EINVAL, "%s:%zu: %s: must be a map of settings", w->path,
                   line_of(value), name);
}

static int map(struct walk *w, const yaml_node_t *node, const char *prefix)
{
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
    for (; pair < node->data.mapping.pairs.top; pair++) {
        int rc = entry(w, node, pair, prefix);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int syntax_error(const struct walk *w, const yaml_parser_t *parser)
{
    const char *what = parser->problem != NULL ? parser->problem : "not YAML";
    if (parser->error == YAML_READER_ERROR)
        return hd_fail(w->err, HD_EINVAL, "%s: %s at byte %zu", w->path, what,
                       parser->problem_offset);
    return hd_fail(w->err, HD_EINVAL, "%s:%zu:%zu: %s", w->path, parser->problem_mark.line + 1,
                   parser->problem_mark.column + 1, what);
}

static int walk_document(struct walk *w, yaml_parser_t *parser)
{
    yaml_document_t doc, next;
    if (yaml_parser_load(parser, &doc) == 0)
        return syntax_error(w, parser);
    const yaml_node_t *root = yaml_document_get_root_node(&doc);
    int rc = 0;
    w->doc = &doc;
    if (root != NULL && root->type == YAML_MAPPING_NODE)
        rc = map(w, root, "");
    else if (root != NULL && !is_null(root))
        rc =
            hd_fail(w->err, HD_EINVAL, "%s:%zu: must be a map of settings", w->path, line_of(root));
    if (rc == 0 && root != NULL) {
        if (yaml_parser_load(parser, &next) == 0)
            rc = syntax_error(w, parser);
        else if (yaml_document_get_root_node(&next) != NULL)
            rc = hd_fail(w->err, HD_EINVAL, "%s:%zu: a second document; only one is read", w->path,
                         line_of(yaml_document_get_root_node(&next)));
        yaml_document_delete(&next);
    }
    yaml_document_delete(&doc);
    return rc;
}

int hd_option_parse_yaml(struct hd_option_set *set, const char *path, struct hd_str text,
                         struct hd_error *err)
{
    if (text.len > HD_OPTION_FILE_MAX)
        return hd_fail(err, HD_EINVAL, "%s: larger than %d bytes", path, HD_OPTION_FILE_MAX);
    const char *slash = strrchr(path, '/');
    struct walk w = {
        .set = set, .path = path, .file = slash != NULL ? slash + 1 : path, .err = err};
    if (slash == NULL)
        w.base = hd_strdup(set->cwd);
    else if (path[0] == '/')
        w.base = hd_strdup_n(hd_str_n(path, slash > path ? (size_t)(slash - path) : 1));
    else
        w.base = hd_printf("%s/%.*s", set->cwd, (int)(slash - path), path);
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0)
        abort(); /* out of memory */
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    const char *bytes = text.ptr != NULL ? text.ptr : "";
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, text.len);
    int rc = walk_document(&w, &parser);
    yaml_parser_delete(&parser);
    free(w.base);
    return rc;
}

int hd_option_parse_file(struct hd_option_set *set, const char *path, struct hd_error *err)
{
    hd_auto_free char *full = path[0] == '/' ? hd_strdup(path) : hd_printf("%s/%s", set->cwd, path);
    int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return hd_fail_sys(err, errno, "%s", path);
    struct stat st;
    struct hd_buf text;
    hd_buf_init(&text, HD_OPTION_FILE_MAX + 1);
    int rc = 0;
    if (fstat(fd, &st) < 0)
        rc = hd_fail_sys(err, errno, "%s", path);
    else if (!S_ISREG(st.st_mode))
        rc = hd_fail(err, HD_EINVAL, "%s: not a regular file", path);
    while (rc == 0 && text.len <= HD_OPTION_FILE_MAX) {
        size_t room = HD_MIN((size_t)16384, HD_OPTION_FILE_MAX + 1 - text.len);
        if (room == 0)
            break;
        ssize_t n = read(fd, hd_buf_reserve(&text, room), room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = hd_fail_sys(err, errno, "%s", path);
        if (n <= 0)
            break;
        hd_buf_commit(&text, (size_t)n);
    }
    close(fd);
    if (rc == 0)
        rc = hd_option_parse_yaml(set, path, hd_buf_view(&text), err);
    if (text.ptr != NULL)
        explicit_bzero(text.ptr, text.len); /* may hold secrets */
    hd_buf_done(&text);
    return rc;
}
