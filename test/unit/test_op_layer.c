/* test/unit/test_op_layer.c - layers: published, listed, used by functions, deleted. */
#include "op_rig.h"

#define LAYERS "/2018-10-31/layers"
#define VERSIONS LAYERS "/tools/versions"
#define ARN "arn:aws:lambda:us-east-1:000000000000:layer:tools"
#define GONE "The resource you requested does not exist."

/* Publish a version whose content is one file with this text. */
static void publish(struct lr *r, const char *layer, const char *text, const char *more)
{
    hd_auto_free char *zip = lr_zip("nodejs/a.js", text);
    hd_auto_free char *body = hd_printf("{\"Content\":{\"ZipFile\":\"%s\"}%s}", zip, more);
    hd_auto_free char *line = hd_printf("POST " LAYERS "/%s/versions", layer);
    op_ok(r, 201, line, body);
}

static void start(struct lr *r)
{
    lr_init(r);
    lr_open(r);
}

static void a_version_is_published_and_read(void **state)
{
    struct lr r;
    start(&r);
    publish(&r, "tools", "1",
            ",\"Description\":\"d\",\"LicenseInfo\":\"MIT\",\"CompatibleRuntimes\":"
            "[\"nodejs20.x\"],\"CompatibleArchitectures\":[\"x86_64\",\"arm64\"]");
    assert_string_equal(lr_text(&r, "LayerArn"), ARN);
    assert_string_equal(lr_text(&r, "LayerVersionArn"), ARN ":1");
    assert_int_equal(op_number(&r, "Version"), 1);
    assert_string_equal(lr_text(&r, "CompatibleArchitectures.1"), "arm64");
    hd_auto_free char *sha = hd_strdup(lr_text(&r, "Content.CodeSha256"));
    json_int_t size = op_number(&r, "Content.CodeSize");
    publish(&r, "tools", "2", "");
    assert_int_equal(op_number(&r, "Version"), 2);
    op_restart(&r);
    op_ok(&r, 200, "GET " VERSIONS "/1", NULL);
    assert_string_equal(lr_text(&r, "Content.CodeSha256"), sha);
    assert_int_equal(op_number(&r, "Content.CodeSize"), size);
    assert_string_equal(lr_text(&r, "Description"), "d");
    assert_string_equal(lr_text(&r, "LicenseInfo"), "MIT");
    op_ok(&r, 200, "GET " LAYERS "?find=LayerVersion&Arn=" ARN ":2", NULL);
    assert_int_equal(op_number(&r, "Version"), 2);
    op_ok(&r, 200,
          "GET " LAYERS "/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Alayer%3Atools/"
          "versions/2",
          NULL);
    /* the link is a download of the archive */
    const char *link = lr_text(&r, "Content.Location");
    assert_true(hd_str_starts(hd_str(link), hd_str("http://127.0.0.1:8766/")));
    hd_auto_free char *line = hd_printf("GET %s", strchr(link + 7, '/'));
    op_ok(&r, 200, line, NULL);
    assert_non_null(r.file);
    op_ok(&r, 200, "GET /2016-08-19/account-settings", NULL);
    assert_true(op_number(&r, "AccountUsage.TotalCodeSize") >= 2 * size);
    lr_done(&r);
    (void)state;
}

static void numbers_are_never_used_again(void **state)
{
    struct lr r;
    start(&r);
    publish(&r, "tools", "1", "");
    publish(&r, "tools", "2", "");
    op_ok(&r, 204, "DELETE " VERSIONS "/2", NULL);
    op_ok(&r, 204, "DELETE " VERSIONS "/2", NULL);
    op_ok(&r, 204, "DELETE " VERSIONS "/77", NULL);
    op_refused(&r, "ResourceNotFoundException", GONE, "GET " VERSIONS "/2", NULL);
    op_restart(&r);
    publish(&r, "tools", "3", "");
    assert_int_equal(op_number(&r, "Version"), 3);
    lr_done(&r);
    (void)state;
}

static void lists_the_newest_first(void **state)
{
    struct lr r;
    start(&r);
    for (int i = 1; i <= 11; i++)
        publish(&r, "tools", "1",
                i == 3 ? ",\"CompatibleRuntimes\":[\"python3.12\"]"
                       : ",\"CompatibleRuntimes\":[\"nodejs20.x\"],\"CompatibleArchitectures\":"
                         "[\"arm64\"]");
    publish(&r, "other", "1", "");
    op_ok(&r, 200, "GET " VERSIONS "?MaxItems=2", NULL);
    assert_int_equal(op_number(&r, "LayerVersions.0.Version"), 11);
    assert_int_equal(op_number(&r, "LayerVersions.1.Version"), 10);
    assert_false(lr_has(&r, "LayerVersions.0.Content"));
    hd_auto_free char *next =
        hd_printf("GET " VERSIONS "?MaxItems=2&Marker=%s", lr_text(&r, "NextMarker"));
    op_ok(&r, 200, next, NULL);
    assert_int_equal(op_number(&r, "LayerVersions.0.Version"), 9);
    op_ok(&r, 200, "GET " VERSIONS "?CompatibleRuntime=python3.12", NULL);
    assert_int_equal(op_number(&r, "LayerVersions.0.Version"), 3);
    assert_false(lr_has(&r, "LayerVersions.1"));
    assert_false(lr_has(&r, "NextMarker"));
    op_ok(&r, 200, "GET " LAYERS, NULL);
    assert_string_equal(lr_text(&r, "Layers.0.LayerName"), "other");
    assert_int_equal(op_number(&r, "Layers.1.LatestMatchingVersion.Version"), 11);
    op_ok(&r, 200, "GET " LAYERS "?CompatibleRuntime=python3.12", NULL);
    assert_int_equal(op_number(&r, "Layers.0.LatestMatchingVersion.Version"), 3);
    assert_false(lr_has(&r, "Layers.1"));
    op_ok(&r, 200, "GET " LAYERS "?CompatibleArchitecture=x86_64", NULL);
    assert_false(lr_has(&r, "Layers.0"));
    op_ok(&r, 200, "GET " LAYERS "/unknown/versions", NULL);
    assert_string_equal(r.text, "{\"LayerVersions\":[]}");
    lr_done(&r);
    (void)state;
}

static void refuses_what_cannot_be(void **state)
{
    struct lr r;
    start(&r);
    op_refused(&r, "InvalidParameterValueException", "Layer Version Cannot be less than 1",
               "GET " VERSIONS "/0", NULL);
    op_refused(&r, "ResourceNotFoundException", GONE, "GET " VERSIONS "/1", NULL);
    op_refused(&r, "InvalidParameterValueException",
               "Could not unzip uploaded file. Please check your file, then try to upload again.",
               "POST " VERSIONS, "{\"Content\":{\"ZipFile\":\"YWJj\"}}");
    lr_ask(&r, "POST " VERSIONS, "{\"Content\":{}}");
    assert_string_equal(r.type, "InvalidParameterValueException");
    lr_ask(&r, "POST " VERSIONS, "{}");
    assert_string_equal(r.type, "ValidationException");
    hd_auto_free char *zip = lr_zip("a", "b");
    hd_auto_free char *cobol =
        hd_printf("{\"Content\":{\"ZipFile\":\"%s\"},\"CompatibleRuntimes\":[\"cobol\"]}", zip);
    lr_ask(&r, "POST " VERSIONS, cobol);
    assert_string_equal(r.type, "ValidationException");
    lr_ask(&r, "GET " LAYERS "?CompatibleRuntime=cobol", NULL);
    assert_string_equal(r.type, "ValidationException");
    lr_ask(&r, "POST " LAYERS "/arn:aws:lambda:eu-west-1:000000000000:layer:tools/versions",
           "{\"Content\":{\"ZipFile\":\"YWJj\"}}");
    assert_string_equal(r.type, "AccessDeniedException");
    lr_done(&r);
    (void)state;
}

/* Ask for these layers. */
static void attach(struct lr *r, const char *layers)
{
    hd_auto_free char *body = hd_printf("{\"Layers\":[%s]}", layers);
    lr_ask(r, "PUT " LR_FUNCTIONS "/demo/configuration", body);
}

static void says(struct lr *r, const char *type, const char *message)
{
    if (strcmp(r->type, type) != 0 || strcmp(lr_text(r, "message"), message) != 0)
        fail_msg("wanted %s: %s\ngot %u %s", type, message, r->status, r->text);
}

static void functions_attach_layers_in_order(void **state)
{
    struct lr r;
    start(&r);
    lr_create(&r, "demo");
    publish(&r, "tools", "1", "");
    publish(&r, "tools", "2", "");
    publish(&r, "other", "1", "");
    attach(&r, "\"" ARN ":2\",\"arn:aws:lambda:us-east-1:000000000000:layer:other:1\"");
    assert_int_equal(r.status, 200);
    lr_settle(&r, "demo");
    assert_string_equal(lr_text(&r, "Layers.0.Arn"), ARN ":2");
    assert_true(op_number(&r, "Layers.0.CodeSize") > 0);
    assert_true(lr_has(&r, "Layers.1"));
    /* a version that a function has may be deleted: the function keeps it */
    op_ok(&r, 204, "DELETE " VERSIONS "/2", NULL);
    op_restart(&r);
    lr_settle(&r, "demo");
    assert_string_equal(lr_text(&r, "State"), "Active");
    struct hd_lease lease;
    struct hd_error err;
    const struct lr_launch *launch = lr_take(&r, lr_version(&r, "demo", ""), &lease, &err);
    assert_non_null(launch);
    hd_auto_free char *file = hd_printf("%s/nodejs/a.js", launch->opt_dir);
    FILE *f = fopen(file, "r");
    assert_non_null(f);
    char text[8] = "";
    assert_int_equal(fread(text, 1, sizeof(text) - 1, f), 1);
    fclose(f);
    assert_string_equal(text, "1"); /* the later layer has the last word */
    lr_give(&r, &lease);
    attach(&r, "");
    assert_int_equal(r.status, 200);
    lr_done(&r);
    (void)state;
}

static void functions_cannot_attach_everything(void **state)
{
    struct lr r;
    start(&r);
    lr_create(&r, "demo");
    publish(&r, "tools", "1", "");
    publish(&r, "tools", "2", "");
    attach(&r, "\"" ARN ":1\",\"" ARN ":2\"");
    says(&r, "InvalidParameterValueException",
         "Two different versions of the same layer are not allowed to be referenced in the same "
         "function. " ARN ":2 and " ARN ":1");
    attach(&r, "\"" ARN ":3\"");
    says(&r, "InvalidParameterValueException", "Layer version " ARN ":3 does not exist.");
    attach(&r, "\"arn:aws:lambda:eu-west-1:000000000000:layer:tools:1\"");
    says(&r, "InvalidParameterValueException",
         "Layers are not in the same region as the function. Layers are expected to be in region "
         "us-east-1.");
    attach(&r, "\"" ARN "\"");
    assert_string_equal(r.type, "ValidationException");
    struct hd_buf many;
    hd_buf_init(&many, 1024);
    for (int i = 0; i < 6; i++) {
        char layer[8];
        snprintf(layer, sizeof(layer), "l%d", i);
        publish(&r, layer, "1", "");
        hd_buf_fmt(&many, "%s\"arn:aws:lambda:us-east-1:000000000000:layer:l%d:1\"",
                   i > 0 ? "," : "", i);
    }
    hd_auto_free char *layers = hd_buf_take(&many);
    attach(&r, layers);
    says(&r, "InvalidParameterValueException", "Cannot reference more than 5 layers.");
    lr_done(&r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_version_is_published_and_read),
        cmocka_unit_test(numbers_are_never_used_again),
        cmocka_unit_test(lists_the_newest_first),
        cmocka_unit_test(refuses_what_cannot_be),
        cmocka_unit_test(functions_attach_layers_in_order),
        cmocka_unit_test(functions_cannot_attach_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
