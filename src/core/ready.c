#include "core/ready.h"

#include <errno.h>
#include <unistd.h>

enum { ROUNDS = 4 /* batches in one turn, before timers and posts have theirs */ };

static void run_later(struct hd_ready *r)
{
    struct hd_list due, *item;
    if (hd_list_empty(&r->later))
        return;
    /* What is asked for meanwhile waits for the next time. */
    hd_list_init(&due);
    while ((item = hd_list_pop(&r->later)) != NULL)
        hd_list_push(&due, item);
    while ((item = hd_list_pop(&due)) != NULL) {
        struct hd_later *l = hd_container_of(item, struct hd_later, link);
        l->link.next = l->link.prev = NULL;
        l->fn(l);
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct hd_ready *r = prepare->data;
    while (!hd_list_empty(&r->later))
        run_later(r);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct hd_ready *r = poll->data;
    (void)status;
    (void)events;
    for (int round = 0; round < ROUNDS; round++) {
        r->n = epoll_wait(r->epoll_fd, r->batch, HD_READY_BATCH, 0);
        for (r->at = 0; r->at < r->n; r->at++) {
            struct hd_watched *w = r->batch[r->at].data.ptr;
            if (w != NULL)
                w->on_ready(w, r->batch[r->at].events);
        }
        bool more = r->n == HD_READY_BATCH;
        r->n = 0;
        run_later(r);
        if (!more)
            break;
    }
}

int hd_ready_init(struct hd_ready *r, uv_loop_t *loop)
{
    hd_list_init(&r->later);
    r->n = 0;
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (r->epoll_fd < 0)
        return -errno;
    int rc = uv_poll_init(loop, &r->poll, r->epoll_fd);
    if (rc != 0) {
        close(r->epoll_fd);
        return rc;
    }
    uv_prepare_init(loop, &r->prepare); /* these two cannot fail */
    uv_prepare_start(&r->prepare, on_prepare);
    uv_poll_start(&r->poll, UV_READABLE, on_poll);
    uv_unref((uv_handle_t *)&r->poll);
    uv_unref((uv_handle_t *)&r->prepare);
    r->poll.data = r;
    r->prepare.data = r;
    return 0;
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct hd_ready *r = handle->data;
    close(r->epoll_fd);
}

void hd_ready_close(struct hd_ready *r)
{
    on_prepare(&r->prepare);
    uv_close((uv_handle_t *)&r->prepare, NULL);
    uv_close((uv_handle_t *)&r->poll, on_poll_closed);
}

static int watch(struct hd_ready *r, struct hd_watched *w, int fd, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = w};
    if (epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &e) != 0)
        return -errno;
    w->fd = fd;
    return 0;
}

enum { EVERYTHING = (int)(EPOLLIN | EPOLLOUT | EPOLLRDHUP) };

int hd_ready_watch(struct hd_ready *r, struct hd_watched *w, int fd)
{
    return watch(r, w, fd, (uint32_t)EVERYTHING | EPOLLET);
}

int hd_ready_watch_listener(struct hd_ready *r, struct hd_watched *w, int fd)
{
    return watch(r, w, fd, EPOLLIN);
}

void hd_ready_again(struct hd_ready *r, struct hd_watched *w)
{
    struct epoll_event e = {.events = (uint32_t)EVERYTHING | EPOLLET, .data.ptr = w};
    if (w->fd >= 0)
        epoll_ctl(r->epoll_fd, EPOLL_CTL_MOD, w->fd, &e);
}

void hd_ready_stop(struct hd_ready *r, struct hd_watched *w)
{
    if (w->fd < 0)
        return;
    epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    w->fd = -1;
    /* It may stand further on in the batch that is being handed out. */
    for (int i = r->at + 1; i < r->n; i++) {
        if (r->batch[i].data.ptr == w)
            r->batch[i].data.ptr = NULL;
    }
}

void hd_ready_later(struct hd_ready *r, struct hd_later *l, void (*fn)(struct hd_later *l))
{
    l->fn = fn;
    if (l->link.next == NULL)
        hd_list_push(&r->later, &l->link);
}
