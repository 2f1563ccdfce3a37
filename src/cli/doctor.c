/* doctor.c - `heddle doctor`: run the checks, print what they found. */
#include "cli/commands.h"

#include "cli/doctor.h"

#include <assert.h>

struct doctor_values {
    bool json;
};
const struct hd_option hd_doctor_options[] = {
    {.key = "json",
     .flag = "json",
     .kind = HD_OPTION_BOOL,
     .offset = offsetof(struct doctor_values, json),
     .no_file = true,
     .group = "Options",
     .help = "For programs: one JSON object",
     .commands = HD_CMD_DOCTOR},
};
const size_t hd_doctor_options_n = HD_COUNT(hd_doctor_options);

void hd_findings_add(struct hd_findings *f, const char *what, enum hd_health health, char *found,
                     char *fix)
{
    assert(f->n < HD_FINDINGS_MAX);
    f->items[f->n++] =
        (struct hd_finding){.what = what, .health = health, .found = found, .fix = fix};
}

void hd_findings_done(struct hd_findings *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->items[i].found);
        free(f->items[i].fix);
    }
    f->n = 0;
}

static const char *const health_names[] = {"ok", "note", "bad"};

static void print_table(struct hd_cli *cli, const struct hd_findings *f)
{
    static const enum hd_style styles[] = {HD_GOOD, HD_NOTE, HD_BAD};
    struct hd_table table;
    hd_table_init(&table, 3);
    for (size_t i = 0; i < f->n; i++) {
        const struct hd_finding *one = &f->items[i];
        hd_table_add(&table, styles[one->health], health_names[one->health]);
        hd_table_add(&table, HD_BOLD, one->what);
        hd_table_add(&table, HD_PLAIN, one->found);
        if (one->fix == NULL)
            continue;
        hd_table_add(&table, HD_PLAIN, "");
        hd_table_add(&table, HD_PLAIN, "");
        hd_table_addf(&table, HD_PLAIN, "-> %s", one->fix);
    }
    struct hd_term whole = cli->out; /* a command to paste is not cut */
    whole.tty = false;
    hd_table_print(&table, &whole);
    hd_table_done(&table);
}

static void print_json(struct hd_cli *cli, const struct hd_findings *f, bool good)
{
    struct hd_buf out;
    hd_buf_init(&out, 1 << 18);
    hd_buf_fmt(&out, "{\"ok\": %s, \"checks\": [", good ? "true" : "false");
    for (size_t i = 0; i < f->n; i++) {
        const struct hd_finding *one = &f->items[i];
        hd_buf_fmt(&out,
                   "%s\n  {\"check\": \"%s\", \"result\": \"%s\", \"found\": ", i > 0 ? "," : "",
                   one->what, health_names[one->health]);
        hd_buf_json(&out, hd_str(one->found));
        hd_buf_cstr(&out, ", \"fix\": ");
        if (one->fix != NULL)
            hd_buf_json(&out, hd_str(one->fix));
        else
            hd_buf_cstr(&out, "null");
        hd_buf_char(&out, '}');
    }
    hd_buf_cstr(&out, "\n]}\n");
    fwrite(out.ptr, 1, out.len, cli->out.file);
    hd_buf_done(&out);
}

static int doctor(struct hd_cli *cli, const struct hd_node_options *opt,
                  const struct doctor_values *values)
{
    struct hd_findings f = {0};
    size_t bad = 0, notes = 0;
    hd_term_progress(&cli->err, "looking at the runtimes ...");
    hd_doctor_runtimes(&f, opt, cli->env);
    hd_term_progress_end(&cli->err);
    hd_doctor_place(&f, opt);
    hd_doctor_lambda(&f, opt);
    hd_doctor_machine(&f, opt);
    for (size_t i = 0; i < f.n; i++) {
        bad += f.items[i].health == HD_HEALTH_BAD;
        notes += f.items[i].health == HD_HEALTH_NOTE;
    }
    if (values->json) {
        print_json(cli, &f, bad == 0);
    } else {
        print_table(cli, &f);
        fprintf(cli->out.file, "\n%s%zu missing, %zu to know about, %zu fine%s\n",
                hd_term_on(&cli->out, bad > 0 ? HD_BAD : HD_GOOD), bad, notes, f.n - bad - notes,
                hd_term_off(&cli->out));
    }
    hd_findings_done(&f);
    return bad > 0 ? HD_EXIT_FAILED : HD_EXIT_OK;
}

int hd_cmd_doctor(struct hd_cli *cli)
{
    struct doctor_values values = {0};
    struct hd_parsed p;
    int code = hd_cli_parse(cli, &p, &values, 0);
    if (code < 0)
        code = doctor(cli, &p.opt, &values);
    hd_parsed_done(&p);
    return code;
}
