/* lambda/deploy/deploy_task.h - one step of the state machine: look at what a version needs, then
 * store that it is Active, or has Failed, and why. Control loop; the disk is looked at on a work
 * thread.
 */
#pragma once

#include "lambda/api/api.h"
#include "lambda/deploy/catalog.h"

struct hd_deploy_task;

struct hd_deploy_task_options {
    struct hd_catalog *catalog;
    const struct hd_api_options *api;
    enum hd_record kind;
    const char *key; /* copied, as the next two are */
    const json_t *doc;
    const char *problem; /* it cannot run on this machine; NULL: it can */
    /** It is stored, or the record is gone. The task is dead when this returns. */
    void (*done)(void *arg, const struct hd_deploy_task *t, const char *key);
    void *arg;
};

struct hd_deploy_task *hd_deploy_task_start(const struct hd_deploy_task_options *opt);
/** The version is gone: change nothing any more; done() comes all the same. NULL is fine. */
void hd_deploy_task_forget(struct hd_deploy_task *t);
/** Do not try again what could not be stored. NULL is fine. */
void hd_deploy_task_stop(struct hd_deploy_task *t);

/**
 * Look for the file that a handler is in.
 * @param runtime  "node", "python", "provided"; others are not looked at.
 * @param handler  "folder/file.name"; not used for "provided".
 * @param opt_dir  merged layers, or NULL.
 * @return whether it is there. Any thread.
 */
bool hd_deploy_has_handler(const char *runtime, const char *handler, const char *code_dir,
                           const char *opt_dir);
