#include "instance_rig.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Runs what the event says; what comes of it, or an error's code, is the result. */
const char rig_evaluator[] =
    "const fs = require('fs'), os = require('os'), cp = require('child_process');\n"
    "exports.handler = async (event) => {\n"
    "  try { return String(await eval(event.code)); }\n"
    "  catch (e) { return e.code ?? String(e); }\n"
    "};\n";

static char *path_of(struct rig *r, const char *name)
{
    return hd_printf("%s/%s", r->bundles, name);
}

void rig_put(struct rig *r, const char *name, const char *text, mode_t mode)
{
    hd_auto_free char *path = path_of(r, name);
    for (char *p = path + strlen(r->bundles) + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
        *p = '/';
    }
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

void rig_set(struct rig *r, struct lambda *l, const char *runtime, const char *id)
{
    *l = (struct lambda){.lambda = {.runtime_id = id,
                                    .architecture = "x86_64",
                                    .account = "000000000000",
                                    .region = "us-east-1",
                                    .arn = "arn:aws:lambda:us-east-1:000000000000:function:f",
                                    .name = "f",
                                    .qualifier = "$LATEST",
                                    .log_group = "/aws/lambda/f",
                                    .init_timeout_ms = 8000}};
    snprintf(l->code, sizeof(l->code), "%s/f/code", r->bundles);
    l->lambda.code_dir = l->code;
    l->what = (struct hd_launch){.function = "f",
                                 .version = "00",
                                 .runtime = runtime,
                                 .root = r->functions,
                                 .handler = "index.handler",
                                 .timeout_ms = 3000,
                                 .lambda = &l->lambda};
}

void rig_set_node(struct rig *r, struct lambda *l)
{
    rig_put(r, "f/code/index.js", rig_evaluator, 0600);
    rig_set(r, l, "node", "nodejs20.x");
}

static bool has_program(const char *name)
{
    hd_auto_free char *command = hd_printf("command -v %s >/dev/null", name);
    return system(command) == 0;
}

void rig_open_for(struct rig *r, enum hd_process_sandbox sandbox, bool layout)
{
    const char *missing = !has_program("node") ? "node is not installed" : NULL;
    if (missing == NULL) {
        rig_open_lambda(r, sandbox);
        if (!layout || hd_process_enforcement(r->backend)->layout)
            return;
        missing = hd_process_enforcement(r->backend)->text;
        print_message("skipped: %s\n", missing);
        rig_close(r);
        skip();
    }
    print_message("skipped: %s\n", missing);
    skip();
}

void rig_begin_lambda(struct rig *r, struct probe *p, struct lambda *l)
{
    rig_begin(r, p, &l->what);
    rig_until_either(r, &p->ready, &p->gone);
    if (!p->ready)
        fail_msg("%s", p->err.msg);
    if (strcmp(p->kind, "init-failed") == 0)
        fail_msg("init failed: %.*s", (int)p->lines.len, p->lines.ptr);
}

int rig_send(struct probe *p, const char *json)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    hd_auto_free char *head =
        hd_printf("POST / HTTP/1.1\r\nHost: f\r\nConnection: close\r\nx-heddle-event: buffered\r\n"
                  "x-heddle-id: 6a3c2f7e-0000-4000-8000-000000000001\r\nx-heddle-deadline: 8000\r\n"
                  "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                  strlen(json), json);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", p->at.address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(write(fd, head, strlen(head)), strlen(head));
    return fd;
}

char *rig_event(struct probe *p, const char *json)
{
    struct hd_buf b;
    int fd = rig_send(p, json);
    hd_buf_init(&b, 1 << 20);
    for (ssize_t n = 1; n > 0;) {
        char *room = hd_buf_reserve(&b, 4096);
        n = read(fd, room, 4096);
        hd_buf_commit(&b, (size_t)HD_MAX(n, 0));
    }
    close(fd);
    char *text = hd_buf_take(&b);
    return text != NULL ? text : hd_strdup("");
}

char *rig_eval(struct probe *p, const char *code)
{
    struct hd_buf b;
    hd_buf_init(&b, 64 << 10);
    hd_buf_cstr(&b, "{\"code\":");
    hd_buf_json(&b, hd_str(code));
    hd_buf_char(&b, '}');
    hd_auto_free char *json = hd_buf_take(&b);
    hd_auto_free char *answer = rig_event(p, json);
    char *body = strstr(answer, "\r\n\r\n");
    if (body == NULL)
        return hd_strdup("(no answer)");
    char *first = strchr(body, '"'), *last = strrchr(body, '"');
    if (first == NULL || last == first)
        return hd_strdup(body + 4);
    return hd_strdup_n(hd_str_n(first + 1, (size_t)(last - first - 1)));
}

void rig_expect(struct probe *p, const char *code, const char *expected)
{
    hd_auto_free char *got = rig_eval(p, code);
    if (strcmp(got, expected) != 0)
        fail_msg("%s: %s, expected %s", code, got, expected);
}

void rig_finish(struct rig *r, struct probe *p)
{
    rig_end(p, 0);
    probe_done(p);
    rig_close(r);
}
