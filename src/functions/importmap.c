#include "functions/importmap.h"

#include "functions/file.h"
#include "functions/strings.h"

#include <jansson.h>

enum { ENTRIES_MAX = 10000 };

struct hd_import_map {
    char *dir, *elsewhere;
    struct hd_strings from, to; /* pairs; `to` is absolute */
};

/* Blank out what JSONC has and JSON has not: comments, and commas before a closing bracket. */
static char *without_comments(struct hd_str text)
{
    char *copy = hd_strdup_n(text), *comma = NULL;
    for (char *p = copy, *end = copy + text.len; p < end; p++) {
        if (*p == '"') {
            for (p++; p < end && *p != '"'; p++)
                p += *p == '\\' && p + 1 < end;
            comma = NULL;
        } else if (*p == '/' && p + 1 < end && p[1] == '/') {
            while (p < end && *p != '\n')
                *p++ = ' ';
        } else if (*p == '/' && p + 1 < end && p[1] == '*') {
            char *close = memmem(p + 2, (size_t)(end - p - 2), "*/", 2);
            char *stop = close != NULL ? close + 2 : end;
            memset(p, ' ', (size_t)(stop - p));
            p = stop - 1;
        } else if ((*p == '}' || *p == ']') && comma != NULL) {
            *comma = ' ';
            comma = NULL;
        } else if (*p == ',') {
            comma = p;
        } else if (*p != ' ' && *p != '\t' && *p != '\n' && *p != '\r') {
            comma = NULL;
        }
    }
    return copy;
}

static char *local_path(const struct hd_import_map *m, const char *address)
{
    if (strncmp(address, "file://", 7) == 0)
        return hd_file_clean(address + 7);
    if (address[0] != '/' && strncmp(address, "./", 2) != 0 && strncmp(address, "../", 3) != 0)
        return NULL; /* a package or a URL */
    hd_auto_free char *joined = hd_file_join(m->dir, address);
    return hd_file_clean(joined);
}

static void add_all(struct hd_import_map *m, json_t *imports)
{
    const char *name;
    json_t *address;
    json_object_foreach(imports, name, address)
    {
        const char *text = json_string_value(address);
        char *path = text != NULL && text[0] != '\0' ? local_path(m, text) : NULL;
        if (path == NULL || m->from.n >= ENTRIES_MAX) {
            free(path);
            continue;
        }
        hd_strings_add(&m->from, hd_str(name));
        hd_strings_take(&m->to, path);
    }
}

static void read_object(struct hd_import_map *m, json_t *root)
{
    const char *scope;
    json_t *imports;
    add_all(m, json_object_get(root, "imports"));
    /* Whatever the scope: a file too many in the graph does no harm. */
    json_object_foreach(json_object_get(root, "scopes"), scope, imports) add_all(m, imports);
    const char *other = json_string_value(json_object_get(root, "importMap"));
    m->elsewhere = other != NULL ? local_path(m, other) : NULL;
    if (other != NULL && m->elsewhere == NULL && strchr(other, ':') == NULL) {
        hd_auto_free char *joined = hd_file_join(m->dir, other); /* "import_map.json" */
        m->elsewhere = hd_file_clean(joined);
    }
}

struct hd_import_map *hd_import_map_new(struct hd_str text, const char *path)
{
    struct hd_import_map *m = hd_new(struct hd_import_map);
    const char *slash = strrchr(path, '/');
    m->dir = slash != NULL && slash > path ? hd_strdup_n(hd_str_n(path, (size_t)(slash - path)))
                                           : hd_strdup("/");
    hd_auto_free char *json = without_comments(text);
    json_t *root = json_loadb(json, text.len, 0, NULL);
    if (json_is_object(root))
        read_object(m, root);
    json_decref(root);
    return m;
}

void hd_import_map_free(struct hd_import_map *m)
{
    if (m == NULL)
        return;
    hd_strings_done(&m->from);
    hd_strings_done(&m->to);
    free(m->dir);
    free(m->elsewhere);
    free(m);
}

char *hd_import_map_find(const struct hd_import_map *m, struct hd_str specifier)
{
    size_t best = SIZE_MAX, best_len = 0;
    for (size_t i = 0; i < m->from.n; i++) {
        struct hd_str key = hd_str(m->from.items[i]);
        if (hd_str_eq(key, specifier))
            return hd_strdup(m->to.items[i]);
        bool prefix = key.len > 0 && key.ptr[key.len - 1] == '/' && hd_str_starts(specifier, key);
        if (prefix && key.len > best_len) {
            best = i;
            best_len = key.len;
        }
    }
    if (best == SIZE_MAX)
        return NULL;
    hd_auto_free char *rest =
        hd_strdup_n(hd_str_n(specifier.ptr + best_len, specifier.len - best_len));
    hd_auto_free char *joined = hd_printf("%s/%s", m->to.items[best], rest);
    return hd_file_clean(joined);
}

const char *hd_import_map_elsewhere(const struct hd_import_map *m)
{
    return m->elsewhere;
}
