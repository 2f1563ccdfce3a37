/* test_zip.c - archives byte by byte. */
#include "functions/zip.h"
#include "zipmake.h"

static int keep(void *arg, struct hd_str bytes)
{
    hd_buf_str(arg, bytes);
    return 0;
}

/* @return 0, and the last entry with its data; or what failed. */
static int read_all(struct hd_str zip, struct hd_zip_entry *e, struct hd_buf *data,
                    struct hd_error *err)
{
    struct hd_zip z;
    int rc = hd_zip_open(&z, zip, err);
    if (rc < 0)
        return rc;
    while ((rc = hd_zip_next(&z, e, err)) > 0) {
        hd_buf_clear(data);
        rc = hd_zip_unpack(e, keep, data, err);
        if (rc < 0)
            return rc;
    }
    return rc;
}

struct fixture {
    struct hd_buf zip, data;
    struct hd_zip_entry e;
    struct hd_error err;
};

static int try(struct fixture *f, const struct zipmake *m, size_t n)
{
    hd_buf_init(&f->zip, 16 << 20);
    hd_buf_init(&f->data, 16 << 20);
    zipmake(&f->zip, m, n, 0);
    return read_all(hd_buf_view(&f->zip), &f->e, &f->data, &f->err);
}

static void done(struct fixture *f)
{
    hd_buf_done(&f->zip);
    hd_buf_done(&f->data);
}

static void entries_are_what_was_packed(void **state)
{
    static const struct {
        struct zipmake m;
        enum hd_zip_kind kind;
        uint32_t mode;
    } cases[] = {
        {{.name = "a", .data = "hello"}, HD_ZIP_FILE, 0644},
        {{.name = "a", .data = "hello", .deflate = true}, HD_ZIP_FILE, 0644},
        {{.name = "a", .data = "hello", .deflate = true, .zip64 = true}, HD_ZIP_FILE, 0644},
        {{.name = "a", .data = "hello", .mode = S_IFREG | 04755}, HD_ZIP_FILE, 0755},
        {{.name = "a", .data = "hello", .mode = 0600}, HD_ZIP_FILE, 0600},
        {{.name = "a", .data = "hello", .dos = true}, HD_ZIP_FILE, 0755},
        {{.name = "a", .data = "hello", .no_mode = true}, HD_ZIP_FILE, 0755},
        {{.name = "a", .data = "hello", .flags = 1 << 3 | 1 << 11}, HD_ZIP_FILE, 0644},
        {{.name = "a/", .mode = S_IFDIR | 0700}, HD_ZIP_FOLDER, 0700},
        {{.name = "a/", .dos = true}, HD_ZIP_FOLDER, 0755},
        {{.name = "a\\", .dos = true}, HD_ZIP_FOLDER, 0755},
        {{.name = "a", .mode = S_IFDIR | 0750}, HD_ZIP_FOLDER, 0750},
        {{.name = "a/", .deflate = true}, HD_ZIP_FOLDER, 0644},
        {{.name = "a", .data = "b", .mode = S_IFLNK | 0777}, HD_ZIP_LINK, 0777},
        {{.name = "a", .mode = S_IFCHR | 0666}, HD_ZIP_OTHER, 0666},
        {{.name = "a", .mode = S_IFIFO | 0666}, HD_ZIP_OTHER, 0666},
        {{.name = "a", .mode = S_IFSOCK | 0666}, HD_ZIP_OTHER, 0666},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct fixture f;
        struct hd_str want = hd_str(cases[i].m.data);
        int rc = try(&f, &cases[i].m, 1);
        if (rc != 0)
            fail_msg("case %zu: %s", i, f.err.msg);
        assert_int_equal(f.e.kind, cases[i].kind);
        assert_int_equal(f.e.mode, cases[i].mode);
        assert_int_equal(f.e.dos, cases[i].m.dos);
        assert_true(hd_str_is(f.e.name, cases[i].m.name));
        assert_true(hd_str_eq(hd_buf_view(&f.data), want));
        assert_int_equal(f.e.mtime_unix_s, 1735730222); /* DOS's time has no zone: UTC */
        done(&f);
    }
    (void)state;
}

static void unix_times_are_better_than_those_of_dos(void **state)
{
    struct fixture f;
    const struct zipmake m = {.name = "a", .unix_time = 1000000007, .zip64 = true};
    assert_int_equal(try(&f, &m, 1), 0);
    assert_int_equal(f.e.mtime_unix_s, 1000000007);
    done(&f);
    (void)state;
}

static void broken_entries_are_refused(void **state)
{
    static const struct {
        struct zipmake m;
        const char *why;
    } cases[] = {
        {{.name = "a", .data = "x", .wrong_crc = 1}, "checksum"},
        {{.name = "a", .data = "x", .deflate = true, .wrong_crc = 1}, "checksum"},
        {{.name = "a", .data = "x", .claim = 1}, "two lengths"},
        {{.name = "a", .data = "xx", .deflate = true, .claim = 1}, "shorter than it says"},
        {{.name = "a", .data = "xx", .deflate = true, .claim = -1}, "longer than it says"},
        {{.name = "a", .data = "not deflated", .method = 8}, "data are broken"},
        {{.name = "a", .data = "x", .flags = 1}, "encrypted"},
        {{.name = "a", .data = "x", .flags = 1 << 6}, "encrypted"},
        {{.name = "a", .data = "x", .flags = 1 << 13}, "encrypted"},
        {{.name = "a", .data = "x", .method = 12}, "method 12"},
        {{.name = "a", .data = "x", .local_name = "b"}, "another name"},
        {{.name = "a", .data = "x", .offset_wrong = 1}, "no entry where the directory says"},
        {{.name = "a", .data = "x", .offset_wrong = 1 << 20}, "outside"},
        {{.name = "a", .data = "x", .zip64 = true, .offset_wrong = UINT64_MAX}, "outside"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct fixture f;
        assert_int_equal(try(&f, &cases[i].m, 1), HD_EINVAL);
        if (strstr(f.err.msg, cases[i].why) == NULL)
            fail_msg("case %zu: %s", i, f.err.msg);
        done(&f);
    }
    (void)state;
}

/* Each byte of the archive is needed: no part of it reads as a whole one. */
static void a_part_of_an_archive_is_none(void **state)
{
    const struct zipmake m[] = {{.name = "a", .data = "hello", .deflate = true},
                                {.name = "b/", .mode = S_IFDIR | 0755},
                                {.name = "b/c", .data = "there", .zip64 = true}};
    struct fixture f;
    assert_int_equal(try(&f, m, HD_COUNT(m)), 0);
    for (size_t len = 0; len < f.zip.len; len++) {
        hd_auto_free char *part = hd_strdup_n(hd_str_n(f.zip.ptr, len));
        assert_int_equal(read_all(hd_str_n(part, len), &f.e, &f.data, &f.err), HD_EINVAL);
        assert_true(f.err.msg[0] != '\0');
    }
    done(&f);
    (void)state;
}

static void what_stands_around_an_archive_does_not_matter(void **state)
{
    const struct zipmake m = {.name = "a", .data = "hello"};
    struct fixture f;
    hd_buf_init(&f.zip, 1 << 20);
    hd_buf_init(&f.data, 1 << 20);
    hd_buf_cstr(&f.zip, "#!/bin/sh\n");
    zipmake(&f.zip, &m, 1, 0);
    hd_buf_cstr(&f.zip, "\n");
    assert_int_equal(read_all(hd_buf_view(&f.zip), &f.e, &f.data, &f.err), 0);
    assert_true(hd_str_is(hd_buf_view(&f.data), "hello"));
    done(&f);
    (void)state;
}

static void the_number_of_entries_must_be_right(void **state)
{
    const struct zipmake m[] = {{.name = "a"}, {.name = "b"}};
    struct fixture f;
    assert_int_equal(try(&f, m, 2), 0);
    f.zip.ptr[f.zip.len - 12] = 1;
    assert_int_equal(read_all(hd_buf_view(&f.zip), &f.e, &f.data, &f.err), HD_EINVAL);
    assert_non_null(strstr(f.err.msg, "number of entries"));
    f.zip.ptr[f.zip.len - 18] = 1; /* and the number of the disk */
    assert_int_equal(read_all(hd_buf_view(&f.zip), &f.e, &f.data, &f.err), HD_EINVAL);
    assert_non_null(strstr(f.err.msg, "in several"));
    done(&f);
    (void)state;
}

static void an_empty_archive_is_one(void **state)
{
    struct fixture f;
    assert_int_equal(try(&f, NULL, 0), 0);
    assert_int_equal(f.zip.len, 22);
    done(&f);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_what_was_packed),
        cmocka_unit_test(unix_times_are_better_than_those_of_dos),
        cmocka_unit_test(broken_entries_are_refused),
        cmocka_unit_test(a_part_of_an_archive_is_none),
        cmocka_unit_test(what_stands_around_an_archive_does_not_matter),
        cmocka_unit_test(the_number_of_entries_must_be_right),
        cmocka_unit_test(an_empty_archive_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
