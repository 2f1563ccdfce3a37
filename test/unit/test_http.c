/* test_http.c - server and client against each other, and each against a peer that speaks bytes, on
 * a Unix socket. The loop runs on this thread. */
#include "core/buf.h"
#include "http/client.h"
#include "http/server.h"
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { DEADLINE_MS = 10000 };

struct rig {
    struct hd_loop *loop;
    struct hd_net *net;
    struct hd_server *server;
    struct hd_endpoint at;
    char dir[32];
    int listen_fd;            /* when the peer is the test itself */
    struct hd_exchange *held; /* of /hold */
    struct hd_timer later;
    unsigned requests, refused, gone, bad_bodies, idle_gone;
};

static struct rig rig; /* one a test */

static void turn(void)
{
    uv_run(hd_loop_uv(rig.loop), UV_RUN_NOWAIT);
    usleep(500);
}

#define until(condition)                            \
    do {                                            \
        for (int left = DEADLINE_MS * 2;; left--) { \
            if (condition)                          \
                break;                              \
            assert_true(left > 0);                  \
            turn();                                 \
        }                                           \
    } while (0)

/* --- the server's door --- */

static void say(struct hd_exchange *ex, const char *text)
{
    struct hd_response_head head = {.status = 200, .body_bytes = (int64_t)strlen(text)};
    hd_exchange_respond(ex, &head, hd_str(text), true);
}

static void on_later(struct hd_timer *t)
{
    struct rig *r = hd_container_of(t, struct rig, later);
    struct hd_exchange *ex = r->held;
    static const struct hd_field trailers[] = {{HD_LIT("x-sum"), HD_LIT("17")}};
    struct hd_response_head head = {.status = 200, .body_bytes = HD_BODY_UNKNOWN};
    r->held = NULL;
    assert_true(hd_exchange_respond(ex, &head, hd_str("one "), false));
    assert_true(hd_exchange_write(ex, hd_str("two"), false));
    hd_exchange_trailers(ex, trailers, 1);
    hd_exchange_write(ex, hd_str_n(NULL, 0), true);
}

static void on_body(struct hd_exchange *ex, struct hd_str bytes, bool end)
{
    if (ex->door != NULL) /* /echo */
        hd_exchange_write(ex, bytes, end);
}

static void on_bad_body(struct hd_exchange *ex, unsigned status, const char *why)
{
    struct hd_response_head head = {.status = status};
    (void)why;
    rig.bad_bodies++;
    if (ex->responded)
        hd_exchange_abort(ex);
    else
        hd_exchange_respond(ex, &head, hd_str_n(NULL, 0), true);
}

static void on_door_writable(struct hd_exchange *ex)
{
    (void)ex;
}

static void on_gone(struct hd_exchange *ex, enum hd_gone why)
{
    (void)why;
    rig.gone++;
    if (rig.held == ex)
        rig.held = NULL;
}

static const struct hd_exchange_events door_events = {.on_body = on_body,
                                                      .on_bad_body = on_bad_body,
                                                      .on_writable = on_door_writable,
                                                      .on_gone = on_gone};

static void on_request(void *user, struct hd_exchange *ex, const struct hd_head *head,
                       struct hd_str body, bool end)
{
    struct rig *r = user;
    ex->events = &door_events;
    r->requests++;
    if (hd_str_is(head->path, "/now")) {
        say(ex, "now");
    } else if (hd_str_is(head->path, "/later")) {
        r->held = ex;
        hd_timer_start(r->loop, &r->later, 3, on_later);
    } else if (hd_str_is(head->path, "/hold")) {
        r->held = ex;
    } else if (hd_str_is(head->path, "/echo")) {
        struct hd_response_head answer = {.status = 200, .body_bytes = HD_BODY_UNKNOWN};
        ex->door = r;
        hd_exchange_respond(ex, &answer, body, end);
    } else if (hd_str_is(head->path, "/bad-head")) {
        static const struct hd_field broken[] = {{HD_LIT("x"), HD_LIT("a\r\nb: c")}};
        struct hd_response_head answer = {.status = 200, .fields = broken, .n_fields = 1};
        hd_exchange_respond(ex, &answer, hd_str_n(NULL, 0), false);
    } else {
        struct hd_response_head answer = {.status = 200, .body_bytes = 100};
        hd_exchange_respond(ex, &answer, hd_str("half"), false);
        hd_exchange_abort(ex);
    }
}

static void on_refused(void *user, unsigned status, const struct hd_error *why)
{
    (void)status;
    (void)why;
    ((struct rig *)user)->refused++;
}

/* --- setup --- */

static int listen_unix(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, rig.at.address, sizeof(un.sun_path) - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static int setup(void **state)
{
    rig = (struct rig){.dir = "/tmp/hd-http-XXXXXX", .listen_fd = -1};
    assert_non_null(mkdtemp(rig.dir));
    rig.at.kind = HD_ENDPOINT_UNIX;
    snprintf(rig.at.address, sizeof(rig.at.address), "%s/s", rig.dir);
    assert_int_equal(hd_loop_new(&rig.loop, 0, NULL), 0);
    rig.net = hd_net_new(rig.loop);
    (void)state;
    return 0;
}

static int setup_server(void **state)
{
    setup(state);
    struct hd_server_options opt = {.net = rig.net,
                                    .limits = {.parse = {8192, 4096, 100},
                                               .head_ms = 5000,
                                               .body_gap_ms = 5000,
                                               .keep_alive_ms = 5000,
                                               .write_stall_ms = 5000},
                                    .on_request = on_request,
                                    .on_refused = on_refused,
                                    .user = &rig};
    assert_int_equal(hd_server_new(&rig.server, &opt, NULL), 0);
    assert_int_equal(hd_server_listen_fd(rig.server, listen_unix(), NULL), 0);
    return 0;
}

static int setup_peer(void **state)
{
    setup(state);
    rig.listen_fd = listen_unix();
    return 0;
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static int teardown(void **state)
{
    bool closed = rig.server == NULL;
    if (!closed)
        hd_server_close(rig.server, set_flag, &closed);
    until(closed);
    until(rig.net->open_client == 0);
    hd_server_free(rig.server);
    if (rig.listen_fd >= 0)
        close(rig.listen_fd);
    hd_net_free(rig.net);
    hd_loop_free(rig.loop);
    unlink(rig.at.address);
    rmdir(rig.dir);
    (void)state;
    return 0;
}

/* --- the client's owner --- */

struct call {
    struct hd_client_conn *conn;
    struct hd_buf body;
    unsigned status, infos, trailers;
    bool done, failed, reusable;
    enum hd_client_lost lost;
};

static void end_call(struct call *c)
{
    c->done = true;
    c->reusable = hd_client_reusable(c->conn);
    if (!c->reusable)
        hd_client_close(c->conn);
}

static void on_head(void *owner, const struct hd_head *head, struct hd_str body, bool end)
{
    struct call *c = owner;
    if (head->status < 200 && head->status != 101) {
        c->infos++;
        return;
    }
    c->status = head->status;
    hd_buf_str(&c->body, body);
    if (end)
        end_call(c);
}

static void on_piece(void *owner, struct hd_str bytes, bool end)
{
    struct call *c = owner;
    hd_buf_str(&c->body, bytes);
    if (end)
        end_call(c);
}

static void on_trailers(void *owner, const struct hd_field *fields, size_t n)
{
    struct call *c = owner;
    assert_false(c->done);
    assert_true(hd_str_is(fields[0].name, "x-sum"));
    c->trailers += (unsigned)n;
}

static void on_writable(void *owner)
{
    (void)owner;
}

static void on_failed(void *owner, const struct hd_error *err, enum hd_client_lost lost)
{
    struct call *c = owner;
    assert_true(err->msg[0] != '\0');
    c->failed = true;
    c->lost = lost;
}

static const struct hd_client_events client_events = {.on_head = on_head,
                                                      .on_body = on_piece,
                                                      .on_trailers = on_trailers,
                                                      .on_writable = on_writable,
                                                      .on_failed = on_failed};

static void on_idle_gone(struct hd_client_conn *conn)
{
    (void)conn;
    rig.idle_gone++;
}

static void ask(struct call *c, struct hd_client_conn *conn, const char *head, const char *body,
                bool end)
{
    *c = (struct call){.conn = conn};
    hd_buf_init(&c->body, 8 << 20);
    struct hd_client_request req = {.head = hd_str(head),
                                    .chunked = strstr(head, "chunked") != NULL,
                                    .head_method = strncmp(head, "HEAD", 4) == 0};
    hd_client_send(conn, &req, hd_str(body), end, &client_events, c);
}

static struct hd_client_conn *connection(void)
{
    return hd_client_connect(rig.net, &rig.at, on_idle_gone);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path) "POST " path " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

/* --- both --- */

static void one_connection_serves_many_requests(void **state)
{
    struct hd_client_conn *conn = connection();
    for (int i = 0; i < 20; i++) {
        struct call c;
        ask(&c, conn, i % 2 == 0 ? GET("/now") : GET("/later"), "", true);
        until(c.done || c.failed);
        assert_false(c.failed);
        assert_int_equal(c.status, 200);
        assert_true(hd_str_is(hd_buf_view(&c.body), i % 2 == 0 ? "now" : "one two"));
        assert_int_equal(c.trailers, i % 2);
        assert_true(c.reusable);
        hd_buf_done(&c.body);
    }
    assert_int_equal(rig.requests, 20);
    assert_int_equal(hd_server_open(rig.server), 1);
    hd_client_close(conn);
    until(hd_server_open(rig.server) == 0);
    assert_int_equal(rig.idle_gone, 0);
    (void)state;
}

static void a_body_flows_while_it_is_answered(void **state)
{
    struct call c;
    struct hd_client_conn *conn = connection();
    ask(&c, conn, POST("/echo"), "a", false);
    until(c.body.len == 1);
    hd_client_write(conn, hd_str("bc"), false);
    until(c.body.len == 3);
    assert_false(c.done);
    hd_client_write(conn, hd_str("d"), true);
    until(c.done);
    assert_true(hd_str_is(hd_buf_view(&c.body), "abcd"));
    assert_true(c.reusable);
    hd_buf_done(&c.body);
    hd_client_close(conn);
    (void)state;
}

static void a_paused_answer_waits_and_goes_on(void **state)
{
    struct call c;
    struct hd_client_conn *conn = connection();
    ask(&c, conn, GET("/later"), "", true);
    hd_client_pause(conn, true);
    for (int i = 0; i < 50; i++)
        turn();
    assert_int_equal(c.status, 0);
    hd_client_pause(conn, false);
    until(c.done);
    assert_true(hd_str_is(hd_buf_view(&c.body), "one two"));
    hd_buf_done(&c.body);
    hd_client_close(conn);
    (void)state;
}

static void an_answer_that_breaks_off_is_a_failure(void **state)
{
    struct call c;
    ask(&c, connection(), GET("/break"), "", true);
    until(c.failed);
    assert_int_equal(c.lost, HD_LOST_ANSWERING);
    assert_true(hd_str_is(hd_buf_view(&c.body), "half"));
    hd_buf_done(&c.body);
    (void)state;
}

static void a_head_that_cannot_be_said_ends_the_connection(void **state)
{
    struct call c;
    ask(&c, connection(), GET("/bad-head"), "", true);
    until(c.failed && rig.gone == 1);
    assert_int_equal(c.lost, HD_LOST_UNANSWERED);
    (void)state;
}

static void a_client_that_leaves_is_told_to_the_door(void **state)
{
    struct call c;
    struct hd_client_conn *conn = connection();
    ask(&c, conn, GET("/hold"), "", true);
    until(rig.held != NULL);
    assert_false(hd_exchange_peer_gone(rig.held));
    hd_client_close(conn);
    assert_true(hd_exchange_peer_gone(rig.held)); /* known before it is told */
    until(rig.gone == 1);
    assert_false(c.failed); /* nothing is told after close */
    until(hd_server_open(rig.server) == 0);
    (void)state;
}

static void a_server_that_closes_tells_door_and_client(void **state)
{
    struct call c;
    bool closed = false;
    ask(&c, connection(), GET("/hold"), "", true);
    until(rig.held != NULL);
    hd_server_close(rig.server, set_flag, &closed);
    assert_false(closed);
    assert_int_equal(rig.gone, 1);
    until(closed && c.failed);
    assert_int_equal(c.lost, HD_LOST_UNANSWERED);
    hd_server_free(rig.server);
    rig.server = NULL;
    (void)state;
}

static void a_server_that_drains_closes_idle_connections_and_answers_the_rest(void **state)
{
    struct call idle, busy;
    struct hd_client_conn *idle_conn = connection(), *busy_conn = connection();
    ask(&idle, idle_conn, GET("/now"), "", true);
    until(idle.done);
    ask(&busy, busy_conn, GET("/later"), "", true);
    until(rig.held != NULL);
    hd_server_drain(rig.server);
    until(rig.idle_gone == 1);
    until(busy.done);
    assert_true(hd_str_is(hd_buf_view(&busy.body), "one two"));
    assert_false(busy.reusable); /* it said Connection: close */
    hd_buf_done(&idle.body);
    hd_buf_done(&busy.body);
    (void)state;
}

/* --- the server and bytes --- */

static int raw_connect(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, rig.at.address, sizeof(un.sun_path) - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    return fd;
}

static void put(int fd, const char *bytes)
{
    assert_int_equal(write(fd, bytes, strlen(bytes)), strlen(bytes));
}

/* Everything up to the end. */
static void take_all(int fd, struct hd_buf *out)
{
    char bytes[4096];
    hd_buf_init(out, 16 << 20);
    for (int left = DEADLINE_MS * 2; left > 0; left--) {
        ssize_t n = read(fd, bytes, sizeof(bytes));
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return;
        if (n > 0)
            hd_buf_add(out, bytes, (size_t)n);
        else
            turn();
    }
    fail_msg("the server did not close");
}

static unsigned count(const struct hd_buf *in, const char *what)
{
    unsigned n = 0;
    for (size_t i = 0; i + strlen(what) <= in->len; i++)
        n += memcmp(in->ptr + i, what, strlen(what)) == 0;
    return n;
}

static void pipelined_requests_of_a_half_closed_client_are_all_answered(void **state)
{
    struct hd_buf all;
    int fd = raw_connect();
    put(fd, GET("/later") GET("/now") GET("/later") GET("/now") "GET /half");
    shutdown(fd, SHUT_WR);
    take_all(fd, &all);
    assert_int_equal(count(&all, "HTTP/1.1 200"), 4);
    assert_int_equal(rig.requests, 4);
    assert_int_equal(rig.gone, 0);
    hd_buf_done(&all);
    close(fd);
    (void)state;
}

static void a_client_that_does_not_read_gets_no_more_answers_but_loses_none(void **state)
{
    enum { REQUESTS = 20000 };
    struct hd_buf all;
    int fd = raw_connect();
    const char request[] = GET("/now");
    size_t size = sizeof(request) - 1, sent = 0, total = size * REQUESTS;
    char *bytes = malloc(total);
    for (int i = 0; i < REQUESTS; i++)
        memcpy(bytes + size * (size_t)i, request, size);
    for (int quiet = 0; quiet < 100;) {
        ssize_t n = write(fd, bytes + sent, total - sent);
        sent += n > 0 ? (size_t)n : 0;
        quiet = n > 0 ? 0 : quiet + 1;
        turn();
    }
    assert_true(sent < total); /* it stopped reading */
    assert_true(rig.requests < REQUESTS);
    hd_buf_init(&all, 16 << 20);
    char piece[65536];
    unsigned answers = 0;
    for (int left = DEADLINE_MS * 2; left > 0 && answers < REQUESTS; left--) {
        ssize_t n = write(fd, bytes + sent, total - sent);
        sent += n > 0 ? (size_t)n : 0;
        while ((n = read(fd, piece, sizeof(piece))) > 0)
            hd_buf_add(&all, piece, (size_t)n);
        if (sent == total && left % 16 == 0)
            answers = count(&all, "HTTP/1.1 200");
        uv_run(hd_loop_uv(rig.loop), UV_RUN_NOWAIT);
    }
    assert_int_equal(answers, REQUESTS);
    hd_buf_done(&all);
    free(bytes);
    close(fd);
    (void)state;
}

static void bad_framing_is_answered_and_the_rest_is_dropped(void **state)
{
    struct hd_buf all;
    int fd = raw_connect();
    put(fd, POST("/hold") "zz\r\n" GET("/now"));
    take_all(fd, &all);
    assert_int_equal(count(&all, "HTTP/1.1 400"), 1);
    assert_int_equal(count(&all, "HTTP/1.1 "), 1);
    assert_int_equal(rig.bad_bodies, 1);
    assert_int_equal(rig.requests, 1);
    hd_buf_done(&all);
    close(fd);
    (void)state;
}

static void a_head_that_comes_byte_by_byte_is_taken(void **state)
{
    struct hd_buf all;
    char head[4096];
    int n = snprintf(head, sizeof(head), "GET /now HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
    for (int i = 0; i < 90; i++)
        n += snprintf(head + n, sizeof(head) - (size_t)n, "X-%d: %016d\r\n", i, i);
    snprintf(head + n, sizeof(head) - (size_t)n, "\r\n");
    int fd = raw_connect();
    for (const char *c = head; *c != '\0'; c++) {
        assert_int_equal(write(fd, c, 1), 1);
        if ((c - head) % 64 == 0)
            uv_run(hd_loop_uv(rig.loop), UV_RUN_NOWAIT);
    }
    take_all(fd, &all);
    assert_int_equal(count(&all, "HTTP/1.1 200"), 1);
    hd_buf_done(&all);
    close(fd);
    (void)state;
}

/* --- the client and bytes --- */

static int accept_peer(void)
{
    int fd = accept4(rig.listen_fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void bytes_behind_an_answer_are_nobodys(void **state)
{
    struct call c;
    struct hd_client_conn *conn = connection();
    ask(&c, conn, GET("/"), "", true);
    int fd = accept_peer();
    put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n");
    until(c.done);
    assert_true(hd_str_is(hd_buf_view(&c.body), "ok"));
    assert_false(c.reusable);
    hd_buf_done(&c.body);
    close(fd);
    (void)state;
}

static void failures_say_how_far_it_had_come(void **state)
{
    static const struct {
        const char *said;
        enum hd_client_lost lost;
    } cases[] = {
        {"", HD_LOST_UNANSWERED},
        {"HTTP/1.1 2", HD_LOST_ANSWERING},
        {"HTTP/1.1 103 Early Hints\r\n\r\n", HD_LOST_ANSWERING},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", HD_LOST_ANSWERING},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", HD_LOST_ANSWERING},
        {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
         HD_LOST_ANSWERING},
        {"nonsense\r\n\r\n", HD_LOST_ANSWERING},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct call c;
        ask(&c, connection(), GET("/"), "", true);
        int fd = accept_peer();
        put(fd, cases[i].said);
        shutdown(fd, SHUT_WR);
        until(c.failed);
        assert_int_equal(c.lost, cases[i].lost);
        assert_false(c.done);
        hd_buf_done(&c.body);
        close(fd);
    }
    (void)state;
}

static void nobody_there_is_a_failure_that_comes_later(void **state)
{
    struct hd_endpoint nowhere[] = {{.kind = HD_ENDPOINT_UNIX, .address = "/nonexistent/socket"},
                                    {.kind = HD_ENDPOINT_TCP, .address = "no address", .port = 1},
                                    {.kind = HD_ENDPOINT_TCP, .address = "127.0.0.1", .port = 1}};
    for (size_t i = 0; i < HD_COUNT(nowhere); i++) {
        struct call c;
        ask(&c, hd_client_connect(rig.net, &nowhere[i], on_idle_gone), GET("/"), "", true);
        assert_false(c.failed);
        until(c.failed);
        assert_int_equal(c.lost, HD_LOST_UNSENT);
    }
    (void)state;
}

static void a_peer_that_closes_an_idle_connection_is_told(void **state)
{
    connection();
    close(accept_peer());
    until(rig.idle_gone == 1);
    (void)state;
}

static void a_request_on_a_connection_that_was_just_closed_was_not_sent(void **state)
{
    struct call c;
    struct hd_client_conn *conn = connection();
    int fd = accept_peer();
    turn();
    turn();
    close(fd);
    ask(&c, conn, GET("/"), "", true);
    until(c.failed);
    assert_int_equal(c.lost, HD_LOST_UNSENT);
    (void)state;
}

static void an_answer_before_the_body_is_read_even_if_the_peer_closes(void **state)
{
    struct call c;
    struct hd_client_conn *conn = connection();
    ask(&c, conn, POST("/"), "some", false);
    int fd = accept_peer();
    turn();
    put(fd, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    close(fd);
    hd_client_write(conn, hd_str("more"), false);
    until(c.done || c.failed);
    assert_true(c.done);
    assert_int_equal(c.status, 413);
    assert_false(c.reusable);
    hd_buf_done(&c.body);
    (void)state;
}

int main(void)
{
#define WITH_SERVER(f) cmocka_unit_test_setup_teardown(f, setup_server, teardown)
#define WITH_PEER(f) cmocka_unit_test_setup_teardown(f, setup_peer, teardown)
    const struct CMUnitTest tests[] = {
        WITH_SERVER(one_connection_serves_many_requests),
        WITH_SERVER(a_body_flows_while_it_is_answered),
        WITH_SERVER(a_paused_answer_waits_and_goes_on),
        WITH_SERVER(an_answer_that_breaks_off_is_a_failure),
        WITH_SERVER(a_head_that_cannot_be_said_ends_the_connection),
        WITH_SERVER(a_client_that_leaves_is_told_to_the_door),
        WITH_SERVER(a_server_that_closes_tells_door_and_client),
        WITH_SERVER(a_server_that_drains_closes_idle_connections_and_answers_the_rest),
        WITH_SERVER(pipelined_requests_of_a_half_closed_client_are_all_answered),
        WITH_SERVER(a_client_that_does_not_read_gets_no_more_answers_but_loses_none),
        WITH_SERVER(bad_framing_is_answered_and_the_rest_is_dropped),
        WITH_SERVER(a_head_that_comes_byte_by_byte_is_taken),
        WITH_PEER(bytes_behind_an_answer_are_nobodys),
        WITH_PEER(failures_say_how_far_it_had_come),
        WITH_PEER(nobody_there_is_a_failure_that_comes_later),
        WITH_PEER(a_peer_that_closes_an_idle_connection_is_told),
        WITH_PEER(a_request_on_a_connection_that_was_just_closed_was_not_sent),
        WITH_PEER(an_answer_before_the_body_is_read_even_if_the_peer_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
