#include "lambda/door/invocation.h"

#include "core/base64.h"
#include "core/jsoncheck.h"
#include "http/path.h"

#include <ctype.h>
#include <stdio.h>

/* --- the request line --- */

static bool cut_end(struct hd_str *s, const char *end)
{
    struct hd_str e = hd_str(end);
    if (s->len > 0 && s->ptr[s->len - 1] == '/')
        s->len--;
    if (!hd_str_ends(*s, e))
        return false;
    s->len -= e.len;
    return true;
}

enum hd_invoke_op hd_invocation_op(struct hd_str method, struct hd_str path, struct hd_str *name)
{
    static const struct {
        struct hd_str begin;
        const char *end;
        enum hd_invoke_op op;
    } forms[] = {
        {HD_LIT("/2015-03-31/functions/"), "/invocations", HD_INVOKE_CALL},
        {HD_LIT("/2021-11-15/functions/"), "/response-streaming-invocations", HD_INVOKE_STREAM},
        {HD_LIT("/2014-11-13/functions/"), "/invoke-async", HD_INVOKE_ASYNC},
    };
    if (!hd_str_is(method, "POST"))
        return HD_INVOKE_NONE;
    for (size_t i = 0; i < HD_COUNT(forms); i++) {
        struct hd_str rest = path;
        if (!hd_str_starts(path, forms[i].begin) || !cut_end(&rest, forms[i].end) ||
            rest.len < forms[i].begin.len)
            continue;
        rest.ptr += forms[i].begin.len;
        rest.len -= forms[i].begin.len;
        if (rest.len == 0 || hd_str_find(rest, '/') < rest.len)
            continue;
        *name = rest;
        return forms[i].op;
    }
    return HD_INVOKE_NONE;
}

const char *hd_invoke_op_name(enum hd_invoke_op op)
{
    switch (op) {
    case HD_INVOKE_NONE:
    case HD_INVOKE_CALL:
        break;
    case HD_INVOKE_ASYNC:
        return "InvokeAsync";
    case HD_INVOKE_STREAM:
        return "InvokeWithResponseStream";
    }
    return "Invoke";
}

/* --- faults --- */

__attribute__((format(printf, 3, 4))) static int
refuse(struct hd_invocation_ask *ask, enum hd_api_error fault, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(ask->message, sizeof(ask->message), fmt, ap);
    va_end(ap);
    ask->fault = fault;
    return HD_EINVAL;
}

static int refuse_value(struct hd_invocation_ask *ask, struct hd_str value, const char *member,
                        const char *constraint)
{
    value.len = HD_MIN(value.len, (size_t)300);
    return refuse(ask, HD_API_VALIDATION,
                  "1 validation error detected: Value '%.*s' at '%s' failed to satisfy constraint: "
                  "%s",
                  HD_FMT(value), member, constraint);
}

/* --- names --- */

/* @return a decoded copy at *room, which moves on. */
static bool decode(struct hd_str *out, char **room, size_t max, struct hd_str wire)
{
    if (wire.len > 3 * max)
        return false;
    char text[3 * HD_INVOCATION_NAME_MAX];
    int len = hd_path_decode(text, wire);
    if (len < 0 || (size_t)len > max || memchr(text, '\0', (size_t)len) != NULL)
        return false;
    memcpy(*room, text, (size_t)len);
    *out = hd_str_n(*room, (size_t)len);
    *room += len;
    return true;
}

static bool has_only(struct hd_str s, const char *more)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!isalnum((unsigned char)s.ptr[i]) && strchr(more, s.ptr[i]) == NULL)
            return false;
    }
    return true;
}

static const char function_pattern[] =
    "Member must satisfy regular expression pattern: "
    "(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?"
    "(\\d{12}:)?(function:)?([a-zA-Z0-9-_\\.]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?";

static int read_name(struct hd_invocation_ask *ask, struct hd_str wire, char **room)
{
    struct hd_str name;
    if (!decode(&name, room, HD_INVOCATION_NAME_MAX, wire))
        return refuse_value(ask, wire, "functionName",
                            "Member must have length less than or equal to 256");
    if (!has_only(name, "-_:$") || hd_names_function(&ask->fn, name) < 0 ||
        !has_only(ask->fn.name, "-_"))
        return refuse_value(ask, name, "functionName", function_pattern);
    return 0;
}

static int read_qualifier(struct hd_invocation_ask *ask, struct hd_str query, char **room)
{
    struct hd_str pair, value = {NULL, 0}, decoded;
    while (hd_str_split(&pair, &query, '&')) {
        size_t at = hd_str_find(pair, '=');
        if (hd_str_is(hd_str_n(pair.ptr, at), "Qualifier"))
            value =
                at < pair.len ? hd_str_n(pair.ptr + at + 1, pair.len - at - 1) : hd_str_n(NULL, 0);
    }
    if (value.len == 0)
        return 0;
    if (!decode(&decoded, room, HD_INVOCATION_QUALIFIER_MAX, value))
        return refuse_value(ask, value, "qualifier",
                            "Member must have length less than or equal to 128");
    if (!has_only(decoded, "-_$"))
        return refuse_value(ask, decoded, "qualifier",
                            "Member must satisfy regular expression pattern: "
                            "\\$(LATEST(\\.PUBLISHED)?)|[a-zA-Z0-9-_$]+");
    if (ask->fn.qualifier.len > 0 && !hd_str_eq(ask->fn.qualifier, decoded))
        return refuse(ask, HD_API_INVALID,
                      "The derived qualifier from the function name does not match the specified "
                      "qualifier.");
    ask->fn.qualifier = decoded;
    return 0;
}

/* --- fields --- */

static int read_kind(struct hd_invocation_ask *ask, struct hd_str value)
{
    if (hd_str_is(value, "RequestResponse"))
        ask->kind = HD_INVOKE_WAIT;
    else if (hd_str_is(value, "Event") && ask->op != HD_INVOKE_STREAM)
        ask->kind = HD_INVOKE_EVENT;
    else if (hd_str_is(value, "DryRun"))
        ask->kind = HD_INVOKE_DRY;
    else if (value.len > 0)
        return refuse_value(ask, value, "invocationType",
                            ask->op == HD_INVOKE_STREAM
                                ? "Member must satisfy enum value set: [RequestResponse, DryRun]"
                                : "Member must satisfy enum value set: [Event, RequestResponse, "
                                  "DryRun]");
    return 0;
}

static int read_log_type(struct hd_invocation_ask *ask, struct hd_str value)
{
    ask->tail = hd_str_is(value, "Tail");
    if (!ask->tail && value.len > 0 && !hd_str_is(value, "None"))
        return refuse_value(ask, value, "logType",
                            "Member must satisfy enum value set: [None, "
                            "Tail]");
    return 0;
}

static int read_context(struct hd_invocation_ask *ask, struct hd_str value)
{
    size_t used;
    if (value.len > HD_INVOCATION_CONTEXT_CHARS)
        return refuse(ask, HD_API_BAD_CONTENT,
                      "Client context must be no more than %d bytes when base64-encoded.",
                      HD_INVOCATION_CONTEXT_CHARS);
    char *out = hd_buf_reserve(&ask->context, hd_base64_bytes(value.len));
    if (value.len > 0 && out != NULL && hd_base64_decode(out, &used, HD_BASE64, value) == 0 &&
        hd_json_check(hd_str_n(out, used), NULL) == 0) {
        hd_buf_commit(&ask->context, used);
        return 0;
    }
    return value.len == 0 ? 0
                          : refuse(ask, HD_API_BAD_CONTENT,
                                   "Client context must be a valid Base64-encoded JSON object.");
}

static int read_field(struct hd_invocation_ask *ask, const struct hd_field *f)
{
    switch (f->name.len) {
    case 11:
        if (hd_str_is_nocase(f->name, "traceparent"))
            ask->traceparent = f->value;
        break;
    case 14:
        if (hd_str_is_nocase(f->name, "x-amz-log-type"))
            return read_log_type(ask, f->value);
        break;
    case 15:
        if (hd_str_is_nocase(f->name, "x-amzn-trace-id"))
            ask->trace = f->value;
        else if (hd_str_is_nocase(f->name, "x-amz-tenant-id"))
            ask->tenant = f->value;
        break;
    case 20:
        if (hd_str_is_nocase(f->name, "x-amz-client-context"))
            return read_context(ask, f->value);
        break;
    case 21:
        if (hd_str_is_nocase(f->name, "x-amz-invocation-type"))
            return read_kind(ask, f->value);
        break;
    default:
        break;
    }
    return 0;
}

int hd_invocation_read(struct hd_invocation_ask *ask, enum hd_invoke_op op, struct hd_str name,
                       struct hd_str query, const struct hd_field *fields, size_t n_fields)
{
    char *room = ask->text;
    memset(ask, 0, offsetof(struct hd_invocation_ask, text));
    ask->op = op;
    ask->kind = op == HD_INVOKE_ASYNC ? HD_INVOKE_EVENT : HD_INVOKE_WAIT;
    hd_buf_init(&ask->context, HD_INVOCATION_CONTEXT_CHARS);
    int rc = read_name(ask, name, &room);
    if (rc == 0)
        rc = read_qualifier(ask, query, &room);
    for (size_t i = 0; rc == 0 && i < n_fields; i++) {
        if (op != HD_INVOKE_ASYNC || fields[i].name.len == 11 || fields[i].name.len == 15)
            rc = read_field(ask, &fields[i]);
    }
    return rc;
}

int hd_invocation_check(struct hd_invocation_ask *ask, struct hd_str payload)
{
    struct hd_error err;
    unsigned max =
        ask->kind == HD_INVOKE_EVENT ? HD_INVOCATION_ASYNC_BYTES : HD_INVOCATION_EVENT_BYTES;
    if (payload.len > max)
        return refuse(ask, HD_API_ENTITY_TOO_LARGE,
                      "Request must be smaller than %u bytes for the InvokeFunction operation",
                      max);
    if (payload.len > 0 && hd_json_check(payload, &err) < 0)
        return refuse(ask, HD_API_BAD_CONTENT, "Could not parse request body into json: %s",
                      err.msg);
    return 0;
}

void hd_invocation_done(struct hd_invocation_ask *ask)
{
    hd_buf_done(&ask->context);
}
