/* heddle/sys/backend.h - what makes and ends instances. For those who add a backend; stable within
 * a minor version only. */
#pragma once

#include <heddle/error.h>
#include <heddle/str.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Where an instance listens. */
struct hd_endpoint {
    enum hd_endpoint_kind { HD_ENDPOINT_UNIX, HD_ENDPOINT_TCP } kind;
    char address[108]; /* path, or a numeric address */
    uint16_t port;     /* TCP only */
};

/** What an instance with Lambda semantics sees beside the rest. All borrowed as the launch is. */
struct hd_launch_lambda {
    const char *runtime_id; /* as the API has it: "nodejs20.x", "provided.al2023"; NULL: image */
    const char *code_dir;   /* absolute: seen read-only as /var/task; NULL: image */
    const char *opt_dir;    /* absolute: merged layers, seen read-only as /opt; NULL: none */
    const char *image;      /* image reference; NULL: zip */
    const char *const *image_entry_point, *const *image_command; /* overrides; NULL: the image's */
    const char *image_workdir;                                   /* same */
    const char *architecture;                                    /* "x86_64", "arm64" */
    const char *account, *region;
    const char *role;             /* ARN; NULL: none */
    const char *arn;              /* unqualified */
    const char *name, *qualifier; /* function name; "$LATEST" or the version's number */
    const char *log_group;
    const char *log_stream; /* of this instance; NULL: the backend makes one up */
    const char *log_level;  /* "INFO", ...; NULL: not set */
    uint32_t ephemeral_mb;  /* size of /tmp */
    uint32_t init_timeout_ms;
    bool provisioned; /* AWS_LAMBDA_INITIALIZATION_TYPE */
    bool log_json;
    bool tracing; /* TracingConfig.Mode is Active */
};

/** What to run; borrowed until launch() returns, so copied by the backend. */
struct hd_launch {
    const char *function;     /* name, for logs and labels */
    const char *version;      /* hex content hash */
    const char *instance;     /* id of this one, 16 of A-Z2-7; NULL: nobody asks for it */
    const char *runtime;      /* "deno", "node", "python", "http", "provided", "native" */
    const char *root;         /* absolute functions folder */
    const char *dir;          /* absolute folder of the function, outside of root if it is a link
                               * there; NULL: below root */
    const char *entry;        /* absolute path of the entry file */
    const char *handler;      /* "file.name", or NULL */
    const char *import_map;   /* absolute path of an import map or deno.json, or NULL */
    const char *const *argv;  /* command of an http function, NULL-terminated, or NULL */
    const char *health_path;  /* http functions: what to GET, or NULL for "/" */
    const char *const *env;   /* "KEY=value", NULL-terminated; secrets among them */
    const char *const *net;   /* permissions: NULL = everything, else a NULL-terminated list */
    const char *const *read;  /* same; the function's own folder and shared code are always */
    const char *const *write; /* same */
    uint32_t memory_mb;       /* 0: no limit */
    uint32_t cpu_ms;          /* CPU time one request may use; 0: no limit */
    uint32_t pids;            /* 0: the backend's default */
    uint32_t timeout_ms;      /* told to the host */
    bool dev;
    const char *prefix;                    /* route prefix, told to the host */
    const struct hd_launch_lambda *lambda; /* NULL: an edge function */
};

/** What a host declared when it had loaded the function; -1 or NULL: nothing. */
struct hd_declared {
    int is_public; /* 0, 1 or -1 */
    int64_t timeout_ms;
    int64_t concurrency;
    const char *kind;           /* "fetch", ...; valid during the callback */
    const char *const *require; /* roles, NULL-terminated */
    const char *const *imports; /* local files of the module graph, NULL-terminated */
};

/** How the program of an instance ended. */
struct hd_exit_status {
    int signal; /* 0: it exited */
    int code;   /* then with this */
    bool oom;   /* it was ended for being over its memory limit */
};

struct hd_backend;
struct hd_instance_handle; /* the backend's own */

/** What a backend reports, on the control loop, never from inside launch() or terminate(). */
struct hd_backend_events {
    /** It listens and the function is loaded: answers a request now. At most once. */
    void (*on_ready)(void *owner, const struct hd_endpoint *at, const struct hd_declared *declared);
    /**
     * It is gone and nothing of it is left; the handle is dead. Exactly once for each launch.
     * @param err  why it never became ready, or how it crashed ("killed by SIGKILL (memory
     * limit)"); NULL: it ended because of terminate(). HD_EINVAL before on_ready: the function's
     * own fault; who waits for it is told at once, and it is not tried again for a while.
     */
    void (*on_gone)(void *owner, const struct hd_error *err);
    /** One line of output. @p id: invocation id, or empty; @p level: enum hd_log_level. */
    void (*on_line)(void *owner, struct hd_str id, int level, struct hd_str text);
    /** Its program ended by itself, or was ended for its memory: right before on_gone, from a
     *  backend that knows how. Its last lines came before. */
    void (*on_exit)(void *owner, const struct hd_exit_status *how);
};

/** Control loop only, all of it. */
struct hd_backend_ops {
    const char *name; /* "process", "docker", ... */
    /**
     * Begin to make an instance. Everything that can go wrong is reported by on_gone.
     * @param owner  given back in each event; alive until on_gone.
     */
    struct hd_instance_handle *(*launch)(struct hd_backend *b, const struct hd_launch *what,
                                         const struct hd_backend_events *events, void *owner);
    /**
     * End it: after background work and at most @p grace_ms politely, then by force; 0: by force.
     * Calling again with a shorter grace shortens it. on_gone follows.
     */
    void (*terminate)(struct hd_instance_handle *h, uint32_t grace_ms);
    /** Ask whether the instance's event loop turns: done() with 0; HD_ETIMEOUT after @p within_ms;
     *  or HD_EIO: it refused or broke off, as one does that is about to be gone. done() is not
     *  called when the instance goes first. */
    void (*ping)(struct hd_instance_handle *h, uint32_t within_ms,
                 void (*done)(void *owner, int rc), void *owner);
    /**
     * Report everything that the instance has written so far by on_line; then done(), later. What
     * comes after that belongs to the next invocation. Not called again before done(), which does
     * not come when the instance goes first. May be NULL: output comes when it comes.
     */
    void (*flush_output)(struct hd_instance_handle *h, void (*done)(void *owner), void *owner);
    /**
     * Stop everything that runs in an instance, without its noticing, until thaw(); only one that
     * is ready. done() later, with NULL: it stands still; or why it goes on: HD_EDENIED: this
     * backend can freeze nothing here. done() is not called when the instance goes first, or is to
     * end: terminate() thaws what has to be awake for its end. May be NULL: nothing is frozen.
     */
    void (*freeze)(struct hd_instance_handle *h,
                   void (*done)(void *owner, const struct hd_error *err), void *owner);
    /**
     * Let a frozen one go on. @return 0: it does; 1: under way, done() follows as for freeze(); or
     * HD_E*: it cannot, and is of no use any more. NULL if freeze is.
     */
    int (*thaw)(struct hd_instance_handle *h, void (*done)(void *owner, const struct hd_error *err),
                void *owner, struct hd_error *err);
    /** @return resident memory in bytes, or 0 if unknown. */
    uint64_t (*rss_bytes)(struct hd_instance_handle *h);
    /** @return the most memory in bytes that it took so far, or 0 if unknown. May be NULL. */
    uint64_t (*peak_bytes)(struct hd_instance_handle *h);
    /** @return CPU time used so far in microseconds, or 0 if unknown. */
    uint64_t (*cpu_us)(struct hd_instance_handle *h);
    /** Keep hosts ready for the runtime of @p what (a typical launch of it), with nothing loaded.
     * May be NULL. */
    void (*prewarm)(struct hd_backend *b, const struct hd_launch *what, unsigned count);
    /** It may be launched some time: prepare what can be prepared without running it, when nobody
     * else wants the machine. Cheap to call; what waits is bounded. May be NULL. */
    void (*prepare)(struct hd_backend *b, const struct hd_launch *what);
    /** Remove what an earlier, dead node left behind. Before the first launch. */
    int (*reap_stale)(struct hd_backend *b, struct hd_error *err);
    /** End everything and free; @p done when nothing is left. */
    void (*close)(struct hd_backend *b, void (*done)(void *arg), void *arg);
};

struct hd_backend {
    const struct hd_backend_ops *ops;
};

#ifdef __cplusplus
}
#endif
