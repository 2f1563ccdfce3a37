/* IMAGE ─► SIGHT ─► CREATING ──files are bound into it──► STARTING ─► UP
 *                      └► FILLING ─► ATTACHING ──────────────┘
 *
 * Every state ends in done() when it fails or is canceled; a call to the engine that is under way
 * is waited for, because what it makes has to be removed. */
#include "pool/docker/raise.h"

#include "pool/docker/fill.h"
#include "pool/docker/tunnel.h"

enum { CALL_MS = 60000 };

struct hd_raise {
    struct hd_raise_options opt;
    char *image, *dir, *name, *id;
    json_t *info;   /* what the engine says of the image */
    json_t *mounts; /* what goes in as an archive; NULL: nothing does */
    struct hd_pull_waiter *image_wait;
    struct hd_sight_wait sight;
    struct hd_engine_call *op;
    struct hd_fill *fill;
    struct hd_docker_tunnel *tunnel;
    struct hd_timer later;
    struct hd_error err;
    bool canceled, told, cut;
};

static void tell(struct hd_raise *r)
{
    if (r->told)
        return;
    r->told = true;
    if (r->canceled)
        hd_fail(&r->err, HD_ECANCELED, "canceled");
    json_decref(hd_steal(r->opt.body));
    json_decref(hd_steal(r->info));
    json_decref(hd_steal(r->mounts));
    r->opt.done(r->opt.arg, r->err.code != 0 ? &r->err : NULL);
}

static void on_later(struct hd_timer *t)
{
    tell(hd_container_of(t, struct hd_raise, later));
}

/* From where done() may not come. */
static void tell_later(struct hd_raise *r)
{
    hd_timer_start(r->opt.site->loop, &r->later, 0, on_later);
}

static void refused(struct hd_raise *r, const struct hd_engine_answer *a, const char *what)
{
    int code = a->status >= 400 && a->status < 500 ? HD_EINVAL : HD_EIO;
    hd_engine_fail(&r->err, code, a, what);
    tell(r);
}

static void ask(struct hd_raise *r, const char *path, const char *body, hd_engine_done_fn *done)
{
    struct hd_engine_request req = {
        .method = "POST", .path = path, .body = body, .timeout_ms = CALL_MS};
    r->op = hd_engine_ask(r->opt.site->engine, &req, done, r);
}

/* --- its start --- */

static void on_started(void *arg, const struct hd_engine_answer *a)
{
    struct hd_raise *r = arg;
    r->op = NULL;
    if (!r->canceled && a->status != 204 && a->status != 304)
        refused(r, a, "starting a container");
    else
        tell(r);
}

static void start(struct hd_raise *r)
{
    hd_auto_free char *path = hd_printf("/containers/%s/start", r->id);
    ask(r, path, NULL, on_started);
}

/* --- what is in it, where nothing can be bound --- */

static void on_tunnel_open(void *arg)
{
    struct hd_raise *r = arg;
    if (!r->told && !r->canceled)
        start(r);
}

static void on_tunnel_output(void *arg, bool is_err, struct hd_str what)
{
    struct hd_raise *r = arg;
    r->opt.on_output(r->opt.arg, is_err, what);
}

static void on_tunnel_end(void *arg, const struct hd_error *err)
{
    struct hd_raise *r = arg;
    struct hd_error why = *err;
    hd_wrap(&why, 0, "the way through the container engine");
    r->cut = true;
    if (r->told) {
        r->opt.on_cut(r->opt.arg, &why);
        return;
    }
    r->err = why;
    if (r->op == NULL)
        tell(r);
}

static void open_tunnel(struct hd_raise *r)
{
    struct hd_docker_site *site = r->opt.site;
    if (site->net == NULL)
        site->net = hd_net_new(site->loop);
    hd_auto_free char *socket = hd_printf("%s/sock", r->dir);
    struct hd_docker_tunnel_options opt = {.net = site->net,
                                           .engine = site->engine,
                                           .container = r->id,
                                           .socket = socket,
                                           .lanes = site->container.lanes_socket,
                                           .on_open = on_tunnel_open,
                                           .on_output = on_tunnel_output,
                                           .on_end = on_tunnel_end,
                                           .arg = r,
                                           .open = &site->tunnels};
    if (hd_docker_tunnel_start(&r->tunnel, &opt, &r->err) < 0)
        tell(r);
}

static void on_filled(void *arg, const struct hd_error *err)
{
    struct hd_raise *r = arg;
    r->fill = NULL;
    if (err != NULL)
        r->err = *err;
    if (r->canceled || err != NULL)
        tell(r);
    else
        open_tunnel(r);
}

static void fill(struct hd_raise *r)
{
    struct hd_docker_site *site = r->opt.site;
    if (hd_fill_start(&r->fill, site->loop, site->engine, r->id, r->mounts, r->dir, on_filled, r,
                      &r->err) < 0)
        tell(r);
}

/* --- the container --- */

static void on_created(void *arg, const struct hd_engine_answer *a)
{
    struct hd_raise *r = arg;
    const char *id = json_string_value(json_object_get(a->json, "Id"));
    r->op = NULL;
    if (a->status == 201 && id != NULL)
        r->id = hd_strdup(id);
    if (r->canceled)
        tell(r);
    else if (r->id == NULL)
        refused(r, a, "creating a container");
    else if (r->mounts != NULL)
        fill(r);
    else
        start(r);
}

static void on_sight(struct hd_sight_wait *w, bool sees)
{
    struct hd_raise *r = hd_container_of(w, struct hd_raise, sight);
    char *body = NULL;
    if (hd_container_finish(&body, sees ? NULL : &r->mounts, r->opt.body, r->info,
                            hd_engine_is_podman(r->opt.site->engine), &r->err) < 0) {
        tell(r);
        return;
    }
    hd_auto_free char *path = hd_printf("/containers/create?name=%s", r->name);
    ask(r, path, body, on_created);
    explicit_bzero(body, strlen(body));
    free(body);
}

static void on_image(void *arg, const json_t *image, const struct hd_error *err)
{
    struct hd_raise *r = arg;
    r->image_wait = NULL;
    if (err != NULL) {
        r->err = *err;
        tell(r);
        return;
    }
    r->info = json_deep_copy(image);
    hd_sight_ask(r->opt.site->sight, r->opt.site->engine, r->image, &r->sight);
}

/* --- calls --- */

struct hd_raise *hd_raise_start(const struct hd_raise_options *opt)
{
    struct hd_raise *r = hd_new(struct hd_raise);
    r->opt = *opt;
    r->image = hd_strdup(opt->image);
    r->dir = hd_strdup(opt->dir);
    r->name = hd_strdup(opt->name);
    r->sight.done = on_sight;
    hd_list_init(&r->sight.link);
    struct hd_pull_request req = {.engine = opt->site->engine,
                                  .ref = r->image,
                                  .architecture = opt->architecture,
                                  .launch = true,
                                  .done = on_image,
                                  .arg = r};
    r->image_wait = hd_pulls_want(opt->site->pulls, &req);
    return r;
}

void hd_raise_cancel(struct hd_raise *r)
{
    if (r->canceled || r->told)
        return;
    r->canceled = true;
    if (r->image_wait != NULL)
        hd_pulls_leave(hd_steal(r->image_wait));
    hd_list_remove(&r->sight.link);
    if (r->fill != NULL)
        hd_fill_cancel(r->fill);
    else if (r->op == NULL)
        tell_later(r);
}

const char *hd_raise_id(const struct hd_raise *r)
{
    return r->id;
}

bool hd_raise_is_open(const struct hd_raise *r)
{
    return r->tunnel != NULL && !r->cut;
}

void hd_raise_free(struct hd_raise *r)
{
    if (r == NULL)
        return;
    hd_timer_stop(r->opt.site->loop, &r->later);
    hd_docker_tunnel_close(r->tunnel);
    free(r->image);
    free(r->dir);
    free(r->name);
    free(r->id);
    free(r);
}
