#include "store_rig.h"

#include "core/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DEADLINE_MS = 60000 };

void rig_init(struct rig *r)
{
    *r = (struct rig){.dir = "/tmp/heddle-store-XXXXXX"};
    assert_non_null(mkdtemp(r->dir));
    snprintf(r->path, sizeof(r->path), "%s/heddle.db", r->dir);
    assert_int_equal(hd_loop_new(&r->loop, 0, NULL), 0);
    hd_loop_set_virtual(r->loop, 1);
}

void rig_open(struct rig *r)
{
    struct hd_store_options opt = {.path = r->path, .boot_id = "boot", .clock = r->clock};
    struct hd_error err = {0};
    if (hd_store_open(&r->store, &opt, &err) != 0)
        fail_msg("%s", err.msg);
}

static void on_flag(void *arg)
{
    *(bool *)arg = true;
}

void rig_close(struct rig *r)
{
    bool closed = false;
    if (r->store == NULL)
        return;
    hd_store_close(r->store, r->loop, on_flag, &closed);
    rig_until(r, &closed);
    hd_store_free(r->store);
    r->store = NULL;
}

void rig_done(struct rig *r)
{
    rig_close(r);
    hd_loop_free(r->loop);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", r->dir);
    assert_int_equal(system(command), 0);
}

static void turn(struct rig *r, uint64_t start)
{
    if (!hd_loop_advance(r->loop, hd_loop_now_ms(r->loop)))
        usleep(100);
    if (hd_clock_ms() - start > DEADLINE_MS)
        fail_msg("waited too long");
}

void rig_until(struct rig *r, const bool *flag)
{
    uint64_t start = hd_clock_ms();
    while (!*flag)
        turn(r, start);
}

void rig_until_count(struct rig *r, const int *count, int wanted)
{
    uint64_t start = hd_clock_ms();
    while (*count < wanted)
        turn(r, start);
}

/* --- records --- */

struct outcome {
    bool done;
    struct hd_error err;
};

static void on_outcome(void *arg, const struct hd_error *err)
{
    struct outcome *o = arg;
    assert_false(o->done); /* once */
    o->done = true;
    if (err != NULL)
        o->err = *err;
}

int rig_commit(struct rig *r, struct hd_store_tx *tx, struct hd_error *err)
{
    struct outcome o = {0};
    hd_store_commit(tx, r->loop, on_outcome, &o);
    assert_false(o.done); /* never from inside */
    rig_until(r, &o.done);
    if (err != NULL)
        *err = o.err;
    return o.err.code;
}

int rig_put(struct rig *r, enum hd_record kind, const char *key, const char *json)
{
    struct hd_store_tx *tx = hd_store_begin(r->store);
    hd_store_put(tx, kind, hd_str(key), hd_str(json));
    return rig_commit(r, tx, NULL);
}

static int on_record(void *arg, struct hd_str key, struct hd_str json)
{
    hd_buf_fmt(arg, "%.*s=%.*s ", HD_FMT(key), HD_FMT(json));
    return 0;
}

char *rig_all(struct rig *r, enum hd_record kind)
{
    struct hd_buf b;
    struct hd_error err;
    hd_buf_init(&b, 1 << 20);
    if (hd_store_each(r->store, kind, on_record, &b, &err) != 0)
        fail_msg("%s", err.msg);
    if (b.len > 0)
        b.len--;
    return b.len > 0 ? hd_buf_take(&b) : hd_strdup("");
}

/* --- queues --- */

int rig_item(struct rig *r, const char *queue, const char *id, int64_t due_unix_ms)
{
    struct outcome o = {0};
    struct hd_queue_put item = {.queue = hd_str(queue),
                                .id = hd_str(id),
                                .meta = HD_LIT("{}"),
                                .body = hd_str(id),
                                .due_unix_ms = due_unix_ms};
    hd_queue_put_one(r->store, &item, r->loop, on_outcome, &o);
    assert_false(o.done);
    rig_until(r, &o.done);
    return o.err.code;
}

static void keep(char *out, size_t room, struct hd_str s)
{
    snprintf(out, room, "%.*s", HD_FMT(s));
}

static void on_item(void *arg, const struct hd_queue_item *item)
{
    struct rig_items *items = arg;
    assert_false(items->done);
    assert_true(items->n < RIG_ITEMS);
    int i = items->n++;
    items->at[i].seq = item->seq;
    items->at[i].attempts = item->attempts;
    items->at[i].lost = item->lost;
    items->at[i].first_unix_ms = item->first_unix_ms;
    items->at[i].due_unix_ms = item->due_unix_ms;
    keep(items->at[i].id, sizeof(items->at[i].id), item->id);
    keep(items->at[i].meta, sizeof(items->at[i].meta), item->meta);
    keep(items->at[i].body, sizeof(items->at[i].body), item->body);
    keep(items->at[i].reason, sizeof(items->at[i].reason), item->reason);
}

static void on_listed(void *arg, int n, const struct hd_error *err)
{
    struct rig_items *items = arg;
    assert_false(items->done);
    assert_int_equal(n, items->n);
    items->done = true;
    items->rc = err != NULL ? err->code : 0;
}

static void on_claimed(void *arg, int n, int64_t next_due_unix_ms, const struct hd_error *err)
{
    struct rig_items *items = arg;
    items->next_due_unix_ms = next_due_unix_ms;
    on_listed(arg, n, err);
}

void rig_claim(struct rig *r, const char *queue, uint32_t max, struct rig_items *out)
{
    *out = (struct rig_items){0};
    hd_queue_claim(r->store, hd_str(queue), max, r->loop, on_item, on_claimed, out);
    rig_until(r, &out->done);
    assert_int_equal(out->rc, 0);
}

void rig_dead(struct rig *r, const char *queue, uint64_t after, uint32_t max, struct rig_items *out)
{
    *out = (struct rig_items){0};
    hd_queue_dead_list(r->store, hd_str(queue), after, max, r->loop, on_item, on_listed, out);
    rig_until(r, &out->done);
    assert_int_equal(out->rc, 0);
}

const char *rig_ids(const struct rig_items *items)
{
    static char text[RIG_ITEMS * 66];
    int len = 0;
    text[0] = '\0';
    for (int i = 0; i < items->n; i++)
        len += snprintf(text + len, sizeof(text) - (size_t)len, "%s%s", i > 0 ? " " : "",
                        items->at[i].id);
    return text;
}

struct hd_queue_depth rig_depth(struct rig *r, const char *queue)
{
    struct hd_queue_depth d;
    hd_queue_depth(r->store, hd_str(queue), &d);
    return d;
}

void rig_settled(struct rig *r)
{
    assert_int_equal(rig_commit(r, hd_store_begin(r->store), NULL), 0);
}

void rig_crash(struct rig *r)
{
    char command[256];
    rig_settled(r);
    snprintf(command, sizeof(command), "mkdir '%s/copy' && cp '%s' '%s-wal' '%s-claims' '%s/copy'",
             r->dir, r->path, r->path, r->path, r->dir);
    assert_int_equal(system(command), 0);
    rig_close(r);
    snprintf(command, sizeof(command), "rm '%s'* && mv '%s/copy/'* '%s' && rmdir '%s/copy'",
             r->path, r->dir, r->dir, r->dir);
    assert_int_equal(system(command), 0);
    rig_open(r);
}
