#include "invoke/lines.h"

#include "core/buf.h"

#include <pthread.h>
#include <stdatomic.h>

enum { BYTES_MAX = 8 * 1024 * 1024 };

struct hd_lines {
    struct hd_loop *control;
    void (*on_line)(void *arg, const struct hd_call_line *line);
    void *arg;
    _Atomic uint64_t dropped;
    pthread_mutex_t lock; /* of what follows */
    struct hd_buf bytes;  /* records: a header, then function, id and text */
    bool posted;
    struct hd_buf reading; /* control loop */
};

struct header {
    uint32_t function_len, id_len, text_len, arn_len, group_len, stream_len;
    int level;
    int64_t unix_ms;
};

struct hd_lines *hd_lines_new(struct hd_loop *control,
                              void (*on_line)(void *arg, const struct hd_call_line *line),
                              void *arg)
{
    struct hd_lines *l = hd_new(struct hd_lines);
    l->control = control;
    l->on_line = on_line;
    l->arg = arg;
    pthread_mutex_init(&l->lock, NULL);
    hd_buf_init(&l->bytes, BYTES_MAX);
    hd_buf_init(&l->reading, BYTES_MAX);
    return l;
}

static struct hd_str cut(const char **at, uint32_t len)
{
    struct hd_str s = hd_str_n(*at, len);
    *at += len;
    return s;
}

static void on_posted(void *arg)
{
    struct hd_lines *l = arg;
    pthread_mutex_lock(&l->lock);
    struct hd_buf full = l->bytes;
    l->bytes = l->reading; /* empty, with the memory of the time before */
    l->reading = full;
    l->posted = false;
    pthread_mutex_unlock(&l->lock);
    const char *at = full.ptr, *end = full.ptr + full.len;
    while (at != end) {
        struct header h;
        memcpy(&h, at, sizeof(h));
        at += sizeof(h);
        struct hd_call_line line = {.level = h.level, .unix_ms = h.unix_ms};
        line.function = cut(&at, h.function_len);
        line.id = cut(&at, h.id_len);
        line.text = cut(&at, h.text_len);
        line.arn = cut(&at, h.arn_len);
        line.group = cut(&at, h.group_len);
        line.stream = cut(&at, h.stream_len);
        l->on_line(l->arg, &line);
    }
    hd_buf_clear(&l->reading);
}

void hd_lines_add(struct hd_lines *l, const struct hd_call_line *line)
{
    const struct hd_str *const parts[] = {&line->function, &line->id,    &line->text,
                                          &line->arn,      &line->group, &line->stream};
    struct header h = {.function_len = (uint32_t)line->function.len,
                       .id_len = (uint32_t)line->id.len,
                       .text_len = (uint32_t)line->text.len,
                       .arn_len = (uint32_t)line->arn.len,
                       .group_len = (uint32_t)line->group.len,
                       .stream_len = (uint32_t)line->stream.len,
                       .level = line->level,
                       .unix_ms = line->unix_ms};
    size_t bytes = sizeof(h);
    for (size_t i = 0; i < HD_COUNT(parts); i++)
        bytes += parts[i]->len;
    pthread_mutex_lock(&l->lock);
    bool fits = hd_buf_reserve(&l->bytes, bytes) != NULL, post = fits && !l->posted;
    if (fits) {
        hd_buf_add(&l->bytes, &h, sizeof(h));
        for (size_t i = 0; i < HD_COUNT(parts); i++)
            hd_buf_str(&l->bytes, *parts[i]);
        l->posted = true;
    } else {
        l->bytes.failed = false; /* what is in it is whole: later ones may fit again */
        atomic_fetch_add_explicit(&l->dropped, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&l->lock);
    if (post)
        hd_loop_post(l->control, on_posted, l);
}

uint64_t hd_lines_dropped(const struct hd_lines *l)
{
    return atomic_load_explicit(&l->dropped, memory_order_relaxed);
}

void hd_lines_free(struct hd_lines *l)
{
    if (l == NULL)
        return;
    hd_buf_done(&l->bytes);
    hd_buf_done(&l->reading);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
