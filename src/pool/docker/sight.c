/* GET /info ──rootless──────────────────────────────────────► no
 *     └─► a container with a folder bound into it ──refused──► no
 *             └─► the folder is read from it ─► the container is removed ─► yes, if it is ours */
#include "pool/docker/sight.h"

#include "core/buf.h"
#include "core/folder.h"
#include "core/id.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CALL_MS = 60000, ID_BYTES = 16, TEXT_MAX = 64 << 10 };
static const char inside[] = "/heddle/sight";

struct hd_sight {
    struct hd_loop *loop;
    struct hd_log *log;
    const struct hd_rundir *dir;
    const struct hd_container_site *who;
    struct hd_engine *engine;
    struct hd_list waiting;
    struct hd_timer tell;
    char id[2 * ID_BYTES + 1]; /* contents of the only file in the folder */
    char *ref, *path, *container;
    struct hd_buf text; /* the folder as the engine has it, an archive */
    bool busy, known, sees;
};

struct hd_sight *hd_sight_new(struct hd_loop *loop, struct hd_log *log, const struct hd_rundir *dir,
                              const struct hd_container_site *who)
{
    struct hd_sight *s = hd_new(struct hd_sight);
    s->loop = loop;
    s->log = log;
    s->dir = dir;
    s->who = who;
    hd_list_init(&s->waiting);
    return s;
}

void hd_sight_free(struct hd_sight *s)
{
    if (s == NULL)
        return;
    hd_timer_stop(s->loop, &s->tell);
    hd_buf_done(&s->text);
    free(s->ref);
    free(s->path);
    free(s->container);
    free(s);
}

bool hd_sight_busy(const struct hd_sight *s)
{
    return s->busy;
}

static void on_tell(struct hd_timer *t)
{
    struct hd_sight *s = hd_container_of(t, struct hd_sight, tell);
    for (struct hd_list *l; (l = hd_list_pop(&s->waiting)) != NULL;) {
        struct hd_sight_wait *w = hd_container_of(l, struct hd_sight_wait, link);
        w->done(w, s->sees);
    }
}

static void tell(struct hd_sight *s)
{
    hd_timer_start(s->loop, &s->tell, 0, on_tell);
}

/* @param why  it does not; NULL: it does. */
static void found(struct hd_sight *s, const char *why)
{
    s->busy = false;
    s->known = true;
    s->sees = why == NULL;
    if (s->path != NULL)
        hd_remove_tree(s->path);
    if (why != NULL)
        hd_log(s->log, HD_INFO, "code goes into containers as an archive", hd_kv_str("why", why));
    tell(s);
}

/* The engine is not there: what is asked of it next says so better. */
static void not_found(struct hd_sight *s)
{
    found(s, NULL);
    s->known = false;
}

static void ask(struct hd_sight *s, const char *method, const char *path, const char *body,
                void (*on_part)(void *arg, struct hd_str bytes), hd_engine_done_fn *done)
{
    struct hd_engine_request req = {
        .method = method, .path = path, .body = body, .on_part = on_part, .timeout_ms = CALL_MS};
    hd_engine_ask(s->engine, &req, done, s);
}

static void on_removed(void *arg, const struct hd_engine_answer *a)
{
    struct hd_sight *s = arg;
    struct hd_str text = hd_buf_view(&s->text);
    bool same = text.len > 0 && memmem(text.ptr, text.len, s->id, strlen(s->id)) != NULL;
    (void)a; /* one that is left is removed by the next node */
    found(s, same ? NULL : "the engine does not see the files of this machine");
}

static void on_part(void *arg, struct hd_str bytes)
{
    struct hd_sight *s = arg;
    hd_buf_str(&s->text, bytes);
}

static void on_read(void *arg, const struct hd_engine_answer *a)
{
    struct hd_sight *s = arg;
    hd_auto_free char *path = hd_printf("/containers/%s?force=1&v=1", s->container);
    (void)a; /* what came of it says all */
    ask(s, "DELETE", path, NULL, NULL, on_removed);
}

static void on_created(void *arg, const struct hd_engine_answer *a)
{
    struct hd_sight *s = arg;
    const char *id = json_string_value(json_object_get(a->json, "Id"));
    if (a->err != NULL) {
        not_found(s);
    } else if (a->status != 201 || id == NULL) {
        found(s, "the engine does not find a file of this machine");
    } else {
        s->container = hd_strdup(id);
        hd_auto_free char *path = hd_printf("/containers/%s/archive?path=%s", id, inside);
        ask(s, "GET", path, NULL, on_part, on_read);
    }
}

/* @return whether there is a folder to look at. Some engines read no file that is bound by itself.
 */
static bool make_folder(struct hd_sight *s)
{
    unsigned char random[ID_BYTES];
    hd_random(random, sizeof(random));
    hd_hex(s->id, random, sizeof(random));
    s->id[sizeof(s->id) - 1] = '\0';
    free(s->path);
    s->path = hd_printf("%s/sight-%.8s", s->dir->base, s->id);
    hd_auto_free char *name = hd_printf("%s/file", s->path);
    if (mkdir(s->path, 0755) < 0)
        return false;
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    bool ok = fd >= 0 && write(fd, s->id, strlen(s->id)) == (ssize_t)strlen(s->id);
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool is_rootless(const json_t *info)
{
    size_t i;
    json_t *option;
    json_array_foreach(json_object_get(info, "SecurityOptions"), i, option)
    {
        const char *text = json_string_value(option);
        if (text != NULL && strstr(text, "name=rootless") != NULL)
            return true;
    }
    return json_is_true(json_object_get(info, "Rootless"));
}

static void on_info(void *arg, const struct hd_engine_answer *a)
{
    struct hd_sight *s = arg;
    if (a->err != NULL) {
        not_found(s);
        return;
    }
    if (is_rootless(a->json)) {
        found(s, "the engine is another user's, or runs without root");
        return;
    }
    if (!make_folder(s)) {
        hd_log(s->log, HD_WARN, "whether the engine sees our files cannot be tried",
               hd_kv_str("path", s->path), hd_kv_str("error", strerrordesc_np(errno)));
        not_found(s);
        return;
    }
    json_t *o = json_pack("{s:s, s:[s], s:{s:s, s:s, s:s}, s:{s:s, s:[{s:s, s:s, s:s, s:b}]}}",
                          "Image", s->ref, "Entrypoint", inside, "Labels", HD_CONTAINER_MANAGED,
                          "true", HD_CONTAINER_NODE, s->who->node_id, HD_CONTAINER_BOOT,
                          s->who->boot_id, "HostConfig", "NetworkMode", "none", "Mounts", "Type",
                          "bind", "Source", s->path, "Target", inside, "ReadOnly", 1);
    char *body = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    ask(s, "POST", "/containers/create", body, NULL, on_created);
    free(body);
}

void hd_sight_ask(struct hd_sight *s, struct hd_engine *engine, const char *ref,
                  struct hd_sight_wait *w)
{
    hd_list_init(&w->link);
    hd_list_push(&s->waiting, &w->link);
    if (s->known) {
        tell(s);
        return;
    }
    if (s->busy)
        return;
    s->busy = true;
    s->engine = engine;
    free(s->ref);
    s->ref = hd_strdup(ref);
    free(hd_steal(s->container));
    hd_buf_done(&s->text);
    hd_buf_init(&s->text, TEXT_MAX);
    ask(s, "GET", "/info", NULL, NULL, on_info);
}
