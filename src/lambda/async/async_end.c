/* The end of an event: it leaves its queue, and what follows from it enters others, in one
 * transaction. While the disk does not take it, the event stays under way. */
#include "lambda/async/async_private.h"

enum { AGAIN_MS = 1000 };

struct hd_async_close_out *hd_async_close_out_new(struct hd_async_worker *w,
                                                  struct hd_drain_item *item)
{
    struct hd_async_close_out *c = hd_new(struct hd_async_close_out);
    c->worker = w;
    c->item = item;
    hd_list_init(&c->link);
    hd_list_push(&w->ends, &c->link);
    return c;
}

static void close_out_free(struct hd_async_close_out *c)
{
    struct hd_async_worker *w = c->worker;
    hd_list_remove(&c->link);
    for (unsigned i = 0; i < c->n; i++) {
        free(c->puts[i].queue);
        hd_buf_done(&c->puts[i].meta);
        hd_buf_done(&c->puts[i].body);
    }
    free(c->item);
    free(c);
    hd_async_maybe_idle(w);
}

static void on_again(struct hd_timer *timer)
{
    hd_async_close_out(hd_container_of(timer, struct hd_async_close_out, again));
}

static void on_written(void *arg, const struct hd_error *err)
{
    struct hd_async_close_out *c = arg;
    struct hd_async_worker *w = c->worker;
    if (err == NULL || w->giving_up || err->code == HD_ECANCELED) {
        for (unsigned i = 0; err == NULL && i < c->n; i++)
            hd_async_know(w->async, hd_str(c->puts[i].queue));
        close_out_free(c);
        return;
    }
    hd_log(w->async->opt.log, HD_WARN, "the end of an event cannot be written, retrying",
           hd_kv_slice("request_id", c->item->id), hd_kv_str("error", err->msg));
    hd_timer_start(w->loop, &c->again, AGAIN_MS, on_again);
}

void hd_async_close_out(struct hd_async_close_out *c)
{
    struct hd_async *a = c->worker->async;
    struct hd_store_tx *tx = hd_store_begin(a->opt.store);
    int64_t now = hd_async_now_ms(a);
    hd_queue_done_in(tx, c->item->seq);
    for (unsigned i = 0; i < c->n; i++) {
        struct hd_queue_put put = {
            .queue = hd_str(c->puts[i].queue),
            .id = c->puts[i].id[0] != '\0' ? hd_str(c->puts[i].id) : c->item->id,
            .meta = hd_buf_view(&c->puts[i].meta),
            .body = hd_buf_view(&c->puts[i].body),
            .first_unix_ms = now,
            .due_unix_ms = now,
            .max_items = c->puts[i].max_items,
        };
        hd_queue_put(tx, &put);
    }
    hd_store_commit(tx, c->worker->loop, on_written, c);
}

void hd_async_close_out_give_up(struct hd_async_worker *w)
{
    hd_list_each(link, &w->ends)
    {
        struct hd_async_close_out *c = hd_container_of(link, struct hd_async_close_out, link);
        if (!hd_timer_active(&c->again))
            continue; /* its answer comes */
        hd_timer_stop(w->loop, &c->again);
        close_out_free(c);
    }
}
