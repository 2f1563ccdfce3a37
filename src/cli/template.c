#include "cli/template.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

void hd_new_files_add(struct hd_new_files *files, char *path, char *text)
{
    assert(files->n < HD_NEW_FILES_MAX);
    files->items[files->n++] = (struct hd_new_file){.path = path, .text = text};
}

void hd_new_files_done(struct hd_new_files *files)
{
    for (size_t i = 0; i < files->n; i++) {
        free(files->items[i].path);
        free(files->items[i].text);
    }
    files->n = 0;
}

static char *replace_name(struct hd_str text, const char *name)
{
    static const char mark[] = "{{name}}";
    struct hd_buf out;
    hd_buf_init(&out, 1 << 20);
    while (text.len > 0) {
        const char *at = memmem(text.ptr, text.len, mark, sizeof(mark) - 1);
        size_t before = at != NULL ? (size_t)(at - text.ptr) : text.len;
        hd_buf_add(&out, text.ptr, before);
        if (at != NULL) {
            hd_buf_cstr(&out, name);
            before += sizeof(mark) - 1;
        }
        text = hd_str_n(text.ptr + before, text.len - before);
    }
    return hd_buf_take(&out);
}

char *hd_template_text(const char *path, const char *name)
{
    for (size_t i = 0; i < hd_template_file_count; i++) {
        const struct hd_template_file *f = &hd_template_files[i];
        if (strcmp(f->path, path) == 0)
            return replace_name(hd_str_n(f->text, f->len), name);
    }
    assert(false); /* a template that is not embedded */
    return hd_strdup("");
}

/* What cannot be told from the entry file's name. */
static char *manifest(const char *runtime, bool is_public)
{
    struct hd_buf out;
    hd_buf_init(&out, 4096);
    hd_buf_char(&out, '{');
    if (strcmp(runtime, "node") == 0)
        hd_buf_cstr(&out, "\n  \"runtime\": \"node\",\n  \"entry\": \"index.mjs\",");
    if (strcmp(runtime, "http") == 0)
        hd_buf_cstr(&out, "\n  \"runtime\": \"http\",\n  \"command\": [\"node\", \"server.mjs\"],");
    hd_buf_fmt(&out, "\n  \"verify_jwt\": %s\n}\n", is_public ? "false" : "true");
    return hd_buf_take(&out);
}

void hd_new_files_function(struct hd_new_files *files, const char *dir, const char *runtime,
                           const char *name, bool is_public)
{
    size_t len = strlen(runtime);
    for (size_t i = 0; i < hd_template_file_count; i++) {
        const char *path = hd_template_files[i].path;
        if (strncmp(path, runtime, len) == 0 && path[len] == '/')
            hd_new_files_add(files, hd_printf("%s/%s/%s", dir, name, path + len + 1),
                             hd_template_text(path, name));
    }
    hd_new_files_add(files, hd_printf("%s/%s/heddle.json", dir, name),
                     manifest(runtime, is_public));
}

/* mkdir -p for the folder of @p path. */
static int make_folders(const char *path, struct hd_error *err)
{
    hd_auto_free char *dir = hd_strdup(path);
    for (char *c = dir + 1; *c != '\0'; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        if (mkdir(dir, 0777) < 0 && errno != EEXIST)
            return hd_fail_sys(err, errno, "folder %s", dir);
        *c = '/';
    }
    return 0;
}

static int write_file(const struct hd_new_file *file, struct hd_error *err)
{
    size_t len = strlen(file->text);
    int fd = open(file->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return hd_fail_sys(err, errno, "%s", file->path);
    int rc = 0;
    for (size_t done = 0; done < len && rc == 0;) {
        ssize_t n = write(fd, file->text + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = hd_fail_sys(err, errno, "%s", file->path);
        else
            done += (size_t)n;
    }
    if (close(fd) < 0 && rc == 0)
        rc = hd_fail_sys(err, errno, "%s", file->path);
    if (rc < 0)
        unlink(file->path); /* no half files */
    return rc;
}

int hd_new_files_write(const struct hd_new_files *files, struct hd_error *err)
{
    struct stat st;
    for (size_t i = 0; i < files->n; i++) {
        if (lstat(files->items[i].path, &st) == 0)
            return hd_fail(err, HD_EEXIST, "%s is there already; nothing was written",
                           files->items[i].path);
    }
    int rc = 0;
    for (size_t i = 0; i < files->n && rc == 0; i++) {
        rc = make_folders(files->items[i].path, err);
        if (rc == 0)
            rc = write_file(&files->items[i], err);
    }
    return rc;
}
