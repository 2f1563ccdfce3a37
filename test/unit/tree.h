/* tree.h - a temporary folder with files, for tests that need a disk. */
#pragma once

#include "core/base.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct tree {
    char path[256];
};

static inline void tree_make(struct tree *t)
{
    const char *base = getenv("TMPDIR");
    char made[200];
    snprintf(made, sizeof(made), "%s/heddle-test-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(made));
    char *real = realpath(made, NULL);
    assert_non_null(real);
    snprintf(t->path, sizeof(t->path), "%s", real);
    free(real);
}

/* @return in a buffer of which there are 8, used in turn. */
static inline const char *tree_path(const struct tree *t, const char *name)
{
    static char paths[8][512];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", t->path, name);
    return path;
}

static inline void tree_folder(const struct tree *t, const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s", tree_path(t, name));
    for (char *p = path + strlen(t->path) + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
        *p = '/';
    }
    assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
}

/* Make or replace a file, with the folders it lies in. */
static inline void tree_file(const struct tree *t, const char *name, const char *text)
{
    const char *slash = strrchr(name, '/');
    if (slash != NULL) {
        char *folder = hd_strdup_n(hd_str_n(name, (size_t)(slash - name)));
        tree_folder(t, folder);
        free(folder);
    }
    FILE *f = fopen(tree_path(t, name), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static inline void tree_link(const struct tree *t, const char *name, const char *to)
{
    assert_int_equal(symlink(to, tree_path(t, name)), 0);
}

static inline int tree_remove_one(const char *path, const struct stat *st, int type,
                                  struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void tree_remove(const struct tree *t, const char *name)
{
    assert_int_equal(nftw(tree_path(t, name), tree_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static inline void tree_done(const struct tree *t)
{
    assert_int_equal(nftw(t->path, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}
