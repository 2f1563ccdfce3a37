/* Version 2: cgroup.freeze takes 1 and 0; cgroup.events says "frozen 1" when all stand still.
 * Version 1: freezer.state takes FROZEN and THAWED; it says FREEZING until all stand still. */
#include "pool/process/freezer.h"

#include "core/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PASSES = 50,    /* over the list of processes, until a pass finds no new one */
    STILL_MS = 2000 /* for all of them to stand still */
};

static const struct kind {
    const char *file, *freeze, *thaw;
    const char *told_by, *frozen; /* the file that says how it is, and the line of "all frozen" */
} kinds[] = {[1] = {"freezer.state", "FROZEN", "THAWED", "freezer.state", "FROZEN"},
             [2] = {"cgroup.freeze", "1", "0", "cgroup.events", "frozen 1"}};

/* --- where --- */

static bool has_file(const char *dir, const char *name)
{
    hd_auto_free char *path = hd_printf("%s/%s", dir, name);
    return access(path, W_OK) == 0;
}

static bool try_parent(struct hd_cgroups *g, struct hd_str mounts, struct hd_str groups,
                       const char *name, int version)
{
    hd_auto_free char *own = hd_cgroup_find(mounts, groups, version == 2 ? "" : "freezer");
    if (own == NULL)
        return false;
    hd_auto_free char *dir = hd_printf("%s/%s", own, name);
    if (mkdir(dir, 0755) < 0 && errno != EEXIST) {
        snprintf(g->no_freezer, sizeof(g->no_freezer), "%s: %s", dir, strerror(errno));
        return false;
    }
    if (!has_file(dir, kinds[version].file)) {
        snprintf(g->no_freezer, sizeof(g->no_freezer), "%s: has no %s", dir, kinds[version].file);
        rmdir(dir);
        return false;
    }
    g->freezer = hd_steal(dir);
    g->freezer_version = version;
    return true;
}

void hd_freezer_open(struct hd_cgroups *g, struct hd_str mounts, struct hd_str groups,
                     const char *name)
{
    const char *own = g->pids != NULL ? g->pids : g->memory != NULL ? g->memory : g->cpu;
    if (g->version == 2 && has_file(own, kinds[2].file)) {
        g->freezer = hd_strdup(own);
        g->freezer_version = 2;
        return;
    }
    if (own == NULL && g->cpuacct == NULL) {
        snprintf(g->no_freezer, sizeof(g->no_freezer),
                 "no other cgroup knows the processes of an instance");
        return;
    }
    snprintf(g->no_freezer, sizeof(g->no_freezer), "no cgroup freezer is mounted");
    if (!try_parent(g, mounts, groups, name, 2))
        try_parent(g, mounts, groups, name, 1);
}

const char *hd_freezer_name(const struct hd_cgroups *g)
{
    return g->freezer_version > 0 ? kinds[g->freezer_version].file : NULL;
}

/* --- one instance --- */

static bool has_line(const char *text, const char *wanted)
{
    struct hd_str rest = hd_str(text), line;
    while (text != NULL && hd_str_split(&line, &rest, '\n'))
        if (hd_str_is(line, wanted))
            return true;
    return false;
}

/* Bring those over that are not there yet. @return how many, or HD_E*. */
static int move_new(const char *from, const char *to, struct hd_error *err)
{
    hd_auto_free char *all = hd_cgroup_get(from, "cgroup.procs");
    hd_auto_free char *there = hd_cgroup_get(to, "cgroup.procs");
    struct hd_str rest = hd_str(all), line;
    int n = 0;
    while (all != NULL && hd_str_split(&line, &rest, '\n')) {
        hd_auto_free char *pid = hd_strdup_n(line);
        struct hd_error why;
        if (line.len == 0 || has_line(there, pid))
            continue;
        if (hd_cgroup_put(to, "cgroup.procs", pid, &why) == 0) {
            n++;
        } else if (why.sys != ESRCH) { /* it has ended */
            if (err != NULL)
                *err = why;
            return why.code;
        }
    }
    return n;
}

/* What is moved stops at once; what is not moved yet may start more, which the next pass finds. */
static int gather(const char *from, const char *to, struct hd_error *err)
{
    int n = 1;
    for (unsigned pass = 0; n > 0 && pass < PASSES; pass++)
        n = move_new(from, to, err);
    return n > 0 ? hd_fail(err, HD_EIO, "%s: new processes without end", to) : n;
}

static int wait_until_still(const char *dir, const struct kind *k, struct hd_error *err)
{
    for (uint64_t until = hd_clock_ms() + STILL_MS;;) {
        hd_auto_free char *text = hd_cgroup_get(dir, k->told_by);
        hd_auto_free char *procs = hd_cgroup_get(dir, "cgroup.procs");
        if (has_line(text, k->frozen))
            return 0;
        if (procs != NULL && procs[0] == '\0')
            return hd_fail(err, HD_ENOTFOUND, "%s: all of it has ended", dir);
        if (hd_clock_ms() >= until)
            return hd_fail(err, HD_ETIMEOUT, "%s: not frozen within %d ms", dir, STILL_MS);
        poll(NULL, 0, 1);
    }
}

int hd_freezer_freeze(const struct hd_cgroup *c, struct hd_error *err)
{
    if (c->freezer == NULL)
        return hd_fail(err, HD_EDENIED, "this machine has no cgroup freezer for it");
    const struct kind *k = &kinds[c->freezer_version];
    const char *const with[] = {c->pids, c->memory, c->cpu, c->cpuacct};
    const char *from = NULL;
    for (size_t i = 0; i < HD_COUNT(with) && from == NULL; i++)
        from = with[i];
    if (from == NULL)
        return hd_fail(err, HD_EDENIED, "no other cgroup knows its processes");
    bool beside = strcmp(from, c->freezer) != 0;
    if (beside && mkdir(c->freezer, 0755) < 0 && errno != EEXIST)
        return hd_fail_sys(err, errno, "cgroup %s", c->freezer);
    int rc = hd_cgroup_put(c->freezer, k->file, k->freeze, err);
    if (rc == 0 && beside)
        rc = gather(from, c->freezer, err);
    if (rc == 0)
        rc = wait_until_still(c->freezer, k, err);
    if (rc < 0)
        hd_freezer_thaw(c, NULL);
    return rc;
}

int hd_freezer_thaw(const struct hd_cgroup *c, struct hd_error *err)
{
    struct hd_error why;
    if (c->freezer == NULL)
        return 0;
    const struct kind *k = &kinds[c->freezer_version];
    if (hd_cgroup_put(c->freezer, k->file, k->thaw, &why) == 0 || why.sys == ENOENT)
        return 0;
    if (err != NULL)
        *err = why;
    return why.code;
}

void hd_freezer_end(const char *dir)
{
    if (!has_file(dir, kinds[1].file))
        return;
    hd_cgroup_kill_in(dir);
    hd_cgroup_put(dir, kinds[1].file, kinds[1].thaw, NULL);
}
