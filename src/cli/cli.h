/* cli/cli.h - the command line: which commands there are, and what each of them works with. */
#pragma once

#include "cli/term.h"
#include "core/exit.h"
#include "node/settings.h"

struct hd_cli;

/** One command. Texts are static. */
struct hd_command {
    const char *name;
    const char *usage;               /* behind the name: "[DIR]" */
    const char *summary;             /* one line, without full stop */
    const char *about;               /* paragraphs, separated by a line break */
    const char *example;             /* a line to paste, or NULL */
    uint32_t bit;                    /* enum hd_command_bit */
    const struct hd_option *options; /* its own ones, or NULL */
    const size_t *n_options;
    bool node_options; /* it reads the options of a node as well */
    /** @return an exit code; what is to be said has been said. */
    int (*run)(struct hd_cli *cli);
};

extern const struct hd_command hd_commands[];
extern const size_t hd_command_count;
/** @return the command of that name, or NULL. */
const struct hd_command *hd_command_find(const char *name);

/** One run of the program. */
struct hd_cli {
    struct hd_term out, err;
    char *const *env;
    char *cwd;
    const struct hd_command *command;
    int argc; /* without the program's and the command's name */
    char **argv;
};

/** Exit codes with their meaning, for help and reference; ends with a NULL meaning. */
struct hd_exit_row {
    int code;
    const char *meaning;
};
extern const struct hd_exit_row hd_exit_rows[];

/**
 * The whole program.
 * @param env  "NAME=value", NULL-terminated.
 * @return the exit code.
 */
int hd_cli_main(int argc, char **argv, char *const *env);

/** What a command read: its own options, those of a node, and words. */
struct hd_parsed {
    struct hd_option_set own;
    struct hd_node_options opt; /* zeroed unless command->node_options */
    char *words[4];
    size_t n_words;
};
/**
 * Read flags, environment and file for the running command; print help or the error.
 * @param values     what its own option table fills; NULL where it has none.
 * @param max_words  at most 4.
 * @return -1: go on; else the exit code to end with. In both cases *out goes to hd_parsed_done().
 */
int hd_cli_parse(struct hd_cli *cli, struct hd_parsed *out, void *values, size_t max_words);
void hd_parsed_done(struct hd_parsed *p);

/** Print "heddle COMMAND: ..." to stderr. @return @p code. */
int hd_cli_fail(struct hd_cli *cli, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/** Same for a wrong command line, with a hint to --help. @return HD_EXIT_USAGE. */
int hd_cli_usage(struct hd_cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Print a command's help; NULL: the program's. */
void hd_help_print(struct hd_term *t, const struct hd_command *command);
/** Append doc/reference.md, heddle.1, and completions for bash, zsh and fish. */
void hd_reference_markdown(struct hd_buf *out);
void hd_reference_man(struct hd_buf *out);
void hd_completion_bash(struct hd_buf *out);
void hd_completion_zsh(struct hd_buf *out);
void hd_completion_fish(struct hd_buf *out);
