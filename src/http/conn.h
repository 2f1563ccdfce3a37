/* http/conn.h - one HTTP/1.1 client connection; private to the server. */
#pragma once

#include "core/buf.h"
#include "http/server.h"

#include <netinet/in.h>

struct hd_server {
    struct hd_server_options opt;
    struct hd_list conns;
    struct hd_list listeners;
    unsigned open;
    bool draining, closing;
    struct hd_buf out; /* heads are formatted here */
    void (*on_done)(void *arg);
    void *on_done_arg;
};

/* Make a connection of an accepted socket. */
void hd_conn_new(struct hd_server *s, int fd, const struct sockaddr_storage *peer);
/* Close it if it is idle; else tell its next answer to. */
void hd_conn_drain(struct hd_conn *c);
/* Close it whatever it does; its door hears on_gone. */
void hd_conn_abort(struct hd_conn *c);
/* The last one was closed: tell hd_server_close(). */
void hd_server_conn_gone(struct hd_server *s);

struct hd_conn *hd_conn_of(struct hd_list *link);
