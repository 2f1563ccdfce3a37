#include "auth/token_cache.h"

#include "core/id.h"
#include "core/list.h"
#include "core/map.h"

#include <openssl/evp.h>

struct entry {
    struct hd_list link; /* in `good` or `bad`, least recently used first */
    struct hd_token_digest digest;
    struct hd_identity *id; /* NULL: bad */
    int code;
    int64_t from_ms, until_ms; /* wall clock: tokens live by it */
};

struct hd_token_cache {
    struct hd_token_cache_options opt;
    struct hd_map map; /* digest to entry */
    struct hd_list good, bad;
    size_t n_good, n_bad, bytes;
    uint64_t epoch;
    uint64_t hits, bad_hits, misses, evicted;
    EVP_MD *sha256;
    EVP_MD_CTX *md;
};

struct hd_token_cache *hd_token_cache_new(const struct hd_token_cache_options *opt)
{
    struct hd_token_cache *c = hd_new(struct hd_token_cache);
    if (opt != NULL)
        c->opt = *opt;
    if (c->opt.max_good == 0)
        c->opt.max_good = 5000;
    if (c->opt.max_bad == 0)
        c->opt.max_bad = 1000;
    if (c->opt.max_bytes == 0)
        c->opt.max_bytes = 16u << 20;
    if (c->opt.bad_ttl_ms == 0)
        c->opt.bad_ttl_ms = 5000;
    uint64_t seed;
    hd_random(&seed, sizeof(seed));
    hd_map_init(&c->map, seed);
    hd_list_init(&c->good);
    hd_list_init(&c->bad);
    /* Fetched once: looking an algorithm up takes longer than to hash a token with it. */
    c->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    c->md = EVP_MD_CTX_new();
    if (c->sha256 == NULL || c->md == NULL)
        abort(); /* out of memory, or an OpenSSL without SHA-256: nothing would work */
    return c;
}

static void drop(struct hd_token_cache *c, struct entry *e)
{
    hd_map_remove(&c->map, hd_str_n((const char *)e->digest.bytes, sizeof(e->digest.bytes)));
    hd_list_remove(&e->link);
    if (e->id != NULL) {
        c->n_good--;
        c->bytes -= e->id->bytes;
    } else {
        c->n_bad--;
    }
    hd_identity_unref(e->id);
    free(e);
}

static void drop_all(struct hd_token_cache *c)
{
    hd_list_each(item, &c->good) drop(c, hd_container_of(item, struct entry, link));
    hd_list_each(item, &c->bad) drop(c, hd_container_of(item, struct entry, link));
}

void hd_token_cache_free(struct hd_token_cache *c)
{
    if (c == NULL)
        return;
    drop_all(c);
    hd_map_done(&c->map);
    EVP_MD_CTX_free(c->md);
    EVP_MD_free(c->sha256);
    free(c);
}

void hd_token_cache_stats(struct hd_token_cache_stats *out, const struct hd_token_cache *c)
{
    *out = (struct hd_token_cache_stats){
        .hits = c->hits,
        .bad_hits = c->bad_hits,
        .misses = c->misses,
        .evicted = c->evicted,
        .good = c->n_good,
        .bad = c->n_bad,
        .bytes = c->bytes,
    };
}

void hd_token_cache_digest(struct hd_token_digest *out, struct hd_token_cache *c,
                           struct hd_str token)
{
    unsigned n = 0;
    if (EVP_DigestInit_ex2(c->md, c->sha256, NULL) != 1 ||
        EVP_DigestUpdate(c->md, token.ptr, token.len) != 1 ||
        EVP_DigestFinal_ex(c->md, out->bytes, &n) != 1 || n != sizeof(out->bytes))
        abort(); /* must not be guessed at: a wrong digest is somebody else's identity */
}

void hd_token_cache_epoch(struct hd_token_cache *c, uint64_t epoch)
{
    if (c->epoch == epoch)
        return;
    drop_all(c);
    c->epoch = epoch;
}

static struct entry *find(struct hd_token_cache *c, const struct hd_token_digest *digest)
{
    return hd_map_get(&c->map, hd_str_n((const char *)digest->bytes, sizeof(digest->bytes)));
}

int hd_token_cache_get(struct hd_token_cache *c, const struct hd_token_digest *digest,
                       int64_t now_ms, struct hd_identity **id, int *code)
{
    struct entry *e = find(c, digest);
    /* A clock that was set back says nothing about how long an entry has been here. */
    if (e != NULL && (now_ms >= e->until_ms || now_ms < e->from_ms)) {
        drop(c, e);
        e = NULL;
    }
    if (e == NULL) {
        c->misses++;
        return 0;
    }
    hd_list_remove(&e->link);
    if (e->id != NULL) {
        hd_list_push(&c->good, &e->link);
        c->hits++;
        *id = e->id;
        return 1;
    }
    hd_list_push(&c->bad, &e->link);
    c->bad_hits++;
    *code = e->code;
    return -1;
}

static void evict_oldest(struct hd_token_cache *c, struct hd_list *list)
{
    c->evicted++;
    drop(c, hd_container_of(list->next, struct entry, link));
}

static void put(struct hd_token_cache *c, const struct hd_token_digest *digest,
                struct hd_identity *id, int code, int64_t now_ms, int64_t until_ms)
{
    struct entry *e = find(c, digest);
    if (e != NULL)
        drop(c, e);
    e = hd_new(struct entry);
    e->digest = *digest;
    e->id = id;
    e->code = code;
    e->from_ms = now_ms;
    e->until_ms = until_ms;
    hd_list_push(id != NULL ? &c->good : &c->bad, &e->link);
    hd_map_put(&c->map, hd_str_n((const char *)e->digest.bytes, sizeof(e->digest.bytes)), e);
}

void hd_token_cache_put(struct hd_token_cache *c, const struct hd_token_digest *digest,
                        struct hd_identity *id, int64_t now_ms)
{
    int64_t until_ms;
    if (id->bytes > c->opt.max_bytes ||
        __builtin_mul_overflow(id->valid_until_s, (int64_t)1000, &until_ms))
        return;
    while (c->n_good > 0 &&
           (c->n_good >= c->opt.max_good || c->bytes + id->bytes > c->opt.max_bytes))
        evict_oldest(c, &c->good);
    put(c, digest, hd_identity_ref(id), 0, now_ms, until_ms);
    c->n_good++;
    c->bytes += id->bytes;
}

void hd_token_cache_put_bad(struct hd_token_cache *c, const struct hd_token_digest *digest,
                            int code, int64_t now_ms)
{
    while (c->n_bad >= c->opt.max_bad)
        evict_oldest(c, &c->bad);
    put(c, digest, NULL, code, now_ms, now_ms + c->opt.bad_ttl_ms);
    c->n_bad++;
}
