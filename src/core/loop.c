#include "core/loop.h"

#include <assert.h>
#include <stdatomic.h>

struct post {
    struct post *next;
    void (*fn)(void *arg);
    void *arg;
};

struct hd_loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_timer_t tick;  /* armed for heap[0] */
    uint64_t tick_ms; /* when `tick` is due, 0: not armed */
    unsigned index;
    uv_thread_t thread;
    struct post *_Atomic posts; /* newest first */
    _Atomic uintptr_t runs_on;  /* the thread that runs it now; 0: none */
    uv_prepare_t before_sleep;
    bool own_posts;         /* there are some of its own thread: nobody has to wake it for them */
    struct hd_timer **heap; /* binary, smallest key first */
    uint32_t heap_len, heap_cap;
    bool stopping, firing;
    bool is_virtual;
    uint64_t virtual_ms;
    struct hd_ready ready;
};

static uint64_t now_ms(const struct hd_loop *l)
{
    return l->is_virtual ? l->virtual_ms : uv_now(&l->uv);
}

/* --- timers: a binary heap that forgives keys which are too early --- */

static void place(struct hd_loop *l, uint32_t i, struct hd_timer *t)
{
    l->heap[i] = t;
    t->slot = i + 1;
}

static void sift_up(struct hd_loop *l, uint32_t i, struct hd_timer *t)
{
    for (; i > 0; i = (i - 1) / 2) {
        struct hd_timer *parent = l->heap[(i - 1) / 2];
        if (parent->key_ms <= t->key_ms)
            break;
        place(l, i, parent);
    }
    place(l, i, t);
}

static void sift_down(struct hd_loop *l, uint32_t i, struct hd_timer *t)
{
    for (uint32_t child; (child = 2 * i + 1) < l->heap_len; i = child) {
        if (child + 1 < l->heap_len && l->heap[child + 1]->key_ms < l->heap[child]->key_ms)
            child++;
        if (t->key_ms <= l->heap[child]->key_ms)
            break;
        place(l, i, l->heap[child]);
    }
    place(l, i, t);
}

static void heap_remove(struct hd_loop *l, struct hd_timer *t)
{
    uint32_t i = t->slot - 1;
    struct hd_timer *last = l->heap[--l->heap_len];
    t->slot = 0;
    if (last == t)
        return;
    if (i > 0 && last->key_ms < l->heap[(i - 1) / 2]->key_ms)
        sift_up(l, i, last);
    else
        sift_down(l, i, last);
}

static void on_tick(uv_timer_t *tick);

static void arm(struct hd_loop *l)
{
    if (l->firing || l->is_virtual)
        return; /* on_tick() does it at its end; virtual time needs no handle */
    if (l->heap_len == 0) {
        if (l->tick_ms != 0)
            uv_timer_stop(&l->tick);
        l->tick_ms = 0;
        return;
    }
    uint64_t due = l->heap[0]->key_ms, now = uv_now(&l->uv);
    if (l->tick_ms != 0 && l->tick_ms <= due)
        return; /* wakes early enough, and looks again then */
    l->tick_ms = due > 0 ? due : 1;
    uv_timer_start(&l->tick, on_tick, due > now ? due - now : 0, 0);
}

static bool fire(struct hd_loop *l)
{
    uint64_t now = now_ms(l);
    bool fired = false;
    l->firing = true;
    while (l->heap_len > 0 && l->heap[0]->key_ms <= now) {
        struct hd_timer *t = l->heap[0];
        if (t->due_ms > now) { /* it was moved later in the meantime */
            t->key_ms = t->due_ms;
            sift_down(l, 0, t);
            continue;
        }
        heap_remove(l, t);
        t->fn(t);
        fired = true;
    }
    l->firing = false;
    return fired;
}

static void on_tick(uv_timer_t *tick)
{
    struct hd_loop *l = tick->data;
    l->tick_ms = 0;
    fire(l);
    arm(l);
}

void hd_timer_start(struct hd_loop *l, struct hd_timer *t, uint64_t delay_ms,
                    void (*fn)(struct hd_timer *t))
{
    /* A due time in this very turn would let a timer that restarts itself spin for ever. */
    uint64_t due = now_ms(l) + (delay_ms > 0 ? delay_ms : 1);
    t->fn = fn;
    t->due_ms = due;
    if (t->slot != 0 && due >= t->key_ms)
        return;
    t->key_ms = due;
    if (t->slot != 0) {
        sift_up(l, t->slot - 1, t);
    } else {
        if (l->heap_len == l->heap_cap) {
            l->heap_cap = l->heap_cap > 0 ? l->heap_cap * 2 : 64;
            l->heap = hd_realloc_array((void *)l->heap, l->heap_cap, sizeof(*l->heap));
        }
        sift_up(l, l->heap_len++, t);
    }
    arm(l);
}

void hd_timer_stop(struct hd_loop *l, struct hd_timer *t)
{
    if (t->slot != 0)
        heap_remove(l, t);
}

/* --- posts --- */

static bool run_posts(struct hd_loop *l)
{
    struct post *newest = atomic_exchange_explicit(&l->posts, NULL, memory_order_acquire);
    struct post *oldest = NULL;
    bool any = newest != NULL;
    while (newest != NULL) {
        struct post *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct post *next = oldest->next;
        oldest->fn(oldest->arg);
        free(oldest);
        oldest = next;
    }
    return any;
}

static void on_wake(uv_async_t *wake)
{
    run_posts(wake->data);
}

/* What its own thread posted while it was awake needs no system call to be found. */
static void on_before_sleep(uv_prepare_t *prepare)
{
    struct hd_loop *l = prepare->data;
    if (!l->own_posts)
        return;
    l->own_posts = false;
    run_posts(l);
    if (l->own_posts) /* sockets have their turn before what was posted meanwhile */
        uv_async_send(&l->wake);
    l->own_posts = false;
}

static bool is_on_own_thread(const struct hd_loop *l)
{
    return atomic_load_explicit(&l->runs_on, memory_order_relaxed) == (uintptr_t)uv_thread_self();
}

void hd_loop_post(struct hd_loop *l, void (*fn)(void *arg), void *arg)
{
    struct post *p = hd_new(struct post);
    p->fn = fn;
    p->arg = arg;
    p->next = atomic_load_explicit(&l->posts, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&l->posts, &p->next, p, memory_order_release,
                                                  memory_order_relaxed))
        ;
    if (is_on_own_thread(l))
        l->own_posts = true;
    else
        uv_async_send(&l->wake);
}

/* --- life --- */

int hd_loop_new(struct hd_loop **out, unsigned index, struct hd_error *err)
{
    struct hd_loop *l = hd_new(struct hd_loop);
    int rc = uv_loop_init(&l->uv);
    if (rc != 0) {
        free(l);
        return hd_fail_sys(err, rc, "loop %u", index);
    }
    rc = uv_async_init(&l->uv, &l->wake, on_wake);
    if (rc != 0) {
        uv_loop_close(&l->uv);
        free(l);
        return hd_fail_sys(err, rc, "loop %u: wake-up", index);
    }
    rc = hd_ready_init(&l->ready, &l->uv);
    if (rc != 0) {
        uv_close((uv_handle_t *)&l->wake, NULL);
        uv_run(&l->uv, UV_RUN_NOWAIT);
        uv_loop_close(&l->uv);
        free(l);
        return hd_fail_sys(err, rc, "loop %u: epoll", index);
    }
    uv_timer_init(&l->uv, &l->tick); /* these cannot fail */
    uv_unref((uv_handle_t *)&l->tick);
    uv_prepare_init(&l->uv, &l->before_sleep);
    uv_prepare_start(&l->before_sleep, on_before_sleep);
    uv_unref((uv_handle_t *)&l->before_sleep);
    l->index = index;
    l->uv.data = l;
    l->wake.data = l;
    l->tick.data = l;
    l->before_sleep.data = l;
    *out = l;
    return 0;
}

void hd_loop_free(struct hd_loop *l)
{
    if (l == NULL)
        return;
    run_posts(l);
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_close((uv_handle_t *)&l->tick, NULL);
    uv_close((uv_handle_t *)&l->before_sleep, NULL);
    hd_ready_close(&l->ready);
    uv_run(&l->uv, UV_RUN_NOWAIT);
    int rc = uv_loop_close(&l->uv);
    assert(rc == 0); /* a handle was left open: ours, not a peer's doing */
    (void)rc;
    free((void *)l->heap);
    free(l);
}

void hd_loop_run(struct hd_loop *l)
{
    l->stopping = false;
    atomic_store_explicit(&l->runs_on, (uintptr_t)uv_thread_self(), memory_order_relaxed);
    while (!l->stopping)
        uv_run(&l->uv, UV_RUN_DEFAULT);
    atomic_store_explicit(&l->runs_on, 0, memory_order_relaxed);
    if (l->own_posts) /* for whoever runs it again */
        uv_async_send(&l->wake);
    l->own_posts = false;
}

static void run_thread(void *arg)
{
    hd_loop_run(arg);
}

int hd_loop_start(struct hd_loop *l, struct hd_error *err)
{
    int rc = uv_thread_create(&l->thread, run_thread, l);
    if (rc != 0)
        return hd_fail_sys(err, rc, "loop %u: thread", l->index);
    return 0;
}

static void stop(void *arg)
{
    struct hd_loop *l = arg;
    l->stopping = true;
    uv_stop(&l->uv);
}

void hd_loop_stop(struct hd_loop *l)
{
    hd_loop_post(l, stop, l);
}

void hd_loop_join(struct hd_loop *l)
{
    uv_thread_join(&l->thread);
}

uv_loop_t *hd_loop_uv(struct hd_loop *l)
{
    return &l->uv;
}

struct hd_ready *hd_loop_ready(struct hd_loop *l)
{
    return &l->ready;
}

unsigned hd_loop_index(const struct hd_loop *l)
{
    return l->index;
}

uint64_t hd_loop_now_ms(const struct hd_loop *l)
{
    return now_ms(l);
}

/* --- virtual time --- */

void hd_loop_set_virtual(struct hd_loop *l, uint64_t start_ms)
{
    l->is_virtual = true;
    l->virtual_ms = start_ms;
}

bool hd_loop_advance(struct hd_loop *l, uint64_t to_ms)
{
    l->virtual_ms = to_ms;
    bool posts = run_posts(l), timers = fire(l);
    return posts || timers;
}

uint64_t hd_loop_next_ms(const struct hd_loop *l)
{
    return l->heap_len > 0 ? l->heap[0]->key_ms : UINT64_MAX;
}
