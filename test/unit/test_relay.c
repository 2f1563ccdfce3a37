/* test_relay.c - an ordinary address for what is behind a Unix socket. */
#include "shim/relay.h"
#include "test.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { MUCH = 3 << 20 };

static char folder[] = "/tmp/relay-XXXXXX", path[64];
static int service = -1;
static int port;

/* What comes is sent back; then the answer ends, too. */
static void *echo(void *arg)
{
    char bytes[4096];
    ssize_t n;
    int fd = (int)(intptr_t)arg;
    while ((n = read(fd, bytes, sizeof(bytes))) > 0)
        for (ssize_t at = 0, w; at < n; at += w)
            if ((w = send(fd, bytes + at, (size_t)(n - at), MSG_NOSIGNAL)) <= 0) {
                close(fd);
                return NULL;
            }
    close(fd);
    return NULL;
}

static void *serve(void *arg)
{
    pthread_t id;
    (void)arg;
    for (;;) {
        int fd = accept(service, NULL, NULL);
        if (fd < 0)
            return NULL;
        assert_int_equal(pthread_create(&id, NULL, echo, (void *)(intptr_t)fd), 0);
        pthread_detach(id);
    }
}

static int open_all(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct hd_error err;
    pthread_t id;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/sock", folder);
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    service = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(service, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(service, 128), 0);
    assert_int_equal(pthread_create(&id, NULL, serve, NULL), 0);
    pthread_detach(id);
    port = hd_shim_relay(0, path, false, &err);
    assert_true(port > 0);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    unlink(path);
    rmdir(folder);
    return 0;
}

static int connect_to(int to)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)to)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void hear(int fd, const char *text)
{
    char got[64];
    size_t n = 0;
    while (n < strlen(text)) {
        ssize_t r = read(fd, got + n, strlen(text) - n);
        assert_true(r > 0);
        n += (size_t)r;
    }
    assert_memory_equal(got, text, n);
}

static void bytes_go_both_ways_and_ends_are_passed_on(void **state)
{
    char byte;
    int fd = connect_to(port);
    say(fd, "hello");
    hear(fd, "hello");
    say(fd, "again");
    shutdown(fd, SHUT_WR);
    hear(fd, "again");
    assert_int_equal(read(fd, &byte, 1), 0);
    close(fd);
    (void)state;
}

static void *send_much(void *arg)
{
    int fd = (int)(intptr_t)arg;
    unsigned char block[8192];
    for (size_t at = 0; at < MUCH; at += sizeof(block)) {
        for (size_t i = 0; i < sizeof(block); i++)
            block[i] = (unsigned char)((at + i) * 31 >> 3);
        for (size_t out = 0; out < sizeof(block);) {
            ssize_t w = write(fd, block + out, sizeof(block) - out);
            assert_true(w > 0);
            out += (size_t)w;
        }
    }
    shutdown(fd, SHUT_WR);
    return NULL;
}

static void what_is_larger_than_every_buffer_arrives_whole(void **state)
{
    pthread_t id;
    unsigned char block[5000];
    size_t at = 0;
    ssize_t n;
    int fd = connect_to(port);
    assert_int_equal(pthread_create(&id, NULL, send_much, (void *)(intptr_t)fd), 0);
    while ((n = read(fd, block, sizeof(block))) > 0) {
        for (ssize_t i = 0; i < n; i++, at++)
            if (block[i] != (unsigned char)(at * 31 >> 3))
                fail_msg("byte %zu differs", at);
    }
    pthread_join(id, NULL);
    assert_int_equal(at, MUCH);
    close(fd);
    (void)state;
}

static void who_comes_when_all_places_are_taken_waits(void **state)
{
    int fds[HD_SHIM_RELAY_PAIRS];
    for (size_t i = 0; i < HD_COUNT(fds); i++) {
        fds[i] = connect_to(port);
        say(fds[i], "x");
        hear(fds[i], "x");
    }
    int late = connect_to(port);
    say(late, "late");
    say(fds[1], "y"); /* those go on meanwhile */
    hear(fds[1], "y");
    close(fds[0]);
    hear(late, "late");
    close(late);
    for (size_t i = 1; i < HD_COUNT(fds); i++)
        close(fds[i]);
    (void)state;
}

static void nobody_there_is_a_closed_connection(void **state)
{
    struct hd_error err;
    char byte;
    int lonely = hd_shim_relay(0, "/nowhere/sock", false, &err);
    assert_true(lonely > 0);
    int fd = connect_to(lonely);
    assert_true(read(fd, &byte, 1) <= 0);
    close(fd);
    assert_true(hd_shim_relay((uint16_t)lonely, path, false, &err) < 0); /* taken */
    assert_non_null(strstr(err.msg, "port"));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_both_ways_and_ends_are_passed_on),
        cmocka_unit_test(what_is_larger_than_every_buffer_arrives_whole),
        cmocka_unit_test(who_comes_when_all_places_are_taken_waits),
        cmocka_unit_test(nobody_there_is_a_closed_connection),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
