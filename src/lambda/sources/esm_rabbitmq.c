/*  broker ─► thread (mq.c) ─► ready ──some poller asks──► records ─► called ─► ack; or tried again,
 *  in the end given up or given back                                                          */
#include "lambda/sources/esm_rabbitmq.h"

#include "core/base64.h"
#include "core/work.h"
#include "lambda/sources/mq.h"
#include "lambda/sources/mq_record.h"

enum { POLLERS_MAX = 5, PREFETCH_MAX = 1000 };

struct hd_esm_rabbitmq {
    struct hd_esm_source source;
    struct hd_esm_rabbitmq_options opt;
};

/* Who we are to a broker. */
struct credentials {
    char *user, *password; /* NULL: as the URL says */
};

/* One poller's place. */
struct slot {
    struct active *active;
    unsigned index, max;
    bool waits;
    struct hd_timer timer;
};

/* One mapping. */
struct active {
    struct hd_esm_active base;
    struct hd_esm_rabbitmq *all;
    struct hd_mq *mq;     /* NULL: there was no thread to be had */
    char *arn, *key;      /* key: "queue::/vhost" */
    struct hd_list ready; /* struct hd_mq_delivery */
    bool down, told;      /* told: why, once for each time */
    struct hd_error why;
    uint16_t prefetch;
    struct slot *slots[HD_ESM_POLLERS_MAX];
};

static struct active *active_of(struct hd_esm_active *base)
{
    return hd_container_of(base, struct active, base);
}

static struct hd_loop *loop_of(const struct active *a)
{
    return a->all->source.opt.loop;
}

static struct hd_mq_delivery *delivery_of(struct hd_list *item)
{
    return hd_container_of(item, struct hd_mq_delivery, link);
}

/* --- giving records to pollers --- */

static bool is_wanted(const struct active *a, const struct hd_mq_delivery *d)
{
    if (hd_esm_poll_mapping(a->base.poll)->n_filters == 0)
        return true;
    json_t *record = json_loads(d->json, JSON_ALLOW_NUL, NULL);
    const json_t *data = json_object_get(record, "data");
    struct hd_str text = {json_string_value(data), json_string_length(data)};
    hd_auto_free char *body = hd_alloc(hd_base64_bytes(text.len) + 1);
    size_t n = 0;
    json_t *view = hd_base64_decode(body, &n, HD_BASE64, text) == 0
                       ? hd_mq_view(record, hd_str_n(body, n))
                       : NULL;
    bool wanted = hd_esm_poll_wants(a->base.poll, view);
    json_decref(view);
    json_decref(record);
    return wanted;
}

static void answer(struct slot *s, const struct hd_error *err)
{
    struct active *a = s->active;
    struct hd_list wanted, others;
    unsigned n = 0;
    hd_list_init(&wanted);
    hd_list_init(&others);
    s->waits = false;
    hd_timer_stop(loop_of(a), &s->timer);
    for (; err == NULL && n < s->max && !hd_list_empty(&a->ready); n++) {
        struct hd_mq_delivery *d = delivery_of(hd_list_pop(&a->ready));
        struct hd_esm_record *r = hd_esm_record_new(d->id, NULL, hd_steal(d->json));
        r->seq = d->tag;
        d->json = r->json; /* borrowed for the look */
        hd_list_push(is_wanted(a, d) ? &wanted : &others, &r->link);
        d->json = NULL;
        hd_mq_delivery_free(d);
    }
    hd_esm_poll_drop(a->base.poll, &others, HD_ESM_DONE);
    hd_esm_poll_received(a->base.poll, s->index, &wanted, n, err);
}

static void on_slot_time(struct hd_timer *t)
{
    struct slot *s = hd_container_of(t, struct slot, timer);
    struct active *a = s->active;
    bool tell = a->down && !a->told;
    a->told = true;
    answer(s, tell ? &a->why : NULL);
}

static void serve(struct active *a, bool all)
{
    for (unsigned i = 0; i < HD_ESM_POLLERS_MAX && a->slots[i] != NULL; i++)
        if (a->slots[i]->waits && (all || !hd_list_empty(&a->ready)))
            hd_timer_start(loop_of(a), &a->slots[i]->timer, 0, on_slot_time);
}

static void forget_ready(struct active *a)
{
    struct hd_list *item;
    while ((item = hd_list_pop(&a->ready)) != NULL)
        hd_mq_delivery_free(delivery_of(item));
}

static void on_deliveries(void *arg, struct hd_list *deliveries)
{
    struct active *a = arg;
    while (!hd_list_empty(deliveries))
        hd_list_push(&a->ready, hd_list_pop(deliveries));
    serve(a, false);
}

static void on_state(void *arg, bool connected, const struct hd_error *why)
{
    struct active *a = arg;
    a->down = !connected;
    a->told = false;
    if (connected)
        return;
    a->why = *why;
    forget_ready(a); /* the broker has them again */
    serve(a, true);
}

/* --- as a feed --- */

static void receive(void *feed, unsigned poller, unsigned max, uint32_t wait_ms)
{
    struct active *a = active_of(feed);
    if (a->slots[poller] == NULL)
        a->slots[poller] = hd_new(struct slot);
    struct slot *s = a->slots[poller];
    *s = (struct slot){.active = a, .index = poller, .max = max, .waits = true};
    bool now = (a->down && !a->told) || !hd_list_empty(&a->ready);
    hd_timer_start(loop_of(a), &s->timer, now ? 0 : wait_ms, on_slot_time);
}

static void cancel(void *feed, unsigned poller)
{
    struct slot *s = active_of(feed)->slots[poller];
    hd_timer_start(loop_of(s->active), &s->timer, 0, on_slot_time);
}

static void settled(void *arg)
{
    hd_esm_poll_settled(arg);
}

static void settle(void *feed, struct hd_list *records, enum hd_esm_settle how)
{
    struct active *a = active_of(feed);
    hd_list_each(item, records)
    {
        if (a->mq != NULL)
            hd_mq_settle(a->mq, hd_container_of(item, struct hd_esm_record, link)->seq,
                         how == HD_ESM_DONE);
    }
    hd_esm_records_free(records);
    hd_loop_post(loop_of(a), settled, a->base.poll);
}

static void event(void *feed, struct hd_buf *out, const struct hd_list *records, size_t n)
{
    const struct active *a = active_of(feed);
    const struct hd_list *item = records->next;
    hd_buf_cstr(out, "{\"eventSource\":\"aws:rmq\",\"eventSourceArn\":");
    hd_buf_json(out, hd_str(a->arn));
    hd_buf_cstr(out, ",\"rmqMessagesByQueue\":{");
    hd_buf_json(out, hd_str(a->key));
    hd_buf_cstr(out, ":[");
    for (size_t i = 0; i < n; i++, item = item->next) {
        const struct hd_esm_record *r = hd_container_of(item, struct hd_esm_record, link);
        if (i > 0)
            hd_buf_char(out, ',');
        hd_buf_add(out, r->json, r->json_len);
    }
    hd_buf_cstr(out, "]}}");
}

static const struct hd_esm_feed_ops feed_ops = {.max_receive = PREFETCH_MAX,
                                                .pollers = 1,
                                                .max_pollers = POLLERS_MAX,
                                                .keeps_failed = true,
                                                .receive = receive,
                                                .cancel = cancel,
                                                .settle = settle,
                                                .event = event};

/* --- as a poller of mappings --- */

/* @return the URL of the broker that is called "broker:NAME:ID" in the mapping's ARN, or NULL. */
static const char *url_of(const struct hd_esm_rabbitmq *r, const struct hd_esm_mapping *m)
{
    struct hd_str rest = hd_str(m->source_name), prefix = hd_str("broker:");
    if (hd_str_starts(rest, prefix))
        rest = hd_str_n(rest.ptr + prefix.len, rest.len - prefix.len);
    hd_auto_free char *name = hd_strdup_n(hd_str_n(rest.ptr, hd_str_find(rest, ':')));
    return r->opt.url_of(r->opt.arg, name);
}

static bool takes(void *arg, const struct hd_esm_mapping *m)
{
    return m->kind == HD_ESM_MQ && url_of(arg, m) != NULL;
}

/* Batches of all pollers, within reason. */
static uint16_t prefetch_of(const struct hd_esm_mapping *m)
{
    uint32_t pollers = m->max_concurrency != 0 ? m->max_concurrency : POLLERS_MAX;
    uint32_t n = HD_MIN(m->batch_size * pollers, (uint32_t)PREFETCH_MAX);
    return (uint16_t)HD_MIN(HD_MAX(n, m->batch_size), (uint32_t)UINT16_MAX);
}

static void done_credentials(struct credentials *c)
{
    if (c->password != NULL)
        explicit_bzero(c->password, strlen(c->password));
    free(c->user);
    free(c->password);
}

/* @return 0, or HD_EINVAL: the mapping names a secret that there is not. */
static int find_credentials(struct credentials *out, const struct hd_esm_rabbitmq *r,
                            const struct hd_esm_mapping *m, struct hd_error *err)
{
    *out = (struct credentials){.user = NULL};
    if (m->secret == NULL)
        return 0;
    struct hd_str rest = hd_str(r->opt.secret_of(r->opt.arg, m->secret)), user;
    if (!hd_str_split(&user, &rest, ':') || rest.ptr == NULL)
        return hd_fail(err, HD_EINVAL,
                       "There is no secret %.100s here. Add it as NAME=USER:PASSWORD to "
                       "lambda.secrets.",
                       m->secret);
    out->user = hd_strdup_n(user);
    out->password = hd_strdup_n(rest);
    return 0;
}

static struct hd_mq_options mq_options(const struct hd_esm_rabbitmq *r,
                                       const struct hd_esm_mapping *m,
                                       const struct credentials *who)
{
    return (struct hd_mq_options){.url = url_of(r, m),
                                  .user = who->user,
                                  .password = who->password,
                                  .vhost = m->virtual_host,
                                  .queue = m->queue,
                                  .prefetch = prefetch_of(m),
                                  .loop = r->source.opt.loop,
                                  .log = r->source.opt.log,
                                  .on_deliveries = on_deliveries,
                                  .on_state = on_state};
}

static void start(void *arg, const struct hd_esm_mapping *m)
{
    struct hd_esm_rabbitmq *r = arg;
    struct active *a = hd_new(struct active);
    struct credentials who;
    a->all = r;
    a->arn = hd_strdup(m->source_arn);
    a->key = hd_printf("%s::%s", m->queue, m->virtual_host);
    a->prefetch = prefetch_of(m);
    hd_list_init(&a->ready);
    int rc = find_credentials(&who, r, m, &a->why);
    if (rc == 0) {
        struct hd_mq_options opt = mq_options(r, m, &who);
        opt.arg = a;
        rc = hd_mq_open(&a->mq, &opt, &a->why);
    }
    done_credentials(&who);
    a->down = rc < 0; /* told each time that a poller asks */
    hd_esm_source_start(&r->source, &a->base, m);
}

static void update(void *arg, const struct hd_esm_mapping *m)
{
    struct hd_esm_rabbitmq *r = arg;
    struct active *a = active_of(hd_esm_source_find(&r->source, m->uuid));
    if (a->mq != NULL && prefetch_of(m) != a->prefetch) {
        a->prefetch = prefetch_of(m);
        hd_mq_set_prefetch(a->mq, a->prefetch);
    }
    hd_esm_source_update(&r->source, m);
}

static void stop(void *arg, const char *uuid)
{
    struct hd_esm_rabbitmq *r = arg;
    hd_esm_source_stop(&r->source, uuid);
}

static void on_closed(void *arg)
{
    struct active *a = arg;
    hd_esm_source_closed(&a->base);
}

static void close_one(struct hd_esm_active *base)
{
    struct active *a = active_of(base);
    forget_ready(a);
    if (a->mq != NULL)
        hd_mq_close(a->mq, on_closed, a);
    else
        on_closed(a);
}

static void free_one(struct hd_esm_active *base)
{
    struct active *a = active_of(base);
    for (unsigned i = 0; i < HD_ESM_POLLERS_MAX && a->slots[i] != NULL; i++)
        free(a->slots[i]);
    free(a->arn);
    free(a->key);
    free(a);
}

/* --- a look at a broker before there is a mapping --- */

struct probe {
    char *url, *vhost, *queue;
    struct credentials who;
    struct hd_esm_probe result;
    hd_esm_probe_fn done;
    void *done_arg;
};

static void look(void *arg)
{
    struct probe *p = arg;
    const struct hd_mq_options opt = {.url = p->url,
                                      .user = p->who.user,
                                      .password = p->who.password,
                                      .vhost = p->vhost,
                                      .queue = p->queue};
    if (p->result.err.code == 0)
        hd_mq_look(&opt, &p->result.err);
}

static void looked(void *arg)
{
    struct probe *p = arg;
    p->done(p->done_arg, &p->result);
    done_credentials(&p->who);
    explicit_bzero(p->url, strlen(p->url));
    free(p->url);
    free(p->vhost);
    free(p->queue);
    free(p);
}

static void probe(void *arg, const struct hd_esm_mapping *m, hd_esm_probe_fn done, void *done_arg)
{
    struct hd_esm_rabbitmq *r = arg;
    struct probe *p = hd_new(struct probe);
    *p = (struct probe){.url = hd_strdup(url_of(r, m)),
                        .vhost = hd_strdup(m->virtual_host),
                        .queue = hd_strdup(m->queue),
                        .done = done,
                        .done_arg = done_arg};
    find_credentials(&p->who, r, m, &p->result.err);
    if (hd_work(r->source.opt.loop, look, looked, p, &p->result.err) < 0)
        hd_loop_post(r->source.opt.loop, looked, p);
}

/* --- life --- */

struct hd_esm_rabbitmq *hd_esm_rabbitmq_new(const struct hd_esm_source_options *source,
                                            const struct hd_esm_rabbitmq_options *opt)
{
    static const struct hd_esm_poller ops = {.name = "rabbitmq",
                                             .takes = takes,
                                             .probe = probe,
                                             .start = start,
                                             .update = update,
                                             .stop = stop};
    struct hd_esm_rabbitmq *r = hd_new(struct hd_esm_rabbitmq);
    r->opt = *opt;
    hd_esm_source_init(&r->source, source, &feed_ops, close_one, free_one);
    hd_esm_offer(source->esm, &ops, r);
    return r;
}

void hd_esm_rabbitmq_free(struct hd_esm_rabbitmq *r)
{
    free(r);
}

void hd_esm_rabbitmq_stats(const struct hd_esm_rabbitmq *r, struct hd_esm_poll_stats *out)
{
    hd_esm_source_stats(&r->source, out);
}
