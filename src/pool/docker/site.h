/* pool/docker/site.h - what the instances of the docker backend have in common. */
#pragma once

#include "core/list.h"
#include "core/log.h"
#include "http/net.h"
#include "pool/docker/containerplan.h"
#include "pool/docker/pull.h"
#include "pool/docker/sight.h"
#include "pool/process/rundir.h"

/** The backend's. */
struct hd_docker_site {
    struct hd_loop *loop;
    struct hd_log *log;
    struct hd_engine *engine; /* NULL: there was no need for it yet */
    struct hd_pulls *pulls;
    struct hd_sight *sight;
    struct hd_net *net; /* of tunnels; NULL: there was none yet */
    unsigned tunnels;   /* that are open */
    struct hd_rundir dir;
    struct hd_container_site container;
    const char *const *images;
    const char *endpoint_url;
    const uint8_t *credentials_key;
    uint32_t start_timeout_ms;
    struct hd_list instances;
};
