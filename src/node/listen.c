#include "node/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* SO_REUSEPORT lets a second program of the same user join in silently; a socket without it finds
 * out whether somebody is there. */
static int check_free(const struct addrinfo *at)
{
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int one = 1, rc = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, at->ai_addr, at->ai_addrlen) != 0)
        rc = -errno;
    close(fd);
    return rc;
}

static int bind_to(const struct addrinfo *at)
{
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } addr;
    socklen_t len = sizeof(addr);
    if (getsockname(fd, &addr.any, &len) != 0)
        return 0;
    return ntohs(addr.any.sa_family == AF_INET6 ? addr.in6.sin6_port : addr.in4.sin_port);
}

static int explain(int rc, const char *host, uint16_t port, const char *option,
                   struct hd_error *err)
{
    if (rc == -EADDRINUSE)
        return hd_fail(err, HD_EEXIST,
                       "port %u on %s is in use; choose another with %s, or %s 0 for any", port,
                       host, option, option);
    if (rc == -EACCES)
        return hd_fail(err, HD_EDENIED,
                       "port %u on %s: permission denied; ports below 1024 need root, choose "
                       "another with %s",
                       port, host, option);
    if (rc == -EADDRNOTAVAIL)
        return hd_fail(err, HD_EINVAL, "address %s is not one of this machine; see --host", host);
    return hd_fail_sys(err, -rc, "listen on %s port %u", host, port);
}

int hd_listen_tcp(const char *host, uint16_t port, const char *option, uint16_t *bound,
                  struct hd_error *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char service[8];
    snprintf(service, sizeof(service), "%u", port);
    int rc = getaddrinfo(host, service, &hints, &found);
    if (rc != 0)
        return hd_fail(err, HD_EINVAL, "address %s: %s", host, gai_strerror(rc));
    rc = port != 0 && *bound != port ? check_free(found) : 0;
    int fd = rc == 0 ? bind_to(found) : rc;
    freeaddrinfo(found);
    if (fd < 0)
        return explain(fd, host, port, option, err);
    *bound = port_of(fd);
    return fd;
}

static bool answers(const struct sockaddr_un *addr)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool yes = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0;
    close(fd);
    return yes;
}

int hd_listen_unix(const char *path, struct hd_error *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(addr.sun_path))
        return hd_fail(err, HD_EINVAL, "socket path is longer than %zu bytes: %s",
                       sizeof(addr.sun_path) - 1, path);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return hd_fail_sys(err, errno, "socket %s", path);
    mode_t before = umask(0177);
    int rc = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
    if (rc != 0 && errno == EADDRINUSE && !answers(&addr)) {
        unlink(path);
        rc = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
    }
    int failed = rc != 0 ? errno : 0;
    umask(before);
    if (failed == 0)
        return fd;
    close(fd);
    if (failed == EADDRINUSE)
        return hd_fail(err, HD_EEXIST, "%s: another heddle answers there", path);
    return hd_fail_sys(err, failed, "socket %s", path);
}
