/* doctor_lambda.c - what the Lambda API needs: room for code, and a container engine for images. */
#include "cli/doctor.h"
#include "functions/bundle.h"
#include "pool/docker/enginehost.h"

#include <errno.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* The largest function, as an archive and unpacked, with its layers. */
static const uint64_t room_wanted = HD_BUNDLE_ZIPPED_MAX + 2ULL * HD_BUNDLE_UNPACKED_MAX;

static void check_store(struct hd_findings *f, const struct hd_node_options *opt)
{
    struct statvfs disk;
    hd_auto_free char *dir = hd_printf("%s/bundles", opt->data_dir);
    if (access(dir, F_OK) < 0)
        return; /* made by the first start; the folder above it is looked at by itself */
    if (access(dir, R_OK | W_OK | X_OK) < 0) {
        hd_findings_add(f, "code store", HD_HEALTH_BAD, hd_printf("%s cannot be written", dir),
                        hd_printf("chown -R %u %s", (unsigned)getuid(), dir));
        return;
    }
    uint64_t left = statvfs(dir, &disk) == 0 ? (uint64_t)disk.f_bavail * disk.f_frsize : UINT64_MAX;
    bool little = left < room_wanted;
    hd_findings_add(f, "code store", little ? HD_HEALTH_NOTE : HD_HEALTH_GOOD,
                    little ? hd_printf("%s: %llu MiB left, the largest function takes %llu", dir,
                                       (unsigned long long)(left >> 20),
                                       (unsigned long long)(room_wanted >> 20))
                           : hd_strdup(dir),
                    little ? hd_strdup("make room, or use --data-dir on a larger disk") : NULL);
}

static void check_engine(struct hd_findings *f, const struct hd_node_options *opt)
{
    struct hd_engine_where where = {.host = opt->docker_host, .certs = opt->docker_certs};
    struct hd_engine_host found;
    struct hd_error err;
    bool wanted = opt->lambda_backend == HD_LAMBDA_BACKEND_DOCKER;
    if (hd_engine_host_find(&found, &where, &err) == 0) {
        hd_findings_add(f, "container engine", HD_HEALTH_GOOD,
                        hd_strdup(found.socket != NULL ? found.socket : found.base), NULL);
        hd_engine_host_done(&found);
        return;
    }
    hd_findings_add(f, "container engine", wanted ? HD_HEALTH_BAD : HD_HEALTH_NOTE,
                    hd_strdup(err.msg),
                    hd_strdup("only functions of the Lambda API with PackageType Image need one: "
                              "apt-get install docker.io, or --docker-host"));
}

void hd_doctor_lambda(struct hd_findings *f, const struct hd_node_options *opt)
{
    check_store(f, opt);
    check_engine(f, opt);
}
