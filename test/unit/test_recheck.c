/* test_recheck.c - a start counts only if the code stayed as it was. The inner backend is played.
 */
#include "pool/recheck.h"

#include "core/clock.h"
#include "test.h"

#include <stdatomic.h>

enum { STARTS_MAX = 16 };

enum fate { BECOMES_READY, FAILS, HANGS };

struct world;

/* The inner backend's instance. */
struct hd_instance_handle {
    struct world *w;
    const struct hd_backend_events *events;
    void *owner;
    enum fate fate;
    bool ended;
};

struct world {
    struct hd_backend backend; /* the inner one */
    struct hd_loop *loop;
    struct hd_recheck *r;
    struct hd_timer deadline;
    /* script */
    enum fate fates[STARTS_MAX];
    bool edits[STARTS_MAX];  /* the code changes while this start is under way */
    atomic_int edited;       /* counts */
    unsigned edited_at_look; /* before the n-th look, the first is 1; 0: never */
    _Atomic int64_t changed_unix_ms;
    bool end_when_failed, end_when_ready;
    /* what happened */
    struct hd_instance_handle *running, *outer;
    unsigned starts, terminated, readies, gones, exits;
    atomic_uint looks;
    bool late;
    int concurrency;
    char kind[16], require[16];
    struct hd_error why;
};

static void inner_gone(void *arg)
{
    struct hd_instance_handle *h = arg;
    struct hd_error err;
    hd_fail(&err, HD_EINVAL, "start %u failed", h->w->starts);
    h->w->running = NULL;
    if (!h->ended)
        h->events->on_exit(h->owner, &(struct hd_exit_status){.code = 3});
    h->events->on_gone(h->owner, h->ended ? NULL : &err);
    free(h);
}

static void end_outer(struct world *w)
{
    hd_recheck_backend(w->r)->ops->terminate(w->outer, 0);
}

static void inner_started(void *arg)
{
    struct hd_instance_handle *h = arg;
    struct world *w = h->w;
    if (h->ended)
        return; /* inner_gone is posted */
    if (h->fate == FAILS) {
        inner_gone(h);
        if (w->end_when_failed)
            end_outer(w);
        return;
    }
    char require[] = "admin", kind[] = "fetch";
    const char *const roles[] = {require, NULL};
    const struct hd_declared declared = {
        .is_public = 1, .timeout_ms = -1, .concurrency = 7, .kind = kind, .require = roles};
    const struct hd_endpoint at = {.kind = HD_ENDPOINT_TCP, .address = "127.0.0.1", .port = 9};
    h->events->on_ready(h->owner, &at, &declared);
    memset(require, 'x', sizeof(require) - 1); /* valid in the callback only */
    memset(kind, 'x', sizeof(kind) - 1);
}

static struct hd_instance_handle *inner_launch(struct hd_backend *b, const struct hd_launch *what,
                                               const struct hd_backend_events *events, void *owner)
{
    struct world *w = hd_container_of(b, struct world, backend);
    struct hd_instance_handle *h = hd_new(struct hd_instance_handle);
    assert_string_equal(what->function, "hello");
    assert_true(w->starts < STARTS_MAX);
    *h = (struct hd_instance_handle){
        .w = w, .events = events, .owner = owner, .fate = w->fates[w->starts]};
    if (w->edits[w->starts])
        atomic_fetch_add(&w->edited, 1);
    w->starts++;
    w->running = h;
    if (h->fate != HANGS)
        hd_loop_post(w->loop, inner_started, h);
    return h;
}

static void inner_terminate(struct hd_instance_handle *h, uint32_t grace_ms)
{
    (void)grace_ms;
    if (h->ended)
        return;
    h->ended = true;
    h->w->terminated++;
    hd_loop_post(h->w->loop, inner_gone, h);
}

static const struct hd_backend_ops inner_ops = {
    .name = "played", .launch = inner_launch, .terminate = inner_terminate};

static void look(void *arg, const char *function, struct hd_recheck_look *out)
{
    struct world *w = arg;
    (void)function;
    if (atomic_fetch_add(&w->looks, 1) + 1 == w->edited_at_look) {
        atomic_store(&w->changed_unix_ms, 0);
        atomic_fetch_add(&w->edited, 1);
    }
    out->stamp = 100 + (uint64_t)atomic_load(&w->edited);
    out->changed_unix_ms = atomic_load(&w->changed_unix_ms);
}

/* --- the owner --- */

static void on_ready(void *owner, const struct hd_endpoint *at, const struct hd_declared *declared)
{
    struct world *w = owner;
    w->readies++;
    assert_int_equal(at->port, 9);
    w->concurrency = (int)declared->concurrency;
    snprintf(w->kind, sizeof(w->kind), "%s", declared->kind);
    snprintf(w->require, sizeof(w->require), "%s", declared->require[0]);
    if (w->end_when_ready)
        end_outer(w);
    else
        hd_loop_stop(w->loop);
}

static void on_gone(void *owner, const struct hd_error *err)
{
    struct world *w = owner;
    w->gones++;
    w->outer = NULL;
    if (err != NULL)
        w->why = *err;
    hd_loop_stop(w->loop);
}

static void on_exit_told(void *owner, const struct hd_exit_status *how)
{
    struct world *w = owner;
    assert_int_equal(how->code, 3);
    assert_int_equal(w->gones, 0);
    w->exits++;
}

static const struct hd_backend_events owner_events = {
    .on_ready = on_ready, .on_gone = on_gone, .on_exit = on_exit_told};

static void on_deadline(struct hd_timer *t)
{
    struct world *w = hd_container_of(t, struct world, deadline);
    w->late = true;
    hd_loop_stop(w->loop);
}

static void run(struct world *w)
{
    hd_timer_start(w->loop, &w->deadline, 30000, on_deadline);
    hd_loop_run(w->loop);
    hd_timer_stop(w->loop, &w->deadline);
    assert_false(w->late);
}

static void begin(struct world *w, uint32_t quiet_ms)
{
    w->backend.ops = &inner_ops;
    assert_int_equal(hd_loop_new(&w->loop, 0, NULL), 0);
    w->r = hd_recheck_new(&(struct hd_recheck_options){
        .loop = w->loop, .backend = &w->backend, .look = look, .arg = w, .quiet_ms = quiet_ms});
    struct hd_backend *b = hd_recheck_backend(w->r);
    assert_string_equal(b->ops->name, "played");
    w->outer = b->ops->launch(b, &(struct hd_launch){.function = "hello"}, &owner_events, w);
}

static void start(struct world *w, uint32_t quiet_ms)
{
    begin(w, quiet_ms);
    run(w);
}

static void end(struct world *w)
{
    if (w->outer != NULL) {
        end_outer(w);
        run(w);
    }
    assert_int_equal(w->gones, 1);
    assert_null(w->running);
    hd_recheck_free(w->r);
    hd_loop_free(w->loop);
}

static void a_start_of_code_that_stays_is_told(void **state)
{
    struct world w = {0};
    start(&w, 0);
    assert_int_equal(w.readies, 1);
    assert_int_equal(w.starts, 1);
    assert_int_equal(w.looks, 2);
    assert_int_equal(w.concurrency, 7);
    assert_string_equal(w.kind, "fetch");
    assert_string_equal(w.require, "admin");
    end(&w);
    assert_int_equal(w.exits, 0);
    (void)state;
}

static void a_ready_one_whose_code_changed_is_made_anew_unseen(void **state)
{
    struct world w = {.edits = {true, true}};
    start(&w, 0);
    assert_int_equal(w.starts, 3);
    assert_int_equal(w.terminated, 2);
    assert_int_equal(w.readies, 1);
    assert_int_equal(w.gones, 0);
    end(&w);
    (void)state;
}

static void a_failure_of_code_that_changed_is_not_told(void **state)
{
    struct world w = {.fates = {FAILS, FAILS}, .edits = {true, true}};
    start(&w, 0);
    assert_int_equal(w.starts, 3);
    assert_int_equal(w.readies, 1);
    assert_int_equal(w.gones, 0);
    end(&w);
    assert_int_equal(w.exits, 0);
    (void)state;
}

static void a_failure_of_code_that_is_at_rest_is_told_at_once(void **state)
{
    struct world w = {.fates = {FAILS}};
    start(&w, 0);
    assert_int_equal(w.starts, 1);
    assert_int_equal(w.looks, 2);
    assert_int_equal(w.gones, 1);
    assert_int_equal(w.exits, 1);
    assert_int_equal(w.why.code, HD_EINVAL);
    assert_string_equal(w.why.msg, "start 1 failed");
    end(&w);
    (void)state;
}

static void a_failure_of_code_that_was_just_written_waits_for_more(void **state)
{
    struct world w = {.fates = {FAILS}};
    w.changed_unix_ms = hd_clock_unix_ms();
    start(&w, 100);
    assert_int_equal(w.starts, 1);
    assert_true(hd_clock_unix_ms() - w.changed_unix_ms >= 100);
    assert_int_equal(w.gones, 1);
    assert_int_equal(w.why.code, HD_EINVAL);
    end(&w);
    (void)state;
}

static void what_was_half_written_is_started_when_it_is_whole(void **state)
{
    /* Looks: before the start, after it failed, and when nobody wrote for a while. */
    struct world w = {.fates = {FAILS}, .edited_at_look = 3};
    w.changed_unix_ms = hd_clock_unix_ms();
    start(&w, 1500);
    assert_int_equal(w.starts, 2);
    assert_int_equal(w.readies, 1);
    assert_int_equal(w.gones, 0);
    end(&w);
    (void)state;
}

static void code_that_never_stops_changing_is_taken_as_it_is(void **state)
{
    struct world w = {0};
    memset(w.edits, true, sizeof(w.edits));
    start(&w, 0);
    assert_int_equal(w.starts, 9);
    assert_int_equal(w.readies, 1);
    end(&w);
    (void)state;
}

static void on_impatience(struct hd_timer *t)
{
    end_outer(hd_container_of(t, struct world, deadline));
}

static void one_that_is_ended_is_gone_once_wherever_it_was(void **state)
{
    struct world looking = {0};
    begin(&looking, 0);
    end(&looking);
    assert_int_equal(looking.starts, 0);
    struct world hanging = {.fates = {HANGS}};
    begin(&hanging, 0);
    hd_timer_start(hanging.loop, &hanging.deadline, 100, on_impatience);
    hd_loop_run(hanging.loop);
    end(&hanging);
    struct world judging = {.fates = {FAILS}, .end_when_failed = true};
    start(&judging, 0);
    assert_int_equal(judging.why.code, 0);
    end(&judging);
    struct world ready = {.end_when_ready = true};
    start(&ready, 0);
    assert_int_equal(ready.readies, 1);
    assert_int_equal(ready.terminated, 1);
    end(&ready);
    (void)state;
}

static void one_that_waits_for_the_end_of_writing_can_be_ended(void **state)
{
    struct world w = {.fates = {FAILS}};
    w.changed_unix_ms = hd_clock_unix_ms();
    begin(&w, 3600 * 1000);
    hd_timer_start(w.loop, &w.deadline, 300, on_impatience);
    hd_loop_run(w.loop);
    assert_int_equal(w.why.code, 0);
    assert_true(w.starts <= 1);
    end(&w);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_of_code_that_stays_is_told),
        cmocka_unit_test(a_ready_one_whose_code_changed_is_made_anew_unseen),
        cmocka_unit_test(a_failure_of_code_that_changed_is_not_told),
        cmocka_unit_test(a_failure_of_code_that_is_at_rest_is_told_at_once),
        cmocka_unit_test(a_failure_of_code_that_was_just_written_waits_for_more),
        cmocka_unit_test(what_was_half_written_is_started_when_it_is_whole),
        cmocka_unit_test(code_that_never_stops_changing_is_taken_as_it_is),
        cmocka_unit_test(one_that_is_ended_is_gone_once_wherever_it_was),
        cmocka_unit_test(one_that_waits_for_the_end_of_writing_can_be_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
