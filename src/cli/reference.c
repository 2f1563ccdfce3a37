/* reference.c - the reference page, the manual page and completions, from the tables. */
#include "cli/cli.h"

#include "core/option_help.h"

static const uint32_t everything = UINT32_MAX;

static const char order[] =
    "Flags beat environment variables, variables beat heddle.yml, and heddle.yml beats the "
    "defaults. heddle.yml is read from the working directory, or from where --config says; an "
    "unknown or repeated key in it is an error. A dot in a key stands for a map: listen.port is "
    "the key port in the map listen. Relative paths in it begin at its own folder.";
static const char variables[] =
    "Every variable HEDDLE_X is also read as 1TUBE_X; further names in the tables are older ones. "
    "The name that stands first wins; an empty variable counts as not set. Booleans are 1, true, "
    "yes, on or 0, false, no, off in any case. A value that is out of range or followed by "
    "anything else is an error: exit code 64 for a flag, 78 for a variable or a file.";
static const char values[] =
    "A flag's value may stand behind a blank or behind =. Every on/off flag has a --no- form. A "
    "list takes commas, a flag for a list may be repeated, and in the file a list may be a YAML "
    "sequence. Options without a flag hold secrets, which a command line would show to everybody "
    "on the machine, or are rarely changed.";

static struct hd_option_help own(const struct hd_command *c)
{
    return (struct hd_option_help){
        .options = c->options, .n = c->options != NULL ? *c->n_options : 0, .command = c->bit};
}

static struct hd_option_help node(uint32_t command)
{
    return (struct hd_option_help){
        .options = hd_node_option_table, .n = hd_node_option_count, .command = command};
}

static void markdown_paragraphs(struct hd_buf *out, const char *text)
{
    struct hd_str rest = hd_str(text), part;
    while (hd_str_split(&part, &rest, '\n'))
        hd_buf_fmt(out, "\n%.*s\n", HD_FMT(part));
}

static void markdown_command(struct hd_buf *out, const struct hd_command *c)
{
    struct hd_option_help help = own(c);
    hd_buf_fmt(out, "\n### heddle %s\n\n`heddle %s%s%s`\n", c->name, c->name,
               *c->usage != '\0' ? " " : "", c->usage);
    markdown_paragraphs(out, c->about);
    if (c->example != NULL)
        hd_buf_fmt(out, "\n```sh\n%s\n```\n", c->example);
    if (help.n > 0) {
        hd_buf_cstr(out, "\n| flag | value | default | what it does |\n|---|---|---|---|\n");
        hd_option_help_markdown_own(out, &help);
    }
}

void hd_reference_markdown(struct hd_buf *out)
{
    struct hd_option_help all = node(everything);
    hd_buf_cstr(out, "# Reference\n\nMade by `heddle help --markdown`.\n\n## Commands\n\n"
                     "| command | what it does |\n|---|---|\n");
    for (size_t i = 0; i < hd_command_count; i++)
        hd_buf_fmt(out, "| [`%s`](#heddle-%s) | %s |\n", hd_commands[i].name, hd_commands[i].name,
                   hd_commands[i].summary);
    hd_buf_cstr(out, "\nWithout a command, or when the first word is a flag or a folder, it is "
                     "`serve`.\n");
    for (size_t i = 0; i < hd_command_count; i++)
        markdown_command(out, &hd_commands[i]);
    hd_buf_fmt(out, "\n## Options of a node\n\n%s\n\n%s\n\n%s\n", order, variables, values);
    hd_option_help_markdown(out, &all, "###");
    hd_buf_cstr(out, "\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for (const struct hd_exit_row *row = hd_exit_rows; row->meaning != NULL; row++)
        hd_buf_fmt(out, "| %d | %s |\n", row->code, row->meaning);
}

static void man_text(struct hd_buf *out, const char *text)
{
    struct hd_str rest = hd_str(text), part;
    while (hd_str_split(&part, &rest, '\n')) {
        hd_auto_free char *one = hd_strdup_n(part);
        hd_text_man(out, one);
        hd_buf_char(out, '\n');
        if (rest.ptr != NULL)
            hd_buf_cstr(out, ".PP\n");
    }
}

static void man_command(struct hd_buf *out, const struct hd_command *c)
{
    struct hd_option_help help = own(c);
    hd_buf_cstr(out, ".TP\n.B heddle ");
    hd_text_man(out, c->name);
    hd_buf_char(out, ' ');
    hd_text_man(out, c->usage);
    hd_buf_char(out, '\n');
    struct hd_str rest = hd_str(c->about), part;
    while (hd_str_split(&part, &rest, '\n')) {
        hd_auto_free char *one = hd_strdup_n(part);
        hd_text_man(out, one);
        hd_buf_cstr(out, rest.ptr != NULL ? "\n.IP\n" : "\n");
    }
    if (help.n == 0)
        return;
    hd_buf_cstr(out, ".RS\n");
    hd_option_help_man_own(out, &help);
    hd_buf_cstr(out, ".RE\n");
}

void hd_reference_man(struct hd_buf *out)
{
    struct hd_option_help all = node(everything);
    hd_buf_cstr(out, ".TH HEDDLE 1 \"\" \"heddle " HD_VERSION "\" \"User Commands\"\n"
                     ".SH NAME\nheddle \\- serverless functions on machines you own\n"
                     ".SH SYNOPSIS\n.B heddle\n[\\fICOMMAND\\fR] [\\fIFLAGS\\fR]\n"
                     ".SH DESCRIPTION\n");
    man_text(out, "Serves a folder of functions (TypeScript, JavaScript, Python, or any program "
                  "that speaks HTTP) behind a gateway with identity, limits and hot reload. "
                  "Without a command, or when the first word is a flag or a folder, it is serve.");
    hd_buf_cstr(out, ".SH COMMANDS\n");
    for (size_t i = 0; i < hd_command_count; i++)
        man_command(out, &hd_commands[i]);
    hd_buf_cstr(out, ".SH OPTIONS OF A NODE\n");
    man_text(out, order);
    hd_buf_cstr(out, ".PP\n");
    man_text(out, values);
    hd_option_help_man(out, &all);
    hd_buf_cstr(out, ".SH ENVIRONMENT\n");
    man_text(out, variables);
    hd_buf_cstr(out, ".TP\n.B NO_COLOR\nNever write colours.\n.SH EXIT STATUS\n");
    for (const struct hd_exit_row *row = hd_exit_rows; row->meaning != NULL; row++) {
        hd_buf_fmt(out, ".TP\n.B %d\n", row->code);
        man_text(out, row->meaning);
    }
    hd_buf_cstr(out, ".SH FILES\n.TP\n.I heddle.yml\nSettings of this folder.\n"
                     ".TP\n.I .heddle/\nLocal state: sockets, and the keys of development mode.\n");
}

static void flags_of(struct hd_buf *out, const struct hd_command *c)
{
    struct hd_option_help help = own(c), all = node(c->bit);
    hd_buf_cstr(out, "--help");
    hd_option_help_flags(out, &help);
    if (c->node_options)
        hd_option_help_flags(out, &all);
}

static void names(struct hd_buf *out)
{
    for (size_t i = 0; i < hd_command_count; i++)
        hd_buf_fmt(out, "%s%s", i > 0 ? " " : "", hd_commands[i].name);
}

void hd_completion_bash(struct hd_buf *out)
{
    hd_buf_cstr(out, "# bash completion for heddle; made by `heddle help --completion bash`\n"
                     "_heddle() {\n    local word=${COMP_WORDS[COMP_CWORD]} flags\n"
                     "    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < hd_command_count; i++) {
        hd_buf_fmt(out, "    %s) flags=\"", hd_commands[i].name);
        flags_of(out, &hd_commands[i]);
        hd_buf_cstr(out, "\" ;;\n");
    }
    hd_buf_cstr(out, "    *) flags=\"--help --version\" ;;\n    esac\n    COMPREPLY=()\n"
                     "    if [[ $word == -* ]]; then\n"
                     "        mapfile -t COMPREPLY < <(compgen -W \"$flags\" -- \"$word\")\n"
                     "    elif [[ $COMP_CWORD -eq 1 ]]; then\n"
                     "        mapfile -t COMPREPLY < <(compgen -W \"");
    names(out);
    hd_buf_cstr(out, "\" -- \"$word\")\n    fi\n}\n"
                     "complete -o default -F _heddle heddle heddled\n");
}

void hd_completion_zsh(struct hd_buf *out)
{
    hd_buf_cstr(out, "#compdef heddle heddled\n"
                     "# zsh completion for heddle; made by `heddle help --completion zsh`\n"
                     "local -a flags\ncase ${words[2]} in\n");
    for (size_t i = 0; i < hd_command_count; i++) {
        hd_buf_fmt(out, "%s) flags=(", hd_commands[i].name);
        flags_of(out, &hd_commands[i]);
        hd_buf_cstr(out, ") ;;\n");
    }
    hd_buf_cstr(out, "*) flags=(--help --version) ;;\nesac\n"
                     "if [[ $PREFIX == -* ]]; then\n    compadd -a flags\n"
                     "elif (( CURRENT == 2 )); then\n    compadd ");
    names(out);
    hd_buf_cstr(out, "\nelse\n    _files\nfi\n");
}

void hd_completion_fish(struct hd_buf *out)
{
    hd_buf_cstr(out, "# fish completion for heddle; made by `heddle help --completion fish`\n");
    for (size_t i = 0; i < hd_command_count; i++)
        hd_buf_fmt(out, "complete -c heddle -n __fish_use_subcommand -a %s -d '%s'\n",
                   hd_commands[i].name, hd_commands[i].summary);
    for (size_t i = 0; i < hd_command_count; i++) {
        struct hd_buf flags;
        hd_buf_init(&flags, 1 << 16);
        flags_of(&flags, &hd_commands[i]);
        struct hd_str rest = hd_buf_view(&flags), flag;
        while (hd_str_split(&flag, &rest, ' ')) {
            if (flag.len > 2)
                hd_buf_fmt(out, "complete -c heddle -n '__fish_seen_subcommand_from %s' -l %.*s\n",
                           hd_commands[i].name, (int)flag.len - 2, flag.ptr + 2);
        }
        hd_buf_done(&flags);
    }
}
