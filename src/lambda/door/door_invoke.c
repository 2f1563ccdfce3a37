/* name ─► function of the view, or of the folder ─► may he ─► version ─► it is Pending: wait ─►
 * call
 */
#include "core/base64.h"
#include "invoke/admission.h"
#include "lambda/door/door_private.h"
#include "lambda/policy.h"

enum {
    PENDING_MS = 2000, /* a function that is being made ready is waited for so long */
    LOG_RESULT_CHARS = 5464,
};

char *hd_door_arn(const struct hd_door_request *r, struct hd_str name, struct hd_str qualifier)
{
    return hd_printf("arn:aws:lambda:%s:%s:function:%.*s%s%.*s", r->who.region, r->who.account,
                     HD_FMT(name), qualifier.len > 0 ? ":" : "", (int)qualifier.len,
                     qualifier.len > 0 ? qualifier.ptr : "");
}

/* --- the answer --- */

static struct hd_field content_type(void)
{
    return (struct hd_field){HD_LIT("content-type"), HD_LIT("application/json")};
}

/* Why a function that has no pool cannot run. */
static enum hd_api_error problem_of(const struct hd_target *t)
{
    const char *type = t->problem_type != NULL ? t->problem_type : "";
    if (strcmp(type, "InvalidZipFileException") == 0)
        return HD_API_ZIP;
    return strcmp(type, "ServiceException") == 0 ? HD_API_SERVICE : HD_API_RUNTIME;
}

void hd_door_not_run(struct hd_door_request *r, const struct hd_call_result *result)
{
    const struct hd_target *t = r->target;
    const char *message = result->error.msg;
    if (result->outcome == HD_CALL_THROTTLED) {
        hd_door_fail(r, HD_API_TOO_MANY, hd_str("Rate Exceeded."), result->reason);
    } else if (t != NULL && t->pool == NULL) {
        hd_door_fail(r, problem_of(t), hd_str(message), NULL);
    } else if (result->error.code == HD_ENOTFOUND) {
        hd_door_fail(r, HD_API_RUNTIME, hd_str(message), NULL);
    } else if (result->error.code == HD_EINVAL) {
        hd_door_fail(r, HD_API_BAD_CONTENT, hd_str(message), NULL);
    } else {
        hd_door_fail(r, HD_API_SERVICE, hd_str(message), NULL);
    }
}

static void reply_result(struct hd_door_request *r, const struct hd_call_result *result)
{
    struct hd_field f[HD_DOOR_FIELDS_MAX] = {
        content_type(),
        {HD_LIT("x-amzn-RequestId"), hd_str(r->id)},
        {HD_LIT("X-Amz-Executed-Version"), hd_str(r->target->version)},
        {HD_LIT("X-Amzn-Trace-Id"), hd_str(result->xray)}};
    size_t n = 4;
    char tail[LOG_RESULT_CHARS];
    if (result->outcome == HD_CALL_FUNCTION_ERROR)
        f[n++] = (struct hd_field){HD_LIT("X-Amz-Function-Error"), HD_LIT("Unhandled")};
    if (r->ask.tail && hd_base64_chars(HD_BASE64, result->tail.len) <= sizeof(tail))
        f[n++] = (struct hd_field){
            HD_LIT("X-Amz-Log-Result"),
            hd_str_n(tail, hd_base64_encode(tail, HD_BASE64, result->tail.ptr, result->tail.len))};
    hd_door_reply(r, 200, f, n, result->payload);
}

static void on_end(void *arg, const struct hd_call_result *result)
{
    struct hd_door_request *r = arg;
    r->call = NULL;
    if (result->outcome == HD_CALL_OK || result->outcome == HD_CALL_FUNCTION_ERROR)
        reply_result(r, result);
    else
        hd_door_not_run(r, result);
}

static const struct hd_call_events wait_events = {.on_end = on_end};

/* --- the call --- */

static struct hd_str payload_of(const struct hd_door_request *r, const struct hd_door_view *v)
{
    return r->kept ? r->at.body : v->body;
}

static void on_accepted(void *arg, const struct hd_error *err)
{
    struct hd_door_request *r = arg;
    struct hd_field f[2] = {{HD_LIT("x-amzn-RequestId"), hd_str(r->id)}, content_type()};
    r->busy = false;
    if (err == NULL && r->op == HD_INVOKE_ASYNC)
        hd_door_reply(r, 202, f, 2, hd_str("{\"Status\":202}"));
    else if (err == NULL)
        hd_door_reply(r, 202, f, 1, hd_str_n(NULL, 0));
    else if (err->code == HD_EBUSY)
        hd_door_fail(r, HD_API_TOO_MANY, hd_str("Rate Exceeded."), "CallerRateLimitExceeded");
    else
        hd_door_fail(r, HD_API_SERVICE, hd_str(err->msg), NULL);
}

static void accept_event(struct hd_door_request *r, const struct hd_door_view *v,
                         const struct hd_lambda_fn *fn)
{
    const struct hd_invocation_ask *ask = &r->ask;
    struct hd_async_event event = {.account = hd_str(r->who.account),
                                   .region = hd_str(r->who.region),
                                   .name = fn != NULL ? hd_str(fn->name) : ask->fn.name,
                                   .qualifier = ask->fn.qualifier,
                                   .payload = payload_of(r, v),
                                   .request_id = r->id,
                                   .client_context = hd_buf_view(&ask->context),
                                   .tenant = ask->tenant,
                                   .trace = ask->trace,
                                   .traceparent = ask->traceparent};
    if (r->door->edge->enqueue == NULL) {
        hd_door_failf(r, HD_API_SERVICE, "This node keeps no events.");
        return;
    }
    r->busy = true;
    r->door->edge->enqueue(r->door->edge->async, &event, r->door->net->loop, on_accepted, r);
}

/* @param arn  unqualified. */
static void call(struct hd_door_request *r, const struct hd_door_view *v, const char *arn)
{
    const struct hd_invocation_ask *ask = &r->ask;
    struct hd_str q = ask->fn.qualifier;
    hd_auto_free char *qualified =
        q.len > 0 ? hd_printf("%s:%.*s", arn != NULL ? arn : r->target->name, HD_FMT(q)) : NULL;
    bool stream = ask->op == HD_INVOKE_STREAM;
    struct hd_call_request how = {.event = payload_of(r, v),
                                  .request_id = r->id,
                                  .invoked_arn = hd_str(qualified),
                                  .client_context = hd_buf_view(&ask->context),
                                  .tenant = ask->tenant,
                                  .trace = ask->trace,
                                  .traceparent = ask->traceparent,
                                  .source = "lambda",
                                  .want_stream = stream,
                                  .want_tail = ask->tail};
    r->call = hd_call_start(r->door->caller, r->target, &how,
                            stream ? &hd_door_stream_events : &wait_events, r);
    if (stream)
        hd_door_stream_started(r);
}

static void dry(struct hd_door_request *r)
{
    struct hd_field f[1] = {{HD_LIT("x-amzn-RequestId"), hd_str(r->id)}};
    hd_door_reply(r, 204, f, 1, hd_str_n(NULL, 0));
}

/* --- which function --- */

static void not_found(struct hd_door_request *r)
{
    struct hd_str q = r->ask.fn.qualifier;
    hd_auto_free char *arn = hd_door_arn(r, r->ask.fn.name, q.len > 0 ? q : hd_str_n("$LATEST", 7));
    hd_door_failf(r, HD_API_NOT_FOUND, "Function not found: %s", arn);
}

static bool may(const struct hd_door_request *r, const struct hd_lambda_fn *fn)
{
    if (!r->who.checked)
        return true;
    struct hd_str q = r->ask.fn.qualifier;
    hd_auto_free char *arn =
        hd_printf("%s%s%.*s", fn->arn, q.len > 0 ? ":" : "", (int)q.len, q.len > 0 ? q.ptr : "");
    struct hd_policy_query query = {.action = HD_LIT("lambda:InvokeFunction"),
                                    .resource = hd_str(arn),
                                    .owner = hd_str(fn->account),
                                    .account = hd_str(r->who.account),
                                    .principal = hd_str(r->who.principal)};
    return hd_policies_allow(fn->policies, &query);
}

static void denied(struct hd_door_request *r, struct hd_str account)
{
    hd_auto_free char *arn = hd_printf("arn:aws:lambda:%s:%.*s:function:%.*s", r->who.region,
                                       HD_FMT(account), HD_FMT(r->ask.fn.name));
    hd_door_failf(r, HD_API_DENIED,
                  "User: %s is not authorized to perform: lambda:InvokeFunction on resource: %s "
                  "because no resource-based policy allows the lambda:InvokeFunction action",
                  r->who.principal[0] != '\0' ? r->who.principal : "anonymous", arn);
}

/* @return whether the name space that the name says is the caller's, or one that he may reach. */
static bool in_reach(struct hd_door_request *r)
{
    const struct hd_fn_name *fn = &r->ask.fn;
    if (fn->region.len > 0 && !hd_str_is(fn->region, r->who.region)) {
        hd_door_failf(r, HD_API_NOT_FOUND,
                      "Functions from '%.*s' are not reachable in this region ('%s')",
                      HD_FMT(fn->region), r->who.region);
        return false;
    }
    return true;
}

static void on_pending_over(struct hd_timer *t)
{
    struct hd_door_request *r = hd_container_of(t, struct hd_door_request, timer);
    hd_list_remove(&r->link);
    r->busy = false;
    if (r->url) {
        hd_door_reply(r, 502, NULL, 0, hd_str("Internal Server Error"));
        return;
    }
    hd_door_failf(r, HD_API_CONFLICT,
                  "The operation cannot be performed at this time. The function is currently in "
                  "the following state: Pending");
}

void hd_door_wait(struct hd_door_request *r)
{
    r->busy = true;
    hd_list_push(&r->door->pending, &r->link);
    if (!hd_timer_active(&r->timer))
        hd_timer_start(r->door->net->loop, &r->timer, PENDING_MS, on_pending_over);
}

static double dice(struct hd_lambda_door *d)
{
    return (double)(hd_rng_next(&d->net->rng) >> 11) / (double)(1ULL << 53);
}

static void run(struct hd_door_request *r, const struct hd_door_view *v,
                const struct hd_lambda_fn *fn, struct hd_target *target)
{
    r->target = hd_target_ref(target);
    hd_timer_stop(r->door->net->loop, &r->timer);
    if (r->ask.kind == HD_INVOKE_DRY)
        dry(r);
    else if (r->ask.kind == HD_INVOKE_EVENT)
        accept_event(r, v, fn);
    else
        call(r, v, fn != NULL ? fn->arn : target->arn);
}

/* A function of the folder, by the same name. */
static bool run_folder(struct hd_door_request *r, const struct hd_door_view *v)
{
    const struct hd_targets *targets = r->door->edge->targets;
    const struct hd_who_rules *rules = &r->door->edge->who;
    if (targets == NULL || strcmp(r->who.account, rules->account) != 0 ||
        strcmp(r->who.region, rules->region) != 0 || !hd_names_is_latest(r->ask.fn.qualifier))
        return false;
    struct hd_target *t = targets->find(targets->arg, r->ask.fn.name, hd_str_n(NULL, 0), NULL);
    if (t == NULL)
        return false;
    run(r, v, NULL, t);
    hd_target_unref(t);
    return true;
}

static void find_and_run(struct hd_door_request *r, const struct hd_door_view *v)
{
    struct hd_lambda_door *d = r->door;
    const struct hd_fn_name *name = &r->ask.fn;
    struct hd_str account = name->account.len > 0 ? name->account : hd_str(r->who.account);
    const struct hd_lambda_fn *fn =
        d->view != NULL ? hd_view_find(d->view, account, hd_str(r->who.region), name->name) : NULL;
    bool other = !hd_str_is(account, r->who.account);
    if (fn == NULL && !other && run_folder(r, v))
        return;
    if ((fn == NULL && other) || (fn != NULL && other && !r->who.checked) ||
        (fn != NULL && !may(r, fn))) {
        denied(r, account);
        return;
    }
    const struct hd_view_version *version =
        fn != NULL ? hd_view_resolve(fn, name->qualifier, dice(d)) : NULL;
    if (version == NULL) {
        not_found(r);
        return;
    }
    switch (version->state) {
    case HD_LAMBDA_PENDING:
        if (r->ask.kind == HD_INVOKE_WAIT) {
            hd_door_keep(r, v);
            hd_door_wait(r);
            return;
        }
        break;
    case HD_LAMBDA_ACTIVE:
    case HD_LAMBDA_INACTIVE:
    case HD_LAMBDA_FAILED:
        break;
    }
    run(r, v, fn, version->target);
}

void hd_door_invoke(struct hd_door_request *r, const struct hd_door_view *v)
{
    struct hd_str name;
    enum hd_invoke_op op = hd_invocation_op(v->method, v->path, &name);
    int rc = hd_invocation_read(&r->ask, op, name, v->query, v->fields, v->n_fields);
    if (rc == 0)
        rc = hd_invocation_check(&r->ask, v->body);
    if (rc < 0)
        hd_door_fail(r, r->ask.fault, hd_str(r->ask.message), NULL);
    else if (in_reach(r))
        find_and_run(r, v);
}

void hd_door_look_again(struct hd_lambda_door *d)
{
    struct hd_list waiting;
    struct hd_list *item;
    hd_list_init(&waiting);
    while ((item = hd_list_pop(&d->pending)) != NULL)
        hd_list_push(&waiting, item);
    while ((item = hd_list_pop(&waiting)) != NULL) {
        struct hd_door_request *r = hd_container_of(item, struct hd_door_request, link);
        r->busy = false;
        if (r->ex == NULL) {
            hd_door_end(r);
            continue;
        }
        if (r->url)
            hd_door_url_ready(r, &r->at);
        else
            find_and_run(r, &r->at);
    }
}
