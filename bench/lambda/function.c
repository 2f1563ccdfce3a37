/* function.c - the functions in C that the Lambda benchmarks call: {} is answered at once,
 * {"mib": n} by a stream of so many MiB. */
#include <heddle/function.h>

#include <stdlib.h>
#include <string.h>

enum { PIECE = 64 << 10, PIECES_PER_MIB = (1 << 20) / PIECE };

static int stream(struct hd_reply *reply, long pieces)
{
    static char piece[PIECE];
    memset(piece, 'x', sizeof(piece));
    int rc = hd_reply_stream(reply);
    for (long i = 0; rc == 0 && i < pieces; i++)
        rc = hd_reply_write(reply, piece, sizeof(piece));
    return rc;
}

static int answer(struct hd_event *event, struct hd_reply *reply)
{
    struct hd_str mib = hd_event_get(event, "mib");
    if (mib.len == 0)
        return hd_reply_str(reply, "{}");
    long n = 0; /* a number in valid JSON, and something else behind it */
    for (size_t i = 0; i < mib.len && mib.ptr[i] >= '0' && mib.ptr[i] <= '9' && n < 4096; i++)
        n = n * 10 + (mib.ptr[i] - '0');
    return stream(reply, n * PIECES_PER_MIB);
}

int main(int argc, char **argv)
{
    return hd_function_main(argc, argv, answer, NULL);
}
