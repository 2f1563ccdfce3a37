#include "pool/process/cgroup.h"

#include "pool/process/freezer.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_MAX_BYTES = 64 << 10,
    CORE_MB = 1769,  /* of memory, that come with one core */
    V1_SHARE = 1024, /* what a process has that nobody set anything for */
};

/* --- small files --- */

int hd_cgroup_put(const char *dir, const char *name, const char *text, struct hd_error *err)
{
    hd_auto_free char *path = hd_printf("%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return hd_fail_sys(err, errno, "%s", path);
    ssize_t n = write(fd, text, strlen(text));
    int sys = errno;
    close(fd);
    return n < 0 ? hd_fail_sys(err, sys, "%s: %s", path, text) : 0;
}

char *hd_cgroup_get(const char *dir, const char *name)
{
    hd_auto_free char *path = hd_printf("%s/%s", dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct hd_buf b;
    hd_buf_init(&b, FILE_MAX_BYTES);
    for (;;) {
        char *room = hd_buf_reserve(&b, 4096);
        ssize_t n = room != NULL ? read(fd, room, 4096) : -1;
        if (n <= 0)
            break;
        hd_buf_commit(&b, (size_t)n);
    }
    close(fd);
    return hd_buf_take(&b);
}

/* The number behind "key " in a text of many, or in a text of one; 0 where there is none. */
static uint64_t number_in(const char *text, const char *key)
{
    struct hd_str rest = hd_str(text), line, word;
    uint64_t n = 0;
    while (text != NULL && hd_str_split(&line, &rest, '\n')) {
        if (key == NULL)
            return hd_str_to_u64(&n, line) == 0 ? n : 0;
        if (hd_str_split(&word, &line, ' ') && hd_str_is(word, key))
            return hd_str_to_u64(&n, line) == 0 ? n : 0;
    }
    return 0;
}

static uint64_t number(const char *dir, const char *name, const char *key)
{
    hd_auto_free char *text = hd_cgroup_get(dir, name);
    return number_in(text, key);
}

static bool has(const char *dir, const char *name)
{
    hd_auto_free char *path = hd_printf("%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

/* --- where our own group lies --- */

static bool has_word(struct hd_str list, const char *word)
{
    struct hd_str item;
    while (hd_str_split(&item, &list, ','))
        if (hd_str_is(item, word))
            return true;
    return false;
}

/* Our group in a hierarchy: "<id>:<controllers>:<path>"; version 2 has none between. */
static struct hd_str own_path(struct hd_str groups, const char *controller)
{
    struct hd_str line, id, names;
    while (hd_str_split(&line, &groups, '\n')) {
        if (!hd_str_split(&id, &line, ':') || !hd_str_split(&names, &line, ':'))
            continue;
        if (controller[0] == '\0' ? names.len == 0 : has_word(names, controller))
            return line;
    }
    return hd_str_n(NULL, 0);
}

/* proc(5): id parent major:minor root mountpoint options ... - type source super-options */
static char *mounted(struct hd_str line, const char *controller, struct hd_str own)
{
    struct hd_str field[5], word, type = {NULL, 0}, super = {NULL, 0};
    for (size_t i = 0; i < HD_COUNT(field); i++)
        if (!hd_str_split(&field[i], &line, ' '))
            return NULL;
    while (hd_str_split(&word, &line, ' ') && !hd_str_is(word, "-"))
        ;
    hd_str_split(&type, &line, ' ');
    hd_str_split(&word, &line, ' ');
    hd_str_split(&super, &line, ' ');
    bool v2 = controller[0] == '\0';
    if (!hd_str_is(type, v2 ? "cgroup2" : "cgroup") || (!v2 && !has_word(super, controller)))
        return NULL;
    struct hd_str root = field[3], at = field[4];
    if (hd_str_is(root, "/"))
        root.len = 0;
    if (!hd_str_starts(own, root))
        return NULL; /* another part of the tree is mounted here */
    own = hd_str_n(own.ptr + root.len, own.len - root.len);
    if (hd_str_is(own, "/"))
        own.len = 0;
    return hd_printf("%.*s%.*s", HD_FMT(at), HD_FMT(own));
}

char *hd_cgroup_find(struct hd_str mounts, struct hd_str groups, const char *controller)
{
    struct hd_str own = own_path(groups, controller), line;
    if (own.ptr == NULL)
        return NULL;
    while (hd_str_split(&line, &mounts, '\n')) {
        char *dir = mounted(line, controller, own);
        if (dir != NULL)
            return dir;
    }
    return NULL;
}

/* --- the node's parents --- */

static void note_why(struct hd_cgroups *g, const char *what, const char *why)
{
    if (g->why_not[0] == '\0')
        snprintf(g->why_not, sizeof(g->why_not), "%s: %s", what, why);
}

static char *make_parent(struct hd_cgroups *g, struct hd_str mounts, struct hd_str groups,
                         const char *controller, const char *name)
{
    hd_auto_free char *own = hd_cgroup_find(mounts, groups, controller);
    if (own == NULL) {
        note_why(g, controller, "is not mounted");
        return NULL;
    }
    char *dir = hd_printf("%s/%s", own, name);
    if (mkdir(dir, 0755) == 0 || errno == EEXIST)
        return dir;
    note_why(g, controller, strerror(errno));
    free(dir);
    return NULL;
}

static bool v2_has(const char *dir, const char *controller)
{
    hd_auto_free char *text = hd_cgroup_get(dir, "cgroup.controllers");
    struct hd_str rest = hd_str_trim(hd_str(text)), word;
    size_t len = rest.len;
    while (len > 0 && rest.ptr[len - 1] == '\n')
        len--;
    rest.len = len;
    while (hd_str_split(&word, &rest, ' '))
        if (hd_str_is(word, controller))
            return true;
    return false;
}

static bool v2_enable(const char *dir, const char *controller, struct hd_error *err)
{
    char text[32];
    snprintf(text, sizeof(text), "+%s", controller);
    return hd_cgroup_put(dir, "cgroup.subtree_control", text, err) == 0;
}

/* Controllers can be given to children only by a group without processes of its own (but for the
 * root): where the node is alone in its group it moves into a child. The kernel refuses some of
 * them else, and takes others, whose children then can hold no processes. */
static bool v2_step_aside(const char *own)
{
    hd_auto_free char *procs = hd_cgroup_get(own, "cgroup.procs");
    hd_auto_free char *self = hd_printf("%d\n", (int)getpid());
    hd_auto_free char *leaf = hd_printf("%s/heddle-node", own);
    if (!has(own, "cgroup.type") || (procs != NULL && procs[0] == '\0'))
        return true; /* the root, or nobody is in it */
    if (procs == NULL || strcmp(procs, self) != 0)
        return false;
    if (mkdir(leaf, 0755) < 0 && errno != EEXIST)
        return false;
    return hd_cgroup_put(leaf, "cgroup.procs", "0", NULL) == 0;
}

static void open_v2(struct hd_cgroups *g, struct hd_str mounts, struct hd_str groups,
                    const char *name)
{
    static const char *const controllers[] = {"memory", "pids", "cpu"};
    char **const to[] = {&g->memory, &g->pids, &g->cpu};
    hd_auto_free char *own = hd_cgroup_find(mounts, groups, "");
    if (own == NULL)
        return;
    hd_auto_free char *dir = NULL;
    bool aside = false;
    for (size_t i = 0; i < HD_COUNT(controllers); i++) {
        struct hd_error err;
        if (*to[i] != NULL)
            continue; /* version 1 has it */
        if (!v2_has(own, controllers[i])) {
            note_why(g, controllers[i], "is not given to the node's cgroup");
            continue;
        }
        if (!aside && !v2_step_aside(own)) {
            note_why(g, controllers[i],
                     "the node's cgroup has other processes in it; start it as a service "
                     "with Delegate=yes");
            return;
        }
        aside = true;
        if (!v2_enable(own, controllers[i], &err)) {
            note_why(g, controllers[i], err.msg);
            continue;
        }
        if (dir == NULL) {
            dir = hd_printf("%s/%s", own, name);
            if (mkdir(dir, 0755) < 0 && errno != EEXIST) {
                note_why(g, name, strerror(errno));
                return;
            }
        }
        if (!v2_enable(dir, controllers[i], &err)) {
            note_why(g, controllers[i], err.msg);
            continue;
        }
        g->version = 2;
        *to[i] = hd_strdup(dir);
    }
}

/* Beside our group stand the node's own threads, each of them with an ordinary share: one share for
 * all functions together would leave them next to nothing on a busy machine. Version 2 has the node
 * in a group of its own, and both groups weigh the same. */
static void v1_share(const struct hd_cgroups *g)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    char text[32];
    snprintf(text, sizeof(text), "%ld", HD_MAX(cores, 1L) * V1_SHARE);
    if (g->cpu != NULL)
        hd_cgroup_put(g->cpu, "cpu.shares", text, NULL);
}

static void open_v1(struct hd_cgroups *g, struct hd_str mounts, struct hd_str groups,
                    const char *name)
{
    char why_not_2[sizeof(g->why_not)];
    memcpy(why_not_2, g->why_not, sizeof(why_not_2));
    g->why_not[0] = '\0';
    g->memory = make_parent(g, mounts, groups, "memory", name);
    g->pids = make_parent(g, mounts, groups, "pids", name);
    g->cpu = make_parent(g, mounts, groups, "cpu", name);
    g->cpuacct = make_parent(g, mounts, groups, "cpuacct", name);
    if (g->memory != NULL || g->pids != NULL || g->cpu != NULL || g->cpuacct != NULL)
        g->version = 1;
    else if (why_not_2[0] != '\0')
        memcpy(g->why_not, why_not_2, sizeof(why_not_2)); /* version 2 is there, and could do it */
    v1_share(g);
}

void hd_cgroups_open(struct hd_cgroups *g, const char *name)
{
    *g = (struct hd_cgroups){0};
    hd_auto_free char *mounts = hd_cgroup_get("/proc/self", "mountinfo");
    hd_auto_free char *groups = hd_cgroup_get("/proc/self", "cgroup");
    if (mounts == NULL || groups == NULL)
        return;
    open_v2(g, hd_str(mounts), hd_str(groups), name);
    if (g->version != 2)
        open_v1(g, hd_str(mounts), hd_str(groups), name);
    hd_freezer_open(g, hd_str(mounts), hd_str(groups), name);
}

static void add_once(struct hd_spec_list *l, const char *dir)
{
    bool there = dir == NULL;
    for (size_t i = 0; i < l->n && !there; i++)
        there = strcmp(l->v[i], dir) == 0;
    if (!there)
        hd_spec_list_add(l, dir);
}

void hd_cgroups_dirs(const struct hd_cgroups *g, struct hd_spec_list *out)
{
    const char *const dirs[] = {g->memory, g->pids, g->cpu, g->cpuacct, g->freezer};
    for (size_t i = 0; i < HD_COUNT(dirs); i++)
        add_once(out, dirs[i]);
}

void hd_cgroups_close(struct hd_cgroups *g)
{
    char **const dirs[] = {&g->memory, &g->pids, &g->cpu, &g->cpuacct, &g->freezer};
    for (size_t i = 0; i < HD_COUNT(dirs); i++) {
        if (*dirs[i] != NULL)
            rmdir(*dirs[i]);
        free(*dirs[i]);
        *dirs[i] = NULL;
    }
}

/* --- one instance's --- */

static int make(char **out, const char *parent, uint32_t serial, struct hd_error *err)
{
    if (parent == NULL)
        return 0;
    hd_auto_free char *dir = hd_printf("%s/i-%" PRIu32, parent, serial);
    if (mkdir(dir, 0755) < 0 && errno != EEXIST) /* one folder may serve several controllers */
        return hd_fail_sys(err, errno, "cgroup %s", dir);
    *out = hd_steal(dir);
    return 0;
}

int hd_cgroup_make(struct hd_cgroup *out, const struct hd_cgroups *g, uint32_t serial,
                   struct hd_error *err)
{
    *out = (struct hd_cgroup){0};
    int rc = make(&out->memory, g->memory, serial, err);
    if (rc == 0)
        rc = make(&out->pids, g->pids, serial, err);
    if (rc == 0)
        rc = make(&out->cpu, g->cpu, serial, err);
    if (rc == 0)
        rc = make(&out->cpuacct, g->cpuacct, serial, err);
    if (rc < 0) {
        hd_cgroup_remove(out);
        hd_cgroup_done(out);
        return rc;
    }
    out->freezer_version = g->freezer_version;
    if (g->freezer != NULL)
        out->freezer = hd_printf("%s/i-%" PRIu32, g->freezer, serial);
    return 0;
}

void hd_cgroup_dirs(const struct hd_cgroup *c, struct hd_spec_list *out)
{
    const char *const dirs[] = {c->memory, c->pids, c->cpu, c->cpuacct};
    for (size_t i = 0; i < HD_COUNT(dirs); i++)
        add_once(out, dirs[i]);
}

static int limit_memory(const char *dir, uint32_t memory_mb, struct hd_error *err)
{
    char text[32];
    bool v2 = has(dir, "memory.max");
    if (memory_mb == 0)
        return hd_cgroup_put(dir, v2 ? "memory.max" : "memory.limit_in_bytes", v2 ? "max" : "-1",
                             err);
    snprintf(text, sizeof(text), "%" PRIu64, (uint64_t)memory_mb << 20);
    if (v2) {
        if (has(dir, "memory.swap.max"))
            hd_cgroup_put(dir, "memory.swap.max", "0", NULL);
        hd_cgroup_put(dir, "memory.oom.group", "1", NULL);
        return hd_cgroup_put(dir, "memory.max", text, err);
    }
    int rc = hd_cgroup_put(dir, "memory.limit_in_bytes", text, err);
    if (rc == 0 && has(dir, "memory.memsw.limit_in_bytes"))
        hd_cgroup_put(dir, "memory.memsw.limit_in_bytes", text, NULL);
    return rc;
}

int hd_cgroup_limit(const struct hd_cgroup *c, uint32_t memory_mb, uint32_t pids,
                    struct hd_error *err)
{
    char text[32] = "max";
    int rc = c->memory != NULL ? limit_memory(c->memory, memory_mb, err) : 0;
    if (rc < 0 || c->pids == NULL)
        return rc;
    if (pids > 0)
        snprintf(text, sizeof(text), "%" PRIu32, pids);
    return hd_cgroup_put(c->pids, "pids.max", text, err);
}

uint64_t hd_cgroup_memory(const struct hd_cgroup *c)
{
    if (c->memory == NULL)
        return 0;
    hd_auto_free char *text = hd_cgroup_get(c->memory, "memory.stat");
    uint64_t anon = number_in(text, "anon"); /* version 2 */
    return anon > 0 ? anon : number_in(text, "rss");
}

uint64_t hd_cgroup_peak(const struct hd_cgroup *c)
{
    if (c->memory == NULL)
        return 0;
    uint64_t v2 = number(c->memory, "memory.peak", NULL);
    return v2 > 0 ? v2 : number(c->memory, "memory.max_usage_in_bytes", NULL);
}

int hd_cgroup_share(const struct hd_cgroup *c, uint32_t memory_mb, struct hd_error *err)
{
    char text[32];
    if (c->cpu == NULL)
        return 0;
    bool v2 = has(c->cpu, "cpu.weight");
    uint64_t ordinary = v2 ? 100 : V1_SHARE, least = v2 ? 1 : 2, most = v2 ? 10000 : 262144;
    uint64_t share = memory_mb > 0 ? memory_mb * ordinary / CORE_MB : ordinary;
    snprintf(text, sizeof(text), "%" PRIu64, HD_MIN(HD_MAX(share, least), most));
    return hd_cgroup_put(c->cpu, v2 ? "cpu.weight" : "cpu.shares", text, err);
}

uint64_t hd_cgroup_cpu_us(const struct hd_cgroup *c)
{
    if (c->cpuacct != NULL)
        return number(c->cpuacct, "cpuacct.usage", NULL) / 1000;
    return c->cpu != NULL ? number(c->cpu, "cpu.stat", "usage_usec") : 0;
}

uint64_t hd_cgroup_oom_kills(const struct hd_cgroup *c)
{
    if (c->memory == NULL)
        return 0;
    if (has(c->memory, "memory.events"))
        return number(c->memory, "memory.events", "oom_kill");
    return number(c->memory, "memory.oom_control", "oom_kill");
}

void hd_cgroup_kill_in(const char *dir)
{
    hd_auto_free char *text = hd_cgroup_get(dir, "cgroup.procs");
    struct hd_str rest = hd_str(text), line;
    uint64_t pid;
    while (text != NULL && hd_str_split(&line, &rest, '\n'))
        if (hd_str_to_u64(&pid, line) == 0 && pid > 1 && pid < INT32_MAX)
            kill((pid_t)pid, SIGKILL);
}

void hd_cgroup_kill(const struct hd_cgroup *c)
{
    const char *dir = c->pids != NULL ? c->pids : c->memory != NULL ? c->memory : c->cpu;
    if (dir != NULL && hd_cgroup_put(dir, "cgroup.kill", "1", NULL) < 0)
        hd_cgroup_kill_in(dir);
    if (c->freezer_version == 1)
        hd_freezer_end(c->freezer);
}

bool hd_cgroup_remove(struct hd_cgroup *c)
{
    const char *const dirs[] = {c->memory, c->pids, c->cpu, c->cpuacct, c->freezer};
    bool gone = true;
    for (size_t i = 0; i < HD_COUNT(dirs); i++)
        if (dirs[i] != NULL && rmdir(dirs[i]) < 0 && errno != ENOENT)
            gone = false;
    return gone;
}

void hd_cgroup_done(struct hd_cgroup *c)
{
    free(c->memory);
    free(c->pids);
    free(c->cpu);
    free(c->cpuacct);
    free(c->freezer);
    *c = (struct hd_cgroup){0};
}
