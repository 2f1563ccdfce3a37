#include "pool/process/enforce.h"

#include "pool/process/freezer.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum { TRY_MS = 2000 };

static const struct part {
    unsigned bit;
    const char *name;
} parts[] = {
    {HD_SANDBOX_USER, "user namespace"}, /* what lets the next be tried */
    {HD_SANDBOX_MOUNT, "mount namespace"},
    {HD_SANDBOX_UID, "own user"}, /* may need the view to reach anything */
    {HD_SANDBOX_PID, "PID namespace"},
    {HD_SANDBOX_IPC, "IPC namespace"},
    {HD_SANDBOX_NET, "network namespace"},
    {HD_SANDBOX_SECCOMP, "seccomp"},
};

/* @return 0, or why it failed. */
static int read_outcome(const struct hd_child *c, bool ended, struct hd_error *err)
{
    char text[HD_CHILD_REPORT_MAX];
    struct hd_str rest = hd_str_n(text, hd_child_report(c, text)), line;
    bool done = false;
    if (!ended)
        return hd_fail(err, HD_ETIMEOUT, "took longer than %d ms", TRY_MS);
    while (rest.len > 0 && hd_str_split(&line, &rest, '\n')) {
        if (line.len > 1 && (line.ptr[0] == '!' || line.ptr[0] == '-'))
            return hd_fail(err, HD_EDENIED, "%.*s", (int)line.len - 1, line.ptr + 1);
        done = done || (line.len > 0 && line.ptr[0] == '=');
    }
    return done ? 0 : hd_fail(err, HD_EIO, "the sandbox stage ended without a word");
}

static int run_check(const struct hd_sandbox_spec *spec, struct hd_error *err)
{
    struct hd_child c;
    struct hd_child_end end;
    int rc = hd_child_spawn(&c, spec, err);
    if (rc < 0)
        return rc;
    struct pollfd p = {.fd = c.pidfd, .events = POLLIN};
    bool ended = poll(&p, 1, TRY_MS) == 1;
    if (!ended) {
        hd_child_kill(&c);
        poll(&p, 1, TRY_MS);
    }
    hd_child_reap(&c, &end);
    rc = read_outcome(&c, ended, err);
    hd_child_close(&c);
    return rc;
}

static int try_parts(const struct hd_process_options *opt, struct hd_hostproc_site *site,
                     unsigned wanted, struct hd_error *err)
{
    static const char *const no_net[] = {NULL}, *const program[] = {"-", NULL}; /* never run */
    struct hd_launch what = {.function = "-",
                             .runtime = "http",
                             .argv = program,
                             .root = opt->functions_root,
                             .net = no_net};
    struct hd_hostplan plan;
    uint32_t serial;
    hd_auto_free char *folder = NULL;
    int rc = hd_rundir_add(&site->dir, &folder, &serial, err);
    if (rc < 0)
        return rc;
    rc = hd_hostplan_make(&plan, opt, &what, wanted, true, err);
    if (rc == 0) {
        hd_hostplan_settle(&plan, folder);
        plan.spec.check = true;
        plan.spec.uid = wanted & HD_SANDBOX_UID ? site->uid_base : geteuid();
        plan.spec.gid = wanted & HD_SANDBOX_UID ? site->uid_base : getegid();
        rc = chown(folder, plan.spec.uid, plan.spec.gid) < 0 ? hd_fail_sys(err, errno, "%s", folder)
                                                             : run_check(&plan.spec, err);
        hd_hostplan_done(&plan);
    }
    rmdir(folder);
    return rc;
}

/* A root of its own, as functions with Lambda semantics get it. */
static int try_layout(const struct hd_process_options *opt, struct hd_hostproc_site *site,
                      const struct hd_process_enforcement *e, bool seen, struct hd_error *err)
{
    uint32_t serial;
    hd_auto_free char *folder = NULL;
    int rc = hd_rundir_add(&site->dir, &folder, &serial, err);
    if (rc < 0)
        return rc;
    struct hd_sandbox_spec s = {.parts = e->parts & ~(unsigned)HD_SANDBOX_NET,
                                .layout = true,
                                .check = true,
                                .seen_uid = seen,
                                .seen_gid = seen};
    hd_spec_list_add(&s.argv, "-");
    hd_sandbox_bind(&s, "/run/heddle", folder, true);
    hd_sandbox_bind(&s, "/var/runtime", opt->runtimes_dir, false);
    s.uid = e->parts & HD_SANDBOX_UID ? site->uid_base : geteuid();
    s.gid = e->parts & HD_SANDBOX_UID ? site->uid_base : getegid();
    rc = chown(folder, s.uid, s.gid) < 0 ? hd_fail_sys(err, errno, "%s", folder)
                                         : run_check(&s, err);
    hd_sandbox_spec_done(&s);
    rmdir(folder);
    return rc;
}

static void note(struct hd_buf *missing, const char *what, const char *why)
{
    hd_buf_fmt(missing, "%s%s (%s)", missing->len > 0 ? ", " : "", what, why);
}

/* One try where all is permitted; else part by part, so that each is judged on its own. */
static unsigned find_parts(const struct hd_process_options *opt, struct hd_hostproc_site *site,
                           unsigned wanted, struct hd_buf *missing)
{
    struct hd_error err;
    unsigned have = 0;
    if (try_parts(opt, site, wanted, &err) == 0)
        return wanted;
    for (size_t i = 0; i < HD_COUNT(parts); i++) {
        if (!(wanted & parts[i].bit))
            continue;
        if (try_parts(opt, site, have | parts[i].bit, &err) == 0)
            have |= parts[i].bit;
        else
            note(missing, parts[i].name, err.msg);
    }
    return have;
}

/* Without mounts there is nothing to try, and that was said already. */
static void find_layout(struct hd_process_enforcement *e, const struct hd_process_options *opt,
                        struct hd_hostproc_site *site, struct hd_buf *missing)
{
    static const char what[] =
        "/var/task, /opt and /tmp of functions with Lambda semantics: they see real paths";
    struct hd_error err;
    hd_fail(&err, HD_EDENIED, "no mount namespace");
    bool renames = (e->parts & (HD_SANDBOX_UID | HD_SANDBOX_USER)) != 0;
    if (e->parts & HD_SANDBOX_MOUNT) {
        e->seen = renames && try_layout(opt, site, e, true, &err) == 0;
        e->layout = e->seen || try_layout(opt, site, e, false, &err) == 0;
    }
    if (!e->layout)
        note(missing, what, err.msg);
}

static void describe(struct hd_process_enforcement *e, const struct hd_hostproc_site *site,
                     struct hd_str missing)
{
    struct hd_buf b;
    hd_buf_init(&b, sizeof(e->text) - 1);
    unsigned n = 0;
    for (size_t i = 0; i < HD_COUNT(parts); i++) {
        if (!(e->parts & parts[i].bit))
            continue;
        hd_buf_fmt(&b, "%s%s", n++ > 0 ? ", " : "", parts[i].name);
        if (parts[i].bit == HD_SANDBOX_UID)
            hd_buf_fmt(&b, " (uid %u and up)", site->uid_base);
        if (parts[i].bit == HD_SANDBOX_NET)
            hd_buf_cstr(&b, " (for functions that may use no network)");
    }
    hd_buf_fmt(&b, "%srlimits, no-new-privs", n > 0 ? ", " : "");
    if (e->cgroup_version != 0)
        hd_buf_fmt(&b, ", cgroup v%d%s%s%s", e->cgroup_version, e->cgroup_memory ? " memory" : "",
                   e->cgroup_pids ? " pids" : "", e->cgroup_cpu ? " cpu" : "");
    if (e->freezer != NULL)
        hd_buf_fmt(&b, ", freezing by %s", e->freezer);
    hd_buf_cstr(&b, "; not enforced: ");
    hd_buf_str(&b, missing.len > 0 ? missing : hd_str("nothing"));
    size_t len = HD_MIN(b.len, sizeof(e->text) - 1);
    memcpy(e->text, b.ptr, len);
    e->text[len] = '\0';
    hd_buf_done(&b);
}

static void find_cgroups(struct hd_process_enforcement *e, const struct hd_cgroups *g,
                         struct hd_buf *missing)
{
    e->cgroup_version = g->version;
    e->cgroup_memory = g->memory != NULL;
    e->cgroup_pids = g->pids != NULL;
    e->cgroup_cpu = g->cpu != NULL;
    e->freezer = hd_freezer_name(g);
    e->no_freezer = g->no_freezer;
    const char *why = g->why_not[0] != '\0' ? g->why_not : "no cgroups are mounted";
    if (!e->cgroup_memory && !e->cgroup_pids && !e->cgroup_cpu) {
        note(missing, "cgroup limits of memory, processes and CPU", why);
        return;
    }
    if (!e->cgroup_memory)
        note(missing, "cgroup limit of memory", why);
    if (!e->cgroup_pids)
        note(missing, "cgroup limit of processes", why);
    if (!e->cgroup_cpu)
        note(missing, "cgroup share of CPU", why);
}

int hd_enforce_probe(struct hd_process_enforcement *out, const struct hd_process_options *opt,
                     struct hd_hostproc_site *site, struct hd_error *err)
{
    struct hd_buf missing;
    int rc = 0;
    hd_buf_init(&missing, sizeof(out->text) / 2);
    *out = (struct hd_process_enforcement){0};
    if (opt->sandbox == HD_PROCESS_SANDBOX_OFF) {
        note(&missing, "namespaces, own user and seccomp", "switched off");
    } else {
        unsigned wanted = HD_SANDBOX_MOUNT | HD_SANDBOX_PID | HD_SANDBOX_IPC | HD_SANDBOX_NET |
                          HD_SANDBOX_SECCOMP | (geteuid() == 0 ? HD_SANDBOX_UID : HD_SANDBOX_USER);
        out->parts = find_parts(opt, site, wanted, &missing);
        find_layout(out, opt, site, &missing);
    }
    find_cgroups(out, &site->cgroups, &missing);
    describe(out, site, hd_buf_view(&missing));
    if (opt->sandbox == HD_PROCESS_SANDBOX_REQUIRE && missing.len > 0)
        rc = hd_fail(err, HD_EDENIED,
                     "the sandbox is required, but this machine does not permit: %.*s; "
                     "`heddle doctor` says more, --sandbox auto takes what there is",
                     HD_FMT(hd_buf_view(&missing)));
    hd_buf_done(&missing);
    return rc;
}
