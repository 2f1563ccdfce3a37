/*  accepting ─► greeting ─► serving (methods in, confirms and deliveries out) ─► dropped ─►
 * accepting One connection at a time. What is not acknowledged when it ends is delivered again. */
#include "fake_broker.h"

#include "core/base.h"
#include "core/buf.h"
#include "core/list.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAME_END = 0xce, BODY_MAX = 1 << 20, CLOSE = 1 };
#define METHOD(class, method) ((uint32_t)(class) << 16 | (method))

struct message {
    struct hd_list link;
    uint64_t tag;
    bool again;
    struct hd_buf properties; /* as they came, with their flags */
    size_t len;
    char body[];
};

struct fake_broker {
    pthread_t thread;
    int listener;
    uint16_t port;

    pthread_mutex_t lock;
    struct hd_list ready, unacked;
    struct fake_counts counts;
    enum fake_confirm confirm;
    unsigned drop_after; /* UINT32_MAX: never */
    bool babble, quit;

    /* the thread's */
    int fd;
    bool consuming, confirms;
    uint64_t next_tag, publish_seq;
    struct hd_buf in;
    struct message *coming; /* a publish whose body is not complete */
    size_t coming_left;
};

/* --- frames out --- */

static void put_int(struct hd_buf *b, uint64_t value, int bytes)
{
    while (bytes-- > 0)
        hd_buf_char(b, (char)(value >> (8 * bytes)));
}

static void put_short(struct hd_buf *b, const char *text)
{
    put_int(b, strlen(text), 1);
    hd_buf_cstr(b, text);
}

static void send_frame(struct fake_broker *b, int type, int channel, const struct hd_buf *payload)
{
    struct hd_buf out;
    hd_buf_init(&out, BODY_MAX);
    put_int(&out, (uint64_t)type, 1);
    put_int(&out, (uint64_t)channel, 2);
    put_int(&out, payload->len, 4);
    hd_buf_str(&out, hd_buf_view(payload));
    put_int(&out, FRAME_END, 1);
    for (size_t at = 0; at < out.len;) {
        ssize_t n = send(b->fd, out.ptr + at, out.len - at, MSG_NOSIGNAL);
        if (n <= 0)
            break; /* the next read says it as well */
        at += (size_t)n;
    }
    hd_buf_done(&out);
}

static void method_begin(struct hd_buf *b, uint32_t method)
{
    hd_buf_init(b, BODY_MAX);
    put_int(b, method, 4);
}

static void method_end(struct fake_broker *b, int channel, struct hd_buf *m)
{
    send_frame(b, 1, channel, m);
    hd_buf_done(m);
}

static void send_bare(struct fake_broker *b, int channel, uint32_t method)
{
    struct hd_buf m;
    method_begin(&m, method);
    method_end(b, channel, &m);
}

static void send_content(struct fake_broker *b, const struct message *msg)
{
    struct hd_buf m;
    hd_buf_init(&m, BODY_MAX);
    put_int(&m, 60, 2);
    put_int(&m, 0, 2);
    put_int(&m, msg->len, 8);
    hd_buf_str(&m, hd_buf_view(&msg->properties));
    send_frame(b, 2, 1, &m);
    hd_buf_clear(&m);
    hd_buf_str(&m, hd_str_n(msg->body, msg->len));
    send_frame(b, 3, 1, &m);
    hd_buf_done(&m);
}

static void send_confirm(struct fake_broker *b, bool ok)
{
    struct hd_buf m;
    method_begin(&m, METHOD(60, ok ? 80 : 120));
    put_int(&m, b->publish_seq, 8);
    put_int(&m, 0, 1);
    method_end(b, 1, &m);
}

/* --- the queue; under the lock --- */

static struct message *message_new(struct hd_str properties, const char *body, size_t len)
{
    struct message *m = hd_alloc(sizeof(*m) + len);
    hd_list_init(&m->link);
    m->tag = 0;
    m->again = false;
    hd_buf_init(&m->properties, 4096);
    hd_buf_str(&m->properties, properties);
    m->len = len;
    if (body != NULL)
        memcpy(m->body, body, len);
    return m;
}

static void message_free(struct message *m)
{
    if (m == NULL)
        return;
    hd_buf_done(&m->properties);
    free(m);
}

static void deliver_all(struct fake_broker *b)
{
    struct hd_list *l;
    while (b->consuming && b->counts.unacked < b->counts.prefetch &&
           (l = hd_list_pop(&b->ready)) != NULL) {
        struct message *msg = hd_container_of(l, struct message, link);
        struct hd_buf m;
        msg->tag = ++b->next_tag;
        hd_list_push(&b->unacked, &msg->link);
        b->counts.ready--;
        b->counts.unacked++;
        b->counts.delivered++;
        method_begin(&m, METHOD(60, 60));
        put_short(&m, "heddle");
        put_int(&m, msg->tag, 8);
        put_int(&m, msg->again, 1);
        put_short(&m, "");
        put_short(&m, "q");
        method_end(b, 1, &m);
        send_content(b, msg);
    }
}

static void requeue(struct fake_broker *b, struct message *m)
{
    m->again = true;
    hd_list_remove(&m->link);
    hd_list_push(&b->ready, &m->link);
    b->counts.ready++;
    b->counts.unacked--;
}

static void settle(struct fake_broker *b, uint64_t tag, unsigned *counter, bool back)
{
    hd_list_each(l, &b->unacked)
    {
        struct message *m = hd_container_of(l, struct message, link);
        if (m->tag != tag)
            continue;
        (*counter)++;
        if (back) {
            requeue(b, m);
            return;
        }
        hd_list_remove(&m->link);
        b->counts.unacked--;
        message_free(m);
        return;
    }
}

static uint64_t first_unacked(struct fake_broker *b, uint64_t tag)
{
    hd_list_each(l, &b->unacked)
    {
        struct message *m = hd_container_of(l, struct message, link);
        tag = HD_MIN(tag, m->tag);
    }
    return tag;
}

static void published(struct fake_broker *b)
{
    struct message *msg = b->coming;
    enum fake_confirm how = b->confirm;
    b->coming = NULL;
    b->publish_seq++;
    b->counts.published++;
    if (how == FAKE_RETURN) {
        struct hd_buf m;
        method_begin(&m, METHOD(60, 50));
        put_int(&m, 312, 2);
        put_short(&m, "NO_ROUTE");
        put_short(&m, "");
        put_short(&m, "q");
        method_end(b, 1, &m);
        send_content(b, msg);
    }
    if (how == FAKE_RETURN || how == FAKE_NACK) {
        message_free(msg);
    } else {
        hd_list_push(&b->ready, &msg->link);
        b->counts.ready++;
    }
    if (b->confirms && how != FAKE_SILENT)
        send_confirm(b, how != FAKE_NACK);
    if (b->drop_after != UINT32_MAX && b->drop_after > 0)
        b->drop_after--;
}

/* --- frames in; under the lock --- */

static uint64_t get_int(struct hd_str s, size_t at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes && at + (size_t)i < s.len; i++)
        value = value << 8 | (unsigned char)s.ptr[at + (size_t)i];
    return value;
}

static void tune(struct fake_broker *b)
{
    struct hd_buf m;
    method_begin(&m, METHOD(10, 30));
    put_int(&m, 1, 2);
    put_int(&m, 131072, 4);
    put_int(&m, 60, 2);
    method_end(b, 0, &m);
}

/* @return 0, or CLOSE: the client says goodbye. */
static int on_method(struct fake_broker *b, struct hd_str args, uint32_t method)
{
    struct hd_buf m;
    switch (method) {
    case METHOD(10, 11): /* start-ok */
        tune(b);
        break;
    case METHOD(10, 40): /* connection.open */
        method_begin(&m, METHOD(10, 41));
        put_short(&m, "");
        method_end(b, 0, &m);
        break;
    case METHOD(10, 50): /* connection.close */
        send_bare(b, 0, METHOD(10, 51));
        return CLOSE;
    case METHOD(20, 10): /* channel.open */
        method_begin(&m, METHOD(20, 11));
        put_int(&m, 0, 4);
        method_end(b, 1, &m);
        break;
    case METHOD(20, 40): /* channel.close */
        send_bare(b, 1, METHOD(20, 41));
        break;
    case METHOD(85, 10): /* confirm.select */
        b->confirms = true;
        send_bare(b, 1, METHOD(85, 11));
        break;
    case METHOD(50, 10): /* queue.declare */
        method_begin(&m, METHOD(50, 11));
        put_short(&m, "q");
        put_int(&m, b->counts.ready, 4);
        put_int(&m, 0, 4);
        method_end(b, 1, &m);
        break;
    case METHOD(60, 10): /* basic.qos */
        b->counts.prefetch = (unsigned)get_int(args, 4, 2);
        send_bare(b, 1, METHOD(60, 11));
        break;
    case METHOD(60, 20): /* basic.consume */
        method_begin(&m, METHOD(60, 21));
        put_short(&m, "heddle");
        method_end(b, 1, &m);
        b->consuming = true;
        break;
    case METHOD(60, 30): /* basic.cancel */
        method_begin(&m, METHOD(60, 31));
        put_short(&m, "heddle");
        method_end(b, 1, &m);
        b->consuming = false;
        break;
    case METHOD(60, 80): { /* basic.ack */
        uint64_t tag = get_int(args, 0, 8);
        uint64_t first = get_int(args, 8, 1) != 0 ? first_unacked(b, tag) : tag;
        for (uint64_t t = first; t <= tag; t++)
            settle(b, t, &b->counts.acked, false);
        break;
    }
    case METHOD(60, 120): { /* basic.nack */
        bool back = (get_int(args, 8, 1) & 2) != 0;
        settle(b, get_int(args, 0, 8), back ? &b->counts.requeued : &b->counts.rejected, back);
        break;
    }
    default: /* tune-ok, basic.publish: what follows says the rest */
        break;
    }
    return 0;
}

static int on_frame(struct fake_broker *b, int type, struct hd_str payload)
{
    if (type == 1)
        return on_method(b, hd_str_n(payload.ptr + 4, payload.len - 4),
                         (uint32_t)get_int(payload, 0, 4));
    if (type == 2) {
        b->coming_left = (size_t)get_int(payload, 4, 8);
        b->coming = message_new(hd_str_n(payload.ptr + 12, payload.len - 12), NULL, b->coming_left);
    } else if (type == 3 && b->coming != NULL) {
        size_t n = HD_MIN(payload.len, b->coming_left);
        memcpy(b->coming->body + (b->coming->len - b->coming_left), payload.ptr, n);
        b->coming_left -= n;
    }
    if (b->coming != NULL && b->coming_left == 0)
        published(b);
    return 0;
}

static int take_frames(struct fake_broker *b)
{
    struct hd_str in = hd_buf_view(&b->in);
    size_t at = 0;
    int rc = 0;
    while (rc == 0 && b->drop_after != 0 && in.len - at >= 8) {
        size_t len = (size_t)get_int(in, at + 3, 4);
        if (in.len - at < len + 8)
            break;
        rc = on_frame(b, in.ptr[at], hd_str_n(in.ptr + at + 7, len));
        at += len + 8;
    }
    hd_buf_consume(&b->in, at);
    return rc;
}

/* --- the connection --- */

static void greet(struct fake_broker *b)
{
    struct hd_buf m;
    method_begin(&m, METHOD(10, 10));
    put_int(&m, 9, 2); /* version 0-9, no properties */
    put_int(&m, 0, 4);
    put_int(&m, 5, 4);
    hd_buf_cstr(&m, "PLAIN");
    put_int(&m, 5, 4);
    hd_buf_cstr(&m, "en_US");
    method_end(b, 0, &m);
}

static bool serve_once(struct fake_broker *b)
{
    char chunk[65536];
    struct pollfd p = {.fd = b->fd, .events = POLLIN};
    ssize_t n = poll(&p, 1, 1) > 0 ? recv(b->fd, chunk, sizeof(chunk), 0) : -2;
    pthread_mutex_lock(&b->lock);
    bool on = n != 0 && n != -1 && !b->quit;
    if (n > 0) {
        hd_buf_add(&b->in, chunk, (size_t)n);
        on = on && take_frames(b) == 0;
    }
    if (on && b->babble) {
        static const char frame[] = {1, 0, 1, 0, 0, 0, 4, 'H', 'T', 'T', 'P', '!'}; /* no end */
        b->babble = false;
        on = send(b->fd, frame, sizeof(frame), MSG_NOSIGNAL) == sizeof(frame);
    }
    if (b->drop_after == 0) {
        b->drop_after = UINT32_MAX;
        on = false;
    }
    if (on)
        deliver_all(b);
    pthread_mutex_unlock(&b->lock);
    return on;
}

static void serve(struct fake_broker *b)
{
    char hello[8];
    b->consuming = b->confirms = false;
    b->publish_seq = 0;
    if (recv(b->fd, hello, sizeof(hello), MSG_WAITALL) == sizeof(hello)) {
        greet(b);
        while (serve_once(b))
            ;
    }
    close(b->fd);
    pthread_mutex_lock(&b->lock);
    hd_buf_clear(&b->in);
    message_free(b->coming);
    b->coming = NULL;
    hd_list_each(l, &b->unacked)
    {
        requeue(b, hd_container_of(l, struct message, link));
    }
    pthread_mutex_unlock(&b->lock);
}

static bool quits(struct fake_broker *b)
{
    pthread_mutex_lock(&b->lock);
    bool quit = b->quit;
    pthread_mutex_unlock(&b->lock);
    return quit;
}

static void *run(void *arg)
{
    struct fake_broker *b = arg;
    struct pollfd p = {.fd = b->listener, .events = POLLIN};
    while (!quits(b)) {
        if (poll(&p, 1, 5) <= 0)
            continue;
        b->fd = accept(b->listener, NULL, NULL);
        if (b->fd < 0)
            continue;
        pthread_mutex_lock(&b->lock);
        b->counts.connections++;
        pthread_mutex_unlock(&b->lock);
        serve(b);
    }
    return NULL;
}

/* --- from outside --- */

struct fake_broker *fake_broker_new(void)
{
    struct fake_broker *b = hd_new(struct fake_broker);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    b->drop_after = UINT32_MAX;
    hd_list_init(&b->ready);
    hd_list_init(&b->unacked);
    hd_buf_init(&b->in, (size_t)64 << 20);
    pthread_mutex_init(&b->lock, NULL);
    b->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(b->listener, (struct sockaddr *)&at, size) != 0 || listen(b->listener, 8) != 0 ||
        getsockname(b->listener, (struct sockaddr *)&at, &size) != 0 ||
        pthread_create(&b->thread, NULL, run, b) != 0)
        abort();
    b->port = ntohs(at.sin_port);
    return b;
}

static void drop_all(struct hd_list *list)
{
    struct hd_list *l;
    while ((l = hd_list_pop(list)) != NULL)
        message_free(hd_container_of(l, struct message, link));
}

void fake_broker_free(struct fake_broker *b)
{
    pthread_mutex_lock(&b->lock);
    b->quit = true;
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    close(b->listener);
    drop_all(&b->ready);
    drop_all(&b->unacked);
    hd_buf_done(&b->in);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

uint16_t fake_broker_port(const struct fake_broker *b)
{
    return b->port;
}

void fake_broker_confirm(struct fake_broker *b, enum fake_confirm how)
{
    pthread_mutex_lock(&b->lock);
    b->confirm = how;
    pthread_mutex_unlock(&b->lock);
}

void fake_broker_drop_after(struct fake_broker *b, unsigned publishes)
{
    pthread_mutex_lock(&b->lock);
    b->drop_after = publishes;
    pthread_mutex_unlock(&b->lock);
}

void fake_broker_babble(struct fake_broker *b)
{
    pthread_mutex_lock(&b->lock);
    b->babble = true;
    pthread_mutex_unlock(&b->lock);
}

void fake_broker_put(struct fake_broker *b, const char *body)
{
    pthread_mutex_lock(&b->lock);
    hd_list_push(&b->ready, &message_new(hd_str_n("\0\0", 2), body, strlen(body))->link);
    b->counts.ready++;
    pthread_mutex_unlock(&b->lock);
}

struct fake_counts fake_broker_counts(struct fake_broker *b)
{
    pthread_mutex_lock(&b->lock);
    struct fake_counts counts = b->counts;
    pthread_mutex_unlock(&b->lock);
    return counts;
}
