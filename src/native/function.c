/* hd_function_main(): whom to serve is said by the environment. */
#include "native/native.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { EX_USAGE = 64, TOKEN_CHARS = 32, STDIN_MAX = 64 << 20 };

/* Take a variable out of the environment. @return a copy for the caller to free, or NULL. */
static char *take_variable(const char *name)
{
    char *value = hd_strdup(getenv(name));
    if (value != NULL)
        unsetenv(name);
    return value;
}

static int init(struct hd_native *fn, struct hd_error *err)
{
    if (fn->opt.on_init == NULL || fn->opt.on_init(fn->opt.arg, err) >= 0)
        return 0;
    if (err->msg[0] == '\0')
        hd_fail(err, HD_EINVAL, "the function's init failed");
    hd_native_log_write(&fn->log, HD_FUNCTION_ERROR, NULL, hd_str(err->msg));
    return -1;
}

// By hand ----------------------------------------------------------------------------------------

static const struct hd_reply_form terminal = {.bare = true};
static const struct hd_event_fields no_fields = {0};

static int read_stdin(struct hd_buf *b)
{
    ssize_t n;
    do {
        char *at = hd_buf_reserve(b, 64 << 10);
        if (at == NULL)
            return -1;
        n = read(STDIN_FILENO, at, 64 << 10);
        hd_buf_commit(b, n > 0 ? (size_t)n : 0);
    } while (n > 0);
    hd_buf_add(b, "", 1);
    return hd_buf_failed(b) ? -1 : 0;
}

static int answer_once(struct hd_native *fn, int argc, char **argv)
{
    struct hd_error err = {0};
    struct hd_buf input;
    hd_buf_init(&input, STDIN_MAX);
    if (argc < 2 && read_stdin(&input) < 0) {
        fprintf(stderr, "%s: the event on standard input is longer than %d bytes\n", argv[0],
                STDIN_MAX);
        hd_buf_done(&input);
        return EX_USAGE;
    }
    struct hd_str text = argc >= 2 ? hd_str(argv[1]) : hd_str_n(input.ptr, input.len - 1);
    if (text.len == 0)
        text = hd_str("{}");
    struct hd_event_decoded decoded = {0};
    struct hd_event event = {
        .function = fn, .body = text, .id = "", .fields = &no_fields, .decoded = &decoded};
    struct hd_reply reply;
    hd_reply_init(&reply, &terminal);
    int rc = init(fn, &err);
    if (rc == 0)
        rc = hd_native_run(fn, &event, &reply, STDOUT_FILENO);
    bool failed = rc < 0 || reply.error.len > 0;
    hd_reply_done(&reply);
    hd_buf_done(&input);
    return failed ? 1 : 0;
}

// Serving ----------------------------------------------------------------------------------------

static bool is_token(const char *s)
{
    return s != NULL && strlen(s) == TOKEN_CHARS && strspn(s, "0123456789abcdef") == TOKEN_CHARS;
}

static int wrong(const char *program, const char *what)
{
    fprintf(stderr, "%s: %s\n", program, what);
    return EX_USAGE;
}

static int serve_host(struct hd_native *fn, const char *path, const char *port, const char *token,
                      const char *program)
{
    struct hd_serve_options opt = {.path = path, .token = token, .ready_fd = -1};
    uint64_t number = 0;
    if (path == NULL && (hd_str_to_u64(&number, hd_str(port)) < 0 || number == 0 || number > 65535))
        return wrong(program, "PORT: must be a number from 1 to 65535");
    if (token != NULL && !is_token(token))
        return wrong(program, "HEDDLE_HOST_TOKEN: must be 32 hex digits");
    opt.port = (uint16_t)number;
    if (token == NULL) {
        struct hd_error err = {0};
        if (init(fn, &err) < 0)
            return 1;
        opt.loaded = true;
    }
    return hd_native_serve(fn, &opt);
}

/* Serve as a Lambda function: by the shorter way where it is offered, else by the Runtime API. */
static int serve_lambda(struct hd_native *fn, const char *api, const char *path, const char *token,
                        const char *ready)
{
    struct hd_error err = {0};
    uint64_t fd;
    bool direct =
        path != NULL && is_token(token) && hd_str_to_u64(&fd, hd_str(ready)) == 0 && fd < 1 << 20;
    hd_native_log_init(&fn->log, direct ? token : NULL, true);
    if (init(fn, &err) < 0) {
        if (api != NULL)
            hd_native_rapi_init_error(fn, api, &err);
        return 1;
    }
    if (!direct)
        return hd_native_rapi(fn, api);
    struct hd_serve_options opt = {
        .path = path, .token = token, .ready_fd = (int)fd, .loaded = true};
    return hd_native_serve(fn, &opt);
}

static int serve(struct hd_native *fn, int argc, char **argv)
{
    hd_auto_free char *direct = take_variable("HEDDLE_DIRECT_SOCKET");
    hd_auto_free char *direct_token = take_variable("HEDDLE_DIRECT_TOKEN");
    hd_auto_free char *direct_fd = take_variable("HEDDLE_DIRECT_FD");
    const char *api = getenv("AWS_LAMBDA_RUNTIME_API"); /* extensions inside want it as well */
    if (direct != NULL)
        return serve_lambda(fn, api, direct, direct_token, direct_fd);

    hd_auto_free char *path = take_variable("HEDDLE_SOCKET");
    hd_auto_free char *port = take_variable("PORT");
    hd_auto_free char *token = take_variable("HEDDLE_HOST_TOKEN");
    if (path != NULL || port != NULL) {
        hd_native_log_init(&fn->log, is_token(token) ? token : NULL, false);
        return serve_host(fn, path, port, token, argv[0]);
    }
    if (api != NULL)
        return serve_lambda(fn, api, NULL, NULL, NULL);
    hd_native_log_init(&fn->log, NULL, false);
    return answer_once(fn, argc, argv);
}

int hd_function_main(int argc, char **argv, hd_function_fn handler,
                     const struct hd_function_options *opt)
{
    const char *program = argc > 0 ? argv[0] : "function";
    if (handler == NULL)
        return wrong(program, "hd_function_main(): there is no handler");
    if (opt != NULL && opt->version != HD_FUNCTION_OPTIONS)
        return wrong(program, "hd_function_main(): options.version must be HD_FUNCTION_OPTIONS");
    struct hd_native fn = {.handler = handler};
    if (opt != NULL)
        fn.opt = *opt;
    if (fn.opt.max_event_bytes == 0)
        fn.opt.max_event_bytes = HD_NATIVE_EVENT_MAX;
    signal(SIGPIPE, SIG_IGN); /* a caller that leaves is an error code, not the end */
    int code = serve(&fn, argc, argv);
    if (fn.opt.on_exit != NULL)
        fn.opt.on_exit(fn.opt.arg);
    return code;
}
