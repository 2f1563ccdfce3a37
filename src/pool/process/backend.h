/* pool/process/backend.h - the process backend: each instance is a child process of the node, as
 * confined as the machine permits. */
#pragma once

#include "core/log.h"
#include "functions/strings.h"
#include "pool/process/interpreter.h"
#include "core/loop.h"

#include <heddle/sys/backend.h>

enum hd_process_sandbox {
    HD_PROCESS_SANDBOX_AUTO, /* what the machine permits; what it does not is said */
    HD_PROCESS_SANDBOX_OFF,
    HD_PROCESS_SANDBOX_REQUIRE, /* all of it, or nothing starts */
};

/** Append what else a function's environment has, "NAME=value", unless it has it already. */
typedef void hd_process_env_fn(void *arg, const char *function, struct hd_strings *env);

/** Strings are copied; NULL and 0 stand for the default in brackets. */
struct hd_process_options {
    struct hd_loop *loop; /* the control loop; its thread must live as long as the node */
    struct hd_log *log;
    const char *runtimes_dir;   /* holds deno/host.ts, node/host.mjs, python/host.py */
    const char *run_dir;        /* absolute; sockets, lock and records */
    const char *functions_root; /* absolute; functions may read it */
    const char *cache_dir;      /* absolute; Deno's cache, which functions may write to [none] */
    const char *node_id;        /* letters, digits, "-": in names that outlive the node ["0"] */
    const char *deno_bin;       /* a path, or a name to look up in PATH ["deno"] */
    const char *node_bin;       /* ["node"] */
    const char *python_bin;     /* ["python3"] */
    const char *shim_bin;       /* ["heddle-shim" beside this program or in ../libexec/heddle] */
    const char *state_dir;      /* absolute; the node's, which functions do not see, but for what
                                   they need of it [none] */
    const char *bundles_dir;    /* absolute; holds the code of functions with Lambda semantics: a
                                   prewarmed host can take what lies there [none] */
    const char *files_dir;      /* absolute; holds what was sent to functions as files: they may
                                   read what they know the path of [none] */
    const uint8_t *credentials_key; /* see pool/lambdaenv.h [none] */
    enum hd_process_sandbox sandbox;
    uint32_t start_timeout_ms; /* from launch to ready [60000] */
    uint32_t max_prewarm;      /* prewarmed hosts, of all kinds together [8] */
    uint32_t default_pids;     /* processes and threads of one instance [256] */
    uint32_t uid_base;         /* a node that is root: instances run as this user and the 999
                                  next ones [a block above 300000 that run_dir chooses] */
};

/** What is in force, for a start-up line and for `heddle doctor`. */
struct hd_process_enforcement {
    unsigned parts; /* enum hd_sandbox_part: in force for each instance */
    bool cgroup_memory, cgroup_pids, cgroup_cpu;
    int cgroup_version;     /* 0: none, 1 or 2 */
    const char *freezer;    /* what idle instances are frozen by, "cgroup.freeze"; NULL: nothing, */
    const char *no_freezer; /* then why */
    bool layout;     /* functions with Lambda semantics have a root of their own: /var/task ... */
    bool seen;       /* and see themselves as user 993 there */
    char text[1024]; /* "namespaces mount+pid, seccomp, ...; not enforced: ... (why)" */
};

/**
 * Open the run folder, find out what the machine permits (with one short child process), and make
 * the backend; it is closed by its close operation.
 * @return 0 and *out; HD_EBUSY: another node serves the run folder; HD_EINVAL; HD_EDENIED: a part
 *         of the confinement that is required is not permitted; HD_EIO.
 */
int hd_process_new(struct hd_backend **out, const struct hd_process_options *opt,
                   struct hd_error *err);
/** @return what is in force; lives as long as the backend. */
const struct hd_process_enforcement *hd_process_enforcement(const struct hd_backend *b);
/**
 * Ask whether a Lambda runtime ("python3.12"; NULL: an image) can be run here.
 * @param architecture  "x86_64", "arm64", or NULL: any.
 * @return NULL: yes, by that version or by another; or a sentence that says what is missing and how
 *         to get it, static. Control loop.
 */
const char *hd_process_runtime_problem(struct hd_backend *b, const char *runtime_id,
                                       const char *architecture);
/** @return a sentence if another version than that runs it, valid until the next call; or NULL.
 *  Versions are found out in the background, from the first call on. Control loop. */
const char *hd_process_runtime_note(struct hd_backend *b, const char *runtime_id);
/** Write what runs a Lambda runtime, see hd_interpreter_version(). Control loop. */
void hd_process_runtime_version(struct hd_backend *b, const char *runtime_id,
                                char out[HD_INTERPRETER_TEXT_MAX + 1]);
/** Tell when the versions of what is installed are known, or cannot be: @p done, later. */
void hd_process_when_known(struct hd_backend *b, void (*done)(void *arg), void *arg);
/** @return where the shim is, or NULL; lives as long as the backend. */
const char *hd_process_shim(const struct hd_backend *b);
/** Set AWS_ENDPOINT_URL of functions with Lambda semantics that start from now on; NULL: none. */
void hd_process_set_endpoint(struct hd_backend *b, const char *url);
/** Ask @p more at each start of a function with Lambda semantics what else its environment has. */
void hd_process_set_env(struct hd_backend *b, hd_process_env_fn *more, void *arg);
/** @return resident memory of prewarmed hosts, which belongs to no instance. Control loop. */
uint64_t hd_process_prewarm_rss_bytes(const struct hd_backend *b);
/** @return prewarmed hosts that wait for a function. Control loop. */
unsigned hd_process_prewarm_ready(const struct hd_backend *b);
/** Starts since the node began, of what may be prewarmed. */
struct hd_process_prewarm_counts {
    uint64_t ready;    /* took a host that waited */
    uint64_t starting; /* took one that was still starting */
    uint64_t none;     /* there was none */
    uint64_t unfit;    /* needed a host of their own */
};
/** Control loop. */
void hd_process_prewarm_counts(struct hd_process_prewarm_counts *out, const struct hd_backend *b);
