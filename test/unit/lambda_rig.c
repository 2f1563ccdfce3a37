#include "lambda_rig.h"

#include "core/base64.h"
#include "core/clock.h"
#include "core/list.h"
#include "zipmake.h"

enum { WAIT_MS = 60000 };

/* --- a backend that only writes down --- */

struct instance {
    struct hd_list link;
    struct lr_backend *backend;
    const struct hd_backend_events *events;
    void *owner;
    struct lr_launch what;
    struct hd_timer timer;
};

struct lr_backend {
    struct hd_backend base;
    struct hd_loop *loop;
    const bool *fail;
    struct hd_list all; /* also those that ended */
    unsigned alive;
};

static char *joined(const char *const *list)
{
    struct hd_buf out;
    hd_buf_init(&out, 65536);
    hd_buf_cstr(&out, "");
    for (; list != NULL && *list != NULL; list++)
        hd_buf_fmt(&out, "%s%s", out.len > 0 ? " " : "", *list);
    return out.len > 0 ? hd_buf_take(&out) : hd_strdup("");
}

static void end(struct instance *i, const struct hd_error *err)
{
    i->what.ended = true;
    i->backend->alive--;
    i->events->on_gone(i->owner, err);
}

static void on_end(struct hd_timer *t)
{
    end(hd_container_of(t, struct instance, timer), NULL);
}

static void on_ready(struct hd_timer *t)
{
    struct instance *i = hd_container_of(t, struct instance, timer);
    struct hd_endpoint at = {.kind = HD_ENDPOINT_UNIX};
    if (*i->backend->fail) {
        struct hd_error err;
        hd_fail(&err, HD_EINVAL, "index.js: there is no such handler");
        end(i, &err);
        return;
    }
    memcpy(at.address, &i, sizeof(i));
    i->events->on_ready(i->owner, &at, NULL);
}

static struct hd_instance_handle *launch(struct hd_backend *base, const struct hd_launch *what,
                                         const struct hd_backend_events *events, void *owner)
{
    struct lr_backend *b = hd_container_of(base, struct lr_backend, base);
    struct instance *i = hd_new(struct instance);
    i->backend = b;
    i->events = events;
    i->owner = owner;
    i->what = (struct lr_launch){.version = hd_strdup(what->version),
                                 .handler = hd_strdup(what->handler),
                                 .runtime = hd_strdup(what->runtime),
                                 .code_dir = hd_strdup(what->lambda->code_dir),
                                 .opt_dir = hd_strdup(what->lambda->opt_dir),
                                 .qualifier = hd_strdup(what->lambda->qualifier),
                                 .env = joined(what->env)};
    hd_list_push(&b->all, &i->link);
    b->alive++;
    hd_timer_start(b->loop, &i->timer, 0, on_ready);
    return (struct hd_instance_handle *)i;
}

static void terminate(struct hd_instance_handle *h, uint32_t grace_ms)
{
    struct instance *i = (struct instance *)h;
    (void)grace_ms;
    hd_timer_start(i->backend->loop, &i->timer, 0, on_end);
}

static void ping(struct hd_instance_handle *h, uint32_t within_ms, void (*done)(void *, int),
                 void *owner)
{
    (void)h, (void)within_ms, (void)done, (void)owner;
}

static uint64_t number(struct hd_instance_handle *h)
{
    (void)h;
    return 1 << 20;
}

static const struct hd_backend_ops ops = {.name = "paper",
                                          .launch = launch,
                                          .terminate = terminate,
                                          .ping = ping,
                                          .rss_bytes = number,
                                          .cpu_us = number};

static void backend_free(struct lr_backend *b)
{
    struct hd_list *item;
    while ((item = hd_list_pop(&b->all)) != NULL) {
        struct instance *i = hd_container_of(item, struct instance, link);
        char *texts[] = {i->what.version, i->what.handler,   i->what.runtime, i->what.code_dir,
                         i->what.opt_dir, i->what.qualifier, i->what.env};
        for (size_t n = 0; n < HD_COUNT(texts); n++)
            free(texts[n]);
        free(i);
    }
    free(b);
}

/* --- time --- */

struct tick {
    struct hd_timer timer;
    struct hd_loop *loop;
};

static void on_tick(struct hd_timer *t)
{
    hd_timer_start(hd_container_of(t, struct tick, timer)->loop, t, 5, on_tick);
}

void lr_until(struct lr *r, const unsigned *flag, unsigned wanted)
{
    struct tick tick = {.loop = r->loop};
    uint64_t end = hd_clock_ms() + WAIT_MS;
    hd_timer_start(r->loop, &tick.timer, 5, on_tick);
    while (*flag < wanted && hd_clock_ms() < end)
        uv_run(hd_loop_uv(r->loop), UV_RUN_ONCE);
    hd_timer_stop(r->loop, &tick.timer);
    if (*flag < wanted)
        fail_msg("waited too long");
}

static void on_closed(void *arg)
{
    ++*(unsigned *)arg;
}

/* --- open and close --- */

static void on_view(void *arg, struct hd_view *view)
{
    struct lr *r = arg;
    hd_view_unref(r->view);
    r->view = view;
    r->views++;
}

void lr_init(struct lr *r)
{
    *r = (struct lr){.status = 0};
    tree_make(&r->tree);
    tree_folder(&r->tree, "state");
    assert_int_equal(hd_loop_new(&r->loop, 0, NULL), 0);
    r->zip = lr_zip("index.js", "exports.handler = async () => 1");
}

static void open_parts(struct lr *r, struct hd_error *err)
{
    const char *db = tree_path(&r->tree, "state/heddle.db");
    const struct hd_store_options store = {.path = db, .boot_id = "boot"};
    const char *dir = tree_path(&r->tree, "state/bundles");
    const struct hd_bundles_options bundles = {
        .dir = dir,
        .loop = r->loop,
        .max_zip_bytes = r->opt.limits.zip_bytes,
        .max_unpacked_bytes = r->opt.limits.unpacked_bytes,
    };
    r->backend = hd_new(struct lr_backend);
    r->backend->base.ops = &ops;
    r->backend->loop = r->loop;
    r->backend->fail = &r->instances_fail;
    hd_list_init(&r->backend->all);
    const struct hd_pool_set_options pools = {
        .loops = &r->loop, .n_loops = 1, .backend = &r->backend->base};
    if (hd_store_open(&r->store, &store, err) < 0 ||
        hd_bundles_new(&r->bundles, &bundles, err) < 0 ||
        hd_pool_set_new(&r->pools, &pools, err) < 0)
        fail_msg("%s", err->msg);
}

void lr_open(struct lr *r)
{
    struct hd_error err = {.msg = ""};
    open_parts(r, &err);
    r->opt.store = r->store;
    r->opt.bundles = r->bundles;
    r->opt.pools = r->pools;
    r->opt.control = r->loop;
    r->opt.functions_root = r->tree.path;
    r->opt.on_view = on_view;
    r->opt.arg = r;
    if (hd_api_new(&r->api, &r->opt, &err) < 0)
        fail_msg("%s", err.msg);
    assert_true(r->views > 0); /* the first one is there at once */
}

void lr_close(struct lr *r)
{
    unsigned closed = 0;
    hd_api_close(r->api, on_closed, &closed);
    lr_until(r, &closed, 1);
    hd_pool_set_close(r->pools, 0, on_closed, &closed);
    lr_until(r, &closed, 2);
    hd_api_free(r->api);
    hd_view_unref(r->view);
    r->view = NULL;
    hd_pool_set_free(r->pools);
    backend_free(r->backend);
    hd_bundles_close(r->bundles, on_closed, &closed);
    lr_until(r, &closed, 3);
    hd_store_close(r->store, r->loop, on_closed, &closed);
    lr_until(r, &closed, 4);
    hd_store_free(r->store);
}

static void forget(struct lr *r)
{
    json_decref(r->body);
    free(r->text);
    free(r->file);
    r->body = NULL;
    r->text = NULL;
    r->file = NULL;
}

void lr_done(struct lr *r)
{
    lr_close(r);
    forget(r);
    free(r->zip);
    hd_loop_free(r->loop);
    tree_done(&r->tree);
}

/* --- asking --- */

struct question {
    struct lr *rig;
    unsigned answered;
};

static void on_answer(void *arg, const struct hd_api_answer *answer)
{
    struct question *q = arg;
    struct lr *r = q->rig;
    assert_int_equal(q->answered++, 0);
    r->status = answer->status;
    snprintf(r->type, sizeof(r->type), "%s", answer->error_type != NULL ? answer->error_type : "");
    r->text = hd_strdup_n(answer->body);
    r->file = hd_strdup(answer->file);
    if (answer->body.len > 0) {
        r->body = json_loads(r->text, 0, NULL);
        if (r->body == NULL)
            fail_msg("not JSON: %s", r->text);
    }
}

void lr_ask(struct lr *r, const char *line, const char *body)
{
    struct hd_str method, rest = hd_str(line), path;
    struct question q = {.rig = r};
    forget(r);
    assert_true(hd_str_split(&method, &rest, ' '));
    assert_true(hd_str_split(&path, &rest, '?'));
    const struct hd_api_request request = {
        .method = method,
        .path = path,
        .query = rest,
        .body = hd_str(body),
        .base_url = hd_str("http://127.0.0.1:8766"),
        .request_id = hd_str("00000000-0000-7000-8000-000000000000"),
        .caller = {.account = hd_str(r->account),
                   .region = hd_str(r->region),
                   .principal = hd_str(r->principal)},
    };
    hd_api_handle(r->api, &request, r->loop, on_answer, &q);
    assert_int_equal(q.answered, 0); /* never from inside */
    lr_until(r, &q.answered, 1);
}

static void ask_json(struct lr *r, const char *line, json_t *body)
{
    hd_auto_free char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    lr_ask(r, line, text);
}

void lr_ok(struct lr *r, unsigned status, const char *line, json_t *body)
{
    ask_json(r, line, body);
    if (r->status != status)
        fail_msg("%s: %u %s %s", line, r->status, r->type, r->text);
}

void lr_refused(struct lr *r, unsigned status, const char *type, const char *message,
                const char *line, json_t *body)
{
    ask_json(r, line, body);
    const char *said = json_string_value(json_object_get(r->body, "message"));
    if (said == NULL)
        said = json_string_value(json_object_get(r->body, "Message"));
    if (r->status != status || strcmp(r->type, type) != 0 || said == NULL ||
        strcmp(said, message) != 0)
        fail_msg("%s\nwanted %u %s: %s\ngot    %u %s: %s", line, status, type, message, r->status,
                 r->type, r->text);
}

static json_t *member(const struct lr *r, const char *path)
{
    json_t *v = r->body;
    struct hd_str part, rest = hd_str(path);
    while (hd_str_split(&part, &rest, '.')) {
        uint64_t index;
        hd_auto_free char *name = hd_strdup_n(part);
        if (json_is_array(v) && hd_str_to_u64(&index, part) == 0)
            v = json_array_get(v, (size_t)index);
        else
            v = json_object_get(v, name);
    }
    return v;
}

json_t *lr_get(const struct lr *r, const char *path)
{
    json_t *v = member(r, path);
    if (v == NULL)
        fail_msg("no %s in %s", path, r->text);
    return v;
}

const char *lr_text(const struct lr *r, const char *path)
{
    json_t *v = lr_get(r, path);
    if (!json_is_string(v))
        fail_msg("%s is no text in %s", path, r->text);
    return json_string_value(v);
}

bool lr_has(const struct lr *r, const char *path)
{
    return member(r, path) != NULL;
}

/* --- functions --- */

json_t *lr_function(const struct lr *r, const char *name)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:{s:s}}", "FunctionName", name, "Role", LR_ROLE,
                     "Runtime", "nodejs20.x", "Handler", "index.handler", "Code", "ZipFile",
                     r->zip);
}

void lr_settle(struct lr *r, const char *name)
{
    hd_auto_free char *line = hd_printf("GET " LR_FUNCTIONS "/%s/configuration", name);
    uint64_t end = hd_clock_ms() + WAIT_MS;
    do {
        lr_ok(r, 200, line, NULL);
        if (hd_clock_ms() > end)
            fail_msg("never settled: %s", r->text);
    } while (strcmp(lr_text(r, "State"), "Pending") == 0 ||
             (lr_has(r, "LastUpdateStatus") &&
              strcmp(lr_text(r, "LastUpdateStatus"), "InProgress") == 0));
}

void lr_create(struct lr *r, const char *name)
{
    lr_ok(r, 201, "POST " LR_FUNCTIONS, lr_function(r, name));
    lr_settle(r, name);
    assert_string_equal(lr_text(r, "State"), "Active");
}

char *lr_zip(const char *name, const char *text)
{
    struct hd_buf zip;
    const struct zipmake file = {.name = name, .data = text};
    hd_buf_init(&zip, 64 << 20);
    zipmake(&zip, &file, 1, 0);
    char *out = hd_alloc(hd_base64_chars(HD_BASE64, zip.len) + 1);
    out[hd_base64_encode(out, HD_BASE64, zip.ptr, zip.len)] = '\0';
    hd_buf_done(&zip);
    return out;
}

const struct hd_view_version *lr_version(const struct lr *r, const char *name,
                                         const char *qualifier)
{
    const struct hd_lambda_fn *fn =
        hd_view_find(r->view, hd_str("000000000000"), hd_str("us-east-1"), hd_str(name));
    return fn != NULL ? hd_view_resolve(fn, hd_str(qualifier), 0.5) : NULL;
}

/* --- instances --- */

struct taker {
    struct hd_lease *lease;
    unsigned done;
    struct hd_error err;
};
static struct taker *waiting;

static void on_granted(struct hd_lease *lease, const struct hd_error *err)
{
    assert_ptr_equal(lease, waiting->lease);
    waiting->done = 1;
    if (err != NULL)
        waiting->err = *err;
}

const struct lr_launch *lr_take(struct lr *r, const struct hd_view_version *v,
                                struct hd_lease *lease, struct hd_error *err)
{
    struct taker t = {.lease = lease};
    assert_non_null(v);
    assert_non_null(v->target->pool);
    *lease = (struct hd_lease){.on_granted = on_granted};
    waiting = &t;
    int rc = hd_pool_take(v->target->pool, lease, r->loop, &t.err);
    if (rc == 0)
        lr_until(r, &t.done, 1);
    waiting = NULL;
    *err = t.err;
    if (t.err.code != 0)
        return NULL;
    struct instance *i;
    memcpy(&i, lease->endpoint->address, sizeof(i));
    return &i->what;
}

void lr_give(struct lr *r, struct hd_lease *lease)
{
    (void)r;
    hd_pool_give(lease, HD_LEASE_OK);
}
