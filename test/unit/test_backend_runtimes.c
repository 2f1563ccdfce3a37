/* test_backend_runtimes.c - the real hosts of runtimes/ through the process backend. */
#include "backend_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char runtimes[] = HD_SOURCE_ROOT "/runtimes";

/* The pinned Deno, or the one in PATH; NULL: none. */
static const char *deno(void)
{
    static const char *const places[] = {
        HD_SOURCE_ROOT "/runtimes/node_modules/@deno/linux-x64-glibc/deno",
        HD_SOURCE_ROOT "/runtimes/node_modules/@deno/linux-arm64-glibc/deno"};
    for (size_t i = 0; i < HD_COUNT(places); i++)
        if (access(places[i], X_OK) == 0)
            return places[i];
    return NULL;
}

static void open_real(struct rig *r, const char *host, const char *binary)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", runtimes, host);
    if (access(path, R_OK) != 0) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    if (binary == NULL || access(binary, X_OK) != 0) {
        print_message("skipped: the runtime is not installed: run `make deps`\n");
        skip();
    }
    rig_open_with(r, HD_PROCESS_SANDBOX_AUTO, runtimes, deno());
}

static void write_file(struct rig *r, const char *name, const char *file, const char *source,
                       char entry[256])
{
    char dir[256];
    snprintf(dir, sizeof(dir), "%s/%s", r->functions, name);
    mkdir(dir, 0755);
    snprintf(entry, 256, "%s/%s/%s", r->functions, name, file);
    FILE *f = fopen(entry, "we");
    assert_non_null(f);
    fputs(source, f);
    fclose(f);
}

/* Launch with and without a prewarmed host, call, and end. */
static void both_ways(struct rig *r, const struct hd_launch *what, const char *expected)
{
    for (unsigned warm = 0; warm < 2; warm++) {
        struct probe p;
        if (warm) {
            r->backend->ops->prewarm(r->backend, what, 1);
            rig_until_warm(r);
        }
        rig_begin(r, &p, what);
        rig_until_either(r, &p.ready, &p.gone);
        if (!p.ready)
            fail_msg("%s\n%.*s", p.err.msg, HD_FMT(hd_buf_view(&p.lines)));
        hd_auto_free char *body = rig_get(&p, "/f/x");
        assert_string_equal(body, expected);
        assert_int_equal(rig_ping(&p, 5000), 0);
        rig_end(&p, 3000);
        assert_false(p.failed);
        probe_done(&p);
    }
}

static void deno_runs_with_all_permissions(void **state)
{
    struct rig r;
    char entry[256];
    open_real(&r, "deno/host.ts", deno());
    write_file(
        &r, "f", "index.ts",
        "Deno.serve((req: Request) => new Response(`${req.method} ${Deno.env.get('K')}`));\n",
        entry);
    const char *const env[] = {"K=v", NULL};
    struct hd_launch what = rig_launch(&r, "f");
    what.runtime = "deno";
    what.entry = entry;
    what.env = env;
    what.memory_mb = 256;
    both_ways(&r, &what, "GET v");
    rig_close(&r);
    (void)state;
}

static void deno_keeps_to_its_lists(void **state)
{
    struct rig r;
    char entry[256];
    open_real(&r, "deno/host.ts", deno());
    write_file(&r, "f", "index.ts",
               "const state = async (name: Deno.PermissionName) =>\n"
               "  (await Deno.permissions.query({ name } as Deno.PermissionDescriptor)).state;\n"
               "Deno.serve(async () => new Response(\n"
               "  [await state('net'), await state('write'), await state('run'),\n"
               "   await state('ffi')].join()));\n",
               entry);
    const char *const none[] = {NULL};
    struct hd_launch what = rig_launch(&r, "f");
    what.runtime = "deno";
    what.entry = entry;
    what.net = what.read = what.write = none;
    both_ways(&r, &what, "prompt,prompt,prompt,prompt");
    rig_close(&r);
    (void)state;
}

static void node_runs(void **state)
{
    struct rig r;
    char entry[256];
    open_real(&r, "node/host.mjs", "/usr/bin/node");
    write_file(&r, "f", "index.mjs",
               "export default { fetch: (req) => new Response(`${req.method} node`) };\n", entry);
    struct hd_launch what = rig_launch(&r, "f");
    what.runtime = "node";
    what.entry = entry;
    what.memory_mb = 256;
    both_ways(&r, &what, "GET node");
    rig_close(&r);
    (void)state;
}

static void python_runs(void **state)
{
    struct rig r;
    char entry[256];
    open_real(&r, "python/host.py", "/usr/bin/python3");
    write_file(&r, "f", "main.py",
               "def app(environ, start_response):\n"
               "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
               "    return [environ['REQUEST_METHOD'].encode() + b' wsgi']\n",
               entry);
    struct hd_launch what = rig_launch(&r, "f");
    what.entry = entry;
    what.handler = "main.app";
    both_ways(&r, &what, "GET wsgi");
    rig_close(&r);
    (void)state;
}

int main(int argc, char **argv)
{
    if (strcmp(argv[0], HD_SANDBOX_ARGV0) == 0)
        return hd_sandbox_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deno_runs_with_all_permissions),
        cmocka_unit_test(deno_keeps_to_its_lists),
        cmocka_unit_test(node_runs),
        cmocka_unit_test(python_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
