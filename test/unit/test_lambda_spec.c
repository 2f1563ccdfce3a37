/* test/unit/test_lambda_spec.c - what is launched, made of a document. */
#include "invoke/admission.h"
#include "lambda/deploy/deploy_owner.h"
#include "lambda/deploy/deploy_spec.h"
#include "test.h"

static json_t *document(const char *json)
{
    hd_auto_free char *text = hd_strdup(json);
    for (char *c = text; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    json_t *doc = json_loads(text, 0, NULL);
    assert_non_null(doc);
    return doc;
}

static char *fingerprint(const char *json)
{
    char *out = hd_alloc(HD_FINGERPRINT_CHARS + 1);
    json_t *doc = document(json);
    hd_deploy_fingerprint(out, doc);
    json_decref(doc);
    return out;
}

#define DOC                                                                                 \
    "{'Config':{'Runtime':'nodejs20.x','Handler':'a.b','MemorySize':256,'Timeout':7,"       \
    "'Environment':{'Variables':{'AB':'1','CD':'2'}},'Role':'r','PackageType':'Zip',"       \
    "'Architectures':['x86_64'],'EphemeralStorage':{'Size':600},"                           \
    "'LoggingConfig':{'LogFormat':'JSON','ApplicationLogLevel':'WARN','LogGroup':'/mine'}," \
    "'TracingConfig':{'Mode':'Active'},'SnapStart':{'ApplyOn':'None',"                      \
    "'OptimizationStatus':'Off'}},'Code':{'Digest':'d','Size':1},"                          \
    "'Layers':[{'Arn':'x','Digest':'l1'},{'Arn':'y','Digest':'l2'}]}"

/* The order of members says nothing; what only we write down says nothing. */
static void equal_versions_have_equal_fingerprints(void **state)
{
    static const char *const same[] = {
        "{'Layers':[{'Digest':'l1','CodeSize':9},{'Digest':'l2'}],'Code':{'Size':2,'Digest':'d'},"
        "'Config':{'SnapStart':{'OptimizationStatus':'On','ApplyOn':'None'},'Timeout':900,"
        "'TracingConfig':{'Mode':'Active'},'LoggingConfig':{'LogGroup':'/mine',"
        "'ApplicationLogLevel':'WARN','LogFormat':'JSON'},'EphemeralStorage':{'Size':600},"
        "'Architectures':['x86_64'],'PackageType':'Zip','Role':'r','Environment':{'Variables':"
        "{'CD':'2','AB':'1'}},'MemorySize':256,'Handler':'a.b','Runtime':'nodejs20.x',"
        "'RevisionId':'z','LastModified':'z','Description':'z','State':'Pending'}}",
    };
    hd_auto_free char *one = fingerprint(DOC);
    assert_int_equal(strlen(one), HD_FINGERPRINT_CHARS);
    for (const char *c = one; *c != '\0'; c++)
        assert_null(strchr("+/=", *c));
    for (size_t i = 0; i < HD_COUNT(same); i++) {
        hd_auto_free char *other = fingerprint(same[i]);
        assert_string_equal(other, one);
    }
    (void)state;
}

static void layers_count_in_their_order(void **state)
{
    hd_auto_free char *a = fingerprint("{'Layers':[{'Digest':'1'},{'Digest':'2'}]}");
    hd_auto_free char *b = fingerprint("{'Layers':[{'Digest':'2'},{'Digest':'1'}]}");
    hd_auto_free char *c = fingerprint("{'Layers':[{'Digest':'1'}]}");
    assert_string_not_equal(a, b);
    assert_string_not_equal(a, c);
    const char *digests[HD_BUNDLE_LAYERS_MAX];
    json_t *doc = document(DOC);
    assert_int_equal(hd_deploy_layer_digests(doc, digests), 2);
    assert_string_equal(digests[0], "l1");
    assert_string_equal(digests[1], "l2");
    json_decref(doc);
    (void)state;
}

static void a_launch_says_everything(void **state)
{
    struct hd_deploy_spec s;
    json_t *doc = document(DOC);
    const struct hd_api_options opt = {.functions_root = "/root",
                                       .idle_ms = 1,
                                       .init_timeout_ms = 2,
                                       .queue_wait_ms = 3,
                                       .limits = {.account_concurrency = 50}};
    const struct hd_deploy_place at = {.account = "123456789012",
                                       .region = "eu-west-1",
                                       .name = "f",
                                       .version = "7",
                                       .key = "key",
                                       .instance_version = "v",
                                       .code_dir = "/code",
                                       .opt_dir = "/layers",
                                       .reserved = 5,
                                       .provisioned = 2};
    hd_deploy_spec_init(&s, doc, &at, &opt);
    const struct hd_launch *l = &s.pool.launch;
    assert_string_equal(s.pool.key, "key");
    assert_true(s.pool.at_once);
    assert_string_equal(l->runtime, "node");
    assert_string_equal(l->handler, "a.b");
    assert_string_equal(l->version, "v");
    assert_int_equal(l->memory_mb, 256);
    assert_int_equal(l->timeout_ms, 7000);
    assert_string_equal(l->env[0], "AB=1");
    assert_string_equal(l->env[1], "CD=2");
    assert_null(l->env[2]);
    const struct hd_launch_lambda *la = l->lambda;
    assert_string_equal(la->runtime_id, "nodejs20.x");
    assert_string_equal(la->code_dir, "/code");
    assert_string_equal(la->opt_dir, "/layers");
    assert_null(la->image);
    assert_string_equal(la->architecture, "x86_64");
    assert_string_equal(la->arn, "arn:aws:lambda:eu-west-1:123456789012:function:f");
    assert_string_equal(la->qualifier, "7");
    assert_string_equal(la->log_group, "/mine");
    assert_string_equal(la->log_level, "WARN");
    assert_int_equal(la->ephemeral_mb, 600);
    assert_true(la->log_json);
    assert_true(la->tracing);
    const struct hd_pool_limits *limits = &s.pool.limits;
    assert_int_equal(limits->concurrency, 1);
    assert_int_equal(limits->min, 0);
    assert_int_equal(limits->max, 5);
    assert_int_equal(limits->provisioned, 2);
    assert_int_equal(limits->idle_ms, 1);
    assert_int_equal(limits->start_timeout_ms, 2);
    assert_int_equal(limits->wait_ms, 3);
    assert_true(limits->drain_ms >= 7000); /* a running invocation is not cut by an update */
    assert_true(limits->max_starting >= 2);
    hd_deploy_spec_done(&s);
    json_decref(doc);
    (void)state;
}

static void an_image_has_no_runtime(void **state)
{
    struct hd_deploy_spec s;
    json_t *doc = document(
        "{'Config':{'PackageType':'Image','MemorySize':128,'Timeout':3,'ImageConfigResponse':"
        "{'ImageConfig':{'EntryPoint':['/e','x'],'WorkingDirectory':'/w'}}},"
        "'Code':{'ImageUri':'i:1','ResolvedImageUri':'i@sha256:0'}}");
    const struct hd_api_options opt = {.limits = {.account_concurrency = 50}};
    const struct hd_deploy_place at = {.account = "1",
                                       .region = "r",
                                       .name = "f",
                                       .version = "$LATEST",
                                       .key = "key",
                                       .instance_version = "v",
                                       .reserved = -1};
    hd_deploy_spec_init(&s, doc, &at, &opt);
    const struct hd_launch_lambda *la = s.pool.launch.lambda;
    assert_string_equal(s.pool.launch.runtime, "image");
    assert_string_equal(la->image, "i@sha256:0");
    assert_string_equal(la->image_entry_point[0], "/e");
    assert_string_equal(la->image_entry_point[1], "x");
    assert_null(la->image_entry_point[2]);
    assert_null(la->image_command);
    assert_string_equal(la->image_workdir, "/w");
    assert_int_equal(s.pool.limits.max, 50);
    hd_deploy_spec_done(&s);
    json_decref(doc);
    (void)state;
}

static void runtimes_have_families(void **state)
{
    static const char *const cases[][2] = {
        {"nodejs22.x", "node"},   {"python3.12", "python"}, {"provided.al2023", "provided"},
        {"provided", "provided"}, {"java21", "java"},       {"dotnet8", "dotnet"},
        {"ruby3.4", "ruby"},      {"go1.x", "go"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        json_t *config = json_pack("{s:s}", "Runtime", cases[i][0]);
        assert_string_equal(hd_deploy_runtime(config), cases[i][1]);
        json_decref(config);
    }
    (void)state;
}

/* --- owners --- */

static enum hd_admitted enter(struct hd_deploy_owner *o, struct hd_admission_slot *slot)
{
    return hd_admission_enter(slot, o->admission, NULL);
}

static void what_one_function_reserves_others_do_not_have(void **state)
{
    struct hd_deploy_owners all;
    struct hd_admission_slot slots[4] = {{NULL}};
    hd_deploy_owners_init(&all, 3);
    struct hd_deploy_owner *a = hd_deploy_owner_hold(&all, hd_str("0/r/a"));
    struct hd_deploy_owner *b = hd_deploy_owner_hold(&all, hd_str("0/r/b"));
    struct hd_deploy_owner *far = hd_deploy_owner_hold(&all, hd_str("0/s/a"));
    assert_ptr_equal(hd_deploy_owner_hold(&all, hd_str("0/r/a")), a); /* another version */
    hd_deploy_owner_promise(&all, a, 2, 0);
    assert_int_equal(enter(b, &slots[0]), HD_ADMITTED);
    assert_int_equal(enter(b, &slots[1]), HD_THROTTLED_ACCOUNT);
    assert_int_equal(enter(a, &slots[1]), HD_ADMITTED);
    assert_int_equal(enter(a, &slots[2]), HD_ADMITTED);
    assert_int_equal(enter(a, &slots[3]), HD_THROTTLED_FUNCTION);
    assert_int_equal(enter(far, &slots[3]), HD_ADMITTED); /* another region */
    hd_admission_leave(&slots[3]);
    /* What is provisioned is taken from the others as well, unless it lies in a reservation. */
    hd_deploy_owner_promise(&all, a, -1, 3);
    assert_int_equal(enter(b, &slots[3]), HD_THROTTLED_ACCOUNT);
    hd_deploy_owner_promise(&all, a, -1, 0);
    hd_admission_leave(&slots[0]);
    assert_int_equal(enter(b, &slots[0]), HD_ADMITTED);
    for (size_t i = 0; i < HD_COUNT(slots); i++)
        hd_admission_leave(&slots[i]);
    hd_deploy_owner_let_go(&all, a);
    assert_non_null(hd_deploy_owner_find(&all, hd_str("0/r/a")));
    hd_deploy_owner_let_go(&all, a);
    assert_null(hd_deploy_owner_find(&all, hd_str("0/r/a")));
    hd_deploy_owner_let_go(&all, b);
    hd_deploy_owner_let_go(&all, far);
    hd_deploy_owners_done(&all);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_versions_have_equal_fingerprints),
        cmocka_unit_test(layers_count_in_their_order),
        cmocka_unit_test(a_launch_says_everything),
        cmocka_unit_test(an_image_has_no_runtime),
        cmocka_unit_test(runtimes_have_families),
        cmocka_unit_test(what_one_function_reserves_others_do_not_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
