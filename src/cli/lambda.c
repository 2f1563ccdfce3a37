/* lambda.c - `heddle lambda export|import`: the functions of the Lambda API as one file. */
#include "cli/commands.h"

#include "node/transfer.h"

#include <stdio.h>

struct lambda_values {
    bool replace;
};

const struct hd_option hd_lambda_options[] = {
    {.key = "replace",
     .flag = "replace",
     .kind = HD_OPTION_BOOL,
     .offset = offsetof(struct lambda_values, replace),
     .no_file = true,
     .group = "Options",
     .commands = HD_CMD_LAMBDA,
     .help = "import: functions and layers that are here already are replaced"},
};
const size_t hd_lambda_options_n = HD_COUNT(hd_lambda_options);

static int exit_code(const struct hd_error *err)
{
    switch (err->code) {
    case HD_ENOTFOUND:
        return HD_EXIT_NOINPUT;
    case HD_EEXIST:
        return HD_EXIT_CANTMAKE;
    default:
        return HD_EXIT_FAILED;
    }
}

static int say(struct hd_cli *cli, const char *done, const struct hd_transfer *t, const char *file)
{
    fprintf(cli->out.file,
            "%s %s: %zu function%s, %zu version%s, %zu layer version%s, %zu archive%s\n", done,
            file, t->functions, t->functions == 1 ? "" : "s", t->versions,
            t->versions == 1 ? "" : "s", t->layers, t->layers == 1 ? "" : "s", t->archives,
            t->archives == 1 ? "" : "s");
    return HD_EXIT_OK;
}

static int run(struct hd_cli *cli, const struct hd_parsed *p, bool replace)
{
    const char *what = p->n_words > 0 ? p->words[0] : "";
    bool export = strcmp(what, "export") == 0;
    struct hd_transfer t;
    struct hd_error err = {.code = 0};
    if (!export && strcmp(what, "import") != 0)
        return hd_cli_usage(cli, "what? one of export, import");
    if (p->n_words < 2)
        return hd_cli_usage(cli, "%s: which file?", what);
    int rc = export ? hd_node_export(&p->opt, p->words[1], &t, &err)
                    : hd_node_import(&p->opt, p->words[1], replace, &t, &err);
    if (rc == 0)
        return say(cli, export ? "wrote" : "took", &t, p->words[1]);
    if (rc == HD_EBUSY && !export)
        return hd_cli_fail(cli, HD_EXIT_FAILED, "import: %s (a node runs here: end it first)",
                           err.msg);
    return hd_cli_fail(cli, exit_code(&err), "%s: %s", what, err.msg);
}

int hd_cmd_lambda(struct hd_cli *cli)
{
    struct lambda_values values = {.replace = false};
    struct hd_parsed p;
    int code = hd_cli_parse(cli, &p, &values, 2);
    if (code < 0)
        code = run(cli, &p, values.replace);
    hd_parsed_done(&p);
    return code;
}
