#include "lambda/deploy/deploy_task.h"

#include "core/id.h"
#include "core/work.h"
#include "functions/bundle.h"
#include "lambda/deploy/deploy_spec.h"
#include "lambda/api/op.h"

#include <sys/stat.h>

enum { AGAIN_MS = 1000 };

struct hd_deploy_task {
    struct hd_deploy_task_options opt; /* key and problem are its own */
    struct hd_timer again;
    bool forgotten, stopped, bad_image;
    bool telling, ready; /* progress is on its way to the disk; it is over */

    /* for the work thread */
    char *runtime, *handler, *code_dir, *opt_dir;
    bool found;
};

/* --- the handler's file --- */

static bool is_file(const char *dir, const char *name, size_t len, const char *ending)
{
    struct stat st;
    hd_auto_free char *path = hd_printf("%s/%.*s%s", dir, (int)len, name, ending);
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* "folder/file.export.nested": the file is what stands before the first dot of the last part. */
static bool has_node(const char *handler, const char *dir)
{
    static const char *const endings[] = {"", ".js", ".mjs", ".cjs"};
    const char *last = strrchr(handler, '/');
    size_t len = (size_t)(strchrnul(last != NULL ? last : handler, '.') - handler);
    for (size_t i = 0; i < HD_COUNT(endings); i++)
        if (is_file(dir, handler, len, endings[i]))
            return true;
    return false;
}

/* "package.module.function" or "package/module.function": the module is all but the last part. */
static bool has_python(const char *handler, const char *dir)
{
    const char *dot = strrchr(handler, '.');
    hd_auto_free char *module =
        hd_strdup_n(hd_str_n(handler, dot != NULL ? (size_t)(dot - handler) : strlen(handler)));
    for (char *c = module; *c != '\0'; c++)
        *c = *c == '.' ? '/' : *c;
    size_t len = strlen(module);
    return is_file(dir, module, len, ".py") || is_file(dir, module, len, "/__init__.py") ||
           is_file(dir, module, len, ".pyc");
}

bool hd_deploy_has_handler(const char *runtime, const char *handler, const char *code_dir,
                           const char *opt_dir)
{
    if (strcmp(runtime, "provided") == 0)
        return is_file(code_dir, "bootstrap", 9, "") ||
               (opt_dir != NULL && is_file(opt_dir, "bootstrap", 9, ""));
    if (strcmp(runtime, "node") == 0)
        return has_node(handler, code_dir);
    if (strcmp(runtime, "python") != 0)
        return true;
    hd_auto_free char *packages = hd_printf("%s/python", opt_dir != NULL ? opt_dir : "");
    return has_python(handler, code_dir) || (opt_dir != NULL && has_python(handler, packages));
}

/* --- the state --- */

static void finish(struct hd_deploy_task *t)
{
    hd_timer_stop(t->opt.api->control, &t->again);
    t->opt.done(t->opt.arg, t, t->opt.key);
    free((char *)t->opt.key);
    free((char *)t->opt.problem);
    free(t->runtime);
    free(t->handler);
    free(t->code_dir);
    free(t->opt_dir);
    free(t);
}

static void settle(struct hd_deploy_task *t);

static void try_again(struct hd_timer *timer)
{
    settle(hd_container_of(timer, struct hd_deploy_task, again));
}

static void on_stored(void *arg, const struct hd_error *err)
{
    struct hd_deploy_task *t = arg;
    if (err == NULL || t->stopped) {
        finish(t);
        return;
    }
    hd_log(t->opt.api->log, HD_WARN, "a function's new state could not be stored, trying again",
           hd_kv_str("function", t->opt.key), hd_kv_str("error", err->msg));
    hd_timer_start(t->opt.api->control, &t->again, AGAIN_MS, try_again);
}

static void say(json_t *config, const char *prefix, const char *status, const char *reason,
                const char *code)
{
    char name[64];
    snprintf(name, sizeof(name), "%sReason", prefix);
    json_object_del(config, name);
    if (reason != NULL)
        hd_op_set(config, name, reason);
    snprintf(name, sizeof(name), "%sReasonCode", prefix);
    json_object_del(config, name);
    if (code != NULL)
        hd_op_set(config, name, code);
    hd_op_set(config, strcmp(prefix, "State") == 0 ? "State" : "LastUpdateStatus", status);
}

static void set_state(const struct hd_deploy_task *t, json_t *doc)
{
    json_t *config = json_object_get(doc, "Config");
    json_t *snap = json_object_get(config, "SnapStart");
    const char *state = json_string_value(json_object_get(config, "State"));
    char revision[HD_UUID_CHARS + 1];
    bool first = state == NULL || strcmp(state, "Active") != 0;
    const char *code = t->opt.problem == NULL ? NULL
                       : t->bad_image         ? "InvalidImage"
                                              : "InvalidRuntime";
    if (first)
        say(config, "State", t->opt.problem != NULL ? "Failed" : "Active", t->opt.problem, code);
    say(config, "LastUpdateStatus", t->opt.problem != NULL ? "Failed" : "Successful",
        t->opt.problem, code);
    if (t->opt.problem == NULL)
        json_object_del(doc, "Serving");
    if (t->opt.problem == NULL && t->opt.kind == HD_RECORD_VERSION &&
        hd_str_is(hd_str(json_string_value(json_object_get(snap, "ApplyOn"))), "PublishedVersions"))
        hd_op_set(snap, "OptimizationStatus", "On");
    hd_op_new_revision(revision);
    hd_op_set(config, "RevisionId", revision);
}

static void settle(struct hd_deploy_task *t)
{
    json_t *doc =
        t->forgotten || t->stopped ? NULL : hd_catalog_get(t->opt.catalog, t->opt.kind, t->opt.key);
    if (doc == NULL) {
        finish(t);
        return;
    }
    set_state(t, doc);
    struct hd_change *ch = hd_change_new(t->opt.catalog);
    hd_change_put(ch, t->opt.kind, t->opt.key, doc);
    json_decref(doc);
    hd_change_commit(ch, on_stored, t);
}

static void look(void *arg)
{
    struct hd_deploy_task *t = arg;
    t->found = hd_deploy_has_handler(t->runtime, t->handler, t->code_dir, t->opt_dir);
}

static void fetch_image(struct hd_deploy_task *t, const json_t *doc);

/* A handler that is not there is the function's own fault, and it says so when it is called. */
static void looked(void *arg)
{
    struct hd_deploy_task *t = arg;
    if (!t->found)
        hd_log(t->opt.api->log, HD_WARN, "the code has no file for the handler",
               hd_kv_str("function", t->opt.key), hd_kv_str("runtime", t->runtime),
               hd_kv_str("handler", t->handler));
    json_t *doc = t->forgotten || t->stopped || t->opt.api->prepare_image == NULL
                      ? NULL
                      : hd_catalog_get(t->opt.catalog, t->opt.kind, t->opt.key);
    if (doc != NULL)
        fetch_image(t, doc);
    else
        settle(t);
    json_decref(doc);
}

static void on_told(void *arg, const struct hd_error *err)
{
    struct hd_deploy_task *t = arg;
    (void)err; /* the next one may get there */
    t->telling = false;
    if (t->ready)
        settle(t);
}

/* The reason of a state that is not final says how far it is. */
static void on_progress(void *arg, const char *text)
{
    struct hd_deploy_task *t = arg;
    json_t *doc = t->telling || t->forgotten || t->stopped
                      ? NULL
                      : hd_catalog_get(t->opt.catalog, t->opt.kind, t->opt.key);
    json_t *config = json_object_get(doc, "Config");
    if (doc == NULL)
        return;
    if (hd_str_is(hd_str(json_string_value(json_object_get(config, "State"))), "Pending"))
        say(config, "State", "Pending", text, "Creating");
    else
        say(config, "LastUpdateStatus", "InProgress", text, NULL);
    struct hd_change *ch = hd_change_new(t->opt.catalog);
    hd_change_put(ch, t->opt.kind, t->opt.key, doc);
    json_decref(doc);
    t->telling = true;
    hd_change_commit(ch, on_told, t);
}

static void on_image(void *arg, const struct hd_error *err)
{
    struct hd_deploy_task *t = arg;
    if (err != NULL) {
        t->bad_image = true;
        t->opt.problem = hd_strdup(err->msg);
    }
    t->ready = true;
    if (!t->telling)
        settle(t);
}

/* Ask for the image of a version. */
static void fetch_image(struct hd_deploy_task *t, const json_t *doc)
{
    struct hd_deploy_spec spec;
    const struct hd_deploy_place at = {.account = "",
                                       .region = "",
                                       .name = t->opt.key,
                                       .version = "",
                                       .key = t->opt.key,
                                       .instance_version = "",
                                       .reserved = -1};
    hd_deploy_spec_init(&spec, doc, &at, t->opt.api);
    t->opt.api->prepare_image(t->opt.api->arg, &spec.pool.launch, on_progress, on_image, t);
    hd_deploy_spec_done(&spec);
}

static void settle_later(void *arg)
{
    settle(arg);
}

struct hd_deploy_task *hd_deploy_task_start(const struct hd_deploy_task_options *opt)
{
    struct hd_deploy_task *t = hd_new(struct hd_deploy_task);
    const json_t *config = json_object_get(opt->doc, "Config");
    const json_t *code = json_object_get(opt->doc, "Code");
    const char *digest = json_string_value(json_object_get(code, "Digest"));
    const char *folder = json_string_value(json_object_get(code, "Directory"));
    const char *handler = json_string_value(json_object_get(config, "Handler"));
    const char *layers[HD_BUNDLE_LAYERS_MAX], *runtime = hd_deploy_runtime(config);
    char key[HD_DIGEST_CHARS + 1];
    size_t n = hd_deploy_layer_digests(opt->doc, layers);
    t->opt = *opt;
    t->opt.doc = NULL;
    t->opt.key = hd_strdup(opt->key);
    t->opt.problem = hd_strdup(opt->problem);
    t->runtime = hd_strdup(runtime != NULL ? runtime : "image");
    t->handler = hd_strdup(handler != NULL ? handler : "");
    t->code_dir = digest != NULL ? hd_bundles_dir(opt->api->bundles, digest) : hd_strdup(folder);
    if (n > 0) {
        hd_bundles_merge_key(key, layers, n);
        t->opt_dir = hd_bundles_dir(opt->api->bundles, key);
    }
    bool work = opt->problem == NULL && t->code_dir != NULL;
    if (opt->problem == NULL && t->code_dir == NULL && opt->api->prepare_image != NULL)
        fetch_image(t, opt->doc);
    else if (!work || hd_work(opt->api->control, look, looked, t, NULL) < 0)
        hd_loop_post(opt->api->control, settle_later, t);
    return t;
}

void hd_deploy_task_forget(struct hd_deploy_task *t)
{
    if (t != NULL)
        t->forgotten = true;
}

void hd_deploy_task_stop(struct hd_deploy_task *t)
{
    if (t == NULL)
        return;
    t->stopped = true;
    if (hd_timer_active(&t->again))
        hd_timer_start(t->opt.api->control, &t->again, 0, try_again);
}
