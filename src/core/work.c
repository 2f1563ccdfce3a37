#include "core/work.h"

struct job {
    uv_work_t req;
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

static void on_work(uv_work_t *req)
{
    struct job *j = req->data;
    j->work(j->arg);
}

static void on_done(uv_work_t *req, int status)
{
    struct job *j = req->data;
    (void)status; /* nobody cancels */
    j->done(j->arg);
    free(j);
}

int hd_work(struct hd_loop *l, void (*work)(void *arg), void (*done)(void *arg), void *arg,
            struct hd_error *err)
{
    struct job *j = hd_new(struct job);
    *j = (struct job){.req.data = j, .work = work, .done = done, .arg = arg};
    int rc = uv_queue_work(hd_loop_uv(l), &j->req, on_work, on_done);
    if (rc == 0)
        return 0;
    free(j);
    return hd_fail_sys(err, rc, "work thread");
}
