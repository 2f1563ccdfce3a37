#include "invoke/private.h"

void hd_call_failed(struct hd_call *c, enum hd_call_outcome outcome, const struct hd_error *err,
                    const char *reason)
{
    c->result.outcome = outcome;
    c->result.error = *err;
    c->result.reason = reason;
    c->failure = HD_CALL_FAILURE_SYSTEM;
}

/* The payload is in `answer`. */
static void function_error(struct hd_call *c, enum hd_call_failure failure, struct hd_str type)
{
    c->result.outcome = HD_CALL_FUNCTION_ERROR;
    c->result.payload = hd_buf_view(&c->answer);
    c->result.error_type = type;
    c->failure = failure;
}

/* A payload of ours begins. */
static struct hd_buf *fault(struct hd_call *c)
{
    hd_buf_done(&c->answer);
    hd_buf_init(&c->answer, HD_CALL_TEXT_BYTES);
    return &c->answer;
}

void hd_call_timed_out(struct hd_call *c)
{
    hd_fault_timeout(fault(c), c->request_id, c->timeout_ms);
    function_error(c, HD_CALL_FAILURE_TIMEOUT, hd_str("Sandbox.Timedout"));
}

static void fault_exit(struct hd_call *c, const struct hd_exit_status *how)
{
    hd_fault_exit(fault(c), c->request_id, how);
    function_error(c, how != NULL && how->oom ? HD_CALL_FAILURE_MEMORY : HD_CALL_FAILURE_EXIT,
                   hd_str("Runtime.ExitError"));
}

/* It broke off: gone, and how; or alive and mute. */
void hd_call_broken(struct hd_call *c)
{
    const struct hd_witness *w = &c->witness;
    if (w->gone) {
        fault_exit(c, w->exited ? &w->exit : NULL);
        return;
    }
    struct hd_error err;
    hd_fail(&err, HD_EPROTO,
            "function %s: its instance broke the connection and lives on; it is "
            "ended",
            c->target->name);
    hd_call_failed(c, HD_CALL_FAILED, &err, NULL);
}

/* The launch that this call waited for failed. */
static void fault_start(struct hd_call *c, const struct hd_error *err)
{
    const struct hd_lease *l = &c->lease;
    if (l->start_code == HD_EINVAL && l->exited) {
        fault_exit(c, &l->exit);
    } else if (l->start_code == HD_EINVAL) {
        hd_fault_plain(fault(c), "Runtime.Unknown", c->request_id, hd_str(err->msg));
        function_error(c, HD_CALL_FAILURE_INIT, hd_str("Runtime.Unknown"));
    } else if (l->start_code == HD_ETIMEOUT) {
        hd_fault_plain(fault(c), "Sandbox.Timedout", c->request_id, hd_str(err->msg));
        function_error(c, HD_CALL_FAILURE_INIT, hd_str("Sandbox.Timedout"));
    } else {
        struct hd_error kind = *err;
        kind.code = l->start_code != 0 ? l->start_code : err->code;
        hd_call_failed(c, HD_CALL_FAILED, &kind, NULL);
    }
    if (c->result.outcome == HD_CALL_FUNCTION_ERROR)
        c->failure = HD_CALL_FAILURE_INIT;
}

/* The place was refused. */
void hd_call_refused(struct hd_call *c, const struct hd_error *err)
{
    if (err->code == HD_EIO)
        fault_start(c, err);
    else if (err->code == HD_ETIMEOUT || err->code == HD_EBUSY)
        hd_call_failed(c, HD_CALL_THROTTLED, err, hd_admitted_reason(HD_THROTTLED_ACCOUNT));
    else
        hd_call_failed(c, HD_CALL_FAILED, err, NULL);
}

/* A whole answer came. @p body is what of it was not gathered in `answer`. */
void hd_call_answered(struct hd_call *c, struct hd_str body)
{
    const struct hd_wire_answer *w = &c->wire;
    if (c->too_large || (!c->streaming && body.len > c->max_answer_bytes)) {
        hd_fault_too_large(fault(c), c->max_answer_bytes);
        function_error(c, HD_CALL_FAILURE_SIZE, hd_str("Function.ResponseSizeTooLarge"));
        return;
    }
    if (w->status >= 400) {
        struct hd_buf text;
        hd_buf_init(&text, HD_CALL_TEXT_BYTES);
        hd_fault_http(&text, w->status, body);
        hd_buf_done(&c->answer);
        c->answer = text;
        function_error(c, HD_CALL_FAILURE_FUNCTION, hd_str("HttpError"));
        return;
    }
    c->result.outcome = HD_CALL_OK;
    c->result.payload = body;
    if (!w->function_error)
        return;
    if (c->streaming) /* trailers say what */
        c->result.payload = hd_buf_view(&w->error_body);
    c->result.outcome = HD_CALL_FUNCTION_ERROR;
    c->result.error_type =
        w->error_type.len > 0 ? hd_buf_view(&w->error_type) : hd_fault_type(c->result.payload);
    c->failure = HD_CALL_FAILURE_FUNCTION;
}
