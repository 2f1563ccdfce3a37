/* lambda/api/api_private.h - what the files of the API share beside the operations' header. */
#pragma once

#include "lambda/api/api_gc.h"
#include "lambda/api/api_routes.h"
#include "lambda/api/download.h"
#include "lambda/sources/esm.h"
#include "lambda/deploy/view_build.h"

/** Endings of one operation. */
struct hd_api_tally {
    _Atomic uint64_t answered, refused, failed;
};

struct hd_api {
    struct hd_api_options opt; /* with its defaults filled in; strings are copies */
    struct hd_catalog *catalog;
    struct hd_patterns *patterns;
    struct hd_deploy *deploy;
    struct hd_publisher *publisher;
    struct hd_api_gc *gc;
    struct hd_esm *esm;
    bool esm_closed;
    unsigned char download_key[32];
    bool has_download_key;

    struct hd_api_tally *tallies; /* by the index of the operation */
    unsigned active;              /* requests under way */
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

/** One request, from any loop to the control loop and back. */
struct hd_job {
    struct hd_op op; /* first */
    struct hd_api_request request;
    char *text;  /* what the slices of the request point into */
    char *names; /* op.function and op.qualifier */
    struct hd_api_route route;
    struct hd_loop *loop;
    void (*done)(void *arg, const struct hd_api_answer *answer);
    void *arg;
    bool ended;
    json_t *answer_json;
    struct hd_buf answer_body;
    char *file;
    struct hd_api_answer answer;
    struct hd_error err; /* of work off the loop */
};

enum { HD_API_MESSAGE_MAX = 65536 }; /* bytes of an error's message */

/** The answer is complete: hand it back. */
void hd_api_end(struct hd_job *job);
/** Something ended: if that was the last thing of a closing API, say so. */
void hd_api_settle(struct hd_api *api);
