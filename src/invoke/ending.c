#include "core/clock.h"
#include "invoke/private.h"
#include "pool/channel.h"

void hd_call_log(struct hd_call *c, int level, struct hd_str text)
{
    const struct hd_target *t = c->target;
    if (c->caller->lines == NULL || text.len == 0 || t->kind != HD_TARGET_LAMBDA)
        return;
    const struct hd_instance *i = c->lease.instance;
    hd_lines_add(c->caller->lines, &(struct hd_call_line){
                                       .function = hd_str(t->name),
                                       .id = hd_str(c->request_id),
                                       .text = text,
                                       .arn = hd_str(t->arn),
                                       .group = hd_str(t->log_group),
                                       .stream = hd_str(i != NULL ? hd_instance_log_stream(i) : ""),
                                       .level = level,
                                       .unix_ms = hd_call_unix_ms(c)});
}

void hd_call_platform(struct hd_call *c, enum hd_platform_line line,
                      const struct hd_platform_report *report)
{
    struct hd_buf *tail = &c->text;
    char room[512];
    struct hd_buf text;
    if (c->quiet)
        return;
    hd_buf_init_with(&text, room, sizeof(room), HD_CALL_TEXT_BYTES);
    hd_platform_line(&text, line, c->target, c->request_id, hd_call_unix_ms(c), report);
    if (text.len > 0) {
        hd_call_log(c, HD_INFO, hd_buf_view(&text));
        if (c->want_tail) {
            hd_buf_str(tail, hd_buf_view(&text));
            hd_buf_char(tail, '\n');
        }
    }
    hd_buf_done(&text);
}

/* What the platform has to say about a bad end. */
static void last_words(struct hd_call *c)
{
    struct hd_buf *tail = &c->text;
    struct hd_buf text;
    uint64_t peak = c->lease.instance != NULL ? hd_instance_peak_bytes(c->lease.instance) : 0;
    hd_buf_init(&text, HD_CALL_TEXT_BYTES);
    if (c->timed_out) {
        hd_platform_timeout(&text, c->request_id, c->timeout_ms, hd_call_unix_ms(c));
    } else if (c->broken) {
        struct hd_buf how;
        hd_buf_init(&how, 256);
        if (c->witness.exited)
            hd_fault_exit_text(&how, &c->witness.exit);
        hd_platform_exit(&text, c->target, c->request_id, hd_buf_view(&how),
                         c->witness.exited && c->witness.exit.oom, peak);
        hd_buf_done(&how);
    }
    hd_call_log(c, HD_ERROR, hd_buf_view(&text));
    if (c->want_tail && text.len > 0) {
        hd_buf_str(tail, hd_buf_view(&text));
        hd_buf_cstr(tail, c->timed_out ? "\n\n" : "\n");
    }
    hd_buf_done(&text);
}

static void free_call(struct hd_call *c)
{
    struct hd_caller *caller = c->caller;
    hd_timer_stop(hd_call_loop(c), &c->timer);
    hd_witness_done(&c->witness);
    hd_buf_done(&c->head);
    hd_buf_done(&c->event);
    hd_buf_done(&c->answer);
    hd_buf_done(&c->text);
    hd_wire_answer_done(&c->wire);
    hd_target_unref(c->target);
    caller->active--;
    hd_slab_put(&caller->calls, c);
}

/* How the place is given back. */
static enum hd_lease_result verdict(const struct hd_call *c)
{
    if (c->stop)
        return HD_LEASE_END;
    if (c->timed_out)
        return HD_LEASE_TIMEOUT;
    if (c->broken) /* it lives, and nobody knows what it is doing */
        return c->lease.alone ? HD_LEASE_END : HD_LEASE_BROKEN;
    return c->wire.exits ? HD_LEASE_EXITS : HD_LEASE_OK;
}

static void give_back(struct hd_call *c)
{
    struct hd_client_conn *conn = c->conn;
    enum hd_lease_result how = verdict(c);
    c->conn = NULL;
    if (conn != NULL && how == HD_LEASE_OK)
        hd_channel_keep(&c->lease, conn);
    else if (conn != NULL)
        hd_client_close(conn);
    if (c->lease.instance != NULL)
        hd_pool_give(&c->lease, how);
    hd_admission_leave(&c->slot);
}

static const char *status_of(const struct hd_call *c)
{
    if (c->timed_out)
        return "timeout";
    return c->result.outcome == HD_CALL_OK ? "success" : "error";
}

/* END and REPORT, and the tail in one piece. */
static void tell_end(struct hd_call *c)
{
    struct hd_platform_report report = {.duration_us = c->result.duration_us,
                                        .init_us = c->result.init_us,
                                        .status = status_of(c),
                                        .error_type = c->result.error_type,
                                        .xray = hd_str(c->xray)};
    if (c->lease.instance != NULL)
        report.peak_bytes = hd_instance_peak_bytes(c->lease.instance);
    if (c->want_tail)
        hd_buf_str(&c->text, hd_buf_view(&c->witness.tail));
    last_words(c);
    hd_call_platform(c, HD_PLATFORM_END, &report);
    hd_call_platform(c, HD_PLATFORM_REPORT, &report);
    if (c->events == NULL)
        hd_call_log(c, HD_INFO, hd_str("client gone: the result is dropped"));
    if (c->text.len > HD_CALL_TAIL_BYTES)
        hd_buf_consume(&c->text, c->text.len - HD_CALL_TAIL_BYTES);
    c->result.tail = hd_buf_view(&c->text);
}

static void count(struct hd_call *c)
{
    struct hd_admission *a = c->target->admission;
    if (a == NULL || c->result.outcome == HD_CALL_THROTTLED)
        return;
    hd_call_stats_add(hd_admission_stats(a), c->failure, c->result.duration_us, c->result.init_us,
                      hd_call_unix_ms(c));
}

void hd_call_over(struct hd_call *c)
{
    const struct hd_call_events *events = c->events;
    c->result.request_id = c->request_id;
    c->result.xray = c->xray;
    c->result.waited_us += c->lease.waited_us;
    if (c->sent_us > 0) {
        c->result.duration_us = (c->ended_us > 0 ? c->ended_us : hd_clock_us()) - c->sent_us;
        tell_end(c);
    }
    count(c);
    give_back(c);
    if (events != NULL)
        events->on_end(c->arg, &c->result);
    free_call(c);
}

static void on_later(struct hd_timer *t)
{
    hd_call_over(hd_container_of(t, struct hd_call, timer));
}

void hd_call_over_later(struct hd_call *c)
{
    c->stage = HD_CALL_LATER;
    hd_timer_start(hd_call_loop(c), &c->timer, 0, on_later);
}

void hd_call_drop(struct hd_call *c)
{
    give_back(c);
    free_call(c);
}
