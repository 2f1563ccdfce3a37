/*  collecting ──end──► sent whole
 *      │ stream
 *      ▼
 *  streaming ──16 KiB, flush──► begun ──end──► last chunk, with trailers if it failed   */
#include "core/base64.h"
#include "http/format.h"
#include "native/native.h"

#include <stdio.h>
#include <sys/uio.h>

enum {
    CHUNK_BYTES = 16 << 10,
    KEEP_MAX = 256 << 10, /* memory kept between two answers */
    ERROR_MAX = 256 << 10,
    TRAILER_TEXT_MAX = 5 << 10, /* of an error's JSON; what a trailer section can hold */
};

void hd_reply_init(struct hd_reply *r, const struct hd_reply_form *form)
{
    *r = (struct hd_reply){.form = form, .fd = -1};
    hd_buf_init(&r->out, HD_FUNCTION_ANSWER_MAX);
    hd_buf_init(&r->head, 64 << 10);
    hd_buf_init(&r->error, ERROR_MAX);
    hd_buf_init(&r->fields, 32 << 10);
}

void hd_reply_done(struct hd_reply *r)
{
    hd_buf_done(&r->out);
    hd_buf_done(&r->head);
    hd_buf_done(&r->error);
    hd_buf_done(&r->fields);
}

void hd_reply_begin(struct hd_reply *r, const struct hd_event *event, int fd)
{
    if (r->out.cap > KEEP_MAX)
        hd_buf_done(&r->out);
    hd_buf_clear(&r->out);
    hd_buf_clear(&r->error);
    hd_buf_clear(&r->fields);
    r->content_type[0] = r->error_type[0] = '\0';
    r->status = 200;
    r->streaming = r->begun = r->head_only = false;
    r->rc = 0;
    r->event = event;
    r->fd = fd;
}

// Errors -----------------------------------------------------------------------------------------

void hd_native_error_json(struct hd_buf *out, const char *type, struct hd_str message)
{
    hd_buf_cstr(out, "{\"errorType\":");
    hd_buf_json(out, hd_str(type));
    hd_buf_cstr(out, ",\"errorMessage\":");
    hd_buf_json(out, message);
    hd_buf_char(out, '}');
}

static void set_error(struct hd_reply *r, const char *type, struct hd_str message)
{
    hd_buf_clear(&r->error);
    hd_native_error_json(&r->error, type, message);
    if (hd_buf_failed(&r->error)) { /* escapes made it too long */
        hd_buf_clear(&r->error);
        hd_native_error_json(&r->error, "Function.Error", hd_str("the error is too long to tell"));
    }
    snprintf(r->error_type, sizeof(r->error_type), "%s", type);
}

int hd_reply_error(struct hd_reply *r, const char *type, const char *fmt, ...)
{
    char memory[512];
    struct hd_buf text;
    hd_buf_init_with(&text, memory, sizeof(memory), 64 << 10);
    va_list ap;
    va_start(ap, fmt);
    hd_buf_vfmt(&text, fmt, ap);
    va_end(ap);
    set_error(r, type, hd_buf_view(&text));
    hd_buf_done(&text);
    return -1;
}

// Writing ----------------------------------------------------------------------------------------

/* Send the head if it is due, one chunk of what was gathered and @p more, and @p tail. */
static int send_part(struct hd_reply *r, struct hd_str more, struct hd_str tail)
{
    struct iovec iov[6];
    int n = 0;
    size_t bytes = r->out.len + more.len;
    char line[HD_CHUNK_BEGIN_MAX];
    if (!r->begun && !r->form->bare) {
        struct hd_error err;
        hd_buf_clear(&r->head);
        if (r->form->head(r, &r->head, HD_BODY_UNKNOWN, false, &err) < 0) {
            r->streaming = false;
            hd_buf_clear(&r->out);
            hd_reply_error(r, "Function.InvalidResponse", "%s", err.msg);
            return r->rc = HD_EINVAL;
        }
        iov[n++] = (struct iovec){r->head.ptr, r->head.len};
    }
    r->begun = true;
    bool framed = !r->form->bare;
    if (bytes > 0 && framed && !r->head_only) {
        struct hd_str begin = hd_chunk_begin(line, bytes);
        iov[n++] = (struct iovec){(char *)begin.ptr, begin.len};
    }
    if (!r->head_only) {
        if (r->out.len > 0)
            iov[n++] = (struct iovec){r->out.ptr, r->out.len};
        if (more.len > 0)
            iov[n++] = (struct iovec){(char *)more.ptr, more.len};
        if (bytes > 0 && framed)
            iov[n++] = (struct iovec){HD_CHUNK_END, 2};
        if (tail.len > 0 && framed)
            iov[n++] = (struct iovec){(char *)tail.ptr, tail.len};
    }
    if (n > 0 && hd_msgio_write(r->fd, iov, n) < 0)
        r->rc = HD_ECANCELED;
    hd_buf_clear(&r->out);
    return r->rc;
}

int hd_reply_flush(struct hd_reply *r)
{
    if (r->rc == 0 && r->streaming && (r->out.len > 0 || !r->begun))
        return send_part(r, hd_str_n(NULL, 0), hd_str_n(NULL, 0));
    return r->rc;
}

int hd_reply_write(struct hd_reply *r, const void *bytes, size_t len)
{
    if (r->rc != 0)
        return r->rc;
    if (r->streaming && r->out.len + len >= CHUNK_BYTES)
        return send_part(r, hd_str_n(bytes, len), hd_str_n(NULL, 0));
    hd_buf_add(&r->out, bytes, len);
    if (!hd_buf_failed(&r->out))
        return 0;
    hd_reply_error(r, "Function.ResponseSizeTooLarge",
                   "Response payload size exceeded maximum allowed payload size (%d bytes).",
                   HD_FUNCTION_ANSWER_MAX);
    return r->rc = HD_EBUSY;
}

int hd_reply_str(struct hd_reply *r, const char *text)
{
    return hd_reply_write(r, text, strlen(text));
}

int hd_reply_fmt(struct hd_reply *r, const char *fmt, ...)
{
    char memory[1024];
    struct hd_buf text;
    hd_buf_init_with(&text, memory, sizeof(memory),
                     r->streaming ? SIZE_MAX : (size_t)HD_FUNCTION_ANSWER_MAX + 1);
    va_list ap;
    va_start(ap, fmt);
    hd_buf_vfmt(&text, fmt, ap);
    va_end(ap);
    if (hd_buf_failed(&text)) /* longer than any answer may be */
        r->out.failed = true;
    int rc = hd_reply_write(r, text.ptr, text.len);
    hd_buf_done(&text);
    return rc;
}

int hd_reply_json(struct hd_reply *r, struct hd_str s)
{
    char memory[1024];
    struct hd_buf text;
    hd_buf_init_with(&text, memory, sizeof(memory), SIZE_MAX);
    hd_buf_json(&text, s);
    int rc = hd_reply_write(r, text.ptr, text.len);
    hd_buf_done(&text);
    return rc;
}

void hd_reply_content_type(struct hd_reply *r, const char *type)
{
    snprintf(r->content_type, sizeof(r->content_type), "%s", type);
}

int hd_reply_stream(struct hd_reply *r)
{
    r->streaming = true;
    return r->rc;
}

int hd_reply_stream_http(struct hd_reply *r, const char *head)
{
    hd_reply_content_type(r, "application/vnd.awslambda.http-integration-response");
    hd_reply_stream(r);
    hd_reply_str(r, head);
    return hd_reply_write(r, "\0\0\0\0\0\0\0", 8);
}

void hd_reply_status(struct hd_reply *r, unsigned status)
{
    r->status = status;
}

void hd_reply_field(struct hd_reply *r, const char *name, const char *value)
{
    hd_buf_add(&r->fields, name, strlen(name) + 1);
    hd_buf_add(&r->fields, value, strlen(value) + 1);
}

// Ending -----------------------------------------------------------------------------------------

static int send_whole(struct hd_reply *r, struct hd_str body, bool failed)
{
    if (r->form->bare) {
        struct iovec iov[2] = {{(char *)body.ptr, body.len}, {"\n", 1}};
        return hd_msgio_write(r->fd, iov, 2);
    }
    if (failed && r->form->failure_body != NULL)
        body = hd_str(r->form->failure_body);
    struct hd_error err;
    hd_buf_clear(&r->head);
    int rc = r->form->head(r, &r->head, (int64_t)body.len, failed, &err);
    if (rc < 0 && !failed) {
        hd_buf_clear(&r->fields);
        hd_reply_error(r, "Function.InvalidResponse", "%s", err.msg);
        return send_whole(r, hd_buf_view(&r->error), true);
    }
    struct iovec iov[2] = {{r->head.ptr, r->head.len}, {(char *)body.ptr, body.len}};
    return hd_msgio_write(r->fd, iov, body.len > 0 && !r->head_only ? 2 : 1);
}

int hd_reply_resend(struct hd_reply *r, int fd)
{
    bool failed = r->error.len > 0;
    r->fd = fd;
    return send_whole(r, failed ? hd_buf_view(&r->error) : hd_buf_view(&r->out), failed);
}

/* The error as trailers of a stream that has begun. */
static int send_trailers(struct hd_reply *r)
{
    const struct hd_reply_form *form = r->form;
    if (form->type_trailer == NULL)
        return HD_ECANCELED; /* broken off: a whole answer it is not */
    struct hd_str json = hd_buf_view(&r->error);
    char short_memory[256];
    struct hd_buf brief;
    hd_buf_init_with(&brief, short_memory, sizeof(short_memory), ERROR_MAX);
    if (json.len > TRAILER_TEXT_MAX) {
        hd_native_error_json(&brief, r->error_type,
                             hd_str("the message is too long for a trailer"));
        json = hd_buf_view(&brief);
    }
    char encoded[8 * TRAILER_TEXT_MAX / 6 + 8];
    size_t n_encoded = hd_base64_encode(encoded, HD_BASE64, json.ptr, json.len);
    hd_buf_done(&brief);
    struct hd_field fields[] = {
        {hd_str(form->type_trailer), hd_str(r->error_type)},
        {hd_str(form->body_trailer), hd_str_n(encoded, n_encoded)},
        {HD_LIT("x-heddle-function-error"), HD_LIT("Unhandled")},
        {HD_LIT("x-heddle-exit"), HD_LIT("1")},
    };
    size_t n = form->ours ? (r->exits ? 4 : 3) : 2;
    hd_buf_clear(&r->head);
    struct hd_error err;
    if (hd_format_trailers(&r->head, fields, n, &err) < 0) {
        fields[0].value = hd_str("Function.Error"); /* a type that is no field value */
        hd_format_trailers(&r->head, fields, n, &err);
    }
    return send_part(r, hd_str_n(NULL, 0), hd_buf_view(&r->head));
}

int hd_reply_end(struct hd_reply *r, int rc)
{
    if (r->rc == HD_ECANCELED)
        return HD_ECANCELED;
    if (rc != 0 && r->error.len == 0)
        hd_reply_error(r, "Function.Failed", "the handler returned %d", rc);
    bool failed = r->error.len > 0;
    r->rc = 0;
    if (!r->streaming)
        return hd_reply_resend(r, r->fd);
    if (failed)
        return r->begun ? send_trailers(r) : send_whole(r, hd_buf_view(&r->error), true);
    rc = send_part(r, hd_str_n(NULL, 0), hd_str(HD_CHUNK_LAST));
    return rc == HD_EINVAL ? send_whole(r, hd_buf_view(&r->error), true) : rc;
}

int hd_native_run(const struct hd_native *fn, struct hd_event *event, struct hd_reply *r, int fd)
{
    hd_reply_begin(r, event, fd);
    r->head_only = event->http && hd_str_is(event->head->method, "HEAD");
    int rc = fn->handler(event, r);
    rc = hd_reply_end(r, rc);
    if (r->error.len > 0)
        hd_native_log_write(&fn->log, HD_FUNCTION_ERROR, event->id, hd_buf_view(&r->error));
    return rc;
}
