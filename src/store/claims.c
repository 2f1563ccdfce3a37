/*  file: MAGIC, then HD_CLAIMS_MAX entries; one with seq 0 is free
 *    free ──begin──► under way ──end──► free
 *                        └──the process dies, open──► lost + 1 ──begin──► under way ──► ... */
#include "store/claims.h"

#include "core/map.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct entry {
    uint64_t seq;
    uint32_t lost;
    uint32_t under_way;
};

struct file {
    uint64_t magic;
    uint64_t reserved;
    struct entry entries[HD_CLAIMS_MAX];
};

static const uint64_t magic = 0x31736d69616c6368; /* "hclaims1" */

struct hd_claims {
    struct file *file;
    struct hd_map by_seq; /* of struct entry, in the file */
    uint32_t free[HD_CLAIMS_MAX];
    uint32_t n_free;
};

static struct hd_str key_of(const uint64_t *seq)
{
    return hd_str_n((const char *)seq, sizeof(*seq));
}

static struct entry *find(const struct hd_claims *c, uint64_t seq)
{
    return c != NULL ? hd_map_get(&c->by_seq, key_of(&seq)) : NULL;
}

static void give_back(struct hd_claims *c, struct entry *e)
{
    hd_map_remove(&c->by_seq, key_of(&e->seq));
    *e = (struct entry){0};
    c->free[c->n_free++] = (uint32_t)(e - c->file->entries);
}

/* Blocks are reserved: a disk that is full later must not end the process that writes here. */
static int map(struct file **out, int fd, const char *path, struct hd_error *err)
{
    int sys = posix_fallocate(fd, 0, sizeof(struct file));
    if (sys != 0)
        return hd_fail_sys(err, sys, "%s", path);
    void *at = mmap(NULL, sizeof(struct file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return hd_fail_sys(err, errno, "%s", path);
    *out = at;
    return 0;
}

int hd_claims_open(struct hd_claims **out, const char *path, struct hd_error *err)
{
    struct file *file = NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return hd_fail_sys(err, errno, "%s", path);
    int rc = map(&file, fd, path, err);
    close(fd);
    if (rc < 0)
        return rc;
    if (file->magic != magic)
        memset(file, 0, sizeof(*file)); /* new, or nothing of ours */
    file->magic = magic;
    struct hd_claims *c = hd_new(struct hd_claims);
    c->file = file;
    hd_map_init(&c->by_seq, 0);
    for (uint32_t i = HD_CLAIMS_MAX; i-- > 0;) {
        struct entry *e = &file->entries[i];
        if (e->seq == 0) {
            c->free[c->n_free++] = i;
            continue;
        }
        e->lost += e->under_way != 0 && e->lost < UINT32_MAX;
        e->under_way = 0;
        hd_map_put(&c->by_seq, key_of(&e->seq), e);
    }
    *out = c;
    return 0;
}

void hd_claims_close(struct hd_claims *c)
{
    if (c == NULL)
        return;
    for (uint32_t i = 0; i < HD_CLAIMS_MAX; i++)
        c->file->entries[i].under_way = 0;
    hd_map_done(&c->by_seq);
    munmap(c->file, sizeof(*c->file));
    free(c);
}

uint32_t hd_claims_begin(struct hd_claims *c, uint64_t seq)
{
    struct entry *e = find(c, seq);
    if (c == NULL || (e == NULL && c->n_free == 0))
        return 0;
    if (e == NULL) {
        e = &c->file->entries[c->free[--c->n_free]];
        *e = (struct entry){.seq = seq};
        hd_map_put(&c->by_seq, key_of(&e->seq), e);
    }
    e->under_way = 1;
    return e->lost;
}

void hd_claims_end(struct hd_claims *c, uint64_t seq)
{
    struct entry *e = find(c, seq);
    if (e != NULL)
        give_back(c, e);
}

uint32_t hd_claims_lost(const struct hd_claims *c, uint64_t seq)
{
    const struct entry *e = find(c, seq);
    return e != NULL ? e->lost : 0;
}

void hd_claims_sweep(struct hd_claims *c, bool (*there)(void *arg, uint64_t seq), void *arg)
{
    for (uint32_t i = 0; c != NULL && i < HD_CLAIMS_MAX; i++) {
        struct entry *e = &c->file->entries[i];
        if (e->seq != 0 && !there(arg, e->seq))
            give_back(c, e);
    }
}
