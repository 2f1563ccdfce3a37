#include "lambda/logs/logs.h"

#include "core/buf.h"
#include "lambda/logs/logfilter.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

enum {
    EVENTS_MAX = 10000, /* of one answer */
    EVENTS_BYTES = 1 << 20,
    EVENT_BYTES = 26, /* what the service counts for one beside its text */
    LIST_MAX = 50,    /* groups and streams of one answer */
    NAMES_MAX = 100,  /* streams that one request names */
    ANSWER_MAX = 16 << 20,
};

struct hd_logs {
    struct hd_logstore *store;
    struct hd_loop *control;
};

struct job {
    struct hd_logs *logs;
    struct hd_loop *loop;
    void (*done)(void *arg, const struct hd_logs_answer *answer);
    void *arg;
    char *operation, *space, *account, *region;
    char *text; /* of the request */
    size_t text_len;
    json_t *in;
    unsigned status;
    const char *error_type;
    struct hd_buf out;
};

struct hd_logs *hd_logs_new(struct hd_logstore *store, struct hd_loop *control)
{
    struct hd_logs *l = hd_new(struct hd_logs);
    *l = (struct hd_logs){store, control};
    return l;
}

void hd_logs_free(struct hd_logs *l)
{
    free(l);
}

struct hd_str hd_logs_operation(struct hd_str target)
{
    static const struct hd_str prefix = HD_LIT("Logs_20140328.");
    return hd_str_starts(target, prefix)
               ? hd_str_n(target.ptr + prefix.len, target.len - prefix.len)
               : hd_str_n(NULL, 0);
}

/* --- refusals --- */

__attribute__((format(printf, 3, 4))) static void refuse(struct job *j, const char *type,
                                                         const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    j->status = 400;
    j->error_type = type;
    hd_buf_clear(&j->out);
    hd_buf_fmt(&j->out, "{\"__type\":\"%s\",\"message\":", type);
    hd_buf_json(&j->out, hd_str(text));
    hd_buf_char(&j->out, '}');
}

static const char invalid[] = "InvalidParameterException";

/* --- members of the request --- */

/* @return false, and it is refused: not a text of 1 to @p max characters. *out NULL: not given. */
static bool text_of(struct job *j, const char *name, size_t max, const char **out)
{
    const json_t *v = json_object_get(j->in, name);
    *out = NULL;
    if (v == NULL || json_is_null(v))
        return true;
    *out = json_string_value(v);
    if (*out != NULL && json_string_length(v) >= 1 && json_string_length(v) <= max)
        return true;
    refuse(j, invalid, "%s must be a text of 1 to %zu characters", name, max);
    return false;
}

static bool number_of(struct job *j, const char *name, int64_t least, int64_t most, int64_t *out)
{
    const json_t *v = json_object_get(j->in, name);
    if (v == NULL || json_is_null(v))
        return true;
    if (json_is_integer(v) && json_integer_value(v) >= least && json_integer_value(v) <= most) {
        *out = json_integer_value(v);
        return true;
    }
    refuse(j, invalid,
           "1 validation error detected: Value at '%s' failed to satisfy constraint: it must be a "
           "number from %" PRId64 " to %" PRId64,
           name, least, most);
    return false;
}

/* A group by its name, or by its ARN. @return NULL: it is refused. */
static const struct hd_log_group *group_of(struct job *j)
{
    const char *name, *identifier;
    if (!text_of(j, "logGroupName", 512, &name) ||
        !text_of(j, "logGroupIdentifier", 2048, &identifier))
        return NULL;
    if ((name == NULL) == (identifier == NULL)) {
        refuse(j, invalid, "either logGroupName or logGroupIdentifier must be given");
        return NULL;
    }
    struct hd_str wanted = hd_str(name != NULL ? name : identifier);
    hd_auto_free char *prefix = hd_printf("arn:aws:logs:%s:%s:log-group:", j->region, j->account);
    if (name == NULL && hd_str_starts(wanted, hd_str(prefix)))
        wanted = hd_str(identifier + strlen(prefix));
    if (name == NULL && hd_str_ends(wanted, hd_str(":*")))
        wanted.len -= 2;
    const struct hd_log_group *g = hd_logstore_group(j->logs->store, hd_str(j->space), wanted);
    if (g == NULL)
        refuse(j, "ResourceNotFoundException", "The specified log group does not exist.");
    return g;
}

/* --- events --- */

/* Which lines are meant, and how far to go. */
struct wanted {
    const struct hd_log_group *group;
    const json_t *streams; /* names, or NULL */
    const char *prefix;    /* of a stream's name, or NULL */
    struct hd_logfilter filter;
    int64_t from_ms, until_ms; /* from, and before */
    int64_t limit;
};

static bool names_it(const json_t *names, struct hd_str stream)
{
    size_t i;
    json_t *name;
    json_array_foreach(names, i, name)
    {
        if (json_is_string(name) && hd_str_eq(hd_str(json_string_value(name)), stream))
            return true;
    }
    return false;
}

static bool is_wanted(const struct wanted *w, const struct hd_log_entry *e)
{
    if (e->stream->group != w->group || e->unix_ms < w->from_ms || e->unix_ms >= w->until_ms)
        return false;
    if (w->streams != NULL && !names_it(w->streams, e->stream->name))
        return false;
    if (w->prefix != NULL && !hd_str_starts(e->stream->name, hd_str(w->prefix)))
        return false;
    return hd_logfilter_match(&w->filter, hd_str_n(e->text, e->len));
}

/* The lines of one answer, as numbers of the store. */
struct page {
    uint64_t *numbers;
    size_t n, bytes;
    bool full;
};

static bool note(struct page *p, const struct wanted *w, const struct hd_log_entry *e, uint64_t n)
{
    if ((int64_t)p->n == w->limit || (p->n > 0 && p->bytes + e->len + EVENT_BYTES > EVENTS_BYTES)) {
        p->full = true;
        return false;
    }
    p->numbers[p->n++] = n;
    p->bytes += e->len + EVENT_BYTES;
    return true;
}

/* @return the number of the first line that was not looked at. */
static uint64_t forward(struct page *p, const struct hd_logstore *s, const struct wanted *w,
                        uint64_t n)
{
    for (n = HD_MAX(n, hd_logstore_first(s)); n < hd_logstore_end(s); n++) {
        const struct hd_log_entry *e = hd_logstore_at(s, n);
        if (is_wanted(w, e) && !note(p, w, e, n))
            break;
    }
    return n;
}

/* The last ones before @p n. */
static void backward(struct page *p, const struct hd_logstore *s, const struct wanted *w,
                     uint64_t n)
{
    n = HD_MIN(n, hd_logstore_end(s));
    while (n > hd_logstore_first(s)) {
        const struct hd_log_entry *e = hd_logstore_at(s, --n);
        if (is_wanted(w, e) && !note(p, w, e, n))
            break;
    }
}

static int by_time(const void *a, const void *b, void *arg)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    int64_t tx = hd_logstore_at(arg, x)->unix_ms, ty = hd_logstore_at(arg, y)->unix_ms;
    if (tx != ty)
        return tx < ty ? -1 : 1;
    return (x > y) - (x < y);
}

static void write_events(struct job *j, const struct page *p, bool full)
{
    struct hd_buf *out = &j->out;
    if (p->n > 1)
        qsort_r(p->numbers, p->n, sizeof(*p->numbers), by_time, j->logs->store);
    hd_buf_cstr(out, "{\"events\":[");
    for (size_t i = 0; i < p->n; i++) {
        const struct hd_log_entry *e = hd_logstore_at(j->logs->store, p->numbers[i]);
        hd_buf_cstr(out, i > 0 ? ",{" : "{");
        if (full) { /* an id has 56 digits at the service */
            hd_buf_fmt(out, "\"eventId\":\"%056" PRIu64 "\",\"logStreamName\":", p->numbers[i]);
            hd_buf_json(out, e->stream->name);
            hd_buf_char(out, ',');
        }
        hd_buf_fmt(out, "\"timestamp\":%" PRId64 ",\"ingestionTime\":%" PRId64 ",\"message\":",
                   e->unix_ms, e->added_unix_ms);
        hd_buf_json(out, hd_str_n(e->text, e->len));
        hd_buf_char(out, '}');
    }
    hd_buf_char(out, ']');
}

/* A token is a letter, a slash and a number. @return false, and it is refused. */
static bool token_of(struct job *j, char kind, const char *text, uint64_t *out)
{
    if (text[0] == kind && text[1] == '/' && hd_str_to_u64(out, hd_str(text + 2)) == 0)
        return true;
    refuse(j, invalid, "The specified nextToken is invalid.");
    return false;
}

static bool range_of(struct job *j, struct wanted *w)
{
    return number_of(j, "startTime", 0, INT64_MAX - 1, &w->from_ms) &&
           number_of(j, "endTime", 0, INT64_MAX - 1, &w->until_ms) &&
           number_of(j, "limit", 1, EVENTS_MAX, &w->limit);
}

static bool filter_of(struct job *j, struct wanted *w)
{
    const char *pattern;
    struct hd_error err;
    if (!text_of(j, "logStreamNamePrefix", 512, &w->prefix) ||
        !text_of(j, "filterPattern", 1024, &pattern))
        return false;
    w->streams = json_object_get(j->in, "logStreamNames");
    if (w->streams != NULL && (!json_is_array(w->streams) || json_array_size(w->streams) < 1 ||
                               json_array_size(w->streams) > NAMES_MAX)) {
        refuse(j, invalid, "logStreamNames must be a list of 1 to %d names", NAMES_MAX);
        return false;
    }
    if (w->streams != NULL && w->prefix != NULL) {
        refuse(j, invalid, "logStreamNames and logStreamNamePrefix exclude each other");
        return false;
    }
    if (hd_logfilter_parse(&w->filter, hd_str(pattern), &err) == 0)
        return true;
    refuse(j, invalid, "%s", err.msg);
    return false;
}

static void filter_log_events(struct job *j)
{
    struct hd_logstore *s = j->logs->store;
    struct wanted w = {.until_ms = INT64_MAX, .limit = EVENTS_MAX};
    const char *token;
    uint64_t from = 0;
    w.group = group_of(j);
    if (w.group == NULL || !range_of(j, &w) || !filter_of(j, &w) ||
        !text_of(j, "nextToken", 64, &token) || (token != NULL && !token_of(j, 'n', token, &from)))
        return;
    if (w.until_ms != INT64_MAX)
        w.until_ms++; /* here the end is meant too */
    struct page p = {.numbers = hd_new_array(uint64_t, (size_t)w.limit)};
    uint64_t next = forward(&p, s, &w, from);
    write_events(j, &p, true);
    hd_buf_cstr(&j->out, ",\"searchedLogStreams\":[]");
    if (p.full)
        hd_buf_fmt(&j->out, ",\"nextToken\":\"n/%" PRIu64 "\"", next);
    hd_buf_char(&j->out, '}');
    free(p.numbers);
}

static void get_log_events(struct job *j)
{
    struct hd_logstore *s = j->logs->store;
    struct wanted w = {.until_ms = INT64_MAX, .limit = EVENTS_MAX};
    const char *token, *stream;
    w.group = group_of(j);
    if (w.group == NULL || !range_of(j, &w) || !text_of(j, "logStreamName", 512, &stream) ||
        !text_of(j, "nextToken", 64, &token))
        return;
    if (stream == NULL) {
        refuse(j, invalid, "logStreamName must be given");
        return;
    }
    w.streams = json_pack("[s]", stream);
    struct page p = {.numbers = hd_new_array(uint64_t, (size_t)w.limit)};
    bool ahead = json_is_true(json_object_get(j->in, "startFromHead"));
    uint64_t from = ahead ? 0 : UINT64_MAX;
    bool good = true, known = false;
    hd_list_each(item, (struct hd_list *)&w.group->streams) known =
        known || hd_str_is(hd_container_of(item, struct hd_log_stream, link)->name, stream);
    if (!known) {
        refuse(j, "ResourceNotFoundException", "The specified log stream does not exist.");
        good = false;
    } else if (token != NULL) {
        ahead = token[0] == 'f';
        good = token_of(j, ahead ? 'f' : 'b', token, &from);
    }
    if (good && ahead)
        forward(&p, s, &w, from);
    else if (good)
        backward(&p, s, &w, from);
    if (good) {
        uint64_t low = UINT64_MAX, high = 0;
        for (size_t i = 0; i < p.n; i++) {
            low = HD_MIN(low, p.numbers[i]);
            high = HD_MAX(high, p.numbers[i] + 1);
        }
        if (p.n == 0) /* the same tokens again: this is the end */
            low = high = HD_MIN(from, hd_logstore_end(s));
        write_events(j, &p, false);
        hd_buf_fmt(&j->out,
                   ",\"nextForwardToken\":\"f/%" PRIu64 "\",\"nextBackwardToken\":\"b/%" PRIu64
                   "\"}",
                   high, low);
    }
    json_decref((json_t *)w.streams);
    free(p.numbers);
}

/* --- groups and streams --- */

static void member(struct hd_buf *out, const char *name, struct hd_str value)
{
    hd_buf_fmt(out, "\"%s\":", name);
    hd_buf_json(out, value);
    hd_buf_char(out, ',');
}

static void write_group(struct job *j, const struct hd_log_group *g)
{
    struct hd_buf *out = &j->out;
    hd_auto_free char *arn =
        hd_printf("arn:aws:logs:%s:%s:log-group:%.*s", j->region, j->account, HD_FMT(g->name));
    hd_auto_free char *all = hd_printf("%s:*", arn);
    hd_buf_char(out, '{');
    member(out, "logGroupName", g->name);
    member(out, "arn", hd_str(all));
    member(out, "logGroupArn", hd_str(arn));
    hd_buf_fmt(out,
               "\"creationTime\":%" PRId64 ",\"metricFilterCount\":0,\"storedBytes\":%" PRIu64
               ",\"logGroupClass\":\"STANDARD\"}",
               g->made_unix_ms, g->bytes);
}

static int by_group_name(const void *a, const void *b)
{
    const struct hd_log_group *const *x = a, *const *y = b;
    return hd_str_cmp((*x)->name, (*y)->name);
}

static void describe_log_groups(struct job *j)
{
    const struct hd_list *all = hd_logstore_groups(j->logs->store);
    const char *prefix, *part, *token;
    int64_t limit = LIST_MAX;
    if (!text_of(j, "logGroupNamePrefix", 512, &prefix) ||
        !text_of(j, "logGroupNamePattern", 512, &part) || !text_of(j, "nextToken", 512, &token) ||
        !number_of(j, "limit", 1, LIST_MAX, &limit))
        return;
    size_t n = 0, room = 0;
    hd_list_each(item, (struct hd_list *)all) room++;
    const struct hd_log_group **found = hd_new_array(const struct hd_log_group *, room + 1);
    hd_list_each(item, (struct hd_list *)all)
    {
        const struct hd_log_group *g = hd_container_of(item, struct hd_log_group, link);
        if (hd_str_is(g->space, j->space) &&
            (prefix == NULL || hd_str_starts(g->name, hd_str(prefix))) &&
            (part == NULL || memmem(g->name.ptr, g->name.len, part, strlen(part)) != NULL) &&
            (token == NULL || hd_str_cmp(g->name, hd_str(token)) > 0))
            found[n++] = g;
    }
    if (n > 1)
        qsort((void *)found, n, sizeof(*found), by_group_name);
    size_t shown = HD_MIN(n, (size_t)limit);
    hd_buf_cstr(&j->out, "{\"logGroups\":[");
    for (size_t i = 0; i < shown; i++) {
        if (i > 0)
            hd_buf_char(&j->out, ',');
        write_group(j, found[i]);
    }
    hd_buf_char(&j->out, ']');
    if (shown < n) {
        hd_buf_cstr(&j->out, ",\"nextToken\":");
        hd_buf_json(&j->out, found[shown - 1]->name);
    }
    hd_buf_char(&j->out, '}');
    free((void *)found);
}

static void write_stream(struct job *j, const struct hd_log_stream *t)
{
    struct hd_buf *out = &j->out;
    hd_auto_free char *arn =
        hd_printf("arn:aws:logs:%s:%s:log-group:%.*s:log-stream:%.*s", j->region, j->account,
                  HD_FMT(t->group->name), HD_FMT(t->name));
    hd_buf_char(out, '{');
    member(out, "logStreamName", t->name);
    member(out, "arn", hd_str(arn));
    hd_buf_fmt(out,
               "\"creationTime\":%" PRId64 ",\"firstEventTimestamp\":%" PRId64
               ",\"lastEventTimestamp\":%" PRId64 ",\"lastIngestionTime\":%" PRId64
               ",\"storedBytes\":0}",
               t->made_unix_ms, t->first_unix_ms, t->last_unix_ms, t->last_added_unix_ms);
}

static int by_stream_name(const void *a, const void *b)
{
    const struct hd_log_stream *const *x = a, *const *y = b;
    return hd_str_cmp((*x)->name, (*y)->name);
}

static int by_stream_time(const void *a, const void *b)
{
    const struct hd_log_stream *const *x = a, *const *y = b;
    int64_t tx = (*x)->last_unix_ms, ty = (*y)->last_unix_ms;
    return tx != ty ? (tx > ty) - (tx < ty) : by_stream_name(a, b);
}

static void write_streams(struct job *j, const struct hd_log_stream **found, size_t n,
                          uint64_t skip, size_t limit, bool descending)
{
    size_t at = HD_MIN(skip, (uint64_t)n), end = HD_MIN(n, at + limit);
    hd_buf_cstr(&j->out, "{\"logStreams\":[");
    for (size_t i = at; i < end; i++) {
        if (i > at)
            hd_buf_char(&j->out, ',');
        write_stream(j, found[descending ? n - 1 - i : i]);
    }
    hd_buf_char(&j->out, ']');
    if (end < n)
        hd_buf_fmt(&j->out, ",\"nextToken\":\"s/%zu\"", end);
    hd_buf_char(&j->out, '}');
}

static void describe_log_streams(struct job *j)
{
    const struct hd_log_group *g = group_of(j);
    const char *prefix, *order, *token;
    int64_t limit = LIST_MAX;
    uint64_t skip = 0;
    if (g == NULL || !text_of(j, "logStreamNamePrefix", 512, &prefix) ||
        !text_of(j, "orderBy", 32, &order) || !text_of(j, "nextToken", 64, &token) ||
        !number_of(j, "limit", 1, LIST_MAX, &limit) ||
        (token != NULL && !token_of(j, 's', token, &skip)))
        return;
    bool by_last = order != NULL && strcmp(order, "LastEventTime") == 0;
    if (order != NULL && !by_last && strcmp(order, "LogStreamName") != 0) {
        refuse(j, invalid, "orderBy must be LogStreamName or LastEventTime");
        return;
    }
    if (by_last && prefix != NULL) {
        refuse(j, invalid, "Cannot order by LastEventTime with a logStreamNamePrefix.");
        return;
    }
    size_t n = 0;
    const struct hd_log_stream **found =
        hd_new_array(const struct hd_log_stream *, g->n_streams + 1);
    hd_list_each(item, (struct hd_list *)&g->streams)
    {
        const struct hd_log_stream *t = hd_container_of(item, struct hd_log_stream, link);
        if (prefix == NULL || hd_str_starts(t->name, hd_str(prefix)))
            found[n++] = t;
    }
    if (n > 1)
        qsort((void *)found, n, sizeof(*found), by_last ? by_stream_time : by_stream_name);
    write_streams(j, found, n, skip, (size_t)limit,
                  json_is_true(json_object_get(j->in, "descending")));
    free((void *)found);
}

/* --- a request --- */

static const struct {
    const char *name;
    void (*run)(struct job *j);
} operations[] = {{"FilterLogEvents", filter_log_events},
                  {"GetLogEvents", get_log_events},
                  {"DescribeLogGroups", describe_log_groups},
                  {"DescribeLogStreams", describe_log_streams}};

static void on_done(void *arg)
{
    struct job *j = arg;
    struct hd_logs_answer a = {j->status, j->error_type, hd_buf_view(&j->out)};
    j->done(j->arg, &a);
    hd_buf_done(&j->out);
    free(j->operation);
    free(j->space);
    free(j->account);
    free(j->region);
    free(j->text);
    free(j);
}

static void run(struct job *j)
{
    json_error_t error;
    for (size_t i = 0; i < HD_COUNT(operations); i++) {
        if (strcmp(operations[i].name, j->operation) != 0)
            continue;
        j->in = json_loadb(j->text, j->text_len, 0, &error);
        if (json_is_object(j->in))
            operations[i].run(j);
        else
            refuse(j, "SerializationException", "the body must be a JSON object: %s", error.text);
        json_decref(j->in);
        return;
    }
    refuse(j, "UnknownOperationException",
           "This server offers FilterLogEvents, GetLogEvents, DescribeLogGroups and "
           "DescribeLogStreams of CloudWatch Logs, not %.100s.",
           j->operation);
}

static void begin(void *arg)
{
    struct job *j = arg;
    run(j);
    if (hd_buf_failed(&j->out))
        refuse(j, invalid, "The answer would be too long; ask with a lower limit.");
    hd_loop_post(j->loop, on_done, j);
}

void hd_logs_handle(struct hd_logs *l, const struct hd_logs_request *request, struct hd_loop *loop,
                    void (*done)(void *arg, const struct hd_logs_answer *answer), void *arg)
{
    struct job *j = hd_new(struct job);
    j->logs = l;
    j->loop = loop;
    j->done = done;
    j->arg = arg;
    j->status = 200;
    j->operation = hd_strdup_n(request->operation);
    j->account = hd_strdup_n(request->account);
    j->region = hd_strdup_n(request->region);
    j->space = hd_printf("%s/%s", j->account, j->region);
    j->text = hd_strdup_n(request->body);
    j->text_len = request->body.len;
    hd_buf_init(&j->out, ANSWER_MAX);
    hd_loop_post(l->control, begin, j);
}
