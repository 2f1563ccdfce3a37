#include "pool/process/hosttalk.h"

#include "core/log.h"

enum {
    STACK_LINES = 12,      /* of a failed load, to the log */
    ASK_RESERVE_MS = 1000, /* of the grace, kept for the time after SIGTERM */
};

struct hd_hosttalk_flush {
    struct hd_hosttalk *talk; /* NULL: it has gone */
    void (*done)(void *owner);
    void *owner;
};

/* --- calls --- */

void hd_hosttalk_hush(struct hd_hosttalk *t)
{
    hd_hostcall_cancel(hd_steal(t->call));
}

/* The call is over when its done() runs, which may make the next one. */
void hd_hosttalk_call(struct hd_hosttalk *t, const struct hd_hostcall_request *req,
                      void (*done)(void *owner, const struct hd_hostcall_answer *a))
{
    hd_hosttalk_hush(t);
    t->call = hd_hostcall_start(t->loop, req, done, t->owner);
}

static void on_ping(void *arg, const struct hd_hostcall_answer *a)
{
    struct hd_hosttalk *t = arg;
    t->ping = NULL;
    t->on_pong(t->pong_owner, a->rc == 0 || a->rc == HD_ETIMEOUT ? a->rc : HD_EIO);
}

void hd_hosttalk_ping(struct hd_hosttalk *t, const struct hd_hostcall_request *req,
                      void (*done)(void *owner, int rc), void *owner)
{
    hd_hostcall_cancel(hd_steal(t->ping));
    t->on_pong = done;
    t->pong_owner = owner;
    t->ping = hd_hostcall_start(t->loop, req, on_ping, t);
}

void hd_hosttalk_stop(struct hd_hosttalk *t)
{
    hd_hosttalk_hush(t);
    hd_hostcall_cancel(hd_steal(t->ping));
}

uint32_t hd_hosttalk_soft_ms(uint32_t grace_ms)
{
    return grace_ms - HD_MIN(grace_ms / 4, (uint32_t)ASK_RESERVE_MS);
}

/* --- output --- */

static void on_flushed(void *arg)
{
    struct hd_hosttalk_flush *f = arg;
    if (f->talk != NULL) {
        f->talk->flush = NULL;
        f->done(f->owner);
    }
    free(f);
}

void hd_hosttalk_flushed(struct hd_hosttalk *t, void (*done)(void *owner), void *owner)
{
    t->flush = hd_new(struct hd_hosttalk_flush);
    *t->flush = (struct hd_hosttalk_flush){.talk = t, .done = done, .owner = owner};
    hd_loop_post(t->loop, on_flushed, t->flush);
}

void hd_hosttalk_done(struct hd_hosttalk *t)
{
    hd_hosttalk_stop(t);
    if (t->flush != NULL)
        t->flush->talk = NULL;
}

/* --- the answer to a load request --- */

/* A message for the report: one line of it. */
static struct hd_str first_line(const char *text)
{
    struct hd_str s = hd_str(text);
    return hd_str_n(s.ptr, hd_str_find(s, '\n'));
}

static struct hd_str first_lines(const char *text, int n)
{
    struct hd_str rest = hd_str(text), line = {.ptr = text};
    for (int i = 0; i < n && hd_str_split(&line, &rest, '\n'); i++)
        ;
    return hd_str_n(text, (size_t)(line.ptr + line.len - text));
}

int hd_hosttalk_loaded(struct hd_loadanswer *out, const struct hd_hostcall_answer *a,
                       uint32_t within_ms,
                       void (*on_line)(void *owner, struct hd_str id, int level,
                                       struct hd_str text),
                       void *owner, struct hd_error *err)
{
    if (a->rc == HD_ETIMEOUT)
        return hd_fail(err, HD_ETIMEOUT, "was not loaded within %u ms", within_ms);
    if (a->rc < 0) {
        *err = *a->err;
        return hd_wrap(err, a->rc, "loading");
    }
    int rc = hd_loadanswer_parse(out, a->body, err);
    if (rc < 0 || (out->ok && a->status == 200))
        return rc;
    const char *said = out->message != NULL ? out->message : "load failed";
    struct hd_str line = first_line(said);
    hd_fail(err, HD_EINVAL, "%.*s", HD_FMT(line));
    on_line(owner, hd_str_n(NULL, 0), HD_ERROR,
            first_lines(out->stack != NULL ? out->stack : said, STACK_LINES));
    hd_loadanswer_done(out);
    return HD_EINVAL;
}
