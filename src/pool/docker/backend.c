#include "pool/docker/backend.h"

#include "core/id.h"
#include "pool/docker/events.h"
#include "pool/docker/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
    DEFAULT_START_TIMEOUT_MS = 60000,
    ID_BYTES = 8,
    CALL_MS = 60000,
    PIDS_MAX = 32768, /* where the kernel does not say */
};
static const char list_path[] =
    "/containers/json?all=1&filters=%7B%22label%22%3A%5B%22heddle.node%3D";

struct docker {
    struct hd_backend base;
    struct hd_docker_site site;
    char *host, *certs, *run_dir, *runtimes_dir, *shim_bin, *endpoint_url, *lanes_socket;
    char **images;
    char node_id[2 * ID_BYTES + 1], boot_id[2 * ID_BYTES + 1];
    struct hd_docker_events *events; /* NULL: there was no need yet */
    unsigned asking;                 /* calls to the engine of the backend's own */
    struct hd_timer reaping, closing;
    bool reaped, closed;
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

static struct docker *docker_of(struct hd_backend *b)
{
    return hd_container_of(b, struct docker, base);
}

/* --- who this node is --- */

/* Containers carry it, so that they are found by the node that comes after this one. */
static int learn_node_id(struct docker *d, struct hd_error *err)
{
    unsigned char random[ID_BYTES];
    hd_auto_free char *path = hd_printf("%s/node.id", d->run_dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return hd_fail_sys(err, errno, "%s", path);
    ssize_t n = read(fd, d->node_id, sizeof(d->node_id) - 1);
    d->node_id[HD_MAX(n, 0)] = '\0';
    bool whole = strspn(d->node_id, "0123456789abcdef") == sizeof(d->node_id) - 1;
    int rc = 0;
    if (!whole) {
        hd_random(random, sizeof(random));
        hd_hex(d->node_id, random, sizeof(random));
        d->node_id[sizeof(d->node_id) - 1] = '\0';
        if (ftruncate(fd, 0) < 0 ||
            pwrite(fd, d->node_id, strlen(d->node_id), 0) != (ssize_t)strlen(d->node_id))
            rc = hd_fail_sys(err, errno, "%s", path);
    }
    close(fd);
    return rc;
}

/* Everything that the first launch, or the first look for leftovers, needs. */
static int open_all(struct docker *d, struct hd_error *err)
{
    const struct hd_spec_list none = {0};
    int rc = 0;
    if (d->site.engine != NULL)
        return 0;
    if (d->site.dir.lock_fd < 0) {
        rc = hd_rundir_open(&d->site.dir, d->run_dir, false, err);
        if (rc == 0)
            rc = hd_rundir_reap(&d->site.dir, &none, d->site.log, err);
        if (rc >= 0)
            rc = learn_node_id(d, err);
        if (rc < 0) {
            if (d->site.dir.lock_fd >= 0)
                hd_rundir_close(&d->site.dir);
            return rc;
        }
    }
    struct hd_engine_where where = {.host = d->host, .certs = d->certs};
    return hd_engine_new(&d->site.engine, d->site.loop, &where, err);
}

/* --- what a dead node left --- */

static void on_removed(void *arg, const struct hd_engine_answer *a)
{
    struct docker *d = arg;
    struct hd_error err;
    d->asking--;
    if (a->status == 204 || a->status == 200 || a->status == 404 || a->status == 409)
        return;
    hd_engine_fail(&err, HD_EIO, a, "removing a container that an earlier node left");
    hd_log(d->site.log, HD_WARN, "a container is left", hd_kv_str("error", err.msg));
}

static void on_list(void *arg, const struct hd_engine_answer *a)
{
    struct docker *d = arg;
    size_t i;
    json_t *item;
    struct hd_error err;
    int n = 0;
    d->asking--;
    if (a->status != 200) {
        d->reaped = false; /* with the next launch, then */
        hd_engine_fail(&err, HD_EIO, a, "looking for containers of an earlier node");
        hd_log(d->site.log, HD_DEBUG, "containers", hd_kv_str("error", err.msg));
        return;
    }
    json_array_foreach(a->json, i, item)
    {
        const json_t *labels = json_object_get(item, "Labels");
        const char *boot = json_string_value(json_object_get(labels, HD_CONTAINER_BOOT));
        const char *id = json_string_value(json_object_get(item, "Id"));
        if (id == NULL || (boot != NULL && strcmp(boot, d->boot_id) == 0) || d->closed)
            continue;
        hd_auto_free char *path = hd_printf("/containers/%s?force=1&v=1", id);
        struct hd_engine_request req = {.method = "DELETE", .path = path, .timeout_ms = CALL_MS};
        d->asking++;
        hd_engine_ask(d->site.engine, &req, on_removed, d);
        n++;
    }
    if (n > 0)
        hd_log(d->site.log, HD_WARN, "removed containers that an earlier node left behind",
               hd_kv_int("containers", n));
}

static void reap_containers(struct docker *d)
{
    if (d->reaped || d->closed)
        return;
    d->reaped = true;
    hd_auto_free char *path = hd_printf("%s%s%s", list_path, d->node_id, "%22%5D%7D");
    struct hd_engine_request req = {.method = "GET", .path = path, .timeout_ms = CALL_MS};
    d->asking++;
    hd_engine_ask(d->site.engine, &req, on_list, d);
}

static void on_reap(struct hd_timer *t)
{
    reap_containers(hd_container_of(t, struct docker, reaping));
}

/* A node that never ran a container leaves the engine alone. */
static int reap_stale(struct hd_backend *b, struct hd_error *err)
{
    struct docker *d = docker_of(b);
    hd_auto_free char *mark = hd_printf("%s/node.id", d->run_dir);
    struct hd_error why;
    (void)err;
    if (access(mark, F_OK) < 0)
        return 0;
    if (open_all(d, &why) < 0)
        hd_log(d->site.log, HD_WARN, "containers of an earlier node cannot be looked for",
               hd_kv_str("error", why.msg));
    else
        hd_timer_start(d->site.loop, &d->reaping, 0, on_reap); /* when the loop runs */
    return 0;
}

/* --- what happens to containers --- */

static void on_event(void *arg, const char *id, bool oom)
{
    struct docker *d = arg;
    hd_list_each(link, &d->site.instances)
    {
        struct hd_instance_handle *h = hd_docker_instance_of(link);
        if (hd_docker_instance_is(h, id)) {
            hd_docker_instance_ended(h, oom);
            return;
        }
    }
}

/* What does not run, although nobody heard of its end, is looked at. */
static void on_running(void *arg, const json_t *running)
{
    struct docker *d = arg;
    hd_list_each(link, &d->site.instances)
    {
        struct hd_instance_handle *h = hd_docker_instance_of(link);
        bool runs = false;
        size_t i;
        json_t *one;
        json_array_foreach(running, i, one)
        {
            const char *id = json_string_value(json_object_get(one, "Id"));
            runs = runs || (id != NULL && hd_docker_instance_is(h, id));
        }
        if (!runs)
            hd_docker_instance_ended(h, false);
    }
}

static void listen_to_engine(struct docker *d)
{
    struct hd_docker_events_options opt = {.loop = d->site.loop,
                                           .log = d->site.log,
                                           .engine = d->site.engine,
                                           .node_id = d->node_id,
                                           .on_event = on_event,
                                           .on_list = on_running,
                                           .arg = d};
    if (d->events == NULL)
        d->events = hd_docker_events_new(&opt);
}

/* --- images --- */

struct preparation {
    struct docker *docker;
    void (*progress)(void *token, const char *text);
    void (*done)(void *token, const struct hd_error *err);
    void *token;
};

static void on_progress(void *arg, const char *text)
{
    const struct preparation *p = arg;
    if (p->progress != NULL)
        p->progress(p->token, text);
}

static void on_prepared(void *arg, const json_t *image, const struct hd_error *err)
{
    struct preparation *p = arg;
    bool for_good = err != NULL && (err->code == HD_EINVAL || err->code == HD_ECANCELED);
    (void)image;
    if (err != NULL && !for_good)
        hd_log(p->docker->site.log, HD_WARN,
               "an image could not be looked for; that is done when it is needed",
               hd_kv_str("error", err->msg));
    p->done(p->token, for_good ? err : NULL);
    free(p);
}

static void on_no_engine(void *arg)
{
    on_prepared(arg, NULL, NULL);
}

void hd_docker_prepare(struct hd_backend *b, const struct hd_launch *what,
                       void (*progress)(void *token, const char *text),
                       void (*done)(void *token, const struct hd_error *err), void *token)
{
    struct docker *d = docker_of(b);
    struct hd_error err;
    struct preparation *p = hd_new(struct preparation);
    *p = (struct preparation){.docker = d, .progress = progress, .done = done, .token = token};
    if (open_all(d, &err) < 0) {
        hd_log(d->site.log, HD_WARN, "containers cannot be run now", hd_kv_str("error", err.msg));
        hd_loop_post(d->site.loop, on_no_engine, p);
        return;
    }
    struct hd_pull_request req = {.engine = d->site.engine,
                                  .ref = hd_container_image(what, d->site.images),
                                  .architecture = what->lambda->architecture,
                                  .on_progress = on_progress,
                                  .done = on_prepared,
                                  .arg = p};
    hd_pulls_want(d->site.pulls, &req);
}

void hd_docker_set_lanes(struct hd_backend *b, const char *socket)
{
    struct docker *d = docker_of(b);
    free(d->lanes_socket);
    d->lanes_socket = hd_strdup(socket);
    d->site.container.lanes_socket = d->lanes_socket;
}

void hd_docker_prepare_stop(struct hd_backend *b)
{
    hd_pulls_stop(docker_of(b)->site.pulls);
}

/* --- operations --- */

static struct hd_instance_handle *launch(struct hd_backend *b, const struct hd_launch *what,
                                         const struct hd_backend_events *events, void *owner)
{
    struct docker *d = docker_of(b);
    struct hd_error err = {0};
    int rc = d->closed ? hd_fail(&err, HD_ECANCELED, "the node is stopping") : 0;
    if (rc == 0 && what->lambda == NULL)
        rc = hd_fail(&err, HD_EINVAL, "containers run functions with Lambda semantics only");
    if (rc == 0 && d->shim_bin == NULL)
        rc =
            hd_fail(&err, HD_ENOTFOUND, "heddle-shim is not beside this program; install it there");
    if (rc == 0)
        rc = open_all(d, &err);
    if (rc == 0) {
        reap_containers(d);
        listen_to_engine(d);
    }
    return hd_docker_instance_start(&d->site, what, events, owner, rc < 0 ? &err : NULL);
}

static uint64_t rss_bytes(struct hd_instance_handle *h)
{
    return hd_cgroup_memory(hd_docker_instance_used(h));
}

static uint64_t peak_bytes(struct hd_instance_handle *h)
{
    return hd_cgroup_peak(hd_docker_instance_used(h));
}

static uint64_t cpu_us(struct hd_instance_handle *h)
{
    return hd_cgroup_cpu_us(hd_docker_instance_used(h));
}

static void docker_free(struct docker *d)
{
    if (d->site.dir.lock_fd >= 0)
        hd_rundir_close(&d->site.dir);
    for (size_t i = 0; d->images != NULL && d->images[i] != NULL; i++)
        free(d->images[i]);
    free(d->images);
    hd_pulls_free(d->site.pulls);
    hd_sight_free(d->site.sight);
    hd_net_free(d->site.net);
    free(d->host);
    free(d->certs);
    free(d->run_dir);
    free(d->runtimes_dir);
    free(d->shim_bin);
    free(d->endpoint_url);
    free(d->lanes_socket);
    free(d);
}

static void on_engine_closed(void *arg)
{
    struct docker *d = arg;
    d->on_closed(d->on_closed_arg);
    docker_free(d);
}

static void on_deaf(void *arg)
{
    struct docker *d = arg;
    hd_engine_close(d->site.engine, on_engine_closed, d);
}

static void on_closing(struct hd_timer *t)
{
    enum { LOOK_MS = 5 };
    struct docker *d = hd_container_of(t, struct docker, closing);
    if (!hd_list_empty(&d->site.instances) || d->site.tunnels > 0 || d->asking > 0 ||
        hd_sight_busy(d->site.sight) || hd_pulls_busy(d->site.pulls))
        hd_timer_start(d->site.loop, t, LOOK_MS, on_closing);
    else if (d->events != NULL)
        hd_docker_events_close(hd_steal(d->events), on_deaf, d);
    else if (d->site.engine != NULL)
        hd_engine_close(d->site.engine, on_engine_closed, d);
    else
        on_engine_closed(d);
}

static void close_backend(struct hd_backend *b, void (*done)(void *arg), void *arg)
{
    struct docker *d = docker_of(b);
    d->closed = true;
    d->on_closed = done;
    d->on_closed_arg = arg;
    hd_timer_stop(d->site.loop, &d->reaping);
    hd_pulls_stop(d->site.pulls);
    hd_list_each(link, &d->site.instances)
        hd_docker_instance_terminate(hd_docker_instance_of(link), 0);
    hd_timer_start(d->site.loop, &d->closing, 0, on_closing);
}

static void freeze(struct hd_instance_handle *h,
                   void (*done)(void *owner, const struct hd_error *err), void *owner)
{
    struct hd_docker_pause *p = hd_docker_instance_pause(h);
    if (p != NULL)
        hd_docker_pause_start(p, done, owner);
}

static int thaw(struct hd_instance_handle *h, void (*done)(void *owner, const struct hd_error *err),
                void *owner, struct hd_error *err)
{
    struct hd_docker_pause *p = hd_docker_instance_pause(h);
    (void)err; /* what goes wrong is told by done */
    return p != NULL ? hd_docker_pause_end(p, done, owner) : 0;
}

static const struct hd_backend_ops ops = {
    .name = "docker",
    .launch = launch,
    .terminate = hd_docker_instance_terminate,
    .ping = hd_docker_instance_ping,
    .freeze = freeze,
    .thaw = thaw,
    .flush_output = hd_docker_instance_flush,
    .rss_bytes = rss_bytes,
    .peak_bytes = peak_bytes,
    .cpu_us = cpu_us,
    .reap_stale = reap_stale,
    .close = close_backend,
};

const char *hd_docker_runtime_problem(const char *runtime_id, const char *architecture)
{
    struct utsname machine;
    struct hd_str id = hd_str(runtime_id);
    const char *own =
        uname(&machine) == 0 && strcmp(machine.machine, "aarch64") == 0 ? "arm64" : "x86_64";
    if (architecture != NULL && strcmp(architecture, own) != 0)
        return "This machine has another architecture than the function.";
    if (runtime_id == NULL || hd_str_starts(id, hd_str("nodejs")) ||
        hd_str_starts(id, hd_str("python")) || hd_str_starts(id, hd_str("provided")))
        return NULL;
    return "There is no host for this runtime: bring the function as a container image, or as "
           "provided.al2023 with a bootstrap.";
}

/* The most that an engine without privileges of its own can give: its own limit, which is ours, or
 * what pids there are. */
static uint64_t process_limit(void)
{
    struct rlimit own = {.rlim_max = RLIM_INFINITY};
    char text[24];
    uint64_t pids = PIDS_MAX;
    int fd = open("/proc/sys/kernel/pid_max", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
    if (fd >= 0)
        close(fd);
    if (n > 0)
        hd_str_to_u64(&pids, hd_str_trim(hd_str_n(text, (size_t)n)));
    getrlimit(RLIMIT_NPROC, &own);
    return HD_MIN((uint64_t)own.rlim_max, pids);
}

int hd_docker_new(struct hd_backend **out, const struct hd_docker_options *opt,
                  struct hd_error *err)
{
    unsigned char random[ID_BYTES];
    size_t n = 0;
    int rc = hd_container_check_images(opt->images, err);
    if (rc == 0)
        rc = hd_engine_host_check(opt->host, err);
    if (rc < 0)
        return rc;
    struct docker *d = hd_new(struct docker);
    d->base.ops = &ops;
    d->host = hd_strdup(opt->host);
    d->certs = hd_strdup(opt->certs);
    d->run_dir = hd_strdup(opt->run_dir);
    d->runtimes_dir = hd_strdup(opt->runtimes_dir);
    d->shim_bin = hd_strdup(opt->shim_bin);
    d->endpoint_url = hd_strdup(opt->endpoint_url);
    while (opt->images != NULL && opt->images[n] != NULL)
        n++;
    d->images = hd_new_array(char *, n + 1);
    for (size_t i = 0; i < n; i++)
        d->images[i] = hd_strdup(opt->images[i]);
    hd_random(random, sizeof(random));
    hd_hex(d->boot_id, random, sizeof(random));
    d->boot_id[sizeof(d->boot_id) - 1] = '\0';
    bool root = geteuid() == 0;
    d->site = (struct hd_docker_site){
        .loop = opt->loop,
        .log = opt->log,
        .dir = {.lock_fd = -1},
        .container = {.shim_bin = d->shim_bin,
                      .runtimes_dir = d->runtimes_dir,
                      .node_id = d->node_id,
                      .boot_id = d->boot_id,
                      .uid = root ? (uint32_t)HD_CONTAINER_UID : (uint32_t)geteuid(),
                      .nproc = process_limit(),
                      .gid = root ? (uint32_t)HD_CONTAINER_GID : (uint32_t)getegid()},
        .images = (const char *const *)d->images,
        .endpoint_url = d->endpoint_url,
        .credentials_key = opt->credentials_key,
        .start_timeout_ms =
            opt->start_timeout_ms > 0 ? opt->start_timeout_ms : (uint32_t)DEFAULT_START_TIMEOUT_MS};
    hd_list_init(&d->site.instances);
    struct hd_pulls_options pulls = {
        .loop = opt->loop, .log = opt->log, .policy = opt->pull, .credentials = opt->credentials};
    d->site.pulls = hd_pulls_new(&pulls);
    d->site.sight = hd_sight_new(opt->loop, opt->log, &d->site.dir, &d->site.container);
    *out = &d->base;
    return 0;
}
