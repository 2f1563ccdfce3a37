/* typed_lines.c - the lanes' texts for tests in other languages: a line in, a line out.
 *
 *   t TEXT  typed text, read and written     p TEXT  the same, as ordinary JSON
 *   f TEXT  ordinary JSON, as typed text     e TEXT  a queue's message, read and written
 *   h TEXT  its hash in lane tokens
 * An answer is "+" and a text, or "-" and why not. */
#include "lanes/envelope.h"
#include "lanes/token.h"
#include "lanes/typed.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROOM = 64 << 20 };

static int answer(struct hd_buf *out, struct hd_arena *arena, char what, struct hd_str text,
                  struct hd_error *err)
{
    struct hd_typed *v = NULL;
    struct hd_envelope e;
    int rc;
    switch (what) {
    case 't':
    case 'p':
        rc = hd_typed_read(&v, arena, text, err);
        if (rc == 0 && what == 't')
            hd_typed_write(out, v);
        else if (rc == 0)
            hd_typed_to_plain(out, v);
        return rc;
    case 'f':
        rc = hd_typed_from_plain(&v, arena, text, err);
        if (rc == 0)
            hd_typed_write(out, v);
        return rc;
    case 'e':
        rc = hd_envelope_read(&e, arena, text, 0, err);
        if (rc == 0)
            hd_envelope_write(out, &e);
        return rc;
    case 'h':
        hd_lane_hash(out, text);
        return 0;
    default:
        return hd_fail(err, HD_EINVAL, "no such request");
    }
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, stdin)) > 1) {
        struct hd_arena arena;
        struct hd_buf out;
        struct hd_error err = {0};
        hd_arena_init(&arena, NULL, 0, ROOM);
        hd_buf_init(&out, ROOM);
        int rc = answer(&out, &arena, line[0], hd_str_n(line + 1, (size_t)n - 2), &err);
        if (rc == 0)
            printf("+%.*s\n", HD_FMT(hd_buf_view(&out)));
        else
            printf("-%s\n", err.msg);
        fflush(stdout);
        hd_buf_done(&out);
        hd_arena_done(&arena);
    }
    free(line);
    return 0;
}
