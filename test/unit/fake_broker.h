/* test/unit/fake_broker.h - as much of an AMQP broker as one client with one queue needs, on a
 * thread of its own, and able to behave badly. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fake_broker;

/** How it answers a publish. */
enum fake_confirm {
    FAKE_ACK,
    FAKE_NACK,
    FAKE_RETURN, /* no queue takes it: it comes back, and is confirmed */
    FAKE_SILENT, /* it is kept, and nothing is said */
};

/** What it has seen; a copy. */
struct fake_counts {
    unsigned connections, published, delivered, acked, rejected, requeued;
    unsigned ready, unacked, prefetch; /* as of now */
};

struct fake_broker *fake_broker_new(void);
void fake_broker_free(struct fake_broker *b);
uint16_t fake_broker_port(const struct fake_broker *b);
void fake_broker_confirm(struct fake_broker *b, enum fake_confirm how);
/** Drop the connection when it has @p publishes more; 0: at once. What was published stays. */
void fake_broker_drop_after(struct fake_broker *b, unsigned publishes);
/** Send some bytes that are no AMQP. */
void fake_broker_babble(struct fake_broker *b);
/** Put a message into the queue. */
void fake_broker_put(struct fake_broker *b, const char *body);
struct fake_counts fake_broker_counts(struct fake_broker *b);
