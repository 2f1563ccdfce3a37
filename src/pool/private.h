/* pool/private.h - what the sources of the pool share; nobody else includes it.
 *
 * Who may touch what:
 *   L  under the group's lock
 *   C  control loop only
 *   CL written on the control loop under the lock: read there without, elsewhere with it
 *   A  atomic
 *   I  written before it is shared, then never
 *
 * The lost wake-up. take() and give() meet without a lock: give() frees a place and then looks
 * whether anybody waits; take() announces that it waits and then looks for a place. All four are
 * sequentially consistent, so at least one of the two sees the other: the waiter finds the place,
 * or the giver finds the waiter (and then serves the queue under the lock). Draining works the
 * same way with `watched`: the control loop sets it and then reads in_flight, give() lowers
 * in_flight and then reads it.
 *
 * Who keeps what alive. Places are handed out under the lock only, and only for instances in
 * `ready`; so once an instance has left that list, in_flight only falls. give() still reads the
 * instance, and its pool, after it lowered in_flight. Therefore the memory goes only after a
 * message went round all loops which was sent when in_flight was 0 already: each loop has then
 * come back from whatever give() it was in. The same round closes idle connections. */
#pragma once

#include "core/id.h"
#include "core/map.h"
#include "pool/alive.h"
#include "pool/lambdaenv.h"
#include "pool/launch.h"
#include "pool/policy.h"

#include <pthread.h>
#include <stdatomic.h>

/** One function: what its versions share. Counted by its pools, its waiters and the set. */
struct hd_pool_group {
    char *key;               /* I */
    atomic_uint refs;        /* A */
    pthread_mutex_t lock;    /* one for all versions, so that a queue can move between them */
    struct hd_pool *newest;  /* CL, a reference; NULL: the function was removed */
    struct hd_list versions; /* CL: pools that have not ended */
    _Atomic int64_t used_ms; /* A: when it was asked for; before our start: negative */
    struct hd_pool_counters counters; /* A, by the builtins */
    uint64_t instance_bytes;          /* C: what an instance takes, as measured; 0: unknown */
};

struct hd_pool {
    struct hd_pool_set *set;      /* C */
    struct hd_loop *control;      /* I */
    struct hd_pool_group *group;  /* I */
    atomic_uint refs;             /* A */
    struct hd_backend *backend;   /* I */
    struct hd_launch launch;      /* I, an own copy */
    struct hd_pool_limits limits; /* CL */
    uint32_t declared;            /* C: concurrency that its host declared; 0: none */

    atomic_int state;               /* A: enum hd_pool_state */
    atomic_uint waiting;            /* A, changed under L: length of `queue` */
    atomic_bool kicked;             /* A: a step is posted */
    struct hd_list ready;           /* L: instances that get requests, last used first */
    struct hd_list queue;           /* L: waiters, oldest first */
    uint32_t frozen;                /* L: of ready: those that are not HD_ICE_WARM */
    struct hd_list instances;       /* CL: all but those that are gone */
    enum hd_pool_life life;         /* CL */
    struct hd_pool *previous;       /* CL, a reference: serves until we are ready */
    uint64_t next_deadline_ms;      /* L: not after that of any waiter */
    uint64_t refuse_until_ms;       /* CL: FAILED, and trying again is not due */
    struct hd_error error;          /* CL: of the last launch that failed */
    int start_code;                 /* CL: same, as the backend has it */
    bool exited;                    /* CL: same: its program ended, like this */
    struct hd_exit_status exit;     /* CL */
    _Atomic uint64_t cold_start_us; /* A: the last one */

    struct hd_list link;              /* C: in the set's pools; linked: it has not ended */
    struct hd_list version_link;      /* CL: in the group's versions */
    bool counted;                     /* C: it is the newest, and in the set's by_state */
    uint32_t n[HD_INSTANCE_GONE + 1]; /* C: instances by state */
    struct hd_timer wake;             /* C */
    struct hd_list gone;              /* C: instances that wait for their last lease */
    struct hd_pool_health health;     /* C */
    bool eager;                       /* C */
    uint64_t freeze_from_ms;          /* C: not tried before, as it did not work */
    uint64_t last_start_ms;           /* C */
    struct hd_list wish_link;         /* C: in the set's wishes */
    uint32_t wish;                    /* C: instances it wants */
    enum hd_pool_urgency urgency;     /* C */
    uint64_t no_room_ms;              /* C: since when memory is all that lacks; 0: it does not */
};

struct hd_instance {
    uint64_t serial;                              /* I */
    struct hd_pool *pool;                         /* I, a reference */
    struct hd_endpoint endpoint;                  /* written before it joins `ready` */
    uint64_t init_us;                             /* same */
    bool provisioned;                             /* I */
    char log_stream[HD_LAMBDAENV_STREAM_MAX + 1]; /* I: Lambda semantics only, else empty */
    char id[HD_ALIVE_ID_CHARS + 1];               /* I */
    enum hd_instance_state state;                 /* CL */
    struct hd_list link;                          /* CL: in the pool's instances, or gone */
    struct hd_list ready_link;                    /* L */
    enum hd_instance_ice ice;                     /* CL; WARM when it is not in `ready` */

    atomic_uint in_flight;              /* A: raised under the lock only */
    _Atomic uint64_t last_used_ms;      /* A: 0: never */
    _Atomic uint64_t requests;          /* A, changed under L */
    atomic_int suspicion;               /* A: enum hd_suspicion */
    atomic_bool served;                 /* A: it answered a request */
    atomic_bool watched;                /* A: kick the pool when in_flight falls to 0 */
    atomic_bool alive;                  /* A */
    atomic_int fate;                    /* A: enum hd_instance_fate */
    _Atomic uint64_t rss_bytes, cpu_us; /* A */
    _Atomic uint64_t peak_bytes;        /* A */

    struct hd_instance_handle *handle;        /* C: the backend's */
    uint64_t since_ms, stop_until_ms;         /* C */
    uint64_t ping_until_ms, replace_since_ms; /* C */
    uint64_t ice_since_ms;                    /* C */
    uint64_t launched_us;                     /* C */
    uint64_t charge_bytes;                    /* C: its part of the set's used_bytes */
    struct hd_list sample_link;               /* C: in the set's samples */
    uint64_t sampled_ms;                      /* C */
    struct hd_list cpu_link;                  /* C: in the set's limited */
    bool cpu_marked;                          /* C: the two below are of requests in flight */
    uint64_t cpu_mark_us, cpu_mark_finished;  /* C: CPU time and requests finished at the mark */
    uint64_t request_cpu_us;                  /* C: used since the mark */
    enum hd_pool_recycle why;                 /* C */
    bool exited;                              /* C: the backend said how */
    struct hd_exit_status exit;               /* C */
    struct hd_error ended;                    /* C: gone: as the backend said */
    struct hd_list witnesses;                 /* C: see pool/witness.h */
    bool flushing;                            /* C: the backend is asked for its output */
    bool timed_out;                           /* C: it did not become ready in time */
    unsigned acks;                            /* C: loops that have not heard that it is gone */
    bool told;                                /* C: every loop has closed its connections */
    bool quiet;                               /* C: in_flight was 0 when the round began */
    struct hd_list conns[];                   /* each loop its own */
};

/** A lease that waits. Apart from the lease, so that its owner may leave while a grant is on its
 * way. */
struct hd_pool_waiter {
    struct hd_list link;         /* L: in a queue; not linked: decided, and posted to `loop` */
    struct hd_lease *lease;      /* its loop only; NULL: it left */
    struct hd_loop *loop;        /* I */
    struct hd_pool_group *group; /* I, a reference */
    struct hd_pool *pool;        /* L, a reference: whose queue */
    uint64_t asked_ms, asked_us, deadline_ms; /* I */
    uint32_t failures;                        /* L: launches that failed meanwhile */
    bool cold;                                /* I */
    struct hd_instance *instance;             /* the decision: a place, */
    bool first, alone;                        /* as in the lease; */
    struct hd_error err;                      /* or why not */
    int start_code;                           /* and of a launch that failed: how */
    bool exited;
    struct hd_exit_status exit;
};

struct hd_pool_set {
    struct hd_loop *loops[HD_POOL_LOOPS_MAX]; /* I */
    unsigned n_loops;                         /* I */
    struct hd_loop *control;                  /* I */
    struct hd_backend *backend;               /* I */
    struct hd_log *log;                       /* I */
    struct hd_alive *alive;                   /* I */
    const struct hd_pool_set_events *events;  /* I */
    void *arg;                                /* I */
    uint64_t memory_bytes, instance_bytes;    /* I */
    unsigned prewarm;                         /* I */
    unsigned lanes, demand_lanes;             /* I */

    pthread_mutex_t lock;                      /* of `groups`; taken before a group's */
    struct hd_map groups;                      /* written on the control loop under the lock */
    atomic_uint by_state[HD_POOL_STATE_COUNT]; /* A: functions */
    _Atomic uint64_t used_bytes;               /* A */

    /* C, all of it */
    struct hd_rng rng;
    uint64_t serial;
    struct hd_list pools, wishes, samples;
    struct hd_list limited; /* instances with a limit of CPU time */
    uint64_t freeing_bytes; /* charged to instances that are being ended */
    unsigned starting, gone;
    bool admit_posted, closing, closed;
    struct hd_timer retry, sample, grace, cpu;
    void (*on_closed)(void *arg);
    void *closed_arg;
    struct hd_instance_view *views; /* scratch */
    size_t views_cap;
};

static inline void hd_pool_count(uint64_t *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}
void hd_pool_histogram_add(struct hd_pool_histogram *h, uint64_t us);

/* pool.c */
/** @return linked into the set and the group, not yet the newest; the references of both links. */
struct hd_pool *hd_pool_new(struct hd_pool_set *set, struct hd_pool_group *group,
                            const struct hd_pool_spec *spec);
struct hd_pool_group *hd_pool_group_new(const char *key);
struct hd_pool_group *hd_pool_group_ref(struct hd_pool_group *g);
void hd_pool_group_unref(struct hd_pool_group *g);
/** Have the control loop look at the pool soon. Any thread, with or without the lock. */
void hd_pool_kick(struct hd_pool *p);

/* queue.c; under the group's lock */
/** Give free places to who waits. */
void hd_pool_serve(struct hd_pool *p);
void hd_pool_refuse(struct hd_pool_waiter *w, enum hd_pool_reject why, const struct hd_error *err);
void hd_pool_refuse_all(struct hd_pool *p, enum hd_pool_reject why, const struct hd_error *err);
/** Refuse those whose time is over. */
void hd_pool_expire(struct hd_pool *p, uint64_t now_ms);
/** Let the queue of @p from wait in @p to; NULL: the function was removed. */
void hd_pool_move_queue(struct hd_pool *from, struct hd_pool *to);

/* instance.c; control loop */
/** @return bytes to expect of the next instance. */
uint64_t hd_pool_estimate(const struct hd_pool *p);
void hd_instance_launch(struct hd_pool *p);
/** Carry out a decision of the policy. @return whether it changed the instance's state. */
bool hd_instance_act(struct hd_instance *i, enum hd_pool_act act, enum hd_pool_recycle why);
/** End an idle one for the memory of others; nothing happens when it is in use again. */
void hd_instance_evict(struct hd_instance *i);
/** Ask the backend what it takes. */
void hd_instance_measure(struct hd_instance *i);
/** Free a gone one if nobody holds it, which takes a round over the loops. */
void hd_instance_reap(struct hd_instance *i);

/* ice.c; control loop */
/** Freeze an idle one. @return false: it is in use again. */
bool hd_instance_freeze(struct hd_instance *i);
/** Thaw a frozen one, for those who wait. */
void hd_instance_thaw(struct hd_instance *i);
/** It leaves `ready`. Under the group's lock. */
void hd_instance_forget_ice(struct hd_instance *i);

/* step.c; control loop */
/** Plan for one pool and carry it out. */
void hd_pool_step(struct hd_pool *p);
/** A launch failed: note it, and blame it. @param i  whose; its program may have ended. */
void hd_pool_failed(struct hd_pool *p, enum hd_pool_failure why, const struct hd_error *err,
                    const struct hd_instance *i);
/** Remember how an instance ended, for those who are refused because of it. */
void hd_pool_note_end(struct hd_pool *p, const struct hd_error *err, const struct hd_instance *i);
/** An instance or a launch was lost: refuse those who need not wait any longer.
 *  @param launches  launches lost by it: a waiting request lives through some. */
void hd_pool_blame(struct hd_pool *p, uint32_t launches, const struct hd_error *err);
/** Hand over to the newest version (or to none: removed), and drain. */
void hd_pool_retire(struct hd_pool *p);
/** Have the previous version end: this one takes over. */
void hd_pool_hand_over(struct hd_pool *p);
/** Forget a pool without instances and waiters. */
void hd_pool_end(struct hd_pool *p);

/* admit.c; control loop */
/** Have the wishes looked at soon. */
void hd_pool_set_admit(struct hd_pool_set *set);
/** Measure instances from time to time, while there are any. */
void hd_pool_set_sample(struct hd_pool_set *set);

/* witness.c; control loop */
/** It wrote a line. */
void hd_witness_line(struct hd_instance *i, struct hd_str id, struct hd_str text);
/** It is gone. */
void hd_witness_gone(struct hd_instance *i, const struct hd_error *err);

/* cpulimit.c; control loop */
/** Watch what a ready instance uses, if its pool has a limit. */
void hd_instance_limit_cpu(struct hd_instance *i);

/* set.c; control loop */
/** Count a pool's state in the set's, or do not any more. */
void hd_pool_set_counted(struct hd_pool *p, bool counted);
/** Something ended: is the set closed now? */
void hd_pool_set_check_closed(struct hd_pool_set *set);
