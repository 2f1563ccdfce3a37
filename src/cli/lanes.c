/* lanes.c - `heddle emit`, `heddle call`, `heddle lanes`: the lanes of the node that runs here, and
 * what a configuration says of them without one. */
#include "cli/commands.h"

#include "cli/fetch.h"
#include "functions/file.h"
#include "lanes/topology.h"

#include <jansson.h>
#include <unistd.h>

struct lanes_values {
    bool json, typed;
};
#define TYPED(command)                                                                       \
    {                                                                                        \
        .key = "typed", .flag = "typed", .kind = HD_OPTION_BOOL,                             \
        .offset = offsetof(struct lanes_values, typed), .no_file = true, .group = "Options", \
        .help = "The value is typed text, and so is the answer", .commands = command         \
    }

const struct hd_option hd_emit_options[] = {TYPED(HD_CMD_EMIT)};
const size_t hd_emit_options_n = HD_COUNT(hd_emit_options);
const struct hd_option hd_call_options[] = {TYPED(HD_CMD_CALL)};
const size_t hd_call_options_n = HD_COUNT(hd_call_options);
const struct hd_option hd_lanes_options[] = {
    {.key = "json",
     .flag = "json",
     .kind = HD_OPTION_BOOL,
     .offset = offsetof(struct lanes_values, json),
     .no_file = true,
     .group = "Options",
     .help = "For programs: the JSON as the node says it",
     .commands = HD_CMD_LANES},
};
const size_t hd_lanes_options_n = HD_COUNT(hd_lanes_options);

enum { ANSWER_MAX = 64 << 20, INPUT_MAX = 6 << 20, WAIT_MS = 120000 };

/* --- asking the node --- */

struct reply {
    unsigned status;
    struct hd_buf text;
};

static void on_status(void *arg, unsigned status, const char *reason)
{
    struct reply *r = arg;
    r->status = status;
    (void)reason;
}

static bool on_body(void *arg, struct hd_str bytes)
{
    struct reply *r = arg;
    hd_buf_str(&r->text, bytes);
    return !hd_buf_failed(&r->text);
}

/* @return an exit code; *r is the caller's to free in any case. */
static int ask(struct hd_cli *cli, const struct hd_parsed *p, struct reply *r, const char *method,
               const char *path, struct hd_str body, const char *const *fields)
{
    struct hd_error err;
    *r = (struct reply){0};
    hd_buf_init(&r->text, ANSWER_MAX);
    hd_auto_free char *url = hd_printf("http://localhost%s", path);
    struct hd_fetch request = {.socket = p->opt.admin_socket,
                               .url = url,
                               .method = method,
                               .fields = fields,
                               .body = body,
                               .has_body = strcmp(method, "POST") == 0,
                               .body_fd = -1,
                               .timeout_ms = WAIT_MS,
                               .on_status = on_status,
                               .on_body = on_body,
                               .arg = r};
    int status = hd_fetch_send(&request, &err);
    if (status == HD_ENOTFOUND)
        return hd_cli_fail(cli, HD_EXIT_OFFLINE,
                           "no node runs here; start one with `heddle serve`");
    if (status < 0)
        return hd_cli_fail(cli, HD_EXIT_FAILED, "%s", err.msg);
    return HD_EXIT_OK;
}

static int print_reply(struct hd_cli *cli, const struct reply *r)
{
    FILE *to = r->status < 400 ? cli->out.file : cli->err.file;
    struct hd_str text = hd_buf_view(&r->text);
    fwrite(text.ptr != NULL ? text.ptr : "", 1, text.len, to);
    if (text.len > 0 && text.ptr[text.len - 1] != '\n')
        fputc('\n', to);
    return r->status < 400 ? HD_EXIT_OK : HD_EXIT_HTTP;
}

/* --- emit and call --- */

static int read_input(struct hd_buf *out)
{
    char chunk[65536];
    ssize_t n;
    while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) > 0)
        hd_buf_add(out, chunk, (size_t)n);
    return n < 0 || hd_buf_failed(out) ? -1 : 0;
}

static void add_escaped(struct hd_buf *out, const char *name)
{
    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++) {
        bool plain = (*c >= '0' && *c <= '9') || ((*c | 0x20) >= 'a' && (*c | 0x20) <= 'z') ||
                     strchr("-._~", *c) != NULL;
        if (plain)
            hd_buf_char(out, (char)*c);
        else
            hd_buf_fmt(out, "%%%02X", *c);
    }
}

static void path_of(struct hd_buf *out, const char *base, const char *name)
{
    hd_buf_cstr(out, base);
    add_escaped(out, name);
    hd_buf_char(out, '\0');
}

static int send_to(struct hd_cli *cli, const char *base)
{
    static const char *const plain[] = {"content-type: application/json", NULL};
    static const char *const typed[] = {"content-type: application/vnd.heddle.typed+json", NULL};
    struct lanes_values values = {0};
    struct hd_parsed p;
    struct hd_buf input, path;
    struct reply r = {0};
    hd_buf_init(&input, INPUT_MAX);
    hd_buf_init(&path, 4096);
    int code = hd_cli_parse(cli, &p, &values, 2);
    if (code < 0 && p.n_words == 0)
        code = hd_cli_usage(cli, "which one? give its name");
    if (code < 0 && p.n_words == 2 && strcmp(p.words[1], "-") == 0 && read_input(&input) < 0)
        code = hd_cli_fail(cli, HD_EXIT_FAILED, "cannot read the standard input, or over 6 MiB");
    if (code < 0) {
        if (p.n_words == 2 && strcmp(p.words[1], "-") != 0)
            hd_buf_cstr(&input, p.words[1]);
        path_of(&path, base, p.words[0]);
        code =
            ask(cli, &p, &r, "POST", path.ptr, hd_buf_view(&input), values.typed ? typed : plain);
        if (code == HD_EXIT_OK)
            code = print_reply(cli, &r);
        hd_buf_done(&r.text);
    }
    hd_buf_done(&input);
    hd_buf_done(&path);
    hd_parsed_done(&p);
    return code;
}

int hd_cmd_emit(struct hd_cli *cli)
{
    return send_to(cli, "/lanes/v1/events/");
}

int hd_cmd_call(struct hd_cli *cli)
{
    return send_to(cli, "/lanes/v1/tasks/");
}

/* --- lanes check --- */

static const char *who(bool here, bool bound, const char *does)
{
    return here ? does : bound ? "peer" : "unbound";
}

static void lane_rows(struct hd_table *table, const struct hd_topology *t)
{
    for (size_t i = 0; i < t->n_event_lanes; i++) {
        const struct hd_event_lane *l = t->event_lanes[i];
        bool bound = l->queue != NULL;
        hd_table_add(table, HD_BOLD, l->id);
        hd_table_add(table, HD_PLAIN, "event");
        hd_table_add(table, bound ? HD_PLAIN : HD_BAD, bound ? l->queue->name : "-");
        hd_table_add(table, l->consumed ? HD_GOOD : HD_PLAIN,
                     who(l->consumed, bound, "consumed here"));
        hd_table_addf(table, HD_PLAIN, "%u", l->max_attempts);
    }
    for (size_t i = 0; i < t->n_rpc_lanes; i++) {
        const struct hd_rpc_lane *l = t->rpc_lanes[i];
        bool bound = l->communicator != NULL;
        hd_table_add(table, HD_BOLD, l->id);
        hd_table_add(table, HD_PLAIN, "rpc");
        hd_table_add(table, bound ? HD_PLAIN : HD_BAD, bound ? l->communicator->name : "-");
        hd_table_add(table, l->served ? HD_GOOD : HD_PLAIN, who(l->served, bound, "served here"));
        hd_table_add(table, HD_DIM, "-");
    }
}

static void definition_rows(struct hd_table *table, const struct hd_topology *t)
{
    for (size_t i = 0; i < t->n_tasks; i++) {
        const struct hd_lane_task *one = t->tasks[i];
        hd_table_add(table, HD_BOLD, one->wire_id);
        hd_table_add(table, HD_PLAIN, "task");
        hd_table_add(table, HD_PLAIN, one->lane != NULL ? one->lane->id : "(local)");
        hd_table_add(table, HD_PLAIN, one->function != NULL ? one->function : "(remote)");
    }
    for (size_t i = 0; i < t->n_events; i++) {
        const struct hd_lane_event *one = t->events[i];
        const char *lane = one->event_lane != NULL ? one->event_lane->id
                           : one->rpc_lane != NULL ? one->rpc_lane->id
                                                   : "(local)";
        hd_table_add(table, HD_BOLD, one->wire_id);
        hd_table_add(table, HD_PLAIN, "event");
        hd_table_add(table, HD_PLAIN, lane);
        hd_table_addf(table, HD_PLAIN, one->n_hooks == 1 ? "%zu hook" : "%zu hooks", one->n_hooks);
    }
}

static void print_topology(struct hd_cli *cli, const struct hd_topology *t)
{
    static const char *const modes[] = {"network", "transparent", "local-simulated"};
    struct hd_table lanes, definitions;
    fprintf(cli->out.file, "profile %s, mode %s\n\n", t->profile, modes[t->mode]);
    hd_table_init(&lanes, 5);
    for (const char *const *h =
             (const char *const[]){"LANE", "KIND", "THROUGH", "WHO", "ATTEMPTS", NULL};
         *h != NULL; h++)
        hd_table_add(&lanes, HD_BOLD, *h);
    lane_rows(&lanes, t);
    hd_table_print(&lanes, &cli->out);
    hd_table_done(&lanes);
    fputc('\n', cli->out.file);
    hd_table_init(&definitions, 4);
    for (const char *const *h = (const char *const[]){"ID", "KIND", "LANE", "RUNS", NULL};
         *h != NULL; h++)
        hd_table_add(&definitions, HD_BOLD, *h);
    definition_rows(&definitions, t);
    hd_table_print(&definitions, &cli->out);
    hd_table_done(&definitions);
    for (size_t i = 0; i < t->warnings.n; i++)
        fprintf(cli->err.file, "%swarning:%s %s\n", hd_term_on(&cli->err, HD_NOTE),
                hd_term_off(&cli->err), t->warnings.items[i]);
}

static int check(struct hd_cli *cli, const struct hd_parsed *p)
{
    struct hd_topology *t = NULL;
    struct hd_topology_problem *problems = NULL;
    struct hd_buf text;
    struct hd_error err;
    size_t n = 0;
    if (p->opt.config == NULL)
        return hd_cli_fail(cli, HD_EXIT_NOINPUT, "there is no heddle.yml; name one with --config");
    hd_buf_init(&text, 1 << 20);
    int rc = hd_file_read(&text, p->opt.config, NULL, &err);
    if (rc == 0)
        rc = hd_topology_read(&t, p->opt.config, hd_buf_view(&text), cli->env, &problems, &n, &err);
    hd_buf_done(&text);
    for (size_t i = 0; i < n; i++)
        fprintf(cli->err.file, "%s%s%s %s\n", hd_term_on(&cli->err, HD_BAD), problems[i].id,
                hd_term_off(&cli->err), problems[i].text);
    hd_topology_problems_free(problems, n);
    if (rc < 0)
        return n > 0 ? hd_cli_fail(cli, HD_EXIT_CONFIG, "%zu problem%s", n, n == 1 ? "" : "s")
                     : hd_cli_fail(cli, HD_EXIT_CONFIG, "%s", err.msg);
    if (t->given)
        print_topology(cli, t);
    else
        fprintf(cli->out.file, "%s has no lanes section\n", p->opt.config);
    hd_topology_free(t);
    return HD_EXIT_OK;
}

/* --- lanes status and dlq --- */

static const char *text_at(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s != NULL ? s : "-";
}

static void number_cell(struct hd_table *table, const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    if (json_is_integer(v))
        hd_table_addf(table, HD_PLAIN, "%lld", (long long)json_integer_value(v));
    else
        hd_table_add(table, HD_DIM, "-");
}

static void print_status(struct hd_cli *cli, const json_t *root)
{
    struct hd_table table;
    const json_t *queue;
    size_t i;
    fprintf(cli->out.file, "profile %s, mode %s\n\n", text_at(root, "profile"),
            text_at(root, "mode"));
    hd_table_init(&table, 7);
    for (const char *const *h = (const char *const[]){"QUEUE", "DRIVER", "STATE", "DEPTH",
                                                      "RUNNING", "DEAD", "LAST ERROR", NULL};
         *h != NULL; h++)
        hd_table_add(&table, HD_BOLD, *h);
    json_array_foreach(json_object_get(root, "queues"), i, queue)
    {
        bool up = json_is_true(json_object_get(queue, "connected")),
             blocked = json_is_true(json_object_get(queue, "blocked"));
        hd_table_add(&table, HD_BOLD, text_at(queue, "name"));
        hd_table_add(&table, HD_PLAIN, text_at(queue, "driver"));
        hd_table_add(&table, up && !blocked ? HD_GOOD : HD_BAD,
                     blocked ? "blocked"
                     : up    ? "connected"
                             : "disconnected");
        number_cell(&table, queue, "depth");
        number_cell(&table, queue, "inflight");
        number_cell(&table, queue, "dead");
        hd_table_add(&table, HD_DIM, text_at(queue, "lastError"));
    }
    hd_table_print(&table, &cli->out);
    hd_table_done(&table);
}

static int status(struct hd_cli *cli, const struct hd_parsed *p, bool json)
{
    struct reply r;
    int code = ask(cli, p, &r, "GET", "/lanes/v1/status", hd_str(""), NULL);
    json_t *root = code == HD_EXIT_OK && r.status == 200 && !json
                       ? json_loadb(r.text.ptr, r.text.len, 0, NULL)
                       : NULL;
    if (root != NULL)
        print_status(cli, root);
    else if (code == HD_EXIT_OK)
        code = print_reply(cli, &r);
    json_decref(root);
    hd_buf_done(&r.text);
    return code;
}

static int dead_letters(struct hd_cli *cli, const struct hd_parsed *p)
{
    const char *what = p->n_words > 1 ? p->words[1] : "list";
    bool list = strcmp(what, "list") == 0;
    struct reply r;
    if (!list && strcmp(what, "retry") != 0 && strcmp(what, "drop") != 0)
        return hd_cli_usage(cli, "dlq: %s is none of list, retry, drop", what);
    if (p->n_words < 3)
        return hd_cli_usage(cli, "dlq %s: of which lane or queue?", what);
    struct hd_buf path;
    hd_buf_init(&path, 4096);
    hd_buf_fmt(&path, "/lanes/v1/dlq%s%s?queue=", list ? "" : "/", list ? "" : what);
    add_escaped(&path, p->words[2]);
    hd_buf_cstr(&path, p->n_words > 3 ? "&seq=" : "");
    add_escaped(&path, p->n_words > 3 ? p->words[3] : "");
    hd_buf_char(&path, '\0');
    int code = hd_buf_failed(&path) ? hd_cli_usage(cli, "dlq %s: a name is too long", what) : -1;
    if (code < 0)
        code = ask(cli, p, &r, list ? "GET" : "POST", path.ptr, hd_str(""), NULL);
    else
        r = (struct reply){0};
    hd_buf_done(&path);
    if (code == HD_EXIT_OK)
        code = print_reply(cli, &r);
    hd_buf_done(&r.text);
    return code;
}

int hd_cmd_lanes(struct hd_cli *cli)
{
    struct lanes_values values = {0};
    struct hd_parsed p;
    int code = hd_cli_parse(cli, &p, &values, 4);
    const char *what = code < 0 && p.n_words > 0 ? p.words[0] : "";
    if (code < 0 && strcmp(what, "check") == 0)
        code = check(cli, &p);
    else if (code < 0 && strcmp(what, "status") == 0)
        code = status(cli, &p, values.json);
    else if (code < 0 && strcmp(what, "dlq") == 0)
        code = dead_letters(cli, &p);
    else if (code < 0)
        code = hd_cli_usage(cli, "what? one of check, status, dlq");
    hd_parsed_done(&p);
    return code;
}
