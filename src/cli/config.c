/* config.c - `heddle config`: every option or setting, its value, and who said it. */
#include "cli/commands.h"

#include "cli/scan.h"
#include "core/suggest.h"

struct config_values {
    bool json, changed;
};
#define AT(field) .offset = offsetof(struct config_values, field)
const struct hd_option hd_config_options[] = {
    {.key = "json",
     .flag = "json",
     .kind = HD_OPTION_BOOL,
     AT(json),
     .no_file = true,
     .group = "Options",
     .help = "For programs: one JSON object, keys as in heddle.yml",
     .commands = HD_CMD_CONFIG},
    {.key = "changed",
     .flag = "changed",
     .kind = HD_OPTION_BOOL,
     AT(changed),
     .no_file = true,
     .group = "Options",
     .help = "Only what is not a default",
     .commands = HD_CMD_CONFIG},
};
const size_t hd_config_options_n = HD_COUNT(hd_config_options);

static char *value_of(const struct hd_option_set *set, const struct hd_option *o)
{
    struct hd_buf text;
    hd_buf_init(&text, 1 << 20);
    hd_option_format(&text, set, o);
    char *whole = hd_buf_take(&text);
    return whole != NULL ? whole : hd_strdup("(too long to show)");
}

static bool is_shown(const struct config_values *values, const struct hd_option_origin *from)
{
    return !values->changed || from->rank != HD_OPTION_DEFAULT;
}

static void show_table(struct hd_cli *cli, const struct hd_option_set *set,
                       const struct config_values *values)
{
    struct hd_table table;
    hd_table_init(&table, 3);
    hd_table_add(&table, HD_BOLD, "KEY");
    hd_table_add(&table, HD_BOLD, "VALUE");
    hd_table_add(&table, HD_BOLD, "SAID BY");
    for (size_t i = 0; i < set->n; i++) {
        const struct hd_option *o = &set->options[i];
        const struct hd_option_origin *from = &set->origins[i];
        if (!is_shown(values, from))
            continue;
        bool plain = from->rank == HD_OPTION_DEFAULT;
        hd_auto_free char *value = value_of(set, o);
        hd_table_add(&table, HD_PLAIN, o->key);
        hd_table_add(&table, plain ? HD_PLAIN : HD_BOLD, *value != '\0' ? value : "-");
        hd_table_add(&table, plain ? HD_DIM : HD_NOTE, from->text);
    }
    hd_table_print(&table, &cli->out);
    hd_table_done(&table);
}

static void show_json(struct hd_cli *cli, const struct hd_option_set *set,
                      const struct config_values *values)
{
    struct hd_buf out;
    hd_buf_init(&out, 4 << 20);
    hd_buf_char(&out, '{');
    bool first = true;
    for (size_t i = 0; i < set->n; i++) {
        const struct hd_option *o = &set->options[i];
        if (!is_shown(values, &set->origins[i]))
            continue;
        hd_auto_free char *value = value_of(set, o);
        hd_buf_fmt(&out, "%s\n  \"%s\": {\"value\": ", first ? "" : ",", o->key);
        if (hd_option_given(set, o))
            hd_buf_json(&out, hd_str(value));
        else
            hd_buf_cstr(&out, "null");
        hd_buf_cstr(&out, ", \"origin\": ");
        hd_buf_json(&out, hd_str(set->origins[i].text));
        hd_buf_fmt(&out, ", \"secret\": %s}", o->secret ? "true" : "false");
        first = false;
    }
    hd_buf_cstr(&out, "\n}\n");
    fwrite(out.ptr, 1, out.len, cli->out.file);
    hd_buf_done(&out);
}

static int no_function(struct hd_cli *cli, const struct hd_cli_scan *s, const char *name)
{
    struct hd_suggest best = {0};
    size_t n;
    const struct hd_function *const *all = hd_snapshot_all(s->scan.snapshot, &n);
    for (size_t i = 0; i < n; i++)
        hd_suggest_try(&best, hd_str(name), all[i]->name);
    if (best.word != NULL)
        return hd_cli_fail(cli, HD_EXIT_NOINPUT, "no function %.63s in %s; did you mean %s?", name,
                           hd_registry_root(s->registry), best.word);
    return hd_cli_fail(cli, HD_EXIT_NOINPUT, "no function %.63s in %s; `heddle list` lists them",
                       name, hd_registry_root(s->registry));
}

static void explain_table(struct hd_cli *cli, const struct hd_explanation *e)
{
    struct hd_table table;
    const char *section = "";
    hd_table_init(&table, 3);
    for (size_t i = 0; i < e->n; i++) {
        const struct hd_explain_row *row = &e->rows[i];
        if (strcmp(section, row->section) != 0) {
            hd_table_add(&table, HD_BOLD, row->section);
            hd_table_add(&table, HD_BOLD, "value");
            hd_table_add(&table, HD_BOLD, "said by");
        }
        section = row->section;
        bool plain = strcmp(row->source, "default") == 0;
        hd_table_addf(&table, HD_PLAIN, "  %s", row->key);
        hd_table_add(&table, plain ? HD_PLAIN : HD_BOLD, *row->value != '\0' ? row->value : "-");
        hd_table_add(&table, plain ? HD_DIM : HD_NOTE, row->source);
    }
    hd_table_print(&table, &cli->out);
    hd_table_done(&table);
}

static void explain_json(struct hd_cli *cli, const struct hd_explanation *e)
{
    struct hd_buf out;
    hd_buf_init(&out, 4 << 20);
    hd_buf_char(&out, '[');
    for (size_t i = 0; i < e->n; i++) {
        const struct hd_explain_row *row = &e->rows[i];
        hd_buf_fmt(&out, "%s\n  {\"section\": \"%s\", \"key\": ", i > 0 ? "," : "", row->section);
        hd_buf_json(&out, hd_str(row->key));
        hd_buf_cstr(&out, ", \"value\": ");
        hd_buf_json(&out, hd_str(row->value));
        hd_buf_cstr(&out, ", \"origin\": ");
        hd_buf_json(&out, hd_str(row->source));
        hd_buf_char(&out, '}');
    }
    hd_buf_cstr(&out, "\n]\n");
    fwrite(out.ptr, 1, out.len, cli->out.file);
    hd_buf_done(&out);
}

static int explain(struct hd_cli *cli, const struct hd_node_options *opt, const char *name,
                   const struct config_values *values)
{
    struct hd_cli_scan s;
    int code = hd_cli_scan(cli, &s, opt);
    const struct hd_function *fn =
        code == 0 ? hd_snapshot_find(s.scan.snapshot, hd_str(name)) : NULL;
    if (code == 0 && fn == NULL)
        code = no_function(cli, &s, name);
    if (code == 0) {
        struct hd_explanation e;
        hd_explain(&e, fn, &s.defaults);
        if (values->json)
            explain_json(cli, &e);
        else
            explain_table(cli, &e);
        hd_explanation_done(&e);
        if (fn->problem != NULL)
            code = hd_cli_fail(cli, HD_EXIT_CONFIG, "%s cannot run: %s", fn->name, fn->problem);
    }
    hd_cli_scan_done(&s);
    return code;
}

int hd_cmd_config(struct hd_cli *cli)
{
    struct config_values values = {0};
    struct hd_parsed p;
    int code = hd_cli_parse(cli, &p, &values, 2);
    if (code >= 0) {
        hd_parsed_done(&p);
        return code;
    }
    code = HD_EXIT_OK;
    const char *what = p.n_words > 0 ? p.words[0] : "";
    if (strcmp(what, "explain") == 0 && p.n_words == 2)
        code = explain(cli, &p.opt, p.words[1], &values);
    else if (strcmp(what, "explain") == 0)
        code = hd_cli_usage(cli, "explain which function?");
    else if (strcmp(what, "show") != 0 || p.n_words > 1)
        code = hd_cli_usage(cli, "there are `heddle config show` and `heddle config explain NAME`");
    else if (values.json)
        show_json(cli, &p.opt.set, &values);
    else
        show_table(cli, &p.opt.set, &values);
    hd_parsed_done(&p);
    return code;
}
