/* test_store_disk.c - bad disks: full ones, such that cannot sync, and power cuts. */
#include "core/id.h"
#include "power_vfs.h"
#include "store_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int setup(void **state)
{
    static struct rig rig;
    rig_init(&rig);
    rig_open(&rig);
    *state = &rig;
    return 0;
}

static int teardown(void **state)
{
    rig_done(*state);
    power_reset();
    return 0;
}

static void set_room(int64_t bytes)
{
    power_lock()->room_bytes = bytes;
    power_unlock();
}

static uint64_t syncs(void)
{
    uint64_t n = power_lock()->syncs;
    power_unlock();
    return n;
}

static void a_promise_is_synced_and_the_syncs_are_counted(void **state)
{
    struct rig *r = *state;
    struct hd_store_stats before, after;
    struct rig_items got;
    hd_store_stats(r->store, &before);
    uint64_t start = syncs();
    for (int i = 0; i < 5; i++) {
        uint64_t was = syncs();
        assert_int_equal(rig_put(r, HD_RECORD_META, "k", i % 2 == 0 ? "1" : "2"), 0);
        assert_true(syncs() > was);
    }
    hd_store_stats(r->store, &after);
    assert_int_equal(after.commits - before.commits, 5);
    assert_int_equal(after.writes - before.writes, 5);
    assert_int_equal(after.syncs - before.syncs, 5);
    assert_int_equal(syncs() - start, 5);
    /* Nobody waits for how a delivery ended. */
    assert_int_equal(rig_item(r, "q", "a", 1), 0);
    rig_claim(r, "q", 1, &got);
    start = syncs();
    hd_queue_done(r->store, got.at[0].seq);
    while (rig_depth(r, "q").running != 0)
        usleep(100);
    assert_int_equal(syncs(), start);
}

static void a_full_disk_fails_the_commit_and_later_ones_work(void **state)
{
    struct rig *r = *state;
    struct hd_error err;
    struct rig_items got;
    assert_int_equal(rig_put(r, HD_RECORD_META, "before", "1"), 0);
    assert_int_equal(rig_item(r, "q", "a", 1), 0);
    rig_claim(r, "q", 1, &got);
    set_room(0);
    for (int i = 0; i < 3; i++) {
        struct hd_store_tx *tx = hd_store_begin(r->store);
        hd_store_put(tx, HD_RECORD_META, hd_str("during"), hd_str("1"));
        assert_int_equal(rig_commit(r, tx, &err), HD_EIO);
        assert_non_null(strstr(err.msg, "full"));
        assert_non_null(strstr(err.msg, "free some space"));
        assert_int_equal(rig_item(r, "q", "refused", 1), HD_EIO);
    }
    hd_queue_done(r->store, got.at[0].seq); /* written when there is room again */
    assert_int_equal(rig_put(r, HD_RECORD_META, "during", "2"), HD_EIO);
    assert_int_equal(rig_depth(r, "q").queued, 0);
    assert_int_equal(rig_depth(r, "q").running, 1);
    struct hd_store_stats stats;
    hd_store_stats(r->store, &stats);
    assert_true(stats.failures >= 6);
    assert_int_equal(stats.pending, 0);
    set_room(-1);
    assert_int_equal(rig_put(r, HD_RECORD_META, "after", "1"), 0);
    while (rig_depth(r, "q").running != 0)
        usleep(100);
    assert_int_equal(rig_item(r, "q", "b", 1), 0);
    hd_auto_free char *all = rig_all(r, HD_RECORD_META);
    assert_string_equal(all, "after=1 before=1");
    rig_close(r);
    rig_open(r);
    rig_claim(r, "q", 9, &got);
    assert_string_equal(rig_ids(&got), "b");
}

struct put {
    int code;
    int *n;
};

static void on_put(void *arg, const struct hd_error *err)
{
    struct put *p = arg;
    p->code = err != NULL ? err->code : 0;
    ++*p->n;
}

static void what_is_too_large_for_the_disk_does_not_hurt_others(void **state)
{
    struct rig *r = *state;
    enum { PUTS = 30 };
    struct put puts[PUTS];
    int n = 0;
    struct hd_buf large;
    hd_buf_init(&large, 8 << 20);
    memset(hd_buf_reserve(&large, 4 << 20), 'x', 4 << 20);
    hd_buf_commit(&large, 4 << 20);
    set_room(2 << 20);
    for (int i = 0; i < PUTS; i++) {
        struct hd_queue_put item = {.queue = HD_LIT("q"), .id = HD_LIT("a"), .meta = HD_LIT("{}")};
        if (i == 7)
            item.body = hd_buf_view(&large);
        puts[i] = (struct put){.code = 1, .n = &n};
        hd_queue_put_one(r->store, &item, r->loop, on_put, &puts[i]);
    }
    rig_until_count(r, &n, PUTS);
    for (int i = 0; i < PUTS; i++)
        assert_int_equal(puts[i].code, i == 7 ? HD_EIO : 0);
    assert_int_equal(rig_depth(r, "q").queued, PUTS - 1);
    set_room(-1);
    hd_buf_done(&large);
}

static void a_failed_sync_ends_all_promises(void **state)
{
    struct rig *r = *state;
    struct hd_error err;
    assert_int_equal(rig_put(r, HD_RECORD_META, "a", "1"), 0);
    power_lock()->fail_syncs = true;
    power_unlock();
    assert_int_equal(rig_put(r, HD_RECORD_META, "b", "1"), HD_EIO);
    power_lock()->fail_syncs = false;
    power_unlock();
    struct hd_store_tx *tx = hd_store_begin(r->store);
    hd_store_put(tx, HD_RECORD_META, hd_str("c"), hd_str("1"));
    assert_int_equal(rig_commit(r, tx, &err), HD_EIO);
    assert_non_null(strstr(err.msg, "start again"));
    rig_close(r);
    rig_open(r);
    assert_int_equal(rig_put(r, HD_RECORD_META, "d", "1"), 0);
    hd_auto_free char *all = rig_all(r, HD_RECORD_META);
    assert_string_equal(all, "a=1 d=1");
}

/* --- power cuts --- */

enum { ROUNDS = 40, STEPS = 30 };

struct history {
    struct rig *rig;
    struct hd_rng rng;
    int records; /* "r0" to "r<n-1>" were promised, each with its twin */
    int items;   /* "i0" to "i<n-1>" were promised */
    bool settled[ROUNDS * STEPS];
};

static void promise_record(struct history *h)
{
    char key[2][24];
    struct hd_store_tx *tx = hd_store_begin(h->rig->store);
    for (int i = 0; i < 2; i++) {
        snprintf(key[i], sizeof(key[i]), "%s%d", i == 0 ? "r" : "twin", h->records);
        hd_store_put(tx, i == 0 ? HD_RECORD_META : HD_RECORD_ALIAS, hd_str(key[i]), hd_str("{}"));
    }
    assert_int_equal(rig_commit(h->rig, tx, NULL), 0);
    h->records++;
}

static void promise_item(struct history *h)
{
    char id[24];
    snprintf(id, sizeof(id), "i%d", h->items);
    assert_int_equal(rig_item(h->rig, "q", id, 1), 0);
    h->items++;
}

static void settle_some(struct history *h)
{
    struct rig_items got;
    rig_claim(h->rig, "q", 1 + (uint32_t)hd_rng_below(&h->rng, 8), &got);
    for (int i = 0; i < got.n; i++) {
        if (hd_rng_below(&h->rng, 2) == 0)
            continue;
        h->settled[strtoul(got.at[i].id + 1, NULL, 10)] = true;
        hd_queue_done(h->rig->store, got.at[i].seq);
    }
}

static void step(struct history *h)
{
    switch (hd_rng_below(&h->rng, 3)) {
    case 0:
        promise_record(h);
        break;
    case 1:
        promise_item(h);
        break;
    default:
        settle_some(h);
    }
}

static int count_records(void *arg, struct hd_str key, struct hd_str json)
{
    ++*(int *)arg;
    (void)key;
    (void)json;
    return 0;
}

/* What was promised is there, whole; what was settled may be there once more. */
static void check(struct history *h)
{
    struct rig *r = h->rig;
    int n = 0, twins = 0;
    assert_int_equal(hd_store_check(r->path, NULL), 0);
    assert_int_equal(hd_store_each(r->store, HD_RECORD_META, count_records, &n, NULL), 0);
    assert_int_equal(hd_store_each(r->store, HD_RECORD_ALIAS, count_records, &twins, NULL), 0);
    assert_int_equal(n, h->records);
    assert_int_equal(twins, h->records);
    bool seen[ROUNDS * STEPS] = {false};
    struct rig_items got;
    do {
        rig_claim(r, "q", RIG_ITEMS, &got);
        for (int i = 0; i < got.n; i++)
            seen[strtoul(got.at[i].id + 1, NULL, 10)] = true;
        for (int i = 0; i < got.n; i++)
            hd_queue_retry(r->store, got.at[i].seq, 0, 2);
    } while (got.n > 0 && !(got.n < RIG_ITEMS));
    for (int i = 0; i < h->items; i++)
        assert_true(seen[i] || h->settled[i]);
}

static void cut(struct history *h, uint64_t seed)
{
    struct rig *r = h->rig;
    char command[300], folder[96];
    snprintf(folder, sizeof(folder), "%s/after", r->dir);
    assert_int_equal(mkdir(folder, 0700), 0);
    power_cut(r->path, folder, seed);
    rig_close(r);
    power_reset();
    snprintf(command, sizeof(command), "rm '%s'* && mv '%s/'* '%s' && rmdir '%s'", r->path, folder,
             r->dir, folder);
    assert_int_equal(system(command), 0);
    rig_open(r);
}

static void a_power_cut_takes_no_promise(void **state)
{
    const char *given = getenv("HEDDLE_TEST_SEED");
    struct history *h = hd_new(struct history);
    h->rig = *state;
    hd_rng_init(&h->rng, 0);
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : hd_rng_next(&h->rng);
    print_message("HEDDLE_TEST_SEED=%llu\n", (unsigned long long)seed);
    hd_rng_init(&h->rng, seed);
    for (int round = 0; round < ROUNDS; round++) {
        for (uint64_t n = hd_rng_below(&h->rng, STEPS); n > 0; n--)
            step(h);
        cut(h, hd_rng_next(&h->rng));
        check(h);
    }
    free(h);
}

/* --- real limits, in a child --- */

/* @return the child's word: 0: fine; 77: not possible here. */
static int in_child(int (*body)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(body());
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Fill a database up, make room, go on. @p make_room is what ends the shortage. */
static int fill(struct rig *r, int (*make_room)(struct rig *r), struct hd_error *err)
{
    char *large = hd_alloc(64 << 10);
    memset(large, 'x', (64 << 10) - 1);
    int rc = 0, kept = 0;
    for (; rc == 0 && kept < 1000; kept++) {
        char key[16];
        snprintf(key, sizeof(key), "k%04d", kept);
        struct hd_store_tx *tx = hd_store_begin(r->store);
        hd_store_put(tx, HD_RECORD_META, hd_str(key), hd_str(large));
        rc = rig_commit(r, tx, err);
    }
    free(large);
    kept--;
    if (rc != HD_EIO || kept == 0)
        return 1;
    if (make_room(r) != 0)
        return 2;
    if (rig_put(r, HD_RECORD_ALIAS, "after", "1") != 0)
        return 3;
    rig_close(r);
    rig_open(r);
    int n = 0;
    hd_store_each(r->store, HD_RECORD_META, count_records, &n, NULL);
    if (n != kept)
        return 4;
    rig_close(r);
    return 0;
}

static int remove_filler(struct rig *r)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/filler", r->dir);
    return unlink(path);
}

static int fill_tmpfs(void)
{
    struct rig r;
    struct hd_error err = {0};
    rig_init(&r);
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return 77;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", r.dir, "tmpfs", 0, "size=4m") != 0)
        return 77;
    char path[128];
    snprintf(path, sizeof(path), "%s/filler", r.dir);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || posix_fallocate(fd, 0, 2 << 20) != 0)
        return 5;
    close(fd);
    rig_open(&r);
    int rc = fill(&r, remove_filler, &err);
    if (rc != 0 || strstr(err.msg, "full") == NULL) {
        print_message("%d: %s\n", rc, err.msg);
        return rc != 0 ? rc : 6;
    }
    umount(r.dir);
    rmdir(r.dir);
    return 0;
}

static void a_file_system_without_space_is_survived(void **state)
{
    int rc = in_child(fill_tmpfs);
    if (rc == 77) {
        print_message("no mount namespace to be had here\n");
        skip();
    }
    assert_int_equal(rc, 0);
    (void)state;
}

static int lift_limit(struct rig *r)
{
    struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    (void)r;
    return setrlimit(RLIMIT_FSIZE, &none);
}

static int fill_to_limit(void)
{
    struct rig r;
    struct hd_error err = {0};
    struct rlimit some = {2 << 20, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    rig_init(&r);
    rig_open(&r);
    if (setrlimit(RLIMIT_FSIZE, &some) != 0)
        return 77;
    int rc = fill(&r, lift_limit, &err);
    if (rc != 0)
        print_message("%d: %s\n", rc, err.msg);
    rig_done(&r);
    return rc;
}

static void a_limit_of_file_sizes_is_survived(void **state)
{
    int rc = in_child(fill_to_limit);
    if (rc == 77)
        skip();
    assert_int_equal(rc, 0);
    (void)state;
}

int main(void)
{
    power_install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_system_without_space_is_survived),
        cmocka_unit_test(a_limit_of_file_sizes_is_survived),
        cmocka_unit_test_setup_teardown(a_promise_is_synced_and_the_syncs_are_counted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_fails_the_commit_and_later_ones_work, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_too_large_for_the_disk_does_not_hurt_others, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_failed_sync_ends_all_promises, setup, teardown),
        cmocka_unit_test_setup_teardown(a_power_cut_takes_no_promise, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
