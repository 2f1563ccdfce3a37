/* functions/registry.h - all functions below a root, kept up to date: each scan gives an immutable
 * snapshot and says what is new in it. It reads the disk: call it on work threads. */
#pragma once

#include "functions/effective.h"
#include "functions/snapshot.h"

struct hd_registry;

/** Everything is borrowed until hd_registry_free(), but for `root` and the paths. */
struct hd_registry_options {
    const char *root;                   /* the functions folder; links are resolved */
    const char *project_dir;            /* its .env files are for all functions; NULL: none */
    const char *const *env_files;       /* instead of project_dir's; NULL or empty: none */
    const char *const *process_env;     /* the node's environment; NULL: nothing of it */
    const char *const *built_in_env;    /* "KEY=value" made by the node, or NULL */
    const struct hd_defaults *defaults; /* must not change while a scan runs */
    /** A manifest that is wrong, and was written less long ago, says nothing yet: saving it may
     * have begun by making it empty. The function stays as it was; see hd_scan.again. 0: it counts.
     */
    uint32_t quiet_ms;
};

/** What a scan found. */
struct hd_scan {
    struct hd_snapshot *snapshot; /* the caller's reference */
    struct hd_strings added, removed;
    struct hd_strings changed; /* another version: needs new instances (or has a new problem) */
    struct hd_strings settled; /* same version, other settings */
    struct hd_strings again;   /* paths to look at again soon; see quiet_ms */
    struct hd_strings notes;   /* warnings that belong to no function, with file and line */
    struct hd_strings env_added, env_changed, env_removed; /* names in the shared env files */
};
void hd_scan_done(struct hd_scan *s);

/**
 * Make a registry that knows nothing yet.
 * @return 0 and *out, the caller's to free; HD_ENOTFOUND, HD_EDENIED or HD_EINVAL: root is no
 *         folder that can be read.
 */
int hd_registry_new(struct hd_registry **out, const struct hd_registry_options *opt,
                    struct hd_error *err);
void hd_registry_free(struct hd_registry *r); /* NULL is fine; no scan runs */
/** @return the root with links resolved; as long as the registry is. Any thread. */
const char *hd_registry_root(const struct hd_registry *r);
/**
 * Look at everything. What did not change is carried over: the same hd_function in the new
 * snapshot. One scan runs at a time; another one waits for it. Any work thread.
 * @return 0 and *out, to be freed with hd_scan_done(); or the root cannot be read, and what was
 *         known stays.
 */
int hd_registry_scan(struct hd_registry *r, struct hd_scan *out, struct hd_error *err);
/**
 * Look at what @p paths (absolute; changed, made or removed files and folders) can have to do with.
 * A path that all functions depend on makes it a full scan.
 */
int hd_registry_rescan(struct hd_registry *r, const char *const *paths, size_t n,
                       struct hd_scan *out, struct hd_error *err);
/** What a function's code is right now, told by the files' states. */
struct hd_code_state {
    uint64_t stamp; /* another one when a file changed, came or went; 0: no such function */
    int64_t changed_unix_ms; /* when the last of them changed; 0: there is none */
};
/** Look at the files that a function's code consists of: the entry and what it imports, and the
 *  import map. Any work thread. */
void hd_registry_look(struct hd_registry *r, struct hd_str name, struct hd_code_state *out);
/**
 * List what to watch: the root first, then linked function folders at their real place, imported
 * files outside of these, and config and env files that are or could be.
 * @param out  gets absolute paths; files may be missing.
 */
void hd_registry_watch_list(struct hd_registry *r, struct hd_strings *out);

HD_AUTO(hd_registry)
