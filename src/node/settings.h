/* node/settings.h - everything that can be set for a node, from flags, environment and heddle.yml.
 * The table in settings_table.c is the one place where an option is declared. */
#pragma once

#include "core/log.h"
#include "core/option.h"

/** The commands an option can belong to. */
enum hd_command_bit {
    HD_CMD_SERVE = 1 << 0,
    HD_CMD_DEV = 1 << 1,
    HD_CMD_INIT = 1 << 2,
    HD_CMD_NEW = 1 << 3,
    HD_CMD_INVOKE = 1 << 4,
    HD_CMD_LIST = 1 << 5,
    HD_CMD_LOGS = 1 << 6,
    HD_CMD_CONFIG = 1 << 7,
    HD_CMD_DOCTOR = 1 << 8,
    HD_CMD_VERSION = 1 << 9,
    HD_CMD_HELP = 1 << 10,
    HD_CMD_EMIT = 1 << 11,
    HD_CMD_CALL = 1 << 12,
    HD_CMD_LANES = 1 << 13,
    HD_CMD_IMAGE = 1 << 14,
    HD_CMD_LAMBDA = 1 << 15,
};

enum hd_compat { HD_COMPAT_NONE, HD_COMPAT_1TUBE };
/** How much isolation: what the machine permits, none, or all of it or no start. */
enum hd_sandbox { HD_SANDBOX_AUTO, HD_SANDBOX_OFF, HD_SANDBOX_REQUIRE };
/** Which requests of AWS clients must be signed. */
enum hd_verify {
    HD_VERIFY_OFF,      /* none: signatures are read, not checked */
    HD_VERIFY_KNOWN,    /* those with a key of ours are checked, others pass */
    HD_VERIFY_REQUIRED, /* all */
};
enum hd_lambda_edge_mode { HD_LAMBDA_EDGE_OFF, HD_LAMBDA_EDGE_TAGGED, HD_LAMBDA_EDGE_ALL };
enum hd_url_policy { HD_URL_POLICY_ENFORCE, HD_URL_POLICY_OPEN };
enum hd_lambda_backend {
    HD_LAMBDA_BACKEND_AUTO,
    HD_LAMBDA_BACKEND_PROCESS,
    HD_LAMBDA_BACKEND_DOCKER
};
enum hd_docker_pull { HD_DOCKER_PULL_MISSING, HD_DOCKER_PULL_ALWAYS, HD_DOCKER_PULL_NEVER };
enum hd_retired { HD_RETIRED_REFUSE, HD_RETIRED_ACCEPT };
/** Whose X-Request-Id and traceparent is continued. */
enum hd_trust { HD_TRUST_PROXIES, HD_TRUST_ALL, HD_TRUST_NONE };

/** Times in ms. Lists and strings: NULL or empty means not given. Paths are absolute. */
struct hd_node_options {
    struct hd_option_set set; /* where each value came from */
    char *cwd;
    struct hd_option_list warnings; /* sentences to log at start */

    /* what to serve */
    char *config; /* the file that was read, or NULL */
    char *functions_dir;
    char *data_dir;
    struct hd_option_list env_files; /* empty: .env, .env.local, .env.development where they are */
    bool dev, hmr;
    enum hd_compat compat;
    uint32_t threads; /* settled: 1 or more */
    bool strict_manifests;

    /* listening */
    char *host;
    uint16_t port;      /* 0: any free one */
    char *route_prefix; /* normalised: "/functions/v1" */
    uint32_t max_connections;
    uint32_t max_connections_per_address; /* 0: no limit */
    char *admin_socket;
    uint16_t admin_port; /* if admin_tcp; 0: any free one */
    bool admin_tcp;      /* an admin port was asked for */
    char *control_host;
    uint16_t control_port; /* 0: any free one */
    bool control_given;    /* the port was asked for: another one will not do */

    /* timeouts */
    uint32_t timeout_ms;       /* to the head of the answer; 0: none */
    uint32_t total_timeout_ms; /* to the end of the answer; 0: none */
    uint32_t head_timeout_ms;  /* a request's head, from its first byte */
    uint32_t body_idle_ms;     /* gap in a request's body; 0: none */
    uint32_t stream_idle_ms;   /* gap in an answer's body; 0: none */
    uint32_t keep_alive_ms;    /* idle connection */
    uint32_t shutdown_grace_ms;
    uint32_t drain_delay_ms; /* answers "not ready" for so long before it stops accepting */

    /* limits */
    uint32_t head_bytes, head_fields, target_bytes;
    uint64_t body_limit_bytes;    /* UINT64_MAX: none */
    uint32_t body_min_rate;       /* bytes a second; 0: none */
    uint32_t body_min_rate_after; /* ms until the rate is demanded */
    uint32_t default_rpm;
    bool disable_rate_limit;

    /* pool */
    uint32_t concurrency; /* 0: the runtime's default */
    uint32_t min_instances, max_instances;
    uint32_t idle_ms; /* 0: an idle instance is never stopped */
    uint32_t queue_max;
    uint64_t memory_budget_bytes; /* UINT64_MAX: none */
    uint32_t prewarm;             /* hosts of each runtime that wait with nothing loaded */
    uint32_t start_timeout_ms;
    uint32_t cold_wait_ms;
    uint32_t warmup_grace_ms;
    uint32_t hmr_fresh_wait_ms; /* 0: a request never waits for fresh code */
    uint32_t hmr_drain_ms;
    uint32_t boot_lanes; /* functions that load at once; settled: 1 or more */
    bool lazy, defer_boot;

    /* logs */
    enum hd_log_format log_format;
    enum hd_log_level log_level;
    bool access_log;
    uint32_t log_buffer_ms;

    /* identity; all strings here are secrets but issuers, audiences, algorithms and the URL */
    char *jwt_secret;
    char *jwks_url, *jwks_file, *jwks;
    struct hd_option_list jwt_issuers, jwt_audiences, jwt_algorithms;
    uint32_t jwt_leeway_s;
    struct hd_option_list service_keys, api_keys;
    char *internal_key;
    bool allow_known_secret;

    /* cross-origin requests */
    struct hd_option_list cors_origins; /* empty: any in development, none in production */
    struct hd_option_list cors_allow_headers, cors_allow_methods, cors_expose_headers;
    uint32_t cors_max_age_s; /* if cors_max_age_given */
    bool cors_max_age_given;
    bool cors_credentials; /* if cors_credentials_given */
    bool cors_credentials_given;
    bool cors_enforce; /* refuse a foreign origin with 403 */

    /* in front of us */
    struct hd_option_list trusted_proxies;
    enum hd_trust trust_request_id;

    /* the Lambda API */
    char *lambda_account, *lambda_region;
    enum hd_verify lambda_verify;      /* settled */
    struct hd_option_list lambda_keys; /* "id:secret" or "id:secret:account"; secret */
    uint32_t lambda_idle_ms, lambda_init_timeout_ms, lambda_queue_wait_ms;
    uint32_t lambda_freeze_after_ms;
    bool lambda_freeze;
    uint32_t lambda_account_concurrency, lambda_unreserved_min;
    uint64_t lambda_stream_max_bytes, lambda_stream_rate; /* a second; UINT64_MAX: none */
    char *lambda_url_domain;
    enum hd_url_policy lambda_url_policy;
    enum hd_lambda_edge_mode lambda_edge;
    uint32_t lambda_logs_mb;
    enum hd_retired lambda_retired;
    bool lambda_credentials_env, lambda_hot_reload, lambda_inject_endpoints;
    struct hd_option_list lambda_async_delays; /* milliseconds */
    uint32_t lambda_async_workers;
    uint64_t lambda_async_max_events;
    struct hd_option_list schedules;
    struct hd_option_list lambda_brokers, lambda_secrets; /* "name=amqp://...", "name=user:..." */
    char *lambda_s3_endpoint, *lambda_sqs_endpoint, *lambda_sns_endpoint, *lambda_events_endpoint;
    enum hd_lambda_backend lambda_backend;
    char *docker_host;  /* NULL: found */
    char *docker_certs; /* folder; NULL: as variables say */
    enum hd_docker_pull docker_pull;
    char *docker_credentials;            /* file; NULL: the user's */
    struct hd_option_list docker_images; /* "runtime=reference" */

    /* sandbox */
    enum hd_sandbox sandbox;
    enum hd_sandbox sandbox_namespaces, sandbox_seccomp, sandbox_cgroups; /* settled */
    bool enforce_manifest, allow_all;

    /* runtimes */
    char *deno, *node, *python; /* a name for PATH, or a path */
    char *runtimes_dir;         /* folder of the hosts; NULL: the installed one */
};

/** The table of all of it. */
extern const struct hd_option hd_node_option_table[];
extern const size_t hd_node_option_count;

/** What a command reads its options from. */
struct hd_node_sources {
    uint32_t command;         /* one hd_command_bit */
    struct hd_option_set own; /* the command's own options, initialised; .n 0: none */
    int argc;                 /* without the program's and the command's name */
    char *const *argv;
    char *const *env; /* "NAME=value", NULL-terminated */
    const char *cwd;  /* absolute */
    char **words;     /* filled with the arguments that are no flags */
    size_t n_words, max_words;
    bool first_is_dir; /* the first word is the functions folder */
    bool help;         /* set: --help was asked for, and nothing else was read */
    int exit_code;     /* set with an error: HD_EXIT_USAGE or HD_EXIT_CONFIG */
};

/**
 * Read flags, environment and heddle.yml (in this order of strength), settle what depends on other
 * options, and check what one option alone cannot know. Reads the file, writes nothing.
 * @param out  always the caller's to give to hd_node_options_done() afterwards.
 * @return 0; or an error whose message names flag, variable, or file:line and key, and
 *         src->exit_code is set.
 */
int hd_node_options_load(struct hd_node_options *out, struct hd_node_sources *src,
                         struct hd_error *err);
/** Wipe secrets and free. Zeroed is fine. */
void hd_node_options_done(struct hd_node_options *opt);
/**
 * Check what serving needs: the functions folder is there and can be read.
 * @return 0, or an error for exit code HD_EXIT_CONFIG.
 */
int hd_node_options_check_functions(const struct hd_node_options *opt, struct hd_error *err);
/**
 * Check, after discovery, that the tokens of a protected function can be verified at all.
 * @param protected_function  the name of one that is not public; NULL: all are public, and it
 *                            succeeds.
 * @return 0, or an error for exit code HD_EXIT_CONFIG.
 */
int hd_node_options_check_secret(const struct hd_node_options *opt, const char *protected_function,
                                 struct hd_error *err);
/** @return who said the value of the option with this key: "--port", "heddle.yml:3 listen.port". */
const char *hd_node_options_origin(const struct hd_node_options *opt, const char *key);
