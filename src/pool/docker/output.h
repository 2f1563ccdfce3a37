/* pool/docker/output.h - what runs in a container writes into two FIFOs of its instance's folder:
 * nothing of the engine lies between, so what was written is there to read. */
#pragma once

#include "core/loop.h"
#include "pool/process/capture.h"

struct hd_docker_output {
    struct hd_docker_stream {
        struct hd_watched watched;
        struct hd_docker_output *all;
        struct hd_capture capture;
    } out, err;
    struct hd_loop *loop;
    hd_capture_fn on_line;
    void *arg;
    bool open;
};

/**
 * Make FIFOs `out` and `err` in @p dir and read them.
 * @param uid, gid  whose they will be, if this process may give them away.
 * @param token     of log records; borrowed until close.
 * @return 0 or HD_EIO.
 */
int hd_docker_output_open(struct hd_docker_output *o, struct hd_loop *loop, const char *dir,
                          uint32_t uid, uint32_t gid, const char *token, hd_capture_fn on_line,
                          void *arg, struct hd_error *err);
/** It came another way than through the FIFOs. */
void hd_docker_output_feed(struct hd_docker_output *o, bool is_err, struct hd_str bytes);
/** Report all that was written so far, lines without an end too. */
void hd_docker_output_flush(struct hd_docker_output *o);
/** Report the rest, and stop. Not open: fine. */
void hd_docker_output_close(struct hd_docker_output *o);
