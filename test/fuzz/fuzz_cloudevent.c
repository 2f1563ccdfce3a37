/* test/fuzz/fuzz_cloudevent.c - structured CloudEvents: attributes that are taken are taken again,
 * and say the same. */
#include "core/buf.h"
#include "fuzz.h"
#include "lanes/cloudevent.h"

enum { ROOM = 16 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hd_arena arena;
    struct hd_cloud_event e, again;
    hd_arena_init(&arena, NULL, 0, ROOM);
    if (hd_cloud_structured(&e, &arena, hd_str_n((const char *)data, size), NULL) == 0) {
        static const char version[] = "{\"specversion\":\"1.0\",";
        struct hd_buf text;
        hd_buf_init(&text, ROOM);
        hd_buf_cstr(&text, version);
        hd_buf_str(&text, hd_str_n(e.attributes.ptr + 1, e.attributes.len - 1));
        fuzz_check(hd_cloud_structured(&again, &arena, hd_buf_view(&text), NULL) == 0);
        fuzz_check(hd_str_eq(e.attributes, again.attributes) && hd_str_eq(e.type, again.type));
        hd_buf_done(&text);
    }
    hd_arena_done(&arena);
    return 0;
}
