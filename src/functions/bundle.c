/*  put ──read, hash──┐
 *  find, merge, gc ──┴─► busy[key]? ──no──► work ──► answer, then those who waited:
 *                           └──yes──► wait             the same answer, or their own turn   */
#include "functions/bundle.h"

#include "core/clock.h"
#include "core/id.h"
#include "core/list.h"
#include "core/map.h"
#include "core/work.h"
#include "functions/bundle_disk.h"
#include "functions/strings.h"

#include <assert.h>
#include <openssl/sha.h>
#include <stdio.h>

enum { ENTRIES_MAX = 100000 };

struct hd_bundles {
    struct hd_bundles_options opt; /* its dir is ours */
    struct hd_map busy;            /* key -> the struct job that works on it */
    unsigned n_jobs;
    bool closing;
    void (*on_closed)(void *arg);
    void *on_closed_arg;
    struct hd_timer closed;
};

enum kind { PUT, CHECK, FIND, MERGE, REMOVE };

struct job {
    struct hd_list link; /* among the waiters of another */
    struct hd_list waiters;
    struct hd_bundles *b;
    enum kind kind;
    struct hd_buf zip;
    char *path;                    /* a file to read, or NULL */
    char key[HD_DIGEST_CHARS + 1]; /* as in busy */
    char layers[HD_BUNDLE_LAYERS_MAX][HD_DIGEST_CHARS + 1];
    size_t n_layers;
    uint64_t code_bytes;        /* of the function that the layers are for */
    int64_t used_before_unix_s; /* REMOVE: only if it was not used since */
    bool removed;
    struct hd_bundle_result result;
    hd_bundle_done_fn done;
    void *arg;
    struct sweep *sweep; /* REMOVE */
};

const char *hd_bundle_problem_text(enum hd_bundle_problem problem)
{
    switch (problem) {
    case HD_BUNDLE_OK:
        break;
    case HD_BUNDLE_BAD_ARCHIVE:
        return "Could not unzip uploaded file. Please check your file, then try to upload again.";
    case HD_BUNDLE_TOO_BIG:
        return "Unzipped size must be smaller than 262144000 bytes";
    case HD_BUNDLE_ZIP_TOO_BIG:
        return "Zipped size must be smaller than 52428800 bytes";
    case HD_BUNDLE_LAYERS_BIG:
        return "Layers consume more than the available size of 262144000 bytes";
    case HD_BUNDLE_NOT_THERE:
        return "The code is not stored here.";
    case HD_BUNDLE_FAILED:
        return "The code could not be stored.";
    }
    return "";
}

/* --- names --- */

bool hd_bundle_is_digest(struct hd_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'a' && s.ptr[i] <= 'f')))
            return false;
    return s.len == HD_DIGEST_CHARS;
}

char *hd_bundles_dir(const struct hd_bundles *b, const char *digest)
{
    return hd_printf("%s/%s/code", b->opt.dir, digest);
}

char *hd_bundles_zip(const struct hd_bundles *b, const char *digest)
{
    return hd_printf("%s/%s/bundle.zip", b->opt.dir, digest);
}

void hd_bundles_merge_key(char out[HD_DIGEST_CHARS + 1], const char *const *digests, size_t n)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    hd_auto_free char *all = hd_alloc(n * HD_DIGEST_CHARS + 1);
    if (n == 1) {
        snprintf(out, HD_DIGEST_CHARS + 1, "%s", digests[0]);
        return;
    }
    for (size_t i = 0; i < n; i++)
        memcpy(all + i * HD_DIGEST_CHARS, digests[i], strnlen(digests[i], HD_DIGEST_CHARS));
    SHA256((const unsigned char *)all, n * HD_DIGEST_CHARS, hash);
    hd_hex(out, hash, sizeof(hash));
}

/* --- on work threads: their job and the store's options --- */

static void hash_work(void *arg)
{
    struct job *j = arg;
    hd_bundle_disk_hash(&j->b->opt, &j->zip, j->path, j->key, &j->result);
}

static void check_work(void *arg)
{
    struct job *j = arg;
    hash_work(j);
    if (j->result.problem == HD_BUNDLE_OK)
        hd_bundle_disk_check(&j->b->opt, hd_buf_view(&j->zip), &j->result);
}

static void key_work(void *arg)
{
    struct job *j = arg;
    const struct hd_bundles_options *opt = &j->b->opt;
    const char *layers[HD_BUNDLE_LAYERS_MAX];
    switch (j->kind) {
    case PUT:
        hd_bundle_disk_put(opt, j->key, hd_buf_view(&j->zip), &j->result);
        break;
    case FIND:
        hd_bundle_disk_find(opt, j->key, &j->result);
        break;
    case MERGE:
        for (size_t i = 0; i < j->n_layers; i++)
            layers[i] = j->layers[i];
        hd_bundle_disk_merge(opt, j->key, layers, j->n_layers, &j->result);
        break;
    case REMOVE:
        j->removed = hd_bundle_disk_remove(opt, j->key, j->used_before_unix_s);
        break;
    case CHECK:
        break;
    }
}

/* --- jobs, on the loop --- */

static void enter(struct job *j);
static void sweep_step(struct sweep *s, bool removed);

static void check_closed(struct hd_timer *t)
{
    struct hd_bundles *b = hd_container_of(t, struct hd_bundles, closed);
    void (*done)(void *) = b->on_closed;
    void *arg = b->on_closed_arg;
    hd_map_done(&b->busy);
    free((char *)b->opt.dir);
    free(b);
    if (done != NULL)
        done(arg);
}

static void job_over(struct hd_bundles *b)
{
    if (--b->n_jobs == 0 && b->closing)
        hd_timer_start(b->opt.loop, &b->closed, 0, check_closed);
}

static struct job *new_job(struct hd_bundles *b, enum kind kind, hd_bundle_done_fn done, void *arg)
{
    struct job *j = hd_new(struct job);
    *j = (struct job){.b = b, .kind = kind, .done = done, .arg = arg};
    hd_buf_init(&j->zip, b->opt.max_zip_bytes);
    hd_list_init(&j->link);
    hd_list_init(&j->waiters);
    b->n_jobs++;
    return j;
}

static void answer(struct job *j)
{
    struct hd_bundles *b = j->b;
    struct hd_bundle_result *r = &j->result;
    uint64_t max = b->opt.max_unpacked_bytes;
    memcpy(r->digest, j->key, sizeof(r->digest));
    if (j->n_layers > 0 && r->problem == HD_BUNDLE_OK &&
        (r->unpacked_bytes > max || j->code_bytes > max - r->unpacked_bytes)) {
        r->problem = HD_BUNDLE_LAYERS_BIG;
        hd_fail(&r->err, HD_EBUSY, "the function's code and its layers unpack to %llu bytes",
                (unsigned long long)(r->unpacked_bytes + j->code_bytes));
    }
    hd_buf_done(&j->zip);
    if (j->done != NULL)
        j->done(j->arg, r);
    if (j->sweep != NULL)
        sweep_step(j->sweep, j->removed);
    free(j->path);
    free(j);
    job_over(b);
}

/* Who waited for the same thing has it; others get their turn. */
static void on_worked(void *arg)
{
    struct job *j = arg;
    struct hd_list waiters;
    hd_map_remove(&j->b->busy, hd_str(j->key));
    hd_list_init(&waiters);
    for (struct hd_list *l; (l = hd_list_pop(&j->waiters)) != NULL;)
        hd_list_push(&waiters, l);
    for (struct hd_list *l; (l = hd_list_pop(&waiters)) != NULL;) {
        struct job *w = hd_container_of(l, struct job, link);
        if (w->kind != j->kind || w->kind == REMOVE) {
            enter(w);
            continue;
        }
        w->result = j->result;
        w->result.was_there = w->result.problem == HD_BUNDLE_OK;
        answer(w);
    }
    answer(j);
}

static void work_on(struct job *j, void (*work)(void *arg), void (*done)(void *arg))
{
    if (hd_work(j->b->opt.loop, work, done, j, &j->result.err) == 0)
        return;
    j->result.problem = HD_BUNDLE_FAILED;
    hd_loop_post(j->b->opt.loop, done, j);
}

static void enter(struct job *j)
{
    struct job *other = hd_map_get(&j->b->busy, hd_str(j->key));
    if (other != NULL) {
        hd_list_push(&other->waiters, &j->link);
        return;
    }
    hd_map_put(&j->b->busy, hd_str(j->key), j);
    work_on(j, key_work, on_worked);
}

static void on_hashed(void *arg)
{
    struct job *j = arg;
    if (j->result.problem != HD_BUNDLE_OK)
        answer(j);
    else
        enter(j);
}

static void on_checked(void *arg)
{
    answer(arg);
}

static void begin_zip(struct job *j, struct hd_buf *zip)
{
    j->zip = *zip;
    hd_buf_init(zip, zip->max);
    assert(!j->zip.borrowed);
}

void hd_bundles_put(struct hd_bundles *b, struct hd_buf *zip, hd_bundle_done_fn done, void *arg)
{
    struct job *j = new_job(b, PUT, done, arg);
    begin_zip(j, zip);
    work_on(j, hash_work, on_hashed);
}

void hd_bundles_put_file(struct hd_bundles *b, const char *path, hd_bundle_done_fn done, void *arg)
{
    struct job *j = new_job(b, PUT, done, arg);
    j->path = hd_strdup(path);
    work_on(j, hash_work, on_hashed);
}

void hd_bundles_check(struct hd_bundles *b, struct hd_buf *zip, hd_bundle_done_fn done, void *arg)
{
    struct job *j = new_job(b, CHECK, done, arg);
    begin_zip(j, zip);
    work_on(j, check_work, on_checked);
}

void hd_bundles_find(struct hd_bundles *b, const char *digest, hd_bundle_done_fn done, void *arg)
{
    struct job *j = new_job(b, FIND, done, arg);
    snprintf(j->key, sizeof(j->key), "%s", digest);
    enter(j);
}

void hd_bundles_merge(struct hd_bundles *b, const char *const *digests, size_t n,
                      uint64_t code_bytes, hd_bundle_done_fn done, void *arg)
{
    struct job *j = new_job(b, n == 1 ? FIND : MERGE, done, arg);
    assert(n > 0 && n <= HD_BUNDLE_LAYERS_MAX);
    for (size_t i = 0; i < n; i++)
        snprintf(j->layers[i], sizeof(j->layers[i]), "%s", digests[i]);
    j->n_layers = n;
    j->code_bytes = code_bytes;
    hd_bundles_merge_key(j->key, digests, n);
    enter(j);
}

/* --- what nobody uses --- */

struct sweep {
    struct hd_bundles *b;
    struct hd_strings keep, found;
    int64_t used_before_unix_s;
    unsigned left, removed;
    void (*done)(void *arg, unsigned removed);
    void *arg;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void on_found(void *arg, const char *key)
{
    struct sweep *s = arg;
    if (!bsearch(&key, s->keep.items, s->keep.n, sizeof(key), by_text))
        hd_strings_add(&s->found, hd_str(key));
}

static void scan_work(void *arg)
{
    struct sweep *s = arg;
    hd_bundle_disk_scan(&s->b->opt, s->used_before_unix_s, on_found, s);
}

static void sweep_step(struct sweep *s, bool removed)
{
    s->removed += removed;
    if (--s->left > 0)
        return;
    struct hd_bundles *b = s->b;
    if (s->removed > 0)
        hd_log(b->opt.log, HD_INFO, "removed code that no function uses",
               hd_kv_int("bundles", s->removed));
    if (s->done != NULL)
        s->done(s->arg, s->removed);
    hd_strings_done(&s->keep);
    hd_strings_done(&s->found);
    free(s);
    job_over(b);
}

static void on_scanned(void *arg)
{
    struct sweep *s = arg;
    s->left = 1;
    for (size_t i = 0; i < s->found.n && !s->b->closing; i++) {
        struct job *j = new_job(s->b, REMOVE, NULL, NULL);
        snprintf(j->key, sizeof(j->key), "%s", s->found.items[i]);
        j->used_before_unix_s = s->used_before_unix_s;
        j->sweep = s;
        s->left++;
        enter(j);
    }
    sweep_step(s, false);
}

void hd_bundles_gc(struct hd_bundles *b, const char *const *keep, size_t n, uint32_t grace_s,
                   void (*done)(void *arg, unsigned removed), void *arg)
{
    struct hd_error err;
    struct sweep *s = hd_new(struct sweep);
    *s = (struct sweep){
        .b = b, .used_before_unix_s = hd_clock_unix_s() - grace_s, .done = done, .arg = arg};
    hd_strings_give(&s->keep);
    for (size_t i = 0; i < n; i++)
        hd_strings_add(&s->keep, hd_str(keep[i]));
    hd_strings_sort(&s->keep);
    b->n_jobs++;
    if (hd_work(b->opt.loop, scan_work, on_scanned, s, &err) < 0)
        hd_loop_post(b->opt.loop, on_scanned, s);
}

/* --- the store --- */

int hd_bundles_new(struct hd_bundles **out, const struct hd_bundles_options *opt,
                   struct hd_error *err)
{
    if (opt->dir == NULL || opt->dir[0] != '/')
        return hd_fail(err, HD_EINVAL, "bundle folder: must be an absolute path");
    int rc = hd_bundle_disk_open(opt, err);
    if (rc < 0)
        return hd_wrap(err, rc, "bundle folder");
    struct hd_bundles *b = hd_new(struct hd_bundles);
    b->opt = *opt;
    b->opt.dir = hd_strdup(opt->dir);
    if (b->opt.max_zip_bytes == 0)
        b->opt.max_zip_bytes = HD_BUNDLE_ZIPPED_MAX;
    if (b->opt.max_unpacked_bytes == 0)
        b->opt.max_unpacked_bytes = HD_BUNDLE_UNPACKED_MAX;
    if (b->opt.max_entries == 0)
        b->opt.max_entries = ENTRIES_MAX;
    hd_map_init(&b->busy, 0);
    *out = b;
    return 0;
}

void hd_bundles_close(struct hd_bundles *b, void (*done)(void *arg), void *arg)
{
    b->closing = true;
    b->on_closed = done;
    b->on_closed_arg = arg;
    if (b->n_jobs == 0)
        hd_timer_start(b->opt.loop, &b->closed, 0, check_closed);
}
