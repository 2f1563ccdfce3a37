#include "functions/discover.h"

#include "functions/file.h"
#include "functions/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum { FOLDERS_MAX = 100000, NAMES_PER_FOLDER_MAX = 100000 };

const struct hd_entry_name hd_entry_names[] = {
    {"index.ts", HD_RUNTIME_DENO},  {"index.tsx", HD_RUNTIME_DENO},  {"index.mts", HD_RUNTIME_DENO},
    {"index.js", HD_RUNTIME_DENO},  {"index.jsx", HD_RUNTIME_DENO},  {"index.mjs", HD_RUNTIME_DENO},
    {"index.cjs", HD_RUNTIME_NODE}, {"index.py", HD_RUNTIME_PYTHON}, {"main.py", HD_RUNTIME_PYTHON},
};
const char *const hd_import_map_names[] = {"deno.json", "deno.jsonc", "import_map.json"};
const size_t hd_entry_names_n = HD_COUNT(hd_entry_names);

static const struct {
    struct hd_str suffix;
    enum hd_runtime runtime;
    bool node_too; /* node runs it when the manifest says so */
} suffixes[] = {
    {HD_LIT(".ts"), HD_RUNTIME_DENO, false},  {HD_LIT(".tsx"), HD_RUNTIME_DENO, false},
    {HD_LIT(".mts"), HD_RUNTIME_DENO, false}, {HD_LIT(".jsx"), HD_RUNTIME_DENO, false},
    {HD_LIT(".js"), HD_RUNTIME_DENO, true},   {HD_LIT(".mjs"), HD_RUNTIME_DENO, true},
    {HD_LIT(".cjs"), HD_RUNTIME_NODE, true},  {HD_LIT(".py"), HD_RUNTIME_PYTHON, false},
};

int hd_runtime_of_file(enum hd_runtime *out, struct hd_str file)
{
    for (size_t i = 0; i < HD_COUNT(suffixes); i++) {
        if (hd_str_ends(file, suffixes[i].suffix)) {
            *out = suffixes[i].runtime;
            return 0;
        }
    }
    return HD_ENOTFOUND;
}

static bool runs(int runtime, struct hd_str file)
{
    for (size_t i = 0; i < HD_COUNT(suffixes); i++) {
        if (hd_str_ends(file, suffixes[i].suffix))
            return runtime < 0 || (int)suffixes[i].runtime == runtime ||
                   (runtime == HD_RUNTIME_NODE && suffixes[i].node_too);
    }
    return false;
}

const struct hd_entry_name *hd_found_entry(const struct hd_found *f, int runtime)
{
    for (size_t i = 0; i < hd_entry_names_n; i++) {
        if ((f->entries & (1U << i)) != 0 && runs(runtime, hd_str(hd_entry_names[i].name)))
            return &hd_entry_names[i];
    }
    return NULL;
}

bool hd_found_is_function(const struct hd_found *f)
{
    return f->problem != NULL || f->entries != 0 || f->has_heddle_json || f->has_1tube_json;
}

void hd_found_done(struct hd_found *f)
{
    free(f->dir);
    free(f->problem);
    *f = (struct hd_found){0};
}

void hd_discovery_done(struct hd_discovery *d)
{
    for (size_t i = 0; i < d->n; i++)
        hd_found_done(&d->items[i]);
    free(d->items);
    hd_strings_done(&d->notes);
    *d = (struct hd_discovery){0};
}

static void note_file(struct hd_found *f, const struct dirent *e)
{
    if (e->d_type == DT_DIR)
        return;
    if (strcmp(e->d_name, "heddle.json") == 0)
        f->has_heddle_json = true;
    else if (strcmp(e->d_name, "1tube.json") == 0)
        f->has_1tube_json = true;
    else if (strcmp(e->d_name, ".env") == 0)
        f->has_env = true;
    for (size_t i = 0; i < HD_IMPORT_MAP_NAMES; i++) {
        if (strcmp(e->d_name, hd_import_map_names[i]) == 0)
            f->import_maps |= 1U << i;
    }
    for (size_t i = 0; i < hd_entry_names_n; i++) {
        if (strcmp(e->d_name, hd_entry_names[i].name) == 0)
            f->entries |= 1U << i;
    }
}

static void list_folder(struct hd_found *f, int fd)
{
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        f->problem = hd_printf("%s: the folder cannot be read: %s", f->name, strerror(errno));
        close(fd);
        return;
    }
    const struct dirent *e;
    for (int n = 0; n < NAMES_PER_FOLDER_MAX && (e = readdir(dir)) != NULL; n++)
        note_file(f, e);
    closedir(dir);
}

static const char *why_not(int code)
{
    switch (code) {
    case ENOENT:
        return "the symbolic link leads nowhere";
    case ELOOP:
        return "the symbolic link leads back to itself";
    case EACCES:
        return "the folder cannot be read: permission denied";
    default:
        return strerror(code);
    }
}

/* Look at root/name. @return 1, or 0 where it is no folder. */
static int look(struct hd_found *out, int root_fd, const char *root, const char *name, bool is_link)
{
    *out = (struct hd_found){0};
    int fd = openat(root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int code = errno;
    if (fd < 0 && (code == ENOTDIR || (code == ENOENT && !is_link)))
        return 0; /* a file, or gone since it was listed */
    snprintf(out->name, sizeof(out->name), "%s", name);
    out->dir = hd_file_join(root, name);
    if (fd < 0) {
        out->problem = hd_printf("%s: %s", name, why_not(code));
        return 1;
    }
    char real[PATH_MAX];
    if (is_link && realpath(out->dir, real) != NULL) {
        free(out->dir);
        out->dir = hd_strdup(real);
    }
    list_folder(out, fd);
    return 1;
}

/* @return 1: folder, 2: symbolic link, 0: something else. */
static int kind_of(int root_fd, const char *name, unsigned char d_type)
{
    if (d_type == DT_DIR)
        return 1;
    if (d_type == DT_LNK)
        return 2;
    struct stat st;
    if (d_type != DT_UNKNOWN || fstatat(root_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return S_ISDIR(st.st_mode) ? 1 : S_ISLNK(st.st_mode) ? 2 : 0;
}

static void push(struct hd_discovery *d, const struct hd_found *f)
{
    /* Room is 1, 2, 4, 8, ...: full when n is a power of two. */
    if (d->n == 0 || (d->n & (d->n - 1)) == 0) {
        struct hd_found *more = hd_new_array(struct hd_found, d->n > 0 ? d->n * 2 : 1);
        if (d->n > 0)
            memcpy(more, d->items, d->n * sizeof(*more));
        free(d->items);
        d->items = more;
    }
    d->items[d->n++] = *f;
}

static void visit(struct hd_discovery *d, int root_fd, const char *root, const struct dirent *e)
{
    struct hd_error why;
    enum hd_name_kind kind = hd_function_name_check(hd_str(e->d_name), &why);
    int type = kind == HD_NAME_SKIPPED ? 0 : kind_of(root_fd, e->d_name, e->d_type);
    struct hd_found f;
    if (type == 0 || look(&f, root_fd, root, e->d_name, type == 2) == 0)
        return;
    if (kind == HD_NAME_GOOD) {
        push(d, &f);
        return;
    }
    if (hd_found_is_function(&f))
        hd_strings_addf(&d->notes, "%s: not a function: %s", e->d_name, why.msg);
    hd_found_done(&f);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct hd_found *)a)->name, ((const struct hd_found *)b)->name);
}

int hd_discover(struct hd_discovery *out, const char *root, struct hd_error *err)
{
    *out = (struct hd_discovery){0};
    DIR *dir = opendir(root);
    if (dir == NULL)
        return hd_fail_sys(err, errno, "functions folder %s", root);
    int rc = 0;
    const struct dirent *e;
    for (errno = 0; rc == 0 && (e = readdir(dir)) != NULL; errno = 0) {
        visit(out, dirfd(dir), root, e);
        if (out->n > FOLDERS_MAX)
            rc = hd_fail(err, HD_EBUSY, "functions folder %s: more than %d subfolders", root,
                         FOLDERS_MAX);
    }
    if (rc == 0 && errno != 0)
        rc = hd_fail_sys(err, errno, "functions folder %s", root);
    closedir(dir);
    if (rc < 0) {
        hd_discovery_done(out);
        return rc;
    }
    if (out->n > 1)
        qsort(out->items, out->n, sizeof(*out->items), by_name);
    hd_strings_sort(&out->notes);
    return 0;
}

int hd_discover_one(struct hd_found *out, const char *root, const char *name)
{
    *out = (struct hd_found){0};
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    int type = kind_of(fd, name, DT_UNKNOWN);
    int rc = type != 0 ? look(out, fd, root, name, type == 2) : 0;
    close(fd);
    return rc;
}
