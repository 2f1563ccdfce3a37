/* test_option.c - a small table with every kind of value. */
#include "core/option.h"
#include "core/option_help.h"
#include "core/suggest.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum mode { MODE_FAST, MODE_SAFE };
enum { CMD_A = 1, CMD_B = 2 };

struct values {
    bool verbose, color;
    uint16_t port;
    uint32_t threads, wait_ms;
    uint64_t big, body;
    char *name, *dir, *program, *secret;
    enum mode mode;
    struct hd_option_list tags, files;
};

static const char *const mode_words[] = {"fast", "safe", NULL};

#define AT(field) .offset = offsetof(struct values, field)
static const struct hd_option table[] = {
    {.key = "verbose",
     .flag = "verbose",
     .letter = 'v',
     .env = "HEDDLE_VERBOSE",
     .kind = HD_OPTION_BOOL,
     AT(verbose),
     .inverse = "quiet",
     .group = "One",
     .help = "Say more",
     .commands = CMD_A},
    {.key = "color",
     .flag = "color",
     .kind = HD_OPTION_BOOL,
     AT(color),
     .fallback = "true",
     .group = "One",
     .help = "Use colour",
     .commands = CMD_A},
    {.key = "listen.port",
     .flag = "port",
     .letter = 'p',
     .alias = "tcp-port",
     .env = "HEDDLE_PORT",
     .history = "PORT OLD_PORT",
     .kind = HD_OPTION_U16,
     AT(port),
     .fallback = "3100",
     .group = "One",
     .help = "Where to listen",
     .commands = CMD_A},
    {.key = "threads",
     .flag = "threads",
     .env = "HEDDLE_THREADS",
     .kind = HD_OPTION_U32,
     .min = 1,
     .max = 64,
     .zero = "auto",
     AT(threads),
     .fallback = "auto",
     .group = "One",
     .help = "How many threads there are, which is a sentence that has to be broken into lines",
     .commands = CMD_A},
    {.key = "listen.wait_ms",
     .flag = "wait",
     .kind = HD_OPTION_MS,
     AT(wait_ms),
     .group = "Two",
     .help = "Wait",
     .commands = CMD_A},
    {.key = "big",
     .flag = "big",
     .kind = HD_OPTION_U64,
     AT(big),
     .group = "Two",
     .help = "Big",
     .commands = CMD_A},
    {.key = "body",
     .flag = "body",
     .kind = HD_OPTION_MB,
     AT(body),
     .fallback = "30",
     .group = "Two",
     .help = "Body",
     .commands = CMD_A},
    {.key = "name",
     .flag = "name",
     .kind = HD_OPTION_STR,
     AT(name),
     .group = "Two",
     .help = "Name",
     .commands = CMD_A},
    {.key = "dir",
     .flag = "dir",
     .kind = HD_OPTION_PATH,
     AT(dir),
     .group = "Two",
     .help = "Dir",
     .commands = CMD_A},
    {.key = "program",
     .flag = "program",
     .kind = HD_OPTION_PROGRAM,
     AT(program),
     .group = "Two",
     .help = "Program",
     .commands = CMD_A},
    {.key = "secret",
     .env = "HEDDLE_SECRET",
     .kind = HD_OPTION_STR,
     .secret = true,
     AT(secret),
     .group = "Two",
     .help = "Secret",
     .commands = CMD_A},
    {.key = "mode",
     .flag = "mode",
     .env = "HEDDLE_MODE",
     .kind = HD_OPTION_ENUM,
     .words = mode_words,
     AT(mode),
     .fallback = "fast",
     .group = "Two",
     .help = "Mode",
     .commands = CMD_A},
    {.key = "tags",
     .flag = "tag",
     .env = "HEDDLE_TAGS",
     .history = "TAG_ONE TAG_TWO",
     .kind = HD_OPTION_LIST,
     AT(tags),
     .group = "Two",
     .help = "Tags",
     .commands = CMD_A},
    {.key = "files",
     .flag = "file",
     .kind = HD_OPTION_LIST,
     .paths = true,
     AT(files),
     .group = "Two",
     .help = "Files",
     .commands = CMD_A | CMD_B},
};

struct fixture {
    struct values v;
    struct hd_option_set set;
    struct hd_error err;
    char *words[2];
    size_t n_words;
    bool help;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    hd_option_set_init(&f->set, table, HD_COUNT(table), &f->v, "/w");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    hd_option_set_done(&f->set);
    free(f);
    return 0;
}

/* @param line  arguments separated by blanks. */
static int args(struct fixture *f, const char *line)
{
    char *copy = strdup(line), *save = NULL, *argv[16];
    static char kept[16][80];
    int argc = 0;
    for (char *s = strtok_r(copy, " ", &save); s != NULL; s = strtok_r(NULL, " ", &save)) {
        snprintf(kept[argc], sizeof(kept[argc]), "%s", s);
        argv[argc] = kept[argc];
        argc++;
    }
    free(copy);
    struct hd_option_set *sets[] = {&f->set};
    struct hd_option_args a = {.sets = sets,
                               .n_sets = 1,
                               .command = CMD_A,
                               .words = f->words,
                               .max_words = HD_COUNT(f->words)};
    int rc = hd_option_parse_args(&a, argc, argv, &f->err);
    f->n_words = a.n_words;
    f->help = a.help;
    return rc;
}

static int yaml(struct fixture *f, const char *text)
{
    return hd_option_parse_yaml(&f->set, "conf/heddle.yml", hd_str(text), &f->err);
}

static const char *shown(struct fixture *f, const char *key)
{
    static char room[400];
    struct hd_buf b;
    hd_buf_init(&b, sizeof(room) - 1);
    hd_option_format(&b, &f->set, hd_option_find(&f->set, key));
    snprintf(room, sizeof(room), "%.*s", (int)b.len, b.len > 0 ? b.ptr : "");
    hd_buf_done(&b);
    return room;
}

static void defaults_are_parsed_like_any_value(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->v.port, 3100);
    assert_true(f->v.color);
    assert_true(f->v.body == 30u << 20);
    assert_int_equal(f->v.mode, MODE_FAST);
    assert_null(f->v.name);
    assert_string_equal(shown(f, "threads"), "auto");
    assert_string_equal(hd_option_origin(&f->set, "listen.port")->text, "default");
}

static void every_kind_is_read_from_flags(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(args(f, "-vp80 --no-color --threads=2 --wait 5 --big 18446744073709551615 "
                             "--body 0.5 --name a=b"),
                     0);
    assert_true(f->v.verbose && !f->v.color);
    assert_int_equal(f->v.port, 80);
    assert_int_equal(f->v.threads, 2);
    assert_true(f->v.big == UINT64_MAX);
    assert_true(f->v.body == 512 * 1024);
    assert_string_equal(f->v.name, "a=b");
    assert_int_equal(args(f, "--dir=./x/ --program deno --mode SAFE --tag a,b --tag c --file y,/z"),
                     0);
    assert_string_equal(f->v.dir, "/w/x");
    assert_string_equal(f->v.program, "deno");
    assert_int_equal(f->v.mode, MODE_SAFE);
    assert_int_equal(f->v.tags.n, 3);
    assert_string_equal(f->v.tags.items[2], "c");
    assert_null(f->v.tags.items[3]);
    assert_string_equal(f->v.files.items[0], "/w/y");
    assert_string_equal(f->v.files.items[1], "/z");
    assert_int_equal(args(f, "--program bin/deno --tcp-port 81 --quiet --body none"), 0);
    assert_string_equal(f->v.program, "/w/bin/deno");
    assert_int_equal(f->v.port, 81);
    assert_false(f->v.verbose);
    assert_true(f->v.body == UINT64_MAX);
    assert_string_equal(hd_option_origin(&f->set, "listen.port")->text, "--tcp-port");
}

static void words_and_the_end_of_flags_are_kept_apart(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(args(f, "dir --port 1 -- --port"), 0);
    assert_int_equal(f->n_words, 2);
    assert_string_equal(f->words[1], "--port");
    assert_int_equal(args(f, "a b c"), HD_EINVAL);
    assert_string_equal(f->err.msg, "unexpected argument \"c\"");
    assert_int_equal(args(f, "-h"), 0);
    assert_true(f->help);
    assert_int_equal(args(f, "-"), 0);
    assert_string_equal(f->words[0], "-");
}

static void wrong_flags_say_what_to_do(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[][2] = {
        {"--prot 80", "unknown flag --prot; did you mean --port?"},
        {"--xyzzy", "unknown flag --xyzzy; --help lists the flags"},
        {"-x", "unknown flag -x; --help lists the flags"},
        {"--port", "--port needs a value: --port N"},
        {"--port 70000", "--port: must be a whole number from 0 to 65535, not \"70000\""},
        {"--port 80x", "--port: must be a whole number from 0 to 65535, not \"80x\""},
        {"--port=", "--port: is empty"},
        {"--port -1", "--port: must be a whole number from 0 to 65535, not \"-1\""},
        {"--threads 0", "--threads: must be a whole number from 1 to 64, or auto, not \"0\""},
        {"--wait 4294967296", "--wait: must be a whole number, 0 or more, not \"4294967296\""},
        {"--body 0", "--body: must be a number of MiB over 0, or none, not \"0\""},
        {"--body 1.", "--body: must be a number of MiB over 0, or none, not \"1.\""},
        {"--body 1e3", "--body: must be a number of MiB over 0, or none, not \"1e3\""},
        {"--mode slow", "--mode: must be fast or safe, not \"slow\""},
        {"--verbose=maybe", "--verbose: must be true or false, not \"maybe\""},
        {"--no-verbose=1", "--no-verbose takes no value"},
        {"--no-port", "unknown flag --no-port; did you mean --port?"},
        {"--secret x", "unknown flag --secret; --help lists the flags"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        assert_int_equal(args(f, cases[i][0]), HD_EINVAL);
        assert_string_equal(f->err.msg, cases[i][1]);
    }
    assert_int_equal(f->v.port, 3100);
}

static void a_command_knows_only_its_own_flags(void **state)
{
    struct fixture *f = *state;
    struct hd_option_set *sets[] = {&f->set};
    struct hd_option_args a = {.sets = sets, .n_sets = 1, .command = CMD_B};
    char *argv[] = {"--port", "1"};
    assert_int_equal(hd_option_parse_args(&a, 2, argv, &f->err), HD_EINVAL);
    argv[0] = "--file";
    assert_int_equal(hd_option_parse_args(&a, 2, argv, &f->err), 0);
}

static void the_environment_knows_old_names_and_the_canonical_one_wins(void **state)
{
    struct fixture *f = *state;
    char *old[] = {"OLD_PORT=3", "PORT=4", "HEDDLE_PORT=", NULL};
    assert_int_equal(hd_option_parse_env(&f->set, old, &f->err), 0);
    assert_int_equal(f->v.port, 4);
    assert_string_equal(hd_option_origin(&f->set, "listen.port")->text, "PORT");
    char *prefixed[] = {"PORT=4", "1TUBE_PORT=5", NULL};
    assert_int_equal(hd_option_parse_env(&f->set, prefixed, &f->err), 0);
    assert_int_equal(f->v.port, 5);
    char *canonical[] = {"PORT=4",          "1TUBE_PORT=5",        "HEDDLE_PORT=6",
                         "HEDDLE_PORTER=7", "HEDDLE_VERBOSE=TRUE", NULL};
    assert_int_equal(hd_option_parse_env(&f->set, canonical, &f->err), 0);
    assert_int_equal(f->v.port, 6);
    assert_true(f->v.verbose);
    char *lists[] = {"TAG_ONE=a", "TAG_TWO=b,c", NULL};
    assert_int_equal(hd_option_parse_env(&f->set, lists, &f->err), 0);
    assert_int_equal(f->v.tags.n, 3);
    char *list[] = {"TAG_ONE=a", "HEDDLE_TAGS=z", NULL};
    assert_int_equal(hd_option_parse_env(&f->set, list, &f->err), 0);
    assert_int_equal(f->v.tags.n, 1);
    assert_string_equal(f->v.tags.items[0], "z");
}

static void wrong_variables_are_named(void **state)
{
    struct fixture *f = *state;
    char *garbage[] = {"PORT=80x", NULL};
    assert_int_equal(hd_option_parse_env(&f->set, garbage, &f->err), HD_EINVAL);
    assert_string_equal(f->err.msg, "PORT: must be a whole number from 0 to 65535, not \"80x\"");
    char *word[] = {"HEDDLE_VERBOSE=sometimes", NULL};
    assert_int_equal(hd_option_parse_env(&f->set, word, &f->err), HD_EINVAL);
    assert_string_equal(f->err.msg, "HEDDLE_VERBOSE: must be true or false, not \"sometimes\"");
}

static void flags_beat_environment_beats_file_in_any_order(void **state)
{
    struct fixture *f = *state;
    char *env[] = {"HEDDLE_THREADS=3", "HEDDLE_PORT=2", "HEDDLE_TAGS=e", NULL};
    assert_int_equal(args(f, "--port 1"), 0);
    assert_int_equal(hd_option_parse_env(&f->set, env, &f->err), 0);
    assert_int_equal(yaml(f, "listen:\n  port: 9\n  wait_ms: 7\nthreads: 9\ntags: [x, y]\n"), 0);
    assert_int_equal(f->v.port, 1);
    assert_int_equal(f->v.threads, 3);
    assert_int_equal(f->v.wait_ms, 7);
    assert_int_equal(f->v.tags.n, 1);
    assert_string_equal(hd_option_origin(&f->set, "listen.port")->text, "--port");
    assert_string_equal(hd_option_origin(&f->set, "threads")->text, "HEDDLE_THREADS");
    assert_string_equal(hd_option_origin(&f->set, "listen.wait_ms")->text,
                        "heddle.yml:3 listen.wait_ms");
    assert_string_equal(hd_option_origin(&f->set, "name")->text, "default");
}

static void a_file_is_read_with_its_own_folder(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(yaml(f, "# nothing but\n"), 0);
    assert_int_equal(yaml(f, ""), 0);
    assert_int_equal(yaml(f, "listen:\n  # all commented out\ndir: data\ntags:\n  - a\n  - b\n"
                             "files: &x [one]\nbody: 0.25\nverbose: yes\nname: \"\"\n"),
                     0);
    assert_string_equal(f->v.dir, "/w/conf/data");
    assert_int_equal(f->v.tags.n, 2);
    assert_string_equal(f->v.files.items[0], "/w/conf/one");
    assert_string_equal(shown(f, "body"), "0.25");
    assert_null(f->v.name);
}

static void wrong_files_are_answered_with_line_and_key(void **state)
{
    static const char *const cases[][2] = {
        {"listen:\n  prot: 1\n",
         "conf/heddle.yml:2: listen.prot: unknown key; did you mean listen.port?"},
        {"port: 1\n", "conf/heddle.yml:1: port: unknown key; did you mean listen.port?"},
        {"zzzzzz: 1\n", "conf/heddle.yml:1: zzzzzz: unknown key; `heddle config show` lists what "
                        "there is"},
        {"\nlisten:\n  port: x\n", "conf/heddle.yml:3: listen.port: must be a whole number from 0 "
                                   "to 65535, not \"x\""},
        {"threads: 1\nthreads: 2\n", "conf/heddle.yml:2: threads: given twice, first in line 1"},
        {"listen.port: 1\nlisten:\n  port: 2\n",
         "conf/heddle.yml:3: listen.port: given twice, first at heddle.yml:1 listen.port"},
        {"listen: 5\n", "conf/heddle.yml:1: listen: must be a map of settings"},
        {"listen:\n  port: [1]\n", "conf/heddle.yml:2: listen.port: must be a single value"},
        {"tags: {a: b}\n", "conf/heddle.yml:1: tags: must be a single value or list"},
        {"tags: [[a]]\n", "conf/heddle.yml:1: tags: each item must be a text"},
        {"threads:\n", "conf/heddle.yml:1: threads: has no value; write one or remove the line"},
        {"- a\n", "conf/heddle.yml:1: must be a map of settings"},
        {"[a]: b\n", "conf/heddle.yml:1: a key must be a text"},
        {"threads: 1\n---\nthreads: 2\n", "conf/heddle.yml:3: a second document; only one is read"},
        {"a: &x {b: *x}\n", "conf/heddle.yml:1: a: unknown key; `heddle config show` lists what "
                            "there is"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        void *own = NULL;
        setup(&own);
        struct fixture *f = own;
        assert_int_equal(yaml(f, cases[i][0]), HD_EINVAL);
        assert_string_equal(f->err.msg, cases[i][1]);
        teardown(&own);
    }
    struct fixture *f = *state;
    assert_int_equal(yaml(f, "listen: {port: 1\n"), HD_EINVAL);
    assert_memory_equal(f->err.msg, "conf/heddle.yml:2:1: ", 21);
    assert_int_equal(yaml(f, "listen: &l {port: 1}\nx: *y\n"), HD_EINVAL);
    assert_int_equal(yaml(f, "name: \"a\\0b\"\n"), HD_EINVAL);
    char *huge = malloc(HD_OPTION_FILE_MAX + 2);
    memset(huge, '#', HD_OPTION_FILE_MAX + 1);
    huge[HD_OPTION_FILE_MAX + 1] = '\0';
    assert_int_equal(yaml(f, huge), HD_EINVAL);
    free(huge);
}

static void secrets_are_neither_shown_nor_quoted(void **state)
{
    struct fixture *f = *state;
    char *env[] = {"HEDDLE_SECRET=hunter2", NULL};
    assert_int_equal(hd_option_parse_env(&f->set, env, &f->err), 0);
    assert_string_equal(f->v.secret, "hunter2");
    assert_string_equal(shown(f, "secret"), "(set)");
    char *bad[] = {"HEDDLE_SECRET=hunter\0012", NULL};
    assert_int_equal(hd_option_parse_env(&f->set, bad, &f->err), HD_EINVAL);
    assert_null(strstr(f->err.msg, "hunter"));
}

static void values_are_written_as_they_are_read(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(args(f, "--body 1.5 --tag a --tag b --threads auto --no-color"), 0);
    assert_string_equal(shown(f, "body"), "1.5");
    assert_string_equal(shown(f, "tags"), "a,b");
    assert_string_equal(shown(f, "threads"), "auto");
    assert_string_equal(shown(f, "color"), "false");
    assert_string_equal(shown(f, "mode"), "fast");
    assert_string_equal(shown(f, "name"), "");
}

static void help_fits_the_width(void **state)
{
    static const unsigned widths[] = {20, 48, 60, 80, 300};
    for (size_t i = 0; i < HD_COUNT(widths); i++) {
        struct hd_option_help help = {
            .options = table, .n = HD_COUNT(table), .command = CMD_A, .width = widths[i]};
        struct hd_buf out;
        hd_buf_init(&out, 1 << 16);
        hd_option_help_text(&out, &help);
        assert_false(hd_buf_failed(&out));
        struct hd_str rest = hd_buf_view(&out), line;
        size_t longest = 0;
        while (hd_str_split(&line, &rest, '\n'))
            longest = HD_MAX(longest, line.len);
        unsigned allowed = widths[i] < 48 ? 48 : widths[i] > 110 ? 110 : widths[i];
        assert_in_range(longest, 1, allowed);
        hd_buf_char(&out, '\0');
        assert_non_null(strstr(out.ptr, "\nOne\n"));
        assert_non_null(strstr(out.ptr, "  -p, --port N"));
        assert_non_null(strstr(out.ptr, "--[no-]color"));
        assert_non_null(strstr(out.ptr, "HEDDLE_SECRET"));
        hd_buf_done(&out);
    }
    (void)state;
}

static void the_same_table_makes_markdown_and_man_pages(void **state)
{
    struct hd_option_help help = {.options = table, .n = HD_COUNT(table), .command = CMD_A};
    struct hd_buf out;
    hd_buf_init(&out, 1 << 16);
    hd_option_help_markdown(&out, &help, "##");
    hd_option_help_man(&out, &help);
    hd_option_help_flags(&out, &help);
    hd_buf_char(&out, '\0');
    assert_non_null(strstr(out.ptr, "| `-p`, `--port N`, `--tcp-port` | `HEDDLE_PORT`, `PORT`, "
                                    "`OLD_PORT` | `listen.port` | a whole number from 0 to 65535 "
                                    "| `3100` | Where to listen |\n"));
    assert_non_null(strstr(out.ptr, ".SS \"Two\"\n"));
    assert_non_null(strstr(out.ptr, ".B \\-p, \\-\\-port N\nWhere to listen.\n"));
    assert_non_null(strstr(out.ptr, "--verbose --no-color --port"));
    hd_buf_done(&out);
    (void)state;
}

static void suggestions_are_close_or_none(void **state)
{
    static const char *const known[] = {"serve", "dev", "init", "invoke", "config", "logs"};
    static const char *const cases[][2] = {{"srve", "serve"},  {"inti", "init"}, {"dve", "dev"},
                                           {"conf", "config"}, {"x", NULL},      {"banana", NULL},
                                           {"", NULL}};
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_suggest best = {0};
        for (size_t k = 0; k < HD_COUNT(known); k++)
            hd_suggest_try(&best, hd_str(cases[i][0]), known[k]);
        if (cases[i][1] == NULL)
            assert_null(best.word);
        else
            assert_string_equal(best.word, cases[i][1]);
    }
    (void)state;
}

#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TABLE(defaults_are_parsed_like_any_value),
        WITH_TABLE(every_kind_is_read_from_flags),
        WITH_TABLE(words_and_the_end_of_flags_are_kept_apart),
        WITH_TABLE(wrong_flags_say_what_to_do),
        WITH_TABLE(a_command_knows_only_its_own_flags),
        WITH_TABLE(the_environment_knows_old_names_and_the_canonical_one_wins),
        WITH_TABLE(wrong_variables_are_named),
        WITH_TABLE(flags_beat_environment_beats_file_in_any_order),
        WITH_TABLE(a_file_is_read_with_its_own_folder),
        WITH_TABLE(wrong_files_are_answered_with_line_and_key),
        WITH_TABLE(secrets_are_neither_shown_nor_quoted),
        WITH_TABLE(values_are_written_as_they_are_read),
        cmocka_unit_test(help_fits_the_width),
        cmocka_unit_test(the_same_table_makes_markdown_and_man_pages),
        cmocka_unit_test(suggestions_are_close_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
