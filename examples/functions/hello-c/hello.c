/* hello.c - any program can be a function: this one serves HTTP on the Unix socket that
 * HEDDLE_SOCKET names, or on the TCP port in PORT. One thread a connection; the gateway keeps
 * connections open. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { HEAD_MAX = 65536, BODY_MAX = 1 << 20 };

static int send_all(int fd, const char *data, size_t n)
{
    while (n > 0) {
        const ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return -1;
        data += sent;
        n -= (size_t)sent;
    }
    return 0;
}

/* The number in a Content-Length field of the head, 0 without one, or -1: too much for us. */
static long content_length(const char *head)
{
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, "content-length:", 15) == 0) {
            const long n = strtol(line + 17, NULL, 10);
            return n >= 0 && n <= BODY_MAX ? n : -1;
        }
        if (strncasecmp(line + 2, "transfer-encoding:", 18) == 0)
            return -1;
    }
    return 0;
}

static int answer(int fd, const char *head)
{
    char target[200] = "/", body[300], all[600];
    (void)sscanf(head, "%*15s %199s", target);
    target[strcspn(target, "?\"\\")] = '\0'; /* what is left needs no escape in JSON */
    const int n =
        snprintf(body, sizeof(body), "{\"message\":\"Hello from C!\",\"path\":\"%s\"}\n", target);
    const int total = snprintf(all, sizeof(all),
                               "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                               "Content-Length: %d\r\n\r\n%s",
                               n, strncmp(head, "HEAD ", 5) == 0 ? "" : body);
    return send_all(fd, all, (size_t)total);
}

static void *serve(void *arg)
{
    const int fd = (int)(intptr_t)arg;
    char *buf = malloc(HEAD_MAX + 1);
    size_t have = 0;
    while (buf != NULL) {
        buf[have] = '\0';
        char *end = strstr(buf, "\r\n\r\n");
        if (end == NULL) {
            const ssize_t got = have < HEAD_MAX ? recv(fd, buf + have, HEAD_MAX - have, 0) : 0;
            if (got <= 0)
                break;
            have += (size_t)got;
            continue;
        }
        end[2] = '\0';
        long body = content_length(buf);
        if (body < 0) {
            static const char too_much[] = "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n"
                                           "Content-Length: 0\r\n\r\n";
            send_all(fd, too_much, sizeof(too_much) - 1);
            break;
        }
        if (answer(fd, buf) < 0)
            break;
        size_t used = (size_t)(end + 4 - buf);
        const size_t here = have - used < (size_t)body ? have - used : (size_t)body;
        used += here;
        body -= (long)here;
        memmove(buf, buf + used, have - used);
        have -= used;
        while (body > 0) { /* nobody wants the rest of the body */
            const ssize_t got = recv(fd, buf, body < HEAD_MAX ? (size_t)body : HEAD_MAX, 0);
            if (got <= 0)
                break;
            body -= got;
        }
        if (body > 0)
            break;
    }
    free(buf);
    close(fd);
    return NULL;
}

static int listen_somewhere(void)
{
    const char *path = getenv("HEDDLE_SOCKET"), *port = getenv("PORT");
    if (path != NULL) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        if (strlen(path) >= sizeof(at.sun_path))
            return -1;
        memcpy(at.sun_path, path, strlen(path));
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        umask(0177); /* the socket is for the gateway alone */
        return bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 128) < 0 ? -1 : fd;
    }
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    at.sin_port = htons((uint16_t)strtoul(port != NULL ? port : "8000", NULL, 10));
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    return bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 128) < 0 ? -1 : fd;
}

int main(void)
{
    const int listener = listen_somewhere();
    if (listener < 0) {
        perror("hello-c: cannot listen on HEDDLE_SOCKET or PORT");
        return 1;
    }
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (;;) {
        const int fd = accept(listener, NULL, NULL);
        pthread_t thread;
        if (fd >= 0 && pthread_create(&thread, &detached, serve, (void *)(intptr_t)fd) != 0)
            close(fd);
    }
}
