#include "core/base.h"
#include "core/exit.h"
#include "node/node.h"
#include "node/devkeys.h"
#include "pool/sandbox.h"
#include <stdio.h>
#include <unistd.h>
extern char **environ;
int main(int argc, char **argv)
{
    if (strcmp(argv[0], HD_SANDBOX_ARGV0) == 0)
        return hd_sandbox_main(argc, argv);
    struct hd_node_options opt = {0};
    char cwd[4096]; char *words[8];
    bool dev = argc > 1 && strcmp(argv[1], "dev") == 0;
    struct hd_node_sources src = {.command = dev ? HD_CMD_DEV : HD_CMD_SERVE, .argc = argc - 2, .argv = argv + 2, .env = environ, .cwd = getcwd(cwd, sizeof cwd), .usage = "x", .words = words, .max_words = 8, .first_is_dir = true};
    struct hd_error err = {0};
    if (hd_node_options_load(&opt, &src, &err) < 0) { fprintf(stderr, "%s\n", err.msg); return src.exit_code; }
    bool created; if (hd_devkeys_apply(&opt, &created, &err) < 0) { fprintf(stderr, "%s\n", err.msg); return 78; }
    struct hd_log *log; struct hd_log_options lo = {.fd = 1, .level = opt.log_level, .format = opt.log_format, .color = isatty(1), .flush_ms = opt.log_buffer_ms, .max_bytes = 4 << 20};
    hd_log_new(&log, &lo, NULL);
    int code = hd_node_run(&opt, environ, log, &err);
    hd_log_free(log);
    if (code) fprintf(stderr, "heddle: %s\n", err.msg);
    hd_node_options_done(&opt);
    return code;
}
