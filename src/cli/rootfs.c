#include "cli/rootfs.h"

#include "cli/child.h"
#include "core/map.h"
#include "cli/term.h"
#include "core/tar.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ANSWER_MS = 30000, ANSWER_MAX = 64 << 10, DEPTH_MAX = 16 };

/* What scripts take for granted; those that are not here are left out. */
static const char *const tools[] = {
    "bash",    "base64", "basename", "cat",    "chmod", "cp",     "curl",  "cut",   "date",
    "dirname", "echo",   "env",      "expr",   "false", "find",   "grep",  "head",  "id",
    "ln",      "ls",     "mkdir",    "mktemp", "mv",    "printf", "ps",    "pwd",   "rm",
    "rmdir",   "sed",    "seq",      "sleep",  "sort",  "stat",   "tail",  "tee",   "test",
    "touch",   "tr",     "true",     "uname",  "uniq",  "wc",     "which", "xargs", NULL};

/* Neither tests nor what is for building and for screens. */
static const char *const not_python[] = {"test",          "tests",         "idlelib",
                                         "tkinter",       "turtledemo",    "ensurepip",
                                         "dist-packages", "site-packages", NULL};

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "function:x:993:990:function:/tmp:/bin/sh\n";
static const char group[] = "root:x:0:\nfunction:x:990:\n";
static const char names[] = "passwd: files\ngroup: files\nhosts: files dns\n";
static const char ask_python[] = "import sys,sysconfig\n"
                                 "print(getattr(sys,'_base_executable','') or sys.executable)\n"
                                 "print('%d.%d.%d'%sys.version_info[:3])\n"
                                 "print(sysconfig.get_path('stdlib'))\n"
                                 "print(sysconfig.get_path('platstdlib'))\n";
static const char ask_node[] = "process.execPath+'\\n'+process.version+'\\n'";

struct builder {
    struct hd_tar tar;
    struct hd_map done; /* names that are in it; keys and values are the names, ours */
    const struct hd_rootfs_options *opt;
    struct hd_rootfs *out;
    char *loader; /* that says what a program loads */
    struct hd_error err;
};

static void put(struct builder *b, const char *path);

/* --- names --- */

/* @return whether it was not there yet. */
static bool is_new(struct builder *b, const char *name)
{
    if (name[0] == '\0' || hd_map_get(&b->done, hd_str(name)) != NULL)
        return false;
    char *copy = hd_strdup(name);
    hd_map_put(&b->done, hd_str(copy), copy);
    return true;
}

static void put_folder(struct builder *b, const char *name, mode_t mode)
{
    for (const char *slash = name; (slash = strchr(slash, '/')) != NULL; slash++) {
        hd_auto_free char *above = hd_strdup_n(hd_str_n(name, (size_t)(slash - name)));
        if (is_new(b, above))
            hd_tar_folder(&b->tar, above, 0755);
    }
    if (is_new(b, name))
        hd_tar_folder(&b->tar, name, mode);
}

static void put_parent(struct builder *b, const char *name)
{
    const char *slash = strrchr(name, '/');
    hd_auto_free char *above =
        hd_strdup_n(hd_str_n(name, slash != NULL ? (size_t)(slash - name) : 0));
    if (above[0] != '\0')
        put_folder(b, above, 0755);
}

static void put_link(struct builder *b, const char *name, const char *target)
{
    put_parent(b, name);
    if (is_new(b, name))
        hd_tar_link(&b->tar, name, target);
}

static void put_text(struct builder *b, const char *name, const char *text)
{
    put_parent(b, name);
    if (is_new(b, name))
        hd_tar_text(&b->tar, name, 0644, hd_str(text));
}

/* --- programs and what they load --- */

struct elf {
    const unsigned char *ptr;
    size_t len;
    bool dynamic;
    char interpreter[PATH_MAX];
};

static bool is_elf(const struct elf *e)
{
    return e->len > sizeof(Elf64_Ehdr) && memcmp(e->ptr, ELFMAG, SELFMAG) == 0 &&
           e->ptr[EI_CLASS] == ELFCLASS64;
}

/* The System V ABI's program headers: is it linked dynamically, and by what. */
static void read_headers(struct elf *e)
{
    Elf64_Ehdr head;
    memcpy(&head, e->ptr, sizeof(head));
    for (size_t i = 0; i < head.e_phnum; i++) {
        Elf64_Phdr part;
        size_t at = head.e_phoff + i * sizeof(part);
        if (at > e->len || e->len - at < sizeof(part))
            return;
        memcpy(&part, e->ptr + at, sizeof(part));
        bool fits = part.p_offset <= e->len && part.p_filesz <= e->len - part.p_offset;
        if (part.p_type == PT_DYNAMIC)
            e->dynamic = true;
        if (part.p_type == PT_INTERP && fits && part.p_filesz < sizeof(e->interpreter))
            memcpy(e->interpreter, e->ptr + part.p_offset, part.p_filesz);
    }
}

/* @return whether it is a program or library; then it is to be unmapped. */
static bool open_elf(struct elf *e, const char *path)
{
    struct stat st;
    *e = (struct elf){.ptr = NULL};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (at != MAP_FAILED)
            *e = (struct elf){.ptr = at, .len = (size_t)st.st_size};
    }
    close(fd);
    if (e->ptr == NULL)
        return false;
    if (is_elf(e)) {
        read_headers(e);
        return true;
    }
    munmap((void *)(uintptr_t)e->ptr, e->len);
    return false;
}

/* Debian's Node reads some of its own modules from files, whose names are in it. */
static void put_named_files(struct builder *b, const struct elf *e)
{
    static const char place[] = "/usr/share/nodejs/";
    const unsigned char *at = e->ptr, *end = e->ptr + e->len;
    while ((at = memmem(at, (size_t)(end - at), place, strlen(place))) != NULL) {
        size_t n = strnlen((const char *)at, (size_t)(end - at));
        hd_auto_free char *path =
            hd_strdup_n(hd_str_n((const char *)at, HD_MIN(n, (size_t)PATH_MAX)));
        if (n > 3 && strcmp(path + n - 3, ".js") == 0 && access(path, R_OK) == 0)
            put(b, path);
        at += n > 0 ? n : 1;
    }
}

/* "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)": the paths. */
static void put_list(struct builder *b, struct hd_str list)
{
    struct hd_str line, word;
    while (hd_str_split(&line, &list, '\n')) {
        line = hd_str_trim(line);
        while (hd_str_split(&word, &line, ' ')) {
            if (word.len == 0 || word.ptr[0] != '/')
                continue;
            hd_auto_free char *path = hd_strdup_n(word);
            put(b, path);
        }
    }
}

static void put_loaded(struct builder *b, const char *path, bool node)
{
    struct elf e;
    struct hd_buf list;
    if (!open_elf(&e, path))
        return;
    if (e.interpreter[0] != '\0') {
        put(b, e.interpreter);
        free(b->loader);
        b->loader = hd_strdup(e.interpreter);
    }
    if (node || strstr(path, "/libnode.so") != NULL)
        put_named_files(b, &e);
    munmap((void *)(uintptr_t)e.ptr, e.len);
    if (!e.dynamic || b->loader == NULL)
        return;
    const char *const argv[] = {b->loader, "--list", path, NULL};
    hd_buf_init(&list, ANSWER_MAX);
    if (hd_child_read(&list, argv, b->opt->env, ANSWER_MS) == 0)
        put_list(b, hd_buf_view(&list));
    hd_buf_done(&list);
}

/* A file under its own name, without what it loads; a link with what it leads to. */
static void put(struct builder *b, const char *path)
{
    char folder[PATH_MAX], real[PATH_MAX];
    const char *slash = strrchr(path, '/');
    hd_auto_free char *above = hd_strdup_n(hd_str_n(path, (size_t)(slash - path)));
    struct stat st;
    if (realpath(above[0] != '\0' ? above : "/", folder) == NULL)
        return;
    hd_auto_free char *at = hd_printf("%s/%s", strcmp(folder, "/") != 0 ? folder : "", slash + 1);
    if (lstat(at, &st) < 0)
        return;
    if (S_ISLNK(st.st_mode)) {
        if (realpath(at, real) == NULL)
            return;
        put_link(b, at + 1, real);
        put(b, real);
    } else if (S_ISREG(st.st_mode)) {
        put_parent(b, at + 1);
        if (!is_new(b, at + 1))
            return;
        hd_tar_file(&b->tar, at + 1, 0, at);
        b->out->files++;
        if (strstr(slash, "libnode.so") != NULL)
            put_loaded(b, at, true);
    }
}

/* @return whether it is there, or need not be. */
static bool put_program(struct builder *b, const char *program, bool needed)
{
    char real[PATH_MAX];
    struct elf e;
    hd_auto_free char *path = hd_child_find(program, hd_env_get(b->opt->env, "PATH"));
    if (path == NULL && strchr(program, '/') == NULL)
        path = hd_child_find(program, NULL);
    if (path == NULL) {
        if (needed)
            hd_fail(&b->err, HD_ENOTFOUND, "%s: there is no such program here", program);
        return !needed;
    }
    if (!open_elf(&e, path)) {
        /* A wrapper of a version manager, say: the system has its own behind it. */
        free(path);
        path = strchr(program, '/') == NULL ? hd_child_find(program, NULL) : NULL;
        if (path == NULL || !open_elf(&e, path)) {
            if (needed)
                hd_fail(&b->err, HD_EINVAL, "%s: is a script; name the program it starts", program);
            return !needed;
        }
    }
    munmap((void *)(uintptr_t)e.ptr, e.len);
    put(b, path);
    if (realpath(path, real) != NULL)
        put_loaded(b, real, false);
    hd_auto_free char *usual = hd_printf("usr/bin/%s", strrchr(path, '/') + 1);
    if (hd_map_get(&b->done, hd_str(usual)) == NULL)
        put_link(b, usual, path);
    return true;
}

/* --- runtimes --- */

/* @return the answer's lines, all of them there, or false. */
static bool ask(struct builder *b, struct hd_buf *room, const char *program,
                const char *const *args, struct hd_str *lines, size_t n)
{
    const char *argv[6] = {NULL};
    hd_auto_free char *path = hd_child_find(program, hd_env_get(b->opt->env, "PATH"));
    if (path == NULL)
        return false;
    argv[0] = path;
    for (size_t i = 0; args[i] != NULL; i++)
        argv[i + 1] = args[i];
    if (hd_child_read(room, argv, b->opt->env, ANSWER_MS) < 0)
        return false;
    struct hd_str rest = hd_buf_view(room);
    for (size_t i = 0; i < n; i++)
        if (!hd_str_split(&lines[i], &rest, '\n') || lines[i].len == 0)
            return false;
    return true;
}

static void put_runtime(struct builder *b, struct hd_str executable, const char *name, bool node)
{
    char real[PATH_MAX];
    hd_auto_free char *path = hd_strdup_n(executable);
    hd_auto_free char *usual = hd_printf("usr/bin/%s", name);
    if (realpath(path, real) == NULL)
        return;
    put(b, real);
    put_loaded(b, real, node);
    put_link(b, usual, real);
}

static bool put_node(struct builder *b)
{
    static const char *const args[] = {"-p", ask_node, NULL};
    struct hd_str lines[2];
    struct hd_buf room;
    hd_buf_init(&room, ANSWER_MAX);
    bool good = ask(b, &room, b->opt->node, args, lines, 2);
    if (good) {
        put_runtime(b, lines[0], "node", true);
        snprintf(b->out->node_version, sizeof(b->out->node_version), "%.*s", HD_FMT(lines[1]));
    }
    hd_buf_done(&room);
    return good;
}

static bool is_in(const char *const *list, const char *word)
{
    for (; *list != NULL; list++)
        if (strcmp(*list, word) == 0)
            return true;
    return false;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static void put_library(struct builder *b, const char *folder, unsigned depth)
{
    DIR *dir = depth < DEPTH_MAX ? opendir(folder) : NULL;
    if (dir == NULL)
        return;
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        struct stat st;
        const char *name = d->d_name;
        hd_auto_free char *path = hd_printf("%s/%s", folder, name);
        if (name[0] == '.' || lstat(path, &st) < 0 || ends_with(name, ".a") ||
            ends_with(name, ".opt-1.pyc") || ends_with(name, ".opt-2.pyc"))
            continue;
        if (S_ISDIR(st.st_mode)) {
            if (!is_in(not_python, name) && strncmp(name, "config-", 7) != 0)
                put_library(b, path, depth + 1);
            continue;
        }
        put(b, path);
        if (ends_with(name, ".so"))
            put_loaded(b, path, false);
    }
    closedir(dir);
}

static bool put_python(struct builder *b)
{
    static const char *const args[] = {"-I", "-c", ask_python, NULL};
    struct hd_str lines[4];
    struct hd_buf room;
    hd_buf_init(&room, ANSWER_MAX);
    bool good = ask(b, &room, b->opt->python, args, lines, 4);
    if (good) {
        hd_auto_free char *library = hd_strdup_n(lines[2]);
        hd_auto_free char *platform = hd_strdup_n(lines[3]);
        put_runtime(b, lines[0], "python3", false);
        put_library(b, library, 0);
        if (strcmp(library, platform) != 0)
            put_library(b, platform, 0);
        snprintf(b->out->python_version, sizeof(b->out->python_version), "%.*s", HD_FMT(lines[1]));
    }
    hd_buf_done(&room);
    return good;
}

/* --- all of it --- */

/* /bin and /lib are links on most systems, and so they have to be inside. */
static void put_top(struct builder *b)
{
    static const char *const tops[] = {"bin", "sbin", "lib", "lib32", "lib64", NULL};
    char target[PATH_MAX];
    for (size_t i = 0; tops[i] != NULL; i++) {
        hd_auto_free char *path = hd_printf("/%s", tops[i]);
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        if (n <= 0)
            continue;
        target[n] = '\0';
        put_link(b, tops[i], target);
        put_folder(b, target[0] == '/' ? target + 1 : target, 0755);
    }
}

static void put_settings(struct builder *b)
{
    static const char bundle[] = "/etc/ssl/certs/ca-certificates.crt";
    put_text(b, "etc/passwd", passwd);
    put_text(b, "etc/group", group);
    put_text(b, "etc/nsswitch.conf", names);
    put(b, "/etc/ld.so.cache"); /* libraries lie where it says */
    put(b, "/etc/ssl/openssl.cnf");
    put(b, bundle);
    if (access(bundle, R_OK) == 0)
        put_link(b, "usr/lib/ssl/cert.pem", bundle);
    put_link(b, "usr/lib/ssl/openssl.cnf", "/etc/ssl/openssl.cnf");
}

static void put_folders(struct builder *b)
{
    static const char *const folders[] = {"proc",     "sys",         "dev",        "root", "opt",
                                          "var/task", "var/runtime", "heddle/run", NULL};
    for (size_t i = 0; folders[i] != NULL; i++)
        put_folder(b, folders[i], 0755);
    put_folder(b, "tmp", 01777);
    put_folder(b, "var/tmp", 01777);
}

int hd_rootfs_write(struct hd_rootfs *out, int fd, const struct hd_rootfs_options *options,
                    struct hd_error *err)
{
    struct builder b = {.opt = options, .out = out};
    size_t at = 0;
    struct hd_str name;
    void *value;
    *out = (struct hd_rootfs){.files = 0};
    hd_map_init(&b.done, 0);
    hd_tar_begin(&b.tar, fd);
    put_top(&b);
    put_folders(&b);
    put_settings(&b);
    bool good = put_program(&b, "sh", true);
    for (size_t i = 0; good && tools[i] != NULL; i++)
        put_program(&b, tools[i], false);
    for (const char *const *p = options->programs; good && p != NULL && *p != NULL; p++)
        good = put_program(&b, *p, true);
    if (good && options->node != NULL)
        out->node = put_node(&b);
    if (good && options->python != NULL)
        out->python = put_python(&b);
    while (hd_map_next(&b.done, &at, &name, &value))
        free(value);
    hd_map_done(&b.done);
    free(b.loader);
    int rc = hd_tar_end(&b.tar, err);
    if (good)
        return rc;
    *err = b.err;
    return err->code;
}
