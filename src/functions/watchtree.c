#include "functions/watchtree.h"

#include "core/map.h"
#include "functions/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { DEPTH_MAX = 32, FOLDERS_MAX = 200000, PATHS_MAX = 1000, ALIASES_MAX = 16 };

static const uint32_t EVENTS = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                               IN_MOVED_TO | IN_ATTRIB | IN_ONLYDIR | IN_EXCL_UNLINK;

/* One watched folder. Links make it reachable by several paths; the kernel has one watch for it. */
struct node {
    int wd;
    struct hd_strings paths;
    struct hd_strings names; /* given: only these files in it, and nothing below */
};

struct hd_watch_tree {
    int fd;
    size_t max_folders;
    struct hd_map nodes; /* of struct node by wd */
    struct hd_strings entries;
};

void hd_watch_changes_done(struct hd_watch_changes *c)
{
    hd_strings_done(&c->paths);
    *c = (struct hd_watch_changes){0};
}

bool hd_watch_ignores(const char *name)
{
    static const char *const names[] = {"node_modules", ".git",   ".hg",  "__pycache__",
                                        ".heddle",      ".1tube", "4913", ".DS_Store"};
    static const char *const ends[] = {"~", ".swp", ".swo", ".swx", ".pyc"};
    struct hd_str s = hd_str(name);
    for (size_t i = 0; i < HD_COUNT(names); i++) {
        if (hd_str_is(s, names[i]))
            return true;
    }
    for (size_t i = 0; i < HD_COUNT(ends); i++) {
        if (hd_str_ends(s, hd_str(ends[i])))
            return true;
    }
    return hd_str_starts(s, hd_str(".#")) || (name[0] == '#' && hd_str_ends(s, hd_str("#")));
}

static void add_path(struct hd_watch_changes *c, const char *path)
{
    if (c->everything || hd_strings_has(&c->paths, hd_str(path)))
        return;
    if (c->paths.n >= PATHS_MAX) {
        c->everything = true;
        hd_strings_done(&c->paths);
        return;
    }
    hd_strings_add(&c->paths, hd_str(path));
}

int hd_watch_tree_new(struct hd_watch_tree **out, size_t max_folders, struct hd_error *err)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0)
        return hd_fail_sys(err, errno, "watching files (fs.inotify.max_user_instances)");
    struct hd_watch_tree *t = hd_new(struct hd_watch_tree);
    t->fd = fd;
    t->max_folders = max_folders > 0 ? max_folders : FOLDERS_MAX;
    hd_map_init(&t->nodes, 0);
    *out = t;
    return 0;
}

static void free_node(struct node *n)
{
    hd_strings_done(&n->paths);
    hd_strings_done(&n->names);
    free(n);
}

static void free_nodes(struct hd_watch_tree *t)
{
    void *item;
    for (size_t at = 0; hd_map_next(&t->nodes, &at, NULL, &item);)
        free_node(item);
    hd_map_done(&t->nodes);
}

void hd_watch_tree_free(struct hd_watch_tree *t)
{
    if (t == NULL)
        return;
    free_nodes(t);
    hd_strings_done(&t->entries);
    close(t->fd);
    free(t);
}

int hd_watch_tree_fd(const struct hd_watch_tree *t)
{
    return t->fd;
}

size_t hd_watch_tree_count(const struct hd_watch_tree *t)
{
    return t->nodes.count;
}

static struct hd_str key_of(const int *wd)
{
    return hd_str_n((const char *)wd, sizeof(*wd));
}

/* @return the node of a folder, new or known; or NULL: gone, not a folder, or no watch left. */
static struct node *watch(struct hd_watch_tree *t, const char *path, struct hd_watch_changes *c)
{
    if (t->nodes.count >= t->max_folders) {
        c->limited = true;
        return NULL;
    }
    int wd = inotify_add_watch(t->fd, path, EVENTS);
    if (wd < 0) {
        c->limited = c->limited || errno == ENOSPC || errno == ENOMEM;
        return NULL;
    }
    struct node *n = hd_map_get(&t->nodes, key_of(&wd));
    if (n == NULL) {
        n = hd_new(struct node);
        n->wd = wd;
        hd_map_put(&t->nodes, key_of(&n->wd), n);
    }
    return n;
}

/* Whether a way to this folder leads through the folder itself. */
static bool is_loop(const struct node *n, const char *path)
{
    for (size_t i = 0; i < n->paths.n; i++) {
        if (hd_file_within(path, n->paths.items[i]))
            return true;
    }
    return n->paths.n >= ALIASES_MAX;
}

static void watch_below(struct hd_watch_tree *t, const char *path, unsigned depth,
                        struct hd_watch_changes *c);

static void watch_folder(struct hd_watch_tree *t, const char *path, unsigned depth,
                         struct hd_watch_changes *c)
{
    struct node *n = depth <= DEPTH_MAX ? watch(t, path, c) : NULL;
    if (n == NULL)
        return;
    if (n->names.items != NULL)
        hd_strings_done(&n->names); /* from here on all of it */
    else if (is_loop(n, path))
        return;
    if (!hd_strings_has(&n->paths, hd_str(path)))
        hd_strings_add(&n->paths, hd_str(path));
    watch_below(t, path, depth, c);
}

static void watch_below(struct hd_watch_tree *t, const char *path, unsigned depth,
                        struct hd_watch_changes *c)
{
    DIR *dir = opendir(path);
    if (dir == NULL)
        return;
    const struct dirent *e;
    while (!c->limited && (e = readdir(dir)) != NULL) {
        bool maybe_folder = e->d_type == DT_DIR || e->d_type == DT_LNK || e->d_type == DT_UNKNOWN;
        if (!maybe_folder || strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            hd_watch_ignores(e->d_name))
            continue;
        hd_auto_free char *below = hd_file_join(path, e->d_name);
        watch_folder(t, below, depth + 1, c); /* IN_ONLYDIR refuses links to files */
    }
    closedir(dir);
}

/* A single file: watch the folder it is, or would be, in. */
static void watch_file(struct hd_watch_tree *t, const char *path, struct hd_watch_changes *c)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return;
    hd_auto_free char *dir = hd_strdup_n(hd_str_n(path, slash > path ? (size_t)(slash - path) : 1));
    struct node *n = watch(t, dir, c);
    if (n == NULL || (n->paths.n > 0 && n->names.items == NULL))
        return; /* no such folder, or all of it is watched */
    if (!hd_strings_has(&n->paths, hd_str(dir)))
        hd_strings_add(&n->paths, hd_str(dir));
    hd_strings_give(&n->names);
    if (!hd_strings_has(&n->names, hd_str(slash + 1)))
        hd_strings_add(&n->names, hd_str(slash + 1));
}

static void watch_entry(struct hd_watch_tree *t, const char *entry, struct hd_watch_changes *c)
{
    struct stat st;
    if (stat(entry, &st) == 0 && S_ISDIR(st.st_mode))
        watch_folder(t, entry, 0, c);
    else
        watch_file(t, entry, c);
}

static void watch_all(struct hd_watch_tree *t, struct hd_watch_changes *c)
{
    for (size_t i = 0; i < t->entries.n; i++)
        watch_entry(t, t->entries.items[i], c);
}

/* Stop watching everything. Events of the old watches that are still queued find no node. */
static void unwatch_all(struct hd_watch_tree *t)
{
    void *item;
    for (size_t at = 0; hd_map_next(&t->nodes, &at, NULL, &item);)
        inotify_rm_watch(t->fd, ((struct node *)item)->wd);
    free_nodes(t);
}

void hd_watch_tree_set(struct hd_watch_tree *t, const struct hd_strings *entries,
                       struct hd_watch_changes *changes)
{
    bool fewer = false;
    for (size_t i = 0; !fewer && i < t->entries.n; i++)
        fewer = !hd_strings_has(entries, hd_str(t->entries.items[i]));
    struct hd_strings before = t->entries;
    t->entries = hd_strings_copy(entries);
    if (fewer) { /* rare: begin anew, and let all be looked at, as events may be lost between */
        unwatch_all(t);
        watch_all(t, changes);
        changes->everything = true;
        hd_strings_done(&changes->paths);
    }
    for (size_t i = 0; !fewer && i < entries->n; i++) {
        if (hd_strings_has(&before, hd_str(entries->items[i])))
            continue;
        watch_entry(t, entries->items[i], changes);
        add_path(changes, entries->items[i]);
    }
    hd_strings_done(&before);
}

static void forget_path(struct hd_watch_tree *t, struct node *n, const char *path)
{
    struct hd_strings left = {0};
    size_t stays = 0;
    for (size_t i = 0; i < n->paths.n; i++)
        stays += !hd_file_within(n->paths.items[i], path);
    if (stays == n->paths.n)
        return;
    for (size_t i = 0; i < n->paths.n; i++) {
        if (!hd_file_within(n->paths.items[i], path))
            hd_strings_add(&left, hd_str(n->paths.items[i]));
    }
    hd_strings_done(&n->paths);
    n->paths = left;
    if (left.n == 0)
        inotify_rm_watch(t->fd, n->wd); /* IN_IGNORED follows and frees the node */
}

/* A folder (or a link to one) is no longer where it was. */
static void forget_below(struct hd_watch_tree *t, const char *path)
{
    void *item;
    for (size_t at = 0; hd_map_next(&t->nodes, &at, NULL, &item);)
        forget_path(t, item, path);
}

static bool is_wanted(const struct node *n, const char *name)
{
    if (n->names.items != NULL)
        return hd_strings_has(&n->names, hd_str(name));
    return !hd_watch_ignores(name);
}

static void take_event(struct hd_watch_tree *t, const struct inotify_event *e,
                       struct hd_watch_changes *c)
{
    struct node *n = hd_map_get(&t->nodes, key_of(&e->wd));
    if ((e->mask & IN_Q_OVERFLOW) != 0) {
        unwatch_all(t);
        watch_all(t, c);
        c->everything = true;
        return;
    }
    if (n == NULL)
        return;
    if ((e->mask & IN_IGNORED) != 0) {
        hd_map_remove(&t->nodes, key_of(&e->wd));
        free_node(n);
        return;
    }
    if (e->len == 0 || !is_wanted(n, e->name))
        return;
    bool whole = n->names.items == NULL;
    struct hd_strings folders = hd_strings_copy(&n->paths); /* the node may go meanwhile */
    for (size_t i = 0; i < folders.n; i++) {
        hd_auto_free char *path = hd_file_join(folders.items[i], e->name);
        add_path(c, path);
        if (whole && (e->mask & (IN_MOVED_FROM | IN_DELETE | IN_MOVED_TO)) != 0)
            forget_below(t, path); /* moved there: a link may have been replaced by another */
        if (whole && (e->mask & (IN_CREATE | IN_MOVED_TO)) != 0)
            watch_folder(t, path, 1, c);
    }
    hd_strings_done(&folders);
}

void hd_watch_tree_read(struct hd_watch_tree *t, struct hd_watch_changes *changes)
{
    enum { ROUNDS_MAX = 64 };
    char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
    for (int round = 0; round < ROUNDS_MAX; round++) {
        ssize_t n = read(t->fd, buf, sizeof(buf));
        if (n <= 0)
            return;
        for (const char *at = buf; at < buf + n;) {
            const struct inotify_event *e = (const struct inotify_event *)at;
            take_event(t, e, changes);
            at += sizeof(*e) + e->len;
        }
    }
}
