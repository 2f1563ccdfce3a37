/* store_rig.h - a store in a folder of its own, and waiting for what it answers. */
#pragma once

#include "core/buf.h"
#include "store/queue.h"
#include "store/store.h"
#include "test.h"

struct rig {
    char dir[64];
    char path[96];
    struct hd_store *store;
    int64_t (*clock)(void); /* for the store; NULL: the wall clock */
    struct hd_loop *loop;   /* moved on by the waits; nobody runs it */
};

/** Make the folder and the loop. */
void rig_init(struct rig *r);
void rig_open(struct rig *r);
/** Close in an orderly way. */
void rig_close(struct rig *r);
/** Close, and remove the folder. */
void rig_done(struct rig *r);
/** Move the loop on until *@p flag; fails the test after a long time. */
void rig_until(struct rig *r, const bool *flag);
void rig_until_count(struct rig *r, const int *count, int wanted);

/** Commit and wait. @return the error's code, or 0; the message is in *err if it is not NULL. */
int rig_commit(struct rig *r, struct hd_store_tx *tx, struct hd_error *err);
int rig_put(struct rig *r, enum hd_record kind, const char *key, const char *json);
/** @return all of a kind, "key=json key=json", for the caller to free. */
char *rig_all(struct rig *r, enum hd_record kind);

/** Put an item and wait. @return the error's code, or 0. */
int rig_item(struct rig *r, const char *queue, const char *id, int64_t due_unix_ms);

enum { RIG_ITEMS = 64 };
/** What was claimed or listed. */
struct rig_items {
    int n;
    int64_t next_due_unix_ms;
    struct {
        uint64_t seq;
        uint32_t attempts, lost;
        int64_t first_unix_ms, due_unix_ms;
        char id[65], meta[64], body[64], reason[64];
    } at[RIG_ITEMS];
    bool done;
    int rc;
};
void rig_claim(struct rig *r, const char *queue, uint32_t max, struct rig_items *out);
void rig_dead(struct rig *r, const char *queue, uint64_t after, uint32_t max,
              struct rig_items *out);
/** @return the ids, "a b c", in memory that the next call uses. */
const char *rig_ids(const struct rig_items *items);
struct hd_queue_depth rig_depth(struct rig *r, const char *queue);
/** Wait until what was settled so far is written. */
void rig_settled(struct rig *r);
/** Copy the database as a dead process would leave it, and open the copy instead. */
void rig_crash(struct rig *r);
