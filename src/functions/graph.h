/* functions/graph.h - the files that functions are made of: what is in each (by hash), and which
 * local files it imports. Files are read once and again only when they changed. One thread at a
 * time. */
#pragma once

#include "core/map.h"
#include "functions/file.h"
#include "functions/strings.h"

enum { HD_DIGEST_BYTES = 32 };

struct hd_import_map;

/** One file, there or not. */
struct hd_graph_file {
    char *path; /* absolute, clean */
    bool exists;
    bool fresh; /* just written when it was read: the next write may leave the same time */
    struct hd_file_id id;
    uint8_t digest[HD_DIGEST_BYTES]; /* SHA-256 of the contents */
    struct hd_strings imports;       /* specifiers as written; nothing for other files */
    uint64_t checked;                /* round in which its state was looked at */
    uint64_t marked;                 /* walk that came by last */
    uint64_t used;                   /* round in which somebody needed it */
};

struct hd_graph;

/** How a function's imports are resolved. */
struct hd_resolve {
    const char *import_map; /* absolute path, or NULL */
    const char *root;       /* functions root, and ... */
    const char *dir;        /* ... function's folder: where Python looks for modules */
};

struct hd_graph *hd_graph_new(void);
void hd_graph_free(struct hd_graph *g); /* NULL is fine */
/** Begin a round: files are looked at again. */
void hd_graph_begin(struct hd_graph *g);
/** Forget files that nobody needed in this round. */
void hd_graph_prune(struct hd_graph *g);
/**
 * The state of a file now (once a round). Bigger ones than 8 MiB are told apart by size and time
 * instead of contents.
 * @return valid until it is pruned; `exists` is false where there is no readable regular file.
 */
struct hd_graph_file *hd_graph_file(struct hd_graph *g, const char *path);

/** A growing list of files, borrowed from the graph. */
struct hd_graph_files {
    struct hd_graph_file **items;
    size_t n, cap;
};
void hd_graph_files_add(struct hd_graph_files *l, struct hd_graph_file *f);
void hd_graph_files_done(struct hd_graph_files *l);

/**
 * Begin a new walk, and add what it comes by: the import map, @p entry (NULL: none), the local
 * files that it imports, and theirs. Each once; cycles are fine; at most 20000 files.
 */
void hd_graph_walk(struct hd_graph *g, struct hd_graph_files *out, const char *entry,
                   const struct hd_resolve *how);
/** Add one more file to a walk, unless it came by it already. */
void hd_graph_walk_add(struct hd_graph *g, struct hd_graph_files *out, const char *path);
/** @return how often a file's contents were read; for tests. */
uint64_t hd_graph_reads(const struct hd_graph *g);

HD_AUTO(hd_graph)
