#include "node/archives.h"

#include "core/base.h"
#include "core/dynload.h"

#include <assert.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct hd_archives archives; /* written by load() only */
static bool loaded;

static void load(void)
{
    static const struct hd_dynsym symbols[] = {
#define SYMBOL(name) {"archive_" #name, offsetof(struct hd_archives, name)}
        SYMBOL(read_new),           SYMBOL(read_free),
        SYMBOL(read_open_filename), SYMBOL(read_support_format_tar),
        SYMBOL(read_next_header),   SYMBOL(read_data),
        SYMBOL(read_data_into_fd),  SYMBOL(error_string),
        SYMBOL(entry_pathname),
#undef SYMBOL
    };
    loaded = hd_dynload("libarchive.so.13", &archives, symbols, HD_COUNT(symbols));
}

const struct hd_archives *hd_archives_load(struct hd_error *err)
{
    pthread_once(&once, load);
    if (loaded)
        return &archives;
    hd_fail(err, HD_ENOTFOUND,
            "libarchive.so.13 cannot be loaded; install it: apt-get install libarchive13");
    return NULL;
}

const struct hd_archives *hd_archives(void)
{
    assert(loaded);
    return &archives;
}
