/* begin() and end() post to the control loop, where instances and their output are at home:
 *
 *   IDLE ──begin, end──► FLUSHING ──the backend is done, or the time is over──► IDLE, done()
 *     └──end of one that is about to go──► DYING ──gone, or the time is over──┘
 *
 * A backend flushes one at a time: who comes meanwhile is QUEUED for the next. */
#include "pool/witness.h"

#include "pool/private.h"

enum stage { IDLE, QUEUED, FLUSHING, DYING };

static void on_done(void *arg)
{
    struct hd_witness *w = arg;
    w->done(w);
}

static bool is_end(const struct hd_witness *w)
{
    return w->listening;
}

/* The step that was asked for is over; the owner has it from here on. */
static void finish(struct hd_witness *w)
{
    struct hd_instance *i = w->instance;
    bool over = w->stage == DYING || is_end(w);
    hd_timer_stop(i->pool->control, &w->timer);
    w->stage = IDLE;
    w->listening = !over;
    if (over) {
        hd_list_remove(&w->link);
        w->linked = false;
        w->exited = i->exited;
        w->exit = i->exit;
    }
    hd_loop_post(w->loop, on_done, w);
}

static void on_timer(struct hd_timer *t)
{
    finish(hd_container_of(t, struct hd_witness, timer));
}

static void flush(struct hd_instance *i);

static void on_flushed(void *owner)
{
    struct hd_instance *i = owner;
    i->flushing = false;
    hd_list_each(item, &i->witnesses)
    {
        struct hd_witness *w = hd_container_of(item, struct hd_witness, link);
        if (w->stage == FLUSHING)
            finish(w);
    }
    flush(i);
}

static void flush(struct hd_instance *i)
{
    bool wanted = false;
    if (i->flushing)
        return;
    hd_list_each(item, &i->witnesses)
    {
        struct hd_witness *w = hd_container_of(item, struct hd_witness, link);
        if (w->stage != QUEUED)
            continue;
        w->stage = FLUSHING;
        wanted = true;
    }
    if (!wanted)
        return;
    i->flushing = true;
    i->pool->backend->ops->flush_output(i->handle, on_flushed, i);
}

static bool can_flush(const struct hd_instance *i)
{
    return i->handle != NULL && i->pool->backend->ops->flush_output != NULL;
}

static void wait_for_flush(struct hd_witness *w)
{
    struct hd_instance *i = w->instance;
    if (!can_flush(i)) {
        finish(w);
        return;
    }
    w->stage = QUEUED;
    hd_timer_start(i->pool->control, &w->timer, HD_WITNESS_FLUSH_MS, on_timer);
    flush(i);
}

static void link_to(struct hd_witness *w)
{
    if (w->linked)
        return;
    w->linked = true;
    hd_list_init(&w->link);
    hd_list_push(&w->instance->witnesses, &w->link);
}

static void begin(void *arg)
{
    struct hd_witness *w = arg;
    link_to(w);
    wait_for_flush(w);
}

static void end(void *arg)
{
    struct hd_witness *w = arg;
    struct hd_instance *i = w->instance;
    link_to(w);
    w->listening = true;
    if (i->handle != NULL && i->state <= HD_INSTANCE_DRAINING)
        hd_instance_measure(i);
    if (w->gone || i->handle == NULL) {
        w->gone = true;
        if (w->how.code == 0)
            w->how = i->ended;
        finish(w);
    } else if (w->wait_ms > 0) {
        w->stage = DYING;
        hd_timer_start(i->pool->control, &w->timer, w->wait_ms, on_timer);
    } else {
        wait_for_flush(w);
    }
}

/* --- what happens to the instance --- */

void hd_witness_line(struct hd_instance *i, struct hd_str id, struct hd_str text)
{
    hd_list_each(item, &i->witnesses)
    {
        struct hd_witness *w = hd_container_of(item, struct hd_witness, link);
        if (!w->listening || (id.len > 0 ? !hd_str_eq(id, w->id) : !w->alone))
            continue;
        if (text.len >= HD_WITNESS_TAIL_BYTES) { /* only its end can matter */
            hd_buf_clear(&w->tail);
            text.ptr += text.len - HD_WITNESS_TAIL_BYTES + 1;
            text.len = HD_WITNESS_TAIL_BYTES - 1;
        }
        hd_buf_str(&w->tail, text);
        hd_buf_char(&w->tail, '\n');
        if (w->tail.len > HD_WITNESS_TAIL_BYTES * (size_t)2)
            hd_buf_consume(&w->tail, w->tail.len - HD_WITNESS_TAIL_BYTES);
    }
}

void hd_witness_gone(struct hd_instance *i, const struct hd_error *err)
{
    i->ended = *err;
    hd_list_each(item, &i->witnesses)
    {
        struct hd_witness *w = hd_container_of(item, struct hd_witness, link);
        w->gone = true;
        w->how = *err;
        if (w->stage != IDLE)
            finish(w);
    }
}

/* --- the owner's side --- */

static void start(struct hd_witness *w, const struct hd_lease *lease, void (*step)(void *arg))
{
    w->instance = lease->instance;
    w->loop = lease->loop;
    hd_loop_post(w->instance->pool->control, step, w);
}

void hd_witness_begin(struct hd_witness *w, const struct hd_lease *lease)
{
    hd_buf_init(&w->tail, (size_t)HD_WITNESS_TAIL_BYTES * 4);
    start(w, lease, begin);
}

void hd_witness_end(struct hd_witness *w, const struct hd_lease *lease, uint32_t gone_within_ms)
{
    w->wait_ms = gone_within_ms;
    start(w, lease, end);
}

void hd_witness_done(struct hd_witness *w)
{
    hd_buf_done(&w->tail);
}
