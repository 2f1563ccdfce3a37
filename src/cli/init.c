/* init.c - `heddle init` and `heddle new`: write what one begins with. */
#include "cli/commands.h"

#include "cli/template.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum runtime { DENO, NODE, PYTHON, HTTP };
static const char *const runtimes[] = {"deno", "node", "python", "http", NULL};

struct init_values {
    enum runtime runtime;
    bool is_public;
};
#define AT(field) .offset = offsetof(struct init_values, field)

const struct hd_option hd_init_options[] = {
    {.key = "runtime",
     .flag = "runtime",
     .letter = 'r',
     .kind = HD_OPTION_ENUM,
     .words = runtimes,
     AT(runtime),
     .no_file = true,
     .fallback = "deno",
     .group = "Options",
     .help = "Runtime of the first function",
     .commands = HD_CMD_INIT},
};
const size_t hd_init_options_n = HD_COUNT(hd_init_options);

const struct hd_option hd_new_options[] = {
    {.key = "runtime",
     .flag = "runtime",
     .letter = 'r',
     .kind = HD_OPTION_ENUM,
     .words = runtimes,
     AT(runtime),
     .no_file = true,
     .fallback = "deno",
     .group = "Options",
     .help = "What runs it; http is any program that serves HTTP",
     .commands = HD_CMD_NEW},
    {.key = "public",
     .flag = "public",
     .kind = HD_OPTION_BOOL,
     AT(is_public),
     .no_file = true,
     .group = "Options",
     .help = "Anybody may call it, without a token",
     .commands = HD_CMD_NEW},
};
const size_t hd_new_options_n = HD_COUNT(hd_new_options);

static int write_all(struct hd_cli *cli, const struct hd_new_files *files)
{
    struct hd_error err = {0};
    if (hd_new_files_write(files, &err) < 0)
        return hd_cli_fail(cli, HD_EXIT_CANTMAKE, "%s", err.msg);
    for (size_t i = 0; i < files->n; i++) {
        const char *path = files->items[i].path;
        size_t cwd = strlen(cli->cwd);
        bool inside = strncmp(path, cli->cwd, cwd) == 0 && path[cwd] == '/';
        fprintf(cli->out.file, "  %swrote%s %s\n", hd_term_on(&cli->out, HD_GOOD),
                hd_term_off(&cli->out), inside ? path + cwd + 1 : path);
    }
    return HD_EXIT_OK;
}

/* A .gitignore that is there gets the lines it lacks: its own are kept. */
static int add_gitignore(struct hd_cli *cli, const char *dir)
{
    hd_auto_free char *path = hd_printf("%s/.gitignore", dir);
    hd_auto_free char *text = hd_template_text("project/gitignore", "");
    char old[16384];
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return hd_cli_fail(cli, HD_EXIT_CANTMAKE, "%s: %s", path, strerror(errno));
    ssize_t n = read(fd, old, sizeof(old) - 1);
    old[n > 0 ? n : 0] = '\0';
    bool has = strncmp(old, ".heddle/", 8) == 0 || strstr(old, "\n.heddle/") != NULL;
    int code = HD_EXIT_OK;
    if (n < 0)
        code = hd_cli_fail(cli, HD_EXIT_CANTMAKE, "%s: %s", path, strerror(errno));
    else if (!has && ((n > 0 && old[n - 1] != '\n' && write(fd, "\n", 1) != 1) ||
                      write(fd, text, strlen(text)) != (ssize_t)strlen(text)))
        code = hd_cli_fail(cli, HD_EXIT_CANTMAKE, "%s: %s", path, strerror(errno));
    else if (!has)
        fprintf(cli->out.file, "  %s%s%s .gitignore\n", hd_term_on(&cli->out, HD_GOOD),
                n > 0 ? "added to" : "wrote", hd_term_off(&cli->out));
    close(fd);
    return code;
}

static int init(struct hd_cli *cli, const char *dir, const struct init_values *values)
{
    struct hd_new_files files = {0};
    hd_auto_free char *functions = hd_printf("%s/functions", dir);
    hd_new_files_add(&files, hd_printf("%s/heddle.yml", dir),
                     hd_template_text("project/heddle.yml", ""));
    hd_new_files_function(&files, functions, runtimes[values->runtime], "hello", true);
    int code = write_all(cli, &files);
    hd_new_files_done(&files);
    if (code == HD_EXIT_OK)
        code = add_gitignore(cli, dir);
    if (code != HD_EXIT_OK)
        return code;
    bool here = strcmp(dir, cli->cwd) == 0;
    fprintf(cli->out.file,
            "\nNext:\n  %s%s%sheddle dev\n  curl http://127.0.0.1:3100/functions/v1/hello\n",
            here ? "" : "cd ", here ? "" : dir, here ? "" : " && ");
    return HD_EXIT_OK;
}

int hd_cmd_init(struct hd_cli *cli)
{
    struct init_values values = {0};
    struct hd_parsed p;
    int code = hd_cli_parse(cli, &p, &values, 1);
    if (code < 0) {
        const char *word = p.n_words > 0 ? p.words[0] : ".";
        hd_auto_free char *dir = word[0] == '/'           ? hd_strdup(word)
                                 : strcmp(word, ".") == 0 ? hd_strdup(cli->cwd)
                                                          : hd_printf("%s/%s", cli->cwd, word);
        code = init(cli, dir, &values);
    }
    hd_parsed_done(&p);
    return code;
}

/* A letter, then letters, digits, '_' or '-'; as discovery takes it. */
static bool is_name(const char *name)
{
    size_t len = strlen(name);
    bool good = len >= 1 && len <= 63;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        good = good && (letter || (i > 0 && ((c >= '0' && c <= '9') || c == '_' || c == '-')));
    }
    return good && !hd_str_ends(hd_str(name), hd_str("_shared"));
}

static int new_function(struct hd_cli *cli, const struct hd_node_options *opt, const char *name,
                        const struct init_values *values)
{
    struct hd_new_files files = {0};
    struct stat st;
    hd_auto_free char *dir = hd_printf("%s/%s", opt->functions_dir, name);
    if (!is_name(name))
        return hd_cli_usage(cli,
                            "\"%.70s\" cannot be a function's name: a letter, then up to 62 "
                            "letters, digits, _ or -, and not ending in _shared",
                            name);
    if (lstat(dir, &st) == 0)
        return hd_cli_fail(cli, HD_EXIT_CANTMAKE, "%s is there already; nothing was written", dir);
    hd_new_files_function(&files, opt->functions_dir, runtimes[values->runtime], name,
                          values->is_public);
    int code = write_all(cli, &files);
    hd_new_files_done(&files);
    if (code == HD_EXIT_OK)
        fprintf(cli->out.file, "\nCall it, while `heddle dev` runs:\n  heddle invoke %s\n", name);
    return code;
}

int hd_cmd_new(struct hd_cli *cli)
{
    struct init_values values = {0};
    struct hd_parsed p;
    int code = hd_cli_parse(cli, &p, &values, 1);
    if (code < 0 && p.n_words == 0)
        code = hd_cli_usage(cli, "which name?");
    else if (code < 0)
        code = new_function(cli, &p.opt, p.words[0], &values);
    hd_parsed_done(&p);
    return code;
}
