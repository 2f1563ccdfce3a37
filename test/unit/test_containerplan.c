/* test_containerplan.c - which image, what it runs, what it may. */
#include "core/base.h"
#include "pool/docker/containerplan.h"
#include "test.h"

static struct hd_container_site site = {.shim_bin = "/usr/libexec/shim",
                                        .runtimes_dir = "/usr/share/runtimes",
                                        .node_id = "0011",
                                        .boot_id = "2233",
                                        .uid = 993,
                                        .gid = 990};

static struct hd_launch launch_of(const struct hd_launch_lambda *l, const char *runtime)
{
    return (struct hd_launch){
        .function = "f", .version = "v", .runtime = runtime, .memory_mb = 1769, .lambda = l};
}

static void the_longest_name_chooses_the_image(void **state)
{
    static const char *const images[] = {"*=any:1", "python=py:1", "python3.12=py12:1", NULL};
    struct hd_launch_lambda l = {.runtime_id = "python3.12"};
    struct hd_launch w = launch_of(&l, "python");
    assert_string_equal(hd_container_image(&w, images), "py12:1");
    l.runtime_id = "python3.9";
    assert_string_equal(hd_container_image(&w, images), "py:1");
    l.runtime_id = "nodejs20.x";
    assert_string_equal(hd_container_image(&w, images), "any:1");
    assert_string_equal(hd_container_image(&w, NULL), HD_CONTAINER_IMAGE);
    assert_false(hd_container_has_image("nodejs20.x", images));
    assert_true(hd_container_has_image("python3.9", images));
    l.image = "own:1";
    assert_string_equal(hd_container_image(&w, images), "own:1");
    (void)state;
}

static void images_are_named_for_runtimes(void **state)
{
    static const char *const no_runtime[] = {"=a:1", NULL}, *const no_image[] = {"python", NULL};
    struct hd_error err;
    assert_int_equal(hd_container_check_images(no_runtime, &err), HD_EINVAL);
    assert_int_equal(hd_container_check_images(no_image, &err), HD_EINVAL);
    assert_int_equal(hd_container_check_images(NULL, &err), 0);
    (void)state;
}

static json_t *finished(const struct hd_launch *w, const char *image_json, struct hd_error *err)
{
    json_t *body, *image = json_loads(image_json, 0, NULL), *out = NULL;
    char *text = NULL;
    assert_int_equal(
        hd_container_begin(&body, w, "ref:1", &site, "/run/1", "0123456789abcdef", "00ff", err), 0);
    if (hd_container_finish(&text, NULL, body, image, strstr(image_json, "podman") != NULL, err) ==
        0)
        out = json_loads(text, 0, NULL);
    free(text);
    json_decref(body);
    json_decref(image);
    return out;
}

static const char *at(const json_t *list, size_t i)
{
    return json_string_value(json_array_get(list, i));
}

static void a_zip_function_is_confined(void **state)
{
    static const char *const env[] = {"A=b", NULL};
    const struct hd_launch_lambda l = {
        .runtime_id = "python3.11", .code_dir = "/code", .opt_dir = "/layers", .ephemeral_mb = 600};
    struct hd_launch w = launch_of(&l, "python");
    struct hd_error err;
    w.env = env;
    json_t *o = finished(&w, "{\"Architecture\":\"amd64\"}", &err);
    assert_non_null(o);
    const json_t *h = json_object_get(o, "HostConfig"), *cmd = json_object_get(o, "Cmd");
    assert_string_equal(json_string_value(json_object_get(o, "User")), "993:990");
    assert_string_equal(json_string_value(json_object_get(o, "WorkingDir")), "/var/task");
    assert_string_equal(at(cmd, json_array_size(cmd) - 1), "/var/runtime/python/host.py");
    assert_int_equal(json_integer_value(json_object_get(h, "Memory")), 1769LL << 20);
    assert_int_equal(json_integer_value(json_object_get(h, "MemorySwap")), 1769LL << 20);
    assert_int_equal(json_integer_value(json_object_get(h, "CpuShares")), 1024);
    assert_true(json_is_true(json_object_get(h, "ReadonlyRootfs")));
    assert_string_equal(json_string_value(json_object_get(h, "NetworkMode")), "none");
    assert_string_equal(at(json_object_get(h, "CapDrop"), 0), "ALL");
    assert_int_equal(json_array_size(json_object_get(h, "Mounts")), 5);
    assert_null(json_object_get(o, "-heddle"));
    json_decref(o);
    (void)state;
}

static void the_lanes_are_there_without_a_network(void **state)
{
    const struct hd_launch_lambda l = {.runtime_id = "python3.11", .code_dir = "/code"};
    struct hd_launch w = launch_of(&l, "python");
    struct hd_error err;
    site.lanes_socket = "/data/lanes.sock";
    json_t *o = finished(&w, "{\"Architecture\":\"amd64\"}", &err);
    site.lanes_socket = NULL;
    const json_t *cmd = json_object_get(o, "Cmd"), *host = json_object_get(o, "HostConfig");
    const json_t *mount = json_array_get(json_object_get(host, "Mounts"), 2);
    assert_string_equal(at(cmd, 2), "--lanes");
    assert_string_equal(at(cmd, 3), "9002:/heddle/lanes");
    assert_string_equal(json_string_value(json_object_get(mount, "Source")), "/data/lanes.sock");
    assert_string_equal(json_string_value(json_object_get(mount, "Target")), "/heddle/lanes");
    assert_true(json_is_true(json_object_get(mount, "ReadOnly")));
    assert_string_equal(json_string_value(json_object_get(host, "NetworkMode")), "none");
    json_decref(o);
    (void)state;
}

static void files_go_in_as_an_archive_where_nothing_can_be_bound(void **state)
{
    const struct hd_launch_lambda l = {.runtime_id = "python3.11", .code_dir = "/code"};
    struct hd_launch w = launch_of(&l, "python");
    json_t *body, *mounts = NULL, *image = json_pack("{s:s}", "Architecture", "amd64");
    char *text = NULL;
    site.lanes_socket = "/data/lanes.sock";
    assert_int_equal(
        hd_container_begin(&body, &w, "ref:1", &site, "/run/1", "0123456789abcdef", "00ff", NULL),
        0);
    site.lanes_socket = NULL;
    assert_int_equal(hd_container_finish(&text, &mounts, body, image, false, NULL), 0);
    json_t *o = json_loads(text, 0, NULL), *cmd = json_object_get(o, "Cmd");
    const json_t *h = json_object_get(o, "HostConfig");
    assert_null(json_object_get(h, "Mounts"));
    assert_true(json_is_false(json_object_get(h, "ReadonlyRootfs")));
    assert_string_equal(json_string_value(json_object_get(h, "NetworkMode")), "none");
    assert_string_equal(at(cmd, 0), "--tunnel");
    assert_string_equal(at(cmd, 1), "--lanes");
    assert_string_equal(at(cmd, 2), "9002:/heddle/run/lanes"); /* the tunnel's end, not a mount */
    assert_string_equal(at(cmd, 3), "--exec");
    assert_true(json_is_true(json_object_get(o, "OpenStdin")));
    assert_true(json_is_true(json_object_get(o, "StdinOnce"))); /* without its node it ends */
    assert_int_equal(json_array_size(mounts), 4);
    json_decref(mounts);
    json_decref(o);
    json_decref(body);
    json_decref(image);
    free(text);
    (void)state;
}

static void an_image_says_what_it_runs_unless_it_is_told(void **state)
{
    static const char *const command[] = {"mine", NULL};
    static const char config[] =
        "{\"Architecture\":\"amd64\",\"Config\":{\"Entrypoint\":[\"/e\"],\"Cmd\":[\"c\"]}}";
    struct hd_launch_lambda l = {
        .image = "ref:1", .architecture = "x86_64", .image_command = command};
    struct hd_launch w = launch_of(&l, "image");
    struct hd_error err;
    json_t *o = finished(&w, config, &err), *cmd = json_object_get(o, "Cmd");
    size_t n = json_array_size(cmd);
    assert_string_equal(at(cmd, n - 3), "--");
    assert_string_equal(at(cmd, n - 2), "/e");
    assert_string_equal(at(cmd, n - 1), "mine");
    assert_null(json_object_get(o, "WorkingDir"));
    assert_int_equal(json_array_size(json_object_get(json_object_get(o, "HostConfig"), "Mounts")),
                     2);
    json_decref(o);
    l.image_command = NULL;
    assert_null(finished(&w, "{\"Architecture\":\"amd64\",\"Config\":{}}", &err));
    assert_non_null(strstr(err.msg, "nothing of what to run"));
    l.architecture = "arm64";
    assert_null(finished(&w, config, &err));
    assert_non_null(strstr(err.msg, "is for amd64"));
    (void)state;
}

static void podman_is_told_in_its_words(void **state)
{
    struct hd_launch_lambda l = {.runtime_id = "python3.12", .code_dir = "/code"};
    struct hd_launch w = launch_of(&l, "python");
    struct hd_error err;
    json_t *o = finished(&w, "{\"Architecture\":\"amd64\",\"Author\":\"podman\"}", &err);
    json_t *host = json_object_get(o, "HostConfig");
    json_t *last = json_array_get(json_object_get(host, "Ulimits"), 1);
    const char *tmp = json_string_value(json_object_get(json_object_get(host, "Tmpfs"), "/tmp"));
    assert_null(strstr(tmp, "uid="));
    assert_non_null(strstr(tmp, "mode=1777"));
    assert_string_equal(json_string_value(json_object_get(last, "Name")), "nproc");
    json_decref(o);
    (void)state;
}

static void labels_are_what_every_engine_takes(void **state)
{
    static const char letters[] = "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg";
    static const struct {
        const char *text, *label;
    } cases[] = {
        {"plain-name_1.2", "plain-name_1.2"},
        {"7", "7"},
        {letters, letters}, /* 63 */
        {"$LATEST", "LATEST-"},
        {"-begins", "begins-"},
        {"ends-", "ends--"},
        {"", ""},
    };
    char label[HD_CONTAINER_LABEL_MAX + 1], other[HD_CONTAINER_LABEL_MAX + 1];
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        size_t n = strlen(cases[i].label);
        hd_container_label(label, cases[i].text);
        assert_memory_equal(label, cases[i].label, n);
        assert_int_equal(strlen(label),
                         strcmp(cases[i].text, cases[i].label) == 0 && n > 0 ? n : n + 8);
    }
    hd_auto_free char *longer = hd_printf("%sx", letters), *another = hd_printf("%sy", letters);
    hd_container_label(label, longer);
    hd_container_label(other, another);
    assert_int_equal(strlen(label), 49);
    assert_string_not_equal(label, other);
    (void)state;
}

static void a_runtime_without_a_host_is_refused(void **state)
{
    const struct hd_launch_lambda l = {.runtime_id = "java21", .code_dir = "/code"};
    struct hd_launch w = launch_of(&l, "java");
    struct hd_error err;
    json_t *body;
    assert_int_equal(hd_container_begin(&body, &w, "ref:1", &site, "/run/1", "01", "00", &err),
                     HD_EINVAL);
    assert_non_null(strstr(err.msg, "java21"));
    (void)state;
}

static void an_exit_code_tells_a_signal(void **state)
{
    assert_int_equal(hd_container_exit(3, false).code, 3);
    assert_int_equal(hd_container_exit(3, false).signal, 0);
    assert_int_equal(hd_container_exit(137, true).signal, 9);
    assert_int_equal(hd_container_exit(137, true).code, 0);
    assert_true(hd_container_exit(137, true).oom);
    assert_int_equal(hd_container_exit(200, false).code, 200); /* no signal of ours */
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_name_chooses_the_image),
        cmocka_unit_test(images_are_named_for_runtimes),
        cmocka_unit_test(a_zip_function_is_confined),
        cmocka_unit_test(the_lanes_are_there_without_a_network),
        cmocka_unit_test(files_go_in_as_an_archive_where_nothing_can_be_bound),
        cmocka_unit_test(an_image_says_what_it_runs_unless_it_is_told),
        cmocka_unit_test(podman_is_told_in_its_words),
        cmocka_unit_test(labels_are_what_every_engine_takes),
        cmocka_unit_test(a_runtime_without_a_host_is_refused),
        cmocka_unit_test(an_exit_code_tells_a_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
