/* load.c - one request after the other on each of some connections, which may go to several places.
 *
 *   lambda_load SECONDS CONNECTIONS STATUS FILE PORT...
 *
 * FILE holds the bytes of the request. Connection i goes to the i-th of the ports on 127.0.0.1,
 * starting over when there are fewer. Every answer has to have that status, and to say its length.
 * Prints one line of JSON: "sent" is how many there were, the rest is of those after the first 0.2
 * s. One thread: what it takes of a core is the same for whoever is measured. */
#include "core/clock.h"
#include "core/base.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 16384, EVENTS = 64, WARM_US = 200000, LATE_US = 30000000 };

struct conn {
    int fd;
    size_t have; /* bytes in `bytes` */
    uint64_t at; /* when the request was sent */
    char bytes[ROOM];
};

struct load {
    int epoll;
    char *request;
    size_t request_len;
    char first[24]; /* of a good answer */
    size_t sent, answered;
    uint64_t counted_from, end, last; /* last: when the last one was counted */
    uint32_t *waits_us;
    size_t n, cap;
};

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "lambda_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void send_one(struct load *l, struct conn *c)
{
    c->have = 0;
    l->sent++;
    c->at = hd_clock_us();
    if (write(c->fd, l->request, l->request_len) != (ssize_t)l->request_len)
        die("write");
}

static void open_one(struct load *l, struct conn *c, uint16_t port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&at, sizeof(at)) < 0)
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll_ctl");
    send_one(l, c);
}

static void count(struct load *l, const struct conn *c, uint64_t now)
{
    if (now < l->counted_from || (now > l->end && l->n > 0)) /* one at least, however slow */
        return;
    l->last = now;
    if (l->n == l->cap) {
        l->cap = l->cap > 0 ? l->cap * 2 : 65536;
        l->waits_us = hd_realloc_array(l->waits_us, l->cap, sizeof(*l->waits_us));
    }
    l->waits_us[l->n++] = (uint32_t)(now - c->at);
}

/* @return whether the whole answer is there. */
static bool is_whole(const struct load *l, struct conn *c)
{
    static const char length[] = "\r\ncontent-length:";
    c->bytes[c->have] = '\0';
    const char *end = strstr(c->bytes, "\r\n\r\n");
    if (end == NULL)
        return false;
    const char *field = strcasestr(c->bytes, length);
    if (strncmp(c->bytes, l->first, strlen(l->first)) != 0 || field == NULL || field > end) {
        fprintf(stderr, "lambda_load: not a good answer: %s\n", c->bytes);
        exit(1);
    }
    uint64_t bytes = 0;
    struct hd_str value = hd_str_trim(
        hd_str_n(field + sizeof(length) - 1, strcspn(field + sizeof(length) - 1, "\r")));
    if (hd_str_to_u64(&bytes, value) < 0 || bytes > ROOM / 2)
        die("an answer that is too long");
    return c->have >= (size_t)(end + 4 - c->bytes) + bytes;
}

static void on_readable(struct load *l, struct conn *c)
{
    ssize_t got = read(c->fd, c->bytes + c->have, sizeof(c->bytes) - 1 - c->have);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        die("the connection broke");
    c->have += (size_t)got;
    if (!is_whole(l, c))
        return;
    l->answered++;
    uint64_t now = hd_clock_us();
    count(l, c, now);
    if (now < l->end)
        send_one(l, c);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void read_request(struct load *l, const char *file)
{
    FILE *f = fopen(file, "re");
    l->request = hd_alloc(ROOM);
    l->request_len = f != NULL ? fread(l->request, 1, ROOM, f) : 0;
    if (l->request_len == 0)
        die(file);
    fclose(f);
}

static unsigned number(const char *text)
{
    uint64_t n = 0;
    if (hd_str_to_u64(&n, hd_str(text)) < 0 || n == 0 || n > UINT16_MAX) {
        fprintf(stderr, "lambda_load: not a number: %s\n", text);
        exit(64);
    }
    return (unsigned)n;
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "usage: lambda_load SECONDS CONNECTIONS STATUS FILE PORT...\n");
        return 64;
    }
    struct load l = {.epoll = epoll_create1(EPOLL_CLOEXEC)};
    const unsigned seconds = number(argv[1]), n = number(argv[2]);
    snprintf(l.first, sizeof(l.first), "HTTP/1.1 %u ", number(argv[3]));
    read_request(&l, argv[4]);
    struct conn *all = hd_new_array(struct conn, n);
    const uint64_t begin = hd_clock_us();
    l.counted_from = begin + WARM_US;
    l.end = l.counted_from + seconds * 1000000ULL;
    for (unsigned i = 0; i < n; i++)
        open_one(&l, &all[i], (uint16_t)number(argv[5 + i % (unsigned)(argc - 5)]));
    for (uint64_t now = begin; l.answered < l.sent; now = hd_clock_us()) {
        if (now > l.end + LATE_US)
            die("an answer that does not come");
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(l.epoll, events, EVENTS, 10);
        for (int i = 0; i < ready; i++)
            on_readable(&l, events[i].data.ptr);
    }
    if (l.n == 0)
        die("no answer at all");
    qsort(l.waits_us, l.n, sizeof(*l.waits_us), by_size);
    printf("{\"sent\": %zu, \"rps\": %.1f, \"p50_us\": %u, \"p99_us\": %u}\n", l.sent,
           (double)l.n * 1e6 / (double)(HD_MAX(l.end, l.last) - l.counted_from),
           l.waits_us[l.n / 2], l.waits_us[l.n * 99 / 100]);
    return 0;
}
