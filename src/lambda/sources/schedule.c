/*  WAITING ──due──► RUNNING ──handed over──► (time noted) ──► WAITING for the next
 *                     └──refused──► again with back-off, until the next one is due  */
#include "lambda/sources/schedule.h"

#include "core/buf.h"
#include "core/clock.h"
#include "core/id.h"

#include <jansson.h>
#include <stdio.h>
#include <time.h>

enum { LOOK_MS = 60000, RETRY_MS = 1000, NAME_MAX_CHARS = 64 };

struct schedule {
    struct hd_schedules *all;
    char *name, *function, *expression, *event;
    struct hd_cron cron;
    int64_t anchor_s, last_s; /* last_s: up to here all is done; the anchor before the first run */
    int64_t next_s, due_s;    /* due_s: of the run under way */
    int64_t retry_ms;         /* wall clock; 0: there is nothing to try again */
    bool ran, running;
    unsigned tries;
    uint64_t runs, failures;
};

struct hd_schedules {
    struct hd_schedules_options opt;
    struct schedule *list;
    size_t n;
    struct hd_timer timer;
    struct hd_rng rng;
    bool started;
};

static int64_t now_ms(const struct hd_schedules *s)
{
    return s->opt.clock != NULL ? s->opt.clock() : hd_clock_unix_ms();
}

/* --- lines --- */

static bool is_name(struct hd_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i], low = (char)(c | 0x20);
        if (!(low >= 'a' && low <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return s.len >= 1 && s.len <= NAME_MAX_CHARS;
}

static struct hd_str next_word(struct hd_str *rest)
{
    struct hd_str word = {NULL, 0};
    *rest = hd_str_trim(*rest);
    hd_str_split(&word, rest, ' ');
    *rest = hd_str_trim(*rest);
    return word;
}

static int check_event(struct hd_str event, struct hd_error *err)
{
    json_error_t at;
    json_t *v = json_loadb(event.ptr, event.len, JSON_REJECT_DUPLICATES, &at);
    bool good = json_is_object(v);
    json_decref(v);
    return good ? 0 : hd_fail(err, HD_EINVAL, "the event is no JSON object: %s", at.text);
}

int hd_schedule_parse(struct hd_schedule_line *out, struct hd_str text, struct hd_error *err)
{
    struct hd_str rest = text;
    *out = (struct hd_schedule_line){.name = next_word(&rest)};
    out->function = next_word(&rest);
    size_t brace = hd_str_find(rest, '{');
    out->expression = hd_str_trim(hd_str_n(rest.ptr, brace));
    if (brace < rest.len)
        out->event = hd_str_n(rest.ptr + brace, rest.len - brace);
    if (!is_name(out->name))
        return hd_fail(
            err, HD_EINVAL,
            "schedule \"%.*s\": must be NAME FUNCTION EXPRESSION [EVENT]; a name has 1 to "
            "%d letters, digits, \"-\" and \"_\"",
            (int)HD_MIN(text.len, (size_t)60), text.ptr, NAME_MAX_CHARS);
    int rc = out->function.len == 0 ? hd_fail(err, HD_EINVAL, "there is no function") : 0;
    if (rc == 0)
        rc = hd_cron_parse(&out->cron, out->expression, err);
    if (rc == 0 && out->event.len > 0)
        rc = check_event(out->event, err);
    return rc < 0 ? hd_wrap(err, rc, "schedule %.*s", HD_FMT(out->name)) : 0;
}

/* --- what is stored --- */

static void store_state(const struct schedule *c)
{
    json_t *record =
        json_pack("{sssIsIsb}", "Expression", c->expression, "Anchor", (json_int_t)c->anchor_s,
                  "Last", (json_int_t)c->last_s, "Ran", c->ran);
    hd_auto_free char *text = json_dumps(record, JSON_COMPACT);
    struct hd_store_tx *tx = hd_store_begin(c->all->opt.store);
    hd_store_put(tx, HD_RECORD_SCHEDULE, hd_str(c->name), hd_str(text));
    hd_store_commit(tx, NULL, NULL, NULL);
    json_decref(record);
}

static struct schedule *find(struct hd_schedules *s, struct hd_str name)
{
    for (size_t i = 0; i < s->n; i++)
        if (hd_str_is(name, s->list[i].name))
            return &s->list[i];
    return NULL;
}

static int read_record(void *arg, struct hd_str key, struct hd_str json)
{
    struct hd_schedules *s = arg;
    struct schedule *c = find(s, key);
    json_t *record = json_loadb(json.ptr, json.len, 0, NULL);
    const char *expression = json_string_value(json_object_get(record, "Expression"));
    /* another expression is another schedule: it begins now */
    if (c != NULL && expression != NULL && strcmp(expression, c->expression) == 0) {
        c->anchor_s = json_integer_value(json_object_get(record, "Anchor"));
        c->last_s = json_integer_value(json_object_get(record, "Last"));
        c->ran = json_is_true(json_object_get(record, "Ran"));
    }
    json_decref(record);
    return 0;
}

static int add_line(struct hd_schedules *s, const char *text, struct hd_error *err)
{
    struct hd_schedule_line line;
    int rc = hd_schedule_parse(&line, hd_str(text), err);
    if (rc < 0)
        return rc;
    if (find(s, line.name) != NULL)
        return hd_fail(err, HD_EINVAL, "schedule %.*s: there are two of that name",
                       HD_FMT(line.name));
    s->list[s->n++] =
        (struct schedule){.all = s,
                          .name = hd_strdup_n(line.name),
                          .function = hd_strdup_n(line.function),
                          .expression = hd_strdup_n(line.expression),
                          .event = line.event.len > 0 ? hd_strdup_n(line.event) : NULL,
                          .cron = line.cron};
    return 0;
}

int hd_schedules_new(struct hd_schedules **out, const struct hd_schedules_options *opt,
                     struct hd_error *err)
{
    struct hd_schedules *s = hd_new(struct hd_schedules);
    size_t n = 0;
    int rc = 0;
    while (opt->lines != NULL && opt->lines[n] != NULL)
        n++;
    s->opt = *opt;
    s->opt.lines = NULL;
    s->list = hd_new_array(struct schedule, n + 1);
    hd_rng_init(&s->rng, 0);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = add_line(s, opt->lines[i], err);
    if (rc == 0)
        rc = hd_store_each(opt->store, HD_RECORD_SCHEDULE, read_record, s, err);
    if (rc < 0)
        hd_schedules_free(s);
    else
        *out = s;
    return rc;
}

void hd_schedules_free(struct hd_schedules *s)
{
    for (size_t i = 0; s != NULL && i < s->n; i++) {
        free(s->list[i].name);
        free(s->list[i].function);
        free(s->list[i].expression);
        free(s->list[i].event);
    }
    if (s != NULL)
        free(s->list);
    free(s);
}

/* --- events --- */

/* As a rule of EventBridge sends it. */
static void write_event(struct hd_buf *out, const struct schedule *c)
{
    char id[HD_UUID_CHARS + 1], at[24] = "";
    time_t due = (time_t)c->due_s;
    struct tm t;
    hd_uuid7(id, &c->all->rng, now_ms(c->all));
    if (gmtime_r(&due, &t) != NULL)
        strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &t);
    hd_buf_fmt(out,
               "{\"version\":\"0\",\"id\":\"%s\",\"detail-type\":\"Scheduled Event\","
               "\"source\":\"aws.events\",\"account\":\"%s\",\"time\":\"%s\",\"region\":\"%s\","
               "\"resources\":[\"arn:aws:events:%s:%s:rule/%s\"],\"detail\":{}}",
               id, c->all->opt.account, at, c->all->opt.region, c->all->opt.region,
               c->all->opt.account, c->name);
}

/* --- time --- */

static void look(struct hd_schedules *s);

static void on_look(struct hd_timer *t)
{
    look(hd_container_of(t, struct hd_schedules, timer));
}

/* The clock may be set meanwhile: nobody sleeps long. */
static void sleep_until(struct hd_schedules *s, int64_t then_ms)
{
    int64_t left = then_ms - now_ms(s);
    hd_timer_start(s->opt.loop, &s->timer, left < 1 ? 1 : (uint64_t)HD_MIN(left, (int64_t)LOOK_MS),
                   on_look);
}

static void on_handed_over(void *arg, const struct hd_error *err)
{
    struct schedule *c = arg;
    struct hd_schedules *s = c->all;
    c->running = false;
    if (err == NULL) {
        c->runs++;
        c->tries = 0;
        c->retry_ms = 0;
        c->last_s = HD_MAX(c->due_s, now_ms(s) / 1000); /* with all that was due until now */
        c->ran = true;
        c->next_s = hd_cron_next(&c->cron, c->anchor_s, c->last_s);
        store_state(c);
    } else {
        c->failures++;
        if (c->tries++ == 0)
            hd_log(s->opt.log, HD_WARN, "a scheduled run was not taken, retrying",
                   hd_kv_str("schedule", c->name), hd_kv_str("function", c->function),
                   hd_kv_str("error", err->msg));
        uint64_t wait = (uint64_t)RETRY_MS << HD_MIN(c->tries - 1, 6u);
        c->retry_ms = now_ms(s) + (int64_t)(wait / 2 + hd_rng_below(&s->rng, wait));
    }
    if (s->started)
        look(s);
}

static void run(struct schedule *c)
{
    struct hd_buf event;
    hd_buf_init(&event, 65536);
    c->running = true;
    c->due_s = c->next_s;
    if (c->event != NULL)
        hd_buf_cstr(&event, c->event);
    else
        write_event(&event, c);
    const struct hd_schedule_run due = {c->name, c->function, hd_buf_view(&event), c->due_s};
    c->all->opt.run(c->all->opt.arg, &due, on_handed_over, c);
    hd_buf_done(&event);
}

static void look(struct hd_schedules *s)
{
    int64_t wake_ms = INT64_MAX, now = now_ms(s);
    for (size_t i = 0; i < s->n; i++) {
        struct schedule *c = &s->list[i];
        if (c->running || c->next_s == INT64_MAX)
            continue;
        int64_t at_ms = HD_MAX(c->next_s * 1000, c->retry_ms);
        if (at_ms <= now)
            run(c);
        else
            wake_ms = HD_MIN(wake_ms, at_ms);
    }
    if (wake_ms != INT64_MAX)
        sleep_until(s, wake_ms);
}

void hd_schedules_start(struct hd_schedules *s)
{
    int64_t now_s = now_ms(s) / 1000;
    s->started = true;
    for (size_t i = 0; i < s->n; i++) {
        struct schedule *c = &s->list[i];
        if (c->last_s == 0) { /* the first time that we see it */
            c->anchor_s = c->last_s = now_s;
            store_state(c);
        }
        c->next_s = hd_cron_next(&c->cron, c->anchor_s, c->last_s);
        if (c->next_s == INT64_MAX)
            hd_log(s->opt.log, HD_WARN, "a schedule is never due", hd_kv_str("schedule", c->name),
                   hd_kv_str("expression", c->expression));
    }
    look(s);
}

void hd_schedules_stop(struct hd_schedules *s)
{
    s->started = false;
    hd_timer_stop(s->opt.loop, &s->timer);
}

void hd_schedules_each(const struct hd_schedules *s,
                       void (*each)(void *arg, const struct hd_schedule_info *info), void *arg)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct schedule *c = &s->list[i];
        const struct hd_schedule_info info = {.name = c->name,
                                              .function = c->function,
                                              .expression = c->expression,
                                              .last_unix_s = c->ran ? c->last_s : 0,
                                              .next_unix_s = c->next_s,
                                              .runs = c->runs,
                                              .failures = c->failures};
        each(arg, &info);
    }
}
