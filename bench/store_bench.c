/* store_bench.c - durable queue items a second: put, claimed and done, with many puts under way.
 *
 *   store_bench FILE ITEMS BYTES PUTS_UNDER_WAY
 *
 * Prints one line of JSON. One loop puts, another one claims and settles; the store's thread is the
 * third. */
#include "core/clock.h"
#include "core/id.h"
#include "core/loop.h"
#include "store/queue.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CLAIM = 256 };

struct put {
    struct bench *bench;
    uint64_t since_us;
};

struct bench {
    struct hd_store *store;
    struct hd_loop *putter, *taker;
    struct hd_str body;
    uint32_t items, asked, kept, taken, delivered;
    uint32_t *waits_us;
    bool claiming;
    struct put *puts;
};

static void put(struct put *p);

static void on_kept(void *arg, const struct hd_error *err)
{
    struct put *p = arg;
    struct bench *b = p->bench;
    if (err != NULL) {
        fprintf(stderr, "put: %s\n", err->msg);
        exit(1);
    }
    b->waits_us[b->kept++] = (uint32_t)(hd_clock_us() - p->since_us);
    put(p);
}

static void put(struct put *p)
{
    struct bench *b = p->bench;
    if (b->asked == b->items)
        return;
    char id[HD_UUID_CHARS + 1];
    snprintf(id, sizeof(id), "%036" PRIu32, b->asked++);
    struct hd_queue_put item = {.queue = HD_LIT("bench"),
                                .id = hd_str_n(id, HD_UUID_CHARS),
                                .meta = HD_LIT("{\"qualifier\":\"$LATEST\"}"),
                                .body = b->body};
    p->since_us = hd_clock_us();
    hd_queue_put_one(b->store, &item, b->putter, on_kept, p);
}

static void claim(struct bench *b);

static void on_item(void *arg, const struct hd_queue_item *item)
{
    struct bench *b = arg;
    b->delivered++;
    hd_queue_done(b->store, item->seq);
}

static void on_claimed(void *arg, int n, int64_t next_due_unix_ms, const struct hd_error *err)
{
    struct bench *b = arg;
    b->claiming = false;
    if (err != NULL) {
        fprintf(stderr, "claim: %s\n", err->msg);
        exit(1);
    }
    if (b->delivered == b->items) {
        hd_loop_stop(b->taker);
        hd_loop_stop(b->putter);
    } else if (n > 0) {
        claim(b);
    }
    (void)next_due_unix_ms;
}

static void claim(struct bench *b)
{
    if (b->claiming)
        return;
    b->claiming = true;
    hd_queue_claim(b->store, hd_str("bench"), CLAIM, b->taker, on_item, on_claimed, b);
}

static void on_something(void *arg)
{
    claim(arg);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: store_bench FILE ITEMS BYTES PUTS_UNDER_WAY\n");
        return 64;
    }
    struct bench b = {.items = (uint32_t)strtoul(argv[2], NULL, 10)};
    size_t bytes = strtoul(argv[3], NULL, 10), window = strtoul(argv[4], NULL, 10);
    struct hd_store_options opt = {.path = argv[1], .boot_id = "bench"};
    struct hd_error err;
    struct hd_store_stats before, after;
    if (hd_store_open(&b.store, &opt, &err) != 0 || hd_loop_new(&b.putter, 0, &err) != 0 ||
        hd_loop_new(&b.taker, 1, &err) != 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    char *body = hd_alloc(bytes + 1);
    memset(body, 'x', bytes);
    b.body = hd_str_n(body, bytes);
    b.waits_us = hd_new_array(uint32_t, b.items);
    b.puts = hd_new_array(struct put, window);
    hd_store_stats(b.store, &before);
    hd_queue_listen(b.store, hd_str("bench"), b.taker, on_something, &b);
    uint64_t start = hd_clock_us();
    for (size_t i = 0; i < window; i++) {
        b.puts[i].bench = &b;
        put(&b.puts[i]);
    }
    hd_loop_start(b.taker, NULL);
    hd_loop_run(b.putter);
    uint64_t us = hd_clock_us() - start;
    hd_loop_join(b.taker);
    hd_store_stats(b.store, &after);
    qsort(b.waits_us, b.items, sizeof(*b.waits_us), by_size);
    printf("{\"items_per_s\": %.0f, \"put_p50_us\": %u, \"put_p99_us\": %u, \"commits\": %" PRIu64
           ", \"syncs\": %" PRIu64 "}\n",
           b.items * 1e6 / (double)us, b.waits_us[b.items / 2], b.waits_us[b.items * 99 / 100],
           after.commits - before.commits, after.syncs - before.syncs);
    hd_queue_unlisten(b.store, hd_str("bench"));
    hd_store_free(b.store);
    hd_loop_free(b.putter);
    hd_loop_free(b.taker);
    free(b.waits_us);
    free(b.puts);
    free(body);
    return 0;
}
