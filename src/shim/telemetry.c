/* The telemetry stream: what functions and extensions print and what happens to them, as batches to
 * those extensions that asked for it.
 *
 *   event ──► queue of each subscriber ──full, or its time is over──► POST ──2xx──► forgotten
 *                                                                      │ else, three times
 *                                                                      └──► dropped and counted
 */
#include "shim/shim.h"

#include "http/client.h"
#include "shim/envtable.h"

#include <stdio.h>

enum {
    HISTORY_MAX = 256 << 10, /* of init, for those who subscribe late in it */
    QUEUE_MAX = 2 << 20,     /* what one who is slow may have waiting */
    ANSWER_MS = 5000,
    AGAIN_MS = 100,
    TRIES = 3,
    LINE_MAX_BYTES = HD_FRAME_RECORD_MAX,
};

struct hd_shim_subscriber {
    struct hd_shim *shim;
    struct hd_subscription what;
    bool logs; /* the Logs API: it knows fewer kinds of events */
    struct hd_buf queue, flight;
    unsigned queued, flying; /* events in them */
    unsigned tries;
    bool sending, urgent;
    struct hd_client_conn *conn;
    struct hd_timer due; /* of the queue's first event */
    struct hd_timer answer;
    uint64_t dropped_events, dropped_bytes;
};

static void send_next(struct hd_shim_subscriber *u);

/* --- delivery --- */

static void on_due(struct hd_timer *t)
{
    struct hd_shim_subscriber *u = hd_container_of(t, struct hd_shim_subscriber, due);
    u->urgent = true;
    send_next(u);
}

static void queue(struct hd_shim_subscriber *u, struct hd_str line)
{
    if (u->queue.len + line.len > QUEUE_MAX) {
        u->dropped_events++;
        u->dropped_bytes += line.len;
        return;
    }
    hd_buf_str(&u->queue, line);
    u->queued++;
    if (u->queued >= u->what.max_items || u->queue.len >= u->what.max_bytes)
        u->urgent = true;
    if (u->urgent)
        send_next(u);
    else if (!hd_timer_active(&u->due))
        hd_timer_start(u->shim->loop, &u->due, u->what.timeout_ms, on_due);
}

static void tell_dropped(struct hd_shim_subscriber *u)
{
    struct hd_buf line, record;
    if (u->dropped_events == 0)
        return;
    hd_buf_init(&line, 1024);
    hd_buf_init(&record, 512);
    hd_buf_fmt(&record,
               "{\"reason\":\"The receiver takes events more slowly than they come\","
               "\"droppedRecords\":%llu,\"droppedBytes\":%llu}",
               (unsigned long long)u->dropped_events, (unsigned long long)u->dropped_bytes);
    u->dropped_events = u->dropped_bytes = 0;
    hd_subscription_event(&line, hd_clock_unix_ms(), "platform.logsDropped", hd_buf_view(&record));
    queue(u, hd_buf_view(&line));
    hd_buf_done(&line);
    hd_buf_done(&record);
}

/* The batch under way is delivered, or given up. */
static void landed(struct hd_shim_subscriber *u)
{
    hd_buf_done(&u->flight);
    u->flying = u->tries = 0;
    u->sending = false;
    if (u->queue.len < QUEUE_MAX / 2)
        tell_dropped(u);
    if (u->queue.len > 0 && (u->urgent || u->queue.len >= u->what.max_bytes))
        send_next(u);
    else if (u->queue.len == 0)
        u->urgent = false;
}

static void post(struct hd_shim_subscriber *u);

static void on_again(struct hd_timer *t)
{
    post(hd_container_of(t, struct hd_shim_subscriber, answer));
}

static void failed(struct hd_shim_subscriber *u)
{
    u->conn = NULL;
    if (++u->tries < TRIES) {
        hd_timer_start(u->shim->loop, &u->answer, AGAIN_MS, on_again);
        return;
    }
    hd_timer_stop(u->shim->loop, &u->answer);
    u->dropped_events += u->flying;
    u->dropped_bytes += u->flight.len;
    landed(u);
}

static void on_no_answer(struct hd_timer *t)
{
    struct hd_shim_subscriber *u = hd_container_of(t, struct hd_shim_subscriber, answer);
    hd_client_close(u->conn);
    failed(u);
}

/* One batch, one connection: they are few, and a receiver may close its own at any time. */
static void answered(struct hd_shim_subscriber *u)
{
    hd_timer_stop(u->shim->loop, &u->answer);
    hd_client_close(hd_steal(u->conn));
    landed(u);
}

static void on_head(void *owner, const struct hd_head *head, struct hd_str body, bool end)
{
    struct hd_shim_subscriber *u = owner;
    (void)body;
    if (head->status < 200)
        return;
    if (head->status >= 300) {
        hd_timer_stop(u->shim->loop, &u->answer);
        hd_client_close(u->conn);
        failed(u);
    } else if (end) {
        answered(u);
    }
}

static void on_body(void *owner, struct hd_str bytes, bool end)
{
    (void)bytes;
    if (end)
        answered(owner);
}

static void on_trailers(void *owner, const struct hd_field *fields, size_t n)
{
    (void)owner;
    (void)fields;
    (void)n;
}

static void on_writable(void *owner)
{
    (void)owner;
}

static void on_failed(void *owner, const struct hd_error *err, enum hd_client_lost lost)
{
    (void)err;
    (void)lost;
    failed(owner);
}

static const struct hd_client_events events = {.on_head = on_head,
                                               .on_body = on_body,
                                               .on_trailers = on_trailers,
                                               .on_writable = on_writable,
                                               .on_failed = on_failed};

static void post(struct hd_shim_subscriber *u)
{
    static const struct hd_field type = {HD_LIT("content-type"), HD_LIT("application/json")};
    const struct hd_endpoint to = {
        .kind = HD_ENDPOINT_TCP, .address = "127.0.0.1", .port = u->what.port};
    char host[48];
    snprintf(host, sizeof(host), "sandbox.localdomain:%u", u->what.port);
    const struct hd_request_head head = {.method = hd_str("POST"),
                                         .path = hd_str(u->what.path),
                                         .authority = hd_str(host),
                                         .fields = &type,
                                         .n_fields = 1,
                                         .body_bytes = (int64_t)u->flight.len};
    const struct hd_format how = {.framing = HD_FRAMING_LENGTH};
    struct hd_buf bytes;
    hd_buf_init(&bytes, 4096);
    hd_format_request(&bytes, &head, &how, NULL); /* what is in it was checked */
    u->conn = hd_client_connect(u->shim->net, &to, NULL);
    struct hd_client_request req = {.head = hd_buf_view(&bytes)};
    hd_timer_start(u->shim->loop, &u->answer, ANSWER_MS, on_no_answer);
    hd_client_send(u->conn, &req, hd_buf_view(&u->flight), true, &events, u);
    hd_buf_done(&bytes);
}

static void send_next(struct hd_shim_subscriber *u)
{
    if (u->sending || u->queue.len == 0)
        return;
    hd_timer_stop(u->shim->loop, &u->due);
    hd_buf_init(&u->flight, QUEUE_MAX + LINE_MAX_BYTES);
    size_t used = hd_subscription_batch(&u->flight, &u->flying, hd_buf_view(&u->queue), &u->what);
    hd_buf_consume(&u->queue, used);
    u->queued -= u->flying;
    u->sending = true;
    post(u);
}

/* --- events --- */

/* In the history each line has in front for whom it is. */
enum { FOR_ALL = 'a', FOR_TELEMETRY = 't', FOR_LOGS = 'l' };

static void offer(struct hd_shim_subscriber *u, unsigned type, char audience, struct hd_str line)
{
    bool theirs = audience == FOR_ALL || audience == (u->logs ? FOR_LOGS : FOR_TELEMETRY);
    if ((u->what.types & type) != 0 && theirs)
        queue(u, line);
}

static void emit(struct hd_shim *s, unsigned type, char audience, struct hd_str line)
{
    struct hd_buf *history = &s->history;
    if (!s->exts.closed && history->len + line.len + 2 < HISTORY_MAX) {
        hd_buf_char(history, (char)('0' + type));
        hd_buf_char(history, audience);
        hd_buf_str(history, line);
    }
    for (size_t i = 0; i < HD_COUNT(s->subscribers); i++)
        if (s->subscribers[i] != NULL)
            offer(s->subscribers[i], type, audience, line);
}

static bool nobody_hears(const struct hd_shim *s)
{
    return s->exts.n == 0 && s->phase != HD_SHIM_INIT;
}

void hd_shim_telemetry(struct hd_shim *s, const char *kind, const char *fmt, ...)
{
    struct hd_buf line, record;
    va_list ap;
    if (nobody_hears(s))
        return;
    hd_buf_init(&record, LINE_MAX_BYTES);
    hd_buf_init(&line, LINE_MAX_BYTES + 256);
    va_start(ap, fmt);
    hd_buf_vfmt(&record, fmt, ap);
    va_end(ap);
    bool init = strncmp(kind, "platform.init", 13) == 0 ||
                strcmp(kind, "platform.telemetrySubscription") == 0;
    bool logs = strcmp(kind, "platform.end") == 0 || strcmp(kind, "platform.logsSubscription") == 0;
    hd_subscription_event(&line, hd_clock_unix_ms(), kind, hd_buf_view(&record));
    if (!hd_buf_failed(&record) && !hd_buf_failed(&line))
        emit(s, HD_TELE_PLATFORM,
             init   ? FOR_TELEMETRY
             : logs ? FOR_LOGS
                    : FOR_ALL,
             hd_buf_view(&line));
    hd_buf_done(&record);
    hd_buf_done(&line);
}

void hd_shim_telemetry_line(struct hd_shim *s, bool extension, struct hd_str text)
{
    struct hd_buf line, record;
    if (nobody_hears(s))
        return;
    const char *format =
        s->load != NULL ? hd_envtable_get(s->load->env, "AWS_LAMBDA_LOG_FORMAT") : NULL;
    bool object = format != NULL && strcmp(format, "JSON") == 0 && text.len > 0 &&
                  text.ptr[0] == '{' && hd_failure_is_json(text);
    hd_buf_init(&record, LINE_MAX_BYTES);
    hd_buf_init(&line, LINE_MAX_BYTES + 256);
    if (object)
        hd_buf_str(&record, text);
    else
        hd_buf_json(&record, text);
    hd_subscription_event(&line, hd_clock_unix_ms(), extension ? "extension" : "function",
                          hd_buf_view(&record));
    if (!hd_buf_failed(&line))
        emit(s, extension ? HD_TELE_EXTENSION : HD_TELE_FUNCTION, FOR_ALL, hd_buf_view(&line));
    hd_buf_done(&record);
    hd_buf_done(&line);
}

/* --- subscribers --- */

int hd_shim_subscribe(struct hd_shim *s, const struct hd_ext *x, bool logs, struct hd_str body,
                      struct hd_error *err)
{
    struct hd_subscription what;
    struct hd_shim_subscriber **place = &s->subscribers[x - s->exts.v];
    int rc = hd_subscription_parse(&what, body, err);
    if (rc < 0)
        return rc;
    if (*place == NULL) {
        *place = hd_new(struct hd_shim_subscriber);
        (*place)->shim = s;
        hd_buf_init(&(*place)->queue, QUEUE_MAX + LINE_MAX_BYTES);
    }
    struct hd_shim_subscriber *u = *place;
    u->what = what;
    u->logs = logs;
    struct hd_str rest = hd_buf_view(&s->history);
    while (rest.len > 2) {
        size_t n = hd_str_find(rest, '\n') + 1;
        offer(u, (unsigned)(rest.ptr[0] - '0'), rest.ptr[1], hd_str_n(rest.ptr + 2, n - 2));
        rest.ptr += n;
        rest.len -= n;
    }
    struct hd_buf record;
    hd_buf_init(&record, 1024);
    hd_buf_cstr(&record, "{\"name\":");
    hd_buf_json(&record, hd_str(x->name));
    hd_buf_cstr(&record, ",\"state\":\"Subscribed\",\"types\":");
    hd_subscription_types(&record, what.types);
    hd_shim_telemetry(s, logs ? "platform.logsSubscription" : "platform.telemetrySubscription",
                      "%.*s}", HD_FMT(hd_buf_view(&record)));
    hd_buf_done(&record);
    return 0;
}

void hd_shim_telemetry_flush(struct hd_shim *s)
{
    for (size_t i = 0; i < HD_COUNT(s->subscribers); i++) {
        struct hd_shim_subscriber *u = s->subscribers[i];
        if (u == NULL)
            continue;
        u->urgent = true;
        send_next(u);
    }
}

void hd_shim_telemetry_close(struct hd_shim *s)
{
    for (size_t i = 0; i < HD_COUNT(s->subscribers); i++) {
        struct hd_shim_subscriber *u = hd_steal(s->subscribers[i]);
        if (u == NULL)
            continue;
        hd_timer_stop(s->loop, &u->due);
        hd_timer_stop(s->loop, &u->answer);
        if (u->conn != NULL)
            hd_client_close(u->conn);
        hd_buf_done(&u->queue);
        hd_buf_done(&u->flight);
        free(u);
    }
    hd_buf_done(&s->history);
}
