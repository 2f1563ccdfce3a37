#include "core/map.h"

/* Two multiplications a 16-byte step, in the way of wyhash: enough against clustering, and with a
 * random seed enough against keys chosen to collide. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t r = (__uint128_t)a * b;
    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

static uint64_t load(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
    return v;
}

uint64_t hd_hash(const void *ptr, size_t len, uint64_t seed)
{
    static const uint64_t k0 = 0xa0761d6478bd642fULL, k1 = 0xe7037ed1a0b428dbULL;
    const unsigned char *p = ptr;
    uint64_t h = seed ^ k0;
    size_t left = len;
    for (; left > 16; left -= 16, p += 16)
        h = mix(load(p, 8) ^ k1, load(p + 8, 8) ^ h);
    uint64_t a = 0, b = 0;
    if (left > 8) {
        a = load(p, 8);
        b = load(p + 8, left - 8);
    } else if (left > 0) {
        a = load(p, left);
    }
    return mix(k1 ^ len, mix(a ^ k1, b ^ h));
}

void hd_map_init(struct hd_map *m, uint64_t seed)
{
    *m = (struct hd_map){.seed = seed};
}

void hd_map_done(struct hd_map *m)
{
    free(m->entries);
    hd_map_init(m, m->seed);
}

/* The entry of `key`, or the free one where it would go. The table is never full. */
static struct hd_map_entry *probe(const struct hd_map *m, struct hd_str key, uint64_t hash)
{
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct hd_map_entry *e = &m->entries[i];
        if (e->key.ptr == NULL || (e->hash == hash && hd_str_eq(e->key, key)))
            return e;
    }
}

void *hd_map_get(const struct hd_map *m, struct hd_str key)
{
    if (m->count == 0)
        return NULL;
    return probe(m, key, hd_hash(key.ptr, key.len, m->seed))->value;
}

static void grow(struct hd_map *m)
{
    struct hd_map old = *m;
    m->cap = old.cap > 0 ? old.cap * 2 : 16;
    m->entries = hd_new_array(struct hd_map_entry, m->cap);
    for (size_t i = 0; i < old.cap; i++) {
        if (old.entries[i].key.ptr != NULL)
            *probe(m, old.entries[i].key, old.entries[i].hash) = old.entries[i];
    }
    free(old.entries);
}

void *hd_map_put(struct hd_map *m, struct hd_str key, void *value)
{
    if ((m->count + 1) * 4 > m->cap * 3)
        grow(m);
    uint64_t hash = hd_hash(key.ptr, key.len, m->seed);
    struct hd_map_entry *e = probe(m, key, hash);
    void *before = e->value;
    if (e->key.ptr == NULL)
        m->count++;
    *e = (struct hd_map_entry){key, value, hash};
    return before;
}

void *hd_map_remove(struct hd_map *m, struct hd_str key)
{
    if (m->count == 0)
        return NULL;
    struct hd_map_entry *e = probe(m, key, hd_hash(key.ptr, key.len, m->seed));
    if (e->key.ptr == NULL)
        return NULL;
    void *value = e->value;
    size_t mask = m->cap - 1, hole = (size_t)(e - m->entries);
    m->entries[hole] = (struct hd_map_entry){.key = {NULL, 0}};
    m->count--;
    /* Close the gap: move up what would no longer be found across it. */
    for (size_t i = (hole + 1) & mask; m->entries[i].key.ptr != NULL; i = (i + 1) & mask) {
        size_t home = m->entries[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->entries[hole] = m->entries[i];
            m->entries[i] = (struct hd_map_entry){.key = {NULL, 0}};
            hole = i;
        }
    }
    return value;
}

bool hd_map_next(const struct hd_map *m, size_t *at, struct hd_str *key, void **value)
{
    while (*at < m->cap) {
        const struct hd_map_entry *e = &m->entries[(*at)++];
        if (e->key.ptr == NULL)
            continue;
        if (key != NULL)
            *key = e->key;
        if (value != NULL)
            *value = e->value;
        return true;
    }
    return false;
}
