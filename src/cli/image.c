/* image.c - `heddle image build`: the base image of zip functions, made of what is installed here.
 */
#include "cli/commands.h"

#include "cli/rootfs.h"
#include "pool/docker/containerplan.h"
#include "pool/docker/engine.h"
#include "pool/docker/imageref.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IMPORT_MS = 600000, CALL_MS = 60000, MIB = 1 << 20 };

struct image_values {
    char *tag, *output;
    struct hd_option_list runtimes, programs;
};
#define AT(field) .offset = offsetof(struct image_values, field)
#define OWN .no_file = true, .group = "Options", .commands = HD_CMD_IMAGE

const struct hd_option hd_image_options[] = {
    {.key = "tag",
     .flag = "tag",
     .letter = 't',
     .kind = HD_OPTION_STR,
     AT(tag),
     OWN,
     .fallback = HD_CONTAINER_IMAGE,
     .arg = "REF",
     .help = "Name of the image"},
    {.key = "output",
     .flag = "output",
     .letter = 'o',
     .kind = HD_OPTION_PATH,
     AT(output),
     OWN,
     .arg = "FILE",
     .help = "Write a tar archive, and leave the engine alone"},
    {.key = "runtime",
     .flag = "runtime",
     .letter = 'r',
     .kind = HD_OPTION_LIST,
     AT(runtimes),
     OWN,
     .arg = "NAME",
     .help = "node, python; without it those that are here"},
    {.key = "with",
     .flag = "with",
     .kind = HD_OPTION_LIST,
     AT(programs),
     OWN,
     .arg = "PROGRAM",
     .help = "More programs of this machine: a name, or a path"},
};
const size_t hd_image_options_n = HD_COUNT(hd_image_options);

/* --- giving it to the engine --- */

struct import {
    struct hd_loop *loop;
    struct hd_engine *engine;
    const char *ref;
    struct hd_imageref name;
    char id[80]; /* "sha256:..." */
    struct hd_error err;
};

static void on_closed(void *arg)
{
    struct import *im = arg;
    hd_loop_stop(im->loop);
}

static void finish(struct import *im)
{
    hd_engine_close(im->engine, on_closed, im);
}

static void on_line(void *arg, const json_t *line)
{
    struct import *im = arg;
    const char *status = json_string_value(json_object_get(line, "status"));
    const char *error = json_string_value(json_object_get(line, "error"));
    if (error != NULL)
        hd_fail(&im->err, HD_EIO, "the engine does not take the image: %s", error);
    if (status != NULL && strlen(status) < sizeof(im->id))
        memcpy(im->id, status, strlen(status) + 1);
}

static void on_tagged(void *arg, const struct hd_engine_answer *a)
{
    struct import *im = arg;
    if (a->status != 201)
        hd_engine_fail(&im->err, HD_EIO, a, "naming the image");
    finish(im);
}

/* Some engines forget the tag of an import; to say it again does no harm. */
static void on_imported(void *arg, const struct hd_engine_answer *a)
{
    struct import *im = arg;
    if (a->status != 200)
        hd_engine_fail(&im->err, HD_EIO, a, "importing the image");
    else if (im->err.code == 0 && im->id[0] == '\0')
        hd_fail(&im->err, HD_EPROTO, "the engine does not say what it made of the image");
    if (im->err.code != 0) {
        finish(im);
        return;
    }
    hd_auto_free char *path = hd_printf("/images/%s/tag?repo=%.*s&tag=%.*s", im->id,
                                        HD_FMT(im->name.repo), HD_FMT(im->name.tag));
    struct hd_engine_request req = {.method = "POST", .path = path, .timeout_ms = CALL_MS};
    hd_engine_ask(im->engine, &req, on_tagged, im);
}

static int give(struct import *im, int fd, const struct hd_node_options *o)
{
    static const char changes[] = "&changes=ENV%20PATH%3D/usr/local/bin:/usr/bin:/bin"
                                  "&changes=WORKDIR%20/var/task";
    struct hd_engine_where where = {.host = o->docker_host, .certs = o->docker_certs};
    int rc = hd_loop_new(&im->loop, 0, &im->err);
    if (rc < 0)
        return rc;
    rc = hd_engine_new(&im->engine, im->loop, &where, &im->err);
    if (rc == 0) {
        hd_auto_free char *path = hd_printf("/images/create?fromSrc=-&repo=%.*s&tag=%.*s%s",
                                            HD_FMT(im->name.repo), HD_FMT(im->name.tag), changes);
        struct hd_engine_request req = {.method = "POST",
                                        .path = path,
                                        .body_fd = &fd,
                                        .timeout_ms = IMPORT_MS,
                                        .on_line = on_line};
        hd_engine_ask(im->engine, &req, on_imported, im);
        hd_loop_run(im->loop);
    }
    hd_loop_free(im->loop);
    return im->err.code;
}

/* --- making it --- */

static bool wants(const struct hd_option_list *list, const char *runtime)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->items[i], runtime) == 0)
            return true;
    return list->n == 0;
}

static int open_archive(const char *output)
{
    if (output != NULL)
        return open(output, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    const char *dir = getenv("TMPDIR");
    hd_auto_free char *path = hd_printf("%s/heddle-image-XXXXXX", dir != NULL ? dir : "/var/tmp");
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

static void say(struct hd_cli *cli, const char *what, const char *id, const struct hd_rootfs *fs,
                int fd)
{
    struct stat st;
    long long bytes = fstat(fd, &st) == 0 ? (long long)st.st_size : 0;
    fprintf(cli->out.file, "%s: %lld MiB", what, (bytes + MIB / 2) / MIB);
    if (fs->node)
        fprintf(cli->out.file, ", node %s", fs->node_version);
    if (fs->python)
        fprintf(cli->out.file, ", python %s", fs->python_version);
    fprintf(cli->out.file, "%s%s\n", id[0] != '\0' ? "\n" : "", id);
}

static int build(struct hd_cli *cli, const struct hd_parsed *p, const struct image_values *v)
{
    struct import im = {.ref = v->tag};
    struct hd_rootfs fs;
    bool node = wants(&v->runtimes, "node"), python = wants(&v->runtimes, "python");
    const struct hd_rootfs_options options = {.node = node ? p->opt.node : NULL,
                                              .python = python ? p->opt.python : NULL,
                                              .programs = (const char *const *)v->programs.items,
                                              .env = cli->env};
    for (size_t i = 0; i < v->runtimes.n; i++)
        if (strcmp(v->runtimes.items[i], "node") != 0 &&
            strcmp(v->runtimes.items[i], "python") != 0)
            return hd_cli_usage(cli, "--runtime %s: must be node or python", v->runtimes.items[i]);
    if (hd_imageref_check(v->tag, &im.err) < 0)
        return hd_cli_usage(cli, "%s", im.err.msg);
    hd_imageref_split(&im.name, v->tag);
    if (im.name.digest)
        return hd_cli_usage(cli, "--tag %s: a digest is no name", v->tag);
    int fd = open_archive(v->output);
    if (fd < 0)
        return hd_cli_fail(cli, HD_EXIT_CANTMAKE, "%s: %s",
                           v->output != NULL ? v->output : "a temporary file",
                           strerrordesc_np(errno));
    int code = HD_EXIT_OK;
    if (hd_rootfs_write(&fs, fd, &options, &im.err) < 0)
        code = hd_cli_fail(cli, HD_EXIT_FAILED, "%s", im.err.msg);
    else if (v->runtimes.n > 0 && ((node && !fs.node) || (python && !fs.python)))
        code =
            hd_cli_fail(cli, HD_EXIT_NOINPUT, "%s does not run here; name it with --%s PATH",
                        node && !fs.node ? "node" : "python", node && !fs.node ? "node" : "python");
    else if (v->output == NULL && give(&im, fd, &p->opt) < 0)
        code = hd_cli_fail(cli, HD_EXIT_FAILED, "%s", im.err.msg);
    else
        say(cli, v->output != NULL ? v->output : v->tag, im.id, &fs, fd);
    close(fd);
    return code;
}

int hd_cmd_image(struct hd_cli *cli)
{
    struct image_values values = {.tag = NULL};
    struct hd_parsed p;
    int code = hd_cli_parse(cli, &p, &values, 1);
    if (code < 0 && (p.n_words == 0 || strcmp(p.words[0], "build") != 0))
        code = hd_cli_usage(cli, "what is to be done? `build` is all there is");
    if (code < 0)
        code = build(cli, &p, &values);
    hd_parsed_done(&p);
    return code;
}
