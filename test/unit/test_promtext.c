/* test_promtext.c - labels are escaped, histograms are cumulative and in seconds. */
#include "telemetry/promtext.h"
#include "test.h"

static void samples_read_as_the_format_says(void **state)
{
    static const uint64_t bounds[] = {500, 1000000}, buckets[] = {2, 1, 4};
    struct hd_buf b;
    hd_buf_init(&b, 4096);
    hd_prom_metric(&b, "heddle_x_total", "counter", "Things.");
    hd_prom_u64(&b, "heddle_x_total", NULL, 7);
    hd_prom_u64(&b, "heddle_x_total", (const char *const[]){"function", "a\"b\\c\n", NULL}, 1);
    hd_prom_histogram(&b, "heddle_d_seconds", (const char *const[]){"f", "x", NULL}, bounds,
                      buckets, 3, 1500000);
    hd_auto_free char *got = hd_buf_take(&b);
    assert_string_equal(got, "# HELP heddle_x_total Things.\n"
                             "# TYPE heddle_x_total counter\n"
                             "heddle_x_total 7\n"
                             "heddle_x_total{function=\"a\\\"b\\\\c\\n\"} 1\n"
                             "heddle_d_seconds_bucket{f=\"x\",le=\"0.0005\"} 2\n"
                             "heddle_d_seconds_bucket{f=\"x\",le=\"1\"} 3\n"
                             "heddle_d_seconds_bucket{f=\"x\",le=\"+Inf\"} 7\n"
                             "heddle_d_seconds_sum{f=\"x\"} 1.5\n"
                             "heddle_d_seconds_count{f=\"x\"} 7\n");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(samples_read_as_the_format_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
