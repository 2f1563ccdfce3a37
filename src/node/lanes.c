/* The lanes of a node: read from heddle.yml, given functions to run, opened with the doors, and
 * ended before what they use. Functions get the address and a token in their environment. */
#include "core/exit.h"
#include "core/id.h"
#include "functions/file.h"
#include "functions/strings.h"
#include "lanes/api.h"
#include "node/listen.h"
#include "node/private.h"
#include "pool/docker/backend.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct hd_node_lanes {
    struct hd_node *node;
    struct hd_lanes *lanes;
    struct hd_lane_api *apis[HD_NODE_LOOPS_MAX];
    int fds[HD_NODE_LOOPS_MAX]; /* of the functions' listener; -1: given away */
    int near_fd;                /* that of those in containers; same */
    char *near_path;            /* where that is; NULL: there is none */
    unsigned n_apis, open;
    uint16_t port;
    unsigned char secret[HD_LANE_SECRET_BYTES];
    struct hd_loop *loops[HD_NODE_LOOPS_MAX];
    struct hd_net *nets[HD_NODE_LOOPS_MAX];
    struct hd_caller *callers[HD_NODE_LOOPS_MAX];
    bool started, cooling, cooled, failed;
    void (*then)(void *node);
};

/* --- making --- */

static int read_topology(struct hd_topology **out, const struct hd_node *n, struct hd_error *err)
{
    struct hd_buf text;
    if (n->opt->config == NULL)
        return 0;
    hd_buf_init(&text, HD_OPTION_FILE_MAX);
    int rc = hd_file_read(&text, n->opt->config, NULL, err);
    if (rc == 0)
        rc = hd_topology_read(out, n->opt->config, hd_buf_view(&text), n->env, NULL, NULL, err);
    hd_buf_done(&text);
    if (rc == 0 && !(*out)->given) {
        hd_topology_free(*out);
        *out = NULL;
    }
    return rc;
}

static int make_listeners(void *arg, int *fds, unsigned count, const char *host, uint16_t *port,
                          struct hd_error *err)
{
    (void)arg;
    for (unsigned i = 0; i < count; i++) {
        fds[i] = hd_listen_tcp(host, *port, "lanes.exposure.http.listen", port, err);
        if (fds[i] >= 0)
            continue;
        int rc = fds[i];
        while (i-- > 0)
            close(fds[i]);
        return rc;
    }
    return 0;
}

static int make_apis(struct hd_node_lanes *l, struct hd_error *err)
{
    struct hd_node *n = l->node;
    int rc = make_listeners(NULL, l->fds, n->n_workers, "127.0.0.1", &l->port, err);
    for (unsigned i = 0; i < n->n_workers && rc == 0; i++) {
        struct hd_lane_api_options opt = {.net = n->workers[i].net,
                                          .loop_index = i,
                                          .lanes = l->lanes,
                                          .store = n->store,
                                          .secret = l->secret,
                                          .alive = n->alive};
        rc = hd_lane_api_new(&l->apis[i], &opt, err);
        l->n_apis += rc == 0;
    }
    return rc;
}

/* A variable of the function's own stays. @param pair  taken over. */
static void add_missing(struct hd_strings *env, char *pair)
{
    size_t len = strcspn(pair, "=") + 1;
    for (size_t i = 0; i < env->n; i++) {
        if (strncmp(env->items[i], pair, len) != 0)
            continue;
        explicit_bzero(pair, strlen(pair));
        free(pair);
        return;
    }
    hd_strings_take(env, pair);
}

static char *address(const struct hd_node *n)
{
    return hd_printf("HEDDLE_LANES_URL=http://127.0.0.1:%u", n->lanes->port);
}

/* Functions of the Lambda API that are processes need the address as well. */
static void lambda_env(void *arg, const char *function, struct hd_strings *env)
{
    const struct hd_node *n = arg;
    (void)function;
    if (n->lanes->port != 0)
        add_missing(env, address(n));
}

void hd_node_lanes_token(const struct hd_node *n, const struct hd_launch *what,
                         struct hd_strings *env)
{
    char token[HD_LANE_TOKEN_MAX];
    if (n->lanes == NULL || n->lanes->port == 0)
        return;
    hd_lane_api_token(token, n->lanes->secret, what->function, what->instance);
    add_missing(env, hd_printf("HEDDLE_LANES_TOKEN=%s", token));
    explicit_bzero(token, sizeof(token));
}

/* Containers have no network: they come by a socket that is mounted into them. */
static void listen_near(struct hd_node_lanes *l)
{
    struct hd_node *n = l->node;
    struct hd_error err;
    if (n->docker == NULL)
        return;
    hd_auto_free char *path = hd_printf("%s/lanes.sock", n->opt->data_dir);
    l->near_fd = hd_listen_unix(path, &err);
    if (l->near_fd >= 0 && chmod(path, 0666) == 0) { /* what counts is the token */
        l->near_path = hd_steal(path);
        hd_docker_set_lanes(n->docker, l->near_path);
    } else {
        hd_log(n->log, HD_WARN, "functions in containers cannot reach the lanes",
               hd_kv_str("error", l->near_fd < 0 ? err.msg : strerrordesc_np(errno)));
    }
}

int hd_node_lanes(struct hd_node *n, struct hd_error *err)
{
    struct hd_topology *t = NULL;
    int rc = read_topology(&t, n, err);
    if (rc < 0 || t == NULL)
        return rc;
    struct hd_node_lanes *l = hd_new(struct hd_node_lanes);
    n->lanes = l;
    l->node = n;
    hd_random(l->secret, sizeof(l->secret));
    l->near_fd = -1;
    for (unsigned i = 0; i < n->n_workers; i++) {
        l->loops[i] = n->workers[i].loop;
        l->nets[i] = n->workers[i].net;
        l->callers[i] = n->workers[i].caller;
        l->fds[i] = -1;
    }
    hd_auto_free char *files = hd_printf("%s/files", n->opt->data_dir);
    struct hd_lanes_options opt = {.topology = t,
                                   .loops = l->loops,
                                   .nets = l->nets,
                                   .callers = l->callers,
                                   .n_loops = n->n_workers,
                                   .targets = hd_node_targets(n),
                                   .store = n->store,
                                   .log = n->log,
                                   .files_dir = files,
                                   .listen = make_listeners};
    n->edge.span_level = t->debug ? HD_INFO : HD_DEBUG;
    hd_process_set_env(n->backend, lambda_env, n);
    rc = hd_lanes_new(&l->lanes, &opt, err);
    if (rc == 0)
        rc = make_apis(l, err);
    if (rc == 0)
        listen_near(l);
    return rc;
}

char **hd_node_lanes_env(const struct hd_node *n, char *const *env)
{
    size_t count = 0;
    while (env != NULL && env[count] != NULL)
        count++;
    char **all = hd_new_array(char *, count + 2);
    for (size_t i = 0; i < count; i++)
        all[i] = hd_strdup(env[i]);
    if (n->lanes != NULL && n->lanes->port != 0)
        all[count] = address(n);
    return all;
}

void hd_node_lanes_env_free(char **env)
{
    for (size_t i = 0; env[i] != NULL; i++)
        free(env[i]);
    free(env);
}

/* --- starting --- */

struct opening {
    struct hd_node_lanes *lanes;
    unsigned loop;
};

static void open_api(void *arg)
{
    struct opening *o = arg;
    struct hd_node_lanes *l = o->lanes;
    struct hd_error err;
    int fd = l->fds[o->loop];
    l->fds[o->loop] = -1;
    if (hd_lane_api_listen_fd(l->apis[o->loop], fd, &err) < 0)
        hd_log(l->node->log, HD_ERROR, "functions cannot reach the lanes",
               hd_kv_str("error", err.msg));
    int near = o->loop == 0 ? l->near_fd : -1;
    if (near >= 0)
        l->near_fd = -1;
    if (near >= 0 && hd_lane_api_listen_fd(l->apis[0], near, &err) < 0)
        hd_log(l->node->log, HD_ERROR, "functions in containers cannot reach the lanes",
               hd_kv_str("error", err.msg));
    free(o);
}

void hd_node_lanes_start(struct hd_node *n)
{
    struct hd_node_lanes *l = n->lanes;
    struct hd_error err;
    if (l == NULL || l->started)
        return;
    l->started = true;
    for (unsigned i = 0; i < l->n_apis; i++) {
        struct opening *o = hd_new(struct opening);
        *o = (struct opening){.lanes = l, .loop = i};
        hd_loop_post(l->loops[i], open_api, o);
    }
    if (hd_lanes_start(l->lanes, &err) < 0) {
        n->failure = err;
        n->exit_code = HD_EXIT_FAILED;
        hd_node_shutdown(n, "the lanes' exposure cannot listen");
    }
}

struct hd_lanes *hd_node_lanes_of(const struct hd_node *n)
{
    return n->lanes != NULL ? n->lanes->lanes : NULL;
}

uint16_t hd_node_lanes_port(const struct hd_node *n)
{
    return n->lanes != NULL ? hd_lanes_port(n->lanes->lanes) : 0;
}

/* --- what others ask of it; control loop --- */

bool hd_node_lanes_request(struct hd_node *n, struct hd_exchange *ex, const struct hd_head *head,
                           struct hd_str body, bool end)
{
    if (n->lanes == NULL || n->lanes->n_apis == 0 || !hd_lane_api_is_path(head->path))
        return false;
    hd_lane_api_admin(n->lanes->apis[0], ex, head, body, end);
    return true;
}

void hd_node_lanes_metrics(struct hd_node *n, struct hd_buf *out)
{
    if (n->lanes != NULL)
        hd_lanes_metrics(n->lanes->lanes, out);
}

/* --- the end --- */

static void on_cooled(void *arg)
{
    struct hd_node_lanes *l = arg;
    l->cooled = true;
    if (l->then != NULL)
        hd_node_lanes_close(l->node, l->then);
}

void hd_node_lanes_cooldown(struct hd_node *n)
{
    struct hd_node_lanes *l = n->lanes;
    if (l == NULL || l->lanes == NULL || l->cooling)
        return;
    l->cooling = true;
    hd_lanes_cooldown(l->lanes, on_cooled, l);
}

static void on_closed(void *arg)
{
    struct hd_node_lanes *l = arg;
    l->then(l->node);
}

static void api_gone(void *arg)
{
    struct hd_node_lanes *l = arg;
    if (--l->open == 0)
        hd_lanes_close(l->lanes, on_closed, l);
}

static void on_api_closed(void *arg)
{
    struct hd_node_lanes *l = arg;
    hd_loop_post(l->loops[0], api_gone, l);
}

static void close_api(void *arg)
{
    struct opening *o = arg;
    hd_lane_api_close(o->lanes->apis[o->loop], on_api_closed, o->lanes);
    free(o);
}

void hd_node_lanes_close(struct hd_node *n, void (*then)(void *node))
{
    struct hd_node_lanes *l = n->lanes;
    if (l == NULL || l->lanes == NULL) {
        then(n);
        return;
    }
    l->then = then;
    hd_node_lanes_cooldown(n);
    if (!l->cooled)
        return; /* on_cooled() goes on */
    l->open = l->n_apis + 1;
    for (unsigned i = 0; i < l->n_apis; i++) {
        struct opening *o = hd_new(struct opening);
        *o = (struct opening){.lanes = l, .loop = i};
        hd_loop_post(l->loops[i], close_api, o);
    }
    hd_loop_post(l->loops[0], api_gone, l);
}

void hd_node_lanes_done(struct hd_node *n)
{
    struct hd_node_lanes *l = n->lanes;
    if (l == NULL)
        return;
    for (unsigned i = 0; i < l->n_apis; i++)
        hd_lane_api_free(l->apis[i]);
    for (unsigned i = 0; i < n->n_workers; i++) {
        if (l->fds[i] >= 0)
            close(l->fds[i]);
    }
    if (l->near_fd >= 0)
        close(l->near_fd);
    if (l->near_path != NULL)
        unlink(l->near_path);
    free(l->near_path);
    hd_lanes_free(l->lanes);
    explicit_bzero(l->secret, sizeof(l->secret));
    free(l);
    n->lanes = NULL;
}
