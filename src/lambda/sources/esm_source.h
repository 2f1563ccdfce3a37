/* lambda/sources/esm_source.h - what every kind of source has in common: a table of the mappings
 * that are polled, from the seam of lambda/sources/esm.h to pollers and back. */
#pragma once

#include "lambda/sources/esm_poll.h"

/** What a kind of source needs. All borrowed, on the control loop. */
struct hd_esm_source_options {
    struct hd_esm *esm;
    struct hd_loop *loop;
    struct hd_log *log; /* may be NULL */
    const struct hd_esm_sink_ops *sink_ops;
    void *sink;
};

/** One mapping that is polled; lies in the source's own struct, and is what feed_ops get. */
struct hd_esm_active {
    struct hd_list link;
    struct hd_esm_source *source;
    struct hd_esm_poll *poll;
    char *uuid;
    struct hd_timer started;
};

struct hd_esm_source {
    struct hd_esm_source_options opt;
    const struct hd_esm_feed_ops *feed_ops;
    /** It has stopped: close what takes time, then call hd_esm_source_closed(), from inside too. */
    void (*close_one)(struct hd_esm_active *a);
    void (*free_one)(struct hd_esm_active *a); /* free what it lies in */
    struct hd_list active;
    struct hd_esm_poll_stats past; /* of mappings that have stopped */
};

void hd_esm_source_init(struct hd_esm_source *s, const struct hd_esm_source_options *opt,
                        const struct hd_esm_feed_ops *feed_ops,
                        void (*close_one)(struct hd_esm_active *a),
                        void (*free_one)(struct hd_esm_active *a));
void hd_esm_source_closed(struct hd_esm_active *a);
/** @return the mapping of that id that is polled, or NULL. */
struct hd_esm_active *hd_esm_source_find(const struct hd_esm_source *s, const char *uuid);
/** Begin; the rest of what it lies in is ready. */
void hd_esm_source_start(struct hd_esm_source *s, struct hd_esm_active *a,
                         const struct hd_esm_mapping *m);
void hd_esm_source_update(struct hd_esm_source *s, const struct hd_esm_mapping *m);
void hd_esm_source_stop(struct hd_esm_source *s, const char *uuid);
/** Of all mappings together. */
void hd_esm_source_stats(const struct hd_esm_source *s, struct hd_esm_poll_stats *out);
