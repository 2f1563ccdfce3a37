/* list.c - `heddle list`: the functions of the folder, and how they fare in the node that runs. */
#include "cli/commands.h"

#include "cli/fetch.h"
#include "cli/scan.h"

#include <jansson.h>

struct list_values {
    bool json;
};
const struct hd_option hd_list_options[] = {
    {.key = "json",
     .flag = "json",
     .kind = HD_OPTION_BOOL,
     .offset = offsetof(struct list_values, json),
     .no_file = true,
     .group = "Options",
     .help = "For programs: one JSON object",
     .commands = HD_CMD_LIST},
};
const size_t hd_list_options_n = HD_COUNT(hd_list_options);

enum { ANSWER_MAX = 64 << 20, WAIT_MS = 5000 };

/* What the running node says of its functions: {"functions": [...]}. */
struct live {
    unsigned status;
    struct hd_buf text;
    json_t *root;
};

static void on_status(void *arg, unsigned status, const char *reason)
{
    struct live *live = arg;
    live->status = status;
    (void)reason;
}

static bool on_body(void *arg, struct hd_str bytes)
{
    struct live *live = arg;
    hd_buf_str(&live->text, bytes);
    return !hd_buf_failed(&live->text);
}

/* No node is no error: then there is no live part. */
static void ask_node(struct live *live, const struct hd_node_options *opt)
{
    *live = (struct live){0};
    hd_buf_init(&live->text, ANSWER_MAX);
    struct hd_fetch request = {.socket = opt->admin_socket,
                               .url = "http://localhost/heddle/functions",
                               .method = "GET",
                               .body_fd = -1,
                               .timeout_ms = WAIT_MS,
                               .on_status = on_status,
                               .on_body = on_body,
                               .arg = live};
    int status = hd_fetch_send(&request, NULL);
    if (status == 200)
        live->root = json_loadb(live->text.ptr, live->text.len, 0, NULL);
    hd_buf_done(&live->text);
}

static const json_t *live_entry(const struct live *live, const char *name)
{
    const json_t *all = json_object_get(live->root, "functions"), *entry;
    size_t i;
    json_array_foreach(all, i, entry)
    {
        const char *its = json_string_value(json_object_get(entry, "name"));
        if (its != NULL && strcmp(its, name) == 0)
            return entry;
    }
    return NULL;
}

static json_int_t number(const json_t *entry, const char *key)
{
    return json_integer_value(json_object_get(entry, key));
}

static const char *state_of(const struct hd_function *fn, const json_t *entry, enum hd_style *style)
{
    const char *state = json_string_value(json_object_get(entry, "state"));
    *style = HD_PLAIN;
    if (fn->problem != NULL || (state != NULL && strcmp(state, "failed") == 0)) {
        *style = HD_BAD;
        return "failed";
    }
    if (state != NULL && strcmp(state, "ready") == 0)
        *style = HD_GOOD;
    return state != NULL ? state : "-";
}

static void add_row(struct hd_table *table, const struct hd_function *fn, const json_t *entry)
{
    enum hd_style style;
    const json_t *instances = json_object_get(entry, "instances");
    const char *state = state_of(fn, entry, &style);
    const char *live_error = json_string_value(json_object_get(entry, "error"));
    const json_t *is_public = json_object_get(entry, "public");
    bool open = json_is_boolean(is_public) ? json_is_true(is_public) : !fn->set.verify_jwt;
    hd_table_add(table, HD_BOLD, fn->name);
    hd_table_add(table, HD_PLAIN, hd_runtime_name(fn->runtime));
    hd_table_add(table, HD_PLAIN, open ? "public" : "token");
    hd_table_add(table, style, state);
    if (entry != NULL) {
        hd_table_addf(table, HD_PLAIN, "%lld",
                      (long long)(number(instances, "idle") + number(instances, "busy")));
        hd_table_addf(table, HD_PLAIN, "%lld", (long long)number(entry, "invocations"));
        hd_table_addf(table, number(entry, "errors") > 0 ? HD_BAD : HD_PLAIN, "%lld",
                      (long long)number(entry, "errors"));
    } else {
        for (int i = 0; i < 3; i++)
            hd_table_add(table, HD_DIM, "-");
    }
    hd_table_add(table, style == HD_BAD ? HD_BAD : HD_DIM,
                 fn->problem != NULL  ? fn->problem
                 : live_error != NULL ? live_error
                                      : "");
}

static void print_table(struct hd_cli *cli, const struct hd_cli_scan *s, const struct live *live)
{
    static const char *const heads[] = {"NAME",      "RUNTIME",  "ACCESS", "STATE",
                                        "INSTANCES", "REQUESTS", "ERRORS", "PROBLEM"};
    size_t n;
    const struct hd_function *const *all = hd_snapshot_all(s->scan.snapshot, &n);
    struct hd_table table;
    hd_table_init(&table, HD_COUNT(heads));
    for (size_t i = 0; i < HD_COUNT(heads); i++)
        hd_table_add(&table, HD_BOLD, heads[i]);
    for (size_t i = 0; i < n; i++)
        add_row(&table, all[i], live_entry(live, all[i]->name));
    if (n > 0)
        hd_table_print(&table, &cli->out);
    hd_table_done(&table);
    if (n == 0)
        fprintf(cli->out.file, "no functions in %s; `heddle new NAME` adds one\n",
                hd_registry_root(s->registry));
    if (n > 0 && live->root == NULL)
        fprintf(cli->err.file, "%sno node runs here: only what the folder says%s\n",
                hd_term_on(&cli->err, HD_DIM), hd_term_off(&cli->err));
    for (size_t i = 0; i < s->scan.notes.n; i++)
        fprintf(cli->err.file, "%snote:%s %s\n", hd_term_on(&cli->err, HD_NOTE),
                hd_term_off(&cli->err), s->scan.notes.items[i]);
}

static void print_json(struct hd_cli *cli, const struct hd_cli_scan *s, const struct live *live)
{
    size_t n;
    const struct hd_function *const *all = hd_snapshot_all(s->scan.snapshot, &n);
    json_t *root = json_object(), *list = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct hd_function *fn = all[i];
        json_t *one = json_object();
        json_object_set_new(one, "name", json_string(fn->name));
        json_object_set_new(one, "runtime", json_string(hd_runtime_name(fn->runtime)));
        json_object_set_new(one, "dir", json_string(fn->dir));
        json_object_set_new(one, "entry", fn->entry != NULL ? json_string(fn->entry) : json_null());
        json_object_set_new(one, "verifyJwt", json_boolean(fn->set.verify_jwt));
        json_object_set_new(one, "version", json_string(fn->version));
        json_object_set_new(one, "problem",
                            fn->problem != NULL ? json_string(fn->problem) : json_null());
        json_t *entry = json_deep_copy(live_entry(live, fn->name));
        json_object_set_new(one, "live", entry != NULL ? entry : json_null());
        json_array_append_new(list, one);
    }
    json_object_set_new(root, "functions", list);
    json_object_set_new(root, "node", json_boolean(live->root != NULL));
    char *text = json_dumps(root, JSON_INDENT(2));
    fprintf(cli->out.file, "%s\n", text != NULL ? text : "{}");
    free(text);
    json_decref(root);
}

int hd_cmd_list(struct hd_cli *cli)
{
    struct list_values values = {0};
    struct hd_parsed p;
    int code = hd_cli_parse(cli, &p, &values, 0);
    if (code < 0) {
        struct hd_cli_scan s;
        struct live live = {0};
        code = hd_cli_scan(cli, &s, &p.opt);
        if (code == 0) {
            ask_node(&live, &p.opt);
            if (values.json)
                print_json(cli, &s, &live);
            else
                print_table(cli, &s, &live);
            json_decref(live.root);
        }
        hd_cli_scan_done(&s);
    }
    hd_parsed_done(&p);
    return code;
}
