/*  The tree belongs to the work thread while a job runs, else nobody touches it:
 *
 *    IDLE ──readable, new entries──► job runs (poll is off) ──► merge its changes ──► IDLE
 *    close: wait for the job, then for the handle, then free                                 */
#include "functions/watch.h"

#include "core/work.h"
#include "functions/debounce.h"
#include "functions/watchtree.h"

enum { POLL_MS = 1000, PATHS_MAX = 1000 };

struct hd_watch {
    struct hd_watch_options opt;
    struct hd_watch_tree *tree;
    uv_poll_t poll;
    struct hd_timer flush_timer, poll_timer;
    struct hd_debounce debounce;
    struct hd_watch_changes pending; /* since the last flush */
    struct hd_strings entries;       /* to be set by the next job; items NULL: no change */
    struct {
        bool running, readable;
        struct hd_strings entries;
        struct hd_watch_changes changes;
    } job;
    bool limited, closing;
    void (*done)(void *arg);
    void *done_arg;
};

static void step(struct hd_watch *w);

static void arm(struct hd_watch *w);

static void flush(struct hd_watch *w)
{
    struct hd_watch_changes now = w->pending;
    w->pending = (struct hd_watch_changes){0};
    w->opt.on_change(w->opt.arg, &now.paths, now.everything);
    hd_watch_changes_done(&now);
}

static void on_flush_timer(struct hd_timer *t)
{
    struct hd_watch *w = hd_container_of(t, struct hd_watch, flush_timer);
    if (hd_debounce_flush(&w->debounce, hd_loop_now_ms(w->opt.loop)))
        flush(w);
    arm(w);
}

static void arm(struct hd_watch *w)
{
    int64_t wait_ms = hd_debounce_wait_ms(&w->debounce, hd_loop_now_ms(w->opt.loop));
    if (w->closing || wait_ms < 0)
        hd_timer_stop(w->opt.loop, &w->flush_timer);
    else
        hd_timer_start(w->opt.loop, &w->flush_timer, (uint64_t)wait_ms, on_flush_timer);
}

static void note_change(struct hd_watch *w)
{
    hd_debounce_event(&w->debounce, hd_loop_now_ms(w->opt.loop));
    arm(w);
}

static void on_poll_timer(struct hd_timer *t)
{
    struct hd_watch *w = hd_container_of(t, struct hd_watch, poll_timer);
    w->pending.everything = true;
    hd_strings_done(&w->pending.paths);
    note_change(w);
    hd_timer_start(w->opt.loop, t, w->opt.poll_ms, on_poll_timer);
}

static void fall_back_to_polling(struct hd_watch *w)
{
    if (w->limited)
        return;
    w->limited = true;
    hd_log(w->opt.log, HD_WARN,
           "no more file watches, looking at all functions in intervals instead; raise "
           "fs.inotify.max_user_watches",
           hd_kv_int("interval_ms", w->opt.poll_ms));
    hd_timer_start(w->opt.loop, &w->poll_timer, w->opt.poll_ms, on_poll_timer);
}

static void merge(struct hd_watch *w, struct hd_watch_changes *c)
{
    struct hd_watch_changes *p = &w->pending;
    p->everything = p->everything || c->everything;
    for (size_t i = 0; !p->everything && i < c->paths.n; i++) {
        if (!hd_strings_has(&p->paths, hd_str(c->paths.items[i])))
            hd_strings_add(&p->paths, hd_str(c->paths.items[i]));
        p->everything = p->paths.n > PATHS_MAX;
    }
    if (p->everything)
        hd_strings_done(&p->paths);
    if (c->limited)
        fall_back_to_polling(w);
    if (c->everything || c->paths.n > 0)
        note_change(w);
    hd_watch_changes_done(c);
}

static void on_closed(uv_handle_t *handle)
{
    struct hd_watch *w = handle->data;
    void (*done)(void *arg) = w->done;
    void *arg = w->done_arg;
    hd_watch_tree_free(w->tree);
    hd_watch_changes_done(&w->pending);
    hd_watch_changes_done(&w->job.changes);
    hd_strings_done(&w->entries);
    hd_strings_done(&w->job.entries);
    free(w);
    if (done != NULL)
        done(arg);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct hd_watch *w = poll->data;
    (void)status, (void)events; /* whatever it is: the read finds out */
    w->job.readable = true;
    step(w);
}

static void work(void *arg)
{
    struct hd_watch *w = arg;
    hd_watch_tree_read(w->tree, &w->job.changes);
    if (w->job.entries.items != NULL)
        hd_watch_tree_set(w->tree, &w->job.entries, &w->job.changes);
}

static void on_worked(void *arg)
{
    struct hd_watch *w = arg;
    w->job.running = false;
    hd_strings_done(&w->job.entries);
    if (!w->closing)
        merge(w, &w->job.changes);
    step(w);
}

static void step(struct hd_watch *w)
{
    if (w->job.running)
        return;
    if (w->closing) {
        if (!uv_is_closing((uv_handle_t *)&w->poll))
            uv_close((uv_handle_t *)&w->poll, on_closed);
        return;
    }
    if (!w->job.readable && w->entries.items == NULL) {
        uv_poll_start(&w->poll, UV_READABLE, on_readable);
        return;
    }
    uv_poll_stop(&w->poll);
    w->job.readable = false;
    w->job.entries = w->entries;
    w->entries = (struct hd_strings){0};
    w->job.running = true;
    if (hd_work(w->opt.loop, work, on_worked, w, NULL) == 0)
        return;
    /* No work thread to be had: do the little there is to do here rather than miss it. */
    work(w);
    w->job.running = false;
    hd_strings_done(&w->job.entries);
    merge(w, &w->job.changes);
    uv_poll_start(&w->poll, UV_READABLE, on_readable);
}

int hd_watch_new(struct hd_watch **out, const struct hd_watch_options *opt, struct hd_error *err)
{
    struct hd_watch_tree *tree = NULL;
    int rc = hd_watch_tree_new(&tree, opt->max_folders, err);
    if (rc < 0)
        return rc;
    struct hd_watch *w = hd_new(struct hd_watch);
    w->opt = *opt;
    w->opt.poll_ms = opt->poll_ms > 0 ? opt->poll_ms : POLL_MS;
    w->tree = tree;
    rc = uv_poll_init(hd_loop_uv(opt->loop), &w->poll, hd_watch_tree_fd(tree));
    if (rc < 0) {
        hd_watch_tree_free(tree);
        free(w);
        return hd_fail_sys(err, rc, "watching files");
    }
    w->poll.data = w;
    step(w);
    *out = w;
    return 0;
}

void hd_watch_set(struct hd_watch *w, struct hd_strings *entries)
{
    hd_strings_done(&w->entries);
    w->entries = *entries;
    hd_strings_give(&w->entries);
    *entries = (struct hd_strings){0};
    step(w);
}

void hd_watch_flushed(struct hd_watch *w)
{
    hd_debounce_done(&w->debounce, hd_loop_now_ms(w->opt.loop));
    arm(w);
}

void hd_watch_again(struct hd_watch *w, const struct hd_strings *paths)
{
    struct hd_watch_changes changes = {.paths = hd_strings_copy(paths)};
    merge(w, &changes);
}

void hd_watch_close(struct hd_watch *w, void (*done)(void *arg), void *arg)
{
    w->closing = true;
    w->done = done;
    w->done_arg = arg;
    hd_timer_stop(w->opt.loop, &w->flush_timer);
    hd_timer_stop(w->opt.loop, &w->poll_timer);
    step(w);
}
