#include "functions/zip.h"

#include "core/crc32.h"

#include <limits.h>
#include <sys/stat.h>
#include <time.h>
#include <zlib.h>

enum {
    END_SIG = 0x06054b50,
    END_BYTES = 22,
    END64_LOCATOR_SIG = 0x07064b50,
    END64_LOCATOR_BYTES = 20,
    END64_SIG = 0x06064b50,
    END64_BYTES = 56,
    DIR_SIG = 0x02014b50,
    DIR_BYTES = 46,
    LOCAL_SIG = 0x04034b50,
    LOCAL_BYTES = 30,
    COMMENT_MAX = 65535,
    CHUNK_BYTES = 64 << 10,
};

/* --- numbers, little-endian; the caller has seen that they lie in the archive --- */

static uint16_t u16(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    return (uint16_t)(b[0] | b[1] << 8);
}

static uint32_t u32(const char *p)
{
    return u16(p) | (uint32_t)u16(p + 2) << 16;
}

static uint64_t u64(const char *p)
{
    return u32(p) | (uint64_t)u32(p + 4) << 32;
}

/* @return @p len bytes at @p at, or NULL: they are not all there. */
static const char *bytes_at(struct hd_str all, uint64_t at, uint64_t len)
{
    return at <= all.len && len <= all.len - at ? all.ptr + at : NULL;
}

static int broken(struct hd_error *err, uint64_t at, const char *what)
{
    return hd_fail(err, HD_EINVAL, "byte %llu: %s", (unsigned long long)at, what);
}

/* --- the end of the archive, where its directory is found --- */

/* What looks like an end may stand in the comment behind the real one; so one that reaches to the
 * last byte is better than one that does not. */
static const char *find_end(struct hd_str all)
{
    uint64_t lowest = all.len > END_BYTES + COMMENT_MAX ? all.len - END_BYTES - COMMENT_MAX : 0;
    const char *found = NULL;
    for (uint64_t at = all.len; at-- > lowest;) {
        const char *p = bytes_at(all, at, END_BYTES);
        if (p == NULL || u32(p) != END_SIG || bytes_at(all, at + END_BYTES, u16(p + 20)) == NULL)
            continue;
        if (at + END_BYTES + u16(p + 20) == all.len)
            return p;
        if (found == NULL)
            found = p;
    }
    return found;
}

struct end {
    uint64_t entries, dir_bytes, dir_offset;
    uint64_t at; /* what follows the directory begins here */
    bool disks;  /* a part of it lies elsewhere */
};

/* The record of Zip64, through its locator, which stands right before the ordinary end. Some write
 * it where nothing needs it. */
static int read_end64(struct end *e, struct hd_str all, struct hd_error *err)
{
    bool needed =
        e->entries == UINT16_MAX || e->dir_bytes == UINT32_MAX || e->dir_offset == UINT32_MAX;
    const char *l = e->at >= END64_LOCATOR_BYTES
                        ? bytes_at(all, e->at - END64_LOCATOR_BYTES, END64_LOCATOR_BYTES)
                        : NULL;
    if (l == NULL || u32(l) != END64_LOCATOR_SIG)
        return 0; /* 0xffffffff may be meant */
    uint64_t beside =
        e->at - END64_LOCATOR_BYTES - HD_MIN(e->at - END64_LOCATOR_BYTES, (uint64_t)END64_BYTES);
    const uint64_t places[] = {u64(l + 8), beside};
    for (size_t i = 0; i < HD_COUNT(places); i++) {
        const char *p = bytes_at(all, places[i], END64_BYTES);
        if (p == NULL || u32(p) != END64_SIG)
            continue;
        e->disks = u32(l + 4) != 0 || u32(p + 16) != 0 || u32(p + 20) != 0;
        e->entries = u64(p + 32);
        e->dir_bytes = u64(p + 40);
        e->dir_offset = u64(p + 48);
        e->at = places[i];
        return 0;
    }
    return needed ? broken(err, e->at, "there is no Zip64 end record where its locator points") : 0;
}

int hd_zip_open(struct hd_zip *z, struct hd_str bytes, struct hd_error *err)
{
    const char *p = find_end(bytes);
    if (p == NULL)
        return hd_fail(err, HD_EINVAL, "not a zip archive: it has no end of a central directory");
    struct end e = {.entries = u16(p + 10),
                    .dir_bytes = u32(p + 12),
                    .dir_offset = u32(p + 16),
                    .at = (uint64_t)(p - bytes.ptr),
                    .disks = (u16(p + 4) != 0 && u16(p + 4) != UINT16_MAX) ||
                             (u16(p + 6) != 0 && u16(p + 6) != UINT16_MAX)};
    int rc = read_end64(&e, bytes, err);
    if (rc < 0)
        return rc;
    if (e.disks)
        return broken(err, e.at, "it is one part of an archive in several");
    if (e.dir_bytes > e.at || e.dir_offset > e.at - e.dir_bytes)
        return broken(err, e.at, "its central directory is cut off");
    uint64_t first = e.at - e.dir_bytes;
    *z = (struct hd_zip){.bytes = bytes,
                         .base = first - e.dir_offset,
                         .at = first,
                         .end = e.at,
                         .first = first,
                         .declared = e.entries};
    return 0;
}

/* --- one entry --- */

/* @return the data of an extra field, or an empty slice. */
static struct hd_str extra_field(struct hd_str extra, uint16_t id)
{
    while (extra.len >= 4) {
        uint16_t len = u16(extra.ptr + 2);
        if (len > extra.len - 4)
            break;
        if (u16(extra.ptr) == id)
            return hd_str_n(extra.ptr + 4, len);
        extra = hd_str_n(extra.ptr + 4 + len, extra.len - 4 - len);
    }
    return hd_str_n(NULL, 0);
}

/* Take a number from the Zip64 field where the ordinary one says that it is there. */
static bool widen(uint64_t *n, struct hd_str *wide)
{
    if (*n != UINT32_MAX)
        return true;
    if (wide->len < 8)
        return false;
    *n = u64(wide->ptr);
    *wide = hd_str_n(wide->ptr + 8, wide->len - 8);
    return true;
}

static int64_t dos_time(uint16_t date, uint16_t time)
{
    struct tm tm = {.tm_year = 80 + (date >> 9),
                    .tm_mon = (date >> 5 & 15) - 1,
                    .tm_mday = date & 31,
                    .tm_hour = time >> 11,
                    .tm_min = time >> 5 & 63,
                    .tm_sec = (time & 31) * 2};
    if (tm.tm_mon < 0 || tm.tm_mon > 11 || tm.tm_mday == 0)
        return 315532800; /* 1980: the beginning of DOS's time */
    return timegm(&tm);
}

static int64_t entry_time(const char *p, struct hd_str extra)
{
    struct hd_str unix_time = extra_field(extra, 0x5455); /* "UT": flags, then 32 bits */
    if (unix_time.len >= 5 && (unix_time.ptr[0] & 1))
        return (int32_t)u32(unix_time.ptr + 1);
    return dos_time(u16(p + 14), u16(p + 12));
}

static void set_kind(struct hd_zip_entry *e, unsigned system, uint32_t attributes)
{
    bool is_unix = system == 3 || system == 19; /* 19: Darwin */
    uint32_t mode = is_unix ? attributes >> 16 : 0;
    bool slash = e->name.len > 0 && e->name.ptr[e->name.len - 1] == '/';
    e->dos = system == 0 || system == 10 || system == 11 || system == 14;
    slash = slash || (e->dos && e->name.len > 0 && e->name.ptr[e->name.len - 1] == '\\');
    e->mode = mode != 0 ? mode & 0777 : HD_ZIP_MODE_DEFAULT;
    switch (mode & S_IFMT) {
    case 0:
    case S_IFREG:
        e->kind = slash ? HD_ZIP_FOLDER : HD_ZIP_FILE;
        break;
    case S_IFDIR:
        e->kind = HD_ZIP_FOLDER;
        break;
    case S_IFLNK:
        e->kind = HD_ZIP_LINK;
        break;
    default:
        e->kind = HD_ZIP_OTHER;
        break;
    }
}

/* The entry's own header stands before its data and must name the same thing. */
static int find_data(const struct hd_zip *z, struct hd_zip_entry *e, uint64_t offset,
                     uint64_t packed, struct hd_error *err)
{
    uint64_t at;
    if (__builtin_add_overflow(offset, z->base, &at) || at > z->first)
        return broken(err, e->at, "an entry lies outside of the archive");
    struct hd_str body = hd_str_n(z->bytes.ptr, z->first);
    const char *p = bytes_at(body, at, LOCAL_BYTES);
    if (p == NULL || u32(p) != LOCAL_SIG)
        return broken(err, at, "there is no entry where the directory says");
    struct hd_str name = hd_str_n(bytes_at(body, at + LOCAL_BYTES, u16(p + 26)), u16(p + 26));
    if (name.ptr == NULL || !hd_str_eq(name, e->name))
        return broken(err, at, "an entry has another name than in the directory");
    at += LOCAL_BYTES + name.len + u16(p + 28);
    e->data = hd_str_n(bytes_at(body, at, packed), packed);
    return e->data.ptr != NULL ? 0 : broken(err, at, "an entry's data are cut off");
}

int hd_zip_next(struct hd_zip *z, struct hd_zip_entry *e, struct hd_error *err)
{
    if (z->at == z->end)
        return z->n == z->declared
                   ? 0
                   : broken(err, z->at, "the directory has another number of entries than it says");
    struct hd_str dir = hd_str_n(z->bytes.ptr, z->end);
    const char *p = bytes_at(dir, z->at, DIR_BYTES);
    if (p == NULL || u32(p) != DIR_SIG)
        return broken(err, z->at, "the directory is broken");
    uint64_t len = (uint64_t)DIR_BYTES + u16(p + 28) + u16(p + 30) + u16(p + 32);
    if (bytes_at(dir, z->at, len) == NULL)
        return broken(err, z->at, "the directory is cut off");
    *e = (struct hd_zip_entry){.name = hd_str_n(p + DIR_BYTES, u16(p + 28)), .at = z->at};
    struct hd_str extra = hd_str_n(e->name.ptr + e->name.len, u16(p + 30));
    struct hd_str wide = extra_field(extra, 1);
    uint64_t packed = u32(p + 20), offset = u32(p + 42);
    unsigned flags = u16(p + 8), method = u16(p + 10);
    e->unpacked_bytes = u32(p + 24);
    if (!widen(&e->unpacked_bytes, &wide) || !widen(&packed, &wide) || !widen(&offset, &wide))
        return broken(err, z->at, "an entry has no Zip64 sizes where it needs them");
    if (flags & (1U << 0 | 1U << 6 | 1U << 13))
        return broken(err, z->at, "an entry is encrypted");
    if (method != 0 && method != Z_DEFLATED)
        return hd_fail(err, HD_EINVAL,
                       "byte %llu: an entry is packed by method %u; only stored (0) and deflated "
                       "(8) are supported",
                       (unsigned long long)z->at, method);
    e->deflated = method == Z_DEFLATED;
    if (!e->deflated && packed != e->unpacked_bytes)
        return broken(err, z->at, "a stored entry has two lengths");
    e->crc = u32(p + 16);
    e->mtime_unix_s = entry_time(p, extra);
    set_kind(e, u16(p + 4) >> 8, u32(p + 38));
    int rc = find_data(z, e, offset, packed, err);
    if (rc < 0)
        return rc;
    z->at += len;
    z->n++;
    return 1;
}

/* --- its data --- */

struct check {
    const struct hd_zip_entry *e;
    int (*sink)(void *arg, struct hd_str bytes);
    void *arg;
    uint64_t n;
    uint32_t crc;
    struct hd_error *err;
};

static int give(struct check *c, const char *ptr, size_t len)
{
    if (len > c->e->unpacked_bytes - c->n)
        return broken(c->err, c->e->at, "an entry is longer than it says");
    c->n += len;
    c->crc = hd_crc32(c->crc, ptr, len);
    return len > 0 ? c->sink(c->arg, hd_str_n(ptr, len)) : 0;
}

static int inflate_all(struct check *c, z_stream *s, char *room)
{
    struct hd_str in = c->e->data;
    int state = Z_OK;
    while (state != Z_STREAM_END) {
        if (s->avail_in == 0) {
            size_t n = HD_MIN(in.len, (size_t)UINT_MAX);
            s->next_in = (z_const Bytef *)in.ptr;
            s->avail_in = (uInt)n;
            in = hd_str_n(in.ptr + n, in.len - n);
        }
        s->next_out = (Bytef *)room;
        s->avail_out = CHUNK_BYTES;
        state = inflate(s, Z_NO_FLUSH);
        if (state != Z_OK && state != Z_STREAM_END)
            return broken(c->err, c->e->at, "an entry's data are broken");
        int rc = give(c, room, CHUNK_BYTES - s->avail_out);
        if (rc != 0)
            return rc;
    }
    return s->avail_in == 0 && in.len == 0
               ? 0
               : broken(c->err, c->e->at, "something follows an entry's data");
}

static int unpack_deflated(struct check *c)
{
    z_stream s = {0};
    if (inflateInit2(&s, -MAX_WBITS) != Z_OK)
        return hd_fail(c->err, HD_EIO, "unpacking: out of memory");
    char *room = hd_alloc(CHUNK_BYTES);
    int rc = inflate_all(c, &s, room);
    free(room);
    inflateEnd(&s);
    return rc;
}

int hd_zip_unpack(const struct hd_zip_entry *e, int (*sink)(void *arg, struct hd_str bytes),
                  void *arg, struct hd_error *err)
{
    struct check c = {.e = e, .sink = sink, .arg = arg, .crc = 0, .err = err};
    int rc = e->deflated ? unpack_deflated(&c) : give(&c, e->data.ptr, e->data.len);
    if (rc != 0)
        return rc;
    if (c.n != e->unpacked_bytes)
        return broken(err, e->at, "an entry is shorter than it says");
    return c.crc == e->crc ? 0 : broken(err, e->at, "an entry's checksum is wrong");
}
