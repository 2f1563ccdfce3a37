/* socket_bootstrap.c - a runtime of its own, for test_shim_clients.py: one socket and the fewest
 * bytes that are HTTP. Each event is answered with {"bytes": its length}. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static char bytes[8 << 20];
static size_t have;

static int connect_to(const char *api)
{
    char ip[64];
    const char *colon = strchr(api, ':');
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
    snprintf(ip, sizeof(ip), "%.*s", (int)(colon - api), api);
    inet_pton(AF_INET, ip, &a.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
        _exit(70);
    return fd;
}

static void need(int fd, size_t n)
{
    while (have < n) {
        ssize_t got = read(fd, bytes + have, sizeof(bytes) - have - 1);
        if (got <= 0)
            _exit(71);
        have += (size_t)got;
    }
    bytes[have] = '\0';
}

/* Read one answer: the head's length, and the body's. */
static size_t answer(int fd, size_t *body)
{
    const char *end, *length;
    do
        need(fd, have + 1);
    while ((end = strstr(bytes, "\r\n\r\n")) == NULL);
    size_t head = (size_t)(end - bytes) + 4;
    length = strcasestr(bytes, "\r\ncontent-length:");
    *body = length != NULL ? strtoul(length + 17, NULL, 10) : 0;
    need(fd, head + *body);
    return head;
}

static void used(size_t n)
{
    memmove(bytes, bytes + n, have - n);
    have -= n;
}

int main(void)
{
    const char *api = getenv("AWS_LAMBDA_RUNTIME_API");
    int fd = connect_to(api != NULL ? api : ":");
    for (;;) {
        char id[80] = "", text[64];
        size_t body, head;
        dprintf(fd, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: %s\r\n\r\n", api);
        head = answer(fd, &body);
        const char *field = strcasestr(bytes, "\r\nlambda-runtime-aws-request-id:");
        if (field == NULL || sscanf(field + 32, " %79[^\r]", id) != 1)
            return 72;
        used(head + body);
        int n = snprintf(text, sizeof(text), "{\"bytes\":%zu}", body);
        dprintf(fd,
                "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: %s\r\n"
                "Content-Length: %d\r\n\r\n%s",
                id, api, n, text);
        head = answer(fd, &body);
        used(head + body);
    }
}
