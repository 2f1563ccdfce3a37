/* test_term.c - tables and wrapped text, on files and on a terminal made by the test. */
#include "cli/term.h"

#include "cli/cli.h"
#include "test.h"

#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *none[] = {NULL};

/* What a table prints with lines of that width; @p tty: as on a terminal. */
static char *printed(const struct hd_table *table, unsigned width, bool tty, bool color)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    struct hd_term term = {.file = file, .width = width, .tty = tty, .color = color};
    hd_table_print(table, &term);
    fclose(file);
    return text;
}

static void columns_are_aligned_and_nothing_trails(void **state)
{
    struct hd_table t;
    hd_table_init(&t, 3);
    static const char *const cells[] = {"NAME", "STATE", "WHY", "hello", "ready", "",
                                        "pay",  "",      "",    "ünï",   "x",     "y"};
    for (size_t i = 0; i < HD_COUNT(cells); i++)
        hd_table_add(&t, HD_PLAIN, cells[i]);
    char *text = printed(&t, 80, false, false);
    assert_string_equal(text, "NAME   STATE  WHY\n"
                              "hello  ready\n"
                              "pay\n"
                              "ünï    x      y\n");
    free(text);
    hd_table_done(&t);
    (void)state;
}

static void a_terminal_cuts_what_is_too_long_and_a_file_does_not(void **state)
{
    struct hd_table t;
    hd_table_init(&t, 2);
    hd_table_add(&t, HD_PLAIN, "key");
    hd_table_add(&t, HD_PLAIN, "01234567890123456789");
    char *cut = printed(&t, 20, true, false), *whole = printed(&t, 20, false, false);
    assert_string_equal(cut, "key  01234567890123…\n");
    assert_string_equal(whole, "key  01234567890123456789\n");
    free(cut);
    free(whole);
    hd_table_done(&t);
    (void)state;
}

static void cells_cannot_move_the_cursor(void **state)
{
    struct hd_table t;
    hd_table_init(&t, 1);
    hd_table_add(&t, HD_BAD, "a\033[2Jb\rc");
    char *plain = printed(&t, 40, false, false), *color = printed(&t, 40, true, true);
    assert_string_equal(plain, "a?[2Jb?c\n");
    assert_string_equal(color, "\033[31ma?[2Jb?c\033[0m\n");
    free(plain);
    free(color);
    hd_table_done(&t);
    (void)state;
}

static void colour_needs_a_terminal_and_no_objection(void **state)
{
    int master, slave;
    struct winsize size = {.ws_row = 24, .ws_col = 61};
    assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
    FILE *file = fdopen(slave, "w");
    struct hd_term t;
    char *xterm[] = {"TERM=xterm", NULL}, *dumb[] = {"TERM=dumb", NULL};
    char *no_color[] = {"TERM=xterm", "NO_COLOR=1", NULL};
    char *columns[] = {"TERM=xterm", "NO_COLOR=", "COLUMNS=44", NULL};
    hd_term_init(&t, file, xterm);
    assert_true(t.tty && t.color);
    assert_int_equal(t.width, 61);
    hd_term_init(&t, file, dumb);
    assert_false(t.color);
    hd_term_init(&t, file, no_color);
    assert_false(t.color);
    assert_string_equal(hd_term_on(&t, HD_BAD), "");
    hd_term_init(&t, file, columns);
    assert_true(t.color); /* an empty NO_COLOR is none */
    assert_int_equal(t.width, 44);
    fclose(file);
    close(master);
    FILE *null = fopen("/dev/null", "w");
    hd_term_init(&t, null, xterm);
    assert_false(t.tty || t.color);
    hd_term_init(&t, null, none);
    assert_int_equal(t.width, 80);
    fclose(null);
    (void)state;
}

static void every_command_explains_itself_within_the_width(void **state)
{
    static const unsigned widths[] = {72, 80, 100};
    for (size_t i = 0; i < HD_COUNT(widths); i++) {
        for (size_t k = 0; k <= hd_command_count; k++) {
            char *text = NULL;
            size_t len = 0;
            FILE *file = open_memstream(&text, &len);
            struct hd_term term = {.file = file, .width = widths[i]};
            const struct hd_command *c = k < hd_command_count ? &hd_commands[k] : NULL;
            hd_help_print(&term, c);
            fclose(file);
            struct hd_str rest = hd_str(text), line;
            while (hd_str_split(&line, &rest, '\n')) {
                /* a line to paste, and usage, are not broken */
                bool paste =
                    c != NULL && c->example != NULL && strstr(text, c->example) == line.ptr + 2;
                if (!paste && !hd_str_starts(line, hd_str("usage:")))
                    assert_in_range(hd_text_columns(line), 0, widths[i]);
            }
            free(text);
        }
    }
    (void)state;
}

static void commands_are_described_and_distinct(void **state)
{
    uint32_t seen = 0;
    for (size_t i = 0; i < hd_command_count; i++) {
        const struct hd_command *c = &hd_commands[i];
        assert_ptr_equal(hd_command_find(c->name), c);
        assert_non_null(c->run);
        assert_int_equal(seen & c->bit, 0);
        seen |= c->bit;
        for (size_t k = 0; c->options != NULL && k < *c->n_options; k++) {
            assert_int_equal(c->options[k].commands, c->bit);
            /* its own flag hides one of the node only where that one is not for this command */
            for (size_t n = 0; n < hd_node_option_count; n++) {
                const struct hd_option *o = &hd_node_option_table[n];
                if ((o->commands & c->bit) != 0 && o->flag != NULL)
                    assert_string_not_equal(o->flag, c->options[k].flag);
            }
        }
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_aligned_and_nothing_trails),
        cmocka_unit_test(a_terminal_cuts_what_is_too_long_and_a_file_does_not),
        cmocka_unit_test(cells_cannot_move_the_cursor),
        cmocka_unit_test(colour_needs_a_terminal_and_no_objection),
        cmocka_unit_test(every_command_explains_itself_within_the_width),
        cmocka_unit_test(commands_are_described_and_distinct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
