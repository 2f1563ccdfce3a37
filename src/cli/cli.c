/* cli.c - find the command, read its options, end in one place. */
#include "cli/cli.h"

#include "core/suggest.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

const struct hd_exit_row hd_exit_rows[] = {
    {HD_EXIT_OK, "done; or a clean end of a node"},
    {HD_EXIT_FAILED, "it went wrong while running (a port that is taken, a node that crashed); "
                     "trying again may help"},
    {HD_EXIT_HTTP, "invoke: the function answered with a status of 400 or more"},
    {HD_EXIT_USAGE, "wrong command line; trying again never helps"},
    {HD_EXIT_NOINPUT, "a file or function that was named does not exist"},
    {HD_EXIT_OFFLINE, "no node answers there"},
    {HD_EXIT_CANTMAKE, "a file to be written is there already, or cannot be written"},
    {HD_EXIT_CONFIG, "wrong configuration: a variable, heddle.yml, a missing secret or folder; "
                     "trying again never helps"},
    {0, NULL},
};

const struct hd_command *hd_command_find(const char *name)
{
    for (size_t i = 0; i < hd_command_count; i++) {
        if (strcmp(hd_commands[i].name, name) == 0)
            return &hd_commands[i];
    }
    return NULL;
}

__attribute__((format(printf, 2, 0))) static void complain(struct hd_cli *cli, const char *fmt,
                                                           va_list ap)
{
    struct hd_term *t = &cli->err;
    hd_term_progress_end(t);
    fprintf(t->file, "%sheddle%s%s:%s ", hd_term_on(t, HD_BAD), cli->command != NULL ? " " : "",
            cli->command != NULL ? cli->command->name : "", hd_term_off(t));
    vfprintf(t->file, fmt, ap);
    fputc('\n', t->file);
}

int hd_cli_fail(struct hd_cli *cli, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    complain(cli, fmt, ap);
    va_end(ap);
    return code;
}

int hd_cli_usage(struct hd_cli *cli, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    complain(cli, fmt, ap);
    va_end(ap);
    if (cli->command != NULL)
        fprintf(cli->err.file, "usage: heddle %s %s\n", cli->command->name, cli->command->usage);
    return HD_EXIT_USAGE;
}

static int parse_own(struct hd_cli *cli, struct hd_parsed *out, size_t max_words, bool *help,
                     struct hd_error *err)
{
    struct hd_option_set *const sets[] = {&out->own};
    struct hd_option_args args = {.sets = sets,
                                  .n_sets = 1,
                                  .command = cli->command->bit,
                                  .words = out->words,
                                  .max_words = max_words};
    int rc = hd_option_parse_args(&args, cli->argc, cli->argv, err);
    out->n_words = args.n_words;
    *help = args.help;
    return rc;
}

int hd_cli_parse(struct hd_cli *cli, struct hd_parsed *out, void *values, size_t max_words)
{
    const struct hd_command *c = cli->command;
    struct hd_error err = {0};
    bool help = false;
    int exit_code = HD_EXIT_USAGE, rc;
    *out = (struct hd_parsed){0};
    if (values != NULL)
        hd_option_set_init(&out->own, c->options, *c->n_options, values, cli->cwd);
    if (c->node_options) {
        bool serves = (c->bit & (HD_CMD_SERVE | HD_CMD_DEV)) != 0;
        struct hd_node_sources src = {.command = c->bit,
                                      .own = out->own,
                                      .argc = cli->argc,
                                      .argv = cli->argv,
                                      .env = cli->env,
                                      .cwd = cli->cwd,
                                      .words = out->words,
                                      .max_words = max_words,
                                      .first_is_dir = serves};
        rc = hd_node_options_load(&out->opt, &src, &err);
        out->n_words = src.n_words;
        help = src.help;
        exit_code = src.exit_code;
    } else {
        rc = parse_own(cli, out, max_words, &help, &err);
    }
    if (rc < 0 && exit_code == HD_EXIT_USAGE)
        return hd_cli_usage(cli, "%s", err.msg);
    if (rc < 0)
        return hd_cli_fail(cli, exit_code, "%s", err.msg);
    if (!help)
        return -1;
    hd_help_print(&cli->out, c);
    return HD_EXIT_OK;
}

void hd_parsed_done(struct hd_parsed *p)
{
    hd_option_set_done(&p->own);
    hd_node_options_done(&p->opt);
}

static bool is_folder(const char *word)
{
    struct stat st;
    return strchr(word, '/') != NULL || (stat(word, &st) == 0 && S_ISDIR(st.st_mode));
}

static int unknown_command(struct hd_cli *cli, const char *word)
{
    struct hd_suggest best = {0};
    for (size_t i = 0; i < hd_command_count; i++)
        hd_suggest_try(&best, hd_str(word), hd_commands[i].name);
    if (best.word != NULL)
        return hd_cli_usage(cli, "unknown command \"%.60s\"; did you mean `heddle %s`?", word,
                            best.word);
    return hd_cli_usage(cli,
                        "unknown command \"%.60s\"; `heddle help` lists the commands, "
                        "`heddle serve DIR` serves a folder",
                        word);
}

/* The first word may be a command; a flag or a folder means `serve`. */
static int dispatch(struct hd_cli *cli, int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    const struct hd_command *command = hd_command_find(word);
    int used = command != NULL ? 2 : 1;
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        hd_help_print(&cli->out, NULL);
        return HD_EXIT_OK;
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-v") == 0) {
        command = hd_command_find("version");
        used = 2;
    }
    if (command == NULL && (argc < 2 || word[0] == '-' || is_folder(word)))
        command = hd_command_find("serve");
    if (command == NULL)
        return unknown_command(cli, word);
    cli->command = command;
    cli->argc = HD_MAX(argc - used, 0);
    cli->argv = argv + HD_MIN(used, argc);
    return command->run(cli);
}

/* What could not be written was not said: a full disk, a closed pipe. */
static int flush(struct hd_cli *cli, int code)
{
    bool failed = ferror(cli->out.file) != 0;
    if ((fflush(cli->out.file) != 0 || failed) && code == HD_EXIT_OK && errno != EPIPE)
        return hd_cli_fail(cli, HD_EXIT_FAILED, "cannot write the output: %s", strerror(errno));
    return code;
}

int hd_cli_main(int argc, char **argv, char *const *env)
{
    struct hd_cli cli = {.env = env, .cwd = getcwd(NULL, 0)};
    hd_term_init(&cli.out, stdout, env);
    hd_term_init(&cli.err, stderr, env);
    int code;
    if (cli.cwd == NULL)
        code =
            hd_cli_fail(&cli, HD_EXIT_FAILED, "the working directory is gone: %s", strerror(errno));
    else
        code = dispatch(&cli, argc, argv);
    code = flush(&cli, code);
    free(cli.cwd);
    return code;
}
