/* core/ready.h - edge-triggered readiness of sockets, and work for the end of the turn.
 *
 * libuv watches files level-triggered: each one is looked at again until it is found idle, and each
 * change of interest is a system call. A socket here is registered once for everything, and told of
 * once when something changes. See doc/adr/0006. Loop thread only. */
#pragma once

#include "core/list.h"

#include <sys/epoll.h>
#include <uv.h>

/** Runs once, soon, never from inside. Zeroed is not asked for. */
struct hd_later {
    struct hd_list link; /* its ends are NULL while it is not asked for */
    void (*fn)(struct hd_later *l);
};

/** A socket that is watched. Lies in its owner, who stops it before the memory goes. */
struct hd_watched {
    /** @param events  EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR: what is so now. */
    void (*on_ready)(struct hd_watched *w, uint32_t events);
    int fd; /* -1: not watched */
};

enum { HD_READY_BATCH = 128 };

/** The part of a loop that does this. */
struct hd_ready {
    int epoll_fd;
    uv_poll_t poll;
    uv_prepare_t prepare;
    struct hd_list later;
    struct epoll_event batch[HD_READY_BATCH]; /* being handed out */
    int at, n;
};

/** @return 0, or UV_E*. */
int hd_ready_init(struct hd_ready *r, uv_loop_t *loop);
/** Close its handles; the loop must run once more. Nothing may be watched any more. */
void hd_ready_close(struct hd_ready *r);

/** Watch @p fd for everything, edge-triggered. @return 0, or a negative errno. */
int hd_ready_watch(struct hd_ready *r, struct hd_watched *w, int fd);
/** Same, for a listening socket: told as long as somebody waits. */
int hd_ready_watch_listener(struct hd_ready *r, struct hd_watched *w, int fd);
/** Ask to be told again of what is so now, in a later turn. */
void hd_ready_again(struct hd_ready *r, struct hd_watched *w);
/** Stop; the descriptor stays open. Again is fine. */
void hd_ready_stop(struct hd_ready *r, struct hd_watched *w);

/** Run @p fn when the code that runs now has returned to the loop. Asked for already: once. */
void hd_ready_later(struct hd_ready *r, struct hd_later *l, void (*fn)(struct hd_later *l));
