/* test/unit/test_msgio.c - messages on a socket pair, in every number of pieces. */
#include "native/msgio.h"
#include "test.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct pair {
    struct hd_msgio io;
    int peer;
};

static void open_pair(struct pair *p, size_t max_body_bytes, bool response)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    hd_msgio_init(&p->io, fds[0], max_body_bytes, response);
    p->peer = fds[1];
}

static void close_pair(struct pair *p)
{
    hd_msgio_done(&p->io);
    if (p->peer >= 0)
        close(p->peer);
}

static void say(struct pair *p, const char *bytes, size_t len)
{
    assert_int_equal(write(p->peer, bytes, len), (ssize_t)len);
}

#define SAY(p, text) say((p), (text), sizeof(text) - 1)

static const char *const requests[] = {
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
    "chunked\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\n"
    "T: v\r\n\r\n",
};

static void takes_requests_in_every_number_of_pieces(void **state)
{
    for (size_t i = 0; i < HD_COUNT(requests); i++) {
        size_t len = strlen(requests[i]);
        for (size_t piece = 1; piece <= len; piece++) {
            struct pair p;
            struct hd_error err;
            unsigned status;
            open_pair(&p, 5, false);
            int rc = 0;
            for (size_t at = 0; at < len; at += piece) {
                assert_int_equal(rc, 0);
                say(&p, requests[i] + at, HD_MIN(piece, len - at));
                rc = hd_msgio_read(&p.io, false, &status, &err);
            }
            assert_int_equal(rc, 1);
            assert_true(hd_str_is(p.io.head.method, "POST"));
            assert_true(hd_str_is(p.io.body, "hello"));
            assert_int_equal(p.io.body.ptr[5], '\0');
            assert_int_equal(hd_msgio_next(&p.io, &status, &err), 0);
            assert_false(hd_msgio_busy(&p.io));
            close_pair(&p);
        }
    }
    (void)state;
}

static void takes_several_that_come_at_once(void **state)
{
    struct pair p;
    struct hd_error err;
    unsigned status;
    open_pair(&p, 5, false);
    for (size_t i = 0; i < 6; i++)
        say(&p, requests[i % 2], strlen(requests[i % 2]));
    int rc = hd_msgio_read(&p.io, true, &status, &err);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(rc, 1);
        assert_true(hd_str_is(p.io.body, "hello"));
        assert_int_equal(p.io.body.ptr[5], '\0');
        rc = hd_msgio_next(&p.io, &status, &err);
    }
    assert_int_equal(rc, 0);
    close_pair(&p);
    (void)state;
}

static void refuses_what_is_too_long(void **state)
{
    static const char *const long_ones[] = {
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551\r\n\r\n",
    };
    for (size_t i = 0; i < HD_COUNT(long_ones); i++) {
        struct pair p;
        struct hd_error err;
        unsigned status = 0;
        open_pair(&p, 5, false);
        say(&p, long_ones[i], strlen(long_ones[i]));
        assert_int_equal(hd_msgio_read(&p.io, false, &status, &err), HD_EBUSY);
        assert_int_equal(status, 413);
        close_pair(&p);
    }
    (void)state;
}

static void tells_a_peer_that_goes_from_one_that_breaks_off(void **state)
{
    static const struct {
        const char *bytes;
        int rc;
    } cases[] = {
        {"", HD_ECANCELED},
        {"POST / HT", HD_EIO},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel", HD_EIO},
        {"no request\r\n\r\n", HD_EPROTO},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct pair p;
        struct hd_error err;
        unsigned status;
        open_pair(&p, 5, false);
        say(&p, cases[i].bytes, strlen(cases[i].bytes));
        close(p.peer);
        p.peer = -1;
        int rc;
        do {
            rc = hd_msgio_read(&p.io, true, &status, &err);
        } while (rc == 0);
        assert_int_equal(rc, cases[i].rc);
        close_pair(&p);
    }
    (void)state;
}

static void says_go_on_once(void **state)
{
    struct pair p;
    struct hd_error err;
    unsigned status;
    open_pair(&p, 5, false);
    SAY(&p, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(hd_msgio_read(&p.io, false, &status, &err), 0);
    SAY(&p, "a");
    assert_int_equal(hd_msgio_read(&p.io, false, &status, &err), 0);
    char told[100];
    ssize_t n = read(p.peer, told, sizeof(told));
    assert_true(hd_str_is(hd_str_n(told, (size_t)n), "HTTP/1.1 100 Continue\r\n\r\n"));
    close_pair(&p);
    (void)state;
}

static void takes_responses_also_until_the_end(void **state)
{
    struct pair p;
    struct hd_error err;
    unsigned status;
    open_pair(&p, 5, true);
    SAY(&p, "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok");
    assert_int_equal(hd_msgio_read(&p.io, true, &status, &err), 1);
    assert_int_equal(p.io.head.status, 202);
    assert_int_equal(hd_msgio_next(&p.io, &status, &err), 0);
    SAY(&p, "HTTP/1.1 200 OK\r\n\r\n");
    assert_int_equal(hd_msgio_read(&p.io, true, &status, &err), 0);
    SAY(&p, "abc");
    assert_int_equal(hd_msgio_read(&p.io, true, &status, &err), 0);
    shutdown(p.peer, SHUT_WR);
    assert_int_equal(hd_msgio_read(&p.io, true, &status, &err), 1);
    assert_true(hd_str_is(p.io.body, "abc"));
    assert_false(p.io.head.keep_alive);
    close_pair(&p);
    (void)state;
}

static void writes_all_and_notices_that_nobody_reads(void **state)
{
    struct pair p;
    open_pair(&p, 5, false);
    struct iovec iov[3] = {{"ab", 2}, {"", 0}, {"c", 1}};
    assert_int_equal(hd_msgio_write(p.io.fd, iov, 3), 0);
    char got[8];
    assert_int_equal(read(p.peer, got, sizeof(got)), 3);
    close(p.peer);
    p.peer = -1;
    struct iovec more = {"d", 1};
    assert_int_equal(hd_msgio_write(p.io.fd, &more, 1), HD_ECANCELED);
    close_pair(&p);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_requests_in_every_number_of_pieces),
        cmocka_unit_test(takes_several_that_come_at_once),
        cmocka_unit_test(refuses_what_is_too_long),
        cmocka_unit_test(tells_a_peer_that_goes_from_one_that_breaks_off),
        cmocka_unit_test(says_go_on_once),
        cmocka_unit_test(takes_responses_also_until_the_end),
        cmocka_unit_test(writes_all_and_notices_that_nobody_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
