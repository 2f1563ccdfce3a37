/* test_store_crash.c - a process is killed while it works; what it had said is kept is there. */
#include "core/clock.h"
#include "core/id.h"
#include "store_rig.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 25, WINDOW = 40 };

/* What the child says, one line of it a promise that was kept. */
struct word {
    enum { RECORD, ITEM, SETTLED } kind;
    uint32_t number;
};

struct child {
    struct rig *rig;
    int fd;
    struct hd_rng rng;
    uint32_t next;
};

struct asked {
    struct child *child;
    struct word word;
};

static void say(const struct child *c, struct word word)
{
    if (write(c->fd, &word, sizeof(word)) != sizeof(word))
        _exit(3);
}

static void ask(struct child *c);

static void on_kept(void *arg, const struct hd_error *err)
{
    struct asked *a = arg;
    if (err != NULL)
        _exit(4);
    say(a->child, a->word);
    ask(a->child);
    free(a);
}

/* A record, its twin and an item together; or an item alone. */
static void ask(struct child *c)
{
    struct asked *a = hd_new(struct asked);
    char id[24];
    *a = (struct asked){c, {hd_rng_below(&c->rng, 2) == 0 ? RECORD : ITEM, c->next++}};
    snprintf(id, sizeof(id), "%u", a->word.number);
    struct hd_queue_put item = {
        .queue = HD_LIT("q"), .id = hd_str(id), .meta = HD_LIT("{}"), .body = hd_str(id)};
    if (a->word.kind == ITEM) {
        hd_queue_put_one(c->rig->store, &item, c->rig->loop, on_kept, a);
        return;
    }
    struct hd_store_tx *tx = hd_store_begin(c->rig->store);
    hd_store_put(tx, HD_RECORD_META, hd_str(id), hd_str("{}"));
    hd_queue_put(tx, &item);
    hd_store_put(tx, HD_RECORD_ALIAS, hd_str(id), hd_str("{}"));
    hd_store_commit(tx, c->rig->loop, on_kept, a);
}

static void on_item(void *arg, const struct hd_queue_item *item)
{
    struct child *c = arg;
    uint32_t number = (uint32_t)strtoul(hd_str_is(item->id, "") ? "0" : item->id.ptr, NULL, 10);
    if (hd_rng_below(&c->rng, 3) == 0)
        return; /* stays under way */
    say(c, (struct word){SETTLED, number});
    hd_queue_done(c->rig->store, item->seq);
}

static void claim(struct child *c);

static void on_claimed(void *arg, int n, int64_t next_due_unix_ms, const struct hd_error *err)
{
    if (err != NULL)
        _exit(5);
    claim(arg);
    (void)n;
    (void)next_due_unix_ms;
}

static void claim(struct child *c)
{
    hd_queue_claim(c->rig->store, hd_str("q"), 8, c->rig->loop, on_item, on_claimed, c);
}

static void live(struct rig *r, int fd, uint64_t seed, uint32_t next)
{
    struct child c = {.rig = r, .fd = fd, .next = next};
    hd_rng_init(&c.rng, seed);
    rig_open(r);
    for (int i = 0; i < WINDOW; i++)
        ask(&c);
    claim(&c);
    bool never = false;
    rig_until(r, &never);
}

/* --- the parent --- */

enum { NUMBERS = 1 << 22 };

struct known {
    uint8_t *of; /* by number: bits of 1 << kind */
    uint32_t next;
    int promises;
};

static void hear(struct known *k, const struct word *word)
{
    assert_true(word->number < NUMBERS);
    k->of[word->number] |= (uint8_t)(1 << word->kind);
    k->promises += word->kind != SETTLED;
    if (word->number >= k->next)
        k->next = word->number + WINDOW + 1;
}

static void listen_and_kill(struct known *k, pid_t pid, int fd, uint64_t after_ms)
{
    uint64_t start = hd_clock_ms();
    struct word word;
    bool killed = false;
    int heard = 0;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        poll(&p, 1, 1);
        if (!killed && heard > 0 && hd_clock_ms() - start >= after_ms) {
            assert_int_equal(kill(pid, SIGKILL), 0);
            killed = true;
        }
        if (p.revents == 0)
            continue;
        ssize_t n = read(fd, &word, sizeof(word));
        if (n == 0)
            break;
        assert_int_equal(n, sizeof(word));
        hear(k, &word);
        heard++;
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static int on_record(void *arg, struct hd_str key, struct hd_str json)
{
    uint8_t *there = arg;
    there[strtoul(key.ptr, NULL, 10)] = 1;
    (void)json;
    return 0;
}

static void check(struct rig *r, const struct known *k)
{
    uint8_t *records = hd_alloc(NUMBERS), *twins = hd_alloc(NUMBERS), *items = hd_alloc(NUMBERS);
    assert_int_equal(hd_store_check(r->path, NULL), 0);
    rig_open(r);
    assert_int_equal(hd_store_each(r->store, HD_RECORD_META, on_record, records, NULL), 0);
    assert_int_equal(hd_store_each(r->store, HD_RECORD_ALIAS, on_record, twins, NULL), 0);
    assert_int_equal(rig_depth(r, "q").running, 0);
    struct rig_items got;
    do {
        rig_claim(r, "q", RIG_ITEMS, &got);
        for (int i = 0; i < got.n; i++)
            items[strtoul(got.at[i].id, NULL, 10)] = 1;
    } while (got.n > 0);
    for (uint32_t i = 0; i < k->next; i++) {
        bool recorded = (k->of[i] & (1 << RECORD)) != 0;
        bool put = (k->of[i] & ((1 << ITEM) | (1 << RECORD))) != 0;
        bool settled = (k->of[i] & (1 << SETTLED)) != 0;
        assert_true(!recorded || records[i]);
        assert_int_equal(records[i], twins[i]); /* all or nothing, promised or not */
        assert_true(!put || items[i] || settled);
    }
    rig_close(r);
    free(records);
    free(twins);
    free(items);
}

static void what_was_promised_survives_a_kill(void **state)
{
    const char *given = getenv("HEDDLE_TEST_SEED");
    struct known k = {.of = hd_alloc(NUMBERS)};
    struct rig rig;
    struct hd_rng rng;
    hd_rng_init(&rng, given != NULL ? strtoull(given, NULL, 10) : 0);
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : hd_rng_next(&rng);
    print_message("HEDDLE_TEST_SEED=%llu\n", (unsigned long long)seed);
    hd_rng_init(&rng, seed);
    rig_init(&rig);
    for (int round = 0; round < ROUNDS; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        uint64_t child_seed = hd_rng_next(&rng);
        fflush(NULL);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(fds[0]);
            live(&rig, fds[1], child_seed, k.next);
        }
        close(fds[1]);
        listen_and_kill(&k, pid, fds[0], hd_rng_below(&rng, 120));
        close(fds[0]);
        check(&rig, &k);
    }
    assert_true(k.promises > ROUNDS);
    rig_done(&rig);
    free(k.of);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_promised_survives_a_kill)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
