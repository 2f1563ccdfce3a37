/* test_bundle_plan.c - which archives are taken, and what would be made of them. */
#include "functions/bundle_plan.h"
#include "zipmake.h"

#include <stdio.h>

static void names_are_brought_into_one_form(void **state)
{
    static const struct {
        const char *in, *out; /* out NULL: refused */
        bool dos;
    } cases[] = {
        {"a", "a", false},
        {"a/b", "a/b", false},
        {"./a//b/./c/", "a/b/c", false},
        {"./", "", false},
        {".", "", false},
        {"a\\b", "a\\b", false},
        {"a\\b", "a/b", true},
        {"a..b/...", "a..b/...", false},
        {"..", NULL, false},
        {"../a", NULL, false},
        {"a/../b", NULL, false}, /* it stays inside, but nobody means well by it */
        {"a/..", NULL, false},
        {"a\\..\\..\\b", NULL, true},
        {"/a", NULL, false},
        {"//a", NULL, false},
        {"\\a", NULL, true},
        {"", NULL, false},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        char *out = NULL;
        struct hd_error err;
        int rc = hd_bundle_name(&out, hd_str(cases[i].in), cases[i].dos, &err);
        if (cases[i].out == NULL) {
            assert_int_equal(rc, HD_EINVAL);
            assert_null(out);
        } else {
            assert_int_equal(rc, 0);
            assert_string_equal(out, cases[i].out);
        }
        free(out);
    }
    (void)state;
}

static void names_have_their_limits(void **state)
{
    char long_name[HD_BUNDLE_PATH_MAX + 10], *out;
    memset(long_name, 'a', sizeof(long_name));
    assert_int_equal(hd_bundle_name(&out, hd_str_n(long_name, 255), false, NULL), 0);
    free(out);
    assert_int_equal(hd_bundle_name(&out, hd_str_n(long_name, 256), false, NULL), HD_EINVAL);
    for (size_t i = 100; i < sizeof(long_name); i += 100)
        long_name[i] = '/';
    assert_int_equal(hd_bundle_name(&out, hd_str_n(long_name, 2040), false, NULL), 0);
    free(out);
    assert_int_equal(hd_bundle_name(&out, hd_str_n(long_name, 2057), false, NULL), HD_EINVAL);
    assert_int_equal(hd_bundle_name(&out, hd_str_n("a\0b", 3), false, NULL), HD_EINVAL);
    (void)state;
}

#define LINK_TO(from, to)                                    \
    {                                                        \
        .name = (from), .data = (to), .mode = S_IFLNK | 0777 \
    }
#define FILE_AT(path)               \
    {                               \
        .name = (path), .data = "x" \
    }

static void archives_that_could_do_harm_are_refused(void **state)
{
    static const struct {
        struct zipmake m[4];
        const char *why; /* NULL: taken */
    } cases[] = {
        {{FILE_AT("../../etc/passwd")}, "leads out"},
        {{FILE_AT("/etc/passwd")}, "absolute"},
        {{{.name = "..\\..\\x", .dos = true}}, "leads out"},
        {{{.name = "a\0.js", .name_len = 5}}, "NUL"},
        {{FILE_AT("a"), FILE_AT("a")}, "there twice"},
        {{FILE_AT("a"), FILE_AT("./a")}, "there twice"},
        {{FILE_AT("a"), FILE_AT("a/b")}, "below what is no folder"},
        {{FILE_AT("a/b"), FILE_AT("a")}, "there twice"},
        {{FILE_AT("a/"), FILE_AT("b")}, "folder with data"},
        {{LINK_TO("a", "b"), FILE_AT("a/x")}, "below what is no folder"},
        {{FILE_AT("a/x"), LINK_TO("a", "/etc")}, "there twice"},
        {{LINK_TO("a", "/etc/passwd")}, "link that leads out"},
        {{LINK_TO("a", "..")}, "link that leads out"},
        {{LINK_TO("d/a", "../../x")}, "link that leads out"},
        {{LINK_TO("a", "b/../..")}, "link that leads out"},
        /* b stands for the root itself: what looks like d/.. from outside is above it */
        {{LINK_TO("d/b", ".."), LINK_TO("a", "d/b/../x")}, "link that leads out"},
        {{LINK_TO("a", "b/.."), LINK_TO("b", "c/d"), LINK_TO("e", "a/../..")}, "leads out"},
        {{LINK_TO("a", "b"), LINK_TO("b", "/")}, "link that leads out"},
        {{LINK_TO("a", "")}, "no path"},
        {{{.name = "a", .data = "x", .flags = 1}}, "encrypted"},
        {{FILE_AT("a"), FILE_AT("b/c"), {.name = "b/", .mode = S_IFDIR | 0755}}, NULL},
        {{{.name = "a/", .mode = S_IFDIR}, {.name = "a", .mode = S_IFDIR | 0755}}, NULL},
        {{LINK_TO("a", "b"), LINK_TO("b", "a")}, NULL}, /* round and round leads nowhere */
        {{LINK_TO("a", "nowhere/at/all")}, NULL},
        {{LINK_TO("d/a", "../b"), FILE_AT("b")}, NULL},
        {{LINK_TO("d/e/a", ".././../b/"), FILE_AT("b/x")}, NULL},
        {{{.name = "dev", .mode = S_IFBLK | 0666}, FILE_AT("b")}, NULL},
        {{{.name = "../dev", .mode = S_IFBLK | 0666}}, "leads out"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_buf zip;
        struct hd_bundle_plan plan;
        struct hd_error err = {0};
        size_t n = 0;
        while (n < HD_COUNT(cases[i].m) && cases[i].m[n].name != NULL)
            n++;
        hd_buf_init(&zip, 1 << 20);
        zipmake(&zip, cases[i].m, n, 0);
        int rc = hd_bundle_plan_make(&plan, hd_buf_view(&zip), 1 << 20, 100, &err);
        if (cases[i].why == NULL && rc == 0)
            hd_bundle_plan_done(&plan);
        else if (cases[i].why == NULL || rc != HD_EINVAL || strstr(err.msg, cases[i].why) == NULL)
            fail_msg("case %zu: %d %s", i, rc, err.msg);
        hd_buf_done(&zip);
    }
    (void)state;
}

static void a_name_cannot_spoil_a_message(void **state)
{
    const struct zipmake m = {.name = "\x1b[2J\n/../x"};
    struct hd_bundle_plan plan;
    struct hd_buf zip;
    struct hd_error err;
    hd_buf_init(&zip, 1 << 20);
    zipmake(&zip, &m, 1, 0);
    assert_int_equal(hd_bundle_plan_make(&plan, hd_buf_view(&zip), 1000, 100, &err), HD_EINVAL);
    assert_string_equal(err.msg, "entry \"?[2J?/../x\": a name that leads out of the archive");
    hd_buf_done(&zip);
    (void)state;
}

static void folders_come_before_what_is_in_them(void **state)
{
    const struct zipmake m[] = {{.name = "x/y/z", .data = "1"},
                                {.name = "x/y/", .mode = S_IFDIR | 0700},
                                {.name = "dev", .mode = S_IFCHR | 0666},
                                {.name = "a", .data = "22"}};
    static const char *const order[] = {"x", "x/y", "x/y/z", "a"};
    struct hd_bundle_plan plan;
    struct hd_buf zip;
    size_t n = 0;
    hd_buf_init(&zip, 1 << 20);
    zipmake(&zip, m, HD_COUNT(m), 0);
    assert_int_equal(hd_bundle_plan_make(&plan, hd_buf_view(&zip), 1000, 4, NULL), 0);
    hd_list_each(link, &plan.items) assert_string_equal(hd_bundle_item_of(link)->path, order[n++]);
    assert_int_equal(n, 4);
    assert_int_equal(plan.n_items, 4);
    assert_int_equal(plan.n_files, 2);
    assert_int_equal(plan.n_dropped, 1);
    assert_int_equal(plan.unpacked_bytes, 3);
    const struct hd_bundle_item *y = hd_map_get(&plan.by_path, hd_str("x/y"));
    assert_true(y->listed);
    assert_int_equal(y->entry.mode, 0700);
    hd_bundle_plan_done(&plan);
    struct hd_error err;
    assert_int_equal(hd_bundle_plan_make(&plan, hd_buf_view(&zip), 1000, 3, &err), HD_EBUSY);
    assert_int_equal(hd_bundle_plan_make(&plan, hd_buf_view(&zip), 3, 4, &err), 0);
    hd_bundle_plan_done(&plan);
    assert_int_equal(hd_bundle_plan_make(&plan, hd_buf_view(&zip), 2, 4, &err), HD_EBUSY);
    hd_buf_done(&zip);
    (void)state;
}

/* Links that double what there is to walk with each one. */
static void tangled_links_do_not_take_for_ever(void **state)
{
    enum { N = 60 };
    static char names[N][16], targets[N][600];
    struct zipmake m[N];
    struct hd_bundle_plan plan;
    struct hd_buf zip;
    struct hd_error err = {0};
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof(names[i]), "l%d", i);
        for (int k = 0; k < 40; k++)
            snprintf(targets[i] + strlen(targets[i]), sizeof(targets[i]) - strlen(targets[i]),
                     "l%d/../", i + 1);
        m[i] = (struct zipmake)LINK_TO(names[i], targets[i]);
    }
    hd_buf_init(&zip, 1 << 20);
    zipmake(&zip, m, N, 0);
    int rc = hd_bundle_plan_make(&plan, hd_buf_view(&zip), 1 << 20, 100, &err);
    if (rc == 0)
        hd_bundle_plan_done(&plan); /* what the kernel would not follow leads nowhere */
    else
        assert_int_equal(rc, HD_EINVAL);
    hd_buf_done(&zip);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_brought_into_one_form),
        cmocka_unit_test(names_have_their_limits),
        cmocka_unit_test(archives_that_could_do_harm_are_refused),
        cmocka_unit_test(a_name_cannot_spoil_a_message),
        cmocka_unit_test(folders_come_before_what_is_in_them),
        cmocka_unit_test(tangled_links_do_not_take_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
