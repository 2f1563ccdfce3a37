/* test_layer.c - several folders as one. */
#include "core/folder.h"
#include "functions/layer.h"
#include "tree.h"

static int merge(const struct tree *t, struct hd_error *err)
{
    const char *const dirs[] = {tree_path(t, "1"), tree_path(t, "2"), tree_path(t, "3")};
    tree_folder(t, "out");
    return hd_layer_merge(tree_path(t, "out"), dirs, 3, err);
}

static void begin(struct tree *t)
{
    tree_make(t);
    tree_folder(t, "1");
    tree_folder(t, "2");
    tree_folder(t, "3");
}

static void expect_file(const struct tree *t, const char *name, const char *text)
{
    char got[100] = "";
    FILE *f = fopen(tree_path(t, name), "r");
    assert_non_null(f);
    assert_non_null(fgets(got, sizeof(got), f));
    fclose(f);
    assert_string_equal(got, text);
}

static void the_later_one_wins(void **state)
{
    struct tree t;
    struct stat st;
    begin(&t);
    tree_file(&t, "1/a", "1");
    tree_file(&t, "2/a", "2");
    tree_file(&t, "3/a", "3");
    tree_file(&t, "1/file_then_folder", "1");
    tree_file(&t, "2/file_then_folder/x", "2");
    tree_file(&t, "1/folder_then_file/deep/er", "1");
    tree_file(&t, "2/folder_then_file", "2");
    tree_link(&t, "1/link_then_folder", "a");
    tree_file(&t, "2/link_then_folder/x", "2");
    tree_file(&t, "1/folder_then_link/x", "1");
    tree_link(&t, "3/folder_then_link", "a");
    tree_file(&t, "1/both/x", "1");
    tree_file(&t, "2/both/y", "2");
    assert_int_equal(chmod(tree_path(&t, "2/both"), 0711), 0);
    assert_int_equal(merge(&t, NULL), 0);
    expect_file(&t, "out/a", "3");
    expect_file(&t, "out/file_then_folder/x", "2");
    expect_file(&t, "out/folder_then_file", "2");
    expect_file(&t, "out/link_then_folder/x", "2");
    expect_file(&t, "out/folder_then_link", "3");
    expect_file(&t, "out/both/x", "1");
    expect_file(&t, "out/both/y", "2");
    assert_int_equal(stat(tree_path(&t, "out/both"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0711);
    expect_file(&t, "1/a", "1"); /* and the layers are what they were */
    expect_file(&t, "1/folder_then_link/x", "1");
    tree_done(&t);
    (void)state;
}

static void files_take_no_room(void **state)
{
    struct tree t;
    struct stat a, b;
    begin(&t);
    tree_file(&t, "2/lib/a", "2");
    assert_int_equal(merge(&t, NULL), 0);
    assert_int_equal(stat(tree_path(&t, "2/lib/a"), &a), 0);
    assert_int_equal(stat(tree_path(&t, "out/lib/a"), &b), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    tree_done(&t);
    (void)state;
}

/* Each alone is fine: in the first d/e is no link, in the second nothing leads through it twice. */
static void layers_do_not_lead_out_together(void **state)
{
    struct tree t;
    struct hd_error err;
    begin(&t);
    tree_link(&t, "1/a", "d/e/../..");
    tree_folder(&t, "2/d");
    tree_link(&t, "2/d/e", "../f");
    tree_folder(&t, "2/f");
    assert_int_equal(merge(&t, &err), HD_EINVAL);
    assert_non_null(strstr(err.msg, "layers together: a: a link that leads out"));
    tree_done(&t);
    (void)state;
}

static void a_layer_that_is_not_there_is_an_error(void **state)
{
    struct tree t;
    struct hd_error err;
    begin(&t);
    tree_remove(&t, "2");
    assert_int_equal(merge(&t, &err), HD_ENOTFOUND);
    tree_done(&t);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_later_one_wins),
        cmocka_unit_test(files_take_no_room),
        cmocka_unit_test(layers_do_not_lead_out_together),
        cmocka_unit_test(a_layer_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
