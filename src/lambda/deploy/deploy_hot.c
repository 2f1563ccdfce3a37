#include "lambda/deploy/deploy_hot.h"

#include "functions/file.h"
#include "functions/watch.h"

struct hd_deploy_hot {
    struct hd_deploy_hot_options opt;
    struct hd_watch *watch; /* NULL: none was needed yet, or there is none to be had */
    struct hd_strings folders;
    void (*done)(void *arg);
    void *arg;
};

struct hd_deploy_hot *hd_deploy_hot_new(const struct hd_deploy_hot_options *opt)
{
    struct hd_deploy_hot *h = hd_new(struct hd_deploy_hot);
    h->opt = *opt;
    return h;
}

static bool touches(const struct hd_strings *paths, const char *folder)
{
    for (size_t i = 0; i < paths->n; i++)
        if (hd_file_within(paths->items[i], folder))
            return true;
    return false;
}

static void on_change(void *arg, const struct hd_strings *paths, bool everything)
{
    struct hd_deploy_hot *h = arg;
    for (size_t i = 0; i < h->folders.n; i++)
        if (everything || touches(paths, h->folders.items[i]))
            h->opt.on_change(h->opt.arg, h->folders.items[i]);
    hd_watch_flushed(h->watch);
}

static bool same(const struct hd_strings *a, const struct hd_strings *b)
{
    bool is = a->n == b->n;
    for (size_t i = 0; is && i < a->n; i++)
        is = strcmp(a->items[i], b->items[i]) == 0;
    return is;
}

void hd_deploy_hot_set(struct hd_deploy_hot *h, const struct hd_strings *folders)
{
    struct hd_error err;
    struct hd_strings list = hd_strings_copy(folders);
    hd_strings_sort(&list);
    if (same(&list, &h->folders)) {
        hd_strings_done(&list);
        return;
    }
    hd_strings_done(&h->folders);
    h->folders = list;
    const struct hd_watch_options watch = {
        .loop = h->opt.loop, .log = h->opt.log, .on_change = on_change, .arg = h};
    if (h->watch == NULL && hd_watch_new(&h->watch, &watch, &err) < 0) {
        hd_log(h->opt.log, HD_WARN, "changes of code in folders go unnoticed",
               hd_kv_str("error", err.msg));
        return;
    }
    struct hd_strings entries = hd_strings_copy(&h->folders);
    hd_watch_set(h->watch, &entries);
}

static void on_closed(void *arg)
{
    struct hd_deploy_hot *h = arg;
    void (*done)(void *arg) = h->done;
    void *done_arg = h->arg;
    hd_strings_done(&h->folders);
    free(h);
    done(done_arg);
}

void hd_deploy_hot_close(struct hd_deploy_hot *h, void (*done)(void *arg), void *arg)
{
    h->done = done;
    h->arg = arg;
    if (h->watch != NULL)
        hd_watch_close(h->watch, on_closed, h);
    else
        hd_loop_post(h->opt.loop, on_closed, h);
}

void hd_deploy_hot_free(struct hd_deploy_hot *h)
{
    if (h == NULL)
        return;
    hd_strings_done(&h->folders);
    free(h);
}
