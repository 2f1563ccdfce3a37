/* manifest_keys.c - the table: every fact about a key of a manifest stands here and nowhere else.
 */
#include "functions/manifest.h"

#include <stdio.h>

#define SETTING(field) .offset = (int)offsetof(struct hd_settings, field)
#define TOP(key) .name = key, .path = key
#define IN(in, key) .group = in, .name = key, .path = in "." key
#define NO_SETTING .offset = HD_NOT_A_SETTING
#define RANGE(from, to) .min = (from), .max = (to)

enum { DAY_MS = 86400000 };

const struct hd_key_spec hd_key_specs[HD_KEY_COUNT] = {
    [HD_KEY_RUNTIME] = {TOP("runtime"), .kind = HD_KIND_CHOICE, .choices = "deno|node|python|http",
                        NO_SETTING, .restarts = true,
                        .help = "what runs the function; by default the entry's file name says it"},
    [HD_KEY_ENTRY] = {TOP("entry"), .kind = HD_KIND_TEXT, NO_SETTING, .restarts = true,
                      .help = "the entry file, relative to the function's folder"},
    [HD_KEY_HANDLER] = {TOP("handler"), .kind = HD_KIND_TEXT, NO_SETTING, .restarts = true,
                        .help = "the exported name to call, or `file.name` as AWS Lambda has it"},
    [HD_KEY_COMMAND] = {TOP("command"), .kind = HD_KIND_LIST, NO_SETTING, .restarts = true,
                        .help = "program and arguments that serve HTTP where `HEDDLE_SOCKET` or "
                                "`PORT` says; makes the runtime `http`"},
    [HD_KEY_HEALTH] = {TOP("health"), .kind = HD_KIND_TEXT, .fallback = "/", NO_SETTING,
                       .restarts = true,
                       .help = "`http` only: the path that is asked until it answers"},
    [HD_KEY_IMPORT_MAP] = {TOP("importMap"), .alias = "import_map", .kind = HD_KIND_TEXT,
                           NO_SETTING, .restarts = true,
                           .help = "import map or deno.json, relative to the function's folder"},
    [HD_KEY_ENABLED] = {TOP("enabled"), .kind = HD_KIND_BOOL, .fallback = "true", NO_SETTING,
                        .help = "`false`: the function is not served"},
    [HD_KEY_ENV] = {TOP("env"), .kind = HD_KIND_MAP, NO_SETTING, .restarts = true,
                    .help = "environment variables, names and texts; beats every env file"},
    [HD_KEY_TIMEOUT] = {TOP("timeoutMs"), .kind = HD_KIND_INT, RANGE(0, DAY_MS),
                        .fallback = "150000", SETTING(timeout_ms), .restarts = true,
                        .help = "time until the answer's head; 0: none"},
    [HD_KEY_STREAM_IDLE] = {TOP("streamIdleMs"), .kind = HD_KIND_INT, RANGE(0, DAY_MS),
                            .fallback = "0", SETTING(stream_idle_ms),
                            .help = "longest gap in a streamed answer; 0: none"},
    [HD_KEY_RPM] = {TOP("rpm"), .kind = HD_KIND_INT, RANGE(1, 100000000), .fallback = "120",
                    SETTING(rpm), .help = "requests a minute for one client"},
    [HD_KEY_BURST] = {TOP("burst"), .kind = HD_KIND_INT, RANGE(0, 100000000), .fallback = "0",
                      SETTING(burst), .help = "requests at once for one client; 0: as `rpm`"},
    [HD_KEY_MAX_BODY] = {TOP("maxBodyMB"), .kind = HD_KIND_MEGABYTE, .fallback = "30",
                         SETTING(body_limit_bytes),
                         .help = "largest request body; may have a fraction; `\"none\"`: no limit"},
    [HD_KEY_VERIFY_JWT] = {TOP("verify_jwt"), .alias = "verifyJwt", .kind = HD_KIND_BOOL,
                           .fallback = "true", SETTING(verify_jwt),
                           .help = "`false`: callers need no token (a public function)"},
    [HD_KEY_REQUIRE] = {TOP("require"), .kind = HD_KIND_WORDS, SETTING(require),
                        .help = "roles of which the caller needs one; `\"public\"`: as "
                                "`verify_jwt: false`"},
    [HD_KEY_CORS] = {TOP("cors"), .kind = HD_KIND_CHOICE, .choices = "gateway|function",
                     .fallback = "gateway", SETTING(cors),
                     .help = "who answers CORS; `function`: OPTIONS reaches the function"},
    [HD_KEY_CONCURRENCY] = {TOP("concurrency"), .kind = HD_KIND_INT, RANGE(0, 10000),
                            .fallback = "0", SETTING(concurrency),
                            .help = "requests at once in one instance; 0: as the runtime likes"},
    [HD_KEY_MIN_INSTANCES] = {TOP("minInstances"), .alias = "min_replicas", .kind = HD_KIND_INT,
                              RANGE(0, 1000), .fallback = "0", SETTING(min_instances),
                              .help = "instances that are kept warm"},
    [HD_KEY_MAX_INSTANCES] = {TOP("maxInstances"), .kind = HD_KIND_INT, RANGE(1, 1000),
                              .fallback = "8", SETTING(max_instances), .help = "instances at most"},
    [HD_KEY_IDLE] = {TOP("idleMs"), .kind = HD_KIND_INT, RANGE(0, 7 * DAY_MS), .fallback = "300000",
                     SETTING(idle_ms),
                     .help = "an instance without work for so long is stopped; 0: never"},
    [HD_KEY_WARM] = {TOP("warm"), .kind = HD_KIND_BOOL, .fallback = "false", NO_SETTING,
                     .help = "`true`: `minInstances` is at least 1"},
    [HD_KEY_QUEUE] = {TOP("queue"), .kind = HD_KIND_INT, RANGE(0, 1000000), .fallback = "1000",
                      SETTING(queue_max), .help = "requests that may wait for an instance"},
    [HD_KEY_MEMORY] = {TOP("memoryMB"), .kind = HD_KIND_INT, RANGE(0, 1048576), .fallback = "0",
                       SETTING(memory_mb), .restarts = true,
                       .help = "memory of one instance; 0: no limit"},
    [HD_KEY_CPU] = {TOP("cpuMs"), .kind = HD_KIND_INT, RANGE(0, DAY_MS), .fallback = "0",
                    SETTING(cpu_ms), .restarts = true,
                    .help = "CPU time in which an instance must finish a request; one that uses "
                            "more and finishes none is ended (502, `cpu_limit`); 0: no limit"},
    [HD_KEY_RECYCLE_REQUESTS] = {IN("recycle", "maxRequests"), .kind = HD_KIND_INT,
                                 RANGE(0, 1000000000), .fallback = "0", SETTING(recycle_requests),
                                 .help = "an instance is replaced after so many; 0: never"},
    [HD_KEY_RECYCLE_RSS] = {IN("recycle", "maxRssMB"), .kind = HD_KIND_INT, RANGE(0, 1048576),
                            .fallback = "0", SETTING(recycle_rss_mb),
                            .help = "an instance that grew beyond this is replaced; 0: never"},
    [HD_KEY_ERROR_RATE] = {IN("recycle", "errorRate"), .kind = HD_KIND_RATE, .fallback = "0.5",
                           SETTING(error_rate),
                           .help = "share of failures that opens the breaker; 0: no breaker"},
    [HD_KEY_ERROR_WINDOW] = {IN("recycle", "errorWindow"), .kind = HD_KIND_INT, RANGE(1, 10000),
                             .fallback = "20", SETTING(error_window),
                             .help = "requests that the share is taken of"},
    [HD_KEY_COOLDOWN] = {IN("recycle", "cooldownMs"), .kind = HD_KIND_INT, RANGE(1, DAY_MS),
                         .fallback = "30000", SETTING(cooldown_ms),
                         .help = "how long the breaker stays open the first time"},
    [HD_KEY_PROBES] = {IN("recycle", "halfOpenProbes"), .kind = HD_KIND_INT, RANGE(1, 100),
                       .fallback = "1", SETTING(half_open_probes),
                       .help = "trial requests at once after that"},
    [HD_KEY_NET] = {IN("permissions", "net"), .kind = HD_KIND_LIST, SETTING(allow_net),
                    .restarts = true,
                    .help = "where it may connect to: `host`, `host:port`, `*.domain`, address or "
                            "network; `*`: everywhere"},
    [HD_KEY_ALLOW_ENV] = {IN("permissions", "env"), .kind = HD_KIND_LIST, SETTING(allow_env),
                          .restarts = true,
                          .help = "variables of the gateway's environment and the shared env files "
                                  "that it gets; `*`: all but the reserved ones"},
    [HD_KEY_READ] = {IN("permissions", "read"), .kind = HD_KIND_LIST, SETTING(allow_read),
                     .restarts = true,
                     .help = "paths it may read, relative to its folder; `*`: all"},
    [HD_KEY_WRITE] = {IN("permissions", "write"), .kind = HD_KIND_LIST, SETTING(allow_write),
                      .restarts = true,
                      .help = "paths it may write, relative to its folder; `*`: all"},
};

static void describe_kind(struct hd_buf *out, const struct hd_key_spec *k)
{
    switch (k->kind) {
    case HD_KIND_TEXT:
        return hd_buf_cstr(out, "text");
    case HD_KIND_CHOICE: {
        struct hd_str rest = hd_str(k->choices), one;
        for (const char *between = ""; hd_str_split(&one, &rest, '|'); between = ", ")
            hd_buf_fmt(out, "%s`\"%.*s\"`", between, HD_FMT(one));
        return;
    }
    case HD_KIND_BOOL:
        return hd_buf_cstr(out, "true or false");
    case HD_KIND_INT:
        return hd_buf_fmt(out, "%lld to %lld", (long long)k->min, (long long)k->max);
    case HD_KIND_RATE:
        return hd_buf_cstr(out, "0 to 1");
    case HD_KIND_MEGABYTE:
        return hd_buf_cstr(out, "above 0, or `\"none\"`");
    case HD_KIND_LIST:
        return hd_buf_cstr(out, "list of texts");
    case HD_KIND_WORDS:
        return hd_buf_cstr(out, "text or list of texts");
    case HD_KIND_MAP:
        return hd_buf_cstr(out, "object of texts");
    }
}

void hd_manifest_reference_md(struct hd_buf *out)
{
    hd_buf_cstr(out, "| key | value | default | what it does |\n|---|---|---|---|\n");
    for (size_t i = 0; i < HD_KEY_COUNT; i++) {
        const struct hd_key_spec *k = &hd_key_specs[i];
        hd_buf_fmt(out, "| `%s` | ", k->path);
        describe_kind(out, k);
        hd_buf_fmt(out, " | %s | %s", k->fallback != NULL ? k->fallback : "", k->help);
        if (k->alias != NULL)
            hd_buf_fmt(out, " (also written `%s`)", k->alias);
        hd_buf_cstr(out, " |\n");
    }
}
