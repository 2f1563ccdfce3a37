/* logs.c - `heddle logs`: lines of a running node, one JSON object each, from its admin socket. */
#include "cli/commands.h"

#include "cli/fetch.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <time.h>

enum level { ANY, DEBUG, INFO, WARN, ERROR };
static const char *const levels[] = {"any", "debug", "info", "warn", "error", NULL};

struct logs_values {
    bool follow, json;
    char *function;
    enum level level;
    uint32_t lines;
};
#define AT(field) .offset = offsetof(struct logs_values, field)
#define OWN .no_file = true, .group = "Options", .commands = HD_CMD_LOGS

/* A table, laid out by hand. */
/* clang-format off */
const struct hd_option hd_logs_options[] = {
    {.key = "follow", .flag = "follow", .letter = 'f', .kind = HD_OPTION_BOOL, AT(follow), OWN,
     .help = "Wait for more, until Ctrl-C"},
    {.key = "function", .flag = "function", .kind = HD_OPTION_STR, AT(function), OWN,
     .arg = "NAME", .help = "Lines of this function only"},
    {.key = "level", .flag = "level", .kind = HD_OPTION_ENUM, .words = levels, AT(level), OWN,
     .fallback = "any", .help = "Lines of this level and above"},
    {.key = "lines", .flag = "lines", .letter = 'n', .kind = HD_OPTION_U32, .max = 100000,
     AT(lines), OWN, .fallback = "100", .help = "How many of the latest lines, without --follow"},
    {.key = "json", .flag = "json", .kind = HD_OPTION_BOOL, AT(json), OWN,
     .help = "For programs: the objects as they come"},
};
/* clang-format on */
const size_t hd_logs_options_n = HD_COUNT(hd_logs_options);

enum { LINE_MAX_BYTES = 1 << 20, SHORT_WAIT_MS = 10000 };

struct reader {
    struct hd_cli *cli;
    const struct logs_values *values;
    unsigned status;
    struct hd_buf line;
    char **kept; /* the latest lines, in a ring, until all are there */
    size_t n_kept, next;
};

/* Text of a function: what could move the cursor is not printed; further lines stand below. */
static void print_safe(FILE *file, const char *text)
{
    struct hd_str rest = hd_str(text), line;
    struct hd_buf b;
    hd_buf_init(&b, (size_t)4 * LINE_MAX_BYTES);
    for (bool first = true; hd_str_split(&line, &rest, '\n'); first = false) {
        if (!first)
            hd_buf_cstr(&b, line.len > 0 ? "\n      " : "");
        hd_buf_printable(&b, line);
    }
    fwrite(b.ptr, 1, b.len, file);
    hd_buf_done(&b);
}

static void print_time(struct hd_term *t, const json_t *ts)
{
    char text[32] = "";
    if (json_is_integer(ts)) { /* milliseconds since 1970 */
        time_t seconds = (time_t)(json_integer_value(ts) / 1000);
        struct tm tm;
        localtime_r(&seconds, &tm);
        strftime(text, sizeof(text), "%H:%M:%S", &tm);
        fprintf(t->file, "%s%s.%03d%s ", hd_term_on(t, HD_DIM), text,
                (int)(json_integer_value(ts) % 1000), hd_term_off(t));
    }
}

static void print_rest(struct hd_term *t, json_t *record)
{
    static const char *const shown[] = {"tsMs", "level", "message", "fn", "id"};
    const char *key;
    json_t *value;
    json_object_foreach(record, key, value)
    {
        bool skip = json_is_null(value);
        for (size_t i = 0; i < HD_COUNT(shown); i++)
            skip = skip || strcmp(key, shown[i]) == 0;
        char *text = !skip && !json_is_string(value) ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
        if (skip)
            continue;
        fprintf(t->file, " %s%s=%s", hd_term_on(t, HD_DIM), key, hd_term_off(t));
        print_safe(t->file, text != NULL ? text : json_string_value(value));
        free(text);
    }
}

static void print_record(struct reader *r, struct hd_str line)
{
    struct hd_term *t = &r->cli->out;
    json_t *record = json_loadb(line.ptr, line.len, 0, NULL);
    if (!json_is_object(record) || r->values->json) {
        fprintf(t->file, "%.*s\n", HD_FMT(line));
        json_decref(record);
        return;
    }
    const char *level = json_string_value(json_object_get(record, "level"));
    const char *name = json_string_value(json_object_get(record, "fn"));
    const char *msg = json_string_value(json_object_get(record, "message"));
    level = level != NULL ? level : "info";
    enum hd_style style = strcmp(level, "error") == 0  ? HD_BAD
                          : strcmp(level, "warn") == 0 ? HD_NOTE
                                                       : HD_PLAIN;
    print_time(t, json_object_get(record, "tsMs"));
    fprintf(t->file, "%s%-5.5s%s ", hd_term_on(t, style), level, hd_term_off(t));
    if (name != NULL) {
        fputs(hd_term_on(t, HD_BOLD), t->file);
        print_safe(t->file, name);
        fprintf(t->file, "%s ", hd_term_off(t));
    }
    print_safe(t->file, msg != NULL ? msg : "");
    print_rest(t, record);
    fputc('\n', t->file);
    json_decref(record);
}

/* With --follow a line is printed when it comes; else only the last ones are, at the end. */
static void take_line(struct reader *r, struct hd_str line)
{
    size_t room = r->values->lines;
    if (r->values->follow) {
        print_record(r, line);
        return;
    }
    if (room == 0)
        return;
    if (r->kept == NULL)
        r->kept = hd_new_array(char *, room);
    free(r->kept[r->next]);
    r->kept[r->next] = hd_strdup_n(line);
    r->next = (r->next + 1) % room;
    r->n_kept = HD_MIN(r->n_kept + 1, room);
}

static void print_kept(struct reader *r)
{
    size_t room = r->values->lines;
    for (size_t i = 0; i < r->n_kept; i++) {
        size_t at = (r->next + room - r->n_kept + i) % room;
        print_record(r, hd_str(r->kept[at]));
        free(r->kept[at]);
    }
    free(r->kept);
}

static void on_status(void *arg, unsigned status, const char *reason)
{
    struct reader *r = arg;
    r->status = status;
    (void)reason;
}

static bool on_body(void *arg, struct hd_str bytes)
{
    struct reader *r = arg;
    if (r->status != 200)
        return true;
    while (bytes.len > 0) {
        size_t end = hd_str_find(bytes, '\n');
        hd_buf_add(&r->line, bytes.ptr, end);
        if (end == bytes.len)
            break;
        if (r->line.len > 0 && !hd_buf_failed(&r->line))
            take_line(r, hd_buf_view(&r->line));
        hd_buf_clear(&r->line);
        bytes = hd_str_n(bytes.ptr + end + 1, bytes.len - end - 1);
    }
    return fflush(r->cli->out.file) == 0;
}

static int logs(struct hd_cli *cli, const struct hd_node_options *opt, const struct logs_values *v)
{
    struct reader r = {.cli = cli, .values = v};
    struct hd_error err = {0};
    if (v->function != NULL &&
        v->function[strspn(v->function, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                        "0123456789_-")] != '\0')
        return hd_cli_usage(cli, "--function: \"%.60s\" cannot be a function's name", v->function);
    hd_buf_init(&r.line, LINE_MAX_BYTES);
    hd_auto_free char *url =
        hd_printf("http://localhost/heddle/logs?follow=%d%s%s%s%s", v->follow,
                  v->function != NULL ? "&function=" : "", v->function != NULL ? v->function : "",
                  v->level != ANY ? "&level=" : "", v->level != ANY ? levels[v->level] : "");
    struct hd_fetch request = {.socket = opt->admin_socket,
                               .url = url,
                               .method = "GET",
                               .body_fd = -1,
                               .timeout_ms = v->follow ? 0 : SHORT_WAIT_MS,
                               .on_status = on_status,
                               .on_body = on_body,
                               .arg = &r};
    int status = hd_fetch_send(&request, &err);
    print_kept(&r);
    hd_buf_done(&r.line);
    if (status == 200)
        return HD_EXIT_OK;
    if (status == HD_ENOTFOUND)
        return hd_cli_fail(cli, HD_EXIT_OFFLINE,
                           "no node runs here: nobody answers at %s; start one with `heddle dev`, "
                           "or name its folder with --data-dir",
                           opt->admin_socket);
    if (status == HD_ECANCELED)
        return hd_cli_fail(cli, HD_EXIT_FAILED, "cannot write: %s", strerror(errno));
    if (status < 0)
        return hd_cli_fail(cli, HD_EXIT_FAILED, "%s", err.msg);
    return hd_cli_fail(cli, HD_EXIT_FAILED, "%s: the node answered %d", opt->admin_socket, status);
}

int hd_cmd_logs(struct hd_cli *cli)
{
    struct logs_values values = {0};
    struct hd_parsed p;
    int code = hd_cli_parse(cli, &p, &values, 0);
    if (code < 0)
        code = logs(cli, &p.opt, &values);
    hd_parsed_done(&p);
    return code;
}
