/* test_bundle.c - the store of deployed code. */
#include "core/clock.h"
#include "core/folder.h"
#include "functions/bundle.h"
#include "functions/file.h"
#include "tree.h"
#include "zipmake.h"

#include <dirent.h>

enum { WAIT_MS = 20000 };

struct store {
    struct tree tree;
    struct hd_loop *loop;
    struct hd_bundles *b;
    char dir[300];
    bool closed;
};

static struct hd_bundles_options options(struct store *s)
{
    return (struct hd_bundles_options){.dir = s->dir, .loop = s->loop};
}

static void open_with(struct store *s, const struct hd_bundles_options *opt)
{
    struct hd_error err;
    if (hd_bundles_new(&s->b, opt, &err) != 0)
        fail_msg("%s", err.msg);
}

static void prepare(struct store *s)
{
    *s = (struct store){.closed = false};
    tree_make(&s->tree);
    snprintf(s->dir, sizeof(s->dir), "%s", tree_path(&s->tree, "data/bundles"));
    assert_int_equal(hd_loop_new(&s->loop, 0, NULL), 0);
}

static void open_store(struct store *s)
{
    prepare(s);
    struct hd_bundles_options opt = options(s);
    open_with(s, &opt);
}

struct tick {
    struct hd_timer timer;
    struct hd_loop *loop;
};

/* No turn of the loop lasts longer than this. */
static void on_tick(struct hd_timer *t)
{
    hd_timer_start(hd_container_of(t, struct tick, timer)->loop, t, 10, on_tick);
}

static void until(struct store *s, const unsigned *n, unsigned wanted)
{
    struct tick tick = {.loop = s->loop};
    uint64_t end = hd_clock_ms() + WAIT_MS;
    hd_timer_start(s->loop, &tick.timer, 10, on_tick);
    while (*n < wanted && hd_clock_ms() < end)
        uv_run(hd_loop_uv(s->loop), UV_RUN_ONCE);
    hd_timer_stop(s->loop, &tick.timer);
    assert_int_equal(*n, wanted);
}

static void on_closed(void *arg)
{
    ++*(unsigned *)arg;
}

static void close_store(struct store *s)
{
    unsigned closed = 0;
    hd_bundles_close(s->b, on_closed, &closed);
    until(s, &closed, 1);
}

static void finish(struct store *s)
{
    close_store(s);
    hd_loop_free(s->loop);
    hd_remove_tree(s->tree.path);
}

struct got {
    struct hd_bundle_result r;
    unsigned n;
};

static void on_done(void *arg, const struct hd_bundle_result *r)
{
    struct got *g = arg;
    g->r = *r;
    g->n++;
}

static void make_zip(struct hd_buf *zip, const struct zipmake *m, size_t n)
{
    hd_buf_init(zip, 16 << 20);
    zipmake(zip, m, n, 0);
}

static struct hd_bundle_result put(struct store *s, const struct zipmake *m, size_t n)
{
    struct hd_buf zip;
    struct got g = {.n = 0};
    make_zip(&zip, m, n);
    hd_bundles_put(s->b, &zip, on_done, &g);
    assert_int_equal(zip.len, 0);
    assert_int_equal(g.n, 0);
    until(s, &g.n, 1);
    return g.r;
}

static struct hd_bundle_result find(struct store *s, const char *digest)
{
    struct got g = {.n = 0};
    hd_bundles_find(s->b, digest, on_done, &g);
    until(s, &g.n, 1);
    return g.r;
}

static struct hd_bundle_result merge(struct store *s, const char *const *digests, size_t n,
                                     uint64_t code_bytes)
{
    struct got g = {.n = 0};
    hd_bundles_merge(s->b, digests, n, code_bytes, on_done, &g);
    until(s, &g.n, 1);
    return g.r;
}

/* @return the text of a stored file, in turn one of four; NULL: it is not there. */
static const char *text(struct store *s, const char *digest, const char *name)
{
    static char texts[4][256];
    static unsigned turn;
    hd_auto_free char *dir = hd_bundles_dir(s->b, digest);
    hd_auto_free char *path = hd_printf("%s/%s", dir, name);
    char *to = texts[turn++ % 4];
    struct hd_buf b;
    hd_buf_init_with(&b, to, sizeof(texts[0]), sizeof(texts[0]));
    if (hd_file_read(&b, path, NULL, NULL) < 0)
        return NULL;
    hd_buf_char(&b, '\0');
    return to;
}

static struct stat status(struct store *s, const char *digest, const char *name)
{
    struct stat st;
    hd_auto_free char *dir = hd_bundles_dir(s->b, digest);
    hd_auto_free char *path = hd_printf("%s/%s", dir, name);
    assert_int_equal(lstat(path, &st), 0);
    return st;
}

static unsigned count_entries(const char *path)
{
    unsigned n = 0;
    DIR *d = opendir(path);
    assert_non_null(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n - 2;
}

/* --- what is stored --- */

static const struct zipmake small[] = {{.name = "index.js", .data = "1", .unix_time = 1700000000}};

static void an_archive_becomes_a_folder(void **state)
{
    struct store s;
    const struct zipmake m[] = {
        {.name = "bootstrap", .data = "#!", .mode = S_IFREG | 06755, .unix_time = 1700000001},
        {.name = "secret", .data = "s", .mode = S_IFREG | 0600, .deflate = true},
        {.name = "none", .data = "n", .mode = S_IFREG | 0001},
        {.name = "win.js", .data = "w", .dos = true},
        {.name = "lib/", .mode = S_IFDIR | 0555, .unix_time = 1700000002},
        {.name = "lib/a/b", .data = "deep"},
        {.name = "now", .data = "lib/a", .mode = S_IFLNK | 0777},
    };
    open_store(&s);
    umask(077);
    struct hd_bundle_result r = put(&s, m, HD_COUNT(m));
    umask(022);
    if (r.problem != HD_BUNDLE_OK)
        fail_msg("%s", r.err.msg);
    assert_false(r.was_there);
    assert_int_equal(r.unpacked_bytes, 2 + 1 + 1 + 1 + 4 + 5);
    assert_true(hd_bundle_is_digest(hd_str(r.digest)));
    assert_string_equal(text(&s, r.digest, "bootstrap"), "#!");
    assert_string_equal(text(&s, r.digest, "now/b"), "deep");
    assert_int_equal(status(&s, r.digest, "bootstrap").st_mode, S_IFREG | 0755);
    assert_int_equal(status(&s, r.digest, "bootstrap").st_mtim.tv_sec, 1700000001);
    assert_int_equal(status(&s, r.digest, "secret").st_mode, S_IFREG | 0600);
    assert_int_equal(status(&s, r.digest, "none").st_mode, S_IFREG | 0401);
    assert_int_equal(status(&s, r.digest, "win.js").st_mode, S_IFREG | 0755);
    assert_int_equal(status(&s, r.digest, "lib").st_mode, S_IFDIR | 0755);
    assert_int_equal(status(&s, r.digest, "lib").st_mtim.tv_sec, 1700000002);
    assert_int_equal(status(&s, r.digest, "lib/a").st_mode, S_IFDIR | 0755);
    finish(&s);
    (void)state;
}

static void the_archive_is_kept_byte_for_byte(void **state)
{
    struct store s;
    struct hd_buf zip, kept;
    struct got g = {.n = 0};
    open_store(&s);
    make_zip(&zip, small, 1);
    hd_auto_free char *bytes = hd_strdup_n(hd_buf_view(&zip));
    struct hd_str original = hd_str_n(bytes, zip.len);
    hd_bundles_put(s.b, &zip, on_done, &g);
    until(&s, &g.n, 1);
    hd_auto_free char *path = hd_bundles_zip(s.b, g.r.digest);
    hd_buf_init(&kept, 1 << 20);
    assert_int_equal(hd_file_read(&kept, path, NULL, NULL), 0);
    assert_true(hd_str_eq(hd_buf_view(&kept), original));
    assert_int_equal(g.r.zip_bytes, original.len);
    hd_buf_done(&kept);
    finish(&s);
    (void)state;
}

static void the_digest_is_that_of_the_service(void **state)
{
    struct store s;
    open_store(&s);
    struct hd_bundle_result r = put(&s, NULL, 0);
    assert_int_equal(r.problem, HD_BUNDLE_OK);
    assert_string_equal(r.code_sha256, "hznHbmgfkAkjuQDJ3w73XPQh05yrtUZQxLmtGbanbYU=");
    assert_string_equal(find(&s, r.digest).code_sha256, r.code_sha256);
    finish(&s);
    (void)state;
}

static void it_is_found_after_a_restart(void **state)
{
    struct store s;
    open_store(&s);
    struct hd_bundle_result r = put(&s, small, 1);
    close_store(&s);
    tree_file(&s.tree, "data/bundles/tmp/half/code/made.js", "x");
    struct hd_bundles_options opt = options(&s);
    open_with(&s, &opt);
    assert_int_equal(count_entries(tree_path(&s.tree, "data/bundles/tmp")), 0);
    struct hd_bundle_result again = find(&s, r.digest);
    assert_int_equal(again.problem, HD_BUNDLE_OK);
    assert_int_equal(again.unpacked_bytes, 1);
    assert_int_equal(again.zip_bytes, r.zip_bytes);
    assert_string_equal(again.code_sha256, r.code_sha256);
    assert_int_equal(find(&s, "../../etc").problem, HD_BUNDLE_NOT_THERE);
    r.digest[0] = r.digest[0] == '0' ? '1' : '0';
    assert_int_equal(find(&s, r.digest).problem, HD_BUNDLE_NOT_THERE);
    finish(&s);
    (void)state;
}

static void the_same_archive_is_unpacked_once(void **state)
{
    enum { N = 20 };
    struct store s;
    struct got g[N] = {{.n = 0}};
    unsigned fresh = 0;
    open_store(&s);
    for (unsigned i = 0; i < N; i++) {
        struct hd_buf zip;
        make_zip(&zip, small, 1);
        hd_bundles_put(s.b, &zip, on_done, &g[i]);
    }
    for (unsigned i = 0; i < N; i++) {
        until(&s, &g[i].n, 1);
        assert_int_equal(g[i].r.problem, HD_BUNDLE_OK);
        assert_string_equal(g[i].r.digest, g[0].r.digest);
        assert_string_equal(g[i].r.code_sha256, g[0].r.code_sha256);
        assert_int_equal(g[i].r.unpacked_bytes, 1);
        fresh += !g[i].r.was_there;
    }
    assert_int_equal(fresh, 1);
    struct stat before = status(&s, g[0].r.digest, "index.js");
    assert_true(put(&s, small, 1).was_there);
    assert_int_equal(status(&s, g[0].r.digest, "index.js").st_ino, before.st_ino);
    finish(&s);
    (void)state;
}

static void closing_waits_for_what_is_under_way(void **state)
{
    struct store s;
    struct hd_buf zip;
    struct got g = {.n = 0};
    unsigned closed = 0;
    open_store(&s);
    make_zip(&zip, small, 1);
    hd_bundles_put(s.b, &zip, on_done, &g);
    hd_bundles_close(s.b, on_closed, &closed);
    until(&s, &closed, 1);
    assert_int_equal(g.n, 1);
    assert_int_equal(g.r.problem, HD_BUNDLE_OK);
    hd_loop_free(s.loop);
    hd_remove_tree(s.tree.path);
    (void)state;
}

static void a_file_is_taken_as_well(void **state)
{
    struct store s;
    struct hd_buf zip;
    struct got g = {.n = 0};
    open_store(&s);
    make_zip(&zip, small, 1);
    FILE *f = fopen(tree_path(&s.tree, "upload"), "w");
    assert_int_equal(fwrite(zip.ptr, 1, zip.len, f), zip.len);
    fclose(f);
    hd_buf_done(&zip);
    hd_bundles_put_file(s.b, tree_path(&s.tree, "upload"), on_done, &g);
    until(&s, &g.n, 1);
    assert_int_equal(g.r.problem, HD_BUNDLE_OK);
    assert_string_equal(text(&s, g.r.digest, "index.js"), "1");
    assert_int_not_equal(access(tree_path(&s.tree, "upload"), F_OK), 0);
    g.n = 0;
    hd_bundles_put_file(s.b, tree_path(&s.tree, "nowhere"), on_done, &g);
    until(&s, &g.n, 1);
    assert_int_equal(g.r.problem, HD_BUNDLE_FAILED);
    finish(&s);
    (void)state;
}

/* --- what is not --- */

static void what_is_refused_leaves_nothing(void **state)
{
    static const struct {
        struct zipmake m;
        enum hd_bundle_problem problem;
    } cases[] = {
        {{.name = "../x", .data = "x"}, HD_BUNDLE_BAD_ARCHIVE},
        {{.name = "x", .data = "x", .wrong_crc = 1}, HD_BUNDLE_BAD_ARCHIVE},
        {{.name = "x", .data = "xx", .deflate = true, .claim = -1}, HD_BUNDLE_BAD_ARCHIVE},
        {{.name = "x", .data = "xx", .deflate = true, .claim = 9}, HD_BUNDLE_BAD_ARCHIVE},
        {{.name = "x", .data = "xx", .deflate = true, .claim = 99}, HD_BUNDLE_TOO_BIG},
    };
    struct store s;
    prepare(&s);
    struct hd_bundles_options opt = options(&s);
    opt.max_unpacked_bytes = 100;
    open_with(&s, &opt);
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_bundle_result r = put(&s, &cases[i].m, 1);
        assert_int_equal(r.problem, cases[i].problem);
        assert_true(r.err.msg[0] != '\0');
    }
    assert_int_equal(count_entries(s.dir), 1);
    assert_int_equal(count_entries(tree_path(&s.tree, "data/bundles/tmp")), 0);
    finish(&s);
    (void)state;
}

/* A small archive that says the truth, and one that lies: neither fills the disk. */
static void a_bomb_does_not_go_off(void **state)
{
    enum { BIG = 8 << 20 };
    struct store s;
    hd_auto_free char *zeros = hd_alloc(BIG);
    prepare(&s);
    struct hd_bundles_options opt = options(&s);
    opt.max_unpacked_bytes = BIG - 1;
    open_with(&s, &opt);
    for (int lies = 0; lies < 2; lies++) {
        struct zipmake m = {.name = "zeros", .data = zeros, .deflate = true};
        struct hd_buf zip;
        struct got g = {.n = 0};
        if (lies)
            m.claim = -(int64_t)(BIG - 100);
        hd_buf_init(&zip, 16 << 20);
        zipmake(&zip, &m, 1, BIG);
        assert_true(zip.len < 16 << 10);
        hd_bundles_put(s.b, &zip, on_done, &g);
        until(&s, &g.n, 1);
        assert_int_equal(g.r.problem, lies ? HD_BUNDLE_BAD_ARCHIVE : HD_BUNDLE_TOO_BIG);
    }
    assert_int_equal(count_entries(s.dir), 1);
    finish(&s);
    (void)state;
}

static void the_archive_itself_has_a_limit(void **state)
{
    struct store s;
    prepare(&s);
    struct hd_bundles_options opt = options(&s);
    opt.max_zip_bytes = 100;
    open_with(&s, &opt);
    assert_int_equal(put(&s, small, 1).problem, HD_BUNDLE_ZIP_TOO_BIG);
    assert_int_equal(put(&s, NULL, 0).problem, HD_BUNDLE_OK);
    tree_file(&s.tree, "upload",
              "more than a hundred bytes ......................................"
              "......................................................");
    struct got g = {.n = 0};
    hd_bundles_put_file(s.b, tree_path(&s.tree, "upload"), on_done, &g);
    until(&s, &g.n, 1);
    assert_int_equal(g.r.problem, HD_BUNDLE_ZIP_TOO_BIG);
    finish(&s);
    (void)state;
}

static void a_check_stores_nothing(void **state)
{
    struct store s;
    struct hd_buf zip;
    struct got g = {.n = 0};
    const struct zipmake wrong = {.name = "x", .data = "x", .wrong_crc = 1};
    open_store(&s);
    make_zip(&zip, small, 1);
    hd_bundles_check(s.b, &zip, on_done, &g);
    until(&s, &g.n, 1);
    assert_int_equal(g.r.problem, HD_BUNDLE_OK);
    assert_int_equal(g.r.unpacked_bytes, 1);
    assert_int_equal(strlen(g.r.code_sha256), HD_CODE_SHA256_CHARS);
    make_zip(&zip, &wrong, 1);
    hd_bundles_check(s.b, &zip, on_done, &g);
    until(&s, &g.n, 2);
    assert_int_equal(g.r.problem, HD_BUNDLE_BAD_ARCHIVE);
    assert_int_equal(count_entries(s.dir), 1);
    finish(&s);
    (void)state;
}

static void a_disk_that_fails_is_no_bad_archive(void **state)
{
    struct store s;
    open_store(&s);
    hd_remove_tree(tree_path(&s.tree, "data/bundles/tmp"));
    tree_file(&s.tree, "data/bundles/tmp", "in the way");
    struct hd_bundle_result r = put(&s, small, 1);
    assert_int_equal(r.problem, HD_BUNDLE_FAILED);
    assert_non_null(strstr(r.err.msg, "tmp/"));
    finish(&s);
    (void)state;
}

static void each_problem_has_the_words_of_the_service(void **state)
{
    assert_string_equal(
        hd_bundle_problem_text(HD_BUNDLE_BAD_ARCHIVE),
        "Could not unzip uploaded file. Please check your file, then try to upload again.");
    assert_string_equal(hd_bundle_problem_text(HD_BUNDLE_TOO_BIG),
                        "Unzipped size must be smaller than 262144000 bytes");
    assert_string_equal(hd_bundle_problem_text(HD_BUNDLE_ZIP_TOO_BIG),
                        "Zipped size must be smaller than 52428800 bytes");
    (void)state;
}

/* --- archives of others --- */

static void archives_of_pythons_zipfile_are_read(void **state)
{
    static const char *const names[] = {"stored",   "deflated", "streamed", "comment",
                                        "prefixed", "trailed",  "zip64_end"};
    struct store s;
    open_store(&s);
    tree_folder(&s.tree, "zips");
    hd_auto_free char *command =
        hd_printf("/usr/bin/python3 " HD_SOURCE_ROOT "/test/unit/zip_samples.py '%s'",
                  tree_path(&s.tree, "zips"));
    assert_int_equal(system(command), 0);
    for (size_t i = 0; i < HD_COUNT(names); i++) {
        hd_auto_free char *path = hd_printf("%s/zips/%s.zip", s.tree.path, names[i]);
        struct got g = {.n = 0};
        hd_bundles_put_file(s.b, path, on_done, &g);
        until(&s, &g.n, 1);
        if (g.r.problem != HD_BUNDLE_OK)
            fail_msg("%s: %s", names[i], g.r.err.msg);
        assert_int_equal(g.r.unpacked_bytes, 32 + 100000 + 2 + 8);
        assert_string_equal(text(&s, g.r.digest, "index.js"), "exports.handler = async () => 1\n");
        assert_string_equal(text(&s, g.r.digest, "current/er/\u00fc\u4e2d.txt"), "\u00fc");
        assert_int_equal(status(&s, g.r.digest, "lib/a.txt").st_size, 100000);
        assert_int_equal(status(&s, g.r.digest, "lib/a.txt").st_mode, S_IFREG | 0640);
        assert_int_equal(status(&s, g.r.digest, "index.js").st_mode, S_IFREG | 0755);
        assert_int_equal(status(&s, g.r.digest, "index.js").st_mtim.tv_sec, 1714979290);
        assert_int_equal(status(&s, g.r.digest, "empty").st_mode, S_IFDIR | 0750);
    }
    hd_auto_free char *path = hd_printf("%s/zips/zip64.zip", s.tree.path);
    struct got g = {.n = 0};
    hd_bundles_put_file(s.b, path, on_done, &g);
    until(&s, &g.n, 1);
    assert_int_equal(g.r.problem, HD_BUNDLE_OK);
    assert_int_equal(status(&s, g.r.digest, "lib/a.txt").st_size, 100000);
    finish(&s);
    (void)state;
}

/* --- layers --- */

static void layers_become_one_folder(void **state)
{
    struct store s;
    const struct zipmake first[] = {{.name = "lib/a", .data = "a1"}, {.name = "b", .data = "b1"}};
    const struct zipmake second[] = {{.name = "lib/a", .data = "a2"}, {.name = "c", .data = "c2"}};
    open_store(&s);
    struct hd_bundle_result one = put(&s, first, 2), two = put(&s, second, 2);
    const char *const order[] = {one.digest, two.digest}, *const other[] = {two.digest, one.digest};
    struct hd_bundle_result r = merge(&s, order, 2, 10);
    assert_int_equal(r.problem, HD_BUNDLE_OK);
    assert_int_equal(r.unpacked_bytes, 8);
    assert_string_equal(r.code_sha256, "");
    assert_string_equal(text(&s, r.digest, "lib/a"), "a2");
    assert_string_equal(text(&s, r.digest, "b"), "b1");
    assert_string_equal(text(&s, r.digest, "c"), "c2");
    char key[HD_DIGEST_CHARS + 1];
    hd_bundles_merge_key(key, order, 2);
    assert_string_equal(key, r.digest);
    assert_true(merge(&s, order, 2, 0).was_there);
    struct hd_bundle_result turned = merge(&s, other, 2, 0);
    assert_string_not_equal(turned.digest, r.digest);
    assert_string_equal(text(&s, turned.digest, "lib/a"), "a1");
    assert_string_equal(merge(&s, order, 1, 0).digest, one.digest);
    assert_string_equal(find(&s, r.digest).digest, r.digest);
    finish(&s);
    (void)state;
}

static void the_limit_counts_code_and_layers_together(void **state)
{
    struct store s;
    const struct zipmake a = {.name = "a", .data = "12345678"}, b = {.name = "b", .data = "1234"};
    prepare(&s);
    struct hd_bundles_options opt = options(&s);
    opt.max_unpacked_bytes = 12;
    open_with(&s, &opt);
    struct hd_bundle_result one = put(&s, &a, 1), two = put(&s, &b, 1);
    const char *const both[] = {one.digest, two.digest};
    const char *const three[] = {one.digest, two.digest, two.digest};
    const char *const missing[] = {one.digest, "0"};
    assert_int_equal(merge(&s, both, 2, 0).problem, HD_BUNDLE_OK);
    assert_int_equal(merge(&s, both, 2, 1).problem, HD_BUNDLE_LAYERS_BIG);
    assert_int_equal(merge(&s, both, 1, 4).problem, HD_BUNDLE_OK);
    assert_int_equal(merge(&s, both, 1, 5).problem, HD_BUNDLE_LAYERS_BIG);
    assert_int_equal(merge(&s, both, 1, UINT64_MAX).problem, HD_BUNDLE_LAYERS_BIG);
    assert_int_equal(merge(&s, three, 3, 0).problem, HD_BUNDLE_LAYERS_BIG);
    assert_int_equal(merge(&s, missing, 2, 0).problem, HD_BUNDLE_NOT_THERE);
    assert_int_equal(count_entries(s.dir), 4); /* two, one merged, tmp */
    finish(&s);
    (void)state;
}

/* --- what nobody uses --- */

static void on_swept(void *arg, unsigned removed)
{
    struct got *g = arg;
    g->r.zip_bytes = removed;
    g->n++;
}

static unsigned sweep(struct store *s, const char *const *keep, size_t n, uint32_t grace_s)
{
    struct got g = {.n = 0};
    hd_bundles_gc(s->b, keep, n, grace_s, on_swept, &g);
    until(s, &g.n, 1);
    return (unsigned)g.r.zip_bytes;
}

/* As if it had been used last an hour and a bit ago. */
static void age(struct store *s, const char *digest)
{
    const struct timespec ts[2] = {{.tv_sec = hd_clock_unix_s() - 4000},
                                   {.tv_sec = hd_clock_unix_s() - 4000}};
    hd_auto_free char *path = hd_printf("%s/%s/info", s->dir, digest);
    assert_int_equal(utimensat(AT_FDCWD, path, ts, 0), 0);
}

static void what_is_not_kept_goes_after_a_while(void **state)
{
    struct store s;
    const struct zipmake other = {.name = "other", .data = "x"};
    open_store(&s);
    struct hd_bundle_result kept = put(&s, small, 1), gone = put(&s, &other, 1);
    const char *const keep[] = {kept.digest}, *const both[] = {kept.digest, gone.digest};
    struct hd_bundle_result merged = merge(&s, both, 2, 0);
    assert_int_equal(sweep(&s, keep, 1, 3600), 0);
    age(&s, kept.digest);
    age(&s, gone.digest);
    age(&s, merged.digest);
    assert_int_equal(sweep(&s, keep, 1, 3600), 2);
    assert_int_equal(find(&s, kept.digest).problem, HD_BUNDLE_OK);
    assert_string_equal(text(&s, kept.digest, "index.js"), "1");
    assert_int_equal(find(&s, gone.digest).problem, HD_BUNDLE_NOT_THERE);
    assert_int_equal(find(&s, merged.digest).problem, HD_BUNDLE_NOT_THERE);
    assert_int_equal(count_entries(s.dir), 2);
    assert_int_equal(count_entries(tree_path(&s.tree, "data/bundles/tmp")), 0);
    finish(&s);
    (void)state;
}

static void what_is_asked_for_again_stays(void **state)
{
    struct store s;
    struct got swept = {.n = 0}, stored = {.n = 0};
    struct hd_buf zip;
    open_store(&s);
    struct hd_bundle_result r = put(&s, small, 1);
    age(&s, r.digest);
    assert_int_equal(find(&s, r.digest).problem, HD_BUNDLE_OK); /* that is a use */
    assert_int_equal(sweep(&s, NULL, 0, 3600), 0);
    age(&s, r.digest);
    make_zip(&zip, small, 1);
    hd_bundles_gc(s.b, NULL, 0, 3600, on_swept, &swept); /* whichever comes first */
    hd_bundles_put(s.b, &zip, on_done, &stored);
    until(&s, &stored.n, 1);
    until(&s, &swept.n, 1);
    assert_int_equal(stored.r.problem, HD_BUNDLE_OK);
    assert_string_equal(text(&s, r.digest, "index.js"), "1");
    finish(&s);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_archive_becomes_a_folder),
        cmocka_unit_test(the_archive_is_kept_byte_for_byte),
        cmocka_unit_test(the_digest_is_that_of_the_service),
        cmocka_unit_test(it_is_found_after_a_restart),
        cmocka_unit_test(the_same_archive_is_unpacked_once),
        cmocka_unit_test(closing_waits_for_what_is_under_way),
        cmocka_unit_test(a_file_is_taken_as_well),
        cmocka_unit_test(what_is_refused_leaves_nothing),
        cmocka_unit_test(a_bomb_does_not_go_off),
        cmocka_unit_test(the_archive_itself_has_a_limit),
        cmocka_unit_test(a_check_stores_nothing),
        cmocka_unit_test(a_disk_that_fails_is_no_bad_archive),
        cmocka_unit_test(each_problem_has_the_words_of_the_service),
        cmocka_unit_test(archives_of_pythons_zipfile_are_read),
        cmocka_unit_test(layers_become_one_folder),
        cmocka_unit_test(the_limit_counts_code_and_layers_together),
        cmocka_unit_test(what_is_not_kept_goes_after_a_while),
        cmocka_unit_test(what_is_asked_for_again_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
