/* rabbitmq_wire.c - AMQP 0-9-1 by librabbitmq: what is declared, published, confirmed, delivered.
 */
#include "broker/amqp.h"
#include "core/clock.h"
#include "lanes/rabbitmq_private.h"

#include <amqp_framing.h>
#include <stdio.h>
#include <sys/time.h>

enum { CHANNEL = HD_AMQP_CHANNEL, TAG_BITS = 48, ARGUMENTS_MAX = 32 };

static amqp_bytes_t str_bytes(struct hd_str s)
{
    return (amqp_bytes_t){.len = s.len, .bytes = (void *)(uintptr_t)s.ptr};
}

/* --- declaring --- */

static void set_argument(amqp_table_entry_t *entries, int *n, const char *key, amqp_field_value_t v)
{
    for (int i = 0; i < *n; i++) {
        if (hd_str_is(hd_amqp_str(entries[i].key), key)) {
            entries[i].value = v;
            return;
        }
    }
    if (*n < ARGUMENTS_MAX)
        entries[(*n)++] = (amqp_table_entry_t){.key = amqp_cstring_bytes(key), .value = v};
}

static amqp_field_value_t text_value(struct hd_str s)
{
    return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = str_bytes(s)};
}

static amqp_field_value_t number_value(uint64_t n)
{
    return n <= INT32_MAX
               ? (amqp_field_value_t){.kind = AMQP_FIELD_KIND_I32, .value.i32 = (int32_t)n}
               : (amqp_field_value_t){.kind = AMQP_FIELD_KIND_I64, .value.i64 = (int64_t)n};
}

/* An argument as the configuration has it: key=JSON, of simple values. */
static amqp_field_value_t value_of(struct hd_str json)
{
    uint64_t n;
    if (hd_str_to_u64(&n, json) == 0)
        return number_value(n);
    if (hd_str_is(json, "true") || hd_str_is(json, "false"))
        return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_BOOLEAN,
                                    .value.boolean = json.ptr[0] == 't'};
    if (json.len >= 2 && *json.ptr == '"')
        json = hd_str_n(json.ptr + 1, json.len - 2);
    return text_value(json);
}

static void own_arguments(const struct hd_lane_queue *c, amqp_table_entry_t *entries, int *n,
                          char keys[ARGUMENTS_MAX][64])
{
    for (size_t i = 0; i < c->arguments.n && i < ARGUMENTS_MAX; i++) {
        struct hd_str all = hd_str(c->arguments.items[i]);
        size_t equals = hd_str_find(all, '=');
        snprintf(keys[i], sizeof(keys[i]), "%.*s", (int)HD_MIN(equals, (size_t)63), all.ptr);
        set_argument(entries, n, keys[i],
                     value_of(hd_str_n(all.ptr + equals + 1, all.len - equals - 1)));
    }
}

static int declare(struct hd_rabbit *r, const char *queue, amqp_table_t arguments,
                   struct hd_error *err)
{
    const struct hd_lane_queue *c = r->base.config;
    char what[200];
    snprintf(what, sizeof(what), "declaring the queue %s", queue);
    amqp_queue_declare(r->conn, CHANNEL, amqp_cstring_bytes(queue), c->declare == HD_QUEUE_PASSIVE,
                       c->durable, 0, 0, arguments);
    return hd_amqp_check(amqp_get_rpc_reply(r->conn), what, err);
}

static int declare_all(struct hd_rabbit *r, struct hd_error *err)
{
    const struct hd_lane_queue *c = r->base.config;
    amqp_table_entry_t entries[ARGUMENTS_MAX + 4];
    char keys[ARGUMENTS_MAX][64];
    int n = 0, rc = 0;
    if (c->dlq_queue != NULL)
        rc = declare(r, c->dlq_queue, amqp_empty_table, err);
    if (rc < 0)
        return rc;
    own_arguments(c, entries, &n, keys);
    bool has_type = false;
    for (int i = 0; i < n; i++)
        has_type = has_type || hd_str_is(hd_amqp_str(entries[i].key), "x-queue-type");
    if (c->quorum && !has_type)
        set_argument(entries, &n, "x-queue-type", text_value(hd_str("quorum")));
    if (c->message_ttl_ms >= 0)
        set_argument(entries, &n, "x-message-ttl", number_value((uint64_t)c->message_ttl_ms));
    if (c->dlq_exchange != NULL || c->dlq_queue != NULL)
        set_argument(entries, &n, "x-dead-letter-exchange",
                     text_value(hd_str(c->dlq_exchange != NULL ? c->dlq_exchange : "")));
    if (c->dlq_routing_key != NULL || (c->dlq_queue != NULL && c->dlq_exchange == NULL))
        set_argument(
            entries, &n, "x-dead-letter-routing-key",
            text_value(hd_str(c->dlq_routing_key != NULL ? c->dlq_routing_key : c->dlq_queue)));
    return declare(r, c->queue_name, (amqp_table_t){.num_entries = n, .entries = entries}, err);
}

/* --- connecting --- */

static int set_up(struct hd_rabbit *r, struct hd_error *err)
{
    int rc = 0;
    if (r->base.config->publish_confirm) {
        amqp_confirm_select(r->conn, CHANNEL);
        rc = hd_amqp_check(amqp_get_rpc_reply(r->conn), "asking for confirms", err);
    }
    if (rc == 0)
        rc = declare_all(r, err);
    if (rc == 0) {
        amqp_basic_qos(r->conn, CHANNEL, 0, (uint16_t)r->base.config->prefetch, 0);
        rc = hd_amqp_check(amqp_get_rpc_reply(r->conn), "setting the prefetch", err);
    }
    return rc;
}

int hd_rabbit_connect(struct hd_rabbit *r, struct hd_error *err)
{
    struct hd_amqp_address to = {.url = r->base.config->url, .publishes = true};
    int rc = hd_amqp_open(&r->conn, &to, err);
    if (rc < 0)
        return rc;
    hd_acks_init(&r->acks);
    rc = set_up(r, err);
    if (rc < 0)
        hd_rabbit_disconnect(r);
    return rc;
}

void hd_rabbit_disconnect(struct hd_rabbit *r)
{
    hd_amqp_close(r->conn);
    r->conn = NULL;
    r->blocked = false;
}

/* --- publishing --- */

int hd_rabbit_send(struct hd_rabbit *r, struct hd_rabbit_job *job, struct hd_error *err)
{
    amqp_basic_properties_t props = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG |
                                               AMQP_BASIC_CONTENT_TYPE_FLAG |
                                               AMQP_BASIC_HEADERS_FLAG,
                                     .delivery_mode = AMQP_DELIVERY_PERSISTENT,
                                     .content_type = amqp_cstring_bytes("application/json"),
                                     .headers = amqp_empty_table};
    if (job->id.len > 0) {
        props._flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
        props.message_id = str_bytes(job->id);
    }
    int status = amqp_basic_publish(r->conn, CHANNEL, amqp_empty_bytes,
                                    amqp_cstring_bytes(r->base.config->queue_name), 1, 0, &props,
                                    str_bytes(job->body));
    job->seq = r->next_seq++;
    job->sent_ms = hd_clock_ms();
    hd_list_push(&r->pending, &job->link);
    if (status != AMQP_STATUS_OK)
        return hd_amqp_check_status(status, "publishing", err);
    if (r->base.config->publish_confirm)
        return 0;
    hd_list_remove(&job->link);
    uint64_t tag = job->how == HD_LANE_REPLACE ? job->tag : 0;
    hd_rabbit_tell_published(r, job, NULL);
    return tag > 0 ? hd_rabbit_settle(r, tag, HD_LANE_ACK, err) : 0;
}

static int confirmed(struct hd_rabbit *r, struct hd_rabbit_job *job, bool ok, struct hd_error *err)
{
    struct hd_error why;
    uint64_t tag = job->how == HD_LANE_REPLACE ? job->tag : 0;
    hd_list_remove(&job->link);
    if (job->returned)
        hd_fail(&why, HD_EIO, "the queue %s is not there any more", r->base.config->queue_name);
    else if (!ok)
        hd_fail(&why, HD_EIO, "the broker refused the message");
    bool good = ok && !job->returned;
    hd_rabbit_tell_published(r, job, good ? NULL : &why);
    return tag > 0 ? hd_rabbit_settle(r, tag, good ? HD_LANE_ACK : HD_LANE_RETURN, err) : 0;
}

static int on_confirm(struct hd_rabbit *r, uint64_t seq, bool multiple, bool ok,
                      struct hd_error *err)
{
    int rc = 0;
    hd_list_each(l, &r->pending)
    {
        struct hd_rabbit_job *job = hd_container_of(l, struct hd_rabbit_job, link);
        if (job->seq > seq)
            break;
        if ((job->seq == seq || multiple) && rc == 0)
            rc = confirmed(r, job, ok, err);
    }
    return rc;
}

/* --- settling --- */

bool hd_rabbit_is_void(const struct hd_rabbit *r, uint64_t tag)
{
    return tag >> TAG_BITS != r->epoch;
}

int hd_rabbit_settle(struct hd_rabbit *r, uint64_t tag, enum hd_lane_settle how,
                     struct hd_error *err)
{
    uint64_t own = tag & (((uint64_t)1 << TAG_BITS) - 1);
    if (hd_rabbit_is_void(r, tag))
        return 0; /* of an earlier connection: the broker delivers it again */
    if (r->inflight > 0)
        r->inflight--;
    int status = AMQP_STATUS_OK;
    if (how != HD_LANE_ACK) {
        hd_acks_skip(&r->acks, own);
        status = amqp_basic_nack(r->conn, CHANNEL, own, 0, how == HD_LANE_RETURN);
    } else if (!hd_acks_add(&r->acks, own)) {
        status = amqp_basic_ack(r->conn, CHANNEL, own, 0);
    }
    return hd_amqp_check_status(status, "settling", err);
}

int hd_rabbit_flush(struct hd_rabbit *r, struct hd_error *err)
{
    uint64_t tag = r->conn != NULL ? hd_acks_take(&r->acks) : 0;
    return tag > 0 ? hd_amqp_check_status(amqp_basic_ack(r->conn, CHANNEL, tag, 1), "settling", err)
                   : 0;
}

/* --- consuming --- */

int hd_rabbit_begin_consume(struct hd_rabbit *r, struct hd_error *err)
{
    int rc = 0;
    if (r->prefetch > 0) {
        amqp_basic_qos(r->conn, CHANNEL, 0, (uint16_t)HD_MIN(r->prefetch, 65535U), 0);
        rc = hd_amqp_check(amqp_get_rpc_reply(r->conn), "setting the prefetch", err);
    }
    if (rc < 0)
        return rc;
    amqp_basic_consume(r->conn, CHANNEL, amqp_cstring_bytes(r->base.config->queue_name),
                       amqp_cstring_bytes("heddle"), 0, 0, 0, amqp_empty_table);
    rc = hd_amqp_check(amqp_get_rpc_reply(r->conn), "consuming", err);
    r->consuming = rc == 0;
    return rc;
}

int hd_rabbit_end_consume(struct hd_rabbit *r, struct hd_error *err)
{
    if (!r->consuming)
        return 0;
    r->consuming = false;
    amqp_basic_cancel(r->conn, CHANNEL, amqp_cstring_bytes("heddle"));
    return hd_amqp_check(amqp_get_rpc_reply(r->conn), "ending to consume", err);
}

static uint32_t delivery_count(const amqp_basic_properties_t *p)
{
    const amqp_table_entry_t *e = NULL;
    bool headers = (p->_flags & AMQP_BASIC_HEADERS_FLAG) != 0;
    for (int i = 0; headers && i < p->headers.num_entries; i++) {
        if (hd_str_is(hd_amqp_str(p->headers.entries[i].key), "x-delivery-count"))
            e = &p->headers.entries[i];
    }
    if (e == NULL)
        return 0;
    switch (e->value.kind) {
    case AMQP_FIELD_KIND_I8:
        return (uint32_t)HD_MAX(e->value.value.i8, 0);
    case AMQP_FIELD_KIND_U8:
        return e->value.value.u8;
    case AMQP_FIELD_KIND_I16:
        return (uint32_t)HD_MAX(e->value.value.i16, 0);
    case AMQP_FIELD_KIND_U16:
        return e->value.value.u16;
    case AMQP_FIELD_KIND_I32:
        return (uint32_t)HD_MAX(e->value.value.i32, 0);
    case AMQP_FIELD_KIND_U32:
        return e->value.value.u32;
    case AMQP_FIELD_KIND_I64:
        return (uint32_t)HD_MAX(e->value.value.i64, (int64_t)0);
    default: /* librabbitmq's own kinds are many more, and none of them counts */
        return 0;
    }
}

static void delivered(struct hd_rabbit *r, const amqp_envelope_t *e)
{
    struct hd_lane_delivery d = {.tag = (uint64_t)r->epoch << TAG_BITS | e->delivery_tag,
                                 .body = hd_amqp_str(e->message.body),
                                 .delivery_count = delivery_count(&e->message.properties),
                                 .redelivered = e->redelivered};
    r->inflight++;
    hd_rabbit_tell_delivery(r, &d);
}

/* A message that no queue took comes back, before its confirm. */
static int on_return(struct hd_rabbit *r, struct hd_error *err)
{
    amqp_message_t message;
    int rc = hd_amqp_check(amqp_read_message(r->conn, CHANNEL, &message, 0),
                           "taking a message back", err);
    if (rc < 0)
        return rc;
    struct hd_str id = (message.properties._flags & AMQP_BASIC_MESSAGE_ID_FLAG) != 0
                           ? hd_amqp_str(message.properties.message_id)
                           : hd_str("");
    hd_list_each(l, &r->pending)
    {
        struct hd_rabbit_job *job = hd_container_of(l, struct hd_rabbit_job, link);
        job->returned = job->returned || hd_str_eq(job->id, id);
    }
    amqp_destroy_message(&message);
    return 0;
}

/* What was sent already lies in the connection, and goes on when the broker reads again. */
static void on_blocked(struct hd_rabbit *r, const amqp_connection_blocked_t *m)
{
    hd_fail(&r->last_error, HD_EBUSY, "it takes no messages now: %.*s",
            (int)HD_MIN(m->reason.len, (size_t)100), (const char *)m->reason.bytes);
    if (!r->blocked)
        hd_log(r->log, HD_WARN, "the broker takes no messages, refusing until it does",
               hd_kv_str("queue", r->base.config->name),
               hd_kv_slice("reason", hd_amqp_str(m->reason)));
    r->blocked = true;
    r->blocked_ms = hd_clock_ms();
}

static int on_unblocked(struct hd_rabbit *r, struct hd_error *err)
{
    struct hd_list *l;
    int rc = 0;
    hd_log(r->log, HD_INFO, "the broker takes messages again",
           hd_kv_str("queue", r->base.config->name));
    r->blocked = false;
    r->blocked_ms = hd_clock_ms(); /* from now on confirms may be expected */
    r->last_error = (struct hd_error){0};
    while (rc == 0 && (l = hd_list_pop(&r->held)) != NULL)
        rc = hd_rabbit_send(r, hd_container_of(l, struct hd_rabbit_job, link), err);
    return rc;
}

static int on_method(struct hd_rabbit *r, const amqp_method_t *m, struct hd_error *err)
{
    if (m->id == AMQP_CONNECTION_BLOCKED_METHOD) {
        on_blocked(r, m->decoded);
        return 0;
    }
    if (m->id == AMQP_CONNECTION_UNBLOCKED_METHOD)
        return on_unblocked(r, err);
    if (m->id == AMQP_BASIC_ACK_METHOD) {
        const amqp_basic_ack_t *ack = m->decoded;
        return on_confirm(r, ack->delivery_tag, ack->multiple, true, err);
    }
    if (m->id == AMQP_BASIC_NACK_METHOD) {
        const amqp_basic_nack_t *nack = m->decoded;
        return on_confirm(r, nack->delivery_tag, nack->multiple, false, err);
    }
    if (m->id == AMQP_BASIC_RETURN_METHOD)
        return on_return(r, err);
    if (m->id == AMQP_BASIC_CANCEL_METHOD)
        return hd_fail(err, HD_EIO, "the broker took the queue %s away",
                       r->base.config->queue_name);
    return hd_amqp_unexpected(m, "receiving", err);
}

int hd_rabbit_receive(struct hd_rabbit *r, struct hd_error *err)
{
    struct timeval now = {0};
    for (;;) {
        amqp_envelope_t e;
        amqp_frame_t frame;
        amqp_maybe_release_buffers(r->conn);
        amqp_rpc_reply_t reply = amqp_consume_message(r->conn, &e, &now, 0);
        if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
            delivered(r, &e);
            amqp_destroy_envelope(&e);
            continue;
        }
        if (reply.reply_type != AMQP_RESPONSE_LIBRARY_EXCEPTION)
            return hd_amqp_check(reply, "receiving", err);
        if (reply.library_error == AMQP_STATUS_TIMEOUT)
            return 0;
        if (reply.library_error != AMQP_STATUS_UNEXPECTED_STATE)
            return hd_amqp_check(reply, "receiving", err);
        int status = amqp_simple_wait_frame_noblock(r->conn, &frame, &now);
        if (status == AMQP_STATUS_TIMEOUT)
            return 0;
        if (status != AMQP_STATUS_OK)
            return hd_amqp_check_status(status, "receiving", err);
        if (frame.frame_type == AMQP_FRAME_METHOD) {
            int rc = on_method(r, &frame.payload.method, err);
            if (rc < 0)
                return rc;
        }
    }
}
