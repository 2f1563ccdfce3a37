/* doctor_runtimes.c - is each runtime there, and does it run? */
#include "cli/doctor.h"

#include "cli/child.h"
#include "cli/term.h"
#include "node/runtimes.h"

#include <stdio.h>
#include <unistd.h>

enum { ANSWER_MS = 5000, OUTPUT_MAX = 256 };

struct runtime {
    const char *name;
    const char *args[4];   /* that print a version in the first line */
    unsigned major, minor; /* the oldest that works */
    const char *fix;
};
static const struct runtime runtimes[] = {
    {"deno", {"--version"}, 2, 0, "make deps, or name the program with --deno PATH"},
    {"node", {"--version"}, 18, 0, "apt-get install nodejs, or name the program with --node PATH"},
    {"python",
     {"--version"},
     3,
     9,
     "apt-get install python3, or name the program with --python PATH"},
};

/* @return the first line it printed, for the caller to free; NULL if it did not run well. */
static char *first_line(const char *program, const char *const *args, char *const *env)
{
    char text[OUTPUT_MAX];
    struct hd_buf out;
    const char *argv[6] = {program};
    for (size_t i = 0; i < 4 && args[i] != NULL; i++)
        argv[i + 1] = args[i];
    hd_buf_init_with(&out, text, sizeof(text), sizeof(text));
    struct hd_str line =
        hd_child_read(&out, argv, env, ANSWER_MS) == 0 ? hd_buf_view(&out) : hd_str_n(NULL, 0);
    return line.len > 0 ? hd_strdup_n(hd_str_n(line.ptr, hd_str_find(line, '\n'))) : NULL;
}

/* The first two numbers: "Python 3.11.2" is 3 and 11. */
static void parse_version(unsigned *major, unsigned *minor, const char *line)
{
    uint64_t a = 0, b = 0;
    line += strcspn(line, "0123456789");
    size_t n = strspn(line, "0123456789");
    if (hd_str_to_u64(&a, hd_str_n(line, n)) == 0 && line[n] == '.')
        hd_str_to_u64(&b, hd_str_n(line + n + 1, strspn(line + n + 1, "0123456789")));
    *major = (unsigned)a;
    *minor = (unsigned)b;
}

static void check(struct hd_findings *f, const struct runtime *r, const char *program,
                  char *const *env)
{
    hd_auto_free char *path = hd_child_find(program, hd_env_get(env, "PATH"));
    if (path == NULL) {
        hd_findings_add(
            f, r->name, HD_HEALTH_NOTE,
            hd_printf("%s was not found; functions for %s cannot run", program, r->name),
            hd_strdup(r->fix));
        return;
    }
    hd_auto_free char *line = first_line(path, r->args, env);
    unsigned major = 0, minor = 0;
    if (line == NULL) {
        hd_findings_add(f, r->name, HD_HEALTH_BAD, hd_printf("%s does not run", path),
                        hd_printf("%s %s   shows why", path, r->args[0]));
        return;
    }
    parse_version(&major, &minor, line);
    if (major < r->major || (major == r->major && minor < r->minor))
        hd_findings_add(
            f, r->name, HD_HEALTH_BAD,
            hd_printf("%s is %s; it must be %u.%u or newer", path, line, r->major, r->minor),
            hd_strdup(r->fix));
    else
        hd_findings_add(f, r->name, HD_HEALTH_GOOD, hd_printf("%s, %s", line, path), NULL);
}

/* The small programs that load a function into a runtime. */
static void check_hosts(struct hd_findings *f, const char *hosts)
{
    static const char *const files[] = {"deno/host.ts", "node/host.mjs", "python/host.py"};
    if (hosts == NULL) {
        hd_findings_add(f, "runtime hosts", HD_HEALTH_BAD,
                        hd_strdup("their folder was not found beside the program"),
                        hd_strdup("make install, or name the folder with --runtimes-dir"));
        return;
    }
    for (size_t i = 0; i < HD_COUNT(files); i++) {
        hd_auto_free char *path = hd_printf("%s/%s", hosts, files[i]);
        if (access(path, R_OK) == 0)
            continue;
        hd_findings_add(f, "runtime hosts", HD_HEALTH_BAD, hd_printf("%s cannot be read", path),
                        hd_strdup("make install, or name another folder with --runtimes-dir"));
        return;
    }
    hd_findings_add(f, "runtime hosts", HD_HEALTH_GOOD, hd_strdup(hosts), NULL);
}

void hd_doctor_runtimes(struct hd_findings *f, const struct hd_node_options *opt, char *const *env)
{
    hd_auto_free char *hosts = hd_node_runtimes_dir(opt);
    hd_auto_free char *deno = hd_node_deno(opt, hosts);
    const char *const programs[] = {deno, opt->node, opt->python};
    size_t before = f->n, found = 0;
    for (size_t i = 0; i < HD_COUNT(runtimes); i++)
        check(f, &runtimes[i], programs[i], env);
    for (size_t i = before; i < f->n; i++)
        found += f->items[i].health == HD_HEALTH_GOOD;
    check_hosts(f, hosts);
    if (found == 0)
        hd_findings_add(f, "runtimes", HD_HEALTH_BAD,
                        hd_strdup("no runtime works: nothing but programs that serve HTTP "
                                  "themselves can be run"),
                        hd_strdup("apt-get install nodejs python3"));
}
