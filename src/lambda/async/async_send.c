/* Deliveries to destinations: durable as well, tried for about an hour, then kept as dead letters.
 */
#include "lambda/async/async_private.h"

#include "lambda/async/event_config.h"
#include "lambda/names.h"

struct sending {
    struct hd_list link;
    struct hd_async_worker *worker;
    struct hd_drain_item *item;
    struct hd_async_delivery_meta meta;
    struct hd_str to; /* of the queue's name */
};

static void sending_free(struct sending *s)
{
    struct hd_async_worker *w = s->worker;
    hd_list_remove(&s->link);
    hd_async_delivery_done(&s->meta);
    free(s);
    hd_async_maybe_idle(w);
}

static void failed(struct sending *s, const struct hd_error *err)
{
    struct hd_async_worker *w = s->worker;
    struct hd_async *a = w->async;
    uint32_t tries = s->item->attempts + 1;
    atomic_fetch_add(&a->counts.send_failures, 1);
    bool lost = tries >= HD_ASYNC_SENDS_MAX;
    if (lost)
        atomic_fetch_add(&a->counts.send_lost, 1);
    hd_log(a->opt.log, lost ? HD_ERROR : HD_WARN,
           lost ? "destination unreachable, given up; kept as a dead letter"
                : "destination unreachable, retrying",
           hd_kv_slice("destination", s->to), hd_kv_slice("function", s->meta.arn),
           hd_kv_slice("request_id", s->item->id), hd_kv_int("tries", tries),
           hd_kv_str("error", err->msg));
    if (lost)
        hd_drain_dead(w->drain, s->item, tries, hd_str(err->msg));
    else
        hd_drain_retry(w->drain, s->item, tries,
                       hd_async_now_ms(a) + hd_async_backoff_ms(tries, hd_async_random(w)));
    sending_free(s);
}

static void on_sent(void *arg, const struct hd_error *err)
{
    struct sending *s = arg;
    struct hd_async_worker *w = s->worker;
    if (err != NULL && !w->giving_up) {
        failed(s, err);
        return;
    }
    if (err != NULL) {
        hd_drain_release(w->drain, s->item);
        free(s->item);
    } else {
        atomic_fetch_add(&w->async->counts.sent, 1);
        hd_drain_done(w->drain, s->item);
    }
    sending_free(s);
}

/* --- another function: the record is its event, and moves there within the database --- */

static int to_function(struct sending *s, struct hd_error *err)
{
    struct hd_async_worker *w = s->worker;
    struct hd_async *a = w->async;
    struct hd_fn_name fn;
    if (hd_names_function(&fn, s->to) < 0)
        return hd_fail(err, HD_EINVAL, "%.*s is no function", HD_FMT(s->to));
    struct hd_view *view = a->opt.view != NULL ? a->opt.view(a->opt.view_arg) : NULL;
    const struct hd_lambda_fn *found =
        view != NULL ? hd_view_find(view, fn.account, fn.region, fn.name) : NULL;
    struct hd_target *target = hd_async_find(w, found, s->to, fn.qualifier, err);
    hd_view_unref(view);
    if (target == NULL)
        return err->code;
    hd_target_unref(target);
    struct hd_queue_depth depth;
    char queue[HD_ASYNC_QUEUE_CHARS];
    hd_async_queue_name(queue, fn.account, fn.region, fn.name);
    hd_queue_depth(a->opt.store, hd_str(queue), &depth);
    if (depth.queued + depth.running >= a->opt.max_events)
        return hd_fail(err, HD_EBUSY, "the queue of %.*s is full", HD_FMT(s->to));

    struct hd_async_event event = {.qualifier = fn.qualifier, .trace = s->meta.trace};
    struct hd_async_close_out *c = hd_async_close_out_new(w, s->item);
    c->puts[0].queue = hd_strdup(queue);
    hd_uuid7(c->puts[0].id, &w->rng, hd_async_now_ms(a));
    event.request_id = c->puts[0].id;
    hd_buf_init(&c->puts[0].meta, 1 << 20);
    hd_async_meta_write(&c->puts[0].meta, &event, hd_async_now_ms(a));
    hd_buf_init(&c->puts[0].body, SIZE_MAX / 2);
    hd_buf_str(&c->puts[0].body, s->item->body);
    c->n = 1;
    atomic_fetch_add(&a->counts.sent, 1);
    atomic_fetch_add(&a->counts.accepted, 1);
    hd_drain_release(w->drain, s->item);
    sending_free(s);
    hd_async_close_out(c);
    return 0;
}

static void to_elsewhere(struct sending *s)
{
    struct hd_buf arn;
    hd_buf_init(&arn, 4096);
    hd_buf_str(&arn, s->meta.arn);
    hd_buf_char(&arn, ':');
    hd_buf_str(&arn, s->meta.version.len > 0 ? s->meta.version : hd_str("$LATEST"));
    struct hd_destination_message m = {
        .to = s->to,
        .id = s->item->id,
        .body = s->item->body,
        .arn = hd_buf_view(&arn),
        .success = s->meta.success,
        .dead_letter = s->meta.dead_letter,
        .error = s->meta.error,
    };
    hd_destinations_send(s->worker->async->opt.destinations, &m, on_sent, s);
    hd_buf_done(&arn);
}

void hd_async_send_start(void *worker, struct hd_drain_item *item)
{
    struct hd_async_worker *w = worker;
    struct sending *s = hd_new(struct sending);
    struct hd_str queue = hd_drain_queue_name(item->queue);
    struct hd_error err;
    s->worker = w;
    s->item = item;
    s->to = hd_str_n(queue.ptr + sizeof(HD_ASYNC_SEND_PREFIX) - 1,
                     queue.len - (sizeof(HD_ASYNC_SEND_PREFIX) - 1));
    hd_list_init(&s->link);
    hd_list_push(&w->runs, &s->link);
    hd_async_delivery_read(&s->meta, item->meta);
    if (hd_destination_kind(s->to) == HD_DESTINATION_FUNCTION) {
        if (to_function(s, &err) < 0)
            failed(s, &err);
    } else if (w->async->opt.destinations == NULL) {
        hd_fail(&err, HD_EINVAL, "this node sends to no destinations");
        failed(s, &err);
    } else {
        to_elsewhere(s);
    }
}

void hd_async_send_give_up(struct hd_async_worker *w)
{
    if (w->async->opt.destinations != NULL)
        hd_destinations_cancel(w->async->opt.destinations);
}
