#include "http/curl.h"

#include "core/base.h"
#include "core/dynload.h"

#include <assert.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct hd_curl curl; /* written by load() only */
static bool loaded;

static void load(void)
{
    static const struct hd_dynsym symbols[] = {
#define SYMBOL(name) {"curl_" #name, offsetof(struct hd_curl, name)}
        SYMBOL(global_init),         SYMBOL(version),
        SYMBOL(easy_init),           SYMBOL(easy_cleanup),
        SYMBOL(easy_setopt),         SYMBOL(easy_getinfo),
        SYMBOL(easy_perform),        SYMBOL(easy_strerror),
        SYMBOL(easy_recv),           SYMBOL(easy_send),
        SYMBOL(multi_init),          SYMBOL(multi_cleanup),
        SYMBOL(multi_setopt),        SYMBOL(multi_assign),
        SYMBOL(multi_add_handle),    SYMBOL(multi_remove_handle),
        SYMBOL(multi_socket_action), SYMBOL(multi_info_read),
        SYMBOL(slist_append),        SYMBOL(slist_free_all),
#undef SYMBOL
    };
    loaded = hd_dynload("libcurl.so.4", &curl, symbols, HD_COUNT(symbols)) &&
             curl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

const struct hd_curl *hd_curl_load(struct hd_error *err)
{
    pthread_once(&once, load);
    if (loaded)
        return &curl;
    hd_fail(err, HD_ENOTFOUND,
            "libcurl.so.4 cannot be loaded; install it: apt-get install libcurl4");
    return NULL;
}

const struct hd_curl *hd_curl(void)
{
    assert(loaded);
    return &curl;
}
