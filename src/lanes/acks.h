/* lanes/acks.h - which deliveries of a channel can be acknowledged together: those up to the first
 * one that is not settled yet. Pure; tags are 1, 2, 3, ... as the broker counts them. */
#pragma once

#include "core/base.h"

enum { HD_ACKS_WINDOW = 65536 };

struct hd_acks {
    uint64_t below;                     /* the first that is not settled */
    uint64_t ready;                     /* the last that waits for hd_acks_take(); 0: none */
    bool lost;                          /* one was settled so far ahead that it was not noted */
    uint64_t bits[HD_ACKS_WINDOW / 64]; /* settled ones after `below` */
};

/** A channel begins: nothing was delivered yet. */
void hd_acks_init(struct hd_acks *a);
/** A delivery is done. @return whether hd_acks_take() will cover it; else acknowledge it alone. */
bool hd_acks_add(struct hd_acks *a, uint64_t tag);
/** A delivery is settled in another way, or alone. */
void hd_acks_skip(struct hd_acks *a, uint64_t tag);
/** @return the tag to acknowledge with all before it; 0: none. */
uint64_t hd_acks_take(struct hd_acks *a);
