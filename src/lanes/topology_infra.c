/* topology_infra.c - what lies behind lanes: queues, peers, the exposure's listener. */
#include "lanes/topology_private.h"

/* --- queues and communicators --- */

static void read_arguments_entry(struct hd_conf *c, const char *name, yaml_node_t *value, void *arg)
{
    hd_auto_free char *text = hd_conf_text(c, value);
    bool quoted =
        value->type == YAML_SCALAR_NODE && value->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    uint64_t number;
    if (text == NULL)
        return;
    bool bare = !quoted && (hd_str_to_u64(&number, hd_str(text)) == 0 ||
                            strcmp(text, "true") == 0 || strcmp(text, "false") == 0);
    struct hd_buf json;
    hd_buf_init(&json, 4096);
    if (bare)
        hd_buf_cstr(&json, text);
    else
        hd_buf_json(&json, hd_str(text));
    hd_strings_addf(arg, "%s=%.*s", name, HD_FMT(hd_buf_view(&json)));
    hd_buf_done(&json);
}

static void read_arguments(struct hd_conf *c, yaml_node_t *node, void *to)
{
    hd_conf_each_entry(c, node, read_arguments_entry, to);
}

static void read_dead_letter(struct hd_conf *c, yaml_node_t *node, void *to)
{
    static const struct hd_conf_key keys[] = {
        {.name = "queue", .kind = HD_CONF_STR, .offset = offsetof(struct hd_lane_queue, dlq_queue)},
        {.name = "exchange",
         .kind = HD_CONF_STR,
         .offset = offsetof(struct hd_lane_queue, dlq_exchange)},
        {.name = "routing_key",
         .kind = HD_CONF_STR,
         .offset = offsetof(struct hd_lane_queue, dlq_routing_key)},
    };
    struct hd_lane_queue *queue = to;
    if (node->type == YAML_SCALAR_NODE)
        queue->dlq_queue = hd_conf_text(c, node);
    else
        hd_conf_map(c, node, keys, HD_COUNT(keys), queue);
    queue->dead_letter =
        queue->dlq_queue != NULL || queue->dlq_exchange != NULL || queue->dlq_routing_key != NULL;
}

static void read_queue_part(struct hd_conf *c, yaml_node_t *node, void *to)
{
    static const char *const asserts[] = {"active", "passive", NULL};
    static const struct hd_conf_key keys[] = {
        {.name = "name", .kind = HD_CONF_STR, .offset = offsetof(struct hd_lane_queue, queue_name)},
        HD_CONF_KEY(struct hd_lane_queue, durable, BOOL),
        HD_CONF_KEY(struct hd_lane_queue, quorum, BOOL),
        {.name = "assert",
         .kind = HD_CONF_WORD,
         .offset = offsetof(struct hd_lane_queue, declare),
         .words = asserts},
        {.name = "arguments",
         .kind = HD_CONF_CUSTOM,
         .offset = offsetof(struct hd_lane_queue, arguments),
         .read = read_arguments},
        HD_CONF_KEY(struct hd_lane_queue, message_ttl_ms, I64),
        {.name = "message_ttl",
         .kind = HD_CONF_I64,
         .offset = offsetof(struct hd_lane_queue, message_ttl_ms)},
        {.name = "dead_letter", .kind = HD_CONF_CUSTOM, .read = read_dead_letter},
    };
    hd_conf_map(c, node, keys, HD_COUNT(keys), to);
}

static void read_reconnect(struct hd_conf *c, yaml_node_t *node, void *to)
{
    static const struct hd_conf_key keys[] = {
        {.name = "enabled",
         .kind = HD_CONF_BOOL,
         .offset = offsetof(struct hd_lane_queue, reconnect)},
        {.name = "max_attempts",
         .kind = HD_CONF_U32,
         .offset = offsetof(struct hd_lane_queue, reconnect_attempts),
         .min = 1},
        {.name = "initial_delay_ms",
         .kind = HD_CONF_U32,
         .offset = offsetof(struct hd_lane_queue, reconnect_initial_ms),
         .min = 1},
        {.name = "max_delay_ms",
         .kind = HD_CONF_U32,
         .offset = offsetof(struct hd_lane_queue, reconnect_max_ms),
         .min = 1},
        HD_CONF_KEY(struct hd_lane_queue, give_up, BOOL),
    };
    hd_conf_map(c, node, keys, HD_COUNT(keys), to);
}

void hd_raw_queue_read(struct hd_conf *c, const char *name, yaml_node_t *node, void *arg)
{
    static const char *const drivers[] = {"sqlite", "memory", "rabbitmq", NULL};
    static const struct hd_conf_key keys[] = {
        {.name = "driver",
         .kind = HD_CONF_WORD,
         .offset = offsetof(struct hd_lane_queue, driver),
         .words = drivers},
        HD_CONF_KEY(struct hd_lane_queue, url, STR),
        {.name = "queue", .kind = HD_CONF_CUSTOM, .read = read_queue_part},
        HD_CONF_KEY(struct hd_lane_queue, publish_confirm, BOOL),
        HD_CONF_KEY(struct hd_lane_queue, prefetch, U32),
        {.name = "reconnect", .kind = HD_CONF_CUSTOM, .read = read_reconnect},
        HD_CONF_KEY(struct hd_lane_queue, max_messages, U64),
        {.name = "concurrency",
         .kind = HD_CONF_U32,
         .offset = offsetof(struct hd_lane_queue, concurrency),
         .min = 1,
         .max = 10000},
    };
    struct hd_raw_topology *raw = arg;
    struct hd_lane_queue *queue = hd_new(struct hd_lane_queue);
    *queue = (struct hd_lane_queue){.name = hd_strdup(name),
                                    .durable = true,
                                    .quorum = true,
                                    .message_ttl_ms = -1,
                                    .prefetch = 10,
                                    .publish_confirm = true,
                                    .reconnect = true,
                                    .reconnect_attempts = 5,
                                    .reconnect_initial_ms = 100,
                                    .reconnect_max_ms = 2000,
                                    .concurrency = 1,
                                    .line = hd_conf_line(node)};
    hd_conf_map(c, node, keys, HD_COUNT(keys), queue);
    if (queue->driver == HD_DRIVER_RABBITMQ && queue->url == NULL)
        queue->url = hd_strdup("amqp://localhost");
    if (queue->queue_name == NULL)
        queue->queue_name =
            hd_strdup(queue->driver == HD_DRIVER_RABBITMQ ? "runner_event_lanes" : name);
    *HD_APPEND(raw->t->queues, raw->t->n_queues) = queue;
}

void hd_raw_communicator_read(struct hd_conf *c, const char *name, yaml_node_t *node, void *arg)
{
    static const struct hd_conf_key keys[] = {
        HD_CONF_KEY(struct hd_communicator, base_url, STR),
        HD_CONF_KEY(struct hd_communicator, token, STR),
        HD_CONF_KEY(struct hd_communicator, token_header, STR),
        {.name = "timeout_ms",
         .kind = HD_CONF_U32,
         .offset = offsetof(struct hd_communicator, timeout_ms),
         .min = 1},
        {.name = "pool",
         .kind = HD_CONF_U32,
         .offset = offsetof(struct hd_communicator, pool),
         .min = 1,
         .max = 10000},
    };
    struct hd_raw_topology *raw = arg;
    struct hd_communicator *peer = hd_new(struct hd_communicator);
    *peer = (struct hd_communicator){.name = hd_strdup(name),
                                     .token_header = hd_strdup("x-runner-token"),
                                     .timeout_ms = 15000,
                                     .pool = 32,
                                     .line = hd_conf_line(node)};
    hd_conf_map(c, node, keys, HD_COUNT(keys), peer);
    *HD_APPEND(raw->t->communicators, raw->t->n_communicators) = peer;
}

/* --- exposure --- */

static void read_listen(struct hd_conf *c, yaml_node_t *node, void *to)
{
    static const struct hd_conf_key keys[] = {HD_CONF_KEY(struct hd_exposure_options, host, STR),
                                              HD_CONF_KEY(struct hd_exposure_options, port, U16)};
    hd_conf_map(c, node, keys, HD_COUNT(keys), to);
}

static void read_edge_auth(struct hd_conf *c, yaml_node_t *node, void *to)
{
    static const struct hd_conf_key keys[] = {
        HD_CONF_KEY(struct hd_exposure_options, tokens, STRS),
        {.name = "token",
         .kind = HD_CONF_STRS,
         .offset = offsetof(struct hd_exposure_options, tokens)},
        {.name = "header",
         .kind = HD_CONF_STR,
         .offset = offsetof(struct hd_exposure_options, token_header)},
        HD_CONF_KEY(struct hd_exposure_options, validator, STR),
        HD_CONF_KEY(struct hd_exposure_options, allow_anonymous, BOOL),
    };
    hd_conf_map(c, node, keys, HD_COUNT(keys), to);
}

static void read_cors(struct hd_conf *c, yaml_node_t *node, void *to)
{
    static const struct hd_conf_key keys[] = {
        {.name = "origin",
         .kind = HD_CONF_STRS,
         .offset = offsetof(struct hd_exposure_options, cors_origins)},
        {.name = "credentials",
         .kind = HD_CONF_BOOL,
         .offset = offsetof(struct hd_exposure_options, cors_credentials)},
        {.name = "methods",
         .kind = HD_CONF_STRS,
         .offset = offsetof(struct hd_exposure_options, cors_methods)},
        {.name = "allowed_headers",
         .kind = HD_CONF_STRS,
         .offset = offsetof(struct hd_exposure_options, cors_headers)},
        {.name = "max_age",
         .kind = HD_CONF_U32,
         .offset = offsetof(struct hd_exposure_options, cors_max_age_s)},
        {.name = "vary_origin",
         .kind = HD_CONF_BOOL,
         .offset = offsetof(struct hd_exposure_options, cors_vary)},
    };
    struct hd_exposure_options *e = to;
    e->cors_given = true;
    hd_conf_map(c, node, keys, HD_COUNT(keys), to);
}

static void read_multipart(struct hd_conf *c, yaml_node_t *node, void *to)
{
    static const struct hd_conf_key keys[] = {
        {.name = "file",
         .kind = HD_CONF_U64,
         .offset = offsetof(struct hd_exposure_options, file_bytes)},
        {.name = "files",
         .kind = HD_CONF_U32,
         .offset = offsetof(struct hd_exposure_options, files)},
        {.name = "fields",
         .kind = HD_CONF_U32,
         .offset = offsetof(struct hd_exposure_options, fields)},
        {.name = "field",
         .kind = HD_CONF_U64,
         .offset = offsetof(struct hd_exposure_options, field_bytes)},
        HD_CONF_KEY(struct hd_exposure_options, parts, U32),
        {.name = "total",
         .kind = HD_CONF_U64,
         .offset = offsetof(struct hd_exposure_options, multipart_bytes)},
    };
    hd_conf_map(c, node, keys, HD_COUNT(keys), to);
}

static void read_octet(struct hd_conf *c, yaml_node_t *node, void *to)
{
    static const struct hd_conf_key keys[] = {
        {.name = "buffer",
         .kind = HD_CONF_U64,
         .offset = offsetof(struct hd_exposure_options, octet_bytes)}};
    hd_conf_map(c, node, keys, HD_COUNT(keys), to);
}

static void read_limits(struct hd_conf *c, yaml_node_t *node, void *to)
{
    static const struct hd_conf_key keys[] = {
        {.name = "json",
         .kind = HD_CONF_U64,
         .offset = offsetof(struct hd_exposure_options, json_bytes),
         .min = 1,
         .max = 1 << 30},
        {.name = "multipart", .kind = HD_CONF_CUSTOM, .read = read_multipart},
        {.name = "octet", .kind = HD_CONF_CUSTOM, .read = read_octet},
        {.name = "head_ms",
         .kind = HD_CONF_U32,
         .offset = offsetof(struct hd_exposure_options, head_ms),
         .min = 1,
         .max = 3600000},
        {.name = "gap_ms",
         .kind = HD_CONF_U32,
         .offset = offsetof(struct hd_exposure_options, gap_ms),
         .min = 1,
         .max = 3600000},
        {.name = "rate",
         .kind = HD_CONF_U32,
         .offset = offsetof(struct hd_exposure_options, min_rate)},
    };
    hd_conf_map(c, node, keys, HD_COUNT(keys), to);
}

static void read_http(struct hd_conf *c, yaml_node_t *node, void *to)
{
    static const struct hd_conf_key keys[] = {
        HD_CONF_KEY(struct hd_exposure_options, base_path, STR),
        {.name = "listen", .kind = HD_CONF_CUSTOM, .read = read_listen},
        {.name = "auth", .kind = HD_CONF_CUSTOM, .read = read_edge_auth},
        {.name = "cors", .kind = HD_CONF_CUSTOM, .read = read_cors},
        {.name = "limits", .kind = HD_CONF_CUSTOM, .read = read_limits},
        HD_CONF_KEY(struct hd_exposure_options, discovery, BOOL),
    };
    struct hd_exposure_options *e = to;
    e->given = true;
    hd_conf_map(c, node, keys, HD_COUNT(keys), to);
}

void hd_raw_exposure_read(struct hd_conf *c, yaml_node_t *node, void *to)
{
    static const struct hd_conf_key keys[] = {
        {.name = "http", .kind = HD_CONF_CUSTOM, .read = read_http}};
    hd_conf_map(c, node, keys, HD_COUNT(keys), to);
}
