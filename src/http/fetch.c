/*  hd_fetch_start() ──► UNDER WAY ──curl is done──► finish() ──► done()
 *                           └──hd_fetch_cancel()──► (next turn) ──┘
 *
 *  libcurl says which sockets to watch and when to be woken; it is told when something happened.
 *  Nothing of it is called from inside its own callbacks.                                      */
#include "http/fetch.h"

#include "core/buf.h"
#include "core/list.h"
#include "http/curl.h"

#include <sys/stat.h>
#include <unistd.h>

enum { HEAD_BYTES_MAX = 64 * 1024, FIELDS_MAX = 128 };

struct hd_fetcher {
    struct hd_loop *loop;
    CURLM *multi;
    struct hd_timer wake;
    struct hd_list fetches, fresh; /* fresh: those of which a part is to be told */
    size_t open_polls;
    bool closing, closed;
    void (*done)(void *arg);
    void *arg;
};

struct watch {
    uv_poll_t poll;
    struct hd_fetcher *fetcher;
    curl_socket_t fd;
};

struct hd_fetch {
    struct hd_list link, fresh;
    struct hd_fetcher *fetcher;
    CURL *easy; /* NULL: canceled */
    struct curl_slist *headers;
    struct hd_buf head, body;
    int body_fd;
    off_t body_at;
    bool connect_only;
    hd_fetch_done_fn *done;
    void (*on_part)(void *arg, struct hd_str bytes);
    void *arg;
    struct hd_timer canceled;
    char why[CURL_ERROR_SIZE];
};

static void close_if_idle(struct hd_fetcher *f);

/* --- the end of a fetch --- */

static int code_of(CURLcode rc)
{
    if (rc == CURLE_OPERATION_TIMEDOUT)
        return HD_ETIMEOUT;
    if (rc == CURLE_URL_MALFORMAT)
        return HD_EINVAL;
    /* Our own URL is http: another protocol is where a redirect leads, or what the peer speaks. */
    return rc == CURLE_UNSUPPORTED_PROTOCOL || rc == CURLE_TOO_MANY_REDIRECTS ? HD_EPROTO : HD_EIO;
}

static size_t read_fields(struct hd_field *out, struct hd_str head)
{
    size_t n = 0;
    struct hd_str line;
    while (n < FIELDS_MAX && hd_str_split(&line, &head, '\n')) {
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        size_t colon = hd_str_find(line, ':');
        if (colon == 0 || colon == line.len)
            continue;
        out[n].name = hd_str_n(line.ptr, colon);
        out[n++].value = hd_str_trim(hd_str_n(line.ptr + colon + 1, line.len - colon - 1));
    }
    return n;
}

static void finish(struct hd_fetch *fetch, const struct hd_fetch_result *result,
                   const struct hd_error *err)
{
    struct hd_fetcher *f = fetch->fetcher;
    hd_list_remove(&fetch->link);
    hd_list_remove(&fetch->fresh);
    fetch->done(fetch->arg, result, err);
    hd_curl()->easy_cleanup(fetch->easy);
    hd_curl()->slist_free_all(fetch->headers);
    hd_buf_done(&fetch->head);
    hd_buf_done(&fetch->body);
    free(fetch);
    close_if_idle(f);
}

static void finish_curl(struct hd_fetch *fetch, CURLcode rc)
{
    if (rc == CURLE_OK && fetch->connect_only) {
        const struct hd_fetch_result connected = {.status = 0};
        fetch->done(fetch->arg, &connected, NULL);
        return; /* curl keeps the connection for as long as it has the handle */
    }
    hd_curl()->multi_remove_handle(fetch->fetcher->multi, fetch->easy);
    struct hd_error err;
    if (rc != CURLE_OK) {
        const char *why = fetch->why[0] != '\0' ? fetch->why : hd_curl()->easy_strerror(rc);
        if (hd_buf_failed(&fetch->body) || hd_buf_failed(&fetch->head))
            hd_fail(&err, HD_EPROTO, "the answer is longer than %zu bytes",
                    hd_buf_failed(&fetch->body) ? fetch->body.max : fetch->head.max);
        else
            hd_fail(&err, code_of(rc), "%s", why);
        finish(fetch, NULL, &err);
        return;
    }
    struct hd_field fields[FIELDS_MAX];
    struct hd_fetch_result result = {.body = hd_buf_view(&fetch->body), .fields = fields};
    long status = 0;
    char *url = NULL;
    hd_curl()->easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    hd_curl()->easy_getinfo(fetch->easy, CURLINFO_EFFECTIVE_URL, &url);
    result.status = (unsigned)status;
    result.url = hd_str(url);
    result.n_fields = read_fields(fields, hd_buf_view(&fetch->head));
    finish(fetch, &result, NULL);
}

/* What is told may start and cancel, which curl does not take from inside. */
static void tell_parts(struct hd_fetcher *f)
{
    for (struct hd_list *l; (l = hd_list_pop(&f->fresh)) != NULL;) {
        struct hd_fetch *fetch = hd_container_of(l, struct hd_fetch, fresh);
        struct hd_buf part = fetch->body;
        hd_buf_init(&fetch->body, part.max);
        fetch->body.failed = part.failed;
        fetch->on_part(fetch->arg, hd_buf_view(&part));
        hd_buf_done(&part);
    }
}

/* Let curl go on, then report what ended. */
static void act(struct hd_fetcher *f, curl_socket_t fd, int events)
{
    int running, left;
    hd_curl()->multi_socket_action(f->multi, fd, events, &running);
    tell_parts(f);
    CURLMsg *msg;
    while (!f->closing && (msg = hd_curl()->multi_info_read(f->multi, &left)) != NULL) {
        struct hd_fetch *fetch = NULL;
        CURLcode rc = msg->data.result;
        hd_curl()->easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&fetch);
        finish_curl(fetch, rc);
    }
}

/* --- what curl asks for --- */

static void on_wake(struct hd_timer *t)
{
    act(hd_container_of(t, struct hd_fetcher, wake), CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct hd_fetcher *f = arg;
    if (timeout_ms < 0)
        hd_timer_stop(f->loop, &f->wake);
    else
        hd_timer_start(f->loop, &f->wake, (uint64_t)timeout_ms, on_wake);
    (void)multi;
    return 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    int what = status < 0 ? CURL_CSELECT_ERR : 0;
    if ((events & UV_READABLE) != 0)
        what |= CURL_CSELECT_IN;
    if ((events & UV_WRITABLE) != 0)
        what |= CURL_CSELECT_OUT;
    act(w->fetcher, w->fd, what); /* may close w */
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct watch *w = handle->data;
    struct hd_fetcher *f = w->fetcher;
    free(w);
    f->open_polls--;
    close_if_idle(f);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *mine)
{
    struct hd_fetcher *f = arg;
    struct watch *w = mine;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL) {
            hd_curl()->multi_assign(f->multi, fd, NULL);
            uv_close((uv_handle_t *)&w->poll, on_watch_closed);
        }
        return 0;
    }
    if (w == NULL) {
        w = hd_new(struct watch);
        w->fetcher = f;
        w->fd = fd;
        if (uv_poll_init_socket(hd_loop_uv(f->loop), &w->poll, fd) != 0) {
            free(w);
            return -1; /* curl fails the transfer */
        }
        w->poll.data = w;
        f->open_polls++;
        hd_curl()->multi_assign(f->multi, fd, w);
    }
    int events = ((what & CURL_POLL_IN) != 0 ? UV_READABLE : 0) |
                 ((what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0);
    return uv_poll_start(&w->poll, events, on_poll) == 0 ? 0 : -1;
}

static size_t on_head(char *bytes, size_t size, size_t n, void *arg)
{
    struct hd_fetch *fetch = arg;
    struct hd_str line = hd_str_n(bytes, size * n);
    if (hd_str_starts(line, hd_str("HTTP/")))
        hd_buf_clear(&fetch->head); /* another answer: of a redirect, or after 100 Continue */
    else
        hd_buf_str(&fetch->head, line);
    return hd_buf_failed(&fetch->head) ? 0 : line.len;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct hd_fetch *fetch = arg;
    long status = 0;
    hd_buf_add(&fetch->body, bytes, size * n);
    hd_curl()->easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    if (fetch->on_part != NULL && status == 200 && hd_list_empty(&fetch->fresh))
        hd_list_push(&fetch->fetcher->fresh, &fetch->fresh);
    return hd_buf_failed(&fetch->body) ? 0 : size * n;
}

static size_t on_upload(char *into, size_t size, size_t n, void *arg)
{
    struct hd_fetch *fetch = arg;
    ssize_t got = pread(fetch->body_fd, into, size * n, fetch->body_at);
    if (got < 0)
        return CURL_READFUNC_ABORT;
    fetch->body_at += got;
    return (size_t)got;
}

/* A peer that wants it again, as after a connection that had been closed. */
static int on_rewind(void *arg, curl_off_t offset, int origin)
{
    struct hd_fetch *fetch = arg;
    if (origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    fetch->body_at = offset;
    return CURL_SEEKFUNC_OK;
}

/* --- fetcher --- */

struct hd_fetcher *hd_fetcher_new(struct hd_loop *loop)
{
    struct hd_fetcher *f = hd_new(struct hd_fetcher);
    f->loop = loop;
    hd_list_init(&f->fetches);
    hd_list_init(&f->fresh);
    return f;
}

/* With the first fetch: most nodes never make one. */
static int have_multi(struct hd_fetcher *f, struct hd_error *err)
{
    if (f->multi != NULL)
        return 0;
    if (hd_curl_load(err) == NULL)
        return HD_ENOTFOUND;
    CURLM *multi = hd_curl()->multi_init();
    if (multi == NULL)
        return hd_fail(err, HD_EIO, "fetch: libcurl does not start");
    hd_curl()->multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    hd_curl()->multi_setopt(multi, CURLMOPT_SOCKETDATA, f);
    hd_curl()->multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    hd_curl()->multi_setopt(multi, CURLMOPT_TIMERDATA, f);
    hd_curl()->multi_setopt(multi, CURLMOPT_MAXCONNECTS, 8L);
    f->multi = multi;
    return 0;
}

static void on_closed(void *arg)
{
    struct hd_fetcher *f = arg;
    f->done(f->arg);
    free(f);
}

static void close_if_idle(struct hd_fetcher *f)
{
    if (!f->closing || !hd_list_empty(&f->fetches))
        return;
    if (f->multi != NULL) {
        CURLM *multi = f->multi;
        f->multi = NULL;
        hd_curl()->multi_cleanup(multi);
        hd_timer_stop(f->loop, &f->wake);
    }
    if (f->open_polls > 0 || f->closed)
        return;
    f->closed = true;
    hd_loop_post(f->loop, on_closed, f);
}

struct hd_loop *hd_fetcher_loop(const struct hd_fetcher *f)
{
    return f->loop;
}

void hd_fetcher_close(struct hd_fetcher *f, void (*done)(void *arg), void *arg)
{
    f->done = done;
    f->arg = arg;
    hd_list_each(item, &f->fetches) hd_fetch_cancel(hd_container_of(item, struct hd_fetch, link));
    f->closing = true;
    close_if_idle(f);
}

/* --- fetch --- */

static bool is_http(struct hd_str url, bool *secure)
{
    *secure = url.len > 8 && hd_str_is_nocase(hd_str_n(url.ptr, 8), "https://");
    return *secure || (url.len > 7 && hd_str_is_nocase(hd_str_n(url.ptr, 7), "http://"));
}

static bool is_clean(struct hd_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 0x7f)
            return false;
    }
    return true;
}

static int add_headers(struct hd_fetch *fetch, const struct hd_fetch_request *r,
                       struct hd_error *err)
{
    for (size_t i = 0; i < r->n_fields; i++) {
        const struct hd_field *field = &r->fields[i];
        if (!is_clean(field->name) || !is_clean(field->value))
            return hd_fail(err, HD_EINVAL, "fetch: a field with control bytes");
        hd_auto_free char *line =
            hd_printf("%.*s: %.*s", HD_FMT(field->name), HD_FMT(field->value));
        struct curl_slist *longer = hd_curl()->slist_append(fetch->headers, line);
        if (longer == NULL)
            return hd_fail(err, HD_EIO, "fetch: out of memory");
        fetch->headers = longer;
    }
    return 0;
}

static void set_tls(CURL *easy, const struct hd_fetch_tls *tls)
{
    if (tls->ca != NULL)
        hd_curl()->easy_setopt(easy, CURLOPT_CAINFO, tls->ca);
    if (tls->cert != NULL)
        hd_curl()->easy_setopt(easy, CURLOPT_SSLCERT, tls->cert);
    if (tls->key != NULL)
        hd_curl()->easy_setopt(easy, CURLOPT_SSLKEY, tls->key);
}

static int set_upload(struct hd_fetch *fetch, int fd, struct hd_error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return hd_fail(err, HD_EINVAL, "fetch: what is to be sent is no file");
    fetch->body_fd = fd;
    hd_curl()->easy_setopt(fetch->easy, CURLOPT_UPLOAD, 1L);
    hd_curl()->easy_setopt(fetch->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)st.st_size);
    hd_curl()->easy_setopt(fetch->easy, CURLOPT_READFUNCTION, on_upload);
    hd_curl()->easy_setopt(fetch->easy, CURLOPT_READDATA, fetch);
    hd_curl()->easy_setopt(fetch->easy, CURLOPT_SEEKFUNCTION, on_rewind);
    hd_curl()->easy_setopt(fetch->easy, CURLOPT_SEEKDATA, fetch);
    return 0;
}

static void set_options(struct hd_fetch *fetch, const struct hd_fetch_request *r, bool secure)
{
    CURL *easy = fetch->easy;
    bool is_get = r->method == NULL || strcmp(r->method, "GET") == 0;
    hd_curl()->easy_setopt(easy, CURLOPT_URL, r->url);
    hd_curl()->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    hd_curl()->easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
    hd_curl()->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, r->max_redirects > 0 ? 1L : 0L);
    hd_curl()->easy_setopt(easy, CURLOPT_MAXREDIRS, (long)r->max_redirects);
    hd_curl()->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    hd_curl()->easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
    hd_curl()->easy_setopt(easy, CURLOPT_USERAGENT, "heddle/" HD_VERSION);
    hd_curl()->easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->why);
    hd_curl()->easy_setopt(easy, CURLOPT_HTTPHEADER, fetch->headers);
    hd_curl()->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head);
    hd_curl()->easy_setopt(easy, CURLOPT_HEADERDATA, fetch);
    hd_curl()->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    hd_curl()->easy_setopt(easy, CURLOPT_WRITEDATA, fetch);
    hd_curl()->easy_setopt(easy, CURLOPT_PRIVATE, fetch);
    if (r->body.ptr != NULL) {
        hd_curl()->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
        hd_curl()->easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, r->body.ptr);
    }
    if (r->connect_only) {
        hd_curl()->easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
        hd_curl()->easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
    }
    if (r->method != NULL && strcmp(r->method, "HEAD") == 0)
        hd_curl()->easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (!is_get || r->body.ptr != NULL || r->body_fd != NULL)
        hd_curl()->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, is_get ? "GET" : r->method);
    if (r->tls != NULL)
        set_tls(easy, r->tls);
    if (r->unix_socket != NULL) {
        hd_curl()->easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, r->unix_socket);
        hd_curl()->easy_setopt(easy, CURLOPT_PROXY, ""); /* whatever the environment says */
    }
}

int hd_fetch_start(struct hd_fetch **out, struct hd_fetcher *f,
                   const struct hd_fetch_request *request, hd_fetch_done_fn *done, void *arg,
                   struct hd_error *err)
{
    bool secure;
    if (!is_http(hd_str(request->url), &secure) || !is_clean(hd_str(request->url)))
        return hd_fail(err, HD_EINVAL, "fetch: the URL must begin with http:// or https://");
    if (request->timeout_ms == 0)
        return hd_fail(err, HD_EINVAL, "fetch: timeout_ms must be at least 1");
    if (f->closing)
        return hd_fail(err, HD_ECANCELED, "fetch: closing");
    int rc = have_multi(f, err);
    if (rc < 0)
        return rc;

    struct hd_fetch *fetch = hd_new(struct hd_fetch);
    fetch->fetcher = f;
    fetch->done = done;
    fetch->arg = arg;
    fetch->on_part = request->on_part;
    fetch->connect_only = request->connect_only;
    hd_list_init(&fetch->link);
    hd_list_init(&fetch->fresh);
    hd_buf_init(&fetch->head, HEAD_BYTES_MAX);
    hd_buf_init(&fetch->body, request->max_body_bytes);
    rc = add_headers(fetch, request, err);
    if (rc == 0) {
        fetch->easy = hd_curl()->easy_init();
        if (fetch->easy == NULL)
            rc = hd_fail(err, HD_EIO, "fetch: out of memory");
    }
    if (rc == 0 && request->body_fd != NULL)
        rc = set_upload(fetch, *request->body_fd, err);
    if (rc == 0) {
        set_options(fetch, request, secure);
        if (hd_curl()->multi_add_handle(f->multi, fetch->easy) != CURLM_OK)
            rc = hd_fail(err, HD_EIO, "fetch: libcurl does not take it");
    }
    if (rc < 0) {
        hd_curl()->easy_cleanup(fetch->easy);
        hd_curl()->slist_free_all(fetch->headers);
        free(fetch);
        return rc;
    }
    hd_list_push(&f->fetches, &fetch->link);
    *out = fetch;
    return 0;
}

static void on_canceled(struct hd_timer *t)
{
    struct hd_error err;
    hd_fail(&err, HD_ECANCELED, "canceled");
    finish(hd_container_of(t, struct hd_fetch, canceled), NULL, &err);
}

void hd_fetch_cancel(struct hd_fetch *fetch)
{
    if (fetch->easy == NULL)
        return;
    hd_curl()->multi_remove_handle(fetch->fetcher->multi, fetch->easy);
    hd_curl()->easy_cleanup(fetch->easy);
    fetch->easy = NULL;
    hd_list_remove(&fetch->fresh);
    hd_timer_start(fetch->fetcher->loop, &fetch->canceled, 0, on_canceled);
}

struct hd_str hd_fetch_field(const struct hd_fetch_result *result, const char *name)
{
    for (size_t i = 0; i < result->n_fields; i++) {
        if (hd_str_is_nocase(result->fields[i].name, name))
            return result->fields[i].value;
    }
    return hd_str_n(NULL, 0);
}

int hd_fetch_socket(const struct hd_fetch *fetch)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    if (fetch->easy != NULL)
        hd_curl()->easy_getinfo(fetch->easy, CURLINFO_ACTIVESOCKET, &fd);
    return fd;
}

static ssize_t moved(const struct hd_fetch *fetch, CURLcode rc, size_t n, struct hd_error *err)
{
    if (rc == CURLE_AGAIN)
        return 0;
    if (rc != CURLE_OK)
        return hd_fail(err, HD_EIO, "%s",
                       fetch->why[0] != '\0' ? fetch->why : hd_curl()->easy_strerror(rc));
    return (ssize_t)n;
}

ssize_t hd_fetch_read(struct hd_fetch *fetch, char *into, size_t bytes, struct hd_error *err)
{
    size_t n = 0;
    CURLcode rc = hd_curl()->easy_recv(fetch->easy, into, bytes, &n);
    if (rc == CURLE_OK && n == 0)
        return hd_fail(err, HD_EIO, "the connection was closed");
    return moved(fetch, rc, n, err);
}

ssize_t hd_fetch_write(struct hd_fetch *fetch, struct hd_str bytes, struct hd_error *err)
{
    size_t n = 0;
    CURLcode rc = hd_curl()->easy_send(fetch->easy, bytes.ptr, bytes.len, &n);
    return moved(fetch, rc, n, err);
}
