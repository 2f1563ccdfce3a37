/*  any loop: copy ─► control loop: route ─► body parsed (big ones off the loop) ─► input put
 *  together, typed, checked ─► the handler ─► ... ─► end ─► the asker's loop: done           */
#include "lambda/api/api_private.h"

#include "core/clock.h"
#include "core/work.h"

enum {
    INLINE_BODY_MAX = 65536, /* bigger ones are parsed on a work thread */
    REGION_MAX = 32,
};

/* --- the way of a request --- */

static void job_free(struct hd_job *job)
{
    if (job->op.free_state != NULL)
        job->op.free_state(job->op.state);
    json_decref(job->op.input);
    json_decref(job->answer_json);
    hd_buf_done(&job->answer_body);
    free(job->file);
    free(job->names);
    free(job->text);
    free(job);
}

static void deliver(void *arg)
{
    struct hd_job *job = arg;
    job->answer.body = hd_buf_view(&job->answer_body);
    job->done(job->arg, &job->answer);
    job_free(job);
}

static void tally(struct hd_job *job)
{
    struct hd_api_tally *t = &job->op.api->tallies[job->route.index];
    unsigned status = job->answer.status;
    if (job->route.operation != NULL)
        atomic_fetch_add_explicit(status >= 500   ? &t->failed
                                  : status >= 400 ? &t->refused
                                                  : &t->answered,
                                  1, memory_order_relaxed);
}

void hd_api_end(struct hd_job *job)
{
    struct hd_api *api = job->op.api;
    job->ended = true;
    tally(job);
    hd_loop_post(job->loop, deliver, job);
    api->active--;
    hd_api_settle(api);
}

static void run(struct hd_job *job)
{
    struct hd_op *op = &job->op;
    if (op->operation->run == NULL)
        hd_op_fail(op, HD_API_UNKNOWN_OPERATION,
                   "%s is not offered by this server; see doc/lambda.md for what is.",
                   op->operation->name);
    else
        op->operation->run(op);
}

/* --- the name of the function --- */

static bool same_place(struct hd_op *op, const struct hd_fn_name *name)
{
    if (name->region.len > 0 && !hd_str_is(name->region, op->region)) {
        hd_op_fail(op, HD_API_NOT_FOUND,
                   "Functions from '%.*s' are not reachable in this region ('%s')",
                   HD_FMT(name->region), op->region);
        return false;
    }
    if (name->account.len > 0 && !hd_str_is(name->account, op->account)) {
        struct hd_str who = op->request->caller.principal;
        hd_op_fail(op, HD_API_DENIED,
                   "User: %.*s is not authorized to perform: lambda:%s on resource:"
                   " arn:aws:lambda:%s:%.*s:function:%.*s",
                   HD_FMT(who.len > 0 ? who : hd_str("anonymous")), op->operation->name, op->region,
                   HD_FMT(name->account), HD_FMT(name->name));
        return false;
    }
    return true;
}

bool hd_op_take_function(struct hd_op *op, const char *text)
{
    struct hd_job *job = hd_container_of(op, struct hd_job, op);
    struct hd_fn_name name;
    const char *asked = hd_op_text(op, "Qualifier");
    if (hd_names_function(&name, hd_str(text)) < 0) {
        hd_op_fail(op, HD_API_INVALID, "The function name '%s' is neither a name nor an ARN.",
                   text);
        return false;
    }
    if (!same_place(op, &name))
        return false;
    if (name.qualifier.len > 0 && asked != NULL && asked[0] != '\0' &&
        !hd_str_is(name.qualifier, asked)) {
        hd_op_fail(op, HD_API_INVALID,
                   "The derived qualifier from the function name does not match the specified"
                   " qualifier.");
        return false;
    }
    struct hd_str qualifier = name.qualifier.len > 0 ? name.qualifier : hd_str(asked);
    free(job->names);
    job->names = hd_alloc(name.name.len + qualifier.len + 2);
    memcpy(job->names, name.name.ptr, name.name.len);
    if (qualifier.len > 0)
        memcpy(job->names + name.name.len + 1, qualifier.ptr, qualifier.len);
    op->function = job->names;
    op->qualifier = qualifier.len > 0 ? job->names + name.name.len + 1 : NULL;
    return true;
}

/* --- the input --- */

static const struct hd_shape *member_of(const struct hd_operation *o, struct hd_str name,
                                        enum hd_shape_place in)
{
    for (const struct hd_shape *m = o->input; m != NULL && m->name != NULL; m++)
        if (m->in == in && hd_str_is(name, m->name))
            return m;
    return NULL;
}

static bool has_body(const struct hd_operation *o)
{
    for (const struct hd_shape *m = o->input; m != NULL && m->name != NULL; m++)
        if (m->in == HD_SHAPE_BODY)
            return true;
    return false;
}

/* @return the value, or NULL and *err. */
static json_t *text_value(const struct hd_shape *m, struct hd_str wire, bool plus,
                          struct hd_error *err)
{
    size_t len;
    json_t *value = NULL;
    hd_auto_free char *text = hd_api_decode(wire, plus, &len);
    if (text == NULL)
        hd_fail(err, HD_EINVAL, "the value of '%s' has a broken percent-escape", m->name);
    else if (memchr(text, '\0', len) != NULL)
        hd_fail(err, HD_EINVAL, "the value of '%s' has a NUL in it", m->name);
    else if (hd_shape_text(m, hd_str_n(text, len), &value, err) < 0)
        return NULL;
    return value;
}

static int take_query(struct hd_job *job, const struct hd_shape *m, struct hd_error *err)
{
    struct hd_str wire;
    const char *name = m->query != NULL ? m->query : m->name;
    for (size_t n = 0; hd_api_query(job->request.query, name, n, &wire); n++) {
        json_t *value = text_value(m->kind == HD_SHAPE_LIST ? m->of : m, wire, true, err);
        if (value == NULL)
            return err->code;
        if (m->kind != HD_SHAPE_LIST) {
            json_object_set_new(job->op.input, m->name, value);
            break;
        }
        json_t *list = json_object_get(job->op.input, m->name);
        if (list == NULL)
            json_object_set_new(job->op.input, m->name, list = json_array());
        json_array_append_new(list, value);
    }
    return 0;
}

/* Members of path and query join those of the body, whatever the body says of them. */
static int take_line(struct hd_job *job, const struct hd_api_route *route, struct hd_error *err)
{
    const struct hd_operation *o = job->op.operation;
    for (const struct hd_shape *m = o->input; m != NULL && m->name != NULL; m++)
        if (m->in != HD_SHAPE_BODY)
            json_object_del(job->op.input, m->name);
    for (size_t i = 0; i < route->n_params; i++) {
        const struct hd_api_param *p = &route->params[i];
        const struct hd_shape *m = member_of(o, hd_str_n(p->name, p->name_len), HD_SHAPE_PATH);
        json_t *value = m != NULL ? text_value(m, p->value, false, err) : NULL;
        if (m == NULL)
            continue;
        if (value == NULL)
            return err->code;
        json_object_set_new(job->op.input, m->name, value);
    }
    for (const struct hd_shape *m = o->input; m != NULL && m->name != NULL; m++)
        if (m->in == HD_SHAPE_QUERY && take_query(job, m, err) < 0)
            return err->code;
    return 0;
}

static void checked(struct hd_job *job)
{
    struct hd_op *op = &job->op;
    struct hd_buf message;
    const char *refused = hd_shape_refused(op->operation->input, op->input);
    if (refused != NULL) {
        hd_op_fail(op, HD_API_INVALID, "%s is not offered by this server: leave it out.", refused);
        return;
    }
    hd_buf_init(&message, HD_API_MESSAGE_MAX - 1);
    unsigned broken = hd_shape_check(op->api->patterns, op->operation->input, op->input, &message);
    if (broken > 0)
        hd_op_fail(op, HD_API_VALIDATION, "%.*s", HD_FMT(hd_buf_view(&message)));
    hd_buf_done(&message);
    if (broken > 0)
        return;
    const struct hd_shape *name = member_of(op->operation, hd_str("FunctionName"), HD_SHAPE_PATH);
    if (name != NULL && !hd_op_take_function(op, hd_op_text(op, "FunctionName")))
        return;
    run(job);
}

static void with_body(struct hd_job *job)
{
    struct hd_op *op = &job->op;
    struct hd_error err = {0};
    if (op->input == NULL) {
        hd_op_fail(op, HD_API_SERIALIZATION, "%s", job->err.msg);
        return;
    }
    if (op->operation->run == NULL)
        run(job);
    else if (hd_shape_types(op->operation->input, op->input, &err) < 0 ||
             take_line(job, &job->route, &err) < 0)
        hd_op_fail(op, HD_API_SERIALIZATION, "%s", err.msg);
    else
        checked(job);
}

/* Any thread: the job is nobody else's. */
static void parse(void *arg)
{
    struct hd_job *job = arg;
    json_error_t at;
    json_t *json = json_loadb(job->request.body.ptr, job->request.body.len, 0, &at);
    if (json_is_object(json)) {
        job->op.input = json;
        return;
    }
    hd_fail(&job->err, HD_EINVAL, "Could not parse request body into json: %s at byte %d",
            json == NULL ? at.text : "it must be an object", json == NULL ? at.position : 0);
    json_decref(json);
}

static void parsed(void *arg)
{
    with_body(arg);
}

/* They are parts of keys, so what they can be has an end. */
static bool place_ok(struct hd_op *op)
{
    size_t region = strlen(op->region), account = strlen(op->account);
    if (region > 0 && region <= REGION_MAX && strchr(op->region, '/') == NULL && account == 12)
        return true;
    hd_op_fail(op, HD_API_INCOMPLETE_SIGNATURE,
               "The request is signed for the account '%.40s' and the region '%.40s', which cannot"
               " be: an account has 12 digits, a region at most %d characters.",
               op->account, op->region, REGION_MAX);
    return false;
}

static void begin(void *arg)
{
    struct hd_job *job = arg;
    struct hd_api *api = job->op.api;
    struct hd_str path = job->request.path;
    api->active++;
    if (api->closing) {
        hd_op_fail(&job->op, HD_API_SERVICE, "This server is about to end; try again.");
        return;
    }
    if (hd_api_is_download(path)) {
        hd_download_serve(&job->op);
        return;
    }
    if (!place_ok(&job->op))
        return;
    enum hd_api_routed how =
        hd_api_find(&job->route, job->request.method, path, job->request.query);
    if (how == HD_API_ROUTED)
        job->op.operation = job->route.operation;
    if (how == HD_API_NO_PATH)
        hd_op_fail(&job->op, HD_API_UNKNOWN_OPERATION, "There is no operation with the path %.*s",
                   HD_FMT(path));
    else if (how == HD_API_OTHER_METHOD)
        hd_op_fail(&job->op, HD_API_NO_METHOD, "There is no operation %.*s %.*s",
                   HD_FMT(job->request.method), HD_FMT(path));
    else if (job->request.body.len == 0 || !has_body(job->op.operation)) {
        job->op.input = json_object();
        with_body(job);
    } else if (job->request.body.len <= INLINE_BODY_MAX) {
        parse(job);
        with_body(job);
    } else if (hd_work(api->opt.control, parse, parsed, job, &job->err) < 0) {
        hd_op_fail(&job->op, HD_API_SERVICE, "%s", job->err.msg);
    }
}

/* --- in and out --- */

/* One allocation for all texts of a request; each ends with a NUL. */
static void copy_texts(struct hd_job *job, const struct hd_api_request *from)
{
    struct hd_api_request *to = &job->request;
    *to = *from;
    struct hd_str *const all[] = {&to->method,         &to->path,          &to->query,
                                  &to->body,           &to->base_url,      &to->request_id,
                                  &to->caller.account, &to->caller.region, &to->caller.principal};
    size_t bytes = 0;
    for (size_t i = 0; i < HD_COUNT(all); i++)
        bytes += all[i]->len + 1;
    char *at = job->text = hd_alloc(bytes);
    for (size_t i = 0; i < HD_COUNT(all); i++) {
        if (all[i]->len > 0)
            memcpy(at, all[i]->ptr, all[i]->len);
        all[i]->ptr = at;
        at += all[i]->len + 1;
    }
}

void hd_api_handle(struct hd_api *api, const struct hd_api_request *request, struct hd_loop *loop,
                   void (*done)(void *arg, const struct hd_api_answer *answer), void *arg)
{
    static const struct hd_operation unknown = {.name = "this request", .ok = 200};
    struct hd_job *job = hd_new(struct hd_job);
    copy_texts(job, request);
    job->loop = loop;
    job->done = done;
    job->arg = arg;
    hd_buf_init(&job->answer_body, SIZE_MAX / 2);
    struct hd_api_caller *caller = &job->request.caller;
    job->op = (struct hd_op){
        .api = api,
        .catalog = api->catalog,
        .operation = &unknown,
        .request = &job->request,
        .account = caller->account.len > 0 ? caller->account.ptr : api->opt.account,
        .region = caller->region.len > 0 ? caller->region.ptr : api->opt.region,
    };
    hd_loop_post(api->opt.control, begin, job);
}

bool hd_api_is_path(struct hd_str path)
{
    static const char form[] = "/dddd-dd-dd/";
    if (hd_api_is_download(path))
        return true;
    if (path.len < sizeof(form) - 1)
        return false;
    for (size_t i = 0; i < sizeof(form) - 1; i++) {
        char c = path.ptr[i];
        if (form[i] == 'd' ? c < '0' || c > '9' : c != form[i])
            return false;
    }
    return true;
}
