#include "shim/rapi_state.h"
#include "test.h"

enum { NEXT = HD_RAPI_NEXT, RESPONSE = HD_RAPI_RESPONSE, ERROR = HD_RAPI_ERROR };

static enum hd_rapi_verdict ask(struct hd_rapi *r, int call, const char *id)
{
    return hd_rapi_ask(r, (enum hd_rapi_call)call, hd_str(id));
}

/* A runtime in each phase, made by legal moves only. */
static struct hd_rapi in(enum hd_rapi_phase phase)
{
    struct hd_rapi r = {0};
    if (phase == HD_RAPI_INIT)
        return r;
    if (phase == HD_RAPI_FAILED) {
        assert_int_equal(ask(&r, HD_RAPI_INIT_ERROR, ""), HD_RAPI_OK);
        return r;
    }
    if (phase == HD_RAPI_OVER) {
        hd_rapi_end(&r);
        return r;
    }
    assert_int_equal(ask(&r, NEXT, ""), HD_RAPI_OK);
    if (phase == HD_RAPI_IDLE)
        hd_rapi_next_lost(&r);
    if (phase == HD_RAPI_IDLE || phase == HD_RAPI_WAITING)
        return r;
    hd_rapi_give(&r, hd_str("one"));
    if (phase == HD_RAPI_RUNNING)
        return r;
    assert_int_equal(ask(&r, RESPONSE, "one"), HD_RAPI_OK);
    if (phase == HD_RAPI_ANSWERED)
        hd_rapi_answered(&r);
    return r;
}

static void every_call_in_every_phase(void **state)
{
    enum { OK = HD_RAPI_OK, NO = HD_RAPI_NOT_NOW, ID = HD_RAPI_BAD_ID };
    static const struct {
        enum hd_rapi_phase phase;
        int next, own, other, error, init_error, restore;
    } table[] = {
        {HD_RAPI_INIT, OK, NO, NO, NO, OK, OK},      {HD_RAPI_IDLE, OK, ID, ID, ID, NO, NO},
        {HD_RAPI_WAITING, NO, ID, ID, ID, NO, NO},   {HD_RAPI_RUNNING, NO, OK, ID, OK, NO, NO},
        {HD_RAPI_ANSWERING, NO, NO, ID, NO, NO, NO}, {HD_RAPI_ANSWERED, OK, NO, ID, NO, NO, NO},
        {HD_RAPI_FAILED, NO, NO, NO, NO, NO, NO},    {HD_RAPI_OVER, NO, ID, ID, ID, NO, NO},
    };
    for (size_t i = 0; i < HD_COUNT(table); i++) {
        const struct {
            int call;
            const char *id;
            int wanted;
        } calls[] = {
            {NEXT, "", table[i].next},
            {RESPONSE, "one", table[i].own},
            {RESPONSE, "two", table[i].other},
            {ERROR, "one", table[i].error},
            {HD_RAPI_INIT_ERROR, "", table[i].init_error},
            {HD_RAPI_RESTORE, "", table[i].restore},
        };
        for (size_t j = 0; j < HD_COUNT(calls); j++) {
            struct hd_rapi r = in(table[i].phase);
            assert_int_equal(r.phase, table[i].phase);
            int got = (int)ask(&r, calls[j].call, calls[j].id);
            if (got != calls[j].wanted)
                fail_msg("phase %zu, call %zu: %d, not %d", i, j, got, calls[j].wanted);
            if (got != OK)
                assert_int_equal(r.phase, table[i].phase);
        }
    }
    (void)state;
}

static void an_id_is_dead_once_the_next_event_was_given(void **state)
{
    struct hd_rapi r = in(HD_RAPI_ANSWERED);
    assert_int_equal(ask(&r, RESPONSE, "one"), HD_RAPI_NOT_NOW);
    assert_int_equal(ask(&r, NEXT, ""), HD_RAPI_OK);
    assert_int_equal(ask(&r, RESPONSE, "one"), HD_RAPI_BAD_ID);
    hd_rapi_give(&r, hd_str("two"));
    assert_int_equal(ask(&r, RESPONSE, "one"), HD_RAPI_BAD_ID);
    assert_int_equal(ask(&r, ERROR, "two"), HD_RAPI_OK);
    (void)state;
}

static void an_id_is_dead_after_a_timeout(void **state)
{
    struct hd_rapi r = in(HD_RAPI_RUNNING);
    hd_rapi_end(&r);
    assert_int_equal(ask(&r, RESPONSE, "one"), HD_RAPI_BAD_ID);
    assert_int_equal(ask(&r, RESPONSE, ""), HD_RAPI_BAD_ID);
    assert_int_equal(ask(&r, NEXT, ""), HD_RAPI_NOT_NOW);
    (void)state;
}

static void a_next_that_broke_off_may_be_asked_again(void **state)
{
    struct hd_rapi r = in(HD_RAPI_WAITING);
    assert_int_equal(ask(&r, NEXT, ""), HD_RAPI_NOT_NOW);
    hd_rapi_next_lost(&r);
    assert_int_equal(ask(&r, NEXT, ""), HD_RAPI_OK);
    hd_rapi_give(&r, hd_str("two"));
    hd_rapi_next_lost(&r); /* the call was answered: nothing is lost */
    assert_int_equal(r.phase, HD_RAPI_RUNNING);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_in_every_phase),
        cmocka_unit_test(an_id_is_dead_once_the_next_event_was_given),
        cmocka_unit_test(an_id_is_dead_after_a_timeout),
        cmocka_unit_test(a_next_that_broke_off_may_be_asked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
