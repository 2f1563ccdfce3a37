/* zipmake.h - archives byte by byte, right ones and wrong ones. */
#pragma once

#include "core/buf.h"
#include "test.h"

#include <sys/stat.h>
#include <zlib.h>

enum { ZIPMAKE_UNIX = 3, ZIPMAKE_DOS = 0 };

/** One entry; zeroed members are the ordinary case: a stored file from Unix with mode 0644. */
struct zipmake {
    const char *name;
    size_t name_len; /* 0: strlen(name) */
    const char *data;
    uint32_t mode; /* with S_IFLNK, ...; 0: S_IFREG | 0644 */
    bool no_mode, dos, deflate, zip64;
    uint16_t flags, method; /* method: as claimed; 0: the right one */
    const char *local_name; /* in the entry's own header; NULL: the same */
    uint32_t wrong_crc;     /* is added to the right one */
    int64_t claim;          /* is added to the unpacked length */
    uint32_t unix_time;     /* in an extra field; 0: none */
    uint64_t offset_wrong;  /* is added to the offset */
};

static inline void zipmake_u16(struct hd_buf *b, unsigned n)
{
    const unsigned char le[] = {(unsigned char)n, (unsigned char)(n >> 8)};
    hd_buf_add(b, le, 2);
}

static inline void zipmake_u32(struct hd_buf *b, uint32_t n)
{
    zipmake_u16(b, n & 0xffff);
    zipmake_u16(b, n >> 16);
}

static inline void zipmake_u64(struct hd_buf *b, uint64_t n)
{
    zipmake_u32(b, (uint32_t)n);
    zipmake_u32(b, (uint32_t)(n >> 32));
}

static inline void zipmake_pack(struct hd_buf *out, struct hd_str data)
{
    z_stream s = {.next_in = (z_const Bytef *)data.ptr, .avail_in = (uInt)data.len};
    assert_int_equal(deflateInit2(&s, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&s, (uLong)data.len);
    s.next_out = (Bytef *)hd_buf_reserve(out, room);
    s.avail_out = (uInt)room;
    assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
    hd_buf_commit(out, room - s.avail_out);
    deflateEnd(&s);
}

/** Append an archive of @p n entries; @p data_len: of the first entry's data, 0: strlen. */
static inline void zipmake(struct hd_buf *b, const struct zipmake *list, size_t n, size_t data_len)
{
    struct hd_buf dir;
    size_t start = b->len;
    hd_buf_init(&dir, 16 << 20);
    for (size_t i = 0; i < n; i++) {
        const struct zipmake *m = &list[i];
        struct hd_str data = hd_str(m->data), name = hd_str(m->name), local;
        struct hd_buf packed;
        hd_buf_init(&packed, 64 << 20);
        if (i == 0 && data_len > 0)
            data.len = data_len;
        if (m->name_len > 0)
            name.len = m->name_len;
        local = m->local_name != NULL ? hd_str(m->local_name) : name;
        if (m->deflate)
            zipmake_pack(&packed, data);
        else
            hd_buf_str(&packed, data);
        unsigned method = m->method != 0 ? m->method : m->deflate ? 8 : 0;
        uint32_t crc = (uint32_t)crc32_z(0, (const Bytef *)data.ptr, data.len) + m->wrong_crc;
        uint64_t size = data.len + (uint64_t)m->claim;
        uint64_t offset = b->len - start + m->offset_wrong;
        zipmake_u32(b, 0x04034b50);
        zipmake_u16(b, 20);
        zipmake_u16(b, m->flags);
        zipmake_u16(b, method);
        zipmake_u32(b, 0x5a215a21);
        zipmake_u32(b, crc);
        zipmake_u32(b, (uint32_t)packed.len);
        zipmake_u32(b, (uint32_t)size);
        zipmake_u16(b, (unsigned)local.len);
        zipmake_u16(b, 0);
        hd_buf_str(b, local);
        hd_buf_add(b, packed.ptr, packed.len);
        uint32_t mode = m->mode != 0 ? m->mode : S_IFREG | 0644;
        zipmake_u32(&dir, 0x02014b50);
        zipmake_u16(&dir, (m->dos ? ZIPMAKE_DOS : ZIPMAKE_UNIX) << 8 | 20);
        zipmake_u16(&dir, 20);
        zipmake_u16(&dir, m->flags);
        zipmake_u16(&dir, method);
        zipmake_u32(&dir, 0x5a215a21); /* 2025-01-01 11:17:02 */
        zipmake_u32(&dir, crc);
        zipmake_u32(&dir, m->zip64 ? UINT32_MAX : (uint32_t)packed.len);
        zipmake_u32(&dir, m->zip64 ? UINT32_MAX : (uint32_t)size);
        zipmake_u16(&dir, (unsigned)name.len);
        zipmake_u16(&dir, (m->zip64 ? 28 : 0) + (m->unix_time != 0 ? 9 : 0));
        zipmake_u16(&dir, 0);
        zipmake_u16(&dir, 0);
        zipmake_u16(&dir, 0);
        zipmake_u32(&dir, m->no_mode || m->dos ? 0 : mode << 16);
        zipmake_u32(&dir, m->zip64 ? UINT32_MAX : (uint32_t)offset);
        hd_buf_str(&dir, name);
        if (m->unix_time != 0) {
            zipmake_u16(&dir, 0x5455);
            zipmake_u16(&dir, 5);
            hd_buf_char(&dir, 1);
            zipmake_u32(&dir, m->unix_time);
        }
        if (m->zip64) {
            zipmake_u16(&dir, 1);
            zipmake_u16(&dir, 24);
            zipmake_u64(&dir, size);
            zipmake_u64(&dir, packed.len);
            zipmake_u64(&dir, offset);
        }
        hd_buf_done(&packed);
    }
    uint32_t at = (uint32_t)(b->len - start);
    hd_buf_add(b, dir.ptr, dir.len);
    zipmake_u32(b, 0x06054b50);
    zipmake_u32(b, 0);
    zipmake_u16(b, (unsigned)n);
    zipmake_u16(b, (unsigned)n);
    zipmake_u32(b, (uint32_t)dir.len);
    zipmake_u32(b, at);
    zipmake_u16(b, 0);
    hd_buf_done(&dir);
    assert_false(hd_buf_failed(b));
}
