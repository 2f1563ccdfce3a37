#include "node/defaults.h"

/* Where options and settings of functions meet. */
static const struct {
    enum hd_key key;
    const char *option;
} meets[] = {
    {HD_KEY_TIMEOUT, "timeouts.function_ms"},
    {HD_KEY_STREAM_IDLE, "timeouts.stream_idle_ms"},
    {HD_KEY_RPM, "limits.rpm"},
    {HD_KEY_MAX_BODY, "limits.body_mb"},
    {HD_KEY_CONCURRENCY, "pool.concurrency"},
    {HD_KEY_MIN_INSTANCES, "pool.min"},
    {HD_KEY_MAX_INSTANCES, "pool.max"},
    {HD_KEY_IDLE, "pool.idle_ms"},
    {HD_KEY_QUEUE, "pool.queue"},
};

void hd_node_defaults(struct hd_defaults *d, const struct hd_node_options *opt)
{
    hd_defaults_init(d);
    d->dev = opt->dev;
    d->enforce = opt->enforce_manifest;
    d->allow_all = opt->allow_all;
    d->set.timeout_ms = opt->timeout_ms;
    d->set.stream_idle_ms = opt->stream_idle_ms;
    d->set.rpm = opt->default_rpm;
    d->set.body_limit_bytes = opt->body_limit_bytes;
    d->set.concurrency = opt->concurrency;
    d->set.min_instances = opt->min_instances;
    d->set.max_instances = opt->max_instances;
    d->set.idle_ms = opt->idle_ms;
    d->set.queue_max = opt->queue_max;
    for (size_t i = 0; i < HD_COUNT(meets); i++)
        d->source[meets[i].key] = hd_node_options_origin(opt, meets[i].option);
}
