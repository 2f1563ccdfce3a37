#include "lambda/async/event_config.h"

enum hd_destination_kind hd_destination_kind(struct hd_str destination)
{
    static const struct {
        const char *service;
        enum hd_destination_kind kind;
    } services[] = {
        {"lambda", HD_DESTINATION_FUNCTION}, {"sqs", HD_DESTINATION_SQS},
        {"sns", HD_DESTINATION_SNS},         {"events", HD_DESTINATION_EVENTS},
        {"s3", HD_DESTINATION_S3},
    };
    struct hd_arn arn;
    if (destination.len == 0)
        return HD_DESTINATION_NONE;
    if (hd_str_starts(destination, hd_str("http://")) ||
        hd_str_starts(destination, hd_str("https://")))
        return HD_DESTINATION_HTTP;
    if (hd_str_starts(destination, hd_str("lane:")))
        return HD_DESTINATION_LANE;
    if (hd_names_arn(&arn, destination) < 0)
        return HD_DESTINATION_OTHER;
    for (size_t i = 0; i < HD_COUNT(services); i++) {
        if (hd_str_is(arn.service, services[i].service))
            return services[i].kind;
    }
    return HD_DESTINATION_OTHER;
}

struct hd_str hd_event_config_destination(const json_t *destinations, const char *when)
{
    const json_t *v = json_object_get(json_object_get(destinations, when), "Destination");
    return hd_str_n(json_string_value(v), json_string_length(v));
}

static json_t *one_destination(const json_t *destinations, const char *when)
{
    struct hd_str d = hd_event_config_destination(destinations, when);
    json_t *out = json_object();
    if (d.len > 0)
        json_object_set_new(out, "Destination", json_stringn(d.ptr, d.len));
    return out;
}

json_t *hd_event_config_make(const json_t *old, const struct hd_event_config_input *in,
                             double now_s)
{
    if (in->retries == NULL && in->age == NULL && in->destinations == NULL)
        return NULL;
    json_t *record = old != NULL ? json_deep_copy(old) : json_object();
    if (in->retries != NULL)
        json_object_set(record, "MaximumRetryAttempts", in->retries);
    if (in->age != NULL)
        json_object_set(record, "MaximumEventAgeInSeconds", in->age);
    if (in->destinations != NULL || old == NULL)
        json_object_set_new(record, "DestinationConfig",
                            json_pack("{s:o, s:o}", "OnSuccess",
                                      one_destination(in->destinations, "OnSuccess"), "OnFailure",
                                      one_destination(in->destinations, "OnFailure")));
    json_object_set_new(record, "LastModified", json_real(now_s));
    return record;
}

static void describe(struct hd_str d, const char *name, const char *type, char **out)
{
    *out = d.len > 0 ? hd_printf("%s=%s(destination=%.*s)", name, type, HD_FMT(d))
                     : hd_printf("%s=null", name);
}

char *hd_event_config_bad_destination(const json_t *destinations)
{
    hd_auto_free char *success = NULL, *failure = NULL;
    describe(hd_event_config_destination(destinations, "OnSuccess"), "onSuccess", "OnSuccess",
             &success);
    describe(hd_event_config_destination(destinations, "OnFailure"), "onFailure", "OnFailure",
             &failure);
    return hd_printf("The provided destination config DestinationConfig(%s, %s) is invalid.",
                     success, failure);
}
