/* lambda/deploy/deploy_hot.h - folders that are code themselves: tell when something in one
 * changes. Control loop only. */
#pragma once

#include "core/log.h"
#include "functions/strings.h"

struct hd_loop;
struct hd_deploy_hot;

/** All borrowed. */
struct hd_deploy_hot_options {
    struct hd_loop *loop;
    struct hd_log *log;
    /** Something in the folder changed, or may have. */
    void (*on_change)(void *arg, const char *folder);
    void *arg;
};

/** Nothing is watched, and no watch taken from the system, before there is a folder. */
struct hd_deploy_hot *hd_deploy_hot_new(const struct hd_deploy_hot_options *opt);
/** Watch these from now on. @param folders  absolute; copied. */
void hd_deploy_hot_set(struct hd_deploy_hot *h, const struct hd_strings *folders);
/** End and free; on_change is not called any more, @p done later. */
void hd_deploy_hot_close(struct hd_deploy_hot *h, void (*done)(void *arg), void *arg);
/** Free one that watches nothing yet, of a loop that never ran. NULL is fine. */
void hd_deploy_hot_free(struct hd_deploy_hot *h);
