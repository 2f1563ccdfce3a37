#include "lambda/sources/esm_source.h"

void hd_esm_source_init(struct hd_esm_source *s, const struct hd_esm_source_options *opt,
                        const struct hd_esm_feed_ops *feed_ops,
                        void (*close_one)(struct hd_esm_active *a),
                        void (*free_one)(struct hd_esm_active *a))
{
    *s = (struct hd_esm_source){
        .opt = *opt, .feed_ops = feed_ops, .close_one = close_one, .free_one = free_one};
    hd_list_init(&s->active);
}

static struct hd_esm_active *active_of(const struct hd_list *item)
{
    return hd_container_of(item, struct hd_esm_active, link);
}

struct hd_esm_active *hd_esm_source_find(const struct hd_esm_source *s, const char *uuid)
{
    hd_list_each(item, &s->active)
    {
        if (strcmp(active_of(item)->uuid, uuid) == 0)
            return active_of(item);
    }
    return NULL;
}

static void add_stats(struct hd_esm_poll_stats *to, const struct hd_esm_poll *p)
{
    struct hd_esm_poll_stats one;
    hd_esm_poll_stats(p, &one);
    to->received += one.received;
    to->filtered += one.filtered;
    to->calls += one.calls;
    to->records_ok += one.records_ok;
    to->records_failed += one.records_failed;
    to->busy += one.busy;
    to->source_errors += one.source_errors;
    to->given_up += one.given_up;
    to->pollers += one.pollers;
    to->calling += one.calling;
}

static void on_result(void *arg, const char *text)
{
    const struct hd_esm_active *a = arg;
    hd_esm_result(a->source->opt.esm, a->uuid, text);
}

void hd_esm_source_closed(struct hd_esm_active *a)
{
    struct hd_esm_source *s = a->source;
    hd_auto_free char *uuid = a->uuid;
    add_stats(&s->past, a->poll);
    hd_list_remove(&a->link);
    hd_timer_stop(s->opt.loop, &a->started);
    hd_esm_poll_free(a->poll);
    s->free_one(a);
    hd_esm_stopped(s->opt.esm, uuid);
}

static void on_stopped(void *arg)
{
    struct hd_esm_active *a = arg;
    if (a->source->close_one != NULL)
        a->source->close_one(a);
    else
        hd_esm_source_closed(a);
}

static void on_started(struct hd_timer *t)
{
    const struct hd_esm_active *a = hd_container_of(t, struct hd_esm_active, started);
    hd_esm_started(a->source->opt.esm, a->uuid);
}

void hd_esm_source_start(struct hd_esm_source *s, struct hd_esm_active *a,
                         const struct hd_esm_mapping *m)
{
    a->source = s;
    a->uuid = hd_strdup(m->uuid);
    hd_list_push(&s->active, &a->link);
    const struct hd_esm_poll_options opt = {.mapping = m,
                                            .loop = s->opt.loop,
                                            .log = s->opt.log,
                                            .feed_ops = s->feed_ops,
                                            .feed = a,
                                            .sink_ops = s->opt.sink_ops,
                                            .sink = s->opt.sink,
                                            .on_result = on_result,
                                            .on_stopped = on_stopped,
                                            .arg = a};
    a->poll = hd_esm_poll_new(&opt);
    hd_timer_start(s->opt.loop, &a->started, 0, on_started);
}

void hd_esm_source_update(struct hd_esm_source *s, const struct hd_esm_mapping *m)
{
    struct hd_esm_active *a = hd_esm_source_find(s, m->uuid);
    hd_esm_poll_update(a->poll, m);
    hd_timer_start(s->opt.loop, &a->started, 0, on_started);
}

void hd_esm_source_stop(struct hd_esm_source *s, const char *uuid)
{
    hd_esm_poll_stop(hd_esm_source_find(s, uuid)->poll);
}

void hd_esm_source_stats(const struct hd_esm_source *s, struct hd_esm_poll_stats *out)
{
    *out = s->past;
    out->pollers = 0;
    out->calling = 0;
    hd_list_each(item, &s->active) add_stats(out, active_of(item)->poll);
}
