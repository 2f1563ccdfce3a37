/* doctor_place.c - port, folders and disk. */
#include "cli/doctor.h"
#include "node/database.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

static const uint64_t mib = 1024 * 1024;

/* @return 0, or the errno of binding there; -1: the address means nothing here. */
static int try_bind(const char *host, uint16_t port)
{
    char service[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV | AI_NUMERICHOST};
    struct addrinfo *found = NULL;
    snprintf(service, sizeof(service), "%u", port);
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return -1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    int problem = 0;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, 1) < 0)
        problem = errno;
    if (fd >= 0)
        close(fd);
    freeaddrinfo(found);
    return problem;
}

/* Whether a node answers on its admin socket: then the port is its own. */
static bool node_runs(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    bool runs = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
    if (fd >= 0)
        close(fd);
    return runs;
}

/* @param what   the listener; @param flags  "--" what sets its host and port. */
static void check_port(struct hd_findings *f, const char *what, const char *flags, const char *host,
                       uint16_t port, const char *admin_socket)
{
    int problem = try_bind(host, port);
    if (problem == 0)
        hd_findings_add(f, what, HD_HEALTH_GOOD, hd_printf("%s port %u is free", host, port), NULL);
    else if (problem == EADDRINUSE && node_runs(admin_socket))
        hd_findings_add(f, what, HD_HEALTH_GOOD, hd_printf("%s port %u: a node runs", host, port),
                        NULL);
    else if (problem == EADDRINUSE)
        hd_findings_add(
            f, what, HD_HEALTH_BAD, hd_printf("%s port %u is taken by another program", host, port),
            hd_printf("ss -ltnp 'sport = :%u'   shows which; or use %sport 0", port, flags));
    else if (problem == EACCES)
        hd_findings_add(f, what, HD_HEALTH_BAD, hd_printf("port %u is for root only", port),
                        hd_printf("sysctl -w net.ipv4.ip_unprivileged_port_start=%u, or use a "
                                  "port above 1023",
                                  port));
    else
        hd_findings_add(f, what, HD_HEALTH_BAD,
                        hd_printf("%s is not an address of this machine", host),
                        hd_printf("%shost 127.0.0.1, or %shost 0.0.0.0 for all", flags, flags));
}

/* The nearest folder above @p path that exists, for the caller to free. */
static char *existing(const char *path)
{
    char *at = hd_strdup(path);
    while (access(at, F_OK) < 0) {
        char *slash = strrchr(at, '/');
        if (slash == NULL || slash == at) {
            free(at);
            return hd_strdup("/");
        }
        *slash = '\0';
    }
    return at;
}

static void check_data_dir(struct hd_findings *f, const struct hd_node_options *opt)
{
    hd_auto_free char *there = existing(opt->data_dir);
    struct stat st;
    struct statvfs disk;
    if (stat(there, &st) < 0 || !S_ISDIR(st.st_mode) || access(there, W_OK | X_OK) < 0) {
        hd_findings_add(f, "data folder", HD_HEALTH_BAD, hd_printf("%s cannot be written", there),
                        hd_printf("chown %u %s, or use --data-dir", (unsigned)getuid(), there));
        return;
    }
    hd_findings_add(f, "data folder", HD_HEALTH_GOOD, hd_strdup(opt->data_dir), NULL);
    if (statvfs(there, &disk) < 0)
        return;
    uint64_t bytes = (uint64_t)disk.f_bavail * disk.f_frsize, left = bytes / mib;
    bool little = left < 512;
    hd_findings_add(f, "disk",
                    left < 64 ? HD_HEALTH_BAD
                    : little  ? HD_HEALTH_NOTE
                              : HD_HEALTH_GOOD,
                    hd_printf("%llu MiB left", (unsigned long long)left),
                    little ? hd_printf("make room: du -xh %s | sort -h | tail", there) : NULL);
}

static void check_database(struct hd_findings *f, const struct hd_node_options *opt)
{
    struct hd_error err = {0};
    hd_auto_free char *path = hd_node_database_path(opt);
    int rc = hd_node_database_check(opt, &err);
    if (rc == HD_ENOTFOUND)
        return; /* made by the first start */
    if (rc == 0)
        hd_findings_add(f, "database", HD_HEALTH_GOOD, hd_strdup(path), NULL);
    else
        hd_findings_add(f, "database", HD_HEALTH_BAD, hd_strdup(err.msg),
                        rc == HD_EINVAL ? hd_printf("mv %s %s.bad   and put a copy there, or "
                                                    "begin without",
                                                    path, path)
                                        : NULL);
}

static void check_functions(struct hd_findings *f, const struct hd_node_options *opt)
{
    struct hd_error err = {0};
    if (hd_node_options_check_functions(opt, &err) == 0)
        hd_findings_add(f, "functions", HD_HEALTH_GOOD, hd_strdup(opt->functions_dir), NULL);
    else
        hd_findings_add(f, "functions", HD_HEALTH_NOTE, hd_strdup(err.msg),
                        hd_strdup("heddle init, or heddle serve DIR"));
}

void hd_doctor_place(struct hd_findings *f, const struct hd_node_options *opt)
{
    check_functions(f, opt);
    check_data_dir(f, opt);
    check_database(f, opt);
    check_port(f, "port", "--", opt->host, opt->port, opt->admin_socket);
    check_port(f, "control port", "--control-", opt->control_host, opt->control_port,
               opt->admin_socket);
}
