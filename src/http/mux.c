#include "http/mux.h"

#include <assert.h>

enum {
    HEAD = 12,
    OUT_MAX = (HD_MUX_STREAMS_MAX + 1) * (HD_MUX_WINDOW + 64 * HEAD),
    TELL_AT = HD_MUX_WINDOW / 4, /* bytes taken before the other end is told */
};
enum kind { OPEN = 1, DATA, CLOSE, ROOM };

struct stream {
    uint32_t id;  /* 0: a free place */
    size_t room;  /* what we may send */
    size_t owed;  /* what the other end may send */
    size_t taken; /* of what it sent, and was not told yet */
};

struct hd_mux {
    const struct hd_mux_events *events;
    void *arg;
    struct stream streams[HD_MUX_STREAMS_MAX];
    struct hd_buf out;
    unsigned char head[HEAD];
    size_t have; /* bytes of it */
    uint32_t id; /* of the data that is coming in, */
    size_t left; /* so many bytes of it */
    bool broken;
};

struct hd_mux *hd_mux_new(const struct hd_mux_events *events, void *arg)
{
    struct hd_mux *m = hd_new(struct hd_mux);
    m->events = events;
    m->arg = arg;
    hd_buf_init(&m->out, OUT_MAX);
    return m;
}

void hd_mux_free(struct hd_mux *m)
{
    if (m == NULL)
        return;
    hd_buf_done(&m->out);
    free(m);
}

static struct stream *find(const struct hd_mux *m, uint32_t id)
{
    for (size_t i = 0; i < HD_MUX_STREAMS_MAX; i++)
        if (m->streams[i].id == id)
            return (struct stream *)&m->streams[i];
    return NULL;
}

static uint32_t number(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put(struct hd_mux *m, enum kind kind, uint32_t id, uint32_t n)
{
    const unsigned char head[HEAD] = {(unsigned char)kind,
                                      0,
                                      0,
                                      0,
                                      (unsigned char)(id >> 24),
                                      (unsigned char)(id >> 16),
                                      (unsigned char)(id >> 8),
                                      (unsigned char)id,
                                      (unsigned char)(n >> 24),
                                      (unsigned char)(n >> 16),
                                      (unsigned char)(n >> 8),
                                      (unsigned char)n};
    hd_buf_add(&m->out, head, sizeof(head));
}

static bool begin(struct hd_mux *m, uint32_t id)
{
    struct stream *s = find(m, 0);
    if (s == NULL)
        return false;
    *s = (struct stream){.id = id, .room = HD_MUX_WINDOW, .owed = HD_MUX_WINDOW};
    return true;
}

/* --- in --- */

static int nonsense(struct hd_mux *m, struct hd_error *err, const char *what)
{
    m->broken = true;
    return hd_fail(err, HD_EPROTO, "tunnel: %s", what);
}

static void more_room(struct hd_mux *m, struct stream *s, size_t n)
{
    bool little = s->room < HD_MUX_WINDOW / 2;
    s->room += n;
    if (little && s->room >= HD_MUX_WINDOW / 2)
        m->events->on_room(m->arg, s->id);
}

/* What is of no open stream was on its way when we closed it. */
static int take_head(struct hd_mux *m, struct hd_error *err)
{
    const unsigned char *h = m->head;
    uint32_t id = number(h + 4), n = number(h + 8);
    struct stream *s = id != 0 ? find(m, id) : NULL;
    if (id == 0 || h[1] != 0 || h[2] != 0 || h[3] != 0)
        return nonsense(m, err, "what came is no frame");
    switch ((enum kind)h[0]) {
    case OPEN:
        if (s != NULL || n != 0)
            return nonsense(m, err, "a stream was opened twice");
        if (!begin(m, id))
            return nonsense(m, err, "there are too many streams");
        m->events->on_open(m->arg, id);
        return 0;
    case DATA:
        if (n > HD_MUX_WINDOW || (s != NULL && n > s->owed))
            return nonsense(m, err, "more came than there is room for");
        if (s != NULL)
            s->owed -= n;
        m->id = id;
        m->left = n;
        return 0;
    case CLOSE:
        if (s == NULL)
            return 0;
        s->id = 0;
        m->events->on_close(m->arg, id);
        return 0;
    case ROOM:
        if (s != NULL && n > HD_MUX_WINDOW - s->room)
            return nonsense(m, err, "there is more room than there can be");
        if (s != NULL)
            more_room(m, s, n);
        return 0;
    }
    return nonsense(m, err, "what came is no frame");
}

int hd_mux_feed(struct hd_mux *m, struct hd_str bytes, struct hd_error *err)
{
    int rc = 0;
    if (m->broken)
        return hd_fail(err, HD_EPROTO, "tunnel: it is broken");
    while (bytes.len > 0 && rc == 0) {
        size_t n = HD_MIN(bytes.len, m->left > 0 ? m->left : HEAD - m->have);
        struct hd_str part = hd_str_n(bytes.ptr, n);
        bytes = hd_str_n(bytes.ptr + n, bytes.len - n);
        if (m->left > 0) {
            m->left -= n;
            if (find(m, m->id) != NULL)
                m->events->on_data(m->arg, m->id, part);
            continue;
        }
        memcpy(m->head + m->have, part.ptr, n);
        m->have += n;
        if (m->have == HEAD) {
            m->have = 0;
            rc = take_head(m, err);
        }
    }
    if (rc == 0 && hd_buf_failed(&m->out))
        rc = nonsense(m, err, "nothing of what is sent is taken");
    return rc;
}

/* --- out --- */

bool hd_mux_open(struct hd_mux *m, uint32_t id)
{
    assert(id != 0 && find(m, id) == NULL);
    if (!begin(m, id))
        return false;
    put(m, OPEN, id, 0);
    return true;
}

size_t hd_mux_room(const struct hd_mux *m, uint32_t id)
{
    const struct stream *s = id != 0 ? find(m, id) : NULL;
    return s != NULL ? s->room : 0;
}

void hd_mux_send(struct hd_mux *m, uint32_t id, struct hd_str bytes)
{
    struct stream *s = find(m, id);
    if (bytes.len == 0)
        return;
    assert(s != NULL && bytes.len <= s->room);
    s->room -= bytes.len;
    put(m, DATA, id, (uint32_t)bytes.len);
    hd_buf_str(&m->out, bytes);
}

void hd_mux_taken(struct hd_mux *m, uint32_t id, size_t bytes)
{
    struct stream *s = id != 0 ? find(m, id) : NULL;
    if (s == NULL)
        return;
    s->taken += bytes;
    if (s->taken < TELL_AT)
        return;
    s->owed += s->taken;
    put(m, ROOM, id, (uint32_t)s->taken);
    s->taken = 0;
}

void hd_mux_close(struct hd_mux *m, uint32_t id)
{
    struct stream *s = id != 0 ? find(m, id) : NULL;
    if (s == NULL)
        return;
    s->id = 0;
    put(m, CLOSE, id, 0);
}

struct hd_str hd_mux_out(const struct hd_mux *m)
{
    return hd_buf_view(&m->out);
}

void hd_mux_sent(struct hd_mux *m, size_t bytes)
{
    hd_buf_consume(&m->out, bytes);
}
