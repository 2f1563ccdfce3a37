#include "functions/content.h"

#include "functions/effective.h"
#include "functions/env.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

enum { FOLDER_FILES_MAX = 4096, FOLDER_DEPTH_MAX = 32 };

bool hd_content_ignores(const char *name)
{
    static const char *const names[] = {"node_modules", "__pycache__", "heddle.json", "1tube.json",
                                        "4913"};
    size_t len = strlen(name);
    if (name[0] == '.' || name[0] == '#' || name[len - 1] == '~')
        return true;
    for (size_t i = 0; i < HD_COUNT(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return hd_str_ends(hd_str(name), hd_str(".swp")) || hd_str_ends(hd_str(name), hd_str(".pyc"));
}

struct gather {
    struct hd_graph_files *out;
    struct hd_graph *g;
    unsigned files;
    bool complete;
};

static void gather_folder(struct gather *s, int parent, const char *name, const char *path,
                          unsigned depth);

static void gather_entry(struct gather *s, int dir, const char *folder, const struct dirent *e,
                         unsigned depth)
{
    if (hd_content_ignores(e->d_name))
        return;
    hd_auto_free char *path = hd_file_join(folder, e->d_name);
    unsigned char type = e->d_type;
    struct stat st;
    if (type == DT_UNKNOWN && fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        type = (unsigned char)IFTODT(st.st_mode);
    if (type == DT_DIR) {
        gather_folder(s, dir, e->d_name, path, depth + 1);
        return;
    }
    if (type == DT_LNK && (fstatat(dir, e->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode)))
        return;
    if (type != DT_REG && type != DT_LNK)
        return;
    if (s->files++ >= FOLDER_FILES_MAX)
        s->complete = false;
    else
        hd_graph_walk_add(s->g, s->out, path);
}

static void gather_folder(struct gather *s, int parent, const char *name, const char *path,
                          unsigned depth)
{
    if (depth > FOLDER_DEPTH_MAX || !s->complete) {
        s->complete = false;
        return;
    }
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return; /* gone, or not ours to read: then the runtime cannot read it either */
    }
    const struct dirent *e;
    while (s->complete && (e = readdir(dir)) != NULL)
        gather_entry(s, fd, path, e, depth);
    closedir(dir);
}

bool hd_content_gather(struct hd_graph_files *out, struct hd_graph *g, const struct hd_function *fn,
                       const char *root)
{
    const struct hd_resolve how = {.import_map = fn->import_map, .root = root, .dir = fn->dir};
    struct gather s = {.out = out, .g = g, .complete = true};
    hd_graph_walk(g, out, fn->entry, &how);
    gather_folder(&s, AT_FDCWD, fn->dir, fn->dir, 0);
    return s.complete;
}

/* --- hashing: every field with its length or an end, so that no two inputs look the same --- */

static void add_bytes(EVP_MD_CTX *md, const void *ptr, size_t len)
{
    int rc = EVP_DigestUpdate(md, ptr, len);
    assert(rc == 1);
    (void)rc;
}

static void add_text(EVP_MD_CTX *md, const char *text)
{
    if (text == NULL)
        text = "\x01"; /* not the same as the empty text */
    add_bytes(md, text, strlen(text) + 1);
}

static void add_list(EVP_MD_CTX *md, char *const *items)
{
    add_text(md, items != NULL ? "list" : NULL);
    for (size_t i = 0; items != NULL && items[i] != NULL; i++)
        add_text(md, items[i]);
    add_text(md, "\x02");
}

static void add_settings(EVP_MD_CTX *md, const struct hd_function *fn, bool all)
{
    struct hd_buf text;
    hd_buf_init(&text, 1 << 20);
    for (size_t i = 0; i < HD_KEY_COUNT; i++) {
        const struct hd_key_spec *k = &hd_key_specs[i];
        if (k->offset == HD_NOT_A_SETTING || (!all && !k->restarts))
            continue;
        hd_buf_cstr(&text, k->name);
        hd_buf_char(&text, '=');
        hd_setting_text(&text, &fn->set, (enum hd_key)i);
        hd_buf_char(&text, '\n');
    }
    add_bytes(md, text.ptr, text.len);
    hd_buf_done(&text);
}

static void add_code_settings(EVP_MD_CTX *md, const struct hd_function *fn)
{
    add_text(md, hd_runtime_name(fn->runtime));
    add_text(md, fn->dir);
    add_text(md, fn->entry);
    add_text(md, fn->handler);
    add_text(md, fn->import_map);
    add_text(md, fn->health_path);
    add_list(md, fn->argv.items);
}

static EVP_MD_CTX *begin(void)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    int rc = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    assert(rc == 1); /* SHA-256 is there; what fails is memory, and that is fatal anyhow */
    (void)rc;
    return md;
}

static void finish(char out[33], EVP_MD_CTX *md)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t hash[EVP_MAX_MD_SIZE] = {0};
    EVP_DigestFinal_ex(md, hash, NULL);
    EVP_MD_CTX_free(md);
    for (size_t i = 0; i < 16; i++) {
        out[2 * i] = digits[hash[i] >> 4];
        out[2 * i + 1] = digits[hash[i] & 15];
    }
    out[32] = '\0';
}

static int by_path(const void *a, const void *b)
{
    return strcmp((*(struct hd_graph_file *const *)a)->path,
                  (*(struct hd_graph_file *const *)b)->path);
}

void hd_content_version(char out[33], struct hd_graph_files *files, const struct hd_function *fn,
                        const char *root)
{
    EVP_MD_CTX *md = begin();
    add_code_settings(md, fn);
    add_settings(md, fn, false);
    add_list(md, fn->env);
    if (files->n > 1)
        qsort(files->items, files->n, sizeof(*files->items), by_path);
    for (size_t i = 0; i < files->n; i++) {
        const struct hd_graph_file *f = files->items[i];
        add_text(md, hd_file_below(f->path, root));
        add_text(md, f->exists ? "there" : "missing");
        if (f->exists)
            add_bytes(md, f->digest, sizeof(f->digest));
    }
    finish(out, md);
}

void hd_content_identity(char out[33], const struct hd_function *fn)
{
    EVP_MD_CTX *md = begin();
    add_text(md, fn->version);
    add_text(md, fn->problem);
    add_code_settings(md, fn);
    add_settings(md, fn, true);
    add_text(md, fn->set.verify_jwt_given ? "given" : "");
    add_list(md, fn->warnings.items);
    for (size_t i = 0; i < fn->n_origins; i++) {
        add_text(md, fn->origins[i].key);
        add_text(md, fn->origins[i].value);
        add_text(md, fn->origins[i].source);
    }
    for (size_t i = 0; fn->env_block != NULL && i < fn->env_block->sources.n; i++)
        add_text(md, fn->env_block->sources.items[i]);
    finish(out, md);
}
