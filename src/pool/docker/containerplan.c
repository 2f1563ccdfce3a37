#include "pool/docker/containerplan.h"

#include "core/base.h"
#include "core/id.h"
#include "pool/docker/imageref.h"

#include <openssl/sha.h>
#include <signal.h>

enum {
    PIDS = 1024,
    FILES = 1024,
    EPHEMERAL_MB = 512,
    MB_PER_CPU = 1769, /* of memory: the share of a whole processor */
    SHARES_PER_CPU = 1024,
    SHARES_MIN = 2,
};
#define SHIM "/heddle/shim"
#define LANES "/heddle/lanes"
#define LANES_PORT "9002"
static const char lanes_at[] = LANES_PORT ":" LANES,
                  lanes_in_tunnel[] = LANES_PORT ":" HD_CONTAINER_RUN "/lanes";

/* --- which image --- */

static const char *named_image(const char *runtime_id, const char *const *images, bool any)
{
    const char *best = NULL;
    size_t best_len = 0;
    for (size_t i = 0; images != NULL && images[i] != NULL; i++) {
        struct hd_str name = hd_str_n(images[i], strcspn(images[i], "="));
        bool all = hd_str_is(name, "*");
        bool fits = all ? any : name.len > 0 && hd_str_starts(hd_str(runtime_id), name);
        size_t len = all ? 0 : name.len;
        if (fits && (best == NULL || len > best_len)) {
            best = images[i] + name.len + 1;
            best_len = len;
        }
    }
    return best;
}

const char *hd_container_image(const struct hd_launch *what, const char *const *images)
{
    if (what->lambda->image != NULL)
        return what->lambda->image;
    const char *named = named_image(what->lambda->runtime_id, images, true);
    return named != NULL ? named : HD_CONTAINER_IMAGE;
}

bool hd_container_has_image(const char *runtime_id, const char *const *images)
{
    return runtime_id != NULL && named_image(runtime_id, images, false) != NULL;
}

int hd_container_check_images(const char *const *images, struct hd_error *err)
{
    for (size_t i = 0; images != NULL && images[i] != NULL; i++) {
        const char *eq = strchr(images[i], '=');
        if (eq == NULL || eq == images[i])
            return hd_fail(err, HD_EINVAL, "%.100s: must be runtime=image, such as python3.12=ref",
                           images[i]);
        int rc = hd_imageref_check(eq + 1, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- what it runs --- */

static void add(json_t *list, const char *text)
{
    json_array_append_new(list, json_string(text));
}

static void add_list(json_t *list, const char *const *texts)
{
    for (size_t i = 0; texts != NULL && texts[i] != NULL; i++)
        add(list, texts[i]);
}

static int add_command(json_t *list, const struct hd_launch *w,
                       const struct hd_container_site *site, struct hd_error *err)
{
    static const char *const stdio[] = {"--stdio", HD_CONTAINER_RUN, NULL};
    static const char *const lanes[] = {"--lanes", lanes_at, NULL};
    static const char *const port[] = {"--port", "9001", NULL};
    /* The emulator that some images bring has 9001 itself, and 8080 as its front door. */
    static const char *const front[] = {"--port", "9011", "--front", "8080", NULL};
    static const char *const node[] = {"--exec", "--", "node", "/var/runtime/node/host.mjs", NULL};
    static const char *const python[] = {
        "--exec", "--", "python3", "-I", "-u", "-B", "/var/runtime/python/host.py", NULL};
    add_list(list, stdio);
    if (site->lanes_socket != NULL)
        add_list(list, lanes);
    if (w->lambda->image != NULL)
        add_list(list, front);
    else if (strcmp(w->runtime, "provided") == 0)
        add_list(list, port);
    else if (strcmp(w->runtime, "node") == 0)
        add_list(list, node);
    else if (strcmp(w->runtime, "python") == 0)
        add_list(list, python);
    else
        return hd_fail(err, HD_EINVAL,
                       "runtime %s: there is no host for it; bring it as a container image, or as "
                       "provided.al2023 with a bootstrap",
                       w->lambda->runtime_id);
    return 0;
}

/* --- what it sees --- */

void hd_container_env(struct hd_strings *out, const struct hd_launch *what,
                      const struct hd_container_site *site)
{
    static const char address[] = "HEDDLE_LANES_URL=http://127.0.0.1:" LANES_PORT;
    size_t name = strcspn(address, "=") + 1;
    bool given = site->lanes_socket == NULL;
    hd_strings_give(out);
    for (const char *const *p = what->env; p != NULL && *p != NULL; p++) {
        given = given || strncmp(*p, address, name) == 0;
        hd_strings_add(out, hd_str(*p));
    }
    if (!given)
        hd_strings_add(out, hd_str(address));
}

void hd_container_env_done(struct hd_strings *env)
{
    for (size_t i = 0; i < env->n; i++)
        explicit_bzero(env->items[i], strlen(env->items[i]));
    hd_strings_done(env);
}

static json_t *environment(const struct hd_launch *w, const char *token)
{
    json_t *env = json_array();
    add(env, "HEDDLE_RUN_DIR=" HD_CONTAINER_RUN);
    add(env, "HEDDLE_SOCKET=" HD_CONTAINER_RUN "/sock");
    hd_auto_free char *secret = hd_printf("HEDDLE_HOST_TOKEN=%s", token);
    add(env, secret);
    if (w->lambda->image == NULL) {
        add(env, "TZ=:UTC");
        add(env, "LANG=en_US.UTF-8");
    }
    for (const char *const *p = w->env; w->lambda->image == NULL && p != NULL && *p != NULL; p++)
        add(env, *p); /* some are looked at only when the interpreter starts */
    return env;
}

static void bind_in(json_t *mounts, const char *from, const char *to, bool write)
{
    json_array_append_new(mounts, json_pack("{s:s, s:s, s:s, s:b}", "Type", "bind", "Source", from,
                                            "Target", to, "ReadOnly", !write));
}

static json_t *mounts(const struct hd_launch *w, const struct hd_container_site *site,
                      const char *run_dir)
{
    json_t *list = json_array();
    bind_in(list, site->shim_bin, SHIM, false);
    bind_in(list, run_dir, HD_CONTAINER_RUN, true);
    if (site->lanes_socket != NULL)
        bind_in(list, site->lanes_socket, LANES, false);
    if (w->lambda->image != NULL)
        return list;
    bind_in(list, w->lambda->code_dir, "/var/task", false);
    if (w->lambda->opt_dir != NULL)
        bind_in(list, w->lambda->opt_dir, "/opt", false);
    bool node = strcmp(w->runtime, "node") == 0;
    if (node || strcmp(w->runtime, "python") == 0) {
        hd_auto_free char *host = hd_printf("%s/%s", site->runtimes_dir, w->runtime);
        hd_auto_free char *place = hd_printf("/var/runtime/%s", w->runtime);
        bind_in(list, host, place, false);
    }
    if (node) {
        hd_auto_free char *common = hd_printf("%s/common", site->runtimes_dir);
        bind_in(list, common, "/var/runtime/common", false);
    }
    return list;
}

static json_t *limits(const struct hd_launch *w, const struct hd_container_site *site,
                      const char *run_dir)
{
    uint32_t tmp_mb = w->lambda->ephemeral_mb > 0 ? w->lambda->ephemeral_mb : EPHEMERAL_MB;
    json_int_t memory = (json_int_t)w->memory_mb << 20;
    uint32_t shares = w->memory_mb > 0 ? w->memory_mb * SHARES_PER_CPU / MB_PER_CPU : 0;
    /* Some engines give it the mode that the image's own folder has: so it is the user's, too. */
    hd_auto_free char *tmp = hd_printf("rw,exec,nosuid,nodev,size=%um,mode=1777,uid=%u,gid=%u",
                                       (unsigned)tmp_mb, (unsigned)site->uid, (unsigned)site->gid);
    json_t *h =
        json_pack("{s:I, s:I, s:I, s:I, s:b, s:{s:s}, s:[s], s:[s], s:s, s:[{s:s, s:i, s:i}],"
                  " s:{s:s, s:{s:s}}, s:b, s:b}",
                  "Memory", memory, "MemorySwap", memory, "CpuShares",
                  (json_int_t)(shares > 0 ? HD_MAX(shares, (uint32_t)SHARES_MIN) : 0), "PidsLimit",
                  (json_int_t)(w->pids > 0 ? w->pids : PIDS), "ReadonlyRootfs", 1, "Tmpfs", "/tmp",
                  tmp, "CapDrop", "ALL", "SecurityOpt", "no-new-privileges", "NetworkMode", "none",
                  "Ulimits", "Name", "nofile", "Soft", FILES, "Hard", FILES, "LogConfig", "Type",
                  "json-file", "Config", "max-size", "1m", "Init", 0, "AutoRemove", 0);
    json_object_set_new(h, "Mounts", mounts(w, site, run_dir));
    return h;
}

/* --- labels --- */

static bool is_label(const char *text, size_t len)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    static const char inner[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    return len > 0 && len <= HD_CONTAINER_LABEL_MAX && strspn(text, inner) >= len &&
           strchr(plain, text[0]) != NULL && strchr(plain, text[len - 1]) != NULL;
}

void hd_container_label(char out[HD_CONTAINER_LABEL_MAX + 1], const char *text)
{
    enum { KEPT = 40, HASH_BYTES = 4 };
    unsigned char digest[SHA256_DIGEST_LENGTH];
    size_t len = strlen(text), n = 0;
    if (is_label(text, len)) {
        memcpy(out, text, len + 1);
        return;
    }
    for (const char *c = text; *c != '\0' && n < KEPT; c++)
        if (is_label(c, 1) || (n > 0 && strchr("_.-", *c) != NULL))
            out[n++] = *c;
    if (n > 0)
        out[n++] = '-';
    SHA256((const unsigned char *)text, len, digest);
    hd_hex(out + n, digest, HASH_BYTES);
    out[n + 2 * HASH_BYTES] = '\0';
}

/* --- the whole --- */

/* What is to be looked at when the image is known; never sent. */
static const char wanted_member[] = "-heddle";

int hd_container_begin(json_t **out, const struct hd_launch *w, const char *ref,
                       const struct hd_container_site *site, const char *run_dir, const char *id,
                       const char *token, struct hd_error *err)
{
    char function[HD_CONTAINER_LABEL_MAX + 1], version[HD_CONTAINER_LABEL_MAX + 1],
        deploy[HD_CONTAINER_LABEL_MAX + 1];
    const struct hd_launch_lambda *l = w->lambda;
    json_t *command = json_array(), *entry = json_array(), *arguments = json_array();
    int rc = add_command(command, w, site, err);
    add_list(entry, l->image_entry_point);
    add_list(arguments, l->image_command);
    hd_auto_free char *user = hd_printf("%u:%u", (unsigned)site->uid, (unsigned)site->gid);
    hd_container_label(function, w->function);
    hd_container_label(version, l->qualifier != NULL ? l->qualifier : w->version);
    hd_container_label(deploy, w->version);
    json_t *o = json_pack(
        "{s:s, s:[s], s:o, s:o, s:s, s:b, s:{s:s, s:s, s:s, s:s, s:s, s:s, s:s}, s:o, s:{s:o, s:o, "
        "s:b, s:s, s:I}}",
        "Image", ref, "Entrypoint", SHIM, "Cmd", command, "Env", environment(w, token), "User",
        user, "Tty", 0, "Labels", HD_CONTAINER_MANAGED, "true", HD_CONTAINER_NODE, site->node_id,
        HD_CONTAINER_BOOT, site->boot_id, HD_CONTAINER_INSTANCE, id, "heddle.function", function,
        "heddle.version", version, "heddle.deploy", deploy, "HostConfig", limits(w, site, run_dir),
        wanted_member, "entry", entry, "command", arguments, "image", l->image != NULL,
        "architecture", l->architecture != NULL ? l->architecture : "", "nproc",
        (json_int_t)site->nproc);
    const char *place = l->image != NULL ? l->image_workdir : "/var/task";
    if (place != NULL)
        json_object_set_new(o, "WorkingDir", json_string(place));
    if (rc == 0 && o == NULL)
        rc = hd_fail(err, HD_EINVAL, "its settings are not UTF-8 text");
    if (rc < 0)
        json_decref(o);
    else
        *out = o;
    return rc;
}

int hd_container_check_architecture(const char *wanted, const char *ref, const json_t *image,
                                    struct hd_error *err)
{
    const char *has = json_string_value(json_object_get(image, "Architecture"));
    const char *same = hd_str_is(hd_str(wanted), "arm64") ? "arm64" : "amd64";
    if (has == NULL || wanted == NULL || wanted[0] == '\0' || strcmp(has, same) == 0)
        return 0;
    return hd_fail(err, HD_EINVAL, "image %s: is for %s, and the function for %s", ref, has,
                   wanted);
}

static void append(json_t *list, const json_t *override, const json_t *own)
{
    size_t i;
    json_t *item;
    const json_t *from = json_array_size(override) > 0 ? override : own;
    json_array_foreach(from, i, item) json_array_append(list, item);
}

/* Podman takes no owner for /tmp, and needs none: the mode is as it was given. */
static void suit_podman(json_t *body, json_t *nproc)
{
    json_t *host = json_object_get(body, "HostConfig"), *tmpfs = json_object_get(host, "Tmpfs");
    const char *options = json_string_value(json_object_get(tmpfs, "/tmp"));
    const char *owner = options != NULL ? strstr(options, ",uid=") : NULL;
    if (owner != NULL)
        json_object_set_new(tmpfs, "/tmp", json_stringn(options, (size_t)(owner - options)));
    json_array_append_new(
        json_object_get(host, "Ulimits"),
        json_pack("{s:s, s:O, s:O}", "Name", "nproc", "Soft", nproc, "Hard", nproc));
}

/* The root must be writable for the archive; what is in it belongs to root, as in the image. What
 * goes through the tunnel is no log of the engine's. */
static void suit_archive(json_t **mounts, json_t *body)
{
    json_t *host = json_object_get(body, "HostConfig");
    json_t *command = json_object_get(body, "Cmd");
    *mounts = json_incref(json_object_get(host, "Mounts"));
    json_object_del(host, "Mounts");
    json_object_set_new(host, "ReadonlyRootfs", json_false());
    json_object_set_new(host, "LogConfig", json_pack("{s:s}", "Type", "none"));
    json_array_remove(command, 1);
    json_array_set_new(command, 0, json_string("--tunnel"));
    size_t i;
    json_t *item;
    json_array_foreach(command, i, item)
    {
        if (strcmp(json_string_value(item), lanes_at) == 0) {
            json_array_set_new(command, i, json_string(lanes_in_tunnel));
            break;
        }
    }
    json_array_foreach(*mounts, i, item)
    {
        if (strcmp(json_string_value(json_object_get(item, "Target")), LANES) == 0) {
            json_array_remove(*mounts, i);
            break;
        }
    }
    static const char *const members[] = {"OpenStdin", "StdinOnce", "AttachStdin", "AttachStdout",
                                          "AttachStderr"};
    for (i = 0; i < HD_COUNT(members); i++)
        json_object_set_new(body, members[i], json_true());
}

int hd_container_finish(char **out, json_t **mounts, json_t *body, const json_t *image, bool podman,
                        struct hd_error *err)
{
    const json_t *wanted = json_object_get(body, wanted_member);
    const json_t *config = json_object_get(image, "Config");
    const char *ref = json_string_value(json_object_get(body, "Image"));
    json_t *command = json_object_get(body, "Cmd");
    int rc = hd_container_check_architecture(
        json_string_value(json_object_get(wanted, "architecture")), ref, image, err);
    if (rc < 0)
        return rc;
    if (json_is_true(json_object_get(wanted, "image"))) {
        add(command, "--");
        size_t before = json_array_size(command);
        append(command, json_object_get(wanted, "entry"), json_object_get(config, "Entrypoint"));
        append(command, json_object_get(wanted, "command"), json_object_get(config, "Cmd"));
        if (json_array_size(command) == before)
            return hd_fail(err, HD_EINVAL,
                           "image %s: says nothing of what to run; give ImageConfig.EntryPoint or "
                           "Command",
                           ref);
    }
    if (podman)
        suit_podman(body, json_object_get(wanted, "nproc"));
    if (mounts != NULL)
        suit_archive(mounts, body);
    json_object_del(body, wanted_member);
    *out = json_dumps(body, JSON_COMPACT);
    return 0;
}

struct hd_exit_status hd_container_exit(int code, bool oom)
{
    static const int signals[] = {SIGKILL, SIGSEGV, SIGABRT, SIGTERM, SIGBUS, SIGILL, SIGFPE};
    struct hd_exit_status how = {.code = code, .oom = oom};
    for (size_t i = 0; i < HD_COUNT(signals); i++)
        if (code == 128 + signals[i])
            how = (struct hd_exit_status){.signal = signals[i], .oom = oom};
    return how;
}
