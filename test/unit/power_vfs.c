#include "power_vfs.h"

#include "core/id.h"
#include "core/list.h"
#include "test.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>

/* A write that no sync has followed. */
struct late {
    struct hd_list link;
    int64_t at;
    int len; /* -1: cut off at `at` */
    char bytes[];
};

/* What is known of a file, by name. */
struct disk {
    struct hd_list link;
    char path[256];
    char *kept; /* as synced */
    int64_t bytes, cap;
    int64_t extent; /* with what was not synced: the space it takes */
    bool there;     /* it was synced once */
    struct hd_list late;
};

struct file {
    sqlite3_file base;
    struct disk *disk; /* NULL: not watched */
    sqlite3_file real[];
};

static sqlite3_vfs *below;
static sqlite3_vfs vfs;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct hd_list disks = {&disks, &disks};
static struct power power = {.room_bytes = -1};

struct power *power_lock(void)
{
    pthread_mutex_lock(&lock);
    return &power;
}

void power_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

static sqlite3_file *real(sqlite3_file *f)
{
    return ((struct file *)f)->real;
}

static void put(struct disk *d, int64_t at, const char *bytes, int len)
{
    if (len < 0) {
        d->bytes = d->bytes < at ? d->bytes : at;
        return;
    }
    if (at + len > d->bytes) {
        if (at + len > d->cap) {
            d->cap = 2 * (at + len);
            d->kept = hd_realloc_array(d->kept, (size_t)d->cap, 1);
        }
        if (at > d->bytes)
            memset(d->kept + d->bytes, 0, (size_t)(at - d->bytes));
        d->bytes = at + len;
    }
    memcpy(d->kept + at, bytes, (size_t)len);
}

static void note(struct disk *d, int64_t at, const void *bytes, int len)
{
    struct late *l = hd_alloc(sizeof(*l) + (len > 0 ? (size_t)len : 0));
    l->at = at;
    l->len = len;
    if (len > 0)
        memcpy(l->bytes, bytes, (size_t)len);
    hd_list_push(&d->late, &l->link);
}

/* --- the calls that matter --- */

static int on_write(sqlite3_file *f, const void *bytes, int len, sqlite3_int64 at)
{
    struct disk *d = ((struct file *)f)->disk;
    pthread_mutex_lock(&lock);
    int64_t more = d != NULL && at + len > d->extent ? at + len - d->extent : 0;
    bool full = power.room_bytes >= 0 && power.room_bytes < more;
    if (!full && d != NULL) {
        power.room_bytes -= power.room_bytes >= 0 ? more : 0;
        d->extent += more;
        note(d, at, bytes, len);
    }
    pthread_mutex_unlock(&lock);
    return full ? SQLITE_FULL : real(f)->pMethods->xWrite(real(f), bytes, len, at);
}

static int on_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    struct disk *d = ((struct file *)f)->disk;
    pthread_mutex_lock(&lock);
    if (d != NULL) {
        power.room_bytes += power.room_bytes >= 0 && size < d->extent ? d->extent - size : 0;
        d->extent = size < d->extent ? size : d->extent;
        note(d, size, NULL, -1);
    }
    pthread_mutex_unlock(&lock);
    return real(f)->pMethods->xTruncate(real(f), size);
}

static int on_sync(sqlite3_file *f, int flags)
{
    struct disk *d = ((struct file *)f)->disk;
    pthread_mutex_lock(&lock);
    bool fails = power.fail_syncs;
    power.syncs++;
    struct hd_list *link;
    while (!fails && d != NULL && (link = hd_list_pop(&d->late)) != NULL) {
        struct late *l = hd_container_of(link, struct late, link);
        put(d, l->at, l->bytes, l->len);
        free(l);
    }
    if (!fails && d != NULL)
        d->there = true;
    pthread_mutex_unlock(&lock);
    return fails ? SQLITE_IOERR_FSYNC : real(f)->pMethods->xSync(real(f), flags);
}

/* --- the others --- */

static int on_close(sqlite3_file *f)
{
    return real(f)->pMethods->xClose(real(f));
}

static int on_read(sqlite3_file *f, void *to, int len, sqlite3_int64 at)
{
    return real(f)->pMethods->xRead(real(f), to, len, at);
}

static int on_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return real(f)->pMethods->xFileSize(real(f), size);
}

static int on_lock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xLock(real(f), level);
}

static int on_unlock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xUnlock(real(f), level);
}

static int on_check(sqlite3_file *f, int *out)
{
    return real(f)->pMethods->xCheckReservedLock(real(f), out);
}

static int on_control(sqlite3_file *f, int op, void *arg)
{
    return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int on_sector(sqlite3_file *f)
{
    return real(f)->pMethods->xSectorSize(real(f));
}

static int on_traits(sqlite3_file *f)
{
    (void)f;
    return 0; /* promises nothing */
}

static int on_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
}

static int on_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
}

static void on_shm_barrier(sqlite3_file *f)
{
    real(f)->pMethods->xShmBarrier(real(f));
}

static int on_shm_unmap(sqlite3_file *f, int remove)
{
    return real(f)->pMethods->xShmUnmap(real(f), remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = on_lock,
    .xUnlock = on_unlock,
    .xCheckReservedLock = on_check,
    .xFileControl = on_control,
    .xSectorSize = on_sector,
    .xDeviceCharacteristics = on_traits,
    .xShmMap = on_shm_map,
    .xShmLock = on_shm_lock,
    .xShmBarrier = on_shm_barrier,
    .xShmUnmap = on_shm_unmap,
};

/* What is there before the first look was there for long. */
static void load(struct disk *d)
{
    char block[4096];
    size_t n;
    FILE *in = fopen(d->path, "rb");
    while (in != NULL && (n = fread(block, 1, sizeof(block), in)) > 0)
        put(d, d->bytes, block, (int)n);
    if (in != NULL)
        fclose(in);
    d->extent = d->bytes;
    d->there = d->bytes > 0;
}

static struct disk *disk_of(const char *path)
{
    hd_list_each(link, &disks)
    {
        struct disk *d = hd_container_of(link, struct disk, link);
        if (strcmp(d->path, path) == 0)
            return d;
    }
    struct disk *d = hd_new(struct disk);
    snprintf(d->path, sizeof(d->path), "%s", path);
    hd_list_init(&d->late);
    hd_list_push(&disks, &d->link);
    load(d);
    return d;
}

static int on_open(sqlite3_vfs *v, const char *path, sqlite3_file *f, int flags, int *out)
{
    struct file *file = (struct file *)f;
    file->disk = NULL;
    if (path != NULL && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) != 0) {
        pthread_mutex_lock(&lock);
        file->disk = disk_of(path);
        pthread_mutex_unlock(&lock);
    }
    int rc = below->xOpen(below, path, file->real, flags, out);
    file->base.pMethods = file->real->pMethods != NULL ? &methods : NULL;
    (void)v;
    return rc;
}

void power_install(void)
{
    below = sqlite3_vfs_find(NULL);
    vfs = *below; /* the rest of its calls do not look at who is asked */
    vfs.zName = "power";
    vfs.szOsFile = (int)sizeof(struct file) + below->szOsFile;
    vfs.xOpen = on_open;
    sqlite3_vfs_register(&vfs, 1);
}

void power_cut(const char *path, const char *folder, uint64_t seed)
{
    struct hd_rng rng;
    hd_rng_init(&rng, seed);
    pthread_mutex_lock(&lock);
    hd_list_each(link, &disks)
    {
        struct disk *d = hd_container_of(link, struct disk, link);
        if (!d->there || strncmp(d->path, path, strlen(path)) != 0)
            continue;
        struct disk after = {
            .kept = hd_alloc((size_t)d->bytes + 1), .bytes = d->bytes, .cap = d->bytes};
        memcpy(after.kept, d->kept, (size_t)d->bytes);
        hd_list_each(late, &d->late)
        {
            struct late *l = hd_container_of(late, struct late, link);
            uint64_t how = hd_rng_below(&rng, 3);
            if (how == 0 || l->len < 0)
                continue;
            int len = how == 1 ? l->len : (int)hd_rng_below(&rng, (uint64_t)l->len + 1);
            put(&after, l->at, l->bytes, len);
        }
        char name[512];
        snprintf(name, sizeof(name), "%s%s", folder, strrchr(d->path, '/'));
        FILE *out = fopen(name, "wb");
        assert_non_null(out);
        assert_int_equal(fwrite(after.kept, 1, (size_t)after.bytes, out), after.bytes);
        fclose(out);
        free(after.kept);
    }
    pthread_mutex_unlock(&lock);
}

void power_reset(void)
{
    pthread_mutex_lock(&lock);
    struct hd_list *link;
    while ((link = hd_list_pop(&disks)) != NULL) {
        struct disk *d = hd_container_of(link, struct disk, link);
        struct hd_list *late;
        while ((late = hd_list_pop(&d->late)) != NULL)
            free(hd_container_of(late, struct late, link));
        free(d->kept);
        free(d);
    }
    power = (struct power){.room_bytes = -1};
    pthread_mutex_unlock(&lock);
}
