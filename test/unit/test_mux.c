/* test/unit/test_mux.c - two ends, and what one sends given to the other in pieces. */
#include "http/mux.h"
#include "test.h"

#include <stdlib.h>
#include <time.h>

struct end {
    struct hd_mux *mux;
    struct hd_buf got;
    unsigned opened, closed, room;
    uint32_t last, close_on_data;
};

static void on_open(void *arg, uint32_t id)
{
    struct end *e = arg;
    e->opened++;
    e->last = id;
}

static void on_data(void *arg, uint32_t id, struct hd_str bytes)
{
    struct end *e = arg;
    e->last = id;
    hd_buf_str(&e->got, bytes);
    if (e->close_on_data == id)
        hd_mux_close(e->mux, id);
}

static void on_close(void *arg, uint32_t id)
{
    struct end *e = arg;
    e->closed++;
    e->last = id;
}

static void on_room(void *arg, uint32_t id)
{
    struct end *e = arg;
    e->room++;
    e->last = id;
}

static const struct hd_mux_events events = {
    .on_open = on_open, .on_data = on_data, .on_close = on_close, .on_room = on_room};

struct pair {
    struct end a, b;
};

static struct pair *pair_new(void)
{
    struct pair *p = hd_new(struct pair);
    hd_buf_init(&p->a.got, 64 << 20);
    hd_buf_init(&p->b.got, 64 << 20);
    p->a.mux = hd_mux_new(&events, &p->a);
    p->b.mux = hd_mux_new(&events, &p->b);
    return p;
}

static void pair_free(struct pair *p)
{
    hd_mux_free(p->a.mux);
    hd_mux_free(p->b.mux);
    hd_buf_done(&p->a.got);
    hd_buf_done(&p->b.got);
    free(p);
}

static int carry_one(struct hd_mux *from, struct hd_mux *to, size_t piece)
{
    int rc = 0;
    while (rc == 0 && hd_mux_out(from).len > 0) {
        struct hd_str out = hd_mux_out(from);
        char *copy = hd_strdup_n(hd_str_n(out.ptr, HD_MIN(piece, out.len)));
        size_t n = HD_MIN(piece, out.len);
        hd_mux_sent(from, n);
        rc = hd_mux_feed(to, hd_str_n(copy, n), NULL);
        free(copy);
    }
    return rc;
}

static void carry(struct pair *p, size_t piece)
{
    while (hd_mux_out(p->a.mux).len > 0 || hd_mux_out(p->b.mux).len > 0) {
        assert_int_equal(carry_one(p->a.mux, p->b.mux, piece), 0);
        assert_int_equal(carry_one(p->b.mux, p->a.mux, piece), 0);
    }
}

static void bytes_arrive_whole_in_pieces_of_any_size(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 40; piece++) {
        struct pair *p = pair_new();
        assert_true(hd_mux_open(p->a.mux, 16));
        hd_mux_send(p->a.mux, 16, hd_str("hello "));
        hd_mux_send(p->a.mux, 16, hd_str(""));
        hd_mux_send(p->a.mux, 16, hd_str("there"));
        carry(p, piece);
        assert_int_equal(p->b.opened, 1);
        assert_int_equal(p->b.last, 16);
        assert_memory_equal(p->b.got.ptr, "hello there", 11);
        hd_mux_send(p->b.mux, 16, hd_str("yes"));
        hd_mux_close(p->b.mux, 16);
        carry(p, piece);
        assert_memory_equal(p->a.got.ptr, "yes", 3);
        assert_int_equal(p->a.closed, 1);
        assert_int_equal(p->b.closed, 0); /* who closes is not told */
        assert_int_equal(hd_mux_room(p->a.mux, 16), 0);
        pair_free(p);
    }
}

static void a_slow_stream_stops_no_other(void **state)
{
    struct pair *p = pair_new();
    char *much = calloc(1, HD_MUX_WINDOW);
    hd_mux_open(p->a.mux, 16);
    hd_mux_open(p->a.mux, 17);
    assert_int_equal(hd_mux_room(p->a.mux, 16), HD_MUX_WINDOW);
    hd_mux_send(p->a.mux, 16, hd_str_n(much, HD_MUX_WINDOW));
    carry(p, 5000);
    assert_int_equal(hd_mux_room(p->a.mux, 16), 0); /* nothing was taken */
    assert_int_equal(hd_mux_room(p->a.mux, 17), HD_MUX_WINDOW);
    hd_mux_send(p->a.mux, 17, hd_str("x"));
    carry(p, 5000);
    assert_int_equal(p->b.last, 17);
    hd_mux_taken(p->b.mux, 16, HD_MUX_WINDOW / 4);
    carry(p, 5000);
    assert_int_equal(hd_mux_room(p->a.mux, 16), HD_MUX_WINDOW / 4);
    assert_int_equal(p->a.room, 0); /* less than half is not worth a word */
    hd_mux_taken(p->b.mux, 16, HD_MUX_WINDOW - HD_MUX_WINDOW / 4);
    carry(p, 5000);
    assert_int_equal(hd_mux_room(p->a.mux, 16), HD_MUX_WINDOW);
    assert_int_equal(p->a.room, 1);
    assert_int_equal(p->a.last, 16);
    free(much);
    pair_free(p);
    (void)state;
}

static void what_was_under_way_to_a_closed_stream_is_dropped(void **state)
{
    struct pair *p = pair_new();
    hd_mux_open(p->a.mux, 16);
    p->b.close_on_data = 16;
    hd_mux_send(p->a.mux, 16, hd_str("one"));
    hd_mux_send(p->a.mux, 16, hd_str("two"));
    carry(p, 1000);
    assert_int_equal(p->b.got.len, 3);
    assert_int_equal(p->a.closed, 1);
    hd_mux_taken(p->b.mux, 16, 100000);
    hd_mux_close(p->b.mux, 16);
    assert_int_equal(hd_mux_out(p->b.mux).len, 0);
    /* both at once */
    hd_mux_open(p->a.mux, 17);
    carry(p, 1000);
    hd_mux_close(p->a.mux, 17);
    hd_mux_close(p->b.mux, 17);
    carry(p, 1000);
    assert_int_equal(p->a.closed, 1);
    assert_int_equal(p->b.closed, 0);
    pair_free(p);
    (void)state;
}

static void there_are_so_many_and_no_more(void **state)
{
    struct pair *p = pair_new();
    for (uint32_t i = 0; i < HD_MUX_STREAMS_MAX; i++)
        assert_true(hd_mux_open(p->a.mux, 16 + i));
    assert_false(hd_mux_open(p->a.mux, 1000));
    carry(p, 77);
    assert_int_equal(p->b.opened, HD_MUX_STREAMS_MAX);
    hd_mux_close(p->a.mux, 20);
    assert_true(hd_mux_open(p->a.mux, 1000));
    carry(p, 77);
    assert_int_equal(p->b.last, 1000);
    pair_free(p);
    (void)state;
}

static void nonsense_is_refused_for_good(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } cases[] = {
#define FRAMES(s) {s, sizeof(s) - 1}
        FRAMES("HTTP/1.1 200 "),
        FRAMES("\x09\0\0\0\0\0\0\x10\0\0\0\0"),
        FRAMES("\x01\0\0\0\0\0\0\0\0\0\0\0"),
        FRAMES("\x01\0\0\x01\0\0\0\x10\0\0\0\0"),
        FRAMES("\x01\0\0\0\0\0\0\x10\0\0\0\x01"),
        FRAMES("\x01\0\0\0\0\0\0\x10\0\0\0\0\x01\0\0\0\0\0\0\x10\0\0\0\0"),
        FRAMES("\x02\0\0\0\0\0\0\x10\x7f\xff\xff\xff"),
        FRAMES("\x01\0\0\0\0\0\0\x10\0\0\0\0\x02\0\0\0\0\0\0\x10\0\x04\0\x01"),
        FRAMES("\x01\0\0\0\0\0\0\x10\0\0\0\0\x04\0\0\0\0\0\0\x10\0\0\0\x01"),
        FRAMES("\x01\0\0\0\0\0\0\x10\0\0\0\0\x04\0\0\0\0\0\0\x10\xff\xff\xff\xff"),
    };
    struct hd_error err;
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct pair *p = pair_new();
        if (hd_mux_feed(p->a.mux, hd_str_n(cases[i].bytes, cases[i].n), &err) != HD_EPROTO)
            fail_msg("case %zu was taken", i);
        assert_int_equal(hd_mux_feed(p->a.mux, hd_str_n("\x03\0\0\0\0\0\0\x10\0\0\0\0", 12), &err),
                         HD_EPROTO);
        pair_free(p);
    }
    (void)state;
}

static void random_traffic_arrives_in_order(void **state)
{
    struct pair *p = pair_new();
    struct hd_buf sent;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    hd_buf_init(&sent, 64 << 20);
    hd_mux_open(p->a.mux, 16);
    for (int i = 0; i < 2000; i++) {
        char bytes[3000];
        size_t n = HD_MIN((size_t)rand() % sizeof(bytes), hd_mux_room(p->a.mux, 16));
        for (size_t k = 0; k < n; k++)
            bytes[k] = (char)rand();
        hd_mux_send(p->a.mux, 16, hd_str_n(bytes, n));
        hd_buf_add(&sent, bytes, n);
        size_t before = p->b.got.len;
        if (rand() % 4 == 0)
            carry(p, 1 + (size_t)rand() % 4000);
        hd_mux_taken(p->b.mux, 16, p->b.got.len - before);
    }
    carry(p, 4096);
    assert_true(sent.len > 1000000);
    assert_int_equal(p->b.got.len, sent.len);
    assert_memory_equal(p->b.got.ptr, sent.ptr, sent.len);
    hd_buf_done(&sent);
    pair_free(p);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_whole_in_pieces_of_any_size),
        cmocka_unit_test(a_slow_stream_stops_no_other),
        cmocka_unit_test(what_was_under_way_to_a_closed_stream_is_dropped),
        cmocka_unit_test(there_are_so_many_and_no_more),
        cmocka_unit_test(nonsense_is_refused_for_good),
        cmocka_unit_test(random_traffic_arrives_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
