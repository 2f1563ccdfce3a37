/* backend_rig.h - a process backend on a loop of its own, and functions written on the spot. */
#pragma once

#include "core/buf.h"
#include "pool/process/backend.h"
#include "pool/process/sandbox.h"
#include "test.h"

struct rig {
    struct hd_loop *loop;
    struct hd_backend *backend;
    char dir[64]; /* temporary; holds functions, run */
    char functions[96], run[96], bundles[96];
    struct hd_process_options opt;
    bool closed;
};

/** One launch and what was reported of it. */
struct probe {
    struct rig *rig;
    struct hd_instance_handle *h;
    struct hd_endpoint at;
    struct hd_declared declared;
    bool ready, gone, failed;
    char kind[32], import0[128];
    struct hd_error err;
    struct hd_buf lines; /* "<id>|<level>|<text>\n" */
    unsigned n_lines;
    bool ponged;
    int pong;
    bool exited;
    struct hd_exit_status exit;
};

/** Make the folders and the backend; exits the test with a skip where that is what it says. */
void rig_open(struct rig *r, enum hd_process_sandbox sandbox);
void rig_open_with(struct rig *r, enum hd_process_sandbox sandbox, const char *runtimes,
                   const char *deno);
/** With the real hosts and heddle-shim, and a folder bundles/ in which code lies. */
void rig_open_lambda(struct rig *r, enum hd_process_sandbox sandbox);
/** Same, in a folder that another rig has made and removes. */
void rig_attach_lambda(struct rig *r, enum hd_process_sandbox sandbox, const char *dir);
/** As rig_open(), in a folder that another rig has made and removes. */
void rig_attach(struct rig *r, enum hd_process_sandbox sandbox, const char *dir);
void rig_close(struct rig *r);
/** Close the backend; the folders stay. */
void rig_stop(struct rig *r);
/** Start the backend again on the same folders. */
int rig_start(struct rig *r, struct hd_error *err);
/** Turn the loop until *flag, for ten seconds at most. */
void rig_until(struct rig *r, const bool *flag);
void rig_until_either(struct rig *r, const bool *a, const bool *b);
/** Turn the loop until a prewarmed host waits. */
void rig_until_warm(struct rig *r);
/** Turn the loop once. */
void rig_turn(struct rig *r);
/** Write functions/<name>/main.py. */
void rig_write(struct rig *r, const char *name, const char *source);
/** A launch of functions/<name>/main.py with nothing set. */
struct hd_launch rig_launch(struct rig *r, const char *name);
void rig_begin(struct rig *r, struct probe *p, const struct hd_launch *what);
/** Write, launch and wait until it is ready (or, where it fails, gone). */
void rig_load(struct rig *r, struct probe *p, const char *name, const char *source);
/** GET a path of the instance. @return the body for the caller to free. */
char *rig_get(struct probe *p, const char *path);
/** Ping and wait for what comes of it. */
int rig_ping(struct probe *p, uint32_t within_ms);
/** Terminate and wait. */
void rig_end(struct probe *p, uint32_t grace_ms);
/** @return whether the lines hold this text. */
bool probe_saw(struct probe *p, const char *text);
void probe_done(struct probe *p);
