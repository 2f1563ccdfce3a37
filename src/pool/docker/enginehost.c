#include "pool/docker/enginehost.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PORT_PLAIN = 2375, PORT_TLS = 2376 };

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* --- sockets --- */

/* @return 0: somebody listens there; or an errno. */
static int knock(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(a.sun_path))
        return ENAMETOOLONG;
    memcpy(a.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int sys = fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return sys == EAGAIN ? 0 : sys;
}

static int refused(struct hd_error *err, const char *path, int sys)
{
    const char *what = "is something wrong with it?";
    if (sys == EACCES || sys == EPERM)
        what = "this user may not use it: add it to the group that owns the socket (docker), or "
               "run the engine rootless";
    else if (sys == ENOENT)
        what = "is Docker or Podman installed, and its service started?";
    else if (sys == ECONNREFUSED)
        what = "its service does not run: start it";
    return hd_fail(err, sys == EACCES || sys == EPERM ? HD_EDENIED : HD_EIO,
                   "cannot reach the Docker socket %s: %s: %s", path, strerrordesc_np(sys), what);
}

static int take_socket(struct hd_engine_host *out, const char *path)
{
    int sys = knock(path);
    if (sys != 0)
        return sys;
    out->socket = hd_strdup(path);
    out->base = hd_strdup("http://docker");
    return 0;
}

static int find_usual(struct hd_engine_host *out, struct hd_error *err)
{
    const char *user = variable("XDG_RUNTIME_DIR");
    hd_auto_free char *docker = hd_printf("%s/docker.sock", user != NULL ? user : "");
    hd_auto_free char *podman = hd_printf("%s/podman/podman.sock", user != NULL ? user : "");
    const char *places[] = {"/var/run/docker.sock", docker, podman, "/run/podman/podman.sock"};
    const char *near = places[0];
    int why = ENOENT;
    for (size_t i = 0; i < HD_COUNT(places); i++) {
        int sys = take_socket(out, places[i]);
        if (sys == 0)
            return 0;
        if (why == ENOENT && sys != ENOENT) { /* one that is there says more */
            why = sys;
            near = places[i];
        }
    }
    return refused(err, near, why);
}

/* --- TCP --- */

static int take_certs(struct hd_engine_host *out, const char *set, struct hd_error *err)
{
    const char *dir = set != NULL ? set : variable("DOCKER_CERT_PATH");
    const char *home = variable("HOME");
    hd_auto_free char *own = hd_printf("%s/.docker", home != NULL ? home : "");
    if (dir == NULL && variable("DOCKER_TLS_VERIFY") != NULL)
        dir = own;
    if (dir == NULL)
        return 0;
    out->tls = true;
    out->ca = hd_printf("%s/ca.pem", dir);
    out->cert = hd_printf("%s/cert.pem", dir);
    out->key = hd_printf("%s/key.pem", dir);
    const char *const files[] = {out->ca, out->cert, out->key};
    for (size_t i = 0; i < HD_COUNT(files); i++)
        if (access(files[i], R_OK) < 0)
            return hd_fail_sys(err, errno, "TLS to the container engine: %s", files[i]);
    return 0;
}

static int take_tcp(struct hd_engine_host *out, const char *host, const char *certs,
                    struct hd_error *err)
{
    const char *at = host + strlen("tcp://");
    const char *last = strrchr(at, ':'), *bracket = strrchr(at, ']');
    int rc = take_certs(out, certs, err);
    if (rc < 0)
        return rc;
    bool has_port = last != NULL && (bracket == NULL || bracket < last);
    const char *scheme = out->tls ? "https" : "http";
    size_t len = strlen(at);
    if (len > 0 && at[len - 1] == '/')
        len--;
    out->base = has_port ? hd_printf("%s://%.*s", scheme, (int)len, at)
                         : hd_printf("%s://%.*s:%d", scheme, (int)len, at,
                                     out->tls ? (int)PORT_TLS : (int)PORT_PLAIN);
    return 0;
}

/* --- both --- */

int hd_engine_host_check(const char *host, struct hd_error *err)
{
    static const char names[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                ".-_:[]";
    if (host == NULL || host[0] == '\0')
        return 0;
    if (strncmp(host, "unix:///", 8) == 0 && host[8] != '\0')
        return 0;
    size_t len = strncmp(host, "tcp://", 6) == 0 ? strspn(host + 6, names) : 0;
    if (len > 0 && (host[6 + len] == '\0' || strcmp(host + 6 + len, "/") == 0))
        return 0;
    return hd_fail(err, HD_EINVAL,
                   "Docker host %.100s: must be unix:///path/to/socket or tcp://host:port", host);
}

int hd_engine_host_find(struct hd_engine_host *out, const struct hd_engine_where *where,
                        struct hd_error *err)
{
    const char *host =
        where->host != NULL && where->host[0] != '\0' ? where->host : variable("DOCKER_HOST");
    *out = (struct hd_engine_host){.tls = false};
    int rc = hd_engine_host_check(host, err), sys;
    if (rc < 0)
        return rc;
    if (host == NULL)
        rc = find_usual(out, err);
    else if (strncmp(host, "tcp://", 6) == 0)
        rc = take_tcp(out, host, where->certs, err);
    else if ((sys = take_socket(out, host + strlen("unix://"))) != 0)
        rc = refused(err, host + strlen("unix://"), sys);
    if (rc < 0)
        hd_engine_host_done(out);
    return rc;
}

void hd_engine_host_done(struct hd_engine_host *h)
{
    free(h->socket);
    free(h->base);
    free(h->ca);
    free(h->cert);
    free(h->key);
    *h = (struct hd_engine_host){.tls = false};
}

const struct hd_fetch_tls *hd_engine_host_tls(const struct hd_engine_host *h,
                                              struct hd_fetch_tls *room)
{
    if (!h->tls)
        return NULL;
    *room = (struct hd_fetch_tls){.ca = h->ca, .cert = h->cert, .key = h->key};
    return room;
}
