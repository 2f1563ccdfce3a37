/* test/unit/test_lambda_view.c */
#include "invoke/admission.h"
#include "lambda/policy.h"
#include "lambda/deploy/view_table.h"
#include "test.h"

static const char *keep(struct hd_view_entry *e, const char *text)
{
    return hd_arena_str(&e->arena, hd_str(text)).ptr;
}

/* A function with $LATEST, versions 1 to @p n, the alias prod, and a URL if @p url is not NULL. */
static struct hd_view_entry *entry(const char *name, size_t n, const char *url)
{
    struct hd_view_entry *e = hd_view_entry_new();
    hd_auto_free char *key = hd_printf("000000000000/us-east-1/%s", name);
    struct hd_view_version *v = hd_arena_alloc(&e->arena, (n + 1) * sizeof(*v));
    e->key = keep(e, key);
    e->fn.name = keep(e, name);
    for (size_t i = 0; i <= n; i++) {
        hd_auto_free char *number = i == 0 ? hd_strdup("$LATEST") : hd_printf("%zu", i);
        v[i].number = keep(e, number);
        v[i].target = hd_target_new();
    }
    e->fn.versions = v;
    e->fn.n_versions = n + 1;
    struct hd_view_alias *a = hd_arena_alloc(&e->arena, sizeof(*a));
    *a = (struct hd_view_alias){
        .name = "prod", .main = &v[0], .other = n > 0 ? &v[n] : NULL, .weight = 0.25};
    e->fn.aliases = a;
    e->fn.n_aliases = 1;
    e->fn.admission = hd_admission_new(NULL);
    e->fn.policies = hd_policies_new();
    if (url != NULL) {
        struct hd_view_url *u = hd_arena_alloc(&e->arena, sizeof(*u));
        *u = (struct hd_view_url){.id = keep(e, url), .fn = &e->fn};
        e->urls = u;
        e->n_urls = 1;
    }
    return e;
}

static void put(struct hd_view *v, const char *name, size_t n, const char *url)
{
    struct hd_view_entry *e = entry(name, n, url);
    hd_view_put(v, e);
    hd_view_entry_unref(e);
}

static const struct hd_lambda_fn *find(const struct hd_view *v, const char *name)
{
    return hd_view_find(v, hd_str("000000000000"), hd_str("us-east-1"), hd_str(name));
}

static void an_older_view_does_not_change(void **state)
{
    struct hd_view *one = hd_view_new();
    put(one, "f", 0, "aaaa");
    put(one, "g", 0, NULL);
    struct hd_view *two = hd_view_copy(one);
    const struct hd_lambda_fn *g = find(one, "g");
    put(two, "f", 3, "bbbb");
    put(two, "h", 0, NULL);
    hd_view_remove(two, "000000000000/us-east-1/unknown");

    assert_int_equal(hd_view_count(one), 2);
    assert_int_equal(hd_view_count(two), 3);
    assert_int_equal(find(one, "f")->n_versions, 1);
    assert_int_equal(find(two, "f")->n_versions, 4);
    assert_ptr_equal(find(two, "g"), g); /* what did not change is shared */
    assert_null(find(one, "h"));
    assert_ptr_equal(hd_view_url(one, hd_str("aaaa"))->fn, find(one, "f"));
    assert_null(hd_view_url(two, hd_str("aaaa")));
    assert_ptr_equal(hd_view_url(two, hd_str("bbbb"))->fn, find(two, "f"));

    struct hd_view *three = hd_view_copy(two);
    hd_view_unref(one); /* what only it had goes with it */
    hd_view_remove(three, "000000000000/us-east-1/f");
    assert_null(find(three, "f"));
    assert_null(hd_view_url(three, hd_str("bbbb")));
    assert_non_null(find(two, "f"));
    hd_view_unref(two);
    assert_non_null(find(three, "g"));
    hd_view_unref(hd_view_ref(three));
    hd_view_unref(three);
    (void)state;
}

static void finds_each_of_many(void **state)
{
    struct hd_view *v = hd_view_new();
    char name[32];
    for (int i = 0; i < 2000; i++) {
        struct hd_view *next = hd_view_copy(v);
        snprintf(name, sizeof(name), "fn-%d", i);
        put(next, name, 0, NULL);
        hd_view_unref(v);
        v = next;
    }
    assert_int_equal(hd_view_count(v), 2000);
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "fn-%d", i);
        assert_string_equal(find(v, name)->name, name);
    }
    assert_null(hd_view_find(v, hd_str("000000000000"), hd_str("eu-west-1"), hd_str("fn-1")));
    assert_null(hd_view_find(v, hd_str("1"), hd_str("us-east-1"), hd_str("fn-1")));
    hd_view_unref(v);
    (void)state;
}

static void qualifiers_stand_for_versions(void **state)
{
    struct hd_view *v = hd_view_new();
    put(v, "f", 120, NULL);
    const struct hd_lambda_fn *fn = find(v, "f");
    assert_string_equal(hd_view_resolve(fn, hd_str(""), 0)->number, "$LATEST");
    assert_string_equal(hd_view_resolve(fn, hd_str("$LATEST"), 0)->number, "$LATEST");
    for (int i = 1; i <= 120; i++) {
        char number[8];
        snprintf(number, sizeof(number), "%d", i);
        assert_string_equal(hd_view_resolve(fn, hd_str(number), 0)->number, number);
    }
    assert_null(hd_view_resolve(fn, hd_str("121"), 0));
    assert_null(hd_view_resolve(fn, hd_str("pro"), 0));
    assert_null(hd_view_resolve(fn, hd_str("prods"), 0));
    assert_null(hd_view_resolve(fn, hd_str("a"), 0));
    assert_null(hd_view_resolve(fn, hd_str("z"), 0));
    assert_string_equal(hd_view_resolve(fn, hd_str("prod"), 0)->number, "120");
    assert_string_equal(hd_view_resolve(fn, hd_str("prod"), 0.2499)->number, "120");
    assert_string_equal(hd_view_resolve(fn, hd_str("prod"), 0.25)->number, "$LATEST");
    assert_string_equal(hd_view_resolve(fn, hd_str("prod"), 0.9999)->number, "$LATEST");
    hd_view_unref(v);
    (void)state;
}

static void event_settings_by_qualifier(void **state)
{
    const struct hd_view_event_config all[] = {{.qualifier = "$LATEST", .max_retries = 1},
                                               {.qualifier = "prod", .max_retries = 0}};
    const struct hd_lambda_fn fn = {.event_configs = all, .n_event_configs = 2};
    assert_ptr_equal(hd_view_event_config(&fn, hd_str("")), &all[0]);
    assert_ptr_equal(hd_view_event_config(&fn, hd_str("$LATEST")), &all[0]);
    assert_ptr_equal(hd_view_event_config(&fn, hd_str("prod")), &all[1]);
    assert_null(hd_view_event_config(&fn, hd_str("1")));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_older_view_does_not_change),
        cmocka_unit_test(finds_each_of_many),
        cmocka_unit_test(qualifiers_stand_for_versions),
        cmocka_unit_test(event_settings_by_qualifier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
