#include "lambda/async/destination.h"

#include "core/buf.h"
#include "core/clock.h"
#include "core/list.h"
#include "http/fetch.h"
#include "lambda/awssend.h"
#include "lambda/async/event_config.h"

#include <stdio.h>
#include <time.h>

enum {
    TIMEOUT_MS = 10000,
    ANSWER_BYTES = 65536, /* nobody reads it */
};

struct hd_destinations {
    struct hd_destinations_options opt;
    struct hd_list sends;
};

/* An emission cannot be taken back: it goes on without who wanted it. */
struct emission {
    struct send *send; /* NULL: canceled */
};

struct send {
    struct hd_destinations *owner;
    struct hd_list link;
    struct hd_fetch *fetch; /* one of these, or none */
    struct hd_aws_send *message;
    struct emission *emission;
    struct hd_error err; /* of a start that failed */
    void (*done)(void *arg, const struct hd_error *err);
    void *arg;
};

static void end(struct send *s, const struct hd_error *err)
{
    hd_list_remove(&s->link);
    s->done(s->arg, err);
    free(s);
}

static void end_later(void *arg)
{
    struct send *s = arg;
    end(s, &s->err);
}

/* --- URLs --- */

static void on_fetched(void *arg, const struct hd_fetch_result *result, const struct hd_error *err)
{
    struct hd_error own;
    if (err == NULL && (result->status < 200 || result->status > 299)) {
        hd_fail(&own, HD_EPROTO, "the destination answered %u", result->status);
        err = &own;
    }
    end(arg, err);
}

static int post(struct send *s, const struct hd_destination_message *m, struct hd_error *err)
{
    const struct hd_destinations_options *opt = &s->owner->opt;
    hd_auto_free char *url = hd_strdup_n(m->to);
    struct hd_field fields[] = {
        {HD_LIT("content-type"), HD_LIT("application/json")},
        {HD_LIT("x-amzn-requestid"), m->id},
    };
    struct hd_fetch_request request = {
        .method = "POST",
        .url = url,
        .fields = fields,
        .n_fields = HD_COUNT(fields),
        .body = m->body,
        .timeout_ms = opt->timeout_ms > 0 ? opt->timeout_ms : TIMEOUT_MS,
        .max_body_bytes = ANSWER_BYTES,
    };
    return hd_fetch_start(&s->fetch, opt->fetcher, &request, on_fetched, s, err);
}

/* --- queues, topics, buses, buckets --- */

static void on_sent(void *arg, const struct hd_aws_failure *failure)
{
    end(arg, failure != NULL ? &failure->error : NULL);
}

static struct hd_str function_name(struct hd_str arn)
{
    struct hd_arn parts;
    struct hd_str kind, name;
    if (hd_names_arn(&parts, arn) < 0 || !hd_str_split(&kind, &parts.resource, ':') ||
        !hd_str_split(&name, &parts.resource, ':'))
        return arn;
    return name;
}

static struct hd_str object_key(struct hd_buf *out, const struct hd_destination_message *m)
{
    time_t now = (time_t)hd_clock_unix_s();
    struct tm tm;
    char date[64];
    gmtime_r(&now, &tm);
    strftime(date, sizeof(date), "%Y/%m/%d/%Y-%m-%dT%H.%M.%S", &tm);
    hd_buf_fmt(out, "aws/lambda/async/%.*s/%s-%.*s", HD_FMT(function_name(m->arn)), date,
               HD_FMT(m->id));
    return hd_buf_view(out);
}

static int send_message(struct send *s, const struct hd_destination_message *m,
                        struct hd_error *err)
{
    const struct hd_aws_attribute attributes[] = {
        {"RequestID", "String", m->id},
        {"ErrorCode", "Number", HD_LIT("200")},
        {"ErrorMessage", "String", m->error},
    };
    const struct hd_str resources[] = {m->to, m->arn};
    struct hd_buf key;
    if (s->owner->opt.aws == NULL)
        return hd_fail(err, HD_EINVAL, "this node sends nothing to %.*s", HD_FMT(m->to));
    hd_buf_init(&key, 2048);
    struct hd_aws_message message = {
        .arn = m->to,
        .body = m->body,
        .attributes = m->dead_letter ? attributes : NULL,
        .n_attributes = m->dead_letter ? HD_COUNT(attributes) : 0,
        .id = m->id,
        .source = "lambda",
        .detail_type = m->success ? "Lambda Function Invocation Result - Success"
                                  : "Lambda Function Invocation Result - Failure",
        .resources = resources,
        .n_resources = HD_COUNT(resources),
        .object_key = object_key(&key, m),
    };
    int rc = hd_aws_send_start(&s->message, s->owner->opt.aws, &message, on_sent, s, err);
    hd_buf_done(&key);
    return rc;
}

/* --- lanes --- */

static void on_emitted(void *arg, const struct hd_error *err)
{
    struct emission *e = arg;
    struct send *s = e->send;
    free(e);
    if (s != NULL)
        end(s, err);
}

static int emit(struct send *s, const struct hd_destination_message *m, struct hd_error *err)
{
    static const struct hd_str prefix = HD_LIT("lane:");
    const struct hd_destinations_options *opt = &s->owner->opt;
    struct hd_str lane = hd_str_n(m->to.ptr + prefix.len, m->to.len - prefix.len);
    if (opt->emit == NULL)
        return hd_fail(err, HD_EINVAL, "this node has no event lane %.*s", HD_FMT(lane));
    s->emission = hd_new(struct emission);
    s->emission->send = s;
    opt->emit(opt->emit_arg, lane, m->id, m->body, on_emitted, s->emission);
    return 0;
}

/* --- */

static int start(struct send *s, const struct hd_destination_message *m, struct hd_error *err)
{
    switch (hd_destination_kind(m->to)) {
    case HD_DESTINATION_HTTP:
        return post(s, m, err);
    case HD_DESTINATION_LANE:
        return emit(s, m, err);
    case HD_DESTINATION_SQS:
    case HD_DESTINATION_SNS:
    case HD_DESTINATION_EVENTS:
    case HD_DESTINATION_S3:
        return send_message(s, m, err);
    case HD_DESTINATION_NONE:
    case HD_DESTINATION_FUNCTION:
    case HD_DESTINATION_OTHER:
        break;
    }
    return hd_fail(err, HD_EINVAL, "nothing can be sent to %.*s", HD_FMT(m->to));
}

void hd_destinations_send(struct hd_destinations *d, const struct hd_destination_message *m,
                          void (*done)(void *arg, const struct hd_error *err), void *arg)
{
    struct send *s = hd_new(struct send);
    s->owner = d;
    s->done = done;
    s->arg = arg;
    hd_list_init(&s->link);
    hd_list_push(&d->sends, &s->link);
    if (start(s, m, &s->err) < 0)
        hd_loop_post(d->opt.loop, end_later, s);
}

/* The lane may have it, or not: it is sent again, as after a crash. */
static void give_up_emission(struct send *s)
{
    s->emission->send = NULL;
    s->emission = NULL;
    hd_fail(&s->err, HD_ECANCELED, "the node is stopping");
    hd_loop_post(s->owner->opt.loop, end_later, s);
}

void hd_destinations_cancel(struct hd_destinations *d)
{
    hd_list_each(link, &d->sends)
    {
        struct send *s = hd_container_of(link, struct send, link);
        if (s->fetch != NULL)
            hd_fetch_cancel(s->fetch);
        else if (s->message != NULL)
            hd_aws_send_cancel(s->message);
        else if (s->emission != NULL)
            give_up_emission(s);
    }
}

struct hd_destinations *hd_destinations_new(const struct hd_destinations_options *opt)
{
    struct hd_destinations *d = hd_new(struct hd_destinations);
    d->opt = *opt;
    hd_list_init(&d->sends);
    return d;
}

void hd_destinations_free(struct hd_destinations *d)
{
    free(d);
}
