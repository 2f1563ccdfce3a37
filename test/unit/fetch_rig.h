/* fetch_rig.h - a loop, and a real HTTP server beside it (fetch_server.py). */
#pragma once

#include "http/fetch.h"

/** Runs until fetch_rig_stop(). */
struct fetch_rig {
    struct hd_loop *loop;
    struct hd_fetcher *fetcher;
    char dir[64];    /* temporary; what /jwks is answered with */
    char socket[80]; /* in dir, if asked for */
    char base[40];   /* "http://127.0.0.1:1234" */
    int pid, to_server;
};

void fetch_rig_start(struct fetch_rig *rig, bool on_unix_socket);
/** The same with another server: a Python script that prints its port and ends with its input.
 *  @param args  NULL-terminated. */
void fetch_rig_start_script(struct fetch_rig *rig, const char *script, const char *const *args);
void fetch_rig_stop(struct fetch_rig *rig);
/** Run the loop until @p done says so; fail after 10 s. */
void fetch_rig_run(struct fetch_rig *rig, bool (*done)(void *arg), void *arg);
/** Run the loop until *flag. */
void fetch_rig_until(struct fetch_rig *rig, bool *flag);
/** Put @p text into a file in dir, at once and whole. */
void fetch_rig_write(struct fetch_rig *rig, const char *name, const char *text);
/** Remove a file in dir if it is there. */
void fetch_rig_remove(struct fetch_rig *rig, const char *name);
