/* store/store.h - what a node keeps: records, and durable queues (store/queue.h), in one database
 * behind one thread.
 *
 * Records are small JSON texts under (kind, key). A node reads all of a kind at start and keeps
 * them in memory; from then on it only writes. Writes are grouped: whoever asks within the same few
 * milliseconds shares one sync of the disk. This header is the seam: SQLite is behind it today. */
#pragma once

#include "core/log.h"
#include "core/loop.h"

struct hd_store;

/** What a record is; each kind is a table. Names are in the database: append only. */
enum hd_record {
    HD_RECORD_META,          /* node id, account, keys we made */
    HD_RECORD_FUNCTION,      /* "account/region/name": $LATEST and what hangs on the function */
    HD_RECORD_VERSION,       /* "account/region/name/7" */
    HD_RECORD_ALIAS,         /* "account/region/name/prod" */
    HD_RECORD_POLICY,        /* "account/region/name[:qualifier]" */
    HD_RECORD_EVENT_CONFIG,  /* same */
    HD_RECORD_FUNCTION_URL,  /* same */
    HD_RECORD_PROVISIONED,   /* same */
    HD_RECORD_LAYER,         /* "account/region/name": its next number and policy revisions */
    HD_RECORD_LAYER_VERSION, /* "account/region/name/3" */
    HD_RECORD_EVENT_SOURCE,  /* "uuid" */
    HD_RECORD_CODE_SIGNING,  /* "arn" */
    HD_RECORD_INSTANCE,      /* "id": what a dead node may have left, as its backend wrote it */
    HD_RECORD_SCHEDULE,      /* "name": when it last ran */
    HD_RECORD_COUNT
};

struct hd_store_options {
    const char *path;       /* the database file; made if it is not there, its folder is */
    const char *boot_id;    /* of this process: work claimed by another boot is free again */
    struct hd_log *log;     /* borrowed; may be NULL */
    uint32_t group_us;      /* longest wait for company before a commit; 0: 1000 */
    uint32_t max_pending;   /* writes that may wait for the disk; more are HD_EBUSY; 0: 100000 */
    int64_t (*clock)(void); /* milliseconds since 1970, any thread; NULL: the wall clock. For
                             * simulations */
};

/**
 * Open, bring the schema up to date, and start the thread. Blocks; before the loops run.
 * @return 0 and *out; HD_EBUSY: another process holds it; HD_EINVAL: not a database of ours,
 * damaged, or of a newer heddle (the message says what to do); HD_EDENIED; HD_EIO (disk full, ...).
 */
int hd_store_open(struct hd_store **out, const struct hd_store_options *opt, struct hd_error *err);
/** Finish what was asked for, then close; @p done on @p loop. */
void hd_store_close(struct hd_store *s, struct hd_loop *loop, void (*done)(void *arg), void *arg);
/** After close is done, or if no loop ever ran: then it finishes what was asked for. NULL is fine.
 */
void hd_store_free(struct hd_store *s);

/**
 * Read all records of a kind, in the order of their keys. Blocks; before the loops run.
 * @param each  @p key and @p json are borrowed until return; not 0 ends it with that.
 */
int hd_store_each(struct hd_store *s, enum hd_record kind,
                  int (*each)(void *arg, struct hd_str key, struct hd_str json), void *arg,
                  struct hd_error *err);

/** Look for damage everywhere in a database that nobody has to have open. Blocks, maybe for long.
 *  @return 0, or HD_EINVAL with what was found; or as hd_store_open(). */
int hd_store_check(const char *path, struct hd_error *err);

/** Copy a database as it is now, also while a node works with it. Blocks. @param to  a new file.
 *  @return as hd_store_check(). */
int hd_store_copy(const char *path, const char *to, struct hd_error *err);

/* --- writing: any thread; never blocks --- */

struct hd_store_tx;

/** Begin a transaction: what is put into it becomes true together, or not at all. */
struct hd_store_tx *hd_store_begin(struct hd_store *s);
/** All copied. */
void hd_store_put(struct hd_store_tx *tx, enum hd_record kind, struct hd_str key,
                  struct hd_str json);
void hd_store_delete(struct hd_store_tx *tx, enum hd_record kind, struct hd_str key);
/** Delete every record of the kind whose key begins with @p prefix. */
void hd_store_delete_under(struct hd_store_tx *tx, enum hd_record kind, struct hd_str prefix);
/**
 * Hand it over; in the order of the calls. @p done on @p loop, exactly once, never from inside:
 * NULL: it is on the disk; else nothing of it is. @p done may be NULL.
 */
void hd_store_commit(struct hd_store_tx *tx, struct hd_loop *loop,
                     void (*done)(void *arg, const struct hd_error *err), void *arg);
/** Throw it away instead. NULL is fine. */
void hd_store_rollback(struct hd_store_tx *tx);

struct hd_store_stats {
    uint64_t commits, writes, failures; /* a commit holds many writes */
    uint64_t syncs;                     /* how often the disk was told to keep it */
    uint64_t pending;                   /* asked for and not on the disk yet */
    uint64_t last_commit_us;            /* how long it took */
    uint64_t bytes;                     /* of the database file */
};
/** Any thread. */
void hd_store_stats(struct hd_store *s, struct hd_store_stats *out);
