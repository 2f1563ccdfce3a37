/* A bucket is one number: the time at which it will be full (the "virtual scheduling" form of the
 * generic cell rate algorithm, ITU-T I.371). Each token taken moves that time back by the interval
 * at which tokens flow in. Nothing has to be refilled, and no remainder is ever lost to rounding:
 *
 *      tokens = (burst * interval - (full_ns - now)) / interval        full_ns <= now: full
 */
#include "gateway/ratelimit.h"

#include "core/id.h"
#include "core/map.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdio.h>

enum { SHARDS = 64, SCAN = 16, NONE = 0 }; /* slots are counted from 1 */

static const uint64_t NS_PER_S = 1000000000;

struct bucket {
    struct hd_ratelimit_key key;
    uint64_t full_ns;      /* when it is full again */
    uint64_t refusing_ns;  /* until when it has no whole token */
    uint32_t chain;        /* next one with the same head */
    uint32_t older, newer; /* by use */
};

struct shard {
    alignas(64) pthread_mutex_t lock;
    struct bucket *slots; /* [0] is the one that is shared when no other can be given up */
    uint32_t *heads;
    uint32_t used, oldest, newest;
    uint64_t allowed, over, evicted, shared;
};

struct hd_ratelimit {
    struct shard shards[SHARDS];
    struct bucket *slots; /* of all: large enough to come as pages that cost nothing until used */
    uint64_t seeds[2];
    uint32_t per_shard, head_mask;
    bool dry_run;
};

struct hd_ratelimit *hd_ratelimit_new(const struct hd_ratelimit_options *opt)
{
    static const struct hd_ratelimit_options defaults = {.max_buckets = 0};
    if (opt == NULL)
        opt = &defaults;
    struct hd_ratelimit *r = NULL;
    if (posix_memalign((void **)&r, alignof(struct hd_ratelimit), sizeof(*r)) != 0)
        abort();
    *r = (struct hd_ratelimit){.dry_run = opt->dry_run};
    struct hd_rng rng;
    hd_rng_init(&rng, opt->seed);
    for (int i = 0; i < 2; i++)
        r->seeds[i] = hd_rng_next(&rng);
    uint32_t max = opt->max_buckets > 0 ? opt->max_buckets : 65536;
    r->per_shard = (max + SHARDS - 1) / SHARDS;
    uint32_t heads = 16;
    while (heads < r->per_shard && heads < 1u << 30)
        heads *= 2;
    r->head_mask = heads - 1;
    r->slots = hd_new_array(struct bucket, SHARDS * ((size_t)r->per_shard + 1));
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &r->shards[i];
        pthread_mutex_init(&s->lock, NULL);
        s->slots = r->slots + (size_t)i * (r->per_shard + 1);
        s->heads = hd_new_array(uint32_t, heads);
    }
    return r;
}

void hd_ratelimit_free(struct hd_ratelimit *r)
{
    if (r == NULL)
        return;
    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_destroy(&r->shards[i].lock);
        free(r->shards[i].heads);
    }
    free(r->slots);
    free(r);
}

void hd_ratelimit_stats(struct hd_ratelimit_stats *out, struct hd_ratelimit *r)
{
    *out = (struct hd_ratelimit_stats){.allowed = 0};
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &r->shards[i];
        pthread_mutex_lock(&s->lock);
        out->allowed += s->allowed;
        out->over += s->over;
        out->evicted += s->evicted;
        out->shared += s->shared;
        out->buckets += s->used;
        pthread_mutex_unlock(&s->lock);
    }
}

struct hd_ratelimit_key hd_ratelimit_key(const struct hd_ratelimit *r,
                                         enum hd_ratelimit_scope scope, struct hd_str who,
                                         struct hd_str function)
{
    struct hd_ratelimit_key key;
    for (int i = 0; i < 2; i++) {
        uint64_t h = hd_hash(function.ptr, function.len, r->seeds[i] + scope);
        key.hash[i] = hd_hash(who.ptr, who.len, h);
    }
    return key;
}

/* --- the table --- */

static void unlink_use(struct shard *s, uint32_t i)
{
    struct bucket *b = &s->slots[i];
    *(b->older != NONE ? &s->slots[b->older].newer : &s->oldest) = b->newer;
    *(b->newer != NONE ? &s->slots[b->newer].older : &s->newest) = b->older;
}

static void link_newest(struct shard *s, uint32_t i)
{
    struct bucket *b = &s->slots[i];
    b->older = s->newest;
    b->newer = NONE;
    *(s->newest != NONE ? &s->slots[s->newest].newer : &s->oldest) = i;
    s->newest = i;
}

static void touch(struct shard *s, uint32_t i)
{
    if (s->newest == i)
        return;
    unlink_use(s, i);
    link_newest(s, i);
}

static uint32_t *head_of(const struct hd_ratelimit *r, struct shard *s, struct hd_ratelimit_key key)
{
    return &s->heads[key.hash[1] & r->head_mask];
}

static void unlink_chain(const struct hd_ratelimit *r, struct shard *s, uint32_t i)
{
    uint32_t *at = head_of(r, s, s->slots[i].key);
    while (*at != i)
        at = &s->slots[*at].chain;
    *at = s->slots[i].chain;
}

/* The slot to use again, or NONE when those looked at are all refusing. They become the newest, so
 * that the next search goes on behind them. */
static uint32_t give_up_one(struct shard *s, uint64_t now_ns)
{
    uint32_t second_best = NONE, next = s->oldest;
    for (int n = 0; n < SCAN && next != NONE; n++) {
        uint32_t i = next;
        next = s->slots[i].newer;
        if (s->slots[i].full_ns <= now_ns)
            return i;
        if (s->slots[i].refusing_ns > now_ns)
            touch(s, i);
        else if (second_best == NONE)
            second_best = i;
    }
    return second_best;
}

static uint32_t find_or_add(const struct hd_ratelimit *r, struct shard *s,
                            struct hd_ratelimit_key key, uint64_t now_ns)
{
    uint32_t *head = head_of(r, s, key);
    for (uint32_t i = *head; i != NONE; i = s->slots[i].chain) {
        if (s->slots[i].key.hash[0] == key.hash[0] && s->slots[i].key.hash[1] == key.hash[1]) {
            touch(s, i);
            return i;
        }
    }
    uint32_t i;
    if (s->used < r->per_shard) {
        i = ++s->used;
    } else {
        i = give_up_one(s, now_ns);
        if (i == NONE) {
            s->shared++;
            return 0;
        }
        s->evicted++;
        unlink_chain(r, s, i);
        unlink_use(s, i);
    }
    s->slots[i] = (struct bucket){.key = key, .full_ns = now_ns, .chain = *head};
    *head = i;
    link_newest(s, i);
    return i;
}

/* --- deciding --- */

static uint32_t ceil_s(uint64_t ns)
{
    return (uint32_t)((ns + NS_PER_S - 1) / NS_PER_S);
}

struct hd_ratelimit_result hd_ratelimit_take(struct hd_ratelimit *r, struct hd_ratelimit_key key,
                                             uint32_t rpm, uint32_t burst, uint32_t cost,
                                             uint64_t now_ms)
{
    uint32_t limit = burst > 0 ? burst : rpm;
    /* One second in, so that times before now can be written while the clock still shows 0. */
    uint64_t now_ns = now_ms * 1000000 + NS_PER_S;
    uint64_t interval = 60 * NS_PER_S / rpm, whole = interval * limit;
    uint64_t price = interval * (cost < limit ? cost : limit);

    struct shard *s = &r->shards[key.hash[0] % SHARDS];
    pthread_mutex_lock(&s->lock);
    struct bucket *b = &s->slots[find_or_add(r, s, key, now_ns)];
    uint64_t missing = b->full_ns > now_ns ? b->full_ns - now_ns : 0;
    if (missing > whole)
        missing = whole; /* it held more before a reload */
    bool over = missing + price > whole;
    uint64_t wait = over ? missing + price - whole : 0;
    if (!over)
        missing += price;
    b->full_ns = now_ns + missing;
    b->refusing_ns = missing + interval > whole ? now_ns + missing + interval - whole : 0;
    s->over += over;
    s->allowed += !over;
    pthread_mutex_unlock(&s->lock);

    return (struct hd_ratelimit_result){
        .allowed = !over || r->dry_run,
        .over = over,
        .limit = limit,
        .remaining = (uint32_t)((whole - missing) / interval),
        .window_s = HD_MAX(ceil_s(whole), 1u),
        .reset_s = ceil_s(missing),
        .retry_after_s = ceil_s(wait),
    };
}

/* --- fields --- */

size_t hd_ratelimit_fields(struct hd_field out[HD_RATELIMIT_FIELDS_MAX],
                           char text[HD_RATELIMIT_TEXT_BYTES],
                           const struct hd_ratelimit_result *result)
{
    static const char *const names[HD_RATELIMIT_FIELDS_MAX] = {
        "ratelimit-policy",      "ratelimit",         "x-ratelimit-limit",
        "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after"};
    char *at = text, *end = text + HD_RATELIMIT_TEXT_BYTES;
    size_t n = 0, fields = result->over ? 6 : 5;
    for (; n < fields; n++) {
        size_t room = (size_t)(end - at);
        int len = 0;
        switch (n) {
        case 0:
            len = snprintf(at, room, "\"default\";q=%u;w=%u", result->limit, result->window_s);
            break;
        case 1:
            len = snprintf(at, room, "\"default\";r=%u;t=%u", result->remaining, result->reset_s);
            break;
        case 2:
            len = snprintf(at, room, "%u", result->limit);
            break;
        case 3:
            len = snprintf(at, room, "%u", result->remaining);
            break;
        case 4:
            len = snprintf(at, room, "%u", result->reset_s);
            break;
        default:
            len = snprintf(at, room, "%u", result->retry_after_s);
            break;
        }
        out[n] = (struct hd_field){hd_str(names[n]), hd_str_n(at, (size_t)len)};
        at += len;
    }
    return n;
}
