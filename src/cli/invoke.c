/* invoke.c - `heddle invoke NAME`: one request to a function; its body to stdout as it comes. */
#include "cli/commands.h"

#include "cli/fetch.h"
#include "core/clock.h"
#include "node/devkeys.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct invoke_values {
    char *body, *file, *method, *path, *url, *token;
    struct hd_option_list headers;
    bool service, include;
    uint32_t timeout_ms;
};
#define AT(field) .offset = offsetof(struct invoke_values, field)
#define OWN .no_file = true, .group = "Options", .commands = HD_CMD_INVOKE

/* A table, laid out by hand. */
/* clang-format off */
const struct hd_option hd_invoke_options[] = {
    {.key = "body", .flag = "body", .letter = 'd', .kind = HD_OPTION_STR, AT(body), OWN,
     .help = "Body of the request; makes it a POST with content-type application/json"},
    {.key = "file", .flag = "file", .kind = HD_OPTION_STR, AT(file), OWN, .arg = "FILE",
     .help = "The same, from a file, streamed; - is stdin"},
    {.key = "header", .flag = "header", .letter = 'H', .kind = HD_OPTION_LIST, .whole = true,
     AT(headers), OWN, .arg = "'K: V'", .help = "A header field; may be repeated"},
    {.key = "method", .flag = "method", .letter = 'X', .kind = HD_OPTION_STR, AT(method), OWN,
     .arg = "METHOD", .help = "GET, POST, ...; without it POST with a body, else GET"},
    {.key = "path", .flag = "path", .kind = HD_OPTION_STR, AT(path), OWN, .arg = "/X?Q",
     .help = "What follows the name in the URL"},
    {.key = "url", .flag = "url", .env = "HEDDLE_URL", .kind = HD_OPTION_STR, AT(url), OWN,
     .arg = "URL", .help = "Where the node is; without it as --host and --port say"},
    {.key = "token", .flag = "token", .env = "HEDDLE_TOKEN", .kind = HD_OPTION_STR, .secret = true,
     AT(token), OWN, .arg = "TOKEN",
     .help = "Bearer token; others on this machine can read a command line, so better use the "
             "variable"},
    {.key = "service", .flag = "service", .kind = HD_OPTION_BOOL, AT(service), OWN,
     .help = "Call with the service key"},
    {.key = "include", .flag = "include", .letter = 'i', .kind = HD_OPTION_BOOL, AT(include), OWN,
     .help = "Show the header fields of the answer, on stderr"},
    {.key = "timeout", .flag = "timeout", .kind = HD_OPTION_MS, .min = 1, .zero = "none",
     AT(timeout_ms), OWN, .fallback = "300000", .help = "For the whole answer, in milliseconds"},
};
/* clang-format on */
const size_t hd_invoke_options_n = HD_COUNT(hd_invoke_options);

enum { FIELDS_MAX = 68 };

struct answer {
    struct hd_cli *cli;
    bool include;
    uint64_t start_ms;
};

static void on_status(void *arg, unsigned status, const char *reason)
{
    struct answer *a = arg;
    struct hd_term *t = &a->cli->err;
    fprintf(t->file, "%sHTTP %u%s%s%s %s(%llu ms)%s\n",
            hd_term_on(t, status < 400 ? HD_GOOD : HD_BAD), status, *reason != '\0' ? " " : "",
            reason, hd_term_off(t), hd_term_on(t, HD_DIM),
            (unsigned long long)(hd_clock_ms() - a->start_ms), hd_term_off(t));
}

static void on_field(void *arg, struct hd_str line)
{
    struct answer *a = arg;
    if (!a->include)
        return;
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.ptr[i];
        fputc(c < 0x20 || c == 0x7f ? '?' : c, a->cli->err.file);
    }
    fputc('\n', a->cli->err.file);
}

static bool on_body(void *arg, struct hd_str bytes)
{
    struct answer *a = arg;
    FILE *file = a->cli->out.file;
    return fwrite(bytes.ptr, 1, bytes.len, file) == bytes.len && fflush(file) == 0;
}

/* Where the node listens, as a client writes it: an address for "all" is not one to call. */
static char *base_url(const struct hd_node_options *opt)
{
    const char *host = opt->host;
    if (strcmp(host, "0.0.0.0") == 0)
        host = "127.0.0.1";
    else if (strcmp(host, "::") == 0)
        host = "::1";
    bool v6 = strchr(host, ':') != NULL;
    return hd_printf("http://%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "", opt->port);
}

static bool is_loopback(const char *url)
{
    static const char *const here[] = {"http://127.",  "http://localhost",  "http://[::1]",
                                       "https://127.", "https://localhost", "https://[::1]"};
    for (size_t i = 0; i < HD_COUNT(here); i++) {
        size_t len = strlen(here[i]);
        bool whole =
            here[i][len - 1] == '.' || url[len] == ':' || url[len] == '/' || url[len] == '\0';
        if (strncmp(url, here[i], len) == 0 && whole)
            return true;
    }
    return false;
}

/* "127.": digits and dots up to the port, so that 127.evil.example is no loopback. */
static bool is_numeric(const char *url)
{
    const char *host = strstr(url, "//127.");
    for (const char *c = host != NULL ? host + 2 : ""; *c != '\0' && *c != ':' && *c != '/'; c++) {
        if (!isdigit((unsigned char)*c) && *c != '.')
            return false;
    }
    return true;
}

/* @return 0 and a bearer token (NULL: none), or an exit code. */
static int find_token(char **token, struct hd_cli *cli, const struct invoke_values *v,
                      const struct hd_node_options *opt, const char *url)
{
    struct hd_devkeys keys = {0};
    struct hd_error err = {0};
    *token = NULL;
    if (v->token != NULL && v->service)
        return hd_cli_usage(cli, "--token and --service exclude each other");
    if (v->token != NULL || (v->service && opt->service_keys.n > 0)) {
        *token = hd_strdup(v->token != NULL ? v->token : opt->service_keys.items[0]);
        return 0;
    }
    bool here = is_loopback(url) && is_numeric(url);
    int rc = here ? hd_devkeys_load(&keys, opt->data_dir, NULL, false, &err) : HD_ENOTFOUND;
    if (rc == 0)
        *token = hd_strdup(v->service ? keys.service_key : keys.anon_key);
    hd_devkeys_done(&keys);
    if (rc < 0 && rc != HD_ENOTFOUND)
        return hd_cli_fail(cli, HD_EXIT_CONFIG, "%s", err.msg);
    if (rc < 0 && v->service)
        return hd_cli_fail(cli, HD_EXIT_CONFIG,
                           "--service: there is no service key: set HEDDLE_SERVICE_KEYS, or run "
                           "`heddle dev` here, which makes one");
    return 0;
}

static bool has_field(const struct hd_option_list *headers, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < headers->n; i++) {
        struct hd_str h = hd_str(headers->items[i]);
        if (h.len > len && h.ptr[len] == ':' && hd_str_is_nocase(hd_str_n(h.ptr, len), name))
            return true;
    }
    return false;
}

static int check(struct hd_cli *cli, const struct invoke_values *v, const char *name)
{
    if (v->body != NULL && v->file != NULL)
        return hd_cli_usage(cli, "there can be only one body: --body, --file or -");
    if (v->path != NULL && v->path[0] != '/' && v->path[0] != '?')
        return hd_cli_usage(cli, "--path: must begin with / or ?, not \"%.60s\"", v->path);
    for (const char *c = v->path != NULL ? v->path : ""; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || *c == '#')
            return hd_cli_usage(cli, "--path: write blanks and # as %%20 and %%23");
    }
    if (name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] !=
        '\0')
        return hd_cli_usage(cli, "\"%.60s\" cannot be a function's name; the path goes to --path",
                            name);
    if (v->headers.n + 3 > FIELDS_MAX)
        return hd_cli_usage(cli, "more than %d header fields", FIELDS_MAX - 3);
    for (size_t i = 0; i < v->headers.n; i++) {
        const char *h = v->headers.items[i], *colon = strchr(h, ':');
        if (colon == NULL || colon == h)
            return hd_cli_usage(cli, "--header: must be 'name: value', not \"%.60s\"", h);
    }
    for (const char *c = v->method != NULL ? v->method : ""; *c != '\0'; c++) {
        if (!isalpha((unsigned char)*c))
            return hd_cli_usage(cli, "--method: \"%.30s\" is not a method", v->method);
    }
    return 0;
}

static int exit_of(struct hd_cli *cli, int status, const struct hd_error *err)
{
    if (status >= 400)
        return HD_EXIT_HTTP;
    if (status >= 0)
        return HD_EXIT_OK;
    if (status == HD_ECANCELED)
        return hd_cli_fail(cli, HD_EXIT_FAILED, "cannot write the answer: %s", strerror(errno));
    if (status == HD_EINVAL)
        return hd_cli_usage(cli, "--url: %s", err->msg);
    if (status == HD_ENOTFOUND)
        return hd_cli_fail(cli, HD_EXIT_OFFLINE, "%s; is a node running? `heddle dev` starts one",
                           err->msg);
    return hd_cli_fail(cli, HD_EXIT_FAILED, "%s", err->msg);
}

static int send(struct hd_cli *cli, const struct invoke_values *v,
                const struct hd_node_options *opt, const char *url, int body_fd)
{
    const char *fields[FIELDS_MAX] = {NULL};
    struct hd_error err = {0};
    size_t n = 0;
    char *token = NULL;
    bool has_body = v->body != NULL || body_fd >= 0;
    int code = find_token(&token, cli, v, opt, url);
    if (code != 0)
        return code;
    for (size_t i = 0; i < v->headers.n; i++)
        fields[n++] = v->headers.items[i];
    if (has_body && !has_field(&v->headers, "content-type"))
        fields[n++] = "content-type: application/json";
    hd_auto_free char *bearer = token != NULL ? hd_printf("authorization: Bearer %s", token) : NULL;
    if (bearer != NULL && !has_field(&v->headers, "authorization"))
        fields[n++] = bearer;
    struct answer answer = {.cli = cli, .include = v->include, .start_ms = hd_clock_ms()};
    struct hd_fetch request = {.url = url,
                               .method = v->method != NULL ? v->method
                                         : has_body        ? "POST"
                                                           : "GET",
                               .fields = fields,
                               .body = hd_str(v->body),
                               .has_body = v->body != NULL,
                               .body_fd = body_fd,
                               .timeout_ms = v->timeout_ms,
                               .on_status = on_status,
                               .on_field = on_field,
                               .on_body = on_body,
                               .arg = &answer};
    int status = hd_fetch_send(&request, &err);
    if (bearer != NULL) {
        explicit_bzero(bearer, strlen(bearer));
        explicit_bzero(token, strlen(token));
    }
    free(token);
    if (status >= 0 && cli->out.tty)
        fputc('\n', cli->out.file);
    return exit_of(cli, status, &err);
}

static int invoke(struct hd_cli *cli, struct hd_parsed *p, struct invoke_values *v)
{
    if (p->n_words == 0)
        return hd_cli_usage(cli, "which function?");
    bool from_stdin = p->n_words > 1 && strcmp(p->words[1], "-") == 0;
    if (p->n_words > 1 && !from_stdin)
        return hd_cli_usage(cli, "unexpected argument \"%.60s\"", p->words[1]);
    if (from_stdin && (v->file != NULL || v->body != NULL))
        return hd_cli_usage(cli, "there can be only one body: --body, --file or -");
    int code = check(cli, v, p->words[0]);
    if (code != 0)
        return code;
    int fd = -1;
    if (from_stdin || (v->file != NULL && strcmp(v->file, "-") == 0))
        fd = STDIN_FILENO;
    else if (v->file != NULL && (fd = open(v->file, O_RDONLY | O_CLOEXEC)) < 0)
        return hd_cli_fail(cli, HD_EXIT_NOINPUT, "%s: %s", v->file, strerror(errno));
    hd_auto_free char *base = v->url != NULL ? hd_strdup(v->url) : base_url(&p->opt);
    for (size_t len = strlen(base); len > 0 && base[len - 1] == '/'; len--)
        base[len - 1] = '\0';
    hd_auto_free char *url = hd_printf("%s%s/%s%s", base, p->opt.route_prefix, p->words[0],
                                       v->path != NULL ? v->path : "");
    code = send(cli, v, &p->opt, url, fd);
    if (fd > STDERR_FILENO)
        close(fd);
    return code;
}

int hd_cmd_invoke(struct hd_cli *cli)
{
    struct invoke_values values = {0};
    struct hd_parsed p;
    int code = hd_cli_parse(cli, &p, &values, 2);
    if (code < 0)
        code = invoke(cli, &p, &values);
    hd_parsed_done(&p);
    return code;
}
