#include "shim/failure.h"

#include <jansson.h>
#include <stdio.h>
#include <sys/wait.h>

void hd_failure_set(struct hd_failure *f, const char *type, const char *fmt, ...)
{
    va_list ap;
    hd_failure_done(f);
    snprintf(f->type, sizeof(f->type), "%s", type);
    va_start(ap, fmt);
    vsnprintf(f->text, sizeof(f->text), fmt, ap);
    va_end(ap);
}

void hd_failure_post(struct hd_failure *f, const char *type, struct hd_str body)
{
    hd_failure_done(f);
    snprintf(f->type, sizeof(f->type), "%s", type);
    if (!hd_failure_is_json(body))
        return;
    f->posted = hd_strdup_n(body);
    f->posted_len = body.len;
}

void hd_failure_exit(struct hd_failure *f, const char *type, const char *who, int status)
{
    if (WIFSIGNALED(status)) {
        const char *name = sigdescr_np(WTERMSIG(status));
        char lower[40] = "";
        for (size_t i = 0; name != NULL && name[i] != '\0' && i < sizeof(lower) - 1; i++)
            lower[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + ('a' - 'A') : name[i]);
        if (lower[0] == '\0')
            snprintf(lower, sizeof(lower), "%d", WTERMSIG(status));
        hd_failure_set(f, type, "%s exited with error: signal: %s", who, lower);
    } else if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        hd_failure_set(f, type, "%s exited with error: exit status %d", who, WEXITSTATUS(status));
    } else {
        hd_failure_set(f, type, "%s exited without providing a reason", who);
    }
}

void hd_failure_done(struct hd_failure *f)
{
    free(f->posted);
    *f = (struct hd_failure){0};
}

void hd_failure_json(struct hd_buf *out, const struct hd_failure *f, struct hd_str request_id)
{
    if (f->posted != NULL) {
        hd_buf_add(out, f->posted, f->posted_len);
        return;
    }
    struct hd_buf text;
    hd_buf_init(&text, HD_FAILURE_TEXT_MAX + 512);
    if (!f->plain) {
        hd_buf_cstr(&text, "RequestId: ");
        hd_buf_str(&text, request_id);
        hd_buf_cstr(&text, " Error: ");
    }
    hd_buf_cstr(&text,
                f->text[0] != '\0' ? f->text : "the function gave no JSON text for its error");
    hd_buf_cstr(out, "{\"errorType\":");
    hd_buf_json(out, hd_str(f->type));
    hd_buf_cstr(out, ",\"errorMessage\":");
    hd_buf_json(out, hd_buf_view(&text));
    hd_buf_char(out, '}');
    hd_buf_done(&text);
}

void hd_failure_api_json(struct hd_buf *out, const char *type, const char *text)
{
    hd_buf_cstr(out, "{\"errorMessage\":");
    hd_buf_json(out, hd_str(text));
    hd_buf_cstr(out, ",\"errorType\":");
    hd_buf_json(out, hd_str(type));
    hd_buf_cstr(out, "}\n");
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

const char *hd_failure_type(struct hd_str given, const char *fallback,
                            char room[HD_FAILURE_TYPE_MAX + 1])
{
    static const char *const areas[] = {"Runtime.", "Function.", "Extension."};
    for (size_t i = 0; i < HD_COUNT(areas); i++) {
        struct hd_str area = hd_str(areas[i]);
        if (!hd_str_starts(given, area) || given.len > HD_FAILURE_TYPE_MAX)
            continue;
        size_t at = area.len;
        if (at + 1 >= given.len || given.ptr[at] < 'A' || given.ptr[at] > 'Z')
            continue;
        while (at < given.len && is_letter(given.ptr[at]))
            at++;
        if (at < given.len)
            continue;
        memcpy(room, given.ptr, given.len);
        room[given.len] = '\0';
        return room;
    }
    return fallback;
}

bool hd_failure_is_json(struct hd_str body)
{
    json_t *json = json_loadb(body.ptr != NULL ? body.ptr : "", body.len,
                              JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool ok = json != NULL;
    json_decref(json);
    return ok;
}
