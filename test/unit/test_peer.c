#include "shim/peer.h"
#include "test.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in at(const char *ip, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &a.sin_addr);
    return a;
}

static void a_line_of_the_kernel_s_table(void **state)
{
    static const struct {
        const char *line;
        bool found;
        uid_t uid;
    } table[] = {
        {"   3: 0100007F:B0A2 0100007F:2329 01 00000000:00000000 00:00000000 00000000  1051        "
         "0 12345 1 ffff 20 4 30 10 -1\n",
         true, 1051},
        /* the other direction */
        {"   3: 0100007F:2329 0100007F:B0A2 01 00000000:00000000 00:00000000 00000000  1051        "
         "0 12345 1 ffff 20 4 30 10 -1\n",
         false, 0},
        /* nobody holds it any more: the kernel says root */
        {"   3: 0100007F:B0A2 0100007F:2329 05 00000000:00000000 03:00000000 00000000     0        "
         "0 0 3 ffff\n",
         false, 0},
        {"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n",
         false, 0},
        {"", false, 0},
        {"3: 0100007F:B0A2 0100007F:2329 01", false, 0},
    };
    struct sockaddr_in peer = at("127.0.0.1", 0xb0a2), self = at("127.0.0.1", 9001);
    for (size_t i = 0; i < HD_COUNT(table); i++) {
        uid_t uid = 0;
        assert_int_equal(hd_peer_line(&uid, hd_str(table[i].line), &peer, &self), table[i].found);
        assert_int_equal(uid, table[i].uid);
    }
    (void)state;
}

static void a_real_connection_is_ours(void **state)
{
    struct sockaddr_in self = at("127.0.0.1", 0), peer;
    socklen_t len = sizeof(self);
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&self, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&self, &len), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&self, len), 0);
    int server = accept(listener, (struct sockaddr *)&peer, &len);
    uid_t uid = (uid_t)-1;
    struct hd_error err;
    assert_int_equal(hd_peer_uid(&uid, &peer, &self, &err), 0);
    assert_int_equal(uid, getuid());
    close(client);
    assert_int_equal(hd_peer_uid(&uid, &peer, &self, &err), HD_ENOTFOUND);
    close(server);
    close(listener);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_of_the_kernel_s_table),
        cmocka_unit_test(a_real_connection_is_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
