/* help.c - `heddle help`, and what --help prints. */
#include "cli/commands.h"

#include "core/option_help.h"

#include <string.h>

struct help_values {
    bool markdown, man;
    char *completion;
};
#define AT(field) .offset = offsetof(struct help_values, field)
const struct hd_option hd_help_options[] = {
    {.key = "markdown",
     .flag = "markdown",
     .kind = HD_OPTION_BOOL,
     AT(markdown),
     .no_file = true,
     .group = "Options",
     .help = "Print the reference of all commands and options as Markdown",
     .commands = HD_CMD_HELP},
    {.key = "man",
     .flag = "man",
     .kind = HD_OPTION_BOOL,
     AT(man),
     .no_file = true,
     .group = "Options",
     .help = "Print the manual page (for man)",
     .commands = HD_CMD_HELP},
    {.key = "completion",
     .flag = "completion",
     .kind = HD_OPTION_STR,
     AT(completion),
     .no_file = true,
     .arg = "SHELL",
     .group = "Options",
     .help = "Print completions for bash, zsh or fish",
     .commands = HD_CMD_HELP},
};
const size_t hd_help_options_n = HD_COUNT(hd_help_options);

static void heading(struct hd_term *t, const char *text)
{
    fprintf(t->file, "\n%s%s%s\n", hd_term_on(t, HD_BOLD), text, hd_term_off(t));
}

static void paragraphs(struct hd_term *t, const char *text)
{
    struct hd_str rest = hd_str(text), part;
    while (hd_str_split(&part, &rest, '\n')) {
        hd_auto_free char *one = hd_strdup_n(part);
        fputc('\n', t->file);
        hd_term_text(t, one, 0);
    }
}

static void exit_codes(struct hd_term *t)
{
    heading(t, "Exit codes");
    for (const struct hd_exit_row *row = hd_exit_rows; row->meaning != NULL; row++) {
        struct hd_buf line;
        hd_buf_init(&line, 1024);
        hd_buf_fmt(&line, "  %3d  ", row->code);
        hd_text_wrap(&line, row->meaning, 7, 7, t->width);
        fprintf(t->file, "%.*s\n", HD_FMT(hd_buf_view(&line)));
        hd_buf_done(&line);
    }
}

static void program_help(struct hd_term *t)
{
    fprintf(t->file, "%sheddle%s: serverless functions on machines you own\n\n",
            hd_term_on(t, HD_BOLD), hd_term_off(t));
    fprintf(t->file, "usage: heddle [COMMAND] [FLAGS]\n");
    heading(t, "Commands");
    struct hd_table table;
    hd_table_init(&table, 3);
    for (size_t i = 0; i < hd_command_count; i++) {
        hd_table_add(&table, HD_PLAIN, "");
        hd_table_add(&table, HD_BOLD, hd_commands[i].name);
        hd_table_add(&table, HD_PLAIN, hd_commands[i].summary);
    }
    hd_table_print(&table, t);
    hd_table_done(&table);
    heading(t, "Begin here");
    fprintf(t->file, "  heddle init      write heddle.yml and a first function\n"
                     "  heddle dev       serve it, and reload it when you save\n"
                     "  heddle help dev  flags of a command; also `heddle dev --help`\n");
    exit_codes(t);
}

static void print_options(struct hd_term *t, const struct hd_option *options, size_t n,
                          uint32_t command)
{
    struct hd_option_help help = {
        .options = options, .n = n, .command = command, .width = t->width, .bold = t->color};
    struct hd_buf out;
    hd_buf_init(&out, 1 << 18);
    hd_option_help_text(&out, &help);
    fprintf(t->file, "%.*s", HD_FMT(hd_buf_view(&out)));
    hd_buf_done(&out);
}

/* What a command reads beside its own flags: named, not explained a second time. */
static void other_options(struct hd_term *t, const struct hd_command *c)
{
    struct hd_option_help help = {
        .options = hd_node_option_table, .n = hd_node_option_count, .command = c->bit};
    struct hd_buf flags;
    hd_buf_init(&flags, 1 << 16);
    if ((c->bit & HD_CMD_CONFIG) != 0 || (c->bit & (HD_CMD_LIST | HD_CMD_DOCTOR)) != 0)
        hd_buf_cstr(&flags, "Every flag of `heddle serve` can be given as well.");
    else {
        hd_buf_cstr(&flags, "These flags of `heddle serve` can be given as well: ");
        hd_option_help_flags(&flags, &help);
    }
    hd_buf_char(&flags, '\0');
    fputc('\n', t->file);
    hd_term_text(t, flags.ptr, 0);
    hd_buf_done(&flags);
}

void hd_help_print(struct hd_term *t, const struct hd_command *c)
{
    if (c == NULL) {
        program_help(t);
        return;
    }
    fprintf(t->file, "usage: %sheddle %s%s %s\n", hd_term_on(t, HD_BOLD), c->name, hd_term_off(t),
            c->usage);
    paragraphs(t, c->about);
    if (c->example != NULL)
        fprintf(t->file, "\n  %s\n", c->example);
    if (c->options != NULL)
        print_options(t, c->options, *c->n_options, c->bit);
    if ((c->bit & (HD_CMD_SERVE | HD_CMD_DEV)) != 0)
        print_options(t, hd_node_option_table, hd_node_option_count, c->bit);
    else if (c->node_options)
        other_options(t, c);
    if ((c->bit & (HD_CMD_SERVE | HD_CMD_DEV)) != 0) {
        fputc('\n', t->file);
        hd_term_text(t,
                     "In brackets: the default and the variable. Flags beat variables, "
                     "variables beat heddle.yml; `heddle config show` tells what holds and "
                     "who said it.",
                     0);
    }
}

static int print_page(struct hd_cli *cli, void (*write)(struct hd_buf *out))
{
    struct hd_buf page;
    hd_buf_init(&page, 1 << 20);
    write(&page);
    fwrite(page.ptr, 1, page.len, cli->out.file);
    hd_buf_done(&page);
    return HD_EXIT_OK;
}

static int completion(struct hd_cli *cli, const char *shell)
{
    if (strcmp(shell, "bash") == 0)
        return print_page(cli, hd_completion_bash);
    if (strcmp(shell, "zsh") == 0)
        return print_page(cli, hd_completion_zsh);
    if (strcmp(shell, "fish") == 0)
        return print_page(cli, hd_completion_fish);
    return hd_cli_usage(cli,
                        "--completion: there are completions for bash, zsh and fish, not for "
                        "\"%.40s\"",
                        shell);
}

int hd_cmd_help(struct hd_cli *cli)
{
    struct help_values values = {0};
    struct hd_parsed p;
    int code = hd_cli_parse(cli, &p, &values, 1);
    if (code >= 0) {
        hd_parsed_done(&p);
        return code;
    }
    const struct hd_command *about = p.n_words > 0 ? hd_command_find(p.words[0]) : NULL;
    code = HD_EXIT_OK;
    if (values.markdown)
        code = print_page(cli, hd_reference_markdown);
    else if (values.man)
        code = print_page(cli, hd_reference_man);
    else if (values.completion != NULL)
        code = completion(cli, values.completion);
    else if (p.n_words > 0 && about == NULL)
        code = hd_cli_usage(cli, "there is no command \"%.60s\"; `heddle help` lists them",
                            p.words[0]);
    else
        hd_help_print(&cli->out, about);
    hd_parsed_done(&p);
    return code;
}
