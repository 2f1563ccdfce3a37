/* want() ─► LOOK ──it is there────────────────────────────────► done()
 *             └──not, or always──► FETCH ─► LOOK AGAIN ─────────┘
 *
 * Who wants an image that is on its way waits for that. */
#include "pool/docker/pull.h"

#include "core/buf.h"
#include "core/list.h"
#include "pool/docker/containerplan.h"
#include "pool/docker/imageref.h"
#include "pool/docker/registryauth.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
    CALL_MS = 60000,
    FETCH_MS = 3600000,
    CREDENTIALS_MAX = 1 << 20,
    LAYERS_MAX = 256,
    LAYER_ID_MAX = 32,
    PROGRESS_MS = 1000,
    MIB = 1 << 20,
};

struct hd_pulls {
    struct hd_pulls_options opt;
    char *credentials;
    struct hd_list pulls;
    bool stopped;
};

struct layer {
    char id[LAYER_ID_MAX];
    uint64_t now, all;
};

struct pull {
    struct hd_list link, waiters;
    struct hd_pulls *all;
    struct hd_engine *engine;
    char *ref, *architecture;
    struct hd_engine_call *call;
    struct hd_timer later; /* for what ends before it begins */
    struct hd_timer telling;
    bool fetch, fetched;
    struct layer *layers;
    size_t n_layers;
    uint64_t told_ms;
    struct hd_error err;
};

struct hd_pull_waiter {
    struct hd_list link;
    void (*on_progress)(void *arg, const char *text);
    void (*done)(void *arg, const json_t *image, const struct hd_error *err);
    void *arg;
};

static void look(struct pull *p);

/* --- the end --- */

static void finish(struct pull *p, const json_t *image)
{
    hd_list_remove(&p->link);
    for (struct hd_list *l; (l = hd_list_pop(&p->waiters)) != NULL;) {
        struct hd_pull_waiter *w = hd_container_of(l, struct hd_pull_waiter, link);
        w->done(w->arg, image, image == NULL ? &p->err : NULL);
        free(w);
    }
    hd_timer_stop(p->all->opt.loop, &p->later);
    hd_timer_stop(p->all->opt.loop, &p->telling);
    free(p->ref);
    free(p->architecture);
    free(p->layers);
    free(p);
}

static void on_later(struct hd_timer *t)
{
    finish(hd_container_of(t, struct pull, later), NULL);
}

static void fail_later(struct pull *p)
{
    hd_timer_start(p->all->opt.loop, &p->later, 0, on_later);
}

/* --- how it goes --- */

static struct layer *layer_of(struct pull *p, const char *id)
{
    size_t n = strlen(id);
    if (n == 0 || n >= LAYER_ID_MAX)
        return NULL;
    for (size_t i = 0; i < p->n_layers; i++)
        if (strcmp(p->layers[i].id, id) == 0)
            return &p->layers[i];
    if (p->n_layers == LAYERS_MAX)
        return NULL;
    if (p->layers == NULL)
        p->layers = hd_new_array(struct layer, LAYERS_MAX);
    struct layer *l = &p->layers[p->n_layers++];
    memcpy(l->id, id, n + 1);
    return l;
}

static void tell(struct pull *p)
{
    uint64_t now = 0, all = 0;
    p->told_ms = hd_loop_now_ms(p->all->opt.loop);
    for (size_t i = 0; i < p->n_layers; i++) {
        now += p->layers[i].now;
        all += p->layers[i].all;
    }
    hd_auto_free char *text =
        all > 0 ? hd_printf("Fetching image %s: %u of %u MiB.", p->ref, (unsigned)(now / MIB),
                            (unsigned)((all + MIB - 1) / MIB))
                : hd_printf("Fetching image %s.", p->ref);
    hd_list_each(link, &p->waiters)
    {
        struct hd_pull_waiter *w = hd_container_of(link, struct hd_pull_waiter, link);
        if (w->on_progress != NULL)
            w->on_progress(w->arg, text);
    }
}

static void on_telling(struct hd_timer *t)
{
    tell(hd_container_of(t, struct pull, telling));
}

/* Now, or when the last time is long enough ago. */
static void tell_soon(struct pull *p)
{
    uint64_t clock = hd_loop_now_ms(p->all->opt.loop), due = p->told_ms + PROGRESS_MS;
    if (!hd_timer_active(&p->telling))
        hd_timer_start(p->all->opt.loop, &p->telling, due > clock ? due - clock : 0, on_telling);
}

static void on_line(void *arg, const json_t *line)
{
    struct pull *p = arg;
    const char *error = json_string_value(json_object_get(line, "error"));
    const char *id = json_string_value(json_object_get(line, "id"));
    const char *status = json_string_value(json_object_get(line, "status"));
    const json_t *detail = json_object_get(line, "progressDetail");
    json_int_t now = json_integer_value(json_object_get(detail, "current"));
    json_int_t all = json_integer_value(json_object_get(detail, "total"));
    if (error != NULL) {
        hd_fail(&p->err, HD_EINVAL, "image %s: cannot be fetched: %s", p->ref, error);
        return;
    }
    struct layer *l = id != NULL ? layer_of(p, id) : NULL;
    if (l != NULL && hd_str_is(hd_str(status), "Downloading") && all > 0 && now >= 0) {
        l->now = (uint64_t)now;
        l->all = (uint64_t)all;
    } else if (l != NULL && hd_str_is(hd_str(status), "Download complete")) {
        l->now = l->all;
    }
    tell_soon(p);
}

/* --- fetching it --- */

/* @return its path for the caller to free, or NULL: nobody ever logged in. */
static char *credentials_file(const struct hd_pulls *all)
{
    const char *file = getenv("REGISTRY_AUTH_FILE"), *dir = getenv("DOCKER_CONFIG");
    const char *home = getenv("HOME");
    char *path = all->credentials != NULL          ? hd_strdup(all->credentials)
                 : file != NULL && file[0] != '\0' ? hd_strdup(file)
                 : dir != NULL && dir[0] != '\0'
                     ? hd_printf("%s/config.json", dir)
                     : hd_printf("%s/.docker/config.json", home != NULL ? home : "");
    if (all->credentials != NULL || access(path, F_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static int read_credentials(struct pull *p, char **header)
{
    struct hd_imageref ref;
    struct hd_buf text;
    char chunk[4096];
    ssize_t n = 0;
    *header = NULL;
    hd_auto_free char *path = credentials_file(p->all);
    if (path == NULL)
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return hd_fail_sys(&p->err, errno, "registry credentials: %s", path);
    hd_buf_init(&text, CREDENTIALS_MAX);
    while ((n = read(fd, chunk, sizeof(chunk))) > 0)
        hd_buf_add(&text, chunk, (size_t)n);
    explicit_bzero(chunk, sizeof(chunk));
    close(fd);
    hd_imageref_split(&ref, p->ref);
    int rc = n < 0 || hd_buf_failed(&text)
                 ? hd_fail(&p->err, HD_EINVAL, "cannot be read, or over 1 MiB")
                 : hd_registryauth_header(header, hd_buf_view(&text), ref.registry, &p->err);
    if (text.ptr != NULL)
        explicit_bzero(text.ptr, text.len);
    hd_buf_done(&text);
    return hd_wrap(&p->err, rc, "registry credentials: %s", path);
}

static void on_fetched(void *arg, const struct hd_engine_answer *a)
{
    struct pull *p = arg;
    p->call = NULL;
    if (a->status != 200) {
        int code = a->status != 0 ? HD_EINVAL : HD_EIO;
        hd_engine_fail(&p->err, code, a, "cannot be fetched");
        hd_wrap(&p->err, 0, "image %s", p->ref);
    }
    if (p->err.code != 0) {
        finish(p, NULL);
        return;
    }
    p->fetched = true;
    hd_log(p->all->opt.log, HD_INFO, "image fetched", hd_kv_str("image", p->ref));
    look(p);
}

static void fetch(struct pull *p)
{
    char *header;
    struct hd_imageref ref;
    hd_imageref_split(&ref, p->ref);
    if (read_credentials(p, &header) < 0) {
        fail_later(p);
        return;
    }
    const char *platform = p->architecture == NULL                 ? ""
                           : strcmp(p->architecture, "arm64") == 0 ? "&platform=linux/arm64"
                                                                   : "&platform=linux/amd64";
    hd_auto_free char *path = hd_printf("/images/create?fromImage=%.*s&tag=%.*s%s",
                                        HD_FMT(ref.repo), HD_FMT(ref.tag), platform);
    struct hd_engine_request req = {.method = "POST",
                                    .path = path,
                                    .registry_auth = header,
                                    .timeout_ms = FETCH_MS,
                                    .on_line = on_line};
    tell(p);
    p->call = hd_engine_ask(p->engine, &req, on_fetched, p);
    if (header != NULL)
        explicit_bzero(header, strlen(header));
    free(header);
}

/* --- looking for it --- */

static void not_there(struct pull *p)
{
    bool own = strcmp(p->ref, HD_CONTAINER_IMAGE) == 0;
    hd_fail(&p->err, HD_EINVAL,
            own ? "image %s: the engine does not have it; make it: heddle image build"
                : "image %s: the engine does not have it, and lambda.docker.pull is never",
            p->ref);
    finish(p, NULL);
}

static void on_looked(void *arg, const struct hd_engine_answer *a)
{
    struct pull *p = arg;
    p->call = NULL;
    bool missing = a->status == 404;
    bool may = p->all->opt.policy != HD_PULL_NEVER && strcmp(p->ref, HD_CONTAINER_IMAGE) != 0;
    if (a->status != 200 && !missing) {
        hd_engine_fail(&p->err, HD_EIO, a, "looking for an image");
        finish(p, NULL);
    } else if (!p->fetched && may && (missing || p->fetch)) {
        fetch(p);
    } else if (missing) {
        not_there(p);
    } else if (hd_container_check_architecture(p->architecture, p->ref, a->json, &p->err) < 0) {
        finish(p, NULL);
    } else {
        finish(p, a->json);
    }
}

static void look(struct pull *p)
{
    hd_auto_free char *path = hd_printf("/images/%s/json", p->ref);
    struct hd_engine_request req = {.method = "GET", .path = path, .timeout_ms = CALL_MS};
    p->call = hd_engine_ask(p->engine, &req, on_looked, p);
}

/* --- all of them --- */

static struct pull *find(struct hd_pulls *all, const struct hd_pull_request *req)
{
    hd_list_each(link, &all->pulls)
    {
        struct pull *p = hd_container_of(link, struct pull, link);
        if (p->engine == req->engine && p->err.code == 0 && strcmp(p->ref, req->ref) == 0 &&
            hd_str_eq(hd_str(p->architecture), hd_str(req->architecture)))
            return p;
    }
    return NULL;
}

struct hd_pull_waiter *hd_pulls_want(struct hd_pulls *all, const struct hd_pull_request *req)
{
    struct pull *p = find(all, req);
    struct hd_pull_waiter *w = hd_new(struct hd_pull_waiter);
    *w = (struct hd_pull_waiter){
        .on_progress = req->on_progress, .done = req->done, .arg = req->arg};
    if (p != NULL) {
        hd_list_push(&p->waiters, &w->link);
        return w;
    }
    p = hd_new(struct pull);
    p->all = all;
    p->engine = req->engine;
    p->ref = hd_strdup(req->ref);
    p->architecture = hd_strdup(req->architecture);
    p->fetch = all->opt.policy == HD_PULL_ALWAYS && !req->launch;
    hd_list_init(&p->waiters);
    hd_list_push(&p->waiters, &w->link);
    hd_list_init(&p->link);
    hd_list_push(&all->pulls, &p->link);
    if (all->stopped)
        hd_fail(&p->err, HD_ECANCELED, "the node is stopping");
    if (all->stopped || hd_imageref_check(p->ref, &p->err) < 0)
        fail_later(p);
    else
        look(p);
    return w;
}

void hd_pulls_leave(struct hd_pull_waiter *w)
{
    hd_list_remove(&w->link);
    free(w);
}

struct hd_pulls *hd_pulls_new(const struct hd_pulls_options *opt)
{
    struct hd_pulls *all = hd_new(struct hd_pulls);
    all->opt = *opt;
    all->credentials = hd_strdup(opt->credentials);
    hd_list_init(&all->pulls);
    return all;
}

void hd_pulls_stop(struct hd_pulls *all)
{
    all->stopped = true;
    hd_list_each(link, &all->pulls)
    {
        struct pull *p = hd_container_of(link, struct pull, link);
        if (p->call != NULL)
            hd_engine_cancel(p->call);
    }
}

bool hd_pulls_busy(const struct hd_pulls *all)
{
    return !hd_list_empty(&all->pulls);
}

void hd_pulls_free(struct hd_pulls *all)
{
    if (all == NULL)
        return;
    free(all->credentials);
    free(all);
}
