#include "invoke/fault.h"

#include "core/base64.h"

#include <inttypes.h>
#include <signal.h>

enum { HTTP_BODY_MAX = 64 * 1024 };

/* As the service's own supervisor names them. */
static const char *signal_text(int signal)
{
    static const struct {
        int number;
        const char *text;
    } names[] = {
        {SIGKILL, "killed"},
        {SIGSEGV, "segmentation fault"},
        {SIGABRT, "aborted"},
        {SIGTERM, "terminated"},
        {SIGBUS, "bus error"},
        {SIGFPE, "floating point exception"},
        {SIGILL, "illegal instruction"},
        {SIGTRAP, "trace/breakpoint trap"},
        {SIGINT, "interrupt"},
        {SIGHUP, "hangup"},
        {SIGQUIT, "quit"},
        {SIGPIPE, "broken pipe"},
        {SIGALRM, "alarm clock"},
        {SIGUSR1, "user defined signal 1"},
        {SIGUSR2, "user defined signal 2"},
        {SIGXCPU, "CPU time limit exceeded"},
        {SIGXFSZ, "file size limit exceeded"},
        {SIGSYS, "bad system call"},
    };
    for (size_t i = 0; i < HD_COUNT(names); i++) {
        if (names[i].number == signal)
            return names[i].text;
    }
    return NULL;
}

void hd_fault_exit_text(struct hd_buf *out, const struct hd_exit_status *how)
{
    const char *name = signal_text(how->signal);
    if (how->oom) /* whatever of it the kernel ended first */
        hd_buf_cstr(out, "signal: killed");
    else if (name != NULL)
        hd_buf_fmt(out, "signal: %s", name);
    else if (how->signal != 0)
        hd_buf_fmt(out, "signal: signal %d", how->signal);
    else if (how->code != 0)
        hd_buf_fmt(out, "exit status %d", how->code);
}

static void begin(struct hd_buf *out, const char *type, const char *request_id)
{
    hd_buf_cstr(out, "{\"errorType\":");
    hd_buf_json(out, hd_str(type));
    hd_buf_cstr(out, ",\"errorMessage\":\"RequestId: ");
    hd_buf_cstr(out, request_id);
    hd_buf_cstr(out, " Error: ");
}

void hd_fault_exit(struct hd_buf *out, const char *request_id, const struct hd_exit_status *how)
{
    begin(out, "Runtime.ExitError", request_id);
    size_t before = out->len;
    if (how != NULL) {
        hd_buf_cstr(out, "Runtime exited with error: ");
        size_t known = out->len;
        hd_fault_exit_text(out, how);
        if (out->len == known && !hd_buf_failed(out))
            out->len = before;
    }
    if (out->len == before)
        hd_buf_cstr(out, "Runtime exited without providing a reason");
    hd_buf_cstr(out, "\"}");
}

void hd_fault_timeout(struct hd_buf *out, const char *request_id, uint32_t timeout_ms)
{
    begin(out, "Sandbox.Timedout", request_id);
    hd_buf_fmt(out, "Task timed out after %.2f seconds\"}", timeout_ms / 1000.0);
}

void hd_fault_too_large(struct hd_buf *out, uint64_t max_bytes)
{
    hd_buf_fmt(out,
               "{\"errorType\":\"Function.ResponseSizeTooLarge\",\"errorMessage\":\"Response "
               "payload size exceeded maximum allowed payload size (%" PRIu64 " bytes).\"}",
               max_bytes);
}

void hd_fault_plain(struct hd_buf *out, const char *type, const char *request_id,
                    struct hd_str text)
{
    struct hd_buf message;
    hd_buf_init(&message, 4096 + text.len);
    hd_buf_cstr(&message, "RequestId: ");
    hd_buf_cstr(&message, request_id);
    hd_buf_cstr(&message, " Error: ");
    hd_buf_str(&message, text);
    hd_buf_cstr(out, "{\"errorType\":");
    hd_buf_json(out, hd_str(type));
    hd_buf_cstr(out, ",\"errorMessage\":");
    hd_buf_json(out, hd_buf_view(&message));
    hd_buf_char(out, '}');
    hd_buf_done(&message);
}

static bool is_text(struct hd_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20 && c != '\t' && c != '\n' && c != '\r')
            return false;
    }
    return true;
}

static void add_base64(struct hd_buf *out, struct hd_str bytes)
{
    char *at = hd_buf_reserve(out, hd_base64_chars(HD_BASE64, bytes.len));
    if (at != NULL)
        hd_buf_commit(out, hd_base64_encode(at, HD_BASE64, bytes.ptr, bytes.len));
}

void hd_fault_http(struct hd_buf *out, unsigned status, struct hd_str body)
{
    body.len = HD_MIN(body.len, (size_t)HTTP_BODY_MAX);
    hd_buf_fmt(
        out, "{\"errorType\":\"HttpError\",\"errorMessage\":\"status %u\",\"status\":%u,\"body\":",
        status, status);
    if (is_text(body)) {
        hd_buf_json(out, body);
    } else {
        hd_buf_char(out, '"');
        add_base64(out, body);
        hd_buf_char(out, '"');
    }
    hd_buf_char(out, '}');
}

/* Error types have no escapes; so looking at the text is enough, from the first level's members on:
 * a string is skipped whole, what is deeper is skipped by counting. */
struct hd_str hd_fault_type(struct hd_str payload)
{
    static const struct hd_str name = HD_LIT("errorType");
    struct hd_str key = {NULL, 0}, last = {NULL, 0};
    int depth = 0;
    bool value = false;
    for (size_t i = 0; i < payload.len; i++) {
        char c = payload.ptr[i];
        if (c == '"') {
            size_t from = ++i;
            while (i < payload.len && payload.ptr[i] != '"')
                i += payload.ptr[i] == '\\' ? 2 : 1;
            if (i >= payload.len)
                break;
            last = hd_str_n(payload.ptr + from, i - from);
            if (depth == 1 && value && hd_str_eq(key, name))
                return last;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
        } else if (c == ':' && depth == 1) {
            key = last;
            value = true;
        } else if (c == ',' && depth == 1) {
            value = false;
        }
    }
    return hd_str_n(NULL, 0);
}
