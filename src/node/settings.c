/* settings.c - load the options of a node and settle what depends on more than one of them. */
#include "node/settings.h"

#include "broker/amqp.h"

#include "core/exit.h"
#include "core/ipaddr.h"
#include "core/suggest.h"
#include "lambda/sources/schedule.h"
#include "node/devkeys.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

enum { MAX_ASYNC_DELAY_MS = 21600000 /* no event lives longer */ };

static struct hd_str no_text = {NULL, 0};

static void set_default(struct hd_node_options *opt, const char *key, const char *value,
                        const char *origin)
{
    hd_option_set_value(&opt->set, hd_option_find(&opt->set, key), HD_OPTION_DEFAULT, hd_str(value),
                        NULL, origin, NULL);
}

static bool is_default(const struct hd_node_options *opt, const char *key)
{
    return hd_option_origin(&opt->set, key)->rank == HD_OPTION_DEFAULT;
}

/* A wrong value that only the whole shows: says who said it; a flag is a usage error. */
__attribute__((format(printf, 5, 6))) static int refuse(const struct hd_node_options *opt,
                                                        struct hd_node_sources *src,
                                                        struct hd_error *err, const char *key,
                                                        const char *fmt, ...)
{
    const struct hd_option_origin *from = hd_option_origin(&opt->set, key);
    char what[200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    src->exit_code = from->rank == HD_OPTION_FROM_FLAG ? HD_EXIT_USAGE : HD_EXIT_CONFIG;
    return hd_fail(err, HD_EINVAL, "%s: %s", from->rank == HD_OPTION_DEFAULT ? key : from->text,
                   what);
}

static void warn(struct hd_node_options *opt, const char *sentence)
{
    struct hd_option_list *w = &opt->warnings;
    w->items = hd_realloc_array(w->items, w->n + 2, sizeof(char *));
    w->items[w->n++] = hd_strdup(sentence);
    w->items[w->n] = NULL;
}

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void settle_paths(struct hd_node_options *opt)
{
    if (opt->functions_dir == NULL) {
        hd_auto_free char *usual = hd_printf("%s/supabase/functions", opt->cwd);
        hd_auto_free char *plain = hd_printf("%s/functions", opt->cwd);
        set_default(opt, "functions_dir", is_dir(usual) ? usual : plain, "default");
    }
    hd_auto_free char *sock = hd_printf("%s/run/admin.sock", opt->data_dir);
    set_default(opt, "admin.socket", sock, "default");
}

/* One slash in front, none behind, none doubled; only characters that need no escape in a URL. */
static int settle_prefix(struct hd_node_options *opt, struct hd_node_sources *src,
                         struct hd_error *err)
{
    struct hd_buf clean;
    hd_buf_init(&clean, 1024);
    struct hd_str rest = hd_str(opt->route_prefix), part;
    while (hd_str_split(&part, &rest, '/')) {
        if (part.len == 0)
            continue;
        bool dots = hd_str_is(part, ".") || hd_str_is(part, "..");
        for (size_t i = 0; i < part.len; i++) {
            unsigned char c = (unsigned char)part.ptr[i];
            if (dots || !(isalnum(c) || strchr("-._~", c) != NULL)) {
                hd_buf_done(&clean);
                return refuse(opt, src, err, "listen.route_prefix",
                              "must be a path of letters, digits and -._~, such as /functions/v1");
            }
        }
        hd_buf_char(&clean, '/');
        hd_buf_str(&clean, part);
    }
    if (hd_buf_failed(&clean)) {
        hd_buf_done(&clean);
        return refuse(opt, src, err, "listen.route_prefix", "is longer than 1024 bytes");
    }
    if (clean.len == 0)
        hd_buf_cstr(&clean, "/functions/v1");
    free(opt->route_prefix);
    opt->route_prefix = hd_buf_take(&clean);
    return 0;
}

static void settle_machine(struct hd_node_options *opt)
{
    unsigned cores = uv_available_parallelism();
    if (opt->threads == 0)
        opt->threads = HD_MIN(cores, 64u);
    if (opt->boot_lanes == 0) {
        unsigned least = HD_MAX(cores, 8u);
        opt->boot_lanes = HD_MIN(least, 16u);
    }
}

static void settle_sandbox(struct hd_node_options *opt)
{
    static const char *const keys[] = {"sandbox.namespaces", "sandbox.seccomp", "sandbox.cgroups"};
    static const char *const words[] = {"auto", "off", "require"};
    const char *from = hd_node_options_origin(opt, "sandbox.mode");
    for (size_t i = 0; i < HD_COUNT(keys); i++)
        set_default(opt, keys[i], words[opt->sandbox], from);
    if (opt->allow_all && opt->enforce_manifest)
        warn(opt, "allow-all is set: the permissions in manifests are not enforced");
    else if (opt->allow_all)
        warn(opt, "allow-all is set: every function gets everything");
}

static void settle_modes(struct hd_node_options *opt)
{
    if (opt->dev || opt->hmr)
        set_default(opt, "boot.defer", "true",
                    opt->dev ? "default with --dev" : "default with --hmr");
    if (opt->dev)
        set_default(opt, "log.buffer_ms", "0", "default with --dev");
    opt->admin_tcp = !is_default(opt, "admin.port");
    opt->cors_max_age_given = !is_default(opt, "cors.max_age_s");
    opt->cors_credentials_given = !is_default(opt, "cors.allow_credentials");
}

static bool list_has(const struct hd_option_list *list, const char *item)
{
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->items[i], item) == 0)
            return true;
    }
    return false;
}

static int check_cors(struct hd_node_options *opt, struct hd_node_sources *src,
                      struct hd_error *err)
{
    bool any = list_has(&opt->cors_origins, "*") || (opt->dev && opt->cors_origins.n == 0);
    if (any && opt->cors_credentials_given && opt->cors_credentials)
        return refuse(opt, src, err, "cors.allow_credentials",
                      "credentials for any origin would let every site act as the user; list the "
                      "origins in cors.origins (HEDDLE_CORS_ORIGIN)");
    if (opt->cors_enforce && opt->cors_origins.n == 0 && !opt->dev)
        return refuse(opt, src, err, "cors.enforce",
                      "needs the origins that may call in cors.origins (HEDDLE_CORS_ORIGIN)");
    return 0;
}

static int check_algorithms(struct hd_node_options *opt, struct hd_node_sources *src,
                            struct hd_error *err)
{
    static const char *const known[] = {"HS256", "HS384", "HS512", "RS256", "RS384", "RS512",
                                        "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"};
    for (size_t i = 0; i < opt->jwt_algorithms.n; i++) {
        const char *name = opt->jwt_algorithms.items[i];
        struct hd_suggest best = {0};
        bool found = false;
        for (size_t k = 0; k < HD_COUNT(known); k++) {
            found = found || strcmp(known[k], name) == 0;
            hd_suggest_try(&best, hd_str(name), known[k]);
        }
        if (!found && best.word != NULL)
            return refuse(opt, src, err, "auth.algorithms",
                          "no algorithm of tokens is called \"%.30s\"; did you mean %s?", name,
                          best.word);
        if (!found)
            return refuse(opt, src, err, "auth.algorithms",
                          "\"%.30s\" is not accepted; known are HS256, HS384, HS512, RS256, ES256, "
                          "EdDSA and their sisters",
                          name);
    }
    return 0;
}

static void trim_secret(char *secret)
{
    struct hd_str kept = hd_str(secret);
    while (kept.len > 0 && isspace((unsigned char)kept.ptr[kept.len - 1]))
        kept.len--;
    while (kept.len > 0 && isspace((unsigned char)kept.ptr[0]))
        kept = hd_str_n(kept.ptr + 1, kept.len - 1);
    memmove(secret, kept.ptr, kept.len);
    explicit_bzero(secret + kept.len, strlen(secret + kept.len));
}

static int check_auth(struct hd_node_options *opt, struct hd_node_sources *src,
                      struct hd_error *err)
{
    int sets = (opt->jwks_url != NULL) + (opt->jwks_file != NULL) + (opt->jwks != NULL);
    if (sets > 1)
        return refuse(opt, src, err, opt->jwks_url != NULL ? "auth.jwks_url" : "auth.jwks_file",
                      "only one of auth.jwks_url, auth.jwks_file and auth.jwks can be used");
    if (opt->jwks_url != NULL && strncmp(opt->jwks_url, "https://", 8) != 0 &&
        strncmp(opt->jwks_url, "http://", 7) != 0)
        return refuse(opt, src, err, "auth.jwks_url", "must begin with https:// or http://");
    if (opt->internal_key != NULL) {
        trim_secret(opt->internal_key);
        if (opt->internal_key[0] == '\0')
            hd_option_set_value(&opt->set, hd_option_find(&opt->set, "auth.internal_key"),
                                HD_OPTION_FROM_FLAG, no_text, NULL, "default", NULL);
    }
    bool known = opt->jwt_secret != NULL && strcmp(opt->jwt_secret, HD_KNOWN_SECRET) == 0;
    bool serves = (src->command & (HD_CMD_SERVE | HD_CMD_DEV)) != 0;
    if (known && serves && !opt->dev && !opt->allow_known_secret)
        return refuse(opt, src, err, "auth.jwt_secret",
                      "this is the published development secret: anybody can make tokens with it; "
                      "set one of your own (openssl rand -hex 32), or use --dev");
    if (known && !opt->dev)
        warn(opt, "the published development secret is in use: anybody can make tokens");
    return check_algorithms(opt, src, err);
}

static int check_rest(struct hd_node_options *opt, struct hd_node_sources *src,
                      struct hd_error *err)
{
    struct sockaddr_un sun;
    if (opt->min_instances > opt->max_instances)
        return refuse(opt, src, err, is_default(opt, "pool.min") ? "pool.max" : "pool.min",
                      "pool.min (%u) is over pool.max (%u)", opt->min_instances,
                      opt->max_instances);
    if (strlen(opt->admin_socket) >= sizeof(sun.sun_path))
        return refuse(opt, src, err, is_default(opt, "admin.socket") ? "data_dir" : "admin.socket",
                      "the path of the admin socket is longer than %zu bytes, which no socket can "
                      "have; choose a shorter one with --admin-socket",
                      sizeof(sun.sun_path) - 1);
    if (opt->target_bytes > opt->head_bytes)
        return refuse(opt, src, err,
                      is_default(opt, "limits.target_bytes") ? "limits.head_bytes"
                                                             : "limits.target_bytes",
                      "the path (limits.target_bytes, %u) is part of the head (limits.head_bytes, "
                      "%u) and cannot be longer",
                      opt->target_bytes, opt->head_bytes);
    return 0;
}

static int read_args(struct hd_node_options *opt, struct hd_node_sources *src, struct hd_error *err)
{
    struct hd_option_set *const sets[] = {&src->own, &opt->set};
    struct hd_option_args args = {.sets = sets,
                                  .n_sets = HD_COUNT(sets),
                                  .command = src->command,
                                  .words = src->words,
                                  .max_words = src->max_words};
    if (src->command == HD_CMD_DEV) {
        static const char *const keys[] = {"dev", "hmr.enabled"};
        for (size_t i = 0; i < HD_COUNT(keys); i++)
            hd_option_set_value(&opt->set, hd_option_find(&opt->set, keys[i]), HD_OPTION_FROM_FLAG,
                                hd_str("true"), NULL, "heddle dev", NULL);
    }
    int rc = hd_option_parse_args(&args, src->argc, src->argv, err);
    src->help = args.help;
    src->n_words = args.n_words;
    if (rc == 0 && src->first_is_dir && args.n_words > 0)
        rc = hd_option_set_value(&opt->set, hd_option_find(&opt->set, "functions_dir"),
                                 HD_OPTION_FROM_FLAG, hd_str(args.words[0]), NULL, "argument", err);
    return rc;
}

static int read_file(struct hd_node_options *opt, struct hd_error *err)
{
    static const char *const names[] = {"heddle.yml", "heddle.yaml"};
    if (opt->config != NULL)
        return hd_option_parse_file(&opt->set, opt->config, err);
    for (size_t i = 0; i < HD_COUNT(names); i++) {
        hd_auto_free char *path = hd_printf("%s/%s", opt->cwd, names[i]);
        if (access(path, F_OK) < 0 && errno == ENOENT)
            continue;
        int rc = hd_option_parse_file(&opt->set, names[i], err);
        if (rc == 0)
            set_default(opt, "config", names[i], "default");
        return rc;
    }
    return 0;
}

/* --- the control listener and the Lambda API --- */

static bool is_loopback(const char *host)
{
    struct hd_ipaddr a;
    struct hd_cidr v4 = {{.family = 4, .bytes = {127}}, 8};
    struct hd_ipaddr v6 = {.family = 6, .bytes = {[15] = 1}};
    if (strcmp(host, "localhost") == 0)
        return true;
    return hd_ipaddr_parse(&a, hd_str(host)) == 0 &&
           (hd_cidr_has(&v4, &a) || hd_ipaddr_eq(&a, &v6));
}

static bool is_account(struct hd_str s)
{
    uint64_t n;
    return s.len == 12 && hd_str_to_u64(&n, s) == 0;
}

static int check_keys(struct hd_node_options *opt, struct hd_node_sources *src,
                      struct hd_error *err)
{
    for (size_t i = 0; i < opt->lambda_keys.n; i++) {
        struct hd_str rest = hd_str(opt->lambda_keys.items[i]), id, secret, account;
        bool good = hd_str_split(&id, &rest, ':') && hd_str_split(&secret, &rest, ':') &&
                    id.len > 0 && secret.len > 0;
        if (good && hd_str_split(&account, &rest, ':'))
            good = is_account(account) && rest.ptr == NULL;
        if (!good)
            return refuse(opt, src, err, "lambda.keys",
                          "key %zu is not id:secret or id:secret:account (12 digits)", i + 1);
    }
    return 0;
}

static int check_brokers(struct hd_node_options *opt, struct hd_node_sources *src,
                         struct hd_error *err)
{
    for (size_t i = 0; i < opt->lambda_brokers.n; i++) {
        const char *url = strchr(opt->lambda_brokers.items[i], '=');
        struct hd_error why;
        if (url == NULL || url == opt->lambda_brokers.items[i])
            return refuse(opt, src, err, "lambda.brokers", "broker %zu is not name=url", i + 1);
        if (hd_amqp_check_url(url + 1, &why) < 0)
            return refuse(opt, src, err, "lambda.brokers", "broker %zu: %s", i + 1, why.msg);
    }
    for (size_t i = 0; i < opt->lambda_secrets.n; i++) {
        const char *who = strchr(opt->lambda_secrets.items[i], '=');
        if (who == NULL || who == opt->lambda_secrets.items[i] || strchr(who, ':') == NULL)
            return refuse(opt, src, err, "lambda.secrets", "secret %zu is not name=user:password",
                          i + 1);
    }
    return 0;
}

static int check_delays(struct hd_node_options *opt, struct hd_node_sources *src,
                        struct hd_error *err)
{
    const struct hd_option_list *l = &opt->lambda_async_delays;
    for (size_t i = 0; i < l->n; i++) {
        uint64_t ms;
        if (hd_str_to_u64(&ms, hd_str(l->items[i])) < 0 || ms == 0 || ms > MAX_ASYNC_DELAY_MS)
            return refuse(opt, src, err, "lambda.async.retry_delays_ms",
                          "%s is not a number of milliseconds from 1 to %d", l->items[i],
                          MAX_ASYNC_DELAY_MS);
    }
    return 0;
}

static int settle_lambda(struct hd_node_options *opt, struct hd_node_sources *src,
                         struct hd_error *err)
{
    bool local = is_loopback(opt->control_host), keys = opt->lambda_keys.n > 0;
    int rc = check_keys(opt, src, err);
    if (rc < 0)
        return rc;
    rc = check_delays(opt, src, err);
    if (rc == 0)
        rc = check_brokers(opt, src, err);
    if (rc < 0)
        return rc;
    if (!is_account(hd_str(opt->lambda_account)))
        return refuse(opt, src, err, "lambda.account", "must be 12 digits");
    if (opt->lambda_unreserved_min > opt->lambda_account_concurrency)
        return refuse(opt, src, err, "lambda.unreserved_min",
                      "is over lambda.account_concurrency (%u)", opt->lambda_account_concurrency);
    for (size_t i = 0; i < opt->schedules.n; i++) {
        struct hd_schedule_line line;
        struct hd_error why;
        if (hd_schedule_parse(&line, hd_str(opt->schedules.items[i]), &why) < 0)
            return refuse(opt, src, err, "schedules", "line %zu: %s", i + 1, why.msg);
    }
    opt->control_given = !is_default(opt, "control.port");
    if (!local && !keys)
        return refuse(opt, src, err, "control.host",
                      "others than this machine can reach it, and nobody could tell who asks: "
                      "give the access keys that may sign in lambda.keys (HEDDLE_LAMBDA_KEYS)");
    if (!local && !is_default(opt, "lambda.verify") && opt->lambda_verify != HD_VERIFY_REQUIRED)
        return refuse(opt, src, err, "lambda.verify",
                      "must be \"required\" where others than this machine can reach the control "
                      "listener");
    if (opt->lambda_verify != HD_VERIFY_OFF && !keys)
        return refuse(opt, src, err, "lambda.verify",
                      "needs the keys that may sign in lambda.keys (HEDDLE_LAMBDA_KEYS)");
    set_default(opt, "lambda.verify", keys ? "required" : "off", "default");
    set_default(opt, "lambda.hot_reload", local ? "true" : "false", "default");
    return 0;
}

static int settle(struct hd_node_options *opt, struct hd_node_sources *src, struct hd_error *err)
{
    settle_paths(opt);
    settle_machine(opt);
    settle_modes(opt);
    settle_sandbox(opt);
    int rc = settle_prefix(opt, src, err);
    if (rc == 0)
        rc = check_cors(opt, src, err);
    if (rc == 0)
        rc = check_auth(opt, src, err);
    if (rc == 0)
        rc = settle_lambda(opt, src, err);
    return rc < 0 ? rc : check_rest(opt, src, err);
}

int hd_node_options_load(struct hd_node_options *opt, struct hd_node_sources *src,
                         struct hd_error *err)
{
    *opt = (struct hd_node_options){.cwd = hd_strdup(src->cwd)};
    static const char *const foreign[] = {"lanes", NULL}; /* lanes/topology.h */
    hd_option_set_init(&opt->set, hd_node_option_table, hd_node_option_count, opt, src->cwd);
    opt->set.foreign = foreign;
    src->exit_code = HD_EXIT_USAGE;
    int rc = read_args(opt, src, err);
    if (rc < 0 || src->help)
        return rc;
    src->exit_code = HD_EXIT_CONFIG;
    rc = hd_option_parse_env(&opt->set, src->env, err);
    if (rc == 0 && src->own.n > 0)
        rc = hd_option_parse_env(&src->own, src->env, err);
    if (rc == 0)
        rc = read_file(opt, err);
    return rc < 0 ? rc : settle(opt, src, err);
}

void hd_node_options_done(struct hd_node_options *opt)
{
    for (size_t i = 0; i < opt->warnings.n; i++)
        free(opt->warnings.items[i]);
    free(opt->warnings.items);
    free(opt->cwd);
    hd_option_set_done(&opt->set);
    *opt = (struct hd_node_options){0};
}

int hd_node_options_check_functions(const struct hd_node_options *opt, struct hd_error *err)
{
    DIR *dir = opendir(opt->functions_dir);
    if (dir != NULL) {
        closedir(dir);
        return 0;
    }
    const char *from = hd_node_options_origin(opt, "functions_dir");
    if (errno == ENOENT && is_default(opt, "functions_dir"))
        return hd_fail(err, HD_ENOTFOUND,
                       "no functions here: neither ./supabase/functions nor ./functions exists; "
                       "name the folder with --functions, or run `heddle init` to begin one");
    return hd_fail_sys(err, errno, "functions folder %s (from %s)", opt->functions_dir, from);
}

int hd_node_options_check_secret(const struct hd_node_options *opt, const char *protected_function,
                                 struct hd_error *err)
{
    bool keys = opt->jwt_secret != NULL || opt->jwks_url != NULL || opt->jwks_file != NULL ||
                opt->jwks != NULL;
    if (protected_function == NULL || keys)
        return 0;
    return hd_fail(err, HD_EINVAL,
                   "JWT_SECRET is not set, and function %s is not public: its callers' tokens "
                   "cannot be verified; set JWT_SECRET or auth.jwks_url, or run with --dev",
                   protected_function);
}

const char *hd_node_options_origin(const struct hd_node_options *opt, const char *key)
{
    return hd_option_origin(&opt->set, key)->text;
}
