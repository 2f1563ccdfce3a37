/* test/fuzz/fuzz_typed.c - typed values of a peer: what is read is written as a text that reads as
 * the same again. */
#include "fuzz.h"
#include "lanes/typed.h"

enum { ROOM = 16 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hd_arena arena;
    struct hd_typed *value = NULL, *again = NULL;
    struct hd_buf once, twice, plain;
    struct hd_error err;
    hd_arena_init(&arena, NULL, 0, ROOM);
    hd_buf_init(&once, ROOM);
    hd_buf_init(&twice, ROOM);
    hd_buf_init(&plain, ROOM);
    if (hd_typed_read(&value, &arena, hd_str_n((const char *)data, size), &err) == 0) {
        hd_typed_write(&once, value);
        hd_typed_to_plain(&plain, value);
        if (!hd_buf_failed(&once) && hd_typed_read(&again, &arena, hd_buf_view(&once), &err) == 0) {
            hd_typed_write(&twice, again);
            fuzz_check(hd_str_eq(hd_buf_view(&once), hd_buf_view(&twice)));
        }
    }
    hd_buf_done(&once);
    hd_buf_done(&twice);
    hd_buf_done(&plain);
    hd_arena_done(&arena);
    return 0;
}
