#include "functions/graph.h"

#include "core/clock.h"
#include "functions/importmap.h"
#include "functions/imports.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>

enum { CONTENTS_MAX = 8 << 20, WALK_MAX = 20000 };

/* File systems stamp times in steps of some milliseconds. */
static const int64_t FRESH_NS = 100 * 1000000;

/* A parsed import map, kept as long as its file does not change. */
struct map_of_file {
    char *path;
    uint8_t digest[HD_DIGEST_BYTES];
    struct hd_import_map *map;
};

struct hd_graph {
    struct hd_map files; /* of struct hd_graph_file by path */
    struct hd_map maps;  /* of struct map_of_file by path */
    uint64_t round, walk, reads;
    struct hd_buf text; /* of the file that is being read */
};

struct hd_graph *hd_graph_new(void)
{
    struct hd_graph *g = hd_new(struct hd_graph);
    hd_map_init(&g->files, 0);
    hd_map_init(&g->maps, 0);
    hd_buf_init(&g->text, CONTENTS_MAX);
    g->round = 1;
    return g;
}

static void free_file(struct hd_graph_file *f)
{
    hd_strings_done(&f->imports);
    free(f->path);
    free(f);
}

static void free_map(struct map_of_file *m)
{
    if (m == NULL)
        return;
    hd_import_map_free(m->map);
    free(m->path);
    free(m);
}

void hd_graph_free(struct hd_graph *g)
{
    if (g == NULL)
        return;
    void *item;
    for (size_t at = 0; hd_map_next(&g->files, &at, NULL, &item);)
        free_file(item);
    for (size_t at = 0; hd_map_next(&g->maps, &at, NULL, &item);)
        free_map(item);
    hd_map_done(&g->files);
    hd_map_done(&g->maps);
    hd_buf_done(&g->text);
    free(g);
}

void hd_graph_begin(struct hd_graph *g)
{
    g->round++;
}

void hd_graph_prune(struct hd_graph *g)
{
    struct hd_graph_files stale = {0};
    void *item;
    for (size_t at = 0; hd_map_next(&g->files, &at, NULL, &item);) {
        struct hd_graph_file *f = item;
        if (f->used != g->round)
            hd_graph_files_add(&stale, f);
    }
    for (size_t i = 0; i < stale.n; i++) {
        free_map(hd_map_remove(&g->maps, hd_str(stale.items[i]->path)));
        hd_map_remove(&g->files, hd_str(stale.items[i]->path));
        free_file(stale.items[i]);
    }
    hd_graph_files_done(&stale);
}

uint64_t hd_graph_reads(const struct hd_graph *g)
{
    return g->reads;
}

static void digest(uint8_t out[HD_DIGEST_BYTES], const void *bytes, size_t len)
{
    unsigned n = HD_DIGEST_BYTES;
    /* Fails only when memory ran out inside OpenSSL; zeros then stay, and the state of the file
     * is still told by its imports and the next change. */
    if (EVP_Digest(bytes, len, out, &n, EVP_sha256(), NULL) != 1)
        memset(out, 0, HD_DIGEST_BYTES);
}

static bool has_suffix(const char *path, const char *const *suffixes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (hd_str_ends(hd_str(path), hd_str(suffixes[i])))
            return true;
    }
    return false;
}

static bool is_js(const char *path)
{
    static const char *const suffixes[] = {".ts",  ".js",  ".mjs", ".tsx",
                                           ".mts", ".jsx", ".cjs", ".cts"};
    return has_suffix(path, suffixes, HD_COUNT(suffixes));
}

static bool is_python(const char *path)
{
    static const char *const suffixes[] = {".py"};
    return has_suffix(path, suffixes, HD_COUNT(suffixes));
}

static void read_contents(struct hd_graph *g, struct hd_graph_file *f)
{
    struct stat st;
    hd_strings_done(&f->imports);
    hd_buf_clear(&g->text);
    g->reads++;
    int rc = hd_file_read(&g->text, f->path, &st, NULL);
    f->exists = rc == 0 || rc == HD_EBUSY;
    if (!f->exists)
        return;
    f->id = hd_file_id_of(&st);
    f->fresh = f->id.ctime_ns + FRESH_NS > hd_clock_unix_ms() * 1000000;
    if (rc == HD_EBUSY) {
        digest(f->digest, &f->id, sizeof(f->id));
        return;
    }
    struct hd_str text = hd_buf_view(&g->text);
    digest(f->digest, text.ptr != NULL ? text.ptr : "", text.len);
    if (is_js(f->path))
        hd_imports_js(&f->imports, text);
    else if (is_python(f->path))
        hd_imports_python(&f->imports, text);
}

struct hd_graph_file *hd_graph_file(struct hd_graph *g, const char *path)
{
    struct hd_graph_file *f = hd_map_get(&g->files, hd_str(path));
    if (f == NULL) {
        f = hd_new(struct hd_graph_file);
        f->path = hd_strdup(path);
        hd_map_put(&g->files, hd_str(f->path), f);
    }
    f->used = g->round;
    if (f->checked == g->round)
        return f;
    f->checked = g->round;
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode)) {
        f->exists = false;
        f->id = (struct hd_file_id){0};
        hd_strings_done(&f->imports);
        return f;
    }
    struct hd_file_id id = hd_file_id_of(&st);
    if (!f->exists || f->fresh || !hd_file_id_eq(&id, &f->id))
        read_contents(g, f);
    return f;
}

void hd_graph_files_add(struct hd_graph_files *l, struct hd_graph_file *f)
{
    if (l->n == l->cap) {
        size_t cap = l->cap > 0 ? l->cap * 2 : 8;
        struct hd_graph_file **more = hd_new_array(struct hd_graph_file *, cap);
        if (l->n > 0)
            memcpy(more, l->items, l->n * sizeof(*more));
        free(l->items);
        l->items = more;
        l->cap = cap;
    }
    l->items[l->n++] = f;
}

void hd_graph_files_done(struct hd_graph_files *l)
{
    free(l->items);
    *l = (struct hd_graph_files){0};
}

static const struct hd_import_map *map_at(struct hd_graph *g, const char *path)
{
    struct hd_graph_file *f = hd_graph_file(g, path);
    struct map_of_file *m = hd_map_get(&g->maps, hd_str(path));
    if (!f->exists)
        return NULL;
    if (m != NULL && memcmp(m->digest, f->digest, sizeof(m->digest)) == 0)
        return m->map;
    if (m == NULL) {
        m = hd_new(struct map_of_file);
        m->path = hd_strdup(path);
        hd_map_put(&g->maps, hd_str(m->path), m);
    }
    hd_buf_clear(&g->text);
    g->reads++;
    struct hd_str text = hd_str_n("", 0);
    if (hd_file_read(&g->text, path, NULL, NULL) == 0)
        text = hd_buf_view(&g->text);
    hd_import_map_free(m->map);
    m->map = hd_import_map_new(text, path);
    memcpy(m->digest, f->digest, sizeof(m->digest));
    return m->map;
}

struct walk {
    struct hd_graph *g;
    struct hd_graph_files *out;
    const struct hd_resolve *how;
    const struct hd_import_map *map;
};

static void add_once(struct hd_graph *g, struct hd_graph_files *out, struct hd_graph_file *f)
{
    if (f->marked == g->walk || out->n >= WALK_MAX)
        return;
    f->marked = g->walk;
    hd_graph_files_add(out, f);
}

static void come_by(struct walk *w, struct hd_graph_file *f)
{
    add_once(w->g, w->out, f);
}

void hd_graph_walk_add(struct hd_graph *g, struct hd_graph_files *out, const char *path)
{
    add_once(g, out, hd_graph_file(g, path));
}

/* Node and bundlers leave out endings; a file that is not there under any of them is kept in the
 * graph as missing, under the name that was written: the function changes when it comes. */
static void come_by_js(struct walk *w, const char *path)
{
    static const char *const endings[] = {".ts",  ".js",   ".tsx",      ".mjs",
                                          ".cjs", ".json", "/index.ts", "/index.js"};
    struct hd_graph_file *f = hd_graph_file(w->g, path);
    for (size_t i = 0; !f->exists && i < HD_COUNT(endings); i++) {
        const char *base = strrchr(path, '/');
        if (base != NULL && strchr(base, '.') != NULL)
            break; /* it has an ending */
        hd_auto_free char *longer = hd_printf("%s%s", path, endings[i]);
        struct hd_graph_file *other = hd_graph_file(w->g, longer);
        if (other->exists) {
            f = other;
            break;
        }
        come_by(w, other);
    }
    come_by(w, f);
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return hd_strdup_n(hd_str_n(path, slash != NULL && slash > path ? (size_t)(slash - path) : 1));
}

static void follow_js(struct walk *w, const struct hd_graph_file *from, const char *specifier)
{
    hd_auto_free char *mapped =
        w->map != NULL ? hd_import_map_find(w->map, hd_str(specifier)) : NULL;
    if (mapped != NULL)
        return come_by_js(w, mapped);
    bool relative = strncmp(specifier, "./", 2) == 0 || strncmp(specifier, "../", 3) == 0 ||
                    strcmp(specifier, ".") == 0 || strcmp(specifier, "..") == 0;
    if (strncmp(specifier, "file:///", 8) == 0)
        specifier += 7;
    else if (!relative && specifier[0] != '/')
        return; /* a package or a URL */
    hd_auto_free char *dir = folder_of(from->path);
    hd_auto_free char *bare = hd_strdup_n(hd_str_n(specifier, strcspn(specifier, "?#")));
    hd_auto_free char *joined = hd_file_join(dir, bare);
    hd_auto_free char *path = hd_file_clean(joined);
    come_by_js(w, path);
}

/* a.b.c below `base`: the packages on the way, and the module. @return whether any is there. */
static bool follow_dotted(struct walk *w, const char *base, const char *dotted)
{
    bool any = false;
    struct hd_str rest = hd_str(dotted), part;
    hd_auto_free char *at = hd_strdup(base);
    while (hd_str_split(&part, &rest, '.') && part.len > 0) {
        char *longer = hd_printf("%s/%.*s", at, HD_FMT(part));
        free(at);
        at = longer;
        hd_auto_free char *module = hd_printf("%s.py", at);
        hd_auto_free char *package = hd_printf("%s/__init__.py", at);
        struct hd_graph_file *files[] = {hd_graph_file(w->g, module), hd_graph_file(w->g, package)};
        for (size_t i = 0; i < HD_COUNT(files); i++) {
            if (files[i]->exists)
                come_by(w, files[i]);
            any = any || files[i]->exists;
        }
    }
    return any;
}

static void follow_python(struct walk *w, const struct hd_graph_file *from, const char *name)
{
    if (name[0] != '.') {
        if (!follow_dotted(w, w->how->dir, name))
            follow_dotted(w, w->how->root, name);
        return;
    }
    char *dir = folder_of(from->path); /* "." is the package the file is in, ".." the one above */
    for (name++; *name == '.'; name++) {
        char *above = folder_of(dir);
        free(dir);
        dir = above;
    }
    follow_dotted(w, dir, name);
    free(dir);
}

static void follow_all(struct walk *w, const struct hd_graph_file *from)
{
    bool python = is_python(from->path);
    for (size_t i = 0; i < from->imports.n; i++) {
        if (python)
            follow_python(w, from, from->imports.items[i]);
        else
            follow_js(w, from, from->imports.items[i]);
    }
}

void hd_graph_walk(struct hd_graph *g, struct hd_graph_files *out, const char *entry,
                   const struct hd_resolve *how)
{
    struct walk w = {.g = g, .out = out, .how = how};
    g->walk++;
    if (how->import_map != NULL) {
        w.map = map_at(g, how->import_map);
        const char *other = w.map != NULL ? hd_import_map_elsewhere(w.map) : NULL;
        come_by(&w, hd_graph_file(g, how->import_map));
        if (other != NULL) {
            hd_auto_free char *path = hd_strdup(other);
            come_by(&w, hd_graph_file(g, path));
            w.map = map_at(g, path);
        }
    }
    if (entry != NULL)
        come_by(&w, hd_graph_file(g, entry));
    for (size_t i = 0; i < out->n; i++)
        follow_all(&w, out->items[i]);
}
