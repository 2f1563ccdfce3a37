/* test_watch.c - a change on the disk arrives on the loop, once. */
#include "functions/watch.h"
#include "tree.h"

struct world {
    struct tree tree;
    struct hd_loop *loop;
    struct hd_watch *w;
    struct hd_timer deadline;
    int flushes, closed;
    bool saw_everything, late;
    struct hd_strings seen;
};

static void on_closed(void *arg)
{
    struct world *x = arg;
    x->closed++;
    hd_loop_stop(x->loop);
}

static void end(struct world *x)
{
    hd_timer_stop(x->loop, &x->deadline);
    hd_watch_close(x->w, on_closed, x);
}

static void on_deadline(struct hd_timer *t)
{
    struct world *x = hd_container_of(t, struct world, deadline);
    x->late = true;
    end(x);
}

/* First flush: what was set. Then change something; the second flush must tell. */
static void on_change(void *arg, const struct hd_strings *paths, bool everything)
{
    struct world *x = arg;
    x->saw_everything = x->saw_everything || everything;
    for (size_t i = 0; i < paths->n; i++)
        hd_strings_add(&x->seen, hd_str(paths->items[i]));
    hd_watch_flushed(x->w);
    if (++x->flushes == 1)
        tree_file(&x->tree, "root/hello/index.ts", "2");
    else
        end(x);
}

static void a_change_arrives_after_what_was_set(void **state)
{
    struct world x = {0};
    tree_make(&x.tree);
    tree_file(&x.tree, "root/hello/index.ts", "1");
    assert_int_equal(hd_loop_new(&x.loop, 0, NULL), 0);
    const struct hd_watch_options opt = {.loop = x.loop, .on_change = on_change, .arg = &x};
    assert_int_equal(hd_watch_new(&x.w, &opt, NULL), 0);
    struct hd_strings entries = {0};
    hd_strings_add(&entries, hd_str(tree_path(&x.tree, "root")));
    hd_watch_set(x.w, &entries);
    assert_null(entries.items);
    hd_timer_start(x.loop, &x.deadline, 20000, on_deadline);
    hd_loop_run(x.loop);
    assert_false(x.late);
    assert_int_equal(x.flushes, 2);
    assert_int_equal(x.closed, 1);
    assert_false(x.saw_everything);
    assert_true(hd_strings_has(&x.seen, hd_str(tree_path(&x.tree, "root"))));
    assert_true(hd_strings_has(&x.seen, hd_str(tree_path(&x.tree, "root/hello/index.ts"))));
    hd_strings_done(&x.seen);
    hd_loop_free(x.loop);
    tree_done(&x.tree);
    (void)state;
}

static void closing_while_a_job_runs_is_fine(void **state)
{
    struct world x = {0};
    tree_make(&x.tree);
    assert_int_equal(hd_loop_new(&x.loop, 0, NULL), 0);
    const struct hd_watch_options opt = {.loop = x.loop, .on_change = on_change, .arg = &x};
    assert_int_equal(hd_watch_new(&x.w, &opt, NULL), 0);
    struct hd_strings entries = {0};
    hd_strings_add(&entries, hd_str(x.tree.path));
    hd_watch_set(x.w, &entries);
    hd_watch_close(x.w, on_closed, &x);
    hd_loop_run(x.loop);
    assert_int_equal(x.closed, 1);
    assert_int_equal(x.flushes, 0);
    hd_loop_free(x.loop);
    tree_done(&x.tree);
    (void)state;
}

/* What was set, then the same once more without a change on the disk. */
static void on_change_again(void *arg, const struct hd_strings *paths, bool everything)
{
    struct world *x = arg;
    struct hd_strings once_more = {0};
    assert_false(everything);
    assert_int_equal(paths->n, 1);
    hd_strings_add(&once_more, hd_str(paths->items[0]));
    hd_watch_flushed(x->w);
    if (++x->flushes == 1)
        hd_watch_again(x->w, &once_more);
    else
        end(x);
    hd_strings_done(&once_more);
}

static void paths_can_be_told_once_more(void **state)
{
    struct world x = {0};
    tree_make(&x.tree);
    assert_int_equal(hd_loop_new(&x.loop, 0, NULL), 0);
    const struct hd_watch_options opt = {.loop = x.loop, .on_change = on_change_again, .arg = &x};
    assert_int_equal(hd_watch_new(&x.w, &opt, NULL), 0);
    struct hd_strings entries = {0};
    hd_strings_add(&entries, hd_str(x.tree.path));
    hd_watch_set(x.w, &entries);
    hd_timer_start(x.loop, &x.deadline, 20000, on_deadline);
    hd_loop_run(x.loop);
    assert_false(x.late);
    assert_int_equal(x.flushes, 2);
    hd_loop_free(x.loop);
    tree_done(&x.tree);
    (void)state;
}

static void on_poll(void *arg, const struct hd_strings *paths, bool everything)
{
    struct world *x = arg;
    (void)paths;
    x->saw_everything = everything;
    hd_watch_flushed(x->w);
    if (++x->flushes == 3)
        end(x);
}

static void when_watches_run_out_everything_is_looked_at_in_intervals(void **state)
{
    struct world x = {0};
    tree_make(&x.tree);
    tree_file(&x.tree, "root/hello/index.ts", "1");
    tree_file(&x.tree, "root/second/index.ts", "1");
    assert_int_equal(hd_loop_new(&x.loop, 0, NULL), 0);
    const struct hd_watch_options opt = {
        .loop = x.loop, .max_folders = 2, .poll_ms = 10, .on_change = on_poll, .arg = &x};
    assert_int_equal(hd_watch_new(&x.w, &opt, NULL), 0);
    struct hd_strings entries = {0};
    hd_strings_add(&entries, hd_str(tree_path(&x.tree, "root")));
    hd_watch_set(x.w, &entries);
    hd_timer_start(x.loop, &x.deadline, 20000, on_deadline);
    hd_loop_run(x.loop);
    assert_false(x.late);
    assert_true(x.saw_everything);
    assert_int_equal(x.flushes, 3);
    hd_loop_free(x.loop);
    tree_done(&x.tree);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_arrives_after_what_was_set),
        cmocka_unit_test(closing_while_a_job_runs_is_fine),
        cmocka_unit_test(paths_can_be_told_once_more),
        cmocka_unit_test(when_watches_run_out_everything_is_looked_at_in_intervals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
