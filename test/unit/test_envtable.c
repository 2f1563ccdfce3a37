#include "shim/envtable.h"
#include "test.h"

static char *const own[] = {
    "PATH=/bin",           "HOME=/h", "HEDDLE_SOCKET=/s", "HEDDLE_RUN_DIR=/r",
    "HEDDLE_HOST_TOKEN=x", "PORT=1",  "DENO_DIR=/d",      NULL};

static struct hd_loadreq *loaded(const char *text)
{
    struct hd_loadreq *l = NULL;
    assert_int_equal(hd_loadreq_parse(&l, hd_str(text), NULL), 0);
    return l;
}

static void is(char **table, const char *name, const char *wanted)
{
    const char *value = hd_envtable_get(table, name);
    if (wanted == NULL ? value != NULL : value == NULL || strcmp(value, wanted) != 0)
        fail_msg("%s is %s", name, value != NULL ? value : "not set");
}

static void the_runtime_gets_the_function_s_over_the_machine_s(void **state)
{
    hd_auto(hd_loadreq) l = loaded("{\"handler\":\"a.b\",\"root\":\"/t\",\"lambda\":{},"
                                   "\"env\":{\"PATH\":\"/mine\",\"_X\":\"1\","
                                   "\"AWS_LAMBDA_RUNTIME_API\":\"elsewhere\"}}");
    char **table = hd_envtable_make(l, own, "127.0.0.1:9001", HD_ENV_RUNTIME);
    is(table, "PATH", "/mine");
    is(table, "HOME", "/h");
    is(table, "PORT", "1"); /* the socket was used: this one is the image's own */
    is(table, "_X", "1");
    is(table, "_HANDLER", "a.b");
    is(table, "LAMBDA_TASK_ROOT", "/t");
    is(table, "AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001");
    is(table, "HEDDLE_SOCKET", NULL);
    is(table, "HEDDLE_RUN_DIR", NULL);
    is(table, "HEDDLE_HOST_TOKEN", NULL);
    is(table, "DENO_DIR", NULL);
    hd_envtable_free(table);
    (void)state;
}

static void outside_of_lambda_the_run_folder_is_known(void **state)
{
    hd_auto(hd_loadreq) l = loaded("{}");
    char **table = hd_envtable_make(l, own, "a:1", HD_ENV_RUNTIME);
    is(table, "HEDDLE_RUN_DIR", "/r");
    is(table, "HEDDLE_SOCKET", NULL);
    is(table, "_HANDLER", NULL);
    hd_envtable_free(table);
    char *const by_port[] = {"PORT=1", NULL};
    table = hd_envtable_make(l, by_port, "a:1", HD_ENV_RUNTIME);
    is(table, "PORT", NULL);
    hd_envtable_free(table);
    (void)state;
}

static void extensions_get_less(void **state)
{
    hd_auto(hd_loadreq) l =
        loaded("{\"handler\":\"a.b\",\"lambda\":{},\"env\":{\"MINE\":\"1\",\"_MINE\":\"1\","
               "\"AWS_EXECUTION_ENV\":\"1\",\"AWS_LAMBDA_LOG_GROUP_NAME\":\"1\","
               "\"AWS_LAMBDA_LOG_STREAM_NAME\":\"1\",\"AWS_XRAY_CONTEXT_MISSING\":\"1\","
               "\"AWS_XRAY_DAEMON_ADDRESS\":\"1\",\"LAMBDA_RUNTIME_DIR\":\"1\","
               "\"AWS_LAMBDA_FUNCTION_NAME\":\"fn\"}}");
    char **table = hd_envtable_make(l, own, "a:1", HD_ENV_EXTENSION);
    is(table, "MINE", "1");
    is(table, "AWS_LAMBDA_FUNCTION_NAME", "fn");
    is(table, "AWS_LAMBDA_RUNTIME_API", "a:1");
    static const char *const absent[] = {"_MINE",
                                         "_HANDLER",
                                         "AWS_EXECUTION_ENV",
                                         "AWS_LAMBDA_LOG_GROUP_NAME",
                                         "AWS_LAMBDA_LOG_STREAM_NAME",
                                         "AWS_XRAY_CONTEXT_MISSING",
                                         "AWS_XRAY_DAEMON_ADDRESS",
                                         "LAMBDA_RUNTIME_DIR",
                                         "LAMBDA_TASK_ROOT"};
    for (size_t i = 0; i < HD_COUNT(absent); i++)
        is(table, absent[i], NULL);
    hd_envtable_free(table);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_runtime_gets_the_function_s_over_the_machine_s),
        cmocka_unit_test(outside_of_lambda_the_run_folder_is_known),
        cmocka_unit_test(extensions_get_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
