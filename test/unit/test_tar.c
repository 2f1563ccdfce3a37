/* test/unit/test_tar.c - what was written, tar reads. */
#include "core/folder.h"
#include "core/tar.h"
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct rig {
    char dir[40];
    char *archive;
    int fd;
    struct hd_tar tar;
};

static void start(struct rig *r)
{
    snprintf(r->dir, sizeof(r->dir), "/tmp/heddle-tar-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    r->archive = hd_printf("%s/a.tar", r->dir);
    r->fd = open(r->archive, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(r->fd >= 0);
    hd_tar_begin(&r->tar, r->fd);
}

static void stop(struct rig *r)
{
    close(r->fd);
    hd_remove_tree(r->dir);
    free(r->archive);
}

static void write_file(const char *path, const char *text, size_t n, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* @return what a shell command prints, with $A for the archive; to be freed. */
static char *told(struct rig *r, const char *command)
{
    char text[4096];
    setenv("A", r->archive, 1);
    FILE *f = popen(command, "r");
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    assert_int_equal(pclose(f), 0);
    return hd_strdup(text);
}

static void tar_reads_what_was_written(void **state)
{
    struct rig r;
    char path[120];
    start(&r);
    snprintf(path, sizeof(path), "%s/program", r.dir);
    write_file(path, "0123456789abcdef", 70000, 0755); /* over a megabyte */
    hd_tar_folder(&r.tar, "usr/bin", 0755);
    hd_tar_file(&r.tar, "usr/bin/program", 0, path);
    hd_tar_file(&r.tar, "usr/bin/locked", 0400, path);
    hd_tar_link(&r.tar, "bin", "usr/bin");
    hd_tar_text(&r.tar, "etc/name", 0644, hd_str("me\n"));
    hd_tar_text(&r.tar, "etc/empty", 0600, hd_str(""));
    assert_int_equal(hd_tar_end(&r.tar, NULL), 0);
    hd_auto_free char *list = told(&r, "tar -tvf $A | awk '{print $1, $2, $3, $6, $7, $8}'");
    assert_string_equal(list, "drwxr-xr-x 0/0 0 usr/bin/  \n"
                              "-rwxr-xr-x 0/0 1120000 usr/bin/program  \n"
                              "-r-------- 0/0 1120000 usr/bin/locked  \n"
                              "lrwxrwxrwx 0/0 0 bin -> usr/bin\n"
                              "-rw-r--r-- 0/0 3 etc/name  \n"
                              "-rw------- 0/0 0 etc/empty  \n");
    hd_auto_free char *sum = told(
        &r, "cd ${A%/*} && tar -xOf $A usr/bin/program | cmp - program && tar -xOf $A etc/name");
    assert_string_equal(sum, "me\n");
    stop(&r);
    (void)state;
}

static void names_may_be_long(void **state)
{
    struct rig r;
    char name[1100];
    start(&r);
    for (size_t n = 95; n < 110; n++) { /* around the length that a header has room for */
        memset(name, 'n', n);
        name[n] = '\0';
        hd_tar_text(&r.tar, name, 0644, hd_str("x"));
    }
    memset(name, 'd', 1000);
    memcpy(name + 1000, "/f", 3);
    hd_tar_text(&r.tar, name, 0644, hd_str("long"));
    hd_tar_link(&r.tar, "link", name);
    assert_int_equal(hd_tar_end(&r.tar, NULL), 0);
    hd_auto_free char *lengths = told(&r, "tar -tf $A | awk '{printf \"%d \", length($0)}'");
    assert_string_equal(lengths, "95 96 97 98 99 100 101 102 103 104 105 106 107 108 109 1002 4 ");
    hd_auto_free char *link = told(&r, "tar -tvf $A link | awk '{print length($NF)}'");
    assert_string_equal(link, "1002\n");
    stop(&r);
    (void)state;
}

static void a_tree_is_copied_whole(void **state)
{
    struct rig r;
    start(&r);
    hd_auto_free char *made =
        told(&r, "cd ${A%/*} && mkdir -p t/in/deep && echo 1 >t/in/one && ln -s one t/in/two"
                 " && mkfifo t/in/pipe && chmod 700 t/in && echo ok");
    assert_string_equal(made, "ok\n");
    hd_auto_free char *path = hd_printf("%s/t", r.dir);
    hd_tar_tree(&r.tar, "var/task", path);
    assert_int_equal(hd_tar_end(&r.tar, NULL), 0);
    hd_auto_free char *list = told(&r, "tar -tvf $A | awk '{print $1, $6, $7, $8}' | sort -k2");
    assert_string_equal(list, "drwxr-xr-x var/task/  \n"
                              "drwxr-xr-x var/task/in/  \n"
                              "drwxr-xr-x var/task/in/deep/  \n"
                              "-rw-r--r-- var/task/in/one  \n"
                              "lrwxrwxrwx var/task/in/two -> one\n");
    stop(&r);
    (void)state;
}

static void what_fails_first_is_told(void **state)
{
    struct rig r;
    struct hd_error err;
    start(&r);
    hd_tar_file(&r.tar, "a", 0, "/no/such/file");
    hd_tar_tree(&r.tar, "b", "/no/such/folder");
    assert_int_not_equal(hd_tar_end(&r.tar, &err), 0);
    assert_non_null(strstr(err.msg, "/no/such/file"));
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    hd_tar_begin(&r.tar, full);
    hd_tar_text(&r.tar, "a", 0644, hd_str("x"));
    assert_int_not_equal(hd_tar_end(&r.tar, &err), 0);
    assert_non_null(strstr(err.msg, "no space left"));
    close(full);
    stop(&r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tar_reads_what_was_written), cmocka_unit_test(names_may_be_long),
        cmocka_unit_test(a_tree_is_copied_whole), cmocka_unit_test(what_fails_first_is_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
