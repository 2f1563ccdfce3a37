/* A digest that the walk before this one still found is kept too: instances of a function that was
 * just deleted may run for a while. */
#include "lambda/api/api_gc.h"

#include "functions/strings.h"
#include "lambda/deploy/deploy_spec.h"

enum { FIRST_MS = 60000, EVERY_MS = 3600000, RECORDS_A_TURN = 100 };

static const enum hd_record kinds[] = {HD_RECORD_FUNCTION, HD_RECORD_VERSION,
                                       HD_RECORD_LAYER_VERSION};

struct hd_api_gc {
    struct hd_api_gc_options opt;
    struct hd_timer timer;
    bool busy, stopped;
    size_t kind; /* index into kinds; the walk's place */
    char *key;
    struct hd_strings found, before;
    void (*idle)(void *arg);
    void *arg;
};

static void on_timer(struct hd_timer *t);

static void take(struct hd_api_gc *gc, const char *digest)
{
    if (digest != NULL)
        hd_strings_add(&gc->found, hd_str(digest));
}

static void take_code(struct hd_api_gc *gc, const json_t *doc)
{
    const char *layers[HD_BUNDLE_LAYERS_MAX];
    char key[HD_DIGEST_CHARS + 1];
    size_t n = hd_deploy_layer_digests(doc, layers);
    take(gc, json_string_value(json_object_get(json_object_get(doc, "Code"), "Digest")));
    for (size_t i = 0; i < n; i++)
        take(gc, layers[i]);
    if (n == 0)
        return;
    hd_bundles_merge_key(key, layers, n);
    take(gc, key);
}

static void take_record(struct hd_api_gc *gc, const json_t *doc)
{
    take_code(gc, doc);
    take_code(gc, json_object_get(doc, "Serving"));
    take(gc, json_string_value(json_object_get(doc, "Digest")));
}

static void end(struct hd_api_gc *gc)
{
    gc->busy = false;
    if (gc->stopped && gc->idle != NULL)
        gc->idle(gc->arg);
    else if (!gc->stopped)
        hd_timer_start(gc->opt.loop, &gc->timer, gc->opt.every_ms, on_timer);
}

static void on_removed(void *arg, unsigned removed)
{
    struct hd_api_gc *gc = arg;
    if (removed > 0)
        hd_log(gc->opt.log, HD_INFO, "removed code that nothing needs any more",
               hd_kv_int("archives", removed));
    end(gc);
}

static void remove_others(struct hd_api_gc *gc)
{
    struct hd_strings keep = hd_strings_copy(&gc->found);
    for (size_t i = 0; i < gc->before.n; i++)
        hd_strings_add(&keep, hd_str(gc->before.items[i]));
    hd_strings_done(&gc->before);
    gc->before = gc->found;
    gc->found = (struct hd_strings){.n = 0};
    hd_bundles_gc(gc->opt.bundles, (const char *const *)keep.items, keep.n, gc->opt.grace_s,
                  on_removed, gc);
    hd_strings_done(&keep);
}

static void walk(void *arg)
{
    struct hd_api_gc *gc = arg;
    for (int n = 0; n < RECORDS_A_TURN && !gc->stopped; n++) {
        const char *key = hd_catalog_next(gc->opt.catalog, kinds[gc->kind], "", gc->key);
        if (key == NULL) {
            free(hd_steal(gc->key));
            if (++gc->kind < HD_COUNT(kinds))
                continue;
            remove_others(gc);
            return;
        }
        json_t *doc = hd_catalog_get(gc->opt.catalog, kinds[gc->kind], key);
        take_record(gc, doc);
        json_decref(doc);
        char *copy = hd_strdup(key);
        free(gc->key);
        gc->key = copy;
    }
    if (gc->stopped)
        end(gc);
    else
        hd_loop_post(gc->opt.loop, walk, gc);
}

static void on_timer(struct hd_timer *t)
{
    struct hd_api_gc *gc = hd_container_of(t, struct hd_api_gc, timer);
    gc->busy = true;
    gc->kind = 0;
    walk(gc);
}

struct hd_api_gc *hd_api_gc_new(const struct hd_api_gc_options *opt)
{
    struct hd_api_gc *gc = hd_new(struct hd_api_gc);
    gc->opt = *opt;
    if (gc->opt.first_ms == 0)
        gc->opt.first_ms = FIRST_MS;
    if (gc->opt.every_ms == 0)
        gc->opt.every_ms = EVERY_MS;
    hd_timer_start(opt->loop, &gc->timer, gc->opt.first_ms, on_timer);
    return gc;
}

bool hd_api_gc_is_busy(const struct hd_api_gc *gc)
{
    return gc->busy;
}

void hd_api_gc_stop(struct hd_api_gc *gc, void (*idle)(void *arg), void *arg)
{
    gc->stopped = true;
    gc->idle = idle;
    gc->arg = arg;
    hd_timer_stop(gc->opt.loop, &gc->timer);
}

void hd_api_gc_free(struct hd_api_gc *gc)
{
    if (gc == NULL)
        return;
    hd_timer_stop(gc->opt.loop, &gc->timer);
    hd_strings_done(&gc->found);
    hd_strings_done(&gc->before);
    free(gc->key);
    free(gc);
}
