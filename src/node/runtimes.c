#include "node/runtimes.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

static bool has_hosts(const char *dir)
{
    hd_auto_free char *host = hd_printf("%s/node/host.mjs", dir);
    return access(host, R_OK) == 0;
}

char *hd_node_runtimes_dir(const struct hd_node_options *opt)
{
    static const char *const places[] = {"../share/heddle/runtimes", "../runtimes",
                                         "../../runtimes", "../../../runtimes"};
    if (opt->runtimes_dir != NULL)
        return has_hosts(opt->runtimes_dir) ? hd_strdup(opt->runtimes_dir) : NULL;
    char exe[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (len <= 0)
        return NULL;
    exe[len] = '\0';
    *strrchr(exe, '/') = '\0';
    for (size_t i = 0; i < HD_COUNT(places); i++) {
        hd_auto_free char *dir = hd_printf("%s/%s", exe, places[i]);
        if (has_hosts(dir))
            return realpath(dir, NULL);
    }
    return NULL;
}

char *hd_node_deno(const struct hd_node_options *opt, const char *runtimes)
{
    static const char *const builds[] = {"linux-x64-glibc", "linux-arm64-glibc"};
    if (hd_option_origin(&opt->set, "runtimes.deno")->rank != HD_OPTION_DEFAULT)
        return hd_strdup(opt->deno);
    for (size_t i = 0; runtimes != NULL && i < HD_COUNT(builds); i++) {
        hd_auto_free char *path = hd_printf("%s/node_modules/@deno/%s/deno", runtimes, builds[i]);
        if (access(path, X_OK) == 0)
            return hd_steal(path);
    }
    return hd_strdup(opt->deno);
}
