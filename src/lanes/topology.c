/* topology.c - reading, looking up and freeing; topology_parse.c reads the text, topology_resolve.c
 * finds what the names stand for, topology_check.c holds the rules. */
#include "lanes/topology.h"

#include "core/buf.h"
#include "lanes/topology_private.h"

#include <stdio.h>

/* --- freeing --- */

static void task_free(struct hd_lane_task *t)
{
    free(t->name);
    free(t->wire_id);
    free(t->function);
    hd_strings_done(&t->aliases);
    free(t);
}

static void hook_free(struct hd_lane_hook *h)
{
    free(h->id);
    free(h->function);
    free(h);
}

static void event_free(struct hd_lane_event *e)
{
    free(e->name);
    free(e->wire_id);
    hd_strings_done(&e->aliases);
    for (size_t i = 0; i < e->n_hooks; i++)
        hook_free(e->hooks[i]);
    free(e->hooks);
    free(e);
}

static void queue_free(struct hd_lane_queue *q)
{
    free(q->name);
    free(q->url);
    free(q->queue_name);
    free(q->dlq_queue);
    free(q->dlq_exchange);
    free(q->dlq_routing_key);
    hd_strings_done(&q->arguments);
    free(q);
}

static void event_lane_free(struct hd_event_lane *l)
{
    free(l->id);
    hd_strings_done(&l->apply_to);
    hd_strings_done(&l->contexts);
    hd_strings_done(&l->hooks_only);
    hd_lane_auth_done(&l->auth);
    hd_lane_keys_free(l->keys);
    free(l);
}

static void rpc_lane_free(struct hd_rpc_lane *l)
{
    free(l->id);
    hd_strings_done(&l->apply_to);
    hd_strings_done(&l->contexts);
    hd_lane_auth_done(&l->auth);
    hd_lane_keys_free(l->keys);
    free(l);
}

static void communicator_free(struct hd_communicator *p)
{
    free(p->name);
    free(p->base_url);
    if (p->token != NULL)
        explicit_bzero(p->token, strlen(p->token));
    free(p->token);
    free(p->token_header);
    free(p);
}

static void exposure_done(struct hd_exposure_options *e)
{
    free(e->base_path);
    free(e->host);
    free(e->token_header);
    free(e->validator);
    hd_strings_done(&e->tokens);
    hd_strings_done(&e->cors_origins);
    hd_strings_done(&e->cors_headers);
    hd_strings_done(&e->cors_methods);
}

void hd_topology_free(struct hd_topology *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->n_tasks; i++)
        task_free(t->tasks[i]);
    for (size_t i = 0; i < t->n_events; i++)
        event_free(t->events[i]);
    for (size_t i = 0; i < t->n_event_lanes; i++)
        event_lane_free(t->event_lanes[i]);
    for (size_t i = 0; i < t->n_rpc_lanes; i++)
        rpc_lane_free(t->rpc_lanes[i]);
    for (size_t i = 0; i < t->n_queues; i++)
        queue_free(t->queues[i]);
    for (size_t i = 0; i < t->n_communicators; i++)
        communicator_free(t->communicators[i]);
    for (size_t i = 0; i < t->n_errors; i++) {
        free(t->errors[i].error_type);
        free(t->errors[i].wire_id);
    }
    free(t->tasks);
    free(t->events);
    free(t->event_lanes);
    free(t->rpc_lanes);
    free(t->queues);
    free(t->communicators);
    free(t->errors);
    free(t->profile);
    free(t->namespace_);
    free(t->relay_prefix);
    hd_strings_done(&t->contexts);
    hd_strings_done(&t->warnings);
    exposure_done(&t->exposure);
    free(t);
}

static void binding_done(struct hd_raw_binding *b)
{
    free(b->lane);
    free(b->queue);
    free(b->communicator);
    hd_lane_auth_done(&b->auth);
}

static void profile_done(struct hd_raw_profile *p)
{
    free(p->name);
    for (size_t i = 0; i < p->n_consume; i++) {
        free(p->consume[i].lane);
        hd_strings_done(&p->consume[i].only);
    }
    free(p->consume);
    hd_strings_done(&p->serve);
}

void hd_raw_topology_done(struct hd_raw_topology *raw)
{
    for (size_t i = 0; i < raw->t->n_tasks && raw->task_lanes != NULL; i++)
        free(raw->task_lanes[i]);
    for (size_t i = 0; i < raw->t->n_events && raw->event_lanes != NULL; i++)
        free(raw->event_lanes[i]);
    for (size_t i = 0; i < raw->n_hooks; i++) {
        free(raw->hooks[i].event);
        if (raw->hooks[i].hook != NULL && raw->hooks[i].hook->event == NULL)
            hook_free(raw->hooks[i].hook);
    }
    for (size_t i = 0; i < raw->n_bindings; i++)
        binding_done(&raw->bindings[i]);
    for (size_t i = 0; i < raw->n_profiles; i++)
        profile_done(&raw->profiles[i]);
    free(raw->task_lanes);
    free(raw->event_lanes);
    free(raw->hooks);
    free(raw->bindings);
    free(raw->profiles);
    hd_strings_done(&raw->context_names);
    free(raw->conf.folder);
}

void hd_topology_problems_free(struct hd_topology_problem *problems, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(problems[i].id);
        free(problems[i].text);
    }
    free(problems);
}

/* --- reading --- */

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return hd_strdup(".");
    return hd_strdup_n(hd_str_n(path, slash == path ? 1 : (size_t)(slash - path)));
}

static void read_document(struct hd_raw_topology *raw, yaml_document_t *doc)
{
    yaml_node_t *root = yaml_document_get_root_node(doc);
    raw->conf.doc = doc;
    yaml_node_t *lanes = root != NULL ? hd_conf_get(&raw->conf, root, "lanes") : NULL;
    if (lanes == NULL)
        return;
    raw->t->given = true;
    snprintf(raw->conf.key, sizeof(raw->conf.key), "lanes");
    hd_topology_parse(raw, lanes);
    hd_topology_resolve(raw);
}

static void read_text(struct hd_raw_topology *raw, struct hd_str text)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    if (!yaml_parser_initialize(&parser))
        return;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
    if (!yaml_parser_load(&parser, &doc)) {
        hd_conf_problem(&raw->conf, "config", parser.problem_mark.line + 1, "%s",
                        parser.problem != NULL ? parser.problem : "not YAML");
    } else {
        read_document(raw, &doc);
        yaml_document_delete(&doc);
    }
    yaml_parser_delete(&parser);
}

int hd_topology_read(struct hd_topology **out, const char *path, struct hd_str text,
                     char *const *env, struct hd_topology_problem **problems, size_t *n_problems,
                     struct hd_error *err)
{
    struct hd_raw_topology raw = {.t = hd_new(struct hd_topology)};
    hd_topology_defaults(raw.t);
    raw.conf.path = path;
    raw.conf.folder = folder_of(path);
    raw.conf.env = env;
    read_text(&raw, text);
    hd_raw_topology_done(&raw);
    size_t n = raw.conf.n_problems;
    int rc = n > 0 ? hd_fail(err, HD_EINVAL, "%s (%s)", raw.conf.problems[0].text,
                             raw.conf.problems[0].id)
                   : 0;
    if (problems != NULL) {
        *problems = raw.conf.problems;
        *n_problems = n;
    } else {
        hd_topology_problems_free(raw.conf.problems, n);
    }
    if (rc < 0)
        hd_topology_free(raw.t);
    else
        *out = raw.t;
    return rc;
}

/* --- looking up --- */

/* The part behind the last dot, if exactly one has it. */
static bool last_part_is(const char *wire_id, struct hd_str name)
{
    const char *dot = strrchr(wire_id, '.');
    return hd_str_is(name, dot != NULL ? dot + 1 : wire_id);
}

const struct hd_lane_task *hd_topology_task(const struct hd_topology *t, struct hd_str id)
{
    const struct hd_lane_task *found = NULL;
    unsigned n = 0;
    for (size_t i = 0; i < t->n_tasks; i++) {
        const struct hd_lane_task *one = t->tasks[i];
        if (hd_str_is(id, one->wire_id) || hd_str_is(id, one->name) ||
            hd_strings_has(&one->aliases, id))
            return one;
        if (last_part_is(one->wire_id, id)) {
            found = one;
            n++;
        }
    }
    return n == 1 ? found : NULL;
}

const struct hd_lane_event *hd_topology_event(const struct hd_topology *t, struct hd_str id)
{
    const struct hd_lane_event *found = NULL;
    unsigned n = 0;
    for (size_t i = 0; i < t->n_events; i++) {
        const struct hd_lane_event *one = t->events[i];
        if (hd_str_is(id, one->wire_id) || hd_str_is(id, one->name) ||
            hd_strings_has(&one->aliases, id))
            return one;
        if (last_part_is(one->wire_id, id)) {
            found = one;
            n++;
        }
    }
    return n == 1 ? found : NULL;
}

const struct hd_event_lane *hd_topology_event_lane(const struct hd_topology *t, struct hd_str id)
{
    for (size_t i = 0; i < t->n_event_lanes; i++) {
        if (hd_str_is(id, t->event_lanes[i]->id))
            return t->event_lanes[i];
    }
    return NULL;
}

const struct hd_lane_error_type *hd_topology_error(const struct hd_topology *t,
                                                   struct hd_str error_type)
{
    for (size_t i = 0; i < t->n_errors; i++) {
        if (hd_str_is(error_type, t->errors[i].error_type))
            return &t->errors[i];
    }
    return NULL;
}
