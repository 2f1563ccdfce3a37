#include "lanes/acks.h"

void hd_acks_init(struct hd_acks *a)
{
    memset(a, 0, sizeof(*a));
    a->below = 1;
}

static uint64_t *word_of(struct hd_acks *a, uint64_t tag)
{
    return &a->bits[tag % HD_ACKS_WINDOW / 64];
}

static uint64_t bit_of(uint64_t tag)
{
    return (uint64_t)1 << (tag % 64);
}

/* The first is settled: on to the next one that is not. */
static void move_on(struct hd_acks *a)
{
    a->below++;
    while ((*word_of(a, a->below) & bit_of(a->below)) != 0) {
        *word_of(a, a->below) &= ~bit_of(a->below);
        a->below++;
    }
}

void hd_acks_skip(struct hd_acks *a, uint64_t tag)
{
    if (a->lost || tag < a->below)
        return;
    if (tag - a->below >= HD_ACKS_WINDOW)
        a->lost = true;
    else if (tag == a->below)
        move_on(a);
    else
        *word_of(a, tag) |= bit_of(tag);
}

bool hd_acks_add(struct hd_acks *a, uint64_t tag)
{
    bool next = !a->lost && tag == a->below;
    hd_acks_skip(a, tag);
    if (next)
        a->ready = tag;
    return next;
}

uint64_t hd_acks_take(struct hd_acks *a)
{
    uint64_t tag = a->ready;
    a->ready = 0;
    return tag;
}
