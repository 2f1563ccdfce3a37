/* lambda/api/api.h - the management operations of the Lambda API: a request in, an answer out.
 *
 * The door (lambda/door/door.h) has read the whole body and knows who asks before it calls this;
 * Invoke and its kin never come here. Operations run on the control loop, over the catalog; what
 * they promise is on the disk before they answer. */
#pragma once

#include "core/buf.h"
#include "core/log.h"
#include "core/loop.h"

struct hd_api;
struct hd_backend;
struct hd_bundles;
struct hd_esm;
struct hd_fetcher;
struct hd_launch;
struct hd_pool_set;
struct hd_store;
struct hd_view;

/** Limits of one function or account; 0: the service's. */
struct hd_api_limits {
    uint64_t zip_bytes;      /* an archive in a request */
    uint64_t unpacked_bytes; /* code and layers */
    uint32_t env_bytes, layers, tags, policy_bytes;
    uint32_t timeout_s, memory_mb, ephemeral_mb; /* the most */
    uint32_t account_concurrency, unreserved_min;
    uint64_t code_storage_bytes;
};

struct hd_api_options {
    struct hd_store *store; /* these are borrowed, and outlive the API */
    struct hd_bundles *bundles;
    struct hd_pool_set *pools;
    struct hd_fetcher *fetcher; /* of the control loop: code from S3 */
    struct hd_loop *control;
    struct hd_log *log;

    const char *account, *region;   /* where a request names none: 12 digits; "us-east-1" */
    const char *functions_root;     /* absolute: hd_launch.root */
    const char *s3_endpoint;        /* "http://127.0.0.1:9000"; NULL: code cannot come from S3 */
    const char *s3_key, *s3_secret; /* NULL: unsigned */
    const char *url_domain;         /* of function URLs; NULL: "localhost" */
    const char *url_scheme;         /* NULL: "http" */
    uint16_t url_port;              /* 0 or 80 with http, 443 with https: not shown */
    bool hot_reload;            /* S3Bucket "hot-reload": a folder of this machine is the code */
    bool allow_credentials_env; /* AWS_ACCESS_KEY_ID and its kin may be set */
    bool accept_retired;        /* runtimes that the service no longer takes */
    bool dev;
    uint32_t idle_ms; /* of an instance; 0: the default, 300 s */
    bool freeze;      /* between invocations instances stand still, unless a tag says otherwise */
    uint32_t freeze_after_ms; /* idle for so long; 0: 1 s */
    uint32_t init_timeout_ms; /* 0: 10 s */
    uint32_t queue_wait_ms;   /* 0: 10 s */
    struct hd_api_limits limits;
    /**
     * @param runtime  as the API has it: "nodejs22.x"; NULL: a container image.
     * @param architecture  "x86_64" or "arm64".
     * @return NULL: this machine can run it; else why not, and what to do; static or as long as
     *         the API is. May be NULL: everything can run that has this machine's architecture.
     */
    const char *(*runtime_problem)(void *arg, const char *runtime, const char *architecture);
    /** Write what runs it, for logs: "nodejs:20.19". May be NULL: as it was asked for. */
    void (*runtime_version)(void *arg, const char *runtime, const char *architecture, char *out,
                            size_t size);
    /**
     * @param runtime  as above.
     * @return what runs it; NULL: the pools' own backend. May be NULL: that one runs everything.
     */
    struct hd_backend *(*backend_for)(void *arg, const char *runtime, const char *architecture);
    /**
     * Fetch what instances of a function run in, so that they can start: its State stays Pending,
     * or its old image serves, until then. Asked for zip functions too. Control loop. May be NULL:
     * nothing has to be fetched.
     * @param what      borrowed until return.
     * @param progress  how far it is, from time to time, never from inside; not after done.
     * @param done  on the control loop, exactly once, never from inside.
     */
    void (*prepare_image)(void *arg, const struct hd_launch *what,
                          void (*progress)(void *token, const char *text),
                          void (*done)(void *token, const struct hd_error *err), void *token);
    /** There is a new view; with a reference for the node, which gives it to each loop. Control
     *  loop; also from inside hd_api_new(). */
    void (*on_view)(void *arg, struct hd_view *view);
    void *arg; /* of the four */
};

/**
 * Read everything that is kept, make pools, go on with what was Pending when a node died, publish
 * the first view. Blocks; before the loops run.
 * @return 0 and *out; or an error that says which record is damaged.
 */
int hd_api_new(struct hd_api **out, const struct hd_api_options *opt, struct hd_error *err);
/** Take no more requests (they get ServiceException); @p done when nothing is under way. */
void hd_api_close(struct hd_api *api, void (*done)(void *arg), void *arg);
/** After close is done, or if no loop ever ran. NULL is fine. */
void hd_api_free(struct hd_api *api);

/** @return the event source mappings (lambda/sources/esm.h): offer pollers to them before the loops
 * run, or on the control loop. They stop when the API closes. */
struct hd_esm *hd_api_esm(struct hd_api *api);

/** Who asks, and in which name space. */
struct hd_api_caller {
    struct hd_str account, region; /* the name space: 12 digits; "us-east-1" */
    struct hd_str principal;       /* ARN of the signer; empty: unsigned, or nothing was checked */
    bool checked;                  /* the signature was verified */
};

struct hd_api_request {
    struct hd_str method;
    struct hd_str path;  /* as on the wire, percent-encoded, without the query */
    struct hd_str query; /* as on the wire, without "?" */
    struct hd_str body;
    struct hd_str base_url;   /* "http://127.0.0.1:8766": where the caller reached us */
    struct hd_str request_id; /* UUID; also what the answer's x-amzn-RequestId will say */
    struct hd_api_caller caller;
};

struct hd_api_answer {
    unsigned status;
    const char *error_type; /* x-amzn-ErrorType; NULL: no error */
    struct hd_str body;     /* JSON; empty: none */
    const char *file;       /* instead of a body: a file to send, as application/zip; NULL: none */
    uint32_t retry_after_s; /* 0: none */
};

/** How often an operation was asked for, by how it ended. */
struct hd_api_count {
    const char *operation;
    uint64_t answered, refused, failed; /* 2xx, 4xx, 5xx */
};
/** For each operation that was asked for so far. Any thread. */
void hd_api_each_count(const struct hd_api *api,
                       void (*each)(void *arg, const struct hd_api_count *count), void *arg);

/** @return whether this path is one of the API's (it begins with a date, or is a download). */
bool hd_api_is_path(struct hd_str path);
/** @return whether it is a download, which carries a signature of ours in its query: no other one
 * is asked for. */
bool hd_api_is_download(struct hd_str path);
/**
 * Carry it out. Any loop of the node.
 * @param request  copied.
 * @param done     on @p loop, exactly once, never from inside; the answer is borrowed until return.
 */
void hd_api_handle(struct hd_api *api, const struct hd_api_request *request, struct hd_loop *loop,
                   void (*done)(void *arg, const struct hd_api_answer *answer), void *arg);
