/* sim_backend.h - a backend for simulations: slow, dead, lying, leaking and crashing, on virtual
 * time; it checks what the pool does to it. */
#pragma once

#include "core/id.h"
#include "core/list.h"
#include "core/map.h"
#include "pool/set.h"

enum { SIM_LOOPS = 3 };

enum sim_mood {
    SIM_FINE,
    SIM_DEAD,      /* ends before it is ready; another time it may work */
    SIM_REFUSING,  /* ends before it is ready: the function's own fault */
    SIM_SLOW,      /* is never ready */
    SIM_LYING,     /* is ready, but answers nothing */
    SIM_CRASHING,  /* is ready, and ends by itself some time later */
    SIM_LEAKING,   /* takes more memory each time it is asked */
    SIM_STILLBORN, /* is ready only to say that its init failed; where each has its own attempt */
    SIM_MOODS
};

struct sim_handle {
    struct hd_list link; /* in the backend's handles, for as long as it lives */
    struct sim_backend *backend;
    const struct hd_backend_events *events;
    void *owner;
    struct sim_version *version;
    enum sim_mood mood;
    uint16_t number;
    uint32_t concurrency; /* as declared, or UINT32_MAX */
    uint32_t held;        /* by the clients of the simulation */
    uint64_t rss_bytes;
    bool was_ready, terminated, gone, own, provisioned;
    bool leaving; /* it said that it ends */
    bool iced;    /* from when it was to freeze until it was thawed */
    uint64_t end_ms;
    void (*next)(struct sim_handle *h);
    struct hd_timer timer, ping, ice;
    void (*on_pinged)(void *owner, int rc);
    void (*on_iced)(void *owner, const struct hd_error *err);
    bool ice_fails, thaws;
};

/* What the simulation knows of one version of one function. */
struct sim_version {
    char name[32];
    unsigned failures; /* launches that failed since one was ready */
    uint64_t failed_ms;
};

struct sim_backend {
    struct hd_backend base;
    struct hd_loop *loop;
    struct hd_pool_set *set;
    struct hd_rng rng;
    uint64_t seed;
    unsigned lanes;       /* starts at once, all together */
    unsigned max_failing; /* percent of launches that are not fine */
    bool healthy;         /* from now on all launches are fine */
    uint64_t memory_bytes, surge_ms;
    bool (*recycles)(const struct sim_backend *b, const char *function);
    unsigned alive, starting;
    uint64_t freezes, thaws; /* that were done */
    uint16_t numbers;
    struct hd_list handles;
    struct sim_handle *by_number[65536];
    struct hd_map versions;
};

void sim_backend_init(struct sim_backend *b, struct hd_loop *loop, uint64_t seed, unsigned lanes);
void sim_backend_done(struct sim_backend *b);
/** It said that it ends itself, and does so soon. */
void sim_handle_leave(struct sim_handle *h);
struct sim_handle *sim_handle_at(struct sim_backend *b, const struct hd_endpoint *at);
/** End the program with the seed and the claim that does not hold. */
void sim_check(const struct sim_backend *b, bool holds, const char *claim);
