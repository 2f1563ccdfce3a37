/* version.c - `heddle version`. */
#include "cli/commands.h"
#include "http/curl.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <sys/utsname.h>
#include <uv.h>
#include <yaml.h>

struct version_values {
    bool json;
};
const struct hd_option hd_version_options[] = {
    {.key = "json",
     .flag = "json",
     .kind = HD_OPTION_BOOL,
     .offset = offsetof(struct version_values, json),
     .no_file = true,
     .group = "Options",
     .help = "For programs: one JSON object",
     .commands = HD_CMD_VERSION},
};
const size_t hd_version_options_n = HD_COUNT(hd_version_options);

static void print_json(FILE *file)
{
    struct utsname os = {0};
    struct hd_buf out;
    const char *const pairs[][2] = {
        {"libuv", uv_version_string()},
        {"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)},
        {"jansson", jansson_version_str()},
        {"libyaml", yaml_get_version_string()},
        {"curl", hd_curl_load(NULL) != NULL ? hd_curl()->version() : "none"},
    };
    uname(&os);
    hd_buf_init(&out, 1 << 16);
    hd_buf_cstr(&out, "{\"version\": \"" HD_VERSION "\", \"compiler\": ");
    hd_buf_json(&out, hd_str(__VERSION__));
    hd_buf_cstr(&out, ", \"system\": ");
    hd_buf_json(&out, hd_str(os.sysname));
    hd_buf_cstr(&out, ", \"kernel\": ");
    hd_buf_json(&out, hd_str(os.release));
    hd_buf_cstr(&out, ", \"machine\": ");
    hd_buf_json(&out, hd_str(os.machine));
    hd_buf_cstr(&out, ", \"libraries\": {");
    for (size_t i = 0; i < HD_COUNT(pairs); i++) {
        hd_buf_fmt(&out, "%s\"%s\": ", i > 0 ? ", " : "", pairs[i][0]);
        hd_buf_json(&out, hd_str(pairs[i][1]));
    }
    fprintf(file, "%.*s}}\n", HD_FMT(hd_buf_view(&out)));
    hd_buf_done(&out);
}

int hd_cmd_version(struct hd_cli *cli)
{
    struct version_values values = {0};
    struct hd_parsed p;
    int code = hd_cli_parse(cli, &p, &values, 0);
    hd_parsed_done(&p);
    if (code >= 0)
        return code;
    if (values.json)
        print_json(cli->out.file);
    else
        fprintf(cli->out.file, "%s\n", HD_VERSION);
    return HD_EXIT_OK;
}
