/* test/fuzz/fuzz_envelope.c - messages of a queue: what is read is written as a text that says the
 * same. */
#include "fuzz.h"
#include "lanes/envelope.h"

enum { ROOM = 16 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hd_arena arena;
    struct hd_envelope e, again;
    struct hd_buf out;
    hd_arena_init(&arena, NULL, 0, ROOM);
    hd_buf_init(&out, ROOM);
    if (hd_envelope_read(&e, &arena, hd_str_n((const char *)data, size), 0, NULL) == 0) {
        hd_envelope_write(&out, &e);
        fuzz_check(hd_envelope_read(&again, &arena, hd_buf_view(&out), 0, NULL) == 0);
        fuzz_check(hd_str_eq(e.payload, again.payload) && hd_str_eq(e.id, again.id));
        fuzz_check(hd_str_eq(e.others, again.others) && e.attempts == again.attempts);
    }
    hd_buf_done(&out);
    hd_arena_done(&arena);
    return 0;
}
