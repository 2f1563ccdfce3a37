/* lambda/deploy/view_build.h - from the catalog's records to views: each change makes the functions
 * anew that it touched, and publishes. Control loop only. */
#pragma once

#include "lambda/deploy/deploy.h"

struct hd_publisher;

/** All borrowed. It listens to the catalog: make it after the deployer, whose targets it shows. */
struct hd_publisher_options {
    struct hd_catalog *catalog;
    const struct hd_deploy *deploy;
    struct hd_log *log;
    void (*on_view)(void *arg, struct hd_view *view); /* with a reference for it; may be NULL */
    void *arg;
};

/** Publish the first view before this returns. */
struct hd_publisher *hd_publisher_new(const struct hd_publisher_options *opt);
void hd_publisher_free(struct hd_publisher *p); /* NULL is fine */
/** @return the newest view, borrowed. */
struct hd_view *hd_publisher_view(const struct hd_publisher *p);
/** Show a function anew although no record changed: its target did. @p key  "account/region/name".
 */
void hd_publisher_touch(struct hd_publisher *p, const char *key);
