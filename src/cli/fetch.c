#include "cli/fetch.h"

#include "http/curl.h"

#include <errno.h>
#include <unistd.h>

struct exchange {
    const struct hd_fetch *request;
    CURL *curl;
    bool told, enough;
    char reason[64];
};

/* The status line: "HTTP/1.1 200 OK". */
static void keep_reason(struct exchange *x, struct hd_str line)
{
    struct hd_str rest = line, part;
    hd_str_split(&part, &rest, ' ');
    hd_str_split(&part, &rest, ' ');
    rest = hd_str_trim(rest);
    size_t len = HD_MIN(rest.len, sizeof(x->reason) - 1);
    if (len > 0)
        memcpy(x->reason, rest.ptr, len);
    x->reason[len] = '\0';
}

static void tell(struct exchange *x)
{
    long status = 0;
    hd_curl()->easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
    if (x->told || status < 200)
        return;
    x->told = true;
    if (x->request->on_status != NULL)
        x->request->on_status(x->request->arg, (unsigned)status, x->reason);
}

static size_t on_header(char *bytes, size_t size, size_t n, void *arg)
{
    struct exchange *x = arg;
    struct hd_str line = hd_str_n(bytes, size * n), status = HD_LIT("HTTP/");
    while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
        line.len--;
    if (hd_str_starts(line, status))
        keep_reason(x, line);
    else if (line.len > 0 && x->request->on_field != NULL) {
        tell(x);
        x->request->on_field(x->request->arg, line);
    }
    return size * n;
}

static size_t on_bytes(char *bytes, size_t size, size_t n, void *arg)
{
    struct exchange *x = arg;
    tell(x);
    if (x->request->on_body != NULL &&
        !x->request->on_body(x->request->arg, hd_str_n(bytes, size * n))) {
        x->enough = true;
        return 0;
    }
    return size * n;
}

static size_t on_read(char *into, size_t size, size_t n, void *arg)
{
    struct exchange *x = arg;
    ssize_t got;
    do {
        got = read(x->request->body_fd, into, size * n);
    } while (got < 0 && errno == EINTR);
    return got < 0 ? CURL_READFUNC_ABORT : (size_t)got;
}

static void set_body(CURL *curl, const struct hd_fetch *r, struct exchange *x)
{
    if (r->has_body) {
        hd_curl()->easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
        hd_curl()->easy_setopt(curl, CURLOPT_POSTFIELDS, r->body.len > 0 ? r->body.ptr : "");
    } else if (r->body_fd >= 0) {
        hd_curl()->easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        hd_curl()->easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
        hd_curl()->easy_setopt(curl, CURLOPT_READDATA, x);
    }
    if (strcmp(r->method, "HEAD") == 0)
        hd_curl()->easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else
        hd_curl()->easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
}

static int failed(const struct exchange *x, CURLcode code, const char *detail, struct hd_error *err)
{
    const char *where = x->request->socket != NULL ? x->request->socket : x->request->url;
    const char *what = detail[0] != '\0' ? detail : hd_curl()->easy_strerror(code);
    if (x->enough)
        return HD_ECANCELED;
    switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return hd_fail(err, HD_ENOTFOUND, "nobody answers at %s", where);
    case CURLE_OPERATION_TIMEDOUT:
        return hd_fail(err, HD_ETIMEOUT, "%s: %s", where, what);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return hd_fail(err, HD_EINVAL, "%s is not an http:// or https:// address", where);
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
        return hd_fail(err, HD_EPROTO, "%s: the answer broke off: %s", where, what);
    default:
        return hd_fail(err, HD_EIO, "%s: %s", where, what);
    }
}

int hd_fetch_send(const struct hd_fetch *r, struct hd_error *err)
{
    char detail[CURL_ERROR_SIZE] = "";
    if (hd_curl_load(err) == NULL)
        return HD_ENOTFOUND;
    struct curl_slist *fields = hd_curl()->slist_append(NULL, "Expect:");
    struct exchange x = {.request = r, .curl = hd_curl()->easy_init()};
    if (x.curl == NULL)
        return hd_fail(err, HD_EIO, "the HTTP client cannot start");
    for (const char *const *f = r->fields; f != NULL && *f != NULL; f++)
        fields = hd_curl()->slist_append(fields, *f);
    hd_curl()->easy_setopt(x.curl, CURLOPT_URL, r->url);
    hd_curl()->easy_setopt(x.curl, CURLOPT_PROTOCOLS_STR, "http,https");
    hd_curl()->easy_setopt(x.curl, CURLOPT_PROXY, "");
    hd_curl()->easy_setopt(x.curl, CURLOPT_NOSIGNAL, 1L);
    hd_curl()->easy_setopt(x.curl, CURLOPT_ERRORBUFFER, detail);
    hd_curl()->easy_setopt(x.curl, CURLOPT_CONNECTTIMEOUT_MS,
                           (long)(r->connect_timeout_ms > 0 ? r->connect_timeout_ms : 5000));
    hd_curl()->easy_setopt(x.curl, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
    hd_curl()->easy_setopt(x.curl, CURLOPT_HEADERFUNCTION, on_header);
    hd_curl()->easy_setopt(x.curl, CURLOPT_HEADERDATA, &x);
    hd_curl()->easy_setopt(x.curl, CURLOPT_WRITEFUNCTION, on_bytes);
    hd_curl()->easy_setopt(x.curl, CURLOPT_WRITEDATA, &x);
    hd_curl()->easy_setopt(x.curl, CURLOPT_HTTPHEADER, fields);
    hd_curl()->easy_setopt(x.curl, CURLOPT_PATH_AS_IS, 1L);
    if (r->socket != NULL)
        hd_curl()->easy_setopt(x.curl, CURLOPT_UNIX_SOCKET_PATH, r->socket);
    set_body(x.curl, r, &x);
    CURLcode code = hd_curl()->easy_perform(x.curl);
    long status = 0;
    hd_curl()->easy_getinfo(x.curl, CURLINFO_RESPONSE_CODE, &status);
    int rc = (int)status;
    if (code == CURLE_OK)
        tell(&x);
    else
        rc = failed(&x, code, detail, err);
    hd_curl()->slist_free_all(fields);
    hd_curl()->easy_cleanup(x.curl);
    return rc;
}
