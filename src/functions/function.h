/* functions/function.h - one function as the snapshot knows it: where its code is and its effective
 * settings, each with the place it came from. Immutable once it is in a snapshot. */
#pragma once

#include "core/base.h"
#include "core/buf.h"
#include "functions/strings.h"

#include <stdatomic.h>

/** Longest function name, without the NUL. */
enum { HD_FUNCTION_NAME_MAX = 63 };

enum hd_runtime { HD_RUNTIME_DENO, HD_RUNTIME_NODE, HD_RUNTIME_PYTHON, HD_RUNTIME_HTTP };
enum { HD_RUNTIME_COUNT = HD_RUNTIME_HTTP + 1 };
/** @return "deno", "node", "python" or "http". */
const char *hd_runtime_name(enum hd_runtime r);

/** Who answers CORS for a function. */
enum hd_cors_owner { HD_CORS_GATEWAY, HD_CORS_FUNCTION };

/** Everything that can be set for one function. Times in ms; 0 means what each line says. */
struct hd_settings {
    uint32_t timeout_ms;       /* whole answer's head; 0: none */
    uint32_t stream_idle_ms;   /* gap in a streamed answer; 0: none */
    uint32_t rpm;              /* requests a minute for one client; never 0 */
    uint32_t burst;            /* bucket size; 0: rpm */
    uint64_t body_limit_bytes; /* UINT64_MAX: none */
    bool verify_jwt;           /* false: public */
    bool verify_jwt_given;     /* a manifest says so: what the code declares does not count */
    struct hd_strings require; /* roles of which one is needed; empty: none */
    enum hd_cors_owner cors;
    /* pool */
    uint32_t concurrency;   /* requests at once in one instance; 0: the runtime's default */
    uint32_t min_instances; /* kept warm */
    uint32_t max_instances;
    uint32_t idle_ms;          /* an instance idle for this long is stopped; 0: never */
    uint32_t queue_max;        /* requests that may wait */
    uint32_t memory_mb;        /* of one instance; 0: no limit */
    uint32_t cpu_ms;           /* CPU time for one request; 0: no limit */
    uint32_t recycle_requests; /* replace an instance after so many; 0: never */
    uint32_t recycle_rss_mb;   /* and when it grew beyond this; 0: never */
    /* breaker */
    double error_rate;     /* 0: no breaker */
    uint32_t error_window; /* requests */
    uint32_t cooldown_ms;
    uint32_t half_open_probes;
    /* sandbox; NULL items: everything is allowed (development without enforcement) */
    struct hd_strings allow_net, allow_env, allow_read, allow_write;
};

/** Where an effective value came from, for `heddle config explain`. */
struct hd_origin {
    const char *key; /* "timeoutMs"; static */
    char *value;     /* as text */
    char *source;    /* "default", "hello/heddle.json:3", "HEDDLE_TIMEOUT_MS", "--timeout", ... */
};

struct hd_env;

struct hd_function {
    char name[HD_FUNCTION_NAME_MAX + 1];
    enum hd_runtime runtime;
    char *dir;              /* absolute, resolved */
    char *entry;            /* absolute path of the entry file; NULL for http */
    char *handler;          /* "file.name", or NULL */
    char *import_map;       /* absolute path of an import map or deno.json, or NULL */
    struct hd_strings argv; /* http: the command; else NULL */
    char *health_path;      /* http: what to GET; else NULL */
    struct hd_settings set;
    char **env;                /* "KEY=value", NULL-terminated: what the instance gets */
    char *problem;             /* why it cannot run (file, line, key), or NULL */
    char version[33];          /* hex content hash over code, settings and env */
    struct hd_origin *origins; /* of what is set for this function alone; see hd_explain() */
    size_t n_origins;
    struct hd_env *env_block;   /* owner of `env` where it is shared with others, or NULL */
    struct hd_strings warnings; /* what was ignored and why, with file and line */
    atomic_uint more_owners;    /* beyond the first; see hd_function_ref() */
};

/** @return a zeroed function with one owner, the caller. */
struct hd_function *hd_function_new(const char *name);
/** Add an owner. Any thread. */
struct hd_function *hd_function_ref(const struct hd_function *fn);
/** Drop an owner; the last one frees it and what is in it. Any thread; NULL is fine. */
void hd_function_unref(struct hd_function *fn);
/** Free what settings hold; they are as zeroed. */
void hd_settings_done(struct hd_settings *set);
/** @return the value of @p key in the function's environment, or NULL. */
const char *hd_function_env(const struct hd_function *fn, const char *key);
