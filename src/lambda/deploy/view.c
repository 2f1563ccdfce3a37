/* A view is a number of shards, each a small hash table. What changes copies one shard and shares
 * the others, so a change costs the same with ten functions and with ten thousand. */
#include "lambda/deploy/view_table.h"

#include "invoke/admission.h"
#include "lambda/names.h"
#include "lambda/policy.h"

enum { SHARDS = 64, ENTRY_BYTES_MAX = 64 << 20 };

struct shard { /* counted; immutable once it is shared */
    atomic_uint owners;
    struct hd_map map;
};

struct hd_view {
    atomic_uint owners;
    size_t count;
    struct shard *functions[SHARDS]; /* by key: entries; NULL: empty */
    struct shard *urls[SHARDS];      /* by id: struct hd_view_url of an entry */
};

/* --- entries --- */

struct hd_view_entry *hd_view_entry_new(void)
{
    struct hd_view_entry *e = hd_new(struct hd_view_entry);
    atomic_init(&e->owners, 1);
    hd_arena_init(&e->arena, e->first, sizeof(e->first), ENTRY_BYTES_MAX);
    return e;
}

static void entry_ref(struct hd_view_entry *e)
{
    atomic_fetch_add_explicit(&e->owners, 1, memory_order_relaxed);
}

void hd_view_entry_unref(struct hd_view_entry *e)
{
    if (e == NULL || atomic_fetch_sub_explicit(&e->owners, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < e->fn.n_versions; i++)
        hd_target_unref(e->fn.versions[i].target);
    hd_admission_unref(e->fn.admission);
    hd_policies_unref((struct hd_policies *)e->fn.policies);
    hd_arena_done(&e->arena);
    free(e);
}

/* --- shards --- */

static struct hd_view_entry *entry_of(const struct hd_lambda_fn *fn)
{
    return hd_container_of(fn, struct hd_view_entry, fn);
}

static struct hd_view_entry *held_by(void *value, bool urls)
{
    return urls ? entry_of(((struct hd_view_url *)value)->fn) : value;
}

static void shard_unref(struct shard *s, bool urls)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->owners, 1, memory_order_acq_rel) != 1)
        return;
    size_t at = 0;
    void *value;
    while (hd_map_next(&s->map, &at, NULL, &value))
        hd_view_entry_unref(held_by(value, urls));
    hd_map_done(&s->map);
    free(s);
}

static struct shard *shard_copy(const struct shard *from, bool urls)
{
    struct shard *s = hd_new(struct shard);
    size_t at = 0;
    struct hd_str key;
    void *value;
    atomic_init(&s->owners, 1);
    hd_map_init(&s->map, 0);
    while (from != NULL && hd_map_next(&from->map, &at, &key, &value)) {
        entry_ref(held_by(value, urls));
        hd_map_put(&s->map, key, value);
    }
    return s;
}

/* Put @p value in, or take what is there out (NULL). */
static void shard_set(struct shard **all, struct hd_str key, void *value, bool urls)
{
    struct shard **at = &all[hd_hash(key.ptr, key.len, 0) % SHARDS];
    if (*at == NULL && value == NULL)
        return;
    if (*at == NULL || atomic_load_explicit(&(*at)->owners, memory_order_acquire) > 1) {
        struct shard *own = shard_copy(*at, urls);
        shard_unref(*at, urls);
        *at = own;
    }
    /* The key lies in the value, so the old one goes first. */
    void *old = hd_map_remove(&(*at)->map, key);
    if (value != NULL) {
        entry_ref(held_by(value, urls));
        hd_map_put(&(*at)->map, key, value);
    }
    if (old != NULL)
        hd_view_entry_unref(held_by(old, urls));
}

static void *shard_get(struct shard *const *all, struct hd_str key)
{
    const struct shard *s = all[hd_hash(key.ptr, key.len, 0) % SHARDS];
    return s != NULL ? hd_map_get(&s->map, key) : NULL;
}

/* --- views --- */

struct hd_view *hd_view_new(void)
{
    struct hd_view *v = hd_new(struct hd_view);
    atomic_init(&v->owners, 1);
    return v;
}

struct hd_view *hd_view_ref(struct hd_view *v)
{
    atomic_fetch_add_explicit(&v->owners, 1, memory_order_relaxed);
    return v;
}

void hd_view_unref(struct hd_view *v)
{
    if (v == NULL || atomic_fetch_sub_explicit(&v->owners, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        shard_unref(v->functions[i], false);
        shard_unref(v->urls[i], true);
    }
    free(v);
}

struct hd_view *hd_view_copy(const struct hd_view *from)
{
    struct hd_view *v = hd_view_new();
    v->count = from->count;
    for (size_t i = 0; i < SHARDS; i++) {
        v->functions[i] = from->functions[i];
        v->urls[i] = from->urls[i];
        if (v->functions[i] != NULL)
            atomic_fetch_add_explicit(&v->functions[i]->owners, 1, memory_order_relaxed);
        if (v->urls[i] != NULL)
            atomic_fetch_add_explicit(&v->urls[i]->owners, 1, memory_order_relaxed);
    }
    return v;
}

void hd_view_remove(struct hd_view *v, const char *key)
{
    struct hd_view_entry *e = shard_get(v->functions, hd_str(key));
    if (e == NULL)
        return;
    entry_ref(e);
    for (size_t i = 0; i < e->n_urls; i++)
        shard_set(v->urls, hd_str(e->urls[i].id), NULL, true);
    shard_set(v->functions, hd_str(key), NULL, false);
    v->count--;
    hd_view_entry_unref(e);
}

void hd_view_put(struct hd_view *v, struct hd_view_entry *e)
{
    hd_view_remove(v, e->key);
    shard_set(v->functions, hd_str(e->key), e, false);
    for (size_t i = 0; i < e->n_urls; i++)
        shard_set(v->urls, hd_str(e->urls[i].id), (void *)&e->urls[i], true);
    v->count++;
}

size_t hd_view_count(const struct hd_view *v)
{
    return v->count;
}

/* --- looking --- */

const struct hd_lambda_fn *hd_view_find(const struct hd_view *v, struct hd_str account,
                                        struct hd_str region, struct hd_str name)
{
    char key[HD_NAMES_KEY_MAX];
    if (account.len + region.len + name.len + 3 > sizeof(key))
        return NULL;
    int n =
        snprintf(key, sizeof(key), "%.*s/%.*s/%.*s", HD_FMT(account), HD_FMT(region), HD_FMT(name));
    struct hd_view_entry *e = shard_get(v->functions, hd_str_n(key, (size_t)n));
    return e != NULL ? &e->fn : NULL;
}

void hd_view_each(const struct hd_view *v, void (*each)(void *arg, const struct hd_lambda_fn *fn),
                  void *arg)
{
    for (unsigned i = 0; i < SHARDS; i++) {
        size_t at = 0;
        void *value;
        while (v->functions[i] != NULL && hd_map_next(&v->functions[i]->map, &at, NULL, &value))
            each(arg, &((struct hd_view_entry *)value)->fn);
    }
}

const struct hd_view_url *hd_view_url(const struct hd_view *v, struct hd_str id)
{
    return shard_get(v->urls, id);
}

static const struct hd_view_version *find_number(const struct hd_lambda_fn *fn, struct hd_str q)
{
    size_t lo = 1, hi = fn->n_versions;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        struct hd_str at = hd_str(fn->versions[mid].number);
        int order = at.len != q.len ? (at.len < q.len ? -1 : 1) : hd_str_cmp(at, q);
        if (order == 0)
            return &fn->versions[mid];
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

const struct hd_view_version *hd_view_resolve(const struct hd_lambda_fn *fn,
                                              struct hd_str qualifier, double random)
{
    if (hd_names_is_latest(qualifier))
        return fn->n_versions > 0 ? &fn->versions[0] : NULL;
    if (hd_names_is_number(qualifier))
        return find_number(fn, qualifier);
    size_t lo = 0, hi = fn->n_aliases;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct hd_view_alias *a = &fn->aliases[mid];
        int order = strncmp(a->name, qualifier.ptr, qualifier.len);
        if (order == 0)
            order = a->name[qualifier.len] != '\0';
        if (order == 0)
            return a->other != NULL && random < a->weight ? a->other : a->main;
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

const struct hd_view_event_config *hd_view_event_config(const struct hd_lambda_fn *fn,
                                                        struct hd_str qualifier)
{
    struct hd_str q = qualifier.len > 0 ? qualifier : hd_str("$LATEST");
    for (size_t i = 0; i < fn->n_event_configs; i++)
        if (hd_str_is(q, fn->event_configs[i].qualifier))
            return &fn->event_configs[i];
    return NULL;
}
