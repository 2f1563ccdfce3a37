/* test/unit/test_enginehost.c */
#include "core/folder.h"
#include "pool/docker/enginehost.h"
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void clear_variables(void)
{
    static const char *const names[] = {"DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"};
    for (size_t i = 0; i < HD_COUNT(names); i++)
        unsetenv(names[i]);
}

static void a_host_has_two_forms(void **state)
{
    static const char *const good[] = {"unix:///run/x.sock", "tcp://127.0.0.1:2375", "tcp://h",
                                       "tcp://[::1]:2376/", ""};
    static const char *const bad[] = {"unix://x", "unix:///",  "tcp://",      "tcp://a/b",
                                      "ssh://h",  "tcp://a b", "/run/x.sock", "tcp://u@h"};
    struct hd_error err;
    for (size_t i = 0; i < HD_COUNT(good); i++)
        assert_int_equal(hd_engine_host_check(good[i], &err), 0);
    for (size_t i = 0; i < HD_COUNT(bad); i++)
        assert_int_equal(hd_engine_host_check(bad[i], &err), HD_EINVAL);
    assert_int_equal(hd_engine_host_check(NULL, &err), 0);
    (void)state;
}

static void without_certificates_it_is_plain(void **state)
{
    struct hd_engine_where where = {.host = "tcp://10.0.0.1"};
    struct hd_engine_host h;
    struct hd_fetch_tls tls;
    clear_variables();
    assert_int_equal(hd_engine_host_find(&h, &where, NULL), 0);
    assert_string_equal(h.base, "http://10.0.0.1:2375");
    assert_null(h.socket);
    assert_null(hd_engine_host_tls(&h, &tls));
    hd_engine_host_done(&h);
    where.host = NULL;
    setenv("DOCKER_HOST", "tcp://[::1]:99/", 1);
    assert_int_equal(hd_engine_host_find(&h, &where, NULL), 0);
    assert_string_equal(h.base, "http://[::1]:99");
    hd_engine_host_done(&h);
    clear_variables();
    (void)state;
}

static void certificates_must_all_be_there(void **state)
{
    static const char *const names[] = {"ca.pem", "cert.pem", "key.pem"};
    char dir[] = "/tmp/heddle-certs-XXXXXX";
    struct hd_engine_where where = {.host = "tcp://host"};
    struct hd_engine_host h;
    struct hd_fetch_tls tls;
    struct hd_error err;
    clear_variables();
    assert_non_null(mkdtemp(dir));
    setenv("DOCKER_CERT_PATH", dir, 1);
    for (size_t i = 0; i < HD_COUNT(names); i++) {
        assert_int_not_equal(hd_engine_host_find(&h, &where, &err), 0);
        assert_non_null(strstr(err.msg, names[i]));
        hd_auto_free char *path = hd_printf("%s/%s", dir, names[i]);
        close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    }
    assert_int_equal(hd_engine_host_find(&h, &where, &err), 0);
    assert_string_equal(h.base, "https://host:2376");
    assert_ptr_equal(hd_engine_host_tls(&h, &tls), &tls);
    assert_non_null(strstr(tls.key, "/key.pem"));
    hd_engine_host_done(&h);
    where.certs = "/no/such/folder"; /* what was set counts more */
    assert_int_not_equal(hd_engine_host_find(&h, &where, &err), 0);
    hd_remove_tree(dir);
    clear_variables();
    (void)state;
}

static void a_socket_that_is_not_there_is_said(void **state)
{
    struct hd_engine_where where = {.host = "unix:///no/such.sock"};
    struct hd_engine_host h;
    struct hd_error err;
    clear_variables();
    assert_int_equal(hd_engine_host_find(&h, &where, &err), HD_EIO);
    assert_non_null(strstr(err.msg, "cannot reach the Docker socket /no/such.sock"));
    assert_non_null(strstr(err.msg, "installed"));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_host_has_two_forms),
                                       cmocka_unit_test(without_certificates_it_is_plain),
                                       cmocka_unit_test(certificates_must_all_be_there),
                                       cmocka_unit_test(a_socket_that_is_not_there_is_said)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
