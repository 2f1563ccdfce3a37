#include "pool/process/backend.h"

#include "core/map.h"
#include "pool/process/enforce.h"
#include "pool/process/instance.h"
#include "pool/process/prewarm.h"
#include "pool/process/program.h"

#include <unistd.h>

enum {
    DEFAULT_START_TIMEOUT_MS = 60000,
    DEFAULT_MAX_PREWARM = 8,
    DEFAULT_PIDS = 256,
    UIDS_BEGIN = 300000, /* above what distributions hand out */
    UID_BLOCKS = 1000,
    UID_BLOCK = 1000,
};

struct process {
    struct hd_backend base;
    struct hd_process_options opt; /* strings are ours */
    struct hd_hostproc_site site;
    struct hd_process_enforcement enforcement;
    struct hd_list instances;
    struct hd_prewarm prewarm;
    struct hd_timer closing;
    bool closed;
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

static struct process *process_of(struct hd_backend *b)
{
    return hd_container_of(b, struct process, base);
}

/* --- operations --- */

static struct hd_instance_handle *launch(struct hd_backend *b, const struct hd_launch *what,
                                         const struct hd_backend_events *events, void *owner)
{
    struct process *p = process_of(b);
    struct hd_hostplan plan;
    struct hd_error err;
    int rc = p->closed ? hd_fail(&err, HD_ECANCELED, "the node is stopping") : 0;
    if (rc == 0)
        rc = hd_hostplan_make(&plan, &p->opt, what, p->enforcement.parts,
                              p->enforcement.cgroup_memory, &err);
    if (rc < 0)
        return hd_process_instance_fail(&p->instances, &p->site, &err, events, owner);
    struct hd_instance_handle *h =
        hd_process_instance_start(&p->instances, &p->site, hd_prewarm_take(&p->prewarm, &plan),
                                  &plan, what, p->opt.start_timeout_ms, events, owner);
    hd_hostplan_done(&plan);
    return h;
}

static void prewarm(struct hd_backend *b, const struct hd_launch *what, unsigned count)
{
    struct process *p = process_of(b);
    struct hd_hostplan plan;
    struct hd_error err;
    if (hd_hostplan_make(&plan, &p->opt, what, p->enforcement.parts, p->enforcement.cgroup_memory,
                         &err) < 0)
        return; /* a launch of it will say so */
    if (plan.key != NULL)
        hd_prewarm_want(&p->prewarm, &plan, count);
    hd_hostplan_done(&plan);
}

static int reap_stale(struct hd_backend *b, struct hd_error *err)
{
    struct process *p = process_of(b);
    struct hd_spec_list in_use = {0};
    hd_cgroups_dirs(&p->site.cgroups, &in_use);
    int rc = hd_rundir_reap(&p->site.dir, &in_use, p->site.log, err);
    hd_spec_list_done(&in_use);
    return HD_MIN(rc, 0);
}

static void free_options(struct hd_process_options *o)
{
    const char *const strings[] = {o->runtimes_dir, o->run_dir,  o->functions_root, o->cache_dir,
                                   o->node_id,      o->deno_bin, o->node_bin,       o->python_bin};
    for (size_t i = 0; i < HD_COUNT(strings); i++)
        free((void *)strings[i]);
}

static void destroy(struct process *p)
{
    hd_cgroups_close(&p->site.cgroups);
    hd_rundir_close(&p->site.dir);
    free_options(&p->opt);
    free(p);
}

static void check_closed(struct hd_timer *t)
{
    struct process *p = hd_container_of(t, struct process, closing);
    if (!hd_list_empty(&p->instances) || !hd_prewarm_is_closed(&p->prewarm)) {
        hd_timer_start(p->opt.loop, &p->closing, 5, check_closed);
        return;
    }
    void (*done)(void *) = p->on_closed;
    void *arg = p->on_closed_arg;
    destroy(p);
    if (done != NULL)
        done(arg);
}

static void close_backend(struct hd_backend *b, void (*done)(void *arg), void *arg)
{
    struct process *p = process_of(b);
    p->closed = true;
    p->on_closed = done;
    p->on_closed_arg = arg;
    hd_prewarm_close(&p->prewarm);
    hd_list_each(link, &p->instances)
        hd_process_instance_terminate(hd_process_instance_of(link), 0);
    hd_timer_start(p->opt.loop, &p->closing, 0, check_closed);
}

static const struct hd_backend_ops ops = {
    .name = "process",
    .launch = launch,
    .terminate = hd_process_instance_terminate,
    .ping = hd_process_instance_ping,
    .rss_bytes = hd_process_instance_rss_bytes,
    .cpu_us = hd_process_instance_cpu_us,
    .prewarm = prewarm,
    .reap_stale = reap_stale,
    .close = close_backend,
};

/* --- making it --- */

static char *find_program(const struct hd_process_options *o, const char *name,
                          const char *otherwise)
{
    const char *path = getenv("PATH");
    return hd_program_find(name != NULL ? name : otherwise,
                           path != NULL ? path : "/usr/local/bin:/usr/bin:/bin",
                           geteuid() == 0 && o->sandbox != HD_PROCESS_SANDBOX_OFF);
}

/* Users of this node alone, the same ones in each of its runs: limits count what a user has on the
 * whole machine, and users can signal themselves. */
static uint32_t own_uids(const char *run_dir)
{
    uint64_t block = run_dir != NULL ? hd_hash(run_dir, strlen(run_dir), 0) % UID_BLOCKS : 0;
    return UIDS_BEGIN + (uint32_t)block * UID_BLOCK;
}

static void copy_options(struct hd_process_options *to, const struct hd_process_options *from)
{
    *to = *from;
    to->runtimes_dir = hd_strdup(from->runtimes_dir);
    to->run_dir = hd_strdup(from->run_dir);
    to->functions_root = hd_strdup(from->functions_root);
    to->cache_dir = hd_strdup(from->cache_dir);
    to->node_id = hd_strdup(from->node_id != NULL ? from->node_id : "0");
    to->deno_bin = find_program(from, from->deno_bin, "deno");
    to->node_bin = find_program(from, from->node_bin, "node");
    to->python_bin = find_program(from, from->python_bin, "python3");
    if (to->start_timeout_ms == 0)
        to->start_timeout_ms = DEFAULT_START_TIMEOUT_MS;
    if (to->max_prewarm == 0)
        to->max_prewarm = DEFAULT_MAX_PREWARM;
    if (to->default_pids == 0)
        to->default_pids = DEFAULT_PIDS;
    if (to->uid_base == 0)
        to->uid_base = own_uids(from->run_dir);
}

static int check_options(const struct hd_process_options *o, struct hd_error *err)
{
    const struct {
        const char *name, *path;
    } folders[] = {{"runtimes folder", o->runtimes_dir},
                   {"run folder", o->run_dir},
                   {"functions folder", o->functions_root}};
    for (size_t i = 0; i < HD_COUNT(folders); i++)
        if (folders[i].path == NULL || folders[i].path[0] != '/')
            return hd_fail(err, HD_EINVAL, "%s: must be an absolute path", folders[i].name);
    if (o->cache_dir != NULL && o->cache_dir[0] != '/')
        return hd_fail(err, HD_EINVAL, "cache folder: must be an absolute path");
    return 0;
}

int hd_process_new(struct hd_backend **out, const struct hd_process_options *opt,
                   struct hd_error *err)
{
    int rc = check_options(opt, err);
    if (rc < 0)
        return rc;
    struct process *p = hd_new(struct process);
    p->base.ops = &ops;
    copy_options(&p->opt, opt);
    hd_list_init(&p->instances);
    p->site = (struct hd_hostproc_site){.loop = opt->loop,
                                        .log = opt->log,
                                        .dir.lock_fd = -1,
                                        .uid_base = p->opt.uid_base,
                                        .default_pids = p->opt.default_pids};
    hd_prewarm_init(&p->prewarm, &p->site, p->opt.max_prewarm, p->opt.start_timeout_ms);
    rc = hd_rundir_open(&p->site.dir, p->opt.run_dir, geteuid() == 0, err);
    if (rc == 0 && p->opt.cache_dir != NULL)
        rc = hd_make_folder(p->opt.cache_dir, err);
    if (rc == 0) {
        /* Nodes with the same id on one machine are told apart by their run folder. */
        uint64_t hash = hd_hash(p->opt.run_dir, strlen(p->opt.run_dir), 0);
        hd_auto_free char *name = hd_printf("heddle-%s-%08x", p->opt.node_id, (unsigned)hash);
        hd_cgroups_open(&p->site.cgroups, name);
        rc = hd_enforce_probe(&p->enforcement, &p->opt, &p->site, err);
    }
    if (rc < 0) {
        destroy(p);
        return rc;
    }
    *out = &p->base;
    return 0;
}

const struct hd_process_enforcement *hd_process_enforcement(const struct hd_backend *b)
{
    return &hd_container_of(b, struct process, base)->enforcement;
}

uint64_t hd_process_prewarm_rss_bytes(const struct hd_backend *b)
{
    return hd_prewarm_rss_bytes(&hd_container_of(b, struct process, base)->prewarm);
}

unsigned hd_process_prewarm_ready(const struct hd_backend *b)
{
    return hd_prewarm_ready(&hd_container_of(b, struct process, base)->prewarm);
}
