/* Records are kept as text: a parsed document takes five times the memory, and nobody could change
 * one that others hold. */
#include "lambda/deploy/catalog.h"

#include "core/list.h"
#include "lambda/names.h"

#include <assert.h>

enum { LISTENERS_MAX = 8 };

struct doc { /* counted, immutable */
    unsigned owners;
    uint64_t code_bytes; /* Code.Size */
    size_t len;
    char text[];
};

struct record {
    char *key;
    struct doc *doc;
};

struct shelf { /* the records of one kind, in order */
    struct record *records;
    size_t n, cap;
};

struct listener {
    void (*fn)(void *arg, enum hd_record kind, const char *key);
    void *arg;
};

struct hd_catalog {
    struct hd_store *store;
    struct hd_loop *loop;
    struct shelf shelves[HD_RECORD_COUNT];
    struct hd_list pending; /* changes on their way to the disk, the oldest first */
    struct hd_list waiters; /* in the order of what they wait for */
    struct listener listeners[LISTENERS_MAX];
    size_t n_listeners;
};

struct write {
    enum hd_record kind;
    char *key;
    struct doc *now, *before; /* NULL: not there */
};

struct waiter {
    struct hd_list link;
    struct hd_change *last; /* of those that were pending when it came */
    bool failed;
    struct hd_error err;
    void (*done)(void *arg, const struct hd_error *err);
    void *arg;
};

struct hd_change {
    struct hd_list link;
    struct hd_catalog *catalog;
    struct hd_store_tx *tx;
    struct write *writes;
    size_t n, cap;
    void (*done)(void *arg, const struct hd_error *err);
    void *arg;
};

/* --- documents --- */

static struct doc *doc_of(struct hd_str text, uint64_t code_bytes)
{
    struct doc *d = hd_alloc(sizeof(struct doc) + text.len + 1);
    d->owners = 1;
    d->code_bytes = code_bytes;
    d->len = text.len;
    memcpy(d->text, text.ptr, text.len);
    return d;
}

static struct doc *doc_ref(struct doc *d)
{
    if (d != NULL)
        d->owners++;
    return d;
}

static void doc_unref(struct doc *d)
{
    if (d != NULL && --d->owners == 0)
        free(d);
}

static uint64_t code_bytes_of(const json_t *json)
{
    json_int_t n = json_integer_value(json_object_get(json_object_get(json, "Code"), "Size"));
    return n > 0 ? (uint64_t)n : 0;
}

/* --- shelves --- */

static int cmp(enum hd_record kind, const char *a, const char *b)
{
    bool numbered = kind == HD_RECORD_VERSION || kind == HD_RECORD_LAYER_VERSION;
    return numbered ? hd_names_key_cmp(a, b) : strcmp(a, b);
}

/* @return the index of the first record whose key is not less than @p key (@p over: is greater). */
static size_t place(const struct hd_catalog *c, enum hd_record kind, const char *key, bool over)
{
    const struct shelf *s = &c->shelves[kind];
    size_t lo = 0, hi = s->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = cmp(kind, s->records[mid].key, key);
        if (order < 0 || (over && order == 0))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static struct record *find(const struct hd_catalog *c, enum hd_record kind, const char *key)
{
    const struct shelf *s = &c->shelves[kind];
    size_t i = place(c, kind, key, false);
    return i < s->n && strcmp(s->records[i].key, key) == 0 ? &s->records[i] : NULL;
}

static void set(struct hd_catalog *c, enum hd_record kind, const char *key, struct doc *doc)
{
    struct shelf *s = &c->shelves[kind];
    size_t i = place(c, kind, key, false);
    bool there = i < s->n && strcmp(s->records[i].key, key) == 0;
    if (there) {
        doc_unref(s->records[i].doc);
        s->records[i].doc = doc_ref(doc);
        if (doc != NULL)
            return;
        free(s->records[i].key);
        s->n--;
        memmove(&s->records[i], &s->records[i + 1], (s->n - i) * sizeof(*s->records));
        return;
    }
    if (doc == NULL)
        return;
    if (s->n == s->cap) {
        s->cap = s->cap == 0 ? 16 : s->cap * 2;
        s->records = hd_realloc_array(s->records, s->cap, sizeof(*s->records));
    }
    memmove(&s->records[i + 1], &s->records[i], (s->n - i) * sizeof(*s->records));
    s->records[i] = (struct record){hd_strdup(key), doc_ref(doc)};
    s->n++;
}

/* --- reading --- */

json_t *hd_catalog_get(const struct hd_catalog *c, enum hd_record kind, const char *key)
{
    const struct record *r = find(c, kind, key);
    return r != NULL ? json_loadb(r->doc->text, r->doc->len, 0, NULL) : NULL;
}

bool hd_catalog_has(const struct hd_catalog *c, enum hd_record kind, const char *key)
{
    return find(c, kind, key) != NULL;
}

const char *hd_catalog_next(const struct hd_catalog *c, enum hd_record kind, const char *prefix,
                            const char *after)
{
    const struct shelf *s = &c->shelves[kind];
    size_t i = after != NULL ? place(c, kind, after, true) : place(c, kind, prefix, false);
    if (i >= s->n || !hd_str_starts(hd_str(s->records[i].key), hd_str(prefix)))
        return NULL;
    return s->records[i].key;
}

size_t hd_catalog_count(const struct hd_catalog *c, enum hd_record kind, const char *prefix)
{
    const struct shelf *s = &c->shelves[kind];
    size_t i = place(c, kind, prefix, false), n = 0;
    while (i + n < s->n && hd_str_starts(hd_str(s->records[i + n].key), hd_str(prefix)))
        n++;
    return n;
}

uint64_t hd_catalog_code_bytes(const struct hd_catalog *c, const char *prefix)
{
    uint64_t sum = 0;
    const enum hd_record kinds[] = {HD_RECORD_FUNCTION, HD_RECORD_VERSION};
    for (size_t k = 0; k < HD_COUNT(kinds); k++) {
        const struct shelf *s = &c->shelves[kinds[k]];
        for (size_t i = place(c, kinds[k], prefix, false);
             i < s->n && hd_str_starts(hd_str(s->records[i].key), hd_str(prefix)); i++)
            sum += s->records[i].doc->code_bytes;
    }
    return sum;
}

char *hd_catalog_key(char *out, const char *account, const char *region, const char *name, char sep,
                     const char *last)
{
    bool more = last != NULL && last[0] != '\0';
    snprintf(out, HD_NAMES_KEY_MAX, "%s/%s/%s%.*s%s", account, region, name, more ? 1 : 0, &sep,
             more ? last : "");
    return out;
}

/* --- writing --- */

struct hd_change *hd_change_new(struct hd_catalog *c)
{
    struct hd_change *ch = hd_new(struct hd_change);
    hd_list_init(&ch->link);
    ch->catalog = c;
    ch->tx = hd_store_begin(c->store);
    return ch;
}

static void add(struct hd_change *ch, enum hd_record kind, const char *key, struct doc *now)
{
    if (ch->n == ch->cap) {
        ch->cap = ch->cap == 0 ? 4 : ch->cap * 2;
        ch->writes = hd_realloc_array(ch->writes, ch->cap, sizeof(*ch->writes));
    }
    ch->writes[ch->n++] = (struct write){.kind = kind, .key = hd_strdup(key), .now = now};
}

void hd_change_put(struct hd_change *ch, enum hd_record kind, const char *key, const json_t *doc)
{
    char *text = json_dumps(doc, JSON_COMPACT | JSON_REAL_PRECISION(15));
    assert(text != NULL); /* our own documents: no cycles, all of it UTF-8 */
    hd_store_put(ch->tx, kind, hd_str(key), hd_str(text));
    add(ch, kind, key, doc_of(hd_str(text), code_bytes_of(doc)));
    free(text);
}

void hd_change_delete(struct hd_change *ch, enum hd_record kind, const char *key)
{
    hd_store_delete(ch->tx, kind, hd_str(key));
    add(ch, kind, key, NULL);
}

void hd_change_delete_under(struct hd_change *ch, enum hd_record kind, const char *prefix)
{
    for (const char *key = hd_catalog_next(ch->catalog, kind, prefix, NULL); key != NULL;
         key = hd_catalog_next(ch->catalog, kind, prefix, key))
        hd_change_delete(ch, kind, key);
}

struct hd_store_tx *hd_change_tx(struct hd_change *ch)
{
    return ch->tx;
}

static void change_free(struct hd_change *ch)
{
    for (size_t i = 0; i < ch->n; i++) {
        free(ch->writes[i].key);
        doc_unref(ch->writes[i].now);
        doc_unref(ch->writes[i].before);
    }
    free(ch->writes);
    free(ch);
}

/* The first write to the same record in a change that came later. */
static struct write *overwritten_by(const struct hd_change *ch, const struct write *w)
{
    for (struct hd_list *at = ch->link.next; at != &ch->catalog->pending; at = at->next) {
        struct hd_change *later = hd_container_of(at, struct hd_change, link);
        for (size_t i = 0; i < later->n; i++)
            if (later->writes[i].kind == w->kind && strcmp(later->writes[i].key, w->key) == 0)
                return &later->writes[i];
    }
    return NULL;
}

/* The disk does not have it, so what is in memory goes back to what was there before. */
static void take_back(struct hd_change *ch)
{
    for (size_t i = ch->n; i-- > 0;) {
        struct write *w = &ch->writes[i], *later = overwritten_by(ch, w);
        if (later == NULL) {
            set(ch->catalog, w->kind, w->key, w->before);
            continue;
        }
        doc_unref(later->before);
        later->before = doc_ref(w->before);
    }
}

static void tell(struct hd_change *ch)
{
    struct hd_catalog *c = ch->catalog;
    for (size_t l = 0; l < c->n_listeners; l++) {
        for (size_t i = 0; i < ch->n; i++)
            c->listeners[l].fn(c->listeners[l].arg, ch->writes[i].kind, ch->writes[i].key);
        c->listeners[l].fn(c->listeners[l].arg, HD_RECORD_COUNT, NULL);
    }
}

/* Changes end in their order, so who waits for this one is at the front; the others have seen it
 * as well. */
static void tell_waiters(struct hd_catalog *c, const struct hd_change *ch,
                         const struct hd_error *err)
{
    hd_list_each(item, &c->waiters)
    {
        struct waiter *w = hd_container_of(item, struct waiter, link);
        if (err != NULL) {
            w->failed = true;
            w->err = *err;
        }
        if (w->last != ch)
            continue;
        hd_list_remove(item);
        w->done(w->arg, w->failed ? &w->err : NULL);
        free(w);
    }
}

static void on_committed(void *arg, const struct hd_error *err)
{
    struct hd_change *ch = arg;
    struct hd_catalog *c = ch->catalog;
    if (err != NULL)
        take_back(ch);
    hd_list_remove(&ch->link);
    if (err == NULL)
        tell(ch);
    if (ch->done != NULL)
        ch->done(ch->arg, err);
    tell_waiters(c, ch, err);
    change_free(ch);
}

bool hd_catalog_wait(struct hd_catalog *c, void (*done)(void *arg, const struct hd_error *err),
                     void *arg)
{
    if (hd_list_empty(&c->pending))
        return false;
    struct waiter *w = hd_new(struct waiter);
    w->last = hd_container_of(c->pending.prev, struct hd_change, link);
    w->done = done;
    w->arg = arg;
    hd_list_push(&c->waiters, &w->link);
    return true;
}

void hd_change_commit(struct hd_change *ch, void (*done)(void *arg, const struct hd_error *err),
                      void *arg)
{
    struct hd_catalog *c = ch->catalog;
    ch->done = done;
    ch->arg = arg;
    for (size_t i = 0; i < ch->n; i++) {
        struct write *w = &ch->writes[i];
        const struct record *r = find(c, w->kind, w->key);
        w->before = r != NULL ? doc_ref(r->doc) : NULL;
        set(c, w->kind, w->key, w->now);
    }
    hd_list_push(&c->pending, &ch->link);
    hd_store_commit(ch->tx, c->loop, on_committed, ch);
}

void hd_change_drop(struct hd_change *ch)
{
    if (ch == NULL)
        return;
    hd_store_rollback(ch->tx);
    change_free(ch);
}

void hd_catalog_listen(struct hd_catalog *c,
                       void (*fn)(void *arg, enum hd_record kind, const char *key), void *arg)
{
    assert(c->n_listeners < LISTENERS_MAX);
    c->listeners[c->n_listeners++] = (struct listener){fn, arg};
}

bool hd_catalog_is_busy(const struct hd_catalog *c)
{
    return !hd_list_empty(&c->pending);
}

/* --- the whole --- */

struct loading {
    struct hd_catalog *catalog;
    enum hd_record kind;
    struct hd_error *err;
};

static int load(void *arg, struct hd_str key, struct hd_str text)
{
    struct loading *l = arg;
    json_error_t at;
    json_t *json = json_loadb(text.ptr, text.len, 0, &at);
    if (!json_is_object(json)) {
        json_decref(json);
        return hd_fail(l->err, HD_EINVAL,
                       "the stored record \"%.*s\" is damaged (%s): restore the database",
                       HD_FMT(key), json == NULL ? at.text : "not an object");
    }
    struct doc *doc = doc_of(text, code_bytes_of(json));
    json_decref(json);
    hd_auto_free char *name = hd_strdup_n(key);
    set(l->catalog, l->kind, name, doc);
    doc_unref(doc);
    return 0;
}

int hd_catalog_new(struct hd_catalog **out, struct hd_store *store, struct hd_loop *loop,
                   struct hd_error *err)
{
    struct hd_catalog *c = hd_new(struct hd_catalog);
    c->store = store;
    c->loop = loop;
    hd_list_init(&c->pending);
    hd_list_init(&c->waiters);
    for (enum hd_record kind = HD_RECORD_FUNCTION; kind <= HD_RECORD_CODE_SIGNING; kind++) {
        struct loading l = {c, kind, err};
        int rc = hd_store_each(store, kind, load, &l, err);
        if (rc < 0) {
            hd_catalog_free(c);
            return rc;
        }
    }
    *out = c;
    return 0;
}

void hd_catalog_free(struct hd_catalog *c)
{
    if (c == NULL)
        return;
    for (size_t k = 0; k < HD_RECORD_COUNT; k++) {
        for (size_t i = 0; i < c->shelves[k].n; i++) {
            free(c->shelves[k].records[i].key);
            doc_unref(c->shelves[k].records[i].doc);
        }
        free(c->shelves[k].records);
    }
    free(c);
}
