/* bench/lanes/bare.c - what a broker and this machine can do: publish and consume, confirmed and
 * acknowledged, in a loop over one connection that does nothing else: bare COUNT BYTES URL. The
 * queue, the prefetch and how much waits for its confirm are those of events.c. Prints messages/s.
 */
#include "broker/amqp.h"
#include "core/clock.h"

#include <amqp_framing.h>
#include <stdio.h>
#include <unistd.h>

enum { WINDOW = 1024, PREFETCH = 64 };

static amqp_connection_state_t conn;
static uint64_t wanted, published, confirmed, seen;

static void must(int rc, const struct hd_error *err)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s\n", err->msg);
    exit(1);
}

static void set_up(const char *url, amqp_bytes_t queue)
{
    struct hd_error err;
    struct hd_amqp_address to = {.url = url};
    amqp_table_entry_t quorum = {
        .key = amqp_cstring_bytes("x-queue-type"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("quorum")}};
    must(hd_amqp_open(&conn, &to, &err), &err);
    amqp_confirm_select(conn, HD_AMQP_CHANNEL);
    must(hd_amqp_check(amqp_get_rpc_reply(conn), "confirms", &err), &err);
    amqp_queue_declare(conn, HD_AMQP_CHANNEL, queue, 0, 1, 0, 0, (amqp_table_t){1, &quorum});
    must(hd_amqp_check(amqp_get_rpc_reply(conn), "declaring", &err), &err);
    amqp_basic_qos(conn, HD_AMQP_CHANNEL, 0, PREFETCH, 0);
    must(hd_amqp_check(amqp_get_rpc_reply(conn), "prefetch", &err), &err);
    amqp_basic_consume(conn, HD_AMQP_CHANNEL, queue, amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    must(hd_amqp_check(amqp_get_rpc_reply(conn), "consuming", &err), &err);
}

static void publish_some(amqp_bytes_t queue, amqp_bytes_t body)
{
    struct hd_error err;
    amqp_basic_properties_t props = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                     .delivery_mode = AMQP_DELIVERY_PERSISTENT};
    for (; published < wanted && published - confirmed < WINDOW; published++)
        must(hd_amqp_check_status(amqp_basic_publish(conn, HD_AMQP_CHANNEL, amqp_empty_bytes, queue,
                                                     1, 0, &props, body),
                                  "publishing", &err),
             &err);
}

static void take_one(void)
{
    struct hd_error err;
    amqp_envelope_t e;
    amqp_frame_t frame;
    amqp_maybe_release_buffers(conn);
    amqp_rpc_reply_t reply = amqp_consume_message(conn, &e, NULL, 0);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
        seen++;
        must(hd_amqp_check_status(amqp_basic_ack(conn, HD_AMQP_CHANNEL, e.delivery_tag, 0), "ack",
                                  &err),
             &err);
        amqp_destroy_envelope(&e);
        return;
    }
    if (reply.reply_type != AMQP_RESPONSE_LIBRARY_EXCEPTION ||
        reply.library_error != AMQP_STATUS_UNEXPECTED_STATE)
        must(hd_amqp_check(reply, "receiving", &err), &err);
    must(hd_amqp_check_status(amqp_simple_wait_frame(conn, &frame), "receiving", &err), &err);
    if (frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
        const amqp_basic_ack_t *ack = frame.payload.method.decoded;
        confirmed = ack->multiple || ack->delivery_tag > confirmed ? ack->delivery_tag : confirmed;
    } else {
        fprintf(stderr, "the broker sent something else than deliveries and confirms\n");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    uint64_t bytes = 0;
    char name[64];
    if (argc != 4 || hd_str_to_u64(&wanted, hd_str(argv[1])) < 0 ||
        hd_str_to_u64(&bytes, hd_str(argv[2])) < 0) {
        fprintf(stderr, "usage: bare COUNT BYTES URL\n");
        return 64;
    }
    snprintf(name, sizeof(name), "bare-%d", (int)getpid());
    amqp_bytes_t queue = amqp_cstring_bytes(name);
    amqp_bytes_t body = {.len = bytes, .bytes = hd_alloc(bytes)};
    memset(body.bytes, 'x', bytes);
    set_up(argv[3], queue);
    uint64_t begin_us = hd_clock_us();
    while (seen < wanted) {
        publish_some(queue, body);
        take_one();
    }
    printf("%.0f\n", (double)wanted * 1e6 / (double)(hd_clock_us() - begin_us));
    hd_amqp_close(conn);
    free(body.bytes);
    return 0;
}
