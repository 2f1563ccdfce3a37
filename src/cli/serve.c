/* serve.c - `heddle serve` and `heddle dev`: options, log and keys, then the node. */
#include "cli/commands.h"

#include "node/devkeys.h"
#include "node/node.h"

#include <unistd.h>

enum { LOG_BYTES = 8 << 20, LOG_FLUSH_MS = 1000 };

/* The keys are printed once, when they are made: later they are in the file. */
static void tell_keys(struct hd_cli *cli, const struct hd_node_options *opt)
{
    struct hd_term *t = &cli->err;
    fprintf(t->file,
            "%sKeys for development were made and are kept in %s/dev-keys.json%s\n"
            "  anon key     %s\n  service key  %s\n",
            hd_term_on(t, HD_BOLD), opt->data_dir, hd_term_off(t), opt->api_keys.items[0],
            opt->service_keys.items[0]);
}

static int run(struct hd_cli *cli, struct hd_node_options *opt)
{
    struct hd_error err = {0};
    bool created = false;
    if (hd_node_options_check_functions(opt, &err) < 0 || hd_devkeys_apply(opt, &created, &err) < 0)
        return hd_cli_fail(cli, HD_EXIT_CONFIG, "%s", err.msg);
    if (created)
        tell_keys(cli, opt);
    fflush(cli->out.file); /* from here on the log's thread writes there */
    struct hd_log_options how = {.fd = STDOUT_FILENO,
                                 .level = opt->log_level,
                                 .format = opt->log_format,
                                 .color = cli->out.color,
                                 .terminal = cli->out.tty && opt->log_format == HD_LOG_TEXT,
                                 .flush_ms = opt->log_buffer_ms,
                                 .max_bytes = LOG_BYTES};
    hd_auto(hd_log) log = NULL;
    if (hd_log_new(&log, &how, &err) < 0)
        return hd_cli_fail(cli, HD_EXIT_FAILED, "%s", err.msg);
    for (size_t i = 0; i < opt->warnings.n; i++)
        hd_log(log, HD_WARN, opt->warnings.items[i]);
    int code = hd_node_run(opt, cli->env, log, &err);
    hd_log_flush(log, LOG_FLUSH_MS);
    if (code != HD_EXIT_OK)
        hd_cli_fail(cli, code, "%s", err.msg);
    return code;
}

int hd_cmd_serve(struct hd_cli *cli)
{
    struct hd_parsed p;
    int code = hd_cli_parse(cli, &p, NULL, 1);
    if (code < 0)
        code = run(cli, &p.opt);
    hd_parsed_done(&p);
    return code;
}
